"""Styles Ink, Pencil and Charcoal: monochrome drawings on paper."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Image
from pipelines.styles.primitives import (
    Field,
    Picture,
    StyleSettings,
    bilateral_smooth,
    colour_to_float,
    compute_luma,
    constant_flow,
    displace,
    edge_tangent_flow,
    fractal_noise,
    gaussian_blur,
    paper_sheet,
    paper_texture,
    pixel_coordinates,
    smooth_along_flow,
    smoothstep,
    stretch_contrast,
    to_float,
    to_uint8,
    value_noise,
    xdog_edges,
)

INDIA_INK_COLOUR = (22, 24, 32)
GRAPHITE_COLOUR = (46, 46, 50)
CHARCOAL_COLOUR = (28, 26, 25)


def drawing_tone(image: Image, reach: float, settings: StyleSettings) -> Field:
    """Return the tones to draw, 0 to 1, with stretched range and raised local contrast (CLAHE)."""
    light = compute_luma(to_float(bilateral_smooth(image, reach * settings.unit_px)))
    stretched = stretch_contrast(light)
    clahe = cv2.createCLAHE(clipLimit=1.6, tileGridSize=(4, 4))
    local = clahe.apply((stretched * 255).astype(np.uint8)).astype(np.float32) / 255
    return np.asarray(0.55 * stretched + 0.45 * local, np.float32)


def apply_medium(ground: Picture, colour: tuple[int, int, int], amount: Field) -> Image:
    """Draw `amount` (0 to 1) of a dark medium on the ground."""
    return to_uint8(np.asarray(ground + amount[..., None] * (colour_to_float(colour) - ground), np.float32))


def draw_ink(image: Image, settings: StyleSettings) -> Image:
    """Draw with pen and brush: contours, hatching that is thicker in dark tones, and solid blacks."""
    rng = settings.make_rng()
    tone = drawing_tone(image, 5 - 3 * settings.detail, settings)
    lines = edge_tangent_flow(tone, 3 * settings.unit_px)
    contour = xdog_edges(tone, lines, (1.5 - 0.4 * settings.detail) * settings.brush_unit_px, 42, 0.010)
    dark = 1 - gaussian_blur(tone, 1.5 * settings.unit_px)
    hatch = np.zeros_like(tone)
    for degrees, start, full in ((-45, 0.34, 0.95), (38, 0.56, 1.05), (-5, 0.72, 1.1)):
        hatch = np.maximum(hatch, _hatch_lines(dark, degrees, start, full, settings, rng))
    solid = smoothstep(dark + 0.02 * fractal_noise(tone.shape, 12 * settings.unit_px, rng, 2), 0.80, 0.86)
    amount = np.clip(np.maximum(np.maximum(contour, hatch), solid), 0, 1)
    tooth = paper_texture(tone.shape, settings.unit_px, rng)
    amount = amount * np.clip(1 - 0.05 * tooth, 0.75, 1)
    return apply_medium(paper_sheet((250, 247, 239), tooth, 0.010), INDIA_INK_COLOUR, np.asarray(amount, np.float32))


def _hatch_lines(
    dark: Field, degrees: float, start: float, full: float, settings: StyleSettings, rng: np.random.Generator
) -> Field:
    """Return slightly irregular parallel lines, whose thickness grows with the darkness from `start` to `full`."""
    angle = np.deg2rad(degrees)
    y, x = pixel_coordinates(dark.shape)
    period = np.float32(6.2 * settings.brush_unit_px)
    across = x * np.float32(-np.sin(angle)) + y * np.float32(np.cos(angle))
    across = across + fractal_noise(dark.shape, 120 * settings.unit_px, rng, 2) * np.float32(2.2 * settings.unit_px)
    phase = across / period
    wave = np.abs(phase - np.round(phase)) * 2  # 0 on a line, 1 between two
    lifted = fractal_noise(dark.shape, 40 * settings.unit_px, rng, 2) * np.float32(0.05)
    coverage = np.clip((dark + lifted - start) / (full - start), 0, 1) * np.float32(0.85)
    coverage = np.where(dark + lifted < start, -0.2, coverage + 0.10)
    soft = 1.0 / max(float(period), 2)
    return smoothstep(np.asarray(coverage - wave, np.float32), -soft, soft)


def draw_pencil(image: Image, settings: StyleSettings) -> Image:
    """Draw with graphite: hatching in three directions, contours drawn twice, and paper texture."""
    rng = settings.make_rng()
    tone = drawing_tone(image, 4 - 2.5 * settings.detail, settings)
    lines = edge_tangent_flow(tone, 3 * settings.unit_px)
    tooth = paper_texture(tone.shape, settings.unit_px, rng)
    dark = 1 - tone
    amount = np.zeros_like(tone)
    for degrees, low, high, weight in ((-52, 0.10, 0.85, 0.62), (-78, 0.42, 0.95, 0.40), (-20, 0.66, 1.02, 0.34)):
        amount += np.float32(weight) * smoothstep(dark, low, high) * _pencil_streaks(tone.shape, degrees, settings, rng)
    amount += 0.20 * smoothstep(dark, 0.08, 0.9)  # smudged graphite
    first = xdog_edges(tone, lines, (1.15 - 0.25 * settings.detail) * settings.brush_unit_px, 26, 0.006)
    second = xdog_edges(_jitter_tone(tone, 1.6 * settings.unit_px, rng), lines, 2.1 * settings.brush_unit_px, 16, 0.010)
    pressure = np.clip(0.78 + 0.22 * fractal_noise(tone.shape, 70 * settings.unit_px, rng, 2), 0.3, 1)
    amount = 1 - (1 - np.clip(amount, 0, 0.94)) * (1 - 0.85 * first * pressure) * (1 - 0.30 * second * pressure)
    # Graphite stays on the hills of the paper. Where it is pressed hard it fills the valleys, too.
    amount = np.clip(amount * (1 + 0.34 * tooth * (1 - amount)), 0, 0.96)
    return apply_medium(paper_sheet((248, 246, 240), tooth, 0.008), GRAPHITE_COLOUR, np.asarray(amount, np.float32))


def _pencil_streaks(shape: tuple[int, ...], degrees: float, settings: StyleSettings, rng: np.random.Generator) -> Field:
    """Return pencil streaks in one direction, 0 to about 1.4, mean 0.8, in bundles that begin and end."""
    grains = value_noise(shape, 1.9 * settings.brush_unit_px, rng)
    streaks = smooth_along_flow(grains, constant_flow(shape, degrees), 60 * settings.brush_unit_px)
    streaks = streaks / max(float(streaks.std()), 1e-4)
    bundles = 1 + 0.16 * fractal_noise(shape, 80 * settings.unit_px, rng, 2)
    return np.asarray(np.clip(0.80 + 0.42 * streaks, 0, 1.6) * bundles, np.float32)


def _jitter_tone(tone: Field, reach: float, rng: np.random.Generator) -> Field:
    """Return the tones displaced by about `reach` pixels, for a second pass over the contours."""
    dx, dy = (value_noise(tone.shape, 70 * reach, rng) * np.float32(reach) for _ in range(2))
    return displace(tone, dx, dy)


def draw_charcoal(image: Image, settings: StyleSettings) -> Image:
    """Draw with broad charcoal on rough paper: smudged tones, strokes along the form, erased highlights."""
    rng = settings.make_rng()
    tone = drawing_tone(image, 9 - 5 * settings.detail, settings)
    lines = edge_tangent_flow(tone, 5 * settings.unit_px, rng)
    tooth = paper_texture(tone.shape, 1.7 * settings.unit_px, rng)
    smudged = smooth_along_flow(gaussian_blur(tone, 2.5 * settings.brush_unit_px), lines, 22 * settings.brush_unit_px)
    dark = smoothstep(1 - np.asarray(0.6 * smudged + 0.4 * tone, np.float32), 0.12, 0.92)
    grains = value_noise(tone.shape, 3.2 * settings.brush_unit_px, rng)
    streaks = smooth_along_flow(grains, lines, 34 * settings.brush_unit_px)
    grains = value_noise(tone.shape, 4.5 * settings.brush_unit_px, rng)
    broad_streaks = smooth_along_flow(grains, constant_flow(tone.shape, -58), 80 * settings.brush_unit_px)
    streaks = streaks / max(float(streaks.std()), 1e-4) + 0.8 * broad_streaks / max(float(broad_streaks.std()), 1e-4)
    charcoal = dark * (1 + 0.16 * streaks)
    contour = xdog_edges(tone, lines, 2.1 * settings.brush_unit_px, 24, 0.006)
    fine = xdog_edges(tone, lines, 1.1 * settings.brush_unit_px, 30, 0.010) * (0.4 + 0.5 * settings.detail)
    pressure = np.clip(0.75 + 0.3 * fractal_noise(tone.shape, 50 * settings.unit_px, rng, 2), 0.2, 1)
    amount = 1 - (1 - np.clip(charcoal, 0, 0.97)) * (1 - 0.8 * contour * pressure) * (1 - 0.7 * fine)
    # Charcoal does not reach the valleys of the paper where the pressure is low.
    grip = smoothstep(amount * 1.9 - 0.62 + 0.20 * tooth, 0.0, 0.55)
    dust = 0.30 * gaussian_blur(amount, 1.5 * settings.unit_px)
    amount = np.clip(dust + 0.70 * amount * (0.25 + 0.75 * grip), 0, 0.97)
    amount = amount * (1 - 0.8 * smoothstep(tone, 0.86, 0.99))
    return apply_medium(paper_sheet((240, 233, 220), tooth, 0.014), CHARCOAL_COLOUR, np.asarray(amount, np.float32))
