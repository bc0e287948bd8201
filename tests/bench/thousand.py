"""A large batch of product photos: what the queue costs over a bare loop, memory over a thousand rows, and the page.

`python -m tests.bench thousand`, or `python -m tests.bench.thousand [ROWS [PAIRS]]`, none of either with 0. A thousand
rows take many minutes, so it is not among what `python -m tests.bench` runs by itself.
"""

from __future__ import annotations

import base64
import io
import json
import statistics
import sys
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
from tests.bench.house import ROOT, Room, served, tree_pss
from tests.bench.rows import Row, row
from tests.bench.visiting import visitor

SIDE = 512
CHUNK = 10
"""Rows of one measurement: long enough that a batch's start and end do not count."""
BEAT = 0.5
SETTLED = 200
"""Rows after which models are loaded and what is remembered is full."""
OWNER = "bench"
FRAMINGS = ("tight", "wide")
"""What a visitor changes a field to and fro."""
RARELY = 4
"""Looks of which one is such a change: a draft takes its time from the rows."""


def photos(count: int) -> Iterator[bytes]:
    """So many JPEGs of a cup of which no two are alike: what was cut out once is remembered."""
    with PIL.Image.open(ROOT / "assets/examples/coffee.jpg") as picture:
        cup = np.asarray(picture.convert("RGB").resize((SIDE, SIDE * picture.height // picture.width)))
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


def _looped(room: Room, batch: list[bytes]) -> float:
    """Seconds of taking in and drawing one after the other, with no queue."""
    since = time.perf_counter()
    for data in batch:
        photo, _ = room.service.uploads.ingest_picture(data, OWNER)
        wait_for_result(
            room.engine.run(room.service.create_job("product", {"photo": photo, "size": SIDE, "seed": 1}, OWNER))
        )
    return time.perf_counter() - since


def _batched(room: Room, batches: BatchService, batch: list[bytes], folder: Path) -> float:
    """Seconds of the same as a batch, from its start to its end; the files lie in a folder."""
    folder.mkdir()
    for n, data in enumerate(batch):
        (folder / f"{n:04}.jpg").write_bytes(data)
    lines = (ParsedRow(n + 1, {"photo": f"{n:04}.jpg"}) for n in range(len(batch)))
    made = batches.create_batch(BatchPlan("product", {"size": SIDE}), lines, OWNER, BatchOptions(seed=1, source=folder))
    since = time.perf_counter()
    batches.start(made.id)
    while batches.get_batch(made.id, OWNER).state == "running":
        time.sleep(0.005)
    assert batches.get_progress(made.id).done == len(batch)
    return time.perf_counter() - since


def ratios(pairs: int) -> Iterator[Row]:
    """Both ways in turn, each time with photos that were never seen."""
    fresh = photos(2 * CHUNK * (pairs + 1))
    with tempfile.TemporaryDirectory() as data:
        room = Room(Path(data))
        try:
            batches = BatchService(room.service)
            found = []
            for n in range(pairs + 1):
                first, second = ([next(fresh) for _ in range(CHUNK)] for _ in range(2))
                folder = Path(data) / f"in-{n}"
                if n % 2:
                    bare, queued = _looped(room, first), _batched(room, batches, second, folder)
                else:
                    queued, bare = _batched(room, batches, first, folder), _looped(room, second)
                found.append(bare / queued)
        finally:
            room.close()
    yield row("batch_over_bare_loop", round(statistics.median(found[1:]), 2), "x", 0.9, at_most=False)


# ---------------------------------------------------------------- a thousand through the door


@dataclass
class Seen:
    """Seconds of each answer while the batch ran, and the memory in MB by rows done.

    `words` are the first words of a tab on which a field was changed, `drafts` the drafts that came of it.
    """

    page: list[float] = field(default_factory=list)
    words: list[float] = field(default_factory=list)
    drafts: list[float] = field(default_factory=list)
    jobs: list[float] = field(default_factory=list)
    memory: list[tuple[int, float]] = field(default_factory=list)

    def growth(self) -> float:
        """The last fifth of the run over the time when it had settled."""
        settled = [mb for done, mb in self.memory if done >= SETTLED] or [self.memory[-1][1]]
        few = max(1, len(settled) // 5)
        return statistics.median(settled[-few:]) / statistics.median(settled[:few])


def _lines(count: int) -> bytes:
    body = {"size": SIDE, "seed": 1}
    return b"\n".join(
        json.dumps(
            {
                "custom_id": f"r{n}", "method": "POST", "url": "/v1/tools/product",
                "body": {**body, "photo": "data:image/jpeg;base64," + base64.b64encode(photo).decode()},
            }
        ).encode()
        for n, photo in enumerate(photos(count))
    )  # fmt: skip


def _timed(http: httpx.Client, address: str) -> float:
    since = time.perf_counter()
    http.get(address).raise_for_status()
    return time.perf_counter() - since


def thousand(count: int) -> Iterator[Row]:
    """The real server, sent one file of JSON lines with its pictures in it; somebody works on a tab meanwhile."""
    with (
        tempfile.TemporaryDirectory() as data,
        served(Path(data), "--profile", "embedded") as (url, process, _),
        httpx.Client(base_url=url, timeout=300) as http,
        visitor(url, "headshot") as tab,
    ):
        tab.press("example-astronaut")
        sent = http.post("/v1/files", files={"file": ("in.jsonl", _lines(count))}, data={"purpose": "batch"}).json()
        asked = {"input_file_id": sent["id"], "endpoint": "/v1/tools/product", "completion_window": "24h"}
        batch = http.post("/v1/batches", json=asked).json()["id"]
        since = time.perf_counter()
        seen = Seen()
        told = http.get(f"/v1/batches/{batch}").json()
        while told["status"] == "in_progress":
            seen.page.append(_timed(http, "/"))
            seen.jobs.append(_timed(http, "/v1/jobs"))
            if len(seen.page) % RARELY == 1:
                answer = tab.choose("framing", FRAMINGS[len(seen.words) % 2])
                seen.words.append(answer.first)
                seen.drafts.append(answer.last)
            seen.memory.append((told["request_counts"]["completed"], tree_pss(process.pid)))
            time.sleep(BEAT)
            told = http.get(f"/v1/batches/{batch}").json()
        seconds = time.perf_counter() - since
    yield row("batch_rows_done", told["request_counts"]["completed"], f"of {count}", count, at_most=False)
    yield row("batch_rows_per_minute", round(60 * count / seconds, 1), "rows", 1, at_most=False)
    yield row("batch_memory_growth", round(seen.growth(), 3), "x", 1.1)
    yield row("batch_memory_mb", round(max(mb for _, mb in seen.memory)), "MB", 2500)
    yield row("batch_page_ms", round(1000 * statistics.median(seen.page), 1), "ms", 200)
    yield row("batch_field_ms", round(1000 * statistics.median(seen.words), 1), "ms", 200)
    yield row("batch_draft_ms", round(1000 * statistics.median(seen.drafts), 1), "ms", 5000)
    yield row("batch_jobs_ms", round(1000 * statistics.median(seen.jobs), 1), "ms", 200)


def rows(count: int = 1000, pairs: int = 9) -> Iterator[Row]:
    """Every row of this module."""
    if count:
        yield from thousand(count)
    if pairs:
        yield from ratios(pairs)


if __name__ == "__main__":
    for each in rows(*map(int, sys.argv[1:])):
        print(json.dumps(each), flush=True)
