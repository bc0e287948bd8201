"""Handlers that put pictures into the form of a tool tab: uploads, examples, and hand-offs from other tabs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import StudioError
from pipelines.core.params import POINTED_KINDS
from ui.components.pictures import read_upload
from ui.tool_tab import text
from ui.tool_tab.form_controls import Control
from ui.tool_tab.job_follower import JobFollower
from ui.tool_tab.layout import CONSENT_FIELD
from ui.tool_tab.state import GivenPhoto, TabHandoff, TabState
from ui.tool_tab.updates import Updates


class UploadHandlers:
    """Fill the picture fields of one tab, then draw a draft."""

    def __init__(self, follower: JobFollower) -> None:
        self.follower = follower
        self.tab = follower.tab
        self.view = follower.view

    def make_upload_handler(self, control: Control) -> Callable[..., AsyncIterator[Updates]]:
        async def receive_upload(
            request: gr.Request, path: str | None, state: TabState, *values: Any
        ) -> AsyncIterator[Updates]:
            state.was_opened = True
            if path is None:
                yield self.view.no_change()
                return
            is_photo, name = control is self.tab.photo_control, control.field.name
            removal_count = state.removal_counts[name]
            yield self.show_reading(control, state)
            error, file_id, notices = None, "", ()
            try:
                file_id, notices = await run_in_threadpool(
                    self._ingest, path, self.follower.access.identify_visitor(request)
                )
            except StudioError as caught:
                error = caught
            if state.removal_counts[name] != removal_count:  # taken away meanwhile
                yield self.follower.show_status_again(request, state) if is_photo else self.view.no_change()
                return
            if error is not None:
                emptied = self.view.set_picture(control, None)
                if is_photo:
                    self.follower.begin_request(state)
                    state.note_photo()
                    state.shown_job_id = ""
                    emptied |= {**self._withdraw_consent(control), **self.view.show_no_picture()}
                    emptied[self.tab.result.look_tiles] = ""
                yield {**emptied, **self.view.show_error(error, name)}
                return
            if is_photo:
                state.use_home_photo()
            notice = text.render_notice(notices, self.view.field_element_id(name))
            async for updates in self.place_pictures(control, file_id, request, state, values, notice):
                yield updates

        return receive_upload

    def show_reading(self, control: Control, state: TabState) -> Updates:
        """Say that the photo is being read, unless the line tells of a job."""
        if control is not self.tab.photo_control or state.job_id:
            return self.view.no_change()
        return {self.tab.result.status: text.render_status(text.READING_TEXT, busy=True)}

    async def draft_with_late_changes(
        self, request: gr.Request, state: TabState, *values: Any
    ) -> AsyncIterator[Updates]:
        """Draw a draft anew if the form was changed while the photo was on its way: its draft knew nothing of it.

        A newer request knows a newer form than these values.
        """
        if state.request_number == state.placed_request_number and self.tab.read_form(values) != state.drafted_form:
            async for updates in self.follower.draw_draft(request, state, *values):
                yield updates
        yield self.view.no_change()

    def _ingest(self, path: str, owner: str) -> tuple[str, tuple[str, ...]]:
        return self.follower.service.uploads.ingest_picture(read_upload(path), owner, path)

    def make_clear_handler(self, control: Control) -> Callable[..., Awaitable[Updates]]:
        async def clear(request: gr.Request, state: TabState, *_: Any) -> Updates:
            state.note_removal(control.field.name)  # at once: the next picture may already be on its way
            if control is self.tab.photo_control:
                state.note_photo()
            return await run_in_threadpool(show_cleared, request, state)

        def show_cleared(request: gr.Request, state: TabState) -> Updates:
            self.follower.begin_request(state)
            left: Updates = {}
            if control is self.tab.photo_control:
                left = {**self.follower.leave_batch_row(state, request), self.tab.result.look_tiles: ""}
                if not (state.shown_job_id or state.job_id):  # a draft goes with its photo, a finished picture stays
                    left |= {
                        **self.view.show_no_picture(),
                        self.tab.result.status: text.render_status(text.ADD_PHOTO_TEXT),
                    }
            # The display is not an output: the visitor cleared it, and may have added the next picture by now.
            return {
                control.value: None,
                **self._clear_mattes(control),
                **self._withdraw_consent(control),
                **left,
                self.tab.alerts: "",
            }

        return clear

    def make_example_handler(self, file_id: str) -> Callable[..., AsyncIterator[Updates]]:
        async def use_example(request: gr.Request, state: TabState, *values: Any) -> AsyncIterator[Updates]:
            state.use_home_photo()
            async for updates in self.place_pictures(
                self.tab.photo_control, self._add_photo_to_value(file_id, values), request, state, values
            ):
                yield updates

        return use_example

    def _add_photo_to_value(self, file_id: str, values: tuple[Any, ...]) -> Any:
        """Return the photo field's new value: the file id, or for several pictures the present ids and this one."""
        field = self.tab.photo_control.field
        if field.kind == "picture":
            return file_id
        return (*self.tab.read_form(values)[field.name], file_id)[: field.max_length]

    async def receive_handoff(
        self, request: gr.Request, handoff: TabHandoff | None, state: TabState, *values: Any
    ) -> AsyncIterator[Updates]:
        """Fill the form with the settings and the photo that another tab, the home tab or a link sent."""
        if handoff is None:
            yield self.view.no_change()
            return
        state.was_opened = True
        emptied = (
            {} if handoff.photo is None else self._reset_old_photo_fields(state, values, all_of_them=handoff.is_new)
        )
        filled = {**emptied, **self.view.fill_fields(handoff.values)}
        is_other = handoff.photo is not None and not handoff.stays_in_row
        if is_other and self._replaces_pictures(self.tab.photo_control, handoff.photo, values):
            filled |= self.follower.leave_batch_row(state, request)  # the emptied field knows no row's photo any more
        new_values = self.tab.replace_values(values, filled)
        if filled:
            yield filled
        if handoff.photo is None:
            updates_of_draft = self.follower.draw_draft(request, state, *new_values)
        else:
            updates_of_draft = self.place_pictures(
                self.tab.photo_control,
                self._add_photo_to_value(handoff.photo, new_values),
                request,
                state,
                new_values,
                has_consent=bool(handoff.values.get(CONSENT_FIELD)),
                stays_in_row=handoff.stays_in_row,
            )
        async for updates in updates_of_draft:
            yield updates

    async def place_pictures(
        self,
        control: Control,
        file_id: Any,
        request: gr.Request,
        state: TabState,
        values: tuple[Any, ...],
        notice: str = "",
        has_consent: bool = False,
        stays_in_row: bool = False,
    ) -> AsyncIterator[Updates]:
        """Show one or several pictures in their field, then draw a draft; `notice` stays beside the field.

        Consent was given for the pictures that were there before: unless `has_consent`, it is asked for again. The row
        of a batch was that of another photo, unless this one `stays_in_row`.
        """
        state.was_opened = True
        self.follower.begin_request(state)  # a restored job that is still being filled in gives way
        is_photo = control is self.tab.photo_control
        number = state.note_photo(has_photo=bool(file_id)) if is_photo else 0
        state.continues_result = stays_in_row if is_photo else state.continues_result
        shown = await run_in_threadpool(self.view.set_picture, control, file_id)
        if is_photo and state.photo_number != number:  # another photo came meanwhile
            yield self.view.no_change()
            return
        emptied = self._reset_old_photo_fields(state, values) if is_photo else {}
        changed = {**emptied, **shown, **self._clear_mattes(control)}
        if is_photo:
            changed[self.tab.result.look_tiles] = ""
        if is_photo and not stays_in_row and self._replaces_pictures(control, file_id, values):
            changed |= self.follower.leave_batch_row(state, request)
        if is_photo and not self.follower.draws_drafts:
            state.shown_job_id = ""  # where no draft takes its place, the picture of the photo before goes too
            changed |= self.view.show_no_picture()
        if not has_consent and self._replaces_pictures(control, file_id, values):
            changed |= self._withdraw_consent(control)
        if is_photo and not stays_in_row:  # else it was made of the photo before
            changed |= self.view.show_consent(state.asks_consent(file_id))
        new_values = self.tab.replace_values(values, changed)
        is_lacking = self.tab.lacks_pictures(new_values)
        if is_photo and not state.job_id and (is_lacking or not self.follower.draws_drafts):
            changed[self.tab.result.status] = text.render_status(text.ADD_PHOTO_TEXT if is_lacking else text.READY_TEXT)
        yield {**changed, self.tab.alerts: notice}
        if is_photo and state.photo_number != number:  # it was removed, or another came, before its draft was begun
            yield self.view.no_change()
            return
        state.placed_request_number = state.request_number + 1
        async for updates in self.follower.draw_draft(request, state, *new_values):
            yield {
                component: new
                for component, new in updates.items()
                if not (notice and component is self.tab.alerts and new == "")
            }

    def awaits_photo(self, given: GivenPhoto, state: TabState, values: tuple[Any, ...]) -> bool:
        """Whether the home tab has a photo for this tab: given, or seen while this is empty, after its last change."""
        is_empty = not (state.has_photo or self.tab.read_form(values)[self.tab.photo_control.field.name])
        offered_at = max(given.given_at, given.seen_at if is_empty else 0.0)
        is_new = offered_at > state.photo_changed_at
        return bool(given.photo_id) and given.awaits_tool and is_new and self.takes_photo() and not state.job_id

    def takes_photo(self) -> bool:
        """Whether the tab is one for photos: its first picture field is no advanced one, and can be used here."""
        return not (self.tab.photo_control.field.is_advanced or self.tab.photo_control.lock_reason)

    def _reset_old_photo_fields(
        self, state: TabState, values: tuple[Any, ...], *, all_of_them: bool = False
    ) -> Updates:
        """Give fields what they had at first that are of another photo: nobody has filled them in for a new one.

        Those are the fields of a job that the page showed by itself, or, with `all_of_them`, every field.
        """
        form, restored, photo = self.tab.read_form(values), state.restored_form, self.tab.photo_control.field
        state.restored_form = {}
        if all_of_them and (form[photo.name] or state.last_request):
            restored = form
        changed = [name for name, control in self.tab.controls.items() if form[name] != control.field.start]
        return self.view.empty_fields(
            name
            for name in changed
            if form[name] == restored.get(name) and (name, photo.kind) != (photo.name, "picture")
        )

    def _replaces_pictures(self, control: Control, file_id: Any, values: tuple[Any, ...]) -> bool:
        """Whether the field had pictures, and `file_id` (of several: any of them) is none of these."""
        before, after = (
            set(value) if isinstance(value, tuple) else {value} - {None}
            for value in (self.tab.read_form(values)[control.field.name], file_id)
        )
        return bool(before) and not after <= before

    def _withdraw_consent(self, control: Control) -> Updates:
        consent = self.tab.controls.get(CONSENT_FIELD)
        withdrawn = {consent.value: False} if consent and control is self.tab.photo_control else {}
        return withdrawn | (self.view.show_consent() if withdrawn else {})

    def _clear_mattes(self, control: Control) -> Updates:
        """Clear masks and marks if `control` is the photo: a cut-out repaired by hand belongs to one photo."""
        updates: Updates = {}
        for other in self.tab.controls.values() if control is self.tab.photo_control else ():
            if other.field.kind == "mask":
                updates |= self.view.set_picture(other, None)
            elif other.field.kind in POINTED_KINDS:
                updates[other.value] = ""
        return updates
