"""The closer look along an outline: heard near the outline and where it knows the subject, and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.core.geometry import Alpha, Image
from pipelines.matting import tiled_refinement as part
from pipelines.matting.cutout import cut_out_subject
from pipelines.matting.tiled_refinement import refine_outline_in_tiles

SIZE = 1000, 800


def _subject() -> tuple[Image, Alpha, Alpha]:
    """A photo whose first channel is the true alpha: a body with a narrow gap in its side; and what is seen afar."""
    truth = np.zeros(SIZE, np.float32)
    cv2.ellipse(truth, (400, 520), (250, 360), 0, 0, 360, 1, -1)
    afar = truth.copy()
    cv2.line(truth, (660, 520), (640, 520), 0, 14)  # type: ignore[call-overload]
    photo = np.repeat((255 * truth).astype(np.uint8)[..., None], 3, axis=2)
    return photo, truth, afar


def _unheard(number: int, of: int) -> None:
    pass


def _truth_of(tile: Image) -> Alpha:
    return np.asarray(tile[..., 0] / 255, np.float32)


def test_a_gap_that_is_too_narrow_from_afar_is_seen() -> None:
    photo, truth, afar = _subject()
    told: list[tuple[int, int]] = []
    found, heard = refine_outline_in_tiles(photo, afar, _truth_of, lambda *done: told.append(done))
    missed = np.abs(afar - truth) > 0.5
    assert missed.sum() > 200
    assert np.abs(found - truth)[missed].mean() < 0.1
    assert heard[missed].mean() > 0.9
    assert told == [(n, len(told)) for n in range(1, len(told) + 1)]
    assert np.abs(found - truth)[~missed].max() < 0.01


@pytest.mark.parametrize("said", [0.0, 1.0, 0.5])
def test_a_tile_that_knows_nothing_of_the_subject_is_not_heard(said: float) -> None:
    photo, _, afar = _subject()
    found, heard = refine_outline_in_tiles(
        photo, afar, lambda tile: np.full(tile.shape[:2], said, np.float32), _unheard
    )
    assert np.array_equal(found, afar)
    assert not heard.any()


def test_what_lies_deep_inside_is_left_to_the_view_from_afar() -> None:
    photo, _, afar = _subject()
    photo[500:540, 380:420] = 0  # a black button
    assert np.array_equal(
        refine_outline_in_tiles(photo, afar, _truth_of, _unheard)[0][480:560, 360:440], afar[480:560, 360:440]
    )


@pytest.mark.parametrize(("side", "closely", "looks"), [(1000, True, True), (1000, False, False), (700, True, False)])
def test_only_a_large_photo_is_looked_at_again_and_only_when_asked(side: int, closely: bool, looks: bool) -> None:
    photo, truth, _ = _subject()
    size = round(0.8 * side), side

    class Net:
        seen = 0

        def predict_alpha(self, image: Image) -> Alpha:
            self.seen += 1
            return 0.1 + 0.8 * _truth_of(image)

    net = Net()
    cut = cut_out_subject(
        np.asarray(cv2.resize(photo, size), np.uint8), net, on_tile_progress=_unheard if closely else None
    )
    assert (net.seen > 1) is looks
    assert np.abs(cut.alpha - cv2.resize(truth, size)).mean() < 0.01


def test_tiles_reach_all_of_an_outline_and_are_few() -> None:
    _, _, afar = _subject()
    seen = np.zeros(SIZE, np.bool_)
    tiles = list(part._place_tiles(afar))
    for top, bottom, left, right in tiles:
        seen[top:bottom, left:right] = True
    rim = cv2.morphologyEx((afar > 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    assert seen[rim].mean() > 0.99
    assert len(tiles) <= 9


def test_a_huge_photo_is_weighed_on_a_copy() -> None:
    photo, truth, afar = _subject()
    truth, afar = (np.asarray(cv2.resize(each, (2880, 3600)), np.float32) for each in (truth, afar))
    photo = np.asarray(cv2.resize(photo, (2880, 3600)), np.uint8)
    found, heard = refine_outline_in_tiles(photo, afar, _truth_of, _unheard)
    assert found.shape == afar.shape
    assert max(heard.shape) == part.WORK_SIDE_PX
    missed = np.abs(afar - truth) > 0.5
    assert np.abs(found - truth)[missed].mean() < 0.1
