"""Routes `/v1/tools`: one for each tool, with body, schema and documentation made from the tool's `Params`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from pipelines.core.job import Job
from pipelines.core.params import Params, read_form_schema
from pipelines.core.tools import Tool
from ui.api import request_parsing
from ui.api.dependencies import OwnerDep, ServiceDep
from ui.api.errors import READ_CODES, document_errors
from ui.api.event_stream import stream_job_events
from ui.api.json_schema import document_form_body
from ui.api.pagination import build_list_page
from ui.api.routes.jobs import JOB_RESPONSES, WaitQuery, answer_with_job, submit_once

StreamQuery: TypeAlias = Annotated[
    bool, Query(description="Answer with server-sent events: queued, step, result, error.")
]


def build_tool_router(tools: tuple[Tool, ...]) -> APIRouter:
    """Build `GET /tools`, and `POST /tools/{id}` for each tool."""
    router = APIRouter(tags=["tools"])
    router.add_api_route("/tools", list_tools, methods=["GET"], responses=document_errors(READ_CODES))
    for tool in tools:
        router.add_api_route(
            f"/tools/{tool.id}",
            _make_tool_endpoint(tool.id),
            methods=["POST"],
            name=f"run_{tool.id}",
            summary=tool.title,
            description=tool.summary,
            responses=JOB_RESPONSES,
            openapi_extra=_document_form(tool.params),
        )
    router.add_api_route("/tools/{tool_id}", run_tool, methods=["POST"], include_in_schema=False)
    return router


async def list_tools(owner: OwnerDep, service: ServiceDep) -> dict[str, Any]:
    """Every tool with its fields; `x-kind` says what a field is, `x-needs` what the model must be able to do.

    Words of a field with `x-followed-by` are used by models with one of these verbs alone.
    """
    return build_list_page([_make_tool_object(tool) for tool in service.tools], len(service.tools))


def _make_tool_object(tool: Tool) -> dict[str, Any]:
    return {
        "id": tool.id,
        "object": "tool",
        "title": tool.title,
        "summary": tool.summary,
        "strengths": list(tool.strengths),
        "limits": list(tool.limits),
        "person": tool.person,
        "params": read_form_schema(tool.params),
    }


async def run_tool(
    tool_id: str,
    request: Request,
    owner: OwnerDep,
    service: ServiceDep,
    stream: StreamQuery = False,
    wait: WaitQuery = True,
) -> Response:
    """Run a tool. Without controls the answer waits for the end; a caller that leaves stops its job."""
    tool = service.find_tool(tool_id)
    async with request_parsing.read_form(request) as form:
        form = request_parsing.rename_steps(form, tool.params)
        filled = await request_parsing.fill_form(form, tool.params, service, owner)

    def make_job() -> Job:
        job = service.create_job(tool.id, filled.values, owner)
        return job.model_copy(update={"notices": (*job.notices, *filled.notices), "waited": stream or wait})

    submitted = await submit_once(request, service, make_job, filled.values, streamed=stream)
    if submitted.stream is not None:
        events = stream_job_events(request, service, submitted.job, submitted.stream, opening=True)
        return submitted.stream_response(service, events)
    return await answer_with_job(request, service, submitted, wait=wait)


def _make_tool_endpoint(tool_id: str) -> Callable[..., Any]:
    """Make the endpoint of one tool, so that each tool has a path of its own in the documentation."""

    async def run_this_tool(
        request: Request, owner: OwnerDep, service: ServiceDep, stream: StreamQuery = False, wait: WaitQuery = True
    ) -> Response:
        return await run_tool(tool_id, request, owner, service, stream, wait)

    return run_this_tool


def _document_form(params: type[Params]) -> dict[str, Any]:
    """Document the request body: pictures are files in multipart, data URLs or file ids in JSON."""
    plain = read_form_schema(params)
    files = {**plain, "properties": {name: _as_multipart_part(row) for name, row in plain["properties"].items()}}
    return document_form_body(files, plain)


def _as_multipart_part(row: dict[str, Any]) -> dict[str, Any]:
    about = {key: row[key] for key in ("title", "description") if key in row}
    if row.get("x-kind") in ("picture", "mask"):
        return {**about, "type": "string", "format": "binary"}
    if row.get("x-kind") == "pictures":
        return {**about, "type": "array", "items": {"type": "string", "format": "binary"}}
    return row
