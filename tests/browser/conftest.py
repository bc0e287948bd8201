"""What every browser test is handed: one browser for all of them, one studio and one tab a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.studio_page import (
    CHROMIUM,
    CHROMIUM_FLAGS,
    HEADLESS_SHELL,
    OpenTab,
    ServedPage,
    delete_visitor_jobs,
    open_browser_tab,
    serve_browser_page,
)
from tests.support.served_app import wait_until

QUIETLY = (
    # Gradio leaves the socket open with which it looked for a free port.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    # Gradio's own use of pandas, once per event.
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
    pytest.mark.filterwarnings("ignore:.*no_silent_downcasting.*"),
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine (Debian: apt install chromium)"),
)
RERUN_MARK = pytest.mark.flaky(reruns=1)
"""On a busy machine the page, the server and the test take turns in any order: a test that fails runs once more.

The summary names it after RERUN, and it wants to be looked at: twice it was a fault of the page.
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test that plays in the browser is skipped where there is none, and forgives what Gradio leaves behind.

    These tests come first: they mostly wait, so the tests of the other workers compute meanwhile, and none waits alone.
    """
    items.sort(key=lambda item: item.path.parent != Path(__file__).parent)
    # The mark wins over --reruns, so it is left out where somebody says how often.
    marks = QUIETLY if config.getoption("reruns", None) is not None else (*QUIETLY, RERUN_MARK)
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            for mark in marks:
                item.add_marker(mark)


# Of the package, not of the session: Playwright keeps an event loop running, and other tests run their own.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium: starting it takes longer than most tests. Each visitor has a context of their own."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=HEADLESS_SHELL or CHROMIUM, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def studio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPage]:
    """One studio a file, whose visitor is always the same; with all tools, or those of the file's `TOOL_IDS`."""
    only = getattr(request.module, "TOOL_IDS", None)
    with serve_browser_page(tmp_path_factory.mktemp("studio"), only=only) as built:
        yield built


@pytest.fixture(scope="module")
def _tab(browser: Browser, studio: ServedPage) -> Iterator[OpenTab]:
    """One tab a file: what it has cached loads the page in a third of the processor time less."""
    with open_browser_tab(browser, studio) as opened:
        yield opened


@pytest.fixture
def _delete_jobs(studio: ServedPage) -> None:
    delete_visitor_jobs(studio)


@pytest.fixture
def page(_tab: OpenTab, _delete_jobs: None, studio: ServedPage) -> Iterator[Page]:
    """The tab of a visitor who has never been here."""
    yield _tab.page
    studio.gate.open.set()
    studio.gate.seen.set()
    studio.gate.pause = 0.0
    wait_until(studio.is_idle, 60)
    _tab.forget_visit()
    _tab.assert_no_complaint()
