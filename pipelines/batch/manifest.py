"""Results of a batch: the manifest as CSV, and the pictures under readable names in a folder or a ZIP."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.batch.batch_service import BatchService
from pipelines.batch.batch_table import Batch, Replacement, RowState
from pipelines.batch.jobs_file import MANIFEST_COLUMNS, MANIFEST_NAME
from pipelines.codecs.encode import FILE_EXTENSIONS
from pipelines.core.job import File
from pipelines.core.params import JSON
from pipelines.jobs.queue import JobRow
from pipelines.storage.local_store import atomic_write

SET_ASIDE_FOLDER = "set-aside"
NEVER_SET_ASIDE = 1.0
_UNSAFE_CHARS = re.compile(r"[^A-Za-z0-9._-]+")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def escape_spreadsheet_formula(value: object) -> str:
    """Return text that a spreadsheet shows but does not run as a formula; numbers stay numbers."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) and not isinstance(value, int | float) else text


def result_file_name(row: RowState, number: int, file: File) -> str:
    """Return a name such as `00012-red-mug.png`: the row, then its id or its picture's name, in safe characters."""
    label = row.key if row.key != str(row.row) else Path(picture_name(row.cells)).stem
    safe_label = _UNSAFE_CHARS.sub("-", label).strip("-.")[:60]
    suffix = Path(file.name).stem if file.name else str(number) if number > 1 else ""
    stem = "-".join(part for part in (f"{row.row:05d}", safe_label, suffix) if part)
    return f"{stem}.{FILE_EXTENSIONS.get(file.format, file.format)}"


def picture_name(cells: Mapping[str, JSON]) -> str:
    """Return the name of a row's photo, "" where it has none."""
    name = next((cells[key] for key in ("photo", "image") if isinstance(cells.get(key), str)), "")
    return "" if str(name).startswith("file-") else str(name)


def row_label(row: int, key: str, cells: Mapping[str, JSON]) -> str:
    """Return a row's own id, else its picture's name; "" where it has neither."""
    return key if key != str(row) else Path(picture_name(cells)).name


def result_files(job: JobRow | None) -> list[File]:
    """Return the files of a finished job, without cut-outs."""
    return [file for file in job.result.files if file.role != "matte"] if job is not None and job.result else []


def name_zip(batch: Batch, title: str) -> str:
    """Return the file name of a batch's ZIP, in safe characters, such as `product-photos-2026-11-30.zip`.

    `title` is its tool's, "" where each row has a tool of its own. The day is the one on which it was made, in UTC.
    """
    label = _UNSAFE_CHARS.sub("-", title.lower()).strip("-.")[:60] or batch.tool or "batch"
    return f"{label}-{datetime.fromtimestamp(batch.created, UTC):%Y-%m-%d}.zip"


def format_replacement_time(earlier: Sequence[Replacement]) -> str:
    """Return when a row's picture was last replaced by another, such as `2026-11-28T03:40:00Z`; "" where it was not."""
    return format_time(earlier[-1].replaced_at if earlier else None)


def format_time(seconds: float | None) -> str:
    """Return a Unix time such as `2026-11-28T03:40:00Z`, "" for None."""
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _manifest_row(batches: BatchService, row: RowState) -> list[object]:
    job = batches.jobs.get_job(row.job_id) if row.job_id else None
    files = [result_file_name(row, number, file) for number, file in enumerate(result_files(job), 1)]
    receipt = job.result.receipt if job is not None and job.result else {}
    error = row.error or {}
    return [
        row.row,
        row.key,
        row.tool,
        row.status,
        " | ".join(files),
        None if job is None else job.job.seed,
        json.dumps(receipt["checks"]) if receipt.get("checks") else None,
        " ".join(receipt.get("notices", ())),
        job.result.seconds if job is not None and job.result else None,
        error.get("code"),
        error.get("param"),
        error.get("message"),
        cutout_uncertainty(job),
        _label_changes_cell(receipt),
    ]


def _label_changes_cell(receipt: Mapping[str, Any]) -> str | None:
    """Return the words of a label that are not kept, with what is read now; "" where all are, None where none is."""
    labels = [label for label in receipt.get("label", ()) if label is not None and label["before"]]
    changes = [f"{change['word']} > {change['reads'] or '-'}" for label in labels for change in label["changes"]]
    return " | ".join(dict.fromkeys(changes)) if labels else None


def cutout_uncertainty(job: JobRow | None) -> float | None:
    """Return how uncertain the cut-out of a finished job is, 0 to 1; None where no net cut anything out."""
    return job.result.receipt.get("cutout_uncertainty") if job is not None and job.result else None


def list_cutouts(batches: BatchService, batch_id: str) -> list[tuple[int, str, float]]:
    """Return number, label and uncertainty of every finished row with a cut-out, the least certain first.

    A row whose picture somebody found right is not listed.
    """
    approvals = batches.table.list_approvals(batch_id)
    found = [
        (row.row, row_label(row.row, row.key, row.cells), uncertainty)
        for row in batches.iter_rows(batch_id, "done")
        if row.job_id
        and row.row not in approvals
        and (uncertainty := cutout_uncertainty(batches.jobs.get_job(row.job_id))) is not None
    ]
    return sorted(found, key=lambda each: -each[2])


def save_manifest(batches: BatchService, batch_id: str, path: Path) -> None:
    """Write the manifest to `path`, with a byte order mark so that spreadsheets read UTF-8. Raises `disk_full`."""
    replacements, approvals = batches.table.list_replacements(batch_id), batches.table.list_approvals(batch_id)
    with atomic_write(path) as part, part.open("w", encoding="utf-8-sig", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(MANIFEST_COLUMNS)
        for row in batches.iter_rows(batch_id):
            looked_at = format_replacement_time(replacements.get(row.row, ())), format_time(approvals.get(row.row))
            writer.writerow([escape_spreadsheet_formula(cell) for cell in (*_manifest_row(batches, row), *looked_at)])


def iter_pictures(
    batches: BatchService, batch_id: str, since: float = 0.0, *, set_aside: float = NEVER_SET_ASIDE
) -> Iterator[tuple[str, Path]]:
    """Yield name and path of every file that was finished from the Unix time `since` on.

    The name has a folder before it where the cut-out is more uncertain than `set_aside`, unless somebody found it
    right.
    """
    approvals = batches.table.list_approvals(batch_id)
    for row in batches.iter_rows(batch_id, "done", since):
        job = batches.jobs.get_job(row.job_id) if row.job_id else None
        is_aside = row.row not in approvals and (cutout_uncertainty(job) or 0.0) > set_aside
        folder = f"{SET_ASIDE_FOLDER}/" if is_aside else ""
        for number, file in enumerate(result_files(job), 1):
            yield folder + result_file_name(row, number, file), batches.service.files.local_path(file.id)


def export_pictures(batches: BatchService, batch_id: str, folder: Path, since: float = 0.0) -> int:
    """Link or copy the files that were finished from `since` on into `folder`; return how many were new."""
    count = 0
    for name, path in iter_pictures(batches, batch_id, since):
        target = folder / name
        if not target.exists():
            with atomic_write(target) as part:
                link_or_copy(path, part)
            count += 1
    return count


def link_or_copy(path: Path, part: Path) -> None:
    """Link a file to a second name, or copy it where the file system has no hard links."""
    with contextlib.suppress(OSError):
        os.link(path, part)
        return
    shutil.copyfile(path, part)


def save_zip(batches: BatchService, batch_id: str, path: Path, set_aside: float = NEVER_SET_ASIDE) -> None:
    """Write pictures, as `iter_pictures` names them, and manifest as one signed ZIP. Raises `disk_full`."""
    with atomic_write(path) as part:
        # Nothing is compressed, since a compressed entry cannot be signed.
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as out:
            for name, picture in iter_pictures(batches, batch_id, set_aside=set_aside):
                out.write(picture, name)
            table = part.with_name(f"{part.name}.csv")
            try:
                save_manifest(batches, batch_id, table)
                out.write(table, MANIFEST_NAME)
            finally:
                table.unlink(missing_ok=True)
        batches.service.uploads.sign_archive(part)
