"""`python app.py` as a process on a free port of loopback: started, awaited, measured and stopped."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil

ROOT = Path(__file__).parents[2]
START_TIMEOUT_SECONDS = 180.0
FIRST_PORT, PORT_COUNT = 10_000, 20_000
_port_numbers = itertools.count(os.getpid() * 97)  # processes that run beside one another begin far apart


class AppProcess(NamedTuple):
    """A studio that answers at `url`, and the seconds until it did."""

    url: str
    process: subprocess.Popen[bytes]
    start_seconds: float


@contextmanager
def start_app(
    data: Path, *flags: str, environment: Mapping[str, str] | None = None, log: Path | None = None
) -> Iterator[AppProcess]:
    """Run the app with `flags` on the folder `data`; it is interrupted at the end, then killed."""
    port = find_free_port()
    command = [sys.executable, "app.py", "--port", str(port), "--data", str(data), *flags]
    with (log or Path(os.devnull)).open("wb") as output:
        since = time.monotonic()
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **(environment or {})}, stdout=output, stderr=output
        )
        try:
            url = f"http://127.0.0.1:{port}"
            while not is_healthy(url):
                if process.poll() is not None or time.monotonic() - since > START_TIMEOUT_SECONDS:
                    raise RuntimeError("the studio did not start")
                time.sleep(0.02)
            yield AppProcess(url, process, time.monotonic() - since)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def find_free_port() -> int:
    """Return a port of loopback that nobody listens on.

    It lies below those that systems hand out by themselves: an outgoing connection could take one of them before a
    server listens on it.
    """
    while True:
        port = FIRST_PORT + next(_port_numbers) % PORT_COUNT
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def is_healthy(url: str) -> bool:
    """Say whether `/healthz` answers with 200."""
    address = httpx.URL(url)
    try:
        with socket.create_connection((address.host, address.port or 80), timeout=10):
            pass  # where nobody listens yet, a client of HTTP is made for nothing, some hundred times
        return httpx.get(f"{url}/healthz", timeout=10).status_code == 200
    except (OSError, httpx.HTTPError):
        return False


def measure_tree_pss(pid: int) -> float:
    """Return the PSS of a process and all its children in MB of 10^6 bytes."""
    tree = [psutil.Process(pid)]
    tree += tree[0].children(recursive=True)
    return sum(_measure_pss(process) for process in tree) / 1e6


def _measure_pss(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except psutil.NoSuchProcess:
        return 0
