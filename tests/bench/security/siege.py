"""Fifty clients before the real studio, honest and not, and whether it stands; loopback only, ends by itself.

`python -m tests.bench siege [MINUTES]`: 2 by default, the proof takes 30.
The server is `python app.py` as on a Space: strangers on the page, keys on `/v1`, the gate on, its own folder.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from PIL import Image, ImageEnhance

from tests.bench.rows import Row, make_row
from tests.bench.security.siege_clients import EXAMPLES, HONEST_ACTS, HOSTILE_ACTS, SiegeClient, SiegeReport, run_client
from tests.support.app_process import ROOT, AppProcess, start_app

CLIENT_COUNT, HONEST_CLIENT_COUNT = 50, 15
DEFAULT_MINUTES = 2.0
MAX_GROWTH_MB = 150
"""MB that the middle of the last fifth may lie above the middle of the second, what is kept by design being full."""
WARM_UP_ORDERS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("headshot", "hopper", {"consent": "true", "size": "512"}),
    ("product", "coffee", {"size": "512"}),
    ("background", "", {"size": "512", "prompt": "forest"}),
    ("style", "coffee", {"size": "512"}),
    ("upscale", "hopper", {}),
    ("character", "", {"size": "512", "prompt": "a woman scientist"}),
)
LARGE_PHOTO_COUNT = 12
"""Photos of four megapixels, of which the studio keeps some 27 MB each."""
PROBE_SECONDS = 2.0
KILL_INTERVAL_SECONDS = 30.0
"""Seconds between two deaths of a decoder, as a codec's crash would have it."""


@dataclass
class ServerHealth:
    """What was seen of the server: its memory in MB, how long `/healthz` took, how often it did not answer."""

    memory_mb: list[float] = field(default_factory=list)
    healthz_seconds: list[float] = field(default_factory=list)
    miss_count: int = 0
    kill_count: int = 0


def rows(minutes: float = DEFAULT_MINUTES) -> Iterator[Row]:
    """Besiege a studio for so many minutes."""
    with tempfile.TemporaryDirectory() as folder, start_server(Path(folder)) as (url, process, _):
        seen, watch = SiegeReport(), ServerHealth()
        names = create_keys(Path(folder))
        warm_up(url, names[0])
        asyncio.run(_run_siege(url, names, process, seen, watch, minutes * 60))
        up = process.poll() is None and httpx.get(f"{url}/healthz", timeout=30).status_code == 200
        bugs, noise = _read_log((Path(folder) / "log").read_text(errors="replace"))
    print("MB", *map(round, watch.memory_mb[:: max(1, len(watch.memory_mb) // 60)]), file=sys.stderr)
    told = {
        "told": dict(seen.status_counts.most_common()),
        "waited": seen.retry_count,
        "gradio": dict(noise.most_common(9)),
    }
    print(json.dumps(told), file=sys.stderr)
    for line, count in (*seen.wrong_answers.items(), *seen.lost_orders.items(), *((bug, 1) for bug in bugs[:20])):
        print(f"{count} x {line}", file=sys.stderr)
    yield make_row("siege_minutes", round(minutes, 1), "min", minutes, at_most=False)
    yield make_row("siege_server_down", int(not up) + watch.miss_count, "times", 0)
    yield make_row("siege_honest_orders", seen.order_count, "jobs", 1, at_most=False)
    yield make_row("siege_honest_lost", seen.order_count - seen.done_count, "jobs", 0)
    yield make_row("siege_wrong_answers", sum(seen.wrong_answers.values()), "answers", 0)
    yield make_row("siege_hostile_acts", sum(seen.status_counts.values()), "answers", 1, at_most=False)
    yield make_row("siege_bugs_in_log", len(bugs), "tracebacks", 0)
    yield make_row(
        "siege_decoders_killed",
        watch.kill_count,
        "kills",
        int(minutes * 60 / (KILL_INTERVAL_SECONDS + 2 * PROBE_SECONDS)) - 1,
        at_most=False,
    )
    yield make_row("siege_healthz_worst_seconds", round(max(watch.healthz_seconds), 2), "s", 5)
    yield make_row("siege_memory_mb", round(max(watch.memory_mb)), "MB", 4000)
    yield make_row("siege_memory_growth_mb", round(measure_growth(watch.memory_mb)), "MB", MAX_GROWTH_MB)


def warm_up(url: str, key: str) -> None:
    """Have every model loaded, and what the studio keeps by design (256 MB of pixels) full: what grows later, leaks."""
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=300) as http:
        for tool, name, values in WARM_UP_ORDERS:
            files = {"photo": ("photo.jpg", (EXAMPLES / f"{name}.jpg").read_bytes())} if name else None
            http.post(f"/v1/tools/{tool}", data=values, files=files).raise_for_status()
        with Image.open(EXAMPLES / "coffee.jpg") as photo:
            large = photo.resize((2400, 1600))
        for shade in range(LARGE_PHOTO_COUNT):
            out = io.BytesIO()
            ImageEnhance.Brightness(large).enhance(1 - shade / 50).save(out, "JPEG")
            http.post("/v1/tools/cutout", files={"photo": ("large.jpg", out.getvalue())}).raise_for_status()


def measure_growth(memory: list[float]) -> float:
    """The middle of the last fifth over the middle of the second: the first is the models being loaded."""
    fifth = max(1, len(memory) // 5)
    return statistics.median(memory[-fifth:]) - statistics.median(memory[fifth : 2 * fifth])


@contextmanager
def start_server(data: Path, *, spaces: bool = True) -> Iterator[AppProcess]:
    """Run the app as on a Space, or as at home, bound to loopback; its log is `log` in the data folder."""
    environment = {
        "SYSTEM": "spaces" if spaces else "",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(data / "tmp"),
    }
    flags = ("--host", "localhost", "--profile", "embedded")
    with start_app(data, *flags, environment=environment, log=data / "log") as app:
        yield app


def create_keys(data: Path) -> list[str]:
    """A key for each client."""
    from ui.api.auth.keys import KeyStore

    held = KeyStore(data)
    try:
        return [held.create_key(f"client {n}") for n in range(CLIENT_COUNT)]
    finally:
        held.close()


async def _run_siege(
    url: str, names: list[str], process: subprocess.Popen[bytes], seen: SiegeReport, watch: ServerHealth, seconds: float
) -> None:
    # A connection a call: the server lets go of a silent one after five seconds, and a client that used it just then
    # could not tell that from a fault.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as http:
        lives = []
        for n, key in enumerate(names):
            client = SiegeClient(
                httpx.AsyncClient(base_url=url, timeout=120, limits=limits), key, random.Random(n), seen
            )
            honest = n < HONEST_CLIENT_COUNT
            lives.append(
                asyncio.create_task(
                    run_client(client, HONEST_ACTS if honest else HOSTILE_ACTS, (3, 12) if honest else (1, 5))
                )
            )
        watching = asyncio.create_task(_watch_server(http, process.pid, watch))
        await asyncio.sleep(seconds)
        seen.stop.set()
        await asyncio.wait(lives, timeout=600)  # what was begun is done
        watching.cancel()
        for task in lives:
            task.cancel()


async def _watch_server(http: httpx.AsyncClient, pid: int, watch: ServerHealth) -> None:
    """Feel the pulse, weigh the memory, and kill a decoder now and then."""
    killed = time.monotonic()
    while True:
        since = time.perf_counter()
        try:
            watch.miss_count += (await http.get("/healthz", timeout=60)).status_code != 200
        except httpx.HTTPError:
            watch.miss_count += 1
        watch.healthz_seconds.append(time.perf_counter() - since)
        watch.memory_mb.append(await asyncio.to_thread(_measure_memory_mb, pid))
        if time.monotonic() - killed > KILL_INTERVAL_SECONDS:
            killed = time.monotonic()
            watch.kill_count += await asyncio.to_thread(_kill_decoder, pid)
        await asyncio.sleep(PROBE_SECONDS)


def _list_processes(pid: int) -> list[psutil.Process]:
    with suppress(psutil.Error):
        server = psutil.Process(pid)
        return [server, *server.children(recursive=True)]
    return []


def _measure_memory_mb(pid: int) -> float:
    """MB of the server and its workers, shared pages counted once."""
    total = 0
    for process in _list_processes(pid):
        with suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total / 2**20


def _kill_decoder(pid: int) -> int:
    for process in random.sample(found := _list_processes(pid)[1:], len(found)):
        with suppress(psutil.Error):
            if "spawn_main" in " ".join(process.cmdline()):
                process.send_signal(signal.SIGSEGV)
                return 1
    return 0


def _read_log(log: str) -> tuple[list[str], Counter[str]]:
    """Last lines of the tracebacks that end in our own code, and how many of each kind end in Gradio's or another's.

    Gradio answers a call that no page makes with a failure of its own, and logs it whole.
    """
    ours: list[str] = []
    others: Counter[str] = Counter()
    where, inside = "", False
    for line in log.splitlines():
        text = line.lstrip(" |+-")
        if text.startswith("Traceback"):
            where, inside = "", True
        elif inside and text.startswith("File "):
            where = text
        elif inside and where and line and not line.startswith((" ", "\t", "|", "+")):
            inside = False
            is_refusal = text.startswith("pipelines.core.errors.")  # which Gradio logs
            if f'File "{ROOT}/' in where and not is_refusal:
                ours.append(f"{text[:160]} ({where.strip()})")
            else:
                others[text.partition(":")[0][:60]] += 1
    return ours, others
