"""What strangers stumbled over on the page, line by line: one page at a desk and one on a phone are walked through."""

from __future__ import annotations

import io
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Locator, Page, Route, expect

from pipelines.jobs.queue import JobRow
from tests.browser.studio_page import (
    SETTLED_JS,
    ServedPage,
    delete_visitor_jobs,
    find_progress_line,
    open_browser_page,
    open_menu,
    show_tab,
)
from tests.browser.walks import draw_stroke
from tests.support.batch_rows import write_picture
from tests.support.examples import EXAMPLES
from tests.support.served_app import wait_until
from ui.tool_tab import progress_times, text

DESK_SIZES = ((1280, 800), (1366, 768), (1440, 900), (1536, 864), (1920, 1080))
WHITE, DARK_WELL = "rgb(255, 255, 255)", "rgb(43, 43, 41)"
WHOLE_WINDOW = {"x": 0, "y": 0, "width": 1280, "height": 800}
TAB_WITH_FOCUS_JS = "document.activeElement.id"
WHERE_A_FOLD_POINTS_JS = "node => new DOMMatrix(getComputedStyle(node).transform).transformPoint({ x: 0, y: 1 }).x"
"""How far to the right the end of its sign lies, which points down where it is not turned."""
MAX_TAB_PRESSES = 60
SUM_SHIFTS_JS = """(fromTheStart) => { window.shift = 0;
  const add = (row) => { if (!row.hadRecentInput) window.shift += row.value; };
  new PerformanceObserver((list) => list.getEntries().forEach(add))
    .observe({ type: "layout-shift", buffered: fromTheStart });
}"""
FIND_END_OF_BEFORE_JS = """(node) => { const probe = document.createElement("div");
  const right = getComputedStyle(node).clipPath.match(/^inset\\(0(?:px)? (.+) 0(?:px)? [^ ]+\\)$/)[1];
  Object.assign(probe.style, { position: "absolute", top: 0, left: 0, right });
  node.append(probe); const place = probe.getBoundingClientRect().right; probe.remove(); return place; }"""
"""How far to the right the photo is seen over the picture."""
WATCH_LINE_JS = """() => { window.said = []; const line = document.getElementById("slow-stage");
  new MutationObserver(() => said.push(line.textContent))
    .observe(line, { childList: true, subtree: true, characterData: true }); }"""
MAX_LAYOUT_SHIFT = 0.02
MAX_PHONE_LAYOUT_SHIFT = 0.03  # what moves behind the bars at the bottom counts too


@pytest.fixture(scope="module")
def desk(browser: Browser, studio: ServedPage) -> Iterator[Page]:
    with open_browser_page(browser, studio, width=1280, height=800) as page:
        page.goto(studio.url)
        page.locator(".dbx-cards").wait_for()
        page.evaluate(SUM_SHIFTS_JS, True)
        yield page


@pytest.fixture
def page(desk: Page, studio: ServedPage) -> Iterator[Page]:
    """The one page, as an open one is."""
    yield desk
    studio.gate.open.set()
    studio.gate.pause = 0.0
    wait_until(studio.is_idle, 60)
    desk.evaluate("scrollTo(0, 0)")


@dataclass
class Phone:
    """The one open page in a hand, and the tabs in which somebody has done something there."""

    page: Page
    studio: ServedPage
    used: set[str] = field(default_factory=set)

    def show(self, tool: str) -> None:
        """Bring a tool's tab to the front as a visitor finds it who has made nothing with it."""
        delete_visitor_jobs(self.studio, tool)
        if tool in self.used or self.page.url == "about:blank":
            self.used.clear()
            self.page.goto("about:blank")
            self.page.goto(f"{self.studio.url}/#{tool}")
        else:
            show_tab(self.page, tool)
        self.used.add(tool)
        self.page.locator(f"#{tool}-generate, #{tool}-start").wait_for()


@pytest.fixture(scope="module")
def phone(browser: Browser, studio: ServedPage) -> Iterator[Phone]:
    with open_browser_page(browser, studio, width=390, height=844, phone=True) as page:
        yield Phone(page, studio)


@pytest.fixture
def held_page(phone: Phone, studio: ServedPage) -> Iterator[Page]:
    """What is open on the phone."""
    yield phone.page
    studio.gate.open.set()
    wait_until(studio.is_idle, 60)
    phone.page.evaluate("scrollTo(0, 0)")


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two portraits that are none of ours, so that consent is asked for."""
    folder = tmp_path_factory.mktemp("portraits")
    paths = []
    for name in ("hopper", "astronaut"):
        with PIL.Image.open(EXAMPLES / f"{name}.jpg") as picture:
            picture.convert("RGB").transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT).save(folder / f"{name}.png")
        paths.append(folder / f"{name}.png")
    return paths


def draft_slow(page: Page, studio: ServedPage) -> None:
    """The tool whose steps wait, with a draft in it."""
    show_tab(page, "slow")
    page.locator("#slow-generate").wait_for()
    page.locator("#slow-example-coffee").click()
    expect(find_progress_line(page, "slow")).to_contain_text("Draft, small for speed")
    wait_until(studio.is_idle, 60)


def is_in_view(page: Page, target: Locator) -> bool:
    box, size = target.bounding_box(), page.viewport_size
    assert size is not None
    return box is not None and box["y"] >= 0 and box["y"] + box["height"] <= size["height"]


def test_nothing_jumps_while_the_first_page_is_built(page: Page) -> None:
    expect(page.locator("#home-example-hopper")).to_be_visible()
    page.wait_for_timeout(300)  # as long as a thumbnail takes to its size
    assert page.evaluate("window.shift") <= MAX_LAYOUT_SHIFT


def read_picture_tag(page: Page, tool: str, language: str = "en") -> str:
    """The word that lies on the tool's picture in a language; "none" where there is none."""
    return page.evaluate(
        """([picture, language]) => {
            document.documentElement.lang = language;
            const tag = getComputedStyle(document.querySelector(picture), "::after").content;
            document.documentElement.lang = "en";
            return tag.replaceAll('"', "");
        }""",
        [f"#{tool}-live", language],
    )


def test_from_click_to_download_all_is_seen_without_scrolling_and_the_focus_goes_along(
    page: Page, studio: ServedPage
) -> None:
    draft_slow(page, studio)
    assert (read_picture_tag(page, "slow"), read_picture_tag(page, "slow", "de")) == ("Draft", "Entwurf")
    for width, height in DESK_SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate("scrollTo(0, 0)")
        studio.gate.open.clear()
        page.locator("#slow-generate").focus()
        page.keyboard.press("Enter")
        stop = page.locator("#slow-stop")
        expect(stop).to_be_visible()
        expect(page.locator("#slow-generate")).to_be_hidden()  # Stop has its place
        expect(stop).to_be_focused()
        assert is_in_view(page, stop)
        assert is_in_view(page, find_progress_line(page, "slow"))
        studio.gate.open.set()
        expect(page.locator("#slow-save")).to_be_enabled()
        expect(page.locator("#slow-save")).to_be_focused()
        for part in ("slow-save", "slow-send", "slow-menu", "slow-stage", "slow-box", "slow-generate"):
            assert is_in_view(page, page.locator(f"#{part}")), (part, width)
        expect(stop).to_be_hidden()  # nothing runs
        assert read_picture_tag(page, "slow") == "none"  # finished
        assert page.evaluate("scrollY") == 0
        assert not re.search(r"Seed|carries", page.locator("#slow-stage .dbx-line").inner_text()), "of the details"
    with page.expect_download():
        page.keyboard.press("Enter")
    page.set_viewport_size({"width": 1280, "height": 800})
    studio.gate.open.clear()
    page.locator("#slow-generate").click()
    expect(page.locator("#slow-stop")).to_be_enabled()
    page.keyboard.press("Escape")
    expect(find_progress_line(page, "slow")).to_contain_text("Stopped. Nothing was written.")
    assert is_in_view(page, find_progress_line(page, "slow"))


def test_a_laptops_window_shows_the_controls_of_a_form_without_scrolling(page: Page, studio: ServedPage) -> None:
    for tool, last in (("headshot", "variations"), ("product", "seen_from"), ("background", "backdrop")):
        show_tab(page, tool)
        page.wait_for_function(  # until help is folded
            """([field, bar]) => document.querySelector(field).getBoundingClientRect().bottom
                <= document.querySelector(bar).getBoundingClientRect().top""",
            arg=[f"#{tool}-{last}", f"#{tool}-tool .dbx-go"],
        )
    assert page.evaluate("scrollY") == 0


def test_progress_stands_in_the_tabs_title_with_per_cent(page: Page, studio: ServedPage) -> None:
    draft_slow(page, studio)
    studio.gate.pause = 0.2
    page.locator("#slow-steps input[type=number]").fill("40")
    page.locator("#slow-generate").click()
    page.wait_for_function("/^\\(\\d+ %\\) Slow Motion · DesignerBox$/.test(document.title)")
    studio.gate.pause = 0.0
    expect(page.locator("#slow-save")).to_be_enabled()
    page.wait_for_function("document.title === 'Slow Motion · DesignerBox'")  # the next frame writes it


def test_a_job_at_another_pace_than_the_last_one_says_no_time(
    page: Page, studio: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "MIN_SHOWN_SECONDS", 0)
    monkeypatch.setattr(progress_times, "MIN_ELAPSED_SECONDS", 0.0)
    draft_slow(page, studio)
    page.locator("#slow-steps input[type=number]").fill("6")
    page.locator("#slow-generate").click()
    expect(page.locator("#slow-save")).to_be_enabled()
    wait_until(studio.is_idle, 60)
    studio.gate.pause = 0.2
    page.evaluate(WATCH_LINE_JS)
    page.locator("#slow-generate").click()
    page.wait_for_function("said.some((line) => /Brightening · [1-9]\\d* %/.test(line))")  # by the last job's times
    assert not page.evaluate("said.some((line) => line.includes(' left'))")
    monkeypatch.setattr(progress_times, "MAX_PACE_RATIO", 1e9)
    page.wait_for_function("said.some((line) => / · about \\d+ s left/.test(line))")  # the same line would say it
    page.keyboard.press("Escape")
    expect(find_progress_line(page, "slow")).to_contain_text("Stopped")


def test_back_and_forward_go_between_tabs_and_keys_reach_every_tool(page: Page, studio: ServedPage) -> None:
    show_tab(page, "home")
    page.locator(".dbx-nav summary", has_text="Create").click()
    page.locator(".dbx-nav a", has_text="Fashion Photos").click()
    page.locator("#tab-fashion h1").wait_for()
    expect(page.locator("#tab-fashion h1")).to_have_text("Fashion Photos")
    page.locator(".dbx-nav a", has_text="Library").click()
    page.locator("#tab-library h1").wait_for()
    page.go_back()
    expect(page.locator("#tab-fashion h1")).to_be_visible()
    page.go_back()
    expect(page.locator(".dbx-cards")).to_be_visible()
    page.go_forward()
    expect(page.locator("#tab-fashion h1")).to_be_visible()
    assert page.url == f"{studio.url}/#fashion"
    assert page.locator(".dbx-nav").locator("a:visible, summary:visible").count() <= 6, (
        "the way past them by Tab is short"
    )
    home = page.locator(".dbx-nav > ul > li > a").first
    home.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".dbx-nav a", has_text="Professional Headshots")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#headshot-generate")).to_be_visible()
    expect(page.locator('.dbx-nav a[aria-current="page"]')).to_have_text("Professional Headshots")
    page.locator(".dbx-skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate(TAB_WITH_FOCUS_JS) == "tab-headshot"
    page.keyboard.press("?")
    expect(page.locator("#dbx-keys")).to_be_visible()
    expect(page.locator("#dbx-keys")).to_contain_text("Ctrl+Enter")
    page.keyboard.press("Escape")
    expect(page.locator("#dbx-keys")).to_be_hidden()


def test_consent_goes_with_the_photo_and_a_headshot_is_made_without_a_mouse(
    page: Page, studio: ServedPage, portraits: list[Path]
) -> None:
    delete_visitor_jobs(studio)
    show_tab(page, "headshot")
    photo, consent = page.locator("#headshot-photo"), page.locator("#headshot-consent input")
    photo.locator("input[type=file]").set_input_files(portraits[0])
    expect(page.locator("#headshot-consent [role=alert]")).to_contain_text("permission")
    consent.focus()
    page.keyboard.press("Space")
    expect(find_progress_line(page, "headshot")).to_contain_text("Draft, small for speed")
    show_tab(page, "kit")
    expect(page.locator("#kit-consent input")).not_to_be_checked()  # a tick is for one photo
    show_tab(page, "headshot")
    photo.get_by_label("Remove Image").click()
    expect(consent).not_to_be_checked()
    photo.locator("input[type=file]").set_input_files(portraits[1])
    expect(page.locator("#headshot-consent [role=alert]")).to_contain_text("permission")
    expect(page.locator("#headshot-live img")).to_have_count(0)  # nobody else's picture stands there
    consent.focus()
    page.keyboard.press("Space")
    expect(find_progress_line(page, "headshot")).to_contain_text("Draft, small for speed")
    page.locator("#headshot-generate").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#headshot-save")).to_be_focused()
    page.evaluate("scrollTo(0, 0)")
    assert all(is_in_view(page, page.locator(f"#headshot-{part}")) for part in ("box", "stage", "save"))
    with page.expect_download():
        page.keyboard.press("Enter")


def press_tab_until(page: Page, reached: Locator) -> None:
    """Tab, as often as it takes until the element has the focus."""
    for _ in range(MAX_TAB_PRESSES):
        if reached.evaluate("node => node.contains(document.activeElement)"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{MAX_TAB_PRESSES} presses of Tab do not lead to {reached}")


def test_keys_alone_lead_from_home_to_a_downloaded_headshot(
    page: Page, studio: ServedPage, portraits: list[Path]
) -> None:
    delete_visitor_jobs(studio)
    show_tab(page, "home")
    upload = page.locator("#home-photo button").first
    with page.expect_file_chooser(timeout=120_000) as chooser:  # told early: Chromium takes a moment to listen
        page.reload()
        upload.wait_for()
        page.keyboard.press("Tab")
        expect(page.locator(".dbx-skip")).to_be_focused()
        page.keyboard.press("Enter")
        press_tab_until(page, upload)
        page.keyboard.press("Enter")
    chooser.value.set_files(portraits[0])
    expect(page.locator("#home-consent")).to_contain_text("Is somebody in the photo?")
    press_tab_until(page, page.locator("#home-consent"))
    page.keyboard.press("Space")
    expect(page.locator("#home-open-1")).to_be_enabled()
    press_tab_until(page, page.locator("#home-open-1"))
    page.keyboard.press("Enter")
    expect(find_progress_line(page, "headshot")).to_contain_text("Draft, small for speed")
    press_tab_until(page, page.locator("#headshot-generate"))
    page.keyboard.press("Enter")
    expect(page.locator("#headshot-save")).to_be_focused()
    with page.expect_download() as caught:
        page.keyboard.press("Enter")
    assert caught.value.suggested_filename.startswith("hopper_headshot")


def test_the_line_is_dragged_on_the_picture_and_before_is_left_of_it(page: Page, studio: ServedPage) -> None:
    box, line = page.locator("#headshot-box"), page.locator("#headshot-before .dbx-wipe")
    expect(line).to_be_visible()
    place = box.bounding_box()
    start = line.bounding_box()
    assert place is not None
    assert start is not None
    page.mouse.move(start["x"] + 22, start["y"] + start["height"] / 2)
    page.mouse.down()
    page.mouse.move(place["x"] + 0.6 * place["width"], place["y"] + 40, steps=4)
    page.mouse.up()
    share = float(box.evaluate("node => parseFloat(node.style.getPropertyValue('--cut'))"))
    assert 60 <= share < 75  # of the picture, which may be narrower than its box
    picture = page.locator("#headshot-box .dbx-live img").evaluate(
        """(image) => { const seen = image.getBoundingClientRect();
          const width = Math.min(seen.width, seen.height * image.naturalWidth / image.naturalHeight);
          return { left: seen.x + (seen.width - width) / 2, width }; }"""
    )
    seen = line.bounding_box()
    assert seen is not None
    assert abs(seen["x"] + 22 - picture["left"] - share / 100 * picture["width"]) < 2, "on the picture, not beside it"
    shown_until = page.locator("#headshot-before .dbx-before").evaluate(FIND_END_OF_BEFORE_JS)
    assert abs(shown_until - seen["x"] - 22) < 2, "the photo is seen left of the line"
    names = page.locator("#headshot-before .dbx-side-of")
    assert names.all_inner_texts() == ["Before", "After"]
    sides = [name.bounding_box() for name in names.all()]
    assert all(sides)
    assert [side["x"] < seen["x"] for side in sides if side] == [True, False]
    line.locator("input").focus()
    page.keyboard.press("Home")
    assert box.evaluate("node => node.style.getPropertyValue('--cut')") == "0"
    assert box.get_attribute("data-told") is None  # the subject has not been moved
    page.evaluate("document.body.classList.add('dark')")
    handle = line.evaluate("node => getComputedStyle(node, '::after').backgroundColor")
    assert (handle, box.evaluate("node => getComputedStyle(node).backgroundColor")) == (WHITE, DARK_WELL)
    page.evaluate("document.body.classList.remove('dark')")


def test_a_slider_moved_by_keys_drafts(page: Page, studio: ServedPage) -> None:
    draft_slow(page, studio)
    before = len(studio.service.jobs.list_jobs("local", 99, tool="slow"))
    entered = studio.gate.entered
    page.locator("#slow-steps input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    wait_until(lambda: studio.gate.entered > entered, 60)
    assert len(studio.service.jobs.list_jobs("local", 99, tool="slow")) == before  # a draft is in no list


def test_an_examples_own_file_leaves_its_thumbnail(page: Page, studio: ServedPage) -> None:
    show_tab(page, "cutout")
    page.locator("#cutout-photo input[type=file]").first.set_input_files(EXAMPLES / "coffee.jpg")
    expect(find_progress_line(page, "cutout")).to_contain_text("Draft, small for speed")
    ground = page.locator("#cutout-live img")  # what is transparent is seen to be so in the draft already
    expect(ground).to_have_css("background-image", re.compile("^repeating-conic-gradient"))
    image = page.locator("#cutout-example-coffee").evaluate(
        "node => getComputedStyle(node, '::before').backgroundImage"
    )
    address = re.findall(r'url\("([^"]+)"\)', image)[0]
    assert page.request.get(address).status == 200


def test_what_is_no_picture_is_said_at_its_field_and_one_word_takes_the_place_of_another(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    show_tab(page, "upscale")
    page.locator("#upscale-example-chelsea").click()
    expect(page.locator("#upscale-live img")).to_be_visible()
    field, broken = page.locator("#upscale-photo"), tmp_path / "broken.png"
    broken.write_bytes((EXAMPLES / "coffee.jpg").read_bytes()[:900])
    wait_until(studio.is_idle, 60)
    page.locator("#upscale-generate").click()
    expect(page.locator("#upscale-before .dbx-wipe")).to_be_visible()
    with page.expect_file_chooser() as chooser:
        field.locator("img").click()
    chooser.value.set_files(broken)
    expect(field.locator("[role=alert]")).to_contain_text("damaged")
    expect(page.locator("#upscale-live img, #upscale-before .dbx-wipe")).to_have_count(0)  # nothing of the photo before
    page.locator("#upscale-example-chelsea").click()
    expect(page.locator("#upscale-live img")).to_be_visible()
    field.get_by_label("Remove Image").click()
    (tmp_path / "doc.pdf").write_bytes(b"%PDF-1.4")
    field.locator("input[type=file]").set_input_files(tmp_path / "doc.pdf")
    expect(field.locator("[role=alert]")).to_contain_text("This file is no picture")
    expect(page.locator(".toast-body")).to_have_count(0)  # in no corner as well
    (tmp_path / "empty.png").write_bytes(b"")
    field.locator("input[type=file]").set_input_files(tmp_path / "empty.png")
    expect(field.locator("[role=alert]")).to_contain_text("empty")
    expect(page.locator("#upscale-live img")).to_have_count(0)  # a refused file leaves no picture of another one
    field.locator("input[type=file]").set_input_files(broken)
    expect(field.locator("[role=alert]")).not_to_contain_text("empty")
    expect(field.locator("[role=alert]")).to_have_count(1)


def test_a_headline_is_counted_refused_where_it_is_too_long_and_eight_pictures_have_names(
    page: Page, studio: ServedPage
) -> None:
    show_tab(page, "kit")
    page.locator("#kit-example-coffee").click()
    expect(find_progress_line(page, "kit")).to_contain_text("Draft, small for speed")
    headline = page.locator("#kit-headline textarea")
    headline.fill("x" * 121)
    expect(page.locator("#kit-headline")).to_have_attribute("data-used", "121 / 120")
    headline.blur()
    expect(page.locator("#kit-headline [role=alert]")).to_contain_text("at most 120 characters")
    headline.fill("a \U00010330")
    headline.blur()
    expect(page.locator("#kit-headline [role=alert]")).to_contain_text("no font here can draw: \U00010330")
    headline.fill("Good morning 🌞 مرحبا")
    headline.blur()
    expect(find_progress_line(page, "kit")).to_contain_text("Draft, small for speed")
    expect(page.locator("#kit-headline [role=alert]")).to_have_count(0)
    drawn: set[str] = set()
    for words in ("🌞 مرحبا", "🍊 مرحبا", "🍊 سلامت"):  # a box would stand for each sign, and the three be the same
        headline.fill(words)
        headline.blur()
        wait_until(lambda: studio.is_idle() and page.locator("#kit-live img").get_attribute("src") not in drawn, 60)
        drawn.add(page.locator("#kit-live img").get_attribute("src") or "")
    page.locator("#kit-preset label", has_text="All 8 pictures").click()
    wait_until(studio.is_idle, 60)
    page.locator("#kit-generate").click()
    expect(page.locator("#kit-save-all")).to_have_text("All 8 (ZIP)")
    said = page.locator("#kit-stage .dbx-line p")
    assert said.evaluate("node => node.scrollHeight <= node.clientHeight"), "size and format are not cut off"
    page.locator("#kit-stage summary").click()
    panel, link = (page.locator(f"#kit-stage {part}").bounding_box() for part in (".dbx-details > div", "summary"))
    assert panel is not None
    assert link is not None
    assert panel["width"] >= 400, "wide enough to read, however little the buttons leave"
    assert panel["y"] >= link["y"] + link["height"], "the link stays free"
    page.locator("#kit-stage .dbx-close").click()
    names = page.locator("#kit-variation label")
    expect(names.first).to_have_text("Instagram post")
    expect(names.nth(1)).to_have_text("Instagram story")
    shape = names.nth(1).evaluate("node => getComputedStyle(node, '::before').aspectRatio")
    assert shape == "1080 / 1920"
    with page.expect_download() as caught:
        page.locator("#kit-save-all").click()
    with zipfile.ZipFile(caught.value.path()) as archive:
        assert len([name for name in archive.namelist() if name.endswith(".png")]) == 8
    for number, name, size in ((1, "story", "1080 × 1920"), (0, "post", "1080 × 1350")):  # the one that is looked at
        names.nth(number).click()
        expect(find_progress_line(page, "kit")).to_contain_text(size)
        expect(page.locator("#kit-save")).to_have_text("Download")
        with page.expect_download() as caught:
            page.locator("#kit-save").click()
        assert caught.value.suggested_filename.endswith(f"-{name}.png")
        expect(page.locator("#kit-save-all")).to_have_text("All 8 (ZIP)")
        expect(page.locator("#kit-save-all")).to_be_enabled()
    page.locator("#kit-headline textarea").fill("Good evening")
    page.locator("#kit-headline textarea").blur()
    expect(page.locator("#kit-save-all")).to_be_disabled()
    wait_until(studio.is_idle, 60)


def test_the_tile_that_is_chosen_last_wins_over_platforms_in_words(page: Page, studio: ServedPage) -> None:
    show_tab(page, "kit")
    page.locator("#kit-example-coffee").click()
    expect(find_progress_line(page, "kit")).to_contain_text("Draft, small for speed")
    page.locator("#kit-more > button").click()
    words, tiles = page.locator("#kit-formats textarea"), page.locator("#kit-preset input")
    page.evaluate(SETTLED_JS)
    words.fill("X, LinkedIn")
    words.blur()
    expect(page.locator("#kit-preset input:checked")).to_have_count(0)
    wait_until(studio.is_idle, 60)
    page.locator("#kit-generate").click()
    expect(page.locator("#kit-save-all")).to_have_text("All 2 (ZIP)")

    page.reload()  # the last result comes back with its words, under a closed fold
    expect(find_progress_line(page, "kit")).to_contain_text("Last result")
    expect(page.locator("#kit-preset input:checked")).to_have_count(0)
    page.locator("#kit-preset input[value=story]").check()
    expect(find_progress_line(page, "kit")).to_contain_text("Draft, small for speed")
    wait_until(studio.is_idle, 60)
    page.locator("#kit-generate").click()
    expect(find_progress_line(page, "kit")).to_contain_text("1080 × 1920 px")
    expect(page.locator("#kit-save-all")).to_be_hidden()
    (row,) = studio.service.jobs.list_jobs("local", 1, tool="kit")
    assert (row.job.params["preset"], row.job.params["formats"]) == ("story", "")
    page.locator("#kit-more > button").click()
    expect(words).to_have_value("")
    words.focus()
    words.blur()
    page.wait_for_timeout(500)
    expect(tiles.and_(page.locator(":checked"))).to_have_value("story")  # left empty, the words change nothing


def test_the_last_result_is_called_so_and_new_begins_anew(page: Page, studio: ServedPage) -> None:
    page.reload()
    show_tab(page, "headshot")
    expect(find_progress_line(page, "headshot")).to_contain_text("Last result · Done in")
    expect(page.locator("#headshot-consent input")).not_to_be_checked()  # nobody has ticked it on this page
    page.locator("#headshot-new").click()
    expect(page.locator("#headshot-live img")).to_have_count(0)
    expect(page.locator("#headshot-photo img")).to_have_count(0)
    expect(page.locator("#headshot-consent input")).not_to_be_checked()
    expect(find_progress_line(page, "headshot")).to_contain_text("Add a photo to begin.")
    expect(page.locator("#headshot-save")).to_be_disabled()


def test_download_all_hands_over_the_batch_that_is_shown(page: Page, studio: ServedPage, tmp_path: Path) -> None:
    show_tab(page, "batch")
    page.locator("#batch-which input").click()
    page.get_by_role("option", name="Slow Motion").click()
    for names in (("first",), ("second", "third")):
        files = [write_picture(tmp_path / f"{name}.png", 90) for name in names]
        page.locator("#batch-files input[type=file]").first.set_input_files(files)
        expect(find_progress_line(page, "batch")).to_contain_text("Start makes the pictures")
        studio.gate.open.clear()
        page.locator("#batch-start").click()
        expect(find_progress_line(page, "batch")).to_contain_text(f"0 of {len(names)}")
        expect(page.locator("#batch-save")).to_be_disabled()  # nothing of the batch before is handed over
        studio.gate.open.set()
        expect(find_progress_line(page, "batch")).to_contain_text(f"Done: {len(names)} of {len(names)}")
        expect(page.locator("#batch-save")).to_be_enabled()
        with page.expect_download() as caught:
            page.locator("#batch-save").click()
        with zipfile.ZipFile(caught.value.path()) as archive:
            held = " ".join(archive.namelist())
        assert all(name in held for name in names)
        assert len(names) == 1 or "first" not in held


def test_the_mask_is_painted_where_the_picture_stands_and_nothing_is_promised_without_one(
    page: Page, studio: ServedPage
) -> None:
    show_tab(page, "retouch")
    expect(page.locator("#retouch-mask")).to_contain_text("Nothing is painted yet.")
    page.locator("#retouch-example-coffee").click()
    canvas = page.locator("#retouch-editor canvas").first
    canvas.wait_for()
    expect(page.locator("#retouch-box")).to_be_hidden()
    wait_until(lambda: is_in_view(page, page.locator("#retouch-brush-use")), 30)
    box = canvas.bounding_box()
    assert box is not None
    assert box["width"] > 500
    assert is_in_view(page, canvas)
    expect(find_progress_line(page, "retouch")).to_contain_text("Photo loaded.")
    expect(page.locator("#retouch-editor .dbx-brush-head p")).to_have_text(text.PAINT_HINT)
    expect(page.locator("#tab-retouch").get_by_text("Then Preview.")).to_have_count(1)  # one instruction
    expect(page.locator("#tab-retouch [role=alert]")).to_have_count(0)  # nobody did anything wrong
    page.locator("#retouch-brush-use").click()
    expect(page.locator("#tab-retouch").get_by_role("alert")).to_contain_text("Press on what should go")
    expect(canvas).to_be_visible()
    assert studio.is_idle(), "no draft without a mark"
    assert not studio.service.jobs.list_jobs("local", 1, tool="retouch")
    buttons = page.locator("#retouch-brush-use, #retouch-brush-drop").all_inner_texts()
    assert buttons == ["Preview", "Start over"]
    page.locator("#retouch-photo").get_by_label("Remove Image").click()
    expect(page.locator("#retouch-editor")).to_be_hidden()


def test_generate_takes_the_paint_that_nobody_applied(page: Page, studio: ServedPage) -> None:
    def list_finished() -> list[JobRow]:
        return [row for row in studio.service.jobs.list_jobs("local", 3, tool="retouch") if row.status == "done"]

    def paint_and_generate(down: float, start: Callable[[], None]) -> NDArray[np.bool_]:
        before = len(list_finished())
        canvas = page.locator("#retouch-editor canvas").first
        canvas.wait_for()
        wait_until(lambda: is_in_view(page, page.locator("#retouch-brush-use")), 30)
        draw_stroke(page, canvas, ((0.4, down), (0.5, down)))
        start()
        wait_until(lambda: len(list_finished()) > before, 60)
        expect(page.locator("#retouch-editor")).to_be_hidden()
        expect(find_progress_line(page, "retouch")).to_contain_text("Done in")
        return studio.service.files.open_image(list_finished()[0].job.params["mask"])[..., 0] > 127

    show_tab(page, "retouch")
    page.locator("#retouch-example-coffee").click()
    page.locator("#retouch-editor canvas").first.wait_for()
    page.locator("#retouch-generate").click()
    expect(page.locator("#tab-retouch").get_by_role("alert")).to_contain_text("Press on what should go")
    assert not studio.service.jobs.list_jobs("local", 1, tool="retouch"), "nothing has failed in the Library"
    first = paint_and_generate(0.4, lambda: page.keyboard.press("Control+Enter"))
    assert first.any()
    expect(page.locator("#retouch-box [data-do=start]")).to_have_count(0)  # no cut-out to repair
    page.locator("#retouch-brush").click()
    second = paint_and_generate(0.6, lambda: page.locator("#retouch-generate").click())
    assert second[first].all(), "the old paint"
    assert second.sum() > 1.5 * first.sum(), "and the new"
    cancel, apply = page.locator("#retouch-brush-cancel"), page.locator("#retouch-brush-use")
    page.locator("#retouch-brush").click()
    cancel.click()
    expect(apply).to_be_hidden()
    expect(page.locator("#retouch-save")).to_be_enabled()  # nothing was taken away
    page.locator("#retouch-brush").click()
    page.locator("#retouch-brush-drop").click()
    expect(cancel).to_be_hidden()
    expect(apply).to_be_visible()  # the next mask is painted
    delete_visitor_jobs(studio)  # another page would show the last one again


def test_small_things_of_the_other_tabs(page: Page, studio: ServedPage) -> None:
    show_tab(page, "settings")
    expect(page.locator("#settings-unload")).to_be_disabled()
    expect(page.locator("#settings-stop")).to_be_disabled()
    expect(page.locator("#settings-profile input:checked")).to_have_count(0)
    show_tab(page, "api")
    key, code = page.locator("#api-name").bounding_box(), page.locator("#api-curl").bounding_box()
    assert key is not None
    assert code is not None
    assert key["y"] < code["y"]
    expect(page.locator(".dbx-languages [role=tab]").first).to_be_visible()
    expect(page.locator(".dbx-languages .cm-editor:visible")).to_have_count(1)  # not all samples below each other
    show_tab(page, "verify")
    page.locator("#verify-picture input[type=file]").set_input_files(EXAMPLES / "coffee.jpg")
    expect(page.locator("#verify-answer")).to_contain_text("content credentials")
    expect(page.locator("#verify-picture img")).to_be_visible()
    sizes = page.locator("#verify-answer *").evaluate_all("rows => rows.map((row) => getComputedStyle(row).fontSize)")
    assert max(float(size.removesuffix("px")) for size in sizes) <= 18, "a sentence, no title"
    show_tab(page, "batch")
    for tool, words in (("Product Photos", "If people are in them"), ("Professional Headshots", "I have these people")):
        page.locator("#batch-which input").click()
        page.get_by_role("option", name=tool).click()
        expect(page.locator("#batch-consent")).to_contain_text(words)
    show_tab(page, "kept")
    with PIL.Image.open(io.BytesIO(page.locator("#tab-kept input[type=color].none").first.screenshot())) as swatch:
        middle = np.asarray(swatch.convert("L"))[swatch.height // 2 - 8 :, swatch.width // 2 - 8 :][:16, :16]
        assert middle.mean() > 128, "no colour is not black"
    for name in ("Delete this kit", "Delete this character", "Delete this look", "Open in its tool"):
        expect(page.get_by_role("button", name=name)).to_be_disabled()  # nothing is chosen yet


def test_what_acts_on_a_picture_comes_with_it_and_full_screen_has_a_zoom(page: Page, studio: ServedPage) -> None:
    show_tab(page, "expand")
    page.locator("#expand-generate").wait_for()
    expect(page.locator("#expand-bar .dbx-actions")).to_be_hidden()
    expect(page.locator("#expand-bar :is(button, input):visible")).to_have_count(0)
    draft_slow(page, studio)
    expect(page.locator("#slow-bar :is(button, input):visible:disabled")).to_have_count(0)  # nothing dead beside it
    expect(page.locator("#slow-bar .dbx-actions")).to_be_visible()
    live = page.locator("#slow-live")
    button = live.locator(".icon-button-wrapper button").last
    size = button.bounding_box()
    assert size is not None
    assert min(size["width"], size["height"]) >= 44
    box = page.locator("#slow-box").bounding_box()
    assert box is not None
    assert size["x"] + size["width"] <= box["x"] + box["width"] - 8, "not in the corner that is rounded"
    button.click()
    wait_until(lambda: live.bounding_box() == WHOLE_WINDOW, 30)
    close = live.locator(".icon-button-wrapper button:visible").last.bounding_box()
    assert close is not None
    assert min(close["width"], close["height"]) >= 44
    image = live.locator("img")
    image.dblclick(position={"x": 900, "y": 400})
    assert (image.bounding_box() or {"width": 0})["width"] > 2000
    page.keyboard.press("Escape")
    expect(page.locator(".near, .fullscreen")).to_have_count(0)


def test_a_picture_that_does_not_come_while_the_line_is_down_is_fetched_again(page: Page, studio: ServedPage) -> None:
    draft_slow(page, studio)
    page.locator("#slow-generate").click()
    expect(page.locator("#slow-save")).to_be_enabled()
    image = page.locator("#slow-live img")
    page.route("**/*?again", lambda route: route.abort())  # for this picture alone: Gradio's own stream stays
    page.evaluate("Object.defineProperty(navigator, 'onLine', { get: () => false, configurable: true })")
    image.evaluate("node => { node.src = `${node.src}?again`; }")
    expect(image).to_have_css("visibility", "hidden")
    page.unroute("**/*?again")
    page.evaluate("delete navigator.onLine; dispatchEvent(new Event('online'))")
    expect(image).to_have_css("visibility", "visible")
    page.wait_for_function("node => node.naturalWidth > 0", arg=image.element_handle())


def test_marks_of_the_look_that_strangers_missed(page: Page, studio: ServedPage) -> None:
    def lefts() -> list[float]:
        return page.eval_on_selector_all(".dbx-nav > ul > li", "rows => rows.map((row) => row.offsetLeft)")

    places = []
    for tab in ("home", "library"):
        show_tab(page, tab)
        expect(page.locator(f'.dbx-nav a[href="#{tab}"]')).to_have_attribute("aria-current", "page")
        places.append(lefts())
    assert places[0] == places[1], "the open tab moves no other"
    show_tab(page, "album")
    page.locator("#album-example-coffee").click()
    expect(page.locator("#album-photos img").first).to_have_css("object-position", "50% 0px")  # heads stay in the tile
    show_tab(page, "background")
    words = page.locator("#background-prompt textarea")
    words.focus()
    expect(words).to_have_css("outline-offset", "-3px")  # nothing around it cuts the ring off
    expect(words).to_have_css("outline-width", "3px")
    folds = page.locator("#background-tool .dbx-more > button span:first-child").all_inner_texts()
    assert folds[-3:] == ["Code for the API", "Link", "How it was made"]
    assert page.locator("#background-code > button .icon").evaluate(WHERE_A_FOLD_POINTS_JS) > 0.9, "to the right"
    box, fold = (page.locator(f"#background-{part}").bounding_box() for part in ("box", "code"))
    assert box is not None
    assert fold is not None
    assert 0 <= fold["y"] - box["y"] - box["height"] < 60, "no hole under the picture"
    backdrop, photo = (page.locator(f"#background-{part}").bounding_box() for part in ("backdrop", "photo"))
    assert backdrop is not None
    assert photo is not None
    assert backdrop["height"] < 0.7 * photo["height"], "no second place for the photo"
    expect(page.locator("#background-backdrop")).to_contain_text("Drop a picture")
    name, tiles = (page.locator(f"#background-preset {part}").first for part in (".dbx-help", "label:has(input)"))
    sign, tile = name.bounding_box(), tiles.bounding_box()
    assert sign is not None
    assert tile is not None
    assert tile["y"] - sign["y"] - sign["height"] >= 4, "the sign of help does not lie on the tiles"
    show_tab(page, "upscale")
    page.evaluate("document.body.classList.add('dark')")
    accent = "rgb(124, 199, 189)"
    expect(page.locator(".dbx-nav summary[aria-current]")).to_have_css("color", accent)
    expect(page.locator(".dbx-nav summary[aria-current]")).to_have_css("box-shadow", re.compile(re.escape(accent)))
    well = page.locator("#upscale-box").evaluate("node => getComputedStyle(node).backgroundColor")
    assert well != page.evaluate("getComputedStyle(document.body).backgroundColor")
    tick = page.locator(".dbx-ticks li").first.evaluate("node => getComputedStyle(node, '::before').borderBottomColor")
    assert tick == accent
    page.evaluate("document.body.classList.remove('dark')")
    show_tab(page, "product")
    size, words = page.locator("#product-size"), page.locator("#product-size .info-text")
    expect(words).to_be_hidden()  # until it is asked for
    size.locator(".dbx-help").click()
    assert (words.bounding_box() or {"height": 99})["height"] < 60, "three lines at most"
    size.locator(".dbx-help").click()


def test_home_asks_before_it_suggests_and_its_examples_are_clicked(
    page: Page, studio: ServedPage, portraits: list[Path]
) -> None:
    show_tab(page, "home")
    assert is_in_view(page, page.locator("#home-example-coffee"))
    expect(page.locator(".dbx-pairs img")).to_have_count(8)
    page.locator("#home-example-coffee").click()
    expect(find_progress_line(page, "home")).to_contain_text("Nobody in it.")
    expect(page.locator("#home-open-3")).to_be_enabled()
    page.locator("#home-photo").get_by_label("Remove Image").click()
    page.locator("#home-photo input[type=file]").set_input_files(portraits[0])
    expect(page.locator("#home-consent")).to_contain_text("Is somebody in the photo?")
    expect(page.locator("#home-drafts")).to_be_hidden()
    is_there = "async () => (await fetch(document.querySelector('#home-photo img').src)).ok"
    wait_until(lambda: page.evaluate(is_there), 30)
    banner = page.locator(".dbx-banner").bounding_box()
    cards = page.locator(".dbx-cards").bounding_box()
    assert banner is not None
    assert cards is not None
    assert banner["y"] > cards["y"]
    expect(page.locator(".dbx-can[open]")).to_have_count(0)


def test_a_photo_of_somebody_who_is_to_go_opens_the_eraser(
    page: Page, studio: ServedPage, portraits: list[Path]
) -> None:
    show_tab(page, "home")
    page.reload()
    page.locator("#home-photo input[type=file]").set_input_files(portraits[0])
    page.locator("#home-consent label", has_text="Somebody I want to take out").click()
    expect(page).to_have_url(re.compile("#retouch$"))
    expect(page.locator("#retouch-tool").get_by_role("img", name="Your photo", exact=True).first).to_be_visible()
    expect(page.locator("#retouch-tool").get_by_role("checkbox").first).not_to_be_checked()


def test_a_phone_has_a_bar_with_groups_progress_and_a_thumbnail_that_leads_to_the_picture(
    held_page: Page, phone: Phone, studio: ServedPage
) -> None:
    page = held_page
    phone.show("slow")
    upload = page.locator("#slow-photo").bounding_box()
    assert upload is not None
    assert upload["y"] + upload["height"] < 500, "the place for the photo comes first"
    page.locator("#slow-example-coffee").tap()
    expect(find_progress_line(page, "slow")).to_contain_text("Draft, small for speed")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    studio.gate.open.clear()
    page.locator("#slow-generate").tap()
    expect(page.locator("#slow-stop")).to_be_visible()
    bar, thumb = page.locator("#slow-tool .dbx-go"), page.locator("#slow-tool .dbx-thumb")
    expect(bar).to_have_class(re.compile("busy"))
    progress = bar.evaluate(
        "node => (({ height, width }) => [height, parseFloat(width)])(getComputedStyle(node, '::after'))"
    )
    assert progress[0] == "4px"
    assert progress[1] > 0
    studio.gate.open.set()
    expect(page.locator("#slow-save")).to_be_enabled()
    assert is_in_view(page, bar)
    assert is_in_view(page, thumb)
    assert (thumb.bounding_box() or {"height": 0})["height"] >= 56
    expect(page.locator("#slow-send .icon-wrap")).to_be_visible()  # what opens a list has an arrow
    for action in page.locator("#slow-bar .dbx-actions > *:visible").all():
        place = action.bounding_box()
        assert place is not None
        assert 0 <= place["x"] <= place["x"] + place["width"] <= 390, "no action is out of sight"
        assert place["width"] >= 44
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert not is_in_view(page, page.locator("#slow-save"))
    thumb.tap()
    wait_until(lambda: is_in_view(page, page.locator("#slow-save")), 30)
    line, before = page.locator("#slow-before input"), page.locator("#slow-before .dbx-before")
    assert page.locator("#slow-before .dbx-side-of").all_inner_texts() == ["Before", "After"]
    ends = []
    for share in ("0", "100"):
        line.fill(share)
        ends.append(before.evaluate(FIND_END_OF_BEFORE_JS))
    assert ends[1] - ends[0] > 300, "with the line at the right end all of the photo is seen"
    page.locator(".dbx-nav summary", has_text="Edit").tap()
    expect(page.locator(".dbx-nav a", has_text="Retouch")).to_be_visible()
    page.locator(".dbx-nav a", has_text="Cut-out").tap()
    expect(page.locator("#tab-cutout h1")).to_be_visible()
    open_menu(page, "cutout") if page.locator("#cutout-menu").is_visible() else None
    page.evaluate("location.hash = 'retouch'")
    page.locator("#retouch-example-coffee").tap()
    canvas = page.locator("#retouch-editor canvas").first
    wait_until(lambda: is_in_view(page, canvas), 30)
    tools = page.locator("#retouch-editor .dbx-brush-bar").bounding_box()
    place, bar = canvas.bounding_box(), page.locator("#retouch-generate").bounding_box()
    assert tools is not None
    assert place is not None
    assert bar is not None
    assert tools["x"] >= place["x"]
    assert place["y"] + place["height"] <= bar["y"], "Generate covers nothing of it"
    assert tools["height"] >= 44
    assert tools["x"] + tools["width"] <= 390
    hint = page.locator("#retouch-editor .dbx-brush-head").bounding_box()
    assert hint is not None
    assert hint["y"] + hint["height"] <= tools["y"], "the words do not lie under the brushes"
    page.locator("#retouch-generate").tap()
    expect(page.locator("#tab-retouch").get_by_role("alert")).to_contain_text("Press on what should go")
    expect(page.locator("#retouch-box")).to_be_hidden()
    assert not studio.service.jobs.list_jobs("local", 1, tool="retouch"), "nothing is erased that nobody marked"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def find_places(page: Page, tool: str) -> dict[str, float]:
    """How far below the top of the page the parts of a tool begin."""
    return page.evaluate(
        "(parts) => Object.fromEntries(parts.map((part) => [part, Math.round("
        "document.getElementById(part).getBoundingClientRect().top + scrollY)]))",
        [f"{tool}-{part}" for part in ("box", "photo", "consent")],
    )


def test_on_a_phone_new_puts_the_photo_before_the_empty_box_again(
    held_page: Page, phone: Phone, studio: ServedPage
) -> None:
    page = held_page
    phone.show("upscale")
    page.locator("#upscale-example-chelsea").click()
    expect(find_progress_line(page, "upscale")).to_contain_text("Draft, small for speed")
    wait_until(studio.is_idle, 60)
    page.locator("#upscale-generate").click()
    expect(find_progress_line(page, "upscale")).to_contain_text("Done in")

    def is_photo_first() -> bool:
        photo, box = (page.locator(f"#upscale-{name}").bounding_box() for name in ("photo", "box"))
        return photo is not None and box is not None and photo["y"] < box["y"]

    assert not is_photo_first()
    page.locator("#upscale-new").click()
    expect(page.locator("#upscale-photo img")).to_have_count(0)
    wait_until(is_photo_first, 10)
    delete_visitor_jobs(studio, "upscale")


def test_on_a_phone_nothing_moves_when_another_photo_is_chosen_and_a_refusal_is_in_view(
    held_page: Page, phone: Phone, studio: ServedPage, portraits: list[Path]
) -> None:
    page = held_page
    phone.show("headshot")
    photo = page.locator("#headshot-photo")
    photo.locator("input[type=file]").set_input_files(portraits[0])
    refusal = page.locator("#headshot-consent [role=alert]")
    expect(refusal).to_contain_text("permission")
    page.locator("#headshot-consent input").check()
    expect(find_progress_line(page, "headshot")).to_contain_text("Draft, small for speed")
    wait_until(studio.is_idle, 60)
    before = find_places(page, "headshot")
    photo.get_by_label("Remove Image").click()
    expect(photo.locator("img")).to_have_count(0)
    assert find_places(page, "headshot") == before
    # The next photo would be drafted first under the permission for this one.
    expect(page.locator("#headshot-consent input")).not_to_be_checked()
    photo.locator("input[type=file]").set_input_files(portraits[1])
    expect(refusal).to_contain_text("permission")
    expect(page.locator("#headshot-live img")).to_have_count(0)
    assert find_places(page, "headshot") == before
    for asked in (False, True):  # and again for who asks again
        if asked:
            page.evaluate("scrollTo(0, 0)")
            page.locator("#headshot-generate").tap()

        def is_seen() -> bool:  # the words of who asks again take the place of those that are there
            bars, box = (each.bounding_box() for each in (page.locator("#headshot-generate"), refusal))
            is_under_bar = bars is None or box is None or box["y"] + box["height"] > bars["y"]
            return not is_under_bar and is_in_view(page, refusal)

        wait_until(is_seen, 30)


def test_a_phone_folds_doubts_to_a_count_and_details_have_a_way_out(
    held_page: Page, phone: Phone, studio: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubts = ["The cut may be wrong on the left.", "The head touches the frame at the top."]
    monkeypatch.setattr(text, "list_doubts", lambda receipt: doubts)
    page = held_page
    phone.show("kit")
    page.locator("#kit-example-coffee").tap()
    expect(find_progress_line(page, "kit")).to_contain_text("Draft, small for speed")
    wait_until(studio.is_idle, 60)
    expect(page.locator("#kit-box .dbx-doubt [data-do=start]")).to_have_text("Mark what stays whole")
    words, one = page.locator("#kit-box .dbx-doubt p"), page.locator("#kit-box .dbx-doubt span").first
    expect(words).to_have_attribute("data-count", "2")
    expect(one).to_be_hidden()
    place, picture = page.locator("#kit-box .dbx-doubt").bounding_box(), page.locator("#kit-box").bounding_box()
    assert place is not None
    assert picture is not None
    assert place["height"] < picture["height"] / 5
    words.tap()
    for n, doubt in enumerate(doubts):
        expect(words.locator("span").nth(n)).to_be_visible()
        expect(words.locator("span").nth(n)).to_have_text(doubt)
    words.tap()
    expect(words).to_be_hidden()  # what lies under them is what is to be looked at
    link, panel = page.locator("#kit-stage summary"), page.locator("#kit-stage .dbx-details > div")
    link.tap()
    at, under = link.bounding_box(), panel.bounding_box()
    assert at is not None
    assert under is not None
    assert under["y"] >= at["y"] + at["height"], "the link stays free"
    panel.get_by_role("button", name="Close").tap()
    expect(panel).to_be_hidden()


def test_a_headline_s_colour_and_place_are_chosen_below_the_tiles_that_stay_and_a_crop_says_what_its_marks_do(
    page: Page, studio: ServedPage
) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    show_tab(page, "kit")
    page.locator("#kit-example-coffee").click()
    expect(find_progress_line(page, "kit")).to_contain_text("Draft, small for speed")
    colour, place = page.locator("#kit-headline_colour"), page.locator("#kit-headline_place")
    page.locator("#kit-headline textarea").fill("")  # that of an earlier test
    expect(colour).to_be_hidden()  # nothing is written
    tiles = page.locator("#kit-preset")
    before = tiles.bounding_box()
    page.locator("#kit-headline textarea").fill("Open all weekend")
    expect(colour).to_be_visible()
    assert tiles.bounding_box() == before, "whoever presses a platform next hits it"
    shown, left, right = (each.bounding_box() or {} for each in (tiles, colour, place))
    assert left["y"] == right["y"], "in one row"
    assert left["y"] - (shown["y"] + shown["height"]) < 30, "under the platforms"
    assert left["x"] == pytest.approx(shown["x"], abs=2)
    assert is_in_view(page, place)
    start, help_line = page.locator("#kit-box [data-do=start]"), page.locator("#kit-box .dbx-point-help")
    expect(help_line).to_be_hidden()
    expect(start).to_have_text("Mark what stays whole")
    expect(start).to_have_css("text-decoration-line", "underline")  # nothing is wrong: it is no black button
    start.click()
    expect(help_line).to_have_text(re.compile("no format may cut off"))
    expect(help_line).to_be_visible()
    bar = page.locator("#kit-box .dbx-point-bar")
    expect(bar.get_by_role("button", name="Stays whole")).to_have_attribute("aria-pressed", "true")
    bar.get_by_role("button", name="Cancel").click()


def test_earlier_pictures_are_a_press_or_ctrl_z_away_with_their_settings(page: Page, studio: ServedPage) -> None:
    show_tab(page, "product")
    page.locator("#product-example-coffee").click()
    strip, looks = page.locator("#product-history input"), page.locator("#product-preset label")
    for number, look in enumerate((0, 8), 1):
        looks.nth(look).click()
        expect(find_progress_line(page, "product")).to_contain_text("Draft, small for speed")
        page.locator("#product-generate").click()
        wait_until(lambda made=number: len(studio.service.jobs.list_jobs("local", 9, tool="product")) == made, 60)
        expect(find_progress_line(page, "product")).to_contain_text("Done in")
    expect(strip).to_have_count(2)  # of one alone there is none
    expect(strip.nth(1)).to_be_checked()
    assert is_in_view(page, page.locator("#product-history"))
    shown = page.locator("#product-live img").get_attribute("src") or ""
    page.keyboard.press("Control+z")
    expect(page.locator("#product-live img")).not_to_have_attribute("src", shown)
    expect(strip.nth(0)).to_be_checked()
    expect(looks.nth(0).locator("input")).to_be_checked()
    page.keyboard.press("Control+Shift+Z")
    expect(page.locator("#product-live img")).to_have_attribute("src", shown)
    expect(looks.nth(8).locator("input")).to_be_checked()
    strip.nth(0).click()
    expect(looks.nth(0).locator("input")).to_be_checked()
    page.set_viewport_size({"width": 390, "height": 844})
    box, row = (page.locator(f"#product-{name}").bounding_box() for name in ("box", "history"))
    assert box is not None
    assert row is not None
    assert 0 <= row["y"] - box["y"] - box["height"] < 30, "under the picture, as the words of Another fill say"


def test_a_photo_on_its_way_is_said_to_be(page: Page, studio: ServedPage, monkeypatch: pytest.MonkeyPatch) -> None:
    show_tab(page, "upscale")
    page.reload()
    page.locator("#upscale-generate").wait_for()
    line, field = find_progress_line(page, "upscale"), page.locator("#upscale-photo input[type=file]")
    was_read, uploads = threading.Event(), studio.service.uploads
    ingest = uploads.ingest_picture
    monkeypatch.setattr(uploads, "ingest_picture", lambda *args: was_read.wait(30) and ingest(*args))
    expect(line).to_contain_text("Add a photo to begin.")
    held: list[Route] = []
    page.route("**/upload**", lambda route: held.append(route))
    field.set_input_files(EXAMPLES / "chelsea.jpg")
    expect(line).to_contain_text("Uploading your photo")
    while not held:
        page.wait_for_timeout(20)
    for route in held:
        route.abort()
    expect(line).to_contain_text("Add a photo to begin.")  # it never came
    page.unroute("**/upload**")
    field.set_input_files(EXAMPLES / "chelsea.jpg")
    expect(line).to_contain_text("Reading your photo")
    was_read.set()
    expect(line).to_contain_text("Draft, small for speed")


@pytest.mark.parametrize("tool", ["headshot", "retouch", "kit"])
def test_on_a_phone_nothing_jumps_after_the_photo_is_chosen(browser: Browser, studio: ServedPage, tool: str) -> None:
    delete_visitor_jobs(studio, tool)
    with open_browser_page(browser, studio, width=390, height=844, phone=True) as page:
        page.goto(f"{studio.url}/#{tool}")
        page.locator(f"#{tool}-generate").wait_for()
        page.wait_for_timeout(1000)  # until the page is built
        page.evaluate(SUM_SHIFTS_JS, False)
        page.locator(f"#tab-{tool} .dbx-examples button").first.click()
        if tool == "retouch":  # it has no draft until somebody has painted
            page.locator("#retouch-editor canvas").first.wait_for()
        else:
            expect(find_progress_line(page, tool)).to_contain_text("Draft, small for speed")
            expect(page.locator(f"#{tool}-box")).to_have_css("background-image", "none")  # the photo stood in for it
            page.locator(f"#{tool}-generate").click()
            expect(page.locator(f"#{tool}-save")).to_be_enabled()
        if tool == "kit":
            assert is_in_view(page, page.locator("#kit-save-all")), "all formats, beside the picture"
        page.wait_for_timeout(300)  # as long as a thumbnail takes to its size
        assert page.evaluate("window.shift") <= MAX_PHONE_LAYOUT_SHIFT
        samples = page.locator(f"#tab-{tool} .dbx-examples")
        expect(samples).to_be_hidden()  # they would stand between the photo and its form
        page.locator(f"#{tool}-photo").get_by_label("Remove Image").click()
        expect(samples).to_be_visible()


def test_on_a_phone_a_draft_shows_the_headline_while_its_field_is_still_open(
    held_page: Page, phone: Phone, studio: ServedPage
) -> None:
    page = held_page
    phone.show("kit")
    page.locator("#tab-kit .dbx-examples button").first.click()
    expect(find_progress_line(page, "kit")).to_contain_text("Draft, small for speed")
    wait_until(studio.is_idle, 60)
    drawn = page.locator("#kit-live img").get_attribute("src") or ""
    headline = page.locator("#kit-headline textarea")
    headline.tap()
    headline.press_sequentially("Slow")
    expect(page.locator("#kit-live img")).not_to_have_attribute("src", drawn)
    expect(headline).to_be_focused()
    expect(headline).to_have_value("Slow")


def test_a_phones_batch_takes_files_first_and_its_lists_open_under_their_fields(
    held_page: Page, phone: Phone, tmp_path: Path
) -> None:
    page = held_page
    phone.show("batch")
    pictures = [write_picture(tmp_path / f"{name}.png", 90) for name in "ab"]
    page.locator("#batch-files input[type=file]").first.set_input_files(pictures)
    remove = page.locator("#batch-files").get_by_label("Remove this file").first
    remove.wait_for()
    size, field = remove.bounding_box(), page.locator("#batch-which .wrap-inner")
    assert size is not None
    assert min(size["width"], size["height"]) >= 44
    field.locator("input").tap()
    options = page.locator(".options:has(.option-list)")
    options.wait_for()
    expect(field.locator("input")).to_have_attribute("inputmode", "none")

    def is_listed_under_field() -> bool:  # once the list has faded in and the page has come to rest
        listed, under, files = (each.bounding_box() for each in (options, field, page.locator("#batch-files")))
        assert listed is not None
        assert under is not None
        assert files is not None
        is_under = files["y"] < under["y"] + under["height"] <= listed["y"] + 8
        return is_under and listed["y"] + listed["height"] <= 844 + 8

    wait_until(is_listed_under_field, 30)
    page.get_by_role("option", name="Slow Motion").tap()
    expect(page.locator("#batch-stage")).to_contain_text("2 files. Start makes the pictures")
    page.locator("#batch-start").tap()
    expect(page.locator("#batch-stage")).to_contain_text("Done: 2 of 2")
    wait_until(lambda: is_in_view(page, page.locator("#batch-stage")), 30)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
