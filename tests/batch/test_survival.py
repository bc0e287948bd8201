from __future__ import annotations

import sys
from pathlib import Path

import httpx

from tests.support.kill_loop import KillTrigger, run_with_kills
from tests.support.served_app import wait_until

ROWS, KILLS = 24, (3, 12)


def when(done: int) -> KillTrigger:
    """As soon as so many rows are done."""

    def moment(http: httpx.Client, batch: str) -> None:
        wait_until(lambda: http.get(f"/v1/batches/{batch}").json()["request_counts"]["completed"] >= done, 60)

    return moment


def test_a_server_that_is_killed_twice_does_every_row_once_and_whoever_watches_is_told_the_end(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "tests.support.kill_loop", str(tmp_path), "0.01"]
    seen = run_with_kills(command, tmp_path, {"prompt": "a", "size": 64}, ROWS, [when(done) for done in KILLS])
    assert seen.is_complete(ROWS), seen
    assert seen.kill_count == len(KILLS)
    assert seen.follower_count > 0
