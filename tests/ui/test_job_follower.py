"""What a tool's tab says once more when a job has ended, since its last updates may have come in another order."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import gradio as gr
import numpy as np
import PIL.Image
import pytest

from pipelines.core.stream import wait_for_result
from pipelines.jobs.search import JobFilter, JobSearch
from pipelines.settings import Settings
from tests.examples import sepia
from tests.support.gradio_loop import build_in_event_loop
from tests.support.served_app import run_studio
from ui.server.factory import RunningStudio
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.layout import ToolTab, build_tool_tab
from ui.tool_tab.state import TabState

LOCAL: Any = None
"""No request: the visitor is the owner of this machine."""


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudio]:
    with run_studio(Settings(data=tmp_path_factory.mktemp("studio")), [sepia.TOOL]) as built:
        yield built


@pytest.fixture(scope="module")
def tab(studio: RunningStudio) -> ToolTab:
    def build() -> ToolTab:
        with gr.Blocks():
            return build_tool_tab(sepia.TOOL, studio.service)

    return build_in_event_loop(build)


def make_picture(studio: RunningStudio, name: str = "") -> str:
    """A finished job on a small plain photo whose file was called `name`; its id."""
    png = io.BytesIO()
    PIL.Image.fromarray(np.full((40, 60, 3), len(name), np.uint8)).save(png, "PNG")
    photo, _ = studio.service.uploads.ingest_picture(png.getvalue(), "local", name)
    job = studio.service.create_job("sepia", {"photo": photo}, "local")
    wait_for_result(studio.service.jobs.submit_and_watch(job))
    return job.id


def test_the_finished_picture_is_shown_again_with_its_buttons(studio: RunningStudio, tab: ToolTab) -> None:
    job_id = make_picture(studio)
    follower = ToolTabEvents(tab, studio.service, studio.access).follower
    shown = follower.update_actions(LOCAL, TabState(shown_job_id=job_id), None)
    row = studio.service.jobs.get_job(job_id)
    assert row is not None
    assert row.result is not None
    assert shown[tab.result.picture].path == studio.service.files.local_path(row.result.files[0].id)
    assert shown[tab.result.download]["interactive"] is True
    while_another_runs = follower.update_actions(LOCAL, TabState(shown_job_id=job_id, job_id="job-2"), None)
    assert tab.result.picture not in while_another_runs
    assert tab.result.picture not in follower.update_actions(LOCAL, TabState(), None)


def test_the_photos_name_is_searched_for(studio: RunningStudio) -> None:
    job_id = make_picture(studio, "Green apple.png")
    make_picture(studio, "pear.png")
    found, _ = JobSearch(studio.service.jobs.table).find_page("local", JobFilter(text="green apple"))
    assert found == [job_id]
