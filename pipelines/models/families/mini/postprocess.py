"""From the 64 px that the denoiser draws to a figure at the requested size: seams, sharpener, opacity, background."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Image
from pipelines.models.nets.real_esrgan import load_compact_layers

if TYPE_CHECKING:
    import torch

SIDE_PX = 64  # side of the square that the denoiser draws
SHARP_SIDE_PX = 256  # side of the square that the sharpener makes of it
PATCH_PX = 8  # side of the patches that are the denoiser's tokens
MAX_SEAM_STEP = 0.35
"""Largest jump of a colour of -1 to 1 at a patch border that is taken for a seam and not for an edge."""
_EMPTY_ALPHA = 0.3  # opacity below which the colour of a pixel is inpainted from its neighbours


def load_sharpener(folder: Path, device: Any) -> torch.nn.Module:
    """Load the network that enlarges N x 4 x 64 x 64 to N x 4 x 256 x 256, both premultiplied, -1 to 1.

    It is SRVGGNetCompact (Real-ESRGAN, 2021) over a bilinear enlargement, as assets/models/mini/sharpen.py trains it.
    """
    from torch import nn
    from torch.nn.functional import interpolate, pixel_shuffle

    class Sharpener(nn.Module):
        """The residual that the layers predict is added to the bilinear enlargement."""

        def __init__(self) -> None:
            super().__init__()
            self.body = load_compact_layers(folder / "sharpener.safetensors")

        def forward(self, small: torch.Tensor) -> torch.Tensor:
            scale = SHARP_SIDE_PX // SIDE_PX
            enlarged = interpolate(small, scale_factor=scale, mode="bilinear", align_corners=False)
            return pixel_shuffle(self.body(small), scale) + enlarged

    return Sharpener().to(device).eval()


def remove_patch_seams(pixels: torch.Tensor) -> torch.Tensor:
    """Smooth the small steps between patches of `pixels`, N x C x 64 x 64, -1 to 1.

    The part of a jump at a border that the slope beside it does not explain is spread over the half patches on both
    sides. A jump of twice `MAX_SEAM_STEP` or more is an edge of the picture and stays.
    """
    for axis in (3, 2):
        rows = pixels.transpose(axis, 3).clone()
        before = rows.clone()
        for border in range(PATCH_PX, SIDE_PX, PATCH_PX):
            left2, left1, right1, right2 = (before[..., border + n] for n in (-2, -1, 0, 1))
            jump = (right1 - left1) - (left1 - left2 + right2 - right1) / 2
            jump = jump.sign() * jump.abs().minimum((2 * MAX_SEAM_STEP - jump.abs()).clamp(min=0))
            for n in range(PATCH_PX // 2):
                share = jump * (0.5 - n / PATCH_PX)
                rows[..., border - 1 - n] += share
                rows[..., border + n] -= share
        pixels = rows.transpose(axis, 3)
    return pixels


def unpremultiply(pixels: torch.Tensor) -> Image:
    """Convert premultiplied 4 x H x W, -1 to 1, to H x W x 4, straight; empty pixels get the nearest colour."""
    rows = pixels.permute(1, 2, 0).numpy()
    alpha = np.clip((rows[..., 3] + 1) / 2, 0, 1)
    # An alpha that is slightly above 0 everywhere would show as a veil on a strong background.
    alpha = np.clip((alpha - 0.04) / 0.92, 0, 1)
    colour = np.clip(rows[..., :3] / np.maximum(alpha, 0.08)[..., None], -1, 1)
    rgb = ((colour + 1) * 127.5 + 0.5).astype(np.uint8)
    empty = (alpha < _EMPTY_ALPHA).astype(np.uint8)
    outline = empty * cv2.dilate(1 - empty, np.ones((9, 9), np.uint8))
    rgb = np.where(empty[..., None] > 0, cv2.inpaint(rgb, outline, 3, cv2.INPAINT_TELEA), rgb)
    return np.dstack([rgb, (alpha * 255 + 0.5).astype(np.uint8)])


def resize_square(picture: Any, side: int) -> Any:
    """Resize a square picture of any number of channels to `side` pixels."""
    smaller = side < picture.shape[0]
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def steepen_alpha(alpha: Any, factor: float) -> Any:
    """Make the edge of an alpha, H x W, 0 to 255, that was enlarged by `factor` about as steep as it was before."""
    return np.clip((alpha.astype(np.float32) - 127.5) * factor**0.7 + 127.5, 0, 255).astype(np.uint8)


def composite_on_colour(figure: Image, background: npt.NDArray[np.float32]) -> Image:
    """Composite a figure, H x W x 4, over one colour of 0 to 255."""
    alpha = figure[..., 3:] / np.float32(255)
    return (figure[..., :3] * alpha + background * (1 - alpha) + 0.5).astype(np.uint8)


def draw_preview(clean: torch.Tensor, background: npt.NDArray[np.float32]) -> Image:
    """Draw the estimate of a step, 4 x 64 x 64, premultiplied, -1 to 1, at 256 px without the sharpener."""
    preview = composite_on_colour(unpremultiply(clean.clamp(-1, 1).cpu()), background)
    return np.asarray(cv2.resize(preview, (256, 256), interpolation=cv2.INTER_CUBIC), np.uint8)
