"""The tables of batches and their rows, in the database of the job queue, with all their SQL statements."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

from pipelines.core.errors import InvalidParams, StudioError, error_from_json, error_to_json
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
_STATUS = "CASE r.state WHEN 'given' THEN j.status WHEN 'refused' THEN 'failed' ELSE r.state END"
_JOINED = "batch_rows r LEFT JOIN jobs j ON j.batch_id = r.batch AND j.batch_row = r.row"
READ_TIMEOUT_SECONDS = 3600.0  # seconds after which another studio that still reads a batch is taken for dead
CHUNK_ROW_COUNT = 500


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


class BatchTable:
    """Batches and rows, on the queue's connection and lock. `home` is the id of the folder with the pictures."""

    def __init__(self, table: JobTable, home: str = "") -> None:
        self._db = table.db
        self._home = home
        self.lock = table.lock
        with self.lock:
            self._db.create_schema(_SCHEMA)
            # Nobody knows the id of a batch that was still being read when the studio stopped.
            since = time.time() - (READ_TIMEOUT_SECONDS if self._db.is_shared else 0)
            for batch in self._select_ids("SELECT id FROM batches WHERE state = 'reading' AND created <= ?", since):
                self.delete_batch(batch)
            for batch in self._select_ids("SELECT id FROM batches WHERE state IN ('running', 'paused')"):
                self.requeue_orphans(batch)

    def list_ids(self, state: BatchState | None = None) -> list[str]:
        """Return the ids of all batches, or of those in this state."""
        with self.lock:
            return self._select_ids("SELECT id FROM batches WHERE CAST(? AS TEXT) IS NULL OR state = ?", state, state)

    def _select_ids(self, query: str, *values: object) -> list[str]:
        return [row["id"] for row in self._db.execute(query, values).fetchall()]

    def transaction(self) -> AbstractContextManager[None]:
        """Make all changes of the block or none."""
        return self._db.transaction()

    def insert_batch(self, batch: Batch) -> None:
        """Insert a batch without rows."""
        values = {
            **vars(batch),
            "shared": json.dumps(batch.shared),
            "about": json.dumps(batch.about),
            "home": self._home,
        }
        with self.lock:
            self._db.execute(
                f"INSERT INTO batches ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})",
                tuple(values.values()),
            )

    def insert_rows(self, batch_id: str, rows: Iterable[BatchRow]) -> int:
        """Insert rows, a few hundred in each transaction, and return how many."""
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
        """Delete a batch and its rows, but not its jobs."""
        with self.transaction():
            self._db.execute("DELETE FROM batch_rows WHERE batch = ?", (batch_id,))
            self._db.execute("DELETE FROM batches WHERE id = ?", (batch_id,))

    def set_state(self, batch_id: str, state: BatchState, note: str = "") -> None:
        """Set the state, and the time of the first start or of the end."""
        now = time.time()
        ended = now if state in ("done", "cancelled") else None
        with self.lock:
            self._db.execute(
                "UPDATE batches SET state = ?, note = ?, finished = ?, "
                "started = CASE WHEN ? = 'running' THEN COALESCE(started, ?) ELSE started END WHERE id = ?",
                (state, note, ended, state, now, batch_id),
            )

    def set_about(self, batch_id: str, about: dict[str, Any]) -> None:
        """Replace the caller's data."""
        with self.lock:
            self._db.execute("UPDATE batches SET about = ? WHERE id = ?", (json.dumps(about), batch_id))

    def take_next_row(self) -> tuple[Batch, BatchRow, int] | None:
        """Take the next row of a running batch that has no job, with its number of tries; None when there is none."""
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
        """Undo `take_next_row`, so that this try does not count."""
        with self.lock:
            self._db.execute("UPDATE batch_rows SET tries = tries - 1 WHERE batch = ? AND row = ?", (batch_id, row))

    def record_pictures(self, batch_id: str, row: int, picture_ids: dict[str, JSON]) -> None:
        """Store the file ids of the row's ingested pictures."""
        with self.lock:
            self._db.execute(
                "UPDATE batch_rows SET taken = ? WHERE batch = ? AND row = ?", (json.dumps(picture_ids), batch_id, row)
            )

    def clear_pictures(self, batch_id: str) -> None:
        """Delete the picture ids of rows that cannot be run again."""
        with self.lock:
            self._db.execute(
                "UPDATE batch_rows SET taken = '{}' WHERE batch = ? AND taken <> '{}' AND (state = 'deleted' OR EXISTS "
                "(SELECT 1 FROM jobs j WHERE j.batch_id = batch_rows.batch AND j.batch_row = batch_rows.row "
                "AND j.status = 'done'))",
                (batch_id,),
            )

    def mark_submitted(self, batch_id: str, row: int) -> None:
        """Mark a row that has a job now."""
        self._set_row_state(batch_id, row, "given", None)

    def mark_failed(self, batch_id: str, row: int, error: StudioError) -> None:
        """Mark a row that cannot have a job, unless it was cancelled meanwhile."""
        self._set_row_state(batch_id, row, "failed", error)

    def _set_row_state(self, batch_id: str, row: int, state: str, error: StudioError | None) -> None:
        with self.lock:
            self._db.execute(
                "UPDATE batch_rows SET state = ?, error = ? WHERE batch = ? AND row = ? AND state <> 'cancelled'",
                (state, _error_to_json(error), batch_id, row),
            )

    def requeue_orphans(self, batch_id: str) -> None:
        """Set rows to waiting whose job was removed from the queue."""
        with self.lock:
            self._db.execute(
                "UPDATE batch_rows SET state = 'waiting', tries = 0 WHERE batch = ? AND state = 'given' AND NOT EXISTS "
                "(SELECT 1 FROM jobs j WHERE j.batch_id = batch_rows.batch AND j.batch_row = batch_rows.row)",
                (batch_id,),
            )

    def cancel_waiting(self, batch_id: str) -> None:
        """Cancel the rows that wait."""
        with self.lock:
            self._db.execute(
                "UPDATE batch_rows SET state = 'cancelled' WHERE batch = ? AND state = 'waiting'", (batch_id,)
            )

    def reset_failed_rows(self, batch_id: str, row: int | None = None) -> int:
        """Set failed rows to waiting and delete their jobs; return how many. `row`: only this one, even cancelled."""
        ended = "('failed')" if row is None else "('failed', 'cancelled')"
        with self.transaction():
            which = "(CAST(? AS BIGINT) IS NULL OR batch_row = ?)"
            delete = f"DELETE FROM jobs WHERE batch_id = ? AND {which} AND status IN {ended}"
            self._db.execute(delete, (batch_id, row, row))
            return self._db.execute(
                "UPDATE batch_rows SET state = 'waiting', tries = 0, error = NULL WHERE batch = ? "
                f"AND (CAST(? AS BIGINT) IS NULL OR row = ?) AND (state IN {ended} OR state = 'given' AND NOT EXISTS "
                "(SELECT 1 FROM jobs j WHERE j.batch_id = batch_rows.batch AND j.batch_row = batch_rows.row))",
                (batch_id, row, row),
            ).rowcount

    def get_batch(self, batch_id: str) -> Batch | None:
        """Return the batch, or None."""
        with self.lock:
            row = self._db.execute("SELECT * FROM batches WHERE id = ?", (batch_id,)).fetchone()
        return None if row is None else _to_batch(row)

    def list_batches(self, owner: str, limit: int = 50, before: str | None = None) -> list[Batch]:
        """Return the owner's batches, newest first; `before` is the last id of the previous page."""
        with self.lock:
            rows = self._db.execute(
                "SELECT * FROM batches WHERE owner = ? AND (CAST(? AS TEXT) IS NULL OR (created, id) < "
                "(SELECT created, id FROM batches WHERE id = ?)) ORDER BY created DESC, id DESC LIMIT ?",
                (owner, before, before, limit),
            ).fetchall()
        return [_to_batch(row) for row in rows]

    def delete_expired(self, before: float) -> None:
        """Delete batches that ended before the Unix time `before` and have no jobs left."""
        for batch in self._select_ids(
            "SELECT id FROM batches b WHERE finished < ? AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.batch_id = b.id)",
            before,
        ):
            self.delete_batch(batch)

    def count_rows(self, batch_id: str) -> dict[str, int]:
        """Count the rows by status."""
        query = f"SELECT {_STATUS} AS status, COUNT(*) AS n FROM {_JOINED} WHERE r.batch = ? GROUP BY 1"
        with self.lock:
            return {row["status"] or "waiting": row["n"] for row in self._db.execute(query, (batch_id,)).fetchall()}

    def finish_times(self, batch_id: str) -> list[float]:
        """Return the Unix times at which the last thirty rows were done, newest first."""
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
        """Return rows in order from after row `after`; with `newest`, those that finished last come first.

        `since`: only rows that finished from that Unix time on. `skip` leaves out the first ones.
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
        """Yield every row as it was requested, with the error that was found when it was read."""
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
        """Return the tool's last 200 jobs with this profile: `job` and `result` as JSON, and their seconds `s`."""
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
    return json.dumps({**error_to_json(error), "invalid": isinstance(error, InvalidParams)})


def _row_values(batch_id: str, row: BatchRow) -> tuple[object, ...]:
    state = "waiting" if row.error is None else "refused"  # not "failed", since another try would give the same error
    cells, notices = json.dumps(row.cells), json.dumps(row.notices)
    return batch_id, row.row, row.key, row.tool, cells, state, _error_to_json(row.error), notices


def _to_batch_row(row: Row) -> BatchRow:
    error = error_from_json(json.loads(row["error"])) if row["state"] == "refused" else None
    notices = tuple(json.loads(row["notices"]))
    picture_ids = json.loads(row["taken"])
    return BatchRow(row["row"], row["key"], row["tool"], json.loads(row["cells"]), error, notices, picture_ids)


def _to_batch(row: Row) -> Batch:
    values = dict(row)
    del values["home"]
    return Batch(**{**values, "shared": json.loads(values["shared"]), "about": json.loads(values["about"])})


def _to_row_state(row: Row) -> RowState:
    error = row["error"] or row["job_error"]
    return RowState(
        row["row"],
        row["key"],
        row["tool"],
        row["status"] or "waiting",
        row["job_id"],
        json.loads(error) if error else None,
        json.loads(row["cells"]),
    )
