"""Turntable sets: photos of one thing get one scale, baseline and exposure."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.compositing.turntable import (
    BASELINE_TOLERANCE_RATIO,
    LIGHTNESS_TOLERANCE,
    SCALE_TOLERANCE_RATIO,
    match_exposure,
    match_frame,
    measure_deviation,
    measure_extent,
)
from pipelines.core.geometry import Cutout
from pipelines.core.params import Subject
from pipelines.framing.placement import frame_subject
from pipelines.framing.resample import place_subject
from pipelines.imaging.color import measure_lightness
from pipelines.matting.cutout import cut_out_subject
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import ModelCache
from tests.support.examples import change_exposure, load_example, make_blob, make_cutout, make_noise

SIZE = (512, 512)


def move_picture(picture: np.ndarray, scale: float, down: float, border: int = cv2.BORDER_REFLECT) -> np.ndarray:
    """The picture from further away, and lower."""
    height, width = picture.shape[:2]
    matrix = np.array([[scale, 0, width / 2 * (1 - scale)], [0, scale, height / 2 * (1 - scale) + down]])
    return cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_AREA, borderMode=border)


@pytest.fixture(scope="module")
def cup() -> Cutout:
    with ModelCache(FAMILIES).borrow_model("u2netp") as net:
        return cut_out_subject(load_example("coffee"), net)


@pytest.mark.parametrize(("scale", "down", "gain"), [(0.9, -22, 0.6), (0.8, 20, 1.25)])
def test_known_changes_of_scale_baseline_and_exposure_are_undone(
    cup: Cutout, scale: float, down: float, gain: float
) -> None:
    photo = change_exposure(np.asarray(move_picture(load_example("coffee"), scale, down), np.uint8), gain)
    alpha = np.asarray(move_picture(cup.alpha, scale, down, cv2.BORDER_CONSTANT), np.float32)
    first, other = cup, make_cutout(photo, alpha)
    frame = frame_subject(first.alpha, SIZE, 0.7, Subject(photo="x"), anchor="floor", floor=0.85)
    back = match_frame(first, frame, other)
    # What was planted, then what took it back: together they are the first photo's own way into the frame.
    assert back.scale * scale / frame.scale == pytest.approx(1, abs=SCALE_TOLERANCE_RATIO)
    base = measure_extent(first.colour, first.alpha).base
    planted_base = scale * base + load_example("coffee").shape[0] / 2 * (1 - scale) + down
    lands, should = (f.matrix[1, 2] + f.scale * y for f, y in ((back, planted_base), (frame, base)))
    assert lands == pytest.approx(should, abs=BASELINE_TOLERANCE_RATIO * SIZE[1])
    one = place_subject(load_example("coffee"), first, frame)
    two = place_subject(photo, other, back)
    light = measure_extent(one.colour, one.alpha).light
    levelled = match_exposure(two.colour, two.alpha, light)
    inside = (one.alpha > 0.99) & (two.alpha > 0.99)
    assert (
        abs(float(np.median(measure_lightness(levelled)[inside]) - np.median(measure_lightness(one.colour)[inside])))
        < LIGHTNESS_TOLERANCE
    )
    assert measure_deviation(
        [measure_extent(one.colour, one.alpha), measure_extent(levelled, two.alpha)], SIZE[1]
    ).is_consistent


def test_an_unmatched_set_is_inconsistent() -> None:
    """The measure itself: a set that differs by a little more than is allowed in one thing is no set."""
    image = make_noise(400, 400, 120, 5)
    rows = {
        "same": (make_blob(400, 400, (200, 200), (80, 100)), image),
        "larger": (make_blob(400, 400, (200, 198), (80, 102)), image),
        "lower": (make_blob(400, 400, (200, 204), (80, 100)), image),
        "lighter": (make_blob(400, 400, (200, 200), (80, 100)), make_noise(400, 400, 132, 5)),
    }
    stands = {name: measure_extent(colour, alpha) for name, (alpha, colour) in rows.items()}
    assert measure_deviation([stands["same"], stands["same"]], 400).is_consistent
    for name in ("larger", "lower", "lighter"):
        assert not measure_deviation([stands["same"], stands[name]], 400).is_consistent, name
    assert measure_deviation([stands["same"], stands["lower"]], 400).base == pytest.approx(0.01, abs=1e-4)


def test_edges_are_measured_to_a_third_of_a_pixel() -> None:
    image = make_noise(300, 300)
    large = [make_blob(1200, 1200, (600, down), (240, 300)) for down in (600, 598)]
    low, up = (np.asarray(cv2.resize(a, (300, 300), interpolation=cv2.INTER_AREA), np.float32) for a in large)
    assert measure_extent(image, low).base - measure_extent(image, up).base == pytest.approx(0.5, abs=0.33)


def test_one_gain_and_no_more_than_two_stops() -> None:
    alpha, dark = make_blob(200, 200, (100, 100), (70, 70)), make_noise(200, 200, 4, 1)
    lifted = match_exposure(dark, alpha, 60)
    assert measure_extent(lifted, alpha).light < 20, "a photo that is lost stays lost"
    middle = make_noise(200, 200, 90, 8)
    assert measure_extent(match_exposure(middle, alpha, 50), alpha).light == pytest.approx(50, abs=0.5)
