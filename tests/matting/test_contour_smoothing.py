"""A smooth outline loses its teeth; a shape that has teeth keeps them; what the line is not sure of stays."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.core.geometry import Alpha, Image
from pipelines.matting.contour_smoothing import smooth_contour

SIDE, RADIUS = 600, 220
MIDDLE = SIDE // 2


def resized(alpha: Alpha, side: int, how: int) -> Alpha:
    return np.asarray(cv2.resize(alpha, (side, side), interpolation=how), np.float32)


def disc(wave: float = 0, teeth: int = 0) -> Alpha:
    """A disc whose outline goes in and out by `wave` pixels, `teeth` times; drawn finely."""
    y, x = (np.indices((4 * SIDE, 4 * SIDE)) - 2 * SIDE + 0.5) / 4
    edge = RADIUS + wave * np.sign(np.sin(teeth * np.arctan2(y, x)))
    return resized((np.hypot(x, y) < edge).astype(np.float32), SIDE, cv2.INTER_AREA)


def photo(alpha: Alpha) -> Image:
    """Red on brown, with the grain that no photo is without."""
    grain = np.random.default_rng(1).normal(0, 2, (*alpha.shape, 1))
    mixed = alpha[..., None] * np.array((180, 40, 20)) + (1 - alpha[..., None]) * np.array((120, 80, 50)) + grain
    return np.clip(mixed, 0, 255).astype(np.uint8)


def bitten(alpha: Alpha) -> Alpha:
    """With a tooth out of its lower edge and one on its left, 2 pixels high."""
    result = alpha.copy()
    result[MIDDLE + RADIUS - 2 : MIDDLE + RADIUS + 2, MIDDLE + 2 : MIDDLE + 7] = 0
    result[MIDDLE + 2 : MIDDLE + 7, MIDDLE - RADIUS - 2 : MIDDLE - RADIUS + 2] = 1
    return result


def bumps(alpha: Alpha) -> float:
    """How far the outline of a disc lies from it at most, in shares of its radius."""
    middle, radius = alpha.shape[0] / 2, RADIUS * alpha.shape[0] / SIDE
    turn = np.linspace(0, 2 * np.pi, 3000, endpoint=False)[:, None]
    reach = radius + np.linspace(-6, 6, 121)
    x, y = ((middle - 0.5 + reach * part).astype(np.float32) for part in (np.cos(turn), np.sin(turn)))
    inside = cv2.remap(alpha, x, y, cv2.INTER_LINEAR) > 0.5
    return float(np.abs(reach[np.argmin(inside, axis=1)] - radius).max()) / radius


@pytest.mark.parametrize("larger", [1, 3])
def test_teeth_of_a_smooth_outline_go_and_the_rest_stays_as_it_was(larger: int) -> None:
    truth = disc()
    truth, given = (resized(each, SIDE * larger, cv2.INTER_LINEAR) for each in (truth, bitten(truth)))
    found = smooth_contour(photo(truth), given)
    assert bumps(given) > 0.008
    assert bumps(found) < 0.55 * bumps(given)
    far = cv2.dilate((np.abs(given - truth) > 0.3).astype(np.uint8), np.ones((81 * larger,) * 2)) == 0
    assert np.array_equal(found[far], given[far])


def test_a_shape_with_teeth_of_its_own_keeps_every_one() -> None:
    gear = disc(2.5, 40)
    assert np.array_equal(smooth_contour(photo(gear), gear), gear)


def test_an_outline_that_the_photo_bears_out_and_one_too_small_to_tell_are_left_alone() -> None:
    whole, small = disc(), np.zeros((SIDE, SIDE), np.float32)
    small[200:206, 200:208] = 1
    for alpha in (whole, small, np.zeros_like(whole), np.ones_like(whole)):
        assert np.array_equal(smooth_contour(photo(alpha), alpha), alpha)


def test_what_the_border_cuts_is_not_rounded_there() -> None:
    truth = disc()
    given = bitten(truth)[:, : MIDDLE + 60].copy()
    truth = truth[:, : MIDDLE + 60].copy()
    found = smooth_contour(photo(truth), given)
    assert not np.array_equal(found, given)
    assert np.abs(found - given)[:, -6:].max() < 0.05
