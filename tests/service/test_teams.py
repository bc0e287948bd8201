"""Teams in the database, on SQLite and Postgres: what is decided, what is deleted, and what stays. Their routes and
pages are in tests/api/test_teams.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import update

from pipelines.core.errors import BadInput, NotFound
from pipelines.jobs.retention import DAY_SECONDS, RetentionPolicy, apply_retention
from pipelines.service.studio_service import StudioService
from pipelines.service.teams import Team, TeamMember
from pipelines.settings import Settings
from pipelines.storage.schema import FILES, JOBS, TEAMS
from pipelines.tools import business
from tests.api.support.portraits import make_portrait
from tests.support.served_app import run_studio

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture(scope="module")
def service(each_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioService]:
    with run_studio(Settings(data=tmp_path_factory.mktemp("teams")), (business.TOOL,)) as studio:
        yield studio.service


def make_team(service: StudioService, owner: str = "me") -> Team:
    return service.teams.create_team(owner, business.TOOL, "Acme", days=1, brand=None, settings={"size": 512})


def receive(service: StudioService, invite: str | None, number: int = 0) -> TeamMember:
    assert invite is not None
    return service.teams.receive_portrait(invite, "Ada", "", "Yes, I agree.", make_portrait(number))


def has_file(service: StudioService, file_id: str) -> bool:
    try:
        return service.files.get_info(file_id, "me") is not None
    except NotFound:
        return False


def test_a_member_is_approved_asked_again_and_replaced(service: StudioService) -> None:
    team = make_team(service)
    first = receive(service, team.invite)
    approved = service.teams.decide_member("me", team.id, first.id, "approve")
    assert service.teams.fill_team_page_form("me", team.id, values={"size": 300}) == {
        "size": 300,
        "photos": [approved.photo],
        "names": "Ada",
        "consent": True,
    }
    asked = service.teams.decide_member("me", team.id, first.id, "ask_again", " Nearer, please. ")
    assert (asked.state, asked.note, asked.photo) == ("asked_again", "Nearer, please.", first.photo)
    second = receive(service, asked.invite, 1)
    assert (second.id, second.state, second.note, second.invite) == (first.id, "received", "", None)
    assert [has_file(service, member.photo) for member in (first, second)] == [False, True]
    refused = service.teams.decide_member("me", team.id, first.id, "refuse")
    assert (refused.photo, has_file(service, second.photo)) == ("", False)
    with pytest.raises(BadInput, match="no portrait"):
        service.teams.decide_member("me", team.id, first.id, "approve")
    renewed = service.teams.renew_invite("me", team.id, 2)
    assert renewed.invite != team.invite
    assert service.teams.list_teams("me", 5) == [renewed]
    assert service.teams.revoke_invites("me", team.id).invite is None
    service.teams.delete_team("me", team.id)


def test_old_photos_are_kept_for_a_team_and_go_with_it(service: StudioService) -> None:
    teams = [make_team(service) for _ in range(2)]
    alone, shared = receive(service, teams[0].invite, 1), receive(service, teams[0].invite, 0)
    assert receive(service, teams[1].invite, 0).photo == shared.photo
    service.teams.delete_team("me", teams[0].id)
    assert [has_file(service, member.photo) for member in (alone, shared)] == [False, True]
    before, table = time.time() - 3 * DAY_SECONDS, service.jobs.table
    table.db.execute(update(TEAMS).values(created=before))
    table.db.execute(update(JOBS).values(finished=before))  # the drafts that looked for faces
    service.files._db.execute(update(FILES).values(created=before))
    apply_retention(table, service.files, RetentionPolicy(max_days=4))
    assert has_file(service, shared.photo)
    apply_retention(table, service.files, RetentionPolicy(max_days=2))
    assert not has_file(service, shared.photo)
    assert service.teams.list_teams("me", 5) == []
