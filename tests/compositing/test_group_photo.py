"""Group photos: eyes on one line, nobody cut inside the picture, and obstacles where no group is possible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.compositing.group_photo import EYE_LINE_RATIO, MAX_HEAD_RATIO, composite_group, place_members, plan_group
from pipelines.compositing.team_matching import TeamMember
from pipelines.core.geometry import Face
from tests.support.examples import make_blob, make_cutout, make_noise


def _make_face(x: float, y: float, nose: float = 0.4) -> Face:
    """Eyes at (x, y), 90 between them; the nose's tip `nose` of the way to the chin."""
    points = np.full((468, 2), (x, y + 60), np.float32)
    points[234], points[454] = (x - 90, y), (x + 90, y)
    points[10], points[1] = (x, y - 100), (x, y + nose * 160)
    return Face(points, (x - 130, y - 170, x + 130, y + 180), (x - 45, y), (x + 45, y), (x, y + 160), 0.0, 1.0)


def _make_member(
    number: int, *, height: int = 1400, lean: float = 0.0, nose: float = 0.4, colour: int = 120
) -> TeamMember:
    """A head at (400, 290) over shoulders that end with the photo; `lean` lights one cheek more than the other."""
    alpha = np.maximum(make_blob(height, 800, (400, 290), (110, 150)), 0)
    alpha[430:, 150:650] = 1
    photo = make_noise(height, 800, colour)
    if lean:
        slope = np.linspace(1 - lean, 1 + lean, 800)[None, :, None]
        photo = np.clip(photo * slope, 0, 255).astype(np.uint8)
    return TeamMember(
        number, f"file-{number}", photo, make_cutout(photo, alpha), _add_cheeks(_make_face(400, 280, nose))
    )


def _add_cheeks(face: Face) -> Face:
    points = face.landmarks.copy()
    points[[50, 101, 205]], points[[280, 330, 425]] = (340, 340), (460, 340)
    return replace(face, landmarks=points)


@pytest.mark.parametrize("count", [2, 3, 6])
def test_eyes_are_on_one_line_and_everybody_is_seen(count: int) -> None:
    members = [_make_member(n + 1) for n in range(count)]
    row, reasons = plan_group(members, 450)
    assert (row is not None, reasons) == (True, ())
    assert row is not None
    placed = place_members(row, members)
    lines = [
        each.frame.matrix @ np.array([*member.face.eye_midpoint, 1])
        for each, member in zip(placed, members, strict=True)
    ]
    assert max(y for _, y in lines) - min(y for _, y in lines) < 0.01 * row.size[1]
    assert lines[0][1] == pytest.approx(EYE_LINE_RATIO * row.size[1], rel=0.01)
    xs = [x for x, _ in lines]
    assert xs == sorted(xs)
    assert xs[0] > 0
    assert xs[-1] < row.size[0]


def test_a_photo_that_ends_early_makes_heads_larger_and_its_border_stays_outside() -> None:
    far, near = ([_make_member(1), _make_member(2, height=height)] for height in (1400, 1000))
    (one, _), (two, _) = plan_group(far, 900), plan_group(near, 900)
    assert one is not None
    assert two is not None
    assert two.head > one.head
    assert place_members(two, near)[1].alpha[-1].max() > 0.99


def test_a_photo_that_ends_under_the_chin_cannot_join_a_group() -> None:
    row, reasons = plan_group([_make_member(1), _make_member(2, height=520)], 900)
    assert row is None
    assert reasons == ("Photo 2 ends inside the picture that a group would need.",)
    assert MAX_HEAD_RATIO < 0.5


def test_light_from_two_sides_and_two_camera_heights_are_obstacles() -> None:
    _, light = plan_group([_make_member(1, lean=0.6), _make_member(2, lean=-0.6)], 900)
    assert "light comes from the left in photo 2 and from the right in photo 1" in light[0]
    _, heights = plan_group([_make_member(1, nose=0.33), _make_member(2, nose=0.47)], 900)
    assert "different heights" in heights[0]
    assert "1 and 2" in heights[0]


def test_one_is_no_group_and_seven_are_too_many() -> None:
    assert plan_group([_make_member(1)], 900)[0] is None
    assert plan_group([_make_member(1)] * 7, 900)[0] is None


def test_the_middle_person_stands_in_front_and_shades_the_others() -> None:
    members = [_make_member(1, colour=90), _make_member(2, colour=180), _make_member(3, colour=90)]
    row, _ = plan_group(members, 450)
    assert row is not None
    placed = place_members(row, members)
    image = composite_group(placed, np.full((row.size[1], row.size[0], 3), 30, np.uint8), seed=1)
    both = (placed[0].alpha > 0.99) & (placed[1].alpha > 0.99)
    assert both.any()
    assert image[both].mean() == pytest.approx(180, abs=5)
    beside = (placed[0].alpha > 0.99) & (placed[1].alpha < 0.01)
    close = beside & (np.roll(placed[1].alpha, -4, axis=1) > 0.5)
    assert image[close].mean() < image[beside].mean() - 3
