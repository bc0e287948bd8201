"""Routes `/v1/looks`: a tool's settings saved under a name; exported and imported as one file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from pipelines.core.errors import BadInput, InvalidParams
from pipelines.core.geometry import Image
from pipelines.core.tools import Tool
from pipelines.service.saved_items import MAX_LOOK_PICTURE_CHARS, MAX_SAVED_COUNT, SavedItem
from pipelines.service.settings_link import build_link
from pipelines.service.studio_service import StudioService
from ui.api import request_parsing
from ui.api.dependencies import OwnerDep, ServiceDep
from ui.api.errors import READ_CODES, UPLOAD_CODES, WRITE_CODES, document_errors
from ui.api.json_schema import document_json_body, object_schema
from ui.api.pagination import AfterQuery, LimitQuery, paginate_list
from ui.api.routes.saved_items import delete_item, make_saved_object

router = APIRouter(tags=["kept"])
LOOKS_FORMAT = "designerbox-looks"
_TEXT: dict[str, Any] = {"type": "string"}
_LOOK_SCHEMA = object_schema(
    {
        "name": {**_TEXT, "minLength": 1},
        "tool": _TEXT,
        "params": {"type": "object", "description": "Fields of the tool's form; pictures and the seed are left out."},
        "picture": {"type": ["string", "null"], "description": "What it looks like: a data URL."},
    },
    "picture",
)
_JOB_LOOK_SCHEMA = object_schema({"name": _TEXT, "job": {**_TEXT, "description": "A finished job of yours."}})
_LOOKS_FILE_SCHEMA = object_schema(
    {
        "format": {"const": LOOKS_FORMAT},
        "looks": {"type": "array", "items": _LOOK_SCHEMA, "maxItems": MAX_SAVED_COUNT},
    }
)
_EXAMPLE_BODY = {"name": "Shop white", "tool": "product", "params": {"preset": "amazon", "size": 3000}}
_LOOK_BODY = document_json_body({"anyOf": [_LOOK_SCHEMA, _JOB_LOOK_SCHEMA, _LOOKS_FILE_SCHEMA]}, _EXAMPLE_BODY)


def make_look_object(row: SavedItem, tools: Sequence[Tool]) -> dict[str, Any]:
    """Build the object of a look. Its tool's form takes `id` or `name` as `look`; `link` opens the page with it."""
    return {**make_saved_object(row), "link": make_look_link(row, tools)}


def make_look_link(row: SavedItem, tools: Sequence[Tool]) -> str:
    """Make the address, on this studio, that opens the look's tool with its settings; "" if it has no such tool."""
    tool = next((tool for tool in tools if tool.id == row.value["tool"]), None)
    return "" if tool is None else build_link("", tool, row.value["params"])


@router.get("/looks", responses=document_errors(READ_CODES))
async def list_looks(
    owner: OwnerDep, service: ServiceDep, limit: LimitQuery = 20, after: AfterQuery = None
) -> dict[str, Any]:
    """Your looks, by name."""
    rows = await to_thread.run_sync(service.saved_items.list_items, owner, "look")
    return paginate_list(rows, lambda row: make_look_object(row, service.tools), limit, after)


@router.post("/looks", responses=document_errors(UPLOAD_CODES), openapi_extra=_LOOK_BODY)
async def keep_look(request: Request, owner: OwnerDep, service: ServiceDep) -> dict[str, Any]:
    """Keep a tool's settings under `name`, in the place of an older look of that name; each tool takes it as `look`.

    Send `tool` and `params`, or the `job` that has them; or the file of `/v1/looks-file` as it is, which brings back
    all that are in it and answers with the last.
    """
    async with request_parsing.read_form(request) as form:
        values = {name: form.get_one(name) for name in form.values}
    row = await to_thread.run_sync(_save_sent_look, values, owner, service)
    return make_look_object(row, service.tools)


def _save_sent_look(values: dict[str, Any], owner: str, service: StudioService) -> SavedItem:
    if values.get("format") == LOOKS_FORMAT:
        return import_looks(values, owner, service)[-1]
    name, job = values.get("name"), values.get("job")
    if not isinstance(name, str):
        raise InvalidParams("'name' is missing.", param="name")
    if isinstance(job, str):
        return service.saved_items.save_look_of_job(name, job, owner)
    return _save_look(values, owner, service)


@router.get("/looks-file", responses=document_errors(READ_CODES))
async def export_looks(
    owner: OwnerDep,
    service: ServiceDep,
    key: Annotated[str | None, Query(description="One look by id or name; without it all of them.")] = None,
) -> Response:
    """Your looks, or one of them, as one JSON file with their pictures, for another studio or for later."""
    text = await to_thread.run_sync(serialize_looks, owner, service, key)
    headers = {"Content-Disposition": 'attachment; filename="looks.json"'}
    return Response(text, media_type="application/json", headers=headers)


@router.get("/looks/{key}", responses=document_errors(READ_CODES))
async def get_look(key: str, owner: OwnerDep, service: ServiceDep) -> dict[str, Any]:
    """One look, by id or name."""
    row = await to_thread.run_sync(service.saved_items.find_item, owner, "look", key)
    return make_look_object(row, service.tools)


@router.delete("/looks/{key}", responses=document_errors(WRITE_CODES))
async def delete_look(key: str, owner: OwnerDep, service: ServiceDep) -> dict[str, Any]:
    """Forget a look; jobs that it made say all they need."""
    return await delete_item("look", key, owner, service)


def serialize_looks(owner: str, service: StudioService, key: str | None = None) -> str:
    """Write the owner's looks, or the one with this id or name, as JSON, which `import_looks` reads."""
    saved = service.saved_items
    rows = saved.list_items(owner, "look") if key is None else [saved.find_item(owner, "look", key)]
    return json.dumps({"format": LOOKS_FORMAT, "looks": [{"name": row.name, **row.value} for row in rows]}, indent=1)


def import_looks(file: dict[str, Any], owner: str, service: StudioService) -> list[SavedItem]:
    """Save every look of a file, each checked like a tool's form. Raises `BadInput`, `InvalidParams`, `NotFound`."""
    looks = file.get("looks")
    if not isinstance(looks, list) or not 0 < len(looks) <= MAX_SAVED_COUNT:
        raise BadInput(f"'looks' is a list of 1 to {MAX_SAVED_COUNT} looks.", param="looks")
    return [_save_look(look if isinstance(look, dict) else {}, owner, service) for look in looks]


def _save_look(look: dict[str, Any], owner: str, service: StudioService) -> SavedItem:
    name, tool, params = look.get("name"), look.get("tool"), look.get("params")
    if not isinstance(name, str) or not isinstance(tool, str) or not isinstance(params, dict):
        raise BadInput("A look has 'name', 'tool' and 'params'.", param="params")
    picture = _read_picture(look.get("picture"), owner, service)
    return service.saved_items.save_look(name, tool, params, owner, picture)


def _read_picture(value: object, owner: str, service: StudioService) -> Image | None:
    """Decode and filter a look's picture like an upload. Raises `BadInput`, `PolicyRefusal`."""
    if value is None:
        return None
    text = value if isinstance(value, str) else ""
    if len(text) > MAX_LOOK_PICTURE_CHARS or not request_parsing.DATA_URL_PATTERN.match(text):
        raise BadInput(f"'picture' is a data URL of at most {MAX_LOOK_PICTURE_CHARS} characters.", param="picture")
    file_id, _ = service.uploads.ingest_picture(request_parsing.decode_data_url(text, "picture"), owner)
    return service.files.open_image(file_id)
