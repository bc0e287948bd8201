"""What several nets agree on in a photo, and what marks may change of it.

A mark in a place on which the nets differ decides that place, and does not reach into what all of them are sure of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.core.geometry import Alpha, Mask
from pipelines.imaging.resize import dilate_mask, resize_map
from pipelines.matting.mask_parts import EDGE_WIDTH_PX, find_parts_at, open_mask
from pipelines.matting.point_regions import draw_discs

SURE_ALPHA = 0.9  # of the net that sees least of it: all are sure of the subject
SURE_GROUND_ALPHA = 0.1  # of the net that sees most of it: all are sure of the ground
MIN_SURE_SHARE = 0.5  # of a mark's disc: it lies on what all nets are sure of, and speaks of that


@dataclass(frozen=True)
class SureRegions:
    """Where every net is sure of the `subject` and of the `ground`, and where nets say the opposite (H x W each)."""

    subject: Mask
    ground: Mask
    differs: Mask

    def limit_region(self, region: Mask, point: tuple[int, int], changing: Mask, *, is_kept: bool) -> Mask:
        """Return the region (H x W) that a point (row, column) changes, within what nets are not sure of.

        A dropped point where they differ takes all of that which is `changing`: one of them says the same. A point on
        what all are sure of speaks of that very thing, and its region stays as it is.
        """
        sure = self.ground if is_kept else self.subject
        disc = draw_discs(region.shape, [point])
        if sure[point] or sure[disc].mean() > MIN_SURE_SHARE:
            return region
        limited = region & (~sure | disc)
        if is_kept:
            return limited
        # The place on which nets differ at the point, and its edge, but no rim that leads to others.
        differing = dilate_mask(find_parts_at(open_mask(self.differs), point), EDGE_WIDTH_PX // 2)
        return limited | (differing & ~sure & changing)


def find_sure_regions(views: Sequence[Alpha], size: tuple[int, int]) -> SureRegions | None:
    """Find what all nets are sure of, from the map of each (0 to 1), on a copy of `size`; None of fewer than two."""
    if len(views) < 2:
        return None
    small = [resize_map(view, size) for view in views]
    least, most = np.minimum.reduce(small), np.maximum.reduce(small)
    return SureRegions(least > SURE_ALPHA, most < SURE_GROUND_ALPHA, (least <= 0.5) & (most > 0.5))
