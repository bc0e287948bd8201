"""Krea 2 Turbo: its model specs, and how its diffusers pipeline differs from those of other families.

Its text encoder is a Qwen3-VL of 4.4 billion weights, of which several layers are read, and its autoencoder that of
Qwen-Image.
"""

from __future__ import annotations

from typing import Any

from pipelines.core.models import GB, ModelSpec
from pipelines.core.params import Verb
from pipelines.core.rendering import RenderRequest
from pipelines.models.diffusion.lighter_rows import make_lighter_rows
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.diffusion.pipeline import DiffusionModel, PromptEmbeds, prompt_text, size_arguments
from pipelines.models.diffusion.resolution import Canvas
from pipelines.models.families.qwen_image import unpack_qwen_latents
from pipelines.models.pinned_revisions import PINS

VERBS: tuple[Verb, ...] = ("backdrop", "text")
_DRAWING_BYTES = 2 * (12_820_073_036 + 126_892_531)  # transformer and VAE
_TEXT_ENCODER_BYTES = 2 * 4_437_815_808

KREA = ModelSpec(
    id="krea-2-turbo",
    family="krea",
    verbs=VERBS,
    licence="Krea 2 Community License",
    revenue_cap="US$ 1 million of revenue a year",
    repo="krea/Krea-2-Turbo",
    revision=PINS["krea/Krea-2-Turbo"],
    defaults=(("num_inference_steps", 8), ("guidance_scale", 0.0), ("side", 1536), ("side_min", 1024)),
    options=(("lighter", "krea-2-turbo-streamed"),),
    dtype="auto-bfloat16",
    bytes=_DRAWING_BYTES + _TEXT_ENCODER_BYTES,
    min_vram=42 * GB,
)
KREA_LIGHTER = make_lighter_rows(KREA, _TEXT_ENCODER_BYTES, {"streamed": 32 * GB})


class KreaModel(DiffusionModel):
    """Krea 2. It draws from words alone."""

    pipeline_classes = ("Krea2Pipeline",)
    size_multiple = 16
    draws_exclusively = True  # its autoencoder, made for video, caches the previous frame

    def pipeline_inputs(self, render: RenderRequest, canvas: Canvas) -> dict[str, Any]:
        return size_arguments(canvas)

    def is_guided(self, render: RenderRequest) -> bool:
        """See `DiffusionModel.is_guided`. The guidance scale of Krea 2 is 0 without guidance, not 1."""
        return self.guidance_scale(render) > 0

    def encode_prompt(self, view: Any, render: RenderRequest, canvas: Canvas) -> PromptEmbeds:
        embeds = self._embed_text(view, prompt_text(render), "")
        return (
            embeds | self._embed_text(view, render.negative_prompt, "negative_") if self.is_guided(render) else embeds
        )

    def _embed_text(self, view: Any, prompt: str, prefix: str) -> dict[str, Any]:
        import torch

        embeds, mask = view.encode_prompt(prompt=[prompt], device=torch.device(self._device))
        return {f"{prefix}prompt_embeds": embeds, f"{prefix}prompt_embeds_mask": mask}

    def preview_latents(self, clean: Any, canvas: Canvas) -> Any:
        """See `DiffusionModel.preview_latents`. `clean` is packed and normalised as Qwen-Image's."""
        return unpack_qwen_latents(clean[0], canvas, self.pipe.vae)


KREA_FAMILY = CheckpointFamily(KreaModel, (KREA, *KREA_LIGHTER))
