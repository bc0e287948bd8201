"""Find the region of a photo that a point changes in a coarse matte.

All on a small copy of the photo. A dropped point on the ground, by its colours, or on the outline takes what edges
and colours let it reach: a random walk (Grady, "Random Walks for Image Segmentation", 2006) and a flood. On a thing it
takes what the net sees as one on a crop around it. A kept point adds what the net sees there, without the ground seen
along with it. Neither reaches the faces of people who were not pointed at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import cv2
import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from pipelines.core.geometry import Alpha, Area, Face, Float32Array, Image, Mask, Size
from pipelines.imaging.resize import dilate_mask, resize_map, size_within
from pipelines.matting.conjugate_gradient import conjugate_gradient
from pipelines.matting.mask_parts import find_parts_at, open_mask
from pipelines.matting.net_agreement import colour_evidence, local_contrast
from pipelines.matting.subject_selection import scaled_slice

WORK_SIDE_PX = 256  # longer side of the copy on which regions are decided
POINT_RADIUS_RATIO = 0.012  # of the copy's longer side: the disc that a point settles
NEAR_OUTLINE_RATIO = 0.032  # of the same: who presses so near to the outline means something at it, and no whole thing
CROP_SIDE_RATIO = 0.55  # of the photo's longer side: the crop around a point on which the net looks again
THING_CROP_SIDE_RATIO = 0.25  # the same where somebody presses on a thing, which may be small
CLOSER_CROP_SIDE_RATIO = 0.3  # the same for a third look, where the second one would leave nothing
SAME_CROP_RATIO = 0.06  # of the longer side: points nearer to a crop's middle need no crop of their own, as in a stroke
MIN_REGION_RATIO = 0.002  # of the copy's pixels: the net saw nothing at a point when it says less
WHOLE_PART_SHARE = 0.6  # of a part: a net that sees as much of it sees all of it
CLEAR_ALPHA = 0.9  # median of a crop's map on a thing that stands out clearly there
MAX_THING_SHARE = 0.5  # of a crop: what covers more of it is the crop's ground, or goes on beyond it
MIN_THING_PX = 12  # of the copy: fewer are a grain
MAX_CUT_PX = 4  # of the copy: as much of a thing may go on beyond the crop in which a net sees it
EDGE_LEVELS = 4.0  # Lab levels by which the colour changes at a pixel, from which it is an edge
EDGE_GAP_PX = 2  # of the copy: half the width of a gap in an edge through which nothing is reached
GROUND_EVIDENCE = 0.3  # logarithm of how much more often a colour is one side's, up to which it may be either's
SURE_GROUND_ALPHA = 0.1  # of the net's first map, up to which it is sure of the ground
MIN_GROUND_SHARE = 0.15  # of a region: ground that a net sees along with what somebody keeps
OWN_WIDTH_HEADS = 1.2  # from a face's middle to either side: where a point means its person
OWN_DEPTH_HEADS = 3.0  # the same below the face
FACE_CORE_RATIO = 0.45  # of a face's box, which is wider than the face: the oval in which a point means the face itself
MAX_CROP_COUNT = 12  # predictions on crops for one set of points
MAX_THING_CROP_COUNT = 80  # the same where every point is to find a thing: two for each of 40 that lie apart
COLOUR_SIGMA_LEVELS = 6.0  # Lab levels: over such a difference a step of the walk is 0.6 times as likely as over none
MIN_STEP_WEIGHT = 2e-3  # of a step over any edge, so that no pixel is cut off
WALK_TRUST = 0.03  # how often a walk ends at the matte's own value, far from contradicted points, per step
WALK_TRUST_NEAR = 3e-5  # the same beside them
REACH_LEVELS = 120.0  # Lab levels on the way from a point over which the matte is trusted again
GRAIN_LEVELS = 4.0  # of Lab between neighbours that are grain and no change of colour
STEP_LEVELS = 0.6  # levels that a step of one pixel costs on one colour
PERSON_STEP_LEVELS = 3.0  # the same between people, who are told apart by place more than by colour
POINT_WEIGHT = 1e3  # weight of a point's own side in the walk
COARSEST_SIDE_PX = 40  # longer side from which the walk starts no coarser
MIN_WALK_SHARE = 0.25  # of the walks from a pixel that end at the point, from which it follows the point
MAX_ITERATION_COUNT = 60
RELATIVE_TOLERANCE = 2e-3

PredictCrop = Callable[[Area], Alpha]
"""Returns the net's map of an area of the photo, of any size; 0 to 1."""


class PointRegions:
    """Finds the region that a point changes; a crop of the net serves all points near its middle.

    `lab` and `seen` are the small copies of the photo and of the net's map.
    """

    def __init__(
        self,
        image: Image,
        seen: Alpha,
        predict: PredictCrop,
        faces: Sequence[Face],
        max_crop_count: int = MAX_CROP_COUNT,
    ) -> None:
        size = size_within(image.shape, WORK_SIDE_PX)
        self.lab = shrink_to_lab(image, size)
        self.seen = resize_map(seen, size)
        self._predict = predict
        self._faces = faces
        self._contrast = local_contrast(self.lab)
        self._scale = size[0] / image.shape[1]
        self._max_crop_count = max_crop_count
        self._crops: list[tuple[tuple[int, int], float, Alpha]] = []

    def find_kept(self, point: tuple[int, int], alpha: Alpha, near: Mask) -> Mask:
        """Return the region (H x W of the small copy) that a point (row, column) adds to `alpha`.

        It is what a net sees there, without the ground that a net sees along with it. `near` limits what colours and
        edges alone give.
        """
        bounded = _segment_by_random_walk(self.lab, alpha, point, 1.0) & near
        region = self._find_seen(point)
        region &= ~self._find_background_patches(region, bounded | (alpha > 0.5)) | bounded
        return self._bound_region(region, bounded, point, alpha <= 0.5)

    def is_seen(self, point: tuple[int, int]) -> bool:
        """Tell whether a net sees something at a point (row, column), in the whole photo or on a crop around it."""
        return bool(self._find_seen(point).any())

    def _find_seen(self, point: tuple[int, int]) -> Mask:
        on_crop = find_parts_at(self._crop_at(point) > 0.5, point)
        return on_crop | find_parts_at(self.seen > 0.5, draw_discs(self.seen.shape, [point]))

    def find_clear_things(self, point: tuple[int, int]) -> Iterator[Mask]:
        """Find the things (H x W of the small copy) that stand out at a point on a small and a larger crop around it.

        A thing lies in a crop as a whole, beside ground, so that the net cannot mean a part of it, or all but it.
        """
        for side_ratio in (THING_CROP_SIDE_RATIO, CROP_SIDE_RATIO):
            window, alpha = self._window(point, side_ratio), self._crop_at(point, side_ratio)
            place = point if alpha[point] > 0.5 else draw_discs(alpha.shape, [point])
            region = find_parts_at(alpha > 0.5, place)
            seen = region[window]
            if region.sum() < MIN_THING_PX or seen.mean() > MAX_THING_SHARE or np.median(alpha[region]) < CLEAR_ALPHA:
                continue
            inside = np.zeros_like(region)
            inside[tuple(_shrink_slice(part, end) for part, end in zip(window, region.shape, strict=True))] = True
            if not (region & ~inside).any():
                yield region

    def find_dropped(self, point: tuple[int, int], alpha: Alpha, near: Mask) -> Mask:
        """Return the region (H x W of the small copy) that a point (row, column) takes from `alpha`.

        Where its colours are those around the subject, or it lies on the outline, only what is reached from it without
        crossing an edge. Else the thing that a net sees there; never all that stands out, if a closer look sees less.
        """
        part = find_parts_at(alpha > 0.5, point)
        bounded = (
            _segment_by_random_walk(self.lab, alpha, point, 0.0) | _flood_region(self._contrast, part, point)
        ) & near
        if self._is_ground(point, bounded, part, alpha) or _is_at_outline(alpha, point):
            return self._spare_own_face(bounded & ~self._draw_faces(point)[1], point)
        region = self._thing_at(point, part, bounded, CROP_SIDE_RATIO)
        if not self._leaves_something(region, alpha, point):
            closer = self._thing_at(point, part, bounded, CLOSER_CROP_SIDE_RATIO)
            region = region if (region & ~closer).sum() < (1 - WHOLE_PART_SHARE) * region.sum() else closer | bounded
        return self._spare_own_face(self._bound_region(region, bounded, point, part), point)

    def _spare_own_face(self, region: Mask, point: tuple[int, int]) -> Mask:
        """Return a dropped region (H x W) without what is nearer to the photo's only face than to the point.

        Skin has one colour from the ear to the neck: a point beside the face would take it. On the face it is meant,
        and of several people the whole one.
        """
        own, _ = self._draw_faces(point)
        rows, columns = np.nonzero(own)
        if not rows.size or len(self._faces) > 1:
            return region
        core = np.zeros(own.shape, np.uint8)
        middle = int(columns.min() + columns.max()) // 2, int(rows.min() + rows.max()) // 2
        axes = (round(FACE_CORE_RATIO * np.ptp(each) / 2) for each in (columns, rows))
        cv2.ellipse(core, middle, tuple(axes), 0, 0, 360, 1, -1)
        if core[point] or not region[core > 0].any():
            return region
        nearer = geodesic_distance(self.lab, [point], PERSON_STEP_LEVELS) <= self._distance_from(core > 0)
        return region & nearer

    def _thing_at(self, point: tuple[int, int], part: Mask, bounded: Mask, side_ratio: float) -> Mask:
        """Return what a net sees at a point of a part on a crop: all of it if most.

        Where the crop cuts it off, it is what is `bounded`, and what lies nearer to the point than to the part beyond.
        """
        region = find_parts_at(self._crop_at(point, side_ratio) > 0.5, point) & part
        if region.sum() > WHOLE_PART_SHARE * part.sum():
            return part
        beyond = part.copy()
        beyond[self._window(point, side_ratio)] = False
        cut = dilate_mask(region, 1) & beyond
        if cut.sum() <= MAX_CUT_PX:
            return region
        rows, columns = np.nonzero(cut)
        beyond_levels = geodesic_distance(self.lab, list(zip(rows.tolist(), columns.tolist(), strict=True)))
        return bounded | (region & (geodesic_distance(self.lab, [point]) <= beyond_levels))

    def _bound_region(self, region: Mask, bounded: Mask, point: tuple[int, int], changing: Mask) -> Mask:
        """Return `bounded` instead of a region that is next to nothing or would change (H x W) a face not pointed at.

        Where the point lies on somebody, the region is cut between that person and the others instead.
        """
        own, others = self._draw_faces(point)
        others &= changing
        if region.sum() <= MIN_REGION_RATIO * region.size:
            region = bounded
        elif (others & region).any():
            own[point] = True
            nearer = self._distance_from(own) <= self._distance_from(others)
            region = bounded | (region & nearer) if own.sum() > 1 else bounded
        return region & ~others

    def _distance_from(self, mask: Mask) -> Float32Array:
        rows, columns = np.nonzero(mask)
        points = list(zip(rows.tolist(), columns.tolist(), strict=True))
        return geodesic_distance(self.lab, points, PERSON_STEP_LEVELS)

    def _find_background_patches(self, region: Mask, subject: Mask) -> Mask:
        """Return the patches of a region that the net's first map calls ground and that have the ground's colours."""
        ground = ~(region | subject)
        if not ground.any():
            return np.zeros_like(region)
        evidence = colour_evidence(self.lab.astype(np.uint8), subject, ground)
        patches = open_mask(region & (self.seen < SURE_GROUND_ALPHA) & (evidence < -GROUND_EVIDENCE))
        return patches if patches.sum() > MIN_GROUND_SHARE * region.sum() else np.zeros_like(region)

    def _is_ground(self, point: tuple[int, int], bounded: Mask, part: Mask, alpha: Alpha) -> bool:
        """Tell whether a region's colours are those around the subject about as much as those of its part's rest."""
        rest = part & ~bounded
        if not rest.any() or not bounded.any():
            return False
        evidence = colour_evidence(self.lab.astype(np.uint8), rest, alpha <= 0.5)
        near = bounded & draw_discs(bounded.shape, [point], 3 * _disc_radius(bounded.shape))
        return float(evidence[near if near.any() else bounded].mean()) < GROUND_EVIDENCE

    def _leaves_something(self, region: Mask, alpha: Alpha, point: tuple[int, int]) -> bool:
        """Tell whether there is something else, also among what stands out apart from the point's own part."""
        left = (alpha > 0.5) | ((self.seen > 0.5) & ~find_parts_at(self.seen > 0.5, point))
        return float((left & ~region).mean()) > MIN_REGION_RATIO

    def _draw_faces(self, point: tuple[int, int]) -> tuple[Mask, Mask]:
        """Return the face of the person on whom the point lies, and all others (H x W of the small copy each)."""
        boxes = [tuple(value * self._scale for value in face.box) for face in self._faces]
        masks = (np.zeros(self.lab.shape[:2], np.bool_), np.zeros(self.lab.shape[:2], np.bool_))
        distances = [_heads_beside(box, point) for box in boxes]
        nearest = int(np.argmin(distances)) if boxes and min(distances) <= OWN_WIDTH_HEADS else None
        for number, (left, top, right, bottom) in enumerate(boxes):
            masks[number != nearest][scaled_slice(top, bottom, 1.0), scaled_slice(left, right, 1.0)] = True
        return masks

    def _crop_at(self, point: tuple[int, int], side_ratio: float = CROP_SIDE_RATIO) -> Alpha:
        """Return the net's map on a crop around the point, 0 outside it."""
        longer = max(self.lab.shape[:2])
        for middle, side, alpha in self._crops:
            if side == side_ratio and np.hypot(middle[0] - point[0], middle[1] - point[1]) < SAME_CROP_RATIO * longer:
                return alpha
        alpha = np.zeros(self.lab.shape[:2], np.float32)
        if len(self._crops) < self._max_crop_count:
            self._predict_crop(point, alpha, side_ratio)
            self._crops.append((point, side_ratio, alpha))
        return alpha

    def _predict_crop(self, point: tuple[int, int], alpha: Alpha, side_ratio: float) -> None:
        rows, columns = alpha.shape
        down, across = self._window(point, side_ratio)
        area = across.start / columns, down.start / rows, across.stop / columns, down.stop / rows
        size = across.stop - across.start, down.stop - down.start
        alpha[down, across] = resize_map(self._predict(area), size)

    def _window(self, point: tuple[int, int], side_ratio: float) -> tuple[slice, slice]:
        """Return the rows and columns of a crop around a point."""
        half = side_ratio * max(self.lab.shape) / 2
        down, across = (
            slice(max(0, round(middle - half)), min(end, round(middle + half)))
            for middle, end in zip(point, self.lab.shape[:2], strict=True)
        )
        return down, across


def _shrink_slice(part: slice, end: int) -> slice:
    """Return a crop's rows or columns without the first and the last, except where the photo ends there."""
    return slice(part.start + (part.start > 0), part.stop - (part.stop < end))


def shrink_to_lab(image: Image, size: Size) -> Float32Array:
    """Return a copy of `image` (H x W x 3) of that size in 8-bit levels of Lab."""
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), np.float32)


def find_pixels(marks: Sequence[tuple[float, float]], shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return marks (x, y), ratios of a photo, as row and column of a copy of that shape."""
    height, width = shape
    return [(min(int(y * height), height - 1), min(int(x * width), width - 1)) for x, y in marks]


def draw_discs(shape: tuple[int, ...], points: Iterable[tuple[int, int]], radius: int | None = None) -> Mask:
    """Return discs around points (row, column), as large as a point settles unless a `radius` in pixels is given."""
    mask = np.zeros(shape, np.uint8)
    for row, column in points:
        cv2.circle(mask, (column, row), radius or _disc_radius(shape), 1, -1)
    return mask > 0


def _disc_radius(shape: tuple[int, ...]) -> int:
    return max(2, round(POINT_RADIUS_RATIO * max(shape)))


def _heads_beside(box: tuple[float, ...], point: tuple[int, int]) -> float:
    """Return how many heads a point lies beside the middle of the person with a face's box; inf above and below."""
    left, top, right, bottom = box
    head = bottom - top
    if not top - head / 2 <= point[0] <= bottom + OWN_DEPTH_HEADS * head:
        return float("inf")
    return abs(point[1] - (left + right) / 2) / head


def _is_at_outline(alpha: Alpha, point: tuple[int, int]) -> bool:
    """Tell whether a point (row, column) lies at the outline of a matte: a click on a rim or on something thin."""
    radius = round(NEAR_OUTLINE_RATIO * max(alpha.shape))
    return bool((alpha[draw_discs(alpha.shape, [point], radius)] <= 0.5).any())


def _flood_region(contrast: Float32Array, part: Mask, point: tuple[int, int]) -> Mask:
    """Return what is reached from a point inside of a part without crossing an edge or slipping through a gap in it."""
    even = (part & (contrast < EDGE_LEVELS)).astype(np.uint8)
    discs = [
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * px + 1, 2 * px + 1)) for px in (EDGE_GAP_PX, EDGE_GAP_PX + 1)
    ]
    core = find_parts_at(cv2.erode(even, discs[0]) > 0, point)
    return part & (cv2.dilate(core.astype(np.uint8), discs[1]) > 0)


def geodesic_distance(
    lab: Float32Array, points: list[tuple[int, int]], step_levels: float = STEP_LEVELS
) -> Float32Array:
    """Return the Lab levels on the best way from the nearest point to each pixel: of its changes and its steps."""
    height, width = lab.shape[:2]
    index = np.arange(height * width).reshape(height, width)
    across, down = (
        np.maximum(np.linalg.norm(np.diff(lab, axis=axis), axis=2) - GRAIN_LEVELS, 0) + step_levels for axis in (1, 0)
    )
    starts = np.concatenate((index[:, :-1].ravel(), index[:-1].ravel()))
    ends = np.concatenate((index[:, 1:].ravel(), index[1:].ravel()))
    costs = np.concatenate((across.ravel(), down.ravel()))
    graph = sparse.csr_matrix((costs, (starts, ends)), shape=(index.size, index.size))
    sources = np.unique([index[point] for point in points])
    levels = dijkstra(graph, directed=False, indices=sources, min_only=True)
    return np.asarray(levels, np.float32).reshape(height, width)


def _segment_by_random_walk(lab: Float32Array, alpha: Alpha, point: tuple[int, int], value: float) -> Mask:
    """Return what a random walk with the matte as its prior gives to the point's side, connected to the point."""
    near = np.exp(-((geodesic_distance(lab, [point]) / REACH_LEVELS) ** 2))
    own = (WALK_TRUST * (1 - near) + WALK_TRUST_NEAR * near).astype(np.float32)
    prior = alpha.astype(np.float32)
    disc = draw_discs(alpha.shape, [point])
    own[disc], prior[disc] = POINT_WEIGHT, value
    walked = solve_walk(lab, own, prior)
    side = walked if value else 1 - walked
    return find_parts_at(side + np.float32(0.5 - MIN_WALK_SHARE) > 0.5, point) & ((alpha > 0.5) != (value > 0.5))


def solve_walk(lab: Float32Array, own: Float32Array, prior: Alpha) -> Alpha:
    """Return how likely a walk ends at 1, where it ends at a pixel's `prior` as often as `own` says, per step."""
    start = prior
    if max(lab.shape) > COARSEST_SIDE_PX:  # a coarse walk first: from its result the fine one has a short way to go
        half = max(lab.shape[1] // 2, 1), max(lab.shape[0] // 2, 1)
        weight = resize_map(own, half)
        coarse_prior = resize_map(own * prior, half) / weight
        coarse = solve_walk(resize_map(lab, half), 4 * weight, np.asarray(coarse_prior, np.float32))
        start = resize_map(coarse, lab.shape[1::-1])
    across, down = (_step_weights(np.diff(lab, axis=axis)) for axis in (1, 0))
    diagonal = own.copy()
    diagonal[:, 1:] += across
    diagonal[:, :-1] += across
    diagonal[1:] += down
    diagonal[:-1] += down

    def matvec(x: Float32Array) -> Float32Array:
        result = diagonal * x
        result[:, 1:] -= across * x[:, :-1]
        result[:, :-1] -= across * x[:, 1:]
        result[1:] -= down * x[:-1]
        result[:-1] -= down * x[1:]
        return result

    tolerance = RELATIVE_TOLERANCE * float(np.linalg.norm(own * prior - matvec(prior)))
    walked = conjugate_gradient(
        matvec,
        own * prior,
        x0=start,
        preconditioner=diagonal,
        max_iterations=MAX_ITERATION_COUNT,
        converged=lambda residual: float(np.linalg.norm(residual)) <= tolerance,
    )
    return np.asarray(walked, np.float32)


def _step_weights(difference: Float32Array) -> Float32Array:
    squared = (difference**2).sum(axis=2)
    return np.asarray(np.exp(squared / np.float32(-2 * COLOUR_SIGMA_LEVELS**2)) + MIN_STEP_WEIGHT, np.float32)
