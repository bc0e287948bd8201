"""The table of jobs: every SQL statement of the queue, with leases and crash recovery."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import ColumnElement, Executable, Select, and_, bindparam, delete, func, not_, or_, select, update

from pipelines.core.job import Job, JobStatus, Result, result_from_json, result_to_json
from pipelines.storage.connect import open_database
from pipelines.storage.database import Row
from pipelines.storage.schema import JOB_HAS_ROW, JOB_TABLES, JOBS

MAX_ROW_ATTEMPT_COUNT = 3  # attempts of a batch row before its failure is final
DRAFT_TIMEOUT_SECONDS = 600.0  # seconds after which nobody waits for a draft any more
MAX_DEATH_COUNT = 10  # crashes of the studio during one job after which the job is taken for their cause
KILLED_MESSAGE = "The studio was stopped ten times while this was running, so it is not tried again."

_IS_RUNNING = JOBS.c.status == "running"
_IS_QUEUED = JOBS.c.status == "queued"
IS_LISTED = and_(JOBS.c.draft == 0, JOBS.c.helper == 0)  # drafts and jobs that the page made for itself are in no list
_NO_LEASE_VALUES = {"worker": None, "lease": None}
# Interactive jobs come before batch rows; rows that failed or crashed come last and delay nothing else.
_QUEUE_ORDER = (JOBS.c.batch, JOBS.c.batch * (JOBS.c.attempts + JOBS.c.deaths), JOBS.c.seq)
# These run again and again: built once, SQLAlchemy finds the compiled text four times as fast. Values that are given
# with an UPDATE say which columns it sets.
_ONE_JOB = select(JOBS).where(JOBS.c.id == bindparam("job_id"))
_ONE_LEASED_JOB = update(JOBS).where(JOBS.c.id == bindparam("job_id"), _IS_RUNNING, JOBS.c.worker == bindparam("me"))
_WAITING_IDS = select(JOBS.c.id).where(_IS_QUEUED).order_by(*_QUEUE_ORDER)
_COUNT_QUERY = select(
    func.count().filter(_IS_RUNNING),
    func.count().filter(_IS_QUEUED, JOBS.c.batch == 0),
    func.count().filter(_IS_QUEUED, JOBS.c.batch == 1),
).where(or_(_IS_RUNNING, _IS_QUEUED))


def _select_startable(column: ColumnElement[Any], *, skip_suspects: bool) -> Select[Any]:
    query = select(column).where(_IS_QUEUED).order_by(*_QUEUE_ORDER)
    return query.where(not_(and_(JOBS.c.batch == 1, JOBS.c.deaths > 1))) if skip_suspects else query


@cache
def _claim_statement(*, skip_suspects: bool, one_job: bool) -> Executable:
    startable = _select_startable(JOBS.c.seq, skip_suspects=skip_suspects)
    if one_job:
        startable = startable.where(JOBS.c.id == bindparam("job_id"))
    # SQLite has one writer at a time, and leaves the lock on the row out.
    claimed = startable.limit(1).with_for_update(skip_locked=True).scalar_subquery()
    values = {"started": bindparam("now"), "worker": bindparam("me"), "lease": bindparam("until"), "stop": 0}
    return update(JOBS).where(JOBS.c.seq == claimed).values(status="running", **values).returning(JOBS.c.job)


class JobTable:
    """The jobs in the database, behind one lock that may be held over several calls. Times are Unix seconds.

    A running job is leased to one process, which `worker_id` names. A lease that is not renewed expires.
    """

    def __init__(self, root: Path, url: str = "") -> None:
        self.db = open_database(root / "jobs.sqlite3", JOB_TABLES, url)
        self.lock = self.db.lock
        slot_index = ["batch_id", "batch_row"]
        insertion = self.db.insert(JOBS).on_conflict_do_nothing(index_elements=slot_index, index_where=JOB_HAS_ROW)
        self._insertion = insertion.returning(JOBS.c.seq)
        self.worker_id = _worker_identity("" if self.db.is_shared else str(root.resolve()))

    def insert_job(self, job: Job, slot: tuple[str, int] | None) -> bool:
        """Queue `job`; False when the batch row `slot` (batch id, row) has a job already."""
        batch_id, row = slot or (None, None)
        values = {
            **{"tool": job.tool, "profile": job.profile, "helper": int(job.helper), "said": _searchable_text(job)},
            **{"id": job.id, "owner": job.owner, "created": job.created, "job": job.model_dump_json()},
            **{"draft": int(job.draft), "batch": int(job.batch), "batch_id": batch_id, "batch_row": row},
            "status": "queued",
        }
        with self.db.relaxed_durability() if job.draft or job.waited else self.lock:
            return self.db.fetch_row(self._insertion, values) is not None

    def claim_next_job(self, until: float, *, skip_suspects: bool = False, job_id: str | None = None) -> Job | None:
        """Lease the next job, or `job_id` if it still waits, to this process until `until`; None when there is none.

        `skip_suspects` leaves out batch rows during which the studio died more than once. A power cut may undo a claim;
        then the job waits again, as it should.
        """
        statement = _claim_statement(skip_suspects=skip_suspects, one_job=job_id is not None)
        values = {"now": time.time(), "me": self.worker_id, "until": until}
        with self.db.relaxed_durability():
            row = self.db.fetch_row(statement, values if job_id is None else {**values, "job_id": job_id})
        return None if row is None else Job.model_validate_json(row.job)

    def peek_jobs(self, count: int, *, skip_suspects: bool = False) -> list[Job]:
        """Return the first waiting jobs, in the order of `claim_next_job`."""
        rows = self.db.fetch_rows(_select_startable(JOBS.c.job, skip_suspects=skip_suspects).limit(count))
        return [Job.model_validate_json(row.job) for row in rows]

    def renew_lease(self, job_id: str, until: float) -> bool:
        """Extend the lease until `until`; False when this process no longer holds it."""
        with self.db.relaxed_durability():
            return self._update_leased(job_id, lease=until)

    def finish_job(self, job_id: str, status: JobStatus, result: Result | None, error: dict[str, Any] | None) -> bool:
        """Record how the job ended; False, and nothing is written, when the lease was lost.

        The files are on the disk by then. A power cut may undo the record; then the job runs again and makes the same
        files.
        """
        with self.db.relaxed_durability():
            return self._update_leased(
                job_id,
                status=status,
                finished=time.time(),
                result=json.dumps(result_to_json(result)) if result else None,
                error=json.dumps(error) if error else None,
                **_NO_LEASE_VALUES,
            )

    def requeue_job(self, job_id: str) -> bool:
        """Put a running job back into the queue; False when the lease was lost."""
        return self._update_leased(job_id, status="queued", started=None, **_NO_LEASE_VALUES)

    def record_attempt(self, job_id: str) -> bool:
        """Count a failed attempt of a batch row; True when it may be tried again."""
        attempts = JOBS.c.attempts
        counted = update(JOBS).where(JOBS.c.id == job_id).values(attempts=attempts + 1).returning(attempts)
        row = self.db.fetch_row(counted)
        return row is not None and row.attempts < MAX_ROW_ATTEMPT_COUNT

    def _update_leased(self, job_id: str, **values: object) -> bool:
        return bool(self.db.execute(_ONE_LEASED_JOB, {"job_id": job_id, "me": self.worker_id, **values}))

    def request_stop(self, job_id: str) -> bool:
        """Ask the process that runs the job to stop it; False when the job does not run."""
        return bool(self.db.execute(update(JOBS).where(JOBS.c.id == job_id, _IS_RUNNING).values(stop=1)))

    def cancel_waiting(self, job_id: str) -> bool:
        """Cancel a job that waits; False when it did not wait any more."""
        cancelled = {"status": "cancelled", "finished": time.time()}
        return bool(self.db.execute(update(JOBS).where(JOBS.c.id == job_id, _IS_QUEUED).values(**cancelled)))

    def withdraw_batch(self, batch_id: str) -> list[str]:
        """Delete the waiting jobs of a batch and return their ids; their rows may be submitted again."""
        deleted = delete(JOBS).where(JOBS.c.batch_id == batch_id, _IS_QUEUED).returning(JOBS.c.id)
        return [row.id for row in self.db.fetch_rows(deleted)]

    def list_running(self, batch_id: str) -> list[str]:
        """Return the ids of the batch's running jobs."""
        return [row.id for row in self.db.fetch_rows(select(JOBS.c.id).where(JOBS.c.batch_id == batch_id, _IS_RUNNING))]

    def requeue_abandoned(self, held: Collection[str] = ()) -> int:
        """Requeue jobs of dead processes, or fail them after `MAX_DEATH_COUNT`, and return how many there were.

        A process on this machine is known to be dead at once, one on another machine when its lease has expired.
        `held` are the ids that this process runs. A job that is leased to this process but not in `held` was claimed by
        a statement whose answer was lost.
        """
        with self.lock:
            latest = select(JOBS.c.worker, func.max(JOBS.c.lease).label("lease")).where(_IS_RUNNING)
            leased = self.db.fetch_rows(latest.group_by(JOBS.c.worker))
            dead = [row.worker for row in leased if _is_worker_dead(row.worker, self.worker_id, row.lease or 0)]
            return sum(self._requeue_jobs_of(worker) for worker in dead) + (
                self._requeue_unheld(held) if self.db.is_shared else 0
            )

    def _requeue_jobs_of(self, worker: str | None) -> int:
        is_abandoned = and_(_IS_RUNNING, JOBS.c.worker.is_not_distinct_from(worker))
        died = {**_NO_LEASE_VALUES, "deaths": JOBS.c.deaths + 1}
        failed = {
            "status": "failed",
            "error": json.dumps({"code": "internal_error", "message": KILLED_MESSAGE, "param": None}),
            "finished": time.time(),
        }
        is_culprit = JOBS.c.deaths + 1 >= MAX_DEATH_COUNT
        self.db.execute(delete(JOBS).where(JOBS.c.draft == 1, is_abandoned))
        return self.db.execute(update(JOBS).where(is_abandoned, is_culprit).values(**died, **failed)) + self.db.execute(
            update(JOBS).where(is_abandoned).values(**died, status="queued", started=None)
        )

    def _requeue_unheld(self, held: Collection[str]) -> int:
        is_expired = and_(JOBS.c.worker == self.worker_id, JOBS.c.lease < time.time())
        rows = self.db.fetch_rows(select(JOBS.c.id).where(_IS_RUNNING, is_expired))
        return sum(self.requeue_job(row.id) for row in rows if row.id not in held)

    def drop_drafts(self) -> None:
        """Delete waiting drafts whose client is gone; with a shared database, those older than a timeout."""
        since = time.time() - (DRAFT_TIMEOUT_SECONDS if self.db.is_shared else 0)
        is_left = and_(JOBS.c.draft == 1, not_(_IS_RUNNING), JOBS.c.created <= since)
        self.db.execute(delete(JOBS).where(is_left))

    def get_row(self, job_id: str) -> Row | None:
        """Return the job's row, or None."""
        return self.db.fetch_row(_ONE_JOB, {"job_id": job_id})

    def list_rows(self, owner: str, limit: int, before: str | None, tool: str | None) -> Sequence[Row]:
        """Return the owner's rows, newest first, without drafts and jobs that the page made for itself."""
        query = select(JOBS).where(JOBS.c.owner == owner, IS_LISTED).order_by(JOBS.c.seq.desc()).limit(limit)
        if tool is not None:
            query = query.where(JOBS.c.tool == tool)
        if before is not None:
            query = query.where(JOBS.c.seq < select(JOBS.c.seq).where(JOBS.c.id == before).scalar_subquery())
        return self.db.fetch_rows(query)

    def list_waiting(self) -> list[str]:
        """Return the ids of waiting jobs, the next one first."""
        return [row.id for row in self.db.fetch_rows(_WAITING_IDS)]

    def count_jobs(self) -> tuple[int, int, int]:
        """Return how many jobs run, how many interactive jobs wait, and how many batch rows wait."""
        (row,) = self.db.fetch_rows(_COUNT_QUERY)
        return row[0], row[1], row[2]

    def count_active(self, owner: str) -> int:
        """Return how many of the owner's jobs wait or run, without drafts and batch rows."""
        is_active = and_(JOBS.c.status.in_(("running", "queued")), JOBS.c.batch == 0, JOBS.c.draft == 0)
        (row,) = self.db.fetch_rows(select(func.count()).where(JOBS.c.owner == owner, is_active))
        return row[0]

    def set_starred(self, job_id: str, starred: bool) -> bool:
        """Star a job, which exempts it from retention, or remove its star; False when there is no such job."""
        return bool(self.db.execute(update(JOBS).where(JOBS.c.id == job_id).values(starred=int(starred))))

    def hide_jobs(self, owner: str, ids: Sequence[str]) -> int:
        """Take the owner's finished jobs out of every list until they are deleted or restored; return how many."""
        is_visible = and_(JOBS.c.owner == owner, JOBS.c.id.in_(ids), JOBS.c.finished.is_not(None), JOBS.c.helper == 0)
        return self.db.execute(update(JOBS).where(is_visible).values(helper=int(time.time())))

    def restore_jobs(self, owner: str, ids: Sequence[str]) -> int:
        """Put hidden jobs of the owner back into the lists; return how many were still there."""
        is_theirs = and_(JOBS.c.owner == owner, JOBS.c.id.in_(ids), JOBS.c.helper > 1)
        return self.db.execute(update(JOBS).where(is_theirs).values(helper=0))

    def close(self) -> None:
        """Close the connection."""
        self.db.close()


def _searchable_text(job: Job) -> str:
    """Return the job's tool, id, seed, field values and photo's name as case-folded lines, without file ids."""
    words = [job.tool, job.id, str(job.seed), *map(str, job.params.values())]
    words += [job.label, job.label.replace("-", "_")]  # a label has hyphens for underscores
    return "\n".join(word for word in words if not word.startswith("file-")).casefold()


def result_from_row(row: Row) -> Result | None:
    """Return the result in a row of the table, or None."""
    return result_from_json(json.loads(row.result)) if row.result else None


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
