"""What an owner keeps to use again, by name: brand kits and characters; knows no HTTP, and draws nothing.

It lies in the queue's own database. Whoever orders a job names what is kept; the desk writes its values into the job,
so that a job says all there is to it and later changes of a kit change no job.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from pipelines.core.errors import BadInput, NotFound
from pipelines.core.params import Params, choice, picture
from pipelines.core.params import colour as colour_field
from pipelines.jobs.table import Table
from pipelines.storage.database import Row, Unwritable, opened

What = Literal["brand", "character"]
PREFIX: dict[str, str] = {"brand": "brand-", "character": "char-"}
KIT = "Brand kit "
"""How the sentence begins that says what of a kit was used."""
MOST = 200  # of one owner's and one kind
_NAME = re.compile(r"[^\x00-\x1f\x7f=]{1,60}")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS kept (
  id TEXT PRIMARY KEY, owner TEXT NOT NULL, what TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
  created REAL NOT NULL, UNIQUE (owner, what, name)
)
"""


class BrandKit(Params):
    """What a brand's pictures have in common. Every tool takes of it what it has a field for."""

    colour: str | None = colour_field("Colour", "Papers, panels, walls, clothes.")
    behind_colour: str | None = colour_field("Second colour", "Behind characters.")
    logo: str | None = picture("Logo", "Best with a transparent background.")
    backdrop: str | None = picture("Backdrop", "Stands behind whoever is photographed.")
    light: Literal["any", "exact", "relit"] = choice(
        "Light", "Exact leaves the subject as it is; Relit fits it to the scene.", "any",
        labels={"any": "As the tool has it", "exact": "Exact", "relit": "Relit"},
    )  # fmt: skip
    framing: Literal["any", "tight", "classic", "wide"] = choice(
        "Framing", "How much of a person is seen.", "any",
        labels={"any": "As the tool has it", "tight": "Tight", "classic": "Classic", "wide": "Wide"},
    )  # fmt: skip


@dataclass(frozen=True)
class Keepsake:
    """One thing kept. A brand's `value` is a `BrandKit`'s; a character's has `params` and `picture`, a file id."""

    id: str
    what: str
    name: str
    value: dict[str, Any]
    created: float


class Kept:
    """Each owner's own, found by id or name."""

    def __init__(self, table: Table) -> None:
        self._table = table
        with table.lock:
            table.db.schema(_SCHEMA)

    def keep(self, owner: str, what: What, name: str, value: Mapping[str, Any]) -> Keepsake:
        """Keep `value` under `name`, in the place of what had that name. Raises `BadInput`."""
        name = " ".join(name.split())
        if not _NAME.fullmatch(name) or name.startswith((*PREFIX.values(), "file-")):
            raise BadInput("A name has 1 to 60 letters, and no '='.", param="name")
        with self._table.lock:
            old = self._rows("owner = ? AND what = ? AND name = ?", owner, what, name)
            if not old and len(self._rows("owner = ? AND what = ?", owner, what)) >= MOST:
                raise BadInput(f"{MOST} are kept: delete one first.")
            made = PREFIX[what] + secrets.token_hex(10)
            self._table.db.execute(
                "INSERT INTO kept VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (owner, what, name) DO UPDATE SET "
                "value = excluded.value, created = excluded.created",
                (made, owner, what, name, json.dumps(dict(value)), time.time()),
            )
        return self.get(owner, what, name)

    def list(self, owner: str, what: str) -> list[Keepsake]:
        """The owner's, by name."""
        return sorted(self._rows("owner = ? AND what = ?", owner, what), key=lambda row: row.name.casefold())

    def get(self, owner: str, what: What, key: str) -> Keepsake:
        """By id or name. Raises `NotFound`."""
        found = self._rows("owner = ? AND what = ? AND (id = ? OR name = ?)", owner, what, key, " ".join(key.split()))
        if not found:
            raise NotFound(f"You keep no {'brand kit' if what == 'brand' else what} of that name.")
        return found[0]

    def drop(self, owner: str, what: What, key: str) -> Keepsake:
        """Forget it. Raises `NotFound`."""
        found = self.get(owner, what, key)
        with self._table.lock:
            self._table.db.execute("DELETE FROM kept WHERE id = ?", (found.id,))
        return found

    def _rows(self, where: str, *values: object) -> list[Keepsake]:
        with self._table.lock:
            rows = self._table.db.execute(f"SELECT * FROM kept WHERE {where}", values).fetchall()
        return [_keepsake(row) for row in rows]


def _keepsake(row: Row) -> Keepsake:
    return Keepsake(row["id"], row["what"], row["name"], json.loads(row["value"]), row["created"])


class Keeper(Protocol):
    """Who finds what an owner keeps."""

    def get(self, owner: str, what: What, key: str) -> Keepsake:
        """By id or name. Raises `NotFound`."""
        ...


class Once:
    """What is kept, each thing as it was when it was first asked for."""

    def __init__(self, kept: Keeper) -> None:
        self._kept = kept
        self._found: dict[tuple[str, str, str], Keepsake] = {}

    def get(self, owner: str, what: What, key: str) -> Keepsake:
        """By id or name. Raises `NotFound`."""
        if (owner, what, key) not in self._found:
            self._found[owner, what, key] = self._kept.get(owner, what, key)
        return self._found[owner, what, key]


def brands_in(data: Path, owner: str, database: str = "") -> Iterator[Keepsake]:
    """The owner's kits in a studio's folder, which is only read: the studio itself may be running on it."""
    path = data / "jobs.sqlite3"
    if not database and not path.exists():
        return
    db = opened(path, database, reading=True)
    try:
        if db.columns("kept"):  # else it is a folder of before there were kits
            query = "SELECT * FROM kept WHERE owner = ? AND what = 'brand'"
            yield from map(_keepsake, db.execute(query, (owner,)).fetchall())
    except Unwritable:  # a folder that may not even be read
        return
    finally:
        db.close()


# ---------------------------------------------------------------- into a form


@dataclass(frozen=True)
class Settled:
    """A form with everything that was kept written out, and what there is to say about it."""

    values: dict[str, Any]
    notices: tuple[str, ...] = ()


def settle(params: type[Params], values: Mapping[str, Any], owner: str, kept: Keeper) -> Settled:
    """The form with kits and characters written out. Raises `BadInput` for one that the owner does not keep.

    What the form says itself stays. A picture may be named by the character it shows.
    """
    form = {name: _shown(params, name, value, owner, kept) for name, value in values.items()}
    said: list[str] = []
    for field in params.model_fields:
        what = params.schema_extra(field).get("x-kept")
        named = form.get(field)
        if what is None or not isinstance(named, str) or not named.strip() or "=" in named:
            continue
        found = _named(kept, owner, what, named, field)
        fresh = found.value if what == "brand" else found.value["params"]
        form[field] = "" if what == "brand" else fresh.get(field, "")
        taken = [name for name in fresh if name != field and _free(params, form, name, fresh[name])]
        form |= {name: fresh[name] for name in taken}
        if what == "brand":
            labels = [str(params.model_fields[name].title).lower() for name in taken]
            said.append(f"{KIT}'{found.name}': {', '.join(labels) or 'nothing of it is used here'}.")
    return Settled(form, tuple(said))


def _free(params: type[Params], form: Mapping[str, Any], name: str, value: Any) -> bool:
    """Whether the form leaves field `name` open and may take `value` there."""
    if name not in params.model_fields or value in (None, "any", ""):
        return False
    info = params.model_fields[name]
    offered = params.schema_extra(name).get("x-labels")
    if offered and value not in offered:
        return False
    return form.get(name, info.default) in (info.default, None, "")


def _shown(params: type[Params], name: str, value: Any, owner: str, kept: Keeper) -> Any:
    """A picture's field with file ids in the places of characters."""
    kind = params.kind_of(name) if name in params.model_fields else None
    if kind == "picture" and isinstance(value, str) and value.startswith(PREFIX["character"]):
        return _named(kept, owner, "character", value, name).value["picture"]
    if kind == "pictures" and isinstance(value, list | tuple):
        return tuple(_one(each, name, owner, kept) for each in value)
    return value


def _one(value: Any, name: str, owner: str, kept: Keeper) -> Any:
    mine = isinstance(value, str) and value.startswith(PREFIX["character"])
    return _named(kept, owner, "character", value, name).value["picture"] if mine else value


def _named(kept: Keeper, owner: str, what: What, key: str, field: str) -> Keepsake:
    try:
        return kept.get(owner, what, key.strip())
    except NotFound as error:
        raise BadInput(error.message, param=field) from error
