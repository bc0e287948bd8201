"""ZeroGPU: a Space in miniature through the real `spaces` package, and what this process does without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.rendering import RenderRequest
from pipelines.engines import zerogpu
from pipelines.models.profiles import choose_profile
from tests.models.support.family_checks import tiny_row

ROOT = Path(__file__).parents[2]


def test_off_such_a_space_the_generator_is_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert not zerogpu.is_zerogpu_space()
    assert zerogpu.decorated_gpu_draw() is zerogpu.draw_on_gpu


def test_a_space_that_lends_draws_in_the_forked_process_what_is_drawn_here(tmp_path: Path) -> None:
    env = {**os.environ, "SPACES_ZERO_GPU": "true", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.engines.support.zerogpu_space", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
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

    monkeypatch.setitem(zerogpu._PLACED_MODELS, "any", Placed())  # pyright: ignore[reportArgumentType]
    small = RenderRequest("text", "a cup", (512, 512), (1,))
    large = replace(small, size=(2048, 2048), seeds=(1, 2, 3, 4), num_inference_steps=50)
    assert 20 <= zerogpu.lease_seconds("any", small, True) < zerogpu.lease_seconds("any", large, True) == 120


def test_the_profile_is_chosen_by_what_a_lent_gpu_holds() -> None:
    profile, device = choose_profile(None, zerogpu.zerogpu_machine(), cached=lambda _: False, reachable=lambda: True)
    assert (profile.id, device) == ("klein", "cuda")
    assert "ZeroGPU" in profile.reason
