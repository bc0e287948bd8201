"""The rows of the queue: every statement about jobs is here; knows no thread, no engine and no watcher."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import psutil

from pipelines.core.job import File, Job, JobStatus, Result
from pipelines.storage.connect import open_database
from pipelines.storage.database import Row

MAX_ROW_ATTEMPT_COUNT = 3
"""Times that a batch row may fail before it has failed."""
DRAFT_TIMEOUT_SECONDS = 600.0
"""After which nobody waits for a draft any more."""
MAX_DEATH_COUNT = 10
"""Times that the studio may die under a job before the job is taken for the reason."""
KILLED_MESSAGE = "The studio was stopped ten times while this was running, so it is not tried again."

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, job TEXT NOT NULL,
  status TEXT NOT NULL, draft INTEGER NOT NULL, batch INTEGER NOT NULL, created REAL NOT NULL,
  started REAL, finished REAL, result TEXT, error TEXT
);
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (status, batch, seq);
CREATE INDEX IF NOT EXISTS jobs_by_owner ON jobs (owner, seq);
"""
# Columns that came after the first release: a table of then is widened where it lies.
_LATER = {
    "worker": "TEXT",
    "lease": "REAL",
    "attempts": "INTEGER NOT NULL DEFAULT 0",
    "deaths": "INTEGER NOT NULL DEFAULT 0",
    "starred": "INTEGER NOT NULL DEFAULT 0",
    "batch_id": "TEXT",
    "batch_row": "INTEGER",
    "tool": "TEXT NOT NULL DEFAULT ''",
    "profile": "TEXT NOT NULL DEFAULT ''",
    "helper": "INTEGER NOT NULL DEFAULT 0",
    "said": "TEXT NOT NULL DEFAULT ''",
    "stop": "INTEGER NOT NULL DEFAULT 0",
}
_LATER_INDEXES = """
CREATE UNIQUE INDEX IF NOT EXISTS jobs_by_row ON jobs (batch_id, batch_row) WHERE batch_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS jobs_of_tool ON jobs (owner, tool, seq);
CREATE INDEX IF NOT EXISTS jobs_by_time ON jobs (owner, created);
"""
# People before batches; among batch rows those that made trouble come last, so that they hold up nothing else.
_MAY_START = "status = 'queued' AND NOT (? = 1 AND batch = 1 AND deaths > 1)"
_QUEUE_ORDER = "batch, batch * (attempts + deaths), seq"


class JobTable:
    """One connection under one lock, which may be held over several calls. Times are Unix seconds.

    `worker` names who holds a lease: this process on this folder. A lease ends by itself when it is not renewed.
    """

    def __init__(self, root: Path, url: str = "") -> None:
        self.db = open_database(root / "jobs.sqlite3", url)
        self.lock = self.db.lock
        self.worker_id = _worker_identity("" if self.db.is_shared else str(root.resolve()))
        self.db.create_schema(_SCHEMA)
        if "said" in self.db.widen("jobs", _LATER):
            self._retell()
        self.db.create_schema(_LATER_INDEXES)

    def _retell(self) -> None:
        """Columns that repeat what a job says, for rows of a time without them."""
        rows = self.db.execute("SELECT id, job FROM jobs").fetchall()
        with self.db.transaction():
            self.db.executemany(
                "UPDATE jobs SET tool = ?, profile = ?, helper = ?, said = ? WHERE id = ?",
                [(*_search_columns(json.loads(row["job"])), row["id"]) for row in rows],
            )

    # ------------------------------------------------------------ one job's way

    def insert_job(self, job: Job, slot: tuple[str, int] | None) -> bool:
        """Queue `job`; False when the row `slot` (batch id, row) of its batch has a job already."""
        batch_id, row = slot or (None, None)
        values = (job.id, job.owner, job.model_dump_json(), job.draft, job.batch, job.created, batch_id, row)
        with self.db.relaxed_durability() if job.draft or job.waited else self.lock:
            return bool(
                self.db.execute(
                    "INSERT INTO jobs (id, owner, job, draft, batch, created, batch_id, batch_row, tool, profile, "
                    "helper, said, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued') ON CONFLICT "
                    "(batch_id, batch_row) WHERE batch_id IS NOT NULL DO NOTHING",
                    (*values, *_search_columns(job.model_dump(mode="json"))),
                ).rowcount
            )

    def claim_next_job(self, until: float, *, skip_suspects: bool = False, job_id: str | None = None) -> Job | None:
        """The next job in line, or `job_id` if it still waits, leased to this process until then; else None.

        `spare` passes over batch rows under which the studio died more than once. A power cut that forgets a claim
        leaves a job that waits, which is what it should be.
        """
        with self.db.relaxed_durability():
            row = self.db.execute(
                "UPDATE jobs SET status = 'running', started = ?, worker = ?, lease = ?, stop = 0 WHERE seq = "
                f"(SELECT seq FROM jobs WHERE {_MAY_START} AND (CAST(? AS TEXT) IS NULL OR id = ?) "
                f"ORDER BY {_QUEUE_ORDER} LIMIT 1 {self.db.skip_locked}) RETURNING job",
                (time.time(), self.worker_id, until, skip_suspects, job_id, job_id),
            ).fetchone()
        return None if row is None else Job.model_validate_json(row["job"])

    def peek_jobs(self, count: int, *, skip_suspects: bool = False) -> list[Job]:
        """The first jobs in line, as `claim` would take them."""
        query = f"SELECT job FROM jobs WHERE {_MAY_START} ORDER BY {_QUEUE_ORDER} LIMIT ?"
        with self.lock:
            rows = self.db.execute(query, (skip_suspects, count)).fetchall()
        return [Job.model_validate_json(row["job"]) for row in rows]

    def renew_lease(self, job_id: str, until: float) -> bool:
        """Hold the lease until then; False when it is no longer this process's."""
        with self.db.relaxed_durability():
            return self._update_leased("lease = ?", job_id, until)

    def finish_job(self, job_id: str, status: JobStatus, result: Result | None, error: dict[str, Any] | None) -> bool:
        """How the job ended; False, and nothing is written, when the lease was lost.

        Its files lie on the disk by then. A power cut that forgets the end leaves a job that is done again, to the same
        files.
        """
        told = json.dumps(result_to_json(result)) if result else None
        with self.db.relaxed_durability():
            return self._update_leased(
                "status = ?, finished = ?, result = ?, error = ?, worker = NULL, lease = NULL",
                job_id, status, time.time(), told, json.dumps(error) if error else None,
            )  # fmt: skip

    def requeue_job(self, job_id: str) -> bool:
        """Back in line as if it had never begun; False when the lease was lost."""
        return self._update_leased("status = 'queued', started = NULL, worker = NULL, lease = NULL", job_id)

    def record_attempt(self, job_id: str) -> bool:
        """Count an error of the row's own; whether it may be tried again."""
        with self.lock:
            row = self.db.execute(
                "UPDATE jobs SET attempts = attempts + 1 WHERE id = ? RETURNING attempts", (job_id,)
            ).fetchone()
        return row is not None and row["attempts"] < MAX_ROW_ATTEMPT_COUNT

    def _update_leased(self, change: str, job_id: str, *values: object) -> bool:
        with self.lock:
            return bool(
                self.db.execute(
                    f"UPDATE jobs SET {change} WHERE id = ? AND status = 'running' AND worker = ?",
                    (*values, job_id, self.worker_id),
                ).rowcount
            )

    def request_stop(self, job_id: str) -> bool:
        """Ask whichever process runs the job to stop it; whether it runs."""
        with self.lock:
            change = "UPDATE jobs SET stop = 1 WHERE id = ? AND status = 'running'"
            return bool(self.db.execute(change, (job_id,)).rowcount)

    def is_stop_requested(self, job_id: str) -> bool:
        """Whether another process was asked to stop the job that this one runs."""
        row = self.get_row(job_id)
        return row is not None and bool(row["stop"])

    def cancel_waiting(self, job_id: str) -> bool:
        """Whether it still waited, and is cancelled now."""
        with self.lock:
            return bool(
                self.db.execute(
                    "UPDATE jobs SET status = 'cancelled', finished = ? WHERE id = ? AND status = 'queued'",
                    (time.time(), job_id),
                ).rowcount
            )

    def withdraw_batch(self, batch_id: str) -> list[str]:
        """Forget the jobs of a batch that wait; their ids. The rows they stood for may be submitted again."""
        with self.lock:
            gone = "DELETE FROM jobs WHERE batch_id = ? AND status = 'queued' RETURNING id"
            return [row["id"] for row in self.db.execute(gone, (batch_id,)).fetchall()]

    def list_running(self, batch_id: str) -> list[str]:
        """Ids of the batch's jobs that run."""
        with self.lock:
            found = "SELECT id FROM jobs WHERE batch_id = ? AND status = 'running'"
            return [row["id"] for row in self.db.execute(found, (batch_id,)).fetchall()]

    # ------------------------------------------------------------ after a death

    def requeue_abandoned(self, held: Collection[str] = ()) -> int:
        """Put back what dead processes left running, as many deaths allow; how many rows that were.

        A process of this machine is known to be dead at once, one of another machine when its lease has run out.
        `held` are the ids of what this process does run: anything else in its name was claimed by a call whose answer
        got lost on its way from the database.
        """
        with self.lock:
            leased = self.db.execute(
                "SELECT worker, MAX(lease) AS lease FROM jobs WHERE status = 'running' GROUP BY worker"
            ).fetchall()
            dead = [
                row["worker"] for row in leased if _is_worker_dead(row["worker"], self.worker_id, row["lease"] or 0)
            ]
            return sum(self._requeue_jobs_of(worker) for worker in dead) + (
                self._requeue_unheld(held) if self.db.is_shared else 0
            )

    def _requeue_jobs_of(self, worker: str | None) -> int:
        gone = "status = 'running' AND COALESCE(worker, '') = ?"
        error = json.dumps({"code": "internal_error", "message": KILLED_MESSAGE, "param": None})
        self.db.execute(f"DELETE FROM jobs WHERE draft = 1 AND {gone}", (worker or "",))
        failed = self.db.execute(
            "UPDATE jobs SET status = 'failed', error = ?, finished = ?, worker = NULL, lease = NULL, "
            f"deaths = deaths + 1 WHERE {gone} AND deaths + 1 >= {MAX_DEATH_COUNT}",
            (error, time.time(), worker or ""),
        ).rowcount
        return (
            failed
            + self.db.execute(
                "UPDATE jobs SET status = 'queued', started = NULL, worker = NULL, lease = NULL, deaths = deaths + 1 "
                f"WHERE {gone}",
                (worker or "",),
            ).rowcount
        )

    def _requeue_unheld(self, held: Collection[str]) -> int:
        mine = "SELECT id FROM jobs WHERE status = 'running' AND worker = ? AND lease < ?"
        rows = self.db.execute(mine, (self.worker_id, time.time())).fetchall()
        return sum(self.requeue_job(row["id"]) for row in rows if row["id"] not in held)

    def drop_drafts(self) -> None:
        """Forget drafts that wait and whose asker is gone: with this process, or where others may wait, for long."""
        since = time.time() - (DRAFT_TIMEOUT_SECONDS if self.db.is_shared else 0)
        with self.lock:
            self.db.execute("DELETE FROM jobs WHERE draft = 1 AND status != 'running' AND created <= ?", (since,))

    # ------------------------------------------------------------ looking

    def get_row(self, job_id: str) -> Row | None:
        """The job's row."""
        with self.lock:
            return self.db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()

    def list_rows(self, owner: str, limit: int, before: str | None, tool: str | None) -> list[Row]:
        """The owner's rows, newest first, drafts and what a page ordered for its own use left out."""
        with self.lock:
            return self.db.execute(
                "SELECT * FROM jobs WHERE owner = ? AND draft = 0 AND helper = 0 "
                "AND (CAST(? AS TEXT) IS NULL OR tool = ?) AND (CAST(? AS TEXT) IS NULL "
                "OR seq < (SELECT seq FROM jobs WHERE id = ?)) ORDER BY seq DESC LIMIT ?",
                (owner, tool, tool, before, before, limit),
            ).fetchall()

    def list_waiting(self) -> list[str]:
        """Ids of what waits, next in line first."""
        with self.lock:
            rows = self.db.execute(f"SELECT id FROM jobs WHERE status = 'queued' ORDER BY {_QUEUE_ORDER}").fetchall()
        return [row["id"] for row in rows]

    def count_jobs(self) -> tuple[int, int, int]:
        """How many run, how many interactive jobs wait, and how many batch rows wait."""
        with self.lock:
            row = self.db.execute(
                "SELECT COUNT(*) FILTER (WHERE status = 'running'), "
                "COUNT(*) FILTER (WHERE status = 'queued' AND batch = 0), "
                "COUNT(*) FILTER (WHERE status = 'queued' AND batch = 1) "
                "FROM jobs WHERE status IN ('running', 'queued')"
            ).fetchone()
        assert row is not None
        return row[0], row[1], row[2]

    def count_active(self, owner: str) -> int:
        """How many of an owner's jobs wait or run, drafts and batch rows left out."""
        found = (
            "SELECT COUNT(*) FROM jobs WHERE status IN ('running', 'queued') AND owner = ? AND batch = 0 AND draft = 0"
        )
        with self.lock:
            return self.db.execute(found, (owner,)).fetchall()[0][0]

    def set_starred(self, job_id: str, starred: bool) -> bool:
        """Keep a job from retention, or give it up to it. False when there is none."""
        with self.lock:
            change = "UPDATE jobs SET starred = ? WHERE id = ?"
            return bool(self.db.execute(change, (starred, job_id)).rowcount)

    def close(self) -> None:
        """Close the connection."""
        with self.lock:
            self.db.close()


def _search_columns(job: Mapping[str, Any]) -> tuple[str, str, bool, str]:
    """What rows are looked for by: tool, profile, helper and words."""
    return job["tool"], job["profile"], job.get("helper", False), search_text(job)


def search_text(job: Mapping[str, Any]) -> str:
    """What a job's settings say, folded: its tool, words, choices, seed and id; no names of fields, no pictures."""
    words = [job["tool"], job["id"], str(job["seed"]), *map(str, job["params"].values())]
    return "\n".join(word for word in words if not word.startswith("file-")).casefold()


def result_to_json(result: Result) -> dict[str, Any]:
    """As `result_of` reads it. A receipt is plain already; `asdict` would copy all of it."""
    return {"files": [vars(file) for file in result.files], "receipt": result.receipt, "seconds": result.seconds}


def result_from_row(row: Row) -> Result | None:
    """The result that a row keeps as JSON."""
    if not row["result"]:
        return None
    data = json.loads(row["result"])
    return Result(tuple(File(**file) for file in data["files"]), data["receipt"], data["seconds"])


# ---------------------------------------------------------------- who holds a lease


def _worker_identity(root: str) -> str:
    """This process on this folder, if it is one: a copied folder, like a process id used again, is somebody else."""
    me = psutil.Process()
    return json.dumps([socket.gethostname(), me.pid, me.create_time(), root])


def _is_worker_dead(worker: str | None, me: str, lease: float) -> bool:
    if worker is None or worker == me:  # a lease of this process is renewed by its lane, however long it slept
        return worker is None
    host, pid, born, root = json.loads(worker)
    my_host, _, _, my_root = json.loads(me)
    if host != my_host:
        return lease < time.time()
    if root != my_root:
        return True
    try:
        return abs(psutil.Process(pid).create_time() - born) > 1
    except psutil.Error:
        return True
