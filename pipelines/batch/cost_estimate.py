"""Cost model of a batch: seconds and bytes of each row, from past jobs of the tool or from two sample rows.

A size without a measurement costs as much as the nearest measured one, scaled by pixels, and counts as guessed.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

from pipelines.batch.batch_service import BatchService
from pipelines.batch.batch_table import Batch, BatchRow
from pipelines.batch.picture_source import PictureSource
from pipelines.batch.row_values import make_row_job
from pipelines.core.errors import JobCancelled, NotFound, StudioError
from pipelines.core.job import Result
from pipelines.core.params import Params
from pipelines.core.stream import Stream
from pipelines.core.tools import Tool
from pipelines.jobs import retention
from pipelines.runtime.context import DRAWING_STAGE, SCENE_STAGE
from pipelines.runtime.progress import WAITING_STAGE

SIZE_FIELD = "size"
MULTIPLIER_FIELDS = ("variations", "seconds")  # fields whose value multiplies the work
STEPS_PER_DOUBLING = 2
"""Steps on the scale of sizes while the number of pixels doubles; sizes within one step are taken as equal."""
UNKNOWN_PICTURE_PIXELS = 1 << 20  # pixels assumed for a picture of unknown size
MAX_SAMPLE_SECONDS = 90.0
"""Seconds for one sample row, its time in the queue included; after that its cost stays unknown."""
QUICK_SAMPLE_SECONDS = 20.0
"""Seconds within which a first sample is followed by a second, which no longer includes loading the model."""


@dataclass(frozen=True)
class RowCost:
    """The cost of one row: seconds of work, and bytes of its files."""

    seconds: float
    bytes: int


@dataclass(frozen=True)
class Workload:
    """The amount of work of a row: its look, and its pixels as a step on a logarithmic scale."""

    look: str
    step: int

    @property
    def pixels(self) -> float:
        """The approximate number of pixels."""
        return 2 ** (self.step / STEPS_PER_DOUBLING)


def own_work_seconds(seconds: float, receipt: Mapping[str, Any]) -> float:
    """Return a job's seconds without those in which a model drew for others; of a shared call only its share."""
    timings: Mapping[str, float] = receipt.get("timings") or {}
    drawn = sum(timings.get(stage, 0.0) for stage in (DRAWING_STAGE, SCENE_STAGE))
    shared = drawn * (1 - 1 / max(1, receipt.get("drawn_together", 1)))
    return max(0.0, seconds - timings.get(WAITING_STAGE, 0.0) - shared)


def workload_of(params: type[Params], values: Mapping[str, Any], pixels: Callable[[str], int | None]) -> Workload:
    """Return the workload of a job. `pixels` returns those of a file (None: unknown), for tools without a size."""
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
    """The cost of all rows of a tool, and the number of rows that was scaled from other sizes."""

    cost: RowCost
    guessed: int


def estimate_cost(rows: Counter[Workload], known: list[tuple[Workload, RowCost]]) -> CostEstimate | None:
    """Sum the rows' costs, each the mean of what is known of its workload; None when nothing is known."""
    if not known:
        return None
    seconds = size = 0.0
    guessed = 0
    for work, count in rows.items():
        same = costs_of_workload(work, known)
        each = _mean_cost(same) if same else _scale_nearest_cost(work, known)
        seconds, size = seconds + count * each.seconds, size + count * each.bytes
        guessed += 0 if same else count
    return CostEstimate(RowCost(seconds, round(size)), guessed)


def costs_of_workload(work: Workload, known: Iterable[tuple[Workload, RowCost]]) -> list[RowCost]:
    """Return the known costs of this workload, or of its size with other looks where this look has none."""
    size = [(other, cost) for other, cost in known if other.step == work.step]
    return [cost for other, cost in size if other.look == work.look] or [cost for _, cost in size]


def _mean_cost(costs: list[RowCost]) -> RowCost:
    return RowCost(statistics.fmean(c.seconds for c in costs), round(statistics.fmean(c.bytes for c in costs)))


def _scale_nearest_cost(work: Workload, known: list[tuple[Workload, RowCost]]) -> RowCost:
    nearest = min((other for other, _ in known), key=lambda other: abs(other.step - work.step))
    mean = _mean_cost(costs_of_workload(Workload(work.look, nearest.step), known))
    ratio = work.pixels / nearest.pixels
    return RowCost(mean.seconds * ratio, round(mean.bytes * ratio))


def measure_past_jobs(
    batches: BatchService, tool: Tool, pixels: Callable[[str], int | None]
) -> list[tuple[Workload, RowCost]]:
    """Return workload and cost of the tool's last jobs whose files still exist."""
    measured: list[tuple[Workload, RowCost]] = []
    for row in batches.table.list_measured(tool.id, batches.service.profile.id):
        result = json.loads(row.result)
        with suppress(NotFound):  # a file was deleted
            size = sum(batches.service.files.get_info(file["id"]).bytes for file in result["files"])
            cost = RowCost(own_work_seconds(row.s, result["receipt"]), size)
            measured.append((workload_of(tool.params, json.loads(row.job)["params"], pixels), cost))
    return measured


def run_sample_rows(
    batches: BatchService, batch: Batch, rows: tuple[BatchRow, ...], pictures: PictureSource, kept: Collection[str]
) -> RowCost | None:
    """Run these rows, at most two, unlisted, and return the cost of the last; None if it failed. `kept` files stay."""
    found: RowCost | None = None
    for row in rows:
        found = _run_sample(batches, batch, row, pictures, kept) or found
        if found is None or found.seconds > QUICK_SAMPLE_SECONDS:
            break
    return found


def _run_sample(
    batches: BatchService, batch: Batch, row: BatchRow, pictures: PictureSource, kept: Collection[str]
) -> RowCost | None:
    jobs = batches.jobs
    try:
        job = make_row_job(batches.service, batch, row, pictures).model_copy(update={"helper": True})
        jobs.submit(job)
    except StudioError:  # the dry run reports it for the row, or a quota is used up
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
    """Return the result, or None when the job failed or took longer than `MAX_SAMPLE_SECONDS`."""
    end = time.monotonic() + MAX_SAMPLE_SECONDS
    with closing(stream):
        while not stream.is_exhausted and time.monotonic() < end:
            for event in stream.take_pending(1.0):
                if isinstance(event, Result):
                    return event
        if stream.error is not None and not isinstance(stream.error, StudioError | JobCancelled):
            raise stream.error
        return None
