"""What is pointed at in a photo, shown at once: kept parts as they are, a chequer over the others.

The page orders it.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Image
from pipelines.core.job import ProgressCallback
from pipelines.core.params import SubjectSelection, flag_field, picture_field, subject_of
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.imaging.packed_masks import pack_matte
from pipelines.imaging.resize import resize_image, resize_map, size_within
from pipelines.tools.shared import form_fields

SHOWN_SIDE_PX = 1024  # longer side of what is shown: one comes closer to it, and a coarse outline hides what is narrow
OUTLINE_COLOURS = (((255, 255, 255), 3), ((0, 110, 95), 1))  # and widths: seen on light, on dark and on the chequer
CHEQUER_COLOURS = ((226, 244, 240), (150, 196, 188))  # tints of the page's own colour
CHEQUER_RATIO = 1 / 64  # of the longer side: a square of the chequer
CHEQUER_WEIGHT = 0.55  # the rest is the photo in grey, in which one still finds what to mark
CONTRAST_LIMIT, CONTRAST_TILES = 3.0, (8, 8)  # of the grey photo's contrast, else a white book on a white table is lost
MAX_PLACE_COUNT = 16  # faces of one photo that a click can choose


class PointPreview(SubjectSelection):
    """The form."""

    photo: str = picture_field("Photo", "The picture to point at.", required=True)
    together: bool = flag_field("People together", "All people in front are the subject.")
    consent: bool = form_fields.optional_consent_field()


def run(params: PointPreview, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Show the photo with a chequer over all that is not the subject; `places` are people to choose by a click.

    `doubts` are where the cut-out that was made may be wrong: boxes in ratios of the photo by the doubt's sentence.
    `kept` is a small copy of the matte, to compare with that of other marks.
    """
    alpha = _make_coarse_matte(params, context)
    photo = context.open_image(params.photo)
    emit("Pointing", 1, 1)
    doubts = dict(context.list_known_doubts(subject_of(params), together=params.together))
    shown = {"places": _list_places(params, context), "doubts": doubts, "kept": pack_matte(alpha)}
    size = size_within(photo.shape, SHOWN_SIDE_PX)
    picture = draw_chequer(resize_image(photo, size), resize_map(alpha, size))
    return ToolOutput(images=(picture,), exact=False, resolved_params=shown)


def _make_coarse_matte(params: PointPreview, context: ToolContext) -> Alpha:
    """Return the coarse matte; an empty one where nothing stands out, so that one can point at it."""
    subject = subject_of(params)
    try:
        return context.cut_out_coarsely(subject, form_fields.DRAFT_SIDE_PX, together=params.together, as_made=True)[1]
    except BadInput:
        whole = subject.model_copy(update={"keep": (), "drop": (), "box": (0.0, 0.0, 1.0, 1.0), "pick": 0})
        return np.zeros_like(context.cut_out_coarsely(whole, form_fields.DRAFT_SIDE_PX)[1])


def draw_chequer(photo: Image, alpha: Alpha) -> Image:
    """Lay a chequer over the photo (H x W x 3) where `alpha` (H x W, 0 to 1) drops it, and outline what is kept.

    Grey alone would not be seen as dropped on a pale or grey photo.
    """
    square = max(2, round(CHEQUER_RATIO * max(alpha.shape)))
    rows, columns = np.indices(alpha.shape) // square
    chequer = np.asarray(CHEQUER_COLOURS, np.float32)[(rows + columns) % 2]
    grey = cv2.createCLAHE(CONTRAST_LIMIT, CONTRAST_TILES).apply(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY))
    dropped = CHEQUER_WEIGHT * chequer + (1 - CHEQUER_WEIGHT) * np.asarray(grey, np.float32)[..., None]
    weight = alpha[..., None]
    mixed = np.rint(photo * weight + dropped * (1 - weight)).astype(np.uint8)
    contours, _ = cv2.findContours((alpha > 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    for colour, width in OUTLINE_COLOURS:
        cv2.drawContours(mixed, contours, -1, colour, width, cv2.LINE_AA)
    return mixed


def _list_places(params: PointPreview, context: ToolContext) -> list[Any]:
    """List where each person's chin is as shares of the photo, in the order of `pick`; none for one person."""
    faces = context.detect_faces(params.photo)[:MAX_PLACE_COUNT]
    if len(faces) < 2:
        return []
    height, width = context.open_image(params.photo).shape[:2]
    places = ((face.chin[0] / width, face.chin[1] / height) for face in faces)
    return [[round(min(max(each, 0.0), 1.0), 4) for each in place] for place in places]


TOOL = Tool(
    id="point",
    title="Pointing",
    summary="The page orders it: what the points in a photo make of its cut-out.",
    params=PointPreview,
    run=run,
)
