"""A dry run: every row and picture is looked at and nothing kept; tells what will fail, the time and the disk."""

from __future__ import annotations

import copy
import shutil
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.batch.batches import Batches
from pipelines.batch.filling import Taker, take_pictures, values_of
from pipelines.batch.reading import Fault
from pipelines.batch.shelf import Shelf, shelf
from pipelines.batch.store import Asked, Batch
from pipelines.desk import Desk
from pipelines.files import FileInfo, Files, Role, pixels_sha256
from pipelines.types import Image, StudioError

SHOWN = 500
"""Faults that are told one by one; beyond, they are counted."""


@dataclass(frozen=True)
class Report:
    """`seconds` and `bytes` are None where no picture of the tool was ever made here. `free` bytes are left on disk."""

    rows: int
    good: int
    faults: tuple[Fault, ...]
    seconds: float | None
    bytes: int | None
    free: int

    @property
    def bad(self) -> int:
        """Rows that will fail."""
        return self.rows - self.good


class _Nowhere(Files):
    """Gives pictures the ids they would have and keeps none."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._seen: set[str] = set()

    def add(self, image: Image, owner: str, role: Role) -> str:
        file_id = f"file-{pixels_sha256(image)[:40]}"
        self._seen.add(file_id)
        return file_id

    def info(self, file_id: str, owner: str | None = None) -> FileInfo:
        if file_id in self._seen:
            return FileInfo(file_id, owner or "", "upload", "png", Path(file_id), 0, 0, 0, "", 0.0)
        return self._files.info(file_id, owner)

    def is_example(self, file_id: str) -> bool:
        return self._files.is_example(file_id)


def dry_run(batches: Batches, batch: Batch, tick: Callable[[int], None] | None = None) -> Report:
    """Look at every row of a batch as if it were ordered. `tick` hears how many rows were looked at."""
    desk = copy.copy(batches.desk)
    desk.files = _Nowhere(batches.desk.files)
    opened = shelf(None if batch.source is None else Path(batch.source))
    total = bad = 0
    faults: list[Fault] = []
    tools: dict[str, int] = {}
    try:
        for row in batches.store.asked(batch.id):
            found = list(look(desk, batch, row, opened))
            total, bad = total + 1, bad + bool(found)
            faults += found[: SHOWN - len(faults)]
            if not found:
                tools[row.tool] = tools.get(row.tool, 0) + 1
            if tick is not None:
                tick(total)
    finally:
        opened.close()
    seconds, size = _cost(batches, tools)
    return Report(total, total - bad, tuple(faults), seconds, size, shutil.disk_usage(batches.jobs.root).free)


def look(desk: Desk, batch: Batch, row: Asked, opened: Shelf) -> Iterator[Fault]:
    """Everything that is wrong with one row."""
    if row.error is not None:
        yield _fault(row, row.error)
        return
    tool = desk.tool(row.tool or batch.tool)
    values: dict[str, Any] = values_of(tool, batch, row)
    errors = take_pictures(tool, values, Taker(desk, opened, batch.owner))
    yield from (_fault(row, error) for error in errors)
    if errors:
        return
    try:
        desk.order(tool.id, values, batch.owner, batch=True)
    except StudioError as error:
        yield _fault(row, error)


def _fault(row: Asked, error: StudioError) -> Fault:
    return Fault.of(row.row, error)


def _cost(batches: Batches, tools: dict[str, int]) -> tuple[float | None, int | None]:
    """Medians of what was measured here, times the rows."""
    seconds, size = 0.0, 0.0
    for tool, rows in tools.items():
        took, bytes_ = batches.store.seconds(tool), batches.sizes(tool)
        if not took or not bytes_:
            return None, None
        seconds += rows * statistics.median(took)
        size += rows * statistics.median(bytes_)
    return round(seconds, 1), round(size)
