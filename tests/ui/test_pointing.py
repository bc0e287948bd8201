"""What is said of marks that changed next to nothing."""

from __future__ import annotations

import numpy as np

from pipelines.imaging.packed_masks import pack_matte
from ui.components.pointing_panel import PANEL_HTML, render_closing, render_look
from ui.tool_tab.pointing import judge_mark_effect

KEPT, SOFT, OUTSIDE = [0.5, 0.7], [0.5, 0.4], [0.1, 0.1]


def test_a_mark_where_all_is_as_it_asks_is_not_told_to_mark_more() -> None:
    alpha = np.zeros((512, 400), np.float32)
    alpha[100:400, 100:300] = 1.0
    alpha[150:250, 150:250] = 0.4
    dropped = alpha.copy()
    dropped[150:250, 150:250] = 0.0
    before, after = pack_matte(alpha), pack_matte(dropped)
    assert judge_mark_effect(before, after, [], [SOFT]) == "", "it did what was asked"
    assert judge_mark_effect(after, after, [], [SOFT, OUTSIDE]) == "settled", "a second stroke over the place"
    assert judge_mark_effect(before, before, [KEPT], []) == "settled"
    assert judge_mark_effect(before, before, [], [KEPT]) == "little"
    assert judge_mark_effect(before, before, [KEPT, SOFT], []) == "little"
    assert judge_mark_effect("", before, [], [KEPT]) == "", "nothing was shown before"


def test_each_of_these_sentences_is_on_the_page() -> None:
    for told in ("little", "settled"):
        attribute = f'data-unchanged="{told}"'
        assert attribute in render_look({}, 1, unchanged=told)
        assert PANEL_HTML.count(f"<span hidden {attribute}>") == 1
    assert "unchanged" not in render_look({}, 1)


def test_each_closing_of_the_panel_is_another_one() -> None:
    assert render_closing() != render_closing()
