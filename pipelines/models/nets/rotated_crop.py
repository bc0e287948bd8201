"""Rotated crops: cuts rotated squares out of a photo for the small nets, and maps points back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Image

Points: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RotatedSquare:
    """A rotated square of the photo: centre and side in pixels, angle in radians, clockwise."""

    x: float
    y: float
    side: float
    angle: float


def crop_to_photo_matrix(region: RotatedSquare, side: int) -> npt.NDArray[np.float64]:
    """Return the 2 x 3 matrix from pixels of a `side` x `side` crop to pixels of the photo."""
    scale = region.side / side
    cos, sin = np.cos(region.angle) * scale, np.sin(region.angle) * scale
    half = side / 2
    return np.array(((cos, -sin, region.x - cos * half + sin * half), (sin, cos, region.y - sin * half - cos * half)))


def extract_crop(image: Image, region: RotatedSquare, side: int) -> Image:
    """Cut out the region as `side` x `side` pixels, black outside the photo; shrunk by area first against aliasing."""
    shrink = int(region.side / side)
    if shrink >= 2:
        image, region = _shrink_around_region(image, region, shrink)
    matrix = crop_to_photo_matrix(region, side)
    return np.asarray(
        cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), np.uint8
    )


def _shrink_around_region(image: Image, region: RotatedSquare, factor: int) -> tuple[Image, RotatedSquare]:
    """Shrink the part of the photo around the region by `factor`; return it and the region in it."""
    height, width = image.shape[:2]
    reach = region.side * 0.75
    # At least one pixel of the photo, also where the region lies outside it.
    left, top = int(np.clip(region.x - reach, 0, width - 1)), int(np.clip(region.y - reach, 0, height - 1))
    right, bottom = max(int(min(region.x + reach, width)), left + 1), max(int(min(region.y + reach, height)), top + 1)
    part = image[top:bottom, left:right]
    size = (max(part.shape[1] // factor, 1), max(part.shape[0] // factor, 1))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    x, y = (region.x - left) * size[0] / part.shape[1], (region.y - top) * size[1] / part.shape[0]
    return np.asarray(small, np.uint8), RotatedSquare(x, y, region.side / factor, region.angle)
