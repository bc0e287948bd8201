"""Share links: signed, expiring, revocable tokens that each show one file without a login."""

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
from ui.api.auth.database import AuthDatabase

SHARE_PATH = "/s"
HOUR_SECONDS, WEEK_SECONDS, MONTH_SECONDS = 3600, 7 * 24 * 3600, 30 * 24 * 3600
_TOKEN_PATTERN = re.compile(r"([0-9a-f]{16})\.([0-9]{1,12})\.([0-9a-f]{64})", re.ASCII)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS shares (
  id TEXT PRIMARY KEY, owner TEXT NOT NULL, file_id TEXT NOT NULL, created REAL NOT NULL, expires INTEGER NOT NULL
)
"""


@dataclass(frozen=True)
class ShareLink:
    """One link. `created` and `expires` are Unix times in seconds; `path` is relative to the studio's address."""

    id: str
    owner: str
    file_id: str
    created: float
    expires: int
    path: str


class ShareLinks:
    """Stored links. A token is `id.expires.signature`, an HMAC-SHA256 with `secret` over id and expiry.

    `is_owner_valid(owner)`: False for the owner of a revoked key, whose links then show nothing.
    """

    def __init__(
        self, database: AuthDatabase, secret: bytes, is_owner_valid: Callable[[str], bool] = lambda owner: True
    ) -> None:
        self._database = database
        self._secret = secret
        self._is_owner_valid = is_owner_valid
        database.create_table(_SCHEMA)

    def create_link(self, owner: str, file_id: str, seconds: int = WEEK_SECONDS) -> ShareLink:
        """Create a link that expires in `seconds`. The caller must have checked that the file belongs to the owner."""
        now = time.time()
        share_id, expires = secrets.token_hex(8), int(now) + seconds
        self._database.execute("DELETE FROM shares WHERE expires <= ?", int(now))
        self._database.execute("INSERT INTO shares VALUES (?, ?, ?, ?, ?)", share_id, owner, file_id, now, expires)
        return ShareLink(share_id, owner, file_id, now, expires, self._make_path(share_id, expires))

    def open_token(self, token: str) -> ShareLink:
        """Find the link of a token. Raises `NotFound` for a token that is forged, expired or revoked."""
        found = _TOKEN_PATTERN.fullmatch(token)
        if found and hmac.compare_digest(self._sign_token(found[1], int(found[2])), found[3]):
            rows = self._database.query_rows(
                "SELECT * FROM shares WHERE id = ? AND expires > ?", found[1], int(time.time())
            )
            if rows and int(found[2]) == rows[0]["expires"] and self._is_owner_valid(rows[0]["owner"]):
                return self._row_to_link(rows[0])
        raise NotFound("This link has ended, or never was one.")

    def list_links(self, owner: str, limit: int, after: str | None = None) -> list[ShareLink]:
        """List the owner's working links, newest first, from the one after the id `after`."""
        rows = self._database.query_rows(
            "SELECT * FROM shares WHERE owner = ? AND expires > ? AND (CAST(? AS TEXT) IS NULL OR (created, id) < "
            "(SELECT created, id FROM shares WHERE id = ?)) ORDER BY created DESC, id DESC LIMIT ?",
            owner,
            int(time.time()),
            after,
            after,
            limit,
        )
        return [self._row_to_link(row) for row in rows]

    def get_link(self, owner: str, share_id: str) -> ShareLink:
        """Find one of the owner's links. Raises `NotFound`."""
        rows = self._database.query_rows(
            "SELECT * FROM shares WHERE id = ? AND owner = ? AND expires > ?", share_id, owner, int(time.time())
        )
        if not rows:
            raise NotFound("There is no such link, or it is not yours.")
        return self._row_to_link(rows[0])

    def revoke_link(self, owner: str, share_id: str) -> None:
        """Delete a link. Raises `NotFound`."""
        if not self._database.execute("DELETE FROM shares WHERE id = ? AND owner = ?", share_id, owner):
            raise NotFound("There is no such link, or it is not yours.")

    def _row_to_link(self, row: Row) -> ShareLink:
        path = self._make_path(row["id"], row["expires"])
        return ShareLink(row["id"], row["owner"], row["file_id"], row["created"], row["expires"], path)

    def _make_path(self, share_id: str, expires: int) -> str:
        return f"{SHARE_PATH}/{share_id}.{expires}.{self._sign_token(share_id, expires)}"

    def _sign_token(self, share_id: str, expires: int) -> str:
        return hmac.new(self._secret, f"share:{share_id}.{expires}".encode(), hashlib.sha256).hexdigest()
