"""Procedural materials of tables: colour, relief and gloss at points given in metres.

In all of them (u, v), H x W, are the points and `grain` is the size of a pixel there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipelines.core.geometry import Colour
from pipelines.models.families.scenes.noise import Plane, detail_visibility, fractal_noise, sample_noise, scatter_spots
from pipelines.models.families.scenes.tone_mapping import LinearLight, linear_colour


@dataclass(frozen=True)
class SurfaceMaterial:
    """A material: `colour` in linear light (H x W x 3), `relief` where 1 is deep (H x W), `gloss` 0 to 1."""

    colour: LinearLight
    relief: Plane
    gloss: float


def mix_colours(first: Colour, second: Colour, share: Plane) -> LinearLight:
    """Mix square roots of linear light from `first` (share 0) to `second` (share 1)."""
    a, b = np.sqrt(linear_colour(first)), np.sqrt(linear_colour(second))
    share = np.clip(share, 0, 1)
    out = np.empty((*share.shape, 3), np.float32)
    for channel in range(3):  # one plane at a time is three times as fast as an innermost axis of three
        out[..., channel] = (a[channel] + (b[channel] - a[channel]) * share) ** 2
    return out


@dataclass(frozen=True)
class WoodSpecies:
    """A wood: its colours, `spacing` of the rings and `width` of boards in metres, strength of its `pores`, 0 to 1."""

    pale: Colour
    dark: Colour
    spacing: float
    width: float
    pores: float
    board_variation: float


OAK = WoodSpecies((208, 162, 108), (132, 84, 46), 0.0042, 0.135, 1.0, 0.19)
WALNUT = WoodSpecies((132, 86, 54), (60, 36, 22), 0.006, 0.15, 0.7, 0.22)


def render_wood(wood: WoodSpecies, u: Plane, v: Plane, grain: Plane, seed: int) -> SurfaceMaterial:
    """Render boards along u, each cut from another trunk: the distance from its pith gives rings and arches."""
    board = np.floor(v / np.float32(wood.width) + np.float32(0.5))
    inside = v / np.float32(wood.width) + np.float32(0.5) - board
    index = board.astype(np.int64) % 64
    pick = [row[index] for row in np.random.default_rng(seed + 900).random((4, 64), np.float32)]
    x = u + pick[0] * 40
    y = (inside - np.float32(0.5)) * np.float32(wood.width)
    sway = (
        sample_noise(x * 1.6, pick[1] * 300 + y * 6, seed + 1) * 0.006
        + sample_noise(x * 5, pick[1] * 90 + y * 22, seed + 2) * 0.0016
    )
    off = y - (pick[2] - np.float32(0.5)) * np.float32(0.12)
    depth = 0.012 + 0.05 * pick[3] + 0.05 * (pick[1] - 0.5) * (u + 0.4 * pick[0])
    ring = (np.hypot(off + sway, depth + 3 * sway) + 0.0012 * sample_noise(x * 3, y * 160, seed + 3)) / np.float32(
        wood.spacing
    )
    step = ring - np.floor(ring)
    clear = detail_visibility(grain, 1 / wood.spacing)
    early = (np.exp(-4.5 * step) * np.clip(step * 9, 0, 1)).astype(np.float32) * clear
    fibre = (
        fractal_noise(x * 14, y * 700, seed + 4, 3, grain=grain * 700) * 0.6
        + sample_noise(x * 4, y * 190, seed + 5) * 0.5
    )
    # Pores are short dark dashes along the grain, where the noise is high.
    dashes = np.clip(sample_noise(x * 110, y * 1500, seed + 7) - 0.75, 0, 1) * detail_visibility(grain, 1100)
    pore = dashes.astype(np.float32) * (0.25 + early) * np.float32(wood.pores)
    broad = sample_noise(x * 2.2, y * 30 + pick[3] * 50, seed + 6)
    # Wear: darker where oil went in, and fine dents.
    worn = fractal_noise(u * 11, v * 11, seed + 8, 5, fall=0.62, grain=grain * 11)
    dents = fractal_noise(u * 170, v * 170, seed + 9, 3, grain=grain * 170)
    share = (
        0.30
        + 0.50 * early
        + 0.11 * fibre
        + 0.10 * broad
        + 0.75 * pore
        + 0.13 * worn
        + 0.03 * dents
        + np.float32(wood.board_variation) * (pick[0] * 4 - 2) * 0.8
    )
    colour = mix_colours(wood.pale, wood.dark, share)
    colour *= (1 + 0.03 * (pick[2] - 0.5))[..., None]
    seam = _board_seams(inside, grain, wood.width)
    colour *= (1 - 0.72 * seam)[..., None]
    relief = -0.5 * pore - 0.25 * early + 0.05 * fibre + 0.22 * dents + 0.15 * worn - 1.5 * seam
    return SurfaceMaterial(colour, relief.astype(np.float32), 0.32)


def _board_seams(inside: Plane, grain: Plane, width: float) -> Plane:
    """The gap between boards: 1 inside. At least a pixel wide, and then paler."""
    half = np.maximum(np.float32(0.0007), grain * np.float32(0.8))
    away = np.minimum(inside, 1 - inside) * np.float32(width)
    return (np.clip(1.5 - away / half, 0, 1) * np.clip(np.float32(0.0011) / half, 0.25, 1)).astype(np.float32)


def render_marble(u: Plane, v: Plane, grain: Plane, seed: int) -> SurfaceMaterial:
    """White marble: grey clouds stretched in one direction, bundles of wavering veins along it, fine ones across."""
    warp = fractal_noise(u * 3.2, v * 3.2, seed + 1, 6, fall=0.6, grain=grain * 3)
    bend = fractal_noise(u * 3.2 + 40, v * 3.2, seed + 2, 6, fall=0.6, grain=grain * 3)
    x, y = u + 0.045 * warp, v + 0.045 * bend
    drawn = fractal_noise((x + y) * 2.4, (y - x) * 8.0, seed + 3, 5, fall=0.66)
    share = 0.17 * np.clip(0.62 + 0.55 * drawn, 0, None) ** 1.4
    share += 0.50 * _marble_veins(x, y, 38, 0.21, 0.006, seed + 10, grain)
    share += 0.30 * _marble_veins(x, y, 50, 0.093, 0.0026, seed + 20, grain)
    share += 0.20 * _marble_veins(x, y, -14, 0.12, 0.0013, seed + 30, grain)
    grain_of_stone = 0.008 * fractal_noise(u * 500, v * 500, seed + 7, 2, grain=grain * 500)
    colour = mix_colours((244, 243, 240), (104, 109, 117), share + grain_of_stone)
    return SurfaceMaterial(colour, np.zeros_like(u), 0.9)


def render_black_marble(u: Plane, v: Plane, grain: Plane, seed: int) -> SurfaceMaterial:
    """Black marble: a few crisp white veins, broken in places, and fine ones that branch off at an angle."""
    x = u + 0.045 * fractal_noise(u * 4, v * 4, seed + 1, 5, fall=0.55)
    y = v + 0.045 * fractal_noise(u * 4 + 40, v * 4, seed + 2, 5, fall=0.55)
    smoke = np.clip(0.5 + 0.5 * fractal_noise(x * 6, y * 6, seed + 6, 5), 0, 1)
    share = 0.07 * smoke
    share += 0.75 * _marble_veins(x, y, 35, 0.23, 0.0017, seed + 10, grain, 0.05)
    share += 0.42 * _marble_veins(x, y, 58, 0.13, 0.0009, seed + 20, grain, 0.05)
    share += 0.34 * _marble_veins(x, y, -30, 0.16, 0.0007, seed + 30, grain, 0.05)
    return SurfaceMaterial(mix_colours((23, 23, 26), (224, 221, 214), share), np.zeros_like(u), 1.0)


def _marble_veins(
    x: Plane, y: Plane, degrees: float, spacing: float, width: float, seed: int, grain: Plane, bleed: float = 0.42
) -> Plane:
    """Wavering lines `spacing` apart and `width` thick (metres): levels of a ramp distorted by noise."""
    angle = np.radians(degrees)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along, across = x * c + y * s, y * c - x * s
    bent = across / np.float32(spacing) + 0.36 * fractal_noise(along * 2.2, across * 3.5, seed, 3, fall=0.5)
    near = (bent - np.round(bent)) * np.float32(spacing)
    swell = np.clip(0.3 + 0.7 * sample_noise(along * 5, across * 9, seed + 5), 0.0, 1.5)
    thick = np.hypot(np.float32(width) * (0.3 + 0.7 * swell), 0.5 * grain)
    # A vein is sharp on one side; on the other its colour has bled into the stone.
    core = np.exp(-np.abs(near) / thick) * np.minimum(1, np.float32(width) / thick)
    bled = np.exp(-np.abs(near) / (thick * np.float32(9))) * (near > 0) * np.clip(near / thick, 0, 1)
    return ((core + np.float32(bleed) * bled) * swell).astype(np.float32)


def render_concrete(u: Plane, v: Plane, grain: Plane, seed: int) -> SurfaceMaterial:
    """Smooth cast concrete: clouds, sand, some air holes."""
    cloud = fractal_noise(u * 4, v * 4, seed + 1, 6, fall=0.6, grain=grain * 4)
    stain = fractal_noise(u * 1.7 + 0.1 * cloud, v * 1.7, seed + 2, 3)
    sand = fractal_noise(u * 420, v * 420, seed + 3, 2, fall=0.7, grain=grain * 420)
    speck = np.clip(fractal_noise(u * 190, v * 190, seed + 4, 2, grain=grain * 190) - 1.4, 0, 1)
    holes = scatter_spots(u, v, 0.022, (0.0006, 0.0022), seed + 5, grain) * 0.9
    holes = np.maximum(holes, scatter_spots(u + 3, v + 1, 0.009, (0.0003, 0.0009), seed + 6, grain) * 0.7)
    share = 0.46 + 0.11 * cloud + 0.13 * stain + 0.04 * sand + 0.13 * speck
    colour = mix_colours((203, 201, 196), (132, 131, 129), share)
    colour *= (1 - 0.62 * holes)[..., None]
    return SurfaceMaterial(colour, (0.05 * sand + 0.25 * cloud - 1.6 * holes).astype(np.float32), 0.10)


def render_plaster(u: Plane, v: Plane, grain: Plane, seed: int, tint: Colour = (226, 216, 203)) -> SurfaceMaterial:
    """Lime plaster: broad strokes of a trowel with soft ridges at their ends."""
    warp = fractal_noise(u * 5, v * 5, seed + 1, 4)
    stroke = fractal_noise(u * 6 + 0.5 * warp, v * 17 + 0.5 * warp, seed + 2, 4, fall=0.55, grain=grain * 17)
    other = fractal_noise(u * 15 + 0.4 * warp, v * 6 - 0.4 * warp, seed + 3, 4, fall=0.55, grain=grain * 15)
    tooth = fractal_noise(u * 300, v * 300, seed + 4, 2, grain=grain * 300)
    tone = 0.045 * warp + 0.04 * stroke + 0.04 * other + 0.010 * tooth
    colour = linear_colour(tint) * np.exp(tone)[..., None]
    return SurfaceMaterial(
        colour.astype(np.float32), (0.30 * stroke + 0.28 * other + 0.06 * tooth).astype(np.float32), 0.05
    )


def render_linen(u: Plane, v: Plane, grain: Plane, seed: int) -> SurfaceMaterial:
    """Washed linen: a plain weave of uneven threads, with long soft folds."""
    pitch = np.float32(0.0019)
    drift_u = 0.35 * sample_noise(u * 9, v * 9, seed + 1)
    drift_v = 0.35 * sample_noise(u * 9 + 50, v * 9, seed + 2)
    a, b = u / pitch + drift_u, v / pitch + drift_v
    warp_thread, weft_thread = np.floor(a), np.floor(b)
    over = np.mod(warp_thread + weft_thread, 2)
    clear = detail_visibility(grain, 0.6 / float(pitch))
    across_a = np.sin(np.pi * (a - warp_thread))
    across_b = np.sin(np.pi * (b - weft_thread))
    weave = np.where(over > 0.5, across_a * (0.55 + 0.45 * across_b), across_b * (0.55 + 0.45 * across_a))
    slub_a = sample_noise(warp_thread * 7.3, v * 28, seed + 3)
    slub_b = sample_noise(u * 28, weft_thread * 7.3, seed + 4)
    slub = np.where(over > 0.5, slub_a, slub_b)
    mean = np.float32(0.5)
    body = mean + (weave - mean) * clear
    fold = fractal_noise(u * 3.0 + 0.6 * v, v * 4.5 - 0.5 * u, seed + 5, 3, fall=0.45)
    crease = fractal_noise(u * 11, v * 14, seed + 6, 3)
    share = 0.62 - 0.42 * body - 0.09 * slub * (0.4 + 0.6 * clear) - 0.03 * crease
    colour = mix_colours((238, 230, 216), (158, 145, 124), share)
    return SurfaceMaterial(colour, (0.5 * body + 2.6 * fold + 0.5 * crease).astype(np.float32), 0.0)


MATERIALS: Mapping[str, Callable[[Plane, Plane, Plane, int], SurfaceMaterial]] = {
    "oak": partial(render_wood, OAK),
    "walnut": partial(render_wood, WALNUT),
    "marble": render_marble,
    "slate": render_black_marble,
    "concrete": render_concrete,
    "plaster": render_plaster,
    "linen": render_linen,
}
