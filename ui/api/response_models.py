"""JSON schemas of the answers of `/v1`, for the OpenAPI document; tests check the real answers against them."""

from __future__ import annotations

from typing import Any

from ui.api.json_schema import object_schema

_TEXT: dict[str, Any] = {"type": "string"}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_MAYBE_TEXT: dict[str, Any] = {"type": ["string", "null"]}
_MAYBE_COUNT: dict[str, Any] = {"type": ["integer", "null"], "minimum": 0}
_ADDRESS: dict[str, Any] = {"type": "string", "format": "uri"}
SCHEMA_BY_NAME: dict[str, dict[str, Any]] = {}
"""Schemas by their names in the OpenAPI document, in its order."""


def _part(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


SCHEMA_BY_NAME["Job"] = object_schema({
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
        "items": object_schema({
            "id": _TEXT, "url": _TEXT, "role": {"enum": ["result", "matte", "layers", "master"]}, "width": _COUNT,
            "height": _COUNT, "format": _TEXT,
        }),
    },
    "receipt": {"type": ["object", "null"]},
    "seconds": {"type": ["number", "null"]},
    "error": {"type": ["object", "null"]},
}, "stage", "position", "seconds")  # fmt: skip

SCHEMA_BY_NAME["File"] = object_schema({
    "id": _TEXT, "object": {"const": "file"}, "bytes": _COUNT, "created_at": _COUNT, "filename": _TEXT,
    "purpose": _TEXT, "status": _TEXT, "width": _COUNT, "height": _COUNT, "format": _TEXT, "sha256": _TEXT,
    "notices": {"type": "array", "items": _TEXT},
}, "status", "width", "height", "notices")  # fmt: skip

SCHEMA_BY_NAME["Page"] = object_schema({
    "object": {"const": "list"},
    "data": {"type": "array", "items": {"type": "object"}},
    "first_id": _MAYBE_TEXT,
    "last_id": _MAYBE_TEXT,
    "has_more": {"type": "boolean"},
})  # fmt: skip

_PICTURE = {
    "b64_json": {**_TEXT, "description": "The file in base64, unless response_format is url."},
    "url": {**_ADDRESS, "description": "Where it is, with response_format=url."},
}
_ABOUT = {"size": _TEXT, "quality": _TEXT, "background": {"enum": ["transparent", "opaque"]}, "output_format": _TEXT}
_USAGE = {"type": "object", "description": "OpenAI's counts of tokens: 0, as nothing is counted."}
_IMAGE_SCHEMA = object_schema({**_PICTURE, "revised_prompt": {"type": "null"}}, "b64_json", "url")
SCHEMA_BY_NAME["Images"] = object_schema({
    "created": _COUNT,
    "data": {"type": "array", "items": _IMAGE_SCHEMA},
    **_ABOUT,
    "usage": _USAGE,
    "job_id": _TEXT,
    "notices": {"type": "array", "items": _TEXT},
})  # fmt: skip
SCHEMA_BY_NAME["Batch"] = object_schema({
    "id": _TEXT, "object": {"const": "batch"}, "endpoint": _TEXT, "errors": {"type": "null"}, "input_file_id": _TEXT,
    "completion_window": {"const": "24h"},
    "status": {"enum": ["validating", "in_progress", "completed", "cancelling", "cancelled"]},
    "output_file_id": _MAYBE_TEXT, "error_file_id": _MAYBE_TEXT, "created_at": _COUNT, "in_progress_at": _MAYBE_COUNT,
    "expires_at": _COUNT, "completed_at": _MAYBE_COUNT, "cancelled_at": _MAYBE_COUNT,
    "request_counts": object_schema({"total": _COUNT, "completed": _COUNT, "failed": _COUNT}),
    "metadata": {"type": ["object", "null"]},
    "note": {**_MAYBE_TEXT, "description": "Why it stands still, where it does."},
})  # fmt: skip
SCHEMA_BY_NAME["BatchRow"] = object_schema({
    "id": _TEXT, "object": {"const": "batch.row"}, "batch_id": _TEXT, "row": {"type": "integer", "minimum": 1},
    "custom_id": _TEXT, "tool": _TEXT,
    "status": {"enum": ["waiting", "queued", "running", "done", "failed", "cancelled", "deleted"]},
    "job_id": _MAYBE_TEXT, "error": {"type": ["object", "null"]},
    "replaced_at": {**_MAYBE_COUNT, "description": "When the last replacement was made; null where there was none."},
    "earlier_job_ids": {"type": "array", "items": _TEXT},
    "approved_at": {**_MAYBE_COUNT, "description": "When somebody found the picture right; null where nobody did."},
})  # fmt: skip
SCHEMA_BY_NAME["Key"] = object_schema({
    "id": _TEXT, "object": {"const": "key"}, "name": _TEXT, "begins_with": _TEXT,
    "scopes": {"type": "array", "items": {"enum": ["read", "create", "admin"]}},
    "per_minute": _MAYBE_COUNT, "per_day": _MAYBE_COUNT, "at_once": _MAYBE_COUNT, "created_at": _COUNT,
    "last_used_at": _MAYBE_COUNT, "revoked_at": _MAYBE_COUNT,
    "usage": {"type": "array", "items": object_schema({"tool": _TEXT, "jobs": _COUNT, "pictures": _COUNT})},
    "key": {**_TEXT, "description": "The secret, in the answer that makes the key and never again."},
}, "key")  # fmt: skip
SCHEMA_BY_NAME["Share"] = object_schema({
    "id": _TEXT, "object": {"const": "share"}, "file_id": _TEXT, "url": _ADDRESS, "created_at": _COUNT,
    "expires_at": _COUNT, "report_url": _ADDRESS,
})  # fmt: skip
SCHEMA_BY_NAME["Deleted"] = object_schema({"id": _TEXT, "object": _TEXT, "deleted": {"const": True}})
SCHEMA_BY_NAME["Passport"] = object_schema({
    "format": {"const": "designerbox-character"}, "name": _TEXT, "params": {"type": "object"},
    "picture": {**_TEXT, "description": "A data URL."}, "reference": {**_TEXT, "description": "The same."},
}, "reference")  # fmt: skip
SCHEMA_BY_NAME["Look"] = object_schema({
    "id": _TEXT, "object": {"const": "look"}, "name": _TEXT, "created_at": _COUNT, "tool": _TEXT,
    "params": {"type": "object"}, "picture": {**_MAYBE_TEXT, "description": "A data URL."},
    "link": {**_TEXT, "description": "The page with these settings; its host is this one."},
})  # fmt: skip
SCHEMA_BY_NAME["Looks"] = object_schema(
    {"format": {"const": "designerbox-looks"}, "looks": {"type": "array", "items": {"type": "object"}}}
)
SCHEMA_BY_NAME["Team"] = object_schema({
    "id": _TEXT, "object": {"const": "team"}, "name": _TEXT, "brand": _MAYBE_TEXT, "settings": {"type": "object"},
    "created_at": _COUNT,
    "url": {**_MAYBE_TEXT, "description": "Where colleagues send their portraits; null once it was taken back."},
    "expires_at": _COUNT,
    "members": {"type": "array", "items": _part("TeamMember")},
})  # fmt: skip
SCHEMA_BY_NAME["TeamMember"] = object_schema({
    "id": _TEXT, "object": {"const": "team_member"}, "name": _TEXT, "role": _TEXT,
    "state": {"enum": ["received", "approved", "asked_again", "refused"]}, "note": _TEXT,
    "photo": {**_MAYBE_TEXT, "description": "A file of yours; null for who was refused."},
    "consent": {**_TEXT, "description": "The sentence that was agreed to, in the member's language."},
    "consented_at": _COUNT,
    "url": {**_MAYBE_TEXT, "description": "Asked again: the link for one portrait of this member."},
    "expires_at": _MAYBE_COUNT,
})  # fmt: skip

_STEP = {"index": _COUNT, "total": _COUNT, "stage": _TEXT,
         "preview": {**_MAYBE_TEXT, "description": "A data URL: JPEG, or WebP of a see-through draft."}}  # fmt: skip
SCHEMA_BY_NAME["Event"] = {
    "description": "The `data` of a server-sent event, by the name in its `event`: where a job stands in line, a step, "
    "and last its `result` (the whole job) or its `error`. Each has an `id` to go on after (`Last-Event-ID`).",
    "oneOf": [
        {**object_schema({"id": _TEXT, "position": _COUNT}), "title": "queued"},
        {**object_schema({"id": _TEXT, **_STEP}), "title": "step"},
        {"allOf": [_part("Job")], "title": "result"},
        {**object_schema({"id": _TEXT, "error": {"type": "object"}}), "title": "error"},
    ],
}
_NAMED = {"type": _TEXT, "created_at": _COUNT, "b64_json": _TEXT}
SCHEMA_BY_NAME["ImageEvent"] = {
    "description": "The `data` of OpenAI's events; begins with `image_generation` or `image_edit`, as its `type` does.",
    "oneOf": [
        {**object_schema({**_NAMED, "partial_image_index": _COUNT, **_ABOUT}), "title": ".partial_image"},
        {
            **object_schema({**_NAMED, "url": _ADDRESS, **_ABOUT, "usage": _USAGE}, "b64_json", "url"),
            "title": ".completed",
        },
        {**object_schema({"error": {"type": "object"}}), "title": "error"},
    ],
}

_ROUTES_OF_SCHEMA = {
    "Images": ("post /images/generations", "post /images/edits"),
    "Batch": ("post /batches", "get /batches/{batch_id}", "post /batches/{batch_id}/cancel"),
    "BatchRow": ("get /batches/{batch_id}/rows/{row}", "post /batches/{batch_id}/rows/{row}"),
    "Key": ("post /keys", "get /keys/{key_id}", "post /keys/{key_id}", "delete /keys/{key_id}"),
    "Share": ("post /shares",),
    "Deleted": (
        "delete /shares/{share_id}",
        "delete /teams/{team_id}",
        "delete /brands/{key}",
        "delete /looks/{key}",
        "delete /characters/{key}",
    ),
    "Team": ("post /teams", "get /teams/{team_id}", "post /teams/{team_id}/invite", "delete /teams/{team_id}/invite"),
    "Page": (
        "get /teams",
        "get /looks",
        "get /jobs",
        "get /files",
        "get /batches",
        "get /shares",
        "get /keys",
        "get /brands",
        "get /characters",
        "get /tools",
        "get /models",
    ),
    "TeamMember": ("post /teams/{team_id}/members/{member_id}",),
    "Job": ("post /teams/{team_id}/page", "get /jobs/{job_id}", "delete /jobs/{job_id}"),
    "Passport": ("get /characters/{key}/passport",),
    "Look": ("post /looks", "get /looks/{key}"),
    "Looks": ("get /looks-file",),
    "File": ("post /files", "get /files/{file_id}"),
}
SCHEMA_OF_ROUTE = {route: schema for schema, routes in _ROUTES_OF_SCHEMA.items() for route in routes}
"""Schema of each route's answer; every tool's route answers with a job."""

HEADERS: dict[str, Any] = {
    "X-Request-Id": {"description": "Of this answer; the log has it too. One you send is kept.", "schema": _TEXT},
    "X-RateLimit-Limit": {"description": "Requests a minute, where the key has a bound.", "schema": _COUNT},
    "X-RateLimit-Remaining": {"description": "What is left of them.", "schema": _COUNT},
    "X-RateLimit-Reset": {"description": "Seconds until one more is free.", "schema": _COUNT},
    "X-RateLimit-Limit-Requests": {"description": "The same, as OpenAI's clients look for it.", "schema": _COUNT},
    "X-RateLimit-Remaining-Requests": {"description": "What is left of them.", "schema": _COUNT},
    "X-RateLimit-Reset-Requests": {"description": "The same seconds with their unit: 12s.", "schema": _TEXT},
    "Retry-After": {"description": "Seconds to wait.", "schema": _COUNT},
}
WEBHOOK_PARAMETER: dict[str, Any] = {
    "name": "webhook",
    "in": "query",
    "required": False,
    "description": "Address that is told of the end, signed, until it answers 2xx; or the header X-Webhook-URL.",
    "schema": {"type": "string", "maxLength": 2000},
}
IDEMPOTENCY_PARAMETER: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same call with the same key is one job or batch for a day: send it where you may ask again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
