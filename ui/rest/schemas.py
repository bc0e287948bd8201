"""What `/v1` answers with, as JSON schemas for the documentation; the code that answers is elsewhere, and tested so."""

from __future__ import annotations

from typing import Any

_TEXT: dict[str, Any] = {"type": "string"}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_MAYBE_TEXT: dict[str, Any] = {"type": ["string", "null"]}

FILE: dict[str, Any] = {
    "type": "object",
    "required": ["id", "object", "bytes", "created_at", "filename", "purpose", "format", "sha256"],
    "properties": {
        "id": _TEXT, "object": {"const": "file"}, "bytes": _COUNT, "created_at": _COUNT, "filename": _TEXT,
        "purpose": _TEXT, "status": _TEXT, "width": _COUNT, "height": _COUNT, "format": _TEXT, "sha256": _TEXT,
        "notices": {"type": "array", "items": _TEXT},
    },
}  # fmt: skip

JOB: dict[str, Any] = {
    "type": "object",
    "required": ["id", "object", "status", "tool", "progress", "created_at", "files", "receipt", "error"],
    "properties": {
        "id": _TEXT,
        "object": {"const": "job"},
        "status": {"enum": ["queued", "running", "done", "failed", "cancelled"]},
        "tool": _TEXT,
        "progress": {"type": "number", "minimum": 0, "maximum": 1},
        "stage": _MAYBE_TEXT,
        "position": {**_COUNT, "description": "1 is next in line, 0 does not wait."},
        "created_at": _COUNT,
        "files": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "url", "role", "width", "height", "format"],
                "properties": {
                    "id": _TEXT, "url": _TEXT, "role": {"enum": ["result", "matte", "layers"]},
                    "width": _COUNT, "height": _COUNT, "format": _TEXT,
                },
            },
        },
        "receipt": {"type": ["object", "null"]},
        "seconds": {"type": ["number", "null"]},
        "error": {"type": ["object", "null"]},
    },
}  # fmt: skip

PAGE: dict[str, Any] = {
    "type": "object",
    "required": ["object", "data", "first_id", "last_id", "has_more"],
    "properties": {
        "object": {"const": "list"},
        "data": {"type": "array", "items": {"type": "object"}},
        "first_id": _MAYBE_TEXT,
        "last_id": _MAYBE_TEXT,
        "has_more": {"type": "boolean"},
    },
}

SCHEMAS: dict[tuple[str, str], str] = {
    ("get", "/jobs"): "Page",
    ("get", "/jobs/{job_id}"): "Job",
    ("delete", "/jobs/{job_id}"): "Job",
    ("get", "/files"): "Page",
    ("post", "/files"): "File",
    ("get", "/files/{file_id}"): "File",
    ("get", "/batches"): "Page",
    ("get", "/shares"): "Page",
    ("get", "/keys"): "Page",
    ("get", "/brands"): "Page",
    ("get", "/characters"): "Page",
    ("get", "/tools"): "Page",
    ("get", "/models"): "Page",
}
"""Which answer has which schema, beside the tools, which all answer with a job."""

LIMITED = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
HEADERS: dict[str, Any] = {
    "X-Request-Id": {"description": "Of this answer; the log has it too. One you send is kept.", "schema": _TEXT},
    "X-RateLimit-Limit": {"description": "Requests a minute, where the key has a bound.", "schema": _COUNT},
    "X-RateLimit-Remaining": {"description": "What is left of them.", "schema": _COUNT},
    "X-RateLimit-Reset": {"description": "Seconds until one more is free.", "schema": _COUNT},
    "Retry-After": {"description": "Seconds to wait.", "schema": _COUNT},
}
HOOK: dict[str, Any] = {
    "name": "webhook",
    "in": "query",
    "required": False,
    "description": "Address that is told of the end, signed, until it answers 2xx; or the header X-Webhook-URL.",
    "schema": {"type": "string", "maxLength": 2000},
}
ONCE: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same call with the same key is one job or batch for a day: send it where you may ask again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
