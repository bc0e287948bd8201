"""The API tab's console, and Code for the API under a tool's Generate button."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Page, expect

from tests.browser.studio_page import ServedPage, open_tool, show_tab
from tests.support.served_app import wait_until

TOOL_IDS = ("background",)


def test_the_console_sends_what_is_in_the_box_and_shows_events_as_they_come(page: Page, studio: ServedPage) -> None:
    studio.gate.open.clear()
    page.goto(studio.url)
    page.locator(".dbx-cards").wait_for()
    show_tab(page, "api")
    console = page.locator(".dbx-console")
    console.locator("select").select_option("slow")
    body = json.loads(console.locator("textarea").input_value())
    console.locator("textarea").fill(json.dumps({**body, "steps": 4}))
    console.get_by_role("button", name="Send").click()
    log = console.locator("ol li")
    expect(log.filter(has_text="queued")).to_have_count(1)
    expect(log.filter(has_text="result")).to_have_count(0)
    studio.gate.open.set()
    expect(log.filter(has_text="Brightening")).not_to_have_count(0)
    expect(log.filter(has_text='"status":"done"')).to_have_count(1)
    expect(console.locator("output")).to_have_text("Done")
    expect(console.locator("output")).to_be_in_viewport()  # the answer stands where Send was clicked
    expect(console.locator("img")).to_have_attribute("src", re.compile("^blob:"))


def test_stop_in_the_console_stops_the_job_and_a_refusal_is_shown(page: Page, studio: ServedPage) -> None:
    studio.gate.pause = 0.05
    page.goto(studio.url)
    page.locator(".dbx-cards").wait_for()
    show_tab(page, "api")
    console = page.locator(".dbx-console")
    console.locator("select").select_option("slow")
    body = json.loads(console.locator("textarea").input_value())
    console.locator("textarea").fill(json.dumps({**body, "steps": 200}))
    console.get_by_role("button", name="Send").click()
    expect(console.locator("ol li").filter(has_text="Brightening")).not_to_have_count(0)
    console.get_by_role("button", name="Stop").click()
    expect(console.locator("output")).to_have_text("Stopped")
    wait_until(studio.is_idle)
    console.locator("textarea").fill('{"steps": 0}')
    console.get_by_role("button", name="Send").click()
    expect(console.locator("ol li").filter(has_text="invalid_request")).to_have_count(1)
    expect(console.locator("output")).to_have_text("Refused · 'Photo' is missing.")


def test_code_follows_the_form_while_it_is_open(page: Page, studio: ServedPage) -> None:
    open_tool(page, studio, "background")
    page.locator("#background-as-code > button").click()
    code = page.locator("#background-code-text .cm-content")
    expect(code).to_contain_text("/v1/tools/background")
    page.locator("#background-more > button").click()
    expect(page.locator("#background-seed :is(input, textarea)")).to_have_value("")  # seen, and still none
    words = page.locator("#background-prompt textarea")
    words.fill("a forest of code")
    words.blur()
    expect(code).to_contain_text("prompt=a forest of code")
    expect(code).not_to_contain_text("seed")
    page.locator("#background-code-with").get_by_label("Python: gradio_client").check()
    expect(code).to_contain_text("from gradio_client import Client")
    expect(code).to_contain_text('prompt="a forest of code"')
