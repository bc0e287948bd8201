"""Authentication and ownership: API keys of `/v1`, logins and cookies of the page, rules for a public address."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request

from pipelines.core.errors import StudioError
from pipelines.settings import LOCAL_OWNER, Settings
from ui.api.auth.idempotency import IdempotencyStore
from ui.api.auth.invite_links import InviteLinks
from ui.api.auth.keys import DEFAULT_SCOPES, ApiKey, KeyScope, KeyStore
from ui.api.auth.rate_limits import RateLimiter, SlidingWindow
from ui.api.auth.share_tokens import HOUR_SECONDS, ShareLinks
from ui.api.auth.visitor_cookie import CookieSigner, load_cookie_secret, remember_login

if TYPE_CHECKING:
    import gradio as gr

_LOOPBACK_HOSTS = {"localhost", "127.0.0.1", "::1"}
_CROSS_SITE_MESSAGE = "A web page of another address may not call this studio."


def find_unsafe_setting(settings: Settings) -> str | None:
    """Find the setting that would let strangers in, as a sentence that says what to add; None when there is none."""
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
    """Who calls `/v1`: an owner, and the key that was sent, None where none is needed."""

    owner: str
    key: ApiKey | None


@dataclass(frozen=True)
class ConnectionInfo:
    """How a program reaches this studio: the page's address, and what it must send.

    `needs_key`: whether `/v1` takes calls with a key only. `page_auth`: how the page logs in, "login", "key" or "".
    """

    base_url: str
    needs_key: bool = False
    page_auth: str = ""


class AccessControl:
    """Decides who page visitors and API callers are: each gets an owner, and sees only what belongs to that owner."""

    def __init__(self, settings: Settings, keys: KeyStore) -> None:
        self.settings = settings
        self.keys = keys
        secret = load_cookie_secret(settings.data)
        self._cookies = CookieSigner(secret)
        self.rate_limiter = RateLimiter(keys)
        self.idempotency = IdempotencyStore(keys.database)
        self.invite_links = InviteLinks(secret)
        self.portrait_window = SlidingWindow(HOUR_SECONDS)
        self.share_links = ShareLinks(keys.database, secret, keys.is_owner_valid)

    @property
    def needs_key(self) -> bool:
        """Whether `/v1` is closed without a key: when asked for, in public, and wherever the page has a login."""
        return self.settings.require_key or self.settings.is_public or bool(self.settings.auth)

    @property
    def page_takes_key(self) -> bool:
        """Whether the page's password is a key."""
        s = self.settings
        return s.is_public and s.require_key and not s.auth and not s.spaces

    def describe_connection(self, base_url: str) -> ConnectionInfo:
        """Say what code that is copied from the page must send. `base_url` is the page's own address."""
        page_auth = "login" if self.settings.auth else "key" if self.page_takes_key else ""
        return ConnectionInfo(base_url, self.needs_key, page_auth)

    # ------------------------------------------------------------ the API

    def authenticate_request(self, request: Request, scope: KeyScope | None = None) -> Caller:
        """Identify the caller of `/v1` and count the request against the key's limits. Cookies are never read.

        Without `scope` the method decides: `read` for GET and HEAD, `create` for everything else. Raises
        `StudioError` (`invalid_api_key`, or `permission_denied` for a key without the scope) and `RateLimited`.
        """
        caller = self.identify_caller(request, scope or ("read" if request.method in ("GET", "HEAD") else "create"))
        if caller.key is not None:
            rate_limit, refusal = self.rate_limiter.count_request(caller.key)
            if rate_limit is not None:
                request.state.rate_limit_headers = rate_limit.to_headers()
            if refusal is not None:
                raise refusal
        return caller

    def identify_caller(self, request: Request, scope: KeyScope) -> Caller:
        """Identify the caller without counting the request. Raises `StudioError`."""
        key = self.keys.verify_key(_extract_key(request.headers))
        if key is not None:
            request.state.key = key.id
            self.keys.record_use(key)
            if scope not in key.scopes:
                raise StudioError(f"This key has not the scope '{scope}'.", code="permission_denied")
            return Caller(key.owner, key)
        if self.needs_key:
            raise StudioError(
                "This studio needs an API key: 'Authorization: Bearer sk-dbx-…' or 'X-API-Key'. "
                "Its owner makes one with: python app.py key new NAME",
                code="invalid_api_key",
            )
        if _is_cross_site(request):
            raise StudioError(_CROSS_SITE_MESSAGE, code="invalid_api_key")
        return Caller(LOCAL_OWNER, None)

    # ------------------------------------------------------------ the page

    def make_gradio_auth(self) -> Callable[[str, str], bool] | None:
        """Choose the login check for Gradio's `launch(auth=…)`; None where the page is open."""
        if self.settings.auth:
            return self._check_password
        return self._check_page_key if self.page_takes_key else None

    def _check_password(self, user: str, password: str) -> bool:
        return hmac.compare_digest(f"{user}:{password}".encode(), self.settings.auth.encode())

    def _check_page_key(self, _user: str, password: str) -> bool:
        key = self.keys.verify_key(password.strip())
        # The page reads and creates, so its key must have both scopes.
        if key is None or not set(DEFAULT_SCOPES) <= set(key.scopes):
            return False
        remember_login(key.owner)
        self.keys.record_use(key)
        return True

    def identify_visitor(self, request: gr.Request | None) -> str:
        """Find the owner of a page visitor; `request` is what Gradio hands to an event."""
        if request is None:
            return LOCAL_OWNER
        if self.settings.auth:
            return f"user:{request.username}"
        if (account := self.find_hf_account(request)) is not None:
            return f"hf:{account['sub']}"
        if not (self.settings.spaces or self.page_takes_key):
            return LOCAL_OWNER
        # Where cookies are blocked, the browser tab is the owner: its hash is random and known to nobody else.
        return self._cookies.read_owner(Headers(dict(request.headers))) or f"session:{request.session_hash}"

    def identify_reporter(self, request: Request) -> str:
        """Find the owner whom the log names (hashed) as sender of a report; "somebody" for an unknown visitor."""
        return self._cookies.read_owner(request.headers) or ("somebody" if self.settings.is_public else LOCAL_OWNER)

    def identify_gradio_client(self, request: gr.Request | None) -> str:
        """Find the owner of a program that calls the page's named events.

        Raises `StudioError` for another site's page, which could otherwise act with its reader's rights.
        """
        raw = request.request if request is not None and not self.settings.is_public else None
        if raw is not None and _is_cross_site(raw):
            raise StudioError(_CROSS_SITE_MESSAGE, code="invalid_api_key")
        return self.identify_visitor(request)

    def may_administer(self, request: gr.Request | None) -> bool:
        """Whether this page visitor may create and revoke keys.

        With `--auth` everybody who logged in; on a Space the account that the Space belongs to; else whoever uses the
        page on this machine. Never a visitor who came with a key, through a share link without a login, or from
        another site's page.
        """
        if request is None or request.request is None:
            return False
        if self.settings.auth:
            return bool(request.username)
        if self.settings.space_author:
            account = self.find_hf_account(request)
            return account is not None and account["preferred_username"] == self.settings.space_author
        return not self.settings.is_public and not _is_cross_site(request.request)

    def find_hf_account(self, request: gr.Request) -> Mapping[str, str] | None:
        """Find the Hugging Face account that a visitor of a Space signed in with; None without one.

        It is kept in a cookie that is signed with the Space's own secret, and expires when the provider says.
        """
        info = self._read_sign_in(request)
        return None if info is None else info["userinfo"]

    def find_hf_token(self, request: gr.Request, scope: str) -> tuple[str, str] | None:
        """Find account id and access token of a visitor who signed in and granted `scope`; None without."""
        info = self._read_sign_in(request)
        if info is None or scope not in info.get("scope", "").split():
            return None
        return info["userinfo"]["sub"], info["access_token"]

    def _read_sign_in(self, request: gr.Request) -> Mapping[str, Any] | None:
        raw = request.request if self.settings.oauth else None
        info = raw.scope.get("session", {}).get("oauth_info") if raw is not None else None
        return None if info is None or info.get("expires_at", 0) < time.time() else info

    def is_locked_out(self, headers: Headers) -> bool:
        """Whether the page opens with a key and the cookie is not of a key that works."""
        return self.page_takes_key and self.keys.find_by_owner(self._cookies.read_owner(headers) or "") is None

    def make_visitor_cookie(self, headers: Headers, logged_in: str | None) -> str | None:
        """Write the `Set-Cookie` value for an answer; None when the visitor has a valid cookie or needs none.

        `headers` are those of the request; `logged_in` is the owner whose key opened the page just now.
        """
        owner = logged_in
        if owner is None and self.settings.spaces and self._cookies.read_owner(headers) is None:
            owner = f"visitor:{secrets.token_hex(16)}"
        return None if owner is None else self._cookies.make_cookie(owner, headers)


def _extract_key(headers: Headers) -> str:
    scheme, _, text = headers.get("authorization", "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()


def _is_cross_site(request: Request) -> bool:
    """Whether a browser sends this for another site's page, or under a foreign host name (DNS rebinding)."""
    host = request.headers.get("host", "")
    if _split_netloc(f"//{host}")[1] not in _LOOPBACK_HOSTS:
        return True
    origin = request.headers.get("origin")
    if origin is not None and _split_netloc(origin)[0] != host:
        return True
    return request.headers.get("sec-fetch-site") == "cross-site"


def _split_netloc(url: str) -> tuple[str, str | None]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", None
    return parts.netloc, parts.hostname
