"""Fit a subject or a whole photo into a frame, and find the sides at which the photo cuts the subject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pipelines.core.geometry import Alpha, Float64Array, Frame, Size, Window
from pipelines.core.params import MAX_SIDE, Subject
from pipelines.framing.framings import (
    CUT_TOLERANCE_RATIO,
    GROUND_LINE_RATIO,
    HEADROOM_RATIO,
    MAX_ENLARGEMENT,
    MAX_FILL_RATIO,
    MAX_LARGE_ENLARGEMENT,
    MAX_STANDING_HEIGHT_RATIO,
    VerticalAnchor,
)

MIN_TALL_RATIO = 1.25  # height over width of somebody whom the photo shows to the waist
_MAX_ZOOM_STEP_COUNT = 400  # steps of half a percent; 1.005 to the 400th is 7.4 times


def find_cut_points(alpha: Alpha, body_end: float | None) -> Float64Array:
    """Return points where the photo's border cuts the subject, and where its matte is torn: 2 x n, photo pixels."""
    height, width = alpha.shape
    left, right = np.nonzero(alpha[:, 0] > 0.5)[0], np.nonzero(alpha[:, -1] > 0.5)[0]
    top, bottom = np.nonzero(alpha[0] > 0.5)[0], np.nonzero(alpha[-1] > 0.5)[0]
    torn = np.nonzero(alpha[int(body_end)] > 0.5)[0] if body_end is not None else np.zeros(0)
    xs = [np.zeros(len(left)), np.full(len(right), width), top, bottom, torn]
    ys = [left, right, np.zeros(len(top)), np.full(len(bottom), height), np.full(len(torn), body_end or 0.0)]
    return np.stack([np.concatenate(xs), np.concatenate(ys)]).astype(np.float64)


def zoom_past_cuts(
    cuts: Float64Array, place_anchor: Callable[[float], Float64Array], wanted: float, size: Size
) -> float:
    """Find the smallest scale from `wanted` up at which no cut (2 x n, relative to the anchor) lies inside the frame.

    `place_anchor` returns the anchor's place in the frame for a scale.
    """
    scale = wanted
    corner = np.array(size, np.float64)[:, None]
    for _ in range(_MAX_ZOOM_STEP_COUNT if cuts.shape[1] else 0):
        points = place_anchor(scale)[:, None] + scale * cuts
        if not np.all((points > 0) & (points < corner), axis=0).any():
            break
        scale *= 1.005
    return scale


def frame_subject(
    alpha: Alpha,
    size: Size,
    fill: float,
    params: Subject,
    *,
    anchor: VerticalAnchor = "centre",
    floor: float = 0.86,
    body_end: float | None = None,
    limit_to_frame: bool = True,
) -> Frame:
    """Fit the subject's box: its longer side is `fill` of the frame's shorter side; centred or standing on `floor`.

    A side that the photo cuts is laid on the frame's own edge, so that the cut never shows inside the picture. One that
    `is_cut_at_corner` may be taller than the frame: then its head stays. Below
    `body_end` (see `find_torn_matte_row`) the subject does not count. With `limit_to_frame` no `placement_scale` makes
    it larger than the frame.
    """
    width, height = size
    left, top, right, bottom = find_bounds(alpha)
    bottom = bottom if body_end is None else body_end
    max_scale = min(MAX_FILL_RATIO * width / (right - left), MAX_FILL_RATIO * height / (bottom - top))
    fill_scale = fill * min(size) / max(right - left, bottom - top)
    cut_sides = find_cut_sides(alpha)
    goes_on_below = is_cut_at_corner(alpha)
    if goes_on_below:
        max_scale = MAX_FILL_RATIO * width / (right - left)
    scale = min(fill_scale, max_scale) * params.placement_scale
    if limit_to_frame:
        scale = min(fill_scale * params.placement_scale, max_scale)
    if "left" in cut_sides and "right" in cut_sides:
        scale = max(scale, width / alpha.shape[1] * 1.0005)
    if "top" in cut_sides and "bottom" in cut_sides:
        scale = max(scale, height / alpha.shape[0] * 1.0005)
    x = width * (0.5 + params.placement_x) - scale * (left + right) / 2
    y = floor * height - scale * bottom if anchor == "floor" else height / 2 - scale * (top + bottom) / 2
    # When a standing subject is taller than the frame, keep its head and not its feet.
    is_taller = scale * (bottom - top) > height
    y = HEADROOM_RATIO * height - scale * top if is_taller and (anchor == "floor" or goes_on_below) else y
    y += height * params.placement_y
    x = _snap_cut_to_edge(x, scale * alpha.shape[1], width, "left" in cut_sides, "right" in cut_sides)
    y = _snap_cut_to_edge(y, scale * alpha.shape[0], height, "top" in cut_sides, "bottom" in cut_sides)
    frame = make_frame(scale * np.eye(2), np.array([x, y]), scale, 0.0, size, alpha.shape, None)
    notices = enlargement_notices(scale, max(size)) + placement_cut_notices(
        frame, (left, top, right, bottom), params, cut_sides
    )
    if cut_sides:
        cut = f"The photo cuts the subject ({', '.join(cut_sides)}); the cut lies on the picture's edge."
        notices = (cut, *notices)
    return replace(frame, notices=notices)


def frame_photo(
    alpha: Alpha,
    size: Size,
    params: Subject,
    *,
    body_end: float | None = None,
    stands: bool = False,
    highest_ground: float = 0.0,
) -> Frame:
    """Keep the photo's own framing: native where `size` is the photo's, else the photo covers the frame.

    Where the ratio differs the frame is moved along the photo so that the subject stays in view, and a subject that the
    photo shows whole stays whole; of one that is too tall the head stays. A body whose matte is torn at `body_end` (see
    `find_torn_matte_row`) goes down until it ends at the frame's edge. With `stands`, ground is left under the subject,
    whose foot lies no higher than `highest_ground`, a share of the height from the top: above it a place shows walls
    and sky.
    """
    width, height = size
    rows, columns = alpha.shape
    left, top, right, bottom = find_bounds(alpha)
    cut_sides = find_cut_sides(alpha)
    scale = max(width / columns, height / rows)
    has_photo_shape = min(width / columns, height / rows) > 0.995 * scale
    max_fill = 1.0 if has_photo_shape else MAX_FILL_RATIO
    if "left" not in cut_sides and "right" not in cut_sides:
        scale = min(scale, max_fill * width / (right - left))
    if "top" not in cut_sides and "bottom" not in cut_sides:
        scale = min(scale, (MAX_STANDING_HEIGHT_RATIO if stands else max_fill) * height / (bottom - top))
    if abs(scale - 1) < 1e-3:
        scale = 1.0
    scale *= params.placement_scale
    x = width * (0.5 + params.placement_x) - scale * (left + right) / 2
    free_height = height - scale * (bottom - top)
    y = height * params.placement_y
    y += HEADROOM_RATIO * height - scale * top if free_height < 0 else height - scale * bottom - free_height / 2
    x = _cover_frame(x, scale * columns, width) if params.placement_x == 0 else x
    y = _cover_frame(y, scale * rows, height) if params.placement_y == 0 else y
    x = _snap_cut_to_edge(x, scale * columns, width, "left" in cut_sides, "right" in cut_sides)
    y = _snap_cut_to_edge(y, scale * rows, height, "top" in cut_sides, "bottom" in cut_sides)
    if params.placement_y == 0 and "top" not in cut_sides:
        if stands:
            y = float(np.clip(y, highest_ground * height - scale * bottom, GROUND_LINE_RATIO * height - scale * bottom))
        elif body_end is not None:
            y = max(y, height - scale * body_end)
    frame = make_frame(scale * np.eye(2), np.array([x, y]), scale, 0.0, size, alpha.shape, None)
    visible_bottom = bottom if body_end is None else min(bottom, int(body_end))
    return replace(frame, notices=placement_cut_notices(frame, (left, top, right, visible_bottom), params, cut_sides))


def placement_cut_notices(
    frame: Frame, box: tuple[float, float, float, float], params: Subject, cut_sides: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Tell which sides of the picture cut a box (photo pixels) that the user moved or enlarged; not the `cut_sides`."""
    if not (params.placement_x or params.placement_y or params.placement_scale > 1):
        return ()
    sides = [side for side in find_sides_beyond(frame, box) if side not in cut_sides]
    return (f"Where you placed it, the picture's edge cuts it ({', '.join(sides)}).",) if sides else ()


def find_sides_beyond(frame: Frame, box: tuple[float, float, float, float]) -> tuple[str, ...]:
    """Return the sides of the frame beyond which a box (photo pixels) goes on."""
    points = frame.matrix @ np.array([[box[0], box[2], box[0], box[2]], [box[1], box[1], box[3], box[3]], [1.0] * 4])
    (left, top), (right, bottom) = points.min(axis=1), points.max(axis=1)
    beyond = {"left": -left, "top": -top, "right": right - frame.size[0], "bottom": bottom - frame.size[1]}
    limit = CUT_TOLERANCE_RATIO * min(frame.size)
    return tuple(side for side, excess in beyond.items() if excess > limit)


def is_enlarged_too_far(scale: float, longer_px: int) -> bool:
    """Whether a photo has too few pixels for this scale; in a picture of more than `MAX_SIDE`, fewer than are shown."""
    return scale > (MAX_ENLARGEMENT if longer_px <= MAX_SIDE else MAX_LARGE_ENLARGEMENT)


def enlargement_notices(scale: float, longer_px: int) -> tuple[str, ...]:
    """Tell that a photo is enlarged too far."""
    is_too_far = is_enlarged_too_far(scale, longer_px)
    return (f"Enlarged {scale:.1f} times: a larger photo would be sharper.",) if is_too_far else ()


def _cover_frame(offset: float, length: float, frame: float) -> float:
    """Move a photo's side so that it covers the frame's; centre it when it is shorter."""
    return float(np.clip(offset, frame - length, 0.0)) if length >= frame else (frame - length) / 2


def _snap_cut_to_edge(offset: float, length: float, frame: float, first_cut: bool, last_cut: bool) -> float:
    """Move the photo so that a cut at its first or last edge lies on or outside the frame."""
    if last_cut:
        offset = max(offset, frame - length)
    return min(offset, 0.0) if first_cut else offset


def find_bounds(alpha: Alpha) -> Window:
    """Return left, top, right, bottom (exclusive) of alpha > 0.5; the whole picture where nothing is."""
    mask = alpha > 0.5
    xs, ys = np.nonzero(mask.any(axis=0))[0], np.nonzero(mask.any(axis=1))[0]
    if len(xs) == 0:
        return 0, 0, alpha.shape[1], alpha.shape[0]
    return int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1


def find_cut_sides(alpha: Alpha) -> tuple[str, ...]:
    """Return the photo's sides that cut the subject: at least 1.5 % of the side is covered."""
    edges = {"left": alpha[:, 0], "top": alpha[0], "right": alpha[:, -1], "bottom": alpha[-1]}
    return tuple(side for side, edge in edges.items() if float((edge > 0.5).mean()) > 0.015)


def is_cut_at_corner(alpha: Alpha) -> bool:
    """Tell whether the photo cuts a tall subject below and at one side, as a body at the photo's edge."""
    sides = find_cut_sides(alpha)
    left, top, right, bottom = find_bounds(alpha)
    is_tall = bottom - top > MIN_TALL_RATIO * (right - left)
    return is_tall and "bottom" in sides and ("left" in sides) != ("right" in sides)


def missing_body_mask(alpha: Alpha, frame: Frame, body_end: float | None = None) -> Alpha:
    """Return 1 where the photo ends although the subject goes on: beyond cut sides, below `body_end`; 0 elsewhere."""
    width, height = frame.size
    rows, columns = alpha.shape
    pixels = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5))
    inverse = np.linalg.inv(np.vstack([frame.matrix, [0, 0, 1]]))
    x, y = (inverse[n, 0] * pixels[0] + inverse[n, 1] * pixels[1] + inverse[n, 2] for n in (0, 1))
    beyond = {"left": x < 0, "top": y < 0, "right": x > columns, "bottom": y > (rows if body_end is None else body_end)}
    out = np.zeros((height, width), np.float32)
    for side in (*find_cut_sides(alpha), *(() if body_end is None else ("bottom",))):
        out[beyond[side]] = 1
    return out


def make_frame(
    linear: Float64Array,
    shift: Float64Array,
    scale: float,
    roll: float,
    size: Size,
    shape: tuple[int, ...],
    eye_line: float | None,
) -> Frame:
    """Build the frame of a photo of `shape` from a linear map (2 x 2) and a shift; a native shift is rounded."""
    native = roll == 0.0 and scale == 1.0
    shift = np.round(shift) if native else shift
    matrix = np.hstack([linear, np.reshape(shift, (2, 1))])
    rows, columns = shape[:2]
    corners = matrix @ np.array([[0, columns, 0, columns], [0, 0, rows, rows], [1, 1, 1, 1]], np.float64)
    (left, top), (right, bottom) = corners.min(axis=1), corners.max(axis=1)
    return Frame(matrix, size, scale, roll, native, (left, top, right, bottom), eye_line)
