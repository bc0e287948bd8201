"""Buttons, wherever they are on the page, that do something with a row of a batch: page.js hands over what they say."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import gradio as gr

ORDER_FIELD_ID = "batch-open"
"""The hidden field into which page.js writes the order of the button that was pressed, and when.

Without the time Gradio would not send the same order twice.
"""
APPROVE_LABEL, NEXT_LABEL, APPROVED_LABEL = "It is fine", "Next to check", "Found right"
RowAction = Literal["open", "next", "approve", "approve-next", "doubt"]
_ORDER_PATTERN = re.compile(
    r"(open|next|approve|approve-next|doubt) ([0-9]{1,9})(?: ([\w-]{1,64}))?(?: @[0-9]{1,16})?", re.ASCII
)


def build_order_field() -> gr.Textbox:
    """Build the field, hidden by style, outside of all tabs: the tab of batches may not have been opened."""
    return gr.Textbox(elem_id=ORDER_FIELD_ID, show_label=False)


class RowOrder(NamedTuple):
    """What is to be done with a row; `batch_id` is "" for the batch that is shown."""

    action: str
    row: int
    batch_id: str = ""


def parse_order(sent: str | None) -> RowOrder | None:
    """Read what a button wrote; None for anything else."""
    found = _ORDER_PATTERN.fullmatch(sent or "")
    return RowOrder(found[1], int(found[2]), found[3] or "") if found else None


def write_order(action: RowAction, row: int, batch_id: str = "") -> str:
    """Return the attributes of a button; without a batch it is the shown one's row."""
    return f'data-words="{f"{action} {row} {batch_id}".strip()}" data-field="{ORDER_FIELD_ID}"'


def render_order_button(label: str, action: RowAction, row: int, batch_id: str = "") -> str:
    """Render a small button with a label."""
    return f'<button type="button" class="dbx-order" {write_order(action, row, batch_id)}>{label}</button>'
