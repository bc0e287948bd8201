"""Workers of a Ray cluster, a Serve deployment for each device; knows no queue, and nothing of what a job draws.

A job goes where its models lie, as between several GPUs of one process. Its worker holds a `LocalEngine`; pictures,
steps and the result cross (`crossing`). A worker that is lost is found out by Serve, which starts it anew; its job
begins again on another, or on the same once it is back, on the same stream.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pipelines.core.errors import JobCancelled, QueueFull, StudioError
from pipelines.core.geometry import Image
from pipelines.core.job import Job, Result, Step
from pipelines.core.stream import Stream
from pipelines.engines.local import LocalEngine
from pipelines.engines.multi_gpu import CombinedModels
from pipelines.engines.ray_cluster.cluster import environment
from pipelines.engines.ray_cluster.transfer import Carrier, Ended, pack_order, unpack
from pipelines.engines.ray_cluster.worker import Build, Replica
from pipelines.engines.ray_cluster.worker_client import BEAT, FULL, Worker, lost
from pipelines.engines.scheduler import DeviceReservations
from pipelines.models.devices import Machine
from pipelines.security.audit_log import AuditLog
from pipelines.storage.file_index import FileIndex

LOST = "Worker lost, starting again"
TRIES = 5
"""A job that loses so many workers is not begun again: it may be what they die of."""
DIED = f"The worker of this job was lost {TRIES} times. The job may need more memory than a worker has."

log = logging.getLogger("designerbox")


@dataclass(frozen=True)
class Size:
    """How many workers and what each takes. `idle`: one that did nothing for so many seconds goes (0: never), and comes
    back with its next job. `waiting`: calls that Serve holds for one worker before it refuses more.
    """

    workers: int
    gpus: float = 0.0
    cpus: float = 1.0
    idle: float = 0.0
    waiting: int = 8


class RayEngine:
    """As many slots as workers.

    near: the engine of this process, which looks at pictures that come in. build: makes the engine of a worker, there.
    url: see `Carrier`. name: of this studio's workers on the cluster. kind: the class of a worker.
    """

    name = "ray"

    def __init__(
        self,
        near: LocalEngine,
        files: FileIndex,
        build: Build,
        size: Size,
        *,
        url: str = "",
        name: str = "designerbox",
        kind: type[Replica] = Replica,
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        self.slots = size.workers
        self._near = near
        self.files = files
        self._carrier = Carrier(url)
        self._audit = AuditLog(files.data)
        self._closed = closed
        self._size = size
        self._apps = [f"{name}-{n}" for n in range(size.workers)]
        handles = _deployed(self._apps, kind, (build, near.seal.load_key(), url), size)
        self.workers = tuple(Worker(handle, size.idle) for handle in handles)
        self.cache = CombinedModels(self.workers)
        self._turns = DeviceReservations(lambda: [worker.place() for worker in self.workers])
        self._greeters = ThreadPoolExecutor(size.workers, thread_name_prefix="ray")
        for worker in self.workers:
            self._greeters.submit(worker.greet)

    @property
    def steps(self) -> int:
        """Steps of work done since the start, as far as it was told."""
        return sum(worker.steps for worker in self.workers)

    def busy(self) -> dict[int, str]:
        """The number of each worker that is at work, and its job."""
        return self._turns.reserved_jobs()

    def machine(self) -> Machine:
        """What the first worker that comes up computes with; waits for it."""
        while True:
            for worker in self.workers:
                if worker.state is not None:
                    return worker.state.machine
            time.sleep(BEAT / 10)

    def choose_job(self, line: list[Job]) -> str | None:
        """See `Turns.choose`."""
        return self._turns.reserve_next(line)

    def release_choice(self, job_id: str) -> None:
        """See `Turns.forget`."""
        self._turns.release(job_id)

    def check_picture(self, image: Image, owner: str, sha256: str) -> None:
        """See `Engine.admit`; the worker looks again, for it trusts no order."""
        self._near.check_picture(image, owner, sha256)

    def run(self, job: Job) -> Stream:
        """Start `job` at once on the worker kept for it, else on the best that is free. Raises `Busy`."""
        place = self._turns.reserve_for(job)
        if place is None:
            raise QueueFull(FULL)
        return Stream.run_in_thread(lambda stream: self._work(place, job, stream))

    def _work(self, place: int | None, job: Job, stream: Stream) -> Result:
        try:
            for _ in range(TRIES):
                place = self._place(job, stream) if place is None else place
                ended = self._ended(self.workers[place], job, stream)
                if ended is not None:
                    return self._settled(ended, job)
                stream.put(Step(0, 1, LOST))
                self._turns.release(job.id)
                place = None
            raise StudioError(DIED)
        finally:
            self._turns.release(job.id)
            self._carrier.clear(job.id)

    def _place(self, job: Job, stream: Stream) -> int:
        """A worker for a job that lost its own, as soon as there is one. Raises `Cancelled`."""
        while (place := self._turns.reserve_for(job)) is None:
            if stream.close_requested.wait(BEAT / 10):
                raise JobCancelled
        return place

    def _ended(self, worker: Worker, job: Job, stream: Stream) -> Ended | None:
        """Follow `job` on `worker` to its end; None where the worker was lost."""
        order = pack_order(job, self.files, self._carrier, watched=stream.is_watched)
        since, loads = time.monotonic(), worker.loads
        try:
            ended = worker.follow(order, stream)
            if worker.loads == loads:
                self._turns.record_seconds(time.monotonic() - since)
            return ended
        except lost() as error:
            if stream.close_requested.is_set():
                raise JobCancelled from error
            log.warning("a worker was lost: %s", str(error).splitlines()[0])
            worker.lose()
            self._greeters.submit(worker.greet)
            return None

    def _settled(self, ended: Ended, job: Job) -> Result:
        for refusal in ended.refusals:
            self._audit.record_refusal(refusal.what, refusal.owner, refusal.inputs)
        if ended.error is not None:
            if not isinstance(ended.error, StudioError | JobCancelled):
                log.error("job %s broke on its worker:\n%s", job.id, ended.trace)
            raise ended.error
        assert ended.result is not None
        for kept in ended.files:
            unpack(kept, self.files, self._carrier, job.owner, later=job.waited)
        return ended.result

    def describe_state(self) -> dict[str, Any]:
        """What runs where: its name, the workers' devices, the models loaded on any of them."""
        resident = [row["id"] for row in self.cache.resident_models()]
        return {"engine": self.name, "device": self.cache.device or None, "resident": resident}

    def close(self) -> None:
        """End the workers. Again: nothing."""
        from ray import serve

        if all(worker.closed.is_set() for worker in self.workers):
            return
        for worker in self.workers:
            worker.closed.set()
        self._greeters.shutdown(cancel_futures=True)
        for app in self._apps:
            serve.delete(app, _blocking=False)
        self._near.close()
        self._closed()


def _deployed(apps: list[str], kind: type[Replica], given: tuple[Any, ...], size: Size) -> list[Any]:
    """Handles of the workers, which come up meanwhile."""
    from ray import serve

    actor = {"num_cpus": size.cpus, "num_gpus": size.gpus, "runtime_env": environment()}
    options: dict[str, Any] = {
        "ray_actor_options": actor, "max_ongoing_requests": 4, "max_queued_requests": size.waiting,
        "health_check_period_s": 2, "health_check_timeout_s": 60, "graceful_shutdown_timeout_s": 5,
    }  # fmt: skip
    if size.idle:
        options["autoscaling_config"] = {
            "min_replicas": 0, "initial_replicas": 1, "max_replicas": 1, "target_ongoing_requests": 1,
            "upscale_delay_s": 0, "downscale_delay_s": size.idle, "downscale_to_zero_delay_s": size.idle,
        }  # fmt: skip
    deployment: Any = serve.deployment(kind)
    targets = [
        serve.RunTarget(deployment.options(name=app, **options).bind(*given), name=app, route_prefix=None)
        for app in apps
    ]
    return serve.run_many(targets, wait_for_applications_running=False)
