"""Routes `/v1/brands` and `/v1/characters`: save, list and delete; export and import a character as a passport."""

from __future__ import annotations

import base64
import json
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from pipelines.core.errors import BadInput, InvalidParams
from pipelines.service.saved_items import BrandKit, SavedItem, SavedKind
from pipelines.service.studio_service import StudioService
from ui.api import request_parsing
from ui.api.dependencies import OwnerDep, ServiceDep
from ui.api.errors import READ_CODES, UPLOAD_CODES, WRITE_CODES, document_errors
from ui.api.json_schema import document_json_body
from ui.api.pagination import AfterQuery, LimitQuery, paginate_list

router = APIRouter(tags=["kept"])
PASSPORT_FORMAT = "designerbox-character"
_NAME_SCHEMA: dict[str, Any] = {"type": "string", "minLength": 1, "description": "What it is called."}


def _document_brand() -> dict[str, Any]:
    plain = BrandKit.model_json_schema()
    schema = {**plain, "required": ["name"], "properties": {"name": _NAME_SCHEMA, **plain["properties"]}}
    return document_json_body(schema, {"name": "Acme", "colour": "#0b5c52", "framing": "classic"})


def _document_character() -> dict[str, Any]:
    text = {"type": "string"}
    passport = {"format": {"const": PASSPORT_FORMAT}, "params": {"type": "object"}, "picture": text, "reference": text}
    either = {
        "type": "object",
        "properties": {"name": _NAME_SCHEMA, "job": {**text, "description": "A finished job of yours."}, **passport},
        "anyOf": [{"required": ["job", "name"]}, {"required": ["format", "name", "params", "picture"]}],
    }
    return document_json_body(either, {"job": "job-…", "name": "Ann"})


def make_saved_object(row: SavedItem) -> dict[str, Any]:
    """Build the object of a saved item. A tool's form takes its `id` or `name`, a character's also as a picture."""
    return {"id": row.id, "object": row.kind, "name": row.name, "created_at": int(row.created), **row.value}


async def delete_item(kind: SavedKind, key: str, owner: str, service: StudioService) -> dict[str, Any]:
    """Delete a brand kit, a character or a look by its id or name, and answer so."""
    row = await to_thread.run_sync(service.saved_items.delete_item, owner, kind, key)
    return {"id": row.id, "object": row.kind, "deleted": True}


# ---------------------------------------------------------------- brand kits


@router.get("/brands", responses=document_errors(READ_CODES))
async def list_brands(
    owner: OwnerDep, service: ServiceDep, limit: LimitQuery = 20, after: AfterQuery = None
) -> dict[str, Any]:
    """Your brand kits, by name."""
    rows = await to_thread.run_sync(service.saved_items.list_items, owner, "brand")
    return paginate_list(rows, make_saved_object, limit, after)


@router.post("/brands", responses=document_errors(UPLOAD_CODES), openapi_extra=_document_brand())
async def keep_brand(request: Request, owner: OwnerDep, service: ServiceDep) -> dict[str, Any]:
    """Keep a kit under `name`, in the place of an older one: colour, behind_colour, logo, backdrop, light, framing.

    Pictures come as in a tool's form. Any tool takes the kit as its field `brand`.
    """
    async with request_parsing.read_form(request) as form:
        name = form.get_one("name")
        filled = await request_parsing.fill_form(form.without_fields("name"), BrandKit, service, owner)
    if not isinstance(name, str):
        raise InvalidParams("'name' is missing.", param="name")
    return make_saved_object(await to_thread.run_sync(service.saved_items.save_brand_kit, name, filled.values, owner))


@router.get("/brands/{key}", responses=document_errors(READ_CODES))
async def get_brand(key: str, owner: OwnerDep, service: ServiceDep) -> dict[str, Any]:
    """One kit, by id or name."""
    return make_saved_object(await to_thread.run_sync(service.saved_items.find_item, owner, "brand", key))


@router.delete("/brands/{key}", responses=document_errors(WRITE_CODES))
async def delete_brand(key: str, owner: OwnerDep, service: ServiceDep) -> dict[str, Any]:
    """Forget a kit; jobs that it made say all they need."""
    return await delete_item("brand", key, owner, service)


# ---------------------------------------------------------------- characters


@router.get("/characters", responses=document_errors(READ_CODES))
async def list_characters(
    owner: OwnerDep, service: ServiceDep, limit: LimitQuery = 20, after: AfterQuery = None
) -> dict[str, Any]:
    """The characters you keep, by name."""
    rows = await to_thread.run_sync(service.saved_items.list_items, owner, "character")
    return paginate_list(rows, make_saved_object, limit, after)


@router.post("/characters", responses=document_errors(UPLOAD_CODES), openapi_extra=_document_character())
async def keep_character(request: Request, owner: OwnerDep, service: ServiceDep) -> dict[str, Any]:
    """Keep a finished job's character (`job`, `name`), or bring one back from its passport (the file as it is)."""
    async with request_parsing.read_form(request) as form:
        values = {name: form.get_one(name) for name in form.values}
    if values.get("format") == PASSPORT_FORMAT:
        return make_saved_object(await to_thread.run_sync(import_passport, values, owner, service))
    job, name = values.get("job"), values.get("name")
    if not isinstance(job, str) or not isinstance(name, str):
        raise InvalidParams("Send 'job' and 'name', or a passport.", param="job")
    return make_saved_object(await to_thread.run_sync(service.saved_items.save_character, job, name, owner))


@router.get("/characters/{key}", responses=document_errors(READ_CODES))
async def get_character(key: str, owner: OwnerDep, service: ServiceDep) -> dict[str, Any]:
    """One character, by id or name."""
    return make_saved_object(await to_thread.run_sync(service.saved_items.find_item, owner, "character", key))


@router.get("/characters/{key}/passport", responses=document_errors(READ_CODES))
async def get_passport(key: str, owner: OwnerDep, service: ServiceDep) -> Response:
    """The character as one file, pictures in it, for another studio or for later."""
    row = await to_thread.run_sync(service.saved_items.find_item, owner, "character", key)
    text = await to_thread.run_sync(write_passport, row, owner, service)
    headers = {"Content-Disposition": f'attachment; filename="{row.id}.json"'}
    return Response(text, media_type="application/json", headers=headers)


@router.delete("/characters/{key}", responses=document_errors(WRITE_CODES))
async def delete_character(key: str, owner: OwnerDep, service: ServiceDep) -> dict[str, Any]:
    """Forget a character."""
    return await delete_item("character", key, owner, service)


# ---------------------------------------------------------------- passports


def write_passport(row: SavedItem, owner: str, service: StudioService) -> str:
    """Write a character as JSON with its pictures inside, which `import_passport` reads."""
    params = dict(row.value["params"])
    reference = params.pop("reference", None)
    pictures = {"picture": row.value["picture"], **({"reference": reference} if reference else {})}
    data = {name: base64.b64encode(service.files.read_bytes(file_id, owner)) for name, file_id in pictures.items()}
    urls = {name: f"data:image/png;base64,{text.decode()}" for name, text in data.items()}
    return json.dumps({"format": PASSPORT_FORMAT, "name": row.name, "params": params, **urls}, indent=1)


def import_passport(passport: dict[str, Any], owner: str, service: StudioService) -> SavedItem:
    """Save the character of a passport, checked like a tool's form. Raises `BadInput`, `InvalidParams`."""
    name, params = passport.get("name"), passport.get("params")
    if not isinstance(name, str) or not isinstance(params, dict):
        raise BadInput("This is no file of a character.", param="passport")
    pictures = {}
    for field in ("picture", "reference"):
        if (text := passport.get(field)) is not None:
            data = request_parsing.decode_data_url(text, field)
            pictures[field], _ = service.uploads.ingest_picture(data, owner)
    picture = pictures.pop("picture", None)
    if picture is None:
        raise BadInput("The passport has no picture.", param="picture")
    return service.saved_items.import_character(name, {**params, **pictures}, picture, owner)
