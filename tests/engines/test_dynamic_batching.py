"""Orders of several jobs in one call of a model: who joins, who never does, and what each of them sees of it."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.batch.cost_estimate import own_work_seconds
from pipelines.core.errors import BadInput, JobCancelled, ModelUnavailable, OutOfMemory
from pipelines.core.geometry import Image
from pipelines.core.job import Job, Result, Step
from pipelines.core.stream import Stream, wait_for_result
from pipelines.engines.dynamic_batching import MAX_STEP_TOKENS
from pipelines.models.batch_size_tuner import MIN_TIMES_COUNT, BatchSizeTuner
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import ModelCache
from pipelines.runtime.progress import WAITING_STAGE
from pipelines.storage.file_index import FileIndex
from tests.models.support import published_speeds
from tests.models.support.published_speeds import STEPS, TimedFamily, TimedModel, step_seconds
from tests.support.gated_tool import UnfilteredEngine
from tests.support.served_app import wait_until

KIND = ("published", "cpu", "a call")


def learned_tuner(file: Path | None = None) -> BatchSizeTuner:
    """As if the published figures had been measured, on a device that is quicker than what these tests measure."""
    paces = BatchSizeTuner(file)
    for side in (64, 512, 1024):
        kind = "published", "cpu", repr(((side, side), None))
        for size in (1, 2, 4, 8):
            for _ in range(MIN_TIMES_COUNT):
                paces.record_call_seconds(kind, size, 1e-9 * step_seconds(side * side // 256, size))
    return paces


@dataclass
class BatchingEngine:
    """An engine over the published model, whose first call waits until `go` is set."""

    engine: UnfilteredEngine
    files: FileIndex
    model: TimedModel
    go: threading.Event = field(default_factory=threading.Event)

    def run_job(self, seed: int, **params: Any) -> Stream:
        values = {"words": "a cup", "side": 512, **params}
        job = Job(
            id=f"job-{uuid.uuid4().hex}",
            tool="asked",
            params=values,
            seed=seed,
            profile="p",
            owner=f"user {seed}",
            specs={"text": "published", "edit": "published"},
            created=time.time(),
            draft=params.get("side", 512) > 512,
        )
        return self.engine.run(job)

    def run_blocking_job(self, **params: Any) -> Stream:
        """A job that holds the device until `go`."""
        stream = self.run_job(200, **params)
        wait_until(lambda: len(self.model.calls) == 1)
        return stream

    def wait_for_queue(self, orders: int) -> None:
        wait_until(lambda: len(self.engine._batcher._queue) == orders)

    def open_picture(self, result: Result, n: int = 0) -> Image:
        return self.files.open_image(result.files[n].id)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[BatchingEngine]:
    model = TimedModel()
    cache, files = ModelCache((*FAMILIES, TimedFamily(model)), batch_tuner=learned_tuner()), FileIndex(tmp_path)
    made = BatchingEngine(UnfilteredEngine(cache, files, (published_speeds.timed_tool(),), together=8), files, model)
    model.step = lambda n: made.go.wait(30) if len(model.calls) == 1 else None
    yield made
    made.go.set()
    made.engine.close()
    files.close()


def test_what_waits_while_the_device_works_shares_the_next_calls(place: BatchingEngine) -> None:
    streams = [place.run_blocking_job()] + [place.run_job(n, side=512) for n in range(10)]
    place.wait_for_queue(11)
    place.go.set()
    results = [wait_for_result(stream) for stream in streams]
    assert [len(call) for call in place.model.calls] == [1, 8, 2]
    for seed, result in zip([200, *range(10)], results, strict=True):
        assert np.array_equal(place.open_picture(result), published_speeds.plain_picture(seed, (512, 512)))
    assert "drawn_together" not in results[0].receipt
    assert sorted(result.receipt["drawn_together"] for result in results[1:]) == [2] * 2 + [8] * 8
    for result in results[1:]:
        waited = result.receipt["timings"][WAITING_STAGE]
        assert waited > 0
        assert own_work_seconds(result.seconds, result.receipt) <= result.seconds - waited


def test_a_free_device_waits_for_nobody(place: BatchingEngine) -> None:
    place.go.set()
    for n in range(3):
        wait_for_result(place.run_job(n))
    assert [len(call) for call in place.model.calls] == [1, 1, 1]


def test_where_one_picture_fills_the_device_each_is_drawn_alone(place: BatchingEngine) -> None:
    streams = [place.run_blocking_job(side=1024)] + [place.run_job(n, side=1024) for n in range(3)]
    place.wait_for_queue(4)
    place.go.set()
    for stream in streams:
        wait_for_result(stream)
    assert [len(call) for call in place.model.calls] == [1, 1, 1, 1]


def test_orders_that_differ_share_no_call_and_the_oldest_comes_first(place: BatchingEngine) -> None:
    streams = [place.run_blocking_job(), place.run_job(1, side=64), place.run_job(2), place.run_job(3, side=64)]
    place.wait_for_queue(4)
    place.go.set()
    for stream in streams:
        wait_for_result(stream)
    oldest = place.model.calls[1]
    assert sorted(map(sorted, place.model.calls[1:])) == [[1, 3], [2]]
    assert len(oldest) in (1, 2)


def test_variations_of_a_job_fill_calls_and_their_steps_are_told_as_one(place: BatchingEngine) -> None:
    first, second = place.run_blocking_job(side=1024), place.run_job(1, side=1024, variations=3)
    place.wait_for_queue(2)
    place.go.set()
    wait_for_result(first)
    steps = [event for event in second if isinstance(event, Step) and event.stage == "Drawing"]
    assert place.model.calls[1:] == [(1,), (2,), (3,)]
    assert [(step.index, step.total) for step in steps] == [(n, 3 * STEPS) for n in range(1, 3 * STEPS + 1)]


def test_who_is_cancelled_leaves_at_once_and_the_others_get_their_pictures(place: BatchingEngine) -> None:
    halfway, went_on = threading.Event(), list[bool]()
    first = place.run_blocking_job()
    streams = [place.run_job(n) for n in range(3)]
    place.wait_for_queue(4)
    place.model.step = lambda n: went_on.append(halfway.wait(60)) if len(place.model.calls) == 2 and n == 2 else None
    place.go.set()
    wait_for_result(first)
    next(event for event in streams[1] if isinstance(event, Step) and event.stage == "Drawing")
    streams[1].close()
    with pytest.raises(JobCancelled):
        wait_for_result(streams[1])
    assert not went_on, "the call is still in its second step"
    halfway.set()
    for n in (0, 2):
        assert np.array_equal(
            place.open_picture(wait_for_result(streams[n])), published_speeds.plain_picture(n, (512, 512))
        )
    assert sorted(place.model.calls[1]) == [0, 1, 2]


def test_a_call_that_nobody_wants_any_more_ends_within_a_step(place: BatchingEngine) -> None:
    stepped: list[int] = []
    streams = [place.run_blocking_job(), place.run_job(1), place.run_job(2)]
    place.wait_for_queue(3)

    def step(n: int) -> None:
        stepped.append(n)
        if len(place.model.calls) == 2 and n == 2:
            for stream in streams[1:]:
                stream.close()

    place.model.step = step
    place.go.set()
    wait_for_result(streams[0])
    for stream in streams[1:]:
        with pytest.raises(JobCancelled):
            wait_for_result(stream)
    wait_for_result(place.run_job(3))
    assert len(place.model.calls) == 3
    assert stepped[-STEPS:] == list(range(1, STEPS + 1))
    assert stepped.count(STEPS) <= 2


def test_an_order_that_waits_is_cancelled_without_a_step(place: BatchingEngine) -> None:
    first, second = place.run_blocking_job(), place.run_job(1)
    place.wait_for_queue(2)
    second.close()
    with pytest.raises(JobCancelled):
        wait_for_result(second)
    place.go.set()
    wait_for_result(first)
    assert place.model.calls == [(200,)]


@pytest.mark.parametrize("error", [MemoryError(), ZeroDivisionError(), OutOfMemory("Full."), BadInput("No.")])
def test_where_a_shared_call_fails_each_is_drawn_alone(place: BatchingEngine, error: Exception) -> None:
    def step(n: int) -> None:
        if len(place.model.calls[-1]) > 1 or place.model.calls[-1] == (2,):
            raise error

    streams = [place.run_blocking_job(), *(place.run_job(n) for n in (1, 2, 3))]
    place.wait_for_queue(4)
    place.model.step = step
    place.go.set()
    wait_for_result(streams[0])
    with pytest.raises((OutOfMemory, type(error))):
        wait_for_result(streams[2])
    for stream in (streams[1], streams[3]):
        assert "drawn_together" not in wait_for_result(stream).receipt
    shared = [call for call in place.model.calls if len(call) > 1]
    assert len(shared) == 1


def test_a_size_that_found_no_memory_is_not_tried_again() -> None:
    paces = learned_tuner()
    kind = ("published", "cpu", repr(((512, 512), None)))
    assert paces.best_batch_size(kind, 20, 8) == 8
    paces.record_failure(kind, 6)
    assert paces.best_batch_size(kind, 20, 8) == 4
    paces.record_failure(kind, 1)
    assert paces.best_batch_size(kind, 20, 8) == 1


def test_every_member_sees_its_own_steps_and_previews(place: BatchingEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.engines.local.PREVIEW_INTERVAL_SECONDS", 0.0)
    streams = [place.run_blocking_job(), place.run_job(50, side=64), place.run_job(220, side=64)]
    place.wait_for_queue(3)
    place.go.set()
    wait_for_result(streams[0])
    for stream, seed in zip(streams[1:], (50, 220), strict=True):
        steps = [event for event in stream if isinstance(event, Step) and event.stage == "Drawing"]
        assert [step.index for step in steps] == [1, 2, 3, 4]
        assert _grey([step.preview for step in steps if step.preview][-1]) == pytest.approx(seed, abs=3)


def _grey(frame: bytes) -> float:
    import cv2

    decoded = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return float(decoded.mean())


def test_a_studio_that_closes_tells_who_waits(place: BatchingEngine) -> None:
    first, second = place.run_blocking_job(), place.run_job(1)
    place.wait_for_queue(2)
    closing = threading.Thread(target=place.engine.close)
    closing.start()
    wait_until(lambda: place.engine._batcher._closed)
    place.go.set()
    closing.join()
    wait_for_result(first)
    with pytest.raises(ModelUnavailable):
        wait_for_result(second)


# ---------------------------------------------------------------- what pays


def measured(paces: BatchSizeTuner, tokens: int, waiting: int, calls: int) -> list[int]:
    """Sizes of so many calls in a row, each as long as published."""
    sizes = []
    for _ in range(calls):
        sizes.append(paces.best_batch_size(KIND, waiting, min(8, MAX_STEP_TOKENS // tokens)))
        paces.record_call_seconds(KIND, sizes[-1], step_seconds(tokens, sizes[-1]))
    return sizes


def test_each_size_is_tried_twice_and_the_best_is_kept() -> None:
    assert measured(BatchSizeTuner(), 1024, 8, 8) == [1, 1, 2, 2, 4, 4, 8, 8]
    assert measured(BatchSizeTuner(), 1024, 3, 6) == [1, 1, 2, 2, 2, 2]


def test_large_pictures_are_tried_together_twice_and_then_drawn_alone() -> None:
    assert measured(BatchSizeTuner(), 4096, 8, 7) == [1, 1, 2, 2, 1, 1, 1]
    assert measured(BatchSizeTuner(), 16384 // 4, 1, 3) == [1, 1, 1]


@pytest.mark.parametrize("slower", [0.8, 0.95])
def test_on_a_processor_that_loses_by_it_pictures_are_drawn_alone(slower: float) -> None:
    paces, sizes = BatchSizeTuner(), []
    for _ in range(20):
        sizes.append(paces.best_batch_size(KIND, 8, 8))
        paces.record_call_seconds(KIND, sizes[-1], sizes[-1] / (slower if sizes[-1] > 1 else 1))
    assert sizes[-8:] == [1] * 8
    assert sum(sizes) <= 2 * (1 + 2 + 4 + 8) + 12


def test_a_size_that_was_slow_for_another_reason_gets_another_chance() -> None:
    paces = BatchSizeTuner()
    for size, seconds_ in ((1, 1.0), (2, 5.0)):
        for _ in range(MIN_TIMES_COUNT):
            paces.record_call_seconds(KIND, size, seconds_)
    sizes = measured(paces, 1024, 8, 160)
    assert sizes[:8] == [1] * 8
    assert sizes[-8:].count(8) >= 7


def test_a_first_call_that_compiles_does_not_count_against_its_size() -> None:
    paces = BatchSizeTuner()
    for seconds_ in ((1, 30.0), (1, 1.0), (2, 60.0), (2, 1.1), (4, 90.0), (4, 1.4)):
        paces.record_call_seconds(KIND, *seconds_)
    assert paces.best_batch_size(KIND, 4, 4) == 4


def test_what_was_measured_is_kept_over_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "paces.json"
    learned_tuner(file)
    kind = ("published", "cpu", repr(((512, 512), None)))
    assert BatchSizeTuner(file).best_batch_size(kind, 20, 8) == 8
    assert BatchSizeTuner(file).best_batch_size(("published", "another card", kind[2]), 20, 8) == 1
    file.write_text('[{"model": "a", "device": "b"}]')
    assert BatchSizeTuner(file).best_batch_size(kind, 20, 8) == 1
