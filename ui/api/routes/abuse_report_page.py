"""`/report`: where whoever sees a picture, or a refusal, tells the studio's owner; a page of its own without script."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from pipelines.core.errors import BadInput, NotFound, StudioError
from pipelines.security.abuse_reports import REASONS
from pipelines.service.orders import StudioService

if TYPE_CHECKING:
    from ui.api.auth.access import Access

PATH = "report"
"""Relative, so that it is found behind any prefix."""
REFUSAL = "refusal"
MOST = 4096
"""Bytes of what the form sends."""
TITLE = "Report to the owner of this studio"
THANKS = "Thank you. The owner of this studio finds it in the log, with the time and without your name."
_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:10vh auto;padding:0 1rem}"
    "label{display:block;padding:.6rem 0}button{font:inherit;padding:.7rem 1.4rem;margin-top:1rem}"
)
_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">'
    "<style>{style}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"
)


def link(*, job: str = "", share: str = "") -> str:
    """The address of the form for a job's pictures, for a shared file, or, with neither, for a refusal."""
    about = {name: value for name, value in (("job", job), ("share", share)) if value}
    return PATH + (f"?{urlencode(about)}" if about else "")


def anchor(words: str, *, job: str = "") -> str:
    """The link as HTML, opening beside the page."""
    href = escape(link(job=job))
    return f'<p class="dbx-report"><a href="{href}" target="_blank" rel="noopener">{escape(words)}</a></p>'


def routes(service: StudioService, access: Access) -> list[Route]:
    """Open to all, like a shared link: the id of a job or a share is known to those only who were given it."""
    return [Route(f"/{PATH}", _endpoint(service, access), methods=["GET", "POST"])]


def _endpoint(service: StudioService, access: Access) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            subject, sha256 = await run_in_threadpool(_subject, service, access, request)
            if request.method == "GET":
                return _page(_form(subject))
            reason = await _reason(request)
            await run_in_threadpool(
                service.abuse_reports.submit_report, reason, subject, access.reporter(request), sha256
            )
        except StudioError as error:
            request.state.code = error.code
            return _page(f'<p role="alert">{escape(error.message)}</p>', error.status)
        return _page(f'<p role="status">{THANKS}</p>')

    return endpoint


def _subject(service: StudioService, access: Access, request: Request) -> tuple[str, list[str]]:
    """What is pointed at, and the SHA-256 of its pixels. Raises `NotFound`."""
    if token := request.query_params.get("share"):
        share = access.shares.open(token)
        return share.file_id, [service.files.get_info(share.file_id, share.owner).sha256]
    if job_id := request.query_params.get("job"):
        row = service.jobs.get_job(job_id)
        if row is None:
            raise NotFound("There is no such picture.")
        return job_id, [file.pixels_sha256 for file in row.result.files] if row.result else []
    return REFUSAL, []


async def _reason(request: Request) -> str:
    """The one field of the form; from a page of this studio only. Raises `BadInput`."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST:
            raise BadInput("This is more than the form sends.")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise BadInput("The form of another site is not taken.")
    return parse_qs(body.decode("latin-1")).get("reason", [""])[0]


def _form(subject: str) -> str:
    reasons = [row for row in REASONS.items() if (row[0] == "wrongly_refused") == (subject == REFUSAL)]
    rows = "".join(
        f'<label><input type="radio" name="reason" value="{name}" required> {escape(words)}</label>'
        for name, words in reasons
    )
    return f'<form method="post"><fieldset><legend>What is wrong?</legend>{rows}</fieldset><button>Send</button></form>'


def _page(body: str, status: int = 200) -> HTMLResponse:
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
    return HTMLResponse(_PAGE.format(title=TITLE, style=_STYLE, body=body), status, headers)
