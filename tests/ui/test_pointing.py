"""What is said of marks that changed next to nothing, or more than was marked."""

from __future__ import annotations

from typing import Literal

import numpy as np

from pipelines.imaging.packed_masks import pack_matte
from ui.components.pointing_panel import NO_EFFECT, PANEL_HTML, MarkEffect, render_closing, render_look
from ui.tool_tab.pointing import choose_doubts, judge_mark_effect

KEPT, SOFT, OUTSIDE = [0.5, 0.7], [0.5, 0.4], [0.1, 0.1]


def test_a_mark_where_all_is_as_it_asks_is_not_told_to_mark_more() -> None:
    alpha = np.zeros((512, 400), np.float32)
    alpha[100:400, 100:300] = 1.0
    alpha[150:250, 150:250] = 0.4
    dropped = alpha.copy()
    dropped[150:250, 150:250] = 0.0
    before, after = pack_matte(alpha), pack_matte(dropped)
    assert judge_mark_effect(before, after, [], [SOFT]) == NO_EFFECT, "it did what was asked"
    assert judge_mark_effect(before, after, [], []) == NO_EFFECT, "a box means the whole picture"
    assert judge_mark_effect(after, after, [], [SOFT, OUTSIDE]).kind == "settled", "a second stroke over the place"
    assert judge_mark_effect(before, before, [KEPT], []).kind == "settled"
    assert judge_mark_effect(before, before, [], [KEPT]).kind == "little"
    assert judge_mark_effect(before, before, [KEPT, SOFT], []).kind == "little"
    assert judge_mark_effect("", before, [], [KEPT]) == NO_EFFECT, "nothing was shown before"


def test_a_place_that_changed_apart_from_the_marks_is_told_and_framed() -> None:
    alpha = np.zeros((512, 400), np.float32)
    alpha[100:200, 100:300] = 1.0
    strap = alpha.copy()
    strap[400:440, 40:80] = 1.0
    before, after, nothing = pack_matte(strap), pack_matte(alpha), pack_matte(np.zeros_like(alpha))
    effect = judge_mark_effect(before, after, [], [[0.5, 0.3]])
    assert effect.kind == "elsewhere"
    assert np.allclose(effect.places, [(0.1, 400 / 512, 0.2, 440 / 512)], atol=0.01)
    assert judge_mark_effect(before, after, [], [[0.15, 0.82]]) == NO_EFFECT, "the mark lies on it"
    assert judge_mark_effect(before, nothing, [], [[0.5, 0.3], [0.15, 0.82]]) == NO_EFFECT, "one on each"
    assert len(judge_mark_effect(before, nothing, [], [[0.5, 0.3]]).places) == 1


def test_each_of_these_sentences_is_on_the_page() -> None:
    kinds: tuple[Literal["little", "settled", "elsewhere"], ...] = ("little", "settled", "elsewhere")
    for kind in kinds:
        attribute = f'data-effect="{kind}"'
        assert attribute in render_look((), (), 1, effect=MarkEffect(kind))
        assert PANEL_HTML.count(f"<span hidden {attribute}>") == 1
    assert "effect" not in render_look((), (), 1)
    assert 'data-effect="refused" data-refusal="Not &lt;here&gt;."' in render_look((), (), 1, refusal="Not <here>.")


def test_places_are_shown_that_the_marks_of_the_first_doubt_mend_and_that_the_picture_shows() -> None:
    left, missing, torn = ((n / 10, 0.1, n / 10 + 0.1, 0.2) for n in range(3))
    known = {"Background may be left.": [left], "A part may be missing.": [missing], "A part stands alone.": [torn]}
    assert choose_doubts(known, None) == [list(left), list(torn)]
    assert choose_doubts(known, ["A part may be missing."]) == [list(missing)], "of a headshot, whose crop has no other"
    assert choose_doubts(known, []) == []


def test_each_closing_of_the_panel_is_another_one() -> None:
    assert render_closing() != render_closing()
