"""Studio backdrops: paper, painted canvas and coloured light behind a head or under a product.

A lamp near a wall lights it by the inverse square law and the cosine; that is what a spot looks like, not a linear
ramp. Everything is linear light at a low resolution, since paper out of focus has no detail.
"""

from __future__ import annotations

import numpy as np

from pipelines.core.geometry import Size
from pipelines.core.rendering import Backdrop
from pipelines.models.families.scenes.lens_blur import blur_with_disc
from pipelines.models.families.scenes.noise import Plane, fractal_noise
from pipelines.models.families.scenes.scene_types import StudioPaper
from pipelines.models.families.scenes.tone_mapping import LinearLight, linear_colour

_PAPER_ROWS = 256
_CANVAS_ROWS = 640
# How each variation is lit: factors of the spot's strength and radius, and the lamp's shift to the right and up.
LIGHT_VARIATIONS = ((1.0, 1.0, 0.0, 0.0), (1.25, 0.8, -0.2, -0.06), (0.55, 1.3, 0.22, -0.1), (1.4, 0.65, 0.0, 0.1))


def render_studio_backdrop(look: StudioPaper, request: Backdrop, size: Size, variant: int, seed: int) -> LinearLight:
    """Render the backdrop, H x W x 3 linear light, with the aspect ratio of `size` (width, height) but smaller."""
    rows = min(size[1], _CANVAS_ROWS if look.painted else _PAPER_ROWS)
    columns = max(2, round(rows * size[0] / size[1]))
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    x, y = (x + 0.5) / rows - 0.5 * columns / rows, (y + 0.5) / rows
    pool, ambient = _light_pool(look, request, x, y, variant, columns / rows)
    base = _base_colour(look, request, x, y, seed)
    if look.gel:
        return base
    light = ambient + (1 - ambient) * pool
    if request.subject == "product" and request.floor_ratio is not None and request.seen_from != "above":
        light = light * _shade_paper_bend(y, request.floor_ratio)
    return base * light[..., None]


def _light_pool(
    look: StudioPaper, request: Backdrop, x: Plane, y: Plane, variant: int, aspect: float
) -> tuple[Plane, float]:
    """The lamp's light on the wall, H x W, 1 in its middle, and the share of light that is everywhere."""
    strength, size, right, up = LIGHT_VARIATIONS[variant % len(LIGHT_VARIATIONS)]
    side = {"left": -0.1, "right": 0.1, "none": 0.0}[request.key_light_side]
    turn = -1.0 if request.key_light_side == "right" else 1.0
    at_x = side * (1 if look.spot < 0.7 else 0.3) + turn * right
    at_y = np.clip(request.horizon_ratio + 0.02, 0.15, 0.6) - up
    radius = look.radius * size * max(0.75, min(1.0, aspect))
    away = ((x - np.float32(at_x)) ** 2 + ((y - np.float32(at_y)) * np.float32(0.92)) ** 2) / np.float32(radius**2)
    pool = 1 / (1 + away) ** 2
    return pool.astype(np.float32), 1 - min(0.95, look.spot * strength)


def _base_colour(look: StudioPaper, request: Backdrop, x: Plane, y: Plane, seed: int) -> LinearLight:
    colour = linear_colour(request.colour or look.colour)
    if look.gel:
        return _mix_gel_lights(colour, linear_colour(look.second or look.colour), request, x, y)
    if look.second is not None:
        share = (y * y * (3 - 2 * y))[..., None]
        # Square roots are mixed, half way to perception: a linear mix of two papers looks uneven.
        return (np.sqrt(colour) * (1 - share) + np.sqrt(linear_colour(look.second)) * share) ** 2
    flat = np.broadcast_to(colour, (*x.shape, 3)).astype(np.float32)
    if not look.painted:
        return flat
    return _paint_canvas(flat, x, y, look.painted, request.blur_ratio, seed)


def _paint_canvas(flat: LinearLight, x: Plane, y: Plane, strength: float, blur: float, seed: int) -> LinearLight:
    """Paint a canvas: clouds of two tones, broad crossed strokes, a little warmth where the paint is thin."""
    warp = fractal_noise(x * 3, y * 3, seed + 1, 3)
    clouds = fractal_noise(x * 4.4 + 0.16 * warp, y * 4.4 - 0.16 * warp, seed + 2, 4, fall=0.5)
    along = 0.8 * x + 0.6 * y + 0.05 * warp
    across = -0.6 * x + 0.8 * y
    strokes = fractal_noise(along * 5, across * 16, seed + 3, 3) + fractal_noise(along * 15, across * 5.5, seed + 4, 3)
    tone = 0.105 * clouds + 0.04 * strokes
    warm = 0.035 * fractal_noise(x * 2.4, y * 2.4, seed + 5, 3)
    painted = flat * np.exp(np.float32(strength) * tone)[..., None]
    painted *= 1 + np.stack((warm, 0.2 * warm, -warm), axis=-1)
    # The canvas hangs a metre or two behind the person: less blurred than a room.
    return blur_with_disc(painted.astype(np.float32), (0.25 * blur + 0.004) * x.shape[0])


def _mix_gel_lights(first: LinearLight, second: LinearLight, request: Backdrop, x: Plane, y: Plane) -> LinearLight:
    """Light a grey wall with a coloured lamp from each side."""
    reach = np.float32(0.5 * x.shape[1] / x.shape[0])
    turn = np.float32(-1 if request.key_light_side == "right" else 1)
    left = 1.7 / (1 + ((x * turn + reach) ** 2 + (y - 0.35) ** 2) / np.float32(0.5)) ** 2
    right = 1.7 / (1 + ((x * turn - reach) ** 2 + (y - 0.65) ** 2) / np.float32(0.55)) ** 2
    return (0.75 * (left[..., None] * first + right[..., None] * second)).astype(np.float32) + np.float32(0.004)


def _shade_paper_bend(y: Plane, floor: float) -> Plane:
    """Shading of paper that runs from the wall onto the table, H x 1: the table faces the lamp, the bend is darkest."""
    bend = np.clip((y - (floor - 0.34)) / 0.36, 0, 1)
    return (1 - 0.10 * np.sin(np.pi * _smootherstep(bend)) ** 2 * (1 - 0.3 * bend) + 0.06 * _smootherstep(bend)).astype(
        np.float32
    )


def _smootherstep(t: Plane) -> Plane:
    return t * t * t * (t * (t * 6 - 15) + 10)
