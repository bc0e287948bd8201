"""Two open pages, at a job and at a batch, and the studio behind them is killed: do they come back by themselves.

Nobody reloads them. They are looked at until they tell of the same job and the same batch again, and of their end.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from playwright.sync_api import Error, Locator, Page, sync_playwright

from tests.bench.rows import Row, row
from tests.browser.stage import CHROMIUM, QUIET
from tests.support.kill_loop import life

ROWS = 40
BODY = {"preset": "studio-grey", "size": 1024, "ratio": "1:1"}
PATIENCE = 240.0


def _sent(http: httpx.Client) -> str:
    lines = "\n".join(
        json.dumps({"custom_id": f"r{n}", "method": "POST", "url": "/v1/tools/background", "body": {**BODY, "seed": n}})
        for n in range(ROWS)
    )
    file = http.post("/v1/files", files={"file": ("in.jsonl", lines.encode())}, data={"purpose": "batch"}).json()
    asked = {"input_file_id": file["id"], "endpoint": "/v1/tools/background", "completion_window": "24h"}
    return http.post("/v1/batches", json=asked).json()["id"]


def _done(http: httpx.Client, batch: str) -> int:
    return http.get(f"/v1/batches/{batch}").json()["request_counts"]["completed"]


def _until(seen: Callable[[], bool]) -> float:
    """Seconds until then, `PATIENCE` where it never came."""
    since = time.monotonic()
    while not seen() and time.monotonic() - since < PATIENCE:
        time.sleep(0.1)
    return time.monotonic() - since


def _says(line: Locator, words: str) -> bool:
    return words in (line.inner_text() if line.count() else "")  # a page that is just coming back has no lines


def _anew(page: Page) -> bool:
    """Whether this is no longer the document that was marked."""
    try:
        return not page.evaluate("window.marked")
    except Error:  # on its way
        return False


@contextmanager
def _pages() -> Iterator[tuple[Page, Page]]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        context = browser.new_context(locale="en-GB")
        context.set_default_timeout(1000 * PATIENCE)
        yield context.new_page(), context.new_page()
        browser.close()


def rows(command: list[str]) -> Iterator[Row]:
    """`command` starts the studio at the address that is its last word."""
    url = command[-1]
    with _pages() as (first, second):
        job, batch = first.locator("#upscale-stage"), second.locator("#batch-stage")
        with life(command) as (process, http):
            first.goto(f"{url}/#upscale")
            first.locator("[id^=upscale-example]").first.click()
            _until(lambda: _says(job, "Draft"))
            batch_id = _sent(http)
            _until(lambda: _done(http, batch_id) >= 1)
            second.goto(f"{url}/#batch")
            _until(lambda: _says(batch, "Working"))
            first.locator("#upscale-generate").click()
            _until(lambda: _says(job, "step"))
            ours = [each["id"] for each in http.get("/v1/jobs").json()["data"] if each["tool"] == "upscale"]
            for page in (first, second):
                page.evaluate("window.marked = true")
            process.send_signal(signal.SIGKILL)
            process.wait(60)
        since = time.monotonic()
        with life(command) as (_, http):
            up = time.monotonic() - since
            found = _until(lambda: _anew(first) and _anew(second) and _says(batch, f"of {ROWS} rows"))
            ended = max(
                _until(lambda: _says(job, "Done in")), _until(lambda: _says(batch, f"Done: {ROWS} of {ROWS} rows"))
            )
            lost = [job_id for job_id in ours if http.get(f"/v1/jobs/{job_id}").json()["status"] != "done"]
    yield row("survival_page_back_seconds", round(found, 1), f"s after a start of {up:.0f} s", 60)
    yield row("survival_page_tells_the_end", ended < PATIENCE, "", 1, at_most=False)
    yield row("survival_page_jobs_lost", len(lost), f"of {len(ours)}", 0)
