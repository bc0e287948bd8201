"""Keeps models resident within a budget of bytes and lends them out; knows nothing of what a model computes.

Sizes are known before loading. The least recently used model goes first, to the host's memory while that has room and
the model can move (`Movable`), else to nothing; a borrowed one never goes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, TypedDict

from pipelines.core.errors import ModelUnavailable, OutOfMemory
from pipelines.core.models import Family, ModelSpec, Movable
from pipelines.models.batch_size_tuner import Paces
from pipelines.models.devices import best_dtype, gave_out, release
from pipelines.models.hub_download import OnFile, bring
from pipelines.models.peak_memory import Peaks
from pipelines.models.registry import registry

log = logging.getLogger("designerbox")

Where = Literal["device", "host"]


class Resident(TypedDict):
    """One loaded model: its id, the bytes it counts for, how many borrow it now, and in which memory it lies."""

    id: str
    bytes: int
    in_use: int
    where: Where


@dataclass
class _Entry:
    """A model that is loaded, or on its way while `ready` is false; `holders` are the threads that borrow it."""

    bytes: int
    holders: list[int]
    model: Any = None
    used: float = 0.0
    where: Where = "device"
    ready: bool = False

    @property
    def free(self) -> bool:
        return self.ready and not self.holders


class Cache:
    """Models by spec id. Safe from any thread; starts none.

    budget: bytes that all models together may take on the device, None for no limit. reserve: bytes beside them
    that drawing itself may take. host_budget: bytes that models moved off the device may take. options: what every
    row is given beside its own. idle_seconds: a model that nobody borrowed for so long is dropped at the next call.
    clock: seconds, monotonic. `loads` and `moves` count, by spec id, reads from the disk and returns from the host.
    peaks: what drawing was seen to take, by family, pixels and batch (see `thrift`). paces: how long model calls took
    (see `engines.gathering`). reachable: if the hub answers.
    """

    def __init__(
        self,
        families: Iterable[Family],
        budget: int | None = None,
        device: str = "cpu",
        idle_seconds: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
        *,
        reserve: int = 0,
        host_budget: int = 0,
        options: tuple[tuple[str, str], ...] = (),
        peaks: Peaks | None = None,
        paces: Paces | None = None,
        reachable: Callable[[], bool] = lambda: True,
    ) -> None:
        self.budget = budget
        self.device = device
        self.idle_seconds = idle_seconds
        self.reserve = reserve
        self.host_budget = host_budget
        self.loads: Counter[str] = Counter()
        self.moves: Counter[str] = Counter()
        self.peaks = peaks or Peaks()
        self.paces = paces or Paces()
        self._rows = registry(families)
        self._options = options
        self._reachable = reachable
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._changed = threading.Condition(threading.RLock())
        self._closed = False

    @contextmanager
    def borrow(self, spec_id: str, on_file: OnFile | None = None) -> Iterator[Any]:
        """The loaded model of `spec_id` on the device, brought there first when it is not.

        `on_file` hears of files that come from the hub, and ends that by raising. Waits for room while other threads
        hold what fills the budget. Raises `ModelUnavailable` for an unknown id or weights that are not there,
        `OutOfMemory` when the model cannot fit.
        """
        holder = threading.get_ident()
        entry = self._claim(spec_id, holder, on_file)
        try:
            yield entry.model
        finally:
            self._release(spec_id, entry, holder)

    def resident(self) -> list[Resident]:
        """The models loaded now, least recently used first."""
        with self._changed:
            self.sweep()
            rows = sorted(self._entries.items(), key=lambda item: item[1].used)
            return [
                Resident(id=spec_id, bytes=entry.bytes, in_use=len(entry.holders), where=entry.where)
                for spec_id, entry in rows
                if entry.ready
            ]

    def sweep(self) -> None:
        """Drop what nobody borrowed for `idle_seconds`."""
        with self._changed:
            oldest = self._clock() - self.idle_seconds
            for spec_id in [i for i, e in self._entries.items() if e.free and e.used <= oldest]:
                self._drop(spec_id)

    def unload(self, spec_id: str) -> bool:
        """Drop one model now; False when it is not resident or is borrowed."""
        with self._changed:
            entry = self._entries.get(spec_id)
            if entry is None or not entry.free:
                return False
            self._drop(spec_id)
            return True

    def make_room(self, beside: int) -> None:
        """Let idle models leave until `beside` bytes are free for drawing, as far as that goes."""
        if self.budget is None:
            return
        with self._changed:
            excess = self._taken("device") + beside - self.budget - self.reserve
            leaving = self._leave(self._enough(self._idle("device"), excess))
        self._see_off(leaving)

    def relieve(self) -> bool:
        """Take everything that nobody borrows off the device, because memory gave out; False where nothing was idle."""
        with self._changed:
            idle = self._idle("device")
            leaving = self._leave(idle)
        self._see_off(leaving)
        release(self.device)
        return bool(idle)

    def close(self) -> None:
        """Drop everything that is not borrowed; what is borrowed goes when it is given back."""
        with self._changed:
            self._closed = True
            for spec_id in [i for i, e in self._entries.items() if e.free]:
                self._drop(spec_id)
            self._changed.notify_all()

    # ------------------------------------------------------------ borrowing

    def row(self, spec_id: str, device: str = "") -> tuple[ModelSpec, Family]:
        """The row as it is loaded on `device`, the cache's own unless given, and its family.

        Raises `ModelUnavailable` for an unknown id.
        """
        if spec_id not in self._rows:
            raise ModelUnavailable(f"There is no model {spec_id}.")
        row, family = self._rows[spec_id]
        dtype = best_dtype(device or self.device) if row.dtype == "auto" else row.dtype
        return replace(row, dtype=dtype, options=(*row.options, *self._options)), family

    def _claim(self, spec_id: str, holder: int, on_file: OnFile | None) -> _Entry:
        """The entry of a model on the device, with `holder` among those who borrow it."""
        row, family = self.row(spec_id)
        size: int | None = None
        while True:
            with self._changed:
                if self._closed:
                    raise ModelUnavailable("The studio is closing.")
                self.sweep()
                entry = self._entries.get(spec_id)
                if entry is not None and entry.ready and entry.where == "device":
                    entry.holders.append(holder)
                    return entry
                size = entry.bytes if entry is not None else size
                if size is not None:
                    on_its_way = entry is not None and not entry.ready
                    if not on_its_way and (leaving := self._take_seat(spec_id, size, holder)) is not None:
                        entry = self._entries[spec_id]
                        break
                    self._changed.wait()  # somebody moves this very model, or holds what fills the budget
                    continue
            # Outside the lock: reading headers may reach for the disk or the hub.
            if row.repo and not row.files and on_file is not None:
                bring(row, on_file, self._reachable)
            size = family.size_of(row)
        # Outside the lock too, so that other models stay usable meanwhile.
        self._bring(entry, row, family, leaving)
        return entry

    def _take_seat(self, spec_id: str, size: int, holder: int) -> list[_Entry] | None:
        """Counts the model among those on the device, on its way: the models that must leave first; None means wait."""
        entry = self._entries.pop(spec_id, None)  # it must not be sent away to make its own room
        leaving = None
        try:
            leaving = self._room(spec_id, size, holder)
        finally:
            if entry is not None and leaving is None:
                self._entries[spec_id] = entry
        if leaving is not None:
            entry = self._entries[spec_id] = entry or _Entry(size, [])
            entry.holders.append(holder)
            entry.ready, entry.where = False, "device"
        return leaving

    def _room(self, spec_id: str, size: int, holder: int) -> list[_Entry] | None:
        """Makes `size` bytes free on the device: the models that leave for it; None means wait."""
        if self.budget is None:
            return []
        idle = self._idle("device")
        excess = self._taken("device") + size - self.budget
        if excess > sum(self._entries[i].bytes for i in idle):
            # A thread that waited while holding a model could wait for itself, so it is told at once.
            if size > self.budget or any(holder in e.holders for e in self._entries.values()):
                raise OutOfMemory(_too_big(spec_id, size, self.budget))
            return None
        return self._leave(self._enough(idle, excess))

    def _bring(self, entry: _Entry, row: ModelSpec, family: Family, leaving: list[_Entry]) -> None:
        try:
            self._see_off(leaving)
            if entry.model is None:
                entry.model = self._load(row, family)
                self.loads[row.id] += 1
            else:
                entry.model.to_device()
                self.moves[row.id] += 1
            entry.ready = True
        finally:
            with self._changed:
                if not entry.ready:
                    del self._entries[row.id]
                self._changed.notify_all()

    def _load(self, row: ModelSpec, family: Family) -> Any:
        """The model; where memory gives out once more, after everything idle has left."""
        try:
            return family.load(row, self.device)
        except (MemoryError, RuntimeError, OutOfMemory) as error:
            if not gave_out(error):
                raise
        log.warning("memory gave out while %s was loaded: trying again with nothing beside it", row.id)
        self.relieve()
        try:
            return family.load(row, self.device)
        except (MemoryError, RuntimeError, OutOfMemory) as error:
            if not gave_out(error):
                raise
            raise OutOfMemory(f"There was not enough memory to load model {row.id}.") from error

    def _release(self, spec_id: str, entry: _Entry, holder: int) -> None:
        with self._changed:
            entry.holders.remove(holder)
            entry.used = self._clock()
            if self._closed and entry.free:
                self._drop(spec_id)
            self._changed.notify_all()

    # ------------------------------------------------------------ leaving

    def _idle(self, where: Where) -> list[str]:
        """Ids that may go from there, least recently used first."""
        rows = [
            (entry.used, spec_id) for spec_id, entry in self._entries.items() if entry.free and entry.where == where
        ]
        return [spec_id for _, spec_id in sorted(rows)]

    def _taken(self, where: Where) -> int:
        return sum(entry.bytes for entry in self._entries.values() if entry.where == where)

    def _enough(self, idle: list[str], excess: int) -> list[str]:
        """As many of the first ids as free `excess` bytes."""
        chosen: list[str] = []
        while excess > 0 and idle:
            chosen.append(idle.pop(0))
            excess -= self._entries[chosen[-1]].bytes
        return chosen

    def _leave(self, spec_ids: list[str]) -> list[_Entry]:
        """Send these off the device: to nothing at once, or, being returned, to the host by `_see_off`."""
        leaving = []
        for spec_id in spec_ids:
            entry = self._entries[spec_id]
            if not isinstance(entry.model, Movable) or not self._host_room(entry.bytes):
                self._drop(spec_id)
                continue
            entry.where, entry.ready = "host", False
            leaving.append(entry)
        return leaving

    def _host_room(self, size: int) -> bool:
        """Whether `size` bytes fit the host's share, after what was there longest has gone."""
        excess = self._taken("host") + size - self.host_budget
        idle = self._idle("host")
        if excess > sum(self._entries[i].bytes for i in idle):
            return False
        for spec_id in self._enough(idle, excess):
            self._drop(spec_id)
        return True

    def _see_off(self, leaving: list[_Entry]) -> None:
        """Move to the host, outside the lock: gigabytes take a while."""
        for entry in leaving:
            moved = False
            try:
                moved = _moved_out(entry.model)
            finally:
                with self._changed:
                    entry.ready = True
                    if not moved or self._closed:
                        self._drop(next(spec_id for spec_id, each in self._entries.items() if each is entry))
                    self._changed.notify_all()

    def _drop(self, spec_id: str) -> None:
        self._entries.pop(spec_id).model.close()


def _moved_out(model: Movable) -> bool:
    """False where the host has no memory for it either."""
    try:
        model.to_host()
    except (MemoryError, RuntimeError) as error:
        log.warning("a model could not move to the host's memory and is dropped: %s", error)
        return False
    return True


def _too_big(spec_id: str, size: int, budget: int) -> str:
    return (
        f"Model {spec_id} takes {size / 1e9:.1f} GB and does not fit beside what is in use: "
        f"models may take {budget / 1e9:.1f} GB here."
    )
