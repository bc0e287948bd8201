"""A caller that holds the line: its job is followed to the end, and stopped when the caller leaves; knows no door."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
from anyio import to_thread

from pipelines.core.errors import JobCancelled
from pipelines.core.job import Job
from pipelines.core.stream import Stream
from pipelines.jobs.queue import JobRow
from pipelines.service.orders import StudioService
from ui.api.request_parsing import Filled, Form, check_text, fill


async def filled(tool_id: str, values: Mapping[str, object], service: StudioService, owner: str) -> Filled:
    """Plain values as a tool's form, pictures taken in: data URLs and file ids. Raises `InvalidParams`, `BadInput`."""
    check_text(dict(values))
    form = Form({name: [value] for name, value in values.items() if value is not None})
    return await fill(form, service.find_tool(tool_id).params, service, owner)


async def ordered(tool_id: str, values: Mapping[str, object], service: StudioService, owner: str) -> Job:
    """A job that its caller waits for."""
    form = await filled(tool_id, values, service, owner)
    job = await to_thread.run_sync(service.create_job, tool_id, form.values, owner)
    return job.model_copy(update={"notices": (*job.notices, *form.notices), "waited": True})


@asynccontextmanager
async def followed(service: StudioService, job: Job) -> AsyncIterator[Stream]:
    """The job's events. Left before the end, by whatever way, the job is cancelled."""
    stream = await to_thread.run_sync(service.jobs.submit_and_watch, job)
    try:
        await to_thread.run_sync(service.on_order, job.owner, job.id)
        yield stream
    finally:
        stream.close()
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(service.jobs.cancel, job.id)


async def ended(service: StudioService, job: Job) -> JobRow:
    """How it ended. Raises `Cancelled` for a job that left no trace."""
    row = await to_thread.run_sync(service.jobs.get_job, job.id)
    if row is None:
        raise JobCancelled
    return row
