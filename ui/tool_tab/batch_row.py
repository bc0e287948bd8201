"""A picture of a batch that was opened in its tool: where it is from, and how a better one takes its place."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
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
from ui.components.row_commands import APPROVE_LABEL, NEXT_LABEL, JobToShow, RowAction, render_command_button
from ui.tool_tab import text
from ui.tool_tab.layout import ToolTab
from ui.tool_tab.state import TabState
from ui.tool_tab.updates import Updates

PUT_LABEL = "Put it into the batch"
UNDO_LABEL = "Put the earlier one back"
BACK_LABEL = "Back to the batch"
MENDED_LABEL = "Back to row {}"
DOUBT_LABEL = "Check it again"
UNNAMED = "your batch"
NEXT_TEXT = "make a new picture, then put it into the batch"
PLACED_TEXT = "the earlier one is kept"
ALL_SEEN_TEXT = "you have seen all that were to be checked"
STILL_DOUBTED_TEXT = "still to check, and you have seen all others"
RETURNED_TEXT = "the earlier one is back"
DOUBLE_CLICK_SECONDS = 1.0
"""Time after a press in which the button does not answer: the second click of two would take the first one back."""
NAME_LENGTH = 40
"""Longest name of a batch or a row that is shown, in characters."""


NextRowFinder = Callable[[str, int, float], int]
"""Finds, by a batch, a row and the uncertainty that sets a cut-out aside, the next row to be checked; 0 for none."""

ResultDisplay = Callable[[JobRow, Result, TabState, gr.Request], Updates]
"""Shows a job that finished before as the tab's picture."""


class BatchRowLine:
    """The line over a tool's picture, with one button: put the shown picture into the batch, or take that back.

    From a row that was to be checked, the page goes on to the next one: `tabs` are those of all tools, and what is put
    into the state of a tool in `jobs_to_show` is shown there.
    """

    def __init__(
        self,
        tab: ToolTab,
        batches: BatchService,
        access: AccessControl,
        find_next_row_to_check: NextRowFinder,
        *,
        tabs: gr.Tabs,
        jobs_to_show: Mapping[str, gr.State],
    ) -> None:
        self.tab = tab
        self.tabs = tabs
        self.jobs_to_show = jobs_to_show
        self.show_result: ResultDisplay | None = None
        """Set where the tab can show another picture."""
        self.batches = batches
        self.access = access
        self.find_next_row_to_check = find_next_row_to_check

    def wire(self) -> None:
        """Attach the button's listener."""
        panel = self.tab.result
        outputs: Any = [*self.tab.output_components(), self.tabs, *self.jobs_to_show.values()]
        panel.put_in_batch.click(self.swap_picture, [self.tab.state], outputs, **PRIVATE_EVENT)

    def show_line(self, state: TabState, owner: str, job_id: str, *, is_returned: bool = False) -> Updates:
        """Show the line where the tab has a row of the owner's open; `job_id` is the shown finished job, or empty.

        `is_returned`: it was just put back.
        """
        panel, found = self.tab.result, self._find_open_row(state, owner)
        if found is None:
            return {panel.batch_row: "", panel.put_in_batch: gr.update(visible=False)}
        batch, row = found
        is_placed = job_id == row.job_id and row.row in self.batches.table.list_replacements(batch.id)
        can_undo = is_placed and bool(self._find_earlier(row, batch))  # what failed cannot be put back
        can_put = job_id not in ("", row.job_id) and self._is_other_take(job_id, batch, row, owner)
        note = RETURNED_TEXT if is_returned else PLACED_TEXT if can_undo else "" if can_put or is_placed else NEXT_TEXT
        next_row = self.find_next_row_to_check(batch.id, row.row, state.batch_set_aside) if can_undo else None
        if next_row in self._list_mended(batch):
            note = STILL_DOUBTED_TEXT if self._is_to_be_checked(batch, row, state.batch_set_aside) else ALL_SEEN_TEXT
        is_shown = job_id == row.job_id
        settled_row = state.settled_row if is_shown and not can_undo else 0
        buttons = self._render_buttons(batch, row, state.batch_set_aside, settled_row) if is_shown else ""
        total = self.batches.get_progress(batch.id).total
        is_from = f"{'Now in' if is_placed else 'From'} {_name_batch(batch)}, row {row.row} of {total}"
        name = f"{is_from} · {_name_row(row)}"
        if settled_row:
            note = f"row {settled_row} {self._name_settled(batch, settled_row, state.batch_set_aside)}"
        return {
            panel.batch_row: render_line(is_from, row, note, buttons, state.row_pressed_at, name),
            panel.put_in_batch: gr.Button(
                UNDO_LABEL if can_undo else PUT_LABEL,
                variant="secondary" if can_undo else "primary",
                visible=can_undo or can_put,
            ),
        }

    def _render_buttons(self, batch: Batch, row: RowState, set_aside: float, settled_row: int) -> str:
        """Render what may be said of a picture that nobody placed, and the ways to the next and to the one before."""
        said: list[tuple[str, RowAction, int]] = []
        if row.row in self.batches.table.list_approvals(batch.id):
            said = [(DOUBT_LABEL, "doubt", row.row)]
        elif self._is_to_be_checked(batch, row, set_aside):
            said = [(APPROVE_LABEL, "approve-next", row.row)]
        if self.find_next_row_to_check(batch.id, row.row, set_aside):
            said.append((NEXT_LABEL, "next", row.row))
        if settled_row:  # there the earlier picture can be put back
            said.append((MENDED_LABEL.format(settled_row), "open", settled_row))
        return "".join(render_command_button(label, action, n, batch.id) for label, action, n in said)

    def _name_settled(self, batch: Batch, number: int, set_aside: float) -> str:
        """Say what was done with a row just now: a picture that took another's place may be doubtful as well."""
        if number in self.batches.table.list_approvals(batch.id):
            return "marked as fine"
        row = self.batches.get_row(batch.id, number, batch.owner)
        return "replaced, still to check" if self._is_to_be_checked(batch, row, set_aside) else "repaired"

    def _is_to_be_checked(self, batch: Batch, row: RowState, set_aside: float) -> bool:
        """Whether the batch's sheet marks the row, for a doubt or because its cut-out is set aside."""
        job = self.batches.jobs.get_job(row.job_id) if row.job_id else None
        receipt = job.result.receipt if job is not None and job.result is not None else {}
        is_approved = row.row in self.batches.table.list_approvals(batch.id)
        return text.read_row_doubt(receipt).is_to_be_checked(set_aside) and not is_approved

    def swap_picture(self, request: gr.Request, state: TabState) -> Updates:
        """Put the shown picture into the batch, and open the next one where its row had failed or was to be checked.

        Where the picture is there already, put the one before back.
        """
        owner, job_id = self.access.identify_visitor(request), state.shown_job_id
        found = self._find_open_row(state, owner)
        updates: Updates = {self.tab.alerts: ""}
        chosen, is_returned = "", False
        is_new_press = time.monotonic() - state.row_changed_at > DOUBLE_CLICK_SECONDS
        if found is not None and job_id and not state.job_id and is_new_press:
            batch, row = found
            state.row_changed_at = time.monotonic()
            chosen = self._find_earlier(row, batch) if job_id == row.job_id else job_id
            was_wrong = row.status == "failed" or self._is_to_be_checked(batch, row, state.batch_set_aside)
            try:
                if chosen:
                    self.batches.replace_row(batch.id, row.row, chosen, owner)
                    is_returned = chosen != job_id
                    state.settled_row = 0  # the line speaks of this row now
                    updates |= self._open_next(batch, row, state) if was_wrong and not is_returned else {}
            except StudioError as error:
                updates = {self.tab.alerts: text.render_error(error)}
        earlier = self.batches.jobs.get_job(chosen) if is_returned else None
        if earlier is not None and earlier.result is not None and self.show_result is not None:
            state.request_number += 1  # a draft that is on its way gives way
            updates |= self.show_result(earlier, earlier.result, state, request)
        return {**updates, **self.show_line(state, owner, state.shown_job_id, is_returned=is_returned)}

    def _open_next(self, batch: Batch, mended: RowState, state: TabState) -> dict[Any, Any]:
        """Open the next row that is to be checked after the `mended` one; no update where all are mended."""
        number = self.find_next_row_to_check(batch.id, mended.row, state.batch_set_aside)
        if number in self._list_mended(batch):
            return {}
        row = self.batches.get_row(batch.id, number, batch.owner) if number else None
        job = self.batches.jobs.get_job(row.job_id) if row is not None and row.job_id else None
        if job is None or job.job.tool not in self.jobs_to_show:
            return {}
        wanted = JobToShow(job.job.id, secrets.token_hex(4), state.batch_set_aside, settled_row=mended.row)
        return {self.tabs: gr.Tabs(selected=job.job.tool), self.jobs_to_show[job.job.tool]: wanted}

    def _list_mended(self, batch: Batch) -> set[int]:
        """List the rows into which another picture was put, and 0, which is no row."""
        return {0, *self.batches.table.list_replacements(batch.id)}

    def _find_open_row(self, state: TabState, owner: str) -> tuple[Batch, RowState] | None:
        """Return the open row and its batch; None where there is none, or its picture was deleted."""
        if state.batch_row is None:
            return None
        try:
            batch = self.batches.get_batch(state.batch_row[0], owner)
            row = self.batches.get_row(*state.batch_row, owner)
        except NotFound:
            return None
        return (batch, row) if row.status in ("done", "failed") and row.job_id else None

    def _find_earlier(self, row: RowState, batch: Batch) -> str:
        """Return the job that stood in the row before, "" where there is none any more."""
        earlier = self.batches.table.list_replacements(batch.id).get(row.row, [])
        job = self.batches.jobs.get_job(earlier[-1].job_id) if earlier else None
        return job.job.id if job is not None and job.status == "done" else ""

    def _is_other_take(self, job_id: str, batch: Batch, row: RowState, owner: str) -> bool:
        """Whether the job is of the row's own photo, or goes on with what was made for the row, and is in no row."""
        job, old = (self.batches.jobs.get_job(each) for each in (job_id, row.job_id or ""))
        if job is None or old is None or job.job.owner != owner or job.job.tool != old.job.tool or job.slot is not None:
            return False
        names = self.tab.tool.params.fields_of_kind("picture", "pictures")[:1]
        is_same_photo = all(job.job.params.get(name) == old.job.params.get(name) for name in names)
        return is_same_photo or job.job.for_row == (batch.id, row.row)  # another photo has left the row


def _name_row(row: RowState) -> str:
    return row_label(row.row, row.key, row.cells)[:NAME_LENGTH]


def _name_batch(batch: Batch) -> str:
    return UNNAMED if batch.name in ("", batch.id) else batch.name[:NAME_LENGTH]


def render_line(is_from: str, row: RowState, note: str, buttons: str = "", pressed_at: int = 0, name: str = "") -> str:
    """Render the way back, buttons, where the picture is from, or stands in now, the row's name, and a note.

    The way back and the buttons have a line of their own, the first: whoever goes from picture to picture finds them in
    one place.
    By `pressed_at`, when the row's button was pressed, pointing.js knows the picture that is to be repaired.
    `name` is what stands over the picture while it is repaired.
    """
    parts = [part for part in (is_from, _name_row(row), note) if part]
    line = f'<div class="dbx-row-buttons"><a href="#batch">{BACK_LABEL}</a>{buttons}</div>'
    of_row = f'data-pressed="{pressed_at}" data-name="{escape(name)}"'
    told = f'<p role="status" {of_row}>{escape(" · ".join(parts))}</p>'
    return f"{line}{told}"
