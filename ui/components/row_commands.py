"""Buttons, wherever they are on the page, that do something with a row of a batch: page.js hands over what they say."""

from __future__ import annotations

import re
import threading
from typing import Any, Literal, NamedTuple

import gradio as gr

COMMAND_FIELD_ID = "batch-open"
"""The hidden field into which page.js writes the last commands of the pressed buttons, and when, the newest last.

The page sends what is in the field when the one before is answered: so none is lost, and answers come in order."""
APPROVE_LABEL, NEXT_LABEL, APPROVED_LABEL, REPAIR_LABEL = "Picture is fine", "Next to check", "Marked as fine", "Repair"
RowAction = Literal["open", "next", "approve", "approve-next", "doubt"]
_COMMAND_PATTERN = re.compile(
    r"(open|next|approve|approve-next|doubt) ([0-9]{1,9})(?: ([\w-]{1,64}))? @([0-9]{1,15})", re.ASCII
)
_MAX_COMMAND_COUNT = 100  # of presses while one is answered; page.js keeps as many
_MAX_COMMAND_AGE_MS = 60_000  # before the newest: where the session was lost, no older ones are followed again


DEFAULT_SET_ASIDE = 0.5
"""Uncertainty of a cut-out from which it is more likely wrong than right."""


class JobToShow(NamedTuple):
    """What a tool's tab is to show: a job with its settings; `token` makes the same one another request.

    `set_aside` is from which uncertainty of its cut-out the sheet of batches sets a picture aside. `pressed_at` is that
    of the row's command, 0 where no row was pressed. `settled_row` is the row of the same batch that was mended or
    found right just now, 0 for none.
    """

    job_id: str
    token: str
    set_aside: float = DEFAULT_SET_ASIDE
    pressed_at: int = 0
    settled_row: int = 0


class SessionLock:
    """A lock in the state of a session. Gradio copies the first state for each session, and each gets its own lock.

    Gradio's page sends two presses within some milliseconds at once, although it waits for answers otherwise.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __deepcopy__(self, _: dict[int, Any]) -> SessionLock:
        return SessionLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def build_command_field() -> gr.Textbox:
    """Build the field, hidden by style, outside of all tabs: the tab of batches may not have been opened."""
    return gr.Textbox(elem_id=COMMAND_FIELD_ID, show_label=False)


class RowCommand(NamedTuple):
    """What is to be done with a row, and when its button was pressed; `batch_id` is "" for the batch that is shown.

    `pressed_at` is in milliseconds on the browser's clock, and differs from press to press.
    """

    action: str
    row: int
    batch_id: str
    pressed_at: int


def parse_commands(sent: str | None, since: int = 0) -> list[RowCommand]:
    """Read the commands of the presses after `since`, the oldest first; anything else is left out."""
    found = map(_COMMAND_PATTERN.fullmatch, (sent or "").split(";")[-_MAX_COMMAND_COUNT:])
    commands = [RowCommand(each[1], int(each[2]), each[3] or "", int(each[4])) for each in found if each]
    first = max([since + 1, *(each.pressed_at - _MAX_COMMAND_AGE_MS for each in commands[-1:])])
    return [each for each in commands if each.pressed_at >= first]


def command_attributes(action: RowAction, row: int, batch_id: str = "") -> str:
    """Return the attributes of a button; without a batch it is the shown one's row."""
    return f'data-words="{f"{action} {row} {batch_id}".strip()}" data-field="{COMMAND_FIELD_ID}"'


def render_command_button(label: str, action: RowAction, row: int, batch_id: str = "") -> str:
    """Render a small button with a label."""
    return f'<button type="button" class="dbx-command" {command_attributes(action, row, batch_id)}>{label}</button>'
