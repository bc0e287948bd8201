"""Composite people from several photos side by side into one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.compositing.compose import composite_subject
from pipelines.compositing.team_matching import TeamMember, group_obstacles, measure_head_share
from pipelines.core.geometry import Alpha, Frame, Image, PlacedSubject, Size
from pipelines.core.params import Subject
from pipelines.framing.framings import Framing
from pipelines.framing.head_framing import frame_head
from pipelines.framing.placement import find_cut_sides
from pipelines.framing.resample import place_subject
from pipelines.imaging.color import to_linear, to_srgb

EYE_LINE_RATIO = 0.30  # of the height, from the top
MIN_HEAD_RATIO = 0.25  # of the height, from chin to crown
MAX_HEAD_RATIO = 0.44  # of the height: a photo that would need a larger head cannot join
FACE_SPACING_HEADS = 1.45  # heads from one face to the next: shoulders overlap by a quarter
EDGE_SPACE_HEADS = 1.35  # heads from the outer faces to the picture's edge
HEAD_STEP_FACTOR = 1.04  # from one tried head size to the next
NEIGHBOUR_SHADE_RATIO = 0.30  # of the light that a person in front takes from a person behind


@dataclass(frozen=True)
class GroupLayout:
    """The picture's size, the head's share of its height, and x of each face in pixels."""

    size: Size
    head: float
    faces: tuple[float, ...]


def plan_group(members: Sequence[TeamMember], width: int) -> tuple[GroupLayout | None, tuple[str, ...]]:
    """Plan how the members stand in a picture `width` pixels across, from left to right; or None and the obstacles.

    The heads are as small as possible while everybody's photo ends outside the picture.
    """
    obstacles = group_obstacles(members)
    if obstacles:
        return None, obstacles
    head, cut_members = MIN_HEAD_RATIO, members[:1]
    while head <= MAX_HEAD_RATIO and cut_members:
        layout = _lay_out_row(members, head, width)
        frames = _frame_members(layout, members)
        shares = [measure_head_share(member, frame) for member, frame in zip(members, frames, strict=True)]
        cut_members = [member for member, share in zip(members, shares, strict=True) if share > 1.01 * head]
        if not cut_members:
            return layout, ()
        head *= HEAD_STEP_FACTOR
    return None, tuple(
        f"Photo {member.number} ends inside the picture that a group would need." for member in cut_members
    )


def _lay_out_row(members: Sequence[TeamMember], head: float, width: int) -> GroupLayout:
    """Lay out heads of one size in a row, with the spacing and the outer spaces in heads."""
    left, right = _space_beside(members[0], "left"), _space_beside(members[-1], "right")
    heads = left + FACE_SPACING_HEADS * (len(members) - 1) + right
    height = round(width / (heads * head) / 2) * 2
    faces = tuple((left + FACE_SPACING_HEADS * n) * head * height for n in range(len(members)))
    return GroupLayout((width, height), head, faces)


def _space_beside(member: TeamMember, side: str) -> float:
    """Return heads from an outer face to the picture's edge: as far as the photo goes, where it cuts that shoulder."""
    if side not in find_cut_sides(member.cutout.alpha):
        return EDGE_SPACE_HEADS
    head_height, _ = member.head_heights
    x = member.face.eye_midpoint[0]
    return min(EDGE_SPACE_HEADS, (x if side == "left" else member.photo.shape[1] - x) / head_height * 0.99)


def place_members(layout: GroupLayout, members: Sequence[TeamMember]) -> list[PlacedSubject]:
    """Place everybody with eyes on one line and heads of one height."""
    frames = _frame_members(layout, members)
    return [place_subject(member.photo, member.cutout, frame) for member, frame in zip(members, frames, strict=True)]


def _frame_members(layout: GroupLayout, members: Sequence[TeamMember]) -> list[Frame]:
    """Frame everybody's head at their place in the row."""
    framing = Framing("wide", (3, 2), layout.head, EYE_LINE_RATIO)
    frames = []
    for member, x in zip(members, layout.faces, strict=True):
        placement = Subject(photo=member.file_id, placement_x=float(np.clip(x / layout.size[0] - 0.5, -0.5, 0.5)))
        frames.append(frame_head(member.cutout, member.face, framing, layout.size, placement))
    return frames


def composite_group(placed: Sequence[PlacedSubject], plate: Image, *, seed: int) -> Image:
    """Composite the outer people first, so that the middle stands in front; each shades the people behind a little."""
    middle = (len(placed) - 1) / 2
    image, people = plate, np.zeros(plate.shape[:2], np.float32)
    for n in sorted(range(len(placed)), key=lambda n: (-abs(n - middle), n)):
        image = composite_subject(placed[n], _shade_people_behind(image, placed[n].alpha, people), seed=seed)
        people = np.maximum(people, placed[n].alpha)
    return image


def _shade_people_behind(image: Image, alpha: Alpha, people: Alpha) -> Image:
    """Darken people near the newcomer's outline; the scene is too far behind."""
    if not people.any():
        return image
    nearness = cv2.GaussianBlur(alpha, (0, 0), max(1.0, 0.025 * alpha.shape[0]))
    light = to_linear(image) * (1 - np.float32(NEIGHBOUR_SHADE_RATIO) * nearness * people)[..., None]
    return np.clip(to_srgb(light) + 0.5, 0, 255).astype(np.uint8)
