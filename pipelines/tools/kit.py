"""Social and marketing kit: one picture in every platform's size, faces and products whole, words that can be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from pipelines.parts.crop import Focus, Keep, crop_of, cropped, cuts, kept, moved, window
from pipelines.parts.lettering import Box, badge, fitted, made_legible, write
from pipelines.tools import fields
from pipelines.types import (
    Alpha,
    BadInput,
    Colour,
    Draft,
    Emit,
    Image,
    Params,
    Size,
    Studio,
    Subject,
    Tool,
    Window,
    choice,
    colour,
    mask,
    number,
    picture,
    prompt,
)

PresetId = Literal["all", "post", "story", "linkedin", "banner", "x", "facebook", "youtube", "pin"]
_MARGIN = 0.055  # of the shorter side
_LOGO = 0.13  # of the shorter side, its height
_LARGEST = 0.15  # of the shorter side, a headline's letters
_MIDDLE = "What of the photo stands in the middle. 0: automatic; 0.5: the photo's middle, 1: its "


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

    photo: str = picture("Photo", "A portrait, a product, or any picture.", required=True)
    preset: PresetId = choice(
        "Platform", "One size, or all eight as files.", "all",
        labels={"all": "All eight", **{key: row.title for key, row in FORMATS.items()}}, tiles=True,
    )  # fmt: skip
    headline: str = prompt("Headline", "A few words; set where they hide nothing, dark or light as is read.",
                           max_length=120)  # fmt: skip
    logo: str | None = picture("Logo", "Best with a transparent background.")
    colour: str | None = colour("Brand colour", "Panels beside a picture that does not fill a format.")
    text_side: Literal["auto", "left", "right"] = choice(
        "Words stand", "Beside the subject.", "auto", more=True,
        labels={"auto": "Where there is room", "left": "Left", "right": "Right"},
    )  # fmt: skip
    focus_x: float = number("Focus to the right", f"{_MIDDLE}right edge.", 0.0, ge=0, le=1, step=0.005)
    focus_y: float = number("Focus down", f"{_MIDDLE}lower edge.", 0.0, ge=0, le=1, step=0.005)
    zoom: float = number("Zoom", "1 is the largest crop; 2 shows half of it either way.", 1.0, ge=1, le=4, step=0.01)
    matte: str | None = mask("Cut-out", "White keeps, black drops: what no crop may cut.")
    pick: int = number("Subject", "0: main subject or largest face; 1, 2, …: the next by size.", 0, ge=0, le=15)
    brand: str = fields.brand()
    format: fields.FileFormat = fields.file_format()
    quality: int = fields.quality()
    consent: bool = fields.consent_if()


@dataclass(frozen=True)
class Page:
    """A picture in the making: pixels, what it must not hide, which window of the photo lies where in it, and the free
    panel, if the photo leaves one.
    """

    image: Image
    keep: Keep
    box: Window
    at: Window
    panel: Box | None = None

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]


def run(params: Kit, studio: Studio, emit: Emit) -> Draft:
    """Find what must stay whole; for each format crop or lay beside a panel; then words and logo."""
    photo = studio.open(params.photo)
    faces = studio.faces(params.photo)
    keep = kept(photo.shape, faces, None if faces else _subject(params, studio, emit))
    emit("Reading the photo", 1, 1)
    ground = fields.rgb(params.colour)
    wanted = list(FORMATS) if params.preset == "all" else [params.preset]
    names = wanted[:1] if studio.draft else wanted
    pages: dict[str, Page] = {}
    notices: list[str] = []
    for n, name in enumerate(names):
        size = _scaled(FORMATS[name].size, 512 if studio.draft else 0)
        page = pages[name] = _page(photo, keep, size, ground, params)
        notices += _lettered(page, params, studio, FORMATS[name].title)
        if page.panel is not None and ground is None:
            notices.append("Where the photo does not fill a format, it goes on out of focus.")
        emit("Laying out", n + 1, len(names), page.image)
        small = min(size[0] / photo.shape[1], size[1] / photo.shape[0])
        if small * params.zoom > 1.6 and not studio.draft:
            notices.append("The photo has fewer pixels than these formats: a larger one would be sharper.")
    return Draft(
        images=tuple(page.image for page in pages.values()), exact=False,
        notices=tuple(dict.fromkeys(_cut(photo, keep, wanted, pages, params) + notices)), names=tuple(names),
        archive="all" if len(names) > 1 else "",
        crops=tuple(crop_of(photo.shape, keep, page.box, page.at, page.size) for page in pages.values()),
    )  # fmt: skip


def _cut(photo: Image, keep: Keep, wanted: list[str], pages: Mapping[str, Page], params: Kit) -> list[str]:
    """What a crop by hand cuts, also in the formats that a draft does not draw."""
    focus = _focus(params)
    if not focus.by_hand:
        return []
    ratios = {name: FORMATS[name].size[0] / FORMATS[name].size[1] for name in wanted}
    windows = {name: window(photo.shape, keep, ratio, focus=focus) for name, ratio in ratios.items()}
    windows |= {name: page.box for name, page in pages.items()}
    return cuts(keep, {FORMATS[name].title: box for name, box in windows.items() if box is not None})


def _focus(params: Kit) -> Focus:
    return Focus(params.focus_x or None, params.focus_y or None, params.zoom)


def _subject(params: Kit, studio: Studio, emit: Emit) -> Alpha | None:
    """The product's cut-out; None where nothing stands out, as in a landscape."""
    try:
        return studio.cutout(Subject(photo=params.photo, matte=params.matte, pick=params.pick), emit).alpha
    except BadInput as error:
        if error.code != "no_subject":
            raise
        return None


def _scaled(size: Size, longer: int) -> Size:
    scale = longer / max(size) if longer else 1.0
    return round(size[0] * scale), round(size[1] * scale)


def _ground(photo: Image, size: Size, colour: Colour | None) -> Image:
    """What a panel shows: the brand colour, else the photo itself, far out of focus and darker."""
    if colour is not None:
        return np.full((size[1], size[0], 3), colour, np.uint8)
    small = cv2.resize(photo, (max(2, size[0] // 40), max(2, size[1] // 40)), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small.astype(np.float32), (0, 0), 1.6) * np.float32(0.62)
    return np.clip(cv2.resize(soft, size, interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


# ---------------------------------------------------------------- the picture


def _page(photo: Image, keep: Keep, size: Size, ground: Colour | None, params: Kit) -> Page:
    aside = {"left": 0.18, "right": -0.18, "auto": 0.0}[params.text_side] if params.headline else 0.0
    box = window(photo.shape, keep, size[0] / size[1], aside=aside, focus=_focus(params))
    if box is not None:
        page = Page(cropped(photo, box, size), moved(keep, box, size), box, (0, 0, *size))
        if not params.headline or _free(page, params):
            return page
    return _beside(photo, keep, size, ground, params)


def _beside(photo: Image, keep: Keep, size: Size, ground: Colour | None, params: Kit) -> Page:
    """The photo at one side of the format, a panel on the rest: nothing that must stay whole is cut."""
    wide = size[0] / size[1] > photo.shape[1] / photo.shape[0]
    least = 0.30 if params.headline else 0.0
    part = _part(photo, keep, size, least, wide=wide)
    box = window(photo.shape, keep, part[0] / part[1], focus=_focus(params))
    if box is None:  # keep itself is as large as the photo: show all of it
        rows, columns = photo.shape[:2]
        scale = min(part[0] / columns, part[1] / rows)
        part, box = (max(1, round(columns * scale)), max(1, round(rows * scale))), (0, 0, columns, rows)
    image = _ground(photo, size, ground)
    left = wide and params.text_side == "right"
    x, y = (size[0] - part[0]) // 2, (size[1] - part[1]) // 2
    if params.headline or params.logo:  # else the photo stays in the middle
        x, y = (0 if left else size[0] - part[0], y) if wide else (x, 0)
    image[y : y + part[1], x : x + part[0]] = cropped(photo, box, part)
    panel = (
        Box(part[0] if left else 0, 0, size[0] - part[0], size[1])
        if wide
        else Box(0, part[1], size[0], size[1] - part[1])
    )
    return Page(image, moved(keep, box, part, (x, y)), box, (x, y, x + part[0], y + part[1]), panel)


def _part(photo: Image, keep: Keep, size: Size, least: float, *, wide: bool) -> Size:
    """The photo's share of the format: as much as its own shape gives, leaving the panel at least `least`."""
    ratio = photo.shape[1] / photo.shape[0]
    if wide:
        return round(min(size[1] * ratio, size[0] * (1 - least))), size[1]
    return size[0], round(min(size[0] / ratio, size[1] * (1 - least)))


# ---------------------------------------------------------------- words and logo


def _lettered(page: Page, params: Kit, studio: Studio, title: str) -> list[str]:
    """Logo and headline, in place; what could not be done is said."""
    words = None if page.panel else _free(page, params) if params.headline else None
    place = None
    if params.logo is not None:
        place = _corner(page, words)
        if place is not None:
            badge(page.image, studio.layer(params.logo), place)
    if params.headline:
        _headline(page, params, words, place)
    lost = params.logo is not None and place is None
    return [f"{title}: no corner is free for the logo, so it was left out."] if lost else []


def _headline(page: Page, params: Kit, words: Box | None, logo: Box | None) -> None:
    edge = round(_MARGIN * min(page.size))
    box = page.panel or words
    assert box is not None, "a page without room for words has a panel"
    top, bottom = box.y + edge, box.y + box.height - edge
    if logo is not None and logo.meets(box.x, top, box.x + box.width, bottom):
        below = logo.y + logo.height / 2 > box.y + box.height / 2
        top, bottom = (top, logo.y - edge) if below else (logo.y + logo.height + edge, bottom)
    inner = Box(box.x + edge, top, max(16, box.width - 2 * edge), max(16, bottom - top))
    made = fitted(params.headline, inner.width, inner.height, round(_LARGEST * min(page.size)))
    snug = Box(inner.x, inner.y + (inner.height - made.height) // 2, min(inner.width, made.width), made.height)
    write(page.image, made, snug, made_legible(page.image, snug))


def _free(page: Page, params: Kit) -> Box | None:
    """The largest band beside, under or over what must be seen, if it holds words."""
    width, height = page.size
    keep = page.keep
    bands = {
        "left": Box(0, 0, int(keep.left), height),
        "right": Box(int(np.ceil(keep.right)), 0, width - int(np.ceil(keep.right)), height),
        "below": Box(0, int(np.ceil(keep.bottom)), width, height - int(np.ceil(keep.bottom))),
        "above": Box(0, 0, width, int(keep.top)),
    }
    wanted = ("left", "right", "below", "above") if params.text_side == "auto" else (params.text_side, "below", "above")
    rows = [bands[name] for name in wanted]
    # Words beside the subject need a column, words under or over it a line.
    fit = [b for b in rows if b.width >= 0.34 * width and b.height >= 0.20 * height]
    best = max(fit, key=lambda b: min(b.width / width, 1.6 * b.height / height), default=None)
    if best is None or best.height <= 0.45 * height:
        return best
    # A tall band is used in its lower part: the eye reads picture first, words then.
    return Box(best.x, best.y + best.height // 2, best.width, best.height - best.height // 2)


def _corner(page: Page, words: Box | None) -> Box | None:
    """The first free corner for the logo: of the panel, where there is one, else of the picture."""
    area = page.panel or Box(0, 0, *page.size)
    side, edge = round(_LOGO * min(page.size)), round(_MARGIN * min(page.size))
    across = min(round(2.2 * side), area.width - 2 * edge)
    right, bottom = area.x + area.width - edge - across, area.y + area.height - edge - side
    for x, y in ((area.x + edge, area.y + edge), (right, area.y + edge), (right, bottom), (area.x + edge, bottom)):
        box = Box(x, y, across, side)
        keep = page.keep
        if across < side or box.meets(keep.left, keep.top, keep.right, keep.bottom):
            continue
        if words is None or not box.meets(words.x, words.y, words.x + words.width, words.y + words.height):
            return box
    return None


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
    ),
    limits=(
        "Where a photo does not fill a format, a panel in your colour or its own blur does",
        "A crop by hand cuts what you cut, and says so",
    ),
    examples=("astronaut", "coffee", "hopper", "chelsea"),
)
