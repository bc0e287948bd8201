"""From the empty page to a headshot in hand in five actions and a minute."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

from tests.browser.stage import Theatre
from tests.browser.walks import headshot, strangers

ACTIONS = 5
SECONDS = 60


def test_five_actions_lead_from_the_empty_page_to_a_downloaded_headshot(
    page: Page, house: Theatre, tmp_path: Path
) -> None:
    walk = headshot(page, house, strangers(tmp_path))
    assert len(walk.told) <= ACTIONS
    assert walk.seconds < SECONDS  # 6 s in docs/walks.md
    row = house.service.jobs.list_jobs("local", 1, tool="headshot")[0]
    assert row.result is not None
    assert max(row.result.files[0].width, row.result.files[0].height) == 1024
