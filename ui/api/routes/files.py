"""Routes `/v1/files`: upload a picture or a batch file, list files, download one."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile
from starlette.responses import Response

from pipelines.codecs.file_names import strip_label
from pipelines.core.errors import InvalidParams
from pipelines.service.studio_service import StudioService
from pipelines.storage.file_index import FileInfo
from ui.api import request_parsing
from ui.api.dependencies import OwnerDep, ServiceDep
from ui.api.errors import READ_CODES, UPLOAD_CODES, document_errors
from ui.api.file_response import make_file_response
from ui.api.json_schema import object_schema
from ui.api.pagination import AfterQuery, LimitQuery, build_list_page

router = APIRouter(tags=["files"])
BATCH_FILE_BYTES = 100_000_000
"""Bytes of one file of JSON lines."""

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_UPLOAD_FORM = object_schema({"file": _BINARY["schema"], "purpose": {"type": "string"}}, "purpose")
_UPLOAD_BODY = {"required": True, "content": {"multipart/form-data": {"schema": _UPLOAD_FORM}}}
_CONTENT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {"*/*": _BINARY}},
    206: {"description": "The part that was asked for.", "content": {"*/*": _BINARY}},
    304: {"description": "You have it already."},
}


def make_file_object(info: FileInfo, notices: tuple[str, ...] = ()) -> dict[str, Any]:
    """Build OpenAI's file object. A client's file name is not repeated: agents read this."""
    return {
        "id": info.id,
        "object": "file",
        "bytes": info.bytes,
        "created_at": int(info.created),
        "filename": strip_label(info.download_name),
        "purpose": info.role if info.role in ("batch", "batch_output") else "vision",
        "status": "processed",
        "width": info.width,
        "height": info.height,
        "format": info.format,
        "sha256": info.sha256,
        "notices": list(notices),
    }


@router.post("/files", responses=document_errors(UPLOAD_CODES), openapi_extra={"requestBody": _UPLOAD_BODY})
async def create_file(request: Request, owner: OwnerDep, service: ServiceDep) -> dict[str, Any]:
    """Send a picture once and use its id in any tool. It is decoded, turned upright, and stripped of EXIF and GPS.

    With `purpose=batch`: JSON lines for `/v1/batches`, kept as they are.
    """
    async with request_parsing.read_form(request) as form:
        if form.get_one("file") is None:
            raise InvalidParams("'file' is missing.", param="file")
        if form.get_one("purpose") == "batch":
            return make_file_object(await _store_batch_lines(form.get_one("file"), service, owner))
        file_id, notices = await request_parsing.ingest_value(form.get_one("file"), "file", service, owner)
    return make_file_object(await to_thread.run_sync(service.files.get_info, file_id, owner), notices)


async def _store_batch_lines(value: object, service: StudioService, owner: str) -> FileInfo:
    if not isinstance(value, UploadFile):
        raise InvalidParams("'file' takes a file of JSON lines.", param="file")
    data = await request_parsing.read_upload(value, "file", BATCH_FILE_BYTES)
    file_id = await to_thread.run_sync(service.files.add_jsonl, data, owner, "batch")
    return await to_thread.run_sync(service.files.get_info, file_id, owner)


@router.get("/files", responses=document_errors(READ_CODES))
async def list_files(
    owner: OwnerDep, service: ServiceDep, limit: LimitQuery = 20, after: AfterQuery = None
) -> dict[str, Any]:
    """Your files, newest first: what you sent and what was made."""
    if after is not None:
        await to_thread.run_sync(service.files.get_info, after, owner)
    rows = await to_thread.run_sync(service.files.list_files, owner, limit + 1, after)
    return build_list_page([make_file_object(row) for row in rows], limit)


@router.get("/files/{file_id}", responses=document_errors(READ_CODES))
async def get_file(file_id: str, owner: OwnerDep, service: ServiceDep) -> dict[str, Any]:
    """What is known of a file."""
    return make_file_object(await to_thread.run_sync(service.files.get_info, file_id, owner))


@router.head("/files/{file_id}/content", include_in_schema=False)
@router.get(
    "/files/{file_id}/content",
    responses={**document_errors((*READ_CODES, "disk_full")), **_CONTENT_RESPONSES},
    response_class=Response,
)
async def get_content(file_id: str, request: Request, owner: OwnerDep, service: ServiceDep) -> Response:
    """The file. It never changes, so it may be kept for good: `If-None-Match` with its `ETag` is answered with 304.

    `Range` with one range of bytes is answered with that part, or with 416 where the file has no such part.
    """
    return await make_file_response(
        request, service.files, await to_thread.run_sync(service.files.get_info, file_id, owner)
    )
