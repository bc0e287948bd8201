"""What hands do on the picture itself, and how the page speaks: paste, drag, compare, look closer, German."""

from __future__ import annotations

import re

import numpy as np
import PIL.Image
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from pipelines.matting.cutout_notices import MISSING_PART
from pipelines.tools.background import SCENES
from tests.browser.studio_page import (
    SETTLED_JS,
    ServedPage,
    delete_visitor_jobs,
    find_progress_line,
    open_browser_page,
    open_menu,
    open_tool,
)
from tests.support.examples import EXAMPLES
from tests.support.served_app import wait_until
from ui.tool_tab import text as tool_tab_text

TOOL_IDS = ("headshot", "product", "background", "cutout", "expand", "kit")
PASTE_JS = """async (source) => {
  const blob = await (await fetch(source)).blob();
  const carrier = new DataTransfer();
  carrier.items.add(new File([blob], "pasted.jpg", { type: "image/jpeg" }));
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: carrier, bubbles: true, cancelable: true }));
}"""


def show_example(page: Page, studio: ServedPage, tool: str, name: str) -> str:
    """The tool's tab with an example drafted in it; what is in the box."""
    open_tool(page, studio, tool)
    page.locator(f"#{tool}-example-{name}").click()
    expect(find_progress_line(page, tool)).to_contain_text("Draft, small for speed")
    wait_until(studio.is_idle, 60)
    return page.locator(f"#{tool}-live img").get_attribute("src") or ""


def test_a_pasted_picture_is_the_photo_of_the_tool_in_view(page: Page, studio: ServedPage) -> None:
    open_tool(page, studio, "cutout")
    source = "assets/tiles/examples/coffee.webp"
    page.evaluate(PASTE_JS, source)
    expect(page.locator("#cutout-photo img")).to_be_visible()
    expect(find_progress_line(page, "cutout")).to_contain_text("Draft, small for speed")


def test_a_click_on_the_photo_chooses_another_one(page: Page, studio: ServedPage) -> None:
    show_example(page, studio, "cutout", "coffee")
    photo = page.locator("#cutout-photo img")
    before = photo.get_attribute("src") or ""
    assert "Replace" in photo.evaluate("(e) => getComputedStyle(e.closest('.dbx-photo'), '::after').content")
    with page.expect_file_chooser() as chooser:
        page.locator("#cutout-photo").click(position={"x": 30, "y": 120})  # also beside the picture, where it says so
    chooser.value.set_files(EXAMPLES / "chelsea.jpg")
    expect(photo).to_have_count(1)
    expect(photo).not_to_have_attribute("src", before)
    expect(find_progress_line(page, "cutout")).to_contain_text("Draft, small for speed")


def test_what_is_pasted_where_several_fit_stands_beside_those_that_are_there(page: Page, studio: ServedPage) -> None:
    open_tool(page, studio, "cutout")
    source = "assets/tiles/examples/coffee.webp"
    open_tool(page, studio, "album")
    for count in (1, 2):
        page.evaluate(PASTE_JS, source)
        expect(page.locator("#album-photos img")).to_have_count(count)
        expect(page.locator("#album-photos img").last).to_have_attribute("src", re.compile("^data:"))


def test_the_subject_goes_where_it_is_dragged_and_its_sliders_say_so(page: Page, studio: ServedPage) -> None:
    before = show_example(page, studio, "product", "coffee")
    expect(page.locator("#product-box .dbx-doubt.told")).to_be_visible()  # the picture makes room for the words
    box = page.locator("#product-live img").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    side = min(box["width"], box["height"])  # of the square picture in its box
    page.mouse.move(box["x"] + box["width"] / 2 + side * 0.1, box["y"] + box["height"] / 2, steps=4)
    expect(page.locator("#product-box")).to_have_attribute("data-told", "10 % → · 0 % ↓")
    page.mouse.up()
    expect(page.locator("#product-placement_x input[type=number]")).to_have_value("0.1")
    expect(page.locator("#product-live img")).not_to_have_attribute("src", before)
    expect(page.locator("#product-box")).not_to_have_attribute("data-told", "10 % → · 0 % ↓")
    open_menu(page, "product")
    page.locator("#product-back").click()
    expect(page.locator("#product-placement_x input[type=number]")).to_have_value("0")


def pinch_picture(page: Page, selector: str, across: float, apart: float, told: str = "") -> None:
    """Two fingers go `across` by a share of the square picture and `apart` by a factor; what the box says before they
    let go.
    """
    box = page.locator(f"{selector} .dbx-live img").bounding_box()
    assert box is not None
    client = page.context.new_cdp_session(page)
    for n in range(9):
        middle = box["x"] + box["width"] / 2 + min(box["width"], box["height"]) * across * n / 8
        reach = 50 * (1 + (apart - 1) * n / 8)
        points = [{"x": middle + side * reach, "y": box["y"] + box["height"] / 2, "id": side + 1} for side in (-1, 1)]
        client.send("Input.dispatchTouchEvent", {"type": "touchMove" if n else "touchStart", "touchPoints": points})
    expect(page.locator(selector)).to_have_attribute("data-told", told or re.compile("%"))
    client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_two_fingers_move_and_size_the_subject(browser: Browser, studio: ServedPage) -> None:
    with open_browser_page(browser, studio, width=390, height=844, phone=True) as page:
        before = show_example(page, studio, "product", "coffee")
        page.locator("#product-box").scroll_into_view_if_needed()
        pinch_picture(page, "#product-box", across=0.1, apart=1.25, told="10 % → · 0 % ↓ · 125 %")
        expect(page.locator("#product-placement_x input[type=number]")).to_have_value("0.1")
        expect(page.locator("#product-placement_scale input[type=number]")).to_have_value("1.25")
        expect(page.locator("#product-live img")).not_to_have_attribute("src", before)


def test_a_photo_in_a_larger_frame_goes_where_it_is_dragged(page: Page, studio: ServedPage) -> None:
    before = show_example(page, studio, "expand", "chelsea")
    image = page.locator("#expand-live img").bounding_box()
    assert image is not None
    page.mouse.move(image["x"] + image["width"] / 2, image["y"] + image["height"] / 2)
    page.mouse.down()
    page.mouse.move(image["x"] + image["width"], image["y"] + image["height"] / 2, steps=4)
    page.mouse.up()
    expect(page.locator("#expand-place_x input[type=number]")).to_have_value("1")  # as far as there is room
    expect(page.locator("#expand-live img")).not_to_have_attribute("src", before)
    expect(page.locator("#expand-place_y input[type=number]")).to_have_value("0.5")
    open_menu(page, "expand")
    page.locator("#expand-back").click()
    expect(page.locator("#expand-place_x input[type=number]")).to_have_value("0.5")


def find_number_field(page: Page, field: str) -> Locator:
    return page.locator(f"#{field} input[type=number]")


def test_a_dragged_crop_moves_with_the_hand_and_no_further_than_the_photo_and_one_click_is_automatic(
    page: Page, studio: ServedPage
) -> None:
    before = show_example(page, studio, "kit", "astronaut")
    seen = page.locator("#kit-stage [data-crop]")
    left, _, right, *_ = map(float, (seen.get_attribute("data-crop") or "").split())
    image = page.locator("#kit-live img").bounding_box()
    assert image is not None
    wide = image["height"] * 4 / 5  # the post is seen whole
    x, y = image["x"] + image["width"] / 2, image["y"] + image["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - wide / 10, y, steps=4)
    expect(page.locator("#kit-box")).to_have_attribute("data-told", "10 % ← · 0 % ↓")
    page.mouse.up()
    expect(find_number_field(page, "kit-focus_x")).not_to_have_value("0")
    focus = (left + right) / 2 + (right - left) / 10
    assert float(find_number_field(page, "kit-focus_x").input_value()) == pytest.approx(focus, abs=0.003)
    expect(find_number_field(page, "kit-focus_y")).to_have_value("0")
    expect(page.locator("#kit-live img")).not_to_have_attribute("src", before)
    wait_until(studio.is_idle, 60)

    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - wide / 2, y, steps=4)
    page.mouse.up()
    expect(find_number_field(page, "kit-focus_x")).to_have_value("0.6")  # the photo ends there
    assert 1 - (right - left) / 2 == pytest.approx(0.6, abs=0.001)
    open_menu(page, "kit")
    page.locator("#kit-back").click()
    for field, rest in (("focus_x", "0"), ("focus_y", "0"), ("zoom", "1")):
        expect(find_number_field(page, f"kit-{field}")).to_have_value(rest)
    expect(page.locator("#kit-live img")).to_have_attribute("src", before)


def test_a_crop_is_moved_while_its_next_draft_is_drawn(page: Page, studio: ServedPage) -> None:
    show_example(page, studio, "kit", "astronaut")
    crop = page.locator("#kit-stage [data-crop]")
    expect(crop).to_have_count(1)
    studio.gate.open.clear()
    page.locator("#kit-headline textarea").fill("Adopt me")
    page.locator("#kit-headline textarea").blur()
    expect(crop).to_have_count(0)  # the line says how far the draft is, and the picture is still the one before
    image = page.locator("#kit-live img").bounding_box()
    assert image is not None
    x, y = image["x"] + image["width"] / 2, image["y"] + image["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - image["width"] / 10, y, steps=4)
    page.mouse.up()
    expect(find_number_field(page, "kit-focus_x")).not_to_have_value("0")
    studio.gate.open.set()
    expect(crop).to_have_count(1)


def test_two_fingers_crop_and_what_they_cut_is_said(browser: Browser, studio: ServedPage) -> None:
    with open_browser_page(browser, studio, width=390, height=844, phone=True) as page:
        before = show_example(page, studio, "kit", "coffee")
        page.locator("#kit-box").scroll_into_view_if_needed()
        pinch_picture(page, "#kit-box", across=-0.1, apart=2.0)
        expect(find_number_field(page, "kit-zoom")).to_have_value("2")
        expect(find_number_field(page, "kit-focus_x")).not_to_have_value("0")
        expect(page.locator("#kit-live img")).not_to_have_attribute("src", before)
        expect(find_progress_line(page, "kit")).to_contain_text("Your crop cuts the subject: Instagram post, ")
        open_menu(page, "kit")
        page.locator("#kit-back").tap()
        expect(find_number_field(page, "kit-zoom")).to_have_value("1")
        expect(find_progress_line(page, "kit")).not_to_contain_text("Your crop cuts")


def test_a_double_click_looks_closer_and_escape_looks_away(page: Page, studio: ServedPage) -> None:
    show_example(page, studio, "product", "coffee")
    image = page.locator("#product-live img")
    width = (image.bounding_box() or {"width": 0})["width"]
    image.dblclick()
    assert (image.bounding_box() or {"width": 0})["width"] > 2 * width
    page.keyboard.press("Escape")
    assert (image.bounding_box() or {"width": 0})["width"] == width


def test_variations_lie_on_a_sheet_are_compared_with_each_other_and_come_in_another_size(
    page: Page, studio: ServedPage
) -> None:
    show_example(page, studio, "headshot", "hopper")
    page.locator("#headshot-variations label", has_text="2").click()
    wait_until(studio.is_idle, 60)
    page.locator("#headshot-generate").click()
    tiles = page.locator("#headshot-variation label")
    expect(tiles).to_have_count(2)
    pictures = {tile.evaluate("node => getComputedStyle(node, '::before').backgroundImage") for tile in tiles.all()}
    assert len(pictures) == 2
    assert all(picture.startswith('url("data:image/jpeg') for picture in pictures)

    photo = page.locator("#headshot-before img").get_attribute("src") or ""
    page.locator("#headshot-versus label", has_text="2").click()
    expect(page.locator("#headshot-before img")).not_to_have_attribute("src", photo)
    expect(page.locator("#headshot-before img")).to_have_attribute("alt", "Variation 2")
    page.locator("#headshot-versus label", has_text="Your photo").click()
    expect(page.locator("#headshot-before img")).to_have_attribute("src", photo)

    open_menu(page, "headshot")
    expect(page.locator("#headshot-size-of-file")).to_contain_text("Size of the file")
    page.locator("#headshot-size-of-file input").click()
    page.get_by_role("option", name="768 px").click()
    expect(find_progress_line(page, "headshot")).to_contain_text("768 × 768 px")
    with page.expect_download() as caught:
        page.locator("#headshot-save").click()
    with PIL.Image.open(caught.value.path()) as picture:
        assert picture.size == (768, 768)


def test_a_german_browser_is_spoken_to_in_german_down_to_the_stage_line(
    browser: Browser, studio: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubt = f"{MISSING_PART} in the middle: the cut-out is half transparent there. Point at it, or paint it in."
    monkeypatch.setattr(tool_tab_text, "list_doubts", lambda receipt: [doubt])
    with open_browser_page(browser, studio, locale="de-DE") as page:
        open_tool(page, studio, "cutout")
        expect(page.locator("#cutout-generate")).to_have_text("Erzeugen")
        expect(page.locator("#tab-cutout h1")).to_have_text("Freisteller")
        expect(page.locator("#tab-home-button")).to_have_text("Startseite")
        expect(page.locator("#cutout-trim")).to_contain_text("Auf das Motiv beschneiden.")
        page.locator("#cutout-example-coffee").click()
        expect(find_progress_line(page, "cutout")).to_contain_text("Entwurf, klein und schnell")
        assert page.evaluate("document.documentElement.lang") == "de"
        expect(page.locator("#cutout-box .dbx-doubt p")).to_contain_text("Vielleicht fehlt in der Mitte ein Teil")


def test_no_other_sites_card_and_no_other_sites_sign(page: Page, studio: ServedPage) -> None:
    text = page.request.get(studio.url).text()
    head = text[: text.index("window.gradio_config")]
    assert "raw.githubusercontent.com" not in head
    assert "Startseite" not in text, "German is sent to those who speak it"
    assert 'property="og:title" content="DesignerBox"' in head
    card = head.split('property="og:image" content="')[1].split('"')[0]
    assert card.startswith(studio.url)
    assert page.request.get(card).headers["content-type"] == "image/jpeg"
    assert page.request.get(f"{studio.url}/favicon.ico").headers["content-type"] == "image/png"


def test_an_offered_place_that_is_pressed_is_drafted_and_made(page: Page, studio: ServedPage) -> None:
    open_tool(page, studio, "background")
    page.locator("#background-example-astronaut").click()
    offered = page.locator("#background-tool .dbx-suggested button")
    expect(offered).to_have_count(3)
    wait_until(studio.is_idle, 60)
    plain, title = page.locator("#background-live img").get_attribute("src") or "", offered.first.inner_text()
    offered.first.click()
    expect(offered).to_have_count(0)
    expect(page.locator("#background-preset label:has(input:checked)")).to_have_text(title)
    expect(find_progress_line(page, "background")).to_contain_text("Draft, small for speed")
    expect(page.locator("#background-live img")).not_to_have_attribute("src", plain)
    page.locator("#background-generate").click()
    expect(page.locator("#background-save")).to_be_enabled()
    made = studio.service.jobs.list_jobs("local", 1, tool="background")[0]
    assert SCENES[made.job.params["preset"]].title == title
    assert made.result is not None
    picture = studio.service.files.open_image(made.result.files[0].id)
    assert np.ptp(picture[: len(picture) // 8].astype(int), axis=(0, 1)).max() > 60, "a place is no plain paper"


def test_a_closest_scene_that_is_clicked_is_drawn(page: Page, studio: ServedPage) -> None:
    open_tool(page, studio, "background")
    page.locator("#background-prompt textarea").fill("snowy mountain village")
    page.locator("#background-generate").click()
    pictures = page.locator(".dbx-closest:visible button")
    expect(pictures).to_have_count(3)
    title = pictures.first.inner_text()
    pictures.first.click()
    expect(page.locator("#background-prompt textarea")).to_have_value(title)
    expect(page.locator(".dbx-closest:visible")).to_have_count(0)
    wait_until(studio.is_idle, 60)


def test_on_a_phone_settings_stay_in_place_when_something_comes_above_them(
    browser: Browser, studio: ServedPage
) -> None:
    delete_visitor_jobs(studio)
    with open_browser_page(browser, studio, width=390, height=844, phone=True) as page:
        show_example(page, studio, "product", "coffee")
        page.locator("#product-preset").evaluate("node => node.scrollIntoView({ block: 'start' })")
        place = page.locator("#product-preset label").nth(3)
        before = place.bounding_box()
        page.locator("#product-box").evaluate("node => { node.style.marginBottom = '120px'; }")  # as variations do
        page.evaluate(SETTLED_JS)
        assert place.bounding_box() == pytest.approx(before, abs=2)


def test_on_a_phone_the_headline_is_written_under_the_picture_that_it_stands_on(
    browser: Browser, studio: ServedPage
) -> None:
    delete_visitor_jobs(studio)
    with open_browser_page(browser, studio, width=390, height=844, phone=True) as page:
        show_example(page, studio, "kit", "coffee")
        picture, words, photo = (page.locator(f"#kit-{each}").bounding_box() for each in ("box", "headline", "photo"))
        assert picture is not None
        assert words is not None
        assert photo is not None
        assert picture["y"] < words["y"] < picture["y"] + picture["height"] + 60
        assert words["y"] < photo["y"]


def test_a_phone_shows_the_closest_scenes_of_a_wish_after_generate(browser: Browser, studio: ServedPage) -> None:
    with open_browser_page(browser, studio, width=390, height=844, phone=True) as page:
        open_tool(page, studio, "background")
        page.locator("#background-example-astronaut").click()
        expect(find_progress_line(page, "background")).to_contain_text("Draft, small for speed")
        words = page.locator("#background-prompt textarea")
        words.fill("beach at sunset")
        words.blur()
        pictures = page.locator("#background-stage .dbx-closest button")
        expect(pictures).to_have_text(["Sunset", "City at Sunset", "Sand Dunes"])
        words.scroll_into_view_if_needed()
        wait_until(studio.is_idle, 60)
        page.locator("#background-generate").tap()
        expect(find_progress_line(page, "background")).to_contain_text("Done in")
        wait_until(lambda: 0 <= (pictures.first.bounding_box() or {"y": -1})["y"] < 500, 30)
        pictures.first.tap()
        expect(words).to_have_value("Sunset")
        expect(page.locator("#background-stage .dbx-closest")).to_have_count(0)
