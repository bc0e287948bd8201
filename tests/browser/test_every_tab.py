"""What holds for every tab, light and dark, at a desk and on a phone.

axe-core (MPL-2.0) judges; the package `axe-playwright-python` brings it, for tests alone: no visitor is sent it.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from pipelines.core.stream import wait_for_result
from tests.browser.studio_page import (
    ServedPage,
    find_progress_line,
    list_tabs,
    open_browser_page,
    open_tool,
    show_tab,
)
from tests.support.examples import EXAMPLES
from tests.support.served_app import wait_until
from ui import settings_tab

FREEZE_ANIMATIONS_JS = (
    "*, *::before, *::after { transition: none !important; animation: none !important }"
    ".gradio-container .dbx-go { position: static !important }"
)
"""axe reads colours at once, not after they have faded in, and takes what lies under a sticky bar for its text."""
SERIOUS_IMPACTS = ("serious", "critical")
UNFOLD_JS = """(tab) => {
  document.querySelectorAll(`${tab} .dbx-more > button:not(.open)`).forEach((fold) => fold.click());
  document.querySelectorAll(`${tab} details`).forEach((fold) => { fold.open = true; });
  return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""
REMOVE_TAB_JS = "(tab) => document.getElementById(`tab-${tab}`).remove()"
"""What was judged is taken out: axe and the page walk through all that was opened, and each tab would slow the next."""
COLOUR_RULES = ["color-contrast", "link-in-text-block"]
"""The rules that a theme can break and another width cannot."""
RUN_AXE_JS = """([area, dark, rules]) => {
  document.body.classList.toggle("dark", dark);
  const slight = axe._audit.rules.filter((rule) => ["minor", "moderate"].includes(rule.impact));
  const off = Object.fromEntries(slight.map((rule) => [rule.id, { enabled: false }]));
  const asked = { resultTypes: ["violations"], preload: false, ...rules, rules: { ...off, ...rules.rules } };
  return axe.run(area, asked).then((found) => found.violations);
}"""
"""What a rule finds has that rule's impact, so a rule that finds nothing serious need not run."""
SHOWN_PICTURE_JS = "document.querySelector('#upscale-live img')?.src"
MAX_DRAFT_CALLS = 1_000_000
"""Calls of functions that a draft may cost the page: 300,000 with our patch of Gradio's scripts, 8 million without."""
ALL_RULES: dict[str, object] = {}
ONLY_COLOUR_RULES: dict[str, object] = {"runOnly": COLOUR_RULES}
NO_COLOUR_RULES: dict[str, object] = {"rules": {name: {"enabled": False} for name in COLOUR_RULES}}


def find_violations(page: Page, tab: str, dark: bool, rules: dict[str, object]) -> list[str]:
    """What axe finds serious or critical on a tab: rule, place and reason."""
    found = page.evaluate(RUN_AXE_JS, ["body" if tab == "home" else f"#tab-{tab}", dark, rules])
    return [
        f"{tab}, {'dark' if dark else 'light'}: {row['id']} {node['target']} {node['failureSummary']}"
        for row in found
        if row["impact"] in SERIOUS_IMPACTS
        for node in row["nodes"]
    ]


def find_other_name(page: Page, tab: str) -> list[str]:
    """A tab that is called otherwise in the navigation than on its page; the first page says what all are for."""
    link = page.locator(f'.dbx-nav a[href="#{tab}"]')
    name = (link.text_content() or "").removesuffix("".join(link.locator("small").all_text_contents())).strip()
    heading = page.locator(f"#tab-{tab} h1").first.text_content() or ""
    return [f"{tab}: {name}, {heading}"] if tab != "home" and name.casefold() not in heading.casefold() else []


def finish_job(studio: ServedPage, tool: str, **values: object) -> None:
    """A picture that its tab shows as soon as it is opened."""
    photo = next(row.file_id for row in studio.service.uploads.list_examples() if row.name == "coffee")
    wait_for_result(
        studio.service.jobs.submit_and_watch(studio.service.create_job(tool, {"photo": photo, **values}, "local"))
    )


def show_refusal(page: Page, studio: ServedPage) -> None:
    """A headshot of a cup: the tab says that there is no face, for as long as the cup is there."""
    show_tab(page, "headshot")
    page.locator("#headshot-photo input[type=file]").first.set_input_files(EXAMPLES / "coffee.jpg")
    expect(page.locator("#tab-headshot .dbx-alert[role=alert]").first).to_contain_text("face")
    wait_until(studio.is_idle, 60)


def set_width(page: Page, tab: str, width: int) -> None:
    """The open tab at another width, all of its folds open: nothing of it is wider."""
    page.set_viewport_size({"width": width, "height": 844})
    page.evaluate(UNFOLD_JS, f"#tab-{tab}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, (tab, width)


def test_every_tab_fits_and_axe_finds_nothing_serious_in_it(browser: Browser, studio: ServedPage) -> None:
    """At a desk and on a phone, in both themes; one tab has a finished picture, one a refusal, the others neither."""
    finish_job(studio, "product", size=512)
    with open_browser_page(browser, studio, height=844) as page:
        page.goto(studio.url)
        page.locator(".dbx-cards").wait_for()
        page.add_style_tag(content=FREEZE_ANIMATIONS_JS)
        page.evaluate(Axe().axe_script)
        show_refusal(page, studio)
        found: list[str] = []
        for tab in list_tabs(studio):
            show_tab(page, tab)
            if tab == "product":
                expect(page.locator("#product-save")).to_be_enabled()
                assert "Relit" not in (page.locator("#product-stage").text_content() or "")  # nothing was
            for width, looks in (
                (1280, ((False, ALL_RULES), (True, ONLY_COLOUR_RULES))),
                (390, ((False, NO_COLOUR_RULES),)),
            ):
                set_width(page, tab, width)
                found += [row for dark, rules in looks for row in find_violations(page, tab, dark, rules)]
            menu = page.locator(f"#tab-{tab} .dbx-menu").all_text_contents()  # closed, so that none of it is visible
            words = " ".join([page.locator(f"#tab-{tab}").inner_text(), *menu])
            found += [f"{tab}: {match.group()}" for match in WORDS_OF_THE_TRADE.finditer(words)]
            found += find_other_name(page, tab)
            found += page.evaluate(FIND_LARGE_PHOTOS_JS, tab)
            if tab == "product":
                expect(page.locator("#product-backdrop")).to_contain_text("Drop a picture")
                zero = page.locator("#tab-product [data-zero='as in the look']")
                expect(zero).to_have_count(1)
                assert (zero.bounding_box() or {"height": 99})["height"] < 60, "two lines at most"
                number = zero.locator("input")
                expect(number).to_have_css("color", "rgba(0, 0, 0, 0)")  # the words stand in place of 0
                expect(number).to_have_attribute("aria-valuetext", "as in the look")
                number.focus()
                expect(number).not_to_have_css("color", "rgba(0, 0, 0, 0)")
                number.blur()
            page.evaluate(REMOVE_TAB_JS, tab)
        assert not found, "\n".join(found)


FIND_OVERFLOW_JS = """(tab) => [
    ...document.querySelectorAll(`#tab-${tab} :is(button, label, input, select, textarea, a, p)`)]
  .filter((node) => {
    const box = node.getBoundingClientRect();
    if (!node.offsetParent || !box.width || (box.right <= innerWidth + 1 && box.left >= -1)) return false;
    for (let at = node.parentElement; at; at = at.parentElement) // what scrolls by itself may be wider
      if (["auto", "scroll"].includes(getComputedStyle(at).overflowX)) return false;
    return true;
  }).map((node) => `${tab}: ${node.id || node.textContent.slice(0, 40)}`)"""


FIND_SMALL_TARGETS_JS = """(tab) => [
    ...document.querySelectorAll(`#tab-${tab} :is(button, a, input, select, summary, textarea)`)]
  .filter((node) => node.offsetParent && !node.closest(".dbx-card h3, .sr-only, p"))
  .map((node) => [node, (node.closest("label, .wrap-inner") ?? node).getBoundingClientRect()])
  .filter(([node, box]) => box.height > 1 && Math.max(box.height, node.getBoundingClientRect().height) < 43.5)
  .map(([node, box]) => `${tab}: ${Math.round(box.height)} px, ${node.id || node.ariaLabel || node.textContent}`)"""
"""What a finger is to hit and is too low for one. A card's link is as large as its card."""
WORDS_OF_THE_TRADE = re.compile(
    r"(?<![-\"])\bmattes?\b|\binpaint\w*|Draft · Draft|Away with it|Apply settings again|Automatic (placement|crop)",
    re.IGNORECASE,
)
"""What strangers did not understand; a file's name and the code of a request may say it."""
FIND_ENGLISH_JS = """(tab) => {
  const english = new RegExp("\\\\b(the|of|and|with|your|you|are|left|this|pictures?|rows|done|drop|may|take|seed)\\\\b"
    + "|\\\\d\\\\.\\\\d+ (s|[MG]B|TFLOP)", "i");
  const found = [], walk = document.createTreeWalker(document.getElementById(`tab-${tab}`), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const { data, parentElement: at } = walk.currentNode;
    const is_ours = !at.closest("style, script, code, pre, textarea, .cm-editor, [translate=no]");
    if (at.offsetParent && is_ours && english.test(data)) found.push(`${tab}: ${data.trim()}`);
  }
  return found;
}"""
"""Visible text that is not German, a number in the English way among it."""
FIND_BROKEN_NAMES_JS = """() => [...document.querySelectorAll(".dbx-nav > ul > li b")]
  .filter((name) => name.offsetWidth > name.closest("li").offsetWidth || name.offsetHeight > 24)
  .map((name) => name.textContent)"""
"""Names in the bar at the bottom that stand in two lines, or over their neighbours."""
FIND_BROKEN_WORDS_JS = """(tab) => [...document.querySelectorAll(`#tab-${tab} :is(h1, h2, h3, button, .dbx-pairs b)`)]
  .filter((node) => node.offsetParent && !node.closest(".dbx-tiles, .cm-editor")).flatMap((node) => {
    const broken = [], walk = document.createTreeWalker(node, NodeFilter.SHOW_TEXT), range = document.createRange();
    while (walk.nextNode()) for (const word of walk.currentNode.data.matchAll(/[\\p{L}\\d]+/gu)) {
      range.setStart(walk.currentNode, word.index);
      range.setEnd(walk.currentNode, word.index + word[0].length);
      const lines = new Set([...range.getClientRects()].filter((row) => row.width).map((row) => Math.round(row.top)));
      if (lines.size > 1) broken.push(`${tab}: ${word[0]} stands in ${lines.size} lines`);
    }
    return broken;
  })"""
"""Words of headings and buttons that are torn in two."""
FIND_COVERED_CHOICES_JS = """(tab) => [...document.querySelectorAll(`#tab-${tab} .dbx-filters .wrap-inner`)]
  .filter((field) => {
    const input = field.querySelector("input"), arrow = field.querySelector(".icon-wrap");
    if (!input?.offsetParent || !arrow?.getBoundingClientRect().width || !input.value) return false;
    const pen = document.createElement("canvas").getContext("2d"), style = getComputedStyle(input);
    pen.font = style.font;
    const left = input.getBoundingClientRect().left + parseFloat(style.paddingLeft);
    return left + pen.measureText(input.value).width > arrow.getBoundingClientRect().left + 1;
  }).map((field) => `${tab}: "${field.querySelector("input").value}" lies under its arrow`)"""
FIND_LARGE_PHOTOS_JS = """(tab) => [...document.querySelectorAll(`#tab-${tab} .dbx-photo`)]
  .filter((node) => node.offsetParent && !node.id.endsWith("-photo") && node.id !== "verify-picture")
  .filter((node) => node.offsetHeight > 118 || node.textContent.includes("Drop a photo"))
  .map((node) => `${tab}: ${node.id} looks like the place for the photo`)"""
"""Fields for a logo, a backdrop and the like that are taken for that of the photo itself."""
MAX_FOLDED_HEIGHT_PX = 3700
"""Pixels of the first page's height on a phone: not more than four and a half screens."""


def test_longer_german_words_break_out_of_no_tab_and_a_finger_hits_what_is_there(
    browser: Browser, studio: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory: Any = SimpleNamespace(device="cpu", budget_bytes=12_600_000_000)
    told = settings_tab.render_about(studio.service.profile, memory)
    monkeypatch.setattr(settings_tab, "render_about", lambda *_: told)
    finish_job(studio, "kit")
    found: list[str] = []
    with open_browser_page(browser, studio, width=390, height=844, locale="de-DE", phone=True) as page:
        page.goto(studio.url)
        page.locator(".dbx-cards").wait_for()
        assert page.evaluate("document.documentElement.scrollHeight") < MAX_FOLDED_HEIGHT_PX
        assert page.evaluate(FIND_BROKEN_NAMES_JS) == []
        for tab in list_tabs(studio):
            show_tab(page, tab)
            if tab == "kit":
                expect(page.locator("#kit-also a")).to_be_visible()
            if tab == "library":
                expect(page.locator("#library-where")).to_have_text(re.compile(r"^\s*1–\d von \d\s*$"))
            if tab == "upscale":
                page.locator("#upscale-photo input[type=file]").set_input_files(EXAMPLES / "README.md")
                expect(page.locator("#upscale-photo [role=alert]")).to_contain_text("Diese Datei ist kein Bild")
            if tab == "settings":
                expect(page.locator("#settings-about")).to_contain_text(", Modelle dürfen bis zu 12,6 GB nehmen.")
            for width in (390, 1280):
                set_width(page, tab, width)
                found += [f"{width}, {row}" for row in page.evaluate(FIND_OVERFLOW_JS, tab)]
                found += page.evaluate(FIND_SMALL_TARGETS_JS, tab) if width == 390 else []
                found += page.evaluate(FIND_BROKEN_WORDS_JS, tab) + page.evaluate(FIND_COVERED_CHOICES_JS, tab)
            found += page.evaluate(FIND_ENGLISH_JS, tab)
            found += find_other_name(page, tab)
            page.evaluate(REMOVE_TAB_JS, tab)
    assert not found, "\n".join(found)


def count_draft_calls(page: Page, example: str) -> int:
    """Calls of functions in the page's scripts for a draft of an example photo in Upscale."""
    session = page.context.new_cdp_session(page)
    shown = page.evaluate(SHOWN_PICTURE_JS)
    session.send("Profiler.enable")
    session.send("Profiler.startPreciseCoverage", {"callCount": True, "detailed": False})
    page.locator(f"#upscale-example-{example}").click()
    page.wait_for_function(f"shown => {SHOWN_PICTURE_JS} !== shown", arg=shown)
    expect(find_progress_line(page, "upscale")).to_contain_text("Draft, small for speed")
    scripts = session.send("Profiler.takePreciseCoverage")["result"]
    session.send("Profiler.disable")
    return sum(part["count"] for script in scripts for row in script["functions"] for part in row["ranges"])


def test_a_draft_costs_the_page_no_more_when_all_tabs_were_opened(page: Page, studio: ServedPage) -> None:
    """Gradio tells every component its status at each message: with all open a draft took three times as long."""
    open_tool(page, studio, "upscale")
    assert count_draft_calls(page, "chelsea") < MAX_DRAFT_CALLS
    for tab in list_tabs(studio):
        show_tab(page, tab)
    show_tab(page, "upscale")
    assert count_draft_calls(page, "hopper") < MAX_DRAFT_CALLS
