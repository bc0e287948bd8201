"""One SQLite file for what the doors must remember: keys, usage, repeated calls, links; knows none of them."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path


class Ledger:
    """One connection under one lock, readable by its owner alone. Safe from any thread and beside other processes."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        path = root / "keys.sqlite3"
        self.lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
        self._db.row_factory = sqlite3.Row
        weakref.finalize(self, self._db.close)  # whoever forgets to close leaves no file open
        path.chmod(0o600)
        self._db.execute("PRAGMA journal_mode=WAL")

    def table(self, schema: str, name: str, later: Mapping[str, str] | None = None) -> None:
        """Make a table where there is none; `later` are columns that came after its first release."""
        with self.lock:
            self._db.execute(schema)
            have = {row["name"] for row in self._db.execute(f"PRAGMA table_info({name})")}
            for column, kind in (later or {}).items():
                if column not in have:
                    self._db.execute(f"ALTER TABLE {name} ADD COLUMN {column} {kind}")

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """What a query finds."""
        with self.lock:
            return self._db.execute(query, values).fetchall()

    def change(self, statement: str, *values: object) -> int:
        """Carry a statement out; how many rows it changed."""
        with self.lock:
            return self._db.execute(statement, values).rowcount

    def note(self, statement: str, *values: object) -> int:
        """The same for what a power cut may forget, such as a count: nobody waits for the disk."""
        with self.lock:
            self._db.execute("PRAGMA synchronous=NORMAL")
            try:
                return self.change(statement, *values)
            finally:
                self._db.execute("PRAGMA synchronous=FULL")

    def close(self) -> None:
        """Close the file; closing twice is once."""
        with self.lock:
            self._db.close()
