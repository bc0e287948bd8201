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

from pipelines.batch import TABLES, Batch, Batches, Plan, dry_run, new_id, open_jobs, save_zip, template
from pipelines.batch.batch_table import RowState, Seeds
from pipelines.batch.manifest import called, linked, results
from pipelines.batch.picture_source import checked
from pipelines.core.errors import BadInput, NotFound, StudioError
from pipelines.core.params import JSON
from pipelines.service.orders import Desk
from pipelines.storage.disk_space import told_when_full
from ui.api.auth.access import Access
from ui.batch_tab import text
from ui.batch_tab.layout import Parts, Seat, asks, kit_field, kits, lay_out, looks
from ui.components.pictures import small
from ui.components.zip_downloads import Packed
from ui.tool_tab import text as tool_tab_text

SHEET = 48
"""Pictures on one page of the contact sheet."""
REDRAWN = 8.0
"""Seconds that a full sheet stays while rows are being done: it weighs some hundred kilobytes."""
THUMB = 192
Updates = dict[Any, Any]


def fill(page: gr.Tab, desk: Desk, access: Access) -> BatchEvents:
    """The page, wired, in its tab."""
    events = BatchEvents(lay_out(desk), desk, access)
    events.wire(page)
    return events


class BatchEvents:
    """What happens on the tab. Whatever goes on is in the table: every handler begins by looking there."""

    def __init__(self, parts: Parts, desk: Desk, access: Access) -> None:
        self.parts = parts
        self.desk = desk
        self.access = access
        self.batches = Batches(desk)
        self._reading = threading.BoundedSemaphore(2)
        self._thumb = lru_cache(maxsize=1024)(self._small)  # a few kilobytes each, and the same at every beat

    def wire(self, page: gr.Tab) -> None:
        """Attach every listener; all are private to the page."""
        parts = self.parts
        form: list[Component] = [
            parts.files, parts.tool, parts.preset, parts.kit, parts.consent, parts.more, parts.seeds
        ]  # fmt: skip
        shown: list[Component] = [parts.batch, parts.seat]
        self._on(parts.check.click, self.check, [*shown, *form])
        self._on(parts.start.click, self.start, [*shown, *form])
        for button, act in ((parts.pause, self.pause), (parts.cancel, self.cancel), (parts.retry, self.retry)):
            self._on(button.click, act, shown)
        for button, act in ((parts.back, self.back), (parts.forth, self.forth)):
            self._on(button.click, act, shown)
        self._on(parts.pack.click, self.pack, [parts.batch])
        self._on(parts.timer.tick, self.look, shown)
        self._on(page.select, self.resume, [*shown, parts.tool])
        self._on(parts.again.click, self.notice, shown)
        self._on(parts.tool.input, self.choose, [parts.tool])

    def _on(self, listener: Any, handler: Any, inputs: list[Component]) -> None:
        listener(
            handler, inputs, list(vars(self.parts).values()), api_visibility="private", concurrency_limit=None,
            show_progress="hidden",
        )  # fmt: skip

    # ------------------------------------------------------------ making one

    def choose(self, request: gr.Request, tool_id: str) -> Updates:
        """Another tool: its looks, the kits it takes, its template."""
        return {
            self.parts.preset: looks(self.desk, tool_id),
            self.parts.kit: kits(self.desk, tool_id, self.access.visitor(request)),
            self.parts.consent: gr.Checkbox(visible=asks(self.desk, tool_id)),
            self.parts.form: self._template(tool_id),
        }

    def take(self, tool_id: str, params: Mapping[str, Any], seed: int) -> Updates:
        """The form as one finished picture was made, for a folder of others; its photo stays behind."""
        tool = self.desk.tool(tool_id)
        said = {**params, "seed": seed} if "seed" in tool.params.model_fields else params
        preset = params.get("preset", "") if "preset" in tool.params.model_fields else ""
        return {
            self.parts.tool: tool_id,
            self.parts.preset: looks(self.desk, tool_id, chosen=str(preset)),
            # What a kit gave is among the settings.
            self.parts.kit: gr.Dropdown(value="", visible=bool(kit_field(self.desk, tool_id))),
            self.parts.consent: gr.Checkbox(visible=asks(self.desk, tool_id), value=False),
            self.parts.more: text.settings(tool.params, said),
            self.parts.form: self._template(tool_id),
            self.parts.told: "",
        }

    def _template(self, tool_id: str) -> gr.DownloadButton:
        tool = self.desk.tool(tool_id)
        path = Path(self.parts.form.GRADIO_CACHE) / "batch-templates" / f"{tool.id}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(template(tool), encoding="utf-8")
        return gr.DownloadButton(value=str(path))

    def check(self, request: gr.Request, shown: str, seat: Seat, *form: Any) -> Iterator[Updates]:
        """Look at every row and picture and tell what will fail; nothing is made."""
        parts = self.parts
        yield {parts.line: tool_tab_text.line("Reading", busy=True), parts.told: ""}
        try:
            batch = self._made(request, shown, *form)
            yield {parts.batch: batch.id, parts.line: tool_tab_text.line("Checking every row", busy=True)}
            found = dry_run(self.batches, batch)
        except StudioError as error:
            yield self._refused(error)
            return
        yield {**self._first(batch.id, seat), parts.told: text.report(found)}

    def start(self, request: gr.Request, shown: str, seat: Seat, *form: Any) -> Iterator[Updates]:
        """Start what was checked, else what was dropped."""
        yield {self.parts.line: tool_tab_text.line("Reading", busy=True)}
        try:
            batch = self._made(request, shown, *form)
            self.batches.start(batch.id)
            self.desk.ordered(batch.owner, batch.id)
        except StudioError as error:
            yield self._refused(error)
            return
        # The files were taken along: dropping new ones begins a new batch.
        yield {**self._first(batch.id, seat), self.parts.batch: batch.id, self.parts.files: None, self.parts.told: ""}

    def _made(self, request: gr.Request, shown: str, *form: Any) -> Batch:
        """A batch of what the form says. Raises `StudioError`."""
        files, tool_id, preset, kit, consent, more, seeds = form
        before = self._own(shown, request)
        ready = before if before is not None and before.state == "ready" else None
        owner = self.access.visitor(request)
        kept = self.desk.kept.get(owner, "brand", kit).value if kit else None  # edited since, it is another form
        said = hashlib.sha256(repr((form, kept)).encode()).hexdigest()
        if ready is not None and (not files or ready.about.get("form") == said):
            return ready
        if not files:
            raise BadInput("Drop pictures, a ZIP or a table first.")
        batch = self._read(files, tool_id, self._shared(tool_id, preset, kit, consent, more), seeds, request, said)
        if ready is not None:
            self.batches.forget(shown)
        return batch

    def _shared(
        self, tool_id: str, preset: str | None, kit: str | None, consent: bool, more: str | None
    ) -> dict[str, JSON]:
        fields = self.desk.tool(tool_id).params.model_fields
        shared: dict[str, JSON] = {"preset": preset} if preset and "preset" in fields else {}
        takes = kit_field(self.desk, tool_id)
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

    def _read(
        self,
        files: list[tuple[str, str]],
        tool_id: str,
        shared: dict[str, JSON],
        seeds: Seeds,
        request: gr.Request,
        said: str,
    ) -> Batch:
        batch_id = new_id()
        folder = self.batches.root / batch_id
        try:
            with self._reading:
                jobs = open_jobs(_laid_out(files, folder), self.desk, tool_id)
                packed = [path for path in folder.iterdir() if path.suffix.lower() == ".zip"]
                source = packed[0] if packed else jobs.source
                return self.batches.create(
                    Plan(tool_id, shared), jobs.lines(), self.access.visitor(request), name=jobs.name, seeds=seeds,
                    source=source, batch_id=batch_id, about={"form": said},
                )  # fmt: skip
        except (StudioError, OSError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, StudioError):
                raise
            raise StudioError("The files could not be kept: the disk is full, or closed.", code="disk_full") from error

    # ------------------------------------------------------------ going on

    def pause(self, request: gr.Request, shown: str, seat: Seat) -> Updates:
        """Pause, or go on."""
        batch = self._own(shown, request)
        if batch is not None and batch.state == "paused":
            self.batches.start(batch.id)
        elif batch is not None:
            self.batches.pause(batch.id)
        return self._first(shown if batch else "", seat)

    def cancel(self, request: gr.Request, shown: str, seat: Seat) -> Updates:
        """End it; what is done stays."""
        batch = self._own(shown, request)
        if batch is not None:
            self.batches.cancel(batch.id)
        return self._first(shown if batch else "", seat)

    def retry(self, request: gr.Request, shown: str, seat: Seat) -> Updates:
        """Do the failed rows again, and only those."""
        batch = self._own(shown, request)
        if batch is not None:
            self.batches.retry(batch.id)
        return {**self._first(shown if batch else "", seat), self.parts.told: ""}

    def look(self, request: gr.Request, shown: str, seat: Seat) -> Updates:
        """How it stands now; the page of the contact sheet that somebody turned to stays."""
        return self._shown(shown, seat) if self._own(shown, request) else {self.parts.timer: gr.update(active=False)}

    def back(self, request: gr.Request, shown: str, seat: Seat) -> Updates:
        """The contact sheet's page before."""
        return self._turned(request, shown, seat, -SHEET)

    def forth(self, request: gr.Request, shown: str, seat: Seat) -> Updates:
        """The contact sheet's next page."""
        return self._turned(request, shown, seat, SHEET)

    def _turned(self, request: gr.Request, shown: str, seat: Seat, by: int) -> Updates:
        seat.start, seat.sheet = max(0, seat.start + by), ""
        batch = self._own(shown, request)
        return {self.parts.timer: gr.update()} if batch is None else self._sheet(batch, self._done(shown), seat)

    def resume(self, request: gr.Request, shown: str, seat: Seat, tool_id: str) -> Updates:
        """On a look at the tab: the visitor's last batch, further along than it was left."""
        owner = self.access.visitor(request)
        batch = self._newer(shown, request) or self._own(shown, request) or self._last(request)
        ready = {self.parts.form: self._template(tool_id), self.parts.kit: kits(self.desk, tool_id, owner)}
        return ready if batch is None else {**ready, **self._first(batch.id, seat), self.parts.batch: batch.id}

    def notice(self, request: gr.Request, shown: str, seat: Seat) -> Updates:
        """While the tab is looked at: a batch that was begun elsewhere, unless the shown one still goes on."""
        batch = self._newer(shown, request)
        if batch is None:
            return {self.parts.timer: gr.skip()}
        return {**self._first(batch.id, seat), self.parts.batch: batch.id, self.parts.told: ""}

    def _newer(self, shown: str, request: gr.Request) -> Batch | None:
        """The visitor's last batch, where it is under way and the shown one is not."""
        before, last = self._own(shown, request), self._last(request)
        going = ("ready", "running", "paused")
        if last is None or last.state not in going[1:] or (before is not None and before.state in going):
            return None
        return last

    def _last(self, request: gr.Request) -> Batch | None:
        return next(iter(self.batches.list(self.access.visitor(request), 1)), None)

    def pack(self, request: gr.Request, shown: str) -> Iterator[Updates]:
        """Gather what is done, with the manifest, into a ZIP to download."""
        parts = self.parts
        if self._own(shown, request) is None:
            yield {parts.pack: gr.Button(interactive=False)}
            return
        yield {parts.pack: gr.Button("Packing", interactive=False)}
        # Nobody can guess a batch's id, so nobody can guess the address.
        zips = Packed(parts.save.GRADIO_CACHE)
        try:
            with told_when_full():
                path = zips.make(shown, "results.zip", lambda part: save_zip(self.batches, shown, part))
        except StudioError as error:
            yield {**self._refused(error), parts.pack: gr.Button("Make ZIP", interactive=True)}
            return
        yield {
            parts.pack: gr.Button("Make ZIP", interactive=True),
            parts.save: gr.DownloadButton(value=str(path), visible=True),
        }

    def _own(self, batch_id: str, request: gr.Request) -> Batch | None:
        try:
            return self.batches.get(batch_id, self.access.visitor(request)) if batch_id else None
        except NotFound:
            return None

    # ------------------------------------------------------------ what is shown

    def _refused(self, error: StudioError) -> Updates:
        return {self.parts.line: tool_tab_text.line(error.message)}

    def _first(self, batch_id: str, seat: Seat) -> Updates:
        """A batch from the contact sheet's first page."""
        seat.start, seat.sheet = 0, ""
        return self._shown(batch_id, seat)

    def _shown(self, batch_id: str, seat: Seat) -> Updates:
        parts = self.parts
        batch = self.batches.store.get(batch_id)
        if batch is None:
            return {parts.line: tool_tab_text.line(text.IDLE), parts.timer: gr.update(active=False)}
        batch = self.batches.get(batch_id, batch.owner)
        progress = self.batches.progress(batch_id)
        going = batch.state in ("running", "paused")
        updates: Updates = {
            parts.line: text.standing(batch, progress),
            parts.pause: gr.Button("Resume" if batch.state == "paused" else "Pause", interactive=going),
            parts.cancel: gr.Button(interactive=going or batch.state == "ready"),
            parts.retry: gr.Button(interactive=progress.failed > 0 and batch.state != "ready"),
            parts.pack: gr.Button(interactive=progress.done > 0),
            parts.timer: gr.update(active=batch.state == "running" or progress.running > 0),
            **self._sheet(batch, progress.done, seat),
        }
        if batch.state != "ready" and progress.failed:
            updates[parts.told] = self._failures(batch_id)
        return updates

    def _failures(self, batch_id: str) -> str:
        rows = self.batches.store.rows(batch_id, limit=text.FAULTS_SHOWN, status="failed")
        told = [(_name(row), row.error or {}) for row in rows]
        return text.faults([(n, e.get("param") or "", e.get("message", ""), e.get("code", "")) for n, e in told])

    # ------------------------------------------------------------ the contact sheet

    def _sheet(self, batch: Batch, done: int, seat: Seat) -> Updates:
        """A page of the contact sheet, the latest first while rows are being done; nothing where it need not change."""
        newest = batch.state in ("running", "paused")
        seat.start = min(seat.start, max(0, (done - 1) // SHEET * SHEET))
        state = f"{batch.id} {newest} {seat.start}"
        told = f"{state} {done}"
        turned = not seat.sheet.startswith(f"{state} ")
        fresh = time.monotonic() - seat.drawn < REDRAWN * min(1.0, done / SHEET)
        if seat.sheet == told or (not turned and (fresh or seat.start)):
            return {}  # pages behind the first would slide away under the visitor's eyes
        seat.sheet, seat.drawn = told, time.monotonic()
        rows = self.batches.store.rows(batch.id, limit=SHEET, status="done", newest=newest, skip=seat.start)
        parts, several = self.parts, done > SHEET
        return {
            parts.sheet: text.sheet(self._thumbs(rows)),
            parts.where: text.where(seat.start, len(rows), done, newest=newest),
            parts.back: gr.Button(visible=several, interactive=seat.start > 0),
            parts.forth: gr.Button(visible=several, interactive=seat.start + SHEET < done),
        }

    def _done(self, batch_id: str) -> int:
        return self.batches.progress(batch_id).done

    def _thumbs(self, rows: Iterable[RowState]) -> Iterator[tuple[str, bytes]]:
        for row in rows:
            files = results(self.desk.jobs.get(row.job_id)) if row.job_id else []
            if files:
                yield _name(row), self._thumb(files[0].id)

    def _small(self, file_id: str) -> bytes:
        return small(self.desk.files.open(file_id), THUMB)


def _name(row: RowState) -> str:
    return text.named(row.row, called(row.row, row.key, row.cells))


def _laid_out(files: list[tuple[str, str]], folder: Path) -> Path:
    """Keep what was dropped in the batch's folder under its own names; the path that says what the rows are.

    Linked, not moved: the form still holds it, and a second try with other settings reads it again.
    """
    folder.mkdir(parents=True)
    names = []
    for path, sent in files:
        name = checked(PurePosixPath(sent.replace("\\", "/")).name)
        if name.startswith(".") or (folder / name).exists():
            raise BadInput(f"Two files are called '{name[:60]}', or its name begins with a dot.")
        linked(Path(path), folder / name)
        names.append(name)
    tables = [name for name in names if name.lower().endswith(TABLES)]
    zips = [name for name in names if name.lower().endswith(".zip")]
    if len(tables) > 1 or len(zips) > 1 or (zips and len(names) > len(tables) + 1):
        raise BadInput("Drop pictures, or one ZIP, and at most one table.")
    return folder / (tables or zips)[0] if tables or zips else folder
