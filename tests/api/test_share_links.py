"""Links to single results: they show one file, end, are taken back, and cannot be guessed or forged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipelines.core.errors import NotFound
from pipelines.settings import Settings
from tests.api.support.calls import RUN, make_noise_png, read_failure
from tests.support.served_app import ServedApp, serve_app
from ui.api.auth.keys import KeyStore
from ui.api.auth.share_tokens import ShareLinks

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture(scope="module")
def studio(each_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    root = tmp_path_factory.mktemp("shares")
    with serve_app(root, settings=Settings(data=root, require_key=True)) as built:
        yield built


@pytest.fixture
def mine(studio: ServedApp) -> Iterator[httpx.Client]:
    with studio.open_client(headers={"X-API-Key": studio.keys.create_key("mine")}) as client:
        yield client


def result(client: httpx.Client) -> str:
    return client.post(RUN, json={}).json()["files"][0]["id"]


def test_a_link_shows_its_one_file_to_anybody_and_nothing_else(studio: ServedApp, mine: httpx.Client) -> None:
    file_id = result(mine)
    link = mine.post("/v1/shares", json={"file_id": file_id}).json()
    assert link["url"].startswith(f"{studio.url}/s/")
    with httpx.Client() as stranger:
        seen = stranger.get(link["url"])
        assert seen.content == mine.get(f"/v1/files/{file_id}/content").content
        assert (seen.headers["content-type"], seen.headers["x-robots-tag"]) == ("image/png", "noindex")
        assert "immutable" not in seen.headers["cache-control"]
        assert stranger.get(f"{studio.url}/v1/files/{file_id}/content").status_code == 401
        assert stranger.get(link["url"], headers={"Range": "bytes=0-3"}).content == seen.content[:4]


def test_a_result_is_named_after_its_upload_but_not_for_a_stranger(mine: httpx.Client) -> None:
    sent = mine.post("/v1/files", files={"file": ("Rote Tasse.png", make_noise_png(7))}).json()["id"]
    for _ in range(2):  # the second time the first result is the photo
        sent = mine.post(RUN, json={"photo": sent}).json()["files"][0]["id"]
        own = mine.get(f"/v1/files/{sent}/content").headers["content-disposition"]
        assert own.endswith('filename="Rote-Tasse_background-picture-1.png"')
    link = mine.post("/v1/shares", json={"file_id": sent}).json()["url"]
    assert httpx.get(link).headers["content-disposition"].endswith('filename="background-picture-1.png"')


def test_a_link_that_was_taken_back_shows_nothing(mine: httpx.Client) -> None:
    link = mine.post("/v1/shares", json={"file_id": result(mine)}).json()
    assert [row["id"] for row in mine.get("/v1/shares").json()["data"]] == [link["id"]]
    assert mine.delete(f"/v1/shares/{link['id']}").json()["deleted"]
    assert read_failure(httpx.get(link["url"]))[:2] == (404, "not_found")
    assert mine.get("/v1/shares").json()["data"] == []
    assert read_failure(mine.delete(f"/v1/shares/{link['id']}"))[0] == 404


def test_a_link_ends_with_the_key_that_made_it(studio: ServedApp) -> None:
    text = studio.keys.create_key("short")
    known = studio.keys.verify_key(text)
    assert known is not None
    with studio.open_client(headers={"X-API-Key": text}) as short:
        link = short.post("/v1/shares", json={"file_id": result(short)}).json()
        assert httpx.get(link["url"]).status_code == 200
        studio.keys.revoke_key(known.id)
    assert read_failure(httpx.get(link["url"]))[:2] == (404, "not_found")
    assert httpx.get(link["report_url"]).status_code == 404


def test_links_are_the_owners_own(studio: ServedApp, mine: httpx.Client) -> None:
    link = mine.post("/v1/shares", json={"file_id": result(mine)}).json()
    with studio.open_client(headers={"X-API-Key": studio.keys.create_key("other")}) as other:
        assert read_failure(other.post("/v1/shares", json={"file_id": link["file_id"]}))[:2] == (404, "not_found")
        assert read_failure(other.delete(f"/v1/shares/{link['id']}"))[:2] == (404, "not_found")
        assert other.get("/v1/shares").json()["data"] == []
    assert httpx.get(link["url"]).status_code == 200


def test_a_link_to_bytes_that_are_gone_is_not_found_in_our_words(studio: ServedApp, mine: httpx.Client) -> None:
    file_id = mine.post(RUN, json={"seed": 77}).json()["files"][0]["id"]
    link = mine.post("/v1/shares", json={"file_id": file_id}).json()
    studio.service.files.local_path(file_id).unlink()
    answer = httpx.get(link["url"])
    assert read_failure(answer)[:2] == (404, "not_found")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_upload_is_not_shared(mine: httpx.Client) -> None:
    sent = mine.post("/v1/files", files={"file": ("a.png", make_noise_png())}).json()
    assert read_failure(mine.post("/v1/shares", json={"file_id": sent["id"]})) == (400, "invalid_request", "file_id")
    assert read_failure(mine.post("/v1/shares", json={"file_id": "x", "expires_in": 1}))[0] == 422


def test_pages_of_links_go_on_where_one_ended(mine: httpx.Client) -> None:
    file_id = result(mine)
    made = [mine.post("/v1/shares", json={"file_id": file_id}).json()["id"] for _ in range(3)]
    first = mine.get("/v1/shares?limit=2").json()
    assert [row["id"] for row in first["data"]] == made[:0:-1]
    assert first["has_more"]
    assert mine.get(f"/v1/shares?after={first['last_id']}").json()["data"][0]["id"] == made[0]


def test_a_forged_or_ended_link_is_none(tmp_path: Path) -> None:
    ledger = KeyStore(tmp_path).database
    shares = ShareLinks(ledger, b"secret")
    link = shares.create_link("me", "file-1", 60)
    token = link.path.rpartition("/")[2]
    share_id, mark = token.split(".")
    assert shares.open_token(token).file_id == "file-1"
    for forged in (
        f"{share_id[::-1]}.{mark}",
        f"{share_id}.{'0' * len(mark)}",
        share_id,
        "",
        "x" * 200,
        ShareLinks(ledger, b"other")._build_share_path(share_id).rpartition("/")[2],
    ):
        with pytest.raises(NotFound):
            shares.open_token(forged)
    ended = shares.create_link("me", "file-1", -1).path.rpartition("/")[2]
    with pytest.raises(NotFound):
        shares.open_token(ended)
    ledger.close()
