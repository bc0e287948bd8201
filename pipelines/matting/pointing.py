"""Correct a coarse matte by pointing: points that belong to the subject, points that do not, and a box around it.

A point that contradicts the matte changes the region it lies in (`point_regions`), limited by points of the other kind.
All else stays as it was. A net that was trained to segment what somebody points at is asked first, where one is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Area, Face, Float32Array, Image, Mask, Window
from pipelines.imaging.resize import dilate_mask, resize_map, size_within
from pipelines.matting.mask_parts import EDGE_WIDTH_PX, find_parts_at, open_mask
from pipelines.matting.net_agreement import ReconciledMatte
from pipelines.matting.point_regions import (
    MIN_REGION_RATIO,
    PERSON_STEP_LEVELS,
    WORK_SIDE_PX,
    PointRegions,
    PredictCrop,
    draw_discs,
    find_pixels,
    geodesic_distance,
    shrink_to_lab,
)
from pipelines.matting.subject_selection import select_subject
from pipelines.matting.sure_regions import find_sure_regions

BOX_MARGIN_RATIO = 0.08  # of the box's longer side, seen around it by the net
SOFT_RIM_PX = 4  # of the copy: the soft rim of a net's map is no wider
MARK_REACH_PX = 48  # of the copy, around a dropped point: a halo there is what was pointed at
KEPT_REACH_PX = 12  # the same around a kept point, which lies on what was left out
OUTLINE_PX = 2  # of the copy: so far from what is opaque its outline lies
SURE_ALPHA = 0.9  # from it a pixel is no part of an outline
WHOLE_BOX_RATIO = 0.95  # of the photo: a box as large says that the subject fills it

Marks = Sequence[tuple[float, float]]
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


NOTHING_POINTED = Pointing()


def select_people(image: Image, seen: Alpha, face: Face | None, faces: Sequence[Face], pick: int = 0) -> Alpha:
    """Select the person with `face` in the net's map without the other `faces`; all of them where there is no `face`.

    Without any faces it is the part of number `pick`. Raises `BadInput` (`no_subject`).
    """
    if not faces:
        return select_subject(seen, pick, None)
    if face is None:
        return np.maximum.reduce(tuple(select_subject(seen, 0, each) for each in faces))
    return remove_other_people(image, select_subject(seen, 0, face), face, faces)


def select_pointed(
    image: Image,
    seen: Alpha,
    pointing: Pointing,
    select: Callable[[Alpha], Alpha],
    predict: PredictCrop,
    segment: SegmentPointed | None = None,
    faces: Sequence[Face] = (),
    views: Sequence[Alpha] = (),
) -> Alpha:
    """Select the subject in the net's map `seen` (H x W, 0 to 1) of `image`, or in a box, and correct it by the points.

    `segment` is a net for pointing, where there is one; `faces` are the photo's; `views` are what each net sees alone.
    Raises `BadInput` (`no_subject`) where nothing stands out and no point says what is meant.
    """
    box = pointing.box
    segmented = None if box is None or segment is None else _segment_box(segment, pointing, box, seen)
    if box is not None and segmented is not None:
        return _cut_to_box(correct_by_points(image, segmented, segmented, pointing, predict, segment, faces), box)
    if box is not None:
        seen = _predict_inside_box(seen, box, predict)
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
    corrected = correct_by_points(image, seen, selected, pointing, predict, segment, faces, views)
    return corrected if box is None else _cut_to_box(corrected, box)


def remove_other_people(image: Image, alpha: Alpha, face: Face, faces: Sequence[Face]) -> Alpha:
    """Remove from the matte of the person with `face` what is nearer to the other people in it, by place and colour."""
    size = size_within(image.shape, WORK_SIDE_PX)
    scale = size[0] / image.shape[1]
    small = resize_map(alpha, size)
    own = _body_points(face, scale, small)
    others = [point for other in faces if other is not face for point in _body_points(other, scale, small)]
    if not own or not any(small[point] > 0.5 for point in others):
        return alpha
    lab = shrink_to_lab(image, size)
    nearer = geodesic_distance(lab, own, PERSON_STEP_LEVELS) <= geodesic_distance(lab, others, PERSON_STEP_LEVELS)
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


def _predict_inside_box(seen: Alpha, box: Area, predict: PredictCrop) -> Alpha:
    """Return what the net sees in the box and a margin alone, and what of its whole map `seen` lies in the box.

    Alone, a plate may be the ground of what lies on it: who draws a box around all of it has seen it kept before.
    """
    height, width = seen.shape
    margin = BOX_MARGIN_RATIO * max(box[2] - box[0], box[3] - box[1])
    area = (max(0.0, box[0] - margin), max(0.0, box[1] - margin), min(1.0, box[2] + margin), min(1.0, box[3] + margin))
    left, top, right, bottom = _to_window(area, (width, height))
    inside = np.zeros_like(seen)
    inside[top:bottom, left:right] = resize_map(predict(area), (right - left, bottom - top))
    return _cut_to_box(np.maximum(inside, seen), box)


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
    faces: Sequence[Face] = (),
    views: Sequence[Alpha] = (),
    *,
    may_reselect: bool = True,
) -> Alpha:
    """Correct the coarse matte `alpha` (H x W, 0 to 1) of `image` by the points; a box is not looked at here.

    `seen` is the net's map before the subject was selected: what else stands out in the photo. `segment` is a net for
    pointing, where there is one. `faces` are the photo's: without `segment`, no point changes the face of somebody who
    was not pointed at. `views` are what each net sees alone: without `segment`, a point where they are unsure does not
    reach into what all of them are sure of. `may_reselect`: where dropped points alone leave next to nothing, another
    subject is taken.
    """
    if not (pointing.keep or pointing.drop):
        return alpha
    size = size_within(image.shape, WORK_SIDE_PX)
    small = resize_map(alpha, size)
    keep, drop = find_pixels(pointing.keep, small.shape), find_pixels(pointing.drop, small.shape)
    regions = PointRegions(image, seen, predict, faces)
    nearer_keep = _nearer_mask(regions.lab, keep, drop)
    sure = find_sure_regions(views, size)
    corrected = small.copy()
    for points, marks, others, value in (
        (keep, pointing.keep, pointing.drop, 1.0),
        (drop, pointing.drop, pointing.keep, 0.0),
    ):
        for point, mark in zip(points, marks, strict=True):
            if (corrected[point] > 0.5) != (value > 0.5):
                region = None if segment is None else segment_region(segment, mark, others, point, small.shape)
                if region is None:
                    if value:
                        region = regions.find_kept(point, corrected, nearer_keep)
                    else:
                        region = regions.find_dropped(point, corrected, ~nearer_keep)
                        if any(region[each] for each in keep):
                            region &= ~nearer_keep
                    if sure is not None:
                        near = nearer_keep if value else ~nearer_keep
                        region = sure.limit_region(region, point, near, is_kept=value > 0.5)
                corrected[region] = value
    if may_reselect and keep == [] and (corrected > 0.5).mean() < MIN_REGION_RATIO:
        corrected = _next_subject(regions.seen, drop)
    corrected = np.where(_find_other_rims(small, corrected, keep, drop), small, corrected)
    for points, value in ((keep, 1.0), (drop, 0.0)):
        corrected[draw_discs(small.shape, points) & (nearer_keep if value else ~nearer_keep)] = value
    change = cv2.GaussianBlur(corrected - small, (0, 0), 0.8)
    changed = np.clip(alpha + resize_map(np.asarray(change, np.float32), alpha.shape[::-1]), 0, 1).astype(np.float32)
    gone = _find_gone(small, corrected)
    if not gone.any():
        return changed
    left = 1 - np.asarray(cv2.GaussianBlur(gone.astype(np.float32), (0, 0), 0.8), np.float32)
    # What is opaque there is a bar too thin for the copy.
    return np.where(alpha > 0.5, changed, np.minimum(changed, resize_map(left, alpha.shape[::-1])))


def _find_other_rims(
    before: Alpha, corrected: Alpha, keep: Sequence[tuple[int, int]], drop: Sequence[tuple[int, int]]
) -> Mask:
    """Find the soft outline of what is left, away from what was taken from `before` or brought into it (H x W each).

    A region of ground, or of the subject with its rim, reaches around the whole subject: there its outline is none of
    what was pointed at. Near the points of `keep` and `drop` (row, column) it may be.
    """
    was_in, is_in = before > 0.5, corrected > 0.5
    outline = dilate_mask(is_in, OUTLINE_PX) & ~draw_discs(before.shape, drop, MARK_REACH_PX)
    thinned = (corrected < before) & (before < SURE_ALPHA) & outline
    thinned &= ~dilate_mask(open_mask(was_in & ~is_in), SOFT_RIM_PX)
    thickened = (corrected > before) & dilate_mask(was_in, OUTLINE_PX)
    thickened &= ~dilate_mask(open_mask(is_in & ~was_in), SOFT_RIM_PX)
    return thinned | (thickened & ~draw_discs(before.shape, keep, KEPT_REACH_PX))


def _find_gone(before: Alpha, corrected: Alpha) -> Mask:
    """Find what was taken from `before` and its soft rim, but nothing near what is left (H x W each).

    A region that a point takes ends where the matte is half transparent; its rim would stay as a thin line.
    """
    took, left = (before > 0.5) & (corrected <= 0.5), corrected > 0.5
    if not took.any():
        return took
    return dilate_mask(took, SOFT_RIM_PX) & ~dilate_mask(left, SOFT_RIM_PX)


def exclude_marked_regions(reconciled: ReconciledMatte, alpha: Alpha, pointing: Pointing) -> ReconciledMatte:
    """Return what nets differ in without what somebody decided: regions pointed at, and all outside of a box.

    Of a region only that is decided in which the finished `alpha` (H x W) follows the mark; the rest is still doubtful.
    The shares go down with the area that is left.
    """
    shape = reconciled.regions.shape
    small = resize_map(alpha, shape[::-1])
    regions, differs = reconciled.regions, reconciled.differs
    if pointing.box is not None:
        inside = _cut_to_box(np.ones(shape, np.float32), pointing.box) > 0
        regions, differs = regions & inside, differs & inside
    for marks, follows in ((pointing.keep, small > 0.5), (pointing.drop, small <= 0.5)):
        discs = draw_discs(shape, find_pixels(marks, shape))
        regions, differs = (_drop_touched(each, discs, follows) for each in (regions, differs))
    return replace(
        reconciled,
        regions=regions,
        differs=differs,
        unsettled=reconciled.unsettled * _share_left(regions, reconciled.regions),
        differing=reconciled.differing * _share_left(differs, reconciled.differs),
    )


def _drop_touched(mask: Mask, discs: Mask, follows: Mask) -> Mask:
    """Return `mask` (h x w) without the discs and what `follows` them in those connected regions that they touch.

    A thin rim joins regions that have nothing to do with each other, so of it only what lies in the discs goes.
    """
    touched = find_parts_at(open_mask(mask), discs) & follows
    return mask & ~discs & ~dilate_mask(touched, EDGE_WIDTH_PX)


def _share_left(after: Mask, before: Mask) -> float:
    """Return the share of `before` that is left, 1 where there was nothing."""
    return float(after.sum() / before.sum()) if before.any() else 1.0


def segment_region(
    segment: SegmentPointed, mark: tuple[float, float], others: Marks, point: tuple[int, int], shape: tuple[int, ...]
) -> Mask | None:
    """Return what a net for pointing sees at a point (H x W of the small copy), None where it sees nothing there."""
    region = resize_map(segment((mark,), others, None), shape[::-1]) > 0.5
    return region if region[point] and region.sum() > MIN_REGION_RATIO * region.size else None


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
    return geodesic_distance(lab, keep) <= geodesic_distance(lab, drop)
