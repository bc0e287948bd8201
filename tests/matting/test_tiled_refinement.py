"""Tiled refinement: tiles count near the outline, where they agree with the whole photo, and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.core.geometry import Alpha, Image
from pipelines.matting import tiled_refinement as part
from pipelines.matting.cutout import cut_out_subject
from pipelines.matting.tiled_refinement import refine_outline_in_tiles

SIZE = 1000, 800


def _make_subject() -> tuple[Image, Alpha, Alpha]:
    """A photo whose first channel is the true alpha: a body with a narrow gap in its side; and what is seen coarse."""
    truth = np.zeros(SIZE, np.float32)
    cv2.ellipse(truth, (400, 520), (250, 360), 0, 0, 360, 1, -1)
    coarse = truth.copy()
    cv2.line(truth, (660, 520), (640, 520), 0, 14)  # type: ignore[call-overload]
    photo = np.repeat((255 * truth).astype(np.uint8)[..., None], 3, axis=2)
    return photo, truth, coarse


def _ignore_progress(number: int, of: int) -> None:
    pass


def _read_truth(tile: Image) -> Alpha:
    return np.asarray(tile[..., 0] / 255, np.float32)


def test_a_gap_too_narrow_for_the_whole_photo_is_found_in_tiles() -> None:
    photo, truth, coarse = _make_subject()
    progress: list[tuple[int, int]] = []
    found, confidence = refine_outline_in_tiles(photo, coarse, _read_truth, lambda *done: progress.append(done))
    missed = np.abs(coarse - truth) > 0.5
    assert missed.sum() > 200
    assert np.abs(found - truth)[missed].mean() < 0.1
    assert confidence[missed].mean() > 0.9
    assert progress == [(n, len(progress)) for n in range(1, len(progress) + 1)]
    assert np.abs(found - truth)[~missed].max() < 0.01


@pytest.mark.parametrize("answer", [0.0, 1.0, 0.5])
def test_a_tile_that_does_not_see_the_subject_is_ignored(answer: float) -> None:
    photo, _, coarse = _make_subject()
    found, confidence = refine_outline_in_tiles(
        photo, coarse, lambda tile: np.full(tile.shape[:2], answer, np.float32), _ignore_progress
    )
    assert np.array_equal(found, coarse)
    assert not confidence.any()


def test_tiles_change_nothing_deep_inside_the_subject() -> None:
    photo, _, coarse = _make_subject()
    photo[500:540, 380:420] = 0  # a black button
    assert np.array_equal(
        refine_outline_in_tiles(photo, coarse, _read_truth, _ignore_progress)[0][480:560, 360:440],
        coarse[480:560, 360:440],
    )


@pytest.mark.parametrize(("side", "closely", "looks"), [(1000, True, True), (1000, False, False), (700, True, False)])
def test_only_a_large_photo_is_tiled_and_only_when_asked(side: int, closely: bool, looks: bool) -> None:
    photo, truth, _ = _make_subject()
    size = round(0.8 * side), side

    class Net:
        seen = 0

        def predict_alpha(self, image: Image) -> Alpha:
            self.seen += 1
            return 0.1 + 0.8 * _read_truth(image)

    net = Net()
    cut = cut_out_subject(
        np.asarray(cv2.resize(photo, size), np.uint8), net, on_tile_progress=_ignore_progress if closely else None
    )
    assert (net.seen > 1) is looks
    assert np.abs(cut.alpha - cv2.resize(truth, size)).mean() < 0.01


def test_a_few_tiles_cover_the_whole_outline() -> None:
    _, _, coarse = _make_subject()
    seen = np.zeros(SIZE, np.bool_)
    tiles = list(part._place_tiles(coarse))
    for top, bottom, left, right in tiles:
        seen[top:bottom, left:right] = True
    rim = cv2.morphologyEx((coarse > 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    assert seen[rim].mean() > 0.99
    assert len(tiles) <= 9


def test_a_huge_photo_is_merged_on_a_smaller_copy() -> None:
    photo, truth, coarse = _make_subject()
    truth, coarse = (np.asarray(cv2.resize(each, (2880, 3600)), np.float32) for each in (truth, coarse))
    photo = np.asarray(cv2.resize(photo, (2880, 3600)), np.uint8)
    found, confidence = refine_outline_in_tiles(photo, coarse, _read_truth, _ignore_progress)
    assert found.shape == coarse.shape
    assert max(confidence.shape) == part.WORK_SIDE_PX
    missed = np.abs(coarse - truth) > 0.5
    assert np.abs(found - truth)[missed].mean() < 0.1
