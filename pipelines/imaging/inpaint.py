"""A hole in a picture filled from what surrounds it: broad tones by diffusion, texture by patches; knows no subject.

Tones come from OpenCV's inpainting (Telea 2004) on a small copy, fitted to the hole's rim as in Poisson blending.
Texture is found by a randomised search after Barnes et al. 2009 (PatchMatch) among places of the same tone. So nothing
is ever put there that was not beside it: no lines are drawn on, and no second head appears.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Alpha, Float32Array, Image, Int32Array, Mask

PATCH_RADIUS_PX = 3  # patches are 7 x 7
TONE_DEPTH_PX = 14  # pixels from the hole's middle to its rim on the copy that tones are diffused on
TEXTURE_SIGMA_PX = 3.0  # sigma in pixels below which it is texture and above which it is tone
_DISTANCE_COST = 40.0  # squared 8-bit steps by which a source as far as the hole is deep counts less
_PATCH_OFFSETS: Int32Array = (np.indices((2 * PATCH_RADIUS_PX + 1,) * 2).reshape(2, -1).T - PATCH_RADIUS_PX).astype(
    np.int32
)
_PATCH_WEIGHTS = np.exp(-(_PATCH_OFFSETS**2).sum(axis=1) / np.float32(2 * 2.2**2)).astype(np.float32)


def inpaint(image: Image, mask: Alpha, seed: int) -> Image:
    """`image` (H x W x 3) with the places where `mask` (H x W, 0 to 1) is over 0.5 filled; elsewhere the same bytes,
    but for the mask's soft rim. Deterministic by `seed`. Raises `ValueError` where nothing is left to take from.
    """
    hole = mask > 0.5
    if not hole.any():
        return image.copy()
    if hole.mean() > 0.95:
        raise ValueError("nothing is left to fill the hole from")
    box = _source_window(hole)
    part = image[box].astype(np.float32)
    made = _inpaint_window(part, hole[box], np.random.default_rng(seed))
    soft = np.where(hole[box], 1.0, np.clip(mask[box] * 2, 0, 1)).astype(np.float32)[..., None]
    out = image.copy()
    out[box] = np.clip(part + soft * (made - part) + 0.5, 0, 255).astype(np.uint8)
    return out


def _source_window(hole: Mask) -> tuple[slice, slice]:
    """The hole's box with as much again on each side to take from."""
    rows, columns = np.nonzero(hole.any(axis=1))[0], np.nonzero(hole.any(axis=0))[0]
    reach = max(48, int(max(rows[-1] - rows[0], columns[-1] - columns[0])))
    return (
        slice(max(0, rows[0] - reach), min(hole.shape[0], rows[-1] + reach + 1)),
        slice(max(0, columns[0] - reach), min(hole.shape[1], columns[-1] + reach + 1)),
    )


def _inpaint_window(image: Float32Array, hole: Mask, rng: np.random.Generator) -> Float32Array:
    tone = _inpaint_tones(image, hole)
    whole = np.where(hole[..., None], tone, image).astype(np.float32)
    guide = np.asarray(cv2.GaussianBlur(whole, (0, 0), TEXTURE_SIGMA_PX), np.float32)
    search = _PatchMatch.initialize(guide, hole, rng)
    for reach in (2, 1):
        search.propagate(reach)
        search.search_randomly(rng)
    texture = whole - guide
    # An edge is not texture: what is stronger than nearly all around the hole is left there.
    most = float(np.percentile(np.abs(texture)[search.sources], 93)) if search.sources.any() else 0.0
    grain = _vote_texture(search, np.clip(texture, -most, most))
    return np.where(hole[..., None], guide + grain, image).astype(np.float32)


# ---------------------------------------------------------------- tones


def _inpaint_tones(image: Float32Array, hole: Mask) -> Float32Array:
    """Diffused from the rim inwards; along the rim they meet the picture."""
    height, width = hole.shape
    deep = cv2.distanceTransform(np.pad(hole, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 3).max()
    step = max(1.0, float(deep) / TONE_DEPTH_PX)
    size = (max(8, round(width / step)), max(8, round(height / step)))
    known = (~hole).astype(np.float32)
    share = np.asarray(cv2.resize(known, size, interpolation=cv2.INTER_AREA), np.float32)
    small = cv2.resize(image * known[..., None], size, interpolation=cv2.INTER_AREA)
    small = np.clip(small / np.maximum(share, 1e-3)[..., None], 0, 255).astype(np.uint8)
    gap = (share < 0.5).astype(np.uint8)
    guess = cv2.GaussianBlur(cv2.inpaint(small, gap, 5, cv2.INPAINT_TELEA).astype(np.float32), (0, 0), 1.0)
    large = np.asarray(cv2.resize(guess, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    rim = ~hole & (cv2.dilate(hole.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0)
    # What is in the hole must not tint the rim it is blurred with.
    near = cv2.GaussianBlur(image * known[..., None], (0, 0), 1.5)
    near = near / np.maximum(cv2.GaussianBlur(known, (0, 0), 1.5), 1e-3)[..., None]
    error = (near - large) * rim[..., None]
    return large + _fill_by_pyramid(np.asarray(error, np.float32), rim.astype(np.float32))


def _fill_by_pyramid(sums: Float32Array, weight: Float32Array) -> Float32Array:
    """`sums` over `weight`; where there is no weight, what coarser and coarser copies say."""
    height, width = weight.shape
    if min(height, width) < 4:
        return np.broadcast_to(sums.sum((0, 1)) / max(float(weight.sum()), 1e-6), sums.shape).astype(np.float32)
    size = ((width + 1) // 2, (height + 1) // 2)
    fewer = np.asarray(cv2.resize(weight, size, interpolation=cv2.INTER_AREA), np.float32)
    coarse = _fill_by_pyramid(np.asarray(cv2.resize(sums, size, interpolation=cv2.INTER_AREA), np.float32), fewer)
    large = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    known = np.minimum(weight, 1)[..., None]
    return np.asarray(sums / np.maximum(weight, 1e-6)[..., None] * known + (1 - known) * large, np.float32)


# ---------------------------------------------------------------- texture


@dataclass
class _PatchMatch:
    """For each pixel in and round the hole the place whose texture it takes, and how ill the tones there fit."""

    guide: Float32Array
    sources: Mask
    points: Int32Array
    index: Int32Array
    match: Int32Array
    cost: Float32Array
    depth: float

    @classmethod
    def initialize(cls, guide: Float32Array, hole: Mask, rng: np.random.Generator) -> _PatchMatch:
        """Random sources outside the hole and its neighbourhood."""
        near = cv2.dilate(hole.astype(np.uint8), np.ones((2 * PATCH_RADIUS_PX + 1,) * 2, np.uint8)) > 0
        free = ~(cv2.dilate(near.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0)
        free = free if free.any() else ~hole
        points, sources = np.argwhere(near).astype(np.int32), np.argwhere(free).astype(np.int32)
        index = np.full(hole.shape, -1, np.int32)
        index[points[:, 0], points[:, 1]] = np.arange(len(points))
        deep = float(cv2.distanceTransform(np.pad(hole, 1).astype(np.uint8), cv2.DIST_L2, 3).max())
        match = sources[rng.integers(0, len(sources), len(points))]
        search = cls(guide, free, points, index, match, np.zeros(len(points), np.float32), max(deep, 4.0))
        search.cost = search.compute_costs(np.arange(len(points)), match)
        return search

    def compute_costs(self, which: npt.NDArray[np.intp], match: Int32Array) -> Float32Array:
        """Squared difference of tone, and of the tone's slope by four points round it; distance counts too."""
        at, total = self.points[which], np.zeros(len(which), np.float32)
        height, width = self.sources.shape
        for dy, dx in ((0, 0), (-4, 0), (4, 0), (0, -4), (0, 4)):
            here = np.clip(at + np.array([dy, dx], np.int32), 0, (height - 1, width - 1))
            there = np.clip(match + np.array([dy, dx], np.int32), 0, (height - 1, width - 1))
            apart = self.guide[here[:, 0], here[:, 1]] - self.guide[there[:, 0], there[:, 1]]
            total += (apart * apart).mean(axis=1)
        away = ((at - match).astype(np.float32) ** 2).sum(axis=1)
        return np.asarray(total / 5 + _DISTANCE_COST * away / self.depth**2, np.float32)

    def propagate(self, rounds: int) -> None:
        """Take over what neighbours found: texture comes in pieces."""
        height, width = self.sources.shape
        for turn in range(rounds):
            for step in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                move = np.array(step, np.int32) * (1 << (2 * (rounds - 1 - turn)))
                beside = np.clip(self.points + move, 0, (height - 1, width - 1))
                who = self.index[beside[:, 0], beside[:, 1]]
                self._accept_improvements(
                    np.where((who >= 0)[:, None], self.match[np.maximum(who, 0)] - move, -1).astype(np.int32)
                )

    def search_randomly(self, rng: np.random.Generator) -> None:
        """Try random places, nearer and nearer."""
        reach = max(self.sources.shape) / 2.0
        while reach > 1:
            self._accept_improvements((self.match + rng.uniform(-reach, reach, self.match.shape)).astype(np.int32))
            reach /= 2

    def _accept_improvements(self, there: Int32Array) -> None:
        height, width = self.sources.shape
        inside = (there >= 0).all(axis=1) & (there[:, 0] < height) & (there[:, 1] < width)
        safe = np.clip(there, 0, (height - 1, width - 1))
        which = np.nonzero(inside & self.sources[safe[:, 0], safe[:, 1]])[0]
        cost = self.compute_costs(which, there[which])
        # A neighbour's source that is as good is taken: longer pieces have fewer seams.
        better = cost < self.cost[which]
        self.match[which[better]], self.cost[which[better]] = there[which[better]], cost[better]


def _vote_texture(search: _PatchMatch, grain: Float32Array) -> Float32Array:
    """Texture as the mean of what the patches over each pixel say, brought back to the strength that means lose."""
    height, width = search.sources.shape
    sums, squares = np.zeros((height * width, 3)), np.zeros(height * width)
    total = np.zeros(height * width)
    typical = max(float(np.percentile(search.cost, 50)), 4.0)
    weight = np.exp(-search.cost / (2 * typical)) + 1e-4
    for (dy, dx), share in zip(_PATCH_OFFSETS, _PATCH_WEIGHTS, strict=True):
        y, x = search.points[:, 0] + dy, search.points[:, 1] + dx
        sy = np.clip(search.match[:, 0] + dy, 0, height - 1)
        sx = np.clip(search.match[:, 1] + dx, 0, width - 1)
        ok = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        flat, said = y[ok] * width + x[ok], weight[ok] * share
        value = grain[sy[ok], sx[ok]]
        total += np.bincount(flat, said, height * width)
        squares += np.bincount(flat, said * (value * value).mean(axis=1), height * width)
        for c in range(3):
            sums[:, c] += np.bincount(flat, said * value[:, c], height * width)
    total = np.maximum(total, 1e-9)
    mean = (sums / total[:, None]).reshape(height, width, 3).astype(np.float32)
    wanted = np.asarray(cv2.GaussianBlur((squares / total).reshape(height, width).astype(np.float32), (0, 0), 4))
    has = np.asarray(cv2.GaussianBlur((mean * mean).mean(axis=2), (0, 0), 4))
    return np.asarray(mean * np.clip(np.sqrt(wanted / np.maximum(has, 1e-3)), 1, 2.5)[..., None], np.float32)
