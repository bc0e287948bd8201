"""Where one product or several stand in a frame: seven placements, one line, margins; knows no scene and no rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from pipelines.core.geometry import Alpha, Frame, Size
from pipelines.core.params import Subject
from pipelines.framing.placement import find_bounds, frame_subject

PlacementId = Literal["centre", "left", "right", "top", "bottom", "lower-left", "lower-right"]
# Where the middle goes, in shares of the frame: on the lines of thirds, so that words find room beside it.
PLACEMENTS: dict[str, tuple[float, float]] = {
    "centre": (1 / 2, 1 / 2), "left": (1 / 3, 1 / 2), "right": (2 / 3, 1 / 2), "top": (1 / 2, 1 / 3),
    "bottom": (1 / 2, 2 / 3), "lower-left": (1 / 3, 2 / 3), "lower-right": (2 / 3, 2 / 3),
}  # fmt: skip
ASIDE_FILL_RATIO = 0.5  # fill of a product that stands aside, unless one is asked for
CENTRED_FLOOR = 0.0
"""As a floor: the line on which a product of this fill is centred."""
PRODUCT_MARGIN_RATIO = 0.04  # of the frame, around products that do not stand in its centre
GAP_RATIO = 0.10  # of their height, between products


def arrange_products(
    alphas: Sequence[Alpha], size: Size, fill: float, placement: PlacementId, floor: float | None, params: Subject
) -> list[Frame]:
    """A frame for each product (H x W each): one alone, or several side by side on one line.

    `fill` is the longer side, or in a row the height, over the frame's shorter side. They stand on `floor`, a share of
    the height (`CENTRED`: the one that centres them); None lays them about the middle. `params` moves and scales.
    """
    if len(alphas) > 1:
        return _place_in_row(alphas, size, fill, placement, floor or CENTRED_FLOOR, params)
    x, y = PLACEMENTS[placement]
    asked = _with_placement(params, x - 0.5 + params.placement_x, y - 0.5 + params.placement_y)
    frame = _place_single(alphas[0], size, fill, floor, asked)
    if placement == "centre":
        return [frame]
    left, top, right, bottom = subject_box(alphas[0], frame)
    inside = _with_placement(
        asked,
        asked.placement_x + _inward_shift(left / size[0], right / size[0]),
        asked.placement_y + _inward_shift(top / size[1], bottom / size[1]),
    )
    return [_place_single(alphas[0], size, fill, floor, inside)]


def subject_box(alpha: Alpha, frame: Frame) -> tuple[float, float, float, float]:
    """The subject's left, top, right, bottom in pixels of an unturned frame."""
    left, top, right, bottom = find_bounds(alpha)
    x, y = frame.matrix[:, 2]
    return x + frame.scale * left, y + frame.scale * top, x + frame.scale * right, y + frame.scale * bottom


def _place_single(alpha: Alpha, size: Size, fill: float, floor: float | None, params: Subject) -> Frame:
    if floor is None:
        return frame_subject(alpha, size, fill, params)
    return frame_subject(
        alpha,
        size,
        fill,
        params,
        anchor="floor",
        floor=floor or _centring_floor(_filled_height(alpha, fill, size), size),
    )


def _filled_height(alpha: Alpha, fill: float, size: Size) -> float:
    """Height in pixels of a subject whose longer side is `fill` of the frame's shorter one."""
    left, top, right, bottom = find_bounds(alpha)
    return fill * min(size) * (bottom - top) / max(right - left, bottom - top)


def _centring_floor(tall: float, size: Size) -> float:
    """The floor, a share of the height, on which something so many pixels tall is centred."""
    return min(0.97, 0.5 + 0.5 * tall / size[1])


def _with_placement(params: Subject, x: float, y: float) -> Subject:
    return params.model_copy(update={"placement_x": x, "placement_y": y})


def _inward_shift(first: float, last: float) -> float:
    """The shift, in shares, that brings a stretch inside the margins."""
    return max(0.0, PRODUCT_MARGIN_RATIO - first) - max(0.0, last - (1 - PRODUCT_MARGIN_RATIO))


def _place_in_row(
    alphas: Sequence[Alpha], size: Size, fill: float, placement: PlacementId, floor: float, params: Subject
) -> list[Frame]:
    """Side by side, equally high (photos do not tell real sizes), with a gap that keeps every core its own."""
    width, height = size
    boxes = [find_bounds(alpha) for alpha in alphas]
    shapes = [(right - left) / (bottom - top) for left, top, right, bottom in boxes]
    across = sum(shapes) + GAP_RATIO * (len(shapes) - 1)
    tall = min(fill * min(size), (1 - 2 * PRODUCT_MARGIN_RATIO) * width / across) * params.placement_scale
    middle, line = PLACEMENTS[placement]
    floor = (floor or _centring_floor(tall, size)) + line - 0.5 + params.placement_y
    floor = float(np.clip(floor, PRODUCT_MARGIN_RATIO + tall / height, 1 - PRODUCT_MARGIN_RATIO))
    x = width * (middle + params.placement_x) - tall * across / 2
    x = float(
        np.clip(
            x,
            PRODUCT_MARGIN_RATIO * width,
            max(PRODUCT_MARGIN_RATIO * width, (1 - PRODUCT_MARGIN_RATIO) * width - tall * across),
        )
    )
    frames = []
    for alpha, shape in zip(alphas, shapes, strict=True):
        at = Subject(photo="", placement_x=float(np.clip((x + tall * shape / 2) / width - 0.5, -0.5, 0.5)))
        frames.append(frame_subject(alpha, size, tall * max(shape, 1.0) / min(size), at, anchor="floor", floor=floor))
        x += tall * (shape + GAP_RATIO)
    return frames
