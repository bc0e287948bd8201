"""Pointing at the subject: a point changes the region it lies in and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import pytest

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Face, Image, Mask
from pipelines.matting.cutout import cut_out_subject
from pipelines.matting.net_agreement import ReconciledMatte
from pipelines.matting.pointing import (
    Area,
    Pointing,
    correct_by_points,
    crop_area,
    exclude_marked_regions,
    select_people,
    select_pointed,
)

SIDE = 400
DISCS = ((110, 130), (290, 130), (200, 300))  # x, y


def draw_discs() -> tuple[Image, list[Alpha]]:
    """Three red discs on a grey ground with grain, and the matte of each."""
    mattes = []
    photo = np.full((SIDE, SIDE, 3), 190, np.uint8)
    for number, centre in enumerate(DISCS):
        matte = np.zeros((SIDE, SIDE), np.float32)
        cv2.circle(matte, centre, 60, 1.0, -1)
        photo[matte > 0] = (200, 40 + 20 * number, 30)
        mattes.append(matte)
    grain = np.random.default_rng(0).normal(0, 2, photo.shape)
    return np.clip(photo + grain, 0, 255).astype(np.uint8), mattes


def see_nothing(area: Area) -> Alpha:
    return np.zeros((8, 8), np.float32)


def select_main(seen: Alpha) -> Alpha:
    return select_people(np.zeros((SIDE, SIDE, 3), np.uint8), seen, None, ())


def overlap(alpha: Alpha, truth: Alpha) -> float:
    one, two = alpha > 0.5, truth > 0.5
    return float((one & two).sum() / (one | two).sum())


def share(point: tuple[int, int]) -> tuple[float, float]:
    return point[0] / SIDE, point[1] / SIDE


def test_a_kept_point_adds_what_the_net_saw_there_and_left_out() -> None:
    photo, (first, second, third) = draw_discs()
    alpha = correct_by_points(photo, first + second, first, Pointing(keep=[share(DISCS[1])]), see_nothing)
    assert overlap(alpha, first + second) > 0.97
    assert alpha[third > 0].max() == 0


def test_the_soft_rim_of_what_is_dropped_goes_with_it_and_that_of_its_neighbour_stays() -> None:
    photo, (first, second, _third) = draw_discs()
    seen = np.asarray(cv2.GaussianBlur(first + second, (0, 0), 2.0), np.float32)
    alpha = correct_by_points(photo, seen, seen, Pointing(drop=[share(DISCS[1])]), see_nothing)
    outer = (seen <= 0.5) & (np.arange(SIDE) > 210)
    assert alpha[outer].max() < 0.05, "no thin line"
    assert overlap(alpha, first) > 0.97


class GivenNet:
    """A net that sees the first disc, and is not quite sure of its middle."""

    def predict_alpha(self, image: Image) -> Alpha:
        alpha = draw_discs()[1][0]
        alpha[draw_middle()] = 0.6
        return alpha


def test_a_drop_beside_the_subject_leaves_the_outline_on_its_far_side_as_it_was() -> None:
    photo, (first, _second, _third) = draw_discs()
    photo[:] = np.where(first[..., None] > 0, photo, np.uint8(190))
    ring = cv2.dilate(first, np.ones((7, 7), np.uint8)) - first  # ground that the net half sees, around it all
    shadow = np.zeros_like(first)
    shadow[120:150, 165:260] = 1
    seen = np.maximum(first, np.maximum(0.7 * ring, shadow)).astype(np.float32)
    alpha = correct_by_points(photo, seen, seen, Pointing(drop=[(220 / SIDE, 135 / SIDE)]), lambda _area: seen)
    assert alpha[125:145, 190:250].max() < 0.1
    far = (ring > 0) & (np.arange(SIDE) < 100)
    assert np.abs(alpha - seen)[far].max() < 0.05


def draw_middle() -> Mask:
    middle = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(middle, DISCS[0], 20, 1, -1)
    return middle > 0


def test_a_point_that_the_colours_contradict_has_the_last_word() -> None:
    photo, _ = draw_discs()
    photo[draw_middle()] = 190  # the colour of the ground

    def select(seen: Alpha, *_: object) -> Alpha:
        return seen

    (column, row), marks = DISCS[0], (share(DISCS[0]), share((70, 130)))
    plain = cut_out_subject(photo, GivenNet(), select=select).alpha
    assert plain[row, column] < 0.3
    marked = cut_out_subject(photo, GivenNet(), select=select, pointing=Pointing(keep=marks)).alpha
    assert marked[row, column] > 0.9
    assert np.array_equal(marked[:, :80], plain[:, :80]), "a point that the colours agree with changes nothing"


def test_a_kept_point_adds_the_region_of_its_colour_where_no_net_saw_any() -> None:
    photo, (first, second, third) = draw_discs()
    alpha = correct_by_points(photo, first, first, Pointing(keep=[share(DISCS[2])]), see_nothing)
    assert overlap(alpha, first + third) > 0.9
    assert alpha[second > 0].mean() < 0.1


def test_a_dropped_point_takes_its_part_away_and_the_next_one_stands_out() -> None:
    photo, (first, second, third) = draw_discs()
    both = correct_by_points(photo, first + second, first + second, Pointing(drop=[share(DISCS[0])]), see_nothing)
    assert overlap(both, second) > 0.95
    other = correct_by_points(photo, first + third, first, Pointing(drop=[share(DISCS[0])]), see_nothing)
    assert overlap(other, third) > 0.95


def test_points_that_agree_with_the_matte_change_nothing_far_from_them() -> None:
    photo, (first, second, _) = draw_discs()
    alpha = correct_by_points(photo, first, first, Pointing([share(DISCS[0])], [share(DISCS[1])]), see_nothing)
    assert overlap(alpha, first) > 0.99
    assert alpha[second > 0].max() == 0


def test_a_box_leaves_nothing_outside_it() -> None:
    photo, (first, second, _) = draw_discs()
    seen = first + second

    def predict(area: Area) -> Alpha:
        return crop_area(np.repeat(seen[..., None], 3, axis=2).astype(np.uint8), area)[..., 0].astype(np.float32)

    box = (0.5, 0.1, 1.0, 0.6)
    alpha = select_pointed(photo, seen, Pointing(box=box), select_main, predict)
    assert overlap(alpha, second) > 0.97
    assert alpha[:, : SIDE // 2].max() == 0


def test_where_nothing_stands_out_a_point_says_what_is_meant() -> None:
    photo, (first, *_) = draw_discs()
    nothing = np.zeros_like(first)
    with pytest.raises(BadInput):
        select_pointed(photo, nothing, Pointing(drop=[(0.9, 0.9)]), select_main, see_nothing)
    alpha = select_pointed(photo, nothing, Pointing(keep=[share(DISCS[0])]), select_main, see_nothing)
    assert overlap(alpha, first) > 0.9


def test_a_stroke_asks_the_net_once() -> None:
    photo, (first, *_) = draw_discs()
    asked: list[Area] = []

    def predict(area: Area) -> Alpha:
        asked.append(area)
        return np.zeros((8, 8), np.float32)

    stroke = [(x / SIDE, 0.95) for x in range(200, 216, 2)]
    correct_by_points(photo, first, first, Pointing(keep=stroke), predict)
    assert len(asked) == 1


def make_person(x: float) -> tuple[Face, Alpha]:
    """A head over a body, and the matte of both."""
    matte = np.zeros((SIDE, SIDE), np.float32)
    cv2.circle(matte, (round(x), 120), 40, 1.0, -1)
    cv2.rectangle(matte, (round(x) - 70, 155), (round(x) + 70, SIDE), 1.0, -1)
    landmarks = np.full((468, 2), (x, 120), np.float32)
    box = (x - 45, 70.0, x + 45, 165.0)
    return Face(landmarks, box, (x - 15, 112), (x + 15, 112), (x, 152), 0.0, 1.0), matte


def test_of_two_people_who_touch_each_keeps_their_own_part_and_together_they_keep_all() -> None:
    (one, first), (two, second) = make_person(130), make_person(262)
    both = np.maximum(first, second)
    photo = np.full((SIDE, SIDE, 3), 180, np.uint8)
    photo[first > 0], photo[second > 0] = (40, 60, 120), (130, 50, 40)
    alone = select_people(photo, both, one, (one, two))
    assert alone[second * (1 - first) > 0].mean() < 0.05
    assert alone[first * (1 - second) > 0].mean() > 0.95
    assert overlap(select_people(photo, both, None, (one, two)), both) > 0.99


def test_a_net_for_pointing_says_what_a_point_changes_and_where_it_sees_nothing_the_walk_does() -> None:
    photo, mattes = draw_discs()
    half = mattes[1].copy()
    half[: DISCS[1][1]] = 0  # no walk and no colour would cut a disc in two
    asked: list[tuple[object, ...]] = []

    def segment(on: object, beside: object, box: object) -> Alpha:
        asked.append((on, beside, box))
        return half if box is None else mattes[2]

    on, beside = (DISCS[1][0] / SIDE, (DISCS[1][1] + 20) / SIDE), (DISCS[0][0] / SIDE, DISCS[0][1] / SIDE)
    points = Pointing(keep=(on,))
    kept = select_pointed(photo, mattes[0], points, select_main, see_nothing, segment)
    assert overlap(kept, np.maximum(mattes[0], half)) > 0.93
    dropped = select_pointed(photo, mattes[1], Pointing(drop=(on,), keep=(beside,)), select_main, see_nothing, segment)
    assert overlap(dropped[: SIDE // 2, SIDE // 2 :], (mattes[1] - half)[: SIDE // 2, SIDE // 2 :]) > 0.9
    assert asked == [((on,), (), None), ((beside,), (on,), None), ((on,), (beside,), None)]
    boxed = select_pointed(photo, mattes[0], Pointing(box=(0.3, 0.55, 0.7, 0.95)), select_main, see_nothing, segment)
    assert overlap(boxed, mattes[2]) > 0.95
    blind = partial(np.zeros, (8, 8), np.float32)
    walked = select_pointed(photo, mattes[0], points, select_main, see_nothing, lambda *_: blind())
    assert np.array_equal(walked, select_pointed(photo, mattes[0], points, select_main, see_nothing))
    assert walked[DISCS[1][1] + 20, DISCS[1][0]] > 0.9
    assert overlap(walked, kept) < 0.99


def draw_motorbike(ground: int) -> tuple[Image, Alpha, Mask, Mask]:
    """A dark motorbike with a red tank over a ground of a grey level; the matte, its tank, and the ground that it took.

    The nets see the ground between the wheels as sure as the rest.
    """
    subject, tank, between = (np.zeros((SIDE, SIDE), np.uint8) for _ in range(3))
    photo = np.full((SIDE, SIDE, 3), (150, 180, 210), np.uint8)
    photo[220:] = ground
    cv2.rectangle(between, (110, 235), (290, 320), 1, -1)
    for centre in ((100, 280), (300, 280)):
        cv2.circle(subject, centre, 52, 1, -1)
    cv2.fillPoly(subject, [np.array([(90, 190), (310, 190), (270, 250), (130, 250)])], 1)
    photo[subject > 0] = (45, 45, 50)
    cv2.ellipse(tank, (200, 170), (70, 38), 0, 0, 360, 1, -1)
    photo[tank > 0] = (190, 40, 30)
    subject |= tank
    grain = np.random.default_rng(1).normal(0, 4, photo.shape)
    photo = np.clip(photo + grain, 0, 255).astype(np.uint8)
    return photo, np.asarray(subject | between, np.float32), tank > 0, (between > 0) & (subject == 0)


def see_all(matte: Alpha) -> Callable[[Area], Alpha]:
    """A net that is as sure of everything in a matte on each crop of it."""
    levels = np.repeat(matte[..., None] * 255, 3, axis=2).astype(np.uint8)
    return lambda area: np.asarray(crop_area(levels, area)[..., 0], np.float32) / np.float32(255)


@pytest.mark.parametrize("ground", [200, 120, 75])
def test_a_dropped_point_on_the_ground_leaves_the_tank_of_a_motorbike(ground: int) -> None:
    photo, matte, tank, between = draw_motorbike(ground)
    alpha = correct_by_points(photo, matte, matte, Pointing(drop=[share((200, 290))]), see_all(matte))
    assert (alpha > 0.5)[tank].all()
    assert (alpha > 0.5)[(matte > 0.5) & ~between].mean() > 0.97
    assert (alpha > 0.5)[between].mean() < 0.1


def test_a_dropped_point_in_a_hole_takes_the_hole_alone_and_a_kept_one_fills_it() -> None:
    photo, truth = np.full((SIDE, SIDE, 3), (90, 140, 90), np.uint8), np.zeros((SIDE, SIDE), np.float32)
    cv2.circle(truth, (180, 200), 100, 1.0, -1)
    cv2.ellipse(truth, (290, 200), (60, 70), 0, 0, 360, 1.0, -1)  # the handle of a cup
    filled = truth.copy()
    cv2.ellipse(truth, (305, 200), (26, 40), 0, 0, 360, 0.0, -1)
    photo[truth > 0.5] = (230, 225, 220)
    cv2.circle(photo, (180, 200), 50, (60, 70, 160), -1)
    cup = correct_by_points(photo, filled, filled, Pointing(drop=[share((305, 200))]), see_all(filled))
    assert overlap(cup, truth) > 0.97
    missing = truth.copy()
    cv2.circle(missing, (180, 200), 50, 0.0, -1)
    whole = correct_by_points(photo, missing, missing, Pointing(keep=[share((180, 200))]), see_all(missing))
    assert overlap(whole, truth) > 0.97


def test_a_point_on_something_thin_changes_that_alone() -> None:
    photo, body, pole = np.full((SIDE, SIDE, 3), 190, np.uint8), *(np.zeros((SIDE, SIDE), np.float32) for _ in range(2))
    cv2.circle(body, (200, 280), 80, 1.0, -1)
    cv2.line(pole, (200, 210), (200, 30), 1.0, 7)
    pole[body > 0] = 0
    photo[body > 0], photo[pole > 0] = (40, 90, 160), (60, 50, 40)
    both = body + pole
    dropped = correct_by_points(photo, both, both, Pointing(drop=[share((200, 100))]), see_all(both))
    assert overlap(dropped, body) > 0.97
    kept = correct_by_points(photo, body, body, Pointing(keep=[share((200, 100))]), see_all(body))
    assert overlap(kept, both) > 0.97


def test_a_kept_point_brings_none_of_the_ground_that_the_net_sees_along_with_it() -> None:
    photo, truth = np.full((SIDE, SIDE, 3), (200, 190, 170), np.uint8), np.zeros((SIDE, SIDE), np.float32)
    cv2.rectangle(truth, (140, 60), (260, 340), 1.0, -1)
    photo[truth > 0] = (50, 80, 60)
    photo[250:340, 140:261] = (30, 30, 35)
    seen, closer = truth.copy(), truth.copy()
    seen[250:] = 0
    cv2.ellipse(closer, (200, 330), (150, 60), 0, 0, 360, 1.0, -1)
    kept = correct_by_points(photo, seen, seen, Pointing(keep=[share((200, 300))]), see_all(closer))
    assert overlap(kept, truth) > 0.95


def test_a_point_on_a_strangers_arm_takes_nobodys_face_away() -> None:
    face, matte = make_person(200)
    arm = np.zeros((SIDE, SIDE), np.float32)
    cv2.line(arm, (399, 300), (240, 230), 1.0, 26)
    photo = np.full((SIDE, SIDE, 3), 180, np.uint8)
    photo[matte > 0] = (40, 60, 120)
    cv2.circle(photo, (200, 120), 40, (220, 180, 150), -1)
    photo[arm > 0] = (205, 160, 130)
    both = np.maximum(matte, arm)
    dropped = correct_by_points(photo, both, both, Pointing(drop=[share((340, 274))]), see_all(both), faces=(face,))
    assert overlap(dropped, matte * (1 - arm)) > 0.95
    kept = correct_by_points(photo, both, arm, Pointing(keep=[share((200, 330))]), see_all(both), faces=(face,))
    assert (kept > 0.5)[85:155, 190:210].all(), "who is pointed at comes with the face"


def test_of_two_people_seen_as_one_a_point_takes_or_adds_the_one_it_lies_on() -> None:
    (one, first), (two, second) = make_person(130), make_person(262)
    both = np.maximum(first, second)
    photo = np.full((SIDE, SIDE, 3), 180, np.uint8)
    photo[first > 0], photo[second > 0] = (40, 60, 120), (130, 50, 40)
    points = [share((270, 300))]
    for number, (selected, pointing) in enumerate(
        ((both, Pointing(drop=points)), (first * (1 - second), Pointing(keep=points)))
    ):
        alpha = correct_by_points(photo, both, selected, pointing, see_all(both), faces=(one, two))
        assert (alpha[85:155, 240:285].mean() > 0.9) == bool(number)
        assert alpha[85:155, 105:155].mean() > 0.95


def test_a_drop_beside_the_face_of_the_only_person_leaves_the_face() -> None:
    face, matte = make_person(200)
    photo = np.full((SIDE, SIDE, 3), 180, np.uint8)
    photo[matte > 0] = (205, 160, 130)  # the face, the neck and the shoulders have one colour
    dropped = correct_by_points(photo, matte, matte, Pointing(drop=[share((234, 120))]), see_all(matte), faces=(face,))
    assert (dropped > 0.5)[105:140, 190:210].all()
    assert dropped[120, 234] < 0.5
    on_it = correct_by_points(photo, matte, matte, Pointing(drop=[share((200, 120))]), see_all(matte), faces=(face,))
    assert not (on_it > 0.5)[105:140, 190:210].any(), "on the face itself it is meant"


def test_a_drop_near_the_outline_takes_what_lies_there_and_not_the_whole_thing() -> None:
    photo, mattes = draw_discs()
    near, deep = (DISCS[0][0] - 52, DISCS[0][1]), DISCS[0]  # 8 pixels inside of the outline
    photo[:, : near[0] + 4] = np.where(mattes[0][:, : near[0] + 4, None] > 0, (40, 120, 60), photo[:, : near[0] + 4])
    seen = np.maximum.reduce(mattes)
    rim, whole = (
        correct_by_points(photo, seen, mattes[0], Pointing(drop=[share(at)]), see_all(mattes[0]), may_reselect=False)
        for at in (near, deep)
    )
    assert rim[near[1], near[0]] < 0.5
    assert overlap(rim, mattes[0]) > 0.85
    assert whole.sum() < 0.4 * mattes[0].sum()


def draw_shadowed_shoe() -> tuple[Image, Alpha, Alpha]:
    """A shoe with a dark sole, its matte, and that with its cast shadow, which is nearly as dark as the sole."""
    shoe, shadow = np.zeros((SIDE, SIDE), np.float32), np.zeros((SIDE, SIDE), np.float32)
    cv2.rectangle(shoe, (80, 120), (320, 250), 1.0, -1)
    photo = np.full((SIDE, SIDE, 3), (236, 237, 239), np.uint8)
    cv2.fillPoly(shadow, [np.array([(120, 251), (320, 251), (290, 320), (190, 320)])], 1.0)
    photo[shadow > 0] = (40, 38, 38)
    photo[shoe > 0] = (150, 140, 120)
    photo[215:251, 80:321] = (33, 32, 32)
    grain = np.random.default_rng(2).normal(0, 3, photo.shape)
    return np.clip(photo + grain, 0, 255).astype(np.uint8), shoe, np.maximum(shoe, shadow)


def test_a_point_where_nets_differ_does_not_reach_into_what_all_of_them_are_sure_of() -> None:
    photo, shoe, both = draw_shadowed_shoe()
    sole = np.zeros((SIDE, SIDE), np.bool_)
    sole[218:246, 84:317] = True
    shadow, see = both - shoe > 0.5, see_all(both)
    mark = Pointing(drop=[share((240, 275))])
    torn = correct_by_points(photo, both, both, mark, see)
    assert (torn > 0.5)[sole].mean() < 0.8, "one net alone says nothing else"
    dropped = correct_by_points(photo, both, both, mark, see, views=(both, shoe))
    assert (dropped > 0.5)[sole].all()
    assert (dropped > 0.5)[shadow].mean() < 0.03
    see_more = see_all(np.ones_like(both))
    kept = correct_by_points(photo, both, shoe, Pointing(keep=mark.drop), see_more, views=(both, shoe))
    assert (kept > 0.5)[both < 0.5].mean() < 0.03
    assert (kept > 0.5)[shadow].mean() > 0.9


def test_a_point_on_what_all_nets_are_sure_of_takes_that_thing() -> None:
    photo, (first, second, _) = draw_discs()
    both = first + second
    alpha = correct_by_points(photo, both, both, Pointing(drop=[share(DISCS[1])]), see_all(both), views=(both, both))
    assert overlap(alpha, first) > 0.97


def test_a_drop_leaves_something_where_a_closer_look_sees_less() -> None:
    photo, (first, second, _) = draw_discs()
    first[:, : DISCS[0][0]], photo[first > 0] = 0, (40, 140, 60)
    photo[:, : DISCS[0][0]] = 190
    both = first + second
    both[120:140, 110:290] = 1.0
    photo[120:140, 160:240] = (40, 50, 160)

    def predict(area: Area) -> Alpha:
        return see_all(both if area[2] - area[0] > 0.4 else second)(area)

    alpha = correct_by_points(photo, both, both, Pointing(drop=[share(DISCS[1])]), predict)
    assert alpha[first > 0].mean() > 0.9
    assert alpha[second > 0].mean() < 0.1


def test_what_was_pointed_at_is_doubted_no_more_and_the_rest_is() -> None:
    marked, other = np.zeros((64, 64), np.bool_), np.zeros((64, 64), np.bool_)
    marked[4:20, 4:20], other[40:56, 40:48] = True, True
    reconciled = ReconciledMatte(np.zeros((64, 64), np.float32), marked | other, marked | other, 0.3, 0.6)
    nothing, everything = np.zeros((64, 64), np.float32), np.ones((64, 64), np.float32)
    left = exclude_marked_regions(reconciled, nothing, Pointing(drop=((0.2, 0.2),)))
    assert np.array_equal(left.regions, other)
    assert left.unsettled == pytest.approx(0.1)
    assert left.differing == pytest.approx(0.2)
    boxed = exclude_marked_regions(reconciled, everything, Pointing(box=(0.5, 0.5, 1.0, 1.0)))
    assert np.array_equal(boxed.differs, other), "all outside of the box is decided"
    same = exclude_marked_regions(reconciled, everything, Pointing(keep=((0.9, 0.1),)))
    assert np.array_equal(same.regions, reconciled.regions)
    assert same.unsettled == reconciled.unsettled
    half = nothing.copy()
    half[:, 12:] = 1.0
    followed = exclude_marked_regions(reconciled, half, Pointing(drop=((0.1, 0.2),)))
    assert not followed.regions[4:20, 4:12].any()
    assert followed.regions[4:20, 18:20].all(), "still taken, against the mark"
    vague = ReconciledMatte(np.zeros((64, 64), np.float32), np.zeros((64, 64), np.bool_), other, 0.3, 0.6)
    assert exclude_marked_regions(vague, everything, Pointing(keep=((0.1, 0.1),))).unsettled == 0.3, (
        "no region, so none was settled"
    )
    rim = other.copy()
    rim[40, :48] = rim[4:40, 4] = True
    joined = ReconciledMatte(np.zeros((64, 64), np.float32), marked, marked | rim, 0.3, 0.6)
    assert exclude_marked_regions(joined, nothing, Pointing(drop=((0.2, 0.2),))).differs[42:54, 42:46].all(), (
        "only joined by a rim"
    )
