"""The subject's own colour at its edge, without what of the old ground shines through or bled in; knows no nets."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Alpha, Image
from pipelines.matting.edge_colors import OPAQUE, sides

Floats = npt.NDArray[np.float32]

HUES = 25.0  # levels: two hues nearer to each other do no harm
BLED = 0.08  # of the way from the subject's hue to the old ground's: so much is seen
LUMA = np.array((0.299, 0.587, 0.114), np.float32)
REACH = 3  # pixels outside the matte for which the subject's colour is told as well


def foreground(image: Image, alpha: Alpha) -> Image:
    """The subject's own colour under every pixel with alpha > 0; the photo byte for byte where alpha >= 250/255.

    It goes on for `REACH` pixels outside, so that a resampling kernel at the edge finds no old ground there.

    One step of Forte's blur fusion ("Approximate Fast Foreground Colour Estimation", 2021) from the spread colours.
    """
    seen = cv2.dilate((alpha > 0).astype(np.uint8), np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)) > 0
    mixed = seen & (alpha < OPAQUE)
    result = image.copy()
    if not mixed.any():
        return result
    subject, ground = sides(image, alpha, mixed, colour_only=True)
    part = alpha[mixed][:, None]
    rest = image[mixed].astype(np.float32) - part * subject.mean - (1 - part) * ground.mean
    found = np.asarray(subject.mean + part * rest, np.float32)
    across = _chroma(ground.mean - subject.mean)
    found -= np.clip(_share(found, subject.mean, across), 0, 1)[:, None] * across
    result[mixed] = np.clip(found + 0.5, 0, 255).astype(np.uint8)
    return result


def freed(image: Image, alpha: Alpha) -> Alpha:
    """`alpha` (H x W) a little less than opaque along its edge where the old ground's hue bled into the subject.

    A camera, and JPEG more so, keeps hue at half the size: the last pixels of a black coat before a blue wall are blue.
    """
    rim = (alpha >= OPAQUE) & (cv2.dilate((alpha < 0.5).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0)
    if not rim.any():
        return alpha
    where = cv2.dilate(rim.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    subject, ground = (each.mean[rim[where]] for each in sides(image, alpha, where, colour_only=True))
    bled = _share(image[rim].astype(np.float32), subject, _chroma(ground - subject)) > BLED
    result = alpha.copy()
    result[rim] = np.where(bled, OPAQUE - np.float32(0.01), alpha[rim])
    return result


def _chroma(colour: Floats) -> Floats:
    """N x 3: what of a colour is not its lightness."""
    return np.asarray(colour - (colour @ LUMA)[:, None], np.float32)


def _share(colour: Floats, own: Floats, across: Floats) -> Floats:
    """How far N colours lie from their `own` hue along the way `across` to the ground's; 0 where both are alike."""
    length = (across**2).sum(axis=1)
    share = (_chroma(colour - own) * across).sum(axis=1) / np.maximum(length, 1)
    return np.where(length > HUES**2, share, 0).astype(np.float32)
