"""What may be wrong with a cut-out is named by kind and place."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core.geometry import DOUBTFUL_UNCERTAINTY, Alpha, Box, Cutout, Face, Mask
from pipelines.matting.cutout_notices import (
    UNSETTLED_NOTICE,
    add_sure_change_doubts,
    drop_marked_doubts,
    name_detached_parts,
    name_doubts,
    name_guess,
    name_rivals,
)
from pipelines.matting.net_agreement import EDGE_WIDTH_PX, Doubt, measure_doubt, reconcile_mattes
from pipelines.matting.sure_regions import SureRegions
from tests.support.examples import make_blob, make_noise

SHAPE = (200, 300)
SUBJECT = make_blob(*SHAPE, (150, 100), (60, 80))
NOTHING = np.zeros(SHAPE, np.bool_)


def mark(rows: slice, columns: slice) -> Mask:
    mask = NOTHING.copy()
    mask[rows, columns] = True
    return mask


def doubt_at(
    unsettled: Mask = NOTHING, differing: Mask = NOTHING, uncertainty: float = 0.3, split: Mask = NOTHING
) -> Doubt:
    return Doubt(uncertainty, unsettled, unsettled, differing, split)


def test_a_region_beside_the_subject_may_be_a_missing_part() -> None:
    (notice,) = name_doubts(SUBJECT, doubt_at(mark(slice(80, 120), slice(50, 91))), ())
    assert notice == "A part may be missing at the left. Point at it, or paint it in."


def test_a_region_in_the_subject_may_be_background() -> None:
    (notice,) = name_doubts(SUBJECT, doubt_at(mark(slice(150, 170), slice(140, 160))), ())
    assert notice == "Doubtful part at the bottom: too much or too little may be taken. Point at it, or wipe it away."


def test_all_doubtful_regions_are_placed_the_kind_with_the_largest_first() -> None:
    large, small = mark(slice(80, 120), slice(50, 91)), mark(slice(80, 100), slice(209, 240))
    inside = mark(slice(150, 170), slice(140, 160))
    told = name_doubts(SUBJECT, doubt_at(large | small | inside), ())
    assert [notice.split(".")[0] for notice in told] == [
        "A part may be missing at the left",
        "Doubtful part at the bottom: too much or too little may be taken",
    ]
    (left, right), (middle,) = told.values()
    assert left[2] < 0.4 < middle[0] < middle[2] < 0.6 < right[0]


def test_a_region_away_from_the_subject_is_none_of_its_parts() -> None:
    assert not name_doubts(SUBJECT, doubt_at(mark(slice(80, 120), slice(0, 40)), uncertainty=0), ())


def test_what_the_nets_see_differently_is_named_only_where_the_doubt_is_large() -> None:
    thin, wide = mark(slice(30, 180), slice(87, 90)), mark(slice(80, 120), slice(50, 91))
    for differing in (thin, wide):
        assert not name_doubts(SUBJECT, doubt_at(differing=differing, uncertainty=DOUBTFUL_UNCERTAINTY), ())
    assert next(iter(name_doubts(SUBJECT, doubt_at(differing=wide), ()))).startswith(
        "A part may be missing at the left"
    )
    assert tuple(name_doubts(SUBJECT, doubt_at(differing=thin), ())) == (
        "Check the edge at the left: it may be wrong.",
    )
    assert tuple(name_doubts(SUBJECT, doubt_at(), ())) == (UNSETTLED_NOTICE,)


def test_a_border_to_what_is_not_taken_is_named_and_doubted_as_far_as_it_goes() -> None:
    """Half of a map that both nets see as one: where it is cut off, nothing but the choice of the person says so."""
    image, seen = make_noise(*SHAPE), SUBJECT
    reconciled = reconcile_mattes(image, seen, seen)
    person = seen * (np.arange(SHAPE[1]) < 150)
    whole, part = (measure_doubt(each.astype(np.float32), reconciled) for each in (seen, person))
    assert not whole.split.any()
    assert 0.2 < part.uncertainty - whole.uncertainty < 0.6
    assert not measure_doubt(person.astype(np.float32), reconciled, is_pointed=True).split.any()
    notices = list(name_doubts(person.astype(np.float32), part, ()))
    assert notices[0] == "Check the border at the right: something beside it may be taken too, or a part be missing."


@pytest.mark.parametrize(
    ("width", "told"),
    [
        (9, "Check the edge at the top: it is half transparent, and a part may be missing"),
        (40, "A part may be missing at the top: the cut-out is half"),
    ],
)
def test_a_narrow_half_transparent_patch_is_an_edge_and_a_wide_one_is_not(width: int, told: str) -> None:
    alpha = SUBJECT.copy()
    alpha[25 : 25 + width, 130:170] = 0.5
    ((notice, (box,)),) = name_doubts(alpha, doubt_at(), ()).items()
    assert notice.startswith(told)
    margin = EDGE_WIDTH_PX
    assert (130 - margin) / 300 <= box[0] < box[2] <= (170 + margin) / 300
    assert (25 - margin) / 200 <= box[1] < box[3] <= (25 + width + margin) / 200


def test_the_largest_of_several_half_transparent_patches_is_told_and_all_are_placed() -> None:
    alpha = SUBJECT.copy()
    alpha[25:34, 130:170] = 0.5
    alpha[150:158, 145:160] = 0.5
    ((notice, boxes),) = name_doubts(alpha, doubt_at(), ()).items()
    assert "at the top" in notice
    assert [box[1] < 0.5 for box in boxes] == [True, False]


def seen_together(*others: Alpha) -> Alpha:
    return np.maximum.reduce((make_blob(*SHAPE, (60, 100), (40, 60)), *others))


@pytest.mark.parametrize(("radius", "is_told"), [(2, False), (10, True), (40, False)])
def test_a_small_part_beside_the_subject_is_told_and_neither_a_crumb_nor_a_second_thing(
    radius: int, is_told: bool
) -> None:
    alpha = make_blob(200, 300, (100, 100), (60, 60))
    told = name_detached_parts(np.maximum(alpha, make_blob(200, 300, (250, 100), (radius, radius))))
    assert (
        list(told) == ["A part stands alone at the right: it may not belong. Point at it, or wipe it away."] * is_told
    )
    assert [box[0] > 0.6 for boxes in told.values() for box in boxes] == [True] * is_told
    assert not name_detached_parts(alpha)


def test_where_several_things_stand_out_the_one_that_is_taken_is_named() -> None:
    left = seen_together()
    beside = make_blob(*SHAPE, (240, 100), (30, 50))
    (notice,) = name_rivals(seen_together(beside), left, ())
    assert notice.startswith("Several things stand out; the one at the left is taken. Choose another")
    above = make_blob(*SHAPE, (60, 20), (30, 15))
    assert name_rivals(seen_together(above), left, ()) == ()  # a small one
    assert name_rivals(left, left, ()) == ()


def test_people_are_no_further_things() -> None:
    points = np.array([[225, 60], [255, 60], [240, 90]], np.float32)
    face = Face(points, (225, 55, 255, 95), (232, 70), (248, 70), (240, 90), 0.0, 1.0)
    seen = seen_together(make_blob(*SHAPE, (240, 100), (30, 50)))
    assert name_rivals(seen, seen_together(), (face,)) == ()


def test_a_small_place_that_somebody_marked_is_no_longer_doubted() -> None:
    edge, part, border = "Check this edge: at the top left.", "A part may be missing.", "Check the border."
    moved = "Check this edge: at the bottom right."
    boxes: dict[str, tuple[Box, ...]] = {
        edge: ((0.1, 0.1, 0.3, 0.3), (0.7, 0.7, 0.9, 0.9)),
        part: ((0.4, 0.4, 0.5, 0.5),),
        border: ((0.1, 0.1, 0.8, 0.9),),  # around nearly all: a mark in it may be about anything
    }
    picture = np.zeros((4, 4, 3), np.uint8)
    cutout = Cutout(picture, np.ones((4, 4), np.float32), ("Two people.", *boxes), 0.1, boxes)
    once = drop_marked_doubts(cutout, ((0.2, 0.2), (0.51, 0.39)))  # in the first, and just beside the third
    assert once.notices == ("Two people.", moved, border), "the words name the place that is left"
    assert once.doubt_boxes == {moved: ((0.7, 0.7, 0.9, 0.9),), border: boxes[border]}
    assert drop_marked_doubts(cutout, ((0.8, 0.8),)).notices == ("Two people.", edge, part, border)
    assert drop_marked_doubts(once, ((0.8, 0.8),)).notices == ("Two people.", border)
    assert drop_marked_doubts(cutout, ()).notices == cutout.notices


@pytest.mark.parametrize(("uncertainty", "left"), [(0.1, ()), (0.5, (UNSETTLED_NOTICE,))])
def test_an_uncertain_cut_out_stays_doubted_whatever_is_marked(uncertainty: float, left: tuple[str, ...]) -> None:
    boxes: dict[str, tuple[Box, ...]] = {"Check this edge.": ((0.1, 0.1, 0.3, 0.3),)}
    cutout = Cutout(np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), np.float32), tuple(boxes), uncertainty, boxes)
    assert drop_marked_doubts(cutout, ((0.2, 0.2),)).notices == left


def test_what_marks_took_from_what_all_nets_are_sure_of_is_told_first_and_what_they_marked_is_not() -> None:
    shape = (128, 128)
    before = np.zeros(shape, np.float32)
    before[20:100, 20:100] = 1.0
    sure = SureRegions(before > 0.5, before < 0.5, np.zeros(shape, np.bool_))
    edge = "Check the edge at the top: it is half transparent, and a part may be missing."

    def tell(alpha: Alpha, *marks: tuple[float, float]) -> Cutout:
        cutout = Cutout(np.zeros((*shape, 3), np.uint8), alpha, (edge,), doubt_boxes={edge: ((0.1, 0.1, 0.2, 0.2),)})
        return add_sure_change_doubts(cutout, before, sure, marks)

    torn = before.copy()
    torn[80:100, 20:60] = 0.0
    told = tell(torn, (0.5, 0.9))
    notice = "What you marked took a part that looks like the subject at the bottom left. Look at it."
    assert told.notices == (notice, edge)
    ((box,), _) = told.doubt_boxes.values()
    assert box == pytest.approx((20 / 128, 80 / 128, 60 / 128, 100 / 128), abs=0.02)
    small = before.copy()
    small[80:100, 20:45] = 0.0
    assert len(tell(small, (0.9, 0.9)).notices) == 2
    assert tell(small, (0.25, 0.7)).notices == (edge,), "marked, and small"
    assert tell(before, (0.5, 0.5)).notices == (edge,)
    more = before.copy()
    more[105:125, 20:100] = 1.0
    assert tell(more, (0.1, 0.1)).notices[0] == (
        "What you marked brought in what looks like background at the bottom. Look at it."
    )
    before[:, 60:66] = 0.0
    sure.subject[:, 60:66] = False
    apart = before.copy()
    apart[:, 66:] = 0.0
    assert tell(apart, (0.9, 0.9)).notices == (edge,), "another thing, which touches nothing that is left"


@pytest.mark.parametrize(("radius", "is_told"), [(4, False), (14, True)])
def test_a_patch_that_the_nets_half_saw_is_told_and_a_soft_edge_is_not(radius: int, is_told: bool) -> None:
    selected = make_blob(300, 384, (190, 150), (100, 100))
    assert not name_guess(selected)
    patch = make_blob(300, 384, (110, 150), (radius, radius))
    told = name_guess(np.where(patch > 0.5, np.float32(0.5), selected))
    assert list(told) == ["Check the cut-out at the left: it is a guess there."] * is_told
