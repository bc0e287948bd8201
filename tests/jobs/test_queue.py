from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text, update

from pipelines.core.errors import JobCancelled, NotFound, QueueFull, StudioError
from pipelines.core.job import QueuePosition, Result, Step
from pipelines.core.stream import Stream, wait_for_result
from pipelines.engines.local import STARTING_STAGE
from pipelines.jobs.table import KILLED_MESSAGE, MAX_DEATH_COUNT, MAX_ROW_ATTEMPT_COUNT, JobTable
from pipelines.storage.schema import JOBS
from tests.support.gated_tool import GatedStudio, make_gated_job
from tests.support.postgres import find_sqlite_connection

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture(scope="module")
def shared_studio(each_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatedStudio]:
    with GatedStudio(tmp_path_factory.mktemp("studio")) as built:
        yield built


@pytest.fixture
def here(shared_studio: GatedStudio) -> Iterator[GatedStudio]:
    """The studio that the tests share, with an open gate and a free lane."""
    yield shared_studio
    for job_id in list(shared_studio.jobs._subscribers.live_jobs):
        shared_studio.jobs.cancel(job_id)
    shared_studio.gate.open.set()
    _until(lambda: _free(shared_studio))
    shared_studio.gate.reset()


@pytest.fixture
def own_studio(tmp_path: Path) -> Iterator[GatedStudio]:
    """For a test that leaves a studio otherwise than it was."""
    with GatedStudio(tmp_path) as built:
        yield built


def _until(condition, seconds: float = 30.0) -> None:
    since = time.monotonic()
    while not condition():
        waited = time.monotonic() - since
        assert waited < seconds, "did not happen in time"
        time.sleep(min(0.002 + waited / 20, 0.05))  # each look is a query


def _free(here: GatedStudio) -> bool:
    return here.jobs.count_jobs() == (0, 0)


def test_a_watched_job_tells_every_step_and_then_its_result(here: GatedStudio) -> None:
    here.gate.open.clear()
    watch = here.jobs.watch(here.jobs.submit(make_gated_job(steps=4)))
    here.gate.open.set()
    events = [event for event in watch if not isinstance(event, QueuePosition)]
    assert [e.index for e in events if isinstance(e, Step) and e.stage == "Waiting"] == [1, 2, 3, 4]
    assert isinstance(events[-1], Result)


def test_the_first_step_comes_as_soon_as_the_lane_is_free_whatever_the_tool_does(here: GatedStudio) -> None:
    here.gate.open.clear()
    watch = here.jobs.watch(here.jobs.submit(make_gated_job()))
    steps = (event for event in watch if isinstance(event, Step))
    assert next(steps).stage == STARTING_STAGE


def test_steps_that_take_no_time_travel_together_and_a_preview_waits_for_none() -> None:
    stream = Stream()
    stream.put(Step(1, 9, "s"))
    assert len(stream.take_pending(1.0, 30.0)) == 1
    stream.put(Step(2, 9, "s"))
    stream.put(Step(3, 9, "s", b"jpeg"))
    assert len(stream.take_pending(1.0, 30.0)) == 2
    stream.put(Step(4, 9, "s"))
    stream.end()
    assert len(stream.take_pending(1.0, 30.0)) == 1


def test_any_number_of_watchers_see_the_same_end(here: GatedStudio) -> None:
    here.gate.open.clear()
    job_id = here.jobs.submit(make_gated_job())
    watches = [here.jobs.watch(job_id) for _ in range(5)]
    here.gate.open.set()
    assert len({wait_for_result(watch).files[0].id for watch in watches}) == 1


def test_a_job_that_is_over_can_still_be_watched(here: GatedStudio) -> None:
    job_id = here.jobs.submit(make_gated_job())
    first = wait_for_result(here.jobs.watch(job_id))
    assert wait_for_result(here.jobs.watch(job_id)) == first


def test_a_late_watcher_is_told_at_once_where_the_job_stands(here: GatedStudio) -> None:
    here.gate.pause = 0.5
    job_id = here.jobs.submit(make_gated_job(steps=3))
    next(event for event in here.jobs.watch(job_id) if isinstance(event, Step) and event.index)
    event = here.jobs.watch(job_id).take_next(timeout=0.2)
    assert isinstance(event, Step)
    assert event.preview is not None


def test_twenty_at_once_one_runs_sixteen_wait_in_order_three_are_refused(here: GatedStudio) -> None:
    here.gate.open.clear()
    accepted, refused = [], 0
    for n in range(20):
        try:
            accepted.append(here.jobs.submit(make_gated_job(steps=1, seed=n)))
        except QueueFull:
            refused += 1
    assert (QueueFull("").code, QueueFull("").status) == ("queue_full", 429)
    _until(lambda: here.jobs.count_jobs()[0] == 1)
    assert (len(accepted), refused, here.jobs.count_jobs()) == (17, 3, (1, 16))
    positions = [row.position for job_id in accepted if (row := here.jobs.get_job(job_id)) is not None]
    assert positions == [0, *range(1, 17)]
    watches = [here.jobs.watch(job_id) for job_id in accepted]
    here.gate.open.set()
    for watch in watches:
        wait_for_result(watch)
    assert here.gate.order == list(range(17))


def test_batch_rows_do_not_count_as_waiting_and_come_after_people(here: GatedStudio) -> None:
    here.gate.open.clear()
    here.jobs.submit(make_gated_job(steps=1, seed=99))
    _until(lambda: here.jobs.count_jobs()[0] == 1)
    rows = [here.jobs.submit(make_gated_job(steps=1, seed=n).model_copy(update={"batch": True})) for n in range(20)]
    person = here.jobs.submit(make_gated_job(steps=1, seed=50))
    here.gate.open.set()
    for job_id in (person, *rows):
        wait_for_result(here.jobs.watch(job_id))
    assert here.gate.order == [99, 50, *range(20)]


@pytest.mark.parametrize("way", ["cancel", "close"])
def test_cancel_stops_within_a_step_and_frees_the_lane(here: GatedStudio, way: str) -> None:
    """`python -m tests.bench` measures how long it takes."""
    for n in range(1, 6):
        here.gate.open.clear()
        job_id = here.jobs.submit(make_gated_job(steps=500))
        watch = here.jobs.watch(job_id)
        _until(lambda n=n: here.gate.entered == n)
        if way == "cancel":
            here.jobs.cancel(job_id)
        else:
            live = here.jobs._subscribers.live_jobs[job_id].stream
            assert live is not None
            live.close()
        here.gate.open.set()
        with pytest.raises(JobCancelled):
            wait_for_result(watch)
        _until(lambda: _free(here))
        assert here.gate.entered == n, "no step begins after the cancel"
        row = here.jobs.get_job(job_id)
        assert row is not None
        assert row.status == "cancelled"


def test_a_waiting_job_is_cancelled_without_ever_starting(here: GatedStudio) -> None:
    here.gate.open.clear()
    first = here.jobs.submit(make_gated_job(seed=1))
    second = here.jobs.submit(make_gated_job(seed=2))
    assert here.jobs.cancel(second)
    with pytest.raises(JobCancelled):
        wait_for_result(here.jobs.watch(second))
    here.gate.open.set()
    wait_for_result(here.jobs.watch(first))
    assert here.gate.order == [1]


def test_detaching_does_not_stop_the_job(here: GatedStudio) -> None:
    here.gate.pause = 0.01
    job_id = here.jobs.submit(make_gated_job(steps=20))
    watch = here.jobs.watch(job_id)
    next(event for event in watch if isinstance(event, Step))
    watch.close()
    _until(lambda: (row := here.jobs.get_job(job_id)) is not None and row.status == "done")


@pytest.mark.parametrize("who", ["nobody", "a watcher", "one who ordered it"])
def test_a_preview_is_made_only_for_somebody_who_watches(here: GatedStudio, who: str) -> None:
    here.gate.open.clear()
    ordered = make_gated_job(steps=2)
    job_id = ordered.id
    if who == "one who ordered it":
        here.jobs.submit_and_watch(ordered)
    else:
        here.jobs.submit(ordered)
    if who == "a watcher":
        here.jobs.watch(job_id)
    _until(lambda: here.gate.entered == 1)
    here.gate.pause = 0.3
    here.gate.open.set()
    _until(lambda: (row := here.jobs.get_job(job_id)) is not None and row.step is not None and row.step.index > 0)
    row = here.jobs.get_job(job_id)
    assert row is not None
    assert row.step is not None
    assert (row.step.preview is not None) == (who != "nobody")


@pytest.mark.parametrize(("fault", "code"), [("bad", "invalid_request"), ("bug", "internal_error")])
def test_a_job_that_fails_leaves_the_lane_ready(here: GatedStudio, fault: str, code: str) -> None:
    job_id = here.jobs.submit(make_gated_job(fault=fault))
    with pytest.raises(StudioError) as caught:
        wait_for_result(here.jobs.watch(job_id))
    assert caught.value.code == code
    wait_for_result(here.jobs.watch(here.jobs.submit(make_gated_job())))


def torn(root: Path) -> Path:
    """A copy of the table while it is in use, which is what a power cut leaves behind."""
    copy = root / "torn"
    copy.mkdir()
    for name in ("jobs.sqlite3", "jobs.sqlite3-wal"):
        (copy / name).write_bytes((root / name).read_bytes())
    return copy


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.usefixtures("only_in_a_file")
def test_after_a_power_cut_what_ran_and_what_waited_goes_on_and_drafts_do_not(tmp_path: Path, batch: bool) -> None:
    with GatedStudio(tmp_path) as first:
        first.gate.open.clear()
        rows = [make_gated_job(seed=n).model_copy(update={"batch": batch, "draft": n == 3}) for n in (1, 2, 3)]
        running, waiting, draft = [first.jobs.submit(row) for row in rows]
        _until(lambda: first.jobs.count_jobs()[0] == 1)
        left = torn(tmp_path)
    with GatedStudio(left) as second:
        assert second.jobs.get_job(draft) is None
        for job_id in (running, waiting):
            wait_for_result(second.jobs.watch(job_id))
        assert sorted(second.gate.order) == [1, 2]
        with contextlib.closing(sqlite3.connect(left / "jobs.sqlite3")) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_after_an_orderly_stop_what_ran_stands_in_line_again(tmp_path: Path) -> None:
    with GatedStudio(tmp_path) as first:
        first.gate.pause = 0.02
        job_id = first.jobs.submit(make_gated_job(steps=500))
        _until(lambda: first.jobs.count_jobs() == (1, 0))
    table = JobTable(tmp_path)
    row = table.get_row(job_id)
    table.close()
    assert row is not None
    assert (row.status, row.worker, row.deaths, row.attempts) == ("queued", None, 0, 0)


def test_a_job_under_which_the_studio_died_ten_times_fails_and_says_so(tmp_path: Path) -> None:
    table = JobTable(tmp_path)
    killer = make_gated_job()
    table.insert_job(killer, None)
    for deaths in range(MAX_DEATH_COUNT):
        row = table.get_row(killer.id)
        assert row is not None
        assert (row.status, row.deaths) == ("queued", deaths)
        table.claim_next_job(0.0)
        table.db.execute(update(JOBS).values(worker=None))
        assert table.requeue_abandoned() == 1
    row = table.get_row(killer.id)
    assert row is not None
    assert (row.status, KILLED_MESSAGE in row.error) == ("failed", True)
    table.close()


def test_a_lease_of_a_process_that_lives_is_left_alone(tmp_path: Path) -> None:
    with GatedStudio(tmp_path) as first:
        first.gate.open.clear()
        first.jobs.submit(make_gated_job())
        _until(lambda: first.jobs.count_jobs()[0] == 1)
        other = JobTable(tmp_path)
        other.worker_id = json.dumps([*json.loads(other.worker_id)[:2], 0.0, json.loads(other.worker_id)[3]])
        assert other.requeue_abandoned() == 0
        assert other.claim_next_job(0.0) is None
        other.close()


def test_a_batch_row_that_breaks_is_tried_three_times_and_one_that_is_wrong_once(here: GatedStudio) -> None:
    for fault, tries in (("bug", MAX_ROW_ATTEMPT_COUNT), ("bad", 1)):
        here.gate.order.clear()
        job_id = here.jobs.submit(make_gated_job(fault=fault).model_copy(update={"batch": True}))
        with pytest.raises(StudioError):
            wait_for_result(here.jobs.watch(job_id))
        assert len(here.gate.order) == tries
        row = here.jobs.get_job(job_id)
        assert row is not None
        assert row.status == "failed"


def test_a_row_that_makes_trouble_lets_the_others_go_first(here: GatedStudio) -> None:
    here.gate.open.clear()
    here.jobs.submit(make_gated_job(seed=99))
    _until(lambda: here.jobs.count_jobs()[0] == 1)
    faults = ["bug", "", ""]
    rows = [make_gated_job(seed=n, steps=1, fault=f).model_copy(update={"batch": True}) for n, f in enumerate(faults)]
    watches = [here.jobs.watch(here.jobs.submit(row)) for row in rows]
    here.gate.open.set()
    for watch in watches:
        with contextlib.suppress(StudioError):
            wait_for_result(watch)
    assert here.gate.order == [99, 0, 1, 2, 0, 0]


def test_a_row_of_a_batch_has_one_job_however_often_it_is_submitted(here: GatedStudio) -> None:
    here.gate.open.clear()
    for row in (7, 7, 7, 8):
        here.jobs.submit(make_gated_job(owner="rows").model_copy(update={"batch": True}), ("b", row))
    assert len(here.jobs.list_jobs("rows")) == 2


@pytest.mark.usefixtures("only_in_a_file")
def test_a_table_that_cannot_be_written_holds_the_lane_and_loses_nothing(own_studio: GatedStudio) -> None:
    own_studio.gate.open.clear()
    job_id = own_studio.jobs.submit(make_gated_job(steps=1))
    _until(lambda: own_studio.jobs.count_jobs()[0] == 1)
    ((pages,),) = own_studio.jobs.table.db.fetch_rows(text("PRAGMA page_count"))
    own_studio.jobs.table.db.run(f"PRAGMA max_page_count = {pages}")
    own_studio.jobs.table.db.run("PRAGMA cache_spill = ON")
    watch = own_studio.jobs.watch(job_id)
    own_studio.gate.open.set()
    time.sleep(0.1)
    own_studio.jobs.table.db.run("PRAGMA max_page_count = 1073741823")
    wait_for_result(watch)


def test_an_owner_lists_only_their_own_jobs_newest_first(here: GatedStudio) -> None:
    mine = [here.jobs.submit(make_gated_job(owner="a")) for _ in range(3)]
    here.jobs.submit(make_gated_job(owner="b"))
    assert [row.job.id for row in here.jobs.list_jobs("a")] == mine[::-1]
    assert [row.job.id for row in here.jobs.list_jobs("a", limit=1, before=mine[2])] == [mine[1]]


def test_an_unknown_job_is_not_found(here: GatedStudio) -> None:
    with pytest.raises(NotFound):
        here.jobs.watch("job-none")


def test_eight_submitters_and_random_cancels_end_with_a_free_lane(here: GatedStudio) -> None:
    def submit() -> None:
        for n in range(6):
            try:
                job_id = here.jobs.submit(make_gated_job(steps=2))
            except QueueFull:
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


def test_of_places_in_line_only_the_last_is_told_and_never_a_step_is_lost() -> None:
    stream = Stream()
    for event in (QueuePosition(3), QueuePosition(2), QueuePosition(1), Step(1, 1, "s"), QueuePosition(1)):
        stream.put(event)
    stream.end()
    assert list(stream) == [QueuePosition(1), Step(1, 1, "s"), QueuePosition(1)]


def test_all_that_waits_is_read_at_once_with_its_ids() -> None:
    async def read() -> list[list[int]]:
        stream, found = Stream(), []
        stream.put_all([(n, Step(n, 5, "s")) for n in range(4, 7)])
        found.append([event_id for event_id, _ in await stream.take_pending_async()])
        threading.Timer(0.02, lambda: (stream.put(Step(4, 5, "s")), stream.end())).start()
        while events := await stream.take_pending_async():
            found.append([event_id for event_id, _ in events])
        return found

    assert asyncio.run(read()) == [[4, 5, 6], [7]]


def test_a_reader_that_waits_in_vain_is_let_go_on_and_misses_nothing() -> None:
    async def read() -> None:
        stream = Stream()
        for _ in range(3):
            assert await stream.take_pending_async(0.01) == []
            assert not stream.is_exhausted
        assert stream._async_wakers == [], "nothing is left of a wait that is over"
        threading.Timer(0.02, lambda: stream.put(Step(1, 1, "s"))).start()
        assert [event_id for event_id, _ in await stream.take_pending_async(30)] == [1]
        stream.end()
        assert await stream.take_pending_async(30) == []
        assert stream.is_exhausted

    asyncio.run(read())


def test_those_who_wait_are_told_a_few_times_a_second_and_in_the_end_the_truth(here: GatedStudio) -> None:
    here.gate.open.clear()
    here.jobs.submit(make_gated_job(steps=1))
    _until(lambda: here.jobs.count_jobs()[0] == 1)
    line = [here.jobs.submit(make_gated_job(steps=1)) for _ in range(15)]
    last = here.jobs.watch(here.jobs.submit(make_gated_job(steps=1)))
    told: list[int] = []
    for job_id in line[:12]:
        here.jobs.cancel(job_id)
        told += [e.position for e in last.take_pending(0) if isinstance(e, QueuePosition)]
    assert len(told) <= 3
    _until(
        lambda: (
            told.extend(e.position for e in last.take_pending(0.05) if isinstance(e, QueuePosition)) or told[-1] == 4
        ),
        2,
    )


@pytest.mark.usefixtures("only_in_a_file", "synced_disk")
def test_only_what_a_power_cut_may_undo_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    table = JobTable(tmp_path)
    file = find_sqlite_connection(table.db)
    levels: list[int] = []

    def level(statement: str) -> None:
        if statement.startswith(("INSERT", "UPDATE")):
            file.set_trace_callback(None)
            levels.append(file.execute("PRAGMA synchronous").fetchone()[0])
            file.set_trace_callback(level)

    file.set_trace_callback(level)
    one = make_gated_job()
    table.insert_job(one, None)
    table.insert_job(make_gated_job().model_copy(update={"draft": True}), None)
    table.claim_next_job(0.0)
    table.renew_lease(one.id, 1.0)
    table.finish_job(one.id, "done", None, None)
    file.set_trace_callback(None)
    table.close()
    assert levels == [2, 1, 1, 1, 1]


def test_an_idle_lane_does_not_ask_for_rows_round_and_round(own_studio: GatedStudio) -> None:
    class EmptyRowSource:
        asked = 0

        def submit_next_row(self) -> bool:
            self.asked += 1
            return False

        def requeue_unstored_row(self, job_id: str, error: StudioError) -> None:
            raise AssertionError

    row_source = EmptyRowSource()
    own_studio.jobs.workers.set_row_source(row_source)
    wait_for_result(own_studio.jobs.watch(own_studio.jobs.submit(make_gated_job())))
    time.sleep(0.3)
    assert 1 <= row_source.asked <= 8
