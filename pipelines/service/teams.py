"""Teams: colleagues send their own portrait through a link; whoever asked approves it, asks again or refuses it.

A photo on its way in belongs to an owner of the team's own, so that what a stranger sends and what is refused of it
touches no file and no log line of the team's owner. It becomes the owner's upload once it is accepted.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, delete, func, insert, select, update

from pipelines.core.errors import BadInput, InvalidParams, NotFound, PolicyRefusal
from pipelines.core.tools import Tool
from pipelines.jobs.retention import DAY_SECONDS, remove_unreferenced
from pipelines.jobs.table import JobTable
from pipelines.security.audit_log import AuditLog
from pipelines.security.prompt_filter import find_refusal_message
from pipelines.service.form_checks import find_font_error
from pipelines.service.saved_items import SavedItemService, pick_look_values
from pipelines.service.uploads import UploadService
from pipelines.storage.database import Row
from pipelines.storage.file_index import FileIndex
from pipelines.storage.schema import TEAM_MEMBERS, TEAMS, select_page

MemberState = Literal["received", "approved", "asked_again", "refused"]
MemberAction = Literal["approve", "ask_again", "refuse"]
PAGE_TOOL_ID = "business"
MAX_TEAM_COUNT = 50
"""Teams of one owner."""
MAX_MEMBER_COUNT = 50
"""Members of one team, so that a link that got about fills no disk."""
MAX_PAGE_COUNT = 12
"""Portraits of one job of Business Photos."""
MAX_DAYS = 90
DEFAULT_DAYS = 14
"""Days for which a link works."""
MAX_NAME_LENGTH, MAX_ROLE_LENGTH = 50, 45
ENDED_MESSAGE = "This link has ended. Please ask whoever sent it for a new one."
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")
_T, _M = TEAMS.c, TEAM_MEMBERS.c


@dataclass(frozen=True)
class Team:
    """One team. `settings`: fields of Business Photos' form. `invite`: what its link carries, None without a link.

    `expires` is the Unix time in seconds at which the link ends.
    """

    id: str
    owner: str
    name: str
    settings: dict[str, Any]
    brand: str | None
    invite: str | None
    created: float
    expires: int


@dataclass(frozen=True)
class TeamMember:
    """Whoever sent a portrait. `photo`: its file id, "" where it was refused. `consent`: the sentence agreed to.

    `invite`: what the link for this member carries, None when it was used; it ends at `expires`. `own_link`: what the
    link to the member's own page carries. `consented` and `created` are Unix times.
    """

    id: str
    team: str
    owner: str
    name: str
    role: str
    state: MemberState
    consent: str
    photo: str
    own_link: str
    note: str
    invite: str | None
    expires: int | None
    created: float
    consented: float


@dataclass(frozen=True)
class Invitation:
    """What a link opens: a team, and the member it is for, None where it is for everybody."""

    team: Team
    member: TeamMember | None = None


class TeamService:
    """Teams and their members. `check_portrait(file_id, owner)` raises `BadInput` for a photo without a usable face."""

    def __init__(
        self,
        saved_items: SavedItemService,
        uploads: UploadService,
        files: FileIndex,
        table: JobTable,
        audit_log: AuditLog,
        check_portrait: Callable[[str, str], None],
    ) -> None:
        self._saved_items = saved_items
        self._uploads = uploads
        self._files = files
        self._table = table
        self._db = table.db
        self._audit_log = audit_log
        self._check_portrait = check_portrait

    # ------------------------------------------------------------ the owner's side

    def create_team(
        self, owner: str, tool: Tool, name: str, *, days: int, brand: str | None, settings: Mapping[str, Any]
    ) -> Team:
        """Create a team whose link works for `days`. `tool` is Business Photos, `settings` are fields of its form.

        Raises `BadInput`, `InvalidParams`.
        """
        name = _clean_line(name, "name", MAX_NAME_LENGTH)
        kept = pick_look_values(tool.params, {key: value for key, value in settings.items() if key != "names"})
        with self._db.lock:
            count = self._db.fetch_row(select(func.count()).where(_T.owner == owner))
            if count is not None and count[0] >= MAX_TEAM_COUNT:
                raise BadInput(f"{MAX_TEAM_COUNT} teams are kept: delete one first.")
            team = Team(
                id=f"team-{secrets.token_hex(10)}",
                owner=owner,
                name=name,
                settings=kept,
                brand=self._find_brand(owner, brand),
                invite=secrets.token_hex(10),
                created=time.time(),
                expires=_expiry(days),
            )
            self._db.execute(insert(TEAMS).values(**{**vars(team), "settings": json.dumps(kept)}))
        return team

    def _find_brand(self, owner: str, key: str | None) -> str | None:
        try:
            return self._saved_items.find_item(owner, "brand", key).id if key else None
        except NotFound as error:
            raise BadInput(error.message, param="brand") from error

    def list_teams(self, owner: str, limit: int, after: str | None = None) -> list[Team]:
        """List the owner's teams, newest first, from the one after the id `after`."""
        return [_row_to_team(row) for row in self._db.fetch_rows(select_page(TEAMS, owner, limit, after))]

    def get_team(self, owner: str, team_id: str) -> Team:
        """Find one of the owner's teams. Raises `NotFound`."""
        row = self._db.fetch_row(select(TEAMS).where(_T.id == team_id, _T.owner == owner))
        if row is None:
            raise NotFound("There is no such team, or it is not yours.")
        return _row_to_team(row)

    def list_members(self, team_id: str) -> list[TeamMember]:
        """List a team's members in the order in which they came."""
        query = select(TEAM_MEMBERS).where(_M.team == team_id).order_by(_M.created, _M.id)
        return [TeamMember(**row._asdict()) for row in self._db.fetch_rows(query)]

    def delete_team(self, owner: str, team_id: str) -> None:
        """Delete a team with its links and the photos that nothing else of the owner names. Raises `NotFound`."""
        team = self.get_team(owner, team_id)
        photos = {member.photo for member in self.list_members(team.id)}
        with self._db.transaction():
            self._db.execute(delete(TEAM_MEMBERS).where(_M.team == team.id))
            self._db.execute(delete(TEAMS).where(_T.id == team.id))
        self._remove_photos(owner, photos)

    def renew_invite(self, owner: str, team_id: str, days: int) -> Team:
        """Give the team a new link, which works for `days`; the old one ends. Raises `NotFound`."""
        self.get_team(owner, team_id)
        values = {"invite": secrets.token_hex(10), "expires": _expiry(days)}
        self._db.execute(update(TEAMS).where(_T.id == team_id).values(**values))
        return self.get_team(owner, team_id)

    def revoke_invites(self, owner: str, team_id: str) -> Team:
        """End every link of the team, those of single members too. Raises `NotFound`."""
        self.get_team(owner, team_id)
        with self._db.transaction():
            self._db.execute(update(TEAMS).where(_T.id == team_id).values(invite=None))
            self._db.execute(update(TEAM_MEMBERS).where(_M.team == team_id).values(invite=None))
        return self.get_team(owner, team_id)

    def decide_member(
        self, owner: str, team_id: str, member_id: str, action: MemberAction, note: str = ""
    ) -> TeamMember:
        """Approve a portrait, ask for another one, or refuse it. Raises `NotFound`, `BadInput`.

        Who is asked again gets a link of their own, for one portrait, and is shown `note`. A refused photo is deleted.
        """
        member = self._find_member(owner, team_id, member_id)
        if action == "approve" and not member.photo:
            raise BadInput("There is no portrait to approve.", param="action")
        states: dict[MemberAction, MemberState] = {
            "approve": "approved",
            "ask_again": "asked_again",
            "refuse": "refused",
        }
        values: dict[str, Any] = {"state": states[action], "note": note.strip(), "invite": None, "expires": None}
        if action == "ask_again":
            values |= {"invite": secrets.token_hex(10), "expires": _expiry(DEFAULT_DAYS)}
        elif action == "refuse":
            values["photo"] = ""
        self._db.execute(update(TEAM_MEMBERS).where(_M.id == member_id).values(**values))
        if action == "refuse":
            self._remove_photos(owner, {member.photo})
        return self._find_member(owner, team_id, member_id)

    def _find_member(self, owner: str, team_id: str, member_id: str) -> TeamMember:
        is_theirs = and_(_M.id == member_id, _M.team == team_id, _M.owner == owner)
        row = self._db.fetch_row(select(TEAM_MEMBERS).where(is_theirs))
        if row is None:
            raise NotFound("There is no such member, or the team is not yours.")
        return TeamMember(**row._asdict())

    def fill_team_page_form(
        self, owner: str, team_id: str, member_ids: Sequence[str] | None = None, values: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Fill Business Photos' form with the approved portraits, or those of `member_ids` in this order.

        `values` take the place of the team's settings. Everybody in it has consented. Raises `NotFound`, `BadInput`.
        """
        team = self.get_team(owner, team_id)
        approved = {member.id: member for member in self.list_members(team_id) if member.state == "approved"}
        ids = list(approved) if member_ids is None else member_ids
        if not set(ids) <= set(approved):
            raise BadInput("'members' names somebody who is not approved.", param="members")
        if not 0 < len(ids) <= MAX_PAGE_COUNT:
            raise BadInput(f"A page has 1 to {MAX_PAGE_COUNT} approved portraits, not {len(ids)}.", param="members")
        chosen = [approved[member_id] for member_id in ids]
        return {
            **team.settings,
            **({"brand": team.brand} if team.brand else {}),
            **(values or {}),
            "photos": [member.photo for member in chosen],
            "names": "\n".join(f"{member.name}, {member.role}" if member.role else member.name for member in chosen),
            "consent": True,
        }

    # ------------------------------------------------------------ the members' side

    def open_invite(self, invite: str) -> Invitation:
        """Find what a link opens. Raises `NotFound` for one that was used, revoked or has expired."""
        now = int(time.time())
        team = self._db.fetch_row(select(TEAMS).where(_T.invite == invite, _T.expires > now))
        if team is not None:
            return Invitation(_row_to_team(team))
        return self._find_invitation(_M.invite == invite, _M.expires > now)

    def open_own_link(self, own_link: str) -> Invitation:
        """Find the member whose own page a link opens. Raises `NotFound`."""
        return self._find_invitation(_M.own_link == own_link)

    def _find_invitation(self, *wanted: ColumnElement[bool]) -> Invitation:
        row = self._db.fetch_row(select(TEAM_MEMBERS).where(*wanted))
        if row is None:
            raise NotFound(ENDED_MESSAGE)
        return Invitation(self.get_team(row.owner, row.team), TeamMember(**row._asdict()))

    def receive_portrait(self, invite: str, name: str, role: str, consent: str, data: bytes) -> TeamMember:
        """Take the picture file `data` for the link's member, who agreed to the sentence `consent`.

        A link for one member is used up then. Raises `NotFound` for a link that has ended, `InvalidParams` and
        `PolicyRefusal` for name or role, `BadInput` for a file that is no picture or shows no usable face.
        """
        invitation = self.open_invite(invite)
        team, guest = invitation.team, f"team:{invitation.team.id}"
        name = _clean_line(re.sub("[,;]", " ", name), "name", MAX_NAME_LENGTH)  # a comma begins the role on the page
        role = _clean_line(role, "role", MAX_ROLE_LENGTH) if role.strip() else ""
        self._check_words(f"{name}\n{role}", guest)
        self._check_team_not_full(invitation)
        file_id, _ = self._uploads.ingest_picture(data, guest)
        with ExitStack() as undo:
            undo.callback(self._files.remove_owner, file_id, guest)
            self._check_portrait(file_id, guest)
            self._files.give_file(file_id, guest, team.owner)
            undo.pop_all()
        member = TeamMember(
            id=invitation.member.id if invitation.member else f"member-{secrets.token_hex(10)}",
            team=team.id,
            owner=team.owner,
            name=name,
            role=role,
            state="received",
            consent=consent,
            photo=file_id,
            own_link=secrets.token_hex(10),
            note="",
            invite=None,
            expires=None,
            created=invitation.member.created if invitation.member else time.time(),
            consented=time.time(),
        )
        try:
            self._store_member(invite, invitation, member)
        except (NotFound, BadInput):  # the link ended while the photo was looked at, or the team is full
            self._remove_photos(team.owner, {file_id})
            raise
        self._audit_log.record_consent(member.id, guest, [self._files.get_info(file_id).sha256])
        if invitation.member:
            self._remove_photos(team.owner, {invitation.member.photo})
        return member

    def _check_words(self, words: str, guest: str) -> None:
        objection = find_refusal_message(words, people=True)
        if objection is not None:
            self._audit_log.record_refusal("words", guest, [])
            raise PolicyRefusal(objection, param="name")
        if unwritable := find_font_error(words, "Name", "name"):
            raise unwritable

    def _check_team_not_full(self, invitation: Invitation) -> None:
        if invitation.member is None and len(self.list_members(invitation.team.id)) >= MAX_MEMBER_COUNT:
            raise BadInput(f"This team has {MAX_MEMBER_COUNT} portraits already: more are not taken.")

    def _store_member(self, invite: str, invitation: Invitation, member: TeamMember) -> None:
        """Store a member in one step with the check that the link still works. Raises `NotFound`, `BadInput`."""
        with self._db.transaction():
            self.open_invite(invite)
            self._check_team_not_full(invitation)
            if invitation.member is None:
                self._db.execute(insert(TEAM_MEMBERS).values(**vars(member)))
            elif not self._db.execute(update(TEAM_MEMBERS).where(_M.invite == invite).values(**vars(member))):
                raise NotFound(ENDED_MESSAGE)

    def withdraw_member(self, own_link: str) -> Team:
        """Delete the member of this link with the photo, as the member wishes; the team. Raises `NotFound`."""
        invitation = self.open_own_link(own_link)
        assert invitation.member is not None
        self._db.execute(delete(TEAM_MEMBERS).where(_M.id == invitation.member.id))
        self._remove_photos(invitation.team.owner, {invitation.member.photo})
        return invitation.team

    def _remove_photos(self, owner: str, photos: set[str]) -> None:
        remove_unreferenced(self._table, self._files, owner, photos - {""})


def _clean_line(text: str, field: str, most: int) -> str:
    line = " ".join(_CONTROL_CHARACTERS.sub(" ", text).replace(";", ",").split())
    if not 0 < len(line) <= most:
        raise InvalidParams(f"A {field} has 1 to {most} letters.", param=field)
    return line


def _expiry(days: int) -> int:
    return int(time.time() + days * DAY_SECONDS)


def _row_to_team(row: Row) -> Team:
    return Team(**row._asdict() | {"settings": json.loads(row.settings)})
