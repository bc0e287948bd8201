"""Bring photos of one thing from several sides to one scale, baseline and exposure (a turntable set).

A thing that turns about an upright axis keeps its height while its width changes, so scale is read from the height, the
baseline from its lowest point, and exposure from the median lightness of its core.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.core.geometry import Alpha, Cutout, Frame, Image
from pipelines.core.params import Subject
from pipelines.framing.placement import find_bounds, frame_subject
from pipelines.imaging.color import lightness_to_luminance, measure_lightness, to_linear, to_srgb
from pipelines.matting.cutout import core_mask

SCALE_TOLERANCE_RATIO = 0.01  # between the largest and the smallest height
BASELINE_TOLERANCE_RATIO = 0.005  # of the frame's height
LIGHTNESS_TOLERANCE = 3.0  # L*
_MIN_ROW_RATIO = 0.02  # of the widest row: a thinner row is a hair or a glint, not the thing's top
_GAIN_RANGE = (0.25, 4.0)  # two stops either way; a photo beyond that cannot be saved


@dataclass(frozen=True)
class SubjectExtent:
    """Where a subject stands: `top` and `base` are y in subpixels, `middle` is x; `light` is L* (0 to 100)."""

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
    """The largest deviations in a set: `scale` as a ratio, `base` as a share of the frame's height, `light` in L*."""

    scale: float
    base: float
    light: float

    @property
    def is_consistent(self) -> bool:
        """Whether the set keeps the tolerances."""
        is_level = self.scale <= SCALE_TOLERANCE_RATIO and self.base <= BASELINE_TOLERANCE_RATIO
        return is_level and self.light <= LIGHTNESS_TOLERANCE


def measure_extent(colour: Image, alpha: Alpha) -> SubjectExtent:
    """Measure where a subject stands and how light it is."""
    rows = alpha.sum(axis=1)
    min_alpha = max(1.0, _MIN_ROW_RATIO * float(rows.max()))
    columns = np.nonzero(alpha.sum(axis=0) >= min_alpha)[0]
    core = core_mask(alpha)
    lightness = measure_lightness(colour)[core if core.any() else alpha > 0.5]
    return SubjectExtent(
        top=_find_first_crossing(rows, min_alpha),
        base=len(rows) - _find_first_crossing(rows[::-1], min_alpha),
        middle=float(columns[0] + columns[-1] + 1) / 2 if len(columns) else alpha.shape[1] / 2,
        light=float(np.median(lightness)) if lightness.size else 50.0,
    )


def _find_first_crossing(profile: np.ndarray, threshold: float) -> float:
    """Return where a profile first reaches `threshold`, between pixels."""
    first = int(np.argmax(profile >= threshold))
    before = float(profile[first - 1]) if first else 0.0
    return first + 0.5 - (float(profile[first]) - threshold) / max(float(profile[first]) - before, 1e-6)


def measure_deviation(extents: Sequence[SubjectExtent], height: int) -> SetDeviation:
    """Measure the largest deviations in a set of subjects in frames of this height."""
    heights = [each.height for each in extents]
    bases = [each.base for each in extents]
    lights = [each.light for each in extents]
    return SetDeviation(max(heights) / min(heights) - 1, (max(bases) - min(bases)) / height, max(lights) - min(lights))


def match_frame(first: Cutout, frame: Frame, other: Cutout) -> Frame:
    """Return the frame in which `other` has the height, base and middle that `first` has in `frame`."""
    one, two = (measure_extent(each.colour, each.alpha) for each in (first, other))
    scale = frame.scale * one.height / two.height
    left, top, right, bottom = find_bounds(other.alpha)
    x = frame.matrix[0, 2] + frame.scale * one.middle + scale * ((left + right) / 2 - two.middle)
    base = frame.matrix[1, 2] + frame.scale * one.base + scale * (bottom - two.base)
    placement = Subject(photo="", placement_x=float(np.clip(x / frame.size[0] - 0.5, -0.5, 0.5)))
    fill = scale * max(right - left, bottom - top) / min(frame.size)
    return frame_subject(other.alpha, frame.size, fill, placement, anchor="floor", floor=base / frame.size[1])


def match_exposure(colour: Image, alpha: Alpha, light: float) -> Image:
    """Apply the one gain in linear light that brings the core's median to L* `light`, within two stops."""
    actual = lightness_to_luminance(measure_extent(colour, alpha).light)
    wanted = lightness_to_luminance(light)
    gain = float(np.clip(wanted / max(actual, 1e-4), *_GAIN_RANGE))
    return np.clip(to_srgb(to_linear(colour) * np.float32(gain)) + 0.5, 0, 255).astype(np.uint8)
