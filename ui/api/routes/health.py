"""`/healthz`, `/metrics` and `/v1/models`: state of the studio, and the models it has."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import JSONResponse, Response

from pipelines.core.models import ModelSpec
from pipelines.models.registry import list_all_specs
from pipelines.service.studio_service import StudioService
from ui.api.auth.access import AccessControl
from ui.api.dependencies import OwnerDep, ServiceDep
from ui.api.errors import READ_CODES, document_errors
from ui.api.metrics import Metrics
from ui.api.pagination import build_list_page

router = APIRouter(tags=["models"])


async def serve_health(service: StudioService, _: Request) -> Response:
    """Answer `GET /healthz`, which is outside `/v1` and open to all."""
    return JSONResponse(await to_thread.run_sync(_read_health, service))


async def serve_metrics(access: AccessControl, metrics: Metrics, request: Request) -> Response:
    """Answer `GET /metrics`: open where the API needs no key, else for keys with the scope `admin`."""
    access.identify_caller(request, "admin")
    return Response(await to_thread.run_sync(metrics.render_text), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _read_health(service: StudioService) -> dict[str, Any]:
    running, waiting = service.jobs.count_jobs()
    return {
        "status": "ok",
        **service.jobs.engine.describe_state(),
        "profile": service.profile.id,
        "reason": service.profile.reason,
        "queue": {"running": running, "waiting": waiting},
    }


@router.get("/models", name="models", responses=document_errors(READ_CODES))
async def list_models(owner: OwnerDep, service: ServiceDep) -> dict[str, Any]:
    """List what the images API takes as `model` (the tools), and the checkpoints behind them with their licences."""
    serving, commercial = set(service.profile.specs.values()), service.settings.commercial
    rows = [
        {"id": tool.id, "object": "model", "created": 0, "owned_by": "designerbox", "title": tool.title}
        for tool in service.tools
    ]
    return {
        **build_list_page(rows, len(rows)),
        "profile": {"id": service.profile.id, "title": service.profile.title, "reason": service.profile.reason},
        "checkpoints": [
            _make_checkpoint_object(spec, serving, service.licences.is_confirmed(spec))
            for spec in list_all_specs()
            if spec.commercial_ok or not commercial
        ],
    }


def _make_checkpoint_object(spec: ModelSpec, serving: set[str], confirmed: bool) -> dict[str, Any]:
    return {
        "id": spec.id,
        "family": spec.family,
        "verbs": list(spec.verbs),
        "repo": spec.repo or None,
        "revision": spec.revision or None,
        "licence": spec.licence,
        "commercial_ok": spec.commercial_ok,
        "licence_state": spec.licence_state,
        "revenue_cap": spec.revenue_cap or None,
        "cap_confirmed": confirmed if spec.revenue_cap else None,
        "serving": spec.id in serving,
    }
