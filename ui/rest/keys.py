"""API keys: made, shown once, kept as hashes, verified, revoked; knows neither HTTP nor what a key opens."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path

PREFIX = "sk-dbx-"
_SHAPE = re.compile(r"sk-dbx-([0-9a-f]{12})([0-9a-f]{48})", re.ASCII)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS api_keys (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, created REAL NOT NULL, revoked REAL
)
"""


@dataclass(frozen=True)
class Key:
    """A key as it is kept: without its secret. `revoked` is a time stamp or None."""

    id: str
    name: str
    created: float
    revoked: float | None

    @property
    def owner(self) -> str:
        """Whose jobs and files these are."""
        return f"key:{self.id}"


class Keys:
    """One SQLite table in the data folder, so that `key new` works while the studio runs. Safe from any thread."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        path = root / "keys.sqlite3"
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        path.chmod(0o600)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(_SCHEMA)

    def new(self, name: str) -> str:
        """Make a key and return it. This is the only time its secret is seen."""
        key_id, secret = secrets.token_hex(6), secrets.token_hex(24)
        text = f"{PREFIX}{key_id}{secret}"
        with self._lock:
            self._db.execute("INSERT INTO api_keys VALUES (?, ?, ?, ?, NULL)", (key_id, name, _hash(text), time.time()))
        return text

    def verify(self, text: str) -> Key | None:
        """The key that `text` is, or None when it is none of ours or was revoked."""
        found = _SHAPE.fullmatch(text)
        if found is None:
            return None
        with self._lock:
            row = self._db.execute("SELECT * FROM api_keys WHERE id = ?", (found[1],)).fetchone()
        # The hash is compared in constant time; the id before it is no secret.
        known = hmac.compare_digest(row[2] if row else "", _hash(text))
        return Key(row[0], row[1], row[3], row[4]) if known and row[4] is None else None

    def list(self) -> list[Key]:
        """All keys, oldest first, revoked ones too."""
        with self._lock:
            rows = self._db.execute("SELECT id, name, created, revoked FROM api_keys ORDER BY created").fetchall()
        return [Key(*row) for row in rows]

    def revoke(self, key_id: str) -> bool:
        """Close a key for good. False when there is none with this id, or it was closed already."""
        with self._lock:
            done = self._db.execute(
                "UPDATE api_keys SET revoked = ? WHERE id = ? AND revoked IS NULL", (time.time(), key_id)
            )
        return done.rowcount > 0

    def close(self) -> None:
        """Close the table."""
        with self._lock:
            self._db.close()


def _hash(text: str) -> str:
    # A plain hash will do: the secret is 192 random bits, so nothing can be guessed that a slow hash would slow down.
    return hashlib.sha256(text.encode()).hexdigest()
