"""One worker as the studio's process sees it: what it is asked, what it said of itself last; knows no other worker."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from functools import cache
from typing import Any

from pipelines.core.errors import JobCancelled, QueueFull
from pipelines.core.job import Step
from pipelines.core.stream import Stream
from pipelines.engines.placement_policy import DeviceState
from pipelines.engines.ray_cluster.transfer import Ended, Order, State
from pipelines.models.model_cache import ResidentModel

FULL = "Every worker is at work. Please try again in a moment."
BEAT = 1.0
"""Seconds between two looks whether a worker is there, or whether to stop waiting for it."""

log = logging.getLogger("designerbox")


class Worker:
    """One worker as this process sees it. `state` is what it said last, None while it is not there."""

    def __init__(self, handle: Any, idle: float) -> None:
        self.state: State | None = None
        self.closed = threading.Event()
        self._handle = handle
        self._idle = idle
        self._told = time.monotonic()
        self._gone_steps = 0
        self._gone_loads: Counter[str] = Counter()

    # ------------------------------------------------------------ what it is asked

    def greet(self) -> None:
        """Wait until it is there."""
        while not self.closed.is_set():
            asked = self._handle.hello.remote()
            while not self.closed.is_set():
                try:
                    self.hear(asked.result(timeout_s=BEAT))
                    return
                except TimeoutError:
                    continue
                except lost():
                    self.closed.wait(BEAT)
                    break
            asked.cancel()

    def follow(self, order: Order, stream: Stream) -> Ended:
        """Have it done, steps going to `stream`. Raises what `lost` names, `Busy`, `Cancelled`."""
        from ray.serve.exceptions import BackPressureError

        told = self._handle.options(stream=True).run.remote(order)
        stream.call_when_closed(told.cancel)
        watched = order.watched
        try:
            for heard in told:
                if isinstance(heard, Ended):
                    self.hear(heard.state)
                    return heard
                if stream.is_watched != watched:
                    watched = stream.is_watched
                    self._handle.watch.remote(order.job.id, watched)
                for step in heard:
                    stream.put(step if watched else Step(step.index, step.total, step.stage))
        except BackPressureError as error:
            raise QueueFull(FULL) from error
        finally:
            told.cancel()
        raise JobCancelled

    def hear(self, state: State) -> None:
        """What it says of itself; another process than last time begins to count anew."""
        if self.state is not None and self.state.pid != state.pid:
            self.lose()
        self.state = state
        self._told = time.monotonic()

    def lose(self) -> None:
        """It is gone, and what it had loaded with it."""
        if self.state is not None:
            self._gone_steps += self.state.steps
            self._gone_loads.update(self.state.loads)
        self.state = None

    # ------------------------------------------------------------ what lies there, see `Holds`

    def place(self) -> DeviceState:
        """How it stands for the next job; one that has gone for want of work holds nothing."""
        if self.state is None:
            return DeviceState({}, None, is_idle=False)
        rows = () if self._idle and time.monotonic() - self._told > self._idle else self.state.resident
        holds = {row["id"]: row["bytes"] for row in rows if row["where"] == "device"}
        room = None if self.state.budget is None else self.state.budget - sum(holds.values())
        return DeviceState(holds, room, is_idle=True)

    @property
    def steps(self) -> int:
        """Steps of work, those of lost workers too as far as they were told."""
        return self._gone_steps + (self.state.steps if self.state is not None else 0)

    @property
    def device(self) -> str:
        """As torch names it, "" while it is not known."""
        return self.state.device if self.state is not None else ""

    @property
    def budget_bytes(self) -> int | None:
        """Bytes that models may take, None for no limit."""
        return self.state.budget if self.state is not None else None

    @property
    def load_counts(self) -> Counter[str]:
        """Reads from the disk, by spec id."""
        return self._gone_loads + Counter(self.state.loads if self.state is not None else {})

    def resident_models(self) -> list[ResidentModel]:
        """The models that lay there when it was last heard of."""
        return list(self.state.resident) if self.state is not None else []

    def unload_model(self, spec_id: str) -> bool:
        """Drop a model that nobody borrows; False where none was dropped."""
        if self.state is None or spec_id not in {row["id"] for row in self.state.resident}:
            return False
        try:
            dropped, state = self._handle.unload.remote(spec_id).result()
        except lost():
            return False
        self.hear(state)
        return dropped

    def drop_expired(self) -> None:
        """Drop what nobody borrowed for long."""
        # One that may have gone for want of work is not called back for this.
        if self.state is None or self._idle:
            return
        try:
            self.hear(self._handle.sweep.remote().result(timeout_s=BEAT))
        except (TimeoutError, *lost()):
            log.warning("a worker did not answer")


@cache
def lost() -> tuple[type[Exception], ...]:
    """What Ray says of a call whose worker, or the machine under it, is gone."""
    from ray import exceptions as e
    from ray.serve import exceptions as s

    return (
        e.RayActorError, e.WorkerCrashedError, e.NodeDiedError, e.ObjectLostError, e.TaskCancelledError, e.RpcError,
        e.ActorUnschedulableError, s.ReplicaUnavailableError, s.DeploymentUnavailableError,
    )  # fmt: skip
