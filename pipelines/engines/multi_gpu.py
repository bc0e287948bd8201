"""Several devices in one process, a lane each: a job goes where its models lie; draws nothing itself."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pipelines.core.errors import QueueFull
from pipelines.core.geometry import Image
from pipelines.core.job import Job, Result
from pipelines.core.stream import Stream
from pipelines.engines.local import LocalEngine
from pipelines.engines.placement_policy import DeviceState
from pipelines.engines.scheduler import DeviceReservations
from pipelines.models.model_cache import ResidentModel


class DeviceModels(Protocol):
    """What can be asked of one device's models, see `Cache`."""

    @property
    def device(self) -> str: ...

    @property
    def budget_bytes(self) -> int | None: ...

    @property
    def load_counts(self) -> Counter[str]: ...

    def resident_models(self) -> list[ResidentModel]: ...

    def unload_model(self, spec_id: str) -> bool: ...

    def drop_expired(self) -> None: ...


class CombinedModels:
    """The models of all devices, looked at as one."""

    def __init__(self, caches: Sequence[DeviceModels]) -> None:
        self._caches = tuple(caches)

    @property
    def device(self) -> str:
        """Every device's name."""
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
        """One row a model, however many devices hold it; its bytes are those of all."""
        found: dict[str, ResidentModel] = {}
        for each in (row for cache in self._caches for row in cache.resident_models()):
            row = found.setdefault(each["id"], ResidentModel(id=each["id"], bytes=0, in_use=0, where=each["where"]))
            row["bytes"] += each["bytes"]
            row["in_use"] += each["in_use"]
            row["where"] = "device" if "device" in (row["where"], each["where"]) else "host"
        return list(found.values())

    def unload_model(self, spec_id: str) -> bool:
        """Drop a model wherever nobody borrows it; False where none was dropped."""
        dropped = [cache.unload_model(spec_id) for cache in self._caches]
        return any(dropped)

    def drop_expired(self) -> None:
        """Drop what nobody borrowed for long."""
        for cache in self._caches:
            cache.drop_expired()


class MultiGpuEngine:
    """The slots of all devices together. `engines` run on one device each."""

    def __init__(self, engines: Sequence[LocalEngine], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = engines[0].name
        self.devices = len(engines)
        self.slots = sum(engine.slots for engine in engines)
        self.cache = CombinedModels([engine.cache for engine in engines])
        self._engines = tuple(engines)
        self._clock = clock
        self._reservations = DeviceReservations(
            lambda: [device_state(engine.cache) for engine in self._engines], engines[0].slots
        )

    @property
    def steps(self) -> int:
        """Steps of work done since the start."""
        return sum(engine.steps for engine in self._engines)

    def choose_job(self, line: Sequence[Job]) -> str | None:
        """See `Turns.choose`."""
        return self._reservations.reserve_next(line)

    def release_choice(self, job_id: str) -> None:
        """See `Turns.forget`."""
        self._reservations.release(job_id)

    def check_picture(self, image: Image, owner: str, sha256: str) -> None:
        """See `Engine.admit`; whichever works on it later remembers it for itself."""
        self._engines[0].check_picture(image, owner, sha256)

    def run(self, job: Job) -> Stream:
        """Start `job` at once on the device kept for it, else on the best that is free. Raises `Busy`."""
        place = self._reservations.reserve_for(job)
        if place is None:
            raise QueueFull("Every device is at work.")
        engine = self._engines[place]
        return Stream.run_in_thread(lambda stream: self._run_on_device(engine, job, stream))

    def _run_on_device(self, engine: LocalEngine, job: Job, stream: Stream) -> Result:
        since, loads = self._clock(), engine.cache.load_counts.total()
        try:
            return engine.run_blocking(job, stream)
        finally:
            self.release_choice(job.id)
            if engine.cache.load_counts.total() == loads:
                self._reservations.record_seconds(self._clock() - since)

    def describe_state(self) -> dict[str, Any]:
        """What runs here: its name, the devices, the models loaded on any of them."""
        resident = [row["id"] for row in self.cache.resident_models()]
        return {"engine": self.name, "device": self.cache.device, "resident": resident}

    def close(self) -> None:
        """Free every model."""
        for engine in self._engines:
            engine.close()


def device_state(cache: DeviceModels) -> DeviceState:
    holds = {row["id"]: row["bytes"] for row in cache.resident_models() if row["where"] == "device"}
    return DeviceState(
        holds, None if cache.budget_bytes is None else cache.budget_bytes - sum(holds.values()), is_idle=True
    )
