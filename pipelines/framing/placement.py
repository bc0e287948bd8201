"""Fit a subject or a whole photo into a frame, and tell which of its sides the photo itself cuts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Alpha, Frame, Size
from pipelines.core.params import Subject
from pipelines.framing.framings import (
    CUT_TOLERANCE_RATIO,
    GROUND_LINE_RATIO,
    HEADROOM_RATIO,
    MAX_ENLARGEMENT,
    MAX_FILL_RATIO,
    MAX_STANDING_HEIGHT_RATIO,
    Points,
    VerticalAnchor,
)

_MAX_ZOOM_STEP_COUNT = 400  # 1.005 to the 400th is 7.4 times


def find_cut_points(alpha: Alpha, end: float | None) -> Points:
    """Where the photo's border cuts the subject, and where its matte is torn: 2 x n, photo pixels."""
    height, width = alpha.shape
    left, right = np.nonzero(alpha[:, 0] > 0.5)[0], np.nonzero(alpha[:, -1] > 0.5)[0]
    top, bottom = np.nonzero(alpha[0] > 0.5)[0], np.nonzero(alpha[-1] > 0.5)[0]
    torn = np.nonzero(alpha[int(end)] > 0.5)[0] if end is not None else np.zeros(0)
    xs = [np.zeros(len(left)), np.full(len(right), width), top, bottom, torn]
    ys = [left, right, np.zeros(len(top)), np.full(len(bottom), height), np.full(len(torn), end or 0.0)]
    return np.stack([np.concatenate(xs), np.concatenate(ys)]).astype(np.float64)


def zoom_past_cuts(cuts: Points, target: Callable[[float], Points], wanted: float, size: Size) -> float:
    """The smallest scale from `wanted` up, in half percents, at which no cut (2 x n, from the eyes) lies inside."""
    scale = wanted
    far = np.array(size, np.float64)[:, None]
    for _ in range(_MAX_ZOOM_STEP_COUNT if cuts.shape[1] else 0):
        points = target(scale)[:, None] + scale * cuts
        if not np.all((points > 0) & (points < far), axis=0).any():
            break
        scale *= 1.005
    return scale


def frame_subject(
    alpha: Alpha, size: Size, fill: float, params: Subject, *, anchor: VerticalAnchor = "centre", floor: float = 0.86,
    end: float | None = None, limit_to_frame: bool = True,
) -> Frame:  # fmt: skip
    """Fit the subject's box: its longer side is `fill` of the frame's shorter side; centred or standing on `floor`.

    A side that the photo cuts is laid on the frame's own edge, so that the cut never shows inside the picture; below
    `end` (see `body_end`) the subject does not count. Where it is `held`, no scale asked for makes it larger than the
    frame.
    """
    width, height = size
    left, top, right, bottom = find_bounds(alpha)
    bottom = bottom if end is None else end
    most = min(MAX_FILL_RATIO * width / (right - left), MAX_FILL_RATIO * height / (bottom - top))
    filled = fill * min(size) / max(right - left, bottom - top)
    scale = min(filled * params.placement_scale, most) if limit_to_frame else min(filled, most) * params.placement_scale
    cut = find_cut_sides(alpha)
    if "left" in cut and "right" in cut:
        scale = max(scale, width / alpha.shape[1] * 1.0005)
    if "top" in cut and "bottom" in cut:
        scale = max(scale, height / alpha.shape[0] * 1.0005)
    x = width * (0.5 + params.placement_x) - scale * (left + right) / 2
    y = floor * height - scale * bottom if anchor == "floor" else height / 2 - scale * (top + bottom) / 2
    # Of what stands and is taller than the frame the head is kept, not the feet.
    y = HEADROOM_RATIO * height - scale * top if anchor == "floor" and scale * (bottom - top) > height else y
    y += height * params.placement_y
    x = _snap_cut_to_edge(x, scale * alpha.shape[1], width, "left" in cut, "right" in cut)
    y = _snap_cut_to_edge(y, scale * alpha.shape[0], height, "top" in cut, "bottom" in cut)
    frame = make_frame(scale * np.eye(2), np.array([x, y]), scale, 0.0, size, alpha.shape, None)
    notices = []
    if cut:
        notices.append(f"The photo cuts the subject ({', '.join(cut)}); the cut lies on the picture's edge.")
    if scale > MAX_ENLARGEMENT:
        notices.append(f"Enlarged {scale:.1f} times: a larger photo would be sharper.")
    return replace(frame, notices=(*notices, *placement_cut_notices(frame, (left, top, right, bottom), params, cut)))


def frame_photo(
    alpha: Alpha, size: Size, params: Subject, *, end: float | None = None, stands: bool = False
) -> Frame:  # fmt: skip
    """Keep the photo's own framing: native where `size` is the photo's, else the photo covers the frame.

    Where the ratio differs the frame is moved along the photo so that the subject stays in view, and a subject that the
    photo shows whole stays whole; of one that is too tall the head stays. A body that is torn at `end` (see
    `body_end`) goes down until it ends at the frame's edge. What `stands` has ground under it.
    """
    width, height = size
    rows, columns = alpha.shape
    left, top, right, bottom = find_bounds(alpha)
    cut = find_cut_sides(alpha)
    scale = max(width / columns, height / rows)
    free = (
        1.0 if min(width / columns, height / rows) > 0.995 * scale else MAX_FILL_RATIO
    )  # the photo's own shape is kept
    if "left" not in cut and "right" not in cut:
        scale = min(scale, free * width / (right - left))
    if "top" not in cut and "bottom" not in cut:
        scale = min(scale, (MAX_STANDING_HEIGHT_RATIO if stands else free) * height / (bottom - top))
    if abs(scale - 1) < 1e-3:
        scale = 1.0
    scale *= params.placement_scale
    x = width * (0.5 + params.placement_x) - scale * (left + right) / 2
    spare = height - scale * (bottom - top)
    y = height * params.placement_y
    y += HEADROOM_RATIO * height - scale * top if spare < 0 else height - scale * bottom - spare / 2
    x = _cover_frame(x, scale * columns, width) if params.placement_x == 0 else x
    y = _cover_frame(y, scale * rows, height) if params.placement_y == 0 else y
    x = _snap_cut_to_edge(x, scale * columns, width, "left" in cut, "right" in cut)
    y = _snap_cut_to_edge(y, scale * rows, height, "top" in cut, "bottom" in cut)
    if params.placement_y == 0 and "top" not in cut:
        if stands:
            y = min(y, GROUND_LINE_RATIO * height - scale * bottom)
        elif end is not None:
            y = max(y, height - scale * end)
    frame = make_frame(scale * np.eye(2), np.array([x, y]), scale, 0.0, size, alpha.shape, None)
    lower = bottom if end is None else min(bottom, int(end))
    return replace(frame, notices=placement_cut_notices(frame, (left, top, right, lower), params, cut))


def placement_cut_notices(
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
    sides = [side for side, by in beyond.items() if by > CUT_TOLERANCE_RATIO * min(frame.size) and side not in cut]
    return (f"Where you placed it, the picture's edge cuts it ({', '.join(sides)}).",) if sides else ()


def _cover_frame(offset: float, length: float, frame: float) -> float:
    return float(np.clip(offset, frame - length, 0.0)) if length >= frame else (frame - length) / 2


def _snap_cut_to_edge(offset: float, length: float, frame: float, first: bool, last: bool) -> float:
    """Move the photo so that a cut at its first or last edge lies on or outside the frame."""
    if first:
        offset = min(offset, 0.0)
    if last:
        offset = max(offset, frame - length) if not first else float(np.clip(offset, frame - length, 0.0))
    return offset


def find_bounds(alpha: Alpha) -> tuple[int, int, int, int]:
    """left, top, right, bottom (exclusive) of alpha > 0.5; the whole picture where nothing is."""
    mask = alpha > 0.5
    xs, ys = np.nonzero(mask.any(axis=0))[0], np.nonzero(mask.any(axis=1))[0]
    if len(xs) == 0:
        return 0, 0, alpha.shape[1], alpha.shape[0]
    return int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1


def find_cut_sides(alpha: Alpha) -> tuple[str, ...]:
    """The photo's sides that cut the subject: at least 1.5 % of the side is covered."""
    edges = {"left": alpha[:, 0], "top": alpha[0], "right": alpha[:, -1], "bottom": alpha[-1]}
    return tuple(side for side, edge in edges.items() if float((edge > 0.5).mean()) > 0.015)


def missing_body_mask(alpha: Alpha, frame: Frame, end: float | None = None) -> Alpha:
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
    for side in (*find_cut_sides(alpha), *(() if end is None else ("bottom",))):
        out[beyond[side]] = 1
    return out


def make_frame(
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
