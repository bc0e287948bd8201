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
from pipelines.engines.dynamic_batching import Gathering, Hands
from pipelines.models import oom_fallback
from pipelines.models.hub_download import OnFile
from pipelines.models.model_cache import Cache
from pipelines.provenance.signing_key import Seal
from pipelines.runtime.context import JobStudio, Memo, arriving
from pipelines.runtime.progress import PREVIEW_INTERVAL, Emitter
from pipelines.security.audit_log import Audit
from pipelines.security.content_filter import Gate
from pipelines.storage.file_index import Files
from pipelines.tools import HELPERS, TOOLS, tool

BEGUN = "Getting ready"
UNCHECKED = "The content check could not look at this picture, so it was not taken."

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
        cache: Cache,
        files: Files,
        tools: Sequence[Tool] = TOOLS,
        *,
        audit: Audit | None = None,
        together: int = 0,
    ) -> None:
        self.cache = cache
        self.slots = 2 * together if together > 1 else 1
        self.memo = Memo()
        self.steps = 0
        """Steps of work done since the start, counted when their job ends."""
        self._files = files
        self._tools = tools
        self.seal = Seal(files.data)
        self._gate = Gate(cache, audit or Audit(files.data))
        self._hands = Hands(max(2, (os.cpu_count() or 1) // 4))
        self._gathering = Gathering(cache, together)

    def admit(self, image: Image, owner: str, sha256: str) -> None:
        """See `Engine.admit`."""
        # An executor hands an exception over as a value, which spares a catch-all of our own.
        with ThreadPoolExecutor(1) as beside:
            error = beside.submit(lambda: self._gate.admit(image, owner, sha256)).exception()
        if isinstance(error, StudioError):
            raise error
        if error is not None:  # whatever the net did: the picture stays outside
            log.error("the content check of a picture failed", exc_info=error)
            raise ModelUnavailable(UNCHECKED) from error

    def run(self, job: Job) -> Stream:
        """Start `job` at once and return its stream."""
        return Stream.start(lambda stream: self.work(job, stream))

    def work(self, job: Job, stream: Stream) -> Result:
        """Do `job` in the calling thread, its steps going to `stream`."""
        with self._hands.working(stream):
            return self._work(job, stream)

    def _work(self, job: Job, stream: Stream) -> Result:
        since = time.monotonic()
        emit = Emitter(stream, interval=0.0 if job.draft else PREVIEW_INTERVAL)
        emit(BEGUN, 0, 1)  # a model may have to be loaded before anything else can be told
        row = tool(job.tool, (*self._tools, *HELPERS))
        draws = self.draws(stream, partial(arriving, emit))
        studio = JobStudio(job, self.cache, self._files, self.memo, emit, self.seal, self._gate, draws)
        try:
            draft = row.run(row.params.model_validate(job.params), studio, emit)
            return studio.finish(draft, lambda: round(time.monotonic() - since, 3))
        finally:
            self.steps += emit.steps

    def draws(self, stream: Stream, on_file: OnFile | None = None) -> oom_fallback.Draws:
        """Where the models of a job draw; `stream` is the job's, `on_file` as `Cache.borrow` has it."""
        return self._gathering.draws(stream, on_file, self._hands)

    def about(self) -> dict[str, Any]:
        """What runs here: its name, the device, the models loaded now."""
        resident = [row["id"] for row in self.cache.resident()]
        return {"engine": self.name, "device": self.cache.device, "resident": resident}

    def close(self) -> None:
        """Free every model."""
        self._gathering.close()
        self.cache.close()
