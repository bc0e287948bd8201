"""A garment by itself: an edit model draws it after a photo, on an invisible mannequin or laid flat."""

from __future__ import annotations

from typing import Literal

import numpy as np

from pipelines.compositing.registration import measure_drift
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Cutout, Float32Array, Image, Size
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Subject
from pipelines.core.rendering import Caption, RenderRequest
from pipelines.core.tools import ToolContext
from pipelines.framing.placement import frame_subject
from pipelines.framing.resample import composite_on_grey, place_subject
from pipelines.imaging.color import to_lab
from pipelines.matting.cutout import core_mask, cut_out_subject
from pipelines.tools.shared.dressing import GARMENT_GREY_LEVEL

ClothesId = Literal["as-photographed", "ghost-mannequin", "flat-lay"]

CLOTHES_LABELS: dict[str, str] = {
    "as-photographed": "As photographed",
    "ghost-mannequin": "Ghost mannequin",
    "flat-lay": "Flat lay",
}
_SHOWN_WORDS = {
    "ghost-mannequin": "Show only the garment in the photo{}, in the shape that it has when worn, as if an "
    "invisible mannequin wore it: remove the person, dummy or hanger that holds it, and show its inside where it is "
    "open",
    "flat-lay": "Show only the garment in the photo{}, now laid out flat and whole and photographed from straight "
    "above: remove the person, dummy or hanger that holds it",
}
_KEPT_WORDS = (
    "Keep its cut, colours, pattern, cloth, print and details as they are. The background is plain light grey."
)
_INPUT_FILL_RATIO = 0.8  # of the frame, so that sleeves have room to be laid out
_SAMPLE_COUNT = 1500  # pixels of each picture that are compared
COLOUR_TOLERANCE = 8.0  # distance in CIELAB (CIE76) within which two pixels count as one colour
DRAWN_NOTICE = (
    "A model drew the garment after your photo: it is not exact, and what the photo hides is a guess. Compare cut, "
    "pattern, colour and print before you sell with it."
)
COLOUR_NOTICE = "Of the drawn garment's colours {:.0%} are found in what the photo shows."
MOVED_NOTICE = "It lies in another way than in the photo: by how much the model moved it cannot be measured."
NOTHING_DRAWN_MESSAGE = "The model drew no garment that stands out from its ground. Try another seed or another photo."


def write_clothes_prompt(clothes: ClothesId, garment: str) -> Caption:
    """Say what is shown of the garment and what stays; `garment` are the user's own words for it, or empty."""
    return Caption(own=_SHOWN_WORDS[clothes].format(f" ({garment})" if garment else ""), kept=_KEPT_WORDS)


def draw_clothes(
    context: ToolContext,
    emit: ProgressCallback,
    photo: Image,
    cutout: Cutout,
    clothes: ClothesId,
    garment: str,
    size: Size,
) -> tuple[Image, Cutout, tuple[str, ...]]:
    """Draw the garment of a photo by itself: the picture of `size`, its cut-out, and what is to be said about it.

    Raises `BadInput` (`no_subject`) where nothing stands out in what was drawn.
    """
    frame = frame_subject(cutout.alpha, size, _INPUT_FILL_RATIO, Subject(photo=""), anchor="centre")
    placed = place_subject(photo, cutout, frame)
    start = composite_on_grey(placed.colour, placed.alpha, GARMENT_GREY_LEVEL)
    caption = write_clothes_prompt(clothes, garment)
    render = RenderRequest(
        "edit",
        f"{caption.own}. {caption.kept}",
        size,
        (context.seed,),
        images=(start,),
        recomposes=clothes == "flat-lay",
        caption=caption,
    )
    (drawn,) = context.draw(render, emit).images
    with context.borrow_model(context.spec_for_role("matte")) as net:
        try:
            own = cut_out_subject(drawn, net)
        except BadInput as error:
            raise BadInput(NOTHING_DRAWN_MESSAGE, code="no_subject", param="clothes") from error
    share = measure_shared_colours(start, placed.alpha, drawn, own.alpha)
    is_placed = clothes != "flat-lay" and measure_drift(start, drawn) is not None
    moved = () if is_placed else (MOVED_NOTICE,)
    return drawn, own, (DRAWN_NOTICE, COLOUR_NOTICE.format(share), *moved)


def measure_shared_colours(photo: Image, photo_alpha: Alpha, drawn: Image, drawn_alpha: Alpha) -> float:
    """Return the share (0 to 1) of the drawn subject's pixels whose colour is one of the photo's subject, too.

    Each picture is H x W x 3, uint8, with its subject's alpha, H x W. Where they lie is not compared.
    """
    before, after = _sample_lab(photo, photo_alpha), _sample_lab(drawn, drawn_alpha)
    if not len(before) or not len(after):
        return 0.0
    nearest = np.array([np.linalg.norm(before - colour, axis=1).min() for colour in after])
    return float((nearest <= COLOUR_TOLERANCE).mean())


def _sample_lab(image: Image, alpha: Alpha) -> Float32Array:
    """Return the CIELAB colours, N x 3, of pixels that are spread evenly over the subject's core."""
    colours = image[core_mask(alpha)]
    step = max(1, len(colours) // _SAMPLE_COUNT)
    return to_lab(colours[::step, None])[:, 0] if len(colours) else np.zeros((0, 3), np.float32)
