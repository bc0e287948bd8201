"""Which of an owner's jobs are looked for: by tool, words, day and state, a page at a time; changes no job."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pipelines.jobs.table import JobTable

StateFilter = Literal["all", "starred", "single", "batch", "going", "failed"]

_LIKE_WILDCARDS, _LIKE_ESCAPE = re.compile(r"[\\%_]"), r"\\\g<0>"
# What was cancelled has nothing to show, and what a page orders for its own use is nobody's picture.
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
    """All words of `text` must be said by the job's settings; times are Unix seconds, `until` not included."""

    text: str = ""
    tool: str = ""
    since: float = 0.0
    until: float = float("inf")
    state: StateFilter = "all"


class JobSearch:
    """Looks in the queue's own table, under its lock."""

    def __init__(self, table: JobTable) -> None:
        self._table = table

    def find_page(self, owner: str, wanted: JobFilter, start: int = 0, count: int = 24) -> tuple[list[str], int]:
        """Ids of the owner's jobs number `start` and on, newest first, and how many there are in all."""
        where, values = _build_where(owner, wanted)
        with self._table.lock:
            total = self._table.db.execute(f"SELECT COUNT(*) FROM jobs WHERE {where}", values).fetchall()[0][0]
            rows = self._table.db.execute(
                f"SELECT id FROM jobs WHERE {where} ORDER BY seq DESC LIMIT ? OFFSET ?", (*values, count, start)
            ).fetchall()
        return [row["id"] for row in rows], int(total)


def _build_where(owner: str, wanted: JobFilter) -> tuple[str, list[object]]:
    rules, values = [f"owner = ? AND {_LISTED_CLAUSE}", _STATE_CLAUSES[wanted.state]], [owner]
    if wanted.tool:
        rules.append("tool = ?")
        values.append(wanted.tool)
    if wanted.since or wanted.until != float("inf"):
        rules.append("created >= ? AND created < ?")
        values += [wanted.since, wanted.until]  # pyright: ignore[reportArgumentType]
    for word in wanted.text.casefold().split():
        rules.append(r"said LIKE ? ESCAPE '\'")
        values.append(f"%{_LIKE_WILDCARDS.sub(_LIKE_ESCAPE, word)}%")
    return " AND ".join(f"({rule})" for rule in rules), list(values)
