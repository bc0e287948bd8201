"""Links of teams: signed tokens, so that a made-up one is known without a look into the database."""

from __future__ import annotations

import hashlib
from typing import Literal

from itsdangerous import BadSignature, Signer

from pipelines.core.errors import NotFound

JOIN_PATH = "/join"
LinkKind = Literal["invite", "own"]
"""A link for sending a portrait, or one to the page of who sent it."""


class InviteLinks:
    """A token is the link's kind and secret, a dot, and their HMAC-SHA256 with a key derived from `secret`."""

    def __init__(self, secret: bytes) -> None:
        self._signer = Signer(secret, salt="join", key_derivation="hmac", digest_method=hashlib.sha256)

    def make_token(self, kind: LinkKind, word: str) -> str:
        """Make the token of a link that carries `word`."""
        return self._signer.sign(f"{kind}-{word}").decode()

    def make_path(self, kind: LinkKind, word: str) -> str:
        """Make the link's path, relative to the studio's address."""
        return f"{JOIN_PATH}/{self.make_token(kind, word)}"

    def read_token(self, token: str) -> tuple[str, str]:
        """Read a token's kind and what it carries. Raises `NotFound` for one that this studio never made."""
        try:
            kind, _, word = self._signer.unsign(token).decode().partition("-")
        except BadSignature:
            raise NotFound("There is nothing at this address.") from None
        return kind, word
