"""Draw the doubtful band of a matte anew by a net that is told what is settled on both sides of it (a trimap).

The net sees the photo in tiles, so that its memory is bounded at any size, and only pixels of the band take its alpha.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Float32Array, Image, Mask, Uint8Array, Window
from pipelines.imaging.resize import dilate_mask, outline_band, resize_map

TILE_PX = 512  # side of what the net sees at once
OVERLAP_PX = 128  # of neighbouring tiles, over which one fades into the other
KNOWN_ALPHA_MARGIN = 0.02  # alpha within this of 0 or 1 is settled
BAND_RATIO = 0.004  # of the longer side: the band reaches this far to both sides of an edge
DOUBT_REACH_RATIO = 0.03  # of the longer side: doubt of the nets farther from the outline is not one of edges
MIN_BAND_PX = 3
FADE_SIGMA_PX = 1.5  # over which the band's border fades into what is settled
UNKNOWN_TRIMAP = 128  # 255 is the subject, 0 the background

OnTile = Callable[[int, int], None]
PredictTile = Callable[[Image, Uint8Array], Alpha]
"""Returns the alpha (h x w) of a tile (h x w x 3) with its trimap (h x w: 0, `UNKNOWN_TRIMAP` or 255)."""


def find_band(alpha: Alpha, doubtful: Mask | None = None) -> Mask:
    """Find what is not settled in `alpha` (H x W): its edges, and near them `doubtful`, of any size."""
    longer = max(alpha.shape)
    radius = max(MIN_BAND_PX, round(BAND_RATIO * longer))
    mixed = (alpha > KNOWN_ALPHA_MARGIN) & (alpha < 1 - KNOWN_ALPHA_MARGIN)
    band = dilate_mask(mixed, radius) | outline_band(alpha, radius, cv2.MORPH_RECT)
    if doubtful is not None and doubtful.any():
        doubt = resize_map(doubtful.astype(np.float32), alpha.shape[::-1]) > 0.5
        band |= doubt & outline_band(alpha, round(DOUBT_REACH_RATIO * longer), cv2.MORPH_RECT)
    return band


def redraw_band(image: Image, alpha: Alpha, band: Mask, predict: PredictTile, on_tile: OnTile | None = None) -> Alpha:
    """Return `alpha` (H x W, 0 to 1) with the net's in `band` (H x W); outside it nothing changes.

    Tiles without both subject and background beside their band stay as they are. `on_tile` is called after each tile
    with its number from 1 and their count; what it raises goes on.
    """
    trimap = np.where(band, UNKNOWN_TRIMAP, np.where(alpha > 0.5, 255, 0)).astype(np.uint8)
    total, weight = np.zeros(alpha.shape, np.float32), np.zeros(alpha.shape, np.float32)
    tiles = [tile for tile in _list_tiles(band) if _has_both_sides(trimap, tile)]
    for number, (left, top, right, bottom) in enumerate(tiles, 1):
        where = slice(top, bottom), slice(left, right)
        ramp = _fade_in(bottom - top)[:, None] * _fade_in(right - left)
        total[where] += ramp * predict(np.ascontiguousarray(image[where]), np.ascontiguousarray(trimap[where]))
        weight[where] += ramp
        if on_tile is not None:
            on_tile(number, len(tiles))
    drawn = total / np.maximum(weight, np.float32(1e-6))
    inside = np.asarray(cv2.GaussianBlur((band & (weight > 0)).astype(np.float32), (0, 0), FADE_SIGMA_PX), np.float32)
    share = np.where(band & (weight > 0), np.clip(2 * inside - 1, 0, 1), np.float32(0))
    return np.clip(alpha + share * (drawn - alpha), 0, 1).astype(np.float32)


def _list_tiles(band: Mask) -> Iterator[Window]:
    """Yield the tiles whose own part, what is nearer to them than to any other, holds some of the band."""
    height, width = band.shape
    step, margin = TILE_PX - OVERLAP_PX, OVERLAP_PX // 2
    for top in range(0, max(height - OVERLAP_PX, 1), step):
        for left in range(0, max(width - OVERLAP_PX, 1), step):
            right, bottom = min(left + TILE_PX, width), min(top + TILE_PX, height)
            own_top, own_left = top and top + margin, left and left + margin
            own_bottom = bottom if bottom == height else bottom - margin
            own_right = right if right == width else right - margin
            if band[own_top:own_bottom, own_left:own_right].any():
                yield left, top, right, bottom


def _has_both_sides(trimap: Uint8Array, tile: Window) -> bool:
    left, top, right, bottom = tile
    part = trimap[top:bottom, left:right]
    return bool((part == 0).any() and (part == 255).any())


def _fade_in(length: int) -> Float32Array:
    """Return a weight that rises from both ends of a tile over the overlap."""
    rise = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1)) / OVERLAP_PX
    return np.minimum(rise, 1).astype(np.float32)
