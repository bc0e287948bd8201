"""Search in an owner's jobs by tool, words, date and state, with pagination."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, and_, func, select

from pipelines.jobs.table import IS_LISTED, JobTable
from pipelines.storage.schema import JOBS

StateFilter = Literal["all", "starred", "single", "batch", "going", "failed"]

_NOT_CANCELLED = JOBS.c.status != "cancelled"
_STATE_CLAUSES: dict[StateFilter, ColumnElement[bool]] = {
    "all": _NOT_CANCELLED,
    "starred": JOBS.c.starred == 1,
    "single": and_(_NOT_CANCELLED, JOBS.c.batch == 0),
    "batch": and_(_NOT_CANCELLED, JOBS.c.batch == 1),
    "going": JOBS.c.status.in_(("queued", "running")),
    "failed": JOBS.c.status == "failed",
}


@dataclass(frozen=True)
class JobFilter:
    """The job's settings must contain all words of `text`. Times are Unix seconds; `until` is not included."""

    text: str = ""
    tool: str = ""
    since: float = 0.0
    until: float = float("inf")
    state: StateFilter = "all"


def find_page(
    table: JobTable, owner: str, job_filter: JobFilter, start: int = 0, count: int = 24
) -> tuple[list[str], int]:
    """Return the ids of `count` matching jobs from number `start`, newest first, and the total number."""
    matching = select(JOBS.c.id).where(*_filter_clauses(owner, job_filter))
    with table.lock:
        (total,) = table.db.fetch_rows(select(func.count()).select_from(matching.subquery()))
        rows = table.db.fetch_rows(matching.order_by(JOBS.c.seq.desc()).limit(count).offset(start))
    return [row.id for row in rows], total[0]


def _filter_clauses(owner: str, job_filter: JobFilter) -> Iterator[ColumnElement[bool]]:
    yield from (JOBS.c.owner == owner, IS_LISTED, _STATE_CLAUSES[job_filter.state])
    if job_filter.tool:
        yield JOBS.c.tool == job_filter.tool
    if job_filter.since or job_filter.until != float("inf"):
        yield JOBS.c.created >= job_filter.since
        yield JOBS.c.created < job_filter.until
    for word in job_filter.text.casefold().split():
        yield JOBS.c.said.contains(word, autoescape=True)
