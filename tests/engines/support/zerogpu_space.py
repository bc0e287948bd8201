"""A Space with ZeroGPU in miniature, in a process of its own: the real `spaces` package forks, over a made-up device.

The device layer of `spaces` (what it does to torch) is replaced, and the service that lends GPUs is one on this
machine; its client, its decorator, its forked worker and its queues are the real ones.
"""

from __future__ import annotations

import gc
import http.server
import json
import multiprocessing
import os
import sys
import threading
import time
import types
import urllib.parse
import uuid
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

CALLS: list[str] = []
SPACE_TIMEOUT_SECONDS = 120


def run_space(folder: Path) -> dict[str, Any]:
    """Run the Space in a process that is forked here, since importing torch, diffusers and Gradio anew takes 10 s."""
    from tests.models.support.tiny_checkpoints import tiny_sd

    tiny_sd(folder / "tiny-sd")  # here, where what it imports stays
    seen = folder / "seen.json"
    space = multiprocessing.get_context("fork").Process(target=_write_what_is_seen, args=(folder, seen))
    space.start()
    space.join(SPACE_TIMEOUT_SECONDS)
    space.kill()
    space.join()
    assert space.exitcode == 0
    return json.loads(seen.read_text("utf-8"))


def _write_what_is_seen(folder: Path, seen: Path) -> None:
    warnings.simplefilter("ignore")
    os.environ["SPACES_ZERO_GPU"] = "true"
    for name in [name for name in sys.modules if name.split(".")[0] == "spaces"]:
        del sys.modules[name]  # it reads the environment once, as it is imported
    seen.write_text(json.dumps(_use_space(folder)), "utf-8")


def _use_space(folder: Path) -> dict[str, Any]:
    """Draw here and where the GPU is lent, cancel, fail, and have no GPU; what came of each."""
    _make_up_device(folder)
    import torch

    from pipelines.core.errors import JobCancelled, StudioError
    from pipelines.core.job import Job, Step
    from pipelines.core.stream import wait_for_result
    from pipelines.engines import zerogpu
    from pipelines.engines.local import LocalEngine
    from pipelines.engines.zerogpu import ZeroGpuEngine
    from pipelines.models.diffusion.loader import CheckpointFamily
    from pipelines.models.families import FAMILIES
    from pipelines.models.families.stable_diffusion import StableDiffusionModel
    from pipelines.models.model_cache import ModelCache
    from pipelines.storage.file_index import FileIndex
    from tests.models.support.tiny_checkpoints import tiny_spec

    _renew_what_does_not_fork()
    gc.freeze()  # else each model that is closed has the objects of all these modules looked through
    torch.set_num_threads(1)  # threads of OpenMP do not come along into a forked process
    files = FileIndex(folder)
    family = CheckpointFamily(StableDiffusionModel, (tiny_spec("tiny-sd", folder / "tiny-sd", steps=2, guidance=5.0),))

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
    with as_visitor("the-visitors-token"):
        ordered = job()
        engine.keep_visitor(ordered.id)
    events = list(engine.run(ordered))
    seen["previews"] = sum(isinstance(event, Step) and event.preview is not None for event in events)
    seen["sha256"] = events[-1].files[0].pixels_sha256  # pyrefly: ignore[missing-attribute]

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
    with as_visitor("the-visitors-token"):
        engine.keep_visitor((ordered := job()).id)
    seen["used_up"] = _read_error_text(lambda: wait_for_result(engine.run(ordered)), StudioError)
    seen["together"] = _count_at_once(engine, job)
    engine.close()

    near = LocalEngine(ModelCache((*FAMILIES, family)), files)
    seen["local"] = wait_for_result(near.run(job())).files[0].pixels_sha256
    near.close()
    return {
        **seen,
        "calls": CALLS,
        "pid": os.getpid(),
        "tokens": LentDevice.tokens,
        "allowed": sorted(LentDevice.allowed()),
    }


def _count_at_once(engine: Any, job: Any) -> int:
    """How many jobs of different visitors ask for a GPU at the same time."""
    LentDevice.quota, LentDevice.meeting = 100, threading.Barrier(4)
    streams = []
    for number in range(4):
        with as_visitor(f"token-{number}"):
            engine.keep_visitor((ordered := job()).id)
        streams.append(engine.run(ordered))
    for stream in streams:
        list(stream)
    return 0 if LentDevice.meeting.broken else engine.slots


@contextmanager
def as_visitor(token: str) -> Iterator[None]:
    """An event of the page, as Gradio lets its handlers see the request."""
    import gradio
    from gradio.context import LocalContext
    from starlette.requests import Request

    scope = {"type": "http", "headers": [(b"x-ip-token", token.encode())]}
    reset = LocalContext.request.set(gradio.Request(Request(scope)))
    yield
    LocalContext.request.reset(reset)


class LentDevice(http.server.BaseHTTPRequestHandler):
    """The service that lends: counts, and says no once the quota is used up."""

    folder: ClassVar[Path]
    quota = 100
    index = 0
    tokens: ClassVar[list[str]] = []
    meeting: threading.Barrier | None = None

    def do_POST(self) -> None:
        path, _, query = self.path.partition("?")
        asked = {name: values[0] for name, values in urllib.parse.parse_qs(query).items()}
        if path == "/schedule":
            CALLS.append(f"schedule {asked['durationSeconds']}")
            self.tokens.append(asked.get("token", ""))
            self._schedule()
        elif path == "/allow":
            with (self.folder / "pids").open("a") as file:
                file.write(f"{asked['pid']}\n")
            self._send(200, {})
        else:
            CALLS.append("release")
            self._send(200, {})

    def _schedule(self) -> None:
        if LentDevice.quota <= 0:
            return self._send(429, {"left": 0, "wait": 600})
        LentDevice.quota -= 1
        index = LentDevice.index
        if LentDevice.meeting is not None:
            index = 100 + LentDevice.meeting.wait(60)
        self._send(200, {"idle": True, "nvidiaIndex": index, "nvidiaUUID": "GPU-0", "allowToken": "token"})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass

    @classmethod
    def allowed(cls) -> set[int]:
        """Process ids that took up a GPU."""
        return {int(line) for line in (cls.folder / "pids").read_text().split()}


def _make_up_device(folder: Path) -> None:
    """`spaces` as on such a Space; what it does to torch is nothing, since no GPU is here."""
    layer: Any = types.ModuleType("spaces.zero.torch")
    for name in ("enter_mode", "patch", "unpatch", "init", "move"):
        setattr(layer, name, lambda *_, name=name, **__: CALLS.append(name))
    layer.pack = layer.size = lambda *_, **__: 0
    layer.is_in_bad_fork = lambda: False
    sys.modules["spaces.zero.torch"] = layer
    LentDevice.folder = folder
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), LentDevice)
    os.environ["SPACES_ZERO_DEVICE_API_URL"] = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    import gradio  # noqa: F401  first, as `spaces` wants it
    from spaces.zero import utils

    utils.self_cgroup_device_path = lambda: "/"  # pyrefly: ignore[bad-assignment]


def _renew_what_does_not_fork() -> None:
    """Threads do not come along into a forked process, and the library that signs refuses what was made before it."""
    from pipelines.core import stream
    from pipelines.engines import zerogpu
    from pipelines.provenance import c2pa

    stream._JOB_THREADS = ThreadPoolExecutor(8)
    for made_once in (c2pa._make_signer, c2pa._make_context, zerogpu.decorated_gpu_draw):
        made_once.cache_clear()


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
