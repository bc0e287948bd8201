"""What a visitor has left of ZeroGPU's seconds, asked of Hugging Face with the token that they signed in with.

The token goes into the question and is not kept. Answers are kept in memory, so that the question is asked seldom.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import anyio
import anyio.to_thread

from pipelines.models.checkpoint import hub_client_errors

QUOTA_SCOPE = "read-billing"
"""The scope that a token needs for the question. A Space asks its visitors for it by `hf_oauth_scopes`."""
ASK_INTERVAL_SECONDS = 20.0
TIMEOUT_SECONDS = 5.0
_MAX_WAITING_THREADS = 4


@dataclass(frozen=True)
class GpuQuota:
    """Seconds of GPU that are left and that there are in all; `resets_at` is None where none was used yet."""

    remaining_seconds: float
    base_seconds: float
    resets_at: datetime | None


class QuotaReader:
    """Asks how much visitors have left, at most every `ASK_INTERVAL_SECONDS` for each."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: dict[str, tuple[float, GpuQuota | None]] = {}
        self._threads = anyio.CapacityLimiter(_MAX_WAITING_THREADS)

    async def read(self, account: str, token: str) -> GpuQuota | None:
        """Return what the account has left; None where the service does not say it in `TIMEOUT_SECONDS`."""
        oldest = self._clock() - ASK_INTERVAL_SECONDS
        self._answers = {name: row for name, row in self._answers.items() if row[0] > oldest}
        if account not in self._answers:
            quota = None
            with anyio.move_on_after(TIMEOUT_SECONDS):  # the hub's client has no limit of its own
                quota = await anyio.to_thread.run_sync(
                    _fetch_quota, token, abandon_on_cancel=True, limiter=self._threads
                )
            self._answers[account] = (self._clock(), quota)
        return self._answers[account][1]


def _fetch_quota(token: str) -> GpuQuota | None:
    import huggingface_hub

    ask = getattr(huggingface_hub, "get_zero_gpu_quota", None)  # huggingface_hub 1.x has none
    if ask is None:
        return None
    try:
        found = ask(token=token)
        return GpuQuota(float(found.remaining), float(found.base), found.resets_at)
    except (*hub_client_errors(), KeyError, TypeError, ValueError):
        return None
