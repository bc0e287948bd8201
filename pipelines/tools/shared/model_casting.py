"""Who wears a garment and how they stand, both stated: a balanced cast and poses as maps; reads nobody from a photo.

A pose map is the coloured stick figure that control models were trained on (OpenPose, Cao et al. 2017, 18 points).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.geometry import Image, Size

Point = tuple[float, float]

_AGE_WORDS = ("in their late twenties", "in their sixties", "in their thirties", "in their forties")
_COMPLEXION_WORDS = ("deep", "light", "brown", "olive")
_BUILD_WORDS = ("an average build", "a slim build", "a full figure", "an athletic build")
GROUP_COUNT = 4  # within a group of so many every age, complexion and build comes once, and two women and two men


@dataclass(frozen=True)
class Person:
    """Somebody as words for a model; who is drawn is said on the result."""

    gender: str
    age: str
    complexion: str
    build: str

    @property
    def words(self) -> str:
        """ "a woman in her sixties with a light complexion and a slim build"."""
        age = self.age.replace("their", "her" if self.gender == "woman" else "his")
        return f"a {self.gender} {age} with a {self.complexion} complexion and {self.build}"


# Three groups; what goes together is shifted from group to group, so that no trait stands for another.
CAST: tuple[Person, ...] = tuple(
    Person(
        ("woman", "man")[(n + n // GROUP_COUNT) % 2],
        _AGE_WORDS[(n + n // GROUP_COUNT) % 4],
        _COMPLEXION_WORDS[n % 4],
        _BUILD_WORDS[(3 * n + n // GROUP_COUNT) % 4],
    )
    for n in range(3 * GROUP_COUNT)
)


def choose_cast(count: int, seed: int) -> tuple[Person, ...]:
    """`count` people (up to 12) from the start of one of the groups, which the seed says."""
    start = GROUP_COUNT * (seed % (len(CAST) // GROUP_COUNT))
    return tuple(CAST[(start + n) % len(CAST)] for n in range(count))


# ---------------------------------------------------------------- poses


@dataclass(frozen=True)
class Pose:
    """Words for a model that reads them, and the body for one that follows a map.

    Angles in degrees from straight down, outwards positive, of upper arm, forearm, thigh and shin; of the figure's
    right side (at the left of the picture), then its left. `turned` narrows the figure, `thigh` shortens the thighs of
    somebody who sits.
    """

    title: str
    words: str
    arms: tuple[tuple[float, float], tuple[float, float]]
    legs: tuple[tuple[float, float], tuple[float, float]] = ((3, 1), (3, 1))
    width_ratio: float = 1.0
    thigh_ratio: float = 1.0


POSES: dict[str, Pose] = {
    "standing": Pose("Standing", "standing upright, arms at the sides", ((10, 4), (10, 4))),
    "walking": Pose("Walking", "walking towards the camera", ((22, 2), (-6, -20)), ((10, -4), (-6, 14)), 0.85),
    "hand-on-hip": Pose("Hand on hip", "standing, one hand on the hip", ((42, -46), (9, 3)), ((7, 3), (2, 0))),
    "arms-crossed": Pose("Arms crossed", "standing, arms crossed", ((16, -98), (16, -104))),
    "turned": Pose("Turned", "turned half to the side, looking at the camera", ((6, -4), (8, 6)), width_ratio=0.55),
    "seated": Pose("Seated", "sitting on a plain stool", ((14, -30), (14, -30)), ((22, 2), (22, 2)), thigh_ratio=0.45),
}

_SHOULDER_X_RATIO, _HIP_X_RATIO = 0.115, 0.062  # of the height, from the middle
_NOSE_Y_RATIO, _NECK_Y_RATIO, _HIPS_Y_RATIO = 0.075, 0.165, 0.50
_UPPER_ARM_RATIO, _FOREARM_RATIO, _THIGH_RATIO, _SHIN_RATIO = 0.165, 0.150, 0.235, 0.225
_EYE_XY_RATIO, _EAR_XY_RATIO = (0.018, 0.060), (0.036, 0.068)
_LIMB_JOINTS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0),
    (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
_JOINT_COLOURS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0), (0, 255, 85),
    (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255),
    (255, 0, 170), (255, 0, 85),
)  # fmt: skip
_LIMB_BRIGHTNESS_RATIO = 0.6
_FIGURE_HEIGHT_RATIO = 0.88  # of the map's height, a figure that stands


def joint_positions(pose: Pose) -> tuple[Point, ...]:
    """The 18 points in heights of a standing figure: x from its middle, y from the crown down."""
    arms = [_limb_positions((side * _SHOULDER_X_RATIO, _NECK_Y_RATIO + 0.012), side, angles, (_UPPER_ARM_RATIO, _FOREARM_RATIO))
            for side, angles in zip((-1, 1), pose.arms, strict=True)]  # fmt: skip
    legs = [_limb_positions((side * _HIP_X_RATIO, _HIPS_Y_RATIO), side, angles, (_THIGH_RATIO * pose.thigh_ratio, _SHIN_RATIO))
            for side, angles in zip((-1, 1), pose.legs, strict=True)]  # fmt: skip
    head = (
        (-_EYE_XY_RATIO[0], _EYE_XY_RATIO[1]),
        (_EYE_XY_RATIO[0], _EYE_XY_RATIO[1]),
        (-_EAR_XY_RATIO[0], _EAR_XY_RATIO[1]),
        (_EAR_XY_RATIO[0], _EAR_XY_RATIO[1]),
    )
    points = ((0.0, _NOSE_Y_RATIO), (0.0, _NECK_Y_RATIO), *arms[0], *arms[1], *legs[0], *legs[1], *head)
    return tuple((x * pose.width_ratio, y) for x, y in points)


def _limb_positions(
    start: Point, side: int, angles: tuple[float, float], lengths: tuple[float, float]
) -> tuple[Point, ...]:
    points = [start]
    for angle, length in zip(angles, lengths, strict=True):
        x, y = points[-1]
        turn = math.radians(angle)
        points.append((x + side * length * math.sin(turn), y + length * math.cos(turn)))
    return tuple(points)


def draw_pose_map(pose: Pose, size: Size) -> Image:
    """The figure on black, H x W x 3, whole and in the middle of `size`."""
    width, height = size
    points = np.array(joint_positions(pose))
    low, high = points.min(axis=0), points.max(axis=0)
    scale = min(_FIGURE_HEIGHT_RATIO * height, 0.9 * width / max(float(high[0] - low[0]), 1e-6))
    # A figure that sits fills less of the height: it stands on the same floor.
    floor = 0.5 * height + 0.5 * _FIGURE_HEIGHT_RATIO * height
    there = points * scale + np.array([0.5 * width, floor - float(high[1]) * scale])
    canvas = np.zeros((height, width, 3), np.uint8)
    thick = max(1, round(0.008 * max(size)))
    for (start, end), colour in zip(_LIMB_JOINTS, _JOINT_COLOURS, strict=False):
        dimmed = tuple(int(_LIMB_BRIGHTNESS_RATIO * part) for part in colour)
        cv2.line(canvas, _to_pixel(there[start]), _to_pixel(there[end]), dimmed, 2 * thick, cv2.LINE_AA)
    for point, colour in zip(there, _JOINT_COLOURS, strict=True):
        cv2.circle(canvas, _to_pixel(point), thick, colour, -1, cv2.LINE_AA)
    return canvas


def _to_pixel(point: np.ndarray) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
