"""Semaphore for the CPU work of jobs, held beside a device whose model calls are queued separately."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.core.errors import JobCancelled
from pipelines.core.stream import Stream

CANCEL_POLL_SECONDS = 0.2  # seconds within which a job that was cancelled stops waiting


class CpuSlots:
    """Limits how many jobs of a device cut out or write at once: more would take more memory and finish none sooner."""

    def __init__(self, count: int) -> None:
        self._semaphore = threading.Semaphore(count)
        self._holders: set[Stream] = set()

    @contextmanager
    def acquire(self, stream: Stream) -> Iterator[None]:
        """Hold a slot for the job of `stream`. Raises `JobCancelled` if it is cancelled before a slot is free."""
        self._wait_for_slot(stream)
        try:
            yield
        finally:
            self._release_slot(stream)

    @contextmanager
    def release_while(self, stream: Stream) -> Iterator[None]:
        """Give the slot to other jobs meanwhile. Raises `JobCancelled` if cancelled before it has a slot again."""
        self._release_slot(stream)
        yield
        self._wait_for_slot(stream)

    def _wait_for_slot(self, stream: Stream) -> None:
        while not self._semaphore.acquire(timeout=CANCEL_POLL_SECONDS):
            if stream.close_requested.is_set():
                raise JobCancelled
        self._holders.add(stream)

    def _release_slot(self, stream: Stream) -> None:
        if stream in self._holders:
            self._holders.remove(stream)
            self._semaphore.release()
