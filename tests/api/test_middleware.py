"""What stands around every route: ids, guarding headers, caps, closed CORS, and a log that keeps secrets."""

from __future__ import annotations

import errno
import json
import logging
import socket
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from pipelines.core.log_setup import REQUEST_ID, JsonFormatter, TextFormatter
from tests.api.support.calls import RUN, make_noise_png
from tests.support.served_app import ServedApp, serve_starlette, wait_until
from ui.api import middleware


@pytest.fixture
def client(studio: ServedApp) -> Iterator[httpx.Client]:
    with studio.open_client() as made:
        yield made


PATHS = ("/healthz", "/metrics", "/v1/tools", "/v1/nothing", "/v1/docs", "/v1/openapi.json", "/nothing", "/s/none")


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_an_id_and_is_guarded(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors" in answer.headers["content-security-policy"]
    assert client.get(path).headers["x-request-id"] != answer.headers["x-request-id"]


def test_a_bug_s_answer_has_its_id_too(client: httpx.Client) -> None:
    answer = client.post(RUN, json={"fault": "bug"}, headers={"X-Request-Id": "mine-1"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "mine-1")


async def _breaks(request: Request) -> Response:
    match request.path_params["how"]:
        case "full":
            raise OSError(errno.ENOSPC, "no room")
        case "late":
            return StreamingResponse(_half())
        case "reads":
            return PlainTextResponse(str(len(await request.body())))
    raise ZeroDivisionError("the plans of bob")


async def _half() -> AsyncIterator[bytes]:
    yield b"half"
    raise ZeroDivisionError


@pytest.fixture(scope="module")
def broken() -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    """A page whose routes break, and what was counted of each answer."""
    told: list[tuple[object, ...]] = []
    around = [Middleware(middleware.RequestGuard, on_answer=lambda *row: told.append(row))]
    app = Starlette(routes=[Route("/{how}", _breaks, methods=["GET", "POST"])], middleware=around)
    with serve_starlette(app) as url:
        yield url, told


@pytest.mark.parametrize(("how", "status", "code"), [("bug", 500, "internal_error"), ("full", 503, "disk_full")])
def test_a_bug_outside_v1_is_told_guarded_and_counted_as_one_inside(
    broken: tuple[str, list[tuple[object, ...]]], how: str, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    url, told = broken
    with caplog.at_level(logging.ERROR):
        answer = httpx.get(f"{url}/{how}", headers={"X-Request-Id": "mine-4"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"] == "mine-4"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "bob" not in answer.text
    wait_until(lambda: bool(told) and told[-1][2:3] + told[-1][4:] == (status, code))
    assert len(caplog.records) == (1 if how == "bug" else 0)


def test_an_answer_that_breaks_half_way_is_cut_and_counted(broken: tuple[str, list[tuple[object, ...]]]) -> None:
    url, told = broken
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{url}/late")
    wait_until(lambda: told[-1][4] == "internal_error")


def test_a_body_that_is_too_large_is_no_bug_of_the_route_that_reads_it(
    broken: tuple[str, list[tuple[object, ...]]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    url, told = broken
    monkeypatch.setattr(middleware, "PAGE_BODY_BYTES", 1000)
    with caplog.at_level(logging.ERROR):
        answer = httpx.post(f"{url}/reads", content=iter([b"x" * 900] * 3))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "image_too_large")
    wait_until(lambda: told[-1][4] == "image_too_large")
    assert not caplog.records


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "<script>", "-a"])
def test_an_id_that_could_do_harm_is_replaced(client: httpx.Client, given: str) -> None:
    assert client.get("/healthz", headers={"X-Request-Id": given}).headers["x-request-id"].startswith("req_")


def test_a_name_that_no_route_can_have_is_not_found_in_our_words(client: httpx.Client) -> None:
    answer = client.get("/v1/files/a%0Ab/content")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_405_names_everything_that_the_address_takes(client: httpx.Client) -> None:
    assert client.put("/v1/jobs/x").headers["allow"] == "DELETE, GET"
    assert client.put("/v1/shares").headers["allow"] == "GET, POST"
    for path in ("/healthz", "/metrics", "/s/x"):
        for method in ("POST", "DELETE", "PATCH"):  # one that HTTP does not know is the server's own: h11 or httptools
            answer = client.request(method, path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed"), path
            assert answer.headers["allow"] == "GET"
        assert client.head(path).status_code == client.get(path).status_code


def test_a_body_over_the_cap_is_told_so_wherever_it_goes(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "PAGE_BODY_BYTES", 1000)
    announced = client.post("/gradio_api/queue/join", content=b"x" * 5000)
    assert (announced.status_code, announced.json()["error"]["code"]) == (413, "image_too_large")
    assert client.post("/gradio_api/queue/join", content=b"x" * 500).status_code == 404


def test_an_announced_flood_on_v1_is_refused_before_it_comes(studio: ServedApp) -> None:
    host, port = studio.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as sent:
        sent.sendall(f"POST {RUN} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99999999999\r\n\r\n".encode())
        assert b"413" in sent.recv(100)


def test_an_error_s_body_names_the_request_as_its_header_does(client: httpx.Client) -> None:
    asked = [
        client.get("/v1/nothing", headers={"X-Request-Id": "mine-3"}),
        client.post(RUN, json={"nonsense": 1}),
        client.post(RUN, json={"fault": "no_face"}),
        client.put("/v1/jobs"),
        client.get("/v1/jobs/job-none"),
    ]
    for answer in asked:
        assert answer.status_code >= 400
        assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"], answer.url
    assert asked[0].json()["error"]["request_id"] == "mine-3"
    with client.stream("POST", f"{RUN}?stream=true", json={"fault": "no_face"}) as stream:
        told = "".join(stream.iter_text())
        assert json.loads(told.rpartition("data: ")[2])["error"]["request_id"] == stream.headers["x-request-id"]
    described = client.get("/v1/openapi.json").json()["components"]["schemas"]["Error"]
    assert "request_id" in described["properties"]["error"]["required"]


# ---------------------------------------------------------------- the log


def format_request_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [JsonFormatter().format(record) for record in caplog.records if record.name == "designerbox.request"]


def test_a_request_is_a_line_without_what_was_asked(client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    def list_requests() -> set[tuple[str, str, int]]:
        rows = map(json.loads, format_request_lines(caplog))
        return {(row["method"], row["route"], row["status"]) for row in rows}

    asked = {
        ("POST", "/v1/files", 200),
        ("POST", "/v1/tools/background", 200),
        ("GET", "/v1/files/{file_id}/content", 200),
    }
    with caplog.at_level(logging.DEBUG):
        sent = client.post("/v1/files", files={"file": ("secret-name.png", make_noise_png())}).json()
        client.post(RUN, json={"prompt": "the plans of ann"}, headers={"X-Request-Id": "mine-2"})
        client.get(f"/v1/files/{sent['id']}/content")
        # A line comes after its answer, and that of a request of the test before may still come.
        wait_until(lambda: asked <= list_requests())
    lines = format_request_lines(caplog)
    ours = [record for record in caplog.records if record.name.startswith(("designerbox", "ui", "pipelines"))]
    said = "".join([*lines, *(TextFormatter().format(record) for record in ours)])
    for secret in ("secret-name", "plans of ann", sent["id"]):
        assert secret not in said


def test_a_client_that_leaves_while_it_sends_is_no_bug(client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    address = (client.base_url.host, client.base_url.port or 80)
    with caplog.at_level(logging.INFO), socket.create_connection(address) as sender:
        head = f"POST {RUN} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nContent-Length: 1000\r\n"
        sender.sendall((head + "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n").encode())
        sender.close()
        # The line of a request of the test before may come here.
        wait_until(lambda: 499 in {json.loads(line)["status"] for line in format_request_lines(caplog)})
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_keys_and_links_never_reach_a_line() -> None:
    record = logging.LogRecord(
        "x", logging.INFO, "", 1, "got %s and /s/%s.99.%s", ("sk-dbx-0123456789abcdef", "0" * 16, "a" * 64), None
    )
    token = REQUEST_ID.set("req_1")
    for form in (TextFormatter(), JsonFormatter()):
        line = form.format(record)
        assert "0123456789abcdef" not in line
        assert "aaaa" not in line
        assert "req_1" in line
    REQUEST_ID.reset(token)


def test_a_failure_in_the_structured_log_quotes_nothing() -> None:
    try:
        raise ValueError("a prompt of somebody")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "", 1, "failed", None, (ValueError, error, error.__traceback__))
    row = json.loads(JsonFormatter().format(record))
    assert (row["error"], row["level"]) == ("ValueError", "error")
    assert "test_middleware.py" in row["where"][0]
    assert "somebody" not in json.dumps(row)
