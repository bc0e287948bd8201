"""MCP server at `/mcp`: the studio's tools as MCP tools for agents, with the keys, owners and limits of `/v1`.

The server is stateless: each call is one request with one answer, and there are no sessions. The `mcp` package is
loaded at the first call. Its 1.x, which gradio[mcp] puts on a Space, and its 2.x have the same protocol but other
names, so tools and answers are written as the JSON of the protocol, which both read.
"""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

import cv2
import numpy as np
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.types import Receive, Scope, Send

from pipelines.codecs.encode import MIME_TYPES, STILL_FORMATS
from pipelines.codecs.file_names import strip_label
from pipelines.core.errors import BadInput, JobCancelled, NotFound, StudioError, error_from_json
from pipelines.core.geometry import Image
from pipelines.core.job import Result, Step
from pipelines.core.tools import Tool
from pipelines.imaging.resize import size_within
from pipelines.ingest.decoder_pool import MAX_FILE_BYTES
from pipelines.jobs.queue import JobRow
from pipelines.provenance.c2pa import read_receipt, read_source_type
from pipelines.runtime.progress import encode_preview
from pipelines.service.studio_service import StudioService
from pipelines.service.uploads import GENERATED_ROLES
from pipelines.storage.file_index import FileInfo
from ui.api.auth.access import AccessControl, Caller
from ui.api.blocking_jobs import fetch_ended_job, follow_or_cancel, make_blocking_job
from ui.api.documentation import agent_docs
from ui.api.documentation.agent_schemas import FILE_OUTPUT, JOB_OUTPUT, tool_input_schema
from ui.api.errors import answer_error, to_studio_error
from ui.api.field_hints import TOOL_HINTS, advise_agent, describe_use, hint_error_fields
from ui.api.job_object import api_notices, make_job_object
from ui.api.json_schema import object_schema
from ui.api.receipt_summary import summarise_receipt
from ui.api.request_parsing import check_text, ingest_value
from ui.api.routes.files import make_file_object

Answer: TypeAlias = dict[str, Any]
"""The JSON of a `CallToolResult`."""
MCP_PATH = "/mcp"
CALL_BODY_BYTES = 2 * MAX_FILE_BYTES * 4 // 3
"""Bytes of one call: two of the largest pictures as base64."""
PREVIEW_SIDE_PX = 1024
"""Longer side of a picture in an answer; the file itself is linked."""
SHOW_TOOL = "show_picture"
LIST_TOOL = "list_pictures"
UPLOAD_TOOL = "upload_picture"
INSTRUCTIONS = (
    "An image studio. Each tool makes pictures from the pictures and settings it is given, and answers with previews "
    "and the job: its files (id, url, role, width, height, format) and a receipt (params, models, inputs, checks, "
    f"notices). Pictures go in as file ids or data URLs. {UPLOAD_TOOL} gives a picture an id for as many "
    f"calls as you like; {LIST_TOOL} names the ids there are, and each answer those of its pictures. "
    f"consent=true: {agent_docs.CONSENT_RULE}"
)
_READ_ONLY = {"readOnlyHint": True, "openWorldHint": False}
_LIMIT_SCHEMA = {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
_OWN_TOOLS: tuple[dict[str, Any], ...] = (
    {
        "name": LIST_TOOL,
        "title": "List pictures",
        "annotations": _READ_ONLY,
        "outputSchema": object_schema({"data": {"type": "array", "items": {"type": "object"}}}),
        "description": "The newest pictures, what was sent in and what was made, then examples: `limit` "
        "in all. Their ids go into every tool.",
        "inputSchema": {"type": "object", "properties": {"limit": _LIMIT_SCHEMA}, "additionalProperties": False},
    },
    {
        "name": UPLOAD_TOOL,
        "title": "Upload a picture",
        "annotations": {"destructiveHint": False, "idempotentHint": True, "openWorldHint": False},
        "outputSchema": FILE_OUTPUT,
        "description": "Send a picture once and use its file id in every tool. Where you can send files over "
        "HTTP, POST /v1/files does the same: curl -F file=@photo.jpg. Nothing is drawn.",
        "inputSchema": object_schema(
            {"picture": {"type": "string", "description": "A data URL (data:image/png;base64,…)."}}
        ),
    },
    {
        "name": SHOW_TOOL,
        "title": "Show a picture",
        "annotations": _READ_ONLY,
        "outputSchema": FILE_OUTPUT,
        "description": "Look at one picture by its id, with its receipt in words where it was made here.",
        "inputSchema": object_schema({"file_id": {"type": "string", "description": "file-…", "maxLength": 64}}),
    },
)
_SKILL_URI = "designerbox://skill"
_FILE_URI_PREFIX = "designerbox://files/"
_MAX_RESOURCE_COUNT = 20
_PAGE_ROW_COUNT = 100
_RESOURCE_NOT_FOUND = -32002
"""Code of the protocol for a resource or prompt that does not exist."""
_LISTED_ROLES = ("upload", "result", "matte", "layers", "example")


_BROWSER_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>MCP server of DesignerBox</title>'
    '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex"><style>'
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:10vh auto;"
    "padding:0 1rem}code{overflow-wrap:anywhere}</style></head><body><main><h1>This address is for agents</h1>"
    "<p>It is the MCP server of this studio. Add it to a program that speaks the Model Context Protocol, as an HTTP "
    "server with this page's address. If the studio needs a key, send it as <code>Authorization: Bearer</code>.</p>"
    '<p><a href="skill.md">What an agent reads</a> · <a href="v1/docs">REST API</a> · <a href=".">The studio</a></p>'
    "</main></body></html>"
)


class McpEndpoint:
    """The ASGI application. Every failure is an answer: it raises nothing."""

    def __init__(self, service: StudioService, access: AccessControl) -> None:
        self._service = service
        self._access = access
        self._lock = threading.Lock()
        self._server: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return await HTMLResponse(_BROWSER_PAGE)(scope, receive, send)
        try:
            request.state.caller = self._access.authenticate_request(request, "read")
            server = await to_thread.run_sync(self._get_server)
            body, receive = await _read_body(request)
        except StudioError as error:
            return await answer_error(request, error)(scope, receive, send)
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        # A stateless server needs one manager for each call: a task group that ends with the answer.
        manager = StreamableHTTPSessionManager(
            server, json_response=not _may_stream(body), stateless=True, max_request_body_size=CALL_BODY_BYTES
        )
        async with manager.run():
            await manager.handle_request(scope, receive, send)

    def _get_server(self) -> Any:
        with self._lock:
            if self._server is None:
                logging.getLogger("mcp").setLevel(logging.WARNING)  # at INFO it logs every call
                self._server = self._build_server()
            return self._server

    def _build_server(self) -> Any:
        """Build the `mcp.server.lowlevel.Server` of the installed version."""
        from mcp import types
        from mcp.server.lowlevel import Server

        async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
            return types.ListToolsResult.model_validate(self._list_tools())

        async def call_tool(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
            return types.CallToolResult.model_validate(await self._call_tool(context, params.name, params.arguments))

        async def list_prompts(context: Any, params: Any) -> types.ListPromptsResult:
            return types.ListPromptsResult.model_validate({"prompts": agent_docs.prompt_rows(self._service)})

        async def get_prompt(context: Any, params: types.GetPromptRequestParams) -> types.GetPromptResult:
            return types.GetPromptResult.model_validate(self._get_prompt(params.name, params.arguments))

        async def list_resources(context: Any, params: Any) -> types.ListResourcesResult:
            return types.ListResourcesResult.model_validate(await self._list_resources(context.request))

        async def read_resource(context: Any, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
            answer = await self._read_resource(context.request, str(params.uri))
            return types.ReadResourceResult.model_validate(answer)

        if not _is_mcp_1(Server):
            return Server(
                "designerbox",
                version="1",
                title="DesignerBox",
                instructions=INSTRUCTIONS,
                on_list_tools=list_tools,
                on_call_tool=call_tool,
                on_list_prompts=list_prompts,
                on_get_prompt=get_prompt,
                on_list_resources=list_resources,
                on_read_resource=read_resource,
                get_tool_input_schema=self._find_input_schema,
            )
        server: Any = Server("designerbox", version="1", instructions=INSTRUCTIONS)

        def to_request_handler(handler: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
            async def handle(request: Any) -> Any:
                return getattr(types, "ServerResult")(await handler(server.request_context, request.params))  # noqa: B009

            return handle

        server.request_handlers[types.ListToolsRequest] = to_request_handler(list_tools)
        server.request_handlers[types.CallToolRequest] = to_request_handler(call_tool)
        server.request_handlers[types.ListPromptsRequest] = to_request_handler(list_prompts)
        server.request_handlers[types.GetPromptRequest] = to_request_handler(get_prompt)
        server.request_handlers[types.ListResourcesRequest] = to_request_handler(list_resources)
        server.request_handlers[types.ReadResourceRequest] = to_request_handler(read_resource)
        return server

    # ------------------------------------------------------------ list of tools

    def _list_tools(self) -> dict[str, Any]:
        """Build the JSON of a `ListToolsResult`."""
        tools = [*(self._describe_tool(row) for row in self._service.tools), *_OWN_TOOLS]
        return {"tools": tools, "ttlMs": 60_000, "cacheScope": "private"}

    def _describe_tool(self, row: Tool) -> dict[str, Any]:
        schema = tool_input_schema(row, self._service)
        lines = [TOOL_HINTS[row.id]] if row.id in TOOL_HINTS else []
        lines += [row.summary, describe_use(row, schema)]
        lines += [f"Good at: {', '.join(row.strengths)}."] if row.strengths else []
        lines += [f"Limits: {'; '.join(limit.rstrip('.') for limit in row.limits)}."] if row.limits else []
        return {
            "name": row.id,
            "title": row.title,
            "description": "\n".join(lines),
            "inputSchema": schema,
            "outputSchema": JOB_OUTPUT,
            "annotations": {"destructiveHint": False, "openWorldHint": False},
        }

    def _find_input_schema(self, name: str) -> dict[str, Any] | None:
        for tool in _OWN_TOOLS:
            if tool["name"] == name:
                return tool["inputSchema"]
        row = next((row for row in self._service.tools if row.id == name), None)
        return None if row is None else tool_input_schema(row, self._service)

    # ------------------------------------------------------------ calls

    async def _call_tool(self, context: Any, name: str, arguments: Mapping[str, object] | None) -> Answer:
        request: Request = context.request
        caller: Caller = request.state.caller
        values = dict(arguments or {})
        try:
            if name == LIST_TOOL:
                return await self._list_pictures(values, caller.owner)
            if name == SHOW_TOOL:
                return await self._show_picture(values, caller, _base_url(request))
            if caller.key is not None and "create" not in caller.key.scopes:
                raise StudioError("This key has not the scope 'create'.", code="permission_denied")
            if name == UPLOAD_TOOL:
                return await self._upload_picture(values, caller.owner)
            return await self._run_tool(name, values, caller, context, _base_url(request))
        except Exception as fault:  # noqa: BLE001  # to_studio_error logs it
            error = to_studio_error(fault, request.scope)
            request.state.code = error.code
            where = f" ({error.param})" if error.param else ""
            schema = self._find_input_schema(name) if error.param != "file_id" else None
            told = [hint_error_fields(error.message, error.param), advise_agent(error, schema)]
            return {
                "content": [_text_content(f"{error.code}{where}: {' '.join(each for each in told if each)}")],
                "isError": True,
            }

    async def _run_tool(
        self, tool_id: str, values: Mapping[str, object], caller: Caller, context: Any, base: str
    ) -> Answer:
        """Run a tool to its end and report its steps. The job is cancelled when the client leaves."""
        job = await make_blocking_job(tool_id, values, self._service, caller.owner)
        try:
            async with follow_or_cancel(self._service, job) as stream:
                step_count = 0
                async for event in stream:
                    if isinstance(event, Step):
                        step_count += 1
                        stage = f"{event.stage} {event.index}/{event.total}" if event.total > 1 else event.stage
                        await _report_progress(context, step_count, stage)
                    elif isinstance(event, Result):
                        break
        except JobCancelled:
            raise BadInput("The job was cancelled.") from None
        row = await fetch_ended_job(self._service, job)
        if row.error is not None:
            raise error_from_json(row.error)
        return await to_thread.run_sync(self._to_tool_result, row, base, caller.key is not None)

    def _to_tool_result(self, row: JobRow, base: str, is_keyed: bool) -> Answer:
        assert row.result is not None
        infos = [self._service.files.get_info(file.id, row.job.owner) for file in row.result.files]
        stills = [info for info in infos if info.role == "result" and info.format in STILL_FORMATS]
        notices = api_notices(row)
        done = [f"Done in {row.result.seconds:.1f} s.", *(["Notices:"] if notices else [])]
        done += [f"- {notice}" for notice in notices]
        sent = [f"- {picture['param']}: {picture['id']}" for picture in row.result.receipt["inputs"]]
        source_type = read_source_type(self._service.files.read_bytes(infos[0].id)) if infos else ""
        told = [*done, summarise_receipt(row.result.receipt, source_type, row.result.seconds)]
        told += ["Your pictures, for further calls:", *sent] if sent else []
        content = [_text_content("\n".join([*told, describe_files(infos, base, is_keyed)]))]
        content += [self._image_content(info) for info in stills]
        content += [_file_link(info, base) for info in infos]
        return {"content": content, "structuredContent": self._make_agent_job_object(row)}

    def _make_agent_job_object(self, row: JobRow) -> dict[str, Any]:
        """Build a job whose `receipt.params` are arguments: those that the tool lists, with a value."""
        job, schema = make_job_object(row), self._find_input_schema(row.job.tool)
        listed = schema["properties"] if schema else {}
        params = {key: value for key, value in job["receipt"]["params"].items() if key in listed and value is not None}
        return {**job, "receipt": {**job["receipt"], "params": params}}

    async def _list_pictures(self, values: Mapping[str, object], owner: str) -> Answer:
        limit = values.get("limit", 20)
        if not isinstance(limit, int) or not 1 <= limit <= 100:
            raise BadInput("'limit' is a whole number from 1 to 100.", param="limit")
        found = await to_thread.run_sync(self._find_pictures, owner, limit)
        examples = (await to_thread.run_sync(self._service.uploads.list_examples))[: limit - len(found)]
        lines = [self._describe_picture(row) for row in found]
        lines += [f"{row.file_id}: example '{row.name}'" for row in examples]
        data = [make_file_object(row) for row in found]
        return {"content": [_text_content("\n".join(lines))], "structuredContent": {"data": data}}

    def _find_pictures(self, owner: str, limit: int) -> list[FileInfo]:
        """Find the owner's newest pictures, at most `limit`, among files of every kind."""
        found: list[FileInfo] = []
        after: str | None = None
        while len(found) < limit:
            rows = self._service.files.list_files(owner, _PAGE_ROW_COUNT, after)
            found += [row for row in rows if row.role in _LISTED_ROLES and row.format in STILL_FORMATS]
            if len(rows) < _PAGE_ROW_COUNT:
                break
            after = rows[-1].id
        return found[:limit]

    def _describe_picture(self, info: FileInfo) -> str:
        """Say in a line what a picture is, what it is called, what made it and when."""
        name = strip_label(info.download_name)
        tool = next((row.id for row in self._service.tools if name.startswith(f"{row.id}-")), "")
        created = datetime.fromtimestamp(info.created, UTC).strftime("%Y-%m-%d %H:%M UTC")
        made = [name, f"made by {tool}", created] if tool else [created]
        return f"{info.id}: {', '.join([info.role, _describe_size(info), *made])}"

    async def _upload_picture(self, values: Mapping[str, object], owner: str) -> Answer:
        check_text(dict(values))
        file_id, notices = await ingest_value(values.get("picture"), "picture", self._service, owner)
        info = await to_thread.run_sync(self._service.files.get_info, file_id, owner)
        told = " ".join([f"{info.id}: {info.width} x {info.height} px.", *notices])
        return {"content": [_text_content(told)], "structuredContent": make_file_object(info, notices)}

    async def _show_picture(self, values: Mapping[str, object], caller: Caller, base: str) -> Answer:
        if not (file_id := str(values.get("file_id") or "")):
            raise BadInput("Name the picture: `file_id` is missing.", param="file_id")
        info = await to_thread.run_sync(self._service.files.get_info, file_id, caller.owner)
        if info.format not in STILL_FORMATS:
            raise NotFound("This file is no picture.", param="file_id")
        image = await to_thread.run_sync(self._image_content, info)
        data = await to_thread.run_sync(self._service.files.read_bytes, info.id)
        receipt = read_receipt(data) if info.role in GENERATED_ROLES else None
        text = describe_files([info], base, caller.key is not None)
        text = text if receipt is None else f"{summarise_receipt(receipt, read_source_type(data))}\n{text}"
        return {
            "content": [image, _text_content(text), _file_link(info, base)],
            "structuredContent": make_file_object(info),
        }

    # ------------------------------------------------------------ prompts and resources

    def _get_prompt(self, name: str, arguments: Mapping[str, str] | None) -> dict[str, Any]:
        try:
            return agent_docs.render_prompt(self._service, name, arguments or {})
        except StudioError as error:
            raise _make_protocol_error(error.message) from None

    async def _list_resources(self, request: Request) -> dict[str, Any]:
        """Build the JSON of a `ListResourcesResult`: how to work with the studio, and the newest pictures."""
        files = self._service.files
        rows = await to_thread.run_sync(files.list_files, request.state.caller.owner, _MAX_RESOURCE_COUNT, None)
        skill = {"uri": _SKILL_URI, "name": "skill", "title": "How to work with it", "mimeType": "text/markdown"}
        pictures = [
            {
                "uri": f"{_FILE_URI_PREFIX}{row.id}",
                "name": strip_label(row.download_name),
                "mimeType": MIME_TYPES.get(row.format),
                "size": row.bytes,
                "description": f"{row.role}, {_describe_size(row)}",
            }
            for row in rows
            if row.role in _LISTED_ROLES
        ]
        return {"resources": [skill, *pictures]}

    async def _read_resource(self, request: Request, uri: str) -> dict[str, Any]:
        """Build the JSON of a `ReadResourceResult`; a file is its bytes as they are kept."""
        if uri == _SKILL_URI:
            text = agent_docs.render_skill(self._service, _base_url(request))
            return {"contents": [{"uri": uri, "mimeType": "text/markdown", "text": text}]}
        try:
            files, file_id = self._service.files, _file_id_of(uri, _base_url(request))
            info = await to_thread.run_sync(files.get_info, file_id, request.state.caller.owner)
            data = await to_thread.run_sync(files.read_bytes, file_id, request.state.caller.owner)
        except NotFound:
            raise _make_protocol_error("Resource not found.") from None
        blob = base64.b64encode(data).decode()
        return {"contents": [{"uri": uri, "mimeType": MIME_TYPES.get(info.format), "blob": blob}]}

    def _image_content(self, info: FileInfo) -> dict[str, Any]:
        data, mime = encode_agent_preview(self._service.files.open_image(info.id))
        data = self._service.uploads.sign_derived_copy(data, mime, info)
        return {"type": "image", "data": base64.b64encode(data).decode(), "mimeType": mime}


def _make_protocol_error(message: str) -> Exception:
    """Make the error that the installed version of `mcp` sends as one of the protocol."""
    from mcp.shared import exceptions

    if hasattr(exceptions, "MCPError"):
        return exceptions.MCPError(_RESOURCE_NOT_FOUND, message)
    from mcp.types import ErrorData

    return getattr(exceptions, "McpError")(ErrorData(code=_RESOURCE_NOT_FOUND, message=message))  # noqa: B009


def _is_mcp_1(server: object) -> bool:
    return hasattr(server, "call_tool")


def _may_stream(body: object) -> bool:
    """Whether the answer may be a stream of events: a tool's, for its steps and against timeouts of proxies.

    All else is answered as JSON: clients refuse an event of more than 1 MiB, and a resource is as large as its file.
    """
    return not isinstance(body, dict) or body.get("method") == "tools/call"


async def _read_body(request: Request) -> tuple[object, Receive]:
    """Refuse a body at which mcp 1.x breaks down: deep nesting, endless numbers. Raises `BadInput`.

    Returns the JSON, None where it is none, and an ASGI `receive` that gives the body once more.
    """
    messages = [{"type": "http.request", "body": await request.body()}]
    body: object = None
    try:
        body = json.loads(messages[0]["body"])
    except (json.JSONDecodeError, UnicodeDecodeError):
        pass  # mcp says what is wrong
    except (RecursionError, ValueError):
        raise BadInput("The body is no JSON that can be read.") from None

    async def receive() -> MutableMapping[str, Any]:
        return messages.pop() if messages else await request.receive()

    return body, receive


def describe_files(infos: Sequence[FileInfo], base: str, is_keyed: bool) -> str:
    """Say that the shown pictures are previews, and where the files are; `is_keyed`: they are fetched with a key."""
    shown = any(info.format in STILL_FORMATS for info in infos)
    lines = [f"The pictures shown here are previews of at most {PREVIEW_SIDE_PX} px, not the result."] if shown else []
    lines += ["The files themselves, for the user and for further tools:"]
    lines += [
        f"- {info.id} ({info.role}): {strip_label(info.download_name) or 'picture.' + info.format}, {info.format}, "
        f"{'the pictures above, ' if info.format == 'zip' else ''}{_describe_size(info)}, {_file_url(info, base)}"
        for info in infos
    ]
    key = " -H 'Authorization: Bearer KEY'" if is_keyed else ""
    lines += [f"To save one: curl{key} -o NAME ADDRESS; or read the resource {_FILE_URI_PREFIX}ID."]
    return "\n".join(lines)


def _describe_size(info: FileInfo) -> str:
    """Say how large a file is: its pixels, which an archive has not, and its bytes."""
    pixels = "" if info.format == "zip" else f"{info.width} x {info.height} px, "
    return f"{pixels}{max(1, info.bytes // 1000)} kB"


def _file_url(info: FileInfo, base: str) -> str:
    return f"{base}/v1/files/{info.id}/content"


def _file_id_of(uri: str, base: str) -> str:
    """Read the file's id in a resource's address or in an answer's link. Raises `NotFound`."""
    for start, end in ((_FILE_URI_PREFIX, ""), (f"{base}/v1/files/", "/content")):
        if uri.startswith(start) and uri.endswith(end):
            return uri.removeprefix(start).removesuffix(end)
    raise NotFound("Resource not found.")


def _file_link(info: FileInfo, base: str) -> dict[str, Any]:
    return {
        "type": "resource_link",
        "name": strip_label(info.download_name) or info.id,
        "uri": _file_url(info, base),
        "mimeType": MIME_TYPES.get(info.format),
        "size": info.bytes,
        "description": f"{info.id}: {info.role}, {_describe_size(info)}",
    }


def _text_content(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


async def _report_progress(context: Any, step: int, message: str) -> None:
    """Send a progress notification, where the caller asked for them."""
    if hasattr(context.session, "report_progress"):
        return await context.session.report_progress(step, message=message)
    token = context.meta and context.meta.progressToken  # mcp 1.x
    if token is not None:
        await context.session.send_progress_notification(
            token, step, message=message, related_request_id=str(context.request_id)
        )


def encode_agent_preview(image: Image) -> tuple[bytes, str]:
    """Encode a small copy of a picture (uint8, H x W x 3 or 4, RGB(A)); returns the bytes and their MIME type."""
    if image.shape[2] == 3:
        return encode_preview(image, PREVIEW_SIDE_PX), "image/jpeg"
    small = cv2.resize(image, size_within(image.shape, PREVIEW_SIDE_PX), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".png", cv2.cvtColor(np.asarray(small), cv2.COLOR_RGBA2BGRA))[1].tobytes(), "image/png"


def _base_url(request: Request) -> str:
    return str(request.base_url).removesuffix("/")
