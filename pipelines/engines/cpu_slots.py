"""How many jobs work on the processor at once, beside a device that many wait for; knows no job and no model."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.core.errors import JobCancelled
from pipelines.core.stream import Stream

CANCEL_POLL_SECONDS = 0.2
"""Seconds within which a job that was stopped leaves, whatever it waits for."""


class CpuSlots:
    """How many jobs of a device may work beside it at once, on the processor: to cut out, to write files.

    More would hold more pictures in memory and finish none sooner.
    """

    def __init__(self, count: int) -> None:
        self._semaphore = threading.Semaphore(count)
        self._holders: set[Stream] = set()

    @contextmanager
    def acquire(self, stream: Stream) -> Iterator[None]:
        """The job of `stream` has a hand, as soon as one is free. Raises `Cancelled` when it is stopped before."""
        self._wait_for_slot(stream)
        try:
            yield
        finally:
            self._release_slot(stream)

    @contextmanager
    def release_while(self, stream: Stream) -> Iterator[None]:
        """Another job may have its hand meanwhile. Raises `Cancelled` when it is stopped before it has one again."""
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
