"""A batch over Ray Data whose workers write down what they draw, and a process that goes on with one until killed."""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pipelines.batch.batch_service import BatchOptions, BatchService, open_jobs_source
from pipelines.batch.batch_table import Batch
from pipelines.batch.bulk_runner import run_in_bulk
from pipelines.batch.row_values import BatchPlan
from pipelines.core import params as core_params
from pipelines.core.errors import BadInput
from pipelines.core.job import ProgressCallback
from pipelines.core.models import Profile
from pipelines.core.params import Params
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.engines.ray_cluster.cluster import join_cluster
from pipelines.engines.ray_cluster.engine import RayDataEngine, RayOptions
from pipelines.ingest.decoder_pool import DecoderPool
from pipelines.jobs.queue import JobQueue
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import ModelCache
from pipelines.security.audit_log import AuditLog
from pipelines.service.studio_service import StudioService
from pipelines.settings import Settings
from pipelines.storage.file_index import FileIndex
from tests.engines.support.ray_workers import check_no_process_left
from tests.support.batch_rows import OWNER, write_picture
from tests.support.gated_tool import UnfilteredEngine


class NoteParams(Params):
    """A photo, and a word that is written down."""

    photo: str = core_params.picture_field("Photo", "Any.", required=True)
    note: str = core_params.prompt_field("Note", "Words.")
    seed: int | None = core_params.seed_field()


def _run_note_tool(
    params: NoteParams, context: ToolContext, emit: ProgressCallback, journal: Path, pause: float
) -> ToolOutput:
    if params.note == "bad":
        raise BadInput("This row was asked for.", param="note")
    with journal.open("a") as file:
        file.write(f"{os.getpid()} {params.note}\n")
    time.sleep(pause)
    image = context.open_image(params.photo).copy()
    image[0, :2, 0] = np.frombuffer(context.seed.to_bytes(4, "little")[:2], np.uint8)
    return ToolOutput(images=(image,))


def make_note_tool(journal: Path, pause: float) -> Tool:
    """The row, id `note`."""
    return Tool("note", "Note", "For tests.", NoteParams, partial(_run_note_tool, journal=journal, pause=pause))


def make_note_engine(files: FileIndex, audit: AuditLog, journal: Path, pause: float) -> UnfilteredEngine:
    """What a worker holds."""
    return UnfilteredEngine(ModelCache(FAMILIES), files, (make_note_tool(journal, pause),))


def write_jobs_file(folder: Path, rows: int) -> Path:
    """A JSONL of so many rows about one photo, the last of which cannot be done."""
    write_picture(folder / "cup.png")
    asked = [{"photo": "cup.png", "note": f"row{n}", "seed": n} for n in range(rows - 1)]
    path = folder / "jobs.jsonl"
    path.write_text("\n".join(map(json.dumps, [*asked, {"photo": "cup.png", "note": "bad"}])), "utf-8")
    return path


def count_drawn(journal: Path) -> Counter[str]:
    """How often each row was begun to be drawn."""
    return Counter(line.split()[1] for line in read_lines(journal))


def read_lines(journal: Path) -> list[str]:
    """A line for each time that a row was begun."""
    return journal.read_text("utf-8").splitlines() if journal.exists() else []


def last_worker_pid(journal: Path) -> int:
    """The process that drew last."""
    return int(read_lines(journal)[-1].split()[0])


@dataclass
class BatchCluster:
    """Batches over the engine."""

    batches: BatchService
    engine: RayDataEngine
    files: FileIndex

    def find_or_create_batch(self, jobs: Path) -> Batch:
        """The batch of this folder, made where there is none."""
        known = self.batches.list_batches(OWNER, 1)
        if known:
            return known[0]
        found = open_jobs_source(jobs, self.batches.service, "note")
        return self.batches.create_batch(
            BatchPlan("note", {}),
            found.read_rows(),
            OWNER,
            BatchOptions(name=found.name, seed=7, source=found.pictures),
        )

    def run_batch(self, batch: Batch, told: Callable[[], object] = lambda: None) -> None:
        """Every row that waits."""
        self.batches.start(batch.id)
        run_in_bulk(self.batches, self.engine, told)


@contextmanager
def start_batch_cluster(root: Path, journal: Path, *, pause: float = 0.0, workers: int = 2) -> Iterator[BatchCluster]:
    """A service over a cluster of its own; no process of it is left."""
    files, tools = FileIndex(root), (make_note_tool(journal, pause),)
    with check_no_process_left(), warnings.catch_warnings():  # Ray's own modules use what others deprecate
        warnings.simplefilter("ignore")
        local = UnfilteredEngine(ModelCache(FAMILIES), files, tools)
        build_engine, options = partial(make_note_engine, journal=journal, pause=pause), RayOptions(workers, cpus=0.5)
        made = RayDataEngine(join_cluster(root, workers), local, files, build_engine, options)
        jobs, ingest = JobQueue(root, made), DecoderPool(workers=1)
        service = StudioService(Settings(data=root), jobs, files, Profile("embedded", {}, "Embedded"), ingest, tools)
        try:
            yield BatchCluster(BatchService(service), made, files)
        finally:
            jobs.close()
            ingest.close()
            files.close()


def run_until_done(root: Path, jobs: Path, journal: Path, pause: float) -> None:
    """Go on with the batch until it is done."""
    with start_batch_cluster(root, journal, pause=pause) as here:
        here.run_batch(here.find_or_create_batch(jobs))


if __name__ == "__main__":
    run_until_done(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
