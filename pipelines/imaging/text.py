"""Words on pictures: fitted to a box, and legible by measure (WCAG contrast); knows no layout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from pipelines.core.geometry import Colour, Image
from pipelines.imaging.color import to_linear

FONT_FOLDER = Path(__file__).resolve().parents[2] / "assets" / "fonts"
MIN_TEXT_CONTRAST = 4.5  # WCAG 2.2, 1.4.3 (AA) for text of any size
_MIN_LOGO_CONTRAST = 3.0  # WCAG 2.2, 1.4.11 for signs that are not text
Align = Literal["left", "centre"]
FontWeight = Literal["Regular", "Bold"]
_LINE_HEIGHT_RATIO = 1.12
_STICKER_BORDER_RATIO = 0.03  # of a sticker, its white border
LUMINANCE_WEIGHTS = np.array([0.2126, 0.7152, 0.0722], np.float32)
_INK_COLOURS: tuple[Colour, ...] = ((255, 255, 255), (0, 0, 0))  # of these two one always reaches 4.58


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels: left, top, width, height."""

    x: int
    y: int
    width: int
    height: int

    def view(self, image: Image) -> Image:
        """The part of `image` in the box, as a view."""
        return image[self.y : self.y + self.height, self.x : self.x + self.width]

    def overlaps(self, left: float, top: float, right: float, bottom: float) -> bool:
        """Whether the box overlaps the other rectangle."""
        return self.x < right and left < self.x + self.width and self.y < bottom and top < self.y + self.height


def relative_luminance(colour: Colour) -> float:
    """WCAG relative luminance, 0 to 1."""
    return float(to_linear(np.array(colour, np.uint8)) @ LUMINANCE_WEIGHTS)


def contrast_ratio(one: Colour, other: Colour) -> float:
    """WCAG contrast ratio, 1 to 21."""
    high, low = sorted((relative_luminance(one), relative_luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def worst_contrast(ink: Colour, ground: Image) -> float:
    """The contrast of `ink` on the least favourable 2 % of `ground` (H x W x 3)."""
    light = to_linear(ground) @ LUMINANCE_WEIGHTS
    mine = relative_luminance(ink)
    dark, bright = (float(np.quantile(light, q)) for q in (0.02, 0.98))
    return min((max(mine, other) + 0.05) / (min(mine, other) + 0.05) for other in (dark, bright))


def shade_for_text(image: Image, box: Box) -> Colour:
    """Lay as little shade (or light) under `box` as white or dark letters need; changes `image`, gives the ink.

    Shade fades out around the box, so that it looks like light and not like a label.
    """
    ink = max(_INK_COLOURS, key=lambda ink: worst_contrast(ink, box.view(image)))
    if worst_contrast(ink, box.view(image)) >= MIN_TEXT_CONTRAST:
        return ink
    towards = np.float32(0 if ink == _INK_COLOURS[0] else 255)
    veil = _shade_mask(box, image.shape)
    base = image.astype(np.float32)
    for share in np.arange(0.1, 1.0, 0.05):
        image[...] = np.asarray(base + np.float32(share) * veil * (towards - base) + 0.5, np.uint8)
        if worst_contrast(ink, box.view(image)) >= MIN_TEXT_CONTRAST:
            break
    return ink


def _shade_mask(box: Box, shape: tuple[int, ...]) -> np.ndarray:
    """1 on the box, falling to 0 around it, H x W x 1."""
    mask = np.zeros(shape[:2], np.float32)
    reach = max(4, round(0.25 * box.height))
    mask[max(0, box.y - reach) : box.y + box.height + reach, max(0, box.x - reach) : box.x + box.width + reach] = 1
    mask = np.asarray(cv2.blur(mask, (2 * reach + 1, 2 * reach + 1), borderType=cv2.BORDER_REPLICATE))
    mask[box.y : box.y + box.height, box.x : box.x + box.width] = 1
    return mask[..., None]


@lru_cache(maxsize=64)
def load_font(size: int, weight: FontWeight = "Bold") -> PIL.ImageFont.FreeTypeFont:
    """Source Sans at `size` pixels."""
    return PIL.ImageFont.truetype(str(FONT_FOLDER / f"SourceSansPro-{weight}.ttf"), size)


@dataclass(frozen=True)
class TextBlock:
    """Words set in lines of one size."""

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
        return max((round(load_font(self.size, self.weight).getlength(line)) for line in self.lines), default=0)


def fit_text(text: str, width: int, height: int, largest: int, weight: FontWeight = "Bold") -> TextBlock:
    """The largest setting of `text` in at most `width` x `height` pixels; at least 8 pixels, cut with an ellipsis."""
    low, high = 8, max(8, largest)
    while low < high:
        size = (low + high + 1) // 2
        low, high = (size, high) if _fits_box(_wrap_text(text, width, size, weight), width, height) else (low, size - 1)
    made = _wrap_text(text, width, low, weight)
    while len(made.lines) > 1 and made.height > height:
        made = TextBlock((*made.lines[:-2], made.lines[-2].rstrip(" …") + " …"), low, weight)
    return made


def _fits_box(made: TextBlock, width: int, height: int) -> bool:
    return made.width <= width and made.height <= height


def _wrap_text(text: str, width: int, size: int, weight: FontWeight) -> TextBlock:
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and load_font(size, weight).getlength(longer) > width:
            lines.append(line)
            longer = word
        line = longer
    return TextBlock((*lines, line), size, weight)


def draw_text(image: Image, made: TextBlock, box: Box, ink: Colour, align: Align = "left") -> None:
    """Draw the lines in the middle of the box's height; changes `image`."""
    picture = PIL.Image.fromarray(image)
    pen = PIL.ImageDraw.Draw(picture)
    y = box.y + (box.height - made.height) / 2
    for line in made.lines:
        x = box.x if align == "left" else box.x + (box.width - load_font(made.size, made.weight).getlength(line)) / 2
        pen.text((x, y), line, font=load_font(made.size, made.weight), fill=ink)
        y += made.line_height
    image[...] = np.asarray(picture)


def draw_logo(image: Image, layer: Image, box: Box) -> None:
    """A logo in the box, on a plate where it would not stand out from what lies under it; changes `image`."""
    shown = layer[..., 3] > 128
    inks = layer[..., :3][shown]
    if not len(inks):
        return
    light = to_linear(inks) @ LUMINANCE_WEIGHTS
    ground = np.array([np.median((to_linear(box.view(image)) @ LUMINANCE_WEIGHTS).ravel())], np.float32)
    if _logo_contrast(light, ground) < _MIN_LOGO_CONTRAST:
        pad = max(2, round(0.14 * box.height))
        left, top = max(0, box.x - pad), max(0, box.y - pad)
        plate = max(
            _INK_COLOURS, key=lambda ink: _logo_contrast(light, np.array([relative_luminance(ink)], np.float32))
        )
        image[top : box.y + box.height + pad, left : box.x + box.width + pad] = plate
    draw_layer(image, layer, box)


def make_sticker(layer: Image) -> Image:
    """A figure with transparency (h x w x 4) as a sticker: with a white edge all round, and a little room for it."""
    wide = max(2, round(_STICKER_BORDER_RATIO * max(layer.shape[:2])))
    room = cv2.copyMakeBorder(layer, wide, wide, wide, wide, cv2.BORDER_CONSTANT, value=(255, 255, 255, 0))
    alpha = room[..., 3:].astype(np.float32) / 255
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * wide - 1, 2 * wide - 1))
    paper = cv2.GaussianBlur(cv2.dilate(np.ascontiguousarray(alpha[..., 0]), disc), (0, 0), 0.8)
    colour = 255 + alpha * (room[..., :3].astype(np.float32) - 255)
    return np.dstack([colour, 255 * np.maximum(paper, alpha[..., 0])]).round().astype(np.uint8)


def _logo_contrast(light: np.ndarray, ground: np.ndarray) -> float:
    """The contrast that nine tenths of a logo's pixels reach."""
    ratio = (np.maximum(light, ground) + 0.05) / (np.minimum(light, ground) + 0.05)
    return float(np.quantile(ratio, 0.1))


def draw_layer(image: Image, layer: Image, box: Box) -> None:
    """A picture with transparency (h x w x 4) fitted into the box, centred; changes `image` (H x W x 3)."""
    scale = min(box.width / layer.shape[1], box.height / layer.shape[0])
    size = (max(1, round(layer.shape[1] * scale)), max(1, round(layer.shape[0] * scale)))
    # Colours are resized under their opacity, or what lies in the clear would bleed in.
    alpha = layer[..., 3:].astype(np.float32) / 255
    small = cv2.resize(np.dstack([layer[..., :3] * alpha, alpha]), size, interpolation=cv2.INTER_AREA)
    x, y = box.x + (box.width - size[0]) // 2, box.y + (box.height - size[1]) // 2
    part = image[y : y + size[1], x : x + size[0]]
    part[...] = np.clip(small[..., :3] + part * (1 - small[..., 3:]) + 0.5, 0, 255).astype(np.uint8)
