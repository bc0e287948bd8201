"""Which job runs on which of several places; knows no device, no worker and no queue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from pipelines.core.job import Job
from pipelines.engines.placement_policy import Place, Waiting, backlog, choose, wanted
from pipelines.models.nets import specs as nets

LIGHT = frozenset(row.id for row in nets)
SHORT = 2.0
"""Seconds that a job is thought to take before one was seen: a copy made for nothing costs more than a wait."""


class Turns:
    """Places kept for jobs, `slots` jobs each. `places` says what they hold and which could work. Thread-safe."""

    def __init__(self, places: Callable[[], Sequence[Place]], slots: int = 1) -> None:
        self._look = places
        self._slots = slots
        self._lock = threading.Lock()
        self._on: dict[str, tuple[Waiting, int]] = {}
        """Each job that is worked on, or is about to be, and its place."""
        self._seconds: float | None = None
        """What a job took lately, once one was seen that loaded nothing."""

    def choose(self, line: Sequence[Job]) -> str | None:
        """The id of the job to run next, a place being kept for it; None where it is better to wait.

        `line` is what waits, first in line first. Who does not run the job after all says so with `forget`.
        """
        with self._lock:
            found = choose([_waiting(job) for job in line], self._places(), backlog(self._seconds or SHORT))
            if found is None:
                return None
            self._on[found[0].id] = found
            return found[0].id

    def take(self, job: Job) -> int | None:
        """The place kept for `job`, else the best that is free; None where there is none."""
        with self._lock:
            kept = self._on.get(job.id)
            if kept is None:
                found = choose([_waiting(job)], self._places(), worth=0)
                if found is None:
                    return None
                kept = self._on[job.id] = found
            return kept[1]

    def forget(self, job_id: str) -> None:
        """The place that was kept for this job is free again."""
        with self._lock:
            self._on.pop(job_id, None)

    def kept(self) -> dict[int, str]:
        """The job that each busy place works on, or is about to; the latest where there are several."""
        with self._lock:
            return {place: job_id for job_id, (_, place) in self._on.items()}

    def took(self, seconds: float) -> None:
        """A job that loaded nothing took so long."""
        self._seconds = seconds if self._seconds is None else self._seconds + (seconds - self._seconds) / 8

    def _places(self) -> list[Place]:
        jobs: dict[int, list[Waiting]] = {}
        for job, place in self._on.values():
            jobs.setdefault(place, []).append(job)
        return [self._busy(each, jobs[n]) if n in jobs else each for n, each in enumerate(self._look())]

    def _busy(self, place: Place, jobs: Sequence[Waiting]) -> Place:
        # What its jobs are still loading lies there as good as already: nobody else need load it too.
        coming = {model: 0 for job in jobs for model in job.models}
        takes = place.idle and len(jobs) < self._slots
        return replace(place, holds={**coming, **place.holds}, idle=False, jobs=len(jobs), takes=takes)


def _waiting(job: Job) -> Waiting:
    return Waiting(job.id, wanted(job.specs, LIGHT), job.batch)
