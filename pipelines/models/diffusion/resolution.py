"""Drawing resolution: scales and pads a picture to a size that a model draws, and cuts the result out again.

Models draw sides that are whole multiples of 8, 16 or 32, and pipelines crop pictures with other sides. Padding keeps
every pixel and its position, so that the result aligns with the input.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Image, Size

ImageOrAlpha = TypeVar("ImageOrAlpha", Image, Alpha)


@dataclass(frozen=True)
class Canvas:
    """The size at which a picture is drawn (`content_size`), and that size with padding at the right and bottom.

    Both are (width, height) in pixels. Where `content_size` is the picture's own size, nothing is resampled.
    """

    content_size: Size
    padded_size: Size

    def pad_onto(self, picture: ImageOrAlpha) -> ImageOrAlpha:
        """Scale a picture (H x W or H x W x 3) to `content_size` and repeat its border over the padding."""
        # Rounding to whole pixels changes the shape slightly, and one cropped pixel here is several of a large photo.
        inner = (
            resize_exactly(picture, self.content_size)
            if self.has_shape_of(picture)
            else resize_to_cover(picture, self.content_size)
        )
        right, below = self.padded_size[0] - self.content_size[0], self.padded_size[1] - self.content_size[1]
        if not right and not below:
            return inner
        pad = ((0, below), (0, right), *((0, 0),) * (inner.ndim - 2))
        return np.pad(inner, pad, mode="edge")  # pyrefly: ignore[bad-return]

    def has_shape_of(self, picture: ImageOrAlpha) -> bool:
        """Tell whether picture and content have the same aspect ratio, up to rounding to whole pixels."""
        height, width = picture.shape[:2]
        return abs(width * self.content_size[1] - height * self.content_size[0]) <= max(width, height)

    def cut_out_content(self, drawn: Image, size: Size) -> Image:
        """Cut the content out of the drawn picture and scale it to `size`."""
        return resize_exactly(drawn[: self.content_size[1], : self.content_size[0]], size)


def plan_canvas(size: Size, *, max_side: int, min_side: int, multiple: int) -> Canvas:
    """Choose a size between about `min_side` and `max_side` squared at which a picture is drawn, its own if it fits."""
    scale = math.sqrt(size[0] * size[1])
    scale = min(max(1.0, min_side / scale), max_side / scale)
    while True:
        content = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
        sides = _round_up(content[0], multiple), _round_up(content[1], multiple)
        # A strip thinner than one multiple cannot be drawn smaller, however long it is.
        if sides[0] * sides[1] <= max_side * max_side or min(content) < multiple:
            return Canvas(content, sides)
        scale *= 0.995


def plan_fixed_area_canvas(size: Size, sides_of: Callable[[float], Size]) -> Canvas:
    """Choose a canvas for a picture of `size` whose padded size a pipeline leaves as it is.

    `sides_of` is what such a pipeline computes from an aspect ratio (width over height): always the same area.
    """
    padded, previous = sides_of(size[0] / size[1]), None
    while padded != previous:
        previous, padded = padded, sides_of(padded[0] / padded[1])
    scale = min(padded[0] / size[0], padded[1] / size[1])
    content = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    return Canvas((min(content[0], padded[0]), min(content[1], padded[1])), padded)


def with_min_padded_side(canvas: Canvas, side: int, ratio: float) -> Canvas:
    """Add padding until no side is below `side` and none is longer than `ratio` times the other."""
    longer = max(*canvas.padded_size, side)
    shorter = max(side, _round_up(math.ceil(longer / ratio), side))
    return Canvas(canvas.content_size, (max(canvas.padded_size[0], shorter), max(canvas.padded_size[1], shorter)))


def resize_to_cover(picture: ImageOrAlpha, size: Size) -> ImageOrAlpha:
    """Scale `picture` (H x W or H x W x 3) to cover `size` and crop it around its centre; unchanged if it fits."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    scale = max(size[0] / width, size[1] / height)
    scaled = resize_exactly(picture, (max(size[0], round(width * scale)), max(size[1], round(height * scale))))
    top, left = (scaled.shape[0] - size[1]) // 2, (scaled.shape[1] - size[0]) // 2
    return scaled[top : top + size[1], left : left + size[0]]


def resize_exactly(picture: ImageOrAlpha, size: Size) -> ImageOrAlpha:
    """Resample `picture` to exactly `size`, by area when it shrinks, else by Lanczos; unchanged if it has that size."""
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    smaller = size[0] * size[1] < picture.shape[0] * picture.shape[1]
    kind = cv2.INTER_AREA if smaller else cv2.INTER_LANCZOS4
    scaled = cv2.resize(picture, size, None, 0, 0, kind)
    return np.clip(scaled, 0, 1) if picture.dtype == np.float32 else scaled  # pyrefly: ignore[bad-return]


def _round_up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple
