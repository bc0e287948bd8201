"""Crop windows of a photo that keep faces or the subject whole, or that follow a manual focus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipelines.core.geometry import Alpha, Crop, Face, Image, Size, Window
from pipelines.framing.placement import find_bounds
from pipelines.imaging.resize import resize_image

PROTECTED_MARGIN_RATIO = 0.04  # of the longer side of the protected area, around it
ROUNDING_PX = 1.0  # a window's sides are whole pixels


@dataclass(frozen=True)
class CropFocus:
    """A manual crop: what of the photo stands in the middle, 0 to 1 each, or None where the crop finds it itself.

    `zoom` is how many times smaller the window is than the largest one.
    """

    x: float | None = None
    y: float | None = None
    zoom: float = 1.0

    @property
    def is_manual(self) -> bool:
        """Whether anything was asked for."""
        return self != AUTOMATIC_FOCUS


AUTOMATIC_FOCUS = CropFocus()


@dataclass(frozen=True)
class ProtectedArea:
    """What no crop may cut, in pixels of the photo; `has_face` says whether it is a head, which sits high in a frame.

    `boxes` are the things themselves, without a margin: every face, or the subject; none where the photo shows neither.
    """

    left: float
    top: float
    right: float
    bottom: float
    has_face: bool = False
    boxes: tuple[tuple[float, float, float, float], ...] = ()

    @property
    def width(self) -> float:
        """Pixels."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Pixels."""
        return self.bottom - self.top

    def without_margin(self) -> ProtectedArea:
        """Return the area that the things themselves take; the area itself where there are none."""
        if not self.boxes:
            return self
        corners = np.array(self.boxes)
        left, top, right, bottom = *corners[:, :2].min(axis=0).tolist(), *corners[:, 2:].max(axis=0).tolist()
        return replace(self, left=left, top=top, right=right, bottom=bottom)


def find_protected_area(shape: tuple[int, ...], faces: Sequence[Face], alpha: Alpha | None) -> ProtectedArea:
    """Protect all heads (bodies may be cut) and the whole subject where `alpha` is given, else the photo's middle.

    There is a small margin around it. A head is what the frame is made for only where no subject is given.
    """
    height, width = shape[:2]
    boxes = [*(face.box for face in faces), *([] if alpha is None else [find_bounds(alpha)])]
    corners = np.array(boxes or [(0.4 * width, 0.4 * height, 0.6 * width, 0.6 * height)])
    left, top, right, bottom = *corners[:, :2].min(axis=0), *corners[:, 2:].max(axis=0)
    clipped = tuple((max(0.0, x), max(0.0, y), min(float(width), z), min(float(height), w)) for x, y, z, w in boxes)
    margin = PROTECTED_MARGIN_RATIO * max(right - left, bottom - top)
    return ProtectedArea(
        left=float(max(0, left - margin)),
        top=float(max(0, top - margin)),
        right=float(min(width, right + margin)),
        bottom=float(min(height, bottom + margin)),
        has_face=bool(faces) and alpha is None,
        boxes=clipped,
    )


def find_crop_window(
    shape: tuple[int, ...],
    protected: ProtectedArea,
    ratio: float,
    *,
    offset: float = 0.0,
    centre_line: float | None = None,
    focus: CropFocus = AUTOMATIC_FOCUS,
    keep_whole: bool = True,
) -> Window | None:
    """Find the largest window of this width : height that holds `protected`; None if there is none.

    `offset` of -0.5 to 0.5 asks for `protected` left or right of the middle, where there is room, and `centre_line` for
    its middle at that share of the height. A manual `focus` is in the middle as far as the photo goes, whatever that
    cuts. Without `keep_whole` there is always a window.
    """
    rows, columns = shape[:2]
    width, height = largest_window(shape, ratio)
    fits = protected.width <= width and protected.height <= height
    if keep_whole and not fits and (protected.boxes or not focus.is_manual):
        return None
    width, height = max(1, round(width / focus.zoom)), max(1, round(height / focus.zoom))
    # Put a head's centre at about two fifths of the height, a product's in the middle.
    centre_line = (0.42 if protected.has_face else 0.5) if centre_line is None else centre_line
    if focus.x is None:
        x = _window_start((protected.left, protected.right), width, 0.5 + offset)
    else:
        x = focus.x * columns - width / 2
    if focus.y is None:
        y = _window_start((protected.top, protected.bottom), height, centre_line)
    else:
        y = focus.y * rows - height / 2
    left, top = int(np.clip(round(x), 0, columns - width)), int(np.clip(round(y), 0, rows - height))
    return left, top, left + width, top + height


def largest_window(shape: tuple[int, ...], ratio: float) -> Size:
    """Return width and height of the largest window of this width : height."""
    rows, columns = shape[:2]
    width = min(columns, int(rows * ratio))
    return width, min(rows, round(width / ratio))


def _window_start(span: tuple[float, float], length: int, centre_line: float) -> float:
    """Return the start of a window that holds the span if it can, the span's middle at the share `centre_line`."""
    first, last = span
    start = (first + last) / 2 - centre_line * length
    return float(np.clip(start, last - length, first)) if last - first <= length else start


def build_crop(shape: tuple[int, ...], protected: ProtectedArea, box: Window, position: Window, size: Size) -> Crop:
    """Describe the window as an image of `size` shows it at `position`, with the visible share of what is cut most."""
    visible = min(_visible_shares(protected, box), default=None)
    return Crop(_to_shares(box, (shape[1], shape[0])), _to_shares(position, size), visible)


def _to_shares(box: Window, size: Size) -> tuple[float, float, float, float]:
    """Return a window as shares of the width and height of `size`."""
    return box[0] / size[0], box[1] / size[1], box[2] / size[0], box[3] / size[1]


def crop_notices(protected: ProtectedArea, windows: Mapping[str, Window]) -> list[str]:
    """Tell which manual windows cut or leave out what is protected, as sentences with the windows' names."""
    visible = {name: _visible_shares(protected, box) for name, box in windows.items()}
    cutting = [name for name, shares in visible.items() if any(0 < share < 1 for share in shares)]
    missing = [name for name, shares in visible.items() if 0 in shares]
    thing = "a face" if protected.has_face else "the subject"
    sentences = ((f"Your crop cuts {thing}", cutting), (f"Your crop leaves out {thing}", missing))
    return [f"{sentence}: {', '.join(names)}." for sentence, names in sentences if names]


def _visible_shares(protected: ProtectedArea, box: Window) -> tuple[float, ...]:
    """Return the share of each protected thing, 0 to 1, that lies in the window."""
    return tuple(
        _overlap_share((left, right), (box[0], box[2])) * _overlap_share((top, bottom), (box[1], box[3]))
        for left, top, right, bottom in protected.boxes
    )


def _overlap_share(span: tuple[float, float], window: tuple[float, float]) -> float:
    """Return how much of a side lies within another, 0 to 1."""
    length = min(span[1], window[1] + ROUNDING_PX) - max(span[0], window[0] - ROUNDING_PX)
    return float(np.clip(length / max(span[1] - span[0], 1e-6), 0, 1))


def project_area(
    protected: ProtectedArea, box: Window, size: Size, position: tuple[int, int] = (0, 0)
) -> ProtectedArea:
    """Project what is seen of `protected` into an image of `size` made from the window `box`, shown at `position`."""
    x, y = size[0] / (box[2] - box[0]), size[1] / (box[3] - box[1])
    left, right = (float(np.clip(side, box[0], box[2])) - box[0] for side in (protected.left, protected.right))
    top, bottom = (float(np.clip(side, box[1], box[3])) - box[1] for side in (protected.top, protected.bottom))
    left, right = left * x + position[0], right * x + position[0]
    top, bottom = top * y + position[1], bottom * y + position[1]
    return ProtectedArea(left, top, right, bottom, protected.has_face)


def crop_image(image: Image, box: Window, size: Size) -> Image:
    """Cut the window `box` out and resize it to `size`."""
    return resize_image(image[box[1] : box[3], box[0] : box[2]], size)
