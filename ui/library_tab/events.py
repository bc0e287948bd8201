"""Listeners of the library tab: search, pick, compare, star, delete and download jobs."""

from __future__ import annotations

import secrets
import time
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import JobCancelled, NotFound, StudioError
from pipelines.core.job import File, Result, Step
from pipelines.jobs.queue import JobRow
from pipelines.jobs.search import find_page
from pipelines.service.studio_service import StudioService
from ui.api.auth.access import AccessControl
from ui.components.event_options import PRIVATE_EVENT
from ui.components.pictures import NamedFile, encode_data_url, encode_page_jpeg, publish_file
from ui.components.row_commands import JobToShow
from ui.components.zip_downloads import SWEEP_SECONDS, ZipDownloads, download_carried_file
from ui.library_tab import layout
from ui.library_tab.layout import LibraryState, LibraryTab
from ui.tool_tab import text
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.form_controls import list_form_fields
from ui.tool_tab.state import TabHandoff, TabState
from ui.tool_tab.updates import Updates, keep_consent, list_result_pictures

THUMBNAIL_SIDE_PX = 224
CACHED_THUMBNAIL_COUNT = 512
"""Thumbnails in the cache, a few kilobytes each."""


class LibraryTabEvents:
    """Listeners of the tab. Every handler checks the owner of each job, because the page could send any id."""

    def __init__(self, service: StudioService, access: AccessControl) -> None:
        self.service = service
        self.access = access
        self.tab = LibraryTab(service)
        self._zips = ZipDownloads(self.tab.download.GRADIO_CACHE)
        service.jobs.workers.run_every(SWEEP_SECONDS, self._zips.delete_expired)  # also those of the batch tab
        self._titles = {tool.id: tool.title for tool in service.tools}
        self._fields = {tool.id: list_form_fields(tool.params) for tool in service.tools}
        self._thumbnail = lru_cache(maxsize=CACHED_THUMBNAIL_COUNT)(self._encode_thumbnail)

    def wire(self, gradio_tab: gr.Tab) -> None:
        """Attach the listeners."""
        tab = self.tab
        filters = [tab.state, *tab.list_filters()]
        for listener in (gradio_tab.select, tab.timer.tick, tab.refresh.click):
            self._listen(listener, self.refresh, filters)
        for listener in (tab.text.submit, tab.text.input, tab.tool.input, tab.when.input, tab.show.input):
            self._listen(listener, self.apply_filters, filters)
        self._listen(tab.newer.click, self.show_newer, filters)
        self._listen(tab.older.click, self.show_older, filters)
        self._listen(tab.pick_page.click, self.pick_page, [tab.state])
        # What is picked fast may arrive in another order (page.js clears the tiles by itself): they are read once more.
        picks = [tab.state, tab.grid, tab.pick_several]
        for event in (
            self._listen(tab.grid.input, self.pick_tiles, picks),
            self._listen(tab.pick_none.click, self.pick_none, [tab.state]),
        ):
            self._listen(event.then, self.pick_late_changes, picks)
        self._listen(tab.pick_several.input, self.pick_late_changes, picks)
        self._listen(tab.star.click, self.toggle_star, filters)
        self._listen(tab.delete.click, self.delete_picked, filters)
        self._listen(tab.undo.click, self.undo_delete, filters)
        download_carried_file(self._listen(tab.make_zip.click, self.download_picked, [tab.state]), tab.download)

    def _listen(
        self, listener: Any, handler: Callable[..., Any], inputs: list[Any], more_outputs: Sequence[Any] = ()
    ) -> Any:
        outputs = [*self.tab.list_outputs(), *more_outputs]
        return listener(handler, inputs, outputs, trigger_mode="multiple", **PRIVATE_EVENT)

    def wire_reuse_button(self, tabs: gr.Tabs, events: Sequence[ToolTabEvents]) -> dict[str, gr.State]:
        """Attach "Reuse settings": open the picked job's tool with its settings.

        Returns a state for each tool: a `JobToShow` in it fills the tool's tab from the job.
        """
        jobs_to_show: dict[str, gr.State] = {tool_events.tab.tool.id: gr.State(None) for tool_events in events}
        for tool_events in events:
            job_to_show = jobs_to_show[tool_events.tab.tool.id]
            handler = self.make_show_job_handler(tool_events)
            tool_events.listen(job_to_show.change, handler, [job_to_show, tool_events.tab.state])

        def reuse(request: gr.Request, state: LibraryState) -> dict[Any, Any]:
            row = self._find_own_job(state.picked_ids[0], request) if len(state.picked_ids) == 1 else None
            if row is None or row.job.tool not in jobs_to_show:
                return {self.tab.facts: gr.skip()}
            return {
                tabs: gr.Tabs(selected=row.job.tool),
                jobs_to_show[row.job.tool]: JobToShow(row.job.id, secrets.token_hex(4)),
            }

        self._listen(self.tab.reuse.click, reuse, [self.tab.state], [tabs, *jobs_to_show.values()])
        return jobs_to_show

    def wire_send_to(self, tabs: gr.Tabs, handoffs: Mapping[str, gr.State]) -> None:
        """Attach "Send to": the picked picture becomes the photo of a tool, which opens."""

        def send_to(request: gr.Request, state: LibraryState, tool_id: str) -> dict[Any, Any]:
            row = self._find_own_job(state.picked_ids[0], request) if len(state.picked_ids) == 1 else None
            file = None if row is None else _find_first_picture(row)
            if file is None or tool_id not in handoffs:
                return {self.tab.send_to: ""}
            handoff = TabHandoff(file.id, time.time(), keep_consent(row))
            return {tabs: gr.Tabs(selected=tool_id), self.tab.send_to: "", handoffs[tool_id]: handoff}

        self._listen(self.tab.send_to.input, send_to, [self.tab.state, self.tab.send_to], [tabs, *handoffs.values()])

    def make_show_job_handler(self, events: ToolTabEvents) -> Callable[..., AsyncIterator[Updates]]:
        """Return a handler that fills the tool's tab from a job, unless a row that was pressed later is there."""

        async def show_job(request: gr.Request, wanted: JobToShow | None, state: TabState) -> AsyncIterator[Updates]:
            row = None if wanted is None else self._find_own_job(wanted.job_id, request)
            state.was_opened = True
            is_overtaken = wanted is not None and 0 < wanted.pressed_at < state.row_pressed_at
            if wanted is not None and row is not None and not is_overtaken:
                state.row_pressed_at = wanted.pressed_at or state.row_pressed_at
                state.batch_set_aside, state.settled_row = wanted.set_aside, wanted.settled_row
                async for updates in events.follower.attach_job(row, state, request):
                    yield updates
            yield events.view.no_change()

        return show_job

    # ------------------------------------------------------------ tiles

    def refresh(self, request: gr.Request, state: LibraryState, *filters: Any) -> Updates:
        """Show the present jobs of the page. Picked jobs stay picked."""
        owner, wanted = self.access.identify_visitor(request), layout.parse_filters(*filters)
        ids, total = find_page(self.service.jobs.table, owner, wanted, state.first_tile, layout.PAGE_TILE_COUNT)
        if not ids and state.first_tile:
            state.first_tile = max(0, (total - 1) // layout.PAGE_TILE_COUNT * layout.PAGE_TILE_COUNT)
            ids, total = find_page(self.service.jobs.table, owner, wanted, state.first_tile, layout.PAGE_TILE_COUNT)
        rows = [row for row in map(self.service.jobs.get_job, ids) if row is not None]
        return self._show_page(state, rows, total, any(filters[:3]) or filters[3] != "all")

    def _show_page(self, state: LibraryState, rows: Sequence[JobRow], total: int, is_filtered: bool) -> Updates:
        tab, tile_ids = self.tab, tuple(row.job.id for row in rows)
        updates: Updates = {tab.timer: gr.update(active=any(row.finished is None for row in rows))}
        choices = [(layout.label_tile(row, self._find_title(row)), row.job.id) for row in rows]
        tile_css = layout.render_thumbnail_style(map(self._find_tile_picture, rows))
        tiles_key = f"{choices}{hash(tile_css)}{total}"
        if tiles_key == state.sent_tiles:  # send nothing if nothing has changed
            return updates
        updates |= {
            tab.pictures: tile_css,
            tab.position: layout.render_position(state.first_tile, len(rows), total, is_filtered),
            tab.newer: gr.Button(interactive=state.first_tile > 0),
            tab.older: gr.Button(interactive=state.first_tile + len(rows) < total),
        }
        # If the tiles are the same, the selection is not sent: the visitor may be picking at this moment.
        picked = [job_id for job_id in tile_ids if job_id in state.picked_ids]
        same_tiles = tile_ids == state.tile_ids
        updates[tab.grid] = gr.update(choices=choices) if same_tiles else gr.update(choices=choices, value=picked)
        state.tile_ids, state.sent_tiles = tile_ids, tiles_key
        return updates

    def apply_filters(self, request: gr.Request, state: LibraryState, *filters: Any) -> Updates:
        """Show the first page with other filters."""
        state.first_tile = 0
        return self.refresh(request, state, *filters)

    def show_newer(self, request: gr.Request, state: LibraryState, *filters: Any) -> Updates:
        """Show the page of newer jobs."""
        state.first_tile = max(0, state.first_tile - layout.PAGE_TILE_COUNT)
        return self.refresh(request, state, *filters)

    def show_older(self, request: gr.Request, state: LibraryState, *filters: Any) -> Updates:
        """Show the page of older jobs."""
        state.first_tile += layout.PAGE_TILE_COUNT
        return self.refresh(request, state, *filters)

    def _find_title(self, row: JobRow) -> str:
        return self._titles.get(row.job.tool, row.job.tool)

    def _find_tile_picture(self, row: JobRow) -> bytes | None:
        """Return a thumbnail of the first result picture, or the last preview of a running job."""
        if row.status == "running":
            return row.step.preview if row.step else None
        file = _find_first_picture(row)
        try:
            return None if file is None else self._thumbnail(file.id)
        except (StudioError, FileNotFoundError):  # deleted, or the store is out of reach
            return None

    def _encode_thumbnail(self, file_id: str) -> bytes:
        return encode_page_jpeg(self.service.files.open_image(file_id), THUMBNAIL_SIDE_PX)

    # ------------------------------------------------------------ picked jobs

    async def pick_tiles(
        self, request: gr.Request, state: LibraryState, checked: list[str], several: bool
    ) -> AsyncIterator[Updates]:
        """Show the job picked last, with previews while it runs; with `several`, compare two, count more."""
        state.picked_ids = state.merge_picks(checked, several)
        if not several and len(checked) > 1:
            yield {self.tab.grid: gr.update(value=list(state.picked_ids))}
        async for updates in self._show_picked(request, state):
            yield updates

    async def pick_late_changes(
        self, request: gr.Request, state: LibraryState, checked: list[str], several: bool
    ) -> AsyncIterator[Updates]:
        """Show what is picked on the page by now, if that is not what is shown."""
        if state.merge_picks(checked, several) == state.picked_ids:
            yield {self.tab.facts: gr.skip()}
            return
        async for updates in self.pick_tiles(request, state, checked, several):
            yield updates

    async def pick_page(self, request: gr.Request, state: LibraryState) -> AsyncIterator[Updates]:
        """Pick all jobs of this page in addition to those of other pages."""
        state.picked_ids = tuple(dict.fromkeys((*state.picked_ids, *state.tile_ids)))
        yield {self.tab.grid: gr.update(value=list(state.tile_ids)), self.tab.pick_several: True}
        async for updates in self._show_picked(request, state):
            yield updates

    async def pick_none(self, request: gr.Request, state: LibraryState) -> AsyncIterator[Updates]:
        """Pick no job on any page."""
        state.picked_ids = ()
        async for updates in self._show_picked(request, state):
            yield updates

    async def _show_picked(self, request: gr.Request, state: LibraryState) -> AsyncIterator[Updates]:
        state.look_number += 1
        state.delete_pressed_ids = ()
        number = state.look_number
        rows = await run_in_threadpool(self._list_picked, state, request)
        unseen_count = sum(row.job.id not in state.tile_ids for row in rows)
        updates_of_rows = await run_in_threadpool(self._show_rows, rows, unseen_count)
        if state.look_number != number:  # a newer selection is shown already
            yield {self.tab.facts: gr.skip()}
            return
        yield updates_of_rows
        if len(rows) == 1 and rows[0].finished is None:
            async for updates in self._follow_job(rows[0].job.id, state, number):
                yield updates
            rows_at_end = await run_in_threadpool(self._list_picked, state, request)
            if state.look_number == number:
                yield await run_in_threadpool(self._show_rows, rows_at_end)
        # Gradio repeats a handler's last update when it ends, possibly over another handler's newer one.
        yield {self.tab.facts: gr.skip()}

    async def _follow_job(self, job_id: str, state: LibraryState, number: int) -> AsyncIterator[Updates]:
        """Yield the job's events, its last preview first, until it ends or another job is picked."""
        stream = await run_in_threadpool(self.service.jobs.watch, job_id)
        try:
            async for event in stream:
                if state.look_number != number:
                    return
                if isinstance(event, Step) and event.preview is not None:
                    yield {self.tab.picture: event.preview, self.tab.status: text.render_progress(event, draft=False)}
                elif not isinstance(event, Result):
                    yield {self.tab.status: text.render_progress(event, draft=False)}
        except (JobCancelled, StudioError):  # the job's row has the reason
            return
        finally:
            stream.close()

    def _show_rows(self, rows: Sequence[JobRow], unseen_count: int = 0) -> Updates:
        tab = self.tab
        updates: Updates = {**layout.show_actions(tab, rows), tab.comparison: "", tab.facts: ""}
        if len(rows) not in (1, 2) or (len(rows) == 2 and not all(map(self._find_full_picture, rows))):
            return {**updates, tab.picture: None, tab.status: layout.render_picked_status(len(rows), unseen_count)}
        updates[tab.facts] = "".join(
            layout.render_facts(row, self._find_title(row), self._fields.get(row.job.tool, ())) for row in rows
        )
        if len(rows) == 1:
            status = layout.render_job_status(rows[0])
            return {**updates, tab.picture: self._find_full_picture(rows[0]), tab.status: status}
        left, right = (layout.label_tile(row, self._find_title(row)) for row in rows)
        jpeg = self._encode_comparison(rows[0])
        comparison = text.render_comparison(encode_data_url(jpeg), left, ("Left", "Right"), 50) if jpeg else ""
        return {
            **updates,
            tab.picture: self._find_full_picture(rows[1]),
            tab.comparison: comparison,
            tab.status: layout.render_comparison_status(left, right, unseen_count),
        }

    def _find_full_picture(self, row: JobRow) -> NamedFile | bytes | None:
        """Return the picture's file, or the last preview."""
        file = _find_first_picture(row)
        if file is None:
            return row.step.preview if row.step else None
        try:
            return NamedFile(self.service.files.local_path(file.id), text.make_file_name(row.job, file, 1))
        except StudioError:
            return None

    def _encode_comparison(self, row: JobRow) -> bytes | None:
        file = _find_first_picture(row)
        try:
            return encode_page_jpeg(self.service.files.open_image(file.id)) if file else self._find_tile_picture(row)
        except (StudioError, FileNotFoundError):
            return None

    # ------------------------------------------------------------ actions

    def toggle_star(self, request: gr.Request, state: LibraryState, *filters: Any) -> Updates:
        """Star the picked jobs, which retention never deletes; if all have a star, remove it."""
        rows = self._list_picked(state, request)
        starred = not all(row.starred for row in rows)
        for row in rows:
            self.service.jobs.table.set_starred(row.job.id, starred)
        return {
            **self.refresh(request, state, *filters),
            **layout.show_actions(self.tab, self._list_picked(state, request)),
        }

    def delete_picked(self, request: gr.Request, state: LibraryState, *filters: Any) -> Updates:
        """Ask for a second click, then delete the picked jobs; running ones are cancelled.

        For a minute they are only hidden, so that Undo brings them back; then they go with their files.
        """
        rows = self._list_picked(state, request)
        if not rows or state.delete_pressed_ids != state.picked_ids:
            state.delete_pressed_ids = state.picked_ids
            return {self.tab.delete: gr.Button(f"Really delete {len(rows)}?" if rows else "Delete")}
        for row in rows:
            if row.finished is None:
                self.service.jobs.cancel(row.job.id)
        owner = self.access.identify_visitor(request)
        state.deleted_ids = tuple(row.job.id for row in rows)
        deleted_count = self.service.jobs.table.hide_jobs(owner, state.deleted_ids)
        state.picked_ids, state.delete_pressed_ids, state.look_number = (), (), state.look_number + 1
        stopped = f". Stopped: {len(rows) - deleted_count}" if deleted_count != len(rows) else ""
        return {
            **self.refresh(request, state, *filters),
            **self._show_rows(()),
            self.tab.status: text.render_status(f"Deleted: {deleted_count}{stopped}"),
            self.tab.undo: gr.update(visible=deleted_count > 0),
        }

    def undo_delete(self, request: gr.Request, state: LibraryState, *filters: Any) -> Updates:
        """Bring back what was deleted last, within a minute."""
        owner, deleted_ids, state.deleted_ids = self.access.identify_visitor(request), state.deleted_ids, ()
        restored_count = self.service.jobs.table.restore_jobs(owner, deleted_ids)
        message = f"Back again: {restored_count}" if restored_count else "That was more than a minute ago: it is gone."
        return {
            **self.refresh(request, state, *filters),
            self.tab.status: text.render_status(message),
            self.tab.undo: gr.update(visible=False),
        }

    def download_picked(self, request: gr.Request, state: LibraryState) -> Updates:
        """Let the page download the picked picture, or all files of the picked jobs as a ZIP."""
        rows = [row for row in self._list_picked(state, request) if row.result is not None]
        files = [file for row in rows[:1] if row.result for file in row.result.files if file.role != "matte"]
        if len(rows) == 1 and len(files) == 1:
            named = NamedFile(self.service.files.local_path(files[0].id), text.make_file_name(rows[0].job, files[0], 1))
            return {self.tab.download: publish_file(named, self.tab.download.GRADIO_CACHE)}
        old_key, state.zip_key = state.zip_key, secrets.token_hex(16)
        path = self._zips.create_zip(state.zip_key, "designerbox.zip", lambda part: self._write_zip(rows, part))
        self._zips.delete_zip(old_key)
        return {self.tab.download: str(path)}

    def _write_zip(self, rows: Sequence[JobRow], path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:  # pictures do not compress
            for row_number, row in enumerate(rows, 1):
                files = [file for file in (row.result.files if row.result else ()) if file.role != "matte"]
                for file_number, file in enumerate(files, 1):
                    name = f"{row_number:03d}-{text.make_file_name(row.job, file, file_number)}"
                    with suppress(NotFound, FileNotFoundError):  # deleted meanwhile
                        archive.write(self.service.files.local_path(file.id), name)
        self.service.uploads.sign_archive(path)

    def _list_picked(self, state: LibraryState, request: gr.Request) -> list[JobRow]:
        return [row for job_id in state.picked_ids if (row := self._find_own_job(job_id, request)) is not None]

    def _find_own_job(self, job_id: str, request: gr.Request) -> JobRow | None:
        row = self.service.jobs.get_job(job_id)
        return row if row is not None and row.job.owner == self.access.identify_visitor(request) else None


def _find_first_picture(row: JobRow) -> File | None:
    """Return the first result picture of a finished job."""
    return next(iter(list_result_pictures(row.result)), None) if row.result is not None else None
