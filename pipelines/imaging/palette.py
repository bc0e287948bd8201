"""The colours that a picture is made of, and what a colour is called; knows no tool."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Colour, Image

_WORK_SIDE_PX = 96  # pixels a picture is made small to; more finds the same colours
_MAX_ITERATION_COUNT = 12
# Names that models know, sRGB.
COLOUR_NAMES: dict[str, Colour] = {
    "white": (255, 255, 255), "black": (24, 24, 27), "grey": (156, 163, 175), "light grey": (222, 225, 230),
    "red": (220, 60, 60), "orange": (244, 140, 60), "yellow": (250, 208, 80), "green": (90, 170, 100),
    "light green": (170, 225, 160), "teal": (40, 150, 150), "blue": (70, 120, 220), "light blue": (170, 210, 245),
    "navy": (34, 52, 96), "purple": (140, 90, 190), "lavender": (205, 190, 240), "pink": (244, 160, 190),
    "brown": (140, 100, 75), "beige": (230, 215, 190), "cream": (250, 242, 222), "mint": (180, 230, 205),
}  # fmt: skip


def extract_main_colours(image: Image, count: int = 5) -> tuple[Colour, ...]:
    """The `count` colours that most of the picture (H x W x 3) is near, the commonest first; the same each time.

    k-means in CIELAB, begun from even slices of the lightness instead of by chance.
    """
    small = cv2.resize(image, (_WORK_SIDE_PX, _WORK_SIDE_PX), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3)
    labels = np.empty((len(lab), 1), np.int32)
    labels[np.argsort(lab[:, 0], kind="stable"), 0] = np.arange(len(lab)) * count // len(lab)
    criteria = (cv2.TERM_CRITERIA_MAX_ITER, _MAX_ITERATION_COUNT, 0.0)
    _, labels, centres = cv2.kmeans(lab, count, labels, criteria, 1, cv2.KMEANS_USE_INITIAL_LABELS)
    often = np.bincount(np.asarray(labels, np.int32).ravel(), minlength=count)
    rgb = cv2.cvtColor(centres[None].astype(np.float32), cv2.COLOR_LAB2RGB)[0]
    found = np.clip(rgb * 255 + 0.5, 0, 255).astype(int)
    r = [(int(c[0]), int(c[1]), int(c[2])) for c in found]
    return tuple(r[n] for n in np.argsort(-often, kind="stable"))


def most_colourful(colours: tuple[Colour, ...]) -> Colour:
    """The strongest of them in CIELAB chroma."""
    return max(colours, key=lambda colour: float(np.hypot(*_to_lab(colour)[1:])))


def lightest_colour(colours: tuple[Colour, ...]) -> Colour:
    """The lightest of them."""
    return max(colours, key=lambda colour: float(_to_lab(colour)[0]))


def name_colour(colour: Colour) -> str:
    """The nearest name in CIELAB."""
    return min(COLOUR_NAMES, key=lambda name: float(np.linalg.norm(_to_lab(COLOUR_NAMES[name]) - _to_lab(colour))))


def _to_lab(colour: Colour) -> np.ndarray:
    return cv2.cvtColor(np.array([[colour]], np.float32) / 255, cv2.COLOR_RGB2LAB)[0, 0]
