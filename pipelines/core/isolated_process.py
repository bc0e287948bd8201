"""Spawned processes without the program's main module and without its secrets.

multiprocessing runs the file of `__main__` in each new process. With `python app.py` that would import the whole page:
seconds and 200 MB for a worker that decodes a picture. A new process would also inherit the environment with its
passwords and tokens, and an attacker who takes over a decoder could read them.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import util
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType

_start_lock = threading.Lock()
_ENV_COMMAND = "/usr/bin/env"
# Environment variables that an interpreter needs to start like this one. Every other variable may hold a secret.
_PASSED_NAMES = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")


class IsolatedProcess(SpawnProcess):
    """A spawned process that imports only what its target needs."""

    def start(self) -> None:
        """Start the process. Other threads see an empty `__main__` while it starts."""
        with _start_lock, _hide_main_module(), _start_without_environment():
            super().start()


class IsolatedContext(SpawnContext):
    """A multiprocessing context that makes isolated processes."""

    Process = IsolatedProcess


@contextmanager
def _hide_main_module() -> Iterator[None]:
    # multiprocessing skips a main module without a file. The start lock keeps a second start from saving the empty
    # module as the real one. The arguments go too: multiprocessing sends them to the child, and one may be a password.
    main, argv = sys.modules["__main__"], sys.argv
    sys.modules["__main__"], sys.argv = ModuleType("__main__"), argv[:1]
    try:
        yield
    finally:
        sys.modules["__main__"], sys.argv = main, argv


@contextmanager
def _start_without_environment() -> Iterator[None]:
    # multiprocessing takes no environment for a new process, and clearing our own would affect every other thread.
    # So `env` is started first and replaces itself by the interpreter, with the same process id and pipes.
    spawn = getattr(util, "spawnv_passfds", None)
    if spawn is None or not os.access(_ENV_COMMAND, os.X_OK):  # Windows
        yield
        return

    def spawn_by_env(path: str | bytes, args: Sequence[str | bytes], fds: Sequence[int]) -> int:
        passed = [os.fsencode(f"{name}={value}") for name, value in environment_without_secrets(os.environ).items()]
        return spawn(os.fsencode(_ENV_COMMAND), [b"env", b"-i", *passed, path, *args[1:]], fds)

    util.spawnv_passfds = spawn_by_env  # pyrefly: ignore[bad-assignment]
    try:
        yield
    finally:
        util.spawnv_passfds = spawn


def environment_without_secrets(environ: Mapping[str, str], *more: str) -> dict[str, str]:
    """Return the variables that another process may see: those that start an interpreter, and those in `more`."""
    return {name: environ[name] for name in (*_PASSED_NAMES, *more) if name in environ}
