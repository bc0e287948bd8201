from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.core.geometry import Image
from pipelines.imaging.film_grain import measure_grain, synthesize_grain


def _make_photo(sigma: float, soft: float, side: int = 320) -> Image:
    """A slope from dark to bright with grain of that deviation."""
    noise = np.random.default_rng(3).standard_normal((side, side)).astype(np.float32)
    if soft:
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), soft), np.float32)
    slope = np.linspace(60, 190, side, dtype=np.float32)[None, :]
    values = slope + sigma * noise / noise.std()
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)


@pytest.mark.parametrize(("scale", "soft"), [(1.0, 0.0), (1.0, 0.8), (2.0, 0.8)])
def test_the_scene_gets_grain_as_strong_and_as_coarse_as_the_photos(scale: float, soft: float) -> None:
    photo = _make_photo(3.0 / scale**1.2, soft)
    seen = np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)
    told = measure_grain(seen, np.ones(seen.shape[:2], np.bool_), scale)
    plate = np.full_like(seen, 128)
    made = synthesize_grain(told, plate, 0.0, scale, seed=1)[..., 0]
    theirs = cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY).astype(np.float32)
    theirs -= cv2.GaussianBlur(theirs, (0, 0), 6)
    assert made.std() == pytest.approx(theirs.std(), rel=0.3)
    assert _measure_coarseness(made) == pytest.approx(_measure_coarseness(theirs), rel=0.25)


def _measure_coarseness(noise: np.ndarray) -> float:
    """How much of the noise is left when it is averaged over 4 x 4 pixels."""
    small = cv2.resize(noise, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    return float(small.std() / noise.std())


def test_cloth_is_not_taken_for_grain() -> None:
    photo = _make_photo(1.0, 0.0)
    photo[40:280, 40:280] = np.random.default_rng(0).integers(0, 255, (60, 60, 3)).repeat(4, axis=0).repeat(4, axis=1)
    assert max(measure_grain(photo, np.ones(photo.shape[:2], np.bool_), 1.0).strength) < 2.0
