"""Who is asking and whether they may: the public-address rules, owners of page visitors and of keys; knows no jobs."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.core.errors import StudioError
from pipelines.settings import Settings
from ui.api.auth.idempotency import Once
from ui.api.auth.keys import USUAL, Key, Keys
from ui.api.auth.keys import Scope as KeyScope
from ui.api.auth.rate_limits import Limits
from ui.api.auth.share_tokens import Shares
from ui.api.code_snippets import Door
from ui.api.metrics import Metrics
from ui.api.middleware import Edge
from ui.gradio_patches.page_cache import PageCache

if TYPE_CHECKING:
    import gradio as gr

COOKIE = "dbx_visitor"
LOCAL = "local"
_YEAR = 365 * 24 * 3600
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_NOT_A_PAGE = ("/v1", "/gradio_api", "/healthz", "/metrics", "/s/", "/mcp")

# The key that opened the page, handed from the login check to the answer that carries it home as a cookie.
_opened_with: ContextVar[list[str] | None] = ContextVar("opened_with", default=None)


def refusal(settings: Settings) -> str | None:
    """Why the studio must not start like this, as a sentence that says what to add; None when it may."""
    if settings.auth and not all(settings.auth.partition(":")[::2]):
        return "--auth needs a name and a password: --auth USER:PASS"
    if settings.is_public and not (settings.spaces or settings.auth or settings.require_key):
        where = "A share link" if settings.share else f"The address {settings.host}"
        return (
            f"{where} lets strangers in. Add --auth USER:PASS (log in to the page; the API then needs a key) or "
            "--require-key (page and API open with a key from: python app.py key new NAME)."
        )
    return None


@dataclass(frozen=True)
class Caller:
    """Who asks `/v1`: an owner, and the key that was sent, None where none was needed."""

    owner: str
    key: Key | None


class Access:
    """Both doors' locks. Page visitors and REST callers each get an owner, and see only what that owner has."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self.settings = settings
        self.keys = keys
        self._secret = _secret(settings.data)
        self.limits = Limits(keys)
        self.once = Once(keys.ledger)
        self.shares = Shares(keys.ledger, self._secret, keys.stands)
        self.metrics = Metrics()

    @property
    def needs_key(self) -> bool:
        """Whether `/v1` is closed without a key: when asked for, in public, and wherever the page has a login."""
        return self.settings.require_key or self.settings.is_public or bool(self.settings.auth)

    @property
    def page_takes_key(self) -> bool:
        """Whether the page's password is a key."""
        s = self.settings
        return s.is_public and s.require_key and not s.auth and not s.spaces

    def door(self, base: str) -> Door:
        """What code that is copied from the page has to bring along. `base` is the page's own address."""
        page = "login" if self.settings.auth else "key" if self.page_takes_key else ""
        return Door(base, self.needs_key, page)

    # ------------------------------------------------------------ REST

    def caller(self, request: Request, scope: KeyScope | None = None) -> Caller:
        """Who is behind a call of `/v1`, counted against the key's bounds. Cookies are never looked at.

        `scope` None is what the method needs: `read` to look, `create` for everything else. Raises `invalid_api_key`,
        `permission_denied` for a key without the scope, and `rate_limited`.
        """
        caller = self.known(request, scope or ("read" if request.method in ("GET", "HEAD") else "create"))
        if caller.key is not None:
            request.state.standing, refused = self.limits.request(caller.key)
            if refused is not None:
                raise refused
        return caller

    def known(self, request: Request, scope: KeyScope) -> Caller:
        """The same without counting it."""
        key = self.keys.verify(_key_of(request.headers))
        if key is not None:
            request.state.key = key.id
            self.keys.touch(key)
            if scope not in key.scopes:
                raise StudioError(f"This key has not the scope '{scope}'.", code="permission_denied")
            return Caller(key.owner, key)
        if self.needs_key:
            raise StudioError(
                "This studio needs an API key: 'Authorization: Bearer sk-dbx-…' or 'X-API-Key'. "
                "Its owner makes one with: python app.py key new NAME",
                code="invalid_api_key",
            )
        if _foreign(request):
            raise StudioError("A web page of another address may not call this studio.", code="invalid_api_key")
        return Caller(LOCAL, None)

    # ------------------------------------------------------------ the page

    def gradio_auth(self) -> Callable[[str, str], bool] | None:
        """What `demo.launch(auth=…)` takes: None where the page is open."""
        if self.settings.auth:
            return self._password
        return self._key if self.page_takes_key else None

    def _password(self, user: str, password: str) -> bool:
        return hmac.compare_digest(f"{user}:{password}".encode(), self.settings.auth.encode())

    def _key(self, _user: str, password: str) -> bool:
        key = self.keys.verify(password.strip())
        if key is None or not set(USUAL) <= set(key.scopes):  # the page looks and makes, so its key must do both
            return False
        note = _opened_with.get()
        if note is not None:
            note.append(key.owner)
        self.keys.touch(key)
        return True

    def visitor(self, request: gr.Request | None) -> str:
        """The owner of a page visitor; `request` is what Gradio hands to an event."""
        if request is None:
            return LOCAL
        if self.settings.auth:
            return f"user:{request.username}"
        if (account := self.signed_in(request)) is not None:
            return f"hf:{account['sub']}"
        if not (self.settings.spaces or self.page_takes_key):
            return LOCAL
        # Where cookies are blocked, a visitor is at least the tab: its hash is random and known to nobody else.
        return self._cookie_owner(Headers(dict(request.headers))) or f"session:{request.session_hash}"

    def reporter(self, request: Request) -> str:
        """Whom the log names, hashed, as the sender of a report: the visitor's cookie, else nobody in particular."""
        return self._cookie_owner(request.headers) or ("somebody" if self.settings.is_public else LOCAL)

    def client(self, request: gr.Request | None) -> str:
        """The owner of a program that calls the page's named events.

        Raises `invalid_api_key` for another site's page, which could otherwise work with its reader's rights.
        """
        raw = request.request if request is not None and not self.settings.is_public else None
        if raw is not None and _foreign(raw):
            raise StudioError("A web page of another address may not call this studio.", code="invalid_api_key")
        return self.visitor(request)

    def administers(self, request: gr.Request | None) -> bool:
        """Whether this page visitor may make and revoke keys: who logged in, else who sits at this machine.

        On a Space it is the account that the Space belongs to.

        Never somebody who came with a key, or through a Space or a share link without a login; nor a page of another
        site, whatever name it gave this machine.
        """
        if request is None or request.request is None:
            return False
        if self.settings.auth:
            return bool(request.username)
        if self.settings.space_author:
            account = self.signed_in(request)
            return account is not None and account["preferred_username"] == self.settings.space_author
        return not self.settings.is_public and not _foreign(request.request)

    def signed_in(self, request: gr.Request) -> Mapping[str, str] | None:
        """The Hugging Face account that a visitor of a Space signed in with, as its provider told it; None for none.

        It stands in a cookie that is signed with the Space's own secret, and ends when the provider says.
        """
        raw = request.request if self.settings.oauth else None
        told = raw.scope.get("session", {}).get("oauth_info") if raw is not None else None
        if told is None or told.get("expires_at", 0) < time.time():
            return None
        return told["userinfo"]

    def locked_out(self, headers: Headers) -> bool:
        """Whether what a browser brings along is not of a key that works, where the page's password is a key."""
        return self.page_takes_key and self.keys.of(self._cookie_owner(headers) or "") is None

    def _cookie_owner(self, headers: Headers) -> str | None:
        jar: SimpleCookie = SimpleCookie()
        with contextlib.suppress(CookieError):
            jar.load(headers.get("cookie", ""))
        if COOKIE not in jar:
            return None
        owner, _, mark = jar[COOKIE].value.rpartition(".")
        return owner if hmac.compare_digest(mark.encode(), self._sign(owner).encode()) else None

    def _sign(self, owner: str) -> str:
        return hmac.new(self._secret, owner.encode(), hashlib.sha256).hexdigest()

    def middleware(self) -> list[Middleware]:
        """For `launch(app_kwargs={"middleware": …})`: what stands around every route, outermost first."""
        rows = [Middleware(Edge, told=self.metrics.answered, framed=self.settings.spaces), Middleware(PageGzip)]
        if self.settings.spaces or self.page_takes_key:
            rows.append(Middleware(VisitorCookie, access=self))
        if self.gradio_auth() is None and not self.settings.oauth:
            rows.append(Middleware(PageCache))
        return rows

    def cookie_for(self, headers: Headers, opened_with: list[str]) -> str | None:
        """The `Set-Cookie` this answer should carry, or None when the visitor has one that holds."""
        if opened_with:
            owner = opened_with[-1]
        elif self.settings.spaces and self._cookie_owner(headers) is None:
            owner = f"visitor:{secrets.token_hex(16)}"
        else:
            return None
        # Spaces shows the page inside a frame of another site; over plain http such a cookie would be dropped.
        https = "https" in headers.get("x-forwarded-proto", "")
        where = "SameSite=None; Secure; Partitioned" if https else "SameSite=Lax"
        return f"{COOKIE}={owner}.{self._sign(owner)}; Max-Age={_YEAR}; Path=/; HttpOnly; {where}"


class VisitorCookie:
    """Gives each visitor of the page a signed cookie; `/v1` never gets or reads one."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(("/v1", "/healthz", "/metrics", "/s/", "/mcp")):
            return await self.app(scope, receive, send)
        if self.access.locked_out(Headers(scope=scope)):
            # The key that opened the page works no more, so the login that it gave is worth nothing either.
            scope = {**scope, "headers": [row for row in scope["headers"] if row[0] != b"cookie"]}
        opened_with: list[str] = []
        token = _opened_with.set(opened_with)

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                cookie = self.access.cookie_for(Headers(scope=scope), opened_with)
                if cookie is not None:
                    MutableHeaders(scope=message).append("set-cookie", cookie)
            await send(message)

        try:
            await self.app(scope, receive, send_with_cookie)
        finally:
            _opened_with.reset(token)


class PageGzip:
    """Gzip for the page alone: its config is half a megabyte of text; pictures and event streams gain nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self.plain = app
        self.packed = GZipMiddleware(app, minimum_size=1024, compresslevel=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = scope["type"] == "http" and "." not in scope["path"] and not scope["path"].startswith(_NOT_A_PAGE)
        await (self.packed if page else self.plain)(scope, receive, send)


def _key_of(headers: Headers) -> str:
    scheme, _, text = headers.get("authorization", "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()


def _foreign(request: Request) -> bool:
    """Whether a browser sends this for another site's page, or under a name that was pointed at this machine."""
    host = request.headers.get("host", "")
    if _netloc(f"//{host}")[1] not in _LOOPBACK:
        return True
    origin = request.headers.get("origin")
    if origin is not None and _netloc(origin)[0] != host:
        return True
    return request.headers.get("sec-fetch-site") == "cross-site"


def _netloc(url: str) -> tuple[str, str | None]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", None
    return parts.netloc, parts.hostname


def _secret(root: Path) -> bytes:
    """The secret that signs visitors' cookies, made once per data folder and readable by its owner alone."""
    root.mkdir(parents=True, exist_ok=True)
    path = root / "visitors.secret"
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
    return path.read_bytes()
