"""Which of an owner's jobs are looked for: by tool, words, day and state, a page at a time; changes no job."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.table import Table

Show = Literal["all", "starred", "single", "batch", "going", "failed"]

_INDEX = """
CREATE INDEX IF NOT EXISTS jobs_by_tool ON jobs (owner, json_extract(job, '$.tool'), seq);
CREATE INDEX IF NOT EXISTS jobs_by_time ON jobs (owner, created);
"""
# What was cancelled has nothing to show, and what a page orders for its own use is nobody's picture.
_SHOWN = "NOT draft AND NOT COALESCE(json_extract(job, '$.helper'), 0)"
_STATES: dict[Show, str] = {
    "all": "status != 'cancelled'",
    "starred": "starred",
    "single": "status != 'cancelled' AND NOT batch",
    "batch": "status != 'cancelled' AND batch",
    "going": "status IN ('queued', 'running')",
    "failed": "status = 'failed'",
}


@dataclass(frozen=True)
class Wanted:
    """All words of `text` must be said by the job's settings; times are Unix seconds, `until` not included."""

    text: str = ""
    tool: str = ""
    since: float = 0.0
    until: float = float("inf")
    show: Show = "all"


class Finder:
    """Looks in the queue's own table, under its lock."""

    def __init__(self, table: Table) -> None:
        self._table = table
        with table.lock:
            table.db.create_function("folded", 1, str.casefold, deterministic=True)
            table.db.create_function("said", 1, said, deterministic=True)
            table.db.executescript(_INDEX)

    def page(self, owner: str, wanted: Wanted, start: int = 0, count: int = 24) -> tuple[list[str], int]:
        """Ids of the owner's jobs number `start` and on, newest first, and how many there are in all."""
        where, values = _where(owner, wanted)
        with self._table.lock:
            total = self._table.db.execute(f"SELECT COUNT(*) FROM jobs WHERE {where}", values).fetchone()[0]
            rows = self._table.db.execute(
                f"SELECT id FROM jobs WHERE {where} ORDER BY seq DESC LIMIT ? OFFSET ?", (*values, count, start)
            ).fetchall()
        return [row["id"] for row in rows], int(total)


def _where(owner: str, wanted: Wanted) -> tuple[str, list[object]]:
    rules, values = [f"owner = ? AND {_SHOWN}", _STATES[wanted.show]], [owner]
    if wanted.tool:
        rules.append("json_extract(job, '$.tool') = ?")
        values.append(wanted.tool)
    if wanted.since or wanted.until != float("inf"):
        rules.append("created >= ? AND created < ?")
        values += [wanted.since, wanted.until]  # pyright: ignore[reportArgumentType]
    for word in wanted.text.casefold().split():
        # The whole text first, since that is quick; then only what was said, without the names of fields.
        rules.append("instr(folded(job), ?) AND instr(said(job), ?)")
        values += [word, word]
    return " AND ".join(f"({rule})" for rule in rules), list(values)


def said(job: str) -> str:
    """What a job's settings say, folded: its tool, words, choices, seed and id; no names of fields, no pictures."""
    data: dict[str, Any] = json.loads(job)
    words = [data["tool"], data["id"], str(data["seed"]), *map(str, data["params"].values())]
    return "\n".join(word for word in words if not word.startswith("file-")).casefold()
