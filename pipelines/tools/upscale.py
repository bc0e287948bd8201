"""Upscale: a picture made 2 or 4 times larger by the small Real-ESRGAN, with faces half bicubic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from pipelines.codecs.color_profiles import ColorSpace
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Face, Image, PixelArray
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params, choice_field, flag_field, picture_field
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.framing.framings import MIN_EYE_DISTANCE_PX
from pipelines.imaging.wide_gamut import to_eight_bits, to_sixteen_bits
from pipelines.tools.shared import form_fields
from pipelines.tools.shared.picture_operations import crop_centre

UPSCALER_SPEC_ID = "realesr-x4"
DETAIL_NOTICE = "Detail was added by a model; it was not in the photo."
SOFT_FACES_NOTICE = "Faces are soft: they were enlarged more plainly, so that nothing is invented in them."
MAX_OUTPUT_PX = 4096  # longer side; beyond, two cores take minutes
_FACE_BICUBIC_RATIO = 0.5  # share of bicubic inside faces: what the net adds there is seen first


class Upscale(Params):
    """The form."""

    photo: str = picture_field("Photo", "The picture to enlarge.", required=True)
    factor: Literal["2", "4"] = choice_field(
        "Factor", "How many times larger; up to 4096 px.", "2", labels={"2": "2 ×", "4": "4 ×"}
    )
    protect_faces: bool = flag_field(
        "Protect faces", "Enlarge faces more plainly, so that nothing is invented.", True, advanced=False
    )
    look: str = form_fields.look_field()
    format: form_fields.FileFormat = form_fields.format_field()
    quality: int = form_fields.quality_field()
    master: form_fields.DeepMasterFile = form_fields.master_field(deep=True)
    master_profile: ColorSpace = form_fields.master_profile_field()
    consent: bool = form_fields.optional_consent_field()


def run(params: Upscale, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Enlarge tile by tile, then blend bicubic faces over it."""
    photo = context.open_image(params.photo)
    factor = 2 if params.factor == "2" else 4
    if max(photo.shape[:2]) * factor > MAX_OUTPUT_PX:
        fits_twice = max(photo.shape[:2]) * 2 <= MAX_OUTPUT_PX
        largest = f"a photo's longer side may have up to {MAX_OUTPUT_PX // factor} pixels for {factor} ×."
        advice = "Choose 2 ×;" if fits_twice else "This photo is too large for that;"
        raise BadInput(f"The result would be larger than {MAX_OUTPUT_PX} pixels. {advice} {largest}", param="factor")
    source = photo
    if context.draft:  # which shows the detail, not the whole
        source = crop_centre(photo, form_fields.DRAFT_SIDE_PX // factor)
    with context.borrow_model(UPSCALER_SPEC_ID) as net:
        deep = not context.draft and params.master in ("png16", "tiff16")
        enlarged = net.enlarge(source, factor, lambda index, total: emit("Enlarging", index, total), deep=deep)
    faces = context.detect_faces(params.photo) if params.protect_faces and not context.draft else ()
    enlarged = _blend_bicubic_faces(enlarged, photo, faces) if faces else enlarged
    has_soft_faces = any(face.eye_distance < MIN_EYE_DISTANCE_PX for face in faces)
    image = to_eight_bits(enlarged)
    emit("Enlarging", 1, 1, image)
    return ToolOutput(
        images=(image,),
        exact=False,
        is_enhanced=True,
        notices=(DETAIL_NOTICE, SOFT_FACES_NOTICE) if has_soft_faces else (DETAIL_NOTICE,),
        deep=(to_sixteen_bits(enlarged),) if deep else (),
        keeps_colours=True,
        keeps_words=True,
        draft_part="middle" if source.shape != photo.shape else None,
    )


def _blend_bicubic_faces(image: PixelArray, photo: Image, faces: Sequence[Face]) -> PixelArray:
    weight = np.zeros(photo.shape[:2], np.float32)
    for face in faces:
        hull = cv2.convexHull(face.landmarks.astype(np.int32))
        cv2.fillConvexPoly(weight, hull, _FACE_BICUBIC_RATIO)
    weight = cv2.GaussianBlur(weight, (0, 0), 0.15 * max(face.eye_distance for face in faces) + 1)
    size = (image.shape[1], image.shape[0])
    weight = cv2.resize(weight, size, interpolation=cv2.INTER_LINEAR)[..., None]
    plain = to_sixteen_bits(photo) if image.dtype == np.uint16 else photo
    bicubic = cv2.resize(plain, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(image + weight * (bicubic.astype(np.float32) - image) + 0.5, image.dtype)


TOOL = Tool(
    id="upscale",
    title="Upscale",
    summary="Twice or four times the width and height, faces kept as they are.",
    params=Upscale,
    run=run,
    is_edit=True,
    strengths=("2 × and 4 ×", "Faces protected", "Tiled: any size"),
    limits=("Adds plausible detail, not the truth",),
    examples=("chelsea", "hopper"),
)
