"""Route `/v1/reports`: a caller reports a job or a file of its own; the report goes into the audit log."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from pipelines.core.errors import InvalidParams
from pipelines.security.abuse_reports import REASONS
from ui.api.dependencies import OwnerDep, ServiceDep
from ui.api.errors import BODY_CODES, document_errors
from ui.api.job_object import find_job
from ui.api.request_parsing import document_body, read_json_model

router = APIRouter(tags=["reports"])


class ReportForm(BaseModel):
    """What is wrong with which picture."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"job_id": "job-…", "reason": "wrongly_refused"}}
    )

    reason: str = Field(max_length=40, description=f"One of: {', '.join(REASONS)}.")
    job_id: str | None = Field(default=None, max_length=64, description="A job of yours.")
    file_id: str | None = Field(default=None, max_length=64, description="A file of yours.")


@router.post(
    "/reports", responses=document_errors((*BODY_CODES, "queue_full")), openapi_extra=document_body(ReportForm)
)
async def create_report(request: Request, owner: OwnerDep, service: ServiceDep) -> dict[str, Any]:
    """Tell the studio's owner that a picture should not be, or that a refusal was wrong. No words, no name are kept."""
    form = await read_json_model(request, ReportForm)
    if (form.job_id is None) == (form.file_id is None):
        raise InvalidParams("Send 'job_id' or 'file_id'.", param="job_id")
    subject = form.job_id or form.file_id or ""
    if form.job_id is not None:
        row = await find_job(service, form.job_id, owner)
        sha256 = [file.pixels_sha256 for file in row.result.files] if row.result else []
    else:
        sha256 = [(await to_thread.run_sync(service.files.get_info, subject, owner)).sha256]
    await to_thread.run_sync(service.abuse_reports.submit_report, form.reason, subject, owner, sha256)
    return {"object": "report", "subject": subject, "reason": form.reason}
