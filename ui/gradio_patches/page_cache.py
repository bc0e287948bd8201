"""ASGI middleware that caches the page as Gradio renders it. Patches no private name.

Gradio renders 1.5 MB for each visitor: 0.14 s on an idle machine, almost 1 s while it draws. Without a sign-in, the
page depends on the address alone.
"""

from __future__ import annotations

import gzip
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.core.lru_cache import LruCache

CACHED_PAGE_COUNT = 8
"""Cached pages: one plain and one gzipped for each address. Bounded, because a caller can invent any host name."""
_ADDRESS_HEADERS = ("host", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-prefix", "origin")


@dataclass(frozen=True)
class _CachedPage:
    start: MutableMapping[str, Any]
    body: bytes


class PageCache:
    """Caches `GET /` of a Gradio app without a sign-in. Must be the innermost middleware: others may set cookies."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._pages = LruCache[tuple[str, ...], _CachedPage](CACHED_PAGE_COUNT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not (scope["type"] == "http" and scope["path"] == "/" and scope["method"] == "GET"):
            return await self.app(scope, receive, send)
        if scope["query_string"]:
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        gzipped = "gzip" in headers.get("accept-encoding", "")
        key = (
            scope["scheme"],
            scope.get("root_path", ""),
            str(gzipped),
            *(headers.get(name, "") for name in _ADDRESS_HEADERS),
        )
        page = self._pages.get(key) or await self._render_page(scope, receive, gzipped, key)
        await send({**page.start, "headers": list(page.start["headers"])})
        await send({"type": "http.response.body", "body": page.body})

    async def _render_page(self, scope: Scope, receive: Receive, gzipped: bool, key: tuple[str, ...]) -> _CachedPage:
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self.app(scope, receive, collect)
        page = _build_page(messages[0], b"".join(message.get("body", b"") for message in messages[1:]), gzipped)
        if messages[0]["status"] == 200 and "set-cookie" not in Headers(raw=messages[0]["headers"]):
            self._pages.put(key, page)
        return page


def _build_page(start: MutableMapping[str, Any], body: bytes, gzipped: bool) -> _CachedPage:
    headers = MutableHeaders(raw=list(start["headers"]))
    if gzipped and "content-encoding" not in headers:
        body = gzip.compress(body, 6)
        headers["content-encoding"] = "gzip"
    headers.add_vary_header("Accept-Encoding")
    headers["content-length"] = str(len(body))
    return _CachedPage({**start, "headers": headers.raw}, body)
