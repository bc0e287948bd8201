"""Ink, pencil, charcoal: what draws on paper with lines; knows no colours of the photo and no faces."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Image
from pipelines.styles.primitives import (
    Field,
    Hand,
    Picture,
    along,
    blur,
    closed,
    clouds,
    edges,
    flow,
    grey,
    ink,
    noise,
    opened,
    paper,
    ramp,
    smooth,
    straight,
    stretched,
)

INDIA = (22, 24, 32)
GRAPHITE = (46, 46, 50)
CHARCOAL = (28, 26, 25)


def tone_of(image: Image, reach: float, hand: Hand) -> Field:
    """The tones a draughtsman would see: local contrast lifted, the range stretched, 0 to 1."""
    light = grey(opened(smooth(image, reach * hand.unit)))
    even = stretched(light)
    clahe = cv2.createCLAHE(clipLimit=1.6, tileGridSize=(4, 4))
    local = clahe.apply((even * 255).astype(np.uint8)).astype(np.float32) / 255
    return np.asarray(0.55 * even + 0.45 * local, np.float32)


def drawn(ground: Picture, colour: tuple[int, int, int], amount: Field) -> Image:
    """`amount` of a dark medium on the ground."""
    return closed(np.asarray(ground + amount[..., None] * (ink(colour) - ground), np.float32))


def _sheet(shape: tuple[int, ...], colour: tuple[int, int, int], tooth: Field, relief: float) -> Picture:
    return np.asarray(ink(colour) * (1 + np.float32(relief) * tooth)[..., None], np.float32) * np.ones(
        (*shape[:2], 1), np.float32
    )


# ---------------------------------------------------------------- ink


def ink_pen(image: Image, hand: Hand) -> Image:
    """Pen and brush: contours that swell, hatching whose lines thicken with the tone, and solid blacks."""
    rng = hand.rng()
    tone = tone_of(image, 5 - 3 * hand.detail, hand)
    lines = flow(tone, 3 * hand.unit)
    contour = edges(tone, lines, (1.5 - 0.4 * hand.detail) * hand.width, 42, 0.010)
    dark = 1 - blur(tone, 1.5 * hand.unit)
    hatch = np.zeros_like(tone)
    for degrees, start, full in ((-45, 0.34, 0.95), (38, 0.56, 1.05), (-5, 0.72, 1.1)):
        hatch = np.maximum(hatch, _hatching(dark, degrees, start, full, hand, rng))
    solid = ramp(dark + 0.02 * clouds(tone.shape, 12 * hand.unit, rng, 2), 0.80, 0.86)
    amount = np.clip(np.maximum(np.maximum(contour, hatch), solid), 0, 1)
    tooth = paper(tone.shape, hand.unit, rng)
    amount = amount * np.clip(1 - 0.05 * tooth, 0.75, 1)
    return drawn(_sheet(tone.shape, (250, 247, 239), tooth, 0.010), INDIA, np.asarray(amount, np.float32))


def _hatching(dark: Field, degrees: float, start: float, full: float, hand: Hand, rng: np.random.Generator) -> Field:
    """Parallel lines by hand: their thickness is the darkness between `start` and `full`."""
    height, width = dark.shape
    angle = np.deg2rad(degrees)
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    period = np.float32(6.2 * hand.width)
    across = x * np.float32(-np.sin(angle)) + y * np.float32(np.cos(angle))
    across = across + clouds(dark.shape, 120 * hand.unit, rng, 2) * np.float32(2.2 * hand.unit)
    phase = across / period
    wave = np.abs(phase - np.round(phase)) * 2  # 0 on a line, 1 between two
    lifted = clouds(dark.shape, 40 * hand.unit, rng, 2) * np.float32(0.05)
    want = np.clip((dark + lifted - start) / (full - start), 0, 1) * np.float32(0.85)
    want = np.where(dark + lifted < start, -0.2, want + 0.10)
    soft = 1.0 / max(float(period), 2)
    return ramp(np.asarray(want - wave, np.float32), -soft, soft)


# ---------------------------------------------------------------- pencil


def pencil(image: Image, hand: Hand) -> Image:
    """Graphite: hatching in two directions under the tones, contours gone over twice, the paper's tooth in all."""
    rng = hand.rng()
    tone = tone_of(image, 4 - 2.5 * hand.detail, hand)
    lines = flow(tone, 3 * hand.unit)
    tooth = paper(tone.shape, hand.unit, rng)
    dark = 1 - tone
    amount = np.zeros_like(tone)
    for degrees, low, high, weight in ((-52, 0.10, 0.85, 0.62), (-78, 0.42, 0.95, 0.40), (-20, 0.66, 1.02, 0.34)):
        amount += np.float32(weight) * ramp(dark, low, high) * _grains_along(tone.shape, degrees, hand, rng)
    amount += 0.20 * ramp(dark, 0.08, 0.9)  # rubbed with a finger
    first = edges(tone, lines, (1.15 - 0.25 * hand.detail) * hand.width, 26, 0.006)
    second = edges(_shifted(tone, 1.6 * hand.unit, rng), lines, 2.1 * hand.width, 16, 0.010)
    pressure = np.clip(0.78 + 0.22 * clouds(tone.shape, 70 * hand.unit, rng, 2), 0.3, 1)
    amount = 1 - (1 - np.clip(amount, 0, 0.94)) * (1 - 0.85 * first * pressure) * (1 - 0.30 * second * pressure)
    # Graphite lies on the hills of the paper; where it is pressed hard it fills the valleys too.
    amount = np.clip(amount * (1 + 0.34 * tooth * (1 - amount)), 0, 0.96)
    return drawn(_sheet(tone.shape, (248, 246, 240), tooth, 0.008), GRAPHITE, np.asarray(amount, np.float32))


def _grains_along(shape: tuple[int, ...], degrees: float, hand: Hand, rng: np.random.Generator) -> Field:
    """Streaks of a pencil in one direction, 0 to about 1.4, mean 0.8; bundles of strokes begin and end."""
    grains = noise(shape, 1.9 * hand.width, rng)
    streaks = along(grains, straight(shape, degrees), 60 * hand.width)
    streaks = streaks / max(float(streaks.std()), 1e-4)
    bundles = 1 + 0.16 * clouds(shape, 80 * hand.unit, rng, 2)
    return np.asarray(np.clip(0.80 + 0.42 * streaks, 0, 1.6) * bundles, np.float32)


def _shifted(tone: Field, reach: float, rng: np.random.Generator) -> Field:
    """The drawing gone over: the same tones, a hair beside."""
    height, width = tone.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    dx, dy = (noise(tone.shape, 70 * reach, rng) * np.float32(reach) for _ in range(2))
    return np.asarray(cv2.remap(tone, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.float32)


# ---------------------------------------------------------------- charcoal


def charcoal(image: Image, hand: Hand) -> Image:
    """Broad sticks on rough paper: smudged masses, strokes along the form, lights lifted with the eraser."""
    rng = hand.rng()
    tone = tone_of(image, 9 - 5 * hand.detail, hand)
    lines = flow(tone, 5 * hand.unit, rng)
    tooth = paper(tone.shape, 1.7 * hand.unit, rng)
    smudged = along(blur(tone, 2.5 * hand.width), lines, 22 * hand.width)
    dark = ramp(1 - np.asarray(0.6 * smudged + 0.4 * tone, np.float32), 0.12, 0.92)
    streaks = along(noise(tone.shape, 3.2 * hand.width, rng), lines, 34 * hand.width)
    side = along(noise(tone.shape, 4.5 * hand.width, rng), straight(tone.shape, -58), 80 * hand.width)
    streaks = streaks / max(float(streaks.std()), 1e-4) + 0.8 * side / max(float(side.std()), 1e-4)
    stick = dark * (1 + 0.16 * streaks)
    contour = edges(tone, lines, 2.1 * hand.width, 24, 0.006)
    fine = edges(tone, lines, 1.1 * hand.width, 30, 0.010) * (0.4 + 0.5 * hand.detail)
    press = np.clip(0.75 + 0.3 * clouds(tone.shape, 50 * hand.unit, rng, 2), 0.2, 1)
    amount = 1 - (1 - np.clip(stick, 0, 0.97)) * (1 - 0.8 * contour * press) * (1 - 0.7 * fine)
    # Dust skips the valleys of the paper: the lighter the touch, the more.
    grip = ramp(amount * 1.9 - 0.62 + 0.20 * tooth, 0.0, 0.55)
    amount = np.clip(0.30 * blur(amount, 1.5 * hand.unit) + 0.70 * amount * (0.25 + 0.75 * grip), 0, 0.97)
    lifted = 0.8 * ramp(tone, 0.86, 0.99)
    return drawn(
        _sheet(tone.shape, (240, 233, 220), tooth, 0.014), CHARCOAL, np.asarray(amount * (1 - lifted), np.float32)
    )
