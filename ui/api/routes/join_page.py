"""`/join/{token}`: the public page, without JavaScript, where a colleague sends a portrait to a team or deletes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html import escape
from typing import TYPE_CHECKING

from anyio import to_thread
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from pipelines.core.errors import BadInput, InvalidParams, NotFound, PolicyRefusal, StudioError
from pipelines.ingest.decoder_pool import check_file_size
from pipelines.service.form_checks import CONSENT_REQUIRED_MESSAGE
from pipelines.service.studio_service import StudioService
from pipelines.service.teams import (
    ENDED_MESSAGE,
    MAX_NAME_LENGTH,
    MAX_ROLE_LENGTH,
    Invitation,
    MemberState,
)
from ui.api.auth.invite_links import JOIN_PATH
from ui.api.errors import RateLimited
from ui.api.request_parsing import read_form
from ui.i18n import GERMAN, reads_german, translate

if TYPE_CHECKING:
    from ui.api.auth.access import AccessControl

PORTRAITS_PER_HOUR = 60
"""Portraits from one address within an hour; an office may have one address."""
TITLE = "Your portrait for {}"
CONSENT_SENTENCE = "This is me, I am 18 or over, and I agree that my photo is used in pictures of {}."
WHO_SEES_SENTENCE = (
    "Whoever sent you this link sees your name, role and photo, and makes team pictures of them. No outside service "
    "gets them."
)
KEPT_DAYS_SENTENCE = "They are deleted after {} days, or earlier: you can delete them on the page that follows."
KEPT_SENTENCE = "They are kept until they are deleted: you can do that on the page that follows."
MADE_SENTENCE = (
    "Pictures made with your photo stay, and the photo with them, until whoever sent this link deletes them."
)
STATE_SENTENCES: dict[MemberState, str] = {
    "received": "Thank you. Your portrait was sent.",
    "approved": "Your portrait was taken.",
    "asked_again": "Another portrait was asked for. Use the new link that you were given.",
    "refused": "Your portrait was not taken, and was deleted.",
}
KEEP_ADDRESS_SENTENCE = "Keep the address of this page: here you can delete what you sent."
DELETED_SENTENCE = "Your name and portrait were deleted."
_STYLE = (
    '@font-face{font-family:Inter;src:url("../assets/inter.woff2");font-weight:400 700}'
    ":root{color-scheme:light dark;--ground:#fafafa;--card:#fff;--words:#1a1a19;--quiet:#53534f;--line:#a3a39f;"
    "--on:#0f6e65;--on-words:#fff;--alert:#9b1c1c;--alert-fill:#fdeeee}"
    "@media(prefers-color-scheme:dark){:root{--ground:#121211;--card:#1f1f1e;--words:#f4f4f3;--quiet:#b9b9b4;"
    "--line:#6a6a65;--on:#7cc7bd;--on-words:#062522;--alert:#ffb4ab;--alert-fill:#3a1a17}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--ground);color:var(--words);font:16px/1.5 Inter,system-ui,sans-serif}"
    "main{max-width:34rem;margin:0 auto;padding:2rem 1rem 3rem}h1{font-size:1.6rem;line-height:1.25;margin:0 0 1rem;"
    "overflow-wrap:anywhere}p{margin:0 0 .75rem}.quiet{color:var(--quiet);font-size:.9rem}"
    "form{margin-top:1.25rem;padding:1.25rem;background:var(--card);border:1px solid var(--line);border-radius:14px}"
    "label{display:block;margin-bottom:1rem;font-weight:600}"
    "label input{display:block;width:100%;min-height:44px;margin-top:.35rem;padding:.55rem .75rem;font:inherit;"
    "font-weight:400;color:inherit;background:var(--ground);border:1px solid var(--line);border-radius:8px}"
    "label.check{display:flex;gap:.75rem;align-items:flex-start;font-weight:400}"
    "label.check input{flex:none;width:24px;min-height:24px;height:24px;margin:0;accent-color:var(--on)}"
    "button{min-height:48px;padding:.5rem 1.5rem;font:inherit;font-weight:600;color:var(--on-words);"
    "background:var(--on);border:0;border-radius:8px;cursor:pointer}button.plain{color:var(--words);background:none;"
    "border:1px solid var(--line)}:focus-visible{outline:3px solid var(--on);outline-offset:2px}"
    "[role=alert],.note{padding:.75rem 1rem;border-radius:8px;background:var(--alert-fill);color:var(--alert)}"
    ".note{background:var(--card);color:var(--words);border:1px solid var(--line);overflow-wrap:anywhere}"
)
_PAGE = (
    '<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>'
    '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">'
    "<style>{style}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"
)
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; font-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Language",
}


def build_join_route(service: StudioService, access: AccessControl) -> Route:
    """Build the route of the page. It needs no key: the token says what may be done."""
    return Route(f"{JOIN_PATH}/{{token}}", _make_join_endpoint(service, access), methods=["GET", "POST"])


def _make_join_endpoint(service: StudioService, access: AccessControl) -> Callable[[Request], Awaitable[Response]]:
    async def serve_join_page(request: Request) -> Response:
        page = _Page(service, reads_german(request.headers.get("accept-language", "")))
        try:
            kind, word = access.invite_links.read_token(request.path_params["token"])
        except NotFound as error:
            return page.render_error(request, error, 404)
        try:
            invitation = await to_thread.run_sync(_open_link, service, access, kind, word)
        except NotFound as error:
            return page.render_error(request, error, 410)
        if request.method != "POST":
            return page.render_join_form(invitation) if kind == "invite" else page.render_own(invitation)
        try:
            _check_sender(request, access)
            if kind == "own":
                await to_thread.run_sync(service.teams.withdraw_member, word)
                return page.render(page.say(DELETED_SENTENCE), "")
        except StudioError as error:
            return page.render_error(request, error, error.status)
        return await _receive_form(request, page, invitation, word, access)

    return serve_join_page


def _open_link(service: StudioService, access: AccessControl, kind: str, word: str) -> Invitation:
    """Find what a link opens, unless the key of the team's owner was revoked. Raises `NotFound`."""
    found = service.teams.open_invite(word) if kind == "invite" else service.teams.open_own_link(word)
    if not access.keys.is_owner_valid(found.team.owner):
        raise NotFound(ENDED_MESSAGE)
    return found


def _check_sender(request: Request, access: AccessControl) -> None:
    """Refuse a form of another site, and more than an office sends. Raises `BadInput`, `RateLimited`."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise BadInput("The form of another site is not taken.")
    address = request.client.host if request.client else ""
    state, refused = access.portrait_window.count_event(address, PORTRAITS_PER_HOUR)
    if refused:
        raise RateLimited("Many portraits came from your address. Please try again in an hour.", state.reset)


async def _receive_form(
    request: Request, page: _Page, invitation: Invitation, invite: str, access: AccessControl
) -> Response:
    """Take the form, and lead to the member's own page; the form again, as it was filled in, with what is wrong."""
    filled: dict[str, str] = {}
    try:
        async with read_form(request) as form:
            sent = {name: form.get_one(name) for name in ("name", "role", "consent")}
            filled = {name: value for name, value in sent.items() if isinstance(value, str)}
            data = await _read_photo(form.get_one("photo"))
        if filled.get("consent") != "yes":
            raise PolicyRefusal(CONSENT_REQUIRED_MESSAGE, code="consent_required", param="consent")
        teams, consent = page.service.teams, page.say(CONSENT_SENTENCE, invitation.team.name)
        name, role = filled.get("name", ""), filled.get("role", "")
        member = await to_thread.run_sync(teams.receive_portrait, invite, name, role, consent, data)
    except StudioError as error:
        request.state.code = error.code
        if isinstance(error, NotFound):  # the link was used or revoked while the form was filled in
            return page.render_error(request, error, 410)
        return page.render_join_form(invitation, filled, error)
    return RedirectResponse(access.invite_links.make_token("own", member.own_link), 303, _HEADERS)


async def _read_photo(value: object) -> bytes:
    if not isinstance(value, UploadFile):
        raise InvalidParams("Choose a photo.", param="photo")
    check_file_size(value.size or 0, "photo")
    return await value.read()


class _Page:
    """Renders the page in the visitor's language. Every word that somebody typed is escaped here."""

    def __init__(self, service: StudioService, german: bool) -> None:
        self.service = service
        self._german = german

    def say(self, text: str, *parts: str) -> str:
        """Say a sentence in the visitor's language, with `parts` in its gaps."""
        return (GERMAN.get(text, text) if self._german else text).format(*parts)

    def render(self, title: str, body: str, status: int = 200) -> HTMLResponse:
        """Render the page: `title` is text, `body` HTML."""
        language = "de" if self._german else "en"
        page = _PAGE.format(language=language, title=escape(title), style=_STYLE, body=body)
        return HTMLResponse(page, status, _HEADERS)

    def render_error(self, request: Request, error: StudioError, status: int) -> HTMLResponse:
        """Render a page that says what is wrong and nothing of any team."""
        request.state.code = error.code
        return self.render(str(status), self._render_alert(error), status)

    def _render_alert(self, error: StudioError) -> str:
        message = translate(error.message) if self._german else error.message
        return f'<p role="alert">{escape(message)}</p>'

    def render_join_form(
        self, invitation: Invitation, filled: dict[str, str] | None = None, error: StudioError | None = None
    ) -> HTMLResponse:
        """Render the form, filled in as it was sent or with what is known of a member who is asked again."""
        team, member = invitation.team, invitation.member
        known = {"name": member.name, "role": member.role} if member else {}
        filled = known if filled is None else filled
        note = f'<p class="note">{escape(member.note)}</p>' if member and member.note else ""
        days = self.service.settings.keep_days
        kept = self.say(KEPT_DAYS_SENTENCE, f"{days:g}") if days else self.say(KEPT_SENTENCE)
        about = _render_quiet(self.say(WHO_SEES_SENTENCE), kept, self.say(MADE_SENTENCE))
        checked = " checked" if filled.get("consent") == "yes" else ""
        form = (
            '<form method="post" enctype="multipart/form-data">'
            f"{self._render_field('Name', 'name', filled, MAX_NAME_LENGTH, ' required')}"
            f"{self._render_field('Role', 'role', filled, MAX_ROLE_LENGTH)}"
            f"<label>{escape(self.say('Photo'))}"
            '<input type="file" name="photo" accept="image/*" required></label>'
            f"{_render_quiet(self.say('Alone, from the front, with your whole head in the picture.'))}"
            f'<label class="check"><input type="checkbox" name="consent" value="yes" required{checked}>'
            f"<span>{escape(self.say(CONSENT_SENTENCE, team.name))}</span></label>"
            f"<button>{escape(self.say('Send'))}</button></form>"
        )
        alert = self._render_alert(error) if error else ""
        return self.render(self.say(TITLE, team.name), alert + note + about + form, error.status if error else 200)

    def _render_field(self, label: str, name: str, filled: dict[str, str], most: int, more: str = "") -> str:
        value = escape(filled.get(name, ""))
        return (
            f"<label>{escape(self.say(label))}"
            f'<input name="{name}" value="{value}" maxlength="{most}" autocomplete="off"{more}></label>'
        )

    def render_own(self, invitation: Invitation) -> HTMLResponse:
        """Render a member's own page: what became of the portrait, and a button that deletes it."""
        member = invitation.member
        assert member is not None
        button = escape(self.say("Delete my name and portrait"))
        body = (
            f'<p role="status">{escape(self.say(STATE_SENTENCES[member.state]))}</p>'
            f"{_render_quiet(self.say(MADE_SENTENCE), self.say(KEEP_ADDRESS_SENTENCE))}"
            f'<form method="post"><button class="plain">{button}</button></form>'
        )
        return self.render(self.say(TITLE, invitation.team.name), body)


def _render_quiet(*sentences: str) -> str:
    return "".join(f'<p class="quiet">{escape(sentence)}</p>' for sentence in sentences)
