"""Typography on images: text fitted to a box and legible by WCAG contrast, logos, stickers."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import PIL.Image
import PIL.ImageDraw

from pipelines.core.geometry import Colour, Float32Array, Image
from pipelines.imaging.color import LUMINANCE_WEIGHTS, to_linear
from pipelines.imaging.fonts import FontWeight, draw_line, measure_line

MIN_TEXT_CONTRAST = 4.5  # WCAG 2.2, 1.4.3 (AA) for text of any size
_MIN_LOGO_CONTRAST = 3.0  # WCAG 2.2, 1.4.11 for graphics that are not text
_LINE_HEIGHT_RATIO = 1.12  # of the font size
_STICKER_BORDER_RATIO = 0.03  # of a sticker's longer side: its white border
_INK_COLOURS: tuple[Colour, ...] = ((255, 255, 255), (0, 0, 0))  # one of these always reaches a contrast of 4.58
Align = Literal["left", "centre"]


@dataclass(frozen=True)
class Box:
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


def worst_contrast(ink: Colour, background: Image) -> float:
    """Return the contrast of `ink` with the least favourable 2 % of `background`."""
    light = to_linear(background) @ LUMINANCE_WEIGHTS
    own = relative_luminance(ink)
    dark, bright = (float(np.quantile(light, q)) for q in (0.02, 0.98))
    return min((max(own, other) + 0.05) / (min(own, other) + 0.05) for other in (dark, bright))


def shade_and_choose_ink(image: Image, box: Box) -> Colour:
    """Shade or lighten `image` under `box` in place, as little as text needs, fading out around it; return the ink."""
    ink = max(_INK_COLOURS, key=lambda ink: worst_contrast(ink, box.view(image)))
    if worst_contrast(ink, box.view(image)) >= MIN_TEXT_CONTRAST:
        return ink
    towards = np.float32(0 if ink == _INK_COLOURS[0] else 255)
    mask = _shade_mask(box, image.shape)
    original = image.astype(np.float32)
    for share in np.arange(0.1, 1.0, 0.05):
        image[...] = np.asarray(original + np.float32(share) * mask * (towards - original) + 0.5, np.uint8)
        if worst_contrast(ink, box.view(image)) >= MIN_TEXT_CONTRAST:
            break
    return ink


def _shade_mask(box: Box, shape: tuple[int, ...]) -> np.ndarray:
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
    low, high = 8, max(8, largest)
    while low < high:
        size = (low + high + 1) // 2
        low, high = (size, high) if _fits_box(_wrap_text(text, width, size, weight), width, height) else (low, size - 1)
    block = _wrap_text(text, width, low, weight)
    while len(block.lines) > 1 and block.height > height:
        block = TextBlock((*block.lines[:-2], block.lines[-2].rstrip(" …") + " …"), low, weight)
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


def draw_text(image: Image, block: TextBlock, box: Box, ink: Colour, align: Align = "left") -> None:
    """Draw the lines in the middle of the box's height; changes `image`."""
    picture = PIL.Image.fromarray(image)
    pen = PIL.ImageDraw.Draw(picture)
    y = box.y + (box.height - block.height) / 2
    for line in block.lines:
        room = box.width - measure_line(line, block.size, block.weight)
        draw_line(pen, (box.x if align == "left" else box.x + room / 2, y), line, block.size, block.weight, ink)
        y += block.line_height
    image[...] = np.asarray(picture)


def draw_logo(image: Image, layer: Image, box: Box) -> None:
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


def draw_layer(image: Image, layer: Image, box: Box) -> None:
    """Fit an image with transparency (h x w x 4) into the box, centred; changes `image`."""
    small, x, y = fit_layer(layer, box)
    part = image[y : y + small.shape[0], x : x + small.shape[1]]
    part[...] = np.clip(small[..., :3] + part * (1 - small[..., 3:]) + 0.5, 0, 255).astype(np.uint8)


def fit_layer(layer: Image, box: Box) -> tuple[Float32Array, int, int]:
    """Resize an image with transparency (h x w x 4) to fit a box, premultiplied; return it and its left and top."""
    scale = min(box.width / layer.shape[1], box.height / layer.shape[0])
    size = (max(1, round(layer.shape[1] * scale)), max(1, round(layer.shape[0] * scale)))
    # Resize premultiplied colours, so that colours of transparent pixels do not bleed in.
    alpha = layer[..., 3:].astype(np.float32) / 255
    small = cv2.resize(np.dstack([layer[..., :3] * alpha, alpha]), size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32), box.x + (box.width - size[0]) // 2, box.y + (box.height - size[1]) // 2
