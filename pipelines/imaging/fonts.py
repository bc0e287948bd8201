"""Fonts for text on pictures: which signs each font has, and a line of any scripts laid out from several fonts."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from pipelines.core.geometry import Colour

FONT_FOLDER = Path(__file__).resolve().parents[2] / "assets" / "fonts"
FontWeight = Literal["Regular", "Bold"]
TEXT_FONTS = {"Regular": "SourceSansPro-Regular.ttf", "Bold": "SourceSansPro-Bold.ttf"}
SCRIPT_FONTS = (
    "NotoSansArabic-Bold.ttf",
    "NotoSansHebrew-Bold.ttf",
    "NotoSansDevanagari-Bold.ttf",
    "NotoSansThai-Bold.ttf",
    "NotoSansCJKjp-Bold-subset.otf",
    "NotoEmoji-Bold.ttf",
)
"""Fonts for what Source Sans does not have, in the order in which they are asked. Each has one weight."""
_INVISIBLE_CATEGORIES = ("Cf", "Mn", "Me")
"""Joiners, variation selectors and marks: they belong to the sign before them and never start a run of another font."""
_SKIN_TONES = range(0x1F3FB, 0x1F400)


@dataclass(frozen=True)
class TextRun:
    """A part of a line that one font draws."""

    text: str
    font: str


def find_missing_signs(text: str) -> list[str]:
    """List the signs of `text` that no shipped font can draw, each once, in their order."""
    free = (sign for sign in text if not (sign.isspace() or _is_joiner(sign)))
    return list(dict.fromkeys(sign for sign in free if _find_font(sign, "Bold") is None))


def draw_line(
    pen: PIL.ImageDraw.ImageDraw, position: tuple[float, float], text: str, size: int, weight: FontWeight, ink: Colour
) -> None:
    """Draw one line; `position` is its upper left corner in Source Sans. Raqm shapes and orders each run."""
    x, y = position
    baseline = y + _load_file(TEXT_FONTS[weight], size).getmetrics()[0]
    for run in order_runs(text, weight):
        font = _load_file(run.font, size)
        pen.text((x, baseline), run.text, font=font, fill=ink, anchor="ls")
        x += font.getlength(run.text)


def measure_line(text: str, size: int, weight: FontWeight) -> float:
    """Return the width of a line in pixels."""
    return sum(_load_file(run.font, size).getlength(run.text) for run in order_runs(text, weight))


@lru_cache(maxsize=512)
def order_runs(text: str, weight: FontWeight) -> tuple[TextRun, ...]:
    """Split a line into runs of one font each, from left to right.

    A line whose first letter is Arabic or Hebrew is read from the right, so its runs stand in reverse order (Unicode
    Standard Annex 9, rules P2 and L2 for runs of whole fonts). Spaces and punctuation between two fonts are a run of
    their own in Source Sans.
    """
    runs: list[TextRun] = []
    gap = ""
    for sign in f"{text}\0":
        font = None if sign == "\0" else _find_font(sign, weight) or TEXT_FONTS[weight]
        if runs and not gap and _is_joiner(sign):
            runs[-1] = TextRun(runs[-1].text + sign, runs[-1].font)
        elif sign.isspace() or unicodedata.category(sign).startswith("P"):
            gap += sign
        elif font and runs and runs[-1].font == font and all(ord(each) in read_code_points(font) for each in gap):
            runs[-1] = TextRun(runs[-1].text + gap + sign, font)
            gap = ""
        else:
            runs += [TextRun(gap, TEXT_FONTS[weight])] if gap else []
            runs += [TextRun(sign, font)] if font else []
            gap = ""
    if not _reads_from_right(text):
        return tuple(runs)
    return tuple(TextRun(run.text[::-1] if _is_gap(run.text) else run.text, run.font) for run in reversed(runs))


@lru_cache(maxsize=256)
def _load_file(name: str, size: int) -> PIL.ImageFont.FreeTypeFont:
    return PIL.ImageFont.truetype(str(FONT_FOLDER / name), size)


def _is_joiner(sign: str) -> bool:
    return unicodedata.category(sign) in _INVISIBLE_CATEGORIES or ord(sign) in _SKIN_TONES


def _is_gap(text: str) -> bool:
    """Whether a run is spaces and punctuation, which stand the other way round in a line read from the right."""
    return all(sign.isspace() or unicodedata.category(sign).startswith("P") for sign in text)


def _find_font(sign: str, weight: FontWeight) -> str | None:
    return next((font for font in (TEXT_FONTS[weight], *SCRIPT_FONTS) if ord(sign) in read_code_points(font)), None)


def _reads_from_right(text: str) -> bool:
    directions = (unicodedata.bidirectional(sign) for sign in text)
    return next((direction != "L" for direction in directions if direction in ("L", "R", "AL")), False)


@cache
def read_code_points(name: str) -> frozenset[int]:
    """Read the code points that a font has glyphs for."""
    from fontTools.ttLib import TTFont

    with TTFont(FONT_FOLDER / name, lazy=True) as font:
        return frozenset(font.getBestCmap() or ())
