"""Sepia: an example of a tool in one file. Listed in `pipelines.tools` it has a tab, a REST route, columns and docs."""

from __future__ import annotations

from typing import Literal

import numpy as np

from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params, choice_field, number_field, picture_field
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.tools.shared import form_fields


class Sepia(Params):
    """The form."""

    photo: str = picture_field("Photo", "The picture to tone.", required=True)
    preset: Literal["warm", "cold"] = choice_field(
        "Tone", "Of the shadows.", "warm", labels={"warm": "Warm", "cold": "Cold"}
    )
    amount: int = number_field("Amount of tone", "0 is grey.", 60, ge=0, le=100, unit="%", advanced=False)
    format: form_fields.FileFormat = form_fields.format_field()
    quality: int = form_fields.quality_field()
    look: str = form_fields.look_field()


def run(params: Sepia, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Convert to grey, then tint by amount."""
    emit("Toning", 0, 1)
    grey = context.open_image(params.photo) @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    tint = np.array([18, 4, -14] if params.preset == "warm" else [-10, 0, 14]) * params.amount / 100
    image = np.clip(grey[..., None] + tint + 0.5, 0, 255).astype(np.uint8)
    emit("Toning", 1, 1, image)
    return ToolOutput(images=(image,), exact=False, notices=("The colours were changed.",))


TOOL = Tool("sepia", "Sepia", "A photo in the tones of an old print.", Sepia, run, examples=("coffee",))
