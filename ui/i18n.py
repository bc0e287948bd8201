"""The page in German: the house's own words, English to German, for Gradio and page.js; knows no component.

`static/de.json` holds them; `light.js` asks for them where a browser speaks German, so that nobody else waits for them.
What is not in it stays English, so that nothing breaks where a new tool brings new words.
`{}` in a key stands for whatever is there, and what is there is translated in its turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

SCRIPT_PATH = "/assets/words/de.js"
CACHE_SECONDS = 600
"""Seconds that a browser keeps the words without asking."""
GERMAN: Mapping[str, str] = json.loads((Path(__file__).parent / "static" / "de.json").read_text("utf-8"))
_PATTERNS = [re.compile(re.escape(key).replace(r"\{\}", "(.+?)"), re.S) for key in GERMAN if "{}" in key]


def send_script(request: Request) -> Response:
    """The words as a script that puts them where Gradio's page looks for translations."""
    words = json.dumps({"de": dict(GERMAN)}, ensure_ascii=False)
    return Response(
        f"window.gradio_config.i18n_translations = {words};", media_type="text/javascript",
        headers={"Cache-Control": f"max-age={CACHE_SECONDS}"},
    )  # fmt: skip


def is_translated(text: str) -> bool:
    """Whether page.js finds German for all of a text, or at least for a shape that it has."""
    return all(
        part in GERMAN or any(shape.fullmatch(part) for shape in _PATTERNS) for part in text.strip().split(" · ")
    )
