"""Rows in one SQLite file, or in a Postgres database that several studios share; knows no table of theirs.

Statements are written once, in what both understand: `?` for values, whole numbers for yes and no, `CAST(? AS TEXT)`
where a value may be NULL. Only schemas are translated.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol


class Row(Protocol):
    """Values by name or by number."""

    def __getitem__(self, key: Any, /) -> Any: ...

    def keys(self) -> Iterable[str]: ...


GONE = "The studio's database does not answer. Nothing was lost; please try again in a moment."


class Unwritable(Exception):
    """Rows can be neither written nor read just now: another try may go well. `full`: the disk is."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


class Found:
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

    shared = False
    skip_locked = ""
    """Ends a subquery that picks one row to change, so that two processes never pick the same."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._in_whole = False

    @abstractmethod
    def execute(self, statement: str, values: Sequence[object] = ()) -> Found:
        """Carry one statement out. Raises `Unwritable`."""

    @abstractmethod
    def schema(self, statements: str) -> None:
        """Make tables and indexes, where there are none."""

    @abstractmethod
    def columns(self, table: str) -> set[str]:
        """The names of a table's columns; empty where there is no such table."""

    @abstractmethod
    def lazily(self) -> AbstractContextManager[None]:
        """Changes that a power cut, not a killed process, may undo: nobody waits for a disk."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection; closing twice is once."""

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _end(self, statement: str) -> None:
        """`COMMIT` or `ROLLBACK`."""

    def executemany(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """The same statement for every row."""
        for row in rows:
            self.execute(statement, row)

    def widen(self, table: str, columns: Mapping[str, str]) -> set[str]:
        """Add columns that came after a table's first release; which those were."""
        fresh = set(columns) - self.columns(table)
        for name, kind in columns.items():
            if name in fresh:
                self.schema(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
        return fresh

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Changes of which all are made or none; within another one, part of it."""
        with self.lock:
            if self._in_whole:
                yield
                return
            self._begin()
            self._in_whole, going_well = True, False
            try:
                yield
                self._end("COMMIT")
                going_well = True
            finally:
                if not going_well:
                    self._end("ROLLBACK")
                self._in_whole = False


class SQLite(Database):
    """One file of one machine. Readable by whom the folder lets; times out after 30 s behind another process."""

    def __init__(self, path: Path, *, reading: bool = False) -> None:
        super().__init__()
        if not reading:
            path.parent.mkdir(parents=True, exist_ok=True)
        name = f"{path.absolute().as_uri()}?mode={'ro' if reading else 'rwc'}"
        self._db = sqlite3.connect(name, uri=True, check_same_thread=False, isolation_level=None, timeout=30)
        self._db.row_factory = sqlite3.Row
        weakref.finalize(self, self._db.close)  # whoever forgets to close leaves no file open
        if not reading:
            self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")

    def execute(self, statement: str, values: Sequence[object] = ()) -> Found:
        """Carry one statement out. Raises `Unwritable`."""
        with self.lock, _told():
            cursor = self._db.execute(statement, values)
            rows = cursor.fetchall()  # before rowcount, which is not known until `RETURNING` has said all
            return Found(rows, cursor.rowcount)

    def executemany(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """The same statement for every row."""
        with self.lock, _told():
            self._db.executemany(statement, rows)

    def schema(self, statements: str) -> None:
        """Make tables and indexes, where there are none."""
        with self.lock, _told():
            self._db.executescript(statements)

    def columns(self, table: str) -> set[str]:
        """The names of a table's columns; empty where there is no such table."""
        return {row["name"] for row in self.execute(f"PRAGMA table_info({table})").fetchall()}

    @contextmanager
    def lazily(self) -> Iterator[None]:
        """Changes that a power cut, not a killed process, may undo: nobody waits for a disk."""
        with self.lock:
            self._db.execute("PRAGMA synchronous=NORMAL")
            try:
                yield
            finally:
                self._db.execute("PRAGMA synchronous=FULL")

    def close(self) -> None:
        """Close the file; closing twice is once."""
        with self.lock:
            self._db.close()

    def _begin(self) -> None:
        self.execute("BEGIN IMMEDIATE")

    def _end(self, statement: str) -> None:
        if self._db.in_transaction:  # a full disk rolls back by itself
            self.execute(statement)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Unwritable(str(error), full="disk is full" in str(error)) from error


def opened(path: Path, url: str = "", *, reading: bool = False) -> Database:
    """The rows in the file at `path`, or in the Postgres database at `url` where one is named.

    `reading`: the file is there, and nothing in it is changed.
    """
    if not url:
        return SQLite(path, reading=reading)
    from pipelines.storage.postgres import Postgres

    return Postgres(url)
