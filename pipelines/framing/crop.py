"""Windows of a photo that keep what must not be cut, or lie where a hand put them; knows boxes, draws nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Crop, Face, Image, Size, Window
from pipelines.framing.placement import find_bounds

PROTECTED_MARGIN_RATIO = 0.04  # of what is kept, around it
ROUNDING_PX = 1.0  # pixels: a window's sides are whole ones


@dataclass(frozen=True)
class CropFocus:
    """A crop by hand: what of the photo stands in the middle, each 0 to 1 and None where the crop finds it itself.

    `zoom` is how many times narrower and lower the window is than the largest one.
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
    """What no crop may cut, in pixels of the photo; `face` says whether it is a head, which sits high in a frame.

    `boxes` are the things themselves, without air: every face, or the subject; none where the photo shows neither.
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


def find_protected_area(shape: tuple[int, ...], faces: Sequence[Face], alpha: Alpha | None) -> ProtectedArea:
    """All heads (bodies may be cut), else the whole subject, else the photo's middle; with a little air."""
    height, width = shape[:2]
    boxes = [face.box for face in faces] or ([] if alpha is None else [find_bounds(alpha)])
    each = np.array(boxes or [(0.4 * width, 0.4 * height, 0.6 * width, 0.6 * height)])
    left, top, right, bottom = *each[:, :2].min(axis=0), *each[:, 2:].max(axis=0)
    seen = tuple((max(0.0, x), max(0.0, y), min(float(width), z), min(float(height), w)) for x, y, z, w in boxes)
    air = PROTECTED_MARGIN_RATIO * max(right - left, bottom - top)
    return ProtectedArea(
        float(max(0, left - air)), float(max(0, top - air)), float(min(width, right + air)),
        float(min(height, bottom + air)), bool(faces), seen,
    )  # fmt: skip


def find_crop_window(
    shape: tuple[int, ...], keep: ProtectedArea, ratio: float, *, aside: float = 0.0, focus: CropFocus = AUTOMATIC_FOCUS,
    whole: bool = True,
) -> Window | None:  # fmt: skip
    """The largest left, top, right, bottom of this width : height that holds `keep`; None where none does.

    `aside` -0.5 to 0.5 asks for `keep` left or right of the middle, where there is room. A `focus` by hand is in the
    middle as far as the photo goes, whatever that cuts. Without `whole` there is always a window.
    """
    rows, columns = shape[:2]
    width, height = largest_window(shape, ratio)
    if whole and (keep.boxes or not focus.is_manual) and (keep.width > width or keep.height > height):
        return None
    width, height = max(1, round(width / focus.zoom)), max(1, round(height / focus.zoom))
    # A head's centre belongs at about two fifths of the height, a product in the middle.
    line = 0.42 if keep.has_face else 0.5
    x = _window_start((keep.left, keep.right), width, 0.5 + aside) if focus.x is None else focus.x * columns - width / 2
    y = _window_start((keep.top, keep.bottom), height, line) if focus.y is None else focus.y * rows - height / 2
    left, top = int(np.clip(round(x), 0, columns - width)), int(np.clip(round(y), 0, rows - height))
    return left, top, left + width, top + height


def largest_window(shape: tuple[int, ...], ratio: float) -> Size:
    """Width and height of the largest window of this width : height."""
    rows, columns = shape[:2]
    width = min(columns, int(rows * ratio))
    return width, min(rows, round(width / ratio))


def _window_start(kept: tuple[float, float], length: int, line: float) -> float:
    """Where a window begins that has the middle of what is kept at `line`, a share of it, and holds it if it can."""
    first, last = kept
    start = (first + last) / 2 - line * length
    return float(np.clip(start, last - length, first)) if last - first <= length else start


def describe_crop(shape: tuple[int, ...], keep: ProtectedArea, box: Window, at: Window, size: Size) -> Crop:
    """The window as a picture of `size` shows it at left, top, right, bottom, with the share of what is cut most."""
    whole = min(_visible_shares(keep, box), default=None)
    return Crop(_to_shares(box, (shape[1], shape[0])), _to_shares(at, size), whole)


def _to_shares(box: Window, size: Size) -> tuple[float, float, float, float]:
    return box[0] / size[0], box[1] / size[1], box[2] / size[0], box[3] / size[1]


def crop_notices(keep: ProtectedArea, windows: Mapping[str, Window]) -> list[str]:
    """What windows by hand cut or leave out, as sentences with the windows' names."""
    seen = {name: _visible_shares(keep, box) for name, box in windows.items()}
    cut = [name for name, shares in seen.items() if any(0 < share < 1 for share in shares)]
    out = [name for name, shares in seen.items() if 0 in shares]
    what = "a face" if keep.has_face else "the subject"
    said = ((f"Your crop cuts {what}", cut), (f"Your crop leaves out {what}", out))
    return [f"{sentence}: {', '.join(names)}." for sentence, names in said if names]


def _visible_shares(keep: ProtectedArea, box: Window) -> tuple[float, ...]:
    """The share of each thing kept, 0 to 1, that lies in the window."""
    return tuple(_overlap_share((left, right), (box[0], box[2])) * _overlap_share((top, bottom), (box[1], box[3]))
                 for left, top, right, bottom in keep.boxes)  # fmt: skip


def _overlap_share(side: tuple[float, float], within: tuple[float, float]) -> float:
    """How much of a side lies within another."""
    length = min(side[1], within[1] + ROUNDING_PX) - max(side[0], within[0] - ROUNDING_PX)
    return float(np.clip(length / max(side[1] - side[0], 1e-6), 0, 1))


def project_area(keep: ProtectedArea, box: Window, size: Size, at: tuple[int, int] = (0, 0)) -> ProtectedArea:
    """What is seen of `keep` in a picture of `size` made from the window `box`, shown at `at`."""
    x, y = size[0] / (box[2] - box[0]), size[1] / (box[3] - box[1])
    left, right = (float(np.clip(side, box[0], box[2])) - box[0] for side in (keep.left, keep.right))
    top, bottom = (float(np.clip(side, box[1], box[3])) - box[1] for side in (keep.top, keep.bottom))
    return ProtectedArea(left * x + at[0], top * y + at[1], right * x + at[0], bottom * y + at[1], keep.has_face)


def crop_image(image: Image, box: Window, size: Size) -> Image:
    """The window at `size` pixels."""
    part = image[box[1] : box[3], box[0] : box[2]]
    how = cv2.INTER_AREA if size[0] < part.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, size, interpolation=how), np.uint8)
