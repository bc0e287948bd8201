"""`/report`: the public page, without JavaScript, where anybody reports a picture or a wrong refusal."""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qs, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pipelines.core.errors import BadInput, NotFound, StudioError
from pipelines.security.abuse_reports import REASONS
from pipelines.service.studio_service import StudioService
from ui.api.auth.access import AccessControl

REPORT_PATH = "report"
"""Path of the page, relative, so that it works behind any prefix."""
REFUSAL_SUBJECT = "refusal"
FORM_MAX_BYTES = 4096
"""Bytes of a submitted form."""
PAGE_TITLE = "Report to the owner of this studio"
THANKS_MESSAGE = "Thank you. The owner of this studio finds it in the log, with the time and without your name."
_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:10vh auto;padding:0 1rem}"
    "label{display:block;padding:.6rem 0}button{font:inherit;padding:.7rem 1.4rem;margin-top:1rem}"
)
PAGE_TEMPLATE = (
    '<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>'
    '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">'
    "<style>{style}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"
)
"""A public page without JavaScript."""


def make_report_link(*, job: str = "", share: str = "") -> str:
    """Make the address of the form for a job's pictures, for a shared file, or, with neither, for a refusal."""
    query = {name: value for name, value in (("job", job), ("share", share)) if value}
    return REPORT_PATH + (f"?{urlencode(query)}" if query else "")


def render_report_link(words: str, *, job: str = "") -> str:
    """Render the link as HTML that opens a new tab."""
    href = escape(make_report_link(job=job))
    return f'<p class="dbx-report"><a href="{href}" target="_blank" rel="noopener">{escape(words)}</a></p>'


async def serve_report_page(service: StudioService, access: AccessControl, request: Request) -> Response:
    """Answer `GET` and `POST` of the page. It needs no key: only somebody who was given a job or share id knows it."""
    try:
        subject, sha256 = await run_in_threadpool(_find_subject, service, access, request)
        if request.method == "GET":
            return _render_page(_render_form(subject))
        reason = await _read_reason(request)
        await run_in_threadpool(
            service.abuse_reports.submit_report, reason, subject, access.identify_reporter(request), sha256
        )
    except StudioError as error:
        request.state.code = error.code
        return _render_page(f'<p role="alert">{escape(error.message)}</p>', error.status)
    return _render_page(f'<p role="status">{THANKS_MESSAGE}</p>')


def _find_subject(service: StudioService, access: AccessControl, request: Request) -> tuple[str, list[str]]:
    """Find what is reported, and the SHA-256 of its pixels. Raises `NotFound`."""
    if token := request.query_params.get("share"):
        share = access.share_links.open_token(token)
        return share.file_id, [service.files.get_info(share.file_id, share.owner).sha256]
    if job_id := request.query_params.get("job"):
        row = service.jobs.get_job(job_id)
        if row is None:
            raise NotFound("There is no such picture.")
        return job_id, [file.pixels_sha256 for file in row.result.files] if row.result else []
    return REFUSAL_SUBJECT, []


async def _read_reason(request: Request) -> str:
    """Read the form's one field, if it comes from this studio's page. Raises `BadInput`."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_MAX_BYTES:
            raise BadInput("This is more than the form sends.")
    refuse_other_site(request)
    return parse_qs(body.decode("latin-1")).get("reason", [""])[0]


def refuse_other_site(request: Request) -> None:
    """Refuse a form that a browser sends from another site's page. Raises `BadInput`."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise BadInput("The form of another site is not taken.")


def _render_form(subject: str) -> str:
    reasons = [row for row in REASONS.items() if (row[0] == "wrongly_refused") == (subject == REFUSAL_SUBJECT)]
    rows = "".join(
        f'<label><input type="radio" name="reason" value="{name}" required> {escape(words)}</label>'
        for name, words in reasons
    )
    return f'<form method="post"><fieldset><legend>What is wrong?</legend>{rows}</fieldset><button>Send</button></form>'


def _render_page(body: str, status: int = 200) -> HTMLResponse:
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
    return HTMLResponse(PAGE_TEMPLATE.format(language="en", title=PAGE_TITLE, style=_STYLE, body=body), status, headers)
