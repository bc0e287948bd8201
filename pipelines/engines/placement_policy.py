"""Placement policy: which waiting job a free device takes next.

A model that a device holds costs nothing, one that it must load costs seconds, and one that it evicts costs another
job seconds. A job therefore goes to the device that holds its models. If none does, it goes to the one with most free
memory. If only a busy device does, another device with room for a second copy takes the job once waiting would take
longer than loading; if it would have to evict something, only once so many jobs wait that a copy pays off. Until then a
busy device whose engine shares model calls among jobs takes the job beside the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LOAD_SECONDS = 20.0  # seconds that loading a checkpoint takes, roughly
COPY_PAYOFF_RATIO = 3.0
"""Waiting work over loading time from which a second copy pays off. Less is a burst, which has passed before the model
that was evicted for the copy is needed again."""
MIN_BACKLOG_COUNT = 2
MAX_BACKLOG_COUNT = 24


@dataclass(frozen=True)
class WaitingJob:
    """A job in the queue and the models that it will borrow. `more_follow`: more like it will be queued."""

    id: str
    models: frozenset[str]
    more_follow: bool = False


@dataclass(frozen=True)
class DeviceState:
    """A device: bytes of each model on it, free bytes (None: no limit), and whether it is idle.

    `job_count`: jobs that it runs. `accepts_more`: whether it takes one more job, to share model calls with them.
    """

    resident_bytes: Mapping[str, int]
    free_bytes: int | None
    is_idle: bool
    job_count: int = 0
    accepts_more: bool = False

    def has_resident_models(self, job: WaitingJob) -> bool:
        """Whether nothing has to be loaded for this job."""
        return job.models <= self.resident_bytes.keys()


def required_backlog_count(job_seconds: float) -> int:
    """Jobs of `job_seconds` each that must wait for one device before another evicts something for them."""
    count = math.ceil(COPY_PAYOFF_RATIO * LOAD_SECONDS / max(job_seconds, 0.01))
    return min(max(count, MIN_BACKLOG_COUNT), MAX_BACKLOG_COUNT)


def choose_placement(
    queue: Sequence[WaitingJob], devices: Sequence[DeviceState], backlog_count: int
) -> tuple[WaitingJob, int] | None:
    """Choose a job of `queue`, oldest first, and the index of its device; None if it is better to wait.

    `backlog_count` is what `required_backlog_count` gives. Half of it is enough where nothing has to be evicted.
    """
    found = _place_on_idle(queue, devices, backlog_count) if any(device.is_idle for device in devices) else None
    return found or _place_on_busy(queue, devices)


def _place_on_idle(
    queue: Sequence[WaitingJob], devices: Sequence[DeviceState], backlog_count: int
) -> tuple[WaitingJob, int] | None:
    for job in queue:
        if any(device.is_idle and device.has_resident_models(job) for device in devices):
            return job, _best_idle_device(job, queue, devices)
    for job in queue:
        waiting = _count_waiting(job, queue, devices)
        copy_fits = (job.more_follow or 2 * waiting >= backlog_count) and _fits_idle_device(job, devices)
        if copy_fits or waiting >= backlog_count or not any(device.has_resident_models(job) for device in devices):
            return job, _best_idle_device(job, queue, devices)
    return None


def _place_on_busy(queue: Sequence[WaitingJob], devices: Sequence[DeviceState]) -> tuple[WaitingJob, int] | None:
    """A job for the busy device that holds its models already and runs fewest jobs."""
    for job in queue:
        accepting = [n for n, device in enumerate(devices) if device.accepts_more and device.has_resident_models(job)]
        if accepting:
            return job, min(accepting, key=lambda n: devices[n].job_count)
    return None


def list_slow_models(specs: Mapping[str, str], light: frozenset[str]) -> frozenset[str]:
    """The models of a job that take long to load: all but the `light` ones."""
    return frozenset(specs.values()) - light


def _count_waiting(job: WaitingJob, queue: Sequence[WaitingJob], devices: Sequence[DeviceState]) -> int:
    """Jobs that wait for the same models, in the queue and behind the running job of a device that has them."""
    behind_running = sum(
        device.job_count - 1
        for device in devices
        if device.accepts_more and device.has_resident_models(job) and device.job_count
    )
    return behind_running + sum(other.models == job.models for other in queue)


def _fits_idle_device(job: WaitingJob, devices: Sequence[DeviceState]) -> bool:
    """Whether an idle device has room for the job's models. The size of a model is known where it is resident."""
    sizes = {model: size for device in devices for model, size in device.resident_bytes.items()}
    return any(device.is_idle and _missing_bytes(job, device, sizes) <= 0 for device in devices)


def _missing_bytes(job: WaitingJob, device: DeviceState, sizes: Mapping[str, int]) -> int:
    if device.free_bytes is None:
        return 0
    return sum(sizes.get(model, 0) for model in job.models - device.resident_bytes.keys()) - device.free_bytes


def _best_idle_device(job: WaitingJob, queue: Sequence[WaitingJob], devices: Sequence[DeviceState]) -> int:
    """The idle device with most of the job's models, then most free bytes, then fewest jobs waiting for its models."""

    def rank(n: int) -> tuple[float, ...]:
        device = devices[n]
        free_bytes = math.inf if device.free_bytes is None else device.free_bytes
        held = len(job.models & device.resident_bytes.keys())
        return held, free_bytes, -sum(device.has_resident_models(other) for other in queue), -n

    return max((n for n, device in enumerate(devices) if device.is_idle), key=rank)
