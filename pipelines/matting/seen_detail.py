"""Give back what colours took from a subject although its nets see it: silver on a black lamp before a grey wall.

Colours tell a pixel of two sides. A part of a third colour, such as a chain or a spring, lies between both and was
taken for a mixture, so that it was bleached or gone on a white ground.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Box, Image, Mask
from pipelines.imaging.resize import dilate_mask, outline_band
from pipelines.matting.edge_colors import measure_colour_distances
from pipelines.matting.leftover_ground import cover_heads
from pipelines.matting.mask_parts import close_mask, label_parts, open_mask

SEEN_ALPHA = 0.5  # of both nets, from which a pixel is seen
MIN_LOSS = 0.25  # of alpha: less is what edges lose
UNLIKE_DISTANCE = 12.0  # squared, in deviations, from which a pixel is not of the background's colour
THIRD_DISTANCE = 16.0  # the same, from which it is no mixture of subject and background
THIRD_SHARE = 0.3  # of a part's pixels: with fewer of a third colour it is an edge or the tips of fur
MIN_NEIGHBOUR_COUNT = 3  # of nine pixels, from which those of a third colour are a part and no grain
GAP_RATIO = 0.006  # of the longer side: narrower gaps in a part, where it is as grey as the wall, are closed
MIN_PART_RATIO = 0.0001  # of the longer side's square: a smaller part is not looked for
KNOWN_ALPHA_MARGIN = 0.02  # alpha within this of 0 or 1 is known
FEATHER_SIGMA_PX, FEATHER_GAIN = 0.6, 1.3  # of the parts' outline
SURE_OTHER_ALPHA, SURE_ALPHA = 0.9, 0.6  # of the quick net and of both together, from which a part is the subject's
LOST_ALPHA = 0.55  # under which a sure part was lost
MIN_SURE_WIDTH_RATIO = 0.006  # of the longer side: nothing narrower comes back, such as an edge or a strand
SURE_SIGMA_RATIO = 0.001  # of the longer side, of a sure part's outline


def restore_seen_detail(image: Image, refined: Alpha, selected: Alpha, other: Alpha, hairy: Mask) -> Alpha:
    """Return `refined` with what colours took from it where `selected` and `other` see it (H x W each).

    Nothing of the edges that are `hairy` (H x W): before patterned ground their strands have many colours. Only what
    has a third colour comes back, which is neither that of the ground beside it nor a mixture with it: a gap between
    two bars stays one, and so do the tips of fur.
    """
    lost = (np.minimum(selected, other) > SEEN_ALPHA) & (refined < selected - MIN_LOSS) & ~hairy
    longer = max(selected.shape)
    if lost.sum() < MIN_PART_RATIO * longer**2:
        return refined
    unknown = (selected > KNOWN_ALPHA_MARGIN) & (selected < 1 - KNOWN_ALPHA_MARGIN) | lost
    unknown |= outline_band(selected, max(1, round(0.5 * GAP_RATIO * longer)), cv2.MORPH_RECT)
    unlike, third = measure_colour_distances(image, selected, unknown)
    parts = _find_parts(unlike > UNLIKE_DISTANCE, third > THIRD_DISTANCE, lost, refined)
    weight = FEATHER_GAIN * cv2.GaussianBlur(parts.astype(np.float32), (0, 0), FEATHER_SIGMA_PX)
    return np.maximum(refined, np.where(lost, np.minimum(weight, 1), np.float32(0))).astype(np.float32)


def restore_sure_parts(refined: Alpha, selected: Alpha, other: Alpha, faces: Sequence[Box]) -> Alpha:
    """Return `refined` with the parts of which both nets are sure and that colours took (H x W each): shoes on gravel.

    Of two parts of one colour, such as grey shoes and a grey road, colours tell nothing, and the shoes went. Heads stay
    as they are, by the boxes of their `faces`: what is lost there are gaps between hair.
    """
    longer = max(refined.shape)
    width = max(3, round(MIN_SURE_WIDTH_RATIO * longer)) | 1
    lost = open_mask((other > SURE_OTHER_ALPHA) & (selected > SURE_ALPHA) & (refined < LOST_ALPHA), width)
    if not lost.any():
        return refined
    lost &= ~cover_heads(refined.shape, faces, 1.0)
    part = dilate_mask(lost, width // 2) & (other > SEEN_ALPHA) & (selected > SEEN_ALPHA)
    sigma = max(FEATHER_SIGMA_PX, SURE_SIGMA_RATIO * longer)
    weight = np.minimum(FEATHER_GAIN * cv2.GaussianBlur(part.astype(np.float32), (0, 0), sigma), 1)
    return np.maximum(refined, weight * np.where(other > SEEN_ALPHA, selected, np.float32(0))).astype(np.float32)


def _find_parts(unlike: Mask, third: Mask, lost: Mask, refined: Alpha) -> Mask:
    """Return the parts of what was lost that pixels `unlike` the ground make, with gaps closed and no grain.

    Some of each part's pixels have a `third` colour.
    """
    near = cv2.boxFilter((unlike & lost).astype(np.float32), -1, (3, 3), normalize=False)
    dense = unlike & lost & (near >= MIN_NEIGHBOUR_COUNT - 0.5)
    longer = max(lost.shape)
    labels = label_parts(close_mask(dense, max(3, round(GAP_RATIO * longer)) | 1) & lost)
    areas = np.bincount(labels.ravel())
    third_counts = np.bincount(labels[third & lost], minlength=len(areas))
    chosen = (areas >= MIN_PART_RATIO * longer**2) & (third_counts >= THIRD_SHARE * areas)
    chosen[0] = False
    part = np.asarray(chosen[labels])
    return part | (dilate_mask(part, 1) & (refined > SEEN_ALPHA))
