"""One route a tool, made from its Params: body, schema and documentation alike; knows no tool by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from pipelines.core.job import Job
from pipelines.core.params import Params
from pipelines.core.tools import Tool
from ui.api import request_parsing
from ui.api.dependencies import Owner, TheService
from ui.api.errors import READING, WORKING, documented
from ui.api.pagination import listed
from ui.api.routes.jobs import EventStream, answer, find, finish, frames, place

STEPS = "num_inference_steps"


def router(tools: tuple[Tool, ...]) -> APIRouter:
    """`GET /tools`, and `POST /tools/{id}` for each."""
    made = APIRouter(tags=["tools"])
    made.add_api_route("/tools", list_tools, methods=["GET"], responses=documented(READING))
    for tool in tools:
        made.add_api_route(
            f"/tools/{tool.id}",
            _runner(tool.id),
            methods=["POST"],
            name=f"run_{tool.id}",
            summary=tool.title,
            description=tool.summary,
            responses={202: {"description": "Waits or runs; with ?wait=false."}, **documented(WORKING)},
            openapi_extra={"requestBody": _body(tool.params)},
        )
    made.add_api_route("/tools/{tool_id}", run, methods=["POST"], include_in_schema=False)
    return made


async def list_tools(owner: Owner, service: TheService) -> dict[str, Any]:
    """Every tool with its fields; `x-kind` says what a field is, `x-needs` what the model must be able to do."""
    return listed([_row(tool) for tool in service.tools], len(service.tools))


def _row(tool: Tool) -> dict[str, Any]:
    return {
        "id": tool.id,
        "object": "tool",
        "title": tool.title,
        "summary": tool.summary,
        "strengths": list(tool.strengths),
        "limits": list(tool.limits),
        "person": tool.person,
        "params": tool.params.model_json_schema(),
    }


async def run(
    tool_id: str,
    request: Request,
    owner: Owner,
    service: TheService,
    stream: Annotated[bool, Query(description="Answer with server-sent events: queued, step, result, error.")] = False,
    wait: Annotated[bool, Query(description="false: answer 202 at once.")] = True,
) -> Response:
    """Run a tool. Without controls the answer waits for the end; a caller that leaves stops its job."""
    tool = service.find_tool(tool_id)
    async with request_parsing.opened(request) as sent:
        renamed = sent.moved("steps", STEPS) if STEPS in tool.params.model_fields else sent
        filled = await request_parsing.fill(renamed, tool.params, service, owner)

    def order() -> Job:
        job = service.create_job(tool.id, filled.values, owner)
        return job.model_copy(update={"notices": (*job.notices, *filled.notices), "waited": stream or wait})

    placed = await place(request, service, order, filled.values, streamed=stream)
    if placed.stream is not None:
        return EventStream(
            frames(request, service, placed.job, placed.stream, opening=True), service, placed.stream, placed
        )
    if wait:
        return answer(await finish(request, service, placed), placed)
    return answer(await find(service, placed.job.id, owner), placed, status=202)


def _runner(tool_id: str) -> Callable[..., Any]:
    """`run` for one tool, so that each has a path of its own in the documentation."""

    async def endpoint(
        request: Request,
        owner: Owner,
        service: TheService,
        stream: Annotated[
            bool, Query(description="Answer with server-sent events: queued, step, result, error.")
        ] = False,
        wait: Annotated[bool, Query(description="false: answer 202 at once.")] = True,
    ) -> Response:
        return await run(tool_id, request, owner, service, stream, wait)

    return endpoint


def _body(params: type[Params]) -> dict[str, Any]:
    """OpenAPI's request body: the same fields as files in multipart, and as data URLs or file ids in JSON."""
    plain = params.model_json_schema()
    files = {**plain, "properties": {name: _as_part(row) for name, row in plain["properties"].items()}}
    return {
        "required": True,
        "content": {"multipart/form-data": {"schema": files}, "application/json": {"schema": plain}},
    }


def _as_part(row: dict[str, Any]) -> dict[str, Any]:
    about = {key: row[key] for key in ("title", "description") if key in row}
    if row.get("x-kind") in ("picture", "mask"):
        return {**about, "type": "string", "format": "binary"}
    if row.get("x-kind") == "pictures":
        return {**about, "type": "array", "items": {"type": "string", "format": "binary"}}
    return row
