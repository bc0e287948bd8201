"""What is measured on every picture before it leaves: a tuple of checks; knows pictures, not tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from pipelines.compositing.registration import Drift, measure_drift
from pipelines.core.geometry import Crop, Face, Image
from pipelines.core.rendering import ToolOutput
from pipelines.framing.resample import resample
from pipelines.imaging.color import measure_lightness
from pipelines.imaging.resize import size_within
from pipelines.matting.cutout import core_mask, core_share
from pipelines.quality.face_similarity import face_geometry_change, skin_delta_e

OUTLINE_COPY_PX, OUTLINE_SIGMA_PX = 160, 2.0  # pixels of the copy on which an outline is read, and how far beside it


@dataclass(frozen=True)
class ModelEdit:
    """What an edit model made of `source`, once its drift was undone; both H x W x 3 of one size."""

    source: Image
    result: Image
    detect_faces: Callable[[Image], tuple[Face, ...]]

    @cached_property
    def drift(self) -> Drift | None:
        """What is left of the drift; None when the two show nothing alike."""
        return measure_drift(self.source, self.result)

    @cached_property
    def face_pair(self) -> tuple[Face, Face] | None:
        """The largest face before and after; None when either has none."""
        before, after = self.detect_faces(self.source), self.detect_faces(self.result)
        return (before[0], after[0]) if before and after else None


@dataclass(frozen=True)
class CheckInput:
    """What a check may look at: the finished picture, its draft, the user's photo, what edit models drew for it, and
    what of the photo it shows.
    """

    image: Image
    draft: ToolOutput
    photo: Image | None
    edits: tuple[ModelEdit, ...] = ()
    crop: Crop | None = None


@dataclass(frozen=True)
class Check:
    """`applies` says when, `measure` gives the number that stands in the receipt, `sentence` what that number means.

    Of several variations the receipt has the number that says least for us: the smallest one, or the largest where
    `larger_is_worse`.
    """

    id: str
    applies: Callable[[CheckInput], bool]
    measure: Callable[[CheckInput], float]
    sentence: str
    larger_is_worse: bool = False


def _is_exact(look: CheckInput) -> bool:
    return look.draft.exact and look.draft.source is not None and look.photo is not None


def _count_changed_core_pixels(look: CheckInput) -> float:
    """Pixels of the core that differ from the user's photo after the one stated resampling, made anew here."""
    source, photo = look.draft.source, look.photo
    if source is None or photo is None:
        raise ValueError("applies() was not asked")
    core = core_mask(source.alpha)
    expected = resample(photo, source.frame)
    return int(np.any(look.image[..., :3][core] != expected[core], axis=-1).sum())


def _core_share(look: CheckInput) -> float:
    """The core's share of the subject, 0 to 1; at least 0.8 of a subject with ordinary edges."""
    if look.draft.source is None:
        raise ValueError("applies() was not asked")
    return round(core_share(look.draft.source.alpha), 4)


def _outline_contrast(look: CheckInput) -> float:
    """Median difference in L* between the subject's outline and the scene just outside it."""
    if look.draft.source is None:
        raise ValueError("applies() was not asked")
    alpha = look.draft.source.alpha
    light = measure_lightness(look.image[..., :3])
    inside, outside = _outline_bands(alpha)
    if not inside.any() or not outside.any():
        return 0.0
    return round(abs(float(np.median(light[inside])) - float(np.median(light[outside]))), 1)


def _outline_delta_e(look: CheckInput) -> float:
    """Mean CIE76 distance of the subject's colour from the scene's, each read beside the same place of the outline.

    On a small copy: what the eye takes in before it looks for the edge. Where the frame cuts the subject is no outline.
    """
    if look.draft.source is None:
        raise ValueError("applies() was not asked")
    alpha = look.draft.source.alpha
    size = size_within(alpha.shape, OUTLINE_COPY_PX)
    small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    image = cv2.resize(look.image[..., :3], size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
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


def _outline_bands(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    width = max(2, alpha.shape[0] // 100)
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    solid, any_ = (alpha > 0.95).astype(np.uint8), (alpha > 0.02).astype(np.uint8)
    inside = (solid > 0) & (cv2.erode(solid, kernel) == 0)
    outside = (any_ == 0) & (cv2.dilate(any_, kernel) > 0)
    return inside, outside


def _crop_completeness(look: CheckInput) -> float:
    """How much of the face that is cut most, or of the subject, is in the crop, 0 to 1."""
    if look.crop is None or look.crop.visible_ratio is None:
        raise ValueError("applies() was not asked")
    return round(look.crop.visible_ratio, 4)


def _has_drift(look: CheckInput) -> bool:
    return any(edit.drift for edit in look.edits)


def _largest_shift(look: CheckInput) -> float:
    """Pixels that the edit is still away from what it was made from."""
    return round(max(edit.drift.shift for edit in look.edits if edit.drift), 2)


def _largest_zoom(look: CheckInput) -> float:
    """Per cent by which the edit is still larger or smaller."""
    return round(max(100 * abs(edit.drift.zoom - 1) for edit in look.edits if edit.drift), 2)


def _has_face_pair(look: CheckInput) -> bool:
    return any(edit.face_pair for edit in look.edits)


def _largest_skin_delta_e(look: CheckInput) -> float:
    """CIEDE2000 of the skin before and after: about 2 is just seen."""
    return round(
        max(skin_delta_e(edit.source, edit.result, edit.face_pair[0]) for edit in look.edits if edit.face_pair), 2
    )


def _largest_geometry_change(look: CheckInput) -> float:
    """How far the face's points moved against each other, in per cent of the eyes' distance."""
    return round(max(face_geometry_change(*edit.face_pair) for edit in look.edits if edit.face_pair), 2)


CHECKS: tuple[Check, ...] = (
    Check(
        "core_changed_pixels", _is_exact, _count_changed_core_pixels,
        "Inside the subject {:.0f} pixels differ from your photo.", larger_is_worse=True,
    ),
    Check(
        "core_share", _is_exact, _core_share,
        "{:.1%} of the subject is your photo's own; the rest is its soft edge, mixed with the scene.",
    ),
    Check(
        "outline_contrast",
        lambda look: look.draft.source is not None and not look.draft.transparent,
        _outline_contrast,
        "The outline differs from the scene around it by {:.1f} of 100 steps from black to white.",
    ),
    Check(
        "outline_delta_e",
        lambda look: look.draft.source is not None and not look.draft.transparent,
        _outline_delta_e,
        "Colours beside the outline differ by {:.0f} (CIE76): the less, the less of a cut shows; under 12 it is lost.",
        larger_is_worse=True,
    ),
    Check(
        "kept_whole", lambda look: look.crop is not None and look.crop.visible_ratio is not None, _crop_completeness,
        "At least {:.0%} of every face, or of the subject, is inside the crop.",
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
        "face_geometry_percent", _has_face_pair, _largest_geometry_change,
        "Points of the face moved against each other by {:.1f} per cent of the eyes' distance.", larger_is_worse=True,
    ),
)  # fmt: skip


def run_checks(look: CheckInput) -> dict[str, float]:
    """Every check that applies, by id."""
    return {check.id: check.measure(look) for check in CHECKS if check.applies(look)}


def explain_checks(numbers: Mapping[str, float]) -> dict[str, str]:
    """A sentence for every number of a check, by its id."""
    return {check.id: check.sentence.format(numbers[check.id]) for check in CHECKS if check.id in numbers}


def worst_results(rows: list[dict[str, float]]) -> dict[str, float]:
    """One number a check for all variations: the one that says least for us."""
    larger = {check.id for check in CHECKS if check.larger_is_worse}
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: (max if name in larger else min)(row[name] for row in rows if name in row) for name in names}
