"""A picture of a batch that was opened in its tool: where it is from, and how a better one takes its place."""

from __future__ import annotations

import time
from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr

from pipelines.batch.batch_service import BatchService
from pipelines.batch.batch_table import Batch, RowState
from pipelines.batch.manifest import row_label
from pipelines.core.errors import NotFound, StudioError
from pipelines.core.job import Result
from pipelines.jobs.queue import JobRow
from ui.api.auth.access import AccessControl
from ui.components.event_options import PRIVATE_EVENT
from ui.components.row_commands import APPROVE_LABEL, NEXT_LABEL, RowAction, render_command_button
from ui.tool_tab import text
from ui.tool_tab.layout import ToolTab
from ui.tool_tab.state import TabState
from ui.tool_tab.updates import Updates

PUT_LABEL = "Put it into the batch"
UNDO_LABEL = "Put the earlier one back"
BACK_LABEL = "Back to the batch"
DOUBT_LABEL = "Check it again"
UNNAMED = "your batch"
NEXT_TEXT = "what you generate can take its place"
PLACED_TEXT = "the earlier one is kept"
RETURNED_TEXT = "the earlier one is back"
DOUBLE_CLICK_SECONDS = 1.0
"""Time after a press in which the button does not answer: the second click of two would take the first one back."""
NAME_LENGTH = 40
"""Longest name of a batch or a row that is shown, in characters."""


NextDoubtFinder = Callable[[str, int, float], int]
"""Finds, by a batch, a row and the uncertainty that sets a cut-out aside, the next row to be checked; 0 for none."""

ResultDisplay = Callable[[JobRow, Result, TabState, gr.Request], Updates]
"""Shows a job that finished before as the tab's picture."""


class BatchRowLine:
    """The line over a tool's picture, with one button: put the shown picture into the batch, or take that back."""

    def __init__(
        self, tab: ToolTab, batches: BatchService, access: AccessControl, find_next_doubt: NextDoubtFinder
    ) -> None:
        self.tab = tab
        self.show_result: ResultDisplay | None = None
        """Set where the tab can show another picture."""
        self.batches = batches
        self.access = access
        self.find_next_doubt = find_next_doubt

    def wire(self) -> None:
        """Attach the button's listener."""
        panel = self.tab.result
        outputs: Any = self.tab.output_components()
        panel.put_in_batch.click(self.swap_picture, [self.tab.state], outputs, **PRIVATE_EVENT)

    def show_line(self, state: TabState, owner: str, job_id: str, *, is_returned: bool = False) -> Updates:
        """Show the line where the tab has a row of the owner's open; `job_id` is the shown finished job, or empty.

        `is_returned`: it was just put back.
        """
        panel, found = self.tab.result, self._find_row(state, owner)
        if found is None:
            return {panel.batch_row: "", panel.put_in_batch: gr.update(visible=False)}
        batch, row = found
        can_undo = job_id == row.job_id and bool(self._find_earlier(row, batch))
        can_put = job_id not in ("", row.job_id) and self._is_other_take(job_id, batch, row, owner)
        note = RETURNED_TEXT if is_returned else PLACED_TEXT if can_undo else "" if can_put else NEXT_TEXT
        buttons = self._render_buttons(batch, row, state.batch_set_aside) if job_id == row.job_id else ""
        return {
            panel.batch_row: render_line(batch, row, note, buttons, is_placed=can_undo),
            panel.put_in_batch: gr.Button(
                UNDO_LABEL if can_undo else PUT_LABEL,
                variant="secondary" if can_undo else "primary",
                visible=can_undo or can_put,
            ),
        }

    def _render_buttons(self, batch: Batch, row: RowState, set_aside: float) -> str:
        """Render what may be said of a picture that nobody placed, and the way to the next that is to be checked."""
        job = self.batches.jobs.get_job(row.job_id) if row.job_id else None
        receipt = job.result.receipt if job is not None and job.result is not None else {}
        # As on the batch's sheet, which marks a row for a doubt or because its cut-out is set aside.
        has_doubt = bool(text.list_doubts(receipt)) or (receipt.get("cutout_uncertainty") or 0.0) > set_aside
        said: list[tuple[str, RowAction]] = []
        if row.row in self.batches.table.list_approvals(batch.id):
            said = [(DOUBT_LABEL, "doubt")]
        elif has_doubt and row.row not in self.batches.table.list_seen_rows(batch.id):
            said = [(APPROVE_LABEL, "approve-next")]
        if self.find_next_doubt(batch.id, row.row, set_aside):
            said.append((NEXT_LABEL, "next"))
        return "".join(render_command_button(label, action, row.row, batch.id) for label, action in said)

    def swap_picture(self, request: gr.Request, state: TabState) -> Updates:
        """Put the shown picture into the batch; where it is there already, put the one before back."""
        owner, job_id = self.access.identify_visitor(request), state.shown_job_id
        found = self._find_row(state, owner)
        updates: Updates = {self.tab.alerts: ""}
        chosen, is_returned = "", False
        is_new_press = time.monotonic() - state.row_changed_at > DOUBLE_CLICK_SECONDS
        if found is not None and job_id and not state.job_id and is_new_press:
            batch, row = found
            state.row_changed_at = time.monotonic()
            chosen = self._find_earlier(row, batch) if job_id == row.job_id else job_id
            try:
                if chosen:
                    self.batches.replace_row(batch.id, row.row, chosen, owner)
                    is_returned = chosen != job_id
            except StudioError as error:
                updates = {self.tab.alerts: text.render_error(error)}
        earlier = self.batches.jobs.get_job(chosen) if is_returned else None
        if earlier is not None and earlier.result is not None and self.show_result is not None:
            updates |= self.show_result(earlier, earlier.result, state, request)
        return {**updates, **self.show_line(state, owner, state.shown_job_id, is_returned=is_returned)}

    def _find_row(self, state: TabState, owner: str) -> tuple[Batch, RowState] | None:
        """Return the open row and its batch; None where there is none, or its picture was deleted."""
        if state.batch_row is None:
            return None
        try:
            batch = self.batches.get_batch(state.batch_row[0], owner)
            row = self.batches.get_row(*state.batch_row, owner)
        except NotFound:
            return None
        return (batch, row) if row.status == "done" and row.job_id else None

    def _find_earlier(self, row: RowState, batch: Batch) -> str:
        """Return the job that stood in the row before, "" where there is none any more."""
        earlier = self.batches.table.list_replacements(batch.id).get(row.row, [])
        return earlier[-1].job_id if earlier and self.batches.jobs.get_job(earlier[-1].job_id) is not None else ""

    def _is_other_take(self, job_id: str, batch: Batch, row: RowState, owner: str) -> bool:
        """Whether the job is of the row's own photo, or goes on with what was made for the row, and is in no row."""
        job, old = (self.batches.jobs.get_job(each) for each in (job_id, row.job_id or ""))
        if job is None or old is None or job.job.owner != owner or job.job.tool != old.job.tool or job.slot is not None:
            return False
        names = self.tab.tool.params.fields_of_kind("picture", "pictures")[:1]
        is_same_photo = all(job.job.params.get(name) == old.job.params.get(name) for name in names)
        return is_same_photo or job.job.for_row == (batch.id, row.row)  # another photo has left the row


def render_line(batch: Batch, row: RowState, note: str, buttons: str = "", *, is_placed: bool = False) -> str:
    """Render which row of which batch the picture is from, or stands in now, a note, buttons, and the way back."""
    name = UNNAMED if batch.name in ("", batch.id) else batch.name[:NAME_LENGTH]
    parts = [f"{'Now in' if is_placed else 'From'} {name}, row {row.row}"]
    parts += [part for part in (row_label(row.row, row.key, row.cells)[:NAME_LENGTH], note) if part]
    return f'<p role="status">{escape(" · ".join(parts))}</p>{buttons}<a href="#batch">{BACK_LABEL}</a>'
