"""Cut-out: the subject on nothing, at the photo's own size, pixel for pixel; sets no scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipelines.parts.frame import bounds, photo_frame, place
from pipelines.tools import fields
from pipelines.types import Draft, Emit, Placed, Studio, Subject, Tool, flag, number


class CutOut(Subject):
    """The form."""

    trim: bool = flag("Trim", "Crop to the subject.", True, more=False)
    margin: int = number(
        "Margin", "Around the trimmed subject, in percent of its longer side.", 4, ge=0, le=50, unit="%"
    )
    format: fields.FileFormat = fields.file_format()
    quality: int = fields.quality()


def run(params: CutOut, studio: Studio, emit: Emit) -> Draft:
    """Cut out, keep every pixel where it is, trim."""
    photo = studio.open(params.photo)
    cutout = studio.cutout(params, emit)
    emit("Cutting out", 1, 1, lambda: cutout.colour)
    rows, columns = photo.shape[:2]
    placed = place(photo, cutout, photo_frame(cutout.alpha, (columns, rows), params))
    if params.trim:
        placed = _trimmed(placed, params.margin / 100)
    alpha = np.clip(placed.alpha * 255 + 0.5, 0, 255).astype(np.uint8)
    return Draft(
        images=(np.dstack([placed.colour, alpha]),),
        source=placed,
        alphas=(placed.alpha,),
        notices=(*cutout.notices, *placed.frame.notices),
        transparent=True,
    )


def _trimmed(placed: Placed, margin: float) -> Placed:
    """A crop is a whole-pixel shift: nothing is resampled."""
    left, top, right, bottom = bounds(placed.alpha)
    height, width = placed.alpha.shape
    reach = round(margin * max(right - left, bottom - top))
    left, top, right, bottom = (
        max(0, left - reach),
        max(0, top - reach),
        min(width, right + reach),
        min(height, bottom + reach),
    )
    matrix = placed.frame.matrix.copy()
    matrix[:, 2] -= (left, top)
    x0, y0, x1, y1 = placed.frame.box
    frame = replace(
        placed.frame, matrix=matrix, size=(right - left, bottom - top), box=(x0 - left, y0 - top, x1 - left, y1 - top)
    )
    return Placed(placed.colour[top:bottom, left:right], placed.alpha[top:bottom, left:right], frame)


TOOL = Tool(
    id="cutout",
    title="Cut-out",
    summary="Your subject on a transparent background, every pixel its own.",
    params=CutOut,
    run=run,
    strengths=("Transparent PNG", "Your own pixels, unchanged", "Full resolution", "Brush to repair"),
    limits=("Glass and fine veils are cut as solid",),
    examples=("coffee", "hopper", "astronaut"),
)
