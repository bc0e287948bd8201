"""Social and marketing kit: one picture in every platform's size, with headline, logo and sticker."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Colour, Image, Size
from pipelines.core.job import ProgressCallback
from pipelines.core.params import (
    Params,
    Points,
    SubjectBox,
    choice_field,
    colour_field,
    drop_field,
    keep_field,
    number_field,
    picture_field,
    prompt_field,
    subject_box_field,
    subject_of,
)
from pipelines.core.rendering import FONTS, RenderRequest, ToolOutput
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
from pipelines.imaging.resize import resize_map
from pipelines.imaging.text import Box, draw_layer, draw_logo, draw_text, fit_text, make_sticker, shade_and_choose_ink
from pipelines.matting.cutout import cut_out_subject
from pipelines.tools.shared import form_fields
from pipelines.tools.shared.pictures import to_rgba

PresetId = Literal["all", "post", "story", "linkedin", "banner", "x", "facebook", "youtube", "pin"]
FIGURE_MODEL_ID = "mini"  # the built-in model, which draws figures without a background
STICKER_SIDE_PX = 512
STICKER_SEED = 1  # always the same, so that a draft and its result have the same sticker
_MAX_LETTER_RATIO = 0.15  # of the shorter side, height of a headline's letters
_MAX_ENLARGEMENT = 1.6  # times the photo, above which a notice asks for a larger one
_EDGE_RATIO = 0.08  # of the photo's part, at the panel: how it looks there decides whether its ground goes on
_CALM_STD = 12.0  # of 255, along the way to the panel; walls, skies, water and lawns out of focus have less
_SEAM_BLUR_RATIO = 0.02  # of the seam's length, sigma of the ground at the seam
_FAR_BLUR_RATIO = 0.2  # of the seam's length, sigma of the ground at the panel's end: no bands go through all of it
_FADE_EDGE_COUNT = 3  # edges of `_EDGE_RATIO` within which the photo goes over into the ground that goes on
_NOISE_SEED = 1  # always the same, so that the same job makes the same picture
_FOCUS_HELP = "What of the photo stands in the middle. 0: automatic; 0.5: the photo's middle, 1: its "


@dataclass(frozen=True)
class Format:
    """A platform's size in pixels. The sizes are from secondary pages, read in 2026."""

    title: str
    size: Size


FORMATS: dict[str, Format] = {
    "post": Format("Instagram post", (1080, 1350)),
    "story": Format("Instagram story", (1080, 1920)),
    "linkedin": Format("LinkedIn", (1200, 627)),
    "banner": Format("Banner 4:1", (1584, 396)),
    "x": Format("X", (1600, 900)),
    "facebook": Format("Facebook", (1200, 630)),
    "youtube": Format("YouTube", (1280, 720)),
    "pin": Format("Pin 2:3", (1000, 1500)),
}

PLATFORM_FORMATS: dict[str, tuple[str, ...]] = {
    "instagram post": ("post",), "instagram story": ("story",), "instagram reel": ("story",),
    "instagram": ("post", "story"), "threads": ("post",), "tiktok": ("story",), "snapchat": ("story",),
    "whatsapp status": ("story",), "youtube short": ("story",), "reel": ("story",), "twitter": ("x",), "x post": ("x",),
    "insta": ("post", "story"), "ig": ("post", "story"), "fb": ("facebook",), "yt": ("youtube",),
    "linkedin banner": ("banner",), "linkedin cover": ("banner",), "linkedin header": ("banner",),
    "linkedin profile": ("banner",), "facebook story": ("story",), "facebook reel": ("story",), "pinterest": ("pin",),
    "all": tuple(FORMATS), **{name: (name,) for name in FORMATS},
}  # fmt: skip
"""Formats by the names of platforms and their kinds of picture; of the names in a phrase the longest counts."""


def find_formats(text: str) -> tuple[str, ...]:
    """Return the formats that words such as `Instagram story, LinkedIn` name, in the order of `FORMATS`.

    Raises `BadInput` for a phrase that names none.
    """
    found: set[str] = set()
    for phrase in filter(None, (part.strip() for part in re.split(r"[,;+&\n]|\band\b", text.lower()))):
        words = " ".join(re.findall(r"[a-z0-9]+", phrase)).replace("stories", "story")
        names = [name for name in PLATFORM_FORMATS if re.search(rf"\b{name}s?\b", words)]
        if not names:
            raise BadInput(
                f"No format is called '{phrase[:40]}'. Say for example: Instagram, Instagram story, TikTok, LinkedIn, "
                "LinkedIn banner, X, Facebook, YouTube, Pinterest.",
                param="formats",
            )
        found.update(PLATFORM_FORMATS[max(names, key=len)])
    return tuple(name for name in FORMATS if name in found)


class Kit(Params):
    """The form."""

    photo: str = picture_field("Photo", "A portrait, a product, or any picture.", required=True)
    headline: str = prompt_field(
        "Headline",
        "A few words, placed where they cover no face or product, in black or white, whichever is easier to read.",
        max_length=120,
        is_drawn=True,
    )
    preset: PresetId = choice_field(
        "Platform",
        "One size, or all eight as files. The Instagram story is for TikTok too, Pin for Pinterest.",
        "all",
        labels={"all": "All eight", **{key: row.title for key, row in FORMATS.items()}},
        tiles=True,
    )
    formats: str = prompt_field(
        "Several platforms",
        "In place of the platform: names with commas, for example Instagram story, TikTok, LinkedIn, Pinterest.",
        max_length=200,
        advanced=True,
        in_place_of="preset",
    )
    logo: str | None = picture_field("Logo", "Best with a transparent background.")
    sticker: str = prompt_field(
        "Sticker",
        "A small figure in a free corner, drawn from words, for example: a rocket.",
        max_length=80,
        advanced=True,
        needs=("text",),
    )
    colour: str | None = colour_field("Brand colour", "Panels beside a picture that does not fill a format.")
    text_side: TextSide = choice_field(
        "Words stand",
        "Beside the subject.",
        "auto",
        advanced=True,
        labels={"auto": "Where there is room", "left": "Left", "right": "Right"},
    )
    focus_x: float = number_field("Focus to the right", f"{_FOCUS_HELP}right edge.", 0.0, ge=0, le=1, step=0.005)
    focus_y: float = number_field("Focus down", f"{_FOCUS_HELP}lower edge.", 0.0, ge=0, le=1, step=0.005)
    zoom: float = number_field(
        "Zoom", "1 shows as much as fits; at 2 all is twice as large.", 1.0, ge=1, le=4, step=0.01
    )
    matte: str | None = form_fields.matte_field("White keeps, black drops: what no crop may cut.")
    pick: int = form_fields.pick_field()
    keep: Points = keep_field()
    drop: Points = drop_field()
    box: SubjectBox = subject_box_field()
    look: str = form_fields.look_field()
    brand: str = form_fields.brand_field()
    format: form_fields.FileFormat = form_fields.format_field()
    quality: int = form_fields.quality_field()
    consent: bool = form_fields.optional_consent_field()


def run(params: Kit, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Find what must stay whole; for each format crop or put beside a panel; then add words, logo and sticker."""
    names = find_formats(params.formats) or (tuple(FORMATS) if params.preset == "all" else (params.preset,))
    photo = context.open_image(params.photo)
    faces = context.detect_faces(params.photo)
    protected = find_protected_area(photo.shape, faces, None if faces else _find_subject(params, context))
    emit("Reading the photo", 1, 1)
    all_layouts = _plan_layouts(photo, protected, params, names, draft=context.draft)
    sticker = None
    if params.sticker:  # cached, so that a crop that is dragged does not draw it again
        sticker = context.memoize(("sticker", params.sticker), lambda: _draw_sticker(params, context, emit))
    layouts = dict(list(all_layouts.items())[:1]) if context.draft else all_layouts
    images: list[Image] = []
    notices = _cut_notices(protected, all_layouts, params)
    for name, layout in layouts.items():
        image = _lay_out_photo(photo, layout, form_fields.parse_rgb(params.colour))
        notices += _add_overlays(image, layout, params, context, sticker, FORMATS[name].title)
        images.append(image)
        if layout.panel is not None and params.colour is None:
            notices.append("Where the photo does not fill a format, it goes on out of focus.")
        emit("Laying out", len(images), len(layouts), image)
        enlargement = min(layout.size[0] / photo.shape[1], layout.size[1] / photo.shape[0]) * params.zoom
        if enlargement > _MAX_ENLARGEMENT and not context.draft:
            notices.append("The photo has fewer pixels than these formats: a larger one would be sharper.")
    return ToolOutput(
        images=tuple(images),
        exact=False,
        notices=tuple(dict.fromkeys(notices)),
        names=tuple(layouts),
        assets=(FONTS,) if params.headline else (),
        keeps_words=True,
        archive_name="" if len(layouts) < 2 else "all" if len(layouts) == len(FORMATS) else "formats",
        crops=tuple(
            describe_crop(photo.shape, protected, layout.photo_window, layout.photo_position, layout.size)
            for layout in layouts.values()
        ),
        draft_part="first" if len(layouts) < len(all_layouts) else None,
    )


def _plan_layouts(
    photo: Image, protected: ProtectedArea, params: Kit, names: Sequence[str], *, draft: bool
) -> dict[str, Layout]:
    """Plan every format that was asked for, also where a draft shows only the first."""
    request = LayoutRequest(bool(params.headline), params.logo is not None, params.text_side, _focus_of(params))
    sizes = {name: _scale_size(FORMATS[name].size, form_fields.DRAFT_SIDE_PX if draft else 0) for name in names}
    return {
        name: plan_layout(photo.shape, protected, size, request, partial(_measure_letters, params.headline, size))
        for name, size in sizes.items()
    }


def _measure_letters(headline: str, size: Size, box: Box) -> float:
    """Return how large the headline's letters can be in a box of a format of `size`, in pixels."""
    inner = _inside_margin(box, size)
    return float(fit_text(headline, inner.width, inner.height, round(_MAX_LETTER_RATIO * min(size))).size)


def _inside_margin(box: Box, size: Size) -> Box:
    """Return the part of the box in which words may stand."""
    margin = round(LAYOUT_MARGIN_RATIO * min(size))
    return Box(box.x + margin, box.y + margin, max(16, box.width - 2 * margin), max(16, box.height - 2 * margin))


def _cut_notices(protected: ProtectedArea, layouts: Mapping[str, Layout], params: Kit) -> list[str]:
    """Say what a crop by hand cuts; the automatic one cuts nothing."""
    windows = {FORMATS[name].title: row.photo_window for name, row in layouts.items()}
    return crop_notices(protected, windows) if _focus_of(params).is_manual else []


def _focus_of(params: Kit) -> CropFocus:
    return CropFocus(params.focus_x or None, params.focus_y or None, params.zoom)


def _find_subject(params: Kit, context: ToolContext) -> Alpha | None:
    """Find where the product is, coarsely, as it is not cut out; None where there is no subject, as in a landscape."""
    try:
        _, alpha = context.look_at_subject(subject_of(params), form_fields.DRAFT_SIDE_PX)
    except BadInput as error:
        if error.code != "no_subject":
            raise
        return None
    return resize_map(alpha, context.open_image(params.photo).shape[1::-1]) if (alpha > 0.5).any() else None


def _scale_size(size: Size, longer_px: int) -> Size:
    scale = longer_px / max(size) if longer_px else 1.0
    return round(size[0] * scale), round(size[1] * scale)


def _panel_picture(photo: Image, size: Size, colour: Colour | None) -> Image:
    """Fill a panel with the brand colour, else with the photo itself, blurred and darker."""
    if colour is not None:
        return np.full((size[1], size[0], 3), colour, np.uint8)
    small = cv2.resize(photo, (max(2, size[0] // 40), max(2, size[1] // 40)), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small.astype(np.float32), (0, 0), 1.6) * np.float32(0.62)
    return np.clip(cv2.resize(blurred, size, interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def _lay_out_photo(photo: Image, layout: Layout, colour: Colour | None) -> Image:
    """Crop the photo to its window and put it in its place."""
    x, y, right, bottom = layout.photo_position
    part = crop_image(photo, layout.photo_window, (right - x, bottom - y))
    if (right - x, bottom - y) == layout.size:
        return part
    image = _panel_picture(photo, layout.size, colour)
    image[y:bottom, x:right] = part
    if colour is None:
        _continue_calm_ground(image, layout)
    return image


def _continue_calm_ground(image: Image, layout: Layout) -> None:
    """Continue the photo's ground out of focus over a panel along one whole side, where it is calm there.

    So there is no strip beside it. Changes `image`.
    """
    x, y, right, bottom = layout.photo_position
    width, height = layout.size
    protected = layout.protected
    if right - x == width and y == 0:
        turned = image.transpose(1, 0, 2)[:, ::-1]  # the panel below becomes one at the left
        start, room = height - bottom, bottom - protected.bottom
    elif y == 0 and bottom == height and right == width:
        turned, start, room = image, x, protected.left - x
    elif y == 0 and bottom == height and x == 0:
        turned, start, room = image[:, ::-1], width - right, right - protected.right
    else:
        return
    edge = turned[:, start : start + max(4, round(_EDGE_RATIO * (turned.shape[1] - start)))].astype(np.float32)
    mean = edge.mean(axis=1, keepdims=True)
    if room < edge.shape[1] or float((edge - mean).std()) > _CALM_STD:
        return
    near, far = (
        cv2.GaussianBlur(mean, (0, 0), sigmaX=1, sigmaY=ratio * len(mean), borderType=cv2.BORDER_REPLICATE)
        for ratio in (_SEAM_BLUR_RATIO, _FAR_BLUR_RATIO)
    )
    # Into the photo as far as its ground goes, so that it ends in no line.
    seam = turned[:, start : start + min(int(room), _FADE_EDGE_COUNT * edge.shape[1])]
    fade = np.linspace(0, 1, seam.shape[1], dtype=np.float32)[None, :, None]
    seam[:] = near + fade * fade * (3 - 2 * fade) * (seam - near) + np.float32(0.5)
    fade = np.linspace(0, 1, start, dtype=np.float32)[None, :, None]
    # Noise of one level in place of steps that are seen as bands.
    noise = np.random.default_rng(_NOISE_SEED).random((*turned[:, :start].shape[:2], 1), np.float32)
    turned[:, :start] = far + fade * (near - far) + noise


def _draw_sticker(params: Kit, context: ToolContext, emit: ProgressCallback) -> Image:
    """Draw the sticker from its words, and cut it out where the model draws no transparency; H x W x 4."""
    draws_figures = context.spec_for_role("text") == FIGURE_MODEL_ID
    words = params.sticker if draws_figures else f"{params.sticker}, sticker, plain background"
    drawn = context.draw(RenderRequest("text", words, (STICKER_SIDE_PX, STICKER_SIDE_PX), (STICKER_SEED,)), emit)
    image = drawn.images[0]
    if drawn.alphas:
        return make_sticker(to_rgba(image, drawn.alphas[0]))
    with context.borrow_model(context.spec_for_role("matte")) as net:
        cutout = cut_out_subject(image, net)
    return make_sticker(to_rgba(cutout.colour, cutout.alpha))


def _add_overlays(
    image: Image, layout: Layout, params: Kit, context: ToolContext, sticker: Image | None, title: str
) -> list[str]:
    """Add logo, headline and sticker; the notices say what found no place. Changes `image`."""
    text_band = None if layout.panel else find_text_band(layout, params.text_side) if params.headline else None
    notices: list[str] = []
    logo_box = find_logo_corner(layout, text_band) if params.logo is not None else None
    if params.logo is not None:
        if logo_box is None:
            notices.append(f"{title}: no corner is free for the logo, so it was left out.")
        else:
            draw_logo(image, context.open_image_with_alpha(params.logo), logo_box)
    if params.headline:
        _write_headline(image, layout, params.headline, text_band, logo_box)
    if sticker is not None:
        sticker_box = find_sticker_corner(layout, logo_box, text_band, layout.panel if params.headline else None)
        if sticker_box is None:
            notices.append(f"{title}: no corner is free for the sticker, so it was left out.")
        else:
            draw_layer(image, sticker, sticker_box)
    return notices


def _write_headline(image: Image, layout: Layout, text: str, text_band: Box | None, logo_box: Box | None) -> None:
    """Write the headline on the panel or in the band, above or below the logo. Changes `image`."""
    margin = round(LAYOUT_MARGIN_RATIO * min(layout.size))
    box = layout.panel or text_band
    assert box is not None, "a page without room for words has a panel"
    top, bottom = box.y + margin, box.y + box.height - margin
    if logo_box is not None and logo_box.overlaps(box.x, top, box.x + box.width, bottom):
        is_logo_low = logo_box.y + logo_box.height / 2 > box.y + box.height / 2
        top, bottom = (top, logo_box.y - margin) if is_logo_low else (logo_box.y + logo_box.height + margin, bottom)
    inner = Box(box.x + margin, top, max(16, box.width - 2 * margin), max(16, bottom - top))
    block = fit_text(text, inner.width, inner.height, round(_MAX_LETTER_RATIO * min(layout.size)))
    text_box = Box(inner.x, inner.y + (inner.height - block.height) // 2, min(inner.width, block.width), block.height)
    draw_text(image, block, text_box, shade_and_choose_ink(image, text_box))


TOOL = Tool(
    id="kit",
    title="Social and Marketing Kit",
    summary="A post, story, flyer or banner with a headline, in every platform's size; no face and no product is cut.",
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
