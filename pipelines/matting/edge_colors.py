"""Estimate subject and background colours at a subject's edge, and the share of each in a mixed pixel.

Colours are spread from where the matte is sure by a pull-push pyramid (Gortler et al., "The Lumigraph", 1996), on a
small copy.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Float32Array, Image, Mask
from pipelines.imaging.resize import size_within

WORK_SIDE_PX = 640  # longer side of the copy on which colours are spread; at most half the photo, finer gains nothing
OPAQUE_ALPHA = np.float32(249.5 / 255)  # alpha that an 8-bit matte stores as 250, so that readers find the same core
TRUST_SEPARATION = 3.0  # squared separation of both colours, in deviations, at which they weigh as much as the net
SHARE_BLACK_POINT = 0.06  # share of colour that becomes 0: less is grain
SHARE_WHITE_POINT = 0.94  # share of colour that becomes 1
SMOOTHING_SIGMA_PX = 0.4  # blur that removes single wrong pixels and keeps edges
TEETH_RATIO = 0.0025  # of the longer side: teeth that are smoothed where colours do not tell
EDGE_RISE_PX = 1.7  # over which a smoothed edge rises
BLUR_RISE_SIGMAS = 2.5  # standard deviations over which a blurred step rises
SHARP_SIGMA_PX = 2.3  # about the blur of a matte, and of a photo in focus
NOISE_LEVELS = 3.0  # standard deviation of grain: colours nearer than that tell nothing


@dataclass(frozen=True)
class ColourModel:
    """Mean colour of one side at N pixels (N x 3), and its covariance (N x 6: the upper triangle; else N x 0)."""

    mean: Float32Array
    covariance: Float32Array


@dataclass(frozen=True)
class MixtureEstimate:
    """What colours say of N pixels as mixtures of subject and background; N each.

    `share` is the subject's share. `separation` of both colours is squared, in deviations.
    """

    share: Float32Array
    separation: Float32Array


def refine_edge_alpha(image: Image, alpha: Alpha, unknown: Mask) -> Alpha:
    """Estimate the `unknown` pixels of `alpha` again from colours (H x W each).

    The pixel is projected on the line between the two local colours along Fisher's linear discriminant; the better the
    colours separate there, the more that counts against the given alpha.
    """
    if not unknown.any():
        return alpha
    mixture = estimate_mixture(image, alpha, unknown)
    trust = mixture.separation / (mixture.separation + TRUST_SEPARATION)
    result = alpha.copy()
    result[unknown] += trust * (mixture.share - result[unknown])
    result[unknown] = cv2.GaussianBlur(result, (3, 3), SMOOTHING_SIGMA_PX)[unknown]
    # Where colours do not separate, as red stripes behind an orange sleeve, the outline's teeth are noise.
    smoothing = np.clip(2 * (1 - trust), 0, 1).astype(np.float32)
    smoothed = smooth_alpha_edge(result, TEETH_RATIO * max(alpha.shape))
    result[unknown] += (_blur_within(smoothing, unknown, 2 * SHARP_SIGMA_PX) * (smoothed - result))[unknown]
    return result


def smooth_alpha_edge(alpha: Alpha, size_px: float) -> Alpha:
    """Smooth steps and teeth of up to `size_px` in the outline of `alpha`, and make its edge steep again."""
    size_px = max(size_px, 1.0)
    steepness = BLUR_RISE_SIGMAS * size_px / EDGE_RISE_PX
    return np.clip((cv2.GaussianBlur(alpha, (0, 0), size_px) - 0.5) * steepness + 0.5, 0, 1).astype(np.float32)


def _blur_within(values: Float32Array, where: Mask, sigma: float) -> Float32Array:
    """Average N `values` at the pixels `where` with their neighbours there; H x W, 0 elsewhere."""
    maps = np.zeros((*where.shape, 2), np.float32)
    maps[where] = np.stack((values, np.ones_like(values)), axis=1)
    total, known = np.moveaxis(cv2.GaussianBlur(maps, (0, 0), sigma), 2, 0)
    return np.where(where, total / np.maximum(known, 1e-3), 0).astype(np.float32)


def estimate_mixture(image: Image, alpha: Alpha, where: Mask) -> MixtureEstimate:
    """Estimate the pixels `where` as mixtures of the subject's and the background's colours beside them."""
    subject, background = estimate_side_colours(image, alpha, where)
    pixels = image[where].astype(np.float32)
    difference = subject.mean - background.mean
    covariance = subject.covariance + background.covariance
    covariance[:, (0, 3, 5)] += NOISE_LEVELS**2
    weights = _solve_symmetric(covariance, difference)
    separation = np.maximum((weights * difference).sum(axis=1), 1e-6)
    share = np.asarray((weights * (pixels - background.mean)).sum(axis=1) / separation, np.float32)
    share = np.clip((share - SHARE_BLACK_POINT) / (SHARE_WHITE_POINT - SHARE_BLACK_POINT), 0, 1)
    return MixtureEstimate(share.astype(np.float32, copy=False), separation)


def measure_colour_distances(image: Image, alpha: Alpha, where: Mask) -> tuple[Float32Array, Float32Array]:
    """Return how far the pixels `where` are from the background, and from every mixture of the colours beside them.

    Both squared, in deviations; H x W, 0 elsewhere.
    """
    subject, background = estimate_side_colours(image, alpha, where)
    pixels = image[where].astype(np.float32) - background.mean
    difference = subject.mean - background.mean
    length = np.maximum((difference**2).sum(axis=1), 1e-6)
    share = np.clip((pixels * difference).sum(axis=1) / length, 0, 1)[:, None]
    mixed = np.asarray((1 - share) ** 2 * background.covariance + share**2 * subject.covariance, np.float32)
    residual = np.asarray(pixels - share * difference, np.float32)
    maps: list[Float32Array] = []
    for covariance, offset in ((background.covariance.copy(), pixels), (mixed, residual)):
        covariance[:, (0, 3, 5)] += NOISE_LEVELS**2
        distance = np.zeros(alpha.shape, np.float32)
        distance[where] = np.maximum((_solve_symmetric(covariance, offset) * offset).sum(axis=1), 0)
        maps.append(distance)
    return maps[0], maps[1]


def estimate_side_colours(
    image: Image, alpha: Alpha, where: Mask, *, unknown: Mask | None = None, colour_only: bool = False
) -> tuple[ColourModel, ColourModel]:
    """Estimate subject and background at the pixels `where` (H x W), spread from the sure pixels around.

    All are sure but the `unknown` ones, which are those `where` unless given.
    """
    size = size_within(alpha.shape, min(WORK_SIDE_PX, max(alpha.shape) / 2))
    sure = np.where(where if unknown is None else unknown, np.float32(0), np.float32(1))
    subject_weight = sure * (alpha >= 0.5)
    weights = [_resize(each, size, cv2.INTER_AREA) for each in (subject_weight, sure - subject_weight)]
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)
    points = _scale_points(where, size)
    groups = [small] if colour_only else [small, *_multiply_channels(small)]
    subject, background = (_estimate_side(groups, each, points) for each in weights)
    return subject, background


def _multiply_channels(small: Float32Array) -> list[Float32Array]:
    """Return the products of each two channels in the order of a covariance's upper triangle, three a group."""
    red, green, blue = cv2.split(small)
    rows = (red * red, red * green, red * blue), (green * green, green * blue, blue * blue)
    return [np.asarray(cv2.merge(row), np.float32) for row in rows]


def _estimate_side(
    groups: list[Float32Array], weight: Float32Array, points: tuple[Float32Array, Float32Array]
) -> ColourModel:
    """Spread one side's colours, and where there are products their covariance, to `points`."""
    weight = np.where(weight > 0.99, np.float32(1), np.float32(0))
    moments = _sample_bilinear(_pull_push(groups, weight), points)
    mean, second = moments[:, :3], moments[:, 3:]
    if not second.shape[1]:
        return ColourModel(mean, second)
    outer = mean[:, (0, 0, 0, 1, 1, 2)] * mean[:, (0, 1, 2, 1, 2, 2)]
    return ColourModel(mean, np.asarray(second - outer, np.float32))


def _pull_push(groups: list[Float32Array], weight: Float32Array) -> list[Float32Array]:
    """Fill `groups` of three channels (H x W x 3) where `weight` is 0 from coarser and coarser levels.

    OpenCV's area resizing takes four channels at most, and NumPy spreads a weight over three slowly.
    """
    weights = np.asarray(cv2.merge((weight, weight, weight)), np.float32)
    if min(weight.shape) <= 2 or weight.all():
        total = max(float(weight.sum()), 1e-6)
        means = [(each * weights).sum(axis=(0, 1)) / total for each in groups]
        return [np.where(weights > 0, each, mean).astype(np.float32) for each, mean in zip(groups, means, strict=True)]
    half = ((weight.shape[1] + 1) // 2, (weight.shape[0] + 1) // 2)
    coarse_weight = _resize(weight, half, cv2.INTER_AREA)
    known = np.maximum(coarse_weight, 1e-6)
    divisors = cv2.merge((known, known, known))
    coarse = [_resize(each * weights, half, cv2.INTER_AREA) / divisors for each in groups]
    pushed: list[Float32Array] = []
    for each, spread in zip(groups, _pull_push(coarse, (coarse_weight > 0).astype(np.float32)), strict=True):
        filled = _resize(spread, (weight.shape[1], weight.shape[0]), cv2.INTER_LINEAR)
        own = each - filled
        own *= weights
        own += filled
        pushed.append(own)
    return pushed


def _resize(values: Float32Array, size: tuple[int, int], interpolation: int) -> Float32Array:
    return np.asarray(cv2.resize(values, size, interpolation=interpolation), np.float32)


def _scale_points(where: Mask, size: tuple[int, int]) -> tuple[Float32Array, Float32Array]:
    """Return x and y of the pixels `where` in pixels of the small copy."""
    y, x = np.nonzero(where)
    height, width = where.shape
    return (
        ((x + 0.5) * (size[0] / width) - 0.5).astype(np.float32),
        ((y + 0.5) * (size[1] / height) - 0.5).astype(np.float32),
    )


def _sample_bilinear(groups: list[Float32Array], points: tuple[Float32Array, Float32Array]) -> Float32Array:
    """Sample all channels of `groups` (H x W x 3) at N points. Points lie in rows: remap takes no side over 32,767."""
    x, y = points
    row_length = 4096
    rows = -(-len(x) // row_length)
    at_x, at_y = (np.pad(axis, (0, rows * row_length - len(axis))).reshape(rows, row_length) for axis in (x, y))
    parts = [cv2.remap(group, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for group in groups]
    columns = [np.asarray(part, np.float32).reshape(rows * row_length, -1)[: len(x)] for part in parts]
    return np.concatenate(columns, axis=1)


def _solve_symmetric(symmetric: Float32Array, rhs: Float32Array) -> Float32Array:
    """Solve A x = b for N symmetric 3 x 3 matrices given by their upper triangles (N x 6), by Cramer's rule."""
    a, b, c, d, e, f = (symmetric[:, i].astype(np.float64) for i in range(6))
    cofactors = np.stack(
        (d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b), axis=1
    )
    determinant = np.maximum(a * cofactors[:, 0] + b * cofactors[:, 1] + c * cofactors[:, 2], 1e-6)
    x, y, z = rhs[:, 0], rhs[:, 1], rhs[:, 2]
    solved = np.stack(
        (
            cofactors[:, 0] * x + cofactors[:, 1] * y + cofactors[:, 2] * z,
            cofactors[:, 1] * x + cofactors[:, 3] * y + cofactors[:, 4] * z,
            cofactors[:, 2] * x + cofactors[:, 4] * y + cofactors[:, 5] * z,
        ),
        axis=1,
    )
    return (solved / determinant[:, None]).astype(np.float32)
