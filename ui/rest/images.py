"""OpenAI's images API over the tools: names and shapes are translated here; what is drawn is the tool's affair."""

from __future__ import annotations

import base64
import math
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile
from starlette.responses import JSONResponse, Response

from pipelines.desk import Desk
from pipelines.jobs import Row
from pipelines.parts.emit import jpeg
from pipelines.types import BadInput, Cancelled, InvalidParams, Job, NotFound, Params, Queued, Step, StudioError, Tool
from ui.rest import form
from ui.rest.context import Owner, TheDesk
from ui.rest.errors import WORKING, documented, restore, shape
from ui.rest.form import Form
from ui.rest.jobs import EventStream, find, finish, sse

router = APIRouter(tags=["images"])

Call = Literal["image_generation", "image_edit"]
MAX_PARTIALS = 3
# Taken from every client and without a meaning here: nothing leaves this machine, and the gate is always the same.
_IGNORED = ("moderation", "user", "safety_identifier", "input_fidelity", "style")
_OWN = (
    "model", "n", "size", "quality", "output_format", "output_compression", "response_format", "stream",
    "partial_images",
)  # fmt: skip
_THEIRS = {"variations": "n", "format": "output_format", "quality": "output_compression", "ratio": "size"}
_NO_USAGE = {
    "input_tokens": 0,
    "output_tokens": 0,
    "total_tokens": 0,
    "input_tokens_details": {"text_tokens": 0, "image_tokens": 0},
}


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


# ---------------------------------------------------------------- routes


def _body(*, edit: bool) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string"}
    fields: dict[str, Any] = {
        "prompt": text,
        "model": {**text, "description": "A tool's id. Absent, auto or gpt-image-*: the tool that fits."},
        "n": {"type": "integer", "minimum": 1, "maximum": 4},
        "size": {**text, "description": "auto or WIDTHxHEIGHT"},
        "background": {**text, "enum": ["auto", "opaque", "transparent"]},
        "output_format": {**text, "enum": ["png", "jpeg", "webp"]},
        "output_compression": {"type": "integer", "minimum": 50, "maximum": 100},
        "response_format": {**text, "enum": ["b64_json", "url"]},
        "stream": {"type": "boolean"},
        "partial_images": {"type": "integer", "minimum": 0, "maximum": MAX_PARTIALS},
    }
    if not edit:
        plain = {"type": "object", "required": ["prompt"], "properties": fields, "additionalProperties": True}
        return {"required": True, "content": {"application/json": {"schema": plain}}}
    file = {"type": "string", "format": "binary"}
    parts = {"image": file, "image[]": {"type": "array", "items": file}, "mask": file, **fields}
    schema = {"type": "object", "required": ["prompt"], "properties": parts, "additionalProperties": True}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


@router.post(
    "/images/generations", responses=documented(WORKING), openapi_extra={"requestBody": _body(edit=False)}
)  # fmt: skip
async def generate(request: Request, owner: Owner, desk: TheDesk) -> Response:
    """OpenAI's images.generate. Fields of the tool ride along in the body."""
    return await _carry_out(request, desk, owner, "image_generation")


@router.post("/images/edits", responses=documented(WORKING), openapi_extra={"requestBody": _body(edit=True)})
async def edit(request: Request, owner: Owner, desk: TheDesk) -> Response:
    """OpenAI's images.edit: `image` (or `image[]`) and `mask` as files, data URLs or file ids."""
    return await _carry_out(request, desk, owner, "image_edit")


async def _carry_out(request: Request, desk: Desk, owner: str, call: Call) -> Response:
    async with form.opened(request) as sent:
        asked = translate(sent, desk, call)
        try:
            filled = await form.fill(asked.form, asked.tool.params, desk, owner)
            job = await to_thread.run_sync(partial(desk.order, asked.tool.id, filled.values, owner))
        except StudioError as error:
            error.param = _their_name(error.param, asked.tool.params)
            raise
        job = job.model_copy(update={"notices": filled.notices})
    # Links lead to the address this call was made to, whatever stands in front of the studio.
    base = str(request.url).partition("/images/")[0]
    if asked.stream:
        await to_thread.run_sync(desk.jobs.submit, job)
        return EventStream(_events(desk, job, asked, base), desk, job.id)
    row = await finish(request, desk, job)
    if row.error is not None:
        raise restore(row.error)
    return JSONResponse(await to_thread.run_sync(_images, desk, row, asked, base), headers={"X-Job-Id": job.id})


# ---------------------------------------------------------------- OpenAI's words -> a tool's fields


def translate(sent: Form, desk: Desk, call: Call) -> Asked:
    """The tool that is meant and its form. Raises `InvalidParams`, `BadInput`, `NotFound` with the sender's names."""
    if sent.one("prompt") is None:
        raise InvalidParams("'prompt' is missing.", param="prompt")
    pictures = [*sent.many("image"), *sent.many("image[]")]
    if call == "image_edit" and not pictures:
        raise InvalidParams("'image' is missing.", param="image")
    background = sent.one("background")
    transparent = background == "transparent"
    tool = _tool(sent, desk, call, transparent)
    fields = _fields(sent, tool.params, pictures)
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


def _tool(sent: Form, desk: Desk, call: Call, transparent: bool) -> Tool:
    model = sent.one("model")
    if isinstance(model, UploadFile) or not isinstance(model, str | None):
        raise InvalidParams("'model' must be text.", param="model")
    ids = [tool.id for tool in desk.tools]
    if model and model != "auto" and not model.startswith("gpt-image-"):
        if model not in ids:
            raise NotFound(f"There is no such model. There are: {', '.join(ids)}.", param="model")
        return desk.tool(model)
    wanted = ["background"]
    if call == "image_edit" and sent.one("mask") is not None:
        wanted = ["retouch"]
    elif call == "image_edit" and transparent:
        wanted = ["cutout", "product"]
    for tool_id in wanted:
        if tool_id in ids:
            return desk.tool(tool_id)
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
        if ours in params.model_fields:
            fields[ours] = [value]
        elif theirs == "n" and _number(sent, "n", 1, 10) != 1:
            raise InvalidParams("This model draws one picture at a time.", param="n")
    return fields


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


def _their_name(ours: str | None, params: type[Params]) -> str | None:
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


# ---------------------------------------------------------------- a finished job -> OpenAI's answer


def _about(asked: Asked, size: str, file_format: str) -> dict[str, Any]:
    return {
        "size": size,
        "quality": asked.quality,
        "background": "transparent" if asked.transparent else "opaque",
        "output_format": file_format,
    }


def _images(desk: Desk, row: Row, asked: Asked, base: str) -> dict[str, Any]:
    data = [{**_payload(desk, file_id, asked, base), "revised_prompt": None} for file_id, _, _ in _results(row)]
    _, size, file_format = _results(row)[0]
    return {
        "created": int(row.finished or row.created),
        "data": data,
        **_about(asked, size, file_format),
        "usage": _NO_USAGE,
        "job_id": row.job.id,
        "notices": row.result.receipt.get("notices", []) if row.result else [],
    }


def _results(row: Row) -> list[tuple[str, str, str]]:
    if row.result is None:
        raise BadInput("The job was cancelled.")
    return [(f.id, f"{f.width}x{f.height}", f.format) for f in row.result.files if f.role == "result"]


def _payload(desk: Desk, file_id: str, asked: Asked, base: str) -> dict[str, str]:
    if asked.links:
        return {"url": f"{base}/files/{file_id}/content"}
    return {"b64_json": base64.b64encode(desk.files.path(file_id).read_bytes()).decode()}


async def _events(desk: Desk, job: Job, asked: Asked, base: str) -> AsyncIterator[str]:
    stream = await to_thread.run_sync(desk.jobs.watch, job.id)
    sent = 0
    try:
        async for event in stream:
            if isinstance(event, Queued):
                yield ": queued\n\n"
            elif isinstance(event, Step) and event.preview and _due(event, sent, asked.partials):
                yield _partial(asked, event.preview, sent)
                sent += 1
        row = await find(desk, job.id, job.owner)
        for missing in range(sent, asked.partials):
            # The work was done before so many frames were due: the rest are the picture itself, made small.
            yield _partial(asked, await to_thread.run_sync(_small, desk, row), missing)
        for file_id, size, file_format in _results(row):
            payload = await to_thread.run_sync(_payload, desk, file_id, asked, base)
            yield _event(asked, "completed", {**payload, **_about(asked, size, file_format), "usage": _NO_USAGE})
    except Cancelled:
        yield sse("error", {"error": shape(BadInput("The job was cancelled."))})
    except StudioError as error:
        yield sse("error", {"error": shape(error)})
    finally:
        stream.close()


def _due(step: Step, sent: int, partials: int) -> bool:
    """Frames are spread over the steps: the first at once, each next one a share later."""
    return sent < partials and step.index / max(1, step.total) >= sent / partials


def _partial(asked: Asked, preview: bytes, index: int) -> str:
    # The frame is a small JPEG whatever the file will be, and says so; its size is the one that was asked for.
    picture = {"b64_json": base64.b64encode(preview).decode(), "partial_image_index": index}
    return _event(asked, "partial_image", {**picture, **_about(asked, asked.size, "jpeg")})


def _event(asked: Asked, what: str, data: Mapping[str, Any]) -> str:
    name = f"{asked.call}.{what}"
    return sse(name, {"type": name, "created_at": int(time.time()), **data})


def _small(desk: Desk, row: Row) -> bytes:
    return jpeg(desk.files.open(_results(row)[0][0])[..., :3].copy())
