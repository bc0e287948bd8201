"""Drawing resolution: a picture comes off the canvas unchanged, and sides suit the model."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core.geometry import Image, Size
from pipelines.models.diffusion.resolution import plan_canvas, with_min_padded_side

SIZES: tuple[Size, ...] = ((2048, 2048), (1080, 1920), (1584, 396), (64, 64), (333, 517), (1000, 1000))


def make_noise(size: Size) -> Image:
    return np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


@pytest.mark.parametrize("multiple", [8, 16, 32])
@pytest.mark.parametrize("size", SIZES)
def test_sides_are_whole_multiples_and_the_shape_and_the_area_stay(size: Size, multiple: int):
    laid = plan_canvas(size, max_side=1024, min_side=1024, multiple=multiple)
    width, height = laid.padded_size
    assert width % multiple == height % multiple == 0
    assert 0.93 * 1024**2 <= width * height <= 1024**2
    assert laid.content_size[0] / laid.content_size[1] == pytest.approx(size[0] / size[1], rel=0.005)
    assert all(0 <= side - inner < multiple for side, inner in zip(laid.padded_size, laid.content_size, strict=True))


@pytest.mark.parametrize("size", [(333, 517), (1000, 1000), (999, 777)])
def test_a_picture_of_a_size_that_is_drawn_comes_back_byte_for_byte(size: Size):
    laid = plan_canvas(size, max_side=1024, min_side=256, multiple=16)
    picture = make_noise(size)
    drawn = laid.pad_onto(picture)
    assert drawn.shape[:2] == (laid.padded_size[1], laid.padded_size[0])
    assert np.array_equal(laid.cut_out_content(drawn, size), picture)


def test_padding_goes_on_with_the_border():
    laid = plan_canvas((250, 250), max_side=1024, min_side=64, multiple=16)
    picture = make_noise((250, 250))
    drawn = laid.pad_onto(picture)
    assert np.array_equal(drawn[:250, 250:], np.repeat(picture[:, -1:], 6, axis=1))


def test_a_mark_stays_where_it_was_through_scaling_and_back():
    size = (1501, 1127)
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    picture[300:340, 1200:1240] = 255
    laid = plan_canvas(size, max_side=512, min_side=256, multiple=16)
    back = laid.cut_out_content(laid.pad_onto(picture), size)
    rows, columns = np.nonzero(back[..., 0] > 127)
    assert rows.mean() == pytest.approx(319.5, abs=0.5)
    assert columns.mean() == pytest.approx(1219.5, abs=0.5)


def test_a_thin_strip_is_padded_to_what_a_pipeline_takes():
    laid = with_min_padded_side(plan_canvas((2000, 20), max_side=1024, min_side=512, multiple=16), 64, 8)
    assert min(laid.padded_size) >= 64
    assert max(laid.padded_size) <= 8 * min(laid.padded_size)
