"""What happens when something on a tool tab is touched: orders, follows, stops, restores; knows no particular tool."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, TypeAlias

import gradio as gr
from gradio.components import Component
from starlette.concurrency import run_in_threadpool

from pipelines.desk import Desk
from pipelines.jobs import Row
from pipelines.types import Cancelled, Event, File, Job, NotFound, Result, Step, StudioError
from ui import words
from ui.access import Access
from ui.pictures import Named, before, data_url, read_upload, shelf, small
from ui.tab import Seat, Tab
from ui.widgets import Control, changes, plain, words_on

Updates: TypeAlias = "dict[Component, Any]"
ORDERING = "ordering"
"""Stands for the job's id while it is being ordered."""


class Events:
    """The listeners of one tab. Every handler is handed the visitor's seat and yields only what changes."""

    def __init__(self, tab: Tab, desk: Desk, access: Access) -> None:
        self.tab = tab
        self.desk = desk
        self.access = access
        self.drafts = desk.profile.id == "embedded"

    # ------------------------------------------------------------ listeners

    def wire(self) -> None:
        """Attach every listener. All are private to the page and none waits for another."""
        tab = self.tab
        everything = [tab.seat, *tab.values()]
        self._on(tab.generate.click, self.generate, everything)
        self._on(tab.stop.click, self.stop, [tab.seat])
        self._on(tab.board.variation.input, self.vary, [tab.seat, tab.board.variation])
        self._on(tab.board.reuse.click, self.reuse, [tab.seat])
        self._on(tab.incoming.change, self.receive, [tab.incoming, *everything])
        for made in tab.controls.values():
            if made.shown is not made.value and not made.locked:
                shown: Any = made.shown
                self._on(shown.upload, self._taker(made), [made.shown, *everything])
                self._on(shown.clear, self._clearer(made), everything)
        for example, button in tab.examples:
            self._on(button.click, self._sampler(example.file_id), everything)
        if self.drafts:
            for made in tab.controls.values():
                for listener in changes(made):
                    self._on(listener, self.draft, everything)

    def _on(self, listener: Any, handler: Callable[..., Any], inputs: list[Component]) -> None:
        listener(
            handler, inputs, self.tab.outputs(), api_visibility="private", concurrency_limit=None,
            trigger_mode="multiple", show_progress="hidden", queue=True,
        )  # fmt: skip

    # ------------------------------------------------------------ making pictures

    async def generate(self, request: gr.Request, seat: Seat, *values: Any) -> AsyncIterator[Updates]:
        """Order the full size and follow it."""
        if seat.job:
            yield self._same()
            return
        turn = self._take_turn(seat)
        seat.job = ORDERING
        yield self._started()
        order = await self._order(request, values, draft=False)
        if isinstance(order, StudioError):
            seat.job = ""
            yield self._refused(order)
        elif seat.turn != turn:  # stopped before it was in line
            self.desk.jobs.cancel(order.id)
        else:
            seat.job = order.id
            async for updates in self._follow(order.id, seat, request):
                yield updates
        if seat.turn != turn:
            yield self._same()

    async def draft(self, request: gr.Request, seat: Seat, *values: Any) -> AsyncIterator[Updates]:
        """A small picture of the form as it stands; the newer one takes the older one's place."""
        if seat.job or not self.drafts or self._unready(values):
            yield self._same()
            return
        turn = self._take_turn(seat)
        yield {**self._emptied(), self.tab.board.stage: words.line(words.STARTED, busy=True)}
        order = await self._order(request, values, draft=True)
        if seat.turn != turn:
            if isinstance(order, Job):
                self.desk.jobs.cancel(order.id)
        elif isinstance(order, StudioError):
            yield self._refused(order)
        else:
            seat.draft = order.id
            async for updates in self._follow(order.id, seat, request, draft=True):
                yield updates
        if seat.turn != turn:
            yield self._same()

    def _take_turn(self, seat: Seat) -> int:
        """What was asked for last is what is shown: whoever finds its turn gone gives way."""
        self._drop_draft(seat)
        seat.turn += 1
        return seat.turn

    async def _order(self, request: gr.Request, values: tuple[Any, ...], *, draft: bool) -> Job | StudioError:
        owner = self.access.visitor(request)
        try:
            job = await run_in_threadpool(self.desk.order, self.tab.tool.id, self._form(values), owner, draft=draft)
            await run_in_threadpool(self.desk.jobs.submit, job)
        except StudioError as error:
            return error
        return job

    async def _follow(
        self, job_id: str, seat: Seat, request: gr.Request, *, draft: bool = False
    ) -> AsyncIterator[Updates]:
        """Every event of the job as updates. A visitor who leaves only detaches; the job goes on."""
        stream = self.desk.jobs.watch(job_id)
        try:
            async for event in stream:
                if job_id not in (seat.job, seat.draft):
                    return
                if isinstance(event, Result):
                    seat.job, seat.draft = ("", seat.draft) if job_id == seat.job else (seat.job, "")
                    yield self._finished(job_id, event, seat, request, draft=draft)
                else:
                    yield self._under_way(event, draft=draft)
        except Cancelled:
            if job_id == seat.job:  # stopped from elsewhere: another tab, or the API
                seat.job = ""
                yield {**self._idle(), self.tab.board.stage: words.line(words.STOPPED)}
        except StudioError as error:
            seat.job = "" if seat.job == job_id else seat.job
            yield self._refused(error)
        finally:
            stream.close()

    def stop(self, request: gr.Request, seat: Seat) -> Updates:
        """Cancel, and say so at once; the lane is free within a step."""
        job_id, seat.job = seat.job, ""
        seat.turn += 1
        row = self.desk.jobs.get(job_id) if job_id else None
        if row is not None and row.job.owner == self.access.visitor(request):
            self.desk.jobs.cancel(job_id)
        return {**self._idle(), self.tab.board.stage: words.line(words.STOPPED)}

    def _drop_draft(self, seat: Seat) -> None:
        job_id, seat.draft = seat.draft, ""
        if job_id:
            self.desk.jobs.cancel(job_id)

    # ------------------------------------------------------------ pictures in

    def _taker(self, made: Control) -> Callable[..., AsyncIterator[Updates]]:
        async def take(request: gr.Request, path: str | None, seat: Seat, *values: Any) -> AsyncIterator[Updates]:
            now = self._form(values)[made.field.name]
            if path is None:
                yield self._same()
                return
            try:
                file_id, notices = await run_in_threadpool(self._ingest, path, self.access.visitor(request))
            except StudioError as error:
                yield {**self._picture(made, now), **self._refused(error, made.field.name)}
                return
            said = words.notice(notices, self._id(made.field.name))
            async for updates in self._placed(made, file_id, said, request, seat, values):
                yield updates

        return take

    def _ingest(self, path: str, owner: str) -> tuple[str, tuple[str, ...]]:
        return self.desk.take(read_upload(path), owner)

    def _clearer(self, made: Control) -> Callable[..., Any]:
        def clear(seat: Seat, *_: Any) -> Updates:
            self._drop_draft(seat)
            return {made.value: None, self.tab.alert: ""}

        return clear

    def _sampler(self, file_id: str) -> Callable[..., AsyncIterator[Updates]]:
        async def sample(request: gr.Request, seat: Seat, *values: Any) -> AsyncIterator[Updates]:
            async for updates in self._placed(self._photo(), file_id, "", request, seat, values):
                yield updates

        return sample

    async def receive(
        self, request: gr.Request, sent: tuple[str, float] | None, seat: Seat, *values: Any
    ) -> AsyncIterator[Updates]:
        """Take a picture that another tab sent as this tab's photo."""
        if sent is None:
            yield self._same()
            return
        seat.opened = True
        self.desk.files.info(sent[0], self.access.visitor(request))
        async for updates in self._placed(self._photo(), sent[0], "", request, seat, values):
            yield updates

    async def _placed(
        self, made: Control, file_id: str, said: str, request: gr.Request, seat: Seat, values: tuple[Any, ...]
    ) -> AsyncIterator[Updates]:
        """Show a picture in its field, then draw a draft with it."""
        yield {**await run_in_threadpool(self._picture, made, file_id), self.tab.alert: said}
        place = list(self.tab.controls).index(made.field.name)
        changed = (*values[:place], file_id, *values[place + 1 :])
        async for updates in self.draft(request, seat, *changed):
            # What was said about the picture outlives the draft's start.
            yield {part: new for part, new in updates.items() if not (said and part is self.tab.alert and new == "")}

    def _photo(self) -> Control:
        return next(made for made in self.tab.controls.values() if made.shown is not made.value)

    def _picture(self, made: Control, file_id: str | None) -> Updates:
        with suppress(NotFound):
            return {made.value: file_id, made.shown: small(self.desk.files.open(file_id)) if file_id else None}
        return {made.value: None, made.shown: None}

    # ------------------------------------------------------------ pictures out

    def vary(self, request: gr.Request, seat: Seat, variation: str) -> Updates:
        """Show another picture of the same job."""
        row = self._own(seat.shown, request)
        if row is None or row.result is None:
            return self._same()
        return self._show(row.job, row.result, int(variation) - 1, request)

    def reuse(self, request: gr.Request, seat: Seat) -> Updates:
        """Put the shown picture's exact settings, its seed included, back into the form."""
        row = self._own(seat.shown, request)
        return self._same() if row is None else {**self._fill(row.job), self.tab.alert: ""}

    async def resume(self, request: gr.Request, seat: Seat) -> AsyncIterator[Updates]:
        """On the first look at this tab: the visitor's running job or last picture, with its settings."""
        row = None if seat.opened else self._latest(self.access.visitor(request))
        seat.opened = True
        if row is None:
            yield self._same()
            return
        yield await run_in_threadpool(self._fill, row.job)
        if row.status == "done" and row.result is not None:
            yield self._finished(row.job.id, row.result, seat, request)
        elif row.error is not None:
            yield self._refused(StudioError(row.error["message"], code=row.error["code"], param=row.error["param"]))
        else:
            seat.job, turn = row.job.id, self._take_turn(seat)
            yield self._started()
            async for updates in self._follow(row.job.id, seat, request):
                yield updates
            if seat.turn != turn:
                yield self._same()

    def shown_file(self, seat: Seat, variation: int, request: gr.Request) -> str | None:
        """The id of the picture in the box, None when there is none."""
        row = self._own(seat.shown, request)
        files = self._pictures(row.result) if row is not None and row.result is not None else []
        return files[variation].id if variation < len(files) else None

    def _latest(self, owner: str) -> Row | None:
        rows = self.desk.jobs.list(owner, 10, tool=self.tab.tool.id)
        return next((row for row in rows if row.status != "cancelled" and not row.job.batch), None)

    def _own(self, job_id: str, request: gr.Request) -> Row | None:
        row = self.desk.jobs.get(job_id) if job_id else None
        return row if row is not None and row.job.owner == self.access.visitor(request) else None

    def _finished(
        self, job_id: str, result: Result, seat: Seat, request: gr.Request, *, draft: bool = False
    ) -> Updates:
        row = self.desk.jobs.get(job_id)
        if draft or row is None or not self._pictures(result):
            seat.shown = ""
            return {**self._idle(), self.tab.board.stage: words.draft_done(result)}
        seat.shown = job_id
        count = len(self._pictures(result))
        choices = [str(n + 1) for n in range(count)]
        variation = gr.update(choices=choices, value="1", visible=count > 1)
        return {**self._idle(), **self._show(row.job, result, 0, request), self.tab.board.variation: variation}

    def _pictures(self, result: Result) -> list[Any]:
        return [file for file in result.files if file.role == "result"]

    def _show(self, job: Job, result: Result, variation: int, request: gr.Request) -> Updates:
        board, file = self.tab.board, self._pictures(result)[variation]
        name = words.file_name(job.tool, job.params, variation + 1, file.format)
        named = Named(self.desk.files.path(file.id), name)
        return {
            board.live: named,
            board.before: self._before(job, result, file),
            board.stage: words.done(job, result, variation),
            board.save: gr.update(value=shelf(named, board.save.GRADIO_CACHE), interactive=True),
            board.reuse: gr.update(interactive=True),
            board.send: gr.update(value="", interactive=bool(self.tab.others)),
            board.code: self._code(job, request),
            board.receipt: words.receipt_text(result.receipt),
        }

    def _before(self, job: Job, result: Result, file: File) -> str:
        """What lies over the result: the photo, to compare. Under it, a ground that shows transparency."""
        ground = words.SEE_THROUGH if self.desk.files.open(file.id).shape[2] == 4 else ""
        photo = job.params.get("photo")
        with suppress(NotFound):
            laid = before(self.desk.files.open(photo), result.receipt, (file.width, file.height)) if photo else None
            return ground + (words.overlay(data_url(laid), "Your photo, before") if laid else "")
        return ground

    def _code(self, job: Job, request: gr.Request) -> str:
        params = self.tab.tool.params
        defaults = {made.field.name: made.field.default for made in self.tab.controls.values()}
        pictures = params.fields_of_kind("picture", "pictures", "mask")
        base = f"{request.request.url.scheme}://{request.request.url.netloc}" if request.request else ""
        return words.curl(job, defaults, pictures, base, self.access.needs_key)

    # ------------------------------------------------------------ the form and the states of the page

    def _form(self, values: tuple[Any, ...]) -> dict[str, Any]:
        return {
            name: plain(made.field, value)
            for (name, made), value in zip(self.tab.controls.items(), values, strict=True)
        }

    def _unready(self, values: tuple[Any, ...]) -> bool:
        """Whether a required picture is still missing: no reason to complain yet."""
        form = self._form(values)
        return any(form[name] is None for name, made in self.tab.controls.items() if made.field.required)

    def _fill(self, job: Job) -> Updates:
        filled: Updates = {}
        for name, made in self.tab.controls.items():
            value: Any = job.seed if made.field.kind == "seed" else job.params.get(name, made.field.default)
            if made.shown is made.value:
                filled[made.value] = (
                    "" if value is None and made.field.kind == "colour" else words_on(made.field, value)
                )
            else:
                filled |= self._picture(made, value)
        return filled

    def _started(self) -> Updates:
        return {
            **self._emptied(),
            self.tab.board.stage: words.line(words.STARTED, busy=True),
            self.tab.generate: gr.update(interactive=False),
            self.tab.stop: gr.update(interactive=True),
        }

    def _emptied(self) -> Updates:
        """Nothing finished is in the box: its actions rest, and old complaints go."""
        board = self.tab.board
        return {
            self.tab.alert: "",
            board.before: "",
            board.variation: gr.update(visible=False),
            board.save: gr.update(interactive=False),
            board.reuse: gr.update(interactive=False),
            board.send: gr.update(interactive=False),
        }

    def _same(self) -> Updates:
        """No change.

        Gradio empties every output of a handler that hands over nothing, and sends the last thing it was handed once
        more when the handler ends: so one that gave way to another ends with this.
        """
        return {self.tab.alert: gr.skip()}

    def _idle(self) -> Updates:
        return {self.tab.generate: gr.update(interactive=True), self.tab.stop: gr.update(interactive=False)}

    def _under_way(self, event: Event, *, draft: bool) -> Updates:
        updates: Updates = {self.tab.board.stage: words.working(event, draft=draft)}  # pyright: ignore[reportArgumentType]
        if isinstance(event, Step) and event.preview is not None:
            updates[self.tab.board.live] = event.preview
        return updates

    def _refused(self, error: StudioError, param: str | None = None) -> Updates:
        """The sentence beside its field; what was entered stays."""
        target = self._id(error.param or param or "")
        return {
            **self._idle(),
            self.tab.alert: words.alert(error.message, target),
            self.tab.board.stage: words.line(""),
        }

    def _id(self, name: str) -> str:
        return f"{self.tab.tool.id}-{name}" if name in self.tab.controls else ""
