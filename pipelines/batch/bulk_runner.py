"""A batch worked off many rows at a time by an engine that takes many; knows no door and no cluster.

Rows go through the queue's own table: leased here, settled one by one, in line again where this process dies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from pipelines.batch.batch_service import Batches
from pipelines.core.errors import StudioError
from pipelines.core.job import Job, Result

MOST = 5000
"""Rows in hand at once: their pictures are on disk, the rows themselves a few kilobytes each."""
LEASE = 60.0
TICK = 0.02
"""Seconds between two looks while rows are being taken in."""


Settle = Callable[[Job, "Result | None", "StudioError | None"], None]


@runtime_checkable
class TakesMany(Protocol):
    """An engine that works off many jobs at once."""

    def all(self, jobs: Sequence[Job], settle: Settle) -> Iterator[None]: ...


def work_off(batches: Batches, engine: TakesMany, told: Callable[[], object]) -> None:
    """Every row that waits, until none does; `told` after each that ended."""
    while jobs := list(_claimed(batches)):
        left = {job.id for job in jobs}

        def settle(job: Job, result: Result | None, error: StudioError | None, left: set[str] = left) -> None:
            _settle(batches, job, result, error)
            left.discard(job.id)

        try:
            for _ in engine.all(jobs, settle):
                told()
        finally:
            for job_id in left:
                batches.jobs.table.put_back(job_id)


def _claimed(batches: Batches) -> Iterator[Job]:
    """Rows, taken in one after the other and leased to this process."""
    table = batches.jobs.table
    for _ in range(MOST):
        while (job := table.claim(time.time() + LEASE)) is None:
            if not _waits(batches):
                return
            batches.jobs.nudge()
            time.sleep(TICK)
        yield job


def _waits(batches: Batches) -> bool:
    counts = [batches.store.counts(batch_id) for batch_id in batches.store.ids("running")]
    return any(each.get("waiting") or each.get("queued") for each in counts)


def _settle(batches: Batches, job: Job, result: Result | None, error: StudioError | None) -> None:
    table = batches.jobs.table
    if error is not None and error.status >= 500 and table.spend(job.id):
        table.put_back(job.id)
        return
    shape: dict[str, Any] | None = None
    if error is not None:
        shape = {"code": error.code, "message": error.message, "param": error.param}
    table.settle(job.id, "done" if result is not None else "failed", result, shape)
