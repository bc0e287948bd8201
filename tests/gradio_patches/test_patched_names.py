"""The installed Gradio has every private name that a patch uses, and a missing one stops the start."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest
from gradio.queueing import Queue

from tests.support.gradio_loop import build_in_event_loop
from ui import gradio_patches
from ui.gradio_patches import full_updates


def test_the_installed_gradio_has_every_patched_name() -> None:
    gradio_patches.assert_patched_names_exist()


def test_every_patch_lists_its_names() -> None:
    folder = Path(gradio_patches.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "page_cache"}  # that one patches nothing
    assert modules == set(gradio_patches._MODULES)
    assert len(list(gradio_patches._list_patched_names())) > 20


@pytest.mark.parametrize("name", ["gradio.queueing:Queue.no_such", "gradio.queueing:NoSuch.push", "gradio.routes:none"])
def test_a_missing_name_is_reported(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(full_updates, "PATCHED_NAMES", (name,))
    with pytest.raises(RuntimeError, match=name):
        gradio_patches.assert_patched_names_exist()


def test_names_that_an_object_gets_when_it_is_made_are_found() -> None:
    def make() -> Queue:
        with gr.Blocks(analytics_enabled=False) as page:
            return page._queue

    queue = build_in_event_loop(make)
    names = [
        name.split(".")[-1] for name in gradio_patches._list_patched_names() if ":Queue." in name and "gradio" in name
    ]
    assert [name for name in names if not hasattr(queue, name)] == []
