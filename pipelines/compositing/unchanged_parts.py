"""Lay a photo's own pixels back wherever a model that draws small left them as they were."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Float32Array, Image, Mask, Uint8Array
from pipelines.imaging.resize import resize_image, size_within

COMPARE_SIDE_PX = 576  # longer side at which photo and drawing are compared, no sharper than what is drawn
SMOOTHING_PX = 3.0  # standard deviation of the blur before comparing: fine detail is never drawn twice alike
MIN_CHANGE_LEVELS = 12.0  # 8-bit levels of any channel from which a place counts as changed
MAX_CAST_LEVELS = 30.0  # places that differ more say nothing of the cast of the whole drawing
MIN_CAST_AREA_RATIO = 0.1  # share of the picture that must differ less, for a cast to be measured
SPECK_PX = 3  # changes that are narrower are no garment
MARGIN_RATIO = 0.02  # of the compared side, around what changed, that is the drawing's too
FEATHER_RATIO = 0.01  # of the compared side, over which drawing and photo are mixed


def restore_unchanged(photo: Image, drawn: Image) -> tuple[Image, Mask]:
    """Return the drawing with the photo's pixels where it did not change them, and that place, H x W.

    Both are H x W x 3 of one size. What the drawing is lighter or darker as a whole, or off in colour, is taken back.
    """
    size = size_within(photo.shape, COMPARE_SIDE_PX)
    before, after = (
        cv2.GaussianBlur(resize_image(image, size).astype(np.float32), (0, 0), SMOOTHING_PX) for image in (photo, drawn)
    )
    difference = np.asarray(after - before, np.float32)
    cast = _measure_cast(difference)
    changed = np.asarray(np.abs(difference - cast).max(axis=2) > MIN_CHANGE_LEVELS, np.uint8)
    changed = cv2.morphologyEx(changed, cv2.MORPH_OPEN, np.ones((SPECK_PX, SPECK_PX), np.uint8))
    small = _widen_and_feather(np.asarray(changed, np.uint8))
    weight = np.asarray(cv2.resize(small, photo.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    mixed = photo + weight[..., None] * (drawn.astype(np.float32) - cast - photo)
    return np.asarray(np.clip(mixed + 0.5, 0, 255), np.uint8), weight == 0


def _measure_cast(difference: Float32Array) -> Float32Array:
    """Return the median difference of a channel where little changed, 3 values; zeros where that is nearly nowhere."""
    small = np.abs(difference).max(axis=2) < MAX_CAST_LEVELS
    if small.mean() < MIN_CAST_AREA_RATIO:
        return np.zeros(3, np.float32)
    return np.asarray(np.median(difference[small], axis=0), np.float32)


def _widen_and_feather(changed: Uint8Array) -> Alpha:
    """Widen a mask by the margin and soften its border: 1 within, 0 outside, H x W."""
    side = max(changed.shape)
    margin = round(MARGIN_RATIO * side)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    soft = cv2.GaussianBlur(cv2.dilate(changed, ellipse).astype(np.float32), (0, 0), FEATHER_RATIO * side)
    return np.asarray(np.clip(soft * 1.25 - 0.125, 0, 1), np.float32)  # without the blur's long ends
