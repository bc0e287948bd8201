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

Picture = TypeVar("Picture", Image, Alpha)


@dataclass(frozen=True)
class Canvas:
    """`content` is the size the picture is drawn at, `sides` the size drawn, padding to the right and below included.

    Both are (width, height) in pixels. Where `content` is the picture's own size nothing is resampled on either way.
    """

    content: Size
    sides: Size

    def lay(self, picture: Picture) -> Picture:
        """H x W or H x W x 3, scaled to `content`, its border carried on over the padding."""
        # Whole pixels make the two shapes differ by a hair, and a cut of one drawn pixel is several of a large photo.
        inner = resized(picture, self.content) if self.shaped_like(picture) else cover(picture, self.content)
        right, below = self.sides[0] - self.content[0], self.sides[1] - self.content[1]
        if not right and not below:
            return inner
        pad = ((0, below), (0, right), *((0, 0),) * (inner.ndim - 2))
        return np.pad(inner, pad, mode="edge")  # pyright: ignore[reportReturnType]

    def shaped_like(self, picture: Picture) -> bool:
        """Whether the picture and the content have the same shape, but for the rounding to whole pixels."""
        height, width = picture.shape[:2]
        return abs(width * self.content[1] - height * self.content[0]) <= max(width, height)

    def lift(self, drawn: Image, size: Size) -> Image:
        """The content of what was drawn, at `size`."""
        return resized(drawn[: self.content[1], : self.content[0]], size)


def canvas(size: Size, *, most: int, least: int, multiple: int) -> Canvas:
    """How to draw a picture of `size`.

    The drawn area is at most most x most, and about least x least at least; between them the picture keeps its size.
    """
    scale = math.sqrt(size[0] * size[1])
    scale = min(max(1.0, least / scale), most / scale)
    while True:
        content = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
        sides = _whole(content[0], multiple), _whole(content[1], multiple)
        # A strip thinner than one multiple cannot be drawn smaller, however long it is.
        if sides[0] * sides[1] <= most * most or min(content) < multiple:
            return Canvas(content, sides)
        scale *= 0.995


def at_least(laid: Canvas, side: int, ratio: float) -> Canvas:
    """The same content with more padding, until no side is under `side` and none over `ratio` times the other."""
    longer = max(*laid.sides, side)
    shorter = max(side, _whole(math.ceil(longer / ratio), side))
    return Canvas(laid.content, (max(laid.sides[0], shorter), max(laid.sides[1], shorter)))


def cover(picture: Picture, size: Size) -> Picture:
    """`picture` (H x W or H x W x 3) scaled to cover `size` and cut to it around its centre; untouched if it fits."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    scale = max(size[0] / width, size[1] / height)
    grown = resized(picture, (max(size[0], round(width * scale)), max(size[1], round(height * scale))))
    top, left = (grown.shape[0] - size[1]) // 2, (grown.shape[1] - size[0]) // 2
    return grown[top : top + size[1], left : left + size[0]]


def resized(picture: Picture, size: Size) -> Picture:
    """`picture` at exactly `size`, smoothly; untouched if it has that size."""
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    smaller = size[0] * size[1] < picture.shape[0] * picture.shape[1]
    kind = cv2.INTER_AREA if smaller else cv2.INTER_LANCZOS4
    grown = cv2.resize(picture, size, None, 0, 0, kind)
    return np.clip(grown, 0, 1) if picture.dtype == np.float32 else grown  # pyright: ignore[reportReturnType]


def _whole(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple
