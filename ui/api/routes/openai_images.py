"""OpenAI's images API over the tools: its routes, its answers, its streams; what is drawn is the tool's affair."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from pipelines.codecs.encode import STILL_FORMATS
from pipelines.core.errors import BadInput, JobCancelled, StudioError
from pipelines.core.job import Job, QueuePosition, Step
from pipelines.core.stream import Stream
from pipelines.jobs.queue import JobRow
from pipelines.runtime.progress import encode_preview
from pipelines.service.orders import StudioService
from ui.api import request_parsing
from ui.api.dependencies import Owner, TheService
from ui.api.errors import WORKING, documented, restore
from ui.api.routes import jobs
from ui.api.routes.jobs import EventStream, failed, find, finish, place, sse
from ui.api.routes.openai_mapping import MAX_PARTIALS, Asked, Call, their_name, translate

router = APIRouter(tags=["images"])

_NO_USAGE = {
    "input_tokens": 0,
    "output_tokens": 0,
    "total_tokens": 0,
    "input_tokens_details": {"text_tokens": 0, "image_tokens": 0},
}


_EXAMPLE = {"model": "background", "prompt": "forest in the morning", "size": "1024x1024", "response_format": "url"}


# ---------------------------------------------------------------- routes


def _body(*, edit: bool) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string"}
    fields: dict[str, Any] = {
        "prompt": text,
        "model": {**text, "description": "A tool's id. Absent, auto or gpt-image-*: the tool that fits."},
        "n": {"type": "integer", "minimum": 1, "maximum": 4, "description": "OpenAI's 10 is more than a tool draws."},
        "size": {**text, "description": "auto or WIDTHxHEIGHT; or as the tool's own form says it"},
        "background": {**text, "enum": ["auto", "opaque", "transparent"]},
        "output_format": {**text, "enum": ["png", "jpeg", "webp"]},
        "output_compression": {
            "type": "integer",
            "minimum": 0,
            "maximum": 100,
            "description": "In percent; under 50 is drawn as 50.",
        },
        "response_format": {**text, "enum": ["b64_json", "url"]},
        "stream": {"type": "boolean"},
        "partial_images": {"type": "integer", "minimum": 0, "maximum": MAX_PARTIALS},
    }
    if not edit:
        plain = {"type": "object", "required": ["prompt"], "properties": fields, "additionalProperties": True}
        return {"required": True, "content": {"application/json": {"schema": plain, "example": _EXAMPLE}}}
    file = {"type": "string", "format": "binary"}
    parts = {"image": file, "image[]": {"type": "array", "items": file}, "mask": file, **fields}
    schema = {"type": "object", "required": ["prompt"], "properties": parts, "additionalProperties": True}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


@router.post(
    "/images/generations", responses=documented(WORKING), openapi_extra={"requestBody": _body(edit=False)}
)  # fmt: skip
async def generate(request: Request, owner: Owner, service: TheService) -> Response:
    """OpenAI's images.generate. Fields of the tool ride along in the body."""
    return await _carry_out(request, service, owner, "image_generation")


@router.post("/images/edits", responses=documented(WORKING), openapi_extra={"requestBody": _body(edit=True)})
async def edit(request: Request, owner: Owner, service: TheService) -> Response:
    """OpenAI's images.edit: `image` (or `image[]`) and `mask` as files, data URLs or file ids."""
    return await _carry_out(request, service, owner, "image_edit")


async def _carry_out(request: Request, service: StudioService, owner: str, call: Call) -> Response:
    async with request_parsing.opened(request) as sent:
        asked = translate(sent, service, call)
        with _their_names(asked):
            filled = await request_parsing.fill(asked.form, asked.tool.params, service, owner)
            if call == "image_edit" and "mask" in filled.values:
                filled.values["mask"] = await to_thread.run_sync(
                    _white_where_clear, service, filled.values["mask"], owner
                )
    # Links lead to the address this call was made to, whatever stands in front of the studio.
    base = str(request.url).partition("/images/")[0]
    order = partial(_ordered, service, asked, filled, owner)
    placed = await place(request, service, order, filled.values, streamed=asked.stream)
    if placed.stream is not None:
        events = _events(request, service, placed.job, placed.stream, asked, base)
        return EventStream(events, service, placed.stream, placed)
    row = await finish(request, service, placed)
    if row.error is not None:
        raise restore(row.error)
    return JSONResponse(await to_thread.run_sync(_images, service, row, asked, base), headers=placed.headers)


def _ordered(service: StudioService, asked: Asked, filled: request_parsing.Filled, owner: str) -> Job:
    with _their_names(asked):
        job = service.create_job(asked.tool.id, filled.values, owner)
    return job.model_copy(update={"notices": (*job.notices, *filled.notices), "waited": True})


@contextmanager
def _their_names(asked: Asked) -> Iterator[None]:
    """Errors name the fields as OpenAI does."""
    try:
        yield
    except StudioError as error:
        error.param = their_name(error.param, asked.tool.params)
        raise


def _white_where_clear(service: StudioService, file_id: object, owner: str) -> object:
    """OpenAI edits where a mask is transparent, a tool's mask where it is white. One without alpha is a tool's own."""
    drawn = service.files.open_image(str(file_id))
    if drawn.shape[2] != 4:
        return file_id
    return service.files.add_image(np.repeat(255 - drawn[..., 3:], 3, axis=2), owner, "upload")


# ---------------------------------------------------------------- a finished job -> OpenAI's answer


def _about(asked: Asked, size: str, file_format: str) -> dict[str, Any]:
    return {
        "size": size,
        "quality": asked.quality,
        "background": "transparent" if asked.transparent else "opaque",
        "output_format": file_format,
    }


def _images(service: StudioService, row: JobRow, asked: Asked, base: str) -> dict[str, Any]:
    data = [{**_payload(service, file_id, asked, base), "revised_prompt": None} for file_id, _, _ in _results(row)]
    _, size, file_format = _results(row)[0]
    return {
        "created": int(row.finished or row.created),
        "data": data,
        **_about(asked, size, file_format),
        "usage": _NO_USAGE,
        "job_id": row.job.id,
        "notices": row.result.receipt.get("notices", []) if row.result else [],
    }


def _results(row: JobRow) -> list[tuple[str, str, str]]:
    if row.result is None:
        raise BadInput("The job was cancelled.")
    return [
        (f.id, f"{f.width}x{f.height}", f.format)
        for f in row.result.files
        if f.role == "result" and f.format in STILL_FORMATS
    ]


def _payload(service: StudioService, file_id: str, asked: Asked, base: str) -> dict[str, str]:
    if asked.links:
        return {"url": f"{base}/files/{file_id}/content"}
    return {"b64_json": base64.b64encode(service.files.read_bytes(file_id)).decode()}


async def _events(
    request: Request, service: StudioService, job: Job, stream: Stream, asked: Asked, base: str
) -> AsyncIterator[str]:
    sent = 0
    try:
        while (events := await stream.take_pending_async(jobs.PULSE)) or not stream.is_exhausted:
            if not events:
                yield jobs.WAIT
            for _, event in events:
                if isinstance(event, QueuePosition):
                    yield ": queued\n\n"
                elif isinstance(event, Step) and event.preview and _due(event, sent, asked.partials):
                    yield _partial(asked, event.preview, sent)
                    sent += 1
        if stream.error is not None:
            raise stream.error
        row = await find(service, job.id, job.owner)
        for missing in range(sent, asked.partials):
            # The work was done before so many frames were due: the rest are the picture itself, made small.
            yield _partial(asked, await to_thread.run_sync(_small, service, row), missing)
        for file_id, size, file_format in _results(row):
            payload = await to_thread.run_sync(_payload, service, file_id, asked, base)
            yield _event(asked, "completed", {**payload, **_about(asked, size, file_format), "usage": _NO_USAGE})
    except JobCancelled:
        yield failed(request, BadInput("The job was cancelled."))
    except Exception as error:  # noqa: BLE001  the status is sent: what is not told here is told to nobody
        yield failed(request, error)


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


def _small(service: StudioService, row: JobRow) -> bytes:
    return encode_preview(service.files.open_image(_results(row)[0][0])[..., :3].copy())
