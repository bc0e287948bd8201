"""Refine the alpha of hair at a head's edge where colours separate hair and background.

A net sees a head of hair as one patch; before a plain wall the photo itself shows where each curl ends.
"""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Face, Float32Array, Image, Mask, Window
from pipelines.imaging.resize import outline_band
from pipelines.matting.closed_form import closed_form_alpha
from pipelines.matting.edge_colors import estimate_mixture, smooth_alpha_edge

HEAD_WINDOW_SCALE = 1.5  # of the head's box: hair reaches no farther
EDGE_BAND_RATIO = 0.035  # of the head's height: band to both sides of the edge
MIN_SEPARATION = 9.0  # squared deviations between hair and background from which colour counts; in full at twice that
MAX_WALL_DEVIATION_LEVELS = 9.0  # colour deviation of a plain background; at twice that colour does not count
SINGLE_HAIR_WALL_DEVIATION_LEVELS = 5.0  # the same for single hairs: before folds of cloth they break into pieces
SHALLOW_DEPTH_RATIO = 0.15  # of the band: so near the outline the background is as plain as outside; not at twice that
SINGLE_HAIR_REACH_RATIO = 1.6  # of the band: single hairs reach so far outside the outline
WALL_DISTANCE_DEVIATIONS = 2.5  # distance from the wall's colour up to which a pixel is wall; at twice that it is not
LIGHTNESS_STEP_LEVELS = 4.0  # difference in lightness that is noise; at twice that it is not
MIN_CONNECTED_ALPHA = 0.05  # alpha that connects a hair to the head
MAP_SIGMA_PX = 3.0  # blur of the maps: a single distinct pixel among others is noise
TEETH_RATIO = 0.009  # of the head's height: smaller teeth of an outline come from the net
PLAIN_WALL_PRIOR_WEIGHT = 0.001  # weight of the net's alpha before a plain wall
EDGE_PRIOR_WEIGHT = 1.0  # weight of the net's alpha elsewhere at the edge
SOLID_PRIOR_WEIGHT = 10.0  # weight of the net's alpha off the edge


def refine_hair_alpha(image: Image, alpha: Alpha, face: Face) -> Alpha:
    """Solve the edge of the hair around `face` from the photo's colours."""
    head_height = float(face.box[3] - face.box[1])
    reach = max(2, round(EDGE_BAND_RATIO * head_height))
    left, top, right, bottom = _head_window(face, image, reach)
    window = slice(top, bottom), slice(left, right)
    part, crop = alpha[window], np.ascontiguousarray(image[window])
    band = outline_band(part, reach) & ~_face_mask(face, part.shape, (left, top))
    if not band.any():
        return alpha
    distinctness, share = _measure_distinctness(crop, part, band, reach)
    edge_weight = PLAIN_WALL_PRIOR_WEIGHT + (EDGE_PRIOR_WEIGHT - PLAIN_WALL_PRIOR_WEIGHT) * (1 - distinctness)
    prior_weight = np.where(band, edge_weight, SOLID_PRIOR_WEIGHT).astype(np.float32)
    smoothing = smooth_alpha_edge(part, TEETH_RATIO * head_height) - part
    # Fill a notch as far as its colour is the subject's; the corner of a neck is no notch.
    prior = part + band * np.where(smoothing > 0, smoothing * share, smoothing)
    solved = prior + distinctness * band * (closed_form_alpha(crop, part, prior_weight) - prior)
    result = alpha.copy()
    result[window] = np.maximum(solved, _find_single_hairs(crop, part, reach, round(face.box[3]) - top))
    return result


def _find_single_hairs(image: Image, alpha: Alpha, reach: int, chin: int) -> Alpha:
    """Find single hairs outside the outline, above the row `chin`: narrow things before a plain wall. H x W, 0 to 1."""
    outside = outline_band(alpha, round(SINGLE_HAIR_REACH_RATIO * reach)) & (alpha < 0.5)
    outside[chin:] = False
    result = np.zeros(alpha.shape, np.float32)
    if not outside.any():
        return result
    mixture = estimate_mixture(image, alpha, outside)
    # Judge a hair by the most uneven background near it: pieces of a hair would look like dirt.
    deviation = np.zeros(alpha.shape, np.float32)
    deviation[outside] = mixture.background_deviation
    deviation = cv2.dilate(deviation, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))[outside]
    distance = (np.sqrt(mixture.background_distance) - WALL_DISTANCE_DEVIATIONS) / WALL_DISTANCE_DEVIATIONS
    evenness = np.clip(2 - deviation / SINGLE_HAIR_WALL_DEVIATION_LEVELS, 0, 1)
    certainty = np.clip(distance, 0, 1) * evenness
    result[outside] = certainty * mixture.share * _lightness_contrast(image, outside, reach)[outside]
    # Remove wide things: they are objects behind, or shadows.
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach | 1, reach | 1))
    result -= cv2.morphologyEx(result, cv2.MORPH_OPEN, disc)
    _, labels = cv2.connectedComponents(((result > MIN_CONNECTED_ALPHA) | (alpha > 0.5)).astype(np.uint8))
    joined = np.isin(labels, np.unique(np.asarray(labels)[alpha > 0.5]))
    return np.where(joined, result, 0).astype(np.float32)


def _lightness_contrast(image: Image, region: Mask, reach: int) -> Float32Array:
    """Rate how much lighter or darker a pixel is than those around it in `region`, 0 to 1; JPEG blurs only hue."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    weight = region.astype(np.float32)
    total, known = (cv2.blur(part, (2 * reach + 1, 2 * reach + 1)) for part in (weight * grey, weight))
    difference = np.abs(grey - total / np.maximum(known, 1e-3))
    return np.clip(difference / LIGHTNESS_STEP_LEVELS - 1, 0, 1).astype(np.float32)


def _measure_distinctness(image: Image, alpha: Alpha, band: Mask, reach: int) -> tuple[Float32Array, Float32Array]:
    """Rate along the `band` how well colours separate there, and the subject's share; two maps, H x W, 0 to 1.

    Colours separate where hair and background differ and the background is even. Just inside the outline that is
    measured just outside it: the background estimated for a place inside comes from farther away.
    """
    where = band | ((alpha > 0.02) & (alpha < 0.98))
    mixture = estimate_mixture(image, alpha, where)
    outside_deviation = _average_from_outside(mixture.background_deviation, where, alpha, reach)
    depth = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 5)[where]
    deviations = np.stack((mixture.background_deviation, outside_deviation))
    evenness = np.clip(2 - deviations / MAX_WALL_DEVIATION_LEVELS, 0, 1)
    evenness[1] *= np.clip(2 - depth / (SHALLOW_DEPTH_RATIO * reach), 0, 1)
    certainty = np.clip(mixture.separation / MIN_SEPARATION - 1, 0, 1) * evenness.max(axis=0)
    maps = np.zeros((*alpha.shape, 3), np.float32)
    maps[where] = np.stack((certainty, mixture.share, np.ones_like(certainty)), axis=1)
    distinctness, share, known = np.moveaxis(cv2.GaussianBlur(maps, (0, 0), MAP_SIGMA_PX), 2, 0)
    known = np.maximum(known, 1e-3)
    return np.where(band, np.minimum(distinctness / known, 1), 0).astype(np.float32), np.minimum(share / known, 1)


def _average_from_outside(values: Float32Array, where: Mask, alpha: Alpha, reach: int) -> Float32Array:
    """Average N `values` at the pixels `where` over their neighbours outside the outline."""
    maps = np.zeros((*alpha.shape, 2), np.float32)
    maps[where] = np.stack((values, np.ones_like(values)), axis=1) * (alpha[where] < 0.5)[:, None]
    total, known = np.moveaxis(cv2.GaussianBlur(maps, (0, 0), reach / 2), 2, 0)
    mean = np.where(known > 1e-3, total / np.maximum(known, 1e-3), MAX_WALL_DEVIATION_LEVELS * 2)
    return mean[where].astype(np.float32)


def _head_window(face: Face, image: Image, margin: int) -> Window:
    """Return the window around the head with a margin of `2 * margin`: left, top, right, bottom inside the photo."""
    left, top, right, bottom = face.box
    x, y = (left + right) / 2, (top + bottom) / 2
    half = max(right - left, bottom - top) * HEAD_WINDOW_SCALE / 2 + 2 * margin
    height, width = image.shape[:2]
    return max(int(x - half), 0), max(int(y - half), 0), min(int(x + half), width), min(int(y + half), height)


def _face_mask(face: Face, shape: tuple[int, ...], origin: tuple[int, int]) -> Mask:
    """Return the face itself: highlights on skin are not background."""
    canvas = np.zeros(shape, np.uint8)
    points = np.asarray(face.landmarks - np.array(origin, np.float32), np.int32)
    cv2.fillConvexPoly(canvas, np.asarray(cv2.convexHull(points), np.int32), 1)
    return cv2.dilate(canvas, np.ones((5, 5), np.uint8)) > 0
