from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines.retention import DAY, Keep, sweep
from pipelines.stream import drain
from pipelines.types import NotFound
from tests.rows import OWNER, Room, picture, room


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


def test_a_batch_that_goes_on_keeps_its_rows(here: Room, tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "jobs.csv").write_text("photo\na.png\nnone.png\n")
    batch = here.made(tmp_path / "in" / "jobs.csv")
    here.batches.start(batch.id)
    here.done(batch)
    here.batches.store.set(batch.id, "paused")
    here.desk.jobs.table.db.execute("UPDATE jobs SET finished = 1")
    assert swept(here, Keep(days=1)) == 0
    here.batches.store.set(batch.id, "done")
    assert swept(here, Keep(days=1)) == 1
    here.batches.store.forget_old(4e9)
    assert here.batches.list(OWNER) == []
