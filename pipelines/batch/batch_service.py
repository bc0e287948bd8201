"""Batches of any size: create, start, pause, cancel, retry, and feed their rows to the queue a few at a time."""

from __future__ import annotations

import contextlib
import logging
import secrets
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.batch.batch_table import Batch, BatchRow, BatchTable, RowState, SeedPolicy
from pipelines.batch.jobs_file import (
    MANIFEST_ALONE_MESSAGE,
    MAX_ROW_COUNT,
    TABLE_SUFFIXES,
    ParsedRow,
    is_manifest,
    parse_jobs_file,
    read_jobs_file,
)
from pipelines.batch.picture_source import NoPictures, PictureSource, ZipSource, open_picture_source
from pipelines.batch.row_values import BatchPlan, check_rows, make_row_job, resolve_saved_items, rows_from_pictures
from pipelines.core.errors import BUG_MESSAGE, BadInput, NotFound, StudioError
from pipelines.core.params import JSON, MAX_SEED
from pipelines.jobs.retention import DAY_SECONDS, delete_batch
from pipelines.jobs.table import MAX_DEATH_COUNT
from pipelines.jobs.workers import BATCH_PAUSING_CODES
from pipelines.service.studio_service import StudioService
from pipelines.storage.disk_space import ReservedSpace, translate_disk_full

log = logging.getLogger(__name__)

OUTPUT_FILE_KEYS = ("output_file_id", "error_file_id")
"""Where `about` has the files of answers that were written for the API; without them they are written again."""

DISK_FULL_NOTE = "The disk is full. Make room, then resume: nothing is lost, and no row is done twice."
STORE_AWAY_NOTE = (
    "The store of files could not be reached. Resume once it can: nothing is lost, and no row is done twice."
)


@dataclass(frozen=True)
class BatchProgress:
    """The number of rows in each state. `per_minute` and `seconds_left` are None until two rows are done."""

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


@dataclass(frozen=True)
class BatchOptions:
    """Optional settings of a new batch.

    `seed` None takes a random one. `source` is the folder or ZIP with the pictures. `about` is free data of the caller.
    `batch_id` "" makes a new id.
    """

    name: str = ""
    seed: int | None = None
    seeds: SeedPolicy = "same"
    source: Path | None = None
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])
    batch_id: str = ""


class BatchService:
    """The batches of all clients. Its state is in the database, so several of these may work at once."""

    def __init__(self, service: StudioService) -> None:
        self.service = service
        self.jobs = service.jobs
        self.root = service.jobs.root / "batches"
        self.table = BatchTable(service.jobs.table, _folder_id(self.root) if service.jobs.table.db.is_shared else "")
        self._reserved_space = ReservedSpace(service.jobs.root)
        self._sources: dict[str, PictureSource] = {}
        self.jobs.workers.set_row_source(self)
        self.jobs.workers.run_every(60, self._finish_or_discard)
        if service.settings.keep_days or service.settings.keep_gb:
            service.jobs.workers.run_every(3600, self._delete_expired)

    def create_batch(
        self, plan: BatchPlan, parsed_rows: Iterator[ParsedRow], owner: str, options: BatchOptions = BatchOptions()
    ) -> Batch:
        """Store a batch, ready to start. Raises `disk_full`, `BadInput` without a row or for a wrong shared value."""
        batch = Batch(
            id=options.batch_id or new_batch_id(),
            owner=owner,
            tool=plan.tool,
            name=options.name[:200],
            state="reading",
            note="",
            shared=dict(plan.shared),
            seed=secrets.randbelow(MAX_SEED + 1) if options.seed is None else options.seed,
            seeds=options.seeds,
            source=None if options.source is None else str(options.source),
            about=dict(options.about),
            created=time.time(),
        )
        rows = resolve_saved_items(plan, check_rows(plan, parsed_rows, self.service), owner, self.service)
        with translate_disk_full():
            self.table.insert_batch(batch)
        try:
            with translate_disk_full():
                if not self.table.insert_rows(batch.id, rows):
                    raise BadInput("There is no row in it.")
                self.table.set_state(batch.id, "ready")
        except (StudioError, OSError):
            delete_batch(self.jobs.table.db, batch.id)
            raise
        return replace(batch, state="ready")

    def start(self, batch_id: str) -> None:
        """Start a batch, or resume a paused one."""
        with self.table.lock:
            if self._get_refreshed(batch_id).state in ("ready", "paused"):
                self.table.requeue_orphans(batch_id)
                self.table.set_state(batch_id, "running")
        self.jobs.workers.request_refill()

    def pause(self, batch_id: str, note: str = "") -> None:
        """Pause a batch; rows that run are finished."""
        with self.jobs.table.db.transaction():
            if self._get_refreshed(batch_id).state == "running":
                self.table.set_state(batch_id, "paused", note)
                self.jobs.withdraw_batch(batch_id)
                self.table.requeue_orphans(batch_id)

    def cancel(self, batch_id: str) -> None:
        """Cancel a batch, and its running rows within a step; finished pictures stay."""
        with self.table.lock:
            if self._get_refreshed(batch_id).state in ("ready", "running", "paused"):
                self.table.set_state(batch_id, "cancelled")
                self.jobs.withdraw_batch(batch_id, running=True)
                self.table.requeue_orphans(batch_id)
                self.table.cancel_waiting(batch_id)
                self._delete_uploads(self._get_refreshed(batch_id))

    def retry_rows(self, batch_id: str) -> int:
        """Run the failed rows again and return how many."""
        with self.table.lock:
            batch = self._get_refreshed(batch_id)
            count = self.table.reset_failed_rows(batch_id)
            if count and batch.state in ("done", "cancelled", "ready"):
                self.table.set_state(batch_id, "running")
        self.jobs.workers.request_refill()
        return count

    def get_row(self, batch_id: str, row: int, owner: str) -> RowState:
        """Return a row of the owner's batch. Raises `NotFound`."""
        batch = self.get_batch(batch_id, owner)
        found = self.table.list_rows(batch.id, row - 1, limit=1) if 0 < row <= MAX_ROW_COUNT else []
        if not found or found[0].row != row:
            raise NotFound("This batch has no such row.")
        return found[0]

    def approve_row(self, batch_id: str, row: int, owner: str, *, is_approved: bool = True) -> RowState:
        """Note that somebody found the row's picture right, or forget it: its doubts are then told no more, or again.

        Raises `NotFound` for a batch or row that is not there or not the owner's, `BadInput` for a row without
        a picture.
        """
        with self.jobs.table.db.transaction():
            now = self.get_row(batch_id, row, owner)
            if now.status != "done" or now.job_id is None:
                raise BadInput(f"Row {row} has no picture to look at.")
            if is_approved:
                self.table.approve_row(batch_id, row)
            else:
                self.table.withdraw_approval(batch_id, row)
        return now

    def replace_row(self, batch_id: str, row: int, job_id: str, owner: str) -> RowState:
        """Put a finished picture of the owner's into a row that is done or failed; the one before stays.

        Everything that is made of the batch from then on has the new picture. To undo it, put the earlier job back.
        Raises `NotFound` for a batch, row or job that is not there or not the owner's, `BadInput` for a row without a
        job, a job that is not finished or of another tool, and one that stands in another row.
        """
        with self.jobs.table.db.transaction():
            now = self.get_row(batch_id, row, owner)
            job = self.jobs.table.get_row(job_id)
            if job is None or job.owner != owner or job.draft or job.helper:
                raise NotFound("There is no such job, or it is not yours.", param="job_id")
            if now.status not in ("done", "failed") or now.job_id is None:
                raise BadInput(f"Row {row} has no picture that could be replaced.")
            if job.status != "done":
                raise BadInput("Only a finished picture can stand in a batch.", param="job_id")
            if job.tool != now.tool:
                message = f"This picture is not of the row's tool, {self.service.find_tool(now.tool).title}."
                raise BadInput(message, param="job_id")
            if job.id == now.job_id:
                return now
            if job.batch_id is not None:
                raise BadInput("This picture stands in another row.", param="job_id")
            self.table.replace_job(batch_id, row, now.job_id, job_id)
            batch = self.get_batch(batch_id, owner)
            about = {name: value for name, value in batch.about.items() if name not in OUTPUT_FILE_KEYS}
            if about != batch.about:
                self.table.set_caller_data(
                    batch_id, about
                )  # the next answer about the batch writes them with this picture
        return self.get_row(batch_id, row, owner)

    def forget_batch(self, batch_id: str) -> None:
        """Cancel a batch and delete its rows and uploads; finished jobs stay in the library."""
        self.cancel(batch_id)
        self._delete_uploads(self._get_refreshed(batch_id))
        delete_batch(self.jobs.table.db, batch_id)

    def _delete_uploads(self, batch: Batch) -> None:
        """Delete the uploaded files of a batch; a folder or ZIP that the command line reads in place stays."""
        self._close_source(batch.id)
        self.table.clear_pictures(batch.id)
        shutil.rmtree(self.root / batch.id, ignore_errors=True)
        for file_id in batch.about.get("raw", ()):
            self.service.files.remove_owner(file_id, batch.owner)

    def _finish_or_discard(self) -> None:
        """Finish batches whose rows have all ended, and delete uploads that nobody started within a day."""
        for batch_id in self.table.list_ids("running"):
            with contextlib.suppress(NotFound):  # deleted meanwhile
                self._get_refreshed(batch_id)
        for batch_id in self.table.list_ids("ready"):
            batch = self.table.get_batch(batch_id)
            if batch is not None and batch.created < time.time() - DAY_SECONDS and (self.root / batch_id).exists():
                self.forget_batch(batch_id)

    def _delete_expired(self) -> None:
        """Delete expired batches without jobs, and upload folders of batches that no longer exist."""
        if self.service.settings.keep_days:
            self.table.delete_expired(time.time() - self.service.settings.keep_days * DAY_SECONDS)
        known = set(self.table.list_ids())
        for folder in self.root.iterdir() if self.root.exists() else ():
            if folder.is_dir() and folder.name not in known and folder.stat().st_mtime < time.time() - DAY_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)

    def get_batch(self, batch_id: str, owner: str) -> Batch:
        """Return the owner's batch. Raises `NotFound`, also for somebody else's."""
        batch = self._get_refreshed(batch_id)
        if batch.owner != owner:
            raise NotFound("There is no such batch, or it is not yours.")
        return batch

    def _get_refreshed(self, batch_id: str) -> Batch:
        batch = self.table.get_batch(batch_id)
        if batch is None:
            raise NotFound("There is no such batch, or it is not yours.")
        unfinished = "waiting", "queued", "running"
        if batch.state == "running" and not any(map(self.table.count_rows(batch_id).get, unfinished)):
            self._delete_uploads(batch)
            self.table.set_state(batch_id, "done")
            self._reserved_space.release()  # another running batch reserves it again
            batch = self.table.get_batch(batch_id) or batch
        return batch

    def list_batches(self, owner: str, limit: int = 50, before: str | None = None) -> list[Batch]:
        """Return the owner's batches, newest first; `before` is the last id of the previous page."""
        return [self._get_refreshed(batch.id) for batch in self.table.list_batches(owner, limit, before)]

    def get_progress(self, batch_id: str) -> BatchProgress:
        """Return how many rows are in each state, and the pace of the last thirty."""
        counts = self.table.count_rows(batch_id)
        ended = self.table.finish_times(batch_id)
        pace = (len(ended) - 1) / max(ended[0] - ended[-1], 0.01) if len(ended) > 1 else None
        done, failed, cancelled = (counts.get(status, 0) for status in ("done", "failed", "cancelled"))
        total = sum(counts.values()) - counts.get("deleted", 0)
        left = total - done - failed - cancelled
        return BatchProgress(
            total,
            done,
            failed,
            cancelled,
            counts.get("running", 0),
            None if pace is None else round(60 * pace, 1),
            None if pace is None else round(left / pace, 1),
        )

    def iter_rows(self, batch_id: str, status: str | None = None, since: float = 0.0) -> Iterator[RowState]:
        """Yield all rows in order, read a few hundred at a time; `since`: only those that finished from then on."""
        after = 0
        while rows := self.table.list_rows(batch_id, after, status=status, since=since):
            yield from rows
            after = rows[-1].row

    def submit_next_row(self) -> bool:
        """Submit the next row as a job; False when there is none, or no room for one."""
        try:
            with translate_disk_full():
                found = None if self.jobs.workers.is_closing else self.table.take_next_row()
        except StudioError as error:
            self._pause_all(error)
            return False
        if found is None:
            return False
        batch, row, tries = found
        try:
            self._reserved_space.reserve()
            if tries > MAX_DEATH_COUNT:  # ten tries made neither a job nor an error, so the row crashes the studio
                raise StudioError(BUG_MESSAGE)
            job = make_row_job(self.service, batch, row, self._open_source(batch), self._picture_recorder(batch, row))
        except StudioError as error:
            self._fail_row_or_pause(batch, row, error)
            return True
        with self.table.lock:
            now = self.table.get_batch(batch.id)
            if now is not None and now.state == "running":  # not paused meanwhile
                try:
                    self.jobs.submit(job, (batch.id, row.row))
                except StudioError as error:  # a quota of the owner's key, or a full disk
                    self._fail_row_or_pause(batch, row, error)
                else:
                    self.table.mark_submitted(batch.id, row.row)
            else:
                self.table.return_row(batch.id, row.row)
                self._reserved_space.release()  # reserved above, after the pause had released it
        return True

    def _picture_recorder(self, batch: Batch, row: BatchRow) -> Callable[[dict[str, JSON]], None]:
        """Return a function that records the file ids of a row's pictures, if its uploads will be deleted."""
        is_upload = batch.source is not None and Path(batch.source).is_relative_to(self.root)
        return lambda file_ids: self.table.record_pictures(batch.id, row.row, file_ids) if is_upload else None

    def _fail_row_or_pause(self, batch: Batch, row: BatchRow, error: StudioError) -> None:
        if error.code in BATCH_PAUSING_CODES:
            self._pause_all(error)
            self.table.return_row(batch.id, row.row)
        else:
            self.table.mark_failed(batch.id, row.row, error)

    def requeue_unstored_row(self, job_id: str, error: StudioError) -> None:
        """Requeue a row whose result could not be stored, and pause all batches."""
        self._reserved_space.release()
        with self.jobs.table.db.transaction():
            self.jobs.table.requeue_job(job_id)
            self._pause_all(error)

    def _pause_all(self, error: StudioError) -> None:
        """Pause all batches, since a full disk or an unreachable file store concerns every one."""
        self._reserved_space.release()
        with self.jobs.table.db.transaction():
            for batch_id in self.table.list_ids("running"):
                self.pause(batch_id, STORE_AWAY_NOTE if error.code == "storage_unavailable" else DISK_FULL_NOTE)
        self._reserved_space.release()  # another thread may have reserved it for a row before the pause

    def _open_source(self, batch: Batch) -> PictureSource:
        if batch.source is None:
            return NoPictures()
        if batch.id not in self._sources:
            for other in list(self._sources):
                self._close_source(other)
            self._sources[batch.id] = open_picture_source(Path(batch.source))
        return self._sources[batch.id]

    def _close_source(self, batch_id: str) -> None:
        source = self._sources.pop(batch_id, None)
        if source is not None:
            source.close()


def _folder_id(root: Path) -> str:
    """Return a random id of this folder, made once: only this studio has the pictures of its batches."""
    path = root / ".home"
    if not path.exists():
        root.mkdir(parents=True, exist_ok=True)
        path.write_text(uuid.uuid4().hex, "utf-8")
    return path.read_text("utf-8")


def new_batch_id() -> str:
    """Make a batch id that nobody can guess."""
    return f"batch-{uuid.uuid4().hex}"


@dataclass(frozen=True)
class JobsSource:
    """The rows of a batch, and the folder or ZIP with its pictures. `read_rows()` reads from the start at each call."""

    read_rows: Callable[[], Iterator[ParsedRow]]
    pictures: Path | None
    name: str


def open_jobs_source(path: Path, service: StudioService, tool_id: str, order: Sequence[str] = ()) -> JobsSource:
    """Open a table with its pictures beside it, a folder of pictures, or a ZIP of either. Raises `BadInput`.

    A folder's pictures are rows in the `order` of their names, what is not in it last, by name. Of the ZIP of a
    finished batch the pictures are rows, and its manifest is no table.
    """
    if path.is_dir():
        places = {name: place for place, name in enumerate(order)}

        def read_rows() -> Iterator[ParsedRow]:
            names = open_picture_source(path).list_names()
            names = sorted(names, key=lambda name: places.get(name, len(places))) if places else names
            return rows_from_pictures(service.find_tool(tool_id), iter(names))

        return JobsSource(read_rows, path, path.name)
    if not path.is_file():
        raise BadInput("There is no such file or folder.")
    if path.name.lower().endswith(TABLE_SUFFIXES):
        if is_manifest(partial(path.open, "rb")):
            raise BadInput(MANIFEST_ALONE_MESSAGE)
        return JobsSource(lambda: read_jobs_file(path), path.parent, path.name)
    with contextlib.closing(ZipSource(path)) as archive:
        found = archive.list_tables(TABLE_SUFFIXES)
        tables = [name for name in found if not is_manifest(partial(archive.open_table, name))]
    if len(tables) > 1:
        raise BadInput("The ZIP has several tables: leave one.")
    if tables:
        return JobsSource(lambda: _read_zipped_table(path, tables[0]), path, path.name)
    return JobsSource(
        lambda: rows_from_pictures(service.find_tool(tool_id), open_picture_source(path).list_names()), path, path.name
    )


def _read_zipped_table(path: Path, table: str) -> Iterator[ParsedRow]:
    with contextlib.closing(ZipSource(path)) as archive, archive.open_table(table) as file:
        yield from parse_jobs_file(file, table)
