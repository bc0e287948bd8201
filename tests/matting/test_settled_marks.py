"""A mark in something narrow beside the outline brings or takes that, up to the photo's own edge, and nothing else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Image
from pipelines.matting.cutout import cut_out_subject
from pipelines.matting.pointing import Pointing, select_pointed
from pipelines.matting.settled_marks import settle_marks

SIZE = (640, 900)
PATCH = np.s_[100:140, 60:100]
KEY, SLOPE = np.s_[200:420, 300:600], np.s_[420:434, 300:600]  # the slope is 4 pixels of 256 high
WOOD, GREY, DARK = (150, 100, 60), (170, 175, 190), (95, 85, 80)
STROKE = [((x + 0.5) / SIZE[1], 427.5 / SIZE[0]) for x in range(310, 600, 20)]


def draw_key() -> tuple[Image, Alpha]:
    """A key on wood whose front slope is dark, with grain, and the alpha of the whole of it."""
    photo, truth = np.full((*SIZE, 3), WOOD, np.float64), np.zeros(SIZE, np.float32)
    for part, colour in ((KEY, GREY), (SLOPE, DARK)):
        photo[part], truth[part] = colour, 1
    return np.clip(photo + np.random.default_rng(0).normal(0, 2, photo.shape), 0, 255).astype(np.uint8), truth


def bite(truth: Alpha) -> Alpha:
    bitten = truth.copy()
    bitten[SLOPE] = 0
    return bitten


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_stroke_settles_a_narrow_part_up_to_the_edges_of_the_photo(is_kept: bool) -> None:
    photo, whole = draw_key()
    before, wanted = (bite(whole), whole) if is_kept else (whole, bite(whole))
    settled = settle_marks(photo, before, STROKE if is_kept else (), () if is_kept else STROKE)
    assert ((settled > 0.5) != (wanted > 0.5)).sum() < 0.03 * (whole > 0)[SLOPE].sum()
    assert ((settled > 0.1) & (settled < 0.9)).sum() < 3 * (300 + 2 * 14), "no smear"
    far = np.ones(SIZE, np.bool_)
    far[410:444, 290:610] = False
    assert np.array_equal(settled[far], before[far])


def test_marks_that_the_matte_follows_change_nothing_and_limit_the_others() -> None:
    photo, whole = draw_key()
    followed = [(0.5, 0.4)]
    assert settle_marks(photo, whole, followed, [(0.1, 0.1)]) is whole
    photo[SLOPE] = WOOD  # no edge any more between the slope and the ground
    wide = settle_marks(photo, bite(whole), STROKE[:1], ())
    narrow = settle_marks(photo, bite(whole), STROKE[:1], [(STROKE[0][0], 438 / SIZE[0])])
    assert (narrow > 0.5).sum() < (wide > 0.5).sum()
    assert narrow[438, int(STROKE[0][0] * SIZE[1])] < 0.5


class GivenNet:
    """A net that sees the key without its slope, and a patch of the same colour far from it."""

    def predict_alpha(self, image: Image) -> Alpha:
        seen = bite(draw_key()[1])
        seen[PATCH] = 1
        return np.asarray(cv2.GaussianBlur(seen, (0, 0), 1.5), np.float32)


def see_nothing(_area: object) -> Alpha:
    return np.zeros((8, 8), np.float32)


@pytest.mark.parametrize("marks", [{"keep": STROKE}, {"drop": [(80 / 900, 120 / 640)]}])
def test_far_from_marks_a_cut_out_is_as_without_them(marks: dict[str, list[tuple[float, float]]]) -> None:
    photo, _ = draw_key()
    photo[PATCH] = GREY
    pointing = Pointing(keep=marks.get("keep", ()), drop=marks.get("drop", ()))

    def choose(seen: Alpha) -> Alpha:
        return seen

    plain = cut_out_subject(photo, GivenNet(), select=lambda seen, *_: choose(seen)).alpha
    marked = cut_out_subject(
        photo,
        GivenNet(),
        select=lambda seen, *_: select_pointed(photo, seen, pointing, choose, see_nothing),
        pointing=pointing,
        select_unmarked=choose,
    ).alpha
    changed = marked != plain
    assert changed.any()
    near = np.zeros(SIZE, np.uint8)
    for x, y in next(iter(marks.values())):
        cv2.circle(near, (int(x * SIZE[1]), int(y * SIZE[0])), 100, 1, -1)
    assert not changed[near == 0].any()


def test_where_there_is_no_subject_without_marks_all_of_it_was_pointed_at() -> None:
    photo, whole = draw_key()

    def refuse(seen: Alpha) -> Alpha:
        raise BadInput("nothing stands out", code="no_subject")

    cutout = cut_out_subject(
        photo, GivenNet(), select=lambda *_: whole, pointing=Pointing(keep=STROKE), select_unmarked=refuse
    )
    assert ((cutout.alpha > 0.5) == (whole > 0.5)).mean() > 0.995
