"""How far a job is and how long it still takes, by the last job of the same tool that took the same steps."""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import NamedTuple

from pipelines.core.job import Step

MAX_PACE_RATIO = 1.3
"""How much faster or slower than the last job this one may be so far for its time left to be said."""
MIN_ELAPSED_SECONDS = 1.0
"""Time after which the pace of a job is known."""


class Estimate(NamedTuple):
    """Share of the job that is done, 0 to 1, and the seconds that are left; None where they are unknown."""

    share: float | None = None
    seconds_left: float | None = None


@dataclass
class JobTimes:
    """When each step of one job came, in seconds since its first step."""

    last: dict[Hashable, float]
    last_seconds: float
    times: dict[Hashable, float] = field(default_factory=dict[Hashable, float])
    began_at: float | None = None
    share: float = 0.0

    def note_step(self, step: Step, now: float | None = None) -> Estimate:
        """Note that `step` has come, at `now` on the monotonic clock; return what is known of the rest."""
        now = time.monotonic() if now is None else now
        self.began_at = now if self.began_at is None else self.began_at
        elapsed, key = now - self.began_at, (step.stage, step.index, step.total)
        self.times.setdefault(key, elapsed)
        before = self.last.get(key)
        if before is None or not self.last_seconds:
            return Estimate()
        self.share = max(self.share, min(0.99, before / self.last_seconds))
        pace = elapsed / before if before else 0.0
        known = elapsed >= MIN_ELAPSED_SECONDS and 1 / MAX_PACE_RATIO <= pace <= MAX_PACE_RATIO
        return Estimate(self.share, (self.last_seconds - before) * pace if known else None)


class ProgressTimes:
    """Remembers the last finished job of one tool."""

    def __init__(self) -> None:
        self._times: dict[Hashable, float] = {}
        self._seconds = 0.0

    def start_job(self) -> JobTimes:
        """Return the clock of a new job."""
        return JobTimes(self._times, self._seconds)

    def finish_job(self, job: JobTimes, now: float | None = None) -> None:
        """Remember the job's times for the next one."""
        if job.began_at is not None:
            self._times = job.times
            self._seconds = (time.monotonic() if now is None else now) - job.began_at
