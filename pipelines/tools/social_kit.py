"""Social and marketing kit: one picture in every platform's size, faces and products whole, words that can be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Colour, Image, Size
from pipelines.core.job import ProgressCallback
from pipelines.core.params import (
    Params,
    Subject,
    choice_field,
    colour_field,
    mask_field,
    number_field,
    picture_field,
    prompt_field,
)
from pipelines.core.rendering import RenderRequest, ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.framing.crop import (
    CropFocus,
    ProtectedArea,
    crop_image,
    crop_notices,
    describe_crop,
    find_protected_area,
)
from pipelines.framing.social_layout import (
    LAYOUT_MARGIN_RATIO,
    Layout,
    LayoutRequest,
    TextSide,
    find_logo_corner,
    find_sticker_corner,
    find_text_band,
    plan_layout,
)
from pipelines.imaging.text import Box, draw_layer, draw_logo, draw_text, fit_text, make_sticker, shade_for_text
from pipelines.matting.cutout import cut_out_subject
from pipelines.tools.shared import form_fields

PresetId = Literal["all", "post", "story", "linkedin", "banner", "x", "facebook", "youtube", "pin"]
FIGURE_MODEL_ID, STICKER_SIDE_PX = "mini", 512  # which draws figures alone; and pixels
STICKER_SEED = 1  # of stickers: the same words are the same one, in a draft and in what is made of it
_MAX_LETTER_RATIO = 0.15  # of the shorter side, a headline's letters
_FOCUS_HELP = "What of the photo stands in the middle. 0: automatic; 0.5: the photo's middle, 1: its "


@dataclass(frozen=True)
class Format:
    """A platform's size in pixels. Sizes are from secondary pages, read in 2026: rows of data, easy to correct."""

    title: str
    size: Size


FORMATS: dict[str, Format] = {
    "post": Format("Post 4:5", (1080, 1350)),
    "story": Format("Story 9:16", (1080, 1920)),
    "linkedin": Format("LinkedIn", (1200, 627)),
    "banner": Format("Banner 4:1", (1584, 396)),
    "x": Format("X", (1600, 900)),
    "facebook": Format("Facebook", (1200, 630)),
    "youtube": Format("YouTube", (1280, 720)),
    "pin": Format("Pin 2:3", (1000, 1500)),
}


class Kit(Params):
    """The form."""

    photo: str = picture_field("Photo", "A portrait, a product, or any picture.", required=True)
    preset: PresetId = choice_field(
        "Platform", "One size, or all eight as files.", "all",
        labels={"all": "All eight", **{key: row.title for key, row in FORMATS.items()}}, tiles=True,
    )  # fmt: skip
    headline: str = prompt_field("Headline", "A few words; set where they hide nothing, dark or light as is read.",
                           max_length=120)  # fmt: skip
    logo: str | None = picture_field("Logo", "Best with a transparent background.")
    sticker: str = prompt_field("Sticker", "A small figure in a free corner, drawn from words, for example: a rocket.",
                          max_length=80, advanced=True, needs=("text",))  # fmt: skip
    colour: str | None = colour_field("Brand colour", "Panels beside a picture that does not fill a format.")
    text_side: TextSide = choice_field(
        "Words stand", "Beside the subject.", "auto", advanced=True,
        labels={"auto": "Where there is room", "left": "Left", "right": "Right"},
    )  # fmt: skip
    focus_x: float = number_field("Focus to the right", f"{_FOCUS_HELP}right edge.", 0.0, ge=0, le=1, step=0.005)
    focus_y: float = number_field("Focus down", f"{_FOCUS_HELP}lower edge.", 0.0, ge=0, le=1, step=0.005)
    zoom: float = number_field(
        "Zoom", "1 shows as much as fits; at 2 all is twice as large.", 1.0, ge=1, le=4, step=0.01
    )
    matte: str | None = mask_field("Cut-out", "White keeps, black drops: what no crop may cut.")
    pick: int = number_field("Subject", "0: main subject or largest face; 1, 2, …: the next by size.", 0, ge=0, le=15)
    brand: str = form_fields.brand_field()
    format: form_fields.FileFormat = form_fields.format_field()
    quality: int = form_fields.quality_field()
    consent: bool = form_fields.optional_consent_field()


def run(params: Kit, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Find what must stay whole; for each format crop or lay beside a panel; then words and logo."""
    photo = context.open_image(params.photo)
    faces = context.detect_faces(params.photo)
    keep = find_protected_area(photo.shape, faces, None if faces else _find_subject(params, context, emit))
    emit("Reading the photo", 1, 1)
    layouts = _plan_layouts(photo, keep, params, draft=context.draft)
    # Kept: a crop that is dragged draws it no second time.
    sticker = (
        context.memoize(("sticker", params.sticker), lambda: _draw_sticker(params, context, emit))
        if params.sticker
        else None
    )
    names = list(layouts)[:1] if context.draft else list(layouts)
    images: list[Image] = []
    notices = _cut_notices(keep, layouts, params)
    for n, name in enumerate(names):
        layout = layouts[name]
        image = _lay_out_photo(photo, layout, form_fields.parse_rgb(params.colour))
        notices += _add_overlays(image, layout, params, context, sticker, FORMATS[name].title)
        images.append(image)
        if layout.panel is not None and params.colour is None:
            notices.append("Where the photo does not fill a format, it goes on out of focus.")
        emit("Laying out", n + 1, len(names), image)
        small = min(layout.size[0] / photo.shape[1], layout.size[1] / photo.shape[0])
        if small * params.zoom > 1.6 and not context.draft:
            notices.append("The photo has fewer pixels than these formats: a larger one would be sharper.")
    return ToolOutput(
        images=tuple(images), exact=False, notices=tuple(dict.fromkeys(notices)), names=tuple(names),
        archive_name="all" if len(names) > 1 else "",
        crops=tuple(describe_crop(photo.shape, keep, row.photo_window, row.photo_position, row.size) for row in (layouts[name] for name in names)),
    )  # fmt: skip


def _plan_layouts(photo: Image, keep: ProtectedArea, params: Kit, *, draft: bool) -> dict[str, Layout]:
    """One a format that was asked for, also where a draft shows only the first."""
    asked = LayoutRequest(bool(params.headline), params.logo is not None, params.text_side, _focus_of(params))
    names = list(FORMATS) if params.preset == "all" else [params.preset]
    sizes = {name: _scale_size(FORMATS[name].size, 512 if draft else 0) for name in names}
    return {name: plan_layout(photo.shape, keep, size, asked) for name, size in sizes.items()}


def _cut_notices(keep: ProtectedArea, layouts: Mapping[str, Layout], params: Kit) -> list[str]:
    """What a crop by hand cuts; the automatic one cuts nothing."""
    windows = {FORMATS[name].title: row.photo_window for name, row in layouts.items()}
    return crop_notices(keep, windows) if _focus_of(params).is_manual else []


def _focus_of(params: Kit) -> CropFocus:
    return CropFocus(params.focus_x or None, params.focus_y or None, params.zoom)


def _find_subject(params: Kit, context: ToolContext, emit: ProgressCallback) -> Alpha | None:
    """The product's cut-out; None where nothing stands out, as in a landscape."""
    try:
        return context.cut_out_subject(Subject(photo=params.photo, matte=params.matte, pick=params.pick), emit).alpha
    except BadInput as error:
        if error.code != "no_subject":
            raise
        return None


def _scale_size(size: Size, longer: int) -> Size:
    scale = longer / max(size) if longer else 1.0
    return round(size[0] * scale), round(size[1] * scale)


def _panel_picture(photo: Image, size: Size, colour: Colour | None) -> Image:
    """What a panel shows: the brand colour, else the photo itself, far out of focus and darker."""
    if colour is not None:
        return np.full((size[1], size[0], 3), colour, np.uint8)
    small = cv2.resize(photo, (max(2, size[0] // 40), max(2, size[1] // 40)), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small.astype(np.float32), (0, 0), 1.6) * np.float32(0.62)
    return np.clip(cv2.resize(soft, size, interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def _lay_out_photo(photo: Image, layout: Layout, colour: Colour | None) -> Image:
    """The photo in its place."""
    x, y, right, bottom = layout.photo_position
    part = crop_image(photo, layout.photo_window, (right - x, bottom - y))
    if (right - x, bottom - y) == layout.size:
        return part
    image = _panel_picture(photo, layout.size, colour)
    image[y:bottom, x:right] = part
    return image


# ---------------------------------------------------------------- words and logo


def _draw_sticker(params: Kit, context: ToolContext, emit: ProgressCallback) -> Image:
    """What the words say, drawn by the profile's model and cut out where that draws no transparency: h x w x 4."""
    words = (
        params.sticker
        if context.spec_for_role("text") == FIGURE_MODEL_ID
        else f"{params.sticker}, sticker, plain background"
    )
    made = context.draw(RenderRequest("text", words, (STICKER_SIDE_PX, STICKER_SIDE_PX), (STICKER_SEED,)), emit)
    image = made.images[0]
    if made.alphas:
        return make_sticker(np.dstack([image, (made.alphas[0] * 255 + 0.5).astype(np.uint8)]))
    with context.borrow_model(context.spec_for_role("matte")) as net:
        cut = cut_out_subject(image, net)
    return make_sticker(np.dstack([cut.colour, (cut.alpha * 255 + 0.5).astype(np.uint8)]))


def _add_overlays(
    image: Image, layout: Layout, params: Kit, context: ToolContext, sticker: Image | None, title: str
) -> list[str]:  # fmt: skip
    """Logo, headline and sticker, in place; what could not be done is said."""
    words = None if layout.panel else find_text_band(layout, params.text_side) if params.headline else None
    place = None
    if params.logo is not None:
        place = find_logo_corner(layout, words)
        if place is not None:
            draw_logo(image, context.open_image_with_alpha(params.logo), place)
    if params.headline:
        _write_headline(image, layout, params.headline, words, place)
    said = []
    if params.logo is not None and place is None:
        said.append(f"{title}: no corner is free for the logo, so it was left out.")
    if sticker is not None:
        free = find_sticker_corner(layout, place, words, layout.panel if params.headline else None)
        if free is None:
            said.append(f"{title}: no corner is free for the sticker, so it was left out.")
        else:
            draw_layer(image, sticker, free)
    return said


def _write_headline(image: Image, layout: Layout, text: str, words: Box | None, logo: Box | None) -> None:
    edge = round(LAYOUT_MARGIN_RATIO * min(layout.size))
    box = layout.panel or words
    assert box is not None, "a page without room for words has a panel"
    top, bottom = box.y + edge, box.y + box.height - edge
    if logo is not None and logo.overlaps(box.x, top, box.x + box.width, bottom):
        below = logo.y + logo.height / 2 > box.y + box.height / 2
        top, bottom = (top, logo.y - edge) if below else (logo.y + logo.height + edge, bottom)
    inner = Box(box.x + edge, top, max(16, box.width - 2 * edge), max(16, bottom - top))
    made = fit_text(text, inner.width, inner.height, round(_MAX_LETTER_RATIO * min(layout.size)))
    snug = Box(inner.x, inner.y + (inner.height - made.height) // 2, min(inner.width, made.width), made.height)
    draw_text(image, made, snug, shade_for_text(image, snug))


TOOL = Tool(
    id="kit",
    title="Social and Marketing Kit",
    summary="One picture in every platform's size; no face and no product is cut, and words can be read.",
    params=Kit,
    run=run,
    strengths=(
        "Eight formats at once, as one ZIP",
        "Faces and products stay whole",
        "Crop by hand: one focus for every format",
        "Contrast checked",
        "Logo and brand colour",
        "Stickers drawn from words",
    ),
    limits=(
        "Where a photo does not fill a format, a panel in your colour or its own blur does",
        "A crop by hand cuts what you cut, and says so",
    ),
    examples=("astronaut", "coffee", "hopper", "chelsea"),
)
