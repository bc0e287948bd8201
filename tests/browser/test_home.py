"""The first page takes a photo first."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

import PIL.Image
import pytest
from playwright.sync_api import Browser, Page, expect

from pipelines.core.stream import wait_for_result
from tests.browser.studio_page import ServedPage, find_progress_line, open_browser_page, open_tool, show_tab
from tests.support.examples import EXAMPLES
from tests.support.served_app import wait_until
from ui.gradio_patches import frontend_script
from ui.home_tab.quick_start import OTHER_TOOLS


def drop_photo(page: Page, studio: ServedPage, path: Path) -> None:
    """The first page with that photo on it."""
    page.goto(studio.url)
    page.locator("#home-photo input[type=file]").set_input_files(path)


@pytest.mark.parametrize(("name", "tool", "look"), [("hopper.jpg", "headshot", 1), ("coffee.jpg", "product", 1)])
def test_a_photo_becomes_three_drafts_and_one_opens_its_tool_as_it_is(
    page: Page, studio: ServedPage, name: str, tool: str, look: int
) -> None:
    drop_photo(page, studio, EXAMPLES / name)
    expect(page.locator("#home-drafts img")).to_have_count(3)
    expect(page.locator("#home-open-3")).to_be_enabled()
    pictures = {image.get_attribute("src") for image in page.locator("#home-drafts img").all()}
    assert len(pictures) == 3
    label = page.locator(f"#home-open-{look + 1}").inner_text()
    assert label.startswith("Go on with: "), "it says what it does with which look"
    chosen = label.removeprefix("Go on with: ")
    page.locator(f"#home-draft-{look + 1} img").click()
    expect(page).to_have_url(f"{studio.url}/#{tool}")
    expect(find_progress_line(page, tool)).to_contain_text("Draft, small for speed")
    expect(page.locator(f"#{tool}-photo img")).to_be_visible()
    expect(page.locator(f"#{tool}-preset label:has(input:checked)")).to_have_text(chosen)
    page.go_back()
    expect(page.locator(f"#home-draft-{look + 1} img")).to_be_visible()


def test_a_stranger_is_asked_for_once_and_for_every_tool(page: Page, studio: ServedPage, tmp_path: Path) -> None:
    with PIL.Image.open(EXAMPLES / "hopper.jpg") as picture:
        picture.convert("RGB").transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "own.png")
    drop_photo(page, studio, tmp_path / "own.png")
    expect(page.locator("#home-consent")).to_contain_text("Is somebody in the photo?")
    expect(page.locator("#home-drafts")).to_be_hidden()  # nobody is sold as a product
    page.locator("#home-consent label").first.click()
    expect(find_progress_line(page, "home")).to_contain_text("Three headshots")
    expect(page.locator("#home-open-3")).to_be_enabled()
    page.locator("#home-open-1").click()
    expect(find_progress_line(page, "headshot")).to_contain_text("Draft, small for speed")
    expect(page.locator("#headshot-consent input")).to_be_checked()
    show_tab(page, "expand")  # until a picture was made of it
    expect(find_progress_line(page, "expand")).to_contain_text("Draft, small for speed")
    page.locator("#expand-generate").click()
    expect(find_progress_line(page, "expand")).to_contain_text("Done in")
    show_tab(page, "upscale")
    expect(find_progress_line(page, "upscale")).to_contain_text("Add a photo")


def write_two_people(folder: Path) -> Path:
    """One photo with two faces, made of two of ours."""
    with PIL.Image.open(EXAMPLES / "astronaut.jpg") as left, PIL.Image.open(EXAMPLES / "hopper.jpg") as right:
        pair = [picture.convert("RGB") for picture in (left, right)]
    pair = [picture.resize((round(512 * picture.width / picture.height), 512)) for picture in pair]
    both = PIL.Image.new("RGB", (sum(picture.width for picture in pair), 512))
    both.paste(pair[0], (0, 0))
    both.paste(pair[1], (pair[0].width, 0))
    both.save(folder / "both.png")
    return folder / "both.png"


def test_several_people_are_business_photos_and_a_draft_opens_there(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    drop_photo(page, studio, write_two_people(tmp_path))
    page.locator("#home-consent label").first.click()
    expect(find_progress_line(page, "home")).to_contain_text("Several people. Business photos")
    expect(page.locator("#home-also a").last).to_have_text("Headshot of one person")
    expect(page.locator("#home-open-3")).to_be_enabled()
    pictures = {image.get_attribute("src") for image in page.locator("#home-drafts img").all()}
    assert len(pictures) == 3
    page.locator("#home-open-1").click()
    expect(page).to_have_url(f"{studio.url}/#business")
    expect(page.locator("#business-photos img")).to_have_count(1)
    expect(page.locator("#business-photos img")).to_have_css("object-position", "50% 0px")  # heads stay in the tile
    expect(page.locator("#business-consent input")).to_be_checked()
    expect(page.locator("#business-consent")).to_contain_text("these people's permission")
    expect(find_progress_line(page, "business")).to_contain_text("Draft,")
    page.locator("#business-names textarea").fill("Ana \U00010330")
    page.locator("#business-names textarea").blur()
    expect(page.locator("#business-names [role=alert]")).to_contain_text("no font here can draw: \U00010330")


def test_a_page_that_is_opened_asks_once_and_then_listens(page: Page, studio: ServedPage) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    drop_photo(page, studio, EXAMPLES / "coffee.jpg")
    expect(page.locator("#home-open-3")).to_be_enabled()
    names = [url.split("/gradio_api/")[1].split("?")[0] for url in asked]
    assert names == ["queue/join", "upload", "queue/join"], "the link's settings, the photo, and what follows from it"


def test_what_each_part_of_the_page_hears_is_what_gradio_would_have_found(page: Page, studio: ServedPage) -> None:
    page.goto(studio.url)
    page.locator(".dbx-cards").wait_for()
    heard, differs = page.evaluate(f"""() => {{ {frontend_script.EVENT_INDEX_SCRIPT}
      const {{ components, dependencies }} = window.gradio_config, differs = []; let heard = 0;
      for (const {{ id }} of components) {{
        const gradios = dependencies.map((row) => row.targets.find(([to]) => to === id)?.[1]).filter(Boolean);
        const ours = dbxHeard(dependencies, id);
        heard += ours.length;
        if (JSON.stringify(gradios) !== JSON.stringify(ours)) differs.push(id);
      }}
      return [heard, differs]; }}""")
    assert heard > 100
    assert differs == []


@pytest.mark.parametrize(
    ("locale", "wishes", "erase"),
    [
        (
            "en-GB",
            ("post", "Headline", "instagram", "a flyer with text"),
            ("erase", "Erase a thing", "remove object", "eraser", "delete a person"),
        ),
        (
            "de-DE",
            ("Beitrag", "Überschrift", "Instagram", "Flyer", "Plakat"),
            ("radieren", "Gegenstand entfernen", "Person löschen"),
        ),
    ],
)
def test_what_is_to_be_made_finds_its_tool(
    browser: Browser, studio: ServedPage, locale: str, wishes: tuple[str, ...], erase: tuple[str, ...]
) -> None:
    with open_browser_page(browser, studio, width=390, height=844, locale=locale, phone=True) as page:
        page.goto(studio.url)
        field, cards = page.locator(".dbx-find"), page.locator(".dbx-cards h3 a")
        field.wait_for()
        count = cards.count()
        for wish in wishes:
            field.fill(wish)
            expect(cards.filter(visible=True).first).to_have_attribute("href", "#kit")
            assert cards.filter(visible=True).count() <= 3
        for wish in erase:
            field.fill(wish)
            expect(cards.filter(visible=True).first).to_have_attribute("href", "#retouch")
        field.fill("zzz")
        expect(page.locator(".dbx-none")).to_be_visible()
        expect(cards.filter(visible=True)).to_have_count(count)
        field.fill(wishes[0])
        expect(page.locator(".dbx-none")).to_be_hidden()
        cards.filter(visible=True).first.click()
        expect(page).to_have_url(re.compile("#kit$"))
        page.locator(".dbx-nav summary").nth(1).click()  # what a tool does stands in its menu, too
        row = page.locator(".dbx-nav li", has=page.locator('a[href="#retouch"]')).last
        expect(row.locator("p")).to_contain_text({"en-GB": "Erase a", "de-DE": "Entferne einen"}[locale])


def finish_old_job(studio: ServedPage, tool: str, **values: object) -> None:
    """A job of another day, on another photo, with settings that nobody wants for the next one."""
    photo = next(row.file_id for row in studio.service.uploads.list_examples() if row.name == "chelsea")
    wait_for_result(
        studio.service.jobs.submit_and_watch(studio.service.create_job(tool, {"photo": photo, **values}, "local"))
    )


def open_card(page: Page, tool: str) -> None:
    """By a card on Home, as a tool is found that the navigation does not name."""
    page.locator(f'.dbx-card h3 a[href="#{tool}"]').click()


def open_menu_entry(page: Page, tool: str) -> None:
    """By the navigation."""
    link = page.locator(f'a[href="#{tool}"]')
    menu = page.locator(".dbx-nav details", has=link)
    menu.locator("summary").click()
    menu.locator(link).click()


@pytest.mark.parametrize("open_by", [open_card, open_menu_entry])
def test_a_tool_opens_with_the_photo_of_home_and_without_what_an_older_job_left(
    page: Page, studio: ServedPage, open_by: Callable[[Page, str], None]
) -> None:
    finish_old_job(studio, "kit", headline="Sale of last year", formats="Pinterest", preset="story")
    drop_photo(page, studio, EXAMPLES / "coffee.jpg")
    expect(page.locator("#home-open-3")).to_be_enabled()
    given = page.locator("#home-photo img").get_attribute("src") or ""
    open_by(page, "kit")
    expect(find_progress_line(page, "kit")).to_contain_text("Draft, small for speed")
    assert page.locator("#kit-photo img").get_attribute("src") == given
    expect(page.locator("#kit-headline textarea")).to_have_value("")
    expect(page.locator("#kit-preset label:has(input:checked)")).to_have_text("3 pictures: post, story, Facebook")
    expect(page.locator("#kit-live img")).to_have_attribute("src", re.compile("^data:"))  # no file of the older job
    page.locator("#kit-headline textarea").fill("Of this photo")
    page.locator("#kit-headline textarea").blur()
    show_tab(page, "home")
    open_by(page, "kit")  # the same photo: what was typed for it stays
    expect(page.locator("#kit-headline textarea")).to_have_value("Of this photo")
    wait_until(studio.is_idle, 60)
    show_tab(page, "home")
    page.locator("#home-example-chelsea").click()
    expect(page.locator("#home-photo img")).not_to_have_attribute("src", given)
    open_by(page, "kit")
    expect(page.locator("#kit-photo img")).not_to_have_attribute("src", given)
    expect(page.locator("#kit-headline textarea")).to_have_value("")
    expect(find_progress_line(page, "kit")).to_contain_text("Draft, small for speed")
    page.locator("#kit-photo").get_by_label("Remove Image").click()
    expect(find_progress_line(page, "kit")).to_contain_text("Add a photo")
    expect(page.locator("#kit-live img")).to_have_count(0)  # its draft went with it
    page.locator("#kit-photo input[type=file]").set_input_files(EXAMPLES / "coffee.jpg")
    expect(find_progress_line(page, "kit")).to_contain_text("Draft, small for speed")
    open_menu_entry(page, "upscale")  # another photo was chosen since
    expect(find_progress_line(page, "upscale")).to_contain_text("Add a photo")
    expect(page.locator("#upscale-photo img")).to_have_count(0)
    show_tab(page, "home")
    open_by(page, "upscale")  # from where the visitor sees it
    expect(page.locator("#upscale-photo img")).to_have_count(1)
    expect(find_progress_line(page, "upscale")).to_contain_text("Draft, small for speed")
    page.locator("#upscale-photo").get_by_label("Remove Image").click()
    expect(find_progress_line(page, "upscale")).to_contain_text("Add a photo")
    open_menu_entry(page, "expand")
    expect(page.locator("#expand-photo img")).to_have_count(1)
    open_menu_entry(page, "upscale")  # what was taken away there does not come back
    page.wait_for_timeout(500)
    expect(page.locator("#upscale-photo img")).to_have_count(0)
    show_tab(page, "home")
    open_by(page, "upscale")  # unless the visitor was where the photo is seen
    expect(page.locator("#upscale-photo img")).to_have_count(1)


def test_a_tool_that_is_opened_while_home_still_reads_the_photo_waits_for_it(
    page: Page, studio: ServedPage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    was_read, uploads = threading.Event(), studio.service.uploads
    ingest = uploads.ingest_picture
    monkeypatch.setattr(uploads, "ingest_picture", lambda *args: was_read.wait(30) and ingest(*args))
    page.goto(studio.url)
    (tmp_path / "none.png").write_text("This is no picture.")
    for path, said in (
        (EXAMPLES / "coffee.jpg", "Draft, small for speed"),
        (tmp_path / "none.png", "Add a photo to begin."),
    ):
        was_read.clear()
        with page.expect_request(
            lambda asked, name=path.name: "/queue/join" in asked.url and name in (asked.post_data or "")
        ):
            page.locator("#home-photo input[type=file]").set_input_files(path)
        tool = "upscale" if path.suffix == ".jpg" else "expand"
        open_card(page, tool)
        expect(find_progress_line(page, tool)).to_contain_text("Reading your photo")
        was_read.set()
        expect(find_progress_line(page, tool)).to_contain_text(said)
        show_tab(page, "home")
        if path.suffix == ".jpg":
            page.locator("#home-photo").get_by_label("Remove Image").click()


def test_a_photo_that_is_removed_while_it_is_read_does_not_come_back(
    page: Page, studio: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    was_read, uploads = threading.Event(), studio.service.uploads
    ingest = uploads.ingest_picture
    monkeypatch.setattr(uploads, "ingest_picture", lambda *args: was_read.wait(30) and ingest(*args))
    open_tool(page, studio, "upscale")
    photo = page.locator("#upscale-photo")
    photo.locator("input[type=file]").set_input_files(EXAMPLES / "coffee.jpg")
    expect(find_progress_line(page, "upscale")).to_contain_text("Reading your photo")
    photo.get_by_label("Remove Image").click()
    expect(find_progress_line(page, "upscale")).to_contain_text("Add a photo")
    was_read.set()
    page.wait_for_timeout(1500)
    expect(photo.locator("img")).to_have_count(0)
    expect(find_progress_line(page, "upscale")).to_contain_text("Add a photo")
    photo.locator("input[type=file]").set_input_files(EXAMPLES / "chelsea.jpg")
    expect(find_progress_line(page, "upscale")).to_contain_text("Draft, small for speed")


def test_a_new_photo_in_a_tool_takes_nothing_of_the_last_result_that_the_page_showed(
    page: Page, studio: ServedPage
) -> None:
    finish_old_job(studio, "kit", headline="Sale of last year", preset="story")
    page.goto(f"{studio.url}/#kit")
    expect(find_progress_line(page, "kit")).to_contain_text("Last result")
    expect(page.locator("#kit-headline textarea")).to_have_value("Sale of last year")
    page.locator("#kit-photo").get_by_label("Remove Image").click()
    page.locator("#kit-photo input[type=file]").set_input_files(EXAMPLES / "coffee.jpg")
    expect(find_progress_line(page, "kit")).to_contain_text("Draft, small for speed")
    expect(page.locator("#kit-headline textarea")).to_have_value("")
    expect(page.locator("#kit-preset label:has(input:checked)")).to_have_text("3 pictures: post, story, Facebook")
    page.locator("#kit-headline textarea").fill("Mine")
    page.locator("#kit-headline textarea").blur()
    wait_until(studio.is_idle, 60)
    page.locator("#kit-example-chelsea").click()
    expect(find_progress_line(page, "kit")).to_contain_text("Draft, small for speed")
    expect(page.locator("#kit-headline textarea")).to_have_value("Mine")  # typed here, for any photo
    page.reload()
    finish_old_job(studio, "kit", headline="Wanted again")
    page.reload()
    expect(find_progress_line(page, "kit")).to_contain_text("Last result")
    page.locator("#kit-menu").click()
    page.locator("#kit-reuse").click()  # the visitor picks it
    page.locator("#kit-photo").get_by_label("Remove Image").click()
    page.locator("#kit-photo input[type=file]").set_input_files(EXAMPLES / "coffee.jpg")
    expect(find_progress_line(page, "kit")).to_contain_text("Draft, small for speed")
    expect(page.locator("#kit-headline textarea")).to_have_value("Wanted again")


@pytest.mark.parametrize("width", [390, 1280])
def test_answered_home_shows_the_drafts_and_what_else_is_made_of_the_photo(
    browser: Browser, studio: ServedPage, tmp_path: Path, width: int
) -> None:
    with PIL.Image.open(EXAMPLES / "hopper.jpg") as picture:
        picture.convert("RGB").crop((6, 0, *picture.size)).save(tmp_path / "own.png")
    with open_browser_page(browser, studio, width=width, height=844, phone=width == 390) as page:
        page.goto(studio.url)
        expect(page.locator("#home-also")).to_be_hidden()
        page.locator("#home-photo input[type=file]").set_input_files(tmp_path / "own.png")
        page.locator("#home-consent label").first.click()
        expect(page.locator("#home-open-3")).to_be_enabled()
        for part in ("#home-stage", "#home-drafts", "#home-also"):
            box = page.locator(part).bounding_box()
            assert box is not None
            assert 0 <= box["y"] <= box["y"] + box["height"] <= (844 - 57 if width == 390 else 844), part
        assert page.locator("#home-also a").all_inner_texts() == [title for _, title in OTHER_TOOLS]
        page.locator("#home-also a").first.click()
        page.locator("#retouch-editor canvas").first.wait_for()
        expect(page.locator("#retouch-photo img")).to_be_visible()
        show_tab(page, "headshot")
        expect(page.locator("#headshot-consent input")).to_be_checked()  # it was said on Home
        expect(find_progress_line(page, "headshot")).to_contain_text("Draft, small for speed")


def test_a_face_that_is_too_small_is_said_in_place_of_empty_boxes(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    with PIL.Image.open(EXAMPLES / "astronaut.jpg") as photo:
        small = photo.convert("RGB").resize((round(0.34 * photo.width), round(0.34 * photo.height)))
    wall = PIL.Image.new("RGB", (320, 240), (180, 176, 170))
    wall.paste(small, (120, 240 - small.height))
    wall.save(tmp_path / "far.png")
    drop_photo(page, studio, tmp_path / "far.png")
    page.locator("#home-consent label").first.click()
    expect(page.locator("#home-photo [role=alert]")).to_contain_text("The face is too small")
    expect(page.locator("#home-photo [role=alert]")).to_contain_text("Enlarging it does not help")
    expect(page.locator("#home-open-1")).to_be_hidden()
    assert "Enlarge it" not in page.locator("#home-also a").all_inner_texts()


def test_nobody_is_asked_about_people_where_home_was_told_that_there_are_none(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    PIL.Image.new("RGB", (640, 480), (120, 150, 190)).save(tmp_path / "sky.png")
    drop_photo(page, studio, tmp_path / "sky.png")
    page.locator("#home-consent label").nth(1).click()
    expect(page.locator("#home-stage")).to_contain_text("No single subject stands out.")
    show_tab(page, "style")
    asked = page.locator("#style-tool .dbx-consent")
    expect(page.locator("#style-photo img")).to_be_visible()
    expect(asked).to_be_hidden()
    with page.expect_file_chooser() as chooser:
        page.locator("#style-photo img").click()
    chooser.value.set_files(EXAMPLES / "astronaut.jpg")
    expect(asked).to_be_visible()  # of another photo nothing was said


def test_a_view_without_a_subject_is_offered_styles_of_the_whole_photo(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    PIL.Image.new("RGB", (640, 480), (120, 150, 190)).save(tmp_path / "sky.png")
    drop_photo(page, studio, tmp_path / "sky.png")
    page.locator("#home-consent label").nth(1).click()
    expect(page.locator("#home-stage")).to_contain_text("No single subject stands out.")
    expect(page.locator("#home-open-3")).to_be_enabled()
    page.locator("#home-open-1").click()
    expect(page).to_have_url(re.compile("#style$"))
