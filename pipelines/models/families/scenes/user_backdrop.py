"""The user's own picture as a scene: cropped and blurred, but never mirrored, since it may contain text."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Image, Size
from pipelines.core.rendering import Backdrop
from pipelines.imaging.color import to_linear
from pipelines.models.families.scenes.lens_blur import blur_with_disc
from pipelines.models.families.scenes.tone_mapping import LinearLight

DEFAULT_BLUR_RATIO = {"person": 0.025, "product": 0.0, "any": 0.0}
SOFT_ENLARGEMENT_RATIO = 1.8  # enlargement above which a picture looks soft, which a notice says
# The crop of each variation: its position in the surplus, 0 to 1, and its zoom.
CROP_VARIATIONS = ((0.5, 1.0), (0.2, 1.12), (0.8, 1.12), (0.5, 1.3))


def render_user_backdrop(picture: Image, request: Backdrop, size: Size, variant: int) -> LinearLight:
    """Render `picture` (H x W x 3, any size) filling `size` (width, height), in linear light and blurred."""
    position, zoom = CROP_VARIATIONS[variant % len(CROP_VARIATIONS)]
    diameter = (request.blur_ratio or DEFAULT_BLUR_RATIO[request.subject]) * size[1]
    return blur_with_disc(_fill_frame(picture, size, position, zoom), diameter)


def enlargement_ratio(picture: Image, size: Size) -> float:
    """Factor by which the picture is enlarged to fill `size`."""
    return max(size[0] / picture.shape[1], size[1] / picture.shape[0])


def _fill_frame(picture: Image, size: Size, position: float, zoom: float) -> LinearLight:
    width, height = size
    scale = enlargement_ratio(picture, size) * zoom
    wide, tall = min(picture.shape[1], width / scale), min(picture.shape[0], height / scale)
    left, top = (picture.shape[1] - wide) * position, (picture.shape[0] - tall) * 0.5
    # The corners of the crop, not the centres of its corner pixels, are mapped to the corners of the frame.
    move = np.array([[1 / scale, 0, left + 0.5 / scale - 0.5], [0, 1 / scale, top + 0.5 / scale - 0.5]])
    light = to_linear(picture)
    if scale < 0.75:
        smaller = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        factors = np.array([smaller[0] / picture.shape[1], smaller[1] / picture.shape[0]])
        light = np.asarray(cv2.resize(light, smaller, interpolation=cv2.INTER_AREA), np.float32)
        origin = np.array([left, top]) * factors
        move = np.array([[factors[0] / scale, 0, origin[0]], [0, factors[1] / scale, origin[1]]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    drawn = cv2.warpAffine(light, move, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(drawn, 0, 1), np.float32)
