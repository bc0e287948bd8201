"""What the page says is exact, escaped and complete."""

from __future__ import annotations

import pytest

from pipelines.tools import TOOLS
from pipelines.types import File, Job, Profile, Queued, Result, Step
from ui import home, words

JOB = Job(
    id="job-1", tool="headshot", params={"photo": "file-1", "preset": "park", "background": "it's & <b>", "seed": None,
    "consent": True, "size": 1024, "matte": None}, seed=7, profile="embedded", specs={"backdrop": "backdrops"},
    owner="me", created=0.0,
)  # fmt: skip


def result(mode: str = "exact", changed: int = 0, models: tuple[str, ...] = ("backdrops",)) -> Result:
    receipt = {
        "mode": mode, "checks": {"core_changed_pixels": changed}, "models": [{"id": name} for name in models],
        "notices": ["Check this <edge>."],
    }  # fmt: skip
    return Result((File("f", "result", 820, 1024, "png", "0"),), receipt, 1.23)


def test_no_word_of_a_visitor_becomes_markup() -> None:
    said = words.alert("<script>", "a") + words.notice(["<script>"], "a") + words.line("<script>", notes=["<script>"])
    assert "<script>" not in said
    assert said.count("&lt;script&gt;") == 4


@pytest.mark.parametrize(
    ("event", "text"),
    [(Queued(1), "next in line"), (Queued(3), "place 3 in line"), (Step(2, 4, "Drawing"), "Drawing · step 2 of 4")],
)
def test_the_stage_line_says_place_stage_and_step(event: Queued | Step, text: str) -> None:
    assert text in words.working(event, draft=False)


def test_the_time_left_is_said_where_it_is_known_and_worth_saying() -> None:
    assert "about 7 s left" in words.working(Step(2, 4, "Drawing"), draft=False, left=7.2)
    assert "about 9 s left" in words.working(Queued(2), draft=False, left=9.0)
    assert "left" not in words.working(Step(2, 4, "Drawing"), draft=False, left=1.2)
    assert "left" not in words.working(Step(2, 4, "Drawing"), draft=False, left=-3)


def test_unchanged_is_said_only_where_it_was_measured() -> None:
    assert "Your pixels unchanged; the background was fitted to you." in words.done(JOB, result(), 0)
    assert words.BADGE in words.done(JOB, result(), 0)
    assert "unchanged" not in words.done(JOB, result(changed=1), 0)
    assert "unchanged" not in words.done(JOB, result(mode="relit"), 0)
    assert "background" not in words.done(JOB, result(models=()), 0)


def test_relit_is_said_only_where_there_is_a_scene() -> None:
    assert "Relit" in words.done(JOB, result(mode="relit"), 0)
    assert "Relit" not in words.done(JOB, result(mode="relit", models=()), 0)


def test_home_shows_every_promised_tool_and_links_only_what_is_there() -> None:
    text = home.page(TOOLS[:1], Profile("embedded", {}, "Embedded"))
    assert f'href="#{TOOLS[0].id}"' in text
    for row in home.COMING:
        assert row.title in text
        assert f'href="#{row.id}"' not in text
    assert home.BANNER in text


def test_a_tool_is_no_longer_coming_once_it_is_there() -> None:
    text = home.page(TOOLS, Profile("embedded", {}, "Embedded"))
    for tool in TOOLS:
        assert text.count(f">{tool.title}<") == 1
