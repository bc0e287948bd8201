"""Every tool as a named, typed event for `gradio_client`, which follows from its Params; knows no particular tool.

They lie on a page of Gradio's own, so that the studio's page, which has no use for them, does not carry them.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import FileData
from gradio.events import api
from gradio.utils import get_upload_folder, is_in_or_equal
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import BadInput, JobCancelled, StudioError
from pipelines.core.job import Result, Step
from pipelines.core.params import Params
from pipelines.core.tools import Tool
from pipelines.jobs.queue import JobRow
from pipelines.service.orders import StudioService
from ui.api.auth.access import Access
from ui.api.blocking_jobs import ended, followed, ordered
from ui.api.errors import restore
from ui.api.routes.jobs import job_object
from ui.components.pictures import NamedFile, publish_file, read_upload

CLIENTS_PAGE = "clients"
"""The address of the page that they lie on; there is nothing to see there."""
_SINGLE_PICTURE_KINDS = ("picture", "mask")


def add_tool_events(page: gr.Blocks, service: StudioService, access: Access) -> None:
    """One public event a tool, under the tool's id."""
    with page.route("Clients", CLIENTS_PAGE, show_in_navbar=False):
        for row in service.tools:
            api(
                _make_event(row, service, access), api_name=row.id, api_description=_describe_tool(row), concurrency_limit=None,
                api_visibility="public",
            )  # fmt: skip


def _describe_tool(row: Tool) -> str:
    return f"{row.title}. {row.summary} Returns the files and the job with its receipt. Pictures: handle_file, or ids."


def _make_event(row: Tool, service: StudioService, access: Access) -> Any:
    """The event: parameters as the form has them, then what it yields while it runs and at its end."""
    names = list(row.params.model_fields)

    async def event(*given: Any) -> AsyncIterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
        *values, request = given
        calls = ToolCall(service, access)
        try:
            async for told in calls.run(row, dict(zip(names, values, strict=True)), request):
                yield told
        except StudioError as error:
            where = f" ({error.param})" if error.param else ""
            raise gr.Error(f"{error.code}{where}: {error.message}", print_exception=False) from None

    parameters = [_make_parameter(row.params, name) for name in names]
    # With a default of its own, since fields with one may stand before it.
    asked = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=gr.Request)
    signature = inspect.Signature([*parameters, asked], return_annotation=tuple[list[FileData], dict[str, Any]])
    event.__signature__ = signature  # pyright: ignore[reportFunctionMemberAccess]
    event.__annotations__ = {each.name: each.annotation for each in (*parameters, asked)}
    event.__name__ = row.id
    return event


def _make_parameter(params: type[Params], name: str) -> inspect.Parameter:
    field, kind = params.model_fields[name], params.kind_of(name)
    annotation: Any = field.annotation
    if kind in _SINGLE_PICTURE_KINDS:
        annotation = FileData | str if field.is_required() else FileData | str | None
    elif kind == "pictures":
        annotation = list[FileData | str]
    default: Any = inspect.Parameter.empty if field.is_required() else field.default
    return inspect.Parameter(
        name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation,
        default=list(default) if isinstance(default, tuple) else default,
    )  # fmt: skip


class ToolCall:
    """One call of one event, by whoever may."""

    def __init__(self, service: StudioService, access: Access) -> None:
        self._service = service
        self._access = access

    async def run(
        self, row: Tool, values: dict[str, Any], request: gr.Request
    ) -> AsyncIterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
        """Where the job stands, whenever that changes; its files at the end. A client that cancels stops its job."""
        owner = self._access.client(request)
        taken = await run_in_threadpool(self._ingest_pictures, row.params, values, owner)
        job = await ordered(row.id, taken, self._service, owner)
        try:
            async with followed(self._service, job) as stream:
                async for event in stream:
                    if isinstance(event, Step):
                        yield [], {"id": job.id, "status": "running", "stage": event.stage,
                                   "index": event.index, "total": event.total}  # fmt: skip
                    elif isinstance(event, Result):
                        break
        except JobCancelled:
            raise BadInput("The job was cancelled.") from None
        done = await ended(self._service, job)
        if done.error is not None:
            raise restore(done.error)
        yield await run_in_threadpool(self._publish_files, done), job_object(done)

    def _ingest_pictures(self, params: type[Params], values: Mapping[str, Any], owner: str) -> dict[str, Any]:
        """The values with each uploaded picture as its file id."""
        taken = dict(values)
        for name in params.fields_of_kind("picture", "mask"):
            taken[name] = self._to_file_id(values[name], name, owner)
        for name in params.fields_of_kind("pictures"):
            taken[name] = [self._to_file_id(each, name, owner) for each in values[name] or ()]
        return taken

    def _to_file_id(self, value: Any, name: str, owner: str) -> Any:
        """An upload is read, judged and deleted; whatever else it may be is for the form to judge."""
        if not isinstance(value, Mapping):
            return value
        path = value.get("path")
        if not isinstance(path, str) or not is_in_or_equal(path, get_upload_folder()) or not Path(path).is_file():
            raise BadInput(f"'{name}' takes a file that was uploaded, or a file id.", param=name)
        return self._service.uploads.ingest_picture(read_upload(path), owner)[0]

    def _publish_files(self, row: JobRow) -> list[dict[str, Any]]:
        """The results where Gradio may serve them, byte for byte."""
        assert row.result is not None
        infos = [self._service.files.get_info(file.id, row.job.owner) for file in row.result.files]
        named = [NamedFile(self._service.files.local_path(info.id), info.download_name) for info in infos]
        paths = [publish_file(each, get_upload_folder()) for each in named]
        return [
            {"path": path, "orig_name": each.name, "meta": {"_type": "gradio.FileData"}}
            for path, each in zip(paths, named, strict=True)
        ]
