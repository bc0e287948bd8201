"""Measure a photo's film grain and synthesise matching grain for the scene behind it.

Grain is matched in strength per tone and in softness. The synthesised noise is measured in the same way as the photo,
on the same way into the frame, so an enlarged photo gets enlarged grain, and one that JPEG smoothed gets smooth grain.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np

from pipelines.core.geometry import Float32Array, Image, Mask
from pipelines.imaging.resize import resize_map

MIN_STRENGTH_LEVELS = 0.6  # 8-bit levels: less looks like plastic beside a camera's noise
MAX_STRENGTH_LEVELS = 3.0  # 8-bit levels: more is texture
ENLARGEMENT_POWER = 1.5  # power of the enlargement by which that maximum shrinks
TONE_LUMA_LEVELS = (40.0, 115.0, 205.0)  # luma in the middle of the darks, the mid tones and the brights
TONE_BOUND_LEVELS = (0.0, 75.0, 160.0, 256.0)  # luma between these tones
BLOCK_PX = 8  # side of the blocks that are measured
PLAIN_BLOCK_RATIO = 0.05  # of the blocks: in most photos so many are plain cloth, skin or wall
MIN_BLOCK_COUNT = 24  # blocks: fewer of a tone tell nothing of its grain
GRAIN_SHARE = 0.8  # of the measured deviation: even the plainest blocks hold a little besides grain
MAX_TONE_FACTOR = 1.6  # between a tone and the whole photo: more is the texture of cloth
CLIP_MARGIN_LEVELS = 4.0  # levels from black and white at which grain is clipped
SOFTNESS_CHOICES_PX = (0.0, 0.4, 0.6, 0.8)  # blur sigma in pixels of the photo; the grain has one of these
MIN_ENLARGED_SOFTNESS_PX = 0.7  # blur sigma in pixels of the photo: harder grain, enlarged, looks woven
_REFERENCE_SIDE_PX = 192  # side of the patches of known grain


@dataclass(frozen=True)
class Grain:
    """Standard deviation at each of `TONE_LUMA_LEVELS` in 8-bit levels, and its blur sigma in pixels of the photo."""

    strength: tuple[float, float, float]
    softness: float


def measure_noise(image: Image, inside: Mask) -> float:
    """Return the noise's standard deviation in 8-bit levels where `inside` (H x W): median Laplacian in flat places."""
    response = _noise_response(_to_grey(image))[inside]
    if response.size < 256:
        return MIN_STRENGTH_LEVELS
    flat = response[response <= np.quantile(response, 0.6)]
    # The median of the lower 60 % of |N(0, 1)| is its 30 % quantile, 0.385.
    return float(np.median(flat) / 0.385)


def measure_grain(image: Image, inside: Mask, scale: float) -> Grain:
    """Measure the grain `inside` a photo scaled by `scale`, in its plainest 8 x 8 blocks: cloth is no grain."""
    fine, known = _undo_enlargement(_to_grey(image), inside, scale)
    mean, deviations = _block_means(fine), _block_deviations(fine)
    usable = _block_means(known.astype(np.float32)) > 0.99
    usable &= (mean > CLIP_MARGIN_LEVELS) & (mean < 255 - CLIP_MARGIN_LEVELS)
    overall = _plain_block_quantile(deviations[usable])
    enlarged = cv2.resize(usable.astype(np.uint8), fine.shape[::-1], interpolation=cv2.INTER_NEAREST)
    usable_pixels = np.asarray(enlarged) > 0
    ratio = _coarseness_ratio(fine, usable_pixels)
    softness, unit_deviation, _ = min(_reference_grains(scale), key=lambda row: abs(float(np.log(row[2] / ratio))))
    # Enlarged grain looks blotchy, so it is limited more.
    strength, max_strength = [], max(MAX_STRENGTH_LEVELS / max(scale, 1.0) ** ENLARGEMENT_POWER, MIN_STRENGTH_LEVELS)
    for low, high in pairwise(TONE_BOUND_LEVELS):
        tone = usable & (mean >= low) & (mean < high)
        deviation = _plain_block_quantile(deviations[tone]) if int(tone.sum()) >= MIN_BLOCK_COUNT else overall
        deviation = float(np.clip(deviation, overall / MAX_TONE_FACTOR, overall * MAX_TONE_FACTOR))
        strength.append(float(np.clip(GRAIN_SHARE * deviation / unit_deviation, MIN_STRENGTH_LEVELS, max_strength)))
    return Grain((strength[0], strength[1], strength[2]), softness)


def synthesize_grain(grain: Grain, plate: Image, plate_noise: float, scale: float, seed: int) -> Float32Array:
    """Make noise (H x W x 1, 8-bit levels) that gives `plate` the `grain`; it has noise of deviation `plate_noise`."""
    noise = _make_noise(plate.shape[:2], grain.softness, scale, np.random.default_rng(seed))
    small = cv2.resize(plate, (max(plate.shape[1] // 4, 1), max(plate.shape[0] // 4, 1)), interpolation=cv2.INTER_AREA)
    tone = np.asarray(cv2.cvtColor(np.asarray(small, np.uint8), cv2.COLOR_RGB2GRAY), np.uint8)
    wanted = np.interp(np.arange(256), TONE_LUMA_LEVELS, grain.strength)
    table = np.sqrt(np.maximum(wanted**2 - plate_noise**2, 0)).astype(np.float32)
    strength = cv2.resize(table[tone], (plate.shape[1], plate.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray((noise * strength)[..., None], np.float32)


@lru_cache(maxsize=64)
def _reference_grains(scale: float) -> tuple[tuple[float, float, float], ...]:
    """Return for each softness: itself, the measured deviation of grain of deviation 1, and its coarseness ratio."""
    found = []
    side = round(_REFERENCE_SIDE_PX * max(scale, 1.0))
    for softness in SOFTNESS_CHOICES_PX:
        noise = _make_noise((side, side), softness, scale, np.random.default_rng(0))
        fine, everywhere = _undo_enlargement(noise, np.ones(noise.shape, np.bool_), scale)
        found.append((softness, _plain_block_quantile(_block_deviations(fine)), _coarseness_ratio(fine, everywhere)))
    return tuple(found)


def _coarseness_ratio(grey: Float32Array, inside: Mask) -> float:
    """Return the noise response at half the size over that at full size in plain places; white noise has 0.5."""
    halved = _halve_size(grey), _halve_size(inside.astype(np.float32)) > 0.99
    responses = [_noise_response(each)[mask] for each, mask in ((grey, inside), halved)]
    if min(len(each) for each in responses) < 256:
        return 0.5
    fine, coarse = (float(np.quantile(each, 0.3)) for each in responses)
    return float(np.clip(coarse / max(fine, 1e-3), 0.05, 20))


def _make_noise(shape: tuple[int, int], softness: float, scale: float, rng: np.random.Generator) -> Float32Array:
    """Make noise of deviation 1 in the photo's pixels, blurred by `softness` of them and enlarged as the photo was."""
    enlargement = max(scale, 1.0)
    small = (int(np.ceil(shape[0] / enlargement)) + 2, int(np.ceil(shape[1] / enlargement)) + 2)
    noise = rng.standard_normal(small, np.float32)
    if enlargement > 1.0:
        softness = max(softness, MIN_ENLARGED_SOFTNESS_PX)
    if softness:
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), softness), np.float32)
        noise /= max(float(noise.std()), 1e-6)
    if enlargement == 1.0:
        return noise[: shape[0], : shape[1]]
    matrix = np.array([[enlargement, 0, 0], [0, enlargement, 0]], np.float64)
    return np.asarray(cv2.warpAffine(noise, matrix, (shape[1], shape[0]), flags=cv2.INTER_CUBIC), np.float32)


def _undo_enlargement(grey: Float32Array, inside: Mask, scale: float) -> tuple[Float32Array, Mask]:
    """Shrink both arrays to the photo's own size where it was enlarged."""
    if scale <= 1.0:
        return grey, inside
    size = (max(round(grey.shape[1] / scale), 8), max(round(grey.shape[0] / scale), 8))
    return resize_map(grey, size), resize_map(inside.astype(np.float32), size) > 0.99


def _halve_size(values: Float32Array) -> Float32Array:
    return resize_map(values, (max(values.shape[1] // 2, 1), max(values.shape[0] // 2, 1)))


def _to_grey(image: Image) -> Float32Array:
    return np.asarray(cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY), np.float32)


def _noise_response(grey: Float32Array) -> Float32Array:
    """Return the absolute response to Immerkaer's mask (1996), which ignores straight edges and slopes."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
    return np.asarray(np.abs(cv2.filter2D(grey, -1, kernel)), np.float32)


def _block_deviations(grey: Float32Array) -> Float32Array:
    """Return the deviation in each block from the plane that fits it."""
    blocks = _split_into_blocks(grey)
    y, x = np.mgrid[0:BLOCK_PX, 0:BLOCK_PX].reshape(2, -1).astype(np.float32) - (BLOCK_PX - 1) / 2
    residual = blocks - blocks.mean(axis=2, keepdims=True)
    for slope in (x, y):
        residual = residual - (residual @ slope)[..., None] * (slope / (slope @ slope))
    return np.sqrt((residual**2).mean(axis=2))


def _split_into_blocks(values: Float32Array) -> Float32Array:
    """Return the pixels of each block, rows x columns x 64."""
    rows, columns = values.shape[0] // BLOCK_PX, values.shape[1] // BLOCK_PX
    cut = values[: rows * BLOCK_PX, : columns * BLOCK_PX].reshape(rows, BLOCK_PX, columns, BLOCK_PX)
    return np.ascontiguousarray(cut.transpose(0, 2, 1, 3)).reshape(rows, columns, BLOCK_PX * BLOCK_PX)


def _block_means(values: Float32Array) -> Float32Array:
    return np.asarray(_split_into_blocks(values).mean(axis=2), np.float32)


def _plain_block_quantile(blocks: Float32Array) -> float:
    """Return the value that only the plainest blocks stay below."""
    return float(np.quantile(blocks, PLAIN_BLOCK_RATIO)) if blocks.size >= MIN_BLOCK_COUNT else MIN_STRENGTH_LEVELS
