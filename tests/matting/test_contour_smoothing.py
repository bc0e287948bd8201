"""Contour smoothing: smooth outlines lose their teeth; toothed shapes and unclear edges are unchanged."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.core.geometry import Alpha, Image
from pipelines.matting.contour_smoothing import smooth_contour

SIDE, RADIUS = 600, 220
MIDDLE = SIDE // 2


def resize_alpha(alpha: Alpha, side: int, how: int) -> Alpha:
    return np.asarray(cv2.resize(alpha, (side, side), interpolation=how), np.float32)


def make_disc(wave: float = 0, teeth: int = 0) -> Alpha:
    """A disc whose outline goes in and out by `wave` pixels, `teeth` times; drawn finely."""
    y, x = (np.indices((4 * SIDE, 4 * SIDE)) - 2 * SIDE + 0.5) / 4
    edge = RADIUS + wave * np.sign(np.sin(teeth * np.arctan2(y, x)))
    return resize_alpha((np.hypot(x, y) < edge).astype(np.float32), SIDE, cv2.INTER_AREA)


def make_photo(alpha: Alpha) -> Image:
    """Red on brown, with the grain that no photo is without."""
    grain = np.random.default_rng(1).normal(0, 2, (*alpha.shape, 1))
    mixed = alpha[..., None] * np.array((180, 40, 20)) + (1 - alpha[..., None]) * np.array((120, 80, 50)) + grain
    return np.clip(mixed, 0, 255).astype(np.uint8)


def bite_edge(alpha: Alpha) -> Alpha:
    """With a tooth out of its lower edge and one on its left, 2 pixels high."""
    result = alpha.copy()
    result[MIDDLE + RADIUS - 2 : MIDDLE + RADIUS + 2, MIDDLE + 2 : MIDDLE + 7] = 0
    result[MIDDLE + 2 : MIDDLE + 7, MIDDLE - RADIUS - 2 : MIDDLE - RADIUS + 2] = 1
    return result


def count_bumps(alpha: Alpha) -> float:
    """How far the outline of a disc lies from it at most, in shares of its radius."""
    middle, radius = alpha.shape[0] / 2, RADIUS * alpha.shape[0] / SIDE
    turn = np.linspace(0, 2 * np.pi, 3000, endpoint=False)[:, None]
    reach = radius + np.linspace(-6, 6, 121)
    x, y = ((middle - 0.5 + reach * part).astype(np.float32) for part in (np.cos(turn), np.sin(turn)))
    inside = cv2.remap(alpha, x, y, cv2.INTER_LINEAR) > 0.5
    return float(np.abs(reach[np.argmin(inside, axis=1)] - radius).max()) / radius


@pytest.mark.parametrize("larger", [1, 3])
def test_teeth_of_a_smooth_outline_are_removed_and_the_rest_is_unchanged(larger: int) -> None:
    truth = make_disc()
    truth, given = (resize_alpha(each, SIDE * larger, cv2.INTER_LINEAR) for each in (truth, bite_edge(truth)))
    found = smooth_contour(make_photo(truth), given)
    assert count_bumps(given) > 0.008
    assert count_bumps(found) < 0.55 * count_bumps(given)
    far = cv2.dilate((np.abs(given - truth) > 0.3).astype(np.uint8), np.ones((81 * larger,) * 2)) == 0
    assert np.array_equal(found[far], given[far])


def test_a_toothed_shape_keeps_every_tooth() -> None:
    gear = make_disc(2.5, 40)
    assert np.array_equal(smooth_contour(make_photo(gear), gear), gear)


def test_a_correct_outline_and_a_tiny_one_are_unchanged() -> None:
    whole, small = make_disc(), np.zeros((SIDE, SIDE), np.float32)
    small[200:206, 200:208] = 1
    for alpha in (whole, small, np.zeros_like(whole), np.ones_like(whole)):
        assert np.array_equal(smooth_contour(make_photo(alpha), alpha), alpha)


def test_an_outline_cut_by_the_border_is_not_rounded_there() -> None:
    truth = make_disc()
    given = bite_edge(truth)[:, : MIDDLE + 60].copy()
    truth = truth[:, : MIDDLE + 60].copy()
    found = smooth_contour(make_photo(truth), given)
    assert not np.array_equal(found, given)
    assert np.abs(found - given)[:, -6:].max() < 0.05
