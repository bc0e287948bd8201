"""The band of a matte that a better net draws anew: where it runs, in which tiles, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core.errors import JobCancelled
from pipelines.core.geometry import Alpha, Image, Uint8Array
from pipelines.matting.edge_band import OVERLAP_PX, TILE_PX, UNKNOWN_TRIMAP, find_band, redraw_band
from tests.support.examples import make_blob, make_noise

HEIGHT, WIDTH = 700, 1300
ALPHA = make_blob(HEIGHT, WIDTH, (640, 350), (500, 250))
PHOTO = make_noise(HEIGHT, WIDTH)


def test_the_band_is_the_edge_and_doubt_beside_it_and_nothing_far_away() -> None:
    band = find_band(ALPHA)
    mixed = (ALPHA > 0.02) & (ALPHA < 0.98)
    assert mixed.any()
    assert band[mixed].all()
    assert not band[350, 640]
    assert not band[5, 5]
    assert band.mean() < 0.1
    doubtful = np.ones((70, 130), np.bool_)
    wider = find_band(ALPHA, doubtful)
    assert wider[band].all()
    assert wider.sum() > 1.5 * band.sum()
    assert not wider[350, 640]


def test_the_net_sees_tiles_of_bounded_size_with_what_is_settled_and_only_the_band_changes() -> None:
    band, tiles, told = find_band(ALPHA), list[tuple[int, ...]](), list[tuple[int, int]]()

    def predict(image: Image, trimap: Uint8Array) -> Alpha:
        assert image.shape == (*trimap.shape, 3)
        assert set(np.unique(trimap)) == {0, UNKNOWN_TRIMAP, 255}
        tiles.append(trimap.shape)
        return np.full(trimap.shape, 0.25, np.float32)

    drawn = redraw_band(PHOTO, ALPHA, band, predict, lambda number, count: told.append((number, count)))
    assert max(max(shape) for shape in tiles) == TILE_PX
    assert told == [(number, len(tiles)) for number in range(1, len(tiles) + 1)]
    assert np.array_equal(drawn[~band], ALPHA[~band])
    inner = find_band(ALPHA) & (np.abs(ALPHA - 0.5) < 0.3)
    assert drawn[inner] == pytest.approx(0.25, abs=1e-5)


def test_tiles_meet_without_a_seam() -> None:
    """A net that says what the matte says already, each tile with an error of its own, leaves no step in the band."""
    height, width = 200, 2 * TILE_PX
    band = np.zeros((height, width), np.bool_)
    band[80:120] = True
    alpha = np.zeros((height, width), np.float32)
    alpha[:100] = 1
    answers = iter((0.2, 0.8, 0.2))

    def predict(image: Image, trimap: Uint8Array) -> Alpha:
        return np.full(trimap.shape, next(answers), np.float32)

    row = redraw_band(make_noise(height, width), alpha, band, predict)[100]
    assert row[0] == pytest.approx(0.2)
    assert row[TILE_PX] == pytest.approx(0.8)
    assert np.abs(np.diff(row)).max() < 1.1 * 0.6 / OVERLAP_PX


def test_a_tile_without_both_sides_is_left_and_stop_ends_between_two() -> None:
    everywhere = np.ones((100, 100), np.bool_)
    alpha = np.full((100, 100), 0.5, np.float32)
    seen: list[int] = []

    def predict(image: Image, trimap: Uint8Array) -> Alpha:
        seen.append(1)
        return np.zeros(trimap.shape, np.float32)

    assert np.array_equal(redraw_band(make_noise(100, 100), alpha, everywhere, predict), alpha)
    assert seen == []

    def stop(number: int, count: int) -> None:
        assert count > 1
        raise JobCancelled

    with pytest.raises(JobCancelled):
        redraw_band(PHOTO, ALPHA, find_band(ALPHA), predict, stop)
    assert len(seen) == 1
