"""Gradio starts without pandas and stub files, and pages are built without an app that `launch` makes anew."""

from __future__ import annotations

import subprocess
import sys

import gradio as gr
from gradio.blocks import Blocks
from gradio.routes import App

from ui.gradio_patches.light_start import build_without_app

START_CODE = """
import inspect, sys
from ui.gradio_patches.light_start import import_gradio
find_file = inspect.getfile
import_gradio()
assert inspect.getfile is find_file
assert "gradio" in sys.modules and "pandas.core" not in sys.modules, "pandas was imported"
assert not any(name.startswith("mcp") for name in sys.modules), "mcp was imported"
import mcp
import pandas.api.types
from gradio import caching
assert caching.pd.DataFrame is sys.modules["pandas"].DataFrame
"""


def test_pandas_comes_when_it_is_asked_for_and_not_with_gradio() -> None:
    run = subprocess.run([sys.executable, "-c", START_CODE], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_a_page_built_without_app_gets_its_app_and_config_when_asked() -> None:
    with build_without_app(), gr.Blocks() as page:
        gr.Button("One")
    assert page.app is None
    assert len(page.get_config_file()["components"]) == 1
    assert isinstance(App.create_app(page), App)
    assert Blocks.get_config_file(page)["components"]
