"""What marks changed of what nets see, so that the edges of a marked cut-out are drawn as those of any other.

Regions at marks are decided on a small copy: where they end, the edge lies within some pixels of the photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2

from pipelines.core.geometry import Alpha, Mask
from pipelines.imaging.resize import dilate_mask, outline_band
from pipelines.matting.point_regions import disc_radius, draw_discs

MIN_CHANGE = 0.5  # of alpha, by which marks changed what nets see
EDGE_REACH_RATIO = 0.006  # of the longer side: so far from where a region ends its edge may lie
RIM_RATIO = 0.01  # of the longer side, around what was taken: so far its soft outline reaches
FAINT_ALPHA = 0.3  # below it a line beside what was taken is its outline, from it a thin part
GONE_ALPHA = 0.02  # up to it nothing is left of what was taken
SURROUNDINGS_RATIO = 0.08  # of the longer side, around a changed region


@dataclass(frozen=True)
class MarkedChange:
    """What marks, a box or the choice of a person `brought` into a subject and `took` from it (H x W each)."""

    brought: Mask
    took: Mask

    def find_edge(self, selected: Alpha) -> Mask:
        """Find where what marks took ends beside what is left of the `selected` subject (H x W)."""
        if not self.took.any():
            return self.took
        reach = max(2, round(EDGE_REACH_RATIO * max(selected.shape)))
        return dilate_mask(self.took, reach) & outline_band(selected, reach, cv2.MORPH_RECT)

    def find_rims(self, alpha: Alpha, selected: Alpha) -> Mask:
        """Find the faint lines that the soft outline of what was taken leaves in `alpha`, far from the rest (H x W).

        Not what the colours gave back where nothing is `selected` (H x W).
        """
        if not self.took.any():
            return self.took
        reach = max(3, round(RIM_RATIO * max(alpha.shape)))
        beside = dilate_mask(self.took, reach) & ~(self.took & (selected < GONE_ALPHA))
        return beside & (alpha < FAINT_ALPHA) & ~dilate_mask(alpha > 0.5, reach)

    def find_surroundings(self) -> Mask:
        """Find what was changed, and what lies around it (H x W)."""
        changed = self.brought | self.took
        return dilate_mask(changed, round(SURROUNDINGS_RATIO * max(changed.shape))) if changed.any() else changed


def find_marked_change(selected: Alpha, seen: Alpha) -> MarkedChange:
    """Find how the `selected` subject differs from what the nets have `seen` (H x W each)."""
    return MarkedChange(selected > seen + MIN_CHANGE, selected < seen - MIN_CHANGE)


def draw_marks(marks: Sequence[tuple[float, float]], shape: tuple[int, ...]) -> Mask:
    """Draw the discs of `marks`, ratios of a photo, on a mask of `shape` (H x W)."""
    height, width = shape
    points = [(min(int(y * height), height - 1), min(int(x * width), width - 1)) for x, y in marks]
    return draw_discs(shape, points, disc_radius(shape))
