"""ZeroGPU's quota: asked seldom, with the visitor's token, of an endpoint of our own; a failure is silence."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipelines.engines import gpu_quota
from pipelines.engines.gpu_quota import ASK_INTERVAL_SECONDS, QUOTA_SCOPE, GpuQuota, QuotaReader
from pipelines.settings import Settings
from tests.support.served_app import serve_starlette
from ui import i18n
from ui.api.auth.access import AccessControl
from ui.page import render_quota

pytestmark = pytest.mark.skipif(
    not hasattr(huggingface_hub, "get_zero_gpu_quota"), reason="this huggingface_hub has no such call"
)
LEFT = {"base": 2400, "current": 1810.4, "resetsAt": "2026-11-27T09:12:03.000Z", "overquotaUsed": 0}


class Hub:
    """Answers as the hub does, and keeps the tokens that were sent."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.answer: Response = JSONResponse(LEFT)
        self.may_answer = threading.Event()
        self.may_answer.set()

    def tell(self, request: Request) -> Response:
        """Answer, once it may."""
        self.tokens.append(request.headers.get("authorization", ""))
        self.may_answer.wait(30)
        return self.answer


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    made = Hub()
    with serve_starlette(Starlette(routes=[Route("/api/spaces/zero-gpu/quota", made.tell)])) as url:
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", url)
        yield made
        made.may_answer.set()


def test_what_is_left_is_asked_with_the_visitor_s_token_and_said(hub: Hub) -> None:
    quota = asyncio.run(QuotaReader().read("1", "annas-token"))
    assert quota is not None
    assert quota == GpuQuota(1810.4, 2400, datetime(2026, 11, 27, 9, 12, 3, tzinfo=UTC))
    assert hub.tokens == ["Bearer annas-token"]
    line = render_quota(quota)
    assert "GPU seconds left: 1810 of 2400 · more from 09:12 UTC" in line
    assert i18n.is_translated(line.removeprefix('<p role="status">').removesuffix("</p>"))
    assert "more" not in render_quota(GpuQuota(2400, 2400, None))


def test_it_is_asked_seldom_and_once_for_each_visitor(hub: Hub) -> None:
    now = [0.0]
    reader = QuotaReader(lambda: now[0])
    for account in ("1", "1", "2", "1"):
        assert asyncio.run(reader.read(account, f"token-{account}")) is not None
    assert hub.tokens == ["Bearer token-1", "Bearer token-2"]
    now[0] = ASK_INTERVAL_SECONDS
    asyncio.run(reader.read("1", "newer"))
    assert hub.tokens[2:] == ["Bearer newer"]
    assert "token" not in str(vars(reader)), "what is kept are answers"


@pytest.mark.parametrize(
    "answer",
    [
        JSONResponse({"error": "Invalid credentials"}, 401),
        JSONResponse({"error": "no read-billing"}, 403),
        JSONResponse({}, 500),
        JSONResponse({"base": None, "current": "much"}),
        JSONResponse([]),
        Response("<html>"),
    ],
    ids=["401", "403", "500", "other words", "a list", "no JSON"],
)
def test_a_failure_is_silence(hub: Hub, answer: Response) -> None:
    hub.answer = answer
    reader = QuotaReader()
    for _ in range(2):
        assert asyncio.run(reader.read("1", "token")) is None
    assert len(hub.tokens) == 1, "a failure is not asked again at once"


def test_a_hub_that_hangs_or_is_not_there_is_silence(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_quota, "TIMEOUT_SECONDS", 0.05)
    hub.may_answer.clear()

    async def read_and_let_go() -> GpuQuota | None:
        quota = await QuotaReader().read("1", "token")
        hub.may_answer.set()
        return quota

    assert asyncio.run(read_and_let_go()) is None
    monkeypatch.setattr(gpu_quota, "TIMEOUT_SECONDS", 5)
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", "http://127.0.0.1:9")
    assert asyncio.run(QuotaReader().read("1", "token")) is None


def test_an_older_hub_library_is_silence(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "get_zero_gpu_quota", None)
    assert asyncio.run(QuotaReader().read("1", "token")) is None


@pytest.mark.parametrize(
    ("scope", "seconds", "oauth", "found"),
    [
        (f"openid {QUOTA_SCOPE}", 60, True, ("1", "t0ken")),
        ("openid profile", 60, True, None),
        (f"openid {QUOTA_SCOPE}", -60, True, None),
        (f"openid {QUOTA_SCOPE}", 60, False, None),
    ],
)
def test_only_who_signed_in_and_granted_it_has_a_token(scope: str, seconds: float, oauth: bool, found: Any) -> None:
    told = {"userinfo": {"sub": "1"}, "scope": scope, "access_token": "t0ken", "expires_at": time.time() + seconds}
    request: Any = SimpleNamespace(request=SimpleNamespace(scope={"session": {"oauth_info": told}}))
    access = AccessControl.__new__(AccessControl)
    access.settings = Settings(spaces=True, oauth=oauth)
    assert access.find_hf_token(request, QUOTA_SCOPE) == found
