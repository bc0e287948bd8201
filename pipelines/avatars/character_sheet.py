"""One character on one page: large, in its colours, and small in every mood and pose; knows pictures and words only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from pipelines.compositing.team_pages import PAPER, secondary_text_colour, text_colour_on
from pipelines.core.geometry import Colour, Image
from pipelines.imaging.text import Box, draw_layer, draw_text, fit_text

_MARGIN_RATIO, _GAP_RATIO = 0.035, 0.014  # of the page's width
_PORTRAIT_RATIO = 0.40  # of the page's width
_PAGE_HEIGHT_RATIO = 0.64  # the page's height, of its width


class View(NamedTuple):
    """A small picture of the character (RGBA or RGB, square) and the word under it."""

    caption: str
    image: Image


def grid_size(count: int) -> tuple[int, int]:
    """Columns and rows for so many views beside the large picture."""
    columns = 2 if count <= 4 else 3 if count <= 9 else 4
    return columns, max(1, math.ceil(count / columns))


def view_side(count: int, width: int) -> int:
    """Pixels of one view's side on a page so wide."""
    columns, rows = grid_size(count)
    edge, gap = round(_MARGIN_RATIO * width), round(_GAP_RATIO * width)
    across = (width - 2 * edge - round(_PORTRAIT_RATIO * width) - gap - (columns - 1) * gap) // columns
    down = (round(_PAGE_HEIGHT_RATIO * width) - 2 * edge - (rows - 1) * gap) // rows - _caption_height(width)
    return max(16, min(across, down))


def portrait_side(width: int) -> int:
    """Pixels of the large picture's side."""
    return round(_PORTRAIT_RATIO * width) - round(_GAP_RATIO * width)


def compose_sheet(
    main: Image, views: Sequence[View], swatches: Sequence[Colour], title: str, line: str, width: int
) -> Image:
    """H x W x 3. `main` is RGBA or RGB; `swatches` are its colours, the ground's last, which lies behind all pictures.

    `title` heads the page and `line` stands under the large picture; both may be empty.
    """
    height, edge, gap = round(_PAGE_HEIGHT_RATIO * width), round(_MARGIN_RATIO * width), round(_GAP_RATIO * width)
    sheet = np.empty((height, width, 3), np.uint8)
    sheet[...] = PAPER
    side = portrait_side(width)
    top = edge
    if title:
        box = Box(edge, edge, side, round(0.055 * width))
        draw_text(sheet, fit_text(title, box.width, box.height, box.height), box, text_colour_on(PAPER))
        top += round(0.06 * width)
    side = min(side, height - top - edge - round(0.085 * width))
    _draw_tile(sheet, main, Box(edge, top, side, side), swatches[-1])
    _draw_swatches(sheet, swatches, Box(edge, top + side + gap, side, round(0.035 * width)))
    if line:
        below = top + side + 2 * gap + round(0.035 * width)
        made = fit_text(line, side, max(10, height - below - edge // 2), round(0.016 * width), "Regular")
        draw_text(sheet, made, Box(edge, below, side, made.height), secondary_text_colour(PAPER))
    _draw_views(sheet, views, swatches[-1], edge + round(_PORTRAIT_RATIO * width), edge, gap)
    return sheet


def _draw_views(sheet: Image, views: Sequence[View], ground: Colour, left: int, edge: int, gap: int) -> None:
    height, width = sheet.shape[:2]
    columns, rows = grid_size(len(views))
    side, caption = view_side(len(views), width), _caption_height(width)
    # What is left over lies evenly around the grid.
    x0 = left + (width - edge - left - columns * side - (columns - 1) * gap) // 2
    y0 = (height - rows * (side + caption) - (rows - 1) * gap) // 2
    for n, (word, image) in enumerate(views):
        x, y = x0 + n % columns * (side + gap), y0 + n // columns * (side + caption + gap)
        _draw_tile(sheet, image, Box(x, y, side, side), ground)
        box = Box(x, y + side, side, caption)
        draw_text(
            sheet,
            fit_text(word, box.width, box.height, round(0.014 * width), "Regular"),
            box,
            text_colour_on(PAPER),
            "centre",
        )


def _caption_height(width: int) -> int:
    return round(0.022 * width)


def _draw_tile(sheet: Image, image: Image, box: Box, ground: Colour) -> None:
    """The picture on its ground, with round corners; changes `sheet`."""
    tile = np.full((box.height, box.width, 3), ground, np.uint8)
    if image.shape[2] == 3:
        tile = np.asarray(cv2.resize(image, (box.width, box.height), interpolation=cv2.INTER_AREA), np.uint8)
    else:
        draw_layer(tile, image, Box(0, 0, box.width, box.height))
    round_ = max(2, round(0.045 * box.width))
    mask = np.zeros((box.height, box.width), np.uint8)
    cv2.rectangle(mask, (round_, 0), (box.width - 1 - round_, box.height - 1), 255, -1)
    cv2.rectangle(mask, (0, round_), (box.width - 1, box.height - 1 - round_), 255, -1)
    for x in (round_, box.width - 1 - round_):
        for y in (round_, box.height - 1 - round_):
            cv2.circle(mask, (x, y), round_, 255, -1, cv2.LINE_AA)
    share = mask[..., None].astype(np.float32) / 255
    part = box.view(sheet)
    part[...] = (part + share * (tile.astype(np.float32) - part) + 0.5).astype(np.uint8)


def _draw_swatches(sheet: Image, colours: Sequence[Colour], box: Box) -> None:
    """Each colour as a bar with its value in it; changes `sheet`."""
    across = box.width // len(colours)
    for n, colour in enumerate(colours):
        bar = Box(box.x + n * across, box.y, across, box.height)
        bar.view(sheet)[...] = colour
        text = "#{:02x}{:02x}{:02x}".format(*colour)
        inner = Box(bar.x + 4, bar.y, max(8, bar.width - 8), bar.height)
        draw_text(sheet, fit_text(text, inner.width, inner.height, round(0.42 * bar.height), "Regular"), inner, text_colour_on(colour),
              "centre")  # fmt: skip
