"""What a visitor does with every tool, at a desk and on a phone: from upload to download, and finding it again.

Each width goes from tab to tab of one open page: a page is seconds of a processor's time to open.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import PIL.Image
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from pipelines.codecs.encode import C2PA_MIME_TYPES
from pipelines.compositing import parallax
from pipelines.core.stream import wait_for_result
from pipelines.core.tools import Tool
from pipelines.tools import TOOLS
from pipelines.tools.shared.form_fields import DRAFT_SIDE_PX
from tests.browser.studio_page import (
    SETTLED_JS,
    ServedPage,
    delete_visitor_jobs,
    find_progress_line,
    open_browser_page,
    show_tab,
)
from tests.browser.test_every_tab import WORDS_OF_THE_TRADE
from tests.support.download_doors import read_validation_state
from tests.support.examples import EXAMPLES
from tests.support.served_app import wait_until
from ui.api.documentation.openapi_docs import build_examples

WATCH_PREVIEWS_JS = """(box) => {
  const seen = (window.seen ??= {}); const live = document.getElementById(box); seen[box] = [];
  const note = () => { const image = live.querySelector("img"); if (image) seen[box].push(image.src.slice(0, 22)); };
  new MutationObserver(note)
    .observe(live, { childList: true, subtree: true, attributes: true, attributeFilter: ["src"] });
}"""
WATCH_LINES_JS = """(bar) => {
  const place = document.getElementById(bar), said = (window.said ??= {})[bar] = [];
  const note = () => said.push(place.querySelector(".dbx-line p")?.textContent ?? "");
  new MutationObserver(note).observe(place, { childList: true, subtree: true, characterData: true });
}"""
"""Keeps all that the line of a tool's state says, also what is over within one frame."""
SMALLEST_PICTURE_PX = 256
MAX_PHOTO_BOTTOM_PX = 500
"""How far below the top of a phone's page the empty place for the photo may end."""


@dataclass
class ToolVisit:
    """One open page for all tools, in front of a desk with a mouse or in a hand."""

    page: Page
    width: int
    height: int

    @property
    def phone(self) -> bool:
        return self.width < 900

    def press(self, element: str) -> None:
        """With a mouse, or a finger."""
        target = self.page.locator(element)
        if self.phone:
            target.tap()
        else:
            target.click()


DESK_SIZE, PHONE_SIZE = (1280, 900), (390, 844)


@pytest.fixture(scope="module", params=(DESK_SIZE, PHONE_SIZE), ids=("desk", "phone"))
def visit(request: pytest.FixtureRequest, browser: Browser, studio: ServedPage) -> Iterator[ToolVisit]:
    width, height = request.param
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(parallax, "FPS", 6.0)  # the way is the same with fewer frames
    with open_browser_page(browser, studio, width=width, height=height, phone=width < 900) as page:
        page.goto(studio.url)
        page.locator(".dbx-cards").wait_for()
        yield ToolVisit(page, width, height)
    monkeypatch.undo()


def list_photos(tool: Tool) -> list[Path]:
    """What to upload: our own examples, for which nobody's consent is asked, sent from the visitor's disk."""
    several = tool.params.fields_of_kind("picture", "pictures")[0] == "photos"
    photos = [EXAMPLES / f"{name}.jpg" for name in tool.examples]
    # Of a photo that is smaller than a draft, draft and picture may be the same: no preview is seen to come.
    photos.sort(key=lambda path: max(read_size(path)) < DRAFT_SIDE_PX)
    return photos[: 2 if several else 1]


def read_size(path: Path) -> tuple[int, int]:
    with PIL.Image.open(path) as photo:
        return photo.size


def fill_form(visit: ToolVisit, tool: Tool) -> Locator:
    """The tab with a photo of the visitor's in it, or another choice where it takes none; the line of its state."""
    page, field = visit.page, tool.params.fields_of_kind("picture", "pictures")[0]
    page.locator(f"#{tool.id}-generate").wait_for()
    page.evaluate(SETTLED_JS)
    page.evaluate(WATCH_LINES_JS, f"{tool.id}-bar")
    box = page.locator(f"#{tool.id}-{field} input[type=file]")
    if box.count():
        place = page.locator(f"#{tool.id}-{field}").bounding_box()
        assert place is not None
        bottom = place["y"] + place["height"] + page.evaluate("scrollY")
        assert not visit.phone or bottom < MAX_PHOTO_BOTTOM_PX, "the place for the photo comes first"
        box.first.set_input_files(list_photos(tool))
        try:
            expect(find_progress_line(page, tool.id)).not_to_contain_text("to begin.", timeout=2500)
        except AssertionError:  # given in the very moment in which the tab was built; a visitor gives it again
            away = page.locator(f"#{tool.id}-{field} [aria-label='Remove Image']")
            if away.count():
                away.click()
            box.first.set_input_files(list_photos(tool))
    else:
        page.locator(f"#tab-{tool.id} :is(.dbx-tiles, .dbx-segments) label:not(:has(:checked))").first.click()
    return find_progress_line(page, tool.id)


def choose_smallest_size(page: Page, tool: Tool) -> None:
    """The smallest size, where it is asked for: the way is the same and takes a fraction of the time."""
    size = page.locator(f"#{tool.id}-size input[type=number]")
    if size.count() and size.is_visible():
        size.fill(str(max(SMALLEST_PICTURE_PX, int(size.get_attribute("min") or 0))))
        size.blur()


def find_newest_job(studio: ServedPage, tool: Tool) -> str:
    """The id of the last job, "" before the first."""
    return next((row.job.id for row in studio.service.jobs.list_jobs("local", 1, tool=tool.id)), "")


# Retouch waits for a mask: `test_walked_page` paints one.
@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool.id != "retouch"], ids=lambda tool: tool.id)
def test_a_photo_is_drafted_stopped_made_watched_and_saved(visit: ToolVisit, studio: ServedPage, tool: Tool) -> None:
    page = visit.page
    delete_visitor_jobs(studio, tool.id)  # a photo that came back hides the place for one
    show_tab(page, tool.id)
    line = fill_form(visit, tool)
    expect(line).to_contain_text("Draft, small for speed")
    at = page.locator(f"#{tool.id}-generate").bounding_box()
    assert at is not None
    assert at["height"] >= 56
    assert not visit.phone or at["y"] + at["height"] <= visit.height, "at hand wherever the form was scrolled to"
    choose_smallest_size(page, tool)
    wait_until(studio.is_idle, 60)

    studio.gate.open.clear()
    visit.press(f"#{tool.id}-generate")
    wait_until(lambda: not studio.is_idle(), 60)
    visit.press(f"#{tool.id}-stop")
    expect(line).to_contain_text("Stopped. Nothing was written.")  # while a step still runs
    assert page.evaluate("document.documentElement.scrollWidth") <= visit.width
    studio.gate.open.set()
    wait_until(studio.is_idle, 60)
    assert all(row.status == "cancelled" for row in studio.service.jobs.list_jobs("local", 9, tool=tool.id))

    page.evaluate(WATCH_PREVIEWS_JS, f"{tool.id}-live")
    studio.gate.seen.clear()  # else what is remembered is over within one frame, and its preview with it
    stopped = find_newest_job(studio, tool)
    visit.press(f"#{tool.id}-generate")
    shown = f"window.seen['{tool.id}-live'].some((source) => source.startsWith('data:image/'))"
    page.wait_for_function(shown, timeout=60_000)
    studio.gate.seen.set()
    wait_until(lambda: find_newest_job(studio, tool) != stopped and studio.is_idle(), 90)
    row = studio.service.jobs.list_jobs("local", 1, tool=tool.id)[0]
    assert row.status == "done", row.error
    expect(page.locator(f"#{tool.id}-save")).to_be_enabled()
    expect(line).to_contain_text("Done in")
    if tool.id in ("cutout", "motion"):  # the ground of what is transparent, and of nothing else
        expect(page.locator(f"#{tool.id}-box .see-through")).to_have_count(int(tool.id == "cutout"))
    if tool.id == "cutout":
        page.evaluate("document.body.classList.add('dark')")
        expect(page.locator("#cutout-live img")).to_have_css("background-image", re.compile(r"rgb\(74, 74, 70\)"))
        page.evaluate("document.body.classList.remove('dark')")
    said = page.evaluate(f"window.said['{tool.id}-bar']")
    assert "Done in" in " ".join(said)
    assert not [words for words in said if WORDS_OF_THE_TRADE.search(words) or "Seed" in words]
    seen = page.evaluate(f"window.seen['{tool.id}-live']")
    assert not seen[-1].startswith("data:"), "what stays is the file itself"
    if tool.id == "business":  # and of both people, not the preview of the first one
        (told,) = re.findall(r"(\d+)\s×\s(\d+)\spx", line.inner_text())
        shown = page.locator("#business-live img").evaluate("node => [node.naturalWidth, node.naturalHeight]")
        assert shown == [int(side) for side in told]
    with page.expect_download() as caught:
        visit.press(f"#{tool.id}-save")
    data = Path(caught.value.path()).read_bytes()
    if caught.value.suggested_filename.endswith(".zip"):
        assert read_validation_state(data, C2PA_MIME_TYPES["zip"]) == "Valid"
        return
    with PIL.Image.open(io.BytesIO(data)) as picture:
        assert min(picture.size) >= SMALLEST_PICTURE_PX / 2
        kind = picture.get_format_mimetype()
    assert read_validation_state(data, kind or "") == "Valid"


@pytest.mark.parametrize("visit", [DESK_SIZE], ids=["desk"], indirect=True)
def test_a_page_that_is_opened_anew_finds_the_last_picture_of_every_tool(visit: ToolVisit, studio: ServedPage) -> None:
    for tool in TOOLS:
        if not find_newest_job(studio, tool):
            least = build_examples(tool, studio.service)["least"]["value"]
            wait_for_result(studio.service.jobs.submit_and_watch(studio.service.create_job(tool.id, least, "local")))
    visit.page.reload()
    for tool in TOOLS:
        show_tab(visit.page, tool.id)
        expect(visit.page.locator(f"#{tool.id}-save")).to_be_enabled()
        expect(find_progress_line(visit.page, tool.id)).to_contain_text("Done in")
