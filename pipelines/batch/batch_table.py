"""Batches and their rows in the queue's own database; every statement about them is here; orders nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

from pipelines.core.errors import InvalidParams, StudioError
from pipelines.core.params import JSON
from pipelines.jobs.table import JobTable
from pipelines.storage.database import Row

BatchState = Literal["reading", "ready", "running", "paused", "cancelled", "done"]
SeedPolicy = Literal["same", "row"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
  id TEXT PRIMARY KEY, owner TEXT NOT NULL, tool TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
  note TEXT NOT NULL DEFAULT '', shared TEXT NOT NULL, seed INTEGER NOT NULL, seeds TEXT NOT NULL,
  source TEXT, about TEXT NOT NULL, created REAL NOT NULL, started REAL, finished REAL,
  home TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS batch_rows (
  batch TEXT NOT NULL, row INTEGER NOT NULL, key TEXT NOT NULL, tool TEXT NOT NULL, cells TEXT NOT NULL,
  state TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0, error TEXT, notices TEXT NOT NULL DEFAULT '[]',
  taken TEXT NOT NULL DEFAULT '{}', PRIMARY KEY (batch, row)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS batch_rows_by_state ON batch_rows (state, batch, tries, row);
"""
_LATER = {"notices": "TEXT NOT NULL DEFAULT '[]'", "taken": "TEXT NOT NULL DEFAULT '{}'"}
_STATUS = "CASE r.state WHEN 'given' THEN j.status WHEN 'refused' THEN 'failed' ELSE r.state END"
_JOINED = "batch_rows r LEFT JOIN jobs j ON j.batch_id = r.batch AND j.batch_row = r.row"
READ_TIMEOUT_SECONDS = 3600.0
"""After which a batch that is still being read, by another studio, lost its reader."""
CHUNK_ROW_COUNT = 500


@dataclass(frozen=True)
class Batch:
    """What all rows share. `source` is the path of the pictures' folder or ZIP; `about` is for whoever made it."""

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
    """A row as it was asked for. `key` is its own id, unique in the batch; `notices` are for its receipt.

    `taken` are the file ids of its pictures by field, once they were taken in.
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
    """A row as it stands: `status` is waiting, queued, running, done, failed, cancelled or deleted."""

    row: int
    key: str
    tool: str
    status: str
    job_id: str | None
    error: dict[str, Any] | None
    cells: dict[str, JSON]


class BatchTable:
    """Works on the queue's connection, under its lock. `home` names the folder where its batches' pictures lie."""

    def __init__(self, table: JobTable, home: str = "") -> None:
        self._db = table.db
        self._home = home
        self.lock = table.lock
        with self.lock:
            self._db.create_schema(_SCHEMA)
            self._db.widen("batches", {"home": "TEXT NOT NULL DEFAULT ''"})
            self._db.widen("batch_rows", _LATER)
            # What was being read when the studio stopped was told to nobody; what lost its job waits again.
            since = time.time() - (READ_TIMEOUT_SECONDS if self._db.is_shared else 0)
            for batch in self._select_ids("SELECT id FROM batches WHERE state = 'reading' AND created <= ?", since):
                self.delete_batch(batch)
            for batch in self._select_ids("SELECT id FROM batches WHERE state IN ('running', 'paused')"):
                self.requeue_orphans(batch)

    def list_ids(self, state: BatchState | None = None) -> list[str]:
        """Every batch's, or of those in this state."""
        with self.lock:
            return self._select_ids("SELECT id FROM batches WHERE CAST(? AS TEXT) IS NULL OR state = ?", state, state)

    def _select_ids(self, query: str, *values: object) -> list[str]:
        return [row["id"] for row in self._db.execute(query, values).fetchall()]

    def transaction(self) -> AbstractContextManager[None]:
        """Changes of which all are made or none."""
        return self._db.transaction()

    # ------------------------------------------------------------ making

    def insert_batch(self, batch: Batch) -> None:
        """A batch without rows."""
        values = (
            batch.id, batch.owner, batch.tool, batch.name, batch.state, batch.note, json.dumps(batch.shared),
            batch.seed, batch.seeds, batch.source, json.dumps(batch.about), batch.created, batch.started,
            batch.finished, self._home,
        )  # fmt: skip
        with self.lock:
            self._db.execute(
                "INSERT INTO batches (id, owner, tool, name, state, note, shared, seed, seeds, source, about, created, "
                f"started, finished, home) VALUES ({','.join('?' * len(values))})",
                values,
            )

    def insert_rows(self, batch_id: str, rows: Iterable[BatchRow]) -> int:
        """Keep the rows, a few hundred at a time; how many that were."""
        total = 0
        chunk: list[tuple[object, ...]] = []
        for row in rows:
            chunk.append(_row_values(batch_id, row))
            total += 1
            if len(chunk) == CHUNK_ROW_COUNT:
                self._insert_chunk(chunk)
                chunk = []
        self._insert_chunk(chunk)
        return total

    def _insert_chunk(self, chunk: list[tuple[object, ...]]) -> None:
        with self.transaction():
            self._db.executemany(
                "INSERT INTO batch_rows (batch, row, key, tool, cells, state, error, notices) VALUES (?,?,?,?,?,?,?,?)",
                chunk,
            )

    def delete_batch(self, batch_id: str) -> None:
        """Remove a batch and its rows; its jobs are the queue's affair."""
        with self.transaction():
            self._db.execute("DELETE FROM batch_rows WHERE batch = ?", (batch_id,))
            self._db.execute("DELETE FROM batches WHERE id = ?", (batch_id,))

    # ------------------------------------------------------------ going on

    def set_state(self, batch_id: str, state: BatchState, note: str = "") -> None:
        """A new state; the first start and the end are given their time."""
        now = time.time()
        ended = now if state in ("done", "cancelled") else None
        with self.lock:
            self._db.execute(
                "UPDATE batches SET state = ?, note = ?, finished = ?, "
                "started = CASE WHEN ? = 'running' THEN COALESCE(started, ?) ELSE started END WHERE id = ?",
                (state, note, ended, state, now, batch_id),
            )

    def set_about(self, batch_id: str, about: dict[str, Any]) -> None:
        """Replace what its maker keeps with it."""
        with self.lock:
            self._db.execute("UPDATE batches SET about = ? WHERE id = ?", (json.dumps(about), batch_id))

    def take_next_row(self) -> tuple[Batch, BatchRow, int] | None:
        """The next row of a running batch that has no job yet, with how often it was taken; None when all have."""
        with self.lock:
            row = self._db.execute(
                "SELECT r.* FROM batch_rows r JOIN batches b ON b.id = r.batch WHERE b.state = 'running' "
                "AND r.state = 'waiting' AND (b.source IS NULL OR b.home = ?) "
                "ORDER BY r.tries, b.created, r.row LIMIT 1",
                (self._home,),
            ).fetchone()
            if row is None:
                return None
            self._db.execute(
                "UPDATE batch_rows SET tries = tries + 1 WHERE batch = ? AND row = ?", (row["batch"], row["row"])
            )
            batch = self.get_batch(row["batch"])
        assert batch is not None
        return batch, _to_batch_row(row), row["tries"] + 1

    def return_row(self, batch_id: str, row: int) -> None:
        """It was not this row's turn after all."""
        with self.lock:
            self._db.execute("UPDATE batch_rows SET tries = tries - 1 WHERE batch = ? AND row = ?", (batch_id, row))

    def record_pictures(self, batch_id: str, row: int, taken: dict[str, JSON]) -> None:
        """The row's pictures are in the studio under these ids."""
        with self.lock:
            self._db.execute(
                "UPDATE batch_rows SET taken = ? WHERE batch = ? AND row = ?", (json.dumps(taken), batch_id, row)
            )

    def clear_pictures(self, batch_id: str) -> None:
        """Only rows that may be done again need to know where their pictures are."""
        with self.lock:
            self._db.execute(
                "UPDATE batch_rows SET taken = '{}' WHERE batch = ? AND taken <> '{}' AND (state = 'deleted' OR EXISTS "
                "(SELECT 1 FROM jobs j WHERE j.batch_id = batch_rows.batch AND j.batch_row = batch_rows.row "
                "AND j.status = 'done'))",
                (batch_id,),
            )

    def mark_submitted(self, batch_id: str, row: int) -> None:
        """The row has a job."""
        self._set_row_state(batch_id, row, "given", None)

    def mark_failed(self, batch_id: str, row: int, error: StudioError) -> None:
        """The row cannot have one, unless it was cancelled meanwhile."""
        self._set_row_state(batch_id, row, "failed", error)

    def _set_row_state(self, batch_id: str, row: int, state: str, error: StudioError | None) -> None:
        with self.lock:
            self._db.execute(
                "UPDATE batch_rows SET state = ?, error = ? WHERE batch = ? AND row = ? AND state <> 'cancelled'",
                (state, _error_to_json(error), batch_id, row),
            )

    def requeue_orphans(self, batch_id: str) -> None:
        """Rows whose job was taken out of the line wait again."""
        with self.lock:
            self._db.execute(
                "UPDATE batch_rows SET state = 'waiting', tries = 0 WHERE batch = ? AND state = 'given' AND NOT EXISTS "
                "(SELECT 1 FROM jobs j WHERE j.batch_id = batch_rows.batch AND j.batch_row = batch_rows.row)",
                (batch_id,),
            )

    def cancel_waiting(self, batch_id: str) -> None:
        """Rows that wait will not be done."""
        with self.lock:
            self._db.execute(
                "UPDATE batch_rows SET state = 'cancelled' WHERE batch = ? AND state = 'waiting'", (batch_id,)
            )

    def reset_failed_rows(self, batch_id: str, row: int | None = None) -> int:
        """Rows that failed wait again (`row`: only that one, also when it was cancelled), their old jobs forgotten."""
        ended = "('failed')" if row is None else "('failed', 'cancelled')"
        with self.transaction():
            which = "(CAST(? AS BIGINT) IS NULL OR batch_row = ?)"
            gone = f"DELETE FROM jobs WHERE batch_id = ? AND {which} AND status IN {ended}"
            self._db.execute(gone, (batch_id, row, row))
            return self._db.execute(
                "UPDATE batch_rows SET state = 'waiting', tries = 0, error = NULL WHERE batch = ? "
                f"AND (CAST(? AS BIGINT) IS NULL OR row = ?) AND (state IN {ended} OR state = 'given' AND NOT EXISTS "
                "(SELECT 1 FROM jobs j WHERE j.batch_id = batch_rows.batch AND j.batch_row = batch_rows.row))",
                (batch_id, row, row),
            ).rowcount

    # ------------------------------------------------------------ looking

    def get_batch(self, batch_id: str) -> Batch | None:
        """The batch."""
        with self.lock:
            row = self._db.execute("SELECT * FROM batches WHERE id = ?", (batch_id,)).fetchone()
        return None if row is None else _to_batch(row)

    def list_batches(self, owner: str, limit: int = 50, before: str | None = None) -> list[Batch]:
        """The owner's, newest first."""
        with self.lock:
            rows = self._db.execute(
                "SELECT * FROM batches WHERE owner = ? AND (CAST(? AS TEXT) IS NULL OR (created, id) < "
                "(SELECT created, id FROM batches WHERE id = ?)) ORDER BY created DESC, id DESC LIMIT ?",
                (owner, before, before, limit),
            ).fetchall()
        return [_to_batch(row) for row in rows]

    def delete_expired(self, before: float) -> None:
        """Remove batches that ended before then and none of whose jobs is left."""
        for batch in self._select_ids(
            "SELECT id FROM batches b WHERE finished < ? AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.batch_id = b.id)",
            before,
        ):
            self.delete_batch(batch)

    def count_rows(self, batch_id: str) -> dict[str, int]:
        """Rows by status."""
        query = f"SELECT {_STATUS} AS status, COUNT(*) AS n FROM {_JOINED} WHERE r.batch = ? GROUP BY 1"
        with self.lock:
            return {row["status"] or "waiting": row["n"] for row in self._db.execute(query, (batch_id,)).fetchall()}

    def finish_times(self, batch_id: str) -> list[float]:
        """When the last rows were finished, newest first, as Unix time."""
        query = "SELECT finished FROM jobs WHERE batch_id = ? AND status = 'done' ORDER BY finished DESC LIMIT 30"
        with self.lock:
            return [row["finished"] for row in self._db.execute(query, (batch_id,)).fetchall()]

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
        """Rows in order from after row `after`; `newest` instead: the last that were finished first. With `since`,
        only rows that were finished from that Unix time on. The first `skip` of them are left out.
        """
        order = "j.finished DESC" if newest else "r.row"
        with self.lock:
            rows = self._db.execute(
                f"SELECT r.*, {_STATUS} AS status, j.id AS job_id, j.error AS job_error FROM {_JOINED} "
                f"WHERE r.batch = ? AND r.row > ? AND (CAST(? AS TEXT) IS NULL OR {_STATUS} = ?) "
                "AND (? = 0.0 OR j.finished >= ?) "
                f"ORDER BY {order} LIMIT ? OFFSET ?",
                (batch_id, after, status, status, since, since, limit, skip),
            ).fetchall()
        return [_to_row_state(row) for row in rows]

    def iter_rows(self, batch_id: str) -> Iterator[BatchRow]:
        """Every row as it was asked for, with what was seen to be wrong when it was read."""
        after = 0
        query = "SELECT * FROM batch_rows WHERE batch = ? AND row > ? ORDER BY row LIMIT ?"
        while True:
            with self.lock:
                rows = self._db.execute(query, (batch_id, after, CHUNK_ROW_COUNT)).fetchall()
            if not rows:
                return
            yield from map(_to_batch_row, rows)
            after = rows[-1]["row"]

    def list_measured(self, tool: str, profile: str) -> list[Row]:
        """The last pictures made of a tool with a profile: `job` and `result` as JSON, and the seconds `s` it took."""
        query = (
            "SELECT job, result, finished - started AS s FROM jobs WHERE status = 'done' AND draft = 0 AND started IS "
            "NOT NULL AND tool = ? AND profile = ? "
            "ORDER BY seq DESC LIMIT 200"
        )
        with self.lock:
            return self._db.execute(query, (tool, profile)).fetchall()


def _error_to_json(error: StudioError | None) -> str | None:
    if error is None:
        return None
    invalid = isinstance(error, InvalidParams)
    return json.dumps({"code": error.code, "message": error.message, "param": error.param, "invalid": invalid})


def _error_from_json(text: str) -> StudioError:
    error = json.loads(text)
    if error.get("invalid"):
        return InvalidParams(error["message"], param=error["param"])
    return StudioError(error["message"], code=error["code"], param=error["param"])


def _row_values(batch_id: str, row: BatchRow) -> tuple[object, ...]:
    state = "waiting" if row.error is None else "refused"  # for good: the same cells give the same answer
    cells, notices = json.dumps(row.cells), json.dumps(row.notices)
    return batch_id, row.row, row.key, row.tool, cells, state, _error_to_json(row.error), notices


def _to_batch_row(row: Row) -> BatchRow:
    error = _error_from_json(row["error"]) if row["state"] == "refused" else None
    notices = tuple(json.loads(row["notices"]))
    taken = json.loads(row["taken"])
    return BatchRow(row["row"], row["key"], row["tool"], json.loads(row["cells"]), error, notices, taken)


def _to_batch(row: Row) -> Batch:
    values = dict(row)
    del values["home"]
    return Batch(**{**values, "shared": json.loads(values["shared"]), "about": json.loads(values["about"])})


def _to_row_state(row: Row) -> RowState:
    error = row["error"] or row["job_error"]
    return RowState(
        row["row"], row["key"], row["tool"], row["status"] or "waiting", row["job_id"],
        json.loads(error) if error else None, json.loads(row["cells"]),
    )  # fmt: skip
