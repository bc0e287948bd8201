"""`/v1/batches` in OpenAI's batch shape: lines of requests in, lines of answers out; every line is a row of a batch."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from pipelines.batch import Batch, BatchPlan, BatchProgress, BatchService, ParsedRow, RowState, check_rows, new_batch_id
from pipelines.batch.jobs_file import KEY_COLUMN, TOOL_COLUMN, RowFault, read_jobs_file
from pipelines.codecs.encode import STILL_FORMATS
from pipelines.core.errors import BadInput, InvalidParams, NotFound, StudioError
from pipelines.ingest.decoder_pool import MAX_FILE_BYTES
from pipelines.jobs.queue import JobRow
from pipelines.service.orders import StudioService
from pipelines.storage.local_store import write_atomically
from ui.api import request_parsing
from ui.api.auth.idempotency import HEADER, fingerprint
from ui.api.dependencies import Owner, TheService
from ui.api.errors import READING, SENDING, WRITING, documented, restore, shape
from ui.api.request_parsing import Form
from ui.api.routes.jobs import hook_of, job_object
from ui.api.routes.openai_mapping import Call, translate
from ui.api.routes.tools import STEPS

if TYPE_CHECKING:
    from ui.api.auth.access import Access

router = APIRouter(tags=["batches"])

IMAGES: dict[str, Call] = {"/v1/images/generations": "image_generation", "/v1/images/edits": "image_edit"}
TOOLS = "/v1/tools/"
DAY = 24 * 3600
LINE_BYTES = MAX_FILE_BYTES * 4 // 3 + (1 << 20)
"""Of one request: a picture as base64, and words."""
_LINKS = "A batch answers with links to its pictures: leave 'response_format' out, or send 'url'."
# OpenAI's word for each of our states; what is paused will go on, so for a client it is in progress.
_STATUS = {
    "reading": "validating", "ready": "validating", "running": "in_progress", "paused": "in_progress",
    "cancelled": "cancelled", "done": "completed",
}  # fmt: skip
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["input_file_id", "endpoint", "completion_window"],
                "properties": {
                    "input_file_id": {"type": "string", "description": "A file sent with purpose=batch."},
                    "endpoint": {"type": "string", "description": f"{', '.join(IMAGES)} or {TOOLS}{{id}}"},
                    "completion_window": {"type": "string", "enum": ["24h"]},
                    "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
                },
            },
            "example": {"input_file_id": "file-…", "endpoint": "/v1/tools/cutout", "completion_window": "24h"},
        }
    },
}


def _batches(request: Request) -> BatchService:
    return request.app.state.batches


# ---------------------------------------------------------------- routes


@router.post("/batches", responses=documented(SENDING), openapi_extra={"requestBody": _BODY})
async def create_batch(request: Request, answer: Response, owner: Owner, service: TheService) -> dict[str, Any]:
    """Run the lines of an uploaded file: `{"custom_id", "method": "POST", "url", "body"}`, one a line.

    Pictures in a `body` are file ids or data URLs, in the answers links.
    It begins at once, and goes on after a restart.
    """
    async with request_parsing.opened(request) as sent:
        endpoint = _endpoint(sent.one("endpoint"), service)
        input_id, metadata = _text(sent, "input_file_id"), _metadata(sent.one("metadata"))
        if sent.one("completion_window") != "24h":
            raise InvalidParams("'completion_window' is 24h.", param="completion_window")
    base = str(request.url).partition("/batches")[0]
    about = {"endpoint": endpoint, "input_file_id": input_id, "metadata": metadata, "base": base}
    batches = _batches(request)
    hook = await to_thread.run_sync(hook_of, request, owner, metadata.get("webhook"))
    batch, again = await to_thread.run_sync(partial(_once, request, batches, service, owner, about))
    if again:
        answer.headers["Idempotent-Replayed"] = "true"
    elif hook is not None:
        await to_thread.run_sync(request.app.state.webhooks.add, owner, batch.id, hook)
    return await to_thread.run_sync(batch_object, batches, batch)


@router.get("/batches", responses=documented((*READING, "disk_full")))
async def list_batches(
    request: Request,
    owner: Owner,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str | None, Query(max_length=64)] = None,
) -> dict[str, Any]:
    """Your batches, newest first, those of the page and of the command line too."""
    batches = _batches(request)
    if after is not None:
        await to_thread.run_sync(batches.get_batch, after, owner)
    rows = await to_thread.run_sync(batches.list_batches, owner, limit + 1, after)
    data = [await to_thread.run_sync(batch_object, batches, row) for row in rows[:limit]]
    ids = [row["id"] for row in data]
    return {
        "object": "list",
        "data": data,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": len(rows) > limit,
    }


@router.get("/batches/{batch_id}", responses=documented((*READING, "disk_full")))
async def get_batch(batch_id: str, request: Request, owner: Owner) -> dict[str, Any]:
    """A batch as it stands; when it is completed its output and error files have ids."""
    batches = _batches(request)
    batch = await to_thread.run_sync(batches.get_batch, batch_id, owner)
    return await to_thread.run_sync(batch_object, batches, batch)


@router.post("/batches/{batch_id}/cancel", responses=documented(WRITING))
async def cancel_batch(batch_id: str, request: Request, owner: Owner) -> dict[str, Any]:
    """End it, within a step of the line that runs; what is done stays."""
    batches = _batches(request)
    await to_thread.run_sync(batches.get_batch, batch_id, owner)
    await to_thread.run_sync(batches.cancel, batch_id)
    return await get_batch(batch_id, request, owner)


# ---------------------------------------------------------------- what was asked


def _text(sent: Form, name: str) -> str:
    value = sent.one(name)
    if not isinstance(value, str) or not value:
        raise InvalidParams(f"'{name}' is missing.", param=name)
    return value


def _endpoint(value: object, service: StudioService) -> str:
    if isinstance(value, str) and (value in IMAGES or value.startswith(TOOLS)):
        if value.startswith(TOOLS):
            service.find_tool(value.removeprefix(TOOLS))
        return value
    raise InvalidParams(f"'endpoint' is one of {', '.join(IMAGES)} or {TOOLS}{{id}}.", param="endpoint")


def _metadata(value: object) -> dict[str, str]:
    if value is None:
        return {}
    pairs = value.items() if isinstance(value, dict) else ()
    if not pairs or len(pairs) > 16 or any(len(str(k)) > 64 or len(str(v)) > 512 for k, v in pairs):
        raise InvalidParams("'metadata' is an object of at most 16 short texts.", param="metadata")
    return {str(name): str(text) for name, text in pairs}


def _once(
    request: Request, batches: BatchService, service: StudioService, owner: str, about: dict[str, Any]
) -> tuple[Batch, bool]:
    """The batch that this call becomes, or became when it was sent before; and whether that is so."""
    key, new = request.headers.get(HEADER), new_batch_id()
    if key is None:
        return _create(batches, service, owner, about, new), False
    access: Access = request.app.state.access
    call = fingerprint("batches", {name: about[name] for name in ("endpoint", "input_file_id", "metadata")})
    with access.once.alone(owner, key):
        first = access.once.claim(owner, key, call, new)
        if first != new and (batch := _stands(batches, first, owner)) is not None:
            return batch, True
        try:
            batch = _create(batches, service, owner, about, new)
        except BaseException:
            access.once.forget(owner, key)
            raise
        access.once.replace(owner, key, new)
    return batch, False


def _stands(batches: BatchService, batch_id: str, owner: str) -> Batch | None:
    """An earlier call's batch; None where it was forgotten, or where the studio stopped while its lines were read."""
    try:
        batch = batches.get_batch(batch_id, owner)
    except NotFound:
        return None
    if batch.state == "reading":
        batches.forget_batch(batch_id)
        return None
    if batch.state == "ready":
        batches.start(batch_id)
    return batches.get_batch(batch_id, owner)


def _create(batches: BatchService, service: StudioService, owner: str, about: dict[str, Any], batch_id: str) -> Batch:
    info = service.files.get_info(about["input_file_id"], owner)
    if info.format != "jsonl":
        raise BadInput("This file was not sent with purpose=batch.", param="input_file_id")
    lines = _lines(service.files.local_path(info.id, owner), service, about["endpoint"], batches.root / batch_id)
    plan = BatchPlan("", {})
    batch = batches.create_from_rows(
        plan, check_rows(plan, lines, service), owner, name=info.path.name, about=about, batch_id=batch_id, seeds="row",
        source=_folder(batches.root / batch_id),
    )  # fmt: skip
    if any((batches.root / batch_id).iterdir()):  # the lines carry pictures: they go when those do
        batches.table.set_about(batch.id, {**about, "raw": [info.id]})
    batches.start(batch.id)
    return batches.get_batch(batch.id, owner)


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _lines(path: Path, service: StudioService, endpoint: str, folder: Path) -> Iterator[ParsedRow]:
    for line in read_jobs_file(path, LINE_BYTES):
        try:
            yield line if line.faults else _translated(line, service, endpoint, folder)
        except StudioError as error:
            if error.code == "disk_full":  # nothing is wrong with the line
                raise
            fault = RowFault.from_error(line.row, error)
            yield ParsedRow(line.row, {KEY_COLUMN: line.cells.get("custom_id")}, (fault,))


def _translated(line: ParsedRow, service: StudioService, endpoint: str, folder: Path) -> ParsedRow:
    """One request as a row: its tool, its fields, its pictures laid into the batch's own folder."""
    url, body = line.cells.get("url"), line.cells.get("body")
    if line.cells.get("method") != "POST" or url != endpoint:
        raise InvalidParams(f"Every line is a POST to {endpoint}.", param="url")
    if not isinstance(line.cells.get("custom_id"), str):
        raise InvalidParams("'custom_id' is missing.", param="custom_id")
    if not isinstance(body, dict):
        raise InvalidParams("'body' is an object.", param="body")
    request_parsing.check_text(body)
    sent = Form({name: [value] for name, value in body.items() if value is not None})
    if endpoint in IMAGES:
        if sent.one("response_format") == "b64_json":
            raise InvalidParams(_LINKS, param="response_format")
        said = translate(sent, service, IMAGES[endpoint])
        tool, sent = said.tool, said.form
    else:
        tool = service.find_tool(endpoint.removeprefix(TOOLS))
        sent = sent.moved("steps", STEPS) if STEPS in tool.params.model_fields else sent
    cells: dict[str, Any] = {KEY_COLUMN: line.cells["custom_id"], TOOL_COLUMN: tool.id}
    for name in sent.values:
        kind = tool.params.kind_of(name) if name in tool.params.model_fields else None
        value = sent.many(name) if kind == "pictures" else sent.one(name)
        cells[name] = _laid_down(value, folder, service) if kind in ("picture", "pictures", "mask") else value
    return ParsedRow(line.row, cells, (), line.notices)


def _laid_down(value: object, folder: Path, service: StudioService) -> object:
    """Data URLs become files in the folder, by the hash of what they hold; names and ids stay."""
    if isinstance(value, list):
        return [_laid_down(each, folder, service) for each in value]
    if not isinstance(value, str) or not (head := request_parsing.DATA_URL.match(value)):
        return value
    try:
        data = base64.b64decode(value[head.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInput("A picture is not valid base64.") from error
    name = f"{hashlib.sha256(data).hexdigest()[:40]}.bin"
    path = _folder(folder) / name
    if not path.exists():
        write_atomically(path, data)
    return name


# ---------------------------------------------------------------- what is told


def batch_object(batches: BatchService, batch: Batch) -> dict[str, Any]:
    """OpenAI's batch object. The files are written when it is asked for the first time after the end."""
    progress = batches.get_progress(batch.id)
    ended = batch.state in ("done", "cancelled") and progress.running == 0
    about = _with_files(batches, batch, progress) if ended and batch.about.get("endpoint") else batch.about
    stamp = None if batch.finished is None else int(batch.finished)
    status = "cancelling" if batch.state == "cancelled" and not ended else _STATUS[batch.state]
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": about.get("endpoint", f"{TOOLS}{batch.tool}"),
        "errors": None,
        "input_file_id": about.get("input_file_id", ""),
        "completion_window": "24h",
        "status": status,
        "output_file_id": about.get("output_file_id"),
        "error_file_id": about.get("error_file_id"),
        "created_at": int(batch.created),
        "in_progress_at": None if batch.started is None else int(batch.started),
        "expires_at": int(batch.created) + DAY,
        "completed_at": stamp if status == "completed" else None,
        "cancelled_at": stamp if status == "cancelled" else None,
        "request_counts": {"total": progress.total, "completed": progress.done, "failed": progress.failed},
        "metadata": about.get("metadata") or None,
        "note": batch.note or None,
    }


def _with_files(batches: BatchService, batch: Batch, progress: BatchProgress) -> dict[str, Any]:
    if "output_file_id" in batch.about:
        return batch.about
    about = dict(batch.about)
    for name, status, rows in (("output_file_id", "done", progress.done), ("error_file_id", "failed", progress.failed)):
        lines = "".join(_answer(batches, batch, row) for row in batches.iter_rows(batch.id, status)) if rows else ""
        about[name] = batches.service.files.add_jsonl(lines.encode(), batch.owner, "batch_output") if lines else None
    batches.table.set_about(batch.id, about)
    return about


def _answer(batches: BatchService, batch: Batch, row: RowState) -> str:
    job = batches.jobs.get_job(row.job_id) if row.job_id else None
    if row.error is not None:
        error = restore(row.error)
        status, body = error.status, {"error": shape(error)}
    else:
        status, body = 200, _body_of(batch, job)
    line = {
        "id": f"{batch.id}-{row.row}",
        "custom_id": row.key,
        "response": {"status_code": status, "request_id": row.job_id or f"{batch.id}-{row.row}", "body": body},
        "error": None,
    }
    return json.dumps(line, ensure_ascii=False) + "\n"


def _body_of(batch: Batch, job: JobRow | None) -> dict[str, Any]:
    """What the route would have answered, pictures as links."""
    if job is None:
        return {}
    base = batch.about["base"]
    if batch.about["endpoint"] not in IMAGES:
        told = job_object(job)
        origin = base.removesuffix("/v1")
        return {**told, "files": [{**file, "url": origin + file["url"]} for file in told["files"]]}
    files = (
        [file for file in job.result.files if file.role == "result" and file.format in STILL_FORMATS]
        if job.result
        else []
    )
    return {
        "created": int(job.finished or job.created),
        "data": [{"url": f"{base}/files/{file.id}/content", "revised_prompt": None} for file in files],
        "size": f"{files[0].width}x{files[0].height}" if files else None,
        "output_format": files[0].format if files else None,
        "job_id": job.job.id,
    }
