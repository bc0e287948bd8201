"""German translation of the page, used by Gradio and by page.js.

`static/de.json` has the texts by their English original; `before_gradio.js` loads them in German browsers only. Other
texts stay English. `{}` in a key matches any text, which is translated in turn. A key with a blank before it is a word
inside of texts that is the value of a choice too: Gradio, which looks for whole keys, would translate the value.
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
"""Time that a browser may cache the translation."""
GERMAN: Mapping[str, str] = json.loads((Path(__file__).parent / "static" / "de.json").read_text("utf-8"))
_PATTERNS = {re.compile(re.escape(key).replace(r"\{\}", "(.+?)"), re.S): key for key in GERMAN if "{}" in key}


def send_script(request: Request) -> Response:
    """Send the translation as a script that puts it where Gradio's page looks for it."""
    words = json.dumps({"de": dict(GERMAN)}, ensure_ascii=False)
    return Response(
        f"window.gradio_config.i18n_translations = {words};",
        media_type="text/javascript",
        headers={"Cache-Control": f"max-age={CACHE_SECONDS}"},
    )


def is_translated(text: str) -> bool:
    """Whether page.js can translate every part of the text."""
    return all(
        _find_german(part) is not None or any(shape.fullmatch(part) for shape in _PATTERNS)
        for part in text.strip().split(" · ")
    )


def _find_german(text: str) -> str | None:
    return GERMAN.get(text, GERMAN.get(f" {text}"))


def reads_german(accept_language: str) -> bool:
    """Whether a browser that sends this `Accept-Language` prefers German."""
    return accept_language.strip().lower().startswith("de")


def translate(text: str) -> str:
    """Return the German of a text of the page; the text itself where there is none."""
    known = _find_german(text)
    if known is not None:
        return known
    for pattern, key in _PATTERNS.items():
        if found := pattern.fullmatch(text):
            return GERMAN[key].format(*map(translate, found.groups()))
    return text
