"""Where the joints of a body are, by the pose landmark net that ships with the project; recognises nobody.

The net and its crop after Bazarevsky et al., "BlazePose" (2020). It says itself where the body's middle and reach are,
so that the crop is set right by looking twice; no detector is needed where the cut-out tells where somebody stands.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from pipelines.core.geometry import Face, Image
from pipelines.core.models import ModelSpec
from pipelines.models.bundled_weights import verify_files
from pipelines.models.nets.rotated_crop import Points, RotatedSquare, crop_to_photo_matrix, extract_crop


@dataclass(frozen=True)
class PersonLocation:
    """Where somebody stands in a photo: the box of the cut-out (left, top, right, bottom, pixels), and their face."""

    box: tuple[float, float, float, float]
    face: Face | None = None


Joints: TypeAlias = "tuple[tuple[float, float] | None, ...]"
"""Eighteen points in the order of OpenPose, in pixels of the photo; None where one is not seen."""

INPUT_SIDE_PX = 256
CROP_MARGIN_RATIO = 1.25  # times the body's reach
# From the eyes down to the hips, and from there as far as a body reaches, in distances of the eyes: of a grown body's
# 63 mm, 0.63 m and 0.85 m. A portrait shows neither, and the net guesses well what lies outside.
HIPS_BELOW_EYES_RATIO, BODY_REACH_RATIO = 10.0, 13.5
MIN_BODY_SCORE = 0.5  # the net's own threshold
MIN_JOINT_VISIBILITY = 0.5
HIP_CENTRE_ROW, BODY_REACH_ROW = (
    33,
    34,
)  # the net's word on where the body's middle is, and a point as far away as the body reaches

# OpenPose: nose, neck, right shoulder, elbow, wrist, left ones, right hip, knee, ankle, left ones, eyes, ears (right
# first). The neck is the middle of the shoulders.
BLAZEPOSE_TO_OPENPOSE = (0, None, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)
COCO_TO_OPENPOSE = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
BLAZEPOSE_SHOULDERS, COCO_SHOULDERS = (11, 12), (5, 6)


class BlazePose:
    """The net; one photo at a time, whoever calls."""

    def __init__(self, spec: ModelSpec) -> None:
        (file,) = verify_files(spec)
        self.spec = spec
        # The newer engine of OpenCV 5 does not read these files.
        self._net = cv2.dnn.readNetFromTFLite(str(file), cv2.dnn.ENGINE_CLASSIC)
        self._lock = threading.Lock()

    def find_joints(self, image: Image, person: PersonLocation) -> Joints | None:
        """The joints of whoever stands there in `image`; None where nobody does."""
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
        """Lets go of the net."""
        del self._net

    def _predict_landmarks(self, image: Image, region: RotatedSquare) -> tuple[Points, Points, float]:
        """39 points in pixels of the photo, how surely each is seen (0 to 1), and whether there is a body."""
        self._net.setInput(cv2.dnn.blobFromImage(extract_crop(image, region, INPUT_SIDE_PX), 1 / 255))
        marks, flag = self._net.forward(["Identity", "Identity_1"])
        rows = np.asarray(marks, np.float32).reshape(-1, 5)
        points = cv2.transform(rows[None, :, :2], crop_to_photo_matrix(region, INPUT_SIDE_PX))[0].astype(np.float32)
        return points, np.asarray(1 / (1 + np.exp(-rows[:, 3])), np.float32), float(np.asarray(flag).reshape(-1)[0])


def to_openpose_order(
    points: Points, visibility: Points, order: tuple[int | None, ...], shoulders: tuple[int, int], image: Image
) -> Joints:
    """Rows of x, y as OpenPose orders them; what lies outside the photo is a guess and is left out."""
    height, width = image.shape[:2]

    def joint(*rows: int) -> tuple[float, float] | None:
        x, y = points[list(rows)].mean(axis=0)
        good = visibility[list(rows)].min() >= MIN_JOINT_VISIBILITY and 0 <= x < width and 0 <= y < height
        return (float(x), float(y)) if good else None

    return tuple(joint(*shoulders) if row is None else joint(row) for row in order)


def _initial_region(person: PersonLocation, image: Image) -> RotatedSquare:
    """Where to look first: by the face, which tells how large a body is; else the box, grown where it is cut off."""
    if person.face is not None:
        far = person.face.eye_distance
        x, y = person.face.eye_midpoint
        turn = float(np.radians(person.face.roll))
        down = (x - np.sin(turn) * HIPS_BELOW_EYES_RATIO * far, y + np.cos(turn) * HIPS_BELOW_EYES_RATIO * far)
        return RotatedSquare(float(down[0]), float(down[1]), 2 * CROP_MARGIN_RATIO * BODY_REACH_RATIO * far, turn)
    left, top, right, bottom = person.box
    tall = (bottom - top) * (1.0 if bottom < image.shape[0] - 2 else 1.6)
    return RotatedSquare((left + right) / 2, top + tall / 2, CROP_MARGIN_RATIO * max(right - left, tall), 0.0)


def _region_around_body(points: Points) -> RotatedSquare:
    """The crop of a known body: upright in it, all of its reach inside."""
    middle, reach = points[HIP_CENTRE_ROW], points[BODY_REACH_ROW]
    x, y = reach - middle
    return RotatedSquare(
        float(middle[0]), float(middle[1]), float(2 * CROP_MARGIN_RATIO * np.hypot(x, y)), float(np.arctan2(x, -y))
    )
