"""What every engine owes the queue, held by the same checks: in this process, and where a GPU is lent for a call."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.engines import zerogpu
from pipelines.engines.local import BEGUN, LocalEngine
from pipelines.engines.zerogpu import ZeroGpuEngine
from pipelines.files import Files
from pipelines.models.cache import Cache
from pipelines.models.families import FAMILIES
from pipelines.stream import drain
from pipelines.tools import TOOLS
from pipelines.types import BadInput, Cancelled, Image, Job, NotFound, OutOfMemory, Result, Step
from tests.gates import Gate
from tests.tiny import tiny_family

DRAWS = "Setting the scene"


@dataclass
class Bench:
    """One engine over the real tools, a tool that waits at a gate, and a tiny checkpoint for backdrops."""

    engine: LocalEngine
    files: Files
    cache: Cache
    gate: Gate

    def job(self, tool: str = "background", *, draft: bool = False, **params: Any) -> Job:
        values = {"prompt": "a harbour", "size": 256} if tool == "background" else {}
        return Job(
            id=f"job-{uuid.uuid4().hex}", tool=tool, params={**values, **params}, seed=3, profile="tiny", draft=draft,
            specs={"backdrop": "tiny-sd", "matte": "u2netp"}, owner="me", created=time.time(),
        )  # fmt: skip

    def picture(self, **params: Any) -> Image:
        return self.files.open(drain(self.engine.run(self.job(**params))).files[0].id)

    def model(self) -> Any:
        if isinstance(self.engine, ZeroGpuEngine):
            return zerogpu._PLACED["tiny-sd"]
        with self.cache.borrow("tiny-sd") as model:
            return model


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path_factory.mktemp("checkpoints")
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=["local", "zerogpu"])
def bench(request: pytest.FixtureRequest, checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    root, gate = tmp_path_factory.mktemp("engine"), Gate()
    files, cache = Files(root), Cache((*FAMILIES, tiny_family(checkpoints)))
    tools = (*TOOLS, gate.tool())
    if request.param == "local":
        engine = LocalEngine(cache, files, tools)
    else:
        engine = ZeroGpuEngine(cache, files, tools, placed=("tiny-sd",), device="cpu")
    yield Bench(engine, files, cache, gate)
    engine.close()
    files.close()


def test_it_begins_tells_each_step_and_ends_with_the_result(bench: Bench) -> None:
    events = list(bench.engine.run(bench.job()))
    assert isinstance(events[0], Step)
    assert events[0].stage == BEGUN
    drawn = [event for event in events if isinstance(event, Step) and event.stage == DRAWS]
    assert [(step.index, step.total) for step in drawn] == [(n, 4) for n in (1, 2, 3, 4)]
    assert any(step.preview and step.preview[:2] == b"\xff\xd8" for step in drawn)
    result = events[-1]
    assert isinstance(result, Result)
    assert [row["id"] for row in result.receipt["models"]] == ["tiny-sd"]


def test_same_job_same_picture_watched_or_not(bench: Bench) -> None:
    picture = bench.picture()
    unwatched = bench.engine.run(bench.job())
    unwatched.watched = False
    events = list(unwatched)
    assert not any(event.preview for event in events if isinstance(event, Step) and event.stage == DRAWS)
    result = events[-1]
    assert isinstance(result, Result)
    assert np.array_equal(bench.files.open(result.files[0].id), picture)


def test_every_engine_draws_the_same_picture(bench: Bench, checkpoints: Path) -> None:
    kept = checkpoints / "picture.npy"
    if not kept.exists():
        np.save(kept, bench.picture(seed=7))
    assert np.array_equal(np.load(kept), bench.picture(seed=7))


def test_closing_the_stream_ends_it_within_two_steps_and_the_next_job_is_right(bench: Bench) -> None:
    before, steps = bench.picture(), []
    hook = bench.model().pipe.unet.register_forward_hook(lambda *_: steps.append(time.sleep(0.05)))
    try:
        stream = bench.engine.run(bench.job(variations=4))
        next(event for event in stream if isinstance(event, Step) and event.stage == DRAWS)
        stream.close()
        with pytest.raises(Cancelled):
            drain(stream)
        assert len(steps) <= 3
    finally:
        hook.remove()
    assert np.array_equal(bench.picture(), before)


def test_an_error_that_may_be_shown_arrives_as_itself(bench: Bench) -> None:
    with pytest.raises(BadInput, match="asked for"):
        drain(bench.engine.run(bench.job("gate", fault="bad")))
    with pytest.raises(ZeroDivisionError):
        drain(bench.engine.run(bench.job("gate", fault="bug")))
    with pytest.raises(NotFound):
        drain(bench.engine.run(bench.job("nothing")))


def test_a_device_without_memory_is_said_in_its_own_words(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(bench.model(), "draw", full)
    with pytest.raises(OutOfMemory, match="smaller"):
        drain(bench.engine.run(bench.job()))
    monkeypatch.undo()
    bench.picture()


def test_it_says_what_runs_here(bench: Bench) -> None:
    bench.picture()
    about = bench.engine.about()
    assert about["engine"] == bench.engine.name
    assert about["device"] == "cpu"
    assert "tiny-sd" in about["resident"]
    assert bench.engine.slots == 1


def test_a_second_job_reads_no_weight(bench: Bench) -> None:
    bench.picture()
    loads = sum(bench.cache.loads.values())
    bench.picture()
    assert sum(bench.cache.loads.values()) == loads
