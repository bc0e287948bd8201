"""The one stated resampling from photo to frame, and layers laid over one another."""

from __future__ import annotations

import math

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Cutout, Frame, Image, PlacedSubject, Size
from pipelines.matting.cutout import core_mask

RESAMPLING_METHOD = "bicubic"

EDGE_SIGMA_PX = 0.7  # pixels of the photo: a sharp photo's own edges are about as soft

CHOKE_ALPHA = 0.3

_PAD_PX = 3

PREVIEW_GREY_LEVEL = 176


def place_subject(photo: Image, cutout: Cutout, frame: Frame) -> PlacedSubject:
    """The cut-out in frame pixels. Inside the core the colour comes from the photo alone, elsewhere from the estimate.

    The estimate differs from the photo next to the edge; a resampling kernel would carry that difference inwards.
    """
    alpha = np.clip(resample(cutout.alpha, frame), 0.0, 1.0).astype(np.float32)
    alpha = (
        alpha if frame.is_native_scale else soften_upscaled_alpha(alpha, frame)
    )  # what is cut out at its own size keeps its matte
    colour = resample(cutout.colour, frame)
    core = core_mask(alpha)
    colour[core] = resample(photo, frame)[core]
    return PlacedSubject(colour, alpha, frame)


def soften_upscaled_alpha(alpha: Alpha, frame: Frame) -> Alpha:
    """`alpha` (H x W, in the frame) with an edge as soft as a lens draws one, a little inside the one given.

    A matte is decided pixel by pixel of the photo; enlarged, its steps show as stairs. The outermost part of an edge is
    where the old ground shines through most, so that is what is left out.
    """
    soft = cv2.GaussianBlur(alpha, (0, 0), EDGE_SIGMA_PX * max(frame.scale, 1.0), borderType=cv2.BORDER_REPLICATE)
    return np.clip((soft - CHOKE_ALPHA) / (1 - CHOKE_ALPHA), 0, 1).astype(np.float32)


def resample(source: np.ndarray, frame: Frame) -> np.ndarray:
    """`source` (photo size) seen in the frame: a copy where native, else bicubic, supersampled when it shrinks."""
    width, height = frame.size
    if frame.is_native_scale:
        return _shift_pixels(source, int(frame.matrix[0, 2]), int(frame.matrix[1, 2]), frame.size)
    # Bicubic looks at 4 x 4 pixels only: below 0.7 it would skip some, so it samples finer and averages.
    finer = max(1, math.ceil(0.7 / frame.scale))
    centre = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    unpad = np.array([[1, 0, -_PAD_PX], [0, 1, -_PAD_PX], [0, 0, 1.0]])
    whole = np.vstack([frame.matrix, [0, 0, 1]])
    # cv2 puts pixel centres on whole numbers; the frame's matrix speaks of pixel edges.
    matrix = np.linalg.inv(centre) @ np.diag([finer, finer, 1.0]) @ whole @ unpad @ centre
    # Opacity ends just beyond the photo, not on its last pixel, which the frame's edge may still sample.
    padded = cv2.copyMakeBorder(source, _PAD_PX, _PAD_PX, _PAD_PX, _PAD_PX, cv2.BORDER_REPLICATE)
    border = cv2.BORDER_REPLICATE if source.ndim == 3 else cv2.BORDER_CONSTANT
    large = (width * finer, height * finer)
    drawn = cv2.warpAffine(padded, matrix[:2], large, flags=cv2.INTER_CUBIC, borderMode=border)
    if finer > 1:
        drawn = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
    return drawn


def _shift_pixels(source: np.ndarray, x: int, y: int, size: Size) -> np.ndarray:
    width, height = size
    out = np.zeros((height, width, *source.shape[2:]), source.dtype)
    rows, columns = source.shape[:2]
    left, top, right, bottom = max(0, x), max(0, y), min(width, x + columns), min(height, y + rows)
    if right > left and bottom > top:
        out[top:bottom, left:right] = source[top - y : bottom - y, left - x : right - x]
    return out


def describe_resampling(frame: Frame) -> str:
    """The sentence for the receipt."""
    if frame.is_native_scale:
        return "none"
    turned = f", turned {-frame.roll:.1f} degrees" if frame.roll else ""
    return f"{RESAMPLING_METHOD} x {frame.scale:.3f}{turned}"


def composite_on_grey(colour: Image, alpha: Alpha, ground: int = PREVIEW_GREY_LEVEL) -> Image:
    """A cut-out on plain grey of that level: what the first previews show."""
    weight = alpha[..., None]
    return np.asarray(colour * weight + ground * (1 - weight) + 0.5, np.uint8)
