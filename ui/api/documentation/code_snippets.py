"""Code snippets that make a tool's picture through the API: curl, three Python clients, JavaScript.

Each snippet runs unchanged once its pictures are in the same folder, and ends with the studio's own sentence when it is
refused. All stream and save the results, except curl, which prints the job.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from pipelines.core.tools import Tool
from ui.api.auth.access import ConnectionInfo

KEY_VARIABLE = "DESIGNERBOX_KEY"
"""Environment variable that the snippets read the API key from; no key is ever written into a snippet."""
LOGIN_VARIABLE = "DESIGNERBOX_LOGIN"
"""Environment variable for `USER:PASS`, which Gradio's client needs where the page has a login."""


_quote_text = partial(json.dumps, ensure_ascii=False)
"""Writes a string of JSON, which is one of Python and JavaScript, too."""


class LocalFile(NamedTuple):
    """A picture that the reader of the snippet has as a file of this name."""

    name: str


@dataclass(frozen=True)
class SnippetRequest:
    """A tool and the fields that are not at their default. A picture is a `LocalFile`, or the id of a public file."""

    tool: Tool
    values: Mapping[str, Any]

    @property
    def pictures(self) -> list[tuple[str, LocalFile]]:
        """The local files with their fields, in order."""
        flat = [(name, each) for name, value in self.values.items() for each in _as_list(value)]
        return [(name, each) for name, each in flat if isinstance(each, LocalFile)]

    @property
    def format(self) -> str:
        """The file extension of the result."""
        fields = self.tool.params.model_fields
        wanted = self.values.get("format", fields["format"].default if "format" in fields else "png")
        return "jpg" if wanted == "jpeg" else str(wanted)


def make_snippet_request(tool: Tool, values: Mapping[str, Any], is_open: Callable[[str], bool]) -> SnippetRequest:
    """Make a request from a form's values. `is_open(file_id)`: everybody may use it; others become local files."""
    pictures = tool.params.fields_of_kind("picture", "pictures", "mask")
    fields: dict[str, Any] = {}
    for name, info in tool.params.model_fields.items():
        value = values.get(name, info.default)
        if name in pictures and value:
            fields[name] = _replace_private_files(name, value, is_open)
        elif name not in pictures and value != info.default and value != []:
            fields[name] = value
    return SnippetRequest(tool, fields or _choose_example_field(tool))


def _choose_example_field(tool: Tool) -> dict[str, Any]:
    """Find a field at its default, for a request with no other field: an empty form cannot be sent."""
    fields = tool.params.model_fields
    return next(({name: fields[name].default} for name in tool.params.fields_of_kind("choice", "number")), {})


def _replace_private_files(name: str, value: Any, is_open: Callable[[str], bool]) -> Any:
    if isinstance(value, list | tuple):
        return [each if is_open(each) else LocalFile(f"{name}-{n}.png") for n, each in enumerate(value, 1)]
    return value if is_open(value) else LocalFile(f"{name}.png")


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


# ---------------------------------------------------------------- shell


def write_curl(request: SnippetRequest, connection: ConnectionInfo) -> str:
    """Write one curl command, which prints the job or the error."""
    rows = [f"curl {shlex.quote(f'{connection.base_url}/v1/tools/{request.tool.id}')}", "--fail-with-body"]
    if connection.needs_key:
        rows.append(f'-H "Authorization: Bearer ${KEY_VARIABLE}"')
    for name, each in _list_parts(request):
        # --form-string, because curl interprets a leading @ or < and a semicolon in the value of -F.
        text = f"--form-string {shlex.quote(f'{name}={each}')}"
        rows.append(f"-F {name}=@{each.name}" if isinstance(each, LocalFile) else text)
    return " \\\n  ".join(rows)


def _list_parts(request: SnippetRequest) -> Iterator[tuple[str, LocalFile | str]]:
    """Yield the parts of a multipart body: one for each item of a list; everything that is no file is text."""
    params = request.tool.params
    for name, value in request.values.items():
        is_marks = params.kind_of(name) in ("points", "box")
        for each in [json.dumps(value)] if is_marks else _as_list(value):
            text = json.dumps(each) if isinstance(each, bool) else str(each)
            yield name, each if isinstance(each, LocalFile) else text


# ---------------------------------------------------------------- Python


def write_openai(request: SnippetRequest, connection: ConnectionInfo) -> str:
    """Write Python for OpenAI's client, which streams partial images."""
    uploads = [(name, each, f"picture_{n}") for n, (name, each) in enumerate(request.pictures, 1)]
    variables = {each: variable for _, each, variable in uploads}
    words = "prompt" if "prompt" in request.tool.params.model_fields else ""
    extra = {name: value for name, value in request.values.items() if name != words}
    key = f'os.environ["{KEY_VARIABLE}"]' if connection.needs_key else '"none"'
    rows = [
        "import base64",
        *(["import os"] if connection.needs_key else []),
        "",
        "from openai import OpenAI",
        "",
        f"client = OpenAI(base_url={_python_literal(connection.base_url + '/v1')}, api_key={key})",
        *(
            f'{v} = client.files.create(file=open({_python_literal(e.name)}, "rb"), purpose="vision").id'
            for _, e, v in uploads
        ),
        "events = client.images.generate(",
        f"    model={_python_literal(request.tool.id)},",
        f"    prompt={_python_literal(request.values.get(words, ''))},",
        "    stream=True,",
        "    partial_images=2,",
        *([f"    extra_body={_python_literal(extra, variables)},"] if extra else []),
        ")",
        "count = 0",
        "for event in events:",
        "    print(event.type)",
        '    if event.type == "image_generation.completed":',
        "        count += 1",
        f'        with open(f"picture-{{count}}.{request.format}", "wb") as file:',
        "            file.write(base64.b64decode(event.b64_json))",
    ]
    return "\n".join(rows) + "\n"


def write_gradio_client(request: SnippetRequest, connection: ConnectionInfo) -> str:
    """Write Python for Gradio's client, which calls the page's named events."""
    local = {each: f"handle_file({_python_literal(each.name)})" for _, each in request.pictures}
    logins = {
        "login": f'tuple(os.environ["{LOGIN_VARIABLE}"].split(":", 1))',
        "key": f'("key", os.environ["{KEY_VARIABLE}"])',
    }
    login = logins.get(connection.page_auth)
    rows = [
        *(["import os", ""] if login else []),
        f"from gradio_client import Client{', handle_file' if local else ''}",
        "",
        f"client = Client({_python_literal(connection.base_url)}{f', auth={login}' if login else ''})",
        "running = client.submit(",
        *(f"    {name}={_python_literal(value, local)}," for name, value in request.values.items()),
        f'    api_name="/{request.tool.id}",',
        ")",
        "for files, job in running:",
        '    print(job["status"], job.get("stage") or "")',
        "running.result()  # an iteration ends without a word where the call was refused; this raises",
        "print(files)",
    ]
    return "\n".join(rows) + "\n"


def write_httpx(request: SnippetRequest, connection: ConnectionInfo) -> str:
    """Write Python for httpx: server-sent events, then the files."""
    data: dict[str, Any] = {}
    for name, each in _list_parts(request):
        if not isinstance(each, LocalFile):
            data[name] = [*_as_list(data[name]), each] if name in data else each
    key = f'{{"Authorization": f"Bearer {{os.environ[\'{KEY_VARIABLE}\']}}"}}' if connection.needs_key else "{}"
    files = [
        f'    ({_python_literal(name)}, open({_python_literal(each.name)}, "rb")),' for name, each in request.pictures
    ]
    rows = [
        "import json",
        *(["import os"] if connection.needs_key else []),
        "from pathlib import Path",
        "",
        "import httpx",
        "",
        f"studio = httpx.Client(base_url={_python_literal(connection.base_url)}, headers={key}, timeout=600)",
        f"form = {_python_literal(data)}",
        *(["files = [", *files, "]"] if files else ["files = []"]),
        f'call = ("POST", "/v1/tools/{request.tool.id}")',
        'with studio.stream(*call, params={"stream": "true"}, data=form, files=files) as answer:',
        "    if answer.is_error:",
        "        raise SystemExit(answer.read().decode())",
        "    for line in answer.iter_lines():",
        '        name, _, value = line.partition(": ")',
        '        if name == "event":',
        "            event = value",
        '        elif name == "data":',
        "            data = json.loads(value)",
        '            print(event, data.get("stage") or data.get("status") or "")',
        '            if event == "error":',
        '                raise SystemExit(data["error"]["message"])',
        'for file in data["files"]:',
        "    Path(f\"{file['id']}.{file['format']}\").write_bytes(studio.get(file[\"url\"]).content)",
    ]
    return "\n".join(rows) + "\n"


def _python_literal(value: Any, names: Mapping[LocalFile, str] | None = None) -> str:
    """Write a Python literal; `names` are the expressions for local files."""
    if isinstance(value, LocalFile):
        return (names or {})[value]
    if isinstance(value, dict):
        pairs = (f"{_python_literal(name)}: {_python_literal(each, names)}" for name, each in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_python_literal(each, names) for each in value) + "]"
    return _quote_text(value) if isinstance(value, str) else repr(value)


# ---------------------------------------------------------------- JavaScript


def write_javascript(request: SnippetRequest, connection: ConnectionInfo) -> str:
    """Write JavaScript for Node 20 or later."""
    key = f"{{ Authorization: `Bearer ${{process.env.{KEY_VARIABLE}}}` }}" if connection.needs_key else "{}"
    rows = [
        *(['import { openAsBlob } from "node:fs";'] if request.pictures else []),
        'import { writeFile } from "node:fs/promises";',
        "",
        f"const base = {_quote_text(connection.base_url)};",
        f"const headers = {key};",
        "const form = new FormData();",
    ]
    for name, each in _list_parts(request):
        value = (
            f"await openAsBlob({_quote_text(each.name)}), {_quote_text(each.name)}"
            if isinstance(each, LocalFile)
            else _quote_text(each)
        )
        rows.append(f"form.append({_quote_text(name)}, {value});")
    return "\n".join([*rows, _JAVASCRIPT_TAIL.replace("TOOL", request.tool.id)])


_JAVASCRIPT_TAIL = """\
const address = `${base}/v1/tools/TOOL?stream=true`;
const answer = await fetch(address, { method: "POST", headers, body: form });
if (!answer.ok) throw new Error(await answer.text());
let rest = "", job;
for await (const text of answer.body.pipeThrough(new TextDecoderStream())) {
  const events = (rest + text).split("\\n\\n");
  rest = events.pop();
  for (const event of events) {
    const name = event.match(/^event: (.*)$/m)[1];
    const data = JSON.parse(event.match(/^data: (.*)$/m)[1]);
    console.log(name, data.stage ?? data.status ?? "");
    if (name === "error") throw new Error(data.error.message);
    if (name === "result") job = data;
  }
}
for (const file of job.files) {
  const picture = await fetch(base + file.url, { headers });
  await writeFile(`${file.id}.${file.format}`, Buffer.from(await picture.arrayBuffer()));
}
"""


class SnippetLanguage(NamedTuple):
    """A kind of snippet: its id and title, the language of Gradio's code box, and the function that writes it."""

    id: str
    title: str
    highlight: str
    write: Callable[[SnippetRequest, ConnectionInfo], str]


SNIPPET_LANGUAGES: tuple[SnippetLanguage, ...] = (
    SnippetLanguage("curl", "curl", "shell", write_curl),
    SnippetLanguage("openai", "Python: openai", "python", write_openai),
    SnippetLanguage("gradio", "Python: gradio_client", "python", write_gradio_client),
    SnippetLanguage("httpx", "Python: httpx", "python", write_httpx),
    SnippetLanguage("javascript", "JavaScript", "javascript", write_javascript),
)


def find_snippet_language(language_id: str) -> SnippetLanguage:
    """Find a kind of snippet by its id; the first one for an unknown id."""
    return next((row for row in SNIPPET_LANGUAGES if row.id == language_id), SNIPPET_LANGUAGES[0])
