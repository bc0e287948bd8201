"""Engines of a Ray cluster with a worker for each device: one for single jobs, one for batches of thousands of rows.

A worker runs a `LocalEngine`; pictures, steps and outcomes cross the network (`transfer`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from pipelines.core.errors import BUG_MESSAGE, JobCancelled, QueueFull, StudioError
from pipelines.core.geometry import Image
from pipelines.core.job import Job, Result, Step
from pipelines.core.stream import Stream
from pipelines.engines.local import LocalEngine
from pipelines.engines.multi_gpu import ScheduledEngine
from pipelines.engines.ray_cluster.cluster import Cluster, runtime_environment
from pipelines.engines.ray_cluster.transfer import (
    JOB_PACKAGE_ADAPTER,
    FileTransport,
    JobOutcome,
    JobPackage,
    list_picture_ids,
    outcome_from_json,
)
from pipelines.engines.ray_cluster.worker import EngineBuilder, RayWorker
from pipelines.engines.ray_cluster.worker_client import POLL_SECONDS, WorkerClient, lost_errors
from pipelines.jobs.failure_sentences import describe_outcome
from pipelines.security.audit_log import AuditLog
from pipelines.storage.file_index import FileIndex

LOST_STAGE = "A machine dropped out, starting again"
MAX_TRY_COUNT = 5  # Times that a job is started. One that loses so many workers may be what they die of.
DIED_MESSAGE = f"The worker of this job was lost {MAX_TRY_COUNT} times. The job may need more memory than a worker has."

log = logging.getLogger("designerbox")


@dataclass(frozen=True)
class RayOptions:
    """The workers: how many, what each takes of the cluster, when an idle one ends (0: never), and the store's URL."""

    worker_count: int
    gpus: float = 0.0
    cpus: float = 1.0
    idle_seconds: float = 0.0
    store_url: str = ""


class RayEngine(ScheduledEngine):
    """Runs single jobs, one on each worker. `local` is the engine of this process, which checks incoming pictures.

    If a worker is lost, its job starts again on another one, or on the same once it is back, on the same stream.
    """

    name = "ray"

    def __init__(
        self, cluster: Cluster, local: LocalEngine, files: FileIndex, build_engine: EngineBuilder, options: RayOptions
    ) -> None:
        key = local.resources.signing_keys.load_key()
        self.slots = options.worker_count
        self._cluster = cluster
        self._local = local
        self._transport = FileTransport(files, options.store_url)
        self._audit = AuditLog(files.data)
        self._worker_arguments = build_engine, key, options.store_url
        start = partial(cluster.start_actor, RayWorker, self._worker_arguments, cpus=options.cpus, gpus=options.gpus)
        self.workers = tuple(WorkerClient(start, options.idle_seconds) for _ in range(self.slots))
        super().__init__(self.workers, self.workers, lambda: [worker.device_state() for worker in self.workers])
        self._connectors = ThreadPoolExecutor(max(self.slots, 1), thread_name_prefix="ray")
        for worker in self.workers:
            self._connectors.submit(worker.connect)

    def check_picture(self, image: Image, owner: str, sha256: str) -> None:
        """See `Engine.check_picture`. The worker checks it again, since it does not trust its caller."""
        self._local.check_picture(image, owner, sha256)

    def run(self, job: Job) -> Stream:
        """Start `job` on the worker reserved for it, else on the best free one. Raises `QueueFull`."""
        if self._reservations.reserve_for(job) is None:
            raise QueueFull("Every worker is at work. Please try again in a moment.")
        return Stream.run_in_thread(lambda stream: self._run_with_retries(job, stream))

    def _run_with_retries(self, job: Job, stream: Stream) -> Result:
        try:
            for _ in range(MAX_TRY_COUNT):
                while (worker := self._reservations.reserve_for(job)) is None:
                    if stream.close_requested.wait(POLL_SECONDS / 10):
                        raise JobCancelled
                outcome = self._run_on_worker(self.workers[worker], job, stream)
                if outcome is not None:
                    self._import_outcome(outcome, job)
                    if outcome.result is None:
                        raise outcome.error or JobCancelled()
                    return outcome.result
                stream.put(Step(0, 1, LOST_STAGE))
                self._reservations.release(job.id)
            raise StudioError(DIED_MESSAGE)
        finally:
            self._reservations.release(job.id)
            self._transport.delete_job(job.id)

    def _run_on_worker(self, worker: WorkerClient, job: Job, stream: Stream) -> JobOutcome | None:
        """The outcome of `job`, None if the worker was lost."""
        inputs = self._transport.pack_files(list_picture_ids(job), job)
        start, loads = time.monotonic(), worker.load_counts
        try:
            outcome = worker.run(job, inputs, stream)
        except lost_errors() as error:
            if stream.close_requested.is_set():
                raise JobCancelled from error
            log.warning("a worker was lost: %s", str(error).splitlines()[0])
            worker.mark_lost()
            self._connectors.submit(worker.connect)
            return None
        if worker.load_counts == loads:
            self._reservations.record_warm_job_seconds(time.monotonic() - start)
        return outcome

    def _import_outcome(self, outcome: JobOutcome, job: Job) -> None:
        """Import the files of `outcome` and log what it reports."""
        for refusal in outcome.refusals:
            self._audit.record_refusal(*refusal)
        if not isinstance(outcome.error, StudioError | JobCancelled | None):
            log.error("job %s broke on its worker:\n%s", job.id, outcome.trace)
        self._transport.unpack_files(outcome.files, job)

    def close(self) -> None:
        """End the workers and leave the cluster."""
        for worker in self.workers:
            worker.close()
        self._connectors.shutdown(cancel_futures=True)
        self._local.close()
        self._cluster.close()


class RayDataEngine(RayEngine):
    """Runs whole batches as one Ray data set and has no slot for single jobs.

    A worker writes each outcome to the store, by default a folder beside the studio's files, before it returns it. A
    worker or a driver that is lost therefore costs the rows in progress and no others.
    """

    name = "ray-data"

    def __init__(
        self, cluster: Cluster, local: LocalEngine, files: FileIndex, build_engine: EngineBuilder, options: RayOptions
    ) -> None:
        url = options.store_url or f"file://{(files.data / 'rows').resolve()}"
        super().__init__(cluster, local, files, build_engine, replace(options, worker_count=0, store_url=url))
        self._options = options

    def run_all(
        self, jobs: Sequence[Job], finish_row: Callable[[Job, Result | None, StudioError | None], None]
    ) -> Iterator[None]:
        """Run each job once and call `finish_row` in the order in which they end. Raises `NotFound` for a picture."""
        import ray.data

        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = False
        jobs_by_id = {job.id: job for job in jobs}
        inputs = [self._transport.pack_files(list_picture_ids(job), job, by_path=True) for job in jobs]
        rows = [{"package": JOB_PACKAGE_ADAPTER.dump_json(JobPackage(*row))} for row in zip(jobs, inputs, strict=True)]
        processed = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            cast(Any, RayWorker),
            fn_constructor_args=self._worker_arguments,
            compute=ray.data.ActorPoolStrategy(size=self._options.worker_count, max_tasks_in_flight_per_actor=2),
            num_cpus=self._options.cpus,
            num_gpus=self._options.gpus or None,
            runtime_env=runtime_environment(),
        )
        for row in processed.iter_rows():
            job_id, outcome = outcome_from_json(row["outcome"])
            job = jobs_by_id.pop(job_id, None)
            if job is None:  # Ray may process a row twice
                continue
            self._import_outcome(outcome, job)
            _, error = describe_outcome(job.id, outcome.result, outcome.error)
            # Nobody cancels a single row of a bulk run: if a worker was told to stop, the row failed.
            failure = error if error is None or isinstance(error, StudioError) else StudioError(BUG_MESSAGE)
            finish_row(job, outcome.result, failure)
            self._transport.delete_job(job.id)
            yield
