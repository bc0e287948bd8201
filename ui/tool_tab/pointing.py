"""Pointing at the subject on the large picture: what belongs and what does not, by clicks, strokes and a box.

pointing.js draws the marks and writes them into the form; the handlers here show what they make of the cut-out.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import StudioError
from pipelines.core.geometry import Box
from pipelines.core.job import Result, Step
from pipelines.imaging.packed_masks import differs_at, find_changes_apart, holds_at, is_same_matte
from pipelines.matting.cutout_notices import choose_mark_mode, choose_marked_boxes
from ui.components.pointing_panel import NO_EFFECT, MarkEffect, PointingPanel, render_look
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.state import MARK_FIELDS, TabState
from ui.tool_tab.updates import Updates

PREVIEW_TOOL = "point"
MARK_KINDS = "keep", "drop"
PREVIEW_FIELDS = ("photo", "matte", "pick", "keep", "drop", "box", "cut_by", "consent")
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
        self.events.listen(self.panel.look.click, self.show_marks, form_inputs)
        ended_inputs: list[Component] = [tab.state, tab.result.variation, *tab.value_components()]
        self.events.update_actions_after(self.events.listen(self.panel.done.click, self.end_marks, ended_inputs))

    async def show_marks(self, request: gr.Request, state: TabState, *values: Any) -> AsyncIterator[Updates]:
        """Show the photo with a chequer over all that the marks drop; a newer mark replaces an older one."""
        events = self.events
        form = events.tab.read_form(values)
        if not form.get("photo") or state.job_id:
            yield events.view.no_change()
            return
        number = events.follower.begin_request(state)
        if state.shown_job_id and (state.before_marks is None or state.before_marks[0] != state.shown_job_id):
            state.before_marks = state.shown_job_id, form
        chosen = {name: form[name] for name in PREVIEW_FIELDS if name in form}
        chosen["together"] = events.tab.tool.id in TOGETHER_TOOLS
        owner = events.access.identify_visitor(request)
        ended: Updates = events.view.no_change()
        before, marks_before = state.last_kept, state.last_marks
        try:
            job = await run_in_threadpool(
                events.service.create_helper_job, PREVIEW_TOOL, chosen, owner, for_tool=events.tab.tool.id
            )
            stream = events.service.jobs.submit_and_watch(job)
            state.draft_id = job.id
            try:
                async for event in stream:
                    if state.request_number != number:
                        break
                    if isinstance(event, Step) and event.preview is not None:
                        yield {events.tab.result.picture: event.preview, events.tab.result.comparison: ""}
                    elif isinstance(event, Result):
                        params = event.receipt["params"]
                        is_other_cut = params["cut_by"] != state.last_cut
                        state.last_kept, state.last_cut = params["kept"], params["cut_by"]
                        state.last_marks = {kind: params[kind] for kind in MARK_KINDS}
                        new = {
                            kind: [mark for mark in params[kind] if mark not in marks_before.get(kind, ())]
                            for kind in MARK_KINDS
                        }
                        if not any(new.values()):  # the same place once more
                            new = {kind: params[kind][-1:] for kind in MARK_KINDS}
                        effect = judge_mark_effect(before, state.last_kept, **new)
                        if is_other_cut and before:
                            effect = MarkEffect("same") if is_same_matte(before, state.last_kept) else NO_EFFECT
                        doubts = choose_doubts(params["doubts"], self._list_told_doubts(state, request))
                        look = render_look(params["places"], doubts, number, effect=effect)
                        ended = {self.panel.places: look}
            finally:
                stream.close()
        except StudioError as error:
            ended = {
                **events.view.show_error(error, "photo"),
                self.panel.places: render_look((), (), number, refusal=error.message),
            }
        yield ended

    async def end_marks(
        self, request: gr.Request, state: TabState, variation: str | None, *values: Any
    ) -> AsyncIterator[Updates]:
        """Make the picture anew with the marks: at full size if a finished one was pointed at, else as a draft.

        Where nothing was changed, the finished picture of before is shown again. Where something else was changed
        meanwhile, nobody asked for it at full size. Marks in a failed row of a batch ask for it.
        """
        follower, form = self.events.follower, self.events.tab.read_form(values)
        before, state.before_marks, state.last_kept = state.before_marks, None, ""
        row = None
        if before is not None and not state.job_id and self._without_marks(form) == self._without_marks(before[1]):
            row = follower.find_own_job(before[0], request)
        marks, controls = self._read_marks(form), self.events.tab.controls
        has_marks = any(marks[name] not in (controls[name].field.default, "") for name in MARK_FIELDS if name in marks)
        if row is None and state.batch_row and has_marks:  # a row that failed: a draft cannot go into it
            async for updates in follower.run_job(request, state, form):
                yield updates
            yield self.events.view.no_change()
            return
        if row is None or row.result is None or before is None:
            async for updates in follower.draw_draft(request, state, *values):
                yield updates
            return
        if self._read_marks(form) != self._read_marks(before[1]):
            seed = {"seed": row.job.seed} if "seed" in form and form["seed"] is None else {}
            async for updates in follower.run_job(request, state, {**form, **seed}):
                yield updates
            yield self.events.view.no_change()
            return
        follower.begin_request(state)
        state.record_request(form, row.job.seed, draft=False)
        number = int(variation or 1) - 1
        yield await run_in_threadpool(follower.show_found_result, row, row.result, state, request, variation=number)
        yield self.events.view.no_change()

    def _list_told_doubts(self, state: TabState, request: gr.Request) -> Sequence[str] | None:
        """List what is told of the shown picture's cut-out, finished or draft; None where neither is shown."""
        row = self.events.follower.find_own_job(state.shown_job_id, request)
        return (
            state.drafted_doubts if row is None or row.result is None else row.result.receipt.get("cutout_doubts", ())
        )

    def _without_marks(self, form: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in form.items() if name not in MARK_FIELDS}

    def _read_marks(self, form: Mapping[str, Any]) -> dict[str, Any]:
        """Return the form with its marks read: their text is written differently by the page and by Python."""
        kinds = {name: control.field.kind for name, control in self.events.tab.controls.items()}
        return {
            name: json.loads(value) if kinds[name] in ("points", "box") and isinstance(value, str) and value else value
            for name, value in form.items()
        }


def choose_doubts(known: Mapping[str, Sequence[Box]], told: Sequence[str] | None) -> list[list[float]]:
    """Choose the boxes of the first doubt of a photo's cut-out, and of others that the same marks mend.

    Only of those that are `told` of the shown picture, where there is one: a headshot shows less than its photo.
    """
    seen = {doubt: boxes for doubt, boxes in known.items() if told is None or doubt in told}
    mode = choose_mark_mode(next(iter(seen), ""))
    return choose_marked_boxes({doubt: boxes for doubt, boxes in seen.items() if choose_mark_mode(doubt) == mode})


def judge_mark_effect(
    before: str, after: str, keep: Sequence[Sequence[float]], drop: Sequence[Sequence[float]]
) -> MarkEffect:
    """Say of two packed mattes what new marks did: next to nothing, what was so already, or more than at their place.

    Who marks a small thing means no more than that.
    """
    marks = [*keep, *drop]
    if not is_same_matte(before, after):
        places = tuple(find_changes_apart(before, after, marks)) if marks else ()  # a box means all of it
        return MarkEffect("elsewhere", places) if places else NO_EFFECT
    if differs_at(before, after, marks):
        return NO_EFFECT
    is_settled = holds_at(before, keep, is_kept=True) and holds_at(before, drop, is_kept=False)
    return MarkEffect("settled" if is_settled and marks else "little")
