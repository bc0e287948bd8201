"""A page's event stream stays open for a while after its last event; knows no page and no event.

Gradio closes it with the last event that runs and opens it again with the next. An event that is asked for in that
moment is lost in one of two ways: the page still believes in the stream that is being closed and never opens another,
or the server, told that the old one is gone, throws away what is new. A page at work asks for the next event in just
that moment: the last answer is what it waited for.
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

LINGER_SECONDS = 20.0
"""Seconds after the last order. A browser has six connections to an address, and an open stream is one of them."""
READ_GRACE_SECONDS = 5.0
"""Seconds in which a stream that is there has read its last word."""
_STREAM_ID = "line"
"""Stands among a session's events for the stream itself."""


class EventStreamKeeper:
    """Between Gradio's queue and those who order from the page itself; clients by name get Gradio's own ways."""

    def __init__(self, page: Blocks) -> None:
        self._page = page
        self._queue = page._queue
        self._push = page._queue.push
        self._close_at: dict[str, float] = {}
        self._closing: dict[str, asyncio.Task[None]] = {}

    async def push(self, body: PredictBodyInternal, request: Request, username: str | None) -> Any:
        """Gradio's own, with the line among the session's events first."""
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
            while (left := self._close_at[session] - time.monotonic()) > 0 or self._has_running_event(session):
                await asyncio.sleep(max(left, 1.0))
        finally:
            del self._close_at[session], self._closing[session]
        messages = self._queue.pending_messages_per_session.get(session)
        if messages is not None:
            await messages.put(ProcessCompletedMessage(event_id=_STREAM_ID, output={}, success=True))
            await asyncio.sleep(READ_GRACE_SECONDS)
        ids = self._queue.pending_event_ids_session.get(session, set())
        if (
            _STREAM_ID in ids and session not in self._closing and not self._has_running_event(session)
        ):  # nobody reads: the page was left
            del self._queue.pending_event_ids_session[session]

    def _has_running_event(self, session: str) -> bool:
        """Whether an event of it has not ended; one whose end nobody read stays among the ids for ever."""
        ids = self._queue.pending_event_ids_session.get(session, set())
        return any(event_id in self._queue.event_ids_to_events for event_id in ids)


def _pop_next_event(queue: Queue) -> tuple[list[Event], bool, str] | None:
    """The event that has waited longest, of those whose handlers have room; none of ours comes in Gradio's batches."""
    lines = queue.event_queue_per_concurrency_id.values()
    ready = [
        line for line in lines
        if line.queue and (line.concurrency_limit is None or line.current_concurrency < line.concurrency_limit)
    ]  # fmt: skip
    if not ready:
        return None
    came = {event_id: place for place, event_id in enumerate(queue.event_ids_to_events)}
    line = min(ready, key=lambda line: came.get(line.queue[0]._id, 0))
    return [line.queue.pop(0)], False, line.concurrency_id


def keep_stream_open(page: Blocks) -> Blocks:
    """From here on; after `page.queue()`, which makes the queue anew."""
    page._queue.push = EventStreamKeeper(page).push  # pyright: ignore[reportAttributeAccessIssue]
    page._queue.get_events = lambda: _pop_next_event(page._queue)  # pyright: ignore[reportAttributeAccessIssue]
    return coalesce_queue(page)
