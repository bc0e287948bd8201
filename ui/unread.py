"""What a page has not read yet stays short: a handler's newest word takes the place of its last one; knows no handler.

A browser puts a page that nobody looks at to sleep, a phone within seconds. The job behind it goes on telling, five
previews a second, and Gradio keeps every word until it is read: the page went through all of them when it woke up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradio.server_messages import ProcessGeneratingMessage

if TYPE_CHECKING:
    from gradio.blocks import Blocks
    from gradio.queueing import Event
    from gradio.server_messages import EventMessage

SKIP = {"__type__": "update"}
"""A word about a component that says nothing."""


def keep_short(page: Blocks) -> Blocks:
    """From here on; after `page.queue()`, which makes the queue anew, and with `telling.whole`."""
    queue: Any = page._queue
    send = queue.send_message

    def sent(event: Event, event_message: EventMessage) -> None:
        waiting: Any = queue.pending_messages_per_session[event.session_hash]._queue if event.alive else []
        last = waiting[-1] if waiting else None
        if (
            isinstance(event_message, ProcessGeneratingMessage)
            and isinstance(last, ProcessGeneratingMessage)
            and last.event_id == event._id
            and (words := both(last.output.get("data"), event_message.output.get("data"))) is not None
        ):
            output = {**event_message.output, "data": words}
            waiting[-1] = event_message.model_copy(update={"event_id": event._id, "output": output})
        else:
            send(event, event_message)

    queue.send_message = sent
    return page


def both(before: Any, after: Any) -> list[Any] | None:
    """Two messages as one; None where that would lose something, as with the first, which the others build on."""
    if not (isinstance(before, list) and isinstance(after, list) and len(before) == len(after)):
        return None
    if not all(_plain(word) for word in (*before, *after)):
        return None
    said = [not word or word[0][2] == SKIP for word in after]
    return [old if nothing else new for old, new, nothing in zip(before, after, said, strict=True)]


def _plain(word: Any) -> bool:
    """Whether it says nothing, or all there is to say of a component: a value, and no change of some of its traits."""
    if word == []:
        return True
    if not (isinstance(word, list) and len(word) == 1 and isinstance(word[0], list) and word[0][:2] == ["replace", []]):
        return False
    value = word[0][2]
    return not (isinstance(value, dict) and "__type__" in value) or value == SKIP
