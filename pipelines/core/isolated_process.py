"""Spawned processes that do not run the program's main module again and know no secret; not what they work on.

multiprocessing tells a new process the file of `__main__`, to be run there first. With `python app.py` that is the
whole page: seconds and 200 MB for a worker that decodes a picture. Such a worker imports this module, so it is small.
It would also inherit the environment, where passwords and tokens stand: whoever takes a decoder over would read them.
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
# What an interpreter needs to start as this one did. Everything else may be a secret, whatever it is called.
_PASSED_NAMES = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")


class IsolatedProcess(SpawnProcess):
    """A spawned process that knows only what its target imports."""

    def start(self) -> None:
        """Start it; other threads see an empty `__main__` for that moment."""
        with _start_lock, _hide_main_module(), _start_without_environment():
            super().start()


class IsolatedContext(SpawnContext):
    """A multiprocessing context of such processes."""

    Process = IsolatedProcess


@contextmanager
def _hide_main_module() -> Iterator[None]:
    # A main module without a file is skipped. The lock keeps a second start from taking the stand-in for the real one.
    # The command line is told along, and a password may stand in it.
    main, argv = sys.modules["__main__"], sys.argv
    sys.modules["__main__"], sys.argv = ModuleType("__main__"), argv[:1]
    try:
        yield
    finally:
        sys.modules["__main__"], sys.argv = main, argv


@contextmanager
def _start_without_environment() -> Iterator[None]:
    # multiprocessing has no argument for a process's environment, and emptying our own for a moment would take it from
    # every other thread. So the new process is begun by `env`, which becomes the interpreter: same id, same pipes.
    spawn = getattr(util, "spawnv_passfds", None)
    if spawn is None or not os.access(_ENV_COMMAND, os.X_OK):  # Windows
        yield
        return

    def bare(path: str | bytes, args: Sequence[str | bytes], fds: Sequence[int]) -> int:
        return spawn(
            os.fsencode(_ENV_COMMAND), [b"env", b"-i", *environment_assignments(os.environ), path, *args[1:]], fds
        )

    util.spawnv_passfds = bare  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        util.spawnv_passfds = spawn  # pyright: ignore[reportAttributeAccessIssue]


def environment_assignments(environ: Mapping[str, str]) -> list[bytes]:
    """`NAME=value` of what a worker is told of an environment."""
    return [os.fsencode(f"{name}={value}") for name, value in environment_without_secrets(environ).items()]


def environment_without_secrets(environ: Mapping[str, str], *more: str) -> dict[str, str]:
    """What another process is told of an environment: no secret, and what `more` names."""
    return {name: environ[name] for name in (*_PASSED_NAMES, *more) if name in environ}
