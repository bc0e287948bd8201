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

LOAD = 20.0
"""Seconds that loading a checkpoint takes, about."""
PAYS = 3.0
"""Work that waits for one device pays for a second copy elsewhere when it is so many times what loading takes: less
is a burst, gone before what was dropped for the copy is wanted again."""
LEAST, MOST = 2, 24


@dataclass(frozen=True)
class Waiting:
    """A job in line: its id and the models that it will borrow. `many`: more like it follow than stand in line yet."""

    id: str
    models: frozenset[str]
    many: bool = False


@dataclass(frozen=True)
class Place:
    """A device: the bytes of each model that lies on it, how many are free there (None: no limit), whether it rests.

    `jobs`: how many it works on. `takes`: whether it takes one more beside them, to share calls of a model with.
    """

    holds: Mapping[str, int]
    room: int | None
    idle: bool
    jobs: int = 0
    takes: bool = False

    def has(self, job: Waiting) -> bool:
        """Whether nothing has to be loaded for this job."""
        return job.models <= self.holds.keys()


def backlog(seconds: float) -> int:
    """Jobs that must wait for one device before another drops something for them, where a job takes so long."""
    return min(max(math.ceil(PAYS * LOAD / max(seconds, 0.01)), LEAST), MOST)


def choose(line: Sequence[Waiting], places: Sequence[Place], worth: int) -> tuple[Waiting, int] | None:
    """A job of the line and the place that takes it; None where waiting is better. First in line counts first.

    `worth` is what `backlog` gives; half of it is enough where nothing has to be dropped.
    """
    found = _resting(line, places, worth) if any(place.idle for place in places) else None
    return found or _beside(line, places)


def _resting(line: Sequence[Waiting], places: Sequence[Place], worth: int) -> tuple[Waiting, int] | None:
    """A job for a device that rests."""
    for job in line:
        if any(place.idle and place.has(job) for place in places):
            return job, _best(job, line, places)
    for job in line:
        waiting = _waiting(job, line, places)
        copies = (job.many or 2 * waiting >= worth) and _fits(job, places)
        if copies or waiting >= worth or not any(place.has(job) for place in places):
            return job, _best(job, line, places)
    return None


def _beside(line: Sequence[Waiting], places: Sequence[Place]) -> tuple[Waiting, int] | None:
    """A job for a device at work that holds its models already, of several the one that works on fewest."""
    for job in line:
        taking = [n for n, place in enumerate(places) if place.takes and place.has(job)]
        if taking:
            return job, min(taking, key=lambda n: places[n].jobs)
    return None


def wanted(specs: Mapping[str, str], light: frozenset[str]) -> frozenset[str]:
    """The models of a job that are worth a way: all but the `light` ones, which every device loads in no time."""
    return frozenset(specs.values()) - light


def _waiting(job: Waiting, line: Sequence[Waiting], places: Sequence[Place]) -> int:
    """Jobs that wait for the same models, in line and beside one that is drawn on a device that has them."""
    there = sum(place.jobs - 1 for place in places if place.takes and place.has(job) and place.jobs)
    return there + sum(other.models == job.models for other in line)


def _fits(job: Waiting, places: Sequence[Place]) -> bool:
    """Whether a device that rests has room for what the job needs, whose size is known where it lies."""
    sizes = {model: size for place in places for model, size in place.holds.items()}
    return any(place.idle and _short(job, place, sizes) <= 0 for place in places)


def _short(job: Waiting, place: Place, sizes: Mapping[str, int]) -> int:
    if place.room is None:
        return 0
    return sum(sizes.get(model, 0) for model in job.models - place.holds.keys()) - place.room


def _best(job: Waiting, line: Sequence[Waiting], places: Sequence[Place]) -> int:
    """The idle place that has most of the job's models, then most room, then fewest who wait for what it holds."""
    idle = [n for n, place in enumerate(places) if place.idle]

    def worth(n: int) -> tuple[float, ...]:
        place = places[n]
        room = math.inf if place.room is None else place.room
        return len(job.models & place.holds.keys()), room, -sum(place.has(other) for other in line), -n

    return max(idle, key=worth)
