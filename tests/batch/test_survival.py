from __future__ import annotations

import sys
from pathlib import Path

import httpx

from tests.support.kill_loop import Moment, survive
from tests.support.served_app import until

ROWS, KILLS = 24, (3, 10, 17)


def when(done: int) -> Moment:
    """As soon as so many rows are done."""

    def moment(http: httpx.Client, batch: str) -> None:
        until(lambda: http.get(f"/v1/batches/{batch}").json()["request_counts"]["completed"] >= done, 60)

    return moment


def test_a_server_that_is_killed_three_times_does_every_row_once_and_whoever_watches_is_told_the_end(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "tests.support.kill_loop", str(tmp_path), "0.01"]
    seen = survive(command, tmp_path, {"prompt": "a", "size": 64}, ROWS, [when(done) for done in KILLS])
    assert seen.once(ROWS), seen
    assert seen.killed == len(KILLS)
    assert seen.watched > 0
