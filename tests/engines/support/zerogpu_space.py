"""A Space with ZeroGPU in miniature, run as a program: the real `spaces` package forks, over a device that is made up.

`python -m tests.engines.support.zerogpu_space FOLDER` prints one JSON object of what was seen. The device layer of
`spaces` (what it does to torch) and the service that lends GPUs are replaced; its decorator, its forked worker and its
queues are the real ones.
"""

from __future__ import annotations

import json
import os
import sys
import time
import types
import uuid
from pathlib import Path
from typing import Any

CALLS: list[str] = []


def run_space(folder: Path) -> dict[str, Any]:
    """Draw here and where the GPU is lent, cancel, fail, and have no GPU; what came of each."""
    _make_up_device()
    import torch

    from pipelines.core.errors import JobCancelled, StudioError
    from pipelines.core.job import Job, Step
    from pipelines.core.stream import wait_for_result
    from pipelines.engines import zerogpu
    from pipelines.engines.local import LocalEngine
    from pipelines.engines.zerogpu import ZeroGpuEngine
    from pipelines.models.families import FAMILIES
    from pipelines.models.families.stable_diffusion import StableDiffusionFamily
    from pipelines.models.model_cache import ModelCache
    from pipelines.storage.file_index import FileIndex
    from tests.models.support.tiny_checkpoints import tiny_sd, tiny_spec

    torch.set_num_threads(1)  # threads of OpenMP do not come along into a forked process
    files = FileIndex(folder)
    family = StableDiffusionFamily((tiny_spec("tiny-sd", tiny_sd(folder / "tiny-sd"), steps=4, guidance=5.0),))

    def job(**params: Any) -> Job:
        return Job(
            id=f"job-{uuid.uuid4().hex}",
            tool="background",
            params={"prompt": "a harbour", "size": 256, **params},
            seed=3,
            profile="tiny",
            specs={"backdrop": "tiny-sd", "matte": "u2netp"},
            owner="me",
            created=time.time(),
        )

    engine = ZeroGpuEngine(ModelCache((*FAMILIES, family)), files, placed=("tiny-sd",), device="cpu")
    assert zerogpu.is_zerogpu_space()
    seen: dict[str, Any] = {"lent_pids": []}
    events = list(engine.run(job()))
    seen["previews"] = sum(isinstance(event, Step) and event.preview is not None for event in events)
    seen["sha256"] = events[-1].files[0].pixels_sha256  # pyright: ignore[reportAttributeAccessIssue]

    stream = engine.run(job(variations=4))
    next(event for event in stream if isinstance(event, Step) and event.stage == "Setting the scene")
    stream.close()
    try:
        wait_for_result(stream)
    except JobCancelled:
        seen["cancelled"] = True
    seen["after"] = wait_for_result(engine.run(job())).files[0].pixels_sha256

    model: Any = zerogpu._PLACED_MODELS["tiny-sd"]
    model.draw, kept = _raise_full, model.draw
    _restart_worker()
    seen["full"] = _read_error_text(lambda: wait_for_result(engine.run(job())), StudioError)
    model.draw = kept
    _restart_worker()
    LentDevice.quota = 0
    seen["no_gpu"] = _read_error_text(lambda: wait_for_result(engine.run(job())), StudioError)
    engine.close()

    near = LocalEngine(ModelCache((*FAMILIES, family)), files)
    seen["local"] = wait_for_result(near.run(job())).files[0].pixels_sha256
    near.close()
    return {**seen, "calls": CALLS, "pid": os.getpid(), "allowed": sorted(LentDevice.allowed(folder))}


class LentDevice:
    """The service that lends: counts, and says no once the quota is used up."""

    quota = 100
    index = 0

    @staticmethod
    def allowed(folder: Path) -> set[int]:
        """Process ids that took up a GPU."""
        return {int(line) for line in (folder / "pids").read_text().split()}


def _make_up_device() -> None:
    """`spaces` as on such a Space; what it does to torch is nothing, since no GPU is here."""
    layer: Any = types.ModuleType("spaces.zero.torch")
    for name in ("enter_mode", "patch", "unpatch", "init", "move"):
        setattr(layer, name, lambda *_, name=name, **__: CALLS.append(name))
    layer.pack = layer.size = lambda *_, **__: 0
    layer.is_in_bad_fork = lambda: False
    sys.modules["spaces.zero.torch"] = layer
    import gradio  # noqa: F401  first, as `spaces` wants it
    from spaces.zero import client
    from spaces.zero.api import ScheduleResponse
    from spaces.zero.gradio import error

    def schedule(**asked: Any) -> Any:
        if LentDevice.quota <= 0:
            raise error("ZeroGPU quota exceeded", "Space app has reached its <b>GPU limit</b>.")
        LentDevice.quota -= 1
        CALLS.append(f"schedule {asked['duration'].seconds}")
        return ScheduleResponse(idle=True, nvidiaIndex=LentDevice.index, nvidiaUUID="GPU-0", allowToken="token")

    def allow(token: str) -> None:
        with (Path(sys.argv[1]) / "pids").open("a") as file:
            file.write(f"{os.getpid()}\n")

    patched: Any = client
    patched.schedule, patched.allow = schedule, allow
    patched.release = lambda *_, **__: CALLS.append("release")


def _restart_worker() -> None:
    """The next call is answered by a process forked now, as when a Space lends another GPU."""
    LentDevice.index += 1


def _raise_full(*_: object) -> None:
    raise MemoryError


def _read_error_text(work: Any, kind: type[Exception]) -> str:
    try:
        work()
    except kind as error:
        return f"{getattr(error, 'code', '')}: {error}"
    return ""


if __name__ == "__main__":
    print(json.dumps(run_space(Path(sys.argv[1]))))  # noqa: T201
