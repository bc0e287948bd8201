"""Fill a hole in an image from its surroundings: broad tones by diffusion, texture by PatchMatch.

Tones come from OpenCV's inpainting (Telea, 2004) on a small copy, fitted to the hole's rim as in Poisson blending.
Texture is found by randomised search (Barnes et al., "PatchMatch", 2009) among places of the same tone.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Float32Array, Image, IndexArray, Mask
from pipelines.imaging.resize import dilate_mask, resize_map

PATCH_RADIUS_PX = 3  # patches are 7 x 7
TONE_DEPTH_PX = 14  # from the hole's middle to its rim on the copy on which tones are diffused
TEXTURE_SIGMA_PX = 3.0  # blur sigma that separates texture (finer) from tone (coarser)
_COMPARED_DISTANCE_PX = 4  # from a pixel to the four around it whose tones are compared too
_DISTANCE_COST = 40.0  # squared 8-bit levels: cost of a source as far away as the hole is deep
_PATCH_OFFSETS: IndexArray = np.argwhere(np.ones((2 * PATCH_RADIUS_PX + 1,) * 2)) - PATCH_RADIUS_PX
_PATCH_WEIGHTS = np.exp(-(_PATCH_OFFSETS**2).sum(axis=1) / np.float32(2 * 2.2**2)).astype(np.float32)


def inpaint(image: Image, mask: Alpha, seed: int) -> Image:
    """Fill `image` where `mask` > 0.5; other bytes stay but for a soft rim. Raises `ValueError` if nothing is left."""
    hole = mask > 0.5
    if not hole.any():
        return image.copy()
    if hole.mean() > 0.95:
        raise ValueError("nothing is left to fill the hole from")
    window = find_source_window(hole)
    part = image[window].astype(np.float32)
    tones = _inpaint_tones(part, hole[window])
    filled = add_texture(part, tones, hole[window], TEXTURE_SIGMA_PX, np.random.default_rng(seed))
    soft = np.where(hole[window], 1.0, np.clip(mask[window] * 2, 0, 1)).astype(np.float32)[..., None]
    out = image.copy()
    out[window] = np.clip(part + soft * (filled - part) + 0.5, 0, 255).astype(np.uint8)
    return out


def find_source_window(hole: Mask) -> tuple[slice, slice]:
    """Return the hole's box with as much again on each side to take from."""
    rows, columns = np.nonzero(hole.any(axis=1))[0], np.nonzero(hole.any(axis=0))[0]
    reach = max(48, int(max(rows[-1] - rows[0], columns[-1] - columns[0])))
    return (
        slice(max(0, rows[0] - reach), min(hole.shape[0], rows[-1] + reach + 1)),
        slice(max(0, columns[0] - reach), min(hole.shape[1], columns[-1] + reach + 1)),
    )


def add_texture(
    image: Float32Array, tones: Float32Array, hole: Mask, sigma_px: float, rng: np.random.Generator
) -> Float32Array:
    """Fill the hole with `tones` and with what is finer than `sigma_px` beside it, from places of the same tone.

    All are H x W x 3, 0 to 255; `tones` may be anything outside the hole.
    """
    whole = np.where(hole[..., None], tones, image).astype(np.float32)
    guide = np.asarray(cv2.GaussianBlur(whole, (0, 0), sigma_px), np.float32)
    search = _ToneSearch(guide, hole, rng)
    for lengths in ((4, 1), (1,)):
        search.propagate(lengths)
        search.search_randomly(rng)
    texture = whole - guide
    # An edge is not texture: clip what is stronger than nearly all texture around the hole.
    limit = float(np.percentile(np.abs(texture)[search.sources], 93)) if search.sources.any() else 0.0
    grain = _vote_texture(search, np.clip(texture, -limit, limit))
    return np.where(hole[..., None], guide + grain, image).astype(np.float32)


def _inpaint_tones(image: Float32Array, hole: Mask) -> Float32Array:
    """Diffuse tones from the rim inwards; along the rim they fit the image."""
    height, width = hole.shape
    depth = cv2.distanceTransform(np.pad(hole, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 3).max()
    factor = max(1.0, float(depth) / TONE_DEPTH_PX)
    size = (max(8, round(width / factor)), max(8, round(height / factor)))
    known = (~hole).astype(np.float32)
    share = np.asarray(cv2.resize(known, size, interpolation=cv2.INTER_AREA), np.float32)
    small = cv2.resize(image * known[..., None], size, interpolation=cv2.INTER_AREA)
    small = np.clip(small / np.maximum(share, 1e-3)[..., None], 0, 255).astype(np.uint8)
    gap = (share < 0.5).astype(np.uint8)
    diffused = cv2.GaussianBlur(cv2.inpaint(small, gap, 5, cv2.INPAINT_TELEA).astype(np.float32), (0, 0), 1.0)
    large = np.asarray(cv2.resize(diffused, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    return fit_to_rim(image, large, hole)


def fit_to_rim(image: Float32Array, filled: Float32Array, hole: Mask) -> Float32Array:
    """Shift the tones of `filled` smoothly so that along the hole's rim they are those of `image`; H x W x 3."""
    known = (~hole).astype(np.float32)
    rim = ~hole & dilate_mask(hole, 4)
    # Blur only known pixels, so that the hole's old content does not tint the rim.
    blurred = cv2.GaussianBlur(image * known[..., None], (0, 0), 1.5)
    blurred = blurred / np.maximum(cv2.GaussianBlur(known, (0, 0), 1.5), 1e-3)[..., None]
    error = (blurred - filled) * rim[..., None]
    return filled + _fill_by_pyramid(np.asarray(error, np.float32), rim.astype(np.float32))


def _fill_by_pyramid(sums: Float32Array, weight: Float32Array) -> Float32Array:
    """Divide `sums` by `weight`; fill places without weight from coarser and coarser levels."""
    height, width = weight.shape
    if min(height, width) < 4:
        return np.broadcast_to(sums.sum((0, 1)) / max(float(weight.sum()), 1e-6), sums.shape).astype(np.float32)
    size = ((width + 1) // 2, (height + 1) // 2)
    coarse = _fill_by_pyramid(resize_map(sums, size), resize_map(weight, size))
    large = resize_map(coarse, (width, height))
    known = np.minimum(weight, 1)[..., None]
    return np.asarray(sums / np.maximum(weight, 1e-6)[..., None] * known + (1 - known) * large, np.float32)


class PatchMatch:
    """For each pixel in and around a hole the place that it takes from, `match`, and how badly that fits, `cost`.

    It starts from random ones of `sources` (H x W) for all `targets` (H x W). `points` and `match` are row and column,
    N x 2; `index` (H x W) has the number of each point, -1 elsewhere. A subclass says what a match costs.
    """

    cost: Float32Array

    def __init__(self, targets: Mask, sources: Mask, rng: np.random.Generator) -> None:
        self.sources = sources
        self.points, self.places = np.argwhere(targets), np.argwhere(sources)
        self.index = np.full(targets.shape, -1)
        self.index[self.points[:, 0], self.points[:, 1]] = np.arange(len(self.points))
        self.match = self.places[rng.integers(0, len(self.places), len(self.points))]

    def compute_costs(self, which: IndexArray, match: IndexArray) -> Float32Array:
        """Return the cost of a match for each of the points with the numbers `which`."""
        raise NotImplementedError

    def propagate(self, lengths: Sequence[int]) -> None:
        """Try the sources of the neighbours at these distances: texture comes in pieces."""
        height, width = self.sources.shape
        for length in lengths:
            for step in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                offset = np.array(step) * length
                rows = np.clip(self.points[:, 0] + offset[0], 0, height - 1)
                index = self.index[rows, np.clip(self.points[:, 1] + offset[1], 0, width - 1)]
                found = self.match[np.maximum(index, 0)] - offset
                self._accept_improvements(np.where((index >= 0)[:, None], found, -1))

    def search_randomly(self, rng: np.random.Generator) -> None:
        """Try random places at smaller and smaller distances."""
        reach = max(self.sources.shape) / 2.0
        while reach > 1:
            self._accept_improvements((self.match + rng.uniform(-reach, reach, self.match.shape)).astype(np.intp))
            reach /= 2

    def _accept_improvements(self, candidates: IndexArray) -> None:
        """Take over the `candidates` that cost less than the present matches."""
        (rows, columns), (height, width) = candidates.T, self.sources.shape
        which = np.nonzero((rows >= 0) & (columns >= 0) & (rows < height) & (columns < width))[0]
        which = which[self.sources[rows[which], columns[which]]]
        taken = candidates[which]
        cost = self.compute_costs(which, taken)
        better = cost < self.cost[which]
        self.match[which[better]], self.cost[which[better]] = taken[better], cost[better]


class _ToneSearch(PatchMatch):
    """Compares places by the tones of `guide`, H x W x 3: texture is taken from outside the hole and what is near."""

    def __init__(self, guide: Float32Array, hole: Mask, rng: np.random.Generator) -> None:
        targets = dilate_mask(hole, PATCH_RADIUS_PX)
        sources = ~dilate_mask(targets, 2)
        super().__init__(targets, sources if sources.any() else ~hole, rng)
        # Repeated at its rim and flat: a place and its neighbours are found by one number, without bounds to check.
        reach = _COMPARED_DISTANCE_PX
        padded = np.pad(guide, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
        self._columns, self._tones = padded.shape[1], padded.reshape(-1, 3)
        depth = cv2.distanceTransform(np.pad(hole, 1).astype(np.uint8), cv2.DIST_L2, 3).max()
        self._depth = max(float(depth), 4.0)
        self.cost = self.compute_costs(np.arange(len(self.points)), self.match)

    def compute_costs(self, which: IndexArray, match: IndexArray) -> Float32Array:
        """Return the squared difference of tones at a pixel and four points around it; distance counts too."""
        target, total = self.points[which], np.zeros(len(which), np.float32)
        own, other = self._number_places(target), self._number_places(match)
        for dy, dx in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)):
            offset = _COMPARED_DISTANCE_PX * (dy * self._columns + dx)
            difference = self._tones.take(own + offset, axis=0) - self._tones.take(other + offset, axis=0)
            difference *= difference
            total += (difference[:, 0] + difference[:, 1] + difference[:, 2]) / np.float32(3)
        distance = ((target - match).astype(np.float32) ** 2).sum(axis=1)
        return np.asarray(total / 5 + _DISTANCE_COST * distance / self._depth**2, np.float32)

    def _number_places(self, places: IndexArray) -> IndexArray:
        """Return the rows of `_tones` for places, N x 2."""
        rows, columns = places.T + _COMPARED_DISTANCE_PX
        return rows * self._columns + columns


def _vote_texture(search: PatchMatch, texture_source: Float32Array) -> Float32Array:
    """Average the texture of all patches over each pixel, and restore the strength that averaging loses."""
    height, width = search.sources.shape
    reach = PATCH_RADIUS_PX
    # With a rim as wide as a patch's: what is voted for there is cut off, what is taken from there is repeated.
    padded = np.pad(texture_source, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    shape, size = padded.shape[:2], padded.shape[0] * padded.shape[1]
    texture_rows, squared = padded.reshape(-1, 3), (padded * padded).mean(axis=2).ravel()
    sums, squares, total = np.zeros((3, size)), np.zeros(size), np.zeros(size)
    typical = max(float(np.percentile(search.cost, 50)), 4.0)
    weight = np.exp(-search.cost / (2 * typical)) + 1e-4
    target, source = (
        (places[:, 0] + reach) * shape[1] + places[:, 1] + reach for places in (search.points, search.match)
    )
    for (dy, dx), share in zip(_PATCH_OFFSETS.tolist(), _PATCH_WEIGHTS, strict=True):
        offset = dy * shape[1] + dx
        flat, taken, votes = target + offset, source + offset, weight * share
        texture = texture_rows.take(taken, axis=0)
        total += np.bincount(flat, votes, size)
        squares += np.bincount(flat, votes * squared.take(taken), size)
        for c in range(3):
            sums[c] += np.bincount(flat, votes * texture[:, c], size)
    inner = np.s_[..., reach : reach + height, reach : reach + width]
    total = np.maximum(total, 1e-9)
    mean = np.ascontiguousarray(np.moveaxis((sums / total).reshape(3, *shape)[inner], 0, 2), np.float32)
    wanted = np.asarray(cv2.GaussianBlur((squares / total).reshape(shape)[inner].astype(np.float32), (0, 0), 4))
    actual = np.asarray(cv2.GaussianBlur((mean * mean).mean(axis=2), (0, 0), 4))
    return np.asarray(mean * np.clip(np.sqrt(wanted / np.maximum(actual, 1e-3)), 1, 2.5)[..., None], np.float32)
