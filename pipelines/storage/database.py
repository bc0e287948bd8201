"""The database interface that SQLite and Postgres implement.

Each SQL statement is written once, in the dialect that both understand: `?` for values, integers for booleans,
`CAST(? AS TEXT)` where a value may be NULL. Only schemas are translated.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol


class Row(Protocol):
    """The values of a row, by column name or by index."""

    def __getitem__(self, key: Any, /) -> Any: ...

    def keys(self) -> Iterable[str]: ...


UNAVAILABLE_MESSAGE = "The studio's database does not answer. Nothing was lost; please try again in a moment."


class DatabaseUnavailable(Exception):
    """The database cannot be used now, and another try may succeed. `full`: its disk is full."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


class QueryResult:
    """The rows that a statement returned, and the number of rows that it changed."""

    def __init__(self, rows: Sequence[Row], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount

    def fetchone(self) -> Row | None:
        """Return the first row, or None."""
        return self._rows[0] if self._rows else None

    def fetchall(self) -> list[Row]:
        """Return all rows."""
        return list(self._rows)


class Database(ABC):
    """One connection behind one lock, which may be held over several statements. Each statement commits by itself.

    It may be used from any thread and beside other processes. `is_shared`: other machines may change the same rows.
    """

    is_shared = False
    skip_locked = ""
    """The end of a subquery that selects one row to change, so that two processes never select the same."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._in_transaction = False

    @abstractmethod
    def execute(self, statement: str, values: Sequence[object] = ()) -> QueryResult:
        """Run one statement. Raises `DatabaseUnavailable`."""

    @abstractmethod
    def create_schema(self, statements: str) -> None:
        """Create tables and indexes that do not exist yet."""

    @abstractmethod
    def list_columns(self, table: str) -> set[str]:
        """Return the names of a table's columns; empty when there is no such table."""

    @abstractmethod
    def relaxed_durability(self) -> AbstractContextManager[None]:
        """Make changes that do not wait for the disk: a power cut may undo them, a killed process does not."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection; a second call does nothing."""

    @abstractmethod
    def _begin_transaction(self) -> None: ...

    @abstractmethod
    def _end_transaction(self, statement: str) -> None:
        """Run `COMMIT` or `ROLLBACK`."""

    def executemany(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement once for each row of values."""
        for row in rows:
            self.execute(statement, row)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all changes of the block or none; inside another transaction it is a part of that one."""
        with self.lock:
            if self._in_transaction:
                yield
                return
            self._begin_transaction()
            self._in_transaction, succeeded = True, False
            try:
                yield
                self._end_transaction("COMMIT")
                succeeded = True
            finally:
                if not succeeded:
                    self._end_transaction("ROLLBACK")
                self._in_transaction = False
