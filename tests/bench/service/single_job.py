"""Rows about one job's path on the embedded profile: how long, how much memory, how exact, how soon it stops."""

from __future__ import annotations

import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import onnxruntime
import PIL.Image

from pipelines.core.geometry import Image
from pipelines.core.job import Step
from tests.bench.rows import Row, make_row
from tests.support.app_process import ROOT, measure_tree_pss, start_app
from tests.support.gated_tool import GatedStudio, make_gated_job
from tests.support.real_studio import RealStudio

RUN_COUNT = 7


# ---------------------------------------------------------------- the served studio


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


def _portrait_id(studio: RealStudio) -> str:
    """The astronaut, 512 x 512: the portrait of the figures."""
    return studio.photos["astronaut"]


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


def _time_first_preview(studio: RealStudio) -> float:
    studio.engine.resources.results.clear()
    since = time.perf_counter()
    watch = studio.jobs.submit_and_watch(
        studio.create_job("headshot", photo=_portrait_id(studio), framing="tight", size=1024)
    )
    seen = next(event for event in watch if isinstance(event, Step) and event.preview)
    seconds = time.perf_counter() - since
    assert seen.preview
    for _ in watch:
        pass
    return seconds


def _time_headshot(studio: RealStudio) -> float:
    studio.engine.resources.results.clear()
    since = time.perf_counter()
    studio.make("headshot", photo=_portrait_id(studio), framing="tight", size=1024)
    return time.perf_counter() - since


def _time_draft(studio: RealStudio, preset: str) -> float:
    since = time.perf_counter()
    studio.make("headshot", photo=_portrait_id(studio), preset=preset, draft=True)
    return time.perf_counter() - since


def measure_speed() -> Iterator[Row]:
    """Side by side in one run: a bare net and a whole headshot in turn, each with nothing remembered but the models."""
    with tempfile.TemporaryDirectory() as data:
        studio = RealStudio(Path(data), owner="bench")
        try:
            bare = make_bare_matting_timer()
            for warm in (lambda: _time_headshot(studio), bare, lambda: _time_draft(studio, "park")):
                warm()
            pairs = [(bare(), _time_headshot(studio)) for _ in range(RUN_COUNT)]
            ratio = statistics.median(whole / alone for alone, whole in pairs)
            yield make_row("headshot_over_matting", round(ratio, 2), "x", 6)
            first = statistics.median(_time_first_preview(studio) for _ in range(RUN_COUNT))
            yield make_row("first_preview_seconds", round(first, 3), "s", 0.7)
            looks = ("linkedin", "park", "lobby", "academic", "actor", "executive-dark", "nude-tones")
            for look in looks:
                _time_draft(studio, look)
            yield make_row(
                "draft_seconds", round(statistics.median(_time_draft(studio, look) for look in looks), 3), "s", 0.5
            )
        finally:
            studio.close()


def measure_changed_pixels() -> Iterator[Row]:
    """The worst of every example at every size, in every tool that takes it."""
    with tempfile.TemporaryDirectory() as data:
        studio = RealStudio(Path(data), owner="bench")
        try:
            changed = [
                studio.make(tool, photo=studio.photos[photo], size=size).receipt["checks"]["core_changed_pixels"]
                for tool, photos in (
                    ("headshot", ("astronaut", "hopper")),
                    ("product", ("coffee",)),
                    ("background", ("astronaut", "hopper", "coffee", "chelsea")),
                )
                for photo in photos
                for size in (512, 1024, 2048)
            ]
        finally:
            studio.close()
        yield make_row("core_changed_pixels", max(changed), "px", 0)


def measure_cancel() -> Iterator[Row]:
    """Steps between `cancel` and a free lane, the worst of ten."""
    step = 0.2
    with tempfile.TemporaryDirectory() as data, GatedStudio(Path(data)) as here:
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
        studio = RealStudio(Path(data), owner="bench")
        try:
            ratios = [_measure_finish_ratio(studio) for _ in range(RUN_COUNT)]
        finally:
            studio.close()
        yield make_row("finish_over_pillow", round(statistics.median(ratios), 2), "x", 3)


def _measure_finish_ratio(studio: RealStudio) -> float:
    result = studio.make("headshot", photo=_portrait_id(studio), framing="tight", size=1024)
    with PIL.Image.open(studio.files.local_path(result.files[0].id)) as picture:
        pixels: Image = np.asarray(picture.convert("RGB"))
    since = time.perf_counter()
    PIL.Image.fromarray(pixels).save(io.BytesIO(), "PNG")
    return result.receipt["timings"]["Writing"] / (time.perf_counter() - since)


def rows() -> Iterator[Row]:
    """Every row of this module."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    for part in (measure_server, measure_speed, measure_changed_pixels, measure_cancel, measure_finish):
        yield from part()
