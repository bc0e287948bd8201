"""FastAPI dependencies of the routes: the service, the caller, access control."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from pipelines.batch.batch_service import BatchService
from pipelines.jobs.webhooks import Webhooks
from pipelines.service.studio_service import StudioService
from ui.api.auth.access import AccessControl, Caller

# Declared so that the documentation shows both ways to send a key; `AccessControl` reads the headers itself.
_bearer = HTTPBearer(auto_error=False, scheme_name="Bearer", description="Authorization: Bearer sk-dbx-…")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="X-API-Key")


def _identify_caller(request: Request) -> Caller:
    request.state.route = request.scope.get("route")
    access: AccessControl = request.app.state.access
    return access.authenticate_request(request)


async def _get_owner(request: Request, _: object = Security(_bearer), __: object = Security(_header)) -> str:
    return _identify_caller(request).owner


async def _get_caller(request: Request, _: object = Security(_bearer), __: object = Security(_header)) -> Caller:
    return _identify_caller(request)


async def _get_admin_access(
    request: Request, _: object = Security(_bearer), __: object = Security(_header)
) -> AccessControl:
    request.state.route = request.scope.get("route")
    access: AccessControl = request.app.state.access
    access.authenticate_request(request, "admin")
    return access


async def _get_access(request: Request) -> AccessControl:
    return request.app.state.access


async def _get_service(request: Request) -> StudioService:
    return request.app.state.service


async def _get_batches(request: Request) -> BatchService:
    return request.app.state.batches


async def _get_webhooks(request: Request) -> Webhooks:
    return request.app.state.webhooks


OwnerDep = Annotated[str, Depends(_get_owner)]
"""Owner of the call, after the key's scope and its requests a minute have been checked."""
CallerDep = Annotated[Caller, Depends(_get_caller)]
"""Owner and key of the call, for a route whose answer depends on the key's scopes."""
AdminDep = Annotated[AccessControl, Depends(_get_admin_access)]
"""Access control, for a key with the scope `admin`, or for any caller where the API needs no key."""
AccessDep = Annotated[AccessControl, Depends(_get_access)]
"""Access control, without a check: the route must take `OwnerDep` as well."""
ServiceDep = Annotated[StudioService, Depends(_get_service)]
BatchesDep = Annotated[BatchService, Depends(_get_batches)]
WebhooksDep = Annotated[Webhooks, Depends(_get_webhooks)]
