"""The cache of one device with its share of the machine, and the engine that a worker of a cluster holds."""

from __future__ import annotations

import os

from pipelines.engines.local import LocalEngine
from pipelines.models import devices, hub
from pipelines.models.batch_size_tuner import Paces
from pipelines.models.devices import Machine
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import Cache
from pipelines.models.peak_memory import Peaks
from pipelines.security.audit_log import Audit
from pipelines.storage.file_index import Files


def cache(
    machine: Machine,
    device: str,
    peaks: Peaks | None = None,
    paces: Paces | None = None,
    *,
    among: int = 1,
    compile: bool = False,
) -> Cache:
    """A cache with its share of the machine; the host's memory is shared `among` so many."""
    room = devices.share(machine)
    return Cache(
        FAMILIES,
        budget=room.budget,
        device=device,
        reserve=room.reserve,
        host_budget=room.host // among,
        options=(("compile", "inductor"),) if compile else (),
        peaks=peaks,
        paces=paces,
        reachable=hub.reachable,
    )


def machine() -> Machine:
    """What this process computes with: the first card that it may see, else what there is."""
    found = devices.find_machine()
    cards = devices.cards() if found.device == "cuda" else ()
    if cards:
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # torch counts the cards as the driver does
    return cards[0] if cards else found


def worker(files: Files, audit: Audit, *, among: int = 1, compile: bool = False) -> LocalEngine:
    """The engine of a worker, `among` so many on its machine at most."""
    found = machine()
    return LocalEngine(cache(found, found.device, among=among, compile=compile), files, audit=audit)
