"""A link opens a tool with the settings it was made from, and with nothing else."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from pipelines.core.tools import Tool
from pipelines.service.saved_items import SavedItem
from pipelines.service.settings_link import build_link, parse_link
from pipelines.tools import TOOLS, find_tool
from ui.api.routes.looks import make_look_link
from ui.tool_tab.form_controls import FormField, list_form_fields


def query(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query))


def test_a_link_brings_every_setting_back_but_pictures_and_consent() -> None:
    params = {"photo": "file-1", "preset": "park", "size": 768, "background": "a & b", "consent": True, "blur": 2.5}
    address = build_link("http://here", find_tool("headshot"), params, 42)
    link = parse_link(query(address), TOOLS)
    assert link is not None
    assert link.tool == "headshot"
    assert link.values == {"preset": "park", "size": 768, "background": "a & b", "blur": 2.5, "seed": 42}
    assert "file-1" not in address


def other_value(field: FormField) -> object:
    """A valid value that is not the default, where there is one."""
    if field.kind == "choice":
        return field.options[-1][1]
    return (not field.default) if field.kind == "flag" else field.maximum


@pytest.mark.parametrize("row", TOOLS, ids=lambda row: row.id)
def test_every_choice_flag_and_number_survives_the_way(row: Tool) -> None:
    fields = [field for field in list_form_fields(row.params) if field.name != "consent"]
    other = {field.name: other_value(field) for field in fields if field.kind in ("choice", "flag", "number")}
    link = parse_link(query(build_link("", row, other, 7)), TOOLS)
    assert link is not None
    shown = {field.name: link.values.get(field.name, field.default) for field in list_form_fields(row.params)}
    assert {name: shown[name] for name in other} == other


def test_what_is_not_valid_is_left_out_and_what_names_no_tool_is_no_link() -> None:
    link = parse_link(
        {"tool": "headshot", "size": "99999", "preset": "park", "nonsense": "1", "photo": "file-1"}, TOOLS
    )
    assert link is not None
    assert link.values == {"preset": "park"}
    assert parse_link({"tool": "nothing"}, TOOLS) is None
    assert parse_link({"__theme": "dark"}, TOOLS) is None


def test_the_link_of_a_look_keeps_umlauts_and_quotes_and_needs_its_tool() -> None:
    params = {"prompt": 'Gr\u00fcner "Hof"', "around": True}
    look = SavedItem("look-1", "look", "Yard", {"tool": "background", "params": params, "picture": None}, 0.0)
    link = parse_link(query(make_look_link(look, TOOLS)), TOOLS)
    assert link is not None
    assert (link.tool, link.values) == ("background", params)
    assert make_look_link(look, ()) == ""
