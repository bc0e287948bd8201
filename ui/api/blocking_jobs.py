"""Runs a job for a caller that waits for its end: the job is cancelled when the caller leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from anyio import to_thread

from pipelines.core.errors import JobCancelled
from pipelines.core.job import Job
from pipelines.core.stream import Stream
from pipelines.jobs.queue import JobRow
from pipelines.service.studio_service import StudioService
from ui.api.event_stream import cancel_shielded
from ui.api.request_parsing import RequestForm, check_text, fill_form


async def make_blocking_job(tool_id: str, values: Mapping[str, object], service: StudioService, owner: str) -> Job:
    """Make a job that its caller waits for; pictures are data URLs or file ids.

    Raises `BadInput`, and as `StudioService.create_job` does.
    """
    check_text(dict(values))
    sent = RequestForm({name: [value] for name, value in values.items() if value is not None})
    form = await fill_form(sent, service.find_tool(tool_id).params, service, owner)
    job = await to_thread.run_sync(service.create_job, tool_id, form.values, owner)
    return job.model_copy(update={"notices": (*job.notices, *form.notices), "waited": True})


@asynccontextmanager
async def follow_or_cancel(service: StudioService, job: Job) -> AsyncIterator[Stream]:
    """Submit the job and yield its events; a block that is left before the end cancels it."""
    stream = await to_thread.run_sync(service.jobs.submit_and_watch, job)
    try:
        await to_thread.run_sync(service.on_order, job.owner, job.id)
        yield stream
    finally:
        stream.close()
        await cancel_shielded(service, job.id)


async def fetch_ended_job(service: StudioService, job: Job) -> JobRow:
    """Find the row of a job that ended. Raises `JobCancelled` for a job that was deleted."""
    row = await to_thread.run_sync(service.jobs.get_job, job.id)
    if row is None:
        raise JobCancelled
    return row
