from __future__ import annotations

import ipaddress
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from pipelines.core.errors import BadInput
from pipelines.jobs import webhooks
from pipelines.security import ssrf_guard
from pipelines.settings import Settings
from pipelines.storage.database import DatabaseUnavailable
from tests.api.test_mcp import run
from tests.support.served_app import ServedApp, serve_app, wait_until


@dataclass
class Receiver:
    """A server of somebody's own: what it was sent, and what it answers next."""

    url: str = ""
    got: list[tuple[dict[str, str], str]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)


@contextmanager
def receiving() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            made.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status, headers = made.answers.pop(0) if made.answers else (204, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}/told"
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@dataclass
class OwnersStudio(ServedApp):
    """The studio that the tests share, as one owner sees it."""

    key: str

    def open_client(self, **options: Any) -> httpx.Client:
        """A client with the owner's key, or with the headers in `options`."""
        return super().open_client(**{"headers": {"X-API-Key": self.key}, **options})


@pytest.fixture(scope="module")
def shared_studio(each_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    root = tmp_path_factory.mktemp("studio")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(webhooks, "FIRST_RETRY_SECONDS", 0.02)
        patch.setattr(webhooks, "POLL_SECONDS", 0.05)
        with serve_app(root, settings=Settings(data=root, webhooks_private=True)) as made:
            yield made


@pytest.fixture
def studio(shared_studio: ServedApp) -> OwnersStudio:
    """For an owner who is new: addresses, deliveries and secrets are each owner's own."""
    return OwnersStudio(**vars(shared_studio), key=shared_studio.keys.create_key("new here"))


def begun(studio: ServedApp, receiver: Receiver, **more: Any) -> str:
    with studio.open_client() as http:
        params = {"webhook": receiver.url, "wait": "false"}
        answer = http.post("/v1/tools/background", json={"prompt": "a", **more}, params=params)
    assert "id" in answer.json(), answer.text
    return answer.json()["id"]


def state(studio: ServedApp) -> dict[str, Any]:
    with studio.open_client() as http:
        return http.get("/v1/webhooks").json()


def test_the_end_of_a_job_is_told_signed_as_standard_webhooks_are(studio: OwnersStudio, receiver: Receiver) -> None:
    job_id = begun(studio, receiver)
    wait_until(lambda: bool(receiver.got))
    headers, body = receiver.got[0]
    told = json.loads(body)
    assert (told["type"], told["data"]["id"], told["data"]["status"]) == ("job.done", job_id, "done")
    assert Webhook(state(studio)["secret"]).verify(body, headers) == told
    with pytest.raises(WebhookVerificationError):
        Webhook(state(studio)["secret"]).verify(body.replace(job_id, "job-other"), headers)
    wait_until(lambda: state(studio)["deliveries"][0]["state"] == "sent")
    assert len(receiver.got) == 1


@pytest.mark.parametrize("fault", ["no_face", "bug"])
def test_a_job_that_fails_is_told_too(studio: OwnersStudio, receiver: Receiver, fault: str) -> None:
    begun(studio, receiver, fault=fault)
    wait_until(lambda: bool(receiver.got))
    assert json.loads(receiver.got[0][1])["type"] == "job.failed"


def test_who_does_not_listen_is_told_again_the_same_under_the_same_id(studio: OwnersStudio, receiver: Receiver) -> None:
    receiver.answers = [(500, {}), (404, {}), (200, {})]
    begun(studio, receiver)
    wait_until(lambda: len(receiver.got) == 3)
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert len({body for _, body in receiver.got}) == 1
    wait_until(lambda: state(studio)["deliveries"][0]["state"] == "sent")
    assert state(studio)["deliveries"][0]["tries"] == 3


def test_who_is_gone_is_left_alone_and_who_never_answers_is_given_up(
    studio: OwnersStudio, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "MAX_TRY_COUNT", 3)
    receiver.answers = [(410, {})]
    begun(studio, receiver)
    wait_until(lambda: state(studio)["deliveries"][0]["state"] == "gone")
    receiver.answers = [(503, {})] * 9
    begun(studio, receiver)
    wait_until(lambda: state(studio)["deliveries"][0]["state"] == "failed")
    assert len(receiver.got) == 1 + 3


def test_a_database_that_fails_costs_no_delivery_and_ends_no_thread(
    studio: OwnersStudio, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "LEASE_SECONDS", 0.1)
    failures = [DatabaseUnavailable("disk I/O error") for _ in range(2 * webhooks.MAX_WORKER_COUNT)]
    get_secret = webhooks.Webhooks.signing_secret

    def fail_first(self: webhooks.Webhooks, owner: str) -> str:
        if failures:
            raise failures.pop()
        return get_secret(self, owner)

    monkeypatch.setattr(webhooks.Webhooks, "signing_secret", fail_first)
    begun(studio, receiver)
    wait_until(lambda: bool(receiver.got))
    assert failures == []


def test_waits_grow_and_are_never_the_same_for_all() -> None:
    waits = [[webhooks.retry_delay(tries) for _ in range(40)] for tries in (1, 4, 9, 30)]
    assert [max(row) <= bound for row, bound in zip(waits, (5, 135, 21600, 21600), strict=True)] == [True] * 4
    assert max(waits[0]) < min(waits[1]) < min(waits[2])
    assert all(len(set(row)) > 30 for row in waits)


@pytest.mark.usefixtures("each_database")
def test_no_restart_loses_one(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "POLL_SECONDS", 0.05)
    settings = Settings(data=tmp_path, webhooks_private=True)
    with serve_app(tmp_path, settings=settings) as first:
        first.gate.open.clear()
        job_id = begun(first, receiver)
    assert receiver.got == []
    with serve_app(tmp_path, settings=settings):
        wait_until(lambda: bool(receiver.got))
    assert json.loads(receiver.got[0][1])["data"]["id"] == job_id


@pytest.mark.parametrize("how", ["metadata", "query", "header", "default"])
def test_a_batch_tells_its_end(studio: OwnersStudio, receiver: Receiver, how: str) -> None:
    line = {"custom_id": "a", "method": "POST", "url": "/v1/tools/background", "body": {"prompt": "a"}}
    asked: dict[str, Any] = {"endpoint": "/v1/tools/background", "completion_window": "24h"}
    with studio.open_client() as http:
        if how == "default":
            assert http.put("/v1/webhooks", json={"url": receiver.url}).json()["url"] == receiver.url
        files = {"file": ("in.jsonl", json.dumps(line).encode())}
        asked["input_file_id"] = http.post("/v1/files", files=files, data={"purpose": "batch"}).json()["id"]
        params = {"webhook": receiver.url} if how == "query" else {}
        headers = {"X-Webhook-URL": receiver.url} if how == "header" else {}
        if how == "metadata":
            asked["metadata"] = {"webhook": receiver.url}
        batch = http.post("/v1/batches", json=asked, params=params, headers=headers).json()
    wait_until(lambda: bool(receiver.got))
    told = json.loads(receiver.got[0][1])
    assert (told["type"], told["data"]["id"]) == ("batch.completed", batch["id"])
    assert told["data"]["output_file_id"]


def test_what_an_agent_orders_is_told_to_the_default_address(studio: OwnersStudio, receiver: Receiver) -> None:
    with studio.open_client() as http:
        http.put("/v1/webhooks", json={"url": receiver.url})
    answer = run(studio, "background", {"prompt": "a"}, studio.key)
    wait_until(lambda: bool(receiver.got))
    told = json.loads(receiver.got[0][1])
    assert (told["type"], told["data"]["id"]) == ("job.done", answer["structuredContent"]["id"])


def test_a_job_that_names_its_own_address_tells_no_other(studio: OwnersStudio, receiver: Receiver) -> None:
    with studio.open_client() as http:
        http.put("/v1/webhooks", json={"url": f"{receiver.url}-default"})
    begun(studio, receiver)
    wait_until(lambda: state(studio)["deliveries"][0]["state"] == "sent")
    assert [row["url"] for row in state(studio)["deliveries"]] == [receiver.url]


def test_a_key_that_only_looks_is_not_told_the_secret(studio: OwnersStudio) -> None:
    text = studio.keys.create_key("both", ("read", "create"))
    key = studio.keys.verify_key(text)
    assert key is not None
    with studio.open_client(headers={"X-API-Key": text}) as client:
        assert client.get("/v1/webhooks").json()["secret"].startswith("whsec_")
        studio.keys.change_key(key.id, "looks", ("read",), key.limits)
        told = client.get("/v1/webhooks")
    assert "whsec_" not in told.text
    assert set(told.json()) == {"object", "url", "deliveries"}


def test_secrets_and_deliveries_are_each_owners_own(studio: OwnersStudio, receiver: Receiver) -> None:
    begun(studio, receiver)
    key = studio.keys.create_key("somebody")
    with studio.open_client(headers={"X-API-Key": key}) as http:
        theirs = http.get("/v1/webhooks").json()
    assert theirs["deliveries"] == []
    assert theirs["secret"] != state(studio)["secret"]
    assert state(studio)["secret"] == state(studio)["secret"]


# ---------------------------------------------------------------- where it may not lead


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://localhost:7860/", "http://10.0.0.1/", "http://192.168.1.1/", "http://172.16.0.1/",
        "http://169.254.169.254/latest/meta-data", "http://[::1]/", "http://[fd00::1]/", "http://[fe80::1]/",
        "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://0.0.0.0/",
        "http://2130706433/", "http://0x7f.1/", "http://100.64.0.1/", "http://224.0.0.1/", "http://255.255.255.255/",
        "ftp://example.com/", "file:///etc/passwd", "gopher://127.0.0.1/", "//example.com", "http://",
        "http://a:b@8.8.8.8/", "http://8.8.8.8:99999/", "http://no-such-name.invalid/", "http://8.8.8.8/\r\nX: 1",
        "http://8.8.8.8/" + "a" * 2000,
    ],
)  # fmt: skip
def test_no_address_leads_into_the_house(url: str) -> None:
    with pytest.raises(BadInput) as caught:
        ssrf_guard.resolve_target(url)
    assert caught.value.param == "webhook"


def test_public_addresses_pass_and_are_called_by_the_address_that_was_checked() -> None:
    assert ssrf_guard.resolve_target("https://8.8.8.8:8443/a?b=c").pinned_url == "https://8.8.8.8:8443/a?b=c"
    assert ssrf_guard.resolve_target("http://[2606:4700::1111]/").pinned_url == "http://[2606:4700::1111]:80/"


def names(monkeypatch: pytest.MonkeyPatch, *found: str) -> list[str]:
    """Every name leads to `found`; the names that were looked up."""
    asked: list[str] = []

    def look(host: str, port: int, **_: object) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in found]

    monkeypatch.setattr(ssrf_guard.socket, "getaddrinfo", look)
    return asked


def test_one_private_address_among_public_ones_is_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, "8.8.8.8", "127.0.0.1")
    with pytest.raises(BadInput):
        ssrf_guard.resolve_target("http://example.com/")


def test_a_name_is_looked_up_once_and_the_call_goes_there(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    port = receiver.url.split(":")[2].split("/")[0]
    target = ssrf_guard.resolve_target(f"http://127.0.0.1:{port}/", private=True)
    monkeypatch.setattr(
        ssrf_guard,
        "resolve_target",
        lambda url, private: ssrf_guard.ResolvedTarget(url, f"rebound.test:{port}", target.pinned_url),
    )
    assert ssrf_guard.post_guarded(f"http://rebound.test:{port}/", b"x", {}) == 204
    assert receiver.got[0][0]["host"] == f"rebound.test:{port}"


def test_a_redirect_is_checked_anew_before_it_is_followed(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ipaddress.ip_address("127.0.0.1")
    monkeypatch.setattr(ssrf_guard, "is_public_address", lambda address: address == first)
    receiver.answers = [(307, {"Location": "/again"}), (200, {}), (308, {"Location": "http://127.0.0.2:1/"})]
    assert ssrf_guard.post_guarded(receiver.url, b"x", {}) == 200
    with pytest.raises(BadInput):
        ssrf_guard.post_guarded(receiver.url, b"x", {})
    receiver.answers = [(302, {"Location": "/again"})]
    assert ssrf_guard.post_guarded(receiver.url, b"x", {}) == 302
    receiver.answers = [(307, {"Location": "/again"})] * 9
    assert ssrf_guard.post_guarded(receiver.url, b"x", {}) == 307
    assert len(receiver.got) == 2 + 1 + 1 + ssrf_guard.MAX_HOP_COUNT


@pytest.mark.usefixtures("each_database")
def test_the_door_refuses_what_is_not_public_and_starts_nothing(tmp_path: Path, receiver: Receiver) -> None:
    with serve_app(tmp_path) as studio, studio.open_client() as http:
        answer = http.post("/v1/tools/background", json={"prompt": "a"}, params={"webhook": receiver.url})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "webhook")
        assert http.put("/v1/webhooks", json={"url": receiver.url}).status_code == 400
        assert http.get("/v1/jobs").json()["data"] == []


def test_who_answers_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssrf_guard, "CALL_TIMEOUT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(OSError, match="Timeout"):
        ssrf_guard.post_guarded(f"http://127.0.0.1:{server.getsockname()[1]}/", b"x", {}, private=True)
