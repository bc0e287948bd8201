from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines.batch import Batch
from pipelines.core.errors import NotFound
from pipelines.core.stream import drain
from pipelines.jobs.retention import DAY, Keep, delete, sweep
from tests.support.batch_rows import OWNER, Room, picture, room

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Room]:
    with room(tmp_path) as built:
        yield built


def made(here: Room, level: int, age: float) -> str:
    """A finished job whose own picture, and whose files, are `age` days old; its id."""
    image = np.random.default_rng(level).integers(0, 255, (64, 64, 3), np.uint8)
    photo = here.desk.files.add(image, OWNER, "upload")
    job = here.desk.order("tint", {"photo": photo, "seed": level}, OWNER)
    drain(here.desk.jobs.watch(here.desk.jobs.submit(job)))
    here.desk.jobs.table.db.execute("UPDATE jobs SET finished = finished - ? WHERE id = ?", (age * DAY, job.id))
    here.desk.files._db.execute("UPDATE files SET created = created - ? WHERE created > 1e9", (age * DAY,))
    return job.id


def swept(here: Room, keep: Keep) -> int:
    return sweep(here.desk.jobs.table, here.desk.files, keep)


def kept(here: Room, job_id: str) -> bool:
    return here.desk.jobs.get(job_id) is not None


def test_what_is_old_goes_with_its_pictures_and_starred_jobs_stay_whole(here: Room) -> None:
    old, starred, young = made(here, 1, 40), made(here, 2, 40), made(here, 3, 2)
    assert here.desk.jobs.star(starred)
    before = here.desk.jobs.get(old)
    assert before is not None
    assert before.result is not None
    assert swept(here, Keep(days=30)) == 1
    assert [kept(here, job_id) for job_id in (old, starred, young)] == [False, True, True]
    for gone in (before.job.params["photo"], before.result.files[0].id):
        with pytest.raises(NotFound):
            here.desk.files.info(gone)
    for job_id in (starred, young):
        row = here.desk.jobs.get(job_id)
        assert row is not None
        assert row.result is not None
        here.desk.files.open(row.result.files[0].id)
        here.desk.files.open(row.job.params["photo"])
    assert len(list((here.root / "files").glob("*.png"))) == 4


def test_by_bytes_the_oldest_go_first_and_no_more_than_needed(here: Room) -> None:
    ids = [made(here, n, 20 - n) for n in range(6)]
    limit = here.desk.files.bytes() * 2 // 3
    assert 0 < swept(here, Keep(bytes=limit)) < 6
    left = [kept(here, job_id) for job_id in ids]
    assert left == sorted(left)
    assert here.desk.files.bytes() <= limit


def test_without_limits_nothing_goes(here: Room) -> None:
    job_id = made(here, 1, 4000)
    assert swept(here, Keep()) == 0
    assert kept(here, job_id)


def test_a_fresh_upload_that_no_job_names_yet_is_kept(here: Room) -> None:
    photo = here.desk.files.add(np.zeros((8, 8, 3), np.uint8), OWNER, "upload")
    swept(here, Keep(days=1, bytes=1))
    here.desk.files.open(photo)


def batched(here: Room, folder: Path, rows: int = 3) -> Batch:
    """A finished batch whose rows have pictures of their own."""
    table = "".join(f"{n}.png,{n}\n" for n in range(1, rows + 1))
    for n in range(1, rows + 1):
        picture(folder / f"{n}.png", 40 + 10 * n)
    (folder / "jobs.csv").write_text("photo,seed\n" + table)
    batch = here.made(folder / "jobs.csv")
    here.batches.start(batch.id)
    assert here.done(batch) == "done"
    return batch


def test_a_batch_that_goes_on_keeps_its_rows(here: Room, tmp_path: Path) -> None:
    batch = batched(here, tmp_path / "in")
    here.batches.store.set(batch.id, "paused")
    here.desk.jobs.table.db.execute("UPDATE jobs SET finished = 1")
    assert swept(here, Keep(days=1)) == 0
    here.batches.store.set(batch.id, "done")
    assert swept(here, Keep(days=1)) == 3
    assert here.batches.list(OWNER) == []


@pytest.mark.parametrize("keep", [Keep(bytes=1), Keep(days=1)], ids=["bytes", "days"])
def test_a_batch_is_kept_or_forgotten_whole(here: Room, tmp_path: Path, keep: Keep) -> None:
    batch = batched(here, tmp_path / "in")
    rows = [row.job_id or "" for row in here.batches.rows(batch.id)]
    here.desk.jobs.table.db.execute("UPDATE jobs SET finished = 1 WHERE batch_row < 3")
    assert here.desk.jobs.star(rows[0])
    assert swept(here, keep) == 0
    assert [kept(here, job_id) for job_id in rows] == [True] * 3
    assert here.desk.jobs.star(rows[0], False)
    if keep.days:  # its last row is young
        assert swept(here, keep) == 0
        here.desk.jobs.table.db.execute("UPDATE jobs SET finished = 1")
    assert swept(here, keep) == 3
    assert [kept(here, job_id) for job_id in rows] == [False] * 3
    assert here.batches.store.get(batch.id) is None


def test_no_more_of_two_batches_goes_than_makes_room(here: Room, tmp_path: Path) -> None:
    first, second = batched(here, tmp_path / "one"), batched(here, tmp_path / "two", 4)
    assert swept(here, Keep(bytes=here.desk.files.bytes() - 1)) == 3
    assert here.batches.store.get(first.id) is None
    assert here.batches.progress(second.id).done == 4


# ---------------------------------------------------------------- deleting by hand


def deleted(here: Room, *ids: str, owner: str = OWNER) -> int:
    return delete(here.desk.jobs.table, here.desk.files, owner, ids)


def test_what_is_deleted_takes_its_pictures_along_unless_another_job_names_them(here: Room) -> None:
    one = here.desk.jobs.get(made(here, 1, 0))
    assert one is not None
    assert one.result is not None
    photo = one.job.params["photo"]
    again = here.desk.order("tint", {"photo": photo, "seed": 9}, OWNER)
    drain(here.desk.jobs.watch(here.desk.jobs.submit(again)))
    assert deleted(here, one.job.id) == 1
    with pytest.raises(NotFound):
        here.desk.files.info(one.result.files[0].id)
    here.desk.files.open(photo)
    assert deleted(here, again.id) == 1
    with pytest.raises(NotFound):
        here.desk.files.info(photo)
    assert not list((here.root / "files").glob("*.png"))


def test_nobody_deletes_what_is_anothers_and_no_picture_that_another_has(here: Room) -> None:
    row = here.desk.jobs.get(made(here, 1, 0))
    assert row is not None
    assert deleted(here, row.job.id, "job-none", owner="another") == 0
    assert kept(here, row.job.id)
    photo = row.job.params["photo"]
    assert here.desk.files.add(here.desk.files.open(photo), "another", "upload") == photo
    deleted(here, row.job.id)
    here.desk.files.open(photo)
    with pytest.raises(NotFound):
        here.desk.files.info(photo, OWNER)


def test_a_deleted_row_is_not_made_anew(here: Room, tmp_path: Path) -> None:
    batch = batched(here, tmp_path / "in")
    gone = next(here.batches.rows(batch.id)).job_id or ""
    here.press.ran.clear()
    assert deleted(here, gone) == 1
    assert here.batches.retry(batch.id) == 0
    here.batches.store.set(batch.id, "paused")
    here.batches.start(batch.id)
    assert here.done(batch) == "done"
    assert here.press.ran == []
    progress = here.batches.progress(batch.id)
    assert (progress.total, progress.done, progress.left) == (2, 2, 0)
