"""What a page has not read yet stays short: a handler's newest word takes the place of its last one; knows no handler.

A browser puts a page that nobody looks at to sleep, a phone within seconds. The job behind it goes on telling, five
previews a second, and Gradio keeps every word until it is read: the page went through all of them when it woke up. So a
page says when it is looked at no more, and when it is again; in between its words wait here, newest over last. Those of
a page that is just slow wait in Gradio's queue, and are shortened there.
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

SKIP_UPDATE = {"__type__": "update"}
"""A word about a component that says nothing."""


class _PendingUpdate(NamedTuple):
    """What a handler said last, and the way to its page."""

    send: Callable[[Event, EventMessage], None]
    event: Event
    message: ProcessGeneratingMessage


_hidden_pages: OrderedDict[str, dict[str, _PendingUpdate]] = OrderedDict()
"""Pages that nobody looks at, by their session's name, and what waits for each, by event."""


async def mark_hidden(request: gr.Request) -> None:
    """Nobody looks at this page any more."""
    _hidden_pages.setdefault(request.session_hash or "", {})
    while len(_hidden_pages) > MAX_SESSION_COUNT:
        _send_pending(next(iter(_hidden_pages)))


async def mark_visible(request: gr.Request) -> None:
    """Somebody does again."""
    _send_pending(request.session_hash or "")


def _send_pending(session: str) -> None:
    for word in _hidden_pages.pop(session, {}).values():
        word.send(word.event, word.message)


def add_visibility_buttons() -> None:
    """The two buttons by which the page, `page.js`, tells of it; nobody sees them."""
    for name, told in (("left", mark_hidden), ("back", mark_visible)):
        button = gr.Button(name, elem_id=f"dbx-page-{name}", elem_classes=["dbx-unseen"])
        button.click(told, [], [], api_visibility="private", queue=False, show_progress="hidden")


def coalesce_queue(page: Blocks) -> Blocks:
    """From here on; after `page.queue()`, which makes the queue anew, and with `telling.whole`."""
    queue: Any = page._queue
    send = queue.send_message

    def tell(event: Event, event_message: EventMessage) -> None:
        waiting: Any = queue.pending_messages_per_session[event.session_hash]._queue if event.alive else []
        if waiting and (shorter := _merge_messages(event, waiting[-1], event_message)) is not None:
            waiting[-1] = shorter
        else:
            send(event, event_message)

    def sent(event: Event, event_message: EventMessage) -> None:
        waiting = _hidden_pages.get(event.session_hash)
        if waiting is None:
            return tell(event, event_message)
        before = waiting.pop(event._id, None)
        kept = _merge_messages(event, before.message if before else event_message, event_message)
        if kept is not None:
            waiting[event._id] = _PendingUpdate(tell, event, kept)
            return None
        if before is not None:
            tell(event, before.message)
        return tell(event, event_message)

    queue.send_message = sent
    return page


def _merge_messages(event: Event, before: EventMessage, after: EventMessage) -> ProcessGeneratingMessage | None:
    """Two words of one handler as one; None where they are not, or where that would lose something."""
    if not (isinstance(before, ProcessGeneratingMessage) and isinstance(after, ProcessGeneratingMessage)):
        return None
    if before is not after and before.event_id != event._id:
        return None
    words = merge_updates(before.output.get("data"), after.output.get("data"))
    if words is None:
        return None
    return after.model_copy(update={"event_id": event._id, "output": {**after.output, "data": words}})


def merge_updates(before: Any, after: Any) -> list[Any] | None:
    """Two messages as one; None where that would lose something, as with the first, which the others build on."""
    if not (isinstance(before, list) and isinstance(after, list) and len(before) == len(after)):
        return None
    if not all(_replaces_value(word) for word in (*before, *after)):
        return None
    said = [not word or word[0][2] == SKIP_UPDATE for word in after]
    return [old if nothing else new for old, new, nothing in zip(before, after, said, strict=True)]


def _replaces_value(word: Any) -> bool:
    """Whether it says nothing, or all there is to say of a component: a value, and no change of some of its traits."""
    if word == []:
        return True
    if not (isinstance(word, list) and len(word) == 1 and isinstance(word[0], list) and word[0][:2] == ["replace", []]):
        return False
    value = word[0][2]
    return not (isinstance(value, dict) and "__type__" in value) or value == SKIP_UPDATE
