"""Lay out portraits with names: a team grid, a company page, a speaker card, a logo wall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.geometry import Colour, Image
from pipelines.framing.resample import paste_pixels
from pipelines.imaging.resize import resize_image
from pipelines.imaging.text import (
    MIN_TEXT_CONTRAST,
    PixelBox,
    TextBlock,
    contrast_ratio,
    draw_logo,
    draw_text,
    fit_headline,
    fit_layer,
    fit_text,
)

PAPER: Colour = (250, 250, 248)
INK: Colour = (24, 28, 36)
_WHITE: Colour = (255, 255, 255)
_BLACK: Colour = (0, 0, 0)
CORNER_RADIUS_RATIO = 0.035  # of a tile's width
# Columns by number of people: no row is left with one person where that can be avoided.
COLUMN_COUNTS = (1, 2, 3, 4, 3, 3, 4, 4, 3, 5, 4, 4)
_PAGE_MARGIN_RATIO = 0.06  # of the page's width
_GUTTER_RATIO = 0.028  # of the page's width
_WALL_LOGO_RATIO = 0.22  # of a wall's shorter side, the width of each logo


@dataclass(frozen=True)
class Label:
    """A person's name and role; both may be empty."""

    name: str = ""
    role: str = ""


@dataclass(frozen=True)
class Brand:
    """The company's colour, logo (h x w x 4) and name, each or none."""

    colour: Colour | None = None
    logo: Image | None = None
    title: str = ""


def parse_name_labels(text: str, count: int) -> tuple[Label, ...]:
    """Parse one line a person, "Name, role", ended by a new line or a semicolon: as many labels as people."""
    rows = [line.strip() for line in text.replace(";", "\n").splitlines() if line.strip()]
    labels = [Label(*(part.strip() for part in row.split(",", 1))) for row in rows[:count]]
    return tuple(labels + [Label()] * (count - len(labels)))


def text_colour_on(background: Colour) -> Colour:
    """Choose ink for text on `background`: ours or white, whichever is more legible; black where neither is."""
    best = max((INK, _WHITE), key=lambda ink: contrast_ratio(ink, background))
    if contrast_ratio(best, background) >= MIN_TEXT_CONTRAST:
        return best
    return max((_BLACK, _WHITE), key=lambda ink: contrast_ratio(ink, background))


def secondary_text_colour(background: Colour) -> Colour:
    """Choose a quieter ink that still reaches the contrast that text must have."""
    ink = np.array(text_colour_on(background), np.float64)
    for share in (0.30, 0.22, 0.14, 0.07):
        r, g, b = np.round(ink + share * (np.array(background) - ink)).astype(int)
        if contrast_ratio((int(r), int(g), int(b)), background) >= MIN_TEXT_CONTRAST:
            return int(r), int(g), int(b)
    return text_colour_on(background)


def draw_sheet(
    portraits: Sequence[Image], labels: Sequence[Label], brand: Brand, width: int, *, headed: bool, columns: int = 0
) -> Image:
    """Draw portraits of one shape in rows on light paper; `headed`: the brand on top; `columns` 0: as many as suit."""
    columns = columns or COLUMN_COUNTS[len(portraits) - 1]
    rows = math.ceil(len(portraits) / columns)
    margin, gap = round(_PAGE_MARGIN_RATIO * width), round(_GUTTER_RATIO * width)
    tile_width = min((width - 2 * margin - (columns - 1) * gap) // columns, round(0.36 * width))
    tile_height = round(tile_width * portraits[0].shape[0] / portraits[0].shape[1])
    caption = _fit_captions(labels, tile_width)
    band = round(0.15 * width) if headed else 0
    step = tile_height + caption.height + gap + (gap if caption.height else 0)
    page = np.empty((band + margin + rows * step - gap - (gap if caption.height else 0) + margin, width, 3), np.uint8)
    page[...] = PAPER
    if headed:
        _draw_header(page, brand, band, margin)
    for n, portrait in enumerate(portraits):
        row, column = divmod(n, columns)
        row_length = min(columns, len(portraits) - row * columns)
        x = (width - row_length * tile_width - (row_length - 1) * gap) // 2 + column * (tile_width + gap)
        y = band + margin + row * step
        _draw_tile(page, portrait, PixelBox(x, y, tile_width, tile_height))
        caption.draw(page, labels[n], x, y + tile_height)
    return page


@dataclass(frozen=True)
class _CaptionStyle:
    """How names and roles are set under a tile: all in one size, so that a short name looks no more important."""

    width: int
    name: int
    role: int

    @property
    def height(self) -> int:
        """Pixels under a tile, 0 without words."""
        return round(0.6 * self.name + 1.2 * self.name + 1.25 * self.role) if self.name else 0

    def draw(self, page: Image, label: Label, x: int, y: int) -> None:
        """Draw a caption; changes `page`."""
        y += round(0.6 * self.name)
        if label.name:
            box = PixelBox(x, y, self.width, round(1.2 * self.name))
            _draw_line(page, label.name, box, self.name, text_colour_on(PAPER), bold=True)
        if label.role:
            y += round(1.2 * self.name)
            box = PixelBox(x, y, self.width, round(1.25 * self.role))
            _draw_line(page, label.role, box, self.role, secondary_text_colour(PAPER))


def _fit_captions(labels: Sequence[Label], width: int) -> _CaptionStyle:
    """Find the largest size at which every name fits on one line, within reason."""
    names = [label.name for label in labels if label.name]
    roles = [label.role for label in labels if label.role]
    name = min((_fit_one_line(text, width, round(0.085 * width), bold=True) for text in names), default=0)
    role = min((_fit_one_line(text, width, round(0.8 * name), bold=False) for text in roles), default=0)
    return _CaptionStyle(width, name, role)


def _fit_one_line(text: str, width: int, largest: int, *, bold: bool) -> int:
    """Return the largest font size at which `text` fits on one line."""
    weight = "Bold" if bold else "Regular"
    for size in range(largest, 9, -1):
        if fit_text(text, width, round(1.12 * size) + 1, size, weight).size == size:
            return size
    return 10


def _draw_line(page: Image, text: str, box: PixelBox, size: int, ink: Colour, *, bold: bool = False) -> None:
    block = fit_text(text, box.width, max(box.height, round(1.12 * size) + 1), size, "Bold" if bold else "Regular")
    draw_text(page, block, box, ink)


def _draw_header(page: Image, brand: Brand, band: int, margin: int) -> None:
    """Draw the company's colour across the top, its name at the left, its logo at the right."""
    width = page.shape[1]
    background = brand.colour or INK
    page[:band] = background
    room = width - 2 * margin
    if brand.logo is not None:
        logo_height = round(0.46 * band)
        logo_width = min(round(logo_height * brand.logo.shape[1] / brand.logo.shape[0]), round(0.3 * width))
        draw_logo(
            page, brand.logo, PixelBox(width - margin - logo_width, (band - logo_height) // 2, logo_width, logo_height)
        )
        room -= logo_width + margin
    if brand.title:
        block = fit_text(brand.title, room, round(0.62 * band), round(0.36 * band))
        draw_text(
            page, block, PixelBox(margin, (band - block.height) // 2, room, block.height), text_colour_on(background)
        )


def _draw_tile(page: Image, portrait: Image, box: PixelBox) -> None:
    """Draw the portrait in the box with rounded corners; changes `page`."""
    small = crop_to_fill(portrait, box.width, box.height)
    mask = rounded_mask(box.width, box.height, CORNER_RADIUS_RATIO * box.width)[..., None]
    part = box.view(page)
    part[...] = np.asarray(small * mask + part * (1 - mask) + 0.5, np.uint8)


def crop_to_fill(image: Image, width: int, height: int) -> Image:
    """Resize `image` to fill width x height; cut what is left over at the bottom, or evenly at the sides."""
    scale = max(width / image.shape[1], height / image.shape[0])
    size = max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale))
    left = (size[0] - width) // 2
    return resize_image(image, size)[:height, left : left + width]


def rounded_mask(width: int, height: int, radius: float) -> np.ndarray:
    """Return 1 inside a rectangle with round corners, antialiased; height x width, float32."""
    x = np.abs(np.arange(width) + 0.5 - width / 2) - (width / 2 - radius)
    y = np.abs(np.arange(height) + 0.5 - height / 2) - (height / 2 - radius)
    distance = np.hypot(np.maximum(x, 0)[None], np.maximum(y, 0)[:, None])
    return np.clip(radius - distance + 0.5, 0, 1).astype(np.float32)


def draw_speaker_card(portrait: Image, label: Label, brand: Brand, width: int) -> Image:
    """Draw a speaker card `width` pixels across: text on the company's colour, the portrait at the right."""
    height = round(width * 627 / 1200)
    background = brand.colour or INK
    image = np.empty((height, width, 3), np.uint8)
    image[...] = background
    split = width - round(0.8 * height)
    image[:, split:] = crop_to_fill(portrait, width - split, height)
    margin = round(0.09 * height)
    room = split - 2 * margin
    _draw_brand(image, brand, margin, room)
    name = fit_headline(label.name, room, round(0.36 * height), round(0.125 * height)) if label.name else None
    role = (
        fit_headline(label.role, room, round(0.20 * height), round(0.062 * height), "Regular") if label.role else None
    )
    rows = [(name, text_colour_on(background)), (role, secondary_text_colour(background))]
    _draw_from_bottom(image, rows, PixelBox(margin, margin, room, height - 2 * margin))
    return image


def _draw_brand(image: Image, brand: Brand, margin: int, room: int) -> None:
    """Draw the logo, else the company's name, at the top."""
    height = image.shape[0]
    if brand.logo is not None:
        logo_height = round(0.13 * height)
        logo_width = min(round(logo_height * brand.logo.shape[1] / brand.logo.shape[0]), room)
        draw_logo(image, brand.logo, PixelBox(margin, margin, logo_width, logo_height))
    elif brand.title:
        block = fit_text(brand.title, room, round(0.16 * height), round(0.055 * height))
        draw_text(image, block, PixelBox(margin, margin, room, block.height), text_colour_on(brand.colour or INK))


def _draw_from_bottom(image: Image, rows: Sequence[tuple[TextBlock | None, Colour]], box: PixelBox) -> None:
    """Draw text that ends at the box's foot."""
    y = box.y + box.height
    for block, ink in reversed(rows):
        if block is not None:
            y -= block.height
            draw_text(image, block, PixelBox(box.x, y, box.width, block.height), ink)
            y -= round(0.25 * block.size)


def draw_logo_wall(paper: Image, logo: Image) -> Image:
    """Repeat the logo on `paper`, every second row shifted by half, a little out of focus."""
    height, width = paper.shape[:2]
    logo_width = max(8, round(_WALL_LOGO_RATIO * min(width, height)))
    logo_height = max(4, min(round(logo_width * logo.shape[0] / logo.shape[1]), logo_width))
    step_x, step_y = round(1.75 * logo_width), round(logo_height + 0.8 * logo_width)
    small, left, top = fit_layer(logo, PixelBox(0, 0, logo_width, logo_height))
    layer = np.zeros((height, width, 4), np.float32)
    for row, y in enumerate(range(round(0.3 * step_y) - step_y, height + step_y, step_y)):
        for x in range(-step_x + (step_x // 2) * (row % 2), width + step_x, step_x):
            paste_pixels(layer, small, x + left, y + top)
    layer = cv2.GaussianBlur(layer, (0, 0), max(0.6, 0.0024 * height))
    alpha = layer[..., 3:]
    return np.clip(layer[..., :3] + paper * (1 - alpha) + 0.5, 0, 255).astype(np.uint8)
