"""Pieces of JSON schema and of OpenAPI that several routes write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def object_schema(properties: dict[str, Any], *optional: str) -> dict[str, Any]:
    """Describe an object whose properties are required, but for the `optional` ones."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties}


def integer_schema(least: int, most: int | None = None, description: str = "") -> dict[str, Any]:
    """Describe a whole number from `least`, to `most` where there is a bound."""
    bounds = {"minimum": least} if most is None else {"minimum": least, "maximum": most}
    return {"type": "integer", **bounds, **({"description": description} if description else {})}


def document_json_body(schema: Mapping[str, Any], example: Any = None) -> dict[str, Any]:
    """Document a body of JSON, for a route's `openapi_extra`."""
    content = {"schema": schema} if example is None else {"schema": schema, "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def document_form_body(files: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """Document a body that is sent as multipart with files, or as JSON."""
    content = {"multipart/form-data": {"schema": files}, "application/json": {"schema": plain}}
    return {"requestBody": {"required": True, "content": content}}
