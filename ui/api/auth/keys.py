"""API keys: made, shown once, kept as hashes, scoped, bounded, counted, revoked; knows no HTTP and no job."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from pipelines.storage.database import DatabaseUnavailable, Row
from ui.api.auth.database import Ledger

PREFIX = "sk-dbx-"
Scope: TypeAlias = Literal["read", "create", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""`read` looks at one's own jobs and files, `create` makes and stops them, `admin` makes keys and reads figures."""
USUAL: tuple[Scope, ...] = ("read", "create")
NAME_LENGTH = 60
TOUCH_SECONDS = 30.0
"""Last use is written down no oftener than this, so that a busy key is not a busy disk."""

_SHAPE = re.compile(r"sk-dbx-([0-9a-f]{12})([0-9a-f]{48})", re.ASCII)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS api_keys (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, created REAL NOT NULL, revoked REAL
)
"""
_LATER = {
    "scopes": "TEXT NOT NULL DEFAULT 'read,create'",
    "per_minute": "INTEGER",
    "per_day": "INTEGER",
    "at_once": "INTEGER",
    "used": "REAL",
}
_USAGE = """
CREATE TABLE IF NOT EXISTS key_usage (
  key_id TEXT NOT NULL, tool TEXT NOT NULL, day TEXT NOT NULL, jobs INTEGER NOT NULL, pictures INTEGER NOT NULL,
  PRIMARY KEY (key_id, tool, day)
)
"""


@dataclass(frozen=True)
class Bounds:
    """What a key may at most: requests a minute, pictures a day (UTC), jobs at once. None is without end."""

    per_minute: int | None = None
    per_day: int | None = None
    at_once: int | None = None


@dataclass(frozen=True)
class Key:
    """A key as it is kept: without its secret. `revoked` and `used` are time stamps or None."""

    id: str
    name: str
    created: float
    revoked: float | None
    scopes: tuple[Scope, ...] = USUAL
    bounds: Bounds = Bounds()
    used: float | None = None

    @property
    def owner(self) -> str:
        """Whose jobs and files these are."""
        return f"key:{self.id}"


@dataclass(frozen=True)
class Used:
    """What a key made with one tool."""

    tool: str
    jobs: int
    pictures: int


class Keys:
    """Two tables in the data folder's ledger, so that `key new` works while the studio runs. Safe from any thread."""

    def __init__(self, root: Path, database: str = "") -> None:
        self.ledger = Ledger(root, database)
        self.ledger.table(_SCHEMA, "api_keys", _LATER)
        self.ledger.table(_USAGE, "key_usage")

    def new(self, name: str, scopes: Iterable[Scope] = USUAL, bounds: Bounds = Bounds()) -> str:
        """Make a key and return it. This is the only time its secret is seen."""
        key_id, secret = secrets.token_hex(6), secrets.token_hex(24)
        text = f"{PREFIX}{key_id}{secret}"
        self.ledger.change(
            "INSERT INTO api_keys (id, name, sha256, created, scopes, per_minute, per_day, at_once) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            key_id, name, _hash(text), time.time(), _joined(scopes), bounds.per_minute, bounds.per_day, bounds.at_once,
        )  # fmt: skip
        return text

    def verify(self, text: str) -> Key | None:
        """The key that `text` is, or None when it is none of ours or was revoked."""
        found = _SHAPE.fullmatch(text)
        if found is None:
            return None
        rows = self.ledger.rows("SELECT * FROM api_keys WHERE id = ?", found[1])
        # The hash is compared in constant time; the id before it is no secret.
        known = hmac.compare_digest(rows[0]["sha256"] if rows else "", _hash(text))
        return _key(rows[0]) if known and rows[0]["revoked"] is None else None

    def get(self, key_id: str) -> Key | None:
        """The key with this id, revoked or not; None when there is none."""
        rows = self.ledger.rows("SELECT * FROM api_keys WHERE id = ?", key_id)
        return _key(rows[0]) if rows else None

    def of(self, owner: str) -> Key | None:
        """The working key behind an owner's name, None where the owner is no key or the key was revoked."""
        key = self.get(owner.removeprefix("key:")) if owner.startswith("key:") else None
        return key if key is not None and key.revoked is None else None

    def stands(self, owner: str) -> bool:
        """Whether this owner is no key, or one that was not revoked."""
        return not owner.startswith("key:") or self.of(owner) is not None

    def list(self) -> list[Key]:
        """All keys, oldest first, revoked ones too."""
        return [_key(row) for row in self.ledger.rows("SELECT * FROM api_keys ORDER BY created, id")]

    def change(self, key_id: str, name: str, scopes: Iterable[Scope], bounds: Bounds) -> bool:
        """Name, scope and bound a working key anew; False when there is none with this id."""
        return bool(
            self.ledger.change(
                "UPDATE api_keys SET name = ?, scopes = ?, per_minute = ?, per_day = ?, at_once = ? "
                "WHERE id = ? AND revoked IS NULL",
                name, _joined(scopes), bounds.per_minute, bounds.per_day, bounds.at_once, key_id,
            )
        )  # fmt: skip

    def revoke(self, key_id: str) -> bool:
        """Close a key for good. False when there is none with this id, or it was closed already."""
        return bool(
            self.ledger.change("UPDATE api_keys SET revoked = ? WHERE id = ? AND revoked IS NULL", time.time(), key_id)
        )

    # ------------------------------------------------------------ what it was used for

    def touch(self, key: Key) -> None:
        """It was used just now; on a full disk that is not written down, so that whoever only looks still can."""
        now = time.time()
        if key.used is None or not 0 <= now - key.used < TOUCH_SECONDS:
            with suppress(DatabaseUnavailable):
                self.ledger.note("UPDATE api_keys SET used = ? WHERE id = ?", now, key.id)

    def count(self, key_id: str, tool: str, pictures: int, day: str) -> None:
        """One job of so many pictures more, on a UTC day such as 2026-11-25."""
        self.ledger.note(
            "INSERT INTO key_usage VALUES (?, ?, ?, 1, ?) ON CONFLICT (key_id, tool, day) "
            "DO UPDATE SET jobs = key_usage.jobs + 1, pictures = key_usage.pictures + excluded.pictures",
            key_id, tool, day, pictures,
        )  # fmt: skip

    def pictures(self, key_id: str, day: str) -> int:
        """How many pictures a key asked for on a day."""
        found = "SELECT COALESCE(SUM(pictures), 0) AS n FROM key_usage WHERE key_id = ? AND day = ?"
        return int(self.ledger.rows(found, key_id, day)[0]["n"])

    def usage(self, key_id: str) -> list[Used]:
        """What a key made since it exists, by tool, most first."""
        found = (
            "SELECT tool, SUM(jobs) AS jobs, SUM(pictures) AS pictures FROM key_usage WHERE key_id = ? "
            "GROUP BY tool ORDER BY pictures DESC, tool"
        )
        return [Used(row["tool"], row["jobs"], row["pictures"]) for row in self.ledger.rows(found, key_id)]

    def close(self) -> None:
        """Close the file."""
        self.ledger.close()


def scopes_of(words: Iterable[str]) -> tuple[Scope, ...]:
    """The scopes among these words, in their order; words that are none are left out."""
    said = set(words)
    return tuple(scope for scope in SCOPES if scope in said)


def _joined(scopes: Iterable[Scope]) -> str:
    return ",".join(scopes_of(scopes))


def _key(row: Row) -> Key:
    bounds = Bounds(row["per_minute"], row["per_day"], row["at_once"])
    scopes = scopes_of(row["scopes"].split(","))
    return Key(row["id"], row["name"], row["created"], row["revoked"], scopes, bounds, row["used"])


def _hash(text: str) -> str:
    # A plain hash will do: the secret is 192 random bits, so nothing can be guessed that a slow hash would slow down.
    return hashlib.sha256(text.encode()).hexdigest()
