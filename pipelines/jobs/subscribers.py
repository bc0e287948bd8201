"""Who watches which job, and what those who come late must be told; knows no table and no lane.

Nothing here locks: whoever calls holds the queue's lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from pipelines.core.job import Event, QueuePosition, Step
from pipelines.core.stream import NumberedEvent, Stream

POSITION_SECONDS = 0.25
"""Seconds between two tellings of places in line: each claim moves everybody, and a hundred who wait are many."""


class LiveJob:
    """What is known of a job that waits or runs and cannot be in the table: watchers, last step, stream."""

    def __init__(self) -> None:
        self.event_count = 0
        self.step: Step | None = None
        self.step_id = 0
        self.stream: Stream | None = None
        self.cancelled = False
        self.streams: list[Stream] = []

    def attach_stream(self, stream: Stream | None) -> None:
        """The job runs as `stream` now; None: it waits again, and its steps so far mean nothing."""
        self.stream = stream
        if stream is None:
            self.step = None
        self.update_watched()

    def update_watched(self) -> None:
        """Previews are made only while somebody watches."""
        if self.stream is not None:
            self.stream.is_watched = bool(self.streams)


class Subscribers:
    """Any number of streams on each job that has not ended."""

    def __init__(self) -> None:
        self.live_jobs: dict[str, LiveJob] = {}
        self._positions_changed = False
        self._published_at = float("-inf")

    def get_or_add(self, job_id: str) -> LiveJob:
        """The job's entry, made where there was none."""
        return self.live_jobs.setdefault(job_id, LiveJob())

    def subscribe(self, job_id: str, position: int, after: int, on_close: Callable[[Stream], None]) -> Stream:
        """One more stream, opened with where the job stands; `position` 0 says that it runs."""
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
        """A stream fewer."""
        live = self.live_jobs.get(job_id)
        if live is not None and stream in live.streams:
            live.streams.remove(stream)
            live.update_watched()

    def publish(self, job_id: str, *events: Event) -> None:
        """Tell everybody; a late watcher is told the last step, with the last preview that there was."""
        live = self.get_or_add(job_id)
        numbered: list[NumberedEvent] = []
        for event in events:
            live.event_count += 1
            numbered.append((live.event_count, event))
            if isinstance(event, Step):
                live.step, live.step_id = _with_last_preview(event, live.step), live.event_count
        for stream in live.streams:
            stream.put_all(numbered)

    def mark_positions_changed(self) -> None:
        """Somebody's place in line may be another now."""
        self._positions_changed = True

    def publish_positions(self, waiting: Callable[[], Iterable[str]]) -> None:
        """Tell those who wait where they stand, if that changed and the last time is `PLACES` ago.

        `waiting` gives ids, next in line first.
        """
        now = time.monotonic()
        if not self._positions_changed or now - self._published_at < POSITION_SECONDS:
            return
        self._positions_changed, self._published_at = False, now
        for position, job_id in enumerate(waiting(), 1):
            if job_id in self.live_jobs and self.live_jobs[job_id].streams:
                self.publish(job_id, QueuePosition(position))

    def end_job(self, job_id: str, error: BaseException | None) -> None:
        """No more events of this job."""
        live = self.live_jobs.pop(job_id, None)
        for stream in live.streams if live else ():
            stream.end(error)


def _with_last_preview(step: Step, before: Step | None) -> Step:
    preview = step.preview or (before.preview if before else None)
    return Step(step.index, step.total, step.stage, preview)
