"""What is old, or too much, is forgotten: ended jobs that nobody starred, then pictures that nothing names any more."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.files import Files
from pipelines.table import Table
from pipelines.types import NotFound

log = logging.getLogger(__name__)

DAY = 24 * 3600.0
GRACE = DAY
"""Seconds for which a picture is kept that no job names yet: somebody may be about to use it."""
_ID = re.compile(r"file-[0-9a-f]{40}")
_GOING_ON = "SELECT id FROM batches WHERE state IN ('reading', 'ready', 'running', 'paused')"


@dataclass(frozen=True)
class Keep:
    """How long and how much; 0 is without end."""

    days: float = 0.0
    bytes: int = 0


def sweep(table: Table, files: Files, keep: Keep) -> int:
    """Forget what `keep` does not hold; how many jobs that were. Starred jobs and batches that go on are kept."""
    files.clear_parts(GRACE)
    gone = 0
    if keep.days:
        gone += _forget(table, _ended(table, before=time.time() - keep.days * DAY))
    if keep.bytes and (over := files.bytes() - keep.bytes) > 0:
        gone += _forget(table, _until(_ended(table), files, over))
    if keep.days or keep.bytes:
        _drop_unnamed(table, files)
    if gone:
        log.info("retention: %d jobs forgotten", gone)
    return gone


def _ended(table: Table, before: float = float("inf")) -> Iterator[sqlite3.Row]:
    """Jobs that may go, oldest first."""
    with table.lock:
        batches = f"AND (batch_id IS NULL OR batch_id NOT IN ({_GOING_ON}))" if _has_batches(table) else ""
        rows = table.db.execute(
            f"SELECT id, result FROM jobs WHERE finished < ? AND NOT starred {batches} ORDER BY finished", (before,)
        ).fetchall()
    return iter(rows)


def _has_batches(table: Table) -> bool:
    found = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'batches'"
    return table.db.execute(found).fetchone() is not None


def _until(rows: Iterator[sqlite3.Row], files: Files, over: int) -> Iterator[sqlite3.Row]:
    """As many as it takes to free `over` bytes."""
    for row in rows:
        if over <= 0:
            return
        yield row
        for file in json.loads(row["result"])["files"] if row["result"] else ():
            try:
                over -= files.info(file["id"]).bytes
            except NotFound:
                continue


def _forget(table: Table, rows: Iterator[sqlite3.Row]) -> int:
    ids = [(row["id"],) for row in rows]
    with table.lock:
        for start in range(0, len(ids), 500):
            marks = ",".join("?" * len(ids[start : start + 500]))
            table.db.execute(f"DELETE FROM jobs WHERE id IN ({marks})", [i for (i,) in ids[start : start + 500]])
    return len(ids)


def _drop_unnamed(table: Table, files: Files) -> None:
    old = files.older_than(GRACE)  # looked up first: what is named meanwhile is younger, or was named already
    named = {found for text in _texts(table) for found in _ID.findall(text)}
    for file_id in old - named:
        files.forget(file_id)


def _texts(table: Table) -> Iterator[str]:
    """Every text that may name a file."""
    queries = ["SELECT job FROM jobs", "SELECT result FROM jobs WHERE result IS NOT NULL"]
    if _has_batches(table):
        queries += ["SELECT cells FROM batch_rows", "SELECT shared FROM batches", "SELECT about FROM batches"]
    for query in queries:
        with table.lock:
            rows = table.db.execute(query).fetchall()
        yield from (row[0] for row in rows)
