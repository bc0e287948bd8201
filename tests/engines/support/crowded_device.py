"""Many jobs over four tiny checkpoints on a device that holds two, in bad weather: loads and drawings lack memory.

The suite runs some of them, the bench a hundred; both call `run`.
"""

from __future__ import annotations

import faulthandler
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core.errors import JobCancelled, OutOfMemory
from pipelines.core.geometry import Image
from pipelines.core.job import Job, Result
from pipelines.core.models import ModelSpec
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest
from pipelines.core.stream import Stream, wait_for_result
from pipelines.jobs.queue import JobQueue
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.families import FAMILIES
from pipelines.models.families.stable_diffusion import StableDiffusionModel
from pipelines.models.model_cache import CacheOptions, ModelCache
from pipelines.storage.file_index import FileIndex
from tests.models.support.tiny_checkpoints import tiny_sd, tiny_spec
from tests.support.gated_tool import UnfilteredEngine

SUBMITTER_COUNT = 8
DRAW_FAULT_INTERVAL, LOAD_FAULT_INTERVAL = (
    7,
    5,
)  # of so many one runs out of memory: counted, not drawn by lot, so that every run has some
CANCEL_RATIO = 0.15  # the share of jobs that are stopped
TIMEOUT_SECONDS = 10.0  # seconds for each job, then whatever has not ended hangs


@dataclass
class MemoryFaults:
    """Makes every so-manieth drawing and load run out of memory, as a device does that others use too."""

    bad: bool = False
    seen: Counter[int] = field(default_factory=Counter)
    struck: int = 0
    here: threading.local = field(default_factory=threading.local)

    def maybe_raise(self, every: int) -> None:
        self.seen[every] += self.bad
        if self.bad and self.seen[every] % every == 0:
            self.struck += 1
            self.here.struck = getattr(self.here, "struck", 0) + 1
            raise MemoryError


class FaultCountingEngine(UnfilteredEngine):
    """An engine that knows how often each job was struck: loads and drawings are done in the job's own thread."""

    def __init__(self, cache: ModelCache, files: FileIndex, weather: MemoryFaults) -> None:
        super().__init__(cache, files)
        self.weather = weather
        self.struck: Counter[str] = Counter()

    def run_blocking(self, job: Job, stream: Stream) -> Result:
        self.weather.here.struck = 0
        try:
            return super().run_blocking(job, stream)
        finally:
            self.struck[job.id] += self.weather.here.struck


class FaultyStableDiffusion(CheckpointFamily):
    """Stable Diffusion in bad weather."""

    def __init__(self, specs: tuple[ModelSpec, ...], weather: MemoryFaults) -> None:
        super().__init__(StableDiffusionModel, specs)
        self.weather = weather

    def load(self, spec: ModelSpec, device: str) -> Any:
        self.weather.maybe_raise(LOAD_FAULT_INTERVAL)
        painter: Any = super().load(spec, device)
        draw = painter.draw

        def exposed(render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages:
            def step(at: ModelStep) -> None:
                on_step(at)
                if at.index == 1:
                    self.weather.maybe_raise(DRAW_FAULT_INTERVAL)

            return draw(render, step)

        painter.draw = exposed
        return painter


@dataclass
class CrowdedStudio:
    """A queue over four tiny checkpoints; the device holds two and the host one."""

    files: FileIndex
    cache: ModelCache
    jobs: JobQueue
    weather: MemoryFaults
    struck: Counter[str]
    hung: bool = False

    def make_job(self, number: int) -> Job:
        """One of four pictures."""
        return Job(
            id=f"job-{uuid.uuid4().hex}",
            tool="background",
            params={"prompt": "a harbour", "size": 256},
            seed=1,
            profile="tiny",
            specs={"backdrop": f"tiny-{number % 4}", "matte": "u2netp"},
            owner="me",
            created=time.time(),
        )

    def draw_picture(self, number: int) -> Image:
        return self.open_picture(wait_for_result(self.jobs.watch(self.jobs.submit(self.make_job(number)))))

    def open_picture(self, result: Result) -> Image:
        return self.files.open_image(result.files[0].id)


@contextmanager
def start_crowded_studio(root: Path) -> Iterator[CrowdedStudio]:
    """Built below `root`, and torn down again."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    weather = MemoryFaults()
    folders = [tiny_sd(root / f"tiny-{n}", seed=n) for n in range(4)]
    rows = tuple(tiny_spec(f"tiny-{n}", path, steps=2, guidance=1.0) for n, path in enumerate(folders))
    family = FaultyStableDiffusion(rows, weather)
    size = family.estimate_bytes(family.specs[0])
    files, cache = (
        FileIndex(root),
        ModelCache((*FAMILIES, family), CacheOptions(budget_bytes=int(2.5 * size), host_budget_bytes=int(1.5 * size))),
    )
    engine = FaultCountingEngine(cache, files, weather)
    jobs = JobQueue(root, engine, max_waiting=200)
    here = CrowdedStudio(files, cache, jobs, weather, engine.struck)
    try:
        yield here
    finally:
        if not here.hung:  # else this would hang too
            jobs.close()
            files.close()
        torch.set_num_threads(threads)


def run_many_jobs(here: CrowdedStudio, right: dict[int, Image], count: int) -> Counter[str]:
    """How `count` jobs of eight submitters ended; every picture is compared with the right one of its kind.

    Fewer than `count` where some had not ended by the deadline; then every thread's stack is printed.
    """
    ends: Counter[str] = Counter()
    lock = threading.Lock()
    here.weather.bad = True

    def submit(start: int) -> None:
        order = random.Random(start)
        for number in range(start, count, SUBMITTER_COUNT):
            watch = here.jobs.watch(job_id := here.jobs.submit(here.make_job(number)))
            if order.random() < CANCEL_RATIO:
                here.jobs.cancel(job_id)
            end = describe_end(here, watch, right[number % 4], job_id)
            with lock:
                ends[end] += 1

    threads = [threading.Thread(target=submit, args=(start,), daemon=True) for start in range(SUBMITTER_COUNT)]
    until = time.monotonic() + TIMEOUT_SECONDS * count
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    here.hung = any(thread.is_alive() for thread in threads)
    if here.hung:
        faulthandler.dump_traceback(all_threads=True)
    here.weather.bad = False
    return ends


def describe_end(here: CrowdedStudio, watch: Any, right: Image, job_id: str) -> str:
    try:
        result = wait_for_result(watch)
    except JobCancelled:
        return "cancelled"
    except OutOfMemory:
        # A job that began sparing, as was learned, has no way left after one fault.
        return "out of memory" if here.struck[job_id] else "wrong"
    if not np.array_equal(here.open_picture(result), right):
        return "wrong"
    return "helped" if "Memory gave out" in str(result.receipt["notices"]) else "done"
