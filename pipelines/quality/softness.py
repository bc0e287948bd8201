"""Say that a picture is soft: its photo is enlarged much, is blurred, or was enlarged before."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Box, Frame, Image, PlacedSubject
from pipelines.framing.framings import MAX_ENLARGEMENT
from pipelines.framing.placement import enlargement_notices
from pipelines.framing.resample import resample

MUCH_ENLARGED_FACTOR = 3.0  # from which no picture looks sharp
FINE_DETAIL_RATIO = 0.5  # of an octave to the next coarser one: photos have 0.55 to 1.3, enlarged twice 0.2 to 0.47
MIN_MEASURED_PX = 48  # shorter side: less tells nothing
MAX_OWN_ENLARGEMENT = 4  # the most that is told of a photo
SAMPLE_PX = 512  # side of a measured piece; where three do not fill a part's side, all of it is measured
MIN_DETAIL_LEVELS = 0.4  # of the coarser octave: a plain wall has no detail at any size
_SEEN_ALPHA, _GONE_ALPHA = 0.6, 0.25
_THIN_LENGTH_RATIO = 0.02  # of the longer side, from which a part that is gone is missed
THIN_PART_NOTICE = (
    "A thin part, such as a chain or a cable, is lost at this size: look at it, and take a larger photo, or a smaller "
    "size."
)
SOFT_BEGINNING = "This picture is soft at its full size"
"""Of both notices that a picture is soft."""
SOFT_NOTICE = (
    "This picture is soft at its full size: your photo is enlarged {} times. A larger one, or one taken from nearer, "
    "would be sharper."
)
ENLARGED_BEFORE_NOTICE = (
    "This picture is soft at its full size: your photo is blurred, or was enlarged before. The original, or one taken "
    "from nearer, would be sharper."
)


def measure_own_enlargement(photo: Image, box: Box) -> int:
    """Return how many times the part of the photo in `box` (pixels) looks enlarged: 1, 2 or `MAX_OWN_ENLARGEMENT`.

    An enlargement has little detail in the octaves that it made up, compared with the next coarser one. So has a
    blurred photo: the two are not told apart. Of a large part some pieces are looked at.
    """
    height, width = photo.shape[:2]
    left, right = (int(np.clip(x, 0, width)) for x in (box[0], box[2]))
    top, bottom = (int(np.clip(y, 0, height)) for y in (box[1], box[3]))
    if min(right - left, bottom - top) < MIN_MEASURED_PX:
        return 1
    pieces = [photo[y, x] for y in _pick_spans(top, bottom) for x in _pick_spans(left, right)]
    octaves = np.sqrt(np.mean([np.square(_measure_octaves(piece)) for piece in pieces], axis=0))
    if octaves[2] > MIN_DETAIL_LEVELS and octaves[1] < FINE_DETAIL_RATIO * octaves[2]:
        return MAX_OWN_ENLARGEMENT
    return 2 if octaves[1] > MIN_DETAIL_LEVELS and octaves[0] < FINE_DETAIL_RATIO * octaves[1] else 1


def _pick_spans(start: int, stop: int) -> list[slice]:
    """Return all from `start` to `stop`, or three spans of `SAMPLE_PX` at its ends and middle where it is longer."""
    if stop - start <= 3 * SAMPLE_PX:
        return [slice(start, stop)]
    return [slice(first, first + SAMPLE_PX) for first in (start, (start + stop - SAMPLE_PX) // 2, stop - SAMPLE_PX)]


def _measure_octaves(piece: Image) -> list[float]:
    """Return the deviations of the three finest octaves of detail of a part of a photo, finest first."""
    light = cv2.cvtColor(np.ascontiguousarray(piece), cv2.COLOR_RGB2GRAY).astype(np.float32)
    octaves: list[float] = []
    for _ in range(3):
        height, width = light.shape
        half = cv2.resize(light, (max(2, width // 2), max(2, height // 2)), interpolation=cv2.INTER_AREA)
        fine = light - cv2.resize(half, (width, height), interpolation=cv2.INTER_CUBIC)
        octaves.append(float(fine[2:-2, 2:-2].std()))
        light = half
    return octaves


def thin_part_notices(alpha: Alpha, placed: PlacedSubject) -> tuple[str, ...]:
    """Tell that a thin part of the cut-out `alpha` (H x W) is gone where the picture softens its enlarged edges."""
    if placed.frame.scale <= 1:
        return ()
    lost = (resample(alpha, placed.frame) > _SEEN_ALPHA) & (placed.alpha < _GONE_ALPHA)
    _, _, stats, _ = cv2.connectedComponentsWithStats(lost.astype(np.uint8))
    lengths = stats[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1, initial=0)
    longest = int(lengths.max(initial=0))
    return (THIN_PART_NOTICE,) if longest > _THIN_LENGTH_RATIO * max(placed.frame.size) else ()


def describe_softness(frame: Frame, photo: Image, box: Box, kept_side_px: int) -> Frame:
    """Return the frame with the sentence that the picture is soft, where it is; `box` is what is looked at, in pixels.

    `kept_side_px` is the longer side of the picture that is kept: a draft, which is smaller, says it before. A photo
    that is shrunk so far that no enlargement before is seen is not looked at.
    """
    scale = frame.scale * kept_side_px / max(frame.size)
    if scale <= MAX_ENLARGEMENT / MAX_OWN_ENLARGEMENT:
        return frame
    own = measure_own_enlargement(photo, box)
    plain = enlargement_notices(frame.scale, max(frame.size))
    if own > 1 and own * scale > MAX_ENLARGEMENT:
        notice = ENLARGED_BEFORE_NOTICE
    elif scale > MUCH_ENLARGED_FACTOR:
        notice = SOFT_NOTICE.format(f"{scale:.1f}")
    else:
        return replace(frame, own_enlargement=own)
    notices = tuple(each for each in frame.notices if each not in plain)
    return replace(frame, own_enlargement=own, notices=(*notices, notice), doubts=(*frame.doubts, notice))
