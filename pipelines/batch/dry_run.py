"""A dry run: every row and picture is looked at and nothing kept; tells what will fail, the time and the disk.

Time and disk are those of the tool's last jobs of the same size here; where there is none, two of the rows are done and
forgotten again.
"""

from __future__ import annotations

import contextlib
import copy
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

from pipelines.batch.batch_service import BatchService
from pipelines.batch.batch_table import Batch, BatchRow
from pipelines.batch.cost_estimate import (
    CostEstimate,
    RowCost,
    Workload,
    costs_of_workload,
    estimate_cost,
    sample_cost,
    workload_of,
)
from pipelines.batch.jobs_file import RowFault
from pipelines.batch.manifest import row_label
from pipelines.batch.picture_source import PictureSource, open_picture_source
from pipelines.batch.row_values import PictureIngester, form_values, ingest_pictures
from pipelines.core.errors import NotFound, StudioError
from pipelines.core.geometry import Image
from pipelines.core.job import Job
from pipelines.jobs.workers import SharedDeviceEngine
from pipelines.service.form_filling import BRAND_KIT_NOTICE_PREFIX
from pipelines.service.orders import StudioService
from pipelines.storage.file_index import FileIndex, FileInfo, FileRole, pixels_sha256

MAX_FAULT_COUNT = 500
"""Faults that are told one by one; beyond, they are counted."""


@dataclass(frozen=True)
class DryRunReport:
    """`seconds` and `bytes` are of all good rows, None where not one could be done. `free` bytes are left on disk.

    `remarks` are about rows that can be done and on which something was set right.
    """

    rows: int
    good: int
    faults: tuple[RowFault, ...]
    seconds: float | None
    bytes: int | None
    free: int
    remarks: tuple[RowFault, ...] = ()
    guessed: int = 0
    """Rows whose cost was measured at other sizes only."""

    @property
    def fits_on_disk(self) -> bool:
        """Whether there is room for what will be made, as far as that is known."""
        return self.bytes is None or self.bytes <= self.free

    @property
    def bad_count(self) -> int:
        """Rows that will fail."""
        return self.rows - self.good


class _DryRunFiles(FileIndex):
    """Gives pictures the ids they would have and keeps none."""

    def __init__(self, files: FileIndex) -> None:
        self._files = files
        self._seen: dict[str, tuple[int, int]] = {}
        self.known: set[str] = set()
        """Ids of pictures that were the owner's before."""

    def add_image(self, image: Image, owner: str, role: FileRole) -> str:
        file_id = f"file-{pixels_sha256(image)[:40]}"
        self._seen[file_id] = (image.shape[1], image.shape[0])
        with contextlib.suppress(NotFound):
            self.known.add(self._files.get_info(file_id, owner).id)
        return file_id

    def save_provenance(self, file_id: str, owner: str, past: bytes, placed: bytes | None = None) -> None:
        return

    def get_info(self, file_id: str, owner: str | None = None) -> FileInfo:
        if file_id in self._seen:
            return FileInfo(file_id, owner or "", "upload", "png", PurePath(file_id), *self._seen[file_id], 0, "", 0.0)
        return self._files.get_info(file_id, owner)

    def pixel_count(self, file_id: str) -> int | None:
        """How large a picture is; None for one that was deleted."""
        with contextlib.suppress(NotFound):
            found = self.get_info(file_id)
            return found.width * found.height
        return None

    def is_example(self, file_id: str) -> bool:
        return self._files.is_example(file_id)


def dry_run(
    batches: BatchService, batch: Batch, on_progress: Callable[[int], None] | None = None, out: Path | None = None
) -> DryRunReport:
    """Look at every row of a batch as if it were ordered. `tick` hears how many rows were looked at.

    `out` lies on the disk that the pictures will go to, if that is not the studio's own.
    """
    service = copy.copy(batches.service)
    nowhere = service.files = _DryRunFiles(batches.service.files)
    opened = open_picture_source(None if batch.source is None else Path(batch.source))
    total = bad = 0
    faults: list[RowFault] = []
    remarks: list[RowFault] = []
    tools: dict[str, _RowGroup] = {}
    try:
        for row in batches.table.iter_rows(batch.id):
            notices = [
                said for said in row.notices if not said.startswith(BRAND_KIT_NOTICE_PREFIX)
            ]  # which was asked for
            found, job = check_row(service, batch, row, opened, notices)
            total, bad = total + 1, bad + bool(found)
            name = row_label(row.row, row.key, row.cells)
            faults += [replace(fault, label=name) for fault in found][: MAX_FAULT_COUNT - len(faults)]
            if job is not None:
                work = workload_of(service.find_tool(job.tool).params, job.params, nowhere.pixel_count)
                tools.setdefault(job.tool, _RowGroup()).add_row(work, row)
                remarks += [RowFault(row.row, None, notice, label=name) for notice in notices][
                    : MAX_FAULT_COUNT - len(remarks)
                ]
            if on_progress is not None:
                on_progress(total)
        costs = [_estimate_tool(batches, batch, tool, rows, opened, nowhere) for tool, rows in tools.items()]
    finally:
        opened.close()
    engine = batches.jobs.engine
    cost = _sum_estimates(costs, engine.devices if isinstance(engine, SharedDeviceEngine) else engine.slots)
    free = shutil.disk_usage(out or batches.jobs.root).free
    seconds, size, guessed = (None, None, 0) if cost is None else (cost.cost.seconds, cost.cost.bytes, cost.guessed)
    return DryRunReport(total, total - bad, tuple(faults), seconds, size, free, tuple(remarks), guessed)


@dataclass
class _RowGroup:
    """Good rows of one tool: how many ask for how much, and of each the first and the last."""

    counts: Counter[Workload] = field(default_factory=Counter[Workload])
    ends: dict[Workload, tuple[BatchRow, ...]] = field(default_factory=dict[Workload, tuple[BatchRow, ...]])

    def add_row(self, work: Workload, row: BatchRow) -> None:
        self.counts[work] += 1
        self.ends[work] = (*self.ends.get(work, ())[:1], row)


def check_row(
    service: StudioService, batch: Batch, row: BatchRow, opened: PictureSource, notices: list[str]
) -> tuple[list[RowFault], Job | None]:
    """All that is wrong with one row, or its job; what was said of its pictures is added to `notices`."""
    if row.error is not None:
        return [RowFault.from_error(row.row, row.error)], None
    tool = service.find_tool(row.tool or batch.tool)
    values: dict[str, Any] = form_values(tool, batch, row)
    taker = PictureIngester(service, opened, batch.owner)
    errors = ingest_pictures(tool, values, taker)
    notices += taker.notices
    named = {error.param for error in errors}
    errors += [error for error in service.list_form_errors(tool.id, values) if error.param not in named]
    if not errors:
        try:
            return [], service.create_job(tool.id, values, batch.owner, batch=True)
        except StudioError as error:
            errors = [error]
    return [RowFault.from_error(row.row, error) for error in errors], None


def _estimate_tool(
    batches: BatchService, batch: Batch, tool: str, rows: _RowGroup, opened: PictureSource, nowhere: _DryRunFiles
) -> CostEstimate | None:
    """By what was measured here; of the work that most rows ask for and nobody measured, two rows are done."""
    params = batches.service.find_tool(tool).params
    known = [(workload_of(params, each.params, nowhere.pixel_count), each.cost) for each in batches.measured_jobs(tool)]
    new = [work for work, _ in rows.counts.most_common() if not costs_of_workload(work, known)]
    if new:
        cost = sample_cost(batches, batch, rows.ends[new[0]], opened, nowhere.known)
        known += [] if cost is None else [(new[0], cost)]
    return estimate_cost(rows.counts, known)


def _sum_estimates(costs: list[CostEstimate | None], lanes: int) -> CostEstimate | None:
    """Of all tools together, `lanes` rows at once; None where one is not known, or there is none."""
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs) or not known:
        return None
    seconds = sum(each.cost.seconds for each in known) / max(1, lanes)
    return CostEstimate(
        RowCost(round(seconds, 1), sum(each.cost.bytes for each in known)), sum(each.guessed for each in known)
    )
