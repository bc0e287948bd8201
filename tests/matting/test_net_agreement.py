"""Two mattes of a photo become one: what decides a region in which they differ, and what is left uncertain."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.core.geometry import Alpha, Face, Image
from pipelines.matting.net_agreement import measure_doubt, reconcile_mattes
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


def test_where_both_agree_the_detailed_matte_is_kept(blob: Alpha) -> None:
    found = reconcile_mattes(make_photo(blob), blob, np.asarray(cv2.GaussianBlur(blob, (0, 0), 2), np.float32))
    assert np.array_equal(found.alpha, blob)
    assert found.unsettled == 0
    assert not found.regions.any()


def test_a_face_belongs_to_its_person(blob: Alpha) -> None:
    faceless = blob.copy()
    faceless[100:180, 160:240] = 0
    corners = np.array([(160, 100), (239, 100), (239, 179), (160, 179)], np.float32)
    middle = (200.0, 140.0)
    face = Face(np.resize(corners, (468, 2)), (160, 100, 240, 180), middle, middle, middle, 0.0, 1.0)
    photo = make_photo(blob)
    photo[100:180, 160:240] = GROUND  # pale skin before a pale wall
    assert reconcile_mattes(photo, faceless, blob, (face,)).alpha[110:170, 170:230].min() > 0.9


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
