"""Qwen-Image-Edit and FireRed-Image-Edit: model specs, and how their pipeline differs from those of other families.

The pipeline scales every picture to one megapixel and to multiples of 32, which distorts it. Pictures are therefore
padded to exactly such a size first, which the pipeline leaves as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

from pipelines.core.geometry import Size
from pipelines.core.models import GB, ModelSpec
from pipelines.core.params import Verb
from pipelines.core.rendering import RenderRequest
from pipelines.models.diffusion.lighter_rows import Mode, make_lighter_rows
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.diffusion.pipeline import (
    DiffusionModel,
    PromptEmbeds,
    pad_input_images,
    prompt_text,
    restore_latent_scale,
    size_arguments,
    unpack_tokens,
)
from pipelines.models.diffusion.resolution import Canvas, plan_fixed_area_canvas
from pipelines.models.pinned_revisions import PINS

VERBS: tuple[Verb, ...] = ("edit",)
_VAE_BYTES = 2 * 126_892_531
_DRAWING_BYTES = 2 * 20_430_401_088 + _VAE_BYTES
_TEXT_ENCODER_BYTES = 2 * 8_292_166_656  # Qwen2.5-VL 7B with its vision encoder
_TEXT_ENCODER_INT8_BYTES = 7_199_817_728 + 5 * 1_822_976 + 2 * 1_092_348_928  # embeddings stay in bfloat16
# A fixed shift of 3, as the authors of the Lightning LoRA recommend.
_SCHEDULER_CONFIG = (
    '{"base_shift": 1.0986122886681098, "max_shift": 1.0986122886681098, "shift": 1.0, "shift_terminal": null}'
)

QWEN_EDIT = ModelSpec(
    id="qwen-image-edit",
    family="qwen_image",
    verbs=VERBS,
    licence="Apache-2.0",
    repo="Qwen/Qwen-Image-Edit-2511",
    revision=PINS["Qwen/Qwen-Image-Edit-2511"],
    defaults=(("num_inference_steps", 4), ("guidance_scale", 1.0), ("side", 1024)),
    options=(
        (
            "adapter",
            "lightx2v/Qwen-Image-Edit-2511-Lightning::Qwen-Image-Edit-2511-Lightning-4steps-V1.0-bf16.safetensors",
        ),
        ("scheduler_config", _SCHEDULER_CONFIG),
        ("lighter", "qwen-image-edit-int8"),
    ),
    dtype="auto-bfloat16",
    bytes=_DRAWING_BYTES + _TEXT_ENCODER_BYTES,
    min_vram=66 * GB,
)
_LIGHTER_MIN_VRAM: Mapping[Mode, int] = {"int8": 56 * GB, "streamed": 48 * GB, "offloaded": 16 * GB}
QWEN_EDIT_LIGHTER = make_lighter_rows(
    QWEN_EDIT, _TEXT_ENCODER_BYTES, _LIGHTER_MIN_VRAM, int8_bytes=_TEXT_ENCODER_INT8_BYTES, vae_bytes=_VAE_BYTES
)
# The same architecture trained for portraits. Its LoRA for 8 steps lies in the format of another program.
FIRERED = replace(
    QWEN_EDIT,
    id="firered-image-edit",
    repo="FireRedTeam/FireRed-Image-Edit-1.1",
    revision=PINS["FireRedTeam/FireRed-Image-Edit-1.1"],
    defaults=(("num_inference_steps", 40), ("guidance_scale", 4.0), ("side", 1024)),
    options=(("lighter", "firered-image-edit-int8"),),
)
FIRERED_LIGHTER = make_lighter_rows(
    FIRERED, _TEXT_ENCODER_BYTES, _LIGHTER_MIN_VRAM, int8_bytes=_TEXT_ENCODER_INT8_BYTES, vae_bytes=_VAE_BYTES
)


class QwenModel(DiffusionModel):
    """Qwen-Image-Edit Plus. `images[0]` is edited; the other images are references."""

    pipeline_classes = ("QwenImageEditPlusPipeline",)
    size_multiple = 32
    guidance_argument = "true_cfg_scale"
    draws_exclusively = True  # its autoencoder, made for video, caches the previous frame

    def canvas_for(self, render: RenderRequest) -> Canvas:
        """See `DiffusionModel.canvas_for`. It is a size that the pipeline leaves as it is."""
        return _choose_canvas(render.size)

    def pipeline_inputs(self, render: RenderRequest, canvas: Canvas) -> dict[str, Any]:
        return {**size_arguments(canvas), "image": pad_input_images(render, canvas, _choose_canvas)}

    def prompt_key(self, render: RenderRequest) -> Hashable:
        """See `DiffusionModel.prompt_key`. The text encoder reads the images too."""
        digests = tuple(hashlib.sha256(image.tobytes()).digest() for image in render.images)
        return super().prompt_key(render), render.size, digests

    def encode_prompt(self, view: Any, render: RenderRequest, canvas: Canvas) -> PromptEmbeds:
        images = [
            _resize_for_text_encoder(view, picture) for picture in pad_input_images(render, canvas, _choose_canvas)
        ]
        embeds = self._encode_prompt(view, prompt_text(render), images, "")
        if self.is_guided(render):
            embeds |= self._encode_prompt(view, render.negative_prompt or " ", images, "negative_")
        return embeds

    def preview_latents(self, clean: Any, canvas: Canvas) -> Any:
        return unpack_qwen_latents(clean[0], canvas, self.pipe.vae)

    def _encode_prompt(self, view: Any, prompt: str, images: list[Any], prefix: str) -> dict[str, Any]:
        import torch

        embeds, mask = view.encode_prompt(prompt=[prompt], image=images, device=torch.device(self._device))
        # None means that every token counts. The pipeline would compute such a mask again, so it is given.
        mask = torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device) if mask is None else mask
        return {f"{prefix}prompt_embeds": embeds, f"{prefix}prompt_embeds_mask": mask}


def unpack_qwen_latents(tokens: Any, canvas: Canvas, vae: Any) -> Any:
    """Unpack the tokens of a picture, L x 4C, and undo the normalisation of the autoencoder: C x h x w."""
    grid = unpack_tokens(tokens, canvas)
    return restore_latent_scale(grid, vae)


def _choose_canvas(size: Size) -> Canvas:
    """A canvas for a picture of `size` whose padded size the pipeline does not rescale."""
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as qwen

    return plan_fixed_area_canvas(size, lambda ratio: qwen.calculate_dimensions(qwen.VAE_IMAGE_SIZE, ratio))


def _resize_for_text_encoder(view: Any, picture: Any) -> Any:
    """Resize a Pillow picture to the size at which the pipeline gives it to the text encoder."""
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as qwen

    width, height = qwen.calculate_dimensions(qwen.CONDITION_IMAGE_SIZE, picture.width / picture.height)
    return view.image_processor.resize(picture, height, width)


QWEN_IMAGE_FAMILY = CheckpointFamily(QwenModel, (QWEN_EDIT, *QWEN_EDIT_LIGHTER, FIRERED, *FIRERED_LIGHTER))
