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

CallKind = tuple[str, str, str]
"""What calls must have in common to be compared: model, device, and what else the model names."""

TIMES_PER_SIZE_COUNT = 5
"""Times that are kept of calls of one size, so that an old one does not count for good."""
MIN_TIMES_COUNT = 2
"""Calls of a size before it is judged: the first of a size may compile, or look for the best kernels."""
GOOD_RATE_RATIO = 0.97
"""A smaller call is as good where its pictures come at this share of the best rate."""
FALLEN_RATE_RATIO = 0.9
"""Where the rate has fallen to this share of the best, larger calls are not tried."""
RETRY_PERIOD_COUNT = 32
"""Every so many calls a size beside the best is tried anew: it may have been slow for what else the machine did."""
MAX_ROW_COUNT = 1000
"""Sizes of calls that are remembered; what was learned first is forgotten first."""
WRITE_PERIOD_COUNT = 16
"""Times that are noted between two writings; the first of a size is written at once."""


class BatchSizeTuner:
    """Seconds of model calls by kind and number of pictures. Safe from any thread."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._times: dict[tuple[CallKind, int], deque[float]] = {}
        self._failed_sizes: dict[CallKind, int] = {}
        self._record_count = 0
        self._query_counts = Counter[CallKind]()
        for row in read_rows(file, _from_row) if file is not None else ():
            self._times[row[0], row[1]] = deque(row[2], TIMES_PER_SIZE_COUNT)

    def record_time(self, kind: CallKind, pictures: int, seconds: float) -> None:
        """A call that drew so many pictures took so long."""
        with self._lock:
            times = self._times.setdefault((kind, pictures), deque(maxlen=TIMES_PER_SIZE_COUNT))
            times.append(seconds)
            if len(self._times) > MAX_ROW_COUNT:
                del self._times[next(iter(self._times))]
            self._record_count += 1
            if self._file is not None and (
                len(times) <= MIN_TIMES_COUNT or self._record_count % WRITE_PERIOD_COUNT == 0
            ):
                write_rows(self._file, [_to_row(*each) for each in sorted(self._times.items())])

    def record_failure(self, kind: CallKind, pictures: int) -> None:
        """A call of so many pictures failed where smaller ones do not: none of this size until the next start."""
        with self._lock:
            self._failed_sizes[kind] = min(pictures, self._failed_sizes.get(kind, pictures))

    def best_batch_size(self, kind: CallKind, waiting_count: int, max_size: int) -> int:
        """How many of the `waiting` pictures to draw in one call, never more than `most`, but at least 1.

        Sizes are judged at powers of two. One that is not known yet is tried, as long as larger calls have not fallen
        behind smaller ones.
        """
        with self._lock:
            max_size = min(max_size, self._failed_sizes.get(kind, max_size + 1) - 1)
            rates: dict[int, float] = {}
            size = 1
            while size <= max_size:
                times = self._times.get((kind, size), ())
                if len(times) < MIN_TIMES_COUNT:
                    if waiting_count >= size:
                        return size
                    break
                rates[size] = size / min(times)
                if rates[size] < FALLEN_RATE_RATIO * max(rates.values()):
                    break
                size *= 2
            best = _smallest_good_size(rates)
            self._query_counts[kind] += 1
            turn, now = divmod(self._query_counts[kind], RETRY_PERIOD_COUNT)
            other = 2 * best if turn % 2 else best // 2
            best = other if now == 0 and 1 <= other <= min(max_size, waiting_count) else best
        return max(1, min(waiting_count, best))


def _smallest_good_size(rates: Mapping[int, float]) -> int:
    """The smallest size that comes near the best rate."""
    best = max(rates.values(), default=0.0)
    return min((size for size, rate in rates.items() if rate >= GOOD_RATE_RATIO * best), default=1)


def _to_row(key: tuple[CallKind, int], times: deque[float]) -> dict[str, object]:
    (model, device, call), pictures = key
    return {"model": model, "device": device, "call": call, "pictures": pictures, "seconds": list(times)}


def _from_row(row: Mapping[str, Any]) -> tuple[CallKind, int, list[float]]:
    kind = str(row["model"]), str(row["device"]), str(row["call"])
    return kind, int(row["pictures"]), [float(each) for each in row["seconds"]]
