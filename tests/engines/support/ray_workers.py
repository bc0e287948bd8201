"""A Ray cluster of this machine for tests, its workers with a tool that waits, and what is done inside a worker."""

from __future__ import annotations

import importlib.util
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
import pytest

from pipelines.core.job import ProgressCallback
from pipelines.core.models import ModelFamily
from pipelines.core.params import Params, picture_field
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.engines.local import LocalEngine
from pipelines.engines.ray_cluster.cluster import join_cluster
from pipelines.engines.ray_cluster.engine import RayEngine, RayOptions
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import ModelCache
from pipelines.security.audit_log import AuditLog
from pipelines.storage.file_index import FileIndex
from pipelines.tools import TOOLS
from tests.support.gated_tool import Gate
from tests.support.served_app import wait_until

T = TypeVar("T")
MISSING = importlib.util.find_spec("ray") is None
needs_ray = pytest.mark.skipif(MISSING, reason="Ray is not installed: pip install -r requirements-ray.txt")
START_TIMEOUT_SECONDS = 300.0
"""Seconds that a worker may take to come up where other tests have the cores."""


class MirrorParams(Params):
    """One picture."""

    photo: str = picture_field("Photo", "What to mirror.", required=True)


def run_mirror_tool(params: MirrorParams, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    return ToolOutput(images=(np.ascontiguousarray(context.open_image(params.photo)[:, ::-1]),))


MIRROR = Tool("mirror", "Mirror", "For tests.", MirrorParams, run_mirror_tool)


def build_engine(
    files: FileIndex, audit: AuditLog, *, families: Sequence[ModelFamily] = (), pause: float = 0.0
) -> LocalEngine:
    """What a worker holds: the real tools, one that mirrors, one that takes `pause` seconds a step."""
    tools = (*TOOLS, Gate(pause=pause).make_tool(), MIRROR)
    return LocalEngine(ModelCache((*FAMILIES, *families)), files, tools, audit=audit)


@contextmanager
def start_ray_engine(
    root: Path,
    files: FileIndex,
    options: RayOptions,
    build: Callable[[FileIndex, AuditLog], LocalEngine] = build_engine,
) -> Iterator[RayEngine]:
    """An engine over a cluster of its own, all workers up; no process of it is left."""
    local = LocalEngine(ModelCache(FAMILIES), files)
    with check_no_process_left():
        with warnings.catch_warnings():  # Ray's own modules use what pydantic deprecates
            warnings.simplefilter("ignore")
            made = RayEngine(join_cluster(root, options.worker_count), local, files, build, options)
        try:
            wait_until(lambda: all(worker.is_connected for worker in made.workers), START_TIMEOUT_SECONDS)
            yield made
        finally:
            made.close()


@contextmanager
def check_no_process_left() -> Iterator[None]:
    """No process of Ray that was started inside outlives it."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    end = time.monotonic() + 30
    while left := _find_left_processes(before):
        assert time.monotonic() < end, left
        time.sleep(0.05)


def _find_left_processes(before: set[int]) -> list[str]:
    return [
        line
        for child in psutil.Process().children(recursive=True)
        if child.pid not in before and any(part in (line := _command_line(child)) for part in ("ray::", "/ray/"))
    ]


def _command_line(process: psutil.Process) -> str:
    """What runs there, "" where it has ended."""
    try:
        return "" if process.status() == psutil.STATUS_ZOMBIE else " ".join(process.cmdline())
    except psutil.Error:
        return ""


def call_in_workers(made: RayEngine, call: Callable[[LocalEngine], T]) -> list[T]:
    """What `call` gives in each worker."""
    import ray

    return [ray.get(worker.actor.apply.remote(call))[0] for worker in made.workers]


def find_busy_workers(made: RayEngine) -> dict[int, str]:
    """The job of each worker that has one."""
    return {device: job_id for job_id, (_, device) in made._reservations._reserved.items()}


def kill_worker(made: RayEngine, number: int) -> None:
    """`kill -9` of a worker."""
    with suppress(ProcessLookupError):  # it was killed while it was idle, and nobody called it since
        os.kill(made.workers[number].pid, 9)


# ---------------------------------------------------------------- inside a process that draws


def refuse_everything(held: LocalEngine) -> None:
    """From here on the content gate takes offence at everything."""
    held.resources.content_filter._highest_score = lambda images: 1.0


def judge_again(held: LocalEngine) -> None:
    """As before."""
    del held.resources.content_filter._highest_score


def call_with_model(call: Callable[[Any], T], held: LocalEngine) -> T:
    """What `call` gives for the tiny checkpoint."""
    with held.cache.borrow_model("tiny-sd") as model:
        return call(model)


def call_with_models(made: RayEngine, call: Callable[[Any], T]) -> list[T]:
    """The same in each worker."""
    return call_in_workers(made, partial(call_with_model, call))


def slow_down_steps(model: Any) -> None:
    """Each step takes a while, and is counted."""
    model.counted = []
    model.hook = model.pipe.unet.register_forward_hook(lambda *_: model.counted.append(time.sleep(0.15)))


def count_and_speed_up_steps(model: Any) -> int:
    """As before; the steps that were counted."""
    model.hook.remove()
    return len(model.counted)


def run_out_of_memory(model: Any) -> None:
    """From here on memory gives out."""
    model.draw = _raise_memory_error


def restore_memory(model: Any) -> None:
    """As before."""
    del model.draw


def _raise_memory_error(*_: object) -> None:
    raise MemoryError
