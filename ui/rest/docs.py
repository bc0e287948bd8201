"""`/v1/docs` from files on this machine: the page asks no other host; does not know what is documented."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from pipelines.types import NotFound
from ui.rest.errors import ENVELOPE

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


def install(api: FastAPI) -> None:
    """Add the page, its files and the envelope's schema to `api`."""
    api.add_route("/docs", page, include_in_schema=False)
    api.add_route("/docs/{name}", asset, include_in_schema=False)

    def described() -> dict[str, Any]:
        if api.openapi_schema is None:
            schema = get_openapi(title=api.title, version=api.version, description=api.description, routes=api.routes)
            schema["servers"] = [{"url": "/v1"}]
            schema.setdefault("components", {}).setdefault("schemas", {})["Error"] = ENVELOPE
            api.openapi_schema = schema
        return api.openapi_schema

    api.openapi = described
