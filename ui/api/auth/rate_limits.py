"""Rate limits and quotas of API keys: requests a minute, pictures a day, jobs at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.core.job import Job
from ui.api.auth.keys import ApiKey, KeyStore
from ui.api.errors import RateLimited

WINDOW_SECONDS = 60.0
DAY_SECONDS = 24 * 3600
MAX_NAME_COUNT = 10_000
"""Names from which those that caused nothing lately are forgotten."""
BUSY_RETRY_SECONDS = 2
"""Seconds in `Retry-After` of a key that has too many jobs at once; one may have ended by then."""


@dataclass(frozen=True)
class RateLimitState:
    """Of `limit` requests a minute `remaining` are left; one more is free in `reset` seconds."""

    limit: int
    remaining: int
    reset: int

    def to_headers(self) -> dict[str, str]:
        """Write the usual response headers, and those that OpenAI's clients read."""
        limit, left = str(self.limit), str(self.remaining)
        return {
            "X-RateLimit-Limit": limit,
            "X-RateLimit-Remaining": left,
            "X-RateLimit-Reset": str(self.reset),
            "X-RateLimit-Limit-Requests": limit,
            "X-RateLimit-Remaining-Requests": left,
            "X-RateLimit-Reset-Requests": f"{self.reset}s",
        }


class SlidingWindow:
    """Counts events in memory by the name of who causes them, over the last `seconds`. Thread-safe."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.time) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}

    def count_event(self, name: str, limit: int) -> tuple[RateLimitState, bool]:
        """Count an event of `name` unless there were `limit` already; returns the state, and whether it is refused."""
        with self._lock:
            now = self._clock()
            if len(self._times) >= MAX_NAME_COUNT and name not in self._times:
                self._times = {key: rows for key, rows in self._times.items() if rows[-1] > now - self._seconds}
            times = self._times.setdefault(name, deque())
            while times and times[0] <= now - self._seconds:
                times.popleft()
            refused = len(times) >= limit
            if not refused:
                times.append(now)
            reset = max(1, round(times[0] + self._seconds - now)) if times else round(self._seconds)
            return RateLimitState(limit, max(0, limit - len(times)), reset), refused


class RateLimiter:
    """Counts requests in memory over a sliding minute, and pictures in the database over a UTC day."""

    def __init__(self, keys: KeyStore, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._clock = clock
        self._lock = threading.Lock()
        self._requests = SlidingWindow(WINDOW_SECONDS, clock)

    def count_request(self, key: ApiKey) -> tuple[RateLimitState | None, RateLimited | None]:
        """Count a request of `key`; returns the state (None without a limit) and the error when it must be refused."""
        limit = key.limits.per_minute
        if limit is None:
            return None, None
        state, refused = self._requests.count_event(key.id, limit)
        return state, RateLimited(f"This key may ask {limit} times a minute.", state.reset) if refused else None

    def admit_job(self, job: Job, count_active: Callable[[str], int]) -> None:
        """Count a new job against the quotas of its owner's key. Raises `RateLimited`.

        `count_active(owner)` counts unfinished jobs. Batch rows run one after another, so only their pictures count.
        """
        key = self._keys.find_by_owner(job.owner)
        if key is None or job.draft:
            return
        day = time.strftime("%Y-%m-%d", time.gmtime(self._clock()))
        pictures = count_pictures(job)
        with self._lock:
            at_once, per_day = key.limits.at_once, key.limits.per_day
            if at_once is not None and not job.batch and count_active(job.owner) >= at_once:
                raise RateLimited(f"This key may have {at_once} jobs at once.", BUSY_RETRY_SECONDS)
            if per_day is not None and self._keys.count_pictures(key.id, day) + pictures > per_day:
                seconds_left = DAY_SECONDS - int(self._clock()) % DAY_SECONDS
                raise RateLimited(f"This key may make {per_day} pictures a day.", seconds_left)
            self._keys.count_job(key.id, job.tool, pictures, day)


def count_pictures(job: Job) -> int:
    """Count the pictures that a job asks for."""
    count = job.params.get("variations")
    return count if isinstance(count, int) and count > 0 else 1
