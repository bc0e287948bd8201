"""Estimate a photo's light: white point, key side, the direction a shadow fell, colours at the outline."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Colour, Face, Image, PlacedSubject, Side
from pipelines.core.rendering import Backdrop
from pipelines.imaging.color import _DARK, _MIN_GREY_RATIO, _WITHIN, estimate_white_point, measure_lightness, to_linear
from pipelines.imaging.resize import size_within

# Cheeks of the 468-point mesh, the subject's right one first (it lies on the left of the picture).
_CHEEK_LANDMARKS = ((50, 101, 205), (280, 330, 425))

KEY_RATIO = 1.15

# Beside an outline, in shares of the subject's width: where its shadow lies, and where it has ended.
_RING_RATIOS = ((0.01, 0.07), (0.14, 0.3))

_WORK_SIDE_PX = 256  # pixels of the copy on which the ground is read

_MIN_SHADOW_DARKNESS = 0.1  # mean darkness beside the outline, of one way minus the other

_BLACK_QUANTILE = 0.01

_MAX_GREY_CHROMA = 2.5  # chroma of Lab: JPEG's rounding makes as much of grey, and nobody sees it

_BACKGROUND_RING_RATIOS = (0.01, 0.05)  # of the height: there the photo's own ground is read


def estimate_key_side(image: Image, face: Face) -> Side:
    """Which side of the picture the key light comes from: the brighter cheek's, if it is 1.15 x the other's."""
    left, right = (_cheek_brightness(image, face, points) for points in _CHEEK_LANDMARKS)
    if max(left, right) < KEY_RATIO * min(left, right):
        return "none"
    return "left" if left > right else "right"


def estimate_shadow_direction(image: Image, alpha: Alpha) -> tuple[float, float] | None:
    """Which way the subject's own shadow falls in the photo, right and down, as long as it is dark (0 to 1); or None.

    The ground right beside the outline against the ground farther out, all round: the shadow is where it is darker.
    """
    size = size_within(alpha.shape, _WORK_SIDE_PX)
    small = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.float32)
    light = to_linear(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)).mean(axis=2)
    columns = np.flatnonzero((small > 0.5).any(axis=0))
    if not len(columns):
        return None
    away = cv2.distanceTransform((small < 0.05).astype(np.uint8), cv2.DIST_L2, 5) / len(columns)
    near, far = ((away > a) & (away < b) for a, b in _RING_RATIOS)
    if min(near.sum(), far.sum()) < 48:
        return None
    smooth = np.asarray(cv2.GaussianBlur(away, (0, 0), 2.0), np.float32)
    out = np.stack([cv2.Sobel(smooth, cv2.CV_32F, x, 1 - x)[near] for x in (1, 0)], axis=1)
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)
    dark = np.clip(1 - light[near] / max(float(np.median(light[far])), 1e-3), 0, 1)
    # What is nearly as dark as that all round is a darker table, and a spot of dirt is no shadow.
    pull = (dark[:, None] * out).mean(axis=0)
    length = float(np.hypot(*pull))
    if length < _MIN_SHADOW_DARKNESS:
        return None
    right, down = (float(part) / length for part in pull)
    depth = float(np.quantile(dark[out @ np.array((right, down)) > _WITHIN], _DARK))
    return right * depth, down * depth


def _cheek_brightness(image: Image, face: Face, points: tuple[int, ...]) -> float:
    x, y = face.landmarks[list(points)].mean(axis=0)
    reach = max(2, int(0.08 * face.eye_distance))
    rows = slice(max(0, int(y) - reach), int(y) + reach + 1)
    columns = slice(max(0, int(x) - reach), int(x) + reach + 1)
    patch = image[rows, columns]
    return float(to_linear(patch).mean()) + 1e-4 if patch.size else 1e-4


def measure_outline_colour(image: Image, alpha: Alpha) -> Colour:
    """The typical colour of the subject along its outline, a band of 2 % of the height inside it.

    The median, not the mean: a dark suit and a white hat are not grey, and most of the outline must stand out.
    """
    band = max(2, int(0.02 * image.shape[0]))
    solid = (alpha > 0.9).astype(np.uint8)
    inner = cv2.erode(solid, np.ones((2 * band + 1, 2 * band + 1), np.uint8))
    rim = (solid > 0) & (inner == 0)
    if not rim.any():
        return 128, 128, 128
    r, g, b = np.median(image[rim], axis=0)
    return int(r), int(g), int(b)


def measure_black_level(image: Image, alpha: Alpha) -> float | None:
    """The lightness, L* of 0 to 100, that one in a hundred of the subject's pixels lies below; None without any."""
    inside = alpha > 0.9
    return float(np.quantile(measure_lightness(image)[inside], _BLACK_QUANTILE)) if inside.any() else None


def is_monochrome(image: Image) -> bool:
    """Whether a photo is black and white: next to none of its pixels has a colour that is seen."""
    small = np.asarray(cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA), np.float32)
    lab = cv2.cvtColor(small / 255, cv2.COLOR_RGB2LAB)
    return float(np.quantile(np.hypot(lab[..., 1], lab[..., 2]), 0.99)) < _MAX_GREY_CHROMA


def measure_background_colour(image: Image, alpha: Alpha) -> Colour | None:
    """The typical colour of the photo's own ground beside the subject's outline; None where next to nothing is there.

    A ring of 1 to 5 % of the height outside the outline.
    """
    away = cv2.distanceTransform((alpha < 0.02).astype(np.uint8), cv2.DIST_L2, 5) / image.shape[0]
    ring = (away > _BACKGROUND_RING_RATIOS[0]) & (away < _BACKGROUND_RING_RATIOS[1])
    if ring.mean() < _MIN_GREY_RATIO:
        return None
    r, g, b = np.median(image[ring], axis=0)
    return int(r), int(g), int(b)


def with_photo_constraints(
    backdrop: Backdrop, photo: Image, placed: PlacedSubject, alpha: Alpha | None = None
) -> Backdrop:
    """`backdrop` with what a scene has to fit: the photo's white, without the subject's `alpha` where its own colour
    would be taken for light, whether it has colours, and the subject's outline, its ground and its black.
    """
    return replace(
        backdrop,
        white_point_mired=estimate_white_point(photo, alpha),
        outline_colour=measure_outline_colour(placed.colour, placed.alpha),
        original_background=measure_background_colour(placed.colour, placed.alpha),
        shadow_lightness=measure_black_level(placed.colour, placed.alpha),
        monochrome=is_monochrome(photo),
    )
