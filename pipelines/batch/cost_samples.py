"""A row of a batch done and forgotten again, so that it is known what rows cost here; knows no door."""

from __future__ import annotations

import time
from collections.abc import Collection

from pipelines.batch.batch_service import Batches
from pipelines.batch.batch_table import Asked, Batch
from pipelines.batch.cost_estimate import Cost
from pipelines.batch.picture_source import Shelf
from pipelines.batch.row_values import order
from pipelines.core.errors import Cancelled, StudioError
from pipelines.core.job import Result
from pipelines.core.stream import Stream
from pipelines.jobs import retention

PATIENCE = 90.0
"""Seconds for one row, the wait for its turn included; after that its cost is not known."""
SOON = 20.0
"""A first row that took less is followed by a second: what was loaded for the first is there then."""


def sampled(
    batches: Batches, batch: Batch, rows: tuple[Asked, ...], shelf: Shelf, kept: Collection[str]
) -> Cost | None:
    """What these rows, at most two, cost; None where none could be done. `kept` are files that are the owner's already.

    The jobs stand in no list and their pictures are gone afterwards.
    """
    found: Cost | None = None
    for row in rows:
        found = _done(batches, batch, row, shelf, kept) or found
        if found is None or found.seconds > SOON:
            break
    return found


def _done(batches: Batches, batch: Batch, row: Asked, shelf: Shelf, kept: Collection[str]) -> Cost | None:
    jobs = batches.jobs
    try:
        job = order(batches.desk, batch, row, shelf).model_copy(update={"helper": True})
        jobs.submit(job)
    except StudioError:  # told of by the dry run itself, or an allowance that is used up
        return None
    try:
        result = _result(jobs.watch(job.id))
        if result is None:
            return None
        return Cost(result.seconds, sum(batches.desk.files.info(file.id).bytes for file in result.files))
    finally:
        if jobs.cancel(job.id):
            _result(jobs.watch(job.id))
        retention.delete(jobs.table, batches.desk.files, batch.owner, [job.id], kept)


def _result(stream: Stream) -> Result | None:
    """How it ended, if it went well and within `PATIENCE`."""
    end = time.monotonic() + PATIENCE
    try:
        while not stream.over and time.monotonic() < end:
            for event in stream.gathered(1.0):
                if isinstance(event, Result):
                    return event
        if stream.error is not None and not isinstance(stream.error, StudioError | Cancelled):
            raise stream.error
        return None
    finally:
        stream.close()
