"""The one queue: submit, watch, cancel, kept in SQLite and worked off by lanes; does not know what a job does."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from pipelines.stream import Stream
from pipelines.types import Busy, Cancelled, Event, File, Job, NotFound, Queued, Result, Status, Step, StudioError

log = logging.getLogger(__name__)

LOST = "The studio was stopped while this was running. Nothing of it was kept; please start it again."
BUG = "Something broke inside the studio. The job's id is in the log."

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, job TEXT NOT NULL,
  status TEXT NOT NULL, draft INTEGER NOT NULL, batch INTEGER NOT NULL, created REAL NOT NULL,
  started REAL, finished REAL, result TEXT, error TEXT
);
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (status, batch, seq);
CREATE INDEX IF NOT EXISTS jobs_by_owner ON jobs (owner, seq);
"""


class Engine(Protocol):
    """Runs one job at once; keeps no queue."""

    slots: int

    def run(self, job: Job) -> Stream: ...

    def about(self) -> dict[str, Any]:
        """`engine`, `device` and `resident` (ids of loaded models), as `/healthz` shows them."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Row:
    """A job as it stands. `position` is 1 for the next in line, 0 when it does not wait; `error` has a code."""

    job: Job
    status: Status
    position: int
    step: Step | None
    result: Result | None
    error: dict[str, Any] | None
    created: float
    started: float | None
    finished: float | None


class _Live:
    """What is known of a job that waits or runs, and cannot be in the table: watchers, last step, stream."""

    def __init__(self) -> None:
        self.events = 0
        self.step: Step | None = None
        self.step_id = 0
        self.stream: Stream | None = None
        self.cancelled = False
        self.watchers: list[Stream] = []


class Jobs:
    """One SQLite table, one lane per engine slot. Every public method may be called from any thread.

    At most `waiting` interactive jobs wait (running ones and batch rows do not count); one more raises `Busy`.
    """

    def __init__(self, root: Path, engine: Engine, *, waiting: int = 16) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.engine = engine
        self.waiting = waiting
        self._lock = threading.RLock()
        self._work = threading.Condition(self._lock)
        self._live: dict[str, _Live] = {}
        self._closing = False
        self._db = sqlite3.connect(root / "jobs.sqlite3", check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _SCHEMA)
        self._recover()
        self._lanes = [threading.Thread(target=self._lane, name=f"lane-{n}", daemon=True) for n in range(engine.slots)]
        for lane in self._lanes:
            lane.start()

    def _recover(self) -> None:
        error = json.dumps({"code": "internal_error", "message": LOST, "param": None})
        self._db.execute("DELETE FROM jobs WHERE draft")
        self._db.execute(
            "UPDATE jobs SET status = 'failed', error = ?, finished = ? WHERE status = 'running'", (error, time.time())
        )
        for row in self._db.execute("SELECT id FROM jobs WHERE status = 'queued'").fetchall():
            self._live[row["id"]] = _Live()

    # ------------------------------------------------------------ the public four

    def submit(self, job: Job) -> str:
        """Queue `job` and return its id. Raises `Busy` (`queue_full`) when as many wait as may wait."""
        with self._lock:
            if not job.batch and not self._may_wait():
                raise Busy(f"{self.waiting} jobs are waiting already. Please try again in a moment.")
            self._db.execute(
                "INSERT INTO jobs (id, owner, job, status, draft, batch, created) VALUES (?, ?, ?, 'queued', ?, ?, ?)",
                (job.id, job.owner, job.model_dump_json(), job.draft, job.batch, job.created),
            )
            self._live[job.id] = _Live()
            self._tell_positions()
            self._work.notify()
        return job.id

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
            live = self._live.get(job_id)
            if live is None:
                return _replay(row, after)
            stream = Stream(on_close=lambda s: self._detach(job_id, s))
            stream.last_id = after
            live.watchers.append(stream)
            if row.status == "queued":
                stream.put(Queued(row.position), max(live.events, after))
            elif live.step is not None and live.step_id > after:
                stream.put(live.step, live.step_id)
            self._set_watched(live)
        return stream

    def cancel(self, job_id: str) -> bool:
        """Stop a job that waits at once, one that runs within a step. False when it had ended."""
        with self._lock:
            done = self._db.execute(
                "UPDATE jobs SET status = 'cancelled', finished = ? WHERE id = ? AND status = 'queued'",
                (time.time(), job_id),
            ).rowcount
            live = self._live.get(job_id)
            if done and live is not None:
                self._end_watchers(job_id, Cancelled())
                self._tell_positions()
            elif live is not None:
                live.cancelled = True
                if live.stream is not None:
                    live.stream.close()
            return bool(done) or live is not None

    def get(self, job_id: str) -> Row | None:
        """The job as it stands, or None."""
        with self._lock:
            row = self._db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
            return None if row is None else self._row(row)

    def list(self, owner: str, limit: int = 50, before: str | None = None, tool: str | None = None) -> list[Row]:
        """The owner's jobs, newest first, drafts left out; `before` is the id to go on from."""
        with self._lock:
            rows = self._db.execute(
                "SELECT * FROM jobs WHERE owner = ? AND NOT draft AND (? IS NULL OR json_extract(job, '$.tool') = ?) "
                "AND (? IS NULL OR seq < (SELECT seq FROM jobs WHERE id = ?)) ORDER BY seq DESC LIMIT ?",
                (owner, tool, tool, before, before, limit),
            ).fetchall()
            return [self._row(row) for row in rows]

    def counts(self) -> tuple[int, int]:
        """How many run and how many interactive jobs wait."""
        with self._lock:
            running, queued = self._db.execute(
                "SELECT COALESCE(SUM(status = 'running'), 0), COALESCE(SUM(status = 'queued' AND NOT batch), 0) "
                "FROM jobs WHERE status IN ('running', 'queued')"
            ).fetchone()
        return int(running), int(queued)

    def close(self) -> None:
        """Stop what runs, end every watcher, and wait for the lanes."""
        with self._lock:
            self._closing = True
            for live in self._live.values():
                if live.stream is not None:
                    live.stream.close()
            self._work.notify_all()
        for lane in self._lanes:
            lane.join(timeout=30)
        self.engine.close()
        with self._lock:
            for job_id in list(self._live):
                self._end_watchers(job_id, Cancelled())
            self._db.close()

    # ------------------------------------------------------------ lanes

    def _lane(self) -> None:
        while (job := self._claim()) is not None:
            stream = self.engine.run(job)
            self._attach(job.id, stream)
            result: Result | None = None
            while (event := stream.take()) is not None:
                if isinstance(event, Result):
                    result = event
                else:
                    self._publish(job.id, event)
            self._settle(job.id, result, stream.error)

    def _claim(self) -> Job | None:
        with self._work:
            while not self._closing:
                row = self._db.execute(
                    "UPDATE jobs SET status = 'running', started = ? WHERE seq = (SELECT seq FROM jobs "
                    "WHERE status = 'queued' ORDER BY batch, seq LIMIT 1) RETURNING job",
                    (time.time(),),
                ).fetchone()
                if row is not None:
                    self._tell_positions()
                    return Job.model_validate_json(row["job"])
                self._work.wait()
        return None

    def _attach(self, job_id: str, stream: Stream) -> None:
        with self._lock:
            live = self._live[job_id]
            live.stream = stream
            self._set_watched(live)
            if live.cancelled or self._closing:
                stream.close()

    def _publish(self, job_id: str, event: Event) -> None:
        with self._lock:
            live = self._live[job_id]
            live.events += 1
            if isinstance(event, Step):
                preview = event.preview or (live.step.preview if live.step else None)
                live.step = Step(event.index, event.total, event.stage, preview)
                live.step_id = live.events
            for watcher in live.watchers:
                watcher.put(event, live.events)

    def _settle(self, job_id: str, result: Result | None, error: BaseException | None) -> None:
        status, shown = _outcome(job_id, result, error)
        with self._lock:
            self._db.execute(
                "UPDATE jobs SET status = ?, finished = ?, result = ?, error = ? WHERE id = ?",
                (
                    status,
                    time.time(),
                    json.dumps(asdict(result)) if result else None,
                    json.dumps(_shape(shown)) if isinstance(shown, StudioError) else None,
                    job_id,
                ),
            )
            if result is not None:
                self._publish(job_id, result)
            self._end_watchers(job_id, shown)

    # ------------------------------------------------------------ watchers

    def _detach(self, job_id: str, stream: Stream) -> None:
        with self._lock:
            live = self._live.get(job_id)
            if live is not None and stream in live.watchers:
                live.watchers.remove(stream)
                self._set_watched(live)
        stream.end()

    def _set_watched(self, live: _Live) -> None:
        if live.stream is not None:
            live.stream.watched = bool(live.watchers)

    def _end_watchers(self, job_id: str, error: BaseException | None) -> None:
        live = self._live.pop(job_id, None)
        for watcher in live.watchers if live else ():
            watcher.end(error)

    def _tell_positions(self) -> None:
        for position, job_id in self._waiting():
            live = self._live[job_id]
            if live.watchers:
                live.events += 1
                for watcher in live.watchers:
                    watcher.put(Queued(position), live.events)

    def _waiting(self) -> Iterable[tuple[int, str]]:
        rows = self._db.execute("SELECT id FROM jobs WHERE status = 'queued' ORDER BY batch, seq").fetchall()
        return enumerate((row["id"] for row in rows), 1)

    def _row(self, row: sqlite3.Row) -> Row:
        live = self._live.get(row["id"])
        queued = row["status"] == "queued"
        return Row(
            job=Job.model_validate_json(row["job"]),
            status=row["status"],
            position=next((n for n, i in self._waiting() if i == row["id"]), 0) if queued else 0,
            step=live.step if live else None,
            result=_result(json.loads(row["result"])) if row["result"] else None,
            error=json.loads(row["error"]) if row["error"] else None,
            created=row["created"],
            started=row["started"],
            finished=row["finished"],
        )


def _outcome(job_id: str, result: Result | None, error: BaseException | None) -> tuple[Status, BaseException | None]:
    if isinstance(error, Cancelled):
        return "cancelled", error
    if isinstance(error, StudioError):
        return "failed", error
    if error is not None or result is None:
        log.error("job %s failed", job_id, exc_info=error)
        return "failed", StudioError(BUG)
    return "done", None


def _shape(error: StudioError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "param": error.param}


def _result(data: dict[str, Any]) -> Result:
    return Result(tuple(File(**file) for file in data["files"]), data["receipt"], data["seconds"])


def _replay(row: Row, after: int) -> Stream:
    """A stream that tells how a job ended that is over."""
    stream = Stream()
    stream.last_id = after
    if row.result is not None:
        stream.put(row.result)
    error: BaseException | None = Cancelled() if row.status == "cancelled" else None
    if row.error is not None:
        error = StudioError(row.error["message"], code=row.error["code"], param=row.error["param"])
    stream.end(error)
    return stream
