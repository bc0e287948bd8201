"""Offloading to the host, the out-of-memory fallback, and many jobs on a device that holds two models."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.errors import JobCancelled, OutOfMemory
from pipelines.core.models import ModelSpec
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest
from pipelines.models import cpu_offload, oom_fallback, pinned_memory
from pipelines.models.devices import (
    Machine,
    MemoryGauge,
    MemoryShare,
    divide_memory,
    is_out_of_memory,
    release_cached_memory,
)
from pipelines.models.diffusion import loader
from pipelines.models.model_cache import CacheOptions, ModelCache
from pipelines.models.peak_memory import PeakMemory, PeakMemoryKey
from tests.engines.support.crowded_device import run_many_jobs, start_crowded_studio
from tests.models.support import family_checks
from tests.models.support.tiny_flow_checkpoints import tiny_klein
from tests.support.examples import make_noise

GB = 2**30


class FakeModel:
    """A model that can move; more than `tight` pictures or a larger area than `area` are out of memory."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.where = "device"
        self.tight = 99
        self.area = 10**9
        self.closed = self.spared = self.fails_once = False
        self.error: Exception = MemoryError()
        self.drawn: list[RenderRequest] = []

    def draw(self, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages:
        assert self.where == "device"
        on_step(ModelStep(1, 1))
        if self.fails_once or len(render.seeds) > self.tight or render.size[0] * render.size[1] > self.area:
            self.fails_once = False
            raise self.error
        self.drawn.append(render)
        return RenderedImages(
            tuple(make_noise(render.size[1], render.size[0], seed=seed) for seed in render.seeds), ("as asked",)
        )

    def to_host(self) -> None:
        self.where = "host"

    def to_device(self) -> None:
        self.where = "device"

    @contextmanager
    def saving_memory(self) -> Iterator[None]:
        self.spared = True
        yield

    def close(self) -> None:
        self.closed = True


class FakeFamily:
    """A family of fake models of 10 bytes; `fails` counts down the loads that run out of memory."""

    def __init__(self, ids: str) -> None:
        self.specs = tuple(ModelSpec(i, "shelf", ("text",), "MIT", bytes=10) for i in ids)
        self.fails: Counter[str] = Counter()

    def estimate_bytes(self, spec: ModelSpec) -> int:
        return spec.bytes

    def load(self, spec: ModelSpec, device: str) -> FakeModel:
        if self.fails[spec.id]:
            self.fails[spec.id] -= 1
            raise MemoryError
        return FakeModel(spec)


def make_cache(ids: str, *, budget: int = 20, host: int = 10, reserve: int = 0, idle: float = 600) -> ModelCache:
    ticks = iter(range(1_000_000))
    return ModelCache(
        (FakeFamily(ids),),
        CacheOptions(
            budget_bytes=budget,
            idle_seconds=idle,
            clock=lambda: next(ticks),
            host_budget_bytes=host,
            drawing_reserve_bytes=reserve,
        ),
    )


def borrow_each(cache: ModelCache, ids: str) -> None:
    for spec_id in ids:
        with cache.borrow_model(spec_id) as model:
            assert model.where == "device"


def locations(cache: ModelCache) -> dict[str, str]:
    return {row["id"]: row["where"] for row in cache.resident_models()}


# ---------------------------------------------------------------- leaving and coming back


def test_the_least_recently_used_goes_to_the_host_first_and_to_nothing_second() -> None:
    cache = make_cache("abcd")
    borrow_each(cache, "abc")
    assert locations(cache) == {"a": "host", "b": "device", "c": "device"}
    borrow_each(cache, "d")
    assert locations(cache) == {"b": "host", "c": "device", "d": "device"}


def test_coming_back_from_the_host_reads_nothing() -> None:
    cache = make_cache("abc")
    with cache.borrow_model("a") as first:
        pass
    borrow_each(cache, "bc")
    with cache.borrow_model("a") as again:
        assert again is first
        assert again.where == "device"
    assert cache.load_counts == {"a": 1, "b": 1, "c": 1}
    assert cache.return_counts == {"a": 1}
    assert locations(cache) == {"b": "host", "c": "device", "a": "device"}


def test_two_models_swap_seats_though_the_host_has_room_for_one() -> None:
    cache = make_cache("ab", budget=10, host=10)
    borrow_each(cache, "ababab")
    assert cache.load_counts == {"a": 1, "b": 1}
    assert cache.return_counts == {"a": 2, "b": 2}


def test_a_host_without_memory_drops_the_model_and_the_borrower_never_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = make_cache("ab", budget=10)
    with cache.borrow_model("a") as first:
        pass

    def refuse() -> None:
        raise RuntimeError("cannot pin memory")

    monkeypatch.setattr(first, "to_host", refuse)
    borrow_each(cache, "b")
    assert first.closed
    assert locations(cache) == {"b": "device"}


def test_idle_models_go_from_the_host_too() -> None:
    cache = make_cache("ab", budget=10, idle=50)
    borrow_each(cache, "ab")
    for _ in range(60):
        cache.evict_idle_models()
    assert locations(cache) == {}


def test_unload_and_close_free_what_lies_on_the_host() -> None:
    cache = make_cache("abc")
    with cache.borrow_model("a") as first:
        pass
    borrow_each(cache, "bc")
    assert cache.unload_model("a")
    assert first.closed
    borrow_each(cache, "ab")
    cache.close()
    assert locations(cache) == {}


def test_models_that_move_under_eight_threads_are_always_where_they_are_used() -> None:
    cache = make_cache("abcd")

    def work(number: int) -> None:
        order = random.Random(number)
        for _ in range(40):
            with cache.borrow_model(order.choice("abcd")) as model:
                assert model.where == "device"
                assert not model.closed
                rows = cache.resident_models()
                assert sum(row["bytes"] for row in rows if row["where"] == "device") <= 20
                assert sum(row["bytes"] for row in rows if row["where"] == "host") <= 10

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert sum(cache.return_counts.values()) > 0
    assert all(row["in_use"] == 0 for row in cache.resident_models())


def test_weights_move_without_becoming_others() -> None:
    import torch

    part = torch.nn.Linear(3, 2)
    view, kept = part.weight, part.weight.detach().clone()
    cpu_offload.move_to_host([part, None, "config"])
    cpu_offload.move_to_device([part, None, "config"], "cpu")
    assert part.weight is view
    assert torch.equal(part.weight, kept)


# ---------------------------------------------------------------- what drawing takes


class PinnedModel(FakeModel):
    """A model of 10 bytes that takes 16 on the host, and 4 there always."""

    def host_bytes(self) -> int:
        return 16

    def streamed_bytes(self) -> int:
        return 4


class PinnedFamily(FakeFamily):
    """A family of such models."""

    def load(self, spec: ModelSpec, device: str) -> PinnedModel:
        return PinnedModel(spec)


@pytest.mark.parametrize(("host", "stays"), [(19, False), (24, True)])
def test_the_host_is_counted_with_what_pinning_and_streaming_take(host: int, stays: bool) -> None:
    cache = ModelCache((PinnedFamily("ab"),), CacheOptions(budget_bytes=10, host_budget_bytes=host))
    borrow_each(cache, "ab")
    assert ("a" in locations(cache)) == stays


def test_pinned_blocks_are_counted_as_torch_rounds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    net = torch.nn.Linear(1500, 1500)  # 9.0 MB of weights and 6 kB of biases
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)
    assert pinned_memory.count_pinned_bytes([net, net]) == 2**24 + 2**13
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "pinned_max_round_threshold_mb:1")
    assert pinned_memory.count_pinned_bytes([net]) == 1500 * 1500 * 4 + 2**13


@pytest.mark.parametrize(("known", "given"), [(True, ""), (False, ""), (True, "expandable_segments:True")])
def test_torch_is_told_not_to_round_where_it_can_and_was_told_nothing_else(
    monkeypatch: pytest.MonkeyPatch, known: bool, given: str
) -> None:
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", given)
    monkeypatch.delenv("PYTORCH_CUDA_ALLOC_CONF", raising=False)
    if not given:
        monkeypatch.delenv("PYTORCH_ALLOC_CONF")
    monkeypatch.setattr(pinned_memory, "_torch_knows_setting", lambda: known)
    pinned_memory.limit_rounding()
    wanted = given or ("pinned_max_round_threshold_mb:1" if known else "")
    assert os.environ.get("PYTORCH_ALLOC_CONF", "") == wanted
    monkeypatch.delenv("PYTORCH_ALLOC_CONF", raising=False)


@pytest.mark.parametrize(("host_gigabytes", "pinned"), [(64, True), (0, False)])
def test_a_streamed_encoder_is_pinned_only_where_the_host_has_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host_gigabytes: int, pinned: bool
) -> None:
    seen: list[bool] = []
    spec = family_checks.tiny_row("flux2", str(tiny_klein(tmp_path / "klein")), ("text",), ("text_encoder", "streamed"))
    monkeypatch.setattr(
        "diffusers.hooks.group_offloading.apply_group_offloading", lambda *_, use_stream, **__: seen.append(use_stream)
    )
    monkeypatch.setattr(pinned_memory, "total_host_bytes", lambda: host_gigabytes * GB)
    loader._load_streamed_encoder(tmp_path / "klein", spec, "cuda:0")
    assert seen == [pinned]


def test_pinned_memory_is_given_back_with_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    given_back: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: given_back.append("device"))
    monkeypatch.setattr(torch._C, "_host_emptyCache", lambda: given_back.append("host"), raising=False)
    release_cached_memory("cuda:0")
    release_cached_memory("cpu")
    assert given_back == ["device", "host"]


class FakeGauge(MemoryGauge):
    """Reports that drawing takes `takes` bytes beside 100 that were in use."""

    def __init__(self, takes: int) -> None:
        self.takes = takes

    def reset_peak(self) -> int:
        return 100

    def peak_bytes(self) -> int:
        return 100 + self.takes


TEXT = RenderRequest("text", "a harbour", (400, 300), (1, 2))
TEXT_KEY = PeakMemoryKey("shelf", "text", 0, 120_000, 2)
X_KEY = PeakMemoryKey("x", "edit", 3, 1, 1)


def ignore_step(step: ModelStep) -> None:
    pass


def test_what_a_drawing_took_is_kept_by_family_size_and_batch_and_room_is_made_for_it_next_time() -> None:
    cache = make_cache("ab", budget=20, reserve=4)
    borrow_each(cache, "b")
    with cache.borrow_model("a") as model:
        for takes in (9, 5):
            oom_fallback.draw_with_fallback(cache, model, TEXT, ignore_step, FakeGauge(takes))
    assert cache.peak_memory.peak_bytes(TEXT_KEY) == 9
    # 24 bytes hold both models and 4 bytes of drawing, not 9: one must leave.
    assert locations(cache) == {"b": "host", "a": "device"}


def test_a_drawing_that_failed_is_no_measure() -> None:
    cache = make_cache("a")
    with cache.borrow_model("a") as model:
        model.error, model.tight = ValueError("broken"), 0
        with pytest.raises(ValueError, match="broken"):
            oom_fallback.draw_with_fallback(cache, model, TEXT, ignore_step, FakeGauge(9))
    assert cache.peak_memory.peak_bytes(TEXT_KEY) == 0


def test_what_a_drawing_took_is_known_to_the_first_job_after_a_restart(tmp_path: Path) -> None:
    def started() -> ModelCache:
        cache = make_cache("ab", budget=20, reserve=4)
        cache.peak_memory = PeakMemory(tmp_path / "peaks.json")
        borrow_each(cache, "ba")
        return cache

    first = started()
    with first.borrow_model("a") as model:
        oom_fallback.draw_with_fallback(first, model, TEXT, ignore_step, FakeGauge(9))
    again, less = started(), replace(TEXT, seeds=(1,))
    with again.borrow_model("a") as model:
        oom_fallback.draw_with_fallback(again, model, less, ignore_step)
        assert locations(again)["b"] == "device"  # another batch takes another amount
        pictures = (make_noise(300, 400),) * 3
        oom_fallback.draw_with_fallback(again, model, replace(TEXT, verb="edit", images=pictures), ignore_step)
        assert locations(again)["b"] == "device"  # so do another verb and references
        oom_fallback.draw_with_fallback(again, model, TEXT, ignore_step)
        assert locations(again)["b"] == "host"


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"family": "x"}]', "null"])
def test_a_damaged_record_of_peaks_is_begun_anew(tmp_path: Path, text: str) -> None:
    file = tmp_path / "peaks.json"
    file.write_text(text)
    peaks = PeakMemory(file)
    peaks.record_peak(X_KEY, 5)
    peaks.record_peak(X_KEY, 3)
    assert PeakMemory(file).peak_bytes(X_KEY) == 5


def test_a_disk_that_takes_nothing_costs_no_picture(tmp_path: Path) -> None:
    peaks = PeakMemory(tmp_path / "nowhere" / "peaks.json")
    peaks.record_peak(X_KEY, 5)
    assert peaks.peak_bytes(X_KEY) == 5


def test_memory_is_divided_by_what_is_free() -> None:
    assert divide_memory(Machine("cpu", 16 * GB)) == MemoryShare(8 * GB, 0, 0)
    shared = Machine("mps", 32 * GB, free_bytes=20 * GB, is_unified=True)
    assert divide_memory(shared) == MemoryShare(17 * GB, 3 * GB, 0), "there is nowhere to offload models to"
    card = divide_memory(Machine("cuda", 24 * GB, free_bytes=20 * GB))
    assert (card.model_bytes, card.drawing_bytes) == (17 * GB, 3 * GB)
    assert card.host_bytes > 0
    assert divide_memory(Machine("cuda", 80 * GB, free_bytes=80 * GB)).drawing_bytes == 4 * GB
    assert divide_memory(Machine("cuda", 4 * GB, free_bytes=4 * GB)).drawing_bytes == GB
    assert divide_memory(Machine("cpu", 0)).model_bytes is None


# ---------------------------------------------------------------- memory that gives out


def test_variations_that_are_too_many_are_drawn_one_at_a_time_and_it_is_said() -> None:
    cache = make_cache("ab")
    borrow_each(cache, "b")
    with cache.borrow_model("a") as model:
        model.tight = 1
        images = oom_fallback.draw_with_fallback(cache, model, TEXT, ignore_step)
    assert [render.seeds for render in model.drawn] == [(1,), (2,)]
    assert model.spared
    assert np.array_equal(images.images[1], make_noise(300, 400, seed=2))
    assert images.notices == ("as asked", "Memory gave out: the variations were drawn one at a time.")
    assert locations(cache)["b"] == "host"


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_what_is_too_large_even_alone_is_drawn_at_half_its_area_and_enlarged(seeds: tuple[int, ...]) -> None:
    cache = make_cache("a")
    with cache.borrow_model("a") as model:
        model.area = 90_000
        images = oom_fallback.draw_with_fallback(cache, model, replace(TEXT, seeds=seeds, size=(400, 320)), ignore_step)
    assert [image.shape for image in images.images] == [(320, 400, 3)] * len(seeds)
    assert [render.size for render in model.drawn] == [(320, 256)] * len(seeds)
    assert images.notices[-1] == "Memory gave out: this was drawn at 320 × 256 px and enlarged."


def test_what_ran_out_once_begins_sparing_the_next_time_and_after_a_restart(tmp_path: Path) -> None:
    order, steps = replace(TEXT, seeds=(1,), size=(400, 320)), list[int]()
    for restart in range(2):
        cache = make_cache("a")
        cache.peak_memory = PeakMemory(tmp_path / "peaks.json")
        with cache.borrow_model("a") as model:
            model.area = 90_000  # two tries are too large, the third at half the area is not
            for _ in range(2):
                oom_fallback.draw_with_fallback(cache, model, order, lambda step: steps.append(step.index))
        # At first three tries, then one; after a restart the sparing one at the full size is tried again.
        assert len(steps) == (4, 7)[restart]
        assert cache.peak_memory.ran_out(PeakMemoryKey("shelf", "text", 0, 128_000, 1))
        smaller = PeakMemoryKey("shelf", "text", 0, 128_000, 1, sparing=True)
        assert cache.peak_memory.ran_out(smaller)
        assert not PeakMemory(tmp_path / "peaks.json").ran_out(smaller)


def test_a_sparing_start_says_so_and_is_measured_for_itself() -> None:
    cache, order = make_cache("ab", budget=20, reserve=4), replace(TEXT, seeds=(1,))
    borrow_each(cache, "b")
    with cache.borrow_model("a") as model:
        model.fails_once = True
        for notice in ("Memory gave out once", "Memory gave out at this size before"):
            images = oom_fallback.draw_with_fallback(cache, model, order, ignore_step, FakeGauge(3))
            assert notice in images.notices[-1]
    key = PeakMemoryKey("shelf", "text", 0, 120_000, 1)
    assert cache.peak_memory.peak_bytes(key) == 0
    assert cache.peak_memory.peak_bytes(key._replace(sparing=True)) == 3


def test_a_picture_that_fits_once_others_left_is_drawn_as_asked() -> None:
    cache = make_cache("ab")
    borrow_each(cache, "b")
    with cache.borrow_model("a") as model:
        model.fails_once = True
        images = oom_fallback.draw_with_fallback(cache, model, replace(TEXT, seeds=(1,)), ignore_step)
    assert [render.size for render in model.drawn] == [TEXT.size]
    assert np.array_equal(images.images[0], make_noise(300, 400, seed=1))
    assert "put aside" in images.notices[-1]


def test_what_keeps_a_picture_s_own_bytes_is_tried_again_at_its_size() -> None:
    cache = make_cache("a")
    photo = make_noise(300, 400)
    render = RenderRequest("inpaint", "", (400, 300), (1,), images=(photo,), mask=np.ones((300, 400), np.float32))
    with cache.borrow_model("a") as model:
        model.area = 70_000
        with pytest.raises(OutOfMemory, match="400 × 300"):
            oom_fallback.draw_with_fallback(cache, model, render, ignore_step)


def test_memory_that_gives_out_twice_is_out_of_memory_and_the_model_is_free_again() -> None:
    cache = make_cache("a")
    with cache.borrow_model("a") as model:
        model.tight = 0
        with pytest.raises(OutOfMemory, match="smaller size"):
            oom_fallback.draw_with_fallback(cache, model, TEXT, ignore_step)
    assert cache.unload_model("a")


def test_other_errors_and_cancels_are_not_tried_again() -> None:
    cache = make_cache("a")
    calls: list[int] = []

    def stop(step: ModelStep) -> None:
        calls.append(1)
        raise JobCancelled

    with cache.borrow_model("a") as model:
        with pytest.raises(JobCancelled):
            oom_fallback.draw_with_fallback(cache, model, TEXT, stop)
        model.error, model.tight = RuntimeError("shapes differ"), 0
        with pytest.raises(RuntimeError, match="shapes"):
            oom_fallback.draw_with_fallback(cache, model, TEXT, ignore_step)
    assert calls == [1]


def test_a_load_that_runs_out_of_memory_is_tried_once_more_with_nothing_beside_it() -> None:
    cache = make_cache("ab")
    family = cache._specs_by_id["a"][1]
    assert isinstance(family, FakeFamily)
    borrow_each(cache, "b")
    family.fails["a"] = 1
    borrow_each(cache, "a")
    assert locations(cache) == {"b": "host", "a": "device"}


def test_every_way_of_saying_that_memory_gave_out_is_understood() -> None:
    import torch

    with pytest.raises(RuntimeError) as cpu:
        torch.empty(2**58, dtype=torch.uint8)
    assert is_out_of_memory(cpu.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."))
    assert is_out_of_memory(torch.OutOfMemoryError())
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("The size of tensor a must match"))
    assert not is_out_of_memory(ValueError("out of memory"))


# ---------------------------------------------------------------- many jobs over four checkpoints and two seats

JOBS = 16  # the bench runs a hundred and weighs what is left in memory


def test_many_jobs_share_two_seats_and_every_result_is_right(tmp_path: Path) -> None:
    with start_crowded_studio(tmp_path) as here:
        right = {n: here.draw_picture(n) for n in range(4)}
        assert len({picture.tobytes() for picture in right.values()}) == 4
        ends = run_many_jobs(here, right, JOBS)
        assert ends.total() == JOBS
        assert ends["wrong"] == 0
        assert ends["done"] + ends["helped"] > JOBS / 2
        assert ends["cancelled"] + ends["helped"] > 0
        assert here.weather.struck > 2
        assert [row["in_use"] for row in here.cache.resident_models()] == [0] * len(here.cache.resident_models())
        assert here.jobs.count_jobs() == (0, 0)
        # And after all that every picture is still what it was.
        assert all(np.array_equal(here.draw_picture(number), picture) for number, picture in right.items())
        # Four models on two seats: some left and came back, from the host's memory or, where that gave out, the disk.
        assert here.cache.return_counts.total() + here.cache.load_counts.total() > 4
