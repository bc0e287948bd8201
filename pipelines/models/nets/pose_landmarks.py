"""Body pose: BlazePose, the pose landmark net that ships with the project.

The net and its crop after Bazarevsky et al., "BlazePose" (2020). It also predicts the centre and reach of the body, so
the crop is corrected by running it twice. No detector is needed, since the cut-out tells where the person is.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from pipelines.core.geometry import Face, Image
from pipelines.core.models import ModelSpec
from pipelines.models.bundled_weights import read_tflite, verify_files
from pipelines.models.nets.rotated_crop import Points, RotatedSquare, crop_to_photo_matrix, extract_crop


@dataclass(frozen=True)
class PersonLocation:
    """Where a person is in a photo: the box of the cut-out (left, top, right, bottom, in pixels) and the face."""

    box: tuple[float, float, float, float]
    face: Face | None = None


Joints: TypeAlias = "tuple[tuple[float, float] | None, ...]"
"""18 points in the order of OpenPose, in pixels of the photo; None where one is not visible."""

INPUT_SIDE_PX = 256
CROP_MARGIN_RATIO = 1.25  # side of the crop over twice the body's reach
# Distance from eyes to hips, and from there the body's reach, in eye distances: 0.63 m and 0.85 m over 63 mm for an
# adult. A portrait shows neither, and the net predicts well what is outside the photo.
HIPS_BELOW_EYES_RATIO, BODY_REACH_RATIO = 10.0, 13.5
MIN_BODY_SCORE = 0.5  # the net's own threshold
MIN_JOINT_VISIBILITY = 0.5
# Landmark rows of the centre of the hips, and of a point at the reach of the body.
HIP_CENTRE_ROW, BODY_REACH_ROW = 33, 34

# Landmark rows in the order of OpenPose: nose, neck, right shoulder, elbow, wrist, the same left, right hip, knee,
# ankle, the same left, eyes, ears (right first). The neck (None) is the middle of the shoulders.
BLAZEPOSE_TO_OPENPOSE = (0, None, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)
COCO_TO_OPENPOSE = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
BLAZEPOSE_SHOULDERS, COCO_SHOULDERS = (11, 12), (5, 6)


class BlazePose:
    """The loaded net. Safe from any thread; one photo is processed at a time."""

    def __init__(self, spec: ModelSpec) -> None:
        (file,) = verify_files(spec)
        self.spec = spec
        self._net = read_tflite(file)
        self._lock = threading.Lock()

    def find_joints(self, image: Image, person: PersonLocation) -> Joints | None:
        """Find the joints of `person` in `image`; None where the net sees no body."""
        region = _initial_region(person, image)
        with self._lock:
            points, seen, score = self._predict_landmarks(image, region)
            if score >= MIN_BODY_SCORE:
                points, seen, score = self._predict_landmarks(image, _region_around_body(points))
        return (
            to_openpose_order(points, seen, BLAZEPOSE_TO_OPENPOSE, BLAZEPOSE_SHOULDERS, image)
            if score >= MIN_BODY_SCORE
            else None
        )

    def close(self) -> None:
        """Free the net."""
        del self._net

    def _predict_landmarks(self, image: Image, region: RotatedSquare) -> tuple[Points, Points, float]:
        """Return 39 points in pixels of the photo, the visibility of each (0 to 1), and the score of a body."""
        self._net.setInput(cv2.dnn.blobFromImage(extract_crop(image, region, INPUT_SIDE_PX), 1 / 255))
        marks, flag = self._net.forward(["Identity", "Identity_1"])
        rows = np.asarray(marks, np.float32).reshape(-1, 5)
        points = cv2.transform(rows[None, :, :2], crop_to_photo_matrix(region, INPUT_SIDE_PX))[0].astype(np.float32)
        return points, np.asarray(1 / (1 + np.exp(-rows[:, 3])), np.float32), float(np.asarray(flag).reshape(-1)[0])


def to_openpose_order(
    points: Points, visibility: Points, order: tuple[int | None, ...], shoulders: tuple[int, int], image: Image
) -> Joints:
    """Put rows of x, y into the order of OpenPose; points outside the photo are guesses and are left out."""
    height, width = image.shape[:2]

    def locate_joint(*rows: int) -> tuple[float, float] | None:
        x, y = points[list(rows)].mean(axis=0)
        is_visible = visibility[list(rows)].min() >= MIN_JOINT_VISIBILITY and 0 <= x < width and 0 <= y < height
        return (float(x), float(y)) if is_visible else None

    return tuple(locate_joint(*shoulders) if row is None else locate_joint(row) for row in order)


def _initial_region(person: PersonLocation, image: Image) -> RotatedSquare:
    """Return the first crop: by the face, which gives the body's size; else by the box, enlarged if it is cut off."""
    if person.face is not None:
        eye_distance = person.face.eye_distance
        x, y = person.face.eye_midpoint
        angle = float(np.radians(person.face.roll))
        hips_x = x - np.sin(angle) * HIPS_BELOW_EYES_RATIO * eye_distance
        hips_y = y + np.cos(angle) * HIPS_BELOW_EYES_RATIO * eye_distance
        side = 2 * CROP_MARGIN_RATIO * BODY_REACH_RATIO * eye_distance
        return RotatedSquare(float(hips_x), float(hips_y), side, angle)
    left, top, right, bottom = person.box
    height = (bottom - top) * (1.0 if bottom < image.shape[0] - 2 else 1.6)
    return RotatedSquare((left + right) / 2, top + height / 2, CROP_MARGIN_RATIO * max(right - left, height), 0.0)


def _region_around_body(points: Points) -> RotatedSquare:
    """Return the crop of known landmarks: the body is upright in it, with all of its reach inside."""
    middle, reach = points[HIP_CENTRE_ROW], points[BODY_REACH_ROW]
    x, y = reach - middle
    side = float(2 * CROP_MARGIN_RATIO * np.hypot(x, y))
    return RotatedSquare(float(middle[0]), float(middle[1]), side, float(np.arctan2(x, -y)))
