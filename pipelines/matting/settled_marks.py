"""Settle marks that a finished matte contradicts, at the photo's own detail.

Regions at marks are decided on a small copy of the whole photo, on which a narrow part beside the outline is a pixel
wide, and the colours may take back what a mark gave. So each such mark is looked at again on a crop around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Float32Array, Image
from pipelines.imaging.resize import dilate_mask, resize_map
from pipelines.matting.mask_parts import find_parts_at
from pipelines.matting.point_regions import (
    POINT_WEIGHT,
    REACH_LEVELS,
    WALK_TRUST,
    draw_discs,
    find_pixels,
    geodesic_distance,
    shrink_to_lab,
    solve_walk,
)
from pipelines.matting.pointing import Marks

WINDOW_RATIO = 0.12  # of the photo's longer side, to each side of a mark: the crop around it
COVERED_RATIO = 0.06  # of the same: marks so near to a crop's middle are settled in it
WINDOW_SIDE_PX = 256  # of the copy of a whole crop
SEED_RADIUS_PX = 2  # of the copy: the disc that a mark settles
WALK_TRUST_AT_MARKS = 0.008  # how often a walk beside a mark ends at the matte's own value, per step
SOFT_EDGE_SIGMA_PX = 0.7  # of the copy
SEAM_PX = 3  # of the copy, beside what changes: there the edge of what was so already is drawn anew


@dataclass(frozen=True)
class MarkedPixel:
    """A pixel (row, column) of a photo that belongs to the subject (`is_kept`) or does not."""

    row: int
    column: int
    is_kept: bool

    def is_near(self, other: MarkedPixel, distance_px: float) -> bool:
        return max(abs(self.row - other.row), abs(self.column - other.column)) <= distance_px


def settle_marks(image: Image, alpha: Alpha, keep: Marks, drop: Marks) -> Alpha:
    """Return `alpha` (H x W, 0 to 1) of `image` so that it follows every mark; `keep` and `drop` are ratios (x, y).

    From a mark that it contradicts a random walk takes what lies beside it without crossing an edge of the photo. Marks
    that it follows are seeds of the same walk and change nothing by themselves.
    """
    marks = [
        MarkedPixel(*pixel, is_kept)
        for each, is_kept in ((keep, True), (drop, False))
        for pixel in find_pixels(each, alpha.shape)
    ]
    contradicted = [mark for mark in marks if (alpha[mark.row, mark.column] > 0.5) != mark.is_kept]
    reach_px = COVERED_RATIO * max(alpha.shape)
    while contradicted:
        first = contradicted[0]
        covered = [mark for mark in contradicted if mark.is_kept == first.is_kept and mark.is_near(first, reach_px)]
        alpha = _settle_in_window(image, alpha, covered, marks)
        contradicted = [mark for mark in contradicted if mark not in covered]
    return alpha


def _settle_in_window(
    image: Image, alpha: Alpha, covered: Sequence[MarkedPixel], marks: Sequence[MarkedPixel]
) -> Alpha:
    """Return `alpha` with what the `covered` marks of one kind bring or take in the crop around the first of them."""
    first, half = covered[0], round(WINDOW_RATIO * max(alpha.shape))
    top, left = max(0, first.row - half), max(0, first.column - half)
    window = np.s_[top : first.row + half + 1, left : first.column + half + 1]
    before = alpha[window]
    scale = WINDOW_SIDE_PX / (2 * half + 1)
    size = max(round(before.shape[1] * scale), 1), max(round(before.shape[0] * scale), 1)

    def list_pixels(marks: Sequence[MarkedPixel]) -> list[tuple[int, int]]:
        inside = [mark for mark in marks if mark.is_near(first, half)]
        return [
            (min(int((mark.row - top) * scale), size[1] - 1), min(int((mark.column - left) * scale), size[0] - 1))
            for mark in inside
        ]

    lab = shrink_to_lab(np.ascontiguousarray(image[window]), size)
    seeds = {
        is_kept: list_pixels([mark for mark in marks if mark.is_kept == is_kept])
        for is_kept in (not first.is_kept, first.is_kept)
    }
    small = resize_map(before, size)
    belongs = _walk_from_seeds(lab, small, seeds)
    reached = belongs > 0.5 if first.is_kept else belongs < 0.5
    reached = find_parts_at(reached, draw_discs(reached.shape, list_pixels(covered), SEED_RADIUS_PX))
    changes = reached & ((small > 0.5) != first.is_kept)
    # What was so already keeps its own edge, but no seam is left beside what changes.
    reached &= dilate_mask(changes, SEAM_PX)
    soft = np.asarray(cv2.GaussianBlur(reached.astype(np.float32), (0, 0), SOFT_EDGE_SIGMA_PX), np.float32)
    share = np.clip(resize_map(soft, before.shape[::-1]), 0, 1)
    settled = alpha.copy()
    settled[window] = np.maximum(before, share) if first.is_kept else np.minimum(before, 1 - share)
    return settled


def _walk_from_seeds(lab: Float32Array, alpha: Alpha, seeds: dict[bool, list[tuple[int, int]]]) -> Alpha:
    """Return how likely each pixel belongs to the subject, by walks that end at seeds or at the value of `alpha`."""
    near = np.exp(-((geodesic_distance(lab, [point for side in seeds.values() for point in side]) / REACH_LEVELS) ** 2))
    trust = (WALK_TRUST * (1 - near) + WALK_TRUST_AT_MARKS * near).astype(np.float32)
    ends = alpha.astype(np.float32)
    for is_kept, points in seeds.items():
        disc = draw_discs(ends.shape, points, SEED_RADIUS_PX)
        trust[disc], ends[disc] = POINT_WEIGHT, float(is_kept)
    return solve_walk(lab, trust, ends)
