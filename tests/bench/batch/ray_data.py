"""2,000 rows over Ray Data, two workers and the driver killed meanwhile: is every row done once, and how much twice.

The driver is a process of its own, and its cluster ends with it; the second one goes on with the same folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select

from pipelines.jobs.table import JobTable, result_from_row
from pipelines.storage.file_index import FileIndex
from pipelines.storage.schema import JOBS
from tests.bench.rows import Row, make_row
from tests.engines.support.ray_batch import count_drawn, last_worker_pid, read_lines, write_jobs_file

ROW_COUNT, PAUSE_SECONDS = 2000, 0.01
TIMEOUT_SECONDS = 1500.0


def rows(count: float = ROW_COUNT) -> Iterator[Row]:
    """A number: how many rows."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        yield from _measure_batch(Path(name), int(count))


def _measure_batch(folder: Path, count: int) -> Iterator[Row]:
    jobs, journal, root = write_jobs_file(folder / "in", count), folder / "journal", folder / "data"
    root.mkdir()
    command = [
        sys.executable,
        "-m",
        "tests.engines.support.ray_batch",
        str(root),
        str(jobs),
        str(journal),
        str(PAUSE_SECONDS),
    ]
    since = time.monotonic()
    with (folder / "log").open("w") as log:
        driver = subprocess.Popen(command, stdout=log, stderr=log)
        _wait_for_rows(journal, count // 4, driver)
        _kill_process(last_worker_pid(journal))
        _wait_for_rows(journal, count // 2, driver)
        driver.kill()
        driver.wait()
        driver = subprocess.Popen(command, stdout=log, stderr=log)
        _wait_for_rows(journal, 3 * count // 4, driver)
        _kill_process(last_worker_pid(journal))
        code = driver.wait(TIMEOUT_SECONDS)
    if code:
        raise RuntimeError((folder / "log").read_text()[-3000:])
    seconds = time.monotonic() - since
    done, pictures, whole = _count_outcome(root)
    times = count_drawn(journal)
    yield make_row("ray_data_rows_done_once", done, f"of {count - 1}; {pictures} pictures", count - 1, at_most=False)
    yield make_row("ray_data_half_files", done - whole, "", 0)
    again = sum(times.values()) - len(times)
    yield make_row("ray_data_rows_drawn_again", again, "of two killed workers and a killed driver", 16)
    yield make_row("ray_data_rows_a_minute", round(60 * count / seconds), "with both starts", 0, at_most=False)


def _count_outcome(root: Path) -> tuple[int, int, int]:
    """Rows that are done, different pictures, rows all of whose files are whole."""
    table, files = JobTable(root), FileIndex(root)
    found = [result_from_row(each) for each in table.db.fetch_rows(select(JOBS).where(JOBS.c.status == "done"))]
    results = [result for result in found if result is not None]
    pictures = {file.pixels_sha256 for result in results for file in result.files}
    whole = sum(
        all(len(files.read_bytes(file.id)) == files.get_info(file.id).bytes for file in r.files) for r in results
    )
    table.close()
    files.close()
    return len(results), len(pictures), whole


def _wait_for_rows(journal: Path, count: int, driver: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + TIMEOUT_SECONDS
    while len(read_lines(journal)) < count:
        if driver.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the driver ended with {driver.returncode} after {len(read_lines(journal))} rows")
        time.sleep(0.1)


def _kill_process(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, 9)
