"""Hide seams between copied patches: small steps of tone are spread over the hole (Pérez et al., 2003).

Where two patches meet, each says what lies on the other's side in the place that it comes from. The difference is a
step; corrections with these steps, and none at the hole's rim, are the solution of a Poisson equation. A large step is
a true edge and stays: spread out it would be a smear.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.linalg import factorized

from pipelines.core.geometry import Float32Array, IndexArray, Mask

MAX_STEP_LEVELS = 20.0  # in any channel: a larger step is an edge
_PULL_WEIGHT = 1e-3  # pull of each correction towards 0: keeps the equation solvable where no step is small


class _SeamSteps(NamedTuple):
    """Pairs of places (N x 2 each), the step of the correction from one to the other (N x 3), and which are small."""

    first: IndexArray
    second: IndexArray
    size: Float32Array
    is_small: Mask


def measure_seam_corrections(pixels: Float32Array, hole: Mask, sources: IndexArray) -> Float32Array:
    """Return what is to be added to the pixel that each place of the hole is copied from, H x W x 3, 0 outside it.

    `pixels` (H x W x 3, 0 to 255) is known outside the hole; `sources` (H x W x 2) holds the row and column that each
    place is copied from.
    """
    copied = pixels.copy()
    copied[hole] = pixels[sources[hole][:, 0], sources[hole][:, 1]]
    count = int(hole.sum())
    number = np.full(hole.shape, -1)
    number[hole] = np.arange(count)
    rows, columns, values = [np.arange(count)], [np.arange(count)], [np.full(count, _PULL_WEIGHT)]
    wanted = np.zeros((count, 3))
    for offset in ((0, 1), (1, 0)):
        steps = _measure_seam_steps(pixels, copied, hole, sources, np.array(offset))
        ends = [number[each[:, 0], each[:, 1]] for each in (steps.first, steps.second)]
        both = (ends[0] >= 0) & (ends[1] >= 0)
        for (own, other), sign in ((ends, 1.0), (ends[::-1], -1.0)):
            used = (own >= 0) & (both | steps.is_small)
            np.add.at(wanted, own[used & steps.is_small], sign * steps.size[used & steps.is_small])
            rows += [own[used], own[both]]
            columns += [own[used], other[both]]
            values += [np.ones(int(used.sum())), -np.ones(int(both.sum()))]
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    corrections = np.zeros(pixels.shape, np.float32)
    corrections[hole] = factorized(coo_array(entries, shape=(count, count)).tocsc())(wanted)
    return corrections


def _measure_seam_steps(
    pixels: Float32Array, copied: Float32Array, hole: Mask, sources: IndexArray, offset: IndexArray
) -> _SeamSteps:
    """Measure the steps between places of the hole and their neighbours at `offset`, also across the hole's rim."""
    limit = np.array(hole.shape) - 1
    height, width = limit + 1 - offset
    here, there = hole[:height, :width], hole[offset[0] :, offset[1] :]
    first = np.argwhere(here | there)
    second = first + offset
    sums, total = np.zeros((len(first), 3), np.float32), np.zeros(len(first), np.float32)
    for own, other, towards, sign in ((first, second, offset, 1), (second, first, -offset, -1)):
        beyond = sources[own[:, 0], own[:, 1]] + towards
        inside = hole[own[:, 0], own[:, 1]] & (beyond >= 0).all(axis=1) & (beyond <= limit).all(axis=1)
        beyond = np.clip(beyond, 0, limit)
        known = inside & ~hole[beyond[:, 0], beyond[:, 1]]
        sums += sign * (copied[other[:, 0], other[:, 1]] - pixels[beyond[:, 0], beyond[:, 1]]) * known[:, None]
        total += known
    size = np.asarray(sums / np.maximum(total, 1)[:, None], np.float32)
    return _SeamSteps(first, second, size, (total > 0) & (np.abs(size).max(axis=1) <= MAX_STEP_LEVELS))
