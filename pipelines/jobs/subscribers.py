"""Subscribers of job events, and the last state for those that join late.

A job goes on without subscribers, such as when the tab was closed that showed it; only its previews are not made.
Nothing here locks: the caller holds the lock of the queue.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from pipelines.core.job import Event, QueuePosition, Step
from pipelines.core.stream import NumberedEvent, Stream

POSITION_SECONDS = 0.25
"""Seconds between two updates of queue positions, since each claim changes the position of every waiting job."""


@dataclass(eq=False)
class LiveJob:
    """The state of an unfinished job that is not in the table: subscribers, last step, the engine's stream."""

    event_count: int = 0
    step: Step | None = None
    step_id: int = 0
    stream: Stream | None = None
    cancelled: bool = False
    streams: list[Stream] = field(default_factory=list[Stream])

    def attach_stream(self, stream: Stream | None) -> None:
        """Set the engine's stream; None when the job waits again, which also drops its last step."""
        self.stream = stream
        if stream is None:
            self.step = None
        self.update_watched()

    def update_watched(self) -> None:
        """Tell the engine's stream whether anybody watches, since previews are made only then."""
        if self.stream is not None:
            self.stream.is_watched = bool(self.streams)


class Subscribers:
    """The subscribed streams of all unfinished jobs."""

    def __init__(self) -> None:
        self.live_jobs: dict[str, LiveJob] = {}
        self._positions_changed = False
        self._published_at = float("-inf")

    def get_or_add(self, job_id: str) -> LiveJob:
        """Return the job's entry, made if there is none."""
        return self.live_jobs.setdefault(job_id, LiveJob())

    def subscribe(self, job_id: str, position: int, after: int, on_close: Callable[[Stream], None]) -> Stream:
        """Add a stream that starts with the job's present state; `position` 0 means that it runs."""
        live = self.get_or_add(job_id)
        stream = Stream(on_close=on_close)
        stream.last_id = after
        live.streams.append(stream)
        if position:
            stream.put(QueuePosition(position), max(live.event_count, after))
        elif live.step is not None and live.step_id > after:
            stream.put(live.step, live.step_id)
        live.update_watched()
        return stream

    def unsubscribe(self, job_id: str, stream: Stream) -> None:
        """Remove a stream."""
        live = self.live_jobs.get(job_id)
        if live is not None and stream in live.streams:
            live.streams.remove(stream)
            live.update_watched()

    def publish(self, job_id: str, *events: Event) -> None:
        """Send events to all subscribers, and keep the last step with the last preview for late ones."""
        live = self.get_or_add(job_id)
        numbered: list[NumberedEvent] = []
        for event in events:
            live.event_count += 1
            numbered.append((live.event_count, event))
            if isinstance(event, Step):
                preview = event.preview or (live.step.preview if live.step else None)
                live.step, live.step_id = replace(event, preview=preview), live.event_count
        for stream in live.streams:
            stream.put_all(numbered)

    def mark_positions_changed(self) -> None:
        """Note that queue positions may have changed."""
        self._positions_changed = True

    def publish_positions(self, waiting: Callable[[], Iterable[str]]) -> None:
        """Send changed queue positions, at most once in `POSITION_SECONDS`; `waiting` returns ids, the next first."""
        now = time.monotonic()
        if not self._positions_changed or now - self._published_at < POSITION_SECONDS:
            return
        self._positions_changed, self._published_at = False, now
        for position, job_id in enumerate(waiting(), 1):
            if job_id in self.live_jobs and self.live_jobs[job_id].streams:
                self.publish(job_id, QueuePosition(position))

    def end_job(self, job_id: str, error: BaseException | None) -> None:
        """End all streams of the job."""
        live = self.live_jobs.pop(job_id, None)
        for stream in live.streams if live else ():
            stream.end(error)
