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

from pipelines.batch.batch_service import Batches
from pipelines.batch.batch_table import Asked, Batch
from pipelines.batch.cost_estimate import Cost, Priced, Work, alike, priced, work_of
from pipelines.batch.cost_samples import sampled
from pipelines.batch.jobs_file import Fault
from pipelines.batch.manifest import called
from pipelines.batch.picture_source import Shelf, shelf
from pipelines.batch.row_values import Taker, take_pictures, values_of
from pipelines.core.errors import NotFound, StudioError
from pipelines.core.geometry import Image
from pipelines.core.job import Job
from pipelines.jobs.workers import Sharing
from pipelines.service.orders import Desk
from pipelines.service.saved_items import KIT
from pipelines.storage.file_index import FileInfo, Files, Role, pixels_sha256

SHOWN = 500
"""Faults that are told one by one; beyond, they are counted."""


@dataclass(frozen=True)
class Report:
    """`seconds` and `bytes` are of all good rows, None where not one could be done. `free` bytes are left on disk.

    `remarks` are about rows that can be done and on which something was set right.
    """

    rows: int
    good: int
    faults: tuple[Fault, ...]
    seconds: float | None
    bytes: int | None
    free: int
    remarks: tuple[Fault, ...] = ()
    guessed: int = 0
    """Rows whose cost was measured at other sizes only."""

    @property
    def fits(self) -> bool:
        """Whether there is room for what will be made, as far as that is known."""
        return self.bytes is None or self.bytes <= self.free

    @property
    def bad(self) -> int:
        """Rows that will fail."""
        return self.rows - self.good


class _Nowhere(Files):
    """Gives pictures the ids they would have and keeps none."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._seen: dict[str, tuple[int, int]] = {}
        self.known: set[str] = set()
        """Ids of pictures that were the owner's before."""

    def add(self, image: Image, owner: str, role: Role) -> str:
        file_id = f"file-{pixels_sha256(image)[:40]}"
        self._seen[file_id] = (image.shape[1], image.shape[0])
        with contextlib.suppress(NotFound):
            self.known.add(self._files.info(file_id, owner).id)
        return file_id

    def keep_past(self, file_id: str, owner: str, past: bytes, placed: bytes | None = None) -> None:
        return

    def info(self, file_id: str, owner: str | None = None) -> FileInfo:
        if file_id in self._seen:
            return FileInfo(file_id, owner or "", "upload", "png", PurePath(file_id), *self._seen[file_id], 0, "", 0.0)
        return self._files.info(file_id, owner)

    def pixels(self, file_id: str) -> int | None:
        """How large a picture is; None for one that was deleted."""
        with contextlib.suppress(NotFound):
            found = self.info(file_id)
            return found.width * found.height
        return None

    def is_example(self, file_id: str) -> bool:
        return self._files.is_example(file_id)


def dry_run(
    batches: Batches, batch: Batch, tick: Callable[[int], None] | None = None, out: Path | None = None
) -> Report:
    """Look at every row of a batch as if it were ordered. `tick` hears how many rows were looked at.

    `out` lies on the disk that the pictures will go to, if that is not the studio's own.
    """
    desk = copy.copy(batches.desk)
    nowhere = desk.files = _Nowhere(batches.desk.files)
    opened = shelf(None if batch.source is None else Path(batch.source))
    total = bad = 0
    faults: list[Fault] = []
    remarks: list[Fault] = []
    tools: dict[str, _Rows] = {}
    try:
        for row in batches.store.asked(batch.id):
            notices = [said for said in row.notices if not said.startswith(KIT)]  # which was asked for
            found, job = look(desk, batch, row, opened, notices)
            total, bad = total + 1, bad + bool(found)
            name = called(row.row, row.key, row.cells)
            faults += [replace(fault, called=name) for fault in found][: SHOWN - len(faults)]
            if job is not None:
                work = work_of(desk.tool(job.tool).params, job.params, nowhere.pixels)
                tools.setdefault(job.tool, _Rows()).add(work, row)
                remarks += [Fault(row.row, None, notice, called=name) for notice in notices][: SHOWN - len(remarks)]
            if tick is not None:
                tick(total)
        costs = [_cost(batches, batch, tool, rows, opened, nowhere) for tool, rows in tools.items()]
    finally:
        opened.close()
    engine = batches.jobs.engine
    cost = _sum(costs, engine.devices if isinstance(engine, Sharing) else engine.slots)
    free = shutil.disk_usage(out or batches.jobs.root).free
    seconds, size, guessed = (None, None, 0) if cost is None else (cost.cost.seconds, cost.cost.bytes, cost.guessed)
    return Report(total, total - bad, tuple(faults), seconds, size, free, tuple(remarks), guessed)


@dataclass
class _Rows:
    """Good rows of one tool: how many ask for how much, and of each the first and the last."""

    counts: Counter[Work] = field(default_factory=Counter[Work])
    ends: dict[Work, tuple[Asked, ...]] = field(default_factory=dict[Work, tuple[Asked, ...]])

    def add(self, work: Work, row: Asked) -> None:
        self.counts[work] += 1
        self.ends[work] = (*self.ends.get(work, ())[:1], row)


def look(desk: Desk, batch: Batch, row: Asked, opened: Shelf, notices: list[str]) -> tuple[list[Fault], Job | None]:
    """All that is wrong with one row, or its job; what was said of its pictures is added to `notices`."""
    if row.error is not None:
        return [Fault.of(row.row, row.error)], None
    tool = desk.tool(row.tool or batch.tool)
    values: dict[str, Any] = values_of(tool, batch, row)
    taker = Taker(desk, opened, batch.owner)
    errors = take_pictures(tool, values, taker)
    notices += taker.notices
    named = {error.param for error in errors}
    errors += [error for error in desk.objections(tool.id, values) if error.param not in named]
    if not errors:
        try:
            return [], desk.order(tool.id, values, batch.owner, batch=True)
        except StudioError as error:
            errors = [error]
    return [Fault.of(row.row, error) for error in errors], None


def _cost(batches: Batches, batch: Batch, tool: str, rows: _Rows, opened: Shelf, nowhere: _Nowhere) -> Priced | None:
    """By what was measured here; of the work that most rows ask for and nobody measured, two rows are done."""
    params = batches.desk.tool(tool).params
    known = [(work_of(params, each.params, nowhere.pixels), each.cost) for each in batches.measured(tool)]
    new = [work for work, _ in rows.counts.most_common() if not alike(work, known)]
    if new:
        cost = sampled(batches, batch, rows.ends[new[0]], opened, nowhere.known)
        known += [] if cost is None else [(new[0], cost)]
    return priced(rows.counts, known)


def _sum(costs: list[Priced | None], lanes: int) -> Priced | None:
    """Of all tools together, `lanes` rows at once; None where one is not known, or there is none."""
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs) or not known:
        return None
    seconds = sum(each.cost.seconds for each in known) / max(1, lanes)
    return Priced(Cost(round(seconds, 1), sum(each.cost.bytes for each in known)), sum(each.guessed for each in known))
