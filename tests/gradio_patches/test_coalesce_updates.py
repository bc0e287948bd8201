from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Semaphore
from typing import Any, TypeAlias

import gradio as gr
import httpx
import pytest

from tests.support.app_process import find_free_port
from tests.support.gradio_loop import build_in_event_loop
from tests.support.served_app import wait_until
from ui.gradio_patches import coalesce_updates
from ui.gradio_patches.full_updates import send_full_updates
from ui.gradio_patches.stream_keeper import keep_stream_open

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    # Gradio's own use of pandas, once per event.
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
    pytest.mark.filterwarnings("ignore:.*no_silent_downcasting.*"),
]
UPDATE_COUNT = 60
Watched: TypeAlias = tuple[httpx.Client, dict[str, int], Semaphore]


@contextmanager
def serve_page(page: gr.Blocks) -> Iterator[httpx.Client]:
    _, url, _ = keep_stream_open(page.queue()).launch(
        server_name="127.0.0.1",
        server_port=find_free_port(),
        prevent_thread_lock=True,
        quiet=True,
        inbrowser=False,
        ssr_mode=False,
    )
    try:
        with httpx.Client(base_url=url.rstrip("/"), timeout=20) as client:
            yield client
    finally:
        page.close(verbose=False)


def send_event(client: httpx.Client, fn: int, session: str = "ann") -> None:
    body = {"data": [None], "fn_index": fn, "session_hash": session}
    client.post("/gradio_api/queue/join", json=body).raise_for_status()


def read_updates(client: httpx.Client, session: str = "ann") -> Iterator[list[Any] | None]:
    """What the page is told while the work goes on; None at its end."""
    with client.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as stream:
        for row in stream.iter_lines():
            message = json.loads(row.removeprefix("data:")) if row.startswith("data:") else {}
            if message.get("msg") == "process_generating":
                yield message["output"]["data"]
            if message.get("msg") == "process_completed":
                yield None
                return


def test_a_page_that_does_not_read_is_told_the_newest_and_not_all() -> None:
    """Every third word says nothing of the picture, and the last but one greys a button."""
    queues: list[Any] = []

    def is_finished() -> bool:
        pending = queues[0].pending_messages_per_session["ann"]._queue
        return bool(pending) and pending[-1].msg == "process_completed"

    def built() -> gr.Blocks:
        with gr.Blocks(analytics_enabled=False) as made:
            button, line, picture = gr.Button(), gr.Textbox(), gr.Textbox()

            def work() -> Iterator[dict[object, object]]:
                for n in range(UPDATE_COUNT):
                    yield {line: f"step {n}", **({picture: f"picture {n}"} if n % 3 else {})}
                yield {button: gr.update(interactive=False)}

            button.click(work, None, [button, line, picture])
        return send_full_updates(made)

    page = build_in_event_loop(built)
    with serve_page(page) as client:
        queues.append(page._queue)
        send_event(client, 0)
        wait_until(is_finished)
        words = [word for word in read_updates(client) if word is not None]
    assert len(words) == 3, "the first, which the others build on; the newest of the rest; and what greys"
    assert words[1][1:] == [
        [["replace", [], f"step {UPDATE_COUNT - 1}"]],
        [["replace", [], f"picture {UPDATE_COUNT - 1}"]],
    ]
    assert words[2][0] == [["replace", [], {"interactive": False, "__type__": "update"}]]


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    """A page whose only work says a number each time it is let on; its ways to say that nobody looks, by name.

    Each test lets the work of a session of its own come to its end.
    """
    gate, fns = Semaphore(0), dict[str, int]()

    def built() -> gr.Blocks:
        with gr.Blocks(analytics_enabled=False) as made:
            coalesce_updates.add_visibility_buttons()
            line = gr.Textbox()

            def work() -> Iterator[str]:
                for n in range(6):
                    gate.acquire(timeout=20)
                    yield f"step {n}"

            gr.Button().click(work, None, line, api_name="work")
        fns.update({fn.api_name: number for number, fn in made.fns.items() if isinstance(fn.api_name, str)})
        return send_full_updates(made)

    with serve_page(build_in_event_loop(built)) as client:
        yield client, fns, gate


def call_handler(client: httpx.Client, fn: int, session: str = "ann") -> None:
    body = {"data": [], "fn_index": fn, "session_hash": session}
    client.post("/gradio_api/run/predict", json=body).raise_for_status()


def held_values() -> list[Any]:
    """The values that wait for the page to be visible."""
    return [update.message.output["data"][0][0][2] for update in coalesce_updates._hidden_pages["ann"].values()]


def test_a_page_that_nobody_looks_at_is_told_the_newest_once_somebody_does(watched: Watched) -> None:
    client, fns, gate = watched
    send_event(client, fns["work"])
    words = read_updates(client)
    gate.release(2)
    assert next(words) == ["step 0"]
    assert next(words) == [[["replace", [], "step 1"]]]
    call_handler(client, fns["mark_hidden"])
    gate.release(3)
    wait_until(lambda: held_values() == ["step 4"])
    call_handler(client, fns["mark_visible"])
    assert next(words) == [[["replace", [], "step 4"]]]
    gate.release()
    assert next(words) == [[["replace", [], "step 5"]]]
    assert next(words) is None


def test_a_page_that_nobody_looks_at_is_told_of_the_end(watched: Watched) -> None:
    client, fns, gate = watched
    send_event(client, fns["work"], "ben")
    words = read_updates(client, "ben")
    gate.release(2)
    assert [next(words), next(words)] == [["step 0"], [[["replace", [], "step 1"]]]]
    call_handler(client, fns["mark_hidden"], "ben")
    gate.release(4)
    assert [next(words), next(words)] == [[[["replace", [], "step 5"]]], None]
    call_handler(client, fns["mark_visible"], "ben")
