"""The page on inference shows the visitor's own picture, its steps under a slider, and what was measured."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.studio_page import ServedPage, find_progress_line, open_tool

TOOL_IDS: tuple[str, ...] = ()


def test_the_visitors_own_drawing_is_scrubbed_step_by_step_and_measured(page: Page, studio: ServedPage) -> None:
    open_tool(page, studio, "slow")
    page.locator("#slow-example-coffee").click()
    expect(find_progress_line(page, "slow")).to_contain_text("Draft, small for speed")
    studio.gate.pause = 0.25  # a preview each step: five a second are let through
    page.locator("#slow-generate").click()
    expect(page.locator("#slow-save")).to_be_enabled()

    page.evaluate("location.hash = 'learn'")
    expect(page.locator("#learn-way")).to_contain_text("Slow Motion")
    expect(page.locator("#learn-spent li")).not_to_have_count(0)
    page.locator("#learn-run").click()
    images = page.locator("#learn-film img")
    expect(images).to_have_count(4)
    expect(page.locator("#learn-film figcaption")).to_contain_text("The finished picture")
    result = page.locator("#learn-way .dbx-stop img").last.get_attribute("src") or ""
    assert result.startswith("data:image/jpeg")
    expect(images.last).to_have_attribute("src", result)  # it ends with what was made, not with a step before that
    slider = page.locator("#learn-film input")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.locator("#learn-film figcaption")).to_contain_text("step 1 of 3")
    expect(images.first).to_be_visible()
    expect(images.last).to_be_hidden()

    page.locator("#learn-measure").click()
    expect(page.locator("#learn-measured li")).to_have_count(4)
    expect(page.locator("#learn-measured")).to_contain_text("A square of your photo")


def test_more_steps_on_a_slower_device_take_longer_by_the_stated_arithmetic(page: Page, studio: ServedPage) -> None:
    page.goto(f"{studio.url}/#learn")
    steps = page.locator(".dbx-plot input")
    steps.focus()
    page.keyboard.press("End")
    said = page.locator(".dbx-plot .dbx-said").all_text_contents()  # of SVG, which has no inner text
    assert said == ["1900 s", "1200 s", "3.2 s", "0.85 s"]  # 50 steps x 10.2 TFLOP over each rate
