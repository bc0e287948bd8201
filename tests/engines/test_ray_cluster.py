"""A studio on Ray: what is open to the network, what a lost worker costs, whose log counts."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from pipelines.core.errors import BadInput, PolicyRefusal, QueueFull
from pipelines.core.job import Event, Result, Step
from pipelines.core.stream import Stream, wait_for_result
from pipelines.engines.ray_cluster import cluster
from pipelines.engines.ray_cluster.engine import LOST_STAGE, RayEngine, RayOptions
from pipelines.engines.ray_cluster.worker import _to_picklable_error
from pipelines.security.audit_log import AuditLog
from pipelines.storage.file_index import FileIndex
from tests.engines.support import ray_workers
from tests.models.support.family_checks import noise_photo as photographed
from tests.support.gated_tool import make_gated_job
from tests.support.served_app import wait_until

LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"RAY_AUTH_MODE": "disabled"}, "token"),
        ({"RAY_ADDRESS": "ray://head:10001"}, "part of"),
    ],
)
@ray_workers.needs_ray
def test_it_does_not_start_without_a_token_nor_where_it_cannot_work(
    environ: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=sentence):
        cluster.join_cluster(tmp_path, 1, environ)


def test_an_error_crosses_as_it_is_or_as_what_it_says() -> None:
    ours, pythons = BadInput("No.", param="photo"), ZeroDivisionError("division by zero")
    assert _to_picklable_error(ours) is ours
    assert _to_picklable_error(pythons) is pythons
    locked = _to_picklable_error(ValueError(threading.Lock()))
    assert type(locked) is RuntimeError
    assert "ValueError" in str(locked)
    assert str(_to_picklable_error(sqlite3.OperationalError("disk I/O error"))) == "OperationalError: disk I/O error"


def test_where_ray_is_missing_the_command_that_brings_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"pip install -r requirements-ray\.txt"):
        cluster.join_cluster(tmp_path, 1, {})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileIndex]:
    files = FileIndex(tmp_path_factory.mktemp("ray"))
    yield files
    files.close()


@pytest.fixture(scope="module")
def engine(files: FileIndex) -> Iterator[RayEngine]:
    """Two workers whose steps take a while; pictures go by way of a folder."""
    build = partial(ray_workers.build_engine, pause=0.15)
    options = RayOptions(2, cpus=0.5, store_url=f"file://{files.data / 'store'}")
    with ray_workers.start_ray_engine(files.data, files, options, build) as made:
        yield made


@ray_workers.needs_ray
def test_nothing_listens_beyond_this_machine_and_only_its_owner_reads_the_token(engine: RayEngine) -> None:
    assert engine.workers[0].pid in {child.pid for child in psutil.Process().children(recursive=True)}
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = [
        row for process in processes for row in process.net_connections("tcp") if row.status == psutil.CONN_LISTEN
    ]
    assert {row.laddr.ip for row in listening} <= LOOPBACK
    assert len(listening) > 2
    assert Path(os.environ["RAY_AUTH_TOKEN_PATH"]).stat().st_mode & 0o777 == 0o600


@ray_workers.needs_ray
def test_a_worker_that_is_killed_in_mid_stream_costs_its_job_a_step_and_nothing_else(engine: RayEngine) -> None:
    whole = wait_for_result(engine.run(make_gated_job(8)))
    events = list(kill_after_third_step(engine, engine.run(make_gated_job(8))))
    stages = [event.stage for event in events if isinstance(event, Step)]
    assert stages.count(LOST_STAGE) == 1
    assert stages[-1] == "Writing"
    result = events[-1]
    assert isinstance(result, Result)
    assert [file.pixels_sha256 for file in result.files] == [file.pixels_sha256 for file in whole.files]
    assert not list((engine._transport._files.data / "store").iterdir())
    wait_until(lambda: all(worker.is_connected for worker in engine.workers), ray_workers.START_TIMEOUT_SECONDS)


@ray_workers.needs_ray
def test_each_worker_has_one_job_and_one_too_many_is_told_so(engine: RayEngine) -> None:
    streams = [engine.run(make_gated_job(4, seed=n)) for n in range(2)]
    assert set(ray_workers.find_busy_workers(engine)) == {0, 1}
    with pytest.raises(QueueFull, match="Every worker"):
        engine.run(make_gated_job())
    assert all(isinstance(list(stream)[-1], Result) for stream in streams)
    assert ray_workers.find_busy_workers(engine) == {}


@ray_workers.needs_ray
def test_what_the_gate_of_a_worker_refuses_stands_in_the_log_of_the_studio(engine: RayEngine, files: FileIndex) -> None:
    ray_workers.call_in_workers(engine, ray_workers.refuse_everything)
    photo = files.add_image(photographed(6), "me", "upload")
    before = AuditLog(files.data).verify_chain()
    asked = make_gated_job().model_copy(update={"tool": "mirror", "params": {"photo": photo}})
    try:
        with pytest.raises(PolicyRefusal):
            wait_for_result(engine.run(asked))
    finally:
        ray_workers.call_in_workers(engine, ray_workers.judge_again)
    state = AuditLog(files.data).verify_chain()
    assert (state.entry_count, state.broken_line) == (before.entry_count + 1, None)


def kill_after_third_step(engine: RayEngine, stream: Stream) -> Iterator[Event]:
    """The events of a job whose worker is killed after its third step."""
    steps = 0
    for event in stream:
        yield event
        steps += isinstance(event, Step) and event.stage == "Waiting"
        if steps == 3:
            ray_workers.kill_worker(engine, next(iter(ray_workers.find_busy_workers(engine))))
            steps = 4
