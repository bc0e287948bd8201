"""Cut out large photos: the matte is found on a smaller copy and brought to the photo's own pixels, band by band."""

from __future__ import annotations

import math

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Cutout, Float32Array, FloatArray, Image
from pipelines.imaging.resize import resize_image
from pipelines.matting.edge_colors import OPAQUE_ALPHA
from pipelines.matting.foreground_estimation import LUMA_WEIGHTS

LARGE_PIXEL_COUNT = 13_000_000  # A cut-out of more at once takes over 1.5 GB.
WORK_PIXEL_COUNT = 5_000_000  # of the copy on which a larger photo is cut out
_BAND_ROWS = 512
_GUIDE_RADIUS_PX = 3  # in the copy
_GUIDE_NOISE = 1e-4  # variance of the guide, 0 to 1, below which it is noise
_SETTLED_ALPHA = 0.02  # alpha within this of 0 or 1 is no edge


def shrink_large(photo: Image) -> Image:
    """Return a copy with at most `WORK_PIXEL_COUNT` pixels, or the photo itself where it is not large."""
    height, width = photo.shape[:2]
    if height * width <= LARGE_PIXEL_COUNT:
        return photo
    scale = math.sqrt(WORK_PIXEL_COUNT / (height * width))
    return resize_image(photo, (round(width * scale), round(height * scale)))


def enlarge_cutout(cutout: Cutout, small: Image, photo: Image) -> tuple[Image, Alpha]:
    """Return colour and alpha of a cut-out of `small` (h x w x 3) at the size of `photo` (H x W x 3).

    The edge follows the photo's own pixels by the fast guided filter (He and Sun, 2015); the colour is the photo's byte
    for byte where alpha >= 250/255, elsewhere the photo and what the estimate changed in the copy.
    """
    height, width = photo.shape[:2]
    scale = small.shape[1] / width, small.shape[0] / height
    slope, offset = _fit_alpha_to_luma(small, cutout.alpha)
    change = cutout.colour.astype(np.float32) - small
    colour, alpha = photo.copy(), np.empty((height, width), np.float32)
    for top in range(0, height, _BAND_ROWS):
        rows = photo[top : top + _BAND_ROWS]
        size = width, len(rows)
        base = np.clip(_enlarge_band(cutout.alpha, scale, top, size), 0, 1)
        guided = _enlarge_band(slope, scale, top, size) * _measure_luma(rows) + _enlarge_band(offset, scale, top, size)
        is_edge = (base > _SETTLED_ALPHA) & (base < 1 - _SETTLED_ALPHA)
        band = np.where(is_edge, np.clip(guided, 0, 1), base).astype(np.float32)
        alpha[top : top + _BAND_ROWS] = band
        is_mixed = band < OPAQUE_ALPHA
        mixed = rows[is_mixed] + _enlarge_band(change, scale, top, size)[is_mixed]
        colour[top : top + _BAND_ROWS][is_mixed] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
    return colour, alpha


def _fit_alpha_to_luma(image: Image, alpha: Alpha) -> tuple[Float32Array, Float32Array]:
    """Return slope and offset (h x w each) with which the luma around each pixel explains alpha best."""
    guide = _measure_luma(image)
    mean, mean_alpha = _box_mean(guide), _box_mean(alpha)
    covariance, variance = _box_mean(guide * alpha) - mean * mean_alpha, _box_mean(guide * guide) - mean * mean
    slope = covariance / (variance + np.float32(_GUIDE_NOISE))
    return _box_mean(slope), _box_mean(mean_alpha - slope * mean)


def _measure_luma(image: Image) -> Float32Array:
    return np.asarray(image @ (LUMA_WEIGHTS / 255), np.float32)


def _box_mean(values: FloatArray) -> Float32Array:
    side = 2 * _GUIDE_RADIUS_PX + 1
    return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE), np.float32)


def _enlarge_band(values: Float32Array, scale: tuple[float, float], top: int, size: tuple[int, int]) -> Float32Array:
    """Return the rows from `top` of `values`, enlarged bilinearly to `size` (width, height): bands have no seams."""
    x, y = scale
    matrix = np.array([[x, 0, 0.5 * x - 0.5], [0, y, (top + 0.5) * y - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(values, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32)
