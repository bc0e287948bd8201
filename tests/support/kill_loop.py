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

from tests.support.served_app import served, until

ROOT = Path(__file__).parents[2]
URL = "/v1/tools/background"
# Every time that a row becomes done is noted, so that a row done twice is seen.
_LOG = (
    "CREATE TABLE log (row INTEGER); CREATE TRIGGER told AFTER UPDATE OF status ON jobs "
    "WHEN NEW.status = 'done' AND NEW.batch_id IS NOT NULL BEGIN INSERT INTO log VALUES (NEW.batch_row); END;"
)
Moment = Callable[[httpx.Client, str], None]
"""Returns when the server is to be killed."""


@dataclass
class Survived:
    """What was seen. `halves` are files that cannot be read whole, `lost` watchers that were not told the end."""

    done: list[int] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    sound: bool = False
    results: int = 0
    halves: list[str] = field(default_factory=list)
    killed: int = 0
    watched: int = 0
    lost: int = 0

    def once(self, rows: int) -> bool:
        """Whether every row was done exactly once, and nothing is half or lost."""
        whole = self.sound and not self.halves and not self.lost and self.results == rows
        return whole and self.done == list(range(1, rows + 1)) and self.counts["completed"] == rows


def survive(command: Sequence[str], data: Path, body: dict[str, Any], rows: int, moments: Sequence[Moment]) -> Survived:
    """Send the batch, kill the server at each of `moments`, let it finish, and look.

    `command` starts the server, which says its address on a line `up ADDRESS`, or is known by it as its last word.
    """
    seen = Survived()
    batch, watching = "", ""
    for moment in (*moments, None):
        with life(command) as (process, http):
            if not batch:
                batch = _sent(http, body, rows)
                db = sqlite3.connect(data / "jobs.sqlite3", timeout=30)
                db.executescript(_LOG)
                db.close()
            if watching:
                seen.watched += 1
                seen.lost += not _told(http, watching)
            if moment is None:
                _finished(http, batch)
                _look(http, data, batch, seen)
                continue
            watching, watcher = _watcher(http)
            moment(http, batch)
            process.send_signal(signal.SIGKILL)
            seen.killed += process.wait(60) == -signal.SIGKILL
            if watcher is not None:
                watcher.join(30)
    return seen


@contextmanager
def life(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """One life of the server, from when it answers."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        url = command[-1] if command[-1].startswith("http") else process.stdout.readline().split()[1]
        with httpx.Client(base_url=url, timeout=60) as http:
            until(lambda: process.poll() is None and _answers(http), 180)
            yield process, http
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _answers(http: httpx.Client) -> bool:
    try:
        return http.get("/healthz").status_code == 200
    except httpx.HTTPError:
        return False


def _sent(http: httpx.Client, body: dict[str, Any], rows: int) -> str:
    lines = "\n".join(
        json.dumps({"custom_id": f"r{n}", "method": "POST", "url": URL, "body": {**body, "seed": n}})
        for n in range(rows)
    )
    sent = http.post("/v1/files", files={"file": ("in.jsonl", lines.encode())}, data={"purpose": "batch"}).json()
    asked = {"input_file_id": sent["id"], "endpoint": URL, "completion_window": "24h"}
    return http.post("/v1/batches", json=asked).json()["id"]


def _batch(http: httpx.Client, batch: str) -> dict[str, Any]:
    return http.get(f"/v1/batches/{batch}").json()


def _finished(http: httpx.Client, batch: str) -> None:
    until(lambda: _batch(http, batch)["status"] == "completed", 1800)


def _watcher(http: httpx.Client) -> tuple[str, threading.Thread | None]:
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


def _told(http: httpx.Client, job_id: str) -> bool:
    """Whether a watcher who comes back with what it saw last is told the end."""
    last = ""
    with http.stream("GET", f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": "2"}, timeout=600) as answer:
        for line in answer.iter_lines():
            last = line if line.startswith("event:") else last
    return answer.status_code == 200 and last == "event: result"


def _look(http: httpx.Client, data: Path, batch: str, seen: Survived) -> None:
    told = _batch(http, batch)
    seen.counts = told["request_counts"]
    for line in http.get(f"/v1/files/{told['output_file_id']}/content").text.splitlines():
        files = json.loads(line)["response"]["body"]["files"]
        # Links carry the address that the studio had when it was asked, and each life has a port of its own.
        seen.results += all(http.get(httpx.URL(file["url"]).raw_path.decode()).status_code == 200 for file in files)
    db = sqlite3.connect(data / "jobs.sqlite3", timeout=30)
    seen.done = [row for (row,) in db.execute("SELECT row FROM log ORDER BY row")]
    seen.sound = db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    for path in (data / "files").iterdir():
        if path.suffix in (".png", ".webp", ".jpeg") and not path.name.startswith("."):
            try:
                with PIL.Image.open(path) as picture:
                    assert np.asarray(picture).size
            except OSError:
                seen.halves.append(path.name)


def main(data: Path, pause: float) -> None:
    """The server that the test kills: the real `/v1`, and a tool whose steps take `pause` seconds."""
    with served(data) as studio:
        studio.gate.pause = pause
        sys.stdout.write(f"up {studio.url}\n")
        sys.stdout.flush()
        time.sleep(600)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
