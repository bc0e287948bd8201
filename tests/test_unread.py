from __future__ import annotations

import json
import time
from collections.abc import Iterator

import gradio as gr
import httpx
import pytest

from tests.loops import in_loop
from tests.serving import until
from ui.lines import keep_open
from ui.telling import whole

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    # Gradio's own use of pandas, once per event.
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
    pytest.mark.filterwarnings("ignore:.*no_silent_downcasting.*"),
]
WORDS = 60


def test_a_page_that_does_not_read_is_told_the_newest_and_not_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every third word says nothing of the picture, and the last but one greys a button."""
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    done: list[bool] = []

    def built() -> gr.Blocks:
        with gr.Blocks(analytics_enabled=False) as made:
            button, line, picture = gr.Button(), gr.Textbox(), gr.Textbox()

            def work() -> Iterator[dict[object, object]]:
                for n in range(WORDS):
                    yield {line: f"step {n}", **({picture: f"picture {n}"} if n % 3 else {})}
                yield {button: gr.update(interactive=False)}
                done.append(True)

            button.click(work, None, [button, line, picture])
        return whole(made)

    page = keep_open(in_loop(built).queue())
    _, url, _ = page.launch(
        server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, inbrowser=False, ssr_mode=False
    )
    try:
        with httpx.Client(base_url=url.rstrip("/"), timeout=20) as client:
            body = {"data": [None], "fn_index": 0, "session_hash": "ann"}
            client.post("/gradio_api/queue/join", json=body).raise_for_status()
            until(lambda: bool(done))
            time.sleep(0.2)
            said: list[list[object]] = []
            with client.stream("GET", "/gradio_api/queue/data?session_hash=ann") as stream:
                for row in stream.iter_lines():
                    message = json.loads(row.removeprefix("data:")) if row.startswith("data:") else {}
                    if message.get("msg") == "process_generating":
                        said.append(message["output"]["data"])
                    if message.get("msg") == "process_completed":
                        break
    finally:
        page.close(verbose=False)
    assert len(said) == 3, "the first, which the others build on; the newest of the rest; and what greys"
    assert said[1][1:] == [[["replace", [], f"step {WORDS - 1}"]], [["replace", [], f"picture {WORDS - 1}"]]]
    assert said[2][0] == [["replace", [], {"interactive": False, "__type__": "update"}]]
