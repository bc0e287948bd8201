"""A batch worked off many rows at a time by an engine that takes many; knows no door and no cluster.

Rows go through the queue's own table: leased here, settled one by one, in line again where this process dies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from pipelines.batch.batch_service import BatchService
from pipelines.core.errors import StudioError
from pipelines.core.job import Job, Result

MAX_CLAIMED_ROW_COUNT = 5000
"""Rows in hand at once: their pictures are on disk, the rows themselves a few kilobytes each."""
LEASE_SECONDS = 60.0
POLL_SECONDS = 0.02
"""Seconds between two looks while rows are being taken in."""


FinishRow = Callable[[Job, "Result | None", "StudioError | None"], None]


@runtime_checkable
class BulkEngine(Protocol):
    """An engine that works off many jobs at once."""

    def run_all(self, jobs: Sequence[Job], settle: FinishRow) -> Iterator[None]: ...


def run_in_bulk(batches: BatchService, engine: BulkEngine, on_progress: Callable[[], object]) -> None:
    """Every row that waits, until none does; `told` after each that ended."""
    while jobs := list(_claim_rows(batches)):
        left = {job.id for job in jobs}

        def settle(job: Job, result: Result | None, error: StudioError | None, left: set[str] = left) -> None:
            _finish_row(batches, job, result, error)
            left.discard(job.id)

        try:
            for _ in engine.run_all(jobs, settle):
                on_progress()
        finally:
            for job_id in left:
                batches.jobs.table.requeue_job(job_id)


def _claim_rows(batches: BatchService) -> Iterator[Job]:
    """Rows, taken in one after the other and leased to this process."""
    table = batches.jobs.table
    for _ in range(MAX_CLAIMED_ROW_COUNT):
        while (job := table.claim_next_job(time.time() + LEASE_SECONDS)) is None:
            if not _has_waiting_rows(batches):
                return
            batches.jobs.request_refill()
            time.sleep(POLL_SECONDS)
        yield job


def _has_waiting_rows(batches: BatchService) -> bool:
    counts = [batches.table.count_rows(batch_id) for batch_id in batches.table.list_ids("running")]
    return any(each.get("waiting") or each.get("queued") for each in counts)


def _finish_row(batches: BatchService, job: Job, result: Result | None, error: StudioError | None) -> None:
    table = batches.jobs.table
    if error is not None and error.status >= 500 and table.record_attempt(job.id):
        table.requeue_job(job.id)
        return
    shape: dict[str, Any] | None = None
    if error is not None:
        shape = {"code": error.code, "message": error.message, "param": error.param}
    table.finish_job(job.id, "done" if result is not None else "failed", result, shape)
