"""The job queue: submit, watch, cancel. Jobs are stored in a database and run by a pool of worker threads."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.errors import JobCancelled, NotFound, QueueFull, error_from_json
from pipelines.core.job import Job, JobStatus, Result, Step
from pipelines.core.stream import Stream
from pipelines.jobs.subscribers import Subscribers
from pipelines.jobs.table import JobTable, result_from_row
from pipelines.jobs.workers import Engine, VisitorEngine, WorkerPool
from pipelines.storage.database import Row
from pipelines.storage.disk_space import translate_disk_full

FINISHED_STATUSES = ("done", "failed", "cancelled")


@dataclass(frozen=True)
class JobRow:
    """The state of a job. `position` is 1 for the next job, 0 for one that does not wait.

    `error` has `code`, `message` and `param`. `attempts` counts the failed attempts of a batch row. `slot` is the batch
    and the row in which the picture stands, if any.
    """

    job: Job
    status: JobStatus
    position: int
    step: Step | None
    result: Result | None
    error: dict[str, Any] | None
    created: float
    started: float | None
    finished: float | None
    attempts: int = 0
    starred: bool = False
    slot: tuple[str, int] | None = None


AdmissionCheck = Callable[[Job, Callable[[str], int]], None]
"""Called under the queue's lock with each new job and a function that counts an owner's unfinished jobs.

It raises a `StudioError` to refuse the job."""


class JobQueue:
    """A job table with one worker thread for each engine slot. Every public method may be called from any thread.

    At most `max_waiting` interactive jobs wait; running jobs and batch rows do not count. Jobs that ran when the studio
    stopped or crashed are queued again at the next start on the same folder.
    """

    def __init__(
        self,
        root: Path,
        engine: Engine,
        *,
        max_waiting: int = 16,
        database: str = "",
        check_admission: AdmissionCheck = lambda job, count_active: None,
    ) -> None:
        self.root = root
        self.engine = engine
        self.max_waiting = max_waiting
        self.table = JobTable(root, database)
        self._check_admission = check_admission
        self._lock = self.table.lock
        self._subscribers = Subscribers()
        self.workers = WorkerPool(self.table, self._subscribers, engine, self._sync_with_other_processes)
        self.table.drop_drafts()
        self.table.requeue_abandoned()
        self.workers.start()

    def submit(self, job: Job, slot: tuple[str, int] | None = None) -> str:
        """Queue `job`, once for a `slot` (batch id, row), and return its id. Raises `queue_full` or `disk_full`."""
        with self._lock:
            if not job.batch and not self._queue_has_room():
                raise QueueFull(f"{self.max_waiting} jobs are waiting already. Please try again in a moment.")
            self._check_admission(job, self.table.count_active)
            with translate_disk_full():
                inserted = self.table.insert_job(job, slot)
            if inserted:
                if isinstance(self.engine, VisitorEngine):
                    self.engine.keep_visitor(job.id)
                self._subscribers.get_or_add(job.id)
                self._publish_positions()
                self.workers.wake_worker()
        return job.id

    def submit_and_watch(self, job: Job) -> Stream:
        """Submit a job and watch it from its first step. Raises as `submit` does."""
        with self._lock:
            return self.watch(self.submit(job))

    def _queue_has_room(self) -> bool:
        # A free engine slot counts as room, since its worker may not have claimed the last job yet.
        running, queued = self.count_jobs()
        return queued < self.max_waiting + max(0, self.engine.slots - running)

    def watch(self, job_id: str, after: int = 0) -> Stream:
        """Return a stream of the job's events that starts with its present state. Raises `NotFound`.

        `after` is the id of the last event that the caller has; a newer step is sent at once. Closing the stream does
        not cancel the job.
        """
        with self._lock:
            row = self.get_job(job_id)
            if row is None:
                raise NotFound("There is no such job.")
            if row.status in FINISHED_STATUSES:
                return _replay_finished(row, after)
            return self._subscribers.subscribe(
                job_id, row.position, after, lambda stream: self._unsubscribe(job_id, stream)
            )

    def _unsubscribe(self, job_id: str, stream: Stream) -> None:
        with self._lock:
            self._subscribers.unsubscribe(job_id, stream)
        stream.end()

    def cancel(self, job_id: str) -> bool:
        """Cancel a waiting job at once and a running one within a step. False when it has ended."""
        with self._lock:
            live = self._subscribers.live_jobs.get(job_id)
            if self.table.cancel_waiting(job_id):
                self._subscribers.end_job(job_id, JobCancelled())
                self._publish_positions()
                return True
            if live is not None:
                live.cancelled = True
                if live.stream is not None:
                    live.stream.close()
                    return True
            return self.table.request_stop(job_id) or live is not None

    def get_job(self, job_id: str) -> JobRow | None:
        """Return the state of the job, or None."""
        with self._lock:
            row = self.table.get_row(job_id)
            return None if row is None else self._to_job_row(row)

    def list_jobs(
        self, owner: str, limit: int = 50, before: str | None = None, tool: str | None = None
    ) -> list[JobRow]:
        """Return the owner's jobs without drafts, newest first; `before` is the last id of the previous page."""
        with self._lock:
            return [self._to_job_row(row) for row in self.table.list_rows(owner, limit, before, tool)]

    def count_jobs(self) -> tuple[int, int]:
        """Return how many jobs run and how many interactive jobs wait."""
        return self.table.count_jobs()[:2]

    def failure_counts(self) -> dict[tuple[str, str], int]:
        """Return how many jobs failed since the start, by error code and tool, without retries that succeeded."""
        with self._lock:
            return dict(self.workers.failure_counts)

    def withdraw_batch(self, batch_id: str, *, running: bool = False) -> None:
        """Remove a batch's waiting rows from the queue; with `running`, also cancel those that run."""
        with self._lock:
            for job_id in self.table.withdraw_batch(batch_id):
                self._subscribers.end_job(job_id, JobCancelled())
            for job_id in self.table.list_running(batch_id) if running else ():
                self.cancel(job_id)
            self._publish_positions()

    def close(self) -> None:
        """Stop the running jobs, which are queued again at the next start, and end all streams and threads."""
        self.workers.close()
        self.engine.close()
        with self._lock:
            for job_id in list(self._subscribers.live_jobs):
                self._subscribers.end_job(job_id, JobCancelled())
            self.table.close()

    def _sync_with_other_processes(self) -> None:
        """Requeue jobs of dead processes, and end streams of jobs that other processes finished."""
        self.table.requeue_abandoned(
            [job_id for job_id, live in self._subscribers.live_jobs.items() if live.stream is not None]
        )
        for job_id, live in list(self._subscribers.live_jobs.items()):
            row = self.get_job(job_id) if live.stream is None else None
            if row is not None and row.status in FINISHED_STATUSES:
                if row.result is not None:
                    self._subscribers.publish(job_id, row.result)
                self._subscribers.end_job(job_id, _row_error(row))

    def _publish_positions(self) -> None:
        self._subscribers.mark_positions_changed()
        self._subscribers.publish_positions(self.table.list_waiting)

    def _queue_position(self, job_id: str) -> int:
        waiting = self.table.list_waiting()
        return waiting.index(job_id) + 1 if job_id in waiting else 1  # another process claimed it just now

    def _to_job_row(self, row: Row) -> JobRow:
        live = self._subscribers.live_jobs.get(row.id)
        return JobRow(
            job=Job.model_validate_json(row.job),
            status=row.status,
            position=self._queue_position(row.id) if row.status == "queued" else 0,
            step=live.step if live else None,
            result=result_from_row(row),
            error=json.loads(row.error) if row.error else None,
            created=row.created,
            started=row.started,
            finished=row.finished,
            attempts=row.attempts,
            starred=bool(row.starred),
            slot=None if row.batch_id is None else (row.batch_id, row.batch_row),
        )


def _row_error(row: JobRow) -> BaseException | None:
    if row.error is not None:
        return error_from_json(row.error)
    return JobCancelled() if row.status == "cancelled" else None


def _replay_finished(row: JobRow, after: int) -> Stream:
    """Return a stream with the end of a finished job."""
    stream = Stream()
    stream.last_id = after
    if row.result is not None:
        stream.put(row.result)
    stream.end(_row_error(row))
    return stream
