"""Two open pages, at a job and at a batch, and the studio behind them is killed: do they come back by themselves.

Nobody reloads them. They are looked at until they tell of the same job and the same batch again, and of their end.
"""

from __future__ import annotations

import json
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Error, Locator, Page, sync_playwright

from tests.bench.rows import Row, make_row
from tests.browser.studio_page import CHROMIUM, CHROMIUM_FLAGS
from tests.support.kill_loop import make_start_command, run_server

ROW_COUNT = 40
FORM_VALUES = {"preset": "studio-grey", "size": 1024, "ratio": "1:1"}
TIMEOUT_SECONDS = 240.0


def _submit_batch(http: httpx.Client) -> str:
    lines = "\n".join(
        json.dumps(
            {"custom_id": f"r{n}", "method": "POST", "url": "/v1/tools/background", "body": {**FORM_VALUES, "seed": n}}
        )
        for n in range(ROW_COUNT)
    )
    file = http.post("/v1/files", files={"file": ("in.jsonl", lines.encode())}, data={"purpose": "batch"}).json()
    asked = {"input_file_id": file["id"], "endpoint": "/v1/tools/background", "completion_window": "24h"}
    return http.post("/v1/batches", json=asked).json()["id"]


def _count_done(http: httpx.Client, batch: str) -> int:
    return http.get(f"/v1/batches/{batch}").json()["request_counts"]["completed"]


def _time_until(seen: Callable[[], bool]) -> float:
    """Seconds until then, `PATIENCE` where it never came."""
    since = time.monotonic()
    while not seen() and time.monotonic() - since < TIMEOUT_SECONDS:
        time.sleep(0.1)
    return time.monotonic() - since


def _contains_text(line: Locator, words: str) -> bool:
    return words in (line.inner_text() if line.count() else "")  # a page that is just coming back has no lines


def _was_reloaded(page: Page) -> bool:
    """Whether this is no longer the document that was marked."""
    try:
        return not page.evaluate("window.marked")
    except Error:  # on its way
        return False


@contextmanager
def _open_pages() -> Iterator[tuple[Page, Page]]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        context = browser.new_context(locale="en-GB")
        context.set_default_timeout(1000 * TIMEOUT_SECONDS)
        yield context.new_page(), context.new_page()
        browser.close()


def rows() -> Iterator[Row]:
    """Every row of this module."""
    with tempfile.TemporaryDirectory() as folder:
        yield from _measure_reconnect(make_start_command(Path(folder)))


def _measure_reconnect(command: list[str]) -> Iterator[Row]:
    url = command[-1]
    with _open_pages() as (first, second):
        job, batch = first.locator("#upscale-stage"), second.locator("#batch-stage")
        with run_server(command) as (process, http):
            first.goto(f"{url}/#upscale")
            first.locator("[id^=upscale-example]").first.click()
            _time_until(lambda: _contains_text(job, "Draft"))
            batch_id = _submit_batch(http)
            _time_until(lambda: _count_done(http, batch_id) >= 1)
            second.goto(f"{url}/#batch")
            _time_until(lambda: _contains_text(batch, "Working"))
            first.locator("#upscale-generate").click()
            _time_until(lambda: _contains_text(job, "step"))
            ours = [each["id"] for each in http.get("/v1/jobs").json()["data"] if each["tool"] == "upscale"]
            for page in (first, second):
                page.evaluate("window.marked = true")
            process.send_signal(signal.SIGKILL)
            process.wait(60)
        since = time.monotonic()
        with run_server(command) as (_, http):
            up = time.monotonic() - since
            found = _time_until(
                lambda: _was_reloaded(first) and _was_reloaded(second) and _contains_text(batch, f"of {ROW_COUNT} rows")
            )
            ended = max(
                _time_until(lambda: _contains_text(job, "Done in")),
                _time_until(lambda: _contains_text(batch, f"Done: {ROW_COUNT} of {ROW_COUNT}")),
            )
            lost = [job_id for job_id in ours if http.get(f"/v1/jobs/{job_id}").json()["status"] != "done"]
    yield make_row("survival_page_back_seconds", round(found, 1), f"s after a start of {up:.0f} s", 60)
    yield make_row("survival_page_tells_the_end", ended < TIMEOUT_SECONDS, "", 1, at_most=False)
    yield make_row("survival_page_jobs_lost", len(lost), f"of {len(ours)}", 0)
