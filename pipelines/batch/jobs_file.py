"""A jobs file, CSV or JSON lines, read row by row whatever program wrote it; knows no tool and opens no picture."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic_core import from_json

from pipelines.core.errors import BadInput, InvalidParams, StudioError
from pipelines.core.params import JSON

MAX_ROWS = 50_000
MAX_LINE = 1 << 20
"""Bytes of one line. The longest prompts are a few thousand."""
MAX_CELL = 4000
KEY, TOOL = "id", "tool"
"""Columns that every jobs file may have beside the fields of its tool."""
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")

_UNREADABLE = "\ufffd"
_BOM = b"\xef\xbb\xbf"
_SIXTEEN = (b"\xff\xfe", b"\xfe\xff")
_DELIMITERS = (",", ";", "\t")
# What a spreadsheet would run instead of show; + and - begin numbers as well and are only disarmed on the way out.
_FORMULA = ("=", "@", "\t", "\r")


@dataclass(frozen=True)
class Fault:
    """What is wrong with one row. `row` is 1 for the first row under the header; `code` is one of the contract's.

    `invalid`: a value is not what its field takes, which is the difference between 422 and 400 over HTTP. `called` is
    what the row's owner calls it.
    """

    row: int
    column: str | None
    message: str
    code: str = "invalid_request"
    invalid: bool = False
    called: str = ""

    @classmethod
    def of(cls, row: int, error: StudioError) -> Fault:
        """What this error says of the row."""
        return cls(row, error.param, error.message, error.code, isinstance(error, InvalidParams))

    def error(self) -> StudioError:
        """The same as an error again."""
        if self.invalid:
            return InvalidParams(self.message, param=self.column)
        return StudioError(self.message, code=self.code, param=self.column)


@dataclass(frozen=True)
class Line:
    """One row: its cells by column, empty ones left out."""

    row: int
    cells: dict[str, JSON]
    faults: tuple[Fault, ...] = ()
    notices: tuple[str, ...] = ()


def read(path: Path, max_line: int = MAX_LINE) -> Iterator[Line]:
    """The rows of the jobs file at `path`, one at a time. Raises `BadInput` when it is no jobs file at all."""
    with path.open("rb") as file:
        yield from read_from(file, path.name, max_line)


def read_from(file: BinaryIO, name: str, max_line: int = MAX_LINE) -> Iterator[Line]:
    """The same from an open file; its `name` says what kind it is. A line has at most `max_line` bytes."""
    text = _Text(file, max_line)
    lines = _json_lines(text) if name.lower().endswith((".jsonl", ".ndjson")) else _csv_lines(text)
    for line in lines:
        if line.row > MAX_ROWS:
            raise BadInput(f"A batch has at most {MAX_ROWS} rows.")
        yield line


# ---------------------------------------------------------------- text


class _Text:
    """Decoded lines of a file; `odd` says whether one since the last look was not UTF-8."""

    def __init__(self, file: BinaryIO, max_line: int) -> None:
        self.odd = False
        self._max = max_line
        self._file = file

    def lines(self) -> Iterator[str]:
        first = self._file.readline(self._max + 1)
        if first.startswith(_SIXTEEN):
            yield from _sixteen(first + self._file.read(MAX_ROWS * MAX_CELL))
            return
        line = first.removeprefix(_BOM)
        while line:
            if len(line) > self._max:
                raise BadInput(f"A line is longer than {self._max} bytes: this is no jobs file.")
            yield self._decoded(line)
            line = self._file.readline(self._max + 1)

    def _decoded(self, line: bytes) -> str:
        try:
            return line.decode().replace("\x00", _UNREADABLE)  # one reader of CSV fails over NUL, the next does not
        except UnicodeDecodeError:
            self.odd = True  # what spreadsheets of Western Europe write; read line by line, so that others stay whole
            return line.decode("cp1252", "replace").replace("\x00", _UNREADABLE)

    def was_odd(self) -> tuple[str, ...]:
        odd, self.odd = self.odd, False
        return ("This row is not UTF-8; it was read as Windows-1252.",) if odd else ()


def _sixteen(data: bytes) -> Iterable[str]:
    try:
        return data.decode("utf-16").splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise BadInput("This file says that it is UTF-16 and is not.") from error


# ---------------------------------------------------------------- CSV


def _csv_lines(text: _Text) -> Iterator[Line]:
    lines = text.lines()
    header = next(lines, "")
    delimiter = max(_DELIMITERS, key=lambda mark: _outside_quotes(header, mark))
    columns = _columns(next(csv.reader([header], delimiter=delimiter), []))
    text.was_odd()
    table = csv.reader(lines, delimiter=delimiter)
    row = 0
    while True:
        try:
            cells = next(table)
        except StopIteration:
            return
        except csv.Error:
            row += 1
            yield Line(row, {}, (Fault(row, None, "This row cannot be read: it is too long, or a quote is open."),))
            continue
        if any(cell.strip() for cell in cells):
            row += 1
            yield _csv_line(row, columns, cells, text.was_odd())


def _outside_quotes(header: str, mark: str) -> int:
    return sum(part.count(mark) for part in header.split('"')[::2])


def _columns(header: list[str]) -> list[str]:
    columns = [cell.strip().lower() for cell in header]
    named = [column for column in columns if column]
    if not named:
        raise BadInput("The jobs file is empty: its first line must name the columns.")
    for column in named:
        if named.count(column) > 1:
            raise BadInput(f"Two columns are called '{column[:40]}'.")
    return columns


def _csv_line(row: int, columns: list[str], cells: list[str], notices: tuple[str, ...]) -> Line:
    faults = []
    named: dict[str, JSON] = {}
    for place, cell in enumerate(cells):
        column = columns[place] if place < len(columns) else ""
        if not cell.strip():
            continue
        if not column:
            faults.append(Fault(row, None, f"Cell {place + 1} stands under no column: one too many, or a stray comma."))
        faults += _cell_faults(row, column, cell)
        named[column] = cell.strip()
    return Line(row, {name: cell for name, cell in named.items() if name}, tuple(faults), notices)


def _cell_faults(row: int, column: str | None, cell: str) -> list[Fault]:
    if cell.startswith(_FORMULA):
        return [Fault(row, column, "This cell begins like a spreadsheet formula; formulas are not taken.")]
    if "\x00" in cell or _UNREADABLE in cell:
        return [Fault(row, column, "This cell holds something that is no text.")]
    if len(cell) > MAX_CELL:
        return [Fault(row, column, f"This cell is longer than {MAX_CELL} characters.")]
    return []


# ---------------------------------------------------------------- JSON lines


def _json_lines(text: _Text) -> Iterator[Line]:
    row = 0
    for line in text.lines():
        if line.strip():
            row += 1
            yield _json_line(row, line, text.was_odd())


def _json_line(row: int, line: str, notices: tuple[str, ...]) -> Line:
    try:
        value = from_json(line, allow_inf_nan=False)
    except ValueError:
        return Line(row, {}, (Fault(row, None, "This line is not valid JSON."),), notices)
    if not isinstance(value, dict):
        return Line(row, {}, (Fault(row, None, "This line is not a JSON object."),), notices)
    cells = {str(name): cell for name, cell in value.items() if cell is not None and cell != ""}
    texts = [(name, cell) for name, cell in cells.items() if isinstance(cell, str)]
    return Line(row, cells, tuple(fault for name, cell in texts for fault in _cell_faults(row, name, cell)), notices)
