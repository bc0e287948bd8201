"""Every image file of Pillow's own source distribution through both doors; asked for by name: it fetches 47 MB.

`python -m tests.bench pillow`, or with `PILLOW_SDIST=…/pillow-12.3.0.tar.gz` one that is there already.
"""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import PIL.Image
import psutil

from pipelines.core.malloc import trim_heap
from tests.bench.rows import Row, make_row
from tests.support.page_client import list_picture_inputs, submit_event
from tests.support.served_app import serve_public_page, wait_until

PILLOW_VERSION = "12.3.0"
FILE_COUNT = 1056
SESSION_HASH = "one-visitor"
REFUSED_MARK = 'role=\\"alert\\"'
"""As `ui.tool_tab.text.alert` writes it, in JSON; a remark about a picture that was taken is no alert."""
LARGE_PICTURE_COUNT = 18
"""Pictures of 17 MB each that come first, so that what the studio remembers by design (256 MB of pixels) is full."""
WARM_UP_FILE_COUNT = 200
"""Files, through both doors, after which memory should stay where it is."""


def rows() -> Iterator[Row]:
    """How many files, what went wrong, the slowest answer, and what memory grew by."""
    with tempfile.TemporaryDirectory() as folder, open_uploads(Path(folder) / "data") as (doors, answers):
        names: list[str] = []
        wrong: list[str] = []
        slowest, base, slow = 0.0, 0.0, ""
        for shade in range(LARGE_PICTURE_COUNT):
            assert doors["page"]("large.png", _make_large_picture(shade)) == "taken"
        for name, data in read_test_images(_find_sdist(Path(folder))):
            names.append(name)
            for door, send in doors.items():
                since = time.perf_counter()
                answer = send(name, data)
                took = time.perf_counter() - since
                slowest, slow = max((slowest, slow), (took, f"{name} by {door}"))
                if answer not in ("taken", "refused"):
                    wrong.append(f"{name} by {door}: {answer}")
            base = _measure_memory_mb() if len(names) == WARM_UP_FILE_COUNT else base
            if len(names) % 100 == 0:
                print(f"{len(names)} files, {_measure_memory_mb():.0f} MB", file=sys.stderr)
        grown = _measure_memory_mb() - base
        if not answers():
            wrong.append("the server is down")
    print(f"slowest: {slow}", file=sys.stderr)
    for line in wrong:
        print(line, file=sys.stderr)
    yield make_row("pillow_files", len(names), "files", FILE_COUNT, at_most=False)
    yield make_row("pillow_wrong_answers", len(wrong), "answers", 0)
    yield make_row("pillow_slowest_seconds", round(slowest, 2), "s", 5)
    yield make_row("pillow_memory_mb", round(grown, 1), "MB", 150)


def _make_large_picture(shade: int) -> bytes:
    out = io.BytesIO()
    PIL.Image.new("RGB", (2400, 2400), (shade * 8, 90, 90)).save(out, "PNG")
    return out.getvalue()


def read_test_images(sdist: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every file below `Tests/images`."""
    with tarfile.open(sdist) as archive:
        for member in archive:
            if member.isfile() and "/Tests/images/" in member.name:
                file = archive.extractfile(member)
                assert file is not None
                yield member.name.partition("/Tests/images/")[2], file.read()


def _find_sdist(folder: Path) -> Path:
    if given := os.environ.get("PILLOW_SDIST"):
        return Path(given)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--no-binary",
        "pillow",
        f"pillow=={PILLOW_VERSION}",
    ]
    subprocess.run([*pip, "-d", str(folder)], check=True)
    return next(folder.glob("*.tar.gz"))


def _read_blank_form(browser: httpx.Client, event: int) -> list[object]:
    """The form as it is when the page is opened."""
    config = browser.get("/config").json()
    parts = {row["id"]: row["props"].get("value") for row in config["components"]}
    return [parts[place] for row in config["dependencies"] if row["id"] == event for place in row["inputs"]]


Send = Callable[[str, bytes], str]


@contextmanager
def open_uploads(root: Path) -> Iterator[tuple[dict[str, Send], Callable[[], bool]]]:
    """Both doors of a real studio, each as a function that says what became of a file, and whether it still answers."""
    with serve_public_page(root) as (url, studio, _), httpx.Client(base_url=url, timeout=30) as browser:
        browser.get("/")
        key = {"Authorization": f"Bearer {studio.keys.create_key('bench')}"}
        event, place, _ = list_picture_inputs(browser)[0]
        blank = _read_blank_form(browser, event)

        def page(name: str, data: bytes) -> str:
            sent = browser.post("/gradio_api/upload", files={"files": ("picture" + Path(name).suffix, data)})
            if sent.status_code != 200:
                return f"upload {sent.status_code}"
            given = {"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}}
            values = [*blank[:place], given, *blank[place + 1 :]]
            text = submit_event(browser, event, values, SESSION_HASH)
            if '"success": true' not in text and '"success":true' not in text:
                return f"event failed: {text[-300:]}"
            return "refused" if REFUSED_MARK in text else "taken"

        def rest(name: str, data: bytes) -> str:
            answer = browser.post("/v1/files", files={"file": (Path(name).name, data)}, headers=key)
            if answer.status_code == 200:
                return "taken"
            known = answer.status_code in (400, 413) and "code" in answer.json().get("error", {})
            return "refused" if known else f"{answer.status_code}"

        def up() -> bool:
            wait_until(studio.is_idle, 60)
            return browser.get("/healthz").status_code == 200

        yield {"page": page, "rest": rest}, up


def _measure_memory_mb() -> float:
    """MB of this process and its workers, after what the studio does each minute."""
    gc.collect()
    trim_heap()
    me = psutil.Process()
    return sum(process.memory_info().rss for process in (me, *me.children(recursive=True))) / 2**20
