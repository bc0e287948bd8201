from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.errors import JobCancelled, QueueFull
from pipelines.core.job import Job, ProgressCallback, Step
from pipelines.core.models import ModelSpec
from pipelines.core.rendering import ToolOutput
from pipelines.core.stream import wait_for_result
from pipelines.core.tools import Tool, ToolContext
from pipelines.engines.multi_gpu import MultiGpuEngine
from pipelines.engines.placement_policy import DeviceState
from pipelines.engines.scheduler import DeviceReservations
from pipelines.jobs.queue import JobQueue
from pipelines.models.batch_size_tuner import BatchSizeTuner
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import CacheOptions, ModelCache
from pipelines.storage.file_index import FileIndex
from tests.models.support import published_speeds
from tests.models.support.published_speeds import TimedFamily, TimedModel
from tests.support.gated_tool import GatedParams, UnfilteredEngine, make_gated_job
from tests.support.served_app import wait_until

SIDE = 8
GB = 10**9


class NamedCheckpoint:
    """A checkpoint that is nothing but its name and its size."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def close(self) -> None: ...


class NamedCheckpointFamily:
    """A family of two of them, of which one fits a device."""

    specs = tuple(ModelSpec(name, "papers", ("text",), "Apache-2.0", bytes=GB) for name in ("one", "two"))

    def load(self, spec: ModelSpec, device: str) -> NamedCheckpoint:
        return NamedCheckpoint(spec)

    def estimate_bytes(self, spec: ModelSpec) -> int:
        return spec.bytes


@dataclass
class TwoDevices:
    """Two devices, a queue over them, and a tool that borrows the job's checkpoint and waits at a gate."""

    jobs: JobQueue
    engine: MultiGpuEngine
    caches: list[ModelCache]
    open: threading.Event = field(default_factory=threading.Event)
    on: dict[str, str] = field(default_factory=dict)
    """The device that each job was done on."""

    def submit_job(self, spec: str, seed: int = 0) -> str:
        return self.jobs.submit(
            make_gated_job(seed=seed).model_copy(update={"specs": {"text": spec, "matte": "u2netp"}})
        )

    def make_tool(self) -> Tool:
        return Tool("gate", "Gate", "For tests.", GatedParams, self.run_tool)

    def run_tool(self, params: GatedParams, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
        import numpy as np

        made: Any = context
        with context.borrow_model(made.job.specs["text"]):
            self.on[made.job.id] = made.resources.cache.device
            for n in range(params.steps):
                self.open.wait(30)
                emit("Waiting", n + 1, params.steps)
        return ToolOutput(images=(np.full((SIDE, SIDE, 3), context.seed % 256, np.uint8),))


@pytest.fixture
def works(tmp_path: Path) -> Iterator[TwoDevices]:
    files = FileIndex(tmp_path)
    caches = [
        ModelCache((*FAMILIES, NamedCheckpointFamily()), CacheOptions(budget_bytes=int(1.5 * GB), device=f"cpu:{n}"))
        for n in range(2)
    ]
    tools: list[Tool] = []
    engine = MultiGpuEngine([UnfilteredEngine(cache, files, tools) for cache in caches])
    jobs = JobQueue(tmp_path, engine)
    built = TwoDevices(jobs, engine, caches)
    tools.append(built.make_tool())
    yield built
    built.open.set()
    jobs.close()
    files.close()


def test_as_many_jobs_run_as_there_are_devices_and_no_more(works: TwoDevices) -> None:
    ids = [works.submit_job("two" if seed == 1 else "one", seed) for seed in range(5)]
    wait_until(lambda: len(works.on) == 2)
    assert works.jobs.count_jobs() == (2, 3)
    assert set(works.on.values()) == {"cpu:0", "cpu:1"}
    works.open.set()
    pictures = {wait_for_result(works.jobs.watch(job_id)).files[0].id for job_id in ids}
    assert len(pictures) == 5


def test_a_job_goes_where_its_checkpoint_lies_and_overtakes_one_that_waits_for_another(works: TwoDevices) -> None:
    works.open.set()
    for spec in ("one", "two"):
        wait_for_result(works.jobs.watch(works.submit_job(spec)))
    home = {spec: next(c.device for c in works.caches if c.load_counts[spec]) for spec in ("one", "two")}
    assert len(set(home.values())) == 2
    works.open.clear()
    first, waits, overtakes = works.submit_job("one"), works.submit_job("one"), works.submit_job("two")
    wait_until(lambda: {first, overtakes} <= works.on.keys())
    assert waits not in works.on
    works.open.set()
    for job_id in (first, waits, overtakes):
        wait_for_result(works.jobs.watch(job_id))
    assert {works.on[i] for i in (first, waits)} == {home["one"]}
    assert works.on[overtakes] == home["two"]
    assert works.engine.cache.load_counts == {"one": 1, "two": 1}


def test_rows_of_one_batch_are_worked_off_on_every_device(works: TwoDevices) -> None:
    rows = [make_gated_job(seed=n).model_copy(update={"specs": {"text": "one"}, "batch": True}) for n in range(6)]
    for row in rows:
        works.jobs.submit(row)
    wait_until(lambda: len(works.on) == 2)
    works.open.set()
    for row in rows:
        wait_for_result(works.jobs.watch(row.id))
    assert set(works.on.values()) == {"cpu:0", "cpu:1"}


def test_cancelling_frees_that_device_and_no_other(works: TwoDevices) -> None:
    ids = [works.submit_job(spec, seed) for seed, spec in enumerate(("one", "two"))]
    wait_until(lambda: len(works.on) == 2)
    watch = works.jobs.watch(ids[0])
    works.jobs.cancel(ids[0])
    third = works.submit_job("one", 2)
    works.open.set()
    with pytest.raises(JobCancelled):
        wait_for_result(watch)
    assert wait_for_result(works.jobs.watch(third)).files
    assert wait_for_result(works.jobs.watch(ids[1])).files
    wait_until(lambda: works.jobs.count_jobs() == (0, 0))
    assert works.engine._reservations._reserved == {}


def test_a_job_without_a_queue_takes_a_free_device_and_is_refused_where_there_is_none(works: TwoDevices) -> None:
    streams = [works.engine.run(make_direct_job()) for _ in range(2)]
    with pytest.raises(QueueFull):
        works.engine.run(make_direct_job())
    works.open.set()
    assert all(any(isinstance(event, Step) for event in stream) for stream in streams)


def make_direct_job() -> Job:
    return make_gated_job().model_copy(update={"specs": {"text": "one"}})


def test_the_models_of_all_devices_are_looked_at_as_one(works: TwoDevices) -> None:
    works.open.set()
    for spec in ("one", "two"):
        wait_for_result(works.jobs.watch(works.submit_job(spec)))
    assert {row["id"] for row in works.engine.cache.resident_models()} >= {"one", "two"}
    assert works.engine.describe_state()["device"] == "cpu:0, cpu:1"
    assert works.engine.cache.budget_bytes == 3 * GB
    assert works.engine.cache.unload_model("one")
    assert not works.engine.cache.unload_model("one")


def test_nobody_loads_what_another_device_is_loading() -> None:
    first = make_gated_job().model_copy(update={"specs": {"text": "one"}})
    turns = DeviceReservations(lambda: [DeviceState({}, GB, is_idle=True), DeviceState({}, GB, is_idle=True)])
    assert turns.reserve_next([first]) == first.id
    assert turns.reserve_next([make_gated_job().model_copy(update={"specs": {"text": "one"}})]) is None
    other = make_gated_job().model_copy(update={"specs": {"text": "two"}})
    assert turns.reserve_next([other]) == other.id
    assert {device for _, device in turns._reserved.values()} == {0, 1}


def test_on_several_devices_jobs_join_the_calls_of_the_one_that_holds_their_model(tmp_path: Path) -> None:
    model, files, go = TimedModel(), FileIndex(tmp_path), threading.Event()
    kind = "published", "cpu", repr(((64, 64), None))
    paces = BatchSizeTuner()
    for n in (1, 2, 4):
        paces.record_call_seconds(kind, n, 1e-9)
        paces.record_call_seconds(kind, n, 1e-9)
    caches = [
        ModelCache((*FAMILIES, TimedFamily(model)), CacheOptions(budget_bytes=GB, device="cpu"), batch_tuner=paces)
        for _ in range(2)
    ]
    engine = MultiGpuEngine(
        [UnfilteredEngine(cache, files, (published_speeds.timed_tool(),), together=4) for cache in caches]
    )
    jobs = JobQueue(tmp_path, engine)
    model.step = lambda n: go.wait(30) if len(model.calls) == 1 else None
    engine._reservations._mean_seconds = 0.1  # quick jobs, of which many must wait before a second copy pays
    with caches[0].borrow_model("published"):
        pass
    caches[1].budget_bytes = -1  # no room for one
    orders = [
        make_gated_job(seed=n).model_copy(
            update={"tool": "asked", "params": {"side": 64}, "specs": {"text": "published"}}
        )
        for n in range(5)
    ]
    try:
        streams = [jobs.submit_and_watch(order) for order in orders]
        wait_until(lambda: len(engine._engines[0]._batcher._queue) == 5)
        go.set()
        for stream in streams:
            wait_for_result(stream)
        assert len(model.calls) == 2
    finally:
        go.set()
        jobs.close()
        files.close()
