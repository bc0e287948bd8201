"""Round and square podiums on seamless paper of any colour: analytic shapes with soft light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.geometry import Colour, Size
from pipelines.core.rendering import Backdrop
from pipelines.models.families.scenes.lens_blur import blur_with_disc
from pipelines.models.families.scenes.noise import Plane
from pipelines.models.families.scenes.tabletop import camera_pitch_degrees
from pipelines.models.families.scenes.tone_mapping import LinearLight, linear_colour

# The neighbours of each variation: x, half width, height of the top below that of the main one, distance behind it.
NEIGHBOUR_LAYOUTS = (
    ((-0.40, 0.17, -0.13, 0.7),),
    ((0.44, 0.13, -0.2, 0.8), (-0.46, 0.2, 0.03, 0.5)),
    (),
    ((0.38, 0.2, -0.1, 0.6),),
)
CONTACT_OFFSET_RATIO = {"front": 0.35, "three-quarter": 0.35, "above": 0.72}
"""Distance of the contact line before the middle of the top, in half depths: products stand in its front half,
and from above extend as far back as forward."""


@dataclass(frozen=True)
class PodiumShape:
    """A podium in picture heights: x and y of the centre of its top, and half its width; square or round."""

    x: float
    y: float
    half_width: float
    top_aspect: float  # depth over width of the top: sine of the camera pitch
    square: bool


def render_podium(square: bool, wall: Colour, tint: Colour, request: Backdrop, size: Size, variant: int) -> LinearLight:
    """Render a podium under the contact line with its neighbours out of focus behind it, H x W x 3 linear."""
    columns, rows = size
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    x = (x + 0.5 - columns / 2) / rows
    y = (y + 0.5) / rows
    turn = {"left": -1.0, "right": 1.0, "none": -0.7}[request.key_light_side]
    scene = _render_paper(linear_colour(wall), request, x, y, turn)
    floor = request.floor_ratio if request.floor_ratio is not None else 0.8
    flat = float(np.sin(np.radians(camera_pitch_degrees(request))))
    half = min(0.36, 0.42 * columns / rows)
    top = PodiumShape(0.0, floor - CONTACT_OFFSET_RATIO[request.seen_from] * half * flat, half, flat, square)
    colour = linear_colour(tint)
    for at, wide, up, depth in NEIGHBOUR_LAYOUTS[variant % len(NEIGHBOUR_LAYOUTS)]:
        far = PodiumShape(-at * turn * min(1.0, columns / rows), top.y + up - 0.1 * depth * flat, wide, flat, square)
        _draw_podium(scene, far, colour * np.float32(0.92), x, y, turn, 1 / rows)
    scene = blur_with_disc(scene, request.blur_ratio * 0.6 * rows)
    _cast_shadow(scene, top, x, y, turn)
    _draw_podium(scene, top, colour, x, y, turn, 1 / rows)
    return scene


def _render_paper(wall: LinearLight, request: Backdrop, x: Plane, y: Plane, turn: float) -> LinearLight:
    away = (x - np.float32(0.3 * turn)) ** 2 + (y - np.float32(0.3)) ** 2
    light = 0.55 + 0.58 / (1 + away / np.float32(0.55))
    if request.seen_from != "above":
        light = light * (1 - 0.10 * np.exp(-(((y - np.float32(0.72)) / np.float32(0.16)) ** 2)))
    return (wall * light[..., None]).astype(np.float32)


def _draw_podium(
    scene: LinearLight, block: PodiumShape, colour: LinearLight, x: Plane, y: Plane, turn: float, pixel: float
) -> None:
    """Draw the body, then the top and the thin bright line of its edge, into `scene`."""
    columns = np.flatnonzero(np.abs(x[0] - block.x) < block.half_width + 4 * pixel)
    rows = np.flatnonzero(y[:, 0] > block.y - block.half_width * block.top_aspect - 4 * pixel)
    if not (columns.size and rows.size):
        return
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    scene, x, y = scene[box], x[box], y[box]
    dx, dy = x - np.float32(block.x), y - np.float32(block.y)
    soft = np.float32(pixel)
    if block.square:
        top, body, side = _box_coverage(dx, dy, block, soft)
    else:
        top, body, side = _cylinder_coverage(dx, dy, block, soft)
    lamp = _shade_side(side, turn)
    down = np.clip((dy - block.half_width * block.top_aspect) / np.float32(0.45), 0, 1)
    skin = colour * (lamp * (1 - 0.28 * down))[..., None]
    _blend_over(scene, skin, body)
    top_light = (
        1.0 + 0.05 * np.float32(turn) * dx / np.float32(block.half_width) - 0.05 * dy / np.float32(block.half_width)
    ).clip(0.8, 1.08)
    _blend_over(scene, colour * top_light[..., None], top)
    rim = np.clip(1 - np.abs(_rim_distance(dx, dy, block)) / (2.2 * soft), 0, 1) * body * 0.35
    _blend_over(scene, np.broadcast_to(np.minimum(colour * 1.25 + 0.03, 1.0), scene.shape), rim)


def _cylinder_coverage(dx: Plane, dy: Plane, block: PodiumShape, soft: np.float32) -> tuple[Plane, Plane, Plane]:
    """Coverage of top and body, 0 to 1, and the horizontal normal of the body, -1 to 1, each H x W."""
    half, deep = np.float32(block.half_width), np.float32(block.half_width * block.top_aspect)
    radius = np.hypot(dx / half, dy / deep)
    # Divided by its gradient the implicit function is a distance, so the edge is one pixel wide everywhere.
    slope = np.hypot(dx / half**2, dy / deep**2) / np.maximum(radius, 1e-3)
    top = np.clip((1 - radius) / np.maximum(slope, 1e-3) / soft + 0.5, 0, 1)
    body = np.clip((half - np.abs(dx)) / soft + 0.5, 0, 1) * (dy > 0)
    return top, np.maximum(body, top), np.clip(dx / half, -1, 1)


def _box_coverage(dx: Plane, dy: Plane, block: PodiumShape, soft: np.float32) -> tuple[Plane, Plane, Plane]:
    """As `_cylinder_coverage` for a box seen from the front, whose top narrows towards the back."""
    half, deep = np.float32(block.half_width), np.float32(block.half_width * block.top_aspect)
    narrow = half * (1 - 0.10 * np.float32(block.top_aspect + 0.2) * (1 - dy / deep))
    inside = np.minimum(narrow - np.abs(dx), deep - np.abs(dy))
    top = np.clip(inside / soft + 0.5, 0, 1)
    body = np.clip((half - np.abs(dx)) / soft + 0.5, 0, 1) * np.clip((dy - deep) / soft + 0.5, 0, 1)
    return top, np.maximum(body, top), np.zeros_like(dx) + 0.12 * dx / half


def _rim_distance(dx: Plane, dy: Plane, block: PodiumShape) -> Plane:
    half, deep = np.float32(block.half_width), np.float32(block.half_width * block.top_aspect)
    if block.square:
        return np.where(np.abs(dx) < half, dy - deep, 1).astype(np.float32)
    front = deep * np.sqrt(np.maximum(1 - (dx / half) ** 2, 0))
    return np.where(np.abs(dx) < half, dy - front, 1).astype(np.float32)


def _shade_side(side: Plane, turn: float) -> Plane:
    """Shade for a soft lamp on the key side and a white card opposite: the darkest part is not at the edge."""
    across = side * np.float32(turn)
    facing = np.sqrt(np.maximum(1 - side**2, 0))
    key = np.clip(0.62 * facing + 0.55 * across, 0, None)
    card = 0.16 * np.clip(-across, 0, 1) ** 2
    return (0.30 + 0.62 * key + card).astype(np.float32)


def _cast_shadow(scene: LinearLight, block: PodiumShape, x: Plane, y: Plane, turn: float) -> None:
    """Darken `scene` by the shadow of the podium on the paper behind it, away from the lamp."""
    off = x - np.float32(block.x - 0.16 * turn)
    shadow = np.exp(-((np.abs(off) / np.float32(block.half_width * 1.25)) ** 4)) * np.clip(
        (y - np.float32(block.y)) / 0.2, 0, 1
    )
    scene *= (1 - 0.22 * cv2.GaussianBlur(shadow.astype(np.float32), (0, 0), 0.03 * scene.shape[0]))[..., None]


def _blend_over(scene: LinearLight, colour: LinearLight, share: Plane) -> None:
    share = share[..., None].astype(np.float32)
    scene *= 1 - share
    scene += colour * share
