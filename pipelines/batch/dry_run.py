"""Dry run of a batch: checks every row and picture, stores nothing, and estimates time and disk space.

The estimate comes from the tool's last jobs of the same size; where there is none, two rows are run as a sample.
"""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
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
    measure_past_jobs,
    run_sample_rows,
    workload_of,
)
from pipelines.batch.manifest import row_label
from pipelines.batch.picture_source import PictureSource, open_picture_source
from pipelines.batch.row_values import PictureIngester, form_values, ingest_pictures
from pipelines.core.errors import NotFound, StudioError
from pipelines.core.geometry import Image
from pipelines.core.job import Job
from pipelines.jobs.workers import SharedDeviceEngine
from pipelines.service.form_checks import list_form_errors
from pipelines.service.form_filling import NOTICE_PREFIXES
from pipelines.service.studio_service import StudioService
from pipelines.storage.file_index import FileIndex, FileInfo, FileRole, pixels_sha256

MAX_FAULT_COUNT = 500  # faults that are listed; any more are only counted


@dataclass(frozen=True)
class RowFault:
    """What is wrong with one row, or was corrected. `code` is an error code of the API, `label` names the row."""

    row: int
    column: str | None
    message: str
    code: str = "invalid_request"
    label: str = ""


@dataclass(frozen=True)
class DryRunReport:
    """The outcome of a dry run. `seconds`, `bytes` (None: not measured): of all good rows; `free`: bytes on disk."""

    rows: int
    good: int
    faults: tuple[RowFault, ...]
    seconds: float | None
    bytes: int | None
    free: int
    remarks: tuple[RowFault, ...] = ()
    guessed: int = 0  # rows whose cost is scaled from other sizes

    @property
    def fits_on_disk(self) -> bool:
        """Whether the files will fit on the disk, as far as is known."""
        return self.bytes is None or self.bytes <= self.free

    @property
    def bad_count(self) -> int:
        """Rows that will fail."""
        return self.rows - self.good


class _DryRunFiles(FileIndex):
    """A file index that gives pictures their ids but stores none."""

    def __init__(self, files: FileIndex) -> None:
        self._files = files
        self._seen: dict[str, tuple[int, int]] = {}
        self.owned_ids: set[str] = set()
        """Ids of pictures that the owner had before."""

    def add_image(self, image: Image, owner: str, role: FileRole) -> str:
        file_id = f"file-{pixels_sha256(image)[:40]}"
        self._seen[file_id] = (image.shape[1], image.shape[0])
        with contextlib.suppress(NotFound):
            self.owned_ids.add(self._files.get_info(file_id, owner).id)
        return file_id

    def save_provenance(self, file_id: str, owner: str, as_parent: bytes, as_component: bytes | None = None) -> None:
        return

    def save_wide_copy(self, file_id: str, owner: str, png: bytes) -> None:
        return

    def save_display_name(self, file_id: str, owner: str, label: str) -> None:
        return

    def find_label(self, file_id: str, owner: str) -> str:
        """Return no name: a check writes nothing that would carry it."""
        return ""

    def get_info(self, file_id: str, owner: str | None = None) -> FileInfo:
        if file_id in self._seen:
            return FileInfo(file_id, owner or "", "upload", "png", PurePath(file_id), *self._seen[file_id], 0, "", 0.0)
        return self._files.get_info(file_id, owner)

    def pixel_count(self, file_id: str) -> int | None:
        """Return the pixels of a picture; None for a deleted one."""
        with contextlib.suppress(NotFound):
            found = self.get_info(file_id)
            return found.width * found.height
        return None

    def is_example(self, file_id: str) -> bool:
        return self._files.is_example(file_id)


def dry_run(
    batches: BatchService, batch: Batch, on_progress: Callable[[int], None] | None = None, out: Path | None = None
) -> DryRunReport:
    """Check every row of a batch like a real order. `on_progress` gets the number of checked rows.

    `out` is a folder on the disk for the results, if that is not the studio's own.
    """
    dry_files = _DryRunFiles(batches.service.files)
    service = batches.service.with_files(dry_files)
    total = bad = 0
    faults: list[RowFault] = []
    remarks: list[RowFault] = []
    tools: dict[str, _RowGroup] = {}
    with contextlib.closing(open_picture_source(None if batch.source is None else Path(batch.source))) as pictures:
        for row in batches.table.iter_rows(batch.id):
            # The user asked for the brand kit, so the notice about it is no news.
            notices = [notice for notice in row.notices if not notice.startswith(tuple(NOTICE_PREFIXES.values()))]
            row_faults, job = check_row(service, batch, row, pictures, notices)
            total, bad = total + 1, bad + bool(row_faults)
            faults += row_faults
            if job is not None:
                work = workload_of(service.find_tool(job.tool).params, job.params, dry_files.pixel_count)
                tools.setdefault(job.tool, _RowGroup()).add_row(work, row)
                label = row_label(row.row, row.key, row.cells)
                remarks += [RowFault(row.row, None, notice, label=label) for notice in notices]
            del faults[MAX_FAULT_COUNT:], remarks[MAX_FAULT_COUNT:]
            if on_progress is not None:
                on_progress(total)
        costs = [_estimate_tool(batches, batch, tool, rows, pictures, dry_files) for tool, rows in tools.items()]
    engine = batches.jobs.engine
    estimate = _sum_estimates(costs, engine.devices if isinstance(engine, SharedDeviceEngine) else engine.slots)
    return DryRunReport(
        rows=total,
        good=total - bad,
        faults=tuple(faults),
        seconds=None if estimate is None else estimate.cost.seconds,
        bytes=None if estimate is None else estimate.cost.bytes,
        free=shutil.disk_usage(out or batches.jobs.root).free,
        remarks=tuple(remarks),
        guessed=0 if estimate is None else estimate.guessed,
    )


@dataclass
class _RowGroup:
    """Good rows of one tool: their number by workload, and the first and the last row of each."""

    counts: Counter[Workload] = field(default_factory=Counter[Workload])
    ends: dict[Workload, tuple[BatchRow, ...]] = field(default_factory=dict[Workload, tuple[BatchRow, ...]])

    def add_row(self, work: Workload, row: BatchRow) -> None:
        self.counts[work] += 1
        self.ends[work] = (*self.ends.get(work, ())[:1], row)


def check_row(
    service: StudioService, batch: Batch, row: BatchRow, pictures: PictureSource, notices: list[str]
) -> tuple[list[RowFault], Job | None]:
    """Return all faults of a row, or its job; notices about its pictures are appended to `notices`."""
    if row.error is not None:
        return [_describe_fault(row, row.error)], None
    tool = service.find_tool(row.tool or batch.tool)
    values: dict[str, Any] = form_values(tool, batch, row)
    ingester = PictureIngester(service, pictures, batch.owner)
    errors = ingest_pictures(tool, values, ingester)
    notices += ingester.notices
    named = {error.param for error in errors}
    errors += [error for error in list_form_errors(tool.params, values) if error.param not in named]
    if not errors:
        try:
            return [], service.create_job(tool.id, values, batch.owner, batch=True)
        except StudioError as error:
            errors = [error]
    return [_describe_fault(row, error) for error in errors], None


def _describe_fault(row: BatchRow, error: StudioError) -> RowFault:
    return RowFault(row.row, error.param, error.message, error.code, row_label(row.row, row.key, row.cells))


def _estimate_tool(
    batches: BatchService, batch: Batch, tool: str, rows: _RowGroup, pictures: PictureSource, dry_files: _DryRunFiles
) -> CostEstimate | None:
    """Estimate the rows of a tool from past jobs; the most common workload without any is measured with two rows."""
    known = measure_past_jobs(batches, batches.service.find_tool(tool), dry_files.pixel_count)
    unmeasured = [work for work, _ in rows.counts.most_common() if not costs_of_workload(work, known)]
    if unmeasured:
        cost = run_sample_rows(batches, batch, rows.ends[unmeasured[0]], pictures, dry_files.owned_ids)
        known += [] if cost is None else [(unmeasured[0], cost)]
    return estimate_cost(rows.counts, known)


def _sum_estimates(costs: list[CostEstimate | None], parallel_rows: int) -> CostEstimate | None:
    """Add up the tools' estimates for `parallel_rows` rows at once; None when one is unknown or there is none."""
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs) or not known:
        return None
    seconds = sum(each.cost.seconds for each in known) / max(1, parallel_rows)
    return CostEstimate(
        RowCost(round(seconds, 1), sum(each.cost.bytes for each in known)), sum(each.guessed for each in known)
    )
