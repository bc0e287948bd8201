"""Takes away what a net took for the subject at the photo's border, told by the colours beside it; knows no nets.

A stray is cut along the edges of the photo as in "GrabCut" (Rother et al., 2004), in a small window: the colours of a
whole photo are too many for it.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Alpha, Image
from pipelines.imaging.resize import enlarged, grown, in_lab, shrunk

Mask = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

BORDER_SIDE = 256
BORDER = 0.12  # of the longer side: a stray reaches less far into the photo
PLAIN = 20.0  # levels of Lab: where a stray ends, the photo has an edge of at least this along four fifths
SAMPLE = 1000


def without_strays(image: Image, alpha: Alpha) -> Alpha:
    """`alpha` without background that the net took for the subject at the left, top or right border of `image`.

    A stray is narrow, ends at a plain edge, and has the colours of sure background nearby and not the subject's.
    The bottom is left alone: that is where bodies go on.
    """
    size = shrunk(alpha.shape, BORDER_SIDE)
    small = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.float32)
    if not any((np.rot90(small, turn)[:, 0] > 0.5).any() for turn in range(3)):
        return alpha
    lab, width = in_lab(image, size), round(BORDER * max(size))
    strays = np.zeros(small.shape, np.bool_)
    for turn in range(3):
        at_left = _at_left(np.ascontiguousarray(np.rot90(lab, turn)), np.rot90(small, turn), width)
        strays |= np.rot90(at_left, -turn)
    if not strays.any():
        return alpha
    gone = grown(strays, 3) & ~((small > 0.5) & ~strays)
    return np.asarray(alpha * (1 - enlarged(gone.astype(np.float32), alpha.shape)), np.float32)


def _grab(lab: Bytes, subject: Mask, held: Mask) -> Mask:
    """Where the subject is after one round of GrabCut from `subject`, which stands where it is `held`."""
    if not (subject & held).any() or not (~subject & held).any():
        return subject
    marks = np.ascontiguousarray(np.where(held, cv2.GC_BGD, cv2.GC_PR_BGD), np.uint8)
    marks += subject  # the marks of the subject follow on those of the background
    cv2.setRNGSeed(0)  # it draws its first clusters: the same photo must give the same cut
    spare = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(np.ascontiguousarray(lab), marks, (0, 0, 0, 0), *spare, 1, cv2.GC_INIT_WITH_MASK)
    return (marks & 1) > 0


def _at_left(lab: Bytes, alpha: Alpha, width: int) -> Mask:
    """The strays at the left border of a small copy."""
    result = np.zeros(alpha.shape, np.bool_)
    rows = np.flatnonzero(alpha[:, 0] > 0.5)
    if not len(rows) or len(rows) == len(alpha):
        return result
    window = (slice(max(rows[0] - 2 * width, 0), rows[-1] + 2 * width), slice(0, 3 * width))
    part = alpha[window]
    held = (part < 0.1) | ((part > 0.9) & (np.arange(part.shape[1]) >= width))
    lost = ~_grab(lab[window], part > 0.1, held) & (part > 0.5)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(lost.astype(np.uint8), connectivity=4)
    for number, (left, _, wide, _, area) in enumerate(stats[1:], start=1):
        stray = np.asarray(labels) == number
        if left or wide >= width or area < width:
            continue
        rest = alpha > 0.9
        rest[window] &= ~lost
        if _ends_plainly(lab[window], stray, (part > 0.5) & ~lost) and _is_ground(
            lab[window][stray], lab[window][part < 0.1], lab[rest]
        ):
            result[window] |= stray
    return result


def _ends_plainly(lab: Bytes, stray: Mask, rest: Mask) -> bool:
    """Whether the colours on both sides of the line between `stray` and `rest` differ along nearly all of it."""
    near = (7, 7)
    shares = [cv2.blur(side.astype(np.float32), near) for side in (stray, rest)]
    means = [
        cv2.blur(np.where(side[..., None], lab, 0).astype(np.float32), near) / np.maximum(share, 1e-3)[..., None]
        for side, share in zip((stray, rest), shares, strict=True)
    ]
    line = (shares[0] > 0.2) & (shares[1] > 0.2)
    return not line.any() or bool(np.percentile(np.linalg.norm(means[0] - means[1], axis=2)[line], 20) > PLAIN)


def _is_ground(stray: Bytes, ground: Bytes, subject: Bytes) -> bool:
    """Whether most colours (N x 3) of a stray are found again in the ground, and not in the subject."""
    return _apart(stray, subject) > 2 * _apart(stray, ground) + 2


def _apart(colours: Bytes, others: Bytes) -> float:
    """How far a colour of the first is from the five nearest of the second, in the median, over samples of both."""
    if len(others) < 5:
        return 255.0
    some, among = (
        part[:: max(len(part) // most, 1)].astype(np.float32) for part, most in ((colours, 200), (others, SAMPLE))
    )
    squares = ((some[:, None] - among[None]) ** 2).sum(axis=2)
    return float(np.median(np.sqrt(np.partition(squares, 4, axis=1)[:, :5].mean(axis=1))))
