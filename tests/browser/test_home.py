"""The first page takes a photo first."""

from __future__ import annotations

import re
from pathlib import Path

import PIL.Image
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.studio_page import ServedPage, find_progress_line, open_browser_page
from tests.support.examples import EXAMPLES
from ui.gradio_patches import frontend_script


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
    chosen = page.locator(f"#home-open-{look + 1}").inner_text()
    page.locator(f"#home-draft-{look + 1} img").click()
    expect(page).to_have_url(f"{studio.url}/#{tool}")
    expect(find_progress_line(page, tool)).to_contain_text("Draft, 512 px")
    expect(page.locator(f"#{tool}-photo img")).to_be_visible()
    expect(page.locator(f"#{tool}-preset label:has(input:checked)")).to_have_text(chosen)


def test_a_stranger_is_asked_for_once_and_for_every_tool(page: Page, studio: ServedPage, tmp_path: Path) -> None:
    with PIL.Image.open(EXAMPLES / "hopper.jpg") as picture:
        picture.convert("RGB").transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "own.png")
    drop_photo(page, studio, tmp_path / "own.png")
    expect(page.locator("#home-consent")).to_contain_text("Is somebody in it?")
    expect(page.locator("#home-drafts")).to_be_hidden()  # nobody is sold as a product
    page.locator("#home-consent label").first.click()
    expect(find_progress_line(page, "home")).to_contain_text("Three headshots")
    expect(page.locator("#home-open-3")).to_be_enabled()
    page.locator("#home-open-1").click()
    expect(find_progress_line(page, "headshot")).to_contain_text("Draft, 512 px")
    expect(page.locator("#headshot-consent input")).to_be_checked()


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
    ("locale", "wishes"),
    [
        ("en-GB", ("post", "Headline", "instagram", "a flyer with text")),
        ("de-DE", ("Beitrag", "Überschrift", "Instagram", "Flyer", "Plakat")),
    ],
)
def test_what_is_to_be_made_finds_its_tool(
    browser: Browser, studio: ServedPage, locale: str, wishes: tuple[str, ...]
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
        field.fill("zzz")
        expect(page.locator(".dbx-none")).to_be_visible()
        expect(cards.filter(visible=True)).to_have_count(count)
        field.fill(wishes[0])
        expect(page.locator(".dbx-none")).to_be_hidden()
        cards.filter(visible=True).first.click()
        expect(page).to_have_url(re.compile("#kit$"))
