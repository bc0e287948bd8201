"""`/v1/docs` (Swagger UI served from this machine) and `/v1/openapi.json`, the schema that it shows."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from anyio import to_thread
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response

from pipelines.core.errors import NotFound
from pipelines.core.tools import Tool
from pipelines.service.studio_service import StudioService
from ui.api.errors import ERROR_SCHEMA
from ui.api.response_models import (
    HEADERS,
    IDEMPOTENCY_PARAMETER,
    SCHEMA_BY_NAME,
    SCHEMA_OF_ROUTE,
    WEBHOOK_PARAMETER,
)

# The package fastapi_offline contains Swagger UI 5 (Apache-2.0); only those files are used.
_ASSET_TYPES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>DesignerBox API</title>
<link rel="icon" href="docs/favicon.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
# Without `validatorUrl: null` Swagger UI sends the schema's address to a validator on the internet.
_START_SCRIPT = """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis], tryItOutEnabled: true, docExpansion: "list", filter: true
});
"""
_CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
)


async def serve_docs_page(_: Request) -> Response:
    """Answer with the HTML page of Swagger UI."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _CONTENT_POLICY})


async def serve_docs_asset(request: Request) -> Response:
    """Answer with one of Swagger UI's files. Raises `NotFound`."""
    name = request.path_params["name"]
    if name == "start.js":
        return Response(_START_SCRIPT, media_type="text/javascript")
    if name not in _ASSET_TYPES:
        raise NotFound("There is no such file.")
    return FileResponse(str(files("fastapi_offline") / "static" / name), media_type=_ASSET_TYPES[name])


def install_docs(api: FastAPI, service: StudioService, *, open_to_all: bool) -> None:
    """Add the page, its files and the schema to `api`. `open_to_all`: the API needs no key."""
    api.add_route("/docs", serve_docs_page, include_in_schema=False)
    api.add_route("/docs/{name}", serve_docs_asset, include_in_schema=False)

    async def serve_schema(_: Request) -> Response:
        # In a thread, because the first call reads the example pictures.
        return JSONResponse(await to_thread.run_sync(build_openapi, api, service, open_to_all))

    api.add_route("/openapi.json", serve_schema, include_in_schema=False)


def build_openapi(api: FastAPI, service: StudioService, open_to_all: bool) -> dict[str, Any]:
    """Build the OpenAPI document of `/v1`: every tool's fields with an example, every code with its status."""
    if api.openapi_schema is None:
        schema = get_openapi(title=api.title, version=api.version, description=api.description, routes=api.routes)
        schema["servers"] = [{"url": "/v1"}]
        parts = schema.setdefault("components", {})
        parts.setdefault("schemas", {}).update(Error=ERROR_SCHEMA, **SCHEMA_BY_NAME)
        parts["headers"] = HEADERS
        for path, routes in schema["paths"].items():
            for method, route in routes.items():
                _complete_operation(route, path, method, service)
                if open_to_all:
                    route["security"].append({})
        api.openapi_schema = schema
    return api.openapi_schema


def _complete_operation(route: dict[str, Any], path: str, method: str, service: StudioService) -> None:
    for status, answer in route["responses"].items():
        names = [name for name in HEADERS if name != "Retry-After" or status == "429"]
        answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    if method == "post" and (path.startswith(("/tools/", "/images/")) or path in ("/batches", "/teams/{team_id}/page")):
        route.setdefault("parameters", []).extend((IDEMPOTENCY_PARAMETER, WEBHOOK_PARAMETER))
    kind = SCHEMA_OF_ROUTE.get(f"{method} {path}") or ("Job" if path.startswith("/tools/") else None)
    for status in ("200", "202"):
        if kind is not None and status in route["responses"]:
            found = route["responses"][status].setdefault("content", {})
            found["application/json"] = {"schema": {"$ref": f"#/components/schemas/{kind}"}}
    if path.startswith(("/tools/", "/images/")) or path.endswith("/events"):
        event = "ImageEvent" if path.startswith("/images/") else "Event"
        found = route["responses"]["200"].setdefault("content", {})
        found["text/event-stream"] = {"schema": {"$ref": f"#/components/schemas/{event}"}}
    if path.startswith("/tools/"):
        tool = service.find_tool(path.removeprefix("/tools/"))
        route["requestBody"]["content"]["application/json"]["examples"] = build_examples(tool, service)


def build_examples(tool: Tool, service: StudioService) -> dict[str, Any]:
    """Build two request bodies that work: the least that a tool needs, and every field at its default."""
    least: dict[str, Any] = {}
    known = {example.name: example.file_id for example in service.uploads.list_examples()}
    pictures = iter([*(known[name] for name in tool.examples if name in known), *known.values()])
    for name, field in tool.params.model_fields.items():
        kind = tool.params.kind_of(name)
        if kind == "picture" and field.is_required():
            least[name] = next(pictures)
        elif kind == "pictures" and field.is_required():
            least[name] = [next(pictures), next(pictures)]
        elif name == "consent":
            least[name] = True
        elif kind == "mask" and "keep" in tool.params.model_fields and not tool.params.schema_extra(name).get("x-more"):
            least["keep"] = [[0.6, 0.45]]  # without a mask one points at what is to change
    if "prompt" in tool.params.model_fields and not service.form_checks.locking_verbs(tool.params, "prompt"):
        least["prompt"] = "forest in the morning"
    whole = tool.params.model_validate(least).model_dump(mode="json")
    return {
        "least": {"summary": "The least it needs", "value": least},
        "whole": {"summary": "Every field", "value": {name: value for name, value in whole.items() if value != ""}},
    }
