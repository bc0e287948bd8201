"""A small copy of a matte as a line of text, for a receipt, and whether two of them show nearly the same."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.geometry import Alpha, Area, Mask
from pipelines.imaging.resize import resize_map, size_within

APART_RATIO = 0.06  # of the copy's longer side: so far from every mark a change is somewhere else
MIN_APART_RATIO = 0.001  # of the copy's pixels: a change there that one would mind
PACKED_SIDE_PX = 256  # longer side of the copy
LEVEL_COUNT = 8  # steps from 0 to 1: what is half transparent differs from what is gone
CHANGED_LEVEL_COUNT = 3  # steps from which a pixel is another; a mark moves the others a little
CHANGED_WIDTH_PX = 3  # of the copy; what is narrower is the edge, which every mark moves a little
UNCHANGED_PIXEL_COUNT = 10  # so few of them are not seen
DIFFERING_PIXEL_COUNT = 3  # of the nine around a point, from which what lies under it is another


def pack_matte(alpha: Alpha) -> str:
    """Return `alpha` (H x W, 0 to 1) in a few levels: width, height and base64 of its compressed bytes."""
    width, height = size_within(alpha.shape, PACKED_SIDE_PX)
    levels = np.rint(np.clip(resize_map(alpha, (width, height)), 0, 1) * LEVEL_COUNT).astype(np.uint8)
    return f"{width} {height} {base64.b64encode(zlib.compress(levels.tobytes())).decode()}"


def is_same_matte(one: str, other: str) -> bool:
    """Whether two packed mattes differ by no more than an edge; two sizes, or one that is "", are not alike."""
    if not one or not other or one.split()[:2] != other.split()[:2]:
        return False
    changed = _find_changes(one, other).astype(np.uint8)
    wide = cv2.erode(changed, np.ones((CHANGED_WIDTH_PX, CHANGED_WIDTH_PX), np.uint8))
    return int(wide.sum()) < UNCHANGED_PIXEL_COUNT


def differs_at(one: str, other: str, points: Iterable[Sequence[float]]) -> bool:
    """Whether two packed mattes of one size differ under any of the points (x, y), in ratios of their picture."""
    changed = _find_changes(one, other).astype(np.float32)
    near = cv2.boxFilter(changed, -1, (3, 3), normalize=False)  # of nine pixels: a point is no needle
    return any(near[pixel] > DIFFERING_PIXEL_COUNT - 0.5 for pixel in _list_pixels(changed.shape, points))


def holds_at(packed: str, points: Iterable[Sequence[float]], *, is_kept: bool) -> bool:
    """Whether all points (x, y), in ratios, lie where the packed matte keeps all, or drops all where not `is_kept`."""
    levels, wanted = _unpack_levels(packed), LEVEL_COUNT if is_kept else 0
    return all(levels[pixel] == wanted for pixel in _list_pixels(levels.shape, points))


def find_changes_apart(one: str, other: str, points: Iterable[Sequence[float]]) -> list[Area]:
    """Find the boxes of what differs between two packed mattes apart from all points (x, y), the largest first.

    All in ratios of the picture. Two sizes, or one that is "", have none.
    """
    if not one or not other or one.split()[:2] != other.split()[:2]:
        return []
    square = np.ones((CHANGED_WIDTH_PX, CHANGED_WIDTH_PX), np.uint8)
    changed = cv2.morphologyEx(_find_changes(one, other).astype(np.uint8), cv2.MORPH_OPEN, square)
    height, width = changed.shape
    radius = round(APART_RATIO * max(changed.shape))
    near = np.zeros(changed.shape, np.uint8)
    for row, column in _list_pixels(changed.shape, points):
        cv2.circle(near, (column, row), radius, 1, -1)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(changed)
    areas = {
        number: int(stats[number, cv2.CC_STAT_AREA])
        for number in range(1, count)
        if stats[number, cv2.CC_STAT_AREA] > MIN_APART_RATIO * changed.size and not near[labels == number].any()
    }
    boxes = (stats[number] for number in sorted(areas, key=lambda each: -areas[each]))
    return [
        (float(x / width), float(y / height), float((x + w) / width), float((y + h) / height))
        for x, y, w, h, _ in boxes
    ]


def _list_pixels(shape: tuple[int, ...], points: Iterable[Sequence[float]]) -> list[tuple[int, int]]:
    height, width = shape[:2]
    return [(min(int(y * height), height - 1), min(int(x * width), width - 1)) for x, y in points]


def _find_changes(one: str, other: str) -> Mask:
    levels = (_unpack_levels(each).astype(np.int16) for each in (one, other))
    return np.abs(next(levels) - next(levels)) >= CHANGED_LEVEL_COUNT


def _unpack_levels(packed: str) -> NDArray[np.uint8]:
    width, height, text = packed.split()
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(int(height), int(width))
