"""What a dry run says a batch will cost, on tables whose cost is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, update

from pipelines.batch import dry_run as batch_dry_run
from pipelines.batch.cost_estimate import RowCost, Workload, own_work_seconds, workload_of
from pipelines.batch.dry_run import DryRunReport, dry_run
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params, choice_field, number_field, picture_field
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.storage.schema import JOBS
from pipelines.tools import TOOLS
from tests.support.batch_rows import OWNER, BatchStudio
from tests.support.batch_rows import write_picture as picture_file
from ui.batch_tab.text import render_report as told


class Print(Params):
    """A photo and how large it is to become."""

    photo: str = picture_field("Photo", "One.", required=True)
    preset: str = choice_field("Look", "One.", "plain", labels={"plain": "Plain", "rich": "Rich"})
    size: int = number_field("Size", "Pixels.", 256, ge=16, le=4096)


ran: list[int] = []


def _run(params: Print, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    ran.append(params.size)
    return ToolOutput(images=(np.full((8, 8, 3), params.size % 251, np.uint8),))


PRINT = Tool("print", "Print", "For tests.", Print, _run)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[BatchStudio]:
    with BatchStudio(tmp_path / "data", tools=(PRINT,)) as built:
        ran.clear()
        picture_file(tmp_path / "a.png")
        yield built


def tried(here: BatchStudio, folder: Path, rows: Mapping[int, int], look: str = "plain") -> DryRunReport:
    """A dry run over so many rows of each size."""
    path = folder / "jobs.csv"
    path.write_text("photo,size,preset\n" + "".join(f"a.png,{size},{look}\n" * count for size, count in rows.items()))
    return dry_run(here.batches, here.create_batch(path, "print"))


def made(here: BatchStudio, folder: Path, seconds: Mapping[int, float], look: str = "plain") -> None:
    """Three pictures of each size, of which the table says that each took so long."""
    path = folder / "made.csv"
    path.write_text("photo,size,preset\n" + "".join(f"a.png,{size},{look}\n" * 3 for size in seconds))
    batch = here.create_batch(path, "print")
    here.batches.start(batch.id)
    assert here.wait_for_batch(batch) == "done"
    for size, each in seconds.items():
        is_of_size = func.json_extract(JOBS.c.job, "$.params.size") == size
        took = update(JOBS).where(JOBS.c.batch_id == batch.id, is_of_size).values(finished=JOBS.c.started + each)
        here.service.jobs.table.db.execute(took)
    ran.clear()


def test_each_size_costs_what_it_cost_here(here: BatchStudio, tmp_path: Path) -> None:
    made(here, tmp_path, {256: 1.0, 1024: 9.0})
    report = tried(here, tmp_path, {256: 10, 1024: 4})
    assert (report.seconds, report.guessed) == (10 * 1.0 + 4 * 9.0, 0)
    one = here.service.jobs.list_jobs(OWNER, 1)[0].result
    assert one is not None
    assert report.bytes == pytest.approx(14 * here.service.files.get_info(one.files[0].id).bytes, rel=0.02)
    assert ran == [], "nothing had to be tried"


def test_each_look_costs_what_it_cost_here_and_a_new_one_what_others_did(here: BatchStudio, tmp_path: Path) -> None:
    made(here, tmp_path, {256: 1.0})
    assert tried(here, tmp_path, {256: 2}, "rich").seconds == 2 * 1.0
    made(here, tmp_path, {256: 5.0}, "rich")
    assert tried(here, tmp_path, {256: 2}, "rich").seconds == 2 * 5.0
    assert tried(here, tmp_path, {256: 2}).seconds == 2 * 1.0


def test_a_size_that_was_never_made_is_tried_and_no_other_size_stands_for_it(here: BatchStudio, tmp_path: Path) -> None:
    made(here, tmp_path, {256: 100.0})
    report = tried(here, tmp_path, {1024: 20})
    assert ran == [1024, 1024]
    assert report.seconds is not None
    assert report.seconds < 100
    assert report.guessed == 0
    assert "scaled" not in told(report)


def test_of_several_new_sizes_one_is_tried_and_the_others_are_scaled_by_pixels_which_is_said(
    here: BatchStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_dry_run, "run_sample_rows", lambda *_: RowCost(3.0, 1000))
    report = tried(here, tmp_path, {512: 5, 1024: 2, 256: 4})
    assert report.seconds == 5 * 3.0 + 2 * 12.0 + 4 * 0.75
    assert report.bytes == 5 * 1000 + 2 * 4000 + 4 * 250
    assert report.guessed == 6
    assert "Time and disk of 6 rows are estimated" in told(report)


def test_a_size_that_cannot_be_tried_is_scaled_by_pixels_from_the_nearest_one(
    here: BatchStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_dry_run, "run_sample_rows", lambda *_: None)
    made(here, tmp_path, {64: 1.0, 1024: 20.0})
    report = tried(here, tmp_path, {512: 1})
    assert (report.seconds, report.guessed) == (5.0, 1)


def test_what_another_profile_took_says_nothing(here: BatchStudio, tmp_path: Path) -> None:
    made(here, tmp_path, {256: 100.0})
    here.service.jobs.table.db.execute(update(JOBS).values(profile="klein"))
    report = tried(here, tmp_path, {256: 2})
    assert ran == [256, 256]
    assert report.seconds is not None
    assert report.seconds < 100


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.id)
def test_every_tools_work_grows_with_what_is_asked_of_it(tool: Tool) -> None:
    def work(side: int, **more: object) -> Workload:
        plain = {name: field.default for name, field in tool.params.model_fields.items() if not field.is_required()}
        return workload_of(tool.params, {**plain, "photo": "file-a", **more}, lambda _: side * side)

    fields = tool.params.model_fields
    if isinstance(fields["size"].default if "size" in fields else None, int):
        assert work(100, size=2048).step == work(3000, size=2048).step
        assert work(100, size=2048).step > work(100, size=1024).step
    else:
        assert work(2000).step > work(1000).step
    if "variations" in fields:
        assert work(1000, variations=4).step > work(1000).step
    if "factor" in fields:
        assert work(1000, factor="4") != work(1000, factor="2")


def test_a_row_costs_its_own_work_and_its_share_of_a_call_that_drew_for_others() -> None:
    timings = {"Waiting for the model": 4.0, "Drawing": 8.0, "Writing": 0.5}
    assert own_work_seconds(13.0, {"timings": timings, "drawn_together": 8}) == pytest.approx(2.0)
    assert own_work_seconds(13.0, {"timings": timings}) == pytest.approx(9.0)
    assert own_work_seconds(1.0, {}) == 1.0
