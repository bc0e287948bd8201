"""Where a picture lies on what a model draws: scaled and padded, never cropped, and taken off again; knows no model.

Models draw sides that are whole multiples of 8, 16 or 32, and pipelines crop what has other sides. Padding keeps every
pixel and its place, so that what comes back lies on what went in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Image, Size

ImageOrAlpha = TypeVar("Picture", Image, Alpha)


@dataclass(frozen=True)
class Canvas:
    """`content` is the size the picture is drawn at, `sides` the size drawn, padding to the right and below included.

    Both are (width, height) in pixels. Where `content` is the picture's own size nothing is resampled on either way.
    """

    content_size: Size
    padded_size: Size

    def pad_onto(self, picture: ImageOrAlpha) -> ImageOrAlpha:
        """H x W or H x W x 3, scaled to `content`, its border carried on over the padding."""
        # Whole pixels make the two shapes differ by a hair, and a cut of one drawn pixel is several of a large photo.
        inner = (
            resize_exactly(picture, self.content_size)
            if self.has_shape_of(picture)
            else resize_to_cover(picture, self.content_size)
        )
        right, below = self.padded_size[0] - self.content_size[0], self.padded_size[1] - self.content_size[1]
        if not right and not below:
            return inner
        pad = ((0, below), (0, right), *((0, 0),) * (inner.ndim - 2))
        return np.pad(inner, pad, mode="edge")  # pyright: ignore[reportReturnType]

    def has_shape_of(self, picture: ImageOrAlpha) -> bool:
        """Whether the picture and the content have the same shape, but for the rounding to whole pixels."""
        height, width = picture.shape[:2]
        return abs(width * self.content_size[1] - height * self.content_size[0]) <= max(width, height)

    def cut_out_content(self, drawn: Image, size: Size) -> Image:
        """The content of what was drawn, at `size`."""
        return resize_exactly(drawn[: self.content_size[1], : self.content_size[0]], size)


def plan_canvas(size: Size, *, max_side: int, min_side: int, multiple: int) -> Canvas:
    """How to draw a picture of `size`.

    The drawn area is at most most x most, and about least x least at least; between them the picture keeps its size.
    """
    scale = math.sqrt(size[0] * size[1])
    scale = min(max(1.0, min_side / scale), max_side / scale)
    while True:
        content = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
        sides = _round_up(content[0], multiple), _round_up(content[1], multiple)
        # A strip thinner than one multiple cannot be drawn smaller, however long it is.
        if sides[0] * sides[1] <= max_side * max_side or min(content) < multiple:
            return Canvas(content, sides)
        scale *= 0.995


def with_min_padded_side(laid: Canvas, side: int, ratio: float) -> Canvas:
    """The same content with more padding, until no side is under `side` and none over `ratio` times the other."""
    longer = max(*laid.padded_size, side)
    shorter = max(side, _round_up(math.ceil(longer / ratio), side))
    return Canvas(laid.content_size, (max(laid.padded_size[0], shorter), max(laid.padded_size[1], shorter)))


def resize_to_cover(picture: ImageOrAlpha, size: Size) -> ImageOrAlpha:
    """`picture` (H x W or H x W x 3) scaled to cover `size` and cut to it around its centre; untouched if it fits."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    scale = max(size[0] / width, size[1] / height)
    grown = resize_exactly(picture, (max(size[0], round(width * scale)), max(size[1], round(height * scale))))
    top, left = (grown.shape[0] - size[1]) // 2, (grown.shape[1] - size[0]) // 2
    return grown[top : top + size[1], left : left + size[0]]


def resize_exactly(picture: ImageOrAlpha, size: Size) -> ImageOrAlpha:
    """`picture` at exactly `size`, smoothly; untouched if it has that size."""
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    smaller = size[0] * size[1] < picture.shape[0] * picture.shape[1]
    kind = cv2.INTER_AREA if smaller else cv2.INTER_LANCZOS4
    grown = cv2.resize(picture, size, None, 0, 0, kind)
    return np.clip(grown, 0, 1) if picture.dtype == np.float32 else grown  # pyright: ignore[reportReturnType]


def _round_up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple
