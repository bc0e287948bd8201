"""Nothing is printed past the structured log, whatever is sent to the page; nor does a line of it quote anything."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.app_process import find_free_port, is_healthy
from tests.support.forks import FORKS
from tests.support.page_client import list_events
from tests.support.served_app import wait_until
from tests.support.started_studio import run_app

WORDS = "the-plans-of-bob"
PICTURE = "holiday-of-bob.png"
KEY = "sk-dbx-0123456789abcdef"
QUOTED = {"path": f"/home/bob/{PICTURE}", "prompt": WORDS, "key": KEY}


class StudioOutput(NamedTuple):
    """What was written, and where the page's own files lie."""

    out: str
    err: str
    page: Path


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> StudioOutput:
    """What a studio writes to standard output and standard error while nonsense is sent to each of its events."""
    root, port = tmp_path_factory.mktemp("printed"), find_free_port()
    (root / "data" / "page" / "of-yesterday").mkdir(parents=True)
    for name, age in (("old.png", 86400 + 60), ("new.png", 60)):
        (left := root / "data" / "page" / "of-yesterday" / name).touch()
        os.utime(left, (time.time() - age, time.time() - age))
    url = f"http://127.0.0.1:{port}"
    process = FORKS.Process(target=run_app, args=(root, "--port", str(port), "--data", str(root / "data")))
    process.start()
    try:
        wait_until(lambda: is_healthy(url), 120)
        with httpx.Client(base_url=url, timeout=60) as browser:
            _send_nonsense(browser)
    finally:
        process.terminate()
        process.join(60)
        process.close()
    return StudioOutput((root / "out").read_text("utf-8"), (root / "err").read_text("utf-8"), root / "data" / "page")


def _send_nonsense(browser: httpx.Client) -> None:
    """Past the queue and through it, to a component that is none, and to an address that Gradio prints."""
    assert browser.post("/gradio_api/upload", files={"files": ("small.txt", b"1")}).status_code == 200
    called = [row["id"] for row in list_events(browser) if row["backend_fn"]]
    for number in called[:20]:
        body: dict[str, Any] = {"fn_index": number, "data": [QUOTED] * 60, "session_hash": "nonsense"}
        assert browser.post("/gradio_api/run/predict", json=body).status_code < 600
        browser.post("/gradio_api/queue/join", json=body)
    with browser.stream("GET", "/gradio_api/queue/data", params={"session_hash": "nonsense"}) as stream:
        for line in stream.iter_lines():
            if "process_completed" in line:
                break
    # Each on a connection of its own: after a failure the server closes it.
    unknown = {"session_hash": "nonsense", "component_id": 10**6, "fn_name": WORDS, "data": QUOTED}
    broken = httpx.post(f"{browser.base_url}/gradio_api/component_server", json=unknown)
    assert (broken.status_code, broken.json()["error"]["code"]) == (500, "internal_error")
    assert broken.json()["error"]["request_id"] == broken.headers["x-request-id"]
    assert "frame-ancestors" in broken.headers["content-security-policy"]
    httpx.get(f"{browser.base_url}/gradio_api/custom_component/{WORDS}/client/component/{PICTURE}")


def test_every_line_of_the_log_is_an_object_and_the_failures_are_among_them(told: StudioOutput) -> None:
    rows = [json.loads(line) for line in told.err.splitlines()]
    failed = {row["logger"] for row in rows if row.get("error")}
    assert {"designerbox.page", "ui.api.errors"} <= failed
    assert all(row["where"] for row in rows if row.get("error"))


def test_neither_the_log_nor_what_is_printed_quotes_what_was_sent(told: StudioOutput) -> None:
    for text in (told.out, told.err):
        assert not [each for each in (WORDS, PICTURE, KEY, "Traceback") if each in text]


def test_what_a_killed_studio_left_to_be_fetched_goes_when_it_is_a_day_old(told: StudioOutput) -> None:
    assert [path.name for path in (told.page / "of-yesterday").iterdir()] == ["new.png"]
    assert len(list(told.page.iterdir())) > 1, "the page's files lie with the studio's"
