"""Which looks are tried for a photo, and how they are offered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipelines.core.job import Job, Result
from pipelines.core.tools import Tool
from pipelines.tools import background, business, fashion, headshot
from ui.components.pictures import encode_page_jpeg
from ui.tool_tab.look_choice import (
    LOOK_COUNT,
    TriedDraft,
    is_rough,
    list_places_to_try,
    render_suggested_looks,
    select_least_visible,
    spread_indices,
)

PLACE_LOOKS = {
    "background": {"apartment", "lobby", "workshop", "forest", "park", "night", "sunset", "venice"},
    "fashion": {"spring", "summer", "autumn", "winter", "street", "evening"},
    "business": {"lobby", "hall", "lab", "remote"},
}


def list_defaults(tool: Tool, **values: Any) -> dict[str, Any]:
    picture = tool.params.fields_of_kind("picture", "pictures")[0]
    return {"preset": tool.params.model_fields["preset"].default, picture: "file-1", **values}


@pytest.mark.parametrize("tool", [background.TOOL, fashion.TOOL, business.TOOL], ids=lambda tool: tool.id)
def test_every_look_with_a_place_is_tried_and_only_while_the_ground_is_left_plain(tool: Tool) -> None:
    assert set(tool.place_looks) == PLACE_LOOKS[tool.id]
    tried = [look["preset"] for look in list_places_to_try(tool, list_defaults(tool))]
    assert sorted(tried) == sorted(tool.place_looks)
    words = "prompt" if tool.id == "background" else "background"
    own_scenes: tuple[dict[str, Any], ...] = ({words: "a barn"}, {"backdrop": "file-2"}, {"look": "mine"})
    for own in (*own_scenes, {"preset": tool.place_looks[0]}):
        assert list_places_to_try(tool, list_defaults(tool, **own)) == [], own
    picture = tool.params.fields_of_kind("picture", "pictures")[0]
    assert list_places_to_try(tool, list_defaults(tool, **{picture: None})) == []


def test_a_tool_that_names_no_places_is_offered_none() -> None:
    assert list_places_to_try(headshot.TOOL, list_defaults(headshot.TOOL)) == []


def test_the_first_rounds_are_spread_and_nothing_comes_twice() -> None:
    assert spread_indices(8)[:LOOK_COUNT] == [0, 2, 5]
    for count in range(12):
        assert sorted(spread_indices(count)) == list(range(count))


def make_paper(level: int, subject: int = 0) -> bytes:
    picture = np.full((64, 64, 3), level, np.uint8)
    picture[20:50, 20:50] = subject
    return encode_page_jpeg(picture)


def test_of_looks_on_the_same_paper_one_is_offered_and_another_only_where_nothing_else_is() -> None:
    white, larger, cream, grey = (
        TriedDraft(make_paper(*look), {"preset": name}, much)
        for look, name, much in (
            ((255,), "white", 10.0),
            ((255, 40), "larger", 20.0),
            ((244,), "cream", 30.0),
            ((128,), "grey", 40.0),
        )
    )
    assert select_least_visible([white, larger, cream, grey], 3) == [white, cream, grey]
    assert select_least_visible([larger, cream, grey], 2, beside=[white]) == [cream, grey]
    assert select_least_visible([larger], 1, beside=[white]) == [larger]
    assert select_least_visible([TriedDraft(None, {}, 1.0), white], 2)[0].picture is None


def test_the_least_visible_cut_is_offered_first_and_its_tile_is_pressed() -> None:
    tried = [
        TriedDraft(make_paper(200), {"preset": "lobby"}, float("inf")),
        TriedDraft(make_paper(100), {"preset": "lab"}, 40.0),
        TriedDraft(None, {"preset": "hall"}, 20.0),
    ]
    made = render_suggested_looks(business.TOOL, select_least_visible(tried, 2))
    number = list(business.LOOKS).index("hall") + 1
    assert made.index(f'data-press="#business-preset label:nth-of-type({number}) input">Hall<') < made.index(">Lab<")
    assert made.count("<button") == 2
    assert made.count('<img src="data:image/jpeg;base64,') == 1
    assert render_suggested_looks(business.TOOL, []) == ""


@pytest.mark.parametrize(
    ("models", "params", "is_drawn_closer"),
    [
        (["u2netp"], {}, True),
        (["u2netp"], {"mask": None}, True),
        (["u2netp", "isnet"], {}, False),
        (["u2netp"], {"mask": "file-1"}, False),  # the net was only asked what stands beside it
        ([], {}, False),
    ],
)
def test_a_draft_is_drawn_closer_where_the_large_net_has_not_seen_its_photo(
    models: list[str], params: dict[str, Any], is_drawn_closer: bool
) -> None:
    job = Job(
        id="job-1", tool="x", params=params, seed=1, profile="x", specs={"matte": "u2netp", "matte-detail": "isnet"},
        owner="me", created=0.0, draft=True,
    )  # fmt: skip
    draft = Result((), {"models": [{"id": each} for each in models]}, 0.1)
    assert is_rough(job, draft) is is_drawn_closer
