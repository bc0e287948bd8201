"""Many jobs at once as a Ray data set, for batches of thousands; knows no queue and nothing of what a job draws.

Each worker draws one row at a time and writes its end down on the store before it says so. So a worker that is lost,
and a driver that is, cost the rows in hand and no other.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pipelines.core.errors import QueueFull, StudioError
from pipelines.core.geometry import Image
from pipelines.core.job import Job, Result
from pipelines.core.stream import Stream, wait_for_result
from pipelines.engines.local import LocalEngine
from pipelines.engines.ray_cluster.cluster import environment
from pipelines.engines.ray_cluster.dataset_rows import Row, ended, handed, note, opened, settled
from pipelines.engines.ray_cluster.serve_engine import Size
from pipelines.engines.ray_cluster.transfer import Carrier
from pipelines.engines.ray_cluster.worker import Build, Notes, own_folder
from pipelines.models.model_cache import ModelCache
from pipelines.provenance.signing_key import SigningKey
from pipelines.security.audit_log import AuditLog
from pipelines.storage.file_index import FileIndex

Settle = Callable[[Job, "Result | None", "StudioError | None"], None]


class RayDataEngine:
    """No slot: a queue over it works nothing off itself. `near` is the engine of this process, which looks at pictures
    that come in; `url` is the store (any fsspec URL), by default a folder beside the studio's files.
    """

    name = "ray-data"
    slots = 0

    def __init__(
        self,
        near: LocalEngine,
        files: FileIndex,
        build: Build,
        size: Size,
        *,
        url: str = "",
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        self.steps = 0
        self._near = near
        self._files = files
        self._build = build
        self._size = size
        self._url = url.rstrip("/") or f"file://{(files.data / 'rows').resolve()}"
        self._carrier = Carrier(self._url)
        self._audit = AuditLog(files.data)
        self._closed = closed

    @property
    def cache(self) -> ModelCache:
        """That of this process: what workers hold is not told."""
        return self._near.cache

    def check_picture(self, image: Image, owner: str, sha256: str) -> None:
        """See `Engine.admit`."""
        self._near.check_picture(image, owner, sha256)

    def run(self, job: Job) -> Stream:
        """One job alone is not what a data set is for."""
        raise QueueFull("This engine works off whole batches.")

    def run_all(self, jobs: Sequence[Job], settle: Settle) -> Iterator[None]:
        """Each job once, in the order in which they end: `settle` is told of it when its files are in the studio.

        Raises `not_found`.
        """
        import ray.data
        from ray.data import ActorPoolStrategy, DataContext

        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = False
        by_key = {job.id: job for job in jobs}
        rows = [handed(job, self._files) for job in jobs]
        given = (self._build, self._near.seal.load_key(), self._url)
        hand: Any = Hand
        done = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            hand,
            fn_constructor_args=given,
            compute=ActorPoolStrategy(size=self._size.workers, max_tasks_in_flight_per_actor=2),
            num_cpus=self._size.cpus,
            num_gpus=self._size.gpus or None,
            runtime_env=environment(),
        )
        for told in done.iter_rows():
            job = by_key.pop(told["key"], None)
            if job is None:  # told twice
                continue
            for owner, what, inputs in told["refused"]:
                self._audit.record_refusal(what, owner, inputs)
            settle(job, *settled(job, told["ended"], self._files, self._carrier))
            self._carrier.clear(job.id)
            yield

    def describe_state(self) -> dict[str, Any]:
        """What runs here."""
        return {"engine": self.name, "device": None, "resident": []}

    def close(self) -> None:
        """Free every model."""
        self._near.close()
        self._closed()


class Hand:
    """A worker: an engine over a folder of its own."""

    def __init__(self, build: Build, pair: SigningKey, url: str) -> None:
        self._folder = own_folder()
        self._files = FileIndex(self._folder)
        self._notes = Notes(self._folder)
        self._engine = build(self._files, self._notes)
        self._engine.seal.use_key(pair)
        self._url, self._carrier = url, Carrier(url)

    def __call__(self, row: Row) -> dict[str, Any]:
        """Do a row, or find that it is done."""
        where = note(self._url, row["key"])
        text = self._carrier.found(where)
        if text is None:
            text = self._do(row)
            self._carrier.keep(where, text.encode())
        refused = [(each.owner, each.what, list(each.inputs)) for each in self._notes.taken]
        self._notes.taken.clear()
        return {"key": row["key"], "ended": text, "refused": refused}

    def _do(self, row: Row) -> str:
        job = opened(row, self._files, self._carrier).model_copy(update={"waited": True})
        stream = self._engine.run(job)
        stream.is_watched = False
        try:
            result = wait_for_result(stream)
        except StudioError as error:
            return ended(job, None, error, self._files, self._carrier)
        try:
            return ended(job, result, None, self._files, self._carrier)
        finally:
            for file in result.files:
                self._files.delete_file(file.id)

    def __del__(self) -> None:
        shutil.rmtree(getattr(self, "_folder", ""), ignore_errors=True)
