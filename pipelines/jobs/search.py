"""Search in an owner's jobs by tool, words, date and state, with pagination."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pipelines.jobs.table import JobTable

StateFilter = Literal["all", "starred", "single", "batch", "going", "failed"]

_LIKE_WILDCARDS, _LIKE_ESCAPE = re.compile(r"[\\%_]"), r"\\\g<0>"
# Drafts and jobs that the page made for itself are in no list.
_LISTED_CLAUSE = "draft = 0 AND helper = 0"
_STATE_CLAUSES: dict[StateFilter, str] = {
    "all": "status != 'cancelled'",
    "starred": "starred = 1",
    "single": "status != 'cancelled' AND batch = 0",
    "batch": "status != 'cancelled' AND batch = 1",
    "going": "status IN ('queued', 'running')",
    "failed": "status = 'failed'",
}


@dataclass(frozen=True)
class JobFilter:
    """The job's settings must contain all words of `text`. Times are Unix seconds; `until` is not included."""

    text: str = ""
    tool: str = ""
    since: float = 0.0
    until: float = float("inf")
    state: StateFilter = "all"


class JobSearch:
    """Searches the job table."""

    def __init__(self, table: JobTable) -> None:
        self._table = table

    def find_page(self, owner: str, job_filter: JobFilter, start: int = 0, count: int = 24) -> tuple[list[str], int]:
        """Return the ids of `count` matching jobs from number `start`, newest first, and the total number."""
        where, values = _build_where(owner, job_filter)
        with self._table.lock:
            total = self._table.db.execute(f"SELECT COUNT(*) FROM jobs WHERE {where}", values).fetchall()[0][0]
            rows = self._table.db.execute(
                f"SELECT id FROM jobs WHERE {where} ORDER BY seq DESC LIMIT ? OFFSET ?", (*values, count, start)
            ).fetchall()
        return [row["id"] for row in rows], int(total)


def _build_where(owner: str, job_filter: JobFilter) -> tuple[str, list[object]]:
    clauses = [f"owner = ? AND {_LISTED_CLAUSE}", _STATE_CLAUSES[job_filter.state]]
    values: list[object] = [owner]
    if job_filter.tool:
        clauses.append("tool = ?")
        values.append(job_filter.tool)
    if job_filter.since or job_filter.until != float("inf"):
        clauses.append("created >= ? AND created < ?")
        values += [job_filter.since, job_filter.until]
    for word in job_filter.text.casefold().split():
        clauses.append(r"said LIKE ? ESCAPE '\'")
        values.append(f"%{_LIKE_WILDCARDS.sub(_LIKE_ESCAPE, word)}%")
    return " AND ".join(f"({clause})" for clause in clauses), values
