"""Continue edges and repeated texture into a hole: patches from beside it, from coarse to fine.

Completion by patches (Wexler et al., 2007) as Newson et al. (2014) start it: on the coarsest copy the hole is filled
ring by ring from outside, so that edges run on; then each finer copy searches patches (PatchMatch; Barnes et al., 2009)
and lets them vote. Beside colours a patch is compared by how strongly it is textured, or flat places would win. Nothing
is drawn that is not in the picture: a thing may appear twice. Small steps of tone between patches are spread out.
"""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Float32Array, Image, IndexArray, Mask
from pipelines.imaging.inpaint import PatchMatch, find_source_window, inpaint
from pipelines.imaging.resize import dilate_mask
from pipelines.imaging.seam_blending import MAX_STEP_LEVELS, measure_seam_corrections

Points = IndexArray
"""Places as row and column, N x 2."""

RADIUS_PX = 3  # of a patch: 7 x 7
MAX_SEARCHED_PIXELS = 16_000  # pixels of the hole on the finest copy that is searched: more take seconds
MIN_DEPTH_PX = 8.0  # from the middle of the hole to its rim on the coarsest copy: two patches
SCALE_STEP = 1.6  # between two copies
MIN_SIDE_PX = 40
MIN_PATCH_COUNT = 100  # whole patches on a copy
MIN_SOURCES_SHARE = 0.3  # of the whole patches on a copy: with fewer left, none is avoided
MAX_RING_PATCH_COUNT = 4000  # patches that are compared in filling ring by ring
_KEPT_FACTOR = 4.0  # times finer than the finest copy that is searched: what texture is measured on
_BLOCK_PIXELS = 500_000  # of the hole, copied at once: they bound the memory
_COARSE_VOTE_COUNTS = (3, 3)  # rounds of search and vote on the two coarsest copies
_FINE_VOTE_COUNT = 2
_TEXTURE_WEIGHT = 3.0  # of how strongly a patch is textured, against its brightness
_DISTANCE_COST = 1.0  # squared 8-bit levels: cost of a source as far away as the hole is deep
_TRUST_DECAY = 1.3  # for each pixel away from the rim a patch counts less by this

_GRID: Points = np.argwhere(np.ones((7, 7))) - RADIUS_PX
_GRID_WEIGHTS = np.exp(-(_GRID**2).sum(axis=1) / 8).astype(np.float32)
_LUMA_GRID: Points = np.array([(y, x) for y in (-3, -1, 1, 3) for x in (-3, -1, 1, 3)] + [(0, 0)])
_CHROMA_GRID: Points = np.array([(y, x) for y in (-2, 0, 2) for x in (-2, 0, 2)])
_TEXTURE_GRID: Points = np.array([(y, x) for y in (-3, 0, 3) for x in (-3, 0, 3)])
_CHANNELS = 5  # luma, two of chroma, strength of texture across and down


def continue_surroundings(image: Image, mask: Alpha, seed: int, avoided: Mask | None = None) -> Image:
    """Fill `image` where `mask` > 0.5 with patches from beside it, or with tones where too few are whole.

    Nothing is copied from where `avoided` (H x W) is, if enough is left. Other bytes stay. Raises `ValueError` if
    nothing is left.
    """
    hole = mask > 0.5
    if not hole.any():
        return image.copy()
    window = find_source_window(hole)
    part, gap = image[window], hole[window]
    small, small_gap = _shrink_large(part, gap)
    others = np.zeros_like(gap) if avoided is None else avoided[window]
    search = _search_copies(small, small_gap, _shrink_mask(others, small_gap.shape), np.random.default_rng(seed))
    if search is None:
        return inpaint(image, mask, seed)
    out = image.copy()
    out[window] = _copy_at_full_size(part, gap, search)
    return out


def _shrink_large(image: Image, hole: Mask) -> tuple[Image, Mask]:
    """Shrink a window whose copies are all much smaller; each pixel into which some of the hole went is the hole's."""
    factor = np.sqrt(hole.sum() / MAX_SEARCHED_PIXELS) / _KEPT_FACTOR
    if factor <= 1:
        return image, hole
    size = (round(hole.shape[1] / factor), round(hole.shape[0] / factor))
    gap = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), gap


def _describe_pixels(image: Image, hole: Mask) -> Float32Array:
    """Return luma, chroma and strength of texture of each pixel, float32, H x W x 5, 0 to 255."""
    ycc = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb).astype(np.float32)
    luma = cv2.GaussianBlur(ycc[..., 0], (0, 0), 0.7)
    known = (~dilate_mask(hole, 2)).astype(np.float32)  # nearer to the hole a gradient sees what was there
    weight = np.maximum(cv2.GaussianBlur(known, (0, 0), 2), 1e-3)
    layers = [ycc]
    for across, down in ((1, 0), (0, 1)):
        strength = np.minimum(np.abs(cv2.Sobel(luma, cv2.CV_32F, across, down)), 255)
        beside = cv2.GaussianBlur(strength * known, (0, 0), 2) / weight
        layers.append(np.where(known > 0, strength, beside)[..., None])
    return np.concatenate(layers, axis=2).astype(np.float32)


def _search_copies(image: Image, hole: Mask, avoided: Mask, rng: np.random.Generator) -> _PatchSearch | None:
    """Search from the coarsest copy to the finest; return the finest's, None where it has too few whole patches."""
    pixels = _describe_pixels(image, hole)
    depth = float(cv2.distanceTransform(np.pad(hole, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 3).max())
    factor = max(1.0, float(np.sqrt(hole.sum() / MAX_SEARCHED_PIXELS)))
    copies: list[tuple[Float32Array, Mask, Mask]] = []
    while True:
        small, gap = _shrink_with_hole(pixels, hole, factor)
        sources = _find_whole_patches(gap)
        if sources.sum() < MIN_PATCH_COUNT:
            break
        wanted = sources & ~_shrink_mask(avoided, gap.shape)
        copies.append((small, gap, wanted if wanted.sum() >= MIN_SOURCES_SHARE * sources.sum() else sources))
        if depth / factor <= MIN_DEPTH_PX or min(hole.shape) / factor <= MIN_SIDE_PX:
            break
        factor *= SCALE_STEP
    search: _PatchSearch | None = None
    for level, (small, gap, sources) in enumerate(reversed(copies)):
        if search is None:
            search = _PatchSearch(small, gap, sources, rng, _fill_by_rings(small, gap, sources))
        else:
            finer = _PatchSearch(small, gap, sources, rng, search.scale_matches(gap.shape))
            finer.image[gap] = _resize(search.image, gap.shape)[gap]
            search = finer
        search.vote()
        for _ in range(_COARSE_VOTE_COUNTS[level] if level < len(_COARSE_VOTE_COUNTS) else _FINE_VOTE_COUNT):
            search.improve()
            search.vote()
    return search


def _shrink_with_hole(pixels: Float32Array, hole: Mask, factor: float) -> tuple[Float32Array, Mask]:
    """Shrink pixels by what is known of each; a pixel of which a quarter is unknown belongs to the hole."""
    shape = tuple(max(8, round(side / factor)) for side in hole.shape)
    known = (~hole).astype(np.float32)
    share = np.asarray(cv2.resize(known, shape[::-1], interpolation=cv2.INTER_AREA), np.float32)
    small = _resize(pixels * known[..., None], shape) / np.maximum(share, 1e-3)[..., None]
    return np.clip(small, 0, 255).astype(np.float32), share < 0.75


def _shrink_mask(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """Shrink a mask to (rows, columns); a pixel into which some of it went is the mask's."""
    return np.asarray(cv2.resize(mask.astype(np.float32), shape[1::-1], interpolation=cv2.INTER_AREA) > 0)


def _resize(pixels: Float32Array, shape: tuple[int, ...]) -> Float32Array:
    """Resize to (rows, columns); OpenCV averages areas of four channels at most."""
    interpolation = cv2.INTER_AREA if shape[0] < pixels.shape[0] else cv2.INTER_CUBIC
    parts = [cv2.resize(each, shape[1::-1], interpolation=interpolation) for each in np.split(pixels, (3,), axis=2)]
    return np.concatenate([each.reshape(*shape, -1) for each in parts], axis=2).astype(np.float32)


def _fill_by_rings(pixels: Float32Array, hole: Mask, offered_at: Mask) -> Points:
    """Fill the coarsest copy from outside, each ring by patches that fit what is known; return the sources."""
    channels = np.array([1, 1, 1, 0.63 * _TEXTURE_WEIGHT, 0.63 * _TEXTURE_WEIGHT], np.float32)
    sources = np.argwhere(offered_at)
    sources = sources[:: 1 + len(sources) // MAX_RING_PATCH_COUNT]
    whole, known = pixels * channels, ~hole
    offered = _take_patches(whole, sources)
    squares = (offered * offered).sum(axis=2)
    offered = offered.reshape(len(sources), -1)
    matches: Points = np.moveaxis(np.indices(hole.shape), 0, -1).copy()
    while not known.all():
        ring = np.argwhere(~known & dilate_mask(known, 1))
        seen = _take_patches(known[..., None].astype(np.float32), ring)[..., 0] * _GRID_WEIGHTS
        asked = _take_patches(whole, ring)
        cross = (asked * seen[..., None]).reshape(len(ring), -1) @ offered.T
        cost = seen @ squares.T - 2 * cross + ((asked * asked).sum(axis=2) * seen).sum(axis=1)[:, None]
        distance = ((ring[:, None] - sources[None]) ** 2).sum(axis=2) * (3 / hole.sum())
        best = sources[(cost / np.maximum(seen.sum(axis=1), 1e-3)[:, None] + _DISTANCE_COST * distance).argmin(axis=1)]
        matches[ring[:, 0], ring[:, 1]] = best
        whole[ring[:, 0], ring[:, 1]] = whole[best[:, 0], best[:, 1]]
        known = known.copy()
        known[ring[:, 0], ring[:, 1]] = True
    pixels[hole] = (whole / channels)[hole]
    return matches


def _take_patches(pixels: Float32Array, points: Points) -> Float32Array:
    """Return the patch around each point, N x 49 x channels."""
    border = ((RADIUS_PX, RADIUS_PX), (RADIUS_PX, RADIUS_PX), (0, 0))
    padded = np.pad(pixels, border, mode="reflect" if pixels.shape[2] > 1 else "constant")
    places = points[:, None] + _GRID[None] + RADIUS_PX
    return padded[places[..., 0], places[..., 1]]


def _find_whole_patches(hole: Mask) -> Mask:
    """Return the middles of patches that have nothing of the hole; not those at the border of the picture."""
    sources = np.zeros_like(hole)
    sources[2:-2, 2:-2] = ~dilate_mask(hole, RADIUS_PX)[2:-2, 2:-2]
    return sources


class _PatchSearch(PatchMatch):
    """On one copy (H x W x 5), for each pixel in and around the hole: the source of its patch, at first `start`'s."""

    def __init__(self, image: Float32Array, hole: Mask, sources: Mask, rng: np.random.Generator, start: Points) -> None:
        super().__init__(dilate_mask(hole, RADIUS_PX), sources, rng)
        self.image, self.hole, self.rng = image, hole, rng
        self._source_index = np.full(hole.shape, -1)
        self._source_index[self.places[:, 0], self.places[:, 1]] = np.arange(len(self.places))
        self._offered = _describe_patches(image, self.places)
        distance = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3)
        depth = np.minimum(distance[self.points[:, 0], self.points[:, 1]], 20)
        self._trust = np.power(np.float32(_TRUST_DECAY), -depth)
        self._depth = max(float(distance.max()), 2.0)
        wanted = np.clip(start[self.points[:, 0], self.points[:, 1]], 0, np.array(hole.shape) - 1)
        usable = sources[wanted[:, 0], wanted[:, 1]]
        self.match[usable] = wanted[usable]

    def scale_matches(self, shape: tuple[int, ...]) -> Points:
        """Return for each pixel of a copy of that shape the source that its place has here; rows x columns x 2."""
        scale = np.array(shape) / self.hole.shape
        places = np.moveaxis(np.indices(shape), 0, -1)
        here = np.minimum(((places + 0.5) / scale).astype(np.intp), np.array(self.hole.shape) - 1)
        index = np.maximum(self.index[here[..., 0], here[..., 1]], 0)
        return np.rint(places + (self.match[index] - self.points[index]) * scale).astype(np.intp)

    def improve(self) -> None:
        """Try the sources of the neighbours, then random ones at smaller and smaller distances."""
        self._measure()
        self.propagate((1, 2, 1))
        self.search_randomly(self.rng)

    def vote(self) -> None:
        """Give each pixel of the hole the mean of what the patches over it have there; those that fit count most."""
        self._measure()
        weight = np.exp(-self.cost / (2 * max(float(np.percentile(self.cost, 10)), 1.0))) * self._trust + 1e-6
        places = np.argwhere(self.hole)
        sums, total = np.zeros((len(places), _CHANNELS), np.float32), np.zeros(len(places), np.float32)
        # With a rim as wide as a patch's, and flat: every place of a patch is found by one number.
        border = ((RADIUS_PX, RADIUS_PX), (RADIUS_PX, RADIUS_PX))
        padded_index = np.pad(self.index, border, mode="edge")
        usable = np.pad(~self.hole, border).ravel()
        pixels = np.pad(self.image, (*border, (0, 0)), mode="edge").reshape(-1, _CHANNELS)
        columns = padded_index.shape[1]
        here, source = ((each[:, 0] + RADIUS_PX) * columns + each[:, 1] + RADIUS_PX for each in (places, self.match))
        for (dy, dx), share in zip(_GRID.tolist(), _GRID_WEIGHTS, strict=True):
            offset = dy * columns + dx
            index = padded_index.ravel().take(here - offset)
            found = np.maximum(index, 0)
            taken = source.take(found) + offset
            votes = weight.take(found) * share * ((index >= 0) & usable.take(taken))
            sums += pixels.take(taken, axis=0) * votes[:, None]
            total += votes
        voted = places[total > 0]
        self.image[voted[:, 0], voted[:, 1]] = sums[total > 0] / total[total > 0, None]

    def _measure(self) -> None:
        self._asked = _describe_patches(self.image, self.points)
        self.cost = self.compute_costs(np.arange(len(self.points)), self.match)

    def compute_costs(self, which: Points, match: Points) -> Float32Array:
        """Return the mean squared difference of what patches are compared by; distance counts too."""
        difference = self._asked[which] - self._offered[self._source_index[match[:, 0], match[:, 1]]]
        cost = np.einsum("ij,ij->i", difference, difference) / difference.shape[1]
        distance = ((self.points[which] - match) ** 2).sum(axis=1)
        return np.asarray(cost + _DISTANCE_COST * distance / self._depth**2, np.float32)


def _describe_patches(pixels: Float32Array, points: Points) -> Float32Array:
    """Return what patches around `points` are compared by, N x 53: some of their pixels, in every channel."""
    blurred = cv2.GaussianBlur(pixels[..., :3], (0, 0), 0.6)
    border = ((RADIUS_PX, RADIUS_PX), (RADIUS_PX, RADIUS_PX), (0, 0))
    padded = np.pad(np.concatenate([blurred, pixels[..., 3:] * _TEXTURE_WEIGHT], axis=2), border, mode="reflect")
    flat, columns = padded.reshape(-1, _CHANNELS), padded.shape[1]
    base = (points[:, 0] + RADIUS_PX) * columns + points[:, 1] + RADIUS_PX
    parts = []
    grids = (_LUMA_GRID, _CHROMA_GRID, _CHROMA_GRID, _TEXTURE_GRID, _TEXTURE_GRID)
    for channel, grid in enumerate(grids):
        parts.append(flat[:, channel][base[:, None] + (grid[:, 0] * columns + grid[:, 1])[None]])
    return np.concatenate(parts, axis=1)


def _copy_at_full_size(image: Image, hole: Mask, search: _PatchSearch) -> Image:
    """Copy the pixels of `image` from where the finest copy found them; patches that meet are blended."""
    out = image.copy()
    coarse = np.clip(search.image[..., :3], 0, 255).astype(np.uint8)
    coarse = cv2.resize(cv2.cvtColor(coarse, cv2.COLOR_YCrCb2RGB), hole.shape[::-1])
    out[hole] = coarse[hole]  # what stays where every source lies outside the picture
    corrections = _measure_corrections(search)
    places = np.argwhere(hole)
    for block in np.array_split(places, 1 + len(places) // _BLOCK_PIXELS):
        colours, found = _blend_sources(image, hole, search, corrections, block)
        filled = block[found]
        out[filled[:, 0], filled[:, 1]] = colours[found]
    return out


def _measure_corrections(search: _PatchSearch) -> Float32Array:
    """Return what is added to the colour that each place of the copy takes, in levels of RGB, H x W x 3."""
    pixels = cv2.cvtColor(search.image[..., :3] / 255, cv2.COLOR_YCrCb2RGB) * np.float32(255)
    sources = np.zeros((*search.hole.shape, 2), np.intp)
    own, other = search.points.T, search.match.T
    sources[own[0], own[1]] = search.match
    corrections = measure_seam_corrections(pixels, search.hole, sources)
    # Around the hole the photo itself says what is right.
    step = (pixels[own[0], own[1]] - pixels[other[0], other[1]]) * ~search.hole[own[0], own[1], None]
    corrections[own[0], own[1]] += step * (np.abs(step).max(axis=1, keepdims=True) <= MAX_STEP_LEVELS)
    return corrections


def _blend_sources(
    image: Image, hole: Mask, search: _PatchSearch, corrections: Float32Array, places: Points
) -> tuple[Image, Mask]:
    """Return the colour of each place, N x 3, and whether it has one."""
    scale = np.array(hole.shape) / search.hole.shape
    small_limit, limit = np.array(search.hole.shape) - 1, np.array(hole.shape) - 1
    exact = np.clip((places + 0.5) / scale, 0, small_limit)
    sums, total = np.zeros((len(places), 3), np.float32), np.zeros(len(places), np.float32)
    spread = 2 * max(float(np.percentile(search.cost, 30)), 1.0)
    for offset in np.argwhere(np.ones((3, 3))) - 1:
        cell = np.clip(exact.astype(np.intp) + offset, 0, small_limit)
        index = search.index[cell[:, 0], cell[:, 1]]
        found = np.maximum(index, 0)
        source = np.rint(places + (search.match[found] - search.points[found]) * scale).astype(np.intp)
        inside = (index >= 0) & (source >= 0).all(axis=1) & (source <= limit).all(axis=1)
        source = np.clip(source, 0, limit)
        usable = inside & ~hole[source[:, 0], source[:, 1]]
        nearness = np.exp(-((cell + 0.5 - exact) ** 2).sum(axis=1) / 0.4)
        weight = ((nearness * np.exp(-search.cost[found] / spread) + 1e-12) * usable).astype(np.float32)
        sums += (image[source[:, 0], source[:, 1]] + corrections[cell[:, 0], cell[:, 1]]) * weight[:, None]
        total += weight
    colours = np.clip(sums / np.maximum(total, 1e-30)[:, None] + 0.5, 0, 255).astype(np.uint8)
    return colours, total > 0
