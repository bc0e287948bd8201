"""A caller that holds the line: its job is followed to the end, and stopped when the caller leaves; knows no door."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
from anyio import to_thread

from pipelines.core.errors import Cancelled
from pipelines.core.job import Job
from pipelines.core.stream import Stream
from pipelines.jobs.queue import Row
from pipelines.service.orders import Desk
from ui.api.request_parsing import Filled, Form, check_text, fill


async def filled(tool_id: str, values: Mapping[str, object], desk: Desk, owner: str) -> Filled:
    """Plain values as a tool's form, pictures taken in: data URLs and file ids. Raises `InvalidParams`, `BadInput`."""
    check_text(dict(values))
    form = Form({name: [value] for name, value in values.items() if value is not None})
    return await fill(form, desk.tool(tool_id).params, desk, owner)


async def ordered(tool_id: str, values: Mapping[str, object], desk: Desk, owner: str) -> Job:
    """A job that its caller waits for."""
    form = await filled(tool_id, values, desk, owner)
    job = await to_thread.run_sync(desk.order, tool_id, form.values, owner)
    return job.model_copy(update={"notices": (*job.notices, *form.notices), "waited": True})


@asynccontextmanager
async def followed(desk: Desk, job: Job) -> AsyncIterator[Stream]:
    """The job's events. Left before the end, by whatever way, the job is cancelled."""
    stream = await to_thread.run_sync(desk.jobs.follow, job)
    try:
        await to_thread.run_sync(desk.ordered, job.owner, job.id)
        yield stream
    finally:
        stream.close()
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(desk.jobs.cancel, job.id)


async def ended(desk: Desk, job: Job) -> Row:
    """How it ended. Raises `Cancelled` for a job that left no trace."""
    row = await to_thread.run_sync(desk.jobs.get, job.id)
    if row is None:
        raise Cancelled
    return row
