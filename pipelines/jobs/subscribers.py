"""Who watches which job, and what those who come late must be told; knows no table and no lane.

Nothing here locks: whoever calls holds the queue's lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from pipelines.core.job import Event, Queued, Step
from pipelines.core.stream import Numbered, Stream

PLACES = 0.25
"""Seconds between two tellings of places in line: each claim moves everybody, and a hundred who wait are many."""


class Live:
    """What is known of a job that waits or runs and cannot be in the table: watchers, last step, stream."""

    def __init__(self) -> None:
        self.events = 0
        self.step: Step | None = None
        self.step_id = 0
        self.stream: Stream | None = None
        self.cancelled = False
        self.streams: list[Stream] = []

    def attach(self, stream: Stream | None) -> None:
        """The job runs as `stream` now; None: it waits again, and its steps so far mean nothing."""
        self.stream = stream
        if stream is None:
            self.step = None
        self.gate()

    def gate(self) -> None:
        """Previews are made only while somebody watches."""
        if self.stream is not None:
            self.stream.watched = bool(self.streams)


class Watchers:
    """Any number of streams on each job that has not ended."""

    def __init__(self) -> None:
        self.live: dict[str, Live] = {}
        self._moved = False
        self._told = float("-inf")

    def expect(self, job_id: str) -> Live:
        """The job's entry, made where there was none."""
        return self.live.setdefault(job_id, Live())

    def join(self, job_id: str, position: int, after: int, on_close: Callable[[Stream], None]) -> Stream:
        """One more stream, opened with where the job stands; `position` 0 says that it runs."""
        live = self.expect(job_id)
        stream = Stream(on_close=on_close)
        stream.last_id = after
        live.streams.append(stream)
        if position:
            stream.put(Queued(position), max(live.events, after))
        elif live.step is not None and live.step_id > after:
            stream.put(live.step, live.step_id)
        live.gate()
        return stream

    def leave(self, job_id: str, stream: Stream) -> None:
        """A stream fewer."""
        live = self.live.get(job_id)
        if live is not None and stream in live.streams:
            live.streams.remove(stream)
            live.gate()

    def publish(self, job_id: str, *events: Event) -> None:
        """Tell everybody; a late watcher is told the last step, with the last preview that there was."""
        live = self.expect(job_id)
        numbered: list[Numbered] = []
        for event in events:
            live.events += 1
            numbered.append((live.events, event))
            if isinstance(event, Step):
                live.step, live.step_id = _as_late_comers_see(event, live.step), live.events
        for stream in live.streams:
            stream.extend(numbered)

    def moved(self) -> None:
        """Somebody's place in line may be another now."""
        self._moved = True

    def tell_positions(self, waiting: Callable[[], Iterable[str]]) -> None:
        """Tell those who wait where they stand, if that changed and the last time is `PLACES` ago.

        `waiting` gives ids, next in line first.
        """
        now = time.monotonic()
        if not self._moved or now - self._told < PLACES:
            return
        self._moved, self._told = False, now
        for position, job_id in enumerate(waiting(), 1):
            if job_id in self.live and self.live[job_id].streams:
                self.publish(job_id, Queued(position))

    def end(self, job_id: str, error: BaseException | None) -> None:
        """No more events of this job."""
        live = self.live.pop(job_id, None)
        for stream in live.streams if live else ():
            stream.end(error)


def _as_late_comers_see(step: Step, before: Step | None) -> Step:
    preview = step.preview or (before.preview if before else None)
    return Step(step.index, step.total, step.stage, preview)
