"""People from several photos side by side in one picture; whether they may stand there is asked in `team`."""

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

EYE_LINE_RATIO = 0.30  # from the top
MIN_HEAD_RATIO, MAX_HEAD_RATIO = 0.25, 0.44  # chin to crown, of the picture's height
FACE_SPACING_HEADS = 1.45  # heads from one face to the next: shoulders overlap by a quarter
EDGE_SPACE_HEADS = 1.35  # heads from the outer faces to the picture's edge
HEAD_STEP_FACTOR = 1.04  # from one try to the next
NEIGHBOUR_SHADE_RATIO = 0.30  # how much of the light who stands in front keeps from who stands behind


@dataclass(frozen=True)
class GroupLayout:
    """Where everybody stands: the picture's size, the head's share of its height, the faces' x in pixels."""

    size: Size
    head: float
    faces: tuple[float, ...]


def plan_group(members: Sequence[TeamMember], width: int) -> tuple[GroupLayout | None, tuple[str, ...]]:
    """How the members stand in a picture `width` pixels across, from left to right; or None and the reasons why not.

    The heads are as small as lets everybody's photo end outside the picture.
    """
    reasons = group_obstacles(members)
    if reasons:
        return None, reasons
    head, ends = MIN_HEAD_RATIO, members[:1]
    while head <= MAX_HEAD_RATIO and ends:
        row = _lay_out_row(members, head, width)
        shares = [
            measure_head_share(member, frame)
            for member, frame in zip(members, _frame_members(row, members), strict=True)
        ]
        ends = [member for member, share in zip(members, shares, strict=True) if share > 1.01 * head]
        if not ends:
            return row, ()
        head *= HEAD_STEP_FACTOR
    return None, tuple(f"Photo {member.number} ends inside the picture that a group would need." for member in ends)


def _lay_out_row(members: Sequence[TeamMember], head: float, width: int) -> GroupLayout:
    left, right = _space_beside(members[0], "left"), _space_beside(members[-1], "right")
    heads = left + FACE_SPACING_HEADS * (len(members) - 1) + right
    height = round(width / (heads * head) / 2) * 2
    return GroupLayout(
        (width, height), head, tuple((left + FACE_SPACING_HEADS * n) * head * height for n in range(len(members)))
    )


def _space_beside(member: TeamMember, side: str) -> float:
    """Heads from an outer face to the picture's edge: as far as the photo goes, where it cuts that shoulder."""
    if side not in find_cut_sides(member.cutout.alpha):
        return EDGE_SPACE_HEADS
    tall, _ = member.head_heights
    x = member.face.eye_midpoint[0]
    return min(EDGE_SPACE_HEADS, (x if side == "left" else member.photo.shape[1] - x) / tall * 0.99)


def place_members(row: GroupLayout, members: Sequence[TeamMember]) -> list[PlacedSubject]:
    """Everybody at their place, eyes on one line, heads of one height."""
    frames = _frame_members(row, members)
    return [place_subject(member.photo, member.cutout, frame) for member, frame in zip(members, frames, strict=True)]


def _frame_members(row: GroupLayout, members: Sequence[TeamMember]) -> list[Frame]:
    framing = Framing("wide", (3, 2), row.head, EYE_LINE_RATIO)
    frames = []
    for member, x in zip(members, row.faces, strict=True):
        where = Subject(photo=member.file_id, placement_x=float(np.clip(x / row.size[0] - 0.5, -0.5, 0.5)))
        frames.append(frame_head(member.cutout, member.face, framing, row.size, where))
    return frames


def composite_group(placed: Sequence[PlacedSubject], plate: Image, *, seed: int) -> Image:
    """The outer ones first, so that the middle stands in front; each keeps a little light from who is behind."""
    middle = (len(placed) - 1) / 2
    image, stood = plate, np.zeros(plate.shape[:2], np.float32)
    for n in sorted(range(len(placed)), key=lambda n: (-abs(n - middle), n)):
        image = composite_subject(placed[n], _shade_people_behind(image, placed[n].alpha, stood), seed=seed)
        stood = np.maximum(stood, placed[n].alpha)
    return image


def _shade_people_behind(image: Image, alpha: Alpha, stood: Alpha) -> Image:
    """Darker close to the newcomer's outline, on people only: the scene is far behind."""
    if not stood.any():
        return image
    near = cv2.GaussianBlur(alpha, (0, 0), max(1.0, 0.025 * alpha.shape[0]))
    light = to_linear(image) * (1 - np.float32(NEIGHBOUR_SHADE_RATIO) * near * stood)[..., None]
    return np.clip(to_srgb(light) + 0.5, 0, 255).astype(np.uint8)
