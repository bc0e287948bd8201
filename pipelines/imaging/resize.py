"""Resize images and maps, and dilate masks."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Float32Array, Image, Mask, Size


def size_within(shape: tuple[int, ...], side: float) -> Size:
    """Return the size of a copy of an array of this `shape` whose longer side is at most `side`."""
    scale = min(1.0, side / max(shape[:2]))
    return max(round(shape[1] * scale), 1), max(round(shape[0] * scale), 1)


def resize_image(image: Image, size: Sequence[int]) -> Image:
    """Resize to (width, height): by area when the image shrinks, else bicubic."""
    interpolation = cv2.INTER_AREA if size[0] < image.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8)


def resize_map(values: Float32Array, size: Sequence[int]) -> Float32Array:
    """Resize a map (H x W, or with channels) to (width, height): by area when it shrinks, else bilinear."""
    interpolation = cv2.INTER_AREA if size[0] < values.shape[1] or size[1] < values.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, size, interpolation=interpolation), np.float32)


def resize_net_map(values: Alpha, shape: tuple[int, ...]) -> Alpha:
    """Bring a net's square map to a photo of this `shape`; H x W, 0 to 1."""
    interpolation = cv2.INTER_AREA if max(shape[:2]) < max(values.shape) else cv2.INTER_CUBIC
    resized = cv2.resize(values, (shape[1], shape[0]), interpolation=interpolation)
    return np.asarray(np.clip(resized, 0, 1), np.float32)


def dilate_mask(mask: Mask, radius: int) -> Mask:
    """Dilate a mask (H x W) by a square."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)) > 0


def extend_mask_down(mask: Mask, length_px: int) -> Mask:
    """Extend a mask (H x W) downwards by `length_px`."""
    kernel = np.ones((length_px + 1, 1), np.uint8)
    return cv2.dilate(mask.astype(np.uint8), kernel, anchor=(0, length_px)) > 0


def outline_band(alpha: Alpha, radius: int, shape: int = cv2.MORPH_ELLIPSE) -> Mask:
    """Return the pixels within `radius` of the outline of `alpha`, on both sides; H x W. `shape` is OpenCV's."""
    kernel = cv2.getStructuringElement(shape, (2 * radius + 1, 2 * radius + 1))
    return cv2.morphologyEx((alpha > 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, kernel) > 0
