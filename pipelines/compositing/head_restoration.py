"""Lay the photographed head back over a portrait in which an edit model drew other clothes.

The edit is registered with the photo by the features of the head alone, so that the head stands where the photo has it,
whatever became of the body. Then face and hair are the photo's own pixels again, mixed into the edit at the jaw, and
the edit beside them takes the photo's tone.
"""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.compositing.registration import (
    MAX_CUT_SHARE,
    Drift,
    measure_cut_share,
    measure_drift,
    spread_undoing,
    undo_drift,
)
from pipelines.core.geometry import Alpha, Face, Float64Array, Image
from pipelines.imaging.color import from_lab, to_lab

MAX_ERROR_PX = 0.7  # of any corner of the head, beside the photo's, beyond which it is not laid back
MIN_UNDONE_PX = 0.25  # a smaller error is not undone: resampling would cost more sharpness than it gains
FEATHER_RATIO = 0.05  # of the height from eyes to chin, over which head and edit are mixed
MAX_SEAM_LEVELS = 16.0  # mean difference of 8-bit levels along the seam; beyond, the edit shows another head there
MAX_TURNED_LEVELS = 14.0  # distance in CIELAB up to which head and edit show the same thing in another tone
TONE_REACH_RATIO = 3.0  # of the same height, over which that is undone less and less
MIN_TONE_SHARE = 0.05  # of the head in the Gaussian's window, from which its own tone counts for half
TONE_BLUR_RATIO = 0.3  # of the same height: the size of the Gaussian that evens the tone out
# The lower half of the face's outline on the 468-point mesh, from one ear over the chin to the other.
_JAW_OUTLINE = (454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234)


def find_head_alpha(face: Face, alpha: Alpha) -> Alpha:
    """Return the part of a person's alpha (H x W, float32) that is face and hair: above jaw and chin, soft below.

    `face` is in the pixels of `alpha`. Hair that falls lower than the chin is not part of it.
    """
    height, width = alpha.shape
    angle = np.radians(face.roll)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    chin = np.asarray(face.chin)
    # Down the face and to its right, seen from the chin, since a head may lean.
    right = (x - chin[0]) * np.cos(angle) + (y - chin[1]) * np.sin(angle)
    down = (y - chin[1]) * np.cos(angle) - (x - chin[0]) * np.sin(angle)
    jaw = face.landmarks[list(_JAW_OUTLINE)].astype(np.float64) - chin
    jaw_right = jaw[:, 0] * np.cos(angle) + jaw[:, 1] * np.sin(angle)
    jaw_down = jaw[:, 1] * np.cos(angle) - jaw[:, 0] * np.sin(angle)
    order = np.argsort(jaw_right)
    # Beside the face hair is kept down to the height of the chin; in front of the neck the jaw is the border.
    border = np.interp(right, jaw_right[order], jaw_down[order], left=0.0, right=0.0)
    # The border is a step at the ears: the feather follows the distance from it, to whichever side it lies.
    distance = cv2.distanceTransform(np.asarray(down < border, np.uint8), cv2.DIST_L2, 5)
    feather = max(2.0, FEATHER_RATIO * _eyes_to_chin(face))
    return np.asarray(alpha * np.clip(distance / feather, 0, 1), np.float32)


def move_face(face: Face, matrix: Float64Array) -> Face:
    """Return a face of a photo in the pixels of its frame; `matrix` is a `Frame.matrix`, 2 x 3."""

    def move(points: Float64Array) -> Float64Array:
        return points @ matrix[:, :2].T + matrix[:, 2]

    (left, top), (right, bottom) = move(np.reshape(np.asarray(face.box, np.float64), (2, 2)))
    left_eye, right_eye, chin = (
        (float(x), float(y)) for x, y in move(np.array([face.left_eye, face.right_eye, face.chin], np.float64))
    )
    roll = face.roll + float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
    landmarks = np.asarray(move(face.landmarks.astype(np.float64)), np.float32)
    return Face(landmarks, (left, top, right, bottom), left_eye, right_eye, chin, roll, face.score)


def restore_head(photo: Image, edited: Image, alpha: Alpha, face: Face) -> Image | None:
    """Return `edited` with the head of `photo`; None where the head cannot be registered or its edge does not fit.

    None too where the edit has another size, or was enlarged so far that a part of the person is missing. Both are
    H x W x 3, uint8; `alpha` is the person's, H x W.
    """
    if photo.shape != edited.shape:
        return None
    head = find_head_alpha(face, alpha)
    solid = np.asarray(head > 0.5, np.float32)
    drift = measure_drift(photo, edited, solid)
    if drift is None or measure_cut_share(drift, alpha) > MAX_CUT_SHARE:
        return None
    if _measure_corner_shift(drift, solid) > MIN_UNDONE_PX:
        edited = undo_drift(edited, drift, photo, solid, spread_undoing(solid, drift))
        drift = measure_drift(photo, edited, solid)
        if drift is None or _measure_corner_shift(drift, solid) > MAX_ERROR_PX:
            return None
    edited = _match_tones(photo, edited, head, face)
    seam = (head > 0.02) & (head < 0.98) & (alpha > 0.95)
    if seam.any() and np.abs(photo[seam].astype(np.float32) - edited[seam]).mean() > MAX_SEAM_LEVELS:
        return None
    soft = head[..., None]
    return np.asarray(np.clip(soft * photo + (1 - soft) * edited + 0.5, 0, 255), np.uint8)


def _eyes_to_chin(face: Face) -> float:
    return float(np.hypot(*(np.asarray(face.chin) - np.asarray(face.eye_midpoint))))


def _measure_corner_shift(drift: Drift, solid: Alpha) -> float:
    """Return by how many pixels the corner of the head's box that moved most is beside its place."""
    rows, columns = np.nonzero(solid.any(axis=1))[0], np.nonzero(solid.any(axis=0))[0]
    height, width = solid.shape
    matrix = drift.affine_matrix(width, height)
    corners = np.array([(x, y) for x in columns[[0, -1]] for y in rows[[0, -1]]], np.float64)
    return float(np.hypot(*(corners @ matrix[:, :2].T + matrix[:, 2] - corners).T).max())


def _match_tones(photo: Image, edited: Image, head: Alpha, face: Face) -> Image:
    """Undo, fading away from the head, how far the edit turned the colours of the head itself.

    A model turns a whole picture by a few levels: laid back, the head would stand in a rim of another tone, which dark
    collars and the ground between hairs show first.
    """
    before, after = (to_lab(image).astype(np.float64) for image in (photo, edited))
    height = _eyes_to_chin(face)
    change = before - after
    is_alike = np.asarray((head > 0.5) & (np.linalg.norm(change, axis=2) < MAX_TURNED_LEVELS), np.float32)
    size_px = TONE_BLUR_RATIO * height
    if not is_alike.any():
        return edited
    # Beside the head its turn goes on; farther away that of the whole head takes over.
    share = cv2.GaussianBlur(is_alike, (0, 0), size_px)[..., None]
    local = cv2.GaussianBlur(change * is_alike[..., None], (0, 0), size_px)
    whole = np.median(change[is_alike > 0], axis=0)
    turned = (local + MIN_TONE_SHARE * whole) / (share + MIN_TONE_SHARE)
    distance = cv2.distanceTransform(np.asarray(head < 0.5, np.uint8), cv2.DIST_L2, 5)
    near = np.clip(1 - distance / (TONE_REACH_RATIO * height), 0, 1)[..., None]
    return from_lab(after + near**2 * (3 - 2 * near) * turned)
