"""Random-walker segmentation of unknown pixels with a prior at every pixel.

Grady, "Random Walks for Image Segmentation" (2006). Walks seldom cross an edge of the photo: a ring whose colour goes
on into the subject becomes the subject's, however like the wall it is.
"""

from __future__ import annotations

import numpy as np

from pipelines.core.geometry import Alpha, FloatArray, IndexArray, Mask, Uint8Array
from pipelines.matting.conjugate_gradient import conjugate_gradient

COLOUR_SIGMA_LEVELS = 5.0  # Lab levels: over such a difference a step is 0.6 times as likely as over none
MIN_EDGE_WEIGHT = 1e-4  # added to every weight, so that no pixel is cut off
NEIGHBOUR_OFFSETS = ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1))
MAX_ITERATION_COUNT = 200  # conjugate-gradient steps
RELATIVE_TOLERANCE = 7e-4  # residual over right-hand side; at 3e-3 the far end of a ring is not reached


def random_walker_alpha(lab: Uint8Array, prior: Alpha, prior_weight: FloatArray, unknown: Mask) -> Alpha:
    """Replace the `unknown` pixels of `prior` (H x W, 0 to 1) by how likely a walk from there ends in the subject.

    A walk ends at a known pixel, or at the pixel's own `prior` as often as `prior_weight` says (H x W; 1 is as often as
    a step to a neighbour of the same colour). `lab` is the photo, H x W x 3, uint8.
    """
    count = int(unknown.sum())
    if not count:
        return prior
    weights, neighbours = _neighbour_weights(lab, unknown)
    known = np.concatenate((np.zeros(count, np.float32), prior[~unknown]))
    own_weight = prior_weight[unknown]
    rhs = (weights * known.take(neighbours)).sum(axis=0) + own_weight * prior[unknown]
    diagonal = np.maximum(weights.sum(axis=0) + own_weight, 1e-6)

    def matvec(x: FloatArray) -> FloatArray:
        # Known neighbours are part of `rhs` and count as 0 here.
        padded = np.concatenate((x, np.zeros(len(known) - count, np.float32)))
        return diagonal * x - (weights * padded.take(neighbours)).sum(axis=0)

    result, tolerance = prior.copy(), RELATIVE_TOLERANCE * float(np.linalg.norm(rhs))
    solution = conjugate_gradient(
        matvec,
        rhs,
        x0=prior[unknown],
        preconditioner=diagonal,
        max_iterations=MAX_ITERATION_COUNT,
        converged=lambda residual: float(np.linalg.norm(residual)) <= tolerance,
    )
    result[unknown] = np.clip(solution, 0, 1)
    return result


def _neighbour_weights(lab: Uint8Array, unknown: Mask) -> tuple[FloatArray, IndexArray]:
    """Return weights and indices of the eight neighbours of N unknown pixels, 8 x N each; unknown pixels come first."""
    index = np.empty(unknown.shape, np.intp)
    index[unknown] = np.arange(int(unknown.sum()))
    index[~unknown] = np.arange(int(unknown.sum()), unknown.size)
    y, x = np.nonzero(unknown)
    colours = lab.astype(np.float32)
    shape = len(NEIGHBOUR_OFFSETS), len(y)
    weights, neighbours = np.zeros(shape, np.float32), np.zeros(shape, np.intp)
    for row, (down, right) in enumerate(NEIGHBOUR_OFFSETS):
        to_y, to_x = np.clip(y + down, 0, unknown.shape[0] - 1), np.clip(x + right, 0, unknown.shape[1] - 1)
        distance = ((colours[y, x] - colours[to_y, to_x]) ** 2).sum(axis=1)
        similarity = np.exp(distance / np.float32(-2 * COLOUR_SIGMA_LEVELS**2)) + MIN_EDGE_WEIGHT
        inside = (to_y == y + down) & (to_x == x + right)
        weights[row] = inside * similarity / np.float32(np.hypot(down, right))
        neighbours[row] = index[to_y, to_x]
    return weights, neighbours
