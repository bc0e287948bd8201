"""A style from a reference picture: its colours and its surface as statistics; copies none of its shapes.

Colours: sliced optimal transport in Lab (Pitie et al. 2005; Bonneel et al. 2015), worked out on a sample and applied
as a smooth table. Surface: band by band local contrast, and a random-phase texture (Galerne et al. 2011).
"""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Float32Array, Image
from pipelines.styles.primitives import (
    Field,
    StyleSettings,
    clip_to_range,
    gaussian_blur,
    smoothstep,
    to_float,
    to_uint8,
)

_SLICE_COUNT = 24
_QUANTILE_COUNT = 96
_TABLE_SIDE = 17  # nodes a side of the colour table
_BAND_WIDTHS = (1.0, 2.0, 4.0, 8.0)  # units


def transfer_style(image: Image, reference: Image, settings: StyleSettings) -> Image:
    """`image` (H x W x 3) in the colours and with the surface of `reference` (any size)."""
    side = max(image.shape[:2])
    scale = side / max(reference.shape[:2])
    size = (max(8, round(reference.shape[1] * scale)), max(8, round(reference.shape[0] * scale)))
    like = np.asarray(cv2.resize(reference, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC))
    lab = np.asarray(cv2.cvtColor(to_float(image), cv2.COLOR_RGB2LAB), np.float32)
    theirs = np.asarray(cv2.cvtColor(to_float(np.asarray(like, np.uint8)), cv2.COLOR_RGB2LAB), np.float32)
    out = _transfer_colours(lab, theirs, settings)
    out[..., 0] = _transfer_texture(out[..., 0], theirs[..., 0], settings)
    return to_uint8(np.asarray(cv2.cvtColor(out, cv2.COLOR_LAB2RGB), np.float32))


# ---------------------------------------------------------------- colour


def _transfer_colours(lab: Float32Array, theirs: Float32Array, settings: StyleSettings) -> Float32Array:
    """Every colour moved by the table; the move is smoothed over the picture, so that no seam opens in a sky."""
    rng = settings.make_rng(7)
    mine, other = _sample_pixels(lab, rng), _sample_pixels(theirs, rng)
    moved = _sliced_transport(mine, other, rng)
    table = _displacement_table(mine, moved - mine)
    small = cv2.resize(lab, (max(8, lab.shape[1] // 2), max(8, lab.shape[0] // 2)), interpolation=cv2.INTER_AREA)
    move = gaussian_blur(_interpolate_table(table, np.asarray(small, np.float32)), 1.5 * settings.unit_px)
    move = cv2.resize(move, (lab.shape[1], lab.shape[0]), interpolation=cv2.INTER_LINEAR)
    out = lab + move
    out[..., 0] = np.clip(out[..., 0], 0, 100)
    return np.asarray(out, np.float32)


def _sample_pixels(lab: Float32Array, rng: np.random.Generator, count: int = 8192) -> Float32Array:
    points = lab.reshape(-1, 3)
    return points[rng.integers(0, len(points), count)]


def _sliced_transport(mine: Float32Array, other: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Move the sample onto the other one, one random direction's quantiles after another."""
    points = mine.astype(np.float64)
    shares = np.linspace(0.5 / _QUANTILE_COUNT, 1 - 0.5 / _QUANTILE_COUNT, _QUANTILE_COUNT)
    for _ in range(_SLICE_COUNT):
        axes, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        here, there = points @ axes, other @ axes
        for c in range(3):
            a, b = np.quantile(here[:, c], shares), np.quantile(there[:, c], shares)
            a = np.maximum.accumulate(a + np.arange(_QUANTILE_COUNT) * 1e-6)
            here[:, c] += 0.6 * (np.interp(here[:, c], a, b) - here[:, c])
        points = here @ axes.T
    return points.astype(np.float32)


def _lab_to_table_units(points: Float32Array) -> Float32Array:
    """Lab in units of the table's nodes."""
    scale = np.array([100, 160, 160], np.float32) / (_TABLE_SIDE - 1)
    return clip_to_range((points + np.array([0, 80, 80], np.float32)) / scale, 0, _TABLE_SIDE - 1.001)


def _displacement_table(points: Float32Array, moves: Float32Array) -> Float32Array:
    """Mean move at each node of Lab; nodes that saw no colour take their neighbours'."""
    at = np.rint(_lab_to_table_units(points)).astype(np.int32)
    flat = (at[:, 0] * _TABLE_SIDE + at[:, 1]) * _TABLE_SIDE + at[:, 2]
    count = _TABLE_SIDE**3
    weight = np.bincount(flat, minlength=count).reshape((_TABLE_SIDE,) * 3).astype(np.float32)
    sums = [np.bincount(flat, moves[:, c], count).reshape((_TABLE_SIDE,) * 3).astype(np.float32) for c in range(3)]
    total, spread = [np.zeros_like(weight) for _ in range(3)], np.zeros_like(weight)
    for sigma, share in ((0.8, 1.0), (2.0, 0.05), (6.0, 0.002)):
        spread += share * _blur_cube(weight, sigma)
        for c in range(3):
            total[c] += share * _blur_cube(sums[c], sigma)
    return np.asarray(np.stack(total, axis=-1) / np.maximum(spread, 1e-9)[..., None], np.float32)


def _blur_cube(cube: Float32Array, sigma: float) -> Float32Array:
    reach = np.arange(-8, 9, dtype=np.float32)
    kernel = np.exp(-(reach**2) / np.float32(2 * sigma * sigma))
    kernel /= kernel.sum()
    for axis in range(3):
        cube = np.apply_along_axis(np.convolve, axis, cube, kernel, mode="same")
    return np.asarray(cube, np.float32)


def _interpolate_table(table: Float32Array, lab: Float32Array) -> Float32Array:
    """Between the nodes of the table."""
    at = _lab_to_table_units(lab)
    base = at.astype(np.int32)
    part = at - base
    out = np.zeros_like(lab)
    for corner in range(8):
        step = np.array([corner >> 2 & 1, corner >> 1 & 1, corner & 1])
        weight = np.prod(np.where(step, part, 1 - part), axis=-1, keepdims=True)
        node = base + step
        out += weight * table[node[..., 0], node[..., 1], node[..., 2]]
    return out


# ---------------------------------------------------------------- surface


def _transfer_texture(light: Field, theirs: Field, settings: StyleSettings) -> Field:
    """L* with the reference's contrast in each band, and its fine texture where the picture is flat."""
    rest, out = light, np.zeros_like(light)
    other = theirs
    for width in _BAND_WIDTHS:
        low, low_other = (
            gaussian_blur(rest, width * settings.brush_unit_px),
            gaussian_blur(other, width * settings.brush_unit_px),
        )
        band, band_other = rest - low, other - low_other
        gain = float(np.clip(_typical_contrast(band_other) / max(_typical_contrast(band), 0.05), 0.5, 1.8))
        out += band * np.float32(1 + (0.4 + 0.6 * settings.detail) * (gain - 1))
        rest, other = low, low_other
    out += rest
    grain = _random_phase_texture(theirs - gaussian_blur(theirs, 4 * settings.brush_unit_px), light.shape, settings)
    busy = np.abs(light - gaussian_blur(light, 4 * settings.brush_unit_px))
    quiet = 1 - smoothstep(np.asarray(gaussian_blur(busy, 6 * settings.unit_px), np.float32), 1.0, 5.0)
    edge = smoothstep(out, 2, 18) * smoothstep(out, 100, 88)
    return np.clip(out + grain * quiet * edge, 0, 100).astype(np.float32)


def _typical_contrast(band: Field) -> float:
    """Deviation without the strongest edges, which are the subject's and not the surface's."""
    size = np.abs(band)[::3, ::3]
    return float(np.sqrt(np.mean(np.square(size[size <= np.quantile(size, 0.85)])))) + 1e-6


def _random_phase_texture(band: Field, shape: tuple[int, ...], settings: StyleSettings, side: int = 256) -> Field:
    """The spectrum of the reference's quietest patch with new phases: its canvas or grain, without its shapes."""
    side = min(side, *band.shape)
    patch = _quietest_patch(band, side)
    window = np.hanning(side).astype(np.float32)
    spectrum = np.abs(np.fft.rfft2(patch * np.outer(window, window)))
    height, width = shape[:2]
    white = settings.make_rng(9).standard_normal((512, 512))
    large = cv2.resize(spectrum.astype(np.float32), (257, side), interpolation=cv2.INTER_LINEAR)
    full = np.fft.fftshift(large, axes=0)
    full = np.fft.ifftshift(cv2.resize(full, (257, 512), interpolation=cv2.INTER_LINEAR), axes=0)
    made = np.fft.irfft2(np.fft.rfft2(white) * full, (512, 512))
    made = made / max(float(made.std()), 1e-6) * min(float(patch.std()), 4.0)
    tiles = (-(-height // 512), -(-width // 512))
    return np.tile(made, tiles)[:height, :width].astype(np.float32)


def _quietest_patch(band: Field, side: int) -> Field:
    """The patch with the least extreme values: surface, not drawing."""
    best, least = band[:side, :side], np.inf
    for top in range(0, band.shape[0] - side + 1, max(1, side // 2)):
        for left in range(0, band.shape[1] - side + 1, max(1, side // 2)):
            patch = band[top : top + side, left : left + side]
            peak = float(np.abs(patch).mean())
            if 1e-3 < peak < least:
                best, least = patch, peak
    return best
