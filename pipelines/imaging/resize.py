"""Resize images and mattes by area or interpolation, and grow masks."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Bytes, Floats, Image, Mask


def shrunk(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Width and height of a copy whose longer side is at most `side`."""
    scale = min(1.0, side / max(shape))
    return max(round(shape[1] * scale), 1), max(round(shape[0] * scale), 1)


def in_lab(image: Image, size: tuple[int, int]) -> Bytes:
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), np.uint8)


def enlarged(small: Floats, shape: tuple[int, ...]) -> Floats:
    return np.asarray(cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def grown(mask: Mask, by: int) -> Mask:
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * by + 1, 2 * by + 1), np.uint8)) > 0
