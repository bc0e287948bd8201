"""Repair by pointing: IoU after clicks at the centre of the largest wrong region, on subjects that the nets get wrong.

Each picture shows two objects with exact truth (`matte_error`); one of them is meant. The first 30 pictures count of
which the automatic choice has an IoU under 0.85. Then pictures of one object with a patch of ground that a net took for
a part of it, or without a part that a net missed; a closer look sees no better.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Image
from pipelines.imaging.resize import resize_image, resize_map, size_within
from pipelines.matting.cutout import rescale_net_alpha
from pipelines.matting.point_regions import Area, PredictCrop
from pipelines.matting.pointing import Pointing, correct_by_points, crop_area
from pipelines.matting.subject_selection import select_subject
from pipelines.models import nets
from pipelines.models.nets.u2net import U2Net
from tests.bench.pictures.matte_error import TRUTH_FOLDER, composite_object, make_composites, make_ground
from tests.bench.rows import Row, make_row

SUBJECT_COUNT = 30
WRONG_IOU = 0.85
DRAFT_SIDE_PX = 512
CLICK_COUNTS = (1, 3)
PATCH_SHARES = (0.12, 0.4)  # of the object: the smallest and the largest patch that is wrong
MIN_WRONG_SHARE = 0.05  # of the object, from which a patch counts
PATCH_EDGE_PX = 1.5  # how soft the outline of a net's map is
PredictMap = Callable[[Image], Alpha]


@dataclass(frozen=True)
class WrongSubject:
    """A picture (H x W x 3), the truth of what is meant, what the net saw, and what it chose; H x W each."""

    image: Image
    truth: Alpha
    seen: Alpha
    chosen: Alpha


def rows() -> Iterator[Row]:
    """`point_iou_…`: before clicks, after one and after three, for each kind; `point_ms`: the median of a click."""
    net = nets.load(nets.U2NETP, "cpu")
    assert isinstance(net, U2Net)
    subjects = list(find_wrong_subjects(net.predict_map))
    runs = [click_through(subject, partial(_predict_crop, net.predict_map, subject.image)) for subject in subjects]
    net.close()
    automatic, *clicked = (_mean_of(iou[count] for iou, _ in runs) for count in (0, *CLICK_COUNTS))
    yield make_row("point_iou_automatic", automatic, "IoU", WRONG_IOU)
    for name, value, bound in zip(("one_click", "three_clicks"), clicked, (0.65, 0.8), strict=True):
        yield make_row(f"point_iou_{name}", value, "IoU", bound, at_most=False)
    yield make_row("point_ms", 1000 * statistics.median(s for _, seconds in runs for s in seconds), "ms", 400)
    for name, is_ground, bound in (("ground_taken", True, 0.94), ("part_missing", False, 0.93)):
        patched = [click_through(each, partial(crop_map, each.seen)) for each in patch_subjects(is_ground=is_ground)]
        wrong, *clicked = (_mean_of(iou[count] for iou, _ in patched) for count in (0, *CLICK_COUNTS))
        yield make_row(f"point_iou_{name}", wrong, "IoU", WRONG_IOU)
        yield make_row(f"point_iou_{name}_one_click", clicked[0], "IoU", bound, at_most=False)
        yield make_row(f"point_iou_{name}_three_clicks", clicked[1], "IoU", bound, at_most=False)


def find_wrong_subjects(predict: PredictMap) -> Iterator[WrongSubject]:
    """Find the first pictures of which the automatic choice is wrong."""
    count = 0
    for image, truth in make_pairs():
        size = size_within(image.shape, DRAFT_SIDE_PX)
        small, meant = resize_image(image, size), resize_map(truth, size)
        seen = resize_map(rescale_net_alpha(predict(small)), size)
        try:
            chosen = select_subject(seen, 0, None)
        except BadInput:
            chosen = np.zeros_like(seen)
        if measure_iou(chosen, meant) < WRONG_IOU:
            yield WrongSubject(small, meant, seen, chosen)
            count += 1
        if count == SUBJECT_COUNT:
            return


def make_pairs() -> Iterator[tuple[Image, Alpha]]:
    """Make pictures of two objects and the alpha of the first, which the second may cover; the same every time."""
    grounds = sorted((TRUTH_FOLDER / "grounds").glob("*.webp"))
    objects = sorted((TRUTH_FOLDER / "objects").glob("*.webp"))
    for index in range(4 * len(objects)):
        first, second = objects[index % len(objects)], objects[(7 * index + 11) % len(objects)]
        ground = make_ground(index, grounds[index % len(grounds)])
        meant = composite_object(first, ground, (1.0, 1.3, 0.8)[index % 3], 2 * index)
        both = composite_object(second, meant.image, (1.3, 0.8, 1.0)[index % 3], 2 * index + 1)
        truth = meant.alpha * (1 - both.alpha)
        if truth.sum() > 0.6 * meant.alpha.sum():
            yield both.image, np.asarray(truth, np.float32)


def patch_subjects(*, is_ground: bool) -> Iterator[WrongSubject]:
    """Make pictures of an object whose map has a patch of ground at its outline, or lacks a part there."""
    for index, composite in enumerate(make_composites()):
        size = size_within(composite.image.shape, DRAFT_SIDE_PX)
        image, truth = resize_image(composite.image, size), resize_map(composite.alpha, size)
        random, solid = np.random.default_rng(700 + index), truth > 0.5
        rim = np.argwhere(solid & ~(cv2.erode(solid.astype(np.uint8), np.ones((3, 3))) > 0))
        row, column = rim[random.integers(len(rim))].tolist()
        radius = float(np.sqrt(random.uniform(*PATCH_SHARES) * solid.sum() / np.pi))
        patch, axes = np.zeros(solid.shape, np.uint8), (int(1.3 * radius), int(radius))
        cv2.ellipse(patch, (column, row), axes, random.uniform(0, 180), 0, 360, 1, -1)
        wrong = (patch > 0) & (solid != is_ground)
        if wrong.sum() > MIN_WRONG_SHARE * solid.sum():
            hard = np.where(patch > 0, np.float32(is_ground), truth).astype(np.float32)
            seen = np.clip(cv2.GaussianBlur(hard, (0, 0), PATCH_EDGE_PX), 0, 1).astype(np.float32)
            yield WrongSubject(image, truth, seen, seen)


def crop_map(seen: Alpha, area: Area) -> Alpha:
    """Return an area of a map: what a net sees that sees no better on a crop."""
    left, right = (round(edge * seen.shape[1]) for edge in area[::2])
    top, bottom = (round(edge * seen.shape[0]) for edge in area[1::2])
    return seen[top : max(bottom, top + 1), left : max(right, left + 1)]


def _predict_crop(predict: PredictMap, image: Image, area: Area) -> Alpha:
    return rescale_net_alpha(predict(crop_area(image, area)))


def click_through(subject: WrongSubject, predict: PredictCrop) -> tuple[list[float], list[float]]:
    """Click until the last of `CLICK_COUNTS`; the IoU before and after each click, and the seconds of each."""
    keep: list[tuple[float, float]] = []
    drop: list[tuple[float, float]] = []
    known: dict[Area, Alpha] = {}

    def predict_crop(area: Area) -> Alpha:
        if area not in known:
            known[area] = predict(area)
        return known[area]

    alpha, ious, seconds = subject.chosen, [measure_iou(subject.chosen, subject.truth)], []
    for _ in range(max(CLICK_COUNTS)):
        belongs, point = find_click(alpha, subject.truth)
        (keep if belongs else drop).append(point)
        since = time.perf_counter()
        alpha = correct_by_points(subject.image, subject.seen, subject.chosen, Pointing(keep, drop), predict_crop)
        seconds.append(time.perf_counter() - since)
        ious.append(measure_iou(alpha, subject.truth))
    return ious, seconds


def find_click(alpha: Alpha, truth: Alpha) -> tuple[bool, tuple[float, float]]:
    """Return whether what lies there belongs to the subject, and the innermost point of the largest wrong region."""
    best_area, found = 0, (True, (0.5, 0.5))
    for belongs in (True, False):
        wrong = ((truth > 0.5) & (alpha <= 0.5)) if belongs else ((truth <= 0.5) & (alpha > 0.5))
        _, labels, stats, _ = cv2.connectedComponentsWithStats(wrong.astype(np.uint8))
        areas = stats[1:, cv2.CC_STAT_AREA]
        if len(areas) and areas.max() > best_area:
            best_area = int(areas.max())
            region = np.pad((labels == 1 + areas.argmax()).astype(np.uint8), 1)
            distance = cv2.distanceTransform(region, cv2.DIST_L2, 5)[1:-1, 1:-1]
            row, column = np.unravel_index(distance.argmax(), distance.shape)
            found = belongs, ((float(column) + 0.5) / alpha.shape[1], (float(row) + 0.5) / alpha.shape[0])
    return found


def measure_iou(alpha: Alpha, truth: Alpha) -> float:
    """Return intersection over union of both at 0.5."""
    one, two = alpha > 0.5, truth > 0.5
    return float((one & two).sum() / max((one | two).sum(), 1))


def _mean_of(values: Iterator[float]) -> float:
    return float(np.mean(list(values)))
