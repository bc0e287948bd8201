"""A batch as a Ray data set: every row once, whoever is killed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from tests.engines.support import ray_workers
from tests.engines.support.ray_batch import count_drawn, last_worker_pid, start_batch_cluster, write_jobs_file

ROWS = 30


class Stopped(Exception):
    """Somebody ends the driver in the middle."""


@ray_workers.needs_ray
def test_every_row_is_done_once_though_a_worker_is_killed_and_the_driver_stopped(tmp_path: Path) -> None:
    jobs, journal = write_jobs_file(tmp_path / "in", ROWS), tmp_path / "journal"
    seen: list[int] = []

    def told() -> None:
        seen.append(1)
        if len(seen) == 6:
            with suppress(ProcessLookupError):
                os.kill(last_worker_pid(journal), 9)
        if len(seen) == 18:
            raise Stopped

    with start_batch_cluster(tmp_path / "data", journal, pause=0.05) as here:
        batch = here.find_or_create_batch(jobs)
        with pytest.raises(Stopped):
            here.run_batch(batch, told)
        half = here.batches.table.count_rows(batch.id)
        assert half["done"] + half.get("failed", 0) == 18
        here.run_batch(batch, told)
        counts = here.batches.table.count_rows(batch.id)
        assert counts == {"done": ROWS - 1, "failed": 1}
        assert here.batches.get_progress(batch.id).rows_left == 0
        (bad,) = here.batches.table.list_rows(batch.id, status="failed")
        assert bad.error is not None
        assert bad.error["message"] == "This row was asked for."
        rows = [here.batches.jobs.get_job(row.job_id) for row in here.batches.iter_rows(batch.id, "done") if row.job_id]
        pictures = {file.pixels_sha256 for row in rows if row and row.result for file in row.result.files}
        assert len(pictures) == ROWS - 1
        assert all(here.files.local_path(f.id).exists() for row in rows if row and row.result for f in row.result.files)
        assert not list((tmp_path / "data" / "rows").iterdir())
    times = count_drawn(journal)
    assert len(times) == ROWS - 1
    # What was in hand when its worker was killed, or the driver stopped, is drawn again and nothing else.
    assert sum(times.values()) - len(times) <= 2 + 4
