"""Rows about the page in a real Chromium: weight, first sight, stillness, freshness of previews.

Chromium's own counters are asked: layout shift and largest paint from its performance timeline, bytes as they came over
the wire. Server and browser read the same clock, so a preview's age is their difference.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, expect, sync_playwright

from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params, number_field, picture_field
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from tests.bench.rows import Row, make_row
from tests.browser.studio_page import (
    CHROMIUM,
    CHROMIUM_FLAGS,
    SETTLED_JS,
    ServedPage,
    find_progress_line,
    open_browser_page,
    open_tool,
    serve_browser_page,
)
from tests.support.app_process import start_app
from tests.support.examples import EXAMPLES

GRADIO_PATHS = ("/assets/", "/static/", "/svelte/", "/theme.css", "/custom_component/", "/gradio_api/startup-events")
"""Where Gradio's own bundle lies; everything else is ours, the page itself with its config included."""
OUR_PATHS = ("/assets/tiles/", "/assets/words/", "/assets/inter")
PHONE_WIDTH_PX = 390
"""Pixels of a phone's width."""
VISIT_COUNT = 5
PREVIEW_COUNT = 20
STEP_PAUSE_SECONDS = 0.25
"""Seconds between two steps, a little more than the interval at which previews are let through."""
WATCH_PAINTS_JS = """(fromTheStart) => { window.paint = 0; window.shift = 0;
  new PerformanceObserver((list) => { for (const row of list.getEntries()) window.paint = row.startTime; })
    .observe({ type: "largest-contentful-paint", buffered: true });
  const add = (row) => { if (!row.hadRecentInput) window.shift += row.value; };
  new PerformanceObserver((list) => list.getEntries().forEach(add))
    .observe({ type: "layout-shift", buffered: fromTheStart }); }"""
WATCH_PREVIEWS_JS = """(box) => { window.arrivals = []; let last = "";
  const live = document.getElementById(box);
  const note = () => { const image = live.querySelector("img");
    if (!image?.src.startsWith("data:") || image.src === last) return;
    last = image.src; window.arrivals.push(Date.now() / 1000); };
  new MutationObserver(note)
    .observe(live, { childList: true, subtree: true, attributes: true, attributeFilter: ["src"] }); }"""


@dataclass
class StepClock:
    """When each step of the ticking tool was told, in Unix seconds."""

    emitted: list[float] = field(default_factory=list)


class TickingParams(Params):
    """A photo and a number of steps."""

    photo: str = picture_field("Photo", "Any picture.", required=True)
    steps: int = number_field("Steps", "How many.", 2, ge=1, le=5000)


def make_ticking_tool(clock: StepClock) -> Tool:
    """The photo, darker or lighter at each step, and as many steps as asked for, `PAUSE` apart."""

    def run(params: TickingParams, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
        photo = context.open_image(params.photo)
        for n in range(params.steps):
            if not context.draft:
                time.sleep(STEP_PAUSE_SECONDS)
            shown = photo // 2 + (n * 5) % 100
            clock.emitted.append(time.time())
            emit("Ticking", n + 1, params.steps, shown.astype("uint8"))
        return ToolOutput(images=(photo,))

    return Tool("ticking", "Ticking", "For the bench.", TickingParams, run, examples=("astronaut",))


class TransferMeter:
    """Bytes that came for a page, ours and Gradio's, as Chromium counted them."""

    def __init__(self, page: Page) -> None:
        self.ours = 0
        self.gradios = 0
        self.largest: dict[str, int] = {}
        self._paths: dict[str, str] = {}
        client = page.context.new_cdp_session(page)
        client.send("Network.enable")
        client.on("Network.requestWillBeSent", lambda event: self._on_request(event))
        client.on("Network.loadingFinished", lambda event: self._on_data(event))

    def _on_request(self, event: dict[str, Any]) -> None:
        url = event["request"]["url"]
        self._paths[event["requestId"]] = "" if url.startswith("data:") else urlsplit(url).path

    def _on_data(self, event: dict[str, Any]) -> None:
        path, size = self._paths.get(event["requestId"], ""), int(event["encodedDataLength"])
        if path.startswith(GRADIO_PATHS) and not path.startswith(OUR_PATHS):
            self.gradios += size
        elif path:
            self.ours += size
            self.largest[path] = size


def rows() -> Iterator[Row]:
    """All figures of this file; none where there is no Chromium."""
    if not CHROMIUM:
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        try:
            yield from _measure_first_page(browser)
            yield from _measure_phone(browser)
            clock = StepClock()
            with (
                tempfile.TemporaryDirectory() as data,
                serve_browser_page(Path(data), make_ticking_tool(clock)) as studio,
                open_browser_page(browser, studio) as page,
            ):
                yield from _measure_streaming(page, studio, clock)
        finally:
            browser.close()


def _measure_first_page(browser: Browser) -> Iterator[Row]:
    """Medians of visitors who come for the first time, to `python app.py` that has had one."""
    with tempfile.TemporaryDirectory() as data, start_app(Path(data)) as (url, _, _):
        _measure_visit(browser, url)
        visits = [_measure_visit(browser, url) for _ in range(VISIT_COUNT)]
    seen, painted, drafted, kilobytes, shift = (statistics.median(figures) for figures in zip(*visits, strict=True))
    yield make_row("page_seconds", round(seen, 2), "s", 2)
    yield make_row("largest_paint_seconds", round(painted, 2), "s", 2.5)
    yield make_row("three_drafts_seconds", round(drafted, 2), "s", 3)
    yield make_row("page_kilobytes", round(kilobytes), "KB", 400)
    yield make_row("layout_shift_built", round(shift, 4), "", 0.02)


def _measure_visit(browser: Browser, url: str) -> tuple[float, float, float, float, float]:
    """Seconds to the cards, to the largest paint and from a photo to its three drafts; KB of ours for the page, and how
    far it jumped while it was built."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    try:
        page = context.new_page()
        weight = TransferMeter(page)
        since = time.monotonic()
        page.goto(url)
        page.locator(".dbx-cards").wait_for()
        seen = time.monotonic() - since
        page.evaluate(WATCH_PAINTS_JS, True)
        page.wait_for_timeout(1500)
        painted, kilobytes = page.evaluate("window.paint") / 1000, weight.ours / 1000
        shift = page.evaluate("window.shift")
        since = time.monotonic()
        page.locator("#home-photo input[type=file]").set_input_files(EXAMPLES / "coffee.jpg")
        expect(page.locator("#home-open-3")).to_be_enabled()
        return seen, painted, time.monotonic() - since, kilobytes, shift
    finally:
        context.close()


def _measure_phone(browser: Browser) -> Iterator[Row]:
    """A phone's width and a real tool: nothing of the page may jump while its draft and its full size are made."""
    with (
        tempfile.TemporaryDirectory() as data,
        serve_browser_page(Path(data), gates=False, look_tiles=True) as studio,
        open_browser_page(browser, studio, width=PHONE_WIDTH_PX, height=844) as page,
    ):
        open_tool(page, studio, "headshot")
        page.wait_for_timeout(1000)
        page.evaluate(WATCH_PAINTS_JS, False)
        page.locator("#headshot-example-hopper").click()
        expect(find_progress_line(page, "headshot")).to_contain_text("Draft, small for speed")
        page.locator("#headshot-generate").click()
        expect(find_progress_line(page, "headshot")).to_contain_text("Done in")
        page.wait_for_timeout(500)
        yield make_row("layout_shift_narrow", round(page.evaluate("window.shift"), 4), "", 0.02)


def _measure_streaming(page: Page, studio: ServedPage, clock: StepClock) -> Iterator[Row]:
    open_tool(page, studio, "ticking")
    page.locator("#ticking-example-astronaut").click()
    expect(find_progress_line(page, "ticking")).to_contain_text("Draft, small for speed")
    page.locator("#ticking-more > button").click()
    page.evaluate(SETTLED_JS)
    steps = page.locator("#ticking-steps input[type=number]")
    steps.fill(str(PREVIEW_COUNT))
    steps.blur()
    page.wait_for_timeout(2000)
    page.evaluate(WATCH_PREVIEWS_JS, "ticking-live")
    page.evaluate(WATCH_PAINTS_JS, False)
    clock.emitted.clear()
    page.locator("#ticking-generate").click()
    expect(find_progress_line(page, "ticking")).to_contain_text("Done in")
    ages = [(came - told) * 1000 for came, told in zip(page.evaluate("window.arrivals"), clock.emitted, strict=False)]
    yield make_row("previews_missing", PREVIEW_COUNT - len(ages), "previews", 0)
    yield make_row("preview_delay_ms", statistics.median(ages), "ms", 40)
    yield make_row("layout_shift", page.evaluate("window.shift"), "", 0.02)
