"""Cut-out: the subject on nothing, at the photo's own size, pixel for pixel; sets no scene."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Cutout, Frame, Image, PlacedSubject
from pipelines.core.job import Emit
from pipelines.core.params import Subject, choice, flag, number
from pipelines.core.rendering import Draft
from pipelines.core.tools import Studio, Tool
from pipelines.framing.placement import bounds, photo_frame
from pipelines.framing.resample import place
from pipelines.tools.shared import form_fields

MOST = 8  # subjects of one photo
SAME = 0.8  # of what either covers: two looks that found one and the same


class CutOut(Subject):
    """The form."""

    subjects: Literal["one", "all", "each"] = choice(
        "Subjects", "Of several people or things in one photo.", "one",
        labels={"one": "The main one", "all": "All together", "each": "Each by itself"},
    )  # fmt: skip
    trim: bool = flag("Trim", "Crop to the subject.", True, more=False)
    margin: int = number(
        "Margin", "Around the trimmed subject, in percent of its longer side.", 4, ge=0, le=50, unit="%"
    )
    format: form_fields.FileFormat = form_fields.file_format()
    quality: int = form_fields.quality()
    consent: bool = form_fields.consent_if()


def run(params: CutOut, studio: Studio, emit: Emit) -> Draft:
    """Cut out one subject or every one, keep every pixel where it is, trim."""
    photo = studio.open(params.photo)
    found = [studio.cutout(params, emit)] if params.subjects == "one" else _every(params, studio, emit)
    emit("Cutting out", 1, 1, lambda: found[0].colour)
    cutouts = [_together(found)] if params.subjects == "all" else found
    made = [place(photo, each, _frame(each.alpha, params)) for each in cutouts]
    if params.trim:
        frames = [_trimmed(placed, params.margin / 100) for placed in made]
        made = [place(photo, each, frame) for each, frame in zip(cutouts, frames, strict=True)]
    made = made[:1] if studio.draft else made
    several = len(made) > 1
    count = (f"{len(found)} subjects.",) if params.subjects != "one" else ()
    notices = [note for each in cutouts for note in each.notices]
    return Draft(
        images=tuple(_cut(placed) for placed in made),
        source=made[0],
        alphas=tuple(placed.alpha for placed in made),
        notices=tuple(dict.fromkeys((*count, *notices, *made[0].frame.notices))),
        transparent=True,
        sources=tuple((params.photo, placed) for placed in made),
        names=tuple(f"subject-{n}" for n in range(1, len(made) + 1)) if several else (),
        archive="subjects" if several else "",
    )


def _frame(alpha: Alpha, params: CutOut) -> Frame:
    """The photo's own, in which the subject may be moved; what is trimmed is whole, and only sized."""
    rows, columns = alpha.shape
    if not params.trim:
        return photo_frame(alpha, (columns, rows), params)
    size = round(columns * params.placement_scale), round(rows * params.placement_scale)
    return photo_frame(alpha, size, Subject(photo=params.photo))


def _cut(placed: PlacedSubject) -> Image:
    return np.dstack([placed.colour, np.clip(placed.alpha * 255 + 0.5, 0, 255).astype(np.uint8)])


def _every(params: CutOut, studio: Studio, emit: Emit) -> list[Cutout]:
    """Each subject once, the largest first; people who touch are cut out as one."""
    found: list[Cutout] = []
    for pick in range(1 if params.matte else MOST):
        try:
            each = studio.cutout(params.model_copy(update={"pick": pick}), emit)
        except BadInput as error:
            if not found or error.param != "pick":
                raise
            break
        if not any(_same(each.alpha, other.alpha) for other in found):
            found.append(each)
    return found


def _same(one: Alpha, other: Alpha) -> bool:
    both, either = np.minimum(one, other).sum(), np.maximum(one, other).sum()
    return bool(both > SAME * either)


def _together(found: list[Cutout]) -> Cutout:
    """All of them on one transparency; where edges meet, whoever is more opaque is seen."""
    colour, alpha = found[0].colour, found[0].alpha
    for each in found[1:]:
        colour = np.where((each.alpha > alpha)[..., None], each.colour, colour)
        alpha = np.maximum(alpha, each.alpha)
    return Cutout(colour, alpha, tuple(note for each in found for note in each.notices))


def _trimmed(placed: PlacedSubject, margin: float) -> Frame:
    """The frame a whole-pixel shift further: what was not resampled in it is not resampled in this one."""
    left, top, right, bottom = bounds(placed.alpha)
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
