"""Qwen-Image-Edit: its rows, and what its pipeline wants; knows no drawing.

Its pipeline scales every picture to one megapixel of whole multiples of 32, its shape bent to fit, so pictures are laid
on a canvas of exactly that size first: then it has nothing left to bend.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from typing import Any

from pipelines.core.geometry import Image, Size
from pipelines.core.models import ModelSpec
from pipelines.core.params import Verb
from pipelines.core.rendering import RenderRequest
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.diffusion.pipeline import DiffusionModel, PromptEmbeds, prompt_text, size_arguments, to_pillow
from pipelines.models.diffusion.resolution import Canvas
from pipelines.models.pinned_revisions import PINS

GB = 10**9

VERBS: tuple[Verb, ...] = ("edit",)
_TEXT_ENCODER_PARAMETER_COUNT = 8_292_166_656  # parameters of Qwen2.5-VL 7B, eye included
# What the makers of the Lightning LoRA say to sample with: a fixed shift of 3.
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
        ("text_encoder", "streamed"),
    ),
    dtype="auto",
    bytes=2 * (20_430_401_088 + 126_892_531),
    min_vram=48 * GB,
    host_bytes=2 * _TEXT_ENCODER_PARAMETER_COUNT,
)


class QwenModel(DiffusionModel):
    """Qwen-Image-Edit Plus: `images[0]` is edited, the other pictures are references."""

    size_multiple = 32
    draws_exclusively = True  # its autoencoder, made for video, remembers the frame before

    def pipeline_class(self, verb: Verb) -> str:
        """As `Painter.class_of`."""
        return "QwenImageEditPlusPipeline"

    def canvas_for(self, render: RenderRequest) -> Canvas:
        """As `Painter.laid`: one of the sizes that the pipeline gives to a picture of this shape."""
        return _choose_canvas(render.size)

    def pipeline_inputs(self, render: RenderRequest, laid: Canvas) -> dict[str, Any]:
        """As `Painter.inputs`."""
        return {**size_arguments(laid), "image": _input_images(render, laid)}

    def guidance_arguments(self, render: RenderRequest) -> dict[str, Any]:
        """As `Painter.guided`."""
        return {"true_cfg_scale": self.guidance_scale(render)}

    def prompt_key(self, render: RenderRequest) -> Hashable:
        """As `Painter.reading`: the text encoder sees the pictures too."""
        seen = tuple(hashlib.sha256(image.tobytes()).digest() for image in render.images)
        return super().prompt_key(render), render.size, seen

    def encode_prompt(self, view: Any, render: RenderRequest, laid: Canvas) -> PromptEmbeds:
        """As `Painter.read`."""
        shown = [_resize_for_text_encoder(view, picture) for picture in _input_images(render, laid)]
        embeds = self._encode_prompt(view, prompt_text(render), shown, "")
        if self.is_guided(render):
            embeds |= self._encode_prompt(view, render.negative_prompt or " ", shown, "negative_")
        return embeds

    def preview_latents(self, clean: Any, laid: Canvas) -> Any:
        """As `Painter.latents`: L x 4C tokens in the autoencoder's measure become C x h x w."""
        import torch

        height, width = laid.padded_size[1] // 16, laid.padded_size[0] // 16
        patches = clean[0].reshape(height, width, -1, 2, 2)
        grid = patches.permute(2, 0, 3, 1, 4).reshape(-1, 2 * height, 2 * width)
        config = self.pipe.vae.config
        mean, deviation = (
            torch.tensor(row).to(grid)[:, None, None] for row in (config.latents_mean, config.latents_std)
        )
        return grid * deviation + mean

    def _encode_prompt(self, view: Any, prompt: str, shown: list[Any], prefix: str) -> dict[str, Any]:
        import torch

        embeds, mask = view.encode_prompt(prompt=[prompt], image=shown, device=torch.device(self._device))
        # No mask means that every token counts; said outright, the pipeline does not ask for it.
        mask = torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device) if mask is None else mask
        return {f"{prefix}prompt_embeds": embeds, f"{prefix}prompt_embeds_mask": mask}


def _input_images(render: RenderRequest, laid: Canvas) -> list[Any]:
    first, *others = render.images
    photo = laid.pad_onto(first) if laid.has_shape_of(first) else _fit_image(first)
    return [to_pillow(photo), *(to_pillow(_fit_image(other)) for other in others)]


def _fit_image(picture: Image) -> Image:
    return _choose_canvas((picture.shape[1], picture.shape[0])).pad_onto(picture)


def _choose_canvas(size: Size) -> Canvas:
    """Sides that the pipeline gives to a picture that has them, so that it changes nothing; the content inside them."""
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as own

    sides_, before = own.calculate_dimensions(own.VAE_IMAGE_SIZE, size[0] / size[1]), None
    while sides_ != before:
        before, sides_ = sides_, own.calculate_dimensions(own.VAE_IMAGE_SIZE, sides_[0] / sides_[1])
    scale = min(sides_[0] / size[0], sides_[1] / size[1])
    content = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    return Canvas((min(content[0], sides_[0]), min(content[1], sides_[1])), sides_)


def _resize_for_text_encoder(view: Any, picture: Any) -> Any:
    """The picture as the text encoder sees it, at the size that the pipeline shows it at."""
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as own

    width, height = own.calculate_dimensions(own.CONDITION_IMAGE_SIZE, picture.width / picture.height)
    return view.image_processor.resize(picture, height, width)


class QwenImageFamily(CheckpointFamily):
    """The family."""

    def __init__(self, specs: tuple[ModelSpec, ...]) -> None:
        super().__init__(specs, QwenModel, ("QwenImageEditPlusPipeline",))


QWEN_IMAGE_FAMILY = QwenImageFamily((QWEN_EDIT,))
