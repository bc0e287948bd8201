"""Small picture operations that several tools share."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Float32Array, Image
from pipelines.imaging.resize import size_within
from pipelines.matting.edge_colors import OPAQUE_ALPHA

SEAM_RATIO = 0.012  # of the longer side, width of the blend between the photo and what is drawn beside it


def shrink_to_side(image: Image, side_px: int) -> Image:
    """Shrink a picture whose longer side is more than `side_px`; a smaller one keeps its size."""
    return np.asarray(cv2.resize(image, size_within(image.shape, side_px), interpolation=cv2.INTER_AREA), np.uint8)


def crop_centre(photo: Image, side_px: int) -> Image:
    """Crop a square of `side_px` from the centre, less where the photo is smaller."""
    top, left = (max(0, (side - side_px) // 2) for side in photo.shape[:2])
    return np.ascontiguousarray(photo[top : top + side_px, left : left + side_px])


def blend_into(photo: Image, drawn: Image, where: Alpha) -> Float32Array:
    """Blend what was drawn `where` that is above 0 into the photo, from the seam inwards; H x W x 3, 0 to 255."""
    distance = cv2.distanceTransform((where > 0).astype(np.uint8), cv2.DIST_L2, 5)
    weight = np.clip(distance / (SEAM_RATIO * max(where.shape)), 0, 1)[..., None]
    return photo + weight * (drawn.astype(np.float32) - photo)


def to_rgba(colour: Image, alpha: Alpha) -> Image:
    """Join colour (H x W x 3) and alpha (H x W, 0 to 1) to H x W x 4."""
    return np.dstack([colour, np.clip(alpha * 255 + 0.5, 0, 255).astype(np.uint8)])


def merge_most_opaque(layers: Iterable[tuple[Image, Alpha]]) -> tuple[Image, Alpha]:
    """Merge layers of one size: each pixel comes from the layer that is most opaque there, the first of equals.

    What is opaque stays: a speck of another layer never covers the core of an earlier one.
    """
    (colour, alpha), *others = layers
    for other_colour, other_alpha in others:
        is_seen = (other_alpha > alpha) & (alpha < OPAQUE_ALPHA)
        colour = np.where(is_seen[..., None], other_colour, colour)
        alpha = np.maximum(alpha, other_alpha)
    return colour, alpha
