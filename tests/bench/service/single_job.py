"""Rows about one job's path on the embedded profile: how long, how much memory, how exact, how soon it stops."""

from __future__ import annotations

import io
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import PIL.Image
import psutil

from pipelines.core.geometry import Image
from pipelines.core.job import Job, Result, Step
from pipelines.core.stream import wait_for_result
from pipelines.engines.local import LocalEngine
from pipelines.ingest.decoder_pool import DecoderPool
from pipelines.jobs.queue import JobQueue
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import CacheOptions, ModelCache
from pipelines.models.profiles import choose_profile
from pipelines.service.orders import StudioService
from pipelines.settings import Settings
from pipelines.storage.file_index import FileIndex
from tests.bench.rows import Row, make_row
from tests.support.gated_tool import make_gated_job, open_gated_studio

ROOT = Path(__file__).parents[3]
RUN_COUNT = 7


# ---------------------------------------------------------------- the served studio


@contextmanager
def start_app(data: Path, *flags: str) -> Iterator[tuple[str, subprocess.Popen[bytes], float]]:
    """`python app.py` on a free port: its address, its process and the seconds until `/healthz` answered."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    since = time.monotonic()
    command = [sys.executable, "app.py", "--port", str(port), "--data", str(data), *flags]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while not _is_healthy(url):
            if process.poll() is not None or time.monotonic() - since > 90:
                raise RuntimeError("the studio did not start")
            time.sleep(0.02)
        yield url, process, time.monotonic() - since
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def measure_tree_pss(pid: int) -> float:
    """PSS of a process and all its children, in MB of 10^6 bytes."""
    tree = [psutil.Process(pid)]
    tree += tree[0].children(recursive=True)
    return sum(_measure_pss(process) for process in tree) / 1e6


def _measure_pss(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except psutil.NoSuchProcess:
        return 0


def measure_server() -> Iterator[Row]:
    """Start, idle memory, memory after fifty jobs."""
    with tempfile.TemporaryDirectory() as data, start_app(Path(data)) as (url, process, seconds):
        yield make_row("healthz_seconds", round(seconds, 2), "s", 8)
        httpx.get(url, timeout=30)
        yield make_row("idle_pss_mb", round(measure_tree_pss(process.pid)), "MB", 700)
        photo = (ROOT / "assets/examples/hopper.jpg").read_bytes()
        looks = ("linkedin", "park", "lobby", "academic", "actor")
        for n in range(50):
            form = {"preset": looks[n % len(looks)], "consent": "true"}
            httpx.post(f"{url}/v1/tools/headshot", data=form, files={"photo": photo}, timeout=120).raise_for_status()
        yield make_row("pss_after_fifty_mb", round(measure_tree_pss(process.pid)), "MB", 2500)


# ---------------------------------------------------------------- the engine


class Room:
    """A service and a local engine in this process."""

    def __init__(self, root: Path) -> None:
        self.files = FileIndex(root)
        profile, device = choose_profile("embedded")
        self.engine = LocalEngine(ModelCache(FAMILIES, CacheOptions(device=device)), self.files)
        self.ingest = DecoderPool()
        self.jobs = JobQueue(root, self.engine)
        self.service = StudioService(Settings(data=root), self.jobs, self.files, profile, self.ingest)
        self.photos = {example.name: example.file_id for example in self.service.uploads.list_examples()}

    def order(self, tool: str, **values: Any) -> Job:
        """A job for the bench's owner."""
        draft = bool(values.pop("draft", False))
        return self.service.create_job(tool, values, "bench", draft=draft)

    def make(self, tool: str, **values: Any) -> Result:
        """Order, run, wait."""
        return wait_for_result(self.jobs.watch(self.jobs.submit(self.order(tool, **values))))

    def close(self) -> None:
        """Stop everything."""
        self.jobs.close()
        self.ingest.close()
        self.files.close()


def _portrait_id(room: Room) -> str:
    """The astronaut, 512 x 512: the portrait of the figures."""
    return room.photos["astronaut"]


def make_bare_matting_timer() -> Callable[[], float]:
    """Seconds of one plain onnxruntime call of U2-Net small, default options."""
    path = str(ROOT / "assets/models/u2netp/u2netp.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    batch = np.random.default_rng(0).standard_normal((1, 3, 320, 320), np.float32)

    def run() -> float:
        since = time.perf_counter()
        session.run(None, {name: batch})
        return time.perf_counter() - since

    return run


def _time_first_preview(room: Room) -> float:
    room.engine.result_cache.clear()
    since = time.perf_counter()
    watch = room.jobs.watch(
        room.jobs.submit(room.order("headshot", photo=_portrait_id(room), framing="tight", size=1024))
    )
    seen = next(event for event in watch if isinstance(event, Step) and event.preview)
    seconds = time.perf_counter() - since
    assert seen.preview
    for _ in watch:
        pass
    return seconds


def _time_headshot(room: Room) -> float:
    room.engine.result_cache.clear()
    since = time.perf_counter()
    room.make("headshot", photo=_portrait_id(room), framing="tight", size=1024)
    return time.perf_counter() - since


def _time_draft(room: Room, preset: str) -> float:
    since = time.perf_counter()
    room.make("headshot", photo=_portrait_id(room), preset=preset, draft=True)
    return time.perf_counter() - since


def measure_speed() -> Iterator[Row]:
    """Side by side in one run: a bare net and a whole headshot in turn, each with nothing remembered but the models."""
    with tempfile.TemporaryDirectory() as data:
        room = Room(Path(data))
        try:
            bare = make_bare_matting_timer()
            for warm in (lambda: _time_headshot(room), bare, lambda: _time_draft(room, "park")):
                warm()
            pairs = [(bare(), _time_headshot(room)) for _ in range(RUN_COUNT)]
            ratio = statistics.median(whole / alone for alone, whole in pairs)
            yield make_row("headshot_over_matting", round(ratio, 2), "x", 6)
            first = statistics.median(_time_first_preview(room) for _ in range(RUN_COUNT))
            yield make_row("first_preview_seconds", round(first, 3), "s", 0.7)
            looks = ("linkedin", "park", "lobby", "academic", "actor", "executive-dark", "nude-tones")
            for look in looks:
                _time_draft(room, look)
            yield make_row(
                "draft_seconds", round(statistics.median(_time_draft(room, look) for look in looks), 3), "s", 0.5
            )
        finally:
            room.close()


def measure_changed_pixels() -> Iterator[Row]:
    """The worst of every example at every size, in every tool that takes it."""
    with tempfile.TemporaryDirectory() as data:
        room = Room(Path(data))
        try:
            changed = [
                room.make(tool, photo=room.photos[photo], size=size).receipt["checks"]["core_changed_pixels"]
                for tool, photos in (
                    ("headshot", ("astronaut", "hopper")),
                    ("product", ("coffee",)),
                    ("background", ("astronaut", "hopper", "coffee", "chelsea")),
                )
                for photo in photos
                for size in (512, 1024, 2048)
            ]
        finally:
            room.close()
        yield make_row("core_changed_pixels", max(changed), "px", 0)


def measure_cancel() -> Iterator[Row]:
    """Steps between `cancel` and a free lane, the worst of ten."""
    step = 0.2
    with tempfile.TemporaryDirectory() as data, open_gated_studio(Path(data)) as here:
        here.gate.pause = step
        worst = 0.0
        for _ in range(10):
            job_id = here.jobs.submit(make_gated_job(steps=500))
            next(event for event in here.jobs.watch(job_id) if isinstance(event, Step))
            since = time.perf_counter()
            here.jobs.cancel(job_id)
            while here.jobs.count_jobs()[0]:
                time.sleep(0.001)
            worst = max(worst, (time.perf_counter() - since) / step)
        yield make_row("cancel_steps", round(worst, 2), "steps", 1.1)


def measure_finish() -> Iterator[Row]:
    """`finish` (checks, metadata, write, index) of a 1024 px headshot over Pillow's own PNG of the same picture."""
    with tempfile.TemporaryDirectory() as data:
        room = Room(Path(data))
        try:
            ratios = [_measure_finish_ratio(room) for _ in range(RUN_COUNT)]
        finally:
            room.close()
        yield make_row("finish_over_pillow", round(statistics.median(ratios), 2), "x", 3)


def _measure_finish_ratio(room: Room) -> float:
    result = room.make("headshot", photo=_portrait_id(room), framing="tight", size=1024)
    with PIL.Image.open(room.files.local_path(result.files[0].id)) as picture:
        pixels: Image = np.asarray(picture.convert("RGB"))
    since = time.perf_counter()
    PIL.Image.fromarray(pixels).save(io.BytesIO(), "PNG")
    return result.receipt["timings"]["Writing"] / (time.perf_counter() - since)


def rows() -> Iterator[Row]:
    """Every row of this module."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    for part in (measure_server, measure_speed, measure_changed_pixels, measure_cancel, measure_finish):
        yield from part()
