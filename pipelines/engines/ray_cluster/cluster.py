"""Connection to Ray: joins a cluster that is there, or starts one on this machine.

Whoever reaches Ray's ports can run code, so Ray is used with its token or not at all. A cluster that is started here
listens on 127.0.0.1 only and has no dashboard.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipelines.core.errors import BadInput

T = TypeVar("T")
OBJECT_STORE_BYTES = 200 * 2**20  # bytes of main memory that a cluster started here may use for pictures in transit
REPOSITORY = Path(__file__).resolve().parents[3]
_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
NO_TOKEN = (
    "Ray without its token runs code for whoever reaches its ports. Leave RAY_AUTH_MODE unset, or set it to token."
)
CLIENT_ADDRESS = "RAY_ADDRESS must name a cluster that this machine is part of (HOST:6379, or auto), not ray://."


@dataclass(frozen=True)
class Cluster:
    """A cluster that was joined. `folder`: where Ray's own files lie, None if the cluster was not started here."""

    folder: Path | None

    def count_resource(self, name: str) -> float:
        """How much of a resource, such as CPU or GPU, all machines have together."""
        import ray

        return ray.cluster_resources().get(name, 0.0)

    def call_remotely(self, function: Callable[[], T], gpus: float) -> T:
        """Call `function` in a process with so many GPUs. Returns its result."""
        import ray

        return ray.get(self._with_resources(function, cpus=0.0, gpus=gpus).remote())

    def start_actor(self, kind: type, arguments: tuple[Any, ...], *, cpus: float, gpus: float) -> Any:
        """Return the handle of a new actor of class `kind`, which starts when the cluster has room."""
        return self._with_resources(kind, cpus=cpus, gpus=gpus).remote(*arguments)

    def _with_resources(self, work: Any, *, cpus: float, gpus: float) -> Any:
        import ray

        return ray.remote(work).options(num_cpus=cpus, num_gpus=gpus, runtime_env=runtime_environment())

    def close(self) -> None:
        """Leave the cluster; end it if it was started here."""
        import ray

        ray.shutdown()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def runtime_environment() -> dict[str, Any]:
    """The environment of a worker. The repository must lie at the same path on every machine."""
    return {"env_vars": {"PYTHONPATH": str(REPOSITORY), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}}


def join_cluster(data: Path, worker_count: int, environ: Mapping[str, str] | None = None) -> Cluster:
    """Join the cluster that `RAY_ADDRESS` names, else start one with room for `worker_count` workers (0: any number).

    Its token is created once below `data`, unless `RAY_AUTH_TOKEN` or `RAY_AUTH_TOKEN_PATH` gives one. Raises
    `BadInput` if Ray is missing or would run without its token.
    """
    env = os.environ if environ is None else environ
    if importlib.util.find_spec("ray") is None:
        raise BadInput("The Ray engine needs Ray: pip install -r requirements-ray.txt")
    if env.get("RAY_AUTH_MODE", "token").lower() != "token":
        raise BadInput(NO_TOKEN)
    address = env.get("RAY_ADDRESS", "")
    if address.startswith("ray://"):
        raise BadInput(CLIENT_ADDRESS)
    # Ray reads these when it is imported or started, and so do the processes that it starts.
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not address:
        return Cluster(_start_local(data, worker_count))
    import ray
    from ray.exceptions import AuthenticationError

    try:
        ray.init(address, **_QUIET)
    except (AuthenticationError, ConnectionError) as error:
        raise BadInput(f"The Ray cluster at {address} refused the connection: {str(error).splitlines()[0]}") from error
    return Cluster(None)


def _start_local(data: Path, worker_count: int) -> Path:
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(_create_token(data))
    # By default Ray gives its workers a lower priority than every other process.
    os.environ.setdefault("RAY_worker_niceness", "0")
    # Otherwise Ray replaces 127.0.0.1 by the machine's address on the network and listens there.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    import ray

    folder = Path(tempfile.mkdtemp(prefix="designerbox-ray-"))
    ray.init(
        "local",
        include_dashboard=False,
        num_cpus=max(os.cpu_count() or 1, worker_count),
        object_store_memory=OBJECT_STORE_BYTES,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(folder),
        **_QUIET,
    )
    return folder


def _create_token(data: Path) -> Path:
    """Create the token file once, readable by its owner only."""
    path = (data / "ray.token").absolute()
    with suppress(FileExistsError), open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    return path
