"""A batch on a disk that fills in the middle: does it pause with a sentence, is anything corrupt, does it go on.

`python -m tests.bench full_disk`, as root on Linux: it mounts a small tmpfs of its own, so it is not among what
`python -m tests.bench` runs by itself.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image
from sqlalchemy import text

from pipelines.batch.batch_service import DISK_FULL_NOTE, BatchService
from pipelines.batch.jobs_file import ParsedRow
from pipelines.batch.row_values import BatchPlan
from tests.bench.rows import Row, make_row
from tests.support.kill_loop import log_done_rows
from tests.support.real_studio import RealStudio

ROW_COUNT = 100
SMALL_DISK_SIZE, LARGE_DISK_SIZE = "20m", "200m"
OWNER = "bench"


@contextmanager
def _mount_small_disk(folder: Path) -> Iterator[Path]:
    """A file system of `SMALL` bytes."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_SIZE}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _wait_for_batch(batches: BatchService, batch_id: str) -> str:
    """The state that the batch comes to rest in."""
    end = time.monotonic() + 600
    while (state := batches.get_batch(batch_id, OWNER).state) == "running" and time.monotonic() < end:
        time.sleep(0.1)
    return state


def _count_truncated_files(folder: Path) -> int:
    """Files that cannot be read whole, and what is left of files that were not finished."""
    bad = 0
    for path in folder.iterdir():
        if path.name.startswith(".part"):
            bad += 1
        elif path.suffix == ".png":
            try:
                with PIL.Image.open(path) as picture:
                    assert np.asarray(picture).size
            except OSError:
                bad += 1
    return bad


def rows() -> Iterator[Row]:
    """Scenes of 512 px, a new seed each, until there is no room; then room is made."""
    with tempfile.TemporaryDirectory() as folder, _mount_small_disk(Path(folder)) as disk:
        studio = RealStudio(disk / "data", owner="bench")
        try:
            batches = BatchService(studio.service)
            plan = BatchPlan("background", {"preset": "studio-grey", "size": 512, "ratio": "1:1"})
            batch = batches.create_batch(plan, (ParsedRow(n, {"seed": n}) for n in range(1, ROW_COUNT + 1)), OWNER)
            log_done_rows(disk / "data")
            batches.start(batch.id)
            paused = (
                _wait_for_batch(batches, batch.id) == "paused"
                and batches.get_batch(batch.id, OWNER).note == DISK_FULL_NOTE
            )
            before = batches.get_progress(batch.id).done
            halves = _count_truncated_files(studio.files.root)
            batches.start(batch.id)  # still full: it says so again
            paused = paused and _wait_for_batch(batches, batch.id) == "paused"
            subprocess.run(["mount", "-o", f"remount,size={LARGE_DISK_SIZE}", str(disk)], check=True)
            batches.start(batch.id)
            _wait_for_batch(batches, batch.id)
            done = [n for (n,) in studio.jobs.table.db.fetch_rows(text("SELECT row FROM log"))]
            sound = studio.jobs.table.db.fetch_rows(text("PRAGMA integrity_check"))[0][0] == "ok"
            halves += _count_truncated_files(studio.files.root)
        finally:
            studio.close()
    yield make_row("full_disk_paused_with_a_sentence", paused, "", 1, at_most=False)
    yield make_row("full_disk_rows_done_before", before, f"of {ROW_COUNT}", 1, at_most=False)
    yield make_row("full_disk_rows_done_once_after", len(set(done)), f"of {ROW_COUNT}", ROW_COUNT, at_most=False)
    yield make_row("full_disk_rows_done_twice", len(done) - len(set(done)), "rows", 0)
    yield make_row("full_disk_half_files", halves, "files", 0)
    yield make_row("full_disk_table_sound", sound, "", 1, at_most=False)
