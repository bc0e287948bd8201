"""Outermost ASGI middleware, also around the page: request id, security headers, body limits, access log."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.core.errors import NotFound, StudioError
from pipelines.core.log_setup import REQUEST_ID
from ui.api.errors import error_response, find_route_pattern, to_studio_error
from ui.api.request_parsing import DRAIN_BYTES, MAX_BODY_BYTES

log = logging.getLogger("designerbox.request")

PAGE_BODY_BYTES = 32_000_000
"""Bytes in one event of the page; pictures are uploaded separately."""

API_PATHS = ("/v1", "/healthz", "/metrics", "/s/", "/join/", "/mcp")
"""Paths that are not of the page."""

_REQUEST_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_COMMON_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=(), payment=(), usb=()",
}
# A result may be opened in a browser tab of its own, but it can load nothing else and run no script.
_DATA_POLICY = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_PAGE_POLICY = "base-uri 'self'; object-src 'none'; frame-ancestors {}"
_SPACES_FRAME_ANCESTORS = "'self' https://huggingface.co https://*.hf.space"

OnAnswer = Callable[[str, str, int, float, str], None]
"""Called for each answer with its method, route, status, seconds, and the error's code ("" for none)."""


class RequestGuard:
    """The middleware. `allow_spaces_frame` lets Hugging Face show the page inside a frame of its own page."""

    def __init__(self, app: ASGIApp, on_answer: OnAnswer | None = None, allow_spaces_frame: bool = False) -> None:
        self.app = app
        self.on_answer = on_answer
        self.page_policy = _PAGE_POLICY.format(_SPACES_FRAME_ANCESTORS if allow_spaces_frame else "'self'")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request_id = _read_request_id(Headers(scope=scope))
        token = REQUEST_ID.set(request_id)
        scope.setdefault("state", {})
        request = _GuardedRequest(self, scope, receive, send, request_id)
        try:
            await request.run()
        finally:
            REQUEST_ID.reset(token)
            self._log_answer(scope, request)

    def _log_answer(self, scope: Scope, request: _GuardedRequest) -> None:
        seconds, route = time.monotonic() - request.start_time, find_route_pattern(scope)
        about = {"method": scope["method"], "route": route, "status": request.status, "ms": round(seconds * 1000, 1)}
        about |= {name: scope["state"][name] for name in ("key", "code") if scope["state"].get(name)}
        # The page loads hundreds of its own files, which are of no use in a log.
        level = logging.INFO if scope["path"].startswith(API_PATHS) else logging.DEBUG
        log.log(level, "%s %s %s", scope["method"], route, request.status, extra={"about": about})
        if self.on_answer is not None:
            self.on_answer(scope["method"], route, request.status, seconds, scope["state"].get("code", ""))


class _GuardedRequest:
    """One request and its answer, with the state that the guard needs between the two."""

    def __init__(self, guard: RequestGuard, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self._guard, self._scope, self._receive, self._send = guard, scope, receive, send
        self._request_id = request_id
        self._read_limit, self._announced_limit = _body_limits(scope["path"])
        self._bytes_read = 0
        self._over_limit = False
        self._started = False
        self._complete = False
        self.status = 0
        self.start_time = time.monotonic()

    async def run(self) -> None:
        length = Headers(scope=self._scope).get("content-length", "")
        if length.isdigit() and int(length[:20]) > self._announced_limit:
            return await self._refuse_body()
        if self._scope["path"].startswith(API_PATHS) and not self._scope["path"].isprintable():
            # No route of ours has such a path, and the router's own answer would not be the error envelope.
            return await self._send_error(NotFound("There is nothing at this address."))
        try:
            await self._guard.app(self._scope, self._receive_counted, self._send_guarded)
        except ClientDisconnect:
            pass  # the client left, or has been told that it sends too much
        except Exception as error:  # noqa: BLE001  every failure gets the error envelope, not the server's answer
            await self._answer_exception(error)

    async def _answer_exception(self, error: Exception) -> None:
        """Answer for a route that raised. `/v1` has already answered for its own routes, and raises again."""
        if self._complete or self._over_limit:
            return
        studio_error = to_studio_error(error, self._scope)
        if self._started:  # the server must cut the connection, else half an answer is taken for a whole one
            self._scope["state"]["code"] = studio_error.code
            raise error
        await self._send_error(studio_error)

    async def _send_error(self, error: StudioError) -> None:
        self._scope["state"]["code"] = error.code
        await error_response(error)(self._scope, self._receive_counted, self._send_guarded)

    async def _receive_counted(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._bytes_read += len(message.get("body", b""))
            if self._bytes_read > self._read_limit and not self._over_limit:
                self._over_limit = True
                await self._refuse_body()
        # The route that still reads sees a closed connection, and ends.
        return {"type": "http.disconnect"} if self._over_limit else message

    async def _send_guarded(self, message: Message) -> None:
        if self._over_limit:
            return
        if message["type"] == "http.response.start":
            self._started, self.status = True, message["status"]
            self._add_headers(MutableHeaders(scope=message))
        elif message["type"] == "http.response.body":
            self._complete = not message.get("more_body", False)
        await self._send(message)

    def _add_headers(self, headers: MutableHeaders) -> None:
        headers["X-Request-Id"] = self._request_id
        for name, value in _COMMON_HEADERS.items():
            headers.setdefault(name, value)
        is_api = self._scope["path"].startswith(API_PATHS)
        headers.setdefault("Content-Security-Policy", _DATA_POLICY if is_api else self._guard.page_policy)
        if is_api:
            headers.setdefault("X-Frame-Options", "DENY")
            headers.setdefault("Cache-Control", "no-store")
        headers.update(self._scope["state"].get("rate_limit_headers", {}))

    async def _refuse_body(self) -> None:
        if self._started:
            return
        error = StudioError(f"The request is larger than {self._read_limit // 10**6} MB.", code="image_too_large")
        self._scope["state"]["code"] = error.code
        answer = error_response(error)
        self._add_headers(answer.headers)
        self.status, self._started, self._over_limit = error.status, True, True
        await answer(self._scope, self._receive, self._send)


def _body_limits(path: str) -> tuple[int, int]:
    """Choose how many bytes may be read, and how many may be announced in `Content-Length`."""
    if path.startswith("/v1"):  # one byte more, so that the route itself answers with its own sentence
        return DRAIN_BYTES + 1, DRAIN_BYTES
    if path == "/mcp":  # the MCP endpoint has a lower limit, and answers in its own protocol
        return MAX_BODY_BYTES, MAX_BODY_BYTES
    limit = MAX_BODY_BYTES if "/upload" in path else PAGE_BODY_BYTES
    return limit, limit


def _read_request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID_PATTERN.fullmatch(given) else f"req_{secrets.token_hex(12)}"
