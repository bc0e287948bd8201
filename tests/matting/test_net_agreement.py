"""Two mattes of a photo become one: what decides a region in which they differ, and what is left uncertain."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.core.geometry import Alpha, Area, Face, Image
from pipelines.matting.net_agreement import (
    fill_half_seen_inside,
    measure_doubt,
    reconcile_mattes,
    remove_unseen_ghosts,
)
from pipelines.matting.subject_selection import select_subject
from tests.support.examples import make_blob

SUBJECT, GROUND = (40, 110, 60), (205, 200, 190)


def make_photo(alpha: Alpha) -> Image:
    """The subject's colour before the ground's, with grain."""
    photo = np.where(alpha[..., None] > 0.5, SUBJECT, GROUND) + np.random.default_rng(0).normal(0, 3, (*alpha.shape, 3))
    return np.clip(photo, 0, 255).astype(np.uint8)


def add_box(alpha: Alpha, value: float) -> Alpha:
    """The matte with a box beside its blob that is `value` opaque."""
    changed = alpha.copy()
    changed[150:250, 290:360] = value
    return changed


def make_face(box: tuple[int, int, int, int]) -> Face:
    """A face that fills a box (left, top, right, bottom)."""
    left, top, right, bottom = box
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)
    middle = ((left + right) / 2, (top + bottom) / 2)
    return Face(np.resize(corners, (468, 2)), box, middle, middle, middle, 0.0, 1.0)


@pytest.fixture
def blob() -> Alpha:
    return make_blob(400, 400, (200, 200), (100, 120))


@pytest.mark.parametrize("detailed_has_it", [True, False])
def test_a_region_belongs_to_the_side_of_its_colour(blob: Alpha, detailed_has_it: bool) -> None:
    """Ground that the detailed net takes for the subject, and a part of the subject that it leaves out, half sure."""
    other = add_box(blob, 0.7)
    if detailed_has_it:
        found = reconcile_mattes(make_photo(blob), other, blob)
        assert found.alpha[180:220, 315:345].max() < 0.1
    else:
        found = reconcile_mattes(
            make_photo(add_box(blob, 1)), add_box(blob, 0.3) * (add_box(blob, 1)), add_box(blob, 1)
        )
        assert found.alpha[180:220, 315:345].min() > 0.9


@pytest.mark.parametrize(("beside", "stays"), [("shadow", False), ("part", True), ("dark part", True)])
def test_a_shadow_that_only_the_detailed_net_takes_in_is_left_out(blob: Alpha, beside: str, stays: bool) -> None:
    """Both nets are sure. A shadow is the ground darkened by one factor, which a part of the subject is not."""
    colours = {"shadow": np.array(GROUND) * 0.35, "part": (40, 60, 150), "dark part": np.array(SUBJECT) * 0.35}
    photo, noise = make_photo(blob), np.random.default_rng(1).normal(0, 2, (100, 70, 3))
    box = np.s_[150:250, 290:360]
    free = blob[box] < 0.5
    photo[box][free] = np.clip(colours[beside] + noise, 0, 255).astype(np.uint8)[free]
    found = reconcile_mattes(photo, add_box(blob, 1), blob)
    assert (found.alpha[180:220, 315:345].mean() > 0.5) == stays
    assert found.alpha[150:250, 140:260].min() > 0.9


@pytest.mark.parametrize(
    ("beside", "has_face", "is_taken"),
    [("shadow", False, False), ("patterned", False, True), ("blue", False, True), ("shadow", True, True)],
)
def test_a_smooth_shadow_that_only_the_other_net_takes_in_is_left_out(
    blob: Alpha, beside: str, has_face: bool, is_taken: bool
) -> None:
    """It is as dark as the subject, whose colour it has; a thing has a pattern or a colour, and people wear black."""
    dark, noise = (70, 68, 66), np.random.default_rng(1).normal(0, 2, (400, 400, 3))
    photo = np.where(blob[..., None] > 0.5, dark, GROUND) + noise
    shadow = (add_box(blob, 1) > 0.5) & (blob < 0.5)
    pattern = 30 * (np.indices((400, 400)).sum(axis=0) // 6 % 2)[..., None] if beside == "patterned" else 0
    photo[shadow] = ((30, 60, 110) if beside == "blue" else dark) + (noise + pattern)[shadow]
    faces = (make_face((160, 100, 239, 179)),) if has_face else ()
    found = reconcile_mattes(np.clip(photo, 0, 255).astype(np.uint8), blob, add_box(blob, 1), faces)
    assert (found.alpha[180:220, 320:345].mean() > 0.5) == is_taken


def test_where_both_agree_the_detailed_matte_is_kept(blob: Alpha) -> None:
    found = reconcile_mattes(make_photo(blob), blob, np.asarray(cv2.GaussianBlur(blob, (0, 0), 2), np.float32))
    assert np.array_equal(found.alpha, blob)
    assert found.unsettled == 0
    assert not found.regions.any()


def test_a_face_belongs_to_its_person(blob: Alpha) -> None:
    faceless = blob.copy()
    faceless[100:180, 160:240] = 0
    face = make_face((160, 100, 239, 179))
    photo = make_photo(blob)
    photo[100:180, 160:240] = GROUND  # pale skin before a pale wall
    assert reconcile_mattes(photo, faceless, blob, (face,)).alpha[110:170, 170:230].min() > 0.9


class PeopleSeen:
    """A net that knows people: it sees `alpha`, and remembers in which areas it was asked."""

    def __init__(self, alpha: Alpha) -> None:
        self.alpha = alpha
        self.areas: list[Area] = []

    def __call__(self, area: Area) -> Alpha:
        self.areas.append(area)
        height, width = self.alpha.shape
        left, top, right, bottom = (round(share * side) for share, side in zip(area, (width, height) * 2, strict=True))
        return self.alpha[top:bottom, left:right]


FACE = make_face((170, 110, 230, 170))


@pytest.mark.parametrize("knows_people", [True, False])
def test_a_pale_sleeve_that_one_net_alone_sees_is_kept_where_people_are_seen(blob: Alpha, knows_people: bool) -> None:
    """It is nearly of the colour of the ground. A net that sees no people at all changes nothing."""
    photo = make_photo(blob)
    photo[add_box(blob, 1) > blob] = (170, 170, 120)
    people = PeopleSeen(add_box(blob, 1) if knows_people else np.zeros_like(blob))
    found = reconcile_mattes(photo, blob, add_box(blob, 1), (FACE,), people)
    assert (found.alpha[180:220, 315:345].mean() > 0.9) == knows_people
    assert len(people.areas) == 1
    unasked = reconcile_mattes(photo, blob, add_box(blob, 1), (FACE,))
    assert knows_people or np.array_equal(found.alpha, unasked.alpha)


def test_what_somebody_holds_is_not_lost_because_it_is_no_person(blob: Alpha) -> None:
    """A bag that the detailed net sees, and the net that knows people does not."""
    photo, bag = make_photo(add_box(blob, 1)), add_box(blob, 0.6)
    found = reconcile_mattes(photo, bag, blob, (FACE,), PeopleSeen(blob))
    unasked = reconcile_mattes(photo, bag, blob, (FACE,))
    assert np.array_equal(found.alpha, unasked.alpha)
    assert found.unsettled == unasked.unsettled > 0


def test_a_net_that_sees_people_everywhere_is_not_believed(blob: Alpha) -> None:
    photo = make_photo(blob)
    found = reconcile_mattes(photo, blob, add_box(blob, 1), (FACE,), PeopleSeen(np.ones_like(blob)))
    assert np.array_equal(found.alpha, reconcile_mattes(photo, blob, add_box(blob, 1), (FACE,)).alpha)


def test_nobody_looks_for_people_where_no_face_is(blob: Alpha) -> None:
    people = PeopleSeen(add_box(blob, 1))
    found = reconcile_mattes(make_photo(blob), blob, add_box(blob, 0.7), (), people)
    before = reconcile_mattes(make_photo(blob), blob, add_box(blob, 0.7))
    assert people.areas == []
    assert np.array_equal(found.alpha, before.alpha)


def test_the_area_in_which_people_are_looked_for_holds_all_that_stands_out(blob: Alpha) -> None:
    people = PeopleSeen(blob)
    reconcile_mattes(make_photo(blob), blob, add_box(blob, 1), (FACE,), people)
    ((left, top, right, bottom),) = people.areas
    assert 0 < left < 100 / 400 < 360 / 400 < right < 1
    assert 0 < top < 80 / 400 < 320 / 400 < bottom < 1
    reconcile_mattes(make_photo(blob), blob, blob, (FACE,), people)
    assert len(people.areas) == 1, "where both agree there is nothing to ask"


def test_what_nothing_settles_is_uncertain(blob: Alpha) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8)
    sure = measure_doubt(blob, reconcile_mattes(make_photo(blob), blob, blob))
    other = np.roll(blob, 120, axis=1) * np.float32(0.6)
    doubted = measure_doubt(blob, reconcile_mattes(noise, blob * np.float32(0.6), other))
    assert sure.uncertainty < 0.1 < 0.5 < doubted.uncertainty <= 1
    assert doubted.regions.any()


def test_gaps_and_loose_leaves_stay_as_the_net_saw_them() -> None:
    """A lattice with small gaps, and a leaf beside it that no stem holds."""
    lattice = make_blob(400, 400, (170, 200), (110, 150))
    lattice[::8] = 0
    leaf = make_blob(400, 400, (320, 120), (12, 9))
    alpha = np.maximum(lattice, leaf)
    kept = select_subject(alpha, 0, None)
    assert np.abs(kept - alpha).max() < 0.05
    far = np.maximum(make_blob(400, 400, (60, 330), (40, 40)), leaf)
    assert not select_subject(far, 0, None)[110:130, 300:340].any()


def test_a_faint_part_by_itself_that_no_net_saw_is_removed_and_a_seen_or_joined_one_stays() -> None:
    subject = make_blob(300, 300, (150, 150), (60, 80))
    ghost, wisp, joined = (
        0.6 * make_blob(300, 300, place, radii)
        for place, radii in (((30, 40), (12, 6)), ((260, 40), (12, 6)), ((215, 150), (12, 6)))
    )
    alpha = np.asarray(np.maximum.reduce([subject, ghost, wisp, joined]), np.float32)
    for net in (0, 1):  # either net's word is enough
        seen = [subject, subject]
        seen[net] = np.asarray(np.maximum(subject, 0.4 * (wisp > 0.1)), np.float32)
        left = remove_unseen_ghosts(alpha, seen[0], seen[1])
        assert left[ghost > 0.05].max() < 0.01
        np.testing.assert_array_equal(left[(ghost == 0)], alpha[ghost == 0])
    assert remove_unseen_ghosts(subject, subject, subject) is subject


@pytest.mark.parametrize(
    ("level", "radius", "x", "is_filled"),
    [(0.5, 9, 200, True), (0.02, 9, 200, False), (0.5, 60, 200, False), (0.5, 9, 52, False)],
    ids=["half seen", "a gap", "large", "at the edge"],
)
def test_a_small_part_that_the_detailed_net_half_sees_inside_of_a_sure_subject_is_filled(
    level: float, radius: int, x: int, *, is_filled: bool
) -> None:
    quick = np.zeros((400, 400), np.float32)
    cv2.circle(quick, (200, 200), 150, 1.0, -1)
    detailed = quick.copy()
    cv2.circle(detailed, (x, 200), radius, level, -1)
    detailed = np.minimum(detailed, quick)
    filled = fill_half_seen_inside(detailed, quick)
    assert (filled[195:205, x : x + 5].mean() > 0.95) == is_filled
    assert np.array_equal(filled, detailed) == (not is_filled)
    assert (filled <= quick).all()
