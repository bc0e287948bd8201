"""A tool's settings as an address and back, pictures and consent left out; knows Params, no component and no job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from pipelines.core.params import Params
from pipelines.core.tools import Tool

TOOL_PARAMETER = "tool"
"""The query parameter that names the tool; the others are named as its fields are."""
UNSHARED_FIELDS = frozenset({"consent"})
"""Whoever follows a link answers for the person in their own photo."""


class SettingsLink(NamedTuple):
    """What an address asks for."""

    tool: str
    values: dict[str, Any]


def build_link(base: str, tool: Tool, params: Mapping[str, Any], seed: int) -> str:
    """The address at which the tool opens with these settings, its seed included. Defaults are left out."""
    values: dict[str, Any] = {}
    for name, info in _list_shared_fields(tool.params).items():
        value = seed if tool.params.kind_of(name) == "seed" else params.get(name, info.default)
        if value != info.default:
            values[name] = str(value).lower() if isinstance(value, bool) else value
    return f"{base}/?{urlencode({TOOL_PARAMETER: tool.id, **values})}"


def parse_link(query: Mapping[str, str], tools: Sequence[Tool]) -> SettingsLink | None:
    """What the query parameters of an address ask for; None where they name no tool.

    What is not a field, or not valid, is left out: an old link still opens its tool.
    """
    tool = next((row for row in tools if row.id == query.get(TOOL_PARAMETER)), None)
    if tool is None:
        return None
    values: dict[str, Any] = {}
    for name, info in _list_shared_fields(tool.params).items():
        if name in query:
            values |= _parse_value(name, info, query[name])
    return SettingsLink(tool.id, values)


def _list_shared_fields(params: type[Params]) -> dict[str, FieldInfo]:
    kept = set(params.fields_of_kind("picture", "pictures", "mask")) | UNSHARED_FIELDS
    return {name: info for name, info in params.model_fields.items() if name not in kept}


def _parse_value(name: str, info: FieldInfo, text: str) -> dict[str, Any]:
    declared: Any = Annotated[info.annotation, info]  # pyright: ignore[reportInvalidTypeForm]
    try:
        return {name: TypeAdapter[Any](declared).validate_python(text)}
    except ValidationError:
        return {}
