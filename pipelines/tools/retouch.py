"""Retouch: inpaint what a mask covers, with or without a model; outside the mask no pixel changes."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Image, Mask
from pipelines.core.job import ProgressCallback
from pipelines.core.params import (
    Params,
    Points,
    SubjectBox,
    choice_field,
    mask_field,
    number_field,
    picture_field,
    points_field,
    prompt_field,
    seed_field,
    subject_box_field,
    subject_of,
)
from pipelines.core.rendering import RenderRequest, ToolOutput
from pipelines.core.tools import FILL_ROLE, Tool, ToolContext
from pipelines.imaging.fill_by_net import inpaint_by_net
from pipelines.imaging.inpaint import inpaint
from pipelines.imaging.patch_fill import continue_surroundings
from pipelines.imaging.resize import dilate_mask, extend_mask_down, resize_map
from pipelines.matting.cutout_notices import locate_parts
from pipelines.tools.shared import form_fields
from pipelines.tools.shared.picture_operations import shrink_to_side

MIN_GROWTH_PERCENT, MAX_GROWTH_PERCENT = 1.0, 2.0  # of the longer side, added around what is found: its hair and rim
MAX_SHADOW_PERCENT = 1.5  # the same below it: its shadow, and what shines back from water
MAX_MASK_RATIO = 0.5  # of the picture; more cannot be filled from what is left
SAME_THING_SHARE = 0.6  # of two coarse mattes together that both have, from which they are of one thing
_TINT_COLOUR = (0, 150, 130)  # as the brush paints
WORDS_UNUSED_NOTICE = (
    "The words were not used: this studio has no model that draws in one place of a photo. "
    "The place was filled from its surroundings."
)
CONTINUED_NOTICE = (
    "No model drew what stood behind what was erased: edges and texture from "
    "beside it were continued, so it may show, or show a thing twice. Look at it before you use it."
)
CONTINUED_DOUBT = "The fill is guesswork. If it looks wrong, erase it again, or a little more around it."
WORDS_UNUSED_DOUBT = "The words were not used: no model here draws them."
DRAFT_NOTICE = (
    "What was erased is large: the draft continues what lies beside it. In the picture that is kept, a model draws."
)
NET_NOTICE = (
    "What was erased is large, so a trained model drew what stands there now. It was never in the photo, and the file "
    "says so."
)
_DOUBTS_BY_NOTICE = {WORDS_UNUSED_NOTICE: WORDS_UNUSED_DOUBT, CONTINUED_NOTICE: CONTINUED_DOUBT}
DRAWING_STAGE = "Drawing"
Filling = Literal["tones", "texture", "large"]
TONES_RADIUS_RATIO = 0.018  # of the largest disc inside the mask, over the longer side; above it tones are a smear
LARGE_RADIUS_RATIO = 0.04  # the same; above it a net draws, where there is one
MIN_RING_PIXELS = 100
RIM_RATIO, MARGIN_RATIO = 0.008, 0.004  # of the longer side: what is looked at beside the mask, and kept from things
MAX_RIM_SHARE = 0.15  # of that rim on things: with more, the mask lies on one of them
PLAIN_LIGHTNESS_STD = 6.0  # of what surrounds the mask, after its slope is taken away; walls and skies have less


class Retouch(Params):
    """The form."""

    photo: str = picture_field("Photo", "The picture to mend.", required=True)
    mask: str | None = mask_field(
        "What to erase", "White is erased, black stays. Without one, what you point at is erased.", advanced=False
    )
    prompt: str = prompt_field(
        "What to draw there",
        "For a model that draws. Empty: the place is filled from what surrounds it.",
        followed_by=("inpaint",),
    )
    pick: int = number_field(
        "Which one",
        "Which of several is erased where you point. 0: main subject or largest face; 1, 2, …: the next by size.",
        0,
        ge=0,
        le=15,
    )
    keep: Points = points_field(
        "Erase this",
        "Points on what is erased (not kept), each [x, y] from 0 to 1 of the photo. A mask is surer for a thing that "
        "lies on another.",
    )
    drop: Points = points_field(
        "Leave this", "Points on what stays (is not erased), each [x, y] from 0 to 1 of the photo."
    )
    box: SubjectBox = subject_box_field(
        "[left, top, right, bottom] from 0 to 1 around what is to be erased: nothing outside it is."
    )
    grow: float = number_field(
        "Wider edge",
        "Widens what is erased, in percent of the longer side: soft edges leave traces.",
        0.0,
        ge=0,
        le=10,
        step=0.1,
        unit="%",
    )
    size: Literal["photo", "2048", "1024"] = choice_field(
        "Size",
        "Longer side; the photo's own keeps every pixel beside what is erased.",
        "photo",
        labels={"photo": "As the photo", "2048": "At most 2048 px", "1024": "At most 1024 px"},
        advanced=True,
    )
    look: str = form_fields.look_field()
    format: form_fields.FileFormat = form_fields.format_field()
    quality: int = form_fields.quality_field()
    seed: int | None = seed_field()
    consent: bool = form_fields.optional_consent_field()


def run(params: Retouch, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Read the mask, fill or draw inside it, keep the photo's own pixels outside."""
    photo = context.open_image(params.photo)
    photo = photo if params.size == "photo" else shrink_to_side(photo, int(params.size))
    marked, percent_px = _read_mask(params, context, emit, photo), max(photo.shape[:2]) / 100
    mask = _grow_mask(marked, params.grow * percent_px)
    if (mask > 0.5).mean() > MAX_MASK_RATIO:
        raise BadInput(
            "What is to go covers more than half of the picture: too much to fill from the rest.", param="mask"
        )
    if params.mask is None:
        around_px, below_px = measure_erase_margins(marked, has_dropped=bool(params.drop))
        shadowed = extend_mask_down(marked > 0.5, round(below_px)).astype(np.float32)
        mask = _clip_to_box(_grow_mask(shadowed, max(params.grow * percent_px, around_px)), params.box)
    filling = _choose_filling(photo, mask)  # at full size, so that a draft is filled in the same way
    is_smaller = context.draft and max(photo.shape[:2]) > form_fields.DRAFT_SIDE_PX
    if is_smaller:
        photo = shrink_to_side(photo, form_fields.DRAFT_SIDE_PX)
        mask = np.clip(cv2.resize(mask, photo.shape[1::-1], interpolation=cv2.INTER_AREA), 0, 1).astype(np.float32)
    emit("Reading what is to go", 1, 1, lambda: _tint_mask(photo, mask))
    is_drawn = bool(params.prompt) and context.has_verb("inpaint")
    if is_drawn:
        size, seeds = (photo.shape[1], photo.shape[0]), (context.seed,)
        render = RenderRequest("inpaint", params.prompt, size, seeds, images=(photo,), mask=mask, strength=1.0)
        filled, notices = context.draw(render, emit).images[0], ()
    else:
        filled, notices = _fill_from_surroundings(params, context, emit, photo, mask, filling)
        notices = ((WORDS_UNUSED_NOTICE,) if params.prompt else ()) + notices
    image = np.where(mask[..., None] == 0, photo, filled)
    emit("Erasing", 1, 1, image)
    alphas = () if context.draft else (mask,)  # says to programs what was erased
    return ToolOutput(
        images=(image,),
        exact=False,
        notices=notices,
        alphas=alphas,
        allows_watermark=False,
        fill_doubts=tuple(_DOUBTS_BY_NOTICE[notice] for notice in notices if notice in _DOUBTS_BY_NOTICE),
        fill_places=locate_parts(mask) if CONTINUED_NOTICE in notices else (),
        is_sketch=context.draft and (is_drawn or (is_smaller and filling != "tones")),
    )


def _read_mask(params: Retouch, context: ToolContext, emit: ProgressCallback, photo: Image) -> Alpha:
    """Read the mask at the photo's size: the user's, else the subject's matte. Raises `BadInput` where it is empty."""
    if params.mask is not None:
        alpha = context.open_mask(params.mask)
    elif not subject_of(params).is_pointed:
        raise BadInput("Paint over what is to go, or point at it.", param="mask")
    elif (things := _find_things(params, context)) is not None:
        alpha = things
    else:
        alpha = context.cut_out_subject(subject_of(params), emit).alpha
    if not (alpha > 0.5).any():
        raise BadInput("Nothing is marked: paint over what is to go.", param="mask")
    size = (photo.shape[1], photo.shape[0])
    return np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _find_things(params: Retouch, context: ToolContext) -> Alpha | None:
    """Find what the `keep` points lie on, coarsely; None where that is the main subject, which is cut out with care."""
    if not params.keep or params.box is not None or params.pick:
        return None
    subject = subject_of(params)
    try:
        unmarked = subject.model_copy(update={"keep": (), "drop": ()})
        _, main = context.cut_out_coarsely(unmarked, form_fields.DRAFT_SIDE_PX)
    except BadInput:  # nothing stands out: only what is pointed at can be meant
        main = np.zeros((1, 1), np.float32)
    height, width = main.shape
    pixels = ((min(int(y * height), height - 1), min(int(x * width), width - 1)) for x, y in params.keep)
    is_on_subject = all(main[pixel] > 0.5 for pixel in pixels)
    try:
        _, things = context.cut_out_things_coarsely(subject, form_fields.DRAFT_SIDE_PX)
    except BadInput as error:
        # Where all was dropped again, or more than the thing was asked for, the subject may not go instead.
        is_given_once = len(set(params.keep)) == len(params.keep)
        if is_on_subject and is_given_once and error.param != "drop":
            return None
        raise
    if not is_on_subject:
        return things
    meant, known = things > 0.5, main > 0.5
    return None if (meant & known).sum() > SAME_THING_SHARE * (meant | known).sum() else things


def measure_erase_margins(found: Alpha, *, has_dropped: bool = False) -> tuple[float, float]:
    """Measure how far what goes reaches past a thing that was found, in pixels: around it, and farther below it.

    A thick thing has a wide rim and shadow, a wire has neither. `has_dropped`: what lies beside it is to stay.
    """
    percent_px = max(found.shape) / 100
    thickness_px = float(cv2.distanceTransform((found > 0.5).astype(np.uint8), cv2.DIST_L2, 5).max())
    if has_dropped:
        return MIN_GROWTH_PERCENT * percent_px, 0.0
    around_px = float(np.clip(thickness_px, MIN_GROWTH_PERCENT * percent_px, MAX_GROWTH_PERCENT * percent_px))
    return around_px, min(thickness_px, MAX_SHADOW_PERCENT * percent_px)


def _clip_to_box(mask: Alpha, box: SubjectBox) -> Alpha:
    """Leave all that lies outside of a box, which is in shares of the photo; None leaves the mask as it is."""
    if box is None:
        return mask
    height, width = mask.shape
    left, top, right, bottom = np.multiply(box, (width, height, width, height)).round().astype(int)
    clipped = np.zeros_like(mask)
    clipped[top:bottom, left:right] = mask[top:bottom, left:right]
    return clipped


def _grow_mask(mask: Alpha, radius_px: float) -> Alpha:
    """Binarise the mask and dilate it by `radius_px`, with a soft edge of two pixels."""
    distance = cv2.distanceTransform((mask <= 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    return np.clip((np.float32(radius_px) - distance) / 2 + (distance == 0), 0, 1).astype(np.float32)


def _is_plain_around(photo: Image, mask: Alpha, radius_px: float) -> bool:
    """Tell whether what lies within `radius_px` of the mask is a plain wall, which can be continued at any size."""
    inside = mask > 0.5
    distance_px = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5)
    rows, columns = np.nonzero((distance_px > 0) & (distance_px <= radius_px))
    if rows.size < MIN_RING_PIXELS:
        return False
    lightness = cv2.cvtColor(cv2.GaussianBlur(photo, (0, 0), 2), cv2.COLOR_RGB2LAB)[rows, columns, 0] / np.float32(2.55)
    plane = np.stack((rows, columns, np.ones_like(rows)), axis=1).astype(np.float64)
    slope = np.linalg.lstsq(plane, lightness, rcond=None)[0]
    return float(np.std(lightness - plane @ slope)) <= PLAIN_LIGHTNESS_STD


def _choose_filling(photo: Image, mask: Alpha) -> Filling:
    """Choose tones from beside the mask; where these would smear, edges and texture; a net's drawing where `large`."""
    radius_px = float(cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 5).max())
    longer_side = max(mask.shape)
    if radius_px <= TONES_RADIUS_RATIO * longer_side or _is_plain_around(photo, mask, radius_px):
        return "tones"
    return "texture" if radius_px <= LARGE_RADIUS_RATIO * longer_side else "large"


def _find_other_things(params: Retouch, context: ToolContext, mask: Alpha) -> Mask | None:
    """Return what stands out apart from the mask (H x W): half a cup of it is not to appear where a can stood.

    None where much of the mask's rim lies on it: then a part of a thing is erased, and goes on as the thing does.
    """
    seen = resize_map(context.see_whole_photo(params.photo), mask.shape[::-1]) > 0.5
    inside = mask > 0.5
    rim = dilate_mask(inside, max(1, round(RIM_RATIO * max(mask.shape)))) & ~inside
    is_apart = rim.any() and seen[rim].mean() <= MAX_RIM_SHARE
    return dilate_mask(seen, max(1, round(MARGIN_RATIO * max(mask.shape)))) if is_apart else None


def _fill_from_surroundings(
    params: Retouch, context: ToolContext, emit: ProgressCallback, photo: Image, mask: Alpha, filling: Filling
) -> tuple[Image, tuple[str, ...]]:
    """Fill with tones, or continue edges and texture; what is large a net draws where one is here."""
    if filling == "tones":
        return inpaint(photo, mask, context.seed), ()
    net_id = context.spec_for_role(FILL_ROLE)
    if filling == "texture" or context.draft or net_id == FILL_ROLE:
        is_kept_so = filling == "texture" or net_id == FILL_ROLE  # of 22 places of photos it showed in 16
        others = _find_other_things(params, context, mask)
        filled = continue_surroundings(photo, mask, context.seed, others)
        return filled, (CONTINUED_NOTICE if is_kept_so else DRAFT_NOTICE,)
    filled = photo
    with context.borrow_model(net_id) as net:
        for index, filled in enumerate(inpaint_by_net(photo, mask, net.fill_hole_in_square, net.side_px, context.seed)):
            emit(DRAWING_STAGE, index + 1, index + 1, filled)
    return filled, (NET_NOTICE,)


def _tint_mask(photo: Image, mask: Alpha) -> Image:
    tint = np.array(_TINT_COLOUR, np.float32)
    return np.asarray(photo + 0.6 * mask[..., None] * (tint - photo) + 0.5, np.uint8)


TOOL = Tool(
    id="retouch",
    title="Retouch",
    summary="Erase a thing, a person or a stain; every pixel beside it stays.",
    params=Retouch,
    run=run,
    is_edit=True,
    strengths=("Paint and erase", "Beside it byte for byte", "Grain matched"),
    limits=("Continues tones, edges and texture from beside the place; to draw there it needs a model from Settings",),
    model_strengths=(("Fill by words", "inpaint"),),
    examples=("coffee",),
    fills_holes=True,
)
