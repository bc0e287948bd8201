"""The clients of the siege: honest ones with orders, and hostile ones.

Honest clients retry after a 429. Hostile ones send what `tests/support/hostile_pictures.py` and the list of attacks
have, in random order, and check only whether the answer is one that a studio may give.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import zipfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from typing import Any
from urllib.parse import quote

import httpx

from pipelines.provenance.c2pa import verify_credentials
from pipelines.security.abuse_reports import REASONS
from tests.support.examples import EXAMPLES
from tests.support.hostile_pictures import HOSTILE_FILE_NAMES, HOSTILE_PICTURES

XSS = "<img src=x onerror=alert(1)>"
TIMEOUT_SECONDS = 300.0
"""Seconds that an honest client waits for one picture; the line is long while it is besieged."""


PEOPLE = ("astronaut", "hopper")
PHOTOS = (*PEOPLE, "coffee", "chelsea")


@dataclass
class SiegeReport:
    """What the clients saw. `wrong` are answers that no studio may give, `lost` honest orders that came to nothing."""

    order_count: int = 0
    done_count: int = 0
    retry_count: int = 0
    status_counts: Counter[str] = field(default_factory=Counter)
    wrong_answers: Counter[str] = field(default_factory=Counter)
    lost_orders: Counter[str] = field(default_factory=Counter)
    stop: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class SiegeClient:
    """One of the fifty: its connection, its key, its dice and where it writes down what it saw."""

    http: httpx.AsyncClient
    key: str
    dice: random.Random
    seen: SiegeReport

    @property
    def make_headers(self) -> dict[str, str]:
        """Its key, as REST wants it."""
        return {"Authorization": f"Bearer {self.key}"}

    def choose_photo(self, names: tuple[str, ...] = PHOTOS) -> tuple[str, bytes]:
        """A photo of ours under a harmless name."""
        return "photo.jpg", (EXAMPLES / f"{self.dice.choice(names)}.jpg").read_bytes()


Act = Callable[[SiegeClient], Awaitable[None]]


# ---------------------------------------------------------------- honest people


async def request_until_accepted(client: SiegeClient, method: str, path: str, **sent: Any) -> httpx.Response:
    """The answer, after as many polite returns as it takes."""
    while True:
        answer = await client.http.request(method, path, headers=client.make_headers, timeout=TIMEOUT_SECONDS, **sent)
        if answer.status_code != 429:
            return answer
        client.seen.retry_count += 1
        await asyncio.sleep(float(answer.headers["retry-after"]) * client.dice.uniform(0.8, 1.6))


async def order_picture(client: SiegeClient) -> None:
    """A headshot, a product, a cut-out or a scene, and a look whether its files are whole and signed."""
    tool, values = client.dice.choice(
        (
            ("headshot", {"consent": "true", "size": "512", "preset": "linkedin"}),
            ("product", {"size": "512", "preset": "amazon"}),
            ("cutout", {}),
            ("background", {"size": "512", "prompt": client.dice.choice(("forest", "park in the evening", XSS))}),
            ("style", {"size": "512", "format": "webp"}),
        )
    )
    files = {} if tool == "background" else {"photo": client.choose_photo(PEOPLE if tool == "headshot" else PHOTOS)}
    await _check_order(
        client, await request_until_accepted(client, "POST", f"/v1/tools/{tool}", data=values, files=files or None)
    )


async def order_in_background(client: SiegeClient) -> None:
    """A job that is left alone, looked after now and then, and watched from the middle."""
    body = {"prompt": "lobby", "size": 512, "seed": client.dice.randrange(9)}
    placed = await request_until_accepted(client, "POST", "/v1/tools/background?wait=false", json=body)
    if placed.status_code != 202:
        return await _check_order(client, placed)
    job_id = placed.json()["id"]
    async with client.http.stream(
        "GET", f"/v1/jobs/{job_id}/events", headers=client.make_headers, timeout=TIMEOUT_SECONDS
    ) as told:
        async for _ in told.aiter_lines():
            pass
    await _check_order(client, await request_until_accepted(client, "GET", f"/v1/jobs/{job_id}"))


async def draw_as_openai(client: SiegeClient) -> None:
    """The images API, the picture inside the answer."""
    body = {"prompt": "studio", "model": "background", "size": "512x512", "n": 1}
    answer = await request_until_accepted(client, "POST", "/v1/images/generations", json=body)
    client.seen.order_count += 1
    if answer.status_code == 200 and _is_signed(base64.b64decode(answer.json()["data"][0]["b64_json"])):
        client.seen.done_count += 1
    else:
        client.seen.lost_orders[f"images {answer.status_code} {answer.text[:160]}"] += 1


async def _check_order(client: SiegeClient, answer: httpx.Response) -> None:
    client.seen.order_count += 1
    job = answer.json() if answer.status_code == 200 else {}
    if job.get("status") != "done":
        client.seen.lost_orders[f"{answer.status_code} {answer.text[:200]}"] += 1
        return
    for file in job["files"]:
        sent = await request_until_accepted(client, "GET", f"/v1/files/{file['id']}/content")
        if sent.status_code != 200 or not _is_signed(sent.content):
            client.seen.lost_orders[f"file {sent.status_code} of {job['tool']}"] += 1
            return
    client.seen.done_count += 1


def _is_signed(data: bytes) -> bool:
    return getattr(verify_credentials(data), "status", "") == "valid"  # unchanged; whose it is, only the studio knows


async def order_a_batch(client: SiegeClient) -> None:
    """Three rows in a file; each answer's picture is fetched from where its line says."""
    rows = ({"prompt": scene, "size": "256x256"} for scene in ("forest", "lobby", "night"))
    batch = await _run_batch(client, (_make_batch_line(n, row) for n, row in enumerate(rows)))
    client.seen.order_count += 1
    while batch.get("status") in ("validating", "in_progress"):
        await asyncio.sleep(2)
        batch = (await request_until_accepted(client, "GET", f"/v1/batches/{batch['id']}")).json()
    told = await request_until_accepted(client, "GET", f"/v1/files/{batch.get('output_file_id')}/content")
    links = [json.loads(line)["response"]["body"]["data"][0]["url"] for line in told.text.splitlines()]
    files = (
        [(await request_until_accepted(client, "GET", link)).content for link in links]
        if told.status_code == 200
        else []
    )
    if len(files) == 3 and all(map(_is_signed, files)):
        client.seen.done_count += 1
    else:
        client.seen.lost_orders[f"batch {batch.get('status')} {told.status_code} {len(files)} {str(batch)[:160]}"] += 1


def _make_batch_line(n: int, body: object, url: str = "/v1/images/generations") -> str:
    return json.dumps({"custom_id": f"r{n}", "method": "POST", "url": url, "body": body})


async def _run_batch(client: SiegeClient, lines: Iterable[str]) -> dict[str, Any]:
    """A batch that was just begun, or what was said instead."""
    files = {"file": ("in.jsonl", "\n".join(lines).encode())}
    sent = await request_until_accepted(client, "POST", "/v1/files", files=files, data={"purpose": "batch"})
    form = {"input_file_id": sent.json().get("id", "none"), "endpoint": "/v1/images/generations"}
    begun = await request_until_accepted(client, "POST", "/v1/batches", json={**form, "completion_window": "24h"})
    return begun.json()


HONEST_ACTS: tuple[Act, ...] = (
    order_picture,
    order_picture,
    order_picture,
    order_in_background,
    draw_as_openai,
    order_a_batch,
)


# ---------------------------------------------------------------- everybody else


def check_status(client: SiegeClient, what: str, answer: httpx.Response, *statuses: int) -> None:
    """Note an answer that is not among `statuses`, 429 and 413 excepted."""
    client.seen.status_counts[f"{what} {answer.status_code}"] += 1
    if answer.status_code not in (*statuses, 429, 413):
        client.seen.wrong_answers[f"{what} {answer.status_code} {answer.text[:120]}"] += 1


@lru_cache
def _read_hostile_picture(place: int) -> bytes:
    return HOSTILE_PICTURES[place].data()


async def send_hostile_picture(client: SiegeClient) -> None:
    """One of the thirty inputs, under one of the bad names, at a door of REST."""
    data, name = (
        _read_hostile_picture(client.dice.randrange(len(HOSTILE_PICTURES))),
        client.dice.choice(HOSTILE_FILE_NAMES) or "x.png",
    )
    path = client.dice.choice(("/v1/files", "/v1/tools/cutout", "/v1/tools/headshot"))
    field_name = "file" if path == "/v1/files" else "photo"
    answer = await client.http.post(path, files={field_name: (name, data)}, headers=client.make_headers)
    check_status(client, "hostile picture", answer, 200, 400, 422)


async def upload_hostile_picture(client: SiegeClient) -> None:
    """The same through the page's own upload and the event that takes it."""
    data = _read_hostile_picture(client.dice.randrange(len(HOSTILE_PICTURES)))
    await client.http.get("/")
    sent = await client.http.post("/gradio_api/upload", files={"files": ("picture.png", data)})
    check_status(client, "page upload", sent, 200)
    if sent.status_code == 200:
        await call_page_event(client, sent.json()[0])


async def call_page_event(client: SiegeClient, path: str) -> None:
    """Any event of the page, called by number with this in every place."""
    config = (await client.http.get("/config")).json()
    row = client.dice.choice([row for row in config["dependencies"] if row["backend_fn"]])
    given = {"path": path, "meta": {"_type": "gradio.FileData"}}
    body = {
        "fn_index": row["id"],
        "data": [client.dice.choice((given, path, XSS, None)) for _ in row["inputs"]],
        "session_hash": f"s{client.dice.getrandbits(60):x}",
        "event_data": None,
        "trigger_id": None,
    }
    joined = await client.http.post("/gradio_api/queue/join", json=body)
    check_status(client, "page event", joined, 200, 400, 404, 422)
    if joined.status_code == 200:
        where = "/gradio_api/queue/data"
        async with client.http.stream("GET", where, params={"session_hash": body["session_hash"]}) as told:
            async for line in told.aiter_lines():
                if "process_completed" in line or "close_stream" in line or client.dice.random() < 0.1:
                    return  # and some just leave


async def call_private_event(client: SiegeClient) -> None:
    """An event of the page with an address or a path where a picture belongs."""
    await call_page_event(client, client.dice.choice(("/etc/passwd", "http://127.0.0.1:9/secret", "../keys.sqlite3")))


MONSTROUS_BODIES: tuple[bytes, ...] = (
    b'{"strength": NaN}',
    b'{"seed": 1e999}',
    b'{"prompt": "\\ud800"}',
    b'{"prompt":' + b"[" * 50_000,
    b"\x00",
    json.dumps({f"f{n}": n for n in range(20_000)}).encode(),
    json.dumps({"prompt": "x" * 2_000_000}).encode(),
    json.dumps({"prompt": XSS}).encode(),
    json.dumps({"prompt": "nude woman"}).encode(),
    b'{"photo": "/etc/passwd"}',
    b'{"prompt": "night", "lora": "../../keys.sqlite3"}',
    b'{"prompt": "night", "lora": "we/else"}',
    b'{"photo": "http://169.254.169.254/latest"}',
    b'{"photo": {"path": "/etc/passwd"}}',
    b'{"size": 9999999}',
)


async def send_monstrous_body(client: SiegeClient) -> None:
    """JSON that is no form."""
    path = client.dice.choice(("/v1/tools/headshot", "/v1/tools/background", "/v1/images/generations", "/v1/batches"))
    head = {**client.make_headers, "Content-Type": "application/json"}
    answer = await client.http.post(path, content=client.dice.choice(MONSTROUS_BODIES), headers=head)
    check_status(client, "monstrous body", answer, 200, 400, 404, 422)


async def ask_as_stranger(client: SiegeClient) -> None:
    """Without a key, with a wrong one, from another site, and for what is not there."""
    path = client.dice.choice(
        (
            "/v1/jobs",
            "/v1/files/..%2F..%2Fetc%2Fpasswd/content",
            "/gradio_api/file=/etc/passwd",
            "/s/x.1.y",
            "/v1/nope",
            "/v1/files/file-0/content",
            "/static/..%2f..%2fapp.py",
            "/healthz",
            "/",
        )
    )
    head = client.dice.choice(
        (
            {},
            {"Authorization": "Bearer sk-dbx-" + "0" * 60},
            {"Origin": "https://evil.example"},
            {"Cookie": "dbx_visitor=visitor:ann." + "0" * 64},
            {"Range": "bytes=" + ",".join(f"{n}-" for n in range(900))},
        )
    )
    answer = await client.http.request(client.dice.choice(("GET", "POST", "DELETE", "OPTIONS")), path, headers=head)
    check_status(client, "stranger", answer, 200, 206, 400, 401, 403, 404, 405, 422)


async def flood_with_orders(client: SiegeClient) -> None:
    """More jobs than may wait, each given up at once or never looked at again."""
    for _ in range(6):
        body = {"prompt": "night", "size": 256}
        answer = await client.http.post("/v1/tools/background?wait=false", json=body, headers=client.make_headers)
        check_status(client, "flood", answer, 202)
        if answer.status_code == 202 and client.dice.random() < 0.8:
            gone = await client.http.delete(f"/v1/jobs/{answer.json()['id']}", headers=client.make_headers)
            check_status(client, "cancel", gone, 200)


async def hang_up(client: SiegeClient) -> None:
    """A foreground call that is left in the middle, streamed or not."""
    path = client.dice.choice(("/v1/tools/product?stream=true", "/v1/tools/cutout"))
    try:
        await client.http.post(
            path,
            files={"photo": client.choose_photo()},
            headers=client.make_headers,
            timeout=client.dice.uniform(0.05, 1.5),
        )
    except httpx.TimeoutException:
        client.seen.status_counts["hung up"] += 1


async def slow_upload(client: SiegeClient) -> None:
    """A body that is announced and comes by the byte, then not at all."""
    url = client.http.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = f"POST /v1/files HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nAuthorization: Bearer {client.key}\r\n"
    writer.write(f"{head}Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 90000\r\n\r\n--b".encode())
    for _ in range(client.dice.randrange(2, 20)):
        await asyncio.sleep(0.5)
        writer.write(b"\r")
    writer.close()
    client.seen.status_counts["slow upload"] += 1
    del reader


async def hoard_event_streams(client: SiegeClient) -> None:
    """Five event streams at once, held open; some are never read."""
    jobs = (await client.http.get("/v1/jobs", headers=client.make_headers)).json().get("data", [])
    if not jobs:
        return await flood_with_orders(client)
    await asyncio.gather(*(_hold_stream(client, client.dice.choice(jobs)["id"]) for _ in range(5)))


async def _hold_stream(client: SiegeClient, job_id: str) -> None:
    async with client.http.stream("GET", f"/v1/jobs/{job_id}/events", headers=client.make_headers) as told:
        check_status(client, "hoard", httpx.Response(told.status_code), 200)
        with suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(told.aread() if client.dice.random() < 0.5 else asyncio.sleep(99), 8)


async def send_wrong_mcp_calls(client: SiegeClient) -> None:
    """Calls to the door for agents: other people's files, pictures that are none, tools that are not there."""
    bad = client.dice.choice(("file-0", "/etc/passwd", "http://127.0.0.1:9/secret", "data:image/png;base64,AAAA", XSS))
    asked = client.dice.choice(
        (
            {"name": "show_picture", "arguments": {"file_id": bad}},
            {"name": bad, "arguments": {}},
            {"name": "cutout", "arguments": {"photo": bad}},
            {"name": "list_pictures", "arguments": {"limit": bad}},
            {"name": "headshot", "arguments": {"photo": bad, "consent": "true", bad: 1e300}},
        )
    )
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": asked}
    head = {**client.make_headers, "Accept": "application/json, text/event-stream"}
    answer = await client.http.post("/mcp", json=body, headers=head)
    check_status(client, "agent", answer, 200, 400, 404)


INTERNAL_URLS = (
    "http://127.0.0.1:9/",
    "http://169.254.169.254/latest",
    "http://[::1]/",
    "file:///etc/passwd",
    "http://10.0.0.1",
)


async def send_internal_urls(client: SiegeClient) -> None:
    """Addresses of the house where the studio would send word, and reports about what is somebody else's."""
    url = client.dice.choice(INTERNAL_URLS)
    check_status(
        client, "webhook", await client.http.put("/v1/webhooks", json={"url": url}, headers=client.make_headers), 400
    )
    body = {"prompt": "night", "size": 256}
    path = "/v1/tools/background?wait=false"
    answer = await client.http.post(path, json=body, params={"webhook": url}, headers=client.make_headers)
    check_status(client, "job with webhook", answer, 400)
    report = {"reason": client.dice.choice(("minor", XSS)), "job_id": client.dice.choice(("job-0", "../x", XSS))}
    check_status(
        client, "report", await client.http.post("/v1/reports", json=report, headers=client.make_headers), 400, 404, 422
    )


HEADER_INJECTION_NAME = "a.png\r\nSet-Cookie: stolen=1\r\nLocation: https://evil.example/"


async def forge_headers(client: SiegeClient) -> None:
    """Line ends where a name, an id or a key of one's own is sent: no answer may have a header made of them."""
    name, mine = quote(HEADER_INJECTION_NAME), client.make_headers
    url, files = client.http.base_url, {"file": (HEADER_INJECTION_NAME, client.choose_photo()[1])}
    part = b'Content-Disposition: form-data; name="file"; filename="a\r\nSet-Cookie: stolen=1"'
    body = b"--b\r\n" + part + b"\r\n\r\nx\r\n--b--\r\n"
    torn = {**client.make_headers, "Content-Type": "multipart/form-data; boundary=b"}
    answers = (
        await client.http.get(f"/v1/files/{name}/content", headers=mine),
        await client.http.get("/v1/jobs", params={"after": HEADER_INJECTION_NAME}, headers=mine),
        await client.http.post("/v1/files", files=files, headers=mine),
        await client.http.post("/v1/files", content=body, headers=torn),
        await client.http.get(f"/s/{name}"),
    )
    for answer in answers:
        check_status(client, "forged header", answer, 200, 400, 404, 422)
        if "stolen" in str(answer.headers) or "evil.example" in str(answer.headers):
            client.seen.wrong_answers[f"a header made of what was sent: {answer.request.url}"] += 1
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = f"GET /v1/jobs HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nAuthorization: Bearer {client.key}\r\n"
    writer.write(f"{head}Idempotency-Key: a\n folded: 1\r\nX-Y: \x00\r\nContent-Length: 5\r\n".encode())
    writer.write(b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\nGET /v1/keys HTTP/1.1\r\n\r\n")
    with suppress(TimeoutError, asyncio.TimeoutError, ConnectionError):
        told = await asyncio.wait_for(reader.read(100_000), 20)
        client.seen.status_counts["torn head"] += 1
        if b" 500 " in told.split(b"\r\n")[0]:
            client.seen.wrong_answers[f"torn head {told[:80]!r}"] += 1
    writer.close()


async def ask_as_foreign_host(client: SiegeClient) -> None:
    """A name of somebody else's that leads here: it opens nothing, and nobody is sent there."""
    head = {"Host": client.dice.choice(("evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::1", XSS, ""))}
    closed = await client.http.get(client.dice.choice(("/v1/jobs", "/v1/files", "/v1/batches")), headers=head)
    check_status(client, "foreign host", closed, 400, 401, 403, 421)
    page = await client.http.get(client.dice.choice(("/", "/healthz", "/config", "/report")), headers=head)
    check_status(client, "page by a foreign name", page, 200, 400, 403, 404, 421)
    if "evil.example" in str(page.headers):
        client.seen.wrong_answers["sent to a foreign name"] += 1


async def register_redirecting_webhook(client: SiegeClient) -> None:
    """An address of this house under its other names, which would lead on to another one: nobody may ever call."""
    called = 0

    async def lead_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal called
        called += 1
        writer.write(b"HTTP/1.1 307 x\r\nLocation: http://169.254.169.254/latest\r\nContent-Length: 0\r\n\r\n")
        writer.close()
        del reader

    async with await asyncio.start_server(lead_on, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for host in ("localhost", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "0.0.0.0"):
            url, body = f"http://{host}:{port}/told", {"prompt": "night", "size": 256}
            set_to = await client.http.put("/v1/webhooks", json={"url": url}, headers=client.make_headers)
            check_status(client, "trap", set_to, 400)
            path, asked = "/v1/tools/background?wait=false", {"webhook": url}
            answer = await client.http.post(path, json=body, params=asked, headers=client.make_headers)
            check_status(client, "job with a trap", answer, 400)
        await asyncio.sleep(2)
    if called:
        client.seen.wrong_answers["the trap was called"] += called


async def flood_with_reports(client: SiegeClient) -> None:
    """Reports without end: about one's own picture, about nobody's, and about a refusal that there was not."""
    jobs = (await client.http.get("/v1/jobs", headers=client.make_headers)).json().get("data", [])
    for n in range(40):
        about = {"job_id": client.dice.choice(jobs)["id"]} if jobs and n % 2 else {"job_id": f"job-{n}"}
        said = {**about, "reason": client.dice.choice((*REASONS, XSS))}
        answer = await client.http.post("/v1/reports", json=said, headers=client.make_headers)
        check_status(client, "report flood", answer, 200, 400, 404, 422)
    for n in range(20):
        asked = client.dice.choice(({}, {"job": f"job-{n}"}, {"share": XSS}))
        client.http.cookies.clear()  # somebody else each time
        answer = await client.http.post("/report", params=asked, data={"reason": "wrongly_refused"})
        check_status(client, "page report flood", answer, 200, 400, 404, 422)


async def order_harmful_batch(client: SiegeClient) -> None:
    """Lines that are no requests, between some that are, and a batch that is given up at once."""
    bodies = ({"prompt": XSS}, {"prompt": "nude woman"}, {"photo": "/etc/passwd"}, {"model": "../x"}, {"n": 10**9}, 7)
    lines = [_make_batch_line(n, body) for n, body in enumerate(bodies)] + [
        _make_batch_line(9, {}, "http://127.0.0.1:9/"),
        "{",
        "\0",
    ]
    batch = await _run_batch(client, lines)
    if "id" in batch:
        gone = await client.http.post(f"/v1/batches/{batch['id']}/cancel", headers=client.make_headers)
        check_status(client, "cancel batch", gone, 200)
    else:
        client.seen.status_counts["batch refused"] += 1


async def upload_harmful_zip(client: SiegeClient) -> None:
    """A ZIP whose names lead out and whose entries swell, at the page's upload and as a picture."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("../../escape.png", b"x")
        out.writestr("bomb.png", bytes(30_000_000))
        out.writestr("jobs.csv", 'photo,prompt\n=cmd|"/c calc"!A1,../../etc/passwd\n')
    await client.http.get("/")
    sent = await client.http.post("/gradio_api/upload", files={"files": ("jobs.zip", packed.getvalue())})
    check_status(client, "zip", sent, 200)
    answer = await client.http.post(
        "/v1/files", files={"file": ("a.zip", packed.getvalue())}, headers=client.make_headers
    )
    check_status(client, "zip as picture", answer, 400)
    if sent.status_code == 200:
        await call_page_event(client, sent.json()[0])


HOSTILE_ACTS: tuple[Act, ...] = (
    send_hostile_picture,
    send_hostile_picture,
    upload_hostile_picture,
    call_private_event,
    send_monstrous_body,
    ask_as_stranger,
    ask_as_stranger,
    flood_with_orders,
    hang_up,
    slow_upload,
    hoard_event_streams,
    upload_harmful_zip,
    send_wrong_mcp_calls,
    send_internal_urls,
    order_harmful_batch,
    forge_headers,
    ask_as_foreign_host,
    register_redirecting_webhook,
    flood_with_reports,
)


async def run_client(client: SiegeClient, acts: tuple[Act, ...], pause: tuple[float, float]) -> None:
    """One act after the other until the siege is lifted."""
    while not client.seen.stop.is_set():
        act = client.dice.choice(acts)
        try:
            await act(client)
        except httpx.HTTPError as error:
            kind = f"{act.__name__}: {type(error).__name__}"
            if acts is HONEST_ACTS:
                client.seen.order_count += 1
                client.seen.lost_orders[kind] += 1
            elif not isinstance(error, httpx.TimeoutException):
                client.seen.wrong_answers[kind] += 1
            else:
                client.seen.status_counts[kind] += 1
        await asyncio.sleep(client.dice.uniform(*pause))
