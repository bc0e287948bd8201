"""The middleware around every route, outermost first: the one list, gzip for the page, 404 for a deleted upload."""

from __future__ import annotations

import os
from pathlib import Path

from anyio import to_thread
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.core.errors import NotFound
from pipelines.engines.visitor_tokens import REQUEST_TOKEN, TOKEN_HEADER
from ui.api.auth.access import AccessControl
from ui.api.auth.visitor_cookie import VisitorCookieMiddleware
from ui.api.errors import error_response
from ui.api.metrics import Metrics
from ui.api.middleware import API_PATHS, RequestGuard
from ui.gradio_patches.page_cache import PageCache

UNCOMPRESSED_PATHS = (*API_PATHS, "/gradio_api")


def build_middleware(access: AccessControl, metrics: Metrics) -> list[Middleware]:
    """List the middleware for Gradio's `launch(app_kwargs={"middleware": …})`."""
    spaces = access.settings.spaces
    rows = [
        Middleware(RequestGuard, on_answer=metrics.count_answer, allow_spaces_frame=spaces),
        Middleware(PageGzipMiddleware),
    ]
    if spaces:
        rows.append(Middleware(VisitorTokenMiddleware))
    if spaces or access.page_takes_key:
        rows.append(
            Middleware(
                VisitorCookieMiddleware, is_locked_out=access.is_locked_out, make_cookie=access.make_visitor_cookie
            )
        )
    rows.append(Middleware(DeletedUploadAnswer))
    if access.make_gradio_auth() is None and not access.settings.oauth:
        rows.append(Middleware(PageCache))
    return rows


class VisitorTokenMiddleware:
    """Notes the token that Hugging Face's proxy adds to a request, for a job that the request orders."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            REQUEST_TOKEN.set(Headers(scope=scope).get(TOKEN_HEADER, ""))
        await self.app(scope, receive, send)


class PageGzipMiddleware:
    """Gzip for the page alone: its config is half a megabyte of text; pictures and event streams gain nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self.plain = app
        self.compressed = GZipMiddleware(app, minimum_size=1024, compresslevel=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_page = scope["type"] == "http" and "." not in scope["path"]
        is_page = is_page and not scope["path"].startswith(UNCOMPRESSED_PATHS)
        await (self.compressed if is_page else self.plain)(scope, receive, send)


class DeletedUploadAnswer:
    """Answers 404 with a sentence for an upload of the page that is deleted, as each is once it was taken in.

    Gradio's own answer is 403, or 500 where the file goes while it answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, is_file, path = scope.get("path", "").partition("/file=")
        if scope["type"] != "http" or not is_file:
            return await self.app(scope, receive, send)
        is_started = is_deleted = False

        async def send_unless_deleted(message: Message) -> None:
            nonlocal is_started, is_deleted
            if message["type"] == "http.response.start" and message["status"] == 403:
                is_deleted = await to_thread.run_sync(_is_deleted_upload, path)
            if not is_deleted:
                is_started = True
                await send(message)

        try:
            await self.app(scope, receive, send_unless_deleted)
        except RuntimeError:  # Starlette's, of a file that is gone
            is_deleted = not is_started and await to_thread.run_sync(_is_deleted_upload, path)
            if not is_deleted:
                raise
        if is_deleted:
            error = NotFound("This upload is deleted: the studio keeps the picture, not the file that was sent.")
            scope.setdefault("state", {})["code"] = error.code
            await error_response(error)(scope, receive, send)


def _is_deleted_upload(path: str) -> bool:
    """Whether `path` lies in the page's folder of uploads and no file is there. Of other folders nothing is told."""
    from gradio.utils import get_upload_folder

    place = os.path.abspath(path)
    return Path(place).is_relative_to(os.path.abspath(get_upload_folder())) and not os.path.exists(place)


def remove_gradio_cors(app: FastAPI) -> None:
    """Remove the middleware by which Gradio lets other sites' pages read answers; our page needs none of it."""
    from gradio.route_utils import CustomCORSMiddleware

    app.user_middleware[:] = [row for row in app.user_middleware if row.cls is not CustomCORSMiddleware]
    app.middleware_stack = app.build_middleware_stack()
