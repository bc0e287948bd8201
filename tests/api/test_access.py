from __future__ import annotations

import gc
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import gradio as gr
import httpx
import pytest

from pipelines.settings import Settings
from pipelines.storage.database import Database, DatabaseUnavailable
from tests.api.support.calls import read_failure
from tests.support.app_process import find_free_port
from tests.support.served_app import ServedApp, serve_app
from ui.api.auth.access import AccessControl, find_unsafe_setting
from ui.api.auth.keys import SCOPES, KeyStore
from ui.api.auth.visitor_cookie import load_cookie_secret
from ui.gradio_patches.light_start import build_without_app
from ui.server.middleware import remove_gradio_cors

# Gradio leaves event loops and their sockets to the collector.
pytestmark = [pytest.mark.usefixtures("each_database"), pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[KeyStore]:
    made = KeyStore(tmp_path)
    yield made
    made.close()


def call(url: str, headers: dict[str, str]) -> httpx.Response:
    return httpx.get(f"{url}/v1/tools", headers=headers)


# ---------------------------------------------------------------- whether the studio may start


@pytest.mark.parametrize(
    ("settings", "may"),
    [
        (Settings(), True),
        (Settings(host="localhost"), True),
        (Settings(host="::1"), True),
        (Settings(host="0.0.0.0"), False),
        (Settings(host="192.168.1.5"), False),
        (Settings(host="studio.example"), False),
        (Settings(share=True), False),
        (Settings(share=True, auth="ann:secret"), True),
        (Settings(share=True, require_key=True), True),
        (Settings(host="0.0.0.0", auth="ann:secret"), True),
        (Settings(host="0.0.0.0", require_key=True), True),
        (Settings(host="0.0.0.0", spaces=True), True),
        (Settings(auth="ann"), False),
        (Settings(auth="ann:"), False),
        (Settings(auth=":secret"), False),
    ],
    ids=str,
)
def test_strangers_are_let_in_by_a_login_or_a_key_or_not_at_all(settings: Settings, may: bool) -> None:
    assert (find_unsafe_setting(settings) is None) == may


def test_the_refusal_says_what_to_add() -> None:
    sentence = find_unsafe_setting(Settings(host="0.0.0.0"))
    assert sentence is not None
    assert "--auth USER:PASS" in sentence
    assert "--require-key" in sentence
    assert "key new" in sentence


# ---------------------------------------------------------------- keys


@pytest.mark.usefixtures("only_in_a_file")
def test_a_key_is_known_by_its_hash_alone(tmp_path: Path, keys: KeyStore) -> None:
    text = keys.create_key("laptop")
    found = keys.verify_key(text)
    assert found is not None
    assert text.startswith("sk-dbx-")
    assert found.name == "laptop"
    assert all(text[-40:].encode() not in path.read_bytes() for path in tmp_path.iterdir())
    assert (tmp_path / "keys.sqlite3").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("change", [lambda k: k[:-1] + ("0" if k[-1] != "0" else "1"), lambda k: k[:-1], str.upper,
                                    lambda k: k + "\n", lambda k: "", lambda k: "sk-dbx-" + "é" * 60])  # fmt: skip
def test_a_key_that_is_off_by_anything_opens_nothing(keys: KeyStore, change) -> None:
    assert keys.verify_key(change(keys.create_key("laptop"))) is None


def test_a_revoked_key_opens_nothing_and_others_still_do(keys: KeyStore) -> None:
    first, second = keys.create_key("one"), keys.create_key("two")
    known = keys.verify_key(first)
    assert known is not None
    assert keys.revoke_key(known.id)
    assert not keys.revoke_key(known.id)
    assert keys.verify_key(first) is None
    assert keys.verify_key(second) is not None
    assert [key.revoked is None for key in keys.list_keys()] == [False, True]


def test_on_a_full_disk_a_key_still_looks(keyed: ServedApp, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Database) -> None:
        raise DatabaseUnavailable("database or disk is full", full=True)

    key = keyed.keys.create_key("me")
    monkeypatch.setattr(Database, "relaxed_durability", full)
    assert call(keyed.url, {"X-API-Key": key}).status_code == 200


def test_a_key_made_by_another_process_is_known_at_once(tmp_path: Path, keys: KeyStore) -> None:
    other = KeyStore(tmp_path)
    text = other.create_key("by the command line")
    other.close()
    assert keys.verify_key(text) is not None


# ---------------------------------------------------------------- the REST door


@pytest.fixture(scope="module")
def keyed(each_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    root = tmp_path_factory.mktemp("keyed")
    with serve_app(root, settings=Settings(data=root, require_key=True)) as built:
        yield built


@pytest.fixture(scope="module")
def open_house(each_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    with serve_app(tmp_path_factory.mktemp("open")) as built:
        yield built


def test_with_a_key_both_headers_open_the_door(keyed: ServedApp) -> None:
    key = keyed.keys.create_key("me")
    assert call(keyed.url, {"Authorization": f"Bearer {key}"}).status_code == 200
    assert call(keyed.url, {"Authorization": f"bearer  {key}"}).status_code == 200
    assert call(keyed.url, {"X-API-Key": key}).status_code == 200


def test_without_a_key_every_route_but_the_open_three_is_401(keyed: ServedApp) -> None:
    key = keyed.keys.create_key("me")
    for headers in ({}, {"Authorization": "Bearer sk-dbx-nope"}, {"Authorization": key}, {"Cookie": f"key={key}"}):
        answer = call(keyed.url, headers)
        assert read_failure(answer)[:2] == (401, "invalid_api_key")
        assert answer.headers["www-authenticate"] == "Bearer"
    with keyed.open_client(headers={"Content-Type": "application/json"}) as stranger:
        for path, routes in stranger.get("/v1/openapi.json").json()["paths"].items():
            for method in routes:  # with other bodies: test_fuzz.py
                assert stranger.request(method, f"/v1{path}", content=b"{bad").status_code == 401, (method, path)
    for path in ("/healthz", "/v1/docs", "/v1/docs/swagger-ui.css", "/v1/openapi.json"):
        assert httpx.get(keyed.url + path).status_code == 200


@pytest.mark.parametrize("path", ["/v1/keys", "/v1/keys/x", "/v1/shares", "/v1/reports"])
def test_without_a_key_no_byte_of_a_body_is_waited_for_and_with_one_few_are(keyed: ServedApp, path: str) -> None:
    host, port = keyed.url.removeprefix("http://").split(":")
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 9999999\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=5) as sent:
        sent.sendall(head.encode())
        assert b" 401 " in sent.recv(100)
    headers = {"X-API-Key": keyed.keys.create_key("all", SCOPES), "Content-Type": "application/json"}
    flood = httpx.post(keyed.url + path, content=iter([b'{"name": "', b"x" * 100_000, b'"}']), headers=headers)
    assert read_failure(flood)[:2] == (413, "image_too_large")


@pytest.mark.parametrize(
    "settings", [Settings(share=True, auth="a:b"), Settings(host="0.0.0.0", spaces=True), Settings(auth="a:b")], ids=str
)
def test_v1_needs_a_key_in_public_on_spaces_and_behind_a_login(
    settings: Settings, keys: KeyStore, tmp_path: Path
) -> None:
    assert AccessControl(settings.model_copy(update={"data": tmp_path}), keys).needs_key


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[broken"},
        {"Origin": "http://127.0.0.1:1"},
        {"Host": "evil.example"},
        {"Host": "[broken"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_pages_of_other_sites_cannot_use_an_open_studio(open_house: ServedApp, headers: dict[str, str]) -> None:
    assert read_failure(call(open_house.url, headers))[:2] == (401, "invalid_api_key")


@pytest.mark.parametrize(
    "headers", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Authorization": "Bearer whatever"}], ids=str
)
def test_scripts_and_the_studios_own_page_can(open_house: ServedApp, headers: dict[str, str]) -> None:
    assert call(open_house.url, headers).status_code == 200
    assert call(open_house.url, {"Origin": open_house.url}).status_code == 200


def test_a_key_opens_from_any_page(open_house: ServedApp) -> None:
    headers = {"Authorization": f"Bearer {open_house.keys.create_key('me')}", "Origin": "https://elsewhere.example"}
    assert call(open_house.url, headers).status_code == 200


# ---------------------------------------------------------------- the page


@contextmanager
def serve_who_page(root: Path, settings: Settings) -> Iterator[tuple[str, KeyStore]]:
    """A Gradio page of one event, `who`, that tells the visitor's owner; launched as the studio's page is."""
    # Gradio sums up all its calls after each one with pandas, for a page that nobody asks for.
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000"
    with serve_app(root, settings=settings) as house:
        access = AccessControl(settings, house.keys)
        studio = replace(house.studio, access=access)

        def who(request: gr.Request) -> str:
            return access.identify_visitor(request)

        gc.freeze()  # so that the collection at the end looks at the page alone
        with build_without_app(), gr.Blocks(analytics_enabled=False) as demo:
            told = gr.Textbox()
            gr.Button().click(who, None, told, api_name="who")
        _, url, _ = demo.launch(
            prevent_thread_lock=True,
            server_port=find_free_port(),
            quiet=True,
            server_name="127.0.0.1",
            ssr_mode=False,
            auth=access.make_gradio_auth(),
            app_kwargs={"routes": studio.build_routes(), "middleware": studio.build_middleware()},
        )
        remove_gradio_cors(demo.app)
        try:
            yield url, house.keys
        finally:
            demo.close(verbose=False)
    del demo
    gc.collect()


@contextmanager
def page(root: Path, settings: Settings) -> Iterator[tuple[httpx.Client, KeyStore]]:
    """A visitor of such a page, and its keys."""
    with serve_who_page(root, settings) as (url, keys), httpx.Client(base_url=url, timeout=30) as client:
        yield client, keys


@pytest.fixture(scope="module")
def key_page(each_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, KeyStore]]:
    """A page that a key opens."""
    root = tmp_path_factory.mktemp("key-page")
    with serve_who_page(root, Settings(data=root, require_key=True, host="0.0.0.0")) as served:
        yield served


@pytest.fixture
def locked(key_page: tuple[str, KeyStore]) -> Iterator[tuple[httpx.Client, KeyStore]]:
    with httpx.Client(base_url=key_page[0], timeout=30) as client:
        yield client, key_page[1]


@pytest.fixture(scope="module")
def loopback_page(each_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("loopback-page")
    with serve_who_page(root, Settings(data=root)) as (url, _):
        yield url


@pytest.fixture
def at_home(loopback_page: str) -> Iterator[httpx.Client]:
    """A visitor of a page that only this machine reaches."""
    with httpx.Client(base_url=loopback_page, timeout=30) as client:
        yield client


def who(client: httpx.Client) -> str:
    """The owner that the page's event sees."""
    made = client.post("/gradio_api/call/who", json={"data": []})
    assert made.status_code == 200, made.text
    told = client.get(f"/gradio_api/call/who/{made.json()['event_id']}").text
    return told.split('data: ["')[1].split('"]')[0]


def test_on_loopback_page_and_keyless_api_are_one_owner(at_home: httpx.Client) -> None:
    answer = at_home.get("/", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert "dbx_visitor" not in answer.cookies
    assert who(at_home) == "local"


def test_on_spaces_each_visitor_is_somebody_and_nobody_can_pretend(tmp_path: Path) -> None:
    with page(tmp_path, Settings(data=tmp_path, host="0.0.0.0", spaces=True)) as (client, _):
        header = client.get("/").headers["set-cookie"]
        assert "HttpOnly" in header
        first = who(client)
        assert first.startswith("visitor:")
        assert "set-cookie" not in client.get("/").headers
        assert who(client) == first

        client.cookies.clear()
        framed = client.get("/", headers={"X-Forwarded-Proto": "https"}).headers["set-cookie"]
        assert all(word in framed for word in ("SameSite=None", "Secure", "Partitioned"))

        client.cookies.clear()
        assert who(client) != first
        client.cookies.set("dbx_visitor", f"{first}.{'0' * 64}")
        assert who(client) != first
        assert client.get("/v1/tools").status_code == 401


def test_with_a_key_alone_the_pages_password_is_a_key_and_its_owner_the_keys(
    locked: tuple[httpx.Client, KeyStore],
) -> None:
    client, keys = locked
    key = keys.create_key("ann")
    known = keys.verify_key(key)
    assert known is not None
    assert client.post("/gradio_api/call/who", json={"data": []}).status_code == 401
    assert client.post("/login", data={"username": "ann", "password": "wrong"}).status_code == 400
    assert client.post("/login", data={"username": "whoever", "password": key}).status_code == 200
    assert who(client) == known.owner


def test_a_page_that_was_opened_with_a_key_ends_with_the_key(locked: tuple[httpx.Client, KeyStore]) -> None:
    client, keys = locked
    key = keys.create_key("ann")
    known = keys.verify_key(key)
    assert known is not None
    client.post("/login", data={"username": "ann", "password": key})
    assert who(client) == known.owner
    keys.revoke_key(known.id)
    assert client.post("/gradio_api/call/who", json={"data": []}).status_code == 401
    assert client.get("/gradio_api/user").json() is None
    other = keys.create_key("bob")
    assert client.post("/login", data={"username": "bob", "password": other}).status_code == 200
    assert who(client) != known.owner


def test_without_the_cookie_of_its_key_a_login_is_worth_nothing(locked: tuple[httpx.Client, KeyStore]) -> None:
    client, keys = locked
    client.post("/login", data={"username": "ann", "password": keys.create_key("ann")})
    client.cookies.delete("dbx_visitor")
    assert client.post("/gradio_api/call/who", json={"data": []}).status_code == 401
    for scope in SCOPES:
        few = keys.create_key("few", [scope])
        assert client.post("/login", data={"username": "x", "password": few}).status_code == 400


def test_no_other_site_s_page_may_read_what_the_page_answers(at_home: httpx.Client) -> None:
    headers = {"Origin": "https://evil.example", "Host": "studio.example"}
    for path in ("/config", "/v1/tools", "/healthz"):
        answer = at_home.get(path, headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control-allow")], path
    asked = {**headers, "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in at_home.options("/gradio_api/queue/join", headers=asked).headers


def test_with_a_login_the_page_opens_to_the_password_alone(tmp_path: Path) -> None:
    with page(tmp_path, Settings(data=tmp_path, auth="ann:se:cret", host="0.0.0.0")) as (client, keys):
        for path in ("/healthz", "/v1/docs", "/v1/openapi.json"):
            assert client.get(path).status_code == 200, path
        assert read_failure(client.get("/v1/tools"))[:2] == (401, "invalid_api_key")
        assert read_failure(client.get("/metrics"))[:2] == (401, "invalid_api_key")
        assert read_failure(client.post("/healthz"))[:2] == (405, "method_not_allowed")
        assert client.post("/login", data={"username": "ann", "password": keys.create_key("x")}).status_code == 400
        assert client.post("/login", data={"username": "ann", "password": "se:cret"}).status_code == 200
        assert who(client) == "user:ann"


def test_the_secret_that_signs_visitors_is_kept_and_is_private(tmp_path: Path) -> None:
    first, second = load_cookie_secret(tmp_path), load_cookie_secret(tmp_path)
    assert (tmp_path / "visitors.secret").stat().st_mode & 0o077 == 0
    assert first == second
