"""ZIPs for a page: whole, one a key, gone after an hour."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ui.components.zip_downloads import KEEP_SECONDS, ZipDownloads


def create_zip(zips: ZipDownloads, key: str, data: bytes = b"zip") -> Path:
    def write(part: Path) -> None:
        part.write_bytes(data)

    return zips.create_zip(key, "all.zip", write)


def list_files(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


def test_the_newer_of_one_key_takes_the_olders_place(tmp_path: Path) -> None:
    zips = ZipDownloads(tmp_path)
    assert create_zip(zips, "k") == create_zip(zips, "k", b"new")
    assert [path.read_bytes() for path in list_files(tmp_path)] == [b"new"]
    zips.delete_zip("k")
    assert list_files(tmp_path) == []


def test_dropping_no_key_drops_nothing(tmp_path: Path) -> None:
    zips = ZipDownloads(tmp_path)
    create_zip(zips, "k")
    zips.delete_zip("")
    assert len(list_files(tmp_path)) == 1


def test_what_is_older_than_an_hour_goes_and_nothing_else(tmp_path: Path) -> None:
    zips = ZipDownloads(tmp_path)
    zips.delete_expired()  # before there is a folder
    old, fresh = create_zip(zips, "old"), create_zip(zips, "fresh")
    os.utime(old.parent, (0, time.time() - KEEP_SECONDS - 1))
    other = tmp_path / "a-picture"
    other.mkdir()
    os.utime(other, (0, 0))
    zips.delete_expired()
    assert not old.parent.exists()
    assert fresh.exists()
    assert other.exists()


def test_one_that_could_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    def full(part: Path) -> None:
        part.write_bytes(b"half")
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        ZipDownloads(tmp_path).create_zip("k", "all.zip", full)
    assert [path.name for path in tmp_path.rglob("*")] == ["designerbox-zips"]
