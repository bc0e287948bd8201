"""Fill a hole with what a net draws: square by square at the net's size, fitted to the rim, grain put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Image, Mask
from pipelines.imaging.inpaint import add_texture, fit_to_rim
from pipelines.imaging.resize import dilate_mask

MAX_WINDOWS = 8  # holes that are filled one by one; more are filled in one square
_CONTEXT_RATIO = 2.0  # side of the square, over the longer side of the hole's box
_JOIN_RATIO = 0.02  # of the longer side of the picture; holes that are closer are filled together
_SHARP_SCALE = 1.2  # pixels of the picture to one of the net, from which what it draws is too soft
_LOST_SIGMA = 0.6  # pixels of the net: blur sigma below which it drew nothing

FillSquare = Callable[[Image, Mask], Image]
"""Fills the hole of a square of the net's side; called once for each window."""


def inpaint_by_net(image: Image, mask: Alpha, fill_hole: FillSquare, side_px: int, seed: int) -> Iterator[Image]:
    """Fill `image` where `mask` > 0.5, the largest hole first; yields the picture so far after each. Other bytes stay.

    `side_px` is the side of the squares that `fill_hole` gets.
    """
    hole, out = mask > 0.5, image.copy()
    rng = np.random.default_rng(seed)
    for part in _split_hole(hole):
        window = _square_window(part, side_px)
        filled = _fill_window(out[window], hole[window], fill_hole, side_px, rng)
        out = out.copy()
        out[window][part[window]] = filled[part[window]]
        hole = hole & ~part
        yield out


def _split_hole(hole: Mask) -> list[Mask]:
    """Split into holes that lie apart, the largest first."""
    joined = dilate_mask(hole, max(1, round(_JOIN_RATIO * max(hole.shape))))
    count, labels = cv2.connectedComponents(joined.astype(np.uint8))
    if count - 1 > MAX_WINDOWS:
        return [hole]
    parts = [hole & (labels == label) for label in range(1, count)]
    return sorted(parts, key=lambda part: -int(part.sum()))


def _square_window(part: Mask, side_px: int) -> tuple[slice, slice]:
    """Return a square around a hole, as far as the picture goes: smaller than asked for where that is smaller."""
    rows, columns = np.nonzero(part.any(axis=1))[0], np.nonzero(part.any(axis=0))[0]
    box = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    side = max(side_px, round(_CONTEXT_RATIO * box))

    def place(first: int, last: int, length: int) -> slice:
        size = min(side, length)
        start = min(max(0, (first + last + 1 - size) // 2), length - size)
        return slice(start, start + size)

    height, width = part.shape
    return place(int(rows[0]), int(rows[-1]), height), place(int(columns[0]), int(columns[-1]), width)


def _fill_window(part: Image, hole: Mask, fill_hole: FillSquare, side_px: int, rng: np.random.Generator) -> Image:
    """Let the net fill a window that may be no square: it is mirrored to one, so that nothing is stretched."""
    height, width = hole.shape
    side = max(height, width)
    border = (0, side - height, 0, side - width)
    square = cv2.copyMakeBorder(part, *border, cv2.BORDER_REFLECT)
    gaps = cv2.copyMakeBorder(hole.astype(np.uint8), *border, cv2.BORDER_REFLECT)
    size = (side_px, side_px)
    interpolation = cv2.INTER_AREA if side > side_px else cv2.INTER_CUBIC
    small = np.asarray(cv2.resize(square, size, interpolation=interpolation), np.uint8)
    # Every pixel into which some of the hole was averaged is the hole's, or what was there would show.
    small_hole = cv2.resize(gaps.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    drawn = fill_hole(small, dilate_mask(small_hole, 1))
    large = cv2.resize(drawn, (side, side), interpolation=cv2.INTER_CUBIC)[:height, :width].astype(np.float32)
    image = part.astype(np.float32)
    filled = fit_to_rim(image, large, hole)
    scale = side / side_px
    if scale >= _SHARP_SCALE:
        filled = add_texture(image, filled, hole, scale * _LOST_SIGMA, rng)
    return np.clip(filled + 0.5, 0, 255).astype(np.uint8)
