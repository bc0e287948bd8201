"""Gradio starts without pandas and stub files, and pages are built without an app that `launch` makes anew."""

from __future__ import annotations

import subprocess
import sys

import gradio as gr
import pytest
from gradio.blocks import Blocks
from gradio.routes import App

from ui.gradio_patches.light_start import build_without_app, launch_with_one_config

START_CODE = """
import inspect, sys
from ui.gradio_patches.light_start import import_gradio
find_file = inspect.getfile
import_gradio()
assert inspect.getfile is find_file
assert "gradio" in sys.modules and "pandas.core" not in sys.modules, "pandas was imported"
assert "mcp" not in sys.modules, "mcp was imported"
import ui.server.serve, ui.api.routes.mcp
assert not any(name.startswith("mcp") for name in sys.modules), "mcp is loaded before somebody asks"
import mcp
import pandas.api.types
from gradio import caching
assert caching.pd.DataFrame is sys.modules["pandas"].DataFrame
"""


def test_pandas_comes_when_it_is_asked_for_and_not_with_gradio_nor_mcp_with_the_studio() -> None:
    run = subprocess.run([sys.executable, "-c", START_CODE], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


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
