"""Who wears a garment and in which pose: a balanced cast in words, and poses as words and OpenPose maps.

Nobody is read from a photo. A pose map is the coloured stick figure that control models were trained on (OpenPose, Cao
et al. 2017, 18 points).
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
GROUP_SIZE = 4  # people in a group, in which each age, complexion and build comes once, with two women and two men


@dataclass(frozen=True)
class Person:
    """A person as words for a model; the result says who was asked for."""

    gender: str
    age: str
    complexion: str
    build: str

    @property
    def words(self) -> str:
        """The prompt, such as: a woman in her sixties with a light complexion and a slim build."""
        age = self.age.replace("their", "her" if self.gender == "woman" else "his")
        return f"a {self.gender} {age} with a {self.complexion} complexion and {self.build}"


# Three groups; traits are combined differently in each, so that no trait predicts another.
CAST: tuple[Person, ...] = tuple(
    Person(
        ("woman", "man")[(n + n // GROUP_SIZE) % 2],
        _AGE_WORDS[(n + n // GROUP_SIZE) % 4],
        _COMPLEXION_WORDS[n % 4],
        _BUILD_WORDS[(3 * n + n // GROUP_SIZE) % 4],
    )
    for n in range(3 * GROUP_SIZE)
)


def choose_cast(count: int, seed: int) -> tuple[Person, ...]:
    """Choose `count` people (up to 12) from the start of the group that the seed names."""
    start = GROUP_SIZE * (seed % (len(CAST) // GROUP_SIZE))
    return tuple(CAST[(start + n) % len(CAST)] for n in range(count))


@dataclass(frozen=True)
class Pose:
    """A pose as words for a model that reads them, and as joint angles for one that follows a map.

    `arms` and `legs` are the figure's right side (at the left of the picture), then its left: degrees from straight
    down, outwards positive, of upper arm and forearm, of thigh and shin. `width_ratio` narrows a figure that turns,
    `thigh_ratio` shortens the thighs of one that sits.
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

# Proportions of a standing figure, all in parts of its height: x from its middle, y from the crown down.
_SHOULDER_X_RATIO = 0.115
_HIP_X_RATIO = 0.062
_NOSE_Y_RATIO = 0.075
_NECK_Y_RATIO = 0.165
_HIPS_Y_RATIO = 0.50
_UPPER_ARM_RATIO = 0.165
_FOREARM_RATIO = 0.150
_THIGH_RATIO = 0.235
_SHIN_RATIO = 0.225
_EYE_X_RATIO, _EYE_Y_RATIO = 0.018, 0.060
_EAR_X_RATIO, _EAR_Y_RATIO = 0.036, 0.068
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
_FIGURE_HEIGHT_RATIO = 0.88  # of the map's height, for a figure that stands


def compute_joint_positions(pose: Pose) -> tuple[Point, ...]:
    """Compute the 18 points in heights of a standing figure: x from its middle, y from the crown down."""
    shoulder_y = _NECK_Y_RATIO + 0.012
    arm_lengths, leg_lengths = (_UPPER_ARM_RATIO, _FOREARM_RATIO), (_THIGH_RATIO * pose.thigh_ratio, _SHIN_RATIO)
    right_arm, left_arm = (
        _limb_positions((side * _SHOULDER_X_RATIO, shoulder_y), side, angles, arm_lengths)
        for side, angles in zip((-1, 1), pose.arms, strict=True)
    )
    right_leg, left_leg = (
        _limb_positions((side * _HIP_X_RATIO, _HIPS_Y_RATIO), side, angles, leg_lengths)
        for side, angles in zip((-1, 1), pose.legs, strict=True)
    )
    eyes = (-_EYE_X_RATIO, _EYE_Y_RATIO), (_EYE_X_RATIO, _EYE_Y_RATIO)
    ears = (-_EAR_X_RATIO, _EAR_Y_RATIO), (_EAR_X_RATIO, _EAR_Y_RATIO)
    trunk = (0.0, _NOSE_Y_RATIO), (0.0, _NECK_Y_RATIO)
    points = (*trunk, *right_arm, *left_arm, *right_leg, *left_leg, *eyes, *ears)
    return tuple((x * pose.width_ratio, y) for x, y in points)


def _limb_positions(
    start: Point, side: int, angles: tuple[float, float], lengths: tuple[float, float]
) -> tuple[Point, ...]:
    """Compute where a limb begins, bends and ends; `side` is -1 or 1."""
    points = [start]
    for angle, length in zip(angles, lengths, strict=True):
        x, y = points[-1]
        radians = math.radians(angle)
        points.append((x + side * length * math.sin(radians), y + length * math.cos(radians)))
    return tuple(points)


def draw_pose_map(pose: Pose, size: Size) -> Image:
    """Draw the whole figure on black in the middle of `size`, H x W x 3."""
    width, height = size
    points = np.array(compute_joint_positions(pose))
    low, high = points.min(axis=0), points.max(axis=0)
    scale = min(_FIGURE_HEIGHT_RATIO * height, 0.9 * width / max(float(high[0] - low[0]), 1e-6))
    # A figure that sits is less tall: its feet are on the same floor.
    floor = 0.5 * height + 0.5 * _FIGURE_HEIGHT_RATIO * height
    joints = points * scale + np.array([0.5 * width, floor - float(high[1]) * scale])
    canvas = np.zeros((height, width, 3), np.uint8)
    radius_px = max(1, round(0.008 * max(size)))
    for (start, end), colour in zip(_LIMB_JOINTS, _JOINT_COLOURS, strict=False):
        dimmed = tuple(int(_LIMB_BRIGHTNESS_RATIO * part) for part in colour)
        cv2.line(canvas, _to_pixel(joints[start]), _to_pixel(joints[end]), dimmed, 2 * radius_px, cv2.LINE_AA)
    for point, colour in zip(joints, _JOINT_COLOURS, strict=True):
        cv2.circle(canvas, _to_pixel(point), radius_px, colour, -1, cv2.LINE_AA)
    return canvas


def _to_pixel(point: np.ndarray) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
