"""Engine of one device: runs a job in this process and returns the stream of its events."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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
from pipelines.runtime.context import EngineResources, JobContext
from pipelines.runtime.finalize import Finalizer
from pipelines.runtime.progress import PREVIEW_INTERVAL_SECONDS, StreamProgress
from pipelines.security.audit_log import AuditLog
from pipelines.security.content_filter import ContentFilter
from pipelines.storage.file_index import FileIndex
from pipelines.tools import HELPERS, TOOLS, find_tool

STARTING_STAGE = "Getting ready"
UNCHECKED_MESSAGE = "The content check could not look at this picture, so it was not taken."

log = logging.getLogger(__name__)


class LocalEngine:
    """Runs jobs on one device. Its content filter checks every picture that comes in or goes out.

    together: most images of different jobs that one model call may draw. With more than 1 there are twice as many
    slots, so that the next call fills while one runs; otherwise there is one slot, since a second job would only slow
    both down. 1 draws each image alone, 0 draws those of one job in one call where that is faster on any device.
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
        self.steps = 0
        """Steps done since the start, counted when their job ends."""
        self._files = files
        self._tools = tools
        content_filter = ContentFilter(cache, audit or AuditLog(files.data), files.is_result)
        self.resources = EngineResources(cache, files, content_filter, SigningKeyStore(files.data))
        self._cpu_slots = CpuSlots(max(2, (os.cpu_count() or 1) // 4))
        self._batcher = DynamicBatcher(cache, together)

    def check_picture(self, image: Image, owner: str, sha256: str) -> None:
        # An executor returns an exception as a value, so no catch-all is needed here.
        with ThreadPoolExecutor(1) as executor:
            error = executor.submit(lambda: self.resources.content_filter.check_input(image, owner, sha256)).exception()
        if isinstance(error, StudioError):
            raise error
        if error is not None:  # whatever failed in the net: a picture that was not checked is not taken
            log.error("the content check of a picture failed", exc_info=error)
            raise ModelUnavailable(UNCHECKED_MESSAGE) from error

    def run(self, job: Job) -> Stream:
        """Start `job` at once and return its stream."""
        return Stream.run_in_thread(lambda stream: self.run_blocking(job, stream))

    def run_blocking(self, job: Job, stream: Stream) -> Result:
        """Run `job` in the calling thread and write its steps to `stream`."""
        with self._cpu_slots.acquire(stream):
            return self._run_tool(job, stream)

    def _run_tool(self, job: Job, stream: Stream) -> Result:
        start = time.monotonic()
        progress = StreamProgress(stream, interval=0.0 if job.draft else PREVIEW_INTERVAL_SECONDS)
        progress(STARTING_STAGE, 0, 1)  # loading a model may take long before the first step
        row = find_tool(job.tool, (*self._tools, *HELPERS))
        draw = self.make_draw(stream, progress.report_download)
        context = JobContext(job, self.resources, progress, draw)
        try:
            output = row.run(row.params.model_validate(job.params), context, progress)
            return Finalizer(context, output).finish(lambda: round(time.monotonic() - start, 3))
        finally:
            self.steps += progress.step_count

    def make_draw(self, stream: Stream, on_file: OnFileProgress | None = None) -> oom_fallback.DrawFn:
        """Make the function that draws for the job of `stream`; `on_file` as in `ModelCache.borrow_model`."""
        return self._batcher.make_draw(stream, on_file, self._cpu_slots)

    def describe_state(self) -> dict[str, Any]:
        resident = [row["id"] for row in self.cache.resident_models()]
        return {"engine": self.name, "device": self.cache.device, "resident": resident}

    def close(self) -> None:
        """Free every model."""
        self._batcher.close()
        self.cache.close()
