"""The one cache: what is used stays, what is oldest goes, and sizes never add up to more than the capacity."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from pipelines.core.lru_cache import LruCache


def test_the_least_recently_used_entry_is_removed_first() -> None:
    cache = LruCache[str, int](2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)


def test_sizes_count_and_what_is_larger_than_everything_is_not_kept() -> None:
    cache = LruCache[str, bytes](10)
    for key, value in (("a", b"12345"), ("b", b"123"), ("b", b"12345")):
        assert cache.get_or_create(key + value.decode(), lambda value=value: value, len) == value
    assert len(cache) == 2
    assert cache.get_or_create("large", lambda: b"x" * 11, len) == b"x" * 11
    assert len(cache) == 0


def test_a_value_is_made_once_and_again_after_clearing() -> None:
    cache, made = LruCache[str, int | None](3), []
    for _ in range(3):
        assert cache.get_or_create("nothing", lambda: made.append(1)) is None
    cache.clear()
    cache.get_or_create("nothing", lambda: made.append(1))
    assert made == [1, 1]


def test_a_replaced_entry_counts_once_whoever_replaces_it() -> None:
    cache = LruCache[int, int](8)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: cache.put(n % 8, n), range(4000)))
    assert len(cache) == 8
