"""Large photos: cut out on a smaller copy, and brought to the photo's own pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.core.geometry import Cutout
from pipelines.matting import large_photos
from pipelines.matting.edge_colors import OPAQUE_ALPHA
from tests.support.examples import make_blob, make_noise

SIZE = (600, 900)


def test_only_a_large_photo_is_cut_out_on_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = make_noise(*SIZE)
    assert large_photos.shrink_large(photo) is photo
    monkeypatch.setattr(large_photos, "LARGE_PIXEL_COUNT", 300_000)
    monkeypatch.setattr(large_photos, "WORK_PIXEL_COUNT", 135_000)
    assert large_photos.shrink_large(photo).shape == (300, 450, 3)


def test_the_edge_follows_the_whole_photo_and_the_inside_is_its_own_pixels() -> None:
    alpha = make_blob(*SIZE, (450, 300), (300, 180))
    ground, subject = make_noise(*SIZE, 60, 3), make_noise(*SIZE, 190, 3, seed=1)
    photo = np.asarray(subject * alpha[..., None] + ground * (1 - alpha[..., None]), np.uint8)
    small, small_alpha = cv2.resize(photo, (450, 300), interpolation=cv2.INTER_AREA), cv2.resize(alpha, (450, 300))
    plain = cv2.resize(small_alpha, SIZE[::-1], interpolation=cv2.INTER_LINEAR)
    cutout = Cutout(np.asarray(small, np.uint8), np.asarray(small_alpha, np.float32))
    colour, enlarged = large_photos.enlarge_cutout(cutout, cutout.colour, photo)
    edge = (alpha > 0.05) & (alpha < 0.95)
    assert np.abs(enlarged - alpha)[edge].mean() < 0.7 * np.abs(plain - alpha)[edge].mean()
    core = enlarged >= OPAQUE_ALPHA
    assert core.mean() > 0.2
    assert (colour[core] == photo[core]).all()


def test_bands_have_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, alpha = make_noise(*SIZE), make_blob(300, 450, (225, 150), (150, 90))
    small = make_noise(300, 450)
    cutout = Cutout(make_noise(300, 450, seed=3), alpha)
    whole = large_photos.enlarge_cutout(cutout, small, photo)
    monkeypatch.setattr(large_photos, "_BAND_ROWS", 37)
    for one, other in zip(whole, large_photos.enlarge_cutout(cutout, small, photo), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4 if one.dtype == np.float32 else 1)
