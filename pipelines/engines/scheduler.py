"""Reservations of devices for jobs: which job runs on which of several devices or workers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from pipelines.core.job import Job
from pipelines.engines.placement_policy import (
    DeviceState,
    WaitingJob,
    choose_placement,
    list_slow_models,
    required_backlog_count,
)
from pipelines.models.nets import specs as net_specs

LIGHT_MODEL_IDS = frozenset(spec.id for spec in net_specs)
ASSUMED_JOB_SECONDS = 2.0
"""Seconds that a job is assumed to take before one was measured. Low: a needless copy costs more than a wait."""


class DeviceReservations:
    """Reserves devices for jobs, at most `slots` jobs each. `read_states` gives the devices' states. Thread-safe."""

    def __init__(self, read_states: Callable[[], Sequence[DeviceState]], slots: int = 1) -> None:
        self._read_states = read_states
        self._slots = slots
        self._lock = threading.Lock()
        self._reserved: dict[str, tuple[WaitingJob, int]] = {}
        """By job id, each job that runs or is about to, and its device."""
        self._mean_seconds: float | None = None
        """Moving average of the seconds that a job takes which loads nothing; None before the first."""

    def reserve_next(self, queue: Sequence[Job]) -> str | None:
        """Reserve a device for the job of `queue` to run next, or None to wait; `release` it if the job is not run."""
        with self._lock:
            backlog_count = required_backlog_count(self._mean_seconds or ASSUMED_JOB_SECONDS)
            found = choose_placement([_to_waiting_job(job) for job in queue], self._device_states(), backlog_count)
            if found is None:
                return None
            self._reserved[found[0].id] = found
            return found[0].id

    def reserve_for(self, job: Job) -> int | None:
        """The device reserved for `job`, else the best free one, reserved now; None if none is free."""
        with self._lock:
            found = self._reserved.get(job.id)
            if found is None:
                found = choose_placement([_to_waiting_job(job)], self._device_states(), backlog_count=0)
                if found is None:
                    return None
                self._reserved[job.id] = found
            return found[1]

    def release(self, job_id: str) -> None:
        """Free the device that was reserved for this job."""
        with self._lock:
            self._reserved.pop(job_id, None)

    def record_warm_job_seconds(self, seconds: float) -> None:
        """Record how long a job took that loaded nothing."""
        mean = seconds if self._mean_seconds is None else self._mean_seconds
        self._mean_seconds = mean + (seconds - mean) / 8

    def _device_states(self) -> list[DeviceState]:
        jobs: dict[int, list[WaitingJob]] = {}
        for job, device in self._reserved.values():
            jobs.setdefault(device, []).append(job)
        return [self._mark_busy(state, jobs[n]) if n in jobs else state for n, state in enumerate(self._read_states())]

    def _mark_busy(self, state: DeviceState, jobs: Sequence[WaitingJob]) -> DeviceState:
        # Models that its jobs are still loading count as resident, so that no other device loads them too.
        loading = {model: 0 for job in jobs for model in job.models}
        return replace(
            state,
            resident_bytes={**loading, **state.resident_bytes},
            is_idle=False,
            job_count=len(jobs),
            accepts_more=state.is_idle and len(jobs) < self._slots,
        )


def _to_waiting_job(job: Job) -> WaitingJob:
    return WaitingJob(job.id, list_slow_models(job.specs, LIGHT_MODEL_IDS), job.batch)
