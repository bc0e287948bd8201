"""Looks again, closer, along an outline that a net drew from afar; knows no nets and no faces.

In a large photo one pixel of the net's is several of the photo's: the corner between an ear and the hair, the gap
between a sleeve's folds and what is behind. A tile shows them, and knows less of what belongs to whom, so that it is
heard only near the outline, and only where it sees the same subject on one side of it and nothing on the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Alpha, Image
from pipelines.imaging.resize import enlarged, shrunk

Floats = npt.NDArray[np.float32]

FROM = 720  # pixels of the longer side: a smaller photo has nothing that the net did not see
WORK_SIDE = 2048  # pixels of the copy on which tiles are weighed: what is finer than that no tile sees either
TILE = 0.33  # of the longer side
HEARD, FADING = 0.68, 0.95  # of a tile's half side: from its middle so far in full, and from there on not at all
MAP = 256  # pixels of the map on which tiles are laid
MOST, LEAST = 9, 30  # tiles; and pixels of the outline on that map for which another one pays
REACH, EASING = 0.022, 0.3  # of the longer side, to both sides of the outline; and of that, fading
SAME, OTHER = (0.6, 0.9), (0.3, 0.1)  # mean alpha inside and outside at which a tile is not heard, and wholly


def shows_more(image: Image) -> bool:
    """Whether a photo (H x W x 3) has what the net does not see in it as a whole."""
    return max(image.shape[:2]) >= FROM


def closer(
    image: Image, alpha: Alpha, look: Callable[[Image], Alpha], looked: Callable[[int, int], None]
) -> tuple[Alpha, Alpha]:  # fmt: skip
    """`alpha` (H x W) with its outline as `look`, a net's view of a picture, sees it in tiles of `image`, its photo.

    And how much of that was heard, 0 to 1, on a small copy. `looked` is told how many of how many tiles are done.
    """
    scale = min(1.0, WORK_SIDE / max(alpha.shape))
    small = np.asarray(cv2.resize(alpha, shrunk(alpha.shape, WORK_SIDE), interpolation=cv2.INTER_AREA), np.float32)
    reach = REACH * max(small.shape)
    total, heard = np.zeros_like(small), np.zeros_like(small)
    tiles = list(_tiles(small))
    for number, (top, bottom, left, right) in enumerate(tiles, start=1):
        window = slice(top, bottom), slice(left, right)
        part = small[window]
        rows, columns = (slice(round(at.start / scale), round(at.stop / scale)) for at in window)
        seen = look(np.ascontiguousarray(image[rows, columns]))
        seen = np.asarray(cv2.resize(seen, part.shape[::-1], interpolation=cv2.INTER_AREA), np.float32)
        weight = _weight(part, seen, reach)
        weight *= _taper((top, bottom), len(small))[:, None] * _taper((left, right), small.shape[1])
        total[window] += weight * (seen - part)
        heard[window] += weight
        looked(number, len(tiles))
    change = enlarged(np.asarray(total / np.maximum(heard, 1), np.float32), alpha.shape)
    return np.clip(alpha + change, 0, 1).astype(np.float32), np.minimum(heard, 1)


def _tiles(alpha: Alpha) -> Iterator[tuple[int, int, int, int]]:
    """Top, bottom, left, right of tiles that cover the outline between them, each inside the photo."""
    scale = MAP / max(alpha.shape)
    small = cv2.resize(alpha, shrunk(alpha.shape, MAP), interpolation=cv2.INTER_AREA) > 0.5
    left = cv2.morphologyEx(small.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    half = TILE * MAP / 2
    wide = 2 * round(HEARD * half) + 1
    for _ in range(MOST):
        # Where a tile hears most of what no other has heard yet.
        count = cv2.boxFilter(
            left.astype(np.float32), -1, (wide, wide), normalize=False, borderType=cv2.BORDER_CONSTANT
        )
        if count.max() < LEAST:
            return
        y, x = (int(at) for at in np.unravel_index(np.argmax(count), count.shape))
        left[max(y - wide // 2, 0) : y + wide // 2 + 1, max(x - wide // 2, 0) : x + wide // 2 + 1] = False
        yield *_span(y / scale, half / scale, alpha.shape[0]), *_span(x / scale, half / scale, alpha.shape[1])


def _span(middle: float, half: float, length: int) -> tuple[int, int]:
    return max(round(middle - half), 0), min(round(middle + half), length)


def _taper(span: tuple[int, int], length: int) -> Floats:
    """1 in the middle of a tile, 0 at those of its ends that are not the photo's."""
    first, last = span
    at = np.abs(np.linspace(-1, 1, last - first, dtype=np.float32))
    ends = np.linspace(-1, 1, last - first) < 0
    own = np.where(ends, first == 0, last == length)
    return np.where(own, 1, np.clip((FADING - at) / (FADING - HEARD), 0, 1)).astype(np.float32)


def _weight(part: Alpha, seen: Alpha, reach: float) -> Floats:
    """How much a tile is heard, 0 to 1: near the outline of `part`, where both sides of it are as `part` says."""
    solid = (part > 0.5).astype(np.uint8)
    inside, outside = (cv2.distanceTransform(side, cv2.DIST_L2, 5) for side in (solid, 1 - solid))
    near = np.clip((1 - np.maximum(inside, outside) / reach) / EASING, 0, 1)
    same, other = (_beside(seen, np.asarray(depth, np.float32), reach) for depth in (inside, outside))
    agreed = np.clip((same - SAME[0]) / (SAME[1] - SAME[0]), 0, 1) * np.clip(
        (OTHER[0] - other) / (OTHER[0] - OTHER[1]), 0, 1
    )
    return np.nan_to_num(near * agreed).astype(np.float32)


def _beside(seen: Alpha, depth: Floats, reach: float) -> Floats:
    """Mean of `seen` about each pixel over what lies one to two `reach` deep; nan where nothing does."""
    ring = ((depth > reach) & (depth < 2 * reach)).astype(np.float32)
    wide = 2 * round(2 * reach) + 1
    total, count = (cv2.blur(values, (wide, wide)) for values in (ring * seen, ring))
    return np.where(count > 1e-3, total / np.maximum(count, 1e-3), np.nan).astype(np.float32)
