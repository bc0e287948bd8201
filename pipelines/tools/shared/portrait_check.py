"""Whether a photo can be one person's portrait in a team. The page on which colleagues send theirs orders it."""

from __future__ import annotations

import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params, picture_field
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.quality.subject_checks import NO_FACE_MESSAGE, check_face, check_photo_size, find_front_people
from pipelines.tools.shared import form_fields

SEVERAL_FACES_MESSAGE = "{count} people are in this photo. Send one in which you are alone."


class PortraitCheck(Params):
    """The form."""

    photo: str = picture_field("Photo", "One person.", required=True)
    consent: bool = form_fields.consent_field()


def run(params: PortraitCheck, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Look for one face that is whole and large enough. Raises `BadInput` with a sentence for whoever took the photo.

    Nothing is drawn: the output is a black square.
    """
    emit("Looking for the face", 1, 1)
    photo = context.open_image(params.photo)
    check_photo_size(photo)
    faces = context.detect_faces(params.photo)
    if not faces:
        raise BadInput(NO_FACE_MESSAGE, code="no_face", param="photo")
    if (count := len(find_front_people(faces))) > 1:
        raise BadInput(SEVERAL_FACES_MESSAGE.format(count=count), param="photo")
    check_face(faces[0], photo)
    return ToolOutput(images=(np.zeros((8, 8, 3), np.uint8),), exact=False)


TOOL = Tool(
    id="portrait",
    title="Portrait check",
    summary="The page orders it: whether a photo shows one face that is whole and large enough.",
    params=PortraitCheck,
    run=run,
    person=True,
)
