"""Strokes of the brush as the page sends them: lines with a radius, drawn on a matte at any size."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Size

MAX_STROKE_COUNT = 3000
MAX_POINT_COUNT = 20_000
"""Points of one stroke at most."""
MAX_TEXT_CHARACTERS = 4_000_000
MAX_TOTAL_POINT_COUNT = 100_000
MAX_PAINTED_AREA_RATIO = 1000
"""How often the strokes may paint over the whole photo, each of their points counted: seconds of drawing at most."""
TOO_MANY_MESSAGE = "These are too many strokes: use a broader brush, or Preview what is painted first."
_SHIFT_BITS = 4
"""Fractional bits of OpenCV's coordinates."""
_OVERSAMPLING_FACTOR = 2
"""How many times finer the strokes are drawn than they are asked for; shrunk, they have soft edges."""
_KIND_VALUES = {"erase": 0, "keep": 1, "drop": 2}
_Place = Annotated[float, Field(ge=-1, le=2)]
"""A share of the photo's width or height; a stroke may leave the photo."""


class Stroke(BaseModel):
    """One line: `keep` adds to the matte, `drop` takes away, `erase` undoes both. `radius` is in longer sides.

    A `closed` one fills what it encloses: the outline of a thing that was pressed on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["keep", "drop", "erase"]
    radius: float = Field(gt=0, le=0.5)
    points: tuple[tuple[_Place, _Place], ...] = Field(min_length=1, max_length=MAX_POINT_COUNT)
    closed: bool = False


_STROKES: TypeAdapter[tuple[Stroke, ...]] = TypeAdapter(
    Annotated[tuple[Stroke, ...], Field(max_length=MAX_STROKE_COUNT)]
)


def parse_strokes(text: str | None) -> tuple[Stroke, ...]:
    """Read the strokes that the page sends as JSON. Raises `BadInput` for anything else and for too many."""
    if not text:
        return ()
    if len(text) > MAX_TEXT_CHARACTERS:
        raise BadInput(TOO_MANY_MESSAGE)
    try:
        strokes = _STROKES.validate_json(text)
    except ValidationError as error:
        raise BadInput("These strokes cannot be read. Paint them once more.") from error
    painted = sum(len(stroke.points) * np.pi * stroke.radius**2 + stroke.closed for stroke in strokes)
    if painted > MAX_PAINTED_AREA_RATIO or sum(len(stroke.points) for stroke in strokes) > MAX_TOTAL_POINT_COUNT:
        raise BadInput(TOO_MANY_MESSAGE)
    return strokes


def paints_anything(strokes: tuple[Stroke, ...]) -> bool:
    """Whether a stroke does more than to undo others."""
    return any(stroke.kind != "erase" for stroke in strokes)


def apply_strokes(strokes: tuple[Stroke, ...], matte: Alpha, size: Size) -> Alpha:
    """Return the matte with the strokes applied in their order; it does not change where none is.

    `matte` and the result are float32, 0 to 1. `size` (width, height) is that at which the strokes are drawn, which are
    resized to the matte.
    """
    # Drawn without soft edges: a stroke that is erased would leave the half of its own.
    kinds = np.zeros((size[1] * _OVERSAMPLING_FACTOR, size[0] * _OVERSAMPLING_FACTOR), np.uint8)
    for stroke in strokes:
        _draw_line(kinds, stroke, _KIND_VALUES[stroke.kind])
    added, removed = (_resize_weight(kinds == _KIND_VALUES[kind], matte.shape[1::-1]) for kind in ("keep", "drop"))
    return np.asarray(matte * (1 - np.minimum(added + removed, 1)) + added, np.float32)


def _resize_weight(drawn: np.ndarray[Any, np.dtype[np.bool_]], size: tuple[int, ...]) -> Alpha:
    shrinks = drawn.shape[1] > size[0]
    weight = cv2.resize(
        drawn.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return np.asarray(weight / np.float32(255), np.float32)


def _draw_line(kinds: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], stroke: Stroke, value: int) -> None:
    height, width = kinds.shape
    diameter_px = max(1, round(2 * stroke.radius * max(width, height)))
    # The page draws from edge to edge, OpenCV from the middle of one pixel to that of another.
    places = np.array(stroke.points) * (width, height) - 0.5
    fixed = np.rint(places * (1 << _SHIFT_BITS)).astype(np.int32)
    if stroke.closed:
        cv2.fillPoly(kinds, [fixed], value, cv2.LINE_8, _SHIFT_BITS)
    if len(fixed) > 1:
        cv2.polylines(kinds, [fixed], stroke.closed, value, diameter_px, cv2.LINE_8, _SHIFT_BITS)
    else:
        x, y = (int(each) for each in fixed[0])
        radius = max(0, (diameter_px - 1) * (1 << _SHIFT_BITS) // 2)
        cv2.circle(kinds, (x, y), radius, value, cv2.FILLED, cv2.LINE_8, _SHIFT_BITS)
