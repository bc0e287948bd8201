"""API keys with scopes and limits, stored as hashes, and how much each key was used."""

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
from ui.api.auth.database import AuthDatabase

KEY_PREFIX = "sk-dbx-"
KeyScope: TypeAlias = Literal["read", "create", "admin"]
SCOPES: tuple[KeyScope, ...] = get_args(KeyScope)
"""`read` reads the owner's jobs and files, `create` creates and cancels them, `admin` manages keys, reads metrics."""
DEFAULT_SCOPES: tuple[KeyScope, ...] = ("read", "create")
NAME_MAX_LENGTH = 60
USE_RECORD_SECONDS = 30.0
"""Seconds between two writes of a key's last use, so that a busy key does not keep the disk busy."""

_KEY_PATTERN = re.compile(r"sk-dbx-([0-9a-f]{12})([0-9a-f]{48})", re.ASCII)
_KEYS_SCHEMA = """
CREATE TABLE IF NOT EXISTS api_keys (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, created REAL NOT NULL, revoked REAL,
  scopes TEXT NOT NULL, per_minute INTEGER, per_day INTEGER, at_once INTEGER, used REAL
)
"""
_USAGE_SCHEMA = """
CREATE TABLE IF NOT EXISTS key_usage (
  key_id TEXT NOT NULL, tool TEXT NOT NULL, day TEXT NOT NULL, jobs INTEGER NOT NULL, pictures INTEGER NOT NULL,
  PRIMARY KEY (key_id, tool, day)
)
"""


@dataclass(frozen=True)
class KeyLimits:
    """Limits of a key: requests a minute, pictures a day (UTC), jobs at once. None is no limit."""

    per_minute: int | None = None
    per_day: int | None = None
    at_once: int | None = None


@dataclass(frozen=True)
class ApiKey:
    """A key as it is stored, without its secret. `revoked` and `used` are Unix times or None."""

    id: str
    name: str
    created: float
    revoked: float | None
    scopes: tuple[KeyScope, ...] = DEFAULT_SCOPES
    limits: KeyLimits = KeyLimits()
    used: float | None = None

    @property
    def owner(self) -> str:
        """Owner of the jobs and files that are made with this key."""
        return f"key:{self.id}"


@dataclass(frozen=True)
class ToolUsage:
    """How much a key used one tool."""

    tool: str
    jobs: int
    pictures: int


class KeyStore:
    """Keys and their usage in the auth database; `key new` works while the studio runs. Safe from any thread."""

    def __init__(self, root: Path, database: str = "") -> None:
        self.database = AuthDatabase(root, database)
        self.database.create_table(_KEYS_SCHEMA)
        self.database.create_table(_USAGE_SCHEMA)

    def create_key(
        self, name: str, scopes: Iterable[KeyScope] = DEFAULT_SCOPES, limits: KeyLimits = KeyLimits()
    ) -> str:
        """Create a key and return its text, which cannot be read again later."""
        key_id, secret = secrets.token_hex(6), secrets.token_hex(24)
        text = f"{KEY_PREFIX}{key_id}{secret}"
        self.database.execute(
            "INSERT INTO api_keys (id, name, sha256, created, scopes, per_minute, per_day, at_once) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            key_id,
            name,
            _hash_key(text),
            time.time(),
            _join_scopes(scopes),
            limits.per_minute,
            limits.per_day,
            limits.at_once,
        )
        return text

    def verify_key(self, text: str) -> ApiKey | None:
        """Find the key that `text` is; None when it is unknown or was revoked."""
        found = _KEY_PATTERN.fullmatch(text)
        if found is None:
            return None
        rows = self.database.query_rows("SELECT * FROM api_keys WHERE id = ?", found[1])
        # The hash is compared in constant time; the id is no secret.
        known = hmac.compare_digest(rows[0]["sha256"] if rows else "", _hash_key(text))
        return _row_to_key(rows[0]) if known and rows[0]["revoked"] is None else None

    def get_key(self, key_id: str) -> ApiKey | None:
        """Find a key by its id, revoked or not; None when there is none."""
        rows = self.database.query_rows("SELECT * FROM api_keys WHERE id = ?", key_id)
        return _row_to_key(rows[0]) if rows else None

    def find_by_owner(self, owner: str) -> ApiKey | None:
        """Find the working key of an owner; None where the owner is no key or the key was revoked."""
        key = self.get_key(owner.removeprefix("key:")) if owner.startswith("key:") else None
        return key if key is not None and key.revoked is None else None

    def is_owner_valid(self, owner: str) -> bool:
        """Whether this owner is no key, or a key that was not revoked."""
        return not owner.startswith("key:") or self.find_by_owner(owner) is not None

    def list_keys(self) -> list[ApiKey]:
        """List all keys, oldest first, revoked ones too."""
        return [_row_to_key(row) for row in self.database.query_rows("SELECT * FROM api_keys ORDER BY created, id")]

    def change_key(self, key_id: str, name: str, scopes: Iterable[KeyScope], limits: KeyLimits) -> bool:
        """Change name, scopes and limits of a working key; False when there is none with this id."""
        return bool(
            self.database.execute(
                "UPDATE api_keys SET name = ?, scopes = ?, per_minute = ?, per_day = ?, at_once = ? "
                "WHERE id = ? AND revoked IS NULL",
                name,
                _join_scopes(scopes),
                limits.per_minute,
                limits.per_day,
                limits.at_once,
                key_id,
            )
        )

    def revoke_key(self, key_id: str) -> bool:
        """Revoke a key for good; False when there is none with this id, or it was revoked already."""
        return bool(
            self.database.execute(
                "UPDATE api_keys SET revoked = ? WHERE id = ? AND revoked IS NULL", time.time(), key_id
            )
        )

    # ------------------------------------------------------------ usage

    def record_use(self, key: ApiKey) -> None:
        """Record that the key was used now; a full disk is ignored, so that reading still works."""
        now = time.time()
        if key.used is None or not 0 <= now - key.used < USE_RECORD_SECONDS:
            with suppress(DatabaseUnavailable):
                self.database.execute_relaxed("UPDATE api_keys SET used = ? WHERE id = ?", now, key.id)

    def count_job(self, key_id: str, tool: str, pictures: int, day: str) -> None:
        """Add a job of `pictures` pictures to the usage of a UTC day such as 2026-11-25."""
        self.database.execute_relaxed(
            "INSERT INTO key_usage VALUES (?, ?, ?, 1, ?) ON CONFLICT (key_id, tool, day) "
            "DO UPDATE SET jobs = key_usage.jobs + 1, pictures = key_usage.pictures + excluded.pictures",
            key_id,
            tool,
            day,
            pictures,
        )

    def count_pictures(self, key_id: str, day: str) -> int:
        """Count the pictures that a key asked for on a day."""
        query = "SELECT COALESCE(SUM(pictures), 0) AS n FROM key_usage WHERE key_id = ? AND day = ?"
        return int(self.database.query_rows(query, key_id, day)[0]["n"])

    def list_usage(self, key_id: str) -> list[ToolUsage]:
        """List how much a key used each tool since it was created, most pictures first."""
        query = (
            "SELECT tool, SUM(jobs) AS jobs, SUM(pictures) AS pictures FROM key_usage WHERE key_id = ? "
            "GROUP BY tool ORDER BY pictures DESC, tool"
        )
        return [ToolUsage(row["tool"], row["jobs"], row["pictures"]) for row in self.database.query_rows(query, key_id)]

    def close(self) -> None:
        """Close the database."""
        self.database.close()


def parse_scopes(words: Iterable[str]) -> tuple[KeyScope, ...]:
    """Pick the scopes among these words, in the order of `SCOPES`; unknown words are ignored."""
    given = set(words)
    return tuple(scope for scope in SCOPES if scope in given)


def _join_scopes(scopes: Iterable[KeyScope]) -> str:
    return ",".join(parse_scopes(scopes))


def _row_to_key(row: Row) -> ApiKey:
    limits = KeyLimits(row["per_minute"], row["per_day"], row["at_once"])
    scopes = parse_scopes(row["scopes"].split(","))
    return ApiKey(row["id"], row["name"], row["created"], row["revoked"], scopes, limits, row["used"])


def _hash_key(text: str) -> str:
    # A fast hash is enough: the secret is 192 random bits, which nobody can guess.
    return hashlib.sha256(text.encode()).hexdigest()
