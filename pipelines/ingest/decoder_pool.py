"""Pool of sandboxed worker processes that decode uploaded pictures to sRGB pixels.

Every upload is decoded here first. If a decoder crashes, hangs or uses too much memory on hostile bytes, only its
worker is lost: that picture is refused and the next one is decoded.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as WaitedEnough
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from pebble import ProcessExpired, ProcessPool

from pipelines.codecs import file_signatures
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Image
from pipelines.core.isolated_process import IsolatedContext
from pipelines.ingest import decode
from pipelines.provenance import c2pa

MAX_FILE_BYTES = 25_000_000  # Largest upload. A 50 MP photo at the best JPEG setting of a camera is smaller.
DECODE_TIMEOUT_SECONDS = 10.0
"""Time to decode one picture on a free machine. The slowest normal one, a 50 MP AVIF, takes about 3 s on two cores."""
MAX_BUSY_FACTOR = 4.0  # a machine with more to do than its processors can takes up to so many times as long
WORKER_MEMORY_BYTES = 2 << 30  # Address space of a worker. The largest accepted picture needs about half of it.
WORKER_COUNT = 2  # pictures decoded at once, so that one slow picture does not block the others
MAX_TASKS_PER_WORKER = 100  # pictures after which a worker is replaced, which frees memory that codecs leak
WORKER_START_SECONDS = 20.0  # time that a worker may take to start on a busy machine
POLL_SECONDS = 0.25  # interval of the checks whether a worker is still alive

T = TypeVar("T")
Task: TypeAlias = Callable[..., T | file_signatures.RejectedImage]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class IngestedPicture:
    """`image` is uint8, sRGB, H x W x 3, or H x W x 4 (straight alpha) if it has transparency.

    `wide` is the same picture in Display P3, H x W x 3, where it has colours outside sRGB.
    """

    image: Image
    notices: tuple[str, ...] = ()
    wide: Image | None = None


class DecoderPool:
    """Decodes pictures in worker processes, which start with the first picture. Thread-safe.

    `seconds` and `memory` (bytes) limit each picture, and `workers` are decoded at once. Each worker has its own pool:
    a killed worker may leave a lock or half an answer behind, which would block workers that share its pool.
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
        """Decode the picture in `data`: upright, 8 bit, sRGB, without EXIF, GPS, XMP, ICC and text.

        Raises `BadInput` with code `image_too_large`, `unsupported_image`, `corrupt_image`, `too_many_pixels`,
        `nothing_visible`, or `invalid_request` if the sides or their ratio do not fit.
        """
        check_file_size(len(data))
        outcome = self._run_task(decode.decode_image, data)
        # A copy, because received bytes are read-only, and torch and OpenCV need writable arrays.
        pixels = np.frombuffer(outcome.pixels, np.uint8).copy()
        image, wide = pixels.reshape(outcome.height, outcome.width, outcome.channels), None
        if outcome.wide_pixels is not None:
            wide = np.frombuffer(outcome.wide_pixels, np.uint8).reshape(outcome.height, outcome.width, 3)
        return IngestedPicture(image, outcome.notices, wide)

    def read_ingredient_archive(self, data: bytes, placed: bool = False) -> bytes | None:
        """Return the upload's ingredient archive, see `c2pa.read_ingredient_archive`. Raises `BadInput`."""
        return self._run_task(c2pa.read_ingredient_archive, data, placed)

    def verify_credentials(self, data: bytes, anchor: str) -> c2pa.CredentialReport:
        """Return what a picture says about itself, see `c2pa.verify_credentials`. Raises `BadInput`."""
        check_file_size(len(data))
        return self._run_task(c2pa.verify_credentials, data, anchor)

    def _run_task(self, task: Task[T], *args: object) -> T:
        """Run `task` in a worker and return its result. Raises `BadInput` for a refusal or a lost worker."""
        outcome = self._try_task(task, args)
        if isinstance(outcome, (BrokenProcessPool, ProcessExpired)):
            # Try again, because the worker may have died for another reason, such as low memory of the system.
            outcome = self._try_task(task, args)
        if isinstance(outcome, file_signatures.RejectedImage):
            raise BadInput(outcome.message, code=outcome.code)
        if isinstance(outcome, BaseException):
            raise _worker_error(outcome) from outcome
        return outcome

    def _try_task(self, task: Task[T], args: tuple[object, ...]) -> T | BaseException:
        with self._worker_slots:
            pool = self._acquire_pool()
            outcome = _run_with_deadline(pool, task, args, self.seconds * _measure_busy_factor())
            self._release_pool(pool, is_healthy=not isinstance(outcome, (BrokenProcessPool, ProcessExpired)))
            return outcome

    def _acquire_pool(self) -> ProcessPool:
        """Return a pool of one worker for exclusive use until `_release_pool`."""
        with self._lock:
            # The pool used last: if one is enough the others stay idle.
            pool = self._free.pop() if self._free else None
        if pool is not None and not pool.active:
            _stop_pool(pool)
            pool = None
        pool = pool or ProcessPool(1, MAX_TASKS_PER_WORKER, decode.init_worker, (self._memory,), IsolatedContext())
        with self._lock:
            self._busy.add(pool)
        return pool

    def _release_pool(self, pool: ProcessPool, *, is_healthy: bool) -> None:
        with self._lock:
            if pool not in self._busy:  # closed meanwhile
                return
            self._busy.discard(pool)
            if is_healthy:
                self._free.append(pool)
        if not is_healthy:
            _stop_pool(pool)

    def close(self) -> None:
        """Stop all workers at once. A later picture starts new ones."""
        with self._lock:
            pools = [*self._free, *self._busy]
            self._free, self._busy = [], set()
        for pool in pools:
            _stop_pool(pool)


def check_file_size(byte_count: int, param: str | None = None, most: int = MAX_FILE_BYTES) -> None:
    """Raise `BadInput` (`image_too_large`) for an upload over `most` bytes; `param` names its form field."""
    if byte_count > most:
        raise BadInput(f"The file is larger than {most // 10**6} MB.", code="image_too_large", param=param)


def _measure_busy_factor() -> float:
    """Return how many times as long a task takes for what else runs, from 1 to `MAX_BUSY_FACTOR`; 1 on Windows."""
    try:
        load = os.getloadavg()[0]
    except (AttributeError, OSError):
        return 1.0
    return min(max(1.0, load / (os.cpu_count() or 1)), MAX_BUSY_FACTOR)


def _run_with_deadline(pool: ProcessPool, task: Task[T], args: tuple[object, ...], seconds: float) -> T | BaseException:
    """Return the result of `task` or its error, in limited time: a pool may lose a task when its worker is killed."""
    try:
        future = pool.schedule(task, args=args, timeout=seconds)
    except RuntimeError as error:  # the pool broke in the meantime
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
    """Return the error for a picture whose decoder failed."""
    if isinstance(error, WaitedEnough):  # the builtin one only since Python 3.11
        return BadInput("Reading this picture took too long. Try again, or save it smaller.", code="corrupt_image")
    if not isinstance(error, ProcessExpired):
        log.error("a decoder failed in an unknown way", exc_info=error)
    return BadInput("This picture is damaged and cannot be read.", code="corrupt_image")
