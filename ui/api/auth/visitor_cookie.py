"""Signed cookie that names the owner of a page visitor, and the ASGI middleware that sets it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from contextvars import ContextVar
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from itsdangerous import BadSignature, Signer
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.security.audit_log import read_or_create_secret
from ui.api.middleware import API_PATHS

COOKIE_NAME = "dbx_visitor"
COOKIE_SECONDS = 365 * 24 * 3600

# Owners whose key opened the page during this request: the login check writes, the middleware reads.
_logged_in_owners: ContextVar[list[str] | None] = ContextVar("logged_in_owners", default=None)


def remember_login(owner: str) -> None:
    """Let the answer to the current request carry a cookie of this owner."""
    owners = _logged_in_owners.get()
    if owners is not None:
        owners.append(owner)


def load_cookie_secret(root: Path) -> bytes:
    """Read the secret that signs cookies; it is made once for each data folder, readable by its owner alone."""
    root.mkdir(parents=True, exist_ok=True)
    return read_or_create_secret(root / "visitors.secret")


class CookieSigner:
    """Writes and checks the visitor cookie: the owner, a dot, and its HMAC-SHA256 with a key derived from `secret`."""

    def __init__(self, secret: bytes) -> None:
        self._signer = Signer(secret, salt="visitor", key_derivation="hmac", digest_method=hashlib.sha256)

    def read_owner(self, headers: Headers) -> str | None:
        """Find the owner that a request's cookie names; None without a cookie or with a wrong signature."""
        jar: SimpleCookie = SimpleCookie()
        with contextlib.suppress(CookieError):
            jar.load(headers.get("cookie", ""))
        if COOKIE_NAME not in jar:
            return None
        try:
            return self._signer.unsign(jar[COOKIE_NAME].value).decode()
        except BadSignature:
            return None

    def make_cookie(self, owner: str, headers: Headers) -> str:
        """Write the `Set-Cookie` value for `owner`; `headers` are those of the request."""
        # Spaces shows the page inside a frame of another site; over plain HTTP such a cookie would be dropped.
        https = "https" in headers.get("x-forwarded-proto", "")
        site = "SameSite=None; Secure; Partitioned" if https else "SameSite=Lax"
        return f"{COOKIE_NAME}={self._signer.sign(owner).decode()}; Max-Age={COOKIE_SECONDS}; Path=/; HttpOnly; {site}"


class VisitorCookieMiddleware:
    """Gives each visitor of the page a signed cookie; the API never gets or reads one.

    `is_locked_out(headers)`: whether the request's cookie belongs to a key that was revoked.
    `make_cookie(headers, owner)`: the `Set-Cookie` value to send, None for none; `owner` has just logged in, if any.
    """

    def __init__(
        self,
        app: ASGIApp,
        is_locked_out: Callable[[Headers], bool],
        make_cookie: Callable[[Headers, str | None], str | None],
    ) -> None:
        self.app = app
        self.is_locked_out = is_locked_out
        self.make_cookie = make_cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(API_PATHS):
            return await self.app(scope, receive, send)
        if self.is_locked_out(Headers(scope=scope)):
            # The login that the revoked key gave must end as well, so Gradio is shown no cookie at all.
            scope = {**scope, "headers": [row for row in scope["headers"] if row[0] != b"cookie"]}
        owners: list[str] = []
        token = _logged_in_owners.set(owners)

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                cookie = self.make_cookie(Headers(scope=scope), owners[-1] if owners else None)
                if cookie is not None:
                    MutableHeaders(scope=message).append("set-cookie", cookie)
            await send(message)

        try:
            await self.app(scope, receive, send_with_cookie)
        finally:
            _logged_in_owners.reset(token)
