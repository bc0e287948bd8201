"""Extract the main colours of an image, and name colours."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Colour, Float32Array, Image
from pipelines.imaging.color import from_lab, to_lab

_WORK_SIDE_PX = 96  # side of the copy that is clustered; a larger one gives the same colours
_MAX_ITERATION_COUNT = 12  # k-means steps
# Names that models know, sRGB.
COLOUR_NAMES: dict[str, Colour] = {
    "white": (255, 255, 255), "black": (24, 24, 27), "grey": (156, 163, 175), "light grey": (222, 225, 230),
    "red": (220, 60, 60), "orange": (244, 140, 60), "yellow": (250, 208, 80), "green": (90, 170, 100),
    "light green": (170, 225, 160), "teal": (40, 150, 150), "blue": (70, 120, 220), "light blue": (170, 210, 245),
    "navy": (34, 52, 96), "purple": (140, 90, 190), "lavender": (205, 190, 240), "pink": (244, 160, 190),
    "brown": (140, 100, 75), "beige": (230, 215, 190), "cream": (250, 242, 222), "mint": (180, 230, 205),
}  # fmt: skip


def extract_main_colours(image: Image, count: int = 5) -> tuple[Colour, ...]:
    """Return the `count` main colours, most frequent first: k-means in CIELAB, started from slices of lightness."""
    small = cv2.resize(image, (_WORK_SIDE_PX, _WORK_SIDE_PX), interpolation=cv2.INTER_AREA)
    lab = to_lab(small).reshape(-1, 3)
    labels = np.empty((len(lab), 1), np.int32)
    labels[np.argsort(lab[:, 0], kind="stable"), 0] = np.arange(len(lab)) * count // len(lab)
    criteria = (cv2.TERM_CRITERIA_MAX_ITER, _MAX_ITERATION_COUNT, 0.0)
    _, labels, centres = cv2.kmeans(lab, count, labels, criteria, 1, cv2.KMEANS_USE_INITIAL_LABELS)
    counts = np.bincount(np.asarray(labels, np.int32).ravel(), minlength=count)
    colours = [(int(c[0]), int(c[1]), int(c[2])) for c in from_lab(centres[None])[0]]
    return tuple(colours[n] for n in np.argsort(-counts, kind="stable"))


def most_colourful(colours: tuple[Colour, ...]) -> Colour:
    """Return the colour with the largest CIELAB chroma."""
    return max(colours, key=lambda colour: float(np.hypot(*_to_lab(colour)[1:])))


def lightest_colour(colours: tuple[Colour, ...]) -> Colour:
    """Return the colour with the largest CIELAB lightness."""
    return max(colours, key=lambda colour: float(_to_lab(colour)[0]))


def name_colour(colour: Colour) -> str:
    """Return the name of the nearest known colour in CIELAB."""
    return min(COLOUR_NAMES, key=lambda name: float(np.linalg.norm(_to_lab(COLOUR_NAMES[name]) - _to_lab(colour))))


def _to_lab(colour: Colour) -> Float32Array:
    """Convert one colour to CIELAB."""
    return to_lab(np.array([[colour]], np.uint8))[0, 0]
