"""Opens every door on one port: page, `/v1` and `/healthz`; decides nothing about pictures."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.desk import Desk
from pipelines.engines import hub, zerogpu
from pipelines.engines.local import LocalEngine
from pipelines.engines.several import Several
from pipelines.files import Files
from pipelines.jobs import Jobs
from pipelines.memory import give_back
from pipelines.models import devices, profiles
from pipelines.models.cache import Cache
from pipelines.models.devices import Machine
from pipelines.models.families import FAMILIES
from pipelines.models.peaks import Peaks
from pipelines.parts.ingest import Ingest
from pipelines.retention import Keep, sweep
from pipelines.settings import Settings
from pipelines.types import BadInput, ModelUnavailable, OutOfMemory, Profile
from ui import printed, rest
from ui.access import Access, refusal
from ui.edge import close_cors
from ui.rest.keys import Keys

log = logging.getLogger("designerbox")


@dataclass(frozen=True)
class Studio:
    """Everything behind the doors, so that it can be closed again."""

    desk: Desk
    access: Access
    jobs: Jobs
    files: Files
    ingest: Ingest

    def close(self) -> None:
        """Stop what runs, free models, end the worker."""
        self.jobs.close()
        self.ingest.close()
        self.files.close()
        self.access.keys.close()


def build(settings: Settings) -> Studio:
    """Settings -> profile, cache, engine, queue, desk."""
    settings.data.mkdir(parents=True, exist_ok=True)
    lent = zerogpu.machine() if zerogpu.lends() else None
    profile, device = _profile(settings, lent)
    log.info("profile %s on %s: %s", profile.id, device, profile.reason)
    files = Files(settings.data)
    engine: LocalEngine | Several
    if lent is None:
        engine = _engine(settings, files, device)
    else:  # on ZeroGPU this process has no GPU itself
        here = _cache(settings, Machine("cpu", devices.ram()), "cpu")
        engine, profile = _lending(settings, here, files, profile)
    jobs = Jobs(settings.data, engine, waiting=settings.queue)
    keep = Keep(settings.keep_days, int(settings.keep_gb * 1e9))
    # The cache starts no thread of its own, so somebody has to tell it that time passes.
    jobs.every(60, engine.cache.sweep)
    jobs.every(60, give_back)
    jobs.every(1, files.sync)
    jobs.every(3600, lambda: sweep(jobs.table, files, keep))
    ingest = Ingest()
    desk = Desk(settings, jobs, files, profile, ingest)
    return Studio(desk, Access(settings, Keys(settings.data)), jobs, files, ingest)


def _profile(settings: Settings, lent: Machine | None) -> tuple[Profile, devices.Device]:
    """The profile that a flag names, else the one that was chosen on the page, else the best that fits.

    A flag that cannot be followed is an error; what was chosen on the page never keeps the studio from starting.
    """

    def choose(wanted: str) -> tuple[Profile, devices.Device]:
        return profiles.choose(wanted or None, lent, reachable=hub.reachable, commercial=settings.commercial)

    if settings.profile:
        return choose(settings.profile)
    try:
        return choose(profiles.kept(settings.data))
    except BadInput as error:
        log.warning("the profile chosen on the Settings page cannot serve: %s", error.message)
        return choose("")


def _engine(settings: Settings, files: Files, device: str) -> LocalEngine | Several:
    """One device with all that there is, or a lane on each of several GPUs."""
    cards = devices.cards()[: settings.devices or None] if device == "cuda" else ()
    if cards:
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # torch counts the cards as the driver does
    if len(cards) < 2:
        return LocalEngine(_cache(settings, devices.find_machine(), device, _peaks(settings)), files)
    log.info("%d GPUs, a lane on each", len(cards))
    peaks = _peaks(settings)
    caches = [_cache(settings, card, f"cuda:{n}", peaks, among=len(cards)) for n, card in enumerate(cards)]
    return Several([LocalEngine(cache, files) for cache in caches])


def _peaks(settings: Settings) -> Peaks:
    """What drawing took before the last restart, so that the first job finds its room too."""
    return Peaks(settings.data / "peaks.json")


def _cache(settings: Settings, machine: Machine, device: str, peaks: Peaks | None = None, among: int = 1) -> Cache:
    """A cache with its share of the machine; the host's memory is shared `among` so many."""
    room = devices.share(machine)
    return Cache(
        FAMILIES,
        budget=room.budget,
        device=device,
        reserve=room.reserve,
        host_budget=room.host // among,
        options=(("compile", "inductor"),) if settings.compile else (),
        peaks=peaks,
        reachable=hub.reachable,
    )


def _lending(settings: Settings, cache: Cache, files: Files, profile: Profile) -> tuple[LocalEngine, Profile]:
    """The engine of a Space that lends a GPU, the checkpoints of `profile` placed; embedded where that cannot be."""
    placed = [row.id for row in profiles.models(profile) if row.repo]
    try:
        return zerogpu.ZeroGpuEngine(cache, files, placed=placed), profile
    except (ModelUnavailable, OutOfMemory) as error:
        log.warning("profile %s cannot be placed: %s", profile.id, error.message)
        instead = replace(profiles.EMBEDDED, reason=f"{error.message} The embedded models serve instead.", fallen=True)
        return zerogpu.ZeroGpuEngine(cache, files), instead


def _clear(folder: Path, age: float) -> None:
    """Delete what a process that was killed left there, older than `age` in seconds."""
    old = time.time() - age
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # whoever else serves from here clears as well
            if path.is_file() and path.stat().st_mtime < old:
                path.unlink()


def open_doors(settings: Settings) -> int:
    """Serve until interrupted. Returns 2 with a sentence where the settings would let strangers in."""
    sentence = refusal(settings)
    if sentence is not None:
        log.error(sentence)
        return 2
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    # Beside the pictures, which need no more than a second name there, and out of reach of other studios on this
    # machine and of whoever clears the system's own folder.
    served = Path(os.environ.setdefault("GRADIO_TEMP_DIR", str(settings.data.resolve() / "page")))
    studio = build(settings)
    from ui import blocks
    from ui.lines import keep_open
    from ui.pictures import TEMPORARY

    _clear(served, TEMPORARY[1])

    try:
        page = blocks.build(studio.desk, studio.access)
        keep_open(page.queue(default_concurrency_limit=None, max_size=None)).launch(
            server_name=settings.host,
            server_port=settings.port,
            share=settings.share,
            auth=studio.access.gradio_auth(),
            app_kwargs={
                "routes": [*rest.routes(studio.desk, studio.access), *blocks.routes()],
                "middleware": studio.access.middleware(),
            },
            prevent_thread_lock=True,
            **blocks.launch_arguments(),
        )
        close_cors(page.app)
        printed.log_it()
        page.block_thread()
    finally:
        studio.close()
    return 0
