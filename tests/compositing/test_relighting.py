"""Relighting fits a subject to its scene, and skin no farther than it may."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.compositing.relighting import (
    MAX_BLACK_LIFT,
    MAX_BOUNCE_SHIFT,
    MAX_BRIGHTENING_STOPS,
    MAX_DARKENING_STOPS,
    MAX_SIDE_STOPS,
    MAX_SKIN_HUE_SHIFT,
    MAX_SKIN_LIGHTNESS_SHIFT,
    relight_subject,
)
from pipelines.core.geometry import Colour, Frame, Image, PlacedSubject
from pipelines.imaging.color import LUMINANCE_WEIGHTS, measure_lightness, to_linear
from tests.support.examples import make_blob

SIDE = 200
BLUE, SKIN, DARK_SKIN, BLACK, WHITE = (40, 80, 170), (205, 160, 135), (105, 70, 52), (4, 4, 5), (252, 252, 252)


def paint(colour: Colour) -> Image:
    return np.full((SIDE, SIDE, 3), colour, np.uint8)


def place(colour: Colour, ground: Colour = (150, 150, 150), *, has_background: bool = True) -> PlacedSubject:
    """A disc of one colour before a ground of another, in a frame that the photo fills."""
    alpha = make_blob(SIDE, SIDE, (100, 100), (60, 60))
    image = np.where(alpha[..., None] > 0.5, paint(colour), paint(ground)).astype(np.uint8)
    frame = Frame(np.eye(2, 3), (SIDE, SIDE), 1.0, 0.0, True, (0, 0, SIDE, SIDE))
    return PlacedSubject(image, alpha, frame, has_background=has_background)


def measure_stops(before: Image, after: Image) -> float:
    """By how many stops a place (H x W x 3) got lighter."""
    return float(
        np.log2((to_linear(after) @ LUMINANCE_WEIGHTS).mean() / (to_linear(before) @ LUMINANCE_WEIGHTS).mean())
    )


def middle(image: Image) -> Image:
    return image[95:105, 95:105]


def read_lab(image: Image) -> np.ndarray:
    return cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3).mean(axis=0)


@pytest.mark.parametrize("scene", [(3, 3, 8), (250, 250, 250), (90, 20, 20), (250, 190, 90), (20, 60, 140)])
@pytest.mark.parametrize("colour", [SKIN, DARK_SKIN])
def test_skin_moves_no_more_than_it_may(colour: Colour, scene: Colour) -> None:
    placed = place(colour)
    before, after = (read_lab(middle(image)) for image in (placed.colour, relight_subject(placed, paint(scene))))
    assert abs(after[0] - before[0]) <= MAX_SKIN_LIGHTNESS_SHIFT + 0.5  # a step of 8 bits
    turn = np.degrees(np.arctan2(after[2], after[1]) - np.arctan2(before[2], before[1]))
    assert abs(turn) <= MAX_SKIN_HUE_SHIFT + 1


FAIR, PINK, TUNGSTEN, BROWN = (235, 222, 215), (225, 165, 165), (235, 190, 110), (110, 75, 50)
VERY_DARK, IN_SHADOW = (48, 33, 27), (40, 27, 22)


@pytest.mark.parametrize("colour", [SKIN, FAIR, PINK, TUNGSTEN, VERY_DARK, IN_SHADOW])
@pytest.mark.parametrize("beside", [BLUE, BROWN])
@pytest.mark.parametrize("scene", ["dusk", "side", "warm", "haze"])
def test_a_small_face_beside_clothes_moves_no_more_either(colour: Colour, beside: Colour, scene: str) -> None:
    placed = place(beside)
    placed.colour[94:106, 94:106] = colour  # less than 2 % of the subject
    placed.colour[50:60, 90:110] = BLACK  # a hat
    plate = paint({"warm": (240, 170, 90), "haze": (120, 120, 120)}.get(scene, (14, 14, 16)))
    if scene == "side":
        plate[:, 100:] = 200
    if scene == "haze":
        plate[190:] = (70, 70, 72)
    before, after = (read_lab(image[96:104, 96:104]) for image in (placed.colour, relight_subject(placed, plate)))
    assert abs(after[0] - before[0]) <= MAX_SKIN_LIGHTNESS_SHIFT + 0.6
    if np.hypot(before[1], before[2]) > 10:
        turn = np.degrees(np.arctan2(after[2], after[1]) - np.arctan2(before[2], before[1]))
        assert abs(turn) <= MAX_SKIN_HUE_SHIFT + 1.5


def test_skin_in_black_and_white_moves_no_more_either() -> None:
    placed = place((150, 150, 150), (90, 90, 90))
    before, after = (read_lab(middle(image)) for image in (placed.colour, relight_subject(placed, paint((3, 3, 4)))))
    assert 1 < before[0] - after[0] <= MAX_SKIN_LIGHTNESS_SHIFT + 0.5


def test_a_thing_before_dusk_gets_darker_by_up_to_a_stop_and_in_the_sun_hardly_lighter() -> None:
    placed = place(BLUE)
    stops = {name: measure_stops(middle(placed.colour), middle(relight_subject(placed, paint(scene))))
             for name, scene in (("dusk", (14, 14, 16)), ("sun", (245, 245, 245)))}  # fmt: skip
    assert -MAX_DARKENING_STOPS - 0.1 <= stops["dusk"] < -0.6
    assert 0 <= stops["sun"] <= MAX_BRIGHTENING_STOPS + 0.05


@pytest.mark.parametrize("has_background", [True, False])
def test_white_paper_behind_a_thing_does_not_make_it_dark_in_a_room(has_background: bool) -> None:
    placed, room = place(BLUE, WHITE, has_background=has_background), paint((120, 120, 120))
    assert -0.25 < measure_stops(middle(placed.colour), middle(relight_subject(placed, room))) <= 0.15


def test_of_a_photo_without_a_background_the_thing_alone_tells_its_light() -> None:
    scene = paint((60, 60, 60))
    with_ground, without = (
        measure_stops(middle(placed.colour), middle(relight_subject(placed, scene)))
        for placed in (place(BLUE, BLACK), place(BLUE, BLACK, has_background=False))
    )
    assert with_ground > without + 0.2  # a dark photo is no brighter than the scene


def measure_rise(colour: Colour, scene: Image) -> float:
    """By how much L* the middle of a thing of that colour rises in a scene as light as its photo."""
    placed = place(colour, (120, 120, 120))
    after = middle(relight_subject(placed, scene))
    return float((measure_lightness(after) - measure_lightness(middle(placed.colour))).mean())


def test_black_rises_to_the_haze_and_on_paper_where_nothing_is_dark_it_stays() -> None:
    haze, paper = paint((120, 120, 120)), paint((120, 120, 120))
    haze[190:] = (50, 50, 52)
    assert 3 < measure_rise(BLACK, haze) <= MAX_BLACK_LIFT + 0.6
    assert measure_rise(BLACK, paper) == pytest.approx(0, abs=0.6)
    assert measure_rise(WHITE, haze) < 1


def test_mid_grey_rises_by_a_quarter_of_what_black_does() -> None:
    haze = paint((120, 120, 120))
    haze[190:] = (50, 50, 52)
    placed = place((126, 126, 126), (120, 120, 120))
    placed.colour[50:75, 90:110] = BLACK
    after = relight_subject(placed, haze)
    black, grey = (float((after[part] - placed.colour[part].astype(np.float32)).mean())
                   for part in ((slice(52, 70), slice(92, 108)), (slice(95, 105), slice(95, 105))))  # fmt: skip
    assert black > 8
    assert 0.05 * black < grey < 0.3 * black


def test_the_side_of_more_light_gets_lighter_and_the_middle_stays() -> None:
    scene = paint((130, 130, 130))
    scene[:, 100:] = 230
    placed = place(BLUE)
    relit = relight_subject(placed, scene)
    left, centre, right = (
        measure_stops(placed.colour[95:105, x : x + 8], relit[95:105, x : x + 8]) for x in (44, 96, 148)
    )
    assert left < centre < right
    assert right - left == pytest.approx(2 * MAX_SIDE_STOPS, abs=0.12)


def test_a_coloured_light_is_seen_on_grey() -> None:
    placed = place((128, 128, 128))
    warm, cold = (read_lab(middle(relight_subject(placed, paint(scene)))) for scene in ((240, 170, 90), (90, 140, 240)))
    assert warm[2] > 3 > -3 > cold[2]


def test_without_lightness_the_colours_alone_change() -> None:
    placed = place(BLUE)
    before, after = (
        read_lab(middle(image))
        for image in (placed.colour, relight_subject(placed, paint((240, 150, 60)), shift_lightness=False))
    )
    assert abs(after[0] - before[0]) < 0.4
    assert 0 < np.abs(after[1:] - before[1:]).max() <= MAX_BOUNCE_SHIFT + 0.4


def test_nothing_opaque_is_left_as_it_is() -> None:
    placed = place(BLUE)
    empty = PlacedSubject(placed.colour, np.zeros_like(placed.alpha), placed.frame)
    assert (relight_subject(empty, paint((10, 10, 10))) == placed.colour).all()


def test_a_black_thing_before_a_black_scene_is_left_as_it_is() -> None:
    placed = place((0, 0, 0), (0, 0, 0), has_background=False)
    assert (relight_subject(placed, paint((0, 0, 0))) == placed.colour).all()
