"""The table of docs/tools.md shows every tool's promises with pictures, and is what the script writes."""

from __future__ import annotations

import PIL.Image
import pytest

from assets.ticks import PICTURES, TICKS, TOOLS_PAGE, Tick, insert_table, picture_name
from tests.support.shipped_tools import SHIPPED_TOOL_IDS

EVERY = [tick for ticks in TICKS.values() for tick in ticks]


def test_the_table_is_what_the_script_writes() -> None:
    text = TOOLS_PAGE.read_text()
    assert insert_table(text) == text


@pytest.mark.parametrize("tick", EVERY, ids=picture_name)
def test_every_tick_has_its_picture(tick: Tick) -> None:
    with PIL.Image.open(PICTURES / picture_name(tick)) as picture:
        assert min(picture.size) > 40


def test_every_shipped_tool_is_shown_and_no_two_ticks_share_a_picture() -> None:
    assert {tick.tool for tick in EVERY} == set(SHIPPED_TOOL_IDS)
    assert len({picture_name(tick) for tick in EVERY}) == len(EVERY)


def test_pictures_stay_small() -> None:
    assert sum(path.stat().st_size for path in PICTURES.parent.rglob("*.webp")) < 2_500_000
