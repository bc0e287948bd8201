"""The looks' tiles show the visitor's own photo, drawn while nobody waits for anything."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.browser.studio_page import open_browser_page, serve_browser_page
from tests.support.examples import EXAMPLES

OWN_TILES_JS = "() => [...document.querySelectorAll('.dbx-styles style')].map(node => node.textContent).join('')"


def read_tiles(page: Page) -> set[str]:
    """The pictures that the tiles were given in place of the examples', as data URLs."""
    return set(page.evaluate(OWN_TILES_JS).split("url(")[1:])


def test_the_tiles_show_ones_own_photo_in_each_look_and_are_examples_again_without_it(
    browser: Browser, tmp_path: Path
) -> None:
    with (
        serve_browser_page(tmp_path, gates=False, only=("style",), look_tiles=True) as studio,
        open_browser_page(browser, studio) as page,
    ):
        page.goto(f"{studio.url}/#style")
        tile = page.locator("#style-preset label").nth(1)
        example = tile.evaluate("node => getComputedStyle(node, '::before').backgroundImage")
        assert "assets/tiles/style/" in example
        page.locator("#style-photo input[type=file]").set_input_files(EXAMPLES / "coffee.jpg")
        looks = page.locator("#style-preset label").count()
        page.wait_for_function(f"() => ({OWN_TILES_JS})().split('url(').length > {looks // 2}")
        assert tile.evaluate("node => getComputedStyle(node, '::before').backgroundImage").startswith(
            'url("data:image/'
        )
        assert len(read_tiles(page)) >= looks // 2  # no two are the same
        tile.click()  # what is drawn already stays, the rest follows
        page.wait_for_function(f"() => ({OWN_TILES_JS})().split('url(').length === {looks} + 1")
        page.locator("#style-photo").get_by_label("Remove Image").click()
        expect(page.locator("#style-stage")).to_contain_text("Add a photo")
        page.wait_for_function(f"() => !({OWN_TILES_JS})()")
        assert tile.evaluate("node => getComputedStyle(node, '::before').backgroundImage") == example
