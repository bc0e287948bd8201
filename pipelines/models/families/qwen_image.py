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
from pipelines.core.rendering import Render
from pipelines.models.diffusion.loader import Checkpoints
from pipelines.models.diffusion.pipeline import Embeds, Painter, pillow, sides, words
from pipelines.models.diffusion.resolution import Canvas
from pipelines.models.pinned_revisions import PINS

GB = 10**9

VERBS: tuple[Verb, ...] = ("edit",)
_TEXT = 8_292_166_656  # parameters of Qwen2.5-VL 7B, eye included
# What the makers of the Lightning LoRA say to sample with: a fixed shift of 3.
_SHIFT = '{"base_shift": 1.0986122886681098, "max_shift": 1.0986122886681098, "shift": 1.0, "shift_terminal": null}'

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
        ("scheduler_config", _SHIFT),
        ("text_encoder", "streamed"),
    ),
    dtype="auto",
    bytes=2 * (20_430_401_088 + 126_892_531),
    min_vram=48 * GB,
    beside=2 * _TEXT,
)


class QwenPainter(Painter):
    """Qwen-Image-Edit Plus: `images[0]` is edited, the other pictures are references."""

    multiple = 32
    alone = True  # its autoencoder, made for video, remembers the frame before

    def class_of(self, verb: Verb) -> str:
        """As `Painter.class_of`."""
        return "QwenImageEditPlusPipeline"

    def laid(self, render: Render) -> Canvas:
        """As `Painter.laid`: one of the sizes that the pipeline gives to a picture of this shape."""
        return _canvas(render.size)

    def inputs(self, render: Render, laid: Canvas) -> dict[str, Any]:
        """As `Painter.inputs`."""
        return {**sides(laid), "image": _pictures(render, laid)}

    def guided(self, render: Render) -> dict[str, Any]:
        """As `Painter.guided`."""
        return {"true_cfg_scale": self.guidance(render)}

    def reading(self, render: Render) -> Hashable:
        """As `Painter.reading`: the text encoder sees the pictures too."""
        seen = tuple(hashlib.sha256(image.tobytes()).digest() for image in render.images)
        return super().reading(render), render.size, seen

    def read(self, view: Any, render: Render, laid: Canvas) -> Embeds:
        """As `Painter.read`."""
        shown = [_shown(view, picture) for picture in _pictures(render, laid)]
        embeds = self._read(view, words(render), shown, "")
        if self.is_guided(render):
            embeds |= self._read(view, render.negative_prompt or " ", shown, "negative_")
        return embeds

    def latents(self, clean: Any, laid: Canvas) -> Any:
        """As `Painter.latents`: L x 4C tokens in the autoencoder's measure become C x h x w."""
        import torch

        height, width = laid.sides[1] // 16, laid.sides[0] // 16
        patches = clean[0].reshape(height, width, -1, 2, 2)
        grid = patches.permute(2, 0, 3, 1, 4).reshape(-1, 2 * height, 2 * width)
        config = self.pipe.vae.config
        mean, deviation = (
            torch.tensor(row).to(grid)[:, None, None] for row in (config.latents_mean, config.latents_std)
        )
        return grid * deviation + mean

    def _read(self, view: Any, prompt: str, shown: list[Any], prefix: str) -> dict[str, Any]:
        import torch

        embeds, mask = view.encode_prompt(prompt=[prompt], image=shown, device=torch.device(self._device))
        # No mask means that every token counts; said outright, the pipeline does not ask for it.
        mask = torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device) if mask is None else mask
        return {f"{prefix}prompt_embeds": embeds, f"{prefix}prompt_embeds_mask": mask}


def _pictures(render: Render, laid: Canvas) -> list[Any]:
    first, *others = render.images
    photo = laid.lay(first) if laid.shaped_like(first) else _fitted(first)
    return [pillow(photo), *(pillow(_fitted(other)) for other in others)]


def _fitted(picture: Image) -> Image:
    return _canvas((picture.shape[1], picture.shape[0])).lay(picture)


def _canvas(size: Size) -> Canvas:
    """Sides that the pipeline gives to a picture that has them, so that it changes nothing; the content inside them."""
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as own

    sides_, before = own.calculate_dimensions(own.VAE_IMAGE_SIZE, size[0] / size[1]), None
    while sides_ != before:
        before, sides_ = sides_, own.calculate_dimensions(own.VAE_IMAGE_SIZE, sides_[0] / sides_[1])
    scale = min(sides_[0] / size[0], sides_[1] / size[1])
    content = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    return Canvas((min(content[0], sides_[0]), min(content[1], sides_[1])), sides_)


def _shown(view: Any, picture: Any) -> Any:
    """The picture as the text encoder sees it, at the size that the pipeline shows it at."""
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as own

    width, height = own.calculate_dimensions(own.CONDITION_IMAGE_SIZE, picture.width / picture.height)
    return view.image_processor.resize(picture, height, width)


class QwenImage(Checkpoints):
    """The family."""

    def __init__(self, specs: tuple[ModelSpec, ...]) -> None:
        super().__init__(specs, QwenPainter, ("QwenImageEditPlusPipeline",))


QWEN_IMAGE = QwenImage((QWEN_EDIT,))
