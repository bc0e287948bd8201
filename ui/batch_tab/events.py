"""What happens on the batch tab: reading, trying, starting, looking, gathering; knows no particular tool."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import gradio as gr
from gradio.components import Component

from pipelines.batch import (
    TABLE_SUFFIXES,
    Batch,
    BatchPlan,
    BatchService,
    csv_template,
    dry_run,
    new_batch_id,
    open_jobs_source,
    save_zip,
)
from pipelines.batch.batch_table import RowState, SeedPolicy
from pipelines.batch.manifest import link_or_copy, result_files, row_label
from pipelines.batch.picture_source import check_name
from pipelines.core.errors import BadInput, NotFound, StudioError
from pipelines.core.params import JSON
from pipelines.service.orders import StudioService
from pipelines.storage.disk_space import translate_disk_full
from ui.api.auth.access import Access
from ui.batch_tab import text
from ui.batch_tab.layout import (
    BatchTab,
    BatchTabState,
    build_batch_tab,
    build_brand_kit_choice,
    build_look_choice,
    find_brand_kit_field,
    needs_consent,
)
from ui.components.pictures import small
from ui.components.zip_downloads import ZipDownloads
from ui.tool_tab import text as tool_tab_text

SHEET_PICTURE_COUNT = 48
"""Pictures on one page of the contact sheet."""
SHEET_REFRESH_SECONDS = 8.0
"""Seconds that a full sheet stays while rows are being done: it weighs some hundred kilobytes."""
THUMBNAIL_SIDE_PX = 192
Updates = dict[Any, Any]


def build_tab(page: gr.Tab, service: StudioService, access: Access) -> BatchTabEvents:
    """The page, wired, in its tab."""
    events = BatchTabEvents(build_batch_tab(service), service, access)
    events.wire(page)
    return events


class BatchTabEvents:
    """What happens on the tab. Whatever goes on is in the table: every handler begins by looking there."""

    def __init__(self, parts: BatchTab, service: StudioService, access: Access) -> None:
        self.tab = parts
        self.service = service
        self.access = access
        self.batches = BatchService(service)
        self._reading = threading.BoundedSemaphore(2)
        self._thumbnail = lru_cache(maxsize=1024)(
            self._encode_thumbnail
        )  # a few kilobytes each, and the same at every beat

    def wire(self, page: gr.Tab) -> None:
        """Attach every listener; all are private to the page."""
        parts = self.tab
        form: list[Component] = [
            parts.files, parts.tool, parts.preset, parts.brand_kit, parts.consent, parts.more_settings, parts.seeds
        ]  # fmt: skip
        shown: list[Component] = [parts.batch_id, parts.state]
        self._listen(parts.dry_run.click, self.check_rows, [*shown, *form])
        self._listen(parts.start.click, self.start_batch, [*shown, *form])
        for button, act in (
            (parts.pause, self.toggle_pause),
            (parts.cancel, self.cancel_batch),
            (parts.retry, self.retry_failed),
        ):
            self._listen(button.click, act, shown)
        for button, act in ((parts.previous, self.show_previous_page), (parts.next, self.show_next_page)):
            self._listen(button.click, act, shown)
        self._listen(parts.make_zip.click, self.make_zip, [parts.batch_id])
        self._listen(parts.timer.tick, self.refresh, shown)
        self._listen(page.select, self.show_last_batch, [*shown, parts.tool])
        self._listen(parts.refresh.click, self.show_newer_batch, shown)
        self._listen(parts.tool.input, self.choose_tool, [parts.tool])

    def _listen(self, listener: Any, handler: Any, inputs: list[Component]) -> None:
        listener(
            handler, inputs, list(vars(self.tab).values()), api_visibility="private", concurrency_limit=None,
            show_progress="hidden",
        )  # fmt: skip

    # ------------------------------------------------------------ making one

    def choose_tool(self, request: gr.Request, tool_id: str) -> Updates:
        """Another tool: its looks, the kits it takes, its template."""
        return {
            self.tab.preset: build_look_choice(self.service, tool_id),
            self.tab.brand_kit: build_brand_kit_choice(self.service, tool_id, self.access.visitor(request)),
            self.tab.consent: gr.Checkbox(visible=needs_consent(self.service, tool_id)),
            self.tab.template: self._write_template(tool_id),
        }

    def take_settings(self, tool_id: str, params: Mapping[str, Any], seed: int) -> Updates:
        """The form as one finished picture was made, for a folder of others; its photo stays behind."""
        tool = self.service.find_tool(tool_id)
        said = {**params, "seed": seed} if "seed" in tool.params.model_fields else params
        preset = params.get("preset", "") if "preset" in tool.params.model_fields else ""
        return {
            self.tab.tool: tool_id,
            self.tab.preset: build_look_choice(self.service, tool_id, chosen=str(preset)),
            # What a kit gave is among the settings.
            self.tab.brand_kit: gr.Dropdown(value="", visible=bool(find_brand_kit_field(self.service, tool_id))),
            self.tab.consent: gr.Checkbox(visible=needs_consent(self.service, tool_id), value=False),
            self.tab.more_settings: text.format_settings(tool.params, said),
            self.tab.template: self._write_template(tool_id),
            self.tab.report: "",
        }

    def _write_template(self, tool_id: str) -> gr.DownloadButton:
        tool = self.service.find_tool(tool_id)
        path = Path(self.tab.template.GRADIO_CACHE) / "batch-templates" / f"{tool.id}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(csv_template(tool), encoding="utf-8")
        return gr.DownloadButton(value=str(path))

    def check_rows(self, request: gr.Request, shown: str, seat: BatchTabState, *form: Any) -> Iterator[Updates]:
        """Look at every row and picture and tell what will fail; nothing is made."""
        parts = self.tab
        yield {parts.status: tool_tab_text.render_status("Reading", busy=True), parts.report: ""}
        try:
            batch = self._create_batch(request, shown, *form)
            yield {parts.batch_id: batch.id, parts.status: tool_tab_text.render_status("Checking every row", busy=True)}
            found = dry_run(self.batches, batch)
        except StudioError as error:
            yield self._show_error(error)
            return
        yield {**self._show_first_page(batch.id, seat), parts.report: text.render_report(found)}

    def start_batch(self, request: gr.Request, shown: str, seat: BatchTabState, *form: Any) -> Iterator[Updates]:
        """Start what was checked, else what was dropped."""
        yield {self.tab.status: tool_tab_text.render_status("Reading", busy=True)}
        try:
            batch = self._create_batch(request, shown, *form)
            self.batches.start(batch.id)
            self.service.on_order(batch.owner, batch.id)
        except StudioError as error:
            yield self._show_error(error)
            return
        # The files were taken along: dropping new ones begins a new batch.
        yield {
            **self._show_first_page(batch.id, seat),
            self.tab.batch_id: batch.id,
            self.tab.files: None,
            self.tab.report: "",
        }

    def _create_batch(self, request: gr.Request, shown: str, *form: Any) -> Batch:
        """A batch of what the form says. Raises `StudioError`."""
        files, tool_id, preset, kit, consent, more, seeds = form
        before = self._find_own_batch(shown, request)
        ready = before if before is not None and before.state == "ready" else None
        owner = self.access.visitor(request)
        kept = (
            self.service.saved_items.find_item(owner, "brand", kit).value if kit else None
        )  # edited since, it is another form
        said = hashlib.sha256(repr((form, kept)).encode()).hexdigest()
        if ready is not None and (not files or ready.about.get("form") == said):
            return ready
        if not files:
            raise BadInput("Drop pictures, a ZIP or a table first.")
        batch = self._read_files(
            files, tool_id, self._read_shared_values(tool_id, preset, kit, consent, more), seeds, request, said
        )
        if ready is not None:
            self.batches.forget_batch(shown)
        return batch

    def _read_shared_values(
        self, tool_id: str, preset: str | None, kit: str | None, consent: bool, more: str | None
    ) -> dict[str, JSON]:
        fields = self.service.find_tool(tool_id).params.model_fields
        shared: dict[str, JSON] = {"preset": preset} if preset and "preset" in fields else {}
        takes = find_brand_kit_field(self.service, tool_id)
        if kit and takes:
            shared[takes] = kit
        if consent and "consent" in fields:
            shared["consent"] = True
        for row in filter(None, (row.strip() for row in (more or "").splitlines())):
            name, given, value = (part.strip() for part in row.partition("="))
            if not given or name not in fields:
                raise BadInput(f"'{row[:60]}' is not a field of this tool with a value: write field = value.")
            shared[name] = value
        return shared

    def _read_files(
        self,
        files: list[tuple[str, str]],
        tool_id: str,
        shared: dict[str, JSON],
        seeds: SeedPolicy,
        request: gr.Request,
        said: str,
    ) -> Batch:
        batch_id = new_batch_id()
        folder = self.batches.root / batch_id
        try:
            with self._reading:
                jobs = open_jobs_source(_store_uploads(files, folder), self.service, tool_id)
                packed = [path for path in folder.iterdir() if path.suffix.lower() == ".zip"]
                source = packed[0] if packed else jobs.pictures
                return self.batches.create_batch(
                    BatchPlan(tool_id, shared), jobs.read_rows(), self.access.visitor(request), name=jobs.name, seeds=seeds,
                    source=source, batch_id=batch_id, about={"form": said},
                )  # fmt: skip
        except (StudioError, OSError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, StudioError):
                raise
            raise StudioError("The files could not be kept: the disk is full, or closed.", code="disk_full") from error

    # ------------------------------------------------------------ going on

    def toggle_pause(self, request: gr.Request, shown: str, seat: BatchTabState) -> Updates:
        """Pause, or go on."""
        batch = self._find_own_batch(shown, request)
        if batch is not None and batch.state == "paused":
            self.batches.start(batch.id)
        elif batch is not None:
            self.batches.pause(batch.id)
        return self._show_first_page(shown if batch else "", seat)

    def cancel_batch(self, request: gr.Request, shown: str, seat: BatchTabState) -> Updates:
        """End it; what is done stays."""
        batch = self._find_own_batch(shown, request)
        if batch is not None:
            self.batches.cancel(batch.id)
        return self._show_first_page(shown if batch else "", seat)

    def retry_failed(self, request: gr.Request, shown: str, seat: BatchTabState) -> Updates:
        """Do the failed rows again, and only those."""
        batch = self._find_own_batch(shown, request)
        if batch is not None:
            self.batches.retry_rows(batch.id)
        return {**self._show_first_page(shown if batch else "", seat), self.tab.report: ""}

    def refresh(self, request: gr.Request, shown: str, seat: BatchTabState) -> Updates:
        """How it stands now; the page of the contact sheet that somebody turned to stays."""
        return (
            self._show_batch(shown, seat)
            if self._find_own_batch(shown, request)
            else {self.tab.timer: gr.update(active=False)}
        )

    def show_previous_page(self, request: gr.Request, shown: str, seat: BatchTabState) -> Updates:
        """The contact sheet's page before."""
        return self._turn_page(request, shown, seat, -SHEET_PICTURE_COUNT)

    def show_next_page(self, request: gr.Request, shown: str, seat: BatchTabState) -> Updates:
        """The contact sheet's next page."""
        return self._turn_page(request, shown, seat, SHEET_PICTURE_COUNT)

    def _turn_page(self, request: gr.Request, shown: str, seat: BatchTabState, by: int) -> Updates:
        seat.first_picture, seat.sent_sheet = max(0, seat.first_picture + by), ""
        batch = self._find_own_batch(shown, request)
        return (
            {self.tab.timer: gr.update()} if batch is None else self._show_sheet(batch, self._count_done(shown), seat)
        )

    def show_last_batch(self, request: gr.Request, shown: str, seat: BatchTabState, tool_id: str) -> Updates:
        """On a look at the tab: the visitor's last batch, further along than it was left."""
        owner = self.access.visitor(request)
        batch = (
            self._find_newer_batch(shown, request)
            or self._find_own_batch(shown, request)
            or self._find_last_batch(request)
        )
        ready = {
            self.tab.template: self._write_template(tool_id),
            self.tab.brand_kit: build_brand_kit_choice(self.service, tool_id, owner),
        }
        return (
            ready if batch is None else {**ready, **self._show_first_page(batch.id, seat), self.tab.batch_id: batch.id}
        )

    def show_newer_batch(self, request: gr.Request, shown: str, seat: BatchTabState) -> Updates:
        """While the tab is looked at: a batch that was begun elsewhere, unless the shown one still goes on."""
        batch = self._find_newer_batch(shown, request)
        if batch is None:
            return {self.tab.timer: gr.skip()}
        return {**self._show_first_page(batch.id, seat), self.tab.batch_id: batch.id, self.tab.report: ""}

    def _find_newer_batch(self, shown: str, request: gr.Request) -> Batch | None:
        """The visitor's last batch, where it is under way and the shown one is not."""
        before, last = self._find_own_batch(shown, request), self._find_last_batch(request)
        going = ("ready", "running", "paused")
        if last is None or last.state not in going[1:] or (before is not None and before.state in going):
            return None
        return last

    def _find_last_batch(self, request: gr.Request) -> Batch | None:
        return next(iter(self.batches.list_batches(self.access.visitor(request), 1)), None)

    def make_zip(self, request: gr.Request, shown: str) -> Iterator[Updates]:
        """Gather what is done, with the manifest, into a ZIP to download."""
        parts = self.tab
        if self._find_own_batch(shown, request) is None:
            yield {parts.make_zip: gr.Button(interactive=False)}
            return
        yield {parts.make_zip: gr.Button("Packing", interactive=False)}
        # Nobody can guess a batch's id, so nobody can guess the address.
        zips = ZipDownloads(parts.download.GRADIO_CACHE)
        try:
            with translate_disk_full():
                path = zips.create_zip(shown, "results.zip", lambda part: save_zip(self.batches, shown, part))
        except StudioError as error:
            yield {**self._show_error(error), parts.make_zip: gr.Button("Make ZIP", interactive=True)}
            return
        yield {
            parts.make_zip: gr.Button("Make ZIP", interactive=True),
            parts.download: gr.DownloadButton(value=str(path), visible=True),
        }

    def _find_own_batch(self, batch_id: str, request: gr.Request) -> Batch | None:
        try:
            return self.batches.get_batch(batch_id, self.access.visitor(request)) if batch_id else None
        except NotFound:
            return None

    # ------------------------------------------------------------ what is shown

    def _show_error(self, error: StudioError) -> Updates:
        return {self.tab.status: tool_tab_text.render_status(error.message)}

    def _show_first_page(self, batch_id: str, seat: BatchTabState) -> Updates:
        """A batch from the contact sheet's first page."""
        seat.first_picture, seat.sent_sheet = 0, ""
        return self._show_batch(batch_id, seat)

    def _show_batch(self, batch_id: str, seat: BatchTabState) -> Updates:
        parts = self.tab
        batch = self.batches.table.get_batch(batch_id)
        if batch is None:
            return {parts.status: tool_tab_text.render_status(text.IDLE_TEXT), parts.timer: gr.update(active=False)}
        batch = self.batches.get_batch(batch_id, batch.owner)
        progress = self.batches.get_progress(batch_id)
        going = batch.state in ("running", "paused")
        updates: Updates = {
            parts.status: text.render_status(batch, progress),
            parts.pause: gr.Button("Resume" if batch.state == "paused" else "Pause", interactive=going),
            parts.cancel: gr.Button(interactive=going or batch.state == "ready"),
            parts.retry: gr.Button(interactive=progress.failed > 0 and batch.state != "ready"),
            parts.make_zip: gr.Button(interactive=progress.done > 0),
            parts.timer: gr.update(active=batch.state == "running" or progress.running > 0),
            **self._show_sheet(batch, progress.done, seat),
        }
        if batch.state != "ready" and progress.failed:
            updates[parts.report] = self._render_failures(batch_id)
        return updates

    def _render_failures(self, batch_id: str) -> str:
        rows = self.batches.table.list_rows(batch_id, limit=text.SHOWN_FAULT_COUNT, status="failed")
        told = [(_label_row(row), row.error or {}) for row in rows]
        return text.render_faults([(n, e.get("param") or "", e.get("message", ""), e.get("code", "")) for n, e in told])

    # ------------------------------------------------------------ the contact sheet

    def _show_sheet(self, batch: Batch, done: int, seat: BatchTabState) -> Updates:
        """A page of the contact sheet, the latest first while rows are being done; nothing where it need not change."""
        newest = batch.state in ("running", "paused")
        seat.first_picture = min(seat.first_picture, max(0, (done - 1) // SHEET_PICTURE_COUNT * SHEET_PICTURE_COUNT))
        state = f"{batch.id} {newest} {seat.first_picture}"
        told = f"{state} {done}"
        turned = not seat.sent_sheet.startswith(f"{state} ")
        fresh = time.monotonic() - seat.sent_at < SHEET_REFRESH_SECONDS * min(1.0, done / SHEET_PICTURE_COUNT)
        if seat.sent_sheet == told or (not turned and (fresh or seat.first_picture)):
            return {}  # pages behind the first would slide away under the visitor's eyes
        seat.sent_sheet, seat.sent_at = told, time.monotonic()
        rows = self.batches.table.list_rows(
            batch.id, limit=SHEET_PICTURE_COUNT, status="done", newest=newest, skip=seat.first_picture
        )
        parts, several = self.tab, done > SHEET_PICTURE_COUNT
        return {
            parts.sheet: text.render_sheet(self._read_thumbnails(rows)),
            parts.position: text.render_position(seat.first_picture, len(rows), done, newest=newest),
            parts.previous: gr.Button(visible=several, interactive=seat.first_picture > 0),
            parts.next: gr.Button(visible=several, interactive=seat.first_picture + SHEET_PICTURE_COUNT < done),
        }

    def _count_done(self, batch_id: str) -> int:
        return self.batches.get_progress(batch_id).done

    def _read_thumbnails(self, rows: Iterable[RowState]) -> Iterator[tuple[str, bytes]]:
        for row in rows:
            files = result_files(self.service.jobs.get_job(row.job_id)) if row.job_id else []
            if files:
                yield _label_row(row), self._thumbnail(files[0].id)

    def _encode_thumbnail(self, file_id: str) -> bytes:
        return small(self.service.files.open_image(file_id), THUMBNAIL_SIDE_PX)


def _label_row(row: RowState) -> str:
    return text.label_row(row.row, row_label(row.row, row.key, row.cells))


def _store_uploads(files: list[tuple[str, str]], folder: Path) -> Path:
    """Keep what was dropped in the batch's folder under its own names; the path that says what the rows are.

    Linked, not moved: the form still holds it, and a second try with other settings reads it again.
    """
    folder.mkdir(parents=True)
    names = []
    for path, sent in files:
        name = check_name(PurePosixPath(sent.replace("\\", "/")).name)
        if name.startswith(".") or (folder / name).exists():
            raise BadInput(f"Two files are called '{name[:60]}', or its name begins with a dot.")
        link_or_copy(Path(path), folder / name)
        names.append(name)
    tables = [name for name in names if name.lower().endswith(TABLE_SUFFIXES)]
    zips = [name for name in names if name.lower().endswith(".zip")]
    if len(tables) > 1 or len(zips) > 1 or (zips and len(names) > len(tables) + 1):
        raise BadInput("Drop pictures, or one ZIP, and at most one table.")
    return folder / (tables or zips)[0] if tables or zips else folder
