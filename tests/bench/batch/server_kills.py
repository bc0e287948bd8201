"""`kill -9` of `python app.py` at random moments of a batch: what is lost, half, or done twice.

`python -m tests.bench survival [ROWS [KILLS]]`. It starts the whole studio once a kill and takes minutes, so it is not
among what `python -m tests.bench` runs by itself.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.bench.page import page_reconnect
from tests.bench.rows import Row, make_row
from tests.support.kill_loop import KillTrigger, make_start_command, run_with_kills

FORM_VALUES = {"preset": "studio-grey", "size": 512, "ratio": "1:1"}


def _make_kill_trigger(dice: random.Random) -> KillTrigger:
    seconds = dice.uniform(0.0, 3.0)

    def moment(http: httpx.Client, batch: str) -> None:
        time.sleep(seconds)

    return moment


def rows(count: int = 200, kills: int = 20) -> Iterator[Row]:
    """A batch of `count` scenes, killed `kills` times, or none with 0; then one kill under two open pages."""
    if count:
        yield from _measure_batch(count, kills)
    yield from page_reconnect.rows()


def _measure_batch(count: int, kills: int) -> Iterator[Row]:
    dice = random.Random(2026)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        seen = run_with_kills(
            make_start_command(data), data, FORM_VALUES, count, [_make_kill_trigger(dice) for _ in range(kills)]
        )
    yield make_row("survival_kills", seen.kill_count, "kills", kills, at_most=False)
    yield make_row("survival_rows_done_once", len(set(seen.done_rows)), "rows", count, at_most=False)
    yield make_row("survival_rows_done_twice", len(seen.done_rows) - len(set(seen.done_rows)), "rows", 0)
    yield make_row("survival_half_files", len(seen.truncated_files), "files", 0)
    yield make_row("survival_results_served", seen.served_result_count, "rows", count, at_most=False)
    yield make_row("survival_watchers_lost", seen.lost_follower_count, f"of {seen.follower_count}", 0)
