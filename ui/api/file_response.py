"""HTTP response with a stored file: whole, one range of bytes (206), or 304 where the caller has it already."""

from __future__ import annotations

import os
import re

from anyio import to_thread
from fastapi import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from pipelines.codecs.encode import MIME_TYPES
from pipelines.storage.file_index import FileIndex, FileInfo
from pipelines.storage.local_store import translate_missing_file

_ONE_RANGE_PATTERN = re.compile(rb"bytes=([0-9]{1,15}-[0-9]{0,15}|-[0-9]{1,15})", re.ASCII)
_DOWNLOAD_FORMATS = ("zip", "ora", "tiff")
"""Formats that a browser cannot show."""


class SingleRangeFileResponse(FileResponse):
    """Starlette's file response, for at most one range; any other `Range` header is ignored, as RFC 9110 allows."""

    chunk_size = 1 << 20

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_one_range(dict(scope["headers"]).get(b"range", b"")) or scope["method"] != "GET":
            scope = {**scope, "headers": [row for row in scope["headers"] if row[0] != b"range"]}
        await super().__call__(scope, receive, send)


async def make_file_response(request: Request, files: FileIndex, info: FileInfo, file_name: str = "") -> Response:
    """Answer with the file, named `file_name` or as it is: 200, 206, 416 or 304.

    Raises `NotFound` when its bytes are gone.
    """
    etag = f'"{info.id}"'
    headers = {
        "ETag": etag,
        # The id is a hash of the content, so the content never changes; a shared cache must not keep private files.
        "Cache-Control": "private, max-age=31536000, immutable",
    }
    if _matches_etag(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    path = await to_thread.run_sync(files.local_path, info.id)
    with translate_missing_file():
        stat = await to_thread.run_sync(os.stat, path)
    return SingleRangeFileResponse(
        path,
        headers=headers,
        media_type={**MIME_TYPES, "jsonl": "application/jsonl"}[info.format],
        filename=file_name or info.download_name,
        stat_result=stat,
        content_disposition_type="attachment" if info.format in _DOWNLOAD_FORMATS else "inline",
    )


def _matches_etag(given: str, etag: str) -> bool:
    """Whether an `If-None-Match` header names this file."""
    tags = [each.strip().removeprefix("W/") for each in given.split(",")]
    return "*" in tags or etag in tags


def _is_one_range(header: bytes) -> bool:
    """Whether a `Range` header is one range of bytes that does not end before it begins."""
    found = _ONE_RANGE_PATTERN.fullmatch(header.replace(b" ", b""))
    first, _, last = found[1].partition(b"-") if found else (b"", b"", b"")
    return found is not None and not (first and last and int(first) > int(last))
