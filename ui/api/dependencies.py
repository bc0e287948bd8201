"""What every route is handed: the service, and who is asking; knows no route."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from pipelines.service.orders import StudioService

if TYPE_CHECKING:
    from ui.api.auth.access import Access, Caller

# Declared so that the documentation shows both ways to send a key; `Access` reads the headers itself.
_bearer = HTTPBearer(auto_error=False, scheme_name="Bearer", description="Authorization: Bearer sk-dbx-…")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="X-API-Key")


def _called(request: Request) -> Caller:
    request.state.route = request.scope.get("route")
    access: Access = request.app.state.access
    return access.caller(request)


async def _owner(request: Request, _: object = Security(_bearer), __: object = Security(_header)) -> str:
    return _called(request).owner


async def _caller(request: Request, _: object = Security(_bearer), __: object = Security(_header)) -> Caller:
    return _called(request)


async def _admin(request: Request, _: object = Security(_bearer), __: object = Security(_header)) -> Access:
    request.state.route = request.scope.get("route")
    access: Access = request.app.state.access
    access.caller(request, "admin")
    return access


async def _access(request: Request) -> Access:
    return request.app.state.access


async def _service(request: Request) -> StudioService:
    return request.app.state.service


Owner = Annotated[str, Depends(_owner)]
"""Whose call it is; the key's scope and its requests a minute are checked by then."""
WhoCalls = Annotated["Caller", Depends(_caller)]
"""The same with the key, for a route that tells more to one that may do more."""
Admin = Annotated["Access", Depends(_admin)]
"""The locks themselves, for a key with the scope `admin`, or for whoever sits at a studio that needs none."""
TheAccess = Annotated["Access", Depends(_access)]
TheService = Annotated[StudioService, Depends(_service)]
