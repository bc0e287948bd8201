"""Find where a subject stands: its feet, its lower edges, and legs that end higher because they are farther back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np

from pipelines.core.geometry import Float32Array, Float64Array, IndexArray, Mask

_MAX_FOOT_SLOPE = 0.35  # rise over run between two feet: a steeper one is no ground line, but a part that hangs
_FOOT_DISTANCE_RATIO = 0.25  # of the subject's width: feet nearer to each other are one
_FOOT_GAP_RATIO = 0.02  # of the subject's width: how far the outline rises between two feet
_LEG_BAND_RATIO = 0.2  # of the subject's height: its lowest part, in which legs stand apart from one another
_MAX_LEG_GAP_RATIO = 0.15  # of its height: what ends higher above the ground line, between two feet, hangs
_MAX_OUTER_GAP_RATIO = 0.05  # of its height, the same beside the feet: a foot farther back, but no bag or raised foot
_MAX_CORNER_SLOPE = 1.6  # rise over run beside the lowest corner of what is seen from there: both its sides rise
_MIN_CORNER_SLOPE = 0.2  # the least there: what rises at one side alone is a cup with its handle
_MIN_SIDE_RATIO = 0.15  # of the subject's width, at least: length of such a side
_CORNER_SPAN_RATIO = 0.7  # of the subject's width, at least: both sides are the whole lower outline
_MAX_CORNER_SINE = 0.92  # sine of the pitch at which these sides stand at a right angle on the ground; more hangs
_CORNER_WIDTH_RATIO = 0.5  # of its height, at least: a person with a raised foot or a bag is narrower
_CORNER_BULGE_RATIO = 0.03  # of the subject's width, below the line to such a foot at most: a bowl's belly is rounder
_FRONT_LEG_RATIO = 0.15  # of the subject's width, at most: the leg in front; a wheel or a belly is wider
_FRONT_LEG_RISE_RATIO = 0.05  # of its height: as far above its end the leg in front is still so narrow
_LEG_OPENING_RATIO = 0.08  # of the subject's width, at least: how far the outline rises between two such legs
_LEG_LENGTH_RATIO = 0.12  # of the subject's height, at least: a leg's run upwards, without an opening
_LEG_SIDE_RATIO = 0.05  # of the subject's width: as near beside such a leg the outline ends higher
_LEG_RISE_RATIO = 0.03  # of the subject's height: so much higher, at least
_MAX_CORNER_GAP_RATIO = 0.45  # of the subject's height: how high above the lowest foot such a leg may end
_EDGE_DEPTH_RATIO = 0.35  # over the subject's width for its depth: the outline itself shows how deep a board is
_EDGE_LENGTH_RATIO = 0.3  # of the subject's width: length from which a straight lower edge lies on the ground
_EDGE_BEND_RATIO = 0.012  # of the subject's width, the most that such an edge is bent: a bowl's rim is round
_MIN_TABLE_WIDTH_RATIO = 0.4  # of its height: what has four legs is no narrower, one or two people are
_MAX_TABLE_GAP_RATIO = 0.55  # of the subject's height: how far above the lowest leg another may end
_MAX_SIDE_ERROR_RATIO = 0.45  # of the subject's width, by which four legs miss a parallelogram to the side
_MAX_LOWER_ERROR_RATIO = 0.2  # of its height, the same downwards
_MAX_HIGHER_ERROR_RATIO = 0.05  # of its height, the same upwards
_MIN_LEG_WIDTH_RATIO = 0.02  # of the subject's width, at least
_MAX_LEG_WIDTH_RATIO = 0.2  # of the subject's width: what is wider is no leg

_Corner = Literal["", "legs", "edges"]


@dataclass(frozen=True)
class Stance:
    """Where a subject stands: `feet` as (x, y) from left to right, and for each column rows of the map.

    `drops` is how far the ground line lies over the lowest foot, `leg_gaps` how far a leg ends over that line because
    it stands farther back. `body_drops` is that of the line which the shadow falls from. Legs in `leg_columns` end
    elsewhere, at `own_drops`, and the lowest `leg_px` of them throw their own shadow. `body_px` is how wide the body is
    taken to be for its depth.
    """

    feet: Float32Array
    drops: Float32Array
    leg_gaps: Float32Array
    body_drops: Float32Array
    body_px: float
    leg_columns: Mask
    own_drops: Float32Array
    leg_px: float


def find_stance(mask: Mask, width_px: float) -> Stance:
    """Return where the subject of a map, so many pixels wide, stands; with the legs that are farther back."""
    used_rows = np.flatnonzero(mask.any(axis=1))
    base, tall = int(used_rows[-1]), int(used_rows[-1] - used_rows[0] + 1)
    columns = np.arange(mask.shape[1])
    legs = _find_four_legs(mask, width_px, tall)
    feet, kind = _find_feet(mask, width_px) if legs is None else _choose_front_legs(legs)
    drops = np.interp(columns, feet[:, 0], base - feet[:, 1]).astype(np.float32)
    leg_gaps = _find_leg_gaps(mask, feet, drops, base) if legs is None else np.zeros_like(drops)
    hind = [leg for leg in legs or () if not (feet[:, 0] == leg.x).any()]
    for leg in hind:
        leg_gaps[leg.left : leg.right] = max(base - drops[leg.x] - leg.y, 0)
    if kind == "legs":
        # The body is over the middle of its feet, which is between the outer ones.
        outer = feet[[0, 2]]
        middle = np.interp(columns, outer[:, 0], base - outer[:, 1]).astype(np.float32)
        front_px, every_column = base - float(outer[:, 1].max()), np.ones(len(columns), np.bool_)
        return Stance(feet, drops, leg_gaps, middle, width_px, every_column, np.zeros_like(drops), front_px)
    hind_columns = np.zeros(len(columns), np.bool_)
    for leg in hind:
        hind_columns[leg.left : leg.right] = True
    hind_drops = drops + np.float32(np.mean([leg_gaps[leg.x] for leg in hind]) if hind else 0)
    body_px = _EDGE_DEPTH_RATIO * width_px if kind == "edges" else width_px
    return Stance(feet, drops, leg_gaps, drops, body_px, hind_columns, hind_drops, _LEG_LENGTH_RATIO * tall)


class _SubjectOutline(NamedTuple):
    """The lower outline of a map: the row where the subject ends in each column, 0 without it; its width and height."""

    mask: Mask
    lowest: IndexArray
    width_px: float
    tall: float

    def measure_gaps(self, one: Float32Array, other: Float32Array) -> Float64Array:
        """Return how far it ends above the line between two of its points, by column; below it less than 0."""
        between = slice(int(min(one[0], other[0])), int(max(one[0], other[0])) + 1)
        line = np.interp(np.arange(between.start, between.stop), *np.array(sorted([tuple(one), tuple(other)])).T)
        return line - self.lowest[between]

    def is_straight(self, one: Float32Array, other: Float32Array) -> bool:
        """Tell whether it runs along the line between two of its points."""
        return float(np.abs(self.measure_gaps(one, other)).max()) <= _EDGE_BEND_RATIO * self.width_px


class _Leg(NamedTuple):
    """The lower end of a leg: its lowest point, and its columns from `left` to before `right`."""

    x: int
    y: int
    left: int
    right: int


def _find_four_legs(mask: Mask, width_px: float, tall: int) -> list[_Leg] | None:
    """Return the four legs of a chair or table, the lowest first and the one across from it last; None for others.

    On the ground they are the corners of a parallelogram, and nearly so in the picture: what hangs is no corner of it.
    """
    legs = _find_leg_ends(mask, width_px, tall)
    if len(legs) != 4 or width_px < _MIN_TABLE_WIDTH_RATIO * tall:
        return None
    front = legs[0]
    errors = list[tuple[float, int]]()
    for n in (1, 2, 3):
        one, other = (leg for m, leg in enumerate(legs) if m not in (0, n))
        if legs[n].y > min(one.y, other.y) + _LEG_RISE_RATIO * tall:
            continue  # what is across from the nearest corner is the farthest one
        right = (front.x + legs[n].x - one.x - other.x) / width_px
        down = (front.y + legs[n].y - one.y - other.y) / tall
        # Perspective draws the nearest leg lower; what hangs or is raised ends higher than the other three say.
        most_down = _MAX_LOWER_ERROR_RATIO if down > 0 else _MAX_HIGHER_ERROR_RATIO
        errors.append((abs(right) / _MAX_SIDE_ERROR_RATIO + abs(down) / most_down, n))
    error, across = min(errors)
    return [*(leg for leg in legs if leg is not legs[across]), legs[across]] if error <= 1 else None


def _find_leg_ends(mask: Mask, width_px: float, tall: int) -> list[_Leg]:
    """Return the narrow parts that come straight down and end by themselves, the lowest first."""
    lowest = np.where(mask.any(axis=0), len(mask) - 1 - np.argmax(mask[::-1], axis=0), -len(mask))
    rise, length = max(2, round(_LEG_RISE_RATIO * tall)), _LEG_LENGTH_RATIO * tall
    highest = lowest.max() - _MAX_TABLE_GAP_RATIO * tall
    is_free, is_leg = np.ones(len(lowest), np.bool_), np.zeros(len(lowest), np.bool_)
    legs = list[_Leg]()
    for x in np.argsort(-lowest, kind="stable"):
        y = int(lowest[x])
        if y < highest:
            break
        if not is_free[x]:
            continue
        ends = np.flatnonzero((lowest < y - rise) | ~is_free)
        left, right = int(ends[ends < x].max(initial=-1)) + 1, int(ends[ends > x].min(initial=len(lowest)))
        is_free[left:right] = False
        leg = _Leg(int(x), y, left, right)
        is_narrow = right - left <= _MAX_LEG_WIDTH_RATIO * width_px
        if is_narrow and _ends_by_itself(leg, lowest, is_leg, rise, length):
            upright = max(
                int(np.argmin(np.r_[column[::-1], False])) for column in mask[: max(y - rise, 0), left:right].T
            )
            if rise + upright >= length:
                is_leg[left:right] = True
                # What is narrower belongs to the leg beside it, which leans.
                if right - left >= _MIN_LEG_WIDTH_RATIO * width_px:
                    legs.append(leg)
    return legs


def _ends_by_itself(leg: _Leg, lowest: IndexArray, is_leg: Mask, rise: int, length: float) -> bool:
    """Tell whether the outline ends higher on both sides of a leg, or on one where another leg hides the other."""
    before, after = leg.left - 1, leg.right
    rows = [int(lowest[n]) if 0 <= n < len(lowest) else -len(lowest) for n in (before, after)]
    if max(rows) < leg.y - rise:
        return True
    # What stands out beside the legs is a part of the body.
    if not (is_leg[: leg.left].any() and is_leg[leg.right :].any()):
        return False
    # A side that is not hidden is upright: a rail that rises from a leg goes on beside it.
    return any(
        0 <= hidden < len(lowest)
        and is_leg[hidden]
        and (not 0 <= clear < len(lowest) or lowest[clear] < leg.y - length)
        for clear, hidden in ((leg.left - 3, after), (leg.right + 2, before))
    )


def _choose_front_legs(legs: list[_Leg]) -> tuple[Float32Array, _Corner]:
    """Return the legs that the ground line runs through: the two in front, or three with the lowest in the middle."""
    front, one, other = legs[:3]
    left, right = sorted((one, other))
    if left.x < front.x < right.x and front.y > max(left.y, right.y):
        return np.array([leg[:2] for leg in (left, front, right)], np.float32), "legs"
    beside = min((one, other), key=lambda leg: abs(leg.y - front.y) / max(abs(leg.x - front.x), 1))
    return np.array(sorted(leg[:2] for leg in (front, beside)), np.float32), ""


def _find_feet(mask: Mask, width_px: float) -> tuple[Float32Array, _Corner]:
    """Return where the subject stands, as (x, y) from left to right: its lowest point, and feet at other heights.

    The second value tells a subject that is seen from its corner: a chair on three legs, a board on two edges.

    Feet are corners of the convex hull of the lower outline with a gap between them, on a line that a ground may have,
    and both ends of a straight edge, as of a box.
    """
    columns = np.nonzero(mask.any(axis=0))[0]
    # A column without the subject is a gap from top to bottom.
    lowest = np.where(np.isin(np.arange(mask.shape[1]), columns), len(mask) - 1 - np.argmax(mask[::-1], axis=0), 0)
    points = np.stack([columns, lowest[columns]], axis=1).astype(np.float32)
    hull = np.asarray(cv2.convexHull(points)[:, 0], np.float32)
    hull = hull[np.argsort(hull[:, 0])]
    outline = _SubjectOutline(mask, lowest, width_px, float(np.count_nonzero(mask.any(axis=1))))
    corner = _find_corner(hull, outline)
    if corner is not None:
        has_edge = any(outline.is_straight(corner[1], corner[n]) for n in (0, 2))
        return corner, "edges" if has_edge else "legs"
    base = hull[np.argmax(hull[:, 1])]
    feet = [base]
    for side in (hull[hull[:, 0] < base[0]][::-1], hull[hull[:, 0] > base[0]]):
        last = base
        for foot in side:
            run, rise = abs(foot[0] - last[0]), last[1] - foot[1]
            gaps = outline.measure_gaps(last, foot)
            is_foot = run >= _FOOT_DISTANCE_RATIO * width_px and float(gaps.max()) >= _FOOT_GAP_RATIO * width_px
            is_edge = run >= _EDGE_LENGTH_RATIO * width_px and outline.is_straight(last, foot)
            if (is_foot or is_edge) and abs(rise) <= _MAX_FOOT_SLOPE * run:
                feet.append(foot)
                last = foot
    return np.array(sorted(map(tuple, feet)), np.float32), ""


def _find_corner(hull: Float32Array, outline: _SubjectOutline) -> Float32Array | None:
    """Return left foot, lowest foot and right foot of a chair or a board that is seen from its corner; None for others.

    On the ground its sides stand at a right angle. In the picture the product of their slopes is then the squared sine
    of the camera's pitch, and what would need a camera straight above is no corner on the ground.
    """
    width_px = outline.width_px
    base = hull[np.argmax(hull[:, 1])]
    ends = list[Float32Array]()
    for side in (hull[hull[:, 0] < base[0]][::-1], hull[hull[:, 0] > base[0]]):
        runs = np.abs(side[:, 0] - base[0])
        slopes = (base[1] - side[:, 1]) / runs
        side = side[
            (runs >= _MIN_SIDE_RATIO * width_px) & (slopes >= _MIN_CORNER_SLOPE) & (slopes <= _MAX_CORNER_SLOPE)
        ]
        # An edge is as long as it is straight; of a leg the lowest point counts.
        edges = [end for end in side[::-1] if outline.is_straight(base, end)]
        ends += (edges or [end for end in side if _is_leg(base, end, outline)])[:1]
    if len(ends) < 2:
        return None
    slopes = [float(base[1] - end[1]) / abs(float(end[0] - base[0])) for end in ends]
    if slopes[0] * slopes[1] > _MAX_CORNER_SINE**2:
        return None
    is_wide = (
        ends[1][0] - ends[0][0] >= _CORNER_SPAN_RATIO * width_px and width_px >= _CORNER_WIDTH_RATIO * outline.tall
    )
    return np.array([ends[0], base, ends[1]], np.float32) if is_wide else None


def _is_leg(front: Float32Array, foot: Float32Array, outline: _SubjectOutline) -> bool:
    """Tell whether what ends at `foot`, higher than `front`, comes straight down by itself as a leg does.

    A bowl's belly lies below the line between both, and a leaf, a handle or a bent knee is no upright run of pixels.
    """
    mask, lowest, width_px, tall = outline
    gaps = outline.measure_gaps(front, foot)
    is_front_narrow = (
        int(np.count_nonzero(lowest >= front[1] - _FRONT_LEG_RISE_RATIO * tall)) <= _FRONT_LEG_RATIO * width_px
    )
    outward, reach = (-1 if foot[0] < front[0] else 1), max(2, round(_LEG_SIDE_RATIO * width_px))
    x, y = int(foot[0]), int(foot[1])
    beside = x + outward * reach
    is_alone = not 0 <= beside < len(lowest) or y - int(lowest[beside]) >= _LEG_RISE_RATIO * tall
    inside = mask[:y, min(x, x - outward * reach) : max(x, x - outward * reach) + 1]
    length = max(int(np.argmin(np.r_[column[::-1], False])) for column in inside.T)
    return (
        is_alone
        and is_front_narrow
        and float(gaps.max()) >= _LEG_OPENING_RATIO * width_px
        and float(front[1]) - y <= _MAX_CORNER_GAP_RATIO * tall
        and -float(gaps.min()) <= _CORNER_BULGE_RATIO * width_px
        and length >= _LEG_LENGTH_RATIO * tall
    )


def _find_leg_gaps(mask: Mask, feet: Float32Array, drops: Float32Array, base: int) -> Float32Array:
    """Return for each column how far above the ground line its leg stands, 0 elsewhere.

    A chair's legs, and people who stand farther back, end a little above the line between the lowest feet. A leg is a
    part of the subject's lowest fifth that comes down from above and stands by itself. What stands far back is seen
    between two feet; beside them, a high end is a bag or a raised foot.
    """
    tall = base - int(np.argmax(mask.any(axis=1))) + 1
    first = base - round(_LEG_BAND_RATIO * tall)
    count, labels = cv2.connectedComponents(mask[first : base + 1].astype(np.uint8))
    gaps = np.zeros(mask.shape[1], np.float32)
    for leg in range(1, count):
        is_leg = labels == leg
        columns = np.flatnonzero(is_leg.any(axis=0))
        lowest = base - np.argmax(is_leg[::-1, columns], axis=0)
        gap = float((base - drops[columns] - lowest).min())
        is_between = feet[0, 0] < columns[0] and columns[-1] < feet[-1, 0]
        highest = (_MAX_LEG_GAP_RATIO if is_between else _MAX_OUTER_GAP_RATIO) * tall
        if is_leg[0].any() and 1 <= gap <= highest:
            gaps[columns] = gap
    return gaps
