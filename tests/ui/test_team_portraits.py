"""The fold of Business Photos in which a team is asked for portraits."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from pipelines.settings import Settings
from pipelines.tools import business
from tests.api.support.portraits import make_portrait
from tests.support.gradio_loop import build_parts
from tests.support.served_app import run_studio
from ui.components.team_panel import TeamPanel
from ui.i18n import is_translated
from ui.server.factory import RunningStudio
from ui.tool_tab import team_portraits
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.layout import ToolTab
from ui.tool_tab.state import TabState
from ui.tool_tab.team_portraits import TeamPanelEvents

LOCAL: Any = SimpleNamespace(request=None)
"""A request of this machine's owner."""


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudio]:
    with run_studio(Settings(data=tmp_path_factory.mktemp("studio")), [business.TOOL]) as built:
        yield built


@pytest.fixture(scope="module")
def events(studio: RunningStudio) -> TeamPanelEvents:
    def build() -> ToolTab:
        with gr.Blocks():
            return ToolTab(business.TOOL, studio.service)

    tab = build_parts(build)
    assert tab.team_panel is not None
    return TeamPanelEvents(tab.team_panel, ToolTabEvents(tab, studio.service, studio.access))


def find_invite(studio: RunningStudio, link: str) -> str:
    return studio.access.invite_links.read_token(link.removeprefix("/join/"))[1]


def list_form(events: TeamPanelEvents, **values: Any) -> list[Any]:
    """The form's values, as the page sends them."""
    controls = events.events.tab.controls.items()
    return [values.get(name, control.field.default) for name, control in controls]


def test_portraits_that_came_by_link_are_approved_and_fill_the_form(
    studio: RunningStudio, events: TeamPanelEvents
) -> None:
    async def run() -> None:
        panel: TeamPanel = events.panel
        empty = await events.show_team(LOCAL, None)
        assert empty[panel.management] == gr.update(visible=False)
        made = await events.create_team(LOCAL, "Acme", 7, *list_form(events, preset="company-page"))
        (team,) = studio.service.teams.list_teams("local", 5)
        assert team.settings == {"preset": "company-page"}
        assert team_portraits.NO_PORTRAITS_TEXT in made[panel.portraits]
        link = made[panel.link]
        assert link.startswith("/join/invite-")
        invite = find_invite(studio, link)
        for number, name in enumerate(("Ada <i>", "Grace")):
            studio.service.teams.receive_portrait(invite, name, "", "Yes.", make_portrait(number))
        shown = await events.show_team(LOCAL, team.id)
        assert shown[panel.portraits].count("<img src=") == 2
        assert "1. Ada &lt;i&gt;" in shown[panel.portraits]
        (_, ada), (_, grace) = shown[panel.member]["choices"]

        asked = await events._make_decision_handler("ask_again")(LOCAL, team.id, ada, "Nearer, please.")
        assert asked[panel.member_link]["visible"]
        assert find_invite(studio, asked[panel.member_link]["value"]) != invite
        assert (await events.show_team(LOCAL, team.id, grace))[panel.member_link] == gr.update(value="", visible=False)
        await events._make_decision_handler("approve")(LOCAL, team.id, grace, "")
        filling: Any = events.use_approved(LOCAL, team.id, TabState(), *list_form(events))
        updates = [await anext(filling), await anext(filling)]
        await filling.aclose()
        controls = events.events.tab.controls
        assert (updates[0][controls["names"].value], updates[0][controls["consent"].value]) == ("Grace", True)
        (photo,) = updates[1][controls["photos"].value]
        assert photo == studio.service.teams.list_members(team.id)[1].photo

        renewed = await events.renew_link(LOCAL, team.id, 7)
        assert renewed[panel.link] != link
        assert (await events.delete_team(LOCAL, team.id))[panel.management] == gr.update(visible=False)

    asyncio.run(run())


def test_another_owner_s_team_is_neither_shown_nor_changed(studio: RunningStudio, events: TeamPanelEvents) -> None:
    async def run() -> None:
        team = studio.service.teams.create_team("other", business.TOOL, "Foe", days=1, brand=None, settings={})
        assert "Foe" not in str(await events.show_team(LOCAL, team.id))
        for told in (
            await events.delete_team(LOCAL, team.id),
            await events.renew_link(LOCAL, team.id, 1),
            await events._make_decision_handler("approve")(LOCAL, team.id, "member-x", ""),
        ):
            assert 'role="alert"' in told[events.panel.alerts]
        assert studio.service.teams.list_teams("other", 5) == [team]

    asyncio.run(run())


def test_what_is_wrong_is_said_in_german_too(events: TeamPanelEvents) -> None:
    async def run() -> None:
        nameless = await events.create_team(LOCAL, " ", 7, *list_form(events))
        (sentence,) = re.findall(r">([^<]+)</p>", nameless[events.panel.alerts])
        texts = [team_portraits.CHOOSE_TEAM_TEXT, team_portraits.CHOOSE_PORTRAIT_TEXT, team_portraits.NO_PORTRAITS_TEXT]
        for text in (sentence, *texts, *team_portraits.STATE_WORDS.values()):
            assert is_translated(text), text

    asyncio.run(run())
