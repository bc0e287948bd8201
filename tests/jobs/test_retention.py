from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from pipelines.batch.batch_table import Batch
from pipelines.core.errors import NotFound
from pipelines.core.stream import wait_for_result
from pipelines.jobs.retention import (
    DAY_SECONDS,
    UNDO_SECONDS,
    RetentionPolicy,
    apply_retention,
    delete_hidden,
    delete_jobs,
)
from pipelines.storage.schema import FILES, JOBS
from tests.support.batch_rows import OWNER, BatchStudio, write_picture

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[BatchStudio]:
    with BatchStudio(tmp_path) as built:
        yield built


def made(here: BatchStudio, level: int, age: float) -> str:
    """A finished job whose own picture, and whose files, are `age` days old; its id."""
    image = np.random.default_rng(level).integers(0, 255, (64, 64, 3), np.uint8)
    photo = here.service.files.add_image(image, OWNER, "upload")
    job = here.service.create_job("tint", {"photo": photo, "seed": level}, OWNER)
    wait_for_result(here.service.jobs.watch(here.service.jobs.submit(job)))
    age_seconds = age * DAY_SECONDS
    ended = update(JOBS).where(JOBS.c.id == job.id).values(finished=JOBS.c.finished - age_seconds)
    here.service.jobs.table.db.execute(ended)
    stored = update(FILES).where(FILES.c.created > 1e9).values(created=FILES.c.created - age_seconds)
    here.service.files._db.execute(stored)
    return job.id


def swept(here: BatchStudio, keep: RetentionPolicy) -> int:
    return apply_retention(here.service.jobs.table, here.service.files, keep)


def kept(here: BatchStudio, job_id: str) -> bool:
    return here.service.jobs.get_job(job_id) is not None


def test_what_is_old_goes_with_its_pictures_and_starred_jobs_stay_whole(here: BatchStudio) -> None:
    old, starred, young = made(here, 1, 40), made(here, 2, 40), made(here, 3, 2)
    assert here.service.jobs.table.set_starred(starred, True)
    before = here.service.jobs.get_job(old)
    assert before is not None
    assert before.result is not None
    assert swept(here, RetentionPolicy(max_days=30)) == 1
    assert [kept(here, job_id) for job_id in (old, starred, young)] == [False, True, True]
    for gone in (before.job.params["photo"], before.result.files[0].id):
        with pytest.raises(NotFound):
            here.service.files.get_info(gone)
    for job_id in (starred, young):
        row = here.service.jobs.get_job(job_id)
        assert row is not None
        assert row.result is not None
        here.service.files.open_image(row.result.files[0].id)
        here.service.files.open_image(row.job.params["photo"])
    assert len(list((here.root / "files").glob("*.png"))) == 4


def test_by_bytes_the_oldest_go_first_and_no_more_than_needed(here: BatchStudio) -> None:
    ids = [made(here, n, 20 - n) for n in range(6)]
    limit = here.service.files.total_bytes() * 2 // 3
    assert 0 < swept(here, RetentionPolicy(max_bytes=limit)) < 6
    left = [kept(here, job_id) for job_id in ids]
    assert left == sorted(left)
    assert here.service.files.total_bytes() <= limit


def test_without_limits_nothing_goes(here: BatchStudio) -> None:
    job_id = made(here, 1, 4000)
    assert swept(here, RetentionPolicy()) == 0
    assert kept(here, job_id)


def test_a_fresh_upload_that_no_job_names_yet_is_kept(here: BatchStudio) -> None:
    photo = here.service.files.add_image(np.zeros((8, 8, 3), np.uint8), OWNER, "upload")
    swept(here, RetentionPolicy(max_days=1, max_bytes=1))
    here.service.files.open_image(photo)


def batched(here: BatchStudio, folder: Path, rows: int = 3) -> Batch:
    """A finished batch whose rows have pictures of their own."""
    table = "".join(f"{n}.png,{n}\n" for n in range(1, rows + 1))
    for n in range(1, rows + 1):
        write_picture(folder / f"{n}.png", 40 + 10 * n)
    (folder / "jobs.csv").write_text("photo,seed\n" + table)
    batch = here.create_batch(folder / "jobs.csv")
    here.batches.start(batch.id)
    assert here.wait_for_batch(batch) == "done"
    return batch


def test_a_batch_that_goes_on_keeps_its_rows(here: BatchStudio, tmp_path: Path) -> None:
    batch = batched(here, tmp_path / "in")
    here.batches.table.set_state(batch.id, "paused")
    here.service.jobs.table.db.execute(update(JOBS).values(finished=1))
    assert swept(here, RetentionPolicy(max_days=1)) == 0
    here.batches.table.set_state(batch.id, "done")
    assert swept(here, RetentionPolicy(max_days=1)) == 3
    assert here.batches.list_batches(OWNER) == []


@pytest.mark.parametrize("keep", [RetentionPolicy(max_bytes=1), RetentionPolicy(max_days=1)], ids=["bytes", "days"])
def test_a_batch_is_kept_or_forgotten_whole(here: BatchStudio, tmp_path: Path, keep: RetentionPolicy) -> None:
    batch = batched(here, tmp_path / "in")
    rows = [row.job_id or "" for row in here.batches.iter_rows(batch.id)]
    here.service.jobs.table.db.execute(update(JOBS).where(JOBS.c.batch_row < 3).values(finished=1))
    assert here.service.jobs.table.set_starred(rows[0], True)
    assert swept(here, keep) == 0
    assert [kept(here, job_id) for job_id in rows] == [True] * 3
    assert here.service.jobs.table.set_starred(rows[0], False)
    if keep.max_days:  # its last row is young
        assert swept(here, keep) == 0
        here.service.jobs.table.db.execute(update(JOBS).values(finished=1))
    assert swept(here, keep) == 3
    assert [kept(here, job_id) for job_id in rows] == [False] * 3
    assert here.batches.table.get_batch(batch.id) is None


def test_no_more_of_two_batches_goes_than_makes_room(here: BatchStudio, tmp_path: Path) -> None:
    first, second = batched(here, tmp_path / "one"), batched(here, tmp_path / "two", 4)
    assert swept(here, RetentionPolicy(max_bytes=here.service.files.total_bytes() - 1)) == 3
    assert here.batches.table.get_batch(first.id) is None
    assert here.batches.get_progress(second.id).done == 4


# ---------------------------------------------------------------- deleting by hand


def deleted(here: BatchStudio, *ids: str, owner: str = OWNER) -> int:
    return delete_jobs(here.service.jobs.table, here.service.files, owner, ids)


def test_what_is_deleted_takes_its_pictures_along_unless_another_job_names_them(here: BatchStudio) -> None:
    one = here.service.jobs.get_job(made(here, 1, 0))
    assert one is not None
    assert one.result is not None
    photo = one.job.params["photo"]
    again = here.service.create_job("tint", {"photo": photo, "seed": 9}, OWNER)
    wait_for_result(here.service.jobs.watch(here.service.jobs.submit(again)))
    assert deleted(here, one.job.id) == 1
    with pytest.raises(NotFound):
        here.service.files.get_info(one.result.files[0].id)
    here.service.files.open_image(photo)
    assert deleted(here, again.id) == 1
    with pytest.raises(NotFound):
        here.service.files.get_info(photo)
    assert not list((here.root / "files").glob("*.png"))


def test_nobody_deletes_what_is_anothers_and_no_picture_that_another_has(here: BatchStudio) -> None:
    row = here.service.jobs.get_job(made(here, 1, 0))
    assert row is not None
    assert deleted(here, row.job.id, "job-none", owner="another") == 0
    assert kept(here, row.job.id)
    photo = row.job.params["photo"]
    assert here.service.files.add_image(here.service.files.open_image(photo), "another", "upload") == photo
    deleted(here, row.job.id)
    here.service.files.open_image(photo)
    with pytest.raises(NotFound):
        here.service.files.get_info(photo, OWNER)


def test_what_was_hidden_goes_when_its_minute_is_over_and_not_before(here: BatchStudio) -> None:
    job_id, table = made(here, 1, 0), here.service.jobs.table
    assert table.hide_jobs(OWNER, [job_id]) == 1
    assert delete_hidden(table, here.service.files) == 0
    assert kept(here, job_id)
    table.db.execute(update(JOBS).values(helper=JOBS.c.helper - int(UNDO_SECONDS) - 1))
    assert delete_hidden(table, here.service.files) == 1
    assert not kept(here, job_id)


def test_a_deleted_row_is_not_made_anew(here: BatchStudio, tmp_path: Path) -> None:
    batch = batched(here, tmp_path / "in")
    gone = next(here.batches.iter_rows(batch.id)).job_id or ""
    here.tint.notes_run.clear()
    assert deleted(here, gone) == 1
    assert here.batches.retry_rows(batch.id) == 0
    here.batches.table.set_state(batch.id, "paused")
    here.batches.start(batch.id)
    assert here.wait_for_batch(batch) == "done"
    assert here.tint.notes_run == []
    progress = here.batches.get_progress(batch.id)
    assert (progress.total, progress.done, progress.rows_left) == (2, 2, 0)
