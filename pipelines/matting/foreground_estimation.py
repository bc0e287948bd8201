"""Estimate the subject's own colours at its edge, without old background that shines through or bled in."""

from __future__ import annotations

import numpy as np

from pipelines.core.geometry import Alpha, Float32Array, Image
from pipelines.imaging.resize import dilate_mask
from pipelines.matting.edge_colors import OPAQUE_ALPHA, estimate_side_colours

MIN_HUE_DISTANCE_LEVELS = 25.0  # between subject and background: spill of a nearer hue does no harm
SPILL_RATIO = 0.08  # of the way from the subject's hue to the background's: more is visible
LUMA_WEIGHTS = np.array((0.299, 0.587, 0.114), np.float32)  # Rec. 601
FAINT_ALPHA = 0.02  # alpha up to which a pixel is background
OUTSIDE_BAND_PX = 3  # band outside the matte for which the subject's colour is estimated as well


def estimate_foreground(image: Image, alpha: Alpha) -> Image:
    """Estimate the subject's colour under every pixel with alpha > 0; the photo byte for byte where alpha >= 250/255.

    It goes on for `OUTSIDE_BAND_PX` outside, so that a resampling kernel at the edge finds no old background there. One
    step of Forte's blur fusion ("Approximate Fast Foreground Colour Estimation", 2021) from the spread colours.
    """
    mixed = dilate_mask(alpha > 0, OUTSIDE_BAND_PX) & (alpha < OPAQUE_ALPHA)
    result = image.copy()
    if not mixed.any():
        return result
    # Faint traces lie over a third of some photos: what is there is background, and the nearest of it counts.
    unknown = mixed & dilate_mask(alpha > FAINT_ALPHA, OUTSIDE_BAND_PX)
    subject, background = estimate_side_colours(image, alpha, mixed, unknown=unknown, colour_only=True)
    weight = alpha[mixed][:, None]
    residual = image[mixed].astype(np.float32) - weight * subject.mean - (1 - weight) * background.mean
    colour = np.asarray(subject.mean + weight * residual, np.float32)
    difference = _remove_luma(background.mean - subject.mean)
    colour -= np.clip(_spill_share(colour, subject.mean, difference), 0, 1)[:, None] * difference
    result[mixed] = np.clip(colour + 0.5, 0, 255).astype(np.uint8)
    return result


def suppress_colour_spill(image: Image, alpha: Alpha) -> Alpha:
    """Make `alpha` a little less than opaque along its edge where the background's hue bled into the subject.

    Cameras, and JPEG more so, keep hue at half the resolution: the last pixels of a black coat before a blue wall are
    blue.
    """
    rim = (alpha >= OPAQUE_ALPHA) & dilate_mask(alpha < 0.5, 2)
    if not rim.any():
        return alpha
    band = dilate_mask(rim, 2)
    subject, background = (each.mean[rim[band]] for each in estimate_side_colours(image, alpha, band, colour_only=True))
    spilled = _spill_share(image[rim].astype(np.float32), subject, _remove_luma(background - subject)) > SPILL_RATIO
    result = alpha.copy()
    result[rim] = np.where(spilled, OPAQUE_ALPHA - np.float32(0.01), alpha[rim])
    return result


def _remove_luma(colour: Float32Array) -> Float32Array:
    """Return what of a colour (N x 3) is not its lightness."""
    return np.asarray(colour - (colour @ LUMA_WEIGHTS)[:, None], np.float32)


def _spill_share(colour: Float32Array, own: Float32Array, difference: Float32Array) -> Float32Array:
    """Return how far N colours lie on the way from their `own` hue to the background's; 0 where both hues are alike."""
    length = (difference**2).sum(axis=1)
    share = (_remove_luma(colour - own) * difference).sum(axis=1) / np.maximum(length, 1)
    return np.where(length > MIN_HUE_DISTANCE_LEVELS**2, share, 0).astype(np.float32)
