"""Where one product or several stand in a frame: seven placements, one line, margins; knows no scene and no rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from pipelines.core.geometry import Alpha, Frame, Size
from pipelines.core.params import Subject
from pipelines.framing.placement import bounds, fill_frame

PlacementId = Literal["centre", "left", "right", "top", "bottom", "lower-left", "lower-right"]
# Where the middle goes, in shares of the frame: on the lines of thirds, so that words find room beside it.
PLACEMENTS: dict[str, tuple[float, float]] = {
    "centre": (1 / 2, 1 / 2), "left": (1 / 3, 1 / 2), "right": (2 / 3, 1 / 2), "top": (1 / 2, 1 / 3),
    "bottom": (1 / 2, 2 / 3), "lower-left": (1 / 3, 2 / 3), "lower-right": (2 / 3, 2 / 3),
}  # fmt: skip
ASIDE = 0.5  # fill of a product that stands aside, unless one is asked for
CENTRED = 0.0
"""As a floor: the line on which a product of this fill is centred."""
MARGIN = 0.04  # of the frame, around products that do not stand in its centre
GAP = 0.10  # of their height, between products


def arranged(
    alphas: Sequence[Alpha], size: Size, fill: float, placement: PlacementId, floor: float | None, params: Subject
) -> list[Frame]:
    """A frame for each product (H x W each): one alone, or several side by side on one line.

    `fill` is the longer side, or in a row the height, over the frame's shorter side. They stand on `floor`, a share of
    the height (`CENTRED`: the one that centres them); None lays them about the middle. `params` moves and scales.
    """
    if len(alphas) > 1:
        return _row(alphas, size, fill, placement, floor or CENTRED, params)
    x, y = PLACEMENTS[placement]
    asked = _moved(params, x - 0.5 + params.placement_x, y - 0.5 + params.placement_y)
    frame = _alone(alphas[0], size, fill, floor, asked)
    if placement == "centre":
        return [frame]
    left, top, right, bottom = box_of(alphas[0], frame)
    inside = _moved(
        asked,
        asked.placement_x + _inwards(left / size[0], right / size[0]),
        asked.placement_y + _inwards(top / size[1], bottom / size[1]),
    )
    return [_alone(alphas[0], size, fill, floor, inside)]


def box_of(alpha: Alpha, frame: Frame) -> tuple[float, float, float, float]:
    """The subject's left, top, right, bottom in pixels of an unturned frame."""
    left, top, right, bottom = bounds(alpha)
    x, y = frame.matrix[:, 2]
    return x + frame.scale * left, y + frame.scale * top, x + frame.scale * right, y + frame.scale * bottom


def _alone(alpha: Alpha, size: Size, fill: float, floor: float | None, params: Subject) -> Frame:
    if floor is None:
        return fill_frame(alpha, size, fill, params)
    return fill_frame(
        alpha, size, fill, params, stand="floor", floor=floor or _centring(_tall(alpha, fill, size), size)
    )


def _tall(alpha: Alpha, fill: float, size: Size) -> float:
    """Height in pixels of a subject whose longer side is `fill` of the frame's shorter one."""
    left, top, right, bottom = bounds(alpha)
    return fill * min(size) * (bottom - top) / max(right - left, bottom - top)


def _centring(tall: float, size: Size) -> float:
    """The floor, a share of the height, on which something so many pixels tall is centred."""
    return min(0.97, 0.5 + 0.5 * tall / size[1])


def _moved(params: Subject, x: float, y: float) -> Subject:
    return params.model_copy(update={"placement_x": x, "placement_y": y})


def _inwards(first: float, last: float) -> float:
    """The shift, in shares, that brings a stretch inside the margins."""
    return max(0.0, MARGIN - first) - max(0.0, last - (1 - MARGIN))


def _row(
    alphas: Sequence[Alpha], size: Size, fill: float, placement: PlacementId, floor: float, params: Subject
) -> list[Frame]:
    """Side by side, equally high (photos do not tell real sizes), with a gap that keeps every core its own."""
    width, height = size
    boxes = [bounds(alpha) for alpha in alphas]
    shapes = [(right - left) / (bottom - top) for left, top, right, bottom in boxes]
    across = sum(shapes) + GAP * (len(shapes) - 1)
    tall = min(fill * min(size), (1 - 2 * MARGIN) * width / across) * params.placement_scale
    middle, line = PLACEMENTS[placement]
    floor = (floor or _centring(tall, size)) + line - 0.5 + params.placement_y
    floor = float(np.clip(floor, MARGIN + tall / height, 1 - MARGIN))
    x = width * (middle + params.placement_x) - tall * across / 2
    x = float(np.clip(x, MARGIN * width, max(MARGIN * width, (1 - MARGIN) * width - tall * across)))
    frames = []
    for alpha, shape in zip(alphas, shapes, strict=True):
        at = Subject(photo="", placement_x=float(np.clip((x + tall * shape / 2) / width - 0.5, -0.5, 0.5)))
        frames.append(fill_frame(alpha, size, tall * max(shape, 1.0) / min(size), at, stand="floor", floor=floor))
        x += tall * (shape + GAP)
    return frames
