"""What a key may use at most, told and enforced: requests a minute, pictures a day, jobs at once; knows no route."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.core.errors import StudioError
from pipelines.core.job import Job
from ui.api.auth.keys import Key, Keys

MINUTE = 60.0
DAY = 24 * 3600
SOON = 2
"""Seconds after which a busy key may try again: a job may have ended by then."""


class TooMuch(StudioError):
    """A key is over one of its bounds; `retry_after` is in whole seconds."""

    code = "rate_limited"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = max(1, retry_after)


@dataclass(frozen=True)
class Standing:
    """Of `limit` requests a minute `remaining` are left; the first that counts is forgotten in `reset` seconds."""

    limit: int
    remaining: int
    reset: int

    def headers(self) -> dict[str, str]:
        """As everybody, and as OpenAI's clients, spell them."""
        limit, left = str(self.limit), str(self.remaining)
        return {
            "X-RateLimit-Limit": limit,
            "X-RateLimit-Remaining": left,
            "X-RateLimit-Reset": str(self.reset),
            "X-RateLimit-Limit-Requests": limit,
            "X-RateLimit-Remaining-Requests": left,
            "X-RateLimit-Reset-Requests": f"{self.reset}s",
        }


class Limits:
    """Counts of all keys. Requests are counted in memory over a moving minute, pictures on disk over a UTC day."""

    def __init__(self, keys: Keys, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: dict[str, deque[float]] = {}

    def request(self, key: Key) -> tuple[Standing | None, TooMuch | None]:
        """Count a request of `key`: how it stands, None where it has no bound, and why it is refused, if it is."""
        limit = key.bounds.per_minute
        if limit is None:
            return None, None
        with self._lock:
            now = self._clock()
            asked = self._asked.setdefault(key.id, deque())
            while asked and asked[0] <= now - MINUTE:
                asked.popleft()
            refused = len(asked) >= limit
            if not refused:
                asked.append(now)
            reset = max(1, round(asked[0] + MINUTE - now)) if asked else round(MINUTE)
            standing = Standing(limit, max(0, limit - len(asked)), reset)
        return standing, TooMuch(f"This key may ask {limit} times a minute.", reset) if refused else None

    def admit(self, job: Job, active: Callable[[str], int]) -> None:
        """Count a job of a key before it stands in line; raises `TooMuch`. `active` tells an owner's unfinished jobs.

        Rows of a batch wait for each other anyway, so only their pictures count.
        """
        key = self._keys.of(job.owner)
        if key is None or job.draft:
            return
        day = time.strftime("%Y-%m-%d", time.gmtime(self._clock()))
        pictures = pictures_of(job)
        with self._lock:
            at_once, per_day = key.bounds.at_once, key.bounds.per_day
            if at_once is not None and not job.batch and active(job.owner) >= at_once:
                raise TooMuch(f"This key may have {at_once} jobs at once.", SOON)
            if per_day is not None and self._keys.pictures(key.id, day) + pictures > per_day:
                raise TooMuch(f"This key may make {per_day} pictures a day.", DAY - int(self._clock()) % DAY)
            self._keys.count(key.id, job.tool, pictures, day)


def pictures_of(job: Job) -> int:
    """How many pictures a job asks for."""
    asked = job.params.get("variations")
    return asked if isinstance(asked, int) and asked > 0 else 1
