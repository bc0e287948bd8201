"""Tabletops before a wall: perspective, material, light and depth of field."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.geometry import Colour, Size
from pipelines.core.rendering import Backdrop
from pipelines.models.families.scenes.lens_blur import blur_with_discs
from pipelines.models.families.scenes.noise import Plane
from pipelines.models.families.scenes.procedural_materials import MATERIALS, SurfaceMaterial
from pipelines.models.families.scenes.tone_mapping import LinearLight, linear_colour, relative_luminance

FOCAL_LENGTH_RATIO = 2.6  # focal length in picture heights: about 95 mm on full frame, as for product photos
OBLIQUE_FOCAL_LENGTH_RATIO = 1.7  # the same for an oblique view from above: the camera is close and the planks converge
PITCH_DEGREES = {"front": 13.0, "three-quarter": 33.0, "above": 66.0}
FLAT_LAY_PITCH_DEGREES = 74.0  # pitch from which the camera looks straight down on a flat lay
MIN_ABOVE_PITCH_DEGREES = 46.0  # least pitch of a view from above; less would show the horizon
TABLE_WIDTH_METRES = 0.28
"""Length of table at the contact line that one picture height spans: products fit in two hands."""
TABLE_DEPTH_RATIO = {"front": 0.26, "three-quarter": 0.56, "above": 9.0}
"""Distance of the far edge of the table above the contact line, in picture heights; from above it is never seen."""
FOREGROUND_BLUR_RATIO = 0.25  # how much slower blur grows in front of the contact line than behind it
SHARP_DEPTH_RATIO = 0.03
"""Distance before and behind the contact line, in picture heights, that stays sharp, since a product has depth."""
FLAT_LAY_BLUR_RATIO = 0.12
"""Share of the blur that is left from straight above, where all of the table is nearly as far away."""
OBLIQUE_BLUR_RATIO = 0.2  # the same for an oblique view from above
OBLIQUE_TURN_DEGREES = -34.0
"""Turn of the material for an oblique view, since nobody aligns a cup with the planks there."""
STRIP_ROWS = 48  # rows of material that are computed at once, so that its many steps stay within the processor's cache
# How the material of each variation lies: its turn in degrees and its shift in metres.
MATERIAL_LAYOUTS = ((0.0, 0.0), (90.0, 3.7), (-9.0, 7.9), (81.0, 11.3))


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


def render_tabletop(
    material: str, wall: LinearLight | Colour, request: Backdrop, size: Size, variant: int, seed: int
) -> LinearLight:
    """Render a table of `material` before `wall`, a colour or linear light of any size: H x W x 3 linear."""
    top = project_table(request, size)
    surface = _lay_material(material, top, variant, seed, OBLIQUE_TURN_DEGREES if is_seen_obliquely(request) else 0.0)
    behind = _render_wall(wall, request, size)
    lit = _light_table(surface, top, request)
    if isinstance(wall, np.ndarray):
        lit = lit * _ambient_light(behind)
    lit = _add_reflection(lit, surface, top, behind)
    diameters = _focus_diameters(top, request)
    if top.edge == 0:
        return blur_with_discs(lit.astype(np.float32), diameters)
    # The wall is blurred already. The table is blurred with its coverage as a fourth channel.
    layer = np.zeros((*behind.shape[:2], 4), np.float32)
    layer[top.edge :, :, :3], layer[top.edge :, :, 3] = lit, 1
    layer = blur_with_discs(layer, diameters)
    return layer[..., :3] + behind * (1 - layer[..., 3:])


def _ambient_light(behind: LinearLight) -> LinearLight:
    """The light that a place casts on a table: three quarters its mean colour, within an exposable range."""
    mean = np.minimum(behind, 1.5).mean(axis=(0, 1)) / 0.42
    mean = 0.5 * mean + 0.5 * relative_luminance(mean)
    return np.clip(0.25 + 0.75 * mean, 0.3, 1.15).astype(np.float32)


def _lay_material(material: str, top: TablePlane, variant: int, seed: int, turn: float) -> SurfaceMaterial:
    degrees, moved = MATERIAL_LAYOUTS[variant % len(MATERIAL_LAYOUTS)]
    angle = np.radians(degrees + turn)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    shift = np.random.default_rng(seed).random(2, np.float32) * 3 + np.float32(moved)
    # Close to the larger side of a pixel: finer detail would alias along the depth of the table.
    grain = np.float32(0.3) * top.across + np.float32(0.7) * np.maximum(top.along, top.across)
    strips = []
    for first in range(0, len(top.u), STRIP_ROWS):
        rows = slice(first, first + STRIP_ROWS)
        u = top.u[rows] * c - top.v[rows] * s + shift[0]
        v = top.u[rows] * s + top.v[rows] * c + shift[1]
        strips.append(MATERIALS[material](u, v, np.broadcast_to(grain[rows], u.shape), seed % 997))
    colour = np.concatenate([strip.colour for strip in strips])
    relief = np.concatenate([strip.relief for strip in strips])
    return SurfaceMaterial(colour, relief, strips[0].gloss)


def _render_wall(wall: LinearLight | Colour, request: Backdrop, size: Size) -> LinearLight:
    columns, rows = size
    if isinstance(wall, np.ndarray):
        return np.asarray(cv2.resize(wall, (columns, rows), interpolation=cv2.INTER_CUBIC), np.float32)
    y, x = np.mgrid[0:128, 0:128].astype(np.float32) / 127
    side = {"left": -0.35, "right": 0.35, "none": -0.12}[request.key_light_side]
    across = (x - 0.5 - side) * columns / rows
    light = 1.12 / (1 + (across**2 + (y - 0.25) ** 2) / np.float32(1.4)) ** 1.5
    small = linear_colour(wall) * light[..., None]
    return np.asarray(cv2.resize(small, (columns, rows), interpolation=cv2.INTER_CUBIC), np.float32)


def _light_table(surface: SurfaceMaterial, top: TablePlane, request: Backdrop) -> LinearLight:
    """Light the table with a large soft lamp from the key side and slightly behind: it shows relief and falls off."""
    turn = {"left": 1.0, "right": -1.0, "none": 0.6}[request.key_light_side]
    light = _light_pool(top, turn)
    if surface.relief.any():
        light = light * _shade_relief(surface.relief, turn)
    return surface.colour * light[..., None]


def _light_pool(top: TablePlane, turn: float) -> Plane:
    away = (top.u + np.float32(0.18 * turn)) ** 2 + (top.v - np.float32(0.12)) ** 2
    return (0.40 + 0.68 / (1 + away / np.float32(0.14))).astype(np.float32)


def _shade_relief(relief: Plane, turn: float) -> Plane:
    """Light factor of slopes, H x W. Slopes are per 1/1024 of the picture width, so that every size looks the same."""
    size = np.float32(relief.shape[1] / 1024)
    slope_x = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=1, scale=0.5) * size
    slope_y = cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=1, scale=0.5) * size
    return np.clip(1 + np.float32(-0.9 * turn) * slope_x * -1 + np.float32(0.6) * slope_y, 0.45, 1.6)


def _add_reflection(lit: LinearLight, surface: SurfaceMaterial, top: TablePlane, behind: LinearLight) -> LinearLight:
    """Add the reflection of the wall by Schlick's approximation (1994); without it a table looks like wallpaper."""
    mirror = (0.04 + 0.96 * (1 - top.facing) ** 5) * np.float32(surface.gloss * 0.8)
    rows = top.edge - 1 - np.arange(lit.shape[0])
    above = behind[np.clip(rows, 0, len(behind) - 1)]
    wide = max(3, int((0.13 - 0.1 * surface.gloss) * top.rows)) | 1
    above = cv2.blur(np.ascontiguousarray(above), (wide, wide))
    return lit * (1 - mirror)[..., None] + above * mirror[..., None]


def _focus_diameters(top: TablePlane, request: Backdrop) -> Plane:
    """The diameter in pixels of the blur disc by row, H x 1. Of a plane it grows linearly with the row (thin lens)."""
    rows = np.arange(top.rows, dtype=np.float32)[:, None]
    far = np.float32(request.blur_ratio * top.rows)
    if request.seen_from == "above":
        growth = np.float32(OBLIQUE_BLUR_RATIO if is_seen_obliquely(request) else FLAT_LAY_BLUR_RATIO)
        return np.abs(rows - top.floor) / np.float32(top.rows) * far * growth
    away = np.maximum(np.abs(rows - top.floor) - SHARP_DEPTH_RATIO * top.rows, 0)
    slope = far / max(top.floor - top.edge - SHARP_DEPTH_RATIO * top.rows, 1.0)
    return np.minimum(away * slope * np.where(rows < top.floor, 1.0, FOREGROUND_BLUR_RATIO), far).astype(np.float32)


def is_seen_obliquely(request: Backdrop) -> bool:
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
    pitch = np.radians(camera_pitch_degrees(request))
    focal = OBLIQUE_FOCAL_LENGTH_RATIO if is_seen_obliquely(request) else FOCAL_LENGTH_RATIO
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
    return TablePlane(
        u=np.asarray(scale[:, None] * x[None, :], np.float32),
        v=np.repeat(np.asarray(away, np.float32)[:, None], columns, axis=1),
        across=np.asarray(scale / rows, np.float32)[:, None],
        along=np.asarray(along, np.float32)[:, None],
        facing=np.asarray(facing, np.float32)[:, None],
        edge=edge,
        floor=contact * rows,
        rows=rows,
    )


def _cast_rays(y: np.ndarray, pitch: float, focal: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Metres per picture height, distance along the table and cosine at rows `y`, for a camera one metre above it."""
    up = 0.5 - y
    down = focal * np.sin(pitch) - up * np.cos(pitch)
    down = np.maximum(down, 1e-3)
    forward = focal * np.cos(pitch) + up * np.sin(pitch)
    return 1 / down, forward / down, down / np.hypot(focal, up)
