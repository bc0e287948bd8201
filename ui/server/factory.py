"""Builds everything the studio is made of from its settings: engine, queue, service, API and access, by constructor."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from pipelines.batch.batch_service import BatchService
from pipelines.core.errors import BadInput, ModelUnavailable, OutOfMemory
from pipelines.core.malloc import trim_heap
from pipelines.core.models import Profile
from pipelines.core.tools import Tool
from pipelines.engines import factory, zerogpu
from pipelines.engines.local import LocalEngine
from pipelines.engines.multi_gpu import MultiGpuEngine
from pipelines.engines.ray_cluster.cluster import join_cluster
from pipelines.engines.ray_cluster.engine import RayDataEngine, RayEngine, RayOptions
from pipelines.ingest.decoder_pool import DecoderPool
from pipelines.jobs.queue import JobQueue
from pipelines.jobs.retention import RetentionPolicy, apply_retention, delete_hidden
from pipelines.jobs.webhooks import Webhooks
from pipelines.jobs.workers import Engine
from pipelines.models import devices, hub, pinned_memory, profiles
from pipelines.models.batch_size_tuner import BatchSizeTuner
from pipelines.models.devices import Machine
from pipelines.models.diffusion.speed_ups import prepare_process
from pipelines.models.model_cache import ModelCache
from pipelines.models.nets.matting_choice import SMALLEST_NETS, fits_memory
from pipelines.models.peak_memory import PeakMemory
from pipelines.models.probes import cpu_precision
from pipelines.service.licence_caps import LicenceConfirmations
from pipelines.service.studio_service import StudioService
from pipelines.settings import Settings
from pipelines.storage.cached_store import open_store
from pipelines.storage.file_index import FileIndex
from pipelines.tools import TOOLS
from ui.api.app import build_routes
from ui.api.auth.access import AccessControl
from ui.api.auth.keys import KeyStore
from ui.api.metrics import Metrics
from ui.api.routes.webhooks import describe_end
from ui.server.middleware import build_middleware

log = logging.getLogger("designerbox")


@dataclass(frozen=True)
class RunningStudio:
    """Everything that serves requests, so that it can be closed again."""

    service: StudioService
    access: AccessControl
    batches: BatchService
    webhooks: Webhooks
    metrics: Metrics
    decoder_pool: DecoderPool

    def build_routes(self) -> list[BaseRoute]:
        """List every route that is not the page."""
        return build_routes(self.service, self.access, self.batches, self.webhooks, self.metrics)

    def build_middleware(self) -> list[Middleware]:
        """List the middleware around every route, outermost first."""
        return build_middleware(self.access, self.metrics)

    def close(self) -> None:
        """Stop running jobs, free the models, end the decoder processes, close the databases."""
        self.service.jobs.close()
        self.decoder_pool.close()
        self.service.files.close()
        self.access.keys.close()


def build_studio(settings: Settings) -> RunningStudio:
    """Build a studio that runs on this machine, a Space, or a Ray cluster. Raises `StudioError`."""
    settings.data.mkdir(parents=True, exist_ok=True)
    files = FileIndex(settings.data, settings.database, store=open_store(settings.files, settings.data))
    engine, profile = _build_engine(settings, files)
    log.info("profile %s on %s: %s", profile.id, engine.describe_state()["device"], profile.reason)
    studio = connect_services(settings, engine, files, profile, DecoderPool())
    if settings.engine == "local" and not zerogpu.is_zerogpu_space():
        fetch_better_nets(studio.service, str(engine.describe_state()["device"]))
    jobs, policy = studio.service.jobs, RetentionPolicy(settings.keep_days, int(settings.keep_gb * 1e9))
    jobs.workers.run_every(60, engine.cache.evict_idle_models)
    jobs.workers.run_every(60, trim_heap)
    jobs.workers.run_every(1, files.flush_to_disk)
    jobs.workers.run_every(3600, lambda: apply_retention(jobs.table, files, policy))
    jobs.workers.run_every(10, lambda: delete_hidden(jobs.table, files))
    return studio


def fetch_better_nets(service: StudioService, device: str) -> None:
    """Download the smallest better nets for cut-outs in the background where a GPU draws: models come anyway there."""
    draws_on_gpu = device != "cpu" and any(row.repo for row in profiles.profile_models(service.profile))
    if draws_on_gpu and service.settings.matting == "both":
        missing = [net for net in SMALLEST_NETS if fits_memory(net) and not profiles.is_cached(net)]
        if missing:
            service.downloads.start_download(*missing)


def connect_services(
    settings: Settings,
    engine: Engine,
    files: FileIndex,
    profile: Profile,
    decoder_pool: DecoderPool,
    tools: Sequence[Tool] = TOOLS,
) -> RunningStudio:
    """Build what is around an engine: queue with quotas, service with default webhooks, batches, access, metrics."""
    access = AccessControl(settings, KeyStore(settings.data, settings.database))
    jobs = JobQueue(
        settings.data,
        engine,
        max_waiting=settings.queue,
        database=settings.database,
        check_admission=access.rate_limiter.admit_job,
    )
    webhooks = Webhooks(jobs.table, lambda: jobs.workers.is_closing, allow_private=settings.webhooks_private)
    service = StudioService(settings, jobs, files, profile, decoder_pool, tools, on_order=webhooks.add_default_delivery)
    batches = BatchService(service)
    webhooks.start(partial(describe_end, service, batches))
    return RunningStudio(service, access, batches, webhooks, Metrics(service), decoder_pool)


def _build_engine(settings: Settings, files: FileIndex) -> tuple[LocalEngine | MultiGpuEngine | RayEngine, Profile]:
    """Build the engine, and choose the profile that fits its device."""
    if settings.engine != "local":
        return _build_ray_engine(settings, files)
    zerogpu_machine = zerogpu.zerogpu_machine() if zerogpu.is_zerogpu_space() else None
    profile, device = _choose_profile(settings, zerogpu_machine)
    if zerogpu_machine is None:
        return _build_local_engine(settings, files, device, profile), profile
    return _build_zerogpu_engine(_make_cpu_cache(), files, profile)


def _build_ray_engine(settings: Settings, files: FileIndex) -> tuple[RayEngine, Profile]:
    """Build an engine of Ray workers, one for each GPU of the cluster or `--devices` many. Raises `BadInput`."""
    cluster = join_cluster(settings.data, settings.devices)
    gpus = int(cluster.count_resource("GPU"))
    count = settings.devices or gpus or 1
    options = RayOptions(
        count,
        gpus=1.0 if gpus else 0.0,
        cpus=1.0 if gpus else max(cluster.count_resource("CPU") / count, 0.1),
        idle_seconds=settings.worker_idle,
        store_url=settings.ray_store,
    )
    profile, _ = _choose_profile(settings, cluster.call_remotely(devices.detect_machine, options.gpus))
    local = LocalEngine(_make_cpu_cache(), files)
    build_engine = partial(
        factory.make_worker_engine, among=1 if gpus else count, compile=settings.compile, speed=settings.speed
    )
    engine_class = RayDataEngine if settings.engine == "ray-data" else RayEngine
    return engine_class(cluster, local, files, build_engine, options), profile


def _choose_profile(settings: Settings, machine: Machine | None) -> tuple[Profile, devices.DeviceKind]:
    """Choose the profile that a flag names, else the one that was chosen on the page, else the best that fits.

    A flag that cannot be followed raises `BadInput`, or `ModelUnavailable` where the cap of a licence was not
    confirmed; a choice made on the page never keeps the studio from starting.
    """

    def choose(wanted: str) -> tuple[Profile, devices.DeviceKind]:
        profile, device = profiles.choose_profile(
            wanted or None, machine, reachable=hub.is_hub_reachable, commercial=settings.commercial
        )
        LicenceConfirmations(settings.owner_data).require_confirmed(*profiles.profile_models(profile))
        return profile, device

    if settings.profile:
        return choose(settings.profile)
    try:
        return choose(profiles.read_saved_choice(settings.data))
    except (BadInput, ModelUnavailable) as error:
        log.warning("the profile chosen on the Settings page cannot serve: %s", error.message)
        return choose("")


def _build_local_engine(
    settings: Settings, files: FileIndex, device: str, profile: Profile
) -> LocalEngine | MultiGpuEngine:
    """Build an engine on one device, or one that has a worker on each of several GPUs."""
    cards = devices.find_cuda_devices() if device == "cuda" else ()
    if device == "cuda":
        pinned_memory.limit_rounding()
    machines = profiles.select_cards(profile, cards, settings.devices) or (devices.detect_machine(),)
    cpu_precision.THIS_PROCESSOR.remember_in(settings.data / "precision.json")
    peaks, tuner = PeakMemory(settings.data / "peaks.json"), BatchSizeTuner(settings.data / "paces.json")
    _prepare_libraries(settings)
    options: dict[str, Any] = {"compile": settings.compile, "idle_seconds": settings.idle, "among": len(machines)}
    options["speed"] = settings.speed
    options["check_licence"] = LicenceConfirmations(settings.owner_data).require_confirmed
    caches = [factory.make_cache(machine, machine.torch_device, peaks, tuner, **options) for machine in machines]
    # On a CPU two pictures in one call take as long as two calls.
    together = settings.together or (8 if device == "cuda" else 0)
    engines = [LocalEngine(cache, files, together=together) for cache in caches]
    if len(engines) == 1:
        return engines[0]
    log.info("%d GPUs, a worker on each", len(machines))
    return MultiGpuEngine(engines)


def _prepare_libraries(settings: Settings) -> None:
    """Set what torch and diffusers read when they are imported; what the owner set stays."""
    prepare_process(settings.speed)
    if settings.compile:  # kept for the next start: torch's own place is emptied with the system's temporary files
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str((settings.data / "compiled").absolute()))


def _make_cpu_cache() -> ModelCache:
    """Make the model cache of this process, where the GPUs belong to others."""
    return factory.make_cache(Machine("cpu", devices.total_host_bytes()), "cpu")


def _build_zerogpu_engine(cache: ModelCache, files: FileIndex, profile: Profile) -> tuple[LocalEngine, Profile]:
    """Build the engine of a ZeroGPU Space with the checkpoints of `profile`, or the embedded ones where these fail."""
    rows = (*profiles.profile_models(profile), *profiles.profile_control_nets(profile))
    placed = [row.id for row in rows if row.repo]
    try:
        return zerogpu.ZeroGpuEngine(cache, files, placed=placed), profile
    except (ModelUnavailable, OutOfMemory) as error:
        log.warning("profile %s cannot be placed: %s", profile.id, error.message)
        instead = replace(
            profiles.EMBEDDED, reason=f"{error.message} What ships with the studio serves instead.", is_fallback=True
        )
        return zerogpu.ZeroGpuEngine(cache, files), instead
