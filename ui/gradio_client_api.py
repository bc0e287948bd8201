"""API for `gradio_client`: one named, typed event for each tool, derived from its Params.

The events are on a second Gradio page, so that the main page does not have to load them.
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

from pipelines.core.errors import (
    BadInput,
    JobCancelled,
    PolicyRefusal,
    StudioError,
    error_from_json,
    name_listed_photo,
)
from pipelines.core.job import Result, Step
from pipelines.core.params import Params
from pipelines.core.tools import Tool
from pipelines.jobs.queue import JobRow
from pipelines.service.studio_service import StudioService
from ui.api.auth.access import AccessControl
from ui.api.blocking_jobs import fetch_ended_job, follow_or_cancel, make_blocking_job
from ui.api.job_object import make_job_object
from ui.components.pictures import NamedFile, publish_file, read_upload

CLIENTS_PAGE = "clients"
"""Path of the page with the events, which shows nothing."""
RETURNS_TEXT = "Returns the files and the job with its receipt. Pictures: handle_file, or ids."
_SINGLE_PICTURE_KINDS = ("picture", "mask")


def add_tool_events(page: gr.Blocks, service: StudioService, access: AccessControl) -> None:
    """Add a public event for each tool, named by the tool's id."""
    with page.route("Clients", CLIENTS_PAGE, show_in_navbar=False):
        for tool in service.tools:
            api(
                _make_event(tool, service, access),
                api_name=tool.id,
                api_description=f"{tool.title}. {tool.summary} {RETURNS_TEXT}",
                concurrency_limit=None,
                api_visibility="public",
            )


def _make_event(tool: Tool, service: StudioService, access: AccessControl) -> Any:
    """Make the event function of a tool, with the tool's fields as its parameters."""
    names = list(tool.params.model_fields)

    async def event(*arguments: Any) -> AsyncIterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
        *values, request = arguments
        call = ToolCall(service, access)
        try:
            async for update in call.run(tool, dict(zip(names, values, strict=True)), request):
                yield update
        except StudioError as error:
            field = f" ({error.param})" if error.param else ""
            raise gr.Error(f"{error.code}{field}: {error.message}", print_exception=False) from None

    parameters = [_make_parameter(tool.params, name) for name in names]
    # It needs a default because fields before it may have one.
    request_parameter = inspect.Parameter(
        "request", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=gr.Request
    )
    signature = inspect.Signature(
        [*parameters, request_parameter], return_annotation=tuple[list[FileData], dict[str, Any]]
    )
    event.__signature__ = signature  # pyrefly: ignore[missing-attribute]
    event.__annotations__ = {each.name: each.annotation for each in (*parameters, request_parameter)}
    event.__name__ = tool.id
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
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        annotation=annotation,
        default=list(default) if isinstance(default, tuple) else default,
    )


class ToolCall:
    """One call of an event."""

    def __init__(self, service: StudioService, access: AccessControl) -> None:
        self._service = service
        self._access = access

    async def run(
        self, tool: Tool, values: dict[str, Any], request: gr.Request
    ) -> AsyncIterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
        """Run the job; yield each step, then its files and the job. The job is cancelled if the client cancels."""
        owner = self._access.identify_gradio_client(request)
        params = await run_in_threadpool(self._ingest_pictures, tool.params, values, owner)
        job = await make_blocking_job(tool.id, params, self._service, owner)
        try:
            async with follow_or_cancel(self._service, job) as stream:
                async for event in stream:
                    if isinstance(event, Step):
                        place = {"stage": event.stage, "index": event.index, "total": event.total}
                        yield [], {"id": job.id, "status": "running", **place}
                    elif isinstance(event, Result):
                        break
        except JobCancelled:
            raise BadInput("The job was cancelled.") from None
        ended = await fetch_ended_job(self._service, job)
        if ended.error is not None:
            raise error_from_json(ended.error)
        yield await run_in_threadpool(self._publish_files, ended), make_job_object(ended)

    def _ingest_pictures(self, params: type[Params], values: Mapping[str, Any], owner: str) -> dict[str, Any]:
        """Replace each uploaded picture in `values` by its file id."""
        ingested = dict(values)
        ids: dict[str, str] = {}
        for name in params.fields_of_kind("picture", "mask"):
            ingested[name] = self._to_file_id(values[name], name, owner, ids)
        for name in params.fields_of_kind("pictures"):
            ingested[name] = []
            for number, each in enumerate(values[name] or (), 1):
                try:
                    ingested[name].append(self._to_file_id(each, name, owner, ids))
                except PolicyRefusal as error:
                    if len(values[name]) == 1:
                        raise
                    raise name_listed_photo(error, number, name) from error
        return ingested

    def _to_file_id(self, value: Any, name: str, owner: str, ids: dict[str, str]) -> Any:
        """Ingest an upload and return its file id. Other values are returned as they are, for Params to check.

        `ids`: file ids of this call by path. Gradio gives one path to equal files, and reading deletes it.
        """
        if not isinstance(value, Mapping):
            return value
        path = value.get("path")
        if isinstance(path, str) and path in ids:
            return ids[path]
        if not isinstance(path, str) or not is_in_or_equal(path, get_upload_folder()) or not Path(path).is_file():
            raise BadInput(f"'{name}' takes a file that was uploaded, or a file id.", param=name)
        ids[path] = self._service.uploads.ingest_picture(read_upload(path), owner, path)[0]
        return ids[path]

    def _publish_files(self, row: JobRow) -> list[dict[str, Any]]:
        """Publish the job's files in Gradio's folder, and return them as Gradio's file data."""
        assert row.result is not None
        infos = [self._service.files.get_info(file.id, row.job.owner) for file in row.result.files]
        named = [NamedFile(self._service.files.local_path(info.id), info.download_name) for info in infos]
        paths = [publish_file(each, get_upload_folder()) for each in named]
        return [
            {"path": path, "orig_name": each.name, "meta": {"_type": "gradio.FileData"}}
            for path, each in zip(paths, named, strict=True)
        ]
