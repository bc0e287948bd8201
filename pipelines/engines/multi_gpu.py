"""Several devices in one process, a lane each: a job goes where its models lie; draws nothing itself."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pipelines.core.errors import Busy
from pipelines.core.geometry import Image
from pipelines.core.job import Job, Result
from pipelines.core.stream import Stream
from pipelines.engines.local import LocalEngine
from pipelines.engines.placement_policy import Place
from pipelines.engines.scheduler import Turns
from pipelines.models.model_cache import Resident


class Holds(Protocol):
    """What can be asked of one device's models, see `Cache`."""

    @property
    def device(self) -> str: ...

    @property
    def budget(self) -> int | None: ...

    @property
    def loads(self) -> Counter[str]: ...

    def resident(self) -> list[Resident]: ...

    def unload(self, spec_id: str) -> bool: ...

    def sweep(self) -> None: ...


class Caches:
    """The models of all devices, looked at as one."""

    def __init__(self, caches: Sequence[Holds]) -> None:
        self._caches = tuple(caches)

    @property
    def device(self) -> str:
        """Every device's name."""
        return ", ".join(cache.device for cache in self._caches)

    @property
    def budget(self) -> int | None:
        """Bytes that models may take on all devices together, None for no limit."""
        budgets = [cache.budget for cache in self._caches if cache.budget is not None]
        return sum(budgets) if len(budgets) == len(self._caches) else None

    @property
    def loads(self) -> Counter[str]:
        """Reads from the disk, by spec id."""
        return sum((cache.loads.copy() for cache in self._caches), Counter[str]())

    def resident(self) -> list[Resident]:
        """One row a model, however many devices hold it; its bytes are those of all."""
        found: dict[str, Resident] = {}
        for each in (row for cache in self._caches for row in cache.resident()):
            row = found.setdefault(each["id"], Resident(id=each["id"], bytes=0, in_use=0, where=each["where"]))
            row["bytes"] += each["bytes"]
            row["in_use"] += each["in_use"]
            row["where"] = "device" if "device" in (row["where"], each["where"]) else "host"
        return list(found.values())

    def unload(self, spec_id: str) -> bool:
        """Drop a model wherever nobody borrows it; False where none was dropped."""
        dropped = [cache.unload(spec_id) for cache in self._caches]
        return any(dropped)

    def sweep(self) -> None:
        """Drop what nobody borrowed for long."""
        for cache in self._caches:
            cache.sweep()


class Several:
    """The slots of all devices together. `engines` run on one device each."""

    def __init__(self, engines: Sequence[LocalEngine], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = engines[0].name
        self.devices = len(engines)
        self.slots = sum(engine.slots for engine in engines)
        self.cache = Caches([engine.cache for engine in engines])
        self._engines = tuple(engines)
        self._clock = clock
        self._turns = Turns(lambda: [_place(engine.cache) for engine in self._engines], engines[0].slots)

    @property
    def steps(self) -> int:
        """Steps of work done since the start."""
        return sum(engine.steps for engine in self._engines)

    def choose(self, line: Sequence[Job]) -> str | None:
        """See `Turns.choose`."""
        return self._turns.choose(line)

    def forget(self, job_id: str) -> None:
        """See `Turns.forget`."""
        self._turns.forget(job_id)

    def admit(self, image: Image, owner: str, sha256: str) -> None:
        """See `Engine.admit`; whichever works on it later remembers it for itself."""
        self._engines[0].admit(image, owner, sha256)

    def run(self, job: Job) -> Stream:
        """Start `job` at once on the device kept for it, else on the best that is free. Raises `Busy`."""
        place = self._turns.take(job)
        if place is None:
            raise Busy("Every device is at work.")
        engine = self._engines[place]
        return Stream.start(lambda stream: self._work(engine, job, stream))

    def _work(self, engine: LocalEngine, job: Job, stream: Stream) -> Result:
        since, loads = self._clock(), engine.cache.loads.total()
        try:
            return engine.work(job, stream)
        finally:
            self.forget(job.id)
            if engine.cache.loads.total() == loads:
                self._turns.took(self._clock() - since)

    def about(self) -> dict[str, Any]:
        """What runs here: its name, the devices, the models loaded on any of them."""
        resident = [row["id"] for row in self.cache.resident()]
        return {"engine": self.name, "device": self.cache.device, "resident": resident}

    def close(self) -> None:
        """Free every model."""
        for engine in self._engines:
            engine.close()


def _place(cache: Holds) -> Place:
    holds = {row["id"]: row["bytes"] for row in cache.resident() if row["where"] == "device"}
    return Place(holds, None if cache.budget is None else cache.budget - sum(holds.values()), idle=True)
