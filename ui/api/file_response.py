"""A file's bytes over HTTP: whole, in part, or not again where the caller has them; knows no owner."""

from __future__ import annotations

import re
from pathlib import Path

from anyio import to_thread
from fastapi import Request
from starlette.responses import Response

from pipelines.codecs.encode import MIME
from pipelines.storage.file_index import FileInfo, Files
from pipelines.storage.local_store import told_when_gone

_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})", re.ASCII)
_SAVED = ("zip", "ora")
"""Formats that a browser cannot show."""


async def content(request: Request, files: Files, info: FileInfo) -> Response:
    """200 with the bytes, 206 with the one part that was asked for, or 304. Raises `not_found` when they are gone.

    A range that cannot be served, or several at once, is answered with the whole, as RFC 9110 allows.
    """
    tag = f'"{info.id}"'
    headers = {
        "ETag": tag,
        "Accept-Ranges": "bytes",
        # The id is a hash of the content, so it never changes; what is one's own does not belong in a shared cache.
        "Cache-Control": "private, max-age=31536000, immutable",
    }
    if _known(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    headers["Content-Disposition"] = f'{"attachment" if info.format in _SAVED else "inline"}; filename="{info.name}"'
    kind = {**MIME, "jsonl": "application/jsonl"}[info.format]
    part = _part(request, tag, info.bytes)
    path = await to_thread.run_sync(files.path, info.id)
    if request.method == "HEAD":  # the headers alone, and so without reading what follows
        return Response(None, 200, {**headers, "Content-Length": str(info.bytes)}, kind)
    if part is None:
        return Response(await to_thread.run_sync(_read, path, 0, info.bytes), 200, headers, kind)
    first, last = part
    headers["Content-Range"] = f"bytes {first}-{last}/{info.bytes}"
    return Response(await to_thread.run_sync(_read, path, first, last - first + 1), 206, headers, kind)


def _known(given: str, tag: str) -> bool:
    tags = [each.strip().removeprefix("W/") for each in given.split(",")]
    return "*" in tags or tag in tags


def _part(request: Request, tag: str, size: int) -> tuple[int, int] | None:
    """First and last byte of the one range that was asked for, None for the whole."""
    found = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if found is None or request.headers.get("if-range", tag) != tag or not (found[1] or found[2]):
        return None
    if not found[1]:
        first, last = max(0, size - int(found[2])), size - 1
    else:
        first, last = int(found[1]), min(int(found[2] or size), size - 1)
    return (first, last) if first <= last else None


def _read(path: Path, start: int, count: int) -> bytes:
    with told_when_gone(), path.open("rb") as file:
        file.seek(start)
        return file.read(count)
