from __future__ import annotations

import heapq
import random
import statistics
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from pipelines.engines.placement_policy import (
    MIN_BACKLOG_COUNT,
    DeviceState,
    WaitingJob,
    choose_placement,
    list_slow_models,
    required_backlog_count,
)

A, B, C = frozenset({"a"}), frozenset({"b"}), frozenset({"c"})


def make_device(*holds: str, room: int | None = 0, idle: bool = True) -> DeviceState:
    return DeviceState(dict.fromkeys(holds, 1), room, idle)


def test_a_job_goes_where_its_model_lies() -> None:
    assert choose_placement([WaitingJob("1", A)], [make_device("b", room=9), make_device("a")], 2) == (
        WaitingJob("1", A),
        1,
    )


def test_a_job_whose_model_lies_nowhere_goes_where_there_is_most_room() -> None:
    assert choose_placement([WaitingJob("1", C)], [make_device("a", room=1), make_device("b", room=2)], 2) == (
        WaitingJob("1", C),
        1,
    )


def test_a_job_waits_for_the_busy_device_that_has_its_model_until_many_do() -> None:
    places = [make_device("a", idle=False), make_device("b")]
    line = [WaitingJob(str(n), A) for n in range(3)]
    assert choose_placement(line[:2], places, backlog_count=3) is None
    assert choose_placement(line, places, backlog_count=3) == (line[0], 1)


@pytest.mark.parametrize("room", [1, None])
def test_a_second_copy_for_which_nothing_has_to_go_is_made_once_waiting_takes_longer_than_loading(
    room: int | None,
) -> None:
    places = [make_device("a", idle=False), make_device("b", room=room)]
    line = [WaitingJob(str(n), A) for n in range(5)]
    assert choose_placement(line[:4], places, backlog_count=9) is None
    assert choose_placement(line, places, backlog_count=9) == (line[0], 1)
    row = WaitingJob("row", A, more_follow=True)
    assert choose_placement([row], places, backlog_count=9) == (row, 1)


def test_who_can_begin_at_once_overtakes_who_would_have_to_wait() -> None:
    line = [WaitingJob("1", A), WaitingJob("2", B)]
    assert choose_placement(line, [make_device("a", idle=False), make_device("b")], 9) == (line[1], 1)


def test_of_two_that_are_full_the_one_goes_for_whose_models_nobody_waits() -> None:
    line = [WaitingJob("1", C), WaitingJob("2", A)]
    assert choose_placement(line, [make_device("a", idle=False), make_device("a", "d"), make_device("b", "d")], 9) == (
        line[1],
        1,
    )
    assert choose_placement(
        line[:1] + [WaitingJob("2", B)] * 2, [make_device("d"), make_device("e"), make_device("b", idle=False)], 9
    ) == (line[0], 0)


@pytest.mark.parametrize("places", [[], [make_device("a", idle=False)]])
def test_where_nothing_is_free_nobody_is_chosen(places: list[DeviceState]) -> None:
    assert choose_placement([WaitingJob("1", A)], places, 0) is None


def test_a_job_joins_a_busy_device_that_shares_calls_before_something_is_dropped_for_it() -> None:
    busy = [DeviceState({"a": 1}, 0, False, job_count=n, accepts_more=True) for n in (3, 2)]
    line = [WaitingJob("1", A)]
    assert choose_placement(line, [*busy, make_device("b")], backlog_count=9) == (line[0], 1)
    assert choose_placement(line, [*busy, make_device("b", room=1)], backlog_count=8) == (line[0], 2)
    assert choose_placement(line, [*busy, make_device("b")], backlog_count=4) == (line[0], 2)
    assert choose_placement([WaitingJob("2", C)], busy, backlog_count=9) is None


def test_small_nets_are_no_reason_to_go_anywhere() -> None:
    assert list_slow_models({"matte": "u2netp", "text": "klein"}, frozenset({"u2netp"})) == {"klein"}


def test_short_jobs_wait_in_larger_numbers_than_long_ones() -> None:
    assert (
        required_backlog_count(0.1)
        >= required_backlog_count(2.0)
        > required_backlog_count(20.0)
        > required_backlog_count(600.0)
        == MIN_BACKLOG_COUNT
    )


# ---------------------------------------------------------------- what it saves

WORK, LOADING, PLACES = 2.0, 12.0, 2


@dataclass
class Device:
    """Two places for checkpoints; the least recently used one leaves."""

    held: OrderedDict[str, None] = field(default_factory=OrderedDict)
    busy: bool = False
    loads: int = 0

    def run_model(self, model: str) -> float:
        """Seconds that a job with this model takes here."""
        fresh = model not in self.held
        self.held[model] = None
        self.held.move_to_end(model)
        if len(self.held) > PLACES:
            self.held.popitem(last=False)
        self.loads += fresh
        return WORK + LOADING * fresh


Pick = Callable[[Sequence[WaitingJob], Sequence[DeviceState]], "tuple[WaitingJob, int] | None"]


def choose_in_order(line: Sequence[WaitingJob], places: Sequence[DeviceState]) -> tuple[WaitingJob, int] | None:
    """The first in line, anywhere."""
    free = [n for n, each in enumerate(places) if each.is_idle]
    return (line[0], free[0]) if free else None


def choose_by_affinity(line: Sequence[WaitingJob], places: Sequence[DeviceState]) -> tuple[WaitingJob, int] | None:
    return choose_placement(line[:32], places, required_backlog_count(WORK))


def random_arrivals(seed: int, jobs: int, usage: float) -> Iterator[tuple[float, WaitingJob]]:
    """Jobs of eight checkpoints, the first wanted eight times as often as the last, at random moments."""
    dice, now = random.Random(seed), 0.0
    for n in range(jobs):
        now += dice.expovariate(4 * usage / WORK)
        model = dice.choices("abcdefgh", [1 / (k + 1) for k in range(8)])[0]
        yield now, WaitingJob(str(n), frozenset({model}))


def simulate_devices(pick: Pick, seed: int, jobs: int = 600, usage: float = 0.4) -> tuple[int, float]:
    """Loads on four devices, and the mean seconds from arrival to end."""
    devices = [Device() for _ in range(4)]
    coming = sorted(random_arrivals(seed, jobs, usage), key=lambda row: row[0], reverse=True)
    came = {job.id: at for at, job in coming}
    line: list[WaitingJob] = []
    ends: list[tuple[float, int]] = []
    spent = 0.0
    while coming or ends:
        now = min([row[0] for row in (*coming[-1:], *ends[:1])])
        while coming and coming[-1][0] <= now:
            line.append(coming.pop()[1])
        while ends and ends[0][0] <= now:
            devices[heapq.heappop(ends)[1]].busy = False
        while line:
            places = [DeviceState(dict.fromkeys(d.held, 1), PLACES - len(d.held), not d.busy) for d in devices]
            found = pick(line, places)
            if found is None:
                break
            job, n = found
            line.remove(job)
            devices[n].busy = True
            end = now + devices[n].run_model(next(iter(job.models)))
            spent += end - came[job.id]
            heapq.heappush(ends, (end, n))
    assert not line
    return sum(device.loads for device in devices), spent / jobs


def test_checkpoints_are_loaded_a_few_times_where_plain_order_loads_one_with_every_other_job() -> None:
    """Whoever knew all that comes would load each of the eight once."""
    ours = [simulate_devices(choose_by_affinity, seed) for seed in range(6)]
    plain = [simulate_devices(choose_in_order, seed) for seed in range(3)]
    assert statistics.mean(loads for loads, _ in ours) <= 1.3 * 8
    assert statistics.median(loads for loads, _ in ours) <= 9
    assert statistics.median(loads for loads, _ in plain) > 20 * 8
    assert statistics.median(seconds for _, seconds in ours) < 2.5 * WORK
