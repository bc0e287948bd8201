"""What a pixel at a subject's edge is made of: how much subject, and which colours lie beside; knows no nets, no faces.

Both questions need the colours of subject and background *there*. They are spread from where the matte is sure by a
pull-push pyramid (Gortler et al., "The Lumigraph", 1996), on a copy small enough to be quick.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Alpha, Image

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

NEAREST = cv2.BORDER_REPLICATE
WORK_SIDE = 640  # of the copy on which colours are spread; never over half the photo: finer gains nothing on the bench
OPAQUE = np.float32(249.5 / 255)  # what a matte of 8 bits says as 250: whoever reads the file finds the same core
TRUST = 3.0  # the squared separation of the two colours, in deviations, at which they weigh as much as the net
STRANGE = 25.0  # squared deviations off the line between the two colours at which they weigh half
NO_SHARE, ALL_SHARE = 0.06, 0.94  # shares of colour nearer to none or all are grain
SMOOTH = 0.4  # pixels: single pixels are told wrong, edges are not
TEETH = 0.0025  # of the longer side
RISE, RISE_OF_BLUR = 1.7, 2.5  # pixels over which an evened edge rises, and a blurred step in its deviations
LENS_SIDE = 1024  # of the copy on which an edge's softness is read
SCALES = (1.0, 2.5)  # pixels: how a blurred step answers to both says how blurred it is
ALONE, NEXT = 0.7, 9  # of the strongest gradient in a square of so many pixels
SHARP = 2.3  # pixels: about as soft as a matte is by itself, and as a photo in focus is
SOFTEST = 8.0
ALONG = 0.015  # of the longer side: softness changes no faster along an outline
NOISE = 3.0  # levels: two colours nearer than the grain of a photo say nothing


@dataclass(frozen=True)
class Sides:
    """Mean colour (3) and its covariance (6: the upper triangle) of one side at some pixels, N x 3 and N x 6."""

    mean: Floats
    spread: Floats


@dataclass(frozen=True)
class Weighing:
    """Of N pixels: the subject's share, how plainly both colours are told apart, how far each lies off their line.

    `separation`, `off` and `away` (from the ground's colour) are squared, in deviations; `uneven` is the deviation of
    the ground's colour, in levels.
    """

    share: Floats
    separation: Floats
    off: Floats
    away: Floats
    uneven: Floats


def refined(image: Image, alpha: Alpha, unsure: Mask, doubt: Alpha | None = None) -> Alpha:
    """`alpha` with the `unsure` pixels weighed anew by colour (H x W each, `image` H x W x 3).

    The pixel is projected on the line between the two local colours along Fisher's discriminant; the better the
    colours are told apart there, the more that counts against the alpha given. Where there is `doubt` (H x W, 0 to 1)
    it counts only as far as the pixel lies on that line: a third colour, such as a cord behind a hat, is no mixture.
    """
    if not unsure.any():
        return alpha
    seen = weighing(image, alpha, unsure)
    trust = seen.separation / (seen.separation + TRUST)
    if doubt is not None:
        trust /= 1 + doubt[unsure] * seen.off / STRANGE
    result = alpha.copy()
    result[unsure] += trust * (seen.share - result[unsure])
    result[unsure] = cv2.GaussianBlur(result, (3, 3), SMOOTH)[unsure]
    # Where colours do not tell, an outline's teeth are chance: red stripes behind an orange sleeve.
    untold = np.clip(2 * (1 - trust), 0, 1).astype(np.float32)
    even = evened(result, TEETH * max(alpha.shape))
    result[unsure] += (_mean_of(untold, unsure, 2 * SHARP) * (even - result))[unsure]
    return result


def evened(alpha: Alpha, wide: float) -> Alpha:
    """`alpha` (H x W) with its outline's steps and teeth of up to `wide` pixels evened out."""
    wide = max(wide, 1.0)
    steep = RISE_OF_BLUR * wide / RISE
    return np.clip((cv2.GaussianBlur(alpha, (0, 0), wide) - 0.5) * steep + 0.5, 0, 1).astype(np.float32)


def _mean_of(values: Floats, where: Mask, wide: float) -> Floats:
    """N `values` at the pixels `where`, each the mean of those around it; H x W, 0 elsewhere."""
    maps = np.zeros((*where.shape, 2), np.float32)
    maps[where] = np.stack((values, np.ones_like(values)), axis=1)
    total, known = np.moveaxis(cv2.GaussianBlur(maps, (0, 0), wide), 2, 0)
    return np.where(where, total / np.maximum(known, 1e-3), 0).astype(np.float32)


def weighing(image: Image, alpha: Alpha, where: Mask) -> Weighing:
    """What the colours say of the pixels `where`, as mixtures of the subject's and the ground's beside them."""
    subject, ground = sides(image, alpha, where)
    pixels = image[where].astype(np.float32)
    across = subject.mean - ground.mean
    both = subject.spread + ground.spread
    both[:, (0, 3, 5)] += NOISE**2
    weights = _solve(both, across)
    separation = np.maximum((weights * across).sum(axis=1), 1e-6)
    share = np.asarray((weights * (pixels - ground.mean)).sum(axis=1) / separation, np.float32)
    off = _off_line(pixels, share, subject, ground)
    share = np.clip((share - NO_SHARE) / (ALL_SHARE - NO_SHARE), 0, 1)
    uneven = np.sqrt(np.maximum(ground.spread[:, (0, 3, 5)].mean(axis=1), 0))
    return Weighing(share, separation, off, _from(pixels, ground), uneven)


def _from(pixels: Floats, side: Sides) -> Floats:
    """Squared distance of N pixels from one side's colour, in its deviations."""
    spread = side.spread.copy()
    spread[:, (0, 3, 5)] += NOISE**2
    apart = pixels - side.mean
    return np.maximum((apart * _solve(spread, apart)).sum(axis=1), 0)


def _off_line(pixels: Floats, share: Floats, subject: Sides, ground: Sides) -> Floats:
    """Squared distance of N pixels, in deviations of what they would be a mixture of, from `share` on the line."""
    part = np.clip(share, 0, 1)[:, None]
    spread = np.asarray(part**2 * subject.spread + (1 - part) ** 2 * ground.spread, np.float32)
    spread[:, (0, 3, 5)] += 2 * NOISE**2
    away = np.asarray(pixels - ground.mean - share[:, None] * (subject.mean - ground.mean), np.float32)
    return np.maximum((away * _solve(spread, away)).sum(axis=1), 0)


def softened(image: Image, alpha: Alpha) -> Alpha:
    """`alpha` (H x W) with an edge as soft as the photo's own wherever the lens did not hold it in focus.

    A hard line round what is out of focus looks cut with scissors, and shows the old ground's colour along it. The
    edge comes to lie a little inside, where that colour is weaker.
    """
    scale = min(1.0, LENS_SIDE / max(alpha.shape))
    size = (max(round(alpha.shape[1] * scale), 1), max(round(alpha.shape[0] * scale), 1))
    small = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.float32)
    more = np.sqrt(np.maximum(_softness(image, small) ** 2 - SHARP**2, 0))
    if more.max() < 0.5:
        return alpha
    blurred = small
    for low, high in ((0.0, 2.0), (2.0, 4.0), (4.0, SOFTEST)):
        share = np.clip((more - low) / (high - low), 0, 1)
        blurred = blurred + share * (cv2.GaussianBlur(small, (0, 0), high, borderType=NEAREST) - blurred)
    inside = np.clip((blurred - 0.25) / 0.7, 0, 1)
    change = np.clip(more, 0, 1) * (inside - small)
    change = cv2.resize(change, (alpha.shape[1], alpha.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.clip(alpha + change, 0, 1).astype(np.float32)


def _softness(image: Image, alpha: Alpha) -> Floats:
    """How many pixels the photo's edge along the outline of `alpha` is blurred by, H x W, smooth; 0 where unknown.

    The ratio of the gradient at two scales (Zhuo and Sim, "Defocus map estimation from a single image", 2011).
    """
    small = cv2.resize(image, (alpha.shape[1], alpha.shape[0]), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(np.asarray(small, np.uint8), cv2.COLOR_RGB2LAB)[..., 0].astype(np.float32)
    fine, coarse = (_gradient(np.asarray(cv2.GaussianBlur(grey, (0, 0), scale), np.float32)) for scale in SCALES)
    ratio = np.clip(coarse / np.maximum(fine, 1e-3), 0, 0.985) ** 2
    sigma = np.sqrt(np.maximum(ratio * SCALES[1] ** 2 - SCALES[0] ** 2, 0) / (1 - ratio))
    rim = cv2.morphologyEx((alpha > 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0
    # Where a stronger edge lies close by, a ring's other side, both scales see two edges as one that is blurred.
    alone = fine > ALONE * cv2.dilate(fine, np.ones((NEXT, NEXT), np.uint8))
    weight = np.where(rim & alone & (fine > 1), fine**2, 0).astype(np.float32)
    wide = max(ALONG * max(alpha.shape), 2)
    total, known = (cv2.GaussianBlur(part, (0, 0), wide) for part in (weight * sigma.astype(np.float32), weight))
    return np.asarray(np.where(known > 1e-4, total / np.maximum(known, 1e-4), 0), np.float32)


def _gradient(grey: Floats) -> Floats:
    across, down = (cv2.Sobel(grey, cv2.CV_32F, x, 1 - x, scale=0.125) for x in (1, 0))
    return np.asarray(np.hypot(across, down), np.float32)


def sides(image: Image, alpha: Alpha, where: Mask, colour_only: bool = False) -> tuple[Sides, Sides]:
    """Subject and ground at the pixels `where` (H x W), spread from the sure pixels outside it."""
    scale = min(0.5, WORK_SIDE / max(alpha.shape))
    size = (max(round(alpha.shape[1] * scale), 1), max(round(alpha.shape[0] * scale), 1))
    sure = np.where(where, np.float32(0), np.float32(1))
    solid = sure * (alpha >= 0.5)
    weights = _resize(np.dstack((solid, sure - solid)), size, cv2.INTER_AREA)
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)
    points = _points(where, size)
    subject, ground = (_side(small, weights[..., side], points, colour_only) for side in (0, 1))
    return subject, ground


def _side(small: Floats, weight: Floats, points: tuple[Floats, Floats], colour_only: bool) -> Sides:
    weight = np.where(weight > 0.99, np.float32(1), np.float32(0))
    if colour_only:
        mean = _sample(_spread(small, weight), points)
        return Sides(mean, np.zeros((len(mean), 0), np.float32))
    products = small[..., (0, 0, 0, 1, 1, 2)] * small[..., (0, 1, 2, 1, 2, 2)]
    found = _sample(_spread(np.concatenate((small, products), axis=2), weight), points)
    mean, second = found[:, :3], found[:, 3:]
    outer = mean[:, (0, 0, 0, 1, 1, 2)] * mean[:, (0, 1, 2, 1, 2, 2)]
    return Sides(mean, np.asarray(second - outer, np.float32))


def _spread(values: Floats, weight: Floats) -> Floats:
    """`values` (H x W x C) where `weight` is 1, elsewhere what lies around: coarse levels fill what fine ones lack."""
    if min(weight.shape) <= 2 or weight.all():
        total = max(float(weight.sum()), 1e-6)
        mean = (values * weight[..., None]).sum(axis=(0, 1)) / total
        return np.where(weight[..., None] > 0, values, mean).astype(np.float32)
    half = ((weight.shape[1] + 1) // 2, (weight.shape[0] + 1) // 2)
    coarse_weight = _resize(weight[..., None], half, cv2.INTER_AREA)[..., 0]
    coarse = _resize(values * weight[..., None], half, cv2.INTER_AREA)
    coarse /= np.maximum(coarse_weight, 1e-6)[..., None]
    coarse = _spread(coarse, (coarse_weight > 0).astype(np.float32))
    filled = _resize(coarse, (weight.shape[1], weight.shape[0]), cv2.INTER_LINEAR)
    return np.asarray(filled + weight[..., None] * (values - filled), np.float32)


def _resize(values: Floats, size: tuple[int, int], how: int) -> Floats:
    """`values` (H x W x C) at another size, three channels at a time: resizing by areas takes four at most."""
    parts = [cv2.resize(values[..., at : at + 3], size, interpolation=how) for at in range(0, values.shape[2], 3)]
    return np.dstack([np.asarray(part, np.float32) for part in parts])


def _points(where: Mask, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """x and y, in pixels of the small copy, of the pixels `where`."""
    y, x = np.nonzero(where)
    height, width = where.shape
    return (
        ((x + 0.5) * (size[0] / width) - 0.5).astype(np.float32),
        ((y + 0.5) * (size[1] / height) - 0.5).astype(np.float32),
    )


def _sample(values: Floats, points: tuple[Floats, Floats]) -> Floats:
    """N x C: `values` between its pixels at N points. Laid out as rows, since remap takes no side over 32,767."""
    x, y = points
    wide = 4096
    rows = -(-len(x) // wide)
    at_x, at_y = (np.pad(axis, (0, rows * wide - len(axis))).reshape(rows, wide) for axis in (x, y))
    parts = [
        cv2.remap(np.ascontiguousarray(values[..., at : at + 3]), at_x, at_y, cv2.INTER_LINEAR, borderMode=NEAREST)
        for at in range(0, values.shape[2], 3)
    ]
    return np.concatenate([np.asarray(part, np.float32).reshape(rows * wide, -1)[: len(x)] for part in parts], axis=1)


def _solve(symmetric: Floats, right: Floats) -> Floats:
    """x of A x = b for N symmetric 3 x 3 matrices given by their upper triangles: Cramer's rule."""
    a, b, c, d, e, f = (symmetric[:, i].astype(np.float64) for i in range(6))
    co = np.stack((d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b), axis=1)
    determinant = np.maximum(a * co[:, 0] + b * co[:, 1] + c * co[:, 2], 1e-6)
    x, y, z = right[:, 0], right[:, 1], right[:, 2]
    solved = np.stack(
        (
            co[:, 0] * x + co[:, 1] * y + co[:, 2] * z,
            co[:, 1] * x + co[:, 3] * y + co[:, 4] * z,
            co[:, 2] * x + co[:, 4] * y + co[:, 5] * z,
        ),
        axis=1,
    )
    return (solved / determinant[:, None]).astype(np.float32)
