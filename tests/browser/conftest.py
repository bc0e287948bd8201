"""What every browser test is handed: the player, a house of its own module, and a tab in front of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Playwright, sync_playwright

from tests.browser.stage import CHROMIUM, Theatre, theatre, visitor
from tests.serving import until

QUIETLY = (
    # Gradio leaves the socket open with which it looked for a free port.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    # Gradio's own use of pandas, once per event.
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
    pytest.mark.filterwarnings("ignore:.*no_silent_downcasting.*"),
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine (Debian: apt install chromium)"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that plays in the browser is skipped where there is none, and forgives what Gradio leaves behind."""
    for item in items:
        if "played" in getattr(item, "fixturenames", ()):
            for mark in QUIETLY:
                item.add_marker(mark)


@pytest.fixture(scope="module")
def played() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    with theatre(tmp_path_factory.mktemp("house")) as built:
        yield built


@pytest.fixture
def page(played: Playwright, house: Theatre) -> Iterator[Page]:
    with visitor(played, house) as opened:
        yield opened
    house.gate.open.set()
    house.gate.pause = 0.0
    until(house.free, 30)
