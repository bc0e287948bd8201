"""A light tool for rows of a batch, a studio with it, and a process that runs a batch until somebody kills it."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Literal

import numpy as np
import PIL.Image

from pipelines.batch.batch_service import BatchOptions, BatchService, open_jobs_source
from pipelines.batch.batch_table import Batch
from pipelines.batch.row_values import BatchPlan
from pipelines.core import params as core_params
from pipelines.core.errors import BadInput, StudioError
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from tests.support.gated_tool import UnfilteredEngine
from tests.support.real_studio import EMPTY_PROFILE, RealStudio

OWNER = "local"


class TintParams(Params):
    """One field of each kind that a table can hold."""

    photo: str = core_params.picture_field("Photo", "Any.", required=True)
    extras: tuple[str, ...] = core_params.pictures_field("More photos", "Any.", min_count=0, max_count=3)
    note: str = core_params.prompt_field("Note", "Words.", max_length=300)
    level: float = core_params.number_field("Level", "How much.", 0.5, ge=0, le=1, step=0.01)
    look: Literal["warm", "cold"] = core_params.choice_field("Look", "Which.", "warm")
    keep: bool = core_params.flag_field("Keep", "Whether.")
    seed: int | None = core_params.seed_field()


@dataclass
class TintTool:
    """How the tool behaves: seconds a row takes, errors to raise next, whether it lets a missing face pass."""

    pause: float = 0.0
    errors: list[StudioError] = None  # pyrefly: ignore[bad-assignment]
    notes_run: list[str] = None  # pyrefly: ignore[bad-assignment]
    accepts_missing_face: bool = False

    def __post_init__(self) -> None:
        self.errors, self.notes_run = [], []

    def make_tool(self) -> Tool:
        """The row, id `tint`."""
        return Tool("tint", "Tint", "For tests.", TintParams, self._run)

    def _run(self, params: TintParams, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
        self.notes_run.append(params.note)
        photo = context.open_image(params.photo)
        for n in range(4):
            time.sleep(self.pause / 4)
            emit("Tinting", n + 1, 4, photo)
        if params.note == "no face" and not self.accepts_missing_face:
            raise BadInput("No face was found.", code="no_face", param="photo")
        if self.errors:
            raise self.errors.pop(0)
        image = photo.copy()
        image[0, :3, 0] = np.frombuffer(context.seed.to_bytes(4, "little")[:3], np.uint8)
        return ToolOutput(images=(image,))


class BatchStudio(RealStudio):
    """A studio with the light tool, or `tools`, and its batches."""

    def __init__(self, root: Path, *, tools: Sequence[Tool] | None = None, pause: float = 0.0) -> None:
        self.tint = TintTool(pause)
        rows = (self.tint.make_tool(),) if tools is None else tuple(tools)
        super().__init__(root, rows, profile=EMPTY_PROFILE, engine=UnfilteredEngine, owner=OWNER)
        self.batches = BatchService(self.service)

    def create_batch(self, path: Path, tool: str = "tint", **shared: core_params.JSON) -> Batch:
        """A batch of the jobs file at `path`, ready to start."""
        jobs = open_jobs_source(path, self.service, tool)
        return self.batches.create_batch(
            BatchPlan(tool, shared), jobs.read_rows(), OWNER, BatchOptions(name=jobs.name, seed=7, source=jobs.pictures)
        )

    def wait_for_batch(self, batch: Batch, seconds: float = 20.0) -> str:
        """The state that the batch comes to rest in."""
        end = time.monotonic() + seconds
        while (state := self.batches.get_batch(batch.id, OWNER).state) == "running":
            assert time.monotonic() < end, self.batches.get_progress(batch.id)
            time.sleep(0.02)
        return state


def write_picture(path: Path, level: int = 100, side: int = 40) -> Path:
    """A small photo on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.linspace(0, level, side * side * 3).reshape(side, side, 3)
    PIL.Image.fromarray(ramp.astype(np.uint8)).save(path)
    return path


def write_file(path: Path, data: str | bytes) -> Path:
    """A file with this content, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def pack_zip(path: Path, entries: dict[str, bytes]) -> Path:
    """A ZIP with these entries."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in entries.items():
            out.writestr(name, data)
    return path


def run_batch_process(root: Path, jobs: Path, pause: float, is_up: Event) -> None:
    """Begin the batch, or go on with it, until it is done; sets `is_up` once it works."""
    with BatchStudio(root, pause=pause) as here:
        known = here.batches.list_batches(OWNER, 1)
        batch = known[0] if known else here.create_batch(jobs)
        here.batches.start(batch.id)
        is_up.set()
        here.wait_for_batch(batch, 300)
