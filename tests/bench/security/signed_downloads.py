"""Every kind of file of every tool, through every interface of the real studio: signed, whole, a changed byte is seen.

`python -m tests.bench leaving` takes some minutes. `tests/provenance/test_every_door.py` does the same with two tools.
"""

from __future__ import annotations

import base64
import io
import random
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from pipelines.codecs.encode import MIME_TYPES, STILL_FORMATS
from pipelines.provenance.c2pa import verify_credentials
from pipelines.provenance.signing_key import SigningKeyStore
from tests.bench.rows import Row, make_row
from tests.bench.security.siege import start_server
from tests.support.app_process import ROOT
from tests.support.download_doors import (
    DOWNLOADS,
    DownloadedFile,
    StudioClient,
    download_by_rest,
    read_validation_state,
)
from tests.support.examples import EXAMPLES

FLIPS_PER_FILE = 24
"""Changed bytes a file."""
SIDE_PX = 512


def _make_data_url(name: str) -> str:
    return "data:image/jpeg;base64," + base64.b64encode((EXAMPLES / f"{name}.jpg").read_bytes()).decode()


def list_orders() -> Iterator[tuple[str, dict[str, Any]]]:
    """Forms that make a tool hand over all that it can: stills in each format, archives, films, pages, layers."""
    face, cup = _make_data_url("hopper"), _make_data_url("coffee")
    for kind in STILL_FORMATS:
        yield "headshot", {"photo": face, "consent": True, "size": SIDE_PX, "variations": 2, "format": kind}
    yield "headshot", {"photo": face, "consent": True, "size": SIDE_PX, "looks": "four"}
    yield "product", {"photo": cup, "size": SIDE_PX, "preset": "oak", "layers": True}
    yield "product", {"photo": cup, "size": SIDE_PX, "angles": [cup]}
    yield "background", {"prompt": "forest", "size": SIDE_PX, "contact_sheet": True}
    yield "style", {"photo": cup, "size": SIDE_PX}
    yield "character", {"size": SIDE_PX, "layers": True}
    yield "character", {"size": SIDE_PX, "layout": "sheet"}
    yield "fashion", {"photo": face, "consent": True, "size": SIDE_PX, "pdf": "book"}
    yield (
        "business",
        {"photos": [face, _make_data_url("astronaut")], "consent": True, "size": SIDE_PX, "preset": "press-kit"},
    )
    yield "kit", {"photo": cup}
    yield "motion", {"photo": face, "consent": True, "size": 256, "seconds": 3, "mp4": True}
    yield "cutout", {"photo": cup}
    yield "upscale", {"photo": _make_small_photo()}
    yield "expand", {"photo": cup}
    yield "retouch", {"photo": cup, "mask": _make_mask()}


def _make_small_photo() -> str:
    import PIL.Image

    out = io.BytesIO()
    with PIL.Image.open(EXAMPLES / "coffee.jpg") as picture:
        picture.resize((320, 240)).save(out, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def _make_mask() -> str:
    import PIL.Image

    out = io.BytesIO()
    with PIL.Image.open(EXAMPLES / "coffee.jpg") as picture:
        mask = PIL.Image.new("L", picture.size, 0)
    mask.paste(255, (10, 10, 60, 60))
    mask.save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def rows() -> Iterator[Row]:
    """How many files left, and how many of them were not as they should be."""
    wrong: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    flips = [0, 0, 0]
    dice = random.Random(1)
    with tempfile.TemporaryDirectory() as folder, start_server(Path(folder), spaces=False) as (url, _, _):
        root = SigningKeyStore(Path(folder)).load_key().root_certificate
        with httpx.Client(base_url=url, timeout=300) as http:
            visitor = StudioClient(http, url)
            for where, out in _download_everything(visitor):
                kinds[f"{where} {out.mime}"] += 1
                for fault in _find_faults(out, Path(folder), root):
                    wrong[f"{where} {out.mime}: {fault}"] += 1
                _flip_bytes(out, root, dice, flips, lambda fault, where=where: wrong.update([f"{where}: {fault}"]))
    for name, data in _run_batch_command():
        kinds["command line"] += 1
        if read_validation_state(data, "image/png") != "Valid":
            wrong[f"command line {name}"] += 1
    print(*(f"{count} x {name}" for name, count in sorted(kinds.items())), sep="\n", file=sys.stderr)
    print(*(f"WRONG {count} x {name}" for name, count in wrong.items()), sep="\n", file=sys.stderr)
    yield make_row("leaving_files", sum(kinds.values()), "files", 60, at_most=False)
    yield make_row("leaving_wrong", sum(wrong.values()), "files", 0)
    yield make_row("leaving_bytes_changed", flips[0], "changes", 1000, at_most=False)
    yield make_row("leaving_changes_unseen_by_verify", flips[1], "changes", 0)
    yield make_row("leaving_changes_unseen_by_c2pa", flips[2], "changes", flips[0] // 10)


def _download_everything(visitor: StudioClient) -> Iterator[tuple[str, DownloadedFile]]:
    for tool, values in list_orders():
        for out in download_by_rest(visitor, tool, values):
            yield f"rest {tool}", out
            if out.mime == MIME_TYPES["zip"]:
                yield from ((f"inside {tool}'s archive", each) for each in _unpack_pictures(out.data))
    for door in DOWNLOADS:
        for out in door(visitor, "background", {"prompt": "forest", "size": SIDE_PX}):
            yield door.__name__, out


def _unpack_pictures(data: bytes) -> Iterator[DownloadedFile]:
    """Pictures of an archive of results; the layers of one picture are parts, and signed as a whole."""
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        names = [name for name in packed.namelist() if not name.startswith(("META-INF", "0", "1", "2", "3"))]
        for name in names:
            kind = {"jpg": "jpeg"}.get(name.rpartition(".")[2], name.rpartition(".")[2])
            yield DownloadedFile(packed.read(name), MIME_TYPES[kind])


def _find_faults(out: DownloadedFile, data: Path, root: str) -> Iterator[str]:
    state = read_validation_state(out.data, out.mime)
    if state != "Valid":
        yield f"reads {state}"
    if (
        out.mime.startswith("image/")
        and out.mime != MIME_TYPES["ora"]
        and _read_verify_status(out.data, root) != "ours"
    ):
        yield "not ours"
    if out.file_id:
        kept = [path.read_bytes() for path in (data / "files").glob(f"{out.file_id}*")]
        if out.data not in kept:
            yield "not the bytes that were written"


def _read_verify_status(data: bytes, root: str) -> str:
    return getattr(verify_credentials(data, root), "status", "refused")


def _flip_bytes(
    out: DownloadedFile, root: str, dice: random.Random, flips: list[int], wrong: Callable[[str], None]
) -> None:
    """Change single bytes anywhere; the studio's Verify must see each in a picture, c2pa those that it signs."""
    picture = out.mime in ("image/png", "image/jpeg", "image/webp", "image/avif")
    for _ in range(FLIPS_PER_FILE):
        at = dice.randrange(len(out.data))
        changed = out.data[:at] + bytes([out.data[at] ^ (1 << dice.randrange(8))]) + out.data[at + 1 :]
        flips[0] += 1
        flips[2] += read_validation_state(changed, out.mime) in ("Valid", "Trusted")
        if picture and _read_verify_status(changed, root) in ("ours", "valid"):
            flips[1] += 1
            wrong(f"byte {at} of {len(out.data)} of a {out.mime} changed unseen")


def _run_batch_command() -> Iterator[tuple[str, bytes]]:
    """The pictures of a batch that was run without a server."""
    with tempfile.TemporaryDirectory() as folder:
        jobs, out = Path(folder) / "jobs.csv", Path(folder) / "out"
        jobs.write_text("prompt,size\nforest,256\nlobby,256\n")
        command = [sys.executable, "app.py", "--profile", "embedded", "batch", str(jobs), "--out", str(out)]
        subprocess.run([*command, "--tool", "background"], cwd=ROOT, check=True, capture_output=True)
        for path in sorted(out.glob("*.png")):
            yield path.name, path.read_bytes()
