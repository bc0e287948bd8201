"""What happens when something on a tool tab is touched: orders, follows, stops, restores; knows no particular tool."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, NamedTuple

import gradio as gr
from gradio.components import Component
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import Cancelled, NotFound, StudioError
from pipelines.core.job import Queued, Result, Step
from pipelines.core.stream import Stream
from pipelines.jobs.queue import Row
from pipelines.service.orders import Desk
from ui.api.auth.access import Access
from ui.components.pictures import read_upload
from ui.tool_tab import text
from ui.tool_tab.form_controls import Control, changes, plain
from ui.tool_tab.layout import Handed, Seat, Tab
from ui.tool_tab.updates import Screen, Updates, address, pictures

MEASURED = 5
"""Finished pictures that tell how long the next takes."""
ORDERING = "ordering"
"""Stands for the job's id while it is being ordered."""


class Watched(NamedTuple):
    """A job in line, and the stream of its events."""

    id: str
    stream: Stream
    seed: int = 0


class Events:
    """The listeners of one tab. Every handler is handed the visitor's seat and yields only what changes."""

    def __init__(self, tab: Tab, desk: Desk, access: Access) -> None:
        self.tab = tab
        self.desk = desk
        self.access = access
        self.screen = Screen(tab, desk, access)
        self.drafts = desk.profile.id == "embedded"
        self.drafting: Any = None

    # ------------------------------------------------------------ listeners

    def wire(self) -> None:
        """Attach every listener. All are private to the page and none waits for another."""
        tab = self.tab
        everything = [tab.seat, *tab.values()]
        self._settling(self.on(tab.generate.click, self.generate, everything))
        self._settling(self.on(tab.stop.click, self.stop, [tab.seat]), self.stopped)
        self.on(tab.board.variation.input, self.vary, [tab.seat, tab.board.variation])
        versus: Any = tab.board.versus
        self.on(versus.input, self.compare, [tab.seat, tab.board.variation, tab.board.versus])
        for name, part in (("format", tab.board.format), ("size", tab.board.size)):
            kind: Any = part
            self._settling(self.on(kind.input, self._remaker(name), [tab.seat, part]))
        self.on(tab.board.reuse.click, self.reuse, [tab.seat])
        self.on(tab.incoming.change, self.receive, [tab.incoming, *everything])
        for made in tab.controls.values():
            self._wire_picture(made, everything)
        if self.drafts and (moved := self.moved()):
            # One listener for all: the page carries, and looks through, every listener once for each component.
            self.drafting = self.on(partial(gr.on, moved), self.draft, everything)
        for example, button in tab.examples:
            self.on(button.click, self._sampler(example.file_id), everything)

    def _settling(self, told: Any, settled: Callable[..., Updates] | None = None) -> None:
        told.then(
            settled or self.settled, [self.tab.seat], self.screen.buttons(), api_visibility="private",
            concurrency_limit=None, show_progress="hidden", queue=False,
        )  # fmt: skip

    def moved(self) -> list[Any]:
        """The events by which a visitor has changed any field."""
        return [listener for made in self.tab.controls.values() for listener in changes(made)]

    def _wire_picture(self, made: Control, everything: list[Component]) -> None:
        if made.field.kind == "picture" and not made.locked:
            shown: Any = made.shown
            self.on(shown.upload, self._taker(made), [made.shown, *everything])
            self.on(shown.clear, self._clearer(made), everything)

    def on(
        self, listener: Any, handler: Callable[..., Any], inputs: list[Component], more: list[Component] | None = None
    ) -> Any:
        """Attach `handler`, which may change everything of this tab and `more`; returns what `.then` hangs on."""
        return listener(
            handler, inputs, [*self.tab.outputs(), *(more or [])], api_visibility="private", concurrency_limit=None,
            trigger_mode="multiple", show_progress="hidden", queue=True,
        )  # fmt: skip

    # ------------------------------------------------------------ making pictures

    async def generate(self, request: gr.Request, seat: Seat, *values: Any) -> AsyncIterator[Updates]:
        """Order the full size and follow it."""
        seat.opened = True
        if not seat.job:
            seat.asked = time.monotonic()
            async for updates in self._made(request, seat, seat.seeded(self.form(values), self.tab.tool.reblends)):
                yield updates
        yield self.screen.same()

    def settled(self, request: gr.Request, seat: Seat) -> Updates:
        """The buttons as they stand, asked for by the page once it has gone through all that Generate told.

        It goes through what two handlers tell side by side, each word of which may wait for a component: when it was
        busy, an older "greyed" came after the newer "ready", and Download stayed greyed.
        """
        if seat.job or seat.draft:
            return self.screen.same()
        row = self._own(seat.shown, request)
        return self.screen.at_rest(row and row.job)

    def stopped(self, request: gr.Request, seat: Seat) -> Updates:
        """The same after Stop, with its sentence: a step that was told just before may come after it."""
        settled = self.settled(request, seat)
        at_rest = not (seat.job or seat.draft)
        return {**settled, self.tab.board.stage: text.line(text.STOPPED)} if at_rest else settled

    async def _made(self, request: gr.Request, seat: Seat, form: dict[str, Any]) -> AsyncIterator[Updates]:
        turn = self._take_turn(seat)
        seat.job = ORDERING
        yield self.screen.started()
        order = await self._order(request, form, draft=False)
        if isinstance(order, StudioError):
            if seat.turn == turn:
                seat.job = ""
                yield self.screen.refused(order)
        elif seat.turn != turn:  # stopped before it was in line
            self._give_up(order)
        else:
            seat.job = order.id
            seat.drew(form, order.seed, draft=False)
            async for updates in self._follow(order, seat, request):
                yield updates

    def _remaker(self, name: str) -> Callable[..., AsyncIterator[Updates]]:
        """The shown job once more with another `name`, seed and all: so the file's marks and receipt are its own."""

        async def remade(request: gr.Request, seat: Seat, wanted: Any) -> AsyncIterator[Updates]:
            row = None if seat.job else self._own(seat.shown, request)
            if row is not None and row.job.params.get(name, wanted) != wanted:
                seeded = {"seed": row.job.seed} if "seed" in row.job.params else {}
                fresh = self.screen.some({name: wanted})
                if fresh:
                    yield fresh
                async for updates in self._made(request, seat, {**row.job.params, name: wanted, **seeded}):
                    yield updates
            yield self.screen.same()

        return remade

    async def draft(self, request: gr.Request, seat: Seat, *values: Any) -> AsyncIterator[Updates]:
        """A small picture of the form as it stands; the newer one takes the older one's place."""
        seat.opened = True
        if seat.job or not self.drafts or self._unready(values):
            yield self.screen.same()
            return
        turn = self._take_turn(seat)
        yield self.screen.drafting()
        # A draft is only asked for where something changed: the same drawing then, or one by another lot.
        form = self.form(values)
        order = await self._order(request, seat.seeded(form, self.tab.tool.reblends), draft=True)
        if isinstance(order, StudioError):
            yield self.screen.refused(order) if seat.turn == turn else self.screen.same()
        elif seat.turn != turn:
            self._give_up(order)
        else:
            seat.draft = order.id
            seat.drew(form, order.seed, draft=True)
            async for updates in self._follow(order, seat, request, draft=True):
                yield updates
        yield self.screen.same()

    def _take_turn(self, seat: Seat) -> int:
        """What was asked for last is what is shown: whoever finds its turn gone gives way."""
        self._drop_draft(seat)
        seat.turn += 1
        return seat.turn

    async def again(self, request: gr.Request, seat: Seat, *values: Any) -> AsyncIterator[Updates]:
        """The form changed while Generate was being answered: what it asked for is made of the form as it stands."""
        job_id, seat.job = seat.job, ""
        if self._own(job_id, request) is not None:
            self.desk.jobs.cancel(job_id)
        async for updates in self.generate(request, seat, *values):
            yield updates

    async def _order(self, request: gr.Request, form: dict[str, Any], *, draft: bool) -> Watched | StudioError:
        owner = self.access.visitor(request)
        try:
            return await run_in_threadpool(self._submit, form, owner, draft)
        except StudioError as error:
            return error

    def _submit(self, form: dict[str, Any], owner: str, draft: bool) -> Watched:
        job = self.desk.order(self.tab.tool.id, form, owner, draft=draft)
        stream = self.desk.jobs.follow(job)
        if not draft:
            self.desk.ordered(owner, job.id)
        return Watched(job.id, stream, job.seed)

    def _give_up(self, order: Watched) -> None:
        order.stream.close()
        self.desk.jobs.cancel(order.id)

    async def _follow(
        self, watched: Watched, seat: Seat, request: gr.Request, *, draft: bool = False
    ) -> AsyncIterator[Updates]:
        """Every event of the job as updates. A visitor who leaves only detaches; the job goes on."""
        job_id, stream, _ = watched
        seen: bytes | None = None
        usual, since = (None if draft else self._usual(request)), time.monotonic()
        try:
            async for event in stream:
                if job_id not in (seat.job, seat.draft):
                    return
                if isinstance(event, Result):
                    yield await run_in_threadpool(self._finished, job_id, event, seat, request, seen, draft=draft)
                else:
                    seen = event.preview or seen if isinstance(event, Step) else seen
                    if isinstance(event, Queued):  # whoever is in front takes as long as we do
                        left, since = (None if usual is None else usual * (event.position + 1)), time.monotonic()
                    else:
                        left = None if usual is None else usual - (time.monotonic() - since)
                    yield self.screen.under_way(event, draft=draft, left=left)
        except Cancelled:
            if job_id == seat.job:  # stopped from elsewhere: another tab, or the API
                yield self.screen.idle(text.line(text.STOPPED))
        except StudioError as error:
            if job_id in (seat.job, seat.draft):
                yield self.screen.refused(error)
        finally:
            stream.close()
            self._leave(job_id, seat)

    def _usual(self, request: gr.Request) -> float | None:
        """Seconds that the visitor's last few pictures of this tool took, the middle of them; None before the first."""
        rows = self.desk.jobs.list(self.access.visitor(request), MEASURED, tool=self.tab.tool.id)
        taken = [row.result.seconds for row in rows if row.result is not None]
        return statistics.median(taken) if taken else None

    def _finished(
        self, job_id: str, result: Result, seat: Seat, request: gr.Request, seen: bytes | None, *, draft: bool
    ) -> Updates:
        row = self.desk.jobs.get(job_id)
        if draft or row is None:
            seat.shown = ""
            return self.screen.drafted(result, seen)
        seat.shown = job_id
        return self.screen.finished(row, result, address(request))

    def _leave(self, job_id: str, seat: Seat) -> None:
        seat.job = "" if seat.job == job_id else seat.job
        seat.draft = "" if seat.draft == job_id else seat.draft

    def stop(self, request: gr.Request, seat: Seat) -> Updates:
        """Cancel, and say so at once; the lane is free within a step."""
        job_id, seat.job = seat.job, ""
        seat.turn += 1
        if self._own(job_id, request) is not None:
            self.desk.jobs.cancel(job_id)
        return self.screen.idle(text.line(text.STOPPED))

    def _drop_draft(self, seat: Seat) -> None:
        job_id, seat.draft = seat.draft, ""
        if job_id:
            self.desk.jobs.cancel(job_id)

    # ------------------------------------------------------------ pictures in

    def _taker(self, made: Control) -> Callable[..., AsyncIterator[Updates]]:
        async def take(request: gr.Request, path: str | None, seat: Seat, *values: Any) -> AsyncIterator[Updates]:
            seat.opened = True
            if path is None:
                yield self.screen.same()
                return
            try:
                file_id, notices = await run_in_threadpool(self._ingest, path, self.access.visitor(request))
            except StudioError as error:
                kept = self.screen.picture(made, self.form(values)[made.field.name])
                yield {**kept, **self.screen.refused(error, made.field.name)}
                return
            said = text.notice(notices, self.screen.element(made.field.name))
            async for updates in self.place(made, file_id, request, seat, values, said):
                yield updates

        return take

    def _ingest(self, path: str, owner: str) -> tuple[str, tuple[str, ...]]:
        return self.desk.take(read_upload(path), owner)

    def _clearer(self, made: Control) -> Callable[..., Updates]:
        def clear(seat: Seat, *_: Any) -> Updates:
            self._take_turn(seat)
            # What is shown was cleared by the visitor, who may have put the next picture there by now.
            return {made.value: None, **self._without_matte(made), self.tab.alert: ""}

        return clear

    def _sampler(self, file_id: str) -> Callable[..., AsyncIterator[Updates]]:
        async def sample(request: gr.Request, seat: Seat, *values: Any) -> AsyncIterator[Updates]:
            async for updates in self.place(self.photo(), self._with(file_id, values), request, seat, values):
                yield updates

        return sample

    def _with(self, file_id: str, values: tuple[Any, ...]) -> Any:
        """The photo's new value: the picture itself, or where several fit, those that are there and this one."""
        field = self.photo().field
        return (*self.form(values)[field.name], file_id)[: field.max_length] if field.kind == "pictures" else file_id

    async def receive(
        self, request: gr.Request, handed: Handed | None, seat: Seat, *values: Any
    ) -> AsyncIterator[Updates]:
        """Take settings, and a picture as this tab's photo, from another tab, the first page or a link."""
        if handed is None:
            yield self.screen.same()
            return
        seat.opened = True
        filled = self.screen.some(handed.values)
        fresh = tuple(filled.get(part, old) for part, old in zip(self.tab.values(), values, strict=True))
        if filled:
            yield filled
        if handed.photo is None:
            follow = self.draft(request, seat, *fresh)
        else:
            follow = self.place(self.photo(), self._with(handed.photo, fresh), request, seat, fresh)
        async for updates in follow:
            yield updates

    async def place(
        self,
        made: Control,
        file_id: Any,
        request: gr.Request,
        seat: Seat,
        values: tuple[Any, ...],
        said: str = "",
    ) -> AsyncIterator[Updates]:
        """Show a picture, or several, in its field, then draw a draft with it; `said` stays beside it."""
        seat.opened = True
        shown = await run_in_threadpool(self.screen.picture, made, file_id)
        changed = {**shown, **self._without_matte(made)}
        yield {**changed, self.tab.alert: said}
        fresh = (changed.get(part, old) for part, old in zip(self.tab.values(), values, strict=True))
        async for updates in self.draft(request, seat, *fresh):
            yield {part: new for part, new in updates.items() if not (said and part is self.tab.alert and new == "")}

    def photo(self) -> Control:
        """The field that other tabs and examples fill."""
        return next(made for made in self.tab.controls.values() if made.field.kind in ("picture", "pictures"))

    def _without_matte(self, made: Control) -> Updates:
        """A cut-out that was repaired by hand belongs to the photo it was made for."""
        updates: Updates = {}
        for mask in self.tab.controls.values() if made is self.photo() else ():
            if mask.field.kind == "mask":
                updates |= self.screen.picture(mask, None)
        return updates

    # ------------------------------------------------------------ pictures out

    def vary(self, request: gr.Request, seat: Seat, variation: str) -> Updates:
        """Show another picture of the same job."""
        row = self._own(seat.shown, request)
        if row is None or row.result is None:
            return self.screen.same()
        return self.screen.show(row.job, row.result, int(variation) - 1, address(request))

    def compare(self, request: gr.Request, seat: Seat, variation: str | None, other: str | None) -> Updates:
        """Lay another picture of the same job, or the photo, over the shown one."""
        row = self._own(seat.shown, request)
        if row is None or row.result is None:
            return self.screen.same()
        number = int(other) - 1 if other and other.isdigit() else None
        return self.screen.compared(row.result, int(variation or 1) - 1, number)

    def reuse(self, request: gr.Request, seat: Seat) -> Updates:
        """Put the shown picture's exact settings, its seed included, back into the form."""
        made = self.shown_settings(seat, request)
        return self.screen.same() if made is None else self.screen.fill(*made)

    def shown_settings(self, seat: Seat, request: gr.Request) -> tuple[dict[str, Any], int] | None:
        """The settings and the seed that the shown picture was made with, None when there is none."""
        row = self._own(seat.shown, request)
        if row is None:
            return None
        # What the tool settled by itself, such as a team's head height, is in the receipt and not in the job.
        return (row.result.receipt["params"] if row.result is not None else row.job.params), row.job.seed

    async def resume(self, request: gr.Request, seat: Seat) -> AsyncIterator[Updates]:
        """On the first look at this tab: the visitor's running job or last picture, with its settings.

        On a slow line a visitor is at work before this is asked; then the form is theirs, and nothing is brought back.
        """
        owner = self.access.visitor(request)
        row = None if seat.opened else self._latest(owner)
        seat.opened = True
        offered = await run_in_threadpool(self.screen.offered, owner)
        yield offered or self.screen.same()
        if row is None:
            return
        async for updates in self.attach(row, seat, request):
            yield updates

    async def attach(self, row: Row, seat: Seat, request: gr.Request) -> AsyncIterator[Updates]:
        """A job of the visitor's found again: its settings in the form, and its picture, its error, or it under way."""
        turn = self._take_turn(seat)
        seat.job = ""
        filled = await run_in_threadpool(self.screen.fill, row.job.params, row.job.seed)
        if seat.turn != turn:
            yield self.screen.same()
            return
        yield filled
        if seat.turn != turn:  # the visitor was quicker
            yield self.screen.same()
            return
        if row.status == "done" and row.result is not None:
            yield await run_in_threadpool(self._found, row, row.result, seat, request)
        elif row.error is not None:
            yield self.screen.refused(
                StudioError(row.error["message"], code=row.error["code"], param=row.error["param"])
            )
        else:
            seat.job = row.job.id
            yield self.screen.started()
            async for updates in self._follow(Watched(row.job.id, self.desk.jobs.watch(row.job.id)), seat, request):
                yield updates
        yield self.screen.same()

    def _found(self, row: Row, result: Result, seat: Seat, request: gr.Request) -> Updates:
        try:
            updates = self.screen.finished(row, result, address(request))
        except NotFound:  # the file was deleted since
            return self.screen.same()
        seat.shown = row.job.id
        return updates

    def shown_file(self, seat: Seat, variation: int, request: gr.Request) -> str | None:
        """The id of the picture in the box, None when there is none."""
        row = self._own(seat.shown, request)
        files = pictures(row.result) if row is not None and row.result is not None else []
        return files[variation].id if variation < len(files) else None

    def _latest(self, owner: str) -> Row | None:
        rows = self.desk.jobs.list(owner, 10, tool=self.tab.tool.id)
        return next((row for row in rows if row.status != "cancelled" and not row.job.batch), None)

    def _own(self, job_id: str, request: gr.Request) -> Row | None:
        row = self.desk.jobs.get(job_id) if job_id else None
        return row if row is not None and row.job.owner == self.access.visitor(request) else None

    def form(self, values: tuple[Any, ...]) -> dict[str, Any]:
        """The form's values as Params takes them."""
        rows = zip(self.tab.controls.items(), values, strict=True)
        return {name: plain(made.field, value) for (name, made), value in rows}

    def _unready(self, values: tuple[Any, ...]) -> bool:
        """Whether a required picture is still missing: no reason to complain yet."""
        form = self.form(values)
        return any(made.field.lacks(form[name]) for name, made in self.tab.controls.items())
