"""`/healthz` and `/v1/models`: what runs here and what could; imports no torch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from pipelines.core.models import ModelSpec
from pipelines.models.registry import all_specs
from pipelines.service.orders import Desk
from ui.api.dependencies import Owner, TheDesk
from ui.api.errors import READING, documented
from ui.api.pagination import listed

router = APIRouter(tags=["models"])


def healthz(desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of `GET /healthz`, which stands outside `/v1` and is open to all."""

    async def endpoint(_: Request) -> Response:
        return JSONResponse(await to_thread.run_sync(_health, desk))

    return endpoint


def _health(desk: Desk) -> dict[str, Any]:
    running, waiting = desk.jobs.counts()
    return {
        "status": "ok",
        **desk.jobs.engine.about(),
        "profile": desk.profile.id,
        "reason": desk.profile.reason,
        "queue": {"running": running, "waiting": waiting},
    }


@router.get("/models", responses=documented(READING))
async def models(owner: Owner, desk: TheDesk) -> dict[str, Any]:
    """What the images API takes as `model` (the tools), and the checkpoints behind them with their licences."""
    serving, commercial = set(desk.profile.specs.values()), desk.settings.commercial
    rows = [
        {"id": tool.id, "object": "model", "created": 0, "owned_by": "designerbox", "title": tool.title}
        for tool in desk.tools
    ]
    return {
        **listed(rows, len(rows)),
        "profile": {"id": desk.profile.id, "title": desk.profile.title, "reason": desk.profile.reason},
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
