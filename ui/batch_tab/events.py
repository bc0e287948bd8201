"""Listeners of the batch tab: create, check, start, pause, watch and download batches."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import gradio as gr
from gradio.components import Component

from pipelines.batch.batch_service import BatchOptions, BatchService, new_batch_id, open_jobs_source
from pipelines.batch.batch_table import Batch, SeedPolicy
from pipelines.batch.dry_run import dry_run
from pipelines.batch.jobs_file import MANIFEST_ALONE_MESSAGE, TABLE_SUFFIXES, csv_template, is_manifest
from pipelines.batch.manifest import (
    NEVER_SET_ASIDE,
    link_or_copy,
    list_cutouts,
    name_zip,
    save_zip,
)
from pipelines.batch.picture_source import check_name
from pipelines.batch.row_values import BatchPlan
from pipelines.core.errors import BadInput, NotFound, StudioError
from pipelines.core.job import Job
from pipelines.core.params import JSON
from pipelines.service.studio_service import StudioService
from pipelines.storage.disk_space import translate_disk_full
from ui.api.auth.access import AccessControl
from ui.batch_tab import text
from ui.batch_tab.contact_sheet import OPEN_STATES, SHEET_PICTURE_COUNT, ContactSheet, Updates, name_row
from ui.batch_tab.layout import (
    BatchTab,
    BatchTabState,
    build_brand_kit_choice,
    build_consent_box,
    build_look_choice,
    build_setting_choice,
    find_brand_kit_field,
)
from ui.components.event_options import PRIVATE_EVENT
from ui.components.pictures import UPLOAD_GONE_MESSAGE
from ui.components.row_commands import (
    REPAIR_LABEL,
    JobToShow,
    RowCommand,
    parse_commands,
    render_command_button,
)
from ui.components.zip_downloads import ZipDownloads, download_carried_file
from ui.tool_tab import text as tool_tab_text

_LOOKED_AT_BATCH_COUNT = 20
_APPROVAL_ACTIONS = ("approve", "approve-next", "doubt")


def build_tab(gradio_tab: gr.Tab, service: StudioService, access: AccessControl) -> BatchTabEvents:
    """Build the batch tab inside `gradio_tab` and attach its listeners."""
    events = BatchTabEvents(BatchTab(service), service, access)
    events.wire(gradio_tab)
    return events


class BatchTabEvents:
    """Listeners of the tab. The state of a batch is in the database; every handler reads it anew."""

    def __init__(self, tab: BatchTab, service: StudioService, access: AccessControl) -> None:
        self.tab = tab
        self.service = service
        self.access = access
        self.batches = BatchService(service)
        self._reading = threading.BoundedSemaphore(2)
        self.sheet = ContactSheet(tab, service, self.batches)

    def wire(self, gradio_tab: gr.Tab) -> None:
        """Attach every listener."""
        tab = self.tab
        form: list[Component] = [
            tab.files,
            tab.tool,
            tab.preset,
            tab.brand_kit,
            tab.consent,
            tab.setting_choice,
            tab.more_settings,
            tab.seeds,
        ]
        shown: list[Component] = [tab.batch_id, tab.state]
        self._listen(tab.dry_run.click, self.check_rows, [*shown, *form])
        self._listen(tab.start.click, self.start_batch, [*shown, *form])
        for button, handler in (
            (tab.pause, self.toggle_pause),
            (tab.cancel, self.cancel_batch),
            (tab.retry, self.retry_failed),
        ):
            self._listen(button.click, handler, shown)
        for button, handler in ((tab.previous, self.show_previous_page), (tab.next, self.show_next_page)):
            self._listen(button.click, handler, shown)
        download_carried_file(
            self._listen(tab.make_zip.click, self.make_zip, [tab.batch_id, tab.set_aside]), tab.download
        )
        for listener in (tab.list_cutouts.click, tab.set_aside.change):
            self._listen(listener, self.list_uncertain_cutouts, [*shown, tab.set_aside])
        for listener in (tab.files.upload, tab.files.clear, tab.files.delete):
            self._listen(listener, self.show_files, [*shown, tab.files, tab.tool])
        self._listen(tab.timer.tick, self.refresh, shown)
        self._listen(gradio_tab.select, self.show_last_batch, [*shown, tab.tool, tab.setting_choice])
        self._listen(tab.refresh.click, self.show_newer_batch, shown)
        settings: list[Component] = [tab.setting_choice, tab.more_settings, tab.tool]
        # What is chosen while an earlier choice is answered is answered after it.
        self._listen(tab.setting_choice.input, self.choose_settings, settings, trigger_mode="always_last")
        self._listen(tab.use_larger_size.click, self.make_larger, [*shown, *form])
        self._listen(tab.use_same_photos.click, self.use_same_photos, [*shown, tab.tool])
        # A choice that comes before the last one was answered counts, and is answered after it.
        of_tool: list[Component] = [*shown, tab.files, tab.tool, tab.setting_choice]
        self._listen(tab.tool.input, self.choose_tool, of_tool, trigger_mode="always_last")

    def _listen(self, listener: Any, handler: Any, inputs: list[Component], **options: Any) -> Any:
        return listener(handler, inputs, self.tab.list_components(), **{**PRIVATE_EVENT, **options})

    def wire_row_commands(self, field: gr.Textbox, tabs: gr.Tabs, jobs_to_show: Mapping[str, gr.State]) -> None:
        """Attach the buttons of rows, here and in tools: open a row in its tool with its settings, or approve it."""

        def follow_commands(request: gr.Request, shown_id: str, state: BatchTabState, sent: str | None) -> Updates:
            updates, wanted = self.take_commands(request, shown_id, state, sent)
            updates = updates or {tabs: gr.skip()}  # Gradio takes an empty answer for a fault
            batch = self._find_own_batch(wanted.batch_id or shown_id, request) if wanted else None
            if wanted is None or batch is None:
                return updates
            action, row = wanted.action, wanted.row
            if action in ("next", "approve-next"):
                row = self.sheet.find_next_row_to_check(batch.id, row, state.set_aside)
            job = self._find_row_job(batch.id, row) if row else None
            if job is None or job.tool not in jobs_to_show:
                return {**updates, tabs: gr.Tabs(selected="batch")} if action != "open" else updates
            settled = wanted.row if action == "approve-next" else 0
            job_to_show = JobToShow(job.id, secrets.token_hex(4), state.set_aside, wanted.pressed_at, settled)
            return {**updates, tabs: gr.Tabs(selected=job.tool), jobs_to_show[job.tool]: job_to_show}

        field.change(
            follow_commands,
            [self.tab.batch_id, self.tab.state, field],
            [tabs, *self.tab.list_components(), *jobs_to_show.values()],
            # What is pressed before the last answer came is sent after it, all at once: no visitor waits for another.
            **PRIVATE_EVENT | {"trigger_mode": "always_last"},
        )

    def take_commands(
        self, request: gr.Request, shown_id: str, state: BatchTabState, sent: str | None
    ) -> tuple[Updates, RowCommand | None]:
        """Note what new commands say of pictures; return what changes, and the last command that opens a row, if any.

        Two handlers of one page take theirs one after the other: what was pressed last holds.
        """
        with state.commands_lock:
            commands = parse_commands(sent, state.last_command_at)
            state.last_command_at = commands[-1].pressed_at if commands else state.last_command_at
            updates = self._set_row_approvals(request, shown_id, state, commands)
        return updates, next((command for command in reversed(commands) if command.action != "approve"), None)

    def _set_row_approvals(
        self, request: gr.Request, shown_id: str, state: BatchTabState, commands: Sequence[RowCommand]
    ) -> Updates:
        """Note what is said of pictures; show it on the sheet, whose other cells are not sent again."""
        sheet_before = self.sheet.key_page(shown_id, state)
        judged = [each for each in commands if each.action in _APPROVAL_ACTIONS]
        numbers = {each.row for each in judged if self._set_row_approval(each, shown_id, request) == shown_id}
        # A forged command may name any number.
        rows = [row.row for row in self.sheet.list_rows(shown_id, sorted(numbers))]
        if not (shown_id and rows):
            return {}
        if state.sent_sheet != sheet_before:  # there is more to show than these rows
            state.sent_sheet = ""
            return self._show_batch(shown_id, state)
        state.sent_count += 1
        state.changed_rows |= dict.fromkeys(rows, state.sent_count)
        state.sent_sheet = self.sheet.key_page(shown_id, state)
        changed = self.sheet.render_changed_rows(shown_id, state)
        return {**self._show_batch(shown_id, state), self.tab.changed_cells: changed}

    def _set_row_approval(self, command: RowCommand, shown_id: str, request: gr.Request) -> str:
        """Note that a row's picture was found right, or forget it; return the batch's id, "" where it is not there."""
        batch = self._find_own_batch(command.batch_id or shown_id, request)
        if batch is None:
            return ""
        with contextlib.suppress(NotFound, BadInput):  # deleted meanwhile, which the sheet shows
            self.batches.approve_row(batch.id, command.row, batch.owner, is_approved=command.action != "doubt")
        return batch.id

    def _find_row_job(self, batch_id: str, row: int) -> Job | None:
        rows = self.sheet.list_rows(batch_id, [row])
        found = self.service.jobs.get_job(rows[0].job_id) if rows and rows[0].job_id else None
        return None if found is None else found.job

    # ------------------------------------------------------------ create

    def show_files(
        self, request: gr.Request, batch_id: str, state: BatchTabState, files: list[tuple[str, str]], tool_id: str
    ) -> Updates:
        """Say what happens next with dropped files, in place of a finished batch; one that runs keeps its place.

        Once the files are taken out again, the finished batch is back; one that was checked stays, as it has its own
        copies of them.
        """
        batch, started = (self._find_own_batch(each, request) for each in (batch_id, state.started_batch_id))
        # Start may have been pressed before this was answered: then the page does not know its batch yet.
        if any(each is not None and each.state in OPEN_STATES for each in (batch, started)):
            return {self.tab.report: gr.skip()}
        if batch is not None and batch.state == "ready" and not files:
            line = text.CHECKED_TEXT.format(self.batches.get_progress(batch.id).total)
            return {self.tab.status: tool_tab_text.render_status(line)}
        finished = None if files else self._find_finished_batch(request)
        if finished is not None:
            return {**self._show_first_page(finished.id, state), self.tab.batch_id: finished.id, self.tab.report: ""}
        names = f"{len(files)} files" if len(files) > 1 else "1 file"
        next_text = text.FILES_TEXT if tool_id else text.NO_TOOL_TEXT
        line = f"{names}. {next_text}" if files else text.IDLE_TEXT
        if batch is not None and batch.state == "ready":  # checked: Start runs it, or the next one forgets it
            return {self.tab.status: tool_tab_text.render_status(line), self.tab.report: ""}
        return {**self._show_no_batch(line, state), self.tab.report: ""}

    def _show_no_batch(self, line: str, state: BatchTabState) -> Updates:
        """Show the status `line` and no pictures; the batch before comes back when the files are taken out."""
        state.first_picture, state.sent_sheet = 0, ""
        tab, locked = self.tab, gr.Button(interactive=False)
        return {
            **dict.fromkeys((tab.pause, tab.cancel, tab.retry, tab.make_zip), locked),
            **dict.fromkeys((tab.batch_id, tab.aside, tab.sheet, tab.changed_cells, tab.position), ""),
            **{button: gr.Button(visible=False) for button in (tab.previous, tab.next, tab.use_larger_size)},
            tab.cutouts: gr.update(visible=False),
            tab.set_aside_fold: gr.Accordion(open=False),
            tab.status: tool_tab_text.render_status(line),
        }

    def choose_tool(
        self,
        request: gr.Request,
        batch_id: str,
        state: BatchTabState,
        files: list[tuple[str, str]],
        tool_id: str,
        settings: Sequence[str],
    ) -> Updates:
        """Show the looks, the brand kits and the template of another tool; chosen settings that it has stay chosen."""
        return {
            **(self.show_files(request, batch_id, state, files, tool_id) if files else {}),
            self.tab.preset: build_look_choice(self.service, tool_id),
            self.tab.brand_kit: build_brand_kit_choice(self.service, tool_id, self.access.identify_visitor(request)),
            self.tab.consent: build_consent_box(self.service, tool_id, value=False),  # it was given to other words
            self.tab.template: self._write_template(tool_id),
            self.tab.setting_choice: build_setting_choice(self.service, tool_id, settings),
            self.tab.start: gr.Button(variant="primary" if tool_id else "secondary"),
        }

    def choose_settings(self, settings: Sequence[str], lines: str, tool_id: str) -> Updates:
        """Keep the last chosen of each field, and write under the `lines` the field of which the value is typed."""
        chosen = {text.name_field(line): line for line in settings}
        written = text.list_lines_without(lines, chosen)
        typed = [line for line in chosen.values() if line.endswith("=")]
        kept = [line for line in chosen.values() if line not in typed]
        return {
            self.tab.setting_choice: build_setting_choice(self.service, tool_id, kept),
            self.tab.more_settings: "\n".join([*written, *typed]),
        }

    def use_same_photos(self, request: gr.Request, batch_id: str, state: BatchTabState, tool_id: str) -> Updates:
        """Choose the files of the last Start again, for another tool or other settings."""
        if not state.has_started_files():
            return {
                **self._show_error(BadInput(UPLOAD_GONE_MESSAGE)),
                self.tab.use_same_photos: gr.Button(visible=False),
            }
        files = list(state.started_files)
        return {**self.show_files(request, batch_id, state, files, tool_id), self.tab.files: files}

    def make_larger(self, request: gr.Request, batch_id: str, state: BatchTabState, *form: Any) -> Iterator[Updates]:
        """Make the shown batch's pictures again, as the form says, at the size up to which its photos have pixels.

        Where its files are not known any more, or another tool is chosen, set the size alone.
        """
        _, tool_id, preset, kit, consent, settings, lines, seeds = form
        batch = self._find_own_batch(batch_id, request)
        if batch is None:
            yield {self.tab.report: gr.skip()}
            return
        side = self.sheet.read_larger_side(batch, self.batches.get_progress(batch_id).done)
        settings = [line for line in settings if text.name_field(line) != "size"]
        lines = "\n".join([*text.list_lines_without(lines, ["size"]), f"size = {side}"])
        yield {
            self.tab.setting_choice: build_setting_choice(self.service, batch.tool, settings),
            self.tab.more_settings: lines,
        }
        if tool_id == batch.tool and state.started_batch_id == batch_id and state.has_started_files():
            again = (state.started_files, tool_id, preset, kit, consent, settings, lines, seeds)
            yield from self.start_batch(request, batch_id, state, *again)
            return
        chosen = self.choose_tool(request, batch_id, state, [], batch.tool, settings) if tool_id != batch.tool else {}
        status = tool_tab_text.render_status(text.LARGER_SET_TEXT.format(side))
        yield {**chosen, self.tab.tool: batch.tool, self.tab.status: status}

    def fill_from_job_settings(self, tool_id: str, params: Mapping[str, Any], seed: int) -> Updates:
        """Fill the form with the settings of one finished picture, without its photo."""
        tool = self.service.find_tool(tool_id)
        values = {**params, "seed": seed} if "seed" in tool.params.model_fields else params
        preset = params.get("preset", "") if "preset" in tool.params.model_fields else ""
        settings, lines = text.split_settings(tool.params, text.format_settings(tool.params, values))
        return {
            self.tab.tool: tool_id,
            self.tab.preset: build_look_choice(self.service, tool_id, chosen=str(preset)),
            # The values of the picture's brand kit are already among the settings.
            self.tab.brand_kit: gr.Dropdown(value="", visible=bool(find_brand_kit_field(self.service, tool_id))),
            self.tab.consent: build_consent_box(self.service, tool_id, value=False),
            self.tab.more_settings: lines,
            self.tab.template: self._write_template(tool_id),
            self.tab.setting_choice: build_setting_choice(self.service, tool_id, settings),
            self.tab.report: "",
            self.tab.start: gr.Button(variant="primary"),
        }

    def _write_template(self, tool_id: str) -> gr.DownloadButton:
        if not tool_id:
            return gr.DownloadButton(visible=False)
        tool = self.service.find_tool(tool_id)
        path = Path(self.tab.template.GRADIO_CACHE) / "batch-templates" / f"{tool.id}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(csv_template(tool), encoding="utf-8")
        return gr.DownloadButton(value=str(path), visible=True)

    def check_rows(self, request: gr.Request, batch_id: str, state: BatchTabState, *form: Any) -> Iterator[Updates]:
        """Check every row and picture and report what would fail, without making anything."""
        tab = self.tab
        yield {tab.status: tool_tab_text.render_status("Reading", busy=True), tab.report: ""}
        try:
            batch = self._create_batch(request, batch_id, *form)
            yield {tab.batch_id: batch.id, tab.status: tool_tab_text.render_status("Checking everything", busy=True)}
            report = dry_run(self.batches, batch)
        except StudioError as error:
            yield self._show_error(error)
            return
        yield {**self._show_first_page(batch.id, state), tab.report: text.render_report(report)}

    def start_batch(self, request: gr.Request, batch_id: str, state: BatchTabState, *form: Any) -> Iterator[Updates]:
        """Start the batch that was checked, or else a new one from the dropped files."""
        yield {self.tab.status: tool_tab_text.render_status("Reading", busy=True)}
        try:
            batch = self._create_batch(request, batch_id, *form)
            self.batches.start(batch.id)
            self.service.on_order(batch.owner, batch.id)
            if form[0]:  # a batch that was checked may have been started without them
                state.started_files, state.started_batch_id = form[0], batch.id
        except StudioError as error:
            yield self._show_error(error)
            return
        # The batch has its own copies of the files; new ones start another batch.
        yield {
            **self._show_first_page(batch.id, state),
            self.tab.batch_id: batch.id,
            self.tab.files: None,
            self.tab.use_same_photos: gr.Button(visible=bool(state.started_files)),
            self.tab.report: "",
        }

    def _create_batch(self, request: gr.Request, batch_id: str, *form: Any) -> Batch:
        """Return the shown batch if it was made from the same form, else create one. Raises `StudioError`."""
        files, tool_id, preset, kit, consent, settings, more, seeds = form
        shown = self._find_own_batch(batch_id, request)
        ready = shown if shown is not None and shown.state == "ready" else None
        owner = self.access.identify_visitor(request)
        # The kit's value belongs to the form's hash: an edited kit makes another batch.
        kit_value = self.service.saved_items.find_item(owner, "brand", kit).value if kit else None
        form_key = hashlib.sha256(repr((form, kit_value)).encode()).hexdigest()
        if ready is not None and (not files or ready.about.get("form") == form_key):
            return ready
        if not files:
            raise BadInput("Drop pictures, a ZIP or a table first.")
        if not tool_id and not any(name.lower().endswith((*TABLE_SUFFIXES, ".zip")) for _, name in files):
            raise BadInput(text.NO_TOOL_ERROR)
        lines = [*settings, *(more or "").splitlines()]
        shared = self._read_shared_values(tool_id, preset, kit, consent, lines)
        batch = self._read_files(files, tool_id, shared, seeds, request, form_key)
        if ready is not None:
            self.batches.forget_batch(batch_id)
        return batch

    def _read_shared_values(
        self, tool_id: str, preset: str | None, kit: str | None, consent: bool, lines: Iterable[str]
    ) -> dict[str, JSON]:
        fields = self.service.find_tool(tool_id).params.model_fields if tool_id else ()
        shared: dict[str, JSON] = {"preset": preset} if preset and "preset" in fields else {}
        kit_field = find_brand_kit_field(self.service, tool_id)
        if kit and kit_field:
            shared[kit_field] = kit
        if consent and "consent" in fields:
            shared["consent"] = True
        for line in filter(None, (line.strip() for line in lines)):
            name, separator, value = (part.strip() for part in line.partition("="))
            if not separator or name not in fields:
                raise BadInput(f"'{line[:60]}' is not a field of this tool with a value: write field = value.")
            shared[name] = value
        return shared

    def _read_files(
        self,
        files: list[tuple[str, str]],
        tool_id: str,
        shared: dict[str, JSON],
        seeds: SeedPolicy,
        request: gr.Request,
        form_key: str,
    ) -> Batch:
        batch_id = new_batch_id()
        folder = self.batches.root / batch_id
        try:
            with self._reading:
                order = [_file_name(original) for _, original in files]
                jobs = open_jobs_source(_store_uploads(files, folder), self.service, tool_id, order)
                zips = [path for path in folder.iterdir() if path.suffix.lower() == ".zip"]
                source = zips[0] if zips else jobs.pictures
                return self.batches.create_batch(
                    BatchPlan(tool_id, shared),
                    jobs.read_rows(),
                    self.access.identify_visitor(request),
                    BatchOptions(
                        name=jobs.name, seeds=seeds, source=source, batch_id=batch_id, about={"form": form_key}
                    ),
                )
        except (StudioError, OSError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, FileNotFoundError):  # uploads are deleted after a day
                raise BadInput(UPLOAD_GONE_MESSAGE) from error
            if isinstance(error, NotFound) and not tool_id:  # a ZIP of pictures, without a table that names tools
                raise BadInput(text.NO_TOOL_ERROR) from error
            if isinstance(error, StudioError):
                raise
            raise StudioError("The files could not be kept: the disk is full, or closed.", code="disk_full") from error

    # ------------------------------------------------------------ control

    def toggle_pause(self, request: gr.Request, batch_id: str, state: BatchTabState) -> Updates:
        """Pause the batch, or resume it."""
        batch = self._find_own_batch(batch_id, request)
        if batch is not None and batch.state == "paused":
            self.batches.start(batch.id)
        elif batch is not None:
            self.batches.pause(batch.id)
        return self._show_first_page(batch_id if batch else "", state)

    def cancel_batch(self, request: gr.Request, batch_id: str, state: BatchTabState) -> Updates:
        """Cancel the batch. Finished rows stay."""
        batch = self._find_own_batch(batch_id, request)
        if batch is not None:
            self.batches.cancel(batch.id)
        return self._show_first_page(batch_id if batch else "", state)

    def retry_failed(self, request: gr.Request, batch_id: str, state: BatchTabState) -> Updates:
        """Run the failed rows again."""
        batch = self._find_own_batch(batch_id, request)
        if batch is not None:
            self.batches.retry_rows(batch.id)
        return {**self._show_first_page(batch_id if batch else "", state), self.tab.report: ""}

    def refresh(self, request: gr.Request, batch_id: str, state: BatchTabState) -> Updates:
        """Show the present state of the batch, on the same page of the contact sheet."""
        if self._find_own_batch(batch_id, request) is None:
            return {self.tab.timer: gr.update(active=False)}
        return self._show_batch(batch_id, state)

    def show_previous_page(self, request: gr.Request, batch_id: str, state: BatchTabState) -> Updates:
        """Show the previous page of the contact sheet."""
        return self._turn_page(request, batch_id, state, -SHEET_PICTURE_COUNT)

    def show_next_page(self, request: gr.Request, batch_id: str, state: BatchTabState) -> Updates:
        """Show the next page of the contact sheet."""
        return self._turn_page(request, batch_id, state, SHEET_PICTURE_COUNT)

    def _turn_page(self, request: gr.Request, batch_id: str, state: BatchTabState, step: int) -> Updates:
        state.first_picture, state.sent_sheet = max(0, state.first_picture + step), ""
        batch = self._find_own_batch(batch_id, request)
        if batch is None:
            return {self.tab.timer: gr.update()}
        return self.sheet.show_page(batch, self.batches.get_progress(batch.id), state)

    def show_last_batch(
        self, request: gr.Request, batch_id: str, state: BatchTabState, tool_id: str, settings: Sequence[str]
    ) -> Updates:
        """When the tab is opened, show the visitor's last batch."""
        owner = self.access.identify_visitor(request)
        batch = (
            self._find_newer_batch(batch_id, request)
            or self._find_own_batch(batch_id, request)
            or self._find_last_batch(request)
        )
        updates = {
            self.tab.template: self._write_template(tool_id),
            self.tab.setting_choice: build_setting_choice(self.service, tool_id, settings),
            self.tab.brand_kit: build_brand_kit_choice(self.service, tool_id, owner),
        }
        if batch is None:
            return updates
        if batch.id != batch_id:
            state.first_picture = 0  # whoever comes back from a row is on the page where it stands
        state.sent_sheet = ""
        return {**updates, **self._show_batch(batch.id, state), self.tab.batch_id: batch.id}

    def show_newer_batch(self, request: gr.Request, batch_id: str, state: BatchTabState) -> Updates:
        """While the tab is visible, show a batch that was started elsewhere, unless the shown one is unfinished."""
        batch = self._find_newer_batch(batch_id, request)
        if batch is None:
            return {self.tab.timer: gr.skip()}
        return {**self._show_first_page(batch.id, state), self.tab.batch_id: batch.id, self.tab.report: ""}

    def _find_newer_batch(self, batch_id: str, request: gr.Request) -> Batch | None:
        """Return the visitor's last batch if it runs or is paused and the shown one is finished, else None."""
        shown, last = self._find_own_batch(batch_id, request), self._find_last_batch(request)
        is_unfinished = shown is not None and shown.state in ("ready", *OPEN_STATES)
        return None if last is None or last.state not in OPEN_STATES or is_unfinished else last

    def _find_last_batch(self, request: gr.Request) -> Batch | None:
        return next(iter(self.batches.list_batches(self.access.identify_visitor(request), 1)), None)

    def _find_finished_batch(self, request: gr.Request) -> Batch | None:
        newest = self.batches.list_batches(self.access.identify_visitor(request), _LOOKED_AT_BATCH_COUNT)
        return next((batch for batch in newest if batch.state in ("done", "cancelled")), None)

    def list_uncertain_cutouts(
        self, request: gr.Request, batch_id: str, state: BatchTabState, set_aside: float | None
    ) -> Updates:
        """List the shown batch's cut-outs, the least certain first; a click on a heading sorts by it."""
        set_aside = NEVER_SET_ASIDE if set_aside is None else set_aside
        if set_aside != state.set_aside:
            state.set_aside, state.sent_sheet = set_aside, ""  # the tiles say which are set aside
        if self._find_own_batch(batch_id, request) is None:
            return {self.tab.cutouts: gr.skip()}  # Gradio takes an empty answer for a fault
        rows = [
            [row, label, uncertainty, "yes" if uncertainty > set_aside else ""]
            for row, label, uncertainty in list_cutouts(self.batches, batch_id)
        ]
        return {**self._show_batch(batch_id, state), self.tab.cutouts: gr.update(value=rows, visible=bool(rows))}

    def make_zip(self, request: gr.Request, batch_id: str, set_aside: float | None) -> Iterator[Updates]:
        """Write the finished rows and the manifest of the shown batch into a ZIP, which the page then downloads."""
        tab, batch = self.tab, self._find_own_batch(batch_id, request)
        if batch is None:
            yield {tab.make_zip: gr.Button(interactive=False), tab.download: None}
            return
        yield {tab.make_zip: gr.Button("Packing", interactive=False)}
        # The key is the batch's id, which nobody can guess.
        zips = ZipDownloads(tab.download.GRADIO_CACHE)
        above = NEVER_SET_ASIDE if set_aside is None else set_aside
        name = name_zip(batch, next((tool.title for tool in self.service.tools if tool.id == batch.tool), ""))
        try:
            with translate_disk_full():
                path = zips.create_zip(batch_id, name, lambda part: save_zip(self.batches, batch_id, part, above))
        except StudioError as error:
            label = gr.Button(_label_zip(batch), interactive=True)
            yield {**self._show_error(error), tab.make_zip: label, tab.download: None}
            return
        yield {tab.make_zip: gr.Button(_label_zip(batch), interactive=True), tab.download: str(path)}

    def _find_own_batch(self, batch_id: str, request: gr.Request) -> Batch | None:
        try:
            return self.batches.get_batch(batch_id, self.access.identify_visitor(request)) if batch_id else None
        except NotFound:
            return None

    # ------------------------------------------------------------ updates

    def _show_error(self, error: StudioError) -> Updates:
        return {self.tab.status: tool_tab_text.render_status(error.message)}

    def _show_first_page(self, batch_id: str, state: BatchTabState) -> Updates:
        """Show a batch with the first page of its contact sheet."""
        state.first_picture, state.sent_sheet = 0, ""
        return self._show_batch(batch_id, state)

    def _show_batch(self, batch_id: str, state: BatchTabState) -> Updates:
        tab = self.tab
        batch = self.batches.table.get_batch(batch_id)
        if batch is None:
            return {tab.status: tool_tab_text.render_status(text.IDLE_TEXT), tab.timer: gr.update(active=False)}
        batch = self.batches.get_batch(batch_id, batch.owner)
        progress = self.batches.get_progress(batch_id)
        is_going = batch.state in OPEN_STATES
        counts, larger_side = text.DoubtCounts(), 0
        if not is_going and progress.done:
            doubts = self.sheet.read_open_doubts(batch_id, progress.done).values()
            others = [each for each in doubts if not each.is_aside(state.set_aside)]
            small = sum(each.is_small for each in others)
            looked_at = len(self.batches.table.list_seen_rows(batch_id))
            to_check = sum(each.has_doubt for each in others) - small
            counts = text.DoubtCounts(to_check, small, len(doubts) - len(others), looked_at)
            larger_side = self.sheet.read_larger_side(batch, progress.done)
        updates: Updates = {
            tab.status: text.render_status(batch, progress, counts),
            tab.aside: text.render_aside(counts, can_be_larger=larger_side > 0),
            tab.use_larger_size: gr.Button(text.LARGER_LABEL.format(larger_side), visible=larger_side > 0),
            tab.pause: gr.Button("Resume" if batch.state == "paused" else "Pause", interactive=is_going),
            tab.cancel: gr.Button(interactive=is_going or batch.state == "ready"),
            tab.retry: gr.Button(interactive=progress.failed > 0 and batch.state != "ready"),
            tab.make_zip: self._update_zip_button(_label_zip(batch), progress.done > 0, state),
            tab.timer: gr.update(active=batch.state == "running" or progress.running > 0),
            **self.sheet.show_page(batch, progress, state),
        }
        if batch.state != "ready" and (progress.failed or state.shows_failures):  # else it may be the check's report
            updates[tab.report] = self._render_failures(batch_id)
            state.shows_failures = progress.failed > 0
        return updates

    def _update_zip_button(self, label: str, is_enabled: bool, state: BatchTabState) -> Any:
        """Return the button without a label where that is the one sent last: it may say that a ZIP is packed."""
        if state.zip_label == label:
            return gr.Button(interactive=is_enabled)
        state.zip_label = label
        return gr.Button(label, interactive=is_enabled)

    def _render_failures(self, batch_id: str) -> str:
        rows = self.batches.table.list_rows(batch_id, limit=text.SHOWN_FAULT_COUNT, status="failed")
        faults = [(name_row(row), row.error or {}) for row in rows]
        buttons = [
            render_command_button(REPAIR_LABEL, "open", row.row, batch_id)
            if row.job_id and (row.error or {}).get("code") == "no_subject"  # which is pointed at there
            else ""
            for row in rows
        ]
        return text.render_faults([(n, e.get("param") or "", e.get("message", "")) for n, e in faults], buttons)


def _label_zip(batch: Batch) -> str:
    return text.PART_DOWNLOAD_LABEL if batch.state in OPEN_STATES else text.DOWNLOAD_LABEL


def _file_name(original: str) -> str:
    """Return the name of a dropped file without its folders."""
    return PurePosixPath(original.replace("\\", "/")).name


def _store_uploads(files: list[tuple[str, str]], folder: Path) -> Path:
    """Link the dropped files into the batch's folder under their own names; return the path that defines the rows.

    The files are not moved: the form still has them, for another batch with other settings.
    """
    folder.mkdir(parents=True)
    names = []
    for path, original in files:
        name = check_name(_file_name(original))
        if name.startswith(".") or (folder / name).exists():
            raise BadInput(f"Two files are called '{name[:60]}', or its name begins with a dot.")
        link_or_copy(Path(path), folder / name)
        names.append(name)
    tables = [name for name in names if name.lower().endswith(TABLE_SUFFIXES)]
    if len(names) > 1:  # a finished batch is dropped with its manifest, which is no table of rows
        manifests = [name for name in tables if is_manifest(partial((folder / name).open, "rb"))]
        if len(manifests) == len(names):
            raise BadInput(MANIFEST_ALONE_MESSAGE)
        names, tables = ([each for each in some if each not in manifests] for some in (names, tables))
    zips = [name for name in names if name.lower().endswith(".zip")]
    if len(tables) > 1 or len(zips) > 1 or (zips and len(names) > len(tables) + 1):
        raise BadInput("Drop pictures, or one ZIP, and at most one table.")
    return folder / (tables or zips)[0] if tables or zips else folder
