"""Where two nets' mattes of a photo differ: what of the subject is settled, and what is not."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Mask
from pipelines.imaging.resize import resize_map, size_within

WORK_SIDE_PX = 512  # longer side of the copy on which mattes are compared
EDGE_WIDTH_PX = 5  # on that copy: narrower differences are those of an edge and not of a region


@dataclass(frozen=True)
class Agreement:
    """`uncertainty`, 0 to 1, is the share of the subject that is not settled; `regions` (h x w) is where that is."""

    uncertainty: float
    regions: Mask


def compare_mattes(alpha: Alpha, other: Alpha) -> Agreement:
    """Compare two mattes (H x W each) by region."""
    size = size_within(alpha.shape, WORK_SIDE_PX)
    one, two = (resize_map(each, size) > 0.5 for each in (alpha, other))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (EDGE_WIDTH_PX, EDGE_WIDTH_PX))
    regions = cv2.morphologyEx((one != two).astype(np.uint8), cv2.MORPH_OPEN, disc) > 0
    subject = int((one | two).sum())
    return Agreement(float(regions.sum() / subject) if subject else 1.0, regions)
