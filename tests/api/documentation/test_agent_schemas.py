"""What agents read of each tool: whole, short, and of words that every client knows."""

from __future__ import annotations

import json

import jsonschema
import pytest

from pipelines.core.tools import Tool
from pipelines.tools import TOOLS
from tests.support.served_app import ServedApp
from ui.api.documentation.agent_schemas import tool_input_schema
from ui.api.documentation.openapi_docs import build_examples

TOOL_BYTES = 6500
"""Of one form; the largest has 5.9 kB."""


@pytest.mark.parametrize("row", TOOLS, ids=lambda row: row.id)
def test_a_form_is_listed_whole_and_short(studio: ServedApp, row: Tool) -> None:
    schema = tool_input_schema(row, studio.service)
    fields = {
        name for name in row.params.model_fields if not studio.service.form_checks.missing_verbs(row.params, name)
    }
    assert set(schema["properties"]) == fields
    text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    assert len(text.encode()) <= TOOL_BYTES
    for word in ("prefixItems", "anyOf", '"null"', "$ref", "x-kind"):
        assert word not in text, "other clients refuse it"
    for name, field in schema["properties"].items():
        assert field["type"], name
        assert str(row.params.model_fields[name].description) in field["description"], name
    jsonschema.validate(build_examples(row, studio.service)["least"]["value"], schema)


def test_what_a_schema_leaves_out_is_what_the_form_takes_by_itself(studio: ServedApp) -> None:
    for row in TOOLS:
        for name, field in tool_input_schema(row, studio.service)["properties"].items():
            info = row.params.model_fields[name]
            if not info.is_required() and "default" not in field:
                assert info.default in (None, "", ()) or info.default is False, (row.id, name)
