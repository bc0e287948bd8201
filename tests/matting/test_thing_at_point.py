"""A press on a photo means the whole thing there and nothing else, or nothing where no thing is clear."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Area, Face, Image
from pipelines.matting.pointing import Pointing
from pipelines.matting.thing_at_point import draw_outline, select_things
from tests.support.examples import make_noise

LEFT, RIGHT = (0.25, 0.5), (0.75, 0.5)


def make_two_discs() -> tuple[Image, Alpha]:
    """A large and a small disc on a grainy wall, and what a net sees of them."""
    image, seen = make_noise(200, 300, 120, 4).copy(), np.zeros((200, 300), np.float32)
    for centre, radius, colour in (((75, 100), 50, (200, 40, 40)), ((225, 100), 35, (40, 60, 200))):
        cv2.circle(image, centre, radius, colour, -1)
        cv2.circle(seen, centre, radius, 1.0, -1)
    return image, seen


def select(image: Image, seen: Alpha, pointing: Pointing, faces: Sequence[Face] = ()) -> Alpha:
    def predict(area: Area) -> Alpha:
        height, width = seen.shape
        left, top, right, bottom = (round(each) for each in np.multiply(area, (width, height, width, height)))
        return np.ascontiguousarray(seen[top:bottom, left:right])

    return select_things(image, seen, pointing, predict, faces=faces)


def test_a_point_selects_the_thing_under_it_alone() -> None:
    image, seen = make_two_discs()
    for mark, (own, other) in ((LEFT, ((100, 75), (100, 225))), (RIGHT, ((100, 225), (100, 75)))):
        alpha = select(image, seen, Pointing((mark,)))
        assert alpha[own] > 0.9
        assert alpha[other] < 0.1
    both = select(image, seen, Pointing((LEFT, RIGHT)))
    assert both[100, 75] > 0.9
    assert both[100, 225] > 0.9
    left = select(image, seen, Pointing((LEFT, RIGHT), (RIGHT,)))
    assert left[100, 75] > 0.9
    assert left[100, 225] < 0.1


def test_what_no_net_sees_is_a_thing_where_an_edge_bounds_it() -> None:
    image, seen = make_two_discs()
    alpha = select(image, np.zeros_like(seen), Pointing((RIGHT,)))
    truth = seen * (np.arange(300) > 150)
    assert np.abs((alpha > 0.5) - truth).sum() < 0.15 * truth.sum()
    face = Face(np.zeros((468, 2), np.float32), (60, 20, 90, 50), (70, 30), (80, 30), (75, 48), 0.0, 1.0)
    beside_somebody = select(image, np.zeros_like(seen), Pointing((RIGHT,)), (face,))
    assert ((beside_somebody > 0.5) == (alpha > 0.5)).all(), "no net sees the person either"
    with pytest.raises(BadInput, match="Nothing clear") as refused:
        select(image, seen, Pointing(((0.5, 0.08),)))
    assert refused.value.param == "keep"


def test_the_outline_runs_around_the_thing_with_a_margin() -> None:
    _, seen = make_two_discs()
    points = np.array(draw_outline(seen, RIGHT, 5.0)) * (300, 200)
    assert np.hypot(*(points - (225.5, 100.5)).T) == pytest.approx(np.full(len(points), 40), abs=1.5)
    below = np.array(draw_outline(seen, RIGHT, 5.0, 10.0)) * (300, 200)
    assert np.ptp(below, axis=0) == pytest.approx(np.add(np.ptp(points, axis=0), (0, 10)), abs=1.5)
    assert below[:, 1].max() == pytest.approx(points[:, 1].max() + 10, abs=1.5)
    assert draw_outline(np.zeros_like(seen), RIGHT, 5.0) == ()
    whole = np.array(draw_outline(np.ones_like(seen), RIGHT, 5.0))
    assert np.ptp(whole, axis=0) == pytest.approx((1, 1), abs=0.01)


def test_the_smallest_clear_thing_comes_first_and_the_next_larger_one_for_a_point_given_again() -> None:
    """A bird on an iceberg: a net sees the two as one in the whole photo, and the bird alone on a crop around it."""
    image, seen = make_noise(200, 300, 120, 4).copy(), np.zeros((200, 300), np.float32)
    bird = np.zeros_like(seen)
    cv2.circle(bird, (150, 70), 9, 1.0, -1)
    cv2.rectangle(seen, (60, 78), (240, 199), 1.0, -1)
    image[seen > 0], image[bird > 0] = (200, 210, 250), (60, 30, 20)
    whole = np.maximum(seen, bird)

    def predict(area: Area) -> Alpha:
        left, top, right, bottom = (round(each) for each in np.multiply(area, (300, 200, 300, 200)))
        seen_here = bird if right - left < 100 else whole
        return np.ascontiguousarray(seen_here[top:bottom, left:right])

    at = (0.5, 0.35)
    small = select_things(image, whole, Pointing((at,)), predict) > 0.5
    assert (small ^ (bird > 0)).sum() < 0.2 * bird.sum()
    larger = select_things(image, whole, Pointing((at, at)), predict) > 0.5
    assert larger.sum() > 0.8 * whole.sum()
    with pytest.raises(BadInput, match="Nothing larger") as refused:
        select_things(image, whole, Pointing((at, at, at)), predict)
    assert refused.value.param == "keep"


def test_a_dropped_point_takes_from_a_small_thing_and_never_puts_another_subject_in_its_place() -> None:
    image, seen = make_two_discs()
    cv2.circle(image, (225, 100), 35, (120, 120, 120), -1)
    cv2.circle(image, (225, 100), 4, (40, 60, 200), -1)
    seen[:, 150:] = 0
    cv2.circle(seen, (225, 100), 4, 1.0, -1)
    alpha = select(image, seen, Pointing((RIGHT,), ((0.5, 0.08),)))
    assert alpha[100, 225] > 0.5
    assert alpha[100, 75] < 0.1
    with pytest.raises(BadInput, match="Nothing is left") as refused:
        select(image, seen, Pointing((RIGHT,), (RIGHT,)))
    assert refused.value.param == "drop"


def test_twenty_things_are_found_as_one_is() -> None:
    image, whole = make_noise(400, 500, 120, 4), np.zeros((400, 500), np.float32)  # no edge bounds what the net sees
    centres = [(50 + 100 * column, 50 + 100 * row) for row in range(4) for column in range(5)]
    for centre in centres:
        cv2.circle(whole, centre, 20, 1.0, -1)

    def predict(area: Area) -> Alpha:
        left, top, right, bottom = (round(each) for each in np.multiply(area, (500, 400, 500, 400)))
        return np.ascontiguousarray(whole[top:bottom, left:right])

    marks = tuple((x / 500, y / 400) for x, y in centres)
    alpha = select_things(image, np.zeros_like(whole), Pointing(marks), predict)
    assert all(alpha[y, x] > 0.5 for x, y in centres)
