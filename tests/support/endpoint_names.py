"""What Gradio tells its clients of the tools, made short: each parameter's name and kind; knows no tool by name."""

from __future__ import annotations

from typing import Any

Kind = str | list[str]
"""A word, with `?` where it may be None and `*` where it must be given; or the words of a choice."""


def told(info: dict[str, Any]) -> dict[str, dict[str, Kind]]:
    """`/gradio_api/info` as tool -> parameter -> kind, and `->` for what comes back."""
    return {
        name.removeprefix("/"): {row["parameter_name"]: _kind(row) for row in event["parameters"]}
        | {"->": [_word(row["type"]) for row in event["returns"]]}
        for name, event in info["named_endpoints"].items()
    }


def _kind(row: dict[str, Any]) -> Kind:
    if "enum" in row["type"]:
        return row["type"]["enum"]
    return _word(row["type"]) + ("" if row["parameter_has_default"] else "*")


def _word(schema: dict[str, Any]) -> str:
    either = schema.get("anyOf") or schema.get("oneOf")
    if either is not None:
        words = [_word(each) for each in either]
        known = [word for word in words if word != "null"]
        # A picture is a file or its id.
        word = "file" if known == ["file", "string"] else "|".join(known)
        return word + ("?" if "null" in words else "")
    if schema.get("type") == "array":
        return f"{_word(schema.get('items', {}))}s"
    if "orig_name" in schema.get("properties", {}):
        return "file"
    return schema.get("type", "any")
