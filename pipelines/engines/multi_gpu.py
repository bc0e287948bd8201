"""Engine of several GPUs of one process: each job goes to the device that holds its models."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from pipelines.core.errors import QueueFull
from pipelines.core.geometry import Image
from pipelines.core.job import Job, Result
from pipelines.core.stream import Stream
from pipelines.engines.local import LocalEngine
from pipelines.engines.placement_policy import DeviceState
from pipelines.engines.scheduler import DeviceReservations
from pipelines.models.model_cache import ModelCache, ResidentModel

if TYPE_CHECKING:
    from pipelines.engines.ray_cluster.worker_client import WorkerClient


DeviceModels: TypeAlias = "ModelCache | WorkerClient"
"""The models of one device, in this process or in a worker's."""


class CombinedModels:
    """The models of all devices as one cache."""

    def __init__(self, caches: Sequence[DeviceModels]) -> None:
        self._caches = tuple(caches)

    @property
    def device(self) -> str:
        """The names of all devices."""
        return ", ".join(cache.device for cache in self._caches)

    @property
    def budget_bytes(self) -> int | None:
        """Bytes that models may take on all devices together, None for no limit."""
        budgets = [cache.budget_bytes for cache in self._caches if cache.budget_bytes is not None]
        return sum(budgets) if len(budgets) == len(self._caches) else None

    @property
    def load_counts(self) -> Counter[str]:
        """Reads from the disk, by spec id."""
        return sum((cache.load_counts.copy() for cache in self._caches), Counter[str]())

    def resident_models(self) -> list[ResidentModel]:
        """One row for each model; its bytes are those on all devices together."""
        found: dict[str, ResidentModel] = {}
        for copy in (row for cache in self._caches for row in cache.resident_models()):
            row = found.setdefault(copy["id"], ResidentModel(id=copy["id"], bytes=0, in_use=0, where=copy["where"]))
            row["bytes"] += copy["bytes"]
            row["in_use"] += copy["in_use"]
            row["where"] = "device" if "device" in (row["where"], copy["where"]) else "host"
        return list(found.values())

    def unload_model(self, spec_id: str) -> bool:
        """Unload an idle model from every device. Returns whether any did."""
        dropped = [cache.unload_model(spec_id) for cache in self._caches]
        return any(dropped)

    def evict_idle_models(self) -> None:
        """Drop models that were idle for long."""
        for cache in self._caches:
            cache.evict_idle_models()


class ScheduledEngine:
    """Base of the engines that have several devices and reserve one for each job.

    units: run the jobs. caches: their models. read_states and slots: see `DeviceReservations`.
    """

    name: str

    def __init__(
        self,
        units: Sequence[LocalEngine | WorkerClient],
        caches: Sequence[DeviceModels],
        read_states: Callable[[], Sequence[DeviceState]],
        slots: int = 1,
    ) -> None:
        self.cache = CombinedModels(caches)
        self._units = units
        self._reservations = DeviceReservations(read_states, slots)

    @property
    def steps(self) -> int:
        """Steps done since the start, as far as they were reported."""
        return sum(unit.steps for unit in self._units)

    def choose_job(self, line: Sequence[Job]) -> str | None:
        return self._reservations.reserve_next(line)

    def release_choice(self, job_id: str) -> None:
        self._reservations.release(job_id)

    def describe_state(self) -> dict[str, Any]:
        resident = [row["id"] for row in self.cache.resident_models()]
        return {"engine": self.name, "device": self.cache.device or None, "resident": resident}


class MultiGpuEngine(ScheduledEngine):
    """Runs jobs on `engines`, one for each device. Its slots are those of all together."""

    def __init__(self, engines: Sequence[LocalEngine], *, clock: Callable[[], float] = time.monotonic) -> None:
        caches = [engine.cache for engine in engines]
        super().__init__(engines, caches, lambda: [device_state(cache) for cache in caches], engines[0].slots)
        self.name = engines[0].name
        self.devices = len(engines)
        self.slots = sum(engine.slots for engine in engines)
        self._engines = tuple(engines)
        self._clock = clock

    def check_picture(self, image: Image, owner: str, sha256: str) -> None:
        """See `Engine.check_picture`. The first device checks it; the engine that runs the job checks it again."""
        self._engines[0].check_picture(image, owner, sha256)

    def run(self, job: Job) -> Stream:
        """Start `job` on the device reserved for it, else on the best free one. Raises `QueueFull`."""
        device = self._reservations.reserve_for(job)
        if device is None:
            raise QueueFull("Every device is at work.")
        engine = self._engines[device]
        return Stream.run_in_thread(lambda stream: self._run_on_device(engine, job, stream))

    def _run_on_device(self, engine: LocalEngine, job: Job, stream: Stream) -> Result:
        start, loads = self._clock(), engine.cache.load_counts.total()
        try:
            return engine.run_blocking(job, stream)
        finally:
            self.release_choice(job.id)
            if engine.cache.load_counts.total() == loads:
                self._reservations.record_warm_job_seconds(self._clock() - start)

    def close(self) -> None:
        """Free every model."""
        for engine in self._engines:
            engine.close()


def device_state(cache: DeviceModels) -> DeviceState:
    """The state of an idle device that holds the models of `cache`."""
    sizes = {row["id"]: row["bytes"] for row in cache.resident_models() if row["where"] == "device"}
    free_bytes = None if cache.budget_bytes is None else cache.budget_bytes - sum(sizes.values())
    return DeviceState(sizes, free_bytes, is_idle=True)
