"""Turns the cells of a row into form values and a job: checks, saved items, seeds, pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pipelines.batch.batch_table import Batch, BatchRow
from pipelines.batch.jobs_file import KEY_COLUMN, MAX_CELL_CHARS, TOOL_COLUMN, ParsedRow
from pipelines.batch.picture_source import DeletedPictures, PictureSource
from pipelines.core.errors import BadInput, InvalidParams, NotFound, PolicyRefusal, StudioError, name_listed_photo
from pipelines.core.job import Job
from pipelines.core.params import JSON, MAX_SEED, Params
from pipelines.core.tools import Tool
from pipelines.service.form_filling import fill_form, list_untouched_fields
from pipelines.service.studio_service import StudioService

PICTURE_SEPARATOR = "|"  # separates the names in a cell that takes several pictures
MAX_KEY_CHARS = 64  # characters of a row's id at most
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
PHOTO_FIELD = "photo"
PICTURE_KINDS = ("picture", "pictures", "mask")


@dataclass(frozen=True)
class BatchPlan:
    """The tool and the values that all rows share. `tool` is "" where each row names its own."""

    tool: str
    shared: Mapping[str, JSON]


def check_rows(plan: BatchPlan, parsed_rows: Iterator[ParsedRow], service: StudioService) -> Iterator[BatchRow]:
    """Yield rows for the table, each with the first error that can be found without its pictures."""
    seen: set[str] = set()
    for parsed in parsed_rows:
        tool_id = str(parsed.cells.get(TOOL_COLUMN) or plan.tool)
        key = str(parsed.cells.get(KEY_COLUMN) or parsed.row)
        error = parsed.error or _find_error(tool_id, parsed, key in seen, service)
        seen.add(key)
        cells = {name: cell for name, cell in parsed.cells.items() if name not in (KEY_COLUMN, TOOL_COLUMN)}
        yield BatchRow(parsed.row, key[:MAX_KEY_CHARS], tool_id[:MAX_KEY_CHARS], cells, error, parsed.notices)


def _find_error(tool_id: str, parsed: ParsedRow, is_duplicate: bool, service: StudioService) -> StudioError | None:
    key = parsed.cells.get(KEY_COLUMN)
    if key is not None and (not isinstance(key, str | int) or len(str(key)) > MAX_KEY_CHARS):
        return BadInput(f"An id has at most {MAX_KEY_CHARS} characters.", param=KEY_COLUMN)
    if is_duplicate:
        return BadInput("Another row above has this id.", param=KEY_COLUMN)
    if not tool_id:
        return BadInput("This row names no tool, and none was chosen for all rows.", param=TOOL_COLUMN)
    try:
        tool = service.find_tool(tool_id)
    except NotFound as error:
        error.param = TOOL_COLUMN
        return error
    for name in parsed.cells:
        if name not in (KEY_COLUMN, TOOL_COLUMN) and name not in tool.params.model_fields:
            return InvalidParams(f"The tool '{tool.id}' has no field of this name.", param=name[:MAX_KEY_CHARS])
    return None


def resolve_saved_items(
    plan: BatchPlan, rows: Iterator[BatchRow], owner: str, service: StudioService
) -> Iterator[BatchRow]:
    """Yield rows in which the owner's brand kits and characters are replaced by their present values.

    So all rows look alike, even if a kit changes while the batch runs. Raises `BadInput` for a missing kit that all
    rows share.
    """
    find_item = cache(service.saved_items.find_item)
    for row in rows:
        if row.error is not None:
            yield row
            continue
        params = service.find_tool(row.tool).params
        shared = {name: value for name, value in plan.shared.items() if name in params.model_fields}
        requested = {**shared, **{name: parse_cell(params, name, cell) for name, cell in row.cells.items()}}
        untouched = list_untouched_fields(params, requested) - row.cells.keys()
        requested = {name: value for name, value in requested.items() if name not in untouched}
        try:
            form = fill_form(params, requested, owner, find_item, tool=row.tool)
        except StudioError as error:
            if error.param not in row.cells:
                raise
            yield replace(row, error=error)
            continue
        # The row's own cell wins, also where it equals the tool's default.
        fixed = {name for name in row.cells if not _may_name_saved_item(params, name)}
        defaults = {name: params.model_fields[name].default for name in untouched}  # of a look that does not say it
        resolved = {
            name: value
            for name, value in {**defaults, **form.values}.items()
            if name not in fixed and _is_different(requested.get(name), value)
        }
        yield replace(row, cells={**row.cells, **resolved}, notices=(*row.notices, *form.notices))


def _is_different(before: Any, after: Any) -> bool:
    """Say whether a value changed; several pictures may be a list or a tuple."""
    return before != (list(after) if isinstance(before, list) else after)


def _may_name_saved_item(params: type[Params], name: str) -> bool:
    """Say whether a cell of this field may name a saved item."""
    return params.kind_of(name) in PICTURE_KINDS or "x-kept" in params.schema_extra(name)


def form_values(tool: Tool, batch: Batch, row: BatchRow) -> dict[str, Any]:
    """Return the shared values with the row's own over them, and its seed; pictures are still names."""
    fields = tool.params.model_fields
    values: dict[str, Any] = {name: value for name, value in batch.shared.items() if name in fields}
    values |= {name: parse_cell(tool.params, name, cell) for name, cell in row.cells.items()}
    if "seed" in fields and values.get("seed") is None:
        values["seed"] = row_seed(batch, row.row)
    return values


def row_seed(batch: Batch, row: int) -> int:
    """Return the batch's seed, so that all rows look alike, or with the policy "row" the next number for each row."""
    return batch.seed if batch.seeds == "same" else (batch.seed + row - 1) % (MAX_SEED + 1)


def parse_cell(params: type[Params], name: str, cell: JSON) -> Any:
    """Return a cell as the form takes it: several pictures are split, a decimal comma becomes a point."""
    kind = params.kind_of(name)
    if not isinstance(cell, str):
        return cell
    if kind == "pictures":
        return [part.strip() for part in cell.split(PICTURE_SEPARATOR) if part.strip()]
    if kind == "number" and _DECIMAL_COMMA.fullmatch(cell):
        return cell.replace(",", ".")
    return cell


def ingest_pictures(tool: Tool, values: dict[str, Any], ingest: Callable[[str], str]) -> list[StudioError]:
    """Replace every picture's name in `values` by the file id that `ingest` returns; return the errors by column."""
    errors: list[StudioError] = []
    for name in tool.params.fields_of_kind(*PICTURE_KINDS):
        value = values.get(name)
        names = value if isinstance(value, list | tuple) else [] if value is None else [value]
        ids: list[str] = []
        for number, each in enumerate(names, 1):
            try:
                ids.append(ingest(_check_picture_name(each)))
            except PolicyRefusal as error:
                errors.append(name_listed_photo(error, number, name) if len(names) > 1 else error)
                error.param = name
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
    """Ingests pictures of a source and returns their file ids; a file id of the owner passes unchanged."""

    def __init__(self, service: StudioService, pictures: PictureSource, owner: str) -> None:
        self._service = service
        self._pictures = pictures
        self._owner = owner
        self.notices: list[str] = []

    def __call__(self, name: str) -> str:
        if name.startswith("file-"):
            with suppress(NotFound):  # a picture's name may look like a file id
                return self._service.files.get_info(name, self._owner).id
        file_id, notices = self._service.uploads.ingest_picture(self._pictures.read_picture(name), self._owner, name)
        self.notices += notices
        return file_id


def make_row_job(
    service: StudioService,
    batch: Batch,
    row: BatchRow,
    pictures: PictureSource,
    on_pictures: Callable[[dict[str, JSON]], None] = lambda _: None,
) -> Job:
    """Make the job of a row; `on_pictures` gets its pictures' file ids. Raises `StudioError`, `param` the column."""
    tool = service.find_tool(row.tool or batch.tool)
    values = form_values(tool, batch, row)
    if isinstance(pictures, DeletedPictures):
        values |= row.picture_ids
    ingester = PictureIngester(service, pictures, batch.owner)
    errors = ingest_pictures(tool, values, ingester)
    if errors:
        raise errors[0]
    on_pictures({name: values[name] for name in tool.params.fields_of_kind(*PICTURE_KINDS) if values.get(name)})
    job = service.create_job(tool.id, values, batch.owner, batch=True)
    seed = job.seed if "seed" in tool.params.model_fields else row_seed(batch, row.row)
    notices = dict.fromkeys((*job.notices, *row.notices, *ingester.notices))
    return job.model_copy(update={"seed": seed, "notices": tuple(notices)})


def rows_from_pictures(tool: Tool, names: Iterator[str]) -> Iterator[ParsedRow]:
    """Yield a row for each picture, which becomes the tool's photo. Raises `BadInput` for a tool without a photo."""
    if PHOTO_FIELD not in tool.params.fields_of_kind("picture"):
        raise BadInput("This tool works on no single picture: it needs a table.")
    for row, name in enumerate(names, 1):
        yield ParsedRow(row, {PHOTO_FIELD: name})
