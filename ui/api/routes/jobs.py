"""Routes `/v1/jobs`, and how every route that makes a job submits it and waits for it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import anyio
from anyio import to_thread
from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, StreamingResponse

from pipelines.core.errors import STATUS_BY_CODE, JobCancelled, StudioError, error_from_json
from pipelines.core.job import Job
from pipelines.core.stream import Stream
from pipelines.jobs.queue import JobRow
from pipelines.jobs.webhooks import Webhooks
from pipelines.service.studio_service import StudioService
from ui.api.auth.access import AccessControl
from ui.api.auth.idempotency import IDEMPOTENCY_HEADER, fingerprint_call
from ui.api.dependencies import OwnerDep, ServiceDep
from ui.api.errors import JOB_CODES, READ_CODES, WRITE_CODES, describe_error_with_id, document_errors
from ui.api.event_stream import EventStreamResponse, cancel_shielded, stream_job_events
from ui.api.job_object import find_job, make_job_object
from ui.api.pagination import AfterQuery, LimitQuery, build_list_page

router = APIRouter(tags=["jobs"])

CANCEL_WAIT_SECONDS = 1.0
"""Seconds that a cancel request waits for the job to end."""
WaitQuery: TypeAlias = Annotated[bool, Query(description="false: answer 202 at once.")]
JOB_RESPONSES: dict[int | str, dict[str, Any]] = {
    202: {"description": "Waits or runs; with ?wait=false."},
    **document_errors(JOB_CODES),
}
"""OpenAPI's `responses` of a route that ends with `answer_with_job`."""


# ---------------------------------------------------------------- submitting


@dataclass(frozen=True)
class SubmittedJob:
    """A submitted job. `stream`: its events from the first on, where the client asked for them.

    `replayed`: the same call was sent before (`Idempotency-Key`); its job must not be cancelled by this request.
    """

    job: Job
    replayed: bool = False
    stream: Stream | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Headers of an answer about the job."""
        headers = {"Location": f"/v1/jobs/{self.job.id}", "X-Job-Id": self.job.id}
        return {**headers, "Idempotent-Replayed": "true"} if self.replayed else headers

    def stream_response(self, service: StudioService, events: AsyncIterator[str]) -> EventStreamResponse:
        """Answer with `events` of `stream`; the job is cancelled when the client leaves before the end."""
        assert self.stream is not None
        return EventStreamResponse(events, service, self.stream, self.headers, None if self.replayed else self.job.id)


async def submit_once(
    request: Request,
    service: StudioService,
    make_job: Callable[[], Job],
    values: Mapping[str, object],
    *,
    streamed: bool = False,
) -> SubmittedJob:
    """Submit the job that `make_job` makes, or find the one that the same call made before.

    `values` are the submitted form as `StudioService.create_job` takes it; they identify the call, because the job
    itself has a random seed. `make_job` runs in the same thread as the rest, which saves a change of threads. Raises
    `QueueFull`, `RateLimited`, `InvalidParams`.
    """
    return await to_thread.run_sync(_submit_call, request, service, make_job, values, streamed)


def _submit_call(
    request: Request, service: StudioService, make_job: Callable[[], Job], values: Mapping[str, object], streamed: bool
) -> SubmittedJob:
    job = make_job()
    webhook_url = find_webhook_url(request, job.owner)
    key = request.headers.get(IDEMPOTENCY_HEADER)
    if key is None:
        submitted = _submit_job(service, job, streamed)
    else:
        access: AccessControl = request.app.state.access
        submitted = _submit_unless_repeated(access, service, job, key, fingerprint_call(job.tool, values), streamed)
    if webhook_url is not None and not submitted.replayed:
        webhooks: Webhooks = request.app.state.webhooks
        webhooks.add_delivery(job.owner, submitted.job.id, webhook_url)
    return submitted


def find_webhook_url(request: Request, owner: str, given: str | None = None) -> str | None:
    """Find the address to call at the end: `given`, that of the request, or the owner's default one; None for none.

    Raises `BadInput` for an address that must not be called.
    """
    webhooks: Webhooks = request.app.state.webhooks
    url = given or request.query_params.get("webhook") or request.headers.get("x-webhook-url")
    return webhooks.check_url(url) if url else webhooks.default_url(owner)


def _submit_job(service: StudioService, job: Job, streamed: bool) -> SubmittedJob:
    if streamed:
        return SubmittedJob(job, stream=service.jobs.submit_and_watch(job))
    service.jobs.submit(job)
    return SubmittedJob(job)


def _submit_unless_repeated(
    access: AccessControl, service: StudioService, job: Job, key: str, call: str, streamed: bool
) -> SubmittedJob:
    """Submit the job, unless a job of the same call is there. `call` is the call's fingerprint."""
    with access.idempotency.submit_lock:
        first_id = access.idempotency.claim_key(job.owner, key, call, job.id)
        row = service.jobs.get_job(first_id) if first_id != job.id else None
        if row is not None and _answers_repeat(row):
            return SubmittedJob(row.job, replayed=True, stream=service.jobs.watch(row.job.id) if streamed else None)
        try:
            submitted = _submit_job(service, job, streamed)
        except StudioError:
            access.idempotency.forget_key(job.owner, key)
            raise
        if first_id != job.id:
            access.idempotency.replace_job(job.owner, key, job.id)
    return submitted


def _answers_repeat(row: JobRow) -> bool:
    """Whether a repeated call is answered with this job: not if it was cancelled, or failed on our side."""
    return row.status != "cancelled" and (row.error is None or STATUS_BY_CODE[row.error["code"]] < 500)


# ---------------------------------------------------------------- waiting


async def wait_for_job(request: Request, service: StudioService, submitted: SubmittedJob) -> JobRow:
    """Wait for the job's end and return its row; the job is cancelled when the client leaves before."""
    if submitted.replayed:
        await wait_for_end(service, submitted.job.id)
    else:
        async with _cancel_on_disconnect(request, service, submitted.job.id):
            await wait_for_end(service, submitted.job.id)
    row = await find_job(service, submitted.job.id, submitted.job.owner)
    if row.error is not None:
        request.state.code = row.error["code"]
    return row


async def answer_with_job(
    request: Request, service: StudioService, submitted: SubmittedJob, *, wait: bool
) -> JSONResponse:
    """Answer with the job object. A failed job's answer has its error's status, and is an error envelope as well.

    Without `wait` the status is 202, even when the job has failed by then.
    """
    if wait:
        row = await wait_for_job(request, service, submitted)
    else:
        row = await find_job(service, submitted.job.id, submitted.job.owner)
    body, status = make_job_object(row), 200 if wait else 202
    if row.error:
        body["error"] = describe_error_with_id(error_from_json(row.error))
        status = STATUS_BY_CODE[row.error["code"]] if wait else status
    return JSONResponse(body, status, submitted.headers)


@contextlib.asynccontextmanager
async def _cancel_on_disconnect(request: Request, service: StudioService, job_id: str) -> AsyncIterator[None]:
    async def watch_connection() -> None:
        # The body has been read, so the next message can only be the end of the connection.
        while (await request.receive())["type"] != "http.disconnect":
            pass
        await cancel_shielded(service, job_id)

    async with anyio.create_task_group() as group:
        group.start_soon(watch_connection)
        yield
        group.cancel_scope.cancel()


async def wait_for_end(service: StudioService, job_id: str) -> None:
    """Wait until the job has ended, however it ended."""
    stream = await to_thread.run_sync(service.jobs.watch, job_id)
    try:
        with contextlib.suppress(StudioError, JobCancelled):  # the job row says how it ended
            async for _ in stream:
                pass
    finally:
        stream.close()


# ---------------------------------------------------------------- routes


@router.get("/jobs", responses=document_errors(READ_CODES))
async def list_jobs(
    owner: OwnerDep, service: ServiceDep, limit: LimitQuery = 20, after: AfterQuery = None
) -> dict[str, Any]:
    """Your jobs, newest first."""
    if after is not None:
        await find_job(service, after, owner)
    rows = await to_thread.run_sync(service.jobs.list_jobs, owner, limit + 1, after)
    return build_list_page([make_job_object(row) for row in rows], limit)


@router.get("/jobs/{job_id}", responses=document_errors(READ_CODES))
async def get_job(job_id: str, owner: OwnerDep, service: ServiceDep) -> dict[str, Any]:
    """A job as it stands."""
    return make_job_object(await find_job(service, job_id, owner))


@router.get("/jobs/{job_id}/events", responses=document_errors(READ_CODES), response_class=StreamingResponse)
async def job_events(job_id: str, request: Request, owner: OwnerDep, service: ServiceDep) -> EventStreamResponse:
    """Events of a job, at any time; leaving only detaches. `Last-Event-ID` goes on where a connection broke."""
    row = await find_job(service, job_id, owner)
    last_id = request.headers.get("last-event-id", "")
    after = int(last_id) if last_id.isascii() and last_id.isdigit() and len(last_id) < 10 else 0
    stream = await to_thread.run_sync(service.jobs.watch, row.job.id, after)
    return EventStreamResponse(stream_job_events(request, service, row.job, stream), service, stream)


@router.delete("/jobs/{job_id}", responses=document_errors(WRITE_CODES))
async def cancel_job(job_id: str, owner: OwnerDep, service: ServiceDep) -> dict[str, Any]:
    """Stop a job, within a step. A job that has ended stays as it is."""
    await find_job(service, job_id, owner)
    await cancel_shielded(service, job_id)
    # Most steps are short, so the answer can nearly always say "cancelled".
    with anyio.move_on_after(CANCEL_WAIT_SECONDS):
        await wait_for_end(service, job_id)
    return make_job_object(await find_job(service, job_id, owner))
