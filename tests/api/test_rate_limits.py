"""What a key may: scopes, requests a minute, pictures a day, jobs at once, and what is counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from tests.api.support.calls import RUN, read_failure
from tests.support.gated_tool import make_gated_job
from tests.support.served_app import ServedApp, serve_app, wait_until
from ui.api.auth.keys import ApiKey, KeyLimits, KeyScope, KeyStore
from ui.api.auth.rate_limits import BUSY_RETRY_SECONDS, DAY_SECONDS, RateLimiter
from ui.api.errors import RateLimited

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture(scope="module")
def studio(each_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    with serve_app(tmp_path_factory.mktemp("limits")) as built:
        yield built


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[KeyStore]:
    made = KeyStore(tmp_path)
    yield made
    made.close()


def caller(here: ServedApp, *scopes: KeyScope, **bounds: int) -> httpx.Client:
    key = here.keys.create_key("test", scopes or ("read", "create"), KeyLimits(**bounds))
    return here.open_client(headers={"Authorization": f"Bearer {key}"})


def known(keys: KeyStore, **bounds: int) -> ApiKey:
    key = keys.verify_key(keys.create_key("test", limits=KeyLimits(**bounds)))
    assert key is not None
    return key


# ---------------------------------------------------------------- scopes


def test_a_key_does_what_its_scopes_say_and_nothing_else(here: ServedApp) -> None:
    with caller(here, "read") as reader, caller(here, "create") as maker, caller(here, "admin") as admin:
        assert reader.get("/v1/jobs").status_code == 200
        assert read_failure(reader.post(RUN, json={}))[:2] == (403, "permission_denied")
        assert read_failure(reader.delete("/v1/jobs/x"))[:2] == (403, "permission_denied")
        assert maker.post(RUN, json={}).status_code == 200
        assert read_failure(maker.get("/v1/jobs"))[:2] == (403, "permission_denied")
        assert admin.get("/v1/keys").status_code == 200
        assert admin.get("/metrics").status_code == 200
        for one in (reader, maker):
            for path in ("/v1/keys", "/v1/keys/x", "/metrics"):
                assert read_failure(one.get(path))[:2] == (403, "permission_denied")
            assert read_failure(one.post("/v1/keys", json={"name": "more", "scopes": ["admin"]}))[0] == 403


def test_every_operation_asks_for_its_scope_and_for_no_other(here: ServedApp) -> None:
    with caller(here, "read") as reader, caller(here, "create") as maker, caller(here, "admin") as admin:
        paths = reader.get("/v1/openapi.json").json()["paths"]
        asked = [(method, path) for path, routes in paths.items() for method in routes]
        assert len(asked) > 30
        for method, path in asked:
            needed = "admin" if path.startswith("/keys") else "read" if method == "get" else "create"
            for scope, client in (("read", reader), ("create", maker), ("admin", admin)):
                answer = client.request(method, f"/v1{path}")
                assert (answer.status_code == 403) == (scope != needed), (method, path, scope)
                assert answer.status_code != 401, (method, path, scope)


def test_keys_are_listed_page_by_page(here: ServedApp) -> None:
    with caller(here, "admin") as admin:
        made = [admin.post("/v1/keys", json={"name": f"page-{n}"}).json()["id"] for n in range(3)]
        first = admin.get("/v1/keys?limit=2").json()
        assert [row["id"] for row in first["data"]] == made[:0:-1]
        assert first["has_more"]
        assert admin.get(f"/v1/keys?limit=1&after={first['last_id']}").json()["data"][0]["id"] == made[0]
        assert read_failure(admin.get("/v1/keys?after=none"))[:2] == (404, "not_found")


def test_keys_are_made_changed_and_revoked_over_http_and_shown_once(here: ServedApp) -> None:
    with caller(here, "admin") as admin:
        made = admin.post("/v1/keys", json={"name": "shop", "per_day": 3}).json()
        listed = admin.get("/v1/keys?limit=1")
        assert listed.json()["data"][0]["id"] == made["id"]
        assert listed.json()["has_more"]
        assert made["key"] not in listed.text
        with here.open_client(headers={"X-API-Key": made["key"]}) as shop:
            assert shop.post(RUN, json={"variations": 2}).status_code == 200
            usage = admin.get(f"/v1/keys/{made['id']}").json()
            assert usage["usage"] == [{"tool": "background", "jobs": 1, "pictures": 2}]
            assert usage["last_used_at"] is not None
            changed = admin.post(f"/v1/keys/{made['id']}", json={"name": "window", "scopes": ["read"]}).json()
            assert (changed["name"], changed["scopes"], changed["per_day"]) == ("window", ["read"], None)
            assert shop.post(RUN, json={}).status_code == 403
            assert admin.delete(f"/v1/keys/{made['id']}").json()["revoked_at"] is not None
            assert here.keys.verify_key(made["key"]) is None
        assert read_failure(admin.delete(f"/v1/keys/{made['id']}"))[0] == 404
        for wrong in ({"name": ""}, {"name": "a", "scopes": []}, {"name": "a", "per_day": 0}, {"name": "\0"}, {}):
            assert read_failure(admin.post("/v1/keys", json=wrong))[0] == 422


# ---------------------------------------------------------------- bounds


def test_without_a_bound_nothing_is_counted_down(here: ServedApp) -> None:
    with caller(here) as client:
        answers = [client.get("/v1/tools") for _ in range(30)]
    assert {answer.status_code for answer in answers} == {200}
    assert not [name for name in answers[0].headers if name.startswith("x-ratelimit")]


def test_requests_a_minute_are_counted_down_and_then_refused(here: ServedApp) -> None:
    with caller(here, per_minute=3) as client, caller(here) as other:
        left = [client.get("/v1/tools").headers for _ in range(3)]
        assert [row["x-ratelimit-remaining"] for row in left] == ["2", "1", "0"]
        assert (left[0]["x-ratelimit-limit"], left[0]["x-ratelimit-limit-requests"]) == ("3", "3")
        refused = client.get("/v1/tools")
        assert read_failure(refused)[:2] == (429, "rate_limited")
        assert 0 < int(refused.headers["retry-after"]) <= 60
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert refused.headers["x-ratelimit-reset-requests"].endswith("s")
        assert other.get("/v1/tools").status_code == 200


def test_the_official_client_sees_a_rate_limit(here: ServedApp) -> None:
    key = here.keys.create_key("x", limits=KeyLimits(per_minute=1))
    with openai.OpenAI(base_url=f"{here.url}/v1", api_key=key, max_retries=0) as client:
        client.models.list()
        with pytest.raises(openai.RateLimitError) as caught:
            client.models.list()
    assert caught.value.code == "rate_limited"
    assert caught.value.request_id


def test_a_minute_moves_on(keys: KeyStore) -> None:
    now = [0.0]
    limits, key = RateLimiter(keys, clock=lambda: now[0]), known(keys, per_minute=2)
    assert [limits.count_request(key)[1] is None for _ in range(3)] == [True, True, False]
    now[0] = 59.0
    assert limits.count_request(key)[1] is not None
    now[0] = 60.0
    standing, refused = limits.count_request(key)
    assert refused is None
    assert standing is not None
    assert standing.remaining == 1


def test_pictures_a_day_count_variations_and_begin_anew_at_midnight(keys: KeyStore) -> None:
    now = [5 * DAY_SECONDS + 10.0]
    limits, key = RateLimiter(keys, clock=lambda: now[0]), known(keys, per_day=5)
    ask = make_gated_job(owner=key.owner, variations=3)
    limits.admit_job(ask, lambda owner: 0)
    with pytest.raises(RateLimited) as caught:
        limits.admit_job(ask, lambda owner: 0)
    assert caught.value.retry_after == DAY_SECONDS - 10
    limits.admit_job(make_gated_job(owner=key.owner, variations=2), lambda owner: 0)
    now[0] += DAY_SECONDS
    limits.admit_job(ask, lambda owner: 0)
    assert keys.list_key_usage(key.id)[0].pictures == 8


def test_drafts_and_owners_without_a_key_are_not_counted(keys: KeyStore) -> None:
    limits, key = RateLimiter(keys), known(keys, per_day=1)
    for _ in range(3):
        limits.admit_job(make_gated_job(owner=key.owner).model_copy(update={"draft": True}), lambda owner: 9)
        limits.admit_job(make_gated_job(owner="local"), lambda owner: 9)
    assert keys.list_key_usage(key.id) == []


def test_jobs_at_once_wait_for_one_to_end(here: ServedApp) -> None:
    here.gate.open.clear()
    with caller(here, at_once=2) as client:
        assert [client.post(f"{RUN}?wait=false", json={}).status_code for _ in range(3)] == [202, 202, 429]
        with client.stream("POST", f"{RUN}?stream=true", json={}) as refused:
            refused.read()
        assert read_failure(refused)[:2] == (429, "rate_limited")
        assert refused.headers["retry-after"] == str(BUSY_RETRY_SECONDS)
        here.gate.open.set()
        wait_until(here.is_idle)
        assert client.post(RUN, json={}).status_code == 200


def test_a_job_that_is_refused_leaves_nothing_behind(here: ServedApp) -> None:
    with caller(here, per_day=1) as client:
        assert client.post(RUN, json={}).status_code == 200
        refused = client.post(RUN, json={})
        assert read_failure(refused)[:2] == (429, "rate_limited")
        assert 0 < int(refused.headers["retry-after"]) <= DAY_SECONDS
        assert len(client.get("/v1/jobs").json()["data"]) == 1
