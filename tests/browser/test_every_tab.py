"""What holds for every tab, light and dark, at a desk and on a phone.

axe-core (MPL-2.0) judges; the package `axe-playwright-python` brings it, for tests alone: no visitor is sent it.
"""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.stage import Theatre, every_tab, go, visitor

STILL = (
    "*, *::before, *::after { transition: none !important; animation: none !important }"
    ".gradio-container .dbx-go { position: static !important }"
)
"""axe reads colours at once, not after they have faded in, and takes what lies under a sticky bar for its text."""
GRAVE = ("serious", "critical")
UNFOLD = """(tab) => {
  document.querySelectorAll(`${tab} .dbx-more > button`).forEach((fold) => fold.click());
  return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""
LOOK = """([area, dark]) => {
  document.body.classList.toggle("dark", dark);
  return axe.run(area, { resultTypes: ["violations"], preload: false }).then((found) => found.violations);
}"""


def grave(page: Page, tab: str, dark: bool) -> list[str]:
    """What axe finds serious or critical on a tab: rule, place and reason."""
    found = page.evaluate(LOOK, ["body" if tab == "home" else f"#tab-{tab}", dark])
    return [
        f"{tab}: {row['id']} {node['target']} {node['failureSummary']}"
        for row in found if row["impact"] in GRAVE for node in row["nodes"]
    ]  # fmt: skip


@pytest.mark.parametrize("width", [1280, 390])
def test_every_tab_fits_and_axe_finds_nothing_serious_in_it(browser: Browser, house: Theatre, width: int) -> None:
    with visitor(browser, house, width=width, height=844) as page:
        page.goto(house.url)
        page.locator(".dbx-cards").wait_for()
        page.add_style_tag(content=STILL)
        page.evaluate(Axe().axe_script)
        for tab in every_tab(house):
            go(page, tab)
            page.evaluate(UNFOLD, f"#tab-{tab}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, tab
            # The dark colours are the same ones on a phone, and a judgement takes seconds.
            found = [row for dark in ((False, True) if width > 390 else (False,)) for row in grave(page, tab, dark)]
            assert not found, "\n".join(found)


def test_on_the_phone_generate_is_at_hand(browser: Browser, house: Theatre) -> None:
    with visitor(browser, house, width=390, height=844) as page:
        page.goto(house.url)
        for tool in house.desk.tools:
            go(page, tool.id)
            box = page.locator(f"#{tool.id}-generate").bounding_box()
            assert box is not None
            assert box["height"] >= 56
            assert box["y"] + box["height"] <= 844
