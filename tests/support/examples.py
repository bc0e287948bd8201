"""Small things that tests of many rooms share: example photos, an emit that records, a cut-out with a known edge."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import PIL.Image

from pipelines.core.geometry import Alpha, Cutout, Image
from pipelines.core.job import Preview

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"


@cache
def example(name: str) -> Image:
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


def blob(height: int, width: int, centre: tuple[float, float], radius: tuple[float, float]) -> Alpha:
    """An ellipse with a soft edge of two pixels; centre and radius are (x, y)."""
    canvas = np.zeros((height, width), np.float32)
    cv2.ellipse(canvas, (round(centre[0]), round(centre[1])), (round(radius[0]), round(radius[1])), 0, 0, 360, 1.0, -1)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 1.0), np.float32)


def noisy(height: int, width: int, level: float = 120, sigma: float = 6, seed: int = 0) -> Image:
    """A picture in which every pixel is its own, so that a shift or a change cannot hide."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(level, sigma, (height, width, 3)), 0, 255).astype(np.uint8)


def cut(photo: Image, alpha: Alpha) -> Cutout:
    """A cut-out whose estimate is the photo itself."""
    return Cutout(photo, alpha)
