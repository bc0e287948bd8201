"""A leg or a spout that one net alone sees is kept; lines of the ground, strips and shadows beside a thing are not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.core.geometry import Alpha, Face, Image
from pipelines.matting.net_agreement import find_differing_regions, reconcile_mattes

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom
Colour = tuple[int, int, int]

SIDE_PX = 384  # of a drawn picture: the copy on which mattes are compared has its size
SEAT, FLOOR, BRASS, HALF_SHADOW = (40, 60, 120), (205, 200, 190), (200, 160, 90), (124, 124, 120)
BODY, LAMP = (120, 80, 260, 240), (20, 20, 90, 60)
GREEN = (60, 140, 70)
LEG, SKIRTING, STRIP = (180, 240, 190, 320), (260, 200, 384, 210), (260, 84, 270, 236)


def draw_map(*parts: Rectangle, value: float = 1.0) -> Alpha:
    """What a net sees that is sure of the body, and of `parts` by `value`."""
    alpha = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    for left, top, right, bottom in parts:
        alpha[top:bottom, left:right] = value
    left, top, right, bottom = BODY
    alpha[top:bottom, left:right] = 1
    return alpha


def draw_photo(part: Rectangle, colour: Colour, blur: float = 0) -> Image:
    """A dark seat before a pale floor with a brass lamp, and `part` of a `colour` beside it."""
    photo = np.full((SIDE_PX, SIDE_PX, 3), FLOOR, np.float32)
    for (left, top, right, bottom), fill in ((LAMP, BRASS), (part, colour)):
        photo[top:bottom, left:right] = fill
    photo = cv2.GaussianBlur(photo, (0, 0), blur) if blur else photo
    left, top, right, bottom = BODY
    photo[top:bottom, left:right] = SEAT
    noise = np.random.default_rng(0).normal(0, 2, photo.shape)
    return np.clip(photo + noise, 0, 255).astype(np.uint8)


def share_taken(alpha: Alpha, part: Rectangle) -> float:
    left, top, right, bottom = part
    return float(alpha[top + 3 : bottom - 3, left + 3 : right - 3].mean())


@pytest.mark.parametrize(("is_detailed", "colour"), [(True, BRASS), (False, GREEN)])
def test_a_leg_that_one_net_alone_sees_is_kept(is_detailed: bool, colour: Colour) -> None:
    """Its colour is not the seat's, and a lamp behind may have it; the edge at the seat speaks against it."""
    detailed, quick = (draw_map(LEG), draw_map()) if is_detailed else (draw_map(), draw_map(LEG))
    found = reconcile_mattes(draw_photo(LEG, colour), detailed, quick)
    assert share_taken(found.alpha, LEG) > 0.9
    assert not found.regions.any(), "nothing is told of it either"


@pytest.mark.parametrize(
    ("part", "colour", "value"),
    [
        pytest.param(SKIRTING, BRASS, 1.0, id="skirting that runs out of the photo"),
        pytest.param(STRIP, BRASS, 1.0, id="a strip along the seat"),
        pytest.param((160, 240, 195, 320), BRASS, 1.0, id="too wide for a leg"),
        pytest.param((170, 240, 186, 253), BRASS, 1.0, id="too short for one"),
        pytest.param((300, 240, 310, 320), BRASS, 1.0, id="it hangs on nothing"),
        pytest.param(LEG, BRASS, 0.68, id="the net is not sure"),
        pytest.param(LEG, (214, 200, 180), 1.0, id="hardly another colour than the floor"),
        pytest.param(LEG, HALF_SHADOW, 1.0, id="perhaps a shadow"),
    ],
)
def test_what_is_no_leg_stays_left_out(part: Rectangle, colour: Colour, value: float) -> None:
    found = reconcile_mattes(draw_photo(part, colour), draw_map(part, value=value), draw_map())
    assert share_taken(found.alpha, part) < 0.1


def test_what_a_quick_net_draws_where_the_photo_has_no_outline_stays_left_out() -> None:
    found = reconcile_mattes(draw_photo(LEG, GREEN, blur=4), draw_map(), draw_map(LEG))
    assert share_taken(found.alpha, LEG) < 0.1


def test_nobody_looks_for_legs_where_faces_are() -> None:
    """What people have is decided by what knows people."""
    corners = np.array([(150, 100), (230, 100), (230, 180), (150, 180)], np.float32)
    face = Face(np.resize(corners, (468, 2)), (150, 100, 230, 180), (190, 140), (190, 140), (190, 140), 0.0, 1.0)
    photo, maps = draw_photo(LEG, BRASS), (draw_map(LEG), draw_map())
    assert all(region.thin_part > 0 for region in find_differing_regions(photo, *maps, ()))
    assert all(region.thin_part == 0 for region in find_differing_regions(photo, *maps, (face,)))
