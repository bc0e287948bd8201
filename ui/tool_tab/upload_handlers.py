"""Handlers that put pictures into the form of a tool tab: uploads, examples, and hand-offs from other tabs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import StudioError
from ui.components.pictures import read_upload
from ui.tool_tab import text
from ui.tool_tab.form_controls import Control
from ui.tool_tab.job_follower import JobFollower
from ui.tool_tab.layout import CONSENT_FIELD
from ui.tool_tab.state import TabHandoff, TabState
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
            try:
                file_id, notices = await run_in_threadpool(
                    self._ingest, path, self.follower.access.identify_visitor(request)
                )
            except StudioError as error:
                emptied = self.view.set_picture(control, None)
                if control is self.tab.photo_control:
                    self.follower.begin_request(state)
                    state.shown_job_id = ""
                    emptied |= {**self._withdraw_consent(control), **self.view.show_no_picture()}
                yield {**emptied, **self.view.show_error(error, control.field.name)}
                return
            notice = text.render_notice(notices, self.view.field_element_id(control.field.name))
            async for updates in self.place_pictures(control, file_id, request, state, values, notice):
                yield updates

        return receive_upload

    async def draft_with_late_changes(
        self, request: gr.Request, state: TabState, *values: Any
    ) -> AsyncIterator[Updates]:
        """Draw a draft anew if the form was changed while the photo was on its way: its draft knew nothing of it."""
        if self.tab.read_form(values) != state.drafted_form:
            async for updates in self.follower.draw_draft(request, state, *values):
                yield updates
        yield self.view.no_change()

    def _ingest(self, path: str, owner: str) -> tuple[str, tuple[str, ...]]:
        return self.follower.service.uploads.ingest_picture(read_upload(path), owner, path)

    def make_clear_handler(self, control: Control) -> Callable[..., Updates]:
        def clear(request: gr.Request, state: TabState, *_: Any) -> Updates:
            self.follower.begin_request(state)
            left = self.follower.leave_batch_row(state, request) if control is self.tab.photo_control else {}
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
            async for updates in self.place_pictures(
                self.tab.photo_control, self._with_photo(file_id, values), request, state, values
            ):
                yield updates

        return use_example

    def _with_photo(self, file_id: str, values: tuple[Any, ...]) -> Any:
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
        filled = self.view.fill_fields(handoff.values)
        new_values = tuple(
            filled.get(component, old) for component, old in zip(self.tab.value_components(), values, strict=True)
        )
        if filled:
            yield filled
        if handoff.photo is None:
            updates_of_draft = self.follower.draw_draft(request, state, *new_values)
        else:
            updates_of_draft = self.place_pictures(
                self.tab.photo_control,
                self._with_photo(handoff.photo, new_values),
                request,
                state,
                new_values,
                has_consent=bool(handoff.values.get(CONSENT_FIELD)),
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
    ) -> AsyncIterator[Updates]:
        """Show one or several pictures in their field, then draw a draft; `notice` stays beside the field.

        Consent was given for the pictures that were there before: unless `has_consent`, it is asked for again.
        """
        state.was_opened = True
        self.follower.begin_request(state)  # a restored job that is still being filled in gives way
        shown = await run_in_threadpool(self.view.set_picture, control, file_id)
        changed = {**shown, **self._clear_mattes(control)}
        if control is self.tab.photo_control and self._shows_others(control, file_id, values):
            changed |= self.follower.leave_batch_row(state, request)
        if control is self.tab.photo_control and not self.follower.draws_drafts:
            state.shown_job_id = ""  # where no draft takes its place, the picture of the photo before goes too
            changed |= self.view.show_no_picture()
        if not has_consent and self._shows_others(control, file_id, values):
            changed |= self._withdraw_consent(control)
        yield {**changed, self.tab.alerts: notice}
        new_values = (
            changed.get(component, old) for component, old in zip(self.tab.value_components(), values, strict=True)
        )
        async for updates in self.follower.draw_draft(request, state, *new_values):
            yield {
                component: new
                for component, new in updates.items()
                if not (notice and component is self.tab.alerts and new == "")
            }

    def _shows_others(self, control: Control, file_id: Any, values: tuple[Any, ...]) -> bool:
        """Whether the field had pictures, and `file_id` (of several: any of them) is none of these."""
        before, after = (
            set(value) if isinstance(value, tuple) else {value} - {None}
            for value in (self.tab.read_form(values)[control.field.name], file_id)
        )
        return bool(before) and not after <= before

    def _withdraw_consent(self, control: Control) -> Updates:
        consent = self.tab.controls.get(CONSENT_FIELD)
        return {consent.value: False} if consent and control is self.tab.photo_control else {}

    def _clear_mattes(self, control: Control) -> Updates:
        """Clear masks and marks if `control` is the photo: a cut-out repaired by hand belongs to one photo."""
        updates: Updates = {}
        for other in self.tab.controls.values() if control is self.tab.photo_control else ():
            if other.field.kind == "mask":
                updates |= self.view.set_picture(other, None)
            elif other.field.kind in ("points", "box"):
                updates[other.value] = ""
        return updates
