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

from tests.bench.house import served
from tests.bench.page import ARRIVALS, PAUSE, Clock, ticking
from tests.bench.rows import Row, row
from tests.bench.tabs import Tab, Tabs
from tests.browser.stage import CHROMIUM, QUIET, stage, theatre

MINUTES = 30.0
HIDDEN = 20.0
"""Seconds for which a page is not looked at."""
ASLEEP = 30.0
"""Seconds for which the browser then puts it to sleep, as it does with pages that nobody looks at for long."""
TOLD = 0.5
"""Seconds in which the studio has heard that nobody looks."""
GONE_THROUGH = "window.arrivals.length"
STEP = "Number(/(\\d+) of/.exec(document.getElementById('ticking-stage').textContent)[1])"
BACK = f"""() => {{ window.back = null;
  const live = document.getElementById("ticking-live");
  const looked = () => {{ if (document.visibilityState !== "visible") return;
    document.removeEventListener("visibilitychange", looked);
    const at = Date.now(), image = live.querySelector("img"), old = image.src;
    const painted = () => requestAnimationFrame(() => {{
      window.back = {{ at: at / 1000, step: {STEP}, ms: Date.now() - at }}; }});
    const came = () => {{ if (image.src === old) return requestAnimationFrame(came);
      image.decode().then(painted, painted); }}; // the next may come while it is decoded
    came(); }};
  document.addEventListener("visibilitychange", looked); }}"""
ROUNDS = 3
"""Pictures before the first look at the disk: what is laid out once is not growth."""


def rows(minutes: float = MINUTES) -> Iterator[Row]:
    """All figures of this file; none where there is no Chromium."""
    if not CHROMIUM:
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        try:
            yield from _used(browser, minutes)
            yield from _unseen(browser)
        finally:
            browser.close()


# ---------------------------------------------------------------- on disk


@contextmanager
def _cache(folder: Path) -> Iterator[None]:
    """Gradio's files lie in `folder`, on the same disk as the data."""
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("GRADIO_TEMP_DIR")
        if before is not None:
            os.environ["GRADIO_TEMP_DIR"] = before


def _bytes(folder: Path, beside: Path | None = None) -> int:
    """Bytes under `folder`, each once; those that have a name under `beside` too are not counted."""
    seen = dict(_inodes(folder))
    for inode, _ in _inodes(beside) if beside else ():
        seen.pop(inode, None)
    return sum(seen.values())


def _inodes(folder: Path) -> Iterator[tuple[int, int]]:
    for path in folder.rglob("*"):
        try:
            about = path.stat()
        except FileNotFoundError:  # gone while we looked
            continue
        if path.is_file():
            yield about.st_ino, about.st_size


def _used(browser: Browser, minutes: float) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as root:
        data, cache = Path(root) / "data", Path(root) / "cache"
        cache.mkdir()
        with _cache(cache), served(data) as (url, _, _):
            context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
            try:
                page = context.new_page()
                page.set_default_timeout(60_000)
                page.goto(f"{url}/#kit")
                page.locator("#kit-example-coffee").click()
                expect(stage(page, "kit")).to_contain_text("Draft,")
                page.locator("#kit-preset label", has_text="Post 4:5").click()
                for n in range(ROUNDS):
                    _round(page, n)
                began = _bytes(cache, data), _bytes(data)
                sizes: list[int] = []
                until = time.monotonic() + 60 * minutes
                while time.monotonic() < until or not sizes:
                    sizes.append(_round(page, ROUNDS + len(sizes)))
                grown = _bytes(cache, data) - began[0], _bytes(data) - began[1]
            finally:
                context.close()
    yield row("growing_pictures", len(sizes), "pictures", 1, at_most=False)
    yield row("cache_growth_mb", round(grown[0] / 1e6, 2), "MB", 2)
    # Its own bytes, its row with the receipt, and what the log of the tables holds back.
    yield row("data_growth_over_pictures", round(grown[1] / sum(sizes), 3), "x", 1.1)
    yield row("growing_picture_kb", round(statistics.median(sizes) / 1e3), "KB", 20_000)


def _round(page: Page, n: int) -> int:
    """A draft, its picture, the download, and a ZIP of the newest in the Library; bytes of the picture."""
    page.evaluate("location.hash = 'kit'")
    words = page.locator("#kit-headline textarea")
    words.wait_for()
    before = page.locator("#kit-live img").get_attribute("src") or ""
    words.fill(f"Offer number {n}")
    words.blur()
    expect(page.locator("#kit-live img")).not_to_have_attribute("src", before)
    expect(stage(page, "kit")).to_contain_text("Draft,")
    page.locator("#kit-generate").click()
    expect(stage(page, "kit")).to_contain_text("Done in")
    size = _downloaded(page, "#kit-save")
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
    _downloaded(page, "#library-save")
    return size


def _downloaded(page: Page, button: str) -> int:
    """The bytes that a download button hands over."""
    with page.expect_download() as caught:
        page.locator(button).click()
    size = Path(caught.value.path()).stat().st_size
    caught.value.delete()
    return size


# ---------------------------------------------------------------- unseen


def _unseen(browser: Browser) -> Iterator[Row]:
    """A tab behind another, and then asleep, while its job goes on; and what it shows when it is looked at again."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as data, theatre(Path(data), ticking(clock)) as house:
        context = browser.new_context()
        try:
            tabs = Tabs(browser, context.new_page())
            tab = tabs.open(f"{house.url}/#ticking")
            _began(tab, clock, round((HIDDEN + ASLEEP + 60) / PAUSE))
            start, shown = tab.weight(), clock.told
            other = tabs.open("about:blank")
            _behind(tab, other)
            tabs.clock.wait_for_timeout(1000 * TOLD)
            first = tab.evaluate(GONE_THROUGH)
            tabs.clock.wait_for_timeout(1000 * HIDDEN)
            hidden, sent = tab.weight(), tab.evaluate(GONE_THROUGH) - first
            tab.evaluate(f"({BACK})()")
            tab.front()
            back = _back(tab)
            told = sum(when <= back["at"] for when in shown)
            pictures = tab.evaluate("document.querySelectorAll('#ticking-live img').length")

            _behind(tab, other)
            tab.send("Page.setWebLifecycleState", state="frozen")
            tabs.clock.wait_for_timeout(1000 * ASLEEP)
            slept, before = len(shown), tab.evaluate(GONE_THROUGH)
            tab.send("Page.setWebLifecycleState", state="active")
            tab.front()
            since = time.monotonic()
            tab.until(f"{STEP} >= {slept}")
            woken, through = time.monotonic() - since, tab.evaluate(GONE_THROUGH) - before
            tab.evaluate("document.getElementById('ticking-stop').click()")
        finally:
            context.close()
    yield row("hidden_previews_sent", sent, "previews", 0)
    yield row("hidden_return_ms", back["ms"], "ms", 1000 * PAUSE)
    # The step that is told at this moment is not there yet.
    yield row("hidden_steps_behind", told - back["step"], "steps", 1)
    yield row("hidden_pictures_in_the_box", pictures, "pictures", 1)
    yield row("hidden_heap_growth_mb", round(hidden[0] - start[0], 2), "MB", 2)
    yield row("hidden_nodes_growth", hidden[1] - start[1], "nodes", 50)
    yield row("asleep_return_seconds", round(woken, 2), "s", 1)
    yield row("asleep_previews_gone_through", through, "previews", ASLEEP / PAUSE / 4)


def _behind(tab: Tab, other: Tab) -> None:
    """The other tab lies over it."""
    other.front()
    tab.until("document.visibilityState === 'hidden'")


def _back(tab: Tab) -> dict[str, float]:
    """When the tab was looked at again, and what it had to show."""
    tab.until("window.back !== null")
    return tab.evaluate("window.back")


def _began(tab: Tab, clock: Clock, steps: int) -> None:
    """A long job under way in that tab, its first previews seen."""
    tab.until("document.getElementById('ticking-example-astronaut') !== null")
    tab.evaluate("document.getElementById('ticking-example-astronaut').click()")
    tab.until("document.getElementById('ticking-stage').textContent.includes('Draft, 512 px')")
    tab.evaluate("document.querySelector('#ticking-more > button').click()")
    tab.until("document.querySelector('#ticking-steps input[type=number]') !== null")
    tab.evaluate(f"""(() => {{ const steps = document.querySelector('#ticking-steps input[type=number]');
      steps.value = '{steps}'; steps.dispatchEvent(new Event('input', {{ bubbles: true }}));
      steps.dispatchEvent(new FocusEvent('blur')); }})()""")
    tab.evaluate("new Promise((done) => setTimeout(done, 2000))")  # the draft of so many steps
    tab.until("document.getElementById('ticking-stage').textContent.includes('Draft, 512 px')")
    tab.evaluate(f"({ARRIVALS})('ticking-live')")
    clock.told.clear()
    tab.evaluate("document.getElementById('ticking-generate').click()")
    tab.until("window.arrivals.length >= 4")
