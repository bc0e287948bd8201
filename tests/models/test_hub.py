"""The hub: the probe never hangs; downloads report each file, resume, and bring no code."""

from __future__ import annotations

import errno
import functools
import hashlib
import http.server
import json
import re
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from pipelines.core.errors import BadInput, JobCancelled, ModelUnavailable, StudioError
from pipelines.core.job import Job, Result, Step
from pipelines.core.models import ModelSpec
from pipelines.engines.local import LocalEngine
from pipelines.models import checkpoint, hub, hub_download, lora, pinned_revisions
from pipelines.models.diffusion import loader
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.families import FAMILIES
from pipelines.models.families.hub_nets import BIREFNET_FAMILY
from pipelines.models.families.stable_diffusion import StableDiffusionModel
from pipelines.models.hub import DownloadManager, DownloadProgress, is_hub_reachable
from pipelines.models.model_cache import ModelCache
from pipelines.models.profiles import is_cached
from pipelines.models.registry import list_all_specs
from pipelines.runtime import progress
from pipelines.storage.file_index import FileIndex
from tests.models.support import tiny_birefnet, tiny_checkpoints
from tests.support.gated_tool import UnfilteredEngine

FETCHED = (
    "stable_diffusion",
    "flux2",
    "z_image",
    "qwen_image",
    "longcat",
    "joyimage",
    "qwen_image_21",
    "krea",
    "wan",
    "fashn",
    "dwpose",
    "control_net",
    "maps",
    "birefnet",
    "vitmatte",
    "sam2",
    "fill-nets",
)


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


class RefusingHandler(http.server.BaseHTTPRequestHandler):
    """A hub that answers and refuses everybody."""

    def do_HEAD(self) -> None:
        self.send_error(403)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_hub_that_answers_anything_is_there():
    with http.server.HTTPServer(("127.0.0.1", 0), RefusingHandler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert is_hub_reachable(f"http://127.0.0.1:{server.server_port}", timeout_seconds=60.0)


def test_a_hub_that_does_not_answer_costs_no_more_than_its_seconds():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        assert not is_hub_reachable(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=1.0)
        assert time.monotonic() - start < 30


def test_whoever_asks_for_the_hub_is_told_no_secret(monkeypatch: pytest.MonkeyPatch):
    """The process that asks here succeeds where it finds none of the names; `PATH` is one that it is to find."""
    script = "import os, sys; sys.exit(any(name in os.environ for name in sys.argv[1].split()))"
    monkeypatch.setattr(hub, "_PROBE_SCRIPT", script)
    secrets = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "DESIGNERBOX_AUTH", "MY_PW")
    for name in secrets:
        monkeypatch.setenv(name, "hf_thisIsNobodysTokenAtAll")
    assert is_hub_reachable(" ".join(secrets), timeout_seconds=20)
    assert not is_hub_reachable("PATH", timeout_seconds=20)


def test_a_hub_that_refuses_the_connection_is_not_reachable():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not is_hub_reachable(f"http://127.0.0.1:{port}")


def test_offline_asks_nobody(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert not is_hub_reachable("http://127.0.0.1:9")


# ---------------------------------------------------------------- downloads

COMMIT = "c0ffee" + "0" * 34
FILES = {
    "model_index.json": b'{"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}',
    "unet/config.json": b"{}",
    "unet/diffusion_pytorch_model.safetensors": bytes(range(256)) * 10_000,
    "unet/diffusion_pytorch_model.bin": b"a pickle",
    "pipeline.py": b"print('code')",
}
MODEL = ModelSpec("made", "stable_diffusion", ("text",), "Apache-2.0", repo="we/made", revision="main")


@dataclass
class FakeHub:
    """A hub with one repository. `breaks`: how often it drops the connection after `bytes_before_break` of a file."""

    url: str = ""
    breaks: int = 0
    bytes_before_break: int = 1_500_000  # the client writes what comes by the million
    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    served: list[tuple[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)


def make_handler(state: FakeHub) -> type[http.server.BaseHTTPRequestHandler]:
    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            state.asked.append(self.path)
            self._file(whole=False)

        def do_GET(self) -> None:
            state.asked.append(self.path)
            if not self.path.startswith("/api/"):
                return self._file(whole=True)
            listed = [{"rfilename": name, "size": len(data)} for name, data in state.files.items()]
            tree = [{"type": "file", "path": n, "size": len(d), "oid": "0"} for n, d in state.files.items()]
            body: Any = tree if "/tree/" in self.path else {"id": "we/made", "sha": COMMIT, "siblings": listed}
            self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

        def _file(self, *, whole: bool) -> None:
            name = re.sub(r"^/we/made/resolve/[^/]+/", "", self.path.partition("?")[0])
            if name not in state.files:
                return self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            data, asked = state.files[name], self.headers.get("Range", "")
            start = int(asked.removeprefix("bytes=").split("-")[0]) if asked and whole else 0
            headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            if whole:
                state.served.append((name, asked))
            self._send(206 if start else 200, data[start:], headers, body=whole)

        def _send(self, status: int, data: bytes, headers: dict[str, str], *, body: bool = True) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(key, value)
            self.end_headers()
            if not body:
                return
            if state.breaks and len(data) > 10**6:
                state.breaks -= 1
                self.wfile.write(data[: state.bytes_before_break])
                self.wfile.flush()
                state.gate.wait(5)
                self.close_connection = True
                return
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Answer


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    state = FakeHub()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), make_handler(state)) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("HF_ENDPOINT", state.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        # The weights of the real ones come by ten millions, these by the tenth part.
        monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 2**20)
        monkeypatch.setattr(hub_download, "RESUMED_FILE_BYTES", 1_000_000)
        monkeypatch.setattr("pipelines.models.diffusion.loader._COMPONENTS", ("unet",))
        monkeypatch.setattr("pipelines.models.pinned_revisions.PINS", {"we/made": COMMIT})
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield state
        state.gate.set()
        server.shutdown()


def make_downloads(folder: Path | None = None) -> DownloadManager:
    """Make what downloads from a hub that is known to answer: asking it takes a process each time."""
    return DownloadManager(folder, is_reachable=lambda: True)


def wait_for_state(
    downloads: DownloadManager, until: Callable[[DownloadProgress], bool] = lambda now: now.state != "running"
) -> DownloadProgress:
    for _ in range(600):
        if (now := downloads.current) is not None and until(now):
            return now
        time.sleep(0.05)
    raise AssertionError(downloads.current)


def downloaded_files(folder: Path) -> dict[str, bytes]:
    root = folder / "models--we--made" / "snapshots" / COMMIT
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_what_would_come_is_told_with_its_bytes_before_anything_comes(fake: FakeHub, tmp_path: Path):
    items = make_downloads(tmp_path).list_files(MODEL)
    assert {item.name: item.total_bytes for item in items} == {n: len(FILES[n]) for n in list(FILES)[:3]}
    assert all(item.done_bytes == 0 for item in items)
    assert fake.served == []


def test_only_safetensors_and_json_come_and_the_second_time_nothing(fake: FakeHub, tmp_path: Path):
    # Here the hub is really asked for; a busy machine is slow, not offline.
    downloads = DownloadManager(tmp_path, functools.partial(is_hub_reachable, timeout_seconds=60.0))
    assert downloads.start_download(MODEL)
    now = wait_for_state(downloads)
    assert now.state == "done"
    assert now.done_bytes == now.total_bytes == sum(len(FILES[name]) for name in list(FILES)[:3])
    assert downloaded_files(tmp_path) == {name: FILES[name] for name in list(FILES)[:3]}
    count = len(fake.served)
    downloads.start_download(MODEL)
    assert wait_for_state(downloads).state == "done"
    assert len(fake.served) == count


def test_several_come_one_after_the_other_until_one_does_not(fake: FakeHub, tmp_path: Path):
    again, unknown, never = (replace(MODEL, id=name) for name in ("again", "unknown", "never"))
    downloads = make_downloads(tmp_path)
    assert downloads.start_download(MODEL, again, replace(unknown, repo="we/else"), never)
    for thread in threading.enumerate():
        if thread.name == f"download-{MODEL.id}":
            thread.join(30)
    assert downloads.current is not None
    assert (downloads.current.spec_id, downloads.current.state) == ("unknown", "failed")
    assert "not on the list" in downloads.current.message
    assert downloaded_files(tmp_path) == {name: FILES[name] for name in list(FILES)[:3]}


def test_a_download_that_was_stopped_goes_on_where_it_was(fake: FakeHub, tmp_path: Path):
    fake.breaks = 1
    downloads = make_downloads(tmp_path)
    downloads.start_download(MODEL)
    wait_for_state(downloads, lambda now: now.done_bytes > 1000)
    assert not downloads.start_download(MODEL)
    downloads.stop_download()
    fake.gate.set()
    assert wait_for_state(downloads).state == "stopped"
    downloads.start_download(MODEL)
    assert wait_for_state(downloads).state == "done"
    assert downloaded_files(tmp_path)["unet/diffusion_pytorch_model.safetensors"] == FILES[WEIGHTS]
    asked = [asked for name, asked in fake.served if name == WEIGHTS]
    assert asked[0] == ""
    assert all(part.startswith("bytes=1") for part in asked[1:])
    assert asked[1:]


WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


def break_the_line(fake: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let some bytes of the weights come, and none after them however often the client tries."""
    hurried = SimpleNamespace(**{**vars(time), "sleep": lambda _: None})
    monkeypatch.setattr("huggingface_hub.file_download.time", hurried)
    fake.breaks, fake.bytes_before_break = 1000, 1_200_000
    fake.gate.set()

    class Counted(list[tuple[str, str]]):
        def append(self, row: tuple[str, str]) -> None:
            super().append(row)
            if row[0] == WEIGHTS and len([1 for name, _ in self if name == WEIGHTS]) > 1:
                fake.bytes_before_break = 0

    fake.served = Counted()


def test_a_line_that_breaks_for_good_ends_in_a_sentence_and_the_next_try_goes_on_there(
    fake: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    with monkeypatch.context() as patch:
        break_the_line(fake, patch)
        downloads = make_downloads(tmp_path)
        downloads.start_download(MODEL)
        now = wait_for_state(downloads)
    assert now.state == "failed"
    assert "did not give out we/made" in now.message
    assert "Another try goes on" in now.message
    fake.breaks, seen = 0, len(fake.served)
    again = make_downloads(tmp_path)  # as after a restart
    assert sum(file.done_bytes for file in again.list_files(MODEL)) >= 1_000_000
    assert again.start_download(MODEL)
    assert wait_for_state(again).state == "done"
    assert [asked[:7] for name, asked in fake.served[seen:] if name == WEIGHTS] == ["bytes=1"]
    assert downloaded_files(tmp_path)[WEIGHTS] == FILES[WEIGHTS]


XET_NETWORK_WORDS = "Data processing error: CAS Client Error: error sending request for url"
XET_DISK_WORDS = "Data processing error: IO Error: No space left on device (os error 28)"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError(XET_NETWORK_WORDS), "did not give out we/made"),
        (RuntimeError(XET_DISK_WORDS), "The disk is full"),
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full"),
    ],
)
def test_what_the_transport_raises_ends_in_a_sentence_and_another_download_can_start(
    fake: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, words: str
):
    def fail(*_: object, **__: object) -> None:
        raise error

    downloads = make_downloads(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("huggingface_hub.file_download.http_get", fail)
        downloads.start_download(MODEL)
        now = wait_for_state(downloads)
    assert (now.state, words in now.message) == ("failed", True)
    assert downloads.start_download(MODEL)
    assert wait_for_state(downloads).state == "done"


@pytest.mark.parametrize(("words", "code"), [(XET_NETWORK_WORDS, "model_unavailable"), (XET_DISK_WORDS, "disk_full")])
def test_loading_that_fetches_by_itself_explains_the_transport_s_errors_too(
    fake: FakeHub, monkeypatch: pytest.MonkeyPatch, words: str, code: str
):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(words)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(StudioError) as caught:
        checkpoint.fetch_snapshot("we/made", "", ["*"])
    assert caught.value.code == code


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_download_that_ends_by_a_bug_does_not_block_the_next(
    fake: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    downloads = make_downloads(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(hub_download, "check_disk_space", lambda *_: {}["a bug"])
        downloads.start_download(MODEL)
        assert wait_for_state(downloads).message == hub.BROKEN_TEXT
    assert downloads.start_download(MODEL)
    assert wait_for_state(downloads).state == "done"


def test_a_disk_that_is_too_small_is_told_with_both_sizes_before_the_first_byte(
    fake: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    free = shutil.disk_usage(tmp_path)._replace(free=2_500_000)
    monkeypatch.setattr(hub_download.shutil, "disk_usage", lambda _: free)
    downloads = make_downloads(tmp_path)
    downloads.start_download(MODEL)
    now = wait_for_state(downloads)
    assert now.state == "failed"
    assert "0.0 GB are free" in now.message
    assert fake.served == []


def test_a_file_that_arrives_damaged_is_deleted_and_fetched_anew(
    fake: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    downloads = make_downloads(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(hub_download, "compute_sha256", lambda _: "0" * 64)
        downloads.start_download(MODEL)
        now = wait_for_state(downloads)
    assert (now.state, "arrived damaged" in now.message) == ("failed", True)
    assert WEIGHTS not in downloaded_files(tmp_path)
    downloads.start_download(MODEL)
    assert wait_for_state(downloads).state == "done"
    assert downloaded_files(tmp_path)[WEIGHTS] == FILES[WEIGHTS]


def test_a_file_that_is_not_the_one_that_is_known_is_not_fetched(
    fake: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    for sha256, state in ((hashlib.sha256(FILES[WEIGHTS]).hexdigest(), "done"), ("0" * 64, "failed")):
        monkeypatch.setattr(pinned_revisions, "FILE_SHA256", {("we/made", WEIGHTS): sha256})
        downloads = make_downloads(tmp_path / state)
        downloads.start_download(MODEL)
        now = wait_for_state(downloads)
        assert now.state == state
        assert (WEIGHTS in downloaded_files(tmp_path / state)) == (state == "done")
    assert "is another file" in now.message


def test_a_matting_net_comes_alone_is_checked_and_is_loaded_from_where_it_lies(
    fake: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    net = ModelSpec("made", "birefnet", (), "MIT", "we/made", COMMIT, options=(("files", "onnx/model.onnx"),))
    data = tiny_birefnet.make_file()
    fake.files = {**FILES, "onnx/model.onnx": data, "onnx/model_fp16.onnx": b"another"}
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub_download, "RESUMED_FILE_BYTES", len(data))  # as the real one: in parts
    for sha256, state in (("0" * 64, "failed"), (hashlib.sha256(data).hexdigest(), "done")):
        monkeypatch.setattr(pinned_revisions, "FILE_SHA256", {("we/made", "onnx/model.onnx"): sha256})
        downloads = make_downloads()
        assert not is_cached(net)
        downloads.start_download(net)
        assert wait_for_state(downloads).state == state
    assert downloaded_files(tmp_path) == {"onnx/model.onnx": data}
    assert is_cached(net)
    loaded = BIREFNET_FAMILY.load(net, "cpu")
    assert loaded.predict_map(np.zeros((8, 8, 3), np.uint8)).shape == (1024, 1024)
    loaded.close()


def test_two_that_want_the_same_file_fetch_it_once(fake: FakeHub, tmp_path: Path):
    managers = [make_downloads(tmp_path), make_downloads(tmp_path)]
    assert all(each.start_download(MODEL) for each in managers)
    assert [wait_for_state(each).state for each in managers] == ["done", "done"]
    assert len([name for name, _ in fake.served if name == WEIGHTS]) == 1
    assert downloaded_files(tmp_path)[WEIGHTS] == FILES[WEIGHTS]


def test_a_hub_that_is_not_there_is_one_clear_sentence(tmp_path: Path):
    downloads = DownloadManager(tmp_path, is_reachable=lambda: False)
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        downloads.list_files(MODEL)
    downloads.start_download(MODEL)
    now = wait_for_state(downloads)
    assert now.state == "failed"
    assert now.message.count(".") >= 1
    assert "\n" not in now.message


# ---------------------------------------------------------------- downloads inside a job


@pytest.fixture
def engine(fake: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LocalEngine]:
    """An engine whose one checkpoint lies at the hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(progress, "TEXT_INTERVAL_SECONDS", 0.0)
    row = tiny_checkpoints.tiny_spec("made", Path("we/made"), steps=2, guidance=1.0)
    files = FileIndex(tmp_path)
    cache = ModelCache((*FAMILIES, CheckpointFamily(StableDiffusionModel, (row,))))
    made = UnfilteredEngine(cache, files)
    yield made
    made.close()
    files.close()


def make_job() -> Job:
    return Job(
        id=f"job-{uuid.uuid4().hex}",
        tool="background",
        params={"prompt": "a harbour", "size": 256},
        seed=1,
        profile="made",
        specs={"backdrop": "made", "matte": "u2netp"},
        owner="me",
        created=time.time(),
    )


def test_a_job_tells_each_file_that_comes_for_it_and_then_draws(
    engine: LocalEngine,
    fake: FakeHub,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("pipelines.models.diffusion.loader._COMPONENTS", ("text_encoder", "unet", "vae"))
    folder = tiny_checkpoints.tiny_sd(tmp_path / "tiny")
    fake.files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    caplog.set_level("INFO", logger="designerbox")
    # Here the hub is really asked for; a busy machine is slow, not offline.
    engine.cache._is_hub_reachable = functools.partial(is_hub_reachable, timeout_seconds=60.0)
    *steps, result = engine.run(make_job())
    assert isinstance(result, Result)
    coming = [step for step in steps if isinstance(step, Step) and step.stage.startswith("Downloading ")]
    size = len(fake.files["unet/diffusion_pytorch_model.safetensors"]) / 1e6
    whole = f"unet/diffusion_pytorch_model.safetensors, {size:.1f} of {size:.1f} MB"
    assert f"Downloading {whole}" in [step.stage for step in coming]
    for name in fake.files:
        assert any(name in step.stage for step in coming), name
        assert any(f"downloaded {name} of we/made" in record.message for record in caplog.records), name
    assert [step.index for step in coming] == sorted(step.index for step in coming)
    assert (coming[-1].index, coming[-1].total) == (100, 100)
    assert "Downloading" in result.receipt["timings"]
    assert not any("safetensors" in stage for stage in result.receipt["timings"])
    # What is here is read without the hub, whether it answers or not.
    fake.asked.clear()
    engine.cache.unload_model("made")
    again = list(engine.run(make_job()))
    assert isinstance(again[-1], Result)
    assert fake.asked == []
    assert engine.cache.load_counts["made"] == 2
    assert not any(isinstance(step, Step) and step.stage.startswith("Downloading") for step in again)


def test_a_job_that_is_stopped_while_its_model_comes_ends_and_the_next_goes_on_there(
    engine: LocalEngine, fake: FakeHub
) -> None:
    fake.breaks = 1
    stream = engine.run(make_job())
    for step in stream:
        if isinstance(step, Step) and "1.0 of 2.6 MB" in step.stage:
            break
    stream.close()
    fake.gate.set()
    with pytest.raises(JobCancelled):
        list(stream)
    assert engine.cache.resident_models() == []
    with pytest.raises(StudioError):  # these files are no checkpoint
        list(engine.run(make_job()))
    assert any(asked.startswith("bytes=1") for _, asked in fake.served)


@pytest.mark.parametrize(("words", "code"), [(XET_NETWORK_WORDS, "model_unavailable"), (XET_DISK_WORDS, "disk_full")])
def test_a_job_whose_download_breaks_off_ends_with_a_sentence(
    engine: LocalEngine, fake: FakeHub, monkeypatch: pytest.MonkeyPatch, words: str, code: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(words)

    monkeypatch.setattr("huggingface_hub.file_download.http_get", fail)
    with pytest.raises(StudioError) as caught:
        list(engine.run(make_job()))
    assert caught.value.code == code


def test_a_job_for_which_the_disk_is_too_small_fetches_nothing(
    engine: LocalEngine, fake: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    free = shutil.disk_usage(tmp_path)._replace(free=2_500_000)
    monkeypatch.setattr(hub_download.shutil, "disk_usage", lambda _: free)
    with pytest.raises(StudioError, match="There is no room for made") as caught:
        list(engine.run(make_job()))
    assert caught.value.code == "disk_full"
    assert fake.served == []


def test_a_job_whose_model_cannot_come_says_so(engine: LocalEngine, fake: FakeHub) -> None:
    del fake.files["unet/diffusion_pytorch_model.safetensors"]
    with pytest.raises(ModelUnavailable, match="lacks the weights of its unet"):
        list(engine.run(make_job()))


def test_a_job_whose_hub_went_away_says_so_at_once(engine: LocalEngine, fake: FakeHub) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        engine.cache._is_hub_reachable = lambda: is_hub_reachable(
            f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=1.0
        )
        with pytest.raises(ModelUnavailable, match="cannot be reached"):
            list(engine.run(make_job()))
    assert fake.asked == []


def test_a_checkpoint_without_its_tokenizer_is_not_here(tmp_path: Path) -> None:
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").touch()
    checkpoint.check_config_files(tmp_path, ["_class_name", "scheduler", "unet"])
    with pytest.raises(ModelUnavailable, match="lacks the files of its tokenizer_2"):
        checkpoint.check_config_files(tmp_path, ["scheduler", "tokenizer_2", "unet"])


@pytest.mark.parametrize("files", [("model-00001-of-00002",), ("model-00002-of-00002",), ()])
def test_a_checkpoint_that_came_in_part_is_not_here(tmp_path: Path, files: tuple[str, ...]) -> None:
    (tmp_path / "unet").mkdir()
    for name in files:
        (tmp_path / "unet" / f"{name}.safetensors").touch()
    with pytest.raises(ModelUnavailable, match="lacks the weights of its unet"):
        checkpoint.find_weight_files(tmp_path, ["unet"])


# ---------------------------------------------------------------- which repositories


def test_a_file_of_weights_that_was_cut_off_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "unet" / "model.safetensors"
    file.parent.mkdir()
    save_file({"a.weight": np.zeros((4, 6), np.float16), "step": np.zeros(3, np.int64)}, file)
    assert checkpoint.compute_loaded_bytes([file], "float32") == 4 * 24 + 8 * 3
    assert checkpoint.is_safetensors(file)

    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelUnavailable, match=r"model\.safetensors of unet is damaged"):
        checkpoint.compute_loaded_bytes([file], "float32")
    assert not checkpoint.is_safetensors(file)


def test_every_repository_of_every_model_is_pinned_to_a_commit():
    rows = [
        source
        for spec in list_all_specs()
        if spec.repo and spec.family in FETCHED
        for source in loader.list_sources(spec)
    ]
    repos = {repo for repo, _, _ in rows}
    assert repos == set(pinned_revisions.PINS)
    assert all(
        pinned_revisions.COMMIT_PATTERN.fullmatch(pin)
        for pin in pinned_revisions.PINS.values()
        if pin is not pinned_revisions.FIRST_SEEN
    )
    assert all(revision in ("", pinned_revisions.PINS[repo]) for repo, revision, _ in rows)
    assert {repo for repo, pin in pinned_revisions.PINS.items() if not pin} == {
        "alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union",
        "FireRedTeam/FireRed-Image-Edit-1.1",
        "jdopensource/JoyAI-Image-Edit-Diffusers",
    }


@pytest.mark.parametrize(
    ("repo", "revision"),
    [("we/else", ""), ("stabilityai/sdxl-turbo", "d" * 40), ("stabilityai/SDXL-turbo", ""), ("../etc", "")],
)
def test_no_other_repository_and_no_other_commit_is_asked_for(fake: FakeHub, repo: str, revision: str):
    """Neither by loading, nor by downloading on the page, nor by a LoRA that a job names."""
    ways = [
        lambda: checkpoint.fetch_snapshot(repo, revision, ["*"]),
        lambda: checkpoint.fetch_snapshot(repo, revision, ["*"], offline=True),
        lambda: hub_download.download_snapshot(repo, revision, ("*",), lambda _: None, None),
        lambda: lora.find_lora_file(repo),
    ]
    for way in ways[: 3 if revision else 4]:
        with pytest.raises((ModelUnavailable, BadInput)):
            way()
    assert fake.asked == []


def test_a_name_means_the_pinned_commit(fake: FakeHub, tmp_path: Path):
    for revision in ("", "main", COMMIT):
        assert pinned_revisions.pinned_commit("we/made", revision) == COMMIT
    make_downloads(tmp_path).list_files(MODEL)
    assert fake.asked
    assert all(COMMIT in path for path in fake.asked)


def test_what_is_pinned_to_no_commit_stays_with_the_first_that_came(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("pipelines.models.pinned_revisions.PINS", {"we/made": pinned_revisions.FIRST_SEEN})
    assert pinned_revisions.pinned_commit("we/made") == "main"
    refs = tmp_path / "models--we--made" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text(COMMIT)
    assert pinned_revisions.pinned_commit("we/made") == COMMIT
    for moved in ("d" * 40, "../../elsewhere"):  # another program asked for "main" anew
        (refs / "main").write_text(moved)
        assert pinned_revisions.pinned_commit("we/made") == COMMIT
    with pytest.raises(ModelUnavailable):
        pinned_revisions.pinned_commit("we/made", "d" * 40)
    (refs.parent / pinned_revisions.FIRST_SEEN_FILE_NAME).write_text("../../elsewhere")
    assert pinned_revisions.pinned_commit("we/made") == "main"
