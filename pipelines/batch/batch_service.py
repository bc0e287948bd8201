"""Batches of any size: kept as rows, fetched into the queue a few at a time, paused, resumed, cancelled, told about."""

from __future__ import annotations

import contextlib
import logging
import secrets
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.batch.batch_table import Batch, BatchRow, BatchTable, RowState, SeedPolicy
from pipelines.batch.jobs_file import TABLE_SUFFIXES, ParsedRow, parse_jobs_file, read_jobs_file
from pipelines.batch.picture_source import NoPictures, PictureSource, ZipSource, open_picture_source
from pipelines.batch.row_values import BatchPlan, check_rows, order_row, resolve_saved_items, rows_from_pictures
from pipelines.core.errors import BadInput, NotFound, StudioError
from pipelines.core.params import JSON, MAX_SEED
from pipelines.jobs.retention import DAY_SECONDS
from pipelines.jobs.table import MAX_DEATH_COUNT
from pipelines.jobs.workers import BATCH_PAUSING_CODES, BUG_MESSAGE
from pipelines.service.orders import StudioService
from pipelines.storage.disk_space import ReservedSpace, translate_disk_full

log = logging.getLogger(__name__)

DISK_FULL_NOTE = "The disk is full. Make room, then resume: nothing is lost, and no row is done twice."
STORE_AWAY_NOTE = (
    "The store of files could not be reached. Resume once it can: nothing is lost, and no row is done twice."
)


@dataclass(frozen=True)
class BatchProgress:
    """Rows by how they stand. `per_minute` and `seconds_left` are None until two rows were done."""

    total: int
    done: int
    failed: int
    cancelled: int
    running: int
    per_minute: float | None
    seconds_left: float | None

    @property
    def rows_left(self) -> int:
        """Rows that have not ended."""
        return self.total - self.done - self.failed - self.cancelled


class BatchService:
    """Every door's batches; all that matters is on disk, so that two of these over one desk are as good as one."""

    def __init__(self, service: StudioService) -> None:
        self.service = service
        self.jobs = service.jobs
        self.root = service.jobs.root / "batches"
        self.table = BatchTable(service.jobs.table, _folder_id(self.root) if service.jobs.table.db.is_shared else "")
        self._reserved_space = ReservedSpace(service.jobs.root)
        self._sources: dict[str, PictureSource] = {}
        self.jobs.set_row_source(self)
        self.jobs.run_every(60, self._finish_or_discard)
        if service.settings.keep_days or service.settings.keep_gb:
            service.jobs.run_every(3600, self._delete_expired)

    # ------------------------------------------------------------ making one

    def create_batch(
        self,
        plan: BatchPlan,
        lines: Iterator[ParsedRow],
        owner: str,
        *,
        name: str = "",
        seed: int | None = None,
        seeds: SeedPolicy = "same",
        source: Path | None = None,
        about: Mapping[str, Any] | None = None,
        batch_id: str = "",
    ) -> Batch:
        """Keep a batch, ready to start; `lines` are read one by one. Raises `BadInput` when there is none."""
        return self.create_from_rows(
            plan, check_rows(plan, lines, self.service), owner, name=name, seed=seed, seeds=seeds, source=source, about=about,
            batch_id=batch_id,
        )  # fmt: skip

    def create_from_rows(
        self,
        plan: BatchPlan,
        rows: Iterator[BatchRow],
        owner: str,
        *,
        name: str = "",
        seed: int | None = None,
        seeds: SeedPolicy = "same",
        source: Path | None = None,
        about: Mapping[str, Any] | None = None,
        batch_id: str = "",
    ) -> Batch:
        """The same for rows whose cells were looked at already. Kits are settled here, once, for every door."""
        batch = Batch(
            id=batch_id or new_batch_id(), owner=owner, tool=plan.tool, name=name[:200], state="reading", note="",
            shared=dict(plan.shared), seed=secrets.randbelow(MAX_SEED + 1) if seed is None else seed, seeds=seeds,
            source=None if source is None else str(source), about=dict(about or {}), created=time.time(),
        )  # fmt: skip
        with translate_disk_full():
            self.table.insert_batch(batch)
        try:
            with translate_disk_full():
                if not self.table.insert_rows(batch.id, resolve_saved_items(plan, rows, owner, self.service)):
                    raise BadInput("There is no row in it.")
                self.table.set_state(batch.id, "ready")
        except (StudioError, OSError):
            self.table.delete_batch(batch.id)
            raise
        return replace(batch, state="ready")

    # ------------------------------------------------------------ what can be done with one

    def start(self, batch_id: str) -> None:
        """Begin, or go on after a pause."""
        with self.table.lock:
            if self._get_refreshed(batch_id).state in ("ready", "paused"):
                self.table.requeue_orphans(batch_id)
                self.table.set_state(batch_id, "running")
        self.jobs.request_refill()

    def pause(self, batch_id: str, note: str = "") -> None:
        """Begin no further row; what runs is finished."""
        with self.table.transaction():
            if self._get_refreshed(batch_id).state == "running":
                self.table.set_state(batch_id, "paused", note)
                self.jobs.withdraw_batch(batch_id)
                self.table.requeue_orphans(batch_id)

    def cancel(self, batch_id: str) -> None:
        """End it, within a step of the row that runs; what is done stays."""
        with self.table.lock:
            if self._get_refreshed(batch_id).state in ("ready", "running", "paused"):
                self.table.set_state(batch_id, "cancelled")
                self.jobs.withdraw_batch(batch_id, running=True)
                self.table.requeue_orphans(batch_id)
                self.table.cancel_waiting(batch_id)
                self._delete_uploads(self._get_refreshed(batch_id))

    def retry_rows(self, batch_id: str, row: int | None = None) -> int:
        """Do those rows again that failed, and only those; how many. `row`: only that one, also a cancelled one."""
        with self.table.lock:
            batch = self._get_refreshed(batch_id)
            again = self.table.reset_failed_rows(batch_id, row)
            if again and batch.state in ("done", "cancelled", "ready"):
                self.table.set_state(batch_id, "running")
        self.jobs.request_refill()
        return again

    def forget_batch(self, batch_id: str) -> None:
        """Cancel it and forget its rows and pictures; finished jobs stay in the library."""
        self.cancel(batch_id)
        self._delete_uploads(self._get_refreshed(batch_id))
        self.table.delete_batch(batch_id)

    def _delete_uploads(self, batch: Batch) -> None:
        """Delete what was sent: its pictures are in the studio without what clings to them, or were never needed.

        A folder or ZIP of the owner's own, to which the command line points, is left alone.
        """
        self._close_source(batch.id)
        self.table.clear_pictures(batch.id)
        shutil.rmtree(self.root / batch.id, ignore_errors=True)
        for file_id in batch.about.get("raw", ()):
            self.service.files.remove_owner(file_id, batch.owner)

    def _finish_or_discard(self) -> None:
        """Batches that came to their end while nobody looked, and those of yesterday that nobody started."""
        for batch_id in self.table.list_ids("running"):
            with contextlib.suppress(NotFound):  # forgotten meanwhile
                self._get_refreshed(batch_id)
        for batch_id in self.table.list_ids("ready"):
            batch = self.table.get_batch(batch_id)
            if batch is not None and batch.created < time.time() - DAY_SECONDS and (self.root / batch_id).exists():
                self.forget_batch(batch_id)

    # ------------------------------------------------------------ looking

    def _delete_expired(self) -> None:
        """What retention left of batches that are gone, and batches none of whose rows ever became a job."""
        if self.service.settings.keep_days:
            self.table.delete_expired(time.time() - self.service.settings.keep_days * DAY_SECONDS)
        known = set(self.table.list_ids())
        for folder in self.root.iterdir() if self.root.exists() else ():
            if folder.is_dir() and folder.name not in known and folder.stat().st_mtime < time.time() - DAY_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)

    def get_batch(self, batch_id: str, owner: str) -> Batch:
        """The owner's batch. Raises `NotFound`, also for somebody else's."""
        batch = self._get_refreshed(batch_id)
        if batch.owner != owner:
            raise NotFound("There is no such batch, or it is not yours.")
        return batch

    def _get_refreshed(self, batch_id: str) -> Batch:
        batch = self.table.get_batch(batch_id)
        if batch is None:
            raise NotFound("There is no such batch, or it is not yours.")
        if batch.state == "running" and not self._has_unfinished_rows(batch_id):
            self._delete_uploads(batch)
            self.table.set_state(batch_id, "done")
            self._reserved_space.release()  # another batch that runs sets it aside again
            batch = self.table.get_batch(batch_id) or batch
        return batch

    def _has_unfinished_rows(self, batch_id: str) -> bool:
        counts = self.table.count_rows(batch_id)
        return any(counts.get(status) for status in ("waiting", "queued", "running"))

    def list_batches(self, owner: str, limit: int = 50, before: str | None = None) -> list[Batch]:
        """The owner's, newest first."""
        return [self._get_refreshed(batch.id) for batch in self.table.list_batches(owner, limit, before)]

    def get_progress(self, batch_id: str) -> BatchProgress:
        """How far it is; the pace is that of the last thirty rows."""
        counts = self.table.count_rows(batch_id)
        ended = self.table.finish_times(batch_id)
        pace = (len(ended) - 1) / max(ended[0] - ended[-1], 0.01) if len(ended) > 1 else None
        done, failed, cancelled = (counts.get(status, 0) for status in ("done", "failed", "cancelled"))
        total = sum(counts.values()) - counts.get("deleted", 0)
        left = total - done - failed - cancelled
        return BatchProgress(
            total, done, failed, cancelled, counts.get("running", 0),
            None if pace is None else round(60 * pace, 1), None if pace is None else round(left / pace, 1),
        )  # fmt: skip

    def iter_rows(self, batch_id: str, status: str | None = None, since: float = 0.0) -> Iterator[RowState]:
        """Every row in order, a few hundred at a time; `since`: only those that were finished from then on."""
        after = 0
        while rows := self.table.list_rows(batch_id, after, status=status, since=since):
            yield from rows
            after = rows[-1].row

    # ------------------------------------------------------------ feeding the queue

    def submit_next_row(self) -> bool:
        """Order the next row and put it in line; False when there is none, or no room for one."""
        try:
            with translate_disk_full():
                found = None if self.jobs.is_closing else self.table.take_next_row()
        except StudioError as error:
            self._pause_all(error)
            return False
        if found is None:
            return False
        batch, row, tries = found
        try:
            self._reserved_space.reserve()
            if (
                tries > MAX_DEATH_COUNT
            ):  # neither a job nor an error ten times over: it is the row that breaks the studio
                raise StudioError(BUG_MESSAGE)
            job = order_row(self.service, batch, row, self._open_source(batch), self._picture_recorder(batch, row))
        except StudioError as error:
            self._refuse_row(batch, row, error)
            return True
        with self.table.lock:
            now = self.table.get_batch(batch.id)
            if now is not None and now.state == "running":  # not paused meanwhile
                try:
                    self.jobs.submit(job, (batch.id, row.row))
                except StudioError as error:  # the owner's key may make no more pictures today, or there is no room
                    self._refuse_row(batch, row, error)
                else:
                    self.table.mark_submitted(batch.id, row.row)
            else:
                self.table.return_row(batch.id, row.row)
        return True

    def _picture_recorder(self, batch: Batch, row: BatchRow) -> Callable[[dict[str, JSON]], None]:
        """Where a row's pictures are is kept where what was sent will be deleted."""
        ours = batch.source is not None and Path(batch.source).is_relative_to(self.root)
        return lambda taken: self.table.record_pictures(batch.id, row.row, taken) if ours else None

    def _refuse_row(self, batch: Batch, row: BatchRow, error: StudioError) -> None:
        if error.code in BATCH_PAUSING_CODES:
            self._pause_all(error)
            self.table.return_row(batch.id, row.row)
        else:
            self.table.mark_failed(batch.id, row.row, error)

    def hold_row(self, job_id: str, error: StudioError) -> None:
        """A row could not be kept: it waits for somebody to make room, and so does every other."""
        self._reserved_space.release()
        with self.table.transaction():
            self.jobs.table.requeue_job(job_id)
            self._pause_all(error)

    def _pause_all(self, error: StudioError) -> None:
        """The disk is full, or the store of files is away, and it is the same for every batch."""
        self._reserved_space.release()
        with self.table.transaction():
            for batch_id in self.table.list_ids("running"):
                self.pause(batch_id, STORE_AWAY_NOTE if error.code == "storage_unavailable" else DISK_FULL_NOTE)

    def _open_source(self, batch: Batch) -> PictureSource:
        if batch.source is None:
            return NoPictures()
        if batch.id not in self._sources:
            for other in list(self._sources):
                self._close_source(other)
            self._sources[batch.id] = open_picture_source(Path(batch.source))
        return self._sources[batch.id]

    def _close_source(self, batch_id: str) -> None:
        opened = self._sources.pop(batch_id, None)
        if opened is not None:
            opened.close()


def _folder_id(root: Path) -> str:
    """A name for this folder, whatever machine it lies on: other studios have no pictures of its batches."""
    path = root / ".home"
    if not path.exists():
        root.mkdir(parents=True, exist_ok=True)
        path.write_text(uuid.uuid4().hex, "utf-8")
    return path.read_text("utf-8")


def new_batch_id() -> str:
    """An id that nobody can guess."""
    return f"batch-{uuid.uuid4().hex}"


@dataclass(frozen=True)
class JobsSource:
    """Where rows and pictures come from. `lines()` begins anew at each call."""

    read_rows: Callable[[], Iterator[ParsedRow]]
    pictures: Path | None
    name: str


def open_jobs_source(path: Path, service: StudioService, tool_id: str) -> JobsSource:
    """A table (pictures beside it), a folder of pictures, or a ZIP of either. Raises `BadInput`."""
    if path.is_dir():
        return JobsSource(
            lambda: rows_from_pictures(service.find_tool(tool_id), open_picture_source(path).list_names()),
            path,
            path.name,
        )
    if not path.is_file():
        raise BadInput("There is no such file or folder.")
    if path.name.lower().endswith(TABLE_SUFFIXES):
        return JobsSource(lambda: read_jobs_file(path), path.parent, path.name)
    opened = ZipSource(path)
    tables = opened.list_tables(TABLE_SUFFIXES)
    opened.close()
    if len(tables) > 1:
        raise BadInput("The ZIP has several tables: leave one.")
    if tables:
        return JobsSource(lambda: _read_zipped_table(path, tables[0]), path, path.name)
    return JobsSource(
        lambda: rows_from_pictures(service.find_tool(tool_id), open_picture_source(path).list_names()), path, path.name
    )


def _read_zipped_table(path: Path, table: str) -> Iterator[ParsedRow]:
    opened = ZipSource(path)
    try:
        with opened.open_table(table) as file:
            yield from parse_jobs_file(file, table)
    finally:
        opened.close()
