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

from sqlalchemy import and_, bindparam, func, insert, select, update

from pipelines.storage.connect import open_database
from pipelines.storage.database import DatabaseUnavailable, Row
from pipelines.storage.schema import API_KEYS, KEY_TABLES, KEY_USAGE

KEY_PREFIX = "sk-dbx-"
KeyScope: TypeAlias = Literal["read", "create", "admin"]
SCOPES: tuple[KeyScope, ...] = get_args(KeyScope)
"""`read` reads the owner's jobs and files, `create` creates and cancels them, `admin` manages keys, reads metrics."""
DEFAULT_SCOPES: tuple[KeyScope, ...] = ("read", "create")
NAME_MAX_LENGTH = 60
USE_RECORD_SECONDS = 30.0
"""Seconds between two writes of a key's last use, so that a busy key does not keep the disk busy."""

_KEY_PATTERN = re.compile(r"sk-dbx-([0-9a-f]{12})([0-9a-f]{48})", re.ASCII)
_K, _U = API_KEYS.c, KEY_USAGE.c
_ONE_KEY = select(API_KEYS).where(_K.id == bindparam("key_id"))  # built once, since every request asks it


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
        path = root / "keys.sqlite3"
        self.database = open_database(path, KEY_TABLES, database)
        if not self.database.is_shared:
            path.chmod(0o600)

    def create_key(
        self, name: str, scopes: Iterable[KeyScope] = DEFAULT_SCOPES, limits: KeyLimits = KeyLimits()
    ) -> str:
        """Create a key and return its text, which cannot be read again later."""
        key_id, secret = secrets.token_hex(6), secrets.token_hex(24)
        text = f"{KEY_PREFIX}{key_id}{secret}"
        values = {"id": key_id, "name": name, "sha256": _hash_key(text), "created": time.time()}
        self.database.execute(insert(API_KEYS).values(**values, **_settings_columns(scopes, limits)))
        return text

    def verify_key(self, text: str) -> ApiKey | None:
        """Find the key that `text` is; None when it is unknown or was revoked."""
        found = _KEY_PATTERN.fullmatch(text)
        if found is None:
            return None
        row = self.database.fetch_row(_ONE_KEY, {"key_id": found[1]})
        # The hash is compared in constant time; the id is no secret.
        known = hmac.compare_digest(row.sha256 if row else "", _hash_key(text))
        return _row_to_key(row) if row and known and row.revoked is None else None

    def get_key(self, key_id: str) -> ApiKey | None:
        """Find a key by its id, revoked or not; None when there is none."""
        row = self.database.fetch_row(_ONE_KEY, {"key_id": key_id})
        return _row_to_key(row) if row else None

    def find_by_owner(self, owner: str) -> ApiKey | None:
        """Find the working key of an owner; None where the owner is no key or the key was revoked."""
        key = self.get_key(owner.removeprefix("key:")) if owner.startswith("key:") else None
        return key if key is not None and key.revoked is None else None

    def is_owner_valid(self, owner: str) -> bool:
        """Whether this owner is no key, or a key that was not revoked."""
        return not owner.startswith("key:") or self.find_by_owner(owner) is not None

    def list_keys(self) -> list[ApiKey]:
        """List all keys, oldest first, revoked ones too."""
        return [_row_to_key(row) for row in self.database.fetch_rows(select(API_KEYS).order_by(_K.created, _K.id))]

    def change_key(self, key_id: str, name: str, scopes: Iterable[KeyScope], limits: KeyLimits) -> bool:
        """Change name, scopes and limits of a working key; False when there is none with this id."""
        return self._change_working_key(key_id, name=name, **_settings_columns(scopes, limits))

    def revoke_key(self, key_id: str) -> bool:
        """Revoke a key for good; False when there is none with this id, or it was revoked already."""
        return self._change_working_key(key_id, revoked=time.time())

    def _change_working_key(self, key_id: str, **values: object) -> bool:
        is_working = and_(_K.id == key_id, _K.revoked.is_(None))
        return bool(self.database.execute(update(API_KEYS).where(is_working).values(**values)))

    # ------------------------------------------------------------ usage

    def record_use(self, key: ApiKey) -> None:
        """Record that the key was used now; a full disk is ignored, so that reading still works."""
        now = time.time()
        if key.used is None or not 0 <= now - key.used < USE_RECORD_SECONDS:
            with suppress(DatabaseUnavailable), self.database.relaxed_durability():
                self.database.execute(update(API_KEYS).where(_K.id == key.id).values(used=now))

    def count_job(self, key_id: str, tool: str, pictures: int, day: str) -> None:
        """Add a job of `pictures` pictures to the usage of a UTC day such as 2026-11-25."""
        values = {"key_id": key_id, "tool": tool, "day": day, "jobs": 1, "pictures": pictures}
        insertion = self.database.insert(KEY_USAGE).values(**values)
        added = {"jobs": _U.jobs + 1, "pictures": _U.pictures + insertion.excluded.pictures}
        with self.database.relaxed_durability():
            self.database.execute(insertion.on_conflict_do_update(index_elements=["key_id", "tool", "day"], set_=added))

    def count_pictures(self, key_id: str, day: str) -> int:
        """Count the pictures that a key asked for on a day."""
        total = select(func.coalesce(func.sum(_U.pictures), 0)).where(_U.key_id == key_id, _U.day == day)
        (row,) = self.database.fetch_rows(total)
        return int(row[0])  # a sum is a `Decimal` on Postgres

    def list_key_usage(self, key_id: str) -> list[ToolUsage]:
        """List how much a key used each tool since it was created, most pictures first."""
        jobs, pictures = func.sum(_U.jobs), func.sum(_U.pictures)
        query = select(_U.tool, jobs, pictures).where(_U.key_id == key_id).group_by(_U.tool)
        rows = self.database.fetch_rows(query.order_by(pictures.desc(), _U.tool))
        return [ToolUsage(tool, int(jobs), int(pictures)) for tool, jobs, pictures in rows]

    def close(self) -> None:
        """Close the database."""
        self.database.close()


def parse_scopes(words: Iterable[str]) -> tuple[KeyScope, ...]:
    """Pick the scopes among these words, in the order of `SCOPES`; unknown words are ignored."""
    given = set(words)
    return tuple(scope for scope in SCOPES if scope in given)


def _settings_columns(scopes: Iterable[KeyScope], limits: KeyLimits) -> dict[str, object]:
    return {"scopes": ",".join(parse_scopes(scopes)), **vars(limits)}


def _row_to_key(row: Row) -> ApiKey:
    limits = KeyLimits(row.per_minute, row.per_day, row.at_once)
    return ApiKey(row.id, row.name, row.created, row.revoked, parse_scopes(row.scopes.split(",")), limits, row.used)


def _hash_key(text: str) -> str:
    # A fast hash is enough: the secret is 192 random bits, which nobody can guess.
    return hashlib.sha256(text.encode()).hexdigest()
