"""The words on a label before and after: what was surely read in the photo is read again at the same place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Alpha, Crop, Image, Mask
from pipelines.imaging.resize import size_within

SURE_SCORE = 0.8
"""How sure a reading of the photo is for its words to count."""
READ_SCORE = 0.5
"""How sure a reading of the picture is for its words to be told; below it nothing is read."""
MIN_SIGN_COUNT = 3
"""Letters and digits of a line; shorter ones are often no text."""
LABEL_SIDE_PX = 4096
_MARGINS = (0.0, 0.12)
"""A line is read as it was found and with so much more of its height around it."""
_MIN_INSIDE_RATIO = 0.5
_CLOSING_RATIO = 0.04
_TALL_RATIO = 1.5
_MAX_LISTED_COUNT = 5
Quad = npt.NDArray[np.float32]
"""The corners of a line, 4 x 2, in pixels, from its top left, clockwise."""
WHOLE_CROP = Crop((0, 0, 1, 1), (0, 0, 1, 1))


class TextReader(Protocol):
    """Finds lines of text, and reads them."""

    def find_text_lines(self, image: Image) -> npt.NDArray[np.float32]: ...

    def read_text_lines(self, lines: Sequence[Image]) -> list[tuple[str, float]]: ...


@dataclass(frozen=True)
class LabelWords:
    """Lines that were surely read on the photo's label, and what is read at the same places of the picture."""

    before: tuple[str, ...]
    after: tuple[str, ...]

    def list_changes(self) -> list[tuple[str, str]]:
        """List the words that are not kept, each with what is read in its place, "" where nothing is."""
        pairs = zip(self.before, self.after, strict=True)
        return [change for before, after in pairs for change in _compare_words(before, after)]

    @property
    def kept_ratio(self) -> float:
        """Share of the words that are kept, 0 to 1."""
        count = sum(len(line.split()) for line in self.before)
        return 1 - min(count, len(self.list_changes())) / count if count else 1.0


@dataclass(frozen=True)
class Label:
    """What was surely read on the photo's label: the photo as pictures show it, H x W x 3, the lines and their text."""

    photo: Image
    quads: tuple[Quad, ...]
    texts: tuple[str, ...]


def read_label(reader: TextReader, photo: Image, area: Mask) -> Label:
    """Read the photo, which is laid where a picture shows it. Words count inside `area` (H x W)."""
    if not area.any():
        return Label(photo, (), ())
    rows, columns = np.flatnonzero(area.any(axis=1)), np.flatnonzero(area.any(axis=0))
    corner = np.array([columns[0], rows[0]], np.float32)
    found = reader.find_text_lines(photo[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    quads = [quad + corner for quad in found if _ratio_inside(quad + corner, area) >= _MIN_INSIDE_RATIO]
    texts = [_read_unanimous_text(reader, _crop_line_at_margins(photo, quad)) for quad in quads]
    read = [(quad, text) for quad, text in zip(quads, texts, strict=True) if text]
    return Label(photo, tuple(quad for quad, _ in read), tuple(text for _, text in read))


def compare_label(reader: TextReader, label: Label, picture: Image) -> LabelWords:
    """Read the label again where it lies in `picture`, which has the shape of the label's photo or is larger."""
    size = label.photo.shape[1::-1]
    if label.quads and picture.shape[1::-1] != size:
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    after: list[str] = []
    for quad, text in zip(label.quads, label.texts, strict=True):
        crops, again = _crop_line_at_margins(label.photo, quad), _crop_line_at_margins(picture, quad)
        is_same = all(np.array_equal(one, other) for one, other in zip(crops, again, strict=True))
        after.append(text if is_same else _read_expected_text(reader, again, text))
    return LabelWords(label.texts, tuple(after))


def find_label_mask(alpha: Alpha) -> Mask:
    """Return where words belong to the subject (H x W): its outline with holes and notches closed.

    A label that the cut-out lost is a hole of it or a notch in its edge.
    """
    side = max(3, round(_CLOSING_RATIO * max(alpha.shape)))
    solid = cv2.morphologyEx((alpha > 0.5).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    contours, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return cv2.drawContours(np.zeros_like(solid), contours, -1, 1, cv2.FILLED) > 0


def place_photo_crop(photo: Image, crop: Crop, shape: tuple[int, ...]) -> tuple[Image, Mask]:
    """Lay the part of `photo` that a picture of `shape` shows at its place there; the picture and its area.

    Of a picture above `LABEL_SIDE_PX` a copy of that size is laid: letters that large are read as well.
    """
    columns, rows = size_within(shape, LABEL_SIDE_PX)
    left, top, right, bottom = _to_pixels(crop.box, photo.shape)
    x0, y0, x1, y1 = _to_pixels(crop.placed_box, (rows, columns))
    laid, area = np.zeros((rows, columns, 3), np.uint8), np.zeros((rows, columns), bool)
    part = photo[top:bottom, left:right]
    interpolation = cv2.INTER_AREA if part.shape[0] > y1 - y0 else cv2.INTER_CUBIC
    laid[y0:y1, x0:x1] = cv2.resize(part, (x1 - x0, y1 - y0), interpolation=interpolation)
    area[y0:y1, x0:x1] = True
    return laid, area


def describe_label_changes(rows: Iterable[LabelWords]) -> str:
    """Return the sentence about words that are not kept in these pictures, "" where all are."""
    changes = list(dict.fromkeys(change for row in rows for change in row.list_changes()))
    told = [f"“{word}” reads “{now}”" if now else f"“{word}” is not read any more" for word, now in changes]
    if not told:
        return ""
    more = f", and {len(told) - _MAX_LISTED_COUNT} more" if len(told) > _MAX_LISTED_COUNT else ""
    return f"Words on the label may have changed: {', '.join(told[:_MAX_LISTED_COUNT])}{more}. Look at them."


def _read_unanimous_text(reader: TextReader, crops: Sequence[Image]) -> str:
    """Return the text of a line where every look gives the same and is sure of it, else ""."""
    read = reader.read_text_lines(crops)
    texts = {_normalise(text) for text, _ in read}
    is_sure = len(texts) == 1 and len(*texts) >= MIN_SIGN_COUNT and min(score for _, score in read) >= SURE_SCORE
    return read[0][0] if is_sure else ""


def _read_expected_text(reader: TextReader, crops: Sequence[Image], expected: str) -> str:
    """Return `expected` where any look gives it, else the surest text, "" where none is sure."""
    read = reader.read_text_lines(crops)
    if any(_normalise(text) == _normalise(expected) for text, _ in read):
        return expected
    text, score = max(read, key=lambda row: row[1])
    return text if score >= READ_SCORE else ""


def _normalise(text: str) -> str:
    """Letters and digits alone, in one case: points and spaces are often read differently."""
    return "".join(sign for sign in text.casefold() if sign.isalnum())


def _compare_words(before: str, after: str) -> list[tuple[str, str]]:
    """List the words of a line that differ; words are matched in their order."""
    if _normalise(before) == _normalise(after):
        return []
    old, new = before.split(), after.split()
    matcher = SequenceMatcher(None, [_normalise(word) for word in old], [_normalise(word) for word in new], False)
    changes: list[tuple[str, str]] = []
    for kind, i0, i1, j0, j1 in matcher.get_opcodes():
        if kind == "delete":
            changes += [(word, "") for word in old[i0:i1]]
        elif kind == "insert":
            changes.append((before, after))
        elif kind == "replace" and i1 - i0 == j1 - j0:
            changes += zip(old[i0:i1], new[j0:j1], strict=True)
        elif kind == "replace":
            changes.append((" ".join(old[i0:i1]), " ".join(new[j0:j1])))
    return changes


def _ratio_inside(quad: Quad, area: Mask) -> float:
    inside = cv2.fillConvexPoly(np.zeros(area.shape, np.uint8), np.round(quad).astype(np.int32), 1) > 0
    return float(area[inside].mean()) if inside.any() else 0.0


def _crop_line_at_margins(image: Image, quad: Quad) -> list[Image]:
    return [_crop_line(image, quad, margin) for margin in _MARGINS]


def _crop_line(image: Image, quad: Quad, margin: float) -> Image:
    """Cut a line out, upright; `margin` is how much more of its height is around it."""
    across, down = quad[1] - quad[0], quad[3] - quad[0]
    height = max(1.0, float(np.linalg.norm(down)))
    step_x = across / max(1.0, float(np.linalg.norm(across))) * margin * height
    step_y = down / height * margin * height
    corners = quad + np.stack([-step_x - step_y, step_x - step_y, step_x + step_y, -step_x + step_y])
    width = max(1, round(float(np.linalg.norm(corners[1] - corners[0]))))
    rows = max(1, round(float(np.linalg.norm(corners[3] - corners[0]))))
    target = np.array([[0, 0], [width, 0], [width, rows], [0, rows]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), target)
    line = cv2.warpPerspective(image[..., :3], matrix, (width, rows), borderMode=cv2.BORDER_REPLICATE)
    upright = np.rot90(line) if rows >= _TALL_RATIO * width else line
    return np.ascontiguousarray(upright, np.uint8)


def _to_pixels(box: tuple[float, float, float, float], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return a box of ratios in whole pixels of a picture, at least one wide and high."""
    rows, columns = shape[:2]
    left, top = min(columns - 1, round(box[0] * columns)), min(rows - 1, round(box[1] * rows))
    return left, top, max(left + 1, round(box[2] * columns)), max(top + 1, round(box[3] * rows))
