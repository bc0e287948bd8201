"""Actions on the finished picture of a tool tab: variations, comparison, reuse of settings, other formats."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

from ui.tool_tab.layout import TabState
from ui.tool_tab.updates import Updates, list_result_pictures, page_address


class ResultActions:
    """Show, compare, remake and hand on the result that one tab shows."""

    def __init__(self, follower: JobFollower) -> None:
        self.follower = follower
        self.tab = follower.tab
        self.view = follower.view

    def show_variation(self, request: gr.Request, seat: TabState, variation: str) -> Updates:
        """Show another picture of the same job."""
        row = self.follower.find_own_job(seat.shown_job_id, request)
        if row is None or row.result is None:
            return self.view.no_change()
        return self.view.show_variation(row.job, row.result, int(variation) - 1, page_address(request))

    def compare_variations(
        self, request: gr.Request, seat: TabState, variation: str | None, other: str | None
    ) -> Updates:
        """Lay another picture of the same job, or the photo, over the shown one."""
        row = self.follower.find_own_job(seat.shown_job_id, request)
        if row is None or row.result is None:
            return self.view.no_change()
        number = int(other) - 1 if other and other.isdigit() else None
        return self.view.show_comparison(row.result, int(variation or 1) - 1, number)

    def reuse_settings(self, request: gr.Request, seat: TabState) -> Updates:
        """Put the shown picture's exact settings, its seed included, back into the form."""
        made = self.read_shown_settings(seat, request)
        return self.view.no_change() if made is None else self.view.fill_form(*made)

    def make_remake_handler(self, name: str) -> Callable[..., AsyncIterator[Updates]]:
        """The shown job once more with another `name`, seed and all: so the file's marks and receipt are its own."""

        async def remade(request: gr.Request, seat: TabState, wanted: Any) -> AsyncIterator[Updates]:
            row = None if seat.job_id else self.follower.find_own_job(seat.shown_job_id, request)
            if row is not None and row.job.params.get(name, wanted) != wanted:
                seeded = {"seed": row.job.seed} if "seed" in row.job.params else {}
                fresh = self.view.fill_fields({name: wanted})
                if fresh:
                    yield fresh
                async for updates in self.follower._run_job(request, seat, {**row.job.params, name: wanted, **seeded}):
                    yield updates
            yield self.view.no_change()

        return remade

    def read_shown_settings(self, seat: TabState, request: gr.Request) -> tuple[dict[str, Any], int] | None:
        """The settings and the seed that the shown picture was made with, None when there is none."""
        row = self.follower.find_own_job(seat.shown_job_id, request)
        if row is None:
            return None
        # What the tool settled by itself, such as a team's head height, is in the receipt and not in the job.
        return (row.result.receipt["params"] if row.result is not None else row.job.params), row.job.seed

    def find_shown_file(self, seat: TabState, variation: int, request: gr.Request) -> str | None:
        """The id of the picture in the box, None when there is none."""
        row = self.follower.find_own_job(seat.shown_job_id, request)
        files = list_result_pictures(row.result) if row is not None and row.result is not None else []
        return files[variation].id if variation < len(files) else None
