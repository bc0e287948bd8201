"""What a visitor does with every tool: upload, draft, generate, watch, stop, download, refresh and find again.

Desk and phone each go from tab to tab of one open page: a page is seconds of a processor's time to open.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import PIL.Image
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from pipelines.stream import drain
from pipelines.tools import TOOLS
from pipelines.types import Tool
from tests.browser.stage import Theatre, forget, go, stage, visitor
from tests.leaving import standing
from tests.serving import until
from tests.watching import EXAMPLES
from ui.rest.docs import examples

WATCH = """(box) => {
  const seen = (window.seen ??= {}); const live = document.getElementById(box); seen[box] = [];
  const note = () => { const image = live.querySelector("img"); if (image) seen[box].push(image.src.slice(0, 22)); };
  new MutationObserver(note)
    .observe(live, { childList: true, subtree: true, attributes: true, attributeFilter: ["src"] });
}"""


@pytest.fixture(scope="module")
def desk(browser: Browser, house: Theatre) -> Iterator[Page]:
    """One open page for all tools."""
    with visitor(browser, house) as page:
        page.goto(house.url)
        page.locator(".dbx-cards").wait_for()
        yield page


@pytest.fixture(scope="module")
def phone(browser: Browser, house: Theatre) -> Iterator[Page]:
    """The same, narrow."""
    with visitor(browser, house, width=390, height=844) as page:
        page.goto(house.url)
        page.locator(".dbx-cards").wait_for()
        yield page


def photos(tool: Tool) -> list[Path]:
    """What to upload: our own examples, for which nobody's consent is asked, sent from the visitor's disk."""
    several = tool.params.fields_of_kind("picture", "pictures")[0] == "photos"
    return [EXAMPLES / f"{name}.jpg" for name in tool.examples[: 2 if several else 1]]


def filled(page: Page, tool: Tool) -> Locator:
    """The tab with a photo of the visitor's in it, or another choice where it takes none; the line of its state."""
    field = tool.params.fields_of_kind("picture", "pictures")[0]
    page.locator(f"#{tool.id}-generate").wait_for()
    box = page.locator(f"#{tool.id}-{field} input[type=file]")
    if box.count():
        box.first.set_input_files(photos(tool))
        try:
            expect(stage(page, tool.id)).not_to_contain_text("to begin.", timeout=8000)
        except AssertionError:  # given in the very moment in which the tab was built; a visitor gives it again
            away = page.locator(f"#{tool.id}-{field} [aria-label='Remove Image']")
            if away.count():
                away.click()
            box.first.set_input_files(photos(tool))
    else:
        page.locator(f"#tab-{tool.id} :is(.dbx-tiles, .dbx-segments) label:not(:has(:checked))").first.click()
    return stage(page, tool.id)


def small(page: Page, tool: Tool) -> None:
    """The smallest size, where there is one: the way is the same and takes a quarter of the time."""
    size = page.locator(f"#{tool.id}-size input[type=number]")
    if size.count() and size.is_visible():
        size.fill("512")
        size.blur()


def made(house: Theatre, tool: Tool) -> int:
    return len(house.desk.jobs.list("local", 100, tool=tool.id))


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.id)
def test_a_photo_is_drafted_made_watched_and_taken_home(desk: Page, house: Theatre, tool: Tool) -> None:
    page = desk
    forget(house, tool.id)
    go(page, tool.id)
    line = filled(page, tool)
    expect(line).to_contain_text("Draft, 512 px")
    small(page, tool)
    until(house.free, 60)
    page.evaluate(WATCH, f"{tool.id}-live")
    house.gate.pause = 0.1  # else what is remembered is over within one frame, and its preview with it
    page.locator(f"#{tool.id}-generate").click()
    until(lambda: made(house, tool) > 0 and house.free(), 90)
    row = house.desk.jobs.list("local", 1, tool=tool.id)[0]
    assert row.status == "done", row.error
    expect(page.locator(f"#{tool.id}-save")).to_be_enabled()
    house.gate.pause = 0.0
    expect(line).to_contain_text("Done in")
    seen = page.evaluate(f"window.seen['{tool.id}-live']")
    assert any(source.startswith("data:image/jpeg") for source in seen), "no preview arrived"
    assert not seen[-1].startswith("data:"), "what stays is the file itself"
    with page.expect_download() as caught:
        page.locator(f"#{tool.id}-save").click()
    with PIL.Image.open(caught.value.path()) as picture:
        assert min(picture.size) >= 256
        kind = picture.get_format_mimetype()
    assert standing(Path(caught.value.path()).read_bytes(), kind or "") == "Valid"


def test_a_page_that_is_opened_anew_finds_the_last_picture_of_every_tool(desk: Page, house: Theatre) -> None:
    for tool in TOOLS:
        if not made(house, tool):
            least = examples(tool, house.desk)["least"]["value"]
            drain(house.desk.jobs.follow(house.desk.order(tool.id, least, "local")))
    desk.reload()
    for tool in TOOLS:
        go(desk, tool.id)
        expect(desk.locator(f"#{tool.id}-save")).to_be_enabled()
        expect(stage(desk, tool.id)).to_contain_text("Done in")


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.id)
def test_on_a_phone_a_photo_is_drafted_and_stop_is_felt_while_a_step_still_runs(
    phone: Page, house: Theatre, tool: Tool
) -> None:
    forget(house, tool.id)  # a photo that came back hides the place for one
    go(phone, tool.id)
    expect(filled(phone, tool)).to_contain_text("Draft, 512 px")
    until(house.free, 60)
    before = made(house, tool)
    house.gate.open.clear()
    phone.locator(f"#{tool.id}-generate").click()
    until(lambda: not house.free(), 60)
    phone.locator(f"#{tool.id}-stop").click()
    expect(stage(phone, tool.id)).to_contain_text("Stopped. Nothing was written.")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    house.gate.open.set()
    until(house.free, 60)
    rows = house.desk.jobs.list("local", 1, tool=tool.id)
    assert made(house, tool) == before or rows[0].status == "cancelled"
