"""An invisible mark in a picture's own pixels, found again after saving anew or resizing; knows no file and no job.

Improved spread spectrum (Malvar and Florencio, IEEE Trans. Signal Processing 51, 2003) on the cosine transform of the
brightness, seen at one small size whatever the picture's: so any resizing falls out of the question. Each bit is the
sign of a sum over a few dozen middling waves; what the picture itself adds to that sum is known and taken off.

It is no lock: whoever crops, turns or repaints a picture loses it, and whoever reads this page can take it out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Image

Floats = npt.NDArray[np.float32]

SIDE = 256
"""Pixels: the size at which every picture is looked at."""
LOWEST, HIGHEST = 24, 90
"""Half waves across the picture: slower ones show on plain paper, faster ones are what JPEG throws away."""
KNOWN, ID = 40, 16
"""Bits that are the same in every mark, and that tell whose it is."""
STRENGTH = 180.0
"""How far each bit's sum is pushed: half of what it is in a photograph by chance, and more than JPEG moves it."""
MOST = 6.0
"""Levels of 255 by which a pixel is changed at most."""
ERRORS = 5
"""Known bits that may be wrong. A picture without a mark has so few once in a million."""
LOST = 2
"""Bits of an id. One of five hundred other studios' ids lies so near."""
_SEED = 0xD5B0


NOTICE: Final = (
    "An invisible mark says that this picture was made here: it survives resizing and JPEG, and no cropping."
)


class Mark(NamedTuple):
    """A mark that was found: whose it is, and the share of the known bits that is right."""

    id: int
    right: float

    def of(self, id: int) -> bool:
        """Whether it is the mark of `id`, a bit or two that were lost on the way forgiven."""
        return bin(self.id ^ id).count("1") <= LOST


def marked(image: Image, id: int) -> Image:
    """`image` (H x W x 3 or 4) with the mark of `id` (16 bits); what is see-through stays as it is."""
    waves = _seen(image)
    signs = 2.0 * _bits(id) - 1
    place, pattern, weight = _plan()
    sums = (waves[place] * weight * pattern).sum(axis=1)
    push = np.maximum(0, STRENGTH - signs * sums) * signs
    change = np.zeros((SIDE, SIDE), np.float32)
    # The least change that moves the weighted sum by `push` follows the weights.
    change[place] = (push / (weight**2).sum(axis=1))[:, None] * weight * pattern
    small = cv2.idct(change)
    full = np.clip(cv2.resize(small, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_CUBIC), -MOST, MOST)
    out = image.copy()
    out[..., :3] = np.clip(image[..., :3] + full[..., None] + 0.5, 0, 255).astype(np.uint8)
    return out


def found(image: Image) -> Mark | None:
    """The mark in `image` (H x W x 3 or 4), None where there is none that can be read."""
    place, pattern, weight = _plan()
    bits = ((_seen(image)[place] * weight * pattern).sum(axis=1) > 0).astype(np.uint8)
    right = int((bits[:KNOWN] == _bits(0)[:KNOWN]).sum())
    if right < KNOWN - ERRORS:
        return None
    return Mark(int("".join(map(str, bits[KNOWN:])), 2), right / KNOWN)


def _seen(image: Image) -> Floats:
    """The cosine transform of the brightness at SIDE x SIDE."""
    grey = cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_RGB2GRAY).astype(np.float32)
    shrinks = min(image.shape[:2]) >= SIDE
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.asarray(cv2.dct(small), np.float32)


def _bits(id: int) -> npt.NDArray[np.uint8]:
    known = np.random.default_rng(_SEED).integers(0, 2, KNOWN, np.uint8)
    return np.concatenate([known, np.array([id >> n & 1 for n in reversed(range(ID))], np.uint8)])


@lru_cache(maxsize=1)
def _plan() -> tuple[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]], Floats, Floats]:
    """Of each bit: where its waves are (rows, columns), their signs, and their weights, which even photographs out."""
    rng = np.random.default_rng(_SEED)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    radius = np.hypot(rows, columns)
    ring = np.flatnonzero((radius >= LOWEST) & (radius <= HIGHEST) & (rows > 4) & (columns > 4))
    each = len(ring) // (KNOWN + ID)
    chosen = rng.permutation(ring)[: each * (KNOWN + ID)].reshape(KNOWN + ID, each)
    place = np.unravel_index(chosen, (SIDE, SIDE))
    pattern = rng.choice(np.array([-1, 1], np.float32), chosen.shape)
    weight = (radius[place] / HIGHEST).astype(np.float32)
    return (place[0], place[1]), pattern, weight
