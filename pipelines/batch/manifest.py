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

from pipelines.batch.batch_service import BatchService
from pipelines.batch.batch_table import RowState
from pipelines.codecs.encode import FILE_EXTENSIONS
from pipelines.core.job import File
from pipelines.core.params import JSON
from pipelines.jobs.queue import JobRow

MANIFEST_COLUMNS = (
    "row",
    "id",
    "tool",
    "status",
    "file",
    "seed",
    "checks",
    "notices",
    "seconds",
    "code",
    "column",
    "error",
)
MANIFEST_NAME = "manifest.csv"
_UNSAFE_CHARS = re.compile(r"[^A-Za-z0-9._-]+")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def escape_formula(value: object) -> str:
    """Text that a spreadsheet shows and does not run; numbers stay numbers."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) and not isinstance(value, int | float) else text


def result_file_name(row: RowState, number: int, file: File) -> str:
    """`00012-red-mug.png`: the row, then its id or its picture's name; nothing in it can lead anywhere."""
    stem = row.key if row.key != str(row.row) else _picture_stem(row.cells)
    words = _UNSAFE_CHARS.sub("-", stem).strip("-.")[:60]
    which = [Path(file.name).stem] if file.name else [str(number)] if number > 1 else []
    return f"{'-'.join([f'{row.row:05d}', *([words] if words else []), *which])}.{FILE_EXTENSIONS.get(file.format, file.format)}"


def _picture_stem(cells: dict[str, JSON]) -> str:
    return Path(picture_name(cells)).stem


def picture_name(cells: Mapping[str, JSON]) -> str:
    """The name of a row's photo, "" where it has none."""
    name = next((cells[key] for key in ("photo", "image") if isinstance(cells.get(key), str)), "")
    return "" if str(name).startswith("file-") else str(name)


def row_label(row: int, key: str, cells: Mapping[str, JSON]) -> str:
    """What its owner calls a row: its id, else its picture's name; "" where it has neither."""
    return key if key != str(row) else Path(picture_name(cells)).name


def result_files(job: JobRow | None) -> list[File]:
    """What a job that is done has made, the cut-outs left out."""
    return [file for file in job.result.files if file.role != "matte"] if job is not None and job.result else []


def write_manifest(batches: BatchService, batch_id: str, out: IO[str]) -> None:
    """A line for every row, read and written one at a time."""
    writer = csv.writer(out)
    writer.writerow(MANIFEST_COLUMNS)
    for row in batches.iter_rows(batch_id):
        writer.writerow([escape_formula(cell) for cell in _manifest_row(batches, row)])


def _manifest_row(batches: BatchService, row: RowState) -> list[object]:
    job = batches.jobs.get_job(row.job_id) if row.job_id else None
    files = [result_file_name(row, number, file) for number, file in enumerate(result_files(job), 1)]
    receipt = job.result.receipt if job is not None and job.result else {}
    error = row.error or {}
    return [
        row.row, row.key, row.tool, row.status, " | ".join(files), None if job is None else job.job.seed,
        json.dumps(receipt["checks"]) if receipt.get("checks") else None, " ".join(receipt.get("notices", ())),
        job.result.seconds if job is not None and job.result else None, error.get("code"), error.get("param"),
        error.get("message"),
    ]  # fmt: skip


def write_beside(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a file beside `path`, then move it into place whole."""
    part = path.with_name(f".part-{uuid.uuid4().hex}")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def save_manifest(batches: BatchService, batch_id: str, path: Path) -> None:
    """The manifest at `path`; with a mark that tells spreadsheets it is UTF-8."""

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8-sig", newline="") as out:
            write_manifest(batches, batch_id, out)

    write_beside(path, write)


def iter_pictures(batches: BatchService, batch_id: str, since: float = 0.0) -> Iterator[tuple[str, Path]]:
    """Every picture that was finished from then on: the name it should have, and where it lies."""
    for row in batches.iter_rows(batch_id, "done", since):
        job = batches.jobs.get_job(row.job_id) if row.job_id else None
        for number, file in enumerate(result_files(job), 1):
            yield result_file_name(row, number, file), batches.service.files.local_path(file.id)


def export_pictures(batches: BatchService, batch_id: str, folder: Path, since: float = 0.0) -> int:
    """Every picture that was finished from then on, in `folder`, each moved into place whole; how many were new."""
    new = 0
    for name, path in iter_pictures(batches, batch_id, since):
        target = folder / name
        if not target.exists():
            write_beside(target, lambda part, path=path: link_or_copy(path, part))
            new += 1
    return new


def link_or_copy(path: Path, part: Path) -> None:
    """The same bytes under a second name; a copy where the disk knows no links."""
    with contextlib.suppress(OSError):
        os.link(path, part)
        return
    shutil.copyfile(path, part)


def save_zip(batches: BatchService, batch_id: str, path: Path) -> None:
    """Pictures and manifest as one ZIP, written beside, signed and moved; pictures are packed as they are."""

    def write(part: Path) -> None:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as out:
            for name, picture in iter_pictures(batches, batch_id):
                out.write(picture, name)
            table = part.with_name(f"{part.name}.csv")
            try:
                save_manifest(batches, batch_id, table)
                out.write(table, MANIFEST_NAME)  # stored as well: what is packed tight cannot be signed
            finally:
                table.unlink(missing_ok=True)
        batches.service.uploads.sign_archive(part)

    write_beside(path, write)
