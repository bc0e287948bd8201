"""Gradio starts without pandas and stub files, and pages are built without an app that `launch` makes anew."""

from __future__ import annotations

import inspect
import sys

import gradio as gr
import pytest
from gradio.blocks import Blocks
from gradio.routes import App

from tests.support.forks import call_forked
from tests.support.started_studio import list_imported
from ui.gradio_patches import light_start
from ui.gradio_patches.light_start import build_without_app, launch_with_one_config


def test_neither_pandas_nor_mcp_comes_with_gradio_or_the_studio() -> None:
    is_inspect_whole, after_gradio, after_studio = call_forked(list_imported)
    assert is_inspect_whole
    assert "gradio" in after_gradio
    assert not {"pandas.core", "mcp"} & after_gradio
    assert {"ui.server.serve", "ui.page", "ui.api.routes.mcp"} <= after_studio
    assert not [name for name in after_studio if name.startswith(("pandas.", "mcp"))], "loaded before somebody asks"


def test_a_deferred_package_comes_when_something_of_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in ("wsgiref", "colorsys")]:
        monkeypatch.delitem(sys.modules, name)
    stand_ins = [light_start._defer_import(name) or sys.modules[name] for name in ("wsgiref", "colorsys")]
    inspect.getmodule(test_a_page_built_without_app_gets_its_app_and_config_when_asked, "of-nobody.py")
    assert [sys.modules["wsgiref"], sys.modules["colorsys"]] == stand_ins, "torch asks every module for its file so"
    import wsgiref.headers

    assert wsgiref.headers.Headers().items() == []
    assert stand_ins[1].rgb_to_hsv is sys.modules["colorsys"].rgb_to_hsv
    assert sys.modules["colorsys"] is not stand_ins[1]


def test_a_page_built_without_app_gets_its_app_and_config_when_asked() -> None:
    with build_without_app(), gr.Blocks() as page:
        gr.Button("One")
    assert page.app is None
    assert len(page.get_config_file()["components"]) == 1
    assert isinstance(App.create_app(page), App)
    assert Blocks.get_config_file(page)["components"]


def _build_page() -> Blocks:
    with gr.Blocks() as page:
        gr.Image(label="Photo")
        gr.Image(label="Another")
        gr.Textbox("a cup", max_lines=2)
    return page


def test_a_page_that_is_launched_quickly_has_the_same_config(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _build_page().get_config_file()["components"]
    page = _build_page()
    made: list[Blocks] = []
    monkeypatch.setattr(
        Blocks, "get_config_file", lambda self, make=Blocks.get_config_file: made.append(self) or make(self)
    )
    with launch_with_one_config():
        App.create_app(page)
        assert made == [], "launch has made it before"
        quick = page.get_config_file()["components"]
    names = ("type", "props", "api_info", "api_info_as_input", "example_inputs")
    assert [[row.get(name) for name in names] for row in quick] == [[row.get(name) for name in names] for row in plain]
