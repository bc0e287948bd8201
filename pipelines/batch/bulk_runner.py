"""Runs batch rows in bulk on an engine that takes many jobs at once, leased to this process in the job table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

from pipelines.batch.batch_service import BatchService
from pipelines.core.errors import StudioError, error_to_json
from pipelines.core.job import Job, Result
from pipelines.jobs.workers import LEASE_SECONDS

MAX_CLAIMED_ROW_COUNT = 5000  # rows in memory at once; each takes a few kilobytes, and its pictures are on disk
POLL_SECONDS = 0.02  # seconds between two checks for new rows

FinishRow = Callable[[Job, "Result | None", "StudioError | None"], None]


@runtime_checkable
class BulkEngine(Protocol):
    """An engine that runs many jobs at once."""

    def run_all(self, jobs: Sequence[Job], finish_row: FinishRow) -> Iterator[None]: ...


def run_in_bulk(batches: BatchService, engine: BulkEngine, on_progress: Callable[[], object]) -> None:
    """Run all waiting rows; `on_progress` is called after each."""
    while jobs := list(_claim_rows(batches)):
        unfinished = {job.id for job in jobs}
        try:
            for _ in engine.run_all(jobs, partial(_finish_row, batches, unfinished)):
                on_progress()
        finally:
            for job_id in unfinished:
                batches.jobs.table.requeue_job(job_id)


def _claim_rows(batches: BatchService) -> Iterator[Job]:
    """Yield waiting rows, leased to this process."""
    table = batches.jobs.table
    for _ in range(MAX_CLAIMED_ROW_COUNT):
        while (job := table.claim_next_job(time.time() + LEASE_SECONDS)) is None:
            if not _has_waiting_rows(batches):
                return
            batches.jobs.workers.request_refill()
            time.sleep(POLL_SECONDS)
        yield job


def _has_waiting_rows(batches: BatchService) -> bool:
    counts = [batches.table.count_rows(batch_id) for batch_id in batches.table.list_ids("running")]
    return any(each.get("waiting") or each.get("queued") for each in counts)


def _finish_row(
    batches: BatchService, unfinished: set[str], job: Job, result: Result | None, error: StudioError | None
) -> None:
    """Queue a row again after a passing error, or record its end; either way it is no longer `unfinished` here."""
    table = batches.jobs.table
    if error is not None and error.status >= 500 and table.record_attempt(job.id):
        table.requeue_job(job.id)
    else:
        error_json = error_to_json(error) if error is not None else None
        table.finish_job(job.id, "done" if result is not None else "failed", result, error_json)
    unfinished.discard(job.id)
