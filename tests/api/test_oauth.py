"""Signing in with Hugging Face on a Space, against a provider of our own that speaks OpenID Connect."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

from pipelines.settings import Settings
from tests.support.served_app import NOTE, ServedApp, serve_page, serve_starlette

pytestmark = pytest.mark.filterwarnings("ignore")
CLIENT, SECRET = "space-client", "space-secret"


class Provider:
    """Signs in whoever `account` is."""

    def __init__(self) -> None:
        self.account = "anna"
        self.url = ""
        self._key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
        self._asked: dict[str, str] = {}

    def app(self) -> Starlette:
        """The provider's routes."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._about),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/keys", self._keys),
            ]
        )

    async def _about(self, _: Request) -> JSONResponse:
        at = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        rows = {name: f"{self.url}/{path}" for name, path in at.items()}
        return JSONResponse({"issuer": self.url, "id_token_signing_alg_values_supported": ["RS256"], **rows})

    async def _authorize(self, request: Request) -> RedirectResponse:
        self._asked = dict(request.query_params)
        back = {"code": "c0de", "state": self._asked["state"]}
        joint = "&" if "?" in self._asked["redirect_uri"] else "?"
        return RedirectResponse(f"{self._asked['redirect_uri']}{joint}{urlencode(back)}")

    async def _token(self, _: Request) -> JSONResponse:
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": CLIENT, "sub": f"id-of-{self.account}", "iat": now, "exp": now + 3600,
            "nonce": self._asked.get("nonce"), "name": self.account.title(), "preferred_username": self.account,
            "profile": f"https://huggingface.co/{self.account}", "picture": "",
        }  # fmt: skip
        signed = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self._key)
        return JSONResponse(
            {
                "access_token": "t0ken",
                "token_type": "bearer",
                "expires_in": 3600,
                "scope": "openid read-billing",
                "id_token": signed,
            }
        )

    async def _keys(self, _: Request) -> JSONResponse:
        return JSONResponse({"keys": [self._key.as_dict(private=False)]})


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ServedApp, Provider]]:
    root, provider = tmp_path_factory.mktemp("space"), Provider()
    with pytest.MonkeyPatch.context() as patch, serve_starlette(provider.app()) as url:
        provider.url = url
        patch.setattr("gradio.oauth.get_space", lambda: "anna/studio")
        for name, value in (
            ("OAUTH_CLIENT_ID", CLIENT),
            ("OAUTH_CLIENT_SECRET", SECRET),
            ("OAUTH_SCOPES", "openid profile"),
            ("OPENID_PROVIDER_URL", url),
        ):
            patch.setattr(f"gradio.oauth.{name}", value)
        patch.setenv("SPACES_ZERO_GPU", "true")
        settings = Settings(data=root, host="0.0.0.0", spaces=True, oauth=True, space_author="anna")
        with serve_page(root, settings, (NOTE,)) as (page, house, _):
            yield page, house, provider


@contextmanager
def visiting(page: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page, timeout=60) as browser:
        browser.get("/")
        yield browser


def sign_in(browser: httpx.Client) -> None:
    """Follow the redirects as a browser does; the session's cookie is for https only, so it is carried by hand."""
    asked = browser.get("/login/huggingface?_target_url=/")
    keep(browser, asked)
    agreed = httpx.get(asked.headers["location"])
    back = urlsplit(agreed.headers["location"])
    keep(browser, browser.get(f"{back.path}?{back.query}"))


def keep(browser: httpx.Client, answer: httpx.Response) -> None:
    for header in answer.headers.get_list("set-cookie"):
        name, _, value = header.partition(";")[0].partition("=")
        if name == "session":
            browser.headers["cookie"] = "; ".join([*_without_session(browser), f"session={value}"])


def _without_session(browser: httpx.Client) -> list[str]:
    known = [f"{cookie.name}={cookie.value}" for cookie in browser.cookies.jar if cookie.name != "session"]
    browser.cookies.clear()
    mine = browser.headers.get("cookie", "").split("; ") if "cookie" in browser.headers else []
    return [row for row in (*mine, *known) if row and not row.startswith("session=")]


def note(browser: httpx.Client) -> dict[str, Any]:
    """Make a picture through the page's named event; where the job stood at the end."""
    import json

    called = browser.post("/gradio_api/call/note", json={"data": [None, "mine"]})
    told = browser.get(f"/gradio_api/call/note/{called.json()['event_id']}").text
    return json.loads(told.split("event: complete\ndata: ")[1].splitlines()[0])[1]


def run_page_event(browser: httpx.Client, shown: str) -> Any:
    """Run what the page runs when it opens to fill the component `shown`."""
    config = browser.get("/config").json()
    (line,) = [row["id"] for row in config["components"] if row["props"].get("elem_id") == shown]
    opening = next(row for row in config["dependencies"] if row["outputs"] == [line])
    body = {"data": [], "fn_index": opening["id"], "session_hash": "abc", "trigger_id": None}
    answer = browser.post("/gradio_api/run/predict", json=body)
    return answer.raise_for_status().json()["data"][0]


def test_who_signed_in_sees_the_seconds_left_and_nobody_else(space: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    page, _, _ = space
    tokens: list[str] = []

    def ask(token: str) -> Any:
        tokens.append(token)
        return SimpleNamespace(remaining=90.0, base=2400.0, resets_at=None)

    monkeypatch.setattr("huggingface_hub.get_zero_gpu_quota", ask, raising=False)
    with visiting(page) as browser:
        assert run_page_event(browser, "dbx-gpu-left") == ""
        sign_in(browser)
        assert "GPU seconds left: 90 of 2400" in run_page_event(browser, "dbx-gpu-left")
    assert tokens == ["t0ken"]


def test_who_signs_in_is_one_owner_on_every_machine(space: Any) -> None:
    page, house, provider = space
    provider.account = "bert"
    made = []
    for _ in range(2):
        with visiting(page) as browser:
            sign_in(browser)
            made.append(note(browser)["id"])
    assert {row.job.id for row in house.service.jobs.list_jobs("hf:id-of-bert")} == set(made)


def test_who_does_not_is_the_visitor_of_one_browser(space: Any) -> None:
    page, house, _ = space
    with visiting(page) as browser:
        job = house.service.jobs.get_job(note(browser)["id"])
    assert job is not None
    assert job.job.owner.startswith("visitor:")


def test_a_session_that_nobody_signed_is_no_account(space: Any) -> None:
    page, house, _ = space
    with visiting(page) as browser:
        browser.headers["cookie"] = "; ".join([*_without_session(browser), "session=eyJvYXV0aF9pbmZvIjp7fX0=.a.b"])
        job = house.service.jobs.get_job(note(browser)["id"])
    assert job is not None
    assert not job.job.owner.startswith("hf:")


def test_the_button_s_own_events_are_not_public(space: Any) -> None:
    page, _, _ = space
    assert set(httpx.get(f"{page}/gradio_api/info").json()["named_endpoints"]) == {"/note"}


def test_the_account_that_a_space_belongs_to_administers_it() -> None:
    from ui.api.auth.access import AccessControl

    def request(account: str, ends: float) -> Any:
        told = {"userinfo": {"sub": "1", "preferred_username": account}, "expires_at": time.time() + ends}
        raw = SimpleNamespace(scope={"session": {"oauth_info": told}}, headers={}, query_params={})
        return SimpleNamespace(request=raw, username=None)

    access = AccessControl.__new__(AccessControl)
    access.settings = Settings(spaces=True, oauth=True, space_author="anna")
    assert access.may_administer(request("anna", 60))
    assert not access.may_administer(request("bert", 60))
    assert not access.may_administer(request("anna", -60))
    access.settings = Settings(spaces=True, space_author="anna")  # a session that nobody can have signed
    assert not access.may_administer(request("anna", 60))


def test_a_space_says_whose_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SYSTEM": "spaces", "OAUTH_CLIENT_ID": "x", "SPACE_AUTHOR_NAME": "anna"}.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_args([])
    assert (settings.oauth, settings.space_author) == (True, "anna")
    monkeypatch.delenv("SYSTEM")
    elsewhere = Settings.from_args([])
    assert (elsewhere.oauth, elsewhere.space_author) == (False, "")
