"""Worker threads that run queued jobs, one for each engine slot, and a background thread for periodic work."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from pipelines.core.errors import StudioError, error_to_json
from pipelines.core.geometry import Image
from pipelines.core.job import Job, Result
from pipelines.core.stream import Stream
from pipelines.jobs.failure_sentences import describe_outcome
from pipelines.jobs.subscribers import POSITION_SECONDS, Subscribers
from pipelines.jobs.table import JobTable
from pipelines.storage.database import DatabaseUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
HEARTBEAT_SECONDS = 5.0  # seconds between two renewals of a lease, and between two checks of an idle worker
RECHECK_SECONDS = 0.5  # seconds between two checks while a job waits that the engine does not choose yet
PEEK_COUNT = 32  # jobs at the head of the queue among which a scheduling engine chooses
LEASE_SECONDS = 60.0  # seconds after which a job of another machine is taken over when its lease was not renewed
EVENT_GAP_SECONDS = 0.005  # seconds within which steps are sent together, far less than anybody sees
BATCH_PAUSING_CODES = ("disk_full", "storage_unavailable")
"""Error codes that pause all batches: no row can be stored until there is room, or the file store is back."""
MIN_QUEUED_ROW_COUNT = 3
"""Batch rows that wait in the queue at least; two for each engine slot where that is more. Others stay in the batch."""


class Engine(Protocol):
    """Runs jobs, `slots` at a time."""

    slots: int

    def run(self, job: Job) -> Stream: ...

    def check_picture(self, image: Image, owner: str, sha256: str) -> None:
        """Run the content filter on an upload (`sha256`: of its pixels). Raises `PolicyRefusal` or its failure."""
        ...

    def describe_state(self) -> dict[str, Any]:
        """`engine`, `device` and `resident` (ids of loaded models), as `/healthz` shows them."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class SchedulingEngine(Protocol):
    """An engine with several devices that chooses which waiting job runs next."""

    def choose_job(self, waiting: Sequence[Job]) -> str | None:
        """Return the id of the job to run next and reserve a device for it; None when it is better to wait."""
        ...

    def release_choice(self, job_id: str) -> None:
        """Release the device that `choose_job` reserved, since the job will not run."""
        ...


@runtime_checkable
class VisitorEngine(Protocol):
    """An engine whose devices are lent to the visitor whose request is answered."""

    def keep_visitor(self, job_id: str) -> None:
        """Remember whose request it is that orders this job."""
        ...


@runtime_checkable
class SharedDeviceEngine(Protocol):
    """An engine with more slots than devices, so that several jobs share a device."""

    devices: int


class RowSource(Protocol):
    """Gives batch rows that are not in the queue yet."""

    def submit_next_row(self) -> bool:
        """Submit the next row as a job; False when there is none."""
        ...

    def requeue_unstored_row(self, job_id: str, error: StudioError) -> None:
        """Requeue a row whose result could not be stored, and pause all batches. Called under the queue's lock."""
        ...


class WorkerPool:
    """Threads that claim jobs, run them and record their end. Shared state is touched under the table's lock."""

    def __init__(
        self, table: JobTable, subscribers: Subscribers, engine: Engine, sync_with_other_processes: Callable[[], None]
    ) -> None:
        self._table = table
        self._subscribers = subscribers
        self._engine = engine
        self._sync_with_other_processes = sync_with_other_processes
        self._min_queued_rows = max(MIN_QUEUED_ROW_COUNT, 2 * engine.slots)
        self._work_available = threading.Condition(table.lock)
        self.is_closing = False
        self.failure_counts: Counter[tuple[str, str]] = Counter()
        """Jobs that failed since the start, by error code and tool."""
        self._chore_executor = ThreadPoolExecutor(1, thread_name_prefix="helper")
        self._row_source: RowSource | None = None
        self._is_refilling = False
        self._chores: list[_Chore] = []
        self._threads = [
            threading.Thread(target=self._run_worker, name=f"worker-{n}", daemon=True) for n in range(engine.slots)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def wake_worker(self) -> None:
        """Wake one worker, since there is a job."""
        with self._work_available:
            self._work_available.notify()

    def close(self) -> None:
        """Stop the running jobs, which are queued again at the next start, and wait for the threads."""
        with self._work_available:
            self.is_closing = True
            for live in self._subscribers.live_jobs.values():
                if live.stream is not None:
                    live.stream.close()
            self._work_available.notify_all()
        for thread in self._threads:
            thread.join(timeout=30)
        self._chore_executor.shutdown(cancel_futures=True)

    # ------------------------------------------------------------ in the background thread

    def set_row_source(self, row_source: RowSource) -> None:
        """Set the source of batch rows; the background thread asks it whenever few rows wait."""
        with self._work_available:
            self._row_source = row_source
        self.request_refill()

    def request_refill(self) -> None:
        """Ask the row source for a row, if few rows wait and it is not being asked."""
        with self._work_available:
            if (
                self._row_source is None
                or self._is_refilling
                or self.is_closing
                or self._table.count_jobs()[2] >= self._min_queued_rows
            ):
                return
            self._is_refilling = True
            self._chore_executor.submit(self._row_source.submit_next_row).add_done_callback(self._on_refilled)

    def _on_refilled(self, future: Future[bool]) -> None:
        self._is_refilling = False
        # Each woken worker requests a refill, so waking one without a new row would ask the source in a loop.
        if _check_success(future) and future.result():
            self.request_refill()
            self.wake_worker()

    def run_every(self, seconds: float, chore: Callable[[], object]) -> None:
        """Run `chore` in the background thread about every `seconds`."""
        with self._work_available:
            self._chores.append(_Chore(seconds, chore))
            self._work_available.notify_all()

    def _run_due_chores(self) -> None:
        for chore in self._chores:
            if time.monotonic() >= chore.due:
                chore.due = time.monotonic() + chore.seconds
                self._chore_executor.submit(chore.work).add_done_callback(_check_success)

    # ------------------------------------------------------------ in a worker thread

    def _run_worker(self) -> None:
        while (job := self._wait_for_job()) is not None:
            self._run_job(job, self._engine.run(job))

    def _wait_for_job(self) -> Job | None:
        """Wait until a job can be claimed and return it; None when the studio shuts down."""
        with self._work_available:
            waited = False
            while not self.is_closing:
                # A row during which the studio died waits until the row source had time to give other rows.
                skip_suspects = not waited and (self._row_source is None or self._is_refilling)
                job = self._retry_until_written(lambda skip_suspects=skip_suspects: self._claim_next(skip_suspects))
                self._skip_if_unavailable(self.request_refill)
                self._run_due_chores()
                if job is not None:
                    self._subscribers.mark_positions_changed()
                    self._publish_positions()
                    return job
                waited = self._wait_for_work()
                if waited:
                    self._skip_if_unavailable(self._sync_with_other_processes)
        return None

    def _claim_next(self, skip_suspects: bool) -> Job | None:
        """Claim the next job, or None."""
        until = time.time() + LEASE_SECONDS
        if not isinstance(self._engine, SchedulingEngine):
            return self._table.claim_next_job(until, skip_suspects=skip_suspects)
        job_id = self._engine.choose_job(self._table.peek_jobs(PEEK_COUNT, skip_suspects=skip_suspects))
        if job_id is None:
            return None
        job = None
        try:
            job = self._table.claim_next_job(until, job_id=job_id)
        finally:
            if job is None:
                self._engine.release_choice(job_id)
        return job

    def _wait_for_work(self) -> bool:
        """Wait for a job; True when `HEARTBEAT_SECONDS` passed without one."""
        if isinstance(self._engine, SchedulingEngine) and self._skip_if_unavailable(lambda: self._table.peek_jobs(1)):
            self._work_available.wait(RECHECK_SECONDS)
            return False
        return not self._work_available.wait(HEARTBEAT_SECONDS)

    def _run_job(self, job: Job, stream: Stream) -> None:
        """Publish the events of a running job until it ends, and renew its lease."""
        self._attach_stream(job.id, stream)
        result: Result | None = None
        due = time.monotonic() + HEARTBEAT_SECONDS
        while not stream.is_exhausted:
            events = stream.take_pending(POSITION_SECONDS, EVENT_GAP_SECONDS)
            result = next((event for event in events if isinstance(event, Result)), result)
            with self._work_available:
                self._subscribers.publish(job.id, *(event for event in events if not isinstance(event, Result)))
                self._publish_positions()
            if time.monotonic() >= due:
                due = time.monotonic() + HEARTBEAT_SECONDS
                self._renew_lease(job.id, stream)
                with self._work_available:
                    self._run_due_chores()
                    self._skip_if_unavailable(self._sync_with_other_processes)
        self._finish_job(job, result, stream.error)

    def _attach_stream(self, job_id: str, stream: Stream) -> None:
        with self._work_available:
            live = self._subscribers.get_or_add(job_id)
            live.attach_stream(stream)
            if live.cancelled or self.is_closing:
                stream.close()

    def _renew_lease(self, job_id: str, stream: Stream) -> None:
        if self._retry_until_written(lambda: self._table.renew_lease(job_id, time.time() + LEASE_SECONDS)) is False:
            stream.close()  # another process took the job over
        elif (row := self._retry_until_written(lambda: self._table.get_row(job_id))) is not None and row.stop:
            with self._work_available:
                self._subscribers.get_or_add(job_id).cancelled = True
            stream.close()

    def _finish_job(self, job: Job, result: Result | None, error: BaseException | None) -> None:
        status, shown = describe_outcome(job.id, result, error)
        with self._work_available:
            if self.is_closing and status == "cancelled" and not self._subscribers.get_or_add(job.id).cancelled:
                self._skip_if_unavailable(lambda: self._table.requeue_job(job.id))
            elif isinstance(shown, StudioError) and self._requeue_after_error(
                job, shown, database_away=isinstance(error, DatabaseUnavailable)
            ):
                live = self._subscribers.live_jobs.get(job.id)
                if live is not None:
                    live.attach_stream(None)
            else:
                error_json = error_to_json(shown) if isinstance(shown, StudioError) else None
                self._retry_until_written(lambda: self._table.finish_job(job.id, status, result, error_json))
                if result is not None:
                    self._subscribers.publish(job.id, result)
                self._subscribers.end_job(job.id, shown)
                if isinstance(shown, StudioError):
                    self.failure_counts[shown.code, job.tool] += 1

    def _requeue_after_error(self, job: Job, error: StudioError, *, database_away: bool) -> bool:
        """Requeue a batch row after a passing server error, any job when the database was away; False: it failed."""
        if not job.batch and not database_away:
            return False
        if error.code in BATCH_PAUSING_CODES and not database_away and self._row_source is not None:
            row_source = self._row_source
            self._retry_until_written(lambda: row_source.requeue_unstored_row(job.id, error))
            return True
        if error.status < 500 or not self._retry_until_written(lambda: self._table.record_attempt(job.id)):
            return False
        return bool(self._retry_until_written(lambda: self._table.requeue_job(job.id)))

    def _publish_positions(self) -> None:
        self._skip_if_unavailable(lambda: self._subscribers.publish_positions(self._table.list_waiting))

    def _skip_if_unavailable(self, action: Callable[[], T]) -> T | None:
        """Run a periodic action; None when the database is unavailable, since it runs again soon."""
        try:
            return action()
        except DatabaseUnavailable as error:
            log.error("the queue's table cannot be read: %s", error)
            return None

    def _retry_until_written(self, change: Callable[[], T]) -> T | None:
        """Write to the table and repeat it while the database is unavailable; None when the studio shuts down."""
        with self._work_available:
            while True:
                try:
                    return change()
                except DatabaseUnavailable as error:
                    log.error("the queue's table cannot be written: %s", error)
                    self._work_available.wait(1.0)
                    if self.is_closing:
                        return None


@dataclass
class _Chore:
    seconds: float
    work: Callable[[], object]
    due: float = 0.0


def _check_success(future: Future[Any]) -> bool:
    """Say whether background work succeeded, and log its error if not."""
    if future.cancelled():
        return False
    error = future.exception()
    if error is not None:
        log.error("background work failed", exc_info=error)
    return error is None
