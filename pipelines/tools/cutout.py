"""Cut-out: the subject on nothing, at the photo's own size, pixel for pixel; sets no scene."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Cutout, Frame, Image, PlacedSubject
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Subject, choice_field, flag_field, number_field
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.framing.placement import find_bounds, frame_photo
from pipelines.framing.resample import place_subject
from pipelines.tools.shared import form_fields

MAX_SUBJECT_COUNT = 8  # subjects of one photo
SAME_SUBJECT_OVERLAP_RATIO = 0.8  # of what either covers: two looks that found one and the same


class CutOut(Subject):
    """The form."""

    subjects: Literal["one", "all", "each"] = choice_field(
        "Subjects", "Of several people or things in one photo.", "one",
        labels={"one": "The main one", "all": "All together", "each": "Each by itself"},
    )  # fmt: skip
    trim: bool = flag_field("Trim", "Crop to the subject.", True, advanced=False)
    margin: int = number_field(
        "Margin", "Around the trimmed subject, in percent of its longer side.", 4, ge=0, le=50, unit="%"
    )
    format: form_fields.FileFormat = form_fields.format_field()
    quality: int = form_fields.quality_field()
    consent: bool = form_fields.optional_consent_field()


def run(params: CutOut, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Cut out one subject or every one, keep every pixel where it is, trim."""
    photo = context.open_image(params.photo)
    found = (
        [context.cut_out_subject(params, emit)] if params.subjects == "one" else _cut_out_each(params, context, emit)
    )
    emit("Cutting out", 1, 1, lambda: found[0].colour)
    cutouts = [_merge_cutouts(found)] if params.subjects == "all" else found
    made = [place_subject(photo, each, _photo_frame(each.alpha, params)) for each in cutouts]
    if params.trim:
        frames = [_trim_frame(placed, params.margin / 100) for placed in made]
        made = [place_subject(photo, each, frame) for each, frame in zip(cutouts, frames, strict=True)]
    made = made[:1] if context.draft else made
    several = len(made) > 1
    count = (f"{len(found)} subjects.",) if params.subjects != "one" else ()
    notices = [note for each in cutouts for note in each.notices]
    return ToolOutput(
        images=tuple(_to_rgba(placed) for placed in made),
        source=made[0],
        alphas=tuple(placed.alpha for placed in made),
        notices=tuple(dict.fromkeys((*count, *notices, *made[0].frame.notices))),
        transparent=True,
        sources=tuple((params.photo, placed) for placed in made),
        names=tuple(f"subject-{n}" for n in range(1, len(made) + 1)) if several else (),
        archive_name="subjects" if several else "",
    )


def _photo_frame(alpha: Alpha, params: CutOut) -> Frame:
    """The photo's own, in which the subject may be moved; what is trimmed is whole, and only sized."""
    rows, columns = alpha.shape
    if not params.trim:
        return frame_photo(alpha, (columns, rows), params)
    size = round(columns * params.placement_scale), round(rows * params.placement_scale)
    return frame_photo(alpha, size, Subject(photo=params.photo))


def _to_rgba(placed: PlacedSubject) -> Image:
    return np.dstack([placed.colour, np.clip(placed.alpha * 255 + 0.5, 0, 255).astype(np.uint8)])


def _cut_out_each(params: CutOut, context: ToolContext, emit: ProgressCallback) -> list[Cutout]:
    """Each subject once, the largest first; people who touch are cut out as one."""
    found: list[Cutout] = []
    for pick in range(1 if params.matte else MAX_SUBJECT_COUNT):
        try:
            each = context.cut_out_subject(params.model_copy(update={"pick": pick}), emit)
        except BadInput as error:
            if not found or error.param != "pick":
                raise
            break
        if not any(_is_same_subject(each.alpha, other.alpha) for other in found):
            found.append(each)
    return found


def _is_same_subject(one: Alpha, other: Alpha) -> bool:
    both, either = np.minimum(one, other).sum(), np.maximum(one, other).sum()
    return bool(both > SAME_SUBJECT_OVERLAP_RATIO * either)


def _merge_cutouts(found: list[Cutout]) -> Cutout:
    """All of them on one transparency; where edges meet, whoever is more opaque is seen."""
    colour, alpha = found[0].colour, found[0].alpha
    for each in found[1:]:
        colour = np.where((each.alpha > alpha)[..., None], each.colour, colour)
        alpha = np.maximum(alpha, each.alpha)
    return Cutout(colour, alpha, tuple(note for each in found for note in each.notices))


def _trim_frame(placed: PlacedSubject, margin: float) -> Frame:
    """The frame a whole-pixel shift further: what was not resampled in it is not resampled in this one."""
    left, top, right, bottom = find_bounds(placed.alpha)
    height, width = placed.alpha.shape
    reach = round(margin * max(right - left, bottom - top))
    left, top = max(0, left - reach), max(0, top - reach)
    right, bottom = min(width, right + reach), min(height, bottom + reach)
    matrix = placed.frame.matrix.copy()
    matrix[:, 2] -= (left, top)
    x0, y0, x1, y1 = placed.frame.box
    box = x0 - left, y0 - top, x1 - left, y1 - top
    return replace(placed.frame, matrix=matrix, size=(right - left, bottom - top), box=box)


TOOL = Tool(
    id="cutout",
    title="Cut-out",
    summary="Your subject on a transparent background, every pixel its own.",
    params=CutOut,
    run=run,
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
