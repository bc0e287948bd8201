"""Batches of any size: kept as rows, fetched into the queue a few at a time, paused, resumed, cancelled, told about."""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.batch.batch_table import Asked, Batch, RowState, Seeds, Store
from pipelines.batch.cost_estimate import Cost, Measured, own_seconds
from pipelines.batch.jobs_file import TABLES, Line, read, read_from
from pipelines.batch.picture_source import Nothing, Shelf, Zip, shelf
from pipelines.batch.row_values import Plan, asked, order, settled, with_photo
from pipelines.core.errors import BadInput, NotFound, StudioError
from pipelines.core.params import JSON, MAX_SEED
from pipelines.jobs.retention import DAY
from pipelines.jobs.table import DEATHS
from pipelines.jobs.workers import BUG, HOLDING
from pipelines.service.orders import Desk
from pipelines.storage.disk_space import Ballast, told_when_full

log = logging.getLogger(__name__)

FULL = "The disk is full. Make room, then resume: nothing is lost, and no row is done twice."
AWAY = "The store of files could not be reached. Resume once it can: nothing is lost, and no row is done twice."


@dataclass(frozen=True)
class Progress:
    """Rows by how they stand. `per_minute` and `seconds_left` are None until two rows were done."""

    total: int
    done: int
    failed: int
    cancelled: int
    running: int
    per_minute: float | None
    seconds_left: float | None

    @property
    def left(self) -> int:
        """Rows that have not ended."""
        return self.total - self.done - self.failed - self.cancelled


class Batches:
    """Every door's batches; all that matters is on disk, so that two of these over one desk are as good as one."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.jobs = desk.jobs
        self.root = desk.jobs.root / "batches"
        self.store = Store(desk.jobs.table, _home(self.root) if desk.jobs.table.db.shared else "")
        self._ballast = Ballast(desk.jobs.root)
        self._shelves: dict[str, Shelf] = {}
        self.jobs.feed(self)
        self.jobs.every(60, self._tidy)
        if desk.settings.keep_days or desk.settings.keep_gb:
            desk.jobs.every(3600, self._forget_old)

    # ------------------------------------------------------------ making one

    def create(
        self,
        plan: Plan,
        lines: Iterator[Line],
        owner: str,
        *,
        name: str = "",
        seed: int | None = None,
        seeds: Seeds = "same",
        source: Path | None = None,
        about: Mapping[str, Any] | None = None,
        batch_id: str = "",
    ) -> Batch:
        """Keep a batch, ready to start; `lines` are read one by one. Raises `BadInput` when there is none."""
        return self.keep(
            plan, asked(plan, lines, self.desk), owner, name=name, seed=seed, seeds=seeds, source=source, about=about,
            batch_id=batch_id,
        )  # fmt: skip

    def keep(
        self,
        plan: Plan,
        rows: Iterator[Asked],
        owner: str,
        *,
        name: str = "",
        seed: int | None = None,
        seeds: Seeds = "same",
        source: Path | None = None,
        about: Mapping[str, Any] | None = None,
        batch_id: str = "",
    ) -> Batch:
        """The same for rows whose cells were looked at already. Kits are settled here, once, for every door."""
        batch = Batch(
            id=batch_id or new_id(), owner=owner, tool=plan.tool, name=name[:200], state="reading", note="",
            shared=dict(plan.shared), seed=secrets.randbelow(MAX_SEED + 1) if seed is None else seed, seeds=seeds,
            source=None if source is None else str(source), about=dict(about or {}), created=time.time(),
        )  # fmt: skip
        with told_when_full():
            self.store.add(batch)
        try:
            with told_when_full():
                if not self.store.fill(batch.id, settled(plan, rows, owner, self.desk)):
                    raise BadInput("There is no row in it.")
                self.store.set(batch.id, "ready")
        except (StudioError, OSError):
            self.store.forget(batch.id)
            raise
        return replace(batch, state="ready")

    # ------------------------------------------------------------ what can be done with one

    def start(self, batch_id: str) -> None:
        """Begin, or go on after a pause."""
        with self.store.lock:
            if self._find(batch_id).state in ("ready", "paused"):
                self.store.reclaim(batch_id)
                self.store.set(batch_id, "running")
        self.jobs.nudge()

    def pause(self, batch_id: str, note: str = "") -> None:
        """Begin no further row; what runs is finished."""
        with self.store.whole():
            if self._find(batch_id).state == "running":
                self.store.set(batch_id, "paused", note)
                self.jobs.withdraw(batch_id)
                self.store.reclaim(batch_id)

    def cancel(self, batch_id: str) -> None:
        """End it, within a step of the row that runs; what is done stays."""
        with self.store.lock:
            if self._find(batch_id).state in ("ready", "running", "paused"):
                self.store.set(batch_id, "cancelled")
                self.jobs.withdraw(batch_id, running=True)
                self.store.reclaim(batch_id)
                self.store.stop(batch_id)
                self._drop(self._find(batch_id))

    def retry(self, batch_id: str, row: int | None = None) -> int:
        """Do those rows again that failed, and only those; how many. `row`: only that one, also a cancelled one."""
        with self.store.lock:
            batch = self._find(batch_id)
            again = self.store.again(batch_id, row)
            if again and batch.state in ("done", "cancelled", "ready"):
                self.store.set(batch_id, "running")
        self.jobs.nudge()
        return again

    def forget(self, batch_id: str) -> None:
        """Cancel it and forget its rows and pictures; finished jobs stay in the library."""
        self.cancel(batch_id)
        self._drop(self._find(batch_id))
        self.store.forget(batch_id)

    def _drop(self, batch: Batch) -> None:
        """Delete what was sent: its pictures are in the studio without what clings to them, or were never needed.

        A folder or ZIP of the owner's own, to which the command line points, is left alone.
        """
        self._let_go(batch.id)
        self.store.untook(batch.id)
        shutil.rmtree(self.root / batch.id, ignore_errors=True)
        for file_id in batch.about.get("raw", ()):
            self.desk.files.disown(file_id, batch.owner)

    def _tidy(self) -> None:
        """Batches that came to their end while nobody looked, and those of yesterday that nobody started."""
        for batch_id in self.store.ids("running"):
            with contextlib.suppress(NotFound):  # forgotten meanwhile
                self._find(batch_id)
        for batch_id in self.store.ids("ready"):
            batch = self.store.get(batch_id)
            if batch is not None and batch.created < time.time() - DAY and (self.root / batch_id).exists():
                self.forget(batch_id)

    # ------------------------------------------------------------ looking

    def _forget_old(self) -> None:
        """What retention left of batches that are gone, and batches none of whose rows ever became a job."""
        if self.desk.settings.keep_days:
            self.store.forget_old(time.time() - self.desk.settings.keep_days * DAY)
        known = set(self.store.ids())
        for folder in self.root.iterdir() if self.root.exists() else ():
            if folder.is_dir() and folder.name not in known and folder.stat().st_mtime < time.time() - DAY:
                shutil.rmtree(folder, ignore_errors=True)

    def get(self, batch_id: str, owner: str) -> Batch:
        """The owner's batch. Raises `NotFound`, also for somebody else's."""
        batch = self._find(batch_id)
        if batch.owner != owner:
            raise NotFound("There is no such batch, or it is not yours.")
        return batch

    def _find(self, batch_id: str) -> Batch:
        batch = self.store.get(batch_id)
        if batch is None:
            raise NotFound("There is no such batch, or it is not yours.")
        if batch.state == "running" and not self._unfinished(batch_id):
            self._drop(batch)
            self.store.set(batch_id, "done")
            self._ballast.drop()  # another batch that runs sets it aside again
            batch = self.store.get(batch_id) or batch
        return batch

    def _unfinished(self, batch_id: str) -> bool:
        counts = self.store.counts(batch_id)
        return any(counts.get(status) for status in ("waiting", "queued", "running"))

    def list(self, owner: str, limit: int = 50, before: str | None = None) -> list[Batch]:
        """The owner's, newest first."""
        return [self._find(batch.id) for batch in self.store.list(owner, limit, before)]

    def progress(self, batch_id: str) -> Progress:
        """How far it is; the pace is that of the last thirty rows."""
        counts = self.store.counts(batch_id)
        ended = self.store.finished(batch_id)
        pace = (len(ended) - 1) / max(ended[0] - ended[-1], 0.01) if len(ended) > 1 else None
        done, failed, cancelled = (counts.get(status, 0) for status in ("done", "failed", "cancelled"))
        total = sum(counts.values()) - counts.get("deleted", 0)
        left = total - done - failed - cancelled
        return Progress(
            total, done, failed, cancelled, counts.get("running", 0),
            None if pace is None else round(60 * pace, 1), None if pace is None else round(left / pace, 1),
        )  # fmt: skip

    def measured(self, tool: str) -> Iterator[Measured]:
        """What the last pictures of a tool were asked for and cost, those that are there still."""
        for row in self.store.measured(tool, self.desk.profile.id):
            result = json.loads(row["result"])
            files, seconds = result["files"], own_seconds(row["s"], result["receipt"])
            with contextlib.suppress(NotFound):  # deleted since
                size = sum(self.desk.files.info(file["id"]).bytes for file in files)
                yield Measured(json.loads(row["job"])["params"], Cost(seconds, size))

    def rows(self, batch_id: str, status: str | None = None, since: float = 0.0) -> Iterator[RowState]:
        """Every row in order, a few hundred at a time; `since`: only those that were finished from then on."""
        after = 0
        while rows := self.store.rows(batch_id, after, status=status, since=since):
            yield from rows
            after = rows[-1].row

    # ------------------------------------------------------------ feeding the queue

    def more(self) -> bool:
        """Order the next row and put it in line; False when there is none, or no room for one."""
        try:
            with told_when_full():
                found = None if self.jobs.closing else self.store.take()
        except StudioError as error:
            self._hold_all(error)
            return False
        if found is None:
            return False
        batch, row, tries = found
        try:
            self._ballast.keep()
            if tries > DEATHS:  # neither a job nor an error ten times over: it is the row that breaks the studio
                raise StudioError(BUG)
            job = order(self.desk, batch, row, self._shelf(batch), self._took(batch, row))
        except StudioError as error:
            self._refuse(batch, row, error)
            return True
        with self.store.lock:
            now = self.store.get(batch.id)
            if now is not None and now.state == "running":  # not paused meanwhile
                try:
                    self.jobs.submit(job, (batch.id, row.row))
                except StudioError as error:  # the owner's key may make no more pictures today, or there is no room
                    self._refuse(batch, row, error)
                else:
                    self.store.given(batch.id, row.row)
            else:
                self.store.untake(batch.id, row.row)
        return True

    def _took(self, batch: Batch, row: Asked) -> Callable[[dict[str, JSON]], None]:
        """Where a row's pictures are is kept where what was sent will be deleted."""
        ours = batch.source is not None and Path(batch.source).is_relative_to(self.root)
        return lambda taken: self.store.took(batch.id, row.row, taken) if ours else None

    def _refuse(self, batch: Batch, row: Asked, error: StudioError) -> None:
        if error.code in HOLDING:
            self._hold_all(error)
            self.store.untake(batch.id, row.row)
        else:
            self.store.refuse(batch.id, row.row, error)

    def hold(self, job_id: str, error: StudioError) -> None:
        """A row could not be kept: it waits for somebody to make room, and so does every other."""
        self._ballast.drop()
        with self.store.whole():
            self.jobs.table.put_back(job_id)
            self._hold_all(error)

    def _hold_all(self, error: StudioError) -> None:
        """The disk is full, or the store of files is away, and it is the same for every batch."""
        self._ballast.drop()
        with self.store.whole():
            for batch_id in self.store.ids("running"):
                self.pause(batch_id, AWAY if error.code == "storage_unavailable" else FULL)

    def _shelf(self, batch: Batch) -> Shelf:
        if batch.source is None:
            return Nothing()
        if batch.id not in self._shelves:
            for other in list(self._shelves):
                self._let_go(other)
            self._shelves[batch.id] = shelf(Path(batch.source))
        return self._shelves[batch.id]

    def _let_go(self, batch_id: str) -> None:
        opened = self._shelves.pop(batch_id, None)
        if opened is not None:
            opened.close()


def _home(root: Path) -> str:
    """A name for this folder, whatever machine it lies on: other studios have no pictures of its batches."""
    path = root / ".home"
    if not path.exists():
        root.mkdir(parents=True, exist_ok=True)
        path.write_text(uuid.uuid4().hex, "utf-8")
    return path.read_text("utf-8")


def new_id() -> str:
    """An id that nobody can guess."""
    return f"batch-{uuid.uuid4().hex}"


@dataclass(frozen=True)
class Jobsfile:
    """Where rows and pictures come from. `lines()` begins anew at each call."""

    lines: Callable[[], Iterator[Line]]
    source: Path | None
    name: str


def open_jobs(path: Path, desk: Desk, tool_id: str) -> Jobsfile:
    """A table (pictures beside it), a folder of pictures, or a ZIP of either. Raises `BadInput`."""
    if path.is_dir():
        return Jobsfile(lambda: with_photo(desk.tool(tool_id), shelf(path).names()), path, path.name)
    if not path.is_file():
        raise BadInput("There is no such file or folder.")
    if path.name.lower().endswith(TABLES):
        return Jobsfile(lambda: read(path), path.parent, path.name)
    opened = Zip(path)
    tables = opened.tables(TABLES)
    opened.close()
    if len(tables) > 1:
        raise BadInput("The ZIP has several tables: leave one.")
    if tables:
        return Jobsfile(lambda: _zipped(path, tables[0]), path, path.name)
    return Jobsfile(lambda: with_photo(desk.tool(tool_id), shelf(path).names()), path, path.name)


def _zipped(path: Path, table: str) -> Iterator[Line]:
    opened = Zip(path)
    try:
        with opened.open(table) as file:
            yield from read_from(file, table)
    finally:
        opened.close()
