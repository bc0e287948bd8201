"""The one queue: submit, watch, cancel, kept in a database and worked off by lanes; does not know what a job does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.errors import JobCancelled, NotFound, QueueFull, StudioError
from pipelines.core.job import Job, JobStatus, Result, Step
from pipelines.core.stream import Stream
from pipelines.jobs.subscribers import Subscribers
from pipelines.jobs.table import JobTable, result_from_row
from pipelines.jobs.workers import Engine, RowSource, WorkerPool
from pipelines.storage.database import Row as Columns
from pipelines.storage.disk_space import translate_disk_full

FINISHED_STATUSES = ("done", "failed", "cancelled")


@dataclass(frozen=True)
class JobRow:
    """A job as it stands. `position` is 1 for the next in line, 0 when it does not wait; `error` has a code.

    `attempts` counts errors of its own, after which a batch row is tried again.
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


class JobQueue:
    """One table, one lane per engine slot. Every public method may be called from any thread.

    At most `waiting` interactive jobs wait (running ones and batch rows do not count); one more raises `Busy`. What
    ran when the studio stopped, however it stopped, is in line again at the next start on the same folder.
    """

    def __init__(self, root: Path, engine: Engine, *, max_waiting: int = 16, database: str = "") -> None:
        self.root = root
        self.engine = engine
        self.max_waiting = max_waiting
        self.table = JobTable(root, database)
        self.check_admission: Callable[[Job], None] = lambda job: None
        """Asked, under the queue's lock, before a job stands in line; whoever sets it raises to refuse the job."""
        self._lock = self.table.lock
        self._subscribers = Subscribers()
        self._workers = WorkerPool(self.table, self._subscribers, engine, self._sync_with_other_processes)
        self.table.drop_drafts()
        self.table.requeue_abandoned()
        self._workers.start()

    # ------------------------------------------------------------ the public four

    def submit(self, job: Job, slot: tuple[str, int] | None = None) -> str:
        """Queue `job` and return its id. Raises `Busy` (`queue_full`) when as many wait as may wait, or `disk_full`.

        `slot` is (batch id, row): a row that has a job already gets no second one.
        """
        with self._lock:
            if not job.batch and not self._has_room():
                raise QueueFull(f"{self.max_waiting} jobs are waiting already. Please try again in a moment.")
            self.check_admission(job)
            with translate_disk_full():
                inserted = self.table.insert_job(job, slot)
            if inserted:
                self._subscribers.get_or_add(job.id)
                self._publish_positions()
                self._workers.wake_worker()
        return job.id

    def submit_and_watch(self, job: Job) -> Stream:
        """`submit` and `watch` in one breath, so that no step of even the quickest job is missed. Raises as both do."""
        with self._lock:
            return self.watch(self.submit(job))

    def _has_room(self) -> bool:
        # A lane that is about to claim counts as free, else the very first of a burst would be refused.
        running, queued = self.count_jobs()
        return queued < self.max_waiting + max(0, self.engine.slots - running)

    def watch(self, job_id: str, after: int = 0) -> Stream:
        """A stream of the job's events from now on, opened with where it stands. Raises `NotFound`.

        `after` is the last event id that was seen; a newer step is sent at once. `close()` only detaches.
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
        """Stop a job that waits at once, one that runs within a step. False when it had ended."""
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
        """The job as it stands, or None."""
        with self._lock:
            row = self.table.get_row(job_id)
            return None if row is None else self._to_job_row(row)

    def list_jobs(
        self, owner: str, limit: int = 50, before: str | None = None, tool: str | None = None
    ) -> list[JobRow]:
        """The owner's jobs, newest first, drafts left out; `before` is the id to go on from."""
        with self._lock:
            return [self._to_job_row(row) for row in self.table.list_rows(owner, limit, before, tool)]

    def set_starred(self, job_id: str, starred: bool = True) -> bool:
        """Keep a job, its files too, whatever its age; False when there is none."""
        return self.table.set_starred(job_id, starred)

    def count_active(self, owner: str) -> int:
        """How many of an owner's jobs wait or run, drafts and batch rows left out."""
        return self.table.count_active(owner)

    def count_jobs(self) -> tuple[int, int]:
        """How many run and how many interactive jobs wait."""
        return self.table.count_jobs()[:2]

    # ------------------------------------------------------------ batches and chores

    def set_row_source(self, feeder: RowSource) -> None:
        """Where batch rows come from: asked, beside the lanes, whenever few of them wait."""
        self._workers.set_row_source(feeder)

    def request_refill(self) -> None:
        """There may be batch rows to fetch."""
        self._workers.request_refill()

    def run_every(self, seconds: float, chore: Callable[[], object]) -> None:
        """Do `chore` now and then, beside the lanes, at the earliest `seconds` after the last time."""
        self._workers.run_every(seconds, chore)

    @property
    def is_closing(self) -> bool:
        """Whether nothing more will be worked off."""
        return self._workers.is_closing

    def failure_counts(self) -> dict[tuple[str, str], int]:
        """How many jobs failed since the start, by the error's code and the tool; tries that came right left out."""
        with self._lock:
            return dict(self._workers.failure_counts)

    def withdraw_batch(self, batch_id: str, *, running: bool = False) -> None:
        """Take a batch's waiting rows out of the line as if they had never stood there; cancel its `running` ones."""
        with self._lock:
            for job_id in self.table.withdraw_batch(batch_id):
                self._subscribers.end_job(job_id, JobCancelled())
            for job_id in self.table.list_running(batch_id) if running else ():
                self.cancel(job_id)
            self._publish_positions()

    def close(self) -> None:
        """Stop what runs, which stands in line again at the next start, end every watcher, wait for the lanes."""
        self._workers.close()
        self.engine.close()
        with self._lock:
            for job_id in list(self._subscribers.live_jobs):
                self._subscribers.end_job(job_id, JobCancelled())
            self.table.close()

    def _sync_with_other_processes(self) -> None:
        """What other processes on this folder left behind, or brought to an end."""
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
        line = self.table.list_waiting()
        return line.index(job_id) + 1 if job_id in line else 1  # another process took it just now

    def _to_job_row(self, row: Columns) -> JobRow:
        live = self._subscribers.live_jobs.get(row["id"])
        return JobRow(
            job=Job.model_validate_json(row["job"]),
            status=row["status"],
            position=self._queue_position(row["id"]) if row["status"] == "queued" else 0,
            step=live.step if live else None,
            result=result_from_row(row),
            error=json.loads(row["error"]) if row["error"] else None,
            created=row["created"],
            started=row["started"],
            finished=row["finished"],
            attempts=row["attempts"],
            starred=bool(row["starred"]),
        )


def _row_error(row: JobRow) -> BaseException | None:
    if row.error is not None:
        return StudioError(row.error["message"], code=row.error["code"], param=row.error["param"])
    return JobCancelled() if row.status == "cancelled" else None


def _replay_finished(row: JobRow, after: int) -> Stream:
    """A stream that tells how a job ended that is over."""
    stream = Stream()
    stream.last_id = after
    if row.result is not None:
        stream.put(row.result)
    stream.end(_row_error(row))
    return stream
