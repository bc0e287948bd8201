"""What a visitor can do in the Library, in a real browser."""

from __future__ import annotations

import re
import time
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from pipelines.codecs.encode import C2PA_MIME_TYPES
from pipelines.core.stream import wait_for_result
from pipelines.jobs import retention
from tests.browser.studio_page import ServedPage, open_browser_page
from tests.support.download_doors import read_validation_state
from tests.support.examples import EXAMPLES
from tests.support.served_app import wait_until

TOOL_IDS = ("cutout", "headshot")

NOTES = ("a red mug", "a blue mug", "a green chair")


@pytest.fixture
def _delete_jobs() -> None:
    """Delete none: a visitor finds what was made before."""


@pytest.fixture(scope="module", autouse=True)
def make_mugs(studio: ServedPage) -> None:
    """What there is to find."""
    for note in NOTES:
        wait_for_result(studio.service.jobs.watch(make_job(studio, note)))


def make_job(studio: ServedPage, note: str, steps: int = 2, owner: str = "local") -> str:
    """A job on an example photo, in line; its id."""
    photo = next(row.file_id for row in studio.service.uploads.list_examples() if row.name == "coffee")
    return studio.service.jobs.submit(
        studio.service.create_job("slow", {"photo": photo, "note": note, "steps": steps, "seed": 7}, owner)
    )


def open_library(page: Page, studio: ServedPage, text: str = "", count: int = 1) -> Locator:
    """The Library with its tiles, newest first."""
    page.goto(f"{studio.url}/#library")
    expect(page.locator("#library-where")).to_contain_text(" of ")
    if text:
        page.locator("#library-text textarea, #library-text input").fill(text)
        page.keyboard.press("Enter")
        expect(page.locator("#library-grid label")).to_have_count(count)
    return page.locator("#library-grid label")


def test_two_are_compared_in_whatever_order_the_picks_arrive(page: Page, studio: ServedPage) -> None:
    tiles = open_library(page, studio, "MUG", 2)
    held: list[Route] = []
    page.locator("#library-several input").check()
    page.wait_for_timeout(500)  # until the page asks for nothing more
    page.route("**/queue/join**", lambda route: held.append(route) if len(held) < 2 else route.continue_())
    tiles.nth(0).click()
    tiles.nth(1).click()
    while len(held) < 2:
        page.wait_for_timeout(20)
    held[1].continue_()
    expect(page.locator("#library-over img")).to_be_visible()
    held[0].continue_()
    page.wait_for_timeout(500)
    expect(page.locator("#library-over img")).to_be_visible()
    expect(page.locator("#library-facts")).to_contain_text("a red mug")
    page.locator("#library-none").click()
    expect(page.locator("#library-over img")).to_have_count(0)
    page.unroute("**/queue/join**")


def test_words_find_two_which_are_compared_and_taken_home(page: Page, studio: ServedPage) -> None:
    tiles = open_library(page, studio, "MUG", 2)
    for part in (tiles.nth(0), page.locator("#library-none"), tiles.nth(1)):
        part.click()
    expect(page.locator("#library-facts")).to_contain_text("a red mug")
    expect(page.locator("#library-facts")).not_to_contain_text("a blue mug")
    expect(page.locator("#library-grid input:checked")).to_have_count(1)
    page.locator("#library-none").click()
    expect(page.locator("#library-grid input:checked")).to_have_count(0)
    page.locator("#library-several input").check()
    for place in (0, 1):
        picture = tiles.nth(place).evaluate("tile => getComputedStyle(tile, '::before').backgroundImage")
        assert picture.startswith('url("data:image/jpeg')
        tiles.nth(place).click()
    expect(page.locator("#library-over img")).to_be_visible()
    expect(page.locator("#library-facts")).to_contain_text("a red mug")
    side = page.locator("#library-over .dbx-side-of").last.bounding_box() or {}
    larger = page.locator("#library-live .icon-button-wrapper").bounding_box() or {}
    assert side["x"] + side["width"] < larger["x"], "the name of the side is read"
    expect(page.locator("#library-facts")).to_contain_text("a blue mug")
    expect(page.locator("#library-facts")).not_to_contain_text("calm")  # nobody chose it: it is the form's default
    with page.expect_download() as caught:
        page.locator("#library-save").click()
    assert read_validation_state(Path(caught.value.path()).read_bytes(), C2PA_MIME_TYPES["zip"]) == "Valid"
    with zipfile.ZipFile(caught.value.path()) as out:
        assert len([name for name in out.namelist() if not name.startswith("META-INF/")]) == 2
        assert out.testzip() is None


def test_a_second_click_shows_the_other_one_until_several_are_wanted(page: Page, studio: ServedPage) -> None:
    tiles = open_library(page, studio, "MUG", 2)
    facts, checked = page.locator("#library-facts"), page.locator("#library-grid input:checked")
    for place, note in ((0, "a blue mug"), (1, "a red mug"), (0, "a blue mug")):
        tiles.nth(place).click()
        expect(facts).to_contain_text(note)
        expect(checked).to_have_count(1)
        expect(tiles.nth(place).locator("input")).to_be_checked()
        expect(page.locator("#library-over img")).to_have_count(0)
    for place in (1, 0, 1):  # faster than the studio answers
        tiles.nth(place).click()
    expect(facts).to_contain_text("a red mug")
    expect(facts).not_to_contain_text("a blue mug")
    expect(checked).to_have_count(1)
    page.locator("#library-several input").check()
    tiles.nth(0).click()
    expect(page.locator("#library-over img")).to_be_visible()
    page.locator("#library-several input").uncheck()
    expect(checked).to_have_count(1)
    expect(facts).to_contain_text("a blue mug")
    page.locator("#library-every").click()  # which wants several
    expect(page.locator("#library-several input")).to_be_checked()
    expect(checked).to_have_count(2)


def test_each_letter_narrows_the_tiles_before_enter(page: Page, studio: ServedPage) -> None:
    tiles = open_library(page, studio)
    words = page.locator("#library-text :is(textarea, input)")
    for letters, count in (("gr", 1), ("een ch", 1), ("xx", 0)):
        words.press_sequentially(letters)
        expect(tiles).to_have_count(count)
    words.fill("mug")
    expect(tiles).to_have_count(2)
    stage = page.locator("#library-stage")
    for _ in range(2):  # the second press takes it out again
        expect(page.locator("#library-grid input:checked")).to_have_count(0)
        tiles.first.click()
        expect(stage).to_contain_text("Done in")
        tiles.first.click()
        expect(stage).to_contain_text("Pick one")
    tiles.first.click()
    expect(stage).to_contain_text("Done in")
    page.locator("#library-several input").check()
    words.fill("green")
    expect(tiles).to_have_count(1)
    tiles.first.click()
    expect(stage).to_contain_text("1 of them not on this page")
    page.locator("#library-none").click()


def test_reuse_fills_the_tools_own_tab(page: Page, studio: ServedPage) -> None:
    open_library(page, studio, "blue").first.click()
    page.locator("#library-reuse").click()
    expect(page.locator("#slow-note textarea, #slow-note input").first).to_have_value("a blue mug")
    expect(page.locator("#slow-stage")).to_contain_text("Done in")
    assert page.url.endswith("#slow")


def test_a_files_name_finds_one_that_is_downloaded_and_sent_on_and_what_failed_is_not_compared(
    page: Page, studio: ServedPage
) -> None:
    data = (EXAMPLES / "chelsea.jpg").read_bytes()
    photo = studio.service.uploads.ingest_picture(data, "local", "/home/me/My kitten.jpg")[0]
    fine = studio.service.create_job("slow", {"photo": photo, "steps": 1}, "local")
    wait_for_result(studio.service.jobs.submit_and_watch(fine))
    no_face = studio.service.create_job("headshot", {"photo": photo, "consent": True}, "local")
    studio.service.jobs.submit(no_face)
    wait_until(lambda: (row := studio.service.jobs.get_job(no_face.id)) is not None and row.status == "failed", 60)
    tiles = open_library(page, studio, "kitten", 2)
    failed, made = tiles.filter(has_text="Failed"), tiles.filter(has_text="Slow Motion")
    assert failed.evaluate("tile => getComputedStyle(tile, '::before').content") == '"×"'
    page.locator("#library-several input").check()
    failed.click()
    made.click()
    expect(page.locator("#library-stage")).to_contain_text("2 picked")
    expect(page.locator("#library-over img")).to_have_count(0)
    failed.click()
    expect(page.locator("#library-live img")).to_be_visible()
    with page.expect_download() as caught:
        page.locator("#library-save").click()
    assert caught.value.suggested_filename.endswith(".png")
    page.locator("#library-send input").click()
    page.get_by_role("option", name="Cut-out").click()
    expect(page).to_have_url(f"{studio.url}/#cutout")
    expect(page.locator("#cutout-photo img")).to_be_visible()


def test_a_star_stays_and_delete_asks_once_more(page: Page, studio: ServedPage) -> None:
    word = f"purple{time.monotonic_ns()}"  # where the test is run again, the job of the first time may be there
    job_id = make_job(studio, f"a {word} lamp")
    wait_for_result(studio.service.jobs.watch(job_id))
    tiles = open_library(page, studio, word)
    tiles.first.click()
    expect(page.locator("#library-star")).to_be_enabled()
    page.locator("#library-star").click()
    expect(tiles.first).to_contain_text("★")
    page.locator("#library-delete").click()
    expect(page.locator("#library-delete")).to_contain_text("Really delete 1?")
    room_js = """button => {
        const words = new Range();
        words.selectNodeContents(button);
        return button.clientWidth - words.getBoundingClientRect().width;
    }"""
    assert page.locator("#library-delete").evaluate(room_js) >= 16, "the words stand free of the edges"
    assert studio.service.jobs.get_job(job_id) is not None
    page.locator("#library-delete").click()
    expect(page.locator("#library-where")).to_contain_text("Nothing fits")
    page.locator("#library-undo").click()
    expect(tiles.first).to_contain_text("★")
    expect(page.locator("#library-undo")).to_be_hidden()
    tiles.first.click()
    for said in ("Really delete 1?", "Delete"):
        page.locator("#library-delete").click()
        expect(page.locator("#library-delete")).to_have_text(said)
    expect(page.locator("#library-where")).to_contain_text("Nothing fits")
    retention.delete_hidden(studio.service.jobs.table, studio.service.files, seconds=-1)
    assert studio.service.jobs.get_job(job_id) is None
    page.locator("#library-undo").click()
    expect(page.locator("#library-stage")).to_contain_text("it is gone")
    expect(page.locator("#library-stage")).to_be_visible()
    for part in ("#library-box", "#library-star"):
        expect(page.locator(part)).to_be_hidden()  # there is nothing to act on


def test_what_runs_is_followed_from_its_last_preview_on_in_any_tab(
    page: Page, browser: Browser, studio: ServedPage
) -> None:
    studio.gate.pause = 0.2
    job_id = make_job(studio, "under way", steps=200)
    live = page.locator("#library-live img")
    tiles = open_library(page, studio)
    expect(tiles.first).to_contain_text("Working")
    tiles.first.click()
    expect(page.locator("#library-stage")).to_contain_text("Brightening")
    expect(live).to_have_attribute("src", re.compile("^data:image/jpeg"))
    studio.gate.open.clear()  # from here on nothing new comes: a second visitor is shown what was there
    with open_browser_page(browser, studio) as other:
        open_library(other, studio).first.click()
        expect(other.locator("#library-live img")).to_have_attribute("src", re.compile("^data:image/jpeg"))
        expect(other.locator("#library-grid label").first).to_contain_text("Working")
    studio.gate.pause = 0.0
    studio.gate.open.set()
    expect(page.locator("#library-stage")).to_contain_text("Done in")
    expect(tiles.first).not_to_contain_text("Working")
    row = studio.service.jobs.get_job(job_id)
    assert row is not None
    assert row.status == "done"


def test_a_phone_shows_tiles_first_and_nothing_is_wider_than_it(browser: Browser, studio: ServedPage) -> None:
    with open_browser_page(browser, studio, width=390, height=844) as phone:
        tiles = open_library(phone, studio)
        expect(tiles.first).to_be_visible()
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390
        tiles.first.click()
        expect(phone.locator("#library-live img")).to_be_visible()
