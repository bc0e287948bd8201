"""Place one product or several in a frame: seven placements, one floor line, margins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from pipelines.core.geometry import Alpha, Frame, Size
from pipelines.core.params import Subject
from pipelines.framing.framings import size_for_ratio
from pipelines.framing.placement import find_bounds, find_cut_sides, find_sides_beyond, frame_subject, is_cut_at_corner

PlacementId = Literal["centre", "left", "right", "top", "bottom", "lower-left", "lower-right"]
# Centre of the product in shares of the frame: on the lines of thirds, so that text has room beside it.
PLACEMENTS: dict[str, tuple[float, float]] = {
    "centre": (1 / 2, 1 / 2), "left": (1 / 3, 1 / 2), "right": (2 / 3, 1 / 2), "top": (1 / 2, 1 / 3),
    "bottom": (1 / 2, 2 / 3), "lower-left": (1 / 3, 2 / 3), "lower-right": (2 / 3, 2 / 3),
}  # fmt: skip
ASIDE_FILL_RATIO = 0.5  # of the frame: fill of a product that stands aside, unless one is asked for
CENTRED_FLOOR = 0.0  # as a floor: the line on which a product of this fill is centred
PRODUCT_MARGIN_RATIO = 0.04  # of the frame, around products that do not stand in its centre
MIN_SHOWN_RATIO = 0.5  # of the height of a tall product, or of somebody, that the photo cuts at one side and below
_UNMOVED_RATIO = 0.002  # of the frame: a photo that just covers it has this much play, and nobody sees it move
_TRIED_SIDE_PX = 1000  # longer side of the frames that are compared
GAP_RATIO = 0.10  # of their height, between products


def arrange_products(
    alphas: Sequence[Alpha],
    size: Size,
    fill: float,
    placement: PlacementId,
    floor: float | None,
    params: Subject,
    *,
    fill_from_cut: bool = False,
) -> list[Frame]:
    """Frame each product: one alone, or several side by side on one line.

    `fill` is the longer side, or in a row the height, over the frame's shorter side. They stand on `floor`, a share of
    the height (`CENTRED_FLOOR`: the one that centres them); None centres them. `params` moves and scales. With
    `fill_from_cut` one in the centre that the photo cuts is larger, see `_find_fill_from_cut`.
    """
    if len(alphas) > 1:
        return _place_in_row(alphas, size, fill, placement, floor or CENTRED_FLOOR, params)
    x, y = PLACEMENTS[placement]
    placed = _with_placement(params, x - 0.5 + params.placement_x, y - 0.5 + params.placement_y)
    if fill_from_cut and placement == "centre":
        fill = _find_fill_from_cut(alphas[0], size, fill, floor)
    frame = _place_single(alphas[0], size, fill, floor, placed)
    if placement == "centre":
        return [frame]
    left, top, right, bottom = subject_box(alphas[0], frame)
    inside = _with_placement(
        placed,
        placed.placement_x + _inward_shift(left / size[0], right / size[0]),
        placed.placement_y + _inward_shift(top / size[1], bottom / size[1]),
    )
    return [_place_single(alphas[0], size, fill, floor, inside)]


def find_shape_cuts(
    alpha: Alpha, shape: str, shapes: Mapping[str, Size], frame_product: Callable[[Size], Frame]
) -> tuple[tuple[str, ...], str]:
    """Find the sides at which a shape cuts what the photo shows of the product, and the nearest shape that does not.

    `shapes` are width to height by name; `frame_product` frames it in a size of pixels as if nothing were moved. The
    other shape is "" where there is none, or nothing is cut.
    """

    def find_cuts(name: str) -> tuple[str, ...]:
        return find_sides_beyond(frame_product(size_for_ratio(shapes[name], _TRIED_SIDE_PX)), find_bounds(alpha))

    sides = find_cuts(shape)
    if not sides:
        return (), ""
    ratios = {name: np.log(width / height) for name, (width, height) in shapes.items()}
    nearest = sorted(shapes, key=lambda name: abs(ratios[name] - ratios[shape]))
    return sides, next((other for other in nearest if not find_cuts(other)), "")


def describe_shape_cuts(shape: str, sides: Sequence[str], better_shape: str) -> str:
    """Say that a shape cuts the subject at `sides`, and what would not."""
    told = f"{shape} cuts the subject ({', '.join(sides)})"
    if better_shape:
        return f"{told}; {better_shape} shows as much of it as the photo."
    return f"{told}; another photo with more room around it would not."


def unfollowed_notices(alpha: Alpha, frame: Frame, plain: Frame, params: Subject, *, is_aside: bool) -> tuple[str, ...]:
    """Tell which wishes change nothing in `frame`, because the photo cuts the product; `plain` has none of them."""
    cuts = set(find_cut_sides(alpha))
    is_stretched = cuts >= {"left", "right"} or cuts >= {"top", "bottom"}
    has_moved = is_aside or params.placement_x != 0 or params.placement_y != 0
    has_same_scale = frame.scale == plain.scale
    shift_px = float(np.abs(frame.matrix[:, 2] - plain.matrix[:, 2]).max())
    unfollowed = ["Scale"] if is_stretched and params.placement_scale != 1 and has_same_scale else []
    if cuts and has_moved and has_same_scale and shift_px < _UNMOVED_RATIO * min(frame.size):
        unfollowed.append("Placement")
    if not unfollowed:
        return ()
    names = " and ".join(unfollowed)
    return (f"Not followed, because the photo cuts the subject and the cuts stay at the picture's edge: {names}.",)


def subject_box(alpha: Alpha, frame: Frame) -> tuple[float, float, float, float]:
    """Return the subject's left, top, right, bottom in pixels of a frame without roll."""
    left, top, right, bottom = find_bounds(alpha)
    x, y = frame.matrix[:, 2]
    return x + frame.scale * left, y + frame.scale * top, x + frame.scale * right, y + frame.scale * bottom


def _place_single(alpha: Alpha, size: Size, fill: float, floor: float | None, params: Subject) -> Frame:
    """Frame one product, standing on `floor` or centred."""
    if floor is None:
        return frame_subject(alpha, size, fill, params)
    left, top, right, bottom = find_bounds(alpha)
    height = fill * min(size) * (bottom - top) / max(right - left, bottom - top)
    return frame_subject(alpha, size, fill, params, anchor="floor", floor=floor or _centring_floor(height, size))


def _find_fill_from_cut(alpha: Alpha, size: Size, fill: float, floor: float | None) -> float:
    """Return the fill with which a product cut at one side, or at two adjacent ones, leaves no empty side opposite.

    A cut lies on the picture's edge, so all room of its direction would lie opposite: twice the usual, and below a cut
    top so much that the product hangs over its ground. It grows until the usual room is left there, or on another side
    no more than the margin. Of a tall one that is cut at one side and below as little as half may be shown.
    """
    cuts = {*find_cut_sides(alpha)}
    if not cuts or cuts >= {"left", "right"} or cuts >= {"top", "bottom"}:
        return fill
    left, top, right, bottom = find_bounds(alpha)
    scale = fill * min(size) / max(right - left, bottom - top)
    width, height = scale * (right - left) / size[0], scale * (bottom - top) / size[1]
    below = 1 - floor if floor else (1 - height) / 2
    above = 1 - height - below
    max_width = (1 + width) / 2 if cuts & {"left", "right"} else 1 - 2 * PRODUCT_MARGIN_RATIO
    if "top" in cuts:
        max_height = 1 - below
    elif is_cut_at_corner(alpha):  # it is cut higher, else the frame's other half is empty
        max_height = 1 / MIN_SHOWN_RATIO
    elif "bottom" in cuts:
        max_height = 1 - above
    else:
        max_height = 1 - PRODUCT_MARGIN_RATIO - (below if floor else PRODUCT_MARGIN_RATIO)
    return fill * max(1.0, min(max_width / width, max_height / height))


def _centring_floor(height: float, size: Size) -> float:
    """Return the floor, a share of the height, on which something `height` pixels tall is centred."""
    return min(0.97, 0.5 + 0.5 * height / size[1])


def _with_placement(params: Subject, x: float, y: float) -> Subject:
    """Return `params` with another placement."""
    return params.model_copy(update={"placement_x": x, "placement_y": y})


def _inward_shift(first: float, last: float) -> float:
    """Return the shift, in shares, that brings a span inside the margins."""
    return max(0.0, PRODUCT_MARGIN_RATIO - first) - max(0.0, last - (1 - PRODUCT_MARGIN_RATIO))


def _place_in_row(
    alphas: Sequence[Alpha], size: Size, fill: float, placement: PlacementId, floor: float, params: Subject
) -> list[Frame]:
    """Place products side by side, equally high (photos do not tell real sizes), with a gap that keeps cores apart."""
    width, height = size
    boxes = [find_bounds(alpha) for alpha in alphas]
    ratios = [(right - left) / (bottom - top) for left, top, right, bottom in boxes]
    total_width = sum(ratios) + GAP_RATIO * (len(ratios) - 1)
    max_height = (1 - 2 * PRODUCT_MARGIN_RATIO) * width / total_width
    product_height = min(fill * min(size), max_height) * params.placement_scale
    centre, centre_line = PLACEMENTS[placement]
    floor = (floor or _centring_floor(product_height, size)) + centre_line - 0.5 + params.placement_y
    floor = float(np.clip(floor, PRODUCT_MARGIN_RATIO + product_height / height, 1 - PRODUCT_MARGIN_RATIO))
    x = width * (centre + params.placement_x) - product_height * total_width / 2
    margin = PRODUCT_MARGIN_RATIO * width
    x = float(np.clip(x, margin, max(margin, (1 - PRODUCT_MARGIN_RATIO) * width - product_height * total_width)))
    frames = []
    for alpha, ratio in zip(alphas, ratios, strict=True):
        placement_x = float(np.clip((x + product_height * ratio / 2) / width - 0.5, -0.5, 0.5))
        fill = product_height * max(ratio, 1.0) / min(size)
        subject = Subject(photo="", placement_x=placement_x)
        frames.append(frame_subject(alpha, size, fill, subject, anchor="floor", floor=floor))
        x += product_height * (ratio + GAP_RATIO)
    return frames
