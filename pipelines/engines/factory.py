"""The cache of one device with its share of the machine, and the engine that a worker of a cluster holds."""

from __future__ import annotations

import os

from pipelines.engines.local import LocalEngine
from pipelines.models import devices, hub
from pipelines.models.batch_size_tuner import BatchSizeTuner
from pipelines.models.devices import Machine
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import CacheOptions, ModelCache
from pipelines.models.peak_memory import PeakMemory
from pipelines.security.audit_log import AuditLog
from pipelines.storage.file_index import FileIndex


def make_cache(
    machine: Machine,
    device: str,
    peaks: PeakMemory | None = None,
    paces: BatchSizeTuner | None = None,
    *,
    among: int = 1,
    compile: bool = False,
) -> ModelCache:
    """A cache with its share of the machine; the host's memory is shared `among` so many."""
    room = devices.divide_memory(machine)
    options = CacheOptions(
        device=device,
        budget_bytes=room.model_bytes,
        drawing_reserve_bytes=room.drawing_bytes,
        host_budget_bytes=room.host_bytes // among,
        extra_options=(("compile", "inductor"),) if compile else (),
        is_hub_reachable=hub.is_hub_reachable,
    )
    return ModelCache(FAMILIES, options, peak_memory=peaks, batch_tuner=paces)


def detect_machine() -> Machine:
    """What this process computes with: the first card that it may see, else what there is."""
    found = devices.detect_machine()
    cards = devices.find_cuda_devices() if found.device == "cuda" else ()
    if cards:
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # torch counts the cards as the driver does
    return cards[0] if cards else found


def make_worker_engine(files: FileIndex, audit: AuditLog, *, among: int = 1, compile: bool = False) -> LocalEngine:
    """The engine of a worker, `among` so many on its machine at most."""
    found = detect_machine()
    return LocalEngine(make_cache(found, found.device, among=among, compile=compile), files, audit=audit)
