"""Match portraits of several people as one set: one head height, one eye line, one exposure.

Nobody is brought towards anybody's skin tone: exposure is measured in the whites of the eyes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from pipelines.compositing.light_estimation import estimate_key_side
from pipelines.compositing.relighting import MAX_SKIN_LIGHTNESS_SHIFT
from pipelines.core.geometry import Cutout, Face, Frame, Image, Size
from pipelines.core.params import Subject
from pipelines.framing.framings import HEADROOM_RATIO, Framing
from pipelines.framing.head_framing import FRAMED_CLOSER_NOTICE, frame_head, measure_head
from pipelines.imaging.color import LUMINANCE_WEIGHTS, lightness_to_luminance, measure_lightness, to_linear

MAX_HEAD_FACTOR = 1.35  # over the head that was asked for: a photo that needs more is left out of the standard
HEAD_TOLERANCE_RATIO = 0.004  # of the head's height: frames that differ by less are one
MAX_ROUND_COUNT = 6  # rounds until head and eye line agree
MAX_NOSE_DIFFERENCE_RATIO = 0.06  # of the way from eyes to chin; more is another camera's height, or a nod
MAX_GROUP_COUNT = 6  # people
MIN_EYE_WHITE_PIXEL_COUNT = 12  # in the white of an eye
HIGHLIGHT_KNEE = 0.75  # of white: brighter linear light is compressed, so that nothing is clipped
_EYELID_LANDMARKS = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249),
)


@dataclass(frozen=True)
class TeamMember:
    """One person of the set; `number` is the photo's, from 1."""

    number: int
    file_id: str
    photo: Image
    cutout: Cutout
    face: Face

    @cached_property
    def head_heights(self) -> tuple[float, float]:
        """Pixels of the photo from chin to crown, and from eyes to crown."""
        return measure_head(self.cutout, self.face)


@dataclass(frozen=True)
class TeamStandard:
    """What everybody is framed to: `head` (chin to crown) and `eyes` (from the top) as shares of the height."""

    head: float
    eyes: float


def find_team_standard(members: Sequence[TeamMember], row: Framing, size: Size) -> TeamStandard:
    """Find the smallest head from `row.head` up at which everybody's photo fills the frame, in thousandths.

    Photos that would need a head `MAX_HEAD_FACTOR` times as large are left out. The eye line goes down where hair or a
    hat would otherwise leave the frame.
    """
    standard = TeamStandard(row.head, row.eyes)
    for _ in range(MAX_ROUND_COUNT):
        shares = [measure_head_share(each, _frame_to_standard(each, standard, row, size)) for each in members]
        included = [n for n, share in enumerate(shares) if share <= MAX_HEAD_FACTOR * row.head] or [
            int(np.argmin(shares))
        ]
        head = max(standard.head, *(shares[n] for n in included))
        height_ratio = max(above / head_height for head_height, above in (members[n].head_heights for n in included))
        eyes = max(row.eyes, HEADROOM_RATIO + head * height_ratio)
        if head <= standard.head * (1 + HEAD_TOLERANCE_RATIO) and eyes <= standard.eyes + 1e-3:
            break
        standard = TeamStandard(math.ceil(head * 1000) / 1000, math.ceil(eyes * 1000) / 1000)
    return standard


def frame_member(member: TeamMember, standard: TeamStandard, row: Framing, size: Size) -> Frame:
    """Frame a member by the standard; a photo that ends too soon is framed closer, and a notice names it."""
    frame = _frame_to_standard(member, standard, row, size)
    share = measure_head_share(member, frame)
    notices = [notice for notice in frame.notices if notice != FRAMED_CLOSER_NOTICE]
    if share > standard.head * (1 + 0.03):
        notices.append(
            f"cropped too closely to match: its head takes {100 * share:.0f} % of the height, "
            f"the others' {100 * standard.head:.0f} %."
        )
    named = {notice: f"Photo {member.number}: {notice}" for notice in notices}
    return replace(frame, notices=tuple(named.values()), doubts=tuple(named[doubt] for doubt in frame.doubts))


def _frame_to_standard(member: TeamMember, standard: TeamStandard, row: Framing, size: Size) -> Frame:
    """Frame a head with the standard's shares in place of the row's."""
    asked = replace(row, head=standard.head, eyes=standard.eyes)
    return frame_head(member.cutout, member.face, asked, size, Subject(photo=member.file_id))


def measure_head_share(member: TeamMember, frame: Frame) -> float:
    """Return the head from chin to crown as a share of the frame's height."""
    return member.head_heights[0] * frame.scale / frame.size[1]


def measure_eye_white(photo: Image, face: Face) -> float | None:
    """Return how light the whites of the eyes are (linear, 0 to 1), without reflections; None when too small."""
    light = to_linear(photo) @ LUMINANCE_WEIGHTS
    found = []
    for outline in _EYELID_LANDMARKS:
        between = np.zeros(photo.shape[:2], np.uint8)
        cv2.fillPoly(between, [face.landmarks[list(outline)].round().astype(np.int32)], 1)
        values = light[between > 0]
        if values.size >= 2 * MIN_EYE_WHITE_PIXEL_COUNT:
            low, high = np.quantile(values, (0.5, 0.9))
            found.append(float(values[(values >= low) & (values <= high)].mean()))
    return float(np.mean(found)) if found else None


def exposure_gain(target: float, own: float, skin: float) -> float:
    """Return the gain on linear light that brings `own` to `target`, while skin of L* `skin` moves by at most 4."""
    luminance = lightness_to_luminance(skin)
    low, high = (
        lightness_to_luminance(max(skin + step, 0.0)) / max(luminance, 1e-4)
        for step in (-MAX_SKIN_LIGHTNESS_SHIFT, MAX_SKIN_LIGHTNESS_SHIFT)
    )
    return float(np.clip(target / max(own, 1e-4), low, high))


def measure_skin_lightness(image: Image, face: Face) -> float:
    """Return the median L* of the face's oval."""
    oval = np.zeros(image.shape[:2], np.uint8)
    middle = face.landmarks.mean(axis=0)
    points = middle + 0.8 * (face.landmarks - middle)
    cv2.fillConvexPoly(oval, cv2.convexHull(points.astype(np.float32)).astype(np.int32), 1)
    inside = oval > 0
    return float(np.median(measure_lightness(image[inside]))) if inside.any() else 50.0


def light_side_notice(members: Sequence[TeamMember]) -> str:
    """Tell that the light comes from the left in one photo and from the right in another; empty when it does not."""
    sides = [(member.number, estimate_key_side(member.photo, member.face)) for member in members]
    left, right = ([number for number, side in sides if side == wanted] for wanted in ("left", "right"))
    if not (left and right):
        return ""
    return f"The light comes from the left in {_name_photos(left)} and from the right in {_name_photos(right)}."


def group_obstacles(members: Sequence[TeamMember]) -> tuple[str, ...]:
    """Tell why these people cannot stand in one picture, as sentences; empty when they can."""
    obstacles = [light_side_notice(members)]
    if not 2 <= len(members) <= MAX_GROUP_COUNT:
        obstacles.append(f"A group takes 2 to {MAX_GROUP_COUNT} people.")
    heights = [_nose_height(member.face) for member in members]
    if max(heights) - min(heights) > MAX_NOSE_DIFFERENCE_RATIO:
        numbers = sorted(members[n].number for n in (int(np.argmin(heights)), int(np.argmax(heights))))
        obstacles.append(f"The cameras stood at different heights: compare {_name_photos(numbers)}.")
    return tuple(obstacle for obstacle in obstacles if obstacle)


def _nose_height(face: Face) -> float:
    """Return where the nose's tip lies between eyes (0) and chin (1), once levelled: lower when seen from above."""
    down = np.array(face.chin) - np.array(face.eye_midpoint)
    return float((face.landmarks[1] - np.array(face.eye_midpoint)) @ down / max(float(down @ down), 1e-6))


def _name_photos(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"photo {numbers[0]}"
    return f"photos {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
