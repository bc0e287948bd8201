"""Quality checks on every finished picture: each measures one number for the receipt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from pipelines.compositing.registration import Drift, measure_drift
from pipelines.core.geometry import Alpha, Crop, Face, Image, Mask, PlacedSubject
from pipelines.core.rendering import ToolOutput
from pipelines.framing.resample import resample
from pipelines.imaging.color import measure_lightness, to_lab
from pipelines.imaging.resize import size_within
from pipelines.matting.cutout import core_mask, core_share
from pipelines.quality.face_similarity import face_geometry_change, skin_delta_e
from pipelines.quality.label_words import LabelWords

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
    """One check: `measure` returns its number, None where it is not possible; `sentence` explains the number.

    For several variations the receipt has the worst number: the smallest, or the largest if `larger_is_worse`.
    """

    id: str
    measure: Callable[[CheckInput], float | None]
    sentence: str
    larger_is_worse: bool = False


def _find_subject_before_scene(inputs: CheckInput) -> PlacedSubject | None:
    return None if inputs.output.transparent else inputs.output.source


def _count_changed_core_pixels(inputs: CheckInput) -> float | None:
    """Count the core's pixels that differ from the user's photo, which is resampled again here."""
    source, photo = inputs.output.source, inputs.photo
    if source is None or photo is None or not inputs.output.exact:
        return None
    core = core_mask(source.alpha)
    expected = resample(photo, source.frame)
    return int(np.any(inputs.image[..., :3][core] != expected[core], axis=-1).sum())


def _core_share(inputs: CheckInput) -> float | None:
    """Return the core's share of the subject, 0 to 1. With ordinary edges it is at least 0.8."""
    source = inputs.output.source
    if source is None or inputs.photo is None or not inputs.output.exact:
        return None
    return round(core_share(source.alpha), 4)


def _outline_contrast(inputs: CheckInput) -> float | None:
    """Return the difference of median L* between the bands inside and outside the subject's outline."""
    source = _find_subject_before_scene(inputs)
    if source is None:
        return None
    bands = _make_outline_bands(source.alpha)
    if not all(band.any() for band in bands):
        return 0.0
    inner, outer = (float(np.median(measure_lightness(inputs.image[..., :3][band]))) for band in bands)
    return round(abs(inner - outer), 1)


def _outline_delta_e(inputs: CheckInput) -> float | None:
    """Return the mean CIE76 between subject and scene along the outline (not where it is cut), on a small copy."""
    source = _find_subject_before_scene(inputs)
    if source is None:
        return None
    size = size_within(source.alpha.shape, OUTLINE_COPY_PX)
    small = cv2.resize(source.alpha, size, interpolation=cv2.INTER_AREA)
    lab = to_lab(cv2.resize(inputs.image[..., :3], size, interpolation=cv2.INTER_AREA))
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


def _crop_completeness(inputs: CheckInput) -> float | None:
    """Return the share (0 to 1) inside the crop of the face that is cut most, or of the subject."""
    share = inputs.crop.visible_ratio if inputs.crop else None
    return None if share is None else round(share, 4)


def _largest(values: Iterable[float]) -> float | None:
    largest = max(values, default=None)
    return None if largest is None else round(largest, 2)


def _largest_shift(inputs: CheckInput) -> float | None:
    """Return the largest remaining shift between an edit and its source, in pixels."""
    return _largest(edit.drift.shift for edit in inputs.edits if edit.drift)


def _largest_zoom(inputs: CheckInput) -> float | None:
    """Return the largest remaining change of scale between an edit and its source, in per cent."""
    return _largest(100 * abs(edit.drift.zoom - 1) for edit in inputs.edits if edit.drift)


def _largest_skin_delta_e(inputs: CheckInput) -> float | None:
    """Return the largest CIEDE2000 between the skin before and after an edit. About 2 is just visible."""
    return _largest(
        skin_delta_e(edit.source, edit.result, edit.face_pair[0]) for edit in inputs.edits if edit.face_pair
    )


def _measure_geometry_change(inputs: CheckInput) -> float | None:
    """Return the largest change of a face's geometry by an edit, in per cent of the eye distance."""
    return _largest(face_geometry_change(*edit.face_pair) for edit in inputs.edits if edit.face_pair)


def _label_words_kept(inputs: CheckInput) -> float | None:
    """Return the share (0 to 1) of the words surely read on the photo's label that are read in the picture, too."""
    return round(inputs.label.kept_ratio, 4) if inputs.label and inputs.label.before else None


CHECKS: tuple[Check, ...] = (
    Check(
        "core_changed_pixels", _count_changed_core_pixels,
        "Inside what was cut out {:.0f} pixels differ from your photo.", larger_is_worse=True,
    ),
    Check(
        "core_share", _core_share,
        "{:.1%} of what was cut out is your photo's own; the rest is its soft edge, mixed with the scene.",
    ),
    Check(
        "outline_contrast", _outline_contrast,
        "The outline stands out from the scene by {:.0f} of 100 steps of brightness: the more, the clearer.",
    ),
    Check(
        "outline_delta_e", _outline_delta_e,
        "Colours at both sides of the outline differ by {:.0f}: with less a cut shows less; under 12 it does not.",
        larger_is_worse=True,
    ),
    Check(
        "kept_whole", _crop_completeness,
        "The crop keeps {:.0%} of the faces that were looked for, or else of the main subject.",
    ),
    Check(
        "drift_shift_px", _largest_shift,
        "The picture lies {:.2f} pixels from where it lay before the model changed it.", larger_is_worse=True,
    ),
    Check(
        "drift_zoom_percent", _largest_zoom,
        "It is {:.2f} per cent larger or smaller than before the model changed it.", larger_is_worse=True,
    ),
    Check(
        "skin_delta_e", _largest_skin_delta_e,
        "The skin's colour moved by {:.1f} (CIEDE2000); about 2 is just seen.", larger_is_worse=True,
    ),
    Check(
        "face_geometry_percent", _measure_geometry_change,
        "Points of the face moved against each other by {:.1f} per cent of the eyes' distance.", larger_is_worse=True,
    ),
    Check(
        "label_words_kept", _label_words_kept,
        "Of the words that were surely read in the photo, {:.0%} are read in the picture.",
    ),
)  # fmt: skip


def run_checks(inputs: CheckInput) -> dict[str, float]:
    """Run all checks that apply. Returns their numbers by id."""
    measured = ((check.id, check.measure(inputs)) for check in CHECKS)
    return {name: number for name, number in measured if number is not None}


def explain_checks(numbers: Mapping[str, float]) -> dict[str, str]:
    """Return a sentence for each check's number, by id."""
    return {check.id: check.sentence.format(numbers[check.id]) for check in CHECKS if check.id in numbers}


def worst_results(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the worst number of each check over all variations."""
    larger = {check.id for check in CHECKS if check.larger_is_worse}
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: (max if name in larger else min)(row[name] for row in rows if name in row) for name in names}
