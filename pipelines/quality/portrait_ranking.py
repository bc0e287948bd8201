"""Rank several photos of a person as portraits, by eyes, sharpness, pose, light and size of the face.

Each criterion is a number of 0 to 1, measured on the face. The weakest criterion dominates the total, because good
light does not compensate for a closed eye.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from pipelines.core.geometry import Face, Image
from pipelines.imaging.color import LUMINANCE_WEIGHTS, to_linear

# Landmarks of each eye: three pairs of upper and lower lid, and the two corners.
_EYELID_POINTS = (((160, 144), (159, 145), (158, 153), (33, 133)), ((387, 373), (386, 374), (385, 380), (362, 263)))
_LEFT_CHEEK_POINT, _RIGHT_CHEEK_POINT, _NOSE_POINT, _FOREHEAD_POINT, _CHIN_POINT = 234, 454, 1, 10, 152
FACE_HEIGHT_PX = 128  # forehead to chin of the aligned face on which sharpness and light are measured
EYE_OPEN_RATIO, EYE_SHUT_RATIO = 0.24, 0.13  # gap between the lids over the eye's width
SHARP_DETAIL, SOFT_DETAIL = 6.0, 2.0  # of `measure_sharpness`
RELATIVE_SHARP_RATIO, RELATIVE_SOFT_RATIO = 0.8, 0.35  # sharpness over that of the sharpest photo of the same person
LARGE_FACE_PX, SMALL_FACE_PX = 60.0, 25.0  # distance between the eyes
TURN_RATIO_RANGE = (0.10, 0.34)  # of `head_turn_ratio`
ROLL_DEGREES_RANGE = (3.0, 20.0)
_FAULT_WORDS = (
    ("eyes", "eyes nearly closed"),
    ("sharpness", "not sharp"),
    ("pose", "turned away or leaning"),
    ("light", "hard or poor light on the face"),
    ("size", "the face is small"),
)


@dataclass(frozen=True)
class PortraitScore:
    """Scores of one photo, 0 to 1 for each criterion. `number` counts photos from 1. Without a face all are 0.

    `detail` is what `measure_sharpness` gave.
    """

    number: int
    eyes: float = 0.0
    sharpness: float = 0.0
    pose: float = 0.0
    light: float = 0.0
    size: float = 0.0
    has_face: bool = True
    detail: float = 0.0

    def compare_sharpness(self, sharpest: float) -> PortraitScore:
        """Return the score beside other photos of the person; `sharpest` is the highest `detail` among them."""
        beside = _linear_ramp(self.detail / max(sharpest, 1e-6), RELATIVE_SOFT_RATIO, RELATIVE_SHARP_RATIO)
        return replace(self, sharpness=min(self.sharpness, beside))

    @property
    def total(self) -> float:
        """The total, 0 to 1: mostly the weakest criterion, with some of the mean to tell good photos apart."""
        values = (self.eyes, self.sharpness, self.pose, self.light, self.size)
        return (0.6 * min(values) + 0.4 * float(np.mean(values))) if self.has_face else 0.0

    @property
    def summary(self) -> str:
        """The faults as part of a sentence, worst first, or what is good."""
        if not self.has_face:
            return "no face was found"
        faults = sorted((getattr(self, name), words) for name, words in _FAULT_WORDS if getattr(self, name) < 0.6)
        if faults:
            return ", ".join(words for _, words in faults)
        return "eyes open, sharp, facing the camera, evenly lit"


def rank_portraits(photos: Sequence[tuple[Image, Sequence[Face]]]) -> tuple[PortraitScore, ...]:
    """Rank photos, best first, in their order if equal. Each photo (H x W x 3) comes with its faces, largest first."""
    scores = [
        score_portrait(n, image, faces[0]) if faces else PortraitScore(n, has_face=False)
        for n, (image, faces) in enumerate(photos, 1)
    ]
    sharpest = max((score.detail for score in scores), default=0.0)
    scores = [score.compare_sharpness(sharpest) if score.has_face else score for score in scores]
    return tuple(sorted(scores, key=lambda score: (-score.total, score.number)))


def score_portrait(number: int, image: Image, face: Face) -> PortraitScore:
    """Score one photo by itself."""
    small = _align_face(image, face)
    detail = measure_sharpness(small)
    return PortraitScore(
        number,
        eyes=_linear_ramp(eye_openness(face), EYE_SHUT_RATIO, EYE_OPEN_RATIO),
        sharpness=_linear_ramp(detail, SOFT_DETAIL, SHARP_DETAIL),
        pose=min(
            1 - _linear_ramp(head_turn_ratio(face), *TURN_RATIO_RANGE),
            1 - _linear_ramp(abs(face.roll), *ROLL_DEGREES_RANGE),
        ),
        light=_light_quality(small),
        size=_linear_ramp(face.eye_distance, SMALL_FACE_PX, LARGE_FACE_PX),
        detail=detail,
    )


def ranking_notices(scores: Sequence[PortraitScore]) -> tuple[str, ...]:
    """Return notices: the chosen photo and why, then the others in order."""
    if len(scores) < 2:
        return ()
    best, rest = scores[0], scores[1:]
    others = "; ".join(f"photo {score.number} ({round(100 * score.total)}): {score.summary}" for score in rest)
    return (f"Taken: photo {best.number} ({round(100 * best.total)} of 100): {best.summary}.", f"Then {others}.")


def eye_openness(face: Face) -> float:
    """Return the smaller eye aspect ratio (gap between lids over width): about 0.3 open, under 0.15 shut."""
    points = face.landmarks
    gaps = []
    for *lids, (inner, outer) in _EYELID_POINTS:
        height = np.mean([np.hypot(*(points[up_vector] - points[down])) for up_vector, down in lids])
        gaps.append(float(height / max(np.hypot(*(points[inner] - points[outer])), 1e-6)))
    return min(gaps)


def head_turn_ratio(face: Face) -> float:
    """Return how far the nose is from the middle between the cheeks, over the face width. 0 means frontal."""
    left, right, nose = (face.landmarks[n] for n in (_LEFT_CHEEK_POINT, _RIGHT_CHEEK_POINT, _NOSE_POINT))
    cheek_vector = right - left
    return float(abs((nose - left) @ cheek_vector / max(float(cheek_vector @ cheek_vector), 1e-6) - 0.5))


def measure_sharpness(small: Image) -> float:
    """Return an aligned face's detail: deviation of the Laplacian over mean brightness, in 8-bit steps at mid grey."""
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 0.7), cv2.CV_32F)
    return float(fine.std() * 128 / max(float(grey.mean()), 24.0))


def _light_quality(small: Image) -> float:
    """Score the light on an aligned face: not burnt out, not dark, and both halves within two stops."""
    light = to_linear(small) @ LUMINANCE_WEIGHTS
    left, right = (float(half.mean()) + 1e-4 for half in np.array_split(light, 2, axis=1))
    uneven = _linear_ramp(max(left, right) / min(left, right), 1.6, 4.0)
    burnt = _linear_ramp(float((small.min(axis=2) >= 252).mean()), 0.02, 0.25)
    # The brightest fifth of a face is lit skin, eyes or teeth. If even that is dark, there is too little light.
    dark = 1 - _linear_ramp(float(np.quantile(light, 0.8)), 0.015, 0.08)
    return 1 - max(uneven, burnt, dark)


def _align_face(image: Image, face: Face) -> Image:
    """Return the face upright and cropped, `FACE_HEIGHT_PX` from forehead to chin."""
    up_vector = face.landmarks[_FOREHEAD_POINT] - face.landmarks[_CHIN_POINT]
    face_height = max(float(np.hypot(*up_vector)), 1.0)
    middle = (face.landmarks[_FOREHEAD_POINT] + face.landmarks[_CHIN_POINT]) / 2
    matrix = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), face.roll, FACE_HEIGHT_PX / face_height)
    width, height = round(0.7 * FACE_HEIGHT_PX), round(0.9 * FACE_HEIGHT_PX)
    matrix[:, 2] += np.array([width / 2, height / 2]) - middle
    shrink = int(face_height / FACE_HEIGHT_PX)
    source = cv2.blur(image, (shrink, shrink)) if shrink >= 2 else image
    return np.asarray(cv2.warpAffine(source, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8)


def _linear_ramp(value: float, low: float, high: float) -> float:
    """Return 0 at `low` and below, 1 at `high` and above, linear between."""
    return float(np.clip((value - low) / (high - low), 0, 1))
