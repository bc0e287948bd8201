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
_LIDS = (((160, 144), (159, 145), (158, 153), (33, 133)), ((387, 373), (386, 374), (385, 380), (362, 263)))
_CHEEK_LEFT, _CHEEK_RIGHT, _NOSE, _FOREHEAD, _CHIN = 234, 454, 1, 10, 152
LOOK = 128  # pixels between forehead and chin at which sharpness and light are compared
OPEN, SHUT = 0.24, 0.13  # height of the lids' gap over its width
SHARP, SOFT = 6.0, 2.0  # deviation of the Laplacian at LOOK, in 8-bit steps of a face of middle grey
BEST, FAR = (
    0.8,
    0.35,
)  # of the sharpest photo's: one person's photos show one skin, so they can be told apart more finely
LARGE, SMALL = 60.0, 25.0  # pixels between the eyes
TURNED, LEANT = (0.10, 0.34), (3.0, 20.0)  # the nose's shift over the face's width; degrees
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True)
class Verdict:
    """How good a photo is, 0 to 1, by reason; `number` is the photo's, from 1. Without a face nothing is good."""

    number: int
    eyes: float = 0.0
    sharpness: float = 0.0
    pose: float = 0.0
    light: float = 0.0
    size: float = 0.0
    found: bool = True

    @property
    def score(self) -> float:
        """0 to 1: mostly the weakest reason, and a little the mean, so that two good photos still differ."""
        values = (self.eyes, self.sharpness, self.pose, self.light, self.size)
        return (0.6 * min(values) + 0.4 * float(np.mean(values))) if self.found else 0.0

    @property
    def words(self) -> str:
        """The reasons in one sentence's half: what is good, or what is against it, worst first."""
        if not self.found:
            return "no face was found"
        faults = sorted((getattr(self, name), said) for name, said in _FAULTS if getattr(self, name) < 0.6)
        if faults:
            return ", ".join(said for _, said in faults)
        return "eyes open, sharp, facing the camera, evenly lit"


_FAULTS = (
    ("eyes", "eyes nearly closed"),
    ("sharpness", "not sharp"),
    ("pose", "turned away or leaning"),
    ("light", "hard or poor light on the face"),
    ("size", "the face is small"),
)


def ranked(photos: Sequence[tuple[Image, Sequence[Face]]]) -> tuple[Verdict, ...]:
    """Verdicts, best first; of equal ones the earlier photo. Each photo comes with its faces, largest first."""
    fine = [sharpness(_levelled(image, faces[0])) if faces else 0.0 for image, faces in photos]
    sharpest = max(fine, default=0.0)
    verdicts = [
        verdict(n, image, faces[0], sharpest) if faces else Verdict(n, found=False)
        for n, (image, faces) in enumerate(photos, 1)
    ]
    return tuple(sorted(verdicts, key=lambda each: (-each.score, each.number)))


def verdict(number: int, image: Image, face: Face, sharpest: float = 0.0) -> Verdict:
    """What speaks for and against one photo; `sharpest` is the finest detail among the photos it is compared with."""
    small = _levelled(image, face)
    fine = sharpness(small)
    return Verdict(
        number,
        eyes=_rise(openness(face), SHUT, OPEN),
        sharpness=min(_rise(fine, SOFT, SHARP), _rise(fine / max(sharpest, fine, 1e-6), FAR, BEST)),
        pose=min(1 - _rise(turned(face), *TURNED), 1 - _rise(abs(face.roll), *LEANT)),
        light=_lit(small),
        size=_rise(face.eye_distance, SMALL, LARGE),
    )


def sentences(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """Which photo was taken and why, then the others in order, as notices."""
    if len(verdicts) < 2:
        return ()
    best, rest = verdicts[0], verdicts[1:]
    others = "; ".join(f"photo {each.number} ({round(100 * each.score)}): {each.words}" for each in rest)
    return (
        f"Taken: photo {best.number} ({round(100 * best.score)} of 100): {best.words}.",
        f"Then {others}.",
    )


# ---------------------------------------------------------------- measures


def openness(face: Face) -> float:
    """The less open eye's gap between the lids over its width: about 0.3 when open, under 0.15 when shut."""
    points = face.landmarks
    gaps = []
    for *lids, (inner, outer) in _LIDS:
        height = np.mean([np.hypot(*(points[up] - points[down])) for up, down in lids])
        gaps.append(float(height / max(np.hypot(*(points[inner] - points[outer])), 1e-6)))
    return min(gaps)


def turned(face: Face) -> float:
    """How far the nose is off the middle between the cheeks, as a share of the face's width: 0 from the front."""
    left, right, nose = (face.landmarks[n] for n in (_CHEEK_LEFT, _CHEEK_RIGHT, _NOSE))
    across = right - left
    return float(abs((nose - left) @ across / max(float(across @ across), 1e-6) - 0.5))


def sharpness(small: Image) -> float:
    """How much fine detail the face has, once all faces have one size: deviation of the Laplacian over the contrast.

    Divided by how much light there is, so that a dim photo is not called soft.
    """
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 0.7), cv2.CV_32F)
    return float(fine.std() * 128 / max(float(grey.mean()), 24.0))


def _lit(small: Image) -> float:
    """Light on a levelled face: neither burnt out nor dark, and both halves within two stops."""
    light = to_linear(small) @ _LUMA
    left, right = (float(half.mean()) + 1e-4 for half in np.array_split(light, 2, axis=1))
    uneven = _rise(max(left, right) / min(left, right), 1.6, 4.0)
    burnt = _rise(float((small.min(axis=2) >= 252).mean()), 0.02, 0.25)
    # The lighter fifth of a face is lit skin or the whites of eyes and teeth: dark there means too little light.
    dark = 1 - _rise(float(np.quantile(light, 0.8)), 0.015, 0.08)
    return 1 - max(uneven, burnt, dark)


def _levelled(image: Image, face: Face) -> Image:
    """The face upright, `LOOK` pixels from forehead to chin, nothing around it."""
    up = face.landmarks[_FOREHEAD] - face.landmarks[_CHIN]
    tall = max(float(np.hypot(*up)), 1.0)
    middle = (face.landmarks[_FOREHEAD] + face.landmarks[_CHIN]) / 2
    matrix = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), face.roll, LOOK / tall)
    width, height = round(0.7 * LOOK), round(0.9 * LOOK)
    matrix[:, 2] += np.array([width / 2, height / 2]) - middle
    shrink = int(tall / LOOK)
    source = cv2.blur(image, (shrink, shrink)) if shrink >= 2 else image
    return np.asarray(cv2.warpAffine(source, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8)


def _rise(value: float, low: float, high: float) -> float:
    """0 at `low` and below, 1 at `high` and above."""
    return float(np.clip((value - low) / (high - low), 0, 1))
