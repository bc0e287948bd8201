"""Seams of tone between copied patches go; edges stay."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core.geometry import Float32Array, IndexArray, Mask
from pipelines.imaging import patch_fill, seam_blending
from pipelines.imaging.patch_fill import continue_surroundings
from pipelines.imaging.seam_blending import MAX_STEP_LEVELS, measure_seam_corrections
from tests.support.examples import load_example

SIDE = 60


def draw_ramp() -> tuple[Float32Array, Mask, IndexArray]:
    """A wall that gets lighter to the right, and a hole that is copied from its left and from its right."""
    pixels = np.broadcast_to(np.linspace(60, 89.5, SIDE, dtype=np.float32)[None, :, None], (SIDE, SIDE, 3)).copy()
    hole = np.zeros((SIDE, SIDE), np.bool_)
    hole[20:40, 20:40] = True
    rows, columns = np.indices(hole.shape)
    return pixels, hole, np.stack((rows, np.where(columns < 30, columns - 12, columns + 12)), axis=2)


def measure_errors(pixels: Float32Array, hole: Mask, sources: IndexArray) -> tuple[float, float]:
    """The mean error of what is copied, and of what is copied and corrected, in levels."""
    copied = pixels[sources[hole][:, 0], sources[hole][:, 1]]
    corrected = copied + measure_seam_corrections(pixels, hole, sources)[hole]
    return float(np.abs(copied - pixels[hole]).mean()), float(np.abs(corrected - pixels[hole]).mean())


def test_tones_that_drift_are_mended_to_the_rims() -> None:
    before, after = measure_errors(*draw_ramp())
    assert before == pytest.approx(6, abs=0.01)
    assert after < 0.1


def test_outside_the_hole_nothing_is_corrected() -> None:
    pixels, hole, sources = draw_ramp()
    assert not measure_seam_corrections(pixels, hole, sources)[~hole].any()


@pytest.mark.parametrize(("step", "spreads"), [(MAX_STEP_LEVELS - 2, True), (MAX_STEP_LEVELS + 2, False)])
def test_a_large_step_is_an_edge_and_stays(step: float, spreads: bool) -> None:
    pixels = np.full((SIDE, SIDE, 3), 100, np.float32)
    pixels[:, :10] += step  # all of the hole is copied from this stripe
    hole = np.zeros((SIDE, SIDE), np.bool_)
    hole[20:40, 20:28] = True
    rows, columns = np.indices(hole.shape)
    sources = np.stack((rows, columns - 19), axis=2)
    corrections = measure_seam_corrections(pixels, hole, sources)[hole]
    assert np.abs(corrections).max() < 0.1 if not spreads else corrections.mean() == pytest.approx(-step, abs=0.5)


def test_where_no_neighbour_is_known_the_copy_stays() -> None:
    pixels = np.full((4, 4, 3), 50, np.float32)
    hole = np.ones((4, 4), np.bool_)
    assert not measure_seam_corrections(pixels, hole, np.zeros((4, 4, 2), np.intp)).any()


def test_a_filled_place_of_a_photo_is_nearer_to_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = load_example("chelsea")
    rows, columns = np.indices(photo.shape[:2])
    hole = np.asarray((rows - 250) ** 2 + (columns - 400) ** 2 < 30**2)

    def measure_fill_error() -> float:
        filled = continue_surroundings(np.where(hole[..., None], 0, photo).astype(np.uint8), hole.astype(np.float32), 1)
        assert (filled[~hole] == photo[~hole]).all()
        return float(np.abs(filled[hole].astype(np.float32) - photo[hole]).mean())

    corrected = measure_fill_error()
    monkeypatch.setattr(seam_blending, "MAX_STEP_LEVELS", -1.0)
    monkeypatch.setattr(patch_fill, "MAX_STEP_LEVELS", -1.0)
    assert corrected < 0.9 * measure_fill_error()
