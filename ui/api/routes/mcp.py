"""The tools as MCP tools at `/mcp`, for agents: behind the keys, owners and limits of `/v1`; knows no tool by name.

Each call is one request with its own answer, so there is no session to keep, to steal or to clear away. The protocol
is the `mcp` package's, which is loaded at the first call.
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
from pipelines.core.errors import BadInput, JobCancelled, NotFound, StudioError
from pipelines.core.geometry import Image
from pipelines.core.job import Result, Step
from pipelines.core.params import Params
from pipelines.core.tools import Tool
from pipelines.ingest.decoder_pool import MAX_FILE_BYTES
from pipelines.jobs.queue import JobRow
from pipelines.runtime.progress import encode_preview
from pipelines.service.orders import StudioService
from pipelines.storage.file_index import FileInfo
from ui.api.blocking_jobs import ended, followed, ordered
from ui.api.errors import noted, response, restore
from ui.api.response_models import FILE, JOB
from ui.api.routes.files import file_object
from ui.api.routes.jobs import job_object

if TYPE_CHECKING:
    import mcp_types as mcp
    from mcp.server.context import ServerRequestContext
    from mcp.server.lowlevel import Server

    from ui.api.auth.access import Access, Caller

PATH = "/mcp"
BODY_BYTES = 2 * MAX_FILE_BYTES * 4 // 3
"""Of one call: two of the largest pictures as base64."""
SIDE = 1024
"""Longer side, in pixels, of a picture that an agent is shown; the file itself is linked."""
SHOW, LIST = "show_picture", "list_pictures"
INSTRUCTIONS = (
    "An image studio. Each tool makes pictures from the pictures and settings it is given, and answers with the "
    f"pictures and a receipt. Pictures go in as file ids ({LIST} names those there are, and every result has one) or "
    "as data URLs. Tools on people need consent=true: ask the user whether they have the person's permission."
)
_HOW = "A file id (file-…) or a data URL (data:image/png;base64,…)."
_ID = {"type": "string", "description": "file-…", "maxLength": 64}
_PICTURES = {"type": "object", "required": ["data"], "properties": {"data": {"type": "array", "items": FILE}}}
_ROLES = ("upload", "result", "matte", "layers", "example")


def route(service: StudioService, access: Access) -> BaseRoute:
    """The one address of this door."""
    return Route(PATH, Door(service, access))


class Door:
    """An ASGI application. Raises nothing: what goes wrong is an answer."""

    def __init__(self, service: StudioService, access: Access) -> None:
        self._service = service
        self._access = access
        self._lock = threading.Lock()
        self._server: Server[Any] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            request.state.caller = self._access.caller(request, "read")
        except StudioError as error:
            noted(request, error.code)
            return await response(error)(scope, receive, send)
        server = await to_thread.run_sync(self._made)
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        # Stateless, and so one manager a call: it is a task group and two numbers, and nothing outlives the answer.
        manager = StreamableHTTPSessionManager(server, stateless=True, max_request_body_size=BODY_BYTES)
        async with manager.run():
            await manager.handle_request(scope, receive, send)

    def _made(self) -> Server[Any]:
        with self._lock:
            if self._server is None:
                from mcp.server.lowlevel import Server

                logging.getLogger("mcp").setLevel(logging.WARNING)  # it would tell of every call
                self._server = Server(
                    "designerbox", version="1", title="DesignerBox", instructions=INSTRUCTIONS,
                    on_list_tools=self._list, on_call_tool=self._call, get_tool_input_schema=self._inputs,
                )  # fmt: skip
            return self._server

    # ------------------------------------------------------------ what there is

    async def _list(self, _: ServerRequestContext[Any], __: mcp.PaginatedRequestParams | None) -> mcp.ListToolsResult:
        import mcp_types as mcp

        made = [self._described(row) for row in self._service.tools]
        looks = mcp.ToolAnnotations(read_only_hint=True, open_world_hint=False)
        made += [
            mcp.Tool(
                name=LIST, title="List pictures", annotations=looks, output_schema=_PICTURES,
                description="The newest pictures: what was sent in and what was made. Their ids go into every tool.",
                input_schema=self._inputs(LIST) or {},
            ),
            mcp.Tool(
                name=SHOW, title="Show a picture", annotations=looks, output_schema=FILE,
                description="Look at one picture by its id.", input_schema=self._inputs(SHOW) or {},
            ),
        ]  # fmt: skip
        return mcp.ListToolsResult(tools=made, ttl_ms=60_000, cache_scope="private")

    def _described(self, row: Tool) -> mcp.Tool:
        import mcp_types as mcp

        said = [row.summary, *(f"Good at: {', '.join(row.strengths)}." for _ in row.strengths[:1])]
        said += [f"Limits: {' '.join(row.limits)}"] if row.limits else []
        return mcp.Tool(
            name=row.id, title=row.title, description="\n".join(said), input_schema=inputs_of(row, self._service),
            output_schema=JOB, annotations=mcp.ToolAnnotations(destructive_hint=False, open_world_hint=False),
        )  # fmt: skip

    def _inputs(self, name: str) -> dict[str, Any] | None:
        if name == LIST:
            limit = {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
            return {"type": "object", "properties": {"limit": limit}, "additionalProperties": False}
        if name == SHOW:
            return {"type": "object", "required": ["file_id"], "properties": {"file_id": _ID}}
        row = next((row for row in self._service.tools if row.id == name), None)
        return None if row is None else inputs_of(row, self._service)

    # ------------------------------------------------------------ what is done

    async def _call(self, context: ServerRequestContext[Any], params: mcp.CallToolRequestParams) -> mcp.CallToolResult:
        import mcp_types as mcp

        request: Request = context.request  # pyright: ignore[reportAssignmentType]
        caller: Caller = request.state.caller
        values = dict(params.arguments or {})
        try:
            if params.name == LIST:
                return await self._listed(values, caller.owner)
            if params.name == SHOW:
                return await self._shown(values, caller.owner)
            if caller.key is not None and "create" not in caller.key.scopes:
                raise StudioError("This key has not the scope 'create'.", code="permission_denied")
            return await self._made_by(params.name, values, caller.owner, context, _base(request))
        except StudioError as error:
            noted(request, error.code)
            where = f" ({error.param})" if error.param else ""
            text = mcp.TextContent(text=f"{error.code}{where}: {error.message}")
            return mcp.CallToolResult(content=[text], is_error=True)

    async def _made_by(
        self, tool_id: str, values: Mapping[str, object], owner: str, context: ServerRequestContext[Any], base: str
    ) -> mcp.CallToolResult:
        """Run a tool to its end, telling its steps; a caller that leaves stops it."""
        job = await ordered(tool_id, values, self._service, owner)
        try:
            async with followed(self._service, job) as stream:
                told = 0
                async for event in stream:
                    if isinstance(event, Step):
                        told += 1
                        stage = f"{event.stage} {event.index}/{event.total}" if event.total > 1 else event.stage
                        await context.session.report_progress(told, message=stage)
                    elif isinstance(event, Result):
                        break
        except JobCancelled:
            raise BadInput("The job was cancelled.") from None
        row = await ended(self._service, job)
        if row.error is not None:
            raise restore(row.error)
        return await to_thread.run_sync(self._answer, row, base)

    def _answer(self, row: JobRow, base: str) -> mcp.CallToolResult:
        import mcp_types as mcp

        assert row.result is not None
        infos = [self._service.files.get_info(file.id, row.job.owner) for file in row.result.files]
        stills = [info for info in infos if info.role == "result" and info.format in STILL_FORMATS]
        notices = " ".join(row.result.receipt.get("notices", ()))
        content: list[mcp.ContentBlock] = [
            mcp.TextContent(text=f"Done in {row.result.seconds:.1f} s. {notices}".strip())
        ]
        content += [self._image(info) for info in stills]
        content += [
            mcp.ResourceLink(
                name=info.download_name, uri=f"{base}/v1/files/{info.id}/content", mime_type=MIME_TYPES.get(info.format),
                size=info.bytes, description=f"{info.id}: {info.role}, {info.width} x {info.height} px",
            )
            for info in infos
        ]  # fmt: skip
        return mcp.CallToolResult(content=content, structured_content=job_object(row))

    async def _listed(self, values: Mapping[str, object], owner: str) -> mcp.CallToolResult:
        import mcp_types as mcp

        limit = values.get("limit", 20)
        if not isinstance(limit, int) or not 1 <= limit <= 100:
            raise BadInput("'limit' is a whole number from 1 to 100.", param="limit")
        rows = await to_thread.run_sync(self._service.files.list_files, owner, limit, None)
        found = [row for row in rows if row.role in _ROLES and row.format in (*STILL_FORMATS, "png")]
        said = [f"{row.id}: {row.role}, {row.width} x {row.height} px" for row in found]
        said += [
            f"{row.file_id}: example '{row.name}'"
            for row in await to_thread.run_sync(self._service.uploads.list_examples)
        ]
        text = mcp.TextContent(text="\n".join(said))
        return mcp.CallToolResult(content=[text], structured_content={"data": [file_object(row) for row in found]})

    async def _shown(self, values: Mapping[str, object], owner: str) -> mcp.CallToolResult:
        import mcp_types as mcp

        info = await to_thread.run_sync(self._service.files.get_info, str(values.get("file_id", "")), owner)
        if info.format not in STILL_FORMATS:
            raise NotFound("This file is no picture.", param="file_id")
        image = await to_thread.run_sync(self._image, info)
        return mcp.CallToolResult(content=[image], structured_content=file_object(info))

    def _image(self, info: FileInfo) -> mcp.ImageContent:
        import mcp_types as mcp

        data, mime = shown(self._service.files.open_image(info.id))
        data = self._service.uploads.sign_derived_copy(data, mime, info)
        return mcp.ImageContent(data=base64.b64encode(data).decode(), mime_type=mime)


def inputs_of(row: Tool, service: StudioService) -> dict[str, Any]:
    """A tool's form as JSON schema: what this profile cannot serve is left out, and pictures say how they come."""
    schema = row.params.model_json_schema()
    kept = {
        name: _worded(row.params, name, field)
        for name, field in schema["properties"].items()
        if not service.form_checks.missing_verbs(row.params, name)
    }
    return {**schema, "title": row.title, "properties": kept}


def _worded(params: type[Params], name: str, field: dict[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in field.items() if not key.startswith("x-")}
    if params.kind_of(name) in ("picture", "pictures", "mask"):
        plain["description"] = f"{plain.get('description', '')} {_HOW}".strip()
    return plain


def shown(image: Image) -> tuple[bytes, str]:
    """A picture (H x W x 3 or 4, RGB(A)) as an agent is shown it, and what kind of file that is."""
    if image.shape[2] == 3:
        return encode_preview(image, SIDE), "image/jpeg"
    scale = min(1.0, SIDE / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    near = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".png", cv2.cvtColor(np.asarray(near), cv2.COLOR_RGBA2BGRA))[1].tobytes(), "image/png"


def _base(request: Request) -> str:
    return str(request.base_url).removesuffix("/")
