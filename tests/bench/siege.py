"""Fifty clients before the real studio, honest and not, and whether it stands; loopback only, ends by itself.

`python -m tests.bench.siege [MINUTES]` (2 unless told otherwise, the proof takes 30), or `python -m tests.bench siege`.
The server is `python app.py` as on a Space: strangers on the page, keys on `/v1`, the gate on, its own folder.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import signal
import socket
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

from tests.bench.besiegers import EXAMPLES, HONEST, OTHERS, Client, Seen, live
from tests.bench.rows import Row, row
from tests.support.served_app import until

ROOT = Path(__file__).parents[2]
CLIENTS, HONESTS = 50, 15
MINUTES = 2.0
GROWTH = 150
"""MB that the middle of the last fifth may lie above the middle of the second, what is kept by design being full."""
WARM: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("headshot", "hopper", {"consent": "true", "size": "512"}), ("product", "coffee", {"size": "512"}),
    ("background", "", {"size": "512", "prompt": "forest"}), ("style", "coffee", {"size": "512"}),
    ("upscale", "hopper", {}), ("character", "", {"size": "512", "prompt": "a woman scientist"}),
)  # fmt: skip
LARGE = 12
"""Photos of four megapixels, of which the studio keeps some 27 MB each."""
BLINK = 2.0
KILLS = 30.0
"""Seconds between two deaths of a decoder, as a codec's crash would have it."""


@dataclass
class Watch:
    """What was seen of the server: its memory in MB, how long `/healthz` took, how often it did not answer."""

    memory: list[float] = field(default_factory=list)
    pulse: list[float] = field(default_factory=list)
    missed: int = 0
    killed: int = 0


def rows(minutes: float = MINUTES) -> Iterator[Row]:
    """Besiege a studio for so many minutes."""
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as (url, process):
        seen, watch = Seen(), Watch()
        names = keys(Path(folder))
        settle(url, names[0])
        asyncio.run(_besiege(url, names, process, seen, watch, minutes * 60))
        up = process.poll() is None and httpx.get(f"{url}/healthz", timeout=30).status_code == 200
        bugs, noise = _bugs((Path(folder) / "log").read_text(errors="replace"))
    print("MB", *map(round, watch.memory[:: max(1, len(watch.memory) // 60)]), file=sys.stderr)
    told = {"told": dict(seen.told.most_common()), "waited": seen.waited, "gradio": dict(noise.most_common(9))}
    print(json.dumps(told), file=sys.stderr)
    for line, count in (*seen.wrong.items(), *seen.lost.items(), *((bug, 1) for bug in bugs[:20])):
        print(f"{count} x {line}", file=sys.stderr)
    yield row("siege_minutes", round(minutes, 1), "min", minutes, at_most=False)
    yield row("siege_server_down", int(not up) + watch.missed, "times", 0)
    yield row("siege_honest_orders", seen.ordered, "jobs", 1, at_most=False)
    yield row("siege_honest_lost", seen.ordered - seen.done, "jobs", 0)
    yield row("siege_wrong_answers", sum(seen.wrong.values()), "answers", 0)
    yield row("siege_hostile_acts", sum(seen.told.values()), "answers", 1, at_most=False)
    yield row("siege_bugs_in_log", len(bugs), "tracebacks", 0)
    yield row(
        "siege_decoders_killed", watch.killed, "kills", int(minutes * 60 / (KILLS + 2 * BLINK)) - 1, at_most=False
    )
    yield row("siege_healthz_worst_seconds", round(max(watch.pulse), 2), "s", 5)
    yield row("siege_memory_mb", round(max(watch.memory)), "MB", 4000)
    yield row("siege_memory_growth_mb", round(growth(watch.memory)), "MB", GROWTH)


def settle(url: str, key: str) -> None:
    """Have every model loaded, and what the studio keeps by design (256 MB of pixels) full: what grows later, leaks."""
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=300) as http:
        for tool, name, values in WARM:
            files = {"photo": ("photo.jpg", (EXAMPLES / f"{name}.jpg").read_bytes())} if name else None
            http.post(f"/v1/tools/{tool}", data=values, files=files).raise_for_status()
        with Image.open(EXAMPLES / "coffee.jpg") as photo:
            large = photo.resize((2400, 1600))
        for shade in range(LARGE):
            out = io.BytesIO()
            ImageEnhance.Brightness(large).enhance(1 - shade / 50).save(out, "JPEG")
            http.post("/v1/tools/cutout", files={"photo": ("large.jpg", out.getvalue())}).raise_for_status()


def growth(memory: list[float]) -> float:
    """The middle of the last fifth over the middle of the second: the first is the models being loaded."""
    fifth = max(1, len(memory) // 5)
    return statistics.median(memory[-fifth:]) - statistics.median(memory[fifth : 2 * fifth])


@contextmanager
def server(data: Path, *, spaces: bool = True) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`python app.py` as on a Space, or as at home, bound to loopback; its log is `log` in the data folder."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = {
        **os.environ,
        "SYSTEM": "spaces" if spaces else "",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(data / "tmp"),
    }
    command = [sys.executable, "app.py", "--host", "localhost", "--port", str(port), "--data", str(data)]
    command += ["--profile", "embedded"]
    with (data / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
        try:
            until(lambda: process.poll() is None and _answers(f"http://127.0.0.1:{port}"), 180)
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()


def keys(data: Path) -> list[str]:
    """A key for each client."""
    from ui.api.auth.keys import KeyStore

    held = KeyStore(data)
    try:
        return [held.create_key(f"client {n}") for n in range(CLIENTS)]
    finally:
        held.close()


def _answers(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{url}/healthz", timeout=10).status_code == 200
    return False


async def _besiege(
    url: str, names: list[str], process: subprocess.Popen[bytes], seen: Seen, watch: Watch, seconds: float
) -> None:
    # A connection a call: the server lets go of a silent one after five seconds, and a client that used it just then
    # could not tell that from a fault.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as http:
        lives = []
        for n, key in enumerate(names):
            client = Client(httpx.AsyncClient(base_url=url, timeout=120, limits=limits), key, random.Random(n), seen)
            honest = n < HONESTS
            lives.append(asyncio.create_task(live(client, HONEST if honest else OTHERS, (3, 12) if honest else (1, 5))))
        watching = asyncio.create_task(_watch(http, process.pid, watch))
        await asyncio.sleep(seconds)
        seen.stop.set()
        await asyncio.wait(lives, timeout=600)  # what was begun is done
        watching.cancel()
        for task in lives:
            task.cancel()


async def _watch(http: httpx.AsyncClient, pid: int, watch: Watch) -> None:
    """Feel the pulse, weigh the memory, and kill a decoder now and then."""
    killed = time.monotonic()
    while True:
        since = time.perf_counter()
        try:
            watch.missed += (await http.get("/healthz", timeout=60)).status_code != 200
        except httpx.HTTPError:
            watch.missed += 1
        watch.pulse.append(time.perf_counter() - since)
        watch.memory.append(await asyncio.to_thread(_memory, pid))
        if time.monotonic() - killed > KILLS:
            killed = time.monotonic()
            watch.killed += await asyncio.to_thread(_kill_decoder, pid)
        await asyncio.sleep(BLINK)


def _tree(pid: int) -> list[psutil.Process]:
    with suppress(psutil.Error):
        server = psutil.Process(pid)
        return [server, *server.children(recursive=True)]
    return []


def _memory(pid: int) -> float:
    """MB of the server and its workers, shared pages counted once."""
    total = 0
    for process in _tree(pid):
        with suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total / 2**20


def _kill_decoder(pid: int) -> int:
    for process in random.sample(found := _tree(pid)[1:], len(found)):
        with suppress(psutil.Error):
            if "spawn_main" in " ".join(process.cmdline()):
                process.send_signal(signal.SIGSEGV)
                return 1
    return 0


def _bugs(log: str) -> tuple[list[str], Counter[str]]:
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
            if f'File "{ROOT}/' in where and not text.startswith("pipelines.core.errors."):  # a refusal that Gradio logs
                ours.append(f"{text[:160]} ({where.strip()})")
            else:
                others[text.partition(":")[0][:60]] += 1
    return ours, others


if __name__ == "__main__":
    good = True
    for each in rows(*map(float, sys.argv[1:])):
        print(json.dumps(each), flush=True)
        good &= each["ok"]
    sys.exit(0 if good else 1)
