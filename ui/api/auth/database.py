"""What the doors must remember in one database: keys, usage, repeated calls, links; knows none of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipelines.storage.connect import open_database
from pipelines.storage.database import Row


class Ledger:
    """One connection under one lock; as a file readable by its owner alone. Safe beside other processes."""

    def __init__(self, root: Path, database: str = "") -> None:
        path = root / "keys.sqlite3"
        self._db = open_database(path, database)
        self.lock = self._db.lock
        if not self._db.is_shared:
            path.chmod(0o600)

    def table(self, schema: str, name: str, later: Mapping[str, str] | None = None) -> None:
        """Make a table where there is none; `later` are columns that came after its first release."""
        self._db.create_schema(schema)
        self._db.widen(name, later or {})

    def rows(self, query: str, *values: object) -> list[Row]:
        """What a query finds."""
        return self._db.execute(query, values).fetchall()

    def change(self, statement: str, *values: object) -> int:
        """Carry a statement out; how many rows it changed."""
        return self._db.execute(statement, values).rowcount

    def note(self, statement: str, *values: object) -> int:
        """The same for what a power cut may forget, such as a count: nobody waits for the disk."""
        with self._db.relaxed_durability():
            return self.change(statement, *values)

    def close(self) -> None:
        """Close it; closing twice is once."""
        self._db.close()
