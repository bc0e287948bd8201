"""Find where a headline can stand on a photo: beside, under or over what may not be covered, where it is calm."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Float32Array, Image, Mask, Size, Window
from pipelines.imaging.resize import dilate_mask, resize_map, size_within
from pipelines.imaging.text import MAX_BLACK_SHADE, ROOM_SHARES, Align, PixelBox, choose_ink, choose_line_break

LAYOUT_MARGIN_RATIO = 0.055  # of the shorter side
MIN_LETTERS_RATIO = 0.05  # of `compute_equal_square_side`: smaller words are not read in passing
VIEW_SIDE_PX = 256  # longer side of the copy on which the subject and calm places are looked for
TAKEN_ALPHA = 0.25  # of a coarse matte: what is less opaque may be covered
TAKEN_REACH_RATIO = 0.015  # of the longer side: distance that words keep from what may not be covered
TRIM_RATIO = 0.25  # of a subject's height: as much of its end may be cut, or lie under words, where the photo cuts it
_TRIM_WIDTH_RATIO = 0.4  # of a subject's width that reaches the photo's lower edge, from which the photo cuts it there
_TAKEN_CELL_RATIO = 0.01  # of a cell, from which all of it is taken
_CELL_COUNT = 96  # along the longer side of a format, of the grid on which places are looked for
_WIDTH_SHARES = (0.8, 0.7, 0.6, 0.52, 0.45, 0.38)  # of a format's width, of a column for words
_COVERED_MIDDLE_RATIO = 0.2  # of the height: where words must lie on a subject, they leave out its middle
_MIN_AREA_RATIO = 0.1  # of a format's height: a lower place has no room for a line
_TALL_RATIO = 1.6  # height over width, from which a format is shown full screen
_TALL_MARGIN_RATIOS = (0.12, 0.16)  # of the height, above and below: there a platform's own buttons lie
_BUSY_LEVELS = 64.0  # deviation of lightness that is as busy as a place can be
_RIGHT_SCORE = 0.97  # of a place at the right: what is as good at the left is usual
_MAX_BLACK_SHADE_ON_COPY = MAX_BLACK_SHADE / 2  # thin dark lines are gone from the copy, and black words need more
_SHADE_SCORE_LOSS = 0.45  # of a place, times the shade that its ink needs: white words on a bright sky make bad weather
_BODY_SCORE_LOSSES = 2.5, 0.55  # of a place, times the share of a body under it, and at most
_HEIGHT_ZONES = {"top": (0.0, 0.4), "middle": (0.35, 0.65), "bottom": (0.6, 1.0)}
"""Shares of a format's height between which the middle of words lies that stand at the top, in the middle, below."""
_TALL_WORDS_RATIO = 0.5  # of a format's height: words as high as this stand in no third of it
_CENTRED_RATIO = 1.2  # width over height, from which words in a whole column stand at half its height
TextSide = Literal["auto", "left", "right"]
TextSize = Literal["small", "auto", "large"]
TextHeight = Literal["auto", "top", "middle", "bottom"]
_ALIGNED_EDGES: dict[Align, tuple[str, ...]] = {
    "left": ("left", "right", "all"),
    "centre": ("all",),
    "right": ("all", "right"),
}
"""Edges that an area touches in which words stand as they are aligned in the whole format, not in a column alone."""


@dataclass(frozen=True)
class LetterSizes:
    """How high a headline's letters are: `max_ratio` of the shorter side, the others of `compute_equal_square_side`.

    Larger words than `enough_ratio` are no better. Smaller ones than `least_ratio` stand on the photo only where no
    panel has room for larger ones.
    """

    max_ratio: float
    enough_ratio: float
    least_ratio: float


LETTER_SIZES: Mapping[TextSize, LetterSizes] = {
    "small": LetterSizes(0.075, 0.06, MIN_LETTERS_RATIO),
    "auto": LetterSizes(0.15, 0.105, 0.075),
    "large": LetterSizes(0.2, 0.14, 0.11),
}


def compute_equal_square_side(size: Size) -> float:
    """Return the side of a square as large as the format: how large letters look depends on it."""
    return math.sqrt(size[0] * size[1])


def find_cells(window: Window, shape: tuple[int, ...], grid: tuple[int, ...]) -> tuple[slice, slice]:
    """Return rows and columns of a smaller `grid` (h x w) that a window of a picture of `shape` (H x W) touches."""
    y, x = grid[0] / shape[0], grid[1] / shape[1]
    left, top = int(window[0] * x), int(window[1] * y)
    return slice(top, max(top + 1, math.ceil(window[3] * y))), slice(left, max(left + 1, math.ceil(window[2] * x)))


@dataclass(frozen=True)
class PhotoView:
    """A small copy of the photo (h x w each): its lightness, 0 to 255, what may not be covered, the subject's alpha.

    A body may be covered, but it is better free.
    """

    light: Float32Array
    taken: Mask
    subject: Float32Array

    def crop(self, window: Window, shape: tuple[int, ...], size: Size) -> PhotoView:
        """Return what a format of `size` shows of a photo of `shape` through `window`, as a grid."""
        part, grid = find_cells(window, shape, self.light.shape), size_within((size[1], size[0]), _CELL_COUNT)
        light, taken, subject = (
            np.asarray(cv2.resize(each[part].astype(np.float32), grid, interpolation=cv2.INTER_AREA), np.float32)
            for each in (self.light, self.taken, self.subject)
        )
        return PhotoView(light, taken > _TAKEN_CELL_RATIO, subject)

    def crop_unshaded(self, window: Window, shape: tuple[int, ...]) -> Float32Array:
        """Return on what of that part no shade may lie, 0 to 1: a head, or all of a subject that may not be covered."""
        part = find_cells(window, shape, self.light.shape)
        taken, subject = self.taken[part].astype(np.float32), self.subject[part]
        return taken * subject if (taken * subject).any() else taken

    def allow_covering_lower_end(self) -> PhotoView:
        """Return the view in which the lower end of the subject may be covered, and shaded as far again above it."""
        rows = np.flatnonzero(self.taken.any(axis=1))
        if not len(rows):
            return self
        end = TRIM_RATIO * float(rows[-1] + 1 - rows[0])
        above = rows[-1] + 1 - end - np.arange(len(self.taken), dtype=np.float32)[:, None]
        return replace(self, taken=self.taken & (above > 0), subject=self.subject * np.clip(above / end, 0, 1))


def view_photo(photo: Image, heads: Sequence[tuple[float, float, float, float]], alpha: Alpha | None) -> PhotoView:
    """View a photo (H x W x 3) in which the `heads`, boxes in pixels, may not be covered, else the subject `alpha`."""
    size = size_within(photo.shape[:2], VIEW_SIDE_PX)
    light = cv2.cvtColor(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    reach = max(1, round(TAKEN_REACH_RATIO * max(size)))
    subject = np.zeros(size[::-1], np.float32) if alpha is None else resize_map(alpha, size)
    taken = subject > TAKEN_ALPHA
    if heads:
        taken, scale = np.zeros_like(taken), size[0] / photo.shape[1]
        for left, top, right, bottom in heads:
            taken[int(top * scale) : math.ceil(bottom * scale), int(left * scale) : math.ceil(right * scale)] = True
    return PhotoView(np.asarray(light, np.float32), dilate_mask(taken, reach), subject)


def is_cut_below(alpha: Alpha) -> bool:
    """Tell whether the photo cuts its subject (H x W) at the lower edge, on a good part of its width."""
    solid = alpha > 0.5
    columns = np.flatnonzero(solid.any(axis=0))
    if not len(columns):
        return False
    edge = solid[-max(1, round(0.01 * len(solid))) :].any(axis=0)
    return float(edge.sum()) > _TRIM_WIDTH_RATIO * (columns[-1] + 1 - columns[0])


@dataclass(frozen=True)
class WordsPlace:
    """A place for words on the photo: its `box`, how large the letters are, and how good it is."""

    box: PixelBox
    letters: float
    is_thin: bool
    score: float

    def is_legible(self, size: Size) -> bool:
        """Whether the letters are large enough for a format of `size`, in lines of more than one short word."""
        return self.is_as_large(size, MIN_LETTERS_RATIO)

    def is_as_large(self, size: Size, ratio: float) -> bool:
        """Whether the letters have that share of `compute_equal_square_side`, in lines of more than one short word."""
        return not self.is_thin and self.letters >= ratio * compute_equal_square_side(size)


def find_words_place(
    view: PhotoView,
    size: Size,
    headline: str,
    side: TextSide,
    height: TextHeight = "auto",
    *,
    covers: bool = False,
    align: Align = "left",
    sizes: LetterSizes = LETTER_SIZES["auto"],
) -> WordsPlace | None:
    """Find the best place for the headline on a format of `size`, seen in `view`; None where nothing is free.

    With `covers` a place may lie on the subject, the less the better. With a `height` it lies there or nowhere. Words
    that are not at the left are centred, or at the right, in the format where they can be read there, else in a column.
    """
    areas = list(_list_areas(view, size, side, covers, is_middle=height == "middle"))
    wanted = [(area, edges) for area, edges in areas if side != "auto" or edges[0] in _ALIGNED_EDGES[align]]
    found: WordsPlace | None = None
    for some in (wanted, areas) if len(wanted) < len(areas) else (areas,):
        places = (_place_words(view, size, headline, area, edges, height, align, sizes) for area, edges in some)
        known = (place for place in places if place is not None)
        found = max(known, key=lambda place: (place.is_legible(size), place.score), default=None)
        if found is not None and found.is_legible(size):
            break
    return found


_TouchedSide = Literal["left", "right", "all"]
_TouchedEnd = Literal["top", "bottom", "all", "none"]
_TouchedEdges = tuple[_TouchedSide, _TouchedEnd]


def _list_areas(
    view: PhotoView, size: Size, side: TextSide, covers: bool, *, is_middle: bool = False
) -> Iterator[tuple[PixelBox, _TouchedEdges]]:
    """Yield the areas at an edge of the format on which nothing is taken, and the edges that they touch.

    With `covers` all but the subject's middle is free, and that too where the words are to stand there (`is_middle`).
    """
    rows, columns = view.taken.shape
    widths = [round(share * columns) for share in _WIDTH_SHARES]
    spans: list[tuple[int, int, _TouchedSide]] = [(0, columns, "all")]
    if side != "right":
        spans.extend((0, width, "left") for width in widths)
    if side != "left":
        spans.extend((columns - width, columns, "right") for width in widths)
    for first, last, across in spans:
        free: Mask = np.asarray(~view.taken[:, first:last].any(axis=1))
        if covers:
            free = np.abs(np.arange(rows) + 0.5 - rows / 2) > _COVERED_MIDDLE_RATIO * rows / 2
            free = np.ones_like(free) if is_middle else free
        for top, bottom in _list_runs(free):
            if bottom - top < _MIN_AREA_RATIO * rows:
                continue
            along: _TouchedEnd = "top" if top == 0 else "bottom" if bottom == rows else "none"
            along = "all" if (top, bottom) == (0, rows) else along
            yield _scale_box(first, top, last, bottom, (columns, rows), size), (across, along)


def _list_runs(free: Mask) -> list[tuple[int, int]]:
    """List first and last + 1 of each run of True."""
    steps = np.diff(np.concatenate([[0], free.astype(np.int8), [0]]))
    firsts, ends = np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist()
    return list(zip(firsts, ends, strict=True))


def _scale_box(left: int, top: int, right: int, bottom: int, grid: Size, size: Size) -> PixelBox:
    x, y = math.ceil(left * size[0] / grid[0]), math.ceil(top * size[1] / grid[1])
    return PixelBox(x, y, int(right * size[0] / grid[0]) - x, int(bottom * size[1] / grid[1]) - y)


def _place_words(
    view: PhotoView,
    size: Size,
    headline: str,
    area: PixelBox,
    edges: _TouchedEdges,
    wanted: TextHeight = "auto",
    align: Align = "left",
    sizes: LetterSizes = LETTER_SIZES["auto"],
) -> WordsPlace | None:
    """Place the headline at the area's edges, or as near to the `wanted` height as it has room; say how good that is.

    None where there is no room, or none at that height.
    """
    inner = _compute_text_box(area, size)
    if inner.width < 16 or inner.height < 16:
        return None
    smallest = MIN_LETTERS_RATIO * compute_equal_square_side(size)
    chosen = choose_line_break(headline, inner.width, inner.height, smallest=smallest)
    if chosen is None:
        return None
    line_break, letters = chosen
    letters = min(letters, sizes.max_ratio * min(size))
    width, height = math.ceil(line_break.width_ratio * letters), math.ceil(line_break.height_of(letters))
    x = inner.x + inner.width - width if edges[0] == "right" and align == "left" else inner.x
    x += round((inner.width - width) * ROOM_SHARES[align])
    y = inner.y if edges[1] == "top" else inner.y + inner.height - height
    if edges[1] == "none" or (edges[1] == "all" and size[0] > _CENTRED_RATIO * size[1]):
        y = inner.y + (inner.height - height) // 2
    if wanted != "auto":
        low = inner.y + inner.height - height
        y = {"top": inner.y, "middle": min(max((size[1] - height) // 2, inner.y), low), "bottom": low}[wanted]
        first, last = _HEIGHT_ZONES[wanted]
        is_bound = wanted == "middle" or height < _TALL_WORDS_RATIO * size[1]
        if is_bound and not first <= (y + height / 2) / size[1] <= last:
            return None
    box = PixelBox(max(x, inner.x), max(y, inner.y), min(width, inner.width), min(height, inner.height))
    enough = letters / (sizes.enough_ratio * compute_equal_square_side(size))
    score = _score_place(view, size, box, enough, line_break.is_thin) * (_RIGHT_SCORE if edges[0] == "right" else 1.0)
    return WordsPlace(box, letters, line_break.is_thin, score)


def _compute_text_box(area: PixelBox, size: Size) -> PixelBox:
    """Return where in an area words may stand: with a margin, wider where a platform's buttons lie."""
    margin = round(LAYOUT_MARGIN_RATIO * min(size))
    above, below = margin, margin
    if size[1] > _TALL_RATIO * size[0]:
        above, below = (round(share * size[1]) for share in _TALL_MARGIN_RATIOS)
    left, right = max(area.x, 0) + margin // (1 if area.x == 0 else 2), area.x + area.width
    right -= margin // (1 if right >= size[0] else 2)
    top = area.y + (above if area.y == 0 else margin // 2)
    bottom = area.y + area.height
    bottom -= below if bottom >= size[1] else margin // 2
    return PixelBox(left, top, right - left, bottom - top)


def _score_place(view: PhotoView, size: Size, box: PixelBox, enough: float, is_thin: bool) -> float:
    """Rate a place, 0 to 1: letters large `enough` (from 1), calm ground that needs little shade, nothing under it."""
    part = find_cells((box.x, box.y, box.x + box.width, box.y + box.height), size[::-1], view.light.shape)
    light = view.light[part]
    size_score = min(1.0, enough) ** 0.9
    calm = 1 - 0.35 * min(float(light.std()) / _BUSY_LEVELS, 1.0)
    shade = 1 - _SHADE_SCORE_LOSS * choose_ink(light, _MAX_BLACK_SHADE_ON_COPY)[1]
    low = 1.0 if box.y + box.height / 2 > size[1] / 2 else 0.95  # the eye reads the picture first, then the words
    free = (1 - float(view.taken[part].mean())) ** 4
    body = 1 - min(_BODY_SCORE_LOSSES[0] * float(view.subject[part].mean()), _BODY_SCORE_LOSSES[1])
    return size_score * calm * shade * low * free * body * (0.4 if is_thin else 1.0)
