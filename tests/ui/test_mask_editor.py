"""The brush's events: what is painted and cannot be used is said, and nothing is made without it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from pipelines.settings import Settings
from pipelines.tools import retouch
from tests.support.examples import make_noise
from tests.support.gradio_loop import build_parts
from tests.support.served_app import run_studio
from ui.components.brush_panel import render_thing
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.layout import MASK_COLOUR, ToolTab
from ui.tool_tab.mask_editor import MaskEditorEvents
from ui.tool_tab.state import TabState

LOCAL: Any = None
"""No request: the visitor is the owner of this machine."""
TOO_MUCH = json.dumps([{"kind": "keep", "radius": 0.5, "points": [[0, 0], [1, 1]] * 1000}])
LITTLE = json.dumps([{"kind": "keep", "radius": 0.1, "points": [[0.5, 0.5]]}])


def test_strokes_that_are_refused_stay_and_nothing_is_made_without_them(tmp_path: Path) -> None:
    with run_studio(Settings(data=tmp_path), [retouch.TOOL]) as studio:

        def build() -> ToolTab:
            with gr.Blocks():
                return ToolTab(retouch.TOOL, studio.service)

        tab = build_parts(build)
        events = ToolTabEvents(tab, studio.service, studio.access)
        editor = MaskEditorEvents(tab.mask_editors[0], events)
        message = editor.editor.panel.message
        photo = studio.service.files.add_image(make_noise(60, 40), "local", "upload")
        values = [photo if name == "photo" else row.value.value for name, row in tab.controls.items()]

        async def generate(state: TabState) -> None:
            async for _ in editor.generate_painted(LOCAL, state, *values):
                pass

        state = TabState()
        refused = editor.use_painting(LOCAL, TOO_MUCH, None, state, *values)
        assert "too many strokes" in refused[tab.alerts]
        assert 'data-brush="stay"' in refused[message]
        asyncio.run(generate(state))
        assert studio.service.jobs.list_jobs("local", 10) == []
        used = editor.use_painting(LOCAL, LITTLE, None, state, *values)
        assert 'data-brush="close"' in used[message]
        assert not state.skips_draft
        gone = [("file-gone" if each == photo else each) for each in values]
        lost = editor.use_painting(LOCAL, LITTLE, None, state, *gone)
        assert 'data-brush="stay"' in lost[message], "of a photo that was deleted meanwhile"


def test_a_mask_that_is_opened_again_has_the_brush_s_colour() -> None:
    script = Path("ui/static/brush.js").read_text("utf-8")
    assert f'keep: "#{bytes(MASK_COLOUR).hex()}"' in script


def test_a_press_is_answered_with_an_outline_or_a_sentence(tmp_path: Path) -> None:
    with run_studio(Settings(data=tmp_path), [retouch.TOOL]) as studio:

        def build() -> ToolTab:
            with gr.Blocks():
                return ToolTab(retouch.TOOL, studio.service)

        tab = build_parts(build)
        editor = MaskEditorEvents(tab.mask_editors[0], ToolTabEvents(tab, studio.service, studio.access))
        message, image = editor.editor.panel.message, np.full((120, 160, 3), 90, np.uint8)
        photo = studio.service.files.add_image(image, "local", "upload")
        values = [photo if name == "photo" else row.value.value for name, row in tab.controls.items()]

        async def press(pressed: str) -> str:
            answers = [each async for each in editor.outline_thing(LOCAL, pressed, TabState(), *values)]
            return str(answers[-1][message])

        assert "Nothing clear is here" in asyncio.run(press("3 [[0.5, 0.5]]"))
        assert 'data-press="4" data-sentence=' in asyncio.run(press("4 [[7, 0.5]]")), "a place beside the photo"
        assert studio.service.jobs.list_jobs("local", 10) == [], "looking is in no list"
        assert 'data-outline="[[0.1, 0.2]]"' in render_thing([[0.1, 0.2]], "5")
