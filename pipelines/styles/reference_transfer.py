"""Transfer colours and texture statistics of a reference picture. None of its shapes are copied.

Colours: sliced optimal transport in Lab (Pitie et al. 2005; Bonneel et al. 2015), computed on a sample and applied as a
smooth table. Texture: local contrast in each frequency band, and random-phase noise (Galerne et al. 2011).
"""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Float32Array, Image
from pipelines.styles.primitives import (
    Field,
    StyleSettings,
    clip_to_range,
    from_lab,
    gaussian_blur,
    smoothstep,
    to_float,
    to_lab,
    to_uint8,
)

_SLICE_COUNT = 24
_QUANTILE_COUNT = 96
_TABLE_SIDE = 17  # nodes on each axis of the colour table
_BAND_WIDTHS = (1.0, 2.0, 4.0, 8.0)  # widths of the frequency bands in units


def transfer_style(image: Image, reference: Image, settings: StyleSettings) -> Image:
    """Return `image` (H x W x 3) with the colours and texture of `reference` (H x W x 3, any size)."""
    side = max(image.shape[:2])
    scale = side / max(reference.shape[:2])
    size = (max(8, round(reference.shape[1] * scale)), max(8, round(reference.shape[0] * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = np.asarray(cv2.resize(reference, size, interpolation=interpolation), np.uint8)
    lab, reference_lab = to_lab(to_float(image)), to_lab(to_float(resized))
    out = _transfer_colours(lab, reference_lab, settings)
    out[..., 0] = _transfer_texture(out[..., 0], reference_lab[..., 0], settings)
    return to_uint8(from_lab(out))


def _transfer_colours(lab: Float32Array, reference_lab: Float32Array, settings: StyleSettings) -> Float32Array:
    """Move every colour by the table. The displacement is blurred over the picture, so that skies get no seams."""
    rng = settings.make_rng(7)
    own_sample, reference_sample = _sample_pixels(lab, rng), _sample_pixels(reference_lab, rng)
    transported = _sliced_transport(own_sample, reference_sample, rng)
    table = _displacement_table(own_sample, transported - own_sample)
    small = cv2.resize(lab, (max(8, lab.shape[1] // 2), max(8, lab.shape[0] // 2)), interpolation=cv2.INTER_AREA)
    displacement = gaussian_blur(_interpolate_table(table, np.asarray(small, np.float32)), 1.5 * settings.unit_px)
    displacement = cv2.resize(displacement, (lab.shape[1], lab.shape[0]), interpolation=cv2.INTER_LINEAR)
    out = lab + displacement
    out[..., 0] = np.clip(out[..., 0], 0, 100)
    return np.asarray(out, np.float32)


def _sample_pixels(lab: Float32Array, rng: np.random.Generator, count: int = 8192) -> Float32Array:
    points = lab.reshape(-1, 3)
    return points[rng.integers(0, len(points), count)]


def _sliced_transport(sample: Float32Array, target: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Move one sample (N x 3) onto the other by matching quantiles along random directions."""
    points = sample.astype(np.float64)
    shares = np.linspace(0.5 / _QUANTILE_COUNT, 1 - 0.5 / _QUANTILE_COUNT, _QUANTILE_COUNT)
    for _ in range(_SLICE_COUNT):
        axes, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        projected, projected_target = points @ axes, target @ axes
        for c in range(3):
            a, b = np.quantile(projected[:, c], shares), np.quantile(projected_target[:, c], shares)
            a = np.maximum.accumulate(a + np.arange(_QUANTILE_COUNT) * 1e-6)
            projected[:, c] += 0.6 * (np.interp(projected[:, c], a, b) - projected[:, c])
        points = projected @ axes.T
    return points.astype(np.float32)


def _lab_to_table_units(points: Float32Array) -> Float32Array:
    """Convert Lab values (... x 3) to units of the table's nodes."""
    scale = np.array([100, 160, 160], np.float32) / (_TABLE_SIDE - 1)
    return clip_to_range((points + np.array([0, 80, 80], np.float32)) / scale, 0, _TABLE_SIDE - 1.001)


def _displacement_table(points: Float32Array, moves: Float32Array) -> Float32Array:
    """Return the mean displacement at each node of Lab. Nodes without samples take their neighbours' values."""
    position = np.rint(_lab_to_table_units(points)).astype(np.int32)
    flat = (position[:, 0] * _TABLE_SIDE + position[:, 1]) * _TABLE_SIDE + position[:, 2]
    count = _TABLE_SIDE**3
    weight = np.bincount(flat, minlength=count).reshape((_TABLE_SIDE,) * 3).astype(np.float32)
    sums = [np.bincount(flat, moves[:, c], count).reshape((_TABLE_SIDE,) * 3).astype(np.float32) for c in range(3)]
    total, spread = [np.zeros_like(weight) for _ in range(3)], np.zeros_like(weight)
    for sigma, share in ((0.8, 1.0), (2.0, 0.05), (6.0, 0.002)):
        spread += share * _blur_color_cube(weight, sigma)
        for c in range(3):
            total[c] += share * _blur_color_cube(sums[c], sigma)
    return np.asarray(np.stack(total, axis=-1) / np.maximum(spread, 1e-9)[..., None], np.float32)


def _blur_color_cube(cube: Float32Array, sigma: float) -> Float32Array:
    reach = np.arange(-8, 9, dtype=np.float32)
    kernel = np.exp(-(reach**2) / np.float32(2 * sigma * sigma))
    kernel /= kernel.sum()
    for axis in range(3):
        cube = np.apply_along_axis(np.convolve, axis, cube, kernel, mode="same")
    return np.asarray(cube, np.float32)


def _interpolate_table(table: Float32Array, lab: Float32Array) -> Float32Array:
    """Interpolate the table trilinearly at each pixel."""
    position = _lab_to_table_units(lab)
    base = position.astype(np.int32)
    part = position - base
    out = np.zeros_like(lab)
    for corner in range(8):
        step = np.array([corner >> 2 & 1, corner >> 1 & 1, corner & 1])
        weight = np.prod(np.where(step, part, 1 - part), axis=-1, keepdims=True)
        node = base + step
        out += weight * table[node[..., 0], node[..., 1], node[..., 2]]
    return out


def _transfer_texture(light: Field, reference_light: Field, settings: StyleSettings) -> Field:
    """Return L* with the reference's contrast in each band, and its fine texture where the picture is flat."""
    rest, rest_other, out = light, reference_light, np.zeros_like(light)
    for width in _BAND_WIDTHS:
        low, low_other = (gaussian_blur(part, width * settings.brush_unit_px) for part in (rest, rest_other))
        band, band_other = rest - low, rest_other - low_other
        gain = float(np.clip(_typical_contrast(band_other) / max(_typical_contrast(band), 0.05), 0.5, 1.8))
        out += band * np.float32(1 + (0.4 + 0.6 * settings.detail) * (gain - 1))
        rest, rest_other = low, low_other
    out += rest
    fine = reference_light - gaussian_blur(reference_light, 4 * settings.brush_unit_px)
    grain = _random_phase_texture(fine, light.shape, settings)
    busy = np.abs(light - gaussian_blur(light, 4 * settings.brush_unit_px))
    quiet = 1 - smoothstep(gaussian_blur(busy, 6 * settings.unit_px), 1.0, 5.0)
    edge = smoothstep(out, 2, 18) * smoothstep(out, 100, 88)
    return np.clip(out + grain * quiet * edge, 0, 100).astype(np.float32)


def _typical_contrast(band: Field) -> float:
    """Return the standard deviation without the strongest edges, which belong to shapes and not to the texture."""
    size = np.abs(band)[::3, ::3]
    return float(np.sqrt(np.mean(np.square(size[size <= np.quantile(size, 0.85)])))) + 1e-6


def _random_phase_texture(band: Field, shape: tuple[int, ...], settings: StyleSettings) -> Field:
    """Return noise with the spectrum of the reference's quietest patch: its canvas or grain without its shapes."""
    side = min(256, *band.shape)
    patch = _quietest_patch(band, side)
    window = np.hanning(side).astype(np.float32)
    spectrum = np.abs(np.fft.rfft2(patch * np.outer(window, window)))
    height, width = shape[:2]
    white = settings.make_rng(9).standard_normal((512, 512))
    large = cv2.resize(spectrum.astype(np.float32), (257, side), interpolation=cv2.INTER_LINEAR)
    full = np.fft.fftshift(large, axes=0)
    full = np.fft.ifftshift(cv2.resize(full, (257, 512), interpolation=cv2.INTER_LINEAR), axes=0)
    noise = np.fft.irfft2(np.fft.rfft2(white) * full, (512, 512))
    noise = noise / max(float(noise.std()), 1e-6) * min(float(patch.std()), 4.0)
    tiles = (-(-height // 512), -(-width // 512))
    return np.tile(noise, tiles)[:height, :width].astype(np.float32)


def _quietest_patch(band: Field, side: int) -> Field:
    """Return the patch (side x side) with the smallest mean contrast, which shows texture rather than shapes."""
    best, least = band[:side, :side], np.inf
    for top in range(0, band.shape[0] - side + 1, max(1, side // 2)):
        for left in range(0, band.shape[1] - side + 1, max(1, side // 2)):
            patch = band[top : top + side, left : left + side]
            peak = float(np.abs(patch).mean())
            if 1e-3 < peak < least:
                best, least = patch, peak
    return best
