"""The last few costly results of an engine, found by what they were made from; least recently used goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

T = TypeVar("T")
CACHE_LIMIT_BYTES = 256 * 2**20


class ResultCache:
    """A thread-safe cache with a limit in bytes."""

    def __init__(self, limit_bytes: int = CACHE_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()

    def get_or_make(self, key: Hashable, make: Callable[[], T], count_bytes: Callable[[T], int]) -> T:
        """Return the cached value of `key`, else `make()`, which is cached if it fits."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key][0]  # pyright: ignore[reportReturnType]
        value = make()
        with self._lock:
            self._entries[key] = (value, count_bytes(value))
            while sum(size for _, size in self._entries.values()) > self._limit_bytes and self._entries:
                self._entries.popitem(last=False)
        return value

    def clear(self) -> None:
        """Drop every entry."""
        with self._lock:
            self._entries.clear()
