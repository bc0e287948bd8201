"""Lay out social formats: the photo's window, a free panel, and places for text, logo and sticker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Literal

from pipelines.core.geometry import Float32Array, Mask, Size, Window
from pipelines.framing.crop import (
    AUTOMATIC_FOCUS,
    CropFocus,
    ProtectedArea,
    find_crop_window,
    largest_window,
    project_area,
)
from pipelines.framing.words_on_photo import (
    LAYOUT_MARGIN_RATIO,
    LETTER_SIZES,
    MIN_LETTERS_RATIO,
    TRIM_RATIO,
    LetterSizes,
    PhotoView,
    TextHeight,
    TextSide,
    TextSize,
    WordsPlace,
    compute_equal_square_side,
    find_cells,
    find_words_place,
)
from pipelines.imaging.text import Align, PixelBox, choose_line_break

_LOGO_HEIGHT_RATIO = 0.13  # of the shorter side
_STICKER_RATIOS = (0.3, 0.22, 0.16)  # of the shorter side; the largest that has room is used
_PANEL_RATIOS = (0.30, 0.38, 0.46)  # of a format's width or height, of a panel on which text stands
_WHOLE_PANEL_RATIOS = (0.16, 0.5)  # the same, of one beside the whole photo
_WIDE_RATIO = 2.2  # width over height; above it nothing stands under the photo
_ASIDE_OFFSETS = {"left": (0.18, 0.3, 0.0), "right": (-0.18, -0.3, 0.0), "auto": (0.0, 0.18, -0.18, 0.3, -0.3)}
"""Shares of the width by which the subject stands beside the middle, to make room for words; the first is preferred."""
_CENTRE_LINES = (None, 0.34, 0.62)  # of the height, where the subject's middle may stand; None is its usual line
_MOVED_SCORE = 0.95  # of a place for words for which the subject leaves its usual place
_TINY_RATIO = 0.035  # of the typical side: smaller letters are read by nobody, so that words rather cover something
_GAP_SCORE = 0.5  # of a layout that shows the photo as a card, with panels on three sides
_THIN_SCORE = 0.3  # of a layout with one short word a line
LayoutId = Literal["auto", "over", "beside", "below"]
Cover = Literal["", "end", "part"]


@dataclass(frozen=True)
class LayoutRequest:
    """What a layout needs room for besides the photo, where its words should stand, and the manual crop."""

    headline: str = ""
    has_logo: bool = False
    side: TextSide = "auto"
    focus: CropFocus = AUTOMATIC_FOCUS
    layout: LayoutId = "auto"
    height: TextHeight = "auto"
    align: Align = "left"
    letters: TextSize = "auto"

    @property
    def sizes(self) -> LetterSizes:
        """How high the headline's letters are."""
        return LETTER_SIZES[self.letters]


@dataclass(frozen=True)
class Layout:
    """A format of `size`: which window of the photo lies where in it, the protected area, and the free panel if any.

    `words` is the place of the headline where it stands on the photo. It `covers` nothing, the lower end of a subject
    that the photo cuts there, or a part of the subject. Then `taken` (h x w, of the format) is what nothing else may
    cover, and `unshaded` (h x w, 0 to 1) on what no shade may lie.
    """

    size: Size
    protected: ProtectedArea
    photo_window: Window
    photo_position: Window
    panel: PixelBox | None = None
    words: WordsPlace | None = None
    covers: Cover = ""
    taken: Mask | None = None
    unshaded: Float32Array | None = None

    @property
    def words_side(self) -> Literal["over", "beside", "below", "above"]:
        """Where the headline stands to the photo."""
        if self.panel is None:
            return "over"
        if self.panel.y > 0:
            return "below"
        return "above" if self.panel.height < self.size[1] else "beside"


def plan_layout(
    shape: tuple[int, ...],
    protected: ProtectedArea,
    size: Size,
    request: LayoutRequest,
    view: PhotoView | None = None,
    *,
    is_cut_below: bool = False,
) -> Layout:
    """Plan a crop that fills the format and holds the protected area; else photo and panel.

    A headline stands on the photo where `view` has a place on which it can be read and which covers nothing. Where
    the subject `is_cut_below` by the photo, that place may be on its lower end. Else it stands beside the photo or
    under it: where it is large and most is seen of the photo.
    """
    if not request.headline or view is None:
        return _fill_format(shape, protected, size, request) or _place_beside_panel(
            shape, protected, size, request, 0.0, is_wide=_is_wider(size, shape)
        )
    if request.layout in ("auto", "over"):
        best = _put_words_on_photo(shape, protected, size, request, view)
        least = MIN_LETTERS_RATIO if request.layout == "over" else request.sizes.least_ratio
        if best is not None and best.words and best.words.is_as_large(size, least):
            return best
        if is_cut_below and not request.focus.is_manual:
            trimmed = _trim_lower_end(protected)
            ending = _put_words_on_photo(shape, trimmed, size, request, view.allow_covering_lower_end())
            if ending is not None and ending.words and ending.words.is_as_large(size, least):
                return replace(ending, covers="end")
        # At half the height no panel of an upright format stands: there, words lie on a thing.
        is_middle = request.height == "middle" and size[1] > size[0] and not protected.has_face
        if request.layout == "over" or is_middle:
            is_read = (
                best is not None and best.words and best.words.letters > _TINY_RATIO * compute_equal_square_side(size)
            )
            covering = None if is_read else _cover_subject(shape, protected, size, request, view, is_cut_below)
            if best := covering or best:
                return best
    else:
        best = None
    layouts = [*([best] if best else []), *_list_panels(shape, protected, size, request)]
    return max(layouts, key=lambda layout: _rate_layout(layout, request))


def _is_wider(size: Size, shape: tuple[int, ...]) -> bool:
    return size[0] / size[1] > shape[1] / shape[0]


def _fill_format(shape: tuple[int, ...], protected: ProtectedArea, size: Size, request: LayoutRequest) -> Layout | None:
    """Let the photo fill the format, with its subject where it usually stands; None where that would cut it."""
    for area in (protected, protected.without_margin()):  # the margin gives way, and still nothing is cut
        window = find_crop_window(shape, area, size[0] / size[1], focus=request.focus)
        if window is not None:
            return Layout(size, project_area(protected, window, size), window, (0, 0, *size))
    return None


def _list_windows(
    shape: tuple[int, ...], protected: ProtectedArea, size: Size, request: LayoutRequest
) -> Iterator[Window]:
    """Yield different windows that hold the subject, its usual place first, or the one that was cropped by hand."""
    seen: set[Window] = set()
    # A view without a subject has nothing to keep whole.
    find = partial(find_crop_window, ratio=size[0] / size[1], focus=request.focus, keep_whole=bool(protected.boxes))
    is_manual = request.focus.is_manual
    lines, offsets = ((None,), (0.0,)) if is_manual else (_CENTRE_LINES, _ASIDE_OFFSETS[request.side])
    for line, offset in product(lines, offsets):
        window = find(shape, protected, offset=offset, centre_line=line)
        if window is None:
            window = find(shape, protected.without_margin(), offset=offset, centre_line=line)
        if window is not None and window not in seen:
            seen.add(window)
            yield window


def _put_words_on_photo(
    shape: tuple[int, ...], protected: ProtectedArea, size: Size, request: LayoutRequest, view: PhotoView
) -> Layout | None:
    """Let the photo fill the format and put the headline on it, where that is best and covers nothing; else None."""
    best: Layout | None = None
    best_score = (False, 0.0)
    for number, window in enumerate(_list_windows(shape, protected, size, request)):
        seen = view.crop(window, shape, size)
        words = _find_place(seen, size, request)
        if words is None:
            continue
        score = words.is_legible(size), words.score * (_MOVED_SCORE if number else 1.0)
        if score > best_score:
            best_score = score
            area, unshaded = project_area(protected, window, size), view.crop_unshaded(window, shape)
            best = Layout(size, area, window, (0, 0, *size), words=words, taken=seen.taken, unshaded=unshaded)
    return best


def _find_place(view: PhotoView, size: Size, request: LayoutRequest, *, covers: bool = False) -> WordsPlace | None:
    return find_words_place(
        view,
        size,
        request.headline,
        request.side,
        request.height,
        covers=covers,
        align=request.align,
        sizes=request.sizes,
    )


def _cover_subject(
    shape: tuple[int, ...],
    protected: ProtectedArea,
    size: Size,
    request: LayoutRequest,
    view: PhotoView,
    is_cut_below: bool,
) -> Layout | None:
    """Let the photo fill the format and put the headline where it covers the least of the subject."""
    ratio = size[0] / size[1]
    line = 0.5 * protected.height / largest_window(shape, ratio)[1] if is_cut_below else None  # its top is whole
    window = find_crop_window(shape, protected, ratio, centre_line=line, focus=request.focus, keep_whole=False)
    assert window is not None, "only a whole thing may find no window"
    seen = view.crop(window, shape, size)
    words = _find_place(seen, size, request, covers=True)
    if words is None:
        return None
    return Layout(size, project_area(protected, window, size), window, (0, 0, *size), words=words, covers="part")


def _trim_lower_end(protected: ProtectedArea) -> ProtectedArea:
    """Return the area without the lower end of what the photo cuts there."""
    bottom = protected.bottom - TRIM_RATIO * protected.height
    boxes = tuple((left, top, right, min(low, bottom)) for left, top, right, low in protected.boxes)
    return replace(protected, bottom=bottom, boxes=boxes)


def _list_panels(shape: tuple[int, ...], protected: ProtectedArea, size: Size, request: LayoutRequest) -> list[Layout]:
    """List layouts with the headline on a panel beside the photo or under it, as the request allows."""
    is_wide = _is_wider(size, shape)
    directions = (is_wide, not is_wide)
    if request.layout in ("beside", "below"):
        directions = (request.layout == "beside",)
    elif request.height == "middle":  # under the photo, or above it, nothing stands at half the height
        directions = (True,)
    elif request.side != "auto" or size[0] > _WIDE_RATIO * size[1] or request.focus.is_manual:
        directions = (is_wide,)
    return [
        _place_beside_panel(shape, protected, size, request, ratio, is_wide=each)
        for each in directions
        for ratio in (*_PANEL_RATIOS, *_find_whole_panel(shape, size, is_wide=each))
    ]


def _find_whole_panel(shape: tuple[int, ...], size: Size, *, is_wide: bool) -> tuple[float, ...]:
    """Return the share of a panel beside which all of the photo is seen, from edge to edge; none of a useful size."""
    ratio = size[0] * shape[0] / (size[1] * shape[1])
    share = 1 - (1 / ratio if is_wide else ratio)
    return (share,) if _WHOLE_PANEL_RATIOS[0] <= share <= _WHOLE_PANEL_RATIOS[1] else ()


def _rate_layout(layout: Layout, request: LayoutRequest) -> float:
    """Rate a layout, 0 to 1: large words, much of the photo, and not as a card on a ground."""
    size = layout.size
    left, top, right, bottom = layout.photo_position
    if layout.words is not None:
        letters, is_thin, share = layout.words.letters, layout.words.is_thin, 1.0
    elif layout.panel is not None:
        inner = find_panel_room(layout, find_logo_corner(layout, None) if request.has_logo else None)
        chosen = choose_line_break(request.headline, inner.width, inner.height)
        letters, is_thin = (
            (min(chosen[1], request.sizes.max_ratio * min(size)), chosen[0].is_thin) if chosen else (0.0, True)
        )
        share = (right - left) * (bottom - top) / (size[0] * size[1])
    else:
        return 0.0
    is_card = right - left < size[0] and bottom - top < size[1]
    large = min(1.0, letters / (request.sizes.enough_ratio * compute_equal_square_side(size)))
    return large * (0.4 + 0.6 * share) * (_GAP_SCORE if is_card else 1.0) * (_THIN_SCORE if is_thin else 1.0)


def find_panel_room(layout: Layout, logo_box: PixelBox | None) -> PixelBox:
    """Return the part of the panel in which words may stand, above or below a logo."""
    panel, margin = layout.panel, round(LAYOUT_MARGIN_RATIO * min(layout.size))
    assert panel is not None, "a page without room for words has a panel"
    width, height = max(16, panel.width - 2 * margin), max(16, panel.height - 2 * margin)
    inner = PixelBox(panel.x + margin, panel.y + margin, width, height)
    if logo_box is None or not logo_box.overlaps(panel.x, inner.y, panel.x + panel.width, inner.y + height):
        return inner
    if logo_box.y + logo_box.height / 2 > panel.y + panel.height / 2:
        return replace(inner, height=max(16, logo_box.y - margin - inner.y))
    top = logo_box.y + logo_box.height + margin
    return replace(inner, y=top, height=max(16, inner.y + height - top))


def _place_beside_panel(
    shape: tuple[int, ...],
    protected: ProtectedArea,
    size: Size,
    request: LayoutRequest,
    min_panel: float,
    *,
    is_wide: bool,
) -> Layout:
    """Place the photo at one side of the format, or above, and a panel on the rest; nothing protected is cut.

    `min_panel` is the least share of the format's width (`is_wide`) or height that the panel takes.
    """
    part, photo_window = _fit_photo_part(shape, protected, size, min_panel, request.focus, is_wide=is_wide)
    if request.focus.zoom > 1:
        max_size = (size[0], round(size[1] * (1 - min_panel)))
        if is_wide:
            max_size = (round(size[0] * (1 - min_panel)), size[1])
        scale = request.focus.zoom * part[0] / (photo_window[2] - photo_window[0])
        part, photo_window = _zoom_photo_part(shape, protected, request.focus, scale, max_size)
    photo_is_left = is_wide and request.side == "right"
    is_above = not is_wide and bool(request.headline) and request.height == "top" and request.layout != "below"
    x, y = (size[0] - part[0]) // 2, (size[1] - part[1]) // 2
    if request.headline or request.has_logo:  # else the photo stays in the middle
        low = size[1] - part[1] if is_above else 0
        x, y = (0 if photo_is_left else size[0] - part[0], y) if is_wide else (x, low)
    return Layout(
        size,
        project_area(protected, photo_window, part, (x, y)),
        photo_window,
        (x, y, x + part[0], y + part[1]),
        _free_panel(size, part, is_wide, photo_is_left, is_above),
    )


def _fit_photo_part(
    shape: tuple[int, ...], protected: ProtectedArea, size: Size, min_panel: float, focus: CropFocus, *, is_wide: bool
) -> tuple[Size, Window]:
    """Return size and window of the photo's part of the format, as large as its shape and `min_panel` allow."""
    ratio = shape[1] / shape[0]
    part = size[0], round(min(size[0] / ratio, size[1] * (1 - min_panel)))
    if is_wide:
        part = round(min(size[1] * ratio, size[0] * (1 - min_panel))), size[1]
    photo_window = find_crop_window(shape, protected, part[0] / part[1], focus=replace(focus, zoom=1.0))
    if photo_window is not None:
        return part, photo_window
    rows, columns = shape[:2]  # what must stay whole is as large as the photo: show all of it
    scale = min(part[0] / columns, part[1] / rows)
    return (max(1, round(columns * scale)), max(1, round(rows * scale))), (0, 0, columns, rows)


def _zoom_photo_part(
    shape: tuple[int, ...], protected: ProtectedArea, focus: CropFocus, scale: float, max_size: Size
) -> tuple[Size, Window]:
    """Return part and window for a photo shown at `scale`: its part grows up to `max_size`, then its window shrinks."""
    rows, columns = shape[:2]
    part = min(max_size[0], round(columns * scale)), min(max_size[1], round(rows * scale))
    ratio = part[0] / part[1]
    zoom = max(1.0, largest_window(shape, ratio)[0] * scale / part[0])
    photo_window = find_crop_window(shape, protected, ratio, focus=replace(focus, zoom=zoom), keep_whole=False)
    assert photo_window is not None, "only a whole thing may find no window"
    return part, photo_window


def _free_panel(size: Size, part: Size, is_wide: bool, photo_is_left: bool, is_above: bool) -> PixelBox | None:
    """Return what the photo's part leaves, beside it, under it, or above it."""
    panel = PixelBox(0, 0 if is_above else part[1], size[0], size[1] - part[1])
    if is_wide:
        panel = PixelBox(part[0] if photo_is_left else 0, 0, size[0] - part[0], size[1])
    return panel if panel.width and panel.height else None


def find_logo_corner(layout: Layout, text_box: PixelBox | None) -> PixelBox | None:
    """Find the first free corner for the logo: of the panel, where there is one, else of the picture."""
    area, side = layout.panel or PixelBox(0, 0, *layout.size), round(_LOGO_HEIGHT_RATIO * min(layout.size))
    return _find_free_corner(layout, area, (round(2.2 * side), side), (text_box,))


def find_sticker_corner(layout: Layout, *taken: PixelBox | None) -> PixelBox | None:
    """Find the first free corner for a sticker, as large as there is room, where nothing `taken` lies."""
    whole = PixelBox(0, 0, *layout.size)
    sides = (round(share * min(layout.size)) for share in _STICKER_RATIOS)
    return next((box for side in sides if (box := _find_free_corner(layout, whole, (side, side), taken))), None)


def _find_free_corner(
    layout: Layout, area: PixelBox, size: Size, taken: tuple[PixelBox | None, ...]
) -> PixelBox | None:
    """Find the first corner of `area` with room for `size` that hides nothing protected and nothing `taken`."""
    margin, height = round(LAYOUT_MARGIN_RATIO * min(layout.size)), size[1]
    width = min(size[0], area.width - 2 * margin)
    right, bottom = area.x + area.width - margin - width, area.y + area.height - margin - height
    left, top = area.x + margin, area.y + margin
    for x, y in ((left, top), (right, top), (right, bottom), (left, bottom)):
        box = PixelBox(x, y, width, height)
        if width < height or _hides_subject(box, layout):
            continue
        if not any(other.overlaps(x, y, x + width, y + height) for other in taken if other is not None):
            return box
    return None


def _hides_subject(box: PixelBox, layout: Layout) -> bool:
    """Tell whether a box lies on what is protected: by its outline where that is known."""
    if layout.taken is None:
        area = layout.protected
        return box.overlaps(area.left, area.top, area.right, area.bottom)
    window = box.x, box.y, box.x + box.width, box.y + box.height
    return bool(layout.taken[find_cells(window, layout.size[::-1], layout.taken.shape)].any())
