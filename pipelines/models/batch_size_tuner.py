"""Remembers how long model calls took by how many pictures they drew, and says how many pay; knows no model.

What one more picture in a call costs depends on how much of the device the others leave idle. A step over few tokens
leaves most of a GPU idle; one over many, or any on a processor, leaves nothing. So it is measured for each kind of call
and the smallest one is taken whose pictures come about as fast as they come at all.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.models.peak_memory import read_rows, write_rows

Kind = tuple[str, str, str]
"""What calls must have in common to be compared: model, device, and what else the model names."""

KEPT = 5
"""Times that are kept of calls of one size, so that an old one does not count for good."""
TRIES = 2
"""Calls of a size before it is judged: the first of a size may compile, or look for the best kernels."""
GOOD = 0.97
"""A smaller call is as good where its pictures come at this share of the best rate."""
WORSE = 0.9
"""Where the rate has fallen to this share of the best, larger calls are not tried."""
AGAIN = 32
"""Every so many calls a size beside the best is tried anew: it may have been slow for what else the machine did."""
MOST_ROWS = 1000
"""Sizes of calls that are remembered; what was learned first is forgotten first."""
WRITTEN_EVERY = 16
"""Times that are noted between two writings; the first of a size is written at once."""


class Paces:
    """Seconds of model calls by kind and number of pictures. Safe from any thread."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._seen: dict[tuple[Kind, int], deque[float]] = {}
        self._refused: dict[Kind, int] = {}
        self._noted = 0
        self._asked = Counter[Kind]()
        for row in read_rows(file, _parsed) if file is not None else ():
            self._seen[row[0], row[1]] = deque(row[2], KEPT)

    def note(self, kind: Kind, pictures: int, seconds: float) -> None:
        """A call that drew so many pictures took so long."""
        with self._lock:
            times = self._seen.setdefault((kind, pictures), deque(maxlen=KEPT))
            times.append(seconds)
            if len(self._seen) > MOST_ROWS:
                del self._seen[next(iter(self._seen))]
            self._noted += 1
            if self._file is not None and (len(times) <= TRIES or self._noted % WRITTEN_EVERY == 0):
                write_rows(self._file, [_plain(*each) for each in sorted(self._seen.items())])

    def refuse(self, kind: Kind, pictures: int) -> None:
        """A call of so many pictures failed where smaller ones do not: none of this size until the next start."""
        with self._lock:
            self._refused[kind] = min(pictures, self._refused.get(kind, pictures))

    def pays(self, kind: Kind, waiting: int, most: int) -> int:
        """How many of the `waiting` pictures to draw in one call, never more than `most`, but at least 1.

        Sizes are judged at powers of two. One that is not known yet is tried, as long as larger calls have not fallen
        behind smaller ones.
        """
        with self._lock:
            most = min(most, self._refused.get(kind, most + 1) - 1)
            rates: dict[int, float] = {}
            size = 1
            while size <= most:
                times = self._seen.get((kind, size), ())
                if len(times) < TRIES:
                    if waiting >= size:
                        return size
                    break
                rates[size] = size / min(times)
                if rates[size] < WORSE * max(rates.values()):
                    break
                size *= 2
            best = _smallest(rates)
            self._asked[kind] += 1
            turn, now = divmod(self._asked[kind], AGAIN)
            other = 2 * best if turn % 2 else best // 2
            best = other if now == 0 and 1 <= other <= min(most, waiting) else best
        return max(1, min(waiting, best))


def _smallest(rates: Mapping[int, float]) -> int:
    """The smallest size that comes near the best rate."""
    best = max(rates.values(), default=0.0)
    return min((size for size, rate in rates.items() if rate >= GOOD * best), default=1)


def _plain(key: tuple[Kind, int], times: deque[float]) -> dict[str, object]:
    (model, device, call), pictures = key
    return {"model": model, "device": device, "call": call, "pictures": pictures, "seconds": list(times)}


def _parsed(row: Mapping[str, Any]) -> tuple[Kind, int, list[float]]:
    kind = str(row["model"]), str(row["device"]), str(row["call"])
    return kind, int(row["pictures"]), [float(each) for each in row["seconds"]]
