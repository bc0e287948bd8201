"""Runs one job at a time in this process; keeps no queue and knows no door."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from pipelines.core.errors import ModelUnavailable, StudioError
from pipelines.core.geometry import Image
from pipelines.core.job import Job, Result
from pipelines.core.stream import Stream
from pipelines.core.tools import Tool
from pipelines.engines.dynamic_batching import CpuSlots, DynamicBatcher
from pipelines.models import oom_fallback
from pipelines.models.hub_download import OnFileProgress
from pipelines.models.model_cache import ModelCache
from pipelines.provenance.signing_key import SigningKeyStore
from pipelines.runtime.context import JobContext, ResultCache, report_download
from pipelines.runtime.progress import PREVIEW_INTERVAL_SECONDS, StreamProgress
from pipelines.security.audit_log import AuditLog
from pipelines.security.content_filter import ContentFilter
from pipelines.storage.file_index import FileIndex
from pipelines.tools import HELPERS, TOOLS, find_tool

STARTING_STAGE = "Getting ready"
UNCHECKED_MESSAGE = "The content check could not look at this picture, so it was not taken."

log = logging.getLogger(__name__)


class LocalEngine:
    """One device. Its gate checks every picture that comes in and goes out. There is no engine without one.

    together: pictures of different jobs that one call of a model may draw at most. With more than 1 there are twice as
    many slots, so that the next call fills while one is made; else there is one, since a second job would only slow
    both. 1 draws each picture alone, 0 those of a job in one call where that is faster on any device.
    """

    name = "local"
    devices = 1

    def __init__(
        self,
        cache: ModelCache,
        files: FileIndex,
        tools: Sequence[Tool] = TOOLS,
        *,
        audit: AuditLog | None = None,
        together: int = 0,
    ) -> None:
        self.cache = cache
        self.slots = 2 * together if together > 1 else 1
        self.memo = ResultCache()
        self.steps = 0
        """Steps of work done since the start, counted when their job ends."""
        self._files = files
        self._tools = tools
        self.seal = SigningKeyStore(files.data)
        self._gate = ContentFilter(cache, audit or AuditLog(files.data))
        self._cpu_slots = CpuSlots(max(2, (os.cpu_count() or 1) // 4))
        self._batcher = DynamicBatcher(cache, together)

    def check_picture(self, image: Image, owner: str, sha256: str) -> None:
        """See `Engine.admit`."""
        # An executor hands an exception over as a value, which spares a catch-all of our own.
        with ThreadPoolExecutor(1) as beside:
            error = beside.submit(lambda: self._gate.check_input(image, owner, sha256)).exception()
        if isinstance(error, StudioError):
            raise error
        if error is not None:  # whatever the net did: the picture stays outside
            log.error("the content check of a picture failed", exc_info=error)
            raise ModelUnavailable(UNCHECKED_MESSAGE) from error

    def run(self, job: Job) -> Stream:
        """Start `job` at once and return its stream."""
        return Stream.run_in_thread(lambda stream: self.run_blocking(job, stream))

    def run_blocking(self, job: Job, stream: Stream) -> Result:
        """Do `job` in the calling thread, its steps going to `stream`."""
        with self._cpu_slots.acquire(stream):
            return self._run_tool(job, stream)

    def _run_tool(self, job: Job, stream: Stream) -> Result:
        since = time.monotonic()
        emit = StreamProgress(stream, interval=0.0 if job.draft else PREVIEW_INTERVAL_SECONDS)
        emit(STARTING_STAGE, 0, 1)  # a model may have to be loaded before anything else can be told
        row = find_tool(job.tool, (*self._tools, *HELPERS))
        draws = self.make_draw(stream, partial(report_download, emit))
        studio = JobContext(job, self.cache, self._files, self.memo, emit, self.seal, self._gate, draws)
        try:
            draft = row.run(row.params.model_validate(job.params), studio, emit)
            return studio.finish(draft, lambda: round(time.monotonic() - since, 3))
        finally:
            self.steps += emit.step_count

    def make_draw(self, stream: Stream, on_file: OnFileProgress | None = None) -> oom_fallback.DrawFn:
        """Where the models of a job draw; `stream` is the job's, `on_file` as `Cache.borrow` has it."""
        return self._batcher.make_draw(stream, on_file, self._cpu_slots)

    def describe_state(self) -> dict[str, Any]:
        """What runs here: its name, the device, the models loaded now."""
        resident = [row["id"] for row in self.cache.resident_models()]
        return {"engine": self.name, "device": self.cache.device, "resident": resident}

    def close(self) -> None:
        """Free every model."""
        self._batcher.close()
        self.cache.close()
