"""Sepia: an example of a tool in one file; with a row in `TOOLS` it has its tab, REST route, CSV columns and docs."""

from __future__ import annotations

from typing import Literal

import numpy as np

from pipelines.core.job import Emit
from pipelines.core.params import Params, choice, number, picture
from pipelines.core.rendering import Draft
from pipelines.core.tools import Studio, Tool
from pipelines.tools.shared import form_fields


class Sepia(Params):
    """The form."""

    photo: str = picture("Photo", "The picture to tone.", required=True)
    preset: Literal["warm", "cold"] = choice("Tone", "Of the shadows.", "warm", labels={"warm": "Warm", "cold": "Cold"})
    amount: int = number("Amount of tone", "0 is grey.", 60, ge=0, le=100, unit="%", more=False)
    format: form_fields.FileFormat = form_fields.file_format()
    quality: int = form_fields.quality()


def run(params: Sepia, studio: Studio, emit: Emit) -> Draft:
    """Grey, then tinted by amount."""
    grey = studio.open(params.photo) @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    tint = np.array([18, 4, -14] if params.preset == "warm" else [-10, 0, 14]) * params.amount / 100
    image = np.clip(grey[..., None] + tint + 0.5, 0, 255).astype(np.uint8)
    emit("Toning", 1, 1, image)
    return Draft(images=(image,), exact=False)


TOOL = Tool(
    id="sepia",
    title="Sepia",
    summary="A photo in the tones of an old print.",
    params=Sepia,
    run=run,
)
