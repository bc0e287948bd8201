"""Every argument of every tool by `gradio_client` and by MCP's client, streamed and not, with a quick drawing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio_client
import numpy as np
import pytest
from gradio_client.client import Endpoint

from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.settings import Settings
from pipelines.tools import TOOLS
from tests.api.support.calls import make_data_url, make_noise_png
from tests.api.test_mcp import connect
from tests.support.served_app import ServedApp, serve_page

# Gradio leaves event loops and their sockets to the collector.
pytestmark = pytest.mark.filterwarnings("ignore")
KEPT_NAMES = ("brand", "look", "character")
"""Arguments that name something the caller saved; empty where nothing was."""
NOT_IN_RECEIPT = {"consent", "look", "seed"}
"""Arguments that a receipt tells elsewhere or not at all."""
PICTURE = "a picture"
"""Stands for the picture, which each client sends in a way of its own."""


def _draw_blank(params: Params, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    for n in range(2):
        emit("Drawing", n + 1, 2)
    return ToolOutput(images=(np.zeros((32, 32, 3), np.uint8),))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    root = tmp_path_factory.mktemp("clients")
    with serve_page(root, Settings(data=root), [replace(row, run=_draw_blank) for row in TOOLS]) as (
        _,
        served,
        _access,
    ):
        yield served


def fill_form(tool: Tool, schema: dict[str, Any], last: bool) -> dict[str, Any]:
    """A value for every argument: the first that its schema allows, or the last."""
    values: dict[str, Any] = {}
    for name, row in schema["properties"].items():
        kind = tool.params.kind_of(name)
        row = {**row.get("anyOf", [{}])[0], **row}
        if kind in ("picture", "mask", "pictures"):
            values[name] = [PICTURE] if kind == "pictures" else PICTURE
        elif name == "consent":
            values[name] = True
        elif name in KEPT_NAMES:
            values[name] = ""
        elif kind == "colour":
            values[name] = "#336699"
        elif name == "box":
            values[name] = [0.1, 0.2, 0.9, 0.8]
        elif "enum" in row:
            values[name] = row["enum"][-1 if last else 0]
        elif row["type"] == "boolean":
            values[name] = last
        elif row["type"] in ("integer", "number"):
            values[name] = row.get("maximum" if last else "minimum", row.get("default", 1))
        else:
            values[name] = row.get("default", "")
    return values


def put_picture(values: dict[str, Any], picture: Any) -> dict[str, Any]:
    """The same values, with the picture as a client sends it."""
    ways = {PICTURE: picture, str([PICTURE]): [picture]}
    return {name: ways.get(str(value), value) for name, value in values.items()}


async def list_schemas(client: Any) -> dict[str, dict[str, Any]]:
    listed = (await client.list_tools()).model_dump(mode="json", by_alias=True)["tools"]
    return {row["name"]: row["inputSchema"] for row in listed}


@pytest.mark.parametrize(("streamed", "last"), [(False, False), (True, True)], ids=["whole, first", "streamed, last"])
def test_mcp_takes_every_argument_of_every_tool(page: ServedApp, streamed: bool, last: bool) -> None:
    steps: list[str] = []

    async def note_step(done: float, total: float | None, message: str | None) -> None:
        steps.append(str(message))

    async def call_all() -> dict[str, Any]:
        refused: dict[str, Any] = {}
        async with connect(f"{page.url}/mcp", "", "legacy") as client:
            for name, schema in (await list_schemas(client)).items():
                tool = next((row for row in TOOLS if row.id == name), None)
                if tool is None:
                    continue
                values = put_picture(fill_form(tool, schema, last), make_data_url(make_noise_png()))
                options = {"progress_callback": note_step} if streamed else {}
                answer = (await client.call_tool(name, values, **options)).model_dump(mode="json", by_alias=True)
                if answer["isError"]:
                    refused[name] = answer["content"]
                elif unread := set(values) - NOT_IN_RECEIPT - set(answer["structuredContent"]["receipt"]["params"]):
                    refused[name] = unread
        return refused

    assert asyncio.run(call_all()) == {}
    assert bool(steps) == streamed


@pytest.fixture(scope="module")
def schemas(page: ServedApp) -> dict[str, dict[str, Any]]:
    async def ask() -> dict[str, dict[str, Any]]:
        async with connect(f"{page.url}/mcp", "", "legacy") as client:
            return await list_schemas(client)

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def client(page: ServedApp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[gradio_client.Client]:
    """It looks for each input of each event among all parts of the page, which takes two seconds: here once a part."""
    folder = str(tmp_path_factory.mktemp("downloads"))
    kinds: dict[int, Any] = {}

    def find_once(endpoint: Endpoint, part: int, find: Any = Endpoint._get_component_type) -> Any:
        if part not in kinds:
            kinds[part] = find(endpoint, part)
        return kinds[part]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Endpoint, "_get_component_type", find_once)
        made = gradio_client.Client(page.url, verbose=False, download_files=folder, analytics_enabled=False)
    yield made
    made.close()


@pytest.mark.parametrize(("streamed", "last"), [(False, False), (True, True)], ids=["whole, first", "streamed, last"])
def test_gradio_client_takes_every_argument_of_every_tool(
    client: gradio_client.Client, schemas: dict[str, dict[str, Any]], tmp_path: Path, streamed: bool, last: bool
) -> None:
    (tmp_path / "a.png").write_bytes(make_noise_png())
    steps = 0
    listed: Any = client.view_api(return_format="dict", print_info=False)
    endpoints = listed["named_endpoints"]
    for tool in TOOLS:
        endpoint = endpoints[f"/{tool.id}"]
        values = put_picture(
            fill_form(tool, schemas[tool.id], last), gradio_client.handle_file(str(tmp_path / "a.png"))
        )
        rows = {row["parameter_name"]: row for row in endpoint["parameters"]}
        assert set(values) <= set(rows)
        values |= {name: rows[name]["parameter_default"] for name in set(rows) - set(values)}  # need a model
        job = client.submit(**values, api_name=f"/{tool.id}")
        told = [update for _, update in job] if streamed else [job.result(timeout=60)[1]]
        assert told, f"{tool.id}: {job.exception()}"
        assert told[-1]["status"] == "done"
        steps += len([row for row in told if row["status"] == "running"])
    assert bool(steps) == streamed
