"""Submits the jobs of a tool tab and follows their events: full-size pictures, drafts, and restored jobs.

A job goes on when its tab is closed: `_follow_job` only detaches, and `resume_last_job` shows it at the next visit.
Cancelled are the jobs of *Stop* and *New*, drafts that a newer one or *Generate* replaces, and looks for the tiles that
nobody waits for any more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple
from zlib import crc32

import gradio as gr
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import BadInput, JobCancelled, NotFound, StudioError
from pipelines.core.job import Result, Step
from pipelines.core.stream import Stream
from pipelines.jobs.queue import JobRow
from pipelines.service.studio_service import StudioService
from ui.api.auth.access import AccessControl
from ui.components.page_address import page_address
from ui.components.pictures import encode_page_jpeg
from ui.tool_tab import text
from ui.tool_tab.batch_row import BatchRowLine
from ui.tool_tab.layout import CONSENT_FIELD, ToolTab
from ui.tool_tab.look_choice import (
    EXTRA_LOOKS_SECONDS,
    LOOK_COUNT,
    LOOK_TILES_PAUSE_SECONDS,
    MAX_TILE_SECONDS,
    TILES_AT_ONCE_COUNT,
    TriedDraft,
    find_tile_field,
    is_rough,
    list_looks_of_photo,
    list_places_to_try,
    measure_edge_visibility,
    render_look_tiles,
    render_suggested_looks,
    select_least_visible,
    shrink_to_tile,
    wait_for_draft,
)
from ui.tool_tab.progress_times import Estimate, ProgressTimes
from ui.tool_tab.state import MARK_FIELDS, TabState
from ui.tool_tab.updates import TabView, Updates

QUIET_POLL_SECONDS = 1.0
MAX_QUIET_WAIT_SECONDS = 120.0
"""How long a visitor's tiles wait for the jobs of others; then they are drawn after the visitor's next draft."""
ORDERING_ID = "ordering"
"""Placeholder for the job id while the job is being ordered."""


class WatchedJob(NamedTuple):
    """A job in the queue, and the stream of its events."""

    job_id: str
    stream: Stream
    seed: int = 0


class JobFollower:
    """Order, follow, stop and restore the jobs of one tab.

    Every handler gets the visitor's `TabState` and yields the components that change.
    """

    def __init__(self, tab: ToolTab, service: StudioService, access: AccessControl, view: TabView) -> None:
        self.tab = tab
        self.service = service
        self.access = access
        self.view = view
        self.draws_drafts = service.profile.id == "embedded"
        self.job_times = ProgressTimes()
        self.draft_times = ProgressTimes()
        self.closer_times = ProgressTimes()
        self.row_line: BatchRowLine | None = None
        """Set where the page has batches."""

    def show_batch_row(self, state: TabState, request: gr.Request, job_id: str = "") -> Updates:
        """Show of which batch's row the picture is; `job_id` is the finished job that is shown, empty for none."""
        if self.row_line is None:
            return {}
        return self.row_line.show_line(state, self.access.identify_visitor(request), job_id)

    def leave_batch_row(self, state: TabState, request: gr.Request) -> Updates:
        """Forget the row: what comes now has nothing to do with it."""
        state.batch_row = None
        return self.show_batch_row(state, request)

    async def generate(self, request: gr.Request, state: TabState, *values: Any) -> AsyncIterator[Updates]:
        """Order the full-size picture and follow the job."""
        state.was_opened = True
        if self.tab.awaits_mask(values) and not self.tab.lacks_pictures(values):
            yield self.view.show_error(BadInput(text.PAINT_FIRST_TEXT, param="mask"))
        elif not state.job_id:
            state.generate_clicked_at = time.monotonic()
            form = self.tab.read_form(values)
            seeded = state.with_last_seed(form, self.tab.tool.blend_only_fields)
            async for updates in self.run_job(request, state, seeded, form):
                yield updates
        yield self.view.no_change()

    def update_actions(self, request: gr.Request, state: TabState, variation: str | None) -> Updates:
        """Return the buttons and the picture as they are, which the page requests after the last update of a job.

        Gradio's page applies the updates of two concurrent handlers in any order: an older "disabled" could come after
        a newer "enabled", and Download stayed disabled; or a draft's last preview after the finished picture.
        """
        if state.job_id or state.draft_id:
            return self.view.no_change()
        number = state.request_number
        row = self.find_own_job(state.shown_job_id, request)
        updates = self.show_batch_row(state, request, state.shown_job_id)
        if row is None:
            updates |= self.view.show_actions(None)
        else:
            updates |= {**self.view.show_actions(row.job), **self.view.repeat_picture(row, int(variation or 1) - 1)}
        # Something newer may have been begun meanwhile, such as a draft, which is none for the batch.
        return updates if state.request_number == number else self.view.no_change()

    def show_status_again(self, request: gr.Request, state: TabState) -> Updates:
        """Say what the line said before a photo was read that is no longer wanted."""
        if state.job_id or state.draft_id:
            return self.view.no_change()
        row = self.find_own_job(state.shown_job_id, request)
        if row is None or row.result is None:
            return {self.tab.result.status: text.render_status(text.ADD_PHOTO_TEXT)}
        return {self.tab.result.status: text.render_result_status(row.job, row.result, 0)}

    def show_stopped(self, request: gr.Request, state: TabState, variation: str | None) -> Updates:
        """Update the actions after Stop, and repeat its sentence: an update from before Stop may have replaced it.

        The finished picture that stands there again is doubted as it was.
        """
        updates = self.update_actions(request, state, variation)
        if state.job_id or state.draft_id:
            return updates
        row = self.find_own_job(state.shown_job_id, request)
        doubt = text.render_doubt(row.result.receipt, int(variation or 1) - 1) if row and row.result else ""
        return {**updates, self.tab.result.status: text.render_status(text.STOPPED_TEXT) + doubt}

    async def run_job(
        self, request: gr.Request, state: TabState, values: dict[str, Any], form: Mapping[str, Any] | None = None
    ) -> AsyncIterator[Updates]:
        """Order a picture of `values` at full size and follow it; `form` is what the form has, the seed not chosen."""
        number = self.begin_request(state)
        state.job_id = ordering_id = f"{ORDERING_ID}-{number}"
        yield {**self.view.show_started(), **self.show_batch_row(state, request)}
        submitted = await self._submit_in_thread(request, values, draft=False, for_row=state.batch_row)
        if state.request_number != number:  # stopped before it was in the queue, or a photo came meanwhile
            if not isinstance(submitted, StudioError):
                self._cancel_watched(submitted)
            if state.job_id == ordering_id:  # else Generate would wait for it for ever
                state.job_id = ""
                ready = text.PHOTO_READY_TEXT if state.has_photo else text.ADD_PHOTO_TEXT
                yield self.view.no_change() if state.draft_id else self.view.show_idle(text.render_status(ready))
        elif isinstance(submitted, StudioError):
            state.job_id = ""
            yield self.view.show_error(submitted)
        else:
            state.job_id = submitted.job_id
            state.record_request(values, submitted.seed, draft=False)
            state.generated = None if form is None else (submitted.job_id, form, state.photo_number)
            photos = values[self.tab.photo_control.field.name]
            photos = photos if isinstance(photos, tuple) else (photos,)
            if state.home_photo is not None and state.home_photo.photo_id in photos:
                state.use_home_photo()
            async for updates in self._follow_job(submitted, state, request):
                yield updates

    async def draw_draft(self, request: gr.Request, state: TabState, *values: Any) -> AsyncIterator[Updates]:
        """Order a draft of the present form and follow it; a newer draft replaces an older one.

        The first draft of a photo is cut out by the small net alone. A closer one takes its place, so that the picture
        is the one that Generate makes.
        """
        state.was_opened = True
        form = self.tab.read_form(values)
        earlier, state.look_tiles_of = state.look_tiles_of, self._look_tiles_key(form)
        if earlier[:1] != state.look_tiles_of[:1] or (earlier != state.look_tiles_of and state.are_tiles_slow):
            yield self.forget_look_tiles(state)
        elif earlier != state.look_tiles_of:  # other marks on the same photo: its tiles stay until they are drawn anew
            state.stale_looks = set(state.look_tiles)
        if state.job_id or not self.draws_drafts or self.tab.lacks_pictures(values):
            yield self.view.no_change()
            return
        if state.shows_picture_of(form) and self.find_own_job(state.shown_job_id, request) is not None:
            # The page says late that somebody left a field, after Generate was pressed.
            yield self.show_status_again(request, state)
            return
        number = self.begin_request(state)
        state.shown_job_id = ""  # an earlier picture does not come back, not even if this form is refused
        same_picture = state.drafted_picture if self._is_other_choice(state.drafted_form, form) else 0
        state.drafted_form, state.drafted_doubts, state.drafted_picture = form, None, 0
        if self.tab.awaits_mask(values):
            # What to do stands over the photo.
            ready = text.CONTINUED_TEXT if state.continues_result else text.PHOTO_READY_TEXT
            status = text.render_status(ready) + text.PHOTO_READY_MARK
            row = self.show_batch_row(state, request)
            yield {**self.view.show_idle(status), **self.view.show_no_picture(), **row}
            yield self.view.no_change()
            return
        yield {**self.view.show_draft_started(), **self.show_batch_row(state, request)}
        # A change of a blend-only field keeps the last picture's seed; any other change draws another picture.
        submitted = await self._submit_in_thread(
            request, state.with_last_seed(form, self.tab.tool.blend_only_fields), draft=True
        )
        if isinstance(submitted, StudioError):
            failed = {**self.view.show_draft_error(submitted), **self.forget_look_tiles(state)}
            yield failed if state.request_number == number else self.view.no_change()
        elif state.request_number != number:
            self._cancel_watched(submitted)
        else:
            state.draft_id = submitted.job_id
            state.record_request(form, submitted.seed, draft=True)
            async for updates in self._follow_job(submitted, state, request, draft=True):
                yield updates
            async for updates in self._draw_closer_draft(submitted, state, number, request):
                yield updates
            async for updates in self._suggest_places(submitted, form, state, number, request):
                yield updates
            result = self._find_draft_result(submitted)
            if result is not None and same_picture == state.drafted_picture != 0 and state.request_number == number:
                status = text.render_draft_status(result, self.tab.tool.id, is_same=True)
                yield {self.tab.result.status: status}
            if result is None:
                yield self.forget_look_tiles(state)  # such as a photo of somebody whose consent is gone
            elif state.request_number == number and self._list_missing_tiles(form, state):
                yield {self.tab.result.tiles_due: number}
            if state.batch_row is not None and state.request_number == number:  # what was asked before may come later
                yield self.show_batch_row(state, request)
        yield self.view.no_change()

    def _is_other_choice(self, earlier: Mapping[str, Any], form: Mapping[str, Any]) -> bool:
        """Whether a form differs from an earlier one in choices alone that a picture of any size should show."""
        changed = [name for name, value in form.items() if value != earlier.get(name)]
        fields = [self.tab.controls[name].field for name in changed]
        return bool(earlier and changed) and all(each.kind == "choice" and each.name != "format" for each in fields)

    async def _draw_closer_draft(
        self, submitted: WatchedJob, state: TabState, number: int, request: gr.Request
    ) -> AsyncIterator[Updates]:
        """Draw a draft again whose cut-out only the small net has seen, unless there is a newer request."""
        row = self.service.jobs.get_job(submitted.job_id)
        if state.request_number != number or row is None or row.result is None or not is_rough(row.job, row.result):
            return
        job = row.job.model_copy(update={"id": _closer_draft_id(row.job.id), "closer": True})
        state.draft_id = job.id
        stream = await run_in_threadpool(self.service.jobs.submit_and_watch, job)
        async for updates in self._follow_job(WatchedJob(job.id, stream), state, request, draft=True, closer=True):
            yield updates

    def _find_draft_result(self, submitted: WatchedJob) -> Result | None:
        """Find what the draft or the closer one after it has made; None where both failed or were cancelled."""
        rows = (self.service.jobs.get_job(job_id) for job_id in (_closer_draft_id(submitted.job_id), submitted.job_id))
        return next((row.result for row in rows if row is not None and row.result is not None), None)

    async def _suggest_places(
        self, submitted: WatchedJob, form: dict[str, Any], state: TabState, number: int, request: gr.Request
    ) -> AsyncIterator[Updates]:
        """Beside a draft on a plain ground, offer the places in which least of the cut shows on this photo."""
        shown = self._find_draft_result(submitted)
        tried: list[TriedDraft] = []
        deadline = float("inf")
        for look in list_places_to_try(self.tab.tool, form) if shown is not None else ():
            if state.request_number != number or (len(tried) >= LOOK_COUNT and time.monotonic() > deadline):
                break
            draft = await self._draw_look(request, {**form, **look, "seed": submitted.seed}, state, number)
            if not isinstance(draft, tuple):
                break
            deadline = min(deadline, time.monotonic() + EXTRA_LOOKS_SECONDS)
            tried.append(TriedDraft(draft[0], look, measure_edge_visibility(draft[1])))
        if shown is not None and len(tried) >= LOOK_COUNT and state.request_number == number:
            best = select_least_visible(tried, LOOK_COUNT)
            yield {self.tab.result.suggested_looks: render_suggested_looks(self.tab.tool, best)}

    def _look_tiles_key(self, form: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
        """Return what of the form makes the looks' tiles other ones: its pictures, and the marks on the photo."""
        pictures = self.tab.tool.params.fields_of_kind("picture", "pictures")
        marks = (*self.tab.tool.params.fields_of_kind("mask"), *MARK_FIELDS)
        return tuple(tuple(str(form.get(name)) for name in names) for names in (pictures, marks))

    def forget_look_tiles(self, state: TabState) -> Updates:
        """Show the examples on the looks' tiles again."""
        state.look_tiles, state.stale_looks = {}, set()
        return {self.tab.result.look_tiles: ""}

    def _list_missing_tiles(self, form: Mapping[str, Any], state: TabState) -> list[str]:
        looks = [] if state.are_tiles_slow else list_looks_of_photo(self.tab.tool, form)
        return [look for look in looks if look not in state.look_tiles or look in state.stale_looks]

    async def draw_look_tiles(self, request: gr.Request, state: TabState, *values: Any) -> AsyncIterator[Updates]:
        """Draw the looks' tiles of the visitor's own photo, while the visitor does nothing and nobody's job waits.

        Ordered by a draft that has ended; a newer request ends it.
        """
        number, tool, field = state.request_number, self.tab.tool, find_tile_field(self.tab.tool)
        form = self.tab.read_form(values)
        missing = self._list_missing_tiles(form, state)
        state.look_tiles_of = state.look_tiles_of or self._look_tiles_key(form)
        if state.job_id or field is None or self._look_tiles_key(form) != state.look_tiles_of:
            missing = []
        seed = {"seed": state.last_request.get("seed")} if "seed" in form else {}
        drawn: dict[str, bytes] = {}
        if missing:
            await asyncio.sleep(LOOK_TILES_PAUSE_SECONDS)
        for look in missing:
            if field is None or not await self._wait_for_quiet(state, number):
                break
            begun = time.monotonic()
            draft = await self._draw_look(request, {**form, field.name: look, **seed}, state, number)
            if isinstance(draft, StudioError):  # this look needs what the form does not have
                state.look_tiles.pop(look, None)
                continue
            if draft is None or draft[0] is None:
                break
            drawn[look] = await run_in_threadpool(shrink_to_tile, draft[0])
            state.are_tiles_slow = time.monotonic() - begun > MAX_TILE_SECONDS
            if state.request_number != number or state.are_tiles_slow:
                break
            if len(drawn) == TILES_AT_ONCE_COUNT:
                state.record_tiles(drawn)
                drawn = {}
                yield {self.tab.result.look_tiles: render_look_tiles(tool, state.look_tiles)}
        if drawn and state.request_number == number:
            state.record_tiles(drawn)
            yield {self.tab.result.look_tiles: render_look_tiles(tool, state.look_tiles)}
        yield {self.tab.result.look_tiles: gr.skip()}

    async def _wait_for_quiet(self, state: TabState, number: int) -> bool:
        """Wait until no job of anybody runs or waits; False if that takes too long, or a newer request has come."""
        deadline = time.monotonic() + MAX_QUIET_WAIT_SECONDS
        while any(await run_in_threadpool(self.service.jobs.count_jobs)):
            if state.request_number != number or time.monotonic() > deadline:
                return False
            await asyncio.sleep(QUIET_POLL_SECONDS)
        return state.request_number == number

    async def _draw_look(
        self, request: gr.Request, form: dict[str, Any], state: TabState, number: int
    ) -> tuple[bytes | None, Result] | StudioError | None:
        """Draw a draft beside the one that is shown.

        Returns its last preview and its end; why the form was refused; None if it failed or is needed no more.
        """
        submitted = await self._submit_in_thread(request, form, draft=True)
        if isinstance(submitted, StudioError):
            return submitted
        if state.request_number != number:
            self._cancel_watched(submitted)
            return None
        state.draft_id = submitted.job_id
        try:
            draft = await wait_for_draft(submitted.stream)
        finally:
            self.service.jobs.cancel(submitted.job_id)  # nobody waits for it if the visitor has left
            self._forget_job(submitted.job_id, state)
        return draft if isinstance(draft, tuple) else None  # of the present form the tab says why

    def begin_request(self, state: TabState) -> int:
        """Cancel the running draft and return the number of the new request; handlers of older requests give way."""
        draft_id, state.draft_id = state.draft_id, ""
        if draft_id:
            self.service.jobs.cancel(draft_id)
        state.request_number += 1
        return state.request_number

    def clear_tab(self, request: gr.Request, state: TabState) -> Updates:
        """Begin anew: an empty form and no picture. What was made stays in the Library."""
        if state.job_id:
            return self.view.no_change()
        self.begin_request(state)
        state.note_removal(*self.tab.controls)
        state.note_photo()
        state.shown_job_id, state.last_request, state.restored_form = "", {}, {}
        return {**self.view.show_cleared_tab(), **self.leave_batch_row(state, request)}

    async def cancel_and_generate(self, request: gr.Request, state: TabState, *values: Any) -> AsyncIterator[Updates]:
        """Cancel the job and generate again: the form changed right after the click on Generate."""
        job_id, state.job_id = state.job_id, ""
        if self.find_own_job(job_id, request) is not None:
            self.service.jobs.cancel(job_id)
        async for updates in self.generate(request, state, *values):
            yield updates

    async def _submit_in_thread(
        self, request: gr.Request, form: dict[str, Any], *, draft: bool, for_row: tuple[str, int] | None = None
    ) -> WatchedJob | StudioError:
        owner = self.access.identify_visitor(request)
        try:
            return await run_in_threadpool(self._submit_job, form, owner, draft, for_row)
        except StudioError as error:
            return error

    def _submit_job(self, form: dict[str, Any], owner: str, draft: bool, for_row: tuple[str, int] | None) -> WatchedJob:
        job = self.service.create_job(self.tab.tool.id, self.tab.leave_out_untouched(form), owner, draft=draft)
        if for_row is not None:
            job = job.model_copy(update={"for_row": for_row})
        stream = self.service.jobs.submit_and_watch(job)
        if not draft:
            self.service.on_order(owner, job.id)
        return WatchedJob(job.id, stream, job.seed)

    def _cancel_watched(self, submitted: WatchedJob) -> None:
        submitted.stream.close()
        self.service.jobs.cancel(submitted.job_id)

    async def _follow_job(
        self, submitted: WatchedJob, state: TabState, request: gr.Request, *, draft: bool = False, closer: bool = False
    ) -> AsyncIterator[Updates]:
        """Yield every event of the job as updates. A visitor who leaves only detaches; the job goes on.

        Of a `closer` draft only the last preview is shown, since the first draft stands there meanwhile.
        """
        job_id, stream, _ = submitted
        last_preview: bytes | None = None
        progress = self.closer_times if closer else self.draft_times if draft else self.job_times
        times = progress.start_job()
        try:
            async for event in stream:
                if job_id not in (state.job_id, state.draft_id):
                    return
                if isinstance(event, Result):
                    progress.finish_job(times)
                    yield await run_in_threadpool(
                        self._show_finished, job_id, event, state, request, last_preview, draft=draft
                    )
                else:
                    last_preview = event.preview or last_preview if isinstance(event, Step) else last_preview
                    estimate = times.note_step(event) if isinstance(event, Step) else Estimate()
                    shown = replace(event, preview=None) if closer and isinstance(event, Step) else event
                    yield self.view.show_progress(shown, estimate, draft=draft, closer=closer)
        except JobCancelled:
            if job_id in (state.job_id, state.draft_id):  # cancelled by another tab or the API
                yield self.view.show_idle(text.render_status(text.STOPPED_TEXT))
        except StudioError as error:
            photo = await run_in_threadpool(self._show_photo_to_mark, error, job_id)
            if job_id == state.draft_id:
                yield {**self.view.show_draft_error(error), **photo}
            elif job_id == state.job_id:
                yield {**self.view.show_error(error), **photo}
        finally:
            stream.close()
            self._forget_job(job_id, state)

    def _show_photo_to_mark(self, error: StudioError, job_id: str) -> Updates:
        """Show the job's photo where the error asks to point at its subject; no update for any other."""
        row = self.service.jobs.get_job(job_id)
        if self.tab.result.pointing is None or row is None or (error.code, error.param) != ("no_subject", "photo"):
            return {}
        try:
            return {self.tab.result.picture: encode_page_jpeg(self.service.files.open_image(row.job.params["photo"]))}
        except NotFound:
            return {}

    def _show_finished(
        self,
        job_id: str,
        result: Result,
        state: TabState,
        request: gr.Request,
        last_preview: bytes | None,
        *,
        draft: bool,
    ) -> Updates:
        row = self.service.jobs.get_job(job_id)
        if draft or row is None:
            state.shown_job_id, state.drafted_doubts = "", tuple(result.receipt.get("cutout_doubts", ()))
            state.drafted_picture = crc32(last_preview or b"")
            is_first_look = row is not None and is_rough(row.job, result)
            return self.view.show_draft(result, last_preview, is_first_look=is_first_look)
        state.shown_job_id = job_id
        shown = self.view.show_result(row, result, page_address(request))
        return {**shown, **self.show_batch_row(state, request, job_id)}

    def _forget_job(self, job_id: str, state: TabState) -> None:
        state.job_id = "" if state.job_id == job_id else state.job_id
        state.draft_id = "" if state.draft_id == job_id else state.draft_id

    def stop_job(self, request: gr.Request, state: TabState) -> Updates:
        """Cancel the job and show it at once; the worker is free within one step."""
        job_id, state.job_id = state.job_id, ""
        state.request_number += 1
        if self.find_own_job(job_id, request) is not None:
            self.service.jobs.cancel(job_id)
        return self.view.show_idle(text.render_status(text.STOPPED_TEXT))

    async def resume_last_job(self, request: gr.Request, state: TabState) -> AsyncIterator[Updates]:
        """When the tab is first opened, restore the visitor's running job or last picture with its settings.

        On a slow connection the visitor may have changed the form before this request; then nothing is restored.
        """
        owner = self.access.identify_visitor(request)
        row = None if state.was_opened else self._find_latest_job(owner)
        state.was_opened = True
        number = state.request_number
        names = await run_in_threadpool(self.view.offer_saved_names, owner)
        yield names or self.view.no_change()
        if row is None or state.request_number != number:
            return
        async for updates in self.attach_job(row, state, request, is_last=True):
            yield updates

    async def attach_job(
        self, row: JobRow, state: TabState, request: gr.Request, *, is_last: bool = False
    ) -> AsyncIterator[Updates]:
        """Restore a job of the visitor: its settings in the form, then its picture, its error, or its progress.

        `is_last` says that nobody asked for it: the page was opened and this was the last one.
        """
        number = self.begin_request(state)
        state.note_photo()
        state.job_id, state.before_marks = "", None
        state.batch_row = row.slot or row.job.for_row
        params = row.job.params
        if is_last and row.finished is not None and CONSENT_FIELD in params:
            params = {**params, CONSENT_FIELD: False}  # nobody has given it on this page
        fill = self.view.fill_new_form if is_last else self.view.fill_form
        filled = await run_in_threadpool(fill, params, row.job.seed)
        if state.request_number != number:
            yield self.view.no_change()
            return
        is_old = is_last and row.finished is not None
        state.restored_form = self.view.list_form_values(params, row.job.seed) if is_old else {}
        pictures = [each for each in self.tab.controls.values() if each.field.kind in ("picture", "pictures")]
        state.has_photo = any(filled.get(each.value) for each in pictures[:1])
        state.look_tiles_of = ()
        shown = {**filled, **self.tab.result.close_pointing(), **self.forget_look_tiles(state)}
        yield {**shown, **self.show_batch_row(state, request)}
        if state.request_number != number:  # the visitor made a newer request
            yield self.view.no_change()
            return
        if row.status == "done" and row.result is not None:
            yield await run_in_threadpool(self.show_found_result, row, row.result, state, request, is_last=is_last)
            if state.has_photo and not is_last and state.request_number == number:
                yield {self.tab.result.tiles_due: number}
        elif row.error is not None:
            error = StudioError(row.error["message"], code=row.error["code"], param=row.error["param"])
            photo = await run_in_threadpool(self._show_photo_to_mark, error, row.job.id)
            yield {**self.view.show_error(error), **photo}
        else:
            state.job_id = row.job.id
            yield self.view.show_started()
            watched = WatchedJob(row.job.id, self.service.jobs.watch(row.job.id))
            async for updates in self._follow_job(watched, state, request):
                yield updates
        yield self.view.no_change()

    def show_found_result(
        self,
        row: JobRow,
        result: Result,
        state: TabState,
        request: gr.Request,
        *,
        is_last: bool = False,
        variation: int = 0,
    ) -> Updates:
        """Show a job that finished before; no change where its file is deleted, or something newer was begun."""
        number = state.request_number
        try:
            updates = self.view.show_result(row, result, page_address(request), variation)
            if is_last:
                updates[self.tab.result.status] = text.render_result_status(row.job, result, 0, text.LAST_RESULT_TEXT)
        except NotFound:  # the file has been deleted
            return self.view.no_change()
        if state.request_number != number:
            return self.view.no_change()
        state.shown_job_id = row.job.id
        return {**updates, **self.show_batch_row(state, request, row.job.id)}

    def _find_latest_job(self, owner: str) -> JobRow | None:
        rows = self.service.jobs.list_jobs(owner, 10, tool=self.tab.tool.id)
        return next((row for row in rows if row.status != "cancelled" and not row.job.batch), None)

    def find_own_job(self, job_id: str, request: gr.Request) -> JobRow | None:
        row = self.service.jobs.get_job(job_id) if job_id else None
        return row if row is not None and row.job.owner == self.access.identify_visitor(request) else None


def _closer_draft_id(job_id: str) -> str:
    return f"{job_id}-closer"
