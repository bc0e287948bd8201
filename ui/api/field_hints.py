"""Notices and errors as programs read them: what one does with the brush or by pointing is done with fields there."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pipelines.core.errors import StudioError
from pipelines.core.tools import Tool

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
RETURNS = {
    "headshot": "one picture (PNG, or `format`) for each of `variations`, and the cut-out's mask",
    "product": "one picture for each of `variations`, and the cut-out's mask; with `angles` the set, a spin and a ZIP",
    "background": "one picture for each of `variations`, and the cut-out's mask; with `contact_sheet` all on a sheet",
    "character": "one drawing for each of `variations`, or a sheet of poses",
    "fashion": "a picture for each of `variations` or, as a lookbook, the pages and a PDF",
    "business": "a picture for each person and, by `layout`, a grid, page, cards or group picture",
    "kit": "a picture for each platform, and a ZIP of them where they are several",
    "motion": "a film: a looping WebP, with `mp4` an MP4 and with `gif` a GIF; no preview of it is shown",
    "cutout": "a transparent picture of the photo's size (`trim`: of the subject's), and its mask",
    "upscale": "one picture of `factor` times the photo's size",
    "expand": "one picture",
    "retouch": "the photo with the place filled, and the mask that was used",
    "style": "one picture",
}
"""What a tool answers with beside the receipt, by its id; any other makes one picture."""
_SEND_PICTURE = "Give an id that `list_pictures` names, or send the picture with `upload_picture`."
_NO_FIELDS = "No field here does that: run `cutout` on the photo first, and send the PNG that it makes in its place."
_NO_SCENE = "No such scene here"
_CUTOUT_FIELDS = tuple(name for name in _FIELDS if name != "mask")


def hint_fields(sentences: Iterable[str], fields: Collection[str] = _CUTOUT_FIELDS) -> list[str]:
    """Return the sentences for a form with these fields; where one asks for a gesture, the last names what does it."""
    told = list(sentences)
    if any(sentence.startswith(_NO_SCENE) for sentence in told):
        words = "background" if "background" in fields else "prompt"
        told.append(f"Give the name of one of the three as `{words}` to have it.")
    here = [words for name, words in _FIELDS.items() if name in fields]
    if not any(_GESTURE.search(sentence) for sentence in told):
        return told
    told = [sentence.replace(_BRUSH, "Points or a box mend it." if here else "").rstrip() for sentence in told]
    return [*told, f"The fields for that: {', '.join(here)}." if here else _NO_FIELDS]


def hint_error_fields(message: str, param: str | None) -> str:
    """Return an error's message with the fields that do what it asks for."""
    return " ".join(hint_fields([message], ("mask", "keep", "box") if param == "mask" else _CUTOUT_FIELDS))


def describe_use(tool: Tool, schema: Mapping[str, Any]) -> str:
    """Say what a tool needs and what it answers with, in the names of `schema`, the JSON schema of its form."""
    required = [f"`{name}`" for name in schema.get("required", ())]
    if tool.person and "consent" in schema["properties"]:
        required.append("`consent`: true where a person is seen and agreed")
    returns = RETURNS.get(tool.id, "one picture")
    return f"Needs: {', '.join(required) or 'nothing; leave a field out for its default'}.\nReturns: {returns}."


def advise_agent(error: StudioError, schema: Mapping[str, Any] | None) -> str:
    """Say what to call next after a refusal, "" where its message says it; `schema` is that of the tool's form."""
    if error.code == "consent_required":
        return "Ask the user. Once the person agreed, call again with `consent`: true."
    if schema is None:
        return ""
    if error.code == "model_unavailable" and error.param:
        return f"Leave `{error.param}` out; `/v1/models` names what this studio has."
    if error.code != "invalid_request":
        return ""
    if error.param is None:
        return f"Its fields: {', '.join(schema['properties'])}."
    field = schema["properties"].get(error.param, {})
    return _SEND_PICTURE if "data URL" in field.get("description", "") else ""
