"""Frame a head: levelled, its crown taken from the matte, eyes on the framing's line."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Alpha, Cutout, Face, Frame, Size
from pipelines.core.params import Subject
from pipelines.framing.framings import (
    HEADROOM_RATIO,
    LEVELLED_ROLL_DEGREES,
    MAX_ENLARGEMENT,
    MIN_EYE_DISTANCE_PX,
    STANDING_HEAD_COUNT,
    TORSO_EYE_DISTANCES,
    WHOLE_TORSO_RATIO,
    Framing,
    Points,
)
from pipelines.framing.placement import (
    find_bounds,
    find_cut_points,
    find_cut_sides,
    make_frame,
    placement_cut_notices,
    zoom_past_cuts,
)


def measure_head(cutout: Cutout, face: Face) -> tuple[float, float]:
    """Pixels of the photo from chin to crown, and from the eyes' line to the crown, once the head is levelled."""
    turn = _rotation_matrix(_levelling_roll(face))
    eyes, chin = turn @ np.array(face.eye_midpoint), turn @ np.array(face.chin)
    crown, _ = _find_crown(cutout.alpha, face, turn, eyes)
    return max(float(chin[1]) - crown, 1.0), float(eyes[1]) - crown


def _levelling_roll(face: Face) -> float:
    """Degrees that are taken out: a slight lean, not a pose."""
    return face.roll if LEVELLED_ROLL_DEGREES[0] <= abs(face.roll) <= LEVELLED_ROLL_DEGREES[1] else 0.0


def frame_head(
    cutout: Cutout, face: Face, row: Framing, size: Size, params: Subject, *, closer: bool = True
) -> Frame:  # fmt: skip
    """Frame a head by the table: chin to crown, eye line, centre; level a slight roll.

    Where the photo ends inside the frame the head is framed closer, as far as it takes, and a notice says so; not with
    `closer` off, for whoever draws what the photo lacks.
    """
    roll = _levelling_roll(face)
    width, height = size
    turn = _rotation_matrix(roll)
    eyes = turn @ np.array(face.eye_midpoint)
    chin = turn @ np.array(face.chin)
    crown, cut_crown = _find_crown(cutout.alpha, face, turn, eyes)
    head = max(float(chin[1]) - crown, 1.0)
    wanted = row.head * height / head * params.placement_scale
    tops = turn @ np.stack([np.nonzero(cutout.alpha[0] > 0.5)[0], np.zeros(int((cutout.alpha[0] > 0.5).sum()))])
    cut_at = float(tops[1].max()) if tops.shape[1] else None
    anchor = np.array([0.5 * (eyes[0] + chin[0]) if roll == 0.0 else float(eyes[0]), eyes[1]])

    def target(scale: float, aside: float = 0.0) -> Points:
        # A head that has to be framed closer moves down rather than lose its crown.
        eye_line = max(row.eyes * height, HEADROOM_RATIO * height + scale * (float(eyes[1]) - crown))
        # No larger scale brings a crown back that the photo cuts: its cut lies on the frame's edge.
        eye_line = min(eye_line, scale * (float(eyes[1]) - cut_at)) if cut_at is not None else eye_line
        return np.array([width * (0.5 + params.placement_x + aside), eye_line + height * params.placement_y])

    cuts = turn @ find_cut_points(cutout.alpha, find_body_end(cutout.alpha, face)) - anchor[:, None]
    scale = zoom_past_cuts(cuts, target, wanted, size) if closer else wanted
    if scale > 1.02 * wanted:
        # Close by, a head that is turned has its face beside its middle, and would lose the back of it.
        ends = _find_head_sides(cutout.alpha, face) - float(anchor[0])
        for aside in (0.0, *(step * side / 100 for step in range(2, 22, 2) for side in (-1, 1))):
            beside = partial(target, aside=aside)
            near = zoom_past_cuts(cuts, beside, wanted, size)
            if (np.abs(beside(near)[0] + near * ends - 0.5 * width) <= 0.5 * width).all():
                scale, target = near, beside
                break
    notices = list(_head_notices(face, scale, wanted, cut_crown))
    there = target(scale)
    frame = make_frame(scale * turn, there - scale * anchor, scale, roll, size, cutout.alpha.shape, float(there[1]))
    left, right = _find_head_sides(cutout.alpha, face)
    seen = (left, face.chin[1] - head, right, face.chin[1])
    return replace(
        frame, notices=(*notices, *placement_cut_notices(frame, seen, params, ("top",) if cut_crown else ()))
    )


def _head_notices(face: Face, scale: float, wanted: float, cut_crown: bool) -> list[str]:
    notices = []
    if scale > 1.02 * wanted:
        notices.append("Framed closer than asked: the photo ends there, and its border must not show.")
    if cut_crown:
        notices.append("The photo cuts the top of the head.")
    if face.eye_distance < MIN_EYE_DISTANCE_PX:
        notices.append(f"The face is small in this photo: {face.eye_distance:.0f} pixels between the eyes.")
    if scale > MAX_ENLARGEMENT:
        notices.append(f"Enlarged {scale:.1f} times: a larger photo would be sharper.")
    return notices


def _rotation_matrix(degrees: float) -> npt.NDArray[np.float64]:
    """Rotation that levels eyes which lean `degrees` clockwise on the screen (y points down)."""
    angle = math.radians(-degrees)
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _find_crown(alpha: Alpha, face: Face, turn: npt.NDArray[np.float64], eyes: Points) -> tuple[float, bool]:
    """The head's top in levelled pixels, read from the matte so that hair, hat and hijab count; whether it is cut."""
    cheeks = turn @ face.landmarks[[234, 454]].astype(np.float64).T
    half = 0.5 * abs(float(cheeks[0, 1] - cheeks[0, 0]))
    # Only the columns over the head are looked at, and no row under the eyes: a photo may have 48 million pixels.
    left, below = max(0, int(face.eye_midpoint[0] - 3 * half)), int(max(face.left_eye[1], face.right_eye[1]) + half) + 1
    ys, xs = np.nonzero(alpha[:below, left : int(face.eye_midpoint[0] + 3 * half) + 1] > 0.5)
    xs = xs + left
    points = turn @ np.stack([xs, ys]).astype(np.float64)
    forehead = float((turn @ face.landmarks[10].astype(np.float64))[1])
    chin = float((turn @ np.array(face.chin))[1])
    bare = chin - 1.22 * (chin - forehead)
    column = points[:, (np.abs(points[0] - eyes[0]) < 0.9 * half) & (points[1] < eyes[1])]
    if column.shape[1] == 0:
        return bare, False
    rows = np.sort(column[1])
    # A few flyaway hairs are not the crown: as many pixels as a fifth of the head is wide must lie above.
    top = float(rows[min(len(rows) - 1, int(0.4 * half))])
    cut = bool(ys.min() <= 1) and _is_crown_cut(alpha, xs, ys, points, eyes, half)
    return (min(top, bare), True) if cut else (top, False)


def _find_head_sides(alpha: Alpha, face: Face) -> npt.NDArray[np.float64]:
    """x of the head's left and right end in the photo, from the brow to the nose: where no shoulder is."""
    top = max(int(min(face.left_eye[1], face.right_eye[1]) - 0.5 * face.eye_distance), 0)
    rows = alpha[top : max(int(max(face.left_eye[1], face.right_eye[1]) + 0.5 * face.eye_distance), top + 1)]
    apart = np.flatnonzero((rows > 0.5).mean(axis=0) < 0.5)
    at = float(face.eye_midpoint[0])
    left, right = apart[apart < at], apart[apart > at]
    return np.array([left[-1] + 1 if len(left) else 0, right[0] if len(right) else alpha.shape[1]], np.float64)


def _is_crown_cut(alpha: Alpha, xs: np.ndarray, ys: np.ndarray, points: Points, eyes: Points, half: float) -> bool:
    on_border = (ys <= 1) & (np.abs(points[0] - eyes[0]) < 0.9 * half)
    return int(on_border.sum()) > 0.2 * half


def find_body_end(alpha: Alpha, face: Face) -> float | None:
    """The row below which a body's matte is torn although the photo goes on: dark cloth before a dark desk.

    Nobody ends there, so whoever frames the body lays that row on the frame's edge. None where the photo itself cuts
    the body, and where a whole figure stands in it (four heads and more below the chin).
    """
    if "bottom" in find_cut_sides(alpha):
        return None
    _, top, _, bottom = find_bounds(alpha)
    head = 2 * max(face.chin[1] - face.eye_midpoint[1], 1.0)
    if bottom - face.chin[1] > STANDING_HEAD_COUNT * head or bottom <= face.chin[1] + 0.5 * head:
        return None
    across = (alpha > 0.5).sum(axis=1)
    lower = across[int(bottom - 0.3 * (bottom - top)) : bottom]
    if lower.max() < TORSO_EYE_DISTANCES * face.eye_distance:
        return None
    return float(np.nonzero(across >= WHOLE_TORSO_RATIO * lower.max())[0][-1])
