"""Links to single results: made, listed and taken back under `/v1`, and shown at `/s/…` to whoever has one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from pipelines.core.errors import BadInput, StudioError
from pipelines.service.orders import StudioService
from ui.api.auth.share_tokens import HOUR, MONTH, WEEK, Share
from ui.api.dependencies import Owner, TheAccess, TheService
from ui.api.errors import READING, SENDING, WRITING, answered, documented
from ui.api.file_response import content
from ui.api.pagination import AFTER, LIMIT, listed
from ui.api.request_parsing import body_of, model
from ui.api.routes.abuse_report_page import link

if TYPE_CHECKING:
    from ui.api.auth.access import Access

router = APIRouter(tags=["shares"])


class ShareForm(BaseModel):
    """Which file, and for how long."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"file_id": "file-…", "expires_in": WEEK}})

    file_id: str = Field(min_length=1, max_length=64, description="A result of yours.")
    expires_in: int = Field(default=WEEK, ge=60, le=12 * MONTH, description=f"Seconds; {HOUR} is an hour.")


def share_object(share: Share, base: str) -> dict[str, Any]:
    """A link. `url` opens the picture without a key, until `expires_at`; at `report_url` anybody can complain of it."""
    return {
        "id": share.id,
        "object": "share",
        "file_id": share.file_id,
        "url": base + share.path,
        "created_at": int(share.created),
        "expires_at": share.expires,
        "report_url": f"{base}/{link(share=share.path.rpartition('/')[2])}",
    }


@router.post("/shares", responses=documented(SENDING), openapi_extra=body_of(ShareForm))
async def create_share(request: Request, owner: Owner, service: TheService, access: TheAccess) -> dict[str, Any]:
    """Make a link that shows one file to whoever has it, and nothing else. Uploads cannot be shared, results can."""
    form = await model(request, ShareForm)
    info = await to_thread.run_sync(service.files.get_info, form.file_id, owner)
    if info.role not in ("result", "matte", "layers"):
        raise BadInput("Only results can be shared.", param="file_id")
    share = await to_thread.run_sync(access.shares.new, owner, info.id, form.expires_in)
    return share_object(share, _base(request))


@router.get("/shares", responses=documented(READING))
async def list_shares(
    request: Request,
    owner: Owner,
    access: TheAccess,
    limit: Annotated[int, LIMIT] = 20,
    after: Annotated[str | None, AFTER] = None,
) -> dict[str, Any]:
    """Your links that still work, newest first."""
    if after is not None:
        await to_thread.run_sync(access.shares.get, owner, after)
    rows = await to_thread.run_sync(access.shares.list, owner, limit + 1, after)
    return listed([share_object(row, _base(request)) for row in rows], limit)


@router.delete("/shares/{share_id}", responses=documented(WRITING))
async def revoke_share(share_id: str, owner: Owner, access: TheAccess) -> dict[str, Any]:
    """Take a link back: it shows nothing from now on."""
    await to_thread.run_sync(access.shares.revoke, owner, share_id)
    return {"id": share_id, "object": "share", "deleted": True}


def _base(request: Request) -> str:
    return str(request.base_url).removesuffix("/").removesuffix("/v1")


def shown(service: StudioService, access: Access) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of `GET /s/{token}`, open to all: the one file, which no shared cache keeps past its end."""

    async def endpoint(request: Request) -> Response:
        try:
            share = await to_thread.run_sync(access.shares.open, request.path_params["token"])
            info = await to_thread.run_sync(service.files.get_info, share.file_id, share.owner)
            answer = await content(request, service.files, info)
        except StudioError as error:
            return answered(request, error)
        answer.headers["Cache-Control"] = "private, no-cache"
        answer.headers["X-Robots-Tag"] = "noindex"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["Link"] = f'</{link(share=request.path_params["token"])}>; rel="report"'
        return answer

    return endpoint
