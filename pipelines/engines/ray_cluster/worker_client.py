"""The studio's side of one cluster worker: starts its actor, runs jobs on it, and remembers the state it last sent."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from pipelines.core.errors import JobCancelled
from pipelines.core.job import Job, Step
from pipelines.core.malloc import trim_heap
from pipelines.core.stream import Stream
from pipelines.engines.local import LocalEngine
from pipelines.engines.multi_gpu import device_state
from pipelines.engines.placement_policy import DeviceState
from pipelines.engines.ray_cluster.transfer import JobOutcome, PackedFile, WorkerState
from pipelines.models.model_cache import ResidentModel

T = TypeVar("T")
POLL_SECONDS = 1.0  # seconds between two checks whether a worker has started
CALL_SECONDS = 10.0  # seconds after which a worker is taken not to answer a short call

log = logging.getLogger("designerbox")


class WorkerClient:
    """One worker, and what it last reported. It is not `is_connected` while its process is lost or starts.

    start_actor: starts its process on the cluster. idle_seconds: how long it may be idle before its process ends and
    gives its device back; the next job starts it again. 0: it never ends.
    """

    def __init__(self, start_actor: Callable[[], Any], idle_seconds: float) -> None:
        self.is_connected = False
        self.pid = 0
        self.device = ""
        self.budget_bytes: int | None = None
        self.steps = self._lost_steps = 0
        self.load_counts = self._lost_loads = Counter[str]()
        self._resident: tuple[ResidentModel, ...] = ()
        self._start_actor = start_actor
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._actor: Any = None
        self._is_running = False
        self._last_contact = time.monotonic()

    @property
    def actor(self) -> Any:
        """The actor, started if it is not there."""
        with self._lock:
            self._actor = self._actor or self._start_actor()
            return self._actor

    def connect(self) -> None:
        """Wait until the worker answers; start it anew if it is lost meanwhile."""
        import ray

        call = None
        while not self._closed.is_set():
            call = call or self.actor.apply.remote(bool)
            try:
                return self._update_state(ray.get(call, timeout=POLL_SECONDS)[1])
            except TimeoutError:
                continue
            except lost_errors():
                self.end_actor()
                call = self._closed.wait(POLL_SECONDS) and None

    def run(self, job: Job, inputs: tuple[PackedFile, ...], stream: Stream) -> JobOutcome:
        """Run a job, its steps going to `stream`. Raises one of `lost_errors`, or `JobCancelled`."""
        import ray

        self._is_running = True
        try:
            actor, is_watched = self.actor, stream.is_watched
            call = actor.run.options(num_returns="streaming").remote(job, inputs, is_watched)
            stream.call_when_closed(lambda: ray.cancel(call))
            for reference in call:
                event = ray.get(reference)
                if isinstance(event, JobOutcome):
                    self._update_state(event.state)
                    return event
                if stream.is_watched != is_watched:
                    is_watched = stream.is_watched
                    actor.set_watched.remote(job.id, is_watched)
                for step in event:
                    stream.put(step if is_watched else Step(step.index, step.total, step.stage))
        finally:
            self._is_running = False
        raise JobCancelled

    def mark_lost(self) -> None:
        """Note that the process is gone: another one counts steps and loads from 0."""
        self._lost_steps, self._lost_loads, self.is_connected = self.steps, self.load_counts, False

    def end_actor(self) -> None:
        """End the process, if there is one."""
        import ray

        with self._lock:
            if self._actor is not None:
                ray.wait([self._actor.__ray_terminate__.remote()], timeout=CALL_SECONDS)  # it deletes its folder
                ray.kill(self._actor)
                self._actor = None

    def close(self) -> None:
        """End the process for good."""
        self._closed.set()
        self.end_actor()

    def _update_state(self, state: WorkerState) -> None:
        if state.pid != self.pid:
            self.mark_lost()
        self.pid, self.device, self.budget_bytes = state.pid, state.device, state.budget_bytes
        self._resident = state.resident
        self.steps = self._lost_steps + state.steps
        self.load_counts = self._lost_loads + Counter(state.load_counts)
        self.is_connected, self._last_contact = True, time.monotonic()

    def device_state(self) -> DeviceState:
        """The state for placing a job: not idle while the worker is not there."""
        return device_state(self) if self.is_connected else DeviceState({}, None, is_idle=False)

    def resident_models(self) -> list[ResidentModel]:
        """The models that the worker held when it last sent its state; none if its process has ended."""
        return list(self._resident) if self._actor is not None else []

    def unload_model(self, spec_id: str) -> bool:
        """Unload an idle model. Returns whether it did."""
        is_resident = spec_id in {row["id"] for row in self.resident_models()}
        return is_resident and bool(self._call_engine(lambda engine: engine.cache.unload_model(spec_id)))

    def evict_idle_models(self) -> None:
        """Drop models that were idle for long, or end the process if it was idle for `idle_seconds`."""
        if self._actor is None or not self.is_connected:
            return
        if not self._idle_seconds:
            self._call_engine(lambda engine: (engine.cache.evict_idle_models(), trim_heap()))
        elif not self._is_running and time.monotonic() - self._last_contact > self._idle_seconds:
            self.end_actor()

    def _call_engine(self, function: Callable[[LocalEngine], T]) -> T | None:
        """Call `function` with the worker's engine. Returns its result, None if the worker does not answer."""
        import ray

        try:
            result, state = ray.get(self.actor.apply.remote(function), timeout=CALL_SECONDS)
        except (TimeoutError, *lost_errors()):
            log.warning("a worker did not answer")
            return None
        self._update_state(state)
        return result


@cache
def lost_errors() -> tuple[type[Exception], ...]:
    """The errors by which Ray says that a worker, or the machine under it, is gone."""
    from ray import exceptions as e

    process = e.RayActorError, e.WorkerCrashedError, e.NodeDiedError, e.ActorUnschedulableError
    return (*process, e.ObjectLostError, e.TaskCancelledError, e.RpcError)
