"""The fold "Ask your team for portraits" of Business Photos: a link for colleagues, and what they sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from html import escape
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import StudioError
from pipelines.core.lru_cache import LruCache
from pipelines.service.teams import DEFAULT_DAYS, MAX_DAYS, MemberAction, MemberState, Team, TeamMember
from ui.components.event_options import PRIVATE_EVENT
from ui.components.page_address import page_address
from ui.components.pictures import encode_data_url, encode_page_jpeg
from ui.components.team_panel import PREFIX, TeamPanel
from ui.tool_tab import text
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.layout import CONSENT_FIELD
from ui.tool_tab.state import TabState
from ui.tool_tab.updates import Updates

NO_PORTRAITS_TEXT = "No portrait yet."
CHOOSE_TEAM_TEXT = "Choose a team first."
CHOOSE_PORTRAIT_TEXT = "Choose a portrait first."
STATE_WORDS: dict[MemberState, str] = {
    "received": "New",
    "approved": "Approved",
    "asked_again": "Asked again",
    "refused": "Refused",
}
PORTRAIT_SIDE_PX = 192
REMEMBERED_PORTRAIT_COUNT = 200
MAX_SHOWN_TEAM_COUNT = 50


class TeamPanelEvents:
    """Listeners of the fold. Every handler reads only the teams of the request's owner."""

    def __init__(self, panel: TeamPanel, events: ToolTabEvents) -> None:
        self.panel = panel
        self.events = events
        self.teams = events.service.teams
        self._jpegs = LruCache[str, str](REMEMBERED_PORTRAIT_COUNT)

    def wire(self) -> None:
        """Attach the listeners."""
        panel, form = self.panel, self.events.tab.value_components()
        accordion: Any = panel.accordion
        self._listen(accordion.expand, self.show_team, [panel.team])
        self._listen(panel.create.click, self.create_team, [panel.name, panel.days, *form])
        choices: Any = (panel.team, panel.member)
        self._listen(choices[0].input, self.show_team, [panel.team])
        self._listen(choices[1].input, self.show_team, [panel.team, panel.member])
        self._listen(panel.refresh.click, self.show_team, [panel.team])
        decisions: list[tuple[gr.Button, MemberAction]] = [
            (panel.approve, "approve"),
            (panel.ask_again, "ask_again"),
            (panel.refuse, "refuse"),
        ]
        for button, action in decisions:
            self._listen(button.click, self._make_decision_handler(action), [panel.team, panel.member, panel.note])
        self._listen(panel.renew.click, self.renew_link, [panel.team, panel.days])
        self._listen(panel.delete.click, self.delete_team, [panel.team])
        state = self.events.tab.state
        self.events.listen(panel.use.click, self.use_approved, [panel.team, state, *form], [panel.alerts])

    def _listen(self, listener: Any, handler: Callable[..., Any], inputs: list[Any]) -> None:
        listener(handler, inputs, self.panel.list_outputs(), **PRIVATE_EVENT)

    async def show_team(self, request: gr.Request, team_id: str | None, member_id: str | None = None) -> Updates:
        """Show the chosen team, else the newest one, with its portraits, and the link of a colleague asked again."""
        return await self._run_in_thread(
            request, lambda owner: self._show_team_portraits(owner, request, team_id, member_id)
        )

    async def create_team(self, request: gr.Request, name: str, days: float | None, *values: Any) -> Updates:
        """Make a team with a link; its page looks as the form says now."""
        tab = self.events.tab

        def create(owner: str) -> Updates:
            team = self.teams.create_team(
                owner, tab.tool, name, days=_clip_days(days), brand=None, settings=tab.read_form(values)
            )
            return {**self._show_team_portraits(owner, request, team.id), self.panel.name: ""}

        return await self._run_in_thread(request, create)

    def _make_decision_handler(self, action: MemberAction) -> Callable[..., Any]:
        async def decide(request: gr.Request, team_id: str | None, member_id: str | None, note: str) -> Updates:
            if not team_id or not member_id:
                return {self.panel.alerts: text.render_alert(CHOOSE_PORTRAIT_TEXT, f"{PREFIX}-member")}

            def change(owner: str) -> Updates:
                self.teams.decide_member(owner, team_id, member_id, action, note[:200])
                return {**self._show_team_portraits(owner, request, team_id, member_id), self.panel.note: ""}

            return await self._run_in_thread(request, change)

        return decide

    async def renew_link(self, request: gr.Request, team_id: str | None, days: float | None) -> Updates:
        """Make a new link, so that the old one ends."""

        def renew(owner: str) -> Updates:
            team = self.teams.renew_invite(owner, team_id or "", _clip_days(days))
            return self._show_team_portraits(owner, request, team.id)

        return await self._run_in_thread(request, renew) if team_id else self._ask_for_team()

    async def delete_team(self, request: gr.Request, team_id: str | None) -> Updates:
        """Delete the team, its links and its photos."""

        def delete(owner: str) -> Updates:
            self.teams.delete_team(owner, team_id or "")
            return self._show_team_portraits(owner, request, None)

        return await self._run_in_thread(request, delete) if team_id else self._ask_for_team()

    async def use_approved(
        self, request: gr.Request, team_id: str | None, state: TabState, *values: Any
    ) -> AsyncIterator[Updates]:
        """Put the approved portraits and their names into the form. Everybody has consented."""
        if not team_id:
            yield {**self.events.view.no_change(), **self._ask_for_team()}
            return
        owner = self.events.access.identify_visitor(request)
        try:
            form = await run_in_threadpool(self.teams.fill_team_page_form, owner, team_id)
        except StudioError as error:
            yield {**self.events.view.no_change(), self.panel.alerts: text.render_alert(error.message, f"{PREFIX}-use")}
            return
        tab = self.events.tab
        filled = self.events.view.fill_fields({"names": form["names"], CONSENT_FIELD: True})
        new_values = tab.replace_values(values, filled)
        yield {**filled, self.panel.alerts: ""}
        async for updates in self.events.uploads.place_pictures(
            tab.photo_control, tuple(form["photos"]), request, state, new_values, has_consent=True
        ):
            yield updates

    # ------------------------------------------------------------ what is shown

    def _ask_for_team(self) -> Updates:
        return {self.panel.alerts: text.render_alert(CHOOSE_TEAM_TEXT, f"{PREFIX}-choice")}

    async def _run_in_thread(self, request: gr.Request, change: Callable[[str], Updates]) -> Updates:
        """Run `change` for the request's owner in a thread; an error is shown in the fold."""
        try:
            return await run_in_threadpool(change, self.events.access.identify_visitor(request))
        except StudioError as error:
            field = error.param if error.param in ("name", "days") else "choice"
            return {self.panel.alerts: text.render_alert(error.message, f"{PREFIX}-{field}")}

    def _show_team_portraits(
        self, owner: str, request: gr.Request, team_id: str | None, member_id: str | None = None
    ) -> Updates:
        panel, rows = self.panel, self.teams.list_teams(owner, MAX_SHOWN_TEAM_COUNT)
        team = next((row for row in rows if row.id == team_id), rows[0] if rows else None)
        members = self.teams.list_members(team.id) if team else []
        member = next((row for row in members if row.id == member_id), None)
        choices = [(f"{n}. {row.name}", row.id) for n, row in enumerate(members, 1)]
        asked = self._make_link(request, member.invite if member else None)
        return {
            panel.alerts: "",
            panel.management: gr.update(visible=team is not None),
            panel.team: gr.update(choices=[(row.name, row.id) for row in rows], value=team.id if team else None),
            panel.link: self._make_link(request, team.invite if team else None),
            panel.portraits: self._render_portraits(team, members),
            panel.member: gr.update(choices=choices, value=member.id if member else None),
            panel.member_link: gr.update(value=asked, visible=bool(asked)),
        }

    def _make_link(self, request: gr.Request, invite: str | None) -> str:
        path = self.events.access.invite_links.make_path("invite", invite) if invite else ""
        return page_address(request) + path if path else ""

    def _render_portraits(self, team: Team | None, members: Sequence[TeamMember]) -> str:
        if team is None:
            return ""
        tiles: list[str] = []
        for number, row in enumerate(members, 1):
            name = escape(row.name)
            shown = f'<img src="{self._encode_portrait(row.photo)}" alt="{name}">' if row.photo else ""
            words = f"<b>{number}. {name}</b><br>{escape(row.role)}<br><span>{STATE_WORDS[row.state]}</span>"
            tiles.append(f"<figure>{shown}<figcaption>{words}</figcaption></figure>")
        if not tiles:
            return f'<p class="dbx-hint">{NO_PORTRAITS_TEXT}</p>'
        return f'<div class="dbx-kept">{"".join(tiles)}</div>'

    def _encode_portrait(self, file_id: str) -> str:
        def encode() -> str:
            return encode_data_url(encode_page_jpeg(self.events.service.files.open_image(file_id), PORTRAIT_SIDE_PX))

        return self._jpegs.get_or_create(file_id, encode)


def _clip_days(days: float | None) -> int:
    return min(max(int(days or DEFAULT_DAYS), 1), MAX_DAYS)
