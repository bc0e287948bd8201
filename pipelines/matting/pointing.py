"""Correct a coarse matte by pointing: points that belong to the subject, points that do not, and a box around it.

A point that contradicts the matte changes the region it lies in: what the net sees as one thing on a crop around the
point, else what a random walk (Grady, "Random Walks for Image Segmentation", 2006) reaches from it. Points of the other
kind that are nearer, along a way on which the colour changes little, limit the region. All else stays as it was. A net
that was trained to segment what somebody points at is asked first, where one is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Face, Float32Array, Image, Mask, Window
from pipelines.imaging.resize import resize_map, size_within
from pipelines.matting.conjugate_gradient import conjugate_gradient
from pipelines.matting.subject_selection import select_subject

WORK_SIDE_PX = 256  # longer side of the copy on which regions are decided
POINT_RADIUS_RATIO = 0.012  # of the copy's longer side: the disc that a point settles
CROP_SIDE_RATIO = 0.55  # of the photo's longer side: the crop around a point on which the net looks again
SAME_CROP_RATIO = 0.06  # of the longer side: points nearer to a crop's middle need no crop of their own, as in a stroke
BOX_MARGIN_RATIO = 0.08  # of the box's longer side, seen around it by the net
MIN_REGION_RATIO = 0.002  # of the copy's pixels: the net saw nothing at a point when it says less
MAX_CROP_COUNT = 12  # predictions on crops for one set of points
COLOUR_SIGMA_LEVELS = 6.0  # Lab levels: over such a difference a step of the walk is 0.6 times as likely as over none
MIN_STEP_WEIGHT = 2e-3  # of a step over any edge, so that no pixel is cut off
WALK_TRUST = 0.03  # how often a walk ends at the matte's own value, far from contradicted points, per step
WALK_TRUST_NEAR = 3e-5  # the same beside them
REACH_LEVELS = 120.0  # Lab levels on the way from a point over which the matte is trusted again
GRAIN_LEVELS = 4.0  # of Lab between neighbours that are grain and no change of colour
STEP_LEVELS = 0.6  # levels that a step of one pixel costs on one colour
PERSON_STEP_LEVELS = 3.0  # the same between people, who are told apart by place more than by colour
WHOLE_BOX_RATIO = 0.95  # of the photo: a box as large says that the subject fills it
POINT_WEIGHT = 1e3  # weight of a point's own side in the walk
COARSEST_SIDE_PX = 40  # longer side from which the walk starts no coarser
MIN_WALK_SHARE = 0.25  # of the walks from a pixel that end at the point, from which it follows the point
MAX_ITERATION_COUNT = 60
RELATIVE_TOLERANCE = 2e-3

Marks = Sequence[tuple[float, float]]
Area = tuple[float, float, float, float]
"""Left, top, right, bottom as shares of the photo, 0 to 1."""
PredictCrop = Callable[[Area], Alpha]
"""Returns the net's map of an area of the photo, of any size; 0 to 1."""
SegmentPointed = Callable[[Marks, Marks, Area | None], Alpha]
"""Returns what points lie on and others do not, of any size; 0 to 1. A box lies around it, or is None."""


@dataclass(frozen=True)
class Pointing:
    """What was pointed at, in shares of the photo (0 to 1): `keep` and `drop` points (x, y), a `box` or None."""

    keep: Marks = ()
    drop: Marks = ()
    box: Area | None = None

    def __bool__(self) -> bool:
        return bool(self.keep or self.drop or self.box)


def select_people(image: Image, seen: Alpha, face: Face | None, faces: Sequence[Face], pick: int = 0) -> Alpha:
    """Select the person with `face` in the net's map without the other `faces`; all of them where there is no `face`.

    Without any faces it is the part of number `pick`. Raises `BadInput` (`no_subject`).
    """
    if not faces:
        return select_subject(seen, pick, None)
    if face is None:
        return np.maximum.reduce(tuple(select_subject(seen, 0, each) for each in faces))
    return keep_own_part(image, select_subject(seen, 0, face), face, faces)


def select_pointed(
    image: Image,
    seen: Alpha,
    pointing: Pointing,
    select: Callable[[Alpha], Alpha],
    predict: PredictCrop,
    segment: SegmentPointed | None = None,
) -> Alpha:
    """Select the subject in the net's map `seen` (H x W, 0 to 1) of `image`, or in a box, and correct it by the points.

    `segment` is a net for pointing, where there is one. Raises `BadInput` (`no_subject`) where nothing stands out and
    no point says what is meant.
    """
    box = pointing.box
    segmented = None if box is None or segment is None else _segment_box(segment, pointing, box, seen)
    if box is not None and segmented is not None:
        return _cut_to_box(correct_by_points(image, segmented, segmented, pointing, predict, segment), box)
    if box is not None:
        seen = _look_into_box(seen, box, predict)
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        pointing = pointing if pointing.keep else Pointing((middle,), pointing.drop, box)
    try:
        selected = select(seen) if box is None else select_subject(seen, 0, None)
    except BadInput:
        if box is not None and (box[2] - box[0]) * (box[3] - box[1]) > WHOLE_BOX_RATIO:
            selected = np.ones_like(seen)
        elif pointing.keep:
            selected = np.zeros_like(seen)
        else:
            raise
    corrected = correct_by_points(image, seen, selected, pointing, predict, segment)
    return corrected if box is None else _cut_to_box(corrected, box)


def keep_own_part(image: Image, alpha: Alpha, face: Face, faces: Sequence[Face]) -> Alpha:
    """Remove from the matte of the person with `face` what is nearer to the other people in it, by place and colour."""
    size = size_within(image.shape, WORK_SIDE_PX)
    scale = size[0] / image.shape[1]
    small = resize_map(alpha, size)
    own = _body_points(face, scale, small)
    others = [point for other in faces if other is not face for point in _body_points(other, scale, small)]
    if not own or not any(small[point] > 0.5 for point in others):
        return alpha
    lab = np.asarray(cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB), np.float32)
    nearer = _way_levels(lab, own, PERSON_STEP_LEVELS) <= _way_levels(lab, others, PERSON_STEP_LEVELS)
    kept = cv2.GaussianBlur(nearer.astype(np.float32), (0, 0), 0.8)
    return np.asarray(alpha * resize_map(np.asarray(kept, np.float32), alpha.shape[::-1]), np.float32)


def _body_points(face: Face, scale: float, small: Alpha) -> list[tuple[int, int]]:
    """Return points (row, column) of the small copy on a face, its neck and the chest below it, inside the photo."""
    head = face.box[3] - face.box[1]
    chest = [(face.chin[0] + side * head, face.chin[1] + down * head) for down in (0.5, 1.0) for side in (-0.3, 0, 0.3)]
    points = [face.eye_midpoint, face.left_eye, face.right_eye, face.chin, *chest]
    pixels = [(int(y * scale), int(x * scale)) for x, y in points]
    return [(y, x) for y, x in pixels if 0 <= y < small.shape[0] and 0 <= x < small.shape[1]]


def _segment_box(segment: SegmentPointed, pointing: Pointing, box: Area, seen: Alpha) -> Alpha | None:
    """Return what a net for pointing sees in the box (H x W as `seen`), None where it sees next to nothing."""
    segmented = _cut_to_box(resize_map(segment(pointing.keep, pointing.drop, box), seen.shape[::-1]), box)
    is_there = (segmented > 0.5).mean() > MIN_REGION_RATIO * (box[2] - box[0]) * (box[3] - box[1])
    return segmented if is_there else None


def _look_into_box(seen: Alpha, box: Area, predict: PredictCrop) -> Alpha:
    """Return the net's map of the box and a margin alone, cut to the box."""
    height, width = seen.shape
    margin = BOX_MARGIN_RATIO * max(box[2] - box[0], box[3] - box[1])
    area = (max(0.0, box[0] - margin), max(0.0, box[1] - margin), min(1.0, box[2] + margin), min(1.0, box[3] + margin))
    left, top, right, bottom = _to_window(area, (width, height))
    inside = np.zeros_like(seen)
    inside[top:bottom, left:right] = resize_map(predict(area), (right - left, bottom - top))
    return _cut_to_box(inside, box)


def _cut_to_box(alpha: Alpha, box: Area) -> Alpha:
    """Return `alpha` inside the box, 0 outside it."""
    height, width = alpha.shape
    left, top, right, bottom = _to_window(box, (width, height))
    result = np.zeros_like(alpha)
    result[top:bottom, left:right] = alpha[top:bottom, left:right]
    return result


def _to_window(area: Area, size: tuple[int, int]) -> Window:
    """Return an area in whole pixels of a picture of `size` (width, height); at least one pixel wide and tall."""
    width, height = size
    left, top = min(int(area[0] * width), width - 1), min(int(area[1] * height), height - 1)
    return left, top, max(round(area[2] * width), left + 1), max(round(area[3] * height), top + 1)


def crop_area(image: Image, area: Area) -> Image:
    """Return the part of `image` (H x W x 3) inside an area, contiguous."""
    left, top, right, bottom = _to_window(area, (image.shape[1], image.shape[0]))
    return np.ascontiguousarray(image[top:bottom, left:right])


def correct_by_points(
    image: Image,
    seen: Alpha,
    alpha: Alpha,
    pointing: Pointing,
    predict: PredictCrop,
    segment: SegmentPointed | None = None,
) -> Alpha:
    """Correct the coarse matte `alpha` (H x W, 0 to 1) of `image` by the points; a box is not looked at here.

    `seen` is the net's map before the subject was selected: what else stands out in the photo. `segment` is a net for
    pointing, where there is one.
    """
    if not (pointing.keep or pointing.drop):
        return alpha
    size = size_within(image.shape, WORK_SIDE_PX)
    shrunk = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    lab = np.asarray(cv2.cvtColor(shrunk, cv2.COLOR_RGB2LAB), np.float32)
    small, small_seen = resize_map(alpha, size), resize_map(seen, size)
    keep, drop = _to_pixels(pointing.keep, small), _to_pixels(pointing.drop, small)
    nearer_keep = _nearer_mask(lab, keep, drop)
    regions = _PointRegions(lab, small_seen, predict)
    corrected = small.copy()
    for points, marks, others, value in (
        (keep, pointing.keep, pointing.drop, 1.0),
        (drop, pointing.drop, pointing.keep, 0.0),
    ):
        for point, mark in zip(points, marks, strict=True):
            if (corrected[point] > 0.5) != (value > 0.5):
                region = None if segment is None else _segment_region(segment, mark, others, point, small.shape)
                if region is None:
                    region = regions.find_region(point, corrected, value)
                    region &= nearer_keep if value else ~nearer_keep
                corrected[region] = value
    if keep == [] and (corrected > 0.5).mean() < MIN_REGION_RATIO:
        corrected = _next_subject(small_seen, drop)
    radius = max(2, round(POINT_RADIUS_RATIO * max(small.shape)))
    for points, value in ((keep, 1.0), (drop, 0.0)):
        corrected[_draw_discs(small.shape, points, radius) & (nearer_keep if value else ~nearer_keep)] = value
    change = cv2.GaussianBlur(corrected - small, (0, 0), 0.8)
    return np.clip(alpha + resize_map(np.asarray(change, np.float32), alpha.shape[::-1]), 0, 1).astype(np.float32)


def settle_points(refined: Alpha, selected: Alpha, pointing: Pointing) -> Alpha:
    """Return `refined` (H x W, 0 to 1) with `selected` in the discs of the points that it contradicts.

    `selected` is the corrected matte before its edges were estimated anew from the colours.
    """
    size = size_within(refined.shape, WORK_SIDE_PX)
    weight = np.zeros(size[::-1], np.float32)
    for marks, is_kept in ((pointing.keep, True), (pointing.drop, False)):
        pixels = zip(_to_pixels(marks, refined), _to_pixels(marks, weight), strict=True)
        contradicted = [small for pixel, small in pixels if (refined[pixel] > 0.5) != is_kept]
        weight[_draw_discs(weight.shape, contradicted, max(2, round(POINT_RADIUS_RATIO * max(size))))] = 1
    if not weight.any():
        return refined
    soft = np.asarray(cv2.GaussianBlur(weight, (0, 0), 0.8), np.float32)
    share = np.clip(resize_map(soft, refined.shape[::-1]), 0, 1)
    return np.asarray(refined + share * (selected - refined), np.float32)


def _segment_region(
    segment: SegmentPointed, mark: tuple[float, float], others: Marks, point: tuple[int, int], shape: tuple[int, ...]
) -> Mask | None:
    """Return what a net for pointing sees at a point (H x W of the small copy), None where it sees nothing there."""
    region = resize_map(segment((mark,), others, None), shape[::-1]) > 0.5
    return region if region[point] and region.sum() > MIN_REGION_RATIO * region.size else None


class _PointRegions:
    """Finds the region that a point changes; a crop of the net serves all points near its middle."""

    def __init__(self, lab: Float32Array, seen: Alpha, predict: PredictCrop) -> None:
        self._lab = lab
        self._seen = seen
        self._predict = predict
        self._crops: list[tuple[tuple[int, int], Alpha]] = []

    def find_region(self, point: tuple[int, int], alpha: Alpha, value: float) -> Mask:
        """Return the region (H x W of the small copy) around `point` (row, column) that takes `value`, 0 or 1."""
        region = _part_at(self._crop_at(point), point)
        if value:
            region |= _part_at(self._seen, point)
        else:
            whole = _part_at(alpha, point)
            share = float((region & whole).sum() / max(whole.sum(), 1))
            region = whole if share > 0.6 else region & whole
        if region.sum() > MIN_REGION_RATIO * region.size:
            return region
        return _walk_region(self._lab, alpha, point, value)

    def _crop_at(self, point: tuple[int, int]) -> Alpha:
        """Return the net's map on a crop around the point, 0 outside it."""
        longer = max(self._lab.shape[:2])
        for middle, alpha in self._crops:
            if np.hypot(middle[0] - point[0], middle[1] - point[1]) < SAME_CROP_RATIO * longer:
                return alpha
        alpha = np.zeros(self._lab.shape[:2], np.float32)
        if len(self._crops) < MAX_CROP_COUNT:
            self._draw_crop(point, alpha)
            self._crops.append((point, alpha))
        return alpha

    def _draw_crop(self, point: tuple[int, int], alpha: Alpha) -> None:
        rows, columns = alpha.shape
        half = CROP_SIDE_RATIO * max(rows, columns) / 2
        top, bottom = max(0, round(point[0] - half)), min(rows, round(point[0] + half))
        left, right = max(0, round(point[1] - half)), min(columns, round(point[1] + half))
        area = left / columns, top / rows, right / columns, bottom / rows
        alpha[top:bottom, left:right] = resize_map(self._predict(area), (right - left, bottom - top))


def _to_pixels(marks: Marks, alpha: Alpha) -> list[tuple[int, int]]:
    """Return points as row and column of `alpha`."""
    height, width = alpha.shape
    return [(min(int(y * height), height - 1), min(int(x * width), width - 1)) for x, y in marks]


def _draw_discs(shape: tuple[int, ...], points: Iterable[tuple[int, int]], radius: int) -> Mask:
    """Return discs around points (row, column)."""
    mask = np.zeros(shape, np.uint8)
    for row, column in points:
        cv2.circle(mask, (column, row), radius, 1, -1)
    return mask > 0


def _part_at(alpha: Alpha, point: tuple[int, int]) -> Mask:
    """Return the connected part of alpha > 0.5 at the point; empty where there is none."""
    _count, labels = cv2.connectedComponents((alpha > 0.5).astype(np.uint8))
    label = labels[point]
    return labels == label if label else np.zeros(alpha.shape, np.bool_)


def _next_subject(seen: Alpha, drop: Sequence[tuple[int, int]]) -> Alpha:
    """Return the largest part that stands out and holds no dropped point: the subject was another one."""
    _count, labels, stats, _ = cv2.connectedComponentsWithStats((seen > 0.5).astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[[0, *(labels[point] for point in drop)]] = 0
    return np.where((labels == areas.argmax()) & (areas.max() > 0), seen, 0).astype(np.float32)


def _nearer_mask(lab: Float32Array, keep: list[tuple[int, int]], drop: list[tuple[int, int]]) -> Mask:
    """Return where a kept point is nearer than every dropped one, along ways on which the colour changes little."""
    if not keep or not drop:
        return np.full(lab.shape[:2], bool(keep))
    return _way_levels(lab, keep) <= _way_levels(lab, drop)


def _way_levels(lab: Float32Array, points: list[tuple[int, int]], step_levels: float = STEP_LEVELS) -> Float32Array:
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


def _walk_region(lab: Float32Array, alpha: Alpha, point: tuple[int, int], value: float) -> Mask:
    """Return what a random walk with the matte as its prior gives to the point's side, connected to the point."""
    near = np.exp(-((_way_levels(lab, [point]) / REACH_LEVELS) ** 2))
    own = (WALK_TRUST * (1 - near) + WALK_TRUST_NEAR * near).astype(np.float32)
    prior = alpha.astype(np.float32)
    disc = _draw_discs(alpha.shape, [point], max(2, round(POINT_RADIUS_RATIO * max(alpha.shape))))
    own[disc], prior[disc] = POINT_WEIGHT, value
    walked = _solve_walk(lab, own, prior)
    side = walked if value else 1 - walked
    return _part_at(side + np.float32(0.5 - MIN_WALK_SHARE), point) & ((alpha > 0.5) != (value > 0.5))


def _solve_walk(lab: Float32Array, own: Float32Array, prior: Alpha) -> Alpha:
    """Return how likely a walk ends at 1, where it ends at a pixel's `prior` as often as `own` says, per step."""
    start = prior
    if max(lab.shape) > COARSEST_SIDE_PX:  # a coarse walk first: from its result the fine one has a short way to go
        half = max(lab.shape[1] // 2, 1), max(lab.shape[0] // 2, 1)
        weight = resize_map(own, half)
        coarse_prior = resize_map(own * prior, half) / weight
        coarse = _solve_walk(resize_map(lab, half), 4 * weight, np.asarray(coarse_prior, np.float32))
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
