"""Which job runs on which of several places; knows no device, no worker and no queue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from pipelines.core.job import Job
from pipelines.engines.placement_policy import (
    DeviceState,
    WaitingJob,
    choose_placement,
    copy_backlog_count,
    heavy_models,
)
from pipelines.models.nets import specs as nets

LIGHT_MODEL_IDS = frozenset(row.id for row in nets)
ASSUMED_JOB_SECONDS = 2.0
"""Seconds that a job is thought to take before one was seen: a copy made for nothing costs more than a wait."""


class DeviceReservations:
    """Places kept for jobs, `slots` jobs each. `places` says what they hold and which could work. Thread-safe."""

    def __init__(self, places: Callable[[], Sequence[DeviceState]], slots: int = 1) -> None:
        self._read_states = places
        self._slots = slots
        self._lock = threading.Lock()
        self._reserved: dict[str, tuple[WaitingJob, int]] = {}
        """Each job that is worked on, or is about to be, and its place."""
        self._mean_seconds: float | None = None
        """What a job took lately, once one was seen that loaded nothing."""

    def reserve_next(self, line: Sequence[Job]) -> str | None:
        """The id of the job to run next, a place being kept for it; None where it is better to wait.

        `line` is what waits, first in line first. Who does not run the job after all says so with `forget`.
        """
        with self._lock:
            found = choose_placement(
                [_to_waiting_job(job) for job in line],
                self._device_states(),
                copy_backlog_count(self._mean_seconds or ASSUMED_JOB_SECONDS),
            )
            if found is None:
                return None
            self._reserved[found[0].id] = found
            return found[0].id

    def reserve_for(self, job: Job) -> int | None:
        """The place kept for `job`, else the best that is free; None where there is none."""
        with self._lock:
            kept = self._reserved.get(job.id)
            if kept is None:
                found = choose_placement([_to_waiting_job(job)], self._device_states(), worth=0)
                if found is None:
                    return None
                kept = self._reserved[job.id] = found
            return kept[1]

    def release(self, job_id: str) -> None:
        """The place that was kept for this job is free again."""
        with self._lock:
            self._reserved.pop(job_id, None)

    def reserved_jobs(self) -> dict[int, str]:
        """The job that each busy place works on, or is about to; the latest where there are several."""
        with self._lock:
            return {place: job_id for job_id, (_, place) in self._reserved.items()}

    def record_seconds(self, seconds: float) -> None:
        """A job that loaded nothing took so long."""
        self._mean_seconds = (
            seconds if self._mean_seconds is None else self._mean_seconds + (seconds - self._mean_seconds) / 8
        )

    def _device_states(self) -> list[DeviceState]:
        jobs: dict[int, list[WaitingJob]] = {}
        for job, place in self._reserved.values():
            jobs.setdefault(place, []).append(job)
        return [self._mark_busy(each, jobs[n]) if n in jobs else each for n, each in enumerate(self._read_states())]

    def _mark_busy(self, place: DeviceState, jobs: Sequence[WaitingJob]) -> DeviceState:
        # What its jobs are still loading lies there as good as already: nobody else need load it too.
        coming = {model: 0 for job in jobs for model in job.models}
        takes = place.is_idle and len(jobs) < self._slots
        return replace(place, holds={**coming, **place.resident_bytes}, idle=False, jobs=len(jobs), takes=takes)


def _to_waiting_job(job: Job) -> WaitingJob:
    return WaitingJob(job.id, heavy_models(job.specs, LIGHT_MODEL_IDS), job.batch)
