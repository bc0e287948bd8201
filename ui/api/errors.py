"""Every failure as the envelope `{"error": {message, type, param, code}}`; knows no route and never echoes input."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from pipelines.core.errors import STATUS_BY_CODE, BadInput, InvalidParams, NotFound, StudioError
from pipelines.core.log_setup import REQUEST_ID
from pipelines.core.params import JSON
from pipelines.storage.database import UNAVAILABLE_MESSAGE, DatabaseUnavailable
from pipelines.storage.disk_space import DISK_FULL_MESSAGE, is_disk_full
from ui.api.auth.rate_limits import TooMuch

log = logging.getLogger(__name__)

BUG = "Something broke inside the studio. The log says what."
RETRY_SECONDS = 2

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}


def shape(error: StudioError) -> dict[str, JSON]:
    """The inner object of the envelope, as OpenAI's clients read it."""
    kind = _TYPES.get(error.status, "invalid_request_error")
    return {"message": error.message, "type": kind, "param": error.param, "code": error.code}


def marked(error: StudioError) -> dict[str, JSON]:
    """The same for the answer at hand, with the request's id: whoever reports it quotes the body, not the headers."""
    request_id = REQUEST_ID.get()
    return {**shape(error), "request_id": request_id} if request_id else shape(error)


def response(error: StudioError) -> JSONResponse:
    """The envelope with its one status."""
    headers = {}
    if error.status == 429:
        headers["Retry-After"] = str(error.retry_after if isinstance(error, TooMuch) else RETRY_SECONDS)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": marked(error)}, error.status, headers)


def route_of(scope: Scope) -> str:
    """The route's pattern, so that neither ids nor names stand in logs and figures."""
    path: str = scope["path"]
    for prefix in ("/v1", "/s"):
        if path == prefix or path.startswith(prefix + "/"):
            found = getattr(scope["state"].get("route"), "path", None)
            return f"{prefix}{found}" if found and prefix == "/v1" else f"{prefix}/…"
    return path if path in ("/", "/healthz", "/metrics", "/login", "/report", "/mcp") else "page"


def restore(error: Mapping[str, Any]) -> StudioError:
    """The error that a job's row keeps as `code`, `message` and `param`."""
    if error.get("invalid"):
        return InvalidParams(error["message"], param=error.get("param"))
    return StudioError(error["message"], code=error["code"], param=error.get("param"))


def first_problem(problems: Sequence[Mapping[str, Any]]) -> InvalidParams:
    """The first of pydantic's problems as one sentence, without the value that caused it."""
    problem = problems[0]
    names = [part for part in problem["loc"] if isinstance(part, str) and part not in ("body", "query", "path")]
    param = names[0] if names and names[0].isidentifier() and len(names[0]) <= 64 else None
    # A validator of our own says "Value error, …"; the sentence after it is what a person should read.
    message = str(problem["msg"]).removeprefix("Value error, ")
    return InvalidParams(f"{param}: {message}" if param else message, param=param)


def install(api: FastAPI) -> None:
    """Answer every failure of `api` with the envelope."""
    api.add_exception_handler(StudioError, _studio)
    api.add_exception_handler(RequestValidationError, _validation)
    api.add_exception_handler(StarletteHTTPException, _http)
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(Exception, _bug)


def noted(request: Request, code: str) -> None:
    """Write down with which code this request failed, for the log and the figures."""
    request.state.code = code


def answered(request: Request, error: StudioError) -> JSONResponse:
    """The envelope, written down for the log and the figures."""
    noted(request, error.code)
    return response(error)


def known(error: Exception, scope: Scope) -> StudioError:
    """What a caller is told of any failure. What is none of ours to name is a bug, and the log says which."""
    if isinstance(error, StudioError):
        return error
    if is_disk_full(error):
        return StudioError(DISK_FULL_MESSAGE, code="disk_full")
    if isinstance(error, DatabaseUnavailable):
        log.error("%s %s: %s", scope["method"], route_of(scope), error)
        return StudioError(UNAVAILABLE_MESSAGE, code="storage_unavailable")
    log.error("bug while answering %s %s", scope["method"], route_of(scope), exc_info=error)
    return StudioError(BUG)


async def _studio(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StudioError)
    return answered(request, error)


async def _validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return answered(request, first_problem(error.errors()))


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)
    if error.status_code == 404:
        return answered(request, NotFound("There is nothing at this address."))
    if error.status_code == 405:
        return _other_method(request, _methods(request))
    return answered(request, BadInput("The request cannot be read."))


def _other_method(request: Request, methods: Iterable[str]) -> JSONResponse:
    wrong = StudioError(f"This address does not take {request.method[:20]}.", code="method_not_allowed")
    answer = answered(request, wrong)
    answer.headers["Allow"] = ", ".join(sorted(methods))
    return answer


class Looking:
    """An endpoint outside `/v1` that is only looked at: another method than GET and HEAD gets our envelope."""

    def __init__(self, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        looks = request.method in ("GET", "HEAD")
        answer = await self._endpoint(request) if looks else _other_method(request, ["GET"])
        await answer(scope, receive, send)


def _methods(request: Request) -> set[str]:
    """What this address takes; the router itself names only those of the first route that fits."""
    scope = {**request.scope, "method": "GET"}
    routes = [row for router in request.app.state.routers for row in router.routes]
    fitting = [row for row in routes if row.matches(scope)[0] != Match.NONE]
    return {method for row in fitting for method in getattr(row, "methods", None) or () if method != "HEAD"}


async def _bug(request: Request, error: Exception) -> JSONResponse:
    return answered(request, known(error, request.scope))


# ---------------------------------------------------------------- how the documentation lists them

ENVELOPE: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code", "request_id"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string", "enum": list(STATUS_BY_CODE)},
                "request_id": {
                    "type": "string",
                    "description": "The header X-Request-Id once more. OpenAI's clients read over it.",
                },
            },
        }
    },
}

READING = (
    "invalid_api_key", "permission_denied", "not_found", "method_not_allowed", "rate_limited", "internal_error",
    "storage_unavailable",
)  # fmt: skip
PICTURES = ("unsupported_image", "corrupt_image", "too_many_pixels", "nothing_visible")
WRITING = (*READING, "image_too_large", "disk_full")
"""Of whatever changes something: 413 stands around every route."""
SENDING = (*WRITING, "invalid_request")
"""Of what is sent a body."""
TAKING = (*SENDING, *PICTURES, "content_policy")
"""Of what takes pictures in."""
WORKING = (
    *TAKING, "no_subject", "no_face", "consent_required", "queue_full", "model_unavailable", "out_of_memory",
)  # fmt: skip


def documented(codes: Sequence[str]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for these codes, and for 422, which every route with a query or a form can answer."""
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
