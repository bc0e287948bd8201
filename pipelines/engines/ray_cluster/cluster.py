"""Ray itself: a cluster of our own on this machine, or one that is there; knows no job.

Ray lets whoever reaches its ports run code, so it is used with its token or not at all. Our own cluster listens on
127.0.0.1 alone and has no dashboard.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipelines.core.errors import BadInput

T = TypeVar("T")
OBJECTS = 200 * 2**20
"""Bytes of main memory that our own cluster may hold pictures in, on their way."""
ROOT = Path(__file__).resolve().parents[3]
MISSING = "The Ray engine needs Ray: pip install -r requirements-ray.txt"
OPEN = "Ray without its token runs code for whoever reaches its ports. Leave RAY_AUTH_MODE unset, or set it to token."
CLIENT = "RAY_ADDRESS must name a cluster that this machine is part of (HOST:6379, or auto), not ray://."


@dataclass(frozen=True)
class Cluster:
    """A cluster that was joined. `folder`: where Ray's own files lie, if it was started here. `serving`: with Serve."""

    folder: Path | None
    serving: bool

    @property
    def gpus(self) -> int:
        """GPUs of all machines."""
        import ray

        return int(ray.cluster_resources().get("GPU", 0))

    @property
    def cpus(self) -> float:
        """CPU cores of all machines."""
        import ray

        return float(ray.cluster_resources().get("CPU", 1))

    def ask(self, question: Callable[[], T], gpus: float) -> T:
        """What a worker with so many GPUs answers."""
        import ray

        asked: Any = ray.remote(question)
        options = {"num_gpus": gpus, "num_cpus": 0, "runtime_env": environment()}
        return ray.get(asked.options(**options).remote())

    def close(self) -> None:
        """Leave it; end it if it was started here."""
        import ray
        from ray import serve

        if self.folder is not None and self.serving:
            serve.shutdown()
        ray.shutdown()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def environment() -> dict[str, Any]:
    """Workers find the program where it lies here; on every machine it has to lie at the same place."""
    return {"env_vars": {"PYTHONPATH": str(ROOT), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}}


def join(data: Path, devices: int, environ: Mapping[str, str] | None = None, *, serving: bool = True) -> Cluster:
    """The cluster that `RAY_ADDRESS` names, else one of our own with room for `devices` workers (0: any number).

    The token of our own is made once, below `data`, unless `RAY_AUTH_TOKEN` or `RAY_AUTH_TOKEN_PATH` gives one.
    Raises `BadInput` where Ray is missing, or would be without its token.
    """
    env = os.environ if environ is None else environ
    if importlib.util.find_spec("ray") is None:
        raise BadInput(MISSING)
    if env.get("RAY_AUTH_MODE", "token").lower() != "token":
        raise BadInput(OPEN)
    address = env.get("RAY_ADDRESS", "")
    if address.startswith("ray://"):
        raise BadInput(CLIENT)
    # Read by Ray when it is imported or started, and by the processes that it starts.
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    folder = _joined(address) if address else _started(data, devices)
    if serving:
        _serve()
    return Cluster(folder, serving)


def _joined(address: str) -> None:
    import ray
    from ray.exceptions import AuthenticationError

    try:
        ray.init(address=address, **_quiet())
    except (AuthenticationError, ConnectionError) as error:
        raise BadInput(f"The Ray cluster at {address} does not take us: {str(error).splitlines()[0]}") from error


def _started(data: Path, devices: int) -> Path:
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(_token(data))
    # Ray would let its workers starve beside whatever else runs here.
    os.environ.setdefault("RAY_worker_niceness", "0")
    # Without this Ray replaces 127.0.0.1 by the machine's address on the network, and listens there.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    import ray

    folder = Path(tempfile.mkdtemp(prefix="designerbox-ray-"))
    ray.init(
        address="local", include_dashboard=False, num_cpus=max(os.cpu_count() or 1, devices),
        object_store_memory=OBJECTS, _node_ip_address="127.0.0.1", _temp_dir=str(folder), **_quiet(),
    )  # fmt: skip
    return folder


def _serve() -> None:
    """Serve without its HTTP proxy: nobody asks a worker but through us."""
    from ray import serve

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    serve.start(proxy_location="Disabled", logging_config={"log_level": "WARNING"})


def _quiet() -> dict[str, Any]:
    return {"log_to_driver": False, "logging_level": "ERROR"}


def _token(data: Path) -> Path:
    """Made once and readable by its owner alone."""
    path = (data / "ray.token").absolute()
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        pass
    return path
