"""From the empty page to a headshot in hand in five actions and a minute."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

from tests.browser.studio_page import ServedPage
from tests.browser.walks import walk_headshot, write_unknown_photo

ACTIONS = 5
SECONDS = 60


def test_five_actions_lead_from_the_empty_page_to_a_downloaded_headshot(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    walk = walk_headshot(page, studio, write_unknown_photo(tmp_path))
    assert len(walk.actions) <= ACTIONS
    assert walk.seconds < SECONDS  # 6 s in docs/walks.md
    row = studio.service.jobs.list_jobs("local", 1, tool="headshot")[0]
    assert row.result is not None
    assert max(row.result.files[0].width, row.result.files[0].height) == 1024
