from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openai
import PIL.Image
import pytest
from openai.types import Batch

from pipelines.batch.batch_table import BatchTable
from tests.support.served_app import ServedApp, serve_app, wait_until

SCENES = "/v1/images/generations"


@pytest.fixture
def client(here: ServedApp) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{here.url}/v1", api_key="any", max_retries=0) as made:
        yield made


def lines(*bodies: dict[str, Any], url: str = SCENES) -> bytes:
    rows = [{"custom_id": f"r{n}", "method": "POST", "url": url, "body": body} for n, body in enumerate(bodies)]
    return "\n".join(json.dumps(row) for row in rows).encode()


def begun(client: openai.OpenAI, data: bytes, endpoint: Any = SCENES) -> Batch:
    sent = client.files.create(file=("in.jsonl", data), purpose="batch")
    assert (sent.purpose, sent.bytes) == ("batch", len(data))
    return client.batches.create(input_file_id=sent.id, endpoint=endpoint, completion_window="24h")


def ended(client: openai.OpenAI, batch: Batch) -> Batch:
    wait_until(lambda: client.batches.retrieve(batch.id).status in ("completed", "cancelled"), 20)
    return client.batches.retrieve(batch.id)


def told(client: openai.OpenAI, file_id: str | None) -> dict[str, dict[str, Any]]:
    assert file_id is not None
    rows = [json.loads(line) for line in client.files.content(file_id).text.splitlines()]
    return {row["custom_id"]: row["response"] for row in rows}


def picture(side: int = 48) -> bytes:
    out = io.BytesIO()
    PIL.Image.fromarray(np.full((side, side, 3), 90, np.uint8)).save(out, "PNG")
    return out.getvalue()


def data_url() -> str:
    return "data:image/png;base64," + base64.b64encode(picture()).decode()


def test_the_official_client_uploads_polls_and_downloads(here: ServedApp, client: openai.OpenAI) -> None:
    batch = begun(client, lines({"prompt": "a wall", "size": "64x64"}, {"prompt": "a sea", "n": 2}, {"prompt": "x"}))
    assert batch.request_counts is not None
    assert batch.request_counts.total == 3
    done = ended(client, batch)
    assert (done.status, done.error_file_id) == ("completed", None)
    assert done.request_counts is not None
    assert (done.request_counts.completed, done.request_counts.failed) == (3, 0)
    answers = told(client, done.output_file_id)
    assert sorted(answers) == ["r0", "r1", "r2"]
    assert [len(answers[key]["body"]["data"]) for key in ("r0", "r1", "r2")] == [1, 2, 1]
    with here.open_client() as http:
        link = answers["r0"]["body"]["data"][0]["url"]
        assert PIL.Image.open(io.BytesIO(http.get(link).content)).size == (64, 64)


def test_lines_that_fail_stand_in_the_error_file_with_what_was_wrong(client: openai.OpenAI) -> None:
    good = lines({"prompt": "a"}, {"prompt": "a", "size": "huge"}, {"prompt": "a", "fault": "no_face"}, {"nonsense": 1})
    extra = (
        b'\n{"custom_id": "bad"}\nnot json\n{"custom_id":"r0","method":"POST","url":"/v1/images/generations","body":'
    )
    done = ended(client, begun(client, good + extra + b'{"prompt":"twice"}}'))
    assert list(told(client, done.output_file_id)) == ["r0"]
    errors = told(client, done.error_file_id)
    found = {key: (row["status_code"], row["body"]["error"]["param"]) for key, row in errors.items() if key != "r0"}
    assert found["r1"] == (422, "size")
    assert found["r2"] == (400, "photo")
    assert found["r3"] == (422, "prompt")
    assert found["bad"] == (422, "url")
    assert len(errors) == 6
    assert "Another row" in errors["r0"]["body"]["error"]["message"]


@pytest.mark.parametrize("url", [SCENES, "/v1/tools/background"])
def test_a_line_is_refused_with_the_status_that_the_route_itself_has(
    here: ServedApp, client: openai.OpenAI, url: str
) -> None:
    bodies: list[dict[str, Any]] = [
        {"prompt": "a", "size": "huge"},
        {"prompt": "a", "strength": 9},
        {"prompt": "a", "nonsense": 1},
        {"prompt": 5},
        {"prompt": "a", "photo": "file-none"},
        {"prompt": "a", "fault": "no_face"},
        {"prompt": "x" * 500},
        {"prompt": "a", "photo": "data:image/png;base64,AAAA"},
    ]
    done = ended(client, begun(client, lines(*bodies, url=url), url))
    errors = told(client, done.error_file_id)
    with here.open_client() as http:
        direct = [http.post(url, json=body).status_code for body in bodies]
    assert [errors[f"r{n}"]["status_code"] for n in range(len(bodies))] == direct
    assert {400, 422} <= set(direct)


@pytest.mark.parametrize("how", ["data url", "file id"])
def test_edits_take_pictures_as_data_urls_and_file_ids(client: openai.OpenAI, how: str) -> None:
    image = data_url() if how == "data url" else client.files.create(file=("a.png", picture()), purpose="vision").id
    done = ended(
        client, begun(client, lines({"prompt": "a", "image": image}, url="/v1/images/edits"), "/v1/images/edits")
    )
    assert list(told(client, done.output_file_id)) == ["r0"]


def test_pictures_that_lines_carried_are_gone_when_the_batch_has_ended(here: ServedApp, client: openai.OpenAI) -> None:
    url = "/v1/tools/background"
    batch = begun(client, lines({"prompt": "a", "photo": data_url()}, url=url), url)
    folder = here.service.jobs.root / "batches" / batch.id
    done = ended(client, batch)
    assert done.request_counts is not None
    assert done.request_counts.completed == 1, done
    assert not folder.exists()
    with pytest.raises(openai.NotFoundError):
        client.files.content(batch.input_file_id)
    words = begun(client, lines({"prompt": "a wall"}))
    ended(client, words)
    assert client.files.content(words.input_file_id).read() == lines({"prompt": "a wall"}), "words may stay"


def test_a_tools_own_route_is_an_endpoint_and_its_answers_are_job_objects(client: openai.OpenAI) -> None:
    url = "/v1/tools/background"
    body = {"prompt": "a", "photos": [data_url(), data_url()], "mask": data_url(), "steps": 2, "seed": 5}
    done = ended(client, begun(client, lines(body, url=url), url))
    answer = told(client, done.output_file_id)["r0"]["body"]
    assert (answer["status"], answer["tool"], answer["receipt"]["seed"]) == ("done", "background", 5)
    assert answer["receipt"]["params"]["num_inference_steps"] == 2
    assert answer["files"][0]["url"].startswith("http")


def test_a_better_job_takes_a_rows_place_in_the_output_file(here: ServedApp, client: openai.OpenAI) -> None:
    url = "/v1/tools/background"
    done = ended(
        client, begun(client, lines({"prompt": "a", "seed": 1}, {"prompt": "a", "fault": "no_face"}, url=url), url)
    )
    first = told(client, done.output_file_id)["r0"]["body"]["id"]
    with here.open_client() as http:
        row_url = f"/v1/batches/{done.id}/rows/1"
        before = http.get(row_url).json()
        assert (before["object"], before["custom_id"], before["job_id"]) == ("batch.row", "r0", first)
        assert (before["replaced_at"], before["earlier_job_ids"], before["approved_at"]) == (None, [], None)
        better = http.post(url, json={"prompt": "a", "seed": 2}).json()["id"]
        after = http.post(row_url, json={"job_id": better}).json()
        assert (after["job_id"], after["earlier_job_ids"]) == (better, [first])
        assert after["replaced_at"] >= done.created_at
        assert told(client, client.batches.retrieve(done.id).output_file_id)["r0"]["body"]["id"] == better
        undone = http.post(row_url, json={"job_id": first}).json()
        assert (undone["job_id"], undone["earlier_job_ids"]) == (first, [])
        assert http.post(row_url, json={"approved": True}).json()["approved_at"] >= done.created_at
        assert http.post(row_url, data={"approved": "false"}).json()["approved_at"] is None
        refused = [
            (row_url, {}, 422, "job_id"),
            (row_url, {"approved": "maybe"}, 422, "approved"),
            (row_url, {"approved": ""}, 422, "approved"),
            (row_url, {"approved": {}}, 422, "approved"),
            (row_url, {"approved": True, "job_id": better}, 422, "approved"),
            (f"/v1/batches/{done.id}/rows/2", {"approved": True}, 400, None),
            (row_url, {"job_id": "job-none"}, 404, "job_id"),
            (f"/v1/batches/{done.id}/rows/3", {"job_id": better}, 404, None),
            ("/v1/batches/batch-none/rows/1", {"job_id": better}, 404, None),
        ]
        for where, body, status, param in refused:
            answer = http.post(where, json=body)
            assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text
        assert http.post(f"/v1/batches/{done.id}/rows/2", json={"job_id": better}).json()["status"] == "done"
        now = client.batches.retrieve(done.id)
        assert told(client, now.output_file_id)["r1"]["body"]["id"] == better, "a failed row has a picture now"
        assert (now.request_counts.completed, now.request_counts.failed) == (2, 0)  # pyrefly: ignore[missing-attribute]


def test_cancel_ends_it_and_keeps_what_is_done(here: ServedApp, client: openai.OpenAI) -> None:
    here.gate.pause = 0.02
    batch = begun(client, lines(*({"prompt": str(n)} for n in range(30))))
    wait_until(lambda: (client.batches.retrieve(batch.id).request_counts or batch).completed > 0)  # pyrefly: ignore[missing-attribute]
    client.batches.cancel(batch.id)
    done = ended(client, batch)
    assert done.status == "cancelled"
    assert done.request_counts is not None
    assert 0 < done.request_counts.completed < 30
    assert len(told(client, done.output_file_id)) == done.request_counts.completed


def test_batches_are_listed_newest_first_page_by_page(client: openai.OpenAI) -> None:
    ids = [ended(client, begun(client, lines({"prompt": "a"}))).id for _ in range(3)]
    assert [batch.id for batch in client.batches.list(limit=2)][:3] == ids[::-1]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"endpoint": "/v1/chat/completions"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"metadata": ["no"]}, "metadata"),
        ({"input_file_id": None}, "input_file_id"),
    ],
)
def test_what_cannot_be_run_names_its_param(here: ServedApp, client: openai.OpenAI, change: Any, param: str) -> None:
    sent = client.files.create(file=("in.jsonl", lines({"prompt": "a"})), purpose="batch")
    body = {"input_file_id": sent.id, "endpoint": SCENES, "completion_window": "24h", **change}
    with here.open_client() as http:
        answer = http.post("/v1/batches", json=body)
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["param"] == param


def test_a_picture_or_an_empty_file_is_no_batch(client: openai.OpenAI) -> None:
    photo = client.files.create(file=("a.png", picture()), purpose="vision")
    empty = client.files.create(file=("in.jsonl", b"\n"), purpose="batch")
    for file_id in (photo.id, empty.id):
        with pytest.raises(openai.BadRequestError):
            client.batches.create(input_file_id=file_id, endpoint=SCENES, completion_window="24h")


def test_an_unknown_batch_is_not_found(client: openai.OpenAI) -> None:
    for call in (client.batches.retrieve, client.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            call("batch-none")


def test_people_come_before_a_batchs_rows(here: ServedApp, client: openai.OpenAI) -> None:
    here.gate.pause = 0.02
    batch = begun(client, lines(*({"prompt": str(n)} for n in range(12))))
    client.images.generate(prompt="me first")
    counts = client.batches.retrieve(batch.id).request_counts
    assert counts is not None
    assert counts.completed < 12
    ended(client, batch)


def test_a_batch_goes_on_when_the_studio_comes_back(tmp_path: Path) -> None:
    with (
        serve_app(tmp_path) as first,
        openai.OpenAI(base_url=f"{first.url}/v1", api_key="any", max_retries=0) as client,
    ):
        first.gate.pause = 0.02
        batch = begun(client, lines(*({"prompt": str(n)} for n in range(8))))
        wait_until(lambda: first.service.jobs.count_jobs()[0] > 0)
    with (
        serve_app(tmp_path) as second,
        openai.OpenAI(base_url=f"{second.url}/v1", api_key="any", max_retries=0) as client,
    ):
        done = ended(client, batch)
        assert done.request_counts is not None
        assert done.request_counts.completed == 8


# ---------------------------------------------------------------- the same call sent twice


def test_a_batch_that_is_asked_for_again_is_the_first_one(here: ServedApp, client: openai.OpenAI) -> None:
    here.gate.open.clear()
    sent = client.files.create(file=("in.jsonl", lines({"prompt": "once"})), purpose="batch")
    ask = {"input_file_id": sent.id, "endpoint": SCENES, "completion_window": "24h"}
    before = len(list(client.batches.list(limit=100)))
    with here.open_client(headers={"Idempotency-Key": "batch-a"}) as http:
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: http.post("/v1/batches", json=ask), range(6)))
        assert {answer.status_code for answer in answers} == {200}
        (batch_id,) = {answer.json()["id"] for answer in answers}
        assert sorted(answer.headers.get("idempotent-replayed", "") for answer in answers) == ["", *["true"] * 5]
        assert len(list(client.batches.list(limit=100))) == before + 1
        other = http.post("/v1/batches", json={**ask, "metadata": {"for": "another"}})
        assert (other.status_code, other.json()["error"]["param"]) == (422, "Idempotency-Key")
        here.gate.open.set()
        wait_until(lambda: client.batches.retrieve(batch_id).status == "completed")
        assert http.post("/v1/batches", json=ask).json()["status"] == "completed"
    with here.open_client(headers={"X-API-Key": here.keys.create_key("other"), "Idempotency-Key": "batch-a"}) as http:
        assert http.post("/v1/batches", json=ask).status_code == 404  # the name is an owner's own, and so is the file


def test_a_batch_that_came_to_nothing_may_be_asked_for_again(here: ServedApp, client: openai.OpenAI) -> None:
    empty = client.files.create(file=("in.jsonl", b"\n"), purpose="batch")
    good = client.files.create(file=("in.jsonl", lines({"prompt": "a"})), purpose="batch")
    with here.open_client(headers={"Idempotency-Key": "batch-b"}) as http:
        ask = {"endpoint": SCENES, "completion_window": "24h"}
        assert http.post("/v1/batches", json={**ask, "input_file_id": empty.id}).status_code == 400
        assert http.post("/v1/batches", json={**ask, "input_file_id": good.id}).status_code == 200


def test_a_batch_whose_lines_were_not_read_to_the_end_is_made_anew(here: ServedApp, client: openai.OpenAI) -> None:
    """As it is after a power cut in the middle of reading."""
    sent = client.files.create(file=("in.jsonl", lines({"prompt": "a"})), purpose="batch")
    ask = {"input_file_id": sent.id, "endpoint": SCENES, "completion_window": "24h"}
    with here.open_client(headers={"Idempotency-Key": "batch-c"}) as http:
        first = http.post("/v1/batches", json=ask).json()["id"]
        wait_until(lambda: client.batches.retrieve(first).status == "completed")
        BatchTable(here.service.jobs.table).set_state(first, "reading")
        again = http.post("/v1/batches", json=ask).json()["id"]
        assert again != first
        assert http.post("/v1/batches", json=ask).json()["id"] == again
        assert http.get(f"/v1/batches/{first}").status_code == 404


def test_a_line_that_wants_its_picture_inside_is_told_that_it_gets_a_link(client: openai.OpenAI) -> None:
    bodies = [{"prompt": "a", "response_format": each} for each in ("url", "b64_json", "nonsense")]
    done = ended(client, begun(client, lines(*bodies)))
    assert list(told(client, done.output_file_id)) == ["r0"]
    errors = told(client, done.error_file_id)
    assert {(row["status_code"], row["body"]["error"]["param"]) for row in errors.values()} == {
        (422, "response_format")
    }
    assert "links" in errors["r1"]["body"]["error"]["message"]
