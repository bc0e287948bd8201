"""Styles Film (colour negative) and Noir (black and white with hard light)."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Image
from pipelines.imaging.color import to_linear, to_srgb
from pipelines.styles.primitives import (
    Field,
    Picture,
    StyleSettings,
    compute_luma,
    fractal_noise,
    gaussian_blur,
    pixel_coordinates,
    smoothstep,
    to_float,
    to_uint8,
    value_noise,
)

# Slope and lift of the tone curve of R, G and B, which tint shadows and highlights as old print film does.
_LAYER_CURVES = ((1.04, 0.010), (1.00, 0.006), (0.94, 0.028))


def draw_film(image: Image, settings: StyleSettings) -> Image:
    """Draw a colour negative: halation around highlights, a tone curve for each colour layer, and grain."""
    light = to_linear(image)
    light = light + _halation_light(light, 14 * settings.brush_unit_px, np.array([0.50, 0.16, 0.045], np.float32))
    light *= _vignette_mask(image.shape, 0.20)[..., None]
    values = np.asarray(to_srgb(light) / 255, np.float32)
    out = np.empty_like(values)
    for c, (slope, lift) in enumerate(_LAYER_CURVES):
        out[..., c] = _tone_curve(values[..., c], slope, lift)
    # Film dyes are less saturated than a screen's colours, mostly in the highlights.
    base = compute_luma(out)[..., None]
    out = base + (out - base) * (1.04 - 0.22 * smoothstep(base, 0.55, 1.0))
    return to_uint8(np.asarray(out + _make_film_grain(np.asarray(out, np.float32), settings, 0.030, 0.5), np.float32))


def _tone_curve(values: Field, slope: float, lift: float) -> Field:
    s = values * values * (3 - 2 * values)
    mixed = 0.62 * values + 0.38 * s
    return np.asarray(lift + (0.975 - lift) * np.clip(0.5 + slope * (mixed - 0.5), 0, 1), np.float32)


def _halation_light(light: Picture, reach: float, tint: Picture) -> Picture:
    """Return the light that the film's back reflects: a red glow around highlights."""
    bright = np.maximum(light.max(axis=2) - 0.62, 0) / 0.38
    halo = gaussian_blur(bright * bright, reach) - 0.5 * gaussian_blur(bright, 0.2 * reach)
    wide = gaussian_blur(bright, 4 * reach)
    return np.asarray((np.maximum(halo, 0) * 0.55 + 0.16 * wide)[..., None] * tint, np.float32)


def _vignette_mask(shape: tuple[int, ...], depth: float, centre: tuple[float, float] = (0.5, 0.5)) -> Field:
    """Return a mask that darkens towards the corners, like a lens (softened cosine to the fourth)."""
    height, width = shape[:2]
    y, x = pixel_coordinates(shape)
    y = (y / height - centre[1]) * np.float32(height / max(height, width))
    x = (x / width - centre[0]) * np.float32(width / max(height, width))
    return np.asarray(1 - depth * smoothstep(np.asarray(np.hypot(x, y), np.float32), 0.25, 0.80), np.float32)


def _make_film_grain(picture: Picture, settings: StyleSettings, amount: float, colour: float) -> Picture:
    """Return film grain, strongest in the midtones. `colour` is the share that differs between the layers."""
    rng = settings.make_rng(3)
    shape = picture.shape
    size = max(1.0, 1.15 * settings.brush_unit_px)
    common = _grain_clumps(shape, size, rng)
    layers = np.stack([common * (1 - colour) + colour * _grain_clumps(shape, size, rng) for _ in range(3)], axis=-1)
    tone = compute_luma(picture)
    weight = np.float32(amount) * (0.35 + 2.6 * tone * (1 - tone))
    return np.asarray(layers * weight[..., None], np.float32)


def _grain_clumps(shape: tuple[int, ...], clump_px: float, rng: np.random.Generator) -> Field:
    fine = rng.standard_normal(shape[:2], np.float32)
    fine = cv2.GaussianBlur(fine, (0, 0), 0.55 * clump_px)
    total = fine / max(float(fine.std()), 1e-4) + 0.35 * value_noise(shape, 2.6 * clump_px, rng)
    return np.asarray(total, np.float32)


def draw_noir(image: Image, settings: StyleSettings) -> Image:
    """Draw black and white with hard light: deep blacks, a spot of light, the shadow of a blind, and grain."""
    rng = settings.make_rng()
    # Orthochromatic film hardly sees red: faces get more contrast and lips get darker.
    tone = to_float(image) @ np.array([0.20, 0.55, 0.25], np.float32)
    low, high = (float(v) for v in np.percentile(tone[::8, ::8], (3, 98.5)))
    tone = np.clip((tone - low) / max(high - low, 0.25), 0, 1)
    local = tone - gaussian_blur(tone, 40 * settings.unit_px)
    tone = np.clip(tone + 0.25 * local, 0, 1)
    hard = np.power(tone, 1.25)
    hard = 0.35 * hard + 0.65 * hard * hard * (3 - 2 * hard)
    pool = _vignette_mask(image.shape, 0.78, (0.5 + rng.uniform(-0.06, 0.06), 0.42))
    shade = 0.42 * _blind_shadow(image.shape, settings, rng) * smoothstep(1 - pool, 0.02, 0.4)
    lit = hard * pool * (1 - shade)
    glow = gaussian_blur(np.maximum(lit - 0.7, 0), 10 * settings.brush_unit_px) * np.float32(0.5)
    out = np.repeat((lit + glow)[..., None], 3, axis=2)
    out = out * 0.965 + 0.012
    return to_uint8(np.asarray(out + _make_film_grain(np.asarray(out, np.float32), settings, 0.034, 0.0), np.float32))


def _blind_shadow(shape: tuple[int, ...], settings: StyleSettings, rng: np.random.Generator) -> Field:
    """Return the soft, slightly rotated shadow of a Venetian blind, 0 to 1."""
    angle = np.deg2rad(rng.choice((-1, 1)) * rng.uniform(9, 16))
    y, x = pixel_coordinates(shape)
    across = (y * np.float32(np.cos(angle)) + x * np.float32(np.sin(angle))) / np.float32(settings.unit_px)
    across = across + fractal_noise(shape, 300 * settings.unit_px, rng, 1) * 2
    wave = np.cos(across * np.float32(2 * np.pi / 74))
    return smoothstep(np.asarray(wave, np.float32), -0.25, 0.45)
