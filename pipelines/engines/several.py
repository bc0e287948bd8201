"""Several devices in one process, a lane each: a job goes where its models lie; draws nothing itself."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from pipelines.engines.affinity import LOAD, Place, Waiting, backlog, choose, wanted
from pipelines.engines.local import LocalEngine
from pipelines.models.cache import Cache, Resident
from pipelines.models.families.nets import specs as nets
from pipelines.stream import Stream
from pipelines.types import Busy, Image, Job, Result

LIGHT = frozenset(row.id for row in nets)


class Caches:
    """The models of all devices, looked at as one."""

    def __init__(self, caches: Sequence[Cache]) -> None:
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
    """As many slots as devices. `engines` run on one device each."""

    def __init__(self, engines: Sequence[LocalEngine], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = engines[0].name
        self.slots = len(engines)
        self.cache = Caches([engine.cache for engine in engines])
        self._engines = tuple(engines)
        self._clock = clock
        self._lock = threading.Lock()
        self._on: dict[int, str] = {}
        """The job that each busy device works on, or is about to."""
        self._seconds = LOAD
        """What a job took lately."""

    @property
    def steps(self) -> int:
        """Steps of work done since the start."""
        return sum(engine.steps for engine in self._engines)

    def choose(self, line: Sequence[Job]) -> str | None:
        """The id of the job to run next, a device being kept for it; None where it is better to wait.

        `line` is what waits, first in line first. Who does not run the job after all says so with `forget`.
        """
        with self._lock:
            rows = [_waiting(job) for job in line]
            found = choose(rows, self._places(), backlog(self._seconds))
            if found is None:
                return None
            self._on[found[1]] = found[0].id
            return found[0].id

    def forget(self, job_id: str) -> None:
        """The device that was kept for this job is free again."""
        with self._lock:
            self._on = {place: held for place, held in self._on.items() if held != job_id}

    def admit(self, image: Image, owner: str, sha256: str) -> None:
        """See `Engine.admit`; whichever works on it later remembers it for itself."""
        self._engines[0].admit(image, owner, sha256)

    def run(self, job: Job) -> Stream:
        """Start `job` at once on the device kept for it, else on the best that is free. Raises `Busy`."""
        with self._lock:
            kept = next((place for place, held in self._on.items() if held == job.id), None)
            if kept is None:
                found = choose([_waiting(job)], self._places(), worth=0)
                if found is None:
                    raise Busy("Every device is at work.")
                kept = found[1]
                self._on[kept] = job.id
        engine = self._engines[kept]
        return Stream.start(lambda stream: self._work(engine, job, stream))

    def _work(self, engine: LocalEngine, job: Job, stream: Stream) -> Result:
        since = self._clock()
        try:
            return engine.work(job, stream)
        finally:
            self.forget(job.id)
            self._seconds += (self._clock() - since - self._seconds) / 8

    def _places(self) -> list[Place]:
        return [self._place(n, engine.cache) for n, engine in enumerate(self._engines)]

    def _place(self, number: int, cache: Cache) -> Place:
        holds = {row["id"]: row["bytes"] for row in cache.resident() if row["where"] == "device"}
        room = None if cache.budget is None else cache.budget - sum(holds.values())
        return Place(holds, room, number not in self._on)

    def about(self) -> dict[str, Any]:
        """What runs here: its name, the devices, the models loaded on any of them."""
        resident = [row["id"] for row in self.cache.resident()]
        return {"engine": self.name, "device": self.cache.device, "resident": resident}

    def close(self) -> None:
        """Free every model."""
        for engine in self._engines:
            engine.close()


def _waiting(job: Job) -> Waiting:
    return Waiting(job.id, wanted(job.specs, LIGHT))
