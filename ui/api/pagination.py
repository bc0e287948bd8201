"""Lists page by page, the same everywhere: `limit`, `after`, `first_id`, `last_id`, `has_more`; knows no row."""

from __future__ import annotations

from typing import Any

from fastapi import Query

from pipelines.core.errors import NotFound

LIMIT = Query(ge=1, le=100, description="How many.")
AFTER = Query(max_length=64, description="The last id of the page before.")


def listed(found: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    """A page of `found`, which is one longer than `limit` where there is more."""
    data = found[:limit]
    ids = [row["id"] for row in data]
    return {
        "object": "list",
        "data": data,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": len(found) > limit,
    }


def page_of(rows: list[dict[str, Any]], limit: int, after: str | None) -> dict[str, Any]:
    """A page of a list that is short enough to be read whole. Raises `NotFound` for an id that is not in it."""
    if after is None:
        return listed(rows[: limit + 1], limit)
    place = next((n for n, row in enumerate(rows, 1) if row["id"] == after), None)
    if place is None:
        raise NotFound("There is no such row to go on after.")
    return listed(rows[place : place + limit + 1], limit)
