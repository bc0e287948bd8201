"""Orders the jobs of a tool tab and follows them: full-size pictures, drafts, and jobs that are found again."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import gradio as gr
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import JobCancelled, NotFound, StudioError
from pipelines.core.job import QueuePosition, Result, Step
from pipelines.core.stream import Stream
from pipelines.jobs.queue import JobRow
from pipelines.service.orders import StudioService
from ui.api.auth.access import Access
from ui.tool_tab import text
from ui.tool_tab.layout import TabState, ToolTab
from ui.tool_tab.updates import TabView, Updates, page_address

TIMED_JOB_COUNT = 5
"""Finished jobs whose median duration is the estimate for the next one."""
ORDERING_ID = "ordering"
"""Placeholder for the job id while the job is being ordered."""


class OrderedJob(NamedTuple):
    """A job in the queue, and the stream of its events."""

    job_id: str
    stream: Stream
    seed: int = 0


class JobFollower:
    """Order, follow, stop and restore the jobs of one tab.

    Every handler gets the visitor's `TabState` and yields the components that change.
    """

    def __init__(self, tab: ToolTab, service: StudioService, access: Access, view: TabView) -> None:
        self.tab = tab
        self.service = service
        self.access = access
        self.view = view
        self.draws_drafts = service.profile.id == "embedded"

    async def generate(self, request: gr.Request, seat: TabState, *values: Any) -> AsyncIterator[Updates]:
        """Order the full size and follow it."""
        seat.was_opened = True
        if not seat.job_id:
            seat.generate_clicked_at = time.monotonic()
            async for updates in self._run_job(
                request, seat, seat.with_last_seed(self.tab.read_form(values), self.tab.tool.blend_only_fields)
            ):
                yield updates
        yield self.view.no_change()

    def update_buttons(self, request: gr.Request, seat: TabState) -> Updates:
        """The buttons as they stand, asked for by the page once it has gone through all that Generate told.

        It goes through what two handlers tell side by side, each word of which may wait for a component: when it was
        busy, an older "greyed" came after the newer "ready", and Download stayed greyed.
        """
        if seat.job_id or seat.draft_id:
            return self.view.no_change()
        row = self.find_own_job(seat.shown_job_id, request)
        return self.view.show_actions(row and row.job)

    def show_stopped(self, request: gr.Request, seat: TabState) -> Updates:
        """The same after Stop, with its sentence: a step that was told just before may come after it."""
        settled = self.update_buttons(request, seat)
        at_rest = not (seat.job_id or seat.draft_id)
        return {**settled, self.tab.result.status: text.render_status(text.STOPPED_TEXT)} if at_rest else settled

    async def _run_job(self, request: gr.Request, seat: TabState, form: dict[str, Any]) -> AsyncIterator[Updates]:
        turn = self.begin_request(seat)
        seat.job_id = ORDERING_ID
        yield self.view.show_started()
        order = await self._order_job(request, form, draft=False)
        if isinstance(order, StudioError):
            if seat.request_number == turn:
                seat.job_id = ""
                yield self.view.show_error(order)
        elif seat.request_number != turn:  # stopped before it was in line
            self._cancel_order(order)
        else:
            seat.job_id = order.job_id
            seat.record_request(form, order.seed, draft=False)
            async for updates in self._follow_job(order, seat, request):
                yield updates

    async def draw_draft(self, request: gr.Request, seat: TabState, *values: Any) -> AsyncIterator[Updates]:
        """A small picture of the form as it stands; the newer one takes the older one's place."""
        seat.was_opened = True
        if seat.job_id or not self.draws_drafts or self.tab.lacks_pictures(values):
            yield self.view.no_change()
            return
        turn = self.begin_request(seat)
        yield self.view.show_draft_started()
        # A draft is only asked for where something changed: the same drawing then, or one by another lot.
        form = self.tab.read_form(values)
        order = await self._order_job(request, seat.with_last_seed(form, self.tab.tool.blend_only_fields), draft=True)
        if isinstance(order, StudioError):
            yield self.view.show_error(order) if seat.request_number == turn else self.view.no_change()
        elif seat.request_number != turn:
            self._cancel_order(order)
        else:
            seat.draft_id = order.job_id
            seat.record_request(form, order.seed, draft=True)
            async for updates in self._follow_job(order, seat, request, draft=True):
                yield updates
        yield self.view.no_change()

    def begin_request(self, seat: TabState) -> int:
        """What was asked for last is what is shown: whoever finds its turn gone gives way."""
        self._cancel_draft(seat)
        seat.request_number += 1
        return seat.request_number

    async def restart(self, request: gr.Request, seat: TabState, *values: Any) -> AsyncIterator[Updates]:
        """The form changed while Generate was being answered: what it asked for is made of the form as it stands."""
        job_id, seat.job_id = seat.job_id, ""
        if self.find_own_job(job_id, request) is not None:
            self.service.jobs.cancel(job_id)
        async for updates in self.generate(request, seat, *values):
            yield updates

    async def _order_job(self, request: gr.Request, form: dict[str, Any], *, draft: bool) -> OrderedJob | StudioError:
        owner = self.access.visitor(request)
        try:
            return await run_in_threadpool(self._submit_job, form, owner, draft)
        except StudioError as error:
            return error

    def _submit_job(self, form: dict[str, Any], owner: str, draft: bool) -> OrderedJob:
        job = self.service.create_job(self.tab.tool.id, form, owner, draft=draft)
        stream = self.service.jobs.submit_and_watch(job)
        if not draft:
            self.service.on_order(owner, job.id)
        return OrderedJob(job.id, stream, job.seed)

    def _cancel_order(self, order: OrderedJob) -> None:
        order.stream.close()
        self.service.jobs.cancel(order.job_id)

    async def _follow_job(
        self, watched: OrderedJob, seat: TabState, request: gr.Request, *, draft: bool = False
    ) -> AsyncIterator[Updates]:
        """Every event of the job as updates. A visitor who leaves only detaches; the job goes on."""
        job_id, stream, _ = watched
        seen: bytes | None = None
        usual, since = (None if draft else self._estimate_seconds(request)), time.monotonic()
        try:
            async for event in stream:
                if job_id not in (seat.job_id, seat.draft_id):
                    return
                if isinstance(event, Result):
                    yield await run_in_threadpool(self._show_finished, job_id, event, seat, request, seen, draft=draft)
                else:
                    seen = event.preview or seen if isinstance(event, Step) else seen
                    if isinstance(event, QueuePosition):  # whoever is in front takes as long as we do
                        left, since = (None if usual is None else usual * (event.position + 1)), time.monotonic()
                    else:
                        left = None if usual is None else usual - (time.monotonic() - since)
                    yield self.view.show_progress(event, draft=draft, left=left)
        except JobCancelled:
            if job_id == seat.job_id:  # stopped from elsewhere: another tab, or the API
                yield self.view.show_idle(text.render_status(text.STOPPED_TEXT))
        except StudioError as error:
            if job_id in (seat.job_id, seat.draft_id):
                yield self.view.show_error(error)
        finally:
            stream.close()
            self._clear_job(job_id, seat)

    def _estimate_seconds(self, request: gr.Request) -> float | None:
        """Seconds that the visitor's last few pictures of this tool took, the middle of them; None before the first."""
        rows = self.service.jobs.list_jobs(self.access.visitor(request), TIMED_JOB_COUNT, tool=self.tab.tool.id)
        taken = [row.result.seconds for row in rows if row.result is not None]
        return statistics.median(taken) if taken else None

    def _show_finished(
        self, job_id: str, result: Result, seat: TabState, request: gr.Request, seen: bytes | None, *, draft: bool
    ) -> Updates:
        row = self.service.jobs.get_job(job_id)
        if draft or row is None:
            seat.shown_job_id = ""
            return self.view.show_draft(result, seen)
        seat.shown_job_id = job_id
        return self.view.show_result(row, result, page_address(request))

    def _clear_job(self, job_id: str, seat: TabState) -> None:
        seat.job_id = "" if seat.job_id == job_id else seat.job_id
        seat.draft_id = "" if seat.draft_id == job_id else seat.draft_id

    def stop_job(self, request: gr.Request, seat: TabState) -> Updates:
        """Cancel, and say so at once; the lane is free within a step."""
        job_id, seat.job_id = seat.job_id, ""
        seat.request_number += 1
        if self.find_own_job(job_id, request) is not None:
            self.service.jobs.cancel(job_id)
        return self.view.show_idle(text.render_status(text.STOPPED_TEXT))

    def _cancel_draft(self, seat: TabState) -> None:
        job_id, seat.draft_id = seat.draft_id, ""
        if job_id:
            self.service.jobs.cancel(job_id)

    async def resume_last_job(self, request: gr.Request, seat: TabState) -> AsyncIterator[Updates]:
        """On the first look at this tab: the visitor's running job or last picture, with its settings.

        On a slow line a visitor is at work before this is asked; then the form is theirs, and nothing is brought back.
        """
        owner = self.access.visitor(request)
        row = None if seat.was_opened else self._find_latest_job(owner)
        seat.was_opened = True
        offered = await run_in_threadpool(self.view.offer_saved_names, owner)
        yield offered or self.view.no_change()
        if row is None:
            return
        async for updates in self.attach_job(row, seat, request):
            yield updates

    async def attach_job(self, row: JobRow, seat: TabState, request: gr.Request) -> AsyncIterator[Updates]:
        """A job of the visitor's found again: its settings in the form, and its picture, its error, or it under way."""
        turn = self.begin_request(seat)
        seat.job_id = ""
        filled = await run_in_threadpool(self.view.fill_form, row.job.params, row.job.seed)
        if seat.request_number != turn:
            yield self.view.no_change()
            return
        yield filled
        if seat.request_number != turn:  # the visitor was quicker
            yield self.view.no_change()
            return
        if row.status == "done" and row.result is not None:
            yield await run_in_threadpool(self._show_found_result, row, row.result, seat, request)
        elif row.error is not None:
            yield self.view.show_error(
                StudioError(row.error["message"], code=row.error["code"], param=row.error["param"])
            )
        else:
            seat.job_id = row.job.id
            yield self.view.show_started()
            async for updates in self._follow_job(
                OrderedJob(row.job.id, self.service.jobs.watch(row.job.id)), seat, request
            ):
                yield updates
        yield self.view.no_change()

    def _show_found_result(self, row: JobRow, result: Result, seat: TabState, request: gr.Request) -> Updates:
        try:
            updates = self.view.show_result(row, result, page_address(request))
        except NotFound:  # the file was deleted since
            return self.view.no_change()
        seat.shown_job_id = row.job.id
        return updates

    def _find_latest_job(self, owner: str) -> JobRow | None:
        rows = self.service.jobs.list_jobs(owner, 10, tool=self.tab.tool.id)
        return next((row for row in rows if row.status != "cancelled" and not row.job.batch), None)

    def find_own_job(self, job_id: str, request: gr.Request) -> JobRow | None:
        row = self.service.jobs.get_job(job_id) if job_id else None
        return row if row is not None and row.job.owner == self.access.visitor(request) else None
