"""One row's cells become the values of a tool's form, pictures taken in; names every fault by row and column."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipelines.batch.batch_table import Asked, Batch
from pipelines.batch.jobs_file import KEY, MAX_CELL, TOOL, Fault, Line
from pipelines.batch.picture_source import Gone, Shelf
from pipelines.core.errors import BadInput, InvalidParams, NotFound, StudioError
from pipelines.core.job import Job
from pipelines.core.params import JSON, MAX_SEED, Params
from pipelines.core.tools import Tool
from pipelines.service.orders import Desk
from pipelines.service.saved_items import Once, settle

SEVERAL = "|"
"""Stands between the names in a cell that takes several pictures."""
MAX_KEY = 64
_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
PHOTO = "photo"
PICTURES = ("picture", "pictures", "mask")


@dataclass(frozen=True)
class Plan:
    """What a batch says of every row. `tool` may be "" where each row names its own."""

    tool: str
    shared: Mapping[str, JSON]


def asked(plan: Plan, lines: Iterator[Line], desk: Desk) -> Iterator[Asked]:
    """Rows as they are kept, each with the first thing that can be seen to be wrong without its pictures."""
    seen: set[str] = set()
    for line in lines:
        tool_id = str(line.cells.get(TOOL) or plan.tool)
        key = str(line.cells.get(KEY) or line.row)
        faults = list(line.faults) or list(_faults(plan, line, key in seen, desk))
        seen.add(key)
        error = faults[0].error() if faults else None
        cells = {name: cell for name, cell in line.cells.items() if name not in (KEY, TOOL)}
        yield Asked(line.row, key[:MAX_KEY], tool_id[:MAX_KEY], cells, error, line.notices)


def _faults(plan: Plan, line: Line, twice: bool, desk: Desk) -> Iterator[Fault]:
    key = line.cells.get(KEY)
    if key is not None and (not isinstance(key, str | int) or len(str(key)) > MAX_KEY):
        yield Fault(line.row, KEY, f"An id has at most {MAX_KEY} characters.")
    if twice:
        yield Fault(line.row, KEY, "Another row above has this id.")
    try:
        tool = desk.tool(str(line.cells.get(TOOL) or plan.tool))
    except NotFound as error:
        yield replace(Fault.of(line.row, error), column=TOOL)
        return
    for name in line.cells:
        if name not in (KEY, TOOL) and name not in tool.params.model_fields:
            said = f"The tool '{tool.id}' has no field of this name."
            yield Fault(line.row, name[:MAX_KEY], said, invalid=True)


def settled(plan: Plan, rows: Iterator[Asked], owner: str, desk: Desk) -> Iterator[Asked]:
    """Rows with what they name of the owner's kits and characters written out, each as it is kept now.

    So a batch has one look, whatever becomes of a kit while it runs. Raises `BadInput` for one that all rows share and
    the owner does not keep.
    """
    kept = Once(desk.kept)
    for row in rows:
        if row.error is not None:
            yield row
            continue
        params = desk.tool(row.tool).params
        shared = {name: value for name, value in plan.shared.items() if name in params.model_fields}
        asked = {**shared, **{name: plain(params, name, cell) for name, cell in row.cells.items()}}
        try:
            form = settle(params, asked, owner, kept)
        except StudioError as error:
            if error.param not in row.cells:
                raise
            yield replace(row, error=error)
            continue
        # A row's own cell comes first, also where it says what the tool would do anyway.
        own = {name for name in row.cells if not _stands_for_another(params, name)}
        fresh = {n: value for n, value in form.values.items() if n not in own and _other(asked.get(n), value)}
        yield replace(row, cells={**row.cells, **fresh}, notices=(*row.notices, *form.notices))


def _stands_for_another(params: type[Params], name: str) -> bool:
    """Whether a cell may name something that is kept."""
    return params.kind_of(name) in PICTURES or "x-kept" in params.schema_extra(name)


def _other(before: Any, after: Any) -> bool:
    """Whether a value changed; several pictures are a list or a tuple."""
    return before != (list(after) if isinstance(before, list) else after)


def values_of(tool: Tool, batch: Batch, row: Asked) -> dict[str, Any]:
    """Shared values, the row's own over them, its seed by the batch's one policy; pictures still by name."""
    fields = tool.params.model_fields
    values: dict[str, Any] = {name: value for name, value in batch.shared.items() if name in fields}
    values |= {name: plain(tool.params, name, cell) for name, cell in row.cells.items()}
    if "seed" in fields and values.get("seed") is None:
        values["seed"] = seed_of(batch, row.row)
    return values


def seed_of(batch: Batch, row: int) -> int:
    """The same for every row, so that all have one look, or the next number for the next row."""
    return batch.seed if batch.seeds == "same" else (batch.seed + row - 1) % (MAX_SEED + 1)


def plain(params: type[Params], name: str, cell: JSON) -> Any:
    """A cell as Params takes it: several pictures are split, a decimal comma becomes a point."""
    kind = params.kind_of(name)
    if not isinstance(cell, str):
        return cell
    if kind == "pictures":
        return [part.strip() for part in cell.split(SEVERAL) if part.strip()]
    if kind == "number" and _COMMA.fullmatch(cell):
        return cell.replace(",", ".")
    return cell


def take_pictures(tool: Tool, values: dict[str, Any], take: Callable[[str], str]) -> list[StudioError]:
    """Put a file id in the place of every picture's name, by `take`; what could not be taken, each with its column."""
    errors: list[StudioError] = []
    for name in tool.params.fields_of_kind(*PICTURES):
        value = values.get(name)
        names = value if isinstance(value, list | tuple) else [] if value is None else [value]
        ids: list[str] = []
        for each in names:
            try:
                ids.append(take(_name(each)))
            except StudioError as error:
                error.param = name
                errors.append(error)
        if names:
            values[name] = ids if isinstance(value, list | tuple) else (ids or [None])[0]
    return errors


def _name(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_CELL:
        raise InvalidParams("A picture is named by a text.")
    return value


class Taker:
    """Takes pictures off a shelf through the desk's door; a name that is a file id of the owner's is one already."""

    def __init__(self, desk: Desk, shelf: Shelf, owner: str) -> None:
        self._desk = desk
        self._shelf = shelf
        self._owner = owner
        self.notices: list[str] = []

    def __call__(self, name: str) -> str:
        if name.startswith("file-"):
            try:
                return self._desk.files.info(name, self._owner).id
            except NotFound:
                pass  # then it is a name like any other
        file_id, notices = self._desk.take(self._shelf.read(name), self._owner)
        self.notices += notices
        return file_id


def order(
    desk: Desk, batch: Batch, row: Asked, shelf: Shelf, took: Callable[[dict[str, JSON]], None] = lambda _: None
) -> Job:
    """The row's job; `took` is told the file ids of its pictures.

    Raises `StudioError` with the first fault, `param` naming the column.
    """
    tool = desk.tool(row.tool or batch.tool)
    values = values_of(tool, batch, row)
    if isinstance(shelf, Gone):
        values |= row.taken
    taker = Taker(desk, shelf, batch.owner)
    errors = take_pictures(tool, values, taker)
    if errors:
        raise errors[0]
    took({name: values[name] for name in tool.params.fields_of_kind(*PICTURES) if values.get(name)})
    job = desk.order(tool.id, values, batch.owner, batch=True)
    seed = job.seed if "seed" in tool.params.model_fields else seed_of(batch, row.row)
    notices = dict.fromkeys((*job.notices, *row.notices, *taker.notices))
    return job.model_copy(update={"seed": seed, "notices": tuple(notices)})


def with_photo(tool: Tool, names: Iterator[str]) -> Iterator[Line]:
    """A row for every picture of a shelf, as the tool's photo: a logo or a backdrop is the same for all.

    Raises `BadInput` for a tool without a photo.
    """
    if PHOTO not in tool.params.fields_of_kind("picture"):
        raise BadInput("This tool works on no single picture: it needs a table.")
    for row, name in enumerate(names, 1):
        yield Line(row, {PHOTO: name})
