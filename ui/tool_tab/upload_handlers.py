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
from ui.tool_tab.layout import TabHandoff, TabState
from ui.tool_tab.updates import Updates


class UploadHandlers:
    """Fill the picture fields of one tab, then draw a draft."""

    def __init__(self, follower: JobFollower) -> None:
        self.follower = follower
        self.tab = follower.tab
        self.view = follower.view

    def make_upload_handler(self, made: Control) -> Callable[..., AsyncIterator[Updates]]:
        async def take(request: gr.Request, path: str | None, seat: TabState, *values: Any) -> AsyncIterator[Updates]:
            seat.was_opened = True
            if path is None:
                yield self.view.no_change()
                return
            try:
                file_id, notices = await run_in_threadpool(self._ingest, path, self.follower.access.visitor(request))
            except StudioError as error:
                kept = self.view.set_picture(made, self.tab.read_form(values)[made.field.name])
                yield {**kept, **self.view.show_error(error, made.field.name)}
                return
            said = text.render_notice(notices, self.view.field_element_id(made.field.name))
            async for updates in self.place_pictures(made, file_id, request, seat, values, said):
                yield updates

        return take

    def _ingest(self, path: str, owner: str) -> tuple[str, tuple[str, ...]]:
        return self.follower.service.uploads.ingest_picture(read_upload(path), owner)

    def make_clear_handler(self, made: Control) -> Callable[..., Updates]:
        def clear(seat: TabState, *_: Any) -> Updates:
            self.follower.begin_request(seat)
            # What is shown was cleared by the visitor, who may have put the next picture there by now.
            return {made.value: None, **self._clear_mattes(made), self.tab.alerts: ""}

        return clear

    def make_example_handler(self, file_id: str) -> Callable[..., AsyncIterator[Updates]]:
        async def sample(request: gr.Request, seat: TabState, *values: Any) -> AsyncIterator[Updates]:
            async for updates in self.place_pictures(
                self.tab.photo_control, self._with_photo(file_id, values), request, seat, values
            ):
                yield updates

        return sample

    def _with_photo(self, file_id: str, values: tuple[Any, ...]) -> Any:
        """The photo's new value: the picture itself, or where several fit, those that are there and this one."""
        field = self.tab.photo_control.field
        return (
            (*self.tab.read_form(values)[field.name], file_id)[: field.max_length]
            if field.kind == "pictures"
            else file_id
        )

    async def receive_handoff(
        self, request: gr.Request, handed: TabHandoff | None, seat: TabState, *values: Any
    ) -> AsyncIterator[Updates]:
        """Take settings, and a picture as this tab's photo, from another tab, the first page or a link."""
        if handed is None:
            yield self.view.no_change()
            return
        seat.was_opened = True
        filled = self.view.fill_fields(handed.values)
        fresh = tuple(filled.get(part, old) for part, old in zip(self.tab.value_components(), values, strict=True))
        if filled:
            yield filled
        if handed.photo is None:
            follow = self.follower.draw_draft(request, seat, *fresh)
        else:
            follow = self.place_pictures(
                self.tab.photo_control, self._with_photo(handed.photo, fresh), request, seat, fresh
            )
        async for updates in follow:
            yield updates

    async def place_pictures(
        self,
        made: Control,
        file_id: Any,
        request: gr.Request,
        seat: TabState,
        values: tuple[Any, ...],
        said: str = "",
    ) -> AsyncIterator[Updates]:
        """Show a picture, or several, in its field, then draw a draft with it; `said` stays beside it."""
        seat.was_opened = True
        shown = await run_in_threadpool(self.view.set_picture, made, file_id)
        changed = {**shown, **self._clear_mattes(made)}
        yield {**changed, self.tab.alerts: said}
        fresh = (changed.get(part, old) for part, old in zip(self.tab.value_components(), values, strict=True))
        async for updates in self.follower.draw_draft(request, seat, *fresh):
            yield {part: new for part, new in updates.items() if not (said and part is self.tab.alerts and new == "")}

    def _clear_mattes(self, made: Control) -> Updates:
        """A cut-out that was repaired by hand belongs to the photo it was made for."""
        updates: Updates = {}
        for mask in self.tab.controls.values() if made is self.tab.photo_control else ():
            if mask.field.kind == "mask":
                updates |= self.view.set_picture(mask, None)
        return updates
