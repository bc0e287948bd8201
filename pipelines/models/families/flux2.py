"""FLUX.2 klein: its rows, and what its pipelines want; knows no drawing.

Its pipelines shrink references over a megapixel and cut them to whole multiples of 16, so references are laid on a
canvas of such a size first: nothing of them is lost, and an edit lies where its photo lay.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pipelines.core.geometry import Image
from pipelines.core.models import ModelSpec
from pipelines.core.params import Verb
from pipelines.core.rendering import Render
from pipelines.models.diffusion.loader import Checkpoints
from pipelines.models.diffusion.pipeline import Embeds, Painter, drawn_as, hole, pillow, sides, start, words
from pipelines.models.diffusion.resolution import Canvas, at_least, canvas
from pipelines.models.pinned_revisions import PINS

GB = 10**9

VERBS: tuple[Verb, ...] = ("backdrop", "text", "edit", "image", "inpaint")
# As `Flux2ImageProcessor.check_image_input` wants references.
_LEAST_SIDE, _MOST_RATIO = 64, 8

_DEFAULTS = (("num_inference_steps", 4), ("guidance_scale", 1.0), ("strength", 0.8), ("side", 1024), ("side_min", 512))
_TRANSFORMER, _TEXT, _VAE = 2 * 3_876_000_000, 2 * 4_022_468_096, 2 * 84_046_115
# 3.6 billion weights of linear layers in a byte each, the scales of their rows, and the embeddings in bfloat16.
_TEXT_INT8 = 3_633_315_840 + 5 * 1_105_920 + 2 * 389_152_256

KLEIN = ModelSpec(
    id="klein",
    family="flux2",
    verbs=VERBS,
    licence="Apache-2.0",
    repo="black-forest-labs/FLUX.2-klein-4B",
    revision=PINS["black-forest-labs/FLUX.2-klein-4B"],
    defaults=_DEFAULTS,
    options=(("lighter", "klein-int8"),),
    dtype="auto",
    bytes=_TRANSFORMER + _TEXT + _VAE,
    min_vram=22 * GB,
)
# The text encoder weighs more than what draws, and is needed for a moment only: in 8 bits, or in main memory.
KLEIN_INT8 = replace(
    KLEIN, id="klein-int8",
    options=(("text_encoder", "int8"), ("package", "torchao"), ("lighter", "klein-streamed")),
    bytes=_TRANSFORMER + _TEXT_INT8 + _VAE, min_vram=18 * GB, fetched=KLEIN.bytes,
)  # fmt: skip
KLEIN_STREAMED = replace(
    KLEIN, id="klein-streamed", options=(("text_encoder", "streamed"),), bytes=_TRANSFORMER + _VAE, min_vram=14 * GB,
    beside=_TEXT,
)  # fmt: skip
# Four bits a weight; the package that reads them is GPL-3.0, so whoever wants it installs it.
KLEIN_4BIT = ModelSpec(
    id="klein-4bit",
    family="flux2",
    verbs=VERBS,
    licence="Apache-2.0",
    repo="Disty0/FLUX.2-klein-4B-SDNQ-4bit-dynamic",
    revision=PINS["Disty0/FLUX.2-klein-4B-SDNQ-4bit-dynamic"],
    defaults=_DEFAULTS,
    options=(("package", "sdnq"),),
    dtype="auto",
    bytes=5 * GB,
    min_vram=7 * GB,
)


class Flux2Painter(Painter):
    """FLUX.2 klein. `image` is an inpainting of the whole picture, which klein has in place of image to image."""

    multiple = 16

    def class_of(self, verb: Verb) -> str:
        """As `Painter.class_of`."""
        return "Flux2KleinInpaintPipeline" if verb in ("image", "inpaint") else "Flux2KleinPipeline"

    def laid(self, render: Render) -> Canvas:
        """As `Painter.laid`; a photo that is edited has to pass as a reference."""
        laid = super().laid(render)
        return laid if drawn_as(render) == "text" else at_least(laid, _LEAST_SIDE, _MOST_RATIO)

    def inputs(self, render: Render, laid: Canvas) -> dict[str, Any]:
        """As `Painter.inputs`."""
        verb = drawn_as(render)
        if verb == "text":
            return sides(laid)
        if verb == "edit":
            first, *others = render.images
            pictures = [self._photo(first, laid), *(self._reference(other) for other in others)]
            return {**sides(laid), "image": pictures}
        whole = pillow(np.full((laid.sides[1], laid.sides[0]), 255, np.uint8))
        return {
            **sides(laid),
            "image": start(render, laid),
            "mask_image": whole if verb == "image" else hole(render, laid),
            "strength": self.strength(render),
        }

    def is_guided(self, render: Render) -> bool:
        """As `Painter.is_guided`: a distilled checkpoint reads no scale."""
        return self.guidance(render) > 1 and not self.pipe.config.is_distilled

    def guided(self, render: Render) -> dict[str, Any]:
        """As `Painter.guided`."""
        return {"guidance_scale": self.guidance(render) if self.is_guided(render) else 1.0}

    def read(self, view: Any, render: Render, laid: Canvas) -> Embeds:
        """As `Painter.read`."""
        embeds = {"prompt_embeds": _read(view, words(render), self._device)}
        if self.is_guided(render):
            embeds["negative_prompt_embeds"] = _read(view, render.negative_prompt, self._device)
        return embeds

    def latents(self, clean: Any, laid: Canvas) -> Any:
        """As `Painter.latents`: L x 4C tokens in the batch norm's measure become C x h x w."""
        height, width = laid.sides[1] // self.multiple, laid.sides[0] // self.multiple
        norm = self.pipe.vae.bn
        deviation = (norm.running_var + self.pipe.vae.config.batch_norm_eps).sqrt()
        tokens = clean[0] * deviation.to(clean) + norm.running_mean.to(clean)
        patches = tokens.T.reshape(-1, 2, 2, height, width)
        return patches.permute(0, 3, 1, 4, 2).reshape(-1, 2 * height, 2 * width)

    def _photo(self, photo: Image, laid: Canvas) -> Any:
        """The picture that is edited: on the canvas that is drawn, unless it has another shape."""
        return pillow(laid.lay(photo)) if laid.shaped_like(photo) else self._reference(photo)

    def _reference(self, picture: Image) -> Any:
        most, size = int(self._defaults["side"]), (picture.shape[1], picture.shape[0])
        own = canvas(size, most=most, least=_LEAST_SIDE, multiple=self.multiple)
        return pillow(at_least(own, _LEAST_SIDE, _MOST_RATIO).lay(picture))


def _read(view: Any, prompt: str, device: str) -> Any:
    import torch

    return view.encode_prompt(prompt=[prompt], device=torch.device(device), num_images_per_prompt=1)[0]


class Flux2(Checkpoints):
    """The family."""

    def __init__(self, specs: tuple[ModelSpec, ...]) -> None:
        super().__init__(specs, Flux2Painter, ("Flux2KleinPipeline",))


FLUX2 = Flux2((KLEIN, KLEIN_INT8, KLEIN_STREAMED, KLEIN_4BIT))
