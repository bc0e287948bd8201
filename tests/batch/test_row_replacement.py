"""A better picture takes the place of a row's: in the ZIP, the manifest and the record, and back again."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from pipelines.batch.batch_table import Batch, RowState
from pipelines.batch.manifest import MANIFEST_NAME, iter_pictures, list_cutouts, save_zip
from pipelines.core.errors import BadInput, NotFound, StudioError
from pipelines.core.job import result_to_json
from pipelines.jobs import retention
from pipelines.jobs.retention import RetentionPolicy, apply_retention
from pipelines.storage.schema import JOBS
from tests.support.batch_rows import OWNER, BatchStudio, TintTool, write_picture
from tests.support.served_app import wait_until

pytestmark = pytest.mark.usefixtures("each_database")
OTHER_TOOL = "shade"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[BatchStudio]:
    tint = TintTool()
    tools = (tint.make_tool(), replace(tint.make_tool(), id=OTHER_TOOL, title="Shade"))
    with BatchStudio(tmp_path / "data", tools=tools) as built:
        yield built


def run_rows(here: BatchStudio, folder: Path, count: int = 2, *, state: str = "done") -> Batch:
    """A batch of rows named a, b, ... that has come to rest."""
    for name in "abc"[:count]:
        write_picture(folder / "in" / f"{name}.png")
    batch = here.create_batch(folder / "in")
    here.batches.start(batch.id)
    assert here.wait_for_batch(batch) == state
    return batch


def run_with_failed_row(here: BatchStudio, folder: Path) -> Batch:
    """A batch whose first row is done and whose second has failed."""
    write_picture(folder / "in" / "a.png")
    (folder / "in" / "jobs.csv").write_text("photo,note\na.png,\na.png,no face\n")
    batch = here.create_batch(folder / "in" / "jobs.csv")
    here.batches.start(batch.id)
    here.wait_for_batch(batch)
    return batch


def make_picture(here: BatchStudio, batch: Batch, row: int, *, tool: str = "tint", owner: str = OWNER) -> str:
    """The id of a finished job of the row's photo with other settings."""
    job = here.service.jobs.get_job(job_of(here, batch, row))
    assert job is not None
    values: dict[str, Any] = {**job.job.params, "note": "better", "seed": None}
    if owner != OWNER:
        values["photo"], _ = here.service.uploads.ingest_picture(
            here.service.files.local_path(values["photo"]).read_bytes(), owner, "b.png"
        )
    made = here.service.create_job(tool, values, owner)
    here.service.jobs.submit(made)
    wait_until(lambda: (found := here.service.jobs.get_job(made.id)) is not None and found.status == "done")
    return made.id


def job_of(here: BatchStudio, batch: Batch, row: int) -> str:
    job_id = here.batches.get_row(batch.id, row, OWNER).job_id
    assert job_id is not None
    return job_id


def read_zip(here: BatchStudio, batch: Batch, path: Path) -> tuple[dict[str, bytes], list[dict[str, str]]]:
    """The pictures by name, and the manifest's rows."""
    save_zip(here.batches, batch.id, path)
    with zipfile.ZipFile(path) as out:
        pictures = {name: out.read(name) for name in out.namelist() if name.endswith(".png")}
        return pictures, list(csv.DictReader(io.StringIO(out.read(MANIFEST_NAME).decode("utf-8-sig"))))


def make_uncertain(here: BatchStudio, job_id: str) -> None:
    """Write into the job's receipt that its cut-out is probably wrong."""
    job = here.service.jobs.get_job(job_id)
    assert job is not None
    assert job.result is not None
    job.result.receipt["cutout_uncertainty"] = 0.9
    told = {"result": json.dumps(result_to_json(job.result))}
    here.service.jobs.table.db.execute(update(JOBS).where(JOBS.c.id == job_id).values(told))


def file_of(here: BatchStudio, job_id: str) -> bytes:
    job = here.service.jobs.get_job(job_id)
    assert job is not None
    assert job.result is not None
    return here.service.files.local_path(job.result.files[0].id).read_bytes()


def test_the_new_picture_is_in_the_zip_the_manifest_and_the_record_and_the_old_one_in_the_library(
    here: BatchStudio, tmp_path: Path
) -> None:
    batch = run_rows(here, tmp_path)
    old, new = job_of(here, batch, 2), make_picture(here, batch, 2)
    before, _ = read_zip(here, batch, tmp_path / "before.zip")
    row = here.batches.replace_row(batch.id, 2, new, OWNER)
    assert isinstance(row, RowState)
    assert (row.status, row.job_id) == ("done", new)
    assert here.batches.get_progress(batch.id).done == 2
    after, table = read_zip(here, batch, tmp_path / "after.zip")
    assert list(after) == list(before)
    assert after["00002-b.png"] == file_of(here, new) != before["00002-b.png"]
    assert after["00001-a.png"] == before["00001-a.png"]
    job = here.service.jobs.get_job(new)
    assert job is not None
    assert table[1]["seed"] == str(job.job.seed)
    assert table[0]["replaced"] == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", table[1]["replaced"])
    assert {old, new} <= {each.job.id for each in here.service.jobs.list_jobs(OWNER)}
    (entry,) = here.batches.table.list_replacements(batch.id)[2]
    assert entry.job_id == old


def test_undo_puts_each_earlier_picture_back(here: BatchStudio, tmp_path: Path) -> None:
    batch = run_rows(here, tmp_path, 1)
    first, second, third = job_of(here, batch, 1), make_picture(here, batch, 1), make_picture(here, batch, 1)
    for job_id in (second, third, third, second):
        here.batches.replace_row(batch.id, 1, job_id, OWNER)
    assert [each.job_id for each in here.batches.table.list_replacements(batch.id)[1]] == [first]
    here.batches.replace_row(batch.id, 1, first, OWNER)
    assert here.batches.table.list_replacements(batch.id) == {}
    assert job_of(here, batch, 1) == first
    _, table = read_zip(here, batch, tmp_path / "out.zip")
    assert table[0]["replaced"] == ""


def test_a_row_is_replaced_while_the_batch_runs_and_its_pace_does_not_count_it(
    here: BatchStudio, tmp_path: Path
) -> None:
    batch = run_rows(here, tmp_path, 3)
    new = make_picture(here, batch, 1)
    here.batches.table.set_state(batch.id, "paused")
    here.batches.replace_row(batch.id, 1, new, OWNER)
    assert here.batches.get_batch(batch.id, OWNER).state == "paused"
    job = here.service.jobs.get_job(new)
    assert job is not None
    assert job.finished not in here.batches.table.finish_times(batch.id)
    here.batches.start(batch.id)
    assert here.wait_for_batch(batch) == "done"
    assert job_of(here, batch, 1) == new  # not made again
    here.batches.retry_rows(batch.id)
    assert job_of(here, batch, 1) == new


def test_a_failed_row_takes_a_picture_that_was_made_by_hand(here: BatchStudio, tmp_path: Path) -> None:
    batch = run_with_failed_row(here, tmp_path)
    failed, new = job_of(here, batch, 2), make_picture(here, batch, 1)
    assert here.batches.replace_row(batch.id, 2, new, OWNER).status == "done"
    progress = here.batches.get_progress(batch.id)
    assert (progress.done, progress.failed) == (2, 0)
    here.batches.retry_rows(batch.id)
    assert job_of(here, batch, 2) == new, "nothing is left to be tried again"
    with pytest.raises(BadInput, match="Only a finished picture"):
        here.batches.replace_row(batch.id, 2, failed, OWNER)


def test_what_cannot_take_a_rows_place_is_refused_with_a_sentence(here: BatchStudio, tmp_path: Path) -> None:
    batch = run_with_failed_row(here, tmp_path)
    failed = here.batches.get_row(batch.id, 2, OWNER)
    assert failed.status == "failed"
    assert failed.job_id is not None
    new, old = make_picture(here, batch, 1), job_of(here, batch, 1)
    wrong = make_picture(here, batch, 1, tool=OTHER_TOOL)
    foreign = make_picture(here, batch, 1, owner="another")
    other_batch = run_rows(here, tmp_path / "other", 1)
    draft = here.service.create_job("tint", here.service.jobs.get_job(old).job.params, OWNER, draft=True)  # pyrefly: ignore[missing-attribute]
    here.service.jobs.submit(draft)
    wait_until(lambda: here.service.jobs.count_jobs() == (0, 0))
    refused: list[tuple[str, int, str, str, type[StudioError], str]] = [
        (batch.id, 1, wrong, OWNER, BadInput, "This picture is not of the row's tool, Tint."),
        (batch.id, 1, failed.job_id, OWNER, BadInput, "Only a finished picture can stand in a batch."),
        (batch.id, 1, job_of(here, other_batch, 1), OWNER, BadInput, "This picture stands in another row."),
        (batch.id, 1, foreign, OWNER, NotFound, "There is no such job, or it is not yours."),
        (batch.id, 1, draft.id, OWNER, NotFound, "There is no such job, or it is not yours."),
        (batch.id, 1, "job-none", OWNER, NotFound, "There is no such job, or it is not yours."),
        (batch.id, 9, new, OWNER, NotFound, "This batch has no such row."),
        (batch.id, 0, new, OWNER, NotFound, "This batch has no such row."),
        (batch.id, 2**70, new, OWNER, NotFound, "This batch has no such row."),
        ("batch-none", 1, new, OWNER, NotFound, "There is no such batch, or it is not yours."),
        (batch.id, 1, foreign, "another", NotFound, "There is no such batch, or it is not yours."),
    ]
    for batch_id, row, job_id, owner, kind, message in refused:
        with pytest.raises(kind) as caught:
            here.batches.replace_row(batch_id, row, job_id, owner)
        assert caught.value.message == message
    here.service.jobs.table.hide_jobs(OWNER, [new])  # deleted on the page, a minute ago at most
    with pytest.raises(NotFound):
        here.batches.replace_row(batch.id, 1, new, OWNER)
    assert job_of(here, batch, 1) == old
    assert here.batches.table.list_replacements(batch.id) == {}


def test_a_picture_that_was_found_right_lies_with_the_others_until_another_takes_its_place(
    here: BatchStudio, tmp_path: Path
) -> None:
    batch = run_rows(here, tmp_path)
    for row in (1, 2):
        make_uncertain(here, job_of(here, batch, row))
    here.batches.approve_row(batch.id, 2, OWNER)
    assert [row for row, _, _ in list_cutouts(here.batches, batch.id)] == [1]
    save_zip(here.batches, batch.id, tmp_path / "out.zip", 0.5)
    with zipfile.ZipFile(tmp_path / "out.zip") as out:
        assert {"set-aside/00001-a.png", "00002-b.png"} <= set(out.namelist())
    _, table = read_zip(here, batch, tmp_path / "all.zip")
    assert table[0]["approved"] == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", table[1]["approved"])
    here.batches.replace_row(batch.id, 2, make_picture(here, batch, 2), OWNER)
    assert here.batches.table.list_approvals(batch.id) == {}
    for is_approved in (True, True, False):
        here.batches.approve_row(batch.id, 1, OWNER, is_approved=is_approved)
    assert here.batches.table.list_seen_rows(batch.id) == {2}
    here.batches.approve_row(batch.id, 1, OWNER)
    for row, owner, message in ((9, OWNER, "no such row"), (1, "another", "no such batch")):
        with pytest.raises(NotFound, match=message):
            here.batches.approve_row(batch.id, row, owner)
    here.batches.forget_batch(batch.id)
    assert here.batches.table.list_approvals(batch.id) == {}


def test_a_picture_that_was_put_there_is_set_aside_as_any_other_until_it_is_found_right(
    here: BatchStudio, tmp_path: Path
) -> None:
    batch = run_rows(here, tmp_path, 1)
    new = make_picture(here, batch, 1)
    make_uncertain(here, new)
    here.batches.replace_row(batch.id, 1, new, OWNER)
    assert list_cutouts(here.batches, batch.id) == [(1, "a.png", 0.9)]
    names = [name for name, _ in iter_pictures(here.batches, batch.id, set_aside=0.5)]
    here.batches.approve_row(batch.id, 1, OWNER)
    names += [name for name, _ in iter_pictures(here.batches, batch.id, set_aside=0.5)]
    assert names == ["set-aside/00001-a.png", "00001-a.png"]


def test_a_deleted_batch_leaves_both_pictures_and_no_record(here: BatchStudio, tmp_path: Path) -> None:
    batch = run_rows(here, tmp_path, 1)
    old, new = job_of(here, batch, 1), make_picture(here, batch, 1)
    here.batches.replace_row(batch.id, 1, new, OWNER)
    here.batches.forget_batch(batch.id)
    assert here.batches.table.list_replacements(batch.id) == {}
    assert all(here.service.jobs.get_job(job_id) for job_id in (old, new))


def test_what_expires_with_its_batch_takes_its_record_along(
    here: BatchStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = run_rows(here, tmp_path, 1)
    new = make_picture(here, batch, 1)
    here.batches.replace_row(batch.id, 1, new, OWNER)
    here.batches.approve_row(batch.id, 1, OWNER)
    monkeypatch.setattr(retention, "DAY_SECONDS", 1e-6)
    apply_retention(here.service.jobs.table, here.service.files, RetentionPolicy(max_days=1))
    assert here.service.jobs.get_job(new) is None
    assert here.batches.table.get_batch(batch.id) is None
    assert here.batches.table.list_seen_rows(batch.id) == set()
