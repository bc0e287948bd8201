from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.jobs import LOST
from pipelines.stream import Stream, drain
from pipelines.types import Busy, Cancelled, NotFound, Queued, Result, Step, StudioError
from tests.gates import House, house, job


@pytest.fixture
def here(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as built:
        yield built


def _until(condition, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.002)


def _free(here: House) -> bool:
    return here.jobs.counts() == (0, 0)


def test_a_watched_job_tells_every_step_and_then_its_result(here: House) -> None:
    here.gate.open.clear()
    watch = here.jobs.watch(here.jobs.submit(job(steps=4)))
    here.gate.open.set()
    events = [event for event in watch if not isinstance(event, Queued)]
    assert [e.index for e in events if isinstance(e, Step) and e.stage == "Waiting"] == [1, 2, 3, 4]
    assert isinstance(events[-1], Result)


def test_any_number_of_watchers_see_the_same_end(here: House) -> None:
    here.gate.open.clear()
    job_id = here.jobs.submit(job())
    watches = [here.jobs.watch(job_id) for _ in range(5)]
    here.gate.open.set()
    assert len({drain(watch).files[0].id for watch in watches}) == 1


def test_a_job_that_is_over_can_still_be_watched(here: House) -> None:
    job_id = here.jobs.submit(job())
    first = drain(here.jobs.watch(job_id))
    assert drain(here.jobs.watch(job_id)) == first


def test_a_late_watcher_is_told_at_once_where_the_job_stands(here: House) -> None:
    job_id = here.jobs.submit(job(steps=5))
    first = here.jobs.watch(job_id)
    here.gate.open.clear()
    _until(lambda: (row := here.jobs.get(job_id)) is not None and row.status == "running")
    here.gate.open.set()
    for event in first:
        if isinstance(event, Step) and event.index == 1:
            break
    here.gate.open.clear()
    row = here.jobs.get(job_id)
    if row is not None and row.status == "running":
        event = here.jobs.watch(job_id).take(timeout=2)
        assert isinstance(event, Step)
        assert event.preview is not None


def test_twenty_at_once_one_runs_sixteen_wait_in_order_three_are_refused(here: House) -> None:
    here.gate.open.clear()
    accepted, refused = [], 0
    for n in range(20):
        try:
            accepted.append(here.jobs.submit(job(steps=1, seed=n)))
        except Busy:
            refused += 1
    assert (Busy("").code, Busy("").status) == ("queue_full", 429)
    _until(lambda: here.jobs.counts()[0] == 1)
    assert (len(accepted), refused, here.jobs.counts()) == (17, 3, (1, 16))
    positions = [row.position for job_id in accepted if (row := here.jobs.get(job_id)) is not None]
    assert positions == [0, *range(1, 17)]
    watches = [here.jobs.watch(job_id) for job_id in accepted]
    here.gate.open.set()
    for watch in watches:
        drain(watch)
    assert here.gate.order == list(range(17))


def test_batch_rows_do_not_count_as_waiting_and_come_after_people(here: House) -> None:
    here.gate.open.clear()
    here.jobs.submit(job(steps=1, seed=99))
    _until(lambda: here.jobs.counts()[0] == 1)
    rows = [here.jobs.submit(job(steps=1, seed=n).model_copy(update={"batch": True})) for n in range(20)]
    person = here.jobs.submit(job(steps=1, seed=50))
    here.gate.open.set()
    for job_id in (person, *rows):
        drain(here.jobs.watch(job_id))
    assert here.gate.order == [99, 50, *range(20)]


@pytest.mark.parametrize("way", ["cancel", "close"])
def test_cancel_stops_within_a_step_and_frees_the_lane(here: House, way: str) -> None:
    step = 0.05
    here.gate.pause = step
    for _ in range(10):
        job_id = here.jobs.submit(job(steps=500))
        watch = here.jobs.watch(job_id)
        next(event for event in watch if isinstance(event, Step))
        since = time.monotonic()
        if way == "cancel":
            here.jobs.cancel(job_id)
        else:
            live = here.jobs._live[job_id].stream
            assert live is not None
            live.close()
        with pytest.raises(Cancelled):
            drain(watch)
        _until(lambda: _free(here))
        assert time.monotonic() - since < 1.1 * step + 0.05
        row = here.jobs.get(job_id)
        assert row is not None
        assert row.status == "cancelled"


def test_a_waiting_job_is_cancelled_without_ever_starting(here: House) -> None:
    here.gate.open.clear()
    first = here.jobs.submit(job(seed=1))
    second = here.jobs.submit(job(seed=2))
    assert here.jobs.cancel(second)
    with pytest.raises(Cancelled):
        drain(here.jobs.watch(second))
    here.gate.open.set()
    drain(here.jobs.watch(first))
    assert here.gate.order == [1]


def test_detaching_does_not_stop_the_job(here: House) -> None:
    here.gate.pause = 0.01
    job_id = here.jobs.submit(job(steps=20))
    watch = here.jobs.watch(job_id)
    next(event for event in watch if isinstance(event, Step))
    watch.close()
    _until(lambda: (row := here.jobs.get(job_id)) is not None and row.status == "done")


def test_no_preview_is_made_when_nobody_watches(here: House) -> None:
    here.gate.open.clear()
    job_id = here.jobs.submit(job(steps=3))
    _until(lambda: here.gate.entered == 1)
    here.gate.open.set()
    _until(lambda: _free(here))
    # The last step stayed without a picture all along, since no watcher ever came.
    assert here.jobs.get(job_id) is not None
    assert here.jobs._live == {}


@pytest.mark.parametrize(("fault", "code"), [("bad", "invalid_request"), ("bug", "internal_error")])
def test_a_job_that_fails_leaves_the_lane_ready(here: House, fault: str, code: str) -> None:
    job_id = here.jobs.submit(job(fault=fault))
    with pytest.raises(StudioError) as caught:
        drain(here.jobs.watch(job_id))
    assert caught.value.code == code
    drain(here.jobs.watch(here.jobs.submit(job())))


def test_after_a_restart_what_ran_is_lost_and_what_waited_goes_on(tmp_path: Path) -> None:
    with house(tmp_path) as first:
        first.gate.open.clear()
        running, waiting = first.jobs.submit(job(seed=1)), first.jobs.submit(job(seed=2))
        _until(lambda: first.jobs.counts() == (1, 1))
        # A copy of the files while they are in use is what a power cut leaves behind.
        torn = tmp_path / "torn"
        torn.mkdir()
        for name in ("jobs.sqlite3", "jobs.sqlite3-wal"):
            (torn / name).write_bytes((tmp_path / name).read_bytes())
    with house(torn) as second:
        row = second.jobs.get(running)
        assert row is not None
        assert (row.status, row.error and row.error["message"]) == ("failed", LOST)
        drain(second.jobs.watch(waiting))
        assert sqlite3.connect(torn / "jobs.sqlite3").execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_an_owner_lists_only_their_own_jobs_newest_first(here: House) -> None:
    mine = [here.jobs.submit(job(owner="a")) for _ in range(3)]
    here.jobs.submit(job(owner="b"))
    assert [row.job.id for row in here.jobs.list("a")] == mine[::-1]
    assert [row.job.id for row in here.jobs.list("a", limit=1, before=mine[2])] == [mine[1]]


def test_an_unknown_job_is_not_found(here: House) -> None:
    with pytest.raises(NotFound):
        here.jobs.watch("job-none")


def test_eight_submitters_and_random_cancels_end_with_a_free_lane(here: House) -> None:
    def submit() -> None:
        for n in range(6):
            try:
                job_id = here.jobs.submit(job(steps=2))
            except Busy:
                continue
            if n % 2:
                here.jobs.cancel(job_id)

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _until(lambda: _free(here), 20)


def test_a_slow_reader_loses_previews_and_nothing_else() -> None:
    stream = Stream()
    for n in range(5):
        stream.put(Step(n + 1, 5, "s", b"jpeg"))
    stream.end()
    events = [event for event in stream if isinstance(event, Step)]
    assert [event.index for event in events] == [1, 2, 3, 4, 5]
    assert [event.preview for event in events] == [None, None, None, None, b"jpeg"]
