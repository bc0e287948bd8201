"""Which of several photos makes the best portrait, and why: eyes, sharpness, pose, light, size; recognises nobody.

Each reason is a number of 0 to 1 measured on the face; a photo is as good as its worst ones allow, since one closed eye
is not made up for by good light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.geometry import Face, Image
from pipelines.imaging.color import to_linear

# Lids of the mesh: upper and lower, and the corners, per eye.
_EYELID_POINTS = (((160, 144), (159, 145), (158, 153), (33, 133)), ((387, 373), (386, 374), (385, 380), (362, 263)))
_LEFT_CHEEK_POINT, _RIGHT_CHEEK_POINT, _NOSE_POINT, _FOREHEAD_POINT, _CHIN_POINT = 234, 454, 1, 10, 152
FACE_HEIGHT_PX = 128  # pixels between forehead and chin at which sharpness and light are compared
EYE_OPEN_RATIO, EYE_SHUT_RATIO = 0.24, 0.13  # height of the lids' gap over its width
SHARP_DETAIL, SOFT_DETAIL = 6.0, 2.0  # deviation of the Laplacian at LOOK, in 8-bit steps of a face of middle grey
RELATIVE_SHARP_RATIO, RELATIVE_SOFT_RATIO = (
    0.8,
    0.35,
)  # of the sharpest photo's: one person's photos show one skin, so they can be told apart more finely
LARGE_FACE_PX, SMALL_FACE_PX = 60.0, 25.0  # pixels between the eyes
TURN_RATIO_RANGE, ROLL_DEGREES_RANGE = (0.10, 0.34), (3.0, 20.0)  # the nose's shift over the face's width; degrees
_LUMA_WEIGHTS = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True)
class PortraitScore:
    """How good a photo is, 0 to 1, by reason; `number` is the photo's, from 1. Without a face nothing is good."""

    number: int
    eyes: float = 0.0
    sharpness: float = 0.0
    pose: float = 0.0
    light: float = 0.0
    size: float = 0.0
    has_face: bool = True

    @property
    def total(self) -> float:
        """0 to 1: mostly the weakest reason, and a little the mean, so that two good photos still differ."""
        values = (self.eyes, self.sharpness, self.pose, self.light, self.size)
        return (0.6 * min(values) + 0.4 * float(np.mean(values))) if self.has_face else 0.0

    @property
    def summary(self) -> str:
        """The reasons in one sentence's half: what is good, or what is against it, worst first."""
        if not self.has_face:
            return "no face was found"
        faults = sorted((getattr(self, name), said) for name, said in _FAULT_WORDS if getattr(self, name) < 0.6)
        if faults:
            return ", ".join(said for _, said in faults)
        return "eyes open, sharp, facing the camera, evenly lit"


_FAULT_WORDS = (
    ("eyes", "eyes nearly closed"),
    ("sharpness", "not sharp"),
    ("pose", "turned away or leaning"),
    ("light", "hard or poor light on the face"),
    ("size", "the face is small"),
)


def rank_portraits(photos: Sequence[tuple[Image, Sequence[Face]]]) -> tuple[PortraitScore, ...]:
    """Verdicts, best first; of equal ones the earlier photo. Each photo comes with its faces, largest first."""
    fine = [measure_sharpness(_align_face(image, faces[0])) if faces else 0.0 for image, faces in photos]
    sharpest = max(fine, default=0.0)
    verdicts = [
        score_portrait(n, image, faces[0], sharpest) if faces else PortraitScore(n, has_face=False)
        for n, (image, faces) in enumerate(photos, 1)
    ]
    return tuple(sorted(verdicts, key=lambda each: (-each.total, each.number)))


def score_portrait(number: int, image: Image, face: Face, sharpest: float = 0.0) -> PortraitScore:
    """What speaks for and against one photo; `sharpest` is the finest detail among the photos it is compared with."""
    small = _align_face(image, face)
    fine = measure_sharpness(small)
    return PortraitScore(
        number,
        eyes=_linear_ramp(eye_openness(face), EYE_SHUT_RATIO, EYE_OPEN_RATIO),
        sharpness=min(
            _linear_ramp(fine, SOFT_DETAIL, SHARP_DETAIL),
            _linear_ramp(fine / max(sharpest, fine, 1e-6), RELATIVE_SOFT_RATIO, RELATIVE_SHARP_RATIO),
        ),
        pose=min(
            1 - _linear_ramp(head_turn_ratio(face), *TURN_RATIO_RANGE),
            1 - _linear_ramp(abs(face.roll), *ROLL_DEGREES_RANGE),
        ),
        light=_light_quality(small),
        size=_linear_ramp(face.eye_distance, SMALL_FACE_PX, LARGE_FACE_PX),
    )


def ranking_notices(verdicts: Sequence[PortraitScore]) -> tuple[str, ...]:
    """Which photo was taken and why, then the others in order, as notices."""
    if len(verdicts) < 2:
        return ()
    best, rest = verdicts[0], verdicts[1:]
    others = "; ".join(f"photo {each.number} ({round(100 * each.total)}): {each.summary}" for each in rest)
    return (
        f"Taken: photo {best.number} ({round(100 * best.total)} of 100): {best.summary}.",
        f"Then {others}.",
    )


# ---------------------------------------------------------------- measures


def eye_openness(face: Face) -> float:
    """The less open eye's gap between the lids over its width: about 0.3 when open, under 0.15 when shut."""
    points = face.landmarks
    gaps = []
    for *lids, (inner, outer) in _EYELID_POINTS:
        height = np.mean([np.hypot(*(points[up] - points[down])) for up, down in lids])
        gaps.append(float(height / max(np.hypot(*(points[inner] - points[outer])), 1e-6)))
    return min(gaps)


def head_turn_ratio(face: Face) -> float:
    """How far the nose is off the middle between the cheeks, as a share of the face's width: 0 from the front."""
    left, right, nose = (face.landmarks[n] for n in (_LEFT_CHEEK_POINT, _RIGHT_CHEEK_POINT, _NOSE_POINT))
    across = right - left
    return float(abs((nose - left) @ across / max(float(across @ across), 1e-6) - 0.5))


def measure_sharpness(small: Image) -> float:
    """How much fine detail the face has, once all faces have one size: deviation of the Laplacian over the contrast.

    Divided by how much light there is, so that a dim photo is not called soft.
    """
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 0.7), cv2.CV_32F)
    return float(fine.std() * 128 / max(float(grey.mean()), 24.0))


def _light_quality(small: Image) -> float:
    """Light on a levelled face: neither burnt out nor dark, and both halves within two stops."""
    light = to_linear(small) @ _LUMA_WEIGHTS
    left, right = (float(half.mean()) + 1e-4 for half in np.array_split(light, 2, axis=1))
    uneven = _linear_ramp(max(left, right) / min(left, right), 1.6, 4.0)
    burnt = _linear_ramp(float((small.min(axis=2) >= 252).mean()), 0.02, 0.25)
    # The lighter fifth of a face is lit skin or the whites of eyes and teeth: dark there means too little light.
    dark = 1 - _linear_ramp(float(np.quantile(light, 0.8)), 0.015, 0.08)
    return 1 - max(uneven, burnt, dark)


def _align_face(image: Image, face: Face) -> Image:
    """The face upright, `LOOK` pixels from forehead to chin, nothing around it."""
    up = face.landmarks[_FOREHEAD_POINT] - face.landmarks[_CHIN_POINT]
    tall = max(float(np.hypot(*up)), 1.0)
    middle = (face.landmarks[_FOREHEAD_POINT] + face.landmarks[_CHIN_POINT]) / 2
    matrix = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), face.roll, FACE_HEIGHT_PX / tall)
    width, height = round(0.7 * FACE_HEIGHT_PX), round(0.9 * FACE_HEIGHT_PX)
    matrix[:, 2] += np.array([width / 2, height / 2]) - middle
    shrink = int(tall / FACE_HEIGHT_PX)
    source = cv2.blur(image, (shrink, shrink)) if shrink >= 2 else image
    return np.asarray(cv2.warpAffine(source, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8)


def _linear_ramp(value: float, low: float, high: float) -> float:
    """0 at `low` and below, 1 at `high` and above."""
    return float(np.clip((value - low) / (high - low), 0, 1))
