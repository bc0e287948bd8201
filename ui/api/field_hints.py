"""Notices and errors as programs read them: what one does with the brush or by pointing is done with fields there."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

_BRUSH = "The brush mends it."
_GESTURE = re.compile(r"brush mends|\b[Pp]oint(?:ing)? at\b|draw a box|Choose another|choose one")
_FIELDS = {
    "mask": "`mask`",
    "keep": "`keep` and `drop` (points [x, y] from 0 to 1)",
    "box": "`box`",
    "pick": "`pick`",
    "matte": "`matte` (a mask of your own)",
}
TOOL_HINTS = {
    "retouch": "Here `keep` and `box` mark what is ERASED, and `drop` what stays. For a thing that lies on another a "
    "`mask` is surer than points.",
}
"""What an agent must know first of a tool whose fields mean something else than elsewhere."""
_CUTOUT_FIELDS = tuple(name for name in _FIELDS if name != "mask")


def hint_fields(sentences: Iterable[str], fields: Collection[str] = _CUTOUT_FIELDS) -> list[str]:
    """Return the sentences for a form with these fields; where one asks for a gesture, the last names what does it."""
    told = list(sentences)
    here = [words for name, words in _FIELDS.items() if name in fields]
    if not any(_GESTURE.search(sentence) for sentence in told):
        return told
    told = [sentence.replace(_BRUSH, "Points or a box mend it." if here else "").rstrip() for sentence in told]
    return [*told, f"The fields for that: {', '.join(here)}."] if here else told


def hint_error_fields(message: str, param: str | None) -> str:
    """Return an error's message with the fields that do what it asks for."""
    return " ".join(hint_fields([message], ("mask", "keep", "box") if param == "mask" else _CUTOUT_FIELDS))
