"""Which side each doubtful pixel belongs to, by walks that seldom step over an edge of the photo; knows no nets.

Grady, "Random Walks for Image Segmentation" (2006), with a prior at every pixel. A ring whose colour goes on into the
subject is the subject's, however like the wall it is; a sliver that goes on into the wall is the wall's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Alpha
from pipelines.matting.conjugate_gradient import Floats, descended

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

EDGE = 5.0  # levels of Lab: a step of so many is taken 0.6 times as often as none
LEAST = 1e-4  # of all steps the rarest
AROUND = ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1))
STEPS = 200
NEAR = 7e-4  # of what was asked for: at 3e-3 the far end of a ring has not heard of its beginning


def walked(lab: Bytes, prior: Alpha, pull: Floats, where: Mask) -> Alpha:
    """`prior` (H x W, 0 to 1), where `where` replaced by how often a walk from there ends at the subject.

    A walk ends at a pixel outside `where`, or is drawn to the pixel's own `prior` as often as `pull` says (H x W; 1 is
    as often as a step to a neighbour of the same colour). `lab` is the photo (H x W x 3).
    """
    count = int(where.sum())
    if not count:
        return prior
    weights, beside = _links(lab, where)
    known = np.concatenate((np.zeros(count, np.float32), prior[~where]))
    own = pull[where]
    right = (weights * known.take(beside)).sum(axis=0) + own * prior[where]
    diagonal = np.maximum(weights.sum(axis=0) + own, 1e-6)

    def apply(x: Floats) -> Floats:
        # What is known has its place in `right`: here it counts for nothing.
        padded = np.concatenate((x, np.zeros(len(known) - count, np.float32)))
        return diagonal * x - (weights * padded.take(beside)).sum(axis=0)

    result, enough = prior.copy(), NEAR * float(np.linalg.norm(right))
    found = descended(apply, right, prior[where], diagonal, STEPS, lambda left: float(np.linalg.norm(left)) <= enough)
    result[where] = np.clip(found, 0, 1)
    return result


def _links(lab: Bytes, where: Mask) -> tuple[Floats, npt.NDArray[np.intp]]:
    """8 x N: how often each doubtful pixel's walk goes to its neighbours, and their numbers: doubtful ones first."""
    number = np.empty(where.shape, np.intp)
    number[where] = np.arange(int(where.sum()))
    number[~where] = np.arange(int(where.sum()), where.size)
    y, x = np.nonzero(where)
    colours = lab.astype(np.float32)
    weights, beside = np.zeros((len(AROUND), len(y)), np.float32), np.zeros((len(AROUND), len(y)), np.intp)
    for row, (down, right) in enumerate(AROUND):
        to_y, to_x = (
            np.clip(at + by, 0, most - 1) for at, by, most in zip((y, x), (down, right), where.shape, strict=True)
        )
        apart = ((colours[y, x] - colours[to_y, to_x]) ** 2).sum(axis=1)
        inside = (to_y == y + down) & (to_x == x + right)
        weights[row] = inside * (np.exp(apart / np.float32(-2 * EDGE**2)) + LEAST) / np.float32(np.hypot(down, right))
        beside[row] = number[to_y, to_x]
    return weights, beside
