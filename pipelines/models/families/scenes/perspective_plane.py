"""The table in perspective: which point of it each pixel shows, from a camera tilted down; knows no material."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.core.geometry import Size
from pipelines.core.rendering import Backdrop
from pipelines.models.families.scenes.noise import Plane

FOCAL_LENGTH_RATIO = 2.6  # picture heights: about 95 mm on full frame, what products are photographed with
OBLIQUE_FOCAL_LENGTH_RATIO = 1.7  # what looks down on a cup and still shows its side stands close: its planks converge
PITCH_DEGREES = {"front": 13.0, "three-quarter": 33.0, "above": 66.0}
FLAT_LAY_PITCH_DEGREES = 74.0  # from here the camera hangs over a flat lay
MIN_ABOVE_PITCH_DEGREES = 46.0  # from above nothing is drawn flatter: the horizon would come in
TABLE_WIDTH_METRES = (
    0.28  # metres of table that one picture height spans at the contact line: what is sold fits in two hands
)
# How far above the contact line the table ends, as a share of the height; from above it never does.
TABLE_DEPTH_RATIO = {"front": 0.26, "three-quarter": 0.56, "above": 9.0}


@dataclass(frozen=True)
class TablePlane:
    """A plane as seen. `u` (right) and `v` (away) in metres from the contact line's middle, H x W, rows from `edge` on.

    `across` and `along` are the size of a pixel there in metres, `facing` the cosine between plane and eye. `edge` is
    the first row of the table (0 when it fills the picture) and `floor` the row of the contact line.
    """

    u: Plane
    v: Plane
    across: Plane
    along: Plane
    facing: Plane
    edge: int
    floor: float
    rows: int
    columns: int


def is_oblique(asked: Backdrop) -> bool:
    """Whether the table is seen from above, and not from straight above."""
    return asked.seen_from == "above" and asked.camera_pitch is not None and asked.camera_pitch < FLAT_LAY_PITCH_DEGREES


def camera_pitch_degrees(asked: Backdrop) -> float:
    """How far the camera looks down, in degrees: as the subject was seen where that is known and it is from above."""
    if asked.seen_from == "above" and asked.camera_pitch is not None:
        return float(np.clip(asked.camera_pitch, MIN_ABOVE_PITCH_DEGREES, 90.0))
    return PITCH_DEGREES[asked.seen_from]


def project_table(asked: Backdrop, size: Size) -> TablePlane:
    """The table for a picture of `size` (width, height), contact line and view as asked."""
    columns, rows = size
    pitch, focal = (
        np.radians(camera_pitch_degrees(asked)),
        OBLIQUE_FOCAL_LENGTH_RATIO if is_oblique(asked) else FOCAL_LENGTH_RATIO,
    )
    contact = asked.floor_ratio if asked.floor_ratio is not None else 0.8
    contact = float(np.clip(contact, 0.35, 0.98))
    if asked.seen_from == "above":
        contact = min(contact, 0.75)
    edge = round(max(0.0, contact - TABLE_DEPTH_RATIO[asked.seen_from]) * rows)
    y = (np.arange(edge, rows, dtype=np.float64) + 0.5) / rows
    scale, away, facing = _cast_rays(y, pitch, focal)
    at_scale, at_away, _ = _cast_rays(np.array([contact]), pitch, focal)
    unit = TABLE_WIDTH_METRES / at_scale[0]
    scale, away = scale * unit, (away - at_away[0]) * unit
    x = (np.arange(columns, dtype=np.float64) + 0.5 - columns / 2) / rows
    along = np.abs(np.gradient(away)) if len(away) > 1 else np.full(1, TABLE_WIDTH_METRES / rows)
    shape = (rows - edge, columns)
    return TablePlane(
        u=np.asarray(scale[:, None] * (x - (asked.centre_ratio - 0.5) * columns / rows)[None, :], np.float32),
        v=_repeat_column(away, shape),
        across=np.asarray(scale / rows, np.float32)[:, None],
        along=np.asarray(along, np.float32)[:, None],
        facing=np.asarray(facing, np.float32)[:, None],
        edge=edge,
        floor=contact * rows,
        rows=rows,
        columns=columns,
    )


def _cast_rays(y: np.ndarray, pitch: float, focal: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Metres per picture height, distance along the plane (camera one metre over it) and cosine at rows `y`."""
    up = 0.5 - y
    down = focal * np.sin(pitch) - up * np.cos(pitch)
    down = np.maximum(down, 1e-3)
    forward = focal * np.cos(pitch) + up * np.sin(pitch)
    return 1 / down, forward / down, down / np.hypot(focal, up)


def _repeat_column(column: np.ndarray, shape: tuple[int, int]) -> Plane:
    return np.repeat(np.asarray(column, np.float32)[:, None], shape[1], axis=1)
