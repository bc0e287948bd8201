"""Database of authentication: keys, their usage, idempotency keys and share links."""

from __future__ import annotations

from pathlib import Path

from pipelines.storage.connect import open_database
from pipelines.storage.database import Row


class AuthDatabase:
    """One connection under one lock; a SQLite file is readable by its owner alone. Safe beside other processes."""

    def __init__(self, root: Path, database: str = "") -> None:
        path = root / "keys.sqlite3"
        self._db = open_database(path, database)
        self.lock = self._db.lock
        if not self._db.is_shared:
            path.chmod(0o600)

    def create_table(self, schema: str) -> None:
        """Create a table, unless it exists."""
        self._db.create_schema(schema)

    def query_rows(self, query: str, *values: object) -> list[Row]:
        """Run a query and return its rows."""
        return self._db.execute(query, values).fetchall()

    def execute(self, statement: str, *values: object) -> int:
        """Run a statement and return how many rows it changed."""
        return self._db.execute(statement, values).rowcount

    def execute_relaxed(self, statement: str, *values: object) -> int:
        """Run a statement without waiting for the disk; a power cut may undo it."""
        with self._db.relaxed_durability():
            return self.execute(statement, *values)

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._db.close()
