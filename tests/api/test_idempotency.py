"""The same call sent twice is one job: within an owner, for a day, whatever the connection did."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from pipelines.core.errors import InvalidParams
from pipelines.storage.schema import REPEATED_CALLS
from tests.api.support.calls import FOREVER, RUN, make_noise_png, read_failure
from tests.support.served_app import ServedApp, serve_app, wait_until
from ui.api.auth.idempotency import IDEMPOTENCY_HEADER, RETENTION_SECONDS, IdempotencyStore
from ui.api.auth.keys import KeyStore

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture(scope="module")
def studio(each_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    with serve_app(tmp_path_factory.mktemp("once")) as built:
        yield built


@pytest.fixture
def client(studio: ServedApp) -> Iterator[httpx.Client]:
    with studio.open_client() as made:
        yield made
    studio.gate.pause = 0.0
    studio.gate.open.set()
    wait_until(studio.is_idle)


def test_a_call_sent_again_is_answered_with_the_first_job(client: httpx.Client) -> None:
    first = client.post(RUN, files={"photo": ("a.png", make_noise_png())}, headers={IDEMPOTENCY_HEADER: "a"})
    again = client.post(RUN, files={"photo": ("b.png", make_noise_png())}, headers={IDEMPOTENCY_HEADER: "a"})
    assert first.json() == again.json()
    assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
    assert client.post(RUN, json={}).json()["id"] != first.json()["id"]


def test_another_call_under_the_same_name_is_refused(client: httpx.Client) -> None:
    client.post(RUN, json={"prompt": "a wall"}, headers={IDEMPOTENCY_HEADER: "b"})
    assert read_failure(client.post(RUN, json={"prompt": "a sea"}, headers={IDEMPOTENCY_HEADER: "b"})) == (
        422,
        "invalid_request",
        IDEMPOTENCY_HEADER,
    )
    assert read_failure(client.post(RUN, json={}, headers={IDEMPOTENCY_HEADER: "x" * 300}))[0] == 422


def test_two_at_once_are_one_job(studio: ServedApp, client: httpx.Client) -> None:
    def ask(_: int) -> str:
        return client.post(f"{RUN}?wait=false", json={"seed": 5}, headers={IDEMPOTENCY_HEADER: "c"}).json()["id"]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1


def test_the_name_is_the_owners_own(studio: ServedApp, client: httpx.Client) -> None:
    key = {"X-API-Key": studio.keys.create_key("other"), IDEMPOTENCY_HEADER: "d"}
    mine = client.post(RUN, json={"prompt": "a wall"}, headers={IDEMPOTENCY_HEADER: "d"}).json()["id"]
    theirs = client.post(RUN, json={"prompt": "a sea"}, headers=key).json()["id"]
    assert mine != theirs


def test_a_job_that_was_stopped_is_made_anew(studio: ServedApp, client: httpx.Client) -> None:
    studio.gate.pause = 0.05
    job = client.post(f"{RUN}?wait=false", json=FOREVER, headers={IDEMPOTENCY_HEADER: "e"}).json()["id"]
    client.delete(f"/v1/jobs/{job}")
    again = client.post(f"{RUN}?wait=false", json=FOREVER, headers={IDEMPOTENCY_HEADER: "e"}).json()["id"]
    assert again != job
    once_more = client.post(f"{RUN}?wait=false", json=FOREVER, headers={IDEMPOTENCY_HEADER: "e"}).json()["id"]
    assert once_more == again
    client.delete(f"/v1/jobs/{again}")


def test_what_found_the_queue_full_may_be_asked_again(studio: ServedApp, client: httpx.Client) -> None:
    studio.gate.open.clear()
    for _ in range(17):
        client.post(f"{RUN}?wait=false", json={})
    assert read_failure(client.post(RUN, json={"seed": 1}, headers={IDEMPOTENCY_HEADER: "f"}))[1] == "queue_full"
    studio.gate.open.set()
    wait_until(studio.is_idle)
    assert client.post(RUN, json={"seed": 1}, headers={IDEMPOTENCY_HEADER: "f"}).status_code == 200


def test_the_images_api_takes_it_too(client: httpx.Client) -> None:
    ids = [
        client.post("/v1/images/generations", json={"prompt": "a"}, headers={IDEMPOTENCY_HEADER: "g"}).json()["job_id"]
        for _ in range(2)
    ]
    assert ids[0] == ids[1]


def test_it_outlives_a_restart_and_is_forgotten_after_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for job_id in ("job-1", "job-2"):
        ledger = KeyStore(tmp_path).database
        assert IdempotencyStore(ledger).claim_key("me", "a", "call", job_id) == "job-1"
        ledger.close()
    ledger = KeyStore(tmp_path).database
    with pytest.raises(InvalidParams):
        IdempotencyStore(ledger).claim_key("me", "a", "other call", "job-3")
    created = REPEATED_CALLS.c.created
    ledger.execute(update(REPEATED_CALLS).values(created=created - RETENTION_SECONDS - 1))
    assert IdempotencyStore(ledger).claim_key("me", "a", "other call", "job-3") == "job-3"
    ledger.close()
