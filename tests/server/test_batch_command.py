from __future__ import annotations

import csv
import errno
import io
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from app import main
from pipelines.batch.batch_service import DISK_FULL_NOTE, BatchProgress
from pipelines.batch.format_amounts import format_bytes, format_duration
from pipelines.jobs.table import JobTable
from pipelines.service.saved_items import SavedItemStore
from pipelines.storage.file_index import FileIndex
from tests.support.examples import EXAMPLES
from tests.support.file_stores import delete_local_files, open_files
from ui.server.batch_command import EXIT_DONE, EXIT_PAUSED, EXIT_REFUSED, EXIT_ROWS_FAILED, STATE_FOLDER, _ProgressLine


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


def photo(path: Path) -> None:
    with PIL.Image.open(EXAMPLES / "coffee.jpg") as picture:
        picture.convert("RGB").resize((180, 120)).save(path)


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    photo(tmp_path / "cup.png")
    path = tmp_path / "jobs.csv"
    path.write_text("id,photo,margin\nred cup,cup.png,3\n,late.png,4\n")
    return path


def run(jobs: Path, out: Path, *more: str) -> int:
    return main(["--profile", "embedded", "batch", str(jobs), "--out", str(out), "--tool", "cutout", *more])


def test_a_dry_run_makes_nothing_and_says_what_will_fail(
    jobs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(jobs, tmp_path / "out", "--dry-run") == EXIT_ROWS_FAILED
    told = capsys.readouterr().out
    assert "row 2, photo: There is no picture 'late.png'." in told
    assert re.search(r"About \d+ s and \d+ kB of \d+.* free\.", told)
    assert not (tmp_path / "out").exists()


def test_a_run_leaves_pictures_and_a_manifest_and_resume_does_what_failed(
    jobs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(jobs, out, "--set", "trim=false", "--seed", "5") == EXIT_ROWS_FAILED
    assert "row 2, photo" in capsys.readouterr().err
    first = (out / "00001-red-cup.png").stat()
    assert run(jobs, out) == EXIT_REFUSED  # never over a run that is there
    photo(jobs.with_name("late.png"))
    assert run(jobs, out, "--resume") == EXIT_DONE
    assert (out / "00001-red-cup.png").stat().st_mtime == first.st_mtime
    assert sorted(path.name for path in out.iterdir()) == [
        STATE_FOLDER,
        "00001-red-cup.png",
        "00002-late.png",
        "manifest.csv",
    ]
    rows = list(csv.DictReader((out / "manifest.csv").read_text("utf-8-sig").splitlines()))
    assert [(row["status"], row["seed"]) for row in rows] == [("done", "5"), ("done", "5")]


@pytest.mark.parametrize("more", [["--resume"], ["--set", "nonsense"], ["--tool", "nonesuch"]])
def test_what_cannot_be_run_is_a_sentence_and_exit_code_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    photo(tmp_path / "cup.png")
    assert run(tmp_path, tmp_path / "out", *more) == EXIT_REFUSED
    assert capsys.readouterr().err.strip()
    assert not (tmp_path / "out" / STATE_FOLDER).exists()


def test_a_disk_that_is_full_where_the_results_go_pauses_and_resume_lays_them_all_out(
    jobs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    photo(jobs.with_name("late.png"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", full)
        patch.setattr(shutil, "copyfile", full)
        assert run(jobs, tmp_path / "out") == EXIT_PAUSED
    assert DISK_FULL_NOTE in capsys.readouterr().err
    assert not [path.name for path in (tmp_path / "out").iterdir() if path.name != STATE_FOLDER]
    assert run(jobs, tmp_path / "out", "--resume") == EXIT_DONE
    assert {"00001-red-cup.png", "00002-late.png", "manifest.csv"} <= {p.name for p in (tmp_path / "out").iterdir()}


def test_sizes_read_like_sizes() -> None:
    assert [format_bytes(n) for n in (1500, 12e6, 3.44e9)] == ["2 kB", "12 MB", "3.4 GB"]


def test_durations_read_like_durations() -> None:
    assert [format_duration(s) for s in (3, 89, 1200, 12000)] == ["3 s", "89 s", "20 min", "3 h 20 min"]


class Terminal(io.StringIO):
    """A terminal, which a bar may overwrite."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_one_bar_and_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "24")
    line = _ProgressLine(8)
    line.print_progress(BatchProgress(8, 3, 1, 0, 1, 2.5, 96.0), last=False)
    middle = screen.getvalue().rsplit("\r", 1)[1]
    assert re.fullmatch(r"\[#+\.+\] 4/8, 1 failed, 2\.5 a minute, 2 min left", middle)
    assert len(middle) <= 60
    line.print_progress(BatchProgress(8, 7, 1, 0, 0, 2.5, 0.0), last=True)
    assert re.fullmatch(r"\[#+\] 8/8, 1 failed *\n", screen.getvalue().rsplit("\r", 1)[1])
    assert screen.getvalue().count("\n") == 1


def test_a_log_gets_whole_lines_and_few(capsys: pytest.CaptureFixture[str]) -> None:
    line = _ProgressLine(8)
    for done in range(8):
        line.print_progress(BatchProgress(8, done, 0, 0, 1, None, None), last=False)
    line.print_progress(BatchProgress(8, 8, 0, 0, 0, 2.5, 0.0), last=True)
    assert capsys.readouterr() == ("0/8\n8/8\n", "")


def test_a_run_takes_the_brand_kits_of_the_studio_and_leaves_the_studio_alone(jobs: Path, tmp_path: Path) -> None:
    home, out = tmp_path / "studio", tmp_path / "out"
    files, shop = FileIndex(home), JobTable(home)
    logo = files.add_image(np.full((40, 60, 3), (200, 30, 30), np.uint8), "local", "upload")
    SavedItemStore(shop).save_item("local", "brand", "Acme", {"colour": "#112233", "logo": logo})
    files.close()
    before = (home / "jobs.sqlite3").read_bytes()
    jobs.write_text("photo\ncup.png\n")
    said = ["--profile", "embedded", "--data", str(home), "batch", str(jobs), "--out", str(out), "--tool", "kit"]
    assert main([*said, "--set", "preset=x", "--set", "brand=Acme"]) == EXIT_DONE
    row = next(csv.DictReader((out / "manifest.csv").read_text("utf-8-sig").splitlines()))
    assert "Brand kit 'Acme': brand colour, logo." in row["notices"]
    assert (home / "jobs.sqlite3").read_bytes() == before
    shop.db.close()


def test_a_run_takes_the_kit_s_pictures_from_the_studio_s_store_and_leaves_nothing_there(
    jobs: Path, tmp_path: Path
) -> None:
    home, out, url = tmp_path / "studio", tmp_path / "out", f"file://{tmp_path / 'mnt'}"
    files, shop = open_files(home, url), JobTable(home)
    logo = files.add_image(np.full((40, 60, 3), (200, 30, 30), np.uint8), "local", "upload")
    SavedItemStore(shop).save_item("local", "brand", "Acme", {"colour": "#112233", "logo": logo})
    files.close()
    shop.db.close()
    delete_local_files(files)
    before = sorted((tmp_path / "mnt").rglob("file-*"))
    jobs.write_text("photo\ncup.png\n")
    said = ["--profile", "embedded", "--data", str(home), "--files", url]
    more = ["batch", str(jobs), "--out", str(out), "--tool", "kit", "--set", "preset=x", "--set", "brand=Acme"]
    assert main([*said, *more]) == EXIT_DONE
    row = next(csv.DictReader((out / "manifest.csv").read_text("utf-8-sig").splitlines()))
    assert "Brand kit 'Acme': brand colour, logo." in row["notices"]
    assert sorted((tmp_path / "mnt").rglob("file-*")) == before
