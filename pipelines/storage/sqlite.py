"""The database interface on one SQLite file of this machine."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipelines.storage.database import Database, DatabaseUnavailable, QueryResult


class SqliteDatabase(Database):
    """One SQLite file. A statement waits up to 30 s for the lock of another process."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        super().__init__()
        if not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
        name = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        self._connection = sqlite3.connect(name, uri=True, check_same_thread=False, isolation_level=None, timeout=30)
        self._connection.row_factory = sqlite3.Row
        weakref.finalize(self, self._connection.close)  # closes the file where `close` was not called
        if not read_only:
            self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")

    def execute(self, statement: str, values: Sequence[object] = ()) -> QueryResult:
        """Run one statement. Raises `DatabaseUnavailable`."""
        with self.lock, _translate_errors():
            cursor = self._connection.execute(statement, values)
            rows = cursor.fetchall()  # before `rowcount`, which is only known once all returned rows were read
            return QueryResult(rows, cursor.rowcount)

    def executemany(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement once for each row of values."""
        with self.lock, _translate_errors():
            self._connection.executemany(statement, rows)

    def create_schema(self, statements: str) -> None:
        """Create tables and indexes that do not exist yet."""
        with self.lock, _translate_errors():
            self._connection.executescript(statements)

    def list_columns(self, table: str) -> set[str]:
        """Return the names of a table's columns; empty when there is no such table."""
        return {row["name"] for row in self.execute(f"PRAGMA table_info({table})").fetchall()}

    @contextmanager
    def relaxed_durability(self) -> Iterator[None]:
        """Make changes that do not wait for the disk: a power cut may undo them, a killed process does not."""
        with self.lock:
            self._connection.execute("PRAGMA synchronous=NORMAL")
            try:
                yield
            finally:
                self._connection.execute("PRAGMA synchronous=FULL")

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self.lock:
            self._connection.close()

    def _begin_transaction(self) -> None:
        self.execute("BEGIN IMMEDIATE")

    def _end_transaction(self, statement: str) -> None:
        if self._connection.in_transaction:  # a full disk rolls back by itself
            self.execute(statement)


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise DatabaseUnavailable(str(error), full="disk is full" in str(error)) from error
