"""Server-sent events (SSE) of a job: the response, and how each event is written."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import anyio
from anyio import to_thread
from fastapi import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from pipelines.core.errors import JobCancelled
from pipelines.core.job import Event, Job, QueuePosition, Step
from pipelines.core.stream import Stream
from pipelines.runtime.progress import encode_data_url
from pipelines.service.studio_service import StudioService
from ui.api.errors import describe_error_with_id, to_studio_error
from ui.api.job_object import find_job, make_job_object

KEEPALIVE_SECONDS = 15.0
"""Seconds without an event after which a comment is sent, because proxies close an idle connection."""

KEEPALIVE_COMMENT = ": wait\n"
"""SSE comment, not ended by a blank line: a client that splits at blank lines only finds it in the next event."""


class EventStreamResponse(StreamingResponse):
    """Response with server-sent `events` about the job of `stream`, which is closed at the end.

    `cancel_job_id`: the job to cancel when the connection breaks before the last event. Closing and cancelling are done
    here and not in the generator, because that never starts when the client leaves at once.
    """

    def __init__(
        self,
        events: AsyncIterator[str],
        service: StudioService,
        stream: Stream,
        headers: Mapping[str, str] | None = None,
        cancel_job_id: str | None = None,
    ) -> None:
        # Proxies must not buffer events.
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **(headers or {})}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._service = service
        self._stream = stream
        self._cancel_job_id = cancel_job_id
        self._complete = False

    async def stream_response(self, send: Send) -> None:
        await super().stream_response(send)
        self._complete = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._stream.close()
            if self._cancel_job_id is not None and not self._complete:
                await cancel_shielded(self._service, self._cancel_job_id)


def format_event(event: str, data: Mapping[str, Any], event_id: int | None = None) -> str:
    """Write one server-sent event."""
    head = f"id: {event_id}\n" if event_id is not None else ""
    return f"{head}event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


async def stream_job_events(
    request: Request, service: StudioService, job: Job, stream: Stream, *, opening: bool = False
) -> AsyncIterator[str]:
    """Write the job's events as `stream` brings them: `queued`, `step`, then `result` or `error`.

    `opening` begins with the place in the queue, so that the client knows the job's id before the first step.
    """
    try:
        first = stream.take_next(0) if opening else None
        if opening and not isinstance(first, QueuePosition):
            yield _format_queued(job.id, 0)
        if first is not None:
            yield _format_job_event(job.id, first, stream.last_id)
        async for events in pending_events(stream):
            # One write for all pending events: with a hundred streams it is the number of writes that costs time.
            text = "".join(_format_job_event(job.id, event, event_id) for event_id, event in events)
            if text or not events:
                yield text or KEEPALIVE_COMMENT
        yield format_event("result", make_job_object(await find_job(service, job.id, job.owner)), stream.last_id)
    except JobCancelled:
        # Not an error: the job object says that it was cancelled.
        yield format_event("result", make_job_object(await find_job(service, job.id, job.owner)), stream.last_id + 1)
    except Exception as error:  # noqa: BLE001  the status 200 is sent, so an error can only be an event
        yield format_failure(request, error, stream.last_id + 1, id=job.id)


async def pending_events(stream: Stream) -> AsyncIterator[Sequence[tuple[int, Event]]]:
    """Yield all new events of `stream` with their ids, or nothing after `KEEPALIVE_SECONDS`. Raises what ended it."""
    while (events := await stream.take_pending_async(KEEPALIVE_SECONDS)) or not stream.is_exhausted:
        yield events
    if stream.error is not None:
        raise stream.error


def format_failure(request: Request, error: Exception, event_id: int | None = None, **fields: str) -> str:
    """Write the event of a failure, and record its code for the log and the metrics."""
    studio_error = to_studio_error(error, request.scope)
    request.state.code = studio_error.code
    return format_event("error", {**fields, "error": describe_error_with_id(studio_error)}, event_id)


def _format_queued(job_id: str, position: int, event_id: int | None = None) -> str:
    return format_event("queued", {"id": job_id, "position": position}, event_id)


def _format_job_event(job_id: str, event: Event, event_id: int) -> str:
    if isinstance(event, QueuePosition):
        return _format_queued(job_id, event.position, event_id)
    if not isinstance(event, Step):
        return ""  # the result is sent as the whole job object, once the job row has it
    step = {
        "index": event.index,
        "total": event.total,
        "stage": event.stage,
        "preview": encode_data_url(event.preview) if event.preview else None,
    }
    return format_event("step", {"id": job_id, **step}, event_id)


async def cancel_shielded(service: StudioService, job_id: str) -> None:
    """Cancel the job, even while the request's own task is being cancelled."""
    with anyio.CancelScope(shield=True):
        await to_thread.run_sync(service.jobs.cancel, job_id)
