"""Own photos of one thing from several sides brought to one scale, baseline and exposure; invents no side of it.

A thing that turns about an upright axis keeps its height while its width changes, so scale is read from the height,
the baseline from its lowest point, and exposure from the median lightness of its core.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.core.geometry import Alpha, Cutout, Frame, Image
from pipelines.core.params import Subject
from pipelines.framing.placement import find_bounds, frame_subject
from pipelines.imaging.color import measure_lightness, to_linear, to_srgb
from pipelines.matting.cutout import core_mask

SCALE_TOLERANCE_RATIO = 0.01
BASELINE_TOLERANCE_RATIO = 0.005  # of the frame's height
LIGHTNESS_TOLERANCE = 3.0  # L*
_MIN_ROW_RATIO = 0.02  # of the widest row: what is thinner is a hair or a glint, not the thing's top
_GAIN_RANGE = (0.25, 4.0)  # two stops either way; beyond, a photo is lost


@dataclass(frozen=True)
class SubjectExtent:
    """Where a subject stands: `top` and `base` are y with parts of a pixel, `middle` is x; `light` is L*, 0 to 100."""

    top: float
    base: float
    middle: float
    light: float

    @property
    def height(self) -> float:
        """Pixels."""
        return self.base - self.top


@dataclass(frozen=True)
class SetDeviation:
    """How far a set is apart at most: `scale` as a share, `base` as a share of the frame's height, `light` in L*."""

    scale: float
    base: float
    light: float

    @property
    def is_consistent(self) -> bool:
        """Whether the set is one, by the limits above."""
        return (
            self.scale <= SCALE_TOLERANCE_RATIO
            and self.base <= BASELINE_TOLERANCE_RATIO
            and self.light <= LIGHTNESS_TOLERANCE
        )


def measure_extent(colour: Image, alpha: Alpha) -> SubjectExtent:
    """Measured on a subject (colour H x W x 3, alpha H x W)."""
    rows = alpha.sum(axis=1)
    least = max(1.0, _MIN_ROW_RATIO * float(rows.max()))
    columns = np.nonzero(alpha.sum(axis=0) >= least)[0]
    core = core_mask(alpha)
    seen = measure_lightness(colour)[core if core.any() else alpha > 0.5]
    return SubjectExtent(
        _first_crossing(rows, least),
        len(rows) - _first_crossing(rows[::-1], least),
        float(columns[0] + columns[-1] + 1) / 2 if len(columns) else alpha.shape[1] / 2,
        float(np.median(seen)) if seen.size else 50.0,
    )


def _first_crossing(rows: np.ndarray, least: float) -> float:
    """Where a profile first reaches `least`, between pixels."""
    first = int(np.argmax(rows >= least))
    before = float(rows[first - 1]) if first else 0.0
    return first + 0.5 - (float(rows[first]) - least) / max(float(rows[first]) - before, 1e-6)


def measure_deviation(stands: Sequence[SubjectExtent], height: int) -> SetDeviation:
    """The largest differences in a set of subjects in frames of this height."""
    tall = [each.height for each in stands]
    base = [each.base for each in stands]
    light = [each.light for each in stands]
    return SetDeviation(max(tall) / min(tall) - 1, (max(base) - min(base)) / height, max(light) - min(light))


def match_frame(first: Cutout, frame: Frame, other: Cutout) -> Frame:
    """The frame in which `other` has the height, base and middle that `first` has in `frame`."""
    one, two = (measure_extent(each.colour, each.alpha) for each in (first, other))
    scale = frame.scale * one.height / two.height
    left, top, right, bottom = find_bounds(other.alpha)
    x = frame.matrix[0, 2] + frame.scale * one.middle + scale * ((left + right) / 2 - two.middle)
    base = frame.matrix[1, 2] + frame.scale * one.base + scale * (bottom - two.base)
    at = Subject(photo="", placement_x=float(np.clip(x / frame.size[0] - 0.5, -0.5, 0.5)))
    fill = scale * max(right - left, bottom - top) / min(frame.size)
    return frame_subject(other.alpha, frame.size, fill, at, anchor="floor", floor=base / frame.size[1])


def match_exposure(colour: Image, alpha: Alpha, light: float) -> Image:
    """`colour` with the one gain in linear light that brings its core's median to L* `light`, within two stops."""
    have, want = _luminance(measure_extent(colour, alpha).light), _luminance(light)
    gain = float(np.clip(want / max(have, 1e-4), *_GAIN_RANGE))
    return np.clip(to_srgb(to_linear(colour) * np.float32(gain)) + 0.5, 0, 255).astype(np.uint8)


def _luminance(light: float) -> float:
    """CIE Y, 0 to 1, of L*."""
    return ((light + 16) / 116) ** 3 if light > 8 else light / 903.3
