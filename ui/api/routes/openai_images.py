"""Routes `/v1/images`: OpenAI's images API, its answers and its event streams, on top of the tools."""

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
from pipelines.core.errors import BadInput, JobCancelled, StudioError, error_from_json
from pipelines.core.job import Job, QueuePosition, Step
from pipelines.core.stream import Stream
from pipelines.jobs.queue import JobRow
from pipelines.runtime.progress import encode_preview
from pipelines.service.studio_service import StudioService
from ui.api import request_parsing
from ui.api.dependencies import OwnerDep, ServiceDep
from ui.api.errors import JOB_CODES, document_errors
from ui.api.event_stream import KEEPALIVE_COMMENT, format_event, format_failure, pending_events
from ui.api.job_object import api_notices, find_job
from ui.api.json_schema import document_form_body, document_json_body, integer_schema
from ui.api.routes.jobs import submit_once, wait_for_job
from ui.api.routes.openai_mapping import (
    MAX_PARTIAL_COUNT,
    ImageCall,
    ImageRequest,
    to_openai_name,
    translate_openai_request,
)

router = APIRouter(tags=["images"])

_NO_USAGE = {
    "input_tokens": 0,
    "output_tokens": 0,
    "total_tokens": 0,
    "input_tokens_details": {"text_tokens": 0, "image_tokens": 0},
}
_EXAMPLE_BODY = {
    "model": "background",
    "prompt": "forest in the morning",
    "size": "1024x1024",
    "response_format": "url",
}


# ---------------------------------------------------------------- routes


def _document_body(*, edit: bool) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string"}
    fields: dict[str, Any] = {
        "prompt": text,
        "model": {**text, "description": "A tool's id. Absent, auto or gpt-image-*: the tool that fits."},
        "n": integer_schema(1, 4, "OpenAI's 10 is more than a tool draws."),
        "size": {**text, "description": "auto or WIDTHxHEIGHT; or as the tool's own form says it"},
        "background": {**text, "enum": ["auto", "opaque", "transparent"]},
        "output_format": {
            **text,
            "enum": [*STILL_FORMATS, "gif"],
            "description": "gif: the model motion. OpenAI's svg is refused.",
        },
        "frame_count": integer_schema(2, 16, "Of a gif."),
        "frame_duration_ms": integer_schema(1, description="Of a gif; all frames together take 3 to 6 seconds."),
        "output_compression": integer_schema(0, 100, "In percent; under 50 is drawn as 50."),
        "response_format": {**text, "enum": ["b64_json", "url"]},
        "stream": {"type": "boolean"},
        "partial_images": integer_schema(0, MAX_PARTIAL_COUNT),
    }
    if not edit:
        plain = {"type": "object", "required": ["prompt"], "properties": fields, "additionalProperties": True}
        return document_json_body(plain, _EXAMPLE_BODY)
    file = {"type": "string", "format": "binary"}
    parts = {"image": file, "image[]": {"type": "array", "items": file}, "mask": file, "markup": file, **fields}
    schema = {"type": "object", "required": ["prompt"], "properties": parts, "additionalProperties": True}
    link = {**text, "description": "A data URL, or a link to a file of this studio. No other address is fetched."}
    reference = {"type": "object", "properties": {"file_id": text, "image_url": link}}
    named = {"images": {"type": "array", "items": reference}, "mask": reference, "markup": reference, **fields}
    plain = {"type": "object", "required": ["prompt", "images"], "properties": named, "additionalProperties": True}
    return document_form_body(schema, plain)


@router.post(
    "/images/generations",
    responses=document_errors(JOB_CODES),
    openapi_extra=_document_body(edit=False),
)
async def generate(request: Request, owner: OwnerDep, service: ServiceDep) -> Response:
    """OpenAI's images.generate. Fields of the tool ride along in the body."""
    return await _run_call(request, service, owner, "image_generation")


@router.post("/images/edits", responses=document_errors(JOB_CODES), openapi_extra=_document_body(edit=True))
async def edit(request: Request, owner: OwnerDep, service: ServiceDep) -> Response:
    """OpenAI's images.edit: `image` (or `image[]`) and `mask` as files, data URLs or file ids; or `images` in JSON."""
    return await _run_call(request, service, owner, "image_edit")


async def _run_call(request: Request, service: StudioService, owner: str, call: ImageCall) -> Response:
    async with request_parsing.read_form(request) as form:
        image_request = translate_openai_request(form, service, call)
        with _errors_in_openai_names(image_request):
            filled = await request_parsing.fill_form(image_request.form, image_request.tool.params, service, owner)
            if call == "image_edit" and "mask" in filled.values:
                filled.values["mask"] = await to_thread.run_sync(
                    _mask_from_alpha, service, filled.values["mask"], owner, form.get_one("markup") is not None
                )
    # Links use the address that this call was made to, which may be that of a proxy.
    base = str(request.url).partition("/images/")[0]
    make_job = partial(_make_job, service, image_request, filled, owner)
    submitted = await submit_once(request, service, make_job, filled.values, streamed=image_request.stream)
    if submitted.stream is not None:
        events = _stream_image_events(request, service, submitted.job, submitted.stream, image_request, base)
        return submitted.stream_response(service, events)
    row = await wait_for_job(request, service, submitted)
    if row.error is not None:
        raise error_from_json(row.error)
    return JSONResponse(
        await to_thread.run_sync(_make_images_object, service, row, image_request, base), headers=submitted.headers
    )


def _make_job(
    service: StudioService, image_request: ImageRequest, filled: request_parsing.FilledForm, owner: str
) -> Job:
    with _errors_in_openai_names(image_request):
        job = service.create_job(image_request.tool.id, filled.values, owner)
    notices = (*job.notices, *filled.notices, *image_request.notices)
    return job.model_copy(update={"notices": notices, "waited": True})


@contextmanager
def _errors_in_openai_names(image_request: ImageRequest) -> Iterator[None]:
    """Make errors inside the block name the fields as OpenAI does."""
    try:
        yield
    except StudioError as error:
        error.param = to_openai_name(error.param, image_request.tool.params)
        raise


def _mask_from_alpha(service: StudioService, file_id: object, owner: str, is_markup: bool) -> object:
    """Turn OpenAI's mask (edit where transparent) into a tool's mask (edit where white); the new file's id.

    A markup says the opposite: edit where something is painted. A mask without alpha is a tool's mask already. Raises
    `BadInput` for a markup without alpha.
    """
    mask = service.files.open_image(str(file_id))
    if mask.shape[2] != 4:
        if is_markup:
            raise BadInput("A markup is a PNG that is transparent where nothing is painted.", param="markup")
        return file_id
    edited = mask[..., 3:] if is_markup else 255 - mask[..., 3:]
    return service.files.add_image(np.repeat(edited, 3, axis=2), owner, "upload")


# ---------------------------------------------------------------- answers


def _describe_output(image_request: ImageRequest, size: str, file_format: str) -> dict[str, Any]:
    return {
        "size": size,
        "quality": image_request.quality,
        "background": "transparent" if image_request.transparent else "opaque",
        "output_format": file_format,
    }


def _make_images_object(service: StudioService, row: JobRow, image_request: ImageRequest, base: str) -> dict[str, Any]:
    files = _result_files(row, image_request.is_gif)
    data = [
        {**_picture_payload(service, file_id, image_request, base), "revised_prompt": None} for file_id, _, _ in files
    ]
    _, size, file_format = files[0]
    return {
        "created": int(row.finished or row.created),
        "data": data,
        **_describe_output(image_request, size, file_format),
        "usage": _NO_USAGE,
        **({"safety_identifier": image_request.safety_identifier} if image_request.safety_identifier else {}),
        "job_id": row.job.id,
        "notices": api_notices(row),
    }


def _result_files(row: JobRow, is_gif: bool = False) -> list[tuple[str, str, str]]:
    if row.result is None:
        raise BadInput("The job was cancelled.")
    return [
        (f.id, f"{f.width}x{f.height}", f.format)
        for f in row.result.files
        if f.role == "result" and f.format in (("gif",) if is_gif else STILL_FORMATS)
    ]


def _picture_payload(service: StudioService, file_id: str, image_request: ImageRequest, base: str) -> dict[str, str]:
    if image_request.links:
        return {"url": f"{base}/files/{file_id}/content"}
    return {"b64_json": base64.b64encode(service.files.read_bytes(file_id)).decode()}


async def _stream_image_events(
    request: Request, service: StudioService, job: Job, stream: Stream, image_request: ImageRequest, base: str
) -> AsyncIterator[str]:
    sent_count = 0
    try:
        async for events in pending_events(stream):
            if not events:
                yield KEEPALIVE_COMMENT
            for _, event in events:
                if isinstance(event, QueuePosition):
                    yield ": queued\n\n"
                elif (
                    isinstance(event, Step)
                    and event.preview
                    and _is_partial_due(event, sent_count, image_request.partials)
                ):
                    yield _format_partial(image_request, event.preview, sent_count)
                    sent_count += 1
        row = await find_job(service, job.id, job.owner)
        for missing in range(sent_count, image_request.partials):
            # The job ended before all partial images were due: the rest are the finished picture, made small.
            yield _format_partial(image_request, await to_thread.run_sync(_encode_small, service, row), missing)
        for file_id, size, file_format in _result_files(row):
            payload = await to_thread.run_sync(_picture_payload, service, file_id, image_request, base)
            yield _format_image_event(
                image_request,
                "completed",
                {**payload, **_describe_output(image_request, size, file_format), "usage": _NO_USAGE},
            )
    except JobCancelled:
        yield format_failure(request, BadInput("The job was cancelled."))
    except Exception as error:  # noqa: BLE001  the status 200 is sent, so an error can only be an event
        yield format_failure(request, error)


def _is_partial_due(step: Step, sent_count: int, partials: int) -> bool:
    """Whether the next partial image is due: they are spread evenly over the steps, the first one at once."""
    return sent_count < partials and step.index / max(1, step.total) >= sent_count / partials


def _format_partial(image_request: ImageRequest, preview: bytes, index: int) -> str:
    # A partial image is a small JPEG, whatever the format of the result; `size` is that of the result.
    picture = {"b64_json": base64.b64encode(preview).decode(), "partial_image_index": index}
    return _format_image_event(
        image_request, "partial_image", {**picture, **_describe_output(image_request, image_request.size, "jpeg")}
    )


def _format_image_event(image_request: ImageRequest, what: str, data: Mapping[str, Any]) -> str:
    name = f"{image_request.call}.{what}"
    return format_event(name, {"type": name, "created_at": int(time.time()), **data})


def _encode_small(service: StudioService, row: JobRow) -> bytes:
    return encode_preview(service.files.open_image(_result_files(row)[0][0])[..., :3].copy())
