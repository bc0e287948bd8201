"""Brand kits, characters and looks that an owner saved under a name, in the queue's database.

A job that names one gets its values written into its form, so that later changes of a kit change no job.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sqlalchemy import ColumnElement, delete, or_, select

from pipelines.codecs.encode import STILL_FORMATS, encode_image
from pipelines.core.errors import BadInput, NotFound
from pipelines.core.geometry import Image
from pipelines.core.params import POINTED_KINDS, FieldKind, Params, choice_field, colour_field, picture_field
from pipelines.core.tools import Tool
from pipelines.imaging.color import flatten_on_white
from pipelines.imaging.resize import resize_image, size_within
from pipelines.jobs.queue import JobQueue, JobRow
from pipelines.jobs.table import JobTable
from pipelines.service.form_checks import FormChecks, list_form_errors, validate_form
from pipelines.service.uploads import UploadService
from pipelines.storage.connect import open_database
from pipelines.storage.database import DatabaseUnavailable, Row
from pipelines.storage.file_index import FileIndex
from pipelines.storage.schema import JOB_TABLES, SAVED_ITEMS
from pipelines.tools import find_tool

SavedKind = Literal["brand", "character", "look"]
ID_PREFIXES: dict[str, str] = {"brand": "brand-", "character": "char-", "look": "look-"}
MAX_SAVED_COUNT = 200  # of one owner and one kind
CHARACTER_TOOL_ID = "character"
PASSPORT_FIELDS = ("character", "preset", "art", "prompt", "name", "colour", "behind_colour", "reference")
"""Fields of a character's form that are saved with it; layout and file format are not."""
UNSAVED_KINDS: tuple[FieldKind, ...] = ("picture", "pictures", "mask", "seed", *POINTED_KINDS)
UNSAVED_FIELDS = frozenset({"consent", "look"})
"""Fields that no look has: each photo has its own, and consent is for one photo."""
LOOK_PICTURE_PX = 320
MAX_LOOK_PICTURE_CHARS = 200_000
_NAME = re.compile(r"[^\x00-\x1f\x7f=]{1,60}")
_S = SAVED_ITEMS.c


class BrandKit(Params):
    """What a brand's pictures have in common. Every tool takes of it what it has a field for."""

    colour: str | None = colour_field("Colour", "Papers, panels, walls, clothes.")
    behind_colour: str | None = colour_field("Second colour", "Behind characters.")
    logo: str | None = picture_field("Logo", "Best with a transparent background.")
    backdrop: str | None = picture_field("Backdrop", "Stands behind whoever is photographed.")
    light: Literal["any", "exact", "relit"] = choice_field(
        "Subject",
        "Exact leaves the subject as it is; Relit fits it to the scene.",
        "any",
        labels={"any": "As the tool has it", "exact": "Exact", "relit": "Relit"},
    )
    framing: Literal["any", "tight", "classic", "wide"] = choice_field(
        "Framing",
        "How much of a person is seen.",
        "any",
        labels={"any": "As the tool has it", "tight": "Tight", "classic": "Classic", "wide": "Wide"},
    )


@dataclass(frozen=True)
class SavedItem:
    """One saved item. A brand's `value` is a `BrandKit`'s; a character's has `params` and `picture`, a file id.

    A look's has `tool`, `params`, and `picture`, a small JPEG as a data URL or None.
    """

    id: str
    kind: SavedKind
    name: str
    value: dict[str, Any]
    created: float


class SavedItemStore:
    """The table of saved items; each is found by owner, kind, and id or name."""

    def __init__(self, table: JobTable) -> None:
        self._db = table.db

    def save_item(self, owner: str, kind: SavedKind, name: str, value: Mapping[str, Any]) -> SavedItem:
        """Save `value` under `name`, in the place of what had that name. Raises `BadInput`."""
        name = " ".join(name.split())
        if not _NAME.fullmatch(name) or name.startswith((*ID_PREFIXES.values(), "file-")):
            raise BadInput("A name has 1 to 60 letters, and no '='.", param="name")
        with self._db.lock:
            existing = self._select_items(_S.owner == owner, _S.what == kind, _S.name == name)
            if not existing and len(self._select_items(_S.owner == owner, _S.what == kind)) >= MAX_SAVED_COUNT:
                raise BadInput(f"{MAX_SAVED_COUNT} are kept: delete one first.")
            insertion = self._db.insert(SAVED_ITEMS).values(
                id=ID_PREFIXES[kind] + secrets.token_hex(10),
                owner=owner,
                what=kind,
                name=name,
                value=json.dumps(dict(value)),
                created=time.time(),
            )
            changed = {"value": insertion.excluded.value, "created": insertion.excluded.created}
            unique = ["owner", "what", "name"]
            self._db.execute(insertion.on_conflict_do_update(index_elements=unique, set_=changed))
        return self.find_item(owner, kind, name)

    def list_items(self, owner: str, kind: str) -> list[SavedItem]:
        """List the owner's items of a kind, by name."""
        return sorted(self._select_items(_S.owner == owner, _S.what == kind), key=lambda item: item.name.casefold())

    def find_item(self, owner: str, kind: SavedKind, key: str) -> SavedItem:
        """Find an item by id or name. Raises `NotFound`."""
        is_named = or_(_S.id == key, _S.name == " ".join(key.split()))
        items = self._select_items(_S.owner == owner, _S.what == kind, is_named)
        if not items:
            raise NotFound(f"You keep no {'brand kit' if kind == 'brand' else kind} of that name.")
        return items[0]

    def delete_item(self, owner: str, kind: SavedKind, key: str) -> SavedItem:
        """Delete an item by id or name. Raises `NotFound`."""
        item = self.find_item(owner, kind, key)
        self._db.execute(delete(SAVED_ITEMS).where(_S.id == item.id))
        return item

    def _select_items(self, *clauses: ColumnElement[bool]) -> list[SavedItem]:
        return [_item_from_row(row) for row in self._db.fetch_rows(select(SAVED_ITEMS).where(*clauses))]


class SavedItemService(SavedItemStore):
    """Saved items that are checked as a tool's form is before they are stored."""

    def __init__(
        self, jobs: JobQueue, files: FileIndex, uploads: UploadService, form_checks: FormChecks, tools: Sequence[Tool]
    ) -> None:
        super().__init__(jobs.table)
        self._jobs = jobs
        self._files = files
        self._uploads = uploads
        self._form_checks = form_checks
        self._tools = tools

    def save_brand_kit(self, name: str, values: Mapping[str, Any], owner: str) -> SavedItem:
        """Save a brand kit under `name`. Raises `BadInput`, `InvalidParams`."""
        kit = validate_form(BrandKit, values)
        self._form_checks.check_pictures(kit, owner)
        return self.save_item(owner, "brand", name, kit.model_dump(mode="json"))

    def save_character(self, job_id: str, name: str, owner: str) -> SavedItem:
        """Save the character of a finished job under `name`. Raises `NotFound`, `BadInput`."""
        row = self._find_job(job_id, owner)
        if row.job.tool != CHARACTER_TOOL_ID or row.result is None:
            raise BadInput("Only a finished character can be kept.", param="job")
        results = [file.id for file in row.result.files if file.role == "result"]
        mattes = [file.id for file in row.result.files if file.role == "matte"]
        image = self._files.open_image(results[0])
        if image.shape[2] == 3 and mattes:
            image = np.dstack([image, self._files.open_image(mattes[0])[..., 0]])
        # A copy of its own: what is saved outlives the job and its files.
        picture = self._uploads.store_derived_image(image, results[0], owner)
        receipt_params = row.result.receipt["params"]
        params = {field: value for field, value in receipt_params.items() if field in PASSPORT_FIELDS and value}
        return self.save_item(owner, "character", name, {"params": params, "picture": picture})

    def save_look(
        self, name: str, tool_id: str, values: Mapping[str, Any], owner: str, picture: Image | None = None
    ) -> SavedItem:
        """Save a tool's settings as a look: those that differ from the form's defaults, without pictures and seed.

        `picture` (H x W x 3 or 4) shows what it looks like. Raises `NotFound` for an unknown tool, `InvalidParams`,
        `BadInput`.
        """
        tool = find_tool(tool_id, self._tools)
        params = pick_look_values(tool.params, values)
        shown = None if picture is None else _encode_look_picture(picture)
        return self.save_item(owner, "look", name, {"tool": tool.id, "params": params, "picture": shown})

    def save_look_of_job(self, name: str, job_id: str, owner: str) -> SavedItem:
        """Save the settings of a finished job as a look, with its first picture. Raises as `save_look`."""
        row = self._find_job(job_id, owner)
        files = row.result.files if row.result is not None else ()
        stills = [file.id for file in files if file.role == "result" and file.format in STILL_FORMATS]
        picture = self._files.open_image(stills[0]) if stills else None
        fields = list_look_fields(find_tool(row.job.tool, self._tools).params)
        known = {name: value for name, value in row.job.params.items() if name in fields}
        return self.save_look(name, row.job.tool, known, owner, picture)

    def _find_job(self, job_id: str, owner: str) -> JobRow:
        row = self._jobs.get_job(job_id)
        if row is None or row.job.owner != owner:
            raise NotFound("There is no such job.")
        return row

    def import_character(self, name: str, params: Mapping[str, Any], picture: str, owner: str) -> SavedItem:
        """Save a character that another studio exported. Raises `BadInput`, `InvalidParams`, `PolicyRefusal`."""
        tool = find_tool(CHARACTER_TOOL_ID, self._tools)
        known = {field: value for field, value in params.items() if field in PASSPORT_FIELDS}
        form = validate_form(tool.params, known)
        self._form_checks.check_pictures(form, owner)
        self._form_checks.check_prompts(tool, form, owner)
        traits = known.get("character")
        if not isinstance(traits, str) or "=" not in traits:
            raise BadInput("This is no file of a character.", param="character")
        return self.save_item(owner, "character", name, {"params": known, "picture": picture})


def list_look_fields(params: type[Params]) -> tuple[str, ...]:
    """List the fields of a tool's form that a look has."""
    left_out = {*params.fields_of_kind(*UNSAVED_KINDS), *UNSAVED_FIELDS}
    return tuple(field for field in params.model_fields if field not in left_out)


def pick_look_values(params: type[Params], values: Mapping[str, Any]) -> dict[str, Any]:
    """Pick of a form's values what a look has, where it differs from the form's defaults. Raises `InvalidParams`."""
    saved = {field: value for field, value in values.items() if field not in params.model_fields}
    saved |= {field: values[field] for field in list_look_fields(params) if field in values}
    for error in list_form_errors(params, saved):
        if error.param is None or error.param in saved:
            raise error
    defaults = {field: params.model_fields[field].default for field in saved}
    return {field: value for field, value in saved.items() if value not in (defaults[field], None)}


def _encode_look_picture(picture: Image) -> str:
    size = size_within(picture.shape, LOOK_PICTURE_PX)
    small = resize_image(flatten_on_white(picture), size)
    return f"data:image/jpeg;base64,{base64.b64encode(encode_image(small, 'jpeg', b'', 80)).decode()}"


def read_kits_and_looks(data: Path, owner: str, database: str = "") -> Iterator[SavedItem]:
    """Yield the owner's kits and looks in a studio's data folder, which is only read: that studio may be running."""
    path = data / "jobs.sqlite3"
    if not database and not path.exists():
        return
    db = open_database(path, JOB_TABLES, database, read_only=True)
    try:
        own = select(SAVED_ITEMS).where(_S.owner == owner, _S.what.in_(("brand", "look")))
        yield from map(_item_from_row, db.fetch_rows(own))
    except DatabaseUnavailable:  # a folder that may not even be read, or one of before there were kits
        return
    finally:
        db.close()


def _item_from_row(row: Row) -> SavedItem:
    return SavedItem(row.id, row.what, row.name, json.loads(row.value), row.created)
