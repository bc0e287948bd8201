"""Other clothes on the person of a picture, drawn by a model; the head of the picture is laid back afterwards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pipelines.compositing.head_restoration import find_head_alpha, restore_head
from pipelines.compositing.unchanged_parts import restore_unchanged
from pipelines.core.errors import BadInput, ModelUnavailable
from pipelines.core.geometry import Alpha, Face, Image
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Subject
from pipelines.core.rendering import Caption, RenderedImages, RenderRequest
from pipelines.core.tools import ToolContext
from pipelines.framing.placement import find_bounds
from pipelines.framing.resample import composite_on_grey
from pipelines.models.nets.pose_landmarks import PersonLocation

GarmentKind = Literal["tops", "bottoms", "one-piece"]
GARMENT_LABELS = {"tops": "Top", "bottoms": "Trousers or skirt", "one-piece": "One piece"}
POSE_SPEC_ID = "dwpose"
DRESSED_PROMPT = "An adult, fully clothed."
GARMENT_GREY_LEVEL = 236  # of the ground, 0 to 255: the model draws nothing of the photo's room
_GARMENT_WORDS = {"tops": "top", "bottoms": "trousers or skirt", "one-piece": "dress or suit"}

EDITED_NOTICE = (
    "A model drew this change. Skin and face were compared with your photo: the receipt says how far they moved."
)
HEAD_KEPT_NOTICE = "Face and hair down to the chin are your photo's own again; hands and what is below were drawn."
HEAD_LOST_NOTICE = "Your photo's head could not be laid back over a drawn picture: there the model's own is shown."
GARMENT_NOTICE = "The garment was drawn after your photo of it: compare cut, pattern and colour before you publish."
WORN_NOTICE = (
    "A face was found in the garment's photo. The model takes a garment by itself, lying flat or on a hanger: choose "
    "such a photo if this picture is not right."
)
PARTS_KEPT_NOTICE = (
    "The model draws 576 x 864 pixels. Where it left the picture as it was, {:.0%} of it, your photo's own pixels are "
    "shown, hands among them where they did not change."
)
ONE_PICTURE_MESSAGE = (
    "The model that changes pictures here reads one picture and cannot see a garment beside the person: choose another "
    "set of models in Settings, such as FASHN VTON or FLUX.2 klein."
)


@dataclass(frozen=True)
class Garment:
    """A garment by itself on a plain ground, H x W x 3, and its kind."""

    picture: Image
    kind: GarmentKind
    notices: tuple[str, ...] = ()


def draw_with_head_kept(
    context: ToolContext, render: RenderRequest, alpha: Alpha, face: Face, emit: ProgressCallback
) -> RenderedImages:
    """Draw other clothes on the person of `images[0]`, whose alpha and face these are, and lay the head back."""
    picture = render.images[0]
    drawn = context.draw(replace(render, preserved_mask=find_head_alpha(face, alpha), whole_mask=alpha), emit)
    return _lay_heads_back(picture, drawn, alpha, face)


def _lay_heads_back(picture: Image, drawn: RenderedImages, alpha: Alpha, face: Face) -> RenderedImages:
    restored = [restore_head(picture, each, alpha, face) for each in drawn.images]
    images = tuple(
        with_head if with_head is not None else each for each, with_head in zip(drawn.images, restored, strict=True)
    )
    notice = HEAD_LOST_NOTICE if any(each is None for each in restored) else HEAD_KEPT_NOTICE
    return RenderedImages(images, (EDITED_NOTICE, notice, *drawn.notices))


def open_garment(context: ToolContext, file_id: str, kind: GarmentKind, emit: ProgressCallback) -> Garment:
    """Cut the garment out of its photo; one that fills it, or stands out from nothing, is taken as it is.

    Raises `ModelUnavailable` where the profile's model cannot see it.
    """
    tries_on = context.has_verb("tryon")
    if not tries_on and not context.reads_several_pictures("edit"):
        raise ModelUnavailable(ONE_PICTURE_MESSAGE, param="garment_photo")
    notices = (GARMENT_NOTICE, *((WORN_NOTICE,) if tries_on and context.detect_faces(file_id) else ()))
    try:
        cutout = context.cut_out_subject(Subject(photo=file_id), emit)
        picture = composite_on_grey(cutout.colour, cutout.alpha, GARMENT_GREY_LEVEL)
    except BadInput as error:
        if error.code != "no_subject":
            raise BadInput(error.message, code=error.code, param="garment_photo") from error
        picture = context.open_image(file_id)
    return Garment(picture, kind, notices)


def dress_person(
    context: ToolContext,
    garment: Garment,
    picture: Image,
    alpha: Alpha,
    face: Face | None,
    seed: int,
    emit: ProgressCallback,
) -> RenderedImages:
    """Dress the person of a picture, whose alpha and face these are: one picture of its size, and notices.

    Where a model that draws small changed nothing, the picture's own pixels are back, and so is the head.
    """
    unchanged, request = np.zeros(alpha.shape, np.bool_), _edit_request(garment, picture, seed)
    if context.has_verb("tryon"):
        request = _try_on_request(context, garment, picture, PersonLocation(find_bounds(alpha), face), seed, emit)
    head = find_head_alpha(face, alpha) if face is not None else None
    drawn = context.draw(replace(request, preserved_mask=head, whole_mask=alpha), emit)
    if request.verb == "tryon":
        kept, unchanged = restore_unchanged(picture, drawn.images[0])
        drawn = RenderedImages((kept,), (*drawn.notices, PARTS_KEPT_NOTICE.format(unchanged.mean())))
    if face is not None:
        drawn = _lay_heads_back(picture, drawn, alpha, face)
    # The colour of the skin was fitted near the head, also where nothing was drawn.
    dressed = np.where(unchanged[..., None], picture, drawn.images[0])
    return RenderedImages((dressed,), (*garment.notices, *drawn.notices))


def _try_on_request(
    context: ToolContext, garment: Garment, picture: Image, person: PersonLocation, seed: int, emit: ProgressCallback
) -> RenderRequest:
    with context.borrow_model(POSE_SPEC_ID) as net:
        pose = net.draw_map(picture, person)
    emit("The pose that the drawing follows", 1, 1, pose)
    size, images = (picture.shape[1], picture.shape[0]), (picture, garment.picture)
    return RenderRequest("tryon", "", size, (seed,), images=images, control=pose, garment_kind=garment.kind)


def _edit_request(garment: Garment, picture: Image, seed: int) -> RenderRequest:
    change = f"the {_GARMENT_WORDS[garment.kind]} of the second picture, with its cut, pattern and colour"
    caption = Caption(
        changes=(("outfit", change),),
        kept="Keep the person of the first picture, face, hair, hands, pose, light and background as they are. "
        + DRESSED_PROMPT,
    )
    words = f"The person of the first picture wears {change}; all else stays as it is. {DRESSED_PROMPT}"
    size = picture.shape[1], picture.shape[0]
    return RenderRequest("edit", words, size, (seed,), images=(picture, garment.picture), caption=caption)
