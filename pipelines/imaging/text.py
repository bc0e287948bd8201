"""Typography on images: text fitted to a box and legible by WCAG contrast, logos, stickers."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import PIL.Image
import PIL.ImageDraw

from pipelines.core.geometry import Colour, Float32Array, Image
from pipelines.imaging.color import LUMINANCE_WEIGHTS, to_linear
from pipelines.imaging.fonts import FontWeight, draw_line, measure_line
from pipelines.imaging.resize import resize_map, size_within

MIN_TEXT_CONTRAST = 4.5  # WCAG 2.2, 1.4.3 (AA) for text of any size
_MIN_LOGO_CONTRAST = 3.0  # WCAG 2.2, 1.4.11 for graphics that are not text
_LINE_HEIGHT_RATIO = 1.12  # of the font size
_MIN_LINE_SIGN_COUNT = 9  # of a headline's lines on average: one long word is as much as two short ones
_MEASURED_SIZE_PX = 100  # at which words are measured once for all sizes
_MAX_LINE_COUNT = 8  # of a headline
_MIN_LETTERS_PX = 8
_STICKER_BORDER_RATIO = 0.03  # of a sticker's longer side: its white border
WHITE_INK: Colour = (255, 255, 255)
BLACK_INK: Colour = (0, 0, 0)
_INK_COLOURS = (WHITE_INK, BLACK_INK)  # one of these always reaches a contrast of 4.58
_DARK_GROUND_LEVELS, _LIGHT_GROUND_LEVELS = 118.0, 117.0  # greys on which white and black ink reach 4.5
MAX_BLACK_SHADE = 0.25  # from more fog, ink is white
_MIN_BLACK_GAIN = 0.2  # by so much less shade, ink is black
_MIN_BLACK_GROUND_LEVELS = 150.0  # grey of half of the ground: on a blue sky, which is darker, black looks heavy
WORST_SHARE = 0.01  # of the ground under words, the least favourable, that counts
_SCRIM_SIDE_PX = 256  # longer side of the copy on which a gradient is drawn
_SCRIM_REACH_LINES, _SCRIM_REACH_RATIO = 0.8, 0.22  # of the words' height and of the shorter side: how far it goes
_SCRIM_WIDTH_RATIO = 0.3  # of the width: how far it goes to the side at least
_UNSHADED_GAIN = 1.5  # so that a subject's edge, half of which is blurred away, is not shaded
_WIDE_WORDS_RATIO = 0.5  # of the width
_SCRIM_SHADES = np.arange(0.0, 1.0, 0.04).astype(np.float32)  # of a photo, tried one after the other
_BOX_SHADES = np.append(0.0, np.arange(0.1, 1.0, 0.05)).astype(np.float32)  # the same under words on a panel
_PAUSE_SIGNS = ",.;:!?…–—，。！？：；、"  # where a line ends well
_PAUSE_COST = 0.85  # of the width of a line that ends so
_SIGNS_AFTER_WORDS = "%‰°!?:;,…–—·，。！？：；、」』）"  # no line should begin with these
_CURRENCY_SIGNS = "€$£¥"  # alone, before or after an amount
_TORN_COST = 2.0  # of the width of a line that begins with what belongs to the one before
_FEWER_LINES_RATIO = 0.9  # of the largest letters: with so many fewer lines are better
Align = Literal["left", "centre", "right"]
ROOM_SHARES: dict[Align, float] = {"left": 0.0, "centre": 0.5, "right": 1.0}  # of what a line leaves, at its left


@dataclass(frozen=True)
class PixelBox:
    """A rectangle in pixels: left, top, width, height."""

    x: int
    y: int
    width: int
    height: int

    def view(self, image: Image) -> Image:
        """Return the part of `image` in the box, as a view."""
        return image[self.y : self.y + self.height, self.x : self.x + self.width]

    def overlaps(self, left: float, top: float, right: float, bottom: float) -> bool:
        """Tell whether the box overlaps the other rectangle."""
        return self.x < right and left < self.x + self.width and self.y < bottom and top < self.y + self.height


def relative_luminance(colour: Colour) -> float:
    """Return WCAG relative luminance, 0 to 1."""
    return float(to_linear(np.array(colour, np.uint8)) @ LUMINANCE_WEIGHTS)


def contrast_ratio(one: Colour, other: Colour) -> float:
    """Return the WCAG contrast ratio, 1 to 21."""
    high, low = sorted((relative_luminance(one), relative_luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def worst_contrast(ink: Colour, background: Image, share: float = 0.02) -> float:
    """Return the contrast of `ink` with the least favourable `share` of `background`."""
    own = relative_luminance(ink)
    dark, bright = _measure_dark_and_bright(to_linear(background) @ LUMINANCE_WEIGHTS, share)
    return min((max(own, other) + 0.05) / (min(own, other) + 0.05) for other in (dark, bright))


def _measure_dark_and_bright(light: np.ndarray, share: float) -> tuple[float, float]:
    """Return the level below which a `share` of the numbers lies, and the one above which as many do."""
    dark, bright = np.quantile(light, (share, 1 - share)).tolist()  # both at once: what takes time is to sort
    return dark, bright


def measure_shade_needs(light: np.ndarray) -> dict[Colour, float]:
    """Return about how much ground of that lightness (0 to 255) must be darkened or lightened for each ink, 0 to 1."""
    dark, bright = _measure_dark_and_bright(light, 0.02)
    return {
        WHITE_INK: max(0.0, 1 - _DARK_GROUND_LEVELS / max(bright, 1.0)),
        BLACK_INK: max(0.0, (_LIGHT_GROUND_LEVELS - dark) / (255 - dark)) if dark < 255 else 0.0,
    }


def choose_ink(light: np.ndarray, max_black_shade: float = MAX_BLACK_SHADE) -> tuple[Colour, float]:
    """Choose the ink for ground of that lightness (0 to 255); return it and about how much shade it needs, 0 to 1.

    White ink is taken unless the ground is light and black needs nearly no shade, `max_black_shade` at most: a darkened
    photo looks like one, a lightened one like fog.
    """
    needs, is_light = measure_shade_needs(light), np.median(light) >= _MIN_BLACK_GROUND_LEVELS
    is_black = is_light and needs[BLACK_INK] < min(max_black_shade, needs[WHITE_INK] - _MIN_BLACK_GAIN)
    ink = BLACK_INK if is_black else WHITE_INK
    return ink, needs[ink]


def draw_scrim_and_choose_ink(
    image: Image, words: PixelBox, unshaded: Float32Array | None, chosen: Colour | None = None
) -> Colour:
    """Darken or lighten `image` in place under the box of `words`, as little as they need; return the ink.

    It is a soft gradient that leaves out what is `unshaded` (h x w of any size, 0 to 1). An ink that was `chosen` is
    taken whatever shade it needs.
    """
    ink = chosen or choose_ink(cv2.cvtColor(np.ascontiguousarray(words.view(image)), cv2.COLOR_RGB2GRAY))[0]
    _draw_shade(image, words, ink, _SCRIM_SHADES, WORST_SHARE, lambda: _scrim_mask(words, unshaded, image.shape))
    return ink


def _blend_towards(image: np.ndarray, towards: np.float32, share: np.ndarray | np.float32) -> Image:
    """Blend floats towards a level, as bytes; the numbers are those of `image + share * (towards - image) + 0.5`."""
    blended = towards - image
    blended *= share
    blended += image
    blended += np.float32(0.5)
    return blended.astype(np.uint8)


def _scrim_mask(words: PixelBox, unshaded: Float32Array | None, shape: tuple[int, ...]) -> Float32Array:
    """Return 1 under the words, falling to 0 around them and before what is `unshaded`; H x W x 1.

    The image's edge is no place to fall where the words are near it, and a wide line's gradient goes from side to side.
    """
    height, width = shape[:2]
    grid = size_within(shape, _SCRIM_SIDE_PX)
    scale = grid[0] / width
    along = scale * max(_SCRIM_REACH_LINES * words.height, _SCRIM_REACH_RATIO * min(height, width))
    across = max(along, _SCRIM_WIDTH_RATIO * grid[0])
    y = _measure_distances(scale * words.y, scale * (words.y + words.height), grid[1], along)
    x = _measure_distances(scale * words.x, scale * (words.x + words.width), grid[0], across)
    if words.width > _WIDE_WORDS_RATIO * width and width < height:
        x = np.zeros_like(x)
    ramp = np.clip(1 - np.hypot(y[:, None], x), 0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)  # rises softly at both ends
    if unshaded is not None:
        soft = cv2.GaussianBlur(resize_map(unshaded, grid), (0, 0), 1.0)
        ramp = ramp * (1 - np.clip(_UNSHADED_GAIN * soft, 0, 1))
    core = np.zeros(grid[::-1], np.float32)
    top, left = int(scale * words.y), int(scale * words.x)
    bottom, right = (int(scale * end) + 1 for end in (words.y + words.height, words.x + words.width))
    core[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1] = 1
    mask = np.maximum(ramp, cv2.GaussianBlur(core, (0, 0), 0.7)).astype(np.float32)
    mask = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    mask[words.y : words.y + words.height, words.x : words.x + words.width] = 1
    return np.clip(mask, 0, 1)[..., None]


def _measure_distances(first: float, last: float, length: int, reach: float) -> np.ndarray:
    """Return how far each cell is from a span, in reaches; 0 also between the span and an edge that is near it."""
    place = np.arange(length) + 0.5
    before = first - place if first > reach else np.zeros(length)
    after = place - last if length - last > reach else np.zeros(length)
    return np.maximum(np.maximum(before, after), 0) / reach


def shade_and_choose_ink(image: Image, box: PixelBox, share: float = 0.02, chosen: Colour | None = None) -> Colour:
    """Shade or lighten `image` under `box` in place, as little as text needs, fading out around it; return the ink.

    The least favourable `share` of the ground has the contrast that text needs. An ink that was `chosen` is taken.
    """
    ink = chosen or max(_INK_COLOURS, key=lambda ink: worst_contrast(ink, box.view(image), share))
    _draw_shade(image, box, ink, _BOX_SHADES, share, lambda: _box_shade_mask(box, image.shape))
    return ink


def _draw_shade(
    image: Image, box: PixelBox, ink: Colour, shades: np.ndarray, share: float, make_mask: Callable[[], np.ndarray]
) -> None:
    """Darken or lighten `image` in place by the least of `shades` with which `ink` is legible on the box.

    The least favourable `share` of the ground counts. `make_mask` (H x W x 1, 1 on the box) may not be needed.
    """
    is_better_on_black = contrast_ratio(ink, BLACK_INK) >= contrast_ratio(ink, WHITE_INK)
    towards = np.float32(0 if is_better_on_black else 255)
    under = box.view(image).astype(np.float32)

    def is_legible(shade: np.float32) -> bool:
        return worst_contrast(ink, _blend_towards(under, towards, shade), share) >= MIN_TEXT_CONTRAST

    if ink in _INK_COLOURS and not is_legible(shades[0]):  # each shade is better than those before it
        place = bisect_left(shades, True, lo=1, key=is_legible)
        shade = shades[place] if place < len(shades) else np.float32(1.0)
    else:
        shade = next(filter(is_legible, shades), np.float32(1.0))
    if shade > 0:
        mask = make_mask()
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in ((1, 2), (0, 2)))
        part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        image[part] = _blend_towards(image[part].astype(np.float32), towards, shade * mask[part])


def _box_shade_mask(box: PixelBox, shape: tuple[int, ...]) -> np.ndarray:
    """Return 1 on the box, falling to 0 around it; H x W x 1."""
    mask = np.zeros(shape[:2], np.float32)
    reach = max(4, round(0.25 * box.height))
    mask[max(0, box.y - reach) : box.y + box.height + reach, max(0, box.x - reach) : box.x + box.width + reach] = 1
    mask = np.asarray(cv2.blur(mask, (2 * reach + 1, 2 * reach + 1), borderType=cv2.BORDER_REPLICATE))
    mask[box.y : box.y + box.height, box.x : box.x + box.width] = 1
    return mask[..., None]


@dataclass(frozen=True)
class TextBlock:
    """Text wrapped into lines of one size."""

    lines: tuple[str, ...]
    size: int
    weight: FontWeight

    @property
    def line_height(self) -> int:
        """Pixels from line to line."""
        return max(1, round(self.size * _LINE_HEIGHT_RATIO))

    @property
    def height(self) -> int:
        """Pixels of all lines."""
        return self.line_height * len(self.lines)

    @property
    def width(self) -> int:
        """Pixels of the longest line."""
        return max((round(measure_line(line, self.size, self.weight)) for line in self.lines), default=0)


def fit_text(text: str, width: int, height: int, largest: int, weight: FontWeight = "Bold") -> TextBlock:
    """Wrap `text` at the largest size that fits `width` x `height` pixels; at least 8 pixels, cut with an ellipsis."""
    low, high = _MIN_LETTERS_PX, max(_MIN_LETTERS_PX, largest)
    while low < high:
        size = (low + high + 1) // 2
        low, high = (size, high) if _fits_box(_wrap_text(text, width, size, weight), width, height) else (low, size - 1)
    block = _wrap_text(text, width, low, weight)
    while len(block.lines) > 1 and block.height > height:
        block = TextBlock((*block.lines[:-2], block.lines[-2].rstrip(" …") + " …"), low, weight)
    return replace(block, lines=tuple(_cut_line(line, width, low, weight) for line in block.lines))


def _cut_line(line: str, width: int, size: int, weight: FontWeight) -> str:
    """Cut a line that is one long word, so that it and an ellipsis fit `width` pixels; one letter always stays."""
    if measure_line(line, size, weight) <= width:
        return line
    kept = line.rstrip(" …")
    while len(kept) > 1 and measure_line(f"{kept}…", size, weight) > width:
        kept = kept[:-1]
    return f"{kept}…"


@dataclass(frozen=True)
class LineBreak:
    """One way to break a headline into lines; `width_ratio` is that of the longest line, times the letters' size."""

    lines: tuple[str, ...]
    width_ratio: float
    is_thin: bool
    """Whether it has one short word a line."""

    def letters_in(self, width: float, height: float) -> float:
        """Return how large its letters can be in a box, in pixels."""
        return min(width / max(self.width_ratio, 1e-6), height / self.height_of(1.0))

    def height_of(self, letters: float) -> float:
        """Return the height of all lines with letters of that size, in pixels."""
        return _LINE_HEIGHT_RATIO * letters * len(self.lines)


@lru_cache(maxsize=64)
def list_line_breaks(text: str, weight: FontWeight = "Bold") -> tuple[LineBreak, ...]:
    """List the most even breaks of a headline into 1, 2, ... lines.

    A line that ends where the sentence pauses may be a little longer. Where it can be helped, no line begins with a
    sign such as "%".
    """
    words = list(_split_words(text))
    if not words:
        return ()
    ends = np.cumsum([0.0] + [_measure_width_ratio(f"{gap}{word}", weight) for gap, word in words])
    gaps = [_measure_width_ratio(gap, weight) if gap else 0.0 for gap, _ in words]

    def measure(first: int, last: int) -> float:
        width = float(ends[last] - ends[first] - gaps[first])
        if first and _belongs_together(words[first - 1][1], words[first][1]):
            return _TORN_COST * width
        pauses = last < len(words) and words[last - 1][1][-1] in _PAUSE_SIGNS
        return _PAUSE_COST * width if pauses else width

    # The least cost of the first n words in so many lines, which is the widest line's, and where the last line begins.
    best: list[dict[int, tuple[float, int]]] = [{last: (measure(0, last), 0) for last in range(1, len(words) + 1)}]
    for count in range(1, min(len(words), _MAX_LINE_COUNT)):
        best.append(
            {
                last: min((max(best[-1][first][0], measure(first, last)), first) for first in range(count, last))
                for last in range(count + 1, len(words) + 1)
            }
        )
    sign_count = sum(len(word) for _, word in words)
    breaks: list[LineBreak] = []
    for count in range(1, len(best) + 1):
        lines: list[str] = []
        last = len(words)
        for row in reversed(best[:count]):
            lines.insert(0, _join_words(words[row[last][1] : last]))
            last = row[last][1]
        is_thin = count > max(-(-len(words) // 2), sign_count // _MIN_LINE_SIGN_COUNT)
        widest = max(_measure_width_ratio(line, weight) for line in lines)
        breaks.append(LineBreak(tuple(lines), widest, is_thin and count > 1))
    return tuple(breaks)


def _belongs_together(word: str, following: str) -> bool:
    """Whether no line should end between two words: an amount and its currency, or a word and the sign after it."""
    if following in _CURRENCY_SIGNS:
        return word[-1].isdigit()
    if word in _CURRENCY_SIGNS:
        return following[0].isdigit()
    return following[0] in _SIGNS_AFTER_WORDS


def _measure_width_ratio(text: str, weight: FontWeight) -> float:
    """Return the width of `text` times the size of its letters."""
    return measure_line(text, _MEASURED_SIZE_PX, weight) / _MEASURED_SIZE_PX


def _join_words(words: Sequence[tuple[str, str]]) -> str:
    return "".join(f"{gap if number else ''}{word}" for number, (gap, word) in enumerate(words))


def choose_line_break(
    text: str, width: float, height: float, weight: FontWeight = "Bold", smallest: float = 0.0
) -> tuple[LineBreak, float] | None:
    """Choose the break with the largest letters in a box, and their size in pixels; None for no text.

    One short word a line only where the letters would else be smaller than `smallest`.
    """
    sized = [(each, each.letters_in(width, height)) for each in list_line_breaks(text, weight)]
    wide = [row for row in sized if not row[0].is_thin]
    if not sized or max(row[1] for row in wide) < smallest:
        wide = sized
    largest = max((row[1] for row in wide), default=0.0)
    return next((row for row in wide if row[1] >= _FEWER_LINES_RATIO * largest), None)


def fit_headline(
    text: str, width: int, height: int, largest: int, weight: FontWeight = "Bold", smallest: float = 0.0
) -> TextBlock:
    """Break a headline into even lines at the largest size that fits, with two words a line or more where it can."""
    chosen = choose_line_break(text, width, height, weight, smallest)
    if chosen is None or chosen[1] < _MIN_LETTERS_PX:
        return fit_text(text, width, height, largest, weight)
    block = TextBlock(chosen[0].lines, min(largest, int(chosen[1])), weight)
    while block.size > _MIN_LETTERS_PX and not _fits_box(block, width, height):  # hinting makes small letters wider
        block = replace(block, size=block.size - 1)
    return block


def _fits_box(block: TextBlock, width: int, height: int) -> bool:
    return block.width <= width and block.height <= height


def _wrap_text(text: str, width: int, size: int, weight: FontWeight) -> TextBlock:
    """Wrap words greedily into lines of at most `width` pixels."""
    lines: list[str] = []
    line = ""
    for gap, word in _split_words(text):
        longer = f"{line}{gap}{word}" if line else word
        if line and measure_line(longer, size, weight) > width:
            lines.append(line)
            longer = word
        line = longer
    return TextBlock((*lines, line), size, weight)


def _split_words(text: str) -> Iterator[tuple[str, str]]:
    """Yield each word with the space before it. Chinese and Japanese have no spaces: each wide sign is a word."""
    for word in text.split():
        gap, narrow = " ", ""
        for sign in word:
            if unicodedata.east_asian_width(sign) in ("W", "F") and unicodedata.category(sign) == "Lo":
                for part in filter(None, (narrow, sign)):
                    yield gap, part
                    gap = ""
                narrow = ""
            else:
                narrow += sign
        if narrow:
            yield gap, narrow


def draw_text(image: Image, block: TextBlock, box: PixelBox, ink: Colour, align: Align = "left") -> None:
    """Draw the lines in the middle of the box's height; changes `image`."""
    picture = PIL.Image.fromarray(image)
    pen = PIL.ImageDraw.Draw(picture)
    y = box.y + (box.height - block.height) / 2
    for line in block.lines:
        room = box.width - measure_line(line, block.size, block.weight)
        draw_line(pen, (box.x + room * ROOM_SHARES[align], y), line, block.size, block.weight, ink)
        y += block.line_height
    image[...] = np.asarray(picture)


def draw_logo(image: Image, layer: Image, box: PixelBox) -> None:
    """Draw a logo in the box, on a plate where it would not stand out from the background; changes `image`."""
    opaque = layer[..., 3] > 128
    inks = layer[..., :3][opaque]
    if not len(inks):
        return
    light = to_linear(inks) @ LUMINANCE_WEIGHTS
    background = np.array([np.median((to_linear(box.view(image)) @ LUMINANCE_WEIGHTS).ravel())], np.float32)
    if _logo_contrast(light, background) < _MIN_LOGO_CONTRAST:
        pad = max(2, round(0.14 * box.height))
        left, top = max(0, box.x - pad), max(0, box.y - pad)
        plate = max(
            _INK_COLOURS, key=lambda ink: _logo_contrast(light, np.array([relative_luminance(ink)], np.float32))
        )
        image[top : box.y + box.height + pad, left : box.x + box.width + pad] = plate
    draw_layer(image, layer, box)


def make_sticker(layer: Image) -> Image:
    """Turn a figure with transparency (h x w x 4) into a sticker: add a white border and room for it."""
    border = max(2, round(_STICKER_BORDER_RATIO * max(layer.shape[:2])))
    padded = cv2.copyMakeBorder(layer, border, border, border, border, cv2.BORDER_CONSTANT, value=(255, 255, 255, 0))
    alpha = padded[..., 3:].astype(np.float32) / 255
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * border - 1, 2 * border - 1))
    outline = cv2.GaussianBlur(cv2.dilate(np.ascontiguousarray(alpha[..., 0]), disc), (0, 0), 0.8)
    colour = 255 + alpha * (padded[..., :3].astype(np.float32) - 255)
    return np.dstack([colour, 255 * np.maximum(outline, alpha[..., 0])]).round().astype(np.uint8)


def _logo_contrast(light: np.ndarray, background: np.ndarray) -> float:
    """Return the contrast that nine tenths of a logo's pixels reach."""
    ratio = (np.maximum(light, background) + 0.05) / (np.minimum(light, background) + 0.05)
    return float(np.quantile(ratio, 0.1))


def draw_layer(image: Image, layer: Image, box: PixelBox) -> None:
    """Fit an image with transparency (h x w x 4) into the box, centred; changes `image`."""
    small, x, y = fit_layer(layer, box)
    part = image[y : y + small.shape[0], x : x + small.shape[1]]
    part[...] = np.clip(small[..., :3] + part * (1 - small[..., 3:]) + 0.5, 0, 255).astype(np.uint8)


def fit_layer(layer: Image, box: PixelBox) -> tuple[Float32Array, int, int]:
    """Resize an image with transparency (h x w x 4) to fit a box, premultiplied; return it and its left and top."""
    scale = min(box.width / layer.shape[1], box.height / layer.shape[0])
    size = (max(1, round(layer.shape[1] * scale)), max(1, round(layer.shape[0] * scale)))
    # Resize premultiplied colours, so that colours of transparent pixels do not bleed in.
    alpha = layer[..., 3:].astype(np.float32) / 255
    small = cv2.resize(np.dstack([layer[..., :3] * alpha, alpha]), size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32), box.x + (box.width - size[0]) // 2, box.y + (box.height - size[1]) // 2
