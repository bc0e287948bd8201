"""`app.py batch`: a jobs file run from the command line, with a line that tells how far it is; draws nothing itself."""

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

from pipelines.batch.progress_text import GUESSED, NO_ROOM, duration, size
from pipelines.core.errors import BadInput, NotFound, StudioError
from pipelines.core.params import JSON
from pipelines.settings import Settings
from pipelines.storage.disk_space import translate_disk_full

if TYPE_CHECKING:
    from pipelines.batch import Batch, BatchProgress, BatchService, DryRunReport
    from ui.server.serve import Studio

OWNER = "local"

STATE = ".batch"
"""Folder inside --out: the rows and how far each is, so that a run can be resumed wherever the folder lies."""

DONE, FAILED, REFUSED, PAUSED, INTERRUPTED = 0, 1, 2, 3, 130

SHOWN = 20

TICK = 0.5
"""Seconds between two looks."""

QUIET_TICK = 30.0
"""Seconds between two lines where nobody sees one line change."""


def batch_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `app.py batch`."""
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
    """Run it. 0: every row is done; 1: rows failed; 2: it cannot be run; 3: paused, the disk is full; 130: stopped."""
    logging.getLogger().setLevel(logging.WARNING)
    out = Path(args.out)
    held = (out / STATE).exists()
    if args.resume and not held:
        return _refused(f"{out} holds no run to resume.")
    if held and not args.resume and not args.dry_run:
        return _refused(f"{out} holds a run already: add --resume to go on with it, or choose another --out.")
    own = replace(settings, files="", database="")
    try:
        if args.dry_run:
            with tempfile.TemporaryDirectory() as nowhere:
                return _with_studio(replace(own, data=Path(nowhere)), args, out, settings)
        engine = "ray-data" if args.ray_data else settings.engine
        return _with_studio(replace(own, data=out / STATE, engine=engine), args, out, settings)
    except StudioError as error:
        if not held:
            shutil.rmtree(out / STATE, ignore_errors=True)  # nothing was begun that could be resumed
        return _refused(error.message)
    except KeyboardInterrupt:
        _say(f"\nStopped. Go on with: python app.py batch {args.jobs} --out {out} --resume")
        return INTERRUPTED


def _with_studio(settings: Settings, args: argparse.Namespace, out: Path, home: Settings) -> int:
    """`home` is the studio whose kits may be named; its store of files is not the run's, which has its own index."""
    from ui.server.serve import build

    studio = build(settings)
    try:
        if args.resume:
            return _resumed(studio, out)
        _bring_kits(studio, home)
        return _begun(studio, args, out)
    finally:
        studio.close()


def _bring_kits(studio: Studio, home: Settings) -> None:
    """The brand kits of the studio `home`, pictures and all: a run has a folder of its own and shares no other's."""
    from pipelines.service.saved_items import BrandKit, read_brand_kits
    from pipelines.storage.file_index import read_png

    for kit in read_brand_kits(home.data, OWNER, home.database):
        for name in BrandKit.fields_of_kind("picture"):
            with suppress(NotFound):
                if kit.value.get(name):
                    studio.files.add_image(read_png(_kept_by(home, f"{kit.value[name]}.png")), OWNER, "upload")
        studio.service.saved_items.save_item(OWNER, "brand", kit.name, kit.value)


def _kept_by(home: Settings, name: str) -> Path:
    from pipelines.storage.cached_store import CachedStore
    from pipelines.storage.local_store import LocalStore

    folder = home.data / "files"
    return (CachedStore(home.files, folder) if home.files else LocalStore(folder)).fetch(name)


def _resumed(studio: Studio, out: Path) -> int:
    from pipelines.batch import BatchService

    batches = BatchService(studio.service)
    found = batches.list_batches(OWNER, 1)
    if not found:
        return _refused(f"{out} holds no run to resume.")
    batches.retry_rows(found[0].id)
    return _follow(batches, found[0], out)


def _begun(studio: Studio, args: argparse.Namespace, out: Path) -> int:
    from pipelines.batch import BatchPlan, BatchService, dry_run, open_jobs_source

    batches = BatchService(studio.service)
    jobs = open_jobs_source(Path(args.jobs), studio.service, args.tool)
    plan = BatchPlan(args.tool, _shared(args.set))
    batch = batches.create_batch(
        plan, jobs.read_rows(), OWNER, name=jobs.name, seed=args.seed, seeds=args.seeds, source=jobs.pictures
    )
    return _report(dry_run(batches, batch, _checked, _standing(out))) if args.dry_run else _follow(batches, batch, out)


def _standing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists: it lies on the same disk."""
    folder = folder.absolute()
    return folder if folder.exists() else _standing(folder.parent)


def _shared(pairs: list[str]) -> dict[str, JSON]:
    shared: dict[str, JSON] = {}
    for pair in pairs:
        name, given, value = pair.partition("=")
        if not given:
            raise BadInput("--set takes FIELD=VALUE, for example --set preset=marble.")
        shared[name] = value
    return shared


def _follow(batches: BatchService, batch: Batch, out: Path) -> int:
    """Until every row has ended, or it paused by itself; pictures appear in `out` as they are finished."""
    from pipelines.batch import DISK_FULL_NOTE, MANIFEST_NAME, export_pictures, save_manifest

    batches.start(batch.id)
    try:
        with translate_disk_full():
            now = _until_rest(batches, batch.id, out)
            export_pictures(batches, batch.id, out)
            save_manifest(batches, batch.id, out / MANIFEST_NAME)
    except StudioError as error:
        if error.code != "disk_full":
            raise
        batches.pause(batch.id, DISK_FULL_NOTE)
        now = batches.get_batch(batch.id, OWNER)
        now = (
            now if now.state == "paused" else replace(now, state="paused", note=DISK_FULL_NOTE)
        )  # all done, not all laid out
    if now.state == "paused":
        _say(f"Paused. {now.note}", error=True)
        return PAUSED
    for row in _first(batches, batch.id):
        _say(row, error=True)
    progress = batches.get_progress(batch.id)
    return DONE if progress.done == progress.total else FAILED


def _until_rest(batches: BatchService, batch_id: str, out: Path) -> Batch:
    """The batch once nothing of it goes on."""
    from pipelines.batch import BulkEngine, export_pictures, run_in_bulk

    line = _Line()
    since = 0.0
    if isinstance(batches.jobs.engine, BulkEngine):
        run_in_bulk(batches, batches.jobs.engine, lambda: line.show(batches.get_progress(batch_id), last=False))
    while True:
        now = batches.get_batch(batch_id, OWNER)
        looked = time.time()
        export_pictures(batches, batch_id, out, since)
        since = looked - 1  # a row may be finished while another is laid out; what lies there is not laid out twice
        line.show(batches.get_progress(batch_id), last=now.state != "running")
        if now.state != "running":
            return now
        time.sleep(TICK)


def _first(batches: BatchService, batch_id: str) -> list[str]:
    rows = batches.table.list_rows(batch_id, limit=SHOWN, status="failed")
    return [_sentence(r.row, (r.error or {}).get("param"), **_code(r.error)) for r in rows]


def _code(error: dict[str, str] | None) -> dict[str, str]:
    return {"message": (error or {}).get("message", ""), "code": (error or {}).get("code", "")}


def _sentence(row: int, column: str | None, message: str, code: str) -> str:
    where = f"row {row}, {column}" if column else f"row {row}"
    return f"{where}: {message} ({code})"


class _Line:
    """One line that is written over where somebody watches, else a new one now and then."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._next = 0.0

    def show(self, progress: BatchProgress, *, last: bool) -> None:
        if not (self._live or last or time.monotonic() >= self._next):
            return
        self._next = time.monotonic() + QUIET_TICK
        start, end = ("\r", "\n" if last else "") if self._live else ("", "\n")
        sys.stdout.write(start + _bar(progress).ljust(78) + end)
        sys.stdout.flush()


def _bar(progress: BatchProgress, width: int = 24) -> str:
    ended = progress.total - progress.rows_left
    full = width * ended // max(1, progress.total)
    text = f"[{'#' * full}{'.' * (width - full)}] {ended}/{progress.total}"
    if progress.failed:
        text += f" · {progress.failed} failed"
    if progress.per_minute and progress.rows_left:
        text += f" · {progress.per_minute:g} a minute · {duration(progress.seconds_left or 0)} left"
    return text


def _checked(rows: int) -> None:
    if sys.stdout.isatty():
        sys.stdout.write(f"\r{rows} rows checked")
        sys.stdout.flush()


def _report(report: DryRunReport) -> int:
    _say(f"\r{report.rows} rows: {report.good} can be done, {report.bad_count} cannot.")
    for fault in report.faults:
        _say(_sentence(fault.row, fault.column, fault.message, fault.code))
    for remark in report.remarks:
        _say(f"row {remark.row}: {remark.message}")
    if report.seconds is None or report.bytes is None:
        _say("Time and disk are not known: not one row could be done to measure them.")
    else:
        _say(f"About {duration(report.seconds)} and {size(report.bytes)} of {size(report.free)} free.")
    if report.guessed:
        _say(GUESSED.format(report.guessed))
    if not report.fits_on_disk:
        _say(NO_ROOM)
    return FAILED if report.bad_count or not report.fits_on_disk else DONE


def _refused(sentence: str) -> int:
    _say(sentence, error=True)
    return REFUSED


def _say(text: str, *, error: bool = False) -> None:
    (sys.stderr if error else sys.stdout).write(text + "\n")
