"""Measure how much a face changed between two aligned pictures: skin colour and geometry."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Face, Float64Array, Image, Mask
from pipelines.imaging.color import to_lab

# Outlines on the 468-point mesh that are not skin: eyes with lids and brows, and lips.
_EYE_OUTLINES = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7, 70, 63, 105, 66, 107, 46, 53, 52, 55),
    (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249, 300, 293, 334, 296, 336, 276, 283),
)
_LIP_OUTLINE = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)


def skin_delta_e(source: Image, result: Image, face: Face) -> float:
    """Return CIEDE2000 between the median skin of `face` in `source` and in `result` (both H x W x 3, aligned)."""
    skin = _skin_mask(face, source.shape[:2])
    if not skin.any():
        return 0.0
    before, after = (np.median(to_lab(image[skin][None])[0].astype(np.float64), axis=0) for image in (source, result))
    return float(ciede2000(before, after))


def face_geometry_change(before: Face, after: Face) -> float:
    """Return the RMS shift of landmarks after alignment, in per cent of eye distance; about 1.5 for the same face."""
    p, q = (face.landmarks.astype(np.float64).view(np.complex128).ravel() for face in (before, after))
    p, q = p - p.mean(), q - q.mean()
    # Procrustes analysis in the plane: the best rotation and scale is one complex number.
    rest = q - p * (np.vdot(p, q) / np.vdot(p, p))
    return float(100 * np.sqrt(np.mean(np.abs(rest) ** 2)) / max(after.eye_distance, 1.0))


def ciede2000(first: Float64Array, second: Float64Array) -> Float64Array:
    """Return the colour difference CIEDE2000 of Lab values (... x 3), after Sharma, Wu and Dalal 2005."""
    light1, a1, b1 = np.moveaxis(np.asarray(first, np.float64), -1, 0)
    light2, a2, b2 = np.moveaxis(np.asarray(second, np.float64), -1, 0)
    grey = 1.5 - 0.5 * _chroma_weight((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2)
    chroma1, chroma2 = np.hypot(a1 * grey, b1), np.hypot(a2 * grey, b2)
    hue1, hue2 = (np.degrees(np.arctan2(b, a * grey)) % 360 for a, b in ((a1, b1), (a2, b2)))
    coloured = chroma1 * chroma2 > 0
    turn = np.where(coloured, (hue2 - hue1 + 180) % 360 - 180, 0.0)
    hue = np.where(coloured, (hue1 + turn / 2) % 360, hue1 + hue2)
    light, chroma = (light1 + light2) / 2, (chroma1 + chroma2) / 2

    weight = 1 - 0.17 * _cos_degrees(hue - 30) + 0.24 * _cos_degrees(2 * hue)
    weight = weight + 0.32 * _cos_degrees(3 * hue + 6) - 0.20 * _cos_degrees(4 * hue - 63)
    by_light = (light2 - light1) / (1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2))
    by_chroma = (chroma2 - chroma1) / (1 + 0.045 * chroma)
    by_hue = 2 * np.sqrt(chroma1 * chroma2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * chroma * weight)
    blue = -2 * _chroma_weight(chroma) * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    return np.sqrt(by_light**2 + by_chroma**2 + by_hue**2 + blue * by_chroma * by_hue)


def _chroma_weight(chroma: Float64Array) -> Float64Array:
    return np.sqrt(chroma**7 / (chroma**7 + 25.0**7))


def _cos_degrees(degrees: Float64Array) -> Float64Array:
    return np.cos(np.radians(degrees))


def _skin_mask(face: Face, shape: tuple[int, ...]) -> Mask:
    """Return a mask (H x W) of the face without eyes, brows, lips and its border, where hair begins."""
    skin = np.zeros(shape[:2], np.uint8)
    points = face.landmarks
    inner = points.mean(axis=0) + 0.9 * (points - points.mean(axis=0))
    cv2.fillConvexPoly(skin, cv2.convexHull(inner).astype(np.int32), 1)
    for outline in (*_EYE_OUTLINES, _LIP_OUTLINE):
        cv2.fillConvexPoly(skin, cv2.convexHull(points[list(outline)]).astype(np.int32), 0)
    return skin > 0
