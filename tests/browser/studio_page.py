"""The real page on loopback and a real Chromium in front of it; one tool of its own whose steps wait at a gate."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import numpy as np
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from pipelines.core.job import Preview, ProgressCallback
from pipelines.core.params import (
    Params,
    choice_field,
    number_field,
    picture_field,
    pictures_field,
    prompt_field,
    seed_field,
)
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.jobs import retention
from pipelines.models import profiles
from pipelines.service.studio_service import StudioService
from pipelines.settings import Settings
from pipelines.tools import TOOLS
from tests.support.gated_tool import Gate
from tests.support.served_app import launch_page, run_studio
from ui.tool_tab import job_follower

HEADLESS_SHELL = shutil.which("chromium-headless-shell")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or HEADLESS_SHELL or ""
TIMEOUT_MS = 120_000
"""Milliseconds until something that was to happen has not: a busy machine is no defect, so no test counts seconds."""
expect.set_options(timeout=TIMEOUT_MS)
GATE_TIMEOUT_SECONDS = 300
"""Seconds after which a step goes on through a gate that a failed test has left shut."""
MAX_PAUSE_COUNT = 12
"""Steps of one stage that are paused at: a film has a hundred, and a dozen shows as much."""
CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--js-flags=--initial-heap-size=256 --min-semi-space-size=32",
]  # fmt: skip
"""A page is loaded without a collection of garbage in the middle: its heap begins as large as it is going to be."""
DRAW_SELDOM_JS = """
const draw = requestAnimationFrame.bind(window);
window.requestAnimationFrame = (frame) => setTimeout(() => draw(frame), 50);
window.cancelAnimationFrame = clearTimeout;
"""
"""Fifteen pictures a second in place of sixty: without a GPU each costs the processor."""
SETTLED_JS = (
    """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 100))))"""
)
"""Gradio builds a tab or a fold when it is first seen, in several turns, and what is typed before then is lost."""


class SlowParams(Params):
    """A form with one of each kind that the real tools have little of."""

    photo: str = picture_field("Photo", "Any picture.", required=True)
    mood: Literal["calm", "loud"] = choice_field("Mood", "Of the picture.", "calm", tiles=True)
    note: str = prompt_field("Note", "Free words.")
    steps: int = number_field("Steps", "How many.", 3, ge=1, le=200, advanced=False)
    seed: int | None = seed_field()


def make_slow_tool(gate: Gate) -> Tool:
    """Each step waits at the gate, and shows the photo a little brighter."""

    def run(params: SlowParams, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
        photo = context.open_image(params.photo)
        for n in range(params.steps):
            gate.entered += 1
            gate.open.wait(timeout=GATE_TIMEOUT_SECONDS)
            time.sleep(gate.pause)
            emit(
                "Brightening", n + 1, params.steps, np.asarray(photo * np.float32(0.5 + n / params.steps / 2), np.uint8)
            )
        return ToolOutput(images=(photo,))

    return Tool("slow", "Slow Motion", "For tests.", SlowParams, run, examples=("coffee",))


def add_gate(tool: Tool, gate: Gate) -> Tool:
    """A real tool that waits at the gate before it tells of a step, so that a test decides when it goes on."""

    def run(params: Any, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
        def told(stage: str, index: int, total: int, preview: Preview = None) -> None:
            gate.open.wait(timeout=GATE_TIMEOUT_SECONDS)
            emit(stage, index, total, preview)
            if preview is not None:
                gate.seen.wait(timeout=GATE_TIMEOUT_SECONDS)
            time.sleep(gate.pause if index <= MAX_PAUSE_COUNT else 0.0)

        return tool.run(params, context, told)

    return replace(tool, run=run)


class AlbumParams(Params):
    """Several pictures and nothing else."""

    photos: tuple[str, ...] = pictures_field("Photos", "Two to four.", min_count=2, max_count=4)


def _join_side_by_side(params: AlbumParams, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """One column of each picture's first pixel, in their order."""
    colours = [context.open_image(photo)[:1, :1] for photo in params.photos]
    return ToolOutput(images=(np.repeat(np.repeat(np.concatenate(colours, axis=1), 64, axis=0), 64, axis=1),))


ALBUM = Tool("album", "Album", "For tests.", AlbumParams, _join_side_by_side, examples=("coffee",))


@dataclass
class ServedPage:
    """A page that is served, and the studio behind it."""

    url: str
    service: StudioService
    gate: Gate
    left_tabs: dict[tuple[Any, ...], OpenTab] = field(default_factory=dict)
    """Tabs that a test has left, by their look: with what is cached there the page loads in half of the time."""

    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return self.service.jobs.count_jobs() == (0, 0)


@contextmanager
def serve_browser_page(
    root: Path,
    *more: Tool,
    gates: bool = True,
    shut: bool = False,
    only: Collection[str] | None = None,
    look_tiles: bool = False,
) -> Iterator[ServedPage]:
    """The page on a free port, with `more` tools beside ours, closed again whatever happened inside.

    With `gates` every tool waits at the gate, `shut` from the beginning, and the tests' own tools are there. `only` are
    the ids of our tools that the page has: without the others it is built and loaded in half of the time. Without
    `look_tiles` the looks' tiles stay examples: the drafts for them would run beside what most tests wait for.
    """
    gate = Gate()
    if shut:
        gate.open.clear()
    ours = [tool for tool in TOOLS if only is None or tool.id in only]
    rows = (*(add_gate(tool, gate) for tool in ours), make_slow_tool(gate), ALBUM, *more) if gates else (*ours, *more)
    settings = Settings(data=root, webhooks_private=True)  # a test listens on loopback
    profile = profiles.choose_profile("embedded")[0]
    with ExitStack() as stack:
        if not look_tiles:
            stack.enter_context(mock.patch.object(job_follower, "list_looks_of_photo", return_value=[]))
        studio = stack.enter_context(run_studio(settings, rows, profile))
        url = stack.enter_context(launch_page(studio))
        page = ServedPage(url, studio.service, gate)
        try:
            yield page
        finally:
            gate.open.set()
            gate.seen.set()
            for tab in page.left_tabs.values():
                tab.page.context.close()


@dataclass
class OpenTab:
    """A tab of the browser, and what the page complained of in it: errors and requests to another host."""

    page: Page
    size: ViewportSize
    complaints: list[str] = field(default_factory=list)

    def forget_visit(self) -> None:
        """Leave the page as a tab that has never seen it, except for the browser's cache."""
        self.page.unroute_all()
        if self.page.url != "about:blank":
            self.page.evaluate("localStorage.clear(); sessionStorage.clear()")
            self.page.goto("about:blank")
        if self.page.viewport_size != self.size:
            self.page.set_viewport_size(self.size)
        self.page.context.clear_cookies()

    def assert_no_complaint(self) -> None:
        """Fail when there was one since the last time."""
        complaints, self.complaints[:] = self.complaints[:], []
        assert complaints == []  # says which


def _make_tab(
    browser: Browser,
    studio: ServedPage,
    *,
    width: int = 1280,
    height: int = 900,
    locale: str = "en-GB",
    phone: bool = False,
) -> OpenTab:
    context = browser.new_context(
        viewport={"width": width, "height": height},
        locale=locale,
        accept_downloads=True,
        has_touch=phone,
        is_mobile=phone,
        # A bar that runs while something is drawn is drawn itself sixty times a second, without a GPU by the processor.
        reduced_motion="reduce",
    )
    context.add_init_script(DRAW_SELDOM_JS)
    tab = OpenTab(context.new_page(), {"width": width, "height": height})
    tab.page.set_default_timeout(TIMEOUT_MS)
    tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.page.on("request", lambda request: tab.complaints.extend(_find_foreign_urls(request.url, studio.url)))
    return tab


@contextmanager
def open_browser_tab(browser: Browser, studio: ServedPage, **look: Any) -> Iterator[OpenTab]:
    """A tab of a browser of its own that fails the test when the page complains; `look`: width, height, locale, phone.

    A `phone` has no mouse: it is touched.
    """
    tab = _make_tab(browser, studio, **look)
    try:
        yield tab
    finally:
        tab.page.context.close()
    tab.assert_no_complaint()


@contextmanager
def open_browser_page(browser: Browser, studio: ServedPage, **look: Any) -> Iterator[Page]:
    """The page in a tab without a past, for one test; `look` as for `open_browser_tab`.

    The tab is that of an earlier test with this look, unless that test failed.
    """
    key = tuple(sorted(look.items()))
    tab = studio.left_tabs.pop(key, None) or _make_tab(browser, studio, **look)
    try:
        yield tab.page
        tab.forget_visit()
        tab.assert_no_complaint()
    except BaseException:
        tab.page.context.close()
        raise
    studio.left_tabs[key] = tab


def _find_foreign_urls(url: str, base: str) -> list[str]:
    return [] if url.startswith((base, "data:", "blob:")) else [url]


def delete_visitor_jobs(studio: ServedPage, tool: str | None = None, *, kept: Collection[str | None] = ()) -> None:
    """The visitor has made nothing with this tool, or with any: else his last picture is in its tab, photo and all.

    The jobs `kept` stay.
    """
    jobs = studio.service.jobs.list_jobs("local", 1000, tool=tool)
    ids = [row.job.id for row in jobs if row.job.id not in kept]
    retention.delete_jobs(studio.service.jobs.table, studio.service.files, "local", ids)


def open_tool(page: Page, studio: ServedPage, tool: str) -> None:
    """The page with that tool's tab in front, ready to be touched."""
    page.goto(f"{studio.url}/#{tool}")
    page.locator(f"#{tool}-generate").wait_for()
    page.evaluate(SETTLED_JS)


def find_progress_line(page: Page, tool: str) -> Locator:
    """The line that says how far the work is."""
    return page.locator(f"#{tool}-stage")


def open_menu(page: Page, tool: str) -> None:
    """The menu beside Download, open."""
    if not page.locator(f"#{tool}-menu-of").is_visible():
        page.locator(f"#{tool}-menu").click()


def list_tabs(studio: ServedPage) -> list[str]:
    """The ids of all tabs, from left to right."""
    from ui.page import PAGE_TABS

    return ["home", *(tool.id for tool in studio.service.tools), "library", "kept", *(row.id for row in PAGE_TABS)]


def show_tab(page: Page, tab: str) -> None:
    """Bring a tab of the open page to the front."""
    page.evaluate("id => { location.hash = id }", tab)
    page.locator(f"#tab-{tab}").wait_for()
