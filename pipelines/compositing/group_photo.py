"""People from several photos side by side in one picture; whether they may stand there is asked in `team`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.compositing.compose import compose
from pipelines.compositing.team_matching import Member, apart, head_share
from pipelines.core.geometry import Alpha, Frame, Image, PlacedSubject, Size
from pipelines.core.params import Subject
from pipelines.framing.framings import Framing
from pipelines.framing.head_framing import head_frame
from pipelines.framing.placement import sides_cut
from pipelines.framing.resample import place
from pipelines.imaging.color import to_linear, to_srgb

EYES = 0.30  # from the top
HEAD, LARGEST = 0.25, 0.44  # chin to crown, of the picture's height
BESIDE = 1.45  # heads from one face to the next: shoulders overlap by a quarter
OUTSIDE = 1.35  # heads from the outer faces to the picture's edge
CLOSER = 1.04  # from one try to the next
SHADOW = 0.30  # how much of the light who stands in front keeps from who stands behind


@dataclass(frozen=True)
class Row:
    """Where everybody stands: the picture's size, the head's share of its height, the faces' x in pixels."""

    size: Size
    head: float
    faces: tuple[float, ...]


def row_of(members: Sequence[Member], width: int) -> tuple[Row | None, tuple[str, ...]]:
    """How the members stand in a picture `width` pixels across, from left to right; or None and the reasons why not.

    The heads are as small as lets everybody's photo end outside the picture.
    """
    reasons = apart(members)
    if reasons:
        return None, reasons
    head, ends = HEAD, members[:1]
    while head <= LARGEST and ends:
        row = _row(members, head, width)
        shares = [head_share(member, frame) for member, frame in zip(members, _frames(row, members), strict=True)]
        ends = [member for member, share in zip(members, shares, strict=True) if share > 1.01 * head]
        if not ends:
            return row, ()
        head *= CLOSER
    return None, tuple(f"Photo {member.number} ends inside the picture that a group would need." for member in ends)


def _row(members: Sequence[Member], head: float, width: int) -> Row:
    left, right = _reach(members[0], "left"), _reach(members[-1], "right")
    heads = left + BESIDE * (len(members) - 1) + right
    height = round(width / (heads * head) / 2) * 2
    return Row((width, height), head, tuple((left + BESIDE * n) * head * height for n in range(len(members))))


def _reach(member: Member, side: str) -> float:
    """Heads from an outer face to the picture's edge: as far as the photo goes, where it cuts that shoulder."""
    if side not in sides_cut(member.cutout.alpha):
        return OUTSIDE
    tall, _ = member.head
    x = member.face.eyes[0]
    return min(OUTSIDE, (x if side == "left" else member.photo.shape[1] - x) / tall * 0.99)


def placed_in(row: Row, members: Sequence[Member]) -> list[PlacedSubject]:
    """Everybody at their place, eyes on one line, heads of one height."""
    frames = _frames(row, members)
    return [place(member.photo, member.cutout, frame) for member, frame in zip(members, frames, strict=True)]


def _frames(row: Row, members: Sequence[Member]) -> list[Frame]:
    framing = Framing("wide", (3, 2), row.head, EYES)
    frames = []
    for member, x in zip(members, row.faces, strict=True):
        where = Subject(photo=member.file_id, placement_x=float(np.clip(x / row.size[0] - 0.5, -0.5, 0.5)))
        frames.append(head_frame(member.cutout, member.face, framing, row.size, where))
    return frames


def together(placed: Sequence[PlacedSubject], plate: Image, *, seed: int) -> Image:
    """The outer ones first, so that the middle stands in front; each keeps a little light from who is behind."""
    middle = (len(placed) - 1) / 2
    image, stood = plate, np.zeros(plate.shape[:2], np.float32)
    for n in sorted(range(len(placed)), key=lambda n: (-abs(n - middle), n)):
        image = compose(placed[n], _shaded(image, placed[n].alpha, stood), seed=seed)
        stood = np.maximum(stood, placed[n].alpha)
    return image


def _shaded(image: Image, alpha: Alpha, stood: Alpha) -> Image:
    """Darker close to the newcomer's outline, on people only: the scene is far behind."""
    if not stood.any():
        return image
    near = cv2.GaussianBlur(alpha, (0, 0), max(1.0, 0.025 * alpha.shape[0]))
    light = to_linear(image) * (1 - np.float32(SHADOW) * near * stood)[..., None]
    return np.clip(to_srgb(light) + 0.5, 0, 255).astype(np.uint8)
