"""Predict a large photo's outline again in tiles, and merge what they show into the matte.

In a large photo one pixel of the net is several of the photo: the gap between a sleeve's folds, the corner between ear
and hair. A tile shows them but has less context, so it counts only near the outline, and only where it agrees with the
whole photo on which side is the subject.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Float32Array, Image
from pipelines.imaging.resize import outline_band, resize_map, size_within

MIN_PHOTO_SIDE_PX = 720  # longer side: a smaller photo has no detail that the net did not see
WORK_SIDE_PX = 2048  # longer side of the copy on which tiles are merged; tiles are no finer than that
TILE_RATIO = 0.33  # side of a tile, of the longer side
TILE_FULL_RATIO = 0.68  # of a tile's half side: it counts in full up to there
TILE_FADE_END_RATIO = 0.95  # of a tile's half side: from there it does not count
MAP_SIDE_PX = 256  # longer side of the map on which tiles are placed
MAX_TILE_COUNT = 9  # tiles in a photo
MIN_OUTLINE_PIXEL_COUNT = 30  # outline pixels on that map for which another tile is worth it
OUTLINE_BAND_RATIO = 0.022  # of the longer side: band to both sides of the outline
BAND_FADE_RATIO = 0.3  # of the band: its outer part in which the weight falls to 0
INSIDE_ALPHA_RANGE = (0.6, 0.9)  # mean alpha inside at which a tile counts for nothing, and in full
OUTSIDE_ALPHA_RANGE = (0.3, 0.1)  # mean alpha outside at which a tile counts for nothing, and in full


def needs_tiles(image: Image) -> bool:
    """Tell whether a photo has detail that the net does not see in it as a whole."""
    return max(image.shape[:2]) >= MIN_PHOTO_SIDE_PX


def refine_outline_in_tiles(
    image: Image, alpha: Alpha, predict_alpha: Callable[[Image], Alpha], on_progress: Callable[[int, int], None]
) -> tuple[Alpha, Alpha]:
    """Predict the outline of `alpha` again in tiles of `image`.

    `predict_alpha` returns the alpha (h x w) of a tile; `on_progress` gets the number of finished tiles and of all.
    Returns the refined alpha (H x W), and the confidence of the tiles (0 to 1) on a copy of at most `WORK_SIDE_PX`.
    """
    scale = min(1.0, WORK_SIDE_PX / max(alpha.shape))
    small = resize_map(alpha, size_within(alpha.shape, WORK_SIDE_PX))
    band = OUTLINE_BAND_RATIO * max(small.shape)
    total, confidence = np.zeros_like(small), np.zeros_like(small)
    tiles = list(_place_tiles(small))
    for number, (top, bottom, left, right) in enumerate(tiles, start=1):
        window = slice(top, bottom), slice(left, right)
        part = small[window]
        rows, columns = (slice(round(span.start / scale), round(span.stop / scale)) for span in window)
        predicted = predict_alpha(np.ascontiguousarray(image[rows, columns]))
        predicted = resize_map(predicted, part.shape[::-1])
        weight = _tile_confidence(part, predicted, band)
        weight *= _tile_fade((top, bottom), len(small))[:, None] * _tile_fade((left, right), small.shape[1])
        total[window] += weight * (predicted - part)
        confidence[window] += weight
        on_progress(number, len(tiles))
    change = resize_map(np.asarray(total / np.maximum(confidence, 1), np.float32), alpha.shape[::-1])
    return np.clip(alpha + change, 0, 1).astype(np.float32), np.minimum(confidence, 1)


def _place_tiles(alpha: Alpha) -> Iterator[tuple[int, int, int, int]]:
    """Yield top, bottom, left, right of tiles that cover the outline between them, each inside the photo."""
    scale = MAP_SIDE_PX / max(alpha.shape)
    uncovered = outline_band(resize_map(alpha, size_within(alpha.shape, MAP_SIDE_PX)), 1, cv2.MORPH_RECT)
    half = TILE_RATIO * MAP_SIDE_PX / 2
    reach = round(TILE_FULL_RATIO * half)
    covered = (2 * reach + 1, 2 * reach + 1)
    for _ in range(MAX_TILE_COUNT):
        # Put the next tile where it covers most of the outline that no other one covers.
        outline = uncovered.astype(np.float32)
        count = cv2.boxFilter(outline, -1, covered, normalize=False, borderType=cv2.BORDER_CONSTANT)
        if count.max() < MIN_OUTLINE_PIXEL_COUNT:
            return
        y, x = (int(index) for index in np.unravel_index(np.argmax(count), count.shape))
        uncovered[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1] = False
        yield *_tile_span(y / scale, half / scale, alpha.shape[0]), *_tile_span(x / scale, half / scale, alpha.shape[1])


def _tile_span(middle: float, half: float, length: int) -> tuple[int, int]:
    """Return the first and last pixel of a tile, clipped to the photo."""
    return max(round(middle - half), 0), min(round(middle + half), length)


def _tile_fade(span: tuple[int, int], length: int) -> Float32Array:
    """Return 1 in the middle of a tile and 0 at those of its ends that are not the photo's."""
    first, last = span
    distance = np.abs(np.linspace(-1, 1, last - first, dtype=np.float32))
    ends = np.linspace(-1, 1, last - first) < 0
    at_photo_border = np.where(ends, first == 0, last == length)
    fade = np.clip((TILE_FADE_END_RATIO - distance) / (TILE_FADE_END_RATIO - TILE_FULL_RATIO), 0, 1)
    return np.where(at_photo_border, 1, fade).astype(np.float32)


def _tile_confidence(part: Alpha, predicted: Alpha, band: float) -> Float32Array:
    """Rate how much a tile counts, 0 to 1: near the outline of `part`, where it agrees with `part` on both sides."""
    solid = (part > 0.5).astype(np.uint8)
    inside, outside = (cv2.distanceTransform(side, cv2.DIST_L2, 5) for side in (solid, 1 - solid))
    near = np.clip((1 - np.maximum(inside, outside) / band) / BAND_FADE_RATIO, 0, 1)
    inside_mean, outside_mean = (
        _mean_in_ring(predicted, np.asarray(depth, np.float32), band) for depth in (inside, outside)
    )
    (inside_low, inside_high), (outside_high, outside_low) = INSIDE_ALPHA_RANGE, OUTSIDE_ALPHA_RANGE
    agreed = np.clip((inside_mean - inside_low) / (inside_high - inside_low), 0, 1) * np.clip(
        (outside_high - outside_mean) / (outside_high - outside_low), 0, 1
    )
    return np.nan_to_num(near * agreed).astype(np.float32)


def _mean_in_ring(predicted: Alpha, depth: Float32Array, band: float) -> Float32Array:
    """Average `predicted` around each pixel over what lies one to two `band` deep; nan where nothing does."""
    ring = ((depth > band) & (depth < 2 * band)).astype(np.float32)
    side = 2 * round(2 * band) + 1
    total, count = (cv2.blur(values, (side, side)) for values in (ring * predicted, ring))
    return np.where(count > 1e-3, total / np.maximum(count, 1e-3), np.nan).astype(np.float32)
