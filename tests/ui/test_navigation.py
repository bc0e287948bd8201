"""The menus name each tool, with what Home calls it beside it."""

from __future__ import annotations

import re

from pipelines.tools import TOOLS
from ui.home_tab.quick_start import OTHER_TOOLS
from ui.i18n import is_translated
from ui.navigation import render_navigation


def test_the_menus_say_what_home_calls_a_tool() -> None:
    html = render_navigation(TOOLS, (), dict(OTHER_TOOLS))
    for tool_id, words in OTHER_TOOLS:
        (row,) = re.findall(rf'<a href="#{tool_id}">(.+?)</a>', html)
        assert row.endswith(f"<small>{words}</small>")
        assert is_translated(words)
    assert html.count("<small>") == len(OTHER_TOOLS)
