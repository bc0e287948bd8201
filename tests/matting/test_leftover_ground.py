"""Ground that one net takes for the subject and the other does not stays ground; parts of the subject do not."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core.geometry import Alpha, Box, Image
from pipelines.matting.cutout import cut_out_subject
from pipelines.matting.cutout_notices import name_leftover_ground
from pipelines.matting.leftover_ground import find_leftover_ground
from pipelines.matting.net_agreement import reconcile_mattes
from pipelines.matting.pointing import Pointing
from tests.matting.test_net_agreement import PeopleSeen, make_face

WOOD, WALL, WHITE = (150, 95, 50), (205, 200, 190), (208, 203, 194)
SIZE = (300, 384)
TABLE, SLOT, HALF = np.s_[60:260, 90:290], np.s_[130:165, 250:278], np.s_[60:260, 190:290]
SLOT_INSIDE = np.s_[135:160, 255:273]


def draw_table(in_slot: tuple[int, int, int] = WALL, around: tuple[int, int, int] = WOOD) -> Image:
    """A brown board before a wall, with grain: `in_slot` is what is seen in its slot."""
    photo = np.full((*SIZE, 3), WALL, np.float64)
    photo[TABLE] = around
    photo[SLOT] = in_slot
    return np.clip(photo + np.random.default_rng(0).normal(0, 2, photo.shape), 0, 255).astype(np.uint8)


def make_map(half: float = 1.0, slot: float = 1.0) -> Alpha:
    """A net's map of the board: `half` in its right half, `slot` in the slot there."""
    alpha = np.zeros(SIZE, np.float32)
    alpha[TABLE] = 1
    alpha[HALF] = half
    alpha[SLOT] = slot
    return alpha


def test_a_slot_with_the_walls_colour_opens_where_the_half_around_it_is_taken_from_the_other_net() -> None:
    """The detailed net doubts the right half and sees the slot; the quick one sees all as one board."""
    found = reconcile_mattes(draw_table(), make_map(half=0.4, slot=0.02), make_map())
    assert found.alpha[SLOT_INSIDE].max() < 0.1
    assert found.alpha[200:250, 200:275].min() > 0.9
    assert not found.regions[SLOT_INSIDE].any()


def test_a_plate_of_another_colour_stays() -> None:
    photo = draw_table(in_slot=(40, 60, 150))
    assert reconcile_mattes(photo, make_map(half=0.4, slot=0.02), make_map()).alpha[SLOT_INSIDE].min() > 0.9


@pytest.mark.parametrize("seen_in_print", [1.0, 0.4])
def test_a_white_print_before_a_white_wall_stays_where_the_detailed_net_sees_it(seen_in_print: float) -> None:
    photo = draw_table(in_slot=WHITE, around=(50, 60, 120))
    found = reconcile_mattes(photo, make_map(half=0.4, slot=seen_in_print), make_map())
    assert found.alpha[SLOT_INSIDE].min() > 0.9


def test_what_the_net_for_people_sees_stays_whole() -> None:
    """A strap of the wall's colour is a person's; the face is elsewhere."""
    maps, face = (make_map(half=0.4, slot=0.02), make_map()), make_face((10, 10, 20, 20))
    found = reconcile_mattes(draw_table(), *maps, (face,), PeopleSeen(make_map()))
    assert found.alpha[SLOT_INSIDE].min() > 0.9
    assert reconcile_mattes(draw_table(), *maps, (face,)).alpha[SLOT_INSIDE].max() < 0.1


@pytest.mark.parametrize(("around", "is_found"), [(WOOD, True), (WHITE, False)])
def test_ground_is_told_only_beside_a_subject_of_another_colour(around: tuple[int, int, int], is_found: bool) -> None:
    taken, none = make_map() > 0.5, np.zeros(SIZE, np.bool_)
    found = find_leftover_ground(draw_table(around=around), taken, make_map(half=0.6, slot=0.02), none, ~taken)
    assert found[SLOT_INSIDE].all() if is_found else not found.any()
    assert not found[200:250, 200:275].any()


def test_nothing_is_found_where_no_ground_is_near_or_the_part_is_a_speck() -> None:
    taken, none = make_map() > 0.5, np.zeros(SIZE, np.bool_)
    assert not find_leftover_ground(draw_table(), taken, make_map(slot=0.02), none, none).any()
    speck = make_map()
    speck[150:154, 260:264] = 0
    assert not find_leftover_ground(draw_table(), taken, speck, none, ~taken).any()


def test_a_slot_that_only_the_quick_net_sees_is_told_with_its_box() -> None:
    ((notice, boxes),) = name_leftover_ground(draw_table(), make_map(), make_map(slot=0.02), ()).items()
    assert notice == "Background may be left at the right. Point at it, or wipe it away."
    assert boxes == (pytest.approx((250 / 384, 130 / 300, 278 / 384, 165 / 300), abs=0.01),)


@pytest.mark.parametrize(
    ("photo", "quick", "heads"),
    [
        (draw_table(in_slot=(40, 60, 150)), make_map(slot=0.02), ()),  # a blue plate
        (draw_table(in_slot=WHITE, around=(50, 60, 120)), make_map(slot=0.7), ()),  # a print that the net sees
        (draw_table(around=WHITE), make_map(half=0.02), ()),  # half of a white board
        (draw_table(), make_map(slot=0.02), ((240, 120, 290, 190),)),  # between hair
    ],
)
def test_nothing_is_told_of_what_may_be_the_subject(photo: Image, quick: Alpha, heads: tuple[Box, ...]) -> None:
    assert not name_leftover_ground(photo, make_map(), quick, heads)


class SeenMap:
    """A net that sees one map."""

    def __init__(self, alpha: Alpha) -> None:
        self._alpha = alpha

    def predict_alpha(self, image: Image) -> Alpha:
        return self._alpha


@pytest.mark.parametrize("is_pointed", [False, True])
def test_a_cut_out_tells_it_unless_somebody_pointed(is_pointed: bool) -> None:
    """A slot as narrow as an edge, which no region of doubt is. What was pointed at may be what no quick net sees."""
    narrow = np.s_[120:170, 270:274]
    photo, quick = draw_table(in_slot=WOOD), make_map()
    photo[narrow], quick[narrow] = WALL, 0
    cutout = cut_out_subject(
        photo,
        SeenMap(quick),
        detail_nets=[SeenMap(make_map())],
        pointing=Pointing(keep=[(0.4, 0.5)] if is_pointed else ()),
    )
    told = ["Background may be left at the right. Point at it, or wipe it away."]
    assert list(cutout.notices) == list(cutout.doubt_boxes) == ([] if is_pointed else told)
