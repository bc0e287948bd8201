"""Ray on this machine: workers that are killed, and checkpoints that want to stay where they are.

The studio's own queue is in front, as in life. The oracle knows all that comes: eight checkpoints fit eight places, so
it loads each once. What Serve's own `multiplexed` loads for the same arrivals stands beside it.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import threading
import time
import uuid
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core.job import Job, ProgressCallback, Result, Step
from pipelines.core.models import ModelSpec
from pipelines.core.params import Params
from pipelines.core.rendering import ToolOutput
from pipelines.core.stream import Stream, wait_for_result
from pipelines.core.tools import Tool, ToolContext
from pipelines.engines.ray_cluster.engine import LOST_STAGE, RayEngine, RayOptions
from pipelines.jobs.queue import JobQueue
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import CacheOptions, ModelCache
from pipelines.security.audit_log import AuditLog
from pipelines.storage.file_index import FileIndex
from tests.bench.rows import Row, make_row
from tests.engines.support import ray_workers
from tests.support.gated_tool import UnfilteredEngine
from tests.support.served_app import wait_until

KILL_COUNT, CALL_COUNT = 10, 100
MODEL_NAMES, PLACE_COUNT, WORKER_COUNT, GB_BYTES = "abcdefgh", 2, 4, 10**9
WORK, LOADING, ARRIVALS, USAGE = 2.0, 12.0, 200, 0.4


def rows(kills: float = KILL_COUNT, calls: float = CALL_COUNT, arrivals: float = ARRIVALS) -> Iterator[Row]:
    """Numbers: workers killed, calls at once, arrivals."""
    # Ray knows one token as long as a process lives, the first: its file has to last for both clusters.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        yield from _measure_kills(Path(name), int(kills), int(calls))
        yield from _measure_placement(Path(name), int(arrivals))


# ---------------------------------------------------------------- workers that are killed


@contextmanager
def _open_ray_queue(root: Path, options: RayOptions, build: Any, waiting: int) -> Iterator[tuple[JobQueue, RayEngine]]:
    root = Path(tempfile.mkdtemp(dir=root))
    files = FileIndex(root)
    with ray_workers.start_ray_engine(root, files, options, build) as engine:
        jobs = JobQueue(root, engine, max_waiting=waiting)
        yield jobs, engine
        jobs.close()
    files.close()


def _make_scene_job(seed: int) -> Job:
    return Job(
        id=f"job-{uuid.uuid4().hex}",
        tool="background",
        params={"preset": "studio-grey", "size": 768},
        seed=seed,
        profile="embedded",
        specs={"backdrop": "backdrops", "matte": "u2netp"},
        owner="me",
        created=time.time(),
    )


def _measure_kills(root: Path, kills: int, calls: int) -> Iterator[Row]:
    with _open_ray_queue(root, RayOptions(2, cpus=0.5), ray_workers.build_engine, calls) as (jobs, engine):
        right = {
            seed: wait_for_result(jobs.submit_and_watch(_make_scene_job(seed))).files[0].pixels_sha256
            for seed in range(4)
        }
        well, waits = 0, list[float]()
        while len(waits) < kills:
            seed = len(waits) % len(right)
            lost, waited, sha256 = _kill_in_the_middle(jobs, engine, seed)
            if lost:  # not ended already when the signal came
                well += sha256 == right[seed]
                waits.append(waited)
            wait_until(lambda: all(worker.is_connected for worker in engine.workers), ray_workers.START_TIMEOUT_SECONDS)
        yield make_row("ray_streams_right_after_a_kill", well, f"of {kills}", kills, at_most=False)
        yield make_row("ray_seconds_lost_with_a_worker", round(sorted(waits)[len(waits) // 2], 2), "s, median", 60)
        streams = [(n % 4, jobs.submit_and_watch(_make_scene_job(n % 4))) for n in range(calls)]
        stop = threading.Event()
        with ThreadPoolExecutor(2) as pool:
            killer = pool.submit(_kill_now_and_then, engine, stop)
            ended = [(seed, _wait_for_sha256(stream)) for seed, stream in streams]
            stop.set()
        lost_calls = sum(sha256 != right[seed] for seed, sha256 in ended)
        yield make_row("ray_calls_lost", lost_calls, f"of {calls} at once, {killer.result()} workers killed", 0)


def _kill_in_the_middle(jobs: JobQueue, engine: RayEngine, seed: int) -> tuple[bool, float, str]:
    """Whether the job lost its worker, the seconds from the kill to the end, its picture."""
    killed, lost, since = False, False, 0.0
    for event in (stream := jobs.submit_and_watch(_make_scene_job(seed))):
        if isinstance(event, Result):
            return lost, time.monotonic() - since, event.files[0].pixels_sha256
        lost |= isinstance(event, Step) and event.stage == LOST_STAGE
        busy = ray_workers.find_busy_workers(engine)
        if isinstance(event, Step) and not killed and busy:
            killed, since = True, time.monotonic()
            ray_workers.kill_worker(engine, next(iter(busy)))
    raise RuntimeError(f"a stream ended without a result: {stream.error}")


def _kill_now_and_then(engine: RayEngine, stop: threading.Event) -> int:
    dice, killed = random.Random(1), 0
    while not stop.wait(dice.uniform(4, 10)):
        up = [n for n, worker in enumerate(engine.workers) if worker.is_connected]
        if up:
            ray_workers.kill_worker(engine, dice.choice(up))
            killed += 1
    return killed


def _wait_for_sha256(stream: Stream) -> str:
    return wait_for_result(stream).files[0].pixels_sha256


# ---------------------------------------------------------------- checkpoints and places


class PaperModel:
    """A checkpoint that is its name, its size and the time that reading it takes."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def close(self) -> None: ...


class PaperFamily:
    """Eight of them, of which two fit a worker."""

    specs = tuple(ModelSpec(name, "papers", ("text",), "Apache-2.0", bytes=GB_BYTES) for name in MODEL_NAMES)

    def load(self, spec: ModelSpec, device: str) -> PaperModel:
        time.sleep(LOADING)
        return PaperModel(spec)

    def estimate_bytes(self, spec: ModelSpec) -> int:
        return spec.bytes


class WorkParams(Params):
    """No field."""


def _run_work(params: WorkParams, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    with context.borrow_model(context.spec_for_role("text")):
        time.sleep(WORK)
    return ToolOutput(images=(np.full((8, 8, 3), context.seed % 256, np.uint8),))


def make_paper_engine(files: FileIndex, audit: AuditLog) -> UnfilteredEngine:
    """What a worker holds."""
    cache = ModelCache((*FAMILIES, PaperFamily()), CacheOptions(budget_bytes=int((PLACE_COUNT + 0.5) * GB_BYTES)))
    return UnfilteredEngine(cache, files, (Tool("work", "Work", "For figures.", WorkParams, _run_work),))


@dataclass(frozen=True)
class Arrival:
    """When, and for which checkpoint."""

    at: float
    name: str


def _draw_arrivals(count: int, seed: int = 0) -> Sequence[Arrival]:
    """The first checkpoint is wanted eight times as often as the last."""
    dice, at, coming = random.Random(seed), 0.0, []
    for _ in range(count):
        at += dice.expovariate(WORKER_COUNT * USAGE / WORK)
        coming.append(Arrival(at, dice.choices(MODEL_NAMES, [1 / (k + 1) for k in range(len(MODEL_NAMES))])[0]))
    return coming


def _measure_placement(root: Path, count: int) -> Iterator[Row]:
    coming = _draw_arrivals(count)
    oracle = len({each.name for each in coming})  # as many places as checkpoints: none has to be read twice
    with _open_ray_queue(root, RayOptions(WORKER_COUNT, cpus=0.25), make_paper_engine, count) as (jobs, engine):
        ours, seconds = _submit_arrivals(jobs, engine, coming)
        theirs, their_seconds = _count_multiplexed_loads(coming)
    yield make_row("ray_loads_over_oracle", round(ours / oracle, 2), f"x, {ours} for {count} jobs", 1.3)
    yield make_row("ray_loads_by_multiplexed", round(theirs / oracle, 2), f"x, {theirs}; Serve's own", 1000)
    yield make_row(
        "ray_seconds_a_job", round(seconds, 2), f"s from arrival to end; multiplexed {their_seconds:.2f}", 1000
    )


def _submit_arrivals(jobs: JobQueue, engine: RayEngine, coming: Sequence[Arrival]) -> tuple[int, float]:
    took: list[float] = []
    with ThreadPoolExecutor(len(coming)) as pool:
        for each in _iterate_in_time(coming):
            came = time.monotonic()
            asked = Job(
                id=f"job-{uuid.uuid4().hex}",
                tool="work",
                params={},
                seed=1,
                profile="papers",
                owner="me",
                specs={"text": each.name, "matte": "u2netp"},
                created=time.time(),
            )
            pool.submit(_wait_for_sha256, jobs.submit_and_watch(asked)).add_done_callback(
                lambda done, came=came: took.append(time.monotonic() - came) if done.exception() is None else None
            )
    assert len(took) == len(coming)
    return sum(engine.cache.load_counts[name] for name in MODEL_NAMES), sum(took) / len(took)


def _count_multiplexed_loads(coming: Sequence[Arrival]) -> tuple[int, float]:
    """The same on Serve's model multiplexing."""
    from ray import serve

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        serve.start(proxy_location="Disabled", logging_config={"log_level": "WARNING"})
        deployment: Any = serve.deployment(_make_deployment())
        options = {
            "num_replicas": WORKER_COUNT,
            "max_ongoing_requests": 1,
            "ray_actor_options": {"num_cpus": 0.1},
        }
        handle = serve.run(deployment.options(**options).bind(), name="multiplexed", route_prefix=None)
    took: list[float] = []
    loads: dict[int, int] = {}

    def ask(each: Arrival) -> None:
        came = time.monotonic()
        pid, count = handle.options(multiplexed_model_id=each.name).work.remote().result()
        took.append(time.monotonic() - came)
        loads[pid] = max(loads.get(pid, 0), count)

    with ThreadPoolExecutor(len(coming)) as pool:
        for each in _iterate_in_time(coming):
            pool.submit(ask, each)
    serve.delete("multiplexed")
    assert len(took) == len(coming)
    return sum(loads.values()), sum(took) / len(took)


def _make_deployment() -> type:
    from ray import serve

    class Multiplexed:
        loads = 0

        @serve.multiplexed(max_num_models_per_replica=PLACE_COUNT)
        async def model(self, name: str) -> str:
            await asyncio.sleep(LOADING)
            self.loads += 1
            return name

        async def work(self) -> tuple[int, int]:
            model: Any = self.model  # wrapped by Serve, which its types do not say
            await model(serve.get_multiplexed_model_id())
            await asyncio.sleep(WORK)
            return os.getpid(), self.loads

    return Multiplexed


def _iterate_in_time(coming: Sequence[Arrival]) -> Iterator[Arrival]:
    began = time.monotonic()
    for each in coming:
        time.sleep(max(0.0, began + each.at - time.monotonic()))
        yield each
