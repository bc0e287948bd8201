"""Webhooks over HTTP: who asks to be told of what, where, and how it went; sends nothing itself."""

from __future__ import annotations

from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from pipelines.batch import BatchService
from pipelines.core.errors import NotFound
from pipelines.jobs.webhooks import Webhooks
from pipelines.service.orders import StudioService
from ui.api.dependencies import Owner, WhoCalls
from ui.api.errors import READING, SENDING, documented
from ui.api.request_parsing import body_of, model
from ui.api.routes.jobs import job_object
from ui.api.routes.openai_batches import batch_object

router = APIRouter(tags=["webhooks"])


class Default(BaseModel):
    """Where jobs and batches tell that do not say it themselves; null: nowhere."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = Field(max_length=2000)


def build(service: StudioService, batches: BatchService) -> Webhooks:
    """The deliveries of this studio, which tell job objects and batch objects."""
    told = partial(_ended, service, batches)
    private = service.settings.webhooks_private
    return Webhooks(service.jobs.table, told, lambda: service.jobs.is_closing, allow_private=private)


def _ended(service: StudioService, batches: BatchService, owner: str, subject: str) -> dict[str, Any] | None:
    if subject.startswith("batch-"):
        told = batch_object(batches, batches.get_batch(subject, owner))
        return (
            {"type": f"batch.{told['status']}", "data": told} if told["status"] in ("completed", "cancelled") else None
        )
    row = service.jobs.get_job(subject)
    if row is None or row.job.owner != owner:
        raise NotFound("There is no such job, or it is not yours.")
    return None if row.finished is None else {"type": f"job.{row.status}", "data": job_object(row)}


@router.get("/webhooks", responses=documented((*READING, "disk_full")))
async def get_webhooks(request: Request, caller: WhoCalls) -> dict[str, Any]:
    """Your signing secret, your default address, and how your last deliveries went.

    A key without the scope `create` is told no `secret`: with it, it could pretend to be the studio.
    """
    told = await to_thread.run_sync(_told, request.app.state.webhooks, caller.owner)
    if caller.key is not None and "create" not in caller.key.scopes:
        del told["secret"]
    return told


@router.put("/webhooks", responses=documented(SENDING), openapi_extra=body_of(Default))
async def set_webhook(request: Request, owner: Owner) -> dict[str, Any]:
    """Set the address for all your jobs and batches that name none; null takes it away."""
    sent = await model(request, Default)
    hooks: Webhooks = request.app.state.webhooks
    url = None if sent.url is None else await to_thread.run_sync(hooks.check_url, sent.url)
    await to_thread.run_sync(hooks.set_default_url, owner, url)
    return await to_thread.run_sync(_told, hooks, owner)


def _told(hooks: Webhooks, owner: str) -> dict[str, Any]:
    secret, rows = hooks.signing_secret(owner), hooks.list_deliveries(owner)
    return {"object": "webhook", "url": hooks.default_url(owner), "secret": secret, "deliveries": rows}
