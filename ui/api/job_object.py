"""The job object that every API answers with."""

from __future__ import annotations

from typing import Any

from anyio import to_thread

from pipelines.core.errors import NotFound, error_from_json
from pipelines.jobs.queue import JobRow
from pipelines.service.studio_service import StudioService
from ui.api.errors import describe_error
from ui.api.field_hints import hint_fields


def make_job_object(row: JobRow) -> dict[str, Any]:
    """Build the job object of the API."""
    result = row.result
    return {
        "id": row.job.id,
        "object": "job",
        "status": row.status,
        "tool": row.job.tool,
        "progress": _stage_progress(row),
        "stage": row.step.stage if row.step and row.status == "running" else None,
        "position": row.position,
        "created_at": int(row.created),
        "files": [
            {
                "id": file.id,
                "url": f"/v1/files/{file.id}/content",
                "role": file.role,
                "width": file.width,
                "height": file.height,
                "format": file.format,
            }
            for file in (result.files if result else ())
        ],
        "receipt": {**result.receipt, "notices": api_notices(row)} if result else None,
        "seconds": result.seconds if result else None,
        "error": describe_error(error_from_json(row.error)) if row.error else None,
    }


def api_notices(row: JobRow) -> list[str]:
    """List the notices of a finished job, with the names of fields in place of gestures on the page."""
    return hint_fields(row.result.receipt.get("notices", ()), row.job.params) if row.result else []


def _stage_progress(row: JobRow) -> float:
    """Compute the progress, 0 to 1, within the stage that runs; only a job that is done has 1."""
    if row.status == "done":
        return 1.0
    return min(0.99, round(row.step.index / max(1, row.step.total), 3)) if row.step else 0.0


async def find_job(service: StudioService, job_id: str, owner: str) -> JobRow:
    """Find a job of the owner. Raises `NotFound`, also for a job of somebody else."""
    row = await to_thread.run_sync(service.jobs.get_job, job_id)
    if row is None or row.job.owner != owner:
        raise NotFound("There is no such job, or it is not yours.")
    return row
