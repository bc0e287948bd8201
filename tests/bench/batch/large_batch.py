"""A large batch of product photos: what the queue costs over a bare loop, memory over a thousand rows, and the page.

`python -m tests.bench thousand [ROWS [PAIRS]]`, none of either with 0. A thousand rows take many minutes, so it is not
among what `python -m tests.bench` runs by itself.
"""

from __future__ import annotations

import base64
import io
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import httpx
import numpy as np
import PIL.Image

from pipelines.batch.batch_service import BatchOptions, BatchService
from pipelines.batch.jobs_file import ParsedRow
from pipelines.batch.row_values import BatchPlan
from pipelines.core.stream import wait_for_result
from tests.bench.page.page_session import open_page_session
from tests.bench.rows import Row, make_row
from tests.support.app_process import ROOT, measure_tree_pss, start_app
from tests.support.real_studio import RealStudio

SIDE_PX = 512
CHUNK_ROW_COUNT = 10
"""Rows of one measurement: long enough that a batch's start and end do not count."""
POLL_SECONDS = 0.5
WARM_UP_ROW_COUNT = 200
"""Rows after which models are loaded and what is remembered is full."""
OWNER = "bench"
FRAMINGS = ("tight", "wide")
"""What a visitor changes a field to and fro."""
POLLS_PER_CHANGE = 4
"""Looks of which one is such a change: a draft takes its time from the rows."""


def make_photos(count: int) -> Iterator[bytes]:
    """So many JPEGs of a cup of which no two are alike: what was cut out once is remembered."""
    with PIL.Image.open(ROOT / "assets/examples/coffee.jpg") as picture:
        cup = np.asarray(picture.convert("RGB").resize((SIDE_PX, SIDE_PX * picture.height // picture.width)))
    dice = np.random.default_rng(0)
    for _ in range(count):
        turn = cv2.getRotationMatrix2D(
            (cup.shape[1] / 2, cup.shape[0] / 2), dice.uniform(-6, 6), dice.uniform(1.05, 1.3)
        )
        turned = cv2.warpAffine(cup, turn, (cup.shape[1], cup.shape[0]), borderMode=cv2.BORDER_REFLECT)
        out = io.BytesIO()
        PIL.Image.fromarray(turned.astype(np.uint8)).save(out, "JPEG", quality=85)
        yield out.getvalue()


# ---------------------------------------------------------------- over a bare loop


def _time_loop(studio: RealStudio, batch: list[bytes]) -> float:
    """Seconds of taking in and drawing one after the other, with no queue."""
    since = time.perf_counter()
    for data in batch:
        photo, _ = studio.service.uploads.ingest_picture(data, OWNER)
        wait_for_result(
            studio.engine.run(studio.service.create_job("product", {"photo": photo, "size": SIDE_PX, "seed": 1}, OWNER))
        )
    return time.perf_counter() - since


def _time_batch(studio: RealStudio, batches: BatchService, batch: list[bytes], folder: Path) -> float:
    """Seconds of the same as a batch, from its start to its end; the files lie in a folder."""
    folder.mkdir()
    for n, data in enumerate(batch):
        (folder / f"{n:04}.jpg").write_bytes(data)
    lines = (ParsedRow(n + 1, {"photo": f"{n:04}.jpg"}) for n in range(len(batch)))
    made = batches.create_batch(
        BatchPlan("product", {"size": SIDE_PX}), lines, OWNER, BatchOptions(seed=1, source=folder)
    )
    since = time.perf_counter()
    batches.start(made.id)
    while batches.get_batch(made.id, OWNER).state == "running":
        time.sleep(0.005)
    assert batches.get_progress(made.id).done == len(batch)
    return time.perf_counter() - since


def measure_ratio(pairs: int) -> Iterator[Row]:
    """Both ways in turn, each time with photos that were never seen."""
    fresh = make_photos(2 * CHUNK_ROW_COUNT * (pairs + 1))
    with tempfile.TemporaryDirectory() as data:
        studio = RealStudio(Path(data), owner="bench")
        try:
            batches = BatchService(studio.service)
            found = []
            for n in range(pairs + 1):
                first, second = ([next(fresh) for _ in range(CHUNK_ROW_COUNT)] for _ in range(2))
                folder = Path(data) / f"in-{n}"
                if n % 2:
                    bare, queued = _time_loop(studio, first), _time_batch(studio, batches, second, folder)
                else:
                    queued, bare = _time_batch(studio, batches, first, folder), _time_loop(studio, second)
                found.append(bare / queued)
        finally:
            studio.close()
    yield make_row("batch_over_bare_loop", round(statistics.median(found[1:]), 2), "x", 0.9, at_most=False)


# ---------------------------------------------------------------- a thousand through the door


@dataclass
class BatchReport:
    """Seconds of each answer while the batch ran, and the memory in MB by rows done.

    `words` are the first words of a tab on which a field was changed, `drafts` the drafts that came of it.
    """

    page_seconds: list[float] = field(default_factory=list)
    field_seconds: list[float] = field(default_factory=list)
    draft_seconds: list[float] = field(default_factory=list)
    jobs_seconds: list[float] = field(default_factory=list)
    memory: list[tuple[int, float]] = field(default_factory=list)

    def measure_growth(self) -> float:
        """The last fifth of the run over the time when it had settled."""
        settled = [mb for done, mb in self.memory if done >= WARM_UP_ROW_COUNT] or [self.memory[-1][1]]
        few = max(1, len(settled) // 5)
        return statistics.median(settled[-few:]) / statistics.median(settled[:few])


def _make_jobs_file(count: int) -> bytes:
    body = {"size": SIDE_PX, "seed": 1}
    return b"\n".join(
        json.dumps(
            {
                "custom_id": f"r{n}",
                "method": "POST",
                "url": "/v1/tools/product",
                "body": {**body, "photo": "data:image/jpeg;base64," + base64.b64encode(photo).decode()},
            }
        ).encode()
        for n, photo in enumerate(make_photos(count))
    )


def _time_request(http: httpx.Client, address: str) -> float:
    since = time.perf_counter()
    http.get(address).raise_for_status()
    return time.perf_counter() - since


def measure_large_batch(count: int) -> Iterator[Row]:
    """The real server, sent one file of JSON lines with its pictures in it; somebody works on a tab meanwhile."""
    with (
        tempfile.TemporaryDirectory() as data,
        start_app(Path(data), "--profile", "embedded") as (url, process, _),
        httpx.Client(base_url=url, timeout=300) as http,
        open_page_session(url, "headshot") as tab,
    ):
        tab.press_button("example-astronaut")
        sent = http.post(
            "/v1/files", files={"file": ("in.jsonl", _make_jobs_file(count))}, data={"purpose": "batch"}
        ).json()
        asked = {"input_file_id": sent["id"], "endpoint": "/v1/tools/product", "completion_window": "24h"}
        batch = http.post("/v1/batches", json=asked).json()["id"]
        since = time.perf_counter()
        seen = BatchReport()
        told = http.get(f"/v1/batches/{batch}").json()
        while told["status"] == "in_progress":
            seen.page_seconds.append(_time_request(http, "/"))
            seen.jobs_seconds.append(_time_request(http, "/v1/jobs"))
            if len(seen.page_seconds) % POLLS_PER_CHANGE == 1:
                answer = tab.choose_value("framing", FRAMINGS[len(seen.field_seconds) % 2])
                seen.field_seconds.append(answer.first_seconds)
                seen.draft_seconds.append(answer.last_seconds)
            seen.memory.append((told["request_counts"]["completed"], measure_tree_pss(process.pid)))
            time.sleep(POLL_SECONDS)
            told = http.get(f"/v1/batches/{batch}").json()
        seconds = time.perf_counter() - since
    yield make_row("batch_rows_done", told["request_counts"]["completed"], f"of {count}", count, at_most=False)
    yield make_row("batch_rows_per_minute", round(60 * count / seconds, 1), "rows", 1, at_most=False)
    yield make_row("batch_memory_growth", round(seen.measure_growth(), 3), "x", 1.1)
    yield make_row("batch_memory_mb", round(max(mb for _, mb in seen.memory)), "MB", 2500)
    yield make_row("batch_page_ms", round(1000 * statistics.median(seen.page_seconds), 1), "ms", 200)
    yield make_row("batch_field_ms", round(1000 * statistics.median(seen.field_seconds), 1), "ms", 200)
    yield make_row("batch_draft_ms", round(1000 * statistics.median(seen.draft_seconds), 1), "ms", 5000)
    yield make_row("batch_jobs_ms", round(1000 * statistics.median(seen.jobs_seconds), 1), "ms", 200)


def rows(count: int = 1000, pairs: int = 9) -> Iterator[Row]:
    """Every row of this module."""
    if count:
        yield from measure_large_batch(count)
    if pairs:
        yield from measure_ratio(pairs)
