"""A dry run: every row and picture is looked at and nothing kept; tells what will fail, the time and the disk.

Time and disk are those of the tool's last jobs here; where there is none, two of the rows are done and forgotten again.
"""

from __future__ import annotations

import contextlib
import copy
import shutil
import statistics
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.batch.batches import Batches
from pipelines.batch.filling import Taker, take_pictures, values_of
from pipelines.batch.reading import Fault
from pipelines.batch.sample import Cost, sampled
from pipelines.batch.shelf import Shelf, shelf
from pipelines.batch.store import Asked, Batch
from pipelines.desk import Desk
from pipelines.files import FileInfo, Files, Role, pixels_sha256
from pipelines.kept import KIT
from pipelines.types import Image, NotFound, StudioError

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
        self._seen: set[str] = set()
        self.known: set[str] = set()
        """Ids of pictures that were the owner's before."""

    def add(self, image: Image, owner: str, role: Role) -> str:
        file_id = f"file-{pixels_sha256(image)[:40]}"
        self._seen.add(file_id)
        with contextlib.suppress(NotFound):
            self.known.add(self._files.info(file_id, owner).id)
        return file_id

    def keep_past(self, file_id: str, owner: str, past: bytes, placed: bytes | None = None) -> None:
        return

    def info(self, file_id: str, owner: str | None = None) -> FileInfo:
        if file_id in self._seen:
            return FileInfo(file_id, owner or "", "upload", "png", Path(file_id), 0, 0, 0, "", 0.0)
        return self._files.info(file_id, owner)

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
            found = list(look(desk, batch, row, opened, notices))
            total, bad = total + 1, bad + bool(found)
            faults += found[: SHOWN - len(faults)]
            if not found:
                tools.setdefault(row.tool, _Rows(row)).add(row)
                remarks += [Fault(row.row, None, notice) for notice in notices][: SHOWN - len(remarks)]
            if tick is not None:
                tick(total)
        costs = {tool: _cost(batches, batch, tool, rows, opened, nowhere.known) for tool, rows in tools.items()}
    finally:
        opened.close()
    seconds, size = _sum(costs, tools)
    free = shutil.disk_usage(out or batches.jobs.root).free
    return Report(total, total - bad, tuple(faults), seconds, size, free, tuple(remarks))


@dataclass
class _Rows:
    """Good rows of one tool: the first, the last, how many."""

    first: Asked
    last: Asked | None = None
    count: int = 0

    def add(self, row: Asked) -> None:
        self.count, self.last = self.count + 1, row


def look(desk: Desk, batch: Batch, row: Asked, opened: Shelf, notices: list[str] | None = None) -> Iterator[Fault]:
    """Everything that is wrong with one row; what was said of its pictures is added to `notices`."""
    if row.error is not None:
        yield _fault(row, row.error)
        return
    tool = desk.tool(row.tool or batch.tool)
    values: dict[str, Any] = values_of(tool, batch, row)
    taker = Taker(desk, opened, batch.owner)
    errors = take_pictures(tool, values, taker)
    if notices is not None:
        notices += taker.notices
    yield from (_fault(row, error) for error in errors)
    if errors:
        return
    try:
        desk.order(tool.id, values, batch.owner, batch=True)
    except StudioError as error:
        yield _fault(row, error)


def _fault(row: Asked, error: StudioError) -> Fault:
    return Fault.of(row.row, error)


def _cost(batches: Batches, batch: Batch, tool: str, rows: _Rows, opened: Shelf, known: Collection[str]) -> Cost | None:
    """Medians of what was measured here, else what two of the rows cost."""
    took, sizes = batches.store.seconds(tool), batches.sizes(tool)
    if took and sizes:
        return Cost(statistics.median(took), round(statistics.median(sizes)))
    two = (rows.first,) if rows.last is None or rows.last is rows.first else (rows.first, rows.last)
    return sampled(batches, batch, two, opened, known)


def _sum(costs: Mapping[str, Cost | None], tools: Mapping[str, _Rows]) -> tuple[float | None, int | None]:
    known = {tool: cost for tool, cost in costs.items() if cost is not None}
    if len(known) < len(tools) or not tools:
        return None, None
    seconds = sum(rows.count * known[tool].seconds for tool, rows in tools.items())
    return round(seconds, 1), sum(rows.count * known[tool].bytes for tool, rows in tools.items())
