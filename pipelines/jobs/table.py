"""The rows of the queue: every statement about jobs is here; knows no thread, no engine and no watcher."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import psutil

from pipelines.core.job import File, Job, Result, Status
from pipelines.storage.database import Row, opened

OWN_ERRORS = 3
"""Times that a batch row may fail before it has failed."""
DRAFT_SECONDS = 600.0
"""After which nobody waits for a draft any more."""
DEATHS = 10
"""Times that the studio may die under a job before the job is taken for the reason."""
KILLED = "The studio was stopped ten times while this was running, so it is not tried again."

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
_MAY_BEGIN = "status = 'queued' AND NOT (? = 1 AND batch = 1 AND deaths > 1)"
_ORDER = "batch, batch * (attempts + deaths), seq"


class Table:
    """One connection under one lock, which may be held over several calls. Times are Unix seconds.

    `worker` names who holds a lease: this process on this folder. A lease ends by itself when it is not renewed.
    """

    def __init__(self, root: Path, url: str = "") -> None:
        self.db = opened(root / "jobs.sqlite3", url)
        self.lock = self.db.lock
        self.worker = _worker("" if self.db.shared else str(root.resolve()))
        self.db.schema(_SCHEMA)
        if "said" in self.db.widen("jobs", _LATER):
            self._retell()
        self.db.schema(_LATER_INDEXES)

    def _retell(self) -> None:
        """Columns that repeat what a job says, for rows of a time without them."""
        rows = self.db.execute("SELECT id, job FROM jobs").fetchall()
        with self.db.whole():
            self.db.executemany(
                "UPDATE jobs SET tool = ?, profile = ?, helper = ?, said = ? WHERE id = ?",
                [(*_told(json.loads(row["job"])), row["id"]) for row in rows],
            )

    # ------------------------------------------------------------ one job's way

    def insert(self, job: Job, slot: tuple[str, int] | None) -> bool:
        """Queue `job`; False when the row `slot` (batch id, row) of its batch has a job already."""
        batch_id, row = slot or (None, None)
        values = (job.id, job.owner, job.model_dump_json(), job.draft, job.batch, job.created, batch_id, row)
        with self.db.lazily() if job.draft or job.waited else self.lock:
            return bool(
                self.db.execute(
                    "INSERT INTO jobs (id, owner, job, draft, batch, created, batch_id, batch_row, tool, profile, "
                    "helper, said, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued') ON CONFLICT "
                    "(batch_id, batch_row) WHERE batch_id IS NOT NULL DO NOTHING",
                    (*values, *_told(job.model_dump(mode="json"))),
                ).rowcount
            )

    def claim(self, until: float, *, spare: bool = False, job_id: str | None = None) -> Job | None:
        """The next job in line, or `job_id` if it still waits, leased to this process until then; else None.

        `spare` passes over batch rows under which the studio died more than once. A power cut that forgets a claim
        leaves a job that waits, which is what it should be.
        """
        with self.db.lazily():
            row = self.db.execute(
                "UPDATE jobs SET status = 'running', started = ?, worker = ?, lease = ?, stop = 0 WHERE seq = "
                f"(SELECT seq FROM jobs WHERE {_MAY_BEGIN} AND (CAST(? AS TEXT) IS NULL OR id = ?) "
                f"ORDER BY {_ORDER} LIMIT 1 {self.db.skip_locked}) RETURNING job",
                (time.time(), self.worker, until, spare, job_id, job_id),
            ).fetchone()
        return None if row is None else Job.model_validate_json(row["job"])

    def heads(self, count: int, *, spare: bool = False) -> list[Job]:
        """The first jobs in line, as `claim` would take them."""
        query = f"SELECT job FROM jobs WHERE {_MAY_BEGIN} ORDER BY {_ORDER} LIMIT ?"
        with self.lock:
            rows = self.db.execute(query, (spare, count)).fetchall()
        return [Job.model_validate_json(row["job"]) for row in rows]

    def renew(self, job_id: str, until: float) -> bool:
        """Hold the lease until then; False when it is no longer this process's."""
        with self.db.lazily():
            return self._mine("lease = ?", job_id, until)

    def settle(self, job_id: str, status: Status, result: Result | None, error: dict[str, Any] | None) -> bool:
        """How the job ended; False, and nothing is written, when the lease was lost.

        Its files lie on the disk by then. A power cut that forgets the end leaves a job that is done again, to the same
        files.
        """
        told = json.dumps(_plain(result)) if result else None
        with self.db.lazily():
            return self._mine(
                "status = ?, finished = ?, result = ?, error = ?, worker = NULL, lease = NULL",
                job_id, status, time.time(), told, json.dumps(error) if error else None,
            )  # fmt: skip

    def put_back(self, job_id: str) -> bool:
        """Back in line as if it had never begun; False when the lease was lost."""
        return self._mine("status = 'queued', started = NULL, worker = NULL, lease = NULL", job_id)

    def spend(self, job_id: str) -> bool:
        """Count an error of the row's own; whether it may be tried again."""
        with self.lock:
            row = self.db.execute(
                "UPDATE jobs SET attempts = attempts + 1 WHERE id = ? RETURNING attempts", (job_id,)
            ).fetchone()
        return row is not None and row["attempts"] < OWN_ERRORS

    def _mine(self, change: str, job_id: str, *values: object) -> bool:
        with self.lock:
            return bool(
                self.db.execute(
                    f"UPDATE jobs SET {change} WHERE id = ? AND status = 'running' AND worker = ?",
                    (*values, job_id, self.worker),
                ).rowcount
            )

    def stop(self, job_id: str) -> bool:
        """Ask whichever process runs the job to stop it; whether it runs."""
        with self.lock:
            change = "UPDATE jobs SET stop = 1 WHERE id = ? AND status = 'running'"
            return bool(self.db.execute(change, (job_id,)).rowcount)

    def stopped(self, job_id: str) -> bool:
        """Whether another process was asked to stop the job that this one runs."""
        row = self.row(job_id)
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

    def withdraw(self, batch_id: str) -> list[str]:
        """Forget the jobs of a batch that wait; their ids. The rows they stood for may be submitted again."""
        with self.lock:
            gone = "DELETE FROM jobs WHERE batch_id = ? AND status = 'queued' RETURNING id"
            return [row["id"] for row in self.db.execute(gone, (batch_id,)).fetchall()]

    def running(self, batch_id: str) -> list[str]:
        """Ids of the batch's jobs that run."""
        with self.lock:
            found = "SELECT id FROM jobs WHERE batch_id = ? AND status = 'running'"
            return [row["id"] for row in self.db.execute(found, (batch_id,)).fetchall()]

    # ------------------------------------------------------------ after a death

    def release(self, held: Collection[str] = ()) -> int:
        """Put back what dead processes left running, as many deaths allow; how many rows that were.

        A process of this machine is known to be dead at once, one of another machine when its lease has run out.
        `held` are the ids of what this process does run: anything else in its name was claimed by a call whose answer
        got lost on its way from the database.
        """
        with self.lock:
            leased = self.db.execute(
                "SELECT worker, MAX(lease) AS lease FROM jobs WHERE status = 'running' GROUP BY worker"
            ).fetchall()
            dead = [row["worker"] for row in leased if _is_dead(row["worker"], self.worker, row["lease"] or 0)]
            return sum(self._release(worker) for worker in dead) + (self._lost(held) if self.db.shared else 0)

    def _release(self, worker: str | None) -> int:
        gone = "status = 'running' AND COALESCE(worker, '') = ?"
        error = json.dumps({"code": "internal_error", "message": KILLED, "param": None})
        self.db.execute(f"DELETE FROM jobs WHERE draft = 1 AND {gone}", (worker or "",))
        failed = self.db.execute(
            "UPDATE jobs SET status = 'failed', error = ?, finished = ?, worker = NULL, lease = NULL, "
            f"deaths = deaths + 1 WHERE {gone} AND deaths + 1 >= {DEATHS}",
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

    def _lost(self, held: Collection[str]) -> int:
        mine = "SELECT id FROM jobs WHERE status = 'running' AND worker = ? AND lease < ?"
        rows = self.db.execute(mine, (self.worker, time.time())).fetchall()
        return sum(self.put_back(row["id"]) for row in rows if row["id"] not in held)

    def drop_drafts(self) -> None:
        """Forget drafts that wait and whose asker is gone: with this process, or where others may wait, for long."""
        since = time.time() - (DRAFT_SECONDS if self.db.shared else 0)
        with self.lock:
            self.db.execute("DELETE FROM jobs WHERE draft = 1 AND status != 'running' AND created <= ?", (since,))

    # ------------------------------------------------------------ looking

    def row(self, job_id: str) -> Row | None:
        """The job's row."""
        with self.lock:
            return self.db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()

    def rows(self, owner: str, limit: int, before: str | None, tool: str | None) -> list[Row]:
        """The owner's rows, newest first, drafts and what a page ordered for its own use left out."""
        with self.lock:
            return self.db.execute(
                "SELECT * FROM jobs WHERE owner = ? AND draft = 0 AND helper = 0 "
                "AND (CAST(? AS TEXT) IS NULL OR tool = ?) AND (CAST(? AS TEXT) IS NULL "
                "OR seq < (SELECT seq FROM jobs WHERE id = ?)) ORDER BY seq DESC LIMIT ?",
                (owner, tool, tool, before, before, limit),
            ).fetchall()

    def waiting(self) -> list[str]:
        """Ids of what waits, next in line first."""
        with self.lock:
            rows = self.db.execute(f"SELECT id FROM jobs WHERE status = 'queued' ORDER BY {_ORDER}").fetchall()
        return [row["id"] for row in rows]

    def counts(self) -> tuple[int, int, int]:
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

    def active(self, owner: str) -> int:
        """How many of an owner's jobs wait or run, drafts and batch rows left out."""
        found = (
            "SELECT COUNT(*) FROM jobs WHERE status IN ('running', 'queued') AND owner = ? AND batch = 0 AND draft = 0"
        )
        with self.lock:
            return self.db.execute(found, (owner,)).fetchall()[0][0]

    def star(self, job_id: str, starred: bool) -> bool:
        """Keep a job from retention, or give it up to it. False when there is none."""
        with self.lock:
            change = "UPDATE jobs SET starred = ? WHERE id = ?"
            return bool(self.db.execute(change, (starred, job_id)).rowcount)

    def close(self) -> None:
        """Close the connection."""
        with self.lock:
            self.db.close()


def _told(job: Mapping[str, Any]) -> tuple[str, str, bool, str]:
    """What rows are looked for by: tool, profile, helper and words."""
    return job["tool"], job["profile"], job.get("helper", False), said(job)


def said(job: Mapping[str, Any]) -> str:
    """What a job's settings say, folded: its tool, words, choices, seed and id; no names of fields, no pictures."""
    words = [job["tool"], job["id"], str(job["seed"]), *map(str, job["params"].values())]
    return "\n".join(word for word in words if not word.startswith("file-")).casefold()


def _plain(result: Result) -> dict[str, Any]:
    """As `result_of` reads it. A receipt is plain already; `asdict` would copy all of it."""
    return {"files": [vars(file) for file in result.files], "receipt": result.receipt, "seconds": result.seconds}


def result_of(row: Row) -> Result | None:
    """The result that a row keeps as JSON."""
    if not row["result"]:
        return None
    data = json.loads(row["result"])
    return Result(tuple(File(**file) for file in data["files"]), data["receipt"], data["seconds"])


# ---------------------------------------------------------------- who holds a lease


def _worker(root: str) -> str:
    """This process on this folder, if it is one: a copied folder, like a process id used again, is somebody else."""
    me = psutil.Process()
    return json.dumps([socket.gethostname(), me.pid, me.create_time(), root])


def _is_dead(worker: str | None, me: str, lease: float) -> bool:
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
