"""A batch whose process, or whose server, is killed without warning: every row is done exactly once."""

from __future__ import annotations

import random
import signal
import sqlite3
import time
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import PIL.Image

from tests.support.batch_rows import OWNER, BatchStudio, run_batch_process, write_picture
from tests.support.forks import FORKS
from tests.support.kill_loop import KillTrigger, fork_server, log_done_rows, run_with_kills
from tests.support.served_app import wait_until

ROWS, KILLS, PAUSE = 24, 6, 0.05
SERVED_ROWS, SERVED_KILLS = 18, (3, 9)


def table(folder: Path) -> Path:
    write_picture(folder / "a.png")
    path = folder / "jobs.csv"
    path.write_text("photo,note,seed\n" + "".join(f"a.png,row {n},{n}\n" for n in range(1, ROWS + 1)))
    return path


def life(root: Path, jobs: Path, seconds: float | None) -> int | None:
    """One life of a process, killed without warning `seconds` after it began to work; None: it may finish."""
    is_up = FORKS.Event()
    process = FORKS.Process(target=run_batch_process, args=(root, jobs, PAUSE, is_up))
    process.start()
    try:
        assert is_up.wait(60)
        if seconds is not None:
            time.sleep(seconds)
            process.kill()
        process.join(120)
        return process.exitcode
    finally:
        process.kill()
        process.join()
        process.close()


def test_killed_at_six_random_moments_every_row_is_done_exactly_once(tmp_path: Path) -> None:
    jobs, root = table(tmp_path / "jobs"), tmp_path / "data"
    with BatchStudio(root) as here:
        batch = here.create_batch(jobs)
        log_done_rows(root)
    dice = random.Random(5)
    cut_short = sum(life(root, jobs, dice.uniform(0.0, 0.2)) == -signal.SIGKILL for _ in range(KILLS))
    assert cut_short >= KILLS - 2, "the rows were done before the killing was"
    assert life(root, jobs, None) == 0

    db = sqlite3.connect(root / "jobs.sqlite3")
    assert [row for (row,) in db.execute("SELECT row FROM log ORDER BY row")] == list(range(1, ROWS + 1))
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    with BatchStudio(root) as here:
        progress = here.batches.get_progress(batch.id)
        assert (progress.total, progress.done, progress.rows_left) == (ROWS, ROWS, 0)
        assert here.batches.get_batch(batch.id, OWNER).state == "done"
        seeds = []
        for row in here.batches.iter_rows(batch.id):
            job = here.service.jobs.get_job(row.job_id or "")
            assert job is not None
            assert job.result is not None
            image = here.service.files.open_image(job.result.files[0].id)
            assert job.result.files[0].pixels_sha256 == here.service.files.get_info(job.result.files[0].id).sha256
            seeds.append(int(image[0, 0, 0]))
        assert seeds == list(range(1, ROWS + 1))
    for path in (root / "files").iterdir():
        if not path.name.startswith("."):
            with PIL.Image.open(path) as whole:
                assert np.asarray(whole).size


def when(done: int) -> KillTrigger:
    """As soon as so many rows are done."""

    def moment(http: httpx.Client, batch: str) -> None:
        wait_until(lambda: http.get(f"/v1/batches/{batch}").json()["request_counts"]["completed"] >= done, 60)

    return moment


def test_a_server_that_is_killed_twice_does_every_row_once_and_whoever_watches_is_told_the_end(
    tmp_path: Path,
) -> None:
    server, form = partial(fork_server, FORKS, tmp_path, 0.01), {"prompt": "a", "size": 64}
    seen = run_with_kills(server, tmp_path, form, SERVED_ROWS, [when(done) for done in SERVED_KILLS])
    assert seen.is_complete(SERVED_ROWS), seen
    assert seen.kill_count == len(SERVED_KILLS)
    assert seen.follower_count > 0
