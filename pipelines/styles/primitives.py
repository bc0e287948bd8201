"""What styles are made of: noise, paper, the flow of a picture, smoothing along it; knows no style by name.

A `Picture` is float32, H x W x 3, sRGB, 0 to 1; a `Field` float32, H x W. Lengths are in units of 1/1024 of the longer
side (`Hand.unit` pixels), so that a draft looks like the picture it announces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Colour, Image

Field: TypeAlias = npt.NDArray[np.float32]
Picture: TypeAlias = npt.NDArray[np.float32]
Values: TypeAlias = npt.NDArray[np.floating]  # what arithmetic leaves; functions here make float32 of it

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True)
class StyleSettings:
    """How a style is drawn: `detail` 0 to 1, `brush` a factor on every tool's width, `unit` pixels, `seed`."""

    detail: float
    brush_ratio: float
    unit_px: float
    seed: int

    @property
    def brush_unit_px(self) -> float:
        """Pixels of one unit under this brush."""
        return self.unit_px * self.brush_ratio

    def make_rng(self, stream: int = 0) -> np.random.Generator:
        """Random numbers of this seed; `what` keeps two uses apart."""
        return np.random.default_rng((self.seed, stream))


@dataclass(frozen=True)
class FlowField:
    """Along the picture's edges: a unit vector per pixel (sign without meaning), and how clear it is, 0 to 1."""

    x: Field
    y: Field
    coherence: Field


def to_float(image: Image) -> Picture:
    """Bytes to a picture."""
    return np.asarray(image.astype(np.float32) / 255, np.float32)


def to_uint8(picture: Values) -> Image:
    """A picture to bytes."""
    return np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)


def compute_luma(picture: Picture) -> Field:
    """Luma, 0 to 1."""
    return np.asarray(picture @ LUMA, np.float32)


def colour_to_float(colour: Colour) -> Picture:
    """A colour as a picture of one pixel."""
    return np.asarray(np.array(colour) / 255, np.float32)


def clip_to_range(values: Values, low: float = 0.0, high: float = 1.0) -> npt.NDArray[np.float32]:
    """Clipped to a range, as float32."""
    return np.asarray(np.clip(values, low, high), np.float32)


def smoothstep(values: Values, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, smooth between; `low` may be the larger one."""
    t = clip_to_range((values - np.float32(low)) / np.float32(high - low))
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def gaussian_blur(values: Values, sigma: float) -> npt.NDArray[np.float32]:
    """Gaussian; a wide one is made on a smaller copy, where nothing is lost."""
    values = np.asarray(values, np.float32)
    step = max(1, int(sigma / 4))
    if step == 1:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), max(sigma, 0.1)), np.float32)
    height, width = values.shape[:2]
    small = cv2.resize(values, (max(1, width // step), max(1, height // step)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / step)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def value_noise(shape: tuple[int, ...], cell_px: float, rng: np.random.Generator) -> Field:
    """Smooth noise, mean 0, deviation about 1, hills about `cell` pixels wide."""
    height, width = shape[:2]
    if cell_px <= 1.2:
        return rng.standard_normal((height, width), np.float32)
    rows, columns = int(height / cell_px) + 4, int(width / cell_px) + 4
    small = rng.standard_normal((rows, columns), np.float32)
    size = (int(columns * cell_px), int(rows * cell_px))
    large = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)[:height, :width]
    return np.asarray(large / max(float(large.std()), 1e-3), np.float32)


def fractal_noise(shape: tuple[int, ...], cell_px: float, rng: np.random.Generator, octaves: int = 3) -> Field:
    """Noise of several sizes, deviation about 1."""
    total = np.zeros(shape[:2], np.float32)
    for octave in range(octaves):
        total += value_noise(shape, cell_px / 2**octave, rng) * np.float32(0.6**octave)
    return np.asarray(total / max(float(total.std()), 1e-3), np.float32)


def paper_texture(shape: tuple[int, ...], unit_px: float, rng: np.random.Generator) -> Field:
    """The tooth of cold-pressed paper, mean 0, deviation 1: grains 2 to 5 units wide with a hint of fibre."""
    grains = value_noise(shape, max(2.2 * unit_px, 1.3), rng) + 0.8 * value_noise(shape, 5 * unit_px, rng)
    fibre = cv2.GaussianBlur(
        rng.standard_normal(shape[:2], np.float32), (0, 0), sigmaX=3 * unit_px, sigmaY=0.6 * unit_px
    )
    total = grains + 0.5 * fibre / max(float(fibre.std()), 1e-3)
    return np.asarray((total - total.mean()) / max(float(total.std()), 1e-3), np.float32)


def edge_tangent_flow(tone: Field, sigma: float, rng: np.random.Generator | None = None) -> FlowField:
    """The direction of edges by the smoothed structure tensor (Bigun and Granlund 1987).

    Where the picture is flat a slow random field leads, if `rng` is given: a hand does not stop there.
    """
    dx = cv2.Sobel(tone, cv2.CV_32F, 1, 0, scale=0.25)
    dy = cv2.Sobel(tone, cv2.CV_32F, 0, 1, scale=0.25)
    xx, yy, xy = (gaussian_blur(np.asarray(v, np.float32), sigma) for v in (dx * dx, dy * dy, dx * dy))
    if rng is not None:
        turn = fractal_noise(tone.shape, max(tone.shape) / 3, rng, 2) * np.float32(0.7) + np.float32(0.9)
        weight = np.float32(2e-5)
        xx, yy, xy = (
            xx + weight * np.sin(turn) ** 2,
            yy + weight * np.cos(turn) ** 2,
            xy - weight * np.sin(2 * turn) / 2,
        )
    # The tensor's minor axis, by half of the double angle.
    angle = np.float32(0.5) * np.arctan2(2 * xy, xx - yy) + np.float32(np.pi / 2)
    gap, total = np.hypot(xx - yy, 2 * xy), xx + yy
    clear = np.asarray(gap / np.maximum(total, 1e-7), np.float32)
    return FlowField(np.cos(angle), np.sin(angle), clear)


def smooth_along_flow(values: npt.NDArray[np.float32], lines: FlowField, length: float) -> npt.NDArray[np.float32]:
    """Smooth along the flow over about `length` pixels: three-tap passes of triple reach, so that curves are followed.

    Line integral convolution after Cabral and Leedom 1993, with the log-step trick in place of a walk.
    """
    height, width = values.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    reach = 1.0
    passes = max(1, round(np.log(max(length, 3)) / np.log(3)))
    reach = length / 3**passes
    for _ in range(passes):
        dx, dy = lines.x * np.float32(reach), lines.y * np.float32(reach)
        ahead = cv2.remap(values, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        behind = cv2.remap(values, x - dx, y - dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        values = np.asarray((values + ahead + behind) / 3, np.float32)
        reach *= 3
    return values


def constant_flow(shape: tuple[int, ...], angle_degrees: float) -> FlowField:
    """A flow of one direction everywhere."""
    angle = np.deg2rad(angle_degrees)
    ones = np.ones(shape[:2], np.float32)
    return FlowField(ones * np.float32(np.cos(angle)), ones * np.float32(np.sin(angle)), ones)


def multiply_ink(ground: Picture, colour: Picture, amount: Field) -> Picture:
    """Ink on ground: transparent, so colours multiply; `amount` 0 to 1."""
    return np.asarray(ground * (1 - amount[..., None] * (1 - colour)), np.float32)


def bilateral_smooth(image: Image, reach: float, strength: float = 28) -> Image:
    """Flat where it is nearly flat, sharp at edges: a bilateral filter on as small a copy as the reach allows."""
    step = max(1.0, reach / 4)
    height, width = image.shape[:2]
    size = (max(1, round(width / step)), max(1, round(height / step)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    for _ in range(2):
        small = cv2.bilateralFilter(small, -1, strength, 3)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def xdog_edges(tone: Field, lines: FlowField, sigma: float, sharp: float, level: float) -> Field:
    """Dark contours, 0 (none) to 1 (ink): the extended difference of Gaussians, followed along the flow.

    Winnemoeller, Kyprianidis and Olsen 2012; `sharp` is their phi, `level` their epsilon in units of tone.
    """
    wide = cv2.GaussianBlur(tone, (0, 0), max(1.6 * sigma, 0.5))
    fine = cv2.GaussianBlur(tone, (0, 0), max(sigma, 0.3))
    difference = smooth_along_flow(np.asarray(fine - wide, np.float32), lines, 9 * sigma)
    return np.asarray(np.clip(np.tanh(sharp * (-difference - level)), 0, 1), np.float32)


def stretch_contrast(tone: Field, low: float = 1.0, high: float = 99.0) -> Field:
    """Tones from the `low`-th to the `high`-th percentile to 0 to 1."""
    small = cv2.resize(tone, (128, 128), interpolation=cv2.INTER_AREA)
    a, b = (float(v) for v in np.percentile(small, (low, high)))
    return clip_to_range((tone - a) / max(b - a, 0.2))


def adjust_saturation(picture: Picture, factor: float) -> Picture:
    """Farther from (or nearer to) grey."""
    base = compute_luma(picture)[..., None]
    return clip_to_range(base + (picture - base) * np.float32(factor))
