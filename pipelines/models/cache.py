"""Keeps models resident within a budget of bytes and lends them out; knows nothing of what a model computes.

Sizes are known before loading, the least recently used model goes first, a borrowed one never goes.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypedDict

from pipelines.models.devices import best_dtype
from pipelines.models.specs import registry
from pipelines.types import Family, ModelSpec, ModelUnavailable, OutOfMemory


class Resident(TypedDict):
    """One loaded model: its id, the bytes it counts for, and how many borrow it now."""

    id: str
    bytes: int
    in_use: int


@dataclass
class _Entry:
    """A model that is loaded, or is being loaded while `model` is None; `holders` are the threads that borrow it."""

    bytes: int
    holders: list[int]
    model: Any = None
    used: float = 0.0

    @property
    def free(self) -> bool:
        return not self.holders


class Cache:
    """Models by spec id. Safe from any thread; starts none.

    budget: bytes that all models together may take, None for no limit. idle_seconds: a model that nobody borrowed for
    so long is dropped at the next call. clock: seconds, monotonic.
    """

    def __init__(
        self,
        families: Iterable[Family],
        budget: int | None = None,
        device: str = "cpu",
        idle_seconds: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.budget = budget
        self.device = device
        self.idle_seconds = idle_seconds
        self.loads: Counter[str] = Counter()
        self._rows = registry(families)
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._changed = threading.Condition(threading.RLock())
        self._closed = False

    @contextmanager
    def borrow(self, spec_id: str) -> Iterator[Any]:
        """The loaded model of `spec_id`, loaded first when it is not resident.

        Waits for room while other threads hold what fills the budget. Raises `ModelUnavailable` for an unknown id or
        weights that are not there, `OutOfMemory` when the model cannot fit.
        """
        holder = threading.get_ident()
        entry = self._claim(spec_id, holder)
        try:
            yield entry.model
        finally:
            self._release(spec_id, entry, holder)

    def resident(self) -> list[Resident]:
        """The models loaded now, least recently used first."""
        with self._changed:
            self.sweep()
            rows = sorted(self._entries.items(), key=lambda item: item[1].used)
            return [Resident(id=i, bytes=e.bytes, in_use=len(e.holders)) for i, e in rows if e.model is not None]

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

    def close(self) -> None:
        """Drop everything that is not borrowed; what is borrowed goes when it is given back."""
        with self._changed:
            self._closed = True
            for spec_id in [i for i, e in self._entries.items() if e.free]:
                self._drop(spec_id)
            self._changed.notify_all()

    def _row(self, spec_id: str) -> tuple[ModelSpec, Family]:
        if spec_id not in self._rows:
            raise ModelUnavailable(f"There is no model {spec_id}.")
        row, family = self._rows[spec_id]
        return (replace(row, dtype=best_dtype(self.device)) if row.dtype == "auto" else row), family

    def _claim(self, spec_id: str, holder: int) -> _Entry:
        """The entry of a loaded model, with `holder` among those who borrow it."""
        row, family = self._row(spec_id)
        size: int | None = None
        while True:
            with self._changed:
                if self._closed:
                    raise ModelUnavailable("The studio is closing.")
                self.sweep()
                entry = self._entries.get(spec_id)
                if entry is not None and entry.model is not None:
                    entry.holders.append(holder)
                    return entry
                if entry is None and size is not None and self._make_room(spec_id, size, holder):
                    entry = self._entries[spec_id] = _Entry(size, [holder])
                    break
                if entry is not None or size is not None:
                    self._changed.wait()  # somebody loads this very model, or holds what fills the budget
                    continue
            # Outside the lock: reading headers may reach for the disk or the hub.
            size = family.size_of(row)
        self._load(entry, row, family)
        return entry

    def _make_room(self, spec_id: str, size: int, holder: int) -> bool:
        """Whether `size` bytes are free, after dropping as few models as that takes; False means wait."""
        if self.budget is None:
            return True
        idle = sorted((i for i, e in self._entries.items() if e.free), key=lambda i: self._entries[i].used)
        excess = sum(e.bytes for e in self._entries.values()) + size - self.budget
        if excess > sum(self._entries[i].bytes for i in idle):
            # A thread that waited while holding a model could wait for itself, so it is told at once.
            if size > self.budget or any(holder in e.holders for e in self._entries.values()):
                raise OutOfMemory(_too_big(spec_id, size, self.budget))
            return False
        while excess > 0:
            excess -= self._entries[idle[0]].bytes
            self._drop(idle.pop(0))
        return True

    def _load(self, entry: _Entry, row: ModelSpec, family: Family) -> None:
        """Load outside the lock, so that other models stay usable meanwhile."""
        try:
            entry.model = family.load(row, self.device)
        except MemoryError as error:
            raise OutOfMemory(f"There was not enough memory to load model {row.id}.") from error
        finally:
            with self._changed:
                if entry.model is None:
                    del self._entries[row.id]
                else:
                    self.loads[row.id] += 1
                self._changed.notify_all()

    def _release(self, spec_id: str, entry: _Entry, holder: int) -> None:
        with self._changed:
            entry.holders.remove(holder)
            entry.used = self._clock()
            if self._closed and entry.free:
                self._drop(spec_id)
            self._changed.notify_all()

    def _drop(self, spec_id: str) -> None:
        self._entries.pop(spec_id).model.close()


def _too_big(spec_id: str, size: int, budget: int) -> str:
    return (
        f"Model {spec_id} takes {size / 1e9:.1f} GB and does not fit beside what is in use: "
        f"models may take {budget / 1e9:.1f} GB here."
    )
