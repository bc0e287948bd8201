"""Frame a head: level it, find its crown in the matte, put its eyes on the framing's line."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Cutout, Face, Float64Array, Frame, Size
from pipelines.core.params import Subject
from pipelines.framing.framings import (
    HEADROOM_RATIO,
    LEVELLED_ROLL_DEGREES,
    MIN_EYE_DISTANCE_PX,
    STANDING_HEAD_COUNT,
    TORSO_EYE_DISTANCES,
    WHOLE_TORSO_RATIO,
    Framing,
)
from pipelines.framing.placement import (
    enlargement_notices,
    find_bounds,
    find_cut_points,
    find_cut_sides,
    make_frame,
    placement_cut_notices,
    zoom_past_cuts,
)

MAX_HEAD_RATIO = 0.9  # of the height: a head framed closer than that, to hide a cut, leaves little but the face
CUT_TOO_NEAR_MESSAGE = (
    "The photo cuts the person too near the head: no portrait can be framed without showing the cut. Take one that "
    "shows the shoulders."
)
OTHER_PHOTO_ADVICE = "Use a photo with more room around it."
FRAMED_CLOSER_NOTICE = "Framed closer than asked: the photo ends there, and its border must not show."
_SIDES = ("left", "right")
_CLOSER_FACTOR = 1.02  # over the wanted scale: a head framed closer than that gets a notice
MIN_HEAD_ROOM_RATIO = 0.04  # of the width, beside the head: less looks as if the frame cut it
_MAX_SHIFT_ZOOM_FACTOR = 1.1  # that a head may be framed closer for the sake of room beside it
_BALANCED_ROOM_RATIO = 0.5  # room on the narrower side over that on the wider: less looks pushed aside


@dataclass(frozen=True)
class _LevelledHead:
    """A head in pixels of the levelled photo: the `rotation` (2 x 2) that levels it, points (x, y), the crown's y."""

    roll: float
    rotation: Float64Array
    eyes: Float64Array
    chin: Float64Array
    crown: float
    is_crown_cut: bool

    @property
    def height(self) -> float:
        """Pixels from chin to crown."""
        return max(float(self.chin[1]) - self.crown, 1.0)

    @property
    def height_above_eyes(self) -> float:
        """Pixels from the eyes' line to the crown."""
        return float(self.eyes[1]) - self.crown

    @property
    def anchor(self) -> Float64Array:
        """The point that is placed in the frame: on the eyes' line, above the middle of eyes and chin."""
        x = 0.5 * (self.eyes[0] + self.chin[0]) if self.roll == 0.0 else float(self.eyes[0])
        return np.array([x, self.eyes[1]])


def measure_head(cutout: Cutout, face: Face) -> tuple[float, float]:
    """Return pixels of the levelled photo from chin to crown, and from the eyes' line to the crown."""
    head = _level_head(cutout.alpha, face)
    return head.height, head.height_above_eyes


def frame_head(
    cutout: Cutout, face: Face, row: Framing, size: Size, params: Subject, *, hide_cuts: bool = True
) -> Frame:
    """Frame a head by the table: chin to crown, eye line, centre; level a slight roll.

    Where the photo ends inside the frame, `hide_cuts` frames the head closer, as far as it takes, and adds a notice.
    Turn it off when the missing part is drawn. Raises `BadInput` where that would leave little but the face.
    """
    alpha = cutout.alpha
    head = _level_head(alpha, face)
    head_sides = _find_head_sides(alpha, face)
    wanted = row.head * size[1] / head.height * params.placement_scale
    top_cut = _find_top_cut(alpha, head.rotation)
    cut_sides = [
        side for side, end, border in zip(_SIDES, head_sides, (0, alpha.shape[1]), strict=True) if end == border
    ]
    cut_sides += ["top"] if head.is_crown_cut else []
    is_moved = bool(params.placement_x or params.placement_y or params.placement_scale > 1)
    place_anchor = partial(_place_anchor, head=head, row=row, size=size, params=params, top_cut=top_cut)
    head_span = _level_head_span(head, head_sides, face)
    scale = wanted
    if hide_cuts:
        cuts = head.rotation @ find_cut_points(alpha, find_torn_matte_row(alpha, face)) - head.anchor[:, None]
        scale = zoom_past_cuts(cuts, place_anchor, wanted, size)
        # A turned head lies beside its face: where that brings it to the edge, it is moved back.
        if not is_moved and not {*_SIDES} & {*cut_sides}:
            max_scale = min(_MAX_SHIFT_ZOOM_FACTOR * scale, MAX_HEAD_RATIO * size[1] / head.height)
            shift = _find_shift_for_whole_head(head_span, cuts, place_anchor, wanted, size, max_scale)
            place_anchor = partial(place_anchor, shift=shift)
            scale = zoom_past_cuts(cuts, place_anchor, wanted, size)
    x, eye_line = place_anchor(scale)
    offset = np.array([x, eye_line]) - scale * head.anchor
    is_closer = scale > _CLOSER_FACTOR * wanted
    if is_closer and (scale * head.height > MAX_HEAD_RATIO * size[1] or not _shows_face(offset, scale, head, size)):
        raise BadInput(CUT_TOO_NEAR_MESSAGE, param="photo")
    frame = make_frame(scale * head.rotation, offset, scale, head.roll, size, alpha.shape, float(eye_line))
    rooms = _measure_side_rooms(scale * head_span, x, size)
    # What is missing may be drawn, and where the user put the head, it is told as that.
    doubts = _head_doubts(cut_sides, (1.0, 1.0) if is_moved else rooms) if hide_cuts else ()
    notices = _head_notices(face, scale, wanted, max(size))
    box = (head_sides[0], face.chin[1] - head.height, head_sides[1], face.chin[1])
    cut_notices = placement_cut_notices(frame, box, params, ("top",) if head.is_crown_cut else ())
    return replace(frame, notices=(*doubts, *notices, *cut_notices), doubts=doubts)


def _shows_face(offset: Float64Array, scale: float, head: _LevelledHead, size: Size) -> bool:
    """Say whether eyes and chin lie inside the frame."""
    points = (offset + scale * point for point in (head.eyes, head.chin))
    return all(0 <= x <= size[0] and 0 <= y <= size[1] for x, y in points)


def _level_head(alpha: Alpha, face: Face) -> _LevelledHead:
    """Level a slight lean, but not a pose, and find the crown."""
    low, high = LEVELLED_ROLL_DEGREES
    roll = face.roll if low <= abs(face.roll) <= high else 0.0
    rotation = _rotation_matrix(roll)
    eyes, chin = rotation @ np.array(face.eye_midpoint), rotation @ np.array(face.chin)
    crown, is_cut = _find_crown(alpha, face, rotation, eyes)
    return _LevelledHead(roll, rotation, eyes, chin, crown, is_cut)


def _find_top_cut(alpha: Alpha, rotation: Float64Array) -> float | None:
    """Return the lowest levelled y at which the photo's upper border cuts the subject; None where it does not."""
    x = np.nonzero(alpha[0] > 0.5)[0]
    return float((rotation @ np.stack([x, np.zeros(len(x))]))[1].max()) if len(x) else None


def _place_anchor(
    scale: float,
    *,
    head: _LevelledHead,
    row: Framing,
    size: Size,
    params: Subject,
    top_cut: float | None,
    shift: float = 0.0,
) -> Float64Array:
    """Return the anchor's place in the frame (x, y) for a scale, `shift` of the width beside the middle."""
    width, height = size
    # Move a large head down rather than lose its crown.
    eye_line = max(row.eyes * height, HEADROOM_RATIO * height + scale * head.height_above_eyes)
    if top_cut is not None:
        # Put a crown that the photo cuts on the frame's edge: no larger scale brings it back.
        eye_line = min(eye_line, scale * (float(head.eyes[1]) - top_cut))
    return np.array([width * (0.5 + params.placement_x + shift), eye_line + height * params.placement_y])


def _find_shift_for_whole_head(
    head_span: Float64Array,
    cuts: Float64Array,
    place_anchor: Callable[..., Float64Array],
    wanted: float,
    size: Size,
    max_scale: float,
) -> float:
    """Find how far aside (share of the width) a head has room on both sides; 0 where nothing helps.

    `head_span` is x of its left and right end from the anchor. Where it has no room on one side, the smallest shift
    that balances its rooms is taken, else the one with most room, if its scale is `max_scale` at most.
    """
    best_shift, best_room = 0.0, 0.0
    for shift in (0.0, *(step * side / 100 for step in range(2, 28, 2) for side in (-1, 1))):
        shifted = partial(place_anchor, shift=shift)
        scale = zoom_past_cuts(cuts, shifted, wanted, size)
        narrow, wide = sorted(_measure_side_rooms(scale * head_span, shifted(scale)[0], size))
        if scale > max_scale:
            continue
        if narrow >= MIN_HEAD_ROOM_RATIO and (shift == 0 or narrow >= _BALANCED_ROOM_RATIO * wide):
            return shift
        if narrow > best_room:
            best_shift, best_room = shift, narrow
    return best_shift


def _measure_side_rooms(head_span: Float64Array, anchor_x: float, size: Size) -> tuple[float, float]:
    """Return the room left and right of the head as shares of the frame's width; below 0 where it is cut.

    `head_span` is x of its left and right end from the anchor, in pixels of the frame.
    """
    left, right = anchor_x + head_span
    return float(left / size[0]), float(1 - right / size[0])


def _head_doubts(cut_sides: Sequence[str], rooms: tuple[float, float]) -> tuple[str, ...]:
    """Say, with what to do, where the photo cuts the head, and where the head has no room in the frame."""
    doubts = [f"The photo cuts the {side} of the head. {OTHER_PHOTO_ADVICE}" for side in cut_sides]
    tight = [side for side, room in zip(_SIDES, rooms, strict=True) if room < MIN_HEAD_ROOM_RATIO]
    if len(tight) == 2:
        doubts.append(f"The head fills the picture's width. {OTHER_PHOTO_ADVICE}")
    elif tight and tight[0] not in cut_sides:
        doubts.append(f"The head stands at the picture's {tight[0]} edge. {OTHER_PHOTO_ADVICE}")
    return tuple(doubts)


def _head_notices(face: Face, scale: float, wanted: float, longer_px: int) -> list[str]:
    notices = []
    if scale > _CLOSER_FACTOR * wanted:
        notices.append(FRAMED_CLOSER_NOTICE)
    if face.eye_distance < MIN_EYE_DISTANCE_PX:
        notices.append(f"The face is small in this photo: {face.eye_distance:.0f} pixels between the eyes.")
    return [*notices, *enlargement_notices(scale, longer_px)]


def _rotation_matrix(degrees: float) -> Float64Array:
    """Return the rotation (2 x 2) that levels eyes which lean `degrees` clockwise on the screen (y points down)."""
    angle = math.radians(-degrees)
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _find_crown(alpha: Alpha, face: Face, rotation: Float64Array, eyes: Float64Array) -> tuple[float, bool]:
    """Find the levelled y of the head's top in the matte, so that hair, hat and hijab count; and whether it is cut."""
    cheeks = rotation @ face.landmarks[[234, 454]].astype(np.float64).T
    half_width = 0.5 * abs(float(cheeks[0, 1] - cheeks[0, 0]))
    # Read only the columns over the head and no row under the eyes: a photo may have 48 million pixels.
    left = max(0, int(face.eye_midpoint[0] - 3 * half_width))
    lowest_row = int(max(face.left_eye[1], face.right_eye[1]) + half_width) + 1
    ys, xs = np.nonzero(alpha[:lowest_row, left : int(face.eye_midpoint[0] + 3 * half_width) + 1] > 0.5)
    xs = xs + left
    points = rotation @ np.stack([xs, ys]).astype(np.float64)
    forehead = float((rotation @ face.landmarks[10].astype(np.float64))[1])
    chin = float((rotation @ np.array(face.chin))[1])
    bald_crown = chin - 1.22 * (chin - forehead)
    column = points[:, (np.abs(points[0] - eyes[0]) < 0.9 * half_width) & (points[1] < eyes[1])]
    if column.shape[1] == 0:
        return bald_crown, False
    rows = np.sort(column[1])
    # Skip flyaway hairs: as many pixels as a fifth of the head's width must lie above the crown.
    top = float(rows[min(len(rows) - 1, int(0.4 * half_width))])
    # The photo cuts the crown where its upper border cuts a tenth of the head's width.
    at_border = (ys <= 1) & (np.abs(points[0] - eyes[0]) < 0.9 * half_width)
    is_cut = int(at_border.sum()) > 0.2 * half_width
    return (min(top, bald_crown), True) if is_cut else (top, False)


def _find_head_sides(alpha: Alpha, face: Face) -> Float64Array:
    """Return x of the head's left and right end in the photo, from the brow to the nose, where no shoulder is."""
    top = max(int(min(face.left_eye[1], face.right_eye[1]) - 0.5 * face.eye_distance), 0)
    rows = alpha[top : max(int(max(face.left_eye[1], face.right_eye[1]) + 0.5 * face.eye_distance), top + 1)]
    background = np.flatnonzero((rows > 0.5).mean(axis=0) < 0.5)
    centre = float(face.eye_midpoint[0])
    left, right = background[background < centre], background[background > centre]
    return np.array([left[-1] + 1 if len(left) else 0, right[0] if len(right) else alpha.shape[1]], np.float64)


def _level_head_span(head: _LevelledHead, head_sides: Float64Array, face: Face) -> Float64Array:
    """Return x of the head's left and right end from the anchor, in the levelled photo, of its ends in the photo.

    The ends lie on the eyes' row: levelling turns about the photo's corner, which moves a low head far aside.
    """
    ends = np.stack([head_sides, np.full(2, face.eye_midpoint[1])])
    return (head.rotation @ ends)[0] - float(head.anchor[0])


def shows_whole_figure(alpha: Alpha, face: Face) -> bool:
    """Whether a person is seen down to the feet: no cut below, four heads and more below the chin.

    Who is cut at a side, or has somebody beside him who is, stands on the ground all the same.
    """
    head = 2 * max(face.chin[1] - face.eye_midpoint[1], 1.0)
    return "bottom" not in find_cut_sides(alpha) and bool(
        find_bounds(alpha)[3] - face.chin[1] > STANDING_HEAD_COUNT * head
    )


def find_torn_matte_row(alpha: Alpha, face: Face) -> float | None:
    """Return the row below which a body's matte is torn although the photo goes on: dark cloth before a dark desk.

    A body does not end there, so that row goes on the frame's edge. None where the photo itself cuts the body, and
    where a whole figure stands in it (four heads and more below the chin).
    """
    if "bottom" in find_cut_sides(alpha):
        return None
    _, top, _, bottom = find_bounds(alpha)
    head = 2 * max(face.chin[1] - face.eye_midpoint[1], 1.0)
    if bottom - face.chin[1] > STANDING_HEAD_COUNT * head or bottom <= face.chin[1] + 0.5 * head:
        return None
    widths = (alpha > 0.5).sum(axis=1)
    lower = widths[int(bottom - 0.3 * (bottom - top)) : bottom]
    if lower.max() < TORSO_EYE_DISTANCES * face.eye_distance:
        return None
    return float(np.nonzero(widths >= WHOLE_TORSO_RATIO * lower.max())[0][-1])
