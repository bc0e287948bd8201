"""The real page as on a Space, open to strangers, and its events called as the page's own script calls them."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params, picture_field, prompt_field
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.settings import Settings
from tests.support.examples import make_noise
from tests.support.gradio_loop import build_in_event_loop
from tests.support.served_app import ServedApp, serve_app
from ui import page as ui_page
from ui.api.auth.access import AccessControl


class NoteParams(Params):
    """A form."""

    photo: str | None = picture_field("Photo", "Any.")
    note: str = prompt_field("Note", "Any words.")


def _run_note(params: NoteParams, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    emit("Noting", 1, 1)
    return ToolOutput(images=(context.open_image(params.photo) if params.photo else make_noise(64, 64),))


NOTE = Tool("note", "Note", "For tests.", NoteParams, _run_note)


@contextmanager
def serve_public_page(root: Path) -> Iterator[tuple[str, ServedApp, AccessControl]]:
    """Its address, the house behind it, and who may come in."""
    with serve_page(root, Settings(data=root, host="0.0.0.0", spaces=True), (NOTE,)) as page:
        yield page


@contextmanager
def serve_page(root: Path, settings: Settings, tools: Sequence[Tool]) -> Iterator[tuple[str, ServedApp, AccessControl]]:
    """The same with settings and tools of one's own."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with serve_app(root, settings=settings, tools=tools) as house:
        access = AccessControl(settings, house.keys)
        built = build_in_event_loop(lambda: ui_page.build_page(house.service, access))
        studio = replace(house.studio, access=access)
        routes = [*studio.build_routes(), *ui_page.build_static_routes()]
        _, url, _ = built.queue(default_concurrency_limit=None).launch(
            server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, inbrowser=False, auth=access.make_gradio_auth(),
            app_kwargs={"routes": routes, "middleware": studio.build_middleware()}, **ui_page.build_launch_arguments(),
        )  # fmt: skip
        gc.collect()
        yield url.rstrip("/"), house, access
        built.close(verbose=False)
    del built
    gc.collect()


def submit_event(browser: httpx.Client, event: int, data: list[Any], session: str) -> str:
    """Call an event by its number; everything that comes back."""
    body = {"fn_index": event, "data": data, "session_hash": session, "event_data": None, "trigger_id": None}
    answer = browser.post("/gradio_api/queue/join", json=body)
    if answer.status_code != 200:
        return answer.text
    text = ""
    with browser.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}, timeout=20) as stream:
        for line in stream.iter_lines():
            text += line + "\n"
            if "process_completed" in line or "close_stream" in line or "unexpected_error" in line:
                break
    return text


def list_events(browser: httpx.Client) -> list[dict[str, Any]]:
    """Every event of the page."""
    return browser.get("/config").json()["dependencies"]


def list_picture_inputs(browser: httpx.Client) -> list[tuple[int, int, int]]:
    """Events that are handed a picture: number, the picture's place among the inputs, how many there are."""
    parts = browser.get("/config").json()["components"]
    pictures = {row["id"] for row in parts if row["type"] == "image" and row["props"].get("interactive") is not False}
    rows = [(row["id"], row["inputs"]) for row in list_events(browser) if row["backend_fn"]]
    return [(n, inputs.index(i), len(inputs)) for n, inputs in rows for i in inputs if i in pictures]
