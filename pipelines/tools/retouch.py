"""Retouch: what a mask covers is erased, or drawn anew from words by a model; outside the mask no byte changes."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Image
from pipelines.core.job import ProgressCallback
from pipelines.core.params import (
    Params,
    Subject,
    choice_field,
    mask_field,
    number_field,
    picture_field,
    prompt_field,
    seed_field,
)
from pipelines.core.rendering import RenderRequest, ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.imaging.inpaint import inpaint
from pipelines.tools.shared import form_fields

_MIN_GROWTH_PERCENT = 1.0  # percent by which an automatic cut-out is widened: hair and contact shadows reach past it
MAX_MASK_RATIO = 0.5  # of the picture: more cannot be guessed from what is left
WORDS_UNUSED_NOTICE = "Nothing here can draw from words: the place was erased. Drawing needs a model with 'inpaint'."


class Retouch(Params):
    """The form."""

    photo: str = picture_field("Photo", "The picture to mend.", required=True)
    mask: str | None = mask_field(
        "What to erase", "White is erased, black stays. Without one, the subject is erased.", advanced=False
    )
    prompt: str = prompt_field(
        "What to draw there", "For a model that draws. Empty: the place is filled from what surrounds it."
    )
    pick: int = number_field(
        "Subject", "Which one is erased without a mask. 0: main subject or largest face; 1, 2, …: the next by size.", 0,
        ge=0, le=15,
    )  # fmt: skip
    grow: float = number_field(
        "Grow", "Widens what is erased, in percent of the longer side: soft edges leave a ghost.", 0.0, ge=0, le=10,
        step=0.1, unit="%",
    )  # fmt: skip
    size: Literal["photo", "2048", "1024"] = choice_field(
        "Size", "Longer side; the photo's own keeps every pixel outside the mask.", "photo",
        labels={"photo": "As the photo", "2048": "At most 2048 px", "1024": "At most 1024 px"}, advanced=True,
    )  # fmt: skip
    format: form_fields.FileFormat = form_fields.format_field()
    quality: int = form_fields.quality_field()
    seed: int | None = seed_field()
    consent: bool = form_fields.optional_consent_field()


def run(params: Retouch, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Read the mask, erase or draw, put the rest back byte for byte."""
    photo = _sized(context.open_image(params.photo), 512 if context.draft else int(params.size.replace("photo", "0")))
    grow = params.grow if params.mask is not None else max(params.grow, _MIN_GROWTH_PERCENT)
    hole = _grow_mask(_read_mask(params, context, emit, photo), grow / 100 * max(photo.shape[:2]))
    if (hole > 0.5).mean() > MAX_MASK_RATIO:
        raise BadInput("The mask covers more than half of the picture: too much to fill from the rest.", param="mask")
    emit("Reading the mask", 1, 1, lambda: _tint_mask(photo, hole))
    notices = ()
    if params.prompt and context.has_verb("inpaint"):
        made = _draw_in_mask(params, context, emit, photo, hole)
    else:
        made = inpaint(photo, hole, context.seed)
        notices = (WORDS_UNUSED_NOTICE,) if params.prompt else ()
    image = _restore_outside(photo, made, hole)
    emit("Erasing", 1, 1, image)
    return ToolOutput(images=(image,), exact=False, notices=notices, allows_watermark=False)


def _sized(photo: Image, longer: int) -> Image:
    scale = longer / max(photo.shape[:2]) if longer else 1.0
    if scale >= 1:
        return photo
    size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)


def _read_mask(params: Retouch, context: ToolContext, emit: ProgressCallback, photo: Image) -> Alpha:
    """The mask at the photo's size: the user's, else the subject's cut-out."""
    if params.mask is not None:
        alpha = context.open_mask(params.mask)
    else:
        alpha = context.cut_out_subject(Subject(photo=params.photo, pick=params.pick), emit).alpha
    if not (alpha > 0.5).any():
        raise BadInput("The mask is empty: paint over what is to go.", param="mask")
    size = (photo.shape[1], photo.shape[0])
    return np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _grow_mask(hole: Alpha, reach: float) -> Alpha:
    """All or nothing, and wider by `reach` pixels, of which the last two go from all to nothing."""
    away = cv2.distanceTransform((hole <= 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    return np.clip((np.float32(reach) - away) / 2 + (away == 0), 0, 1).astype(np.float32)


def _draw_in_mask(params: Retouch, context: ToolContext, emit: ProgressCallback, photo: Image, hole: Alpha) -> Image:
    size = (photo.shape[1], photo.shape[0])
    render = RenderRequest("inpaint", params.prompt, size, (context.seed,), images=(photo,), mask=hole, strength=1.0)
    return context.draw(render, emit).images[0]


def _restore_outside(photo: Image, made: Image, hole: Alpha) -> Image:
    image = made.copy()
    image[hole == 0] = photo[hole == 0]
    return image


def _tint_mask(photo: Image, hole: Alpha) -> Image:
    veil = np.array([226, 60, 80], np.float32)
    return np.asarray(photo + 0.6 * hole[..., None] * (veil - photo) + 0.5, np.uint8)


TOOL = Tool(
    id="retouch",
    title="Retouch",
    summary="Erase what should not be there; every pixel outside the mask stays.",
    params=Retouch,
    run=run,
    strengths=("Mask and erase", "Outside the mask byte for byte", "Grain matched"),
    limits=("Fills with tones and texture from beside the place; objects behind it need a GPU model",),
    model_strengths=(("Fill by words", "inpaint"),),
    examples=("coffee",),
)
