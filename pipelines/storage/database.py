"""Rows in one SQLite file, or in a Postgres database that several studios share; knows no table of theirs.

Statements are written once, in what both understand: `?` for values, whole numbers for yes and no, `CAST(? AS TEXT)`
where a value may be NULL. Only schemas are translated.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol


class Row(Protocol):
    """Values by name or by number."""

    def __getitem__(self, key: Any, /) -> Any: ...

    def keys(self) -> Iterable[str]: ...


UNAVAILABLE_MESSAGE = "The studio's database does not answer. Nothing was lost; please try again in a moment."


class DatabaseUnavailable(Exception):
    """Rows can be neither written nor read just now: another try may go well. `full`: the disk is."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


class QueryResult:
    """What a statement found, and how many rows it changed."""

    def __init__(self, rows: Sequence[Row], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount

    def fetchone(self) -> Row | None:
        """The first row."""
        return self._rows[0] if self._rows else None

    def fetchall(self) -> list[Row]:
        """Every row."""
        return list(self._rows)


class Database(ABC):
    """One connection under one lock, which may be held over several statements. Each commits by itself.

    Safe from any thread and beside other processes. `shared`: other machines may work on the same rows.
    """

    is_shared = False
    skip_locked = ""
    """Ends a subquery that picks one row to change, so that two processes never pick the same."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._in_transaction = False

    @abstractmethod
    def execute(self, statement: str, values: Sequence[object] = ()) -> QueryResult:
        """Carry one statement out. Raises `Unwritable`."""

    @abstractmethod
    def create_schema(self, statements: str) -> None:
        """Make tables and indexes, where there are none."""

    @abstractmethod
    def list_columns(self, table: str) -> set[str]:
        """The names of a table's columns; empty where there is no such table."""

    @abstractmethod
    def relaxed_durability(self) -> AbstractContextManager[None]:
        """Changes that a power cut, not a killed process, may undo: nobody waits for a disk."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection; closing twice is once."""

    @abstractmethod
    def _begin_transaction(self) -> None: ...

    @abstractmethod
    def _end_transaction(self, statement: str) -> None:
        """`COMMIT` or `ROLLBACK`."""

    def executemany(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """The same statement for every row."""
        for row in rows:
            self.execute(statement, row)

    def widen(self, table: str, columns: Mapping[str, str]) -> set[str]:
        """Add columns that came after a table's first release; which those were."""
        fresh = set(columns) - self.list_columns(table)
        for name, kind in columns.items():
            if name in fresh:
                self.create_schema(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
        return fresh

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Changes of which all are made or none; within another one, part of it."""
        with self.lock:
            if self._in_transaction:
                yield
                return
            self._begin_transaction()
            self._in_transaction, going_well = True, False
            try:
                yield
                self._end_transaction("COMMIT")
                going_well = True
            finally:
                if not going_well:
                    self._end_transaction("ROLLBACK")
                self._in_transaction = False
