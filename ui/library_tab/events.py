"""What happens in the Library: looking, picking, comparing, starring, deleting, taking home; knows no single tool."""

from __future__ import annotations

import secrets
import zipfile
from collections.abc import AsyncIterator, Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import JobCancelled, NotFound, StudioError
from pipelines.core.job import File, Result, Step
from pipelines.jobs import retention
from pipelines.jobs.queue import JobRow
from pipelines.jobs.search import JobSearch
from pipelines.service.orders import StudioService
from ui.api.auth.access import Access
from ui.components.pictures import NamedFile, encode_data_url, small
from ui.components.zip_downloads import SWEEP_SECONDS, ZipDownloads
from ui.library_tab import layout
from ui.library_tab.layout import LibraryState, LibraryTab, build_library_tab
from ui.tool_tab import text
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.layout import TabState as TabSeat
from ui.tool_tab.updates import Updates, list_result_pictures

THUMBNAIL_SIDE_PX = 224
CACHED_THUMBNAIL_COUNT = 512
"""Thumbnails that are remembered, a few kilobytes each."""


class LibraryTabEvents:
    """The page's listeners. Every handler asks anew whose a job is: an id from the page is anybody's claim."""

    def __init__(self, service: StudioService, access: Access) -> None:
        self.service = service
        self.access = access
        self.finder = JobSearch(service.jobs.table)
        self.tab: LibraryTab = build_library_tab(service)
        self._zips = ZipDownloads(self.tab.download.GRADIO_CACHE)
        service.jobs.run_every(SWEEP_SECONDS, self._zips.delete_expired)  # those of the batch tab too
        self._titles = {tool.id: tool.title for tool in service.tools}
        self._thumbnail = lru_cache(maxsize=CACHED_THUMBNAIL_COUNT)(self._encode_thumbnail)

    def wire(self, page: gr.Tab) -> None:
        """Attach the listeners; all are private to the page."""
        parts = self.tab
        filters = [parts.state, *parts.list_filters()]
        for listener in (page.select, parts.timer.tick, parts.refresh.click):
            self._listen(listener, self.refresh, filters)
        for listener in (parts.text.submit, parts.text.blur, parts.tool.input, parts.when.input, parts.show.input):
            self._listen(listener, self.apply_filters, filters)
        self._listen(parts.newer.click, self.show_newer, filters)
        self._listen(parts.older.click, self.show_older, filters)
        self._listen(parts.grid.input, self.pick_tiles, [parts.state, parts.grid])
        self._listen(parts.pick_page.click, self.pick_page, [parts.state])
        self._listen(parts.pick_none.click, self.pick_none, [parts.state])  # page.js lets go of the tiles in the page
        self._listen(parts.star.click, self.toggle_star, filters)
        self._listen(parts.delete.click, self.delete_picked, filters)
        self._listen(parts.make_zip.click, self.make_zip, [parts.state])

    def _listen(self, listener: Any, handler: Callable[..., Any], inputs: list[Any], more: Sequence[Any] = ()) -> None:
        listener(
            handler, inputs, [*list(vars(self.tab).values())[1:], *more], api_visibility="private",
            concurrency_limit=None, show_progress="hidden", trigger_mode="multiple",
        )  # fmt: skip

    def wire_reuse(self, tabs: gr.Tabs, events: Sequence[ToolTabEvents]) -> None:
        """Reuse: the picked job's settings fill its tool's tab, which comes to the front."""
        recalls: dict[str, Any] = {each.tab.tool.id: gr.State(None) for each in events}
        for each in events:
            each.listen(
                recalls[each.tab.tool.id].change,
                self._make_recall_handler(each),
                [recalls[each.tab.tool.id], each.tab.state],
            )

        def reuse(request: gr.Request, seat: LibraryState) -> dict[Any, Any]:
            row = self._find_own_job(seat.picked_ids[0], request) if len(seat.picked_ids) == 1 else None
            if row is None or row.job.tool not in recalls:
                return {self.tab.facts: gr.skip()}
            return {tabs: gr.Tabs(selected=row.job.tool), recalls[row.job.tool]: (row.job.id, secrets.token_hex(4))}

        self._listen(self.tab.reuse.click, reuse, [self.tab.state], [tabs, *recalls.values()])

    def _make_recall_handler(self, events: ToolTabEvents) -> Callable[..., AsyncIterator[Updates]]:
        async def recall(request: gr.Request, asked: tuple[str, str] | None, seat: TabSeat) -> AsyncIterator[Updates]:
            row = None if asked is None else self._find_own_job(asked[0], request)
            seat.was_opened = True
            if row is not None:
                async for updates in events.attach_job(row, seat, request):
                    yield updates
            yield events.view.no_change()

        return recall

    # ------------------------------------------------------------ the page of tiles

    def refresh(self, request: gr.Request, seat: LibraryState, *filters: Any) -> Updates:
        """The page as it stands now; what is picked stays picked."""
        owner, wanted = self.access.visitor(request), layout.parse_filters(*filters)
        ids, total = self.finder.find_page(owner, wanted, seat.first_tile, layout.PAGE_TILE_COUNT)
        if not ids and seat.first_tile:
            seat.first_tile = max(0, (total - 1) // layout.PAGE_TILE_COUNT * layout.PAGE_TILE_COUNT)
            ids, total = self.finder.find_page(owner, wanted, seat.first_tile, layout.PAGE_TILE_COUNT)
        rows = [row for row in map(self.service.jobs.get_job, ids) if row is not None]
        return self._show_page(seat, rows, total, any(filters[:3]) or filters[3] != "all")

    def _show_page(self, seat: LibraryState, rows: Sequence[JobRow], total: int, filtered: bool) -> Updates:
        parts, ids = self.tab, tuple(row.job.id for row in rows)
        updates: Updates = {parts.timer: gr.update(active=any(row.finished is None for row in rows))}
        choices = [(layout.label_tile(row, self._find_title(row)), row.job.id) for row in rows]
        styles = layout.render_thumbnail_style(map(self._find_tile_picture, rows))
        seen = f"{choices}{hash(styles)}{total}"
        if seen == seat.sent_tiles:  # a beat without news costs the page nothing
            return updates
        updates |= {
            parts.pictures: styles,
            parts.position: layout.render_position(seat.first_tile, len(rows), total, filtered),
        }
        updates |= {
            parts.newer: gr.Button(interactive=seat.first_tile > 0),
            parts.older: gr.Button(interactive=seat.first_tile + len(rows) < total),
        }
        # At a beat the value is left alone: somebody may be picking at this moment.
        picked = [job_id for job_id in ids if job_id in seat.picked_ids]
        same = ids == seat.tile_ids
        updates[parts.grid] = gr.update(choices=choices) if same else gr.update(choices=choices, value=picked)
        seat.tile_ids, seat.sent_tiles = ids, seen
        return updates

    def apply_filters(self, request: gr.Request, seat: LibraryState, *filters: Any) -> Updates:
        """Other filters: from the newest on."""
        seat.first_tile = 0
        return self.refresh(request, seat, *filters)

    def show_newer(self, request: gr.Request, seat: LibraryState, *filters: Any) -> Updates:
        """The page of newer ones."""
        seat.first_tile = max(0, seat.first_tile - layout.PAGE_TILE_COUNT)
        return self.refresh(request, seat, *filters)

    def show_older(self, request: gr.Request, seat: LibraryState, *filters: Any) -> Updates:
        """The page of older ones."""
        seat.first_tile += layout.PAGE_TILE_COUNT
        return self.refresh(request, seat, *filters)

    def _find_title(self, row: JobRow) -> str:
        return self._titles.get(row.job.tool, row.job.tool)

    def _find_tile_picture(self, row: JobRow) -> bytes | None:
        """A small picture: of the result, or of the last preview."""
        if row.status == "running":
            return row.step.preview if row.step else None
        file = _find_first_picture(row)
        try:
            return None if file is None else self._thumbnail(file.id)
        except (StudioError, FileNotFoundError):  # deleted since, or out of reach: the rest is shown all the same
            return None

    def _encode_thumbnail(self, file_id: str) -> bytes:
        return small(self.service.files.open_image(file_id), THUMBNAIL_SIDE_PX)

    # ------------------------------------------------------------ what is picked

    async def pick_tiles(self, request: gr.Request, seat: LibraryState, checked: list[str]) -> AsyncIterator[Updates]:
        """One: look at it, with previews while it runs. Two: compare them. More: say how many."""
        elsewhere = tuple(job_id for job_id in seat.picked_ids if job_id not in seat.tile_ids)
        seat.picked_ids = (*elsewhere, *checked)
        async for updates in self._show_picked(request, seat):
            yield updates

    async def pick_page(self, request: gr.Request, seat: LibraryState) -> AsyncIterator[Updates]:
        """Everything on this page, beside what is picked on others."""
        seat.picked_ids = tuple(dict.fromkeys((*seat.picked_ids, *seat.tile_ids)))
        yield {self.tab.grid: gr.update(value=list(seat.tile_ids))}
        async for updates in self._show_picked(request, seat):
            yield updates

    async def pick_none(self, request: gr.Request, seat: LibraryState) -> AsyncIterator[Updates]:
        """Nothing, on any page."""
        seat.picked_ids = ()
        async for updates in self._show_picked(request, seat):
            yield updates

    async def _show_picked(self, request: gr.Request, seat: LibraryState) -> AsyncIterator[Updates]:
        seat.look_number += 1
        seat.delete_pressed_ids = ()
        turn = seat.look_number
        rows = await run_in_threadpool(self._list_picked, seat, request)
        shown = await run_in_threadpool(self._show_rows, rows)
        if seat.look_number != turn:  # what was picked since is shown already
            yield {self.tab.facts: gr.skip()}
            return
        yield shown
        if len(rows) == 1 and rows[0].finished is None:
            async for updates in self._follow_job(rows[0].job.id, seat, turn):
                yield updates
            again = await run_in_threadpool(self._list_picked, seat, request)
            if seat.look_number == turn:
                yield await run_in_threadpool(self._show_rows, again)
        # The last thing said is sent once more when the handler ends, which may be after another has spoken.
        yield {self.tab.facts: gr.skip()}

    async def _follow_job(self, job_id: str, seat: LibraryState, turn: int) -> AsyncIterator[Updates]:
        """The job's events, its last preview at once, until it ends or something else is picked."""
        stream = await run_in_threadpool(self.service.jobs.watch, job_id)
        try:
            async for event in stream:
                if seat.look_number != turn:
                    return
                if isinstance(event, Step) and event.preview is not None:
                    yield {self.tab.picture: event.preview, self.tab.status: text.render_progress(event, draft=False)}
                elif not isinstance(event, Result):
                    yield {self.tab.status: text.render_progress(event, draft=False)}
        except (JobCancelled, StudioError):  # its row says how it ended
            return
        finally:
            stream.close()

    def _show_rows(self, rows: Sequence[JobRow]) -> Updates:
        parts = self.tab
        updates: Updates = {**layout.show_actions(parts, rows), parts.comparison: "", parts.facts: ""}
        if len(rows) not in (1, 2):
            return {**updates, parts.picture: None, parts.status: layout.render_picked_status(len(rows))}
        updates[parts.facts] = "".join(layout.render_facts(row, self._find_title(row)) for row in rows)
        if len(rows) == 1:
            return {
                **updates,
                parts.picture: self._find_full_picture(rows[0]),
                parts.status: layout.render_job_status(rows[0]),
            }
        left, right = (layout.label_tile(row, self._find_title(row)) for row in rows)
        laid = self._encode_comparison(rows[0])
        over = text.render_comparison(encode_data_url(laid), left, ("Left", "Right"), 50) if laid else ""
        return {
            **updates,
            parts.picture: self._find_full_picture(rows[1]),
            parts.comparison: over,
            parts.status: layout.render_comparison_status(left, right),
        }

    def _find_full_picture(self, row: JobRow) -> NamedFile | bytes | None:
        """The picture itself, byte for byte, or the last preview."""
        file = _find_first_picture(row)
        if file is None:
            return row.step.preview if row.step else None
        try:
            return NamedFile(self.service.files.local_path(file.id), _name_file(row, file, 1))
        except StudioError:
            return None

    def _encode_comparison(self, row: JobRow) -> bytes | None:
        file = _find_first_picture(row)
        try:
            return small(self.service.files.open_image(file.id)) if file else self._find_tile_picture(row)
        except (StudioError, FileNotFoundError):
            return None

    # ------------------------------------------------------------ what can be done with it

    def toggle_star(self, request: gr.Request, seat: LibraryState, *filters: Any) -> Updates:
        """Keep what is picked from retention, or, when all of it has its star, give it up to it."""
        rows = self._list_picked(seat, request)
        starred = not all(row.starred for row in rows)
        for row in rows:
            self.service.jobs.set_starred(row.job.id, starred)
        return {
            **self.refresh(request, seat, *filters),
            **layout.show_actions(self.tab, self._list_picked(seat, request)),
        }

    def delete_picked(self, request: gr.Request, seat: LibraryState, *filters: Any) -> Updates:
        """Pressed twice: forget what is picked, with its pictures; what runs is stopped."""
        rows = self._list_picked(seat, request)
        if not rows or seat.delete_pressed_ids != seat.picked_ids:
            seat.delete_pressed_ids = seat.picked_ids
            return {self.tab.delete: gr.Button(f"Really delete {len(rows)}?" if rows else "Delete")}
        for row in rows:
            if row.finished is None:
                self.service.jobs.cancel(row.job.id)
        owner = self.access.visitor(request)
        gone = retention.delete_jobs(self.service.jobs.table, self.service.files, owner, [row.job.id for row in rows])
        seat.picked_ids, seat.delete_pressed_ids, seat.look_number = (), (), seat.look_number + 1
        told = f"Deleted: {gone}" if gone == len(rows) else f"Deleted: {gone}. Stopped: {len(rows) - gone}"
        return {
            **self.refresh(request, seat, *filters),
            **self._show_rows(()),
            self.tab.status: text.render_status(told),
        }

    def make_zip(self, request: gr.Request, seat: LibraryState) -> Updates:
        """Everything that the picked jobs made, in one ZIP to download."""
        rows = [row for row in self._list_picked(seat, request) if row.result is not None]
        last, seat.zip_key = seat.zip_key, secrets.token_hex(16)
        path = self._zips.create_zip(seat.zip_key, "designerbox.zip", lambda part: self._write_zip(rows, part))
        self._zips.delete_zip(last)  # the button leads to the new one
        told = f"Download ZIP · {len(rows)}"
        return {self.tab.download: gr.DownloadButton(told, value=str(path), visible=True)}

    def _write_zip(self, rows: Sequence[JobRow], path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as out:  # pictures are packed as they are
            for place, row in enumerate(rows, 1):
                made = [file for file in (row.result.files if row.result else ()) if file.role != "matte"]
                for number, file in enumerate(made, 1):
                    try:
                        out.write(
                            self.service.files.local_path(file.id), f"{place:03d}-{_name_file(row, file, number)}"
                        )
                    except (NotFound, FileNotFoundError):  # deleted since
                        continue
        self.service.uploads.sign_archive(path)

    def _list_picked(self, seat: LibraryState, request: gr.Request) -> list[JobRow]:
        return [row for job_id in seat.picked_ids if (row := self._find_own_job(job_id, request)) is not None]

    def _find_own_job(self, job_id: str, request: gr.Request) -> JobRow | None:
        row = self.service.jobs.get_job(job_id)
        return row if row is not None and row.job.owner == self.access.visitor(request) else None


def _find_first_picture(row: JobRow) -> File | None:
    """The first picture of a finished job."""
    made = list_result_pictures(row.result) if row.result is not None else []
    return made[0] if made else None


def _name_file(row: JobRow, file: File, number: int) -> str:
    return file.name or text.make_file_name(row.job.tool, row.job.params, number, file.format)
