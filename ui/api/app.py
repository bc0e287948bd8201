"""The REST door: `/v1` as one application to mount, and `/healthz` beside it; knows no page and no torch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount, Route

from pipelines.batch import BatchService
from pipelines.service.orders import StudioService
from ui.api import errors, metrics, openapi_docs
from ui.api.routes import (
    abuse_report_page,
    abuse_reports,
    api_keys,
    files,
    health,
    jobs,
    mcp,
    openai_batches,
    openai_images,
    saved_items,
    share_links,
    tools,
    webhooks,
)
from ui.api.routes.health import healthz

if TYPE_CHECKING:
    from ui.api.auth.access import Access

__all__ = ["build", "healthz", "routes"]

_ABOUT = """An image studio of your own. A **job** runs a **tool** on your pictures.

`POST /v1/tools/{id}` waits for the end; `?stream=true` streams previews; `?wait=false` answers at once.
`POST /v1/images/…` is OpenAI's images API: the official client works with this address as its base."""


def routes(service: StudioService, access: Access) -> list[BaseRoute]:
    """Everything that is not the page, for the application that serves it."""
    return [
        Route("/healthz", errors.Looking(healthz(service))),
        Route("/metrics", errors.Looking(metrics.endpoint(access))),
        Route("/s/{token}", errors.Looking(share_links.shown(service, access))),
        *abuse_report_page.routes(service, access),
        Mount("/v1", app=build(service, access)),
        mcp.route(service, access),
    ]


def build(service: StudioService, access: Access) -> FastAPI:
    """The application to mount at `/v1`. It has no lifespan: a mounted one would not run."""
    api = FastAPI(
        title="DesignerBox", version="1", description=_ABOUT, docs_url=None, redoc_url=None, openapi_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    api.state.service = service
    api.state.access = access
    api.state.batches = BatchService(service)
    api.state.webhooks = webhooks.build(service, api.state.batches)
    service.on_order = api.state.webhooks.add_default_delivery
    service.jobs.check_admission = partial(access.limits.admit, active=service.jobs.count_active)
    access.metrics.watch(service)
    errors.install(api)
    openapi_docs.install(api, service, open_to_all=not access.needs_key)
    rows = (tools.router(service.tools), jobs.router, files.router, openai_images.router, openai_batches.router, share_links.router,
            abuse_reports.router, saved_items.router, webhooks.router, api_keys.router, health.router)  # fmt: skip
    api.state.routers = rows
    for router in rows:
        api.include_router(router)
    return api
