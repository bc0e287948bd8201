"""What every engine owes the queue, held by the same checks: here, where a GPU is lent for a call, and on Ray."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from pipelines.core.errors import BadInput, JobCancelled, NotFound, OutOfMemory
from pipelines.core.geometry import Image
from pipelines.core.job import Job, Result, Step
from pipelines.core.stream import wait_for_result
from pipelines.engines import zerogpu
from pipelines.engines.local import STARTING_STAGE, LocalEngine
from pipelines.engines.ray_cluster.engine import RayEngine, RayOptions
from pipelines.engines.zerogpu import ZeroGpuEngine
from pipelines.jobs.queue import JobQueue
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import ModelCache
from pipelines.storage.file_index import FileIndex
from pipelines.tools import TOOLS
from tests.engines.support import ray_workers
from tests.models.support.family_checks import noise_photo as photographed
from tests.models.support.tiny_checkpoints import tiny_family
from tests.support.gated_tool import Gate

T = TypeVar("T")
DRAWING_STAGE = "Setting the scene"


@dataclass
class EngineUnderTest:
    """One engine over the real tools, a tool that waits at a gate, and a tiny checkpoint for backdrops."""

    engine: LocalEngine | RayEngine
    files: FileIndex
    slots: int

    def make_job(self, tool: str = "background", *, draft: bool = False, **params: Any) -> Job:
        values = {"prompt": "a harbour", "size": 256} if tool == "background" else {}
        return Job(
            id=f"job-{uuid.uuid4().hex}",
            tool=tool,
            params={**values, **params},
            seed=3,
            profile="tiny",
            draft=draft,
            specs={"backdrop": "tiny-sd", "matte": "u2netp"},
            owner="me",
            created=time.time(),
        )

    def draw_picture(self, **params: Any) -> Image:
        return self.files.open_image(wait_for_result(self.engine.run(self.make_job(**params))).files[0].id)

    def call_with_models(self, call: Callable[[Any], T]) -> list[T]:
        """What `call` gives for the tiny checkpoint, wherever one draws."""
        if isinstance(self.engine, RayEngine):
            return ray_workers.call_with_models(self.engine, call)
        if isinstance(self.engine, ZeroGpuEngine):
            return [call(zerogpu._PLACED_MODELS["tiny-sd"])]
        return [ray_workers.call_with_model(call, self.engine)]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path_factory.mktemp("checkpoints")
    torch.set_num_threads(threads)


SLOTS = {"local": 1, "together": 16, "zerogpu": zerogpu.SLOT_COUNT, "ray": 2}
RAY = pytest.param("ray", marks=ray_workers.needs_ray)


@pytest.fixture(scope="module", params=["local", "together", "zerogpu", RAY])
def bench(
    request: pytest.FixtureRequest, checkpoints: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EngineUnderTest]:
    root = tmp_path_factory.mktemp("engine")
    files = FileIndex(root)
    with start_engine(request.param, root, files, checkpoints) as engine:
        yield EngineUnderTest(engine, files, SLOTS[request.param])
    files.close()


@contextmanager
def start_engine(name: str, root: Path, files: FileIndex, checkpoints: Path) -> Iterator[LocalEngine | RayEngine]:
    family = tiny_family(checkpoints)
    if name == "ray":
        with ray_workers.start_ray_engine(
            root, files, RayOptions(2, cpus=0.5), partial(ray_workers.build_engine, families=(family,))
        ) as made:
            yield made
        return
    cache, tools = ModelCache((*FAMILIES, family)), (*TOOLS, Gate().make_tool(), ray_workers.MIRROR)
    if name == "zerogpu":
        engine = ZeroGpuEngine(cache, files, tools, placed=("tiny-sd",), device="cpu")
    else:
        engine = LocalEngine(cache, files, tools, together=8 if name == "together" else 0)
    yield engine
    engine.close()


def test_it_begins_tells_each_step_and_ends_with_the_result(bench: EngineUnderTest) -> None:
    events = list(bench.engine.run(bench.make_job()))
    assert isinstance(events[0], Step)
    assert events[0].stage == STARTING_STAGE
    drawn = [event for event in events if isinstance(event, Step) and event.stage == DRAWING_STAGE]
    assert [(step.index, step.total) for step in drawn] == [(n, 4) for n in (1, 2, 3, 4)]
    assert any(step.preview and step.preview[:2] == b"\xff\xd8" for step in drawn)
    result = events[-1]
    assert isinstance(result, Result)
    assert [row["id"] for row in result.receipt["models"]] == ["tiny-sd"]


def test_same_job_same_picture_watched_or_not(bench: EngineUnderTest) -> None:
    picture = bench.draw_picture()
    unwatched = bench.engine.run(bench.make_job())
    unwatched.is_watched = False
    events = list(unwatched)
    assert not any(event.preview for event in events if isinstance(event, Step) and event.stage == DRAWING_STAGE)
    result = events[-1]
    assert isinstance(result, Result)
    assert np.array_equal(bench.files.open_image(result.files[0].id), picture)


def test_every_engine_draws_the_same_picture(bench: EngineUnderTest, checkpoints: Path) -> None:
    kept = checkpoints / "picture.npy"
    if not kept.exists():
        np.save(kept, bench.draw_picture(seed=7))
    assert np.array_equal(np.load(kept), bench.draw_picture(seed=7))


def test_closing_the_stream_ends_it_within_two_steps_and_the_next_job_is_right(bench: EngineUnderTest) -> None:
    before = bench.draw_picture()
    bench.call_with_models(ray_workers.slow_down_steps)
    try:
        stream = bench.engine.run(bench.make_job(variations=4))
        next(event for event in stream if isinstance(event, Step) and event.stage == DRAWING_STAGE)
        stream.close()
        with pytest.raises(JobCancelled):
            wait_for_result(stream)
    finally:
        counted = bench.call_with_models(ray_workers.count_and_speed_up_steps)
    assert 1 <= sum(counted) <= 3
    assert np.array_equal(bench.draw_picture(), before)


def test_a_stream_that_is_closed_before_anything_began_ends_too(bench: EngineUnderTest) -> None:
    stream = bench.engine.run(bench.make_job(variations=4))
    stream.close()
    with pytest.raises(JobCancelled):
        wait_for_result(stream)
    bench.draw_picture()


def test_the_queue_cancels_within_two_steps(bench: EngineUnderTest, tmp_path: Path) -> None:
    bench.draw_picture()
    jobs = JobQueue(tmp_path, UnclosedEngine(bench.engine))
    bench.call_with_models(ray_workers.slow_down_steps)
    try:
        watch = jobs.submit_and_watch(job := bench.make_job(variations=4))
        next(event for event in watch if isinstance(event, Step) and event.stage == DRAWING_STAGE)
        jobs.cancel(job.id)
        with pytest.raises(JobCancelled):
            wait_for_result(watch)
        assert wait_for_result(jobs.submit_and_watch(bench.make_job())).files
    finally:
        counted = bench.call_with_models(ray_workers.count_and_speed_up_steps)
        jobs.close()
    assert 1 <= sum(counted) <= 3 + 4


def test_a_picture_goes_in_and_comes_out_as_it_was(bench: EngineUnderTest) -> None:
    photo = photographed(5, (96, 64))
    photo_id = bench.files.add_image(photo, "me", "upload")
    result = wait_for_result(bench.engine.run(bench.make_job("mirror", photo=photo_id)))
    assert np.array_equal(bench.files.open_image(result.files[0].id), photo[:, ::-1])
    assert result.receipt["inputs"] == [
        {"param": "photo", "id": photo_id, "sha256": bench.files.get_info(photo_id).sha256}
    ]
    with pytest.raises(NotFound):
        wait_for_result(bench.engine.run(bench.make_job("mirror", photo="file-" + "0" * 40)))


def test_an_error_that_may_be_shown_arrives_as_itself(bench: EngineUnderTest) -> None:
    with pytest.raises(BadInput, match="asked for"):
        wait_for_result(bench.engine.run(bench.make_job("gate", fault="bad")))
    with pytest.raises(ZeroDivisionError):
        wait_for_result(bench.engine.run(bench.make_job("gate", fault="bug")))
    with pytest.raises(NotFound):
        wait_for_result(bench.engine.run(bench.make_job("nothing")))


def test_a_device_without_memory_is_said_in_its_own_words(bench: EngineUnderTest) -> None:
    bench.call_with_models(ray_workers.run_out_of_memory)
    try:
        with pytest.raises(OutOfMemory, match="smaller"):
            wait_for_result(bench.engine.run(bench.make_job()))
    finally:
        bench.call_with_models(ray_workers.restore_memory)
    bench.draw_picture()


def test_it_says_what_runs_here(bench: EngineUnderTest) -> None:
    bench.draw_picture()
    about = bench.engine.describe_state()
    assert about["engine"] == bench.engine.name
    assert set(about["device"].split(", ")) == {"cpu"}
    assert "tiny-sd" in about["resident"]
    assert bench.engine.slots == bench.slots


def test_a_second_job_reads_no_weight(bench: EngineUnderTest) -> None:
    bench.draw_picture()
    loads = sum(bench.engine.cache.load_counts.values())
    bench.draw_picture()
    assert sum(bench.engine.cache.load_counts.values()) == loads


class UnclosedEngine:
    """An engine that outlives a queue."""

    def __init__(self, engine: LocalEngine | RayEngine) -> None:
        self.slots, self.run, self.check_picture, self.describe_state = (
            engine.slots,
            engine.run,
            engine.check_picture,
            engine.describe_state,
        )

    def close(self) -> None:
        """Leave it to its owner."""
