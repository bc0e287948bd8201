"""Brand kits and characters under `/v1`: kept, listed, taken home as one file and brought back, forgotten."""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from pipelines.core.errors import BadInput, InvalidParams
from pipelines.service.orders import StudioService
from pipelines.service.saved_items import BrandKit, SavedItem, SavedKind
from ui.api import request_parsing
from ui.api.dependencies import Owner, TheService
from ui.api.errors import READING, TAKING, WRITING, documented
from ui.api.pagination import AFTER, LIMIT, page_of

router = APIRouter(tags=["kept"])
FORMAT = "designerbox-character"
NAME: dict[str, Any] = {"type": "string", "minLength": 1, "description": "What it is called."}


def _body(schema: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def _brand() -> dict[str, Any]:
    plain = BrandKit.model_json_schema()
    schema = {**plain, "required": ["name"], "properties": {"name": NAME, **plain["properties"]}}
    return _body(schema, {"name": "Acme", "colour": "#0b5c52", "framing": "classic"})


def _character() -> dict[str, Any]:
    text = {"type": "string"}
    passport = {"format": {"const": FORMAT}, "params": {"type": "object"}, "picture": text, "reference": text}
    either = {
        "type": "object",
        "properties": {"name": NAME, "job": {**text, "description": "A finished job of yours."}, **passport},
        "anyOf": [{"required": ["job", "name"]}, {"required": ["format", "name", "params", "picture"]}],
    }
    return _body(either, {"job": "job-…", "name": "Ann"})


def kept_object(row: SavedItem) -> dict[str, Any]:
    """A thing kept. In a tool's form its `id` or `name` stands for it; a character's also for its picture."""
    return {"id": row.id, "object": row.kind, "name": row.name, "created_at": int(row.created), **row.value}


async def _list(what: SavedKind, owner: str, service: StudioService, limit: int, after: str | None) -> dict[str, Any]:
    rows = await to_thread.run_sync(service.saved_items.list_items, owner, what)
    return page_of([kept_object(row) for row in rows], limit, after)


async def _delete(what: SavedKind, key: str, owner: str, service: StudioService) -> dict[str, Any]:
    row = await to_thread.run_sync(service.saved_items.delete_item, owner, what, key)
    return {"id": row.id, "object": row.kind, "deleted": True}


# ---------------------------------------------------------------- brand kits


@router.get("/brands", responses=documented(READING))
async def list_brands(
    owner: Owner, service: TheService, limit: Annotated[int, LIMIT] = 20, after: Annotated[str | None, AFTER] = None
) -> dict[str, Any]:
    """Your brand kits, by name."""
    return await _list("brand", owner, service, limit, after)


@router.post("/brands", responses=documented(TAKING), openapi_extra=_brand())
async def keep_brand(request: Request, owner: Owner, service: TheService) -> dict[str, Any]:
    """Keep a kit under `name`, in the place of an older one: colour, behind_colour, logo, backdrop, light, framing.

    Pictures come as in a tool's form. Any tool takes the kit as its field `brand`.
    """
    async with request_parsing.opened(request) as sent:
        name = sent.one("name")
        filled = await request_parsing.fill(sent.without("name"), BrandKit, service, owner)
    if not isinstance(name, str):
        raise InvalidParams("'name' is missing.", param="name")
    return kept_object(await to_thread.run_sync(service.saved_items.save_brand_kit, name, filled.values, owner))


@router.get("/brands/{key}", responses=documented(READING))
async def get_brand(key: str, owner: Owner, service: TheService) -> dict[str, Any]:
    """One kit, by id or name."""
    return kept_object(await to_thread.run_sync(service.saved_items.find_item, owner, "brand", key))


@router.delete("/brands/{key}", responses=documented(WRITING))
async def delete_brand(key: str, owner: Owner, service: TheService) -> dict[str, Any]:
    """Forget a kit; jobs that it made say all they need."""
    return await _delete("brand", key, owner, service)


# ---------------------------------------------------------------- characters


@router.get("/characters", responses=documented(READING))
async def list_characters(
    owner: Owner, service: TheService, limit: Annotated[int, LIMIT] = 20, after: Annotated[str | None, AFTER] = None
) -> dict[str, Any]:
    """The characters you keep, by name."""
    return await _list("character", owner, service, limit, after)


@router.post("/characters", responses=documented(TAKING), openapi_extra=_character())
async def keep_character(request: Request, owner: Owner, service: TheService) -> dict[str, Any]:
    """Keep a finished job's character (`job`, `name`), or bring one back from its passport (the file as it is)."""
    async with request_parsing.opened(request) as sent:
        values = {name: sent.one(name) for name in sent.values}
    if values.get("format") == FORMAT:
        return kept_object(await to_thread.run_sync(brought_back, values, owner, service))
    job, name = values.get("job"), values.get("name")
    if not isinstance(job, str) or not isinstance(name, str):
        raise InvalidParams("Send 'job' and 'name', or a passport.", param="job")
    return kept_object(await to_thread.run_sync(service.saved_items.save_character, job, name, owner))


@router.get("/characters/{key}", responses=documented(READING))
async def get_character(key: str, owner: Owner, service: TheService) -> dict[str, Any]:
    """One character, by id or name."""
    return kept_object(await to_thread.run_sync(service.saved_items.find_item, owner, "character", key))


@router.get("/characters/{key}/passport", responses=documented(READING))
async def get_passport(key: str, owner: Owner, service: TheService) -> Response:
    """The character as one file, pictures in it, for another studio or for later."""
    row = await to_thread.run_sync(service.saved_items.find_item, owner, "character", key)
    text = await to_thread.run_sync(passport, row, owner, service)
    headers = {"Content-Disposition": f'attachment; filename="{row.id}.json"'}
    return Response(text, media_type="application/json", headers=headers)


@router.delete("/characters/{key}", responses=documented(WRITING))
async def delete_character(key: str, owner: Owner, service: TheService) -> dict[str, Any]:
    """Forget a character."""
    return await _delete("character", key, owner, service)


# ---------------------------------------------------------------- the passport


def passport(row: SavedItem, owner: str, service: StudioService) -> str:
    """A character as JSON with its pictures inside, as `brought_back` takes it."""
    params = dict(row.value["params"])
    reference = params.pop("reference", None)
    pictures = {"picture": row.value["picture"], **({"reference": reference} if reference else {})}
    inside = {name: _data_url(service, file_id, owner) for name, file_id in pictures.items()}
    return json.dumps({"format": FORMAT, "name": row.name, "params": params, **inside}, indent=1)


def _data_url(service: StudioService, file_id: str, owner: str) -> str:
    data = service.files.read_bytes(file_id, owner)
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def brought_back(sent: dict[str, Any], owner: str, service: StudioService) -> SavedItem:
    """Keep what a passport says, each word of it checked as a form's is. Raises `BadInput`, `InvalidParams`."""
    name, params = sent.get("name"), sent.get("params")
    if not isinstance(name, str) or not isinstance(params, dict):
        raise BadInput("This is no passport of a character.", param="passport")
    pictures = {}
    for field in ("picture", "reference"):
        if (text := sent.get(field)) is None:
            continue
        head = request_parsing.DATA_URL.match(text) if isinstance(text, str) else None
        if head is None:
            raise BadInput(f"'{field}' must be a data URL.", param=field)
        pictures[field], _ = service.uploads.ingest_picture(request_parsing.decoded(text, head.end(), field), owner)
    if "picture" not in pictures:
        raise BadInput("The passport has no picture.", param="picture")
    reference = {"reference": pictures["reference"]} if "reference" in pictures else {}
    return service.saved_items.import_character(name, {**params, **reference}, pictures["picture"], owner)
