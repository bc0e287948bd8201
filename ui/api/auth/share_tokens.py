"""Links that show one file to whoever has them: signed, ending by themselves, revocable; opens nothing else."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.core.errors import NotFound
from pipelines.storage.database import Row
from ui.api.auth.database import Ledger

PATH = "/s"
HOUR, WEEK, MONTH = 3600, 7 * 24 * 3600, 30 * 24 * 3600
_TOKEN = re.compile(r"([0-9a-f]{16})\.([0-9]{1,12})\.([0-9a-f]{64})", re.ASCII)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS shares (
  id TEXT PRIMARY KEY, owner TEXT NOT NULL, file_id TEXT NOT NULL, created REAL NOT NULL, expires INTEGER NOT NULL
)
"""


@dataclass(frozen=True)
class Share:
    """One link. `expires` is Unix time in whole seconds; `path` begins at the studio's own address."""

    id: str
    owner: str
    file_id: str
    created: float
    expires: int
    path: str


class Shares:
    """The links that were made and neither ended nor were taken back. Their signature says when they end.

    `stands` says of an owner whether what it gave away still holds: a key that was revoked shows nothing to anybody.
    """

    def __init__(self, ledger: Ledger, secret: bytes, stands: Callable[[str], bool] = lambda owner: True) -> None:
        self._ledger = ledger
        self._secret = secret
        self._stands = stands
        ledger.table(_SCHEMA, "shares")

    def new(self, owner: str, file_id: str, seconds: int = WEEK) -> Share:
        """A link to a file that the caller has checked to be the owner's, which ends in so many seconds."""
        now = time.time()
        share_id, expires = secrets.token_hex(8), int(now) + seconds
        self._ledger.change("DELETE FROM shares WHERE expires <= ?", int(now))
        self._ledger.change("INSERT INTO shares VALUES (?, ?, ?, ?, ?)", share_id, owner, file_id, now, expires)
        return Share(share_id, owner, file_id, now, expires, self._path(share_id, expires))

    def open(self, token: str) -> Share:
        """The link that a token belongs to. Raises `NotFound` for one that is forged, has ended or was taken back."""
        found = _TOKEN.fullmatch(token)
        if found and hmac.compare_digest(self._mark(found[1], int(found[2])), found[3]):
            rows = self._ledger.rows("SELECT * FROM shares WHERE id = ? AND expires > ?", found[1], int(time.time()))
            if rows and int(found[2]) == rows[0]["expires"] and self._stands(rows[0]["owner"]):
                return self._share(rows[0])
        raise NotFound("This link has ended, or never was one.")

    def list(self, owner: str, limit: int, after: str | None = None) -> list[Share]:
        """The owner's links that work, newest first; `after` is the id to go on from."""
        rows = self._ledger.rows(
            "SELECT * FROM shares WHERE owner = ? AND expires > ? AND (CAST(? AS TEXT) IS NULL OR (created, id) < "
            "(SELECT created, id FROM shares WHERE id = ?)) ORDER BY created DESC, id DESC LIMIT ?",
            owner, int(time.time()), after, after, limit,
        )  # fmt: skip
        return [self._share(row) for row in rows]

    def get(self, owner: str, share_id: str) -> Share:
        """One of the owner's links. Raises `NotFound`."""
        rows = self._ledger.rows(
            "SELECT * FROM shares WHERE id = ? AND owner = ? AND expires > ?", share_id, owner, int(time.time())
        )
        if not rows:
            raise NotFound("There is no such link, or it is not yours.")
        return self._share(rows[0])

    def revoke(self, owner: str, share_id: str) -> None:
        """Take a link back: it shows nothing from now on. Raises `NotFound`."""
        if not self._ledger.change("DELETE FROM shares WHERE id = ? AND owner = ?", share_id, owner):
            raise NotFound("There is no such link, or it is not yours.")

    def _share(self, row: Row) -> Share:
        path = self._path(row["id"], row["expires"])
        return Share(row["id"], row["owner"], row["file_id"], row["created"], row["expires"], path)

    def _path(self, share_id: str, expires: int) -> str:
        return f"{PATH}/{share_id}.{expires}.{self._mark(share_id, expires)}"

    def _mark(self, share_id: str, expires: int) -> str:
        return hmac.new(self._secret, f"share:{share_id}.{expires}".encode(), hashlib.sha256).hexdigest()
