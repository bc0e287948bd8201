"""Copied code: it says no more than it must, nothing in it is code that a visitor wrote, and all of it runs."""

from __future__ import annotations

import ast
import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.core.errors import BadInput
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.settings import Settings
from pipelines.tools import TOOLS, find_tool
from tests.api.support.endpoint_names import summarize_endpoints
from tests.support.served_app import ServedApp, serve_page
from tests.support.snippet_runner import make_quick_tools, read_finished_params, run_snippet
from ui.api.auth.access import AccessControl, ConnectionInfo
from ui.api.documentation.code_snippets import (
    SNIPPET_LANGUAGES,
    LocalFile,
    SnippetRequest,
    find_snippet_language,
    make_snippet_request,
    write_curl,
)
from ui.api_tab.page import write_samples

EVIL = "'; rm -rf ~; $(id) `id` ${id} \" \\ \n </script> @x <y ;type=z é 😀 \u2028"
HERE = ConnectionInfo("http://here")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # Gradio leaves sockets to the collector
VALUES: dict[str, Any] = {
    "photo": "file-1",
    "preset": "park",
    "background": "it's & <b>",
    "seed": 7,
    "consent": True,
    "size": 1024,
}


def own(_: str) -> bool:
    return False


def what(tool_id: str, **values: Any) -> SnippetRequest:
    return make_snippet_request(find_tool(tool_id), values, own)


# ---------------------------------------------------------------- what it says


def test_code_makes_the_same_picture_and_says_no_more_than_it_must() -> None:
    parts = shlex.split(write_curl(what("headshot", **VALUES, matte=None), HERE))
    assert parts[:2] == ["curl", "http://here/v1/tools/headshot"]
    fields = {part for part in parts if "=" in part}
    assert fields == {"photo=@photo.png", "preset=park", "background=it's & <b>", "seed=7", "consent=true"}


def test_code_names_each_of_several_pictures_and_the_studio_s_own_by_their_ids() -> None:
    parts = shlex.split(write_curl(what("business", photos=("file-1", "file-2")), HERE))
    assert [part for part in parts if "=" in part] == ["photos=@photos-1.png", "photos=@photos-2.png"]
    mixed = make_snippet_request(
        find_tool("business"), {"photos": ["file-1", "file-2"]}, lambda file_id: file_id == "file-1"
    )
    assert mixed.values["photos"] == ["file-1", LocalFile("photos-2.png")]


@pytest.mark.parametrize("row", SNIPPET_LANGUAGES, ids=lambda row: row.id)
def test_code_names_the_key_where_one_is_needed_and_shows_none(row: Any) -> None:
    wanted = what("headshot", **VALUES)
    assert "DESIGNERBOX_KEY" not in row.write(wanted, HERE)
    text = row.write(wanted, ConnectionInfo("http://here", True, "key"))
    assert "DESIGNERBOX_KEY" in text
    assert "sk-dbx-" not in text


def test_the_page_s_client_logs_in_where_the_page_asks_for_it() -> None:
    assert "DESIGNERBOX_LOGIN" in find_snippet_language("gradio").write(
        what("headshot"), ConnectionInfo("http://here", True, "login")
    )


@pytest.mark.parametrize("row", SNIPPET_LANGUAGES, ids=lambda row: row.id)
def test_a_visitor_s_words_are_one_text_in_every_language(row: Any) -> None:
    text = row.write(what("background", prompt=EVIL), HERE)
    if row.highlight == "python":
        texts = [n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        assert EVIL in texts
    elif row.highlight == "shell":
        assert f"prompt={EVIL}" in shlex.split(text)
    else:
        assert f'form.append("prompt", {json.dumps(EVIL, ensure_ascii=False)});' in text


# ---------------------------------------------------------------- all of it runs


@pytest.fixture(scope="module")
def whole_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ServedApp, AccessControl]]:
    root = tmp_path_factory.mktemp("whole")
    with serve_page(root, Settings(data=root), make_quick_tools([row.id for row in TOOLS])) as page:
        yield page


@pytest.fixture(scope="module")
def closed_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ServedApp, AccessControl]]:
    root = tmp_path_factory.mktemp("closed")
    tools = [replace(row, run=_refused) if row.id == "style" else row for row in make_quick_tools()]
    with serve_page(root, Settings(data=root, host="0.0.0.0", require_key=True), tools) as page:
        yield page


def _refused(params: Params, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    emit("Drawing", 1, 2)
    raise BadInput("The photo shows nothing that could be drawn.")


CASES = {
    "nothing at all": ("background", {}),
    "a photo": ("headshot", VALUES),
    "words alone": ("background", {"prompt": "a forest; type=none, it's 5 > 4", "seed": 3}),
    "several photos": ("business", {"photos": ("file-1", "file-2"), "consent": True}),
    "a photo and a second picture": ("style", {"photo": "file-1", "reference": "file-2"}),
}


def run_together(row: Any, texts: Sequence[str], folder: Path, key: str = "", *, fails: bool = False) -> str:
    """What all this code prints; one program where the language lets one follow another, as most of it is imports."""
    texts = list(texts)
    if row.id == "gradio":  # it asks for every tool's form when it is made: once for each studio is enough
        clients: list[str] = []
        for n, text in enumerate(texts):
            client = next(line for line in text.splitlines() if line.startswith("client = "))
            texts[n] = text.replace(f"{client}\n", "") if client in clients[-1:] else text
            clients.append(client)
    if row.highlight == "javascript":  # each in a block of its own, since each declares the same constants
        lines = [text.splitlines() for text in texts]
        imports = {line: None for text in lines for line in text if line.startswith("import ")}
        bodies = ["\n".join(line for line in text if line not in imports) for text in lines]
        texts = [*imports, *(f"{{\n{body}\n}}" for body in bodies)]
    program = "\n".join(["set -e", *texts] if row.highlight == "shell" else texts)
    return run_snippet(row.highlight, program, folder, key, fails=fails)


def made(house: ServedApp, wanted: Sequence[SnippetRequest]) -> list[dict[str, Any]]:
    """The params of the newest jobs, as many as were wanted, in their order; all are done."""
    rows = house.service.jobs.list_jobs("local", len(wanted))[::-1]
    assert [(row.job.tool, row.status) for row in rows] == [(each.tool.id, "done") for each in wanted]
    return [row.result.receipt["params"] for row in rows if row.result is not None]


@pytest.mark.parametrize("row", SNIPPET_LANGUAGES, ids=lambda row: row.id)
def test_code_runs_as_it_stands_for_these_cases_for_every_tool_and_with_a_key_and_ends_with_the_studio_s_own_sentence(
    whole_page: Any, closed_page: Any, tmp_path: Path, row: Any
) -> None:
    """In one program for each language, since most of its time goes into imports; last comes what is refused.

    Gradio's client, whose calls are dear, draws with every tool and every argument in `tests/api/test_typed_clients.py`
    too: here with the tools that have most and least fields, and the one without a kind of file.
    """
    url, house, access = whole_page
    tools = [tool for tool in TOOLS if row.id != "gradio" or tool.id in ("headshot", "upscale", "motion")]
    wanted = [*(what(tool_id, **values) for tool_id, values in CASES.values()), *(most(tool) for tool in tools)]
    connection = access.describe_connection(url)
    closed_url, closed_house, closed_access = closed_page
    key, closed_connection = closed_house.keys.create_key("me"), closed_access.describe_connection(closed_url)
    known = closed_house.keys.verify_key(key)
    assert known is not None
    languages = [each.id for each in SNIPPET_LANGUAGES]
    sample = write_samples(find_tool("background"), closed_connection)[languages.index(row.id)]
    refused = row.write(what("style", photo="file-1", consent=True), closed_connection)
    code = [*(row.write(each, connection) for each in wanted), sample, refused]
    said = run_together(row, code, tmp_path, key, fails=True)

    assert "The photo shows nothing that could be drawn." in said, said[-2000:]
    assert not [word for word in ("KeyError", "NameError", "TypeError") if word in said]
    for n, (each, params) in enumerate(zip(wanted, made(house, wanted), strict=True)):
        kept = {name: value for name, value in each.values.items() if name not in dict(each.pictures)}
        assert kept or n < len(CASES), each.tool.id
        assert {name: params[name] for name in kept} == kept, (n, each.tool.id)
        assert all(params[name] for name, _ in each.pictures), (n, each.tool.id)
    assert read_finished_params(closed_house, "background", known.owner)["prompt"] == "forest in the morning"
    if row.id == "curl":
        assert said.count('"status":"done"') == len(wanted) + 1
    elif row.id in ("httpx", "javascript"):
        assert said.count("step Drawing") >= len(wanted) + 1
    assert row.id in ("curl", "gradio") or list(tmp_path.glob("file-*.png")) or (tmp_path / "picture-1.png").exists()
    if row.id in ("httpx", "javascript"):  # whose errors are in the code itself
        said = run_snippet(row.highlight, refused, tmp_path, "sk-dbx-nope", fails=True)
        assert "This studio needs an API key" in said


# ---------------------------------------------------------------- every tool


def most(row: Tool) -> SnippetRequest:
    """Every picture that the tool takes without a model; a size, seed, quality and kind of file not its defaults."""
    fields = row.params.model_fields
    values: dict[str, Any] = dict.fromkeys(row.params.fields_of_kind("pictures"), ("file-1", "file-2"))
    pictures = row.params.fields_of_kind("picture", "mask")
    values |= {name: f"file-{name}" for name in pictures if "x-needs" not in row.params.schema_extra(name)}
    values |= {name: value for name, value in (("consent", True), ("seed", 7), ("quality", 90)) if name in fields}
    values |= {"size": 512} if "size" in fields and row.params.kind_of("size") == "number" else {}
    return make_snippet_request(row, values | ({"format": "webp"} if "format" in fields else {}), own)


def test_every_tool_s_examples_in_the_documentation_are_answered_with_a_picture(whole_page: Any) -> None:
    """As they stand in `/v1/openapi.json`, over HTTP, with each tool's own form."""
    url, house, _ = whole_page
    with httpx.Client(base_url=url, timeout=60) as client:
        paths = client.get("/v1/openapi.json").json()["paths"]
        for tool_id in [row.id for row in TOOLS]:
            bodies = paths[f"/tools/{tool_id}"]["post"]["requestBody"]["content"]["application/json"]["examples"]
            assert set(bodies) == {"least", "whole"}
            for name, body in bodies.items():
                answer = client.post(f"/v1/tools/{tool_id}", json=body["value"])
                assert (answer.status_code, answer.json()["status"]) == (200, "done"), (tool_id, name, answer.text)
                file = client.get(answer.json()["files"][0]["url"])
                assert file.headers["content-type"].startswith("image/")
                params = read_finished_params(house, tool_id, "local")
                assert {key: params[key] for key in body["value"]} == body["value"], (tool_id, name)


# ---------------------------------------------------------------- names that others' programs were written with


def changed(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What a program written for `old` could not call any more, or would call otherwise."""
    found = []
    for tool_id, rows in old.items():
        here = new.get(tool_id, {})
        for name, kind in rows.items():
            now = here.get(name)
            same = set(kind) <= set(now) if isinstance(kind, list) and isinstance(now, list) else kind == now
            found += [] if same else [f"{tool_id}.{name}: {kind} -> {now}"]
        found += [f"{tool_id}.{name} must be given" for name in set(here) - set(rows) if str(here[name]).endswith("*")]
    return found


def test_gradio_s_clients_find_every_name_and_type_that_they_ever_had(whole_page: Any) -> None:
    """`tests/data/names.json` is what was promised: it may be added to, and nothing in it changes or goes."""
    info = httpx.get(f"{whole_page[0]}/gradio_api/info").json()
    assert info["unnamed_endpoints"] == {}
    here = summarize_endpoints(info)
    promised = json.loads((Path(__file__).parents[2] / "data" / "names.json").read_text("utf-8"))
    assert list(here) == [row.id for row in TOOLS]
    assert set(promised) <= set(here)
    assert changed(promised, here) == []
    for row in TOOLS:
        assert [name for name in here[row.id] if name != "->"] == list(row.params.model_fields), row.id
        required = {name for name, field in row.params.model_fields.items() if field.is_required()}
        assert {name for name, kind in here[row.id].items() if str(kind).endswith("*")} == required, row.id


def test_a_renamed_tool_parameter_choice_or_type_is_noticed() -> None:
    old = {"a": {"size": "integer", "preset": ["x", "y"], "photo": "file*", "->": ["files"]}}
    assert changed(old, old) == []
    assert changed(old, {"a": {**old["a"], "preset": ["x", "y", "z"], "new": "string"}}) == []
    for name, kind in (("size", "number"), ("preset", ["x", "z"]), ("photo", "file?"), ("->", ["object"]), ("n", "s*")):
        assert len(changed(old, {"a": {**old["a"], name: kind}})) == 1, name
    assert (
        len(changed(old, {"a": {("side" if name == "size" else name): kind for name, kind in old["a"].items()}})) == 1
    )
    assert len(changed(old, {"b": old["a"]})) == 4
