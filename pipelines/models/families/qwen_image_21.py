"""Qwen-Image 2.1: its model specs, and how its diffusers pipeline differs from those of other families.

One model draws from words and edits. Its autoencoder has an opacity beside the colours, which is composited on white
here, and covers 16 pixels with one latent. The pipeline takes the words of an edit itself, because its text encoder
reads the pictures with them, and scales every picture to one area, to which it is therefore padded first. Its licence
forbids commercial use.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from pipelines.core.geometry import Size
from pipelines.core.models import GB, ModelSpec
from pipelines.core.params import Verb
from pipelines.core.rendering import RenderRequest
from pipelines.models.diffusion.lighter_rows import make_lighter_rows
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.diffusion.pipeline import (
    DiffusionModel,
    PromptEmbeds,
    effective_verb,
    pad_input_images,
    prompt_text,
    restore_latent_scale,
    size_arguments,
)
from pipelines.models.diffusion.resolution import Canvas, plan_fixed_area_canvas
from pipelines.models.pinned_revisions import PINS

VERBS: tuple[Verb, ...] = ("backdrop", "text", "edit")
EDIT_SIDE_PX: int = 1024  # of the square whose area an edit has; the authors' default
_LATENT_PX = 16  # pixels that a latent covers along a side
_VAE_BYTES = 2 * 337_740_404
_DRAWING_BYTES = 2 * 7_115_124_736 + _VAE_BYTES
_TEXT_ENCODER_BYTES = 2 * 8_767_123_696  # Qwen3-VL 8B with its vision encoder
_TEXT_ENCODER_INT8_BYTES = 10_025_514_256

QWEN_21 = ModelSpec(
    id="qwen-image-2.1",
    family="qwen_image_21",
    verbs=VERBS,
    licence="Qwen Research License",
    commercial_ok=False,
    repo="Qwen/Qwen-Image-2.1",
    revision=PINS["Qwen/Qwen-Image-2.1"],
    defaults=(("num_inference_steps", 40), ("guidance_scale", 1.0), ("side", 2048), ("side_min", 1024)),
    options=(("lighter", "qwen-image-2.1-int8"),),
    dtype="auto-bfloat16",
    bytes=_DRAWING_BYTES + _TEXT_ENCODER_BYTES,
    min_vram=48 * GB,
    download_bytes=_DRAWING_BYTES + _TEXT_ENCODER_BYTES + _VAE_BYTES,  # the autoencoder lies at the hub in float32
)
QWEN_21_LIGHTER = make_lighter_rows(
    QWEN_21, _TEXT_ENCODER_BYTES, {"int8": 40 * GB, "streamed": 32 * GB}, int8_bytes=_TEXT_ENCODER_INT8_BYTES
)


class Qwen21Model(DiffusionModel):
    """Qwen-Image 2.1. `images[0]` is edited; the other images are references."""

    pipeline_classes = ("QwenImage21Pipeline",)
    size_multiple = 32
    guidance_argument = "true_cfg_scale"
    draws_exclusively = True  # its autoencoder, made for video, caches the previous frame

    def canvas_for(self, render: RenderRequest) -> Canvas:
        """See `DiffusionModel.canvas_for`. That of an edit is a size that the pipeline leaves as it is."""
        return _choose_edit_canvas(render.size) if render.verb == "edit" else super().canvas_for(render)

    def batch_key(self, render: RenderRequest) -> tuple[Hashable, int] | None:
        """See `BatchingModel.batch_key`. Words of another length have embeddings of another shape: none are joined."""
        return None

    def pipeline_inputs(self, render: RenderRequest, canvas: Canvas) -> dict[str, Any]:
        if effective_verb(render) != "edit":
            return size_arguments(canvas)
        inputs = {"image": pad_input_images(render, canvas, _choose_edit_canvas), "prompt": prompt_text(render)}
        if self.is_guided(render):
            inputs["negative_prompt"] = render.negative_prompt or " "
        return {**size_arguments(canvas), **inputs, "output_resolution": EDIT_SIDE_PX}

    def prompt_key(self, render: RenderRequest) -> Hashable:
        """See `DiffusionModel.prompt_key`. Of an edit nothing is encoded beforehand."""
        return super().prompt_key(render), effective_verb(render) == "edit"

    def encode_prompt(self, view: Any, render: RenderRequest, canvas: Canvas) -> PromptEmbeds:
        """See `DiffusionModel.encode_prompt`; nothing for an edit."""
        if effective_verb(render) == "edit":
            return {}
        embeds = self._embed_text(view, prompt_text(render), "")
        if self.is_guided(render):
            embeds |= self._embed_text(view, render.negative_prompt or " ", "negative_")
        return embeds

    def read_output(self, output: Any) -> Any:
        """See `DiffusionModel.read_output`. What is transparent is composited on white."""
        colour, alpha = output.images[..., :3], output.images[..., 3:]
        return colour * alpha + (1 - alpha)

    def preview_latents(self, clean: Any, canvas: Canvas) -> Any:
        return unpack_latents(clean[0], canvas, self.pipe.vae)

    def _embed_text(self, view: Any, prompt: str, prefix: str) -> dict[str, Any]:
        import torch

        embeds, _, _ = view.encode_prompt(prompt=[prompt], device=torch.device(self._device))
        return {f"{prefix}prompt_embeds": embeds}


def unpack_latents(tokens: Any, canvas: Canvas, vae: Any) -> Any:
    """Unpack the tokens of a picture, L x C, one a latent pixel, and undo the normalisation: C x h x w."""
    height, width = canvas.padded_size[1] // _LATENT_PX, canvas.padded_size[0] // _LATENT_PX
    grid = tokens.transpose(0, 1).reshape(-1, height, width)
    return restore_latent_scale(grid, vae)


def _choose_edit_canvas(size: Size) -> Canvas:
    """A canvas for a picture of `size` whose padded size the pipeline does not rescale."""
    from diffusers.pipelines.qwenimage21 import pipeline_qwenimage21 as qwen

    return plan_fixed_area_canvas(size, lambda ratio: qwen.calculate_dimensions(EDIT_SIDE_PX**2, ratio)[:2])


QWEN_21_FAMILY = CheckpointFamily(Qwen21Model, (QWEN_21, *QWEN_21_LIGHTER))
