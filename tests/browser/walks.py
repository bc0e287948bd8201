"""Walks from the empty page to something in hand, each action with a picture: `python -m tests.browser.walks`.

Writes `docs/walks.md` with its pictures, and a picture of every tab for the README. The headshot's walk is a test too.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import PIL.Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.browser.studio_page import (
    CHROMIUM,
    CHROMIUM_FLAGS,
    ServedPage,
    delete_visitor_jobs,
    list_tabs,
    open_browser_page,
    serve_browser_page,
    show_tab,
)
from tests.support.examples import EXAMPLES

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
PICTURE_WIDTH_PX = 720
"""Pixels of a picture's width at most: enough to read a heading, and some twenty kilobytes."""
BESIDE_OTHERS = """
## The same five tasks elsewhere

Here: the actions of the walks on a phone above, up to the file; screens are the first page, where the walk touches
it, and the tool's. Elsewhere: the steps that the page behind the number names, counted by us, none of them done by
us: Photoroom and Canva need an account, InvokeAI a GPU and a diffusion model. No page tells a whole way to the file
and none tells screens, so that these are no counts of the same thing. A dash: no page that could be read names the
steps of this task; for Canva's way to a headshot, to white, to an eraser and to a post there is none either.

| task | here | elsewhere |
|---|---|---|
| headshot for LinkedIn | {headshot}, 2 screens | – |
| product on white | {product}, 2 screens | Photoroom names 2: import, choose a template [2]; not the export |
| a thing erased | {erase}, 2 screens | InvokeAI names 7: import, mask layer, brush, prompt, Invoke, accept, save [1] |
| a post with a headline | {post}, 2 screens | InvokeAI names 3 for words: font, type, Enter [3]; no platform's format |
| a batch of four | {batch}, 2 screens | Canva names 4 after template and sheet: open, upload, connect, generate [4] |

[1] [Unified Canvas](https://github.com/invoke-ai/InvokeAI/blob/18c43a672eec02a6c39b8b563789ec3d0d3029fe/docs/features/UNIFIED_CANVAS.md)
[2] [Skip background removal](https://help.photoroom.com/en/articles/12983525-how-skip-background-removal-works)
[3] [Text Tool](https://github.com/invoke-ai/InvokeAI/blob/5e57b610bd684a9f18e128dec0b6885e3be8cafd/docs/features/Text_tool.md)
[4] [a guide that is not Canva's own](https://postprep.app/blog/how-to-use-canva-bulk-create-with-images-the-complete-guide)
"""
"""What the same tasks take elsewhere; the places of our own counts are filled in from the walks."""
FIVE_TASKS = {
    "headshot": "On a phone: a headshot for LinkedIn",
    "product": "On a phone: a product on white",
    "erase": "On a phone: a thing is erased",
    "post": "On a phone: a post with a headline",
    "batch": "On a phone: a batch of four",
}
PHONE_SIZE_PX = 390, 844
"""Width and height of the phone on which a stranger does the five tasks."""


@dataclass
class Walk:
    """What was done, one line an action, with a picture of what followed."""

    title: str
    page: Page
    folder: Path | None = None
    actions: list[tuple[str, str]] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    def record_action(self, sentence: str, action: Callable[[], object], then: Callable[[], object]) -> None:
        """One action of the visitor's, and what is waited for."""
        action()
        then()
        self.seconds = time.monotonic() - self.since
        name = f"{re.sub('[^a-z]+', '-', self.title.lower())}-{len(self.actions) + 1}.webp"
        if self.folder is not None:
            save_screenshot(self.page, self.folder / name)
        self.actions.append((sentence, name))


def save_screenshot(page: Page, path: Path) -> None:
    """What is in view, small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with PIL.Image.open(io.BytesIO(page.screenshot())) as shot:
        shot = shot.convert("RGB")
        shot.thumbnail((PICTURE_WIDTH_PX, shot.height), PIL.Image.Resampling.LANCZOS)
        shot.save(path, quality=72, method=6)


def walk_headshot(page: Page, studio: ServedPage, photo: Path, folder: Path | None = None) -> Walk:
    """A stranger's photo to a downloaded headshot; the page is open and empty."""
    page.goto(studio.url)
    page.locator("#home-photo input[type=file]").wait_for(state="attached")
    walk = Walk("A headshot", page, folder)
    walk.record_action(
        "Drop a photo on the first page. The page asks whether somebody is in it.",
        lambda: page.locator("#home-photo input[type=file]").set_input_files(photo),
        lambda: expect(page.locator("#home-consent label").first).to_be_visible(),
    )
    walk.record_action(
        "Say that they have given permission. Three drafts appear.",
        lambda: page.locator("#home-consent label").first.click(),
        lambda: wait_for_drafts(page, "Three headshots"),
    )
    walk.record_action(
        "Click a draft. Its tool opens with the same settings.",
        lambda: page.locator("#home-draft-2 img").click(),
        lambda: expect(page.locator("#headshot-stage")).to_contain_text("Draft, small for speed"),
    )
    walk.record_action(
        "Click Generate for the full size, 1024 px.",
        lambda: page.locator("#headshot-generate").click(),
        lambda: expect(page.locator("#headshot-save")).to_be_enabled(),
    )
    walk.record_action("Download.", lambda: download_file(page, "#headshot-save"), lambda: None)
    return walk


def walk_product(page: Page, studio: ServedPage, folder: Path | None = None) -> Walk:
    """A cup on a table to a shop's main picture."""
    page.goto(f"{studio.url}/#product")
    page.locator("#product-generate").wait_for()
    walk = Walk("A product shot", page, folder)
    walk.record_action(
        "Drop a photo of the product. A draft on white appears.",
        lambda: page.locator("#product-photo input[type=file]").set_input_files(EXAMPLES / "coffee.jpg"),
        lambda: expect(page.locator("#product-stage")).to_contain_text("Draft, small for speed"),
    )
    before = page.locator("#product-live img").get_attribute("src") or ""
    walk.record_action(
        "Choose Marble.",
        lambda: page.locator("#product-preset label", has_text="Marble").click(),
        lambda: wait_for_new_draft(page, "product", before),
    )
    return generate_and_download(walk, "product")


def walk_character(page: Page, studio: ServedPage, folder: Path | None = None) -> Walk:
    """Nothing at all to a sheet of one character in many moods."""
    page.goto(f"{studio.url}/#character")
    page.locator("#character-generate").wait_for()
    walk = Walk("A character sheet", page, folder)
    walk.record_action(
        "Choose a character: the chef. A draft appears.",
        lambda: page.locator("#character-preset label", has_text="Chef").click(),
        lambda: expect(page.locator("#character-stage")).to_contain_text("Draft,"),
    )
    before = page.locator("#character-live img").get_attribute("src") or ""
    walk.record_action(
        "Choose the sheet of moods and poses.",
        lambda: page.locator("#character-layout label", has_text="Sheet").click(),
        lambda: wait_for_new_draft(page, "character", before),
    )
    return generate_and_download(walk, "character")


def walk_batch(page: Page, studio: ServedPage, folder: Path | None = None) -> Walk:
    """Three photos to one ZIP."""
    page.goto(f"{studio.url}/#batch")
    page.locator("#batch-start").wait_for()
    return run_batch(Walk("A batch as one ZIP", page, folder), ("coffee", "chelsea", "hopper"))


def run_batch(walk: Walk, names: Sequence[str]) -> Walk:
    """The example photos of these names, cut out."""
    page, files = walk.page, [EXAMPLES / f"{name}.jpg" for name in names]
    walk.record_action(
        "Choose the tool for all rows: Cut-out.",
        lambda: choose_option(page, "#batch-which input", "Cut-out"),
        lambda: expect(page.locator("#batch-which input")).to_have_value(re.compile("^Cut-out")),
    )
    walk.record_action(
        "Drop the pictures.",
        lambda: page.locator("#batch-files input[type=file]").first.set_input_files(files),
        lambda: expect(page.locator("#batch-files .file-preview")).to_contain_text("coffee"),
    )
    walk.record_action(
        "Start.",
        lambda: page.locator("#batch-start").click(),
        lambda: expect(page.locator("#batch-stage")).to_contain_text(f"Done: {len(names)} of {len(names)}"),
    )
    walk.record_action(
        "Download all: pictures and a manifest, in one ZIP.", lambda: download_file(page, "#batch-save"), lambda: None
    )
    return walk


def walk_api_key(page: Page, studio: ServedPage, folder: Path | None = None) -> Walk:
    """A key for a program."""
    page.goto(f"{studio.url}/#api")
    page.locator("#api-new").wait_for()
    walk = Walk("A key for the API", page, folder)
    secret = page.locator("#api-secret input, #api-secret textarea")
    walk.record_action(
        "Give the key a name.",
        lambda: page.locator("#api-name input, #api-name textarea").first.fill("laptop"),
        lambda: None,
    )
    walk.record_action(
        "Create it. It is shown only once. The code on the page works as it is.",
        lambda: page.locator("#api-new").click(),
        lambda: expect(secret).to_have_value(re.compile("^sk-dbx-")),
    )
    return walk


# ---------------------------------------------------------------- the five tasks of a stranger, on a phone


def walk_linkedin_headshot(page: Page, studio: ServedPage, photo: Path, folder: Path | None = None) -> Walk:
    """A stranger's photo to a headshot for LinkedIn."""
    page.goto(studio.url)
    page.locator("#home-photo input[type=file]").wait_for(state="attached")
    walk = Walk("On a phone: a headshot for LinkedIn", page, folder)
    walk.record_action(
        "Take a photo on the first page. It asks whether somebody is in it.",
        lambda: page.locator("#home-photo input[type=file]").set_input_files(photo),
        lambda: expect(page.locator("#home-consent label").first).to_be_visible(),
    )
    walk.record_action(
        "Tap that they agree. Three drafts appear.",
        lambda: page.locator("#home-consent label").first.tap(),
        lambda: wait_for_drafts(page, "Three headshots"),
    )
    walk.record_action(
        "Tap a draft. Professional Headshots opens with it.",
        lambda: page.locator("#home-draft-1 img").tap(),
        lambda: expect(page.locator("#headshot-stage")).to_contain_text("Draft, small for speed"),
    )
    before = page.locator("#headshot-live img").get_attribute("src") or ""
    look = page.locator("#headshot-preset label", has_text="LinkedIn")
    if not look.locator("input").is_checked():
        walk.record_action("Choose LinkedIn.", lambda: look.tap(), lambda: wait_for_new_draft(page, "headshot", before))
    return generate_and_download(walk, "headshot")


def walk_product_on_white(page: Page, studio: ServedPage, photo: Path, folder: Path | None = None) -> Walk:
    """A product on somebody's table to the same on white."""
    page.goto(studio.url)
    page.locator("#home-photo input[type=file]").wait_for(state="attached")
    walk = Walk("On a phone: a product on white", page, folder)
    walk.record_action(
        "Take a photo on the first page. It asks whether somebody is in it.",
        lambda: page.locator("#home-photo input[type=file]").set_input_files(photo),
        lambda: expect(page.locator("#home-consent label").nth(1)).to_be_visible(),
    )
    walk.record_action(
        "Tap No. Three drafts appear.",
        lambda: page.locator("#home-consent label").nth(1).tap(),
        lambda: wait_for_drafts(page, "Three product"),
    )
    walk.record_action(
        "Tap the draft on white. Product Photos opens with it.",
        lambda: page.locator("#home-draft-1 img").tap(),
        lambda: expect(page.locator("#product-stage")).to_contain_text("Draft, small for speed"),
    )
    return generate_and_download(walk, "product")


def walk_erase(page: Page, studio: ServedPage, photo: Path, folder: Path | None = None) -> Walk:
    """A photo to the same without one thing in it."""
    page.goto(studio.url)
    page.locator(".dbx-cards").wait_for()
    walk = Walk("On a phone: a thing is erased", page, folder)
    open_from_menu(walk, "Edit", "Retouch", "retouch")
    canvas = page.locator("#retouch-editor canvas").first

    walk.record_action(
        "Take a photo. It can be painted on.",
        lambda: page.locator("#retouch-photo input[type=file]").set_input_files(photo),
        canvas.wait_for,
    )
    walk.record_action(
        "Paint over the light on the handle.",
        lambda: draw_stroke(page, canvas, ((0.605, 0.555), (0.63, 0.59))),
        lambda: expect(page.locator("#retouch-editor [data-do=undo]")).to_be_enabled(),
    )
    walk.record_action(
        "Tap Preview. A draft without it appears.",
        lambda: page.locator("#retouch-brush-use").tap(),
        lambda: expect(page.locator("#retouch-stage")).to_contain_text("Draft, small for speed"),
    )
    return generate_and_download(walk, "retouch")


def walk_post(page: Page, studio: ServedPage, photo: Path, folder: Path | None = None) -> Walk:
    """A photo to posts with a headline."""
    page.goto(studio.url)
    page.locator(".dbx-cards").wait_for()
    walk = Walk("On a phone: a post with a headline", page, folder)
    open_from_menu(walk, "Create", "Social and Marketing Kit", "kit")
    walk.record_action(
        "Take a photo. A draft appears.",
        lambda: page.locator("#kit-photo input[type=file]").set_input_files(photo),
        lambda: expect(page.locator("#kit-stage")).to_contain_text("Draft, small for speed"),
    )
    before = page.locator("#kit-live img").get_attribute("src") or ""

    def write_headline() -> None:
        page.locator("#kit-headline textarea").fill("Fresh every morning")
        page.locator("#kit-headline textarea").blur()

    walk.record_action("Write the headline.", write_headline, lambda: wait_for_new_draft(page, "kit", before))
    return generate_and_download(walk, "kit")


def walk_batch_of_four(page: Page, studio: ServedPage, folder: Path | None = None) -> Walk:
    """Four photos to one ZIP."""
    page.goto(studio.url)
    page.locator(".dbx-cards").wait_for()
    walk = Walk("On a phone: a batch of four", page, folder)
    walk.record_action(
        "Tap Batch.",
        lambda: page.locator(".dbx-nav a", has_text="Batch").tap(),
        lambda: page.locator("#batch-start").wait_for(),
    )
    return run_batch(walk, ("coffee", "chelsea", "hopper", "astronaut"))


def open_from_menu(walk: Walk, group: str, title: str, tool: str) -> None:
    """The two taps that lead to a tool from anywhere."""
    page = walk.page
    walk.record_action(
        f"Tap {group}.",
        lambda: page.locator(".dbx-nav summary", has_text=group).tap(),
        lambda: expect(page.locator(".dbx-nav a", has_text=title)).to_be_visible(),
    )
    walk.record_action(
        f"Tap {title}.",
        lambda: page.locator(".dbx-nav a", has_text=title).tap(),
        lambda: page.locator(f"#{tool}-generate").wait_for(),
    )


def draw_stroke(page: Page, canvas: Locator, points: Sequence[tuple[float, float]]) -> None:
    """A stroke through points of the canvas, in shares of its width and height."""
    box = canvas.bounding_box()
    assert box is not None
    for n, (right, down) in enumerate(points):
        page.mouse.move(box["x"] + right * box["width"], box["y"] + down * box["height"], steps=6)
        if n == 0:
            page.mouse.down()
    page.mouse.up()


def generate_and_download(walk: Walk, tool: str) -> Walk:
    """The last two actions of a tool's tab: the full size, and its file."""
    page = walk.page
    walk.record_action(
        "Generate.",
        lambda: page.locator(f"#{tool}-generate").click(),
        lambda: expect(page.locator(f"#{tool}-save")).to_be_enabled(),
    )
    walk.record_action("Download.", lambda: download_file(page, f"#{tool}-save"), lambda: None)
    return walk


def wait_for_new_draft(page: Page, tool: str, before: str) -> None:
    """Another draft than the one at the address `before` is there, and finished."""
    expect(page.locator(f"#{tool}-live img")).not_to_have_attribute("src", before)
    expect(page.locator(f"#{tool}-stage")).to_contain_text("Draft,")


def wait_for_drafts(page: Page, sentence: str) -> None:
    """The three drafts that this sentence stands over are there."""
    expect(page.locator("#home-stage")).to_contain_text(sentence)
    expect(page.locator("#home-open-3")).to_be_enabled()


def download_file(page: Page, button: str) -> Path:
    """The file that the button hands over."""
    with page.expect_download() as caught:
        page.locator(button).click()
    return Path(caught.value.path())


def choose_option(page: Page, field: str, option: str) -> None:
    """An option of a dropdown."""
    page.locator(field).click()
    page.get_by_role("option", name=option).click()
    page.wait_for_timeout(500)  # the list fades


def write_unknown_photo(folder: Path, name: str = "hopper") -> Path:
    """A photo that is none of ours to the studio: ours, turned around."""
    path = folder / "own.png"
    with PIL.Image.open(EXAMPLES / f"{name}.jpg") as photo:
        photo.convert("RGB").transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT).save(path)
    return path


def render_markdown(walks: Sequence[Walk]) -> str:
    """The page that tells of them."""
    made = "Written by `python -m tests.browser.walks`, which does the steps in Chromium; seconds are of that run."
    parts = ["# Walks", "", made]
    for walk in walks:
        count = len(walk.actions)
        parts += ["", f"## {walk.title}: {count} actions, {walk.seconds:.0f} s"]
        for n, (sentence, name) in enumerate(walk.actions, 1):
            parts += ["", f"{n}. {sentence}", "", f"   ![{sentence}](walks/{name})"]
    counts = {walk.title: str(len(walk.actions)) for walk in walks}
    beside = BESIDE_OTHERS.format(**{name: counts.get(title, "–") for name, title in FIVE_TASKS.items()})
    return "\n".join(parts) + "\n" + beside


def save_tab_pictures(browser: Browser, studio: ServedPage) -> None:
    """A picture of every tab, with an example in it where it takes one; else what the walks left there."""
    with open_browser_page(browser, studio) as page:
        page.goto(studio.url)
        page.locator(".dbx-cards").wait_for()
        for tab in sorted(list_tabs(studio), key="home".__eq__):  # last: its photo would go to every tool
            show_tab(page, tab)
            example = page.locator(f"#tab-{tab} .dbx-examples button").first
            if example.count() and example.is_visible():
                example.click()
                if tab == "home":
                    wait_for_drafts(page, "Three headshots")
                elif tab == "retouch":  # it waits for what is to be erased
                    page.locator("#retouch-editor canvas").first.wait_for()
                else:
                    expect(page.locator(f"#{tab}-stage")).to_contain_text("Draft,")
            page.wait_for_timeout(1200)
            page.mouse.wheel(0, -4000)
            save_screenshot(page, DOCS / "pictures" / "tabs" / f"{tab}.webp")


def walk_five_tasks(browser: Browser, studio: ServedPage, data: Path, folder: Path | None) -> Iterator[Walk]:
    """The five tasks of a stranger, each on a phone of its own; `data` is where their photos are written."""
    width, height = PHONE_SIZE_PX
    tasks = (
        (walk_linkedin_headshot, "hopper"),
        (walk_product_on_white, "coffee"),
        (walk_erase, "coffee"),
        (walk_post, "coffee"),
        (walk_batch_of_four, ""),
    )
    for task, name in tasks:
        delete_visitor_jobs(studio)
        with open_browser_page(browser, studio, width=width, height=height, phone=True) as page:
            photos = [write_unknown_photo(data, name)] if name else []
            yield task(page, studio, *photos, folder=folder)


@contextmanager
def _change_folder(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def write_walks() -> None:
    """Walk, write."""
    with (
        tempfile.TemporaryDirectory() as data,
        _change_folder(Path(data)),  # so that no picture shows where a machine keeps its temporary files
        sync_playwright() as playwright,
        serve_browser_page(Path("data"), gates=False, look_tiles=True) as studio,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        folder, walks = DOCS / "walks", []
        with open_browser_page(browser, studio) as page:
            walks.append(walk_headshot(page, studio, write_unknown_photo(Path(data)), folder))
        for walk in (walk_product, walk_character, walk_batch, walk_api_key):
            with open_browser_page(browser, studio) as page:
                walks.append(walk(page, studio, folder))
        walks += walk_five_tasks(browser, studio, Path(data), folder)
        (DOCS / "walks.md").write_text(render_markdown(walks), encoding="utf-8")
        save_tab_pictures(browser, studio)
        browser.close()


if __name__ == "__main__":
    write_walks()
