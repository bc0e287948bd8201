"""The table of head framings, as data since sources of portrait rules differ, and the tolerances of framing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipelines.core.geometry import Size

FramingId = Literal["tight", "square", "classic", "wide", "actor", "badge"]
VerticalAnchor = Literal["floor", "centre"]

MIN_EYE_DISTANCE_PX = 60  # in the photo: a face with less is small
MAX_ENLARGEMENT = 2.0  # factor: a larger photo would be sharper
MAX_LARGE_ENLARGEMENT = 1.1  # factor, in a picture that is large for the sake of the photo's own pixels
LEVELLED_ROLL_DEGREES = (1.0, 8.0)  # less is not visible; more is a pose and not an accident
CUT_TOLERANCE_RATIO = 0.01  # of the frame's shorter side: less beyond the edge is not seen as cut
HEADROOM_RATIO = 0.04  # of the height, over the crown
MAX_FILL_RATIO = 0.97  # of a side, the most that a subject takes which the photo shows whole
MAX_STANDING_HEIGHT_RATIO = 0.88  # of the height, the most that a standing subject takes
GROUND_LINE_RATIO = 0.94  # of the height: nothing stands lower, since no ground is seen below it
PLACE_GROUND_RATIO = 0.88  # of the height: in a place nothing stands higher, since walls, water and sky are there
STANDING_HEAD_COUNT = 4.0  # heads below the chin; a standing figure has five and a half, a seated one over four
TORSO_EYE_DISTANCES = 4.0  # width of a torso: legs together are narrower
WHOLE_TORSO_RATIO = 0.85  # of a torso's width: a matte is torn below the last row that has as much


@dataclass(frozen=True)
class Framing:
    """One row: `head` (chin to crown) and `eyes` (from the top) as shares of the height."""

    id: FramingId
    ratio: tuple[int, int]
    head: float
    eyes: float


FRAMINGS: tuple[Framing, ...] = (
    Framing("tight", (1, 1), 0.58, 0.40),
    Framing("square", (1, 1), 0.44, 0.37),
    Framing("classic", (4, 5), 0.42, 0.36),
    Framing("wide", (3, 2), 0.26, 0.30),
    Framing("actor", (4, 5), 0.55, 0.35),
    Framing("badge", (1, 1), 0.60, 0.38),
)


def get_framing(framing_id: str) -> Framing:
    """Return the row of `FRAMINGS`."""
    return next(row for row in FRAMINGS if row.id == framing_id)


def size_for_ratio(ratio: tuple[int, int], longer: int) -> Size:
    """Return (width, height) with this ratio and longer side, both even."""
    across, down = ratio
    scale = longer / max(across, down)
    return 2 * round(across * scale / 2), 2 * round(down * scale / 2)
