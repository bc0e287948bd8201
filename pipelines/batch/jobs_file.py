"""Parser of jobs files (CSV or JSON lines), row by row and tolerant of spreadsheets; also makes the CSV template."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic_core import from_json

from pipelines.core.errors import BadInput, StudioError
from pipelines.core.params import JSON, Params
from pipelines.core.tools import Tool

MAX_ROW_COUNT = 50_000  # rows of one batch at most
MAX_LINE_BYTES = 1 << 20  # Bytes of one line at most. The longest prompts have a few thousand.
MAX_CELL_CHARS = 4000  # characters of one cell at most
KEY_COLUMN = "id"  # column with the row's own id, which every jobs file may have
TOOL_COLUMN = "tool"  # column with the tool's id, which every jobs file may have
TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
MANIFEST_NAME = "manifest.csv"  # the table of what a finished batch made, which lies beside its pictures
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
    "cutout_uncertainty",
    "label_changes",
    "replaced",
    "approved",
)
MANIFEST_ALONE_MESSAGE = (
    "This is the manifest of a finished batch: it lists what was made. Drop the batch's ZIP or its pictures instead."
)

_KNOWN_COLUMN_COUNT = 5  # first columns by which a manifest is known; later ones were added from time to time
_REPLACEMENT_CHAR = "\ufffd"
_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_DELIMITERS = (",", ";", "\t")
# First characters of a cell that a spreadsheet would run as a formula. `+` and `-` also begin numbers; the manifest
# escapes those.
_FORMULA_STARTS = ("=", "@", "\t", "\r")


@dataclass(frozen=True)
class ParsedRow:
    """One row: its cells by column, without empty ones. `row` is 1 for the first one under the header.

    `error` is the first in the row; its `param` is the column.
    """

    row: int
    cells: dict[str, JSON]
    error: StudioError | None = None
    notices: tuple[str, ...] = ()


def is_manifest(open_table: Callable[[], AbstractContextManager[BinaryIO]]) -> bool:
    """Whether a table is the manifest of a finished batch, by its first columns: a browser may have renamed it."""
    with open_table() as file:
        header = file.readline(MAX_LINE_BYTES).removeprefix(_UTF8_BOM).replace(b'"', b"")
    columns = header.replace(b";", b",").replace(b"\t", b",").split(b",")  # a spreadsheet may have written it anew
    return tuple(columns[:_KNOWN_COLUMN_COUNT]) == tuple(map(str.encode, MANIFEST_COLUMNS[:_KNOWN_COLUMN_COUNT]))


def read_jobs_file(path: Path, max_line: int = MAX_LINE_BYTES) -> Iterator[ParsedRow]:
    """Yield the rows of the jobs file at `path`. Raises `BadInput` when it is no jobs file."""
    with path.open("rb") as file:
        yield from parse_jobs_file(file, path.name, max_line)


def parse_jobs_file(file: BinaryIO, name: str, max_line: int = MAX_LINE_BYTES) -> Iterator[ParsedRow]:
    """Yield the rows of an open file; its `name` tells the format. Raises `BadInput` when it is no jobs file."""
    text = _TextReader(file, max_line)
    lines = _parse_jsonl(text) if name.lower().endswith((".jsonl", ".ndjson")) else _parse_csv(text)
    for line in lines:
        if line.row > MAX_ROW_COUNT:
            raise BadInput(f"A batch has at most {MAX_ROW_COUNT} rows.")
        yield line


class _TextReader:
    """Decodes the lines of a file; `is_cp1252`: one of the lines since the last notice was not UTF-8."""

    def __init__(self, file: BinaryIO, max_line: int) -> None:
        self.is_cp1252 = False
        self._max_line_bytes = max_line
        self._file = file

    def iter_lines(self) -> Iterator[str]:
        first = self._file.readline(self._max_line_bytes + 1)
        if first.startswith(_UTF16_BOMS):
            yield from _decode_utf16(first + self._file.read(MAX_ROW_COUNT * MAX_CELL_CHARS))
            return
        line = first.removeprefix(_UTF8_BOM)
        while line:
            if len(line) > self._max_line_bytes:
                raise BadInput(f"A line is longer than {self._max_line_bytes} bytes: this is no jobs file.")
            yield self._decode_line(line)
            line = self._file.readline(self._max_line_bytes + 1)

    def _decode_line(self, line: bytes) -> str:
        try:
            return line.decode().replace("\x00", _REPLACEMENT_CHAR)  # some versions of the csv module fail on NUL
        except UnicodeDecodeError:
            self.is_cp1252 = True  # as older spreadsheets write; other lines may still be UTF-8
            return line.decode("cp1252", "replace").replace("\x00", _REPLACEMENT_CHAR)

    def take_notices(self) -> tuple[str, ...]:
        was_cp1252, self.is_cp1252 = self.is_cp1252, False
        return ("This row is not UTF-8: look at its umlauts and accents.",) if was_cp1252 else ()


def _decode_utf16(data: bytes) -> Iterable[str]:
    try:
        return data.decode("utf-16").splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise BadInput("This file says that it is UTF-16 and is not.") from error


def _parse_csv(text: _TextReader) -> Iterator[ParsedRow]:
    lines = text.iter_lines()
    header = next(lines, "")
    outside = header.split('"')[::2]  # what is not in quotes
    delimiter = max(_DELIMITERS, key=lambda mark: sum(part.count(mark) for part in outside))
    columns = _parse_header(next(csv.reader([header], delimiter=delimiter), []))
    text.take_notices()
    table = csv.reader(lines, delimiter=delimiter)
    row = 0
    while True:
        try:
            cells = next(table)
        except StopIteration:
            return
        except csv.Error:
            row += 1
            yield ParsedRow(row, {}, BadInput("This row cannot be read: it is too long, or a quote is open."))
            continue
        if any(cell.strip() for cell in cells):
            row += 1
            yield _parse_csv_row(row, columns, cells, text.take_notices())


def _parse_header(header: list[str]) -> list[str]:
    columns = [cell.strip().lower() for cell in header]
    named = [column for column in columns if column]
    if not named:
        raise BadInput("The jobs file is empty: its first line must name the columns.")
    for column in named:
        if named.count(column) > 1:
            raise BadInput(f"Two columns are called '{column[:40]}'.")
    return columns


def _parse_csv_row(row: int, columns: list[str], cells: list[str], notices: tuple[str, ...]) -> ParsedRow:
    error: StudioError | None = None
    named: dict[str, JSON] = {}
    for place, cell in enumerate(cells):
        column = columns[place] if place < len(columns) else ""
        if not cell.strip():
            continue
        if column:
            error = error or _find_cell_error(column, cell)
            named[column] = cell.strip()
        else:
            error = error or BadInput(f"Cell {place + 1} stands under no column: one too many, or a stray comma.")
    return ParsedRow(row, named, error, notices)


def _find_cell_error(column: str, cell: str) -> StudioError | None:
    if cell.startswith(_FORMULA_STARTS):
        return BadInput("This cell begins like a spreadsheet formula; formulas are not taken.", param=column)
    if "\x00" in cell or _REPLACEMENT_CHAR in cell:
        return BadInput("This cell holds something that is no text.", param=column)
    if len(cell) > MAX_CELL_CHARS:
        return BadInput(f"This cell is longer than {MAX_CELL_CHARS} characters.", param=column)
    return None


def _parse_jsonl(text: _TextReader) -> Iterator[ParsedRow]:
    lines = (line for line in text.iter_lines() if line.strip())
    for row, line in enumerate(lines, 1):
        yield _parse_json_row(row, line, text.take_notices())


def _parse_json_row(row: int, line: str, notices: tuple[str, ...]) -> ParsedRow:
    try:
        value = from_json(line, allow_inf_nan=False)
    except ValueError:
        return ParsedRow(row, {}, BadInput("This line is not valid JSON."), notices)
    if not isinstance(value, dict):
        return ParsedRow(row, {}, BadInput("This line is not a JSON object."), notices)
    cells = {str(name): cell for name, cell in value.items() if cell is not None and cell != ""}
    errors = (_find_cell_error(name, cell) for name, cell in cells.items() if isinstance(cell, str))
    return ParsedRow(row, cells, next(filter(None, errors), None), notices)


_EXAMPLE_NAMES = {"picture": "photo.jpg", "pictures": "one.jpg|two.jpg"}


def csv_template(tool: Tool) -> str:
    """Return a jobs file for a tool as CSV, with one example row; empty cells take the shared value or the default."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([KEY_COLUMN, *tool.params.model_fields])
    writer.writerow(["first", *(_example_cell(tool.params, name) for name in tool.params.model_fields)])
    return out.getvalue()


def _example_cell(params: type[Params], name: str) -> str:
    """Return a valid cell: the name of a picture where one is required, else the default."""
    field = params.model_fields[name]
    if field.is_required():
        return _EXAMPLE_NAMES.get(params.kind_of(name), "")
    if name == "consent":
        return "true"
    default = field.default
    if default is None or default == () or default == "":
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)
