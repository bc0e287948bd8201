"""Halftone, pop art, riso: what comes from a press; knows screens and inks, no faces."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Colour, Image
from pipelines.imaging.color import to_linear
from pipelines.styles.primitives import (
    Field,
    Hand,
    Picture,
    blur,
    closed,
    clouds,
    edges,
    flow,
    grey,
    held,
    ink,
    layered,
    noise,
    opened,
    paper,
    ramp,
    saturated,
    smooth,
    stretched,
)

# ---------------------------------------------------------------- halftone

# Process inks as they look on uncoated paper, and the angles of offset printing, which keep moiré small.
PROCESS: tuple[tuple[Colour, float], ...] = (
    ((0, 158, 219), 15.0), ((219, 20, 118), 75.0), ((252, 226, 20), 0.0), ((34, 31, 32), 45.0),
)  # fmt: skip


def halftone(image: Image, hand: Hand) -> Image:
    """Four rotated dot screens in process inks, a little out of register."""
    rng = hand.rng()
    picture = saturated(opened(smooth(image, 1.5 * hand.unit)), 1.12)
    shares = _separated(picture)
    period = (7.6 - 3.6 * hand.detail) * hand.width
    sheet = ink((250, 247, 238)) * (1 + 0.010 * paper(image.shape, hand.unit, rng))[..., None]
    out = np.asarray(sheet, np.float32)
    for (colour, degrees), share in zip(PROCESS, shares, strict=True):
        shift = rng.uniform(-0.9, 0.9, 2) * hand.unit
        out = layered(out, ink(colour), dots(share, period, degrees, shift))
    return closed(out)


def _separated(picture: Picture) -> tuple[Field, ...]:
    """Cyan, magenta, yellow, black: shares of paper covered, with most of the grey in black."""
    linear = to_linear(closed(picture))
    # Dots mix by area, which is linear light; pressed paper gains darkness, hence the power.
    cover = np.asarray(1 - np.power(np.clip(linear, 0, 1), 1 / 2.05), np.float32)
    black = ramp(cover.min(axis=2), 0.30, 1.05)
    rest = (cover - 0.85 * black[..., None]) / (1 - 0.85 * black[..., None])
    rest = held(rest)
    return rest[..., 0], rest[..., 1], rest[..., 2], black


def dots(share: Field, period: float, degrees: float, shift: npt.NDArray[np.float64]) -> Field:
    """A dot screen: at each pixel 1 where a dot covers paper; dots meet at half tone, like film screens."""
    height, width = share.shape
    angle = np.deg2rad(degrees)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    y = np.arange(height, dtype=np.float32)[:, None] + np.float32(shift[1])
    x = np.arange(width, dtype=np.float32)[None] + np.float32(shift[0])
    turn = np.float32(2 * np.pi / period)
    wave = np.cos((x * cos + y * sin) * turn) + np.cos((y * cos - x * sin) * turn)
    # The share of a cell in which the wave lies above a level, tabled: coverage is then exact.
    level = np.interp(share.ravel(), *_levels()).reshape(share.shape).astype(np.float32)
    soft = min(2.4 * np.pi / period, 0.9)
    return ramp(np.asarray(wave - level, np.float32), -soft, soft) * (share > 0.012)


def _levels() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    grid = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    waves = np.sort((np.cos(grid)[:, None] + np.cos(grid)[None]).ravel())[::-1]
    shares = np.linspace(0, 1, 65)
    return shares, np.interp(shares, np.linspace(0, 1, waves.size), waves)


# ---------------------------------------------------------------- pop art

# Darkest to lightest. The seed turns the wheel.
PALETTES: tuple[tuple[Colour, ...], ...] = (
    ((24, 20, 64), (226, 26, 92), (255, 152, 56), (255, 236, 104)),
    ((20, 24, 40), (0, 112, 192), (255, 92, 138), (255, 238, 190)),
    ((40, 12, 52), (128, 36, 160), (0, 182, 170), (250, 240, 120)),
    ((16, 28, 36), (214, 40, 40), (247, 178, 60), (240, 236, 214)),
)
GROUNDS: tuple[Colour, ...] = ((0, 170, 190), (255, 196, 20), (255, 92, 120), (40, 120, 220))


def palette(hand: Hand) -> tuple[Colour, ...]:
    """The four colours of this seed."""
    return PALETTES[hand.seed % len(PALETTES)]


def pop_art(image: Image, hand: Hand) -> Image:
    """Four flat colours by tone, clean outlines, printed dots in the step between: a screen print of the sixties."""
    rng = hand.rng()
    flat = smooth(image, (7 - 4 * hand.detail) * hand.unit, 40)
    tone = stretched(grey(opened(flat)), 2, 98)
    clahe = cv2.createCLAHE(clipLimit=1.8, tileGridSize=(3, 3))
    tone = clahe.apply((tone * 255).astype(np.uint8)).astype(np.float32) / 255
    tone = blur(tone, 1.6 * hand.unit)
    colours = [ink(colour) for colour in palette(hand)]
    steps = (0.26, 0.47, 0.70)
    out = np.ones((*tone.shape, 3), np.float32) * colours[0]
    for n, step in enumerate(steps):
        out += ramp(tone, step - 0.012, step + 0.012)[..., None] * (colours[n + 1] - out)
    # Ben-Day dots carry the tone just under each of the two light steps.
    period = (11 - 3 * hand.detail) * hand.width
    for n, (low, high) in enumerate(((0.37, 0.47), (0.58, 0.70)), 2):
        share = ramp(tone, low, high) * (tone < high) * np.float32(0.62)
        out += dots(np.asarray(share, np.float32), period, 22.5, np.zeros(2))[..., None] * (colours[n] - out)
    lines = flow(tone, 3 * hand.unit)
    contour = edges(tone, lines, 2.0 * hand.width, 40, 0.016)
    out += (contour * 0.94)[..., None] * (colours[0] * 0.7 - out)
    return closed(np.asarray(out * (1 + 0.012 * noise(tone.shape, 2 * hand.unit, rng))[..., None], np.float32))


# ---------------------------------------------------------------- riso

# Inks of the machine as they look on cream paper, soy-based and transparent; two or three a picture.
INKS: tuple[tuple[Colour, ...], ...] = (
    ((0, 96, 168), (255, 86, 120), (255, 222, 40)),
    ((0, 118, 112), (255, 100, 78), (255, 206, 60)),
    ((62, 56, 120), (255, 112, 84), (108, 208, 190)),
    ((30, 60, 140), (246, 80, 88)),
)
_GRID = 24  # levels a channel of the table of separations


def riso(image: Image, hand: Hand) -> Image:
    """Two or three spot inks, each with its own grain, drum unevenness and place: the sheet passed once an ink."""
    rng = hand.rng()
    inks = INKS[hand.seed % len(INKS)]
    picture = saturated(opened(smooth(image, (3 - 2 * hand.detail) * hand.unit)), 1.25)
    tone = stretched(grey(picture))[..., None] / np.maximum(grey(picture), 0.02)[..., None]
    shares = _inked(held(picture * (0.4 + 0.6 * tone)), inks)
    sheet = ink((247, 241, 226)) * (1 + 0.014 * paper(image.shape, hand.unit, rng))[..., None]
    out = np.asarray(sheet, np.float32)
    for n, colour in enumerate(inks):
        share = _moved(shares[..., n], hand, rng) if n else shares[..., n]
        out = layered(out, ink(colour), _grainy(share, hand, rng))
    return closed(out)


def _inked(picture: Picture, inks: tuple[Colour, ...]) -> Picture:
    """How much of each ink comes nearest to each colour: non-negative least squares in density, from a table."""
    axis = np.linspace(0, 1, _GRID)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    density = -np.log(np.clip(grid, 0.06, 0.97))
    spots = -np.log(np.clip(np.array(inks) / 255, 0.06, 0.97))
    amount = np.full((len(grid), len(inks)), 0.3)
    # Multiplicative updates (Lee and Seung 2001) keep every amount at or above zero.
    for _ in range(60):
        amount *= (density @ spots.T) / np.maximum(amount @ (spots @ spots.T), 1e-6)
    table = np.clip(amount, 0, 1).astype(np.float32)
    at = np.clip(np.rint(picture * (_GRID - 1)), 0, _GRID - 1).astype(np.int32)
    return table[(at[..., 0] * _GRID + at[..., 1]) * _GRID + at[..., 2]]


def _moved(share: Field, hand: Hand, rng: np.random.Generator) -> Field:
    """Out of register: two to four units aside and a breath of turn."""
    height, width = share.shape
    turn, reach = rng.uniform(-0.25, 0.25), rng.uniform(1.6, 3.4) * hand.unit
    angle = rng.uniform(0, 2 * np.pi)
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, 1.0)
    matrix[:, 2] += reach * np.array([np.cos(angle), np.sin(angle)])
    return np.asarray(cv2.warpAffine(share, matrix, (width, height), borderMode=cv2.BORDER_REFLECT), np.float32)


def _grainy(share: Field, hand: Hand, rng: np.random.Generator) -> Field:
    """The stochastic screen of the machine: coverage by grains, uneven where the drum was; solids keep pinholes."""
    share = blur(share, 0.8 * hand.unit)
    grains = noise(share.shape, max(1.45 * hand.width, 1.0), rng)
    # Grains are normal; 0.5 + erf-like keeps the mean coverage what was asked for.
    level = (np.clip(share, 0.0, 1.0) - 0.5) * np.float32(3.9)
    covered = ramp(np.asarray(level + grains * np.float32(0.85), np.float32), -0.75, 0.75)
    uneven = np.float32(0.90) + np.float32(0.045) * clouds(share.shape, 160 * hand.unit, rng, 3)
    return held(covered * uneven * ramp(share, 0.02, 0.10))
