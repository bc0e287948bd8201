"""A batch sent through REST to a server that is killed again and again, and what must be true when it is done."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import PIL.Image

from tests.support.app_process import ROOT, find_free_port, is_healthy
from tests.support.served_app import serve_app, wait_until

TOOL_URL = "/v1/tools/background"
# Every time that a row becomes done is noted, so that a row done twice is seen.
_DONE_LOG_SQL = (
    "CREATE TABLE log (row INTEGER); CREATE TRIGGER told AFTER UPDATE OF status ON jobs "
    "WHEN NEW.status = 'done' AND NEW.batch_id IS NOT NULL BEGIN INSERT INTO log VALUES (NEW.batch_row); END;"
)
KillTrigger = Callable[[httpx.Client, str], None]
"""Returns when the server is to be killed."""


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
    command: Sequence[str], data: Path, body: dict[str, Any], rows: int, moments: Sequence[KillTrigger]
) -> KillReport:
    """Send the batch, kill the server at each of `moments`, let it finish, and look.

    `command` starts the server, which says its address on a line `up ADDRESS`, or is known by it as its last word.
    """
    seen = KillReport()
    batch, watching = "", ""
    for moment in (*moments, None):
        with run_server(command) as (process, http):
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
def run_server(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """One life of the server, from when it answers."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        url = command[-1] if command[-1].startswith("http") else process.stdout.readline().split()[1]
        with httpx.Client(base_url=url, timeout=60) as http:
            wait_until(lambda: process.poll() is None and is_healthy(url), 180)
            yield process, http
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


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


def serve_until_killed(data: Path, pause: float) -> None:
    """The server that the test kills: the real `/v1`, and a tool whose steps take `pause` seconds."""
    with serve_app(data) as studio:
        studio.gate.pause = pause
        sys.stdout.write(f"up {studio.url}\n")
        sys.stdout.flush()
        time.sleep(600)


if __name__ == "__main__":
    serve_until_killed(Path(sys.argv[1]), float(sys.argv[2]))
