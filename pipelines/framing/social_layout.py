"""Lay out social formats: the photo's window, a free panel, and places for text, logo and sticker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from pipelines.core.geometry import Size, Window
from pipelines.framing.crop import (
    AUTOMATIC_FOCUS,
    CropFocus,
    ProtectedArea,
    find_crop_window,
    largest_window,
    project_area,
)
from pipelines.imaging.text import Box

LAYOUT_MARGIN_RATIO = 0.055  # of the shorter side
_LOGO_HEIGHT_RATIO = 0.13  # of the shorter side
_STICKER_RATIOS = (0.3, 0.22, 0.16)  # of the shorter side; the largest that has room is used
_PANEL_RATIOS = (0.30, 0.38, 0.46)  # of a format's width or height, of a panel on which text stands
_LARGE_LETTERS_RATIO = 0.7  # of the largest letters that any layout has
_BARE_LETTERS_RATIO = 0.45  # the same, where no panel is needed
_WIDE_RATIO = 2.2  # width over height; above it nothing stands under the photo
_ASIDE_SHARES = {"left": 0.18, "right": -0.18, "auto": 0.0}  # of the width: how far the subject moves for text
TextSide = Literal["auto", "left", "right"]


@dataclass(frozen=True)
class LayoutRequest:
    """What a layout needs room for besides the photo, on which side the text stands, and the manual crop."""

    has_text: bool = False
    has_logo: bool = False
    side: TextSide = "auto"
    focus: CropFocus = AUTOMATIC_FOCUS


@dataclass(frozen=True)
class Layout:
    """A format of `size`: which window of the photo lies where in it, the protected area, and the free panel if any."""

    size: Size
    protected: ProtectedArea
    photo_window: Window
    photo_position: Window
    panel: Box | None = None


MeasureText = Callable[[Box], float]
"""Returns how large the letters of the text can be in a box, in pixels."""


def plan_layout(
    shape: tuple[int, ...],
    protected: ProtectedArea,
    size: Size,
    request: LayoutRequest,
    measure_text: MeasureText | None = None,
) -> Layout:
    """Plan a crop that fills the format and holds the protected area and room for text; else photo and panel.

    Text stands on the photo, beside it or under it: where `measure_text` finds large letters and most is seen of the
    photo. Without it the panel is as small as it may be.
    """
    offset = _ASIDE_SHARES[request.side] if request.has_text else 0.0
    photo_window = find_crop_window(shape, protected, size[0] / size[1], offset=offset, focus=request.focus)
    if photo_window is None:  # then the margin gives way, and still nothing is cut
        bare = protected.without_margin()
        photo_window = find_crop_window(shape, bare, size[0] / size[1], offset=offset, focus=request.focus)
    layouts: list[Layout] = []
    if photo_window is not None:
        layout = Layout(size, project_area(protected, photo_window, size), photo_window, (0, 0, *size))
        if not request.has_text:
            return layout
        layouts += [layout] if find_text_band(layout, request.side) else []
        if layouts and measure_text is None:
            return layout
    is_wide = size[0] / size[1] > shape[1] / shape[0]
    place = partial(_place_beside_panel, shape, protected, size, request)
    if not request.has_text or measure_text is None:
        return place(_PANEL_RATIOS[0] if request.has_text else 0.0, is_wide=is_wide)
    is_free = request.side == "auto" and size[0] <= _WIDE_RATIO * size[1] and not request.focus.is_manual
    directions = (is_wide, not is_wide) if is_free else (is_wide,)
    layouts += [place(ratio, is_wide=each) for each in directions for ratio in _PANEL_RATIOS]
    return _choose_layout(layouts, request.side, measure_text)


def _choose_layout(layouts: Sequence[Layout], side: TextSide, measure_text: MeasureText) -> Layout:
    """Choose the layout that shows most of the photo of those whose letters are nearly as large as the largest.

    Words on the photo itself, without a panel, may be smaller.
    """
    boxes = [layout.panel or find_text_band(layout, side) for layout in layouts]
    letters = [measure_text(box) if box else 0.0 for box in boxes]
    large = [
        layout for layout, each in zip(layouts, letters, strict=True) if each >= _LARGE_LETTERS_RATIO * max(letters)
    ]
    return max(large, key=lambda layout: _measure_area(layout.photo_position))


def _measure_area(window: Window) -> int:
    return (window[2] - window[0]) * (window[3] - window[1])


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
    x, y = (size[0] - part[0]) // 2, (size[1] - part[1]) // 2
    if request.has_text or request.has_logo:  # else the photo stays in the middle
        x, y = (0 if photo_is_left else size[0] - part[0], y) if is_wide else (x, 0)
    return Layout(
        size,
        project_area(protected, photo_window, part, (x, y)),
        photo_window,
        (x, y, x + part[0], y + part[1]),
        _free_panel(size, part, is_wide, photo_is_left),
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


def _free_panel(size: Size, part: Size, is_wide: bool, photo_is_left: bool) -> Box | None:
    """Return what the photo's part leaves, beside it or under it."""
    panel = Box(0, part[1], size[0], size[1] - part[1])
    if is_wide:
        panel = Box(part[0] if photo_is_left else 0, 0, size[0] - part[0], size[1])
    return panel if panel.width and panel.height else None


def find_text_band(layout: Layout, side: TextSide) -> Box | None:
    """Find the largest band beside, under or over what is protected, if it has room for text."""
    width, height = layout.size
    protected = layout.protected
    bands = {
        "left": Box(0, 0, int(protected.left), height),
        "right": Box(int(np.ceil(protected.right)), 0, width - int(np.ceil(protected.right)), height),
        "below": Box(0, int(np.ceil(protected.bottom)), width, height - int(np.ceil(protected.bottom))),
        "above": Box(0, 0, width, int(protected.top)),
    }
    candidates = [bands[name] for name in (("left", "right") if side == "auto" else (side,)) + ("below", "above")]
    # Text beside the subject needs a column, text under or over it a line.
    roomy = [b for b in candidates if b.width >= 0.34 * width and b.height >= 0.20 * height]
    best = max(roomy, key=lambda b: min(b.width / width, 1.6 * b.height / height), default=None)
    if best is None or best.height <= 0.45 * height:
        return best
    # Use the lower part of a tall band: the eye reads the picture first, then the text.
    return Box(best.x, best.y + best.height // 2, best.width, best.height - best.height // 2)


def find_logo_corner(layout: Layout, text_box: Box | None) -> Box | None:
    """Find the first free corner for the logo: of the panel, where there is one, else of the picture."""
    area, side = layout.panel or Box(0, 0, *layout.size), round(_LOGO_HEIGHT_RATIO * min(layout.size))
    return _find_free_corner(layout, area, (round(2.2 * side), side), (text_box,))


def find_sticker_corner(layout: Layout, *taken: Box | None) -> Box | None:
    """Find the first free corner for a sticker, as large as there is room, where nothing `taken` lies."""
    whole = Box(0, 0, *layout.size)
    sides = (round(share * min(layout.size)) for share in _STICKER_RATIOS)
    return next((box for side in sides if (box := _find_free_corner(layout, whole, (side, side), taken))), None)


def _find_free_corner(layout: Layout, area: Box, size: Size, taken: tuple[Box | None, ...]) -> Box | None:
    """Find the first corner of `area` with room for `size` that hides nothing protected and nothing `taken`."""
    margin, height = round(LAYOUT_MARGIN_RATIO * min(layout.size)), size[1]
    width = min(size[0], area.width - 2 * margin)
    right, bottom = area.x + area.width - margin - width, area.y + area.height - margin - height
    left, top = area.x + margin, area.y + margin
    for x, y in ((left, top), (right, top), (right, bottom), (left, bottom)):
        box = Box(x, y, width, height)
        protected = layout.protected
        if width < height or box.overlaps(protected.left, protected.top, protected.right, protected.bottom):
            continue
        if not any(other.overlaps(x, y, x + width, y + height) for other in taken if other is not None):
            return box
    return None
