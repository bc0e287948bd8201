"""The tables of batches and their rows, in the database of the job queue, with all their SQL statements."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    true,
    update,
)

from pipelines.core.errors import InvalidParams, StudioError, error_from_json, error_to_json
from pipelines.core.params import JSON
from pipelines.jobs.retention import delete_batch
from pipelines.jobs.table import JobTable
from pipelines.storage.database import Row
from pipelines.storage.schema import BATCH_ROWS, BATCHES, JOBS, ROW_APPROVALS, ROW_REPLACEMENTS, select_page

BatchState = Literal["reading", "ready", "running", "paused", "cancelled", "done"]
SeedPolicy = Literal["same", "row"]

_B, _R, _E, _A = BATCHES.c, BATCH_ROWS.c, ROW_REPLACEMENTS.c, ROW_APPROVALS.c
_IS_JOB_OF_ROW = and_(JOBS.c.batch_id == _R.batch, JOBS.c.batch_row == _R.row)
_HAS_NO_JOB = ~exists().where(_IS_JOB_OF_ROW)
_STATUS = case((_R.state == "given", JOBS.c.status), (_R.state == "refused", "failed"), else_=_R.state).label("status")
READ_TIMEOUT_SECONDS = 3600.0  # seconds after which another studio that still reads a batch is taken for dead
CHUNK_ROW_COUNT = 500
# What is asked again and again while a batch runs, built once; values given with an UPDATE say what it sets.
_WITH_JOBS = BATCH_ROWS.outerjoin(JOBS, _IS_JOB_OF_ROW)
_ROW_STATES = select(BATCH_ROWS, _STATUS, JOBS.c.id.label("job_id"), JOBS.c.error.label("job_error")).select_from(
    _WITH_JOBS
)
_ONE_BATCH = select(BATCHES).where(_B.id == bindparam("batch_id"))
_ONE_ROW = update(BATCH_ROWS).where(_R.batch == bindparam("batch_id"), _R.row == bindparam("number"))
_ADD_TRIES = _ONE_ROW.values(tries=_R.tries + bindparam("added"))
_UNLESS_CANCELLED = _ONE_ROW.where(_R.state != "cancelled")
_ROW_COUNTS = (
    select(_STATUS, func.count().label("n"))
    .select_from(_WITH_JOBS)
    .where(_R.batch == bindparam("batch_id"))
    .group_by(text("1"))  # Postgres takes the same CASE with values of its own for another
)
_NEXT_ROW = (
    select(BATCH_ROWS)
    .join(BATCHES, _B.id == _R.batch)
    .where(_B.state == "running", _R.state == "waiting", or_(_B.source.is_(None), _B.home == bindparam("home")))
    .order_by(_R.tries, _B.created, _R.row)
    .limit(1)
)


@dataclass(frozen=True)
class Batch:
    """What all rows share. `source` is the path of the pictures' folder or ZIP; `about` is data of the caller."""

    id: str
    owner: str
    tool: str
    name: str
    state: BatchState
    note: str
    shared: dict[str, JSON]
    seed: int
    seeds: SeedPolicy
    source: str | None
    about: dict[str, Any]
    created: float
    started: float | None = None
    finished: float | None = None


@dataclass(frozen=True)
class BatchRow:
    """A row as it was requested. `key` is its id, unique in the batch; `notices` are sentences for its receipt.

    `error` is set where the row cannot be done. `picture_ids` are the file ids of its pictures by field, once ingested.
    """

    row: int
    key: str
    tool: str
    cells: dict[str, JSON]
    error: StudioError | None = None
    notices: tuple[str, ...] = ()
    picture_ids: dict[str, JSON] = field(default_factory=dict[str, JSON])


@dataclass(frozen=True)
class RowState:
    """The state of a row: `status` is waiting, queued, running, done, failed, cancelled or deleted."""

    row: int
    key: str
    tool: str
    status: str
    job_id: str | None
    error: dict[str, Any] | None
    cells: dict[str, JSON]


@dataclass(frozen=True)
class Replacement:
    """A job that stood in a row before, and the Unix time at which another one took its place."""

    job_id: str
    replaced_at: float


class BatchTable:
    """Batches and rows, on the queue's connection and lock. `home` is the id of the folder with the pictures."""

    def __init__(self, table: JobTable, home: str = "") -> None:
        self._db = table.db
        self._home = home
        self.lock = table.lock
        with self.lock:
            # Nobody knows the id of a batch that was still being read when the studio stopped.
            since = time.time() - (READ_TIMEOUT_SECONDS if self._db.is_shared else 0)
            for batch in self._select_ids(_B.state == "reading", _B.created <= since):
                delete_batch(self._db, batch)
            for batch in self._select_ids(_B.state.in_(("running", "paused"))):
                self.requeue_orphans(batch)

    def list_ids(self, state: BatchState | None = None) -> list[str]:
        """Return the ids of all batches, or of those in this state."""
        return self._select_ids(true() if state is None else _B.state == state)

    def _select_ids(self, *clauses: ColumnElement[bool]) -> list[str]:
        return [row.id for row in self._db.fetch_rows(select(_B.id).where(*clauses))]

    def insert_batch(self, batch: Batch) -> None:
        """Insert a batch without rows."""
        values = {**vars(batch), "shared": json.dumps(batch.shared), "about": json.dumps(batch.about)}
        self._db.execute(insert(BATCHES).values(**values, home=self._home))

    def insert_rows(self, batch_id: str, rows: Iterable[BatchRow]) -> int:
        """Insert rows, a few hundred in each transaction, and return how many."""
        total = 0
        values = (_row_values(batch_id, row) for row in rows)
        while chunk := list(islice(values, CHUNK_ROW_COUNT)):
            with self._db.transaction():
                self._db.execute(insert(BATCH_ROWS), chunk)
            total += len(chunk)
        return total

    def set_state(self, batch_id: str, state: BatchState, note: str = "") -> None:
        """Set the state, and the time of the first start or of the end."""
        now = time.time()
        times: dict[str, Any] = {"finished": now if state in ("done", "cancelled") else None}
        if state == "running":
            times["started"] = func.coalesce(_B.started, now)
        self._db.execute(update(BATCHES).where(_B.id == batch_id).values(state=state, note=note, **times))

    def set_caller_data(self, batch_id: str, about: dict[str, Any]) -> None:
        """Replace the caller's data."""
        self._db.execute(update(BATCHES).where(_B.id == batch_id).values(about=json.dumps(about)))

    def take_next_row(self) -> tuple[Batch, BatchRow, int] | None:
        """Take the next row of a running batch that has no job, with its number of tries; None when there is none."""
        with self.lock:
            row = self._db.fetch_row(_NEXT_ROW, {"home": self._home})
            if row is None:
                return None
            self._db.execute(_ADD_TRIES, {"batch_id": row.batch, "number": row.row, "added": 1})
            batch = self.get_batch(row.batch)
        assert batch is not None
        return batch, _to_batch_row(row), row.tries + 1

    def return_row(self, batch_id: str, row: int) -> None:
        """Undo `take_next_row`, so that this try does not count."""
        self._db.execute(_ADD_TRIES, {"batch_id": batch_id, "number": row, "added": -1})

    def record_pictures(self, batch_id: str, row: int, picture_ids: dict[str, JSON]) -> None:
        """Store the file ids of the row's ingested pictures."""
        self._db.execute(_ONE_ROW, {"batch_id": batch_id, "number": row, "taken": json.dumps(picture_ids)})

    def clear_pictures(self, batch_id: str) -> None:
        """Delete the picture ids of rows that cannot be run again."""
        is_over = or_(_R.state == "deleted", exists().where(_IS_JOB_OF_ROW, JOBS.c.status == "done"))
        self._db.execute(update(BATCH_ROWS).where(_R.batch == batch_id, _R.taken != "{}", is_over).values(taken="{}"))

    def mark_submitted(self, batch_id: str, row: int) -> None:
        """Mark a row that has a job now."""
        self._db.execute(_UNLESS_CANCELLED, {"batch_id": batch_id, "number": row, "state": "given", "error": None})

    def mark_failed(self, batch_id: str, row: int, error: StudioError) -> None:
        """Mark a row that cannot have a job, unless it was cancelled meanwhile."""
        values = {"state": "failed", "error": _error_to_json(error)}
        self._db.execute(_UNLESS_CANCELLED, {"batch_id": batch_id, "number": row, **values})

    def requeue_orphans(self, batch_id: str) -> None:
        """Set rows to waiting whose job was removed from the queue."""
        is_orphan = and_(_R.batch == batch_id, _R.state == "given", _HAS_NO_JOB)
        self._db.execute(update(BATCH_ROWS).where(is_orphan).values(state="waiting", tries=0))

    def cancel_waiting(self, batch_id: str) -> None:
        """Cancel the rows that wait."""
        waiting = and_(_R.batch == batch_id, _R.state == "waiting")
        self._db.execute(update(BATCH_ROWS).where(waiting).values(state="cancelled"))

    def reset_failed_rows(self, batch_id: str) -> int:
        """Set failed rows to waiting and delete their jobs; return how many."""
        is_left = and_(_R.batch == batch_id, or_(_R.state == "failed", and_(_R.state == "given", _HAS_NO_JOB)))
        with self._db.transaction():
            self._db.execute(delete(JOBS).where(JOBS.c.batch_id == batch_id, JOBS.c.status == "failed"))
            return self._db.execute(update(BATCH_ROWS).where(is_left).values(state="waiting", tries=0, error=None))

    def replace_job(self, batch_id: str, row: int, old_job_id: str, job_id: str) -> None:
        """Put a finished job into the row of another one, which is remembered and stays without a row.

        A job that stood there before takes its place again, and what came after it is forgotten.
        """
        earlier = self.list_replacements(batch_id).get(row, [])
        its_time = next((each.replaced_at for each in earlier if each.job_id == job_id), None)
        is_row = and_(_E.batch == batch_id, _E.row == row)
        entry = {"batch": batch_id, "row": row, "job": old_job_id, "replaced": time.time()}
        with self._db.transaction():
            self.withdraw_approval(batch_id, row)  # it was said of another picture
            for each, slot in ((old_job_id, (None, None)), (job_id, (batch_id, row))):
                self._db.execute(update(JOBS).where(JOBS.c.id == each).values(batch_id=slot[0], batch_row=slot[1]))
            if its_time is None:
                self._db.execute(insert(ROW_REPLACEMENTS).values(entry))
            else:
                self._db.execute(delete(ROW_REPLACEMENTS).where(is_row, _E.replaced >= its_time))

    def approve_row(self, batch_id: str, row: int) -> None:
        """Note that somebody found the row's picture right."""
        now = time.time()
        approval = self._db.insert(ROW_APPROVALS).values(batch=batch_id, row=row, approved=now)
        self._db.execute(approval.on_conflict_do_update(index_elements=[_A.batch, _A.row], set_={"approved": now}))

    def withdraw_approval(self, batch_id: str, row: int) -> None:
        """Forget that somebody found the row's picture right."""
        self._db.execute(delete(ROW_APPROVALS).where(_A.batch == batch_id, _A.row == row))

    def list_approvals(self, batch_id: str) -> dict[int, float]:
        """Return, by row, the Unix time at which somebody found its picture right."""
        entries = self._db.fetch_rows(select(ROW_APPROVALS).where(_A.batch == batch_id))
        return {entry.row: entry.approved for entry in entries}

    def list_seen_rows(self, batch_id: str) -> set[int]:
        """Return the rows that somebody has looked at: their picture was replaced, or found right."""
        return {*self.list_replacements(batch_id), *self.list_approvals(batch_id)}

    def list_replacements(self, batch_id: str) -> dict[int, list[Replacement]]:
        """Return, by row, what stood there before, the first one first; only rows that were replaced."""
        query = select(ROW_REPLACEMENTS).where(_E.batch == batch_id).order_by(_E.row, _E.replaced)
        found: dict[int, list[Replacement]] = {}
        for entry in self._db.fetch_rows(query):
            found.setdefault(entry.row, []).append(Replacement(entry.job, entry.replaced))
        return found

    def get_batch(self, batch_id: str) -> Batch | None:
        """Return the batch, or None."""
        row = self._db.fetch_row(_ONE_BATCH, {"batch_id": batch_id})
        return None if row is None else _to_batch(row)

    def list_batches(self, owner: str, limit: int = 50, before: str | None = None) -> list[Batch]:
        """Return the owner's batches, newest first; `before` is the last id of the previous page."""
        return [_to_batch(row) for row in self._db.fetch_rows(select_page(BATCHES, owner, limit, before))]

    def delete_expired(self, before: float) -> None:
        """Delete batches that ended before the Unix time `before` and have no jobs left."""
        for batch in self._select_ids(_B.finished < before, ~exists().where(JOBS.c.batch_id == _B.id)):
            delete_batch(self._db, batch)

    def count_rows(self, batch_id: str) -> dict[str, int]:
        """Count the rows by status."""
        counts = self._db.fetch_rows(_ROW_COUNTS, {"batch_id": batch_id})
        return {row.status or "waiting": row.n for row in counts}

    def finish_times(self, batch_id: str) -> list[float]:
        """Return the Unix times at which the batch did its last thirty rows, newest first, without replacements."""
        done = select(JOBS.c.finished).where(JOBS.c.batch_id == batch_id, JOBS.c.status == "done", JOBS.c.batch == 1)
        return [row.finished for row in self._db.fetch_rows(done.order_by(JOBS.c.finished.desc()).limit(30))]

    def list_rows(
        self,
        batch_id: str,
        after: int = 0,
        limit: int = CHUNK_ROW_COUNT,
        status: str | None = None,
        newest: bool = False,
        since: float = 0.0,
        skip: int = 0,
    ) -> list[RowState]:
        """Return rows in order from after row `after`; with `newest`, those that finished last come first.

        `since`: only rows that finished from that Unix time on. `skip` leaves out the first ones.
        """
        query = _ROW_STATES.where(_R.batch == batch_id, _R.row > after)
        if status is not None:
            query = query.where(_STATUS.in_([status]))
        if since:
            query = query.where(JOBS.c.finished >= since)
        order = JOBS.c.finished.desc() if newest else _R.row
        rows = self._db.fetch_rows(query.order_by(order).limit(limit).offset(skip))
        return [_to_row_state(row) for row in rows]

    def list_unfinished_rows(self, batch_id: str, limit: int) -> list[RowState]:
        """Return the first rows, in order, that wait or are being done."""
        is_open = or_(_STATUS.is_(None), _STATUS.in_(["waiting", "queued", "running"]))
        query = _ROW_STATES.where(_R.batch == batch_id, is_open)
        return [_to_row_state(row) for row in self._db.fetch_rows(query.order_by(_R.row).limit(limit))]

    def iter_receipts(self, batch_id: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield number and receipt of every finished row, in order."""
        after, is_done = 0, and_(JOBS.c.batch_id == batch_id, JOBS.c.status == "done")
        query = select(JOBS.c.batch_row, JOBS.c.result).where(is_done).order_by(JOBS.c.batch_row).limit(CHUNK_ROW_COUNT)
        while rows := self._db.fetch_rows(query.where(JOBS.c.batch_row > after)):
            yield from ((row.batch_row, json.loads(row.result)["receipt"]) for row in rows)
            after = rows[-1].batch_row

    def iter_rows(self, batch_id: str) -> Iterator[BatchRow]:
        """Yield every row as it was requested, with the error that was found when it was read."""
        after = 0
        query = select(BATCH_ROWS).where(_R.batch == batch_id).order_by(_R.row).limit(CHUNK_ROW_COUNT)
        while rows := self._db.fetch_rows(query.where(_R.row > after)):
            yield from map(_to_batch_row, rows)
            after = rows[-1].row

    def list_measured(self, tool: str, profile: str) -> Sequence[Row]:
        """Return the tool's last 200 jobs with this profile: `job` and `result` as JSON, and their seconds `s`."""
        seconds = (JOBS.c.finished - JOBS.c.started).label("s")
        done = and_(JOBS.c.status == "done", JOBS.c.draft == 0, JOBS.c.started.is_not(None))
        query = select(JOBS.c.job, JOBS.c.result, seconds).where(done, JOBS.c.tool == tool, JOBS.c.profile == profile)
        return self._db.fetch_rows(query.order_by(JOBS.c.seq.desc()).limit(200))


def _error_to_json(error: StudioError | None) -> str | None:
    if error is None:
        return None
    return json.dumps({**error_to_json(error), "invalid": isinstance(error, InvalidParams)})


def _row_values(batch_id: str, row: BatchRow) -> dict[str, object]:
    return {
        "batch": batch_id,
        **{"row": row.row, "key": row.key, "tool": row.tool},
        **{"cells": json.dumps(row.cells), "notices": json.dumps(row.notices), "error": _error_to_json(row.error)},
        # Not "failed", since another try would give the same error.
        "state": "waiting" if row.error is None else "refused",
    }


def _to_batch_row(row: Row) -> BatchRow:
    error = error_from_json(json.loads(row.error)) if row.state == "refused" else None
    notices = tuple(json.loads(row.notices))
    picture_ids = json.loads(row.taken)
    return BatchRow(row.row, row.key, row.tool, json.loads(row.cells), error, notices, picture_ids)


def _to_batch(row: Row) -> Batch:
    values = row._asdict() | {"shared": json.loads(row.shared), "about": json.loads(row.about)}
    del values["home"]
    return Batch(**values)


def _to_row_state(row: Row) -> RowState:
    error = row.error or row.job_error
    return RowState(
        row.row,
        row.key,
        row.tool,
        row.status or "waiting",
        row.job_id,
        json.loads(error) if error else None,
        json.loads(row.cells),
    )
