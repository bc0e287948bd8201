"""Social and marketing kit: one picture in every platform's size, with headline, logo and sticker."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Colour, Face, Image, Size
from pipelines.core.job import ProgressCallback
from pipelines.core.params import (
    DrawnWords,
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
from pipelines.core.rendering import FONT_ASSET, RenderRequest, ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.framing.crop import (
    CropFocus,
    ProtectedArea,
    build_crop,
    crop_image,
    crop_notices,
    find_protected_area,
    largest_window,
)
from pipelines.framing.social_layout import (
    Layout,
    LayoutId,
    LayoutRequest,
    find_logo_corner,
    find_panel_room,
    find_sticker_corner,
    plan_layout,
)
from pipelines.framing.words_on_photo import (
    LETTER_SIZES,
    TextHeight,
    TextSide,
    TextSize,
    compute_equal_square_side,
    is_cut_below,
    view_photo,
)
from pipelines.imaging.fonts import FontWeight
from pipelines.imaging.resize import resize_image, resize_map, size_within
from pipelines.imaging.text import (
    BLACK_INK,
    ROOM_SHARES,
    WHITE_INK,
    WORST_SHARE,
    Align,
    PixelBox,
    draw_layer,
    draw_logo,
    draw_scrim_and_choose_ink,
    draw_text,
    fit_headline,
    make_sticker,
    shade_and_choose_ink,
    worst_contrast,
)
from pipelines.matting.cutout import cut_out_subject
from pipelines.quality.softness import ENLARGED_BEFORE_NOTICE, MAX_OWN_ENLARGEMENT, measure_own_enlargement
from pipelines.quality.subject_checks import bears_face, is_face_missing, is_scenery
from pipelines.tools.shared import form_fields
from pipelines.tools.shared.picture_operations import to_rgba

PresetId = Literal["usual", "all", "post", "story", "linkedin", "banner", "x", "facebook", "youtube", "pin"]
# One upright, one full-screen and one wide picture, for the two networks on which most people post; the story is also
# TikTok's and WhatsApp's, and LinkedIn and X show Facebook's shape nearly whole.
USUAL_FORMATS = ("post", "story", "facebook")
FIGURE_MODEL_ID = "mini"  # the built-in model, which draws figures without a background
STICKER_SIDE_PX = 512
STICKER_SEED = 1  # always the same, so that a draft and its result have the same sticker
_MIN_PANEL_LETTERS_RATIO = 0.3  # of the largest letters: smaller ones on a panel are broken at every word
LOWER_END_NOTICE = "The words lie on the lower end of the subject, where your photo cuts it off: {}."
COVERED_NOTICE = (
    "{}: the words cover a part of the subject, or the format cuts it. Beside or below the photo neither happens."
)
SMALL_WORDS_NOTICE = "{}: large words have no room here. Fewer words or another layout make them larger."
OUT_OF_FOCUS_NOTICE = (
    "Where the photo does not fill a format, it goes on out of focus, or lies before itself out of focus."
)
FEW_PIXELS_NOTICE = "The photo has fewer pixels than these formats: a larger one would be sharper."
_MAX_ENLARGEMENT = 1.6  # times the photo, above which a notice asks for a larger one
_EDGE_RATIO = 0.08  # of the photo's part, at the panel: how it looks there decides whether its ground goes on
_CALM_STD = 12.0  # of 255, along the way to the panel; walls, skies, water and lawns out of focus have less
_BUSY_STD = 30.0  # the same of one row of pixels along the seam, in which something stands
_CALM_SEAM_STD = 24.0  # the same along a seam above or below: what differs there goes on as upright stripes
_SEAM_BLUR_RATIO = 0.02  # of the seam's length, sigma of the ground at the seam
_CARD_BLUR_RATIO = 0.05  # the same beside a photo whose ground need not be calm
_FAR_BLUR_RATIO = 0.2  # of the seam's length, sigma of the ground at the panel's end: no bands go through all of it
_FADE_EDGE_COUNT = 3  # edges of `_EDGE_RATIO` within which the photo goes over into the ground that goes on
_CUT_SIDE_RATIO = 0.5  # of a subject's height along which the photo cuts it: it is not whole, so a crop may cut it, too
_BACKDROP_BLUR_RATIO = 0.07  # of the format's shorter side, sigma of the photo that fills a format behind itself
_BACKDROP_LIGHT, _WORDS_BACKDROP_LIGHT = 0.85, 0.66  # times the photo's levels; darker where words may lie on it
_BACKDROP_STEP_PX = 8  # of the format, a pixel of the small copy that is blurred
_CARD_SHADOW_RATIO, _CARD_SHADOW = 0.03, 0.45  # of the shorter side, sigma of the photo's shadow; how dark it is
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

FORMAT_SETS: dict[str, tuple[str, ...]] = {"usual": USUAL_FORMATS, "all": tuple(FORMATS)}

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


HeadlineColour = Literal["auto", "white", "black", "brand"]
HeadlineAlign = Literal["auto", "left", "centre", "right"]
HeadlineFont = Literal["bold", "regular"]
PLACE_UNUSED_NOTICE = "The headline stands below the photo, as you chose: its height is not followed."
NO_BRAND_COLOUR_NOTICE = "No brand colour is chosen, so the headline is black or white."
_FONT_WEIGHTS: Mapping[HeadlineFont, FontWeight] = {"bold": "Bold", "regular": "Regular"}


class Kit(Params):
    """The form."""

    photo: str = picture_field("Photo", "A portrait, a product, or any picture.", required=True)
    headline: DrawnWords = prompt_field(
        "Headline",
        "A few words.",
        max_length=120,
        is_drawn=True,
    )
    headline_colour: HeadlineColour = choice_field(
        "Headline colour",
        "Automatic: black or white, whichever is easier to read. The ground is shaded as much as the colour needs.",
        "auto",
        labels={"auto": "Automatic", "white": "White", "black": "Black", "brand": "Brand"},
    )
    headline_place: TextHeight = choice_field(
        "Headline height",
        "Best: where it can be read and covers least. In the middle it may cover the subject, or stand by it.",
        "auto",
        labels={"auto": "Best", "top": "High", "middle": "Middle", "bottom": "Low"},
    )
    layout: LayoutId = choice_field(
        "Headline position",
        "Automatic: on it where it can be read and covers no face, and of a product at most a lower end that the "
        "photo cuts; else beside or below it. On photo: it may cover a part of the subject.",
        "auto",
        labels={"auto": "Automatic", "over": "On photo", "beside": "Beside", "below": "Below"},
    )
    headline_size: TextSize = choice_field(
        "Headline size",
        "Of its letters. Large words stand beside or below the photo where they have no room on it.",
        "auto",
        labels={"small": "Small", "auto": "Usual", "large": "Large"},
    )
    headline_align: HeadlineAlign = choice_field(
        "Headline alignment",
        "Of its lines, and of all of it where there is room. It stands at the photo's side where it covers less there.",
        "auto",
        advanced=True,
        labels={"auto": "Best", "left": "Left", "centre": "Centre", "right": "Right"},
    )
    headline_font: HeadlineFont = choice_field(
        "Headline font",
        "Source Sans, bold or regular. Signs of other scripts and emoji are always bold.",
        "bold",
        advanced=True,
        labels={"bold": "Bold", "regular": "Regular"},
    )
    preset: PresetId = choice_field(
        "Platform",
        "One picture in a platform's size, or several at once. Post and story are Instagram's; the story is for TikTok "
        "too, Pin for Pinterest.",
        "all",
        labels={
            "usual": "3 pictures: post, story, Facebook",
            "all": "All 8 pictures",
            **{key: row.title for key, row in FORMATS.items()},
        },
        tiles=True,
        start="usual",
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
    names = find_formats(params.formats) or FORMAT_SETS.get(params.preset, (params.preset,))
    photo = context.open_image(params.photo)
    faces = context.detect_faces(params.photo)
    subject = _find_subject(params, context) if _needs_subject(params, faces, context) else None
    is_kept = _is_chosen(params) or not _may_be_cut(subject, faces, params.pick)
    protected = find_protected_area(photo.shape, faces, subject if is_kept else None)
    emit("Reading the photo", 1, 1)
    all_layouts = _plan_layouts(photo, protected, subject, params, names, draft=context.draft)
    sticker = None
    if params.sticker:  # cached, so that a crop that is dragged does not draw it again
        sticker = context.memoize(("sticker", params.sticker), lambda: _draw_sticker(params, context, emit))
    layouts = dict(list(all_layouts.items())[:1]) if context.draft else all_layouts
    images: list[Image] = []
    contrasts: list[float | None] = []
    notices = _cover_notices(all_layouts, "end", LOWER_END_NOTICE)
    covered = _cover_notices(all_layouts, "part", COVERED_NOTICE)
    if _crop_focus(params).is_manual:  # the automatic crop cuts nothing
        windows = {FORMATS[name].title: row.photo_window for name, row in all_layouts.items()}
        notices = crop_notices(protected, windows) + notices
    notices = covered + notices
    for name, layout in layouts.items():
        colour = form_fields.parse_rgb(params.colour)
        image = _lay_out_photo(photo, layout, colour, has_words=bool(params.headline))
        contrast, missing = _add_overlays(image, layout, params, context, sticker, FORMATS[name].title)
        notices += missing
        contrasts.append(contrast)
        images.append(image)
        if layout.panel is not None and params.colour is None:
            notices.append(OUT_OF_FOCUS_NOTICE)
        emit("Laying out", len(images), len(layouts), image)
    if params.headline and params.headline_colour == "brand" and params.colour is None:
        notices.append(NO_BRAND_COLOUR_NOTICE)
    if params.headline and params.layout == "below" and params.headline_place in ("top", "middle"):
        notices.append(PLACE_UNUSED_NOTICE)
    notices += [] if context.draft else _softness_notices(photo, protected, list(layouts.values()), params.zoom)
    return ToolOutput(
        images=tuple(images),
        exact=False,
        notices=tuple(dict.fromkeys(notices)),
        names=tuple(layouts),
        assets=(FONT_ASSET,) if params.headline else (),
        keeps_words=True,
        layout_doubts=tuple(covered),
        archive_name="" if len(layouts) < 2 else "all" if len(layouts) == len(FORMATS) else "formats",
        crops=tuple(
            replace(
                build_crop(photo.shape, protected, layout.photo_window, layout.photo_position, layout.size),
                words=layout.words_side if params.headline else "",
                words_contrast=contrast,
            )
            for layout, contrast in zip(layouts.values(), contrasts, strict=True)
        ),
        draft_part="first" if len(layouts) < len(all_layouts) else None,
    )


def _softness_notices(
    photo: Image, protected: ProtectedArea, layouts: Sequence[Layout], zoom: float
) -> tuple[str, ...]:
    """Say that the photo is too small for a format, or soft in one; it is looked at only where that may be."""
    height, width = photo.shape[:2]
    scales = [min(layout.size[0] / width, layout.size[1] / height) * zoom for layout in layouts]
    few = (FEW_PIXELS_NOTICE,) if max(scales) > _MAX_ENLARGEMENT else ()
    largest = max((scale for scale in scales if scale <= _MAX_ENLARGEMENT), default=0.0)
    if largest * MAX_OWN_ENLARGEMENT <= _MAX_ENLARGEMENT:
        return few
    whole = protected.without_margin()  # what is looked at: heads or the subject, else all of the photo
    box = (whole.left, whole.top, whole.right, whole.bottom) if protected.boxes else (0, 0, width, height)
    is_soft = measure_own_enlargement(photo, box) * largest > _MAX_ENLARGEMENT
    return (*few, ENLARGED_BEFORE_NOTICE) if is_soft else few


def _plan_layouts(
    photo: Image, protected: ProtectedArea, subject: Alpha | None, params: Kit, names: Sequence[str], *, draft: bool
) -> dict[str, Layout]:
    """Plan every format that was asked for, also where a draft shows only the first."""
    request = LayoutRequest(
        params.headline,
        params.logo is not None,
        params.text_side,
        _crop_focus(params),
        params.layout,
        params.headline_place,
        letters=params.headline_size,
    )
    view = view_photo(photo, protected.boxes if protected.has_face else (), subject) if params.headline else None
    is_cut = subject is not None and not protected.has_face and is_cut_below(subject)
    sizes = {name: _scale_size(FORMATS[name].size, form_fields.DRAFT_SIDE_PX if draft else 0) for name in names}
    return {
        name: plan_layout(
            photo.shape,
            protected,
            size,
            replace(request, align=_choose_align(params, size)),
            view,
            is_cut_below=is_cut,
        )
        for name, size in sizes.items()
    }


def _cover_notices(layouts: Mapping[str, Layout], kind: str, sentence: str) -> list[str]:
    titles = [FORMATS[name].title for name, row in layouts.items() if row.covers == kind]
    return [sentence.format(", ".join(titles))] if titles else []


def _crop_focus(params: Kit) -> CropFocus:
    return CropFocus(params.focus_x or None, params.focus_y or None, params.zoom)


def _find_subject(params: Kit, context: ToolContext) -> Alpha | None:
    """Find where the product is, coarsely, as it is not cut out; None where there is no subject, as in a landscape."""
    try:
        _, alpha = context.cut_out_coarsely(subject_of(params), form_fields.DRAFT_SIDE_PX)
    except BadInput as error:
        if error.code != "no_subject":
            raise
        return None
    return resize_map(alpha, context.open_image(params.photo).shape[1::-1]) if (alpha > 0.5).any() else None


def _needs_subject(params: Kit, faces: Sequence[Face], context: ToolContext) -> bool:
    """Say whether the subject has to be found: not where the quick net alone sees the body of a face."""
    if params.headline or not faces or _is_chosen(params):
        return True

    def predict() -> Image:
        photo = context.open_image(params.photo)
        small = resize_image(photo, size_within(photo.shape, form_fields.DRAFT_SIDE_PX))
        with context.borrow_model(context.spec_for_role("matte")) as net:
            return np.asarray(255 * net.predict_alpha(small)[..., None] + 0.5, np.uint8)

    bytes_seen = context.memoize(("kit body", params.photo), predict)[..., 0]
    seen = np.asarray(bytes_seen / 255, np.float32)
    scale = seen.shape[1] / context.open_image(params.photo).shape[1]
    return not _is_person(seen, [face.scaled(scale) for face in faces], params.pick)


def _is_chosen(params: Kit) -> bool:
    """Say whether somebody chose what must stay whole, be it a person's body."""
    return subject_of(params).is_pointed or params.matte is not None or params.pick > 0


def _may_be_cut(subject: Alpha | None, faces: Sequence[Face], pick: int) -> bool:
    """Say whether a crop may cut the subject: somebody's body, or land that the photo cuts, too."""
    if not faces and subject is not None:
        return is_scenery(subject) or _is_cut_at_side(subject)
    return _is_person(subject, faces, pick)


def _is_cut_at_side(subject: Alpha) -> bool:
    """Say whether the photo cuts the subject (H x W) left or right along much of its height: a hill, half a car."""
    mask = subject > 0.5
    height = int(np.ptp(np.flatnonzero(mask.any(axis=1)))) + 1
    return bool(max(mask[:, 0].sum(), mask[:, -1].sum()) > _CUT_SIDE_RATIO * height)


def _is_person(subject: Alpha | None, faces: Sequence[Face], pick: int) -> bool:
    """Say whether the subject is somebody, whose body may be cut, and no thing beside a face or with one on it."""
    if not faces:
        return False
    face = faces[pick if pick < len(faces) else 0]
    return subject is None or not (is_face_missing(subject, face) or bears_face(subject, face))


def _scale_size(size: Size, longer_px: int) -> Size:
    scale = longer_px / max(size) if longer_px else 1.0
    return round(size[0] * scale), round(size[1] * scale)


def _panel_picture(photo: Image, size: Size, colour: Colour | None, light: float) -> Image:
    """Fill a format with the brand colour, else with the photo itself, blurred, its levels times `light`."""
    if colour is not None:
        return np.full((size[1], size[0], 3), colour, np.uint8)
    window = largest_window(photo.shape, size[0] / size[1])
    left, top = (photo.shape[1] - window[0]) // 2, (photo.shape[0] - window[1]) // 2
    small_size = max(2, size[0] // _BACKDROP_STEP_PX), max(2, size[1] // _BACKDROP_STEP_PX)
    small = crop_image(photo, (left, top, left + window[0], top + window[1]), small_size).astype(np.float32)
    sigma = max(1.0, _BACKDROP_BLUR_RATIO * min(small_size))
    blurred = cv2.GaussianBlur(small, (0, 0), sigma) * np.float32(light)
    return np.clip(cv2.resize(blurred, size, interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def _lay_out_photo(photo: Image, layout: Layout, colour: Colour | None, *, has_words: bool = True) -> Image:
    """Crop the photo to its window and put it in its place.

    Where its ground goes on out of focus no strip is seen beside it. A photo over whose whole width panels lie, whose
    ground is not calm there, lies with sharp edges before itself: upright stripes look like a fault.
    """
    x, y, right, bottom = layout.photo_position
    part = crop_image(photo, layout.photo_window, (right - x, bottom - y))
    if (right - x, bottom - y) == layout.size:
        return part
    backdrop = _panel_picture(photo, layout.size, colour, _WORDS_BACKDROP_LIGHT if has_words else _BACKDROP_LIGHT)
    image = backdrop.copy()
    image[y:bottom, x:right] = part
    if colour is not None or _continue_ground(image, layout) or not 0 < y < bottom < layout.size[1]:
        return image
    _cast_card_shadow(backdrop, layout)
    backdrop[y:bottom, x:right] = part
    return backdrop


def _cast_card_shadow(backdrop: Image, layout: Layout) -> None:
    """Darken the backdrop softly around the photo's place. Changes `backdrop`."""
    x, y, right, bottom = layout.photo_position
    sigma = _CARD_SHADOW_RATIO * min(layout.size)
    # A blurred box is the product of two blurred spans.
    spans = [np.zeros((length, 1), np.float32) for length in layout.size]
    spans[0][x:right] = spans[1][y:bottom] = 1
    columns, rows = (cv2.GaussianBlur(span, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) for span in spans)
    shade = 1 - _CARD_SHADOW * rows * columns.T
    backdrop[:] = np.rint(backdrop * shade[..., None])


def _continue_ground(image: Image, layout: Layout) -> bool:
    """Continue the photo's ground out of focus over the panels on its sides; whether all were filled.

    Over the panels above and below it, and over one at one side, on which words may stand, only where it is calm; over
    panels on both sides always. Changes `image`.
    """
    x, y, right, bottom = layout.photo_position
    height, width = image.shape[:2]
    protected, rows = layout.protected, image[y:bottom]
    is_card = 0 < x < right < width
    is_left = x == 0 or _continue_ground_left(rows[:, :right], x, protected.left - x, is_card=is_card)
    rows = rows[:, (0 if is_left else x) :][:, ::-1]
    is_right = right == width or _continue_ground_left(rows, width - right, right - protected.right, is_card=is_card)
    if not (is_left and is_right):
        return False
    turned = image.transpose(1, 0, 2)  # the panel above becomes one at the left
    is_top = y == 0 or _continue_ground_left(turned[:, :bottom], y, protected.top - y, is_upright=True)
    turned = turned[:, (0 if is_top else y) :][:, ::-1]
    room = bottom - protected.bottom
    return is_top and (bottom == height or _continue_ground_left(turned, height - bottom, room, is_upright=True))


def _continue_ground_left(
    turned: Image, start: int, room: float, *, is_card: bool = False, is_upright: bool = False
) -> bool:
    """Continue the ground of a picture's right part over its first `start` columns, if it is calm at the seam.

    `room` is how many columns after the seam are free. Beside a photo that has panels on both sides (`is_card`) it is
    always done: no words lie there. In a picture that is turned (`is_upright`) it is to be calm along the seam too.
    Changes `turned`.
    """
    edge = turned[:, start : start + max(4, round(_EDGE_RATIO * (turned.shape[1] - start)))].astype(np.float32)
    edge = edge[:, : max(4, int(room))] if is_card else edge
    mean = edge.mean(axis=1, keepdims=True)
    is_striped = is_upright and float(mean.std(axis=0).max()) > _CALM_SEAM_STD
    is_calm = room >= edge.shape[1] and not is_striped and float((edge - mean).std()) <= _CALM_STD
    if not (is_card or is_calm):
        return False
    near, far = (
        cv2.GaussianBlur(mean, (0, 0), sigmaX=1, sigmaY=ratio * len(mean), borderType=cv2.BORDER_REPLICATE)
        for ratio in (_CARD_BLUR_RATIO if is_card else _SEAM_BLUR_RATIO, _FAR_BLUR_RATIO)
    )
    # Into the photo as far as its ground goes, so that it ends in no line, and not over what stands on it.
    seam = turned[:, start : start + max(1, min(int(room), _FADE_EDGE_COUNT * edge.shape[1]))]
    is_busy = (seam - mean).std(axis=(0, 2)) > _BUSY_STD
    seam = seam[:, : max(edge.shape[1], int(is_busy.argmax()))] if is_busy.any() else seam
    fade = np.linspace(0, 1, seam.shape[1], dtype=np.float32)[None, :, None]
    seam[:] = near + fade * fade * (3 - 2 * fade) * (seam - near) + np.float32(0.5)
    fade = np.linspace(0, 1, start, dtype=np.float32)[None, :, None]
    # Noise of one level in place of steps that are seen as bands.
    noise = np.random.default_rng(_NOISE_SEED).random((*turned[:, :start].shape[:2], 1), np.float32)
    turned[:, :start] = far + fade * (near - far) + noise
    return True


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
) -> tuple[float | None, list[str]]:
    """Add logo, headline and sticker; the words' contrast, and notices of what found no place. Changes `image`."""
    words_box = layout.words.box if layout.words else None
    notices: list[str] = []
    logo_box = find_logo_corner(layout, words_box) if params.logo is not None else None
    if params.logo is not None and logo_box is None:
        notices.append(f"{title}: no corner is free for the logo, so it was left out.")
    contrast = None
    if params.headline:
        contrast, letters_px = _write_headline(image, layout, params, logo_box)
        least_px = LETTER_SIZES["large"].least_ratio * compute_equal_square_side(layout.size)
        if params.headline_size == "large" and letters_px < least_px:
            notices.append(SMALL_WORDS_NOTICE.format(title))
    if params.logo is not None and logo_box is not None:  # after the shade under the words, which lies on it else
        draw_logo(image, context.open_image_with_alpha(params.logo), logo_box)
    if sticker is not None:
        sticker_box = find_sticker_corner(layout, logo_box, words_box, layout.panel if params.headline else None)
        if sticker_box is None:
            notices.append(f"{title}: no corner is free for the sticker, so it was left out.")
        else:
            draw_layer(image, sticker, sticker_box)
    return contrast, notices


def _choose_align(params: Kit, size: Size) -> Align:
    """Return how the headline is aligned in a format of `size`: where that is not said, an upright one is centred."""
    if params.headline_align != "auto":
        return params.headline_align
    return "centre" if size[1] >= size[0] else "left"


def _write_headline(image: Image, layout: Layout, params: Kit, logo_box: PixelBox | None) -> tuple[float, int]:
    """Write the headline on the photo or on the panel; return its contrast and its letters' size. Changes `image`."""
    text, weight = params.headline, _FONT_WEIGHTS[params.headline_font]
    inks = {"white": WHITE_INK, "black": BLACK_INK, "brand": form_fields.parse_rgb(params.colour)}
    chosen_ink = inks.get(params.headline_colour)  # None follows the ground
    largest = round(LETTER_SIZES[params.headline_size].max_ratio * min(layout.size))
    align = _choose_align(params, layout.size)
    if layout.words is not None:
        box = layout.words.box
        block = fit_headline(text, box.width, box.height, largest, weight)
        ink = draw_scrim_and_choose_ink(image, box, layout.unshaded, chosen_ink)
    else:
        inner = find_panel_room(layout, logo_box)
        smallest = _MIN_PANEL_LETTERS_RATIO * largest
        block = fit_headline(text, inner.width, inner.height, largest, weight, smallest)
        free = inner.height - block.height
        on_panel = params.headline_place if layout.words_side == "beside" else "auto"
        y = inner.y + {"top": 0, "bottom": free}.get(on_panel, free // 2)
        width = min(inner.width, block.width)
        x = inner.x + round((inner.width - width) * ROOM_SHARES[align])
        box = PixelBox(x, y, width, block.height)
        ink = shade_and_choose_ink(image, box, WORST_SHARE, chosen_ink)
    contrast = worst_contrast(ink, box.view(image), WORST_SHARE)
    draw_text(image, block, box, ink, align)
    return contrast, block.size


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
    has_photo_tiles=False,
)
