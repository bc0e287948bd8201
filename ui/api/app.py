"""FastAPI application of `/v1`, and the list of all routes that are not the page."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from pipelines.batch.batch_service import BatchService
from pipelines.jobs.webhooks import Webhooks
from pipelines.service.studio_service import StudioService
from ui.api import errors
from ui.api.auth.access import AccessControl
from ui.api.auth.invite_links import JOIN_PATH
from ui.api.documentation import agent_docs, openapi_docs
from ui.api.metrics import Metrics
from ui.api.routes import (
    abuse_report_page,
    abuse_reports,
    api_keys,
    files,
    health,
    jobs,
    join_page,
    looks,
    mcp,
    openai_batches,
    openai_images,
    saved_items,
    share_links,
    teams,
    tools,
)
from ui.api.routes import webhooks as webhook_routes

_DESCRIPTION = """An image studio of your own. A **job** runs a **tool** on your pictures.

`POST /v1/tools/{id}` waits for the end; `?stream=true` streams previews; `?wait=false` answers at once.
`POST /v1/images/…` is OpenAI's images API: the official client works with this address as its base."""


def build_routes(
    service: StudioService, access: AccessControl, batches: BatchService, webhooks: Webhooks, metrics: Metrics
) -> list[BaseRoute]:
    """List every route that is not the page, for the application that serves the page."""
    return [
        Route("/healthz", errors.ReadOnlyEndpoint(partial(health.serve_health, service))),
        Route("/metrics", errors.ReadOnlyEndpoint(partial(health.serve_metrics, access, metrics))),
        Route("/s/{token}", errors.ReadOnlyEndpoint(partial(share_links.serve_share, service, access))),
        Route(agent_docs.LLMS_PATH, errors.ReadOnlyEndpoint(partial(_serve_text, service, agent_docs.render_llms_txt))),
        Route(agent_docs.SKILL_PATH, errors.ReadOnlyEndpoint(partial(_serve_text, service, agent_docs.render_skill))),
        Route(f"{JOIN_PATH}/{{token}}", partial(join_page.serve_join_page, service, access), methods=["GET", "POST"]),
        Route(
            f"/{abuse_report_page.REPORT_PATH}",
            partial(abuse_report_page.serve_report_page, service, access),
            methods=["GET", "POST"],
        ),
        Mount("/v1", app=build_api(service, access, batches, webhooks)),
        Route(mcp.MCP_PATH, mcp.McpEndpoint(service, access)),
    ]


async def _serve_text(
    service: StudioService, render: Callable[[StudioService, str], str], request: Request
) -> Response:
    """Answer with a page for agents. It names nothing but the tools, so it needs no key."""
    text = render(service, str(request.base_url).removesuffix("/"))
    return PlainTextResponse(text, media_type="text/markdown; charset=utf-8")


def build_api(service: StudioService, access: AccessControl, batches: BatchService, webhooks: Webhooks) -> FastAPI:
    """Build the application to mount at `/v1`. It has no lifespan: that of a mounted application would not run."""
    api = FastAPI(
        title="DesignerBox",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    api.state.service = service
    api.state.access = access
    api.state.batches = batches
    api.state.webhooks = webhooks
    errors.install_error_handlers(api)
    openapi_docs.install_docs(api, service, open_to_all=not access.needs_key)
    api.state.routers = (
        tools.build_tool_router(service.tools),
        jobs.router,
        files.router,
        openai_images.router,
        openai_batches.router,
        share_links.router,
        teams.router,
        abuse_reports.router,
        saved_items.router,
        looks.router,
        webhook_routes.router,
        api_keys.router,
        health.router,
    )
    for router in api.state.routers:
        api.include_router(router)
    return api
