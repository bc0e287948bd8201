"""A thread-safe least-recently-used cache, bounded by the total size of its entries."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LruCache(Generic[Key, Value]):
    """Values by key. Where the sizes add up to more than `capacity`, the least recently used entries are removed.

    An entry counts 1 unless a size is given, so `capacity` is a number of entries or, say, of bytes.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._total_size = 0

    def get(self, key: Key) -> Value | None:
        """Return the value of `key`, None where there is none, and mark it as the most recently used."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def contains(self, key: Key) -> bool:
        """Tell whether `key` is stored."""
        with self._lock:
            return key in self._entries

    def put(self, key: Key, value: Value, size: int = 1) -> None:
        """Store `value`. One that is larger than the whole capacity is not kept."""
        with self._lock:
            _, replaced_size = self._entries.pop(key, (None, 0))
            self._entries[key] = (value, size)
            self._total_size += size - replaced_size
            while self._total_size > self._capacity:
                _, (_, removed_size) = self._entries.popitem(last=False)
                self._total_size -= removed_size

    def get_or_create(
        self, key: Key, create: Callable[[], Value], size_of: Callable[[Value], int] = lambda _: 1
    ) -> Value:
        """Return the value of `key`, else make it, outside the lock, and store it."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key][0]
        value = create()
        self.put(key, value, size_of(value))
        return value

    def clear(self) -> None:
        """Remove every entry."""
        with self._lock:
            self._entries.clear()
            self._total_size = 0

    def __len__(self) -> int:
        return len(self._entries)
