"""Tabletops before a wall: material, light and depth of field."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Colour, Size
from pipelines.core.rendering import Backdrop
from pipelines.models.families.scenes.lens_blur import blur_rows
from pipelines.models.families.scenes.noise import Plane
from pipelines.models.families.scenes.perspective_plane import TablePlane, is_oblique, project_table
from pipelines.models.families.scenes.procedural_materials import MATERIALS, SurfaceMaterial
from pipelines.models.families.scenes.tone_mapping import LinearLight, linear_colour, relative_luminance

FOREGROUND_BLUR_RATIO = 0.25
"""How much slower blur grows in front of the contact line than behind it."""
SHARP_DEPTH_RATIO = 0.03
"""Distance before and behind the contact line, in picture heights, that stays sharp, since a product has depth."""
FLAT_LAY_BLUR_RATIO = 0.12
"""Share of the blur that is left from straight above, where all of the table is nearly as far away."""
OBLIQUE_BLUR_RATIO = 0.2
"""The same for an oblique view from above."""
OBLIQUE_TURN_DEGREES = -34.0
"""Turn of the material for an oblique view, since nobody aligns a cup with the planks there."""
STRIP_ROWS = 48
"""Rows of material that are computed at once, so that its many steps stay within the processor's cache."""
# How the material of each variation lies: its turn in degrees and its shift in metres.
MATERIAL_LAYOUTS = ((0.0, 0.0), (90.0, 3.7), (-9.0, 7.9), (81.0, 11.3))


def render_tabletop(
    material: str, wall: LinearLight | Colour, request: Backdrop, size: Size, variant: int, seed: int
) -> LinearLight:
    """Render a table of `material` before `wall`, a colour or linear light of any size: H x W x 3 linear."""
    top = project_table(request, size)
    surface = _lay_material(material, top, variant, seed, OBLIQUE_TURN_DEGREES if is_oblique(request) else 0.0)
    behind = _render_wall(wall, request, size)
    lit = _light_table(surface, top, request)
    if isinstance(wall, np.ndarray):
        lit = lit * _ambient_light(behind)
    lit = _add_reflection(lit, surface, top, behind)
    diameters = _focus_diameters(top, request)
    if top.edge == 0:
        return blur_rows(lit.astype(np.float32), diameters)
    # The wall is blurred already. The table is blurred with its coverage as a fourth channel.
    layer = np.zeros((top.rows, top.columns, 4), np.float32)
    layer[top.edge :, :, :3], layer[top.edge :, :, 3] = lit, 1
    layer = blur_rows(layer, diameters)
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
    """The diameter in pixels of the blur disc for each row. Of a plane it grows linearly with the row (thin lens)."""
    rows = np.arange(top.rows, dtype=np.float32)
    far = np.float32(request.blur_ratio * top.rows)
    if request.seen_from == "above":
        growth = np.float32(OBLIQUE_BLUR_RATIO if is_oblique(request) else FLAT_LAY_BLUR_RATIO)
        return np.abs(rows - top.floor) / np.float32(top.rows) * far * growth
    away = np.maximum(np.abs(rows - top.floor) - SHARP_DEPTH_RATIO * top.rows, 0)
    slope = far / max(top.floor - top.edge - SHARP_DEPTH_RATIO * top.rows, 1.0)
    return np.minimum(away * slope * np.where(rows < top.floor, 1.0, FOREGROUND_BLUR_RATIO), far).astype(np.float32)
