"""Links to a tool with its settings, without consent, pictures and marks in them: built, and parsed when opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from pipelines.core.params import POINTED_KINDS, Params
from pipelines.core.tools import Tool

TOOL_PARAMETER = "tool"
"""The query parameter that names the tool; the others have the names of its fields."""
UNSHARED_FIELDS = frozenset({"consent"})
"""Whoever opens a link has to give consent for their own photo."""


class SettingsLink(NamedTuple):
    """Tool id and field values of a link."""

    tool: str
    values: dict[str, Any]


def build_link(base: str, tool: Tool, params: Mapping[str, Any], seed: int | None = None) -> str:
    """Build the address that opens the tool with these settings, and with this seed. Defaults are left out."""
    values: dict[str, Any] = {}
    for name, info in _list_shared_fields(tool.params).items():
        value = seed if tool.params.kind_of(name) == "seed" else params.get(name, info.default)
        if value != info.default:
            values[name] = str(value).lower() if isinstance(value, bool) else value
    return f"{base}/?{urlencode({TOOL_PARAMETER: tool.id, **values})}"


def parse_link(query: Mapping[str, str], tools: Sequence[Tool]) -> SettingsLink | None:
    """Read tool and values from query parameters; None if they name no tool.

    Unknown fields and invalid values are left out, so that an old link still opens its tool.
    """
    tool = next((row for row in tools if row.id == query.get(TOOL_PARAMETER)), None)
    if tool is None:
        return None
    values: dict[str, Any] = {}
    for name, info in _list_shared_fields(tool.params).items():
        if name in query:
            annotation: Any = Annotated[info.annotation, info]  # pyrefly: ignore[not-a-type]
            with suppress(ValidationError):
                values[name] = TypeAdapter[Any](annotation).validate_python(query[name])
    return SettingsLink(tool.id, values)


def _list_shared_fields(params: type[Params]) -> dict[str, FieldInfo]:
    left_out = set(params.fields_of_kind("picture", "pictures", "mask", *POINTED_KINDS)) | UNSHARED_FIELDS
    return {name: info for name, info in params.model_fields.items() if name not in left_out}
