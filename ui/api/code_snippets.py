"""A tool's settings as code that makes the same picture: five ways to ask, one picture; knows no component and no job.

Every way runs as it stands once the pictures it names lie beside it, and ends with the studio's own sentence where it
is refused. All but curl, which prints the job, stream and save what comes back.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pipelines.core.tools import Tool

KEY = "DESIGNERBOX_KEY"
"""The environment variable that the code reads a key from: no key is ever written into it."""
LOGIN = "DESIGNERBOX_LOGIN"
"""The same for `USER:PASS`, where the page has a login; the page's own client needs that and not a key."""


@dataclass(frozen=True)
class Door:
    """Where the studio is and what it asks for: a key for `/v1`, and for the page a login or a key, or nothing."""

    base: str
    needs_key: bool = False
    page: str = ""


class Local(NamedTuple):
    """A picture that the reader has as a file of this name."""

    name: str


@dataclass(frozen=True)
class Asked:
    """What is asked of a tool: the fields that are not at their default. Pictures are `Local`, or ids open to all."""

    tool: Tool
    values: Mapping[str, Any]

    @property
    def pictures(self) -> list[tuple[str, Local]]:
        """Fields and the files that go into them, in order."""
        flat = [(name, each) for name, value in self.values.items() for each in _several(value)]
        return [(name, each) for name, each in flat if isinstance(each, Local)]

    @property
    def format(self) -> str:
        """The ending of the file that comes back."""
        fields = self.tool.params.model_fields
        wanted = self.values.get("format", fields["format"].default if "format" in fields else "png")
        return "jpg" if wanted == "jpeg" else str(wanted)


def asked(tool: Tool, values: Mapping[str, Any], is_open: Callable[[str], bool]) -> Asked:
    """A form's values; `is_open` says of a file id that everybody may use it, others stand as files of the reader's."""
    pictures = tool.params.fields_of_kind("picture", "pictures", "mask")
    kept: dict[str, Any] = {}
    for name, info in tool.params.model_fields.items():
        value = values.get(name, info.default)
        if name in pictures and value:
            kept[name] = _named(name, value, is_open)
        elif name not in pictures and value != info.default:
            kept[name] = value
    return Asked(tool, kept or _something(tool))


def _something(tool: Tool) -> dict[str, Any]:
    """A field at its default, where nothing else is asked for: a request with an empty form is none."""
    fields = tool.params.model_fields
    return next(({name: fields[name].default} for name in tool.params.fields_of_kind("choice", "number")), {})


def _named(name: str, value: Any, is_open: Callable[[str], bool]) -> Any:
    if isinstance(value, list | tuple):
        return [each if is_open(each) else Local(f"{name}-{n}.png") for n, each in enumerate(value, 1)]
    return value if is_open(value) else Local(f"{name}.png")


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


# ---------------------------------------------------------------- the shell


def curl(what: Asked, door: Door) -> str:
    """One command; it prints the job, with the addresses of its files, or the error, which curl calls a failure."""
    rows = [f"curl {shlex.quote(f'{door.base}/v1/tools/{what.tool.id}')}", "--fail-with-body"]
    if door.needs_key:
        rows.append(f'-H "Authorization: Bearer ${KEY}"')
    for name, each in _parts(what):
        # --form-string: in the value of -F, curl itself reads a leading @ or < and everything after a semicolon.
        rows.append(f"-F {name}=@{each.name}" if isinstance(each, Local) else _form_string(name, each))
    return " \\\n  ".join(rows)


def _form_string(name: str, value: str) -> str:
    return f"--form-string {shlex.quote(f'{name}={value}')}"


def _parts(what: Asked) -> Iterator[tuple[str, Local | str]]:
    """Multipart's parts: a list is its items, everything else is text."""
    for name, value in what.values.items():
        for each in _several(value):
            yield name, each if isinstance(each, Local) else _text(each)


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


# ---------------------------------------------------------------- Python


def openai(what: Asked, door: Door) -> str:
    """OpenAI's own client, which streams the picture as it becomes one."""
    uploads = [(name, each, f"picture_{n}") for n, (name, each) in enumerate(what.pictures, 1)]
    variables = {each: variable for _, each, variable in uploads}
    words = "prompt" if "prompt" in what.tool.params.model_fields else ""
    extra = {name: value for name, value in what.values.items() if name != words}
    key = f'os.environ["{KEY}"]' if door.needs_key else '"none"'
    rows = [
        "import base64",
        *(["import os"] if door.needs_key else []),
        "",
        "from openai import OpenAI",
        "",
        f"client = OpenAI(base_url={_py(door.base + '/v1')}, api_key={key})",
        *(f'{v} = client.files.create(file=open({_py(e.name)}, "rb"), purpose="vision").id' for _, e, v in uploads),
        "events = client.images.generate(",
        f"    model={_py(what.tool.id)},",
        f"    prompt={_py(what.values.get(words, ''))},",
        "    stream=True,",
        "    partial_images=2,",
        *([f"    extra_body={_py(extra, variables)},"] if extra else []),
        ")",
        "count = 0",
        "for event in events:",
        "    print(event.type)",
        '    if event.type == "image_generation.completed":',
        "        count += 1",
        f'        with open(f"picture-{{count}}.{what.format}", "wb") as file:',
        "            file.write(base64.b64decode(event.b64_json))",
    ]
    return "\n".join(rows) + "\n"


def gradio(what: Asked, door: Door) -> str:
    """Gradio's client, which calls the page's named events."""
    local = {each: f"handle_file({_py(each.name)})" for _, each in what.pictures}
    logins = {"login": f'tuple(os.environ["{LOGIN}"].split(":", 1))', "key": f'("key", os.environ["{KEY}"])'}
    login = logins.get(door.page)
    rows = [
        *(["import os", ""] if login else []),
        f"from gradio_client import Client{', handle_file' if local else ''}",
        "",
        f"client = Client({_py(door.base)}{f', auth={login}' if login else ''})",
        "running = client.submit(",
        *(f"    {name}={_py(value, local)}," for name, value in what.values.items()),
        f'    api_name="/{what.tool.id}",',
        ")",
        "for files, job in running:",
        '    print(job["status"], job.get("stage") or "")',
        "running.result()  # an iteration ends without a word where the call was refused; this raises",
        "print(files)",
    ]
    return "\n".join(rows) + "\n"


def httpx(what: Asked, door: Door) -> str:
    """Plain HTTP: server-sent events as they come, then the files."""
    parts = list(_parts(what))
    data: dict[str, Any] = {}
    for name, each in parts:
        if not isinstance(each, Local):
            data[name] = [*_several(data[name]), each] if name in data else each
    key = f'{{"Authorization": f"Bearer {{os.environ[\'{KEY}\']}}"}}' if door.needs_key else "{}"
    files = [f'    ({_py(name)}, open({_py(each.name)}, "rb")),' for name, each in what.pictures]
    rows = [
        "import json",
        *(["import os"] if door.needs_key else []),
        "from pathlib import Path",
        "",
        "import httpx",
        "",
        f"studio = httpx.Client(base_url={_py(door.base)}, headers={key}, timeout=600)",
        f"form = {_py(data)}",
        *(["files = [", *files, "]"] if files else ["files = []"]),
        f'call = ("POST", "/v1/tools/{what.tool.id}")',
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


def _py(value: Any, names: Mapping[Local, str] | None = None) -> str:
    """A Python literal; `names` are what stands for a file. JSON's text is Python's, once nothing is made ASCII."""
    if isinstance(value, Local):
        return (names or {})[value]
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_py(name)}: {_py(each, names)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_py(each, names) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


# ---------------------------------------------------------------- JavaScript


def javascript(what: Asked, door: Door) -> str:
    """For Node 20 and later, where a file has to be opened; the rest is what every browser has."""
    key = f"{{ Authorization: `Bearer ${{process.env.{KEY}}}` }}" if door.needs_key else "{}"
    rows = [
        'import { openAsBlob } from "node:fs";' if what.pictures else "",
        'import { writeFile } from "node:fs/promises";',
        "",
        f"const base = {_js(door.base)};",
        f"const headers = {key};",
        "const form = new FormData();",
    ]
    for name, each in _parts(what):
        value = f"await openAsBlob({_js(each.name)}), {_js(each.name)}" if isinstance(each, Local) else _js(each)
        rows.append(f"form.append({_js(name)}, {value});")
    return "\n".join([*rows[1 if not what.pictures else 0 :], _SCRIPT.replace("TOOL", what.tool.id)])


def _js(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


_SCRIPT = """\
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


class Way(NamedTuple):
    """One way to ask: its id, what it is called, what Gradio's code box calls its language, and who writes it."""

    id: str
    title: str
    language: str
    write: Callable[[Asked, Door], str]


WAYS: tuple[Way, ...] = (
    Way("curl", "curl", "shell", curl),
    Way("openai", "Python: openai", "python", openai),
    Way("gradio", "Python: gradio_client", "python", gradio),
    Way("httpx", "Python: httpx", "python", httpx),
    Way("javascript", "JavaScript", "javascript", javascript),
)


def way(way_id: str) -> Way:
    """One of `WAYS`, the first where there is none of this id."""
    return next((row for row in WAYS if row.id == way_id), WAYS[0])
