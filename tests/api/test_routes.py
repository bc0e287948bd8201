from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import cv2
import httpx
import numpy as np
import PIL.Image
import pytest

from pipelines.core.errors import STATUS_BY_CODE, PolicyRefusal
from pipelines.security.content_filter import INPUT_REFUSED
from pipelines.storage.file_index import decode_png, pixels_sha256
from tests.api.support.calls import FOREVER, RUN, make_data_url, make_noise_png, read_failure
from tests.support.hostile_pictures import HOSTILE_FILE_NAMES, LINK_LOCAL_URL, PASSWD_JSON
from tests.support.served_app import ServedApp, wait_until
from ui.api import request_parsing
from ui.i18n import is_translated


def events(answer: httpx.Response) -> Iterator[tuple[str, int | None, dict[str, Any]]]:
    """Event, id and data of a stream, as they come."""
    found: dict[str, str] = {}
    for line in answer.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            found[name] = value
        else:
            yield found["event"], int(found["id"]) if "id" in found else None, json.loads(found["data"])
            found = {}


# ---------------------------------------------------------------- what there is


def test_health_has_the_fields_of_the_contract(client: httpx.Client) -> None:
    health = client.get("/healthz").json()
    assert set(health) == {"status", "engine", "device", "profile", "reason", "resident", "queue"}
    assert health["reason"].endswith(".")
    assert health["queue"] == {"running": 0, "waiting": 0}


def test_every_field_of_every_tool_says_its_kind(client: httpx.Client) -> None:
    (tool,) = client.get("/v1/tools").json()["data"]
    assert {"id", "title", "params"} <= set(tool)
    assert all("x-kind" in row for row in tool["params"]["properties"].values())


def test_models_are_the_tools_and_name_their_checkpoints_licences(client: httpx.Client) -> None:
    models = client.get("/v1/models").json()
    assert [row["id"] for row in models["data"]] == ["background"]
    assert all(row["licence"] for row in models["checkpoints"])
    assert all(row["commercial_ok"] for row in models["checkpoints"]), "others are hidden until they are asked for"
    rows = {row["id"]: (row["licence_state"], row["cap_confirmed"]) for row in models["checkpoints"]}
    assert rows["krea-2-turbo"] == ("capped", False)
    assert rows["klein"] == ("commercial", None)


def test_the_documentation_lists_every_code_of_every_route(client: httpx.Client) -> None:
    schema = client.get("/v1/openapi.json").json()
    run = schema["paths"]["/tools/background"]["post"]
    listed = {
        code for row in run["responses"].values() for code in row["description"].removeprefix("code: ").split(", ")
    }
    assert set(STATUS_BY_CODE) <= listed
    for path in schema["paths"].values():
        assert all({"401", "404", "405", "422", "500"} <= set(route["responses"]) for route in path.values())
    assert set(run["requestBody"]["content"]) == {"multipart/form-data", "application/json"}


def test_the_documentation_page_asks_no_other_host(client: httpx.Client) -> None:
    page = client.get("/v1/docs")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "//" not in page.text.replace("<!doctype", "")
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "start.js", "favicon.png"):
        assert client.get(f"/v1/docs/{name}").status_code == 200
    assert client.get("/v1/docs/other.js").status_code == 404


# ---------------------------------------------------------------- running a tool


def test_a_call_waits_and_answers_with_the_job_object(client: httpx.Client) -> None:
    answer = client.post(RUN, json={"seed": 7})
    job = answer.json()
    assert answer.status_code == 200
    assert {"id", "status", "tool", "progress", "files", "receipt", "error"} <= set(job)
    assert (job["status"], job["tool"], job["progress"], job["error"]) == ("done", "background", 1.0, None)
    (file,) = job["files"]
    assert {"id", "url", "role", "width", "height", "format"} == set(file)
    content = client.get(file["url"])
    pixels = decode_png(np.frombuffer(content.content, np.uint8))
    assert content.headers["content-type"] == "image/png"
    assert pixels_sha256(pixels) == job["receipt"]["files"][0]["pixels_sha256"]


def test_a_picture_is_the_same_as_file_part_data_url_and_file_id(client: httpx.Client) -> None:
    sent = client.post("/v1/files", files={"file": ("a.png", make_noise_png())}, data={"purpose": "vision"}).json()
    ways = (
        client.post(RUN, files={"photo": ("b.png", make_noise_png())}),
        client.post(RUN, json={"photo": make_data_url(make_noise_png())}),
        client.post(RUN, json={"photo": sent["id"]}),
        client.post(RUN, data={"photo": sent["id"]}),
    )
    hashes = {answer.json()["receipt"]["inputs"][0]["sha256"] for answer in ways}
    assert hashes == {sent["sha256"]}


def test_repeated_parts_and_json_lists_fill_a_field_of_pictures(client: httpx.Client) -> None:
    parts = [("photos", ("a.png", make_noise_png(1))), ("photos", ("b.png", make_noise_png(2)))]
    by_parts = client.post(RUN, files=parts).json()["receipt"]["params"]["photos"]
    by_list = client.post(
        RUN, json={"photos": [make_data_url(make_noise_png(1)), make_data_url(make_noise_png(2))]}
    ).json()
    assert len(by_parts) == 2
    assert by_list["receipt"]["params"]["photos"] == by_parts


def test_of_several_pictures_the_one_that_the_content_check_refuses_is_named(
    here: ServedApp, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads, refused = here.service.uploads, make_noise_png(2)
    plain = uploads.ingest_picture

    def ingest(data: bytes, owner: str, name: str = "") -> tuple[str, tuple[str, ...]]:
        if data == refused:
            raise PolicyRefusal(INPUT_REFUSED)
        return plain(data, owner, name)

    monkeypatch.setattr(uploads, "ingest_picture", ingest)
    answer = client.post(RUN, files=[("photos", ("a.png", make_noise_png(1))), ("photos", ("b.png", refused))])
    assert read_failure(answer) == (400, "content_policy", "photos")
    assert answer.json()["error"]["message"] == f"Photo 2: {INPUT_REFUSED}"
    assert is_translated(f"Photo 2: {INPUT_REFUSED}")
    alone = client.post(RUN, files=[("photos", ("b.png", refused))])
    assert alone.json()["error"]["message"] == INPUT_REFUSED, "one picture needs no number"


def test_steps_is_another_name_for_num_inference_steps(client: httpx.Client) -> None:
    for body in ({"data": {"steps": "5"}}, {"files": {"steps": (None, "5")}}, {"json": {"steps": 5}}):
        job = client.post(RUN, **body).json()  # pyrefly: ignore[bad-argument-type]
        assert job["receipt"]["params"]["num_inference_steps"] == 5
    assert read_failure(client.post(RUN, json={"steps": 5, "num_inference_steps": 5}))[0] == 422


def test_an_empty_part_is_nothing_chosen(client: httpx.Client) -> None:
    answer = client.post(RUN, data={"seed": "", "prompt": ""}, files={"photo": ("", b"")})
    assert answer.status_code == 200
    assert answer.json()["receipt"]["params"]["photo"] is None


def test_without_waiting_the_answer_is_202_and_the_job_goes_on(here: ServedApp, client: httpx.Client) -> None:
    here.gate.open.clear()
    answer = client.post(RUN + "?wait=false", json={})
    assert answer.status_code == 202
    assert answer.json()["status"] in ("queued", "running")
    here.gate.open.set()
    wait_until(lambda: client.get(answer.headers["location"]).json()["status"] == "done")


def test_a_job_that_fails_has_its_codes_status_and_is_an_envelope_too(client: httpx.Client) -> None:
    answer = client.post(RUN, json={"fault": "no_face"})
    assert read_failure(answer) == (400, "no_face", "photo")
    assert answer.json()["status"] == "failed"
    kept = client.get(f"/v1/jobs/{answer.json()['id']}").json()["error"]
    assert {**kept, "request_id": answer.headers["x-request-id"]} == answer.json()["error"]
    assert read_failure(client.post(RUN, json={"fault": "bug"})) == (500, "internal_error", None)
    assert client.post(RUN, json={}).status_code == 200


# ---------------------------------------------------------------- streams


def test_a_stream_tells_queued_then_steps_then_the_result(client: httpx.Client) -> None:
    with client.stream("POST", RUN + "?stream=true", json={"steps": 4}) as answer:
        told = list(events(answer))
    assert answer.headers["content-type"].startswith("text/event-stream")
    names = [name for name, _, _ in told]
    assert names[0] == "queued"
    assert names[-1] == "result"
    drawing = [data for name, _, data in told if name == "step" and data["stage"] == "Drawing"]
    assert [(row["index"], row["total"]) for row in drawing] == [(n, 4) for n in (1, 2, 3, 4)]
    # A reader that is slow loses older previews, never a step.
    shown = next(row["preview"] for row in drawing if row["preview"])
    preview = base64.b64decode(shown.removeprefix("data:image/jpeg;base64,"))
    assert cv2.imdecode(np.frombuffer(preview, np.uint8), cv2.IMREAD_COLOR) is not None
    ids = [event_id for _, event_id, _ in told if event_id is not None]
    assert ids == sorted(set(ids))
    assert told[-1][2]["status"] == "done"
    assert told[0][2]["id"] == told[-1][2]["id"]


def test_a_stream_of_a_job_that_fails_ends_with_the_error(client: httpx.Client) -> None:
    with client.stream("POST", RUN + "?stream=true", json={"fault": "no_face"}) as answer:
        name, _, data = list(events(answer))[-1]
    assert (name, data["error"]["code"]) == ("error", "no_face")


def test_events_can_be_attached_at_any_time_and_go_on_from_the_last_id(here: ServedApp, client: httpx.Client) -> None:
    here.gate.pause = 0.02
    job = client.post(RUN + "?wait=false", json={"steps": 30}).json()
    with client.stream("GET", f"/v1/jobs/{job['id']}/events") as answer:
        seen = next(number for name, number, _ in events(answer) if name == "step" and number and number >= 5)
    assert client.get(f"/v1/jobs/{job['id']}").json()["status"] == "running"
    with client.stream("GET", f"/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": str(seen)}) as answer:
        told = list(events(answer))
    assert min(number for name, number, _ in told if name == "step" and number) > seen
    assert told[-1][2]["status"] == "done"
    with client.stream("GET", f"/v1/jobs/{job['id']}/events") as answer:
        assert [name for name, _, _ in events(answer)] == ["result"]


# ---------------------------------------------------------------- cancelling


def test_a_waiting_caller_that_leaves_stops_its_job(here: ServedApp, client: httpx.Client) -> None:
    here.gate.pause = 0.1
    with pytest.raises(httpx.ReadTimeout):
        client.post(RUN, json=FOREVER, timeout=httpx.Timeout(30, read=0.4))
    wait_until(here.is_idle, 30)
    assert client.get("/v1/jobs?limit=1").json()["data"][0]["status"] == "cancelled"


def test_a_streaming_caller_that_leaves_stops_its_job(here: ServedApp, client: httpx.Client) -> None:
    here.gate.pause = 0.1
    with client.stream("POST", RUN + "?stream=true", json=FOREVER) as answer:
        next(name for name, _, _ in events(answer) if name == "step")
    wait_until(here.is_idle, 30)
    assert client.get("/v1/jobs?limit=1").json()["data"][0]["status"] == "cancelled"


def test_a_caller_that_leaves_while_it_waits_in_line_gives_up_its_place(here: ServedApp, client: httpx.Client) -> None:
    here.gate.open.clear()
    running = client.post(RUN + "?wait=false", json={}).json()
    wait_until(lambda: here.service.jobs.count_jobs() == (1, 0))  # it has left the line
    with client.stream("POST", RUN + "?stream=true", json={}) as answer:
        name, _, data = next(events(answer))
        assert (name, data["position"]) == ("queued", 1)
    wait_until(lambda: here.service.jobs.count_jobs() == (1, 0))
    assert client.get(f"/v1/jobs/{running['id']}").json()["status"] == "running"


def test_a_watcher_that_leaves_only_detaches(here: ServedApp, client: httpx.Client) -> None:
    here.gate.pause = 0.01
    job = client.post(RUN + "?wait=false", json={"steps": 60}).json()
    with client.stream("GET", f"/v1/jobs/{job['id']}/events") as answer:
        next(events(answer))
    wait_until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["status"] == "done")


def test_delete_stops_a_job_and_says_so(here: ServedApp, client: httpx.Client) -> None:
    here.gate.pause = 0.05
    job = client.post(RUN + "?wait=false", json=FOREVER).json()
    wait_until(lambda: here.gate.entered > 0)
    assert client.delete(f"/v1/jobs/{job['id']}").json()["status"] == "cancelled"
    with client.stream("GET", f"/v1/jobs/{job['id']}/events") as answer:
        ((name, _, data),) = events(answer)
    assert (name, data["status"]) == ("result", "cancelled")
    done = client.post(RUN, json={}).json()
    assert client.delete(f"/v1/jobs/{done['id']}").json()["status"] == "done"


def test_of_twenty_one_runs_sixteen_wait_in_order_and_three_are_refused(here: ServedApp, client: httpx.Client) -> None:
    here.gate.open.clear()
    answers = [client.post(RUN + "?wait=false", json={"seed": n}) for n in range(20)]
    assert [answer.status_code for answer in answers] == [202] * 17 + [429] * 3
    assert read_failure(answers[-1])[1] == "queue_full"
    assert int(answers[-1].headers["retry-after"]) > 0
    jobs = [client.get(answer.headers["location"]).json() for answer in answers[:17]]
    assert [job["position"] for job in jobs] == list(range(17))
    assert client.get("/healthz").json()["queue"] == {"running": 1, "waiting": 16}
    here.gate.open.set()
    wait_until(here.is_idle)


def test_callers_at_once_all_get_their_own_result(here: ServedApp) -> None:
    def one(seed: int) -> int:
        with here.open_client() as client:
            return client.post(RUN, json={"seed": seed}).json()["receipt"]["seed"]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(8))) == list(range(8))


# ---------------------------------------------------------------- lists


def test_jobs_are_listed_newest_first_page_by_page(client: httpx.Client) -> None:
    made = [client.post(RUN, json={}).json()["id"] for _ in range(3)]
    first = client.get("/v1/jobs?limit=2").json()
    assert [job["id"] for job in first["data"]] == made[:0:-1]
    assert first["has_more"]
    after = client.get(f"/v1/jobs?limit=1&after={first['last_id']}").json()
    assert after["data"][0]["id"] == made[0]
    assert read_failure(client.get("/v1/jobs?after=job-nobodys"))[1] == "not_found"
    assert read_failure(client.get("/v1/jobs?limit=0")) == (422, "invalid_request", "limit")


# ---------------------------------------------------------------- bad input

SECRET = "tell-nobody"


@pytest.mark.parametrize(
    "body",
    [
        b'{"strength": NaN}',
        b'{"strength": 1e999}',
        b'{"strength": -Infinity}',
        b'{"strength": "nan"}',
        b'{"strength": 1' + b"0" * 400 + b"}",
        b'{"seed": 1' + b"0" * 400 + b"}",
        b'{"seed": 1' + b"0" * 9000 + b"}",
        b'{"seed": 4294967296}',
        b'{"prompt": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"prompt": "a\\u0000b"}',
        b'{"prompt": "\xff\xfe"}',
        b'{"prompt": ' + b"[" * 100_000,
        b'{"prompt": ' + b"[" * 150 + b"]" * 150 + b"}",
        b'{"prompt": {"a": {"b": []}}}',
        b'{"photo": {"path": "/etc/passwd"}}',
        b'{"photo": 12}',
        b'{"photos": "x"}',
        b'{"photos": {"0": "x"}}',
        b'{"ratio": "tell-nobody"}',
        b'{"tell-nobody": 1}',
        b'{"num_inference_steps": 2.5}',
        b"[]",
        b"null",
        b"",
        b'{"a": 1} trailing',
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)
def test_bad_json_is_a_sentence_and_never_a_bug(client: httpx.Client, body: bytes) -> None:
    answer = client.post(RUN, content=body, headers={"Content-Type": "application/json"})
    status, code, _ = read_failure(answer)
    assert (status in (400, 422), code) == (True, "invalid_request")
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"x"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b; charset=punycode", b""),
        ("multipart/form-data; boundary=b; charset=unicode_escape", b""),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n\0\r\n--b--\r\n',
        ),
        ("application/x-www-form-urlencoded", b"prompt=%ff%fe"),
        ("application/x-www-form-urlencoded", b"prompt=%00"),
        ("application/x-www-form-urlencoded", b"\xff=1"),
        ("text/plain", b"x"),
        ("", b"x"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_sentence(client: httpx.Client, kind: str, body: bytes) -> None:
    assert read_failure(client.post(RUN, content=body, headers={"Content-Type": kind}))[1] == "invalid_request"


def test_a_part_that_came_twice_is_named(client: httpx.Client) -> None:
    twice = [("seed", (None, "1")), ("seed", (None, "2"))]
    assert read_failure(client.post(RUN, files=twice)) == (422, "invalid_request", "seed")
    twice_a_picture = [("photo", ("a.png", make_noise_png())), ("photo", ("b.png", make_noise_png()))]
    assert read_failure(client.post(RUN, files=twice_a_picture)) == (422, "invalid_request", "photo")


def test_a_file_where_words_belong_is_named(client: httpx.Client) -> None:
    assert read_failure(client.post(RUN, files={"prompt": ("a.txt", b"words")})) == (422, "invalid_request", "prompt")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1/nothing", (404, "not_found")),
        ("POST", "/v1/tools/nothing", (404, "not_found")),
        ("GET", "/v1/tools/background", (405, "method_not_allowed")),
        ("PUT", "/v1/jobs", (405, "method_not_allowed")),
        ("GET", "/v1/jobs/nothing", (404, "not_found")),
        ("GET", "/v1/jobs/nothing/events", (404, "not_found")),
        ("DELETE", "/v1/jobs/%00", (404, "not_found")),
        ("GET", "/v1/files/..%2F..%2Fetc%2Fpasswd/content", (404, "not_found")),
        ("GET", "/v1/files/%ff%00/content", (404, "not_found")),
        ("GET", "/v1/jobs?limit=many", (422, "invalid_request")),
        ("POST", "/v1/tools/background?wait=perhaps", (422, "invalid_request")),
    ],
)
def test_every_address_fails_with_the_envelope(
    client: httpx.Client, method: str, path: str, expected: tuple[int, str]
) -> None:
    assert read_failure(client.request(method, path, json={} if method == "POST" else None))[:2] == expected


# ---------------------------------------------------------------- pictures at the door


@pytest.mark.parametrize("name", HOSTILE_FILE_NAMES, ids=lambda name: name[:24])
def test_a_hostile_file_name_goes_nowhere(here: ServedApp, client: httpx.Client, name: str) -> None:
    answer = client.post("/v1/files", files={"file": (name, make_noise_png(3))})
    # Clients cannot even send a NUL in a header; whichever of the two it is, nothing is named after it.
    if answer.status_code == 200:
        assert answer.json()["filename"] == f"{answer.json()['id']}.png"
    kept = {path.name for path in here.service.files.root.iterdir()}
    assert all(re.fullmatch(r"file-[0-9a-f]{40}(\.png|-[A-Za-z0-9_-]+\.(png|jpg|webp))", entry) for entry in kept)


@pytest.mark.parametrize(
    "data", [PASSWD_JSON, LINK_LOCAL_URL, b"", make_noise_png()[:60]], ids=["path", "address", "empty", "half"]
)
def test_what_is_no_picture_is_refused_and_named(client: httpx.Client, data: bytes) -> None:
    for answer in (
        client.post(RUN, files={"photo": ("a.png", data)}),
        client.post(RUN, json={"photo": make_data_url(data)}),
    ):
        status, code, param = read_failure(answer)
        assert (status, param) == (400, "photo")
        assert code in ("unsupported_image", "corrupt_image", "invalid_request")


@pytest.mark.parametrize(
    "value",
    ["http://169.254.169.254/latest/", "file:///etc/passwd", "/etc/passwd", "data:image/png;base64,!", "file-../x"],
)
def test_addresses_and_paths_are_not_fetched(client: httpx.Client, value: str) -> None:
    assert read_failure(client.post(RUN, json={"photo": value})) == (400, "invalid_request", "photo")


def test_a_picture_over_the_limit_is_413_each_way(client: httpx.Client) -> None:
    big = bytes(26 * 10**6)
    assert read_failure(client.post(RUN, files={"photo": ("a.png", big)})) == (413, "image_too_large", "photo")
    assert read_failure(client.post("/v1/files", files={"file": ("a.png", big)})) == (413, "image_too_large", "file")
    assert read_failure(client.post(RUN, json={"photo": make_data_url(big)})) == (413, "image_too_large", "photo")


def test_a_body_over_the_limit_is_413_and_is_answered(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_parsing, "MAX_BODY_BYTES", 100_000)
    assert read_failure(client.post(RUN, json={"prompt": "x" * 400_000}))[:2] == (413, "image_too_large")
    assert read_failure(client.post(RUN, files={"photo": ("a.png", bytes(400_000))}))[:2] == (413, "image_too_large")


def test_gps_and_exif_are_gone_from_what_is_kept(client: httpx.Client) -> None:
    exif = PIL.Image.Exif()
    exif[0x010E] = "where I live"
    data = io.BytesIO()
    PIL.Image.fromarray(np.zeros((40, 40, 3), np.uint8) + 90).save(data, "JPEG", exif=exif)
    sent = client.post("/v1/files", files={"file": ("a.jpg", data.getvalue())}).json()
    kept = client.get(f"/v1/files/{sent['id']}/content")
    assert b"where I live" not in kept.content
    assert kept.headers["x-content-type-options"] == "nosniff"


def test_what_the_door_says_about_a_picture_is_in_the_receipt(client: httpx.Client) -> None:
    frames = [PIL.Image.fromarray(np.full((40, 40, 3), level, np.uint8)) for level in (40, 200)]
    data = io.BytesIO()
    frames[0].save(data, "WEBP", save_all=True, append_images=frames[1:])
    job = client.post(RUN, files={"photo": ("a.webp", data.getvalue())}).json()
    assert any("first frame" in notice for notice in job["receipt"]["notices"])
    assert client.get(f"/v1/jobs/{job['id']}").json()["receipt"] == job["receipt"]


# ---------------------------------------------------------------- whose is it


def test_others_jobs_and_files_are_not_there(here: ServedApp, client: httpx.Client) -> None:
    headers = [{"Authorization": f"Bearer {here.keys.create_key(name)}"} for name in ("one", "two")]
    job = client.post(RUN, files={"photo": ("a.png", make_noise_png(9))}, headers=headers[0]).json()
    photo_id = job["receipt"]["params"]["photo"]
    file_id = job["files"][0]["id"]
    for theirs in (headers[1], {}):
        for method, path in (
            ("GET", f"/v1/jobs/{job['id']}"),
            ("GET", f"/v1/jobs/{job['id']}/events"),
            ("DELETE", f"/v1/jobs/{job['id']}"),
            ("GET", f"/v1/jobs?after={job['id']}"),
            ("GET", f"/v1/files/{file_id}"),
            ("GET", f"/v1/files/{file_id}/content"),
            ("GET", f"/v1/files/{photo_id}/content"),
        ):
            assert read_failure(client.request(method, path, headers=theirs))[:2] == (404, "not_found")
        assert read_failure(client.post(RUN, json={"photo": photo_id}, headers=theirs)) == (
            400,
            "invalid_request",
            "photo",
        )
        assert job["id"] not in client.get("/v1/jobs", headers=theirs).text
    assert client.get(f"/v1/files/{file_id}/content", headers=headers[0]).status_code == 200


def test_the_same_picture_of_two_owners_is_seen_by_both_and_by_nobody_else(
    here: ServedApp, client: httpx.Client
) -> None:
    headers = [{"X-API-Key": here.keys.create_key(name)} for name in ("one", "two", "three")]
    sent = [client.post("/v1/files", files={"file": ("a", make_noise_png(11))}, headers=h).json() for h in headers[:2]]
    assert sent[0]["id"] == sent[1]["id"]
    seen = [client.get(f"/v1/files/{sent[0]['id']}/content", headers=h).status_code for h in headers]
    assert seen == [200, 200, 404]


def test_an_upload_is_kept_by_the_hash_of_its_pixels(client: httpx.Client) -> None:
    sent = client.post("/v1/files", files={"file": ("a", make_noise_png(12))}).json()
    assert sent["sha256"] == pixels_sha256(decode_png(np.frombuffer(make_noise_png(12), np.uint8)))
    assert hashlib.sha256(make_noise_png(12)).hexdigest() not in json.dumps(sent)


# ---------------------------------------------------------------- files that never change


def test_a_file_that_one_has_is_not_sent_again(client: httpx.Client) -> None:
    sent = client.post("/v1/files", files={"file": ("a", make_noise_png(13))}).json()
    path = f"/v1/files/{sent['id']}/content"
    first = client.get(path)
    assert "immutable" in first.headers["cache-control"]
    for known in (first.headers["etag"], "*", f'"other", W/{first.headers["etag"]}'):
        again = client.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.get("/v1/files/file-none/content", headers={"If-None-Match": "*"}).status_code == 404


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-9", slice(0, 10)),
        ("bytes=10-", slice(10, None)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=5-999999999", slice(5, None)),
        ("bytes=9-3", None),
        ("bytes=0-1,4-5", None),
        ("bytes=a-b", None),
        ("lines=0-1", None),
        ("bytes=-", None),
    ],
)
def test_a_range_is_that_part_and_anything_else_the_whole(client: httpx.Client, asked: str, part: slice | None) -> None:
    sent = client.post("/v1/files", files={"file": ("a", make_noise_png(13))}).json()
    path = f"/v1/files/{sent['id']}/content"
    whole = client.get(path).content
    answer = client.get(path, headers={"Range": asked})
    assert (answer.status_code, answer.content) == ((200, whole) if part is None else (206, whole[part]))
    if part is not None:
        first, last = part.indices(len(whole))[0], part.indices(len(whole))[1] - 1
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(whole)}"
        changed = client.get(path, headers={"Range": asked, "If-Range": '"other"'})
        assert (changed.status_code, changed.content) == (200, whole)


@pytest.mark.parametrize("asked", ["bytes=999999999-", "bytes=-0"])
def test_a_range_outside_the_file_cannot_be_served(client: httpx.Client, asked: str) -> None:
    sent = client.post("/v1/files", files={"file": ("a", make_noise_png(13))}).json()
    answer = client.get(f"/v1/files/{sent['id']}/content", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{sent['bytes']}"


def test_a_file_may_be_asked_after_without_being_sent(here: ServedApp, client: httpx.Client) -> None:
    sent = client.post("/v1/files", files={"file": ("a", make_noise_png(14))}).json()
    path = f"/v1/files/{sent['id']}/content"
    whole, asked = client.get(path), client.head(path)
    assert (asked.status_code, asked.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "content-disposition", "cache-control"):
        assert asked.headers[name] == whole.headers[name]
    assert client.head(path, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    here.service.files.local_path(sent["id"]).unlink()
    assert client.head(path).status_code == 404


def test_files_are_listed_newest_first_page_by_page_and_are_the_owners_own(here: ServedApp) -> None:
    with here.open_client(headers={"X-API-Key": here.keys.create_key("lister")}) as client:
        made = [client.post("/v1/files", files={"file": ("a", make_noise_png(n))}).json()["id"] for n in (31, 32, 33)]
        first = client.get("/v1/files?limit=2").json()
        assert [row["id"] for row in first["data"]] == made[:0:-1]
        assert first["has_more"]
        rest = client.get(f"/v1/files?after={first['last_id']}").json()
        assert ([row["id"] for row in rest["data"]], rest["has_more"]) == (made[:1], False)
    with here.open_client(headers={"X-API-Key": here.keys.create_key("stranger")}) as stranger:
        assert stranger.get("/v1/files").json()["data"] == []
        assert read_failure(stranger.get(f"/v1/files?after={made[0]}"))[0] == 404


def test_every_tool_has_an_example_that_the_tool_takes(here: ServedApp, client: httpx.Client) -> None:
    schema = client.get("/v1/openapi.json").json()
    body = schema["paths"]["/tools/background"]["post"]["requestBody"]["content"]["application/json"]
    for name in ("least", "whole"):
        assert client.post(RUN, json=body["examples"][name]["value"]).status_code == 200
    assert {"Error", "Job", "File", "Page"} <= set(schema["components"]["schemas"])


def test_answers_have_the_fields_that_the_documentation_names(here: ServedApp, client: httpx.Client) -> None:
    described = client.get("/v1/openapi.json").json()
    schemas, paths = described["components"]["schemas"], described["paths"]
    images = client.post("/v1/images/generations", json={"prompt": "a"}).json()
    share = client.post("/v1/shares", json={"file_id": client.get("/v1/files?limit=1").json()["data"][0]["id"]}).json()
    line = {"custom_id": "a", "method": "POST", "url": "/v1/tools/background", "body": {"prompt": "a"}}
    lines = client.post("/v1/files", files={"file": ("a", json.dumps(line))}, data={"purpose": "batch"}).json()["id"]
    example = paths["/batches"]["post"]["requestBody"]["content"]["application/json"]["example"]
    batch = client.post(
        "/v1/batches", json={**example, "input_file_id": lines, "endpoint": "/v1/tools/background"}
    ).json()
    brand = paths["/brands"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert client.post("/v1/brands", json=brand).json()["colour"] == brand["colour"]
    key = client.post("/v1/keys", json={"name": "a"}).json()
    for name, told in (("Images", images), ("Share", share), ("Batch", batch), ("Key", key)):
        assert set(told) == set(schemas[name]["properties"]), name
        for field, value in told.items():
            choices = schemas[name]["properties"][field]
            assert value in choices.get("enum", [value]), (name, field)
            assert value == choices.get("const", value), (name, field)
    told = client.post(f"{RUN}?stream=true", json={}).text
    for kind, data in re.findall(r"event: (\w+)\ndata: (.*)", told):
        row = next(row for row in schemas["Event"]["oneOf"] if row["title"] == kind)
        assert set(json.loads(data)) == set((schemas["Job"] if kind == "result" else row)["properties"]), kind
    for path, routes in paths.items():
        for method, route in routes.items():
            for kind, content in route["responses"]["200"]["content"].items():
                assert content["schema"] or kind == "*/*", (method, path, kind)
            for row in route["responses"].values():
                assert "X-RateLimit-Reset-Requests" in row["headers"]
