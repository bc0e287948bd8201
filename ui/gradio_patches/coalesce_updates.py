"""Patches `Queue.send_message`: unread updates of a handler are merged, so that a page never has many to catch up on.

A browser stops the script of a hidden page, a phone within seconds. The job goes on with five previews a second, and
Gradio keeps each until it is read: the page then had to go through all of them. So `page.js` reports when the page is
hidden and visible; in between its updates wait here, merged. Updates of a slow page are merged in Gradio's own queue.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr
from gradio.server_messages import ProcessGeneratingMessage

from ui.gradio_patches.session_memory import MAX_SESSION_COUNT

if TYPE_CHECKING:
    from gradio.blocks import Blocks
    from gradio.queueing import Event
    from gradio.server_messages import EventMessage

PATCHED_NAMES = (
    "gradio.blocks:Blocks._queue",
    "gradio.queueing:Queue.send_message",
    "gradio.queueing:Queue.pending_messages_per_session",
    "gradio.queueing:Event._id",
    "gradio.queueing:Event.alive",
    "gradio.queueing:Event.session_hash",
    "asyncio:Queue._queue",
)
SKIP_UPDATE = {"__type__": "update"}
"""An update that changes nothing, as `gr.skip()` sends it."""


class _PendingUpdate(NamedTuple):
    """The last update of a handler, and the function that sends it to the page."""

    send: Callable[[Event, EventMessage], None]
    event: Event
    message: ProcessGeneratingMessage


_hidden_pages: OrderedDict[str, dict[str, _PendingUpdate]] = OrderedDict()
"""Pending updates by event id, of each hidden page by session."""


async def mark_hidden(request: gr.Request) -> None:
    """Hold the updates of this page back from now on."""
    _hidden_pages.setdefault(request.session_hash or "", {})
    while len(_hidden_pages) > MAX_SESSION_COUNT:
        _send_pending(next(iter(_hidden_pages)))


async def mark_visible(request: gr.Request) -> None:
    """Send the pending updates, and hold none back any more."""
    _send_pending(request.session_hash or "")


def _send_pending(session: str) -> None:
    for update in _hidden_pages.pop(session, {}).values():
        update.send(update.event, update.message)


def add_visibility_buttons() -> None:
    """Add the two invisible buttons with which page.js reports that the page is hidden or visible."""
    for name, handler in (("left", mark_hidden), ("back", mark_visible)):
        button = gr.Button(name, elem_id=f"dbx-page-{name}", elem_classes=["dbx-unseen"])
        button.click(handler, [], [], api_visibility="private", queue=False, show_progress="hidden")


def coalesce_queue(page: Blocks) -> Blocks:
    """Patch the page's queue. Call it after `page.queue()`, which makes a new queue; needs `send_full_updates`."""
    queue: Any = page._queue
    gradio_send = queue.send_message

    def send_or_merge(event: Event, message: EventMessage) -> None:
        pending: Any = queue.pending_messages_per_session[event.session_hash]._queue if event.alive else []
        if pending and (merged := _merge_messages(event, pending[-1], message)) is not None:
            pending[-1] = merged
        else:
            gradio_send(event, message)

    def send_or_hold(event: Event, message: EventMessage) -> None:
        pending = _hidden_pages.get(event.session_hash)
        if pending is None:
            return send_or_merge(event, message)
        last = pending.pop(event._id, None)
        merged = _merge_messages(event, last.message if last else message, message)
        if merged is not None:
            pending[event._id] = _PendingUpdate(send_or_merge, event, merged)
            return None
        if last is not None:
            send_or_merge(event, last.message)
        return send_or_merge(event, message)

    queue.send_message = send_or_hold
    return page


def _merge_messages(event: Event, before: EventMessage, after: EventMessage) -> ProcessGeneratingMessage | None:
    """Merge two messages of one handler; None if they are of two handlers or cannot be merged without loss."""
    if not (isinstance(before, ProcessGeneratingMessage) and isinstance(after, ProcessGeneratingMessage)):
        return None
    if before is not after and before.event_id != event._id:
        return None
    data = merge_updates(before.output.get("data"), after.output.get("data"))
    if data is None:
        return None
    return after.model_copy(update={"event_id": event._id, "output": {**after.output, "data": data}})


def merge_updates(before: Any, after: Any) -> list[Any] | None:
    """Merge the data of two messages, newest value of each component; None if a value would be lost.

    A handler's first message is never merged: later ones are differences to it.
    """
    if not (isinstance(before, list) and isinstance(after, list) and len(before) == len(after)):
        return None
    if not all(_replaces_value(update) for update in (*before, *after)):
        return None
    skipped = [not update or update[0][2] == SKIP_UPDATE for update in after]
    return [old if skip else new for old, new, skip in zip(before, after, skipped, strict=True)]


def _replaces_value(update: Any) -> bool:
    """Whether the update changes nothing or replaces a component's value, and does not change single properties."""
    match update:
        case []:
            return True
        case [["replace", [], value]]:
            return not (isinstance(value, dict) and "__type__" in value) or value == SKIP_UPDATE
    return False
