"""Waiting jobs in shared calls against the best fixed batch and against one at a time: published figures, real models.

The stub takes the time that facts on batching say a card takes; it sleeps, so that the processor is free as beside a
card. Real models draw on the processor, in turns with what they are compared with.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipelines.core.job import Job
from pipelines.core.models import Model
from pipelines.core.rendering import RenderRequest
from pipelines.core.stream import Stream, wait_for_result
from pipelines.engines.cpu_slots import CpuSlots
from pipelines.engines.dynamic_batching import DynamicBatcher
from pipelines.models import oom_fallback
from pipelines.models.batch_size_tuner import BatchSizeTuner
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import ModelCache
from tests.bench.rows import Row, make_row
from tests.models.support import published_speeds
from tests.models.support.published_speeds import STEPS, TimedFamily, TimedModel
from tests.support.gated_tool import UnfilteredEngine
from tests.support.real_studio import RealStudio

STEP_SECONDS = 0.1
"""Seconds of the stub's step at 512 px; a card takes less, and the rest of a job then weighs more."""
REPEAT_COUNT = 3


class BatchingStudio(RealStudio):
    """A studio whose jobs ask the model `spec`; drafts, so that no file is written."""

    def __init__(self, families: Sequence[Any], spec: str, together: int) -> None:
        self._root = tempfile.TemporaryDirectory()
        self._spec = spec
        tuner = BatchSizeTuner(Path(self._root.name) / "paces.json")
        super().__init__(
            Path(self._root.name),
            (published_speeds.timed_tool(),),
            cache=ModelCache((*FAMILIES, *families), batch_tuner=tuner),
            engine=UnfilteredEngine,
            together=together,
            max_waiting=999,
        )

    def time_jobs(self, count: int, side: int, variations: int = 1) -> float:
        """From the first of `count` orders to the last picture."""
        since = time.perf_counter()
        streams = [self.jobs.submit_and_watch(self._make_job(n, side, variations)) for n in range(count)]
        for stream in streams:
            wait_for_result(stream)
        return time.perf_counter() - since

    def _make_job(self, seed: int, side: int, variations: int) -> Job:
        return Job(
            id=f"job-{uuid.uuid4().hex}",
            tool="asked",
            seed=seed,
            profile="p",
            specs={"text": self._spec},
            draft=True,
            params={"words": f"cup number {seed}", "side": side, "variations": variations},
            owner="me",
            created=time.time(),
        )

    def close(self) -> None:
        """Stop."""
        super().close()
        self._root.cleanup()


def rows() -> Iterator[Row]:
    """Every row of this module."""
    yield from _measure_full_queue(512, 65, 8, "coalescing_512_over_best_batch", 0.9)
    yield from _measure_full_queue(1024, 12, 1, "coalescing_1024_over_serial", 0.98)
    yield _measure_single_user()
    yield from measure_real_models()


def _measure_full_queue(side: int, count: int, batch: int, name: str, least: float) -> Iterator[Row]:
    """A line that is never empty, against calls of `batch` pictures back to back; first with nothing known yet."""
    model = TimedModel(unit=STEP_SECONDS)
    works = BatchingStudio((TimedFamily(model),), "published", together=8)
    best = count / batch * STEPS * STEP_SECONDS * published_speeds.step_seconds(side * side // 256, batch)
    cold = works.time_jobs(count, side)
    known = [works.time_jobs(count, side) for _ in range(REPEAT_COUNT)]
    works.close()
    yield make_row(f"{name}_at_first", round(best / cold, 3), "of its rate", 0.7, at_most=False)
    yield make_row(name, round(best / statistics.median(known), 3), "of its rate", least, at_most=False)


def _measure_single_user() -> Row:
    """One user alone, in turns with an engine whose jobs never share."""
    shared, plain = (
        BatchingStudio((TimedFamily(TimedModel(unit=STEP_SECONDS / 4)),), "published", together=n) for n in (8, 1)
    )
    taken = [(shared.time_jobs(1, 512), plain.time_jobs(1, 512)) for _ in range(41)]
    shared.close()
    plain.close()
    ours, theirs = (statistics.median(column) for column in zip(*taken[1:], strict=True))
    return make_row("coalescing_single_user", round(ours / theirs, 4), "of its time", 1.02)


def measure_real_models() -> Iterator[Row]:
    """The small model that ships, and a tiny checkpoint of the real classes, on this processor."""
    import torch

    from tests.models.support.tiny_checkpoints import tiny_family

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        cache = ModelCache((*FAMILIES, tiny_family(Path(folder))))
        for spec, count in (("mini", 25), ("tiny-sd", 193)):
            yield from _compare_with_loops(cache, spec, [_make_request(n, 0) for n in range(count)])
        cache.close()
    torch.set_num_threads(threads)


def _compare_with_loops(cache: ModelCache, spec: str, orders: Sequence[RenderRequest]) -> Iterator[Row]:
    """Orders that all wait, against a loop of calls of one and of eight, each in turn; seconds of processor, which
    other work on the machine does not lengthen."""
    gathering = DynamicBatcher(cache, 8, clock=time.process_time)
    for _ in range(2):
        _draw_shared(gathering, spec, orders)  # what pays is measured, what is drawn with is warm
    taken: list[tuple[float, ...]] = []
    with cache.borrow_model(spec) as model:
        for n in range(1, REPEAT_COUNT + 1):
            fresh = [_make_request(order.seeds[0], n) for order in orders]
            alone = _measure_cpu_seconds(lambda fresh=fresh: _draw_one_by_one(cache, model, fresh))
            eight = _measure_cpu_seconds(lambda fresh=fresh: _draw_by_eight(model, fresh))
            taken.append((alone, eight, _measure_cpu_seconds(lambda fresh=fresh: _draw_shared(gathering, spec, fresh))))
    gathering.close()
    alone, eight, ours = (statistics.median(column) for column in zip(*taken, strict=True))
    yield make_row(f"coalescing_{spec}_batch_over_serial", round(alone / eight, 3), "of its rate", 0, at_most=False)
    yield make_row(
        f"coalescing_{spec}_over_better", round(min(alone, eight) / ours, 3), "of its rate", 0.97, at_most=False
    )


def _make_request(seed: int, turn: int) -> RenderRequest:
    return RenderRequest("text", f"cup number {seed} of turn {turn}", (64, 64), (seed,), num_inference_steps=2)


def _draw_shared(gathering: DynamicBatcher, spec: str, orders: Sequence[RenderRequest]) -> None:
    hands = CpuSlots(len(orders))
    with ThreadPoolExecutor(32) as jobs:  # as many as an engine has slots, twice
        for drawn in [
            jobs.submit(gathering.make_draw(Stream(), None, hands), spec, each, _ignore_step, _ignore_step)
            for each in orders
        ]:
            drawn.result()


def _ignore_step(_: object) -> None:
    """Nobody watches."""


def _draw_one_by_one(cache: ModelCache, model: Model, orders: Sequence[RenderRequest]) -> None:
    for order in orders:
        oom_fallback.draw_with_fallback(cache, model, order, _ignore_step)


def _draw_by_eight(model: Any, orders: Sequence[RenderRequest]) -> None:
    for n in range(0, len(orders), 8):
        model.draw_batch(orders[n : n + 8], _ignore_step)


def _measure_cpu_seconds(work: Callable[[], object]) -> float:
    since = time.process_time()
    work()
    return time.process_time() - since
