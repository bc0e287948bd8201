"""The outline of the thing on which somebody presses. The page orders it, to erase the whole of it."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params, Points, keep_field, picture_field, subject_of
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.matting.thing_at_point import draw_outline
from pipelines.tools.retouch import MAX_MASK_RATIO, measure_erase_margins
from pipelines.tools.shared import form_fields

NOTHING_CLEAR_MESSAGE = "Nothing clear is here: only a dab was painted. The brush paints all of it."
NOTHING_LARGER_MESSAGE = "All of this is marked already. For more, press beside it or take the brush."
TOO_LARGE_MESSAGE = "This is more than half of the picture: only a dab was painted."


class ThingOutline(Params):
    """The form."""

    photo: str = picture_field("Photo", "The picture to press on.", required=True)
    keep: Points = keep_field()
    consent: bool = form_fields.optional_consent_field()


def run(params: ThingOutline, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Find the thing under the first `keep` point; its `outline` is in shares of the photo, wider by a margin.

    A point that is given twice means the next larger thing. Without a point only the nets are asked, so that the next
    press is answered at once. Raises `BadInput` where nothing clear is there. Nothing is drawn: the picture is a black
    square.
    """
    emit("Looking at it", 1, 1)
    outline: tuple[tuple[float, float], ...] = ()
    is_again = len(params.keep) > 1
    nothing = NOTHING_LARGER_MESSAGE if is_again else NOTHING_CLEAR_MESSAGE
    try:
        _, alpha = context.cut_out_things_coarsely(subject_of(params), form_fields.DRAFT_SIDE_PX)
    except BadInput as error:
        raise BadInput(nothing, code="no_subject", param="keep") from error
    if params.keep:
        outline = draw_outline(alpha, params.keep[0], *measure_erase_margins(alpha))
        if not outline:
            raise BadInput(nothing, code="no_subject", param="keep")
        if cv2.contourArea(np.array(outline, np.float32)) > MAX_MASK_RATIO:
            raise BadInput(nothing if is_again else TOO_LARGE_MESSAGE, code="no_subject", param="keep")
    return ToolOutput(
        images=(np.zeros((8, 8, 3), np.uint8),), exact=False, resolved_params={"outline": [list(at) for at in outline]}
    )


TOOL = Tool(
    id="thing",
    title="Thing",
    summary="The page orders it: the outline of the thing on which somebody presses.",
    params=ThingOutline,
    run=run,
)
