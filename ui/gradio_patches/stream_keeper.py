"""Patches `Queue.push` and `Queue.get_events`: event streams stay open after the last event, and events start in order.

Gradio closes a page's stream when its last event ends, and opens it again with the next event. An event that is sent at
that moment is lost: either the page still uses the closing stream and opens no other, or the server drops the new event
together with the old stream. A page sends its next event at exactly that moment, when the last answer arrives.
`get_events` picks a random queue; here the event that has waited longest starts first.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from gradio.server_messages import ProcessCompletedMessage

from ui.gradio_patches.coalesce_updates import coalesce_queue

if TYPE_CHECKING:
    from fastapi import Request
    from gradio.blocks import Blocks
    from gradio.data_classes import PredictBodyInternal
    from gradio.queueing import Event, Queue

PATCHED_NAMES = (
    "gradio.blocks:Blocks._queue",
    "gradio.blocks:Blocks.fns",
    "gradio.queueing:Queue.push",
    "gradio.queueing:Queue.sleep_when_free",
    "gradio.queueing:Queue.get_events",
    "gradio.queueing:Queue.pending_event_ids_session",
    "gradio.queueing:Queue.pending_messages_per_session",
    "gradio.queueing:Queue.event_ids_to_events",
    "gradio.queueing:Queue.event_queue_per_concurrency_id",
    "gradio.queueing:EventQueue.queue",
    "gradio.queueing:EventQueue.concurrency_id",
    "gradio.queueing:EventQueue.concurrency_limit",
    "gradio.queueing:EventQueue.current_concurrency",
    "gradio.queueing:Event._id",
)
LINGER_SECONDS = 20.0
"""Time that a stream stays open after the last event. Not longer: a browser has six connections to one address."""
READ_GRACE_SECONDS = 5.0
"""Time in which an open stream reads its last message."""
POLL_SECONDS = 0.01
"""Time between two looks of Gradio for an event that waits. Its own millisecond took 3 % of a core all day long."""
_STREAM_ID = "line"
"""Id that stands among a session's pending events for the stream itself."""


class EventStreamKeeper:
    """Keeps the streams of the page's own sessions open. API clients get Gradio's behaviour."""

    def __init__(self, page: Blocks) -> None:
        self._page = page
        self._queue = page._queue
        self._push = page._queue.push
        self._close_at: dict[str, float] = {}
        self._closing: dict[str, asyncio.Task[None]] = {}

    async def push(self, body: PredictBodyInternal, request: Request, username: str | None) -> Any:
        """Mark the session's stream as in use, then push the event as Gradio does."""
        session = body.session_hash
        fn = self._page.fns.get(body.fn_index) if body.fn_index is not None else None
        if session and fn is not None and not fn.page and request.url.path.endswith("/queue/join"):
            self._queue.pending_event_ids_session.setdefault(session, set()).add(_STREAM_ID)
            self._close_at[session] = time.monotonic() + LINGER_SECONDS
            if session not in self._closing:
                self._closing[session] = asyncio.create_task(self._close_when_idle(session))
        return await self._push(body=body, request=request, username=username)

    async def _close_when_idle(self, session: str) -> None:
        try:
            while (seconds_left := self._close_at[session] - time.monotonic()) > 0 or self._has_running_event(session):
                await asyncio.sleep(max(seconds_left, 1.0))
        finally:
            del self._close_at[session], self._closing[session]
        messages = self._queue.pending_messages_per_session.get(session)
        if messages is not None:
            await messages.put(ProcessCompletedMessage(event_id=_STREAM_ID, output={}, success=True))
            await asyncio.sleep(READ_GRACE_SECONDS)
        ids = self._queue.pending_event_ids_session.get(session, set())
        # Still unread: the page has been closed.
        if _STREAM_ID in ids and session not in self._closing and not self._has_running_event(session):
            del self._queue.pending_event_ids_session[session]

    def _has_running_event(self, session: str) -> bool:
        """Whether an event of the session runs. An ended event whose end nobody read also stays in `ids`."""
        ids = self._queue.pending_event_ids_session.get(session, set())
        return any(event_id in self._queue.event_ids_to_events for event_id in ids)


def _pop_next_event(queue: Queue) -> tuple[list[Event], bool, str] | None:
    """Take the event that has waited longest and whose handler is below its limit. No handler here is batched."""
    queues = queue.event_queue_per_concurrency_id.values()
    ready = [
        waiting
        for waiting in queues
        if waiting.queue
        and (waiting.concurrency_limit is None or waiting.current_concurrency < waiting.concurrency_limit)
    ]
    if not ready:
        return None
    arrival = {event_id: index for index, event_id in enumerate(queue.event_ids_to_events)}
    waiting = min(ready, key=lambda waiting: arrival.get(waiting.queue[0]._id, 0))
    return [waiting.queue.pop(0)], False, waiting.concurrency_id


def keep_stream_open(page: Blocks) -> Blocks:
    """Patch the page's queue. Call it after `page.queue()`, which makes a new queue."""
    page._queue.push = EventStreamKeeper(page).push
    page._queue.get_events = lambda: _pop_next_event(page._queue)
    page._queue.sleep_when_free = POLL_SECONDS
    return coalesce_queue(page)
