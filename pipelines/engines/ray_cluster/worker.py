"""The worker of a cluster: a Ray actor, or a step of a Ray data set, with a `LocalEngine` over a folder of its own.

Pictures come with each job and files go back with its outcome, so a worker that is lost takes nothing with it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import traceback
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import psutil

from pipelines.core.errors import JobCancelled, StudioError
from pipelines.core.job import Job, Result, Step
from pipelines.core.stream import Stream
from pipelines.engines.local import LocalEngine
from pipelines.engines.ray_cluster.transfer import (
    JOB_PACKAGE_ADAPTER,
    FileTransport,
    JobOutcome,
    PackedFile,
    Refusal,
    WorkerState,
    outcome_to_json,
)
from pipelines.provenance.signing_key import SigningKey
from pipelines.security.audit_log import AuditLog, AuditVerdict
from pipelines.storage.file_index import FileIndex

T = TypeVar("T")
EngineBuilder = Callable[[FileIndex, AuditLog], LocalEngine]
INPUT_KEEP_SECONDS = 3600.0
"""Seconds that a picture of a job is kept, so that the next draft of it need not read it again."""
_FOLDER_PREFIX = "designerbox-worker-"


class RefusalRecorder(AuditLog):
    """Collects refusals for the audit log of the studio instead of writing a log of its own."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.refusals: list[Refusal] = []

    def record_refusal(self, verdict: AuditVerdict, owner: str, inputs: Sequence[str]) -> None:
        self.refusals.append((verdict, owner, tuple(inputs)))


class RayWorker:
    """One device of the cluster. It runs one job at a time; a second one waits here.

    build_engine makes the engine. signing_key is the studio's. store_url: see `FileTransport`.
    """

    def __init__(self, build_engine: EngineBuilder, signing_key: SigningKey, store_url: str) -> None:
        self._folder = create_worker_folder()
        root = Path(self._folder.name)
        self._files = FileIndex(root)
        self._audit = RefusalRecorder(root)
        self.engine = build_engine(self._files, self._audit)
        self.engine.resources.signing_keys.use_key(signing_key)
        self._transport = FileTransport(self._files, store_url)
        self._turn = asyncio.Lock()
        self._streams: dict[str, Stream] = {}

    async def apply(self, function: Callable[[LocalEngine], T]) -> tuple[T, WorkerState]:
        """Call `function` with the engine. Returns its result, and the state of this process afterwards."""
        return await asyncio.to_thread(function, self.engine), self._state()

    def _state(self) -> WorkerState:
        cache = self.engine.cache
        resident, loads = tuple(cache.resident_models()), dict(cache.load_counts)
        return WorkerState(os.getpid(), cache.device, cache.budget_bytes, resident, loads, self.engine.steps)

    async def run(
        self, job: Job, inputs: tuple[PackedFile, ...], is_watched: bool
    ) -> AsyncIterator[tuple[Step, ...] | JobOutcome]:
        """Yield the steps of a job, several together if they come fast, then its outcome; cancelling ends a step."""
        async with self._turn:
            job = job.model_copy(update={"waited": True})  # no file of it has to survive this process
            await asyncio.to_thread(self._transport.unpack_files, inputs, job)
            stream = self.engine.run(job)
            stream.is_watched = is_watched
            self._streams[job.id] = stream
            result: Result | None = None
            try:
                while not stream.is_exhausted:
                    events = [event for _, event in await stream.take_pending_async()]
                    result = next((event for event in events if isinstance(event, Result)), result)
                    if steps := tuple(event for event in events if isinstance(event, Step)):
                        yield steps
                yield await self._make_outcome(job, result, stream.error)
            finally:
                stream.close()
                while not stream.is_exhausted:  # the device is busy until the job has ended
                    await stream.take_pending_async()
                del self._streams[job.id]
                await asyncio.to_thread(self._delete_old_files, result)

    def __call__(self, row: Mapping[str, bytes]) -> dict[str, bytes]:
        """Process a row of a Ray data set: run its job, unless its outcome lies on the store already."""
        package = JOB_PACKAGE_ADAPTER.validate_json(row["package"])
        job = package.job
        outcome = self._transport.load_outcome(job.id) or asyncio.run(self._run_to_outcome(job, package.inputs))
        self._transport.save_outcome(outcome, job.id)
        return {"outcome": outcome_to_json(outcome, job.id)}

    async def set_watched(self, job_id: str, is_watched: bool) -> None:
        """Say whether somebody looks at the previews of this job."""
        if job_id in self._streams:
            self._streams[job_id].is_watched = is_watched

    async def _run_to_outcome(self, job: Job, inputs: tuple[PackedFile, ...]) -> JobOutcome:
        *_, outcome = [event async for event in self.run(job, inputs, is_watched=False)]
        assert isinstance(outcome, JobOutcome)
        return outcome

    async def _make_outcome(self, job: Job, result: Result | None, error: BaseException | None) -> JobOutcome:
        state, refusals = self._state(), tuple(self._audit.refusals)
        self._audit.refusals.clear()
        if result is not None:
            files = await asyncio.to_thread(self._transport.pack_files, [file.id for file in result.files], job)
            return JobOutcome(state, result, files, refusals=refusals)
        error = error or JobCancelled()
        trace = "".join(traceback.format_exception(error))
        return JobOutcome(state, error=_to_picklable_error(error), trace=trace, refusals=refusals)

    def _delete_old_files(self, result: Result | None) -> None:
        for file in result.files if result is not None else ():
            self._files.delete_file(file.id)
        for file_id in self._files.ids_older_than(INPUT_KEEP_SECONDS):
            self._files.delete_file(file_id)


def create_worker_folder() -> tempfile.TemporaryDirectory[str]:
    """Create a folder that is deleted when this process ends, and delete those of processes that were killed."""
    for old in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        pid = old.name.removeprefix(_FOLDER_PREFIX).partition("-")[0]
        if not (pid.isdigit() and psutil.pid_exists(int(pid))):
            shutil.rmtree(old, ignore_errors=True)
    return tempfile.TemporaryDirectory(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-", ignore_cleanup_errors=True)


def _to_picklable_error(error: BaseException) -> BaseException:
    """An error of ours or of Python's with plain arguments as it is; any other as a `RuntimeError` with its text."""
    is_known = isinstance(error, StudioError | JobCancelled) or type(error).__module__ == "builtins"
    is_plain = all(isinstance(argument, str | int | float | None) for argument in error.args)
    return error if is_known and is_plain else RuntimeError(f"{type(error).__name__}: {error}")
