"""Styles Halftone, Pop Art and Riso: printed pictures."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Colour, Float64Array, Image
from pipelines.imaging.color import to_linear
from pipelines.styles.primitives import (
    Field,
    Picture,
    StyleSettings,
    adjust_saturation,
    bilateral_smooth,
    clip_to_range,
    colour_to_float,
    compute_luma,
    edge_tangent_flow,
    fractal_noise,
    gaussian_blur,
    multiply_ink,
    paper_sheet,
    paper_texture,
    pixel_coordinates,
    smoothstep,
    stretch_contrast,
    to_float,
    to_uint8,
    value_noise,
    xdog_edges,
)

# Colour of each process ink on uncoated paper, and screen angle in degrees as in offset printing (least moiré).
PROCESS_INKS: tuple[tuple[Colour, float], ...] = (
    ((0, 158, 219), 15.0),
    ((219, 20, 118), 75.0),
    ((252, 226, 20), 0.0),
    ((34, 31, 32), 45.0),
)


def draw_halftone(image: Image, settings: StyleSettings) -> Image:
    """Draw four rotated dot screens in process inks, a little out of register."""
    rng = settings.make_rng()
    picture = adjust_saturation(to_float(bilateral_smooth(image, 1.5 * settings.unit_px)), 1.12)
    shares = _separate_cmyk(picture)
    period = (7.6 - 3.6 * settings.detail) * settings.brush_unit_px
    out = paper_sheet((250, 247, 238), paper_texture(image.shape, settings.unit_px, rng), 0.010)
    for (colour, degrees), share in zip(PROCESS_INKS, shares, strict=True):
        shift = rng.uniform(-0.9, 0.9, 2) * settings.unit_px
        out = multiply_ink(out, colour_to_float(colour), halftone_dots(share, period, degrees, shift))
    return to_uint8(out)


def _separate_cmyk(picture: Picture) -> tuple[Field, ...]:
    """Return the coverage (0 to 1) of cyan, magenta, yellow and black, with most of the grey in black."""
    linear = to_linear(to_uint8(picture))
    # Dots mix by area, which means in linear light. The exponent compensates dot gain on paper.
    coverage = np.asarray(1 - np.power(np.clip(linear, 0, 1), 1 / 2.05), np.float32)
    black = smoothstep(coverage.min(axis=2), 0.30, 1.05)
    rest = clip_to_range((coverage - 0.85 * black[..., None]) / (1 - 0.85 * black[..., None]))
    return rest[..., 0], rest[..., 1], rest[..., 2], black


def halftone_dots(share: Field, period: float, degrees: float, shift: Float64Array) -> Field:
    """Return a dot screen: 1 where a dot covers the paper. Dots touch at half coverage."""
    angle = np.deg2rad(degrees)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    y, x = pixel_coordinates(share.shape)
    y, x = y + np.float32(shift[1]), x + np.float32(shift[0])
    rotation = np.float32(2 * np.pi / period)
    wave = np.cos((x * cos + y * sin) * rotation) + np.cos((y * cos - x * sin) * rotation)
    # A table gives the wave's threshold for each coverage, so that the printed coverage is exact.
    level = np.interp(share.ravel(), *_dot_threshold_table()).reshape(share.shape).astype(np.float32)
    soft = min(2.4 * np.pi / period, 0.9)
    return smoothstep(np.asarray(wave - level, np.float32), -soft, soft) * (share > 0.012)


def _dot_threshold_table() -> tuple[Float64Array, Float64Array]:
    grid = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    waves = np.sort((np.cos(grid)[:, None] + np.cos(grid)[None]).ravel())[::-1]
    shares = np.linspace(0, 1, 65)
    return shares, np.interp(shares, np.linspace(0, 1, waves.size), waves)


# Four colours from dark to light. The seed chooses a palette.
POP_ART_PALETTES: tuple[tuple[Colour, ...], ...] = (
    ((24, 20, 64), (226, 26, 92), (255, 152, 56), (255, 236, 104)),
    ((20, 24, 40), (0, 112, 192), (255, 92, 138), (255, 238, 190)),
    ((40, 12, 52), (128, 36, 160), (0, 182, 170), (250, 240, 120)),
    ((16, 28, 36), (214, 40, 40), (247, 178, 60), (240, 236, 214)),
)


def draw_pop_art(image: Image, settings: StyleSettings) -> Image:
    """Draw a screen print: four flat colours by tone, clean outlines, and Ben-Day dots between the tones."""
    rng = settings.make_rng()
    flat = bilateral_smooth(image, (7 - 4 * settings.detail) * settings.unit_px, 40)
    tone = stretch_contrast(compute_luma(to_float(flat)), 2, 98)
    clahe = cv2.createCLAHE(clipLimit=1.8, tileGridSize=(3, 3))
    tone = clahe.apply((tone * 255).astype(np.uint8)).astype(np.float32) / 255
    tone = gaussian_blur(tone, 1.6 * settings.unit_px)
    colours = [colour_to_float(colour) for colour in POP_ART_PALETTES[settings.seed % len(POP_ART_PALETTES)]]
    out = np.ones((*tone.shape, 3), np.float32) * colours[0]
    for n, step in enumerate((0.26, 0.47, 0.70)):
        out += smoothstep(tone, step - 0.012, step + 0.012)[..., None] * (colours[n + 1] - out)
    # Ben-Day dots fill the range just below each of the two light steps.
    period = (11 - 3 * settings.detail) * settings.brush_unit_px
    for n, (low, high) in enumerate(((0.37, 0.47), (0.58, 0.70)), 2):
        share = smoothstep(tone, low, high) * (tone < high) * np.float32(0.62)
        out += halftone_dots(np.asarray(share, np.float32), period, 22.5, np.zeros(2))[..., None] * (colours[n] - out)
    lines = edge_tangent_flow(tone, 3 * settings.unit_px)
    contour = xdog_edges(tone, lines, 2.0 * settings.brush_unit_px, 40, 0.016)
    out += (contour * 0.94)[..., None] * (colours[0] * 0.7 - out)
    grain = 1 + 0.012 * value_noise(tone.shape, 2 * settings.unit_px, rng)
    return to_uint8(np.asarray(out * grain[..., None], np.float32))


# Transparent soy inks as they look on cream paper, two or three for each picture.
RISO_INKS: tuple[tuple[Colour, ...], ...] = (
    ((0, 96, 168), (255, 86, 120), (255, 222, 40)),
    ((0, 118, 112), (255, 100, 78), (255, 206, 60)),
    ((62, 56, 120), (255, 112, 84), (108, 208, 190)),
    ((30, 60, 140), (246, 80, 88)),
)
_INK_TABLE_SIDE = 24  # nodes on each axis of the separation table


def draw_riso(image: Image, settings: StyleSettings) -> Image:
    """Draw two or three spot inks, each with its own grain, uneven coverage and registration error."""
    rng = settings.make_rng()
    inks = RISO_INKS[settings.seed % len(RISO_INKS)]
    picture = adjust_saturation(to_float(bilateral_smooth(image, (3 - 2 * settings.detail) * settings.unit_px)), 1.25)
    tone = stretch_contrast(compute_luma(picture))[..., None] / np.maximum(compute_luma(picture), 0.02)[..., None]
    shares = _separate_inks(clip_to_range(picture * (0.4 + 0.6 * tone)), inks)
    out = paper_sheet((247, 241, 226), paper_texture(image.shape, settings.unit_px, rng), 0.014)
    for n, colour in enumerate(inks):
        share = _shift_out_of_register(shares[..., n], settings, rng) if n else shares[..., n]
        out = multiply_ink(out, colour_to_float(colour), _grain_screen(share, settings, rng))
    return to_uint8(out)


def _separate_inks(picture: Picture, inks: tuple[Colour, ...]) -> Picture:
    """Return each ink's amount (0 to 1) nearest to each colour: least squares in density for a table of colours."""
    axis = np.linspace(0, 1, _INK_TABLE_SIDE)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    density = -np.log(np.clip(grid, 0.06, 0.97))
    spots = -np.log(np.clip(np.array(inks) / 255, 0.06, 0.97))
    amount = np.full((len(grid), len(inks)), 0.3)
    # Multiplicative updates (Lee and Seung 2001) keep every amount at or above zero.
    for _ in range(60):
        amount *= (density @ spots.T) / np.maximum(amount @ (spots @ spots.T), 1e-6)
    table = np.clip(amount, 0, 1).astype(np.float32)
    index = np.clip(np.rint(picture * (_INK_TABLE_SIDE - 1)), 0, _INK_TABLE_SIDE - 1).astype(np.int32)
    return table[(index[..., 0] * _INK_TABLE_SIDE + index[..., 1]) * _INK_TABLE_SIDE + index[..., 2]]


def _shift_out_of_register(share: Field, settings: StyleSettings, rng: np.random.Generator) -> Field:
    """Shift one ink by two to four units and rotate it a little."""
    height, width = share.shape
    rotation, reach = rng.uniform(-0.25, 0.25), rng.uniform(1.6, 3.4) * settings.unit_px
    angle = rng.uniform(0, 2 * np.pi)
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), rotation, 1.0)
    matrix[:, 2] += reach * np.array([np.cos(angle), np.sin(angle)])
    return np.asarray(cv2.warpAffine(share, matrix, (width, height), borderMode=cv2.BORDER_REFLECT), np.float32)


def _grain_screen(share: Field, settings: StyleSettings, rng: np.random.Generator) -> Field:
    """Return the stochastic screen of one ink: grains, uneven coverage, and pinholes in solid areas."""
    share = gaussian_blur(share, 0.8 * settings.unit_px)
    grains = value_noise(share.shape, max(1.45 * settings.brush_unit_px, 1.0), rng)
    # The grains are normally distributed. This erf-like scale keeps the mean coverage.
    level = (np.clip(share, 0.0, 1.0) - 0.5) * np.float32(3.9)
    covered = smoothstep(np.asarray(level + grains * np.float32(0.85), np.float32), -0.75, 0.75)
    uneven = np.float32(0.90) + np.float32(0.045) * fractal_noise(share.shape, 160 * settings.unit_px, rng, 3)
    return clip_to_range(covered * uneven * smoothstep(share, 0.02, 0.10))
