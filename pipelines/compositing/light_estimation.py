"""Estimate a photo's light: key side, the direction of its shadow, and colours along the outline."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Colour, Face, Float32Array, Image, PlacedSubject, Side
from pipelines.core.rendering import Backdrop
from pipelines.framing.resample import resample
from pipelines.imaging.color import estimate_white_point, measure_lightness, to_lab, to_linear
from pipelines.imaging.resize import resize_image, resize_map, size_within

# Cheeks of the 468-point mesh, the subject's right one first (it lies on the left of the picture).
_CHEEK_LANDMARKS = ((50, 101, 205), (280, 330, 425))
KEY_RATIO = 1.15  # brightness of one cheek over the other from which there is a key side
_RING_RATIOS = ((0.01, 0.07), (0.14, 0.3))  # of the subject's width: in the shadow, and past it
_WORK_SIDE_PX = 256  # longer side of the copy on which the ground is measured
_MIN_RING_PIXEL_COUNT = 48  # in either ring
_MIN_SHADOW_DARKNESS = 0.1  # mean darkness in one direction minus the other
_SHADOW_CONE_COSINE = 0.7  # cosine of the angle to the shadow's direction within which its darkness is measured
_SHADOW_QUANTILE = 0.75  # quantile of the darkness within that cone
_BLACK_QUANTILE = 0.01  # quantile of the subject's lightness that is its black
_LIGHTS_QUANTILE = 0.95  # quantile of the subject's lightness that is its lights: what lies higher are reflections
_GREY_QUANTILE = 0.99  # quantile of the chroma of a black and white photo
_MAX_GREY_CHROMA = 2.5  # chroma of Lab: JPEG's rounding makes as much of grey, and it is not visible
_BACKGROUND_RING_RATIOS = (0.01, 0.05)  # of the height, outside the outline: there the background is measured
_MIN_BACKGROUND_RATIO = 0.02  # of the frame's pixels must lie in that ring
_MIN_PHOTO_COVERAGE_RATIO = 0.99  # of a frame's pixel that the photo covers: less is its border


def estimate_key_side(image: Image, face: Face) -> Side:
    """Estimate the side that the key light comes from: the brighter cheek's, if it is 1.15 x the other's."""
    left, right = (_cheek_brightness(image, face, points) for points in _CHEEK_LANDMARKS)
    if max(left, right) < KEY_RATIO * min(left, right):
        return "none"
    return "left" if left > right else "right"


def estimate_shadow_direction(image: Image, alpha: Alpha) -> tuple[float, float] | None:
    """Estimate the subject's own shadow: a vector (right, down) whose length is its darkness, 0 to 1; None without one.

    The ground right beside the outline is compared with the ground farther out, all around.
    """
    size = size_within(alpha.shape, _WORK_SIDE_PX)
    small, light = resize_map(alpha, size), to_linear(resize_image(image, size)).mean(axis=2)
    columns = np.flatnonzero((small > 0.5).any(axis=0))
    if not len(columns):
        return None
    distance = cv2.distanceTransform((small < 0.05).astype(np.uint8), cv2.DIST_L2, 5) / len(columns)
    near, far = ((distance > a) & (distance < b) for a, b in _RING_RATIOS)
    if min(near.sum(), far.sum()) < _MIN_RING_PIXEL_COUNT:
        return None
    smooth = np.asarray(cv2.GaussianBlur(distance, (0, 0), 2.0), np.float32)
    outward = np.stack([cv2.Sobel(smooth, cv2.CV_32F, x, 1 - x)[near] for x in (1, 0)], axis=1)
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-6)
    darkness = np.clip(1 - light[near] / max(float(np.median(light[far])), 1e-3), 0, 1)
    # Average over all directions, so that neither an evenly darker table nor a spot of dirt counts as a shadow.
    mean = (darkness[:, None] * outward).mean(axis=0)
    length = float(np.hypot(*mean))
    if length < _MIN_SHADOW_DARKNESS:
        return None
    right, down = (float(part) / length for part in mean)
    shadow_darkness = float(
        np.quantile(darkness[outward @ np.array((right, down)) > _SHADOW_CONE_COSINE], _SHADOW_QUANTILE)
    )
    return right * shadow_darkness, down * shadow_darkness


def _cheek_brightness(image: Image, face: Face, points: tuple[int, ...]) -> float:
    """Return the mean linear light around a cheek."""
    x, y = face.landmarks[list(points)].mean(axis=0)
    reach = max(2, int(0.08 * face.eye_distance))
    rows = slice(max(0, int(y) - reach), int(y) + reach + 1)
    columns = slice(max(0, int(x) - reach), int(x) + reach + 1)
    patch = image[rows, columns]
    return float(to_linear(patch).mean()) + 1e-4 if patch.size else 1e-4


def measure_outline_colour(image: Image, alpha: Alpha) -> Colour:
    """Return the median colour in a band of 2 % of the height inside the outline; a mean of black and white is grey."""
    band = max(2, int(0.02 * image.shape[0]))
    solid = (alpha > 0.9).astype(np.uint8)
    inner = cv2.erode(solid, np.ones((2 * band + 1, 2 * band + 1), np.uint8))
    rim = (solid > 0) & (inner == 0)
    if not rim.any():
        return 128, 128, 128
    r, g, b = np.median(image[rim], axis=0)
    return int(r), int(g), int(b)


def measure_lightness_range(image: Image, alpha: Alpha) -> tuple[float, float, float] | None:
    """Return the L* (0 to 100) of the subject's black, its mean and its lights; None without any.

    One in a hundred of its pixels is darker than its black, one in twenty lighter than its lights.
    """
    inside = alpha > 0.9
    if not inside.any():
        return None
    lightness = measure_lightness(image)[inside]
    black, lights = np.quantile(lightness, (_BLACK_QUANTILE, _LIGHTS_QUANTILE))
    return float(black), float(lightness.mean()), float(lights)


def is_monochrome(image: Image) -> bool:
    """Tell whether a photo is black and white: next to none of its pixels has a visible colour."""
    small = cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA)
    return are_grey(to_lab(small))


def are_grey(lab: Float32Array) -> bool:
    """Tell whether next to none of some colours (... x 3, Lab) can be told from grey."""
    return float(np.quantile(np.hypot(lab[..., 1], lab[..., 2]), _GREY_QUANTILE)) < _MAX_GREY_CHROMA


def measure_background_colour(photo: Image, placed: PlacedSubject) -> Colour | None:
    """Return the typical colour of the photo in a ring of 1 to 5 % of the height outside the outline, or None.

    A frame may be larger than the photo, and a photo that came with its own transparency shows no background.
    """
    if not placed.has_background:
        return None
    image, alpha = resample(photo, placed.frame), placed.alpha
    is_photo = resample(np.ones(photo.shape[:2], np.float32), placed.frame) > _MIN_PHOTO_COVERAGE_RATIO
    distance = cv2.distanceTransform((alpha < 0.02).astype(np.uint8), cv2.DIST_L2, 5) / image.shape[0]
    ring = (distance > _BACKGROUND_RING_RATIOS[0]) & (distance < _BACKGROUND_RING_RATIOS[1]) & is_photo
    if ring.mean() < _MIN_BACKGROUND_RATIO:
        return None
    r, g, b = np.median(image[ring], axis=0)
    return int(r), int(g), int(b)


def with_photo_constraints(
    backdrop: Backdrop, photo: Image, placed: PlacedSubject, alpha: Alpha | None = None
) -> Backdrop:
    """Add what a scene must match: the photo's white point, whether it has colours, and colours at the outline.

    Give the subject's `alpha` where its own colour could be taken for the light's.
    """
    black, mean, lights = measure_lightness_range(placed.colour, placed.alpha) or (None, None, None)
    return replace(
        backdrop,
        white_point_mired=estimate_white_point(photo, alpha),
        outline_colour=measure_outline_colour(placed.colour, placed.alpha),
        # From the photo itself: a cut-out's colours are the subject's own as far as its matte has faint traces.
        original_background=measure_background_colour(photo, placed),
        shadow_lightness=black,
        subject_lightness=mean,
        subject_lights=lights,
        monochrome=is_monochrome(photo),
    )
