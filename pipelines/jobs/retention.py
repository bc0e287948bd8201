"""Retention: deletes finished jobs by age, by total size or on request, then the files that nothing references."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    select,
    true,
    tuple_,
    update,
)

from pipelines.core.errors import NotFound
from pipelines.jobs.table import JobTable
from pipelines.storage.database import Database
from pipelines.storage.file_index import FileIndex
from pipelines.storage.schema import (
    BATCH_ROWS,
    BATCHES,
    JOBS,
    ROW_APPROVALS,
    ROW_REPLACEMENTS,
    SAVED_ITEMS,
    TEAM_MEMBERS,
    TEAMS,
)

log = logging.getLogger(__name__)

DAY_SECONDS = 24 * 3600.0  # seconds of a day
UNREFERENCED_GRACE_SECONDS = DAY_SECONDS
"""Seconds for which an unreferenced file is kept, since somebody may be about to use it."""
UNDO_SECONDS = 60.0
"""Seconds for which a job that its owner deleted on the page can be restored."""
_FILE_ID = re.compile(r"file-[0-9a-f]{40}")
_DELETE_JOB = delete(JOBS).where(JOBS.c.id == bindparam("job_id"))
_IS_UNFINISHED = JOBS.c.status.not_in(("done", "failed", "cancelled"))


@dataclass(frozen=True)
class RetentionPolicy:
    """The limits of age and total size, from `keep_days` and `keep_gb` of `pipelines/settings.py`; 0 means no limit."""

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
    _delete_ended_drafts(table)
    deleted = 0
    if policy.max_days:
        before = time.time() - policy.max_days * DAY_SECONDS
        deleted += _delete_units(table, _find_finished(table, before))
        _delete_teams(table, before)
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
        rows = [row for row in map(table.get_row, ids) if row is not None and row.owner == owner and row.finished]
        its_row = select(JOBS.c.batch_id, JOBS.c.batch_row).where(JOBS.c.id == bindparam("job_id"))
        is_its_row = tuple_(BATCH_ROWS.c.batch, BATCH_ROWS.c.row).in_(its_row)
        job_ids = [{"job_id": row.id} for row in rows]
        if job_ids:
            with table.db.transaction():
                table.db.execute(update(BATCH_ROWS).where(is_its_row).values(state="deleted", taken="{}"), job_ids)
                table.db.execute(_DELETE_JOB, job_ids)
    texts = (text for row in rows for text in (row.job, row.result or ""))
    file_ids = {file_id for text in texts for file_id in _FILE_ID.findall(text)}
    remove_unreferenced(table, files, owner, file_ids.difference(kept))
    return len(rows)


def remove_unreferenced(table: JobTable, files: FileIndex, owner: str, file_ids: Collection[str]) -> None:
    """Delete those of the owner's files that nothing of the owner names any more."""
    if file_ids:
        named = {file_id for text in _referencing_texts(table, owner) for file_id in _FILE_ID.findall(text)}
        for file_id in set(file_ids) - named:
            files.remove_owner(file_id, owner)


def delete_hidden(table: JobTable, files: FileIndex, seconds: float = UNDO_SECONDS) -> int:
    """Delete the jobs that their owners hid more than `seconds` ago; return how many."""
    is_due = and_(JOBS.c.helper > 1, JOBS.c.helper <= time.time() - seconds)
    rows = table.db.fetch_rows(select(JOBS.c.id, JOBS.c.owner).where(is_due))
    return sum(delete_jobs(table, files, row.owner, [row.id]) for row in rows)


def _find_finished(table: JobTable, before: float = float("inf")) -> Iterator[_DeletionUnit]:
    """Yield what may be deleted and ended before the Unix time `before`, oldest first."""
    is_going = ~exists().where(BATCHES.c.id == JOBS.c.batch_id, BATCHES.c.state.not_in(("done", "cancelled")))
    batch = select(BATCHES.c.id).where(BATCHES.c.id == JOBS.c.batch_id).scalar_subquery()
    unit = func.coalesce(batch, JOBS.c.id)
    query = (
        select(func.max(batch).label("batch"), unit.label("unit"))
        .where(JOBS.c.draft == 0, is_going)
        .group_by(unit)
        .having(func.count().filter(_IS_UNFINISHED) == 0, func.sum(JOBS.c.starred) == 0)
        .having(func.max(JOBS.c.finished) < before)
        .order_by(func.max(JOBS.c.finished))
    )
    for row in table.db.fetch_rows(query):
        yield _load_unit(table, row.batch, row.unit)


def _load_unit(table: JobTable, batch: str | None, key: str) -> _DeletionUnit:
    is_its = (JOBS.c.id if batch is None else JOBS.c.batch_id) == key
    rows = table.db.fetch_rows(select(JOBS.c.id, JOBS.c.result).where(JOBS.c.draft == 0, is_its))
    files = (file["id"] for row in rows if row.result for file in json.loads(row.result)["files"])
    return _DeletionUnit(tuple(row.id for row in rows), tuple(files), batch)


def _take_until_freed(units: Iterator[_DeletionUnit], files: FileIndex, excess_bytes: int) -> Iterator[_DeletionUnit]:
    """Yield units until their files free `excess_bytes`."""
    for unit in units:
        if excess_bytes <= 0:
            return
        yield unit
        for file_id in unit.files:
            with suppress(NotFound):
                excess_bytes -= files.get_info(file_id).bytes


def _delete_units(table: JobTable, units: Iterator[_DeletionUnit]) -> int:
    deleted = 0
    for unit in units:
        with table.db.transaction():
            table.db.execute(_DELETE_JOB, [{"job_id": job_id} for job_id in unit.ids])
            if unit.batch is not None:
                delete_batch(table.db, unit.batch)
        deleted += len(unit.ids)
    return deleted


def delete_batch(db: Database, batch_id: str) -> None:
    """Delete a batch and its rows, but not its jobs."""
    with db.transaction():
        for rows in (BATCH_ROWS, ROW_REPLACEMENTS, ROW_APPROVALS):
            db.execute(delete(rows).where(rows.c.batch == batch_id))
        db.execute(delete(BATCHES).where(BATCHES.c.id == batch_id))


def _delete_ended_drafts(table: JobTable) -> None:
    """Delete the drafts of the day before, which are in no list and would keep the photos that they were made of."""
    is_old = JOBS.c.finished < time.time() - UNREFERENCED_GRACE_SECONDS
    table.db.execute(delete(JOBS).where(JOBS.c.draft == 1, is_old))


def _delete_teams(table: JobTable, before: float) -> None:
    """Delete the teams that are older than the Unix time `before`; their photos are unreferenced then."""
    old = select(TEAMS.c.id).where(TEAMS.c.created < before)
    with table.db.transaction():
        table.db.execute(delete(TEAM_MEMBERS).where(TEAM_MEMBERS.c.team.in_(old)))
        table.db.execute(delete(TEAMS).where(TEAMS.c.created < before))


def _delete_unreferenced(table: JobTable, files: FileIndex) -> None:
    # Old files are listed before the references: a file that gets its first reference in between is not an old one.
    old = files.ids_older_than(UNREFERENCED_GRACE_SECONDS)
    referenced = {file_id for text in _referencing_texts(table) for file_id in _FILE_ID.findall(text)}
    for file_id in old - referenced:
        files.delete_file(file_id)


def _referencing_texts(table: JobTable, owner: str | None = None) -> Iterator[str]:
    """Yield every text of this owner, or of all owners, that may contain a file id."""
    own_batches = select(BATCHES.c.id).where(_is_owned(BATCHES, owner))
    queries = [
        *(select(JOBS.c[name]).where(_is_owned(JOBS, owner)) for name in ("job", "result")),
        *(select(BATCHES.c[name]).where(_is_owned(BATCHES, owner)) for name in ("shared", "about")),
        *(select(BATCH_ROWS.c[name]).where(BATCH_ROWS.c.batch.in_(own_batches)) for name in ("cells", "taken")),
        select(SAVED_ITEMS.c.value).where(_is_owned(SAVED_ITEMS, owner)),
        select(TEAM_MEMBERS.c.photo).where(_is_owned(TEAM_MEMBERS, owner)),
    ]
    for query in queries:
        yield from (row[0] for row in table.db.fetch_rows(query) if row[0] is not None)


def _is_owned(table: Table, owner: str | None) -> ColumnElement[bool]:
    return true() if owner is None else table.c.owner == owner
