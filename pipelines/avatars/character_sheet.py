"""Character sheet: one page with a large portrait, colour swatches, and small views of moods and poses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from pipelines.compositing.team_pages import PAPER, secondary_text_colour, text_colour_on
from pipelines.core.geometry import Colour, Image
from pipelines.imaging.text import PixelBox, draw_layer, draw_text, fit_text

_MARGIN_RATIO = 0.035  # of the page's width
_GAP_RATIO = 0.014  # of the page's width
_PORTRAIT_RATIO = 0.40  # portrait's side over the page's width
_PAGE_HEIGHT_RATIO = 0.64  # page's height over its width


class View(NamedTuple):
    """A small square picture of the character (H x W x 3 or 4) and its caption."""

    caption: str
    image: Image


def grid_size(count: int) -> tuple[int, int]:
    """Return the columns and rows of the grid for `count` views."""
    columns = 2 if count <= 4 else 3 if count <= 9 else 4
    return columns, max(1, math.ceil(count / columns))


def view_side(count: int, width: int) -> int:
    """Return the side of one view in pixels on a page of this width."""
    columns, rows = grid_size(count)
    edge, gap = round(_MARGIN_RATIO * width), round(_GAP_RATIO * width)
    bar_width = (width - 2 * edge - round(_PORTRAIT_RATIO * width) - gap - (columns - 1) * gap) // columns
    down = (round(_PAGE_HEIGHT_RATIO * width) - 2 * edge - (rows - 1) * gap) // rows - _caption_height(width)
    return max(16, min(bar_width, down))


def portrait_side(width: int) -> int:
    """Return the side of the large portrait in pixels."""
    return round(_PORTRAIT_RATIO * width) - round(_GAP_RATIO * width)


def compose_sheet(
    portrait: Image, views: Sequence[View], swatches: Sequence[Colour], title: str, line: str, width: int
) -> Image:
    """Compose the page, H x W x 3; `title` and `line` may be empty, the last of the `swatches` is the background."""
    height, edge, gap = round(_PAGE_HEIGHT_RATIO * width), round(_MARGIN_RATIO * width), round(_GAP_RATIO * width)
    sheet = np.empty((height, width, 3), np.uint8)
    sheet[...] = PAPER
    side = portrait_side(width)
    top = edge
    if title:
        box = PixelBox(edge, edge, side, round(0.055 * width))
        draw_text(sheet, fit_text(title, box.width, box.height, box.height), box, text_colour_on(PAPER))
        top += round(0.06 * width)
    side = min(side, height - top - edge - round(0.085 * width))
    _draw_tile(sheet, portrait, PixelBox(edge, top, side, side), swatches[-1])
    _draw_swatches(sheet, swatches, PixelBox(edge, top + side + gap, side, round(0.035 * width)))
    if line:
        below = top + side + 2 * gap + round(0.035 * width)
        text_block = fit_text(line, side, max(10, height - below - edge // 2), round(0.016 * width), "Regular")
        draw_text(sheet, text_block, PixelBox(edge, below, side, text_block.height), secondary_text_colour(PAPER))
    _draw_views(sheet, views, swatches[-1], edge + round(_PORTRAIT_RATIO * width), edge, gap)
    return sheet


def _draw_views(sheet: Image, views: Sequence[View], ground: Colour, left: int, edge: int, gap: int) -> None:
    height, width = sheet.shape[:2]
    columns, rows = grid_size(len(views))
    side, caption = view_side(len(views), width), _caption_height(width)
    # Centre the grid in the remaining space.
    x0 = left + (width - edge - left - columns * side - (columns - 1) * gap) // 2
    y0 = (height - rows * (side + caption) - (rows - 1) * gap) // 2
    for index, (word, image) in enumerate(views):
        x, y = x0 + index % columns * (side + gap), y0 + index // columns * (side + caption + gap)
        _draw_tile(sheet, image, PixelBox(x, y, side, side), ground)
        label = fit_text(word, side, caption, round(0.014 * width), "Regular")
        draw_text(sheet, label, PixelBox(x, y + side, side, caption), text_colour_on(PAPER), "centre")


def _caption_height(width: int) -> int:
    return round(0.022 * width)


def _draw_tile(sheet: Image, image: Image, box: PixelBox, ground: Colour) -> None:
    """Draw the picture on its background with round corners into `sheet`."""
    tile = np.full((box.height, box.width, 3), ground, np.uint8)
    if image.shape[2] == 3:
        tile = np.asarray(cv2.resize(image, (box.width, box.height), interpolation=cv2.INTER_AREA), np.uint8)
    else:
        draw_layer(tile, image, PixelBox(0, 0, box.width, box.height))
    radius = max(2, round(0.045 * box.width))
    mask = np.zeros((box.height, box.width), np.uint8)
    cv2.rectangle(mask, (radius, 0), (box.width - 1 - radius, box.height - 1), 255, -1)
    cv2.rectangle(mask, (0, radius), (box.width - 1, box.height - 1 - radius), 255, -1)
    for x in (radius, box.width - 1 - radius):
        for y in (radius, box.height - 1 - radius):
            cv2.circle(mask, (x, y), radius, 255, -1, cv2.LINE_AA)
    share = mask[..., None].astype(np.float32) / 255
    part = box.view(sheet)
    part[...] = (part + share * (tile.astype(np.float32) - part) + 0.5).astype(np.uint8)


def _draw_swatches(sheet: Image, colours: Sequence[Colour], box: PixelBox) -> None:
    """Draw each colour as a bar with its hex value into `sheet`."""
    bar_width = box.width // len(colours)
    for index, colour in enumerate(colours):
        bar = PixelBox(box.x + index * bar_width, box.y, bar_width, box.height)
        bar.view(sheet)[...] = colour
        text = "#{:02x}{:02x}{:02x}".format(*colour)
        inner = PixelBox(bar.x + 4, bar.y, max(8, bar.width - 8), bar.height)
        label = fit_text(text, inner.width, inner.height, round(0.42 * bar.height), "Regular")
        draw_text(sheet, label, inner, text_colour_on(colour), "centre")
