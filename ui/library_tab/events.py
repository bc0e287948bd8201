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

from pipelines.core.errors import Cancelled, NotFound, StudioError
from pipelines.core.job import File, Result, Step
from pipelines.jobs import retention
from pipelines.jobs.queue import Row
from pipelines.jobs.search import Finder
from pipelines.service.orders import Desk
from ui.api.auth.access import Access
from ui.components.pictures import Named, data_url, small
from ui.components.zip_downloads import SWEPT, Packed
from ui.library_tab import layout
from ui.library_tab.layout import Parts, Seat, lay_out
from ui.tool_tab import text
from ui.tool_tab.events import Events
from ui.tool_tab.layout import Seat as TabSeat
from ui.tool_tab.updates import Updates, pictures

THUMB = 224
KEPT = 512
"""Thumbnails that are remembered, a few kilobytes each."""


class LibraryEvents:
    """The page's listeners. Every handler asks anew whose a job is: an id from the page is anybody's claim."""

    def __init__(self, desk: Desk, access: Access) -> None:
        self.desk = desk
        self.access = access
        self.finder = Finder(desk.jobs.table)
        self.parts: Parts = lay_out(desk)
        self._zips = Packed(self.parts.save.GRADIO_CACHE)
        desk.jobs.every(SWEPT, self._zips.sweep)  # those of the batch tab too
        self._titles = {tool.id: tool.title for tool in desk.tools}
        self._thumb = lru_cache(maxsize=KEPT)(self._small)

    def wire(self, page: gr.Tab) -> None:
        """Attach the listeners; all are private to the page."""
        parts = self.parts
        filters = [parts.seat, *parts.filters()]
        for listener in (page.select, parts.timer.tick, parts.again.click):
            self._on(listener, self.look, filters)
        for listener in (parts.text.submit, parts.text.blur, parts.tool.input, parts.when.input, parts.show.input):
            self._on(listener, self.first, filters)
        self._on(parts.back.click, self.back, filters)
        self._on(parts.forth.click, self.forth, filters)
        self._on(parts.grid.input, self.pick, [parts.seat, parts.grid])
        self._on(parts.every.click, self.pick_page, [parts.seat])
        self._on(parts.none.click, self.pick_none, [parts.seat])  # page.js lets go of the tiles in the page
        self._on(parts.star.click, self.star, filters)
        self._on(parts.delete.click, self.delete, filters)
        self._on(parts.pack.click, self.pack, [parts.seat])

    def _on(self, listener: Any, handler: Callable[..., Any], inputs: list[Any], more: Sequence[Any] = ()) -> None:
        listener(
            handler, inputs, [*list(vars(self.parts).values())[1:], *more], api_visibility="private",
            concurrency_limit=None, show_progress="hidden", trigger_mode="multiple",
        )  # fmt: skip

    def connect(self, tabs: gr.Tabs, events: Sequence[Events]) -> None:
        """Reuse: the picked job's settings fill its tool's tab, which comes to the front."""
        recalls: dict[str, Any] = {each.tab.tool.id: gr.State(None) for each in events}
        for each in events:
            each.on(recalls[each.tab.tool.id].change, self._recaller(each), [recalls[each.tab.tool.id], each.tab.seat])

        def reuse(request: gr.Request, seat: Seat) -> dict[Any, Any]:
            row = self._own(seat.picked[0], request) if len(seat.picked) == 1 else None
            if row is None or row.job.tool not in recalls:
                return {self.parts.facts: gr.skip()}
            return {tabs: gr.Tabs(selected=row.job.tool), recalls[row.job.tool]: (row.job.id, secrets.token_hex(4))}

        self._on(self.parts.reuse.click, reuse, [self.parts.seat], [tabs, *recalls.values()])

    def _recaller(self, events: Events) -> Callable[..., AsyncIterator[Updates]]:
        async def recall(request: gr.Request, asked: tuple[str, str] | None, seat: TabSeat) -> AsyncIterator[Updates]:
            row = None if asked is None else self._own(asked[0], request)
            seat.opened = True
            if row is not None:
                async for updates in events.attach(row, seat, request):
                    yield updates
            yield events.screen.same()

        return recall

    # ------------------------------------------------------------ the page of tiles

    def look(self, request: gr.Request, seat: Seat, *filters: Any) -> Updates:
        """The page as it stands now; what is picked stays picked."""
        owner, wanted = self.access.visitor(request), layout.wanted(*filters)
        ids, total = self.finder.page(owner, wanted, seat.start, layout.PAGE)
        if not ids and seat.start:
            seat.start = max(0, (total - 1) // layout.PAGE * layout.PAGE)
            ids, total = self.finder.page(owner, wanted, seat.start, layout.PAGE)
        rows = [row for row in map(self.desk.jobs.get, ids) if row is not None]
        return self._page(seat, rows, total, any(filters[:3]) or filters[3] != "all")

    def _page(self, seat: Seat, rows: Sequence[Row], total: int, filtered: bool) -> Updates:
        parts, ids = self.parts, tuple(row.job.id for row in rows)
        updates: Updates = {parts.timer: gr.update(active=any(row.finished is None for row in rows))}
        choices = [(layout.label(row, self._title(row)), row.job.id) for row in rows]
        styles = layout.thumbs(map(self._tile, rows))
        seen = f"{choices}{hash(styles)}{total}"
        if seen == seat.seen:  # a beat without news costs the page nothing
            return updates
        updates |= {parts.pictures: styles, parts.where: layout.where(seat.start, len(rows), total, filtered)}
        updates |= {
            parts.back: gr.Button(interactive=seat.start > 0),
            parts.forth: gr.Button(interactive=seat.start + len(rows) < total),
        }
        # At a beat the value is left alone: somebody may be picking at this moment.
        picked = [job_id for job_id in ids if job_id in seat.picked]
        same = ids == seat.ids
        updates[parts.grid] = gr.update(choices=choices) if same else gr.update(choices=choices, value=picked)
        seat.ids, seat.seen = ids, seen
        return updates

    def first(self, request: gr.Request, seat: Seat, *filters: Any) -> Updates:
        """Other filters: from the newest on."""
        seat.start = 0
        return self.look(request, seat, *filters)

    def back(self, request: gr.Request, seat: Seat, *filters: Any) -> Updates:
        """The page of newer ones."""
        seat.start = max(0, seat.start - layout.PAGE)
        return self.look(request, seat, *filters)

    def forth(self, request: gr.Request, seat: Seat, *filters: Any) -> Updates:
        """The page of older ones."""
        seat.start += layout.PAGE
        return self.look(request, seat, *filters)

    def _title(self, row: Row) -> str:
        return self._titles.get(row.job.tool, row.job.tool)

    def _tile(self, row: Row) -> bytes | None:
        """A small picture: of the result, or of the last preview."""
        if row.status == "running":
            return row.step.preview if row.step else None
        file = _first(row)
        try:
            return None if file is None else self._thumb(file.id)
        except (StudioError, FileNotFoundError):  # deleted since, or out of reach: the rest is shown all the same
            return None

    def _small(self, file_id: str) -> bytes:
        return small(self.desk.files.open(file_id), THUMB)

    # ------------------------------------------------------------ what is picked

    async def pick(self, request: gr.Request, seat: Seat, checked: list[str]) -> AsyncIterator[Updates]:
        """One: look at it, with previews while it runs. Two: compare them. More: say how many."""
        elsewhere = tuple(job_id for job_id in seat.picked if job_id not in seat.ids)
        seat.picked = (*elsewhere, *checked)
        async for updates in self._looked(request, seat):
            yield updates

    async def pick_page(self, request: gr.Request, seat: Seat) -> AsyncIterator[Updates]:
        """Everything on this page, beside what is picked on others."""
        seat.picked = tuple(dict.fromkeys((*seat.picked, *seat.ids)))
        yield {self.parts.grid: gr.update(value=list(seat.ids))}
        async for updates in self._looked(request, seat):
            yield updates

    async def pick_none(self, request: gr.Request, seat: Seat) -> AsyncIterator[Updates]:
        """Nothing, on any page."""
        seat.picked = ()
        async for updates in self._looked(request, seat):
            yield updates

    async def _looked(self, request: gr.Request, seat: Seat) -> AsyncIterator[Updates]:
        seat.turn += 1
        seat.sure = ()
        turn = seat.turn
        rows = await run_in_threadpool(self._picked, seat, request)
        shown = await run_in_threadpool(self._shown, rows)
        if seat.turn != turn:  # what was picked since is shown already
            yield {self.parts.facts: gr.skip()}
            return
        yield shown
        if len(rows) == 1 and rows[0].finished is None:
            async for updates in self._follow(rows[0].job.id, seat, turn):
                yield updates
            again = await run_in_threadpool(self._picked, seat, request)
            if seat.turn == turn:
                yield await run_in_threadpool(self._shown, again)
        # The last thing said is sent once more when the handler ends, which may be after another has spoken.
        yield {self.parts.facts: gr.skip()}

    async def _follow(self, job_id: str, seat: Seat, turn: int) -> AsyncIterator[Updates]:
        """The job's events, its last preview at once, until it ends or something else is picked."""
        stream = await run_in_threadpool(self.desk.jobs.watch, job_id)
        try:
            async for event in stream:
                if seat.turn != turn:
                    return
                if isinstance(event, Step) and event.preview is not None:
                    yield {self.parts.live: event.preview, self.parts.stage: text.working(event, draft=False)}
                elif not isinstance(event, Result):
                    yield {self.parts.stage: text.working(event, draft=False)}
        except (Cancelled, StudioError):  # its row says how it ended
            return
        finally:
            stream.close()

    def _shown(self, rows: Sequence[Row]) -> Updates:
        parts = self.parts
        updates: Updates = {**layout.buttons(parts, rows), parts.over: "", parts.facts: ""}
        if len(rows) not in (1, 2):
            return {**updates, parts.live: None, parts.stage: layout.picked(len(rows))}
        updates[parts.facts] = "".join(layout.facts(row, self._title(row)) for row in rows)
        if len(rows) == 1:
            return {**updates, parts.live: self._whole(rows[0]), parts.stage: layout.standing(rows[0])}
        left, right = (layout.label(row, self._title(row)) for row in rows)
        laid = self._beside(rows[0])
        over = text.overlay(data_url(laid), left, ("Left", "Right"), 50) if laid else ""
        return {
            **updates,
            parts.live: self._whole(rows[1]),
            parts.over: over,
            parts.stage: layout.compared(left, right),
        }

    def _whole(self, row: Row) -> Named | bytes | None:
        """The picture itself, byte for byte, or the last preview."""
        file = _first(row)
        if file is None:
            return row.step.preview if row.step else None
        try:
            return Named(self.desk.files.path(file.id), _name(row, file, 1))
        except StudioError:
            return None

    def _beside(self, row: Row) -> bytes | None:
        file = _first(row)
        try:
            return small(self.desk.files.open(file.id)) if file else self._tile(row)
        except (StudioError, FileNotFoundError):
            return None

    # ------------------------------------------------------------ what can be done with it

    def star(self, request: gr.Request, seat: Seat, *filters: Any) -> Updates:
        """Keep what is picked from retention, or, when all of it has its star, give it up to it."""
        rows = self._picked(seat, request)
        starred = not all(row.starred for row in rows)
        for row in rows:
            self.desk.jobs.star(row.job.id, starred)
        return {**self.look(request, seat, *filters), **layout.buttons(self.parts, self._picked(seat, request))}

    def delete(self, request: gr.Request, seat: Seat, *filters: Any) -> Updates:
        """Pressed twice: forget what is picked, with its pictures; what runs is stopped."""
        rows = self._picked(seat, request)
        if not rows or seat.sure != seat.picked:
            seat.sure = seat.picked
            return {self.parts.delete: gr.Button(f"Really delete {len(rows)}?" if rows else "Delete")}
        for row in rows:
            if row.finished is None:
                self.desk.jobs.cancel(row.job.id)
        owner = self.access.visitor(request)
        gone = retention.delete(self.desk.jobs.table, self.desk.files, owner, [row.job.id for row in rows])
        seat.picked, seat.sure, seat.turn = (), (), seat.turn + 1
        told = f"Deleted: {gone}" if gone == len(rows) else f"Deleted: {gone}. Stopped: {len(rows) - gone}"
        return {**self.look(request, seat, *filters), **self._shown(()), self.parts.stage: text.line(told)}

    def pack(self, request: gr.Request, seat: Seat) -> Updates:
        """Everything that the picked jobs made, in one ZIP to download."""
        rows = [row for row in self._picked(seat, request) if row.result is not None]
        last, seat.packed = seat.packed, secrets.token_hex(16)
        path = self._zips.make(seat.packed, "designerbox.zip", lambda part: self._pack(rows, part))
        self._zips.drop(last)  # the button leads to the new one
        told = f"Download ZIP · {len(rows)}"
        return {self.parts.save: gr.DownloadButton(told, value=str(path), visible=True)}

    def _pack(self, rows: Sequence[Row], path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as out:  # pictures are packed as they are
            for place, row in enumerate(rows, 1):
                made = [file for file in (row.result.files if row.result else ()) if file.role != "matte"]
                for number, file in enumerate(made, 1):
                    try:
                        out.write(self.desk.files.path(file.id), f"{place:03d}-{_name(row, file, number)}")
                    except (NotFound, FileNotFoundError):  # deleted since
                        continue
        self.desk.sign_archive(path)

    def _picked(self, seat: Seat, request: gr.Request) -> list[Row]:
        return [row for job_id in seat.picked if (row := self._own(job_id, request)) is not None]

    def _own(self, job_id: str, request: gr.Request) -> Row | None:
        row = self.desk.jobs.get(job_id)
        return row if row is not None and row.job.owner == self.access.visitor(request) else None


def _first(row: Row) -> File | None:
    """The first picture of a finished job."""
    made = pictures(row.result) if row.result is not None else []
    return made[0] if made else None


def _name(row: Row, file: File, number: int) -> str:
    return file.name or text.file_name(row.job.tool, row.job.params, number, file.format)
