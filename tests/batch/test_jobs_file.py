"""What batches do without a database: jobs files of every program, pictures by name, names of ZIPs, templates."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pipelines.batch.batch_table import Batch
from pipelines.batch.dry_run import dry_run
from pipelines.batch.jobs_file import ParsedRow, csv_template, read_jobs_file
from pipelines.batch.manifest import name_zip
from pipelines.batch.picture_source import FolderSource, ZipSource, check_name
from pipelines.core.errors import BadInput
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.ingest.decoder_pool import MAX_FILE_BYTES
from pipelines.tools import TOOLS
from tests.support.batch_rows import BatchStudio, pack_zip, write_file, write_picture


def lines(path: Path, data: str | bytes) -> list[ParsedRow]:
    return list(read_jobs_file(write_file(path, data)))


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize(
    "data",
    [
        "photo,note\na.jpg,Grün\n",
        "photo;note\na.jpg;Grün\n",
        "photo\tnote\r\na.jpg\tGrün\r\n",
        b"\xef\xbb\xbf" + "Photo,NOTE\na.jpg,Grün\n".encode(),
        "photo,note\na.jpg,Grün\n".encode("utf-16"),
        "photo,note\na.jpg,Grün\n".encode("cp1252"),
        'photo,note\n"a.jpg","Grün"\n\n,\n',
    ],
)
def test_tables_of_every_program_read_alike(tmp_path: Path, data: str | bytes) -> None:
    (line,) = lines(tmp_path / "jobs.csv", data)
    assert (line.row, line.cells, line.error) == (1, {"photo": "a.jpg", "note": "Grün"}, None)


def test_one_row_in_latin_1_spoils_no_other(tmp_path: Path) -> None:
    data = "photo,note\na,Zoë\n".encode() + "b,Zoë\n".encode("latin-1") + "c,Zoë\n".encode()
    rows = lines(tmp_path / "jobs.csv", data)
    assert [row.cells["note"] for row in rows] == ["Zoë"] * 3
    assert [bool(row.notices) for row in rows] == [False, True, False]


def test_json_lines_keep_their_types_and_a_bad_line_is_one_fault(tmp_path: Path) -> None:
    rows = lines(
        tmp_path / "jobs.jsonl", '{"photo":"a","level":0.5,"keep":true,"note":null}\n[1]\n{"a":\n{"photo":"b"}\n'
    )
    assert rows[0].cells == {"photo": "a", "level": 0.5, "keep": True}
    assert [bool(row.error) for row in rows] == [False, True, True, False]


@pytest.mark.parametrize("data", ["", "\n\n", ",,\n1,2,3\n", "a,a\n1,2\n", b"\xff\xfe\x00", "x" * (1 << 20) + "xx"])
def test_what_is_no_table_is_refused_with_a_sentence(tmp_path: Path, data: str | bytes) -> None:
    with pytest.raises(BadInput):
        lines(tmp_path / "jobs.csv", data)


# ---------------------------------------------------------------- pictures by name


@pytest.mark.parametrize(
    "name",
    ["../a.png", "a/../../b.png", "/etc/passwd", "C:\\a.png", "..\\a.png", "a\x00.png", "", "x" * 300, "http://a/b"],
)
def test_a_name_cannot_leave_the_shelf(tmp_path: Path, name: str) -> None:
    write_picture(tmp_path / "a.png")
    (tmp_path / "in").mkdir()
    with pytest.raises(BadInput):
        check_name(name)
    with pytest.raises(BadInput):
        FolderSource(tmp_path / "in").read_picture(name)


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    secret = write_picture(tmp_path / "secret.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.png").symlink_to(secret)
    with pytest.raises(BadInput):
        FolderSource(tmp_path / "in").read_picture("link.png")


def test_a_zip_slip_reads_nothing_and_writes_nothing(tmp_path: Path) -> None:
    shelf = ZipSource(
        pack_zip(tmp_path / "a.zip", {"../../evil.png": b"x", "ok/a.png": b"ok", "__MACOSX/._a.png": b"no"})
    )
    assert shelf.read_picture("a.png") == b"ok"
    for name in ("../../evil.png", "evil.png"):
        with pytest.raises(BadInput):
            shelf.read_picture(name)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zip"]
    shelf.close()


def test_a_bomb_is_read_no_further_than_a_picture_may_be_long(tmp_path: Path) -> None:
    path = pack_zip(tmp_path / "bomb.zip", {"a.png": bytes(4 * MAX_FILE_BYTES)})
    shelf = ZipSource(path)
    with pytest.raises(BadInput) as caught:
        shelf.read_picture("a.png")
    assert caught.value.code == "image_too_large"
    shelf.close()
    # The same with a header that lies about its size.
    data = path.read_bytes()
    lie = data.replace(struct.pack("<I", 4 * MAX_FILE_BYTES), struct.pack("<I", 1000))
    shelf = ZipSource(write_file(tmp_path / "lie.zip", lie))
    tracemalloc.start()
    with pytest.raises(BadInput):
        shelf.read_picture("a.png")
    assert tracemalloc.get_traced_memory()[1] < 3 * MAX_FILE_BYTES
    tracemalloc.stop()
    shelf.close()


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06" + bytes(10), b"not a zip" * 100])
def test_a_broken_zip_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BadInput):
        ZipSource(write_file(tmp_path / "a.zip", data))


@pytest.mark.parametrize(
    ("tool", "title", "name"),
    [
        ("product", "Product Photos", "product-photos-2026-11-30.zip"),
        ("cutout", "Cut-out", "cut-out-2026-11-30.zip"),
        ("kit", "../a\r\nb/ü.exe", "a-b-.exe-2026-11-30.zip"),
        ("mine", "写真", "mine-2026-11-30.zip"),
        ("", "", "batch-2026-11-30.zip"),
    ],
)
def test_a_zip_is_called_by_tool_and_day(tool: str, title: str, name: str) -> None:
    last_second = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC).timestamp()
    batch = Batch("batch-x", "local", tool, "in", "done", "", {}, 7, "same", None, {}, last_second)
    assert name_zip(batch, title) == name


# ---------------------------------------------------------------- templates


def _draw_blank(params: Params, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    emit("Drawing", 1, 1)
    return ToolOutput(images=(np.zeros((32, 32, 3), np.uint8),))


@pytest.fixture(scope="module")
def whole_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatchStudio]:
    """With every tool's own form and nothing behind it: a dry run draws a row to measure it."""
    tools = [replace(tool, run=_draw_blank) for tool in TOOLS]
    with BatchStudio(tmp_path_factory.mktemp("whole"), tools=tools) as built:
        yield built


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.id)
def test_every_tools_template_is_a_jobs_file_it_takes(whole_studio: BatchStudio, tmp_path: Path, tool: Tool) -> None:
    for name in ("photo.jpg", "one.jpg", "two.jpg"):
        write_picture(tmp_path / f"{name}.png").rename(tmp_path / name)
    path = write_file(tmp_path / "jobs.csv", csv_template(tool))
    report = dry_run(whole_studio.batches, whole_studio.create_batch(path, tool.id, consent=True))
    assert (report.rows, report.faults) == (1, ())
