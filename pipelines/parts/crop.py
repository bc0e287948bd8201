"""Windows of a photo that keep what must not be cut: faces, or a product; knows boxes, draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.parts.frame import bounds
from pipelines.types import Alpha, Face, Image, Size

AIR = 0.04  # of what is kept, around it


@dataclass(frozen=True)
class Keep:
    """What no crop may cut, in pixels of the photo; `face` says whether it is a head, which sits high in a frame."""

    left: float
    top: float
    right: float
    bottom: float
    face: bool = False

    @property
    def width(self) -> float:
        """Pixels."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Pixels."""
        return self.bottom - self.top


def kept(shape: tuple[int, ...], faces: Sequence[Face], alpha: Alpha | None) -> Keep:
    """All heads (bodies may be cut), else the whole subject, else the photo's middle; with a little air."""
    height, width = shape[:2]
    if faces:
        boxes = np.array([face.box for face in faces])
        left, top, right, bottom = *boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0)
    elif alpha is not None:
        left, top, right, bottom = bounds(alpha)
    else:
        left, top, right, bottom = 0.4 * width, 0.4 * height, 0.6 * width, 0.6 * height
    air = AIR * max(right - left, bottom - top)
    return Keep(
        float(max(0, left - air)), float(max(0, top - air)), float(min(width, right + air)),
        float(min(height, bottom + air)), bool(faces),
    )  # fmt: skip


def window(shape: tuple[int, ...], keep: Keep, ratio: float, *, aside: float = 0.0) -> tuple[int, int, int, int] | None:
    """The largest left, top, right, bottom of this width : height that holds `keep`; None where none does.

    `aside` -0.5 to 0.5 asks for `keep` left or right of the middle, where there is room.
    """
    rows, columns = shape[:2]
    width = min(columns, int(rows * ratio))
    height = min(rows, round(width / ratio))
    if keep.width > width or keep.height > height:
        return None
    middle = (keep.left + keep.right) / 2 - aside * width
    left = float(np.clip(middle - width / 2, keep.right - width, keep.left))
    # A head's centre belongs at about two fifths of the height, a product in the middle.
    line = (keep.top + keep.bottom) / 2 - (0.42 if keep.face else 0.5) * height
    top = float(np.clip(line, keep.bottom - height, keep.top))
    x, y = int(np.clip(round(left), 0, columns - width)), int(np.clip(round(top), 0, rows - height))
    return x, y, x + width, y + height


def moved(keep: Keep, box: tuple[int, int, int, int], size: Size, at: tuple[int, int] = (0, 0)) -> Keep:
    """`keep` as it lies in a picture of `size` made from the window `box`, shown at `at`."""
    x, y = size[0] / (box[2] - box[0]), size[1] / (box[3] - box[1])
    return Keep(
        (keep.left - box[0]) * x + at[0], (keep.top - box[1]) * y + at[1], (keep.right - box[0]) * x + at[0],
        (keep.bottom - box[1]) * y + at[1], keep.face,
    )  # fmt: skip


def cropped(image: Image, box: tuple[int, int, int, int], size: Size) -> Image:
    """The window at `size` pixels."""
    part = image[box[1] : box[3], box[0] : box[2]]
    how = cv2.INTER_AREA if size[0] < part.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, size, interpolation=how), np.uint8)
