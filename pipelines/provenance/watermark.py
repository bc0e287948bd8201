"""Embed and detect an invisible watermark that survives resizing and JPEG compression.

Improved spread spectrum (Malvar and Florencio, IEEE Trans. Signal Processing 51, 2003) on the cosine transform of the
luma, which is always computed at one small size, so that resizing has little effect. Each bit is the sign of a sum over
a few dozen middle frequencies. The picture's own part of that sum is known while embedding and is compensated.

The watermark gives no protection against removal: cropping, rotating or repainting destroys it, and anybody who reads
this module can remove it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import cv2
import numpy as np

from pipelines.core.geometry import Float32Array, Image, IndexArray, Uint8Array

TRANSFORM_SIDE_PX = 256  # side in pixels of the copy that the transform is computed on
MIN_FREQUENCY, MAX_FREQUENCY = 24, 90
"""Frequencies in half waves across the picture. Lower ones are visible on plain paper, higher ones are lost in JPEG."""
KNOWN_BIT_COUNT, ID_BIT_COUNT = 40, 16  # bits that are the same in every watermark, and bits of the owner's id
EMBED_STRENGTH = 180.0
"""Target value of each bit's sum: half of its typical value in a photo, and more than JPEG changes it."""
MAX_CHANGE_LEVELS = 6.0  # largest change of a pixel, in levels of 255
MAX_KNOWN_BIT_ERRORS = 5  # Known bits that may be wrong. An unmarked picture has so few wrong once in a million.
MAX_ID_BIT_ERRORS = 2  # Bits of an id that may be wrong. One of 500 other installations' ids is as near.
_PATTERN_SEED = 0xD5B0


NOTICE: Final = (
    "An invisible mark says that this picture was made here: it survives resizing and JPEG, and no cropping."
)


class Watermark(NamedTuple):
    """A detected watermark: the owner's id, and the share of known bits that match."""

    id: int
    match_ratio: float

    def belongs_to(self, id: int) -> bool:
        """Return whether this is the watermark of `id`, with at most `MAX_ID_BIT_ERRORS` wrong bits."""
        return bin(self.id ^ id).count("1") <= MAX_ID_BIT_ERRORS


def embed_watermark(image: Image, id: int) -> Image:
    """Return `image` (H x W x 3 or 4, uint8) with the watermark of `id` (16 bits). Alpha does not change."""
    waves = _luma_dct(image)
    signs = 2.0 * _watermark_bits(id) - 1
    positions, pattern, weight = _spread_pattern()
    sums = (waves[positions] * weight * pattern).sum(axis=1)
    push = np.maximum(0, EMBED_STRENGTH - signs * sums) * signs
    change = np.zeros((TRANSFORM_SIDE_PX, TRANSFORM_SIDE_PX), np.float32)
    # The smallest change that moves the weighted sum by `push` is proportional to the weights.
    change[positions] = (push / (weight**2).sum(axis=1))[:, None] * weight * pattern
    small = cv2.idct(change)
    full = cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    full = np.clip(full, -MAX_CHANGE_LEVELS, MAX_CHANGE_LEVELS)
    out = image.copy()
    out[..., :3] = np.clip(image[..., :3] + full[..., None] + 0.5, 0, 255).astype(np.uint8)
    return out


def detect_watermark(image: Image) -> Watermark | None:
    """Detect the watermark in `image` (H x W x 3 or 4, uint8). Returns None if there is none."""
    positions, pattern, weight = _spread_pattern()
    bits = ((_luma_dct(image)[positions] * weight * pattern).sum(axis=1) > 0).astype(np.uint8)
    right = int((bits[:KNOWN_BIT_COUNT] == _watermark_bits(0)[:KNOWN_BIT_COUNT]).sum())
    if right < KNOWN_BIT_COUNT - MAX_KNOWN_BIT_ERRORS:
        return None
    return Watermark(int("".join(map(str, bits[KNOWN_BIT_COUNT:])), 2), right / KNOWN_BIT_COUNT)


def _luma_dct(image: Image) -> Float32Array:
    """Return the cosine transform of the luma at `TRANSFORM_SIDE_PX`."""
    grey = cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_RGB2GRAY).astype(np.float32)
    interpolation = cv2.INTER_AREA if min(image.shape[:2]) >= TRANSFORM_SIDE_PX else cv2.INTER_CUBIC
    small = cv2.resize(grey, (TRANSFORM_SIDE_PX, TRANSFORM_SIDE_PX), interpolation=interpolation)
    return np.asarray(cv2.dct(small), np.float32)


def _watermark_bits(id: int) -> Uint8Array:
    known = np.random.default_rng(_PATTERN_SEED).integers(0, 2, KNOWN_BIT_COUNT, np.uint8)
    return np.concatenate([known, np.array([id >> n & 1 for n in reversed(range(ID_BIT_COUNT))], np.uint8)])


@lru_cache(maxsize=1)
def _spread_pattern() -> tuple[tuple[IndexArray, IndexArray], Float32Array, Float32Array]:
    """Return each bit's positions (rows, columns), signs and weights, which balance the spectrum of photographs."""
    rng = np.random.default_rng(_PATTERN_SEED)
    rows, columns = np.mgrid[:TRANSFORM_SIDE_PX, :TRANSFORM_SIDE_PX]
    radius = np.hypot(rows, columns)
    ring = np.flatnonzero((radius >= MIN_FREQUENCY) & (radius <= MAX_FREQUENCY) & (rows > 4) & (columns > 4))
    bit_count = KNOWN_BIT_COUNT + ID_BIT_COUNT
    count_per_bit = len(ring) // bit_count
    chosen = rng.permutation(ring)[: count_per_bit * bit_count].reshape(bit_count, count_per_bit)
    positions = np.unravel_index(chosen, (TRANSFORM_SIDE_PX, TRANSFORM_SIDE_PX))
    pattern = rng.choice(np.array([-1, 1], np.float32), chosen.shape)
    weight = (radius[positions] / MAX_FREQUENCY).astype(np.float32)
    return (positions[0], positions[1]), pattern, weight
