"""How many jobs work on the processor at once, beside a device that many wait for; knows no job and no model."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.core.errors import Cancelled
from pipelines.core.stream import Stream

LOOKS = 0.2
"""Seconds within which a job that was stopped leaves, whatever it waits for."""


class Hands:
    """How many jobs of a device may work beside it at once, on the processor: to cut out, to write files.

    More would hold more pictures in memory and finish none sooner.
    """

    def __init__(self, count: int) -> None:
        self._free = threading.Semaphore(count)
        self._at_work: set[Stream] = set()

    @contextmanager
    def working(self, stream: Stream) -> Iterator[None]:
        """The job of `stream` has a hand, as soon as one is free. Raises `Cancelled` when it is stopped before."""
        self._take(stream)
        try:
            yield
        finally:
            self._leave(stream)

    @contextmanager
    def resting(self, stream: Stream) -> Iterator[None]:
        """Another job may have its hand meanwhile. Raises `Cancelled` when it is stopped before it has one again."""
        self._leave(stream)
        yield
        self._take(stream)

    def _take(self, stream: Stream) -> None:
        while not self._free.acquire(timeout=LOOKS):
            if stream.closed.is_set():
                raise Cancelled
        self._at_work.add(stream)

    def _leave(self, stream: Stream) -> None:
        if stream in self._at_work:
            self._at_work.remove(stream)
            self._free.release()
