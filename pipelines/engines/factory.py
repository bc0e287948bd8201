"""Builds the model cache of one device with its share of the machine's memory, and the engine of a cluster worker."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.core.models import ModelSpec
from pipelines.engines.local import LocalEngine
from pipelines.models import devices, hub, pinned_memory
from pipelines.models.batch_size_tuner import BatchSizeTuner
from pipelines.models.devices import Machine
from pipelines.models.diffusion.speed_ups import parse_speed_ups, prepare_process
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import CacheOptions, ModelCache
from pipelines.models.peak_memory import PeakMemory
from pipelines.security.audit_log import AuditLog
from pipelines.storage.file_index import FileIndex


def make_cache(
    machine: Machine,
    device: str,
    peaks: PeakMemory | None = None,
    batch_tuner: BatchSizeTuner | None = None,
    *,
    among: int = 1,
    compile: bool = False,
    speed: str = "",
    idle_seconds: float = 600.0,
    check_licence: Callable[[ModelSpec], None] = lambda spec: None,
) -> ModelCache:
    """Make the cache of `device`. The host's memory is shared among `among` caches; `speed` as of `--speed`."""
    memory = devices.divide_memory(machine)
    options = CacheOptions(
        device=device,
        budget_bytes=memory.model_bytes,
        drawing_reserve_bytes=memory.drawing_bytes,
        host_budget_bytes=memory.host_bytes // among,
        idle_seconds=idle_seconds,
        extra_options=((("compile", "inductor"),) if compile else ()) + parse_speed_ups(speed),
        is_hub_reachable=hub.is_hub_reachable,
        check_licence=check_licence,
    )
    return ModelCache(FAMILIES, options, peak_memory=peaks, batch_tuner=batch_tuner)


def make_worker_engine(
    files: FileIndex, audit: AuditLog, *, among: int = 1, compile: bool = False, speed: str = ""
) -> LocalEngine:
    """Make the engine of a cluster worker on whose machine at most `among` workers run."""
    prepare_process(speed)
    machine = devices.detect_machine()
    if machine.device == "cuda":
        pinned_memory.limit_rounding()
    cache = make_cache(machine, machine.torch_device, among=among, compile=compile, speed=speed)
    return LocalEngine(cache, files, audit=audit)
