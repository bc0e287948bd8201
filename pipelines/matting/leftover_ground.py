"""Find ground that is left in what was taken for the subject: soil between an animal's legs, a wall in an opening.

A region is taken whole from the net that is right about most of it. What the other net calls ground there, and what has
the colours of the ground beside it and not those of the subject beside it, is ground.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import KDTree

from pipelines.core.geometry import Alpha, Box, Image, Mask, Uint8Array
from pipelines.imaging.resize import dilate_mask, resize_image
from pipelines.matting.mask_parts import close_mask, open_mask

MAX_SEEN_ALPHA = 0.25  # mean of a part in the map that sees ground, up to which it may be left ground
MIN_PART_RATIO = 0.0005  # of the copy's pixels: a smaller part is not looked at
THREAD_PX = 3  # what is no wider is no part
GROUND_REACH_PX = 18  # around a part, whose ground is compared with it
SUBJECT_REACH_PX = 10  # the same of the subject
RIM_PX = 2  # around a part, whose mixed colours are not compared
MIN_NEIGHBOUR_COUNT = 20  # pixels of either side beside a part, with fewer of which it is not compared
MAX_COLOUR_COUNT = 400  # of either side and of a part, that are compared
NEAREST_COUNT = 6  # of the ground's colours, to which the mean distance of a colour counts
LIKE_DISTANCE_LEVELS = 10.0  # Lab levels: two colours that are alike
HEAD_MARGINS = 0.7, 0.9, 0.3  # of a face's height, beside, above and below it: hair and hats, which no colour tells
LEAST_SHARE = 0.01  # added to both shares of colours that are alike, so that their ratio exists


@dataclass(frozen=True)
class LeftoverGroundLimits:
    """Up to which a part (h x w) counts as left ground.

    `distance` is its mean distance to the ground's nearest colours in Lab levels, and `likeness` how many times as
    often the subject's colours are like its own as the ground's are.
    """

    distance: float
    likeness: float


SURE_LIMITS = LeftoverGroundLimits(distance=4.5, likeness=0.5)
TOLD_LIMITS = LeftoverGroundLimits(distance=3.0, likeness=0.25)


def find_leftover_ground(
    image: Image, taken: Mask, seen: Alpha, subject: Mask, ground: Mask, limits: LeftoverGroundLimits = SURE_LIMITS
) -> Mask:
    """Return the parts of `taken` (h x w) that are ground, on a small copy of `image` (H x W).

    `seen` (h x w) is the map of the net that `taken` does not come from; `subject` and `ground` (h x w) lie around it.
    """
    found = np.zeros(taken.shape, np.bool_)
    unseen = open_mask(taken & (seen < 0.5), THREAD_PX)
    min_area = max(MIN_PART_RATIO * taken.size, MIN_NEIGHBOUR_COUNT)
    if unseen.sum() < min_area:
        return found
    lab = np.asarray(cv2.cvtColor(resize_image(image, taken.shape[::-1]), cv2.COLOR_RGB2LAB), np.uint8)
    subject = subject | taken
    for region in _list_parts(unseen, min_area):
        beside = _sample_colours(lab, dilate_mask(region, GROUND_REACH_PX) & ground)
        if len(beside) < MIN_NEIGHBOUR_COUNT:
            continue
        alike = np.zeros(taken.shape, np.bool_)
        alike[region] = KDTree(beside).query(lab[region], NEAREST_COUNT)[0].mean(axis=1) < LIKE_DISTANCE_LEVELS
        for part in _list_parts(close_mask(open_mask(alike, THREAD_PX), THREAD_PX) & region, min_area):
            if seen[part].mean() < MAX_SEEN_ALPHA and _is_like_ground(lab, part, subject, ground, limits):
                found |= part
    return found


def cover_heads(shape: tuple[int, ...], faces: Sequence[Box], scale: float) -> Mask:
    """Return where heads are (h x w) on a copy of this `shape` and `scale` by the boxes of `faces` in the photo.

    Nothing is left ground there: a pale face before a pale wall is skin, and hair has the colours that show through it.
    """
    covered = np.zeros(shape, np.bool_)
    for left, top, right, bottom in faces:
        beside, above, below = (margin * (bottom - top) for margin in HEAD_MARGINS)
        spans = ((top - above, bottom + below), (left - beside, right + beside))
        covered[tuple(slice(max(round(low * scale), 0), max(round(high * scale), 0)) for low, high in spans)] = True
    return covered


def _is_like_ground(lab: Uint8Array, part: Mask, subject: Mask, ground: Mask, limits: LeftoverGroundLimits) -> bool:
    """Whether the colours of `part` are those of the `ground` beside it, and not of the `subject` around it."""
    near = dilate_mask(part, SUBJECT_REACH_PX) & ~dilate_mask(part, RIM_PX)
    on_ground = _sample_colours(lab, dilate_mask(part, GROUND_REACH_PX) & ground)
    on_subject = _sample_colours(lab, near & subject)
    if min(len(on_ground), len(on_subject)) < MIN_NEIGHBOUR_COUNT:
        return False
    colours = _sample_colours(lab, part)
    to_ground, to_subject = (np.linalg.norm(colours[:, None] - each[None], axis=2) for each in (on_ground, on_subject))
    distance = np.partition(to_ground, NEAREST_COUNT, axis=1)[:, :NEAREST_COUNT].mean()
    shares = [float((each < LIKE_DISTANCE_LEVELS).mean()) + LEAST_SHARE for each in (to_subject, to_ground)]
    return bool(distance < limits.distance) and shares[0] / shares[1] < limits.likeness


def _sample_colours(lab: Uint8Array, where: Mask) -> np.ndarray:
    """Return at most about so many of the colours `where` (N x 3), evenly."""
    colours = lab[where].astype(np.float32)
    return colours[:: max(1, len(colours) // MAX_COLOUR_COUNT)]


def _list_parts(mask: Mask, min_area: float) -> Iterator[Mask]:
    """Yield the connected parts of `mask` (h x w) with at least `min_area` pixels."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    for label in range(1, count):
        if stats[label, cv2.CC_STAT_AREA] >= min_area:
            yield np.asarray(labels == label)
