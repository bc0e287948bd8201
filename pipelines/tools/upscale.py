"""Upscale: a picture made 2 or 4 times larger by the small Real-ESRGAN, blended with bicubic; changes no framing."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Image
from pipelines.core.job import Emit
from pipelines.core.params import Params, choice, flag, picture
from pipelines.core.rendering import Draft
from pipelines.core.tools import Studio, Tool
from pipelines.tools.shared import form_fields

SPEC = "realesr-x4"
MAX_OUTPUT = 4096  # pixels of the longer side; beyond, two cores take minutes
# Share of plain bicubic inside faces: a net this small invents skin and lashes.
_FACE_BICUBIC = 0.75


class Upscale(Params):
    """The form."""

    photo: str = picture("Photo", "The picture to enlarge.", required=True)
    factor: Literal["2", "4"] = choice("Factor", "How many times larger.", "2", labels={"2": "2 x", "4": "4 x"})
    protect_faces: bool = flag(
        "Protect faces", "Enlarge faces almost plainly, so that nothing is invented.", True, more=False
    )
    format: form_fields.FileFormat = form_fields.file_format()
    quality: int = form_fields.quality()
    consent: bool = form_fields.consent_if()


def run(params: Upscale, studio: Studio, emit: Emit) -> Draft:
    """Enlarge tile by tile, then lay plainly enlarged faces over it."""
    photo = studio.open(params.photo)
    factor = 2 if params.factor == "2" else 4
    if max(photo.shape[:2]) * factor > MAX_OUTPUT:
        raise BadInput(f"The result would be larger than {MAX_OUTPUT} pixels. Choose a smaller factor.", param="factor")
    source = _small(photo, factor) if studio.draft else photo
    with studio.borrow(SPEC) as net:
        image = net.enlarge(source, factor, lambda index, total: emit("Enlarging", index, total))
    if params.protect_faces and not studio.draft:
        image = _with_plain_faces(image, photo, factor, params, studio)
    emit("Enlarging", 1, 1, image)
    return Draft(images=(image,), exact=False, notices=("Detail was added by a model; it was not in the photo.",))


def _small(photo: Image, factor: int) -> Image:
    """A middle crop whose enlargement is 512 px: a draft shows the detail, not the whole."""
    side = 512 // factor
    top, left = max(0, (photo.shape[0] - side) // 2), max(0, (photo.shape[1] - side) // 2)
    return np.ascontiguousarray(photo[top : top + side, left : left + side])


def _with_plain_faces(image: Image, photo: Image, factor: int, params: Upscale, studio: Studio) -> Image:
    faces = studio.faces(params.photo)
    if not faces:
        return image
    weight = np.zeros(photo.shape[:2], np.float32)
    for face in faces:
        hull = cv2.convexHull(face.landmarks.astype(np.int32))
        cv2.fillConvexPoly(weight, hull, _FACE_BICUBIC)
    weight = cv2.GaussianBlur(weight, (0, 0), 0.15 * max(face.eye_distance for face in faces) + 1)
    size = (image.shape[1], image.shape[0])
    large = cv2.resize(weight, size, interpolation=cv2.INTER_LINEAR)[..., None]
    plain = cv2.resize(photo, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(image + large * (plain.astype(np.float32) - image) + 0.5, np.uint8)


TOOL = Tool(
    id="upscale",
    title="Upscale",
    summary="Two or four times the pixels, faces kept as they are.",
    params=Upscale,
    run=run,
    strengths=("2 x and 4 x", "Faces protected", "Tiled: any size"),
    limits=("Adds plausible detail, not the truth",),
    examples=("chelsea", "hopper"),
)
