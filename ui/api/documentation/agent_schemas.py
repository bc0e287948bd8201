"""A tool's form as the JSON schema that agents get over MCP: every field, in few bytes.

An agent reads all tools before its first call, and pays for every byte. What says nothing is left out: defaults that
mean "not given", null beside a type, and titles that repeat the field's name.
"""

from __future__ import annotations

from typing import Any

from pipelines.core.params import MAX_POINT_COUNT, Params, read_form_schema
from pipelines.core.tools import Tool
from pipelines.service.studio_service import StudioService
from ui.api.json_schema import object_schema

JOB_OUTPUT = object_schema({"id": {"type": "string"}, "files": {"type": "array"}, "receipt": {"type": "object"}})
"""What a finished job always has; the instructions say what it is, and `/v1/openapi.json` names all of it."""
FILE_OUTPUT = object_schema(
    {
        "id": {"type": "string"},
        "width": {"type": "integer"},
        "height": {"type": "integer"},
        "format": {"type": "string"},
        "filename": {"type": "string"},
    },
    "filename",
)
_PICTURE_HINT = "File id or data URL."
_MARK_SHAPES: dict[str, dict[str, Any]] = {
    "points": {
        "type": "array",
        "maxItems": MAX_POINT_COUNT,
        "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
    },
    "box": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
}
"""Help texts say that each number is 0 to 1; pydantic's `prefixItems` says it for each, and many clients refuse it."""


def tool_input_schema(row: Tool, service: StudioService) -> dict[str, Any]:
    """Build the JSON schema of a tool's form, without the fields that this profile cannot serve."""
    schema = read_form_schema(row.params)
    properties = {
        name: _describe_field(row.params, name, field)
        for name, field in schema["properties"].items()
        if not service.form_checks.missing_verbs(row.params, name)
    }
    required = {"required": schema["required"]} if "required" in schema else {}
    return {"type": "object", "properties": properties, **required, "additionalProperties": False}


def _describe_field(params: type[Params], name: str, field: dict[str, Any]) -> dict[str, Any]:
    title, help, kind = field.get("title", ""), field.get("description", ""), params.kind_of(name)
    parts = [help if _label_repeats_name(title, name) else f"{title}. {help}"]
    if kind in ("picture", "pictures", "mask"):
        parts.append(_PICTURE_HINT)
    labels, unit = field.get("x-labels"), field.get("x-unit")
    if labels:  # an agent sees no tiles: what each value is called tells what it does
        parts.append(
            "; ".join(f"{each}: {label}" for each, label in labels.items() if not _label_repeats_name(label, each))
        )
    if unit and not (unit == "%" and "percent" in help):
        parts.append(f"In {unit}.")
    shape = _MARK_SHAPES.get(kind) or _find_shape(field)
    return {**shape, "description": " ".join(part for part in parts if part)}


def _label_repeats_name(label: str, name: str) -> bool:
    """Whether a label has only the words of a name: `Brand kit` says more than `brand`, `Studio Grey` no more."""
    return label.lower().replace(" ", "-") == name.replace("_", "-")


def _find_shape(field: dict[str, Any]) -> dict[str, Any]:
    """What a value must be. A field that may be null is left with its other type: what is not given is not sent."""
    left_out = ("title", "description", "anyOf")
    shape = {key: value for key, value in field.items() if key not in left_out and not key.startswith("x-")}
    for each in field.get("anyOf", ()):
        shape |= {} if each == {"type": "null"} else each
    if shape.get("default") in (None, "", []) or shape.get("default") is False:
        shape.pop("default", None)
    return shape
