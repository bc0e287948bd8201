"""Face lock: a styled face keeps the drawing of the photo's; knows landmarks, not who they belong to."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Face, Image
from pipelines.styles.primitives import Field, Picture, gaussian_blur, to_float, to_uint8

# Outlines of the 468-point mesh round what a face is known by: eyes with brows, nose, mouth.
_FEATURE_OUTLINES = (
    (70, 63, 105, 66, 107, 55, 193, 245, 233, 232, 231, 230, 229, 228, 226, 35),
    (300, 293, 334, 296, 336, 285, 417, 465, 453, 452, 451, 450, 449, 448, 446, 265),
    (168, 122, 196, 131, 198, 203, 164, 423, 420, 360, 419, 351),
    (61, 40, 37, 0, 267, 270, 291, 321, 405, 17, 181, 91),
)
_LAB_MIN, _LAB_MAX = np.array([0, -127, -127], np.float32), np.array([100, 127, 127], np.float32)
_SKIN_LOCK_RATIO = 0.78  # of the lock's weight outside the features: texture of the style stays on the cheeks


def lock_faces(
    photo: Image, styled: Image, faces: Sequence[Face], weight: float, *, keeps_photo_colours: bool
) -> Image:
    """`styled` (H x W x 3) with the photo's faces in it: their lights and darks, in the tones of the style.

    Broad tones and colours come from the style, or from the photo where `natural`, so that skin keeps its colour; all
    that is finer than a third of the distance of the eyes comes from the photo. `faces` are in pixels of `photo`,
    which has the size of `styled`. `weight` 0 to 1. Faces smaller than 8 pixels between the eyes are left alone.
    """
    faces = [face for face in faces if face.eye_distance >= 8]
    if not faces or weight <= 0:
        return styled
    out = styled.copy()
    for face in faces:
        box = _face_box(face, photo.shape)
        part = out[box]
        out[box] = _lock_face(to_float(photo[box]), to_float(part), _moved(face, box), weight, keeps_photo_colours)
    return out


def face_mask(faces: Sequence[Face], shape: tuple[int, ...], *, hard: bool = False) -> Field:
    """H x W, 1 on faces; soft outside, or with a hard edge."""
    mask = np.zeros(shape[:2], np.float32)
    for face in faces:
        skin = _fill_hull(_landmark_hull(face, tuple(range(len(face.landmarks)))), shape)
        mask = np.maximum(mask, skin if hard else gaussian_blur(skin, 0.12 * face.eye_distance))
    return mask


def _lock_face(photo: Picture, styled: Picture, face: Face, weight: float, natural: bool) -> Image:
    reach = 0.33 * face.eye_distance
    mask = _lock_weights(face, photo.shape)
    mine, theirs = (np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2LAB), np.float32) for part in (photo, styled))
    if natural:
        # Skin keeps its colour whatever the lock's weight: the style's texture rides on the photo's broad tones.
        theirs += (mask * 0.95)[..., None] * (gaussian_blur(mine, reach) - gaussian_blur(theirs, reach))
        target = mine
    else:
        target = _fit_tones(mine[..., 0], theirs, reach)
    wanted = np.asarray(cv2.cvtColor(target, cv2.COLOR_LAB2RGB), np.float32)
    styled = np.asarray(cv2.cvtColor(np.clip(theirs, _LAB_MIN, _LAB_MAX), cv2.COLOR_LAB2RGB), np.float32)
    share = (np.float32(weight) * mask)[..., None]
    return to_uint8(np.asarray(styled + share * (wanted - styled), np.float32))


def _fit_tones(tone: Field, theirs: Picture, reach: float) -> Picture:
    """The photo's drawing in the style's tones: its paper is the lightest, its ink the darkest."""
    target = gaussian_blur(theirs, reach)
    low, high = (float(v) for v in np.percentile(theirs[..., 0], (1, 99)))
    fine = tone - gaussian_blur(tone, reach)
    target[..., 0] = np.clip(target[..., 0] + np.float32(1.25) * fine, low, high)
    return target


def _face_box(face: Face, shape: tuple[int, ...]) -> tuple[slice, slice]:
    left, top = face.landmarks.min(axis=0) - face.eye_distance
    right, bottom = face.landmarks.max(axis=0) + face.eye_distance
    return (
        slice(max(0, int(top)), min(shape[0], int(bottom) + 1)),
        slice(max(0, int(left)), min(shape[1], int(right) + 1)),
    )


def _moved(face: Face, box: tuple[slice, slice]) -> Face:
    return transform_face(face, -float(box[1].start), -float(box[0].start), 1.0)


def transform_face(face: Face, x: float, y: float, scale: float) -> Face:
    """The face after scaling by `scale` and then moving by x, y pixels."""

    def there(point: tuple[float, float]) -> tuple[float, float]:
        return point[0] * scale + x, point[1] * scale + y

    left, top, right, bottom = face.box
    return Face(
        landmarks=np.asarray(face.landmarks * scale + np.array([x, y]), np.float32),
        box=(left * scale + x, top * scale + y, right * scale + x, bottom * scale + y),
        left_eye=there(face.left_eye),
        right_eye=there(face.right_eye),
        chin=there(face.chin),
        roll=face.roll,
        score=face.score,
    )


def _lock_weights(face: Face, shape: tuple[int, ...]) -> Field:
    """1 on eyes, brows, nose and mouth, `_SKIN` on the rest of the face, softly 0 outside."""
    skin = _fill_hull(_landmark_hull(face, tuple(range(len(face.landmarks)))), shape)
    features = np.zeros(shape[:2], np.float32)
    for rows in _FEATURE_OUTLINES:
        features = np.maximum(features, _fill_hull(_landmark_hull(face, rows), shape))
    wide, narrow = 0.16 * face.eye_distance, 0.08 * face.eye_distance
    grown = cv2.dilate(features, np.ones((2 * int(narrow) + 1,) * 2, np.uint8))
    return np.maximum(
        _SKIN_LOCK_RATIO * gaussian_blur(skin, wide), gaussian_blur(np.asarray(grown, np.float32), narrow)
    )


def _landmark_hull(face: Face, rows: tuple[int, ...]) -> npt.NDArray[np.int32]:
    return np.asarray(cv2.convexHull(face.landmarks[list(rows)].astype(np.int32)), np.int32)


def _fill_hull(hull: npt.NDArray[np.int32], shape: tuple[int, ...]) -> Field:
    canvas = np.zeros(shape[:2], np.float32)
    cv2.fillConvexPoly(canvas, hull, 1.0)
    return canvas
