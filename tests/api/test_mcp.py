"""The MCP door, asked by the protocol's own client, of `mcp` 1.x or 2.x, over streamable HTTP."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import c2pa
import httpx
import mcp
import mcp.client.streamable_http
import PIL.Image
import pytest

from pipelines.core.errors import BadInput, ModelUnavailable, PolicyRefusal
from pipelines.models.registry import list_all_specs
from pipelines.settings import Settings
from pipelines.tools import TOOLS
from pipelines.tools.shared.form_fields import CONSENT_HELP, OPTIONAL_CONSENT_HELP
from tests.api.support.calls import FOREVER, make_data_url, make_noise_png, read_failure
from tests.support.examples import make_noise
from tests.support.served_app import ServedApp, serve_app, wait_until
from ui.api.field_hints import RETURNS, advise_agent, describe_use
from ui.api.receipt_summary import summarise_receipt
from ui.api.routes.mcp import INSTRUCTIONS

T = TypeVar("T")
IS_MCP_2 = hasattr(mcp, "Client")
MODES = ("legacy", "auto") if IS_MCP_2 else ("legacy",)
"""Ways to connect: with a handshake, and since the protocol of 2026 without one."""
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    root = tmp_path_factory.mktemp("keyed")
    with serve_app(root, settings=Settings(data=root, require_key=True)) as built:
        yield built


@asynccontextmanager
async def connect(url: str, key: str, mode: str) -> AsyncIterator[Any]:
    """A client at `url`; both of its kinds have `list_tools` and `call_tool`."""
    import httpx2

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with (httpx2 if IS_MCP_2 else httpx).AsyncClient(headers=headers, timeout=30) as http:
        transport: Any = mcp.client.streamable_http.streamable_http_client(url, http_client=http)  # pyrefly: ignore[bad-argument-type]
        if mode == "auto":
            async with mcp.Client(transport) as client:
                yield client
        else:
            async with transport as (read, write, *_), mcp.ClientSession(read, write) as client:
                await client.initialize()
                yield client


def asked(house: ServedApp, work: Callable[[Any], Awaitable[T]], key: str = "", mode: str = MODES[-1]) -> T:
    """What `work` returns, with a client at the studio's `/mcp`."""

    async def whole() -> T:
        async with connect(f"{house.url}/mcp", key, mode) as client:
            return await work(client)

    return asyncio.run(whole())


def run(house: ServedApp, name: str, values: dict[str, Any], key: str = "", mode: str = MODES[-1]) -> dict[str, Any]:
    """The answer of a tool, as the JSON of the protocol."""
    answer = asked(house, lambda client: client.call_tool(name, values), key, mode)
    return answer.model_dump(mode="json", by_alias=True)


def words(answer: dict[str, Any]) -> str:
    return "\n".join(row["text"] for row in answer["content"] if row["type"] == "text")


@pytest.mark.parametrize("mode", MODES)
def test_tools_are_listed_with_what_each_field_takes(studio: ServedApp, mode: str) -> None:
    listed = asked(studio, lambda client: client.list_tools(), mode=mode)
    rows = {row["name"]: row for row in listed.model_dump(mode="json", by_alias=True)["tools"]}
    assert set(rows) == {"background", "list_pictures", "upload_picture", "show_picture"}
    fields = rows["background"]["inputSchema"]["properties"]
    assert fields["ratio"]["enum"] == ["photo", "1:1", "3:2"]
    assert (fields["size"]["minimum"], fields["size"]["maximum"], fields["size"]["default"]) == (32, 512, 64)
    assert "data URL" in fields["photo"]["description"]
    assert rows["background"]["outputSchema"]["type"] == "object"
    assert rows["show_picture"]["annotations"]["readOnlyHint"]


@pytest.mark.parametrize("mode", MODES)
def test_a_call_answers_with_the_picture_and_the_job(studio: ServedApp, mode: str) -> None:
    values = {"prompt": "a forest", "photo": make_data_url(make_noise_png()), "size": 128}
    answer = run(studio, "background", values, mode=mode)
    assert not answer["isError"]
    (picture,) = [row for row in answer["content"] if row["type"] == "image"]
    with PIL.Image.open(io.BytesIO(base64.b64decode(picture["data"]))) as opened:
        assert opened.size == (128, 128)
    job = answer["structuredContent"]
    assert (job["status"], job["receipt"]["params"]["prompt"]) == ("done", "a forest")
    (link,) = [row for row in answer["content"] if row["type"] == "resource_link"]
    assert httpx.get(link["uri"]).headers["content-type"] == "image/png"


def test_a_picture_that_an_agent_is_shown_is_signed_and_names_the_file_it_was_made_from(studio: ServedApp) -> None:
    answer = run(studio, "background", {"prompt": "a forest", "size": 64})
    made = answer["structuredContent"]["files"][0]["id"]
    for shown in (answer, run(studio, "show_picture", {"file_id": made})):
        (data,) = (base64.b64decode(row["data"]) for row in shown["content"] if row["type"] == "image")
        found = studio.service.uploads.verify_picture(data)
        assert (found.status, found.actions) == ("ours", ("c2pa.opened", "c2pa.edited"))
        with c2pa.Reader("image/jpeg", io.BytesIO(data)) as reader:
            (parent,) = (reader.get_active_manifest() or {})["ingredients"]
        assert parent["active_manifest"]
    upload = studio.service.files.add_image(make_noise(40, 40, seed=5), "local", "upload")
    assert b"c2pa" not in base64.b64decode(run(studio, "show_picture", {"file_id": upload})["content"][0]["data"])


def test_consent_is_told_in_the_same_words_everywhere(studio: ServedApp) -> None:
    told = {row.params.model_fields["consent"].description for row in TOOLS}
    assert told == {CONSENT_HELP, OPTIONAL_CONSENT_HELP}, "in the form of every tool"
    skill = httpx.get(f"{studio.url}/skill.md").text
    for sentence in (CONSENT_HELP, OPTIONAL_CONSENT_HELP):
        assert sentence in INSTRUCTIONS
        assert sentence in skill


def test_a_preview_is_called_so_and_the_file_is_named_with_its_size_and_address(studio: ServedApp) -> None:
    answer = run(studio, "background", {"prompt": "a forest", "size": 512, "photo": make_data_url(make_noise_png())})
    (file,) = answer["structuredContent"]["files"]
    address = f"{studio.url}/v1/files/{file['id']}/content"
    for told in (answer, run(studio, "show_picture", {"file_id": file["id"]})):
        assert "previews of at most 1024 px, not the result" in words(told)
        assert f"{file['width']} x {file['height']} px" in words(told)
        assert f"{address}\nTo save one: curl -o NAME ADDRESS" in words(told)
        assert [row["uri"] for row in told["content"] if row["type"] == "resource_link"] == [address]

    async def read(client: Any) -> Any:
        return (await client.read_resource(address)).contents[0]

    assert base64.b64decode(asked(studio, read).blob) == httpx.get(address).content


def test_the_receipt_is_told_in_words_where_a_picture_is_made_and_where_it_is_shown(studio: ServedApp) -> None:
    answer = run(studio, "background", {"prompt": "a forest", "size": 64})
    made = answer["structuredContent"]["files"][0]["id"]
    for told in (words(answer), words(run(studio, "show_picture", {"file_id": made}))):
        assert "Receipt:\n- Made by: background" in told
        assert "- Models: " in told
        assert "- Marked in the file as algorithmicMedia: drawn by rules, no model drew" in told
        assert "- Commercial use: " in told
    assert " s\n- Models" in words(answer)
    upload = studio.service.files.add_image(make_noise(40, 40, seed=6), "local", "upload")
    assert "Receipt" not in words(run(studio, "show_picture", {"file_id": upload}))


def test_notices_are_lines_of_their_own_and_none_is_said(studio: ServedApp, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Notices" not in words(run(studio, "background", {"prompt": "a forest", "size": 64}))
    monkeypatch.setattr("ui.api.routes.mcp.api_notices", lambda row: ["The rule is kept.", "Look at the edge."])
    told = words(run(studio, "background", {"prompt": "a forest", "size": 64}))
    assert "\nNotices:\n- The rule is kept.\n- Look at the edge.\nReceipt:" in told


def test_every_tool_says_what_it_needs_and_what_it_answers_with() -> None:
    assert {row.id for row in TOOLS} == set(RETURNS)
    for row in TOOLS:
        schema = row.params.model_json_schema()
        needs, returns = describe_use(row, schema).splitlines()
        assert all(f"`{name}`" in needs for name in schema.get("required", ()))
        assert ("`consent`" in needs) == (row.person and "consent" in schema["properties"])
        assert all(name in schema["properties"] for name in re.findall("`([a-z_]+)`", returns)), row.id


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ({"photo": "file-" + "0" * 40}, "Give an id that `list_pictures` names, or send the picture"),
        ({"photo": "https://example.com/a.png"}, "Give an id that `list_pictures` names, or send the picture"),
        ({"sepia": 3}, "Its fields: prompt, "),
    ],
)
def test_a_refusal_says_which_argument_to_change_and_how(
    studio: ServedApp, values: dict[str, Any], advice: str
) -> None:
    answer = run(studio, "background", values)
    assert answer["isError"]
    assert advice in words(answer)


def test_a_refusal_for_consent_or_a_model_names_the_argument() -> None:
    schema = {"properties": {"photo": {"description": "File id or data URL."}, "prompt": {}}}
    refused = PolicyRefusal("Please confirm.", code="consent_required", param="consent")
    assert "`consent`: true" in advise_agent(refused, schema)
    assert advise_agent(ModelUnavailable("No model.", param="prompt"), schema).startswith("Leave `prompt` out")
    assert advise_agent(BadInput("Too small.", param="prompt"), schema) == ""


def test_a_receipt_names_licences_that_forbid_and_bound_commercial_use() -> None:
    receipt: dict[str, Any] = {"tool": "background", "params": {"preset": "night"}, "mode": "exact", "models": []}
    receipt |= {"seed": 7, "cutout_uncertainty": 0.9}
    told = summarise_receipt(receipt, "compositeCapture", 2.0)
    assert "- Made by: background, look night, 2.0 s\n- Models: none\n- Seed: 7 (" in told
    assert "Character" not in told
    assert "\n- Character: dbx1-x\n" in summarise_receipt({**receipt, "character": "dbx1-x"}, "")
    assert "no model drew" in told
    assert "Commercial use: allowed" in told
    assert "uncertainty 0.9 (doubtful above 0.2), it may be wrong" in told
    told = summarise_receipt({**receipt, "params": {"preset": "night", "prompt": "oak"}}, "", 2.0)
    assert "- Made by: background, 2.0 s" in told, "words take the place of the look"
    sure = {**receipt, "cutout_uncertainty": 0.1}
    assert "0.1 (doubtful above 0.2), no doubt" in summarise_receipt(sure, "")
    assert "0.1 (doubtful above 0.2), it may be wrong" in summarise_receipt({**sure, "cutout_doubts": ["Look."]}, "")
    cut = summarise_receipt({**receipt, "framing_doubts": ["The shape cuts it."], "fill_doubts": ["A fill."]}, "")
    assert "\n- Look at it: The shape cuts it.\n- Look at it: A fill." in cut
    specs = [
        next(row for row in list_all_specs() if row.licence_state == state) for state in ("capped", "not-commercial")
    ]
    models = [{"id": row.id, "licence": row.licence} for row in specs] + [{"id": "gone", "licence": "MIT"}]
    assets = [{"kind": "lora", "id": "own", "licence": "unknown"}]
    told = summarise_receipt({**receipt, "models": models, "assets": assets}, "")
    assert f"allows it up to {specs[0].revenue_cap}; not allowed by {specs[1].id}" in told
    assert "licence of gone is not known here; the licence of own is not known here" in told
    assert "Marked" not in told


def test_pictures_are_listed_with_name_tool_and_time_and_as_many_as_asked_for(keyed: ServedApp) -> None:
    key = keyed.keys.create_key("lister")
    owner = keyed.keys.verify_key(key)
    assert owner is not None
    made = run(keyed, "background", {}, key)["structuredContent"]["files"][0]["id"]
    for n in range(2):
        keyed.service.files.add_image(make_noise(40, 40, seed=n), owner.owner, "upload")
        keyed.service.files.add_jsonl(f"{n}".encode(), owner.owner, "batch")
    lines = words(run(keyed, "list_pictures", {"limit": 3}, key)).splitlines()
    assert len(lines) == 3, "files that are no pictures and examples do not count"
    (row,) = [line for line in lines if made in line]
    assert re.search(r": result, 64 x 64 px, \d+ kB, background-.*\.png, made by background, \d{4}-\d\d-\d\d", row)
    assert len(words(run(keyed, "list_pictures", {"limit": 2}, key)).splitlines()) == 2


def test_a_picture_that_is_sent_gets_an_id_for_further_calls(studio: ServedApp) -> None:
    sent = run(studio, "upload_picture", {"picture": make_data_url(make_noise_png())})
    file_id = sent["structuredContent"]["id"]
    assert words(sent).startswith(f"{file_id}: ")
    for value in (file_id, make_data_url(make_noise_png(seed=2))):
        answer = run(studio, "background", {"photo": value})
        used = answer["structuredContent"]["receipt"]["params"]["photo"]
        assert f"Your pictures, for further calls:\n- photo: {used}" in words(answer)
        assert (used == file_id) is (value == file_id)


def test_steps_are_told_while_it_runs(studio: ServedApp) -> None:
    told: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))

    asked(studio, lambda client: client.call_tool("background", {"num_inference_steps": 4}, progress_callback=note))
    assert "Drawing 4/4" in [message for _, message in told]
    assert [progress for progress, _ in told] == sorted(progress for progress, _ in told)


def test_a_picture_that_was_made_goes_into_the_next_call(studio: ServedApp) -> None:
    made = run(studio, "background", {"seed": 5})["structuredContent"]["files"][0]["id"]
    listed = run(studio, "list_pictures", {"limit": 5})
    assert made in words(listed)
    assert run(studio, "show_picture", {"file_id": made})["content"][0]["type"] == "image"
    again = run(studio, "background", {"photo": made})["structuredContent"]
    assert again["receipt"]["params"]["photo"] == made


@pytest.mark.parametrize(
    ("name", "values", "code"),
    [
        ("background", {"size": 9999}, "invalid_request (size)"),
        ("background", {"nonsense": 1}, "invalid_request"),
        ("background", {"prompt": "a\x00b"}, "invalid_request"),
        ("background", {"photo": "http://169.254.169.254/"}, "invalid_request (photo)"),
        ("background", {"photo": "file-nobodys"}, "invalid_request (photo)"),
        ("background", {"fault": "no_face"}, "no_face (photo)"),
        ("background", {"fault": "bug"}, "internal_error"),
        ("background", {"prompt": "a naked person"}, "content_policy"),
        ("show_picture", {"file_id": "../keys.sqlite3"}, "not_found"),
        ("list_pictures", {"limit": 0}, "invalid_request (limit)"),
        ("upload_picture", {}, "invalid_request (picture)"),
        ("upload_picture", {"picture": "http://169.254.169.254/"}, "invalid_request (picture)"),
        ("upload_picture", {"picture": "data:image/png;base64,AAAA"}, "unsupported_image (picture)"),
        ("nothing", {}, "not_found"),
    ],
)
def test_what_goes_wrong_is_told_with_its_code(studio: ServedApp, name: str, values: dict[str, Any], code: str) -> None:
    answer = run(studio, name, values)
    assert answer["isError"]
    assert words(answer).startswith(code)


def test_a_caller_that_leaves_stops_its_job(studio: ServedApp) -> None:
    studio.gate.pause = 0.05
    entered = studio.gate.entered

    async def leave(client: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "background", FOREVER)
            await anyio.to_thread.run_sync(wait_until, lambda: studio.gate.entered > entered, 30)
            tasks.cancel_scope.cancel()

    try:
        asked(studio, leave)
        wait_until(studio.is_idle, 30)
    finally:
        studio.gate.pause = 0.0
    with studio.open_client() as client:
        assert client.get("/v1/jobs?limit=1").json()["data"][0]["status"] == "cancelled"


# ---------------------------------------------------------------- behind the same locks


def test_without_a_key_nothing_is_said(keyed: ServedApp) -> None:
    for headers in ({}, {"Authorization": "Bearer sk-dbx-nope"}, {"Cookie": f"key={keyed.keys.create_key('me')}"}):
        answer = httpx.post(f"{keyed.url}/mcp", json=PING, headers={**ACCEPT, **headers})
        assert read_failure(answer)[:2] == (401, "invalid_api_key")


def test_pages_of_other_sites_cannot_use_an_open_studio(studio: ServedApp) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert httpx.post(f"{studio.url}/mcp", json=PING, headers={**ACCEPT, **headers}).status_code == 401


def test_each_key_sees_its_own_pictures_and_is_counted(keyed: ServedApp) -> None:
    ann, bob = keyed.keys.create_key("ann"), keyed.keys.create_key("bob")
    made = run(keyed, "background", {}, ann)["structuredContent"]["files"][0]["id"]
    assert made in words(run(keyed, "list_pictures", {}, ann))
    assert made not in words(run(keyed, "list_pictures", {}, bob))
    assert words(run(keyed, "show_picture", {"file_id": made}, bob)).startswith("not_found")
    assert words(run(keyed, "background", {"photo": made}, bob)).startswith("invalid_request (photo)")
    known = keyed.keys.verify_key(ann)
    assert known is not None
    assert [(row.tool, row.pictures) for row in keyed.keys.list_key_usage(known.id)] == [("background", 1)]


def test_a_key_that_only_looks_lists_and_makes_nothing(keyed: ServedApp) -> None:
    key = keyed.keys.create_key("reader", ("read",))
    assert not run(keyed, "list_pictures", {}, key)["isError"]
    assert words(run(keyed, "background", {}, key)).startswith("permission_denied")
    picture = {"picture": make_data_url(make_noise_png())}
    assert words(run(keyed, "upload_picture", picture, key)).startswith("permission_denied")


BODIES = {
    "NaN": b'{"jsonrpc":"2.0","id":NaN,"method":"ping"}',
    "half a character": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\\ud800"}}',
    "NUL": b'{"jsonrpc":"2.0","id":1,"method":"a\\u0000"}',
    "deep": b'{"jsonrpc":"2.0","id":1,"method":' + b"[" * 100_000,
    "huge": b'{"jsonrpc":"2.0","id":' + b"9" * 9000 + b',"method":"ping"}',
    "nothing": b"",
    "list": json.dumps([PING]).encode(),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("version", ["", "2025-06-18", "2026-07-28", "tomorrow"])
def test_a_monstrous_body_is_no_failure_of_the_server(studio: ServedApp, body: bytes, version: str) -> None:
    headers = {**ACCEPT, "Content-Type": "application/json", **({"MCP-Protocol-Version": version} if version else {})}
    assert httpx.post(f"{studio.url}/mcp", content=body, headers=headers, timeout=20).status_code < 500


def test_an_unknown_method_is_an_error_of_the_protocol(studio: ServedApp) -> None:
    async def read(client: Any) -> str:
        with pytest.raises(Exception) as failed:  # noqa: PT011  its class has another name in each version
            await client.read_resource("file:///etc/passwd")
        return str(failed.value)

    assert "not found" in asked(studio, read)


# ---------------------------------------------------------------- prompts, resources, pages for agents


@pytest.mark.parametrize("mode", MODES)
def test_a_workflow_is_a_prompt_that_is_filled(studio: ServedApp, mode: str) -> None:
    async def read(client: Any) -> tuple[list[str], str]:
        listed = await client.list_prompts()
        filled = await client.get_prompt("replace_background", {"words": "a quiet harbour"})
        return [row.name for row in listed.prompts], filled.messages[0].content.text

    names, text = asked(studio, read, mode=mode)
    assert names == ["replace_background"], "the others need tools that this studio has not"
    assert "prompt='a quiet harbour'" in text
    assert "{" not in text


@pytest.mark.parametrize(("name", "values"), [("nothing", {}), ("replace_background", {})])
def test_a_prompt_that_cannot_be_filled_is_an_error_of_the_protocol(
    studio: ServedApp, name: str, values: dict[str, str]
) -> None:
    async def read(client: Any) -> str:
        with pytest.raises(Exception) as failed:  # noqa: PT011  its class has another name in each version
            await client.get_prompt(name, values)
        return str(failed.value)

    assert ("no such prompt" if name == "nothing" else "'words' is missing") in asked(studio, read)


def test_pictures_are_resources_of_their_owner(keyed: ServedApp) -> None:
    ann, bob = keyed.keys.create_key("ann"), keyed.keys.create_key("bob")
    made = run(keyed, "background", {}, ann)["structuredContent"]["files"][0]["id"]

    async def read(client: Any) -> tuple[list[str], Any]:
        rows = (await client.list_resources()).resources
        return [str(row.uri) for row in rows], (await client.read_resource(f"designerbox://files/{made}")).contents[0]

    uris, content = asked(keyed, read, ann)
    assert uris == ["designerbox://skill", f"designerbox://files/{made}"]
    with PIL.Image.open(io.BytesIO(base64.b64decode(content.blob))) as opened:
        assert opened.format == "PNG"

    async def steal(client: Any) -> tuple[int, str]:
        with pytest.raises(Exception) as failed:  # noqa: PT011  its class has another name in each version
            await client.read_resource(f"designerbox://files/{made}")
        return len((await client.list_resources()).resources), str(failed.value)

    count, refusal = asked(keyed, steal, bob)
    assert count == 1
    assert "not found" in refusal


@pytest.mark.parametrize("mode", MODES)
def test_a_resource_may_be_larger_than_an_event_of_a_stream(studio: ServedApp, mode: str) -> None:
    large = studio.service.files.add_image(make_noise(760, 760, seed=8), "local", "upload")
    assert studio.service.files.get_info(large).bytes > 1 << 20

    async def read(client: Any) -> Any:
        return (await client.read_resource(f"designerbox://files/{large}")).contents[0]

    assert base64.b64decode(asked(studio, read, mode=mode).blob) == studio.service.files.read_bytes(large)


def test_agents_find_the_tools_and_the_way_in_two_pages(studio: ServedApp) -> None:
    listing, skill = (httpx.get(f"{studio.url}{path}") for path in ("/llms.txt", "/skill.md"))
    for page in (listing, skill):
        assert page.headers["content-type"] == "text/markdown; charset=utf-8"
        assert f"{studio.url}/mcp" in page.text
        assert "consent: true" in page.text
    assert listing.text.startswith("# DesignerBox\n\n> ")
    assert "`background`" in listing.text
    assert skill.text.startswith("---\nname: designerbox\ndescription: ")
    assert httpx.post(f"{studio.url}/llms.txt").status_code == 405


def test_a_browser_is_told_what_this_address_is_for(keyed: ServedApp) -> None:
    page = httpx.get(f"{keyed.url}/mcp", headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.status_code == 200
    assert "This address is for agents" in page.text
