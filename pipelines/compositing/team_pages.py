"""Portraits laid out with names: a team grid, a company page, a speaker card; knows pictures and words, no people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.geometry import Colour, Image
from pipelines.imaging.text import MIN_TEXT_CONTRAST, Box, TextBlock, contrast_ratio, draw_logo, draw_text, fit_text

PAPER: Colour = (250, 250, 248)
INK: Colour = (24, 28, 36)
SOFT_INK: Colour = (88, 94, 104)
_WHITE: Colour = (255, 255, 255)
_BLACK: Colour = (0, 0, 0)
CORNER_RADIUS_RATIO = 0.035  # of a tile's width: its corners
COLUMN_COUNTS = (
    1,
    2,
    3,
    4,
    3,
    3,
    4,
    4,
    3,
    5,
    4,
    4,
)  # by number of people, so that no row is left with one where it can be
_PAGE_MARGIN_RATIO, _GUTTER_RATIO = 0.06, 0.028  # of the page's width


@dataclass(frozen=True)
class Label:
    """Who is shown; both may be empty."""

    name: str = ""
    role: str = ""


@dataclass(frozen=True)
class Brand:
    """What the page wears: the company's colour, its logo (h x w x 4) and its name, each or none."""

    colour: Colour | None = None
    logo: Image | None = None
    title: str = ""


def parse_labels(text: str, count: int) -> tuple[Label, ...]:
    """One line a person, "Name, role"; lines end at a new line or a semicolon. As many as there are people."""
    rows = [line.strip() for line in text.replace(";", "\n").splitlines() if line.strip()]
    made = [Label(*(part.strip() for part in row.split(",", 1))) for row in rows[:count]]
    return tuple(made + [Label()] * (count - len(made)))


def text_colour_on(ground: Colour) -> Colour:
    """Ink for words on `ground`: ours or white, whichever is read better; black where neither is read well."""
    best = max((INK, _WHITE), key=lambda ink: contrast_ratio(ink, ground))
    return (
        best
        if contrast_ratio(best, ground) >= MIN_TEXT_CONTRAST
        else max((_BLACK, _WHITE), key=lambda ink: contrast_ratio(ink, ground))
    )


def secondary_text_colour(ground: Colour) -> Colour:
    """A second, quieter ink that still reaches the contrast that text must have."""
    ink = np.array(text_colour_on(ground), np.float64)
    for share in (0.30, 0.22, 0.14, 0.07):
        r, g, b = np.round(ink + share * (np.array(ground) - ink)).astype(int)
        if contrast_ratio((int(r), int(g), int(b)), ground) >= MIN_TEXT_CONTRAST:
            return int(r), int(g), int(b)
    return text_colour_on(ground)


# ---------------------------------------------------------------- grid and page


def draw_sheet(
    portraits: Sequence[Image], labels: Sequence[Label], brand: Brand, width: int, *, headed: bool, columns: int = 0
) -> Image:
    """All portraits (of one shape) in rows on light paper, `width` pixels across; `headed` puts the brand on top.

    `columns` 0: as many as suit their number.
    """
    columns = columns or COLUMN_COUNTS[len(portraits) - 1]
    rows = math.ceil(len(portraits) / columns)
    edge, gap = round(_PAGE_MARGIN_RATIO * width), round(_GUTTER_RATIO * width)
    across = min((width - 2 * edge - (columns - 1) * gap) // columns, round(0.36 * width))
    tall = round(across * portraits[0].shape[0] / portraits[0].shape[1])
    caption = _fit_captions(labels, across)
    band = round(0.15 * width) if headed else 0
    step = tall + caption.height + gap + (gap if caption.height else 0)
    page = np.empty((band + edge + rows * step - gap - (gap if caption.height else 0) + edge, width, 3), np.uint8)
    page[...] = PAPER
    if headed:
        _draw_header(page, brand, band, edge)
    for n, portrait in enumerate(portraits):
        row, column = divmod(n, columns)
        here = min(columns, len(portraits) - row * columns)
        x = (width - here * across - (here - 1) * gap) // 2 + column * (across + gap)
        y = band + edge + row * step
        _draw_tile(page, portrait, Box(x, y, across, tall))
        caption.draw(page, labels[n], x, y + tall)
    return page


@dataclass(frozen=True)
class _CaptionStyle:
    """How names and roles are set under a tile: all in one size, so that nobody is more important by a short name."""

    width: int
    name: int
    role: int

    @property
    def height(self) -> int:
        """Pixels under a tile, 0 without words."""
        return round(0.6 * self.name + 1.2 * self.name + 1.25 * self.role) if self.name else 0

    def draw(self, page: Image, label: Label, x: int, y: int) -> None:
        """Draw it; changes `page`."""
        y += round(0.6 * self.name)
        if label.name:
            _draw_line(
                page,
                label.name,
                Box(x, y, self.width, round(1.2 * self.name)),
                self.name,
                text_colour_on(PAPER),
                bold=True,
            )
        if label.role:
            y += round(1.2 * self.name)
            _draw_line(
                page,
                label.role,
                Box(x, y, self.width, round(1.25 * self.role)),
                self.role,
                secondary_text_colour(PAPER),
            )


def _fit_captions(labels: Sequence[Label], width: int) -> _CaptionStyle:
    """The largest size at which every name fits on one line, within reason."""
    names = [label.name for label in labels if label.name]
    roles = [label.role for label in labels if label.role]
    name = min((_fit_one_line(text, width, round(0.085 * width), bold=True) for text in names), default=0)
    role = min((_fit_one_line(text, width, round(0.8 * name), bold=False) for text in roles), default=0)
    return _CaptionStyle(width, name, role)


def _fit_one_line(text: str, width: int, largest: int, *, bold: bool) -> int:
    weight = "Bold" if bold else "Regular"
    for size in range(largest, 9, -1):
        if fit_text(text, width, round(1.12 * size) + 1, size, weight).size == size:
            return size
    return 10


def _draw_line(page: Image, text: str, box: Box, size: int, ink: Colour, *, bold: bool = False) -> None:
    made = fit_text(text, box.width, max(box.height, round(1.12 * size) + 1), size, "Bold" if bold else "Regular")
    draw_text(page, made, box, ink)


def _draw_header(page: Image, brand: Brand, band: int, edge: int) -> None:
    """The company's colour across the top, its name at the left, its logo at the right."""
    width = page.shape[1]
    ground = brand.colour or INK
    page[:band] = ground
    room = width - 2 * edge
    if brand.logo is not None:
        tall = round(0.46 * band)
        across = min(round(tall * brand.logo.shape[1] / brand.logo.shape[0]), round(0.3 * width))
        draw_logo(page, brand.logo, Box(width - edge - across, (band - tall) // 2, across, tall))
        room -= across + edge
    if brand.title:
        made = fit_text(brand.title, room, round(0.62 * band), round(0.36 * band))
        draw_text(page, made, Box(edge, (band - made.height) // 2, room, made.height), text_colour_on(ground))


def _draw_tile(page: Image, portrait: Image, box: Box) -> None:
    """The portrait in the box, with rounded corners; changes `page`."""
    small = crop_to_fill(portrait, box.width, box.height)
    mask = rounded_mask(box.width, box.height, CORNER_RADIUS_RATIO * box.width)[..., None]
    part = box.view(page)
    part[...] = np.asarray(small * mask + part * (1 - mask) + 0.5, np.uint8)


def crop_to_fill(image: Image, width: int, height: int) -> Image:
    """`image` filling width x height; what is left over goes at the bottom, or evenly at the sides."""
    scale = max(width / image.shape[1], height / image.shape[0])
    size = max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale))
    large = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    left = (size[0] - width) // 2
    return np.asarray(large[:height, left : left + width], np.uint8)


def rounded_mask(width: int, height: int, radius: float) -> np.ndarray:
    """1 inside a rectangle with round corners, smooth to a pixel, float32 height x width."""
    x = np.abs(np.arange(width) + 0.5 - width / 2) - (width / 2 - radius)
    y = np.abs(np.arange(height) + 0.5 - height / 2) - (height / 2 - radius)
    away = np.hypot(np.maximum(x, 0)[None], np.maximum(y, 0)[:, None])
    return np.clip(radius - away + 0.5, 0, 1).astype(np.float32)


# ---------------------------------------------------------------- card


def draw_speaker_card(portrait: Image, label: Label, brand: Brand, width: int) -> Image:
    """A speaker card of 1200 x 627 (or `width` across): words on the company's colour, the portrait at the right."""
    height = round(width * 627 / 1200)
    ground = brand.colour or INK
    image = np.empty((height, width, 3), np.uint8)
    image[...] = ground
    split = width - round(0.8 * height)
    image[:, split:] = crop_to_fill(portrait, width - split, height)
    edge = round(0.09 * height)
    room = split - 2 * edge
    _draw_brand(image, brand, edge, room)
    name = fit_text(label.name, room, round(0.36 * height), round(0.125 * height)) if label.name else None
    role = fit_text(label.role, room, round(0.20 * height), round(0.062 * height), "Regular") if label.role else None
    _draw_from_bottom(
        image,
        [(name, text_colour_on(ground)), (role, secondary_text_colour(ground))],
        Box(edge, edge, room, height - 2 * edge),
    )
    return image


def _draw_brand(image: Image, brand: Brand, edge: int, room: int) -> None:
    """The logo, else the company's name, at the top."""
    height = image.shape[0]
    if brand.logo is not None:
        tall = round(0.13 * height)
        across = min(round(tall * brand.logo.shape[1] / brand.logo.shape[0]), room)
        draw_logo(image, brand.logo, Box(edge, edge, across, tall))
    elif brand.title:
        made = fit_text(brand.title, room, round(0.16 * height), round(0.055 * height))
        draw_text(image, made, Box(edge, edge, room, made.height), text_colour_on(brand.colour or INK))


def _draw_from_bottom(image: Image, rows: Sequence[tuple[TextBlock | None, Colour]], box: Box) -> None:
    """Words that end at the box's foot, as the last line of a letter does."""
    y = box.y + box.height
    for made, ink in reversed(rows):
        if made is not None:
            y -= made.height
            draw_text(image, made, Box(box.x, y, box.width, made.height), ink)
            y -= round(0.25 * made.size)


# ---------------------------------------------------------------- brand wall


def draw_logo_wall(paper: Image, logo: Image, across: float = 0.22) -> Image:
    """`paper` with the logo set again and again, every second row shifted by half, a little out of focus."""
    height, width = paper.shape[:2]
    image = paper.copy()
    wide = max(8, round(across * min(width, height)))
    tall = max(4, min(round(wide * logo.shape[0] / logo.shape[1]), wide))
    step_x, step_y = round(1.75 * wide), round(tall + 0.8 * wide)
    layer = np.zeros((height, width, 4), np.float32)
    for row, y in enumerate(range(round(0.3 * step_y) - step_y, height + step_y, step_y)):
        for x in range(-step_x + (step_x // 2) * (row % 2), width + step_x, step_x):
            _stamp_logo(layer, logo, Box(x, y, wide, tall))
    layer = cv2.GaussianBlur(layer, (0, 0), max(0.6, 0.0024 * height))
    alpha = layer[..., 3:]
    image[...] = np.clip(layer[..., :3] + image * (1 - alpha) + 0.5, 0, 255).astype(np.uint8)
    return image


def _stamp_logo(layer: np.ndarray, logo: Image, box: Box) -> None:
    """The logo with its colours under its opacity; parts outside the picture fall away."""
    scale = min(box.width / logo.shape[1], box.height / logo.shape[0])
    size = max(1, round(logo.shape[1] * scale)), max(1, round(logo.shape[0] * scale))
    alpha = logo[..., 3:].astype(np.float32) / 255
    small = cv2.resize(np.dstack([logo[..., :3] * alpha, alpha]), size, interpolation=cv2.INTER_AREA)
    x, y = box.x + (box.width - size[0]) // 2, box.y + (box.height - size[1]) // 2
    left, top = max(0, x), max(0, y)
    right, bottom = min(layer.shape[1], x + size[0]), min(layer.shape[0], y + size[1])
    if right > left and bottom > top:
        layer[top:bottom, left:right] = small[top - y : bottom - y, left - x : right - x]
