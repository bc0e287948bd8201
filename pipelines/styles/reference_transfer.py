"""A style from a reference picture: its colours and its surface as statistics; copies none of its shapes.

Colours: sliced optimal transport in Lab (Pitie et al. 2005; Bonneel et al. 2015), worked out on a sample and applied
as a smooth table. Surface: band by band local contrast, and a random-phase texture (Galerne et al. 2011).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Image
from pipelines.styles.primitives import Field, Hand, blur, closed, held, opened, ramp

Floats = npt.NDArray[np.float32]

_SLICES = 24
_BINS = 96
_GRID = 17  # nodes a side of the colour table
_BANDS = (1.0, 2.0, 4.0, 8.0)  # units


def from_reference(image: Image, reference: Image, hand: Hand) -> Image:
    """`image` (H x W x 3) in the colours and with the surface of `reference` (any size)."""
    side = max(image.shape[:2])
    scale = side / max(reference.shape[:2])
    size = (max(8, round(reference.shape[1] * scale)), max(8, round(reference.shape[0] * scale)))
    like = np.asarray(cv2.resize(reference, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC))
    lab = np.asarray(cv2.cvtColor(opened(image), cv2.COLOR_RGB2LAB), np.float32)
    theirs = np.asarray(cv2.cvtColor(opened(np.asarray(like, np.uint8)), cv2.COLOR_RGB2LAB), np.float32)
    out = _recoloured(lab, theirs, hand)
    out[..., 0] = _surfaced(out[..., 0], theirs[..., 0], hand)
    return closed(np.asarray(cv2.cvtColor(out, cv2.COLOR_LAB2RGB), np.float32))


# ---------------------------------------------------------------- colour


def _recoloured(lab: Floats, theirs: Floats, hand: Hand) -> Floats:
    """Every colour moved by the table; the move is smoothed over the picture, so that no seam opens in a sky."""
    rng = hand.rng(7)
    mine, other = _sample(lab, rng), _sample(theirs, rng)
    moved = _transported(mine, other, rng)
    table = _table(mine, moved - mine)
    small = cv2.resize(lab, (max(8, lab.shape[1] // 2), max(8, lab.shape[0] // 2)), interpolation=cv2.INTER_AREA)
    move = blur(_looked_up(table, np.asarray(small, np.float32)), 1.5 * hand.unit)
    move = cv2.resize(move, (lab.shape[1], lab.shape[0]), interpolation=cv2.INTER_LINEAR)
    out = lab + move
    out[..., 0] = np.clip(out[..., 0], 0, 100)
    return np.asarray(out, np.float32)


def _sample(lab: Floats, rng: np.random.Generator, count: int = 8192) -> Floats:
    points = lab.reshape(-1, 3)
    return points[rng.integers(0, len(points), count)]


def _transported(mine: Floats, other: Floats, rng: np.random.Generator) -> Floats:
    """Move the sample onto the other one, one random direction's quantiles after another."""
    points = mine.astype(np.float64)
    shares = np.linspace(0.5 / _BINS, 1 - 0.5 / _BINS, _BINS)
    for _ in range(_SLICES):
        axes, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        here, there = points @ axes, other @ axes
        for c in range(3):
            a, b = np.quantile(here[:, c], shares), np.quantile(there[:, c], shares)
            a = np.maximum.accumulate(a + np.arange(_BINS) * 1e-6)
            here[:, c] += 0.6 * (np.interp(here[:, c], a, b) - here[:, c])
        points = here @ axes.T
    return points.astype(np.float32)


def _cells(points: Floats) -> Floats:
    """Lab in units of the table's nodes."""
    scale = np.array([100, 160, 160], np.float32) / (_GRID - 1)
    return held((points + np.array([0, 80, 80], np.float32)) / scale, 0, _GRID - 1.001)


def _table(points: Floats, moves: Floats) -> Floats:
    """Mean move at each node of Lab; nodes that saw no colour take their neighbours'."""
    at = np.rint(_cells(points)).astype(np.int32)
    flat = (at[:, 0] * _GRID + at[:, 1]) * _GRID + at[:, 2]
    count = _GRID**3
    weight = np.bincount(flat, minlength=count).reshape((_GRID,) * 3).astype(np.float32)
    sums = [np.bincount(flat, moves[:, c], count).reshape((_GRID,) * 3).astype(np.float32) for c in range(3)]
    total, spread = [np.zeros_like(weight) for _ in range(3)], np.zeros_like(weight)
    for sigma, share in ((0.8, 1.0), (2.0, 0.05), (6.0, 0.002)):
        spread += share * _blurred(weight, sigma)
        for c in range(3):
            total[c] += share * _blurred(sums[c], sigma)
    return np.asarray(np.stack(total, axis=-1) / np.maximum(spread, 1e-9)[..., None], np.float32)


def _blurred(cube: Floats, sigma: float) -> Floats:
    reach = np.arange(-8, 9, dtype=np.float32)
    kernel = np.exp(-(reach**2) / np.float32(2 * sigma * sigma))
    kernel /= kernel.sum()
    for axis in range(3):
        cube = np.apply_along_axis(np.convolve, axis, cube, kernel, mode="same")
    return np.asarray(cube, np.float32)


def _looked_up(table: Floats, lab: Floats) -> Floats:
    """Between the nodes of the table."""
    at = _cells(lab)
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


def _surfaced(light: Field, theirs: Field, hand: Hand) -> Field:
    """L* with the reference's contrast in each band, and its fine texture where the picture is flat."""
    rest, out = light, np.zeros_like(light)
    other = theirs
    for width in _BANDS:
        low, low_other = blur(rest, width * hand.width), blur(other, width * hand.width)
        band, band_other = rest - low, other - low_other
        gain = float(np.clip(_typical(band_other) / max(_typical(band), 0.05), 0.5, 1.8))
        out += band * np.float32(1 + (0.4 + 0.6 * hand.detail) * (gain - 1))
        rest, other = low, low_other
    out += rest
    grain = _texture(theirs - blur(theirs, 4 * hand.width), light.shape, hand)
    busy = np.abs(light - blur(light, 4 * hand.width))
    quiet = 1 - ramp(np.asarray(blur(busy, 6 * hand.unit), np.float32), 1.0, 5.0)
    edge = ramp(out, 2, 18) * ramp(out, 100, 88)
    return np.clip(out + grain * quiet * edge, 0, 100).astype(np.float32)


def _typical(band: Field) -> float:
    """Deviation without the strongest edges, which are the subject's and not the surface's."""
    size = np.abs(band)[::3, ::3]
    return float(np.sqrt(np.mean(np.square(size[size <= np.quantile(size, 0.85)])))) + 1e-6


def _texture(band: Field, shape: tuple[int, ...], hand: Hand, side: int = 256) -> Field:
    """The spectrum of the reference's quietest patch with new phases: its canvas or grain, without its shapes."""
    side = min(side, *band.shape)
    patch = _quietest(band, side)
    window = np.hanning(side).astype(np.float32)
    spectrum = np.abs(np.fft.rfft2(patch * np.outer(window, window)))
    height, width = shape[:2]
    white = hand.rng(9).standard_normal((512, 512))
    large = cv2.resize(spectrum.astype(np.float32), (257, side), interpolation=cv2.INTER_LINEAR)
    full = np.fft.fftshift(large, axes=0)
    full = np.fft.ifftshift(cv2.resize(full, (257, 512), interpolation=cv2.INTER_LINEAR), axes=0)
    made = np.fft.irfft2(np.fft.rfft2(white) * full, (512, 512))
    made = made / max(float(made.std()), 1e-6) * min(float(patch.std()), 4.0)
    tiles = (-(-height // 512), -(-width // 512))
    return np.tile(made, tiles)[:height, :width].astype(np.float32)


def _quietest(band: Field, side: int) -> Field:
    """The patch with the least extreme values: surface, not drawing."""
    best, least = band[:side, :side], np.inf
    for top in range(0, band.shape[0] - side + 1, max(1, side // 2)):
        for left in range(0, band.shape[1] - side + 1, max(1, side // 2)):
            patch = band[top : top + side, left : left + side]
            peak = float(np.abs(patch).mean())
            if 1e-3 < peak < least:
                best, least = patch, peak
    return best
