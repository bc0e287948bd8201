"""A closable, thread-safe stream of the events of one job: steps, then the result."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TypeAlias

from pipelines.core.errors import JobCancelled
from pipelines.core.job import Event, QueuePosition, Result, Step

NumberedEvent: TypeAlias = "tuple[int, Event]"  # an event with its id
_JOB_THREADS = ThreadPoolExecutor(64, thread_name_prefix="job")
"""Threads of all running jobs, more than there are devices; reused, since under load a new thread starts slowly."""


class Stream:
    """Iterator and async iterator over the events of one job.

    Iteration ends after the `Result`. It raises the `StudioError` of a job that failed and `JobCancelled` for one that
    was cancelled. `close()` may be called from any thread; it sets an event and calls `on_close`. A slow reader misses
    older previews and queue positions, but no step and no result. `take_pending` reads all waiting events at once,
    because a switch between threads costs more than an event.
    """

    def __init__(self, on_close: Callable[[Stream], None] | None = None) -> None:
        self.close_requested = threading.Event()
        self.is_watched = True
        self.last_id = 0
        self.error: BaseException | None = None
        self._condition = threading.Condition()
        self._pending: deque[tuple[int, Event]] = deque()
        self._ended = False
        self._flush_now = threading.Event()
        self._last_read_at = float("-inf")
        self._on_close = on_close
        self._async_wakers: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    @classmethod
    def run_in_thread(cls, work: Callable[[Stream], Result]) -> Stream:
        """Run `work` in another thread and return its stream; an exception ends the stream."""
        stream = cls()
        # The future carries any exception as a value, so no catch-all is needed here.
        _JOB_THREADS.submit(work, stream).add_done_callback(stream._end_with_future)
        return stream

    def _end_with_future(self, future: Future[Result]) -> None:
        error = future.exception()
        if error is None:
            self.put(future.result())
        self.end(error)

    def put(self, event: Event, event_id: int | None = None) -> None:
        """Append an event and drop unread ones that it replaces: an older preview, an older queue position."""
        with self._condition:
            last = self._pending[-1][0] if self._pending else self.last_id
            self.put_all([(last + 1 if event_id is None else event_id, event)])

    def put_all(self, numbered: Sequence[NumberedEvent]) -> None:
        """Append several events and wake the readers once."""
        with self._condition:
            if self._ended or not numbered:
                return
            for event_id, event in numbered:
                self._append_event(event_id, event)
            self._wake_readers()

    def _append_event(self, event_id: int, event: Event) -> None:
        if isinstance(event, Step) and event.preview is not None:
            self._pending = deque((i, _without_preview(e)) for i, e in self._pending)
            self._flush_now.set()
        if isinstance(event, QueuePosition) and self._pending and isinstance(self._pending[-1][1], QueuePosition):
            self._pending.pop()
        self._pending.append((event_id, event))

    def end(self, error: BaseException | None = None) -> None:
        """End the stream; readers get `error` after the pending events."""
        with self._condition:
            self._ended, self.error = True, self.error or error
            self._flush_now.set()
            self._wake_readers()

    def _wake_readers(self) -> None:
        self._condition.notify_all()
        for loop, waker in self._async_wakers:
            # The event loop of a reader that is gone may be closed.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(waker.set)
        self._async_wakers.clear()

    def close(self) -> None:
        """Ask the job to stop at its next step, or detach a subscriber. Returns at once."""
        self.close_requested.set()
        if self._on_close is not None:
            self._on_close(self)

    def call_when_closed(self, call: Callable[[], None]) -> None:
        """Call `call` when the stream is closed, from any thread; at once where it is closed already."""
        self._on_close = lambda _: call()
        if self.close_requested.is_set():
            call()

    def take_next(self, timeout: float | None = None) -> Event | None:
        """Return the next event, or None when the stream has ended (see `error`) or after `timeout` seconds."""
        with self._condition:
            self._condition.wait_for(lambda: self._pending or self._ended, timeout)
            return self._pop_event()

    def take_pending(self, timeout: float, gap: float = 0.0) -> list[Event]:
        """Wait for an event and return all that are pending; empty at the end or after `timeout` seconds.

        Steps that follow each other within `gap` seconds are returned together, so that a quick job does not spend its
        time on waking the reader. The first step, a preview and the end are returned at once.
        """
        self._flush_now.wait(max(0.0, self._last_read_at + gap - time.monotonic()))
        with self._condition:
            self._condition.wait_for(lambda: self._pending or self._ended, timeout)
            self._flush_now.clear()
            self._last_read_at = time.monotonic()
            return [event for _, event in self._pop_all()]

    async def take_pending_async(self, timeout: float | None = None) -> list[NumberedEvent]:
        """Wait for events and return all that are pending, with ids; empty after `timeout` or the end (`error`)."""
        with self._condition:
            if self._pending or self._ended:
                return self._pop_all()
            waker = self._add_waker()
        # A timer costs a tenth of `asyncio.wait_for`, and most timers are cancelled at once.
        timer = None if timeout is None else asyncio.get_running_loop().call_later(timeout, waker.set)
        try:
            await waker.wait()
        finally:
            if timer is not None:
                timer.cancel()
        with self._condition:
            self._async_wakers = [row for row in self._async_wakers if row[1] is not waker]
            return self._pop_all()

    @property
    def is_exhausted(self) -> bool:
        """Whether the stream has ended and every event was read."""
        with self._condition:
            return self._ended and not self._pending

    def _pop_event(self) -> Event | None:
        if not self._pending:
            return None
        self.last_id, event = self._pending.popleft()
        return event

    def _pop_all(self) -> list[NumberedEvent]:
        found = list(self._pending)
        self._pending.clear()
        self.last_id = found[-1][0] if found else self.last_id
        return found

    def _add_waker(self) -> asyncio.Event:
        waker = asyncio.Event()
        self._async_wakers.append((asyncio.get_running_loop(), waker))
        return waker

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Event:
        event = self.take_next()
        if event is not None:
            return event
        if self.error is not None:
            raise self.error
        raise StopIteration

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Event:
        while True:
            with self._condition:
                event = self._pop_event()
                if event is not None:
                    return event
                if self._ended:
                    break
                waker = self._add_waker()
            await waker.wait()
        if self.error is not None:
            raise self.error
        raise StopAsyncIteration


def _without_preview(event: Event) -> Event:
    return replace(event, preview=None) if isinstance(event, Step) and event.preview is not None else event


def wait_for_result(stream: Stream) -> Result:
    """Read the stream to its end and return the result. Raises what the job raised."""
    for event in stream:
        if isinstance(event, Result):
            return event
    raise JobCancelled
