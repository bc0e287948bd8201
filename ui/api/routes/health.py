"""`/healthz` and `/v1/models`: what runs here and what could; imports no torch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from pipelines.core.models import ModelSpec
from pipelines.models.registry import all_specs
from pipelines.service.orders import StudioService
from ui.api.dependencies import Owner, TheService
from ui.api.errors import READING, documented
from ui.api.pagination import listed

router = APIRouter(tags=["models"])


def healthz(service: StudioService) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of `GET /healthz`, which stands outside `/v1` and is open to all."""

    async def endpoint(_: Request) -> Response:
        return JSONResponse(await to_thread.run_sync(_health, service))

    return endpoint


def _health(service: StudioService) -> dict[str, Any]:
    running, waiting = service.jobs.count_jobs()
    return {
        "status": "ok",
        **service.jobs.engine.describe_state(),
        "profile": service.profile.id,
        "reason": service.profile.reason,
        "queue": {"running": running, "waiting": waiting},
    }


@router.get("/models", responses=documented(READING))
async def models(owner: Owner, service: TheService) -> dict[str, Any]:
    """What the images API takes as `model` (the tools), and the checkpoints behind them with their licences."""
    serving, commercial = set(service.profile.specs.values()), service.settings.commercial
    rows = [
        {"id": tool.id, "object": "model", "created": 0, "owned_by": "designerbox", "title": tool.title}
        for tool in service.tools
    ]
    return {
        **listed(rows, len(rows)),
        "profile": {"id": service.profile.id, "title": service.profile.title, "reason": service.profile.reason},
        "checkpoints": [_checkpoint(spec, serving) for spec in all_specs() if spec.commercial_ok or not commercial],
    }


def _checkpoint(spec: ModelSpec, serving: set[str]) -> dict[str, Any]:
    return {
        "id": spec.id,
        "family": spec.family,
        "verbs": list(spec.verbs),
        "repo": spec.repo or None,
        "revision": spec.revision or None,
        "licence": spec.licence,
        "commercial_ok": spec.commercial_ok,
        "serving": spec.id in serving,
    }
