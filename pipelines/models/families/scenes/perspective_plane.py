"""The table in perspective: which point of it each pixel shows, for a camera that is tilted down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.core.geometry import Size
from pipelines.core.rendering import Backdrop
from pipelines.models.families.scenes.noise import Plane

FOCAL_LENGTH_RATIO = 2.6
"""Focal length in picture heights: about 95 mm on full frame, as for product photos."""
OBLIQUE_FOCAL_LENGTH_RATIO = 1.7
"""The same for an oblique view from above: the camera is close and the planks converge."""
PITCH_DEGREES = {"front": 13.0, "three-quarter": 33.0, "above": 66.0}
FLAT_LAY_PITCH_DEGREES = 74.0
"""Pitch from which the camera looks straight down on a flat lay."""
MIN_ABOVE_PITCH_DEGREES = 46.0
"""Least pitch of a view from above; less would show the horizon."""
TABLE_WIDTH_METRES = 0.28
"""Length of table at the contact line that one picture height spans: products fit in two hands."""
TABLE_DEPTH_RATIO = {"front": 0.26, "three-quarter": 0.56, "above": 9.0}
"""Distance of the far edge of the table above the contact line, in picture heights; from above it is never seen."""


@dataclass(frozen=True)
class TablePlane:
    """A table as the camera sees it. `u` (right) and `v` (away) are metres from the contact line's middle, H x W.

    Their rows start at `edge`, the first row of the table (0 if it fills the picture). `across` and `along`: size of a
    pixel there in metres. `facing`: cosine between the table's normal and the line of sight. `floor`: row of the
    contact line.
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


def is_oblique(request: Backdrop) -> bool:
    """Whether the table is seen from above but not from straight above."""
    return (
        request.seen_from == "above"
        and request.camera_pitch is not None
        and request.camera_pitch < FLAT_LAY_PITCH_DEGREES
    )


def camera_pitch_degrees(request: Backdrop) -> float:
    """How far the camera looks down: in views from above as in the photo, if that is known."""
    if request.seen_from == "above" and request.camera_pitch is not None:
        return float(np.clip(request.camera_pitch, MIN_ABOVE_PITCH_DEGREES, 90.0))
    return PITCH_DEGREES[request.seen_from]


def project_table(request: Backdrop, size: Size) -> TablePlane:
    """Project the table for a picture of `size` (width, height)."""
    columns, rows = size
    pitch, focal = (
        np.radians(camera_pitch_degrees(request)),
        OBLIQUE_FOCAL_LENGTH_RATIO if is_oblique(request) else FOCAL_LENGTH_RATIO,
    )
    contact = request.floor_ratio if request.floor_ratio is not None else 0.8
    contact = float(np.clip(contact, 0.35, 0.98))
    if request.seen_from == "above":
        contact = min(contact, 0.75)
    edge = round(max(0.0, contact - TABLE_DEPTH_RATIO[request.seen_from]) * rows)
    y = (np.arange(edge, rows, dtype=np.float64) + 0.5) / rows
    scale, away, facing = _cast_rays(y, pitch, focal)
    at_scale, at_away, _ = _cast_rays(np.array([contact]), pitch, focal)
    unit = TABLE_WIDTH_METRES / at_scale[0]
    scale, away = scale * unit, (away - at_away[0]) * unit
    x = (np.arange(columns, dtype=np.float64) + 0.5 - columns / 2) / rows
    along = np.abs(np.gradient(away)) if len(away) > 1 else np.full(1, TABLE_WIDTH_METRES / rows)
    shape = (rows - edge, columns)
    return TablePlane(
        u=np.asarray(scale[:, None] * (x - (request.centre_ratio - 0.5) * columns / rows)[None, :], np.float32),
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
    """Metres per picture height, distance along the table and cosine at rows `y`, for a camera one metre above it."""
    up = 0.5 - y
    down = focal * np.sin(pitch) - up * np.cos(pitch)
    down = np.maximum(down, 1e-3)
    forward = focal * np.cos(pitch) + up * np.sin(pitch)
    return 1 / down, forward / down, down / np.hypot(focal, up)


def _repeat_column(column: np.ndarray, shape: tuple[int, int]) -> Plane:
    return np.repeat(np.asarray(column, np.float32)[:, None], shape[1], axis=1)
