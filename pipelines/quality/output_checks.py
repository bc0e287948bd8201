"""Quality checks on every finished picture: each measures one number for the receipt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import cv2
import numpy as np

from pipelines.compositing.registration import Drift, measure_drift
from pipelines.core.geometry import Alpha, Crop, Face, Image, Mask, PlacedSubject
from pipelines.core.rendering import ToolOutput
from pipelines.framing.resample import resample
from pipelines.imaging.color import measure_lightness
from pipelines.imaging.resize import size_within
from pipelines.matting.cutout import core_mask, core_share
from pipelines.quality.face_similarity import face_geometry_change, skin_delta_e
from pipelines.quality.label_words import LabelWords

T = TypeVar("T")

OUTLINE_COPY_PX = 160  # longer side of the copy on which the outline is compared
OUTLINE_SIGMA_PX = 2.0  # blur on that copy: the width of the compared bands


@dataclass(frozen=True)
class ModelEdit:
    """An edit model's input and its aligned result, both H x W x 3 of one size."""

    source: Image
    result: Image
    detect_faces: Callable[[Image], tuple[Face, ...]]

    @cached_property
    def drift(self) -> Drift | None:
        """The remaining misalignment, None if the pictures have nothing in common."""
        return measure_drift(self.source, self.result)

    @cached_property
    def face_pair(self) -> tuple[Face, Face] | None:
        """The largest face before and after, None if one of the pictures has no face."""
        before, after = self.detect_faces(self.source), self.detect_faces(self.result)
        return (before[0], after[0]) if before and after else None


@dataclass(frozen=True)
class CheckInput:
    """What checks measure: the finished picture, the tool's output, the photo, model edits, and the photo's crop.

    `label` are the words on it, None where nothing was read.
    """

    image: Image
    output: ToolOutput
    photo: Image | None
    edits: tuple[ModelEdit, ...] = ()
    crop: Crop | None = None
    label: LabelWords | None = None


@dataclass(frozen=True)
class Check:
    """One check: `applies` tells if it is possible, `measure` returns its number, `sentence` explains the number.

    For several variations the receipt has the worst number: the smallest, or the largest if `larger_is_worse`.
    """

    id: str
    applies: Callable[[CheckInput], bool]
    measure: Callable[[CheckInput], float]
    sentence: str
    larger_is_worse: bool = False


def _require_applicable(value: T | None) -> T:
    if value is None:
        raise ValueError("this check does not apply")
    return value


def _source_of(inputs: CheckInput) -> PlacedSubject:
    return _require_applicable(inputs.output.source)


def _has_outline(inputs: CheckInput) -> bool:
    return inputs.output.source is not None and not inputs.output.transparent


def _is_exact(inputs: CheckInput) -> bool:
    return inputs.output.exact and inputs.output.source is not None and inputs.photo is not None


def _count_changed_core_pixels(inputs: CheckInput) -> float:
    """Count the core's pixels that differ from the user's photo, which is resampled again here."""
    source = _source_of(inputs)
    core = core_mask(source.alpha)
    expected = resample(_require_applicable(inputs.photo), source.frame)
    return int(np.any(inputs.image[..., :3][core] != expected[core], axis=-1).sum())


def _core_share(inputs: CheckInput) -> float:
    """Return the core's share of the subject, 0 to 1. With ordinary edges it is at least 0.8."""
    return round(core_share(_source_of(inputs).alpha), 4)


def _outline_contrast(inputs: CheckInput) -> float:
    """Return the difference of median L* between the bands inside and outside the subject's outline."""
    bands = _make_outline_bands(_source_of(inputs).alpha)
    if not all(band.any() for band in bands):
        return 0.0
    inner, outer = (float(np.median(measure_lightness(inputs.image[..., :3][band]))) for band in bands)
    return round(abs(inner - outer), 1)


def _outline_delta_e(inputs: CheckInput) -> float:
    """Return the mean CIE76 between subject and scene along the outline (not where it is cut), on a small copy."""
    alpha = _source_of(inputs).alpha
    size = size_within(alpha.shape, OUTLINE_COPY_PX)
    small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    image = cv2.resize(inputs.image[..., :3], size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    ring = cv2.morphologyEx((small > 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    within = np.zeros_like(ring)
    within[2:-2, 2:-2] = True
    colours = []
    for side in (small > 0.95, small < 0.05):
        share = cv2.GaussianBlur(side.astype(np.float32), (0, 0), OUTLINE_SIGMA_PX)
        total = cv2.GaussianBlur(np.where(side[..., None], lab, np.float32(0)), (0, 0), OUTLINE_SIGMA_PX)
        within &= share > 1e-2
        colours.append(total / np.maximum(share, 1e-2)[..., None])
    ring &= within
    if not ring.any():
        return 0.0
    return round(float(np.linalg.norm(colours[0] - colours[1], axis=2)[ring].mean()), 1)


def _make_outline_bands(alpha: Alpha) -> tuple[Mask, Mask]:
    """Return masks (H x W) of the bands just inside and just outside the subject."""
    width = max(2, alpha.shape[0] // 100)
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    solid, any_alpha = (alpha > 0.95).astype(np.uint8), (alpha > 0.02).astype(np.uint8)
    inside = (solid > 0) & (cv2.erode(solid, kernel) == 0)
    outside = (any_alpha == 0) & (cv2.dilate(any_alpha, kernel) > 0)
    return inside, outside


def _has_crop_ratio(inputs: CheckInput) -> bool:
    return inputs.crop is not None and inputs.crop.visible_ratio is not None


def _crop_completeness(inputs: CheckInput) -> float:
    """Return the share (0 to 1) inside the crop of the face that is cut most, or of the subject."""
    return round(_require_applicable(_require_applicable(inputs.crop).visible_ratio), 4)


def _has_drift(inputs: CheckInput) -> bool:
    return any(edit.drift for edit in inputs.edits)


def _largest_shift(inputs: CheckInput) -> float:
    """Return the largest remaining shift between an edit and its source, in pixels."""
    return round(max(edit.drift.shift for edit in inputs.edits if edit.drift), 2)


def _largest_zoom(inputs: CheckInput) -> float:
    """Return the largest remaining change of scale between an edit and its source, in per cent."""
    return round(max(100 * abs(edit.drift.zoom - 1) for edit in inputs.edits if edit.drift), 2)


def _has_face_pair(inputs: CheckInput) -> bool:
    return any(edit.face_pair for edit in inputs.edits)


def _largest_skin_delta_e(inputs: CheckInput) -> float:
    """Return the largest CIEDE2000 between the skin before and after an edit. About 2 is just visible."""
    return round(
        max(skin_delta_e(edit.source, edit.result, edit.face_pair[0]) for edit in inputs.edits if edit.face_pair), 2
    )


def _measure_geometry_change(inputs: CheckInput) -> float:
    """Return the largest change of a face's geometry by an edit, in per cent of the eye distance."""
    return round(max(face_geometry_change(*edit.face_pair) for edit in inputs.edits if edit.face_pair), 2)


def _has_label(inputs: CheckInput) -> bool:
    return inputs.label is not None and bool(inputs.label.before)


def _label_words_kept(inputs: CheckInput) -> float:
    """Return the share (0 to 1) of the words surely read on the photo's label that are read in the picture, too."""
    return round(_require_applicable(inputs.label).kept_ratio, 4)


CHECKS: tuple[Check, ...] = (
    Check(
        "core_changed_pixels", _is_exact, _count_changed_core_pixels,
        "Inside what was cut out {:.0f} pixels differ from your photo.", larger_is_worse=True,
    ),
    Check(
        "core_share", _is_exact, _core_share,
        "{:.1%} of what was cut out is your photo's own; the rest is its soft edge, mixed with the scene.",
    ),
    Check(
        "outline_contrast", _has_outline, _outline_contrast,
        "The outline differs from the scene around it by {:.1f} of 100 steps from black to white.",
    ),
    Check(
        "outline_delta_e", _has_outline, _outline_delta_e,
        "Colours beside the outline differ by {:.0f} (CIE76): the less, the less of a cut shows; under 12 it is lost.",
        larger_is_worse=True,
    ),
    Check(
        "kept_whole", _has_crop_ratio, _crop_completeness,
        "The crop keeps at least {:.0%} of each face, or of the subject.",
    ),
    Check(
        "drift_shift_px", _has_drift, _largest_shift,
        "The picture lies {:.2f} pixels from where it lay before the model changed it.", larger_is_worse=True,
    ),
    Check(
        "drift_zoom_percent", _has_drift, _largest_zoom,
        "It is {:.2f} per cent larger or smaller than before the model changed it.", larger_is_worse=True,
    ),
    Check(
        "skin_delta_e", _has_face_pair, _largest_skin_delta_e,
        "The skin's colour moved by {:.1f} (CIEDE2000); about 2 is just seen.", larger_is_worse=True,
    ),
    Check(
        "face_geometry_percent", _has_face_pair, _measure_geometry_change,
        "Points of the face moved against each other by {:.1f} per cent of the eyes' distance.", larger_is_worse=True,
    ),
    Check(
        "label_words_kept", _has_label, _label_words_kept,
        "Of the words that were surely read in the photo, {:.0%} are read in the picture.",
    ),
)  # fmt: skip


def run_checks(inputs: CheckInput) -> dict[str, float]:
    """Run all checks that apply. Returns their numbers by id."""
    return {check.id: check.measure(inputs) for check in CHECKS if check.applies(inputs)}


def explain_checks(numbers: Mapping[str, float]) -> dict[str, str]:
    """Return a sentence for each check's number, by id."""
    return {check.id: check.sentence.format(numbers[check.id]) for check in CHECKS if check.id in numbers}


def worst_results(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the worst number of each check over all variations."""
    larger = {check.id for check in CHECKS if check.larger_is_worse}
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: (max if name in larger else min)(row[name] for row in rows if name in row) for name in names}
