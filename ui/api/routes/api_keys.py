"""`/v1/keys`: keys and what they were used for, for whoever administers; never shows a secret but once."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from pipelines.core.errors import NotFound
from ui.api.auth.keys import NAME_LENGTH, USUAL, Bounds, Key, Keys, Scope, scopes_of
from ui.api.dependencies import Admin
from ui.api.errors import READING, SENDING, WRITING, documented
from ui.api.pagination import AFTER, LIMIT, listed
from ui.api.request_parsing import body_of, model

router = APIRouter(tags=["keys"])
MOST = 10**9

Bound = Annotated[int | None, Field(ge=1, le=MOST)]


class KeyForm(BaseModel):
    """What a key is called and what it may do; no bound is no limit."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"name": "shop", "scopes": ["read", "create"], "per_day": 200}}
    )

    name: str = Field(min_length=1, max_length=NAME_LENGTH)
    scopes: list[Scope] = Field(default=list(USUAL), min_length=1, max_length=3)
    per_minute: Bound = Field(default=None, description="Requests in any 60 seconds.")
    per_day: Bound = Field(
        default=None, description="Pictures asked for in a day (UTC); those of jobs that fail or are stopped count."
    )
    at_once: Bound = Field(default=None, description="Jobs that wait or run.")

    @property
    def bounds(self) -> Bounds:
        """The three bounds."""
        return Bounds(self.per_minute, self.per_day, self.at_once)


def key_object(keys: Keys, key: Key) -> dict[str, Any]:
    """A key without its secret, and what it was used for."""
    return {
        "id": key.id,
        "object": "key",
        "name": key.name,
        "begins_with": f"sk-dbx-{key.id}",
        "scopes": list(key.scopes),
        "per_minute": key.bounds.per_minute,
        "per_day": key.bounds.per_day,
        "at_once": key.bounds.at_once,
        "created_at": int(key.created),
        "last_used_at": None if key.used is None else int(key.used),
        "revoked_at": None if key.revoked is None else int(key.revoked),
        "usage": [{"tool": row.tool, "jobs": row.jobs, "pictures": row.pictures} for row in keys.usage(key.id)],
    }


@router.get("/keys", responses=documented(READING))
async def list_keys(
    access: Admin, limit: Annotated[int, LIMIT] = 20, after: Annotated[str | None, AFTER] = None
) -> dict[str, Any]:
    """Every key, newest first, revoked ones too, with its usage by tool."""

    def found() -> dict[str, Any]:
        keys = access.keys.list()[::-1]
        if after is not None:
            ids = [key.id for key in keys]
            if after not in ids:
                raise NotFound("There is no such key.")
            keys = keys[ids.index(after) + 1 :]
        return listed([key_object(access.keys, key) for key in keys[: limit + 1]], limit)

    return await to_thread.run_sync(found)


@router.post("/keys", responses=documented(SENDING), openapi_extra=body_of(KeyForm))
async def create_key(request: Request, access: Admin) -> dict[str, Any]:
    """Make a key. `key` is shown this once; only its hash is kept."""
    form = await model(request, KeyForm)

    def made() -> dict[str, Any]:
        text = access.keys.new(form.name, scopes_of(form.scopes), form.bounds)
        key = access.keys.verify(text)
        return {**(key_object(access.keys, key) if key else {}), "key": text}

    return await to_thread.run_sync(made)


@router.post("/keys/{key_id}", responses=documented(SENDING), openapi_extra=body_of(KeyForm))
async def change_key(key_id: str, request: Request, access: Admin) -> dict[str, Any]:
    """Name, scope and bound a working key anew."""
    form = await model(request, KeyForm)
    if not await to_thread.run_sync(access.keys.change, key_id, form.name, scopes_of(form.scopes), form.bounds):
        raise NotFound("There is no such key, or it was revoked.")
    return await get_key(key_id, access)


@router.get("/keys/{key_id}", responses=documented(READING))
async def get_key(key_id: str, access: Admin) -> dict[str, Any]:
    """A key as it stands."""
    key = await to_thread.run_sync(access.keys.get, key_id)
    if key is None:
        raise NotFound("There is no such key.")
    return await to_thread.run_sync(key_object, access.keys, key)


@router.delete("/keys/{key_id}", responses=documented(WRITING))
async def revoke_key(key_id: str, access: Admin) -> dict[str, Any]:
    """Close a key for good; a page that was opened with it is closed too."""
    if not await to_thread.run_sync(access.keys.revoke, key_id):
        raise NotFound("There is no such key, or it was revoked already.")
    return await get_key(key_id, access)
