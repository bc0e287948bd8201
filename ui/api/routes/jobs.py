"""Jobs over HTTP: the job object, waiting, event streams, cancelling; does not know what a job draws."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import anyio
from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from pipelines.core.errors import STATUS_BY_CODE, JobCancelled, NotFound, StudioError
from pipelines.core.job import Event, Job, QueuePosition, Step
from pipelines.core.stream import Stream
from pipelines.jobs.queue import JobRow
from pipelines.jobs.webhooks import Webhooks
from pipelines.service.orders import StudioService
from ui.api.auth.idempotency import HEADER, fingerprint
from ui.api.dependencies import Owner, TheService
from ui.api.errors import READING, WRITING, documented, known, marked, noted, restore, shape
from ui.api.pagination import AFTER, LIMIT, listed

if TYPE_CHECKING:
    from ui.api.auth.access import Access

router = APIRouter(tags=["jobs"])
CANCEL_WAIT = 1.0
PULSE = 15.0
"""Seconds without an event after which something is sent all the same: proxies cut a line that is still."""
WAIT = ": wait\n"
"""A comment, and no event: no blank line ends it, so that even who splits at those alone finds it in the next event."""


# ---------------------------------------------------------------- the job object


def job_object(row: JobRow) -> dict[str, Any]:
    """The contract's job object."""
    result = row.result
    return {
        "id": row.job.id,
        "object": "job",
        "status": row.status,
        "tool": row.job.tool,
        "progress": _progress(row),
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
        "receipt": result.receipt if result else None,
        "seconds": result.seconds if result else None,
        "error": shape(restore(row.error)) if row.error else None,
    }


def _progress(row: JobRow) -> float:
    """0 to 1 within the stage that runs; only a job that is done has 1."""
    if row.status == "done":
        return 1.0
    return min(0.99, round(row.step.index / max(1, row.step.total), 3)) if row.step else 0.0


def answer(row: JobRow, placed: Placed, *, status: int = 200) -> JSONResponse:
    """The job object. A job that failed has its error's status, so that its object is an error envelope as well.

    Whoever does not wait is told 202 at once, also of a job that has failed by then.
    """
    body = job_object(row)
    if row.error:
        body["error"] = marked(restore(row.error))
        status = STATUS_BY_CODE[row.error["code"]] if status == 200 else status
    return JSONResponse(body, status, placed.headers)


async def find(service: StudioService, job_id: str, owner: str) -> JobRow:
    """The owner's job. Raises `not_found`, also for somebody else's."""
    row = await to_thread.run_sync(service.jobs.get_job, job_id)
    if row is None or row.job.owner != owner:
        raise NotFound("There is no such job, or it is not yours.")
    return row


# ---------------------------------------------------------------- a foreground caller: when it leaves, its job stops


@dataclass(frozen=True)
class Placed:
    """A job in line. `again`: this very call was sent before, so the job is the earlier one's and not ours to stop.

    `stream` has its events from the first on, where it was to be streamed.
    """

    job: Job
    again: bool = False
    stream: Stream | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What an answer about it says beside its body."""
        told = {"Location": f"/v1/jobs/{self.job.id}", "X-Job-Id": self.job.id}
        return {**told, "Idempotent-Replayed": "true"} if self.again else told


async def place(
    request: Request,
    service: StudioService,
    order: Callable[[], Job],
    values: Mapping[str, object],
    *,
    streamed: bool = False,
) -> Placed:
    """Order and submit, or find what the same call became. Raises `queue_full`, `rate_limited`, `InvalidParams`.

    `values` are what was asked for, as `StudioService.create_job` takes them: a job draws a seed, so it is never like another.
    `order` makes the job, in the same thread as all else here: under load a hop between threads costs more than it.
    """
    return await to_thread.run_sync(_placed, request, service, order, values, streamed)


def _placed(
    request: Request, service: StudioService, order: Callable[[], Job], values: Mapping[str, object], streamed: bool
) -> Placed:
    job = order()
    hook = hook_of(request, job.owner)
    key = request.headers.get(HEADER)
    if key is None:
        placed = _in_line(service, job, streamed)
    else:
        access: Access = request.app.state.access
        placed = _once(access, service, job, key, fingerprint(job.tool, values), streamed)
    if hook is not None and not placed.again:
        hooks: Webhooks = request.app.state.webhooks
        hooks.add_delivery(job.owner, placed.job.id, hook)
    return placed


def hook_of(request: Request, owner: str, said: str | None = None) -> str | None:
    """Where the caller wants to be told of the end; raises `BadInput` for an address that may not be called."""
    hooks: Webhooks = request.app.state.webhooks
    url = said or request.query_params.get("webhook") or request.headers.get("x-webhook-url")
    return hooks.check_url(url) if url else hooks.default_url(owner)


def _in_line(service: StudioService, job: Job, streamed: bool) -> Placed:
    if streamed:
        return Placed(job, stream=service.jobs.submit_and_watch(job))
    service.jobs.submit(job)
    return Placed(job)


def _once(access: Access, service: StudioService, job: Job, key: str, call: str, streamed: bool) -> Placed:
    with access.once.turn:
        first = access.once.claim(job.owner, key, call, job.id)
        row = service.jobs.get_job(first) if first != job.id else None
        if row is not None and _stands(row):
            return Placed(row.job, again=True, stream=service.jobs.watch(row.job.id) if streamed else None)
        try:
            placed = _in_line(service, job, streamed)
        except StudioError:
            access.once.forget(job.owner, key)
            raise
        if first != job.id:
            access.once.replace(job.owner, key, job.id)
    return placed


def _stands(row: JobRow) -> bool:
    """Whether a repeated call is answered with this job; what was stopped, or failed for our own reasons, is not."""
    return row.status != "cancelled" and (row.error is None or STATUS_BY_CODE[row.error["code"]] < 500)


async def finish(request: Request, service: StudioService, placed: Placed) -> JobRow:
    """Wait for the end and return how it ended."""
    if placed.again:
        await _ended(service, placed.job.id)
    else:
        async with _cancelled_when_gone(request, service, placed.job.id):
            await _ended(service, placed.job.id)
    row = await find(service, placed.job.id, placed.job.owner)
    if row.error is not None:
        noted(request, row.error["code"])
    return row


@contextlib.asynccontextmanager
async def _cancelled_when_gone(request: Request, service: StudioService, job_id: str) -> AsyncIterator[None]:
    async def watch() -> None:
        # The body was read, so what is received now can only be the end of the connection.
        while (await request.receive())["type"] != "http.disconnect":
            pass
        await _cancel(service, job_id)

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        yield
        group.cancel_scope.cancel()


async def _cancel(service: StudioService, job_id: str) -> None:
    with anyio.CancelScope(shield=True):
        await to_thread.run_sync(service.jobs.cancel, job_id)


class EventStream(StreamingResponse):
    """Server-sent events of `stream`; with `placed` the caller is a foreground one: its job ends with its connection.

    Closing and cancelling stand here and not in the generator, which is never entered when the caller left at once.
    """

    def __init__(
        self, frames: AsyncIterator[str], service: StudioService, stream: Stream, placed: Placed | None = None
    ) -> None:
        # Proxies must not hold events back.
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **(placed.headers if placed else {})}
        super().__init__(frames, media_type="text/event-stream", headers=headers)
        self._service = service
        self._stream = stream
        self._job_id = placed.job.id if placed is not None and not placed.again else None
        self._whole = False

    async def stream_response(self, send: Send) -> None:
        await super().stream_response(send)
        self._whole = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._stream.close()
            if self._job_id is not None and not self._whole:
                await _cancel(self._service, self._job_id)


def sse(event: str, data: Mapping[str, Any], event_id: int | None = None) -> str:
    """One server-sent event."""
    head = f"id: {event_id}\n" if event_id is not None else ""
    return f"{head}event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


async def frames(
    request: Request, service: StudioService, job: Job, stream: Stream, *, opening: bool = False
) -> AsyncIterator[str]:
    """The job's events as `stream` brings them: `queued`, `step`, then `result` or `error`.

    `opening` begins with where the job stands, so that a caller knows its id before the first step.
    """
    try:
        first = stream.take_next(0) if opening else None
        if opening and not isinstance(first, QueuePosition):
            yield _queued(job.id, 0)
        if first is not None:
            yield _frame(job.id, first, stream.last_id)
        while (events := await stream.take_pending_async(PULSE)) or not stream.is_exhausted:
            # One write for all that waits: a hundred streams cost the server writes, not words.
            if told := "".join(_frame(job.id, event, event_id) for event_id, event in events) if events else WAIT:
                yield told
        if stream.error is not None:
            raise stream.error
        yield sse("result", job_object(await find(service, job.id, job.owner)), stream.last_id)
    except JobCancelled:
        # Not an error: the object says that it was cancelled.
        yield sse("result", job_object(await find(service, job.id, job.owner)), stream.last_id + 1)
    except Exception as error:  # noqa: BLE001  the status is sent: what is not told here is told to nobody
        yield failed(request, error, stream.last_id + 1, id=job.id)


def failed(request: Request, error: Exception, event_id: int | None = None, **about: str) -> str:
    """The event of a failure, written down for the log and the figures."""
    told = known(error, request.scope)
    noted(request, told.code)
    return sse("error", {**about, "error": marked(told)}, event_id)


def _queued(job_id: str, position: int, event_id: int | None = None) -> str:
    return sse("queued", {"id": job_id, "position": position}, event_id)


def _frame(job_id: str, event: Event, event_id: int) -> str:
    if isinstance(event, QueuePosition):
        return _queued(job_id, event.position, event_id)
    if not isinstance(event, Step):
        return ""  # the result is told as the whole job object, once its row says so
    step = {"index": event.index, "total": event.total, "stage": event.stage, "preview": _data_url(event.preview)}
    return sse("step", {"id": job_id, **step}, event_id)


def _data_url(preview: bytes | None) -> str | None:
    return None if preview is None else "data:image/jpeg;base64," + base64.b64encode(preview).decode()


# ---------------------------------------------------------------- routes


@router.get("/jobs", responses=documented(READING))
async def list_jobs(
    owner: Owner,
    service: TheService,
    limit: Annotated[int, LIMIT] = 20,
    after: Annotated[str | None, AFTER] = None,
) -> dict[str, Any]:
    """Your jobs, newest first."""
    if after is not None:
        await find(service, after, owner)
    rows = await to_thread.run_sync(service.jobs.list_jobs, owner, limit + 1, after)
    return listed([job_object(row) for row in rows], limit)


@router.get("/jobs/{job_id}", responses=documented(READING))
async def get_job(job_id: str, owner: Owner, service: TheService) -> dict[str, Any]:
    """A job as it stands."""
    return job_object(await find(service, job_id, owner))


@router.get("/jobs/{job_id}/events", responses=documented(READING), response_class=StreamingResponse)
async def job_events(job_id: str, request: Request, owner: Owner, service: TheService) -> EventStream:
    """Events of a job, at any time; leaving only detaches. `Last-Event-ID` goes on where a connection broke."""
    row = await find(service, job_id, owner)
    seen = request.headers.get("last-event-id", "")
    after = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 10 else 0
    stream = await to_thread.run_sync(service.jobs.watch, row.job.id, after)
    return EventStream(frames(request, service, row.job, stream), service, stream)


@router.delete("/jobs/{job_id}", responses=documented(WRITING))
async def cancel_job(job_id: str, owner: Owner, service: TheService) -> dict[str, Any]:
    """Stop a job, within a step. A job that has ended stays as it is."""
    await find(service, job_id, owner)
    await _cancel(service, job_id)
    # Most steps are short, so the answer can nearly always say "cancelled".
    with anyio.move_on_after(CANCEL_WAIT):
        await _ended(service, job_id)
    return job_object(await find(service, job_id, owner))


async def _ended(service: StudioService, job_id: str) -> None:
    stream = await to_thread.run_sync(service.jobs.watch, job_id)
    try:
        with contextlib.suppress(StudioError, JobCancelled):  # the row says how it ended
            async for _ in stream:
                pass
    finally:
        stream.close()
