"""Pointing at the subject on the large picture: what belongs and what does not, by clicks, strokes and a box.

pointing.js draws the marks and writes them into the form; the handlers here show what they make of the cut-out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr
from gradio.components import Component
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import StudioError
from pipelines.core.job import Result, Step
from ui.components.pointing_panel import PointingPanel, render_places
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.state import TabState
from ui.tool_tab.updates import Updates

PREVIEW_TOOL = "point"
PREVIEW_FIELDS = ("photo", "matte", "pick", "keep", "drop", "box", "consent")
"""The fields of a tool's form that say what the subject is."""
TOGETHER_TOOLS = ("background",)
"""Tools that keep people together where nobody is chosen."""


class PointingEvents:
    """Listeners of one tab's pointing."""

    def __init__(self, panel: PointingPanel, events: ToolTabEvents) -> None:
        self.panel = panel
        self.events = events

    def wire(self) -> None:
        """Attach the listeners."""
        tab = self.events.tab
        form_inputs: list[Component] = [tab.state, *tab.value_components()]
        self.events.listen(self.panel.look.click, self.show_marks, form_inputs, [self.panel.places])
        self.events.listen(self.panel.done.click, self.events.follower.draw_draft, form_inputs)

    async def show_marks(self, request: gr.Request, state: TabState, *values: Any) -> AsyncIterator[Updates]:
        """Show the photo with everything greyed that the marks drop; a newer mark replaces an older one."""
        events = self.events
        form = events.tab.read_form(values)
        if not form.get("photo") or state.job_id:
            yield events.view.no_change()
            return
        number = events.follower.begin_request(state)
        chosen = {name: form[name] for name in PREVIEW_FIELDS if name in form}
        chosen["together"] = events.tab.tool.id in TOGETHER_TOOLS
        owner = events.access.identify_visitor(request)
        ended: Updates = events.view.no_change()
        try:
            job = await run_in_threadpool(events.service.create_helper_job, PREVIEW_TOOL, chosen, owner)
            stream = events.service.jobs.submit_and_watch(job)
            state.draft_id = job.id
            try:
                async for event in stream:
                    if state.request_number != number:
                        break
                    if isinstance(event, Step) and event.preview is not None:
                        yield {events.tab.result.picture: event.preview, events.tab.result.comparison: ""}
                    elif isinstance(event, Result):
                        ended = {self.panel.places: render_places(event.receipt["params"].get("places", ()), number)}
            finally:
                stream.close()
        except StudioError as error:
            ended = {**events.view.show_error(error, "photo"), self.panel.places: render_places((), number)}
        yield ended
