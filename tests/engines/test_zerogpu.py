"""ZeroGPU: a Space in miniature through the real `spaces` package, and what this process does without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.rendering import RenderRequest
from pipelines.engines import zerogpu
from pipelines.engines.local import LocalEngine
from pipelines.engines.visitor_tokens import REQUEST_TOKEN, TOKEN_SECONDS, VisitorTokens
from pipelines.models.batch_size_tuner import BatchSizeTuner
from pipelines.models.profiles import choose_profile
from tests.engines.support.zerogpu_space import run_space
from tests.models.support.family_checks import tiny_row
from tests.support.real_studio import RealStudio
from ui.server.middleware import VisitorTokenMiddleware


def test_off_such_a_space_the_generator_is_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert not zerogpu.is_zerogpu_space()
    assert zerogpu.decorated_gpu_draw() is zerogpu.draw_on_gpu


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_a_space_that_lends_draws_in_the_forked_process_what_is_drawn_here(tmp_path: Path) -> None:
    seen = run_space(tmp_path)
    assert seen["sha256"] == seen["after"] == seen["local"]
    assert seen["previews"] > 0
    assert seen["cancelled"]
    assert seen["full"].startswith("out_of_memory: ")
    assert seen["no_gpu"].startswith("rate_limited: No GPU was lent: Space app has reached its GPU limit.")
    assert "0s left). Try again in 0:10:00." in seen["used_up"]
    # The first job was a visitor's and cost that visitor's seconds; the others had none.
    assert seen["tokens"][0] == "the-visitors-token"
    assert set(seen["tokens"][1:6]) <= {"", "the-visitors-token"}
    assert seen["tokens"].count("the-visitors-token") == 2
    assert {f"token-{number}" for number in range(4)} <= set(seen["tokens"])
    assert seen["together"] >= 4, "four GPUs were asked for at once"
    # Every drawing took place in a process of its own, never in this one.
    assert seen["allowed"]
    assert seen["pid"] not in seen["allowed"]
    assert all(10 <= int(call.split()[1]) <= 120 for call in seen["calls"] if call.startswith("schedule"))


def test_the_gpu_is_asked_for_as_long_as_the_order_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    class Placed:
        spec = replace(tiny_row("any", "", ("text",)), defaults=(("num_inference_steps", 4),))

    monkeypatch.setitem(zerogpu._PLACED_MODELS, "any", Placed())
    small = RenderRequest("text", "a cup", (512, 512), (1,))
    large = replace(small, size=(2048, 2048), seeds=(1, 2, 3, 4), num_inference_steps=50)
    assert 20 <= zerogpu.lease_seconds("any", small, True) < zerogpu.lease_seconds("any", large, True) == 120


def test_the_profile_is_chosen_by_what_a_lent_gpu_holds() -> None:
    profile, device = choose_profile(None, zerogpu.zerogpu_machine(), cached=lambda _: False, reachable=lambda: True)
    assert (profile.id, device) == ("klein", "cuda")
    assert "ZeroGPU" in profile.reason


# ---------------------------------------------------------------- whose seconds a drawing costs


def test_the_token_of_a_request_is_kept_for_its_job_and_in_no_table(tmp_path: Path) -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient

    token = "a-token-of-nobody"
    with RealStudio(tmp_path, engine=NotingEngine) as studio:
        engine = studio.engine
        assert isinstance(engine, NotingEngine)

        def order(request: Request) -> PlainTextResponse:  # in a thread of its own, as the routes of the API
            return PlainTextResponse(studio.jobs.submit(studio.create_job("background", prompt="a harbour")))

        client = TestClient(VisitorTokenMiddleware(Starlette(routes=[Route("/order", order)])))
        with_token = client.get("/order", headers={"X-IP-Token": token}).text
        without = client.get("/order").text
        assert [engine.tokens.take_token(job_id) for job_id in (with_token, with_token, without)] == [token, "", ""]
        studio.jobs.cancel(with_token)
        studio.jobs.cancel(without)
    assert not any(token.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_token_that_nobody_took_is_forgotten() -> None:
    now = [0.0]
    tokens = VisitorTokens(lambda: now[0])
    reset = REQUEST_TOKEN.set("old")
    tokens.store_request_token("a")
    now[0] = TOKEN_SECONDS + 1
    tokens.store_request_token("b")
    REQUEST_TOKEN.reset(reset)
    assert (tokens.take_token("a"), tokens.take_token("b")) == ("", "old")


def test_a_drawing_that_was_measured_asks_for_as_long_as_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    class Placed:
        spec = replace(tiny_row("any", "", ("text",)), defaults=(("num_inference_steps", 4),))

    monkeypatch.setitem(zerogpu._PLACED_MODELS, "any", Placed())
    monkeypatch.setattr(zerogpu, "_PACE_TUNER", BatchSizeTuner())
    render = RenderRequest("text", "a cup", (512, 512), (1,))
    guessed = zerogpu.lease_seconds("any", render, True)
    for seconds in (4.0, 2.0):
        zerogpu._PACE_TUNER.record_call_seconds(zerogpu._call_kind("any", render), 1, seconds)
    assert zerogpu.lease_seconds("any", render, True) == 10 + 6
    assert zerogpu.lease_seconds("any", replace(render, size=(1024, 512)), True) >= guessed
    zerogpu._PACE_TUNER.record_call_seconds(zerogpu._call_kind("any", render), 1, 500.0)
    assert zerogpu.lease_seconds("any", render, True) == 120


class NotingEngine(LocalEngine):
    """An engine that keeps visitors' tokens and leaves them where they are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tokens = VisitorTokens()

    def keep_visitor(self, job_id: str) -> None:
        self.tokens.store_request_token(job_id)
