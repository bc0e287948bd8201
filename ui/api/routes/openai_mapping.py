"""OpenAI's words -> a tool's fields: which tool is meant, and what its form says; draws and answers nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from starlette.datastructures import UploadFile

from pipelines.core.errors import BadInput, InvalidParams, NotFound
from pipelines.core.params import Params
from pipelines.core.tools import Tool
from pipelines.service.orders import StudioService
from ui.api.request_parsing import Form

Call = Literal["image_generation", "image_edit"]
MAX_PARTIALS = 3
LEAST_QUALITY = 50
"""Of a file that is written; OpenAI's clients may ask for less and get this."""
# Taken from every client and without a meaning here: nothing leaves this machine, and the gate is always the same.
_IGNORED = ("moderation", "user", "safety_identifier", "input_fidelity", "style")
_OWN = (
    "model", "n", "size", "quality", "output_format", "output_compression", "response_format", "stream",
    "partial_images",
)  # fmt: skip
_THEIRS = {"variations": "n", "format": "output_format", "quality": "output_compression", "ratio": "size"}


@dataclass(frozen=True)
class Asked:
    """What a request says besides the tool's own fields."""

    call: Call
    tool: Tool
    form: Form
    links: bool
    stream: bool
    partials: int
    size: str
    quality: str
    transparent: bool


def translate(sent: Form, service: StudioService, call: Call) -> Asked:
    """The tool that is meant and its form. Raises `InvalidParams`, `BadInput`, `NotFound` with the sender's names."""
    if sent.one("prompt") is None:
        raise InvalidParams("'prompt' is missing.", param="prompt")
    pictures = [*sent.many("image"), *sent.many("image[]")]
    if call == "image_edit" and not pictures:
        raise InvalidParams("'image' is missing.", param="image")
    background = sent.one("background")
    transparent = background == "transparent"
    tool = _tool(sent, service, call, transparent)
    own = {name: sent.many(name) for name in ("size", "quality") if _is_own(sent.one(name), name, tool.params)}
    sent = sent.without(*own)
    fields = own | _fields(sent, tool.params, pictures)
    rest = sent.without("image", "image[]", "prompt", *_OWN, *(set(_IGNORED) - set(tool.params.model_fields)))
    if background in ("auto", "opaque", "transparent"):
        rest = rest.without("background")  # any other value is a tool's own field of that name
    if "num_inference_steps" in tool.params.model_fields:
        rest = rest.moved("steps", "num_inference_steps")
    if transparent:
        fields.update(_transparent(tool, sent.one("output_format")))
    return Asked(
        call=call,
        tool=tool,
        form=Form({**fields, **rest.values}),
        links=_choice(sent, "response_format", ("b64_json", "url")) == "url",
        stream=_flag(sent, "stream"),
        partials=_number(sent, "partial_images", 0, MAX_PARTIALS) or 0,
        size=str(sent.one("size") or "auto"),
        quality=_choice(sent, "quality", ("high", "auto", "low", "medium", "standard", "hd")),
        transparent=transparent,
    )


def _tool(sent: Form, service: StudioService, call: Call, transparent: bool) -> Tool:
    model = sent.one("model")
    if isinstance(model, UploadFile) or not isinstance(model, str | None):
        raise InvalidParams("'model' must be text.", param="model")
    ids = [tool.id for tool in service.tools]
    if model and model != "auto" and not model.startswith("gpt-image-"):
        if model not in ids:
            raise NotFound(f"There is no such model. There are: {', '.join(ids)}.", param="model")
        return service.find_tool(model)
    wanted = ["background"]
    if call == "image_edit" and sent.one("mask") is not None:
        wanted = ["retouch"]
    elif call == "image_edit" and transparent:
        wanted = ["cutout", "product"]
    for tool_id in wanted:
        if tool_id in ids:
            return service.find_tool(tool_id)
    if wanted == ["retouch"]:
        raise BadInput("A mask needs the tool 'retouch', which this studio does not have.", param="mask")
    raise BadInput("Name a 'model': no tool here does this by itself.", param="model")


def _fields(sent: Form, params: type[Params], pictures: list[object]) -> dict[str, list[object]]:
    """The tool's fields that OpenAI has other names for."""
    fields: dict[str, list[object]] = {}
    words = _words(params)
    # Where the tool's own field was sent as well, that one says it better.
    if words == "prompt" or (words and sent.one(words) is None):
        fields[words] = [sent.one("prompt")]
    fields.update(_pictures(params, pictures))
    fields.update(_size(sent, params))
    for theirs, ours in (("n", "variations"), ("output_format", "format"), ("output_compression", "quality")):
        value = sent.one(theirs)
        if value is None or value == "":
            continue
        if theirs == "output_compression":
            value = max(LEAST_QUALITY, _number(sent, theirs, 0, 100) or 0)
        if ours in params.model_fields:
            fields[ours] = [value]
        elif theirs == "n" and _number(sent, "n", 1, 10) != 1:
            raise InvalidParams("This model draws one picture at a time.", param="n")
    return fields


def _is_own(value: object, name: str, params: type[Params]) -> bool:
    """Whether it is said as the tool's own form says it, where OpenAI has another meaning for the name.

    The longer side alone, or a JPEG's quality in percent: copied code names both so.
    """
    if name not in params.model_fields or isinstance(value, bool) or value == "auto":
        return False
    if params.kind_of(name) == "choice":
        return value in _choices(params, name)
    return isinstance(value, int) or (isinstance(value, str) and value.isascii() and value.isdigit())


def _words(params: type[Params]) -> str | None:
    prompts = params.fields_of_kind("prompt")
    return "prompt" if "prompt" in prompts else next(iter(prompts), None)


def _pictures(params: type[Params], pictures: list[object]) -> dict[str, list[object]]:
    if not pictures:
        return {}
    single, several = params.fields_of_kind("picture"), params.fields_of_kind("pictures")
    if single and len(pictures) == 1:
        return {single[0]: pictures}
    if several:
        return {several[0]: pictures}
    raise BadInput("This model works on one image." if single else "This model takes no image.", param="image")


def _size(sent: Form, params: type[Params]) -> dict[str, list[object]]:
    """`WxH` is the longer side, and the shape where the tool has a choice of shapes."""
    text = sent.one("size")
    if text is None or text in ("", "auto"):
        return {}
    width, cross, height = text.partition("x") if isinstance(text, str) else ("", "", "")
    if not (cross and all(side.isascii() and side.isdigit() and 0 < len(side) < 6 for side in (width, height))):
        raise InvalidParams("'size' is auto or WIDTHxHEIGHT, for example 1024x1024.", param="size")
    across, down = int(width), int(height)
    if not across or not down:
        raise InvalidParams("'size' is at least one pixel.", param="size")
    fields: dict[str, list[object]] = {"size": [max(across, down)]} if "size" in params.model_fields else {}
    if "ratio" in params.model_fields:
        fields["ratio"] = [_ratio(params, across, down)]
    return fields


def _ratio(params: type[Params], across: int, down: int) -> str:
    shapes = [shape for shape in _choices(params, "ratio") if ":" in shape]
    common = math.gcd(across, down)
    wanted = f"{across // common}:{down // common}"
    if wanted not in shapes:
        raise BadInput(f"This model draws the shapes {', '.join(shapes)}.", param="size")
    return wanted


def _choices(params: type[Params], name: str) -> list[str]:
    rows = params.model_json_schema()["properties"].get(name, {})
    return rows.get("enum", [])


def _transparent(tool: Tool, file_format: object) -> dict[str, list[object]]:
    if file_format == "jpeg":
        raise BadInput("A JPEG cannot be transparent: use png or webp.", param="output_format")
    if "transparent" in _choices(tool.params, "preset"):
        return {"preset": ["transparent"], **{name: [""] for name in [_words(tool.params)] if name}}
    if tool.id == "cutout":
        return {}
    raise BadInput("This model draws no transparent background.", param="background")


def their_name(ours: str | None, params: type[Params]) -> str | None:
    if ours is None:
        return None
    if ours in (*params.fields_of_kind("picture")[:1], *params.fields_of_kind("pictures")[:1]):
        return "image"
    if ours == _words(params):
        return "prompt"
    return _THEIRS.get(ours, ours)


def _choice(sent: Form, name: str, choices: tuple[str, ...]) -> str:
    value = sent.one(name) or choices[0]
    if value not in choices:
        raise InvalidParams(f"'{name}' is one of: {', '.join(choices)}.", param=name)
    return str(value)


def _flag(sent: Form, name: str) -> bool:
    # Multipart has no booleans: the official client sends the word.
    value = sent.one(name)
    if value in (None, "", False, "false", "False"):
        return False
    if value in (True, "true", "True"):
        return True
    raise InvalidParams(f"'{name}' is true or false.", param=name)


def _number(sent: Form, name: str, least: int, most: int) -> int | None:
    value = sent.one(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidParams(f"'{name}' is a whole number from {least} to {most}.", param=name)
    return value
