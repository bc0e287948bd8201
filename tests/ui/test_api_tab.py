"""The API tab: its code runs as it stands, and keys are made by nobody but whoever administers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from starlette.requests import Request

from pipelines.core.errors import BadInput
from pipelines.settings import Settings
from pipelines.tools import TOOLS
from tests.support.gradio_loop import build_parts
from ui.api.auth.access import AccessControl, ConnectionInfo
from ui.api.auth.keys import ApiKey, KeyLimits, KeyStore, ToolUsage
from ui.api_tab import page as api_tab_page
from ui.api_tab.page import ApiTab, render_about, render_keys, write_samples


def make_request(host: str = "127.0.0.1:7860", username: str | None = None, **headers: str) -> Any:
    """What Gradio hands to an event."""
    rows = [(name.replace("_", "-").encode(), value.encode()) for name, value in {"host": host, **headers}.items()]
    scope = {"type": "http", "scheme": "http", "path": "/", "query_string": b"", "headers": rows, "server": None}
    return SimpleNamespace(request=Request(scope), username=username)


def _list_examples() -> list[Any]:
    return [SimpleNamespace(name=name, file_id=f"file-{name}") for name in "abc"]


def build_tab(root: Path, **settings: Any) -> ApiTab:
    access = AccessControl(Settings(data=root, **settings), KeyStore(root))
    service: Any = SimpleNamespace(
        tools=TOOLS[:1],
        uploads=SimpleNamespace(list_examples=_list_examples),
        form_checks=SimpleNamespace(missing_verbs=lambda *_: ()),
    )

    def make() -> ApiTab:
        with gr.Blocks():
            return ApiTab(access, service)

    return build_parts(make)


def test_the_code_names_the_key_where_one_is_needed() -> None:
    assert "every call needs one" in render_about("http://here", needs_key=False).lower()
    assert "Every call needs a key" in render_about("http://here", needs_key=True)
    for code in write_samples(TOOLS[0], ConnectionInfo("http://here")):
        assert "DESIGNERBOX_KEY" not in code


@pytest.mark.parametrize(
    ("settings", "request_", "may"),
    [
        ({}, make_request(), True),
        ({"auth": "anna:secret"}, make_request("studio.example", "anna"), True),
        ({"auth": "anna:secret", "spaces": True}, make_request("x.hf.space", "anna"), True),
        ({"auth": "anna:secret"}, make_request(), False),
        ({"spaces": True}, make_request("x.hf.space"), False),
        ({"host": "0.0.0.0", "require_key": True}, make_request("192.168.0.2:7860"), False),
        ({"host": "0.0.0.0", "require_key": True}, make_request(), False),
        ({}, make_request("evil.example"), False),
        ({}, make_request(origin="http://evil.example"), False),
        ({}, make_request(sec_fetch_site="cross-site"), False),
        ({}, None, False),
    ],
)
def test_only_who_administers_may_make_keys(tmp_path: Path, settings: dict[str, Any], request_: Any, may: bool) -> None:
    made = build_tab(tmp_path, **settings)
    assert made.access.may_administer(request_) is may
    if may:
        assert made.refresh(request_)[made.admin_column]["visible"] is True
        made.create_key(request_, "mine", ["read"])
        assert [key.name for key in made.access.keys.list_keys()] == ["mine"]
        return
    with pytest.raises(BadInput):
        made.create_key(request_, "mine", ["read"])
    with pytest.raises(BadInput):
        made.revoke_key(request_, "any")
    assert made.access.keys.list_keys() == []
    if request_ is not None:
        shown = made.refresh(request_)
        assert shown[made.admin_column]["visible"] is False
        assert made.key_table not in shown


def test_a_key_is_shown_once_works_and_ends_with_revoke(tmp_path: Path) -> None:
    made = build_tab(tmp_path)
    updates = made.create_key(make_request(), "  laptop ", ["read", "create"], 10.0, None, 2)
    secret = updates[made.new_key]["value"]
    key = made.access.keys.verify_key(secret)
    assert key is not None
    assert (key.name, key.limits) == ("laptop", KeyLimits(per_minute=10, at_once=2))
    again = made.refresh(make_request())
    assert again[made.new_key]["value"] == ""
    assert secret not in str(again)

    made.revoke_key(make_request(), key.id)
    assert made.access.keys.verify_key(secret) is None
    assert api_tab_page.KEY_GONE_TEXT in made.revoke_key(make_request(), key.id)[made.alerts]


def test_a_key_without_a_name_or_anything_it_may_is_not_made(tmp_path: Path) -> None:
    made = build_tab(tmp_path)
    assert api_tab_page.NAME_MISSING_TEXT in made.create_key(make_request(), "  ", ["read"])[made.alerts]
    assert api_tab_page.SCOPE_MISSING_TEXT in made.create_key(make_request(), "a", [])[made.alerts]
    assert made.access.keys.list_keys() == []


def test_a_key_is_changed_in_the_form_it_was_made_in(tmp_path: Path) -> None:
    made = build_tab(tmp_path)
    made.create_key(make_request(), "shop", ["read", "create", "admin"], None, 5, None)
    (key,) = made.access.keys.list_keys()
    shown = made.choose_key(make_request(), key.id)
    assert (shown[made.name], shown[made.scopes], shown[made.limits[1]]) == ("shop", ["read", "create", "admin"], 5)
    table = made.change_key(make_request(), key.id, "shop window", ["read"], None, None, 3)[made.key_table]
    (key,) = made.access.keys.list_keys()
    assert (key.name, key.scopes, key.limits) == ("shop window", ("read",), KeyLimits(at_once=3))
    assert "3 jobs at once" in table
    assert api_tab_page.KEY_GONE_TEXT in made.change_key(make_request(), "nobody", "x", ["read"])[made.alerts]
    with pytest.raises(BadInput):
        made.change_key(make_request("evil.example"), key.id, "mine now", ["admin"])


def test_what_a_key_made_stands_in_its_row() -> None:
    key = ApiKey("0" * 12, "shop", 0.0, None, used=1.0)
    shown = render_keys([key], {key.id: [ToolUsage("headshot", 2, 7)]})
    assert "7 × headshot" in shown
    assert "Last used 1970" in shown


def test_a_keys_name_never_becomes_markup() -> None:
    assert "<script>" not in render_keys([ApiKey("0" * 12, "<script>", 0.0, None)])
