"""Spawned processes that do not run the program's main module again; knows nothing of what they work on.

multiprocessing tells a new process the file of `__main__`, to be run there first. With `python app.py` that is the
whole page: seconds and 200 MB for a worker that decodes a picture. Such a worker imports this module, so it is small.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType

_starting = threading.Lock()


class BareProcess(SpawnProcess):
    """A spawned process that knows only what its target imports."""

    def start(self) -> None:
        """Start it; other threads see an empty `__main__` for that moment."""
        with _no_main():
            super().start()


class BareContext(SpawnContext):
    """A multiprocessing context of such processes."""

    Process = BareProcess


@contextmanager
def _no_main() -> Iterator[None]:
    # A main module without a file is skipped. The lock keeps a second start from taking the stand-in for the real one.
    with _starting:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
