"""Which of the jobs that wait a free device should take next; knows no thread, no queue and no model.

What a device holds already costs nothing, what it has to load costs seconds, and what it drops for that costs somebody
else seconds. So a job goes where its models lie, and one whose models lie nowhere goes where there is most room. One
whose models lie on a busy device is taken by another that has room for a second copy once the wait would take longer
than the loading; where something would have to go for it, only once so many wait for the busy device that it pays.
Until then a busy device whose engine lets jobs share model calls takes it in beside the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LOAD_SECONDS = 20.0
"""Seconds that loading a checkpoint takes, about."""
COPY_PAYOFF_RATIO = 3.0
"""Work that waits for one device pays for a second copy elsewhere when it is so many times what loading takes: less
is a burst, gone before what was dropped for the copy is wanted again."""
MIN_BACKLOG_COUNT, MAX_BACKLOG_COUNT = 2, 24


@dataclass(frozen=True)
class WaitingJob:
    """A job in line: its id and the models that it will borrow. `many`: more like it follow than stand in line yet."""

    id: str
    models: frozenset[str]
    more_follow: bool = False


@dataclass(frozen=True)
class DeviceState:
    """A device: the bytes of each model that lies on it, how many are free there (None: no limit), whether it rests.

    `jobs`: how many it works on. `takes`: whether it takes one more beside them, to share calls of a model with.
    """

    resident_bytes: Mapping[str, int]
    free_bytes: int | None
    is_idle: bool
    job_count: int = 0
    accepts_more: bool = False

    def has_models(self, job: WaitingJob) -> bool:
        """Whether nothing has to be loaded for this job."""
        return job.models <= self.resident_bytes.keys()


def copy_backlog_count(seconds: float) -> int:
    """Jobs that must wait for one device before another drops something for them, where a job takes so long."""
    return min(
        max(math.ceil(COPY_PAYOFF_RATIO * LOAD_SECONDS / max(seconds, 0.01)), MIN_BACKLOG_COUNT), MAX_BACKLOG_COUNT
    )


def choose_placement(
    line: Sequence[WaitingJob], places: Sequence[DeviceState], worth: int
) -> tuple[WaitingJob, int] | None:
    """A job of the line and the place that takes it; None where waiting is better. First in line counts first.

    `worth` is what `backlog` gives; half of it is enough where nothing has to be dropped.
    """
    found = _place_on_idle(line, places, worth) if any(place.is_idle for place in places) else None
    return found or _place_on_busy(line, places)


def _place_on_idle(
    line: Sequence[WaitingJob], places: Sequence[DeviceState], worth: int
) -> tuple[WaitingJob, int] | None:
    """A job for a device that rests."""
    for job in line:
        if any(place.is_idle and place.has_models(job) for place in places):
            return job, _best_idle_device(job, line, places)
    for job in line:
        waiting = _count_waiting(job, line, places)
        copies = (job.more_follow or 2 * waiting >= worth) and _fits_idle_device(job, places)
        if copies or waiting >= worth or not any(place.has_models(job) for place in places):
            return job, _best_idle_device(job, line, places)
    return None


def _place_on_busy(line: Sequence[WaitingJob], places: Sequence[DeviceState]) -> tuple[WaitingJob, int] | None:
    """A job for a device at work that holds its models already, of several the one that works on fewest."""
    for job in line:
        taking = [n for n, place in enumerate(places) if place.accepts_more and place.has_models(job)]
        if taking:
            return job, min(taking, key=lambda n: places[n].job_count)
    return None


def heavy_models(specs: Mapping[str, str], light: frozenset[str]) -> frozenset[str]:
    """The models of a job that are worth a way: all but the `light` ones, which every device loads in no time."""
    return frozenset(specs.values()) - light


def _count_waiting(job: WaitingJob, line: Sequence[WaitingJob], places: Sequence[DeviceState]) -> int:
    """Jobs that wait for the same models, in line and beside one that is drawn on a device that has them."""
    there = sum(
        place.job_count - 1 for place in places if place.accepts_more and place.has_models(job) and place.job_count
    )
    return there + sum(other.models == job.models for other in line)


def _fits_idle_device(job: WaitingJob, places: Sequence[DeviceState]) -> bool:
    """Whether a device that rests has room for what the job needs, whose size is known where it lies."""
    sizes = {model: size for place in places for model, size in place.resident_bytes.items()}
    return any(place.is_idle and _missing_bytes(job, place, sizes) <= 0 for place in places)


def _missing_bytes(job: WaitingJob, place: DeviceState, sizes: Mapping[str, int]) -> int:
    if place.free_bytes is None:
        return 0
    return sum(sizes.get(model, 0) for model in job.models - place.resident_bytes.keys()) - place.free_bytes


def _best_idle_device(job: WaitingJob, line: Sequence[WaitingJob], places: Sequence[DeviceState]) -> int:
    """The idle place that has most of the job's models, then most room, then fewest who wait for what it holds."""
    idle = [n for n, place in enumerate(places) if place.is_idle]

    def worth(n: int) -> tuple[float, ...]:
        place = places[n]
        room = math.inf if place.free_bytes is None else place.free_bytes
        return len(job.models & place.resident_bytes.keys()), room, -sum(place.has_models(other) for other in line), -n

    return max(idle, key=worth)
