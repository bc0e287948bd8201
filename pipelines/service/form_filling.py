"""Filling a form with saved brand kits and characters, so that the job itself says everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pipelines.core.errors import BadInput, NotFound
from pipelines.core.params import Params
from pipelines.service.saved_items import ID_PREFIXES, SavedItem, SavedKind

NOTICE_PREFIXES = {"brand": "Brand kit ", "look": "Your look "}
"""How the notice begins that says which fields a saved item filled."""


FindSavedItem: TypeAlias = Callable[[str, SavedKind, str], SavedItem]
"""(owner, kind, id or name) -> what the owner saved. Raises `NotFound`."""


@dataclass(frozen=True)
class FilledForm:
    """A form's values with every saved item written out, and the notices about them."""

    values: dict[str, Any]
    notices: tuple[str, ...] = ()


def fill_form(
    params: type[Params], values: Mapping[str, Any], owner: str, find_item: FindSavedItem, *, tool: str = ""
) -> FilledForm:
    """Write out the looks, kits and characters that a form names; what the form says itself stays.

    A picture may be named by the character it shows. Raises `BadInput` for an item that the owner has not saved, and
    for a look of another tool than the one with the id `tool`.
    """
    form = {name: _resolve_pictures(params, name, value, owner, find_item) for name, value in values.items()}
    notices: list[str] = []
    for field in params.model_fields:
        kind = params.schema_extra(field).get("x-kept")
        key = form.get(field)
        if kind is None or not isinstance(key, str) or not key.strip() or "=" in key:
            continue
        item = _find_saved(find_item, owner, kind, key, field)
        if kind == "look" and item.value["tool"] != tool:
            raise BadInput(f"'{item.name}' is a look of another tool: {item.value['tool']}.", param=field)
        item_values = item.value if kind == "brand" else item.value["params"]
        form[field] = item_values.get(field, "") if kind == "character" else ""
        used = [name for name in item_values if name != field and _accepts_value(params, form, name, item_values[name])]
        form |= {name: item_values[name] for name in used}
        if kind in NOTICE_PREFIXES:
            labels = ", ".join(str(params.model_fields[name].title).lower() for name in used)
            notices.append(f"{NOTICE_PREFIXES[kind]}'{item.name}': {labels or 'nothing of it is used here'}.")
    return FilledForm(form, tuple(notices))


def list_untouched_fields(params: type[Params], values: Mapping[str, Any]) -> set[str]:
    """List the fields of a page's form that give way to the look it names: nobody chose what the page begins with."""
    kept = {name: params.schema_extra(name).get("x-kept") for name in params.model_fields}
    if not any(kept.get(name) == "look" and value for name, value in values.items()):
        return set()
    return {name for name in kept if name in values and values[name] == params.schema_extra(name).get("x-start", ...)}


def _accepts_value(params: type[Params], form: Mapping[str, Any], name: str, value: Any) -> bool:
    """Whether the form leaves field `name` open and may take `value` there."""
    if name not in params.model_fields or value in (None, "any", ""):
        return False
    labels = params.schema_extra(name).get("x-labels")
    if labels and value not in labels:
        return False
    default = params.model_fields[name].default
    return form.get(name, default) in (default, None, "")


def _resolve_pictures(params: type[Params], name: str, value: Any, owner: str, find_item: FindSavedItem) -> Any:
    """The value of a picture's field with file ids in the places of characters; any other value as it is."""
    kind = params.kind_of(name) if name in params.model_fields else None
    if kind == "picture":
        return _find_character_picture(value, name, owner, find_item)
    if kind == "pictures" and isinstance(value, list | tuple):
        return tuple(_find_character_picture(each, name, owner, find_item) for each in value)
    return value


def _find_character_picture(value: Any, name: str, owner: str, find_item: FindSavedItem) -> Any:
    if isinstance(value, str) and value.startswith(ID_PREFIXES["character"]):
        return _find_saved(find_item, owner, "character", value, name).value["picture"]
    return value


def _find_saved(find_item: FindSavedItem, owner: str, kind: SavedKind, key: str, field: str) -> SavedItem:
    try:
        return find_item(owner, kind, key.strip())
    except NotFound as error:
        raise BadInput(error.message, param=field) from error
