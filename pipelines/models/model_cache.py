"""The model cache: keeps loaded models within a memory budget and lends them to threads.

Sizes are known before loading. The least recently used model leaves the device first. It is offloaded to the host's
memory while that has room and the model can move (`OffloadableModel`), else it is closed. A borrowed one never leaves.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, TypedDict

from pipelines.core.errors import ModelUnavailable, OutOfMemory
from pipelines.core.models import ControllableModel, HostMemoryModel, ModelFamily, ModelSpec, OffloadableModel
from pipelines.core.params import Verb
from pipelines.models.batch_size_tuner import BatchSizeTuner
from pipelines.models.devices import best_dtype, is_out_of_memory, make_device_current, release_cached_memory
from pipelines.models.hub_download import OnFileProgress, download_missing_files
from pipelines.models.peak_memory import PeakMemory
from pipelines.models.registry import build_registry

log = logging.getLogger("designerbox")

MemoryLocation = Literal["device", "host"]


class ResidentModel(TypedDict):
    """One loaded model: its id, the bytes it counts for, its number of borrowers now, and the memory it is in."""

    id: str
    bytes: int
    in_use: int
    where: MemoryLocation


@dataclass
class _CacheEntry:
    """A model, loaded or (not `is_ready`) in motion; `borrower_threads` has a thread's id for each borrowing."""

    bytes: int
    borrower_threads: list[int]
    host_bytes: int = 0  # what it takes of the host's memory once it has moved
    streamed_bytes: int = 0  # what it takes there always
    model: Any = None
    last_used: float = 0.0
    location: MemoryLocation = "device"
    is_ready: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether the model is loaded and nobody borrows it."""
        return self.is_ready and not self.borrower_threads


@dataclass(frozen=True)
class CacheOptions:
    """The memory limits of a model cache, and what it needs from outside."""

    device: str = "cpu"
    budget_bytes: int | None = None  # bytes that all models together may take on the device, None for no limit
    drawing_reserve_bytes: int = 0  # bytes beside the budget that drawing itself may take
    host_budget_bytes: int = 0  # bytes that models which left the device may take in the host's memory
    idle_seconds: float = 600.0  # seconds after which a model that nobody borrowed is closed, at the next call
    extra_options: tuple[tuple[str, str], ...] = ()  # options that every spec is given beside its own
    is_hub_reachable: Callable[[], bool] = lambda: True
    check_licence: Callable[[ModelSpec], None] = lambda spec: None  # what it raises keeps a model from being lent
    clock: Callable[[], float] = time.monotonic  # seconds, monotonic


class ModelCache:
    """Models by spec id. Safe from any thread; starts none.

    `load_counts` and `return_counts` count, by spec id, reads from the disk and returns from the host's memory.
    `peak_memory` is what drawing was seen to take (see `oom_fallback`), `batch_tuner` how long model calls took (see
    `engines.dynamic_batching`).
    """

    def __init__(
        self,
        families: Iterable[ModelFamily],
        options: CacheOptions = CacheOptions(),
        *,
        peak_memory: PeakMemory | None = None,
        batch_tuner: BatchSizeTuner | None = None,
    ) -> None:
        self.device = options.device
        self.budget_bytes = options.budget_bytes
        self.load_counts: Counter[str] = Counter()
        self.return_counts: Counter[str] = Counter()
        self.peak_memory = peak_memory or PeakMemory()
        self.batch_tuner = batch_tuner or BatchSizeTuner()
        self._options = options
        self._specs_by_id = build_registry(families)
        self._is_hub_reachable = options.is_hub_reachable
        self._clock = options.clock
        self._entries: dict[str, _CacheEntry] = {}
        self._condition = threading.Condition(threading.RLock())
        self._is_closed = False

    @contextmanager
    def borrow_model(self, spec_id: str, on_file: OnFileProgress | None = None) -> Iterator[Any]:
        """Lend the model of `spec_id` on the device; load it, or bring it back from the host, where it is not there.

        `on_file` is called while files come from the hub; what it raises ends the download. Waits for room while
        other threads borrow what fills the budget. Raises `ModelUnavailable` for an unknown id or weights that are
        not there, `OutOfMemory` when the model cannot fit.
        """
        thread_id = threading.get_ident()
        entry = self._acquire_entry(spec_id, thread_id, on_file)
        try:
            yield entry.model
        finally:
            self._return_borrowed(spec_id, entry, thread_id)

    @contextmanager
    def borrow_for_verb(self, spec_id: str, verb: Verb, on_file: OnFileProgress | None = None) -> Iterator[Any]:
        """Lend a model as `borrow_model` does, for `control` together with its ControlNet."""
        row, _ = self.resolve_spec(spec_id)
        with ExitStack() as stack:
            model = stack.enter_context(self.borrow_model(spec_id, on_file))
            if verb == "control" and row.control_net:
                assert isinstance(model, ControllableModel)
                net = stack.enter_context(self.borrow_model(row.control_net, on_file))
                stack.enter_context(model.using_control_net(net))
            yield model

    def must_load(self, spec_id: str) -> bool:
        """Tell whether a borrower will wait for a checkpoint to be read; the models that ship with us are quick."""
        row, _ = self.resolve_spec(spec_id)
        with self._condition:
            entry = self._entries.get(spec_id)
        return bool(row.repo) and (entry is None or not entry.is_ready)

    def resident_models(self) -> list[ResidentModel]:
        """List the models loaded now, least recently used first."""
        with self._condition:
            self.evict_idle_models()
            rows = sorted(self._entries.items(), key=lambda item: item[1].last_used)
            return [
                ResidentModel(id=spec_id, bytes=entry.bytes, in_use=len(entry.borrower_threads), where=entry.location)
                for spec_id, entry in rows
                if entry.is_ready
            ]

    def evict_idle_models(self) -> None:
        """Close the models that nobody borrowed for `idle_seconds`."""
        with self._condition:
            expired_before = self._clock() - self._options.idle_seconds
            for spec_id in [i for i, e in self._entries.items() if e.is_idle and e.last_used <= expired_before]:
                self._drop_entry(spec_id)

    def unload_model(self, spec_id: str) -> bool:
        """Close one model now; False when it is not resident or is borrowed."""
        with self._condition:
            entry = self._entries.get(spec_id)
            if entry is None or not entry.is_idle:
                return False
            self._drop_entry(spec_id)
            return True

    def reserve_for_drawing(self, drawing_bytes: int) -> None:
        """Evict idle models until `drawing_bytes` are free for drawing, or none is left to evict."""
        if self.budget_bytes is None:
            return
        with self._condition:
            allowed = self.budget_bytes + self._options.drawing_reserve_bytes
            excess = self._used_bytes() + drawing_bytes - allowed
            evicted = self._evict(self._select_models_to_free(self._idle_ids("device"), excess))
        self._offload(evicted)

    def evict_idle(self) -> bool:
        """Take everything that nobody borrows off the device after an out-of-memory error; False if all is in use."""
        with self._condition:
            idle_ids = self._idle_ids("device")
            evicted = self._evict(idle_ids)
        self._offload(evicted)
        release_cached_memory(self.device)
        return bool(idle_ids)

    def close(self) -> None:
        """Close every model that is not borrowed; a borrowed one is closed when it is given back."""
        with self._condition:
            self._is_closed = True
            for spec_id in [i for i, e in self._entries.items() if e.is_idle]:
                self._drop_entry(spec_id)
            self._condition.notify_all()

    def resolve_spec(self, spec_id: str, device: str = "") -> tuple[ModelSpec, ModelFamily]:
        """Return the spec as loaded on `device` (default: the cache's) and its family. Raises `ModelUnavailable`."""
        if spec_id not in self._specs_by_id:
            raise ModelUnavailable(f"There is no model {spec_id}.")
        row, family = self._specs_by_id[spec_id]
        return replace(
            row,
            dtype=_resolve_dtype(row.dtype, device or self.device),
            options=(*row.options, *self._options.extra_options),
        ), family

    def _acquire_entry(self, spec_id: str, thread_id: int, on_file: OnFileProgress | None) -> _CacheEntry:
        """Return the entry of a model on the device, with `thread_id` among its borrowers."""
        row, family = self.resolve_spec(spec_id)
        self._options.check_licence(row)
        size: int | None = None
        while True:
            with self._condition:
                if self._is_closed:
                    raise ModelUnavailable("The studio is closing.")
                self.evict_idle_models()
                entry = self._entries.get(spec_id)
                if entry is not None and entry.is_ready and entry.location == "device":
                    entry.borrower_threads.append(thread_id)
                    return entry
                size = entry.bytes if entry is not None else size
                if size is not None:
                    is_moving = entry is not None and not entry.is_ready
                    if not is_moving and (evicted := self._reserve_entry(spec_id, size, thread_id)) is not None:
                        entry = self._entries[spec_id]
                        break
                    # Another thread moves this very model, or borrows what fills the budget.
                    self._condition.wait()
                    continue
            # Outside the lock: reading headers may reach for the disk or the hub.
            if row.repo and not row.files and on_file is not None:
                download_missing_files(row, on_file, self._is_hub_reachable)
            is_elsewhere = self.device != "cpu" and dict(row.options).get("runs_on") == "cpu"
            size = 0 if is_elsewhere else family.estimate_bytes(row)
        # Outside the lock too, so that other models stay usable meanwhile.
        self._load_or_return(entry, row, family, evicted)
        return entry

    def _reserve_entry(self, spec_id: str, size: int, thread_id: int) -> list[_CacheEntry] | None:
        """Count the model as being on the device; return the entries to offload first, None if there is no room yet."""
        entry = self._entries.pop(spec_id, None)  # the model must not be evicted to make room for itself
        evicted = None
        try:
            evicted = self._free_device_bytes(spec_id, size, thread_id)
        finally:
            if entry is not None and evicted is None:
                self._entries[spec_id] = entry
        if evicted is not None:
            entry = self._entries[spec_id] = entry or _CacheEntry(size, [])
            entry.borrower_threads.append(thread_id)
            entry.is_ready, entry.location = False, "device"
        return evicted

    def _free_device_bytes(self, spec_id: str, size: int, thread_id: int) -> list[_CacheEntry] | None:
        """Make `size` bytes free on the device; return the entries to offload, None if the thread has to wait."""
        if self.budget_bytes is None:
            return []
        idle_ids = self._idle_ids("device")
        excess = self._used_bytes() + size - self.budget_bytes
        if excess > sum(self._entries[i].bytes for i in idle_ids):
            # A thread that waited while it borrows a model could wait for itself, so it gets the error at once.
            if size > self.budget_bytes or any(thread_id in e.borrower_threads for e in self._entries.values()):
                raise OutOfMemory(
                    f"Model {spec_id} takes {size / 1e9:.1f} GB and does not fit beside what is in use: "
                    f"models may take {self.budget_bytes / 1e9:.1f} GB here."
                )
            return None
        return self._evict(self._select_models_to_free(idle_ids, excess))

    def _load_or_return(
        self, entry: _CacheEntry, row: ModelSpec, family: ModelFamily, evicted: list[_CacheEntry]
    ) -> None:
        try:
            with make_device_current(self.device):
                self._offload(evicted)
                if entry.model is None:
                    entry.model = self._load_with_retry(row, family)
                    entry.host_bytes = entry.bytes
                    if isinstance(entry.model, HostMemoryModel):
                        entry.host_bytes, entry.streamed_bytes = entry.model.host_bytes(), entry.model.streamed_bytes()
                    self.load_counts[row.id] += 1
                else:
                    entry.model.to_device()
                    self.return_counts[row.id] += 1
            entry.is_ready = True
        finally:
            with self._condition:
                if not entry.is_ready:
                    del self._entries[row.id]
                self._condition.notify_all()

    def _load_with_retry(self, row: ModelSpec, family: ModelFamily) -> Any:
        """Load the model; after an out-of-memory error evict everything idle and try once more."""
        for is_last_try in (False, True):
            try:
                return family.load(row, self.device)
            except (MemoryError, RuntimeError, OutOfMemory) as error:
                if not is_out_of_memory(error):
                    raise
                if is_last_try:
                    raise OutOfMemory(f"There was not enough memory to load model {row.id}.") from error
            log.warning("out of memory while %s was loaded: everything idle is evicted and it is tried again", row.id)
            self.evict_idle()

    def _return_borrowed(self, spec_id: str, entry: _CacheEntry, thread_id: int) -> None:
        with self._condition:
            entry.borrower_threads.remove(thread_id)
            entry.last_used = self._clock()
            if self._is_closed and entry.is_idle:
                self._drop_entry(spec_id)
            self._condition.notify_all()

    def _idle_ids(self, location: MemoryLocation) -> list[str]:
        """List the ids of idle models in that memory, least recently used first."""
        rows = [
            (entry.last_used, spec_id)
            for spec_id, entry in self._entries.items()
            if entry.is_idle and entry.location == location
        ]
        return [spec_id for _, spec_id in sorted(rows)]

    def _used_bytes(self) -> int:
        """Add up what models take on the device."""
        return sum(entry.bytes for entry in self._entries.values() if entry.location == "device")

    def _select_models_to_free(self, idle_ids: list[str], excess: int) -> list[str]:
        """Take from the front as many ids as free `excess` bytes."""
        selected: list[str] = []
        while excess > 0 and idle_ids:
            selected.append(idle_ids.pop(0))
            excess -= self._entries[selected[-1]].bytes
        return selected

    def _evict(self, spec_ids: list[str]) -> list[_CacheEntry]:
        """Close these models, but for those that fit the host's memory: return them for `_offload`."""
        to_offload = []
        for spec_id in spec_ids:
            entry = self._entries[spec_id]
            if not isinstance(entry.model, OffloadableModel) or not self._free_host_bytes(entry.host_bytes):
                self._drop_entry(spec_id)
                continue
            entry.location, entry.is_ready = "host", False
            to_offload.append(entry)
        return to_offload

    def _free_host_bytes(self, size: int) -> bool:
        """Close the least recently used models on the host until `size` bytes fit; False if they cannot."""
        used = sum(entry.streamed_bytes for entry in self._entries.values())
        used += sum(entry.host_bytes for entry in self._entries.values() if entry.location == "host")
        excess = used + size - self._options.host_budget_bytes
        idle_ids = self._idle_ids("host")
        if excess > sum(self._entries[i].host_bytes for i in idle_ids):
            return False
        while excess > 0:
            excess -= self._entries[spec_id := idle_ids.pop(0)].host_bytes
            self._drop_entry(spec_id)
        return True

    def _offload(self, entries: list[_CacheEntry]) -> None:
        """Move models to the host, outside the lock, because gigabytes take a while."""
        for entry in entries:
            moved = False
            try:
                entry.model.to_host()
                moved = True
            except (MemoryError, RuntimeError) as error:
                log.warning("a model could not move to the host's memory and is dropped: %s", error)
            finally:
                with self._condition:
                    entry.is_ready = True
                    if not moved or self._is_closed:
                        self._drop_entry(next(spec_id for spec_id, each in self._entries.items() if each is entry))
                    self._condition.notify_all()

    def _drop_entry(self, spec_id: str) -> None:
        self._entries.pop(spec_id).model.close()


def _resolve_dtype(dtype: str, device: str) -> str:
    """Return the torch type that a spec's `dtype` means on `device`."""
    if not dtype.startswith("auto"):
        return dtype
    best = best_dtype(device)
    return "bfloat16" if dtype == "auto-bfloat16" and best == "float16" else best
