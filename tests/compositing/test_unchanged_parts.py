"""What a model that draws small did not change is the photo's own again; what it changed is the model's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.compositing.unchanged_parts import restore_unchanged
from pipelines.core.geometry import Image, Mask
from tests.support.examples import load_example


def redraw(
    photo: Image, *, cast: float = 0.0, garment: tuple[int, int, int] | None = (40, 60, 150)
) -> tuple[Image, Mask]:
    """Draw a photo at 576 px as a model does: softer, a little noisy, in another `cast`, with a garment; and where."""
    height, width = photo.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    where = ((columns - 0.5 * width) / (0.3 * width)) ** 2 + ((rows - 0.8 * height) / (0.25 * height)) ** 2 < 1
    dressed = photo.copy()
    if garment is not None:
        dressed[where] = garment
    scale = 576 / max(height, width)
    small = cv2.resize(dressed, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.float32)
    small += np.random.default_rng(3).normal(0, 3, small.shape) + cast
    drawn = cv2.resize(np.clip(small, 0, 255), (width, height), interpolation=cv2.INTER_LANCZOS4)
    return np.asarray(np.clip(drawn + 0.5, 0, 255), np.uint8), np.asarray(where)


def load_photo(name: str) -> Image:
    photo = load_example(name)
    scale = 1024 / max(photo.shape[:2])
    return np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


@pytest.mark.parametrize(("name", "cast"), [("astronaut", 0.0), ("astronaut", 5.0), ("hopper", 5.0), ("chelsea", 0.0)])
def test_beside_the_garment_the_photo_s_own_pixels_stay(name: str, cast: float) -> None:
    photo = load_photo(name)
    drawn, garment = redraw(photo, cast=cast)
    kept, unchanged = restore_unchanged(photo, drawn)
    reach = round(0.08 * 1024)
    near = cv2.dilate(garment.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0
    assert unchanged[~near].mean() > 0.999
    assert np.array_equal(kept[unchanged], photo[unchanged])
    inside = cv2.erode(garment.astype(np.uint8), np.ones((31, 31), np.uint8)) > 0
    taken_back = np.abs(kept[inside].astype(int) - np.clip(drawn[inside] - round(cast), 0, 255))
    assert np.percentile(taken_back, 99) <= 1
    assert 0.3 < unchanged.mean() < 0.9


def test_a_picture_that_was_only_drawn_softer_is_the_photo() -> None:
    photo = load_photo("astronaut")
    drawn, _ = redraw(photo, garment=None)
    kept, unchanged = restore_unchanged(photo, drawn)
    assert unchanged.all()
    assert np.array_equal(kept, photo)


def test_a_picture_that_was_drawn_anew_is_the_model_s() -> None:
    photo = load_photo("astronaut")
    drawn = 255 - photo
    kept, unchanged = restore_unchanged(photo, drawn)
    assert unchanged.mean() < 0.1
    assert np.abs(kept.astype(int) - drawn).mean() < 12
