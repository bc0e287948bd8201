"""The page in German: the house's own words, English to German, for Gradio's I18n and page.js; knows no component.

`static/de.json` holds them. What is not in it stays English, so that nothing breaks where a new tool brings new words.
`{}` in a key stands for whatever is there, and what is there is translated in its turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

GERMAN: Mapping[str, str] = json.loads((Path(__file__).parent / "static" / "de.json").read_text("utf-8"))
_SHAPES = [re.compile(re.escape(key).replace(r"\{\}", "(.+?)"), re.S) for key in GERMAN if "{}" in key]


def covered(text: str) -> bool:
    """Whether page.js finds German for all of a text, or at least for a shape that it has."""
    return all(part in GERMAN or any(shape.fullmatch(part) for shape in _SHAPES) for part in text.strip().split(" · "))
