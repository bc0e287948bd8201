"""Routes `/v1/batches`: OpenAI's batch API. A file of requests goes in, a file of answers comes out."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from pipelines.batch.batch_service import BatchOptions, BatchProgress, BatchService, new_batch_id
from pipelines.batch.batch_table import Batch, RowState
from pipelines.batch.jobs_file import KEY_COLUMN, TOOL_COLUMN, ParsedRow, read_jobs_file
from pipelines.batch.row_values import BatchPlan
from pipelines.codecs.encode import STILL_FORMATS
from pipelines.core.errors import BadInput, InvalidParams, NotFound, StudioError, error_from_json
from pipelines.ingest.decoder_pool import MAX_FILE_BYTES
from pipelines.jobs.queue import JobRow
from pipelines.service.studio_service import StudioService
from pipelines.storage.local_store import write_atomically
from ui.api import request_parsing
from ui.api.auth.access import AccessControl
from ui.api.auth.idempotency import IDEMPOTENCY_HEADER, fingerprint_call
from ui.api.dependencies import BatchesDep, OwnerDep, ServiceDep, WebhooksDep
from ui.api.errors import BODY_CODES, READ_CODES, WRITE_CODES, describe_error, document_errors
from ui.api.job_object import make_job_object
from ui.api.json_schema import document_json_body, object_schema
from ui.api.pagination import AfterQuery, LimitQuery, build_list_page
from ui.api.request_parsing import RequestForm
from ui.api.routes.jobs import find_webhook_url
from ui.api.routes.openai_mapping import ImageCall, translate_openai_request

router = APIRouter(tags=["batches"])

IMAGE_CALLS: dict[str, ImageCall] = {"/v1/images/generations": "image_generation", "/v1/images/edits": "image_edit"}
TOOLS_PATH = "/v1/tools/"
DAY_SECONDS = 24 * 3600
MAX_LINE_BYTES = MAX_FILE_BYTES * 4 // 3 + (1 << 20)
"""Bytes of one request: a picture as base64, and text."""
_LINKS_ONLY_MESSAGE = "A batch answers with links to its pictures: leave 'response_format' out, or send 'url'."
# OpenAI's status for each batch state. A paused batch will go on, so for a client it is in progress.
_STATUS_OF_STATE = {
    "reading": "validating", "ready": "validating", "running": "in_progress", "paused": "in_progress",
    "cancelled": "cancelled", "done": "completed",
}  # fmt: skip
_BATCH_BODY = document_json_body(
    object_schema(
        {
            "input_file_id": {"type": "string", "description": "A file sent with purpose=batch."},
            "endpoint": {"type": "string", "description": f"{', '.join(IMAGE_CALLS)} or {TOOLS_PATH}{{id}}"},
            "completion_window": {"type": "string", "enum": ["24h"]},
            "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "metadata",
    ),
    {"input_file_id": "file-…", "endpoint": "/v1/tools/cutout", "completion_window": "24h"},
)
_ROW_BODY = document_json_body(
    {
        "type": "object",
        "properties": {
            "job_id": {"type": "string", "description": "A finished job of the row's tool."},
            "approved": {
                "type": "boolean",
                "description": "In place of job_id: the picture is right, or (false) it is in doubt again.",
            },
        },
        "oneOf": [{"required": ["job_id"]}, {"required": ["approved"]}],
    },
    {"job_id": "job-…"},
)


# ---------------------------------------------------------------- routes


@router.post("/batches", responses=document_errors(BODY_CODES), openapi_extra=_BATCH_BODY)
async def create_batch(
    request: Request, answer: Response, owner: OwnerDep, service: ServiceDep, batches: BatchesDep, webhooks: WebhooksDep
) -> dict[str, Any]:
    """Run the lines of an uploaded file: `{"custom_id", "method": "POST", "url", "body"}`, one a line.

    Pictures in a `body` are file ids or data URLs, in the answers links.
    It begins at once, and goes on after a restart.
    """
    async with request_parsing.read_form(request) as form:
        endpoint = _check_endpoint(form.get_one("endpoint"), service)
        input_id, metadata = _require_text(form, "input_file_id"), _check_metadata(form.get_one("metadata"))
        if form.get_one("completion_window") != "24h":
            raise InvalidParams("'completion_window' is 24h.", param="completion_window")
    base = str(request.url).partition("/batches")[0]
    about = {"endpoint": endpoint, "input_file_id": input_id, "metadata": metadata, "base": base}
    webhook_url = await to_thread.run_sync(find_webhook_url, request, owner, metadata.get("webhook"))
    batch, replayed = await to_thread.run_sync(_create_once, request, batches, service, owner, about)
    if replayed:
        answer.headers["Idempotent-Replayed"] = "true"
    elif webhook_url is not None:
        await to_thread.run_sync(webhooks.add_delivery, owner, batch.id, webhook_url)
    return await to_thread.run_sync(make_batch_object, batches, batch)


@router.get("/batches", responses=document_errors((*READ_CODES, "disk_full")))
async def list_batches(
    owner: OwnerDep, batches: BatchesDep, limit: LimitQuery = 20, after: AfterQuery = None
) -> dict[str, Any]:
    """Your batches, newest first, those of the page and of the command line too."""
    if after is not None:
        await to_thread.run_sync(batches.get_batch, after, owner)
    rows = await to_thread.run_sync(batches.list_batches, owner, limit + 1, after)
    return build_list_page([await to_thread.run_sync(make_batch_object, batches, row) for row in rows], limit)


@router.get("/batches/{batch_id}", responses=document_errors((*READ_CODES, "disk_full")))
async def get_batch(batch_id: str, owner: OwnerDep, batches: BatchesDep) -> dict[str, Any]:
    """A batch as it stands; when it is completed its output and error files have ids."""
    batch = await to_thread.run_sync(batches.get_batch, batch_id, owner)
    return await to_thread.run_sync(make_batch_object, batches, batch)


@router.post("/batches/{batch_id}/cancel", responses=document_errors(WRITE_CODES))
async def cancel_batch(batch_id: str, owner: OwnerDep, batches: BatchesDep) -> dict[str, Any]:
    """End it, within a step of the line that runs; what is done stays."""
    await to_thread.run_sync(batches.get_batch, batch_id, owner)
    await to_thread.run_sync(batches.cancel, batch_id)
    return await get_batch(batch_id, owner, batches)


@router.get("/batches/{batch_id}/rows/{row}", responses=document_errors((*READ_CODES, "disk_full")))
async def get_row(batch_id: str, row: int, owner: OwnerDep, batches: BatchesDep) -> dict[str, Any]:
    """A row of a batch, from 1: its job, and the jobs that stood there before."""
    return await to_thread.run_sync(_make_row_object, batches, batch_id, row, owner)


@router.post("/batches/{batch_id}/rows/{row}", responses=document_errors(BODY_CODES), openapi_extra=_ROW_BODY)
async def replace_row(
    request: Request, batch_id: str, row: int, owner: OwnerDep, batches: BatchesDep
) -> dict[str, Any]:
    """Put a finished job of yours, of the same tool, into a row that is done; the ZIP and the output file then have it.

    The job that stood there stays among your jobs; sent in its turn, it takes its place again. With `approved` in place
    of `job_id` you say that the picture is right: the ZIP no longer sets it aside.
    """
    async with request_parsing.read_form(request) as form:
        answer, is_approved = form.get_one("approved"), request_parsing.read_flag(form, "approved")
        if answer is not None and form.get_one("job_id") is not None:
            raise InvalidParams("Send either 'job_id' or 'approved': one after the other.", param="approved")
        if answer == "":  # no word for either
            raise InvalidParams("'approved' is true or false.", param="approved")
        if answer is None:
            change = partial(batches.replace_row, batch_id, row, _require_text(form, "job_id"), owner)
        else:
            change = partial(batches.approve_row, batch_id, row, owner, is_approved=is_approved)
    await to_thread.run_sync(change)
    return await to_thread.run_sync(_make_row_object, batches, batch_id, row, owner)


# ---------------------------------------------------------------- requests


def _require_text(form: RequestForm, name: str) -> str:
    value = form.get_one(name)
    if not isinstance(value, str) or not value:
        raise InvalidParams(f"'{name}' is missing.", param=name)
    return value


def _check_endpoint(value: object, service: StudioService) -> str:
    if isinstance(value, str) and (value in IMAGE_CALLS or value.startswith(TOOLS_PATH)):
        if value.startswith(TOOLS_PATH):
            service.find_tool(value.removeprefix(TOOLS_PATH))
        return value
    raise InvalidParams(f"'endpoint' is one of {', '.join(IMAGE_CALLS)} or {TOOLS_PATH}{{id}}.", param="endpoint")


def _check_metadata(value: object) -> dict[str, str]:
    if value is None:
        return {}
    pairs = value.items() if isinstance(value, dict) else ()
    if not pairs or len(pairs) > 16 or any(len(str(k)) > 64 or len(str(v)) > 512 for k, v in pairs):
        raise InvalidParams("'metadata' is an object of at most 16 short texts.", param="metadata")
    return {str(name): str(text) for name, text in pairs}


def _create_once(
    request: Request, batches: BatchService, service: StudioService, owner: str, about: dict[str, Any]
) -> tuple[Batch, bool]:
    """Create the batch of this call, or find the one of the same earlier call; True for an earlier one."""
    key, new_id = request.headers.get(IDEMPOTENCY_HEADER), new_batch_id()
    if key is None:
        return _create_batch(batches, service, owner, about, new_id), False
    access: AccessControl = request.app.state.access
    call = fingerprint_call("batches", {name: about[name] for name in ("endpoint", "input_file_id", "metadata")})
    with access.idempotency.hold_key(owner, key):
        first_id = access.idempotency.claim_key(owner, key, call, new_id)
        if first_id != new_id and (batch := _find_earlier_batch(batches, first_id, owner)) is not None:
            return batch, True
        try:
            batch = _create_batch(batches, service, owner, about, new_id)
        except BaseException:
            access.idempotency.forget_key(owner, key)
            raise
        access.idempotency.replace_job(owner, key, new_id)
    return batch, False


def _find_earlier_batch(batches: BatchService, batch_id: str, owner: str) -> Batch | None:
    """Find the batch of an earlier call; None where it was deleted, or the studio stopped while its lines were read."""
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


def _create_batch(
    batches: BatchService, service: StudioService, owner: str, about: dict[str, Any], batch_id: str
) -> Batch:
    info = service.files.get_info(about["input_file_id"], owner)
    if info.format != "jsonl":
        raise BadInput("This file was not sent with purpose=batch.", param="input_file_id")
    folder = batches.root / batch_id
    folder.mkdir(parents=True, exist_ok=True)
    lines = _translate_lines(service.files.local_path(info.id, owner), service, about["endpoint"], folder)
    options = BatchOptions(name=info.path.name, about=about, batch_id=batch_id, seeds="row", source=folder)
    batch = batches.create_batch(BatchPlan("", {}), lines, owner, options)
    if any(folder.iterdir()):  # the lines contain pictures, so the input file is deleted together with those
        batches.table.set_caller_data(batch.id, {**about, "raw": [info.id]})
    batches.start(batch.id)
    return batches.get_batch(batch.id, owner)


def _translate_lines(path: Path, service: StudioService, endpoint: str, folder: Path) -> Iterator[ParsedRow]:
    for line in read_jobs_file(path, MAX_LINE_BYTES):
        try:
            yield line if line.error else _translate_line(line, service, endpoint, folder)
        except StudioError as error:
            if error.code == "disk_full":  # not the fault of the line
                raise
            yield ParsedRow(line.row, {KEY_COLUMN: line.cells.get("custom_id")}, error)


def _translate_line(line: ParsedRow, service: StudioService, endpoint: str, folder: Path) -> ParsedRow:
    """Translate one request into a row: its tool, its fields, its pictures as files in `folder`."""
    url, body = line.cells.get("url"), line.cells.get("body")
    if line.cells.get("method") != "POST" or url != endpoint:
        raise InvalidParams(f"Every line is a POST to {endpoint}.", param="url")
    if not isinstance(line.cells.get("custom_id"), str):
        raise InvalidParams("'custom_id' is missing.", param="custom_id")
    if not isinstance(body, dict):
        raise InvalidParams("'body' is an object.", param="body")
    request_parsing.check_text(body)
    form = RequestForm({name: [value] for name, value in body.items() if value is not None})
    if endpoint in IMAGE_CALLS:
        if form.get_one("response_format") == "b64_json":
            raise InvalidParams(_LINKS_ONLY_MESSAGE, param="response_format")
        image_request = translate_openai_request(form, service, IMAGE_CALLS[endpoint])
        tool, form = image_request.tool, image_request.form
    else:
        tool = service.find_tool(endpoint.removeprefix(TOOLS_PATH))
        form = request_parsing.rename_steps(form, tool.params)
    cells: dict[str, Any] = {KEY_COLUMN: line.cells["custom_id"], TOOL_COLUMN: tool.id}
    for name in form.values:
        kind = tool.params.kind_of(name) if name in tool.params.model_fields else None
        value = form.get_many(name) if kind == "pictures" else form.get_one(name)
        cells[name] = _save_pictures(value, folder) if kind in ("picture", "pictures", "mask") else value
    return ParsedRow(line.row, cells, notices=line.notices)


def _save_pictures(value: object, folder: Path) -> object:
    """Save data URLs as files in the folder, named by the hash of their content; names and ids stay."""
    if isinstance(value, list):
        return [_save_pictures(each, folder) for each in value]
    if not isinstance(value, str) or not (head := request_parsing.DATA_URL_PATTERN.match(value)):
        return value
    try:
        data = base64.b64decode(value[head.end() :], validate=True)
    except ValueError as error:
        raise BadInput("A picture is not valid base64.") from error
    name = f"{hashlib.sha256(data).hexdigest()[:40]}.bin"
    path = folder / name
    if not path.exists():
        write_atomically(path, data)
    return name


# ---------------------------------------------------------------- answers


def make_batch_object(batches: BatchService, batch: Batch) -> dict[str, Any]:
    """Build OpenAI's batch object; the first call after the end of the batch writes its output files."""
    progress = batches.get_progress(batch.id)
    ended = batch.state in ("done", "cancelled") and progress.running == 0
    about = _write_output_files(batches, batch, progress) if ended and batch.about.get("endpoint") else batch.about
    stamp = None if batch.finished is None else int(batch.finished)
    status = "cancelling" if batch.state == "cancelled" and not ended else _STATUS_OF_STATE[batch.state]
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": about.get("endpoint", f"{TOOLS_PATH}{batch.tool}"),
        "errors": None,
        "input_file_id": about.get("input_file_id", ""),
        "completion_window": "24h",
        "status": status,
        "output_file_id": about.get("output_file_id"),
        "error_file_id": about.get("error_file_id"),
        "created_at": int(batch.created),
        "in_progress_at": None if batch.started is None else int(batch.started),
        "expires_at": int(batch.created) + DAY_SECONDS,
        "completed_at": stamp if status == "completed" else None,
        "cancelled_at": stamp if status == "cancelled" else None,
        "request_counts": {"total": progress.total, "completed": progress.done, "failed": progress.failed},
        "metadata": about.get("metadata") or None,
        "note": batch.note or None,
    }


def _make_row_object(batches: BatchService, batch_id: str, number: int, owner: str) -> dict[str, Any]:
    row = batches.get_row(batch_id, number, owner)
    earlier = batches.table.list_replacements(batch_id).get(number, [])
    approved = batches.table.list_approvals(batch_id).get(number)
    return {
        "id": f"{batch_id}-{row.row}",
        "object": "batch.row",
        "batch_id": batch_id,
        "row": row.row,
        "custom_id": row.key,
        "tool": row.tool,
        "status": row.status,
        "job_id": row.job_id,
        "error": None if row.error is None else describe_error(error_from_json(row.error)),
        "replaced_at": int(earlier[-1].replaced_at) if earlier else None,
        "earlier_job_ids": [each.job_id for each in earlier],
        "approved_at": None if approved is None else int(approved),
    }


def _write_output_files(batches: BatchService, batch: Batch, progress: BatchProgress) -> dict[str, Any]:
    if "output_file_id" in batch.about:
        return batch.about
    about = dict(batch.about)
    for name, status, rows in (("output_file_id", "done", progress.done), ("error_file_id", "failed", progress.failed)):
        states = batches.iter_rows(batch.id, status) if rows else ()
        lines = "".join(_format_answer(batches, batch, row) for row in states)
        about[name] = batches.service.files.add_jsonl(lines.encode(), batch.owner, "batch_output") if lines else None
    batches.table.set_caller_data(batch.id, about)
    return about


def _format_answer(batches: BatchService, batch: Batch, row: RowState) -> str:
    job = batches.jobs.get_job(row.job_id) if row.job_id else None
    if row.error is not None:
        error = error_from_json(row.error)
        status, body = error.status, {"error": describe_error(error)}
    else:
        status, body = 200, _answer_body(batch, job)
    line = {
        "id": f"{batch.id}-{row.row}",
        "custom_id": row.key,
        "response": {"status_code": status, "request_id": row.job_id or f"{batch.id}-{row.row}", "body": body},
        "error": None,
    }
    return json.dumps(line, ensure_ascii=False) + "\n"


def _answer_body(batch: Batch, job: JobRow | None) -> dict[str, Any]:
    """Build the answer of the line's own route, with absolute links to the pictures."""
    if job is None:
        return {}
    base = batch.about["base"]
    if batch.about["endpoint"] not in IMAGE_CALLS:
        body = make_job_object(job)
        origin = base.removesuffix("/v1")
        return {**body, "files": [{**file, "url": origin + file["url"]} for file in body["files"]]}
    results = job.result.files if job.result else ()
    files = [file for file in results if file.role == "result" and file.format in STILL_FORMATS]
    return {
        "created": int(job.finished or job.created),
        "data": [{"url": f"{base}/files/{file.id}/content", "revised_prompt": None} for file in files],
        "size": f"{files[0].width}x{files[0].height}" if files else None,
        "output_format": files[0].format if files else None,
        "job_id": job.job.id,
    }
