"""The door for pictures: bytes in, sRGB pixels out, decoded in a worker process that may die; knows no owner, no file.

Every picture goes through here once, before anything else sees it. A decoder that crashes, hangs or eats memory over
hostile bytes takes its worker along and nothing else: that picture is refused and the next one is read.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as WaitedEnough
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from pebble import ProcessExpired, ProcessPool

from pipelines.codecs import file_signatures
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Image
from pipelines.core.isolated_process import IsolatedContext
from pipelines.ingest import decode
from pipelines.provenance import c2pa

MAX_FILE_BYTES = 25_000_000
"""Of one file. A 50 MP photo at a camera's best JPEG setting stays below."""
DECODE_TIMEOUT_SECONDS = 10.0
"""For decoding one picture. The slowest honest one, a 50 MP AVIF, takes about three on two cores."""
WORKER_MEMORY_BYTES = 2 << 30
"""Bytes of address space of a worker. The largest picture allowed takes about half of it."""
WORKER_COUNT = 2
"""So that one slow picture does not close the door to the others."""
MAX_TASKS_PER_WORKER = 100
"""Pictures after which a worker is replaced, so that what a codec leaks is given back."""
WORKER_START_SECONDS = 20.0
"""Seconds that a worker may take to come up on a machine that is busy, before it is given up."""
POLL_SECONDS = 0.25
"""Seconds between two looks whether a worker that has not answered is still there."""

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class IngestedPicture:
    """`image` is uint8, sRGB, H x W x 3, or H x W x 4 (straight alpha) where something in it is see-through."""

    image: Image
    notices: tuple[str, ...] = ()


class DecoderPool:
    """Reads pictures in worker processes, which start at the first picture. Thread-safe.

    `seconds` and `memory` (bytes) bound each picture; `workers` are how many are read at once. Each worker has a pool
    of its own: what one holds when it is killed (a lock, half an answer in a pipe) would stop whoever shares it.
    """

    def __init__(
        self, *, workers: int = WORKER_COUNT, seconds: float = DECODE_TIMEOUT_SECONDS, memory: int = WORKER_MEMORY_BYTES
    ) -> None:
        self.seconds = seconds
        self._memory = memory
        self._worker_slots = threading.Semaphore(workers)
        self._lock = threading.Lock()
        self._free: list[ProcessPool] = []
        self._busy: set[ProcessPool] = set()

    def decode_picture(self, data: bytes) -> IngestedPicture:
        """The picture in `data`: upright, 8 bit, sRGB, free of EXIF, GPS, XMP, ICC and text.

        Raises `BadInput` with code `image_too_large`, `unsupported_image`, `corrupt_image`, `too_many_pixels`,
        `nothing_visible`, or `invalid_request` where the sides or their ratio do not suit.
        """
        if len(data) > MAX_FILE_BYTES:
            raise BadInput(f"The file is larger than {MAX_FILE_BYTES // 10**6} MB.", code="image_too_large")
        outcome = self._run_task(decode.decode_image, data)
        # A copy, since the received bytes cannot be written to: torch and OpenCV both want that.
        pixels = np.frombuffer(outcome.pixels, np.uint8).copy()
        return IngestedPicture(pixels.reshape(outcome.height, outcome.width, outcome.channels), outcome.notices)

    def read_ingredient_archive(self, data: bytes, placed: bool = False) -> bytes | None:
        """What a picture's own content credentials say, see `provenance.past`. Raises `BadInput`."""
        return self._run_task(c2pa.read_ingredient_archive, data, placed)

    def verify_credentials(self, data: bytes, anchor: str) -> c2pa.CredentialReport:
        """What a picture says about itself, see `provenance.verify`. Raises `BadInput`."""
        if len(data) > MAX_FILE_BYTES:
            raise BadInput(f"The file is larger than {MAX_FILE_BYTES // 10**6} MB.", code="image_too_large")
        return self._run_task(c2pa.verify_credentials, data, anchor)

    def _run_task(self, work: Callable[..., T | file_signatures.RejectedImage], *args: object) -> T:
        """What `work` returns in a worker; a refusal or a lost worker as `BadInput`."""
        outcome = self._try_task(work, args)
        if isinstance(outcome, (BrokenProcessPool, ProcessExpired)):
            # A worker that died may have died of something else: between two pictures, or of the system's short memory.
            # A picture that does kill its decoder kills two.
            outcome = self._try_task(work, args)
        if isinstance(outcome, file_signatures.RejectedImage):
            raise BadInput(outcome.message, code=outcome.code)
        if isinstance(outcome, BaseException):
            raise _worker_error(outcome) from outcome
        return outcome

    def _try_task(
        self, work: Callable[..., T | file_signatures.RejectedImage], args: tuple[object, ...]
    ) -> T | BaseException:
        with self._worker_slots:
            pool = self._acquire_pool()
            outcome = _await_result(pool, work, args, self.seconds)
            self._release_pool(pool, sound=not isinstance(outcome, (BrokenProcessPool, ProcessExpired)))
            return outcome

    def _acquire_pool(self) -> ProcessPool:
        """A pool of one worker, which nobody else uses until it is given back."""
        with self._lock:
            # The one that was used last: the others sleep on where one is enough.
            pool = self._free.pop() if self._free else None
        if pool is not None and not pool.active:
            _stop_pool(pool)
            pool = None
        pool = pool or ProcessPool(1, MAX_TASKS_PER_WORKER, decode.init_worker, (self._memory,), IsolatedContext())
        with self._lock:
            self._busy.add(pool)
        return pool

    def _release_pool(self, pool: ProcessPool, *, sound: bool) -> None:
        with self._lock:
            if pool not in self._busy:  # closed meanwhile
                return
            self._busy.discard(pool)
            if sound:
                self._free.append(pool)
        if not sound:
            _stop_pool(pool)

    def close(self) -> None:
        """End the workers, whatever they are at. A later picture starts new ones."""
        with self._lock:
            pools = [*self._free, *self._busy]
            self._free, self._busy = [], set()
        for pool in pools:
            _stop_pool(pool)


def _await_result(
    pool: ProcessPool, work: Callable[..., T | file_signatures.RejectedImage], args: tuple[object, ...], seconds: float
) -> T | BaseException:
    """What `work` returns in the pool's worker, or the error that it ended in. Never waits without end.

    A pool whose worker is killed at the wrong moment forgets what it was asked, and says nothing.
    """
    try:
        future = pool.schedule(work, args=args, timeout=seconds)
    except RuntimeError as error:  # the pool broke since it was looked at
        return BrokenProcessPool(str(error))
    end = time.monotonic() + WORKER_START_SECONDS + seconds
    while time.monotonic() < end:
        try:
            error = future.exception(POLL_SECONDS)
        except WaitedEnough:
            if pool.active:
                continue
            break
        return future.result() if error is None else error
    return BrokenProcessPool("The worker was lost.")


def _stop_pool(pool: ProcessPool) -> None:
    pool.stop()
    pool.join()


def _worker_error(error: BaseException) -> BadInput:
    """What is said about a picture whose decoder was lost over it."""
    if isinstance(error, WaitedEnough):  # the builtin one only since Python 3.11
        return BadInput("Reading this picture took too long. Save it again or make it smaller.", code="corrupt_image")
    if not isinstance(error, ProcessExpired):
        log.error("a decoder failed in an unknown way", exc_info=error)
    return BadInput("This picture is damaged and cannot be read.", code="corrupt_image")
