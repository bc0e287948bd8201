"""The front page, written by Gradio once and handed to whoever asks the same way; knows nothing of what is in it.

Gradio writes a megabyte and a half anew for each visitor, which takes a seventh of a second when the machine is idle
and most of one when it draws. What it writes depends on the address alone where nobody signs in.
"""

from __future__ import annotations

import gzip
from collections import OrderedDict
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CACHED_PAGE_COUNT = 8
"""Addresses that a studio goes by, each plain and packed; a caller invents any number of them."""
_ADDRESS_HEADERS = ("host", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-prefix", "origin")


@dataclass(frozen=True)
class _CachedPage:
    start: MutableMapping[str, Any]
    body: bytes


class PageCache:
    """The innermost layer around a Gradio app without a sign-in: whoever adds a cookie stands outside it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._pages: OrderedDict[tuple[str, ...], _CachedPage] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not (scope["type"] == "http" and scope["path"] == "/" and scope["method"] == "GET"):
            return await self.app(scope, receive, send)
        if scope["query_string"]:
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        packed = "gzip" in headers.get("accept-encoding", "")
        key = (
            scope["scheme"],
            scope.get("root_path", ""),
            str(packed),
            *(headers.get(name, "") for name in _ADDRESS_HEADERS),
        )
        page = self._pages.get(key) or await self._render_page(scope, receive, packed, key)
        await send({**page.start, "headers": list(page.start["headers"])})
        await send({"type": "http.response.body", "body": page.body})

    async def _render_page(self, scope: Scope, receive: Receive, packed: bool, key: tuple[str, ...]) -> _CachedPage:
        told: list[Message] = []

        async def note(message: Message) -> None:
            told.append(message)

        await self.app(scope, receive, note)
        page = _build_page(told[0], b"".join(row.get("body", b"") for row in told[1:]), packed)
        if told[0]["status"] == 200 and "set-cookie" not in Headers(raw=told[0]["headers"]):
            self._pages[key] = page
            while len(self._pages) > CACHED_PAGE_COUNT:
                self._pages.popitem(last=False)
        return page


def _build_page(start: MutableMapping[str, Any], body: bytes, packed: bool) -> _CachedPage:
    headers = MutableHeaders(raw=list(start["headers"]))
    if packed and "content-encoding" not in headers:
        body = gzip.compress(body, 6)
        headers["content-encoding"] = "gzip"
    headers.add_vary_header("Accept-Encoding")
    headers["content-length"] = str(len(body))
    return _CachedPage({**start, "headers": headers.raw}, body)
