"""What became of every row, as a table that no spreadsheet runs, and results gathered under readable names."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shutil
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

from pipelines.batch.batch_service import Batches
from pipelines.batch.batch_table import RowState
from pipelines.codecs.encode import ENDING
from pipelines.core.job import File
from pipelines.core.params import JSON
from pipelines.jobs.queue import Row

COLUMNS = ("row", "id", "tool", "status", "file", "seed", "checks", "notices", "seconds", "code", "column", "error")
MANIFEST = "manifest.csv"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_RUNS = ("=", "+", "-", "@", "\t", "\r", "\n")


def disarmed(value: object) -> str:
    """Text that a spreadsheet shows and does not run; numbers stay numbers."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_RUNS) and not isinstance(value, int | float) else text


def name_of(row: RowState, number: int, file: File) -> str:
    """`00012-red-mug.png`: the row, then its id or its picture's name; nothing in it can lead anywhere."""
    stem = row.key if row.key != str(row.row) else _picture(row.cells)
    words = _UNSAFE.sub("-", stem).strip("-.")[:60]
    which = [Path(file.name).stem] if file.name else [str(number)] if number > 1 else []
    return f"{'-'.join([f'{row.row:05d}', *([words] if words else []), *which])}.{ENDING.get(file.format, file.format)}"


def _picture(cells: dict[str, JSON]) -> str:
    return Path(picture_of(cells)).stem


def picture_of(cells: Mapping[str, JSON]) -> str:
    """The name of a row's photo, "" where it has none."""
    name = next((cells[key] for key in ("photo", "image") if isinstance(cells.get(key), str)), "")
    return "" if str(name).startswith("file-") else str(name)


def called(row: int, key: str, cells: Mapping[str, JSON]) -> str:
    """What its owner calls a row: its id, else its picture's name; "" where it has neither."""
    return key if key != str(row) else Path(picture_of(cells)).name


def results(job: Row | None) -> list[File]:
    """What a job that is done has made, the cut-outs left out."""
    return [file for file in job.result.files if file.role != "matte"] if job is not None and job.result else []


def write_manifest(batches: Batches, batch_id: str, out: IO[str]) -> None:
    """A line for every row, read and written one at a time."""
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in batches.rows(batch_id):
        writer.writerow([disarmed(cell) for cell in _line(batches, row)])


def _line(batches: Batches, row: RowState) -> list[object]:
    job = batches.jobs.get(row.job_id) if row.job_id else None
    files = [name_of(row, number, file) for number, file in enumerate(results(job), 1)]
    receipt = job.result.receipt if job is not None and job.result else {}
    error = row.error or {}
    return [
        row.row, row.key, row.tool, row.status, " | ".join(files), None if job is None else job.job.seed,
        json.dumps(receipt["checks"]) if receipt.get("checks") else None, " ".join(receipt.get("notices", ())),
        job.result.seconds if job is not None and job.result else None, error.get("code"), error.get("param"),
        error.get("message"),
    ]  # fmt: skip


def beside(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a file beside `path`, then move it into place whole."""
    part = path.with_name(f".part-{uuid.uuid4().hex}")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def save_manifest(batches: Batches, batch_id: str, path: Path) -> None:
    """The manifest at `path`; with a mark that tells spreadsheets it is UTF-8."""

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8-sig", newline="") as out:
            write_manifest(batches, batch_id, out)

    beside(path, write)


def pictures(batches: Batches, batch_id: str, since: float = 0.0) -> Iterator[tuple[str, Path]]:
    """Every picture that was finished from then on: the name it should have, and where it lies."""
    for row in batches.rows(batch_id, "done", since):
        job = batches.jobs.get(row.job_id) if row.job_id else None
        for number, file in enumerate(results(job), 1):
            yield name_of(row, number, file), batches.desk.files.path(file.id)


def lay_out(batches: Batches, batch_id: str, folder: Path, since: float = 0.0) -> int:
    """Every picture that was finished from then on, in `folder`, each moved into place whole; how many were new."""
    new = 0
    for name, path in pictures(batches, batch_id, since):
        target = folder / name
        if not target.exists():
            beside(target, lambda part, path=path: linked(path, part))
            new += 1
    return new


def linked(path: Path, part: Path) -> None:
    """The same bytes under a second name; a copy where the disk knows no links."""
    with contextlib.suppress(OSError):
        os.link(path, part)
        return
    shutil.copyfile(path, part)


def save_zip(batches: Batches, batch_id: str, path: Path) -> None:
    """Pictures and manifest as one ZIP, written beside, signed and moved; pictures are packed as they are."""

    def write(part: Path) -> None:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as out:
            for name, picture in pictures(batches, batch_id):
                out.write(picture, name)
            table = part.with_name(f"{part.name}.csv")
            try:
                save_manifest(batches, batch_id, table)
                out.write(table, MANIFEST)  # stored as well: what is packed tight cannot be signed
            finally:
                table.unlink(missing_ok=True)
        batches.desk.sign_archive(part)

    beside(path, write)
