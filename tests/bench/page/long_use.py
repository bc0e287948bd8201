"""Rows about what long use leaves behind: on disk, and in a page behind another or asleep; `growing [MINUTES]`.

A visitor in Chromium drafts, generates, downloads and makes ZIPs for so many minutes. Bytes on disk are counted once,
however many names they have.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.bench.page.browser_tabs import BrowserTab, BrowserTabs
from tests.bench.page.page_load import STEP_PAUSE_SECONDS, WATCH_PREVIEWS_JS, StepClock, make_ticking_tool
from tests.bench.rows import Row, make_row
from tests.browser.studio_page import CHROMIUM, CHROMIUM_FLAGS, find_progress_line, serve_browser_page
from tests.support.app_process import start_app

DEFAULT_MINUTES = 30.0
HIDDEN_SECONDS = 20.0
"""Seconds for which a page is not looked at."""
FROZEN_SECONDS = 30.0
"""Seconds for which the browser then puts it to sleep, as it does with pages that nobody looks at for long."""
HIDE_DELAY_SECONDS = 0.5
"""Seconds in which the studio has heard that nobody looks."""
PREVIEW_COUNT_JS = "window.arrivals.length"
STEP_JS = "Number(/(\\d+) of/.exec(document.getElementById('ticking-stage').textContent)[1])"
WATCH_RETURN_JS = f"""() => {{ window.back = null;
  const live = document.getElementById("ticking-live");
  const looked = () => {{ if (document.visibilityState !== "visible") return;
    document.removeEventListener("visibilitychange", looked);
    const at = Date.now(), image = live.querySelector("img"), old = image.src;
    const painted = () => requestAnimationFrame(() => {{
      window.back = {{ at: at / 1000, step: {STEP_JS}, ms: Date.now() - at }}; }});
    const came = () => {{ if (image.src === old) return requestAnimationFrame(came);
      image.decode().then(painted, painted); }}; // the next may come while it is decoded
    came(); }};
  document.addEventListener("visibilitychange", looked); }}"""
WARM_UP_ROUND_COUNT = 3
"""Pictures before the first look at the disk: what is laid out once is not growth."""


def rows(minutes: float = DEFAULT_MINUTES) -> Iterator[Row]:
    """All figures of this file; none where there is no Chromium."""
    if not CHROMIUM:
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        try:
            yield from _measure_disk_growth(browser, minutes)
            yield from _measure_hidden_tab(browser)
        finally:
            browser.close()


# ---------------------------------------------------------------- on disk


@contextmanager
def _use_gradio_folder(folder: Path) -> Iterator[None]:
    """Gradio's files lie in `folder`, on the same disk as the data."""
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("GRADIO_TEMP_DIR")
        if before is not None:
            os.environ["GRADIO_TEMP_DIR"] = before


def _count_bytes(folder: Path, beside: Path | None = None) -> int:
    """Bytes under `folder`, each once; those that have a name under `beside` too are not counted."""
    seen = dict(_list_inodes(folder))
    for inode, _ in _list_inodes(beside) if beside else ():
        seen.pop(inode, None)
    return sum(seen.values())


def _list_inodes(folder: Path) -> Iterator[tuple[int, int]]:
    for path in folder.rglob("*"):
        try:
            about = path.stat()
        except FileNotFoundError:  # gone while we looked
            continue
        if path.is_file():
            yield about.st_ino, about.st_size


def _measure_disk_growth(browser: Browser, minutes: float) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as root:
        data, cache = Path(root) / "data", Path(root) / "cache"
        cache.mkdir()
        with _use_gradio_folder(cache), start_app(data) as (url, _, _):
            context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
            try:
                page = context.new_page()
                page.set_default_timeout(60_000)
                page.goto(f"{url}/#kit")
                page.locator("#kit-example-coffee").click()
                expect(find_progress_line(page, "kit")).to_contain_text("Draft,")
                page.locator("#kit-preset label", has_text="Instagram post").click()
                for n in range(WARM_UP_ROUND_COUNT):
                    _make_picture(page, n)
                began = _count_bytes(cache, data), _count_bytes(data)
                sizes: list[int] = []
                until = time.monotonic() + 60 * minutes
                while time.monotonic() < until or not sizes:
                    sizes.append(_make_picture(page, WARM_UP_ROUND_COUNT + len(sizes)))
                grown = _count_bytes(cache, data) - began[0], _count_bytes(data) - began[1]
            finally:
                context.close()
    yield make_row("growing_pictures", len(sizes), "pictures", 1, at_most=False)
    yield make_row("cache_growth_mb", round(grown[0] / 1e6, 2), "MB", 2)
    # Its own bytes, its row with the receipt, and what the log of the tables holds back.
    yield make_row("data_growth_over_pictures", round(grown[1] / sum(sizes), 3), "x", 1.1)
    yield make_row("growing_picture_kb", round(statistics.median(sizes) / 1e3), "KB", 20_000)


def _make_picture(page: Page, n: int) -> int:
    """A draft, its picture, the download, and a ZIP of the newest in the Library; bytes of the picture."""
    page.evaluate("location.hash = 'kit'")
    words = page.locator("#kit-headline textarea")
    words.wait_for()
    before = page.locator("#kit-live img").get_attribute("src") or ""
    words.fill(f"Offer number {n}")
    words.blur()
    expect(page.locator("#kit-live img")).not_to_have_attribute("src", before)
    expect(find_progress_line(page, "kit")).to_contain_text("Draft,")
    page.locator("#kit-generate").click()
    expect(find_progress_line(page, "kit")).to_contain_text("Done in")
    size = _download_file(page, "#kit-save-all")
    page.evaluate("location.hash = 'library'")
    tiles = page.locator("#library-grid label")
    expect(page.locator("#library-where")).to_contain_text(f"of {n + 1}")
    page.locator("#library-none").click()
    expect(page.locator("#library-grid input:checked")).to_have_count(0)
    tiles.first.click()
    expect(page.locator("#library-pack")).to_be_enabled()
    link = page.locator("#library-save a, a#library-save")
    old = link.get_attribute("href") if link.count() else None
    page.locator("#library-pack").click()
    if old:
        expect(link).not_to_have_attribute("href", old)
    _download_file(page, "#library-save")
    return size


def _download_file(page: Page, button: str) -> int:
    """The bytes that a download button hands over."""
    with page.expect_download() as caught:
        page.locator(button).click()
    size = Path(caught.value.path()).stat().st_size
    caught.value.delete()
    return size


# ---------------------------------------------------------------- unseen


def _measure_hidden_tab(browser: Browser) -> Iterator[Row]:
    """A tab behind another, and then asleep, while its job goes on; and what it shows when it is looked at again."""
    clock = StepClock()
    with tempfile.TemporaryDirectory() as data, serve_browser_page(Path(data), make_ticking_tool(clock)) as studio:
        context = browser.new_context()
        try:
            tabs = BrowserTabs(browser, context.new_page())
            tab = tabs.open_tab(f"{studio.url}/#ticking")
            _start_job(tab, clock, round((HIDDEN_SECONDS + FROZEN_SECONDS + 60) / STEP_PAUSE_SECONDS))
            start, shown = tab.measure_weight(), clock.emitted
            other = tabs.open_tab("about:blank")
            _hide_tab(tab, other)
            tabs.clock.wait_for_timeout(1000 * HIDE_DELAY_SECONDS)
            first = tab.evaluate(PREVIEW_COUNT_JS)
            tabs.clock.wait_for_timeout(1000 * HIDDEN_SECONDS)
            hidden, sent = tab.measure_weight(), tab.evaluate(PREVIEW_COUNT_JS) - first
            tab.evaluate(f"({WATCH_RETURN_JS})()")
            tab.bring_to_front()
            back = _wait_for_return(tab)
            told = sum(when <= back["at"] for when in shown)
            pictures = tab.evaluate("document.querySelectorAll('#ticking-live img').length")

            _hide_tab(tab, other)
            tab.send_command("Page.setWebLifecycleState", state="frozen")
            tabs.clock.wait_for_timeout(1000 * FROZEN_SECONDS)
            slept, before = len(shown), tab.evaluate(PREVIEW_COUNT_JS)
            tab.send_command("Page.setWebLifecycleState", state="active")
            tab.bring_to_front()
            since = time.monotonic()
            tab.wait_until(f"{STEP_JS} >= {slept}")
            woken, through = time.monotonic() - since, tab.evaluate(PREVIEW_COUNT_JS) - before
            tab.evaluate("document.getElementById('ticking-stop').click()")
        finally:
            context.close()
    yield make_row("hidden_previews_sent", sent, "previews", 0)
    yield make_row("hidden_return_ms", back["ms"], "ms", 1000 * STEP_PAUSE_SECONDS)
    # The step that is told at this moment is not there yet.
    yield make_row("hidden_steps_behind", told - back["step"], "steps", 1)
    yield make_row("hidden_pictures_in_the_box", pictures, "pictures", 1)
    yield make_row("hidden_heap_growth_mb", round(hidden[0] - start[0], 2), "MB", 2)
    yield make_row("hidden_nodes_growth", hidden[1] - start[1], "nodes", 50)
    yield make_row("asleep_return_seconds", round(woken, 2), "s", 1)
    yield make_row("asleep_previews_gone_through", through, "previews", FROZEN_SECONDS / STEP_PAUSE_SECONDS / 4)


def _hide_tab(tab: BrowserTab, other: BrowserTab) -> None:
    """The other tab lies over it."""
    other.bring_to_front()
    tab.wait_until("document.visibilityState === 'hidden'")


def _wait_for_return(tab: BrowserTab) -> dict[str, float]:
    """When the tab was looked at again, and what it had to show."""
    tab.wait_until("window.back !== null")
    return tab.evaluate("window.back")


def _start_job(tab: BrowserTab, clock: StepClock, steps: int) -> None:
    """A long job under way in that tab, its first previews seen."""
    tab.wait_until("document.getElementById('ticking-example-astronaut') !== null")
    tab.evaluate("document.getElementById('ticking-example-astronaut').click()")
    tab.wait_until("document.getElementById('ticking-stage').textContent.includes('Draft, small for speed')")
    tab.evaluate("document.querySelector('#ticking-more > button').click()")
    tab.wait_until("document.querySelector('#ticking-steps input[type=number]') !== null")
    tab.evaluate(f"""(() => {{ const steps = document.querySelector('#ticking-steps input[type=number]');
      steps.value = '{steps}'; steps.dispatchEvent(new Event('input', {{ bubbles: true }}));
      steps.dispatchEvent(new FocusEvent('blur')); }})()""")
    tab.evaluate("new Promise((done) => setTimeout(done, 2000))")  # the draft of so many steps
    tab.wait_until("document.getElementById('ticking-stage').textContent.includes('Draft, small for speed')")
    tab.evaluate(f"({WATCH_PREVIEWS_JS})('ticking-live')")
    clock.emitted.clear()
    tab.evaluate("document.getElementById('ticking-generate').click()")
    tab.wait_until("window.arrivals.length >= 4")
