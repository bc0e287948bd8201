"""Where a subject stands in the frame, and the one stated resampling that brings it there; draws nothing itself.

The framing table and its tolerances are CRAFT's; sources differ, so they are rows of data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Size

Points: TypeAlias = npt.NDArray[np.float64]

Mask: TypeAlias = npt.NDArray[np.bool_]

FramingId = Literal["tight", "classic", "wide", "actor", "badge"]

VerticalAnchor = Literal["floor", "centre"]

MIN_EYE_DISTANCE_PX = 60

MAX_ENLARGEMENT = 2.0

# Below a degree nobody sees it; above eight the lean is a pose, not an accident.
LEVELLED_ROLL_DEGREES = (1.0, 8.0)

CUT_TOLERANCE_RATIO = 0.01  # of the frame's shorter side: less over the edge is not seen as cut

HEADROOM_RATIO = 0.04  # of the height, over the crown

MAX_FILL_RATIO = 0.97  # of a side, the most that a subject takes which the photo shows whole

MAX_STANDING_HEIGHT_RATIO = 0.88  # of the height, the most that something takes which stands

GROUND_LINE_RATIO = 0.94  # of the height: lower down nothing stands, since nothing is seen below it

STANDING_HEAD_COUNT = 4.0  # heads below the chin; a figure seen to its feet has five and a half, a seated one over four

TORSO_EYE_DISTANCES = 4.0  # eye distances: legs together are narrower

WHOLE_TORSO_RATIO = 0.85  # of a torso's width: above the row where less of it is left, it is not torn


@dataclass(frozen=True)
class Framing:
    """`head` (chin to crown) and `eyes` (from the top) as shares of the height."""

    id: FramingId
    ratio: tuple[int, int]
    head: float
    eyes: float


FRAMINGS: tuple[Framing, ...] = (
    Framing("tight", (1, 1), 0.58, 0.40),
    Framing("classic", (4, 5), 0.42, 0.36),
    Framing("wide", (3, 2), 0.26, 0.30),
    Framing("actor", (4, 5), 0.55, 0.35),
    Framing("badge", (1, 1), 0.60, 0.38),
)


def get_framing(framing_id: str) -> Framing:
    """The row of `FRAMINGS`."""
    return next(row for row in FRAMINGS if row.id == framing_id)


def size_for_ratio(ratio: tuple[int, int], longer: int) -> Size:
    """(width, height) with this ratio and longer side, both even."""
    across, down = ratio
    scale = longer / max(across, down)
    return 2 * round(across * scale / 2), 2 * round(down * scale / 2)
