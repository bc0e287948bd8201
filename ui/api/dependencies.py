"""FastAPI dependencies of the routes: the service, the caller, access control."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from pipelines.batch.batch_service import BatchService
from pipelines.jobs.webhooks import Webhooks
from pipelines.service.studio_service import StudioService
from ui.api.auth.access import AccessControl, Caller

# Declared so that the documentation shows both ways to send a key; `AccessControl` reads the headers itself.
_bearer = HTTPBearer(auto_error=False, scheme_name="Bearer", description="Authorization: Bearer sk-dbx-…")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="X-API-Key")


async def _get_caller(request: Request, _: object = Security(_bearer), __: object = Security(_header)) -> Caller:
    request.state.route = request.scope.get("route")
    access: AccessControl = request.app.state.access
    return access.authenticate_request(request)


async def _get_owner(request: Request, _: object = Security(_bearer), __: object = Security(_header)) -> str:
    return (await _get_caller(request)).owner


async def _get_admin_access(
    request: Request, _: object = Security(_bearer), __: object = Security(_header)
) -> AccessControl:
    request.state.route = request.scope.get("route")
    access: AccessControl = request.app.state.access
    access.authenticate_request(request, "admin")
    return access


def _make_getter(name: str) -> Callable[[Request], Awaitable[Any]]:
    """Make the dependency on what `build_api` keeps in the application's state under this name."""

    async def get_from_state(request: Request) -> Any:
        return getattr(request.app.state, name)

    return get_from_state


OwnerDep = Annotated[str, Depends(_get_owner)]
"""Owner of the call, after the key's scope and its requests a minute have been checked."""
CallerDep = Annotated[Caller, Depends(_get_caller)]
"""Owner and key of the call, for a route whose answer depends on the key's scopes."""
AdminDep = Annotated[AccessControl, Depends(_get_admin_access)]
"""Access control, for a key with the scope `admin`, or for any caller where the API needs no key."""
AccessDep = Annotated[AccessControl, Depends(_make_getter("access"))]
"""Access control, without a check: the route must take `OwnerDep` as well."""
ServiceDep = Annotated[StudioService, Depends(_make_getter("service"))]
BatchesDep = Annotated[BatchService, Depends(_make_getter("batches"))]
WebhooksDep = Annotated[Webhooks, Depends(_make_getter("webhooks"))]
