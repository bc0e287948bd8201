"""Refine a matte's boundary: bilateral colour voting, then a random walker along the photo's edges.

Pixels of like colour that the net is sure of vote; the random walker decides where votes disagree or are missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Float32Array, Image, IndexArray, Mask, Uint8Array
from pipelines.imaging.resize import dilate_mask, outline_band, resize_map, resize_to_lab, size_within
from pipelines.matting.random_walker import random_walker_alpha

PixelIndices = tuple[IndexArray, IndexArray]  # rows and columns, as `np.nonzero` returns them

KNOWN_ALPHA_MARGIN = 0.02  # alpha within this of 0 or 1 is known
MIN_SUBJECT_ALPHA = 0.1  # alpha below which votes cannot make a pixel of a wide patch the subject's
WORK_SIDE_PX = 640  # longer side of the copy that is refined; all lengths below are its pixels
WIDE_PATCH_PX = 5  # diameter: where the net is sure of an edge, the unknown band is narrower
VOTE_SAMPLE_COUNT = 256  # pixels sampled around each unknown pixel, denser near it
VOTE_RADIUS_PX = 128  # a fifth of the photo: what goes on behind the subject is found again within it
SPREAD_SAMPLE_COUNT = 48  # pixels around each unknown pixel from which votes are spread to pixels that got none
SPREAD_RADIUS_PX = 6  # radius of those pixels
MIN_OUTLINE_BAND_PX = 3  # of the copy
COLOUR_SIGMA_LEVELS = 6.0  # Lab levels: standard deviation of the colour similarity
MIN_VOTE_SHARE = 0.003  # of the samples: a pixel with fewer votes stays undecided
MAX_VOTED_PIXEL_COUNT = 2000  # unknown pixels that are voted on; of more, every n-th one
OUTLINE_BAND_RATIO = 0.014  # of the longer side: the net's outline may be off by so much
SMOOTHING_SIGMA_PX = 1.5  # blur that removes single wrong pixels from the decided outline
EDGE_STEEPNESS = 2.0  # contrast factor that makes the blurred edge steep again
MIN_CHANGE_PX = 1.5  # a change nearer to the net's outline is not checked
VOTE_ROUND_COUNT = 2  # rounds: in the second, pixels decided in the first one vote as well
VOTE_PRIOR_WEIGHT = 0.05  # random walker's pull towards the votes
NET_PRIOR_WEIGHT = 0.001  # random walker's pull towards the net's alpha
FOREGROUND_PRIOR_WEIGHT = 0.01  # extra pull where the net is sure of the subject; small highlights need it
TILE_PRIOR_WEIGHT = 0.1  # extra pull where a tile was predicted at full resolution
_SQUARED_DISTANCES = np.arange(int(40 * COLOUR_SIGMA_LEVELS**2))
_SIMILARITY_TABLE = np.exp(_SQUARED_DISTANCES / (-2 * COLOUR_SIGMA_LEVELS**2)).astype(np.float32)


@dataclass(frozen=True)
class RefinedMatte:
    """A refined alpha, and 1 in wide patches that the net was not sure of; H x W each."""

    alpha: Alpha
    uncertainty: Alpha


def refine_boundary(image: Image, alpha: Alpha, confidence: Alpha | None = None) -> RefinedMatte:
    """Lay the outline of `alpha` along the photo's own edges, and decide its half-transparent patches.

    Known pixels of nearly the same colour vote from up to a fifth of the photo away (bilateral voting). A random walker
    decides where votes disagree or are missing. `confidence` (0 to 1, of any size) is where the net predicted tiles at
    full resolution: there its alpha weighs as much as the votes.
    """
    size = size_within(alpha.shape, WORK_SIDE_PX)
    small = resize_map(alpha, size)
    unknown = (small > KNOWN_ALPHA_MARGIN) & (small < 1 - KNOWN_ALPHA_MARGIN)
    patches = _find_wide_patches(unknown)
    band = unknown | outline_band(small, max(MIN_OUTLINE_BAND_PX, round(OUTLINE_BAND_RATIO * max(size))))
    if not band.any():
        return RefinedMatte(alpha, np.zeros(alpha.shape, np.float32))
    lab = resize_to_lab(image, size)
    tile_confidence = np.zeros_like(small) if confidence is None else resize_map(confidence, size)
    known, decided, votes = ~dilate_mask(band, 1), small, np.zeros_like(small)
    for _ in range(VOTE_ROUND_COUNT):
        votes = _bilateral_votes(lab, np.where(known, decided, np.float32(0.5)), band)
        votes = np.where(patches & (small < MIN_SUBJECT_ALPHA), np.minimum(votes, 0), votes)
        decided, known = _solve_random_walker(lab, small, votes, band, tile_confidence), np.ones_like(known)
    decided = _revert_weaker_edges(lab, small, decided)
    full_size = alpha.shape[::-1]
    weight, sharpened = (resize_map(part, full_size) for part in (band.astype(np.float32), _sharpen_alpha(decided)))
    result = np.clip(alpha + weight * (sharpened - alpha), 0, 1).astype(np.float32)
    return RefinedMatte(result, resize_map(patches.astype(np.float32), full_size))


def _find_wide_patches(unknown: Mask) -> Mask:
    """Return the unknown pixels in and beside patches into which a disc of `WIDE_PATCH_PX` fits."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (WIDE_PATCH_PX, WIDE_PATCH_PX))
    inner = cv2.morphologyEx(unknown.astype(np.uint8), cv2.MORPH_OPEN, disc)
    return dilate_mask(inner > 0, 1) & unknown


def _bilateral_votes(lab: Uint8Array, alpha: Alpha, unknown: Mask) -> Float32Array:
    """Let pixels of like colour, by how far `alpha` is from 0.5, vote on unknown ones: -1 background to 1 subject."""
    sides = np.clip(np.dstack((2 * alpha - 1, 1 - 2 * alpha)), 0, 1).astype(np.float32)
    y, x = np.nonzero(unknown)
    step = -(-len(y) // MAX_VOTED_PIXEL_COUNT)
    points = (y[::step], x[::step])
    offsets = _sunflower_offsets(VOTE_SAMPLE_COUNT, VOTE_RADIUS_PX)
    subject, background = (_sum_by_colour_similarity(lab, sides, points, offsets) / VOTE_SAMPLE_COUNT).T
    vote = (subject - background) / (subject + background + MIN_VOTE_SHARE)
    sampled = np.zeros((*alpha.shape, 2), np.float32)
    sampled[points] = np.stack((vote, np.ones_like(subject)), axis=1)
    offsets = _sunflower_offsets(SPREAD_SAMPLE_COUNT, SPREAD_RADIUS_PX)
    total, count = _sum_by_colour_similarity(lab, sampled, (y, x), offsets).T
    result = np.zeros(alpha.shape, np.float32)
    result[unknown] = total / np.maximum(count, 1e-6)
    return result


def _sum_by_colour_similarity(
    lab: Uint8Array, values: Float32Array, points: PixelIndices, offsets: IndexArray
) -> Float32Array:
    """Sum `values` (H x W x C) at offsets from N points, weighted by colour similarity to the point; N x C."""
    margin = int(np.abs(offsets).max())
    colours = cv2.copyMakeBorder(lab, margin, margin, margin, margin, cv2.BORDER_REPLICATE).astype(np.int32)
    width = colours.shape[1]
    colours = colours.reshape(-1, 3)
    padded = np.pad(values, ((margin, margin), (margin, margin), (0, 0))).reshape(len(colours), -1)
    indices = (points[0] + margin) * width + points[1] + margin
    own_colours, result = colours[indices], np.zeros((len(indices), values.shape[2]), np.float32)
    for offset in offsets[:, 0] * width + offsets[:, 1]:
        difference = colours.take(indices + offset, axis=0)
        difference -= own_colours
        weight = _SIMILARITY_TABLE.take(np.einsum("ij,ij->i", difference, difference), mode="clip")
        result += weight[:, None] * padded.take(indices + offset, axis=0)
    return result


def _sunflower_offsets(count: int, max_radius: float) -> IndexArray:
    """Return `count` offsets (y, x) up to `max_radius` away in a sunflower pattern, denser near the middle; N x 2."""
    seed = np.arange(count) + 0.5
    radius, turn = max_radius * seed / count, seed * np.pi * (3 - np.sqrt(5))
    return np.rint(np.stack((radius * np.sin(turn), radius * np.cos(turn)), axis=1)).astype(np.intp)


def _solve_random_walker(
    lab: Uint8Array, alpha: Alpha, votes: Float32Array, unknown: Mask, tile_confidence: Alpha
) -> Alpha:
    """Decide the `unknown` pixels of `alpha` by a random walker with the votes and the net's alpha as priors."""
    vote_weight = VOTE_PRIOR_WEIGHT * votes**2
    net_weight = (
        NET_PRIOR_WEIGHT
        + FOREGROUND_PRIOR_WEIGHT * np.maximum(2 * alpha - 1, 0) ** 4
        + TILE_PRIOR_WEIGHT * tile_confidence * (2 * alpha - 1) ** 4
    )
    prior = (vote_weight * (votes > 0) + net_weight * alpha) / (vote_weight + net_weight)
    seeds = np.where(unknown, prior, alpha > 0.5).astype(np.float32)
    return random_walker_alpha(lab, seeds, np.asarray(vote_weight + net_weight, np.float32), unknown)


def _revert_weaker_edges(lab: Uint8Array, before: Alpha, after: Alpha) -> Alpha:
    """Take back every change of outline that left a weaker edge of the photo (`lab`) than it found, as a shadow's."""
    old, new = before > 0.5, after > 0.5
    inside = old.astype(np.uint8)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3) + cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
    count, labelled = cv2.connectedComponents(((old != new) & (distance > MIN_CHANGE_PX)).astype(np.uint8))
    # Neighbouring changes touch by a pixel along the outline: label each by itself, then add its rim.
    labels = cv2.dilate(np.asarray(labelled, np.float32), np.ones((3, 3), np.uint8)).astype(np.intp) * (old != new)
    colours, contrasts = lab.astype(np.float32), np.zeros((2, count), np.float64)
    lengths = np.zeros((2, count), np.float64)
    for first, second in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        step = np.linalg.norm(colours[first] - colours[second], axis=-1)
        label = np.maximum(labels[first], labels[second])
        for row, side in enumerate((old, new)):
            line = (side[first] != side[second]) & (label > 0)
            contrasts[row] += np.bincount(label[line], step[line], count)
            lengths[row] += np.bincount(label[line], minlength=count)
    mean_contrast = contrasts / np.maximum(lengths, 1)
    reverted = mean_contrast[1] < mean_contrast[0]
    reverted[0] = False
    return np.where(reverted[labels], before, after).astype(np.float32)


def _sharpen_alpha(alpha: Alpha) -> Alpha:
    """Blur the decided alpha to remove single wrong pixels, and make its edge steep again."""
    blurred = cv2.GaussianBlur(alpha, (0, 0), SMOOTHING_SIGMA_PX)
    return np.clip((blurred - 0.5) * EDGE_STEEPNESS + 0.5, 0, 1).astype(np.float32)
