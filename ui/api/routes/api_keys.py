"""Routes `/v1/keys`, for the scope `admin`: create, change and revoke API keys, and see their usage."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from pipelines.core.errors import NotFound
from ui.api.auth.keys import DEFAULT_SCOPES, NAME_MAX_LENGTH, ApiKey, KeyLimits, KeyScope, KeyStore, parse_scopes
from ui.api.dependencies import AdminDep
from ui.api.errors import BODY_CODES, READ_CODES, WRITE_CODES, document_errors
from ui.api.pagination import AfterQuery, LimitQuery, paginate_list
from ui.api.request_parsing import document_body, read_json_model

router = APIRouter(tags=["keys"])
MAX_LIMIT = 10**9

Limit = Annotated[int | None, Field(ge=1, le=MAX_LIMIT)]


class KeyForm(BaseModel):
    """What a key is called and what it may do; no bound is no limit."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"name": "shop", "scopes": ["read", "create"], "per_day": 200}}
    )

    name: str = Field(min_length=1, max_length=NAME_MAX_LENGTH)
    scopes: list[KeyScope] = Field(default=list(DEFAULT_SCOPES), min_length=1, max_length=3)
    per_minute: Limit = Field(default=None, description="Requests in any 60 seconds.")
    per_day: Limit = Field(
        default=None, description="Pictures asked for in a day (UTC); those of jobs that fail or are stopped count."
    )
    at_once: Limit = Field(default=None, description="Jobs that wait or run.")

    @property
    def limits(self) -> KeyLimits:
        """The three limits."""
        return KeyLimits(self.per_minute, self.per_day, self.at_once)


def make_key_object(keys: KeyStore, key: ApiKey) -> dict[str, Any]:
    """Build the key object: the key without its secret, and its usage."""
    return {
        "id": key.id,
        "object": "key",
        "name": key.name,
        "begins_with": f"sk-dbx-{key.id}",
        "scopes": list(key.scopes),
        **asdict(key.limits),
        "created_at": int(key.created),
        "last_used_at": None if key.used is None else int(key.used),
        "revoked_at": None if key.revoked is None else int(key.revoked),
        "usage": [asdict(row) for row in keys.list_key_usage(key.id)],
    }


@router.get("/keys", responses=document_errors(READ_CODES))
async def list_keys(access: AdminDep, limit: LimitQuery = 20, after: AfterQuery = None) -> dict[str, Any]:
    """Every key, newest first, revoked ones too, with its usage by tool."""
    rows = (await to_thread.run_sync(access.keys.list_keys))[::-1]
    return await to_thread.run_sync(paginate_list, rows, partial(make_key_object, access.keys), limit, after)


@router.post("/keys", responses=document_errors(BODY_CODES), openapi_extra=document_body(KeyForm))
async def create_key(request: Request, access: AdminDep) -> dict[str, Any]:
    """Make a key. `key` is shown this once; only its hash is kept."""
    form = await read_json_model(request, KeyForm)

    def create() -> dict[str, Any]:
        text = access.keys.create_key(form.name, parse_scopes(form.scopes), form.limits)
        key = access.keys.verify_key(text)
        return {**(make_key_object(access.keys, key) if key else {}), "key": text}

    return await to_thread.run_sync(create)


@router.post("/keys/{key_id}", responses=document_errors(BODY_CODES), openapi_extra=document_body(KeyForm))
async def change_key(key_id: str, request: Request, access: AdminDep) -> dict[str, Any]:
    """Name, scope and bound a working key anew."""
    form = await read_json_model(request, KeyForm)
    if not await to_thread.run_sync(access.keys.change_key, key_id, form.name, parse_scopes(form.scopes), form.limits):
        raise NotFound("There is no such key, or it was revoked.")
    return await get_key(key_id, access)


@router.get("/keys/{key_id}", responses=document_errors(READ_CODES))
async def get_key(key_id: str, access: AdminDep) -> dict[str, Any]:
    """A key as it stands."""
    key = await to_thread.run_sync(access.keys.get_key, key_id)
    if key is None:
        raise NotFound("There is no such key.")
    return await to_thread.run_sync(make_key_object, access.keys, key)


@router.delete("/keys/{key_id}", responses=document_errors(WRITE_CODES))
async def revoke_key(key_id: str, access: AdminDep) -> dict[str, Any]:
    """Close a key for good; a page that was opened with it is closed too."""
    if not await to_thread.run_sync(access.keys.revoke_key, key_id):
        raise NotFound("There is no such key, or it was revoked already.")
    return await get_key(key_id, access)
