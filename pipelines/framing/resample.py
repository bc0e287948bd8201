"""Resample a photo into a frame once, and composite previews."""

from __future__ import annotations

import math

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Box, Cutout, Frame, Image, PlacedSubject
from pipelines.matting.cutout import core_mask

RESAMPLING_METHOD = "bicubic"
EDGE_SIGMA_PX = 0.7  # blur sigma in pixels of the photo: edges of a sharp photo are about as soft
CHOKE_ALPHA = 0.3  # alpha that becomes 0: the outermost part of an edge shows the old background most
_PAD_PX = 3  # border around the photo, so that opacity ends just beyond its last pixel
PREVIEW_GREY_LEVEL = 236  # background of first previews


def place_subject(photo: Image, cutout: Cutout, frame: Frame) -> PlacedSubject:
    """Resample the cut-out into the frame.

    In the core the colour comes from the photo alone, elsewhere from the estimate. The two differ next to the edge; a
    resampling kernel would carry that difference into the core.
    """
    alpha = np.clip(resample(cutout.alpha, frame), 0.0, 1.0).astype(np.float32)
    if not frame.is_native_scale:
        alpha = soften_upscaled_alpha(alpha, frame)
    colour = resample(cutout.colour, frame)
    if not np.array_equal(cutout.colour, photo):  # as where nothing had to be estimated: it was resampled above
        core = core_mask(alpha)
        colour[core] = resample(photo, frame)[core]
    places = {
        notice: tuple(filter(None, (_find_in_frame(frame, box, cutout.alpha.shape) for box in boxes)))
        for notice, boxes in cutout.doubt_boxes.items()
    }
    return PlacedSubject(colour, alpha, frame, places, cutout.has_background)


def _find_in_frame(frame: Frame, box: Box, shape: tuple[int, ...]) -> Box | None:
    """Return a box, ratios of a photo of `shape`, as ratios of the frame; None where it lies outside."""
    left, top, right, bottom = box
    xs, ys = np.array([left, right, left, right]) * shape[1], np.array([top, top, bottom, bottom]) * shape[0]
    corners = frame.matrix @ np.stack([xs, ys, np.ones(4)]) / np.array([frame.size]).T
    (left, top), (right, bottom) = corners.min(axis=1).tolist(), corners.max(axis=1).tolist()
    if min(right, bottom) <= 0 or max(left, top) >= 1:
        return None
    return max(left, 0.0), max(top, 0.0), min(right, 1.0), min(bottom, 1.0)


def soften_upscaled_alpha(alpha: Alpha, frame: Frame) -> Alpha:
    """Make the edge of `alpha` (in the frame) as soft as a lens draws one, a little inside the given edge.

    A matte is decided per pixel of the photo; enlarged, its steps show as stairs. The outermost part of an edge, where
    the old background shows most, is left out.
    """
    blurred = cv2.GaussianBlur(alpha, (0, 0), EDGE_SIGMA_PX * max(frame.scale, 1.0), borderType=cv2.BORDER_REPLICATE)
    return np.clip((blurred - CHOKE_ALPHA) / (1 - CHOKE_ALPHA), 0, 1).astype(np.float32)


def resample(source: np.ndarray, frame: Frame) -> np.ndarray:
    """Resample `source` (H x W, or with channels) into the frame: a copy where native, else bicubic, antialiased."""
    width, height = frame.size
    if frame.is_native_scale:
        shifted = np.zeros((height, width, *source.shape[2:]), source.dtype)
        paste_pixels(shifted, source, int(frame.matrix[0, 2]), int(frame.matrix[1, 2]))
        return shifted
    # Bicubic reads 4 x 4 pixels only: below a scale of 0.7 it would skip some, so sample finer and average.
    supersampling = max(1, math.ceil(0.7 / frame.scale))
    pixel_centres = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    unpad = np.array([[1, 0, -_PAD_PX], [0, 1, -_PAD_PX], [0, 0, 1.0]])
    frame_matrix = np.vstack([frame.matrix, [0, 0, 1]])
    # OpenCV puts pixel centres on whole numbers; the frame's matrix is in pixel edges.
    enlarge = np.diag([supersampling, supersampling, 1.0])
    matrix = np.linalg.inv(pixel_centres) @ enlarge @ frame_matrix @ unpad @ pixel_centres
    # Let opacity end just beyond the photo: the frame's edge may still sample its last pixel.
    padded = cv2.copyMakeBorder(source, _PAD_PX, _PAD_PX, _PAD_PX, _PAD_PX, cv2.BORDER_REPLICATE)
    border = cv2.BORDER_REPLICATE if source.ndim == 3 else cv2.BORDER_CONSTANT
    large_size = (width * supersampling, height * supersampling)
    result = cv2.warpAffine(padded, matrix[:2], large_size, flags=cv2.INTER_CUBIC, borderMode=border)
    if supersampling > 1:
        result = cv2.resize(result, (width, height), interpolation=cv2.INTER_AREA)
    return result


def paste_pixels(target: np.ndarray, source: np.ndarray, x: int, y: int) -> None:
    """Copy `source` to (x, y) of `target`, which it changes; what lies outside of it is left out."""
    left, top = max(0, x), max(0, y)
    right, bottom = min(target.shape[1], x + source.shape[1]), min(target.shape[0], y + source.shape[0])
    if right > left and bottom > top:
        target[top:bottom, left:right] = source[top - y : bottom - y, left - x : right - x]


def describe_resampling(frame: Frame) -> str:
    """Return the receipt's description of the frame's resampling."""
    if frame.is_native_scale:
        return "none"
    turned = f", turned {-frame.roll:.1f} degrees" if frame.roll else ""
    return f"{RESAMPLING_METHOD} x {frame.scale:.3f}{turned}"


def composite_on_grey(colour: Image, alpha: Alpha, level: int = PREVIEW_GREY_LEVEL) -> Image:
    """Composite a cut-out on plain grey of this level, for first previews."""
    weight = alpha[..., None]
    return np.asarray(colour * weight + level * (1 - weight) + 0.5, np.uint8)
