"""No password, key or token is in a worker's environment, a command line, a log or a job."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipelines.core import isolated_process
from pipelines.ingest.decoder_pool import DecoderPool
from pipelines.settings import Settings
from tests.api.support.calls import RUN, make_noise_png
from tests.support.served_app import ServedApp, serve_app

TOKEN = "hf_thisIsNobodysTokenAtAll"
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "DESIGNERBOX_AUTH", "AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "MY_PW")
linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")


@pytest.fixture
def ingest(monkeypatch: pytest.MonkeyPatch) -> Iterator[DecoderPool]:
    """A decoder that is started while secrets stand in the environment and on the command line."""
    for name in SECRETS:
        monkeypatch.setenv(name, TOKEN)
    monkeypatch.setattr(sys, "argv", ["app.py", "--auth", f"ann:{TOKEN}"])
    made = DecoderPool(workers=1)
    yield made
    made.close()


def test_a_decoder_s_environment_holds_no_secret_and_it_decodes_all_the_same(ingest: DecoderPool) -> None:
    for name in SECRETS:
        assert ingest._run_task(os.getenv, name) is None
    assert ingest._run_task(os.getenv, "PATH") == os.environ["PATH"]
    assert ingest.decode_picture(make_noise_png()).image.ndim == 3
    assert sys.argv[0] == "app.py"  # ours was only lent away


@linux
def test_the_system_tells_no_secret_of_a_decoder(ingest: DecoderPool) -> None:
    """Neither what it was started with, which an emptied `os.environ` would not change, nor its command line."""
    process = Path(f"/proc/{ingest._run_task(os.getpid)}")
    told = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
    assert b"PATH=" in told
    assert TOKEN.encode() not in told


def test_what_a_worker_is_told_is_a_list_of_names_that_hold_no_secret() -> None:
    told = isolated_process.environment_without_secrets(
        {"PATH": "/bin", "HF_TOKEN": TOKEN, "LANG": "C", "PATH_TO_KEY": TOKEN}
    )
    assert told == {"PATH": "/bin", "LANG": "C"}


def test_settings_are_not_printed_with_their_password() -> None:
    assert TOKEN not in repr(Settings(auth=f"ann:{TOKEN}"))


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[ServedApp]:
    with serve_app(tmp_path, settings=Settings(data=tmp_path, require_key=True)) as made:
        yield made


def test_a_key_reaches_no_log_and_no_file_that_is_kept(locked: ServedApp, caplog: pytest.LogCaptureFixture) -> None:
    key = locked.keys.create_key("ann")
    head = {"Authorization": f"Bearer {key}"}
    with caplog.at_level(logging.DEBUG), httpx.Client(base_url=locked.url, timeout=30) as http:
        job = http.post(RUN, json={"prompt": "x"}, headers=head).json()
        http.post(RUN, json={"fault": "bug"}, headers=head)
        http.post(RUN, json={"prompt": "y"}, headers={"X-API-Key": key})
        http.get("/v1/nope", headers={**head, "Cookie": f"dbx_visitor={key}"})
        http.get("/v1/tools", params={"key": key})
    ours = [row for row in caplog.records if not row.name.startswith(("httpx", "httpcore"))]
    assert ours
    assert key not in "".join(row.getMessage() + str(row.exc_text) for row in ours)
    assert key not in json.dumps(job["receipt"])
    kept = [path for path in locked.service.settings.data.rglob("*") if path.is_file()]
    assert len(kept) > 3
    assert not [path for path in kept if key.encode() in path.read_bytes()]
