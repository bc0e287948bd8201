"""Routes `/v1/teams`: ask colleagues for their portraits by a link, approve them, and make their page."""

from __future__ import annotations

from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from pipelines.core.job import Job
from pipelines.service.studio_service import StudioService
from pipelines.service.teams import (
    DEFAULT_DAYS,
    MAX_DAYS,
    MAX_MEMBER_COUNT,
    MAX_NAME_LENGTH,
    MAX_PAGE_COUNT,
    PAGE_TOOL_ID,
    MemberAction,
    Team,
    TeamMember,
)
from ui.api.auth.access import AccessControl
from ui.api.dependencies import AccessDep, OwnerDep, ServiceDep
from ui.api.errors import BODY_CODES, READ_CODES, WRITE_CODES, document_errors
from ui.api.pagination import AfterQuery, LimitQuery, build_list_page
from ui.api.request_parsing import document_body, read_json_model
from ui.api.routes.jobs import JOB_RESPONSES, WaitQuery, answer_with_job, submit_once
from ui.api.routes.share_links import read_base_url

router = APIRouter(tags=["teams"])
_DAYS: int = Field(default=DEFAULT_DAYS, ge=1, le=MAX_DAYS, description="Days for which the link works.")


class TeamForm(BaseModel):
    """Who asks, for how long, and how the page will look."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"name": "Acme", "settings": {"preset": "company-page"}}}
    )

    name: str = Field(min_length=1, max_length=MAX_NAME_LENGTH, description="Whoever opens the link reads it.")
    days: int = _DAYS
    brand: str | None = Field(default=None, max_length=80, description="A brand kit of yours, by id or name.")
    settings: dict[str, Any] = Field(default={}, description="Fields of Business Photos; pictures are left out.")


class InviteForm(BaseModel):
    """How long the new link works."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"days": DEFAULT_DAYS}})

    days: int = _DAYS


class MemberForm(BaseModel):
    """What becomes of a portrait."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"action": "ask_again", "note": "Without the hat, please."}}
    )

    action: MemberAction = Field(
        description="`approve`; `ask_again` for another one by a link for this member alone; `refuse` deletes it."
    )
    note: str = Field(default="", max_length=200, description="The member reads it when asked again.")


class PageForm(BaseModel):
    """Who is on the page; and what is different from the team's settings."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"params": {"preset": "speaker-card"}}})

    members: list[str] | None = Field(
        default=None,
        max_length=MAX_MEMBER_COUNT,
        description=f"Approved members in this order, at most {MAX_PAGE_COUNT}; without it all of them.",
    )
    params: dict[str, Any] = Field(default={}, description="Fields of Business Photos in place of the team's.")


def _make_member_object(member: TeamMember, access: AccessControl, base: str) -> dict[str, Any]:
    return {
        "id": member.id,
        "object": "team_member",
        "name": member.name,
        "role": member.role,
        "state": member.state,
        "note": member.note,
        "photo": member.photo or None,
        "consent": member.consent,
        "consented_at": int(member.consented),
        "url": base + access.invite_links.make_path("invite", member.invite) if member.invite else None,
        "expires_at": member.expires,
    }


def _make_team_object(team: Team, service: StudioService, access: AccessControl, base: str) -> dict[str, Any]:
    """Build the team object. `url` is where anybody who has it can send a portrait, None once it was taken back."""
    return {
        "id": team.id,
        "object": "team",
        "name": team.name,
        "brand": team.brand,
        "settings": team.settings,
        "created_at": int(team.created),
        "url": base + access.invite_links.make_path("invite", team.invite) if team.invite else None,
        "expires_at": team.expires,
        "members": [_make_member_object(row, access, base) for row in service.teams.list_members(team.id)],
    }


async def _make_team_object_in_thread(
    team: Team, request: Request, service: StudioService, access: AccessControl
) -> dict[str, Any]:
    return await to_thread.run_sync(_make_team_object, team, service, access, read_base_url(request))


@router.post("/teams", responses=document_errors(BODY_CODES), openapi_extra=document_body(TeamForm))
async def create_team(request: Request, owner: OwnerDep, service: ServiceDep, access: AccessDep) -> dict[str, Any]:
    """Make a team with a link, by which each colleague sends a portrait and agrees to its use."""
    form = await read_json_model(request, TeamForm)
    tool = service.find_tool(PAGE_TOOL_ID)
    about = {"days": form.days, "brand": form.brand, "settings": form.settings}
    team = await to_thread.run_sync(partial(service.teams.create_team, owner, tool, form.name, **about))
    return await _make_team_object_in_thread(team, request, service, access)


@router.get("/teams", responses=document_errors(READ_CODES))
async def list_teams(
    request: Request,
    owner: OwnerDep,
    service: ServiceDep,
    access: AccessDep,
    limit: LimitQuery = 20,
    after: AfterQuery = None,
) -> dict[str, Any]:
    """Your teams, newest first, with their members."""
    if after is not None:
        await to_thread.run_sync(service.teams.get_team, owner, after)
    rows = await to_thread.run_sync(service.teams.list_teams, owner, limit + 1, after)
    return build_list_page([await _make_team_object_in_thread(row, request, service, access) for row in rows], limit)


@router.get("/teams/{team_id}", responses=document_errors(READ_CODES))
async def get_team(
    team_id: str, request: Request, owner: OwnerDep, service: ServiceDep, access: AccessDep
) -> dict[str, Any]:
    """One team with its members; `/v1/files/{photo}/content` is a member's portrait."""
    team = await to_thread.run_sync(service.teams.get_team, owner, team_id)
    return await _make_team_object_in_thread(team, request, service, access)


@router.delete("/teams/{team_id}", responses=document_errors(WRITE_CODES))
async def delete_team(team_id: str, owner: OwnerDep, service: ServiceDep) -> dict[str, Any]:
    """Delete a team, its links, and the photos that no job of yours names."""
    await to_thread.run_sync(service.teams.delete_team, owner, team_id)
    return {"id": team_id, "object": "team", "deleted": True}


@router.post("/teams/{team_id}/invite", responses=document_errors(BODY_CODES), openapi_extra=document_body(InviteForm))
async def renew_invite(
    team_id: str, request: Request, owner: OwnerDep, service: ServiceDep, access: AccessDep
) -> dict[str, Any]:
    """Make a new link for the team; the old one ends."""
    form = await read_json_model(request, InviteForm)
    team = await to_thread.run_sync(service.teams.renew_invite, owner, team_id, form.days)
    return await _make_team_object_in_thread(team, request, service, access)


@router.delete("/teams/{team_id}/invite", responses=document_errors(WRITE_CODES))
async def revoke_invites(
    team_id: str, request: Request, owner: OwnerDep, service: ServiceDep, access: AccessDep
) -> dict[str, Any]:
    """Take back every link of the team, those of members who were asked again too."""
    team = await to_thread.run_sync(service.teams.revoke_invites, owner, team_id)
    return await _make_team_object_in_thread(team, request, service, access)


@router.post(
    "/teams/{team_id}/members/{member_id}",
    responses=document_errors(BODY_CODES),
    openapi_extra=document_body(MemberForm),
)
async def decide_member(
    team_id: str, member_id: str, request: Request, owner: OwnerDep, service: ServiceDep, access: AccessDep
) -> dict[str, Any]:
    """Approve a portrait, ask for another one, or refuse it. Asked again, the member's `url` takes one portrait."""
    form = await read_json_model(request, MemberForm)
    decide = service.teams.decide_member
    member = await to_thread.run_sync(decide, owner, team_id, member_id, form.action, form.note)
    return _make_member_object(member, access, read_base_url(request))


@router.post(
    "/teams/{team_id}/page",
    responses=JOB_RESPONSES,
    openapi_extra=document_body(PageForm),
)
async def make_team_page(
    team_id: str, request: Request, owner: OwnerDep, service: ServiceDep, wait: WaitQuery = True
) -> Response:
    """Run Business Photos on the approved portraits, with their names, roles and the team's brand kit."""
    form = await read_json_model(request, PageForm)
    fill = service.teams.fill_team_page_form
    values = await to_thread.run_sync(fill, owner, team_id, form.members, form.params)

    def make_job() -> Job:
        return service.create_job(PAGE_TOOL_ID, values, owner).model_copy(update={"waited": wait})

    submitted = await submit_once(request, service, make_job, values)
    return await answer_with_job(request, service, submitted, wait=wait)
