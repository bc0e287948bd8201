"""Cut-out: the subject on a transparent background, at the photo's own size, pixel for pixel."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from pipelines.codecs.color_profiles import ColorSpace
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Cutout, Frame, PlacedSubject, Uint16Array
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Subject, choice_field, flag_field, number_field
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.framing.placement import find_bounds, frame_photo
from pipelines.framing.resample import place_subject
from pipelines.imaging.wide_gamut import to_sixteen_bits
from pipelines.quality.subject_checks import count_people
from pipelines.tools.shared import form_fields
from pipelines.tools.shared.picture_operations import merge_most_opaque, to_rgba

MAX_SUBJECT_COUNT = 8  # of one photo
SAME_SUBJECT_OVERLAP_RATIO = 0.8  # intersection over union, from which two cut-outs are the same subject


class CutOut(Subject):
    """The form."""

    subjects: Literal["one", "all", "each"] = choice_field(
        "Subjects",
        "Of several people or things in one photo.",
        "one",
        labels={"one": "The main one", "all": "All together", "each": "Each by itself"},
    )
    trim: bool = flag_field("Trim", "Crop to the subject.", True, advanced=False)
    margin: int = number_field(
        "Margin", "Around the trimmed subject, in percent of its longer side.", 4, ge=0, le=50, unit="%"
    )
    look: str = form_fields.look_field()
    format: form_fields.FileFormat = form_fields.format_field()
    quality: int = form_fields.quality_field()
    master: form_fields.DeepMasterFile = form_fields.master_field(deep=True)
    master_profile: ColorSpace = form_fields.master_profile_field()
    consent: bool = form_fields.optional_consent_field()


def run(params: CutOut, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Cut out one subject or each of them, keep every pixel where it is, trim."""
    photo = context.open_image(params.photo)
    is_one = params.subjects == "one"
    found = [context.cut_out_subject(params, emit)] if is_one else _cut_out_each(params, context, emit)
    emit("Cutting out", 1, 1, lambda: to_rgba(found[0].colour, found[0].alpha))
    cutouts = [_merge_cutouts(found)] if params.subjects == "all" else found
    placed = [place_subject(photo, cutout, _photo_frame(cutout.alpha, params)) for cutout in cutouts]
    if params.trim:
        frames = [_trim_frame(each, params.margin / 100) for each in placed]
        placed = [place_subject(photo, cutout, frame) for cutout, frame in zip(cutouts, frames, strict=True)]
    draft_part = "first" if context.draft and len(placed) > 1 else None
    placed = placed[:1] if context.draft else placed
    has_several = len(placed) > 1
    faces = () if params.is_pointed or params.matte else context.detect_faces(params.photo)
    count = (
        count_people(faces, params.pick)
        if is_one
        else ("1 subject." if len(found) == 1 else f"{len(found)} subjects.",)
    )
    notices = [notice for cutout in cutouts for notice in cutout.notices]
    return ToolOutput(
        images=tuple(to_rgba(each.colour, each.alpha) for each in placed),
        source=placed[0],
        alphas=tuple(each.alpha for each in placed),
        notices=tuple(dict.fromkeys((*count, *notices, *placed[0].frame.notices))),
        transparent=True,
        sources=tuple((params.photo, each) for each in placed),
        draft_part=draft_part,
        names=tuple(f"subject-{n}" for n in range(1, len(placed) + 1)) if has_several else (),
        archive_name="subjects" if has_several else "",
        deep=tuple(_to_deep_rgba(each) for each in placed) if params.master in ("png16", "tiff16") else (),
    )


def _to_deep_rgba(placed: PlacedSubject) -> Uint16Array:
    alpha = np.clip(placed.alpha * 65535 + 0.5, 0, 65535).astype(np.uint16)
    return np.dstack([to_sixteen_bits(placed.colour), alpha])


def _photo_frame(alpha: Alpha, params: CutOut) -> Frame:
    """The photo's own frame, in which the subject may be moved; to be trimmed it is only scaled."""
    rows, columns = alpha.shape
    if not params.trim:
        return frame_photo(alpha, (columns, rows), params)
    size = round(columns * params.placement_scale), round(rows * params.placement_scale)
    return frame_photo(alpha, size, Subject(photo=params.photo))


def _cut_out_each(params: CutOut, context: ToolContext, emit: ProgressCallback) -> list[Cutout]:
    """Cut out each subject once, the largest first; people who touch are cut out as one."""
    found: list[Cutout] = []
    for pick in range(1 if params.matte else MAX_SUBJECT_COUNT):
        try:
            each = context.cut_out_subject(params.model_copy(update={"pick": pick}), emit)
        except BadInput as error:
            if not found or error.param != "pick":
                raise
            continue
        if not any(_is_same_subject(each.alpha, other.alpha) for other in found):
            found.append(each)
    return found


def _is_same_subject(alpha: Alpha, other: Alpha) -> bool:
    intersection, union = np.minimum(alpha, other).sum(), np.maximum(alpha, other).sum()
    return bool(intersection > SAME_SUBJECT_OVERLAP_RATIO * union)


def _merge_cutouts(cutouts: list[Cutout]) -> Cutout:
    colour, alpha = merge_most_opaque((cutout.colour, cutout.alpha) for cutout in cutouts)
    return Cutout(colour, alpha, tuple(notice for cutout in cutouts for notice in cutout.notices))


def _trim_frame(placed: PlacedSubject, margin_ratio: float) -> Frame:
    """Crop the frame to the subject by whole pixels, so that nothing is resampled that was not before."""
    left, top, right, bottom = find_bounds(placed.alpha)
    height, width = placed.alpha.shape
    margin_px = round(margin_ratio * max(right - left, bottom - top))
    left, top = max(0, left - margin_px), max(0, top - margin_px)
    right, bottom = min(width, right + margin_px), min(height, bottom + margin_px)
    matrix = placed.frame.matrix.copy()
    matrix[:, 2] -= (left, top)
    x0, y0, x1, y1 = placed.frame.box
    box = x0 - left, y0 - top, x1 - left, y1 - top
    return replace(placed.frame, matrix=matrix, size=(right - left, bottom - top), box=box)


TOOL = Tool(
    id="cutout",
    title="Cut-out",
    summary="Remove the background: your subject alone, every pixel its own.",
    params=CutOut,
    run=run,
    is_edit=True,
    strengths=(
        "Transparent PNG",
        "Several subjects",
        "Your own pixels, unchanged",
        "Full resolution",
        "Brush to repair",
    ),
    limits=("Glass and fine veils are cut as solid",),
    examples=("coffee", "hopper", "astronaut"),
)
