"""Every interface through which a picture can be downloaded, each called as its clients call it.

A function takes a client and a form, and yields the files that came. A refusal raises `DownloadRefused` with the whole
answer, which must not hold a picture either.
"""

from __future__ import annotations

import base64
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import c2pa
import gradio_client
import httpx

from pipelines.codecs.encode import C2PA_MIME_TYPES, MIME_TYPES, STILL_FORMATS
from tests.support.examples import EXAMPLES
from tests.support.served_app import wait_until

FormValues = dict[str, Any]
C2PA_TYPE_BY_MIME = {MIME_TYPES[kind]: name for kind, name in C2PA_MIME_TYPES.items()}
"""What the library calls each type that a door names."""
BASE64_PICTURE_PREFIXES = ("/9j/", "iVBORw0KGgo", "UklGR", "AAAAIGZ0eXA")
"""How pictures and films begin in base64."""


def read_validation_state(data: bytes, mime: str, root: str = "") -> str:
    """Return the validation state that `c2pa-python` reads; `root` is a certificate that it trusts."""
    context = c2pa.Context.from_dict({"trust": {"trust_anchors": root}}) if root else None
    try:
        with c2pa.Reader(C2PA_TYPE_BY_MIME.get(mime, mime), io.BytesIO(data), context=context) as reader:
            return reader.get_validation_state() or ""
    except c2pa.C2paError:
        return "unreadable"


class DownloadRefused(Exception):
    """Nothing came; the text is all that was answered."""


@dataclass(frozen=True)
class DownloadedFile:
    """A file that left: bytes, MIME type, its id where the door says it, and whether it is a smaller copy."""

    data: bytes
    mime: str
    file_id: str = ""
    is_copy: bool = False


@dataclass(frozen=True)
class StudioClient:
    """Somebody before an open studio at `url`."""

    http: httpx.Client
    url: str

    def fetch_files(self, job: dict[str, Any]) -> Iterator[DownloadedFile]:
        """The files of a job, by their links."""
        for file in job["files"]:
            answer = self.http.get(file["url"])
            answer.raise_for_status()
            yield DownloadedFile(answer.content, answer.headers["content-type"], file["id"])


def _raise_if_refused(answer: httpx.Response) -> httpx.Response:
    if answer.status_code >= 400:
        raise DownloadRefused(answer.text)
    return answer


def download_by_rest(visitor: StudioClient, tool: str, values: FormValues) -> Iterator[DownloadedFile]:
    """`POST /v1/tools/{id}`, and what its answer links."""
    yield from visitor.fetch_files(_raise_if_refused(visitor.http.post(f"/v1/tools/{tool}", json=values)).json())


def download_from_stream(visitor: StudioClient, tool: str, values: FormValues) -> Iterator[DownloadedFile]:
    """The same with its steps; a step's preview is no file, but must not be there when nothing may leave."""
    text = _raise_if_refused(visitor.http.post(f"/v1/tools/{tool}?stream=true", json=values)).text
    told = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    if "event: error" in text:
        raise DownloadRefused(text)
    yield from visitor.fetch_files(told[-1])


def download_from_job(visitor: StudioClient, tool: str, values: FormValues) -> Iterator[DownloadedFile]:
    """Left in the background, looked after, listed, and its events asked for afterwards."""
    placed = _raise_if_refused(visitor.http.post(f"/v1/tools/{tool}?wait=false", json=values)).json()
    where = f"/v1/jobs/{placed['id']}"
    wait_until(lambda: visitor.http.get(where).json()["status"] not in ("queued", "running"), 60)
    found = visitor.http.get(where).json()
    if found["status"] != "done":
        raise DownloadRefused(visitor.http.get(where).text + visitor.http.get(f"{where}/events").text)
    yield from visitor.fetch_files(found)


def _to_openai_form(tool: str, values: FormValues) -> FormValues:
    """The same form in that API's words."""
    size = {"size": f"{values['size']}x{values['size']}"} if "size" in values else {}
    return {**values, "model": tool, **size}


def generate_by_images_api(visitor: StudioClient, tool: str, values: FormValues) -> Iterator[DownloadedFile]:
    """The images API with the picture inside, and as links."""
    for kind in STILL_FORMATS:
        body = {**_to_openai_form(tool, values), "output_format": kind}
        row = _raise_if_refused(visitor.http.post("/v1/images/generations", json=body)).json()["data"][0]
        yield DownloadedFile(base64.b64decode(row["b64_json"]), f"image/{kind}")
    body = {**_to_openai_form(tool, values), "response_format": "url"}
    link = _raise_if_refused(visitor.http.post("/v1/images/generations", json=body)).json()["data"][0]["url"]
    yield DownloadedFile(visitor.http.get(link).content, "image/png", link.split("/")[-2])


def edit_by_images_api(visitor: StudioClient, tool: str, values: FormValues) -> Iterator[DownloadedFile]:
    """The images API with a picture of the caller's own."""
    files = {"image": ("a.jpg", (EXAMPLES / "coffee.jpg").read_bytes(), "image/jpeg")}
    answer = visitor.http.post("/v1/images/edits", data=_to_openai_form(tool, values), files=files)
    yield DownloadedFile(base64.b64decode(_raise_if_refused(answer).json()["data"][0]["b64_json"]), "image/png")


def download_passport(visitor: StudioClient, tool: str, values: FormValues) -> Iterator[DownloadedFile]:
    """A character that is kept, and its passport."""
    made = _raise_if_refused(visitor.http.post("/v1/tools/character", json=values)).json()
    kept = _raise_if_refused(visitor.http.post("/v1/characters", json={"job": made["id"], "name": "Mira"})).json()
    told = _raise_if_refused(visitor.http.get(f"/v1/characters/{kept['id']}/passport")).json()
    yield DownloadedFile(base64.b64decode(told["picture"].partition(",")[2]), "image/png")


def stream_by_images_api(visitor: StudioClient, tool: str, values: FormValues) -> Iterator[DownloadedFile]:
    """The images API with partial pictures on the way."""
    body = {**_to_openai_form(tool, values), "stream": True, "partial_images": 2}
    text = _raise_if_refused(visitor.http.post("/v1/images/generations", json=body)).text
    told = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    done = [row for row in told if str(row.get("type")).endswith(".completed")]
    if not done:
        raise DownloadRefused(text)
    yield from (DownloadedFile(base64.b64decode(row["b64_json"]), "image/png") for row in done)


def download_from_batch(visitor: StudioClient, tool: str, values: FormValues) -> Iterator[DownloadedFile]:
    """`/v1/batches`: the output file's links."""
    line = {"custom_id": "a", "method": "POST", "url": f"/v1/tools/{tool}", "body": values}
    files = {"file": ("in.jsonl", json.dumps(line).encode())}
    sent = _raise_if_refused(visitor.http.post("/v1/files", files=files, data={"purpose": "batch"})).json()
    form = {"input_file_id": sent["id"], "endpoint": f"/v1/tools/{tool}", "completion_window": "24h"}
    where = f"/v1/batches/{_raise_if_refused(visitor.http.post('/v1/batches', json=form)).json()['id']}"
    wait_until(lambda: visitor.http.get(where).json()["status"] == "completed", 60)
    ended = visitor.http.get(where).json()
    if ended["output_file_id"] is None:
        raise DownloadRefused(visitor.http.get(f"/v1/files/{ended['error_file_id']}/content").text)
    told = visitor.http.get(f"/v1/files/{ended['output_file_id']}/content").text
    yield from visitor.fetch_files(json.loads(told)["response"]["body"])


def call_mcp_tool(visitor: StudioClient, tool: str, values: FormValues) -> Iterator[DownloadedFile]:
    """`/mcp`: the pictures in the answer, and what it links."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": values}}
    head = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}
    text = _raise_if_refused(visitor.http.post("/mcp", json=call, headers=head)).text
    told = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    result: dict[str, Any] = next((row["result"] for row in told if "result" in row), {"isError": True})
    if result.get("isError"):
        raise DownloadRefused(text)
    for row in result["content"]:
        if row["type"] == "image":
            yield DownloadedFile(base64.b64decode(row["data"]), row["mimeType"], is_copy=True)
    yield from visitor.fetch_files(result["structuredContent"])


def call_gradio_endpoint(visitor: StudioClient, tool: str, values: FormValues) -> Iterator[DownloadedFile]:
    """The named event that `gradio_client` calls, which saves the files."""
    with tempfile.TemporaryDirectory() as folder:
        client = gradio_client.Client(visitor.url, verbose=False, download_files=folder, analytics_enabled=False)
        try:
            paths, told = client.predict(**values, api_name=f"/{tool}")
        except Exception as error:  # whatever the client makes of a refusal
            raise DownloadRefused(str(error)) from error
        finally:
            client.close()
        for path, file in zip(paths, told["files"], strict=True):
            yield DownloadedFile(
                Path(path).read_bytes(), visitor.http.get(file["url"]).headers["content-type"], file["id"]
            )


def download_by_share_link(visitor: StudioClient, tool: str, values: FormValues) -> Iterator[DownloadedFile]:
    """A link that is open to all."""
    for file in _raise_if_refused(visitor.http.post(f"/v1/tools/{tool}", json=values)).json()["files"]:
        link = _raise_if_refused(visitor.http.post("/v1/shares", json={"file_id": file["id"]})).json()["url"]
        answer = httpx.get(link)
        yield DownloadedFile(answer.content, answer.headers["content-type"], file["id"])


Download = Callable[[StudioClient, str, FormValues], Iterator[DownloadedFile]]
DOWNLOADS: tuple[Download, ...] = (
    download_by_rest,
    download_from_stream,
    download_from_job,
    generate_by_images_api,
    edit_by_images_api,
    stream_by_images_api,
    download_from_batch,
    call_mcp_tool,
    call_gradio_endpoint,
    download_by_share_link,
    download_passport,
)
