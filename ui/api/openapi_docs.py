"""`/v1/docs` from files on this machine, and the schema that it shows; the page asks no other host."""

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
from pipelines.service.orders import StudioService
from ui.api.errors import ENVELOPE
from ui.api.response_models import HEADERS, HOOK, LIMITED, ONCE, PARTS, SCHEMAS

# The package carries Swagger UI 5 (Apache-2.0); only its files are used.
_FILES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}

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
# Without `validatorUrl: null` the viewer sends the schema's address to a validator on the internet.
_START = """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis], tryItOutEnabled: true, docExpansion: "list", filter: true
});
"""
_POLICY = "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"


async def page(_: Request) -> Response:
    """The viewer's page."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


async def asset(request: Request) -> Response:
    """One of the viewer's own files. Raises `not_found`."""
    name = request.path_params["name"]
    if name == "start.js":
        return Response(_START, media_type="text/javascript")
    if name not in _FILES:
        raise NotFound("There is no such file.")
    return FileResponse(str(files("fastapi_offline") / "static" / name), media_type=_FILES[name])


def install(api: FastAPI, service: StudioService, *, open_to_all: bool) -> None:
    """Add the page, its files and the schema to `api`; `open_to_all` where no key is needed."""
    api.add_route("/docs", page, include_in_schema=False)
    api.add_route("/docs/{name}", asset, include_in_schema=False)

    async def schema(_: Request) -> Response:
        # In a thread: the first time, it looks for the pictures that the examples name.
        return JSONResponse(await to_thread.run_sync(described, api, service, open_to_all))

    api.add_route("/openapi.json", schema, include_in_schema=False)


def described(api: FastAPI, service: StudioService, open_to_all: bool) -> dict[str, Any]:
    """The whole of `/v1` as OpenAPI: every tool's fields with an example, every code with its status."""
    if api.openapi_schema is None:
        schema = get_openapi(title=api.title, version=api.version, description=api.description, routes=api.routes)
        schema["servers"] = [{"url": "/v1"}]
        parts = schema.setdefault("components", {})
        parts.setdefault("schemas", {}).update(Error=ENVELOPE, **PARTS)
        parts["headers"] = HEADERS
        for path, routes in schema["paths"].items():
            for method, route in routes.items():
                _complete(route, path, method, service)
                if open_to_all:
                    route["security"].append({})
        api.openapi_schema = schema
    return api.openapi_schema


def _complete(route: dict[str, Any], path: str, method: str, service: StudioService) -> None:
    for status, answer in route["responses"].items():
        names = ["X-Request-Id", *LIMITED] + (["Retry-After"] if status == "429" else [])
        answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    if method == "post" and (path.startswith(("/tools/", "/images/")) or path == "/batches"):
        route.setdefault("parameters", []).extend((ONCE, HOOK))
    kind = SCHEMAS.get((method, path)) or ("Job" if path.startswith("/tools/") else None)
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
        route["requestBody"]["content"]["application/json"]["examples"] = examples(tool, service)


def examples(tool: Tool, service: StudioService) -> dict[str, Any]:
    """Two bodies that work as they stand: the least that a tool needs, and every field at its default."""
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
    if "prompt" in tool.params.model_fields and not service.form_checks.missing_verbs(tool.params, "prompt"):
        least["prompt"] = "forest in the morning"
    whole = tool.params.model_validate(least).model_dump(mode="json")
    return {
        "least": {"summary": "The least it needs", "value": least},
        "whole": {"summary": "Every field", "value": {name: value for name, value in whole.items() if value != ""}},
    }
