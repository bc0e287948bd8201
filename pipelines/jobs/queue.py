"""The one queue: submit, watch, cancel, kept in a database and worked off by lanes; does not know what a job does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.errors import Busy, Cancelled, NotFound, StudioError
from pipelines.core.job import Job, Result, Status, Step
from pipelines.core.stream import Stream
from pipelines.jobs.subscribers import Watchers
from pipelines.jobs.table import Table, result_of
from pipelines.jobs.workers import Engine, Feeder, WorkerPool
from pipelines.storage.database import Row as Columns
from pipelines.storage.disk_space import told_when_full

ENDED = ("done", "failed", "cancelled")


@dataclass(frozen=True)
class Row:
    """A job as it stands. `position` is 1 for the next in line, 0 when it does not wait; `error` has a code.

    `attempts` counts errors of its own, after which a batch row is tried again.
    """

    job: Job
    status: Status
    position: int
    step: Step | None
    result: Result | None
    error: dict[str, Any] | None
    created: float
    started: float | None
    finished: float | None
    attempts: int = 0
    starred: bool = False


class Jobs:
    """One table, one lane per engine slot. Every public method may be called from any thread.

    At most `waiting` interactive jobs wait (running ones and batch rows do not count); one more raises `Busy`. What
    ran when the studio stopped, however it stopped, is in line again at the next start on the same folder.
    """

    def __init__(self, root: Path, engine: Engine, *, waiting: int = 16, database: str = "") -> None:
        self.root = root
        self.engine = engine
        self.waiting = waiting
        self.table = Table(root, database)
        self.admit: Callable[[Job], None] = lambda job: None
        """Asked, under the queue's lock, before a job stands in line; whoever sets it raises to refuse the job."""
        self._lock = self.table.lock
        self._watchers = Watchers()
        self._lanes = WorkerPool(self.table, self._watchers, engine, self._look_around)
        self.table.drop_drafts()
        self.table.release()
        self._lanes.start()

    # ------------------------------------------------------------ the public four

    def submit(self, job: Job, slot: tuple[str, int] | None = None) -> str:
        """Queue `job` and return its id. Raises `Busy` (`queue_full`) when as many wait as may wait, or `disk_full`.

        `slot` is (batch id, row): a row that has a job already gets no second one.
        """
        with self._lock:
            if not job.batch and not self._may_wait():
                raise Busy(f"{self.waiting} jobs are waiting already. Please try again in a moment.")
            self.admit(job)
            with told_when_full():
                inserted = self.table.insert(job, slot)
            if inserted:
                self._watchers.expect(job.id)
                self._tell_positions()
                self._lanes.wake()
        return job.id

    def follow(self, job: Job) -> Stream:
        """`submit` and `watch` in one breath, so that no step of even the quickest job is missed. Raises as both do."""
        with self._lock:
            return self.watch(self.submit(job))

    def _may_wait(self) -> bool:
        # A lane that is about to claim counts as free, else the very first of a burst would be refused.
        running, queued = self.counts()
        return queued < self.waiting + max(0, self.engine.slots - running)

    def watch(self, job_id: str, after: int = 0) -> Stream:
        """A stream of the job's events from now on, opened with where it stands. Raises `NotFound`.

        `after` is the last event id that was seen; a newer step is sent at once. `close()` only detaches.
        """
        with self._lock:
            row = self.get(job_id)
            if row is None:
                raise NotFound("There is no such job.")
            if row.status in ENDED:
                return _replay(row, after)
            return self._watchers.join(job_id, row.position, after, lambda stream: self._leave(job_id, stream))

    def _leave(self, job_id: str, stream: Stream) -> None:
        with self._lock:
            self._watchers.leave(job_id, stream)
        stream.end()

    def cancel(self, job_id: str) -> bool:
        """Stop a job that waits at once, one that runs within a step. False when it had ended."""
        with self._lock:
            live = self._watchers.live.get(job_id)
            if self.table.cancel_waiting(job_id):
                self._watchers.end(job_id, Cancelled())
                self._tell_positions()
                return True
            if live is not None:
                live.cancelled = True
                if live.stream is not None:
                    live.stream.close()
                    return True
            return self.table.stop(job_id) or live is not None

    def get(self, job_id: str) -> Row | None:
        """The job as it stands, or None."""
        with self._lock:
            row = self.table.row(job_id)
            return None if row is None else self._row(row)

    def list(self, owner: str, limit: int = 50, before: str | None = None, tool: str | None = None) -> list[Row]:
        """The owner's jobs, newest first, drafts left out; `before` is the id to go on from."""
        with self._lock:
            return [self._row(row) for row in self.table.rows(owner, limit, before, tool)]

    def star(self, job_id: str, starred: bool = True) -> bool:
        """Keep a job, its files too, whatever its age; False when there is none."""
        return self.table.star(job_id, starred)

    def active(self, owner: str) -> int:
        """How many of an owner's jobs wait or run, drafts and batch rows left out."""
        return self.table.active(owner)

    def counts(self) -> tuple[int, int]:
        """How many run and how many interactive jobs wait."""
        return self.table.counts()[:2]

    # ------------------------------------------------------------ batches and chores

    def feed(self, feeder: Feeder) -> None:
        """Where batch rows come from: asked, beside the lanes, whenever few of them wait."""
        self._lanes.feed(feeder)

    def nudge(self) -> None:
        """There may be batch rows to fetch."""
        self._lanes.request_refill()

    def every(self, seconds: float, chore: Callable[[], object]) -> None:
        """Do `chore` now and then, beside the lanes, at the earliest `seconds` after the last time."""
        self._lanes.every(seconds, chore)

    @property
    def closing(self) -> bool:
        """Whether nothing more will be worked off."""
        return self._lanes.closing

    def failed(self) -> dict[tuple[str, str], int]:
        """How many jobs failed since the start, by the error's code and the tool; tries that came right left out."""
        with self._lock:
            return dict(self._lanes.failed)

    def withdraw(self, batch_id: str, *, running: bool = False) -> None:
        """Take a batch's waiting rows out of the line as if they had never stood there; cancel its `running` ones."""
        with self._lock:
            for job_id in self.table.withdraw(batch_id):
                self._watchers.end(job_id, Cancelled())
            for job_id in self.table.running(batch_id) if running else ():
                self.cancel(job_id)
            self._tell_positions()

    def close(self) -> None:
        """Stop what runs, which stands in line again at the next start, end every watcher, wait for the lanes."""
        self._lanes.close()
        self.engine.close()
        with self._lock:
            for job_id in list(self._watchers.live):
                self._watchers.end(job_id, Cancelled())
            self.table.close()

    def _look_around(self) -> None:
        """What other processes on this folder left behind, or brought to an end."""
        self.table.release([job_id for job_id, live in self._watchers.live.items() if live.stream is not None])
        for job_id, live in list(self._watchers.live.items()):
            row = self.get(job_id) if live.stream is None else None
            if row is not None and row.status in ENDED:
                if row.result is not None:
                    self._watchers.publish(job_id, row.result)
                self._watchers.end(job_id, _error_of(row))

    def _tell_positions(self) -> None:
        self._watchers.moved()
        self._watchers.tell_positions(self.table.waiting)

    def _place(self, job_id: str) -> int:
        line = self.table.waiting()
        return line.index(job_id) + 1 if job_id in line else 1  # another process took it just now

    def _row(self, row: Columns) -> Row:
        live = self._watchers.live.get(row["id"])
        return Row(
            job=Job.model_validate_json(row["job"]),
            status=row["status"],
            position=self._place(row["id"]) if row["status"] == "queued" else 0,
            step=live.step if live else None,
            result=result_of(row),
            error=json.loads(row["error"]) if row["error"] else None,
            created=row["created"],
            started=row["started"],
            finished=row["finished"],
            attempts=row["attempts"],
            starred=bool(row["starred"]),
        )


def _error_of(row: Row) -> BaseException | None:
    if row.error is not None:
        return StudioError(row.error["message"], code=row.error["code"], param=row.error["param"])
    return Cancelled() if row.status == "cancelled" else None


def _replay(row: Row, after: int) -> Stream:
    """A stream that tells how a job ended that is over."""
    stream = Stream()
    stream.last_id = after
    if row.result is not None:
        stream.put(row.result)
    stream.end(_error_of(row))
    return stream
