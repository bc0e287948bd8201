"""Remove and fill what is narrow in a mask, and tell its connected parts apart."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from pipelines.core.geometry import Int32Array, Mask

EDGE_WIDTH_PX = 5  # of a copy on which mattes are compared: what is narrower everywhere is one of edges, no region


def open_mask(mask: Mask, width_px: int = EDGE_WIDTH_PX) -> Mask:
    """Remove what is narrower than a disc of that width (morphological opening)."""
    return _filter_mask(mask, cv2.MORPH_OPEN, width_px)


def close_mask(mask: Mask, width_px: int) -> Mask:
    """Fill gaps that are narrower than a disc of that width (morphological closing)."""
    return _filter_mask(mask, cv2.MORPH_CLOSE, width_px)


def _filter_mask(mask: Mask, operation: int, width_px: int) -> Mask:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width_px, width_px))
    return cv2.morphologyEx(mask.astype(np.uint8), operation, disc) > 0


def label_parts(mask: Mask) -> Int32Array:
    """Number the connected parts of `mask` (H x W) from 1; 0 is what is not in it."""
    return np.asarray(cv2.connectedComponents(mask.astype(np.uint8))[1], np.int32)


def list_parts(mask: Mask) -> list[Mask]:
    """List the connected parts of `mask` (h x w), the largest first."""
    labels = label_parts(mask)
    return sorted((labels == n for n in range(1, int(labels.max()) + 1)), key=np.count_nonzero, reverse=True)


def find_parts_at(mask: Mask, place: Any) -> Mask:
    """Return the connected parts of `mask` (H x W) that `place` touches: a pixel, slices or a mask."""
    labels = label_parts(mask)
    numbers = np.unique(labels[place])
    return np.isin(labels, numbers[numbers > 0])
