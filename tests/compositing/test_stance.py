"""Where a subject stands: contact at each foot and along slanted lower edges, none under what hangs."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from pipelines.compositing.shadows import Shadow, compute_ground_light_share
from pipelines.core.geometry import Alpha
from pipelines.core.rendering import SceneGround

Box = tuple[float, float, float, float, float, float]  # left, right, front, back, bottom, top; one is half a picture
LEG_WIDTH = 0.06


def project(points: list[tuple[float, float, float]], yaw: float, pitch: float) -> npt.NDArray[np.float32]:
    """Return where a camera that looks down by `pitch` degrees sees points of a thing turned by `yaw` degrees."""
    x, y, z = np.array(points, np.float64).T
    turn, down = np.radians((yaw, pitch))
    x, y, z = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn), z - 0.4
    depth = 3.5 + y * np.cos(down) - z * np.sin(down)
    up = y * np.sin(down) + z * np.cos(down)
    return np.stack([200 + 770 * x / depth, 200 - 770 * up / depth], axis=1).astype(np.float32)


def draw_boxes(boxes: list[Box], yaw: float, pitch: float) -> Alpha:
    """Return the outline of boxes, 400 x 400."""
    alpha = np.zeros((400, 400), np.float32)
    for left, right, front, back, bottom, top in boxes:
        corners = [(x, y, z) for x in (left, right) for y in (front, back) for z in (bottom, top)]
        cv2.fillConvexPoly(alpha, cv2.convexHull(project(corners, yaw, pitch)).round().astype(np.int32), (1.0,))
    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), 0.7), np.float32)


def make_stool() -> list[Box]:
    """Return a seat and its four legs."""
    legs: list[Box] = [(x, x + LEG_WIDTH, y, y + LEG_WIDTH, 0, 0.8) for x in (-0.35, 0.29) for y in (-0.35, 0.29)]
    return [(-0.35, 0.35, -0.35, 0.35, 0.74, 0.8), *legs]


def find_end(box: Box, yaw: float, pitch: float) -> tuple[int, int]:
    """Return the column and the row of the lowest point of a box."""
    left, right, front, back, bottom, _ = box
    points = project([(x, y, bottom) for x in (left, right) for y in (front, back)], yaw, pitch)
    x, y = points[np.argmax(points[:, 1])].round().astype(int)
    return int(x), int(y)


def light_below(light: npt.NDArray[np.float32], x: int, y: int) -> float:
    """Return the least light right below a point of the outline."""
    return float(light[y + 1 : y + 5, x - 4 : x + 5].min())


@pytest.mark.parametrize(("yaw", "pitch"), [(20, 20), (30, 30), (40, 20), (60, 10), (70, 30)])
def test_a_stool_has_contact_at_its_four_feet_from_wherever_it_is_seen(yaw: int, pitch: int) -> None:
    stool = make_stool()
    light = compute_ground_light_share(draw_boxes(stool, yaw, pitch), Shadow(cast=0), "left")
    assert max(light_below(light, *find_end(leg, yaw, pitch)) for leg in stool[1:]) < 0.7


@pytest.mark.parametrize("raised", [0.12, 0.25])
def test_a_leg_that_ends_higher_than_the_other_three_say_hangs(raised: float) -> None:
    stool = make_stool()
    stool[4] = (*stool[4][:4], raised, 0.8)  # the one that is farthest away
    light = compute_ground_light_share(draw_boxes(stool, 35, 20), Shadow(cast=0), "left")
    assert light_below(light, *find_end(stool[4], 35, 20)) > 0.9


def test_what_stands_out_beside_two_wheels_is_no_leg() -> None:
    car = np.zeros((256, 256), np.float32)
    car[90:158, 40:220] = car[150:182, 60:85] = car[150:182, 180:205] = 1
    light = compute_ground_light_share(car, Shadow(cast=0), "left")
    assert light[183, 65:80].min() < 0.6
    assert light[159:164, 42:50].min() > 0.9, "the bumper"


def test_a_handle_has_no_contact() -> None:
    cup = np.zeros((256, 256), np.float32)
    cv2.fillPoly(cup, [np.array([(60, 80), (170, 80), (150, 200), (80, 200)])], (1.0,))
    cv2.ellipse(cup, (165, 130), (38, 36), 0, 0, 360, (1.0,), 9)
    light = compute_ground_light_share(cup, Shadow(cast=0), "left")
    assert light[202, 90:140].max() < 0.7
    assert light[172:180, 160:200].min() > 0.95


@pytest.mark.parametrize(("yaw", "pitch"), [(45, 20), (35, 30), (50, 40), (60, 30)])
def test_a_board_seen_from_its_corner_has_contact_along_both_lower_edges(yaw: int, pitch: int) -> None:
    board: Box = (-0.4, 0.4, -0.6, 0.6, 0, 0.15)
    light = compute_ground_light_share(draw_boxes([board], yaw, pitch), Shadow(cast=0), "left")
    left, corner, right = project([(-0.4, 0.6, 0), (-0.4, -0.6, 0), (0.4, -0.6, 0)], yaw, pitch)
    for end in (left, right):
        for share in (0.1, 0.5, 0.9):
            x, y = (corner + share * (end - corner)).round().astype(int)
            assert light[y + 1 : y + 4, x].min() < 0.75


def test_a_thing_that_stands_on_its_tip_has_contact_there_alone() -> None:
    kite = np.zeros((256, 256), np.float32)
    cv2.fillPoly(kite, [np.array([(128, 40), (198, 115), (128, 210), (58, 115)])], (1.0,))
    light = compute_ground_light_share(kite, Shadow(cast=0), "left")
    assert light[212, 128] < 0.7
    assert light[165:175, 90].min() > 0.95
    assert light[165:175, 166].min() > 0.95


def test_the_shadow_of_what_is_seen_from_its_corner_falls_from_between_its_feet() -> None:
    stool = make_stool()
    ground = SceneGround(key=(-0.8, 0.1, 0.5), diameter=4.0, ambient=(0.3, 0.3, 0.3), reflection=0.0, pitch=14.0)
    dark = 1 - compute_ground_light_share(draw_boxes(stool, 45, 20), Shadow(contact=0, ground=ground), "none")
    front, right = find_end(stool[1], 45, 20), find_end(stool[3], 45, 20)
    beside = min(right[0] + 40, 390)
    assert dark[right[1] - 12 : right[1] + 3, beside].max() > 0.4
    assert dark[front[1] - 3 : front[1] + 3, beside].max() < 0.1
    own = dark[front[1] - 6 : front[1] + 1, front[0] + 10 : front[0] + 30].max(axis=0)
    assert own.min() > 0.1, "the leg in front has its own, in one piece"
