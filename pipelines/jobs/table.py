"""The table of jobs: every SQL statement of the queue, with leases and crash recovery."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import psutil

from pipelines.core.job import Job, JobStatus, Result, result_from_json, result_to_json
from pipelines.storage.connect import open_database
from pipelines.storage.database import Row

MAX_ROW_ATTEMPT_COUNT = 3  # attempts of a batch row before its failure is final
DRAFT_TIMEOUT_SECONDS = 600.0  # seconds after which nobody waits for a draft any more
MAX_DEATH_COUNT = 10  # crashes of the studio during one job after which the job is taken for their cause
KILLED_MESSAGE = "The studio was stopped ten times while this was running, so it is not tried again."

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, job TEXT NOT NULL,
  status TEXT NOT NULL, draft INTEGER NOT NULL, batch INTEGER NOT NULL, created REAL NOT NULL,
  started REAL, finished REAL, result TEXT, error TEXT,
  worker TEXT, lease REAL, attempts INTEGER NOT NULL DEFAULT 0, deaths INTEGER NOT NULL DEFAULT 0,
  starred INTEGER NOT NULL DEFAULT 0, batch_id TEXT, batch_row INTEGER, tool TEXT NOT NULL, profile TEXT NOT NULL,
  helper INTEGER NOT NULL, said TEXT NOT NULL, stop INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (status, batch, seq);
CREATE INDEX IF NOT EXISTS jobs_by_owner ON jobs (owner, seq);
CREATE UNIQUE INDEX IF NOT EXISTS jobs_by_row ON jobs (batch_id, batch_row) WHERE batch_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS jobs_of_tool ON jobs (owner, tool, seq);
CREATE INDEX IF NOT EXISTS jobs_by_time ON jobs (owner, created);
"""
# Interactive jobs come before batch rows; rows that failed or crashed come last and delay nothing else.
_MAY_START = "status = 'queued' AND NOT (? = 1 AND batch = 1 AND deaths > 1)"
_QUEUE_ORDER = "batch, batch * (attempts + deaths), seq"


class JobTable:
    """The jobs in the database, behind one lock that may be held over several calls. Times are Unix seconds.

    A running job is leased to one process, which `worker_id` names. A lease that is not renewed expires.
    """

    def __init__(self, root: Path, url: str = "") -> None:
        self.db = open_database(root / "jobs.sqlite3", url)
        self.lock = self.db.lock
        self.worker_id = _worker_identity("" if self.db.is_shared else str(root.resolve()))
        self.db.create_schema(_SCHEMA)

    def insert_job(self, job: Job, slot: tuple[str, int] | None) -> bool:
        """Queue `job`; False when the batch row `slot` (batch id, row) has a job already."""
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
        """Lease the next job, or `job_id` if it still waits, to this process until `until`; None when there is none.

        `skip_suspects` leaves out batch rows during which the studio died more than once. A power cut may undo a claim;
        then the job waits again, as it should.
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
        """Return the first waiting jobs, in the order of `claim_next_job`."""
        query = f"SELECT job FROM jobs WHERE {_MAY_START} ORDER BY {_QUEUE_ORDER} LIMIT ?"
        with self.lock:
            rows = self.db.execute(query, (skip_suspects, count)).fetchall()
        return [Job.model_validate_json(row["job"]) for row in rows]

    def renew_lease(self, job_id: str, until: float) -> bool:
        """Extend the lease until `until`; False when this process no longer holds it."""
        with self.db.relaxed_durability():
            return self._update_leased("lease = ?", job_id, until)

    def finish_job(self, job_id: str, status: JobStatus, result: Result | None, error: dict[str, Any] | None) -> bool:
        """Record how the job ended; False, and nothing is written, when the lease was lost.

        The files are on the disk by then. A power cut may undo the record; then the job runs again and makes the same
        files.
        """
        with self.db.relaxed_durability():
            return self._update_leased(
                "status = ?, finished = ?, result = ?, error = ?, worker = NULL, lease = NULL",
                job_id,
                status,
                time.time(),
                json.dumps(result_to_json(result)) if result else None,
                json.dumps(error) if error else None,
            )

    def requeue_job(self, job_id: str) -> bool:
        """Put a running job back into the queue; False when the lease was lost."""
        return self._update_leased("status = 'queued', started = NULL, worker = NULL, lease = NULL", job_id)

    def record_attempt(self, job_id: str) -> bool:
        """Count a failed attempt of a batch row; True when it may be tried again."""
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
        """Ask the process that runs the job to stop it; False when the job does not run."""
        with self.lock:
            change = "UPDATE jobs SET stop = 1 WHERE id = ? AND status = 'running'"
            return bool(self.db.execute(change, (job_id,)).rowcount)

    def is_stop_requested(self, job_id: str) -> bool:
        """Say whether somebody asked to stop this running job."""
        row = self.get_row(job_id)
        return row is not None and bool(row["stop"])

    def cancel_waiting(self, job_id: str) -> bool:
        """Cancel a job that waits; False when it did not wait any more."""
        with self.lock:
            return bool(
                self.db.execute(
                    "UPDATE jobs SET status = 'cancelled', finished = ? WHERE id = ? AND status = 'queued'",
                    (time.time(), job_id),
                ).rowcount
            )

    def withdraw_batch(self, batch_id: str) -> list[str]:
        """Delete the waiting jobs of a batch and return their ids; their rows may be submitted again."""
        with self.lock:
            delete = "DELETE FROM jobs WHERE batch_id = ? AND status = 'queued' RETURNING id"
            return [row["id"] for row in self.db.execute(delete, (batch_id,)).fetchall()]

    def list_running(self, batch_id: str) -> list[str]:
        """Return the ids of the batch's running jobs."""
        with self.lock:
            found = "SELECT id FROM jobs WHERE batch_id = ? AND status = 'running'"
            return [row["id"] for row in self.db.execute(found, (batch_id,)).fetchall()]

    def requeue_abandoned(self, held: Collection[str] = ()) -> int:
        """Requeue jobs of dead processes, or fail them after `MAX_DEATH_COUNT`, and return how many there were.

        A process on this machine is known to be dead at once, one on another machine when its lease has expired.
        `held` are the ids that this process runs. A job that is leased to this process but not in `held` was claimed by
        a statement whose answer was lost.
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
        is_abandoned = "status = 'running' AND COALESCE(worker, '') = ?"
        error = json.dumps({"code": "internal_error", "message": KILLED_MESSAGE, "param": None})
        self.db.execute(f"DELETE FROM jobs WHERE draft = 1 AND {is_abandoned}", (worker or "",))
        failed = self.db.execute(
            "UPDATE jobs SET status = 'failed', error = ?, finished = ?, worker = NULL, lease = NULL, "
            f"deaths = deaths + 1 WHERE {is_abandoned} AND deaths + 1 >= {MAX_DEATH_COUNT}",
            (error, time.time(), worker or ""),
        ).rowcount
        return (
            failed
            + self.db.execute(
                "UPDATE jobs SET status = 'queued', started = NULL, worker = NULL, lease = NULL, deaths = deaths + 1 "
                f"WHERE {is_abandoned}",
                (worker or "",),
            ).rowcount
        )

    def _requeue_unheld(self, held: Collection[str]) -> int:
        mine = "SELECT id FROM jobs WHERE status = 'running' AND worker = ? AND lease < ?"
        rows = self.db.execute(mine, (self.worker_id, time.time())).fetchall()
        return sum(self.requeue_job(row["id"]) for row in rows if row["id"] not in held)

    def drop_drafts(self) -> None:
        """Delete waiting drafts whose client is gone; with a shared database, those older than a timeout."""
        since = time.time() - (DRAFT_TIMEOUT_SECONDS if self.db.is_shared else 0)
        with self.lock:
            self.db.execute("DELETE FROM jobs WHERE draft = 1 AND status != 'running' AND created <= ?", (since,))

    def get_row(self, job_id: str) -> Row | None:
        """Return the job's row, or None."""
        with self.lock:
            return self.db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()

    def list_rows(self, owner: str, limit: int, before: str | None, tool: str | None) -> list[Row]:
        """Return the owner's rows, newest first, without drafts and jobs that the page made for itself."""
        with self.lock:
            return self.db.execute(
                "SELECT * FROM jobs WHERE owner = ? AND draft = 0 AND helper = 0 "
                "AND (CAST(? AS TEXT) IS NULL OR tool = ?) AND (CAST(? AS TEXT) IS NULL "
                "OR seq < (SELECT seq FROM jobs WHERE id = ?)) ORDER BY seq DESC LIMIT ?",
                (owner, tool, tool, before, before, limit),
            ).fetchall()

    def list_waiting(self) -> list[str]:
        """Return the ids of waiting jobs, the next one first."""
        with self.lock:
            rows = self.db.execute(f"SELECT id FROM jobs WHERE status = 'queued' ORDER BY {_QUEUE_ORDER}").fetchall()
        return [row["id"] for row in rows]

    def count_jobs(self) -> tuple[int, int, int]:
        """Return how many jobs run, how many interactive jobs wait, and how many batch rows wait."""
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
        """Return how many of the owner's jobs wait or run, without drafts and batch rows."""
        found = (
            "SELECT COUNT(*) FROM jobs WHERE status IN ('running', 'queued') AND owner = ? AND batch = 0 AND draft = 0"
        )
        with self.lock:
            return self.db.execute(found, (owner,)).fetchall()[0][0]

    def set_starred(self, job_id: str, starred: bool) -> bool:
        """Star a job, which exempts it from retention, or remove its star; False when there is no such job."""
        with self.lock:
            change = "UPDATE jobs SET starred = ? WHERE id = ?"
            return bool(self.db.execute(change, (starred, job_id)).rowcount)

    def close(self) -> None:
        """Close the connection."""
        with self.lock:
            self.db.close()


def _search_columns(job: Mapping[str, Any]) -> tuple[str, str, bool, str]:
    """Return the columns that repeat a part of the job for queries: tool, profile, helper, search text."""
    return job["tool"], job["profile"], job.get("helper", False), searchable_text(job)


def searchable_text(job: Mapping[str, Any]) -> str:
    """Return the job's tool, id, seed and field values as case-folded lines, without file ids."""
    words = [job["tool"], job["id"], str(job["seed"]), *map(str, job["params"].values())]
    return "\n".join(word for word in words if not word.startswith("file-")).casefold()


def result_from_row(row: Row) -> Result | None:
    """Return the result in a row of the table, or None."""
    return result_from_json(json.loads(row["result"])) if row["result"] else None


def _worker_identity(root: str) -> str:
    """Name this process and its folder, so that a reused process id or a copied folder gives another name."""
    me = psutil.Process()
    return json.dumps([socket.gethostname(), me.pid, me.create_time(), root])


def _is_worker_dead(worker: str | None, me: str, lease: float) -> bool:
    if worker is None or worker == me:  # this process renews its own leases, also after the machine slept
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
