"""Tables before a wall: material, light, focus; the product itself and its shadow are somebody else's."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Colour, Size
from pipelines.core.rendering import Backdrop
from pipelines.models.families.scenes.lens_blur import blurred_by_row
from pipelines.models.families.scenes.noise import Plane
from pipelines.models.families.scenes.perspective_plane import Table, oblique, table
from pipelines.models.families.scenes.procedural_materials import MATERIALS, Stuff
from pipelines.models.families.scenes.tone_mapping import Linear, linear, luminance

NEAR_BLUR = 0.25  # in front of the contact line focus is lost so much slower than behind it
SHARP = 0.03  # a product has a depth: so far before and behind the contact line, in heights, nothing is blurred
FLAT_BLUR = 0.12  # from above all of the table is nearly as far away
SLOPE_BLUR = 0.2  # and from a slope a little less so
SLOPE_TURN = -34.0  # degrees: nobody lays a cup square to the planks and looks down on it at a slant
STRIP = 48  # rows worked on at once, so that a material's many steps stay within the processor's cache
# How the next variations lie: turn of the material in degrees, and how far it is moved in metres.
LAYS = ((0.0, 0.0), (90.0, 3.7), (-9.0, 7.9), (81.0, 11.3))


def tabletop(material: str, wall: Linear | Colour, asked: Backdrop, size: Size, variant: int, seed: int) -> Linear:
    """A table of `material` before `wall` (a colour, or a picture in linear light of any size), H x W x 3 linear."""
    top = table(asked, size)
    stuff = _laid(material, top, variant, seed, SLOPE_TURN if oblique(asked) else 0.0)
    behind = _wall(wall, asked, size)
    lit = _lit(stuff, top, asked)
    if isinstance(wall, np.ndarray):
        lit = lit * _ambience(behind)
    lit = _glossy(lit, stuff, top, behind)
    focus = _focus(top, asked)
    if top.edge == 0:
        return blurred_by_row(lit.astype(np.float32), focus)
    # The wall is out of focus by itself; only the table, with its edge as a fourth channel, is blurred here.
    layer = np.zeros((top.rows, top.columns, 4), np.float32)
    layer[top.edge :, :, :3], layer[top.edge :, :, 3] = lit, 1
    layer = blurred_by_row(layer, focus)
    return layer[..., :3] + behind * (1 - layer[..., 3:])


def _ambience(behind: Linear) -> Linear:
    """The light that a place throws on a table: its mean colour, three quarters of it, within what a lens exposes."""
    mean = np.minimum(behind, 1.5).mean(axis=(0, 1)) / 0.42
    mean = 0.5 * mean + 0.5 * luminance(mean)
    return np.clip(0.25 + 0.75 * mean, 0.3, 1.15).astype(np.float32)


def _laid(material: str, top: Table, variant: int, seed: int, turn: float) -> Stuff:
    degrees, moved = LAYS[variant % len(LAYS)]
    angle = np.radians(degrees + turn)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    shift = np.random.default_rng(seed).random(2, np.float32) * 3 + np.float32(moved)
    # Nearly the larger of the two sizes of a pixel: what is finer would shimmer along the table's depth.
    grain = np.float32(0.3) * top.across + np.float32(0.7) * np.maximum(top.along, top.across)
    strips = []
    for first in range(0, len(top.u), STRIP):
        rows = slice(first, first + STRIP)
        u = top.u[rows] * c - top.v[rows] * s + shift[0]
        v = top.u[rows] * s + top.v[rows] * c + shift[1]
        strips.append(MATERIALS[material](u, v, np.broadcast_to(grain[rows], u.shape), seed % 997))
    colour = np.concatenate([strip.colour for strip in strips])
    relief = np.concatenate([strip.relief for strip in strips])
    return Stuff(colour, relief, strips[0].gloss)


def _wall(wall: Linear | Colour, asked: Backdrop, size: Size) -> Linear:
    columns, rows = size
    if isinstance(wall, np.ndarray):
        return np.asarray(cv2.resize(wall, (columns, rows), interpolation=cv2.INTER_CUBIC), np.float32)
    y, x = np.mgrid[0:128, 0:128].astype(np.float32) / 127
    side = {"left": -0.35, "right": 0.35, "none": -0.12}[asked.key]
    across = (x - 0.5 - side) * columns / rows
    light = 1.12 / (1 + (across**2 + (y - 0.25) ** 2) / np.float32(1.4)) ** 1.5
    small = linear(wall) * light[..., None]
    return np.asarray(cv2.resize(small, (columns, rows), interpolation=cv2.INTER_CUBIC), np.float32)


def _lit(stuff: Stuff, top: Table, asked: Backdrop) -> Linear:
    """A large soft lamp from the key side, a little from behind: relief shows, and light falls off across the table."""
    turn = {"left": 1.0, "right": -1.0, "none": 0.6}[asked.key]
    light = _pool(top, turn)
    if stuff.relief.any():
        light = light * _relief(stuff.relief, turn)
    return stuff.colour * light[..., None]


def _pool(top: Table, turn: float) -> Plane:
    away = (top.u + np.float32(0.18 * turn)) ** 2 + (top.v - np.float32(0.12)) ** 2
    return (0.40 + 0.68 / (1 + away / np.float32(0.14))).astype(np.float32)


def _relief(relief: Plane, turn: float) -> Plane:
    """How much more or less light a slope gets; slopes are per thousandth of a picture so that any size looks alike."""
    size = np.float32(relief.shape[1] / 1024)
    slope_x = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=1, scale=0.5) * size
    slope_y = cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=1, scale=0.5) * size
    return np.clip(1 + np.float32(-0.9 * turn) * slope_x * -1 + np.float32(0.6) * slope_y, 0.45, 1.6)


def _glossy(lit: Linear, stuff: Stuff, top: Table, behind: Linear) -> Linear:
    """Adds the wall's reflection by Schlick's law: what makes a table look like a table and not like wallpaper."""
    mirror = (0.04 + 0.96 * (1 - top.facing) ** 5) * np.float32(stuff.gloss * 0.8)
    rows = top.edge - 1 - np.arange(lit.shape[0])
    above = behind[np.clip(rows, 0, len(behind) - 1)]
    wide = max(3, int((0.13 - 0.1 * stuff.gloss) * top.rows)) | 1
    above = cv2.blur(np.ascontiguousarray(above), (wide, wide))
    return lit * (1 - mirror)[..., None] + above * mirror[..., None]


def _focus(top: Table, asked: Backdrop) -> Plane:
    """The disc's diameter in pixels for each row. On a plane it grows linearly with the row: thin lens."""
    rows = np.arange(top.rows, dtype=np.float32)
    far = np.float32(asked.blur * top.rows)
    if asked.seen_from == "above":
        growth = np.float32(SLOPE_BLUR if oblique(asked) else FLAT_BLUR)
        return np.abs(rows - top.floor) / np.float32(top.rows) * far * growth
    away = np.maximum(np.abs(rows - top.floor) - SHARP * top.rows, 0)
    slope = far / max(top.floor - top.edge - SHARP * top.rows, 1.0)
    return np.minimum(away * slope * np.where(rows < top.floor, 1.0, NEAR_BLUR), far).astype(np.float32)
