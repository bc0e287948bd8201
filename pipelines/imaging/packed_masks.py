"""A small copy of a mask as a line of text, for a receipt, and whether two of them show nearly the same."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Mask
from pipelines.imaging.resize import resize_map, size_within

PACKED_SIDE_PX = 256  # longer side of the copy
CHANGED_WIDTH_PX = 3  # of the copy; what is narrower is the edge, which every mark moves a little
UNCHANGED_PIXEL_COUNT = 10  # so few of them are not seen
DIFFERING_PIXEL_COUNT = 3  # of the nine around a point, from which what lies under it is another


def pack_mask(alpha: Alpha) -> str:
    """Return where `alpha` (H x W, 0 to 1) is over 0.5: width, height and base64 of its compressed bits."""
    width, height = size_within(alpha.shape, PACKED_SIDE_PX)
    bits = np.packbits(resize_map(alpha, (width, height)) > 0.5)
    return f"{width} {height} {base64.b64encode(zlib.compress(bits.tobytes())).decode()}"


def is_same_mask(one: str, other: str) -> bool:
    """Whether two packed masks differ by no more than an edge; of two sizes, or where one is "", they are not alike."""
    if not one or not other or one.split()[:2] != other.split()[:2]:
        return False
    changed = (_unpack_mask(one) ^ _unpack_mask(other)).astype(np.uint8)
    wide = cv2.erode(changed, np.ones((CHANGED_WIDTH_PX, CHANGED_WIDTH_PX), np.uint8))
    return int(wide.sum()) < UNCHANGED_PIXEL_COUNT


def differs_at(one: str, other: str, points: Iterable[Sequence[float]]) -> bool:
    """Whether two packed masks of one size differ under any of the points (x, y), in ratios of their picture."""
    changed = (_unpack_mask(one) ^ _unpack_mask(other)).astype(np.float32)
    height, width = changed.shape
    near = cv2.boxFilter(changed, -1, (3, 3), normalize=False)  # of nine pixels: a point is no needle
    pixels = ((min(int(y * height), height - 1), min(int(x * width), width - 1)) for x, y in points)
    return any(near[pixel] > DIFFERING_PIXEL_COUNT - 0.5 for pixel in pixels)


def _unpack_mask(packed: str) -> Mask:
    width, height, text = packed.split()
    bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    return np.unpackbits(bits, count=int(width) * int(height)).reshape(int(height), int(width)) > 0
