"""Two visitors of one page, as on a Space: what is Bob's, Ann cannot see, stop, fetch or guess by a route of Gradio's.

`/v1` is asked the same in `test_rest.py`, `/mcp` in `test_agents.py`, every event of the page in `test_attacks.py`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import gradio as gr
import httpx
import pytest
from gradio import components
from gradio.routes import App

from tests.support.examples import make_noise
from tests.support.hostile_pictures import HOSTILE_FILE_NAMES
from tests.support.page_client import list_events
from tests.support.served_app import ServedApp, serve_public_page, wait_until
from ui.api.auth.access import AccessControl

pytestmark = pytest.mark.filterwarnings("ignore")
WORDS = "the plans of bob"


@dataclass
class Bob:
    """What Bob has: a photo he sent, a job, its file, the address that Gradio serves it under, and his session."""

    owner: str
    upload: str
    photo: str
    job: str
    file: str
    served: str
    session: str
    data: bytes

    def secrets(self) -> list[str]:
        """What no answer to Ann may hold."""
        return [WORDS, self.photo, self.job, self.file, self.session, Path(self.upload).parent.name]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ServedApp, AccessControl]]:
    with serve_public_page(tmp_path_factory.mktemp("two")) as opened:
        yield opened


@pytest.fixture(scope="module")
def bob(page: Any) -> Iterator[Bob]:
    """Bob works through Gradio's own client routes: uploads, joins the queue, is told, and fetches his picture."""
    url, house, _ = page
    with httpx.Client(base_url=url, timeout=60) as browser:
        browser.get("/")
        data = cv2.imencode(".png", make_noise(64, 64, seed=5))[1].tobytes()
        (path,) = browser.post("/gradio_api/upload", files={"files": ("holiday.png", data)}).json()
        session = "bobs0secret"
        event = next(row["id"] for row in list_events(browser) if row["api_name"] == "note")
        given = [{"path": path, "meta": {"_type": "gradio.FileData"}}, WORDS]
        browser.post("/gradio_api/queue/join", json={"fn_index": event, "data": given, "session_hash": session})
        told = ""
        with browser.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
            for line in stream.iter_lines():
                if "process_completed" in line:
                    told = line.removeprefix("data: ")
                    break
        files, job = json.loads(told)["output"]["data"]
        mine = house.service.jobs.get_job(job["id"])
        assert mine is not None
        assert browser.get(f"/gradio_api/file={files[0]['path']}").status_code == 200
        yield Bob(mine.job.owner, path, job["receipt"]["params"]["photo"], job["id"], job["files"][0]["id"],
                  files[0]["path"], session, data)  # fmt: skip


@pytest.fixture
def ann(page: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page[0], timeout=30) as browser:
        browser.get("/")
        yield browser


def assert_nothing_told(answer: httpx.Response, bob: Bob, said: str = "") -> None:
    """No secret of his but what she said herself, and none of his pictures."""
    text = answer.text.replace(said, "") if said else answer.text
    assert not [secret for secret in bob.secrets() if secret in text], answer.url
    assert bob.data not in answer.content


def test_bob_is_somebody_else_and_his_upload_is_deleted_once_read(bob: Bob, page: Any) -> None:
    assert bob.owner.startswith("visitor:")
    assert not Path(bob.upload).exists()
    answer = httpx.get(f"{page[0]}/gradio_api/file={bob.upload}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert "This upload is deleted" in answer.json()["error"]["message"]
    outside = httpx.get(f"{page[0]}/gradio_api/file=/etc/no-such-file")
    assert outside.status_code == 403, "of other folders nobody is told what is there"


def test_her_upload_of_the_same_picture_is_another_file(ann: httpx.Client, bob: Bob) -> None:
    """A tool deletes an upload that it has read: a batch, or somebody else, may still need theirs."""
    files = {"files": ("holiday.png", bob.data)}
    first, second = (Path(ann.post("/gradio_api/upload", files=files).json()[0]) for _ in range(2))
    assert len({Path(bob.upload).parent, first.parent, second.parent}) == 3
    first.unlink()
    assert second.read_bytes() == bob.data


def test_no_route_that_lists_anything_names_what_is_his(ann: httpx.Client, bob: Bob, page: Any) -> None:
    for path in ("/", "/config", "/clients", "/gradio_api/info", "/gradio_api/openapi.json", "/gradio_api/queue/status",
                 "/gradio_api/app_id", "/monitoring", "/gradio_api/token", "/healthz", "/gradio_api/startup-events",
                 "/theme.css", "/robots.txt", "/manifest.json", "/gradio_api/file=", "/gradio_api/file=/tmp",
                 f"/gradio_api/file={Path(bob.served).parent.parent}"):  # fmt: skip
        assert_nothing_told(ann.get(path), bob, str(Path(bob.served).parent.parent))


def routes_of_gradio() -> list[str]:
    """Every GET route of the Gradio that is installed, `{}` in each place, in its path or its query."""
    made = []
    for path, methods in App.create_app(gr.Blocks()).openapi()["paths"].items():
        if "get" in methods:
            asked = [row["name"] for row in methods["get"].get("parameters", ()) if row["in"] == "query"]
            query = "&".join(f"{name}={{}}" for name in asked)
            made.append(re.sub(r"{\w+}", "{}", path.replace("{api_name}", "note")) + (f"?{query}" if query else ""))
    return made


def read_event_stream(browser: httpx.Client, address: str) -> bytes:
    """What comes on it; of a stream, which may have no end, what comes until nothing does for two seconds."""
    got = b""
    with suppress(httpx.TransportError, httpx.InvalidURL), browser.stream("GET", address, timeout=2) as answer:
        for part in answer.iter_bytes():
            got += part
    return got


def test_every_get_route_of_gradio_with_a_guess_gives_nothing(ann: httpx.Client, bob: Bob) -> None:
    """Each of Gradio's routes, its places filled with what Ann could make up; all at once, since some are slow."""
    routes = [*routes_of_gradio(), "/gradio_api/file={}/holiday.png", "/favicon.ico?{}"]
    assert len(routes) > 40
    guesses = ["0", "0" * 64, "note", "%2e%2e", *HOSTILE_FILE_NAMES[:2]]
    asked = [(route, guess) for route in routes for guess in (guesses if "{}" in route else guesses[:1])]
    with ThreadPoolExecutor(24) as pool:
        told = pool.map(lambda row: read_event_stream(ann, row[0].replace("{}", row[1])), asked)
        for (route, guess), got in zip(asked, told, strict=True):
            text = got.decode(errors="replace").replace(guess, "")
            assert not [secret for secret in bob.secrets() if secret in text], (route, guess)
            assert bob.data not in got, (route, guess)


def test_a_file_of_the_studio_is_served_by_no_route_of_gradio_though_its_id_is_known(
    ann: httpx.Client, bob: Bob, page: Any
) -> None:
    _, house, _ = page
    for file_id in (bob.file, bob.photo):
        path = house.service.files.local_path(file_id)
        for address in (f"/gradio_api/file={path}", f"/file={path}", f"/gradio_api/file/{path}"):
            assert ann.get(address).status_code in (403, 404), address


def call_event(browser: httpx.Client, data: list[Any]) -> httpx.Response:
    made = browser.post("/gradio_api/call/note", json={"data": data})
    return browser.get(f"/gradio_api/call/note/{made.json()['event_id']}")


def test_his_ids_are_no_pictures_of_hers(ann: httpx.Client, bob: Bob) -> None:
    for file_id in (bob.file, bob.photo):
        answer = call_event(ann, [file_id, ""])
        assert "event: error" in answer.text
        assert_nothing_told(answer, bob, file_id)


def test_a_path_of_his_is_no_upload_of_hers(ann: httpx.Client, bob: Bob, page: Any) -> None:
    _, house, _ = page
    for path in (
        str(house.service.files.local_path(bob.file)),
        "/etc/passwd",
        str(page[1].service.settings.data / "keys.sqlite3"),
    ):
        told = call_event(ann, [{"path": path, "meta": {"_type": "gradio.FileData"}}, ""]).text
        assert "event: error" in told
        told = call_event(ann, [path, ""]).text
        assert "event: error" in told


def test_she_cannot_stop_his_job(ann: httpx.Client, bob: Bob, page: Any) -> None:
    """While a job of his runs, with its event's number, with guesses at his session, and with its id everywhere."""
    _, house, _ = page
    photo = house.service.files.add_image(make_noise(40, 40, seed=9), bob.owner, "upload")
    job = house.service.create_job("note", {"photo": photo, "note": WORDS}, bob.owner)
    house.service.jobs.submit(job)
    for session in ("guess", "bob", ""):
        for event in (job.id, "0", "a" * 32):
            ann.post("/gradio_api/cancel", json={"session_hash": session, "fn_index": 0, "event_id": event})
            ann.post("/gradio_api/reset", json={"event_id": event})
    assert ann.delete(f"/v1/jobs/{job.id}").status_code == 401
    wait_until(house.is_idle)
    done = house.service.jobs.get_job(job.id)
    assert done is not None
    assert done.status == "done"


def test_her_key_opens_nothing_of_his(ann: httpx.Client, bob: Bob, page: Any) -> None:
    _, house, _ = page
    headers = {"Authorization": f"Bearer {house.keys.create_key('ann')}"}
    for path in (
        f"/v1/jobs/{bob.job}",
        f"/v1/jobs/{bob.job}/events",
        f"/v1/files/{bob.file}",
        f"/v1/files/{bob.file}/content",
        f"/v1/files/{bob.photo}/content",
    ):
        assert ann.get(path, headers=headers).status_code == 404
    assert ann.delete(f"/v1/jobs/{bob.job}", headers=headers).status_code == 404
    for path in ("/v1/jobs", "/v1/files", "/v1/batches", "/v1/shares"):
        assert_nothing_told(ann.get(path, headers=headers), bob)
    made = ann.post("/v1/shares", json={"file_id": bob.file}, headers=headers)
    assert made.status_code == 404


def test_nothing_that_she_can_know_tells_where_gradio_serves_his_picture(
    ann: httpx.Client, bob: Bob, page: Any
) -> None:
    """The address is a signature with a secret of the process: his file's id, in every receipt, does not lead there."""
    served, stored = Path(bob.served), page[1].service.files.local_path(bob.file)
    assert len(served.parent.name) == 64
    cache = served.parent.parent
    plain = [
        bob.file,
        bob.file.removeprefix("file-"),
        bob.job,
        hashlib.sha256(bob.file.encode()).hexdigest(),
        hashlib.sha256(str(stored).encode()).hexdigest(),
    ]
    for folder in plain:
        assert ann.get(f"/gradio_api/file={cache / folder / served.name}").status_code in (403, 404), folder


def server_functions() -> set[str]:
    """Whatever a component of Gradio's lets `/component_server` call."""
    kinds = [each for each in vars(components).values() if isinstance(each, type)]
    return {name for kind in kinds for name in dir(kind) if getattr(getattr(kind, name, None), "_is_server_fn", False)}


def test_no_component_s_own_server_tells_her_what_is_his(ann: httpx.Client, bob: Bob, page: Any) -> None:
    """Components of every kind, in her session and in one that she guesses, with his file in their hand."""
    kinds: dict[Any, list[int]] = {}
    for row in ann.get("/config").json()["components"]:
        kinds.setdefault((row["type"], *sorted(row["props"])), []).append(row["id"])
    holders = ("file", "gallery", "image", "downloadbutton")  # of each, since any may hold a file of his
    ids = [number for (kind, *_), numbers in kinds.items() for number in numbers[: None if kind in holders else 2]]
    functions = server_functions()
    assert len(kinds) > 20
    assert {"ls", "accept_blobs"} <= functions
    stored = str(page[1].service.files.local_path(bob.file))
    said = [bob.file, bob.photo, bob.job, stored, [stored], {"path": stored}, {"file_id": bob.file}]
    asked = [
        {"session_hash": ("guess", "ann")[n % 2], "component_id": component, "fn_name": name, "data": said[n % 7]}
        for n, (component, name) in enumerate(product(ids, sorted(functions)))
    ]
    for body in asked:
        answer = ann.post("/gradio_api/component_server", json=body)
        assert answer.status_code != 200, body
        assert_nothing_told(answer, bob, bob.file)


@pytest.mark.parametrize("route", ["run", "api", "call", "call/v2"])
def test_an_event_called_past_the_queue_takes_nothing_of_his(
    ann: httpx.Client, bob: Bob, page: Any, route: str
) -> None:
    stored = str(page[1].service.files.local_path(bob.file))
    here = {"path": stored, "meta": {"_type": "gradio.FileData"}}
    made = page[1].service.jobs.list_jobs(bob.owner, 100)
    for photo in (bob.file, bob.photo, bob.job, stored, here):
        body = {"photo": photo, "note": ""} if route == "call/v2" else {"data": [photo, ""]}
        answer = ann.post(f"/gradio_api/{route}/note", json=body)
        if route.startswith("call") and answer.status_code == 200:
            answer = ann.get(f"/gradio_api/call/note/{answer.json()['event_id']}")
            assert "event: error" in answer.text
        else:
            assert answer.status_code >= 400
        assert_nothing_told(answer, bob, bob.file)
    assert [row.job.id for row in page[1].service.jobs.list_jobs(bob.owner, 100)] == [row.job.id for row in made]


# ---------------------------------------------------------------- two keys of `/v1`


@pytest.fixture
def two(page: Any) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Two owners of keys, each with a client."""
    url, house, _ = page
    first, second = (
        httpx.Client(base_url=url, timeout=30, headers={"Authorization": f"Bearer {house.keys.create_key(name)}"})
        for name in ("owner", "other")
    )
    with first, second:
        yield first, second


def test_another_key_sees_stops_and_takes_no_batch_and_no_file(two: tuple[httpx.Client, httpx.Client]) -> None:
    owner, other = two
    line = {"custom_id": "r0", "method": "POST", "url": "/v1/tools/note", "body": {"note": WORDS}}
    sent = owner.post("/v1/files", files={"file": ("in.jsonl", json.dumps(line))}, data={"purpose": "batch"}).json()
    ask = {"input_file_id": sent["id"], "endpoint": "/v1/tools/note", "completion_window": "24h"}
    batch = owner.post("/v1/batches", json=ask).json()["id"]
    wait_until(lambda: owner.get(f"/v1/batches/{batch}").json()["status"] == "completed")
    done = owner.get(f"/v1/batches/{batch}").json()
    answers = owner.get(f"/v1/files/{done['output_file_id']}/content").text
    result = json.loads(answers)["response"]["body"]["files"][0]["id"]
    files = [sent["id"], done["output_file_id"], result]

    asked = [
        ("GET", f"/v1/batches/{batch}"),
        ("POST", f"/v1/batches/{batch}/cancel"),
        ("GET", f"/v1/batches?after={batch}"),
    ]
    for file_id in files:
        asked += [
            ("GET", f"/v1/files/{file_id}"),
            ("GET", f"/v1/files/{file_id}/content"),
            ("GET", f"/v1/files?after={file_id}"),
        ]
    for method, path in asked:
        assert other.request(method, path).status_code == 404, (method, path)
    assert other.post("/v1/batches", json=ask).status_code == 404
    assert other.post("/v1/shares", json={"file_id": result}).status_code == 404
    assert other.post("/v1/tools/note", json={"photo": result}).status_code == 400
    for path in ("/v1/batches", "/v1/files", "/v1/jobs"):
        assert other.get(path).json()["data"] == []
    assert owner.get(f"/v1/batches/{batch}").json() == done
    assert all(owner.get(f"/v1/files/{file_id}/content").status_code == 200 for file_id in files)


def test_another_key_sees_and_forgets_no_kit_no_character_and_no_webhook(
    two: tuple[httpx.Client, httpx.Client], page: Any
) -> None:
    owner, other = two
    kit = owner.post("/v1/brands", json={"name": WORDS, "colour": "#112233"}).json()
    known = page[1].keys.verify_key(owner.headers["authorization"].removeprefix("Bearer "))
    assert known is not None
    picture = page[1].service.files.add_image(make_noise(32, 32), known.owner, "result")
    value = {"params": {"character": "thumbs:1"}, "picture": picture}
    bo = page[1].service.saved_items.save_item(known.owner, "character", "bobs-own-bo", value)
    for key in (kit["id"], kit["name"]):
        assert owner.get(f"/v1/brands/{key}").status_code == 200
        assert other.get(f"/v1/brands/{key}").status_code == 404
        assert other.delete(f"/v1/brands/{key}").status_code == 404
    for key in (bo.id, bo.name):
        assert owner.get(f"/v1/characters/{key}/passport").status_code == 200
        for path in (f"/v1/characters/{key}", f"/v1/characters/{key}/passport"):
            assert other.get(path).status_code == 404
        assert other.delete(f"/v1/characters/{key}").status_code == 404
    for path in ("/v1/brands", "/v1/characters"):
        assert len(owner.get(path).json()["data"]) == 1
        assert other.get(path).json()["data"] == []
    assert other.post("/v1/brands", json={"name": WORDS, "colour": "#445566"}).status_code == 200
    assert owner.get(f"/v1/brands/{kit['id']}").json()["colour"] == "#112233"

    mine = owner.get("/v1/webhooks").json()
    told = other.get("/v1/webhooks").json()
    assert mine["secret"] != told["secret"]
    assert other.put("/v1/webhooks", json={"url": "https://93.184.216.34/hers"}).status_code == 200
    assert owner.get("/v1/webhooks").json() == mine
