"""What a worker of the cluster is: a local engine over a folder of its own; knows no queue and who asks only by orders.

Its folder goes with it. Pictures come with each order and results go with its end, so that a worker that is lost takes
nothing along.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import psutil

from pipelines.core.errors import JobCancelled, StudioError
from pipelines.core.job import Result, Step
from pipelines.core.malloc import trim_heap
from pipelines.core.stream import Stream
from pipelines.engines import factory
from pipelines.engines.local import LocalEngine
from pipelines.engines.ray_cluster.transfer import Carrier, Ended, Order, Refusal, State, Told, pack_result, unpack
from pipelines.provenance.signing_key import SigningKey
from pipelines.security.audit_log import AuditLog, AuditVerdict
from pipelines.storage.file_index import FileIndex

Build = Callable[[FileIndex, AuditLog], LocalEngine]
KEPT = 3600.0
"""Seconds that a picture which came with an order stays: the next draft of it needs no reading of it anew."""

_NAME = "designerbox-worker-"


class Notes(AuditLog):
    """Refusals on their way to the studio, whose log is the one that counts."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.taken: list[Refusal] = []

    def refused(self, what: AuditVerdict, owner: str, inputs: Sequence[str]) -> None:
        self.taken.append(Refusal(what, owner, tuple(inputs)))


class Replica:
    """One device of the cluster; one order at a time, whoever asks for more waits here.

    `build` makes the engine, `pair` is what it signs with, `url` see `Carrier`.
    """

    def __init__(self, build: Build, pair: SigningKey, url: str = "") -> None:
        self._folder = own_folder()
        self._files = FileIndex(self._folder)
        self._notes = Notes(self._folder)
        self.engine = build(self._files, self._notes)
        self.engine.seal.use_key(pair)
        self._carrier = Carrier(url)
        self._turn = asyncio.Lock()
        self._streams: dict[str, Stream] = {}

    async def hello(self) -> State:
        """How this worker stands."""
        cache = self.engine.cache
        return State(
            os.getpid(), factory.detect_machine(), cache.device, cache.budget_bytes, tuple(cache.resident_models()), dict(cache.load_counts),
            self.engine.steps,
        )  # fmt: skip

    async def run(self, order: Order) -> AsyncIterator[Told]:
        """Steps as they come, several together where they come fast, then the end; over within a step of a cancel."""
        async with self._turn:
            job = order.job.model_copy(update={"waited": True})  # nothing of it has to outlive this process
            for kept in order.files:
                await asyncio.to_thread(unpack, kept, self._files, self._carrier, job.owner, later=True)
            stream = self.engine.run(job)
            stream.is_watched = order.watched
            self._streams[job.id] = stream
            result: Result | None = None
            try:
                while not stream.is_exhausted:
                    events = [event for _, event in await stream.take_pending_async()]
                    result = next((event for event in events if isinstance(event, Result)), result)
                    if steps := tuple(event for event in events if isinstance(event, Step)):
                        yield steps
                yield await self._ended(order, result, stream.error)
            finally:
                stream.close()
                while not stream.is_exhausted:  # the device is busy until then
                    await stream.take_pending_async()
                del self._streams[job.id]
                await asyncio.to_thread(self._tidy, result)

    async def _ended(self, order: Order, result: Result | None, error: BaseException | None) -> Ended:
        state, refusals = await self.hello(), tuple(self._notes.taken)
        self._notes.taken.clear()
        if result is not None:
            files = await asyncio.to_thread(pack_result, result, order.job, self._files, self._carrier)
            return Ended(state, result, files, refusals=refusals)
        error = error or JobCancelled()
        trace = "".join(traceback.format_exception(error))
        return Ended(state, error=_sendable(error), trace=trace, refusals=refusals)

    def _tidy(self, result: Result | None) -> None:
        for file in result.files if result is not None else ():
            self._files.delete_file(file.id)
        for file_id in self._files.ids_older_than(KEPT):
            self._files.delete_file(file_id)

    async def watch(self, job_id: str, watched: bool) -> None:
        """Somebody looks at this job's previews now, or nobody does any more."""
        if job_id in self._streams:
            self._streams[job_id].is_watched = watched

    async def unload(self, spec_id: str) -> tuple[bool, State]:
        """Drop a model that nobody borrows; whether it was, and how this worker stands then."""
        return self.engine.cache.unload_model(spec_id), await self.hello()

    async def sweep(self) -> State:
        """Drop what nobody borrowed for long; how this worker stands then."""
        self.engine.cache.drop_expired()
        trim_heap()
        return await self.hello()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # it never came to be
            self.engine.close()
            self._files.close()
            shutil.rmtree(self._folder, ignore_errors=True)


def own_folder() -> Path:
    """A folder for this process alone, those of processes that are gone deleted."""
    for old in Path(tempfile.gettempdir()).glob(f"{_NAME}*"):
        pid = old.name.removeprefix(_NAME).partition("-")[0]
        if not (pid.isdigit() and psutil.pid_exists(int(pid))):
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_NAME}{os.getpid()}-"))


def _sendable(error: BaseException) -> BaseException:
    """An error of ours or of Python's own with words and numbers in it as it is, of any other what it says."""
    own = isinstance(error, StudioError | JobCancelled) or type(error).__module__ == "builtins"
    plain = all(isinstance(part, str | int | float | None) for part in error.args)
    return error if own and plain else RuntimeError(f"{type(error).__name__}: {error}")
