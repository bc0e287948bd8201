"""Closed-form matting: mixtures are recovered, known alpha stays, large photos keep fine hairs."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.core.geometry import Alpha, Image
from pipelines.matting.closed_form import WORK_SIDE_PX, closed_form_alpha


def _make_hairs(side: int) -> tuple[Image, Alpha]:
    """Dark hairs that stand out of a dark half before a light wall; and their true alpha."""
    truth = np.zeros((side, side), np.float32)
    truth[side // 2 :] = 1
    for x in range(side // 16, side, side // 8):
        cv2.line(truth, (x, side // 2), (x + side // 20, round(0.42 * side)), 0.8, 2, cv2.LINE_AA)
    noise = np.random.default_rng(1).normal(0, 1.5, (side, side, 3))
    photo = truth[..., None] * np.array((60, 44, 30)) + (1 - truth[..., None]) * np.array((200, 198, 194)) + noise
    return np.clip(photo, 0, 255).astype(np.uint8), truth


@pytest.mark.parametrize("side", [WORK_SIDE_PX // 2, 3 * WORK_SIDE_PX])
def test_hairs_missing_in_the_prior_are_found(side: int) -> None:
    photo, truth = _make_hairs(side)
    prior = np.where(np.arange(side)[:, None] >= side // 2, 1, 0).astype(np.float32).repeat(side, axis=1)
    open_band = (np.abs(np.arange(side) - side // 2) < 0.12 * side)[:, None]
    weight = np.where(open_band, 0.001, 10).astype(np.float32).repeat(side, axis=1)
    found = closed_form_alpha(photo, prior, weight)
    hairs = (truth > 0.3) & (prior == 0)
    assert found[hairs].mean() > 0.4 * truth[hairs].mean()
    assert np.abs(found - truth)[~hairs].mean() < 0.002
    assert found.min() >= 0
    assert found.max() <= 1


def test_pixels_with_a_high_prior_weight_stay() -> None:
    photo, truth = _make_hairs(120)
    prior = np.full_like(truth, 0.5)
    assert np.abs(closed_form_alpha(photo, prior, np.full_like(truth, 1000)) - prior).max() < 0.01
