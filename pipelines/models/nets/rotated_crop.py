"""Turned squares of a photo as the small nets see them, and the way back; knows no net."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Image

Points: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Region:
    """A turned square of the photo: centre and side in pixels, turn in radians, clockwise."""

    x: float
    y: float
    side: float
    turn: float


def to_photo(region: Region, side: int) -> npt.NDArray[np.float64]:
    """2 x 3: pixels of a `side` x `side` crop to pixels of the photo."""
    scale = region.side / side
    cos, sin = np.cos(region.turn) * scale, np.sin(region.turn) * scale
    half = side / 2
    return np.array(
        (
            (cos, -sin, region.x - cos * half + sin * half),
            (sin, cos, region.y - sin * half - cos * half),
        )
    )


def crop_of(image: Image, region: Region, side: int) -> Image:
    """The region as `side` x `side` pixels; black outside the photo. Shrunk by areas first, so that nothing aliases."""
    shrink = int(region.side / side)
    if shrink >= 2:
        image, region = _shrunk(image, region, shrink)
    matrix = to_photo(region, side)
    return np.asarray(
        cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), np.uint8
    )


def _shrunk(image: Image, region: Region, by: int) -> tuple[Image, Region]:
    """Only the part of the photo around the region, `by` times smaller, and the region in it."""
    height, width = image.shape[:2]
    reach = region.side * 0.75
    left, right = int(max(region.x - reach, 0)), int(min(region.x + reach, width))
    top, bottom = int(max(region.y - reach, 0)), int(min(region.y + reach, height))
    part = image[top:bottom, left:right]
    size = (max(part.shape[1] // by, 1), max(part.shape[0] // by, 1))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    x, y = (region.x - left) * size[0] / part.shape[1], (region.y - top) * size[1] / part.shape[0]
    return np.asarray(small, np.uint8), Region(x, y, region.side / by, region.turn)
