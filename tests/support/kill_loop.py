"""A batch sent through REST to a server that is killed again and again, and what must be true when it is done."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import PIL.Image

from tests.support.app_process import ROOT, find_free_port, is_healthy
from tests.support.served_app import serve_app, wait_until
from tests.support.shared_resources import use_content_filter

TOOL_URL = "/v1/tools/background"
# Every time that a row becomes done is noted, so that a row done twice is seen.
_DONE_LOG_SQL = (
    "CREATE TABLE log (row INTEGER); CREATE TRIGGER told AFTER UPDATE OF status ON jobs "
    "WHEN NEW.status = 'done' AND NEW.batch_id IS NOT NULL BEGIN INSERT INTO log VALUES (NEW.batch_row); END;"
)
KillTrigger = Callable[[httpx.Client, str], None]
"""Returns when the server is to be killed."""
OpenServer = Callable[[], AbstractContextManager[tuple[Any, httpx.Client]]]
"""Begins one life of a server; yields its process, with `send_signal` and `wait` as `Popen` has them, and a client."""


@dataclass
class KillReport:
    """What was seen. `halves` are files that cannot be read whole, `lost` watchers that were not told the end."""

    done_rows: list[int] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    is_database_intact: bool = False
    served_result_count: int = 0
    truncated_files: list[str] = field(default_factory=list)
    kill_count: int = 0
    follower_count: int = 0
    lost_follower_count: int = 0

    def is_complete(self, rows: int) -> bool:
        """Whether every row was done exactly once, and nothing is half or lost."""
        whole = (
            self.is_database_intact
            and not self.truncated_files
            and not self.lost_follower_count
            and self.served_result_count == rows
        )
        return whole and self.done_rows == list(range(1, rows + 1)) and self.counts["completed"] == rows


def run_with_kills(
    server: Sequence[str] | OpenServer, data: Path, body: dict[str, Any], rows: int, moments: Sequence[KillTrigger]
) -> KillReport:
    """Send the batch, kill the server at each of `moments`, let it finish, and look.

    `server` is the command that starts it, for `run_server`, or what begins a life of it.
    """
    seen = KillReport()
    batch, watching = "", ""
    for moment in (*moments, None):
        with server() if callable(server) else run_server(server) as (process, http):
            if not batch:
                batch = _submit_batch(http, body, rows)
                log_done_rows(data)
            if watching:
                seen.follower_count += 1
                seen.lost_follower_count += not _receives_result(http, watching)
            if moment is None:
                _wait_for_batch(http, batch)
                _inspect_outcome(http, data, batch, seen)
                continue
            watching, watcher = _follow_running_job(http)
            moment(http, batch)
            process.send_signal(signal.SIGKILL)
            seen.kill_count += process.wait(60) == -signal.SIGKILL
            if watcher is not None:
                watcher.join(30)
    return seen


def log_done_rows(data: Path) -> None:
    """Let the database in `data` write each row of a batch that becomes done into a table `log`."""
    db = sqlite3.connect(data / "jobs.sqlite3", timeout=30)
    db.executescript(_DONE_LOG_SQL)
    db.close()


def make_start_command(data: Path) -> list[str]:
    """Return the command that starts the app on that folder; its last word is the address."""
    url = f"http://127.0.0.1:{find_free_port()}"
    starter = "import sys, app; sys.exit(app.main(sys.argv[1:-1]))"
    flags = ["--data", str(data), "--port", url.rpartition(":")[2], "--profile", "embedded"]
    return [sys.executable, "-c", starter, *flags, url]


@contextmanager
def run_server(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """One life of the server that a command starts, whose last word is the address, from when it answers."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=command[-1], timeout=60) as http:
            wait_until(lambda: process.poll() is None and is_healthy(command[-1]), 180)
            yield process, http
    finally:
        process.kill()
        process.wait()


class _ForkedProcess:
    """A process of multiprocessing with the names that `Popen` has."""

    def __init__(self, process: Any) -> None:
        self._process = process

    def send_signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def wait(self, seconds: float) -> int | None:
        self._process.join(seconds)
        return self._process.exitcode


@contextmanager
def fork_server(forks: ForkServerContext, data: Path, pause: float) -> Iterator[tuple[_ForkedProcess, httpx.Client]]:
    """One life of a server with the real `/v1` and a tool whose steps take `pause` seconds.

    The fork server of `forks` may have imported this module for all of them.
    """
    receiver, sender = forks.Pipe(duplex=False)
    process = forks.Process(target=_serve_until_killed, args=(data, pause, sender))
    process.start()
    sender.close()
    try:
        assert receiver.poll(60)
        with httpx.Client(base_url=receiver.recv(), timeout=60) as http:
            yield _ForkedProcess(process), http
    finally:
        process.kill()
        process.join()
        process.close()
        receiver.close()


def _serve_until_killed(data: Path, pause: float, address: Connection) -> None:
    use_content_filter(False)  # as in the tests' own process: it would look at every row
    with serve_app(data) as studio:
        studio.gate.pause = pause
        address.send(studio.url)
        time.sleep(600)


def _submit_batch(http: httpx.Client, body: dict[str, Any], rows: int) -> str:
    lines = "\n".join(
        json.dumps({"custom_id": f"r{n}", "method": "POST", "url": TOOL_URL, "body": {**body, "seed": n}})
        for n in range(rows)
    )
    sent = http.post("/v1/files", files={"file": ("in.jsonl", lines.encode())}, data={"purpose": "batch"}).json()
    asked = {"input_file_id": sent["id"], "endpoint": TOOL_URL, "completion_window": "24h"}
    return http.post("/v1/batches", json=asked).json()["id"]


def _get_batch(http: httpx.Client, batch: str) -> dict[str, Any]:
    return http.get(f"/v1/batches/{batch}").json()


def _wait_for_batch(http: httpx.Client, batch: str) -> None:
    wait_until(lambda: _get_batch(http, batch)["status"] == "completed", 1800)


def _follow_running_job(http: httpx.Client) -> tuple[str, threading.Thread | None]:
    """Somebody who follows a row under way until the line goes dead."""
    jobs = http.get("/v1/jobs").json()["data"]
    going = [row["id"] for row in jobs if row["status"] in ("running", "queued")]
    if not going:
        return "", None

    def follow() -> None:
        try:
            with httpx.stream("GET", f"{http.base_url}/v1/jobs/{going[-1]}/events", timeout=60) as answer:
                for _ in answer.iter_lines():
                    pass
        except httpx.HTTPError:
            return

    thread = threading.Thread(target=follow)
    thread.start()
    return going[-1], thread


def _receives_result(http: httpx.Client, job_id: str) -> bool:
    """Whether a watcher who comes back with what it saw last is told the end."""
    last = ""
    with http.stream("GET", f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": "2"}, timeout=600) as answer:
        for line in answer.iter_lines():
            last = line if line.startswith("event:") else last
    return answer.status_code == 200 and last == "event: result"


def _inspect_outcome(http: httpx.Client, data: Path, batch: str, seen: KillReport) -> None:
    told = _get_batch(http, batch)
    seen.counts = told["request_counts"]
    for line in http.get(f"/v1/files/{told['output_file_id']}/content").text.splitlines():
        files = json.loads(line)["response"]["body"]["files"]
        # Links carry the address that the studio had when it was asked, and each life has a port of its own.
        seen.served_result_count += all(
            http.get(httpx.URL(file["url"]).raw_path.decode()).status_code == 200 for file in files
        )
    db = sqlite3.connect(data / "jobs.sqlite3", timeout=30)
    seen.done_rows = [row for (row,) in db.execute("SELECT row FROM log ORDER BY row")]
    seen.is_database_intact = db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    for path in (data / "files").iterdir():
        if path.suffix in (".png", ".webp", ".jpeg") and not path.name.startswith("."):
            try:
                with PIL.Image.open(path) as picture:
                    assert np.asarray(picture).size
            except OSError:
                seen.truncated_files.append(path.name)
