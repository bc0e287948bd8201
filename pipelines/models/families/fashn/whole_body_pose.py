"""The pose of a whole body with hands and face, which FASHN VTON draws after: DWPose (Yang et al., 2023), from the hub.

Its file is the authors' ONNX, which runs on the processor. No detector of people is needed, since the cut-out tells
where the person is. What the net is given, and how its answer is drawn in grey, are as the try-on model was trained.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import onnxruntime as ort

from pipelines.core.errors import BadInput, ModelUnavailable
from pipelines.core.geometry import Float32Array, Image, Size, Uint8Array
from pipelines.core.models import ModelSpec
from pipelines.models.families.fashn.fitting import shrink_to_read
from pipelines.models.nets.hub_file import find_known_file
from pipelines.models.nets.pose_landmarks import COCO_SHOULDERS, COCO_TO_OPENPOSE, PersonLocation

NO_BODY_MESSAGE = "Nobody was found who could wear it: take a photo that shows shoulders and arms."
CROP_MARGIN_RATIO = 1.25  # side of the crop over that of the person's box
MIN_POINT_SCORE = 0.3  # a point with a lower score is not drawn
MIN_JOINT_COUNT = 4  # with fewer joints there is no pose to follow
_BINS_PER_PX = 2  # the net tells a point's column and row in bins of half a pixel of the crop
_COLOUR_MEAN, _COLOUR_DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_FACE_ROWS, _HAND_ROWS = slice(23, 91), (slice(91, 112), slice(112, 133))
# Pairs of joints in the order of OpenPose: shoulders and arms, sides and legs, head.
_LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0),
    (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
_FINGER_STARTS = (1, 5, 9, 13, 17)  # first of a finger's four points; 0 is the wrist
_LIMB_GREYS, _FINGER_GREYS = np.linspace(20, 240, 18), np.linspace(160, 220, 20)
_JOINT_RADIUS_PX = _LIMB_RADIUS_PX = 4
_FACE_RADIUS_PX = 3
_HAND_GREY, _FACE_GREY = 240, 200


@dataclass(frozen=True)
class WholeBodyPose:
    """133 points of COCO-WholeBody in pixels (x, y), and the score of each."""

    points: Float32Array
    scores: Float32Array

    def joints(self) -> list[tuple[float, float] | None]:
        """List the 18 joints in the order of OpenPose, the neck between the shoulders; None where one is not seen."""
        rows = [COCO_SHOULDERS if row is None else (row,) for row in COCO_TO_OPENPOSE]
        seen = [bool((self.scores[list(row)] > MIN_POINT_SCORE).all()) for row in rows]
        middles = [self.points[list(row)].mean(axis=0) for row in rows]
        return [(float(x), float(y)) if is_seen else None for (x, y), is_seen in zip(middles, seen, strict=True)]


class DWPose:
    """The loaded net. Safe from any thread."""

    def __init__(self, spec: ModelSpec) -> None:
        path = find_known_file(spec)
        self.spec = spec
        self._session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (taken,) = self._session.get_inputs()
        if len(taken.shape) != 4 or not all(isinstance(side, int) for side in taken.shape[2:]):
            raise ModelUnavailable(f"{path} takes {taken.shape}, not crops of one size.")
        self._input_name, (self._height, self._width) = taken.name, taken.shape[2:]

    def draw_map(self, image: Image, person: PersonLocation) -> Image:
        """Draw the pose of the person in a box in grey on black, as large as the photo is read, H x W x 3.

        Raises `BadInput` where no body is seen.
        """
        small = shrink_to_read(image)
        scale = small.shape[1] / image.shape[1]
        left, top, right, bottom = (scale * edge for edge in person.box)
        pose = self.find_pose(small, (left, top, right, bottom))
        if sum(joint is not None for joint in pose.joints()) < MIN_JOINT_COUNT:
            raise BadInput(NO_BODY_MESSAGE, code="no_subject", param="photo")
        return np.repeat(draw_pose(pose, (small.shape[1], small.shape[0]))[..., None], 3, axis=2)

    def find_pose(self, image: Image, box: tuple[float, float, float, float]) -> WholeBodyPose:
        """Find the pose of whoever is in `box` (left, top, right, bottom) of a photo, H x W x 3."""
        left, top, right, bottom = box
        ratio = self._width / self._height
        width = CROP_MARGIN_RATIO * max(right - left, (bottom - top) * ratio)
        scale = self._width / width
        x, y = (left + right) / 2 - width / 2, (top + bottom) / 2 - width / ratio / 2
        matrix = np.array([[scale, 0, -scale * x], [0, scale, -scale * y]])
        # The net was trained with blue, green and red under the means of red, green and blue.
        crop = cv2.warpAffine(image[..., ::-1], matrix, (self._width, self._height), flags=cv2.INTER_LINEAR)
        values = (crop - np.array(_COLOUR_MEAN)) / np.array(_COLOUR_DEVIATION)
        inputs = {self._input_name: np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32)}
        columns, rows = (np.asarray(each, np.float32)[0] for each in self._session.run(None, inputs))
        bins = np.stack([columns.argmax(axis=1), rows.argmax(axis=1)], axis=1)
        scores = np.minimum(columns.max(axis=1), rows.max(axis=1))
        points = bins / (_BINS_PER_PX * scale) + np.array([x, y])
        return WholeBodyPose(points.astype(np.float32), scores)

    def close(self) -> None:
        """Free the session and its memory."""
        del self._session


def draw_pose(pose: WholeBodyPose, size: Size) -> Uint8Array:
    """Draw a pose in grey on black, H x W: limbs darker than joints, then hands and face."""
    canvas = _draw_limbs(pose.joints(), size)
    seen = pose.scores >= MIN_POINT_SCORE
    for rows in _HAND_ROWS:
        _draw_hand(canvas, pose.points[rows], seen[rows])
    for x, y in _whole_pixels(pose.points[_FACE_ROWS], seen[_FACE_ROWS]):
        cv2.circle(canvas, (x, y), _FACE_RADIUS_PX, _FACE_GREY, -1)
    return canvas


def _draw_limbs(joints: list[tuple[float, float] | None], size: Size) -> Uint8Array:
    places = [None if joint is None else (int(joint[0]), int(joint[1])) for joint in joints]
    limbs = np.zeros((size[1], size[0]), np.uint8)
    for (first, second), grey in zip(_LIMBS, _LIMB_GREYS, strict=False):
        a, b = places[first], places[second]
        if a is None or b is None:
            continue
        middle = (a[0] + b[0]) // 2, (a[1] + b[1]) // 2
        length, angle = int(math.dist(a, b)), int(math.degrees(math.atan2(a[1] - b[1], a[0] - b[0])))
        outline = cv2.ellipse2Poly(middle, (length // 2, _LIMB_RADIUS_PX), angle, 0, 360, 1)
        cv2.fillConvexPoly(limbs, np.asarray(outline), int(grey))
    canvas = np.asarray(limbs * 0.6, np.uint8)
    for number, place in enumerate(places):
        if place is not None:
            limb = next(n for n, pair in enumerate(_LIMBS) if number in pair)
            cv2.circle(canvas, place, _JOINT_RADIUS_PX, min(255, int(int(_LIMB_GREYS[limb]) * 1.3)), -1)
    return canvas


def _draw_hand(canvas: Uint8Array, points: Float32Array, seen: np.ndarray) -> None:
    """Draw a hand's fingers, each from the wrist on, and its points."""
    pairs = [(0 if n == start else n - 1, n) for start in _FINGER_STARTS for n in range(start, start + 4)]
    for (first, second), grey in zip(pairs, _FINGER_GREYS, strict=True):
        ends = _whole_pixels(points[[first, second]], seen[[first, second]])
        if len(ends) == 2:
            cv2.line(canvas, ends[0], ends[1], int(grey), 2)
    for place in _whole_pixels(points, seen):
        cv2.circle(canvas, place, _JOINT_RADIUS_PX, _HAND_GREY, -1)


def _whole_pixels(points: Float32Array, seen: np.ndarray) -> list[tuple[int, int]]:
    """List the points that are seen, in whole pixels; those left of or above the first pixel are not drawn."""
    places = [(int(x), int(y)) for (x, y), is_seen in zip(points, seen, strict=True) if is_seen]
    return [(x, y) for x, y in places if x > 0 and y > 0]
