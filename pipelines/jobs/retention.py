"""Retention: deletes finished jobs by age, by total size or on request, then the files that nothing references."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from pipelines.core.errors import NotFound
from pipelines.jobs.table import JobTable
from pipelines.storage.file_index import FileIndex

log = logging.getLogger(__name__)

DAY_SECONDS = 24 * 3600.0  # seconds of a day
UNREFERENCED_GRACE_SECONDS = DAY_SECONDS
"""Seconds for which an unreferenced file is kept, since somebody may be about to use it."""
_FILE_ID = re.compile(r"file-[0-9a-f]{40}")
_FINISHED = "('done', 'failed', 'cancelled')"
_BELONGS_TO_BATCH = "EXISTS (SELECT 1 FROM batches b WHERE b.id = j.batch_id)"


@dataclass(frozen=True)
class RetentionPolicy:
    """The limits of age and total size; 0 means no limit."""

    max_days: float = 0.0
    max_bytes: int = 0


@dataclass(frozen=True)
class _DeletionUnit:
    """Jobs that are deleted together: one job, or a batch with all its rows."""

    ids: tuple[str, ...]
    files: tuple[str, ...]
    batch: str | None


def apply_retention(table: JobTable, files: FileIndex, policy: RetentionPolicy) -> int:
    """Delete finished jobs beyond the policy's limits, oldest first, and return how many.

    Starred jobs and unfinished batches are kept. A batch is deleted as a whole: its age is that of its last row, and
    one starred row keeps it.
    """
    files.delete_partial_files(UNREFERENCED_GRACE_SECONDS)
    deleted = 0
    if policy.max_days:
        deleted += _delete_units(table, _find_finished(table, before=time.time() - policy.max_days * DAY_SECONDS))
    if policy.max_bytes and (excess_bytes := files.total_bytes() - policy.max_bytes) > 0:
        deleted += _delete_units(table, _take_until_freed(_find_finished(table), files, excess_bytes))
    if policy.max_days or policy.max_bytes:
        _delete_unreferenced(table, files)
    if deleted:
        log.info("retention: %d jobs deleted", deleted)
    return deleted


def delete_jobs(table: JobTable, files: FileIndex, owner: str, ids: Sequence[str], kept: Collection[str] = ()) -> int:
    """Delete these finished jobs of the owner and the files that only they reference; return how many jobs.

    Files in `kept` stay. A batch row is marked as deleted, so that no retry and no restart makes it again.
    """
    with table.lock:
        rows = [row for row in map(table.get_row, ids) if row is not None and row["owner"] == owner and row["finished"]]
        job_ids = [(row["id"],) for row in rows]
        with table.db.transaction():
            if _has_batches(table):
                table.db.executemany(
                    "UPDATE batch_rows SET state = 'deleted', taken = '{}' WHERE (batch, row) IN "
                    "(SELECT batch_id, batch_row FROM jobs WHERE id = ?)",
                    job_ids,
                )
            table.db.executemany("DELETE FROM jobs WHERE id = ?", job_ids)
    texts = (text for row in rows for text in (row["job"], row["result"] or ""))
    file_ids = {file_id for text in texts for file_id in _FILE_ID.findall(text)}
    if file_ids:
        file_ids -= {file_id for text in _referencing_texts(table, owner) for file_id in _FILE_ID.findall(text)}
    for file_id in file_ids.difference(kept):
        files.remove_owner(file_id, owner)
    return len(rows)


def _find_finished(table: JobTable, before: float = float("inf")) -> Iterator[_DeletionUnit]:
    """Yield what may be deleted and ended before the Unix time `before`, oldest first."""
    has_batches = _has_batches(table)
    batch_id = f"CASE WHEN {_BELONGS_TO_BATCH} THEN j.batch_id END" if has_batches else "CAST(NULL AS TEXT)"
    not_in_progress = (
        "AND NOT EXISTS (SELECT 1 FROM batches b WHERE b.id = j.batch_id AND b.state NOT IN ('done', 'cancelled'))"
    )
    with table.lock:
        rows = table.db.execute(
            f"SELECT MAX({batch_id}) AS batch, COALESCE({batch_id}, id) AS unit "
            f"FROM jobs j WHERE draft = 0 {not_in_progress if has_batches else ''} GROUP BY COALESCE({batch_id}, id) "
            f"HAVING COUNT(*) FILTER (WHERE status NOT IN {_FINISHED}) = 0 AND SUM(starred) = 0 AND MAX(finished) < ? "
            "ORDER BY MAX(finished)",
            (before,),
        ).fetchall()
    for row in rows:
        yield _load_unit(table, row["batch"], row["unit"])


def _load_unit(table: JobTable, batch: str | None, key: str) -> _DeletionUnit:
    query = f"SELECT id, result FROM jobs WHERE draft = 0 AND {'id' if batch is None else 'batch_id'} = ?"
    rows = table.db.execute(query, (key,)).fetchall()
    files = (file["id"] for row in rows if row["result"] for file in json.loads(row["result"])["files"])
    return _DeletionUnit(tuple(row["id"] for row in rows), tuple(files), batch)


def _has_batches(table: JobTable) -> bool:
    return bool(table.db.list_columns("batches"))


def _take_until_freed(units: Iterator[_DeletionUnit], files: FileIndex, excess_bytes: int) -> Iterator[_DeletionUnit]:
    """Yield units until their files free `excess_bytes`."""
    for unit in units:
        if excess_bytes <= 0:
            return
        yield unit
        for file_id in unit.files:
            try:
                excess_bytes -= files.get_info(file_id).bytes
            except NotFound:
                continue


def _delete_units(table: JobTable, units: Iterator[_DeletionUnit]) -> int:
    deleted = 0
    for unit in units:
        with table.db.transaction():
            table.db.executemany("DELETE FROM jobs WHERE id = ?", [(job_id,) for job_id in unit.ids])
            if unit.batch is not None:
                table.db.execute("DELETE FROM batch_rows WHERE batch = ?", (unit.batch,))
                table.db.execute("DELETE FROM batches WHERE id = ?", (unit.batch,))
        deleted += len(unit.ids)
    return deleted


def _delete_unreferenced(table: JobTable, files: FileIndex) -> None:
    # Old files are listed before the references: a file that gets its first reference in between is not an old one.
    old = files.ids_older_than(UNREFERENCED_GRACE_SECONDS)
    referenced = {file_id for text in _referencing_texts(table) for file_id in _FILE_ID.findall(text)}
    for file_id in old - referenced:
        files.delete_file(file_id)


def _referencing_texts(table: JobTable, owner: str | None = None) -> Iterator[str]:
    """Yield every text of this owner, or of all owners, that may contain a file id."""
    is_owner = "(CAST(? AS TEXT) IS NULL OR owner = ?)"
    queries = [
        f"SELECT job FROM jobs WHERE {is_owner}",
        f"SELECT result FROM jobs WHERE result IS NOT NULL AND {is_owner}",
    ]
    if _has_batches(table):
        queries += [f"SELECT {column} FROM batches WHERE {is_owner}" for column in ("shared", "about")]
        queries += [
            f"SELECT {column} FROM batch_rows WHERE batch IN (SELECT id FROM batches WHERE {is_owner})"
            for column in ("cells", "taken")
        ]
    if table.db.list_columns("kept"):
        queries.append(f"SELECT value FROM kept WHERE {is_owner}")
    for query in queries:
        with table.lock:
            rows = table.db.execute(query, (owner, owner)).fetchall()
        yield from (row[0] for row in rows)
