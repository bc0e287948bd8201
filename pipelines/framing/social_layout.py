"""Where a window of a photo, a panel, words and a logo lie in a format; knows boxes, draws nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
_LOGO_HEIGHT_RATIO = 0.13  # of the shorter side, its height
_STICKER_RATIOS = (0.3, 0.22, 0.16)
_MIN_PANEL_RATIO = 0.30  # of a format, at least, where words stand on a panel
_ASIDE_SHARES = {"left": 0.18, "right": -0.18, "auto": 0.0}
TextSide = Literal["auto", "left", "right"]


@dataclass(frozen=True)
class LayoutRequest:
    """What a layout has to have room for beside the photo, on which side words stand, and the crop by hand."""

    has_text: bool = False
    has_logo: bool = False
    side: TextSide = "auto"
    focus: CropFocus = AUTOMATIC_FOCUS


@dataclass(frozen=True)
class Layout:
    """A format of `size`: what it must not hide, which window of the photo lies where in it, and the free panel, if the
    photo leaves one.
    """

    size: Size
    protected: ProtectedArea
    photo_window: Window
    photo_position: Window
    panel: Box | None = None


def plan_layout(shape: tuple[int, ...], keep: ProtectedArea, size: Size, asked: LayoutRequest) -> Layout:
    """A crop that fills the format, where one holds what must stay whole and has room; else the photo by a panel."""
    aside = _ASIDE_SHARES[asked.side] if asked.has_text else 0.0
    box = find_crop_window(shape, keep, size[0] / size[1], aside=aside, focus=asked.focus)
    if box is not None:
        layout = Layout(size, project_area(keep, box, size), box, (0, 0, *size))
        if not asked.has_text or find_text_band(layout, asked.side):
            return layout
    return _place_beside_panel(shape, keep, size, asked)


def _place_beside_panel(shape: tuple[int, ...], keep: ProtectedArea, size: Size, asked: LayoutRequest) -> Layout:
    """The photo at one side of the format, a panel on the rest: nothing that must stay whole is cut before a zoom."""
    wide = size[0] / size[1] > shape[1] / shape[0]
    least = _MIN_PANEL_RATIO if asked.has_text else 0.0
    part, box = _fit_photo_part(shape, keep, size, least, asked.focus, wide=wide)
    if asked.focus.zoom > 1:
        most = (round(size[0] * (1 - least)), size[1]) if wide else (size[0], round(size[1] * (1 - least)))
        part, box = _zoom_photo_part(shape, keep, asked.focus, asked.focus.zoom * part[0] / (box[2] - box[0]), most)
    left = wide and asked.side == "right"
    x, y = (size[0] - part[0]) // 2, (size[1] - part[1]) // 2
    if asked.has_text or asked.has_logo:  # else the photo stays in the middle
        x, y = (0 if left else size[0] - part[0], y) if wide else (x, 0)
    return Layout(
        size,
        project_area(keep, box, part, (x, y)),
        box,
        (x, y, x + part[0], y + part[1]),
        _free_panel(size, part, wide, left),
    )


def _fit_photo_part(
    shape: tuple[int, ...], keep: ProtectedArea, size: Size, least: float, focus: CropFocus, *, wide: bool
) -> tuple[Size, Window]:
    """The photo's share of the format, as much as its own shape gives with `least` for the panel, and its window."""
    ratio = shape[1] / shape[0]
    part = size[0], round(min(size[0] / ratio, size[1] * (1 - least)))
    if wide:
        part = round(min(size[1] * ratio, size[0] * (1 - least))), size[1]
    box = find_crop_window(shape, keep, part[0] / part[1], focus=replace(focus, zoom=1.0))
    if box is not None:
        return part, box
    rows, columns = shape[:2]  # what must stay whole is as large as the photo: show all of it
    scale = min(part[0] / columns, part[1] / rows)
    return (max(1, round(columns * scale)), max(1, round(rows * scale))), (0, 0, columns, rows)


def _zoom_photo_part(
    shape: tuple[int, ...], keep: ProtectedArea, focus: CropFocus, scale: float, most: Size
) -> tuple[Size, Window]:
    """The same where the photo is shown at `scale`: its share grows up to `most`, from there on its window shrinks."""
    rows, columns = shape[:2]
    part = min(most[0], round(columns * scale)), min(most[1], round(rows * scale))
    ratio = part[0] / part[1]
    zoom = max(1.0, largest_window(shape, ratio)[0] * scale / part[0])
    box = find_crop_window(shape, keep, ratio, focus=replace(focus, zoom=zoom), whole=False)
    assert box is not None, "only a whole thing may find no window"
    return part, box


def _free_panel(size: Size, part: Size, wide: bool, left: bool) -> Box | None:
    """What the photo's share leaves, beside it or under it."""
    panel = Box(0, part[1], size[0], size[1] - part[1])
    if wide:
        panel = Box(part[0] if left else 0, 0, size[0] - part[0], size[1])
    return panel if panel.width and panel.height else None


def find_text_band(layout: Layout, side: TextSide) -> Box | None:
    """The largest band beside, under or over what must be seen, if it holds words."""
    width, height = layout.size
    keep = layout.protected
    bands = {
        "left": Box(0, 0, int(keep.left), height),
        "right": Box(int(np.ceil(keep.right)), 0, width - int(np.ceil(keep.right)), height),
        "below": Box(0, int(np.ceil(keep.bottom)), width, height - int(np.ceil(keep.bottom))),
        "above": Box(0, 0, width, int(keep.top)),
    }
    rows = [bands[name] for name in (("left", "right") if side == "auto" else (side,)) + ("below", "above")]
    # Words beside the subject need a column, words under or over it a line.
    fit = [b for b in rows if b.width >= 0.34 * width and b.height >= 0.20 * height]
    best = max(fit, key=lambda b: min(b.width / width, 1.6 * b.height / height), default=None)
    if best is None or best.height <= 0.45 * height:
        return best
    # A tall band is used in its lower part: the eye reads picture first, words then.
    return Box(best.x, best.y + best.height // 2, best.width, best.height - best.height // 2)


def find_logo_corner(layout: Layout, words: Box | None) -> Box | None:
    """The first free corner for the logo: of the panel, where there is one, else of the picture."""
    area, side = layout.panel or Box(0, 0, *layout.size), round(_LOGO_HEIGHT_RATIO * min(layout.size))
    return _find_free_corner(layout, area, (round(2.2 * side), side), (words,))


def find_sticker_corner(layout: Layout, *taken: Box | None) -> Box | None:
    """The first free corner of the whole format for a sticker, as large as one has room, where nothing `taken` lies."""
    whole = Box(0, 0, *layout.size)
    sides = (round(share * min(layout.size)) for share in _STICKER_RATIOS)
    return next((box for side in sides if (box := _find_free_corner(layout, whole, (side, side), taken))), None)


def _find_free_corner(layout: Layout, area: Box, size: Size, taken: tuple[Box | None, ...]) -> Box | None:
    edge, side = round(LAYOUT_MARGIN_RATIO * min(layout.size)), size[1]
    across = min(size[0], area.width - 2 * edge)
    right, bottom = area.x + area.width - edge - across, area.y + area.height - edge - side
    for x, y in ((area.x + edge, area.y + edge), (right, area.y + edge), (right, bottom), (area.x + edge, bottom)):
        box = Box(x, y, across, side)
        keep = layout.protected
        if across < side or box.overlaps(keep.left, keep.top, keep.right, keep.bottom):
            continue
        if not any(other.overlaps(x, y, x + across, y + side) for other in taken if other is not None):
            return box
    return None
