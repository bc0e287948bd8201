"""Z-Image Turbo: its model specs, and how its diffusers pipelines differ from those of other families."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

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
from pipelines.models.diffusion.resolution import Canvas
from pipelines.models.families.control_nets import Z_IMAGE_UNION, Z_IMAGE_UNION_2_1
from pipelines.models.pinned_revisions import PINS

VERBS: tuple[Verb, ...] = ("backdrop", "text", "image", "inpaint", "control")
_PIPELINE_SUFFIXES: Mapping[Verb, str] = {"text": "", "image": "Img2Img", "inpaint": "Inpaint", "control": "ControlNet"}

_TRANSFORMER_BYTES, _TEXT_ENCODER_BYTES, _VAE_BYTES = 2 * 6_154_908_736, 2 * 4_022_468_096, 2 * 83_819_683
_DOWNLOAD_BYTES = 2 * _TRANSFORMER_BYTES + _TEXT_ENCODER_BYTES + _VAE_BYTES  # the transformer lies there in float32
_TEXT_ENCODER_INT8_BYTES = 3_633_315_840 + 5 * 1_105_920 + 2 * 389_152_256  # the same encoder as klein's

Z_IMAGE = ModelSpec(
    id="z-image-turbo",
    family="z_image",
    verbs=VERBS,
    licence="Apache-2.0",
    repo="Tongyi-MAI/Z-Image-Turbo",
    revision=PINS["Tongyi-MAI/Z-Image-Turbo"],
    defaults=(
        ("num_inference_steps", 8),  # the distilled schedule; 9 belonged to diffusers before 0.39
        ("guidance_scale", 0.0),
        ("strength", 0.7),
        ("side", 1024),
        ("side_min", 512),
    ),
    options=(
        ("preview", "madebyollin/taef1"),
        ("lighter", "z-image-turbo-int8"),
    ),
    dtype="auto-bfloat16",
    bytes=_TRANSFORMER_BYTES + _TEXT_ENCODER_BYTES + _VAE_BYTES,
    min_vram=26 * GB,
    download_bytes=_DOWNLOAD_BYTES,
    control_net=Z_IMAGE_UNION.id,
)
# The newer ControlNet, more than twice as large, where there is room for it.
Z_IMAGE_2_1 = replace(
    Z_IMAGE,
    id="z-image-turbo-2.1",
    options=(("preview", "madebyollin/taef1"), ("lighter", "z-image-turbo")),
    min_vram=30 * GB,
    control_net=Z_IMAGE_UNION_2_1.id,
)
Z_IMAGE_LIGHTER = make_lighter_rows(
    Z_IMAGE, _TEXT_ENCODER_BYTES, {"int8": 22 * GB, "streamed": 16 * GB}, int8_bytes=_TEXT_ENCODER_INT8_BYTES
)


class ZImageModel(DiffusionModel):
    """Z-Image, with its ControlNet where a map is followed."""

    pipeline_classes = ("ZImagePipeline",)
    size_multiple = 16

    def pipeline_class(self, verb: Verb) -> str:
        return f"ZImage{_PIPELINE_SUFFIXES[verb]}Pipeline"

    def pipeline_inputs(self, render: RenderRequest, canvas: Canvas) -> dict[str, Any]:
        """See `DiffusionModel.pipeline_inputs`. Each seed gets a start image, hence noise of its own."""
        verb = effective_verb(render)
        if verb == "text":
            return size_arguments(canvas)
        if verb == "control":
            assert render.control is not None
            return {**size_arguments(canvas), "control_image": to_pillow(canvas.pad_onto(render.control))}
        inputs = {
            **size_arguments(canvas),
            "image": [start_image(render, canvas)] * len(render.seeds),
            "strength": self.effective_strength(render),
        }
        return inputs if verb == "image" else {**inputs, "mask_image": mask_image(render, canvas)}

    def is_guided(self, render: RenderRequest) -> bool:
        """See `DiffusionModel.is_guided`. The guidance scale of Z-Image is 0 without guidance, not 1."""
        return self.guidance_scale(render) > 0

    def encode_prompt(self, view: Any, render: RenderRequest, canvas: Canvas) -> PromptEmbeds:
        """See `DiffusionModel.encode_prompt`. The lists must be ours, since the pipeline writes into them."""
        import torch

        wanted, unwanted = view.encode_prompt(
            prompt=[prompt_text(render)],
            device=torch.device(self._device),
            do_classifier_free_guidance=self.is_guided(render),
            negative_prompt=[render.negative_prompt],
        )
        return {"prompt_embeds": wanted, "negative_prompt_embeds": unwanted}


Z_IMAGE_FAMILY = CheckpointFamily(ZImageModel, (Z_IMAGE_2_1, Z_IMAGE, *Z_IMAGE_LIGHTER))
