"""Remove background that a matting net took for the subject at the photo's border.

A stray is cut along the photo's edges with GrabCut (Rother et al., 2004) in a small window: the colours of a whole
photo are too many for it.
"""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Image, Mask, Uint8Array
from pipelines.imaging.resize import dilate_mask, resize_map, resize_to_lab, size_within

WORK_SIDE_PX = 256  # longer side of the copy on which strays are looked for
MAX_STRAY_WIDTH_RATIO = 0.12  # of the longer side: a stray reaches less far into the photo
MIN_EDGE_CONTRAST_LEVELS = 20.0  # Lab levels between stray and subject along four fifths of their common line
REFERENCE_SAMPLE_COUNT = 1000  # colours that a stray is compared with
STRAY_SAMPLE_COUNT = 200  # colours of a stray that are compared


def remove_border_strays(image: Image, alpha: Alpha) -> Alpha:
    """Remove background that the net took for the subject at the left, top or right border of `image`.

    A stray is narrow, ends at a plain edge, and has the colours of sure background nearby and not the subject's. The
    bottom border is left alone, since bodies are cut there.
    """
    size = size_within(alpha.shape, WORK_SIDE_PX)
    small = resize_map(alpha, size)
    if not any((np.rot90(small, turn)[:, 0] > 0.5).any() for turn in range(3)):
        return alpha
    lab, width = resize_to_lab(image, size), round(MAX_STRAY_WIDTH_RATIO * max(size))
    strays = np.zeros(small.shape, np.bool_)
    for turn in range(3):
        found = _find_left_strays(np.ascontiguousarray(np.rot90(lab, turn)), np.rot90(small, turn), width)
        strays |= np.rot90(found, -turn)
    if not strays.any():
        return alpha
    removed = dilate_mask(strays, 3) & ~((small > 0.5) & ~strays)
    return np.asarray(alpha * (1 - resize_map(removed.astype(np.float32), alpha.shape[::-1])), np.float32)


def _run_grabcut(lab: Uint8Array, subject: Mask, fixed: Mask) -> Mask:
    """Run one round of GrabCut from the `subject` mask; pixels in `fixed` keep their side."""
    if not (subject & fixed).any() or not (~subject & fixed).any():
        return subject
    labels = np.ascontiguousarray(np.where(fixed, cv2.GC_BGD, cv2.GC_PR_BGD), np.uint8)
    labels += subject  # OpenCV's labels: GC_FGD is GC_BGD + 1, GC_PR_FGD is GC_PR_BGD + 1
    cv2.setRNGSeed(0)  # GrabCut draws its first clusters at random; the same photo must give the same cut
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(np.ascontiguousarray(lab), labels, (0, 0, 0, 0), *models, 1, cv2.GC_INIT_WITH_MASK)
    return (labels & 1) > 0


def _find_left_strays(lab: Uint8Array, alpha: Alpha, width: int) -> Mask:
    """Return the mask of strays at the left border of a small copy (`lab` H x W x 3)."""
    result = np.zeros(alpha.shape, np.bool_)
    rows = np.flatnonzero(alpha[:, 0] > 0.5)
    if not len(rows) or len(rows) == len(alpha):
        return result
    window = (slice(max(rows[0] - 2 * width, 0), rows[-1] + 2 * width), slice(0, 3 * width))
    part = alpha[window]
    fixed = (part < 0.1) | ((part > 0.9) & (np.arange(part.shape[1]) >= width))
    background = ~_run_grabcut(lab[window], part > 0.1, fixed) & (part > 0.5)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(background.astype(np.uint8), connectivity=4)
    for index, (left, _, stray_width, _, area) in enumerate(stats[1:], start=1):
        stray = np.asarray(labels) == index
        if left or stray_width >= width or area < width:
            continue
        rest = alpha > 0.9
        rest[window] &= ~background
        if _has_distinct_edge(lab[window], stray, (part > 0.5) & ~background) and _matches_background(
            lab[window][stray], lab[window][part < 0.1], lab[rest]
        ):
            result[window] |= stray
    return result


def _has_distinct_edge(lab: Uint8Array, stray: Mask, rest: Mask) -> bool:
    """Tell whether colours differ along nearly all of the line between `stray` and `rest`."""
    kernel = (7, 7)
    shares = [cv2.blur(side.astype(np.float32), kernel) for side in (stray, rest)]
    means = [
        cv2.blur(np.where(side[..., None], lab, 0).astype(np.float32), kernel) / np.maximum(share, 1e-3)[..., None]
        for side, share in zip((stray, rest), shares, strict=True)
    ]
    line = (shares[0] > 0.2) & (shares[1] > 0.2)
    return not line.any() or bool(
        np.percentile(np.linalg.norm(means[0] - means[1], axis=2)[line], 20) > MIN_EDGE_CONTRAST_LEVELS
    )


def _matches_background(stray: Uint8Array, background: Uint8Array, subject: Uint8Array) -> bool:
    """Tell whether most colours (N x 3) of a stray are found in the background and not in the subject."""
    return _median_colour_distance(stray, subject) > 2 * _median_colour_distance(stray, background) + 2


def _median_colour_distance(colours: Uint8Array, others: Uint8Array) -> float:
    """Return the median distance of `colours` (N x 3) to their five nearest `others` (M x 3), over samples of both."""
    if len(others) < 5:
        return 255.0
    sampled, reference = (
        part[:: max(len(part) // count, 1)].astype(np.float32)
        for part, count in ((colours, STRAY_SAMPLE_COUNT), (others, REFERENCE_SAMPLE_COUNT))
    )
    squares = ((sampled[:, None] - reference[None]) ** 2).sum(axis=2)
    return float(np.median(np.sqrt(np.partition(squares, 4, axis=1)[:, :5].mean(axis=1))))
