"""Find the whole thing or person on which a point of a photo lies: what somebody means who presses on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Face, Image, Mask
from pipelines.imaging.resize import extend_mask_down, resize_map
from pipelines.matting.net_agreement import local_contrast
from pipelines.matting.point_regions import EDGE_LEVELS, MAX_THING_CROP_COUNT, PointRegions, PredictCrop, find_pixels
from pipelines.matting.pointing import (
    Pointing,
    SegmentPointed,
    correct_by_points,
    segment_region,
    select_people,
)

MIN_EDGE_SHARE = 0.75  # of the outline of what no net sees: as much lies on an edge of the photo, or it is no thing
EDGE_RATIO = 3.0  # of the contrast at such an outline to that inside of it; wood and leaves have edges everywhere
MIN_LARGER_RATIO = 1.3  # of the areas of two things of which one is the next larger
MAX_PEOPLE_COUNT = 3  # nearest to a point, among whom its person is looked for


def select_things(
    image: Image,
    seen: Alpha,
    pointing: Pointing,
    predict: PredictCrop,
    segment: SegmentPointed | None = None,
    faces: Sequence[Face] = (),
) -> Alpha:
    """Select the things on which the `keep` points lie and nothing else; float32, H x W of `image`, 0 to 1.

    `seen` (H x W, 0 to 1) is what nets see in the photo. A point means the smallest thing on which it lies; given twice
    the next larger one, and so on. `drop` points take away what they lie on. Raises `BadInput` (`no_subject`) where
    nothing clear, or nothing larger, lies under a point, or where the `drop` points leave nothing.
    """
    regions = PointRegions(image, seen, predict, faces, MAX_THING_CROP_COUNT)
    size, chosen = regions.seen.shape[::-1], np.zeros(regions.seen.shape, np.bool_)
    counts = Counter(pointing.keep)
    for mark, point in zip(counts, find_pixels(tuple(counts), chosen.shape), strict=True):
        found: list[Mask | None] = []
        if segment is not None:
            found.append(segment_region(segment, mark, pointing.drop, point, chosen.shape))
        found.append(_find_person(image, seen, point, faces, size))
        things = chain(found, regions.find_clear_things(point), (_find_clear_region(regions, point) for _ in range(1)))
        chosen |= _take_larger(things, counts[mark])
    smooth = cv2.GaussianBlur(chosen.astype(np.float32), (0, 0), 0.8)
    alpha = resize_map(np.asarray(smooth, np.float32), image.shape[1::-1])
    if not pointing.drop:
        return alpha
    dropped = Pointing((), pointing.drop)  # kept points would hold what somebody presses again to leave it
    alpha = correct_by_points(image, seen, alpha, dropped, predict, segment, faces, may_reselect=False)
    if not (alpha > 0.5).any():
        raise BadInput("Nothing is left of what was pointed at.", code="no_subject", param="drop")
    return alpha


def _take_larger(things: Iterable[Mask | None], count: int) -> Mask:
    """Return the first thing, or the one after `count` - 1 steps to a larger one; raise `BadInput` where none is."""
    last = 0.0
    for thing in things:
        if thing is not None and thing.sum() > last * MIN_LARGER_RATIO:
            last, count = float(thing.sum()), count - 1
            if not count:
                return thing
    raise BadInput("Nothing larger is here." if last else "Nothing clear is here.", code="no_subject", param="keep")


def draw_outline(
    alpha: Alpha, mark: tuple[float, float], growth_px: float, extra_below_px: float = 0.0
) -> tuple[tuple[float, float], ...]:
    """Return the outline of the part of `alpha` (H x W, 0 to 1) at or nearest to a mark as points in shares of it.

    It runs `growth_px` outside of the part, `extra_below_px` farther below it, and its holes are filled. Empty where
    nothing is over 0.5.
    """
    height, width = alpha.shape
    beside = (alpha <= 0.5).astype(np.uint8)
    grown = cv2.distanceTransform(beside, cv2.DIST_L2, 5) <= growth_px if beside.any() else beside == 0
    grown = extend_mask_down(grown, round(extra_below_px))
    contours, _ = cv2.findContours(
        (grown & bool((beside == 0).any())).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    if not contours:
        return ()
    at = mark[0] * width, mark[1] * height
    nearest = max(contours, key=lambda each: cv2.pointPolygonTest(each, at, True))
    points = cv2.approxPolyDP(nearest, 0.6, True)[:, 0].astype(np.float64) + 0.5
    return tuple((round(float(x) / width, 5), round(float(y) / height, 5)) for x, y in points)


def _find_person(
    image: Image, seen: Alpha, point: tuple[int, int], faces: Sequence[Face], size: tuple[int, int]
) -> Mask | None:
    """Return the person (H x W of a copy of `size`) on whom a point of it lies; None where that is none with a face."""
    scale = size[0] / image.shape[1]

    def measure_distance(face: Face) -> float:
        return abs((face.box[0] + face.box[2]) / 2 * scale - point[1]) / max(face.box[3] - face.box[1], 1)

    best, most = None, 0.5
    for face in sorted(faces, key=measure_distance)[:MAX_PEOPLE_COUNT]:
        try:
            person = resize_map(select_people(image, seen, face, faces), size)
        except BadInput:  # nothing stands out in the whole photo: the point may still lie on a thing
            continue
        if person[point] > most:
            best, most = person > 0.5, float(person[point])
    return best


def _find_clear_region(regions: PointRegions, point: tuple[int, int]) -> Mask | None:
    """Return the thing at a point (H x W of the small copy), None where no net sees one and no edge bounds one."""
    nothing = np.zeros_like(regions.seen)
    region = regions.find_kept(point, nothing, np.ones(nothing.shape, np.bool_))
    if regions.is_seen(point):
        return region
    square = np.ones((3, 3), np.uint8)
    outline = region & ~(cv2.erode(region.astype(np.uint8), square, borderValue=1) > 0)
    inside = cv2.erode(region.astype(np.uint8), square, iterations=3) > 0
    if not outline.any() or not inside.any():
        return None
    contrast = local_contrast(regions.lab)
    at_outline = cv2.dilate(contrast, square)[outline]
    is_bounded = (at_outline >= EDGE_LEVELS).mean() >= MIN_EDGE_SHARE
    return region if is_bounded and np.median(at_outline) >= EDGE_RATIO * np.median(contrast[inside]) else None
