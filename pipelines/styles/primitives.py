"""Building blocks of the styles: noise, paper texture, edge tangent flow, smoothing along it, XDoG edges.

A `Picture` is float32, H x W x 3, sRGB, 0 to 1. A `Field` is float32, H x W. Lengths are in units of 1/1024 of the
longer side (`StyleSettings.unit_px` pixels), so that a draft looks like the full-size picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Colour, Float32Array, Image
from pipelines.imaging.color import LUMINANCE_WEIGHTS

Field: TypeAlias = npt.NDArray[np.float32]
Picture: TypeAlias = npt.NDArray[np.float32]
Values: TypeAlias = npt.NDArray[np.floating]  # any float array; converted to float32 here

Pixel = TypeVar("Pixel", np.float32, np.uint8)


@dataclass(frozen=True)
class StyleSettings:
    """How a style is drawn: `detail` 0 to 1, `brush_ratio` scales every stroke, `unit_px` is the length of a unit."""

    detail: float
    brush_ratio: float
    unit_px: float
    seed: int

    @property
    def brush_unit_px(self) -> float:
        """Pixels of one unit, scaled by the brush."""
        return self.unit_px * self.brush_ratio

    def make_rng(self, stream: int = 0) -> np.random.Generator:
        """Return a random generator for the seed. Different `stream` numbers give independent values."""
        return np.random.default_rng((self.seed, stream))


@dataclass(frozen=True)
class FlowField:
    """Edge tangents: a unit vector for each pixel; its sign has no meaning."""

    x: Field
    y: Field


def to_float(image: Image) -> Picture:
    """Convert uint8 to a picture of 0 to 1."""
    return np.asarray(image.astype(np.float32) / 255, np.float32)


def to_uint8(picture: Values) -> Image:
    """Convert a picture of 0 to 1 to uint8."""
    return np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)


def to_lab(picture: Values) -> Picture:
    """Convert sRGB of 0 to 1 to CIELAB (L* 0 to 100)."""
    return np.asarray(cv2.cvtColor(np.asarray(picture, np.float32), cv2.COLOR_RGB2LAB), np.float32)


def from_lab(lab: Values) -> Picture:
    """Convert CIELAB to sRGB of 0 to 1."""
    return np.asarray(cv2.cvtColor(np.asarray(lab, np.float32), cv2.COLOR_LAB2RGB), np.float32)


def compute_luma(picture: Picture) -> Field:
    """Return the luma, 0 to 1."""
    return np.asarray(picture @ LUMINANCE_WEIGHTS, np.float32)


def colour_to_float(colour: Colour) -> Picture:
    """Convert a colour to float32 of 0 to 1, shape (3,)."""
    return np.asarray(np.array(colour) / 255, np.float32)


def clip_to_range(values: Values, low: float = 0.0, high: float = 1.0) -> Float32Array:
    """Clip values to a range and convert them to float32."""
    return np.asarray(np.clip(values, low, high), np.float32)


def smoothstep(values: Values, low: float, high: float) -> Field:
    """Return 0 below `low`, 1 above `high` and a smooth step between. `low` may be larger than `high`."""
    t = clip_to_range((values - np.float32(low)) / np.float32(high - low))
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def gaussian_blur(values: Values, sigma: float) -> Float32Array:
    """Apply a Gaussian blur. A wide one is computed on a smaller copy, which is faster and looks the same."""
    values = np.asarray(values, np.float32)
    step = max(1, int(sigma / 4))
    if step == 1:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), max(sigma, 0.1)), np.float32)
    height, width = values.shape[:2]
    small = cv2.resize(values, (max(1, width // step), max(1, height // step)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / step)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def value_noise(shape: tuple[int, ...], cell_px: float, rng: np.random.Generator) -> Field:
    """Return smooth noise with mean 0 and standard deviation about 1, its hills about `cell_px` wide."""
    height, width = shape[:2]
    if cell_px <= 1.2:
        return rng.standard_normal((height, width), np.float32)
    rows, columns = int(height / cell_px) + 4, int(width / cell_px) + 4
    small = rng.standard_normal((rows, columns), np.float32)
    size = (int(columns * cell_px), int(rows * cell_px))
    large = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)[:height, :width]
    return np.asarray(large / max(float(large.std()), 1e-3), np.float32)


def fractal_noise(shape: tuple[int, ...], cell_px: float, rng: np.random.Generator, octaves: int = 3) -> Field:
    """Return the sum of value noise of several sizes, with standard deviation about 1."""
    total = np.zeros(shape[:2], np.float32)
    for octave in range(octaves):
        total += value_noise(shape, cell_px / 2**octave, rng) * np.float32(0.6**octave)
    return np.asarray(total / max(float(total.std()), 1e-3), np.float32)


def paper_texture(shape: tuple[int, ...], unit_px: float, rng: np.random.Generator) -> Field:
    """Return the texture of cold-pressed paper, mean 0, standard deviation 1: grains of 2 to 5 units and some fibre."""
    grains = value_noise(shape, max(2.2 * unit_px, 1.3), rng) + 0.8 * value_noise(shape, 5 * unit_px, rng)
    fibre = rng.standard_normal(shape[:2], np.float32)
    fibre = cv2.GaussianBlur(fibre, (0, 0), sigmaX=3 * unit_px, sigmaY=0.6 * unit_px)
    total = grains + 0.5 * fibre / max(float(fibre.std()), 1e-3)
    return np.asarray((total - total.mean()) / max(float(total.std()), 1e-3), np.float32)


def paper_sheet(colour: Colour, tooth: Field, relief: float) -> Picture:
    """Return a sheet of paper whose texture (`paper_texture`) changes its lightness by `relief`."""
    return np.asarray(colour_to_float(colour) * (1 + np.float32(relief) * tooth)[..., None], np.float32)


def pixel_coordinates(shape: tuple[int, ...]) -> tuple[Field, Field]:
    """Return the y (H x 1) and x (1 x W) coordinates of pixels."""
    return np.arange(shape[0], dtype=np.float32)[:, None], np.arange(shape[1], dtype=np.float32)[None]


def displace(values: npt.NDArray[Pixel], dx: Field, dy: Field) -> npt.NDArray[Pixel]:
    """Sample `values` (H x W or H x W x C) at each pixel plus (dx, dy), reflected at the border."""
    y, x = pixel_coordinates(values.shape)
    moved = cv2.remap(values, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, values.dtype)


def diagonal_slope(height: Field, scale: float) -> Field:
    """Return how much `height` rises towards the lower right: its light when lit from the upper left."""
    slope = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=scale) + cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=scale)
    return np.asarray(slope, np.float32)


def edge_tangent_flow(tone: Field, sigma: float, rng: np.random.Generator | None = None) -> FlowField:
    """Return edge directions from the structure tensor (Bigun and Granlund 1987); with `rng` random where flat."""
    dx = cv2.Sobel(tone, cv2.CV_32F, 1, 0, scale=0.25)
    dy = cv2.Sobel(tone, cv2.CV_32F, 0, 1, scale=0.25)
    xx, yy, xy = (gaussian_blur(np.asarray(v, np.float32), sigma) for v in (dx * dx, dy * dy, dx * dy))
    if rng is not None:
        random_angle = fractal_noise(tone.shape, max(tone.shape) / 3, rng, 2) * np.float32(0.7) + np.float32(0.9)
        weight = np.float32(2e-5)
        xx, yy, xy = (
            xx + weight * np.sin(random_angle) ** 2,
            yy + weight * np.cos(random_angle) ** 2,
            xy - weight * np.sin(2 * random_angle) / 2,
        )
    # The direction of the tensor's minor axis is half of the double angle.
    angle = np.float32(0.5) * np.arctan2(2 * xy, xx - yy) + np.float32(np.pi / 2)
    return FlowField(np.cos(angle), np.sin(angle))


def smooth_along_flow(values: Float32Array, lines: FlowField, length: float) -> Float32Array:
    """Smooth along the flow over about `length` pixels (LIC, Cabral and Leedom 1993), by passes of three taps."""
    passes = max(1, round(np.log(max(length, 3)) / np.log(3)))
    reach = length / 3**passes
    for _ in range(passes):
        dx, dy = lines.x * np.float32(reach), lines.y * np.float32(reach)
        values = np.asarray((values + displace(values, dx, dy) + displace(values, -dx, -dy)) / 3, np.float32)
        reach *= 3
    return values


def constant_flow(shape: tuple[int, ...], angle_degrees: float) -> FlowField:
    """Return a flow with one direction everywhere."""
    angle = np.deg2rad(angle_degrees)
    ones = np.ones(shape[:2], np.float32)
    return FlowField(ones * np.float32(np.cos(angle)), ones * np.float32(np.sin(angle)))


def multiply_ink(ground: Picture, colour: Picture, amount: Field) -> Picture:
    """Print transparent ink on `ground`: colours multiply. `amount` is 0 to 1."""
    return np.asarray(ground * (1 - amount[..., None] * (1 - colour)), np.float32)


def bilateral_smooth(image: Image, reach: float, strength: float = 28) -> Image:
    """Smooth a picture but keep its edges: a bilateral filter on the smallest copy that `reach` (pixels) allows."""
    step = max(1.0, reach / 4)
    height, width = image.shape[:2]
    size = (max(1, round(width / step)), max(1, round(height / step)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    for _ in range(2):
        small = cv2.bilateralFilter(small, -1, strength, 3)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def xdog_edges(tone: Field, lines: FlowField, sigma: float, sharp: float, level: float) -> Field:
    """Return dark contours, 0 to 1: flow-based XDoG (Winnemoeller et al. 2012; `sharp` their phi, `level` epsilon)."""
    wide = cv2.GaussianBlur(tone, (0, 0), max(1.6 * sigma, 0.5))
    fine = cv2.GaussianBlur(tone, (0, 0), max(sigma, 0.3))
    difference = smooth_along_flow(np.asarray(fine - wide, np.float32), lines, 9 * sigma)
    return np.asarray(np.clip(np.tanh(sharp * (-difference - level)), 0, 1), np.float32)


def stretch_contrast(tone: Field, low: float = 1.0, high: float = 99.0) -> Field:
    """Stretch the tones between two percentiles to 0 to 1."""
    small = cv2.resize(tone, (128, 128), interpolation=cv2.INTER_AREA)
    a, b = (float(v) for v in np.percentile(small, (low, high)))
    return clip_to_range((tone - a) / max(b - a, 0.2))


def adjust_saturation(picture: Picture, factor: float) -> Picture:
    """Scale the distance of each colour from grey by `factor`."""
    base = compute_luma(picture)[..., None]
    return clip_to_range(base + (picture - base) * np.float32(factor))
