"""Pagination of every list in the API: `limit`, `after`, `first_id`, `last_id`, `has_more`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Protocol, TypeAlias, TypeVar

from fastapi import Query

from pipelines.core.errors import NotFound

LimitQuery: TypeAlias = Annotated[int, Query(ge=1, le=100, description="How many.")]
AfterQuery: TypeAlias = Annotated[str | None, Query(max_length=64, description="The last id of the page before.")]


def build_list_page(rows: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    """Build a page from rows that were read up to `limit` + 1, so that one more row shows that there are more."""
    data = rows[:limit]
    ids = [row["id"] for row in data]
    return {
        "object": "list",
        "data": data,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": len(rows) > limit,
    }


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


RowT = TypeVar("RowT", bound=_HasId)


def paginate_list(
    rows: Sequence[RowT], to_object: Callable[[RowT], dict[str, Any]], limit: int, after: str | None
) -> dict[str, Any]:
    """Build a page of a list that was read whole. Raises `NotFound` for an id `after` that is not in it."""
    if after is not None:
        ids = [row.id for row in rows]
        if after not in ids:
            raise NotFound("There is no such row to go on after.")
        rows = rows[ids.index(after) + 1 :]
    return build_list_page([to_object(row) for row in rows[: limit + 1]], limit)
