"""My backdrop: the user's picture as a scene. It is cropped and put out of focus, never mirrored: it may hold words."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Image, Size
from pipelines.core.rendering import Backdrop
from pipelines.models.families.scenes.lens_blur import blur_with_disc
from pipelines.models.families.scenes.tone_mapping import LinearLight, decode_srgb

DEFAULT_BLUR_RATIO = {"person": 0.025, "product": 0.0, "any": 0.0}
SOFT_ENLARGEMENT_RATIO = 1.8  # enlarged by more than this a picture looks soft, and a notice says so
# Where the next variations are cropped (share of what is left over) and how much closer.
CROP_VARIATIONS = ((0.5, 1.0), (0.2, 1.12), (0.8, 1.12), (0.5, 1.3))


def render_user_backdrop(picture: Image, asked: Backdrop, size: Size, variant: int) -> LinearLight:
    """`picture` (H x W x 3, any size) filling `size` (width, height), linear light, blurred as asked."""
    at, closer = CROP_VARIATIONS[variant % len(CROP_VARIATIONS)]
    light = blur_with_disc(
        _fill_frame(picture, size, at, closer), (asked.blur_ratio or DEFAULT_BLUR_RATIO[asked.subject]) * size[1]
    )
    return light


def enlargement_ratio(picture: Image, size: Size) -> float:
    """How much the picture is enlarged to fill `size`."""
    return max(size[0] / picture.shape[1], size[1] / picture.shape[0])


def _fill_frame(picture: Image, size: Size, at: float, closer: float) -> LinearLight:
    width, height = size
    scale = enlargement_ratio(picture, size) * closer
    wide, tall = min(picture.shape[1], width / scale), min(picture.shape[0], height / scale)
    left, top = (picture.shape[1] - wide) * at, (picture.shape[0] - tall) * 0.5
    # Half-pixel exact: the corners of the cut, not of its whole pixels, meet the corners of the frame.
    move = np.array([[1 / scale, 0, left + 0.5 / scale - 0.5], [0, 1 / scale, top + 0.5 / scale - 0.5]])
    light = decode_srgb(picture)
    if scale < 0.75:
        smaller = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        factors = np.array([smaller[0] / picture.shape[1], smaller[1] / picture.shape[0]])
        light = np.asarray(cv2.resize(light, smaller, interpolation=cv2.INTER_AREA), np.float32)
        origin = np.array([left, top]) * factors
        move = np.array([[factors[0] / scale, 0, origin[0]], [0, factors[1] / scale, origin[1]]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    drawn = cv2.warpAffine(light, move, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(drawn, 0, 1), np.float32)
