"""Face lock: blend the photo's facial detail into a styled picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pipelines.compositing.head_restoration import move_face
from pipelines.core.geometry import Face, Float32Array, Image
from pipelines.styles.primitives import Field, Picture, from_lab, gaussian_blur, to_float, to_lab, to_uint8

# Outlines on the 468-point mesh around eyes with brows, nose and mouth.
_FEATURE_OUTLINES = (
    (70, 63, 105, 66, 107, 55, 193, 245, 233, 232, 231, 230, 229, 228, 226, 35),
    (300, 293, 334, 296, 336, 285, 417, 465, 453, 452, 451, 450, 449, 448, 446, 265),
    (168, 122, 196, 131, 198, 203, 164, 423, 420, 360, 419, 351),
    (61, 40, 37, 0, 267, 270, 291, 321, 405, 17, 181, 91),
)
_LAB_MIN, _LAB_MAX = np.array([0, -127, -127], np.float32), np.array([100, 127, 127], np.float32)
_SKIN_LOCK_RATIO = 0.78  # share of the lock weight outside the features, so that cheeks show the style's texture


def lock_faces(photo: Image, styled: Image, faces: Sequence[Face], weight: float, *, photo_colours: bool) -> Image:
    """Return `styled` (H x W x 3) with the detail of the photo's faces, in the tones of the style.

    Detail finer than a third of the eye distance comes from the photo. Broad tones and colours come from the style, or
    with `photo_colours` from the photo, so that skin keeps its colour. `faces` are in pixels of `photo`, which has the
    size of `styled`. `weight` is 0 to 1. Faces with less than 8 pixels between the eyes do not change.
    """
    faces = [face for face in faces if face.eye_distance >= 8]
    if not faces or weight <= 0:
        return styled
    out = styled.copy()
    for face in faces:
        box = _face_box(face, photo.shape)
        local_face = move_face(face, np.array([[1, 0, -box[1].start], [0, 1, -box[0].start]], np.float64))
        out[box] = _lock_face(to_float(photo[box]), to_float(out[box]), local_face, weight, photo_colours)
    return out


def face_mask(faces: Sequence[Face], shape: tuple[int, ...], *, hard: bool = False) -> Field:
    """Return a mask (H x W) of 1 on faces, with a soft or a hard edge."""
    mask = np.zeros(shape[:2], np.float32)
    for face in faces:
        skin = _fill_hull(face.landmarks, shape)
        mask = np.maximum(mask, skin if hard else gaussian_blur(skin, 0.12 * face.eye_distance))
    return mask


def _lock_face(photo: Picture, styled: Picture, face: Face, weight: float, photo_colours: bool) -> Image:
    sigma = 0.33 * face.eye_distance
    mask = _lock_weights(face, photo.shape)
    photo_lab, styled_lab = to_lab(photo), to_lab(styled)
    if photo_colours:
        # Skin keeps the photo's broad tones at any lock weight. The style's texture is added to them.
        styled_lab += (mask * 0.95)[..., None] * (gaussian_blur(photo_lab, sigma) - gaussian_blur(styled_lab, sigma))
        target = photo_lab
    else:
        target = _fit_tones(photo_lab[..., 0], styled_lab, sigma)
    wanted = from_lab(target)
    styled = from_lab(np.clip(styled_lab, _LAB_MIN, _LAB_MAX))
    share = (np.float32(weight) * mask)[..., None]
    return to_uint8(np.asarray(styled + share * (wanted - styled), np.float32))


def _fit_tones(tone: Field, styled_lab: Picture, sigma: float) -> Picture:
    """Return the photo's fine detail on the style's tones, within the style's darkest and lightest tone."""
    target = gaussian_blur(styled_lab, sigma)
    low, high = (float(v) for v in np.percentile(styled_lab[..., 0], (1, 99)))
    fine = tone - gaussian_blur(tone, sigma)
    target[..., 0] = np.clip(target[..., 0] + np.float32(1.25) * fine, low, high)
    return target


def _face_box(face: Face, shape: tuple[int, ...]) -> tuple[slice, slice]:
    left, top = face.landmarks.min(axis=0) - face.eye_distance
    right, bottom = face.landmarks.max(axis=0) + face.eye_distance
    return (
        slice(max(0, int(top)), min(shape[0], int(bottom) + 1)),
        slice(max(0, int(left)), min(shape[1], int(right) + 1)),
    )


def _lock_weights(face: Face, shape: tuple[int, ...]) -> Field:
    """Return 1 on eyes, brows, nose and mouth, `_SKIN_LOCK_RATIO` on the rest of the face, and a soft edge to 0."""
    skin = _fill_hull(face.landmarks, shape)
    features = np.zeros(shape[:2], np.float32)
    for rows in _FEATURE_OUTLINES:
        features = np.maximum(features, _fill_hull(face.landmarks[list(rows)], shape))
    wide, narrow = 0.16 * face.eye_distance, 0.08 * face.eye_distance
    grown = np.asarray(cv2.dilate(features, np.ones((2 * int(narrow) + 1,) * 2, np.uint8)), np.float32)
    return np.maximum(_SKIN_LOCK_RATIO * gaussian_blur(skin, wide), gaussian_blur(grown, narrow))


def _fill_hull(points: Float32Array, shape: tuple[int, ...]) -> Field:
    """Fill the convex hull of points (N x 2) with 1, H x W."""
    canvas = np.zeros(shape[:2], np.float32)
    cv2.fillConvexPoly(canvas, cv2.convexHull(points.astype(np.int32)), 1.0)
    return canvas
