"""The page on inference says what was measured and nothing else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from pipelines.core.errors import BadInput, NotFound
from pipelines.core.job import Job
from pipelines.core.stream import wait_for_result
from pipelines.settings import Settings
from pipelines.tools import HELPERS, TOOLS
from pipelines.tools.shared import precision_benchmark
from tests.support.real_studio import RealStudio
from ui.api.auth.access import AccessControl
from ui.api.auth.keys import KeyStore
from ui.learn_tab import text
from ui.learn_tab.events import LearnTab
from ui.learn_tab.text import Frame


def make_measurement(narrow: float, together: float) -> dict[str, object]:
    cases = [(32, 1, 1.0), (16, 1, narrow), (32, 4, together), (16, 4, 1.0)]
    return {"cases": [{"bits": b, "batch": n, "seconds": s} for b, n, s in cases], "difference": 0.2}


@pytest.mark.parametrize(
    ("narrow", "together", "said"),
    [(0.5, 1.0, "2.0 times as fast here"), (2.0, 1.0, "2.0 times as slow here"), (1.0, 0.5, "one: 2.0 times as fast")],
)
def test_the_verdict_follows_the_numbers(narrow: float, together: float, said: str) -> None:
    assert said in text.render_measurements(make_measurement(narrow, together))


def test_bars_are_as_long_as_their_share_and_idle_stages_are_left_out() -> None:
    html = text.render_timings({"Reading": 1.0, "Cutting <b>": 4.0, "Getting ready": 0.001})
    assert re.findall(r"--share:([\d.]+)", html) == ["0.2500", "1.0000"]
    assert "Cutting &lt;b&gt;" in html
    assert "Getting ready" not in html


def test_models_are_named_once_by_what_they_do() -> None:
    html = text.render_pipeline("data:1", "data:2", ["u2netp", "u2net", "backdrops", "klein"], "told")
    assert re.findall(r"<li>(.*?)</li>", html) == ["Cut-out, quick", "Scenes", "klein"]


def test_the_last_of_the_steps_is_in_front_and_each_says_what_it_is() -> None:
    html = text.render_steps([Frame("Drawing", n, 3, n / 2, f"data:{n}") for n in (1, 2, 3)])
    assert html.count(" hidden>") == 2
    assert 'alt="Drawing, step 3 of 3, after 1.50 s">' in html
    assert text.render_steps([]) == ""


def test_what_is_computed_says_so_and_follows_from_the_stated_figures() -> None:
    html = text.render_devices(4)
    assert "Computed, not measured here" in html
    assert "150 s" in html  # 4 steps x 10.2 TFLOP / 0.267 TFLOP/s, to two figures
    assert "0.068 s" in html  # 40.8 TFLOP / 600 TFLOP/s


def test_measuring_is_a_page_s_own_job_in_no_list_and_finds_two_precisions_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision_benchmark, "TILE_SIDE_PX", 32)
    room = RealStudio(tmp_path)
    try:
        job = room.service.create_helper_job("measure", {"photo": room.photos["coffee"]}, "me")
        with pytest.raises(NotFound):
            room.service.create_job("measure", {"photo": room.photos["coffee"]}, "me")
        result = wait_for_result(room.service.jobs.watch(room.service.jobs.submit(job)))
        measured = result.receipt["params"]["measured"]
        assert [(row["bits"], row["batch"]) for row in measured["cases"]] == [(32, 1), (16, 1), (32, 4), (16, 4)]
        assert all(row["seconds"] > 0 for row in measured["cases"])
        assert 0 < measured["difference"] < 4
        assert result.files == ()
        assert room.service.jobs.list_jobs("me") == []
    finally:
        room.close()


async def list_updates(updates: AsyncIterator[dict[Any, Any]]) -> list[dict[Any, Any]]:
    return [each async for each in updates]


def test_a_measurement_that_is_refused_says_so_and_can_be_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = RealStudio(tmp_path)

    def refuse(_: Job) -> None:
        raise BadInput("Too many jobs wait here.")

    try:
        with gr.Blocks():
            tab = LearnTab(room.service, AccessControl(Settings(data=tmp_path), KeyStore(tmp_path)))
        monkeypatch.setattr(room.service.jobs, "submit_and_watch", refuse)
        last = asyncio.run(list_updates(tab.measure_speed(gr.Request(headers={}))))[-1]
        assert last[tab.measure]["interactive"]
        assert "Too many jobs wait here." in last[tab.measurements]
    finally:
        room.close()


def test_helpers_and_tools_share_no_id() -> None:
    assert not {tool.id for tool in HELPERS} & {tool.id for tool in TOOLS}
