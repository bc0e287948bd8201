"""What was freed goes back to the system, as far as the C library lets it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import psutil
import pytest

from pipelines.core import malloc

PIECE, PIECES = 100_000, 1000
GLIBC = pytest.mark.skipif(malloc._glibc_function("malloc_trim") is None, reason="another C library than glibc")


@pytest.mark.skipif(
    malloc._glibc_function("malloc_trim") is None,
    reason="another C library than glibc keeps nothing that it could give back",
)
def test_what_lies_free_between_what_is_used_is_given_back() -> None:
    pieces = [bytearray(b"x" * PIECE) for _ in range(PIECES)]
    kept = pieces[::2]
    del pieces
    before = psutil.Process().memory_info().rss
    malloc.trim_heap()
    assert before - psutil.Process().memory_info().rss > PIECE * PIECES / 4
    assert len(kept) == PIECES / 2


HEAPS = """
import ctypes, sys, threading
from pipelines.core import malloc
if sys.argv[1:]:
    malloc.limit_arenas()
ready, over = threading.Barrier(17), threading.Event()
def held():
    kept = [bytearray(20_000) for _ in range(200)]
    ready.wait()
    over.wait()
for _ in range(16):
    threading.Thread(target=held).start()
ready.wait()
library = ctypes.CDLL(None)
library.malloc_info(0, ctypes.c_void_p.in_dll(library, "stdout"))
library.fflush(None)
over.set()
"""


@GLIBC
def test_threads_share_as_many_heaps_as_there_are_cores() -> None:
    env = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}

    def heaps(*told: str, **also: str) -> int:
        command = [sys.executable, "-c", HEAPS, *told]
        said = subprocess.run(command, capture_output=True, text=True, check=True, env=env | also).stdout
        return said.count("<heap nr=")

    most = min(malloc.MAX_ARENA_COUNT, max(2, os.cpu_count() or 1))
    assert heaps() > most
    assert heaps("shared") == most
    assert heaps("shared", MALLOC_ARENA_MAX="1") == 1


def test_on_another_system_no_library_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[object, ...]] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda *names: opened.append(names))
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    malloc._glibc_function.cache_clear()
    try:
        malloc.limit_arenas()
        malloc.trim_heap()
    finally:
        malloc._glibc_function.cache_clear()
    assert opened == []
