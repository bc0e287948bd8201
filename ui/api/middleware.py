"""Around every route, the page too: a request id, guarding headers, a cap on bodies, a log line; opens nothing."""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.core.errors import NotFound, StudioError
from pipelines.core.log_setup import REQUEST_ID
from ui.api.errors import known, marked, response, route_of
from ui.api.request_parsing import BODY_BYTES, DRAIN_BYTES

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger("designerbox.request")

PAGE_BODY_BYTES = 32_000_000
"""Of one event of the page; pictures are uploaded beside it."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=(), payment=(), usb=()",
}
# A finished picture or film may be looked at by itself; it can load nothing and no script runs.
_DATA_POLICY = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_PAGE_POLICY = "base-uri 'self'; object-src 'none'; frame-ancestors {}"
_SPACES = "'self' https://huggingface.co https://*.hf.space"
_API = ("/v1", "/healthz", "/metrics", "/s/", "/mcp")

Told = Callable[[str, str, int, float, str], None]
"""Handed method, route, status, seconds and the error's code, "" where there is none, of each answer."""


class Edge:
    """The outermost layer. `told` counts answers; `framed` lets Hugging Face show the page inside its own."""

    def __init__(self, app: ASGIApp, told: Told | None = None, framed: bool = False) -> None:
        self.app = app
        self.told = told
        self.page_policy = _PAGE_POLICY.format(_SPACES if framed else "'self'")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request_id = _request_id(Headers(scope=scope))
        token = REQUEST_ID.set(request_id)
        scope.setdefault("state", {})
        answer = _Answer(self, scope, receive, send, request_id)
        try:
            await answer.run()
        finally:
            REQUEST_ID.reset(token)
            self._tell(scope, answer)

    def _tell(self, scope: Scope, answer: _Answer) -> None:
        seconds, route = time.monotonic() - answer.since, route_of(scope)
        about = {"method": scope["method"], "route": route, "status": answer.status, "ms": round(seconds * 1000, 1)}
        about |= {name: scope["state"][name] for name in ("key", "code") if scope["state"].get(name)}
        # The page asks for hundreds of its own files; what they say is of no use in a log.
        level = logging.INFO if scope["path"].startswith(_API) else logging.DEBUG
        log.log(level, "%s %s %s", scope["method"], route, answer.status, extra={"about": about})
        if self.told is not None:
            self.told(scope["method"], route, answer.status, seconds, scope["state"].get("code", ""))


class _Answer:
    """One request on its way in and out."""

    def __init__(self, edge: Edge, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self._edge, self._scope, self._receive, self._send = edge, scope, receive, send
        self._request_id = request_id
        self._cap, self._hard = _caps(scope["path"])
        self._read = 0
        self._over = False
        self._begun = False
        self._whole = False
        self.status = 0
        self.since = time.monotonic()

    async def run(self) -> None:
        length = Headers(scope=self._scope).get("content-length", "")
        if length.isdigit() and int(length[:20]) > self._hard:
            return await self._refuse()
        if self._scope["path"].startswith(_API) and not self._scope["path"].isprintable():
            # No route of ours has such a name, and the router's own answer would not be ours.
            return await self._say(NotFound("There is nothing at this address."))
        try:
            await self._edge.app(self._scope, self._take, self._give)
        except ClientDisconnect:
            pass  # the sender is gone, or was told that it sends too much
        except Exception as error:  # noqa: BLE001  whoever asks is answered by us and not by the server
            await self._broken(error)

    async def _broken(self, error: Exception) -> None:
        """Answer for a route that raised. `/v1` answers for its own, and raises all the same."""
        if self._whole or self._over:
            return
        told = known(error, self._scope)
        if self._begun:  # the server cuts the connection, so that nobody takes this half for the whole
            self._scope["state"]["code"] = told.code
            raise error
        await self._say(told)

    async def _say(self, error: StudioError) -> None:
        self._scope["state"]["code"] = error.code
        await response(error)(self._scope, self._take, self._give)

    async def _take(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._read += len(message.get("body", b""))
            if self._read > self._cap and not self._over:
                self._over = True
                await self._refuse()
        # Whoever still reads is told that the sender is gone, and ends.
        return {"type": "http.disconnect"} if self._over else message

    async def _give(self, message: Message) -> None:
        if self._over:
            return
        if message["type"] == "http.response.start":
            self._begun, self.status = True, message["status"]
            self._mark(MutableHeaders(scope=message))
        elif message["type"] == "http.response.body":
            self._whole = not message.get("more_body", False)
        await self._send(message)

    def _mark(self, headers: MutableHeaders) -> None:
        headers["X-Request-Id"] = self._request_id
        for name, value in _EVERYWHERE.items():
            headers.setdefault(name, value)
        data = self._scope["path"].startswith(_API)
        headers.setdefault("Content-Security-Policy", _DATA_POLICY if data else self._edge.page_policy)
        if data:
            headers.setdefault("X-Frame-Options", "DENY")
            headers.setdefault("Cache-Control", "no-store")
        standing = self._scope["state"].get("standing")
        for name, value in standing.headers().items() if standing is not None else ():
            headers[name] = value

    async def _refuse(self) -> None:
        if self._begun:
            return
        error = StudioError(f"The request is larger than {self._cap // 10**6} MB.", code="image_too_large")
        self._scope["state"]["code"] = error.code
        body = json.dumps({"error": marked(error)}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        start: MutableMapping[str, Any] = {"type": "http.response.start", "status": error.status, "headers": headers}
        self._mark(MutableHeaders(scope=start))
        self.status, self._begun, self._over = error.status, True, True
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def _caps(path: str) -> tuple[int, int]:
    """Bytes that may be read, and that may be announced. `/v1` reads a little on, so that its own sentence arrives."""
    if path.startswith("/v1"):
        return DRAIN_BYTES + 1, DRAIN_BYTES
    if path == "/mcp":  # it has a bound of its own, and an answer in its own protocol
        return BODY_BYTES, BODY_BYTES
    cap = BODY_BYTES if "/upload" in path else PAGE_BODY_BYTES
    return cap, cap


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _ID.fullmatch(given) else f"req_{secrets.token_hex(12)}"


def close_cors(app: FastAPI) -> None:
    """Take out the layer by which Gradio lets other sites' pages read answers; ours asks only its own address."""
    from gradio.route_utils import CustomCORSMiddleware

    kept = [row for row in app.user_middleware if row.cls is not CustomCORSMiddleware]
    app.user_middleware[:] = kept
    app.middleware_stack = app.build_middleware_stack()
