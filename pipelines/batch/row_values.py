"""One row's cells become the values of a tool's form, pictures taken in; names every fault by row and column."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipelines.batch.batch_table import Batch, BatchRow
from pipelines.batch.jobs_file import KEY_COLUMN, MAX_CELL_CHARS, TOOL_COLUMN, ParsedRow, RowFault
from pipelines.batch.picture_source import DeletedPictures, PictureSource
from pipelines.core.errors import BadInput, InvalidParams, NotFound, StudioError
from pipelines.core.job import Job
from pipelines.core.params import JSON, MAX_SEED, Params
from pipelines.core.tools import Tool
from pipelines.service.form_filling import SavedItemSnapshot, fill_form
from pipelines.service.orders import StudioService

PICTURE_SEPARATOR = "|"
"""Stands between the names in a cell that takes several pictures."""
MAX_KEY_CHARS = 64
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
PHOTO_FIELD = "photo"
PICTURE_KINDS = ("picture", "pictures", "mask")


@dataclass(frozen=True)
class BatchPlan:
    """What a batch says of every row. `tool` may be "" where each row names its own."""

    tool: str
    shared: Mapping[str, JSON]


def check_rows(plan: BatchPlan, lines: Iterator[ParsedRow], service: StudioService) -> Iterator[BatchRow]:
    """Rows as they are kept, each with the first thing that can be seen to be wrong without its pictures."""
    seen: set[str] = set()
    for line in lines:
        tool_id = str(line.cells.get(TOOL_COLUMN) or plan.tool)
        key = str(line.cells.get(KEY_COLUMN) or line.row)
        faults = list(line.faults) or list(_find_faults(plan, line, key in seen, service))
        seen.add(key)
        error = faults[0].to_error() if faults else None
        cells = {name: cell for name, cell in line.cells.items() if name not in (KEY_COLUMN, TOOL_COLUMN)}
        yield BatchRow(line.row, key[:MAX_KEY_CHARS], tool_id[:MAX_KEY_CHARS], cells, error, line.notices)


def _find_faults(plan: BatchPlan, line: ParsedRow, twice: bool, service: StudioService) -> Iterator[RowFault]:
    key = line.cells.get(KEY_COLUMN)
    if key is not None and (not isinstance(key, str | int) or len(str(key)) > MAX_KEY_CHARS):
        yield RowFault(line.row, KEY_COLUMN, f"An id has at most {MAX_KEY_CHARS} characters.")
    if twice:
        yield RowFault(line.row, KEY_COLUMN, "Another row above has this id.")
    try:
        tool = service.find_tool(str(line.cells.get(TOOL_COLUMN) or plan.tool))
    except NotFound as error:
        yield replace(RowFault.from_error(line.row, error), column=TOOL_COLUMN)
        return
    for name in line.cells:
        if name not in (KEY_COLUMN, TOOL_COLUMN) and name not in tool.params.model_fields:
            said = f"The tool '{tool.id}' has no field of this name."
            yield RowFault(line.row, name[:MAX_KEY_CHARS], said, invalid=True)


def resolve_saved_items(
    plan: BatchPlan, rows: Iterator[BatchRow], owner: str, service: StudioService
) -> Iterator[BatchRow]:
    """Rows with what they name of the owner's kits and characters written out, each as it is kept now.

    So a batch has one look, whatever becomes of a kit while it runs. Raises `BadInput` for one that all rows share and
    the owner does not keep.
    """
    kept = SavedItemSnapshot(service.saved_items)
    for row in rows:
        if row.error is not None:
            yield row
            continue
        params = service.find_tool(row.tool).params
        shared = {name: value for name, value in plan.shared.items() if name in params.model_fields}
        asked = {**shared, **{name: parse_cell(params, name, cell) for name, cell in row.cells.items()}}
        try:
            form = fill_form(params, asked, owner, kept)
        except StudioError as error:
            if error.param not in row.cells:
                raise
            yield replace(row, error=error)
            continue
        # A row's own cell comes first, also where it says what the tool would do anyway.
        own = {name for name in row.cells if not _may_name_saved_item(params, name)}
        fresh = {n: value for n, value in form.values.items() if n not in own and _is_different(asked.get(n), value)}
        yield replace(row, cells={**row.cells, **fresh}, notices=(*row.notices, *form.notices))


def _may_name_saved_item(params: type[Params], name: str) -> bool:
    """Whether a cell may name something that is kept."""
    return params.kind_of(name) in PICTURE_KINDS or "x-kept" in params.schema_extra(name)


def _is_different(before: Any, after: Any) -> bool:
    """Whether a value changed; several pictures are a list or a tuple."""
    return before != (list(after) if isinstance(before, list) else after)


def form_values(tool: Tool, batch: Batch, row: BatchRow) -> dict[str, Any]:
    """Shared values, the row's own over them, its seed by the batch's one policy; pictures still by name."""
    fields = tool.params.model_fields
    values: dict[str, Any] = {name: value for name, value in batch.shared.items() if name in fields}
    values |= {name: parse_cell(tool.params, name, cell) for name, cell in row.cells.items()}
    if "seed" in fields and values.get("seed") is None:
        values["seed"] = row_seed(batch, row.row)
    return values


def row_seed(batch: Batch, row: int) -> int:
    """The same for every row, so that all have one look, or the next number for the next row."""
    return batch.seed if batch.seeds == "same" else (batch.seed + row - 1) % (MAX_SEED + 1)


def parse_cell(params: type[Params], name: str, cell: JSON) -> Any:
    """A cell as Params takes it: several pictures are split, a decimal comma becomes a point."""
    kind = params.kind_of(name)
    if not isinstance(cell, str):
        return cell
    if kind == "pictures":
        return [part.strip() for part in cell.split(PICTURE_SEPARATOR) if part.strip()]
    if kind == "number" and _DECIMAL_COMMA.fullmatch(cell):
        return cell.replace(",", ".")
    return cell


def ingest_pictures(tool: Tool, values: dict[str, Any], ingest: Callable[[str], str]) -> list[StudioError]:
    """Put a file id in the place of every picture's name, by `take`; what could not be taken, each with its column."""
    errors: list[StudioError] = []
    for name in tool.params.fields_of_kind(*PICTURE_KINDS):
        value = values.get(name)
        names = value if isinstance(value, list | tuple) else [] if value is None else [value]
        ids: list[str] = []
        for each in names:
            try:
                ids.append(ingest(_check_picture_name(each)))
            except StudioError as error:
                error.param = name
                errors.append(error)
        if names:
            values[name] = ids if isinstance(value, list | tuple) else (ids or [None])[0]
    return errors


def _check_picture_name(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_CELL_CHARS:
        raise InvalidParams("A picture is named by a text.")
    return value


class PictureIngester:
    """Takes pictures off a shelf through the desk's door; a name that is a file id of the owner's is one already."""

    def __init__(self, service: StudioService, shelf: PictureSource, owner: str) -> None:
        self._service = service
        self._shelf = shelf
        self._owner = owner
        self.notices: list[str] = []

    def __call__(self, name: str) -> str:
        if name.startswith("file-"):
            try:
                return self._service.files.get_info(name, self._owner).id
            except NotFound:
                pass  # then it is a name like any other
        file_id, notices = self._service.uploads.ingest_picture(self._shelf.read_picture(name), self._owner)
        self.notices += notices
        return file_id


def order_row(
    service: StudioService,
    batch: Batch,
    row: BatchRow,
    shelf: PictureSource,
    on_pictures: Callable[[dict[str, JSON]], None] = lambda _: None,
) -> Job:
    """The row's job; `took` is told the file ids of its pictures.

    Raises `StudioError` with the first fault, `param` naming the column.
    """
    tool = service.find_tool(row.tool or batch.tool)
    values = form_values(tool, batch, row)
    if isinstance(shelf, DeletedPictures):
        values |= row.picture_ids
    taker = PictureIngester(service, shelf, batch.owner)
    errors = ingest_pictures(tool, values, taker)
    if errors:
        raise errors[0]
    on_pictures({name: values[name] for name in tool.params.fields_of_kind(*PICTURE_KINDS) if values.get(name)})
    job = service.create_job(tool.id, values, batch.owner, batch=True)
    seed = job.seed if "seed" in tool.params.model_fields else row_seed(batch, row.row)
    notices = dict.fromkeys((*job.notices, *row.notices, *taker.notices))
    return job.model_copy(update={"seed": seed, "notices": tuple(notices)})


def rows_from_pictures(tool: Tool, names: Iterator[str]) -> Iterator[ParsedRow]:
    """A row for every picture of a shelf, as the tool's photo: a logo or a backdrop is the same for all.

    Raises `BadInput` for a tool without a photo.
    """
    if PHOTO_FIELD not in tool.params.fields_of_kind("picture"):
        raise BadInput("This tool works on no single picture: it needs a table.")
    for row, name in enumerate(names, 1):
        yield ParsedRow(row, {PHOTO_FIELD: name})
