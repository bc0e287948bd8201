"""Say that a picture is soft: its photo is enlarged much, or was enlarged before and has no fine detail of its own."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Box, Float32Array, Frame, Image, PlacedSubject
from pipelines.framing.framings import MAX_ENLARGEMENT
from pipelines.framing.placement import enlargement_notices
from pipelines.framing.resample import resample

MUCH_ENLARGED_FACTOR = 3.0  # from which no picture looks sharp
FINE_DETAIL_RATIO = 0.5  # of an octave to the next coarser one: photos have 0.55 to 1.3, enlarged twice 0.2 to 0.47
MIN_MEASURED_PX = 48  # shorter side: less tells nothing
MIN_DETAIL_LEVELS = 0.4  # of the coarser octave: a plain wall has no detail at any size
_SEEN_ALPHA, _GONE_ALPHA = 0.6, 0.25
_THIN_LENGTH_RATIO = 0.02  # of the longer side, from which a part that is gone is missed
THIN_PART_NOTICE = (
    "A thin part, such as a chain or a cable, is lost at this size: look at it, and take a larger photo, or a smaller "
    "size."
)
SOFT_NOTICE = (
    "This picture is soft: your photo is enlarged {} times. A larger one, or one taken from nearer, would be sharper."
)
ENLARGED_BEFORE_NOTICE = (
    "This picture is soft: your photo has no fine detail of its own, as if it had been enlarged before. The original, "
    "or one taken from nearer, would be sharper."
)


def measure_own_enlargement(photo: Image, box: Box) -> int:
    """Return how many times the part of the photo in `box` (pixels) was enlarged before: 1, 2 or 4.

    An enlargement has little detail in the octaves that it made up, compared with the next coarser one.
    """
    height, width = photo.shape[:2]
    left, right = (int(np.clip(x, 0, width)) for x in (box[0], box[2]))
    top, bottom = (int(np.clip(y, 0, height)) for y in (box[1], box[3]))
    if min(right - left, bottom - top) < MIN_MEASURED_PX:
        return 1
    light = cv2.cvtColor(np.ascontiguousarray(photo[top:bottom, left:right]), cv2.COLOR_RGB2GRAY).astype(np.float32)
    octaves: list[float] = []
    for _ in range(3):
        detail, light = _split_octave(light)
        octaves.append(detail)
    if octaves[2] > MIN_DETAIL_LEVELS and octaves[1] < FINE_DETAIL_RATIO * octaves[2]:
        return 4
    return 2 if octaves[1] > MIN_DETAIL_LEVELS and octaves[0] < FINE_DETAIL_RATIO * octaves[1] else 1


def _split_octave(light: Float32Array) -> tuple[float, Float32Array]:
    """Return the deviation of the finest detail of `light` (H x W), and the half of its size without it."""
    height, width = light.shape
    half = cv2.resize(light, (max(2, width // 2), max(2, height // 2)), interpolation=cv2.INTER_AREA)
    fine = light - cv2.resize(half, (width, height), interpolation=cv2.INTER_CUBIC)
    return float(fine[2:-2, 2:-2].std()), np.asarray(half, np.float32)


def thin_part_notices(alpha: Alpha, placed: PlacedSubject) -> tuple[str, ...]:
    """Tell that a thin part of the cut-out `alpha` (H x W) is gone where the picture softens its enlarged edges."""
    if placed.frame.scale <= 1:
        return ()
    lost = (resample(alpha, placed.frame) > _SEEN_ALPHA) & (placed.alpha < _GONE_ALPHA)
    _, _, stats, _ = cv2.connectedComponentsWithStats(lost.astype(np.uint8))
    lengths = stats[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1, initial=0)
    longest = int(lengths.max(initial=0))
    return (THIN_PART_NOTICE,) if longest > _THIN_LENGTH_RATIO * max(placed.frame.size) else ()


def tell_softness(frame: Frame, photo: Image, box: Box) -> Frame:
    """Return the frame with the sentence that the picture is soft, where it is; `box` is what is looked at, in pixels.

    Where nothing is enlarged, the photo is not looked at.
    """
    if frame.scale <= MAX_ENLARGEMENT / 4:
        return frame
    own = measure_own_enlargement(photo, box)
    plain = enlargement_notices(frame.scale, max(frame.size))
    if own > 1 and own * frame.scale > MAX_ENLARGEMENT:
        notice = ENLARGED_BEFORE_NOTICE
    elif frame.scale > MUCH_ENLARGED_FACTOR:
        notice = SOFT_NOTICE.format(f"{frame.scale:.1f}")
    else:
        return replace(frame, own_enlargement=own)
    notices = tuple(each for each in frame.notices if each not in plain)
    return replace(frame, own_enlargement=own, notices=(*notices, notice), doubts=(*frame.doubts, notice))
