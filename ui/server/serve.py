"""Opens every door on one port: page, `/v1` and `/healthz`; decides nothing about pictures."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pipelines.core.errors import BadInput, ModelUnavailable, OutOfMemory, StudioError
from pipelines.core.malloc import trim_heap
from pipelines.core.models import Profile
from pipelines.engines import factory, zerogpu
from pipelines.engines.local import LocalEngine
from pipelines.engines.multi_gpu import MultiGpuEngine
from pipelines.engines.ray_cluster import cluster
from pipelines.engines.ray_cluster.data_engine import RayDataEngine
from pipelines.engines.ray_cluster.serve_engine import RayEngine, Size
from pipelines.ingest.decoder_pool import DecoderPool
from pipelines.jobs.queue import JobQueue
from pipelines.jobs.retention import RetentionPolicy, apply_retention
from pipelines.models import devices, hub, profiles
from pipelines.models.batch_size_tuner import BatchSizeTuner
from pipelines.models.devices import Machine
from pipelines.models.model_cache import ModelCache
from pipelines.models.peak_memory import PeakMemory
from pipelines.service.orders import StudioService
from pipelines.settings import Settings
from pipelines.storage.cached_store import open_store
from pipelines.storage.database import DatabaseUnavailable
from pipelines.storage.file_index import FileIndex
from ui.api import app
from ui.api.auth.access import Access, refusal
from ui.api.auth.keys import Keys
from ui.api.middleware import close_cors
from ui.gradio_patches import log_redirect

log = logging.getLogger("designerbox")


@dataclass(frozen=True)
class Studio:
    """Everything behind the doors, so that it can be closed again."""

    service: StudioService
    access: Access
    jobs: JobQueue
    files: FileIndex
    ingest: DecoderPool

    def close(self) -> None:
        """Stop what runs, free models, end the worker."""
        self.jobs.close()
        self.ingest.close()
        self.files.close()
        self.access.keys.close()


def build(settings: Settings) -> Studio:
    """Settings -> profile, cache, engine, queue, service."""
    settings.data.mkdir(parents=True, exist_ok=True)
    files = FileIndex(settings.data, settings.database, store=open_store(settings.files, settings.data))
    engine, profile = _drawing(settings, files)
    log.info("profile %s on %s: %s", profile.id, engine.describe_state()["device"], profile.reason)
    jobs = JobQueue(settings.data, engine, max_waiting=settings.queue, database=settings.database)
    keep = RetentionPolicy(settings.keep_days, int(settings.keep_gb * 1e9))
    # The cache starts no thread of its own, so somebody has to tell it that time passes.
    jobs.run_every(60, engine.cache.drop_expired)
    jobs.run_every(60, trim_heap)
    jobs.run_every(1, files.flush_to_disk)
    jobs.run_every(3600, lambda: apply_retention(jobs.table, files, keep))
    ingest = DecoderPool()
    service = StudioService(settings, jobs, files, profile, ingest)
    return Studio(service, Access(settings, Keys(settings.data, settings.database)), jobs, files, ingest)


def _drawing(
    settings: Settings, files: FileIndex
) -> tuple[LocalEngine | MultiGpuEngine | RayEngine | RayDataEngine, Profile]:
    """The engine, and the profile that fits what it computes with."""
    if settings.engine != "local":
        return _on_ray(settings, files)
    lent = zerogpu.zerogpu_machine() if zerogpu.is_zerogpu_space() else None
    profile, device = _profile(settings, lent)
    if lent is None:
        return _engine(settings, files, device), profile
    # On ZeroGPU this process has no GPU itself.
    return _lending(settings, factory.make_cache(Machine("cpu", devices.total_host_bytes()), "cpu"), files, profile)


def _on_ray(settings: Settings, files: FileIndex) -> tuple[RayEngine | RayDataEngine, Profile]:
    """Workers on the cluster, one for each of its GPUs or as many as were asked for. Raises `BadInput`."""
    joined = cluster.join(settings.data, settings.devices, serving=settings.engine == "ray")
    count = settings.devices or joined.gpus or 1
    cpus = 1.0 if joined.gpus else max(joined.cpus / count, 0.1)
    size = Size(count, gpus=1.0 if joined.gpus else 0.0, cpus=cpus, idle=settings.worker_idle)
    near = LocalEngine(factory.make_cache(Machine("cpu", devices.total_host_bytes()), "cpu"), files)
    build = partial(factory.make_worker_engine, among=1 if joined.gpus else count, compile=settings.compile)
    if settings.engine == "ray-data":
        there = joined.ask(factory.detect_machine, size.gpus)
        many = RayDataEngine(near, files, build, size, url=settings.ray_store, closed=joined.close)
        return many, _profile(settings, there)[0]
    engine = RayEngine(
        near, files, build, size, url=settings.ray_store, name=f"designerbox-{near.seal.load_key().fingerprint}",
        closed=joined.close,
    )  # fmt: skip
    log.info("waiting for the first of %d Ray workers", count)
    return engine, _profile(settings, engine.machine())[0]


def _profile(settings: Settings, machine: Machine | None) -> tuple[Profile, devices.DeviceKind]:
    """The profile that a flag names, else the one that was chosen on the page, else the best that fits.

    A flag that cannot be followed is an error; what was chosen on the page never keeps the studio from starting.
    """

    def choose(wanted: str) -> tuple[Profile, devices.DeviceKind]:
        return profiles.choose_profile(
            wanted or None, machine, reachable=hub.is_hub_reachable, commercial=settings.commercial
        )

    if settings.profile:
        return choose(settings.profile)
    try:
        return choose(profiles.read_saved_choice(settings.data))
    except BadInput as error:
        log.warning("the profile chosen on the Settings page cannot serve: %s", error.message)
        return choose("")


def _engine(settings: Settings, files: FileIndex, device: str) -> LocalEngine | MultiGpuEngine:
    """One device with all that there is, or a lane on each of several GPUs."""
    cards = devices.find_cuda_devices()[: settings.devices or None] if device == "cuda" else ()
    if cards:
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # torch counts the cards as the driver does
    if len(cards) < 2:
        cache = factory.make_cache(
            devices.detect_machine(), device, _peaks(settings), _paces(settings), compile=settings.compile
        )
        return LocalEngine(cache, files, together=_together(settings, device))
    log.info("%d GPUs, a lane on each", len(cards))
    peaks, paces = _peaks(settings), _paces(settings)
    caches = [
        factory.make_cache(card, f"cuda:{n}", peaks, paces, among=len(cards), compile=settings.compile)
        for n, card in enumerate(cards)
    ]
    return MultiGpuEngine([LocalEngine(cache, files, together=_together(settings, device)) for cache in caches])


def _together(settings: Settings, device: str) -> int:
    """On a processor a second picture takes as long in a call as in one of its own, so there jobs take turns."""
    return settings.together or (8 if device == "cuda" else 0)


def _peaks(settings: Settings) -> PeakMemory:
    """What drawing took before the last restart, so that the first job finds its room too."""
    return PeakMemory(settings.data / "peaks.json")


def _paces(settings: Settings) -> BatchSizeTuner:
    """How long calls took before the last restart, so that nothing has to be tried again."""
    return BatchSizeTuner(settings.data / "paces.json")


def _lending(settings: Settings, cache: ModelCache, files: FileIndex, profile: Profile) -> tuple[LocalEngine, Profile]:
    """The engine of a Space that lends a GPU, the checkpoints of `profile` placed; embedded where that cannot be."""
    placed = [row.id for row in profiles.profile_models(profile) if row.repo]
    try:
        return zerogpu.ZeroGpuEngine(cache, files, placed=placed), profile
    except (ModelUnavailable, OutOfMemory) as error:
        log.warning("profile %s cannot be placed: %s", profile.id, error.message)
        instead = replace(
            profiles.EMBEDDED, reason=f"{error.message} The embedded models serve instead.", is_fallback=True
        )
        return zerogpu.ZeroGpuEngine(cache, files), instead


def _clear(folder: Path, age: float) -> None:
    """Delete what a process that was killed left there, older than `age` in seconds."""
    old = time.time() - age
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # whoever else serves from here clears as well
            if path.is_file() and path.stat().st_mtime < old:
                path.unlink()


def open_doors(settings: Settings) -> int:
    """Serve until interrupted. Returns 2 with a sentence where settings let strangers in or cannot be met."""
    sentence = refusal(settings)
    if sentence is not None:
        log.error(sentence)
        return 2
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    # Beside the pictures, which need no more than a second name there, and out of reach of other studios on this
    # machine and of whoever clears the system's own folder.
    served = Path(os.environ.setdefault("GRADIO_TEMP_DIR", str(settings.data.resolve() / "page")))
    try:
        studio = build(settings)
    except (StudioError, DatabaseUnavailable) as error:
        log.error("%s", error)
        return 2
    from ui import page as ui_page
    from ui.components.pictures import DELETE_CACHE_SECONDS
    from ui.gradio_patches.event_stream import keep_stream_open

    _clear(served, DELETE_CACHE_SECONDS[1])

    try:
        page = ui_page.build_page(studio.service, studio.access)
        keep_stream_open(page.queue(default_concurrency_limit=None, max_size=None)).launch(
            server_name=settings.host,
            server_port=settings.port,
            share=settings.share,
            auth=studio.access.gradio_auth(),
            app_kwargs={
                "routes": [*app.routes(studio.service, studio.access), *ui_page.build_static_routes()],
                "middleware": studio.access.middleware(),
            },
            prevent_thread_lock=True,
            **ui_page.build_launch_arguments(),
        )
        close_cors(page.app)
        log_redirect.redirect_to_log()
        page.block_thread()
    finally:
        studio.close()
    return 0
