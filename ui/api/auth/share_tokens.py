"""Share links: signed, expiring, revocable tokens that each show one file without a login."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from itsdangerous import BadSignature, Signer
from sqlalchemy import ColumnElement, and_, delete, insert, select

from pipelines.core.errors import NotFound
from pipelines.storage.database import Database, Row
from pipelines.storage.schema import SHARES, select_page

SHARE_PATH = "/s"
_ENDED_MESSAGE = "This link has ended, or never was one."
HOUR_SECONDS, WEEK_SECONDS, MONTH_SECONDS = 3600, 7 * 24 * 3600, 30 * 24 * 3600


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
    """Stored links. A token is the id, a dot, and its HMAC-SHA256 with a key derived from `secret`.

    `is_owner_valid(owner)`: False for the owner of a revoked key, whose links then show nothing.
    """

    def __init__(
        self, database: Database, secret: bytes, is_owner_valid: Callable[[str], bool] = lambda owner: True
    ) -> None:
        self._database = database
        self._signer = Signer(secret, salt="share", key_derivation="hmac", digest_method=hashlib.sha256)
        self._is_owner_valid = is_owner_valid

    def create_link(self, owner: str, file_id: str, seconds: int = WEEK_SECONDS) -> ShareLink:
        """Create a link that expires in `seconds`. The caller must have checked that the file belongs to the owner."""
        now = time.time()
        share_id, expires = secrets.token_hex(8), int(now) + seconds
        self._database.execute(delete(SHARES).where(SHARES.c.expires <= int(now)))
        values = {"id": share_id, "owner": owner, "file_id": file_id, "created": now, "expires": expires}
        self._database.execute(insert(SHARES).values(**values))
        return ShareLink(share_id, owner, file_id, now, expires, self._build_share_path(share_id))

    def open_token(self, token: str) -> ShareLink:
        """Find the link of a token. Raises `NotFound` for a token that is forged, expired or revoked."""
        try:
            share_id = self._signer.unsign(token).decode()
        except BadSignature:
            raise NotFound(_ENDED_MESSAGE) from None
        row = self._database.fetch_row(select(SHARES).where(SHARES.c.id == share_id, _is_working()))
        if row is None or not self._is_owner_valid(row.owner):
            raise NotFound(_ENDED_MESSAGE)
        return self._row_to_link(row)

    def list_links(self, owner: str, limit: int, after: str | None = None) -> list[ShareLink]:
        """List the owner's working links, newest first, from the one after the id `after`."""
        page = select_page(SHARES, owner, limit, after).where(_is_working())
        return [self._row_to_link(row) for row in self._database.fetch_rows(page)]

    def get_link(self, owner: str, share_id: str) -> ShareLink:
        """Find one of the owner's links. Raises `NotFound`."""
        is_own = and_(SHARES.c.id == share_id, SHARES.c.owner == owner)
        row = self._database.fetch_row(select(SHARES).where(is_own, _is_working()))
        if row is None:
            raise NotFound("There is no such link, or it is not yours.")
        return self._row_to_link(row)

    def revoke_link(self, owner: str, share_id: str) -> None:
        """Delete a link. Raises `NotFound`."""
        if not self._database.execute(delete(SHARES).where(SHARES.c.id == share_id, SHARES.c.owner == owner)):
            raise NotFound("There is no such link, or it is not yours.")

    def _row_to_link(self, row: Row) -> ShareLink:
        return ShareLink(row.id, row.owner, row.file_id, row.created, row.expires, self._build_share_path(row.id))

    def _build_share_path(self, share_id: str) -> str:
        return f"{SHARE_PATH}/{self._signer.sign(share_id).decode()}"


def _is_working() -> ColumnElement[bool]:
    return SHARES.c.expires > int(time.time())
