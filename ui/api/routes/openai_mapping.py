"""Translates a request of OpenAI's images API into a tool and the tool's form."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from starlette.datastructures import UploadFile

from pipelines.core.errors import BadInput, InvalidParams, NotFound
from pipelines.core.params import Params, read_form_schema
from pipelines.core.tools import Tool
from pipelines.service.studio_service import StudioService
from ui.api.request_parsing import RequestForm, read_flag, rename_steps

ImageCall = Literal["image_generation", "image_edit"]
MAX_PARTIAL_COUNT = 3
MIN_QUALITY_PERCENT = 50
"""Percent: lowest quality of a written file; a client that asks for less gets this."""
QUALITIES = ("high", "auto", "low", "medium", "xhigh", "max", "standard", "hd")
_QUALITY_ANSWERS = {"auto": "high", "standard": "medium", "hd": "high"}
"""What the answer says for words that OpenAI's answers do not know."""
_AUTO_MODEL_PREFIXES = ("gpt-image-", "chatgpt-image-")
_UNUSED_WORDS_NOTICE = "No model here draws films: the words were not used, the camera moves past the photo."
_GIF_REFUSAL = "Only the model 'motion' writes GIF. Take png, jpeg, webp or avif."
_DEFAULT_GIF_FRAME_COUNT = 9
_MAX_SHAPE_DISTANCE = math.log(1.34)
"""Natural logarithm of a ratio of ratios: a shape that differs by more than a third is another picture."""
# Accepted from every client, and ignored: nothing leaves this machine, and the content filter is always the same.
_IGNORED_FIELDS = ("moderation", "user", "safety_identifier", "input_fidelity", "style", "complexity")
_OPENAI_FIELDS = (
    "model", "n", "size", "quality", "output_format", "output_compression", "response_format", "stream",
    "partial_images", "images", "markup", "frame_count", "frame_duration_ms",
)  # fmt: skip
_OPENAI_NAMES = {
    "variations": "n", "format": "output_format", "quality": "output_compression", "ratio": "size",
    "gif": "output_format", "gif_frames": "frame_count", "seconds": "frame_duration_ms",
}  # fmt: skip
_FILE_LINK_PATTERN = re.compile(r"(?:https?://[^/?#]+)?/v1/files/(file-[\w-]+)/content", re.ASCII)
"""A link to a file of this studio, as `response_format` url gives it."""


@dataclass(frozen=True)
class ImageRequest:
    """The tool that a request means, the tool's form, and what OpenAI's API says besides."""

    call: ImageCall
    tool: Tool
    form: RequestForm
    links: bool
    stream: bool
    partials: int
    size: str
    quality: str
    transparent: bool
    is_gif: bool = False
    safety_identifier: str | None = None
    notices: tuple[str, ...] = ()


def translate_openai_request(sent: RequestForm, service: StudioService, call: ImageCall) -> ImageRequest:
    """Find the tool that is meant and fill its form. Errors name OpenAI's fields.

    Raises `InvalidParams`, `BadInput`, `NotFound`.
    """
    if sent.get_one("prompt") is None:
        raise InvalidParams("'prompt' is missing.", param="prompt")
    _refuse_svg(sent)
    pictures = [*sent.get_many("image"), *sent.get_many("image[]")]
    pictures += [_read_reference(item, "images") for item in sent.get_many("images")]
    if call == "image_edit" and not pictures:
        raise InvalidParams("'image' is missing.", param="image")
    background = sent.get_one("background")
    transparent = background == "transparent"
    is_gif = sent.get_one("output_format") == "gif"
    tool = _choose_tool(sent, service, call, transparent)
    own = {
        name: sent.get_many(name)
        for name in ("size", "quality")
        if _is_tool_value(sent.get_one(name), name, tool.params)
    }
    sent = sent.without_fields(*own)
    fields = own | _map_fields(sent, tool.params, pictures) | _map_animation(sent, tool)
    size_fields, notices = _map_size(sent, tool.params)
    fields |= size_fields
    notices += _drop_film_words(fields, tool, service)
    for name in ("mask", "markup"):
        if (picture := sent.get_one(name)) is not None:
            fields.update(_map_mask(name, _read_reference(picture, name), sent, tool))
    rest = sent.without_fields(
        "image", "image[]", "prompt", "mask", *_OPENAI_FIELDS, *(set(_IGNORED_FIELDS) - set(tool.params.model_fields))
    )
    if background in ("auto", "opaque", "transparent"):
        rest = rest.without_fields("background")  # any other value is a tool's own field of that name
    rest = rename_steps(rest, tool.params)
    if transparent:
        fields.update(_map_transparency(tool, sent.get_one("output_format")))
    return ImageRequest(
        call=call,
        tool=tool,
        form=RequestForm({**fields, **rest.values}),
        links=_read_choice(sent, "response_format", ("b64_json", "url")) == "url",
        stream=read_flag(sent, "stream"),
        partials=_read_number(sent, "partial_images", 0, MAX_PARTIAL_COUNT) or 0,
        size=str(sent.get_one("size") or "auto"),
        quality=_QUALITY_ANSWERS.get(asked := _read_choice(sent, "quality", QUALITIES), asked),
        transparent=transparent,
        is_gif=is_gif,
        safety_identifier=_read_text(sent, "safety_identifier") or _read_text(sent, "user"),
        notices=notices,
    )


def _refuse_svg(sent: RequestForm) -> None:
    for name in sent.values:
        if name == "svg" or name.startswith("svg["):
            raise BadInput("No tool here draws SVG.", param="svg")
    if sent.get_one("output_format") == "svg":
        raise BadInput("No tool here draws SVG. Take png, jpeg, webp or avif.", param="output_format")


def _read_reference(picture: object, name: str) -> object:
    """Read a picture as OpenAI's JSON bodies name it: `{"file_id": ...}` or `{"image_url": ...}`.

    An address is a data URL or a link to a file of this studio. Other values are returned as they are.
    """
    if not isinstance(picture, dict):
        return picture
    named = {key: value for key, value in picture.items() if value is not None}
    if len(named) != 1 or not named.keys() <= {"file_id", "image_url"}:
        raise InvalidParams(f"Each picture of '{name}' has either 'file_id' or 'image_url'.", param=name)
    (value,) = named.values()
    link = _FILE_LINK_PATTERN.fullmatch(value) if isinstance(value, str) else None
    return link[1] if link else value


def _map_mask(name: str, picture: object, sent: RequestForm, tool: Tool) -> dict[str, list[object]]:
    """Fill the tool's mask. A markup counts as one: what is painted on it says where to edit."""
    if name == "markup":
        if sent.get_one("mask") is not None:
            raise InvalidParams("Send 'mask' or 'markup', not both.", param="markup")
        if "mask" not in tool.params.fields_of_kind("mask"):
            raise BadInput("This model takes no markup: 'retouch' does.", param="markup")
    return {"mask": [picture]}  # a tool without one refuses it by name


def _map_animation(sent: RequestForm, tool: Tool) -> dict[str, list[object]]:
    """Fill the fields of a GIF, and refuse formats that the tool does not write."""
    wanted = sent.get_one("output_format")
    count = _read_number(sent, "frame_count", 2, 16)
    delay_ms = _read_number(sent, "frame_duration_ms", 1, 99999)
    for name, value in (("frame_count", count), ("frame_duration_ms", delay_ms)):
        if value is not None and wanted != "gif":
            raise BadInput(f"'{name}' is for output_format gif.", param=name)
    if wanted == "gif" and "gif" not in tool.params.model_fields:
        raise BadInput(_GIF_REFUSAL, param="output_format")
    if wanted in ("png", "jpeg", "avif") and "format" not in tool.params.model_fields:
        raise BadInput("This model writes webp or gif.", param="output_format")
    if wanted != "gif":
        return {}
    if read_flag(sent, "stream"):
        raise BadInput("A GIF is not streamed. Leave 'stream' out.", param="stream")
    fields: dict[str, list[object]] = {"gif": [True]}
    if count or delay_ms:
        fields["gif_frames"] = [count or _DEFAULT_GIF_FRAME_COUNT]
    if delay_ms:
        fields["seconds"] = [(count or _DEFAULT_GIF_FRAME_COUNT) * delay_ms / 1000]
    return fields


def _choose_tool(sent: RequestForm, service: StudioService, call: ImageCall, transparent: bool) -> Tool:
    model = sent.get_one("model")
    if isinstance(model, UploadFile) or not isinstance(model, str | None):
        raise InvalidParams("'model' must be text.", param="model")
    ids = [tool.id for tool in service.tools]
    if model and model != "auto" and not model.startswith(_AUTO_MODEL_PREFIXES):
        if model not in ids:
            raise NotFound(f"There is no such model. There are: {', '.join(ids)}.", param="model")
        return service.find_tool(model)
    wanted = ["background"]
    if sent.get_one("output_format") == "gif":
        if call == "image_generation":
            raise BadInput("A GIF is made of a photo: call images.edit.", param="output_format")
        wanted = ["motion"]
    elif call == "image_edit" and (sent.get_one("mask") is not None or sent.get_one("markup") is not None):
        wanted = ["retouch"]
    elif call == "image_edit" and transparent:
        wanted = ["cutout", "product"]
    for tool_id in wanted:
        if tool_id in ids:
            return service.find_tool(tool_id)
    if wanted == ["retouch"]:
        raise BadInput("A mask needs the tool 'retouch', which this studio does not have.", param="mask")
    if wanted == ["motion"]:
        raise BadInput(_GIF_REFUSAL, param="output_format")
    raise BadInput("Name a 'model': no tool here does this by itself.", param="model")


def _map_fields(sent: RequestForm, params: type[Params], pictures: list[object]) -> dict[str, list[object]]:
    """Fill the tool's fields that OpenAI has other names for."""
    fields: dict[str, list[object]] = {}
    words = _prompt_field(params)
    # The tool's own field wins where both were sent.
    if words == "prompt" or (words and sent.get_one(words) is None):
        fields[words] = [sent.get_one("prompt")]
    fields.update(_map_pictures(params, pictures))
    for theirs, ours in (("n", "variations"), ("output_format", "format"), ("output_compression", "quality")):
        value = sent.get_one(theirs)
        if value is None or value == "":
            continue
        if theirs == "output_compression":
            value = max(MIN_QUALITY_PERCENT, _read_number(sent, theirs, 0, 100) or 0)
        if ours in params.model_fields:
            fields[ours] = [value]
        elif theirs == "n" and _read_number(sent, "n", 1, 10) != 1:
            raise InvalidParams("This model draws one picture at a time.", param="n")
    return fields


def _drop_film_words(fields: dict[str, list[object]], tool: Tool, service: StudioService) -> tuple[str, ...]:
    """Drop the words for a film where no model draws films, since OpenAI's clients must send some; says so."""
    words = _prompt_field(tool.params)
    if "gif" not in tool.params.model_fields or not words or not service.form_checks.missing_verbs(tool.params, words):
        return ()
    return () if fields.pop(words, [""]) == [""] else (_UNUSED_WORDS_NOTICE,)


def _is_tool_value(value: object, name: str, params: type[Params]) -> bool:
    """Whether `value` is of the tool's own field of that name, where OpenAI's field means something else.

    Code copied from the page sends such values: the longer side alone as `size`, or percent as `quality`.
    """
    if name not in params.model_fields or isinstance(value, bool) or value == "auto":
        return False
    if params.kind_of(name) == "choice":
        return value in _list_choices(params, name)
    return isinstance(value, int) or (isinstance(value, str) and value.isascii() and value.isdigit())


def _prompt_field(params: type[Params]) -> str | None:
    prompts = [name for name in params.fields_of_kind("prompt") if "x-kept" not in params.schema_extra(name)]
    return "prompt" if "prompt" in prompts else next(iter(prompts), None)


def _map_pictures(params: type[Params], pictures: list[object]) -> dict[str, list[object]]:
    if not pictures:
        return {}
    single, several = params.fields_of_kind("picture"), params.fields_of_kind("pictures")
    if single and len(pictures) == 1:
        return {single[0]: pictures}
    if several:
        return {several[0]: pictures}
    raise BadInput("This model works on one image." if single else "This model takes no image.", param="image")


def _map_size(sent: RequestForm, params: type[Params]) -> tuple[dict[str, list[object]], tuple[str, ...]]:
    """Turn `WxH` into the longer side, and into the nearest shape where the tool has a choice of those.

    Returns the fields and a notice where the shape is another.
    """
    text = sent.get_one("size")
    if text is None or text in ("", "auto") or _is_tool_value(text, "size", params):
        return {}, ()
    width, cross, height = text.partition("x") if isinstance(text, str) else ("", "", "")
    if not (cross and all(side.isascii() and side.isdigit() and 0 < len(side) < 6 for side in (width, height))):
        raise InvalidParams("'size' is auto or WIDTHxHEIGHT, for example 1024x1024.", param="size")
    across, down = int(width), int(height)
    if not across or not down:
        raise InvalidParams("'size' is at least one pixel.", param="size")
    fields: dict[str, list[object]] = {"size": [max(across, down)]} if "size" in params.model_fields else {}
    if "ratio" not in params.model_fields:
        return fields, ()
    shape = _choose_ratio(params, across, down)
    wide, high = map(int, shape.split(":"))
    notices = () if across * high == down * wide else (f"{text} was asked for; the nearest shape here is {shape}.",)
    return {**fields, "ratio": [shape]}, notices


def _choose_ratio(params: type[Params], across: int, down: int) -> str:
    """Choose the shape whose ratio is nearest. Raises `BadInput` where none is near."""
    shapes = [shape for shape in _list_choices(params, "ratio") if ":" in shape]

    def distance(shape: str) -> float:
        wide, high = map(int, shape.split(":"))
        return abs(math.log(across * high / (down * wide)))

    nearest = min(shapes, key=distance)
    if distance(nearest) > _MAX_SHAPE_DISTANCE:
        raise BadInput(f"This model draws the shapes {', '.join(shapes)}.", param="size")
    return nearest


def _list_choices(params: type[Params], name: str) -> list[str]:
    rows = read_form_schema(params)["properties"].get(name, {})
    return rows.get("enum", [])


def _map_transparency(tool: Tool, file_format: object) -> dict[str, list[object]]:
    if file_format == "jpeg":
        raise BadInput("A JPEG cannot be transparent: use png, webp or avif.", param="output_format")
    if "transparent" in _list_choices(tool.params, "preset"):
        return {"preset": ["transparent"], **{name: [""] for name in [_prompt_field(tool.params)] if name}}
    if tool.id == "cutout":
        return {}
    raise BadInput("This model draws no transparent background.", param="background")


def to_openai_name(ours: str | None, params: type[Params]) -> str | None:
    """Translate the name of a tool's field into OpenAI's name for it."""
    if ours is None:
        return None
    if ours in (*params.fields_of_kind("picture")[:1], *params.fields_of_kind("pictures")[:1]):
        return "image"
    if ours == _prompt_field(params):
        return "prompt"
    return _OPENAI_NAMES.get(ours, ours)


def _read_choice(sent: RequestForm, name: str, choices: tuple[str, ...]) -> str:
    value = sent.get_one(name) or choices[0]
    if value not in choices:
        raise InvalidParams(f"'{name}' is one of: {', '.join(choices)}.", param=name)
    return str(value)


def _read_text(sent: RequestForm, name: str) -> str | None:
    value = sent.get_one(name)
    return value if isinstance(value, str) and value else None


def _read_number(sent: RequestForm, name: str, least: int, most: int) -> int | None:
    value = sent.get_one(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidParams(f"'{name}' is a whole number from {least} to {most}.", param=name)
    return value
