from __future__ import annotations

import json
import time
from collections.abc import Iterator

import gradio as gr
import httpx
import pytest
from fastapi import Request
from gradio.queueing import Event

from tests.support.app_process import find_free_port
from tests.support.gradio_loop import build_in_event_loop
from tests.support.served_app import wait_until
from ui.gradio_patches import stream_keeper

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    # Gradio's own use of pandas, once per event.
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
    pytest.mark.filterwarnings("ignore:.*no_silent_downcasting.*"),
]


@pytest.fixture(scope="module")
def page() -> Iterator[tuple[httpx.Client, gr.Blocks]]:
    """Each test looks at it in a session of its own."""

    def built() -> gr.Blocks:
        with gr.Blocks(analytics_enabled=False) as made:
            button, word = gr.Button(), gr.Textbox()
            button.click(lambda: "done", None, word, api_name="told")
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        patch.setattr(stream_keeper, "LINGER_SECONDS", 1.5)
        patch.setattr(stream_keeper, "READ_GRACE_SECONDS", 0.2)
        made = build_in_event_loop(built)
        _, url, _ = stream_keeper.keep_stream_open(made.queue()).launch(
            server_name="127.0.0.1",
            server_port=find_free_port(),
            prevent_thread_lock=True,
            quiet=True,
            inbrowser=False,
            ssr_mode=False,
        )
        with httpx.Client(base_url=url.rstrip("/"), timeout=20) as client:
            yield client, made
        made.close(verbose=False)


def send_event(client: httpx.Client, session: str) -> str:
    body = {"data": [], "fn_index": 0, "session_hash": session}
    return client.post("/gradio_api/queue/join", json=body).raise_for_status().json()["event_id"]


def read_messages(stream: httpx.Response) -> Iterator[dict[str, str]]:
    for line in stream.iter_lines():
        if line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))


def test_what_is_ordered_after_the_last_answer_comes_on_the_same_stream(page: tuple[httpx.Client, gr.Blocks]) -> None:
    client, _ = page
    first, again = send_event(client, "ann"), ""
    done: list[str] = []
    with client.stream("GET", "/gradio_api/queue/data?session_hash=ann") as stream:
        for message in read_messages(stream):
            if message["msg"] == "process_completed" and message["event_id"] not in done:
                done.append(message["event_id"])
            if done == [first] and not again:
                time.sleep(0.3)  # in which Gradio alone has closed it
                again = send_event(client, "ann")
            if message["msg"] == "close_stream":
                break
    assert done[:2] == [first, again]


def test_a_page_that_is_left_alone_gives_its_connection_back(page: tuple[httpx.Client, gr.Blocks]) -> None:
    client, made = page
    send_event(client, "ben")
    with client.stream("GET", "/gradio_api/queue/data?session_hash=ben") as stream:
        assert [message["msg"] for message in read_messages(stream)][-1] == "close_stream"
    wait_until(lambda: not made._queue.pending_event_ids_session.get("ben"), 30)


def test_of_a_page_that_was_closed_nothing_is_left(page: tuple[httpx.Client, gr.Blocks]) -> None:
    client, made = page
    send_event(client, "cleo")
    wait_until(lambda: "cleo" not in made._queue.pending_event_ids_session, 30)


def test_a_caller_by_name_is_not_kept_waiting(
    page: tuple[httpx.Client, gr.Blocks], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_keeper, "LINGER_SECONDS", 120)
    client, _ = page
    event = client.post("/gradio_api/call/told", json={"data": []}).json()["event_id"]
    since = time.monotonic()
    assert '["done"]' in client.get(f"/gradio_api/call/told/{event}").text
    assert time.monotonic() - since < 60


def test_events_begin_in_the_order_in_which_they_came() -> None:
    def built() -> gr.Blocks:
        with gr.Blocks(analytics_enabled=False) as made:
            word = gr.Textbox()
            for n in range(6):
                gr.Button().click(lambda n=n: str(n), None, word, concurrency_limit=None)
        return made

    made = build_in_event_loop(built)
    queue = stream_keeper.keep_stream_open(made.queue())._queue
    asked = Request({"type": "http"})
    events = [Event("ann", made.fns[n], asked, None) for n in (3, 0, 5, 1, 3, 2, 4, 0, 5, 2)]
    for event in events:
        queue.create_event_queue_for_fn(event.fn)
        queue.event_ids_to_events[event._id] = event
        queue.event_queue_per_concurrency_id[event.concurrency_id].queue.append(event)
    begun = [queue.get_events() for _ in events]
    assert [taken[0][0] for taken in begun if taken is not None] == events
    assert queue.get_events() is None
