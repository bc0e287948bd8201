"""The model cache: loading, the order of eviction, and borrowing from many threads at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipelines.core.errors import ModelUnavailable, OutOfMemory
from pipelines.core.models import ModelSpec
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest
from pipelines.models import model_cache
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import CacheOptions, ModelCache
from pipelines.models.registry import build_registry, get_spec, list_all_specs


class FakeModel:
    """A model that draws nothing and records whether it was closed."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.closed = False

    def draw(self, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages:
        return RenderedImages(())

    def close(self) -> None:
        self.closed = True


class FakeFamily:
    """A family of fake models of 10 bytes unless given; an id fails to load as often as it is in `fails`."""

    def __init__(self, *ids: str, sizes: dict[str, int] | None = None, pause: float = 0.0) -> None:
        sizes = sizes or {}
        self.specs = tuple(ModelSpec(i, "shelf", ("text",), "MIT", bytes=sizes.get(i, 10)) for i in ids)
        self.pause = pause
        self.fails: list[str] = []

    def estimate_bytes(self, spec: ModelSpec) -> int:
        return spec.bytes

    def load(self, spec: ModelSpec, device: str) -> FakeModel:
        time.sleep(self.pause)
        if spec.id in self.fails:
            self.fails.remove(spec.id)
            raise MemoryError
        return FakeModel(spec)


class FakeClock:
    now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def make_cache(*ids: str, budget: int = 20) -> ModelCache:
    return ModelCache((FakeFamily(*ids),), CacheOptions(budget_bytes=budget, clock=FakeClock()))


def borrow_each(cache: ModelCache, *ids: str) -> None:
    for spec_id in ids:
        with cache.borrow_model(spec_id):
            pass


def resident_ids(cache: ModelCache) -> list[str]:
    return [row["id"] for row in cache.resident_models()]


def test_second_borrow_loads_nothing():
    cache = make_cache("a")
    with cache.borrow_model("a") as first:
        pass
    with cache.borrow_model("a") as second:
        assert second is first
    assert cache.load_counts == {"a": 1}


def test_least_recently_used_goes_first():
    cache = make_cache("a", "b", "c")
    borrow_each(cache, "a", "b", "a", "c")
    assert resident_ids(cache) == ["a", "c"]


def test_no_more_goes_than_must():
    cache = ModelCache(
        (FakeFamily("a", "b", "c", sizes={"b": 3, "c": 4}),), CacheOptions(budget_bytes=14, clock=FakeClock())
    )
    borrow_each(cache, "a", "b", "c")
    assert resident_ids(cache) == ["b", "c"]
    borrow_each(cache, "b")
    assert cache.load_counts["b"] == 1


def test_borrowed_model_is_never_dropped():
    cache = make_cache("a", "b", "c")
    with cache.borrow_model("a") as held:
        borrow_each(cache, "b", "c", "b", "c")
        assert "a" in resident_ids(cache)
        assert not held.closed
        assert not cache.unload_model("a")
        cache.close()
        assert not held.closed
    assert held.closed


def test_dropped_model_is_closed():
    cache = make_cache("a", "b", "c")
    with cache.borrow_model("a") as first:
        pass
    borrow_each(cache, "b", "c")
    assert first.closed


def test_idle_model_is_dropped_and_a_borrowed_one_is_not():
    clock = FakeClock()
    cache = ModelCache((FakeFamily("a", "b"),), CacheOptions(idle_seconds=60, clock=clock))
    borrow_each(cache, "a")
    with cache.borrow_model("b"):
        clock.now += 59
        assert resident_ids(cache) == ["b", "a"]
        clock.now += 2
        cache.evict_idle_models()
        assert resident_ids(cache) == ["b"]
    assert resident_ids(cache) == ["b"]


def test_model_beyond_the_whole_budget_is_out_of_memory():
    cache = ModelCache((FakeFamily("big", sizes={"big": 21}),), CacheOptions(budget_bytes=20))
    with pytest.raises(OutOfMemory, match="big"), cache.borrow_model("big"):
        pass
    assert not cache.load_counts


def test_thread_that_holds_the_budget_is_told_and_does_not_wait_for_itself():
    cache = make_cache("a", "b", "c")
    with cache.borrow_model("a"), cache.borrow_model("b"), pytest.raises(OutOfMemory), cache.borrow_model("c"):
        pass
    borrow_each(cache, "c")
    assert cache.load_counts["c"] == 1


def test_failed_load_leaves_the_cache_ready():
    shelf = FakeFamily("a", "b")
    shelf.fails = ["a", "a"]
    cache = ModelCache((shelf,), CacheOptions(budget_bytes=10))
    with pytest.raises(OutOfMemory), cache.borrow_model("a"):
        pass
    assert cache.resident_models() == []
    borrow_each(cache, "b", "a")
    assert cache.load_counts == {"a": 1, "b": 1}


def test_resident_says_bytes_and_borrowers():
    cache = make_cache("a")
    with cache.borrow_model("a"), cache.borrow_model("a"):
        assert cache.resident_models() == [{"id": "a", "bytes": 10, "in_use": 2, "where": "device"}]
    assert cache.resident_models() == [{"id": "a", "bytes": 10, "in_use": 0, "where": "device"}]


def test_threads_that_want_the_same_model_load_it_once():
    cache = ModelCache((FakeFamily("a", pause=0.05),), CacheOptions(budget_bytes=10))
    together = threading.Barrier(8)

    def borrow(_: int) -> object:
        together.wait()
        with cache.borrow_model("a") as model:
            return model

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(borrow, range(8)))) == 1
    assert cache.load_counts == {"a": 1}


def test_eight_threads_share_a_budget_for_two():
    cache = ModelCache((FakeFamily(*"abcd", pause=0.001),), CacheOptions(budget_bytes=20))
    most = 0

    def borrow(number: int) -> None:
        nonlocal most
        for turn in range(6):
            with cache.borrow_model("abcd"[(number + turn) % 4]) as model:
                most = max(most, sum(row["bytes"] for row in cache.resident_models()))
                time.sleep(0.001)
                assert not model.closed

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(borrow, range(8)))
    assert 10 <= most <= 20
    assert set(cache.load_counts) == set("abcd")
    assert all(row["in_use"] == 0 for row in cache.resident_models())


def test_unknown_model_is_unavailable():
    with pytest.raises(ModelUnavailable), make_cache("a").borrow_model("z"):
        pass
    with pytest.raises(ModelUnavailable):
        get_spec("z")


def test_id_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match="twice"):
        build_registry((FakeFamily("a"), FakeFamily("a")))


def test_every_model_of_the_project_has_a_licence_and_its_own_row():
    assert all(row.licence and get_spec(row.id) is row for row in list_all_specs())


@pytest.mark.parametrize(
    ("best", "family", "wanted"),
    [
        ("float16", "flux2", "bfloat16"),
        ("float16", "z_image", "bfloat16"),
        ("float16", "qwen_image", "bfloat16"),
        ("float16", "longcat", "bfloat16"),
        ("float16", "joyimage", "bfloat16"),
        ("float16", "qwen_image_21", "bfloat16"),
        ("float16", "krea", "bfloat16"),
        ("float16", "wan", "bfloat16"),
        ("float16", "fashn", "bfloat16"),
        ("float16", "stable_diffusion", "float16"),
        ("float32", "flux2", "float32"),
        ("bfloat16", "stable_diffusion", "bfloat16"),
    ],
)
def test_flow_models_are_never_loaded_in_float16(monkeypatch: pytest.MonkeyPatch, best: str, family: str, wanted: str):
    """In float16 Z-Image computes NaN, and FLUX.1's autoencoder black (Tongyi-MAI/Z-Image issues 14 and 15)."""
    monkeypatch.setattr(model_cache, "best_dtype", lambda device: best)
    cache = ModelCache(FAMILIES)
    rows = [row for row in list_all_specs() if row.family == family]
    assert rows
    assert {cache.resolve_spec(row.id)[0].dtype for row in rows} == {wanted}
