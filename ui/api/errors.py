"""Error envelope of every answer, `{"error": {message, type, param, code}}`, and the handlers that make it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from pipelines.core.errors import BUG_MESSAGE, STATUS_BY_CODE, BadInput, InvalidParams, NotFound, StudioError
from pipelines.core.log_setup import REQUEST_ID
from pipelines.core.params import JSON
from pipelines.storage.database import UNAVAILABLE_MESSAGE, DatabaseUnavailable
from pipelines.storage.disk_space import DISK_FULL_MESSAGE, is_disk_full
from ui.api.field_hints import hint_error_fields
from ui.api.json_schema import object_schema

log = logging.getLogger(__name__)

CLIENT_LEFT_STATUS = 499
"""HTTP status in log and metrics of a request whose client left, as nginx counts it."""
RETRY_SECONDS = 2
"""Seconds in `Retry-After` where the error names none."""

_TYPE_OF_STATUS = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}


class RateLimited(StudioError):
    """A key is over one of its limits. `retry_after`: seconds, at least 1."""

    code = "rate_limited"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = max(1, retry_after)


def describe_error(error: StudioError) -> dict[str, JSON]:
    """Build the inner object of the envelope, as OpenAI's clients read it."""
    kind = _TYPE_OF_STATUS.get(error.status, "invalid_request_error")
    message = hint_error_fields(error.message, error.param)
    return {"message": message, "type": kind, "param": error.param, "code": error.code}


def describe_error_with_id(error: StudioError) -> dict[str, JSON]:
    """Build the same object with the request's id, which people quote when they report an error."""
    request_id = REQUEST_ID.get()
    return {**describe_error(error), "request_id": request_id} if request_id else describe_error(error)


def error_response(error: StudioError) -> JSONResponse:
    """Build the answer: the envelope, with the status of its code."""
    headers = {}
    if error.status == 429:
        headers["Retry-After"] = str(error.retry_after if isinstance(error, RateLimited) else RETRY_SECONDS)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": describe_error_with_id(error)}, error.status, headers)


def find_route_pattern(scope: Scope) -> str:
    """Find the pattern of the route, so that logs and metrics have no ids in them."""
    path: str = scope["path"]
    for prefix in ("/v1", "/s", "/join"):
        if path == prefix or path.startswith(prefix + "/"):
            found = getattr(scope["state"].get("route"), "path", None)
            return f"{prefix}{found}" if found and prefix == "/v1" else f"{prefix}/…"
    return path if path in ("/", "/healthz", "/metrics", "/login", "/report", "/mcp") else "page"


def to_invalid_params(problems: Sequence[Mapping[str, Any]]) -> InvalidParams:
    """Turn the first of pydantic's problems into one sentence, without the value that caused it."""
    problem = problems[0]
    names = [part for part in problem["loc"] if isinstance(part, str) and part not in ("body", "query", "path")]
    param = names[0] if names and names[0].isidentifier() and len(names[0]) <= 64 else None
    # pydantic puts "Value error, " before the sentence of our own validators.
    message = str(problem["msg"]).removeprefix("Value error, ")
    return InvalidParams(f"{param}: {message}" if param else message, param=param)


def install_error_handlers(api: FastAPI) -> None:
    """Make `api` answer every failure with the envelope."""
    api.add_exception_handler(StudioError, _handle_failure)
    api.add_exception_handler(RequestValidationError, _handle_validation_error)
    api.add_exception_handler(HTTPException, _handle_http_error)
    api.add_exception_handler(ClientDisconnect, _handle_disconnect)
    api.add_exception_handler(Exception, _handle_failure)


def answer_error(request: Request, error: StudioError) -> JSONResponse:
    """Build the answer, and record the code for the log and the metrics."""
    request.state.code = error.code
    return error_response(error)


def to_studio_error(error: Exception, scope: Scope) -> StudioError:
    """Turn any exception into the error that the client sees; an unknown one is a bug, and is logged."""
    if isinstance(error, StudioError):
        return error
    if is_disk_full(error):
        return StudioError(DISK_FULL_MESSAGE, code="disk_full")
    if isinstance(error, DatabaseUnavailable):
        log.error("%s %s: %s", scope["method"], find_route_pattern(scope), error)
        return StudioError(UNAVAILABLE_MESSAGE, code="storage_unavailable")
    log.error("bug while answering %s %s", scope["method"], find_route_pattern(scope), exc_info=error)
    return StudioError(BUG_MESSAGE)


async def _handle_failure(request: Request, error: Exception) -> JSONResponse:
    return answer_error(request, to_studio_error(error, request.scope))


async def _handle_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return answer_error(request, to_invalid_params(error.errors()))


async def _handle_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return answer_error(request, NotFound("There is nothing at this address."))
    if error.status_code == 405:
        return _answer_wrong_method(request, _find_allowed_methods(request))
    return answer_error(request, BadInput("The request cannot be read."))


def _answer_wrong_method(request: Request, methods: Iterable[str]) -> JSONResponse:
    wrong = StudioError(f"This address does not take {request.method[:20]}.", code="method_not_allowed")
    answer = answer_error(request, wrong)
    answer.headers["Allow"] = ", ".join(sorted(methods))
    return answer


class ReadOnlyEndpoint:
    """ASGI endpoint outside `/v1` for GET and HEAD; any other method is answered with the envelope.

    `RequestGuard` answers what it raises.
    """

    def __init__(self, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        reads = request.method in ("GET", "HEAD")
        answer = await self._endpoint(request) if reads else _answer_wrong_method(request, ["GET"])
        await answer(scope, receive, send)


def _find_allowed_methods(request: Request) -> set[str]:
    """Find all methods of this path; Starlette's router names only those of the first route that matches."""
    scope = {**request.scope, "method": "GET"}
    routes = [row for router in request.app.state.routers for row in router.routes]
    fitting = [row for row in routes if row.matches(scope)[0] != Match.NONE]
    return {method for row in fitting for method in getattr(row, "methods", None) or () if method != "HEAD"}


async def _handle_disconnect(request: Request, error: Exception) -> Response:
    """Answer nobody: the client left while it sent, or was told before that it sends too much."""
    return Response(status_code=CLIENT_LEFT_STATUS)


_REQUEST_ID = {"type": "string", "description": "The header X-Request-Id once more. OpenAI's clients read over it."}
ERROR_SCHEMA = object_schema(
    {
        "error": object_schema(
            {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string", "enum": list(STATUS_BY_CODE)},
                "request_id": _REQUEST_ID,
            }
        )
    }
)

READ_CODES = (
    "invalid_api_key", "permission_denied", "not_found", "method_not_allowed", "rate_limited", "internal_error",
    "storage_unavailable",
)  # fmt: skip

PICTURE_CODES = ("unsupported_image", "corrupt_image", "too_many_pixels", "nothing_visible")

WRITE_CODES = (*READ_CODES, "image_too_large", "disk_full")
"""Codes of a route that changes something."""

BODY_CODES = (*WRITE_CODES, "invalid_request")
"""Codes of a route that takes a body."""

UPLOAD_CODES = (*BODY_CODES, *PICTURE_CODES, "content_policy")
"""Codes of a route that takes pictures."""

JOB_CODES = (
    *UPLOAD_CODES, "no_subject", "no_face", "consent_required", "queue_full", "model_unavailable", "out_of_memory",
)  # fmt: skip


def document_errors(codes: Sequence[str]) -> dict[int | str, dict[str, Any]]:
    """Build OpenAPI's `responses` for these codes, and for 422, which every route with a query or a form can answer."""
    by_status: dict[int | str, list[str]] = {422: ["invalid_request"]}
    for code in codes:
        by_status.setdefault(STATUS_BY_CODE[code], []).append(code)
    return {
        status: {
            "description": "code: " + ", ".join(found),
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
        for status, found in sorted(by_status.items(), key=lambda item: int(item[0]))
    }
