"""Actions on the finished picture of a tool tab: variations, comparison, reuse of settings, other formats."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

from pipelines.core.errors import StudioError
from ui.components.page_address import page_address
from ui.tool_tab import text
from ui.tool_tab.job_follower import JobFollower
from ui.tool_tab.state import TabState
from ui.tool_tab.updates import Updates, list_result_pictures

SAVED_LOOK_TEXT = "'{name}' is saved: under More, on the tab Brand and characters, in batches and over the API."


class ResultActions:
    """Show, compare, remake and hand on the result that one tab shows."""

    def __init__(self, follower: JobFollower) -> None:
        self.follower = follower
        self.tab = follower.tab
        self.view = follower.view

    def show_variation(self, request: gr.Request, state: TabState, variation: str) -> Updates:
        """Show another picture of the same job."""
        row = self.follower.find_own_job(state.shown_job_id, request)
        if row is None or row.result is None:
            return self.view.no_change()
        return self.view.show_variation(row.job, row.result, int(variation) - 1, page_address(request))

    async def show_earlier(self, request: gr.Request, state: TabState, job_id: str | None) -> AsyncIterator[Updates]:
        """Show an earlier picture again, with the settings that made it in the form; not while another is made."""
        row = None if state.job_id else self.follower.find_own_job(job_id or "", request)
        if row is None:
            yield {self.tab.result.history: gr.update(value=state.shown_job_id or None)}
            return
        async for updates in self.follower.attach_job(row, state, request):
            yield updates

    def show_comparison(
        self, request: gr.Request, state: TabState, variation: str | None, other: str | None
    ) -> Updates:
        """Compare the shown picture with another one of the same job, or with the photo."""
        row = self.follower.find_own_job(state.shown_job_id, request)
        if row is None or row.result is None:
            return self.view.no_change()
        number = int(other) - 1 if other and other.isdigit() else None
        return self.view.show_comparison(row.result, int(variation or 1) - 1, number)

    def reuse_settings(self, request: gr.Request, state: TabState, *values: Any) -> Updates:
        """Fill the form with the exact settings and the seed of the shown picture.

        Pictures that the form holds already are left alone: one that the visitor removes meanwhile does not return.
        """
        settings = self.read_shown_settings(state, request)
        state.restored_form = {}  # they are wanted now
        return self.view.no_change() if settings is None else self.view.fill_form(*settings, self.tab.read_form(values))

    def save_look(self, request: gr.Request, name: str, state: TabState, *values: Any) -> Updates:
        """Save the form as a look of the visitor's, with the shown picture."""
        service, owner = self.follower.service, self.follower.access.identify_visitor(request)
        shown = self.find_shown_file(state, 0, request)
        try:
            picture = service.files.open_image(shown) if shown else None
            row = service.saved_items.save_look(name, self.tab.tool.id, self.tab.read_form(values), owner, picture)
        except StudioError as error:
            field = "look-name" if error.param == "name" else error.param
            return {self.tab.alerts: text.render_alert(error.message, f"{self.tab.tool.id}-{field}")}
        notice = text.render_notice([SAVED_LOOK_TEXT.format(name=row.name)], f"{self.tab.tool.id}-look-name")
        return {**self.view.offer_saved_names(owner), self.tab.result.look_name: "", self.tab.alerts: notice}

    def make_remake_handler(self, field: str) -> Callable[..., AsyncIterator[Updates]]:
        """Return a handler that repeats the shown job with another value of `field` and the same seed.

        The file is made anew, not converted, so that its watermark and its receipt belong to it.
        """

        async def remake(request: gr.Request, state: TabState, value: Any) -> AsyncIterator[Updates]:
            row = None if state.job_id else self.follower.find_own_job(state.shown_job_id, request)
            if row is not None and row.job.params.get(field, value) != value:
                seed = {"seed": row.job.seed} if "seed" in row.job.params else {}
                filled = self.view.fill_fields({field: value})
                if filled:
                    yield filled
                async for updates in self.follower.run_job(request, state, {**row.job.params, field: value, **seed}):
                    yield updates
            yield self.view.no_change()

        return remake

    async def fill_place_again(self, request: gr.Request, state: TabState) -> AsyncIterator[Updates]:
        """Repeat the shown job with another seed, whatever seed the form has."""
        row = None if state.job_id else self.follower.find_own_job(state.shown_job_id, request)
        if row is not None:
            async for updates in self.follower.run_job(request, state, {**row.job.params, "seed": None}):
                yield updates
            new = None if state.job_id else self.follower.find_own_job(state.shown_job_id, request)
            if new is not None and new.result is not None and new.job.id != row.job.id and not row.job.batch:
                yield {
                    self.tab.result.status: text.render_result_status(new.job, new.result, 0, text.FILLED_AGAIN_TEXT)
                }
        yield self.view.no_change()

    def read_shown_settings(self, state: TabState, request: gr.Request) -> tuple[dict[str, Any], int] | None:
        """Return the settings and the seed of the shown picture, None if no picture is shown."""
        row = self.follower.find_own_job(state.shown_job_id, request)
        if row is None:
            return None
        # Values that the tool chose itself, such as a team's head height, are only in the receipt.
        return (row.result.receipt["params"] if row.result is not None else row.job.params), row.job.seed

    def find_shown_file(self, state: TabState, variation: int, request: gr.Request) -> str | None:
        """Return the file id of the shown picture, None if there is none."""
        row = self.follower.find_own_job(state.shown_job_id, request)
        files = list_result_pictures(row.result) if row is not None and row.result is not None else []
        return files[variation].id if variation < len(files) else None
