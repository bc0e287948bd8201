"""Holes that are parts of the subject are filled where their colours say so, and told where they may be."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core.geometry import Alpha, Image
from pipelines.matting.cutout_notices import name_openings
from pipelines.matting.holes import HoleFinder
from pipelines.matting.marked_edges import draw_marks

LEAVES = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
WALL = np.full((300, 400, 3), 128, np.uint8)


def make_ring(radius: int) -> Alpha:
    """A ring of 140 pixels' radius with a hole of `radius` in its middle."""
    rows, columns = np.ogrid[:300, :400]
    distance = np.hypot(rows - 150, columns - 130)
    return ((distance < 140) & (distance >= radius)).astype(np.float32)


def paint_hole(radius: int, colour: tuple[int, int, int]) -> Image:
    rows, columns = np.ogrid[:300, :400]
    image = WALL.copy()
    image[np.hypot(rows - 150, columns - 130) < radius] = colour
    return image


@pytest.mark.parametrize(("radius", "image", "is_told"), [(50, LEAVES, True), (50, WALL, False), (20, LEAVES, False)])
def test_an_opening_that_is_patterned_may_hide_spokes(radius: int, image: Image, is_told: bool) -> None:
    """Through a ring leaves are seen, or an even wall, or the opening is small."""
    notices = name_openings(HoleFinder(image), make_ring(radius))
    assert bool(notices) is is_told
    for notice, ((left, _, right, _),) in notices.items():
        assert notice == "Check the opening in the middle: all in it counts as background."
        assert 0.15 < left < 130 / 400 < right < 0.5


def test_a_wide_opening_is_told_even_where_it_is_plain() -> None:
    assert name_openings(HoleFinder(WALL), make_ring(100))


def test_a_hole_whose_colour_the_ground_has_nowhere_is_the_subjects() -> None:
    """A white plate in a brown rim before a grey wall: both nets saw the rim alone."""
    filled = HoleFinder(paint_hole(60, (255, 255, 255))).fill_foreign_holes(make_ring(60))
    assert filled[150, 130] == 1
    assert filled[150, 130 + 60] > 0.9, "nor is a seam left"
    assert np.array_equal(filled > 0.5, make_ring(0) > 0.5)
    assert np.array_equal(HoleFinder(WALL).fill_foreign_holes(make_ring(60)), make_ring(60)), (
        "the wall is seen through it"
    )


def test_a_hole_that_somebody_dropped_stays_open() -> None:
    holes, ring = HoleFinder(paint_hole(60, (255, 255, 255))), make_ring(60)
    assert np.array_equal(holes.fill_foreign_holes(ring, draw_marks([(130 / 400, 150 / 300)], ring.shape)), ring)
    assert holes.fill_foreign_holes(ring, draw_marks([(0.9, 0.1)], ring.shape))[150, 130] == 1, "a mark elsewhere"


def test_a_hole_of_a_colour_that_lies_elsewhere_in_the_photo_stays_and_is_told_where_it_is_not_beside_it() -> None:
    image = paint_hole(30, (255, 255, 255))
    image[:, 380:] = 255  # white is also a window far away, which may be seen through the hole
    alpha = make_ring(30)
    assert np.array_equal(HoleFinder(image).fill_foreign_holes(alpha), alpha)
    assert name_openings(HoleFinder(image), alpha)
    assert not name_openings(HoleFinder(WALL), alpha)
