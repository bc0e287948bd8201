"""FLUX.2 klein: its model specs, and how its diffusers pipelines differ from those of other families.

The pipelines shrink reference images of more than a megapixel and crop them to multiples of 16. References are
therefore padded to such a size first, so that nothing of them is lost and an edit stays aligned with its photo.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pipelines.core.geometry import Image
from pipelines.core.models import GB, ModelSpec
from pipelines.core.params import Verb
from pipelines.core.rendering import RenderRequest
from pipelines.models.diffusion.lighter_rows import make_lighter_rows
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

VERBS: tuple[Verb, ...] = ("backdrop", "text", "edit", "image", "inpaint")
# Limits of reference images in `Flux2ImageProcessor.check_image_input`.
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
    dtype="auto-bfloat16",
    bytes=_TRANSFORMER_BYTES + _TEXT_ENCODER_BYTES + _VAE_BYTES,
    min_vram=22 * GB,
)
KLEIN_LIGHTER = make_lighter_rows(
    KLEIN, _TEXT_ENCODER_BYTES, {"int8": 18 * GB, "streamed": 11_500_000_000}, int8_bytes=_TEXT_ENCODER_INT8_BYTES
)
# Four bits a weight. The package that reads them is GPL-3.0, so it is not installed by default.
KLEIN_4BIT = replace(
    KLEIN,
    id="klein-4bit",
    repo="Disty0/FLUX.2-klein-4B-SDNQ-4bit-dynamic",
    revision=PINS["Disty0/FLUX.2-klein-4B-SDNQ-4bit-dynamic"],
    options=(("package", "sdnq"),),
    bytes=5 * GB,
    min_vram=7 * GB,
)


class Flux2Model(DiffusionModel):
    """FLUX.2 klein. It has no image-to-image pipeline: `image` is an inpainting of the whole picture."""

    pipeline_classes = ("Flux2KleinPipeline",)
    size_multiple = 16

    def pipeline_class(self, verb: Verb) -> str:
        return "Flux2KleinInpaintPipeline" if verb in ("image", "inpaint") else "Flux2KleinPipeline"

    def canvas_for(self, render: RenderRequest) -> Canvas:
        """See `DiffusionModel.canvas_for`. A photo that is edited must meet the limits of a reference."""
        canvas = super().canvas_for(render)
        if effective_verb(render) == "text":
            return canvas
        return with_min_padded_side(canvas, _MIN_SIDE_PX, _MAX_ASPECT_RATIO)

    def pipeline_inputs(self, render: RenderRequest, canvas: Canvas) -> dict[str, Any]:
        verb = effective_verb(render)
        if verb == "text":
            return size_arguments(canvas)
        if verb == "edit":
            first, *others = render.images
            pictures = [self._edited_image(first, canvas), *(self._reference_image(other) for other in others)]
            return {**size_arguments(canvas), "image": pictures}
        whole_mask = to_pillow(np.full((canvas.padded_size[1], canvas.padded_size[0]), 255, np.uint8))
        return {
            **size_arguments(canvas),
            "image": start_image(render, canvas),
            "mask_image": whole_mask if verb == "image" else mask_image(render, canvas),
            "strength": self.effective_strength(render),
        }

    def is_guided(self, render: RenderRequest) -> bool:
        """See `DiffusionModel.is_guided`. A distilled checkpoint ignores the guidance scale."""
        return self.guidance_scale(render) > 1 and not self.pipe.config.is_distilled

    def guidance_arguments(self, render: RenderRequest) -> dict[str, Any]:
        return {"guidance_scale": self.guidance_scale(render) if self.is_guided(render) else 1.0}

    def encode_prompt(self, view: Any, render: RenderRequest, canvas: Canvas) -> PromptEmbeds:
        embeds = {"prompt_embeds": _encode_prompt(view, prompt_text(render), self._device)}
        if self.is_guided(render):
            embeds["negative_prompt_embeds"] = _encode_prompt(view, render.negative_prompt, self._device)
        return embeds

    def preview_latents(self, clean: Any, canvas: Canvas) -> Any:
        """See `DiffusionModel.preview_latents`. `clean` is L x 4C tokens, normalised as by the VAE's batch norm."""
        height, width = canvas.padded_size[1] // self.size_multiple, canvas.padded_size[0] // self.size_multiple
        norm = self.pipe.vae.bn
        deviation = (norm.running_var + self.pipe.vae.config.batch_norm_eps).sqrt()
        tokens = clean[0] * deviation.to(clean) + norm.running_mean.to(clean)
        patches = tokens.T.reshape(-1, 2, 2, height, width)
        return patches.permute(0, 3, 1, 4, 2).reshape(-1, 2 * height, 2 * width)

    def _edited_image(self, photo: Image, canvas: Canvas) -> Any:
        """The photo that is edited, padded as the picture that is drawn unless its aspect ratio differs."""
        return to_pillow(canvas.pad_onto(photo)) if canvas.has_shape_of(photo) else self._reference_image(photo)

    def _reference_image(self, picture: Image) -> Any:
        max_side, size = int(self._defaults["side"]), (picture.shape[1], picture.shape[0])
        canvas = plan_canvas(size, max_side=max_side, min_side=_MIN_SIDE_PX, multiple=self.size_multiple)
        return to_pillow(with_min_padded_side(canvas, _MIN_SIDE_PX, _MAX_ASPECT_RATIO).pad_onto(picture))


def _encode_prompt(view: Any, prompt: str, device: str) -> Any:
    import torch

    return view.encode_prompt(prompt=[prompt], device=torch.device(device), num_images_per_prompt=1)[0]


FLUX2_FAMILY = CheckpointFamily(Flux2Model, (KLEIN, *KLEIN_LIGHTER, KLEIN_4BIT))
