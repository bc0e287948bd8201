"""What is old, or too much, or unwanted, is forgotten: ended jobs, then pictures that nothing names any more."""

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

DAY_SECONDS = 24 * 3600.0
UNREFERENCED_GRACE_SECONDS = DAY_SECONDS
"""Seconds for which a picture is kept that no job names yet: somebody may be about to use it."""
_FILE_ID = re.compile(r"file-[0-9a-f]{40}")
_FINISHED = "('done', 'failed', 'cancelled')"
_BELONGS_TO_BATCH = "EXISTS (SELECT 1 FROM batches b WHERE b.id = j.batch_id)"


@dataclass(frozen=True)
class RetentionPolicy:
    """How long and how much; 0 is without end."""

    max_days: float = 0.0
    max_bytes: int = 0


@dataclass(frozen=True)
class _DeletionUnit:
    """What goes or stays as one: a job, or a batch with all its rows."""

    ids: tuple[str, ...]
    files: tuple[str, ...]
    batch: str | None


def apply_retention(table: JobTable, files: FileIndex, keep: RetentionPolicy) -> int:
    """Forget what `keep` does not hold; how many jobs that were.

    Starred jobs and batches that go on are kept. A batch is kept or forgotten whole: its age is that of its last row,
    and one starred row keeps it.
    """
    files.delete_partial_files(UNREFERENCED_GRACE_SECONDS)
    gone = 0
    if keep.max_days:
        gone += _delete_units(table, _find_finished(table, before=time.time() - keep.max_days * DAY_SECONDS))
    if keep.max_bytes and (over := files.total_bytes() - keep.max_bytes) > 0:
        gone += _delete_units(table, _take_until_freed(_find_finished(table), files, over))
    if keep.max_days or keep.max_bytes:
        _delete_unreferenced(table, files)
    if gone:
        log.info("retention: %d jobs forgotten", gone)
    return gone


def delete_jobs(table: JobTable, files: FileIndex, owner: str, ids: Sequence[str], kept: Collection[str] = ()) -> int:
    """Forget these ended jobs of the owner's, and their pictures that nothing else of the owner's names; how many.

    Pictures in `kept` stay. A row of a batch stays told of as deleted, so that no retry and no restart makes it anew.
    """
    with table.lock:
        rows = [row for row in map(table.get_row, ids) if row is not None and row["owner"] == owner and row["finished"]]
        gone = [(row["id"],) for row in rows]
        with table.db.transaction():
            if _has_batches(table):
                table.db.executemany(
                    "UPDATE batch_rows SET state = 'deleted', taken = '{}' WHERE (batch, row) IN "
                    "(SELECT batch_id, batch_row FROM jobs WHERE id = ?)",
                    gone,
                )
            table.db.executemany("DELETE FROM jobs WHERE id = ?", gone)
    named = {found for row in rows for text in (row["job"], row["result"] or "") for found in _FILE_ID.findall(text)}
    if named:
        named -= {found for text in _referencing_texts(table, owner) for found in _FILE_ID.findall(text)}
    for file_id in named.difference(kept):
        files.remove_owner(file_id, owner)
    return len(rows)


# ---------------------------------------------------------------- what may go


def _find_finished(table: JobTable, before: float = float("inf")) -> Iterator[_DeletionUnit]:
    """What may go, oldest first."""
    has = _has_batches(table)
    whole = f"CASE WHEN {_BELONGS_TO_BATCH} THEN j.batch_id END" if has else "CAST(NULL AS TEXT)"
    going = "AND NOT EXISTS (SELECT 1 FROM batches b WHERE b.id = j.batch_id AND b.state NOT IN ('done', 'cancelled'))"
    with table.lock:
        rows = table.db.execute(
            f"SELECT MAX({whole}) AS batch, COALESCE({whole}, id) AS whole "
            f"FROM jobs j WHERE draft = 0 {going if has else ''} GROUP BY COALESCE({whole}, id) "
            f"HAVING COUNT(*) FILTER (WHERE status NOT IN {_FINISHED}) = 0 AND SUM(starred) = 0 AND MAX(finished) < ? "
            "ORDER BY MAX(finished)",
            (before,),
        ).fetchall()
    for row in rows:
        yield _load_unit(table, row["batch"], row["whole"])


def _load_unit(table: JobTable, batch: str | None, key: str) -> _DeletionUnit:
    query = f"SELECT id, result FROM jobs WHERE draft = 0 AND {'id' if batch is None else 'batch_id'} = ?"
    rows = table.db.execute(query, (key,)).fetchall()
    files = (file["id"] for row in rows if row["result"] for file in json.loads(row["result"])["files"])
    return _DeletionUnit(tuple(row["id"] for row in rows), tuple(files), batch)


def _has_batches(table: JobTable) -> bool:
    return bool(table.db.list_columns("batches"))


def _take_until_freed(wholes: Iterator[_DeletionUnit], files: FileIndex, over: int) -> Iterator[_DeletionUnit]:
    """As many as it takes to free `over` bytes."""
    for whole in wholes:
        if over <= 0:
            return
        yield whole
        for file_id in whole.files:
            try:
                over -= files.get_info(file_id).bytes
            except NotFound:
                continue


def _delete_units(table: JobTable, wholes: Iterator[_DeletionUnit]) -> int:
    gone = 0
    for whole in wholes:
        with table.db.transaction():
            table.db.executemany("DELETE FROM jobs WHERE id = ?", [(job_id,) for job_id in whole.ids])
            if whole.batch is not None:
                table.db.execute("DELETE FROM batch_rows WHERE batch = ?", (whole.batch,))
                table.db.execute("DELETE FROM batches WHERE id = ?", (whole.batch,))
        gone += len(whole.ids)
    return gone


# ---------------------------------------------------------------- pictures


def _delete_unreferenced(table: JobTable, files: FileIndex) -> None:
    old = files.ids_older_than(
        UNREFERENCED_GRACE_SECONDS
    )  # looked up first: what is named meanwhile is younger, or was named already
    named = {found for text in _referencing_texts(table) for found in _FILE_ID.findall(text)}
    for file_id in old - named:
        files.delete_file(file_id)


def _referencing_texts(table: JobTable, owner: str | None = None) -> Iterator[str]:
    """Every text, of this owner or of all, that may name a file."""
    mine = "(CAST(? AS TEXT) IS NULL OR owner = ?)"
    queries = [f"SELECT job FROM jobs WHERE {mine}", f"SELECT result FROM jobs WHERE result IS NOT NULL AND {mine}"]
    if _has_batches(table):
        queries += [f"SELECT {column} FROM batches WHERE {mine}" for column in ("shared", "about")]
        queries += [
            f"SELECT {column} FROM batch_rows WHERE batch IN (SELECT id FROM batches WHERE {mine})"
            for column in ("cells", "taken")
        ]
    if table.db.list_columns("kept"):
        queries.append(f"SELECT value FROM kept WHERE {mine}")
    for query in queries:
        with table.lock:
            rows = table.db.execute(query, (owner, owner)).fetchall()
        yield from (row[0] for row in rows)
