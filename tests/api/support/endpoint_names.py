"""Gradio's description of its named endpoints in short form: name and kind of each parameter."""

from __future__ import annotations

from typing import Any

ParameterKind = str | list[str]
"""A word, with `?` where it may be None and `*` where it must be given; or the words of a choice."""


def summarize_endpoints(info: dict[str, Any]) -> dict[str, dict[str, ParameterKind]]:
    """`/gradio_api/info` as tool -> parameter -> kind, and `->` for what comes back."""
    return {
        name.removeprefix("/"): {row["parameter_name"]: _describe_parameter(row) for row in event["parameters"]}
        | {"->": [_describe_schema(row["type"]) for row in event["returns"]]}
        for name, event in info["named_endpoints"].items()
    }


def _describe_parameter(row: dict[str, Any]) -> ParameterKind:
    if "enum" in row["type"]:
        return row["type"]["enum"]
    return _describe_schema(row["type"]) + ("" if row["parameter_has_default"] else "*")


def _describe_schema(schema: dict[str, Any]) -> str:
    either = schema.get("anyOf") or schema.get("oneOf")
    if either is not None:
        words = [_describe_schema(each) for each in either]
        known = [word for word in words if word != "null"]
        # A picture is a file or its id.
        word = "file" if known == ["file", "string"] else "|".join(known)
        return word + ("?" if "null" in words else "")
    if schema.get("type") == "array":
        return f"{_describe_schema(schema.get('items', {}))}s"
    if "orig_name" in schema.get("properties", {}):
        return "file"
    return schema.get("type", "any")
