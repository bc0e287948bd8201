"""Routes `/v1/shares`: create, list and revoke share links; and `/s/{token}`, which shows the shared file."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from pipelines.codecs.file_names import strip_label
from pipelines.core.errors import BadInput
from pipelines.service.studio_service import StudioService
from ui.api.auth.access import AccessControl
from ui.api.auth.share_tokens import HOUR_SECONDS, MONTH_SECONDS, WEEK_SECONDS, ShareLink
from ui.api.dependencies import AccessDep, OwnerDep, ServiceDep
from ui.api.errors import BODY_CODES, READ_CODES, WRITE_CODES, document_errors
from ui.api.file_response import make_file_response
from ui.api.pagination import AfterQuery, LimitQuery, build_list_page
from ui.api.request_parsing import document_body, read_json_model
from ui.api.routes.abuse_report_page import make_report_link

router = APIRouter(tags=["shares"])


class ShareForm(BaseModel):
    """Which file, and for how long."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"file_id": "file-…", "expires_in": WEEK_SECONDS}}
    )

    file_id: str = Field(min_length=1, max_length=64, description="A result of yours.")
    expires_in: int = Field(
        default=WEEK_SECONDS, ge=60, le=12 * MONTH_SECONDS, description=f"Seconds; {HOUR_SECONDS} is an hour."
    )


def make_share_object(share: ShareLink, base: str) -> dict[str, Any]:
    """Build the share object. `url` opens the picture without a key; `report_url` is where anybody can report it."""
    return {
        "id": share.id,
        "object": "share",
        "file_id": share.file_id,
        "url": base + share.path,
        "created_at": int(share.created),
        "expires_at": share.expires,
        "report_url": f"{base}/{make_report_link(share=share.path.rpartition('/')[2])}",
    }


@router.post("/shares", responses=document_errors(BODY_CODES), openapi_extra=document_body(ShareForm))
async def create_share(request: Request, owner: OwnerDep, service: ServiceDep, access: AccessDep) -> dict[str, Any]:
    """Make a link that shows one file to whoever has it, and nothing else. Uploads cannot be shared, results can."""
    form = await read_json_model(request, ShareForm)
    info = await to_thread.run_sync(service.files.get_info, form.file_id, owner)
    if info.role not in ("result", "matte", "layers", "master"):
        raise BadInput("Only results can be shared.", param="file_id")
    share = await to_thread.run_sync(access.share_links.create_link, owner, info.id, form.expires_in)
    return make_share_object(share, read_base_url(request))


@router.get("/shares", responses=document_errors(READ_CODES))
async def list_shares(
    request: Request, owner: OwnerDep, access: AccessDep, limit: LimitQuery = 20, after: AfterQuery = None
) -> dict[str, Any]:
    """Your links that still work, newest first."""
    if after is not None:
        await to_thread.run_sync(access.share_links.get_link, owner, after)
    rows = await to_thread.run_sync(access.share_links.list_links, owner, limit + 1, after)
    return build_list_page([make_share_object(row, read_base_url(request)) for row in rows], limit)


@router.delete("/shares/{share_id}", responses=document_errors(WRITE_CODES))
async def revoke_share(share_id: str, owner: OwnerDep, access: AccessDep) -> dict[str, Any]:
    """Take a link back: it shows nothing from now on."""
    await to_thread.run_sync(access.share_links.revoke_link, owner, share_id)
    return {"id": share_id, "object": "share", "deleted": True}


def read_base_url(request: Request) -> str:
    """Read the studio's own address from a request to `/v1`."""
    return str(request.base_url).removesuffix("/").removesuffix("/v1")


async def serve_share(service: StudioService, access: AccessControl, request: Request) -> Response:
    """Answer everybody who asks for `GET /s/{token}` with the file; no cache keeps it."""
    share = await to_thread.run_sync(access.share_links.open_token, request.path_params["token"])
    info = await to_thread.run_sync(service.files.get_info, share.file_id, share.owner)
    # Whoever gets the link need not know what the photo was called.
    answer = await make_file_response(request, service.files, info, strip_label(info.download_name))
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.headers["X-Robots-Tag"] = "noindex"
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["Link"] = f'</{make_report_link(share=request.path_params["token"])}>; rel="report"'
    return answer
