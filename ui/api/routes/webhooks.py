"""Routes `/v1/webhooks`: signing secret, default address and recent deliveries; and what a delivery says."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from pipelines.batch.batch_service import BatchService
from pipelines.core.errors import NotFound
from pipelines.jobs.webhooks import Webhooks
from pipelines.service.studio_service import StudioService
from ui.api.dependencies import CallerDep, OwnerDep, WebhooksDep
from ui.api.errors import BODY_CODES, READ_CODES, document_errors
from ui.api.job_object import make_job_object
from ui.api.request_parsing import document_body, read_json_model
from ui.api.routes.openai_batches import make_batch_object

router = APIRouter(tags=["webhooks"])

_BATCH_ENDS = ("completed", "cancelled")


class WebhookForm(BaseModel):
    """The address for jobs and batches that name none; null for no address."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = Field(max_length=2000)


def describe_end(service: StudioService, batches: BatchService, owner: str, subject: str) -> dict[str, Any] | None:
    """Build `type` and `data` of a delivery about a job or batch; None while it goes on. Raises `NotFound`."""
    if subject.startswith("batch-"):
        batch = make_batch_object(batches, batches.get_batch(subject, owner))
        return {"type": f"batch.{batch['status']}", "data": batch} if batch["status"] in _BATCH_ENDS else None
    row = service.jobs.get_job(subject)
    if row is None or row.job.owner != owner:
        raise NotFound("There is no such job, or it is not yours.")
    return None if row.finished is None else {"type": f"job.{row.status}", "data": make_job_object(row)}


@router.get("/webhooks", responses=document_errors((*READ_CODES, "disk_full")))
async def get_webhooks(caller: CallerDep, webhooks: WebhooksDep) -> dict[str, Any]:
    """Your signing secret, your default address, and how your last deliveries went.

    A key without the scope `create` is told no `secret`: with it, it could pretend to be the studio.
    """
    answer = await to_thread.run_sync(_make_webhook_object, webhooks, caller.owner)
    if caller.key is not None and "create" not in caller.key.scopes:
        del answer["secret"]
    return answer


@router.put("/webhooks", responses=document_errors(BODY_CODES), openapi_extra=document_body(WebhookForm))
async def set_webhook(request: Request, owner: OwnerDep, webhooks: WebhooksDep) -> dict[str, Any]:
    """Set the address for all your jobs and batches that name none; null takes it away."""
    form = await read_json_model(request, WebhookForm)
    url = None if form.url is None else await to_thread.run_sync(webhooks.check_url, form.url)
    await to_thread.run_sync(webhooks.set_default_url, owner, url)
    return await to_thread.run_sync(_make_webhook_object, webhooks, owner)


def _make_webhook_object(webhooks: Webhooks, owner: str) -> dict[str, Any]:
    secret, rows = webhooks.signing_secret(owner), webhooks.list_deliveries(owner)
    return {"object": "webhook", "url": webhooks.default_url(owner), "secret": secret, "deliveries": rows}
