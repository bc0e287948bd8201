"""A photo's grain, and like grain for the scene behind: as strong, as coarse, and as uneven over dark and bright.

Knows no tool. What is measured in the picture is measured in the noise that is made as well, on the same way into the
frame: so an enlarged photo gets enlarged grain, and one that JPEG smoothed gets smooth grain.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np

from pipelines.core.geometry import Float32Array, Image, Mask

MIN_STRENGTH_LEVELS, MAX_STRENGTH_LEVELS = (
    0.6,
    3.0,
)  # 8-bit steps: less shows as plastic beside any camera's noise, more is texture
ENLARGEMENT_POWER = 1.5  # power of the enlargement
TONE_LUMA_LEVELS = (40.0, 115.0, 205.0)  # luma in the middle of the darks, the mid tones and the brights
TONE_BOUND_LEVELS = (0.0, 75.0, 160.0, 256.0)
BLOCK_PX = 8
PLAIN_BLOCK_RATIO = 0.05  # of the blocks: so many of a photo are plain cloth, skin or wall
MIN_BLOCK_COUNT = 24  # blocks: fewer of a tone say nothing of its grain
GRAIN_SHARE = 0.8  # even the plainest blocks hold a little besides grain
MAX_TONE_FACTOR = 1.6  # darks and brights differ by no more from the whole: what does is a tone that only cloth has
CLIP_MARGIN_LEVELS = 4.0  # levels from black and white: there grain is cut off
SOFTNESS_CHOICES_PX = (0.0, 0.4, 0.6, 0.8)  # pixels of the photo: the grain is one of these
MIN_ENLARGED_SOFTNESS_PX = 0.7  # pixels of the photo
_REFERENCE_SIDE_PX = 192


@dataclass(frozen=True)
class Grain:
    """Standard deviation at each of `TONES` in 8-bit steps, and its softness in pixels of the photo."""

    strength: tuple[float, float, float]
    softness: float


def measure_noise(image: Image, inside: Mask) -> float:
    """Standard deviation of the noise, in 8-bit steps, where `inside`: median absolute Laplacian in flat places."""
    answer = _noise_response(_to_grey(image))[inside]
    if answer.size < 256:
        return MIN_STRENGTH_LEVELS
    flat = answer[answer <= np.quantile(answer, 0.6)]
    # The median of the lower 60 % of |N(0, 1)| is its 30 % quantile, 0.385.
    return float(np.median(flat) / 0.385)


def measure_grain(image: Image, inside: Mask, scale: float) -> Grain:
    """The grain of a photo that was brought into a frame by `scale`, read where `inside` (H x W).

    Cloth and fur are no grain: of all blocks of 8 x 8 pixels the plainest tell it.
    """
    fine, known = _undo_enlargement(_to_grey(image), inside, scale)
    mean, uneven, there = _block_means(fine), _block_deviations(fine), _block_means(known.astype(np.float32)) > 0.99
    there &= (mean > CLIP_MARGIN_LEVELS) & (mean < 255 - CLIP_MARGIN_LEVELS)
    overall = _plain_block_quantile(uneven[there])
    told = np.asarray(cv2.resize(there.astype(np.uint8), fine.shape[::-1], interpolation=cv2.INTER_NEAREST)) > 0
    soft, unit = _match_softness(_coarseness_ratio(fine, told), scale)
    # Enlarged, grain is seen as blotches, and beside smooth skin as a mottled wall.
    strength, most = [], max(MAX_STRENGTH_LEVELS / max(scale, 1.0) ** ENLARGEMENT_POWER, MIN_STRENGTH_LEVELS)
    for low, high in pairwise(TONE_BOUND_LEVELS):
        tone = there & (mean >= low) & (mean < high)
        own = _plain_block_quantile(uneven[tone]) if int(tone.sum()) >= MIN_BLOCK_COUNT else overall
        own = float(np.clip(own, overall / MAX_TONE_FACTOR, overall * MAX_TONE_FACTOR))
        strength.append(float(np.clip(GRAIN_SHARE * own / unit, MIN_STRENGTH_LEVELS, most)))
    return Grain((strength[0], strength[1], strength[2]), soft)


def synthesize_grain(grain: Grain, plate: Image, has: float, scale: float, seed: int) -> Float32Array:
    """Noise for `plate` (H x W x 1, 8-bit steps), so that it comes to have `grain`; what it `has` counts."""
    noise = _make_noise(plate.shape[:2], grain.softness, scale, np.random.default_rng(seed))
    small = cv2.resize(plate, (max(plate.shape[1] // 4, 1), max(plate.shape[0] // 4, 1)), interpolation=cv2.INTER_AREA)
    tone = np.asarray(cv2.cvtColor(np.asarray(small, np.uint8), cv2.COLOR_RGB2GRAY), np.uint8)
    wanted = np.interp(np.arange(256), TONE_LUMA_LEVELS, grain.strength)
    table = np.sqrt(np.maximum(wanted**2 - has**2, 0)).astype(np.float32)
    strength = cv2.resize(table[tone], (plate.shape[1], plate.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray((noise * strength)[..., None], np.float32)


@lru_cache(maxsize=64)
def _reference_grains(scale: float) -> tuple[tuple[float, float, float], ...]:
    """For each softness: it, what is measured of grain of deviation 1, and its `_ratio`."""
    found = []
    side = round(_REFERENCE_SIDE_PX * max(scale, 1.0))
    for soft in SOFTNESS_CHOICES_PX:
        noise = _make_noise((side, side), soft, scale, np.random.default_rng(0))
        fine, all_of_it = _undo_enlargement(noise, np.ones(noise.shape, np.bool_), scale)
        found.append((soft, _plain_block_quantile(_block_deviations(fine)), _coarseness_ratio(fine, all_of_it)))
    return tuple(found)


def _match_softness(ratio: float, scale: float) -> tuple[float, float]:
    """The softness whose grain loses as much at half the size as `ratio` says, and what is measured of a unit of it."""
    soft, unit, _ = min(_reference_grains(scale), key=lambda row: abs(float(np.log(row[2] / ratio))))
    return soft, unit


def _coarseness_ratio(grey: Float32Array, inside: Mask) -> float:
    """The answers at half the size over those at the full one, in the plainest places: white noise has half of them."""
    answers = [
        _noise_response(each)[there]
        for each, there in ((grey, inside), (_halve(grey), _halve(inside.astype(np.float32)) > 0.99))
    ]
    if min(len(each) for each in answers) < 256:
        return 0.5
    fine, coarse = (float(np.quantile(each, 0.3)) for each in answers)
    return float(np.clip(coarse / max(fine, 1e-3), 0.05, 20))


def _make_noise(shape: tuple[int, int], soft: float, scale: float, rng: np.random.Generator) -> Float32Array:
    """Noise of deviation 1 in the photo's pixels, `soft` of them soft, enlarged as the photo was."""
    larger = max(scale, 1.0)
    small = (int(np.ceil(shape[0] / larger)) + 2, int(np.ceil(shape[1] / larger)) + 2)
    noise = rng.standard_normal(small, np.float32)
    soft = (
        max(soft, MIN_ENLARGED_SOFTNESS_PX) if larger > 1.0 else soft
    )  # harder grain, enlarged, shows its lattice as a weave
    if soft:
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), soft), np.float32)
        noise /= max(float(noise.std()), 1e-6)
    if larger == 1.0:
        return noise[: shape[0], : shape[1]]
    move = np.array([[larger, 0, 0], [0, larger, 0]], np.float64)
    return np.asarray(cv2.warpAffine(noise, move, (shape[1], shape[0]), flags=cv2.INTER_CUBIC), np.float32)


def _undo_enlargement(grey: Float32Array, inside: Mask, scale: float) -> tuple[Float32Array, Mask]:
    """Both at the photo's own size where it was enlarged."""
    if scale <= 1.0:
        return grey, inside
    size = (max(round(grey.shape[1] / scale), 8), max(round(grey.shape[0] / scale), 8))
    small = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)
    return small, cv2.resize(inside.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.99


def _halve(values: Float32Array) -> Float32Array:
    size = (max(values.shape[1] // 2, 1), max(values.shape[0] // 2, 1))
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


def _to_grey(image: Image) -> Float32Array:
    return np.asarray(cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY), np.float32)


def _noise_response(grey: Float32Array) -> Float32Array:
    """Immerkaer 1996: this mask answers to noise and not to straight edges or slopes."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
    return np.asarray(np.abs(cv2.filter2D(grey, -1, kernel)), np.float32)


def _block_deviations(grey: Float32Array) -> Float32Array:
    """Deviation in each block from the plane that fits it."""
    blocks = _split_into_blocks(grey)
    y, x = np.mgrid[0:BLOCK_PX, 0:BLOCK_PX].reshape(2, -1).astype(np.float32) - (BLOCK_PX - 1) / 2
    flat = blocks - blocks.mean(axis=2, keepdims=True)
    for slope in (x, y):
        flat = flat - (flat @ slope)[..., None] * (slope / (slope @ slope))
    return np.sqrt((flat**2).mean(axis=2))


def _split_into_blocks(values: Float32Array) -> Float32Array:
    rows, columns = values.shape[0] // BLOCK_PX, values.shape[1] // BLOCK_PX
    cut = values[: rows * BLOCK_PX, : columns * BLOCK_PX].reshape(rows, BLOCK_PX, columns, BLOCK_PX)
    return np.ascontiguousarray(cut.transpose(0, 2, 1, 3)).reshape(rows, columns, BLOCK_PX * BLOCK_PX)


def _block_means(values: Float32Array) -> Float32Array:
    return np.asarray(_split_into_blocks(values).mean(axis=2), np.float32)


def _plain_block_quantile(blocks: Float32Array) -> float:
    return float(np.quantile(blocks, PLAIN_BLOCK_RATIO)) if blocks.size >= MIN_BLOCK_COUNT else MIN_STRENGTH_LEVELS
