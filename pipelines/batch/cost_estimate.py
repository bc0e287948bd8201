"""What a row costs, from what was measured here of the same tool at the same size; draws nothing and knows no door.

Where a size was never made, the cost is that of the sizes on either side of it, or grows with the pixels from the
nearest: that is told, since it is a guess.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.batch.batch_service import BatchService
from pipelines.batch.batch_table import Batch, BatchRow
from pipelines.batch.cost_estimate import RowCost
from pipelines.batch.picture_source import PictureSource
from pipelines.batch.row_values import order_row
from pipelines.core.errors import JobCancelled, StudioError
from pipelines.core.job import Result
from pipelines.core.params import Params
from pipelines.core.stream import Stream
from pipelines.jobs import retention
from pipelines.runtime.context import DRAWING_STAGE, SCENE_STAGE
from pipelines.runtime.progress import WAITING_STAGE

SIZE_FIELD = "size"
MULTIPLIER_FIELDS = ("variations", "seconds")
"""Fields of which twice as much is twice the work."""
STEPS_PER_DOUBLING = 2
"""Steps from a number of pixels to its double; within one, a fifth more or less, costs are taken to be the same."""
UNKNOWN_PICTURE_PIXELS = 1 << 20
"""Pixels of a picture of which nothing is known."""


@dataclass(frozen=True)
class RowCost:
    """Of one row: seconds of work, and bytes of the pictures it leaves."""

    seconds: float
    bytes: int


@dataclass(frozen=True)
class MeasuredJob:
    """What one job was asked for, and what it cost."""

    params: Mapping[str, Any]
    cost: RowCost


@dataclass(frozen=True)
class Workload:
    """How much a row asks for: its look, and its pixels as a step of a scale on which `STEP` steps are the double."""

    look: str
    step: int

    @property
    def pixels(self) -> float:
        """About so many."""
        return 2 ** (self.step / STEPS_PER_DOUBLING)


def own_work_seconds(seconds: float, receipt: Mapping[str, Any]) -> float:
    """Of the seconds from claim to done those of the job's own work.

    What it waited for a model that drew for others is theirs, and a call that drew several pictures is its share only.
    """
    timings: Mapping[str, float] = receipt.get("timings") or {}
    drawn = sum(timings.get(stage, 0.0) for stage in (DRAWING_STAGE, SCENE_STAGE))
    shared = drawn * (1 - 1 / max(1, receipt.get("drawn_together", 1)))
    return max(0.0, seconds - timings.get(WAITING_STAGE, 0.0) - shared)


def workload_of(params: type[Params], values: Mapping[str, Any], pixels: Callable[[str], int | None]) -> Workload:
    """What a job with these values asks for. `pixels` says how large a picture is, None where that is not known.

    Pixels are those of the size asked for, squared; of the photo, where the tool goes by that.
    """
    size = values.get(SIZE_FIELD)
    area = size * size if isinstance(size, int) and size > 0 else _photo_pixels(params, values, pixels)
    for name in MULTIPLIER_FIELDS:
        area *= float(values.get(name) or 1) if name in params.model_fields else 1
    return Workload(
        f"{values.get('preset', '')} {values.get('factor', '')}", round(STEPS_PER_DOUBLING * math.log2(max(1.0, area)))
    )


def _photo_pixels(params: type[Params], values: Mapping[str, Any], pixels: Callable[[str], int | None]) -> float:
    ids = (values.get(name) for name in params.fields_of_kind("picture"))
    first = next((file_id for file_id in ids if isinstance(file_id, str)), None)
    return (pixels(first) if first else None) or UNKNOWN_PICTURE_PIXELS


@dataclass(frozen=True)
class CostEstimate:
    """What all rows of one tool cost, and how many of them were guessed from other sizes."""

    cost: RowCost
    guessed: int


def estimate_cost(rows: Counter[Workload], known: Iterable[tuple[Workload, RowCost]]) -> CostEstimate | None:
    """The sum over the rows, each at the median of what was measured of its work; None where nothing was."""
    known = list(known)
    if not known:
        return None
    seconds = size = 0.0
    guessed = 0
    for work, count in rows.items():
        same = costs_of_workload(work, known)
        each = median(same) if same else _guess(work, known)
        seconds, size = seconds + count * each.seconds, size + count * each.bytes
        guessed += 0 if same else count
    return CostEstimate(RowCost(seconds, round(size)), guessed)


def costs_of_workload(work: Workload, known: Iterable[tuple[Workload, RowCost]]) -> list[RowCost]:
    """What was measured of this work; of this size with another look, where this look was not made."""
    size = [(other, cost) for other, cost in known if other.step == work.step]
    return [cost for other, cost in size if other.look == work.look] or [cost for _, cost in size]


def median(costs: Iterable[RowCost]) -> RowCost:
    """The middle of each."""
    costs = list(costs)
    return RowCost(statistics.median(c.seconds for c in costs), round(statistics.median(c.bytes for c in costs)))


def _guess(work: Workload, known: list[tuple[Workload, RowCost]]) -> RowCost:
    """Between two sizes on a line from one to the other; beyond them by the pixels."""
    sizes = sorted({other.step: other for other, _ in known}.values(), key=lambda other: other.step)
    costs = [median(costs_of_workload(Workload(work.look, each.step), known)) for each in sizes]
    pixels = [each.pixels for each in sizes]
    end = min(max(work.pixels, pixels[0]), pixels[-1])
    seconds = float(np.interp(end, pixels, [cost.seconds for cost in costs]))
    size = float(np.interp(end, pixels, [cost.bytes for cost in costs]))
    return RowCost(seconds * work.pixels / end, round(size * work.pixels / end))


MAX_SAMPLE_SECONDS = 90.0
"""Seconds for one row, the wait for its turn included; after that its cost is not known."""

QUICK_SAMPLE_SECONDS = 20.0
"""A first row that took less is followed by a second: what was loaded for the first is there then."""


def sample_cost(
    batches: BatchService, batch: Batch, rows: tuple[BatchRow, ...], shelf: PictureSource, kept: Collection[str]
) -> RowCost | None:
    """What these rows, at most two, cost; None where none could be done. `kept` are files that are the owner's already.

    The jobs stand in no list and their pictures are gone afterwards.
    """
    found: RowCost | None = None
    for row in rows:
        found = _run_sample(batches, batch, row, shelf, kept) or found
        if found is None or found.seconds > QUICK_SAMPLE_SECONDS:
            break
    return found


def _run_sample(
    batches: BatchService, batch: Batch, row: BatchRow, shelf: PictureSource, kept: Collection[str]
) -> RowCost | None:
    jobs = batches.jobs
    try:
        job = order_row(batches.service, batch, row, shelf).model_copy(update={"helper": True})
        jobs.submit(job)
    except StudioError:  # told of by the dry run itself, or an allowance that is used up
        return None
    try:
        result = _wait_for_result(jobs.watch(job.id))
        if result is None:
            return None
        return RowCost(result.seconds, sum(batches.service.files.get_info(file.id).bytes for file in result.files))
    finally:
        if jobs.cancel(job.id):
            _wait_for_result(jobs.watch(job.id))
        retention.delete_jobs(jobs.table, batches.service.files, batch.owner, [job.id], kept)


def _wait_for_result(stream: Stream) -> Result | None:
    """How it ended, if it went well and within `PATIENCE`."""
    end = time.monotonic() + MAX_SAMPLE_SECONDS
    try:
        while not stream.is_exhausted and time.monotonic() < end:
            for event in stream.take_pending(1.0):
                if isinstance(event, Result):
                    return event
        if stream.error is not None and not isinstance(stream.error, StudioError | JobCancelled):
            raise stream.error
        return None
    finally:
        stream.close()
