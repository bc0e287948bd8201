"""Pictures and helpers that tests of many packages share: example photos, noise, mattes, a recording callback."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path

import cv2
import numpy as np
import PIL.Image

from pipelines.core.geometry import Alpha, Cutout, Image
from pipelines.core.job import Preview
from pipelines.imaging.color import to_linear, to_srgb

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"


@cache
def load_example(name: str) -> Image:
    """One of the example photos, RGB."""
    with PIL.Image.open(EXAMPLES / f"{name}.jpg") as picture:
        return np.asarray(picture.convert("RGB"))


class Recorder:
    """A `ProgressCallback` that keeps the stages."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def __call__(self, stage: str, index: int, total: int, preview: Preview = None) -> None:
        self.stages.append(stage)
        if callable(preview):
            preview()


def make_blob(height: int, width: int, centre: tuple[float, float], radius: tuple[float, float]) -> Alpha:
    """An ellipse with a soft edge of two pixels; centre and radius are (x, y)."""
    canvas = np.zeros((height, width), np.float32)
    cv2.ellipse(canvas, (round(centre[0]), round(centre[1])), (round(radius[0]), round(radius[1])), 0, 0, 360, 1.0, -1)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 1.0), np.float32)


def make_noise(height: int, width: int, level: float = 120, sigma: float = 6, seed: int = 0) -> Image:
    """A picture in which every pixel is its own, so that a shift or a change cannot hide."""
    return _draw_noise(height, width, level, sigma, seed).copy()


@lru_cache(maxsize=64)
def _draw_noise(height: int, width: int, level: float, sigma: float, seed: int) -> Image:
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(level, sigma, (height, width, 3)), 0, 255).astype(np.uint8)


def make_cutout(photo: Image, alpha: Alpha) -> Cutout:
    """A cut-out whose estimate is the photo itself."""
    return Cutout(photo, alpha)


def change_exposure(image: Image, gain: float) -> Image:
    """Return the picture with its linear light multiplied by `gain`."""
    return np.clip(to_srgb(to_linear(image) * np.float32(gain)) + 0.5, 0, 255).astype(np.uint8)
