"""`app.py batch`: runs a jobs file from the command line, with a progress line."""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.batch.format_amounts import NO_ROOM_NOTE, SCALED_COST_NOTE, format_bytes, format_duration
from pipelines.core.errors import BadInput, NotFound, StudioError
from pipelines.core.params import JSON
from pipelines.settings import LOCAL_OWNER, Settings
from pipelines.storage.disk_space import translate_disk_full

if TYPE_CHECKING:
    from pipelines.batch.batch_service import BatchProgress, BatchService
    from pipelines.batch.batch_table import Batch
    from pipelines.batch.dry_run import DryRunReport
    from ui.server.factory import RunningStudio


STATE_FOLDER = ".batch"
"""Folder inside --out with the state of every row, so that a run can be resumed even when --out was moved."""

EXIT_DONE = 0
EXIT_ROWS_FAILED = 1
EXIT_REFUSED = 2
EXIT_PAUSED = 3
EXIT_INTERRUPTED = 130

SHOWN_FAULT_COUNT = 20

POLL_SECONDS = 0.5
"""Seconds between two looks at the batch."""

LOG_LINE_SECONDS = 30.0
"""Seconds between two progress lines where the output is not a terminal."""


def add_batch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `app.py batch`."""
    parser.add_argument("jobs", metavar="JOBS", help="a CSV or JSONL, a folder of pictures, or a ZIP of either")
    parser.add_argument("--out", required=True, metavar="DIR", help="results and manifest.csv go here")
    parser.add_argument("--resume", action="store_true", help="go on where DIR's run stopped; failed rows are retried")
    parser.add_argument("--dry-run", action="store_true", help="check every row and picture; make nothing")
    parser.add_argument("--tool", default="", metavar="ID", help="the tool, where rows do not name theirs")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="a value for every row that has none"
    )
    parser.add_argument(
        "--ray-data", action="store_true", help="all rows as one data set on the Ray cluster, for thousands of them"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="where all seeds come from (default: drawn once)")
    parser.add_argument(
        "--seeds", choices=["same", "row"], default="same", help="one seed for all rows, or the next for each"
    )


def run_batch(settings: Settings, args: argparse.Namespace) -> int:
    """Run a batch and return the exit code: 0 done, 1 rows failed, 2 refused, 3 paused (disk full), 130 interrupted."""
    logging.getLogger().setLevel(logging.WARNING)
    out = Path(args.out)
    held = (out / STATE_FOLDER).exists()
    if args.resume and not held:
        return _print_refusal(f"{out} holds no run to resume.")
    if held and not args.resume and not args.dry_run:
        return _print_refusal(f"{out} holds a run already: add --resume to go on with it, or choose another --out.")
    own = settings.model_copy(update={"files": "", "database": ""})
    try:
        if args.dry_run:
            with tempfile.TemporaryDirectory() as nowhere:
                return _run_with_studio(own.model_copy(update={"data": Path(nowhere)}), args, out, settings)
        changes = {"data": out / STATE_FOLDER, "engine": "ray-data" if args.ray_data else settings.engine}
        return _run_with_studio(own.model_copy(update=changes), args, out, settings)
    except StudioError as error:
        if not held:
            shutil.rmtree(out / STATE_FOLDER, ignore_errors=True)  # there is nothing to resume
        return _print_refusal(error.message)
    except KeyboardInterrupt:
        _print_line(f"\nStopped. Go on with: python app.py batch {args.jobs} --out {out} --resume")
        return EXIT_INTERRUPTED


def _run_with_studio(settings: Settings, args: argparse.Namespace, out: Path, home: Settings) -> int:
    """Build a studio for this run and start or resume it. `home`: settings of the studio that has the brand kits."""
    from ui.server.factory import build_studio

    studio = build_studio(settings)
    try:
        if args.resume:
            return _resume_run(studio, out)
        _copy_saved_items(studio, home)
        return _start_run(studio, args, out)
    finally:
        studio.close()


def _copy_saved_items(studio: RunningStudio, home: Settings) -> None:
    """Copy the kits and looks of the studio `home` with their pictures: a run has a data folder of its own."""
    from pipelines.service.saved_items import BrandKit, read_kits_and_looks
    from pipelines.storage.file_index import read_png

    for kit in read_kits_and_looks(home.data, LOCAL_OWNER, home.database):
        for name in BrandKit.fields_of_kind("picture"):
            if kit.kind == "brand" and kit.value.get(name):
                with suppress(NotFound):
                    picture = read_png(_fetch_stored_file(home, f"{kit.value[name]}.png"))
                    studio.service.files.add_image(picture, LOCAL_OWNER, "upload")
        studio.service.saved_items.save_item(LOCAL_OWNER, kit.kind, kit.name, kit.value)


def _fetch_stored_file(home: Settings, name: str) -> Path:
    from pipelines.storage.cached_store import CachedStore
    from pipelines.storage.local_store import LocalStore

    folder = home.data / "files"
    return (CachedStore(home.files, folder) if home.files else LocalStore(folder)).fetch(name)


def _resume_run(studio: RunningStudio, out: Path) -> int:
    batches = studio.batches.list_batches(LOCAL_OWNER, 1)
    if not batches:
        return _print_refusal(f"{out} holds no run to resume.")
    studio.batches.retry_rows(batches[0].id)
    return _follow_batch(studio.batches, batches[0], out)


def _start_run(studio: RunningStudio, args: argparse.Namespace, out: Path) -> int:
    from pipelines.batch.batch_service import BatchOptions, open_jobs_source
    from pipelines.batch.dry_run import dry_run
    from pipelines.batch.row_values import BatchPlan

    batches = studio.batches
    jobs = open_jobs_source(Path(args.jobs), studio.service, args.tool)
    plan = BatchPlan(args.tool, _parse_shared_values(args.set))
    options = BatchOptions(name=jobs.name, seed=args.seed, seeds=args.seeds, source=jobs.pictures)
    batch = batches.create_batch(plan, jobs.read_rows(), LOCAL_OWNER, options)
    if args.dry_run:
        place = out.absolute()  # or the nearest parent that exists, to measure the disk that it will be on
        place = next(folder for folder in (place, *place.parents) if folder.exists())
        return _print_report(dry_run(batches, batch, _print_checked_rows, place))
    return _follow_batch(batches, batch, out)


def _parse_shared_values(pairs: list[str]) -> dict[str, JSON]:
    shared: dict[str, JSON] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise BadInput("--set takes FIELD=VALUE, for example --set preset=marble.")
        shared[name] = value
    return shared


def _follow_batch(batches: BatchService, batch: Batch, out: Path) -> int:
    """Start the batch and wait for its end or a pause; pictures are exported to `out` as they are finished."""
    from pipelines.batch.batch_service import DISK_FULL_NOTE
    from pipelines.batch.manifest import MANIFEST_NAME, export_pictures, save_manifest

    batches.start(batch.id)
    try:
        with translate_disk_full():
            now = _wait_while_running(batches, batch.id, out)
            export_pictures(batches, batch.id, out)
            save_manifest(batches, batch.id, out / MANIFEST_NAME)
    except StudioError as error:
        if error.code != "disk_full":
            raise
        batches.pause(batch.id, DISK_FULL_NOTE)
        now = batches.get_batch(batch.id, LOCAL_OWNER)
        if now.state != "paused":  # all rows are done, but not all pictures are exported
            now = replace(now, state="paused", note=DISK_FULL_NOTE)
    if now.state == "paused":
        _print_line(f"Paused. {now.note}", error=True)
        return EXIT_PAUSED
    for row in batches.table.list_rows(batch.id, limit=SHOWN_FAULT_COUNT, status="failed"):
        error = row.error or {}
        fault = _format_fault(row.row, error.get("param"), error.get("message", ""), error.get("code", ""))
        _print_line(fault, error=True)
    progress = batches.get_progress(batch.id)
    return EXIT_DONE if progress.done == progress.total else EXIT_ROWS_FAILED


def _wait_while_running(batches: BatchService, batch_id: str, out: Path) -> Batch:
    """Wait until the batch no longer runs, and return it."""
    from pipelines.batch.bulk_runner import BulkEngine, run_in_bulk
    from pipelines.batch.manifest import export_pictures

    line = _ProgressLine(batches.get_progress(batch_id).total)
    since = 0.0
    if isinstance(batches.jobs.engine, BulkEngine):
        run_in_bulk(
            batches, batches.jobs.engine, lambda: line.print_progress(batches.get_progress(batch_id), last=False)
        )
    while True:
        now = batches.get_batch(batch_id, LOCAL_OWNER)
        started = time.time()
        export_pictures(batches, batch_id, out, since)
        since = started - 1  # rows may finish during the export; no picture is exported twice
        line.print_progress(batches.get_progress(batch_id), last=now.state != "running")
        if now.state != "running":
            return now
        time.sleep(POLL_SECONDS)


def _format_fault(row: int, column: str | None, message: str, code: str) -> str:
    where = f"row {row}, {column}" if column else f"row {row}"
    return f"{where}: {message} ({code})"


class _ProgressLine:
    """A bar as wide as the terminal, or where there is none a line of text every `LOG_LINE_SECONDS`."""

    def __init__(self, total: int) -> None:
        from tqdm import tqdm

        self._next = 0.0
        self._bar = tqdm(
            total=total,
            file=sys.stdout,
            disable=not sys.stdout.isatty(),
            ascii=".#",
            bar_format="[{bar}] {n}/{total}{postfix}",
            dynamic_ncols=True,
        )

    def print_progress(self, progress: BatchProgress, *, last: bool) -> None:
        ended = progress.total - progress.rows_left
        if not self._bar.disable:
            self._bar.n = ended
            self._bar.set_postfix_str(_describe_progress(progress))
        elif last or time.monotonic() >= self._next:
            self._next = time.monotonic() + LOG_LINE_SECONDS
            _print_line(", ".join(filter(None, (f"{ended}/{progress.total}", _describe_progress(progress)))))
            sys.stdout.flush()
        if last:
            self._bar.close()


def _describe_progress(progress: BatchProgress) -> str:
    failed = f"{progress.failed} failed" if progress.failed else ""
    rate = left = ""
    if progress.per_minute and progress.rows_left:
        rate, left = f"{progress.per_minute:g} a minute", f"{format_duration(progress.seconds_left or 0)} left"
    return ", ".join(filter(None, (failed, rate, left)))


def _print_checked_rows(rows: int) -> None:
    if sys.stdout.isatty():
        sys.stdout.write(f"\r{rows} rows checked")
        sys.stdout.flush()


def _print_report(report: DryRunReport) -> int:
    _print_line(f"\r{report.rows} rows: {report.good} can be done, {report.bad_count} cannot.")
    for fault in report.faults:
        _print_line(_format_fault(fault.row, fault.column, fault.message, fault.code))
    for remark in report.remarks:
        _print_line(f"row {remark.row}: {remark.message}")
    if report.seconds is None or report.bytes is None:
        _print_line("Time and disk are not known: not one row could be done to measure them.")
    else:
        size, free = format_bytes(report.bytes), format_bytes(report.free)
        _print_line(f"About {format_duration(report.seconds)} and {size} of {free} free.")
    if report.guessed:
        _print_line(SCALED_COST_NOTE.format(report.guessed))
    if not report.fits_on_disk:
        _print_line(NO_ROOM_NOTE)
    return EXIT_ROWS_FAILED if report.bad_count or not report.fits_on_disk else EXIT_DONE


def _print_refusal(sentence: str) -> int:
    _print_line(sentence, error=True)
    return EXIT_REFUSED


def _print_line(text: str, *, error: bool = False) -> None:
    (sys.stderr if error else sys.stdout).write(text + "\n")
