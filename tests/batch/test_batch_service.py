from __future__ import annotations

import csv
import errno
import io
import json
import os
import shutil
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import PIL.Image
import pytest
from sqlalchemy import text

from pipelines.batch import batch_table
from pipelines.batch.batch_service import DISK_FULL_NOTE, STORE_AWAY_NOTE, BatchOptions, new_batch_id, open_jobs_source
from pipelines.batch.batch_table import Batch
from pipelines.batch.dry_run import dry_run
from pipelines.batch.jobs_file import read_jobs_file
from pipelines.batch.manifest import MANIFEST_NAME, export_pictures, list_cutouts, save_manifest, save_zip
from pipelines.batch.picture_source import ZipSource
from pipelines.batch.row_values import BatchPlan
from pipelines.codecs.encode import C2PA_MIME_TYPES
from pipelines.core.errors import BadInput, NotFound, OutOfMemory, StudioError
from pipelines.jobs.queue import JobRow
from pipelines.storage.file_index import pixels_sha256
from pipelines.storage.fsspec_store import UNREACHABLE_MESSAGE
from tests.support.batch_rows import OWNER, BatchStudio, pack_zip, write_file, write_picture
from tests.support.download_doors import read_validation_state
from tests.support.served_app import wait_until

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[BatchStudio]:
    with BatchStudio(tmp_path / "data") as built:
        yield built


# ---------------------------------------------------------------- dry run


FAULTS: tuple[tuple[str, str | None], ...] = (
    ("nope.png,,0.5,,", "photo"),
    ("text.png,,0.5,,", "photo"),
    ("../secret.png,,0.5,,", "photo"),
    ("half.jpg,,0.5,,", "photo"),
    (f"{'n' * 300}.png,,0.5,,", "photo"),
    ("a.png,,7,,", "level"),
    ("a.png,,much,,", "level"),
    ("a.png,=HYPERLINK(1),0.5,,", "note"),
    (f"a.png,{'w' * 301},0.5,,", "note"),
    ("a.png,,0.5,first,", "id"),
    ("a.png,,0.5,,red", "colour"),
    ("a.png;note;0.5", "photo"),
    ("a.png,,0.5,,,,extra", None),
    (",,0.5,,", "photo"),
    ("a.png,nul\x00,0.5,,", "note"),
)


# The same as JSON lines, where a number is a number and a line may be no object at all.
JSON_FAULTS: tuple[tuple[str, str | None], ...] = (
    ('{"photo": "nope.png"}', "photo"),
    ('{"photo": "text.png"}', "photo"),
    ('{"photo": "../secret.png"}', "photo"),
    ('{"photo": "half.jpg"}', "photo"),
    (f'{{"photo": "{"n" * 300}.png"}}', "photo"),
    ('{"photo": "a.png", "level": 7}', "level"),
    ('{"photo": "a.png", "level": "much"}', "level"),
    ('{"photo": "a.png", "note": "=HYPERLINK(1)"}', "note"),
    (f'{{"photo": "a.png", "note": "{"w" * 301}"}}', "note"),
    ('{"photo": "a.png", "id": "first"}', "id"),
    ('{"photo": "a.png", "colour": "red"}', "colour"),
    ('["a.png", "", 0.5]', None),
    ('{"photo": "a.png", "note": ', None),
    ('{"level": 0.5}', "photo"),
    ('{"photo": 5}', "photo"),
)


# How a table may be written: with a mark and one row in Latin-1, with semicolons and all in Latin-1, in 16 bit, or as
# JSON lines with a mark and one line in Latin-1.
Writing = Literal["marked", "semicolons", "sixteen", "json"]
WRITINGS: tuple[Writing, ...] = get_args(Writing)


def planted(
    first: str, plain: str, faults: tuple[tuple[str, str | None], ...]
) -> tuple[list[str], dict[int, str | None]]:
    """Fifteen good rows with the faults among them, and by a bad row's number the column that is to be named."""
    rows = [first] + [plain] * 14
    where = {}
    for n, (row, column) in enumerate(faults):
        place = 1 + 2 * n
        rows.insert(place, row)
        where[place + 1] = column
    return rows, where


def faulty(folder: Path, writing: Writing = "marked") -> tuple[Path, dict[int, str | None]]:
    """Thirty rows of which fifteen are planted faults."""
    write_picture(folder / "a.png")
    write_file(folder / "text.png", "this is no picture")
    whole = write_picture(folder / "whole.jpg", side=200)
    write_file(folder / "half.jpg", whole.read_bytes()[: whole.stat().st_size // 2])
    if writing == "json":
        first, plain = '{"photo": "a.png", "note": "good", "level": 0.25, "id": "first"}', '{"photo": "a.png"}'
        rows, where = planted(first, plain, JSON_FAULTS)
        data = b"\xef\xbb\xbf" + "\n".join(rows).encode().replace(b"good", b"gr\xfcn")
        return write_file(folder / "jobs.jsonl", data), where
    rows, where = planted("a.png,good,0.25,first,", "a.png,good,,,", FAULTS)
    text = "photo,note,level,id,colour\n" + "\n".join(rows) + "\n"
    green = text.replace("good,0.25", "grün,0.25")
    if writing == "semicolons":
        data = green.translate(str.maketrans(",;", ";,")).encode("latin-1")
    elif writing == "sixteen":
        data = green.encode("utf-16")
    else:
        data = b"\xef\xbb\xbf" + text.encode().replace(b"good,0.25", b"gr\xfcn,0.25")
    return write_file(folder / "jobs.csv", data), where


@pytest.mark.parametrize("writing", WRITINGS)
def test_a_dry_run_names_every_planted_fault_by_row_and_column_and_keeps_nothing(
    here: BatchStudio, tmp_path: Path, writing: Writing
) -> None:
    path, where = faulty(tmp_path / "jobs", writing)
    batch = here.create_batch(path)
    assert next(here.batches.iter_rows(batch.id)).cells["note"] == "grün"
    report = dry_run(here.batches, batch)
    assert (report.rows, report.good, report.bad_count) == (30, 15, 15)
    assert {fault.row: fault.column for fault in report.faults} == where
    codes = {"invalid_request", "unsupported_image", "corrupt_image"}
    assert {fault.code for fault in report.faults} == codes
    assert [remark.row for remark in report.remarks] == ([] if writing == "sixteen" else [1])
    assert list((here.root / "files").iterdir()) == []
    assert here.service.jobs.list_jobs(OWNER) == []


@pytest.mark.parametrize("writing", ["marked", "sixteen"])  # once with a remark and once without
def test_the_run_does_the_good_rows_and_the_manifest_says_what_became_of_each(
    here: BatchStudio, tmp_path: Path, writing: Writing
) -> None:
    path, where = faulty(tmp_path / "jobs", writing)
    batch = here.create_batch(path)
    here.batches.start(batch.id)
    assert here.wait_for_batch(batch) == "done"
    progress = here.batches.get_progress(batch.id)
    assert (progress.done, progress.failed, progress.rows_left) == (15, 15, 0)
    save_manifest(here.batches, batch.id, tmp_path / MANIFEST_NAME)
    rows = list(csv.DictReader(io.StringIO((tmp_path / MANIFEST_NAME).read_text("utf-8-sig"))))
    assert {int(row["row"]): row["column"] or None for row in rows if row["status"] == "failed"} == where
    assert export_pictures(here.batches, batch.id, tmp_path / "jobs") == 15
    done = [row for row in rows if row["status"] == "done"]
    assert all((tmp_path / "jobs" / row["file"]).is_file() for row in done)
    assert {row["seed"] for row in done} == {"7"}
    first = here.service.jobs.get_job(next(here.batches.iter_rows(batch.id)).job_id or "")
    assert first is not None
    assert first.job.params["note"] == "grün"
    assert bool(first.job.notices) == (writing != "sixteen")


def test_a_dry_run_names_all_that_is_wrong_with_one_row(here: BatchStudio, tmp_path: Path) -> None:
    path = write_file(tmp_path / "jobs.csv", "photo,level,look,seed\nnope.png,7,hot,-1\n")
    report = dry_run(here.batches, here.create_batch(path))
    assert (report.rows, report.bad_count) == (1, 1)
    assert sorted(str(fault.column) for fault in report.faults) == ["level", "look", "photo", "seed"]


def test_time_and_disk_are_told_from_what_was_measured(here: BatchStudio, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    path = write_file(tmp_path / "jobs.csv", "photo,note\n" + "a.png,x\n" * 4)
    batch = here.create_batch(path)
    here.tint.pause = 0.05
    here.batches.start(batch.id)
    here.wait_for_batch(batch)
    report = dry_run(here.batches, here.create_batch(path))
    assert report.seconds is not None
    assert report.seconds >= 4 * 0.05
    assert report.bytes
    assert report.fits_on_disk
    assert len(here.tint.notes_run) == 4


def test_where_nothing_was_measured_two_rows_are_done_and_forgotten(here: BatchStudio, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    mine = here.service.uploads.ingest_picture(write_picture(tmp_path / "b.png", 50).read_bytes(), OWNER)[0]
    path = write_file(tmp_path / "jobs.csv", "photo,note\n" + "a.png,x\n" * 3 + "b.png,y\n")
    here.tint.pause = 0.05
    report = dry_run(here.batches, here.create_batch(path))
    assert here.tint.notes_run == ["x", "y"]
    assert report.seconds is not None
    assert report.seconds >= 4 * 0.05
    assert report.bytes
    assert (here.service.jobs.list_jobs(OWNER), here.service.jobs.count_jobs()) == ([], (0, 0))
    assert [path.stem for path in (here.root / "files").iterdir()] == [mine]


@pytest.mark.parametrize("error", [BadInput("No face."), OutOfMemory("Too large.")])
def test_a_row_that_cannot_be_done_leaves_the_cost_unknown(
    here: BatchStudio, tmp_path: Path, error: StudioError
) -> None:
    write_picture(tmp_path / "a.png")
    here.tint.errors += [error] * 3
    report = dry_run(here.batches, here.create_batch(write_file(tmp_path / "jobs.csv", "photo\na.png\n")))
    assert (report.good, report.seconds, report.bytes) == (1, None, None)
    assert list((here.root / "files").iterdir()) == []


# ---------------------------------------------------------------- going on


def many(here: BatchStudio, folder: Path, rows: int = 12, **shared: str) -> str:
    write_picture(folder / "a.png")
    path = write_file(folder / "jobs.csv", "photo,note\n" + "".join(f"a.png,{n}\n" for n in range(1, rows + 1)))
    return here.create_batch(path, **shared).id


def test_rows_are_done_in_order_and_share_what_they_do_not_say(here: BatchStudio, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    path = write_file(tmp_path / "jobs.csv", "photo,look,seed\na.png,,\na.png,cold,3\n")
    batch = here.create_batch(path, look="warm", level=0.1)
    here.batches.start(batch.id)
    here.wait_for_batch(batch)
    found = [here.service.jobs.get_job(row.job_id or "") for row in here.batches.iter_rows(batch.id)]
    jobs = [row.job for row in found if row is not None]
    assert [(j.params["look"], j.params["level"], j.seed) for j in jobs] == [("warm", 0.1, 7), ("cold", 0.1, 3)]


def test_pause_lets_the_running_row_end_and_resume_does_the_rest_once(here: BatchStudio, tmp_path: Path) -> None:
    here.tint.pause = 0.02
    batch_id = many(here, tmp_path)
    here.batches.start(batch_id)
    wait_until(lambda: here.batches.get_progress(batch_id).done >= 3)
    here.batches.pause(batch_id)
    wait_until(lambda: here.batches.get_progress(batch_id).running == 0)
    stood = here.batches.get_progress(batch_id)
    assert here.service.jobs.count_jobs() == (0, 0)
    assert 3 <= stood.done < 12
    assert stood.rows_left == 12 - stood.done
    here.batches.start(batch_id)
    here.wait_for_batch(here.batches.get_batch(batch_id, OWNER))
    # Two threads may hand in a row each when it goes on, so the order is not promised.
    assert sorted(here.tint.notes_run, key=int) == [str(n) for n in range(1, 13)]


def test_cancel_ends_it_within_a_step_and_keeps_what_is_done(here: BatchStudio, tmp_path: Path) -> None:
    here.tint.pause = 0.05
    batch_id = many(here, tmp_path)
    here.batches.start(batch_id)
    wait_until(lambda: here.batches.get_progress(batch_id).done >= 2)
    here.batches.cancel(batch_id)
    wait_until(lambda: here.batches.get_progress(batch_id).rows_left == 0)
    progress = here.batches.get_progress(batch_id)
    assert progress.done >= 2
    assert progress.cancelled == 12 - progress.done
    assert here.batches.get_batch(batch_id, OWNER).state == "cancelled"
    assert here.batches.retry_rows(batch_id) == 0, "nobody asked for what was cancelled"
    assert here.batches.get_batch(batch_id, OWNER).state == "cancelled"


def test_retry_leaves_cancelled_rows_alone(here: BatchStudio, tmp_path: Path) -> None:
    here.tint.pause = 0.05
    write_picture(tmp_path / "a.png")
    rows = "late.png,one\n" + "".join(f"a.png,{n}\n" for n in range(2, 13))
    batch = here.create_batch(write_file(tmp_path / "jobs.csv", "photo,note\n" + rows))
    here.batches.start(batch.id)
    wait_until(lambda: here.batches.get_progress(batch.id).done >= 1)
    here.batches.cancel(batch.id)
    wait_until(lambda: here.batches.get_progress(batch.id).rows_left == 0)
    stood = here.batches.get_progress(batch.id)
    assert stood.failed == 1
    assert stood.cancelled > 1
    write_picture(tmp_path / "late.png")
    assert here.batches.retry_rows(batch.id) == 1
    assert here.wait_for_batch(here.batches.get_batch(batch.id, OWNER)) == "done"
    after = here.batches.get_progress(batch.id)
    assert (after.done, after.failed, after.cancelled) == (stood.done + 1, 0, stood.cancelled)


def test_retry_does_the_failed_rows_and_no_other(here: BatchStudio, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    path = write_file(tmp_path / "jobs.csv", "photo,note\na.png,one\nlate.png,two\na.png,no face\n=1,four\n")
    batch = here.create_batch(path)
    here.batches.start(batch.id)
    here.wait_for_batch(batch)
    assert here.batches.get_progress(batch.id).failed == 3
    write_picture(tmp_path / "late.png")
    here.tint.notes_run.clear()
    assert here.batches.retry_rows(batch.id) == 2
    here.wait_for_batch(batch)
    assert sorted(here.tint.notes_run) == ["no face", "two"]
    assert (here.batches.get_progress(batch.id).done, here.batches.get_progress(batch.id).failed) == (2, 2)


def sent(here: BatchStudio, table: str, **pictures: Path) -> Batch:
    """A batch whose table and pictures lie in the studio's own folder, as the page and REST lay them."""
    batch_id = new_batch_id()
    folder = here.batches.root / batch_id
    folder.mkdir(parents=True)
    for name, path in pictures.items():
        shutil.copy(path, folder / f"{name}.png")
    path = write_file(folder / "jobs.csv", table)
    plan = BatchPlan("tint", {})
    return here.batches.create_batch(
        plan, read_jobs_file(path), OWNER, BatchOptions(name="jobs.csv", seed=7, source=folder, batch_id=batch_id)
    )


def test_what_was_sent_is_deleted_when_the_batch_ends_and_failed_rows_can_be_done_again(
    here: BatchStudio, tmp_path: Path
) -> None:
    batch = sent(here, "photo,note\na.png,one\na.png,no face\nmissing.png,x\n", a=write_picture(tmp_path / "a.png"))
    here.batches.start(batch.id)
    here.wait_for_batch(batch)
    assert not (here.batches.root / batch.id).exists()
    assert (here.batches.get_progress(batch.id).done, here.batches.get_progress(batch.id).failed) == (1, 2)
    here.tint.notes_run.clear()
    here.tint.accepts_missing_face = True
    assert here.batches.retry_rows(batch.id) == 2
    here.wait_for_batch(batch)
    assert here.tint.notes_run == ["no face"], "its picture is in the studio still"
    failed = list(here.batches.iter_rows(batch.id, "failed"))
    assert [row.row for row in failed] == [3]
    assert "Send it in another batch" in (failed[0].error or {})["message"]
    assert [row.picture_ids for row in here.batches.table.iter_rows(batch.id)] == [{}, {}, {}], (
        "and nobody's picture is held on to"
    )


def test_what_was_sent_is_deleted_when_the_batch_is_cancelled(here: BatchStudio, tmp_path: Path) -> None:
    batch = sent(here, "photo\na.png\n", a=write_picture(tmp_path / "a.png"))
    assert (here.batches.root / batch.id / "a.png").exists()
    here.batches.cancel(batch.id)
    assert not (here.batches.root / batch.id).exists()
    assert here.batches.get_progress(batch.id).cancelled == 1


def test_an_end_that_nobody_looked_at_and_a_batch_that_nobody_started_leave_nothing(
    here: BatchStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = write_picture(tmp_path / "a.png")
    ended, idle = sent(here, "photo\na.png\n", a=photo), sent(here, "photo\na.png\n", a=photo)
    here.batches.start(ended.id)
    wait_until(lambda: here.batches.get_progress(ended.id).done == 1)
    here.batches._finish_or_discard()
    assert not (here.batches.root / ended.id).exists()
    assert (here.batches.root / idle.id).exists()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 25 * 3600)
    here.batches._finish_or_discard()
    assert not (here.batches.root / idle.id).exists()


def test_a_folder_of_the_owners_own_is_left_alone(here: BatchStudio, tmp_path: Path) -> None:
    photo = write_picture(tmp_path / "a.png")
    batch = here.create_batch(write_file(tmp_path / "jobs.csv", "photo\na.png\n"))
    here.batches.start(batch.id)
    here.wait_for_batch(batch)
    here.batches.forget_batch(batch.id)
    assert photo.exists()


def test_an_error_that_may_pass_is_tried_again(here: BatchStudio, tmp_path: Path) -> None:
    here.tint.errors += [OutOfMemory("Too large."), OutOfMemory("Too large.")]
    batch_id = many(here, tmp_path, 3)
    here.batches.start(batch_id)
    assert here.wait_for_batch(here.batches.get_batch(batch_id, OWNER)) == "done"
    assert here.batches.get_progress(batch_id).done == 3
    assert len(here.tint.notes_run) == 5


def test_a_full_disk_pauses_with_a_sentence_and_resume_completes(here: BatchStudio, tmp_path: Path) -> None:
    batch_id = many(here, tmp_path, 6)
    here.tint.errors.append(StudioError("The disk is full; nothing was written.", code="disk_full"))
    here.batches.start(batch_id)
    assert here.wait_for_batch(here.batches.get_batch(batch_id, OWNER)) == "paused"
    assert here.batches.get_batch(batch_id, OWNER).note == DISK_FULL_NOTE
    here.batches.start(batch_id)
    assert here.wait_for_batch(here.batches.get_batch(batch_id, OWNER)) == "done"
    assert (here.batches.get_progress(batch_id).done, here.batches.get_progress(batch_id).failed) == (6, 0)


def test_a_store_of_files_that_is_away_pauses_with_its_own_sentence(here: BatchStudio, tmp_path: Path) -> None:
    batch_id = many(here, tmp_path, 3)
    here.tint.errors.append(StudioError(UNREACHABLE_MESSAGE, code="storage_unavailable"))
    here.batches.start(batch_id)
    assert here.wait_for_batch(here.batches.get_batch(batch_id, OWNER)) == "paused"
    assert here.batches.get_batch(batch_id, OWNER).note == STORE_AWAY_NOTE
    here.batches.start(batch_id)
    assert here.wait_for_batch(here.batches.get_batch(batch_id, OWNER)) == "done"
    assert here.batches.get_progress(batch_id).done == 3


def test_a_disk_that_is_full_at_the_door_pauses_too(
    here: BatchStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> str:
        raise StudioError("The disk is full; nothing was written.", code="disk_full")

    batch_id = many(here, tmp_path, 4)
    with monkeypatch.context() as patch:
        patch.setattr(here.service.files, "add_image", full)
        here.batches.start(batch_id)
        assert here.wait_for_batch(here.batches.get_batch(batch_id, OWNER)) == "paused"
    here.batches.start(batch_id)
    assert here.wait_for_batch(here.batches.get_batch(batch_id, OWNER)) == "done"
    assert here.batches.get_progress(batch_id).done == 4


@pytest.fixture
def small_disk(
    here: BatchStudio, synced_disk: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[int | None], None]]:
    """Says how many bytes of pictures the disk has room for; None: as many as one likes."""
    room: list[int | None] = [None]
    real = os.fsync

    def fsync(number: int) -> None:
        used = 0
        for path in here.service.files.root.iterdir():
            with suppress(FileNotFoundError):  # a file that had no room beside this one is gone
                used += path.stat().st_size
        if room[0] is not None and used > room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(number)

    monkeypatch.setattr(os, "fsync", fsync)
    yield lambda size: room.__setitem__(0, size)
    room[0] = None


def is_at_rest(here: BatchStudio, batch: Batch) -> bool:
    """Whether no row of a paused batch can say any more that there is no room, which would pause what was resumed."""
    begun = "SELECT count(*) FROM batch_rows WHERE batch = :batch AND state = 'waiting' AND tries > 0"
    (taken,) = here.batches.table._db.fetch_rows(text(begun), {"batch": batch.id})
    is_writing = bool(list((here.root / "files").glob(".part*")))
    return not taken[0] and not is_writing and here.service.jobs.count_jobs()[0] == 0


def test_a_disk_that_fills_in_the_middle_pauses_every_batch_and_each_row_is_done_once(
    here: BatchStudio, tmp_path: Path, small_disk: Callable[[int | None], None]
) -> None:
    rng = np.random.default_rng(0)
    for n in range(12):
        PIL.Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / f"{n}.png")
    rows = "".join(f"{n}.png,row {n},{n}\n" for n in range(12))
    batch = here.create_batch(write_file(tmp_path / "jobs.csv", f"photo,note,seed\n{rows}"))
    other = here.create_batch(tmp_path / "jobs.csv", level=0.1)
    small_disk(150_000)
    here.batches.start(batch.id)
    assert here.wait_for_batch(batch) == "paused"
    stood = here.batches.get_progress(batch.id)
    assert 0 < stood.done < 12
    assert (stood.failed, stood.rows_left) == (0, 12 - stood.done)
    assert here.batches.get_batch(batch.id, OWNER).note == DISK_FULL_NOTE
    wait_until(lambda: not (here.root / ".ballast").exists(), 5)  # the room for saying so is given up
    wait_until(lambda: is_at_rest(here, batch), 5)

    here.batches.start(other.id)  # there is still no room: it says so too
    assert here.wait_for_batch(other) == "paused"
    wait_until(lambda: is_at_rest(here, other), 5)
    small_disk(None)
    for each in (batch, other):
        here.batches.start(each.id)
        assert here.wait_for_batch(each) == "done"
        found = [here.service.jobs.get_job(row.job_id or "") for row in here.batches.iter_rows(each.id)]
        files = [row.result.files[0] for row in found if row is not None and row.result is not None]
        assert len(files) == 12
        assert all(pixels_sha256(here.service.files.open_image(file.id)) == file.pixels_sha256 for file in files)
    assert not (here.root / ".ballast").exists()


def test_a_row_that_is_taken_while_the_disk_fills_reserves_no_room(
    here: BatchStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = here.batches._reserved_space
    reserve, has_reserved = space.reserve, threading.Event()

    def pause_and_reserve() -> None:
        here.batches._pause_all(StudioError("No space left.", code="disk_full"))
        reserve()
        has_reserved.set()

    monkeypatch.setattr(space, "reserve", pause_and_reserve)
    write_picture(tmp_path / "0.png")
    batch = here.create_batch(write_file(tmp_path / "jobs.csv", "photo,note\n0.png,a row\n"))
    here.batches.start(batch.id)
    assert here.wait_for_batch(batch) == "paused"
    assert has_reserved.wait(20)
    wait_until(lambda: not (here.root / ".ballast").exists(), 5)


@pytest.mark.usefixtures("only_in_a_file")
def test_a_table_that_has_no_room_for_a_batch_is_told_of_and_keeps_no_half_of_it(
    here: BatchStudio, tmp_path: Path
) -> None:
    write_picture(tmp_path / "a.png")
    path = write_file(tmp_path / "jobs.csv", "photo,note\n" + f"a.png,{'w' * 200}\n" * 2000)
    db = here.service.jobs.table.db
    ((pages,),) = db.fetch_rows(text("PRAGMA page_count"))
    db.run(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StudioError) as caught:
        here.create_batch(path)
    assert caught.value.code == "disk_full"
    db.run("PRAGMA max_page_count = 1073741823")
    assert here.batches.list_batches(OWNER) == []
    assert here.batches.get_progress(here.create_batch(path).id).total == 2000


def test_somebody_elses_batch_is_not_found(here: BatchStudio, tmp_path: Path) -> None:
    batch_id = many(here, tmp_path, 1)
    with pytest.raises(NotFound):
        here.batches.get_batch(batch_id, "another")


# ---------------------------------------------------------------- sources and results


def test_a_folder_is_a_batch_of_its_pictures(here: BatchStudio, tmp_path: Path) -> None:
    for name in ("b.png", "sub/a.png", "notes.txt", ".hidden.png"):
        write_picture(tmp_path / "in" / f"{name}.png").rename(tmp_path / "in" / name)
    batch = here.create_batch(tmp_path / "in", level=0.2)
    assert [row.cells for row in here.batches.iter_rows(batch.id)] == [{"photo": "b.png"}, {"photo": "sub/a.png"}]


@pytest.mark.parametrize("table", [True, False])
def test_a_zip_of_pictures_with_or_without_a_table_is_a_batch(here: BatchStudio, tmp_path: Path, table: bool) -> None:
    data = write_picture(tmp_path / "x.png").read_bytes()
    entries = {"top/a.png": data, "top/b.png": data, **({"top/jobs.csv": b"photo,note\na.png,one\n"} if table else {})}
    batch = here.create_batch(pack_zip(tmp_path / "in.zip", entries))
    here.batches.start(batch.id)
    here.wait_for_batch(batch)
    assert here.batches.get_progress(batch.id).done == (1 if table else 2)


def test_results_and_manifest_come_as_a_zip_whose_names_lead_nowhere(here: BatchStudio, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    rows = [{"id": "../../x", "photo": "a.png", "note": "+1"}, {"id": "+SUM(A1)", "photo": "a.png"}]
    path = write_file(tmp_path / "jobs.jsonl", "\n".join(json.dumps(row) for row in rows))
    batch = here.create_batch(path)
    here.batches.start(batch.id)
    here.wait_for_batch(batch)
    save_zip(here.batches, batch.id, tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as out:
        assert out.testzip() is None
        names = [name for name in out.namelist() if not name.startswith("META-INF/")]
        assert sorted(names) == ["00001-x.png", "00002-SUM-A1.png", MANIFEST_NAME]
        table = out.read(MANIFEST_NAME).decode("utf-8-sig")
    assert [row["id"] for row in csv.DictReader(io.StringIO(table))] == ["../../x", "'+SUM(A1)"]
    assert read_validation_state((tmp_path / "out.zip").read_bytes(), C2PA_MIME_TYPES["zip"]) == "Valid"
    assert not list(tmp_path.glob(".part*"))


def test_the_zip_of_a_finished_batch_is_its_pictures_and_a_manifest_alone_says_what_it_is(
    here: BatchStudio, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        write_picture(tmp_path / "in" / f"{name}.png")
    batch = here.create_batch(tmp_path / "in")
    here.batches.start(batch.id)
    here.wait_for_batch(batch)
    save_zip(here.batches, batch.id, tmp_path / "out.zip")
    again = here.create_batch(tmp_path / "out.zip")
    assert [row.cells["photo"] for row in here.batches.iter_rows(again.id)] == ["00001-a.png", "00002-b.png"]
    with zipfile.ZipFile(tmp_path / "out.zip") as out:
        manifest = out.read(MANIFEST_NAME)
    for written_anew in (manifest, manifest.replace(b",", b";"), manifest.replace(b",", b"\t")):
        for name in (MANIFEST_NAME, "manifest (1).csv"):
            (tmp_path / name).write_bytes(written_anew)
            with pytest.raises(BadInput, match="manifest of a finished batch"):
                here.create_batch(tmp_path / name)
    own = write_file(tmp_path / "own" / MANIFEST_NAME, "photo\na.png\n")  # a table of rows that is called like one
    assert [row.cells for row in here.batches.iter_rows(here.create_batch(own).id)] == [{"photo": "a.png"}]


@pytest.mark.parametrize("is_read_late", [False, True])
def test_a_zip_whose_table_is_damaged_is_refused_in_words_and_closed(
    here: BatchStudio, tmp_path: Path, is_read_late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, closed = tmp_path / "in.zip", list[ZipSource]()
    rows = "photo,id\n" + "".join(f"a.png,{number * 7919 % 100_003}\n" for number in range(3000))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("jobs.csv", rows)
        size = out.infolist()[0].compress_size
    data = bytearray(path.read_bytes())
    begin = len("jobs.csv") + 30 + (size - size // 4 if is_read_late else 0)  # after the entry's own header
    data[begin : begin + 64] = b"\xff" * 64
    path.write_bytes(data)
    close = ZipSource.close

    def close_noted(source: ZipSource) -> None:
        closed.append(source)
        close(source)

    monkeypatch.setattr(ZipSource, "close", close_noted)
    with pytest.raises(BadInput, match="This entry of the ZIP is damaged"):
        here.create_batch(path)
    assert len(closed) == 1 + is_read_late


def test_pictures_with_an_uncertain_cutout_are_listed_first_and_set_aside(
    here: BatchStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_picture(tmp_path / "a.png")
    path = write_file(tmp_path / "jobs.jsonl", "\n".join(json.dumps({"id": name, "photo": "a.png"}) for name in "abc"))
    batch = here.create_batch(path)
    here.batches.start(batch.id)
    here.wait_for_batch(batch)
    doubts = {"a": 0.2, "b": 0.9, "c": None}
    changes = [{"word": "Milk", "reads": "Silk"}, {"word": "=1", "reads": ""}]
    whole, changed = ({"before": ["=1 Milk"], "after": [], "changes": each} for each in ([], changes))
    labels = {"a": [None, whole], "b": [changed, changed], "c": [{"before": [], "after": [], "changes": []}]}
    keys = {row.job_id: row.key for row in here.batches.iter_rows(batch.id)}
    found = here.service.jobs.get_job

    def with_doubt(job_id: str) -> JobRow | None:
        job = found(job_id)
        assert job is not None
        assert job.result is not None
        job.result.receipt["cutout_uncertainty"] = doubts[keys[job_id]]
        job.result.receipt["label"] = labels[keys[job_id]]
        return job

    monkeypatch.setattr(here.service.jobs, "get_job", with_doubt)
    assert list_cutouts(here.batches, batch.id) == [(2, "b", 0.9), (1, "a", 0.2)]
    save_zip(here.batches, batch.id, tmp_path / "out.zip", 0.5)
    with zipfile.ZipFile(tmp_path / "out.zip") as out:
        assert {"00001-a.png", "set-aside/00002-b.png", "00003-c.png"} <= set(out.namelist())
        table = out.read(MANIFEST_NAME).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["cutout_uncertainty"] for row in rows] == ["0.2", "0.9", ""]
    assert [row["label_changes"] for row in rows] == ["", "Milk > Silk | =1 > -", ""]


def test_twelve_hundred_rows_are_kept_without_being_held(
    here: BatchStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_table, "CHUNK_ROW_COUNT", 100)  # so that a short table has many chunks
    write_picture(tmp_path / "a.png")
    rows = "".join(f'a.png,"{"words " * 40}{n}"\n' for n in range(1200))
    path = write_file(tmp_path / "jobs.csv", "photo,note\n" + rows)
    tracemalloc.start()
    batch = here.create_batch(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert here.batches.get_progress(batch.id).total == 1200
    assert peak < path.stat().st_size * 2
    here.batches.start(batch.id)
    wait_until(lambda: here.batches.get_progress(batch.id).done > 0)
    assert len(here.service.jobs.table.list_waiting()) <= 3
    here.batches.cancel(batch.id)


def test_a_folder_needs_a_tool_that_takes_a_photo(here: BatchStudio, tmp_path: Path) -> None:
    with pytest.raises(StudioError):
        here.create_batch(tmp_path, "nonesuch")
    with pytest.raises(BadInput):
        open_jobs_source(tmp_path / "none.csv", here.service, "tint")
