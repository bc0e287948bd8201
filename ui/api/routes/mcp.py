"""MCP server at `/mcp`: the studio's tools as MCP tools for agents, with the keys, owners and limits of `/v1`.

The server is stateless: each call is one request with one answer, and there are no sessions. The `mcp` package is
loaded at the first call.
"""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from anyio import to_thread
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from pipelines.codecs.encode import MIME_TYPES, STILL_FORMATS
from pipelines.core.errors import BadInput, JobCancelled, NotFound, StudioError, error_from_json
from pipelines.core.geometry import Image
from pipelines.core.job import Result, Step
from pipelines.core.params import Params
from pipelines.core.tools import Tool
from pipelines.ingest.decoder_pool import MAX_FILE_BYTES
from pipelines.jobs.queue import JobRow
from pipelines.runtime.progress import encode_preview
from pipelines.service.orders import StudioService
from pipelines.storage.file_index import FileInfo
from ui.api.blocking_jobs import fetch_ended_job, follow_or_cancel, order_blocking_job
from ui.api.errors import error_response, record_error_code
from ui.api.job_object import job_object
from ui.api.response_models import FILE, JOB
from ui.api.routes.files import file_object

if TYPE_CHECKING:
    import mcp_types as mcp
    from mcp.server.context import ServerRequestContext
    from mcp.server.lowlevel import Server

    from ui.api.auth.access import AccessControl, Caller

MCP_PATH = "/mcp"
CALL_BODY_BYTES = 2 * MAX_FILE_BYTES * 4 // 3
"""Bytes of one call: two of the largest pictures as base64."""
PREVIEW_SIDE_PX = 1024
"""Longer side of a picture in an answer; the file itself is linked."""
SHOW_TOOL = "show_picture"
LIST_TOOL = "list_pictures"
INSTRUCTIONS = (
    "An image studio. Each tool makes pictures from the pictures and settings it is given, and answers with the "
    f"pictures and a receipt. Pictures go in as file ids ({LIST_TOOL} names those there are, and every result has "
    "one) or as data URLs. Tools on people need consent=true: ask the user whether they have the person's permission."
)
_PICTURE_HINT = "A file id (file-…) or a data URL (data:image/png;base64,…)."
_FILE_ID_SCHEMA = {"type": "string", "description": "file-…", "maxLength": 64}
_PICTURES_SCHEMA = {"type": "object", "required": ["data"], "properties": {"data": {"type": "array", "items": FILE}}}
_LISTED_ROLES = ("upload", "result", "matte", "layers", "example")


def build_mcp_route(service: StudioService, access: AccessControl) -> BaseRoute:
    """Build the route of the MCP server."""
    return Route(MCP_PATH, McpEndpoint(service, access))


class McpEndpoint:
    """The ASGI application. Every failure is an answer: it raises nothing."""

    def __init__(self, service: StudioService, access: AccessControl) -> None:
        self._service = service
        self._access = access
        self._lock = threading.Lock()
        self._server: Server[Any] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            request.state.caller = self._access.authenticate_request(request, "read")
        except StudioError as error:
            record_error_code(request, error.code)
            return await error_response(error)(scope, receive, send)
        server = await to_thread.run_sync(self._get_server)
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        # A stateless server needs one manager for each call: a task group that ends with the answer.
        manager = StreamableHTTPSessionManager(server, stateless=True, max_request_body_size=CALL_BODY_BYTES)
        async with manager.run():
            await manager.handle_request(scope, receive, send)

    def _get_server(self) -> Server[Any]:
        with self._lock:
            if self._server is None:
                from mcp.server.lowlevel import Server

                logging.getLogger("mcp").setLevel(logging.WARNING)  # at INFO it logs every call
                self._server = Server(
                    "designerbox",
                    version="1",
                    title="DesignerBox",
                    instructions=INSTRUCTIONS,
                    on_list_tools=self._list_tools,
                    on_call_tool=self._call_tool,
                    get_tool_input_schema=self._find_input_schema,
                )
            return self._server

    # ------------------------------------------------------------ list of tools

    async def _list_tools(
        self, _: ServerRequestContext[Any], __: mcp.PaginatedRequestParams | None
    ) -> mcp.ListToolsResult:
        import mcp_types as mcp

        tools = [self._describe_tool(row) for row in self._service.tools]
        read_only = mcp.ToolAnnotations(read_only_hint=True, open_world_hint=False)
        tools += [
            mcp.Tool(
                name=LIST_TOOL,
                title="List pictures",
                annotations=read_only,
                output_schema=_PICTURES_SCHEMA,
                description="The newest pictures: what was sent in and what was made. Their ids go into every tool.",
                input_schema=self._find_input_schema(LIST_TOOL) or {},
            ),
            mcp.Tool(
                name=SHOW_TOOL,
                title="Show a picture",
                annotations=read_only,
                output_schema=FILE,
                description="Look at one picture by its id.",
                input_schema=self._find_input_schema(SHOW_TOOL) or {},
            ),
        ]
        return mcp.ListToolsResult(tools=tools, ttl_ms=60_000, cache_scope="private")

    def _describe_tool(self, row: Tool) -> mcp.Tool:
        import mcp_types as mcp

        lines = [row.summary]
        lines += [f"Good at: {', '.join(row.strengths)}."] if row.strengths else []
        lines += [f"Limits: {' '.join(row.limits)}"] if row.limits else []
        return mcp.Tool(
            name=row.id,
            title=row.title,
            description="\n".join(lines),
            input_schema=tool_input_schema(row, self._service),
            output_schema=JOB,
            annotations=mcp.ToolAnnotations(destructive_hint=False, open_world_hint=False),
        )

    def _find_input_schema(self, name: str) -> dict[str, Any] | None:
        if name == LIST_TOOL:
            limit = {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
            return {"type": "object", "properties": {"limit": limit}, "additionalProperties": False}
        if name == SHOW_TOOL:
            return {"type": "object", "required": ["file_id"], "properties": {"file_id": _FILE_ID_SCHEMA}}
        row = next((row for row in self._service.tools if row.id == name), None)
        return None if row is None else tool_input_schema(row, self._service)

    # ------------------------------------------------------------ calls

    async def _call_tool(
        self, context: ServerRequestContext[Any], params: mcp.CallToolRequestParams
    ) -> mcp.CallToolResult:
        import mcp_types as mcp

        request: Request = context.request  # pyright: ignore[reportAssignmentType]
        caller: Caller = request.state.caller
        values = dict(params.arguments or {})
        try:
            if params.name == LIST_TOOL:
                return await self._list_pictures(values, caller.owner)
            if params.name == SHOW_TOOL:
                return await self._show_picture(values, caller.owner)
            if caller.key is not None and "create" not in caller.key.scopes:
                raise StudioError("This key has not the scope 'create'.", code="permission_denied")
            return await self._run_tool(params.name, values, caller.owner, context, _base_url(request))
        except StudioError as error:
            record_error_code(request, error.code)
            where = f" ({error.param})" if error.param else ""
            text = mcp.TextContent(text=f"{error.code}{where}: {error.message}")
            return mcp.CallToolResult(content=[text], is_error=True)

    async def _run_tool(
        self, tool_id: str, values: Mapping[str, object], owner: str, context: ServerRequestContext[Any], base: str
    ) -> mcp.CallToolResult:
        """Run a tool to its end and report its steps. The job is cancelled when the client leaves."""
        job = await order_blocking_job(tool_id, values, self._service, owner)
        try:
            async with follow_or_cancel(self._service, job) as stream:
                step_count = 0
                async for event in stream:
                    if isinstance(event, Step):
                        step_count += 1
                        stage = f"{event.stage} {event.index}/{event.total}" if event.total > 1 else event.stage
                        await context.session.report_progress(step_count, message=stage)
                    elif isinstance(event, Result):
                        break
        except JobCancelled:
            raise BadInput("The job was cancelled.") from None
        row = await fetch_ended_job(self._service, job)
        if row.error is not None:
            raise error_from_json(row.error)
        return await to_thread.run_sync(self._to_tool_result, row, base)

    def _to_tool_result(self, row: JobRow, base: str) -> mcp.CallToolResult:
        import mcp_types as mcp

        assert row.result is not None
        infos = [self._service.files.get_info(file.id, row.job.owner) for file in row.result.files]
        stills = [info for info in infos if info.role == "result" and info.format in STILL_FORMATS]
        notices = " ".join(row.result.receipt.get("notices", ()))
        content: list[mcp.ContentBlock] = [
            mcp.TextContent(text=f"Done in {row.result.seconds:.1f} s. {notices}".strip())
        ]
        content += [self._image_content(info) for info in stills]
        content += [
            mcp.ResourceLink(
                name=info.download_name,
                uri=f"{base}/v1/files/{info.id}/content",
                mime_type=MIME_TYPES.get(info.format),
                size=info.bytes,
                description=f"{info.id}: {info.role}, {info.width} x {info.height} px",
            )
            for info in infos
        ]
        return mcp.CallToolResult(content=content, structured_content=job_object(row))

    async def _list_pictures(self, values: Mapping[str, object], owner: str) -> mcp.CallToolResult:
        import mcp_types as mcp

        limit = values.get("limit", 20)
        if not isinstance(limit, int) or not 1 <= limit <= 100:
            raise BadInput("'limit' is a whole number from 1 to 100.", param="limit")
        rows = await to_thread.run_sync(self._service.files.list_files, owner, limit, None)
        found = [row for row in rows if row.role in _LISTED_ROLES and row.format in (*STILL_FORMATS, "png")]
        examples = await to_thread.run_sync(self._service.uploads.list_examples)
        lines = [f"{row.id}: {row.role}, {row.width} x {row.height} px" for row in found]
        lines += [f"{row.file_id}: example '{row.name}'" for row in examples]
        text = mcp.TextContent(text="\n".join(lines))
        return mcp.CallToolResult(content=[text], structured_content={"data": [file_object(row) for row in found]})

    async def _show_picture(self, values: Mapping[str, object], owner: str) -> mcp.CallToolResult:
        import mcp_types as mcp

        info = await to_thread.run_sync(self._service.files.get_info, str(values.get("file_id", "")), owner)
        if info.format not in STILL_FORMATS:
            raise NotFound("This file is no picture.", param="file_id")
        image = await to_thread.run_sync(self._image_content, info)
        return mcp.CallToolResult(content=[image], structured_content=file_object(info))

    def _image_content(self, info: FileInfo) -> mcp.ImageContent:
        import mcp_types as mcp

        data, mime = encode_agent_preview(self._service.files.open_image(info.id))
        data = self._service.uploads.sign_derived_copy(data, mime, info)
        return mcp.ImageContent(data=base64.b64encode(data).decode(), mime_type=mime)


def tool_input_schema(row: Tool, service: StudioService) -> dict[str, Any]:
    """Build the JSON schema of a tool's form, without the fields that this profile cannot serve."""
    schema = row.params.model_json_schema()
    properties = {
        name: _describe_field(row.params, name, field)
        for name, field in schema["properties"].items()
        if not service.form_checks.missing_verbs(row.params, name)
    }
    return {**schema, "title": row.title, "properties": properties}


def _describe_field(params: type[Params], name: str, field: dict[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in field.items() if not key.startswith("x-")}
    if params.kind_of(name) in ("picture", "pictures", "mask"):
        plain["description"] = f"{plain.get('description', '')} {_PICTURE_HINT}".strip()
    return plain


def encode_agent_preview(image: Image) -> tuple[bytes, str]:
    """Encode a small copy of a picture (uint8, H x W x 3 or 4, RGB(A)); returns the bytes and their MIME type."""
    if image.shape[2] == 3:
        return encode_preview(image, PREVIEW_SIDE_PX), "image/jpeg"
    scale = min(1.0, PREVIEW_SIDE_PX / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".png", cv2.cvtColor(np.asarray(small), cv2.COLOR_RGBA2BGRA))[1].tobytes(), "image/png"


def _base_url(request: Request) -> str:
    return str(request.base_url).removesuffix("/")
