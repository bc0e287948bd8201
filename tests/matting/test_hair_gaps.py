"""Ground between curls is opened, and nothing else that is as pale as the ground."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.core.geometry import Alpha, Colour, Face, Image
from pipelines.matting.hair_gaps import open_hair_gaps

GROUND, HAIR, SKIN, COAT = (205, 200, 192), (38, 26, 22), (190, 140, 115), (60, 90, 60)
FAIR_HAIR, GREY_HAIR = (186, 146, 112), (150, 145, 140)
PALE_RIBBON, PALE_SKIN, NIGHT = (205, 200, 110), (155, 148, 141), (12, 14, 20)
DEEP_GAP, BUTTON = ((150, 108), 8), ((274, 337), 6)
GAP, COLLAR = ((131, 118), 8), (slice(330, 345), slice(262, 268))
"""A disc near the outline of the hair, x, y and radius; and a white edge of the coat, rows and columns."""


def draw_portrait(
    hair: Colour = HAIR, gap: Colour = GROUND, skin: Colour = SKIN, *, ground: Colour = GROUND, coat: Colour = COAT
) -> tuple[Image, Alpha, Face]:
    """A head with a mass of hair before a plain ground, all of it opaque but the ground."""
    image = np.full((400, 400, 3), ground, np.uint8)
    alpha = np.zeros((400, 400), np.uint8)
    for colour, centre, axes in (
        (coat, (200, 400), (110, 110)),
        (hair, (200, 150), (90, 100)),
        (skin, (200, 180), (45, 60)),
    ):
        cv2.ellipse(image, centre, axes, 0, 0, 360, colour, -1)
        cv2.ellipse(alpha, centre, axes, 0, 0, 360, 255, -1)
    image[COLLAR] = ground
    cv2.circle(image, *GAP, gap, -1)
    noise = np.random.default_rng(1).normal(0, 3, image.shape)
    noisy = np.clip(image + noise, 0, 255).astype(np.uint8)
    angles = np.linspace(0, 2 * np.pi, 468, endpoint=False)
    landmarks = np.stack((200 + 45 * np.cos(angles), 180 + 60 * np.sin(angles)), axis=1).astype(np.float32)
    face = Face(landmarks, (150, 70, 250, 245), (180, 165), (220, 165), (200, 240), 0.0, 1.0)
    return noisy, (alpha / 255).astype(np.float32), face


def measure_gap(alpha: Alpha, gap: tuple[tuple[int, int], int] = GAP) -> float:
    """The mean alpha in the middle of a gap."""
    (x, y), radius = gap
    return float(alpha[y - radius // 2 : y + radius // 2 + 1, x - radius // 2 : x + radius // 2 + 1].mean())


def test_ground_between_curls_is_opened_and_what_is_as_pale_elsewhere_stays() -> None:
    image, alpha, face = draw_portrait()
    opened = open_hair_gaps(image, alpha, (face,))
    assert measure_gap(opened) < 0.1
    assert opened[COLLAR].min() == 1  # a white edge before a white wall is of the coat
    assert (opened[150:230, 170:230] == 1).all()  # the face
    assert (opened <= alpha).all()
    assert ((alpha - opened) > 0.1).sum() < 1.6 * np.pi * GAP[1] ** 2


@pytest.mark.parametrize(
    ("hair", "gap", "skin", "ground"),
    [
        pytest.param(FAIR_HAIR, GROUND, SKIN, GROUND, id="fair"),
        pytest.param(FAIR_HAIR, NIGHT, SKIN, NIGHT, id="fair as skin"),
        pytest.param(GREY_HAIR, GROUND, SKIN, GROUND, id="little contrast"),
        pytest.param(HAIR, (70, 50, 160), SKIN, GROUND, id="ribbon"),
        pytest.param(HAIR, PALE_RIBBON, SKIN, GROUND, id="pale ribbon"),
        pytest.param(HAIR, SKIN, SKIN, GROUND, id="finger"),
        pytest.param(HAIR, PALE_SKIN, PALE_SKIN, GROUND, id="finger like a mixture"),
    ],
)
def test_where_colours_do_not_tell_nothing_is_opened(hair: Colour, gap: Colour, skin: Colour, ground: Colour) -> None:
    image, alpha, face = draw_portrait(hair, gap, skin, ground=ground)
    assert measure_gap(open_hair_gaps(image, alpha, (face,))) > 0.95


def test_far_from_the_ground_and_far_from_the_head_nothing_is_opened() -> None:
    image, alpha, face = draw_portrait(coat=HAIR)
    for spot in (DEEP_GAP, BUTTON):
        cv2.circle(image, *spot, GROUND, -1)
    opened = open_hair_gaps(image, alpha, (face,))
    assert measure_gap(opened) < 0.1
    assert [measure_gap(opened, spot) for spot in (DEEP_GAP, BUTTON)] == [1, 1]


def test_hair_of_many_colours_is_left_as_it_is() -> None:
    image, alpha, face = draw_portrait()
    for start in range(4):  # every second strand is grey
        image[55:118, 160 + start : 240 : 8] = (95, 85, 80)
    assert measure_gap(open_hair_gaps(image, alpha, (face,))) > 0.95


def test_a_piece_of_ground_that_a_gap_cuts_off_goes_too() -> None:
    image, alpha, face = draw_portrait()
    image[18:42, 190:210] = (225, 150, 110)  # like nothing else, and far from the hair
    alpha[18:60, 190:210] = 1
    opened = open_hair_gaps(image, alpha, (face,))
    assert opened[20:40, 192:208].max() == 0


def test_without_a_face_or_with_one_outside_nothing_changes() -> None:
    image, alpha, face = draw_portrait()
    outside = Face(face.landmarks + 4000, face.box, face.left_eye, face.right_eye, face.chin, 0.0, 1.0)
    for faces in ((), (outside,)):
        assert open_hair_gaps(image, alpha, faces) is alpha


def test_a_ribbon_of_the_grounds_colour_and_a_hand_at_the_hair_stay() -> None:
    image, alpha, face = draw_portrait()
    image[88:104, 110:290] = np.where(alpha[88:104, 110:290, None] > 0.5, GROUND, image[88:104, 110:290])
    ribbon = np.zeros(alpha.shape, np.bool_)
    ribbon[88:104, 150:250] = True
    image[100:136, 292:400], alpha[100:136, 280:400] = SKIN, 1  # an arm that leaves the window, and ground before it
    image[100:136, 280:292] = GROUND
    opened = open_hair_gaps(image, alpha, (face,))
    assert opened[ribbon].min() == 1
    assert opened[100:136, 300:400].min() == 1


def test_strands_that_hang_on_a_gap_do_not_make_it_a_ribbon() -> None:
    image, alpha, face = draw_portrait()
    cv2.ellipse(image, (200, 150), (80, 90), 0, 150, 330, GROUND, 1)
    assert measure_gap(open_hair_gaps(image, alpha, (face,))) < 0.1


GREEN_WALL, SHADED_WALL = (60, 190, 90), (28, 92, 42)


@pytest.mark.parametrize("hat", [(90, 20, 25), HAIR])
def test_a_coloured_wall_between_curls_is_opened_also_in_shade_and_below_a_hat(hat: Colour) -> None:
    image, alpha, face = draw_portrait(gap=SHADED_WALL, ground=GREEN_WALL)
    image[50:120, 150:250] = hat
    assert measure_gap(open_hair_gaps(image, alpha, (face,))) < 0.3


@pytest.mark.parametrize(
    ("ground", "gap", "place"),
    [
        (GREEN_WALL, GREEN_WALL, (150, 330)),  # a green mark on the coat
        ((200, 120, 70), (150, 90, 52), GAP[0]),  # bricks have the hue of skin and of fair strands
    ],
)
def test_clothes_and_strands_of_the_grounds_hue_stay(ground: Colour, gap: Colour, place: tuple[int, int]) -> None:
    image, alpha, face = draw_portrait(gap=HAIR, ground=ground, coat=HAIR)
    cv2.circle(image, place, 8, gap, -1)
    image[50:120, 150:250] = (90, 20, 25)
    assert measure_gap(open_hair_gaps(image, alpha, (face,)), (place, 8)) > 0.9


def test_before_a_coloured_wall_a_face_that_is_no_part_of_the_subject_changes_nothing() -> None:
    image, _, face = draw_portrait(ground=GREEN_WALL)
    alpha = np.zeros((400, 400), np.float32)
    alpha[:, :20] = 1
    assert np.array_equal(open_hair_gaps(image, alpha, (face,)), alpha)
    assert np.array_equal(open_hair_gaps(image, np.zeros_like(alpha), (face,)), np.zeros_like(alpha))
