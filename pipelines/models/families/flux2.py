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
from pipelines.core.rendering import RenderRequest
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.diffusion.pipeline import (
    DiffusionModel,
    PromptEmbeds,
    effective_verb,
    mask_image,
    prompt_text,
    size_arguments,
    start_image,
    to_pillow,
)
from pipelines.models.diffusion.resolution import Canvas, plan_canvas, with_min_padded_side
from pipelines.models.pinned_revisions import PINS

GB = 10**9

VERBS: tuple[Verb, ...] = ("backdrop", "text", "edit", "image", "inpaint")
# As `Flux2ImageProcessor.check_image_input` wants references.
_MIN_SIDE_PX, _MAX_ASPECT_RATIO = 64, 8

_DEFAULTS = (("num_inference_steps", 4), ("guidance_scale", 1.0), ("strength", 0.8), ("side", 1024), ("side_min", 512))
_TRANSFORMER_BYTES, _TEXT_ENCODER_BYTES, _VAE_BYTES = 2 * 3_876_000_000, 2 * 4_022_468_096, 2 * 84_046_115
# 3.6 billion weights of linear layers in a byte each, the scales of their rows, and the embeddings in bfloat16.
_TEXT_ENCODER_INT8_BYTES = 3_633_315_840 + 5 * 1_105_920 + 2 * 389_152_256

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
    bytes=_TRANSFORMER_BYTES + _TEXT_ENCODER_BYTES + _VAE_BYTES,
    min_vram=22 * GB,
)
# The text encoder weighs more than what draws, and is needed for a moment only: in 8 bits, or in main memory.
KLEIN_INT8 = replace(
    KLEIN, id="klein-int8",
    options=(("text_encoder", "int8"), ("package", "torchao"), ("lighter", "klein-streamed")),
    bytes=_TRANSFORMER_BYTES + _TEXT_ENCODER_INT8_BYTES + _VAE_BYTES, min_vram=18 * GB, download_bytes=KLEIN.bytes,
)  # fmt: skip
KLEIN_STREAMED = replace(
    KLEIN, id="klein-streamed", options=(("text_encoder", "streamed"),), bytes=_TRANSFORMER_BYTES + _VAE_BYTES, min_vram=14 * GB,
    host_bytes=_TEXT_ENCODER_BYTES,
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


class Flux2Model(DiffusionModel):
    """FLUX.2 klein. `image` is an inpainting of the whole picture, which klein has in place of image to image."""

    size_multiple = 16

    def pipeline_class(self, verb: Verb) -> str:
        """As `Painter.class_of`."""
        return "Flux2KleinInpaintPipeline" if verb in ("image", "inpaint") else "Flux2KleinPipeline"

    def canvas_for(self, render: RenderRequest) -> Canvas:
        """As `Painter.laid`; a photo that is edited has to pass as a reference."""
        laid = super().canvas_for(render)
        return laid if effective_verb(render) == "text" else with_min_padded_side(laid, _MIN_SIDE_PX, _MAX_ASPECT_RATIO)

    def pipeline_inputs(self, render: RenderRequest, laid: Canvas) -> dict[str, Any]:
        """As `Painter.inputs`."""
        verb = effective_verb(render)
        if verb == "text":
            return size_arguments(laid)
        if verb == "edit":
            first, *others = render.images
            pictures = [self._edited_image(first, laid), *(self._reference_image(other) for other in others)]
            return {**size_arguments(laid), "image": pictures}
        whole = to_pillow(np.full((laid.padded_size[1], laid.padded_size[0]), 255, np.uint8))
        return {
            **size_arguments(laid),
            "image": start_image(render, laid),
            "mask_image": whole if verb == "image" else mask_image(render, laid),
            "strength": self.effective_strength(render),
        }

    def is_guided(self, render: RenderRequest) -> bool:
        """As `Painter.is_guided`: a distilled checkpoint reads no scale."""
        return self.guidance_scale(render) > 1 and not self.pipe.config.is_distilled

    def guidance_arguments(self, render: RenderRequest) -> dict[str, Any]:
        """As `Painter.guided`."""
        return {"guidance_scale": self.guidance_scale(render) if self.is_guided(render) else 1.0}

    def encode_prompt(self, view: Any, render: RenderRequest, laid: Canvas) -> PromptEmbeds:
        """As `Painter.read`."""
        embeds = {"prompt_embeds": _encode_prompt(view, prompt_text(render), self._device)}
        if self.is_guided(render):
            embeds["negative_prompt_embeds"] = _encode_prompt(view, render.negative_prompt, self._device)
        return embeds

    def preview_latents(self, clean: Any, laid: Canvas) -> Any:
        """As `Painter.latents`: L x 4C tokens in the batch norm's measure become C x h x w."""
        height, width = laid.padded_size[1] // self.size_multiple, laid.padded_size[0] // self.size_multiple
        norm = self.pipe.vae.bn
        deviation = (norm.running_var + self.pipe.vae.config.batch_norm_eps).sqrt()
        tokens = clean[0] * deviation.to(clean) + norm.running_mean.to(clean)
        patches = tokens.T.reshape(-1, 2, 2, height, width)
        return patches.permute(0, 3, 1, 4, 2).reshape(-1, 2 * height, 2 * width)

    def _edited_image(self, photo: Image, laid: Canvas) -> Any:
        """The picture that is edited: on the canvas that is drawn, unless it has another shape."""
        return to_pillow(laid.pad_onto(photo)) if laid.has_shape_of(photo) else self._reference_image(photo)

    def _reference_image(self, picture: Image) -> Any:
        most, size = int(self._defaults["side"]), (picture.shape[1], picture.shape[0])
        own = plan_canvas(size, max_side=most, min_side=_MIN_SIDE_PX, multiple=self.size_multiple)
        return to_pillow(with_min_padded_side(own, _MIN_SIDE_PX, _MAX_ASPECT_RATIO).pad_onto(picture))


def _encode_prompt(view: Any, prompt: str, device: str) -> Any:
    import torch

    return view.encode_prompt(prompt=[prompt], device=torch.device(device), num_images_per_prompt=1)[0]


class Flux2Family(CheckpointFamily):
    """The family."""

    def __init__(self, specs: tuple[ModelSpec, ...]) -> None:
        super().__init__(specs, Flux2Model, ("Flux2KleinPipeline",))


FLUX2_FAMILY = Flux2Family((KLEIN, KLEIN_INT8, KLEIN_STREAMED, KLEIN_4BIT))
