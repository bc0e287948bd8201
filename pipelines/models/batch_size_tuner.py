"""Batch size tuning: measures how long model calls take by batch size and chooses the best batch size.

What one more picture in a call costs depends on how much of the device the others leave idle. A step over few tokens
leaves most of a GPU idle; a step over many tokens, or any step on a processor, leaves nothing. So the time is measured
for each kind of call, and the smallest size is chosen whose pictures per second are near the maximum.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.models.peak_memory import read_rows, write_rows

CallKind = tuple[str, str, str]
"""Calls of one kind are compared with each other: model, device, and what else the model names."""

TIMES_PER_SIZE_COUNT = 5  # times kept for each size, so that an old one is forgotten
MIN_TIMES_COUNT = 2
"""Times needed before a size is judged: the first call of a size may compile, or search for the best kernels."""
GOOD_RATE_RATIO = 0.97  # share of the best rate from which a smaller size is considered as good
FALLEN_RATE_RATIO = 0.9  # share of the best rate below which larger sizes are not tried
RETRY_PERIOD_COUNT = 32
"""Calls between two trials of a size next to the best: it may have been slow because the machine was busy."""
MAX_ROW_COUNT = 1000  # kinds and sizes that are remembered; the oldest is forgotten first
WRITE_PERIOD_COUNT = 16  # times between two writings of the file; the first times of a size are written at once


class BatchSizeTuner:
    """Seconds of model calls by kind and batch size, saved to `file` if given. Safe from any thread."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._times: dict[tuple[CallKind, int], deque[float]] = {}
        self._failed_sizes: dict[CallKind, int] = {}
        self._record_count = 0
        self._query_counts = Counter[CallKind]()
        for row in read_rows(file, _call_times_from_row) if file is not None else ():
            self._times[row[0], row[1]] = deque(row[2], TIMES_PER_SIZE_COUNT)

    def record_call_seconds(self, kind: CallKind, pictures: int, seconds: float) -> None:
        """Record that a call which drew so many pictures took so long."""
        with self._lock:
            times = self._times.setdefault((kind, pictures), deque(maxlen=TIMES_PER_SIZE_COUNT))
            times.append(seconds)
            if len(self._times) > MAX_ROW_COUNT:
                del self._times[next(iter(self._times))]
            self._record_count += 1
            if self._file is not None and (
                len(times) <= MIN_TIMES_COUNT or self._record_count % WRITE_PERIOD_COUNT == 0
            ):
                write_rows(self._file, [_call_times_to_row(*each) for each in sorted(self._times.items())])

    def find_slowest_call_seconds(self, kind: CallKind, pictures: int) -> float | None:
        """Return the longest time of such a call; None where none was measured."""
        with self._lock:
            return max(self._times.get((kind, pictures), ()), default=None)

    def record_failure(self, kind: CallKind, pictures: int) -> None:
        """Record that a call of so many pictures failed: none of this size or larger until the next start."""
        with self._lock:
            self._failed_sizes[kind] = min(pictures, self._failed_sizes.get(kind, pictures))

    def best_batch_size(self, kind: CallKind, waiting_count: int, max_size: int) -> int:
        """Choose how many of the waiting pictures to draw in one call: at least 1, at most `max_size`.

        Sizes are judged at powers of two. An unknown size is tried, unless larger sizes have been slower than smaller
        ones.
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
            period, calls_in_period = divmod(self._query_counts[kind], RETRY_PERIOD_COUNT)
            neighbour = 2 * best if period % 2 else best // 2
            if calls_in_period == 0 and 1 <= neighbour <= min(max_size, waiting_count):
                best = neighbour
        return max(1, min(waiting_count, best))


def _smallest_good_size(rates: Mapping[int, float]) -> int:
    """Return the smallest size whose rate is near the best."""
    best = max(rates.values(), default=0.0)
    return min((size for size, rate in rates.items() if rate >= GOOD_RATE_RATIO * best), default=1)


def _call_times_to_row(key: tuple[CallKind, int], times: deque[float]) -> dict[str, object]:
    (model, device, call), pictures = key
    return {"model": model, "device": device, "call": call, "pictures": pictures, "seconds": list(times)}


def _call_times_from_row(row: Mapping[str, Any]) -> tuple[CallKind, int, list[float]]:
    kind = str(row["model"]), str(row["device"]), str(row["call"])
    return kind, int(row["pictures"]), [float(each) for each in row["seconds"]]
