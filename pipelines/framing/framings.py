"""Where a subject stands in the frame, and the one stated resampling that brings it there; draws nothing itself.

The framing table and its tolerances are CRAFT's; sources differ, so they are rows of data.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.types import Alpha, Cutout, Face, Frame, Image, Placed, Size, Subject
from pipelines.matting.cutout import core_of

Points: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]
FramingId = Literal["tight", "classic", "wide", "actor", "badge"]
Floor = Literal["floor", "centre"]

MIN_EYE_DISTANCE = 60
MAX_ENLARGEMENT = 2.0
# Below a degree nobody sees it; above eight the lean is a pose, not an accident.
LEVELLED_ROLL = (1.0, 8.0)
SAMPLING = "bicubic"
BEYOND = 0.01  # of the frame's shorter side: less over the edge is not seen as cut
HEADROOM = 0.04  # of the height, over the crown
FREE = 0.97  # of a side, the most that a subject takes which the photo shows whole
STANDS_TALL = 0.88  # of the height, the most that something takes which stands
GROUND = 0.94  # of the height: lower down nothing stands, since nothing is seen below it
STANDING = 4.0  # heads below the chin; a figure seen to its feet has five and a half, a seated one over four
TORSO = 4.0  # eye distances: legs together are narrower
WHOLE = 0.85  # of a torso's width: above the row where less of it is left, it is not torn
EASE = 0.7  # pixels of the photo: a sharp photo's own edges are about as soft
CHOKE = 0.3
_PAD = 3
PREVIEW_GROUND = 176
_CLOSER_STEPS = 400  # 1.005 to the 400th is 7.4 times


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


def framing(framing_id: str) -> Framing:
    """The row of `FRAMINGS`."""
    return next(row for row in FRAMINGS if row.id == framing_id)


def size_of(ratio: tuple[int, int], longer: int) -> Size:
    """(width, height) with this ratio and longer side, both even."""
    across, down = ratio
    scale = longer / max(across, down)
    return 2 * round(across * scale / 2), 2 * round(down * scale / 2)


# ---------------------------------------------------------------- heads


def head_of(cutout: Cutout, face: Face) -> tuple[float, float]:
    """Pixels of the photo from chin to crown, and from the eyes' line to the crown, once the head is levelled."""
    turn = _turn(_levelled(face))
    eyes, chin = turn @ np.array(face.eyes), turn @ np.array(face.chin)
    crown, _ = _crown(cutout.alpha, face, turn, eyes)
    return max(float(chin[1]) - crown, 1.0), float(eyes[1]) - crown


def _levelled(face: Face) -> float:
    """Degrees that are taken out: a slight lean, not a pose."""
    return face.roll if LEVELLED_ROLL[0] <= abs(face.roll) <= LEVELLED_ROLL[1] else 0.0


def head_frame(
    cutout: Cutout, face: Face, row: Framing, size: Size, params: Subject, *, closer: bool = True
) -> Frame:  # fmt: skip
    """Frame a head by the table: chin to crown, eye line, centre; level a slight roll.

    Where the photo ends inside the frame the head is framed closer, as far as it takes, and a notice says so; not with
    `closer` off, for whoever draws what the photo lacks.
    """
    roll = _levelled(face)
    width, height = size
    turn = _turn(roll)
    eyes = turn @ np.array(face.eyes)
    chin = turn @ np.array(face.chin)
    crown, cut_crown = _crown(cutout.alpha, face, turn, eyes)
    head = max(float(chin[1]) - crown, 1.0)
    wanted = row.head * height / head * params.placement_scale
    tops = turn @ np.stack([np.nonzero(cutout.alpha[0] > 0.5)[0], np.zeros(int((cutout.alpha[0] > 0.5).sum()))])
    cut_at = float(tops[1].max()) if tops.shape[1] else None
    anchor = np.array([0.5 * (eyes[0] + chin[0]) if roll == 0.0 else float(eyes[0]), eyes[1]])

    def target(scale: float, aside: float = 0.0) -> Points:
        # A head that has to be framed closer moves down rather than lose its crown.
        eye_line = max(row.eyes * height, HEADROOM * height + scale * (float(eyes[1]) - crown))
        # No larger scale brings a crown back that the photo cuts: its cut lies on the frame's edge.
        eye_line = min(eye_line, scale * (float(eyes[1]) - cut_at)) if cut_at is not None else eye_line
        return np.array([width * (0.5 + params.placement_x + aside), eye_line + height * params.placement_y])

    cuts = turn @ _cut_points(cutout.alpha, body_end(cutout.alpha, face)) - anchor[:, None]
    scale = _closer(cuts, target, wanted, size) if closer else wanted
    if scale > 1.02 * wanted:
        # Close by, a head that is turned has its face beside its middle, and would lose the back of it.
        ends = _head_ends(cutout.alpha, face) - float(anchor[0])
        for aside in (0.0, *(step * side / 100 for step in range(2, 22, 2) for side in (-1, 1))):
            beside = partial(target, aside=aside)
            near = _closer(cuts, beside, wanted, size)
            if (np.abs(beside(near)[0] + near * ends - 0.5 * width) <= 0.5 * width).all():
                scale, target = near, beside
                break
    notices = list(_head_notices(face, scale, wanted, cut_crown))
    there = target(scale)
    frame = _frame(scale * turn, there - scale * anchor, scale, roll, size, cutout.alpha.shape, float(there[1]))
    left, right = _head_ends(cutout.alpha, face)
    seen = (left, face.chin[1] - head, right, face.chin[1])
    return replace(frame, notices=(*notices, *_cut_by_hand(frame, seen, params, ("top",) if cut_crown else ())))


def _head_notices(face: Face, scale: float, wanted: float, cut_crown: bool) -> list[str]:
    notices = []
    if scale > 1.02 * wanted:
        notices.append("Framed closer than asked: the photo ends there, and its border must not show.")
    if cut_crown:
        notices.append("The photo cuts the top of the head.")
    if face.eye_distance < MIN_EYE_DISTANCE:
        notices.append(f"The face is small in this photo: {face.eye_distance:.0f} pixels between the eyes.")
    if scale > MAX_ENLARGEMENT:
        notices.append(f"Enlarged {scale:.1f} times: a larger photo would be sharper.")
    return notices


def _turn(degrees: float) -> npt.NDArray[np.float64]:
    """Rotation that levels eyes which lean `degrees` clockwise on the screen (y points down)."""
    angle = math.radians(-degrees)
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _crown(alpha: Alpha, face: Face, turn: npt.NDArray[np.float64], eyes: Points) -> tuple[float, bool]:
    """The head's top in levelled pixels, read from the matte so that hair, hat and hijab count; whether it is cut."""
    cheeks = turn @ face.landmarks[[234, 454]].astype(np.float64).T
    half = 0.5 * abs(float(cheeks[0, 1] - cheeks[0, 0]))
    # Only the columns over the head are looked at, and no row under the eyes: a photo may have 48 million pixels.
    left, below = max(0, int(face.eyes[0] - 3 * half)), int(max(face.left_eye[1], face.right_eye[1]) + half) + 1
    ys, xs = np.nonzero(alpha[:below, left : int(face.eyes[0] + 3 * half) + 1] > 0.5)
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
    cut = bool(ys.min() <= 1) and _touches_top(alpha, xs, ys, points, eyes, half)
    return (min(top, bare), True) if cut else (top, False)


def _head_ends(alpha: Alpha, face: Face) -> npt.NDArray[np.float64]:
    """x of the head's left and right end in the photo, from the brow to the nose: where no shoulder is."""
    top = max(int(min(face.left_eye[1], face.right_eye[1]) - 0.5 * face.eye_distance), 0)
    rows = alpha[top : max(int(max(face.left_eye[1], face.right_eye[1]) + 0.5 * face.eye_distance), top + 1)]
    apart = np.flatnonzero((rows > 0.5).mean(axis=0) < 0.5)
    at = float(face.eyes[0])
    left, right = apart[apart < at], apart[apart > at]
    return np.array([left[-1] + 1 if len(left) else 0, right[0] if len(right) else alpha.shape[1]], np.float64)


def _touches_top(alpha: Alpha, xs: np.ndarray, ys: np.ndarray, points: Points, eyes: Points, half: float) -> bool:
    on_border = (ys <= 1) & (np.abs(points[0] - eyes[0]) < 0.9 * half)
    return int(on_border.sum()) > 0.2 * half


def body_end(alpha: Alpha, face: Face) -> float | None:
    """The row below which a body's matte is torn although the photo goes on: dark cloth before a dark desk.

    Nobody ends there, so whoever frames the body lays that row on the frame's edge. None where the photo itself cuts
    the body, and where a whole figure stands in it (four heads and more below the chin).
    """
    if "bottom" in sides_cut(alpha):
        return None
    _, top, _, bottom = bounds(alpha)
    head = 2 * max(face.chin[1] - face.eyes[1], 1.0)
    if bottom - face.chin[1] > STANDING * head or bottom <= face.chin[1] + 0.5 * head:
        return None
    across = (alpha > 0.5).sum(axis=1)
    lower = across[int(bottom - 0.3 * (bottom - top)) : bottom]
    if lower.max() < TORSO * face.eye_distance:
        return None
    return float(np.nonzero(across >= WHOLE * lower.max())[0][-1])


def _cut_points(alpha: Alpha, end: float | None) -> Points:
    """Where the photo's border cuts the subject, and where its matte is torn: 2 x n, photo pixels."""
    height, width = alpha.shape
    left, right = np.nonzero(alpha[:, 0] > 0.5)[0], np.nonzero(alpha[:, -1] > 0.5)[0]
    top, bottom = np.nonzero(alpha[0] > 0.5)[0], np.nonzero(alpha[-1] > 0.5)[0]
    torn = np.nonzero(alpha[int(end)] > 0.5)[0] if end is not None else np.zeros(0)
    xs = [np.zeros(len(left)), np.full(len(right), width), top, bottom, torn]
    ys = [left, right, np.zeros(len(top)), np.full(len(bottom), height), np.full(len(torn), end or 0.0)]
    return np.stack([np.concatenate(xs), np.concatenate(ys)]).astype(np.float64)


def _closer(cuts: Points, target: Callable[[float], Points], wanted: float, size: Size) -> float:
    """The smallest scale from `wanted` up, in half percents, at which no cut (2 x n, from the eyes) lies inside."""
    scale = wanted
    far = np.array(size, np.float64)[:, None]
    for _ in range(_CLOSER_STEPS if cuts.shape[1] else 0):
        points = target(scale)[:, None] + scale * cuts
        if not np.all((points > 0) & (points < far), axis=0).any():
            break
        scale *= 1.005
    return scale


# ---------------------------------------------------------------- anything else


def fill_frame(
    alpha: Alpha, size: Size, fill: float, params: Subject, *, stand: Floor = "centre", floor: float = 0.86,
    end: float | None = None, held: bool = True,
) -> Frame:  # fmt: skip
    """Fit the subject's box: its longer side is `fill` of the frame's shorter side; centred or standing on `floor`.

    A side that the photo cuts is laid on the frame's own edge, so that the cut never shows inside the picture; below
    `end` (see `body_end`) the subject does not count. Where it is `held`, no scale asked for makes it larger than the
    frame.
    """
    width, height = size
    left, top, right, bottom = bounds(alpha)
    bottom = bottom if end is None else end
    most = min(FREE * width / (right - left), FREE * height / (bottom - top))
    filled = fill * min(size) / max(right - left, bottom - top)
    scale = min(filled * params.placement_scale, most) if held else min(filled, most) * params.placement_scale
    cut = sides_cut(alpha)
    if "left" in cut and "right" in cut:
        scale = max(scale, width / alpha.shape[1] * 1.0005)
    if "top" in cut and "bottom" in cut:
        scale = max(scale, height / alpha.shape[0] * 1.0005)
    x = width * (0.5 + params.placement_x) - scale * (left + right) / 2
    y = floor * height - scale * bottom if stand == "floor" else height / 2 - scale * (top + bottom) / 2
    # Of what stands and is taller than the frame the head is kept, not the feet.
    y = HEADROOM * height - scale * top if stand == "floor" and scale * (bottom - top) > height else y
    y += height * params.placement_y
    x = _to_edge(x, scale * alpha.shape[1], width, "left" in cut, "right" in cut)
    y = _to_edge(y, scale * alpha.shape[0], height, "top" in cut, "bottom" in cut)
    frame = _frame(scale * np.eye(2), np.array([x, y]), scale, 0.0, size, alpha.shape, None)
    notices = []
    if cut:
        notices.append(f"The photo cuts the subject ({', '.join(cut)}); the cut lies on the picture's edge.")
    if scale > MAX_ENLARGEMENT:
        notices.append(f"Enlarged {scale:.1f} times: a larger photo would be sharper.")
    return replace(frame, notices=(*notices, *_cut_by_hand(frame, (left, top, right, bottom), params, cut)))


def photo_frame(
    alpha: Alpha, size: Size, params: Subject, *, end: float | None = None, stands: bool = False
) -> Frame:  # fmt: skip
    """Keep the photo's own framing: native where `size` is the photo's, else the photo covers the frame.

    Where the ratio differs the frame is moved along the photo so that the subject stays in view, and a subject that the
    photo shows whole stays whole; of one that is too tall the head stays. A body that is torn at `end` (see
    `body_end`) goes down until it ends at the frame's edge. What `stands` has ground under it.
    """
    width, height = size
    rows, columns = alpha.shape
    left, top, right, bottom = bounds(alpha)
    cut = sides_cut(alpha)
    scale = max(width / columns, height / rows)
    free = 1.0 if min(width / columns, height / rows) > 0.995 * scale else FREE  # the photo's own shape is kept
    if "left" not in cut and "right" not in cut:
        scale = min(scale, free * width / (right - left))
    if "top" not in cut and "bottom" not in cut:
        scale = min(scale, (STANDS_TALL if stands else free) * height / (bottom - top))
    if abs(scale - 1) < 1e-3:
        scale = 1.0
    scale *= params.placement_scale
    x = width * (0.5 + params.placement_x) - scale * (left + right) / 2
    spare = height - scale * (bottom - top)
    y = height * params.placement_y
    y += HEADROOM * height - scale * top if spare < 0 else height - scale * bottom - spare / 2
    x = _cover(x, scale * columns, width) if params.placement_x == 0 else x
    y = _cover(y, scale * rows, height) if params.placement_y == 0 else y
    x = _to_edge(x, scale * columns, width, "left" in cut, "right" in cut)
    y = _to_edge(y, scale * rows, height, "top" in cut, "bottom" in cut)
    if params.placement_y == 0 and "top" not in cut:
        if stands:
            y = min(y, GROUND * height - scale * bottom)
        elif end is not None:
            y = max(y, height - scale * end)
    frame = _frame(scale * np.eye(2), np.array([x, y]), scale, 0.0, size, alpha.shape, None)
    lower = bottom if end is None else min(bottom, int(end))
    return replace(frame, notices=_cut_by_hand(frame, (left, top, right, lower), params, cut))


def _cut_by_hand(
    frame: Frame, box: tuple[float, float, float, float], params: Subject, cut: tuple[str, ...] = ()
) -> tuple[str, ...]:  # fmt: skip
    """Says which sides of the picture cut `box` (left, top, right, bottom; photo pixels) since somebody moved it or
    made it larger; not those at which the photo has `cut` it already.
    """
    if not (params.placement_x or params.placement_y or params.placement_scale > 1):
        return ()
    points = frame.matrix @ np.array([[box[0], box[2], box[0], box[2]], [box[1], box[1], box[3], box[3]], [1.0] * 4])
    (left, top), (right, bottom) = points.min(axis=1), points.max(axis=1)
    beyond = {"left": -left, "top": -top, "right": right - frame.size[0], "bottom": bottom - frame.size[1]}
    sides = [side for side, by in beyond.items() if by > BEYOND * min(frame.size) and side not in cut]
    return (f"Where you placed it, the picture's edge cuts it ({', '.join(sides)}).",) if sides else ()


def _cover(offset: float, length: float, frame: float) -> float:
    return float(np.clip(offset, frame - length, 0.0)) if length >= frame else (frame - length) / 2


def _to_edge(offset: float, length: float, frame: float, first: bool, last: bool) -> float:
    """Move the photo so that a cut at its first or last edge lies on or outside the frame."""
    if first:
        offset = min(offset, 0.0)
    if last:
        offset = max(offset, frame - length) if not first else float(np.clip(offset, frame - length, 0.0))
    return offset


def bounds(alpha: Alpha) -> tuple[int, int, int, int]:
    """left, top, right, bottom (exclusive) of alpha > 0.5; the whole picture where nothing is."""
    mask = alpha > 0.5
    xs, ys = np.nonzero(mask.any(axis=0))[0], np.nonzero(mask.any(axis=1))[0]
    if len(xs) == 0:
        return 0, 0, alpha.shape[1], alpha.shape[0]
    return int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1


def sides_cut(alpha: Alpha) -> tuple[str, ...]:
    """The photo's sides that cut the subject: at least 1.5 % of the side is covered."""
    edges = {"left": alpha[:, 0], "top": alpha[0], "right": alpha[:, -1], "bottom": alpha[-1]}
    return tuple(side for side, edge in edges.items() if float((edge > 0.5).mean()) > 0.015)


def missing(alpha: Alpha, frame: Frame, end: float | None = None) -> Alpha:
    """1 in the frame where the photo, whose `alpha` it is, ends although the subject goes on: beyond each side that
    cuts it, and below `end` (see `body_end`). 0 elsewhere, and everywhere when nothing is cut inside the frame.
    """
    width, height = frame.size
    rows, columns = alpha.shape
    there = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5))
    back = np.linalg.inv(np.vstack([frame.matrix, [0, 0, 1]]))
    x, y = (back[n, 0] * there[0] + back[n, 1] * there[1] + back[n, 2] for n in (0, 1))
    beyond = {"left": x < 0, "top": y < 0, "right": x > columns, "bottom": y > (rows if end is None else end)}
    out = np.zeros((height, width), np.float32)
    for side in (*sides_cut(alpha), *(() if end is None else ("bottom",))):
        out[beyond[side]] = 1
    return out


# ---------------------------------------------------------------- the one resampling


def _frame(
    linear: npt.NDArray[np.float64], shift: Points, scale: float, roll: float, size: Size, shape: tuple[int, ...],
    eye_line: float | None,
) -> Frame:  # fmt: skip
    native = roll == 0.0 and scale == 1.0
    shift = np.round(shift) if native else shift
    matrix = np.hstack([linear, np.reshape(shift, (2, 1))])
    rows, columns = shape[:2]
    corners = matrix @ np.array([[0, columns, 0, columns], [0, 0, rows, rows], [1, 1, 1, 1]], np.float64)
    (left, top), (right, bottom) = corners.min(axis=1), corners.max(axis=1)
    return Frame(matrix, size, scale, roll, native, (left, top, right, bottom), eye_line)


def place(photo: Image, cutout: Cutout, frame: Frame) -> Placed:
    """The cut-out in frame pixels. Inside the core the colour comes from the photo alone, elsewhere from the estimate.

    The estimate differs from the photo next to the edge; a resampling kernel would carry that difference inwards.
    """
    alpha = np.clip(resample(cutout.alpha, frame), 0.0, 1.0).astype(np.float32)
    alpha = alpha if frame.native else eased(alpha, frame)  # what is cut out at its own size keeps its matte
    colour = resample(cutout.colour, frame)
    core = core_of(alpha)
    colour[core] = resample(photo, frame)[core]
    return Placed(colour, alpha, frame)


def eased(alpha: Alpha, frame: Frame) -> Alpha:
    """`alpha` (H x W, in the frame) with an edge as soft as a lens draws one, a little inside the one given.

    A matte is decided pixel by pixel of the photo; enlarged, its steps show as stairs. The outermost part of an edge is
    where the old ground shines through most, so that is what is left out.
    """
    soft = cv2.GaussianBlur(alpha, (0, 0), EASE * max(frame.scale, 1.0), borderType=cv2.BORDER_REPLICATE)
    return np.clip((soft - CHOKE) / (1 - CHOKE), 0, 1).astype(np.float32)


def resample(source: np.ndarray, frame: Frame) -> np.ndarray:
    """`source` (photo size) seen in the frame: a copy where native, else bicubic, supersampled when it shrinks."""
    width, height = frame.size
    if frame.native:
        return _shift(source, int(frame.matrix[0, 2]), int(frame.matrix[1, 2]), frame.size)
    # Bicubic looks at 4 x 4 pixels only: below 0.7 it would skip some, so it samples finer and averages.
    finer = max(1, math.ceil(0.7 / frame.scale))
    centre = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    unpad = np.array([[1, 0, -_PAD], [0, 1, -_PAD], [0, 0, 1.0]])
    whole = np.vstack([frame.matrix, [0, 0, 1]])
    # cv2 puts pixel centres on whole numbers; the frame's matrix speaks of pixel edges.
    matrix = np.linalg.inv(centre) @ np.diag([finer, finer, 1.0]) @ whole @ unpad @ centre
    # Opacity ends just beyond the photo, not on its last pixel, which the frame's edge may still sample.
    padded = cv2.copyMakeBorder(source, _PAD, _PAD, _PAD, _PAD, cv2.BORDER_REPLICATE)
    border = cv2.BORDER_REPLICATE if source.ndim == 3 else cv2.BORDER_CONSTANT
    large = (width * finer, height * finer)
    drawn = cv2.warpAffine(padded, matrix[:2], large, flags=cv2.INTER_CUBIC, borderMode=border)
    if finer > 1:
        drawn = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
    return drawn


def _shift(source: np.ndarray, x: int, y: int, size: Size) -> np.ndarray:
    width, height = size
    out = np.zeros((height, width, *source.shape[2:]), source.dtype)
    rows, columns = source.shape[:2]
    left, top, right, bottom = max(0, x), max(0, y), min(width, x + columns), min(height, y + rows)
    if right > left and bottom > top:
        out[top:bottom, left:right] = source[top - y : bottom - y, left - x : right - x]
    return out


def resampling(frame: Frame) -> str:
    """The sentence for the receipt."""
    if frame.native:
        return "none"
    turned = f", turned {-frame.roll:.1f} degrees" if frame.roll else ""
    return f"{SAMPLING} x {frame.scale:.3f}{turned}"


def over(colour: Image, alpha: Alpha, ground: int = PREVIEW_GROUND) -> Image:
    """A cut-out on plain grey of that level: what the first previews show."""
    weight = alpha[..., None]
    return np.asarray(colour * weight + ground * (1 - weight) + 0.5, np.uint8)
