"""What a row costs, from what was measured here of the same tool at the same size; draws nothing and knows no door.

Where a size was never made, the cost is that of the sizes on either side of it, or grows with the pixels from the
nearest: that is told, since it is a guess.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.core.params import Params
from pipelines.runtime.context import DRAWING, SCENE
from pipelines.runtime.progress import WAITS

SIZE = "size"
TIMES = ("variations", "seconds")
"""Fields of which twice as much is twice the work."""
STEP = 2
"""Steps from a number of pixels to its double; within one, a fifth more or less, costs are taken to be the same."""
PIXELS = 1 << 20
"""Pixels of a picture of which nothing is known."""


@dataclass(frozen=True)
class Cost:
    """Of one row: seconds of work, and bytes of the pictures it leaves."""

    seconds: float
    bytes: int


@dataclass(frozen=True)
class Measured:
    """What one job was asked for, and what it cost."""

    params: Mapping[str, Any]
    cost: Cost


@dataclass(frozen=True)
class Work:
    """How much a row asks for: its look, and its pixels as a step of a scale on which `STEP` steps are the double."""

    look: str
    step: int

    @property
    def pixels(self) -> float:
        """About so many."""
        return 2 ** (self.step / STEP)


def own_seconds(seconds: float, receipt: Mapping[str, Any]) -> float:
    """Of the seconds from claim to done those of the job's own work.

    What it waited for a model that drew for others is theirs, and a call that drew several pictures is its share only.
    """
    timings: Mapping[str, float] = receipt.get("timings") or {}
    drawn = sum(timings.get(stage, 0.0) for stage in (DRAWING, SCENE))
    shared = drawn * (1 - 1 / max(1, receipt.get("drawn_together", 1)))
    return max(0.0, seconds - timings.get(WAITS, 0.0) - shared)


def work_of(params: type[Params], values: Mapping[str, Any], pixels: Callable[[str], int | None]) -> Work:
    """What a job with these values asks for. `pixels` says how large a picture is, None where that is not known.

    Pixels are those of the size asked for, squared; of the photo, where the tool goes by that.
    """
    size = values.get(SIZE)
    area = size * size if isinstance(size, int) and size > 0 else _photo(params, values, pixels)
    for name in TIMES:
        area *= float(values.get(name) or 1) if name in params.model_fields else 1
    return Work(f"{values.get('preset', '')} {values.get('factor', '')}", round(STEP * math.log2(max(1.0, area))))


def _photo(params: type[Params], values: Mapping[str, Any], pixels: Callable[[str], int | None]) -> float:
    ids = (values.get(name) for name in params.fields_of_kind("picture"))
    first = next((file_id for file_id in ids if isinstance(file_id, str)), None)
    return (pixels(first) if first else None) or PIXELS


@dataclass(frozen=True)
class Priced:
    """What all rows of one tool cost, and how many of them were guessed from other sizes."""

    cost: Cost
    guessed: int


def priced(rows: Counter[Work], known: Iterable[tuple[Work, Cost]]) -> Priced | None:
    """The sum over the rows, each at the median of what was measured of its work; None where nothing was."""
    known = list(known)
    if not known:
        return None
    seconds = size = 0.0
    guessed = 0
    for work, count in rows.items():
        same = alike(work, known)
        each = median(same) if same else _guess(work, known)
        seconds, size = seconds + count * each.seconds, size + count * each.bytes
        guessed += 0 if same else count
    return Priced(Cost(seconds, round(size)), guessed)


def alike(work: Work, known: Iterable[tuple[Work, Cost]]) -> list[Cost]:
    """What was measured of this work; of this size with another look, where this look was not made."""
    size = [(other, cost) for other, cost in known if other.step == work.step]
    return [cost for other, cost in size if other.look == work.look] or [cost for _, cost in size]


def median(costs: Iterable[Cost]) -> Cost:
    """The middle of each."""
    costs = list(costs)
    return Cost(statistics.median(c.seconds for c in costs), round(statistics.median(c.bytes for c in costs)))


def _guess(work: Work, known: list[tuple[Work, Cost]]) -> Cost:
    """Between two sizes on a line from one to the other; beyond them by the pixels."""
    sizes = sorted({other.step: other for other, _ in known}.values(), key=lambda other: other.step)
    costs = [median(alike(Work(work.look, each.step), known)) for each in sizes]
    pixels = [each.pixels for each in sizes]
    end = min(max(work.pixels, pixels[0]), pixels[-1])
    seconds = float(np.interp(end, pixels, [cost.seconds for cost in costs]))
    size = float(np.interp(end, pixels, [cost.bytes for cost in costs]))
    return Cost(seconds * work.pixels / end, round(size * work.pixels / end))
